"""GANs for points of the plane: the sine article's, its discriminator alone, and the ring of eight modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from numgan.data import RingPoints, SinePoints
from numgan.gan.steps import SCHEDULES
from numgan.hints import Array, DType, FileName, Named, Rng, Shape
from numgan.nn import initializers
from numgan.nn.activations import LeakyReLU, ReLU, Sigmoid
from numgan.nn.dense import Dense
from numgan.nn.network import Sequential
from numgan.study import evaluation, metrics, plots
from numgan.study.recipes.recipe import Asked, Recipe
from numgan.study.settings import (
    SettingError,
    TrainingSettings,
    choice,
    fraction,
    natural,
    positive,
    positive_int,
    setting,
    widths,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from numgan.gan.model import GAN
    from numgan.study.evaluation import Evaluation


@dataclass(frozen=True)
class SineSettings(TrainingSettings):
    steps: int = positive_int(100_000, "training steps: two discriminator updates, then one of the generator")
    batch_size: int = positive_int(128, "points in the generator's batch; the discriminator's are half as large")
    snapshot_every: int = positive_int(10_000, "steps between two summaries and moments of evolution.png")
    schedule: str = choice("separate", "real and generated rows as one batch, or one after the other", SCHEDULES)
    latent_dim: int = positive_int(5, "noise values per point")
    hidden: int = positive_int(25, "units in the one hidden layer of either network")
    initializer: str = choice(
        "he_uniform", "hidden weights; output weights are Glorot uniform", tuple(initializers.INITIALIZERS)
    )
    output: str = choice(
        "linear", "the generator's output: the document's text says linear, its code sigmoid", ("linear", "sigmoid")
    )


class Points(Recipe):
    """What the recipes of this family share: where the points come from, and how a moment of the game is shown.

    source  class of the real points.
    frame   left, right, bottom, top of pictures.
    """

    source: ClassVar = SinePoints
    frame = plots.SINE_FRAME
    look_every = 1000
    sample_count = 1000
    snapshot_count = 500
    quality_count = 5_000  # samples that the closing figures are computed from
    gradient_check: ClassVar = {"rows": 16}  # every coordinate

    def shape(self, s: Any) -> Shape:
        """The shape of a row under settings `s`."""
        return (2,)

    def load(self, source: FileName | None, s: Any) -> tuple[Any, Any]:
        """(training, held-out) points: always fresh, so nothing need be held out."""
        if source is not None:
            raise SettingError(f"the {self.name} recipe draws its own points and takes no --data, got {source!r}")
        return self.source(), self.source()

    def real(self, n: int, rng: Rng) -> Array:
        """n real points, float32 (n, 2)."""
        points = np.empty((n, 2), np.float32)
        self.source().sample(n, rng, points)
        return points

    def moment(self, gan: GAN, noise: Array, rng: Rng, asked: Asked) -> Named:
        """Real and generated points, and what the discriminator says of the plane behind them."""
        points, surface = gan.sampler.predict(noise), plots.decision_surface(gan, self.frame)
        undecided = np.array(np.nan if surface.undecided is None else surface.undecided)
        real = self.real(len(points), rng)
        return {"real": real, "points": points, "answers": surface.answers, "undecided": undecided}

    def draw(self, axes: Axes, moment: Named) -> AxesImage:
        undecided = None if np.isnan(moment["undecided"]) else float(moment["undecided"])
        surface = plots.Surface(self.frame, moment["answers"], undecided)
        return plots.draw_game(axes, (moment["real"], moment["points"], surface))

    def evaluation_count(self, training: Any, held_out: Any) -> int:
        """How many samples to evaluate unless told."""
        return 5_000


class Sine(Points):
    """The sine article's GAN: points on a curve from networks of one hidden layer."""

    name = "sine"
    title = "points (t, sin t): the sine article's GAN with one hidden layer, 100,000 steps"
    settings = SineSettings()

    def build(self, s: Any, rng: Rng, dtype: DType) -> GAN:
        """The GAN for settings `s`, its weights drawn from `rng`."""
        output = [Sigmoid()] if s.output == "sigmoid" else []
        generator = Sequential(
            [Dense(s.hidden, s.initializer), ReLU(), Dense(2), *output], s.latent_dim, rng, dtype, name="generator"
        )
        return s.gan(generator, self.discriminator(s, rng, dtype))

    @staticmethod
    def discriminator(s: Any, rng: Rng, dtype: DType) -> Sequential:
        layers = [Dense(s.hidden, s.initializer), ReLU(), Dense(1), *s.game().closing()]
        return Sequential(s.normed(layers), 2, rng, dtype, name="discriminator")

    def picture(self, samples: Array, gan: GAN, title: str, path: FileName, rng: Rng, asked: Asked) -> None:
        plots.point_samples(samples, self.real(len(samples), rng), title, path)

    def quality(self, samples: Array, gan: GAN, rng: Rng) -> dict[str, float]:
        return metrics.sine_quality(samples)

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The `Evaluation` of generated points beside fresh real ones."""
        return evaluation.evaluate_points(samples, rng)


@dataclass(frozen=True)
class SineDiscriminatorSettings(SineSettings):
    steps: int = positive_int(300, "training steps, which the document calls epochs: an update on real, one on fake")
    snapshot_every: int = positive_int(50, "steps between two summaries and moments of evolution.png")
    generator_steps: int = natural(0, "generator steps in a training step: 0, the fakes are fixed")
    latent_dim: int = setting(1, "the t of a fake point (t, 2t)", lambda v: v == 1, "1")
    output: str = choice("linear", "of the fixed generator", ("linear",))


class SineDiscriminator(Sine):
    """The sine article's first part: a discriminator alone, (t, sin t) real against (t, 2t) fake.

    The fakes come from a generator too, the linear map t → (t, 2t), which is frozen.
    """

    name = "sine-discriminator"
    title = "the sine article's discriminator alone: (t, sin t) against (t, 2t), 300 half-batches of each"
    settings = SineDiscriminatorSettings()
    look_every = 50
    frame = (-3.8, 3.8, -7.6, 7.6)

    def build(self, s: Any, rng: Rng, dtype: DType) -> GAN:
        def line(rng, shape, fan_in, fan_out, dtype):
            return np.array([[1], [2]], dtype)

        generator = Sequential([Dense(2, line)], 1, rng, dtype, name="generator")
        return s.gan(generator, self.discriminator(s, rng, dtype))

    def picture(self, samples: Array, gan: GAN, title: str, path: FileName, rng: Rng, asked: Asked) -> None:
        surface = plots.decision_surface(gan, self.frame)
        plots.game(self.real(len(samples), rng), samples, surface, title, path)

    def quality(self, samples: Array, gan: GAN, rng: Rng) -> dict[str, float]:
        """Accuracy on fresh points of either kind, as the article reports it; where theory names no answer that is
        undecided, as of most critics, the mean scores instead.
        """
        real = gan.discriminator.predict(self.real(len(samples), rng))
        fake = gan.discriminator.predict(samples)
        middle = gan.objective.undecided
        if middle is None:
            return {f"mean score on {k}": float(z.mean(dtype=np.float64)) for k, z in (("real", real), ("fake", fake))}
        return {"accuracy on real": float((real > middle).mean()), "accuracy on fake": float((fake <= middle).mean())}

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The two accuracies. Beside them what a perfect discriminator has, since the curves meet in one point only."""
        article = {
            "accuracy on real": "higher; the article: 100 %",
            "accuracy on fake": "higher; the article: about 85 %",
        }
        found = self.quality(samples, gan, rng)
        measures = [
            evaluation.Measure(name, value, 1.0, article[name])
            if name in article
            else evaluation.Measure(name, value, found["mean score on real"], "real far above fake")
            for name, value in found.items()
        ]
        return evaluation.Evaluation(measures, [f"{len(samples):,} {held_out.source}"], None)


