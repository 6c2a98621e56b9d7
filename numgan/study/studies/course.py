"""`study`: from what is asked for to what was found. Whatever stops it, the same call goes on where it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from types import MappingProxyType
from typing import Any

from numgan.errors import instance
from numgan.hints import DType, FileName
from numgan.progress import progress_bar
from numgan.study.dispatcher import Dispatcher
from numgan.study.jobs import Outcome
from numgan.study.settings import extent
from numgan.study.studies import pictures
from numgan.study.studies.question import Question
from numgan.study.studies.results import Result, Study, shortfall, write_csv
from numgan.study.workers import Processes, cores
from numgan.tables import figure


def study(
    recipe: str,
    vary: Mapping[str, str | Sequence[Any]],
    seeds: Sequence[int] = (0,),
    out: FileName = "study",
    *,
    settings: Mapping[str, Any] = MappingProxyType({}),
    random: int | None = None,
    search_seed: int = 0,
    halving: int | None = None,
    by: str | None = None,
    dtype: DType = "float32",
    source: FileName | None = None,
    executor: Executor | None = None,
    say: Callable[[str], None] | None = None,
) -> Study:
    """Train and evaluate a recipe under every combination of some settings, each with the same seeds; returns a
    `Study`, and leaves study.json, study.csv, study.png and samples.png in `out`, and a run directory for each
    combination, or *cell*, and seed in `out`/CELL/seed-N.

    recipe       the name of one.
    vary         setting -> its values, as {"learning_rate": [1e-4, 4e-4]}, or a text as typed, "1e-4,4e-4".
    settings     setting -> value, of all cells.
    random       None for every combination; or draw so many, from the values, or from ranges such as "1e-5:1e-2",
                 evenly in their logarithm, with `search_seed` as the seed.
    halving      None, or η, 2 or more: successive halving. All cells train for a share of their steps (or epochs), the
                 best η-th of them for η times as long, going on where they were, and so on up to the length that was
                 asked for: Jamieson & Talwalkar 2016, arXiv:1502.07943, algorithm 1, with their 2 as η. Where n cells
                 begin, there are 1 + ⌊log_η n⌋ rounds of about the same cost.
    by           the measure that ranks cells (default: the evaluation's first), by the median over the seeds of how far
                 it falls short: see `numgan.study.evaluation.falls_short`. A run that diverges falls short of anything.
    source       the recipe's data, as for `numgan train --data`.
    executor     who does the work: any `concurrent.futures.Executor`, which is left open. Default: `Processes`, a
                 `ProcessPoolExecutor` of one process for each core, each with one BLAS thread, which train small runs
                 as stacks, see `numgan.study.jobs.batches`. For many machines Dask's `client.get_executor()`,
                 `mpi4py.futures.MPIPoolExecutor` or loky's; `out` must then be a directory that all of them share, and
                 BLAS threads are theirs to set.
    say          called with a line for each run that is done.

    Runs are those of `numgan train`, equal to the bit, and are evaluated as by `numgan evaluate`; both commands take
    them. What is finished is never done twice, and what is not goes on from its last checkpoint: call it again after
    whatever stopped it. A run whose worker is lost is an outcome with an error, and leaves the others alone; it is
    tried again in the next call.

    Raises SettingError or ArgumentError for what cannot be asked for, before anything is written; StudyError for a
    directory that holds something else, or another study; LockError where another process is at work on this one.
    On KeyboardInterrupt (Ctrl-C, or `numgan.study.signals.stopping_signals`) workers of its own keep their state before
    it is raised on; those of another executor finish what they have begun.
    """
    asked = Question(recipe, vary, seeds, settings, random, search_seed, halving, by, dtype, source)
    if executor is not None:
        instance("study: executor", executor, Executor)
    with asked.held_by(out) as directory:
        own = Processes(min(cores(), len(asked.cells) * len(asked.seeds))) if executor is None else None
        with own or contextlib.nullcontext(executor) as hands, _Progress(asked, say) as progress:
            try:
                found = _played(asked, directory, Dispatcher(hands), progress)
            except KeyboardInterrupt as stop:
                done = f"{progress.done} of {asked.runs} runs are done, the same call goes on with the rest"
                stop.args = (f"{str(stop) or 'interrupted'}; {done}",)
                raise
        write_csv(found, directory / "study.csv")
        if found.measures:
            pictures.overview(found, directory / "study.png")
            pictures.samples(found, directory / "samples.png")
    return found


class _Progress:
    """A step of the bar, and a line, for each run that is done."""

    def __init__(self, asked, say):
        self._asked, self._say, self.done = asked, say, 0
        self._bar = progress_bar(asked.runs, "run", quiet=not say)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._bar.close()

    def __call__(self, key: tuple[str, int], outcome: Outcome) -> None:
        self.done += 1
        self._bar.update()
        if self._say:
            with self._bar.external_write_mode():
                self._say(f"{self.done:>5} of {self._asked.runs}   {key[0]} seed {key[1]}: {self._told(outcome)}")

    def _told(self, outcome):
        if outcome.error or outcome.diverged:
            return outcome.error or "diverged"
        measures = outcome.evaluation["measures"]
        shown = next((m for m in measures if m["name"] == self._asked.by), measures[0])
        value = "—" if shown["value"] is None else figure(shown["value"])
        return f"{shown['name']} {value}" + (", collapsed" if outcome.evaluation["collapsed"] else "")


def _played(asked, directory, dispatcher, progress):
    """All rounds; the `Study`."""
    found, left = {}, asked.cells
    for n, part in asked.rounds:
        if found:  # the best of the last round
            left = sorted(left, key=lambda cell: shortfall(found[cell.name], measure))[:n]
        # seed by seed, so that a study that is stopped early has seen every cell
        jobs = {(cell.name, seed): asked.job(directory, cell, seed, part) for seed in asked.seeds for cell in left}
        outcomes = dispatcher.run(jobs, progress)
        for cell in left:
            of_cell = {seed: outcomes[cell.name, seed] for seed in asked.seeds}
            trained = part or extent(asked.settings_of(cell))[1]
            found[cell.name] = Result(cell.values, trained, of_cell, directory / cell.name)
        result = Study(asked.recipe.name, asked.by, asked.unit, list(found.values()), directory)
        measure = result.measure
        if measure is None or any(cell.count("error") for cell in result.cells):
            break  # who goes on cannot be told before all are done
    return result
