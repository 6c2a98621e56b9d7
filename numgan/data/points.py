"""Points on the sine curve, the real data of the sine GAN: (t, sin t) with t standard normal."""

import numpy as np


class SinePoints:
    """Draws (t, sin t), t ~ N(0, 1); a fresh sample every time, so there is no last epoch."""

    features = 2
    source = "points (t, sin t), t standard normal"

    def sample(self, n, rng, out):
        """Fill `out` (n, 2), float32 or float64, with n random points."""
        out[:, 0] = rng.standard_normal(n, dtype=out.dtype)
        np.sin(out[:, 0], out=out[:, 1])
