"""One's own pictures as a data source: the PNG files of a directory, cut to squares and brought to one size.

Files are checked before they are decoded: what a stranger's file claims costs no memory, and says in one sentence what
is wrong with it. The decoding itself is matplotlib's.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from typing import NamedTuple

import numpy as np

from numgan import errors
from numgan.errors import ArgumentTypeError, affordable, flag, whole
from numgan.files import ReadError, open_regular, shown
from numgan.hints import Array, FileName

from .idx import DataError
from .images import Images
from .pairs import luma

LEAST = 2  # pictures: one to train on, one to hold out
HOLD_OUT = 10  # one picture in ten
MAX_SIDE = 4096  # pixels; decoded, such a picture takes 268 MB
MAX_EXTRA = 1 << 24  # bytes of a file beyond its pixels: colour profiles, camera data, thumbnails

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = ">8sI4sIIBB"  # signature, length and name of the first chunk, width, height, bits a channel, kind of colour
GREY, RGB = 0, 2  # the kinds of colour that may have one transparent colour in place of alpha


def load_pictures(directory: FileName, size: int = 32) -> Images:
    """Load the PNG files of a directory as Images of shape (channels, size, size).

    directory: with at least two files that end in .png or .PNG. They are taken in the order of their names. Hidden
        files, files with other endings and sub-folders are passed over.
    size: pixels on each side, 1 to 4096.

    A picture is laid on white where it is transparent, cut to the square in its middle, and brought to `size` by
    averages over areas: each new pixel is the mean of the part of the square that it covers, with pixels that it
    covers in part counted in part. (A picture smaller than `size` thus has its pixels repeated.)
    There is one channel if no picture shows any colour, else there are three; grey ones among them are then grey in
    all three. 16 bits a channel are rounded to 8.

    Raises DataError, which names the file, for one that is missing, damaged, no PNG, or larger than 4096 x 4096
    pixels; and for a directory without two of them.

    >>> from matplotlib.image import imsave
    >>> for name in ("one.png", "two.png"):
    ...     imsave(name, rng.random((40, 60)), cmap="gray")
    >>> load_pictures(".", size=16).images.shape
    (2, 1, 16, 16)
    """
    size = whole("load_pictures: size", size, most=MAX_SIDE)
    if not isinstance(directory, str | os.PathLike):  # os.scandir takes None for the current directory
        raise ArgumentTypeError(f"load_pictures: directory must be a path, got {errors.shown(directory)}")
    paths = _png_files(directory)
    affordable(f"load_pictures: {len(paths):,} pictures of {size}x{size} pixels", 2 * len(paths) * 3 * size * size)
    images = np.empty((len(paths), 3, size, size), np.uint8)
    for image, path in zip(images, paths, strict=True):
        image[...] = _resized(_on_white(_middle(_read(path))), size)
    if all(np.array_equal(image[0], other) for image in images for other in image[1:]):
        images = images[:, :1]
    return Images(images, source=f"{len(images):,} pictures from {shown(directory)}")


def load_pictures_split(directory: FileName, size: int = 32, flip: bool = False) -> tuple[Images, Images]:
    """(training, held-out) Images of `load_pictures(directory, size)`.

    Held out is every tenth, or the last of fewer than ten.
    flip: whether the training set also has its pictures mirrored, which doubles it; what is held out never comes back.

    >>> from matplotlib.image import imsave
    >>> for number in range(10):
    ...     imsave(f"{number}.png", rng.random((20, 20, 3)))
    >>> training, held_out = load_pictures_split(".", size=16, flip=True)
    >>> len(training), len(held_out), training.shape
    (18, 1, (3, 16, 16))
    """
    flip = flag("load_pictures_split: flip", flip)
    images = load_pictures(directory, size)
    training, held_out = images.split(min(HOLD_OUT, len(images)))
    return training.mirrored() if flip else training, held_out


def load_grey_picture(file: FileName, size: int = 32) -> Array:
    """One PNG file of size × size pixels as grey, uint8 (1, size, size): on white where it is transparent, luma of
    colours as in `pairs.luma`. For a picture to be translated, which is not to be cut or shrunk unasked.

    Raises DataError, which names the file, for one of another size and as `load_pictures` does.

    >>> from matplotlib.image import imsave
    >>> imsave("outline.png", rng.random((32, 32)), cmap="gray")
    >>> load_grey_picture("outline.png").shape
    (1, 32, 32)
    """
    size = whole("load_grey_picture: size", size, most=MAX_SIDE)
    if not isinstance(file, str | os.PathLike):
        raise ArgumentTypeError(f"load_grey_picture: file must be a path, got {errors.shown(file)}")
    pixels = _on_white(_read(file))
    if pixels.shape[:2] != (size, size):
        height, width = pixels.shape[:2]
        raise DataError(f"{shown(file)}: {width} x {height} pixels, expected {size} x {size}")
    return luma(np.rint(255 * np.moveaxis(pixels, 2, 0)[None]).astype(np.uint8))[0]


def _png_files(directory):
    """The paths of the directory's PNG files, by name."""
    try:
        with os.scandir(directory) as entries:
            names = sorted(os.fsdecode(entry.name) for entry in entries)
    except FileNotFoundError:
        raise DataError(f"the directory {shown(directory)} does not exist") from None
    except NotADirectoryError:
        raise DataError(f"{shown(directory)} is a file, expected a directory of PNG files") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise DataError(f"{shown(directory)}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    names = [name for name in names if name.lower().endswith(".png") and not name.startswith(".")]
    if len(names) < LEAST:
        found = f"{shown(names[0])} alone" if names else "no PNG files"
        raise DataError(f"{shown(directory)}: holds {found}, expected at least {LEAST} files that end in .png")
    return [os.path.join(os.fsdecode(directory), name) for name in names]


# ------------------------------------------------------------------------------------------------------------ reading


class Header(NamedTuple):
    """What a PNG file says of itself."""

    width: int
    height: int
    depth: int  # bits a channel
    kind: int  # of colour
    transparent: bytes  # the tRNS chunk


def _read(path):
    """The pixels of a PNG file as imread gives them, 0 to 1: float32 (h, w), (h, w, 3) or (h, w, 4)."""
    raw, header = _checked(path)
    from matplotlib.image import imread  # takes half a second to import

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities in what goes with the pixels
            pixels = imread(io.BytesIO(raw), format="png")
    except Exception as error:  # a decoder raises whatever it likes: OSError, SyntaxError, ValueError, struct.error
        raise DataError(f"{shown(path)}: cannot be decoded: {_line(error)}") from error
    if pixels.shape[:2] != (header.height, header.width) or not np.isfinite(pixels).all():
        raise DataError(f"{shown(path)}: decoded as {pixels.shape}, expected {header.height} x {header.width} pixels")
    return _with_alpha(_in_unit_range(pixels, header), header)


def _checked(path):
    """(the file's bytes, its Header), after checks of all that can be told without decoding."""
    try:
        with open_regular(path) as file:
            start = file.read(struct.calcsize(HEADER))
            header = _header(start, path)
            limit = 8 * header.width * header.height + MAX_EXTRA
            raw = start + file.read(min(limit, os.fstat(file.fileno()).st_size))  # read() takes what it is told at once
    except ReadError as error:
        raise DataError(str(error)) from None
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror}") from error
    if len(raw) > limit:
        raise DataError(f"{shown(path)}: more than {limit:,} bytes for {header.width} x {header.height} pixels")
    return raw, header._replace(transparent=_check_chunks(raw, path))


