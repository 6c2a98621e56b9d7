"""Whether pictures show what their captions ask for: the digits, their colours and their places, each by itself.

A scene is read without a network of its own. Where it is bright says the places; the mean colour of what is bright
there, the colour; the classifier of single digits, the digit. Of 10,000 scenes of held-out digits 95.8 % are read right
(97.6 % of those with one digit, 95.0 % of those with two): all places and colours, and what is misread are digits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numgan.data import DataError, Scenes
from numgan.data.idx import SIDE
from numgan.data.scenes import COLOURS, LARGE, LENGTH, PLACES, SCENE, SMALL, decode, is_unseen, parse
from numgan.errors import generator, instance, real_array
from numgan.hints import Array, Rng
from numgan.study import classifier, metrics
from numgan.study.evaluation import COLLAPSED, PIXEL_ROWS, Evaluation, Measure

BRIGHT = 0.25  # of a pixel's brightest colour, 0 black and 1 full: what is less counts as dark
FILLED = 0.05  # of the pixels in the middle half of a place's columns are bright, if anything stands there
FLOOR = 0.15  # of a place's brightest pixel: what is less is no ink
STRAY = 0.05  # of a scene's bright pixels may lie elsewhere

MEASURES = {
    "digits_right": "higher: all digits read as asked for",
    "colours_right": "higher: all colours as asked for",
    "places_right": "higher: something where asked for, and nothing elsewhere",
    "all_right": "higher: digits, colours and places as asked for",
    "unseen_right": "higher: the same, a combination asked for that training leaves out",
    "spread": "like real: far less is repetition",
    "spread_of_one": "like real: far less is one picture for a caption",
}

_PALETTE = np.array(list(COLOURS.values()))
_APART = np.linalg.norm(_PALETTE[:, None] - _PALETTE, axis=2)
NEAR = float(_APART[_APART > 0].min() / 2)  # a colour is what lies this near to it: half the way to the next

BORDER = (SIDE - LARGE) // 2
ENLARGED = np.arange(LARGE) * SMALL // LARGE  # 16 pixels as 24: every other one twice


class Verdicts(NamedTuple):
    """Which of n pictures have their digits, their colours and their places as asked for: bool arrays (n,)."""

    digits: Array
    colours: Array
    places: Array

    def all_right(self) -> Array:
        """Which have all three as asked for, bool (n,)."""
        return self.digits & self.colours & self.places


def judge_scenes(samples: Array, text: Array) -> Verdicts:
    """Hold pictures (n, 3, 32, 32) against the captions that they were drawn for, word numbers (n, 8). Pixels beyond
    [-1, 1] are clipped.

    How bright a pixel is, its brightest colour says, from 0 to 1; it is bright from a quarter on.
        places   every place asked for has bright pixels, 5 % at least in the middle half of its columns, and at most
                 5 % of a scene's bright pixels lie elsewhere. A digit leaves the rim of its place dark, and a rim is
                 elsewhere: so two digits side by side pass for no large one, nor it for them.
        colours  Σ colour·brightness / Σ brightness² over each place asked for is nearer to the colour asked for than
                 half the smallest distance of two colours.
        digits   `numgan.study.classifier` reads each place asked for as the digit asked for. Its ink is brightness
                 between 15 % of its brightest pixel, 0, and that, 1; small digits are enlarged to the size of large.

    Raises DataError for other shapes, and for word numbers that are no captions.
    """
    return _judge(*_checked(samples, text))


def evaluate_scenes(samples: Array, text: Array, held_out: Scenes, rng: Rng) -> Evaluation:
    """Judge generated scenes (n, 3, 32, 32) by the captions that they were drawn for, word numbers (n, 8). Pixels
    beyond [-1, 1] are clipped. Real data: as many scenes from `held_out`, drawn from `rng`, and their own captions.

    As `judge_scenes` has it:
        digits_right, colours_right, places_right   share of samples with all of theirs as asked for.
        all_right                                   share of samples with all three as asked for.
        unseen_right                                the same share of the samples whose caption has a digit in a colour
                                                    that training never shows it in; NaN if there is none.
    Pixel by pixel, -1 to 1, the first 1,000:
        spread                                      mean distance of two samples.
        spread_of_one                               the same of two that show the same, over all samples whose scene is
                                                    asked for twice; NaN if none is.

    A generator that draws real scenes, and heeds no caption, has 0.2 % of all right. One that copies training scenes
    can pass the real, held-out ones, 95.8 %: the classifier has seen the embedded set's training digits.

    Collapsed are samples whose spread is below a tenth of real data's: they look alike whatever is asked for.

    Raises DataError as `judge_scenes` does, and for fewer than 2 samples.
    """
    held_out, rng = instance("evaluate_scenes: held_out", held_out, Scenes), generator("evaluate_scenes: rng", rng)
    pair = _checked(samples, text)
    n = len(pair[0])
    if n < 2:
        raise DataError(f"cannot evaluate {n} scene; expected at least 2")
    real, told = np.empty((n, *Scenes.shape), np.float32), np.empty((n, LENGTH), np.float32)
    held_out.sample(n, rng, real, told)
    ours, theirs = _figures(*pair), _figures(*_checked(real, told))
    measures = [Measure(name, ours[name], theirs[name], better) for name, better in MEASURES.items()]
    collapsed = None
    if ours["spread"] < COLLAPSED * theirs["spread"]:
        collapsed = (
            f"the samples look alike whatever is asked for: their spread is {ours['spread']:.3g}, where real scenes "
            f"have {theirs['spread']:.3g}"
        )
    return Evaluation(measures, [f"{n:,} {held_out.source}"], collapsed)


def _checked(samples, text):
    """(scenes from 0 to 1, the pieces that each one's caption asks for), or DataError."""
    samples, text = real_array("the scenes", samples), real_array("the captions", text)
    if samples.shape[1:] != Scenes.shape or len(samples) == 0:
        raise DataError(f"scenes have the shape (n, 3, {SCENE}, {SCENE}), got {samples.shape}")
    if text.shape != (len(samples), LENGTH):
        raise DataError(f"the captions of {len(samples):,} scenes are {(len(samples), LENGTH)}, got {text.shape}")
    return (np.clip(samples, -1, 1).astype(np.float32) + 1) / 2, [parse(decode(numbers)) for numbers in text]


def _figures(scenes, asked):
    """name -> value of every measure."""
    verdicts = _judge(scenes, asked)
    right = verdicts.all_right()
    unseen = right[[any(map(is_unseen, pieces)) for pieces in asked]]
    flat = 2 * scenes[:PIXEL_ROWS].reshape(-1, math.prod(Scenes.shape)).astype(np.float64)
    values = (*map(np.mean, verdicts), right.mean(), unseen.mean() if len(unseen) else math.nan)
    spreads = metrics.mean_distance(flat, flat), _spread_of_one(scenes, asked)
    return dict(zip(MEASURES, (*map(float, values), *spreads), strict=True))


def _spread_of_one(scenes, asked):
    """The mean distance, on average over the scenes asked for, of two different samples of one; −1 to 1 a pixel."""
    groups = {}
    for scene, pieces in zip(scenes, asked, strict=True):
        groups.setdefault(pieces, []).append(2 * scene.ravel().astype(np.float64))
    several = [np.array(group) for group in groups.values() if len(group) > 1]
    distances = [metrics.mean_distance(rows, rows) * len(rows) / (len(rows) - 1) for rows in several]
    return float(np.mean(distances)) if distances else math.nan


def _judge(scenes, asked):
    ink = scenes.max(axis=1)
    bright = ink >= BRIGHT
    verdicts = Verdicts(*np.ones((3, len(scenes)), bool))
    allowed = np.zeros(bright.shape, bool)
    for place, (rows, columns) in PLACES.items():
        # a scene has a place once at most, so that no row comes twice
        chosen = [(i, piece) for i, pieces in enumerate(asked) for piece in pieces if piece.place == place]
        if not chosen:
            continue
        index = np.array([i for i, _ in chosen])
        rim, quarter = (rows.stop - rows.start) // 12, (columns.stop - columns.start) // 4
        allowed[index, rows.start + rim : rows.stop - rim, columns.start + rim : columns.stop - rim] = True
        middle = bright[index, rows, columns.start + quarter : columns.stop - quarter]
        verdicts.places[index] &= middle.mean(axis=(1, 2)) >= FILLED
        window = ink[index, rows, columns]
        verdicts.digits[index] &= _read(window) == [piece.digit for _, piece in chosen]
        wanted = [COLOURS[piece.colour] for _, piece in chosen]
        verdicts.colours[index] &= _are_coloured(scenes[index, :, rows, columns], window, wanted)
    stray = (bright & ~allowed).sum(axis=(1, 2))
    verdicts.places[stray > STRAY * bright.sum(axis=(1, 2))] = False
    return verdicts


def _read(ink):
    """The digits (n,) that the classifier reads in places (n, side, side), from 0 dark to 1 bright."""
    top = np.maximum(ink.max(axis=(1, 2), keepdims=True), BRIGHT)
    ink = np.maximum(ink / top - FLOOR, 0) / (1 - FLOOR)
    if ink.shape[1] == SMALL:
        ink = ink[:, ENLARGED][:, :, ENLARGED]
    padded = np.pad(ink, ((0, 0), (BORDER, BORDER), (BORDER, BORDER)))
    return classifier.probabilities(2 * padded.reshape(-1, SIDE**2) - 1).argmax(axis=1)


def _are_coloured(pixels, ink, wanted):
    """Whether places (n, 3, side, side) are of the colours wanted, (n, 3); bool (n,)."""
    weight = np.maximum((ink**2).sum(axis=(1, 2)), 1e-6)  # of darkness, which has no colour
    colour = (pixels * ink[:, None]).sum(axis=(2, 3)) / weight[:, None]
    return np.linalg.norm(colour - wanted, axis=1) < NEAR
