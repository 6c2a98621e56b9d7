"""The training of a stack in which every replica has a random generator of its own.

Replicas do not touch one another, so that they can be run in any order and anywhere. A stack is cut into blocks, of as
many replicas as keep what a step works on in a processor's cache; each is a GAN of its own, and runs a whole stretch of
steps before the next block does. The blocks are dealt out to processes. (Threads would fight over the interpreter: two
of them train small GANs no faster than one.) However it is cut, the numbers are the same to the bit.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import threadpoolctl

from numgan.data.stream import Shuffled, StreamApart
from numgan.errors import ArgumentError, Error, generator
from numgan.gan.checkpoint import Checkpoint, Look
from numgan.gan.conditions import together
from numgan.gan.fit import FINITE_EVERY, NonFiniteError, Request, Training
from numgan.gan.history import History
from numgan.gan.parts import Part, RandomState, bytes_of, json_of
from numgan.gan.replicas import arenas, taken
from numgan.gan.team import how_many
from numgan.hints import Array, ConditionalSource, Named, Numbers, Rng, Source
from numgan.nn.crew import Shared, owner_of
from numgan.nn.model_file import ModelFileError
from numgan.nn.replicas import of_replicas

if TYPE_CHECKING:
    from numgan.gan.fit import Callback
    from numgan.gan.model import GAN

BLOCK_BYTES = 8 << 20  # of all that both steps of a block touch; at any time they are at a part of it
LOGGED = 1 << 20  # scores that a block logs before it measures them: more do not stay in the cache
ALONE = sys.platform == "darwin" or "fork" not in multiprocessing.get_all_start_methods()


class Place(NamedTuple):
    """A step that all blocks run: which of those that are repeated, and how many real rows it takes."""

    index: int
    rows: int


class Seen(NamedTuple):
    """What a block says at a look.

    columns  of the history (steps, B), gaps where a replica is stopped.
    stopped  replica -> what was not finite.
    marks    of each replica: where its random generator and its streams stand, in JSON; see `StreamApart.mark`.
    orders   of each: the rows left of its epoch (B, left); (B, 0) where there are no epochs.
    counts   how many updates generator, discriminator and average have made.
    """

    columns: Named
    stopped: dict[int, str]
    marks: list[str]
    orders: Array
    counts: tuple[int, ...]


class Block:
    """Some replicas of a stack, as a GAN with memory of its own.

    rows    which replicas.
    shared  arrays as of `arenas`, in which state is handed over.
    """

    def __init__(self, training: StackTraining, rows: slice, shared: list[Array]) -> None:
        stack, data, count = training.gan, training.data, rows.stop - rows.start
        self.rows, self.gan = rows, taken(stack, rows, single=count == 1)
        self._lead, self._rngs = self.gan.generator.replicas, training.rngs[rows]
        source = together(data, stack.conditions)
        self._orders = [Shuffled(source, rng) for rng in self._rngs] if training.by_epoch else []
        order = self._orders if self._lead else (self._orders or [None])[0]
        self._steps = [step for step, _ in training.bound(self.gan, data, self._rngs, order or None)]
        self._logs, self._measured = [step.log(self._room(step, training)) for step in self._steps], []
        self._streams = [a for step in self._steps for a in step.drawn.values() if isinstance(a, StreamApart)]
        self._history = History(self.gan.objective, self._lead, self.gan.penalty, self.gan.l1)
        self._arenas = [a.reshape(count, -1) for a in arenas(self.gan)]
        self._shared = [a[rows].reshape(count, -1) for a in shared]
        self._kept, self._stopped, self._done = [a.copy() for a in self._arenas], {}, 0

    def resume(self, done: int, stopped: Mapping[int, str], marks: Sequence[str], orders: Array) -> None:
        """Go on from where the stack was; its state is in the GAN already."""
        self._done, self._stopped = done, self._own(stopped)
        for r, (rng, mark) in enumerate(zip(self._rngs, marks[self.rows], strict=True)):
            rng.bit_generator.state, drawn = json.loads(mark)
            if len(drawn) != len(self._streams):
                raise ArgumentError(f"{len(drawn)} streams of batches, expected {len(self._streams)}")
            for stream, place in zip(self._streams, drawn, strict=True):
                stream.go_on(r, place)
        for order, left in zip(self._orders, orders[self.rows], strict=False):
            order.load_state_dict({"order": left})

    def run(self, index: int, times: int, look: bool) -> tuple[bool, Seen | None]:
        """Run and log a step so many times, FINITE_EVERY at most. Whether all that is not stopped is finite then, by
        sums as in a single training; and a `look` where one is due, at once: blocks that wait for one another twice
        take 1 % longer.
        """
        step, log, count = self._steps[index], self._logs[index], len(self._rngs)
        for _ in range(times):
            step.run()
            log.write(step.kept)
        if log.used + FINITE_EVERY > log.room:
            self._measured.append(self._history.measured(log))
        arrays = (*self._arenas, *(a.reshape(count, -1) for a in step.scores))
        finite = np.all([np.isfinite(np.add.reduce(a, axis=1)) for a in arrays], axis=0)
        sound = all(finite[r] or r in self._stopped for r in range(count))
        return sound, self.look(index) if look else None

    def look(self, index: int) -> Seen:
        """Hand over the state, and what has been logged. A replica that is not finite is stopped: it is set back to the
        last look, and again at every one from then on. (Until then it runs on with the others.)
        """
        if self._logs[index].used:
            self._measured.append(self._history.measured(self._logs[index]))
        columns = {name: np.concatenate([part[name] for part in self._measured]) for name in self._measured[0]}
        columns = {name: a.reshape(len(a), -1) for name, a in columns.items()}
        self._measured = []
        steps = len(next(iter(columns.values())))
        self._done += steps
        watched = [columns[name] for name in self.gan.objective.columns if name in columns]
        finite = np.all([*(np.isfinite(a).all(axis=0) for a in watched), self._sound()], axis=0)
        for r in np.flatnonzero(~finite).tolist():
            if r not in self._stopped:
                self._stopped[r] = self._reason(r, {name: a[:, r] for name, a in columns.items()}, steps)
        for r in self._stopped:
            for a in columns.values():
                a[:, r] = np.nan
            self._copy(r, self._kept, self._arenas)
        self._keep()
        for own, shared in zip(self._arenas, self._shared, strict=True):
            np.copyto(shared, own)
        stopped = {self.rows.start + r: what for r, what in self._stopped.items()}
        marks = [[rng.bit_generator.state, [s.mark(r) for s in self._streams]] for r, rng in enumerate(self._rngs)]
        left = [order.state_dict()["order"] for order in self._orders] or np.empty((len(self._rngs), 0), int)
        return Seen(columns, stopped, [*map(json_of, marks)], np.stack(left), counts(self.gan))

    def pull(self, stopped: Mapping[int, str], made: tuple[int, ...], rates: Sequence[Any]) -> None:
        """Take the state that is handed over, counts of updates and learning rates with it."""
        for own, shared in zip(self._arenas, self._shared, strict=True):
            np.copyto(own, shared)
        set_counts(self.gan, made)
        for optimizer, rate in zip(_optimizers(self.gan), rates, strict=True):
            optimizer.set_rate(of_replicas({"rate": rate}, self.rows)["rate"])
        self._stopped = self._own(stopped)
        self._keep()

    @staticmethod
    def _room(step, training):
        """How many steps to log before they are measured."""
        return min(training.log_length, max(FINITE_EVERY, LOGGED // sum(a.size for a in step.kept)))

    def _own(self, stopped):
        """Of the stack's replicas those of this block, as this block counts them."""
        return {r - self.rows.start: what for r, what in stopped.items() if self.rows.start <= r < self.rows.stop}

    def _reason(self, r, columns, steps):
        """What is not finite of a replica, in words; `columns` are its own of the last `steps`."""
        bad = self._history.first_bad(columns)
        what = [f"{bad[1]} at step {self._done - steps + bad[0]}"] if bad else []
        state = self.gan.state_dict().items()
        wrong = (name for name, a in state if not np.isfinite(a[r] if self._lead and a.ndim else a).all())
        return " and ".join(what + [f"{name} by step {self._done}" for name in list(wrong)[:1]])

    def _keep(self):
        """What is finite is what a replica would be set back to."""
        sound = self._sound()
        self._copy(np.s_[:] if sound.all() else sound, self._arenas, self._kept)

    def _sound(self):
        """For each replica, whether all that it consists of is finite."""
        return np.all([np.isfinite(a).all(axis=1) for a in self._arenas], axis=0)

    @staticmethod
    def _copy(rows, sources, targets):
        for source, target in zip(sources, targets, strict=True):
            target[rows] = source[rows]


