"""Stacked MNIST, the field's test of how many modes a GAN finds: three random digits as the colours of one picture.

With ten classes of digits there are 1,000 modes, and which of them a sample belongs to can be read off it, colour by
colour, by a classifier of single digits.
"""

from __future__ import annotations

import numpy as np

from numgan.errors import generator, instance, whole
from numgan.hints import Array, FileName, Rng

from .idx import SIDE, DataError
from .images import Draws, Scratch, check_batch, deliver
from .mnist import Digits, load_mnist_split

CLASSES = 10


class StackedDigits:
    """Draws pictures (3, 28, 28) whose red, green and blue are three digits, drawn independently and uniformly.

    digits: the Digits to draw from; kept as `digits`.

    Combinations are drawn afresh every time, so there is no last epoch. The mode of a picture with the digits r, g
    and b is 100 r + 10 g + b: the number that one reads from red to blue. Raises ArgumentTypeError for anything but
    Digits.

    >>> stacks, picture = StackedDigits(load_mnist()), np.empty((1, 3, 28, 28))
    >>> stacks.sample(1, rng, picture)
    >>> stacks.shape, bool(np.abs(picture).max() <= 1)
    ((3, 28, 28), True)
    """

    shape = (3, SIDE, SIDE)

    def __init__(self, digits: Digits) -> None:
        self.digits = instance("StackedDigits: digits", digits, Digits)
        self.source = f"triples as red, green and blue of {digits.source}"
        self._scratch, self._draws = Scratch(self.shape), Draws()

    def sample(self, n: int, rng: Rng, out: Array) -> None:
        """Fill `out` with n pictures, scaled from 0..255 to [-1, 1].

        rng: numpy.random.Generator, asked once for 3 n uniform numbers: red, green and blue of the first, and so on.
        out: float32 or float64 array (n, 3, 28, 28), strided views included; overwritten.

        Once the largest n has been seen, nothing is allocated. Raises DataError when `out` does not fit.
        """
        n, rng = whole("StackedDigits.sample: n", n), generator("StackedDigits.sample: rng", rng)
        check_batch("StackedDigits.sample", out, (n, *self.shape))
        self._fill(self._draw(n, rng), out)

    def labelled(self, n: int, rng: Rng) -> tuple[Array, Array]:
        """(images, modes) for evaluation: float32 (n, 3, 28, 28), as `sample` draws them, and integers (n,) 0 to 999.

        Raises DataError when the digits have no labels.
        """
        n, rng = whole("StackedDigits.labelled: n", n), generator("StackedDigits.labelled: rng", rng)
        labels = self._labels("labelled")
        images, index = np.empty((n, *self.shape), np.float32), self._draw(n, rng)
        self._fill(index, images)
        return images, labels[index].astype(np.int64).reshape(n, 3) @ [CLASSES**2, CLASSES, 1]

    def mode_probabilities(self) -> Array:
        """The exact probability of each mode, float64 (1000,), by the digits' label counts.

        Raises DataError when the digits have no labels.
        """
        shares = np.bincount(self._labels("mode_probabilities"), minlength=CLASSES) / len(self.digits)
        return np.einsum("r,g,b->rgb", shares, shares, shares).ravel()

    def _draw(self, n, rng):
        """3 n indices of digits, the three of a picture side by side."""
        return self._draws.below(len(self.digits), 3 * n, rng)

    def _fill(self, index, out):
        stage = self._scratch.rows(len(out), np.dtype(np.uint8))
        # mode="clip" because the default mode buffers `out` in order to check the indices
        np.take(self.digits.images, index, axis=0, out=stage.reshape(-1, SIDE * SIDE), mode="clip")
        deliver(stage, out, self._scratch)

    def _labels(self, method):
        labels = self.digits.labels
        if labels is None:
            raise DataError(f"StackedDigits.{method}: {self.digits.source} have no labels, expected one for each")
        if labels.max() >= CLASSES:
            raise DataError(f"StackedDigits.{method}: the digits have a label {labels.max()}, expected 0 to 9")
        return labels


def load_stacked_split(source: FileName | None = None) -> tuple[StackedDigits, StackedDigits]:
    """(training, held-out) stacks of the digits of `load_mnist_split(source)`: no digit is in both.

    >>> training, held_out = load_stacked_split()
    >>> training.shape
    (3, 28, 28)
    """
    training, held_out = load_mnist_split(source)
    return StackedDigits(training), StackedDigits(held_out)
