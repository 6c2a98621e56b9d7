"""The recipes of conditional GANs from the command line: trained, asked for this and that, judged, gone on with."""

import json
import os
import re
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

from numgan import GAN
from numgan.cli import main
from numgan.data.images import to_unit_range
from numgan.data.pictures import load_grey_picture
from numgan.study import recipes, runs
from tests.helpers import peak_memory, rng

FILES = {"config.json", "model.npz", "history.csv", "samples.png", "evolution.png", "history.png"}
DIGITS = ["mnist-conditional", "--batch-size=16", "--set", "hidden=8,12", "--set", "snapshot_every=6", "--quiet"]
PICTURES = ["translate", "--batch-size=4", "--set", "filters=2,3", "--set", "patch_filters=3", "--set",
            "snapshot_every=3", "--quiet"]  # fmt: skip
EMOJI = [*PICTURES, "--set", "pairs=emoji"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory of runs: digits (by a process of its own), pictures, and one without conditions; and of PNG files."""
    directory = tmp_path_factory.mktemp("runs")
    own = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "numgan", "train", *DIGITS, "--steps", "12", "--out", "digits"]
    done = subprocess.run(command, cwd=directory, env=own, capture_output=True, encoding="utf-8", timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for arguments, name in ((PICTURES, "pictures"), (["sine", "--quiet"], "sine")):
        assert main(["train", *arguments, "--steps", "5", "--out", str(directory / name)]) == 0
    for name, side in (("good", 32), ("small", 28)):
        matplotlib.image.imsave(directory / f"{name}.png", rng().random((side, side, 3)))
    (directory / "text.png").write_text("no picture")
    return directory


@pytest.fixture
def ask(trained, monkeypatch, capsys):
    """ask(*arguments): `numgan ARGUMENTS` in the directory of runs, (status, standard output, standard error)."""
    monkeypatch.chdir(trained)

    def ask(*arguments):
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return ask


def test_a_run_leaves_what_every_run_leaves(trained):
    for name in ("digits", "pictures"):
        assert {path.name for path in (trained / name).iterdir()} >= FILES
    header = (trained / "pictures" / "history.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.endswith(",value,l1")


def test_samples_are_of_the_class_asked_for(ask, trained, tmp_path):
    assert ask("sample", "digits", "--label", 3, "-n", 5, "--out", tmp_path / "a.npy")[0] == 0
    gan = GAN.load(trained / "digits" / "model.npz")
    draw = np.random.default_rng(0).spawn(2)[0]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), gan.sample(5, draw, label=3))
    assert ask("sample", "digits", "--label", 4, "-n", 5, "--out", tmp_path / "b.npy")[0] == 0
    assert (np.load(tmp_path / "a.npy") != np.load(tmp_path / "b.npy")).any()
    status, out, _ = ask("sample", "digits", "--label", 3, "-n", 5, "--out", tmp_path / "a.png")
    assert status == 0 and "5 samples of the averaged generator" in out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_samples_are_made_from_the_picture_given(ask, trained, tmp_path):
    status, out, _ = ask("sample", "pictures", "--image", "good.png", "-n", 3, "--out", tmp_path / "a.npy")
    assert (status, out) == (0, f"{tmp_path / 'a.npy'}: 3 samples\n")
    gan, image = GAN.load(trained / "pictures" / "model.npz"), to_unit_range(load_grey_picture(trained / "good.png"))
    draw = np.random.default_rng(0).spawn(2)[0]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), gan.sample(3, draw, image=image))
    assert ask("sample", "pictures", "--image", "good.png", "--out", tmp_path / "a.png")[0] == 0


@pytest.mark.parametrize("run", ["digits", "pictures"])
def test_without_a_condition_samples_are_what_the_run_s_own_picture_shows(run, ask, tmp_path):
    assert ask("sample", run, "-n", 20, "--out", tmp_path / "a.npy")[0] == 0
    assert ask("sample", run, "-n", 20, "--out", tmp_path / "a.png")[0] == 0
    assert len(np.load(tmp_path / "a.npy")) == 20


@pytest.mark.parametrize("n", [1, 7, 10, 40, 100])
def test_classes_are_shared_out_evenly_and_in_order(n):
    label = recipes.get("mnist-conditional").asked(n, None, rng()).conditions["label"]
    assert sorted(label) == list(label) and label.shape == (n,) and 0 <= label.min() <= label.max() <= 9
    assert np.ptp(np.bincount(label, minlength=10)) <= 1


@pytest.mark.parametrize("arguments, phrase", [
    (["digits", "--label", "10"], "--label must be a class, 0 to 9, got '10'"),
    (["digits", "--label", "x"], "--label must be a class, 0 to 9, got 'x'"),
    (["digits", "--label", ""], "--label must be a class, 0 to 9, got ''"),
    (["digits", "--label", "2.5"], "--label must be a class, 0 to 9, got '2.5'"),
    (["digits", "--label=-1"], "--label must be a class, 0 to 9, got '-1'"),
    (["digits", "--label", "³"], "--label must be a class, 0 to 9, got '³'"),
    (["digits", "--label", "0" * 9_999], "--label must be a class, 0 to 9, got '000"),
    (["digits", "--text", "seven"], "--text cannot be given: the recipe mnist-conditional's condition is --label"),
    (["digits", "--image", "good.png"], "--image cannot be given: the recipe mnist-conditional's condition is --label"),
    (["digits", "--label", "1", "--text", "a"], "argument --text: not allowed with argument --label"),
    (["sine", "--label", "1"], "--label cannot be given: the recipe sine's samples have no condition"),
    (["sine", "--text", "a red one"], "--text cannot be given: the recipe sine's samples have no condition"),
    (["pictures", "--label", "1"], "--label cannot be given: the recipe translate's condition is --image"),
    (["pictures", "--image", "small.png"], "small.png: 28 x 28 pixels, expected 32 x 32"),
    (["pictures", "--image", "text.png"], "text.png: not a PNG file"),
    (["pictures", "--image", "missing.png"], "missing.png: no such file"),
    (["pictures", "--image", "."], ".: cannot be read: it is a directory"),
    (["pictures", "--image", ""], ": no such file"),
])  # fmt: skip
def test_what_cannot_be_asked_for_is_refused_in_words(arguments, phrase, ask, trained):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    status, out, err = ask("sample", *arguments)
    assert (status, out) == (2, "") and phrase in err and len(err.splitlines()[-1]) <= 500
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def test_a_run_is_evaluated_as_text_and_as_json(ask):
    status, out, err = ask("evaluate", "digits", "-n", 40)
    assert (status, err) == (0, "") and re.search(r"^class_accuracy +\S+ +0\.9\d+ ", out, re.MULTILINE)
    status, out, err = ask("evaluate", "pictures", "-n", 12, "--json")
    found = json.loads(out)
    assert (status, err) == (0, "") and found["samples"] == 12 and found["average"] is None
    assert all({"name", "value", "real", "better"} <= measure.keys() for measure in found["measures"])
    status, out, err = ask("evaluate", "pictures", "-n", 12)
    assert status == 0 and "the input" in out
    status, out, err = ask("evaluate", "digits", "-n", 3)
    assert (status, out) == (2, "") and "expected at least 2 of each" in err


SCENES = ["captions", "--batch-size=4", "--set", "filters=2,3", "--set", "word_features=2", "--quiet"]


@pytest.mark.parametrize("arguments", [DIGITS, PICTURES, EMOJI, SCENES], ids=["digits", "pictures", "emoji", "scenes"])
def test_the_step_of_a_conditional_recipe_is_printed_and_timed(arguments, ask):
    arguments = [a for a in arguments if a != "--quiet"]
    status, out, err = ask("summary", *arguments, "--step")
    assert (status, err) == (0, "") and "join_1 (Join)" in out
    assert ("add_share" in out) == (arguments[0] == "translate")
    status, out, err = ask("profile", *arguments, "--steps", 1)
    assert (status, err) == (0, "") and "whole step" in out


@pytest.mark.slow
def test_a_run_is_gone_on_with(ask, trained, tmp_path):
    arguments = [*DIGITS, "--out", tmp_path / "run", "--steps"]
    assert ask("train", *arguments, 6) == (0, "", "")
    assert ask("train", "--resume", tmp_path / "run", "--steps", 12, "--quiet") == (0, "", "")
    with np.load(tmp_path / "run" / "model.npz") as resumed, np.load(trained / "digits" / "model.npz") as through:
        assert resumed.files == through.files
        assert [name for name in through.files if resumed[name].tobytes() != through[name].tobytes()] == []
    assert (tmp_path / "run" / "history.csv").read_bytes() == (trained / "digits" / "history.csv").read_bytes()


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize(
    "arguments", [DIGITS, pytest.param(PICTURES, marks=pytest.mark.slow)], ids=["digits", "pictures"]
)
def test_a_training_ends_at_the_equilibrium(arguments, ask, tmp_path):
    arguments = [a for a in arguments if a != "--quiet"]
    status, out, _ = ask("train", *arguments, "--steps", 60, "--until-equilibrium", 0.4, "--out", tmp_path / "run")
    assert status == 0 and re.search(r"^equilibrium at step \d+: mean \|D − ½\| is 0\.\d", out, re.MULTILINE)


@pytest.mark.slow
def test_seeds_are_trained_side_by_side_and_compared(ask, tmp_path):
    status, out, _ = ask("train", *DIGITS[:-1], "--steps", 6, "--seeds", "0-1", "--out", tmp_path / "seeds")
    assert status == 0 and "class_accuracy" in out and "seed 1 collapsed" in out


@pytest.mark.parametrize("arguments, phrase", [
    ([*PICTURES, "--set", "l1_weight=-1"], "l1_weight=-1 is not possible; expected a positive number, or 0"),
    ([*PICTURES, "--set", "filters=1,1,1,1,1,1"], "6 filters halve a picture of 32 pixels too often, at most 5 do"),
    ([*PICTURES, "--set", "pairs=x"], "pairs=x is not possible; expected one of outlines, emoji"),
    ([*EMOJI, "--data", "."], "the emoji of translate ship with numgan and take no --data, got '.'"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused_before_anything_is_written(arguments, phrase, ask, tmp_path):
    status, out, err = ask("train", *arguments, "--steps", 3, "--out", tmp_path / "run")
    assert (status, out) == (2, "") and phrase in err and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_without_a_distance_there_is_no_column_of_it(ask, tmp_path):
    how = ["--steps", 3, "--set", "l1_weight=0", "--set", "objective=relativistic", "--out", tmp_path / "run"]
    assert ask("train", *PICTURES, *how) == (0, "", "")
    assert ",l1" not in (tmp_path / "run" / "history.csv").read_text(encoding="utf-8")
    assert GAN.load(tmp_path / "run" / "model.npz").l1 is None


@pytest.mark.parametrize("arguments", [DIGITS, PICTURES], ids=["digits", "pictures"])
def test_a_warm_step_of_a_recipe_takes_no_memory(arguments):
    recipe = recipes.get(arguments[0])
    gan = recipe.build(recipe.settings, rng(), "float32")
    steps = gan.discriminator_step(32), gan.generator_step(32)
    real, noise = (rng(1).normal(size=(32, *net.shapes[0])).astype("f4") for net in (gan.discriminator, gan.generator))
    given = {name: np.zeros((32, *c.shape), np.float32) for name, c in gan.conditions.items()}
    target = real if gan.compares else None
    for _ in range(2):
        steps[0].run(real, noise, None, given), steps[1].run(noise, target, given)
    # NumPy's own iterators over five axes take 8 KB, whatever the size of the data; those of 2.0 a buffer besides
    assert peak_memory(lambda: steps[0].run(real, noise, None, given)) < 45_000 < real.nbytes / 2
    assert peak_memory(lambda: steps[1].run(noise, target, given)) < 45_000


def test_a_model_of_another_recipe_in_its_place_is_refused(ask, trained, tmp_path):
    (tmp_path / "run").mkdir()
    for name, source in (("config.json", "digits"), ("model.npz", "sine")):
        (tmp_path / "run" / name).write_bytes((trained / source / name).read_bytes())
    with pytest.raises(runs.RunError, match=r"model\.npz makes rows of shape \(2,\), its recipe mnist-conditional"):
        runs.open_run(tmp_path / "run")
