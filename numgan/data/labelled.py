"""Rows with their labels: the data of a GAN that is told which class to make (Mirza & Osindero, Conditional Generative
Adversarial Nets, 2014, arXiv:1411.1784).
"""

from __future__ import annotations

import numpy as np

from numgan.errors import ArgumentTypeError, generator, shown, whole
from numgan.hints import Array, Rng, Shape

from .idx import DataError
from .images import ByteRows, Draws, Scratch, check_batch


class Labelled:
    """Digits or pictures, each with the number of its class: the condition "label".

    rows: Digits or Images (N, *shape) with labels; kept as `rows`.

    `shape` is that of a row, `conditions` {"label": (1,)}, `labels` the uint8 array (N,). Raises ArgumentTypeError for
    other objects, DataError for rows without labels.

    >>> data = Labelled(load_mnist())
    >>> rows, label = np.empty((5, 784)), np.empty((5, 1))
    >>> data.take(np.array([0, 1, 2, 4998, 4999]), rows, label=label)
    >>> label.ravel().tolist()
    [0.0, 0.0, 0.0, 9.0, 9.0]
    """

    def __init__(self, rows: ByteRows) -> None:
        if not isinstance(rows, ByteRows):
            raise ArgumentTypeError(f"Labelled: rows must be Digits or Images, got {shown(rows)}")
        if rows.labels is None:
            raise DataError(f"Labelled: {rows.source} have no labels, expected one for each")
        self.rows, self.labels = rows, rows.labels
        self.shape: Shape = rows.shape
        self.conditions: dict[str, Shape] = {"label": (1,)}
        self.source = rows.source
        self._scratch, self._draws = Scratch(()), Draws()

    def __len__(self) -> int:
        """The number of rows, N."""
        return len(self.rows)

    def sample(self, n: int, rng: Rng, out: Array, label: Array) -> None:
        """Fill `out` with n rows, drawn uniformly with replacement and scaled from 0..255 to [-1, 1], and `label` with
        the numbers of their classes.

        rng: numpy.random.Generator, asked once for n uniform numbers.
        out, label: float32 or float64 arrays (n, *shape) and (n, 1), strided views included; overwritten.

        Once the largest n has been seen, nothing is allocated. Raises DataError when either array does not fit.
        """
        n, rng = whole("Labelled.sample: n", n), generator("Labelled.sample: rng", rng)
        self._check(n, out, label)
        self._take(self._draws.below(len(self), n, rng), out, label)

    def take(self, index: Array, out: Array, label: Array) -> None:
        """Fill `out` and `label` with the rows at `index`, n integers from 0 to N − 1, as `sample` does."""
        self._check(len(index), out, label)
        self._take(index, out, label)

    def _check(self, n, out, label):
        check_batch("Labelled", out, (n, *self.shape))
        check_batch("Labelled", label, (n, 1), "label")

    def _take(self, index, out, label):
        self.rows.take(index, out)
        stage = self._scratch.rows(len(index), np.dtype(np.uint8))
        # mode="clip" because the default mode buffers `out` in order to check the indices
        np.take(self.labels, index, out=stage, mode="clip")
        np.copyto(label[:, 0], stage)
