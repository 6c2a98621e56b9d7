"""How a training is cut: an epoch into portions of one batch size, a run into stretches of equal steps."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from numgan.gan.steps import UPDATES


class Portion(NamedTuple):
    """So many training steps of one batch size: of an epoch, or of an endless run."""

    batch_size: int
    discriminator_steps: int
    times: int


def endless(batch_size: int, discriminator_steps: int) -> list[Portion]:
    """The one `Portion` of a run by steps."""
    return [Portion(batch_size, discriminator_steps, sys.maxsize)]


class Stretch(NamedTuple):
    """So many equal training steps in a row: `done` steps are done then.

    look    whether the scores become history and the state is copied then.
    report  whether to call back then; a report always comes with a look.
    """

    step: Any
    length: int
    done: int
    look: bool
    report: bool


def epoch(rows: int, length: int, batch_size: int, discriminator_steps: int) -> list[Portion]:
    """The `Portion`s of an epoch: the training steps that see each of `length` rows once, `rows` of them in each
    discriminator step, see `GAN.rows_per_step`.

    Each discriminator step takes a batch. When the whole batches of an epoch do not divide by the discriminator
    steps of a training step, the last training step on them has fewer; one more takes the partial batch.
    """
    whole_batches, left = divmod(length, rows)
    times, fewer = divmod(whole_batches, max(1, discriminator_steps))
    portions = (
        Portion(batch_size, discriminator_steps, times),
        Portion(batch_size, fewer, int(fewer > 0)),
        Portion(left * batch_size // rows, min(1, discriminator_steps), int(left > 0)),
    )
    return [portion for portion in portions if portion.times]


def updates(portions: Sequence[Portion], steps: int, generator_steps: int, schedule: str) -> tuple[int, int]:
    """How many updates the generator and the discriminator make in the first `steps` training steps of the portions,
    repeated.
    """
    epochs, left = divmod(steps, sum(portion.times for portion in portions))
    discriminator_steps = epochs * sum(portion.times * portion.discriminator_steps for portion in portions)
    for portion in portions:
        discriminator_steps += min(left, portion.times) * portion.discriminator_steps
        left -= min(left, portion.times)
    return steps * generator_steps, discriminator_steps * UPDATES[schedule]


def stretches(
    repeated: Sequence[tuple[Any, Portion]],
    total: int,
    every: int,
    looks: int,
    start: int = 0,
    cuts: Sequence[int] = (),
) -> Iterator[Stretch]:
    """`Stretch`es from `start` to `total` steps of [(step, Portion)], repeated.

    Reports come after every `every` steps, at the end of an epoch (but not before its last, partial batch) and at the
    end; looks come with them, after every `looks` steps, and where a portion ends. Multiples of `cuts` end a stretch.
    """
    cuts = (every, looks, *cuts)
    first = start - start % sum(portion.times for _, portion in repeated)  # of the epoch that `start` lies in
    for step, portion in itertools.cycle(repeated):
        end = min(first + portion.times, total)
        done = max(first, start)
        while done < end:
            length = min(end - done, *(cut - done % cut for cut in cuts))
            done += length
            report = done % every == 0 or done == total or (done == end and step is repeated[-1][0])
            yield Stretch(step, length, done, report or done % looks == 0 or done == end, report)
        if end == total:
            return
        first = end
