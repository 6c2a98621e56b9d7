"""An array of rows as a data source."""

from __future__ import annotations

import numpy as np

from numgan.errors import ArgumentError, generator, real_array, whole
from numgan.hints import Array, Numbers, Rng


class Rows:
    """An array of real rows (n, *shape) as a data source: points (n, features), images (n, channels, height, width)."""

    def __init__(self, rows: Numbers) -> None:
        self.rows = real_array("real data", rows)
        if self.rows.ndim < 2 or self.rows.size == 0:
            raise ArgumentError(
                "real data must be numbers of shape (rows, features) or (rows, channels, height, width), one row at "
                f"least, got {self.rows.dtype} {self.rows.shape}"
            )
        self.shape = self.rows.shape[1:]

    def sample(self, n: int, rng: Rng, out: Array) -> None:
        """Fill `out` with n rows drawn uniformly with replacement."""
        n, rng = whole("Rows.sample: n", n), generator("Rows.sample: rng", rng)
        self.take(rng.integers(0, len(self.rows), n), out)

    def take(self, index: Array, out: Array) -> None:
        """Fill `out` with the rows at `index`."""
        if not isinstance(out, np.ndarray) or out.shape != (len(index), *self.shape):
            raise ArgumentError(f"Rows: out must be an array of shape {(len(index), *self.shape)}, got {np.shape(out)}")
        out[...] = self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)
