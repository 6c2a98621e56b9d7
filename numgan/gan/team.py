"""`Team`: who makes the steps of a training: this process alone, or a crew of several.

A `Crew` runs a step's calls on copies of all arrays, in memory that its processes share. What the training reads and
writes between steps has to be moved from and to the copies, which is this file's business.
"""

from __future__ import annotations

import itertools
import os
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
MOST = 4  # processes unless told: no machine of more cores has been measured


def how_many(given: int | None) -> int:
    """How many processes to take: as given, or as many as BLAS has threads, four at most."""
    if given is not None:
        return whole("fit: processes", given)
    threads = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    return min(max(threads, default=1), MOST)


class Team:
    """A context manager around a training.

    gan        whose training it is.
    steps      the `TrainingStep`s, which inside are played by the crew, if there is one.
    arenas     what is kept of the training: all that is to be there between steps.
    processes  how many of them are wanted.
    """

    def __init__(self, gan: GAN, steps: Sequence[TrainingStep], arenas: Iterable[Array], processes: int) -> None:
        self._steps, self._arenas, self._inside, self._crew = steps, list(arenas), ExitStack(), None
        flop = max((sum(call.flop for side in step.sides for call in side.calls) for step in steps), default=0)
        if processes > 1 and flop >= WORTH and not gan.generator.replicas and hasattr(os, "fork"):
            self._crew = self._hire(processes)

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
            for step in self._steps:
                step.move(lambda side: side.moved(self._crew.shared.copy, self._players(side, numbers)))
        return self

    def _players(self, side, numbers):
        """What plays each list of a step: the crew, by the number that it has there."""
        return [partial(self._crew.run, number) for _, number in zip(side.lists, numbers, strict=False)]

    def __exit__(self, *error: object) -> None:
        self._inside.__exit__(*error)

    def push(self) -> None:
        """Have the crew see what the arenas hold."""
        if self._crew:
            self._crew.shared.push(self._arenas)

    def pull(self, everything: bool = False) -> None:
        """Have the arenas hold what the crew has made of them; or every buffer, for somebody who looks into steps."""
        if self._crew:
            self._crew.shared.pull(None if everything else self._arenas)
