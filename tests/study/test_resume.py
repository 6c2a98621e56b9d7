"""Runs that are stopped, by whatever it is, and gone on with: the directory ends as that of one that ran through."""

import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from numgan.cli import main
from numgan.files import locked
from numgan.gan import steps as steps_module
from numgan.study import watch
from tests.study.test_run_config import config_of

FILES = {"config.json", "model.npz", "history.csv", "samples.png", "evolution.png", "history.png"}
SMALL = ["--set", "hidden=12,9"]
TINY = ["--set", "filters=3,4", "--batch-size=8", "--set", "snapshot_every=5"]
RUNS = {
    "sine": ["sine", "--steps", "230", "--set", "snapshot_every=40"],
    "sine, off the grid, until undecided, rates of each side's own that change": [
        "sine", "--steps", "333", "--set", "snapshot_every=50", "--until-equilibrium", "0.2", "--dtype", "float64",
        "--set", "generator_rate=2e-3", "--set", "discriminator_rate=4e-3", "--set", "decay=cosine", "--set",
        "warm_up=25",
    ],
    "wasserstein": ["sine", "--steps", "120", "--set", "snapshot_every=50", "--set", "objective=wasserstein"],
    "rates by epochs": [
        "mnist-epochs", "--epochs", "2", "--set", "batch_size=170", *SMALL, "--set", "decay=linear", "--set",
        "warm_up=13", "--set", "discriminator_steps=3",
    ],
    "sine-discriminator": ["sine-discriminator", "--steps", "170"],
    "ring": ["ring", "--steps", "170", "--set", "snapshot_every=30", "--set", "hidden=12,9"],
    "mnist": ["mnist", "--steps", "90", "--set", "batch_size=20", *SMALL],
    "mnist by epochs, float64": ["mnist", "--epochs", "2", "--set", "batch_size=150", "--dtype", "float64", *SMALL],
    "mnist-epochs": ["mnist-epochs", "--epochs", "3", "--set", "batch_size=170", *SMALL],
    "mnist-dcgan with dropout": ["mnist-dcgan", "--steps", "44", *TINY, "--set", "dropout=0.3"],
    "mnist-dcgan by epochs, float64": ["mnist-dcgan", "--epochs", "2", *TINY, "--batch-size=150", "--dtype=float64"],
    "stacked-mnist": ["stacked-mnist", "--steps", "41", *TINY],
    "emoji": ["emoji", "--steps", "41", *TINY, "--set", "size=16"],
    "mnist-conditional": ["mnist-conditional", "--steps", "90", "--set", "batch_size=20", *SMALL],
    "mnist-conditional by epochs, until undecided": [
        "mnist-conditional", "--epochs", "2", "--batch-size=150", *SMALL, "--until-equilibrium", "0.001",
    ],
    "translate": ["translate", "--steps", "41", *TINY, "--set", "patch_filters=2"],
    "translate emoji by epochs, float64": [
        "translate", "--epochs", "1", *TINY, "--batch-size=30", "--set", "patch_filters=2", "--set", "pairs=emoji",
        "--dtype=float64",
    ],
    "many moments": ["sine", "--steps", "300", "--set", "snapshot_every=5"],
}  # fmt: skip


@pytest.fixture
def stop_after(monkeypatch):
    """stop_after(n, error): n discriminator steps from now, halfway through the next, `error` is raised."""
    right, left = steps_module.DiscriminatorStep.run, [None, None]

    def run(self, *inputs):
        if left[0] == 0:
            left[0] = None
            self.calls[0].run()
            raise left[1]
        if left[0] is not None:
            left[0] -= 1
        right(self, *inputs)

    monkeypatch.setattr(steps_module.DiscriminatorStep, "run", run)
    return lambda n, error: left.__setitem__(slice(None), [n, error])


def contents(directory):
    """Every file of a run, byte for byte; the model's entries one by one, for a message that says which differs."""
    found = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "model.npz"}
    with np.load(directory / "model.npz") as file:
        return found | {name: (file[name].dtype, file[name].shape, file[name].tobytes()) for name in file.files}


def assert_same(one, other):
    one, other = contents(one), contents(other)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


QUICK = (
    "sine, off the grid, until undecided, rates of each side's own that change",
)  # all others are marked slow, for their pictures


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RUNS]
)
def test_a_run_stopped_again_and_again_is_the_run_that_went_through(name, call, stop_after, tmp_path):
    assert call("train", *RUNS[name], "--out", "through/run", "--quiet") == (0, "", "")
    assert {path.name for path in (tmp_path / "through/run").iterdir()} == FILES
    arguments = [*RUNS[name], "--out", "run"]
    for n, error in ((21, KeyboardInterrupt()), (12, ValueError("a mistake"))):
        stop_after(n, error)
        status, out, err = call("train", *arguments, "--quiet", "--checkpoint-every", "7")
        assert status == (130 if isinstance(error, KeyboardInterrupt) else 1) and out == ""
        assert re.fullmatch(r"numgan train: .*; run holds the state after step \d+, go on with: .* --resume run\n", err)
        assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
        arguments = ["--resume", "run"]
    assert call("train", "--resume", "run", "--quiet") == (0, "", "")
    assert_same(tmp_path / "through/run", tmp_path / "run")


