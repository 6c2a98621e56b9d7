"""Points on the sine curve, the real data of the sine GAN: (t, sin t) with t standard normal."""

from __future__ import annotations

import numpy as np

from numgan.errors import ArgumentError, generator, shown, whole
from numgan.hints import Array, Rng


class SinePoints:
    """Draws (t, sin t), t ~ N(0, 1); a fresh sample every time, so there is no last epoch."""

    shape = (2,)
    source = "points (t, sin t), t standard normal"

    def __init__(self) -> None:
        self._t = np.empty(0, np.float32)  # scratch, because standard_normal fills only contiguous arrays

    def sample(self, n: int, rng: Rng, out: Array) -> None:
        """Fill `out` (n, 2), float32 or float64, with n random points."""
        n, rng = whole("SinePoints.sample: n", n), generator("SinePoints.sample: rng", rng)
        if not isinstance(out, np.ndarray) or out.shape != (n, 2) or out.dtype not in (np.float32, np.float64):
            raise ArgumentError(f"SinePoints: out must be a float32 or float64 array {(n, 2)}, got {shown(out)}")
        if not out.flags.writeable:
            raise ArgumentError("SinePoints: out must be an array to write to, got a read-only one")
        if self._t.shape != (n,) or self._t.dtype != out.dtype:
            self._t = np.empty(n, out.dtype)
        rng.standard_normal(out=self._t, dtype=out.dtype)
        out[:, 0] = self._t
        np.sin(out[:, 0], out=out[:, 1])
