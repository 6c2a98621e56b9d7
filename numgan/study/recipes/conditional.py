"""Conditional GANs: a digit of the class asked for, a picture made from another, a scene from what a text says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from numgan.data import (
    Labelled,
    load_emoji_pairs_split,
    load_grey_picture,
    load_mnist_split,
    load_outline_pairs_split,
)
from numgan.data.idx import SIDE
from numgan.data.images import to_pixels, to_unit_range
from numgan.data.scenes import LENGTH, WORDS, Scenes, decode, encode, is_unseen, load_scenes_split, parse
from numgan.gan.conditions import Label, Picture, Text
from numgan.hints import Array, Config, DType, FileName, Rng, Shape
from numgan.nn.activations import LeakyReLU, ReLU, Tanh
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dense import Dense
from numgan.nn.dropout import Dropout
from numgan.nn.embedding import Embedding, OneHot
from numgan.nn.joining import Join, Skip
from numgan.nn.network import Sequential
from numgan.nn.resampling import UpSampling2D
from numgan.nn.reshaping import Flatten, Reshape
from numgan.study import evaluation, plots, scenes, translations
from numgan.study.recipes.digits import Mnist, MnistSettings
from numgan.study.recipes.images import STRIDE, Dcgan, DcganSettings, OfPictures, convolutions
from numgan.study.recipes.recipe import Asked
from numgan.study.settings import (
    EpochSettings,
    SettingError,
    brief,
    choice,
    fraction,
    natural,
    positive,
    positive_int,
    positive_or_0,
    widths,
)

if TYPE_CHECKING:
    from numgan.gan.model import GAN
    from numgan.nn.layer import Layer
    from numgan.study.evaluation import Evaluation

CLASSES = 10


@dataclass(frozen=True)
class MnistConditionalSettings(MnistSettings):
    steps: int = natural(6_000, "training steps on random batches; 0 where epochs are given")
    snapshot_every: int = positive_int(300, "steps between two summaries and moments of evolution.png")
    average: float = fraction(0.999, "d: samples are of the generator's weights averaged with this decay; 0: none")
    matching_aware: str = choice("yes", "whether real digits of wrong classes count as fakes", ("yes", "no"))


class MnistConditional(Mnist):
    """A digit of the class asked for: Mirza & Osindero 2014, arXiv:1411.1784, section 4.1, with the networks of
    `mnist`. Both read the class one-hot, beside the noise and beside the digit, and real digits of wrong classes count
    as fakes (Reed et al. 2016, arXiv:1605.05396).
    """

    name = "mnist-conditional"
    title = "handwritten digits of the class asked for: dense, the class one-hot beside either network's input"
    settings = MnistConditionalSettings()
    condition = "label"
    sample_count = 100  # ten of each class, a class a row
    snapshot_count = 40
    gradient_check: ClassVar = {"rows": 8, "coordinates": 2, "directions": 1, "settings": {"hidden": (16, 12)}}

    def load(self, source: FileName | None, s: Any) -> tuple[Any, Any]:
        """(training, held-out) digits with their labels."""
        training, held_out = load_mnist_split(source)
        return Labelled(training), Labelled(held_out)

    def beside(self) -> list[Layer]:
        return [Join("label", 1, [OneHot(CLASSES), Flatten()])]

    def build(self, s: Any, rng: Rng, dtype: DType) -> GAN:
        how = {"conditions": {"label": Label(CLASSES)}, "matching_aware": s.matching_aware == "yes"}
        return s.gan(*self.networks(s, rng, dtype), **how)

    def asked(self, n: int, held_out: Any, rng: Rng) -> Asked:
        """As many of each class as of any other, one class after the other."""
        return Asked({"label": np.arange(n) * CLASSES // n})

    def read_condition(self, text: str, s: Any) -> Any:
        if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) >= CLASSES:
            raise SettingError(f"--label must be a class, 0 to {CLASSES - 1}, got {brief(text)!r}")
        return int(text)

    def picture(self, samples: Array, gan: GAN, title: str, path: FileName, rng: Rng, asked: Asked) -> None:
        """A class a row."""
        labels = np.broadcast_to(np.asarray(asked.conditions["label"]).reshape(-1), len(samples)).astype(int)
        columns = max(len(labels) // CLASSES, 1) if labels[0] < labels[-1] else CLASSES
        rows = [f"{row[0]}" if row[0] == row[-1] else f"{row[0]} to {row[-1]}" for row in _cut(labels, columns)]
        plots.captioned_rows(to_pixels(samples).reshape(-1, 1, SIDE, SIDE), rows, columns, title, path)

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The `Evaluation` of generated digits, each beside the class that it should be of."""
        return evaluation.evaluate_classes(samples, np.asarray(asked.conditions["label"]), training, held_out, rng)


