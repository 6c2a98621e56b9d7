"""How weights start: functions (rng, n_in, n_out, dtype) -> array (n_in, n_out), looked up by name or made to measure.

Sources: Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, eq. 16
(Glorot); He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852, eq. 10 (He). Uniform forms have the same
variance: U(−a, a) has variance a²/3. Keras's *_normal truncates at two standard deviations; these, like
PyTorch's, do not.
"""

import math

import numpy as np


def normal(stddev):
    """Normal with mean 0 and the given standard deviation; Keras's RandomNormal. `stddev` must be positive."""
    if not (isinstance(stddev, (int, float)) and 0 < stddev < math.inf):
        raise ValueError(f"normal(stddev) expects a positive finite number, got {stddev!r}")

    def initialize(rng, n_in, n_out, dtype):
        return (stddev * rng.standard_normal((n_in, n_out))).astype(dtype)

    return initialize


def _uniform(rng, limit, shape, dtype):
    return rng.uniform(-limit, limit, shape).astype(dtype)


def glorot_uniform(rng, n_in, n_out, dtype):
    """U(−a, a) with a = √(6/(n_in + n_out)): variance 2/(n_in + n_out). The default, as in Keras."""
    return _uniform(rng, math.sqrt(6 / (n_in + n_out)), (n_in, n_out), dtype)


def glorot_normal(rng, n_in, n_out, dtype):
    """Normal with variance 2/(n_in + n_out)."""
    return normal(math.sqrt(2 / (n_in + n_out)))(rng, n_in, n_out, dtype)


def he_uniform(rng, n_in, n_out, dtype):
    """U(−a, a) with a = √(6/n_in): variance 2/n_in, which keeps a ReLU network's signal level."""
    return _uniform(rng, math.sqrt(6 / n_in), (n_in, n_out), dtype)


def he_normal(rng, n_in, n_out, dtype):
    """Normal with variance 2/n_in."""
    return normal(math.sqrt(2 / n_in))(rng, n_in, n_out, dtype)


def zeros(rng, n_in, n_out, dtype):
    """All zeros. A layer of zero weights passes no gradient to its input: for output layers and tests."""
    return np.zeros((n_in, n_out), dtype)


INITIALIZERS = {f.__name__: f for f in (glorot_uniform, glorot_normal, he_uniform, he_normal, zeros)}


def get(initializer):
    """The function for a name from INITIALIZERS; a function is returned as it is."""
    if callable(initializer):
        return initializer
    if initializer not in INITIALIZERS:
        raise ValueError(
            f"unknown initializer {initializer!r}; expected one of {', '.join(INITIALIZERS)}, or normal(stddev)"
        )
    return INITIALIZERS[initializer]
