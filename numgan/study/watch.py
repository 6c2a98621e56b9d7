"""What goes on beside a training: the progress shown, the moments kept for evolution.png, the watch for the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from numgan.errors import ArgumentError, shown
from numgan.gan.parts import Parts, RandomState
from numgan.hints import Named, Numbers, Rng

if TYPE_CHECKING:
    from numgan.gan.equilibrium import Equilibrium
    from numgan.gan.history import History
    from numgan.gan.model import GAN
    from numgan.study.recipes.recipe import Asked

MOMENTS = 42  # kept at most; evolution.png shows half of them


class Moments:
    """Pictures of the training as it was, for evolution.png: [(step, name -> array)], taken at equal intervals.

    take   take() gives one, arrays by name; rng is the random generator that it draws from.
    every  steps between two, doubled (and every other one dropped) when there are more than MOMENTS.

    A part of the run: a training that is resumed has the moments of one that ran through.
    """

    def __init__(self, take: Callable[[], Named], every: int, rng: Rng) -> None:
        self._take, self._every, self._rng = take, every, rng
        self._stride, self.taken = 1, []

    def at(self, done: int) -> None:
        """Take one, if it is time for one."""
        if done % (self._every * self._stride) == 0:
            self.taken.append((done, self._take()))
            if len(self.taken) > MOMENTS:
                del self.taken[1::2]
                self._stride *= 2

    def up_to(self, done: int) -> list[tuple[int, Named]]:
        """All that were taken, and one of now if the last is older."""
        now = self.taken[-1][0] if self.taken else None
        return self.taken if now == done else [*self.taken, (done, self._take())]

    def state_dict(self) -> Named:
        """stride, and every moment's arrays as "step/name"; they are never written again."""
        moments = {f"{step}/{name}": a for step, moment in self.taken for name, a in moment.items()}
        return {"stride": np.array(self._stride)} | moments

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Raise ValueError unless these are moments as this run takes them, at the steps at which it does."""
        self._read(arrays)

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Have taken these."""
        self._stride, self.taken = self._read(arrays)

    def _read(self, arrays):
        """(stride, moments) of a state."""
        stride = np.asarray(arrays.get("stride", 0))
        if stride.shape != () or stride.dtype.kind != "i" or not 0 < stride < 2**40:
            raise ArgumentError(f"the moments' stride must be a whole number from 1 up, got {shown(stride)}")
        taken = {}
        for entry in arrays.keys() - {"stride"}:
            step, _, name = entry.partition("/")
            if not (step.isascii() and step.isdecimal() and len(step) < 16):
                raise ArgumentError(f"a moment's array is called step/name, got {shown(entry)}")
            taken.setdefault(int(step), {})[name] = np.array(arrays[entry])
        steps = [self._every * int(stride) * i for i in range(len(taken))]
        if sorted(taken) != steps or len(taken) > MOMENTS:
            raise ArgumentError(f"{len(taken)} moments of a run are not at the steps at which it takes them")
        before = self._rng.bit_generator.state
        like = _described(self._take())
        self._rng.bit_generator.state = before
        if any(_described(moment) != like for moment in taken.values()):
            raise ArgumentError("the moments of a run are of other arrays than it takes")
        return int(stride), sorted(taken.items())


def _described(moment):
    return {name: (a.dtype, a.shape) for name, a in moment.items()}


class Watch:
    """The callback of a run: moves the progress bar, takes the moments, and ends the training at the equilibrium where
    asked to.

    parts  what of it belongs to the run's state.
    """

    def __init__(
        self,
        recipe: Any,
        gan: GAN,
        rng: Rng,
        asked: Asked,
        every: int,
        line_every: int,
        total: int,
        equilibrium: Equilibrium | None,
        say: Callable[[str], None] | None,
    ) -> None:
        self.equilibrium, self.say, self._every, self._line_every, self._total = (
            equilibrium, say, every, line_every, total
        )  # fmt: skip
        noise = gan.draw_noise(recipe.snapshot_count, rng)  # the same at every moment
        self.moments = Moments(lambda: recipe.moment(gan, noise, rng, asked), line_every, rng)
        self.parts = Parts(pictures=RandomState(rng), moments=self.moments)
        if equilibrium:
            self.parts["equilibrium"] = equilibrium
        self.bar = tqdm(total=total, unit="step", disable=None if say else True, dynamic_ncols=True)
        self._shown = [*gan.objective.watched, *(gan.l1.watched if gan.l1 else ())]
        self._heading = "   ".join([f"{'step':>8}", *(heading for heading, _, _ in self._shown)])

    def _say(self, text):
        """Say a line, the first under the heading."""
        if self.say:
            with tqdm.external_write_mode():
                if self._heading:
                    self.say(self._heading)
                self._heading = None
                self.say(text)

    def __call__(self, done: int, record: History) -> bool:
        reached = bool(self.equilibrium and done and self.equilibrium.check(done))
        self.moments.at(done)
        if done and (done % self._line_every == 0 or done == self._total or reached):
            self._say(self._line(done, record))
        self.bar.update(done - self.bar.n)
        return reached

    def kept(self, done: int) -> None:
        """Say that a checkpoint has been written."""
        if done:
            self._say(f"{done:>8,}   checkpoint")

    def _line(self, done, record):
        """The last stretch's means, as a row under the heading."""
        cells = [
            last_mean(record, column, self._every, form).rjust(len(heading)) for heading, column, form in self._shown
        ]
        return "   ".join([f"{done:>8,}", *cells])


def last_mean(record: History, column: str, steps: int, form: str) -> str:
    """The mean of a column over its last steps as text, or a dash where the column has a gap."""
    value = float(record[column][-steps:].mean())
    return "—" if math.isnan(value) else format(value, form)
