"""Data sources: where real samples come from. Arrays in, arrays out.

    rows         any array
    points       of the plane: the sine curve, and a ring of eight modes
    mnist        digits, from files that idx reads and download fetches
    images       pictures as (channels, height, width), kept as bytes and scaled to [-1, 1] a batch at a time
    stacked      three digits as the colours of one picture, 1,000 modes
    scenes       coloured digits with captions in English
    emoji        1,176 emoji in colour, at 64, 32 or 16 pixels
    pictures     one's own, from a directory of PNG files
    labelled     rows with the number of their class
    pairs        pictures to be made from others: digits from outlines, coloured emoji from grey ones
    stream       batches, drawn many at a time
    noise        normal or uniform numbers, which generators start from

A source is an object with a `shape`, that of one row, and sample(n, rng, out); to be gone through in epochs it has a
length and take(index, out) too. A conditional one has `conditions`, name -> shape of what goes with each row, and fills
an array for each of them: sample(n, rng, out, label=…).
"""

from .download import cache_dir, download_mnist
from .emoji import Emoji, load_emoji, load_emoji_split
from .idx import DataError
from .images import Images
from .labelled import Labelled
from .mnist import Digits, load_mnist, load_mnist_split
from .pairs import Pairs, load_emoji_pairs_split, load_outline_pairs_split
from .pictures import load_grey_picture, load_pictures, load_pictures_split
from .points import RingPoints, SinePoints
from .scenes import Scenes, load_scenes_split
from .stacked import StackedDigits, load_stacked_split
from .stream import Stream, data_stream, noise_stream

__all__ = [
    "DataError", "Digits", "Emoji", "Images", "Labelled", "Pairs", "RingPoints", "Scenes", "SinePoints",
    "StackedDigits", "Stream", "cache_dir", "data_stream", "download_mnist", "load_emoji", "load_emoji_pairs_split",
    "load_emoji_split", "load_grey_picture", "load_mnist", "load_mnist_split", "load_outline_pairs_split",
    "load_pictures", "load_pictures_split", "load_scenes_split", "load_stacked_split", "noise_stream",
]  # fmt: skip