def _header(start, path):
    if not start:
        raise DataError(f"{shown(path)}: is empty, expected a PNG file")
    if start[:8] != SIGNATURE[: len(start)]:
        raise DataError(f"{shown(path)}: not a PNG file: starts with 0x{start[:8].hex()}, expected 0x{SIGNATURE.hex()}")
    if len(start) < struct.calcsize(HEADER):
        raise DataError(f"{shown(path)}: truncated: {len(start)} bytes, too few for a PNG file's header")
    _, length, name, width, height, depth, kind = struct.unpack(HEADER, start)
    if name != b"IHDR" or length != 13:
        raise DataError(f"{shown(path)}: damaged: does not begin with a PNG file's header")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise DataError(f"{shown(path)}: {width} x {height} pixels, expected 1 x 1 to {MAX_SIDE} x {MAX_SIDE}")
    return Header(width, height, depth, kind, b"")


def _check_chunks(raw, path):
    """Check that the chunks are whole and their sums right, with one header; returns the content of tRNS, or b""."""
    position, transparent = len(SIGNATURE), b""
    while position + 12 <= len(raw):
        length, name = struct.unpack_from(">I4s", raw, position)
        end = position + 12 + length
        if end > len(raw):
            break
        if zlib.crc32(raw[position + 4 : end - 4]) != int.from_bytes(raw[end - 4 : end], "big"):
            raise DataError(f"{shown(path)}: damaged: the checksum of the {shown(name)} at byte {position} is wrong")
        if name == b"IHDR" and position != len(SIGNATURE):  # whose size the decoder would believe
            raise DataError(f"{shown(path)}: damaged: has a second header at byte {position}")
        if name == b"tRNS":
            transparent = raw[position + 8 : end - 4]
        if name == b"IEND":
            return transparent
        position = end
    raise DataError(f"{shown(path)}: truncated: ends after {len(raw):,} bytes, without its end mark")