@pytest.mark.slow
def test_a_run_stopped_and_resumed_ends_in_the_animation_of_the_one_that_went_through(call, stop_after, tmp_path):
    arguments = ["sine", "--steps", "90", "--set", "snapshot_every=40", "--animate", "--quiet", "--out"]
    assert call("train", *arguments, "through/run") == (0, "", "")
    stop_after(50, KeyboardInterrupt())
    assert call("train", *arguments, "run", "--checkpoint-every", "7")[0] == 130
    stopped = (tmp_path / "run" / "evolution.gif").read_bytes()
    status, _, error = call("train", "--resume", "run", "--animate")
    assert status == 2 and "--animate cannot be given with --resume" in error
    assert call("train", "--resume", "run", "--quiet") == (0, "", "")
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES | {"evolution.gif"}
    assert_same(tmp_path / "through/run", tmp_path / "run")
    assert stopped != (tmp_path / "run" / "evolution.gif").read_bytes()
    with Image.open(tmp_path / "run" / "evolution.gif") as file:
        assert file.n_frames == 4  # steps 0, 40, 80 and 90


@pytest.mark.slow
def test_a_finished_run_stays_as_it_is(call, tmp_path):
    call("train", *RUNS["sine"], "--out", "run", "--quiet")
    before = contents(tmp_path / "run")
    assert call("train", "--resume", "run", "--quiet") == (0, "", "")
    assert contents(tmp_path / "run") == before


@pytest.mark.slow
@pytest.mark.parametrize("first", [77, 50])
def test_a_run_can_be_made_longer(first, call, tmp_path):
    rest = ["--set", "snapshot_every=20", "--set", "batch_size=10", *SMALL, "--quiet", "--out"]
    assert call("train", "mnist", "--steps", 140, *rest, "through/run")[0] == 0
    assert call("train", "mnist", "--steps", first, *rest, "run")[0] == 0
    assert call("train", "--resume", "run", "--steps", 140, "--quiet") == (0, "", "")
    assert_same(tmp_path / "through/run", tmp_path / "run")
    assert call("evaluate", "run", "-n", 50)[0] == 0


@pytest.mark.slow
def test_a_run_of_epochs_can_be_made_longer(call, tmp_path):
    rest = ["--set", "batch_size=500", *SMALL, "--quiet", "--out"]
    assert call("train", "mnist-epochs", "--epochs", 4, *rest, "through/run")[0] == 0
    assert call("train", "mnist-epochs", "--epochs", 1, *rest, "run")[0] == 0
    assert call("train", "--resume", "run", "--epochs", 4, "--quiet") == (0, "", "")
    assert_same(tmp_path / "through/run", tmp_path / "run")
    status, _, err = call("train", "--resume", "run", "--steps", 400)
    assert status == 2 and "run is a run of 4 epochs; its length is given by --epochs" in err
    assert_same(tmp_path / "through/run", tmp_path / "run")


@pytest.mark.parametrize("settings, by", [({}, "steps"), ({"steps": 0, "epochs": 30, "rows": 9}, "epochs")])
def test_a_run_whose_rates_decay_keeps_its_length(settings, by, call, tmp_path):
    """A longer one would have had other rates."""
    (tmp_path / "run").mkdir()
    config = json.dumps(config_of(**{"steps": 30, "decay": "linear", "warm_up": 9} | settings))
    (tmp_path / "run" / "config.json").write_text(config)
    for length in (20, 40):
        status, out, err = call("train", "--resume", "run", f"--{by}", length)
        assert (status, out) == (2, "")
        assert f"run is a run of 30 {by} and cannot be of {length}: its learning rates fall to 0 by its end" in err
    assert (tmp_path / "run" / "config.json").read_text() == config


@pytest.mark.slow
def test_a_run_whose_rates_only_warm_up_can_be_made_longer(call, tmp_path):
    rates = ["--set", "warm_up=25", "--quiet", "--out"]
    assert call("train", "sine", "--steps", 60, *rates, "through/run")[0] == 0
    assert call("train", "sine", "--steps", 20, *rates, "run")[0] == 0
    assert call("train", "--resume", "run", "--steps", 60, "--quiet") == (0, "", "")
    assert_same(tmp_path / "through/run", tmp_path / "run")


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_starts_anew(call, tmp_path):
    call("train", *RUNS["sine"], "--out", "through/run", "--quiet")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_bytes((tmp_path / "through/run" / "config.json").read_bytes())
    assert call("train", "--resume", "run", "--quiet") == (0, "", "")
    assert_same(tmp_path / "through/run", tmp_path / "run")


