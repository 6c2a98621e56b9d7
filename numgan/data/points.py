"""Points of the plane: on the sine curve, and about eight centres on a circle."""

from __future__ import annotations

import numpy as np

from numgan.errors import ArgumentError, generator, shown, whole
from numgan.hints import Array, Rng

from .images import Draws


class SinePoints:
    """Draws (t, sin t), t ~ N(0, 1); a fresh sample every time, so there is no last epoch.

    >>> points = np.empty((1000, 2))
    >>> SinePoints().sample(1000, rng, points)
    >>> np.allclose(points[:, 1], np.sin(points[:, 0]))
    True
    """

    shape = (2,)
    source = "points (t, sin t), t standard normal"

    def __init__(self) -> None:
        self._t = np.empty(0, np.float32)  # scratch, because standard_normal fills only contiguous arrays

    def sample(self, n: int, rng: Rng, out: Array) -> None:
        """Fill `out` (n, 2), float32 or float64, with n random points."""
        n, rng = whole("SinePoints.sample: n", n), generator("SinePoints.sample: rng", rng)
        _check_points("SinePoints", n, out)
        if self._t.shape != (n,) or self._t.dtype != out.dtype:
            self._t = np.empty(n, out.dtype)
        rng.standard_normal(out=self._t, dtype=out.dtype)
        out[:, 0] = self._t
        np.sin(self._t, out=out[:, 1])  # of a strided view it takes thirty times as long


class RingPoints:
    """Draws points of a mixture of eight normal distributions, equally likely, their means at equal distances on a
    circle: Metz, Poole, Pfau & Sohl-Dickstein 2017, Unrolled Generative Adversarial Networks, arXiv:1611.02163.

    centres    float64 (8, 2): the means, from (2, 0) on anticlockwise.
    deviation  0.02, the standard deviation of either coordinate about them.

    A fresh sample every time, so there is no last epoch.

    >>> ring, points = RingPoints(), np.empty((1000, 2))
    >>> ring.sample(1000, rng, points)
    >>> bool(np.abs(np.linalg.norm(points, axis=1) - 2).max() < 0.1)
    True
    """

    shape = (2,)
    deviation = 0.02
    centres = 2 * np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)
    source = "points about eight centres on a circle of radius 2, standard deviation 0.02"

    def __init__(self) -> None:
        self._draws, self._points = Draws(), np.empty(0, np.float32)  # scratch, as of SinePoints

    def sample(self, n: int, rng: Rng, out: Array) -> None:
        """Fill `out` (n, 2), float32 or float64, with n random points."""
        n, rng = whole("RingPoints.sample: n", n), generator("RingPoints.sample: rng", rng)
        _check_points("RingPoints", n, out)
        if self._points.shape != (n, 2) or self._points.dtype != out.dtype:
            self._points, self._centres = np.empty((n, 2), out.dtype), self.centres.astype(out.dtype)
        rng.standard_normal(out=self._points, dtype=out.dtype)
        self._points *= self.deviation
        # mode="clip" because the default mode buffers `out` in order to check the indices
        np.take(self._centres, self._draws.below(len(self.centres), n, rng), axis=0, out=out, mode="clip")
        out += self._points


def _check_points(name, n, out):
    if not isinstance(out, np.ndarray) or out.shape != (n, 2) or out.dtype not in (np.float32, np.float64):
        raise ArgumentError(f"{name}: out must be a float32 or float64 array {(n, 2)}, got {shown(out)}")
    if not out.flags.writeable:
        raise ArgumentError(f"{name}: out must be an array to write to, got a read-only one")
