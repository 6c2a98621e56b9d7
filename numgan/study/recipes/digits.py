"""Dense GANs for handwritten digits: the Keras listing and the 50-epoch study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numgan.data import load_mnist_split
from numgan.data.images import to_pixels
from numgan.gan.objectives import MEAN_OR_SUM
from numgan.hints import Array, DType, FileName, Named, Rng, Shape
from numgan.nn import initializers
from numgan.nn.activations import LeakyReLU, Tanh
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.dense import Dense
from numgan.nn.network import Sequential
from numgan.study import evaluation, plots
from numgan.study.recipes.recipe import Asked, Recipe
from numgan.study.settings import DigitSettings, choice, fraction, natural, positive, positive_int, widths

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from numgan.gan.model import GAN
    from numgan.nn.layer import Layer
    from numgan.study.evaluation import Evaluation


@dataclass(frozen=True)
class MnistSettings(DigitSettings):
    batch_size: int = positive_int(256, "images in the generator's batch")
    learning_rate: float = positive(4e-4, "Adam's α")
    beta1: float = fraction(0.5, "Adam's β₁")
    hidden: tuple = widths((128, 256, 512), "widths of the hidden layers, the same in both networks")
    stddev: float = positive(0.02, "standard deviation of each network's first weights; the rest is Glorot uniform")


class Mnist(Recipe):
    """The Keras listing: a dense GAN for handwritten digits."""

    name = "mnist"
    title = "handwritten digits: the Keras listing's dense GAN with batch norm, 2,000 steps"
    settings = MnistSettings()
    look_every = 50  # steps between two looks at the losses, about a second
    sample_count = 64
    snapshot_count = 16
    quality_count = 1_000
    gradient_check: ClassVar = {"rows": 8, "coordinates": 4, "directions": 2}  # whole, it would take hours

    def shape(self, s: Any) -> Shape:
        """The shape of a row under settings `s`."""
        return (784,)

    def load(self, source: FileName | None, s: Any) -> tuple[Any, Any]:
        """(training, held-out) digits: embedded (None), downloaded ("full") or from a directory of IDX files."""
        return load_mnist_split(source)

    def beside(self) -> list[Layer]:
        """What stands first in either network: nothing beside its input."""
        return []

    def networks(self, s: Any, rng: Rng, dtype: DType) -> tuple[Sequential, Sequential]:
        """Generator and discriminator for settings `s`, their weights drawn from `rng`."""

        def hidden(batch_norm):
            for i, width in enumerate(s.hidden):
                yield Dense(width, initializers.normal(s.stddev) if i == 0 else "glorot_uniform")
                yield LeakyReLU(s.slope)
                if batch_norm:
                    yield BatchNorm(s.momentum)

        grow = [*self.beside(), *hidden(True), Dense(784), Tanh()]
        generator = Sequential(grow, s.latent_dim, rng, dtype, name="generator")
        layers = s.normed([*self.beside(), *hidden(False), Dense(1), *s.game().closing()])
        return generator, Sequential(layers, 784, rng, dtype, name="discriminator")

    def build(self, s: Any, rng: Rng, dtype: DType) -> GAN:
        """The GAN for settings `s`, its weights drawn from `rng`."""
        return s.gan(*self.networks(s, rng, dtype))

    def moment(self, gan: GAN, noise: Array, rng: Rng, asked: Asked) -> Named:
        """What `draw` shows of a moment of the training, arrays by name."""
        return {"samples": gan.sampler.predict(noise, **asked.conditions)}

    def draw(self, axes: Axes, moment: Named) -> None:
        plots.draw_digits(axes, moment["samples"])

    def picture(self, samples: Array, gan: GAN, title: str, path: FileName, rng: Rng, asked: Asked) -> None:
        plots.image_samples(to_pixels(samples).reshape(-1, 1, 28, 28), title, path)

    def quality(self, samples: Array, gan: GAN, rng: Rng) -> dict[str, float]:
        """Figures for the closing summary, name -> number: none for digits."""
        return {}

    def evaluation_count(self, training: Any, held_out: Any) -> int:
        """How many samples to evaluate unless told: as many as there are held-out digits."""
        return min(len(training), len(held_out))

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The `Evaluation` of generated digits beside both parts of the data."""
        return evaluation.evaluate_digits(samples, training, held_out, rng)


@dataclass(frozen=True)
class MnistBestSettings(MnistSettings):
    steps: int = natural(12_000, "training steps on random batches; 0 where epochs are given")
    snapshot_every: int = positive_int(600, "steps between two summaries and moments of evolution.png")
    spectral_norm: str = choice("yes", "whether the discriminator's weights are divided by their norms", ("yes", "no"))
    average: float = fraction(0.999, "d: samples are of the generator's weights averaged with this decay; 0: none")


class MnistBest(Mnist):
    """The best of what was tried that ten minutes of two cores make of the embedded digits: `mnist` with spectral norms
    in the discriminator and the generator's weights averaged. `benchmarks arms digits` compares it with the others.
    """

    name = "mnist-best"
    title = "handwritten digits: dense, with spectral norms and averaged weights, 12,000 steps"
    settings = MnistBestSettings()
    gradient_check: ClassVar = {"rows": 8, "coordinates": 2, "directions": 1, "settings": {"hidden": (16, 12)}}


@dataclass(frozen=True)
class MnistEpochsSettings(DigitSettings):
    steps: int = natural(0, "training steps on random batches, in place of epochs")
    epochs: int = natural(50, "passes over the shuffled training images, each image once in every pass")
    batch_size: int = positive_int(32, "images in the generator's batch")
    learning_rate: float = positive(1e-4, "Adam's α")
    beta1: float = fraction(0.5, "Adam's β₁")
    discriminator_loss: str = choice("sum", "of its mean losses on real and on generated rows", MEAN_OR_SUM)
    hidden: tuple = widths((256, 512), "widths of the generator's hidden layers; the discriminator's are the reverse")


class MnistEpochs(Mnist):
    """The 50-epoch study: three dense layers in either network, epochs over the shuffled digits.

    The study names the layers, the losses and Adam's rate. Widths, slope, β₁ and batch size are chosen here: 50 epochs
    of the embedded digits are 1,600 steps in batches of 128, too few for digits to appear, and 6,250 in batches of 32.
    """

    name = "mnist-epochs"
    title = "handwritten digits: the 50-epoch study, three dense layers in either network"
    settings = MnistEpochsSettings()
    gradient_check: ClassVar = {"rows": 8, "coordinates": 1, "directions": 1}

    def build(self, s: Any, rng: Rng, dtype: DType) -> GAN:
        grow = [layer for n in s.hidden for layer in (Dense(n), LeakyReLU(s.slope), BatchNorm(s.momentum))]
        shrink = [layer for n in reversed(s.hidden) for layer in (Dense(n), LeakyReLU(s.slope))]
        generator = Sequential([*grow, Dense(784), Tanh()], s.latent_dim, rng, dtype, name="generator")
        layers = s.normed([*shrink, Dense(1), *s.game().closing()])
        discriminator = Sequential(layers, 784, rng, dtype, name="discriminator")
        return s.gan(generator, discriminator)
