"""`Dispatcher`: jobs done by an executor, whichever it is, each noted as soon as it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed, wait
from typing import Any

from numgan.study.jobs import Job, Outcome, batches, failed, finished, work
from numgan.study.workers import Processes

NOT_BEGUN = Outcome(error="not begun")


class Dispatcher:
    """An executor at work on jobs.

    outcomes  key -> `Outcome`, so far; of all jobs once `run` has returned or raised.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.outcomes: dict[Any, Outcome] = {}

    def run(self, jobs: Mapping[Any, Job], note: Callable[[Any, Outcome], None]) -> dict[Any, Outcome]:
        """The outcome of every job, by its key; of those that have been done before, what is kept of them.

        note  called with key and outcome of each job that is done, in the order in which they are.

        An interrupt is raised again once all have been told to stop, and have. A second one ends them at once. (Another
        executor than `Processes` cannot be told: what it has begun goes on.)
        """
        self.outcomes = {key: before for key, job in jobs.items() if (before := finished(job))}
        for key, outcome in self.outcomes.items():
            note(key, outcome)
        futures: dict[Future[list[Outcome]], list[Any]] = {}
        try:
            left = {key: job for key, job in jobs.items() if key not in self.outcomes}
            for keys in batches(left, self._executor.most if isinstance(self._executor, Processes) else None):
                futures[self._submit([jobs[key] for key in keys])] = keys
            for future in as_completed(futures):
                for key in self._take(future, futures[future]):
                    note(key, self.outcomes[key])
        except KeyboardInterrupt as stop:
            self._stop(stop, futures)
            for future, keys in futures.items():
                if future.done() and not future.cancelled() and keys[0] not in self.outcomes:
                    for key in self._take(future, keys):
                        if self.outcomes[key].error is None:
                            note(key, self.outcomes[key])
            self.outcomes = dict.fromkeys(jobs, NOT_BEGUN) | self.outcomes
            raise
        return {key: self.outcomes[key] for key in jobs}

    def _submit(self, batch):
        try:
            return self._executor.submit(work, batch)
        except BrokenExecutor as error:  # by a job before it
            future: Future[Any] = Future()
            future.set_exception(error)
            return future

    def _take(self, future, keys):
        """Keep what came of a future; its keys."""
        error = future.exception()
        if error is None:
            self.outcomes |= zip(keys, future.result(), strict=True)
        else:
            self.outcomes |= dict.fromkeys(keys, failed(error))
        return keys

    def _stop(self, stop, futures):
        for future in futures:
            future.cancel()
        if not isinstance(self._executor, Processes):
            return
        what = str(stop) or "interrupted"
        print(f"numgan: {what}: what is going on is told to stop; a second signal ends it at once", file=sys.stderr)
        self._executor.stop()
        begun = [future for future in futures if not future.cancelled()]
        try:
            wait(begun)
        except KeyboardInterrupt:
            self._executor.kill()
            wait(begun)
