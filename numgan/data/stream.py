"""`Stream`: batches of random rows, drawn many at a time.

A draw of 64 points costs as much in Python calls as in arithmetic. A stream fills a block of several batches with
one call and hands them out one by one (9 µs a step for the sine GAN, against 27); a batch of images is a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from numgan.errors import ArgumentError
from numgan.hints import Array, DType, Named, Numbers, Rng, Shape, Source

from .noise import NORMAL, UNIFORM, fill_normal, fill_uniform

BLOCK_VALUES = 32_768  # values per block, at least one batch: 128 KB in float32, which stays in the L2 cache


class Stream:
    """Endless batches; `next()` gives the next one. Borrowed: good until the block is used up.

    refill    function that fills the whole block anew.
    batches   the block as a list of batches.

    Its state is the batches that it has not handed out yet; the random generator behind it has its own.

    >>> block = np.empty((4, 2))
    >>> def refill():
    ...     block[:] = rng.normal(size=block.shape)
    >>> stream = Stream(refill, [block[:2], block[2:]])
    >>> stream.next().shape
    (2, 2)
    """

    def __init__(self, refill: Callable[[], None], batches: list[Array]) -> None:
        self._refill, self._batches = refill, batches
        self._next = len(batches)

    def next(self) -> Array:
        """The next batch, which is good until the block is used up."""
        if self._next == len(self._batches):
            self._refill()
            self._next = 0
        self._next += 1
        return self._batches[self._next - 1]

    def state_dict(self) -> Named:
        """left: the batches still to come, (k, *batch)."""
        left = self._batches[self._next :]
        return {"left": np.array(left) if left else np.empty((0, *self._batches[0].shape), self._batches[0].dtype)}

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Raise ValueError unless `arrays` has `left`, batches of this stream's shape, no more than its block holds."""
        left, batch = np.asarray(arrays["left"]) if arrays.keys() == {"left"} else np.empty(0), self._batches[0]
        if (
            left.ndim == 0
            or left.shape[1:] != batch.shape
            or left.dtype != batch.dtype
            or len(left) > len(self._batches)
        ):
            raise ArgumentError(
                f"a stream has up to {len(self._batches)} batches {batch.shape} of {batch.dtype} left, got "
                f"{left.dtype} of shape {left.shape}"
            )

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Have those batches to hand out next."""
        self.check_state_dict(arrays)
        self._next = len(self._batches) - len(arrays["left"])
        for batch, left in zip(self._batches[self._next :], arrays["left"], strict=True):
            batch[...] = left


def _batches_per_block(shape):
    return max(1, BLOCK_VALUES // math.prod(shape))


def noise_stream(rng: Rng, batch: Shape, shape: Shape, dtype: DType, kind: str = NORMAL) -> Stream:
    """Batches (*batch, *shape) of noise, one of NOISES, batch (*replicas, n); samples are columns in their memory.

    >>> stream = noise_stream(rng, (32,), (100,), "float32", kind="uniform")
    >>> batch = stream.next()
    >>> batch.shape, bool(np.abs(batch).max() <= 1)
    ((32, 100), True)
    """
    *lead, n = batch
    count = _batches_per_block((*batch, *shape))
    size = count * math.prod((*batch, *shape))
    flat = np.empty(size + size % 2, dtype)  # normal numbers come in pairs
    temp = np.empty(len(flat) // 2, dtype)
    block = flat[:size].reshape(count, *lead, *shape, n)
    batches = list(np.moveaxis(block, -1, 1 + len(lead)))
    return Stream(lambda: fill_uniform(rng, flat) if kind == UNIFORM else fill_normal(rng, flat, temp), batches)


def uniform_stream(rng: Rng, batch: Shape, dtype: DType) -> Stream:
    """Batches (*replicas, n) of numbers uniform in [0, 1)."""
    block = np.empty((_batches_per_block(batch), *batch), dtype)
    return Stream(lambda: rng.random(out=block, dtype=dtype), list(block))


def data_stream(data: Source, rng: Rng, batch: Shape, dtype: DType) -> Stream:
    """Batches (*batch, *shape) drawn from a data source, an object with a shape and sample(n, rng, out); batch is
    (*replicas, n).

    >>> stream = data_stream(SinePoints(), rng, (32,), "float32")
    >>> stream.next().shape
    (32, 2)
    """
    block = np.empty((_batches_per_block((*batch, *data.shape)), *batch, *data.shape), dtype)
    rows = block.reshape(-1, *data.shape)
    return Stream(lambda: data.sample(len(rows), rng, rows), list(block))


class Shuffled:
    """The rows of a data source in epochs: each row once, in a random order, before any comes again.

    data  a source with a length and take(index, out).
    rng   numpy.random.Generator that draws a new order for every epoch.
    """

    def __init__(self, data: Any, rng: Rng) -> None:
        self._data, self._rng, self._order = data, rng, np.arange(0)

    def take(self, out: Array) -> None:
        """Fill `out` (n, *shape) with the next n rows. Whoever asks for what is left of an epoch last gets that."""
        if len(self._order) == 0:
            self._order = self._rng.permutation(len(self._data))
        index, self._order = self._order[: len(out)], self._order[len(out) :]
        self._data.take(index, out)

    def state_dict(self) -> Named:
        """order: the rows of this epoch still to come; it is never written again, only replaced."""
        return {"order": self._order}

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Raise ValueError unless `arrays` has `order`, rows of the data, each once at most."""
        order, rows = np.asarray(arrays["order"]) if arrays.keys() == {"order"} else np.empty(0), len(self._data)
        if order.ndim != 1 or order.dtype.kind != "i" or len(np.unique(order)) < len(order):
            raise ArgumentError(f"an epoch's order is of different rows, got {order.dtype} of shape {order.shape}")
        if len(order) and not 0 <= order.min() <= order.max() < rows:
            raise ArgumentError(f"an epoch's order goes from row {order.min()} to {order.max()}, the data has {rows}")

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Go on with that order."""
        self.check_state_dict(arrays)
        self._order = np.array(arrays["order"])


def epoch_stream(order: Shuffled | list[Shuffled], shape: Shape, dtype: DType) -> Stream:
    """Batches (n, *shape) in the order of a `Shuffled`; or (R, n, *shape) in the orders of a list of R."""
    if not isinstance(order, list):
        batch = np.empty(shape, dtype)
        return Stream(lambda: order.take(batch), [batch])
    batches = np.empty((len(order), *shape), dtype)

    def refill():
        for own, batch in zip(order, batches, strict=True):
            own.take(batch)

    return Stream(refill, [batches])
