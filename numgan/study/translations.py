"""How good pictures made from other pictures are: each beside what it should be, and beside what it was made from."""

from __future__ import annotations

import numpy as np

from numgan.data import DataError, Pairs
from numgan.data.idx import SIDE
from numgan.data.pairs import CANVAS
from numgan.errors import indices, instance, real_array
from numgan.hints import Array
from numgan.study import classifier, metrics
from numgan.study.evaluation import COLLAPSED, Evaluation, Measure

MEASURES = {
    "l1": "lower: 0 is the target, pixel by pixel",
    "sharpness": "like real: less is blurred, more is noise",
    "spread": "like real: far less is one picture for any input",
    "chroma": "like real: less is greyer",
    "read_right": "higher: digits that still read as what they are",
    "label_probability": "higher: and how surely",
}


def evaluate_translations(made: Array, held_out: Pairs, rows: Array) -> Evaluation:
    """Compare pictures made from held-out inputs, (n, channels, height, width), with the targets of these inputs.
    Pixels beyond [-1, 1] are clipped.

    rows: n whole numbers, (n,): the pair of `held_out` that each picture was made for.

    Every measure is taken of the pictures made, of their targets as real data, and, as the least that a translation has
    to beat, of the inputs as they are: grey in all channels where they have one. (Of no input where it has another size
    than a target, or other colours.)
        l1                 mean |made − target| over pixels and channels, −1 to 1: [PIX], equation 3.
        sharpness          root mean square difference of neighbouring pixels, down and right. Blur lowers it: a step of
                           1 spread over k pixels has k squares of 1/k². The mean size would stay as it is.
        spread             mean Euclidean distance of two pictures, whatever they were made for.
    In three channels:
        chroma             mean of a pixel's largest less its smallest channel: 0 in grey, up to 2.
    Where targets are 32x32 digits with labels, as in `load_outline_pairs_split`; their middle 28x28 pixels are read by
    `numgan.study.classifier`:
        read_right         share read as the label.
        label_probability  mean probability of the label.

    Training on l1 alone makes a picture the median of what it might be, which is blurred and, as [PIX] find, greyer;
    an adversary has to show in sharpness and chroma, and may cost a little of l1.

    Collapsed are pictures whose spread is below a tenth of that of their targets: they hardly depend on their input.

    [PIX]: Isola, Zhu, Zhou & Efros 2017, arXiv:1611.07004; section 4.2 on what l1 does to colours. Raises DataError or
    ArgumentError for arrays that do not fit.
    """
    held_out = instance("evaluate_translations: held_out", held_out, Pairs)
    made = real_array("evaluate_translations: made", made)
    if made.shape[1:] != held_out.shape or len(made) == 0:
        expected = ", ".join(map(str, held_out.shape))
        raise DataError(f"translations have the shape (n, {expected}), got {made.shape}")
    n = len(made)
    rows = indices("evaluate_translations: rows", rows, n, len(held_out))
    target, image = (np.empty((n, *shape)) for shape in (held_out.shape, held_out.conditions["image"]))
    held_out.take(rows, target, image)
    labels = None if held_out.labels is None or held_out.shape != (1, CANVAS, CANVAS) else held_out.labels[rows]
    ours, real, given = (
        None if pictures is None else _figures(pictures, target, labels)
        for pictures in (np.clip(made, -1, 1).astype(np.float64), target, _as_made(image, target.shape))
    )
    measures = [
        Measure(name, ours[name], real[name], better, given and given[name])
        for name, better in MEASURES.items()
        if name in ours
    ]
    collapsed = None
    if ours["spread"] < COLLAPSED * real["spread"]:
        collapsed = f"the pictures' spread is {ours['spread']:.3g}, where their targets have {real['spread']:.3g}"
    return Evaluation(measures, [held_out.source], collapsed)


def _as_made(image, shape):
    """Inputs in the shape of targets, or None."""
    fits = image.shape[2:] == shape[2:] and image.shape[1] in (1, shape[1])
    return np.broadcast_to(image, shape) if fits else None


def _figures(pictures, target, labels):
    """name -> value of each measure that pictures (n, channels, height, width) have."""
    flat = pictures.reshape(len(pictures), -1)
    figures = {
        "l1": float(np.abs(pictures - target).mean()),
        "sharpness": _sharpness(pictures),
        "spread": metrics.mean_distance(flat, flat),
    }
    if pictures.shape[1] == 3:
        figures["chroma"] = float((pictures.max(axis=1) - pictures.min(axis=1)).mean())
    if labels is not None:
        read = classifier.probabilities(_middle(pictures))
        figures["read_right"] = float((read.argmax(axis=1) == labels).mean())
        figures["label_probability"] = float(read[np.arange(len(read)), labels].mean())
    return figures


def _sharpness(pictures):
    steps = [np.diff(pictures, axis=axis) for axis in (2, 3)]
    return float(np.sqrt(sum((step**2).sum() for step in steps) / max(1, sum(step.size for step in steps))))


def _middle(pictures):
    """Digits (n, 1, 32, 32) as the classifier takes them, (n, 784)."""
    margin = (CANVAS - SIDE) // 2
    middle = pictures[:, 0, margin : margin + SIDE, margin : margin + SIDE]
    return middle.reshape(-1, SIDE * SIDE).astype(np.float32)
