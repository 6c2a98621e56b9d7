"""What goes on beside a training: the progress shown or logged, the moments kept for evolution.png, the watch for the
end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import ArgumentError, shown
from numgan.gan.insides import SIDES
from numgan.gan.parts import Parts, RandomState
from numgan.hints import Named, Numbers, Rng
from numgan.progress import progress_bar
from numgan.study.live import LINE, LiveTable, layer_lines
from numgan.study.plots import as_png

if TYPE_CHECKING:
    from numgan.gan.equilibrium import Equilibrium
    from numgan.gan.history import History
    from numgan.gan.model import GAN
    from numgan.study.event_log import EventLog
    from numgan.study.recipes.recipe import Asked

MORE = {  # columns that are shown too where the insides are, and what they are called
    "g_loss": "generator: loss", "d_real": "D(x)", "d_fake": "D(G(z))", "score_real": "D(x)", "score_fake": "D(G(z))",
    "penalty": "penalty", "gradient_norm": "‖∇D‖",
}  # fmt: skip
MOMENTS = 42  # kept at most; evolution.png shows a dozen of them


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
        for entry in (name for name in arrays if name != "stride"):  # in order: files are the same to the byte
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
    """The callback of a run: shows and logs the progress, takes the moments, and ends the training at the equilibrium
    where asked to.

    say      None, or what a line of progress is said by.
    watched  whether there are insides to be shown.
    live     whether they are shown as a table that is drawn in place; `say` prints in a terminal then.
    log      None, or the `EventLog` that is told everything too.

    parts    what of it belongs to the run's state.
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
        watched: bool = False,
        live: bool = False,
        log: EventLog | None = None,
    ) -> None:
        self.equilibrium, self.say, self._every, self._line_every, self._total = (
            equilibrium, say, every, line_every, total
        )  # fmt: skip
        noise = gan.draw_noise(recipe.snapshot_count, rng)  # the same at every moment
        self.moments = Moments(lambda: recipe.moment(gan, noise, rng, asked), line_every, rng)
        self.parts = Parts(pictures=RandomState(rng), moments=self.moments)
        if equilibrium:
            self.parts["equilibrium"] = equilibrium
        self._live = LiveTable(say, total) if say and live else None
        self.bar = progress_bar(total, "step", quiet=not say or live)
        self._log, self._draw = log, recipe.draw
        self._networks = dict(zip(SIDES, (gan.generator, gan.discriminator), strict=True))
        self._shown = [*gan.objective.watched, *(gan.l1.watched if gan.l1 else ())]
        if watched:
            known = {*gan.objective.columns, *(gan.penalty.columns if gan.penalty else ())}
            known -= {column for _, column, _ in self._shown}
            self._shown += [(heading, column, ".4f") for column, heading in MORE.items() if column in known]
        self._heading = "   ".join([f"{'step':>8}", *(heading for heading, _, _ in self._shown)])

    def _say(self, text):
        """Say a line, the first under the heading. The table has no place for it."""
        if self.say and not self._live:
            with self.bar.external_write_mode():
                if self._heading:
                    self.say(self._heading)
                self._heading = None
                self.say(text)

    def __call__(self, done: int, record: History) -> bool:
        reached = bool(self.equilibrium and done and self.equilibrium.check(done))
        self.moments.at(done)
        if done and (done % self._line_every == 0 or done == self._total or reached):
            self._say(self._line(done, record))
            if record.insides:
                self._say("\n".join(f"{'':11}{line}" for line in layer_lines(record.insides, LINE - 11)))
        if self._live:
            means = [(heading, record.last_mean(column, self._every, form)) for heading, column, form in self._shown]
            self._live.draw(done, means, record.insides)
        if self._log:
            self._write(done, record)
        self.bar.update(done - self.bar.n)
        return reached

    def _write(self, done, record):
        """Tell the log: the means of the last stretch, what is inside, and at a moment its picture and the weights."""
        last = {f"game.{name}": record.last(name, self._every) for name in record.columns}
        self._log.scalars(done, {name: float(values.mean()) for name, values in last.items() if values.size})
        if record.insides:
            self._log.scalars(done, {name: float(record.insides[name][-1]) for name in record.insides.columns})
        if done % self._line_every == 0:
            step, moment = self.moments.taken[-1]
            if step == done:
                self._log.picture(done, "moment", as_png(lambda axes: self._draw(axes, moment)))
            for side, network in self._networks.items():
                for name, array in network.parameters().items():
                    self._log.histogram(done, f"{side}.{name}", array)
        self._log.flush()

    def kept(self, done: int) -> None:
        """Say that a checkpoint has been written."""
        if done:
            self._say(f"{done:>8,}   checkpoint")

    def close(self) -> None:
        """End what is shown and what is logged."""
        self.bar.close()
        if self._log:
            self._log.close()

    def _line(self, done, record):
        """The last stretch's means, as a row under the heading."""
        cells = [
            record.last_mean(column, self._every, form).rjust(len(heading)) for heading, column, form in self._shown
        ]
        return "   ".join([f"{done:>8,}", *cells])
