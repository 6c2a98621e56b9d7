"""An array of rows as a data source."""

import numpy as np


class Rows:
    """An array of real rows (n, features) as a data source."""

    def __init__(self, rows):
        self.rows = np.asarray(rows)
        if self.rows.ndim != 2 or len(self.rows) == 0 or self.rows.dtype.kind not in "fiu":
            raise ValueError(
                "real data must be numbers of shape (rows, features), one row at least, "
                f"got {self.rows.dtype} {self.rows.shape}"
            )
        self.features = self.rows.shape[1]

    def sample(self, n, rng, out):
        """Fill `out` with n rows drawn uniformly with replacement."""
        self.take(rng.integers(0, len(self.rows), n), out)

    def take(self, index, out):
        """Fill `out` with the rows at `index`."""
        out[...] = self.rows[index]

    def __len__(self):
        return len(self.rows)
