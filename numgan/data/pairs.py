"""Pairs of pictures, one to be made from the other: the data of image-to-image translation, pix2pix (Isola, Zhu, Zhou &
Efros, Image-to-Image Translation with Conditional Adversarial Networks, 2017, arXiv:1611.07004).

Digits from their outlines, and coloured emoji from grey ones: in both the input leaves open much of what is to be made.
"""

from __future__ import annotations

import numpy as np

from numgan.errors import flag, generator, instance, whole
from numgan.hints import Array, FileName, Rng, Shape

from .emoji import load_emoji_split
from .idx import SIDE, DataError
from .images import Draws, Images, check_batch
from .mnist import load_mnist_split

CANVAS = 32  # pixels on each side of a digit in a pair: halved five times, it is one pixel
INK = 128  # a pixel from here up is ink to an outline
LUMA = (299, 587, 114)  # thousandths of red, green and blue, ITU-R BT.601


class Pairs:
    """Pictures, each with the picture that it is to be made from: the condition "image".

    targets: Images (N, channels, height, width), what is to be made: the rows.
    inputs: as many Images, of any shape of their own, input i for target i.
    source: a description for people.

    `shape` is that of a target, `conditions` {"image": the shape of an input}, `labels` are those of the targets, or
    None. Raises ArgumentTypeError for what are no Images, DataError unless there are as many of either.

    >>> images = Images(rng.integers(0, 256, (100, 3, 16, 16), dtype=np.uint8))
    >>> grey = Images(images.images.mean(axis=1, keepdims=True).astype(np.uint8))
    >>> pairs = Pairs(targets=images, inputs=grey)
    >>> len(pairs), pairs.shape, pairs.conditions
    (100, (3, 16, 16), {'image': (1, 16, 16)})
    """

    def __init__(self, targets: Images, inputs: Images, source: str = "pairs of pictures") -> None:
        self.targets = instance("Pairs: targets", targets, Images)
        self.inputs = instance("Pairs: inputs", inputs, Images)
        if len(inputs) != len(targets):
            raise DataError(f"Pairs: got {len(inputs):,} inputs for {len(targets):,} targets, expected one for each")
        self.shape: Shape = targets.shape
        self.conditions: dict[str, Shape] = {"image": inputs.shape}
        self.labels = targets.labels
        self.source = source
        self._draws = Draws()

    def __len__(self) -> int:
        """The number of pairs, N."""
        return len(self.targets)

    def sample(self, n: int, rng: Rng, out: Array, image: Array) -> None:
        """Fill `out` with n targets, drawn uniformly with replacement, and `image` with their inputs; both are scaled
        from 0..255 to [-1, 1].

        rng: numpy.random.Generator, asked once for n uniform numbers.
        out, image: float32 or float64 arrays (n, *shape) and (n, *shape of an input), strided views included;
            overwritten.

        Once the largest n has been seen, nothing is allocated. Raises DataError when either array does not fit.
        """
        n, rng = whole("Pairs.sample: n", n), generator("Pairs.sample: rng", rng)
        self._check(n, out, image)
        self._take(self._draws.below(len(self), n, rng), out, image)

    def take(self, index: Array, out: Array, image: Array) -> None:
        """Fill `out` and `image` with the pairs at `index`, n integers from 0 to N − 1, as `sample` does."""
        self._check(len(index), out, image)
        self._take(index, out, image)

    def _check(self, n, out, image):
        check_batch("Pairs", out, (n, *self.shape))
        check_batch("Pairs", image, (n, *self.inputs.shape), "image")

    def _take(self, index, out, image):
        self.targets.take(index, out)
        self.inputs.take(index, image)

    def split(self, every: int = 5) -> tuple[Pairs, Pairs]:
        """(the others, every `every`-th pair): two sets without a pair in common, the same at every call."""
        every = whole("Pairs.split: every", every)
        parts = zip(("training", "held-out"), self.targets.split(every), self.inputs.split(every), strict=True)
        training, held_out = (
            Pairs(targets, inputs, f"{len(targets):,} {name} pairs of {self.source}") for name, targets, inputs in parts
        )
        return training, held_out


def load_outline_pairs_split(source: FileName | None = None) -> tuple[Pairs, Pairs]:
    """(training, held-out) digits (1, 32, 32) to be made from their outlines (1, 32, 32).

    source: as for `load_mnist_split`, which also says what is held out.

    The digits stand in the middle of 32x32 dark pixels; their labels are kept, for judging. See `outlines`.

    >>> training, held_out = load_outline_pairs_split()
    >>> training.shape, training.conditions, len(held_out)
    ((1, 32, 32), {'image': (1, 32, 32)}, 1000)
    """
    training, held_out = (_outlined(digits.as_images()) for digits in load_mnist_split(source))
    return training, held_out


def load_emoji_pairs_split(size: int = 32, flip: bool = True) -> tuple[Pairs, Pairs]:
    """(training, held-out) emoji (3, size, size) to be made from grey ones (1, size, size).

    size: 64, 32 or 16, as for `load_emoji`; every tenth emoji is held out.
    flip: whether the training set also has its pairs mirrored, which doubles it; what is held out never comes back.

    Grey is `luma`.

    >>> training, held_out = load_emoji_pairs_split(16, flip=False)
    >>> training.shape, training.conditions
    ((3, 16, 16), {'image': (1, 16, 16)})
    """
    flip = flag("load_emoji_pairs_split: flip", flip)
    training, held_out = (
        Pairs(emoji, Images(luma(emoji.images)), f"grey and coloured {emoji.source}")
        for emoji in load_emoji_split(size, flip)
    )
    return training, held_out


def outlines(images: Array) -> Array:
    """The outlines of uint8 pictures (..., height, width): 255 where a pixel is no ink but lies beside some, else 0.

    Ink is 128 and above; a pixel lies beside the four above, below, left and right of it. The line thus runs around the
    ink and not on it: strokes of digits are two to four pixels wide, so that two thirds of their ink are its edge.
    """
    ink = np.pad(images >= INK, [(0, 0)] * (images.ndim - 2) + [(1, 1), (1, 1)])
    middle, before, after = slice(1, -1), slice(None, -2), slice(2, None)
    beside = ink[..., before, middle] | ink[..., after, middle] | ink[..., middle, before] | ink[..., middle, after]
    return np.where(beside & ~ink[..., middle, middle], np.uint8(255), np.uint8(0))


def luma(images: Array) -> Array:
    """The grey (n, 1, height, width) of uint8 pictures (n, 3, height, width): 0.299 R + 0.587 G + 0.114 B, rounded.

    The weights are those of ITU-R BT.601; halves are rounded up.
    """
    grey = np.tensordot(np.array(LUMA, np.uint32), images, axes=(0, 1))
    return ((grey + 500) // 1000).astype(np.uint8)[:, None]


def _outlined(digits):
    margin = (CANVAS - SIDE) // 2
    images = np.pad(digits.images, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    targets = Images(images, digits.labels, digits.source)
    return Pairs(targets, Images(outlines(images)), f"outlines and digits of {digits.source}")
