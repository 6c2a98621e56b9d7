"""A team of threads, for calls that do not depend on one another.

The pieces of a convolution, and the blocks of the layers between, come in lanes: what is bound in one lane reads and
writes nothing that another lane writes. A stage hands neighbouring lanes to each thread, and waits for all. Meanwhile
every matrix product runs on one thread of its own: two halves of the work then share nothing, where the threads of one
BLAS call wait for each other at every product, spinning, and leave all that is no product to one core. (A DCGAN's step
takes 0.8 of the time so on a quiet machine of two cores, and a third where another process keeps one of them.)

There are as many threads as NumPy's BLAS would use, so OPENBLAS_NUM_THREADS and the like say how many. What a lane
computes does not depend on their number.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

Runs = Sequence[Callable[[], Any]]


class Team:
    """This thread, and so many others that wait for work."""

    def __init__(self, blas: Any, size: int) -> None:
        self.size, self._blas = size, blas
        self._inside, self._lock = 0, threading.Lock()  # callers whose stages are running
        self._work = [queue.SimpleQueue() for _ in range(size - 1)]
        for work in self._work:
            threading.Thread(target=_serve, args=(work,), daemon=True, name="numgan").start()

    def run(self, shares: Sequence[Runs]) -> None:
        """Run `size` lists of calls side by side, the first in this thread; raises what any of them raised, but only
        when all have ended: until then they write into buffers that are not the caller's.
        """
        done, given, raised = queue.SimpleQueue(), 0, []
        self._single(+1)
        try:
            for work, share in zip(self._work, shares[1:], strict=True):
                if share:
                    work.put((share, done))
                    given += 1
            for run in shares[0]:
                run()
        except BaseException as error:
            raised.append(error)
        while given:
            try:
                raised.append(done.get())
                given -= 1
            except BaseException as error:  # an interrupt
                raised.append(error)
        self._single(-1)
        for error in filter(None, raised):
            raise error

    def _single(self, change):
        """Count a caller in or out. While any is inside, products run on one thread each."""
        with self._lock:
            self._inside += change
            self._blas.set_num_threads(1 if self._inside else self.size)


def _serve(work):
    """What a thread of the team does, for ever."""
    with np.errstate(all="ignore"):  # as in the thread that asks: what overflows shows in what it gives
        while True:
            share, done = work.get()
            try:
                for run in share:
                    run()
            except BaseException as error:
                done.put(error)
            else:
                done.put(None)


@functools.cache
def team() -> Team | None:
    """The team of this process; None where there is one core, or a BLAS whose threads cannot be told to rest."""
    blas = [lib for lib in ThreadpoolController().lib_controllers if lib.user_api == "blas"]
    if len(blas) != 1 or (blas[0].num_threads or 1) < 2:
        return None
    return Team(blas[0], blas[0].num_threads)


def share_of(lane: int, lanes: int) -> int:
    """Which of the team's threads runs a lane."""
    return lane * size() // lanes


def size() -> int:
    own = team()
    return own.size if own else 1


def stage(lanes: Sequence[Runs]) -> Callable[[], None]:
    """One call for several lanes."""
    shares = [
        [run for i, runs in enumerate(lanes) for run in runs if share_of(i, len(lanes)) == t] for t in range(size())
    ]
    return lambda: team().run(shares)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=team.cache_clear)  # a child has none of its parent's threads