class Workers:
    """Blocks in this process and in others forked from it, which end with it.

    make   make(i) is block i.
    count  of blocks.
    """

    def __init__(self, make: Callable[[int], Block], count: int, processes: int) -> None:
        self._workers: list[Any] = []
        shares = np.array_split(np.arange(count), processes)
        context = multiprocessing.get_context("fork") if processes > 1 else None
        try:
            for share in shares[1:]:
                ours, theirs = context.Pipe()
                held = [ours, *(pipe for pipe, _ in self._workers)]
                process = context.Process(target=_work, args=(make, share, theirs, held), daemon=True)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # BLAS's threads, which are idle
                    process.start()
                theirs.close()
                self._workers.append((ours, process))
            self._blocks = [make(i) for i in shares[0]]
        except BaseException:
            self.close()
            raise

    def tell(self, method: str, *arguments: Any) -> list[Any]:
        """What every block's method returns, in order."""
        try:
            for pipe, _ in self._workers:
                pipe.send((method, arguments))
            answers = [getattr(block, method)(*arguments) for block in self._blocks]
            for pipe, _ in self._workers:
                answers += pipe.recv()
        except (EOFError, OSError):
            raise Error("fit: a process that trains replicas has ended before its time; was it killed?") from None
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    def close(self) -> None:
        for pipe, process in self._workers:
            process.kill()
            process.join()
            pipe.close()
        self._workers = []


