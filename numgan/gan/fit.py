"""The training loop: what `GAN.fit` does.

A training step is so many discriminator steps, then so many generator steps. A run is a row of stretches of equal
training steps. Some end in a look: the logged scores become history, what is inside the networks is measured if that
was asked for, and the state of every part is copied if all of it is finite. Whatever stops a training, it goes back to
the last look.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from numgan.data.rows import Rows
from numgan.data.stream import Shuffled, data_stream, epoch_stream, noise_stream, uniform_stream
from numgan.errors import ArgumentError, ArgumentTypeError, Error, flag, generator, mapping, method_of, shown, whole
from numgan.gan.checkpoint import Checkpoint, Look, NoCheckpoint
from numgan.gan.conditions import together
from numgan.gan.history import History, ScoreLog
from numgan.gan.insides import Insides, measure
from numgan.gan.parts import Part, Parts, RandomState
from numgan.gan.replicas import arenas
from numgan.gan.stretches import Portion, Stretch, endless, epoch, stretches
from numgan.gan.team import Team, how_many
from numgan.hints import ConditionalSource, FileName, Numbers, Rng, Source
from numgan.nn.model_file import ModelFileError

if TYPE_CHECKING:
    from numgan.gan.model import GAN
    from numgan.gan.steps import Step

Callback = Callable[[int, History], Any]  # callback(steps done, history); True ends the training

LOG_STEPS = 1_000  # the most steps whose scores are logged before they become history
PART = ("state_dict", "check_state_dict", "load_state_dict")
FINITE_EVERY = 100  # steps between two checks for an infinity or a NaN


class NonFiniteError(Error, FloatingPointError):
    """Training produced an infinity or a NaN; the message says at which step and in which tensor.

    >>> gan = GAN(Sequential([Dense(2)], 3, rng), Sequential([Dense(1), Sigmoid()], 2, rng), SGD(1e38), SGD(1e38))
    >>> try:
    ...     gan.fit(SinePoints(), steps=100, batch_size=8, rng=rng)
    ... except NonFiniteError as error:
    ...     print(error)
    not finite: ...; kept the last good state, after step 0
    """


class Request(NamedTuple):
    """What `GAN.fit` was asked for: `steps` or, if that is None, `epochs`."""

    steps: int | None
    epochs: int | None
    batch_size: int
    every: int
    discriminator_steps: int
    generator_steps: int
    insides: bool

    def checked(self) -> Request:
        """The same in plain ints, or an ArgumentError."""
        if self.steps is not None and self.epochs is not None:
            raise ArgumentError(f"fit: give steps or epochs, not both; got steps={self.steps}, epochs={self.epochs}")
        length = "steps" if self.epochs is None else "epochs"
        least = {length: 0, "batch_size": 1, "every": 1, "discriminator_steps": 0, "generator_steps": 0}
        request = self._replace(**{k: whole(f"fit: {k}", getattr(self, k), n) for k, n in least.items()})
        flag("fit: insides", self.insides)
        if request.discriminator_steps == request.generator_steps == 0:
            raise ArgumentError("fit: discriminator_steps and generator_steps are both 0; nothing would be trained")
        return request


class TrainingStep:
    """Fresh rows and noise for every discriminator step, fresh noise for every generator step; where the objective
    compares pairs, fresh rows at random for that too, which do not count as an epoch's. By `shared_fakes` the one
    generator step has all from the last discriminator step.

    rng     one for all, or a list of one for each replica; of orders likewise.
    order   None, for rows drawn from `data` at random, or a `Shuffled` that hands out each row once an epoch.
    drawn   the batches that are drawn and not used yet, as parts.
    scores  those that a log keeps: of the last discriminator step on real and on fake rows, and of the last generator
            step, in pairs on its real rows too. A side that does not play has none.
    norms   a list likewise: of the gradients that a penalty looks at, if there is one.
    errors  and of the generated rows' distances to their targets, if there are any.
    kept    all three, in order: what a log keeps of a step.
    """

    def __init__(
        self,
        gan: GAN,
        data: Source | ConditionalSource,
        batch_size: int,
        rng: Rng | list[Rng],
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        order: Shuffled | list[Shuffled] | None = None,
    ) -> None:
        rows = gan.rows_per_step(batch_size)
        dtype, lead = gan.generator.dtype, gan.generator.replicas
        latent = gan.generator.shapes[0]
        data = together(data, gan.conditions)
        self.split = data.split
        if order:
            self.real = epoch_stream(order, (rows, *data.shape), dtype)
        else:
            self.real = data_stream(data, rng, (*lead, rows), dtype)
        self.noise = noise_stream(rng, (*lead, rows), latent, dtype, gan.noise)
        self.rows, self.drawn = rows, Parts(real=self.real, noise=self.noise)
        self.mix = self.generator_noise = self.generator_real = None
        if not gan.shared_fakes:
            self.generator_noise = noise_stream(rng, (*lead, batch_size), latent, dtype, gan.noise)
            self.drawn["generator_noise"] = self.generator_noise
        if discriminator_steps and gan.penalty and gan.penalty.mixes:
            self.mix = self.drawn["mix"] = uniform_stream(rng, (*lead, rows), dtype)
        if not gan.shared_fakes and (gan.compares or gan.conditions):
            self.generator_real = self.drawn["generator_real"] = data_stream(data, rng, (*lead, batch_size), dtype)
        self.discriminator_steps, self.generator_steps = range(discriminator_steps), range(generator_steps)
        self.discriminator = gan.discriminator_step(rows) if discriminator_steps else None
        self.generator = gan.generator_step(batch_size) if generator_steps else None
        if gan.shared_fakes:
            self.generator = self.discriminator.partner
        self._look_at()

    def _look_at(self):
        """Take for what is logged what the two sides have."""
        d, g = self.discriminator, self.generator
        self.scores = [*([d.real_scores, d.fake_scores] if d else []), *(g.judged if g else [])]
        self.norms = [d.norms] if d and d.norms is not None else []
        self.errors = [g.errors] if g and g.errors is not None else []
        self.kept = [*self.scores, *self.norms, *self.errors]

    @property
    def sides(self) -> list[Step]:
        """The steps of those sides that play."""
        return [side for side in (self.discriminator, self.generator) if side]

    def drawn_after(self, side: Step) -> int:
        """How many numbers are drawn after one of them has played, for that which mostly is next."""
        plays = [self.discriminator for _ in self.discriminator_steps] + [self.generator for _ in self.generator_steps]
        if plays[(plays.index(side) + 1) % len(plays)] is self.discriminator:
            streams = self.real, self.noise, self.mix
        else:
            streams = self.generator_noise, self.generator_real
        return sum(stream.size for stream in streams if stream)

    def move(self, to: Callable[[Step], Step]) -> None:
        """Have other steps in place of the two."""
        self.discriminator, self.generator = (side and to(side) for side in (self.discriminator, self.generator))
        self._look_at()

    def log(self, steps: int) -> ScoreLog:
        """A `ScoreLog` for so many of these."""
        kept, judged = iter(self.kept), len(self.generator.judged) if self.generator else 1
        plays = (self.discriminator, self.discriminator, *[self.generator] * judged, self.norms, self.errors)
        return ScoreLog(steps, [next(kept).shape if side else None for side in plays], self.scores[0].dtype)

    def run(self) -> None:
        for _ in self.discriminator_steps:
            real, conditions = self.split(self.real.next())
            self.discriminator.run(real, self.noise.next(), self.mix and self.mix.next(), conditions)
        for _ in self.generator_steps:
            if self.generator_noise is None:
                self.generator.run()
                continue
            noise = self.generator_noise.next()
            real, conditions = self.split(self.generator_real.next()) if self.generator_real else (None, {})
            self.generator.run(noise, real, conditions)


class Training:
    """A training as it was asked for: the steps it repeats, and all that it consists of in one list.

    parts     every `Part`: those of the GAN, and as "run" the random generator, the batches drawn ahead, the order of
              the epoch, the history, and what the caller handed over.
    settings  what a checkpoint of it must have been asked for too.
    good      the last good `Look`; None before the first.
    """

    def __init__(
        self,
        gan: GAN,
        data: Source | ConditionalSource,
        rng: Rng,
        request: Request,
        more: Mapping[str, Part],
        processes: int | None = None,
    ) -> None:
        self.gan, self.history, self.good = (
            gan,
            History(gan.objective, gan.generator.replicas, gan.penalty, gan.l1),
            None,
        )
        self._every, self._looks = request.every, min(request.every, LOG_STEPS)
        self.settings = {k: getattr(request, k) for k in ("batch_size", "discriminator_steps", "generator_steps")}
        if request.epochs is None:
            portions = endless(request.batch_size, request.discriminator_steps)
            self.total, self._rows = request.steps, None
        else:
            if not hasattr(data, "take"):
                raise ArgumentError(f"fit: {type(data).__name__} draws its rows afresh and has no epochs; give steps")
            rows = gan.rows_per_step(request.batch_size)
            portions = epoch(rows, len(data), request.batch_size, request.discriminator_steps)
            self.total = request.epochs * sum(portion.times for portion in portions)
            self._rows = len(data)
        self.settings["rows"] = self._rows
        self._request, self._portions = request, portions
        run = {"history": self.history} | self._begin(data, rng)
        for name, part in mapping("fit: parts", more).items():
            method_of(f"fit: the part {shown(name)}", part, "a Part", *PART)
            if name in run or "." in name:
                raise ArgumentError(f"fit: a part cannot be called {shown(name)}; taken are {', '.join(run)}")
        self.parts = Parts(gan.parts | {"run": Parts(run | dict(more))})
        self._arenas = arenas(gan)
        self._team = self._team_of(processes)

    def _team_of(self, processes):
        """Who makes the steps."""
        return Team(self.gan, [step for step, _ in self._repeated], self._arenas, how_many(processes))

    def _begin(self, data, rng):
        """Bind the steps that are repeated; what there is of them to be kept, as parts."""
        run, order = {"rng": RandomState(rng)}, None
        if self._rows is not None:
            order = run["order"] = Shuffled(together(data, self.gan.conditions), rng)
        self._repeated = self.bound(self.gan, data, rng, order)
        self._logs = {step: step.log(self.log_length) for step, _ in self._repeated}
        if self._request.insides:
            columns = tuple(measure(self.gan, self._repeated[0][0]))
            run["insides"] = self.history.insides = Insides(columns, self.gan.generator.replicas)
        return run | {f"drawn_{i}": step.drawn for i, (step, _) in enumerate(self._repeated)}

    def bound(
        self,
        gan: GAN,
        data: Source | ConditionalSource,
        rng: Rng | list[Rng],
        order: Shuffled | list[Shuffled] | None,
    ) -> list[tuple[TrainingStep, Portion]]:
        """[(TrainingStep, Portion)] of a GAN, of this one or of a part of it."""
        generator_steps = self._request.generator_steps
        return [
            (TrainingStep(gan, data, p.batch_size, rng, p.discriminator_steps, generator_steps, order), p)
            for p in self._portions
        ]

    @property
    def log_length(self) -> int:
        """The most steps that are logged between two looks."""
        return min(self._looks, max(self.total, 1))

    def run(self, callback: Callback | None, checkpoint: Checkpoint) -> None:
        """Train from where the parts are to the end."""
        with self._team:
            self._run(callback, checkpoint)

    def _run(self, callback, checkpoint):
        for stretch, everything in self.course(callback, checkpoint):
            self._advance(stretch, everything)

    def course(self, callback: Callback | None, checkpoint: Checkpoint) -> Iterator[tuple[Stretch, bool]]:
        """Every `Stretch` whose steps are to be made and logged now, and whether somebody is going to look into the
        buffers then. What follows on them is done when the next one is asked for.
        """
        if self.good is None:
            self.good = Look(self.parts.state_dict(), 0, told=callback is None)
            self.save(checkpoint)
        if not self.good.told and (self._on_grid(self.good.done) or self.good.done == self.total):
            self._tell(callback)
        cuts = [FINITE_EVERY, *([checkpoint.every] if checkpoint.every else [])]
        for stretch in stretches(self._repeated, self.total, self._every, self._looks, self.good.done, cuts):
            if self.good.ended:
                break
            seen = self.history.insides is not None or (stretch.report and callback is not None)
            yield stretch, seen
            due = checkpoint.due(stretch.done)
            if stretch.look or due or not self._sound(stretch.step):
                self.good = self._look(stretch, told=callback is None or not stretch.report)
                if stretch.report:
                    self._tell(callback)
                if due:
                    self.save(checkpoint)
        self.save(checkpoint)

    def _advance(self, stretch, everything):
        """Run and log the steps of a stretch; `everything`: somebody is going to look into the buffers."""
        step, log = stretch.step, self._logs[stretch.step]
        for steps in self._team.pieces(stretch.length):
            self._team.begin()
            for _ in range(steps):
                step.run()
                log.write(step.kept)
            self._team.end(steps, everything)

    def _sound(self, step):
        """Whether all is finite after a step."""
        return self._finite(step.scores)

    def _look(self, stretch, told):
        """Move the logged steps to the history, and look inside the networks where asked to; the `Look` now, or
        NonFiniteError.
        """
        bad_loss, insides = self.history.add(self._logs[stretch.step]), self.history.insides
        if insides is not None:
            insides.add(stretch.done, measure(self.gan, stretch.step), passing=not self._on_grid(stretch.done))
        state = self.parts.state_dict()
        own = (name for name in state if not name.startswith("run."))
        bad_tensor = next((name for name in own if not np.isfinite(state[name]).all()), None)
        if bad_loss or bad_tensor:
            what = [f"{bad_loss[1]} at step {bad_loss[0]}"] if bad_loss else []
            what += [f"{bad_tensor} by step {len(self.history)}"] if bad_tensor else []
            kept = f"kept the last good state, after step {self.good.done}"
            raise NonFiniteError(f"not finite: {' and '.join(what)}; {kept}")
        return Look(state, len(self.history), told)

    def _finite(self, scores):
        """Whether all that learns is finite, by sums, which take a tenth of the time of looking at every number. A sum
        can overflow where no number does: then a look is taken for nothing.
        """
        return all(np.isfinite(np.add.reduce(a, axis=None)) for a in (*self._arenas, *scores))

    def _tell(self, callback):
        """Call back. What that does to the parts belongs to this step, unless it is one at which a longer training
        would not have called.
        """
        if callback is None:
            return
        ended = bool(callback(self.good.done, self.history))
        if ended or self._on_grid(self.good.done):
            state = self.parts.state_dict() if self._finite(()) else self.good.state
            self.good = Look(state, self.good.done, told=True, ended=ended)

    def _on_grid(self, done):
        """Whether the callback is called after so many steps however long the training is."""
        per_epoch = sum(portion.times for _, portion in self._repeated)
        return done % self._every == 0 or (self._rows is not None and done % per_epoch == 0)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the last good look, if there is a file to write."""
        if self.good is not None:
            checkpoint.write(self.gan, self.settings, self.good)

    def go_back(self, error: BaseException, checkpoint: Checkpoint) -> None:
        """Go back to the last good look, which is kept, and have the error say what the history is then."""
        if self.good is not None:
            self.parts.load_state_dict(self.good.state)
            error.history = self.history
            with contextlib.suppress(Error, OSError):  # a disk that is full is what may have stopped it
                self.save(checkpoint)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take every part's state from the file."""
        look = checkpoint.read(self.gan, self.settings)
        try:
            self.parts.check_state_dict(look.state)
            self._check_position(look.done, len(look.state[f"run.history.{self.gan.objective.columns[0]}"]), look.state)
        except Error as error:
            raise ModelFileError(f"{checkpoint.path}: {error}") from None
        self.parts.load_state_dict(look.state)
        self.good = look

    def _check_position(self, done, steps, state):
        """Raise unless history and order are those of a training of which so many steps are done."""
        if done != steps:
            raise ArgumentError(f"it says that {shown(done)} steps are done, but its history has {steps:,}")
        if done > self.total:
            raise ArgumentError(f"{done:,} steps are done, more than the {self.total:,} asked for")
        if self.history.insides is not None and (state["run.insides.steps"][-1:] > done).any():
            raise ArgumentError(f"it has looked inside the networks after more than {done:,} steps")
        if self._rows is not None and self._order_left(state) != self._left(done):
            raise ArgumentError(f"the rows left of its epoch do not go with step {done:,}")

    def _order_left(self, state):
        """How many rows of the epoch a state says are left."""
        return len(state["run.order.order"])

    def _left(self, done):
        """How many rows of the epoch are left after so many steps, none at its start."""
        done, taken = done % sum(portion.times for _, portion in self._repeated), 0
        for step, portion in self._repeated:
            taken += min(done, portion.times) * portion.discriminator_steps * step.rows
            done -= min(done, portion.times)
        return self._rows - taken if taken else 0


