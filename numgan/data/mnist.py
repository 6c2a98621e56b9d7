"""MNIST digits as a data source: load them, and draw random batches scaled to [-1, 1]."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from numgan.errors import generator, shown, whole
from numgan.hints import Array, DType, FileName, Numbers, Rng

from .download import cache_dir
from .idx import SIDE, DataError, read_images, read_labels

EMBEDDED = Path(__file__).parent / "mnist_5k"

_PREFIXES = {"train": "train", "test": "t10k"}

# 0-d arrays rather than Python floats: cheaper per call, and the arithmetic stays in out's dtype.
_MIDDLE = {np.dtype(d): np.array(127.5, d) for d in (np.float32, np.float64)}
_SCALE = {np.dtype(d): np.array(1 / 127.5, d) for d in (np.float32, np.float64)}


class Digits:
    """Images of digits to draw batches from.

    images: uint8 array (N, 784), N >= 1, one 28x28 image per row, 0 is background, 255 is ink.
    labels: uint8 array (N,), or None.
    source: a description for people, such as "5,000 embedded MNIST digits".

    Raises DataError when an array has another shape or dtype.
    """

    shape = (SIDE * SIDE,)

    def __init__(self, images: Array, labels: Array | None = None, source: str = "digits") -> None:
        _check("images", images, (len(images) if isinstance(images, np.ndarray) and images.ndim else 0, *self.shape))
        if len(images) == 0:
            raise DataError("Digits got no images, expected at least one")
        if labels is not None:
            _check("labels", labels, (len(images),))
        # np.take would copy the whole set at every draw if it were not contiguous
        self.images = np.ascontiguousarray(images)
        self.labels = labels
        self.source = source
        self._scratch = {}
        self._index = np.empty(0, np.intp)

    def __len__(self) -> int:
        """The number of images, N."""
        return len(self.images)

    def sample(self, n: int, rng: Rng, out: Array) -> None:
        """Fill `out` with n images drawn uniformly with replacement, scaled from 0..255 to [-1, 1].

        rng: numpy.random.Generator, asked once for n uniform numbers.
        out: float32 or float64 array (n, 784), strided views included; overwritten.

        The set stays uint8, a quarter of the memory; only the batch is scaled. Once the largest n has been
        seen, nothing is allocated. Raises DataError when `out` does not fit.
        """
        n, rng = whole("Digits.sample: n", n), generator("Digits.sample: rng", rng)
        if isinstance(out, np.ndarray) and out.shape[:1] != (n,):
            raise DataError(f"Digits.sample: out has {len(np.atleast_1d(out))} rows, expected {n}")
        self.take(self._draw(n, rng), out)

    def take(self, index: Array, out: Array) -> None:
        """Fill `out` (n, 784) with the images at `index`, n integers from 0 to N − 1, scaled as by `sample`."""
        n = len(index)
        writeable = isinstance(out, np.ndarray) and out.flags.writeable
        if not writeable or out.shape != (n, *self.shape) or out.dtype not in _SCALE:
            given = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else shown(out)
            given = given if writeable else f"{given}, not to be written to"
            raise DataError(f"Digits: out is {given}, expected float32 or float64 {(n, *self.shape)}")
        stage = self._rows(n, np.dtype(np.uint8))
        # mode="clip" because the default mode buffers `out` in order to check the indices
        np.take(self.images, index, axis=0, out=stage, mode="clip")
        # NumPy runs arithmetic on a strided view through buffers of its own, at twice the time of a copy
        work = out if out.flags.c_contiguous else self._rows(n, out.dtype)
        _scale(stage, work)
        if work is not out:
            np.copyto(out, work)

    def split(self, every: int = 5) -> tuple[Digits, Digits]:
        """(the others, every `every`-th image): two sets without a digit in common, the same at every call.

        The embedded digits lie in the order of their classes, so both parts hold every class in equal shares.
        """
        held_out = np.arange(len(self)) % every == every - 1
        if len(self) < every:
            raise DataError(f"Digits: {len(self):,} images are too few to hold out one in {every}")
        parts = []
        for name, chosen in (("training", ~held_out), ("held-out", held_out)):
            labels = None if self.labels is None else self.labels[chosen]
            parts.append(Digits(self.images[chosen], labels, f"{chosen.sum():,} {name} images of {self.source}"))
        return tuple(parts)

    def _draw(self, n, rng):
        """n random indices below N, as whole parts of N·u, u uniform in [0, 1): `rng.integers` cannot fill an array."""
        if len(self._index) < n:
            self._uniform, self._index = np.empty(n), np.empty(n, np.intp)
        uniform, index = self._uniform[:n], self._index[:n]
        rng.random(out=uniform)
        np.multiply(uniform, len(self.images), out=uniform)
        np.copyto(index, uniform, casting="unsafe")
        return index

    def _rows(self, n, dtype):
        """The first n rows of a scratch array that grows to the largest n seen."""
        if len(self._scratch.get(dtype, ())) < n:
            self._scratch[dtype] = np.empty((n, *self.shape), dtype)
        return self._scratch[dtype][:n]


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


def load_mnist(source: FileName | None = None, *, kind: str = "train") -> Digits:
    """Load MNIST digits.

    source: None for the 5,000 embedded training digits (500 of each class, in the order of the classes);
        "full" for the files that `numgan data mnist --download` put into the cache directory;
        otherwise the path of a directory of IDX files, named like train-images-idx3-ubyte or
        train-images.idx3-ubyte, each with or without .gz. Images without labels are enough.
    kind: "train" (default) or "test" (the t10k files).

    Returns Digits; `labels` is None when there is no labels file.
    Raises DataError when the files are missing or damaged.
    """
    if kind not in _PREFIXES:
        raise DataError(f'load_mnist: kind is {kind!r}, expected "train" or "test"')
    if source is None and kind == "test":
        raise DataError('the embedded digits are training images, expected a source for kind="test"')
    directory = _directory(source)
    images_path = _find(directory, f"{_PREFIXES[kind]}-images", "idx3-ubyte")
    if images_path is None:
        hint = "; run `numgan data mnist --download` to fetch them" if source == "full" else ""
        raise DataError(_why_missing(directory, _PREFIXES[kind]) + hint)

    images = read_images(images_path)
    labels_path = _find(directory, f"{_PREFIXES[kind]}-labels", "idx1-ubyte")
    labels = None if labels_path is None else read_labels(labels_path, len(images))
    if source is None:
        return Digits(images, labels, f"{len(images):,} embedded MNIST digits")
    return Digits(images, labels, f"{len(images):,} MNIST {kind} digits from {directory}")


def load_mnist_split(source: FileName | None = None) -> tuple[Digits, Digits]:
    """(training, held-out) Digits of a source as for `load_mnist`: what a GAN trains on, and what it never sees.

    Held out is the test set (the t10k files) where the source has one, else every fifth training image: 1,000 of
    the 5,000 embedded digits, 100 of each class.
    """
    digits = load_mnist(source)
    if source is not None and _find(_directory(source), f"{_PREFIXES['test']}-images", "idx3-ubyte"):
        return digits, load_mnist(source, kind="test")
    return digits.split()


def _directory(source):
    return EMBEDDED if source is None else cache_dir() if source == "full" else Path(source)


def _scale(pixels, out):
    # Copying first beats multiplying uint8 into out: the ufunc would cast through a buffer of its own.
    # Subtracting first is exact, and makes the range symmetric to the last bit.
    np.copyto(out, pixels)
    np.subtract(out, _MIDDLE[out.dtype], out=out)
    np.multiply(out, _SCALE[out.dtype], out=out)


def _check(name, array, shape):
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.shape != shape:
        given = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else shown(array)
        raise DataError(f"Digits: {name} are {given}, expected uint8 {shape}")


def _find(directory, stem, ending):
    """The path of the file under the first of its names that exists, or None."""
    names = [f"{stem}{joint}{ending}{gz}" for joint in "-." for gz in ("", ".gz")]
    # only files count: some archives unpack into directories of these names
    return next((path for name in names if os.path.isfile(path := directory / name)), None)


def _why_missing(directory, prefix):
    if not directory.exists():
        return f"the MNIST directory {directory} does not exist"
    if not directory.is_dir():
        return f"{directory} is a file, expected a directory of MNIST files"
    return (
        f"no MNIST images in {directory}, expected {prefix}-images-idx3-ubyte "
        f"or {prefix}-images.idx3-ubyte, with or without .gz"
    )
