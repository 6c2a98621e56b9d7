"""DCGANs (Radford, Metz & Chintala 2016, arXiv:1511.06434): pictures from strided convolutions in both networks."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numgan.data import load_emoji_split, load_mnist_split, load_pictures_split, load_stacked_split
from numgan.data.images import to_pixels
from numgan.hints import Array, Config, DType, FileName, Named, Rng, Shape
from numgan.nn import initializers
from numgan.nn.activations import LeakyReLU, ReLU, Tanh
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dense import Dense
from numgan.nn.dropout import Dropout
from numgan.nn.network import Sequential
from numgan.nn.reshaping import Flatten, Reshape
from numgan.study import evaluation, plots
from numgan.study.recipes.recipe import Asked, Recipe
from numgan.study.settings import (
    EpochSettings,
    SettingError,
    TrainingSettings,
    choice,
    fraction,
    natural,
    positive,
    positive_int,
    widths,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from numgan.gan.model import GAN
    from numgan.nn.layer import Layer
    from numgan.study.evaluation import Evaluation

KERNEL, STRIDE = 4, 2  # of every convolution: each halves or doubles a picture, and its windows overlap evenly


@dataclass(frozen=True)
class DcganSettings(TrainingSettings):
    batch_size: int = positive_int(64, "pictures in the generator's batch")
    learning_rate: float = positive(1e-3, "Adam's α")
    beta1: float = fraction(0.5, "Adam's β₁")
    latent_dim: int = positive_int(100, "noise values per picture")
    filters: tuple = widths((64, 128), "channels of the discriminator's convolutions; the generator's are the reverse")
    slope: float = fraction(0.2, "LeakyReLU's slope below zero, in the discriminator")
    momentum: float = fraction(0.8, "weight of the old value in the batch norms' running statistics")
    stddev: float = positive(0.05, "standard deviation of all first weights")
    dropout: float = fraction(0.3, "share of the discriminator's activations set to zero while it learns")


def convolutions(s: Any) -> Config:
    """The arguments of every strided convolution under settings `s`."""
    return {
        "kernel_size": KERNEL,
        "strides": STRIDE,
        "padding": "same",
        "initializer": initializers.normal(s.stddev),
    }


class OfPictures(Recipe):
    """How the progress of a GAN for pictures is shown."""

    def moment(self, gan: GAN, noise: Array, rng: Rng, asked: Asked) -> Named:
        """What `draw` shows of a moment of the training, arrays by name."""
        return {"pixels": to_pixels(gan.sampler.predict(noise, **asked.conditions))}

    def draw(self, axes: Axes, moment: Named) -> None:
        plots.draw_images(axes, moment["pixels"])

    def quality(self, samples: Array, gan: GAN, rng: Rng) -> dict[str, float]:
        """Figures for the closing summary, name -> number: none for pictures."""
        return {}


class Dcgan(OfPictures):
    """What the recipes of this family share: the networks, and how pictures are shown.

    Generator: dense to a small image, then transposed convolutions that double it, batch norm and ReLU before each.
    Discriminator: convolutions that halve it, LeakyReLU after each, then dense to one number.
    """

    look_every = 10
    sample_count = 64
    snapshot_count = 16
    quality_count = 1_000
    gradient_check: ClassVar = None  # the networks are those of mnist-dcgan, in other sizes

    def smallest(self, s: Any) -> Shape:
        """The shape of the image between the convolutions and the dense layer, in either network."""
        _, height, width = self.shape(s)
        halved = STRIDE ** len(s.filters)
        if height % halved or width % halved:
            raise SettingError(
                f"{len(s.filters)} filters halve a picture as many times, and {height} × {width} is no multiple of "
                f"{halved} × {halved}"
            )
        return (s.filters[-1], height // halved, width // halved)

    def generator(self, s: Any, how: Config) -> list[Layer]:
        """Its layers; `how` are arguments of every convolution."""
        start = self.smallest(s)
        grow = [Dense(math.prod(start), how["initializer"]), Reshape(start)]
        for filters in (*s.filters[-2::-1], self.shape(s)[0]):
            grow += [BatchNorm(s.momentum), ReLU(), Conv2DTranspose(filters, **how)]
        return [*grow, Tanh()]

    def discriminator(self, s: Any, how: Config) -> list[Layer]:
        """Its layers up to the score."""
        shrink = []
        for filters in s.filters:
            shrink += [Conv2D(filters, **how), LeakyReLU(s.slope), *([Dropout(s.dropout)] if s.dropout else [])]
        return [*shrink, Flatten(), Dense(1, how["initializer"])]

    def networks(self, s: Any, rng: Rng, dtype: DType) -> tuple[Sequential, Sequential]:
        """Generator and discriminator for settings `s`, their weights drawn from `rng`."""
        how = convolutions(s)
        generator = Sequential(self.generator(s, how), s.latent_dim, rng, dtype, name="generator")
        layers = [*s.normed(self.discriminator(s, how)), *s.game().closing()]
        return generator, Sequential(layers, self.shape(s), rng, dtype, name="discriminator")

    def build(self, s: Any, rng: Rng, dtype: DType) -> GAN:
        """The GAN for settings `s`, its weights drawn from `rng`."""
        return s.gan(*self.networks(s, rng, dtype))

    def picture(self, samples: Array, gan: GAN, title: str, path: FileName, rng: Rng, asked: Asked) -> None:
        plots.image_samples(to_pixels(samples), title, path)

    def evaluation_count(self, training: Any, held_out: Any) -> int:
        """How many samples to evaluate unless told: as many as there are held-out pictures."""
        return min(len(training), len(held_out))


@dataclass(frozen=True)
class MnistDcganSettings(DcganSettings, EpochSettings):
    steps: int = natural(3600, "training steps on random batches; 0 where epochs are given")
    snapshot_every: int = positive_int(180, "steps between two summaries and moments of evolution.png")


class MnistDcgan(Dcgan):
    """Handwritten digits by convolutions."""

    name = "mnist-dcgan"
    title = "handwritten digits: a DCGAN of two convolutions either way, 3,600 steps"
    settings = MnistDcganSettings()
    # The same networks, but narrow: whole, it would take hours. On noise, as a background of one colour puts all of its
    # pixels into one kink.
    gradient_check: ClassVar = {
        "rows": 4,
        "noise": 0.1,
        "coordinates": 2,
        "directions": 1,
        "settings": {"filters": (3, 4), "latent_dim": 5, "stddev": 0.3},
    }

    def shape(self, s: Any) -> Shape:
        """The shape of a picture under settings `s`."""
        return (1, 28, 28)

    def load(self, source: FileName | None, s: Any) -> tuple[Any, Any]:
        """(training, held-out) digits: embedded (None), downloaded ("full") or from a directory of IDX files."""
        training, held_out = load_mnist_split(source)
        return training.as_images(), held_out.as_images()

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The `Evaluation` of generated digits beside both parts of the data."""
        return evaluation.evaluate_digits(samples, training, held_out, rng)


