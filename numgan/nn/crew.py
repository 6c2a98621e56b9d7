"""`Crew`: the calls of a training step, made by several processes together.

BLAS spreads a matrix product over all cores; everything else, a third of an `mnist` step, NumPy does on one. A crew
splits every call by the rows of what it writes: of y = [W b]·[x; 1] each process makes its rows of y with its rows of
[W b], and goes on with the activation of these rows, their batch norm, and on the way back with their rows of dW. Only
where a share reads what another process has written do all of them wait at a barrier: before most products.

Rows and noise one process draws for all. Meanwhile the others make so much more of the update that ends a list.

The shares are the same kernels on fewer rows, and no number of a row knows of the other rows, so that a crew of any
size gives the numbers of one process whose BLAS has one thread, to the bit.

Processes, and not threads, because a thread needs the interpreter's lock between any two NumPy calls, and a call on a
block that fits into the cache takes as long as to get it: on two threads the passes of an `mnist` step took as long as
on one, and 28 barriers 1.2 ms. Forked processes share the memory of the buffers and nothing else. A barrier is a count
in that memory, and takes 1 µs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import mmap
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from numgan.errors import Error
from numgan.hints import Array
from numgan.kernels import (
    activations,
    batch_norm,
    convolution,
    dense,
    dropout,
    joining,
    optimizers,
    penalties,
    resampling,
)
from numgan.nn.buffers import GROUP
from numgan.nn.calls import Call
from numgan.nn.memory import LINE, address

SPINS = 20_000  # looks at a barrier's counts, 1 ms, before a process lets go of its core
NAP, LONGEST_NAP = 2e-5, 1e-3  # seconds between two looks from then on, the longer it has waited
NAPS = 100  # between two looks at whether the other processes are still there
LEAST = 1_000_000  # multiplications of a share of a product: OpenBLAS multiplies smaller matrices in another order
MUCH = 8  # times as large as the other operand of a product
PAGE = 4096  # bytes of a page of memory
FILES = 65_536  # more than are open
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class CrewError(Error, RuntimeError):
    """A process of a crew has died."""


class Rows(NamedTuple):
    """How a kernel is split: `written` are the arguments that it writes, and what is not `whole` goes by rows, of which
    so many stay together.
    """

    written: tuple[str, ...] = ("out",)
    whole: tuple[str, ...] = ()
    group: int = GROUP


# arguments whose contents mean nothing between two calls
SCRATCH = ("temp", "temp2", "mask", "column", "canvas", "row", "numbers")
BY_ROWS = {
    dense.dense_forward: Rows(),  # products are split by their operands, see `_split_product`
    dense.dense_backward_weight: Rows(),
    dense.dense_backward_input: Rows(("out1",)),
    **{
        getattr(activations, f"{name}_{way}"): Rows()
        for name in ("relu", "leaky_relu", "tanh", "sigmoid", "silu")
        for way in ("forward", "backward")
    },
    **{getattr(activations, f"{name}_curvature"): Rows() for name in ("tanh", "sigmoid", "silu")},
    batch_norm.batch_norm_forward: Rows(("centred", "mean", "variance", "inv_std", "scale", "out"), ("ones",)),
    batch_norm.batch_norm_backward_parameters: Rows(("dgamma", "dbeta"), ("ones",)),
    batch_norm.batch_norm_backward_input: Rows(),
    batch_norm.batch_norm_running: Rows(("running",)),
    batch_norm.batch_norm_inference: Rows(("scale", "shift", "out")),
    batch_norm.batch_norm_inference_backward: Rows(),
    convolution.gather: Rows(),
    convolution.scatter_add: Rows(group=1),  # pieces of ten channels or so, and nobody goes on with its own
    convolution.channel_sums: Rows(("out",), ("ones",)),
    dropout.dropout_draw: Rows(("keep",), ("key",)),
    dropout.dropout_forward: Rows(),
    dropout.dropout_backward: Rows(),
    dropout.dropout_inference: Rows(),
    dropout.dropout_inference_backward: Rows(),
    resampling.upsample_forward: Rows(),
    resampling.upsample_backward: Rows(),
    resampling.average_pool_forward: Rows(("out",), ("share",)),
    resampling.average_pool_backward: Rows(("out",), ("share",)),
    joining.copy_front: Rows(),
    joining.add_share: Rows(),
    penalties.interpolate: Rows(("out",), ("mix",)),
    penalties.norm_penalty_backward: Rows(("out",), ("norm",)),
    penalties.square_penalty_backward: Rows(),
    penalties.add_gradient: Rows(),
    optimizers.sgd_update: Rows(("theta", "velocity")),
    optimizers.rmsprop_update: Rows(("theta", "v")),
    optimizers.adam_update: Rows(("theta", "m", "v")),
    optimizers.average_update: Rows(("average",)),
    optimizers.clip_weights: Rows(("theta",)),
    np.copyto: Rows(("dst",)),
}


class Share(NamedTuple):
    """What one process makes of a call, and the memory that it reads and writes there, as (first byte, end)."""

    run: Callable[[], Any] | None
    reads: list[tuple[int, int]]
    writes: list[tuple[int, int]]


# ----------------------------------------------------------------------------------------------------- splitting calls


def split(call: Call, count: int, ahead: float = 0) -> list[Call]:
    """The call as `count` calls on a share of its rows each, or as one where it cannot be split, or is too small.

    ahead  so many rows fewer are the first one's than any other's.
    """
    how = BY_ROWS.get(call.kernel)
    if how is None:
        return [call]
    if call.is_product:
        return _split_product(call, count)
    arrays = {name: a for name, a in call.arguments.items() if isinstance(a, np.ndarray) and a.ndim}
    arrays = {name: a for name, a in arrays.items() if name not in how.whole}
    rows = {len(a) for name, a in arrays.items() if name not in SCRATCH}
    first, end, total = call.rows or (0, max(rows), max(rows))
    if rows != {end - first}:
        return [call]
    parts = _parts(first, end, total, count, how.group, ahead)
    arrays = {name: a for name, a in arrays.items() if len(a) == end - first}
    shares = [{name: a[part] for name, a in arrays.items()} for part in parts]
    if "skip" in call.arguments:  # random numbers: so many of them belong to the rows before
        for part, share in zip(parts, shares, strict=True):
            share["skip"] = np.array(part.start * share["numbers"][:1].size)
    return [Call(call.kernel, call.arguments | share) for share in shares]


def _split_product(call, count):
    """A product by rows of the first operand, or by columns of the second where that is much the larger: who makes a
    share of the rows reads all of the second (a convolution's patches: a fifth of a DCGAN's step).
    """
    (a, first), (b, second), (out, result) = list(call.arguments.items())[:3]
    inner = first.shape[-1]
    by_columns = inner > 1 and second.size >= MUCH * first.size
    length = result.shape[-1] if by_columns else len(result)
    parts = _parts(0, length, length, count)
    shares = [
        {b: second[:, part], out: result[:, part], "product": np.matmul}  # `dot` writes to whole rows alone
        if by_columns
        else {a: first[part], out: result[part]}
        for part in parts
        if part.stop > part.start
    ]
    calls = [Call(call.kernel, call.arguments | share) for share in shares]
    if inner > 1 and min(call.flop for call in calls) <= 2 * LEAST:
        return [call]
    return calls


def _parts(first, end, total, count, group=GROUP, ahead=0):
    """`count` slices of the rows from `first` to `end` out of `total`, so that neighbouring calls are cut alike; of the
    total the first one has `ahead` fewer than any other, if there are as many.
    """
    others = min((total + ahead) / count, total / (count - 1))
    cuts = [round((total - others * (count - i) - first) / group) * group for i in range(1, count)]
    edges = [0, *(min(max(cut, 0), end - first) for cut in cuts), end - first]
    return list(itertools.starmap(slice, itertools.pairwise(edges)))


def _share(call):
    """A call as a `Share`. Of a kernel that is not known everything may be written, but for its numbers."""
    how = BY_ROWS.get(call.kernel)
    reads, writes = [], []
    for name, a in call.arguments.items():
        if isinstance(a, np.ndarray) and a.size and name not in SCRATCH:
            written = a.ndim and (how is None or name in how.written)
            (writes if written else reads).append(np.lib.array_utils.byte_bounds(a))
    return Share(call.run, reads, writes)


def _counting(call):
    """What an update does before its parts run, which sets numbers that those read."""
    numbers = [a for part in call.parts for a in part.arguments.values() if isinstance(a, np.ndarray) and not a.ndim]
    return Share(call.before, [], [*map(np.lib.array_utils.byte_bounds, numbers)])


def _length(update):
    """How many numbers it goes through."""
    return sum(len(part.arrays[0]) for part in update.parts)


def _dealt(update, count, length, ahead):
    """[(whose, part)] of an update, cut where one of that length is cut."""
    first = 0
    for part in update.parts:
        end = first + len(part.arrays[0])
        yield from enumerate(split(dataclasses.replace(part, rows=(first, end, length)), count, ahead))
        first = end


def programs(
    calls: Sequence[Call], count: int, between: Iterable[Array] = (), ahead: float = 0
) -> list[list[list[Callable[[], Any]]]]:
    """A program for each of `count` processes: runs, between barriers that all of them come to.

    Whatever cannot be split the first one does. It is this process, so that what a call does besides, as an optimiser
    counts its steps, is done here.

    between  arrays that the first one reads and writes by itself after its share of the list.
    ahead    how many numbers another can update meanwhile. Of the updates that end the list the first one makes so many
             fewer: it draws the next rows while the others go on (3 % of a step of `mnist`).
    """
    made = [[] for _ in range(count)]
    todo = [[] for _ in range(count)]  # [(number of the call, share)] of each since the last barrier
    numbers = itertools.count()

    def barrier(behind, shares):
        """One behind the call of that number, which `shares` have to wait for. What has been dealt since may go on
        either side of it: so much as all can do at the same time goes before (1 % of a step of `mnist-dcgan` less than
        if all of it did), and what `shares` would have to wait for too.
        """
        late = [sum(number > behind for number, _ in own) for own in todo]
        for i, own in enumerate(todo):
            cut = len(own) - late[i] + min(late)
            while any(_clash(share, other) for j, share in shares if j != i for _, other in own[cut:]):
                cut += 1
            made[i].append([share.run for _, share in own[:cut]])
            todo[i] = own[cut:]

    def meet(shares):
        """A barrier where one of these has to wait for what another process does."""
        clashes = (n for i, share in shares for j in range(count) if i != j for n, o in todo[j] if _clash(share, o))
        behind = max(clashes, default=None)
        if behind is not None:
            barrier(behind, shares)

    def add(shares):
        meet(shares)
        number = next(numbers)
        for i, share in shares:
            todo[i].append((number, share))

    def update(calls, ahead):
        """Updates one after the other: all are counted before the first, and cut alike, so that none has to wait for
        another.
        """
        length = min(map(_length, calls))
        add([(0, _counting(call)) for call in calls])
        for call in calls:
            dealt = _dealt(call, count, length, ahead / len(calls))
            add([(i, _share(part)) for i, part in dealt if _has_rows(part)])

    for are_updates, some in itertools.groupby(calls, lambda call: call.before is not None):
        some = [call for call in some if not call.skipped]
        if are_updates:
            update(some, ahead if some[-1] is calls[-1] else 0)
            continue
        for call in some:
            shares = split(call, count)
            add([(i, _share(s)) for i, s in enumerate(shares) if len(shares) == 1 or _has_rows(s)])
    arrays = [*map(np.lib.array_utils.byte_bounds, between)]
    meet([(0, Share(None, arrays, arrays))])
    for program, own in zip(made, todo, strict=True):
        program.append([share.run for _, share in own])
    return made


def _has_rows(share):
    return all(a.size for a in share.arrays)


def _clash(one, other):
    """Whether two shares of different processes meet in memory, and one of them is no reader there."""
    return _overlap(one.writes, other.reads + other.writes) or _overlap(one.reads, other.writes)


def _overlap(some, others):
    return any(a < end and first < b for a, b in some for first, end in others)


# ------------------------------------------------------------------------------------------------------- shared memory


class Shared:
    """Copies of arrays in memory that forked processes share. Views of one array stay views of one copy."""

    def __init__(self, arrays: Iterable[Array]) -> None:
        self._owners, size = {}, 0
        for owner in map(owner_of, arrays):
            if id(owner) not in self._owners:
                size += -size % LINE + address(owner) % LINE  # lines of its own, and to them as the array is to its
                self._owners[id(owner)] = owner, size
                size += owner.nbytes
        self._memory = mmap.mmap(-1, max(size, PAGE))
        self.push(owner for owner, _ in self._owners.values())

    def __contains__(self, a: Any) -> bool:
        return isinstance(a, np.ndarray) and id(owner_of(a)) in self._owners

    def copy(self, a: Array) -> Array:
        """The same view of the copy; an array of which there is no copy is returned as it is."""
        if a not in self:
            return a
        owner, start = self._owners[id(owner_of(a))]
        start += address(a) - address(owner)
        return np.ndarray(a.shape, a.dtype, self._memory, start, a.strides)

    def push(self, arrays: Iterable[Array]) -> None:
        """Write what the arrays hold to the copies."""
        for a in arrays:
            np.copyto(self.copy(a), a)

    def pull(self, arrays: Iterable[Array] | None = None) -> None:
        """Write what the copies hold to the arrays; default: to all there are."""
        for a in [owner for owner, _ in self._owners.values()] if arrays is None else arrays:
            np.copyto(a, self.copy(a))

    def moved(self, call: Call) -> Call:
        """A call on the copies. Scratch and scalars stay a process's own, but for scalars that change."""
        scalars = {id(a): a for part in call.parts for a in part.arguments.values() if np.ndim(a) == 0 and a in self}
        copies = [(self.copy(a), a) for a in scalars.values()]

        def before():
            call.before()
            for copy, a in copies:
                np.copyto(copy, a)

        arguments = {
            name: self.copy(a) if isinstance(a, np.ndarray) and name not in SCRATCH else a
            for name, a in call.arguments.items()
        }
        parts = [self.moved(part) for part in call.parts if part is not call]
        run = None if call.skipped or not parts else call.run
        return Call(
            call.kernel, arguments, rows=call.rows, skipped=call.skipped, run=run, parts=parts,
            before=call.before and before,
        )  # fmt: skip


