"""`study`: from what is asked for to what was found. Whatever stops it, the same call goes on where it was."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tqdm import tqdm

from numgan import __version__
from numgan.errors import ArgumentError, Error, instance, whole
from numgan.files import locked, remove_leftovers, shown
from numgan.hints import DType, FileName
from numgan.study import recipes, runs
from numgan.study.jobs import Job, Outcome, length
from numgan.study.settings import SettingError, brief, with_overrides
from numgan.study.studies import pictures, space
from numgan.study.studies.results import Result, Study, shortfall, write_csv
from numgan.study.team import Team
from numgan.study.workers import Processes, cores
from numgan.tables import figure


class StudyError(Error, ValueError):
    """A directory that cannot hold the study, or a study that cannot be; the message says why."""


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
                 `ProcessPoolExecutor` of one process for each core, each with one BLAS thread. For many machines
                 Dask's `client.get_executor()`, `mpi4py.futures.MPIPoolExecutor` or loky's; `out` must then be a
                 directory that all of them share, and BLAS threads are theirs to set.
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
    asked = _Question(recipe, vary, seeds, settings, random, search_seed, halving, by, dtype, source)
    if executor is not None:
        instance("study: executor", executor, Executor)
    with asked.held_by(out) as directory:
        own = contextlib.nullcontext(executor) if executor is not None else Processes(min(cores(), asked.most_at_once))
        with own as hands, _Progress(asked, say) as progress:
            try:
                found = _played(asked, directory, Team(hands), progress)
            except KeyboardInterrupt as stop:
                done = f"{progress.done} of {asked.runs} runs are done, the same call goes on with the rest"
                stop.args = (f"{str(stop) or 'interrupted'}; {done}",)
                raise
        write_csv(found, directory / "study.csv")
        if found.measures:
            pictures.overview(found, directory / "study.png")
            pictures.samples(found, directory / "samples.png")
    return found


class _Question:
    """What a study is asked for, checked.

    cells    every `Cell` of it.
    lengths  (how many cells, for how many steps or epochs) of each round; one, unless cells are halved.
    """

    def __init__(self, recipe, vary, seeds, settings, random, search_seed, halving, by, dtype, source):
        self.recipe = recipes.get(recipe)
        self.seeds = _seeds(seeds)
        self.dtype, self.by = dtype, by
        if dtype not in ("float32", "float64"):
            raise ArgumentError(f"study: dtype must be float32 or float64, got {brief(dtype)}")
        own = self.recipe.settings
        varied = space.axes(own, vary)
        if both := [name for name in varied if name in settings]:
            raise SettingError(f"{both[0]} cannot both vary and be {brief(settings[both[0]])}")
        if random is None:
            self.cells = space.grid(own, settings, varied)
        else:
            seed = whole("study: search_seed", search_seed, 0, most=runs.SEEDS - 1)
            self.cells = space.draw(own, settings, varied, whole("study: random", random), seed)
        self.varied = list(varied)
        first = self.settings_of(self.cells[0])
        self.source = source if source in (None, "full") else str(Path(source).resolve())
        self.rounds = self._rounds(halving)
        data, held_out = self.recipe.load(self.source, first)  # so that what cannot be read is said once, and now
        if by is not None:
            self._check_measure(first.for_data(data), data, held_out)

    def settings_of(self, cell):
        return with_overrides(self.recipe.settings, cell.asked)

    def _rounds(self, halving):
        n, lengths = len(self.cells), [length(self.settings_of(cell)) for cell in self.cells]
        self.unit = lengths[0][0]
        if halving is None:
            return [(n, None)]
        eta = whole("study: halving", halving, 2, most=100)
        if len(set(lengths)) > 1:
            raise SettingError("cells of different lengths cannot be halved")
        for cell in self.cells:
            if (decay := self.settings_of(cell).decay) != "none":
                raise SettingError(
                    f"{cell.name} cannot be halved, which makes a run longer: its learning rates fall to 0 by its end "
                    f"(decay={decay}), and would have been others"
                )
        counts = [n]
        while counts[-1] >= eta:
            counts.append(counts[-1] // eta)
        total = lengths[0][1]
        parts = [round(total / eta**k) for k in reversed(range(len(counts)))]
        if parts[0] < 1 or len(set(parts)) < len(parts):
            raise SettingError(f"{n} cells take {len(parts)} rounds, for which {total} {self.unit} are too few")
        return list(zip(counts, parts, strict=True))

    def _check_measure(self, settings, data, held_out):
        """That there is such a measure: a fresh GAN has it too."""
        gan = self.recipe.build(settings, runs.streams(0)[0], self.dtype)
        names = [m.name for m in runs.measured(self.recipe, gan, data, held_out)[0].measures]
        if self.by not in names:
            raise SettingError(f"no measure {brief(self.by)!r}; {self.recipe.name} has {', '.join(names)}")

    @property
    def runs(self):
        """How many there are, a cell that goes on counted anew."""
        return sum(n for n, _ in self.rounds) * len(self.seeds)

    @property
    def most_at_once(self):
        return len(self.cells) * len(self.seeds)

    def job(self, directory, cell, seed, part):
        """A cell's run of one seed; `part` is its length, None for all of it."""
        settings = cell.asked | ({} if part is None else {self.unit: part})
        place = str(directory.resolve() / cell.name / f"seed-{seed}")
        return Job(self.recipe.name, settings, seed, place, self.dtype, self.source)

    @contextlib.contextmanager
    def held_by(self, out) -> Iterator[Path]:
        """The directory `out`, locked: new, empty, or one that holds this very study."""
        directory = Path(out)
        if directory.exists() and not directory.is_dir():
            raise StudyError(f"{shown(out)} exists and is not a directory")
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory):
            remove_leftovers(directory)
            self._compare(directory)
            yield directory

    def _compare(self, directory):
        asked = {
            "recipe": self.recipe.name,
            "data": self.source,
            "dtype": self.dtype,
            "seeds": self.seeds,
            "cells": [cell.asked for cell in self.cells],
            "rounds": self.rounds,
        }
        if len(self.rounds) > 1:
            asked["by"] = self.by  # which decides who goes on
        asked, file = json.loads(json.dumps(asked)), directory / "study.json"
        if not file.exists():
            if any(directory.iterdir()):
                raise StudyError(f"{shown(directory)} is not empty and holds no study; give another directory")
            runs.write_json(file, {"numgan": __version__, "asked": asked})
            return
        try:
            before = runs.read_json(file)["asked"]
            other = [key for key in (before | asked) if before.get(key) != asked.get(key)]
        except (Error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StudyError(f"{shown(file)} is not readable ({brief(str(error), 200)})") from None
        if other:
            was, now = (brief(json.dumps(q.get(other[0])), 150) for q in (before, asked))
            raise StudyError(
                f"{shown(directory)} holds another study, whose {other[0]} are {was}, not {now}; give another directory"
            )


def _seeds(seeds):
    if isinstance(seeds, str) or not isinstance(seeds, Sequence) or not seeds:
        raise ArgumentError(f"study: seeds must be some whole numbers, got {brief(seeds)}")
    return list(dict.fromkeys(whole("study: a seed", seed, 0, most=runs.SEEDS - 1) for seed in seeds))


class _Progress:
    """A step of the bar, and a line, for each run that is done."""

    def __init__(self, asked, say):
        self._asked, self._say, self.done = asked, say, 0
        self._bar = tqdm(total=asked.runs, unit="run", disable=None if say else True, dynamic_ncols=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._bar.close()

    def __call__(self, key: tuple[str, int], outcome: Outcome) -> None:
        self.done += 1
        self._bar.update()
        if self._say:
            with tqdm.external_write_mode():
                self._say(f"{self.done:>5} of {self._asked.runs}   {key[0]} seed {key[1]}: {self._told(outcome)}")

    def _told(self, outcome):
        if outcome.error or outcome.diverged:
            return outcome.error or "diverged"
        measures = outcome.evaluation["measures"]
        shown = next((m for m in measures if m["name"] == self._asked.by), measures[0])
        value = "—" if shown["value"] is None else figure(shown["value"])
        return f"{shown['name']} {value}" + (", collapsed" if outcome.evaluation["collapsed"] else "")


def _played(asked, directory, team, progress):
    """All rounds; the `Study`."""
    found, left = {}, asked.cells
    for n, part in asked.rounds:
        if found:  # the best of the last round
            left = sorted(left, key=lambda cell: shortfall(found[cell.name], measure))[:n]
        # seed by seed, so that a study that is stopped early has seen every cell
        jobs = {(cell.name, seed): asked.job(directory, cell, seed, part) for seed in asked.seeds for cell in left}
        outcomes = team.run(jobs, progress)
        for cell in left:
            of_cell = {seed: outcomes[cell.name, seed] for seed in asked.seeds}
            trained = part or length(asked.settings_of(cell))[1]
            found[cell.name] = Result(cell.values, trained, of_cell, directory / cell.name)
        result = Study(asked.recipe.name, asked.by, asked.unit, list(found.values()), directory)
        measure = result.measure
        if measure is None or any(cell.count("error") for cell in result.cells):
            break  # who goes on cannot be told before all are done
    return result
