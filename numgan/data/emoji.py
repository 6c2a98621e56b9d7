"""Emoji in colour as a data source: 1,176 small drawings of faces, animals, food, places and things, on white.

They ship with numgan, in `emoji_64`, whose README says where they come from.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from numgan.errors import ArgumentError, flag, shown, whole
from numgan.hints import Array

from .idx import DataError
from .images import Images

DIRECTORY = Path(__file__).parent / "emoji_64"
SIZES = (64, 32, 16)  # pixels on each side
HOLD_OUT = 10  # one picture in ten


class Emoji(Images):
    """Images with names.

    images: uint8 array (N, channels, height, width), as for Images.
    names: N texts such as "red apple"; kept as a tuple.
    source: a description for people.

    Raises DataError when an array has another shape or dtype, or there are not as many names as images.

    >>> emoji = Emoji(np.full((2, 3, 16, 16), 255, dtype=np.uint8), ["snow", "a polar bear in snow"])
    >>> len(emoji), emoji.shape, emoji.names[1]
    (2, (3, 16, 16), 'a polar bear in snow')
    """

    def __init__(self, images: Array, names: Sequence[str], source: str = "emoji") -> None:
        super().__init__(images, None, source)
        if isinstance(names, str) or not isinstance(names, Sequence) or len(names) != len(self):
            raise DataError(f"{self._name()}: names are {shown(names)}, expected {len(self):,} texts, one an image")
        self.names = tuple(names)

    def _part(self, chosen, source):
        return Emoji(self.images[chosen], [self.names[i] for i in np.arange(len(self))[chosen]], source)


def load_emoji(size: int = 32) -> Emoji:
    """Load the emoji that ship with numgan: Emoji of shape (3, size, size), in the order of their kinds.

    size: 64 as they are stored; 32 or 16 by the averages of blocks of 2x2 or 4x4 pixels, rounded to the nearest.

    Raises ArgumentError for another size, DataError when the files are missing or damaged.

    >>> emoji = load_emoji(16)
    >>> len(emoji), emoji.shape, emoji.names[:3]
    (1176, (3, 16, 16), ('alien', 'alien monster', 'anger symbol'))
    """
    size = whole("load_emoji: size", size, 1, "64, 32 or 16")
    if size not in SIZES:
        raise ArgumentError(f"load_emoji: size must be 64, 32 or 16, got {size}")
    images, names = _read()
    return Emoji(_shrunk(images, images.shape[-1] // size), names, f"{len(images):,} emoji of {size}x{size} pixels")


def load_emoji_split(size: int = 32, flip: bool = False) -> tuple[Emoji, Emoji]:
    """(training, held-out) emoji of `load_emoji(size)`: every tenth is held out.

    flip: whether the training set also has its pictures mirrored, which doubles it; what is held out never comes back.

    >>> training, held_out = load_emoji_split(16)
    >>> len(training), len(held_out)
    (1059, 117)
    """
    flip = flag("load_emoji_split: flip", flip)
    training, held_out = load_emoji(size).split(HOLD_OUT)
    return training.mirrored() if flip else training, held_out


def _read():
    """(uint8 array (N, 3, 64, 64), list of N names)."""
    path = DIRECTORY / "emoji.npz"
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            images = file["images"]
        names = (DIRECTORY / "names.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = getattr(error, "strerror", None) or shown(str(error))
        raise DataError(f"the emoji in {DIRECTORY} cannot be read: {reason}; install numgan anew") from error
    if images.dtype != np.uint8 or images.shape != (len(names), 3, SIZES[0], SIZES[0]):
        raise DataError(f"{path}: holds {images.dtype} {images.shape} for {len(names)} names; install numgan anew")
    return images, names


def _shrunk(images, k):
    """Averages of blocks of k x k pixels, uint8; halves are rounded up."""
    if k == 1:
        return images
    n, c, h, w = images.shape
    sums = images.reshape(n, c, h // k, k, w // k, k).sum(axis=(3, 5), dtype=np.uint16)
    return ((sums + k * k // 2) // (k * k)).astype(np.uint8)
