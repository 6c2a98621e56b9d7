"""The training loop: what `GAN.fit` does.

A training step is so many discriminator steps, then so many generator steps. A run is a row of stretches of equal
training steps, each ending in a look: the logged scores become history, and the state is copied if all of it is finite.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from numgan.data.rows import Rows
from numgan.data.stream import Shuffled, data_stream, epoch_stream, noise_stream
from numgan.errors import ArgumentError, Error, whole
from numgan.gan.history import History, ScoreLog
from numgan.hints import Numbers, Rng, Source

if TYPE_CHECKING:
    from numgan.gan.model import GAN

Callback = Callable[[int, History], Any]  # callback(steps done, history); True ends the training


class NonFiniteError(Error, FloatingPointError):
    """Training produced an infinity or a NaN; the message says at which step and in which tensor."""


class Part(NamedTuple):
    """So many training steps of one batch size: of an epoch, or of an endless run."""

    batch_size: int
    discriminator_steps: int
    times: int


class Stretch(NamedTuple):
    """So many equal training steps in a row: `done` steps are done then, and `report` says whether to tell."""

    step: TrainingStep
    length: int
    done: int
    report: bool


class Look(NamedTuple):
    """The state as of the last good look, and how many looks there had been: in one name, which no interrupt splits."""

    state: dict
    looks: int


class TrainingStep:
    """Fresh rows and noise for every discriminator step, fresh noise for every generator step.

    order   None, for rows drawn from `data` at random, or a `Shuffled` that hands out each row once an epoch.
    scores  those that a log keeps: of the last discriminator step on real and on fake rows, and of the last generator
            step. A side that does not play has none.
    """

    def __init__(
        self,
        gan: GAN,
        data: Source,
        batch_size: int,
        rng: Rng | None,
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        order: Shuffled | None = None,
    ) -> None:
        rows = gan.rows_per_step(batch_size)
        dtype, lead = gan.generator.dtype, gan.generator.replicas
        latent = gan.generator.shapes[0]
        if order:
            self.real = epoch_stream(order, (rows, *data.shape), dtype)
        else:
            self.real = data_stream(data, rng, (*lead, rows), dtype)
        self.noise = noise_stream(rng, (*lead, rows), latent, dtype)
        self.generator_noise = noise_stream(rng, (*lead, batch_size), latent, dtype)
        self.discriminator_steps, self.generator_steps = range(discriminator_steps), range(generator_steps)
        self.discriminator = gan.discriminator_step(rows) if discriminator_steps else None
        self.generator = gan.generator_step(batch_size) if generator_steps else None
        self.scores = []
        if self.discriminator:
            self.scores += [self.discriminator.real_scores, self.discriminator.fake_scores]
        if self.generator:
            self.scores.append(self.generator.scores)

    def log(self, steps: int) -> ScoreLog:
        """A `ScoreLog` for so many of these."""
        kept = iter(self.scores)
        plays = (self.discriminator, self.discriminator, self.generator)
        return ScoreLog(steps, [next(kept).shape if side else None for side in plays], self.scores[0].dtype)

    def run(self) -> None:
        for _ in self.discriminator_steps:
            self.discriminator.run(self.real.next(), self.noise.next())
        for _ in self.generator_steps:
            self.generator.run(self.generator_noise.next())


def fit(
    gan: GAN,
    data: Source | Numbers,
    steps: int | None,
    batch_size: int,
    rng: Rng | None,
    every: int,
    callback: Callback | None,
    epochs: int | None,
    discriminator_steps: int,
    generator_steps: int,
) -> History:
    """See `GAN.fit`."""
    by_epochs = epochs is not None
    if steps is not None and by_epochs:
        raise ArgumentError(f"fit: give steps or epochs, not both; got steps={steps}, epochs={epochs}")
    length = whole("fit: epochs" if by_epochs else "fit: steps", epochs if by_epochs else steps, 0)
    batch_size, every = whole("fit: batch_size", batch_size), whole("fit: every", every)
    discriminator_steps = whole("fit: discriminator_steps", discriminator_steps, 0)
    generator_steps = whole("fit: generator_steps", generator_steps, 0)
    if discriminator_steps == generator_steps == 0:
        raise ArgumentError("fit: discriminator_steps and generator_steps are both 0; nothing would be trained")
    history, good = History(gan.objective), None
    try:
        data = as_source(gan, data)
        if by_epochs:
            parts = _bind_epoch(gan, data, batch_size, rng, discriminator_steps, generator_steps)
            total = length * sum(part.times for _, part in parts)
        else:
            step = TrainingStep(gan, data, batch_size, rng, discriminator_steps, generator_steps)
            parts, total = [(step, Part(batch_size, discriminator_steps, sys.maxsize))], length
        logs = {step: step.log(min(every, max(total, 1))) for step, _ in parts}
        good = Look(gan.state_dict(), 0)
        if callback and callback(0, history):
            return history
        with np.errstate(all="ignore"):  # the look at the losses reports what goes wrong, once
            for stretch in stretches(parts, total, every):
                step, log = stretch.step, logs[stretch.step]
                for _ in range(stretch.length):
                    step.run()
                    log.write(step.scores)
                good = look(gan, history, log)
                if stretch.report and callback and callback(stretch.done, history):
                    break
    except (NonFiniteError, KeyboardInterrupt) as error:
        if good:
            gan.load_state_dict(good.state)
            history.cut(good.looks)
        error.history = history
        raise
    return history


def as_source(gan: GAN, data: Source | Numbers) -> Source:
    """The data as a source of rows that the discriminator can read."""
    data = data if hasattr(data, "sample") else Rows(data)
    wanted = gan.discriminator.shapes[0]
    if tuple(data.shape) != wanted:
        raise ArgumentError(f"the data has rows of shape {tuple(data.shape)}, the discriminator expects {wanted}")
    return data


def epoch(gan: GAN, length: int, batch_size: int, discriminator_steps: int) -> list[Part]:
    """The `Part`s of an epoch: the training steps that see each of `length` rows once.

    Each discriminator step takes a batch. When the whole batches of an epoch do not divide by the discriminator
    steps of a training step, the last training step on them has fewer; one more takes the partial batch.
    """
    rows = gan.rows_per_step(batch_size)
    whole_batches, left = divmod(length, rows)
    times, fewer = divmod(whole_batches, max(1, discriminator_steps))
    parts = (
        Part(batch_size, discriminator_steps, times),
        Part(batch_size, fewer, int(fewer > 0)),
        Part(left * batch_size // rows, min(1, discriminator_steps), int(left > 0)),
    )
    return [part for part in parts if part.times]


def _bind_epoch(gan, data, batch_size, rng, discriminator_steps, generator_steps):
    """[(TrainingStep, Part)] of an epoch."""
    if not hasattr(data, "take"):
        raise ArgumentError(f"fit: {type(data).__name__} draws its rows afresh and has no epochs; give steps")
    order = Shuffled(data, rng)
    return [
        (TrainingStep(gan, data, part.batch_size, rng, part.discriminator_steps, generator_steps, order=order), part)
        for part in epoch(gan, len(data), batch_size, discriminator_steps)
    ]


def stretches(parts: list[tuple[TrainingStep, Part]], total: int, every: int) -> Iterator[Stretch]:
    """`Stretch`es up to `total` steps of [(TrainingStep, Part)], repeated. They are cut after every `every` steps,
    which is when to report; also at the end of an epoch, but not before its last, partial batch.
    """
    done = 0
    for step, part in itertools.cycle(parts):
        end = min(done + part.times, total)
        while done < end:
            length = min(end - done, every - done % every)
            done += length
            end_of_epoch = done == end and step is parts[-1][0]
            yield Stretch(step, length, done, done % every == 0 or done == total or end_of_epoch)
        if done == total:
            return


def look(gan: GAN, history: History, log: ScoreLog) -> Look:
    """Move the logged steps to the history; returns the `Look`, or raises NonFiniteError."""
    start = len(history)
    bad_loss, state = history.add(log), gan.state_dict()
    bad_tensor = next((name for name, a in state.items() if not np.isfinite(a).all()), None)
    if bad_loss or bad_tensor:
        what = [f"{bad_loss[1]} at step {bad_loss[0]}"] if bad_loss else []
        what += [f"{bad_tensor} by step {len(history)}"] if bad_tensor else []
        raise NonFiniteError(f"not finite: {' and '.join(what)}; kept the last good state, after step {start}")
    return Look(state, history.looks)