@dataclass(frozen=True)
class StackedSettings(DcganSettings):
    steps: int = positive_int(2000, "training steps")
    snapshot_every: int = positive_int(100, "steps between two summaries and moments of evolution.png")


class StackedMnist(Dcgan):
    """Three digits as red, green and blue: a thousand modes, and how many of them a GAN finds can be counted."""

    name = "stacked-mnist"
    title = "three digits as red, green and blue, 1,000 modes: how many does a DCGAN find? 2,000 steps"
    settings = StackedSettings()

    def shape(self, s: Any) -> Shape:
        return (3, 28, 28)

    def load(self, source: FileName | None, s: Any) -> tuple[Any, Any]:
        """(training, held-out) stacks of digits: embedded (None), downloaded ("full") or from IDX files."""
        return load_stacked_split(source)

    def evaluation_count(self, training: Any, held_out: Any) -> int:
        """How many samples to evaluate unless told: as many as the literature takes."""
        return evaluation.STACKED_SAMPLES

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The `Evaluation` of generated stacks beside stacks of held-out digits."""
        return evaluation.evaluate_stacked(samples, held_out, rng)


@dataclass(frozen=True)
class EmojiSettings(DcganSettings, EpochSettings):
    steps: int = natural(2000, "training steps on random batches; 0 where epochs are given")
    snapshot_every: int = positive_int(100, "steps between two summaries and moments of evolution.png")
    learning_rate: float = positive(4e-4, "Adam's α")
    label_smoothing: float = fraction(0.1, "s: real rows are labelled 1 − s for the discriminator", 0.5)
    filters: tuple = widths(
        (32, 64, 128), "channels of the discriminator's convolutions; the generator's are the reverse"
    )
    stddev: float = positive(0.02, "standard deviation of all first weights")
    size: int = choice(32, "pixels of a picture's side", (16, 32, 64))
    flip: str = choice("yes", "whether to train on the mirrored pictures too", ("yes", "no"))


class Emoji(Dcgan):
    """Drawn pictures in colour that are no digits."""

    name = "emoji"
    title = "emoji in colour, 32 × 32 (or --set size=64): a DCGAN of three convolutions either way, 2,000 steps"
    settings = EmojiSettings()

    def shape(self, s: Any) -> Shape:
        return (3, s.size, s.size)

    def load(self, source: FileName | None, s: Any) -> tuple[Any, Any]:
        """(training, held-out) emoji, which ship with numgan."""
        if source is not None:
            raise SettingError(f"the {self.name} recipe has pictures of its own and takes no --data, got {source!r}")
        return load_emoji_split(s.size, s.flip == "yes")

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The `Evaluation` of generated pictures beside those held out."""
        return evaluation.evaluate_pictures(samples, training, held_out)


@dataclass(frozen=True)
class PicturesSettings(EmojiSettings):
    size: int = positive_int(32, "pixels of a picture's side, to which all are brought")
    channels: int = choice(0, "1 for grey, 3 for colour; 0: as the pictures are", (0, 1, 3))

    def for_data(self, data: Any) -> PicturesSettings:
        channels = data.shape[0]
        if self.channels not in (0, channels):
            raise SettingError(f"channels={self.channels} is not possible; the pictures have {channels}")
        return dataclasses.replace(super().for_data(data), channels=channels)


class Pictures(Emoji):
    """A folder of one's own PNG files."""

    name = "pictures"
    title = "your own pictures: a folder of PNG files, --data DIR, by the DCGAN of the emoji"
    settings = PicturesSettings()

    def shape(self, s: Any) -> Shape:
        return (s.channels or 3, s.size, s.size)

    def load(self, source: FileName | None, s: Any) -> tuple[Any, Any]:
        """(training, held-out) pictures of a directory of PNG files."""
        if source in (None, "full"):
            raise SettingError(f"the {self.name} recipe takes --data DIR, a directory of PNG files")
        return load_pictures_split(source, s.size, s.flip == "yes")