def owner_of(a: Array) -> Array:
    """The array whose memory a view looks at."""
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


def _buffers(call):
    """The arrays of a call, and of its parts, that are more than scratch; with those scalars that change."""
    for part in call.parts:
        for name, a in part.arguments.items():
            if isinstance(a, np.ndarray) and name not in SCRATCH and (a.ndim or call.before):
                yield a


# ------------------------------------------------------------------------------------------------------------ the crew


class Crew:
    """Processes that run lists of calls together; a context manager, with the processes there inside.

    lists      of calls, as a step has them.
    processes  how many, this one among them.
    between    arrays that this one reads and writes between any two lists.
    aheads     how many numbers the others can update while it does, after each of the lists; see `programs`.
    more       arrays that somebody reads or writes while all rest.

    The calls run on copies of all arrays, `shared.copy(a)`; `shared` moves numbers between the two.
    """

    def __init__(
        self,
        lists: Sequence[Sequence[Call]],
        processes: int,
        between: Sequence[Array] = (),
        aheads: Iterable[float] = itertools.repeat(0),
        more: Iterable[Array] = (),
    ) -> None:
        calls = [call for calls in lists for call in calls if not call.skipped]
        self.shared = Shared([*(a for call in calls for a in _buffers(call)), *between, *more])
        moved = [[self.shared.moved(call) for call in calls if not call.skipped] for calls in lists]
        between = [self.shared.copy(a) for a in between]
        self._programs = [
            programs(calls, processes, between, ahead) for calls, ahead in zip(moved, aheads, strict=False)
        ]
        # The barriers that each has come to, and last what to run: two, for one may be told when another has yet to
        # look what it was told before.
        self._count = memoryview(mmap.mmap(-1, 8 * (processes + 2))).cast("q")
        self._processes, self._children, self._arrived = processes, [], 0
        self._fence = threading.Lock()
        self._me, self._parent = 0, os.getpid()

    def __enter__(self) -> Crew:
        with contextlib.ExitStack() as inside:
            inside.push(self)  # so that those that are there are let go where there cannot be another
            for i in range(1, self._processes):
                self._fork(i)
            inside.pop_all()
        return self

    def _fork(self, i):
        """One more process. Signals are the parent's business: a child is born deaf to them, and stays so."""
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            with warnings.catch_warnings():  # Python warns of locks that other threads hold; a child takes none
                warnings.simplefilter("ignore")
                child = os.fork()
            if child == 0:
                self._me = i
                self._serve()
            self._children.append(child)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)

    def __exit__(self, *error: object) -> None:
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
        self._children = []

    def run(self, which: int) -> None:
        """Run the list of that number, all processes together. The others may be at it when this one has done its share
        and returns; of what it has made then, `between` may be read.
        """
        self._count[self._told(self._arrived + 1)] = which
        self._wait()
        self._play(which)

    def rest(self) -> None:
        """Wait until the others have done their shares too."""
        self._wait_for(self._arrived + 1, range(1, self._processes))

    def _play(self, which):
        """This process's share of a list; a barrier after each of its pieces but the last."""
        *pieces, last = self._programs[which][self._me]
        for piece in pieces:
            for run in piece:
                run()
            self._wait()
        for run in last:
            run()

    def _told(self, arrived):
        """Where the number of the list stands that is run after so many barriers."""
        return self._processes + arrived % 2

    def _serve(self):
        """The life of a child: it waits for lists to run. It keeps no file open, or a lock would outlive the parent."""
        try:
            os.closerange(3, FILES)
            gc.disable()
            while True:
                self._wait()
                self._play(self._count[self._told(self._arrived)])
        finally:
            os._exit(1)

    def _wait(self):
        """The barrier. Between two that have met, nobody is ahead by more than one."""
        with self._fence:  # so that a processor that writes out of order has written all before it counts
            self._arrived += 1
            self._count[self._me] = self._arrived
        self._wait_for(self._arrived, range(self._processes))

    def _wait_for(self, count, processes):
        """Wait until those have come to so many barriers."""
        for i in processes:
            looks, nap = 0, NAP
            while self._count[i] < count:
                looks += 1
                if looks > SPINS:
                    time.sleep(nap)
                    nap = min(nap * 1.05, LONGEST_NAP)
                    if looks % NAPS == 0:
                        self._check()
        with self._fence:
            pass

    def _check(self):
        """See whether those that are waited for are still there."""
        if self._me:
            if os.getppid() != self._parent:
                os._exit(1)
            return
        for child in self._children:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                self._children.remove(child)
                how = f"killed by signal {-code}" if (code := os.waitstatus_to_exitcode(status)) < 0 else "failed"
                raise CrewError(f"a process that shared in the training was lost: {how}")
