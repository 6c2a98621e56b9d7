"""Scenes: one or two coloured digits on black, and what they are in English, for GANs that draw what they are told.

Reed, Akata, Yan, Logeswaran, Schiele & Lee 2016, Generative Adversarial Text to Image Synthesis, arXiv:1605.05396, draw
birds and flowers from sentences. Here is the smallest world in which a sentence means something:

    a green four                        in the middle, large
    a red three left of a blue seven    which is also "a blue seven right of a red three"
    a purple one above a green zero     which is also "a green zero below a purple one"

One combination in five of a colour and a digit is held out from training (`is_unseen`), yet every digit is trained on
in four colours, every colour on eight digits: whether a network draws the others tells whether its words compose.
"""

from __future__ import annotations

import re
from typing import ClassVar, NamedTuple

import numpy as np

from numgan.errors import generator, instance, one_of, real_array, shown, whole
from numgan.hints import Array, FileName, Numbers, Rng, Shape

from .idx import SIDE, DataError
from .images import Scratch, check_batch, deliver
from .mnist import Digits, load_mnist_split

SCENE = 32  # pixels, each way
LARGE, SMALL = 24, 16  # pixels of a place in the middle, and of any other

COLOURS = {  # shares of red, green and blue: the brightest is 1 throughout, so that it is the digit's own grey
    "red": (1, 0.125, 0.125),
    "yellow": (1, 0.875, 0.125),
    "green": (0.125, 1, 0.25),
    "blue": (0.125, 0.375, 1),
    "purple": (0.75, 0.25, 1),
}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PLACES = {  # (rows, columns) of a scene
    "middle": (slice(4, 28), slice(4, 28)),
    "left": (slice(8, 24), slice(0, 16)),
    "right": (slice(8, 24), slice(16, 32)),
    "top": (slice(0, 16), slice(8, 24)),
    "bottom": (slice(16, 32), slice(8, 24)),
}
RELATIONS = {  # the places of what is named first and of what is named second
    "left of": ("left", "right"),
    "right of": ("right", "left"),
    "above": ("top", "bottom"),
    "below": ("bottom", "top"),
}
COMBINATIONS = {  # how many steps from a digit's unseen colour the first colour is, and how many there are from there
    "all": (0, len(COLOURS)),
    "seen": (1, len(COLOURS) - 1),
    "unseen": (0, 1),
}

WORDS = ("", "a", "left", "right", "of", "above", "below", *COLOURS, *DIGITS)
LENGTH = 8  # words of the longest caption

_NUMBERS = {word: number for number, word in enumerate(WORDS)}
_KNOWN = frozenset(_NUMBERS.values())
_NAMES = tuple(COLOURS)
_TINTS = np.array(list(COLOURS.values()), np.float32)[:, :, None, None]
_SAYINGS = (None, None, *RELATIONS)  # a scene in three is of one digit
_DIGIT = rf"a ({'|'.join(COLOURS)}) ({'|'.join(DIGITS)})"
_CAPTION = re.compile(rf"{_DIGIT}(?: ({'|'.join(RELATIONS)}) {_DIGIT})?")
_EXAMPLES = '"a green four", "a red three left of a blue seven" or "a purple one above a green zero"'

# ------------------------------------------------------------------------------------------------------------- captions


class Piece(NamedTuple):
    """What a caption asks for in one place: a digit 0 to 9, one of the `COLOURS`, one of the `PLACES`."""

    digit: int
    colour: str
    place: str


def parse(text: str) -> tuple[Piece, ...]:
    """What a caption asks for: one `Piece`, or two, left before right and top before bottom.

    Captions of one scene that tell it from either side thus give the same. Capital letters do not matter.

    Raises DataError for a word that is not in the vocabulary, and for words that make no caption.
    """
    words = text.lower().split() if isinstance(text, str) else []
    unknown = next((word for word in words if word not in _NUMBERS), None)
    if unknown is not None:
        raise DataError(f"captions have no word {shown(unknown)}, only {', '.join(WORDS[1:])}")
    match = _CAPTION.fullmatch(" ".join(words))
    if match is None:
        raise DataError(f"a caption is like {_EXAMPLES}, got {shown(text)}")
    colour, digit, relation, other_colour, other_digit = match.groups()
    if relation is None:
        return (Piece(DIGITS.index(digit), colour, "middle"),)
    place, other_place = RELATIONS[relation]
    pieces = (Piece(DIGITS.index(digit), colour, place), Piece(DIGITS.index(other_digit), other_colour, other_place))
    return pieces if place in ("left", "top") else pieces[::-1]


