"""MNIST digits as a data source: load them, and draw random batches scaled to [-1, 1]."""

from __future__ import annotations

import os
from pathlib import Path

from numgan.hints import Array, FileName

from .download import cache_dir
from .idx import SIDE, DataError, read_images, read_labels
from .images import ByteRows, Images, to_pixels, to_unit_range

__all__ = ["Digits", "load_mnist", "load_mnist_split", "to_pixels", "to_unit_range"]

EMBEDDED = Path(__file__).parent / "mnist_5k"

_PREFIXES = {"train": "train", "test": "t10k"}


class Digits(ByteRows):
    """Images of digits to draw batches from, for networks that take rows of 784 numbers.

    images: uint8 array (N, 784), N >= 1, one 28x28 image per row, 0 is background, 255 is ink.
    labels: uint8 array (N,), or None.
    source: a description for people, such as "5,000 embedded MNIST digits".

    Raises DataError when an array has another shape or dtype.

    >>> digits = Digits(rng.integers(0, 256, (100, 784), dtype=np.uint8))
    >>> batch = np.empty((5, 784))
    >>> digits.sample(5, rng, batch)
    >>> len(digits), digits.labels, bool(np.abs(batch).max() <= 1)
    (100, None, True)
    """

    shape = (SIDE * SIDE,)

    def __init__(self, images: Array, labels: Array | None = None, source: str = "digits") -> None:
        super().__init__(images, labels, source)

    def as_images(self) -> Images:
        """The same digits as pictures of shape (1, 28, 28), for convolutions; the images are shared, not copied."""
        return Images(self.images.reshape(-1, 1, SIDE, SIDE), self.labels, self.source)


def load_mnist(source: FileName | None = None, *, kind: str = "train") -> Digits:
    """Load MNIST digits.

    source: None for the 5,000 embedded training digits (500 of each class, in the order of the classes);
        "full" for the files that `numgan data mnist --download` put into the cache directory;
        otherwise the path of a directory of IDX files, named like train-images-idx3-ubyte or
        train-images.idx3-ubyte, each with or without .gz. Images without labels are enough.
    kind: "train" (default) or "test" (the t10k files).

    Returns Digits; `labels` is None when there is no labels file.
    Raises DataError when the files are missing or damaged.

    >>> digits = load_mnist()
    >>> digits.images.shape, digits.images.dtype.name, np.bincount(digits.labels).tolist()
    ((5000, 784), 'uint8', [500, 500, 500, 500, 500, 500, 500, 500, 500, 500])
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

    >>> training, held_out = load_mnist_split()
    >>> len(training), len(held_out)
    (4000, 1000)
    """
    digits = load_mnist(source)
    if source is not None and _find(_directory(source), f"{_PREFIXES['test']}-images", "idx3-ubyte"):
        return digits, load_mnist(source, kind="test")
    return digits.split()


def _directory(source):
    return EMBEDDED if source is None else cache_dir() if source == "full" else Path(source)


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