@dataclass(frozen=True)
class RingSettings(TrainingSettings):
    steps: int = positive_int(60_000, "training steps: each a discriminator step, then a generator step")
    batch_size: int = positive_int(128, "points in the generator's batch")
    snapshot_every: int = positive_int(3_000, "steps between two summaries and moments of evolution.png")
    learning_rate: float = positive(3e-4, "Adam's α")
    beta1: float = fraction(0.5, "Adam's β₁")
    latent_dim: int = positive_int(2, "noise values per point")
    hidden: tuple = widths((64, 64), "widths of the hidden layers, the same in both networks")
    slope: float = fraction(0.2, "LeakyReLU's slope below zero")


class Ring(Points):
    """Eight modes on a circle, and no two touch: how many of them does a GAN find, and does it stay with them?"""

    name = "ring"
    title = "eight normal distributions on a circle: how many of the modes does a small dense GAN find? 60,000 steps"
    settings = RingSettings()
    source = RingPoints
    frame = (-2.8, 2.8, -2.8, 2.8)
    # Every coordinate of the same networks, but narrow: whole, they have twelve times as many.
    gradient_check: ClassVar = {"rows": 16, "settings": {"hidden": (16, 16)}}

    def build(self, s: Any, rng: Rng, dtype: DType) -> GAN:
        """The GAN for settings `s`, its weights drawn from `rng`."""

        def hidden():
            return [layer for n in s.hidden for layer in (Dense(n, "he_uniform"), LeakyReLU(s.slope))]

        generator = Sequential([*hidden(), Dense(2)], s.latent_dim, rng, dtype, name="generator")
        layers = s.normed([*hidden(), Dense(1), *s.game().closing()])
        return s.gan(generator, Sequential(layers, 2, rng, dtype, name="discriminator"))

    def draw(self, axes: Axes, moment: Named) -> AxesImage:
        image = super().draw(axes, moment)
        plots.draw_centres(axes, RingPoints.centres)
        return image

    def picture(self, samples: Array, gan: GAN, title: str, path: FileName, rng: Rng, asked: Asked) -> None:
        surface = plots.decision_surface(gan, self.frame, (240, 240))  # the modes are narrow
        plots.game(self.real(len(samples), rng), samples, surface, title, path, RingPoints.centres)

    def quality(self, samples: Array, gan: GAN, rng: Rng) -> dict[str, float]:
        return metrics.mixture_quality(samples, RingPoints.centres, RingPoints.deviation)

    def evaluation_count(self, training: Any, held_out: Any) -> int:
        """How many samples to evaluate unless told: as many as the literature takes."""
        return evaluation.RING_SAMPLES

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The `Evaluation` of generated points beside fresh real ones."""
        return evaluation.evaluate_ring(samples, rng)