def encode(text: str) -> Array:
    """A caption as the numbers of its words in `WORDS`, int64 (8,), 0 after the last one.

    Raises DataError for what `parse` cannot read.
    """
    parse(text)
    numbers = np.zeros(LENGTH, np.int64)
    words = text.lower().split()
    numbers[: len(words)] = [_NUMBERS[word] for word in words]
    return numbers


def decode(numbers: Numbers) -> str:
    """The text of word numbers (8,), of any real dtype: what `encode` made them from, in small letters.

    Raises DataError unless they are whole numbers of words, and none stands after a 0.
    """
    numbers = real_array("word numbers", numbers)
    values = numbers.tolist() if numbers.shape == (LENGTH,) else [None]
    end = values.index(0) if 0 in values else LENGTH
    if any(values[end:]) or not _KNOWN.issuperset(values):
        raise DataError(
            f"word numbers are {LENGTH} whole numbers from 0 to {len(WORDS) - 1}, 0 after the last word, got "
            f"{shown(numbers.tolist())}"
        )
    return " ".join(WORDS[int(number)] for number in values[:end])


def is_unseen(piece: Piece) -> bool:
    """Whether training leaves this combination out: digit d in the colour number d mod 5, of red, yellow, green, blue
    and purple. A red zero is unseen, a yellow one, …, a red five, …, a purple nine.
    """
    return piece.digit % len(COLOURS) == _NAMES.index(piece.colour)


# --------------------------------------------------------------------------------------------------------------- scenes


