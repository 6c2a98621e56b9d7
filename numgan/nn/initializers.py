"""How weights and biases start: functions (rng, shape, fan_in, fan_out, dtype) -> array of that shape, looked up by
name or made to measure. fan_in is how many inputs an output sums up, fan_out how many outputs an input reaches.

Sources: Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, eq. 16
(Glorot); He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852, eq. 10 (He). Uniform forms have the same
variance: U(−a, a) has variance a²/3. Keras's *_normal truncates at two standard deviations; these, like
PyTorch's, do not.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from numgan.errors import ArgumentError, positive, real_array, shown
from numgan.hints import Array, DType, Initializer, Rng, Shape


def normal(stddev: float) -> Initializer:
    """Normal with mean 0 and the given standard deviation; Keras's RandomNormal. `stddev` must be positive.

    >>> network = Sequential([Dense(100, initializer=normal(0.02))], 100, rng)
    >>> round(float(network.parameters()["dense_1.weight"].std()), 3)
    0.02
    """
    return partial(_normal, positive("normal(stddev)", stddev))  # which can be pickled, other than a function in here


def _normal(stddev, rng, shape, fan_in, fan_out, dtype):
    return (stddev * _drawn(rng.standard_normal, shape)).astype(dtype)


def _drawn(draw, shape):
    """An array of that shape, drawn with its axes in reverse order: a dense layer's weights input by input. So a seed
    gives the network that it gave when weights were kept that way.
    """
    return draw(size=shape[::-1]).T


def _uniform(rng, limit, shape, dtype):
    return _drawn(lambda size: rng.uniform(-limit, limit, size), shape).astype(dtype)


def glorot_uniform(rng: Rng, shape: Shape, fan_in: int, fan_out: int, dtype: DType) -> Array:
    """U(−a, a) with a = √(6/(fan_in + fan_out)): variance 2/(fan_in + fan_out). The default, as in Keras."""
    return _uniform(rng, math.sqrt(6 / (fan_in + fan_out)), shape, dtype)


def glorot_normal(rng: Rng, shape: Shape, fan_in: int, fan_out: int, dtype: DType) -> Array:
    """Normal with variance 2/(fan_in + fan_out)."""
    return normal(math.sqrt(2 / (fan_in + fan_out)))(rng, shape, fan_in, fan_out, dtype)


def he_uniform(rng: Rng, shape: Shape, fan_in: int, fan_out: int, dtype: DType) -> Array:
    """U(−a, a) with a = √(6/fan_in): variance 2/fan_in, which keeps a ReLU network's signal level."""
    return _uniform(rng, math.sqrt(6 / fan_in), shape, dtype)


def he_normal(rng: Rng, shape: Shape, fan_in: int, fan_out: int, dtype: DType) -> Array:
    """Normal with variance 2/fan_in."""
    return normal(math.sqrt(2 / fan_in))(rng, shape, fan_in, fan_out, dtype)


def pytorch_uniform(rng: Rng, shape: Shape, fan_in: int, fan_out: int, dtype: DType) -> Array:
    """U(−a, a) with a = 1/√fan_in: variance 1/(3·fan_in). PyTorch's default, for weights and biases alike."""
    return _uniform(rng, 1 / math.sqrt(fan_in), shape, dtype)


def zeros(rng: Rng, shape: Shape, fan_in: int, fan_out: int, dtype: DType) -> Array:
    """All zeros, the default of biases. A layer of zero weights passes no gradient to its input."""
    return np.zeros(shape, dtype)


INITIALIZERS = {f.__name__: f for f in (glorot_uniform, glorot_normal, he_uniform, he_normal, pytorch_uniform, zeros)}


def fill(initializer: Initializer, rng: Rng, array: Array, shape: Shape, fan_in: int, fan_out: int) -> None:
    """Have every replica in `array` (…, *shape) start with what an initializer gives, in order; or an error, unless
    that is an array of the shape, of finite numbers.
    """
    for replica in np.ndindex(array.shape[: array.ndim - len(shape)]):
        drawn = initializer(rng, shape, fan_in, fan_out, array.dtype)
        drawn = real_array("the initializer's weights", drawn, array.dtype)
        if drawn.shape != shape:
            raise ArgumentError(f"the initializer's weights have the shape {drawn.shape}, expected {shape}")
        array[replica] = drawn


def get(initializer: str | Initializer) -> Initializer:
    """The function for a name from INITIALIZERS; a function is returned as it is."""
    if callable(initializer):
        return initializer
    if not isinstance(initializer, str) or initializer not in INITIALIZERS:
        raise ArgumentError(
            f"unknown initializer {shown(initializer)}; expected one of {', '.join(INITIALIZERS)}, or normal(stddev)"
        )
    return INITIALIZERS[initializer]