def _work(make, share, pipe, held):
    """What a process does, until the other end of its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what an interrupt means is up to the process that was called
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in held:
        other.close()  # or no pipe would close with the process that was called
    blocks, failed = [], None
    try:
        blocks = [make(i) for i in share]
    except Exception as error:
        failed = error
    with contextlib.suppress(EOFError, OSError):
        while True:
            method, arguments = pipe.recv()
            try:
                if failed:
                    raise failed
                answers = [getattr(block, method)(*arguments) for block in blocks]
            except Exception as error:
                answers = [error if isinstance(error, Error) else Error(f"{type(error).__name__}: {error}")]
            pipe.send(answers)


class Progress:
    """Where the replicas of a training stand, as a part: random generators, streams, orders, and who is stopped.

    rngs     a generator for each replica.
    length   of an epoch, or 0.
    history  whose `stopped` is kept here.
    """

    def __init__(self, rngs: list[Rng], length: int, history: History) -> None:
        self._rngs, self._length, self._history = rngs, length, history
        self.marks = [json_of([rng.bit_generator.state, []]) for rng in rngs]
        self.orders = np.empty((len(rngs), 0), int)

    def see(self, marks: list[str], orders: Array) -> None:
        """Take over what blocks say at a look."""
        self.marks, self.orders = marks, orders

    def set_generators(self) -> None:
        """Put the generators to where the replicas are."""
        for rng, mark in zip(self._rngs, self.marks, strict=True):
            rng.bit_generator.state = json.loads(mark)[0]

    def state_dict(self) -> Named:
        """marks and stopped, as JSON in UTF-8 bytes; order (R, left): the rows left of each epoch."""
        marks, stopped = f"[{', '.join(self.marks)}]", json_of(self._history.stopped)
        return {"marks": bytes_of(marks), "stopped": bytes_of(stopped), "order": self.orders}

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        self._read(arrays)

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        self.marks, self.orders, stopped = self._read(arrays)
        self._history.stopped = stopped
        self.set_generators()

    def _read(self, arrays):
        """(marks, orders, stopped) of a state, or an error."""
        if arrays.keys() != {"marks", "stopped", "order"}:
            raise ArgumentError(f"replicas: expected marks, stopped and order, got {sorted(arrays)}")
        count, orders = len(self._rngs), np.asarray(arrays["order"])
        try:
            marks, stopped = (json.loads(np.asarray(arrays[name]).tobytes()) for name in ("marks", "stopped"))
            states = [[mark[0], *(state for _, state in mark[1] if state is not None)] for mark in marks]
            counts = [[number for number, _ in drawn] for _, drawn in marks]
            stopped = {int(r): str(what) for r, what in stopped.items()}
        except Exception:  # JSON can be anything
            raise ArgumentError("replicas: where they stand is not said in the way that it is written") from None
        if len(marks) != count or counts != counts[:1] * count or not stopped.keys() <= set(range(count)):
            raise ArgumentError(f"replicas: where they stand is said of {len(marks)}, expected {count} in step")
        if not all(type(number) is int and number > 0 for number in counts[0]):
            raise ArgumentError("replicas: the batches that they have drawn are not counted from 1 up")
        for rng, own in zip(self._rngs, states, strict=True):
            for state in own:
                RandomState(rng).check_state_dict({"state": bytes_of(json_of(state))})
        if orders.ndim != 2 or len(orders) != count or orders.dtype.kind != "i" or orders.shape[1] > self._length:
            raise ArgumentError(f"replicas: the orders of their epochs are {orders.dtype} of shape {orders.shape}")
        return [json_of(mark) for mark in marks], orders, stopped


class StackTraining(Training):
    """The training of a stack with a random generator for each replica.

    processes  see `GAN.fit`.
    """

    def __init__(
        self,
        gan: GAN,
        data: Source | ConditionalSource,
        rng: list[Rng],
        request: Request,
        more: Mapping[str, Part],
        processes: int | None = None,
    ) -> None:
        if request.insides:
            raise ArgumentError("fit: insides are not looked at in replicas with a generator each; train one by itself")
        self.rngs, self.data = rng, data
        super().__init__(gan, data, rng, request, more, processes)

    def _team_of(self, processes):
        self._asked = how_many(processes)
        return contextlib.nullcontext()

    def _begin(self, data, rng):
        self.by_epoch = self._rows is not None
        together(data, self.gan.conditions)  # or an error, before anything is forked
        rows = self.gan.rows_per_step
        self._repeated = [(Place(i, rows(p.batch_size)), p) for i, p in enumerate(self._portions)]
        self._progress = Progress(rng, self._rows or 0, self.history)
        return {"replicas": self._progress}

    def run(self, callback: Callback | None, checkpoint: Checkpoint) -> None:
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            self._start()
            try:
                self._resume_blocks(checkpoint)
                super().run(callback, checkpoint)
                self._progress.set_generators()
            finally:
                self._workers.close()

    def _start(self):
        """Deal out the blocks."""
        count, processes = self._cut()
        self._memory = Shared(self._arenas if processes > 1 else [])  # of what is not in it the copy is itself
        shared = [self._memory.copy(a) for a in self._arenas]
        edges = [len(self.rngs) * i // count for i in range(count + 1)]
        self._workers = Workers(lambda i: Block(self, slice(edges[i], edges[i + 1]), shared), count, processes)

    def _resume_blocks(self, checkpoint):
        """Put the blocks to where the last look of a checkpoint found them, if there is one."""
        if self.good is not None:
            progress = self._progress
            try:
                self._workers.tell("resume", self.good.done, self.history.stopped, progress.marks, progress.orders)
            except ArgumentError as error:
                raise ModelFileError(f"{checkpoint.path}: {error}") from None

    def _cut(self):
        """(how many blocks, how many processes): as many blocks for each."""
        replicas = len(self.rngs)
        processes = 1 if ALONE or multiprocessing.current_process().daemon else self._asked
        processes = min(processes, replicas)
        one = taken(self.gan, slice(0, 1), single=True)
        blocks = -(-replicas // in_a_block(one, self._portions[0].batch_size)) if replicas > 1 else 1
        return min(-(-blocks // processes) * processes, replicas), processes

    def _advance(self, stretch, everything):
        answers = self._workers.tell("run", stretch.step.index, stretch.length, stretch.look)
        self._finite_so_far, self._seen = zip(*answers, strict=True)

    def _sound(self, step):
        return all(self._finite_so_far)

    def _look(self, stretch, told):
        seen = self._seen if stretch.look else self._workers.tell("look", stretch.step.index)
        self.history.extend({k: np.concatenate([a.columns[k] for a in seen], axis=1) for k in seen[0].columns})
        before, self.history.stopped = self.history.stopped, {r: why for a in seen for r, why in a.stopped.items()}
        self._progress.see([mark for a in seen for mark in a.marks], np.concatenate([a.orders for a in seen]))
        self._memory.pull(self._arenas)
        set_counts(self.gan, seen[0].counts)
        if len(self.history.stopped) == len(self.rngs):
            why = "; ".join(f"replica {r}: {why}" for r, why in self.history.stopped.items() if r not in before)
            others = ", the last that went on" if before else ""
            raise NonFiniteError(f"not finite: {why}{others}; kept the last good state, after step {self.good.done}")
        return Look(self.parts.state_dict(), len(self.history), told)

    def _tell(self, callback):
        super()._tell(callback)
        if callback is not None:  # which may have changed anything
            self._memory.push(self._arenas)
            rates = [optimizer.rate for optimizer in _optimizers(self.gan)]
            self._workers.tell("pull", self.history.stopped, counts(self.gan), rates)

    def _order_left(self, state):
        return state["run.replicas.order"].shape[1]


def checked_generators(gan: GAN, rngs: Sequence[Rng]) -> list[Rng]:
    """A generator for each replica, or an error."""
    rngs = [generator(f"fit: rng[{r}]", rng) for r, rng in enumerate(rngs)]
    replicas = gan.generator.replicas
    if (len(rngs),) != replicas:
        has = f"{replicas[0]} replicas" if replicas else "no replicas; give one generator"
        raise ArgumentError(f"fit: rng is a list of {len(rngs)} generators, the GAN has {has}")
    if len({id(rng) for rng in rngs}) < len(rngs):
        raise ArgumentError("fit: rng has one generator twice; each replica needs one of its own")
    return rngs


def step_bytes(gan: GAN, batch_size: int) -> int:
    """Of what the steps of a single GAN work on."""
    calls = [*gan.discriminator_step(gan.rows_per_step(batch_size)).calls, *gan.generator_step(batch_size).calls]
    arrays = [a for call in calls for part in call.parts for a in part.arrays]
    return sum({id(a): a.nbytes for a in map(owner_of, arrays)}.values())


def in_a_block(gan: GAN, batch_size: int) -> int:
    """How many replicas like a single GAN make a block."""
    return max(1, BLOCK_BYTES // step_bytes(gan, batch_size))


def counts(gan: GAN) -> tuple[int, ...]:
    """How many updates generator, discriminator and average have made."""
    return *(optimizer.steps for optimizer in _optimizers(gan)), gan.average.updates if gan.average else 0


def set_counts(gan: GAN, made: tuple[int, ...]) -> None:
    """Set what `counts` gives."""
    for optimizer, steps in zip(_optimizers(gan), made[:2], strict=True):
        optimizer.steps = steps
    if gan.average:
        gan.average.updates = made[2]


def _optimizers(gan):
    return gan.generator_optimizer, gan.discriminator_optimizer