class Scenes:
    """Draws scenes (3, 32, 32) with their captions, a fresh one every time, so there is no last epoch.

    digits: labelled Digits to draw from; kept as `digits`.
    combinations: of a digit and a colour: "all" (default), "seen" for those that training uses, "unseen" for the
        others (`is_unseen`); kept as `combinations`.

    A scene in three is one digit in the middle, 24 pixels square: those about the middle of its ink. The others are two
    digits side by side or one above the other, equally often, each made smaller by area averaging, 16 pixels square;
    either may be named first. Digits and their colours are drawn independently and uniformly.

    words        the vocabulary; the number of a word is its place in there, and 0 is no word.
    conditions   {"text": (8,)}: a caption's word numbers, 0 after the last one.

    Raises ArgumentTypeError for anything but Digits, DataError for Digits without labels.

    >>> scenes = Scenes(load_mnist(), combinations="seen")
    >>> scene, text = np.empty((1, 3, 32, 32)), np.empty((1, 8))
    >>> scenes.sample(1, rng, scene, text=text)
    >>> " ".join(scenes.words[int(number)] for number in text[0] if number)
    'a blue two right of a purple zero'
    """

    shape: Shape = (3, SCENE, SCENE)
    words = WORDS
    conditions: ClassVar[dict[str, Shape]] = {"text": (LENGTH,)}

    def __init__(self, digits: Digits, combinations: str = "all") -> None:
        self.digits = instance("Scenes: digits", digits, Digits)
        self.combinations = one_of("Scenes: combinations", combinations, COMBINATIONS)
        if digits.labels is None:
            raise DataError(f"Scenes: {digits.source} have no labels, expected one for each")
        if digits.labels.max() >= len(DIGITS):
            raise DataError(f"Scenes: the digits have a label {digits.labels.max()}, expected 0 to 9")
        which = {"all": "", "seen": ", in colours that training shows", "unseen": ", in colours that it never shows"}
        self.source = f"scenes of {digits.source}{which[combinations]}"
        self._large = _about_their_ink(digits.images)
        self._small = _smaller(self._large)
        self._scratch = Scratch(self.shape)
        self._uniform, self._drawn = Scratch((5,)), Scratch((5,))

    def sample(self, n: int, rng: Rng, out: Array, text: Array) -> None:
        """Fill `out` with n scenes, scaled to [-1, 1], and `text` with a caption of each, as word numbers.

        rng: numpy.random.Generator, asked once for 5 n uniform numbers: of the first, how it is told, then the digit
            and the colour of what is named first, and of what is named second, drawn though there may be none.
        out: float32 or float64 array (n, 3, 32, 32), strided views included; overwritten.
        text: float32 or float64 array (n, 8), strided views included; overwritten.

        Raises DataError when `out` or `text` does not fit.
        """
        n, rng = whole("Scenes.sample: n", n), generator("Scenes.sample: rng", rng)
        check_batch("Scenes.sample", out, (n, *self.shape))
        check_batch("Scenes.sample", text, (n, LENGTH), "text")
        stage = self._scratch.rows(n, np.dtype(np.uint8))
        stage.fill(0)
        text.fill(0)
        for picture, numbers, scene in zip(stage, text, self._draw(n, rng), strict=True):
            words = self._compose(picture, *scene.tolist())
            numbers[: len(words)] = [_NUMBERS[word] for word in words]
        deliver(stage, out, self._scratch)

    def _draw(self, n, rng):
        """n scenes (n, 5): a row is a saying, a digit, its colour's step, another digit, its colour's step."""
        uniform = self._uniform.rows(n, np.dtype(np.float64))
        drawn = self._drawn.rows(n, np.dtype(np.intp))
        count, (_, colours) = len(self.digits), COMBINATIONS[self.combinations]
        rng.random(out=uniform)
        np.multiply(uniform, (len(_SAYINGS), count, colours, count, colours), out=uniform)
        np.copyto(drawn, uniform, casting="unsafe")
        return drawn

    def _compose(self, picture, saying, first, first_step, second, second_step):
        """Put one scene into a black picture, uint8 (3, 32, 32); returns the words that tell it."""
        relation = _SAYINGS[saying]
        if relation is None:
            return self._put(picture, "middle", first, first_step)
        place, other = RELATIONS[relation]
        words = self._put(picture, place, first, first_step)
        return [*words, *relation.split(), *self._put(picture, other, second, second_step)]

    def _put(self, picture, place, index, step):
        """Put the digit at `index` into a place; returns its words."""
        label = int(self.digits.labels[index])
        colour = (label + COMBINATIONS[self.combinations][0] + step) % len(COLOURS)
        ink = (self._large if place == "middle" else self._small)[index]
        rows, columns = PLACES[place]
        np.multiply(ink, _TINTS[colour], out=picture[:, rows, columns], casting="unsafe")
        return ["a", _NAMES[colour], DIGITS[label]]


def load_scenes_split(source: FileName | None = None) -> tuple[Scenes, Scenes]:
    """(training, held-out) scenes of the digits of `load_mnist_split(source)`: no digit is in both. Training has the
    combinations that are seen; held out are all combinations, of which one in five is never trained on.

    >>> training, held_out = load_scenes_split()
    >>> training.shape, training.conditions
    ((3, 32, 32), {'text': (8,)})
    """
    training, held_out = load_mnist_split(source)
    return Scenes(training, "seen"), Scenes(held_out)


def _about_their_ink(images):
    """uint8 images (N, 784) as (N, 24, 24): the pixels about the middle of the box that holds a digit's ink.

    MNIST's digits are 20 pixels high or wide, centred by their mass; two that stand side by side shall not touch.
    """
    half = LARGE // 2
    squares = images.reshape(-1, SIDE, SIDE)
    padded = np.pad(squares, ((0, 0), (half, half), (half, half)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (LARGE, LARGE), axis=(1, 2))
    # half a window before the middle, which the padding moves by as much
    top, left = (_middle(squares.any(axis=axis)) for axis in (2, 1))
    return windows[np.arange(len(images)), top, left]


def _middle(inked):
    """Where the middle of the True values of each row (N, 28) is, (N,)."""
    return (inked.argmax(axis=1) + SIDE - inked[:, ::-1].argmax(axis=1)) // 2


def _smaller(squares):
    """uint8 (N, 24, 24) as (N, 16, 16), by area averaging: three pixels a, b, c become (2a + b)/3 and (b + 2c)/3."""
    average = np.kron(np.eye(LARGE // 3), np.array([[2, 1, 0], [0, 1, 2]]) / 3).astype(np.float32)  # (16, 24)
    return np.rint(average @ squares @ average.T).astype(np.uint8)
