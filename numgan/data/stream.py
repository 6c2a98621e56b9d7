"""`Stream`: batches of random rows, drawn many at a time.

A draw of 64 points costs as much in Python calls as in arithmetic. A stream fills a block of several batches with
one call and hands them out one by one (9 µs a step for the sine GAN, against 27); a batch of images is a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from numgan.errors import ArgumentError, whole
from numgan.hints import Array, DType, Named, Numbers, Rng, Shape, Source

from .noise import NORMAL, UNIFORM, fill_normal, fill_uniform, fill_unit, fill_unit_by_bits

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

    @property
    def size(self) -> int:
        """How many numbers a batch has."""
        return self._batches[0].size

    @property
    def left(self) -> list[Array]:
        """The batches still to come."""
        return self._batches[self._next :]

    def state_dict(self) -> Named:
        """left: the batches still to come, (k, *batch)."""
        left = self.left
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
        self.hand_out(arrays["left"])

    def hand_out(self, batches: Sequence[Array]) -> None:
        """Have these batches to hand out next, no more than a block holds."""
        self._next = len(self._batches) - len(batches)
        for own, batch in zip(self.left, batches, strict=True):
            own[...] = batch


class StreamApart(Stream):
    """Endless batches for R replicas, each drawn from a random generator of its own: of every one just what a `Stream`
    from that generator would give, and asked for at the same moments.

    rngs     the R generators.
    fill     fill(generator, block): draws a block anew.
    blocks   (R, …): the replicas' blocks.
    batches  views of all of them, in the order in which they are handed out.

    What is left of a block is kept as the state that its generator was drawn from, not as numbers: R blocks would be
    many to copy at every look. See `mark`.
    """

    def __init__(
        self, rngs: list[Rng], fill: Callable[[Rng, Array], None], blocks: Array, batches: list[Array]
    ) -> None:
        super().__init__(self._draw, batches)
        self._rngs, self._fill, self._blocks = rngs, fill, blocks
        self._begun: list[Any] = [None] * len(rngs)

    def _draw(self):
        for r, rng in enumerate(self._rngs):
            self._begun[r] = rng.bit_generator.state
            self._fill(rng, self._blocks[r])

    def mark(self, r: int) -> list[Any]:
        """[batches handed out, the state of replica r's generator before the block that they are of was drawn]; no
        state where nothing is left.
        """
        left = self._next < len(self._batches)
        return [self._next, self._begun[r] if left else None]

    def go_on(self, r: int, mark: list[Any]) -> None:
        """Have replica r's block as it was at a `mark`; all replicas have to be put to the same count. An error unless
        it can be one of this stream.
        """
        (count, state), most = mark, len(self._batches)
        self._next = whole("a stream: the batches that it has handed out", count, 1, f"from 1 to {most}", most)
        if (state is None) == (self._next < most):
            raise ArgumentError(
                f"a stream that has handed out {count} of {most} batches must say where it began, or not"
            )
        self._begun[r] = state
        if state is not None:
            bits = type(self._rngs[r].bit_generator)()
            bits.state = state
            self._fill(np.random.Generator(bits), self._blocks[r])


def _batches_per_block(shape):
    return max(1, BLOCK_VALUES // math.prod(shape))


def _stream(
    rng: Rng | list[Rng],
    lead: Shape,
    shape: Shape,
    dtype: DType,
    fill: Callable[[Rng, Array], None],
    view: Callable[[Array], Array] = lambda block: block,
) -> Stream:
    """A stream of the batches view(block) (count, …), of blocks of `shape` that fill(rng, block) draws: one for all, or
    with a list of generators one for each of the replicas `lead`.
    """
    if not isinstance(rng, list):
        block = np.empty(shape, dtype)
        return Stream(lambda: fill(rng, block), list(view(block)))
    blocks = np.empty((len(rng), *shape), dtype)
    batches = view(blocks[0])
    if lead:  # the same place of every replica's block
        count, *own = batches.shape
        first, *steps = batches.strides
        batches = as_strided(batches, (count, *lead, *own), (first, blocks.strides[0], *steps))
    return StreamApart(rng, fill, blocks, list(batches))


def _drawn_at_once(rng, batch):
    """(replicas drawn together, samples): with a generator for each replica, none are."""
    *lead, n = batch
    return ([], n) if isinstance(rng, list) else (lead, n)


def noise_stream(rng: Rng | list[Rng], batch: Shape, shape: Shape, dtype: DType, kind: str = NORMAL) -> Stream:
    """Batches (*batch, *shape) of noise, one of NOISES, batch (*replicas, n); samples are columns in their memory.

    rng  a generator for all, or a list of one for each replica; as for the streams below.

    >>> stream = noise_stream(rng, (32,), (100,), "float32", kind="uniform")
    >>> batch = stream.next()
    >>> batch.shape, bool(np.abs(batch).max() <= 1)
    ((32, 100), True)
    """
    lead, n = _drawn_at_once(rng, batch)
    count = _batches_per_block((*lead, n, *shape))
    size = count * math.prod((*lead, n, *shape))
    even = size + size % 2  # normal numbers come in pairs
    temp = np.empty(even // 2, dtype)

    def view(flat):
        return np.moveaxis(flat[:size].reshape(count, *lead, *shape, n), -1, 1 + len(lead))

    # noise takes a sixth of a stack's time, and its steps may take memory for a moment; those of a single GAN take none
    unit = fill_unit_by_bits if isinstance(rng, list) else fill_unit
    fill = fill_uniform if kind == UNIFORM else lambda rng, flat: fill_normal(rng, flat, temp, unit)
    return _stream(rng, batch[:-1], (even,), dtype, fill, view)


def uniform_stream(rng: Rng | list[Rng], batch: Shape, dtype: DType) -> Stream:
    """Batches (*replicas, n) of numbers uniform in [0, 1)."""
    lead, n = _drawn_at_once(rng, batch)
    block = (_batches_per_block((*lead, n)), *lead, n)
    return _stream(rng, batch[:-1], block, dtype, lambda rng, out: rng.random(out=out, dtype=out.dtype))


def data_stream(data: Source, rng: Rng | list[Rng], batch: Shape, dtype: DType) -> Stream:
    """Batches (*batch, *shape) drawn from a data source, an object with a shape and sample(n, rng, out); batch is
    (*replicas, n).

    >>> stream = data_stream(SinePoints(), rng, (32,), "float32")
    >>> stream.next().shape
    (32, 2)
    """
    lead, n = _drawn_at_once(rng, batch)
    block = (_batches_per_block((*lead, n, *data.shape)), *lead, n, *data.shape)

    def fill(rng, out):
        rows = out.reshape(-1, *data.shape)
        data.sample(len(rows), rng, rows)

    return _stream(rng, batch[:-1], block, dtype, fill)


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