@dataclass(frozen=True)
class TranslateSettings(EpochSettings):
    steps: int = natural(2_000, "training steps on random batches; 0 where epochs are given")
    batch_size: int = positive_int(32, "pictures in the generator's batch")
    snapshot_every: int = positive_int(100, "steps between two summaries and moments of evolution.png")
    learning_rate: float = positive(2e-4, "Adam's α")
    beta1: float = fraction(0.5, "Adam's β₁")
    pairs: str = choice(
        "outlines", "digits from their outlines, or coloured emoji from grey ones", ("outlines", "emoji")
    )
    l1_weight: float = positive_or_0(100.0, "λ: the generator also minimises λ·mean |G − target|; 0: it does not")
    filters: tuple = widths((32, 64, 128, 128), "channels on the generator's way down, each half as large as the last")
    patch_filters: tuple = widths((32, 64), "channels of the discriminator's strided convolutions")
    slope: float = fraction(0.2, "LeakyReLU's slope below zero")
    momentum: float = fraction(0.8, "weight of the old value in the batch norms' running statistics")
    stddev: float = positive(0.02, "standard deviation of all first weights")
    dropout: float = fraction(
        0.5, "share of activations set to zero in the two lowest stages of the way up, in training"
    )


class Translate(OfPictures):
    """Image-to-image translation: pix2pix, Isola et al. 2017, arXiv:1611.07004, on 32 × 32 pixels.

    Generator: a U-Net. Strided convolutions halve the picture until 2 × 2 pixels are left; transposed ones double it,
    and each stage of the way up reads the stage of its size on the way down beside what comes from below (`Skip`).
    Discriminator: of an input and a picture, as channels beside each other, it says of each patch whether it is real.
    The noise is one more channel beside the input. (The authors leave it out, as their generator took no notice of it,
    and have dropout at test time in its place; here, as everywhere, dropout rests then.)
    """

    name = "translate"
    title = (
        "a picture from another: pix2pix, digits from outlines or (--set pairs=emoji) colours from grey, 2,000 steps"
    )
    settings = TranslateSettings()
    condition = "image"
    size = 32
    look_every = 10
    sample_count = 24
    snapshot_count = 8
    quality_count = 200
    gradient_check: ClassVar = {
        "rows": 2,
        "noise": 0.1,
        "coordinates": 2,
        "directions": 1,
        "settings": {"filters": (2, 3, 2), "patch_filters": (2,), "stddev": 0.3},
    }

    def shape(self, s: Any) -> Shape:
        """The shape of a picture under settings `s`."""
        return (3 if s.pairs == "emoji" else 1, self.size, self.size)

    def load(self, source: FileName | None, s: Any) -> tuple[Any, Any]:
        """(training, held-out) pairs."""
        if s.pairs == "outlines":
            return load_outline_pairs_split(source)
        if source is not None:
            raise SettingError(f"the emoji of {self.name} ship with numgan and take no --data, got {source!r}")
        return load_emoji_pairs_split(self.size)

    def build(self, s: Any, rng: Rng, dtype: DType) -> GAN:
        """The GAN for settings `s`, its weights drawn from `rng`."""
        image, (channels, *size) = (1, self.size, self.size), self.shape(s)
        if self.size % STRIDE ** len(s.filters):
            raise SettingError(
                f"{len(s.filters)} filters halve a picture of {self.size} pixels too often, at most 5 do"
            )
        how = convolutions(s)
        net = [Join("image", image), Conv2D(s.filters[0], **how), *self._stages(s, s.filters, how)]
        net += [ReLU(), Conv2DTranspose(channels, **how), Tanh()]
        generator = Sequential(net, image, rng, dtype, name="generator")
        judge = [Join("image", image)]
        for filters in s.patch_filters:
            judge += [Conv2D(filters, **how), LeakyReLU(s.slope)]
        judge = s.normed([*judge, Conv2D(1, **(how | {"strides": 1}))])
        shape = (channels, *size)
        discriminator = Sequential([*judge, *s.game().closing()], shape, rng, dtype, name="discriminator")
        return s.gan(generator, discriminator, {"image": Picture(image)}, l1_weight=s.l1_weight or None)

    def _stages(self, s, filters, how):
        """The U-Net between the first convolution down and the last one up: nothing, or a `Skip` around the rest."""
        here, *below = filters
        if not below:
            return []
        lowest = len(below) < 3
        down = [LeakyReLU(s.slope), Conv2D(below[0], **how), *([BatchNorm(s.momentum)] if len(below) > 1 else [])]
        up = [ReLU(), Conv2DTranspose(here, **how), BatchNorm(s.momentum)]
        rest = [Dropout(s.dropout)] if s.dropout and lowest else []
        return [Skip([*down, *self._stages(s, below, how), *up, *rest])]

    def asked(self, n: int, held_out: Any, rng: Rng) -> Asked:
        """Held-out inputs at equal distances, whatever order they lie in."""
        rows = (np.arange(n) * len(held_out) // n) % len(held_out)
        real, image = (np.empty((n, *shape), np.float32) for shape in (held_out.shape, held_out.conditions["image"]))
        held_out.take(rows, real, image)
        return Asked({"image": image}, rows, real)

    def read_condition(self, text: str, s: Any) -> Any:
        return to_unit_range(load_grey_picture(text, self.size))

    def picture(self, samples: Array, gan: GAN, title: str, path: FileName, rng: Rng, asked: Asked) -> None:
        image = np.broadcast_to(asked.conditions["image"], (len(samples), *gan.conditions["image"].shape))
        rows = {"input": image, "generated": samples} | ({} if asked.real is None else {"target": asked.real})
        plots.image_rows({name: to_pixels(pictures) for name, pictures in rows.items()}, title, path)

    def evaluation_count(self, training: Any, held_out: Any) -> int:
        """How many samples to evaluate unless told: one for each held-out pair."""
        return min(1_000, len(held_out))

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The `Evaluation` of pictures made from held-out inputs, beside their targets and beside the inputs."""
        return translations.evaluate_translations(samples, held_out, asked.rows)


@dataclass(frozen=True)
class CaptionsSettings(DcganSettings):
    steps: int = positive_int(12_000, "training steps")
    snapshot_every: int = positive_int(600, "steps between two summaries and moments of evolution.png")
    latent_dim: int = positive_int(64, "noise values per picture")
    filters: tuple = widths(
        (32, 64, 128), "channels of the discriminator's convolutions; the generator's are the reverse"
    )
    word_features: int = positive_int(16, "numbers that stand for a word")
    text_filters: int = positive_int(32, "channels of the convolution over words")
    text_features: int = positive_int(64, "numbers that stand for a caption")
    matching_aware: str = choice("yes", "whether real pictures of wrong captions count as fakes", ("yes", "no"))
    dropout: float = fraction(0.0, "share of the discriminator's activations set to zero while it learns")
    average: float = fraction(0.999, "d: samples are of the generator's weights averaged with this decay; 0: none")


class Captions(Dcgan):
    """Pictures of what a text says, after Reed et al. 2016, arXiv:1605.05396: scenes of coloured digits.

    Either network reads the caption by an encoder of its own: a vector for each word, a convolution over neighbouring
    words, a dense layer. The generator has the code beside its noise; the discriminator, repeated over all positions,
    beside the last of its convolutions, and one more convolution, of one pixel, brings the two together. (The authors
    have a text encoder trained before, on captions alone, which both networks share.)
    """

    name = "captions"
    title = "scenes of coloured digits as a caption describes them, 32 × 32: a DCGAN that reads, 12,000 steps"
    settings = CaptionsSettings()
    condition = "text"
    sample_count = 80
    gradient_check: ClassVar = {
        "rows": 2,
        "noise": 0.1,
        "coordinates": 2,
        "directions": 1,
        "settings": {
            "filters": (2, 3, 4), "latent_dim": 3, "word_features": 3, "text_filters": 3, "text_features": 4,
            "stddev": 0.3,
        },
    }  # fmt: skip
    each = 8  # samples of one caption in a picture, a caption a row

    def shape(self, s: Any) -> Shape:
        return Scenes.shape

    def load(self, source: FileName | None, s: Any) -> tuple[Any, Any]:
        """(training, held-out) scenes: of other digits, and some combinations are held out altogether."""
        return load_scenes_split(source)

    def generator(self, s: Any, how: Config) -> list[Layer]:
        return [Join("text", LENGTH, reader(s)), *super().generator(s, how)]

    def discriminator(self, s: Any, how: Config) -> list[Layer]:
        *shrink, flatten, last = super().discriminator(s, how)
        _, height, width = self.smallest(s)
        everywhere = [*reader(s), Reshape((s.text_features, 1, 1)), UpSampling2D((height, width))]
        together = [Conv2D(s.filters[-1], 1, initializer=how["initializer"]), LeakyReLU(s.slope)]
        return [*shrink, Join("text", LENGTH, everywhere), *together, flatten, last]

    def build(self, s: Any, rng: Rng, dtype: DType) -> GAN:
        how = {"conditions": {"text": Text(WORDS, LENGTH)}, "matching_aware": s.matching_aware == "yes"}
        return s.gan(*self.networks(s, rng, dtype), **how)

    def asked(self, n: int, held_out: Any, rng: Rng) -> Asked:
        """Captions of held-out scenes, some of what training never shows."""
        text = np.empty((n, LENGTH), np.float32)
        held_out.sample(n, rng, np.empty((n, *Scenes.shape), np.float32), text)
        return Asked({"text": text})

    def pictured(self, n: int, held_out: Any, rng: Rng) -> Asked:
        text = self.asked(-(-n // self.each), held_out, rng).conditions["text"]
        return Asked({"text": np.repeat(text, self.each, axis=0)[:n]})

    def read_condition(self, text: str, s: Any) -> Any:
        return encode(text)

    def picture(self, samples: Array, gan: GAN, title: str, path: FileName, rng: Rng, asked: Asked) -> None:
        text = np.broadcast_to(asked.conditions["text"], (len(samples), LENGTH))
        captions = [decode(row[0]) for row in _cut(text, self.each)]
        captions = [f"{c}*" if any(map(is_unseen, parse(c))) else c for c in captions]
        note = "\n* a digit in a colour that training never shows it in" if any(c[-1] == "*" for c in captions) else ""
        plots.captioned_rows(to_pixels(samples), captions, self.each, title + note, path)

    def evaluation_count(self, training: Any, held_out: Any) -> int:
        """How many samples to evaluate unless told."""
        return 2_000

    def evaluate(self, samples: Array, gan: GAN, training: Any, held_out: Any, rng: Rng, asked: Asked) -> Evaluation:
        """The `Evaluation` of generated scenes by the captions that they were asked for by."""
        return scenes.evaluate_scenes(samples, asked.conditions["text"], held_out, rng)


def _cut(values, length):
    """Pieces of so many."""
    return [values[start : start + length] for start in range(0, len(values), length)]


def reader(s: Any) -> list[Layer]:
    """What makes a caption's code of its words."""
    words = [Embedding(len(WORDS), s.word_features), Conv2D(s.text_filters, (1, 3), padding="same"), LeakyReLU(s.slope)]
    return [*words, Flatten(), Dense(s.text_features), LeakyReLU(s.slope)]
