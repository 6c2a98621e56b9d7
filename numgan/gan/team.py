"""`Team`: who makes the steps of a training: this process alone, or a crew of several.

A `Crew` runs a step's calls on copies of all arrays, in memory that its processes share. What the training reads and
writes between steps has to be moved from and to the copies, which is this file's business.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_info, threadpool_limits

from numgan.errors import whole
from numgan.hints import Array
from numgan.nn.crew import Crew

if TYPE_CHECKING:
    from numgan.gan.fit import TrainingStep
    from numgan.gan.model import GAN

WORTH = 4e7  # operations of a step's products: a smaller step is over before a crew has met a dozen times
JUDGED = 20  # steps of a stretch that says how fast they are
SLOW = 1.3  # times as long as it once took: then the machine may be busy
SOONEST, LATEST = 2, 32  # stretches between two trials of the other way, the longer the more have failed
MOST = 4  # processes unless told: no machine of more cores has been measured


def how_many(given: int | None) -> int:
    """How many processes to take: as given, or as many as BLAS has threads, four at most."""
    if given is not None:
        return whole("fit: processes", given)
    threads = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    return min(max(threads, default=1), MOST)


class Team:
    """A context manager around a training, which goes on in stretches between `begin` and `end`.

    gan        whose training it is.
    steps      the `TrainingStep`s, which are played by the crew, if there is one.
    arenas     what is kept of the training: all that is to be there between stretches.
    processes  how many of them are wanted.

    On a machine that is busy with other things a crew waits for that of its processes which has to share a core, and
    one alone can be the faster. The numbers are the same, so the team takes for a stretch what was the faster lately.
    """

    def __init__(self, gan: GAN, steps: Sequence[TrainingStep], arenas: Iterable[Array], processes: int) -> None:
        self._steps, self._arenas, self._inside, self._crew = steps, list(arenas), ExitStack(), None
        flop = max((sum(call.flop for side in step.sides for call in side.calls) for step in steps), default=0)
        if processes > 1 and flop >= WORTH and not gan.generator.replicas and hasattr(os, "fork"):
            self._crew = self._hire(processes)
        self._together, self._pace, self._best = self._crew is not None, {}, math.inf
        self._trial, self._wait, self._again = False, 0, SOONEST

    def _hire(self, processes):
        lists, arrays = [], list(self._arenas)
        for step in self._steps:
            for side in step.sides:
                lists += side.lists
                side.moved(lambda a: arrays.append(a) or a, [])
        return Crew(lists, processes, arrays)

    def __enter__(self) -> Team:
        if self._crew:
            self._inside.enter_context(threadpool_limits(1, user_api="blas"))
            self._inside.enter_context(self._crew)
            numbers = itertools.count()
            players = {
                side: [partial(self._crew.run, number) for _, number in zip(side.lists, numbers, strict=False)]
                for step in self._steps
                for side in step.sides
            }
            self._moved = {side: side.moved(self._crew.shared.copy, plays) for side, plays in players.items()}
            for twin in self._moved.values():
                twin.partner = self._moved.get(twin.partner)
            self._moved |= {twin: side for side, twin in self._moved.items()}  # and back
            self._swap()
        return self

    def __exit__(self, *error: object) -> None:
        self._inside.__exit__(*error)

    def _swap(self):
        """Have the steps played by the crew in place of this process, or the other way round."""
        for step in self._steps:
            step.move(self._moved.__getitem__)

    def begin(self) -> None:
        """Before a stretch: the crew sees what the arenas hold."""
        if self._together:
            self._crew.shared.push(self._arenas)
        self._start = time.perf_counter()

    def end(self, steps: int, everything: bool = False) -> None:
        """After a stretch of so many steps: the arenas hold what the crew has made of them; or every buffer does, for
        somebody who looks into steps.
        """
        if not self._crew:
            return
        pace = (time.perf_counter() - self._start) / steps
        if self._together:
            self._crew.shared.pull(None if everything else self._arenas)
        if steps >= JUDGED and self._changes(pace):
            self._together = not self._together
            self._swap()

    def _changes(self, pace):
        """Whether the next stretch goes the other way, now that a step took so long this way."""
        self._pace[self._together] = pace
        if self._trial:
            failed = pace > self._pace[not self._together]
            self._again = min(2 * self._again, LATEST) if failed else SOONEST
            self._trial, self._wait = False, self._again
            return failed
        self._wait -= 1
        if self._together:
            self._best = min(self._best, pace)
        busy = pace > SLOW * self._best or False not in self._pace
        self._trial = self._wait <= 0 and (busy or not self._together)
        return self._trial
