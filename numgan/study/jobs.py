"""A job: one seed of a recipe under some settings, trained (or gone on with), and evaluated, by whoever takes it.

Jobs are plain values and `work` is a function of a module, so that any executor can carry them, to another process or
to another machine. What comes of a job is kept in its run directory: it is never done twice.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numgan.errors import Error
from numgan.files import LockError, locked, remove_leftovers
from numgan.gan.blocks import in_a_block
from numgan.gan.fit import NonFiniteError
from numgan.hints import DType
from numgan.nn.model_file import open_model
from numgan.study import recipes, runs
from numgan.study.settings import brief, extent, with_overrides
from numgan.study.signals import stopping_signals
from numgan.study.workers import GRACE

LONGEST = 400  # characters of what went wrong
MOST = 16  # jobs of a stack: with more, each step gains little, and a worker that is lost takes more along
# Settings of which every replica of a stack can have its own; and whether 0 says that there is no such thing.
NUMBERS = {
    **dict.fromkeys(("learning_rate", "generator_rate", "discriminator_rate", "warm_up", "decay"), False),
    **dict.fromkeys(("beta1", "beta2", "epsilon", "label_smoothing", "penalty_weight"), False),
    **dict.fromkeys(("clip", "average", "l1_weight"), True),
}


@dataclasses.dataclass(frozen=True)
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


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a job.

    evaluation  as `numgan evaluate --json` gives it, or None.
    diverged    None, or where infinities or NaNs came up: an end of the training that another try would not change.
    error       None, or what kept it from being finished.
    """

    evaluation: dict | None = None
    diverged: str | None = None
    error: str | None = None


def batches(jobs: Mapping[Any, Job], workers: int | None) -> list[list[Any]]:
    """The keys of the jobs that one worker takes together.

    Jobs that differ in nothing but seeds and NUMBERS are trained as a stack, if they are fresh, and small enough for
    several of them to stay in a core's cache: beyond that a stack gains nothing. They are dealt out evenly to so many
    workers. Where it is not known how many there are, each job is by itself.
    """
    alike: dict[Any, list[Any]] = {}
    for key, job in jobs.items():
        alike.setdefault(_kind(job) if workers and _is_fresh(job) else key, []).append(key)
    found = []
    for keys in alike.values():
        count = len(keys)
        if workers and count > workers:
            count = min(count, workers * -(-count // (workers * _most(jobs[keys[0]]))))
        edges = [len(keys) * i // count for i in range(count + 1)]
        found += [keys[start:end] for start, end in itertools.pairwise(edges)]
    return found


def _is_fresh(job):
    """Whether it is still to be begun, and asks for nothing that only a training by itself has."""
    more = job.until_equilibrium is not None or job.watch or job.animate or job.log_dir is not None
    return not (more or (Path(job.directory) / "model.npz").exists())


def _kind(job):
    """What jobs have in common that can be a stack: it is the same for them."""
    settings = dataclasses.asdict(_settings(job))
    for name in settings.keys() & NUMBERS.keys():
        settings[name] = NUMBERS[name] and settings[name] > 0
    return job.recipe, job.dtype, job.source, job.checkpoint_every, *settings.items()


def _most(job):
    """How many like it make a stack."""
    recipe, settings = recipes.get(job.recipe), _settings(job)
    try:
        data, _ = recipe.load(job.source, settings)
        gan = recipe.build(settings.for_data(data), runs.streams(job.seed)[0], job.dtype)
        return min(MOST, in_a_block(gan, settings.batch_size))
    except Exception:  # what is wrong is the outcome of each of them
        return 1


def work(batch: Sequence[Job]) -> list[Outcome]:
    """Do jobs; their outcomes in order. Nothing is raised for a job that fails.

    Several that are fresh are trained as a stack first. Each then goes on by itself from where that has left it: from
    its end, if nothing went wrong.
    """
    outcomes: list[Outcome] = []
    try:
        with stopping_signals():
            if len(batch) > 1 and all(map(_is_fresh, batch)):
                _train_side_by_side(batch)
            for job in batch:
                outcomes.append(_do(job))
    except KeyboardInterrupt as stop:
        outcomes += [_interrupted(job, stop) for job in batch[len(outcomes) :]]
    return outcomes


def _interrupted(job, stop):
    """The outcome of a job that an interrupt has kept from its end, in the words of `runs.Run.stopped`."""
    what, file = str(stop) or "interrupted", Path(job.directory) / "model.npz"
    if not file.exists():
        return Outcome(error=f"{what}, not begun")
    with open_model(file) as model:
        done = model.settings["run"]["done"]
    return Outcome(error=brief(runs.kept_until(what, job.directory, done), LONGEST))


def _train_side_by_side(batch):
    try:
        for job in batch:
            _clear(Path(job.directory))
        each = [(_settings(job), job.seed, job.directory) for job in batch]
        first = batch[0]
        recipe = recipes.get(first.recipe)
        runs.train_side_by_side(recipe, each, first.dtype, first.source, first.checkpoint_every)
    except Exception:  # which each of them meets by itself, and says
        pass


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
    by, n = extent(_settings(job))
    return Path(job.directory) / f"evaluation-{n}-{by}.json"


def _settings(job):
    return with_overrides(recipes.get(job.recipe).settings, job.settings)


def _do(job):
    try:
        return _when_free(job)
    except Exception as error:
        return failed(error)


def failed(error: BaseException) -> Outcome:
    """The outcome of a job that raised an error."""
    return Outcome(error=brief(str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}", LONGEST))


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
    if isinstance(run.stop, KeyboardInterrupt):
        raise run.stop
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
    settings = _settings(job)
    if (directory / "model.npz").exists():
        by, n = extent(settings)
        longer = {} if extent(runs.read_config(directory)["settings"]) == (by, n) else {by: n}
        return runs.resume(directory, longer, quiet=True, checkpoint_every=job.checkpoint_every)
    _clear(directory)
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


def _clear(directory):
    """Remove what a run has left that was killed before it kept anything."""
    if directory.exists():
        with locked(directory):
            remove_leftovers(directory)
            (directory / "config.json").unlink(missing_ok=True)
