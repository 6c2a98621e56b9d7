"""Read the IDX files that MNIST comes in, trusting nothing they say.

An IDX file is a big-endian magic number (0x00000803 for images, 0x00000801 for labels), the sizes of the
dimensions as 32-bit big-endian integers, then the bytes, row by row. It may be gzipped as a whole.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib

import numpy as np

from numgan.errors import Error
from numgan.files import ReadError, open_regular
from numgan.hints import Array, FileName

IMAGES_MAGIC, LABELS_MAGIC = 0x00000803, 0x00000801
SIDE = 28  # pixels

# EMNIST, the largest set in this format, has 814,255 images. The cap bounds what a small gzip bomb with an
# honest header can cost: at most 784 MB.
MAX_COUNT = 1_000_000

CHUNK = 1 << 18  # bytes


class DataError(Error, ValueError):
    """Data is missing, damaged or not what was expected; the message says what and where.

    >>> try:
    ...     load_mnist("nowhere")
    ... except DataError as error:
    ...     print(error)
    the MNIST directory nowhere does not exist
    """


def read_images(path: FileName) -> Array:
    """Read an images file, plain or gzipped (told by its content, not its name).

    Returns a uint8 array (N, 784): one image per row, 0 is background, 255 is ink.
    Raises DataError for anything but a complete, well-formed file of 28x28 images.
    """
    return _read_idx(path, IMAGES_MAGIC, (SIDE, SIDE), "images").reshape(-1, SIDE * SIDE)


def read_labels(path: FileName, count: int | None) -> Array:
    """Read the labels file that belongs to `count` images, plain or gzipped.

    Returns a uint8 array (count,) of digits 0 to 9.
    Raises DataError for a damaged file, another count, or a label above 9.
    """
    labels = _read_idx(path, LABELS_MAGIC, (), "labels", expected_count=count)
    worst = labels.argmax()
    if labels[worst] > 9:
        raise DataError(f"{path}: label {labels[worst]} at position {worst}, expected 0 to 9")
    return labels


def _read_idx(path, magic, item_shape, what, expected_count=None):
    """Read and check a whole file; returns its bytes as one flat uint8 array."""
    try:
        with open_regular(path) as file:
            stream = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file
            count = _read_header(stream, path, magic, item_shape, what, expected_count)
            size = count * math.prod(item_shape)
            body = _read_body(stream, size)
    except ReadError as error:
        raise DataError(str(error)) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if len(body) < size:
        raise DataError(f"{path}: truncated: {count} {what} take {size} bytes, found {len(body)}")
    if len(body) > size:
        raise DataError(f"{path}: has bytes left over after the {count} {what} that its header states")
    return np.frombuffer(body, np.uint8)


def _read_header(stream, path, magic, item_shape, what, expected_count):
    """Read and check the header; returns the number of items N."""
    size = 8 + 4 * len(item_shape)
    header = stream.read(size)
    if header and header[:4] != struct.pack(">I", magic)[: len(header)]:
        raise DataError(f"{path}: not an IDX {what} file: starts with 0x{header[:4].hex()}, expected 0x{magic:08x}")
    if len(header) < size:
        raise DataError(f"{path}: truncated: the header takes {size} bytes, found {len(header)}")
    _, count, *shape = struct.unpack(f">{size // 4}I", header)
    if tuple(shape) != item_shape:
        given, expected = ("x".join(map(str, s)) for s in (shape, item_shape))
        raise DataError(f"{path}: {what} of {given} pixels, expected {expected}")
    if count == 0:
        raise DataError(f"{path}: holds no {what}, expected at least one")
    if count > MAX_COUNT:
        raise DataError(f"{path}: header states {count:,} {what}, expected at most {MAX_COUNT:,}")
    if expected_count is not None and count != expected_count:
        raise DataError(f"{path}: {count} {what} for {expected_count} images, expected as many as images")
    return count


def _read_body(stream, size):
    """Read up to `size` + 1 bytes.

    Memory grows with what the stream really holds, never with what a header claims. The one byte more
    finds leftovers, and makes gzip reach its trailer and check its CRC.
    """
    body = bytearray()
    while chunk := stream.read(min(CHUNK, size + 1 - len(body))):
        body += chunk
    return body
