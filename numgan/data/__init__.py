"""Data sources: where real samples come from. Arrays in, arrays out."""

from .download import cache_dir, download_mnist
from .idx import DataError
from .mnist import Digits, load_mnist, load_mnist_split
from .points import SinePoints
from .stream import Stream, data_stream, noise_stream

__all__ = [
    "DataError", "Digits", "SinePoints", "Stream", "cache_dir", "data_stream", "download_mnist", "load_mnist",
    "load_mnist_split", "noise_stream",
]  # fmt: skip
