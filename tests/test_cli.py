"""The command line. Trainings are real processes, shared through fixtures; most bad calls go to `main` directly."""

import contextlib
import csv
import dataclasses
import gzip
import io
import itertools
import json
import math
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from numgan import GAN, Error, cli
from numgan.gan.objectives import OBJECTIVES
from numgan.gan.steps import SCHEDULES
from numgan.study import recipes, runs
from numgan.study.exercises.catalogue import EXERCISES
from numgan.study.settings import with_overrides
from numgan.tables import as_json

COLUMNS = ["d_loss_real", "d_loss_fake", "d_accuracy_real", "d_accuracy_fake", "g_loss", "g_accuracy",
           "d_real", "d_fake", "value"]  # fmt: skip
FILES = {"config.json", "history.csv", "model.npz", "samples.png", "evolution.png", "history.png"}
MODULE = [sys.executable, "-m", "numgan"]
SCRIPT = [str(Path(sysconfig.get_path("scripts"), "numgan"))]
SMALL = ["--batch-size", "32", "--set", "hidden=16,24", "--steps", "30"]

# ---------------------------------------------------------------- helpers


def environment(cwd):
    own = {"NUMGAN_CACHE": str(cwd / "cache"), "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "no_proxy": "*"}
    return os.environ | own


def run(cwd, *arguments, command=MODULE):
    """The command line as a process in `cwd`."""
    return subprocess.run([*command, *arguments], cwd=cwd, env=environment(cwd), capture_output=True,
                          encoding="utf-8", timeout=120, check=False)  # fmt: skip


def trained(cwd, *arguments, command=MODULE):
    done = run(cwd, "train", *arguments, command=command)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The command line in this process, in tmp_path: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMGAN_CACHE", str(tmp_path / "cache"))

    def call(*arguments):
        try:
            status = cli.main([str(a) for a in arguments])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return call


def assert_refused(answer, *phrases):
    """Exit status 2, nothing on stdout, one line on stderr that holds the phrases."""
    status, out, err = answer
    assert (status, out) == (2, ""), err
    assert err.startswith("numgan ") and err.endswith("\n") and err.count("\n") == 1, err
    for phrase in phrases:
        assert phrase in err


def contents(directory):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def arrays_of(directory):
    with np.load(directory / "model.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def history_of(directory, columns=COLUMNS):
    """(steps, column -> values) of history.csv; NaN where a cell is empty, and nowhere else."""
    with open(directory / "history.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["step", *columns]
    assert not any("nan" in cell for row in rows for cell in row)
    values = np.array([[cell or "nan" for cell in row[1:]] for row in rows], float).reshape(-1, len(columns))
    return [int(row[0]) for row in rows], dict(zip(columns, values.T, strict=True))


def assert_gaps_are_of(history, side):
    """The columns of a side ("d" or "g") that did not play are gaps from first to last, and all others are finite."""
    for name, column in history.items():
        idle = name.startswith("g_") == (side == "g")
        assert (np.isnan(column) if idle else np.isfinite(column)).all(), name


def assert_same_model(one, other):
    one, other = arrays_of(one), arrays_of(other)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype and one[name].tobytes() == other[name].tobytes(), name


def assert_picture(path, ink):
    """A PNG of sane size of which at least the share `ink` is not white; a title alone is below 0.01."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    picture = matplotlib.image.imread(path)
    height, width = picture.shape[:2]
    assert 150 < height < 3000 and 150 < width < 3000
    assert (picture[..., :3].min(axis=-1) < 0.9).mean() > ink and picture[..., :3].std() > 0.05


def assert_loads_and_samples(directory, features):
    gan = GAN.load(directory / "model.npz")
    assert all(np.isfinite(a).all() for a in gan.state_dict().values())
    samples = gan.sample(4, np.random.default_rng(0))
    assert samples.shape == (4, features) and np.isfinite(samples).all()
    return gan


def dense(n_in, n_out):
    return (n_in + 1) * n_out


# ---------------------------------------------------------------- recipes and summary


def test_recipes_lists_all_with_every_setting_of_the_documents(tmp_path):
    done = run(tmp_path, "recipes")
    assert done.returncode == 0 and done.stderr == ""
    listed = dict(block.split(": ", 1) for block in done.stdout.strip().split("\n\n"))
    assert list(listed) == list(recipes.RECIPES)
    document = ("steps=2000 batch_size=256 learning_rate=0.0004 beta1=0.5 latent_dim=100 hidden=128,256,512 slope=0.2 "
                "momentum=0.8 stddev=0.02 schedule=concatenated")  # fmt: skip
    for setting in document.split():
        assert f" {setting} " in listed["mnist"]
    study = ("steps=0 epochs=50 learning_rate=0.0001 schedule=concatenated discriminator_loss=sum "
             "objective=non-saturating")  # fmt: skip
    for setting in study.split():
        assert f" {setting} " in listed["mnist-epochs"]
    document = ("steps=100000 batch_size=128 learning_rate=0.001 beta1=0.9 latent_dim=5 hidden=25 output=linear "
                "initializer=he_uniform schedule=separate snapshot_every=10000")  # fmt: skip
    for setting in document.split():
        assert f" {setting} " in listed["sine"]
    for setting in ("steps=60000", "learning_rate=0.0003", "beta1=0.5", "latent_dim=2", "hidden=64,64"):
        assert f" {setting} " in listed["ring"]
    for setting in ("steps=300", "schedule=separate", "generator_steps=0", "latent_dim=1", "batch_size=128"):
        assert f" {setting} " in listed["sine-discriminator"]
    for recipe in recipes.RECIPES.values():
        for name in dataclasses.asdict(recipe.settings):
            assert f"    {name}=" in listed[recipe.name]


def table(text):
    """(kind, width, parameters) of the layers in a summary."""
    rows = re.findall(r"^\w+ \((\w+)\) +\(batch, (\d+)\) +([\d,]+)$", text, re.MULTILINE)
    return [(kind, int(width), int(count.replace(",", ""))) for kind, width, count in rows]


def test_summary_of_mnist_has_the_listing_s_layers_and_counts(tmp_path):
    done = run(tmp_path, "summary", "mnist")
    assert done.returncode == 0 and done.stderr == ""
    generator, discriminator, chain = done.stdout.split("\n\n")
    expected, n_in = [], 100
    for width in (128, 256, 512):
        expected += [("Dense", width, dense(n_in, width)), ("LeakyReLU", width, 0), ("BatchNorm", width, 4 * width)]
        n_in = width
    assert table(generator) == [*expected, ("Dense", 784, dense(512, 784)), ("Tanh", 784, 0)]
    kept = 2 * (128 + 256 + 512)
    trained = sum(count for *_, count in table(generator)) - kept
    assert (trained, kept) == (581_520, 1_792)
    assert "583,312 parameters: 581,520 trained, 1,792 kept" in generator
    expected, n_in = [], 784
    for width in (128, 256, 512):
        expected += [("Dense", width, dense(n_in, width)), ("LeakyReLU", width, 0)]
        n_in = width
    assert table(discriminator) == [*expected, ("Dense", 1, dense(512, 1)), ("Sigmoid", 1, 0)]
    frozen = sum(count for *_, count in table(discriminator))
    assert frozen == 265_601 and "265,601 parameters: 265,601 trained, 0 kept" in discriminator
    assert "trains 581,520 parameters and holds 265,601 still" in chain


def test_summary_of_sine_and_with_settings(call, tmp_path):
    status, out, _ = call("summary", "sine")
    generator, discriminator, _ = out.split("\n\n")
    assert status == 0
    assert table(generator) == [("Dense", 25, dense(5, 25)), ("ReLU", 25, 0), ("Dense", 2, dense(25, 2))]
    assert table(discriminator) == [
        ("Dense", 25, dense(2, 25)), ("ReLU", 25, 0), ("Dense", 1, dense(25, 1)), ("Sigmoid", 1, 0),
    ]  # fmt: skip
    status, out, _ = call("summary", "sine", "--set", "hidden=7", "--set", "output=sigmoid", "--set", "latent-dim=3")
    assert status == 0
    assert table(out.split("\n\n")[0]) == [
        ("Dense", 7, dense(3, 7)), ("ReLU", 7, 0), ("Dense", 2, dense(7, 2)), ("Sigmoid", 2, 0),
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_summary_of_the_other_recipes(call):
    status, out, _ = call("summary", "mnist-epochs")
    generator, discriminator, _ = out.split("\n\n")
    assert status == 0
    assert [row for row in table(generator) if row[0] == "Dense"] == [
        ("Dense", 256, dense(100, 256)), ("Dense", 512, dense(256, 512)), ("Dense", 784, dense(512, 784)),
    ]  # fmt: skip
    assert [row for row in table(discriminator) if row[0] == "Dense"] == [
        ("Dense", 512, dense(784, 512)), ("Dense", 256, dense(512, 256)), ("Dense", 1, dense(256, 1)),
    ]  # fmt: skip
    status, out, _ = call("summary", "sine-discriminator")
    generator, discriminator, _ = out.split("\n\n")
    assert status == 0
    assert table(generator) == [("Dense", 2, dense(1, 2))]
    assert table(discriminator) == [
        ("Dense", 25, dense(2, 25)), ("ReLU", 25, 0), ("Dense", 1, dense(25, 1)), ("Sigmoid", 1, 0),
    ]  # fmt: skip


# ---------------------------------------------------------------- summary --step


def steps_of(out):
    """[(title, [(network, layer, direction, kernel, shapes)], total)] of the steps that `summary --step` prints."""
    found = []
    for block in out.split("\n\n"):
        title, *table = block.strip("\n").split("\n")
        if re.match(r"(discriminator|generator) step: ", title):
            who, head, rule, *lines = table
            assert head.split() == ["network", "layer", "kernel", "shapes"] and set(rule) == {"─"}
            starts = [head.index(word) for word in head.split()]
            middle = re.search(r"(?<=  )(forward|backward|update|copy)(?= )", lines[0]).start()
            cuts = [*starts[:2], middle, *starts[2:], None]
            rows = [tuple(line[a:b].strip() for a, b in itertools.pairwise(cuts)) for line in lines[:-1]]
            found.append((f"{title}\n{who}", rows, lines[-1]))
    return found


@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_summary_prints_the_steps_that_the_recipe_takes_call_by_call(recipe, call, tmp_path):
    settings = recipes.get(recipe).settings
    gan = recipes.get(recipe).build(settings, np.random.default_rng(0), "float32")
    status, out, err = call("summary", recipe, "--step")
    assert (status, err) == (0, "")
    plain = call("summary", recipe)[1]
    assert out.startswith(plain)
    steps = [gan.discriminator_step(gan.rows_per_step(settings.batch_size))] if settings.discriminator_steps else []
    steps += [gan.generator_step(settings.batch_size)] if settings.generator_steps else []
    assert out[len(plain) :] == "".join(f"\n{step}\n" for step in steps)
    for step, (title, rows, total) in zip(steps, steps_of(out), strict=True):
        assert title == step.title
        assert [(row[0], row[1], row[2], row[3]) for row in rows] == [
            (c.network, c.layer, c.direction, c.name) for c in step.calls
        ]
        skipped = [row for row in rows if row[4].startswith("skipped: ")]
        assert total.startswith(f"{len(rows) - len(skipped)} calls, ") and total.endswith(f"; {len(skipped)} skipped")
    assert os.listdir() == []


def test_the_listed_products_fit_one_another_and_add_up(call):
    """rows·columns of every product as printed; the batch size of the call is that of its last factor."""
    _, out, _ = call("summary", "sine", "--step", "--batch-size", "6", "--set", "hidden=7")
    for (_, rows, total), batch in zip(steps_of(out), (3, 6), strict=True):
        flop = 0
        products = [row for row in rows if "·" in row[4]]
        for row in products:
            (m, k), (k2, n), (m2, n2) = ((int(x) for x in pair) for pair in re.findall(r"(\d+)×(\d+)", row[4]))
            assert (k, m, n) == (k2, m2, n2) and (row[2] != "forward" or n == batch)
            flop += 2 * m * k * n
        assert f"{len(products)} of them products of {flop / 1e6:,.2f} MFLOP" in total


def test_the_step_says_why_a_call_is_skipped(call):
    _, out, _ = call("summary", "sine", "--step")
    reasons = [{(r[0], r[3], r[4]) for r in rows if "skipped" in r[4]} for _, rows, _ in steps_of(out)]
    unread = "skipped: nobody reads the input's gradient"
    frozen = "skipped: frozen, its parameters get no gradient"
    assert reasons == [
        {("discriminator", "dense_backward_input", unread)},
        {("discriminator", "dense_backward_weight", frozen), ("generator", "dense_backward_input", unread)},
    ]


def test_a_side_that_does_not_play_has_no_step_to_print(call):
    for side, other in (("discriminator", "generator"), ("generator", "discriminator")):
        _, out, _ = call("summary", "sine", "--step", "--set", f"{side}_steps=0")
        assert [title.split()[0] for title, *_ in steps_of(out)] == [other]


@pytest.mark.parametrize("recipe, updates", [("sine", 2), ("mnist", 1), ("mnist-epochs", 1)])
def test_a_critic_s_step_ends_in_clipping(recipe, updates, call):
    _, out, _ = call("summary", recipe, "--step", "--set", "objective=wasserstein")
    critic, generator = ([row[3] for row in rows] for _, rows, _ in steps_of(out))
    assert critic[-2:] == ["adam_update", "clip_weights"] and critic.count("clip_weights") == updates
    assert "clip_weights" not in generator and "bce_logits_backward" not in critic
    assert "Sigmoid" not in out


@pytest.mark.parametrize("arguments, phrase", [
    (["--batch-size", "0"], "batch_size=0"),
    (["--batch-size", "7"], "expected an even number"),
    (["--set", "hidden=no"], "hidden=no"),
])  # fmt: skip
def test_a_step_that_cannot_be_is_not_printed(call, arguments, phrase):
    assert_refused(call("summary", "sine", "--step", *arguments), phrase)


# ---------------------------------------------------------------- train


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A directory with runs/mnist-1 and runs/mnist-2, the same call twice; the second by the installed script."""
    cwd = tmp_path_factory.mktemp("mnist")
    return cwd, trained(cwd, "mnist", *SMALL), trained(cwd, "mnist", *SMALL, command=SCRIPT)


@pytest.fixture(scope="module")
def mnist_run(mnist):
    return mnist[0] / "runs" / "mnist-1"


@pytest.fixture(scope="module")
def sine(tmp_path_factory):
    """A float64 run of the sine recipe, and what it printed."""
    cwd = tmp_path_factory.mktemp("sine")
    done = trained(cwd, "sine", "--steps", "200", "--dtype", "float64", "--out", "curve",
                   "--set", "label_smoothing=0.1", "--set", "snapshot_every=60",
                   "--until-equilibrium", "1e-6")  # fmt: skip
    return cwd / "curve", done


def test_a_run_directory_holds_everything_and_nothing_else(mnist, sine):
    cwd, *_ = mnist
    assert {path.name for path in (cwd / "runs").iterdir()} == {"mnist-1", "mnist-2"}
    for directory, ink in ((cwd / "runs" / "mnist-1", 0.4), (cwd / "runs" / "mnist-2", 0.4), (sine[0], 0.02)):
        assert {path.name for path in directory.iterdir()} == FILES
        assert_picture(directory / "samples.png", ink)
        assert_picture(directory / "evolution.png", ink)
        assert_picture(directory / "history.png", 0.02)


def test_config_tells_what_was_run(mnist_run, sine):
    config = json.loads((mnist_run / "config.json").read_text(encoding="utf-8"))
    assert config.pop("numgan") and config.pop("numpy") == np.__version__
    settings = config.pop("settings")
    assert config == {
        "recipe": "mnist", "seed": 0, "dtype": "float32", "data_from": None, "until_equilibrium": None,
        "watch": False, "animate": False, "log_dir": None,
        "data": "4,000 training images of 5,000 embedded MNIST digits",
        "held_out": "1,000 held-out images of 5,000 embedded MNIST digits",
    }  # fmt: skip
    assert settings == {
        "steps": 30, "epochs": 0, "batch_size": 32, "hidden": [16, 24], "snapshot_every": 100, "learning_rate": 4e-4,
        "beta1": 0.5, "beta2": 0.999, "epsilon": 1e-7, "adam_form": "keras", "schedule": "concatenated",
        "label_smoothing": 0.0, "objective": "non-saturating", "discriminator_steps": 1, "generator_steps": 1,
        "discriminator_loss": "mean", "clip": 0.01, "generator_rate": 0.0, "discriminator_rate": 0.0, "warm_up": 0,
        "decay": "none", "rows": 0, "spectral_norm": "no", "average": 0.0,
        "penalty": "none", "penalty_weight": 10.0, "penalty_every": 1,
        "latent_dim": 100, "slope": 0.2, "momentum": 0.8, "stddev": 0.02,
    }  # fmt: skip
    config = json.loads((sine[0] / "config.json").read_text(encoding="utf-8"))
    assert (config["recipe"], config["dtype"]) == ("sine", "float64")
    assert config["settings"]["label_smoothing"] == 0.1 and config["settings"]["hidden"] == 25


def test_history_has_a_row_per_step(mnist_run, sine):
    # rows behind each accuracy: both halves of the concatenated batch; half-batches when separate
    for directory, n_steps, rows in ((mnist_run, 30, (32, 32, 32)), (sine[0], 200, (64, 64, 128))):
        steps, history = history_of(directory)
        assert steps == list(range(1, n_steps + 1))
        for name, n in zip(("d_accuracy_real", "d_accuracy_fake", "g_accuracy"), rows, strict=True):
            counts = history[name] * n
            assert (counts == counts.round()).all() and (counts >= 0).all() and (counts <= n).all()
            assert len(set(counts)) > 1
        for name in ("d_loss_real", "d_loss_fake", "g_loss"):
            assert (history[name] > 0).all() and len(set(history[name])) == n_steps


def test_a_run_of_mnist_starts_undecided_and_learns_to_tell_digits(mnist_run):
    _, history = history_of(mnist_run)
    for name in ("d_loss_fake", "g_loss"):
        assert abs(history[name][0] - np.log(2)) < 0.1  # small first weights: D says ½ to every fake
    assert history["d_loss_real"][-5:].mean() < 0.4 and history["d_accuracy_real"][-5:].mean() > 0.9


def test_the_model_has_the_recipe_s_arrays(mnist_run):
    shapes = {name: a.shape for name, a in arrays_of(mnist_run).items()}
    trained = {"generator": dense(100, 16) + dense(16, 24) + dense(24, 784) + 2 * (16 + 24),
               "discriminator": dense(784, 16) + dense(16, 24) + dense(24, 1)}  # fmt: skip
    for network, count in trained.items():
        assert shapes[f"{network}_optimizer.m"] == shapes[f"{network}_optimizer.v"] == (count,)
        own = [np.prod(s) for name, s in shapes.items() if name.startswith(network + ".") and "running" not in name]
        assert sum(own) == count
    assert shapes["generator.dense_1.weight"] == (16, 100) and shapes["generator.dense_3.bias"] == (784,)
    gan = assert_loads_and_samples(mnist_run, 784)
    assert gan.generator_optimizer.steps == gan.discriminator_optimizer.steps == 30
    assert gan.generator_optimizer.learning_rate == 4e-4


def test_the_sine_model_is_float64_and_saw_two_updates_a_step(sine):
    gan = assert_loads_and_samples(sine[0], 2)
    assert gan.generator.values.dtype == gan.discriminator.values.dtype == np.float64
    assert (gan.generator_optimizer.steps, gan.discriminator_optimizer.steps) == (200, 400)
    assert (gan.schedule, gan.objective.name, gan.objective.label_smoothing) == ("separate", "non-saturating", 0.1)


def test_the_same_call_gives_the_same_bits(mnist):
    one, other = (mnist[0] / "runs" / name for name in ("mnist-1", "mnist-2"))
    assert_same_model(one, other)
    for name in ("history.csv", "config.json", "samples.png", "evolution.png"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.fixture(scope="module")
def other_seed(tmp_path_factory):
    """As mnist_run, but for the seed; quiet, and in a nested directory that is not there yet."""
    cwd = tmp_path_factory.mktemp("seed")
    return cwd / "a" / "b" / "run", trained(cwd, "mnist", *SMALL, "--seed", "1", "--quiet", "--out", "a/b/run")


def test_another_seed_gives_another_run(mnist_run, other_seed):
    directory, _ = other_seed
    one, other = arrays_of(mnist_run), arrays_of(directory)
    for name in ("generator.dense_1.weight", "discriminator.dense_3.weight", "generator_optimizer.m"):
        assert np.mean(one[name] == other[name]) < 0.5
    assert (mnist_run / "history.csv").read_bytes() != (directory / "history.csv").read_bytes()
    assert json.loads((directory / "config.json").read_text(encoding="utf-8"))["seed"] == 1


def test_quiet_prints_nothing(other_seed):
    directory, done = other_seed
    assert (done.stdout, done.stderr) == ("", "")
    assert {path.name for path in directory.iterdir()} == FILES
    assert not (directory.parents[2] / "runs").exists()


def test_a_run_ends_with_the_figures(mnist, mnist_run, sine):
    _, done, _ = mnist
    _, history = history_of(mnist_run)
    d_loss = (history["d_loss_real"] + history["d_loss_fake"]).mean() / 2
    assert done.stderr == ""
    end = done.stdout[done.stdout.index("over the last 30 of 30 steps") :]
    printed = [float(x) for x in re.findall(r"loss (\d\.\d+)", end)]
    assert printed == pytest.approx([d_loss, history["g_loss"].mean()], abs=6e-4)
    shares = [int(x) for x in re.findall(r"(\d+)%", end)]
    means = [100 * history[name].mean() for name in ("d_accuracy_real", "d_accuracy_fake", "g_accuracy")]
    assert shares == pytest.approx(means, abs=0.51)
    assert re.search(r"\d s, [\d,]+ samples per second", end)
    assert os.path.join("runs", "mnist-1") in end and all(name in end for name in FILES)
    assert "over the last 100 of 200 steps" in sine[1].stdout
    for name in ("curve_error", "x_mean", "x_std", "x_ks"):
        assert re.search(rf"{name} +-?\d\.\d+", sine[1].stdout)


def test_a_summary_line_for_every_snapshot(sine):
    lines = re.findall(r"^ +(\d+) .*%", sine[1].stdout, re.MULTILINE)
    assert lines == ["60", "120", "180", "200"]


def test_an_existing_run_is_never_written_over(mnist, mnist_run, call):
    before = contents(mnist_run)
    assert_refused(call("train", "mnist", "--out", mnist_run), str(mnist_run), "exists", "never overwrites")
    assert contents(mnist_run) == before
    Path("file").write_text("mine")
    assert_refused(call("train", "sine", "--out", "file"), "file exists")
    assert_refused(call("train", "sine", "--out", "file/run"), "file")
    assert Path("file").read_text() == "mine" and os.listdir() == ["file"]


# ---------------------------------------------------------------- train: the other recipes


def trained_here(directory, *arguments):
    """A run into `directory` by the command line in this process, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert cli.main(["train", *arguments, "--out", str(directory)]) == 0
    return directory, printed.getvalue()


@pytest.fixture(scope="module")
def epochs(tmp_path_factory):
    """Two epochs over the 4,000 digits in batches of 300: 13 of these and one of 100 in each."""
    return trained_here(tmp_path_factory.mktemp("epochs") / "run", "mnist-epochs", "--epochs", "2",
                        "--batch-size", "300", "--set", "hidden=16,24", "--set", "latent_dim=10")  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return trained_here(tmp_path_factory.mktemp("alone") / "run", "sine-discriminator")


def test_a_run_of_epochs_leaves_a_good_run_directory(epochs):
    directory, printed = epochs
    assert {path.name for path in directory.iterdir()} == FILES
    for name, ink in (("samples.png", 0.4), ("evolution.png", 0.4), ("history.png", 0.02)):
        assert_picture(directory / name, ink)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    assert config["recipe"] == "mnist-epochs" and config["data"].startswith("4,000 training images")
    assert (config["settings"]["epochs"], config["settings"]["steps"]) == (2, 0)
    steps, history = history_of(directory)
    assert steps == list(range(1, 29))
    for step in steps:  # shares of the rows that a batch holds
        counts = history["d_accuracy_real"][step - 1] * (100 if step % 14 == 0 else 300)
        assert counts == pytest.approx(round(counts), abs=1e-4)
    gan = assert_loads_and_samples(directory, 784)
    assert (gan.schedule, gan.objective.discriminator_loss) == ("concatenated", "sum")
    assert gan.generator_optimizer.steps == gan.discriminator_optimizer.steps == 28
    assert re.findall(r"^ +(\d+) .*%", printed, re.MULTILINE) == ["14", "28"]  # a summary at the end of each epoch
    assert "over the last 28 of 28 steps" in printed and "V = " in printed


def test_a_discriminator_alone_leaves_a_good_run_directory(alone):
    directory, printed = alone
    assert {path.name for path in directory.iterdir()} == FILES
    for name, ink in (("samples.png", 0.3), ("evolution.png", 0.3), ("history.png", 0.02)):  # surfaces are all ink
        assert_picture(directory / name, ink)
    steps, history = history_of(directory)
    assert steps == list(range(1, 301))
    assert_gaps_are_of(history, "g")
    assert re.search(r"\n  generator +loss — +accuracy — ", printed)
    gan = assert_loads_and_samples(directory, 2)
    assert (gan.generator_optimizer.steps, gan.discriminator_optimizer.steps) == (0, 600)
    assert gan.generator.parameters()["dense_1.weight"].tolist() == [[1], [2]]
    assert gan.generator.parameters()["dense_1.bias"].tolist() == [0, 0]
    assert float(re.search(r"accuracy on real +(\d\.\d+)", printed)[1]) >= 0.97
    assert float(re.search(r"accuracy on fake +(\d\.\d+)", printed)[1]) >= 0.75


@pytest.mark.parametrize("name, features, count", [("epochs", 784, 64), ("alone", 2, 1000)])
def test_the_other_recipes_runs_can_be_sampled(name, features, count, request, call):
    directory, _ = request.getfixturevalue(name)
    assert call("sample", directory, "-n", 7, "--seed", 3, "--out", "x.npy")[0] == 0
    x = np.load("x.npy")
    assert x.shape == (7, features) and x.dtype == np.float32 and np.isfinite(x).all()
    if features == 2:
        np.testing.assert_array_equal(x[:, 1], 2 * x[:, 0])
    status, out, _ = call("sample", directory, "--out", "x.png")
    assert status == 0 and out == f"x.png: {count:,} samples\n"
    assert_picture(Path("x.png"), 0.3)


# ---------------------------------------------------------------- train: the other games


def test_a_wasserstein_run_leaves_a_good_run_directory(call, tmp_path):
    arguments = ["--steps", "30", "--set", "objective=wasserstein", "--set", "clip=0.05", "--out", "run"]
    status, out, err = call("train", "sine", *arguments, "--set", "snapshot_every=10")
    assert (status, err) == (0, "")
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    for name in ("samples.png", "evolution.png", "history.png"):
        assert_picture(tmp_path / "run" / name, 0.01)
    steps, history = history_of(tmp_path / "run", OBJECTIVES["wasserstein"].columns)
    assert steps == list(range(1, 31)) and all(np.isfinite(column).all() for column in history.values())
    gan = assert_loads_and_samples(tmp_path / "run", 2)
    assert (gan.objective.name, gan.objective.clip) == ("wasserstein", 0.05)
    assert 0 < np.abs(gan.discriminator.values).max() <= np.float32(0.05) < np.abs(gan.generator.values).max()
    for heading, *_ in gan.objective.watched:
        assert heading in out
    distance = (history["score_real"] - history["score_fake"]).mean()
    assert float(re.search(r"their distance +(-?\d+\.\d+)", out)[1]) == pytest.approx(distance, abs=1e-4)
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert (config["settings"]["objective"], config["settings"]["clip"]) == ("wasserstein", 0.05)
    assert call("sample", "run", "-n", 5, "--out", "x.npy")[0] == 0
    assert call("evaluate", "run", "-n", 200)[0] == 0


@pytest.mark.usefixtures("unrendered")
def test_the_sum_of_the_discriminator_s_losses_is_a_setting_that_is_kept(call, tmp_path):
    """mnist-epochs has it from the start; its own run is looked at above, here it is taken back."""
    for which, asked in (("sum", []), ("mean", ["--set", "discriminator_loss=mean"])):
        small = ["--set", "hidden=2", "--set", "latent_dim=2", "--steps", "1"]
        assert call("train", "mnist-epochs", *small, *asked, "--quiet", "--out", which) == (0, "", "")
        gan = GAN.load(f"{which}/model.npz")
        assert (gan.schedule, gan.objective.discriminator_loss) == ("concatenated", which)
    mean, summed = (arrays_of(tmp_path / which)["discriminator_optimizer.m"] for which in ("mean", "sum"))
    np.testing.assert_allclose(summed, 2 * mean, rtol=1e-5, atol=1e-9)  # after one step m is the gradient


def test_a_side_that_does_not_play_leaves_gaps(call, tmp_path):
    """The discriminator here; the generator in the run of sine-discriminator, above."""
    side, dashes = "discriminator", 3
    arguments = ["--steps", "20", "--set", f"{side}_steps=0", "--set", "snapshot_every=20", "--out", "run"]
    status, out, err = call("train", "sine", *arguments)
    assert (status, err) == (0, "")
    assert_gaps_are_of(history_of(tmp_path / "run")[1], side[0])
    (line,) = re.findall(r"^ +20 .*\d%.*$", out, re.MULTILINE)
    assert line.count("—") == dashes
    assert re.search(rf"\n  {side} +loss — +accuracy — ", out)
    assert_picture(tmp_path / "run" / "history.png", 0.01)


# ---------------------------------------------------------------- train: until the equilibrium


def test_training_ends_at_the_equilibrium_or_says_that_it_was_not_reached(tmp_path):
    """Which of the two it is, is the game's affair; what is said must be what was done."""
    done = trained(tmp_path, "sine", "--steps", "8000", "--until-equilibrium", "--out", "run")
    found = re.search(r"^(no )?equilibrium at step ([\d,]+): mean \|D − ½\| is (0\.\d+) on held-out real rows and "
                      r"(0\.\d+) on fresh fakes; asked for at most 0.05 in 5 checks running, had (\d)$",
                      done.stdout, re.MULTILINE)  # fmt: skip
    assert found, done.stdout
    end, reached = int(found[2].replace(",", "")), found[1] is None
    assert (int(found[5]) == 5) is reached
    assert end >= 5000 if reached else end == 8000
    assert not reached or max(float(found[3]), float(found[4])) <= 0.05
    assert history_of(tmp_path / "run")[0][-1] == end and f"of {end:,} steps" in done.stdout


@pytest.mark.usefixtures("unrendered")
def test_a_run_that_ends_early_is_the_run_of_so_many_steps(call):
    """Any answers of a young discriminator are within 0.49 of ½, so the fifth look is the last."""
    status, out, _ = call("train", "sine", "--until-equilibrium", "0.49", "--set", "snapshot_every=100", "--out", "run")
    assert status == 0 and "\nequilibrium at step 500: " in out and "at most 0.49" in out
    assert history_of(Path("run"))[0] == list(range(1, 501))
    recipe = recipes.get("sine")
    weights_rng, training_rng, _ = runs.streams(0)
    twin = recipe.build(recipe.settings, weights_rng, "float32")
    twin.fit(recipe.load(None, recipe.settings)[0], 500, 128, training_rng)
    loaded = GAN.load("run/model.npz").state_dict()
    assert all(a.tobytes() == loaded[name].tobytes() for name, a in twin.state_dict().items())


def test_an_equilibrium_out_of_reach_is_said_not_to_be_there(sine):
    assert re.search(r"^no equilibrium at step 200: .* asked for at most 1e-06 in 5 checks running, had 0$",
                     sine[1].stdout, re.MULTILINE)  # fmt: skip


# ---------------------------------------------------------------- train: data


def write_digits(directory, count=40, value=255):
    """Training images alone, all of one shade, as a gzipped IDX file."""
    directory.mkdir()
    header = struct.pack(">4I", 0x803, count, 28, 28)
    (directory / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes([value]) * count * 784))


def test_training_reads_the_images_of_a_directory(tmp_path):
    """All real rows are white, +1 everywhere: a first weight's gradient is then the same for every pixel."""
    write_digits(tmp_path / "digits")
    done = trained(tmp_path, "mnist", *SMALL, "--steps", "2", "--set", "steps=1", "--data", "digits", "--out", "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    for name, count in (("data", "32 training"), ("held_out", "8 held-out")):
        assert config[name].startswith(f"{count} images of 40 MNIST train digits from")
    assert config["data_from"] == str((tmp_path / "digits").resolve())
    assert config["settings"]["steps"] == 1
    assert done.stderr == ""
    # after one step Adam's m is the gradient; the fakes are near 0, so the white rows' part of it shows
    m = arrays_of(tmp_path / "run")["discriminator_optimizer.m"][: 16 * 785].reshape(16, 785)[:, :-1]  # of [W b]
    assert np.std(m, axis=1).max() < 0.2 * np.abs(m.mean(axis=1)).max()


@pytest.mark.parametrize("recipe, source, phrases", [
    ("mnist", "full", ["does not exist", "numgan data mnist --download"]),
    ("mnist", "nowhere", ["nowhere", "does not exist"]),
    ("mnist", ".", ["no MNIST images", "train-images-idx3-ubyte"]),
    ("sine", "digits", ["sine", "takes no --data", "'digits'"]),
])  # fmt: skip
def test_wrong_data_is_refused(call, recipe, source, phrases):
    assert_refused(call("train", recipe, "--data", source), *phrases)
    assert os.listdir() == []


def test_a_damaged_data_file_is_refused(call, tmp_path):
    write_digits(tmp_path / "digits")
    path = tmp_path / "digits" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    assert_refused(call("train", "mnist", "--data", "digits"), "train-images-idx3-ubyte.gz")
    assert os.listdir() == ["digits"]


def described(out):
    """name -> value of what `numgan data mnist` prints: a line each, the values one below the other."""
    assert all(line[11] == " " for line in out.splitlines())
    return {line[:12].strip(): " ".join(line[12:].split()) for line in out.splitlines()}


def test_data_describes_the_embedded_digits(call, tmp_path):
    status, out, err = call("data", "mnist")
    assert (status, err) == (0, "")
    assert described(out) == {
        "source": "5,000 embedded MNIST digits", "images": "(5000, 784) uint8, 28 × 28 pixels each",
        "range": "0 to 255", "scaled": "-1 to 1, by (pixel − 127.5)/127.5", "mean ink": "13.1% of full ink",
        **{f"class {digit}": "500 10.0%" for digit in range(10)},
        "smallest": "500 every class", "largest": "500 every class", "picture": "mnist.png",
    }  # fmt: skip
    assert os.listdir() == ["mnist.png"]
    assert_picture(tmp_path / "mnist.png", ink=0.5)


def test_data_describes_a_directory(call, tmp_path):
    """Three images of class 5, twelve of class 8; the picture shows the three, ten of the twelve, and white."""
    write_digits(tmp_path / "digits", 15, 51)
    labels = struct.pack(">2I", 0x801, 15) + bytes([5] * 3 + [8] * 12)
    (tmp_path / "digits" / "train-labels-idx1-ubyte").write_bytes(labels)
    status, out, _ = call("data", "mnist", "--data", "digits", "--out", "digits/set.png")
    answer = described(out)
    assert status == 0
    assert answer["source"] == "15 MNIST train digits from digits" and answer["images"].startswith("(15, 784) uint8")
    assert (answer["range"], answer["mean ink"]) == ("51 to 51", "20.0% of full ink")
    assert answer["scaled"].startswith("-0.6 to -0.6, by")
    counts = [answer[f"class {digit}"] for digit in range(10)]
    assert (counts[5], counts[8]) == ("3 20.0%", "12 80.0%") and counts.count("0 0.0%") == 8
    assert answer["smallest"] == "0 class 0, 1, 2, 3, 4, 6, 7, 9" and answer["largest"] == "12 class 8"
    assert answer["picture"] == str(Path("digits/set.png"))
    picture = matplotlib.image.imread(tmp_path / "digits" / "set.png")[..., :3]
    left = np.abs(picture[:, : picture.shape[1] // 2] - 51 / 255).max(axis=-1) < 0.01
    rows = np.flatnonzero(left.mean(axis=1) > 0.1)
    widths = left[rows].sum(axis=1)
    assert 0.25 < widths.min() / widths.max() < 0.35  # three images beside ten


def test_data_describes_images_without_labels(call, tmp_path):
    write_digits(tmp_path / "digits", 7, 51)
    status, out, _ = call("data", "mnist", "--data", "digits")
    assert status == 0 and "class" not in out.replace("the classes", "")
    assert described(out)["labels"] == "none, so nothing is known of the classes"
    assert_picture(tmp_path / "mnist.png", ink=0.1)


def test_the_seed_chooses_the_images_shown(call, tmp_path):
    for seed, name in ((0, "a.png"), (0, "b.png"), (1, "c.png")):
        assert call("data", "mnist", "--seed", seed, "--out", name)[0] == 0
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert a == b != c


@pytest.mark.parametrize("out, phrases", [
    ("set.jpg", ["--out set.jpg should end in .png"]),
    ("set", ["--out set should end in .png"]),
    ("nowhere/set.png", ["nowhere is not a directory"]),
    ("full.png", ["full.png"]),
])  # fmt: skip
def test_a_picture_of_the_data_that_cannot_be_written_is_refused(call, tmp_path, out, phrases):
    (tmp_path / "full.png").mkdir()
    assert_refused(call("data", "mnist", "--out", out), *phrases)
    assert os.listdir() == ["full.png"] and os.listdir("full.png") == []


def test_a_download_from_a_dead_mirror_fails_in_words(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        mirror = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    done = run(tmp_path, "data", "mnist", "--download", "--mirror", mirror)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and done.stderr.splitlines()[-1].startswith("numgan data: ")
    assert mirror in done.stderr.splitlines()[-1]
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


# ---------------------------------------------------------------- train: wrong calls

NAMES = "steps, batch_size, snapshot_every, learning_rate"


@pytest.mark.parametrize("arguments, phrases", [
    (["mnist", "--set", "rate=1"], ["no setting 'rate'", NAMES, "slope, momentum, hidden, stddev"]),
    (["sine", "--set", "momentum=0.5"], ["no setting 'momentum'", NAMES, "initializer, output"]),
    (["mnist", "--set", "steps"], ["--set steps", "NAME=VALUE"]),
    (["mnist", "--set", ""], ["NAME=VALUE"]),
    (["mnist", "--set", "=3"], ["no setting ''", NAMES]),
    (["mnist", "--steps", "0"], ["steps=0 and epochs=0 leave nothing to train"]),
    (["mnist-epochs", "--epochs", "0"], ["steps=0 and epochs=0 leave nothing to train"]),
    (["sine", "--steps", "0"], ["steps=0", "a positive integer"]),
    (["mnist", "--steps", "many"], ["steps=many", "a whole number from 0 up"]),
    (["mnist", "--steps", "1.5"], ["steps=1.5", "a whole number from 0 up"]),
    (["mnist", "--epochs", "1.5"], ["epochs=1.5", "a whole number from 0 up"]),
    (["mnist", "--epochs", "2", "--steps", "5"], ["give steps or epochs, not both; got steps=5, epochs=2"]),
    (["sine", "--epochs", "2"], ["sine draws its rows afresh and has no epochs", "--steps"]),
    (["sine", "--set", "discriminator_steps=0", "--set", "generator_steps=0"], ["nothing to train"]),
    (["mnist", "--set", "generator_steps=-1"], ["generator_steps=-1", "a whole number from 0 up"]),
    (["mnist", "--set", "objective=maximin"], ["objective=maximin", ", ".join(OBJECTIVES)]),
    (["mnist", "--set", "discriminator_loss=median"], ["discriminator_loss=median", "one of mean, sum"]),
    (["mnist", "--set", "clip=0.1"], ["clip is no setting of the objective non-saturating", "label_smoothing"]),
    (["mnist", "--set", "objective=wasserstein", "--set", "clip=-1"], ["clip=-1", "a number from 0 up"]),
    (["mnist", "--set", "objective=wasserstein", "--set", "label_smoothing=0.1"],
     ["label_smoothing is no setting of the objective wasserstein, which has clip"]),
    (["mnist", "--set", "schedule=summed"], ["schedule=summed", ", ".join(SCHEDULES)]),
    (["sine-discriminator", "--set", "latent_dim=2"], ["latent_dim=2", "expected 1"]),
    (["mnist", "--batch-size", "-1"], ["batch_size=-1", "a positive integer"]),
    (["mnist", "--set", "learning_rate=fast"], ["learning_rate=fast", "a positive number"]),
    (["mnist", "--set", "learning_rate=nan"], ["learning_rate=nan", "a positive number"]),
    (["mnist", "--set", "learning_rate=inf"], ["learning_rate=inf", "a positive number"]),
    (["mnist", "--set", "beta1=1"], ["beta1=1", "from 0 up to, but not including, 1"]),
    (["mnist", "--set", "label_smoothing=0.5"], ["label_smoothing=0.5", "0.5"]),
    (["mnist", "--set", "hidden=128,,512"], ["hidden=128,,512", "128,256,512"]),
    (["mnist", "--set", "hidden=0"], ["hidden=0", "positive integers"]),
    (["sine", "--set", f"hidden={'9' * 23}"], [f"hidden={'9' * 23} is not possible"]),
    (["sine", "--set", "hidden=25,25"], ["hidden=25,25", "a positive integer"]),
    (["sine", "--set", "output=tanh"], ["output=tanh", "linear, sigmoid"]),
    (["sine", "--set", "initializer=he"], ["initializer=he", "he_uniform", "glorot_normal"]),
    (["mnist", "--set", "schedule=both"], ["schedule=both", ", ".join(SCHEDULES)]),
    (["mnist", "--set", "adam_form="], ["adam_form=", "keras, paper"]),
    (["sine", "--batch-size", "7"], ["batch_size", "even"]),
])  # fmt: skip
def test_wrong_settings_are_refused_and_leave_nothing(call, arguments, phrases):
    assert_refused(call("train", *arguments), *phrases)
    assert os.listdir() == []


@pytest.mark.parametrize("arguments, phrase", [
    ([], "COMMAND"),
    (["fly"], "fly"),
    (["train", "gan"], "argument RECIPE: invalid choice: 'gan'"),
    (["study", "gan", "--vary", "hidden=5,6", "--out", "S"], "mnist-dcgan"),
    (["train", "mnist", "--dtype", "float16"], "float64"),
    (["train", "mnist", "--seed", "-1"], "--seed: expected a whole number from 0 up, below 2⁶⁴, got '-1'"),
    (["train", "mnist", "--seed", "abc"], "--seed"),
    (["train", "sine", "--seed", "\u0663"], "--seed: expected a whole number"),
    (["train", "mnist", "--speed", "9"], "--speed"),
    (["train", "sine", "--until-equilibrium", "0"], "expected a number between 0 and 0.5, got '0'"),
    (["train", "sine", "--until-equilibrium", "0.5"], "expected a number between 0 and 0.5, got '0.5'"),
    (["train", "sine", "--until-equilibrium", "nan"], "expected a number between 0 and 0.5, got 'nan'"),
    (["train", "sine", "--until-equilibrium", "soon"], "--until-equilibrium: expected a number"),
    (["sample", "run", "-n", "0"], "-n: expected a whole number from 1 up to 1,000,000, got '0'"),
    (["sample", "run", "-n", "ten"], "-n"),
    (["data", "cifar"], "mnist"),
    (["exercise", "tanh", "--check", "--hint"], "--hint: not allowed with argument --check"),
])  # fmt: skip
def test_wrong_arguments_are_refused_with_the_usage(call, arguments, phrase):
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("usage: numgan") and phrase in err.splitlines()[-1]
    assert os.listdir() == []


def test_a_file_where_the_run_directory_should_be_is_refused_and_left_alone(call, tmp_path):
    (tmp_path / "f").touch()
    assert_refused(call("train", "sine", "--steps", "5", "--out", "f"), "f exists and is not a directory")
    assert os.listdir() == ["f"] and (tmp_path / "f").is_file()


def test_a_refusal_is_the_same_as_a_process(tmp_path):
    done = run(tmp_path, "train", "mnist", "--set", "speed=9")
    assert_refused((done.returncode, done.stdout, done.stderr), "numgan train: no setting 'speed'", NAMES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [Error("a sentence"), OSError("a sentence"), MemoryError("a sentence")], ids=repr)
def test_whatever_numgan_raises_by_intent_ends_in_one_sentence(call, error, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(recipes, "get", fail)
    assert call("summary", "sine") == (2, "", "numgan summary: a sentence\n")


def test_a_mistake_in_numgan_s_own_code_is_not_hidden(call, monkeypatch):
    monkeypatch.setattr(recipes, "get", lambda name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call("summary", "sine")


def test_a_network_beyond_memory_is_refused(call):
    assert_refused(
        call("summary", "sine", "--set", f"hidden={10**9}"), "generator: a network of these layers would take "
    )
    assert_refused(
        call("train", "sine", "--set", f"hidden={10**9}"), "generator: a network of these layers would take "
    )
    assert os.listdir() == []


# ---------------------------------------------------------------- train: early ends


def test_a_diverging_run_keeps_its_last_good_state(tmp_path):
    """Against a frozen critic the minimax objective never saturates: the generator grows until float32 is full."""
    done = run(tmp_path, "train", "sine", "--steps", "3000", "--seed", "1", "--set", "learning_rate=1e16",
               "--set", "objective=minimax", "--set", "discriminator_steps=0", "--set", "snapshot_every=20",
               "--out", "run", "--quiet")  # fmt: skip
    assert done.returncode == 3 and done.stdout == ""
    message = (
        r"numgan train: not finite: .* step (\d+); kept the last good state, after step (\d+); run holds the state "
        r"after step (\d+), go on with: numgan train --resume run\n"
    )
    found = re.fullmatch(message, done.stderr)
    assert found, done.stderr
    bad, kept, held = map(int, found.groups())
    assert held == kept
    assert 0 < kept < bad <= kept + 20 and kept % 20 == 0
    steps, history = history_of(tmp_path / "run")
    assert steps == list(range(1, kept + 1))
    assert_gaps_are_of(history, "d")
    gan = assert_loads_and_samples(tmp_path / "run", 2)
    assert gan.generator_optimizer.steps == kept
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == FILES


def test_a_run_that_diverges_at_once_keeps_its_start(call, tmp_path):
    status, out, err = call("train", "mnist", *SMALL, "--set", "learning_rate=1e30", "--until-equilibrium",
                            "--out", "run")  # fmt: skip
    assert status == 3
    assert re.search(r"step \d+.*kept the last good state, after step 0; run holds", err) and err.count("\n") == 1
    assert "no equilibrium: training ended before the first check\n" in out
    assert history_of(tmp_path / "run")[0] == []
    gan = assert_loads_and_samples(tmp_path / "run", 784)
    start = recipes.get("mnist").build(
        with_overrides(recipes.get("mnist").settings, {"hidden": "16,24"}), runs.streams(0)[0], "float32"
    )
    assert gan.generator.values.tobytes() == start.generator.values.tobytes()
    assert_picture(tmp_path / "run" / "samples.png", 0.6)
    assert call("sample", "run", "-n", "3", "--out", "x.npy")[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_an_interrupted_run_is_complete_up_to_a_look(tmp_path):
    process = subprocess.Popen(
        [*MODULE, "train", "sine", "--steps", "100000000", "--set", "snapshot_every=500", "--out", "run"],
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    try:
        for line in process.stdout:
            if re.match(r" +500 ", line):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, err
    message = r"numgan train: interrupted; run holds the state after step ([\d,]+), go on with: .* --resume run\n"
    found = re.fullmatch(message, err)
    assert found, err
    kept = int(found[1].replace(",", ""))
    assert kept > 0 and kept % 500 == 0
    assert f"of {kept:,} steps" in out
    directory = tmp_path / "run"
    assert {path.name for path in directory.iterdir()} == FILES
    steps, history = history_of(directory)
    assert steps == list(range(1, kept + 1)) and all(np.isfinite(column).all() for column in history.values())

    # the state is the one that a run of so many steps ends with
    recipe = recipes.get("sine")
    weights_rng, training_rng, _ = runs.streams(0)
    twin = recipe.build(recipe.settings, weights_rng, "float32")
    twin.fit(recipe.load(None, recipe.settings)[0], kept, 128, training_rng, every=500)
    loaded = assert_loads_and_samples(directory, 2).state_dict()
    assert all(a.tobytes() == loaded[name].tobytes() for name, a in twin.state_dict().items())


# ---------------------------------------------------------------- sample


def test_samples_of_digits(mnist_run, call, tmp_path):
    done = run(tmp_path, "sample", str(mnist_run), "-n", "10", "--seed", "3", "--out", "x.npy")
    assert done.returncode == 0 and done.stderr == "" and "x.npy: 10 samples" in done.stdout
    x = np.load(tmp_path / "x.npy", allow_pickle=False)
    assert x.shape == (10, 784) and x.dtype == np.float32
    assert x.min() >= -1 and x.max() <= 1 and len(np.unique(x, axis=0)) == 10
    before = contents(mnist_run)
    assert call("sample", mnist_run, "-n", 10, "--seed", 3, "--out", "again.npy")[0] == 0
    assert call("sample", mnist_run, "-n", 10, "--seed", 4, "--out", "other.npy")[0] == 0
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "x.npy").read_bytes()
    assert (np.load("other.npy") != x).mean() > 0.9
    assert contents(mnist_run) == before


def test_samples_of_a_float64_run_are_float32(sine, call):
    assert call("sample", sine[0], "-n", 10, "--out", "x.npy")[0] == 0
    x = np.load("x.npy")
    assert x.shape == (10, 2) and x.dtype == np.float32 and np.isfinite(x).all()


def test_the_default_is_a_picture_in_the_run_directory(mnist_run, call):
    shutil.copytree(mnist_run, "run")
    status, out, _ = call("sample", "run", "--seed", 5)
    assert status == 0 and out == f"{Path('run', 'sample-seed5.png')}: 64 samples\n"
    assert_picture(Path("run", "sample-seed5.png"), 0.6)
    assert {path.name for path in Path("run").iterdir()} == FILES | {"sample-seed5.png"}


def test_a_picture_of_points(sine, call):
    assert call("sample", sine[0], "-n", 50, "--out", "points.png")[0] == 0
    assert_picture(Path("points.png"), 0.02)


@pytest.mark.parametrize("out", ["x.gif", "x", "x.npz"])
def test_other_endings_are_refused(mnist_run, call, out):
    assert_refused(call("sample", mnist_run, "--out", out), out, ".png or .npy")
    assert os.listdir() == []


def test_a_missing_directory_for_the_samples_is_refused(mnist_run, call):
    assert_refused(call("sample", mnist_run, "--out", "nowhere/x.npy"), "nowhere", "not a directory")
    assert os.listdir() == []


def test_what_is_no_run_directory_is_refused(call, tmp_path):
    assert_refused(call("sample", "nowhere"), "nowhere", "not a run directory")
    assert_refused(call("sample", tmp_path), str(tmp_path), "not a run directory")
    Path("file").write_text("")
    assert_refused(call("sample", "file"), "file")


def damage(name, content):
    return lambda run: (run / name).write_bytes(content)


def truncate(run):
    path = run / "model.npz"
    path.write_bytes(path.read_bytes()[:20_000])


DAMAGES = {
    "config.json empty": damage("config.json", b""),
    "config.json cut": damage("config.json", b'{"recipe": "mn'),
    "config.json no text": damage("config.json", b"\xff\xfe\x00"),
    "config.json a list": damage("config.json", b"[]"),
    "config.json without recipe": damage("config.json", b"{}"),
    "config.json of another recipe": damage("config.json", b'{"recipe": "faces"}'),
    "config.json with a recipe of no kind": damage("config.json", b'{"recipe": [1]}'),
    "config.json gone": lambda run: (run / "config.json").unlink(),
    "model.npz empty": damage("model.npz", b""),
    "model.npz cut": truncate,
    "model.npz gone": lambda run: (run / "model.npz").unlink(),
    "model.npz something else": lambda run: np.savez(run / "model.npz", a=np.zeros(3)),
}


@pytest.mark.parametrize("case", DAMAGES)
@pytest.mark.parametrize("out", ["x.npy", None])
def test_a_damaged_run_is_refused(mnist_run, call, case, out):
    shutil.copytree(mnist_run, "run")
    DAMAGES[case](Path("run"))
    before = contents(Path("run"))
    assert_refused(call("sample", "run", *(["--out", out] if out else [])), "run")
    assert contents(Path("run")) == before and os.listdir() == ["run"]


def test_the_model_of_another_recipe_is_refused(mnist_run, sine, call):
    shutil.copytree(mnist_run, "run")
    shutil.copy(sine[0] / "model.npz", "run")
    assert_refused(call("sample", "run"), "model.npz")


# ---------------------------------------------------------------- --json


REPORTS = {  # command with what it reports on, as JSON -> what has to be in there, by way of keys and positions
    "recipes": lambda found: [recipe["name"] for recipe in found] == list(recipes.RECIPES),
    "summary sine": lambda found: found["generator"]["layers"][0] == {
        "name": "dense_1", "kind": "Dense", "shape": [25], "parameters": 150},
    "summary captions": lambda found: found["generator"]["trained"] + found["generator"]["kept"] == sum(
        layer["parameters"] or 0 for layer in found["generator"]["layers"]),
    "summary sine --step": lambda found: [len(step["calls"]) for step in found["steps"]] == [24, 18],
    "profile sine --steps 2": lambda found: 0 < found["seconds"] < 1 and found["calls"][2]["kernel"] == "dense_forward",
    "gradcheck dense": lambda found: found["reports"][0]["passed"] is True and found["faults"] == [],
    "data mnist": lambda found: found["classes"] == [500] * 10 and found["picture"] == "mnist.png",
    "exercise": lambda found: found[0]["name"] == next(iter(EXERCISES)) and found[0]["solved"] is False,
}  # fmt: skip


@pytest.mark.parametrize("command", REPORTS)
@pytest.mark.usefixtures("unrendered")
def test_what_a_command_reports_is_also_there_as_json(command, call):
    status, out, err = call(*command.split(), "--json")
    assert (status, err) == (0, "")
    assert REPORTS[command](json.loads(out)), out
    assert out == json.dumps(json.loads(out), indent=2, ensure_ascii=False) + "\n"


def test_every_command_that_reports_has_json():
    """All but those that make something: a run, samples, a page or a file to fill in."""
    commands = next(action.choices for action in cli.parser()._actions if action.dest == "command")
    without = {name for name, sub in commands.items() if "--json" not in sub.format_help()}
    assert without <= {"train", "sample", "explain"}
    assert {command.split()[0] for command in REPORTS} | {"evaluate", "study"} == commands.keys() - without


def test_numbers_that_are_not_finite_are_null_in_json():
    assert json.loads(as_json({"a": [math.nan, (math.inf, 1.5)], "b": -math.inf})) == {
        "a": [None, [None, 1.5]],
        "b": None,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "completed"),
    [("tr", ["train"]), ("train sta", ["stacked-mnist"]), ("study sine --ha", ["--halving"]),
     ("train sine --dtype ", ["float32", "float64"])],
)  # fmt: skip
def test_a_shell_completes_commands_recipes_and_options(words, completed, tmp_path):
    pytest.importorskip("shtab")
    script = tmp_path / "numgan"
    made = [sys.executable, "-m", "shtab", "--shell=bash", "numgan.cli.parser"]
    script.write_text(subprocess.run(made, capture_output=True, text=True, check=True).stdout)
    typed = " ".join(f"'{word}'" for word in ["numgan", *words.split(" ")])
    ask = f"source {script}; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _shtab_numgan; "
    answer = subprocess.run(["bash", "-c", ask + 'echo "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == completed
