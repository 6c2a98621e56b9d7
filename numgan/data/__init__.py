"""Data sources: where real samples come from. Arrays in, arrays out."""

from .download import cache_dir, download_mnist
from .idx import DataError
from .mnist import Digits, load_mnist

__all__ = ["DataError", "Digits", "cache_dir", "download_mnist", "load_mnist"]
