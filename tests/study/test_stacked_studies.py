"""Runs that differ in seeds and numbers are trained as a stack, and end as those do that are trained by themselves."""

import multiprocessing
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from numgan import GAN
from numgan.study import dispatcher, plots
from numgan.study.jobs import Job, batches, work
from numgan.study.recipes.points import Points
from numgan.study.studies import study
from numgan.study.watch import Watch
from numgan.study.workers import Processes

CRITIC = {"objective": "wasserstein", "clip": 0, "hidden": "8", "steps": 450, "snapshot_every": 150}


@pytest.fixture(autouse=True)
def one_thread():
    """BLAS with one thread, as workers have it."""
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture
def brief(unrendered, monkeypatch):
    """Runs whose pictures and measures take no time: nearly all that a short run takes."""
    monkeypatch.setattr(Points, "evaluation_count", lambda *_: 100)
    monkeypatch.setattr(Points, "quality_count", 1000)
    for name in ("evolution", "history", "point_samples"):
        monkeypatch.setattr(plots, name, lambda *given: Path(given[-1]).write_bytes(b""))


@pytest.fixture
def stacked(monkeypatch):
    """How many were stacked, each time that some were."""
    counts, stack = [], GAN.stack
    monkeypatch.setattr(GAN, "stack", lambda gans: counts.append(len(gans)) or stack(gans))
    return counts


def jobs_of(directory, recipe, *settings, seeds=(0, 1, 2), **how):
    places = [(s, seed, str(directory / f"{i}-{seed}")) for i, s in enumerate(settings) for seed in seeds]
    return [Job(recipe, s, seed, place, **how) for s, seed, place in places]


def files(directory):
    """All files of a directory, by name; without the directory's own name, which an evaluation says."""
    own = str(directory).encode()
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes().replace(own, b"DIR") for path in paths}


def assert_as_alone(directory, jobs):
    """Do the jobs of a directory one by one in another; all files must be the same."""
    other = directory.with_name("alone")
    moved = [Job(**vars(job) | {"directory": job.directory.replace(str(directory), str(other))}) for job in jobs]
    outcomes = [work([job])[0] for job in moved]
    assert files(other).keys() == files(directory).keys()
    assert [name for name, content in files(other).items() if content != files(directory)[name]] == []
    return outcomes


# ------------------------------------------------------------------------------------------------- equal to the bit


@pytest.mark.parametrize("recipe, high", [("ring", 5e4), pytest.param("sine", 4e5, marks=pytest.mark.slow)])
def test_stacked_runs_leave_the_files_of_runs_alone(recipe, high, tmp_path, brief, stacked):
    """Two rates, three seeds each; by the higher rate some diverge, at steps of their own."""
    jobs = jobs_of(tmp_path / "S", recipe, *(CRITIC | {"learning_rate": rate} for rate in (1e-3, high)))
    outcomes = work(jobs)
    assert stacked == [6]
    diverged = [o.diverged for o in outcomes]
    assert diverged[:3] == [None] * 3 and any(diverged[3:]) and not any(o.error for o in outcomes)
    assert [o.diverged for o in assert_as_alone(tmp_path / "S", jobs)] == diverged
    assert stacked == [6]