def fit(
    gan: GAN,
    data: Source | ConditionalSource | Numbers,
    rng: Rng | list[Rng] | None,
    request: Request,
    callback: Callback | None,
    checkpoint: Checkpoint | FileName | None,
    resume: bool,
    parts: Mapping[str, Part],
    processes: int | None,
    kind: Callable[..., Training] = Training,
) -> History:
    """See `GAN.fit`; `kind` makes the `Training`."""
    request, resume, seed = request.checked(), flag("fit: resume", resume), None
    if gan.shared_fakes and not (request.discriminator_steps and request.generator_steps == 1):
        raise ArgumentError(
            "fit: by shared_fakes=True a generator step shares the rows of the discriminator step before it; expected "
            "discriminator_steps of 1 or more and generator_steps=1, got "
            f"{request.discriminator_steps} and {request.generator_steps}"
        )
    if rng is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
        rng = np.random.default_rng(seed)
    rng = rng if isinstance(rng, list) else generator("fit: rng", rng)
    if callback is not None:
        method_of("fit: callback", callback, "a function of the steps done and the history", "__call__")
    if not (checkpoint is None or isinstance(checkpoint, Checkpoint)):
        checkpoint = Checkpoint(checkpoint)
    if resume and checkpoint is None:
        raise ArgumentError("fit: resume=True needs the checkpoint to go on from")
    checkpoint = checkpoint or NoCheckpoint()
    training = kind(gan, as_source(gan, data), rng, request, parts, processes)
    if resume and os.path.exists(checkpoint.path):
        training.resume(checkpoint)
    else:
        training.history.seed = seed
    try:
        with gan.in_use("fit"), np.errstate(all="ignore"):  # the look at the losses reports what goes wrong, once
            training.run(callback, checkpoint)
    except BaseException as error:
        training.go_back(error, checkpoint)
        raise
    return training.history


def as_source(gan: GAN, data: Source | ConditionalSource | Numbers) -> Source | ConditionalSource:
    """The data as a source of rows that the discriminator can read."""
    if not hasattr(data, "sample"):
        data = Rows(data)
    method_of("the data", data, "an array of rows or a source with a shape and sample(n, rng, out)", "sample")
    if not isinstance(getattr(data, "shape", None), tuple):
        raise ArgumentTypeError(f"the data must have the shape of a row, got {shown(getattr(data, 'shape', None))}")
    wanted = gan.discriminator.shapes[0]
    if tuple(data.shape) != wanted:
        raise ArgumentError(f"the data has rows of shape {tuple(data.shape)}, the discriminator expects {wanted}")
    return data
