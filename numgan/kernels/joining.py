"""Joining: the one sum that a skip connection needs on its way back.

y = [f(x); x] (the front made from x, the rear x itself), so that L depends on x twice. With dy = [d_front; d_rear]:

    ∂L/∂x = d_rear + (∂f/∂x)ᵀ·d_front,

the multivariable chain rule, [GBC] section 6.5.2. d_rear stands in the buffer of dx already, as x stands in the rear of
y; the layers of f have carried the other term to a buffer of their own. Forward, nothing is to be done.
"""

import numpy as np


def copy_front(f, out):
    """out = f, (…, n, N) both: what could not be made where it is to stand."""
    np.copyto(out, f)


def add_share(share, out):
    """out += share, (…, N) both: out is ∂L/∂x, in it what came to the rear of y; share what came down through f."""
    np.add(out, share, out=out)