@pytest.mark.parametrize(
    "recipe, settings",
    [
        ("ring", [{"objective": "minimax", "spectral_norm": "yes", "average": 0.9, "label_smoothing": s, "warm_up": 50}
                  for s in (0.0, 0.1)]),
        ("sine", [{"objective": "wasserstein", "penalty": "wgan-gp", "penalty_weight": w, "penalty_every": 2,
                   "discriminator_steps": 2} for w in (1, 10)]),
        ("mnist-epochs", [{"epochs": 1, "batch_size": 128, "decay": d} for d in ("none", "cosine")]),
        ("mnist-conditional", [{"beta1": b, "batch_size": 16} for b in (0.5, 0.9)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
@pytest.mark.slow
def test_so_it_is_with_all_that_a_recipe_has(recipe, settings, tmp_path, brief, stacked):
    small = {"hidden": "8"} if recipe in ("sine", "ring") else {"latent_dim": 4}
    small |= {} if "epochs" in settings[0] else {"steps": 130, "snapshot_every": 60}
    jobs = jobs_of(tmp_path / "S", recipe, *(small | own for own in settings), seeds=[5])
    assert [o.error or o.diverged for o in work(jobs)] == [None] * 2 and stacked == [2]
    assert_as_alone(tmp_path / "S", jobs)


def test_a_stack_that_is_killed_goes_on_from_the_checkpoints_of_its_runs(tmp_path, brief, stacked, monkeypatch):
    jobs = jobs_of(tmp_path / "S", "sine", CRITIC, seeds=[0, 1], checkpoint_every=100)

    def killed_at(at):
        look = Watch.__call__

        def call(watch, done, record):
            if done == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return look(watch, done, record)

        Watch.__call__ = call
        work(jobs)

    process = multiprocessing.get_context("fork").Process(target=killed_at, args=(300,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and stacked == []
    kept = [dict(np.load(Path(job.directory) / "model.npz"))["run.history.g_loss"] for job in jobs]
    assert [len(losses) for losses in kept] == [200, 200]
    assert not any(o.error for o in work(jobs)) and stacked == []  # they are fresh no longer
    assert_as_alone(tmp_path / "S", jobs)


@pytest.mark.slow
def test_what_is_told_to_stop_keeps_the_state_of_all(tmp_path, brief, monkeypatch):
    jobs, look = jobs_of(tmp_path / "S", "sine", CRITIC, seeds=[0, 1]), Watch.__call__

    def told_to_stop(watch, done, record):
        if done == 300:
            os.kill(os.getpid(), signal.SIGTERM)
        return look(watch, done, record)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "__call__", told_to_stop)
        outcomes = work(jobs)
    for outcome, job in zip(outcomes, jobs, strict=True):
        kept = rf"{job.directory} holds the state after step \d+"
        said = f"stopped by SIGTERM; {kept}, go on with: numgan train --resume {job.directory}"
        assert re.fullmatch(said, outcome.error)
    assert {path.name for path in (tmp_path / "S").rglob("*.*")} == {"config.json", "model.npz"}
    assert not any(o.error for o in work(jobs))
    assert_as_alone(tmp_path / "S", jobs)


@pytest.mark.slow
def test_a_run_that_fails_leaves_the_others_alone(tmp_path, brief, monkeypatch):
    jobs, look, failed = jobs_of(tmp_path / "S", "sine", CRITIC), Watch.__call__, []

    def full_disk(watch, done, record):
        if done == 300 and not failed:
            failed.append(watch)
            raise OSError("No space left on device")
        return look(watch, done, record)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "__call__", full_disk)
        outcomes = work(jobs)
    assert failed and not any(o.error for o in outcomes)  # it has gone on by itself
    assert_as_alone(tmp_path / "S", jobs)


@pytest.mark.slow
def test_a_study_finds_the_same_whether_its_runs_are_stacked_or_alone(tmp_path, monkeypatch):
    asked = "sine", {"learning_rate": [1e-3, 4e-3]}, [0]
    how = {"settings": {"steps": 600, "snapshot_every": 300, "hidden": 8}}
    with Processes(1) as hands:
        study(*asked, tmp_path / "S", executor=hands, **how)
    monkeypatch.setattr(dispatcher, "batches", lambda jobs, workers: [[key] for key in jobs])
    with Processes(1) as hands:
        study(*asked, tmp_path / "T", executor=hands, **how)
    assert files(tmp_path / "S") == files(tmp_path / "T")


# ------------------------------------------------------------------------------------------------- who is stacked


def sizes(jobs, workers):
    """The numbers of jobs in the batches."""
    dealt = batches(dict(enumerate(jobs)), workers)
    assert sorted(key for keys in dealt for key in keys) == list(range(len(jobs)))
    return [len(keys) for keys in dealt]


@pytest.mark.parametrize(
    "count, workers, expected",
    [(40, 2, [10] * 4), (33, 2, [8, 8, 8, 9]), (32, 2, [16, 16]), (3, 2, [1, 2]), (4, 4, [1] * 4), (5, 1, [5]),
     (5, None, [1] * 5)],
)  # fmt: skip
def test_stacks_are_dealt_out_evenly(count, workers, expected, tmp_path):
    assert sizes(jobs_of(tmp_path, "sine", {}, seeds=range(count)), workers) == expected


def test_only_small_runs_that_differ_in_numbers_are_stacked(tmp_path):
    rates = [{"learning_rate": 1e-3}, {"learning_rate": 2e-3, "label_smoothing": 0.1, "beta1": 0.5}]
    assert sizes(jobs_of(tmp_path, "sine", *rates), 1) == [6]
    assert sizes(jobs_of(tmp_path, "ring", {}, seeds=range(16)), 1) == [8, 8]
    assert sizes(jobs_of(tmp_path, "mnist", {}), 1) == [1] * 3
    for other in ({"hidden": 30}, {"batch_size": 64}, {"steps": 10}, {"average": 0.9}, {"snapshot_every": 5}):
        assert sizes(jobs_of(tmp_path, "sine", {}, other), 1) == [3, 3]
    for alone in ({"watch": True}, {"log_dir": "logs"}, {"until_equilibrium": 0.1}):
        assert sizes(jobs_of(tmp_path, "sine", {}, **alone), 1) == [1] * 3
    begun = jobs_of(tmp_path, "sine", {})
    Path(begun[1].directory).mkdir()
    (Path(begun[1].directory) / "model.npz").touch()
    assert sizes(begun, 1) == [2, 1]


def test_what_cannot_be_stacked_is_done_one_by_one(tmp_path, brief, stacked):
    few = CRITIC | {"steps": 20}
    outcomes = work(jobs_of(tmp_path, "sine", few, few | {"hidden": 9}, seeds=[0]))
    assert stacked == [2] and [o.error for o in outcomes] == [None] * 2
