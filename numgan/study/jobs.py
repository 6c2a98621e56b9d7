"""A job: one seed of a recipe under some settings, trained (or gone on with), and evaluated, by whoever takes it.

Jobs are plain values and `work` is a function of a module, so that any executor can carry them, to another process or
to another machine. What comes of a job is kept in its run directory: it is never done twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numgan.errors import Error
from numgan.files import LockError, locked, remove_leftovers
from numgan.gan.fit import NonFiniteError
from numgan.hints import DType
from numgan.study import recipes, runs
from numgan.study.settings import brief, with_overrides
from numgan.study.signals import stopping_signals
from numgan.study.workers import GRACE

LONGEST = 400  # characters of what went wrong


@dataclass(frozen=True)
class Job:
    """One run.

    settings   name -> value, over the recipe's own; they say how long it is.
    directory  its run directory, which may hold a part of it.
    source     None, "full" or a directory of data files.
    """

    recipe: str
    settings: Mapping[str, Any]
    seed: int
    directory: str
    dtype: DType = "float32"
    source: str | None = None
    until_equilibrium: float | None = None
    checkpoint_every: int | None = None
    watch: bool = False
    animate: bool = False
    log_dir: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    evaluation  as `numgan evaluate --json` gives it, or None.
    diverged    None, or where infinities or NaNs came up: an end of the training that another try would not change.
    error       None, or what kept it from being finished.
    """

    evaluation: dict | None = None
    diverged: str | None = None
    error: str | None = None


def batches(jobs: Mapping[Any, Job]) -> list[list[Any]]:
    """The keys of the jobs that one worker takes together: each by itself."""
    return [[key] for key in jobs]


def work(batch: Sequence[Job]) -> list[Outcome]:
    """Do jobs; their outcomes in order. Nothing is raised for a job that fails."""
    return [_do(job) for job in batch]


def finished(job: Job) -> Outcome | None:
    """The outcome of a job that has been done before, or None."""
    file = _kept(job)
    try:
        return Outcome(**runs.read_json(file))
    except FileNotFoundError:
        return None
    except (Error, ValueError, TypeError, RecursionError) as error:
        raise runs.RunError(f"{brief(str(file), 200)} is not readable ({brief(str(error), 250)})") from None


def _kept(job):
    by, n = length(with_overrides(recipes.get(job.recipe).settings, job.settings))
    return Path(job.directory) / f"evaluation-{n}-{by}.json"


def length(settings: Any) -> tuple[str, int]:
    """("epochs", so many) or ("steps", so many) of a run."""
    by = "epochs" if getattr(settings, "epochs", 0) else "steps"
    return by, getattr(settings, by)


def _do(job):
    try:
        with stopping_signals():
            return _when_free(job)
    except KeyboardInterrupt as stop:
        return Outcome(error=f"{stop or 'interrupted'}, not evaluated")
    except Exception as error:
        what = str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
        return Outcome(error=brief(what, LONGEST))


def _when_free(job):
    """The job, as soon as nobody else is at work on it: a worker that was lost or told to stop may still be."""
    end = time.monotonic() + 2 * GRACE
    while True:
        try:
            return finished(job) or _run(job)
        except LockError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _run(job):
    run = _trained(job)
    if run.stop and not isinstance(run.stop, NonFiniteError):
        return Outcome(error=run.stopped)
    diverged, evaluation = run.stop and str(run.stop), None
    try:
        measured, _, about = runs.evaluate(job.directory)
        evaluation = about | measured.to_dict()
    except NonFiniteError as error:
        diverged = diverged or str(error)
    outcome = Outcome(evaluation, diverged)
    runs.write_json(_kept(job), vars(outcome))
    return outcome


def _trained(job):
    recipe, directory = recipes.get(job.recipe), Path(job.directory)
    settings = with_overrides(recipe.settings, job.settings)
    if (directory / "model.npz").exists():
        by, n = length(settings)
        longer = {} if length(runs.read_config(directory)["settings"]) == (by, n) else {by: n}
        return runs.resume(directory, longer, quiet=True, checkpoint_every=job.checkpoint_every)
    if directory.exists():
        with locked(directory):  # of a run that was killed before it kept anything
            remove_leftovers(directory)
            (directory / "config.json").unlink(missing_ok=True)
    return runs.train(
        recipe,
        settings,
        job.seed,
        job.dtype,
        job.source,
        directory,
        quiet=True,
        until_equilibrium=job.until_equilibrium,
        checkpoint_every=job.checkpoint_every,
        watch=job.watch,
        animate=job.animate,
        log_dir=job.log_dir,
    )
