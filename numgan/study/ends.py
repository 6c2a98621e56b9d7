"""How a GAN's training is lost without a number that stops it: the known ends, told from what is left of a run.

Goodfellow 2016, NIPS 2016 tutorial, arXiv:1701.00160, section 5, and Arjovsky & Bottou 2017, arXiv:1701.04862, describe
them. The bounds below lie far beyond where the recipes go at their defaults. There, over the last 200 steps of `sine`,
`mnist` and `mnist-epochs`, a batch's mean D is at least 0.3 on real rows and at most 0.7 on generated ones, the
generator's loss at least 0.3 and on average about 1; and after the first 200 steps the samples of every look spread 0.7
to 1.3 times as far as the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from numgan.hints import Array

if TYPE_CHECKING:
    from numgan.gan.history import History
    from numgan.gan.model import GAN

WINDOW = 200  # steps looked at, the last ones
LEAST = 2 * WINDOW  # steps before anything is said: at the start a discriminator may well be certain for a while
CERTAIN = 0.01  # D's mean is within this of 1 on every real batch, and of 0 on every generated one
NO_GRADIENT = 1e-3  # of the slope of the generator's loss at the score, which is 1 at most
SPREADS = (0.1, 100.0)  # the samples' standard deviation over the data's; `evaluate` looks closer
# A cross-entropy beyond this is of a probability that no float32 can hold; a critic's scores beyond 1/ε no longer tell
# rows apart that differ by 1.
LOSS = -math.log(np.finfo(np.float32).tiny)
SCORE = 1 / float(np.finfo(np.float32).eps)


def ends(
    gan: GAN,
    history: History,
    samples: Array,
    rows: Array,
    asked: Mapping[str, Array] = MappingProxyType({}),
    given: Mapping[str, Array] = MappingProxyType({}),
) -> list[str]:
    """The known ends that a training has come to: a sentence each, with the number that shows it.

    samples, rows   generated and real rows (n, *shape), some hundreds of either.
    asked, given    the conditions of the former and of the latter.

    What is judged is how the last 200 steps went and what there is now; nothing is said of fewer than 400 steps. Where
    a side is frozen, only a loss without bound is an end.
    """
    if len(history) < LEAST:
        return []
    last = {name: history[name][-WINDOW:] for name in history.objective.columns}
    last = {name: values for name, values in last.items() if np.isfinite(values).all()}  # a gap is a side at rest
    found = _grown(last, history.objective.probabilities)
    if len(last) == len(history.objective.columns):  # both play: to lose against one that rests is no end of a game
        found += _certain(last)
        found += _no_gradient(gan, history.objective, last, ((samples, asked), (rows, given)))
        found += _spread(samples, rows)
    return found


def _grown(last, probabilities):
    """A loss or score beyond all bounds; the first column alone, as others are made of it."""
    bound = LOSS if probabilities else SCORE
    for name, values in last.items():
        size = np.abs(values).mean()
        if size > bound:
            return [f"{name} has grown without bound: mean size {size:.3g} over the last {WINDOW} steps"]
    return []


def _certain(last):
    """A discriminator that is never in doubt."""
    if not {"d_real", "d_fake"} <= last.keys():  # a critic's scores are no probabilities
        return
    real, fake = last["d_real"].min(), last["d_fake"].max()
    if real > 1 - CERTAIN and fake < CERTAIN:
        yield (
            f"the discriminator is certain: in each of the last {WINDOW} steps D is at least {real:.4f} on real rows "
            f"and at most {fake:.2g} on generated ones"
        )


def _no_gradient(gan, objective, last, shown):
    """A generator that nothing tells where to go.

    Of −log D the slope at the score is D − 1, of log(1 − D) it is −D: either is smaller than the loss itself. Any other
    objective's gradient is zero where the discriminator says the same of all rows, as one of dead units does.
    """
    loss = np.abs(last["g_loss"]).max() if objective.probabilities else math.inf
    answers = np.concatenate([_answers(gan.discriminator, *rows) for rows in shown], axis=None)
    if loss < NO_GRADIENT:
        yield f"the generator has no gradient: its loss, which bounds that, is at most {loss:.2g} in size"
    elif np.ptp(answers) == 0:
        yield f"the generator has no gradient: the discriminator says {answers[0]:.4g} of every row, real or not"


def _answers(discriminator, rows, conditions):
    """What the discriminator says of those rows that are finite."""
    finite = np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
    if not finite.any():
        return np.empty(0)
    return discriminator.predict(rows[finite], **{name: c[finite] for name, c in conditions.items()})


def _spread(samples, rows):
    """Samples that are all alike, or beyond all data."""
    with np.errstate(all="ignore"):  # finite weights can make samples that are not
        ours, real = (float(np.sqrt(x.var(axis=0, dtype=np.float64).mean())) for x in (samples, rows))
    if ours < SPREADS[0] * real:
        yield f"the samples have collapsed: their standard deviation is {ours:.2g}, the data's {real:.2g}"
    elif not ours <= SPREADS[1] * real:
        yield f"the samples have left the data: their standard deviation is {ours:.2g}, the data's {real:.2g}"
