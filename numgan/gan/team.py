"""`Team`: who makes the steps of a training: this process alone, or a crew of several.

A `Crew` runs a step's calls on copies of all arrays, in memory that its processes share. What the training reads and
writes between steps has to be moved from and to the copies, which is this file's business.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
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
    from numgan.gan.steps import Step

WORTH = 4e7  # operations of a step's products: a smaller step is over before a crew has met a dozen times
JUDGED = 20  # steps that say how fast they are
SLOW = 1.3  # times as long as it once took: then the machine may be busy
SOONEST, LATEST = 2, 32  # pieces between two trials of the other way, the longer the more have failed
KNOWN = ("numgan", "numpy")  # whose kernels read and write nothing but their arguments
DRAWN = 1.3  # numbers that one process updates while another draws one and writes it where it is read
MOST = 4  # processes unless told: no machine of more cores has been measured


def how_many(given: int | None) -> int:
    """How many processes to take: as given, or as many as BLAS has threads, four at most."""
    if given is not None:
        return whole("fit: processes", given)
    threads = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    return min(max(threads, default=1), MOST)


def _can_fork():
    """Whether a process can be forked: not where the platform has no such thing, and not beside another thread, which
    a fork would leave waiting for ever if it is in the middle of a product of several BLAS threads. Daemons, as IPython
    and tqdm have some, are taken to make none.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    return hasattr(os, "fork") and all(thread.daemon for thread in others)


def between_of(side: Step) -> list[Array]:
    """What is read and written of a step between its calls: its inputs and scores."""
    arrays = []
    side.moved(lambda a: arrays.append(a) or a, [])
    return arrays


def _worth_it(steps):
    """Whether a crew would gain something, and could make the calls: a kernel of one's own may read and write whatever
    it likes, where a layer keeps it, and that has to be the memory that everybody else sees.
    """
    calls = [[call for side in step.sides for call in side.calls if not call.skipped] for step in steps]
    known = all(getattr(call.kernel, "__module__", "").split(".")[0] in KNOWN for some in calls for call in some)
    return known and max((sum(call.flop for call in some) for some in calls), default=0) >= WORTH


class Team:
    """A context manager around a training, which goes on in pieces between `begin` and `end`.

    gan        whose training it is.
    steps      the `TrainingStep`s, which are played by the crew, if there is one.
    arenas     what is kept of the training: all that is to be there between pieces.
    processes  how many of them are wanted.

    On a machine that is busy with other things a crew waits for that of its processes which has to share a core, and
    one alone can be the faster. The numbers are the same, so the team takes what was the faster lately.
    """

    def __init__(self, gan: GAN, steps: Sequence[TrainingStep], arenas: Iterable[Array], processes: int) -> None:
        gradients = gan.generator.grads, gan.discriminator.grads
        self._steps, self._arenas, self._inside, self._crew = steps, [*arenas, *gradients], ExitStack(), None
        if processes > 1 and not gan.generator.replicas and _can_fork() and _worth_it(steps):
            self._hire(processes)
        self._together, self._pace, self._best = self._crew is not None, {}, math.inf
        self._trial, self._wait, self._again = False, 0, SOONEST

    def _hire(self, processes):
        """Set up the crew, and for every step one that it plays, and the other way round."""
        sides = [side for step in self._steps for side in step.sides]
        lists = [calls for side in sides for calls in side.lists]
        between = [a for side in sides for a in between_of(side)]
        aheads = [DRAWN * step.drawn_after(side) for step in self._steps for side in step.sides for _ in side.lists]
        self._crew = Crew(lists, processes, between, aheads, self._arenas)
        plays = (partial(self._crew.run, number) for number in itertools.count())
        twins = [side.moved(self._crew.shared.copy, list(itertools.islice(plays, len(side.lists)))) for side in sides]
        self._moved = dict(zip([*sides, *twins], [*twins, *sides], strict=True))
        for twin in twins:
            twin.partner = self._moved.get(twin.partner)

    def __enter__(self) -> Team:
        try:
            with ExitStack() as inside:
                if self._crew:
                    inside.enter_context(threadpool_limits(1, user_api="blas"))
                    inside.enter_context(self._crew)
                    self._swap()
                self._inside = inside.pop_all()
        except OSError:  # no more processes are to be had: this one makes do
            self._crew, self._together = None, False
        return self

    def __exit__(self, *error: object) -> None:
        self._inside.__exit__(*error)

    def _swap(self):
        """Have the steps played by the crew in place of this process, or the other way round."""
        for step in self._steps:
            step.move(self._moved.__getitem__)

    def pieces(self, steps: int) -> Iterator[int]:
        """A stretch of so many steps in pieces, each between `begin` and `end`: in one, but for those that tell how
        fast a way is, which are short. (A whole stretch the slower way takes 3 % of the time of `mnist`'s 2,000 steps.)
        """
        while steps:
            judging = self._crew is not None and (self._trial or False not in self._pace)
            piece = min(JUDGED, steps) if judging else steps
            yield piece
            steps -= piece

    def begin(self) -> None:
        """Before a piece: the crew sees what the arenas hold."""
        if self._together:
            self._crew.shared.push(self._arenas)
        self._start = time.perf_counter()

    def end(self, steps: int, everything: bool = False) -> None:
        """After a piece of so many steps: the arenas hold what the crew has made of them; or every buffer does, for
        somebody who looks into steps.
        """
        if not self._crew:
            return
        if self._together:
            self._crew.rest()
        pace = (time.perf_counter() - self._start) / steps
        if self._together:
            self._crew.shared.pull(None if everything else self._arenas)
        if steps >= JUDGED and self._changes(pace):
            self._together = not self._together
            self._swap()

    def _changes(self, pace):
        """Whether the next piece goes the other way, now that a step took so long this way."""
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