@pytest.mark.slow
def test_pictures_that_failed_are_made_by_resuming(call, tmp_path, monkeypatch):
    call("train", *RUNS["sine"], "--out", "through/run", "--quiet")
    with monkeypatch.context() as patch:
        patch.setattr(watch.Moments, "up_to", lambda self, done: (_ for _ in ()).throw(OSError(28, "no space")))
        status, _, err = call("train", *RUNS["sine"], "--out", "run", "--quiet")
    assert status == 1 and "run holds the state after step 230" in err
    assert call("train", "--resume", "run", "--quiet") == (0, "", "")
    assert_same(tmp_path / "through/run", tmp_path / "run")


@pytest.mark.usefixtures("unrendered")
def test_what_a_killed_run_left_half_written_goes(call, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".numgan-1234.npz").write_bytes(b"half")
    assert call("train", "sine", "--steps", 20, "--out", "run", "--quiet") == (0, "", "")
    (tmp_path / "run" / ".numgan-1234.npz").write_bytes(b"half")
    assert call("train", "--resume", "run", "--steps", 30, "--quiet") == (0, "", "")
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


@pytest.mark.usefixtures("unrendered")
def test_checkpoints_are_told_of(call):
    out = call("train", "sine", "--steps", 50, "--checkpoint-every", 20, "--out", "run")[1]
    assert re.findall(r"^ +(\d+)   checkpoint$", out, re.MULTILINE) == ["20", "40", "50"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 20 steps that is done."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    assert main(["train", "sine", "--steps", "20", "--out", str(directory), "--quiet"]) == 0
    return directory


@pytest.mark.parametrize("arguments, phrase", [
    ([], "numgan train takes a recipe, or --resume and a run to go on with, or --config and a file; one of them"),
    (["sine", "--resume", "run"], "numgan train takes a recipe, or --resume and a run"),
    (["--config", "run/config.json", "--resume", "run"], "numgan train takes a recipe, or --resume and a run"),
    (["--resume", "run", "--seed", "0"], "--seed cannot be given with --resume: the run has its own"),
    (["--resume", "nowhere"], "nowhere is not a run directory: it has no config.json"),
    (["--resume", "run", "--seed", "3"], "--seed cannot be given with --resume: the run has its own"),
    (["--resume", "run", "--set", "slope=0.1"], "--set cannot be given with --resume"),
    (["--resume", "run", "--out", "other"], "--out cannot be given with --resume"),
    (["--resume", "run", "--dtype", "float64"], "--dtype cannot be given with --resume"),
    (["--resume", "run", "--epochs", "3"], "run is a run of 20 steps; its length is given by --steps"),
    (["--resume", "run", "--steps", "10"], "20 steps are done, more than the 10 asked for"),
    (["--resume", "run", "--steps", "many"], "steps=many is not possible"),
    (["--resume", "run", "--checkpoint-every", "0"], "--checkpoint-every: expected a whole number from 1 up"),
])  # fmt: skip
def test_what_cannot_be_resumed_is_refused_and_left_as_it_is(arguments, phrase, call, tmp_path, finished):
    shutil.copytree(finished, "run")
    before = contents(tmp_path / "run")
    status, out, err = call("train", *arguments)
    assert (status, out) == (2, "") and phrase in err
    assert contents(tmp_path / "run") == before and os.listdir() == ["run"]


@pytest.mark.usefixtures("unrendered")
@pytest.mark.skipif(sys.platform == "win32", reason="no locks on directories")
def test_a_run_in_use_is_left_alone(call, tmp_path):
    call("train", "sine", "--steps", 20, "--out", "run", "--quiet")
    (tmp_path / "empty").mkdir()
    with locked("run"), locked("empty"):
        for arguments in (["--resume", "run"], ["sine", "--steps", 20, "--out", "empty"]):
            status, out, err = call("train", *arguments)
            assert (status, out) == (2, "") and "is in use by another process" in err
    assert list((tmp_path / "empty").iterdir()) == []


# ---------------------------------------------------------------- real signals


def start(tmp_path, *arguments, **options):
    # a shell's background jobs ignore SIGINT, and so would their children
    return subprocess.Popen(
        [sys.executable, "-m", "numgan", "train", *map(str, arguments)],
        cwd=tmp_path, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options,
    )  # fmt: skip


def wait_for_checkpoints(process, n=3):
    """Read on until so many checkpoints are reported; returns the step of the last."""
    steps = (re.match(r" +([\d,]+)   checkpoint$", line) for line in process.stdout)
    return [int(found[1].replace(",", "")) for found in itertools.islice(filter(None, steps), n)][-1]


ENDLESS = ["sine", "--steps", "90000000", "--checkpoint-every", "50", "--out", "run"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    "name, status",
    [
        pytest.param("SIGINT", 130, marks=pytest.mark.slow),
        ("SIGTERM", 143),
        pytest.param("SIGHUP", 129, marks=pytest.mark.slow),
    ],
)
def test_a_signal_keeps_the_state_and_says_how_to_go_on(name, status, tmp_path, call):
    process = start(tmp_path, *ENDLESS)
    reported = wait_for_checkpoints(process)
    process.send_signal(getattr(signal, name))
    err = process.communicate(timeout=60)[1]
    assert process.returncode == status, err
    what = "interrupted" if name == "SIGINT" else f"stopped by {name}"
    found = re.fullmatch(
        rf"numgan train: {what}; run holds the state after step ([\d,]+), go on .* --resume run\n", err
    )
    kept = int(found[1].replace(",", ""))
    assert kept >= reported and {path.name for path in (tmp_path / "run").iterdir()} == FILES
    assert call("train", "--resume", "run", "--steps", kept + 30, "--quiet") == (0, "", "")
    assert call("train", "sine", "--steps", kept + 30, "--quiet", "--out", "through/run") == (0, "", "")
    assert_same(tmp_path / "through/run", tmp_path / "run")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_signal_ends_it_at_once_and_harms_nothing(tmp_path, call):
    process = start(tmp_path, *ENDLESS)
    reported = wait_for_checkpoints(process)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 143 and "Traceback" not in err, err
    kept = int(re.search(r"after step ([\d,]+)", err)[1].replace(",", ""))
    assert kept >= reported and {path.name for path in (tmp_path / "run").iterdir()} <= FILES
    assert call("train", "--resume", "run", "--steps", kept + 30, "--quiet") == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.slow
def test_what_a_shell_ignores_for_it_stays_ignored(tmp_path):
    process = start(
        tmp_path, "sine", "--steps", "3000", "--checkpoint-every", "50", "--out", "run", restore_signals=False
    )
    process.kill()
    process.communicate()
    command = f"trap '' HUP; exec {sys.executable} -m numgan train sine --steps 9000 --checkpoint-every 50 --out nohup"
    process = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, encoding="utf-8")
    wait_for_checkpoints(process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
def test_a_closed_pipe_stops_it_and_keeps_the_state(tmp_path, call):
    process = start(tmp_path, *ENDLESS)
    wait_for_checkpoints(process)
    process.stdout.close()
    with process.stderr:
        err = process.stderr.read()
    process.wait(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(r"numgan train: BrokenPipeError: .*; run holds the state after step .*\n", err), err
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


@pytest.mark.skipif(sys.platform == "win32", reason="limits")
@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, call):
    """A limit on the size of files stands in for the disk: the history grows until model.npz is too large."""
    command = f"ulimit -f 700; exec {sys.executable} -m numgan train {' '.join(ENDLESS)} --quiet"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=100)
    assert done.returncode == 1 and done.stdout == ""
    found = re.fullmatch(
        r"numgan train: run/model.npz: cannot be written: .*; run holds the state after step ([\d,]+), .*\n",
        done.stderr,
    )
    assert found, done.stderr
    kept = int(found[1].replace(",", ""))
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    assert call("train", "--resume", "run", "--steps", kept + 30, "--quiet") == (0, "", "")
    assert call("train", "sine", "--steps", kept + 30, "--quiet", "--out", "through/run") == (0, "", "")
    assert_same(tmp_path / "through/run", tmp_path / "run")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.slow
@pytest.mark.parametrize("kills", [25])
def test_killed_outright_at_any_moment_the_directory_holds_a_whole_checkpoint(kills, tmp_path, call):
    """Not older than the last that was reported, and what comes of it in the end is the run that went through."""
    draw, arguments, reported = random.Random(kills), ["sine", "--steps", "90000000", "--out", "run"], 0
    for _ in range(kills):
        process = start(tmp_path, *arguments, "--checkpoint-every", "11")
        last = wait_for_checkpoints(process, 1)
        time.sleep(draw.uniform(0, 0.2))
        process.kill()
        last = max(
            [last, *(int(n.replace(",", "")) for n in re.findall(r"([\d,]+)   checkpoint\n", process.stdout.read()))]
        )
        process.communicate()
        with np.load(tmp_path / "run" / "model.npz") as file:
            kept = len(file["run.history.g_loss"])
        assert kept >= last >= reported
        arguments, reported = ["--resume", "run"], kept
    assert call("train", "--resume", "run", "--steps", kept + 10, "--quiet") == (0, "", "")
    assert call("train", "sine", "--steps", kept + 10, "--quiet", "--out", "through/run") == (0, "", "")
    assert_same(tmp_path / "through/run", tmp_path / "run")
