"""`Images`, a set of pictures to draw batches from, and the scaling between bytes and [-1, 1].

A set stays in memory as bytes, a quarter of what float32 would take; only the batch that is asked for is scaled.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from numgan.errors import generator, shown, whole
from numgan.hints import Array, DType, Numbers, Rng, Shape

from .idx import DataError

CHANNELS = (1, 3)  # grey; red, green and blue

Set = TypeVar("Set", bound="ByteRows")
Mirrorable = TypeVar("Mirrorable", bound="Images")

# 0-d arrays rather than Python floats: cheaper per call, and the arithmetic stays in out's dtype.
_MIDDLE = {np.dtype(d): np.array(127.5, d) for d in (np.float32, np.float64)}
_SCALE = {np.dtype(d): np.array(1 / 127.5, d) for d in (np.float32, np.float64)}


class ByteRows:
    """What sets of pictures have in common, whatever the shape of a row: a subclass has a `shape`, and says which.

    images: uint8 array (N, *shape), N >= 1.
    labels: uint8 array (N,), or None.
    source: a description for people.

    Raises DataError when an array has another shape or dtype.
    """

    shape: Shape

    def __init__(self, images: Array, labels: Array | None = None, source: str = "images") -> None:
        rows = len(images) if isinstance(images, np.ndarray) and images.ndim else 0
        self._check("images", images, (rows, *self.shape))
        if rows == 0:
            raise DataError(f"{self._name()} got no images, expected at least one")
        if labels is not None:
            self._check("labels", labels, (rows,))
        # np.take would copy the whole set at every draw if it were not contiguous
        self.images = np.ascontiguousarray(images)
        self.labels = labels
        self.source = source
        self._scratch = Scratch(self.shape)
        self._draws = Draws()

    def __len__(self) -> int:
        """The number of images, N."""
        return len(self.images)

    def sample(self, n: int, rng: Rng, out: Array) -> None:
        """Fill `out` with n images drawn uniformly with replacement, scaled from 0..255 to [-1, 1].

        rng: numpy.random.Generator, asked once for n uniform numbers.
        out: float32 or float64 array (n, *shape), strided views included; overwritten.

        Once the largest n has been seen, nothing is allocated. Raises DataError when `out` does not fit.
        """
        name = self._name()
        n, rng = whole(f"{name}.sample: n", n), generator(f"{name}.sample: rng", rng)
        if isinstance(out, np.ndarray) and out.shape[:1] != (n,):
            raise DataError(f"{name}.sample: out has {len(np.atleast_1d(out))} rows, expected {n}")
        self.take(self._draws.below(len(self), n, rng), out)

    def take(self, index: Array, out: Array) -> None:
        """Fill `out` (n, *shape) with the images at `index`, n integers from 0 to N − 1, scaled as by `sample`."""
        n = len(index)
        check_batch(self._name(), out, (n, *self.shape))
        stage = self._scratch.rows(n, np.dtype(np.uint8))
        # mode="clip" because the default mode buffers `out` in order to check the indices
        np.take(self.images, index, axis=0, out=stage, mode="clip")
        deliver(stage, out, self._scratch)

    def split(self: Set, every: int = 5) -> tuple[Set, Set]:
        """(the others, every `every`-th image): two sets without a row in common, the same at every call.

        Both are of this class. What lies in the order of its classes, as the embedded digits do, is held out in equal
        shares of every class.
        """
        every = whole(f"{self._name()}.split: every", every)
        held_out = np.arange(len(self)) % every == every - 1
        if len(self) < every:
            raise DataError(f"{self._name()}: {len(self):,} images are too few to hold out one in {every}")
        return tuple(
            self._part(chosen, f"{chosen.sum():,} {name} images of {self.source}")
            for name, chosen in (("training", ~held_out), ("held-out", held_out))
        )

    def _part(self, chosen, source):
        """Copies of the rows that a mask (N,) or an index chooses, as a set of their own."""
        return type(self)(self.images[chosen], None if self.labels is None else self.labels[chosen], source)

    def _name(self):
        return type(self).__name__

    def _check(self, name, array, shape):
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.shape != shape:
            given = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else shown(array)
            raise DataError(f"{self._name()}: {name} are {given}, expected uint8 {shape}")


class Images(ByteRows):
    """Pictures to draw batches from, for networks that take (channels, height, width).

    images: uint8 array (N, channels, height, width), N >= 1: 1 channel of grey, or 3 of red, green and blue; 0 is dark.
    labels: uint8 array (N,), or None.
    source: a description for people, such as "120 pictures from holidays".

    `shape` is that of a row, (channels, height, width); rows are delivered scaled from 0..255 to [-1, 1].

    Raises DataError when an array has another shape or dtype.

    >>> images = Images(rng.integers(0, 256, (100, 3, 16, 16), dtype=np.uint8), source="noise")
    >>> batch = np.empty((5, *images.shape))
    >>> images.sample(5, rng, batch)
    >>> len(images), images.shape, bool(np.abs(batch).max() <= 1)
    (100, (3, 16, 16), True)
    """

    def __init__(self, images: Array, labels: Array | None = None, source: str = "images") -> None:
        if not isinstance(images, np.ndarray) or images.ndim != 4 or images.shape[1] not in CHANNELS or not images.size:
            given = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else shown(images)
            raise DataError(
                f"{self._name()}: images are {given}, expected uint8 (N, 1 or 3 channels, height, width), at least one"
            )
        self.shape = images.shape[1:]
        super().__init__(images, labels, source)

    def mirrored(self: Mirrorable) -> Mirrorable:
        """A set twice as large: these images, and after them all of them mirrored, left for right.

        To be called on a training set that is split off already: a picture held out must not come back mirrored.
        """
        n = len(self)
        twice = self._part(np.tile(np.arange(n), 2), f"{self.source}, also mirrored")
        twice.images[n:] = self.images[..., ::-1]
        return twice


def to_unit_range(images: Array, dtype: DType = np.float32) -> Array:
    """Return a copy of `images`, uint8 of any shape, scaled from 0..255 to [-1, 1].

    dtype: float32 (default) or float64. Raises DataError for other dtypes on either side.
    """
    images, dtype = np.asarray(images), np.dtype(dtype)
    if images.dtype != np.uint8 or dtype not in _SCALE:
        raise DataError(f"to_unit_range: {images.dtype} to {dtype}, expected uint8 to float32 or float64")
    out = np.empty(images.shape, dtype)
    _scale(images, out)
    return out


def to_pixels(x: Numbers) -> Array:
    """Return floats of any shape as uint8 pixels, the inverse of `to_unit_range`.

    [-1, 1] becomes 0..255, rounded to the nearest; values outside are clipped and NaN becomes 0.
    """
    pixels = np.rint((np.asarray(x) + 1) * 127.5)
    # fmax prefers a number to NaN, so that the picture of a diverged generator can still be drawn
    return np.fmin(np.fmax(pixels, 0), 255).astype(np.uint8)


# ------------------------------------------------------------------------------------- batches that allocate nothing


class Scratch:
    """Arrays (n, *shape) to work in, one for each dtype, that grow to the largest n seen."""

    def __init__(self, shape: Shape) -> None:
        self._shape, self._arrays = shape, {}

    def rows(self, n: int, dtype: Any) -> Array:
        """The first n rows of the one of this np.dtype."""
        if len(self._arrays.get(dtype, ())) < n:
            self._arrays[dtype] = np.empty((n, *self._shape), dtype)
        return self._arrays[dtype][:n]


class Draws:
    """Random indices, in arrays that grow to the most drawn at once."""

    def __init__(self) -> None:
        self._index = np.empty(0, np.intp)

    def below(self, count: int, n: int, rng: Rng) -> Array:
        """n indices below `count`, whole parts of count·u, u uniform in [0, 1): `rng.integers` fills no array given."""
        if len(self._index) < n:
            self._uniform, self._index = np.empty(n), np.empty(n, np.intp)
        uniform, index = self._uniform[:n], self._index[:n]
        rng.random(out=uniform)
        np.multiply(uniform, count, out=uniform)
        np.copyto(index, uniform, casting="unsafe")
        return index


def check_batch(name: str, out: Any, shape: Shape, what: str = "out") -> None:
    """Raise DataError unless `out` is a writeable float32 or float64 array of that shape; `what` is its name."""
    writeable = isinstance(out, np.ndarray) and out.flags.writeable
    if not writeable or out.shape != shape or out.dtype not in _SCALE:
        given = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else shown(out)
        given = given if writeable else f"{given}, not to be written to"
        raise DataError(f"{name}: {what} is {given}, expected float32 or float64 {shape}")


def deliver(pixels: Array, out: Array, scratch: Scratch) -> None:
    """Fill `out` with uint8 rows scaled to [-1, 1], by way of `scratch` if it is a strided view."""
    # NumPy runs arithmetic on a strided view through buffers of its own, at twice the time of a copy
    work = out if out.flags.c_contiguous else scratch.rows(len(out), out.dtype)
    _scale(pixels, work)
    if work is not out:
        np.copyto(out, work)


def _scale(pixels, out):
    # Copying first beats multiplying uint8 into out: the ufunc would cast through a buffer of its own.
    # Subtracting first is exact, and makes the range symmetric to the last bit.
    np.copyto(out, pixels)
    np.subtract(out, _MIDDLE[out.dtype], out=out)
    np.multiply(out, _SCALE[out.dtype], out=out)
