"""Samples that repeat: those that are most alike, each beside the samples and the training pictures nearest to it.

A collapse is seen in the samples beside it, copying in the training pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numgan.data import DataError, Images, Labelled
from numgan.data.images import ByteRows, to_pixels, to_unit_range
from numgan.data.mnist import Digits
from numgan.hints import Array, FileName
from numgan.study import metrics, plots

ROWS, NEAREST = 8, 5  # samples shown; of either kind beside each
MOST = 1_000  # samples that are looked through


def draw(samples: Array, training: Any, held_out: Any, title: str, path: FileName) -> None:
    """Draw the samples, (n, *shape) with pixels from -1 to 1, that have the nearest others: a row each, with its
    nearest other samples and its nearest training pictures, pixel by pixel.

    training, held_out  Digits, Images or Labelled of either; DataError for any other, whose rows nobody can look
                        through, and for fewer samples than a row shows.

    The title gives the median distances to the nearest, and those of as many held-out pictures.
    """
    train, held = (_pictures(data) for data in (training, held_out))
    samples = np.clip(samples[:MOST], -1, 1).astype(np.float32).reshape(-1, *train.shape[1:])
    if len(samples) <= NEAREST:
        raise DataError(f"cannot show which of {len(samples)} samples repeat; expected more than {NEAREST}")
    train_rows, held_rows = (to_unit_range(x).reshape(len(x), -1) for x in (train, held[:MOST]))
    rows = samples.reshape(len(samples), -1)
    count = min(len(rows), len(held_rows))  # the more there are, the nearer is the nearest
    medians = [
        float(np.median(distances[:, 0]))
        for x in (rows[:count], held_rows[:count])
        for distances, _ in (nearest_others(x, 1), metrics.nearest_rows(x, train_rows, 1))
    ]
    distances, others = nearest_others(rows, NEAREST)
    chosen = _most_repeated(distances[:, -1], others)
    _, copied = metrics.nearest_rows(rows[chosen], train_rows, NEAREST)
    pixels = to_pixels(samples)
    title += (
        f"\nmedian distance to the nearest other: samples {medians[0]:.3g}, real {medians[2]:.3g}"
        f"\nto the nearest training picture: samples {medians[1]:.3g}, real {medians[3]:.3g}"
    )
    blocks = {
        "sample": pixels[chosen],
        "the samples nearest to it": pixels[others[chosen].ravel()],
        "the training pictures nearest to it": train[copied.ravel()],
    }
    plots.side_by_side(blocks, len(chosen), title, path)


def can_be_drawn(data: Any) -> bool:
    """Whether a data set has pictures to look through."""
    return isinstance(data.rows if isinstance(data, Labelled) else data, Digits | Images)


def _pictures(data):
    """The pictures of a data set, uint8 (N, channels, height, width)."""
    if not can_be_drawn(data):
        raise DataError(f"{data.source} are no pictures to look through, so samples have no neighbours among them")
    rows: ByteRows = data.rows if isinstance(data, Labelled) else data
    return rows.as_images().images if isinstance(rows, Digits) else rows.images


def nearest_others(rows: Array, k: int) -> tuple[Array, Array]:
    """(distances, indices), each (n, k): of each of `rows` (n, d), n > k, to the k nearest others, nearest first."""
    distances, index = metrics.nearest_rows(rows, rows, k + 1)
    itself = index == np.arange(len(rows))[:, None]
    itself[~itself.any(axis=1), -1] = True  # more equal ones than are asked for
    return tuple(a[~itself].reshape(len(rows), k) for a in (distances, index))


def _most_repeated(farthest, others):
    """The samples whose k-th nearest other is nearest, none of which has been shown beside one before."""
    chosen, seen = [], set()
    for i in np.argsort(farthest, kind="stable"):
        if i not in seen and len(chosen) < ROWS:
            chosen.append(i)
            seen |= {i, *others[i]}
    return np.array(chosen)