def _in_unit_range(pixels, header):
    # grey of 2 or 4 bits is widened to 8 by the decoder and then divided by 3 or 15 as if it were not
    if pixels.max() > 1:
        pixels /= 255 / (2**header.depth - 1)
    return pixels


def _with_alpha(pixels, header):
    """Pixels (h, w, 4), if one colour of grey or RGB pixels is declared transparent, which the decoder passes over."""
    channels = {GREY: 1, RGB: 3}.get(header.kind, 0)
    if not channels or len(header.transparent) != 2 * channels:
        return pixels
    pixels = pixels.reshape(*pixels.shape[:2], channels)
    colour = np.array(struct.unpack(f">{channels}H", header.transparent))
    depth = header.depth
    if channels == 3 and depth == 16:  # which the decoder has brought to 8
        colour, depth = colour >> 8, 8
    opaque = (np.rint(pixels * (2**depth - 1)) != colour).any(axis=2, keepdims=True)
    return np.concatenate([np.broadcast_to(pixels, (*pixels.shape[:2], 3)), opaque], axis=2, dtype=pixels.dtype)


# ---------------------------------------------------------------------------------------------------------- arithmetic


def _on_white(pixels):
    """Pixels (h, w, 3) of those that `_read` gives."""
    if pixels.ndim == 2:
        return np.broadcast_to(pixels[:, :, None], (*pixels.shape, 3))
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[:, :, 3:]
    return pixels[:, :, :3] * alpha + (1 - alpha)


def _middle(pixels):
    """The square in the middle."""
    h, w = pixels.shape[:2]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    return pixels[top : top + side, left : left + side]


def _resized(pixels, size):
    """A square of pixels (side, side, 3) from 0 to 1 as uint8 (3, size, size)."""
    weights = _weights(len(pixels), size)
    channels = np.array([weights @ np.ascontiguousarray(channel) @ weights.T for channel in np.moveaxis(pixels, 2, 0)])
    # halves are rounded up, also those that the fractions above have left a little below
    return np.clip(np.floor(255 * channels + 0.5 + 1e-3), 0, 255).astype(np.uint8)


def _weights(n: int, size: int) -> Array:
    """(size, n): a line of n pixels is cut into `size` equal parts; how much each pixel has to say in each part."""
    edges, pixel = np.arange(size + 1) * n / size, np.arange(n)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.maximum(covered, 0) * size / n


def _line(error):
    text = "".join(c if c.isprintable() else " " for c in f"{type(error).__name__}: {error}")
    return text if len(text) <= 160 else f"{text[:159]}…"
