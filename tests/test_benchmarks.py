"""The benchmark commands as processes, at the smallest size: that they run and what they leave, never how fast."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from benchmarks import BenchmarkError, bits, kernels, loop, peers, penalty, replicas
from benchmarks.__main__ import main
from benchmarks.workers import channels_last, serve
from numgan.study import recipes
from numgan.study.profiling import Work
from numgan.study.settings import with_overrides

ROOT = Path(__file__).parent.parent
PNG = b"\x89PNG\r\n\x1a\n"
TINY = ("--recipes", "sine", "--rounds", "1")


def benchmarks(*words):
    """Run `python -m benchmarks WORDS` in the checkout."""
    command = [sys.executable, "-m", "benchmarks", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(command) -> (printed text, result, directory), each command run once."""
    done = {}

    def run(command):
        if command not in done:
            out = tmp_path_factory.mktemp(command)
            process = benchmarks(command, *TINY, *COMMANDS[command], "--out", out)
            assert process.returncode == 0, process.stderr
            result = json.loads((out / f"{command}.json").read_text(encoding="utf-8"))
            done[command] = process.stdout, result, out
        return done[command]

    return run


COMMANDS = {
    "kernels": (),
    "step": (),
    "peers": ("--only", "numgan", "--quick", "--threads", "1"),
    "penalty": ("--threads", "1"),
    "replicas": ("--only", "numgan-stack", "--quick", "--threads", "1", "--replicas", "64"),
    "scaling": ("--batches", "1,128", "--widths", "1"),
    "versus": (ROOT, ROOT, "--threads", "1"),
}


RARE = ("kernels", "peers", "penalty", "replicas", "scaling", "versus")


@pytest.mark.parametrize("command", [pytest.param(c, marks=pytest.mark.slow) if c in RARE else c for c in COMMANDS])
def test_a_command_leaves_table_json_and_picture(run, command):
    text, result, out = run(command)
    assert result["benchmark"] == command
    assert {"cpu", "cores", "os", "python", "numpy", "blas", "numgan"} <= result["machine"].keys()
    assert result["settings"]["recipes"] == ["sine"] and result["settings"]["rounds"] == 1
    names = [entry["name"] for entry in result["measures"]]
    assert names and len(set(names)) == len(names)
    for entry in result["measures"]:
        assert 0 <= entry["low"] <= entry["median"] <= entry["high"] and "unit" in entry
    assert (out / f"{command}.png").read_bytes().startswith(PNG)
    assert "sine" in text and result["machine"]["numpy"] in text


def test_step_takes_the_whole_step_apart(run):
    row = run("step")[1]["recipes"]["sine"]
    parts = {name: part["calls"] for name, part in row["parts"].items()}
    # two discriminator updates of 2 products forward and 3 back, 2 for the fakes, 4 + 5 through the chain
    assert sum(count for name, count in parts.items() if name.startswith("dense_")) == 21
    assert parts["adam_update"] == 3 and parts["data"] == 1 and parts["noise"] == 2
    assert row["allocated"]["step"] >= 0 and row["allocated"]["parts"].keys() == parts.keys()


@pytest.mark.slow
def test_kernels_counts_the_work_of_a_product(run):
    result = run("kernels")[1]
    row = result["kernels"]["sine dense_forward 25×6 · 6×128 → 25×128"]
    assert row["flop"] == 2 * 128 * 6 * 25
    assert row["bytes"] == 4 * (128 * 6 + 6 * 25 + 128 * 25)
    assert result["peaks"]["products, GFLOP/s"]["median"] > 0


def test_peers_does_the_recipes_work(run):
    row = run("peers")[1]["recipes"]["sine"]["numgan"]
    assert row["differs"] < 1e-3
    assert row["ratio"]["median"] == 1


@pytest.mark.slow
def test_penalty_compares_every_penalty_with_the_plain_step(run):
    text, result, _ = run("penalty")
    rows = result["recipes"]["sine"]["numgan"]
    assert rows.keys() == penalty.STEPS.keys() and rows["plain"]["ratio"]["median"] == 1
    assert rows["wgan-gp"]["ratio"]["median"] == pytest.approx(
        rows["wgan-gp"]["seconds"]["median"] / rows["plain"]["seconds"]["median"]  # of one round
    )
    met = "met" if rows["wgan-gp"]["ratio"]["median"] <= 2.2 else "missed"
    assert f"target: wgan-gp at most 2.2 × the plain step; {met}: " in text


@pytest.mark.parametrize("name", penalty.STEPS)
def test_a_timed_step_has_whole_rounds_of_its_penalty(monkeypatch, name):
    made = []
    monkeypatch.setattr(penalty, "Loop", lambda *_, **__: SimpleNamespace(discriminator=lambda: lambda: made.append(1)))
    monkeypatch.setattr(penalty.peers, "REST_SECONDS", 0)
    assert penalty.own_task("mnist", name)(17) > 0
    assert len(made) == (32 if name == "r1-every-16" else 17)


@pytest.mark.slow
def test_replicas_says_whether_its_target_is_met(run):
    text, result, _ = run("replicas")
    rows = result["recipes"]["sine"]
    assert rows["sine×64"]["numgan-stack"]["differs"] == 0
    met = "met" if rows["sine×64"]["numgan-stack"]["seconds"]["median"] <= 14e-6 else "missed"
    assert f"target: at most 14 µs a model and step of 64; {met}: " in text


STACKS = ["numgan-stack", "jax-vmap", "torch-stack"]


@pytest.mark.slow
def test_every_peer_of_a_stack_ends_where_numgan_s_does(tmp_path):
    job = replicas.Stack(tmp_path, "sine", 3, 1)
    rows, workers = peers.start(STACKS, {"sine×3": job}, 1)
    for worker in workers.values():
        worker.close()
    run = {name: row for name, row in rows["sine×3"].items() if "missing" not in row}
    assert "numgan-stack" in run and all(row["differs"] < 1e-4 for row in run.values()), rows


@pytest.mark.slow
def test_scaling_halves_no_odd_batch_and_measures_memory(run):
    points = run("scaling")[1]["points"]
    assert [(p["batch"], p["threads"]) for p in points] == [(128, 1), (128, 2)]
    assert all(p["memory"] is None or p["memory"]["median"] > 10e6 for p in points)


@pytest.mark.slow
def test_versus_gives_both_sides_and_their_ratio(run):
    row = run("versus")[1]["recipes"]["sine"]
    assert set(row) == {"old", "new", "ratio"}
    assert row["ratio"]["median"] == pytest.approx(row["new"]["median"] / row["old"]["median"])  # of one round
    assert 1e-6 < row["old"]["median"] < 1e-1


# ------------------------------------------------------------------------------------------------------ convolutions


@pytest.fixture
def narrow(monkeypatch):
    """The settings of mnist-dcgan, made small for as long as a test lasts."""
    recipe = recipes.get("mnist-dcgan")
    small = dataclasses.replace(recipe.settings, filters=(3, 4), latent_dim=5, batch_size=4, dropout=0.25)
    monkeypatch.setattr(type(recipe), "settings", small)
    return small


EAGER = ["numgan", "torch", "torch-channels-last", "jax"]  # the others take minutes to start


@pytest.mark.parametrize("names", [["numgan"], pytest.param(EAGER, marks=pytest.mark.slow)], ids=len)
def test_every_installed_peer_does_the_work_of_a_convolutional_recipe(narrow, tmp_path, names):
    """Without dropout, whose masks are each framework's own, and then with it, for a step."""
    rows, workers = peers.start(names, {"mnist-dcgan": peers.Job(tmp_path, "mnist-dcgan", 1)}, 1)
    assert "numgan" in workers
    for name, row in rows["mnist-dcgan"].items():
        assert "missing" in row or row["differs"] < 1e-3, (name, row)
    for worker in workers.values():
        assert 0 < worker.run("mnist-dcgan", 1) < 60
        worker.close()


# ------------------------------------------------------------------------------------------------------- conditions

SMALL = {
    "mnist-conditional": {"hidden": (5, 4)},  # many rows: PyTorch's running variance is unbiased
    "translate": {"filters": (2, 3, 4, 3), "patch_filters": (2, 3), "batch_size": 4},  # and dropout
}


@pytest.fixture
def small(monkeypatch):
    """The settings of conditional recipes, made small for as long as a test lasts."""
    for name, settings in SMALL.items():
        recipe = recipes.get(name)
        monkeypatch.setattr(type(recipe), "settings", dataclasses.replace(recipe.settings, **settings))


@pytest.mark.parametrize(
    ("recipe", "names"),
    [("mnist-conditional", ["numgan"]), *(pytest.param(recipe, EAGER, marks=pytest.mark.slow) for recipe in SMALL)],
)
def test_every_installed_peer_does_the_work_of_a_conditional_recipe(small, tmp_path, recipe, names):
    job = peers.Job(tmp_path, recipe, 1, **peers.OVERRIDES.get(recipe, {}))
    rows, workers = peers.start(names, {recipe: job}, 1)
    assert workers.keys() <= peers.CONDITIONAL and "numgan" in workers
    for name, row in rows[recipe].items():
        assert "missing" in row or "left out" in row or row["differs"] < 4e-3, (name, row)
    for worker in workers.values():
        assert 0 < worker.run(recipe, 1) < 60
        worker.close()


@pytest.mark.parametrize("recipe", SMALL)
def test_a_job_has_the_weights_of_every_layer_wherever_it_is(small, tmp_path, recipe):
    job = peers.Job(tmp_path, recipe, 1, **peers.OVERRIDES.get(recipe, {}))
    read = serve.Job(job.path, "numgan")
    settings = with_overrides(recipes.get(recipe).settings, peers.OVERRIDES.get(recipe, {}))
    gan = recipes.get(recipe).build(settings, np.random.default_rng(0), "float32")
    for network, weights in zip((gan.generator, gan.discriminator), read.weights, strict=True):
        held = [name for name in network.state_dict() if not name.endswith(".key")]
        assert sorted(peers.entries(network)) == sorted(held) and len(weights) == len(held)
    assert len(read.inputs) == 6 and len(read.conditions) == len(read.images)
    assert not read.without_dropout().has("Dropout") and read.has("Dropout") == (recipe == "translate")


def test_who_is_not_written_for_conditions_is_left_out(small, tmp_path, monkeypatch):
    monkeypatch.setitem(peers.PEERS, "jax", ("JAX", "no_such_worker", ()))
    jobs = {"mnist-conditional": peers.Job(tmp_path, "mnist-conditional", 1, **peers.OVERRIDES["mnist-conditional"])}
    rows, workers = peers.start(["jax"], jobs, 1)
    assert rows["mnist-conditional"]["jax"]["left out"] == "not written for conditions" and workers == {}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["mnist", "mnist-dcgan"])
def test_pytorch_takes_the_same_critic_steps_if_it_is_installed(narrow, tmp_path, recipe):
    with contextlib.ExitStack() as stack:
        rows, tasks = penalty.peer_tasks(tmp_path, recipe, 1, stack)
        assert rows.keys() == penalty.STEPS.keys()
        for name, row in rows.items():
            assert "missing" in row or row["differs"] < 1e-3, (name, row)
        for task in tasks.values():
            assert 0 < task(1) < 60


def test_only_images_have_channels_to_put_last(tmp_path):
    rows, workers = peers.start(["torch-channels-last"], {"sine": peers.Job(tmp_path, "sine", 1)}, 1)
    assert rows == {"sine": {}} and workers == {}


def test_weights_turn_to_channels_last_and_back(tmp_path):
    gan = recipes.get("mnist-dcgan").build(recipes.get("mnist-dcgan").settings, np.random.default_rng(0), "float32")
    for network in (gan.generator, gan.discriminator):
        arrays, described = list(peers.entries(network).values()), (network.config()["layers"], network.shapes)
        there = channels_last.turned(arrays, *described)
        assert any(a.shape != b.shape for a, b in zip(there, arrays, strict=True))
        for a, b in zip(channels_last.turned(there, *described, back=True), arrays, strict=True):
            np.testing.assert_array_equal(a, b)


def test_features_of_an_image_turn_with_it():
    rng = np.random.default_rng(0)
    image, weight = rng.standard_normal((1, 2, 3, 4)), rng.standard_normal((24, 5))
    layers, shapes = [("Flatten", {}), ("Dense", {})], [(2, 3, 4), (24,), (5,)]
    turned, _ = channels_last.turned([weight, np.zeros(5)], layers, shapes)
    np.testing.assert_allclose(channels_last.images(image).reshape(1, -1) @ turned, image.reshape(1, -1) @ weight)


def test_the_products_of_a_convolutional_step_are_those_on_paper():
    """Multiplications and additions, by the shapes alone; biases, which may be part of a product, are less than 1 %."""
    dense, up, draw = 2 * 64 * 100 * 6272, 2 * 64 * 49 * 128 * 64 * 16, 2 * 64 * 196 * 64 * 16
    generate, judge, decide = dense + up + draw, draw + up, 2 * 64 * 6272
    d_step = generate + 2 * (judge + decide + judge + decide + up + decide)  # nobody reads the pixels' gradient
    g_step = generate + 2 * (judge + decide) + 2 * (draw + up) + dense
    calls = loop.Loop("mnist-dcgan").calls()
    assert sum(call.flop for call in calls) == pytest.approx(d_step + g_step, rel=0.01)


def test_work_counts_what_is_filled_and_sums_made_as_products(narrow):
    calls = {call.name: call for call in loop.Loop("mnist-dcgan").calls()}
    sums, gather = calls["channel_sums"], calls["gather"]
    assert Work([sums]).operations == 2 * sums.arguments["dy"].size
    assert Work([gather]).bytes > 2 * gather.arguments["out"].nbytes * 0.8


def test_kernels_has_each_pass_of_the_layers_on_images(monkeypatch):
    monkeypatch.setattr(kernels, "IMAGES", 2)
    passes = kernels.passes()
    product = 2 * (128 * 1024) * 49 * 2
    for layer in ("Conv2D 64×14×14 → 128×7×7", "Conv2DTranspose 128×7×7 → 64×14×14"):
        for what in ("forward", "weight gradient", "input gradient"):
            _, calls = passes[f"{layer}, {what}"]
            assert sum(call.flop for call in calls) == pytest.approx(product, rel=0.01)
    for layer in ("AveragePooling2D", "UpSampling2D", "Dropout"):
        assert [name.partition(", ")[2] for name in passes if name.startswith(layer) and ": " not in name] == [
            "forward", "input gradient"
        ]  # fmt: skip
    for _, calls in passes.values():
        assert Work(calls).bytes > 0
        assert kernels.Alone(calls).run(1) > 0


# ------------------------------------------------------------------------------------------------------------- bits

ARRAYS = {
    "sine float32: weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "sine float32: steps": np.array(7),
    "sine float64: history": np.array([0.5, np.nan, -0.0]),
}


def flipped(array, index=0, bit=0):
    """The array with one bit of one of its bytes the other way."""
    raw = bytearray(array.tobytes())
    raw[index] ^= 1 << bit
    return np.frombuffer(bytes(raw), array.dtype).reshape(array.shape)


@pytest.fixture
def differences(tmp_path):
    """differences(arrays) -> [(name, what differs)] between a file of ARRAYS and one of these."""

    def differences(arrays):
        for name, content in (("old", ARRAYS), ("new", arrays)):
            np.savez(tmp_path / f"{name}.npz", **content)
        with np.load(tmp_path / "old.npz") as old, np.load(tmp_path / "new.npz") as new:
            return list(bits.compare(old, new))

    return differences


def test_equal_arrays_are_equal_to_the_bit(differences):
    assert differences({name: array.copy() for name, array in ARRAYS.items()}) == []
    assert differences(dict(reversed(ARRAYS.items()))) == []


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("bit", range(8))
def test_a_single_bit_is_a_difference(differences, name, bit):
    ((found, line),) = differences(ARRAYS | {name: flipped(ARRAYS[name], bit=bit)})
    assert found == name and f"of {ARRAYS[name].size} numbers, by up to" in line


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("sine float32: weight", ARRAYS["sine float32: weight"].astype(float), "was float32 (3, 4), is float64 (3, 4)"),
        ("sine float32: weight", ARRAYS["sine float32: weight"].T, "was float32 (3, 4), is float32 (4, 3)"),
        ("sine float32: steps", np.array([7]), "was int64 (), is int64 (1,)"),
        ("sine float32: steps", np.array(8), "(1 of 1 numbers, by up to 1.4e-01 of the largest)"),
        ("sine float64: history", np.array([0.5, np.nan, 0.0]), "of 3 numbers"),  # a zero's sign is a bit too
    ],
)
def test_another_dtype_shape_number_or_sign_is_a_difference(differences, name, array, said):
    ((found, line),) = differences(ARRAYS | {name: array})
    assert found == name and said in line


def test_what_only_one_side_has_is_a_difference(differences):
    less = {name: array for name, array in ARRAYS.items() if "steps" not in name}
    assert differences(less) == [("sine float32: steps", "is only in the old checkout")]
    assert differences(ARRAYS | {"more": np.zeros(1)}) == [("more", "is only in the new checkout")]


@pytest.mark.parametrize("equal", [True, False])
def test_bits_says_which_runs_differ_and_returns_it(monkeypatch, capsys, equal):
    """With workers that write small files in place of training for a minute."""
    changed = {} if equal else {name: flipped(array) for name, array in ARRAYS.items() if "float32" in name}

    def start(checkout, file):
        np.savez(file, **(ARRAYS if file.stem == "old" else ARRAYS | changed))

    monkeypatch.setattr(bits, "start", start)
    monkeypatch.setattr(bits, "finish", lambda checkout, worker: None)
    assert bits.run(Namespace(old=ROOT, new=".")) == (0 if equal else 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"3 arrays of {ROOT} and 3 of ")
    if equal:
        assert lines[1:] == ["equal to the bit"]
    else:
        assert lines[1].startswith("sine float32: 2 differ, among them weight (1 of 12 numbers")
        assert lines[2:] == ["2 differ"]


class Worker:
    """A finished process."""

    def __init__(self, returncode, out, errors=""):
        self.returncode, self.printed = returncode, (out, errors)

    def communicate(self):
        return self.printed


def test_a_worker_that_fails_or_runs_another_checkout_is_an_error():
    bits.finish(ROOT, Worker(0, f"{ROOT}\n"))
    with pytest.raises(BenchmarkError, match="ValueError: so it is"):
        bits.finish(ROOT, Worker(1, "", "Traceback\n  somewhere\nValueError: so it is\n"))
    with pytest.raises(BenchmarkError, match="no reason given"):
        bits.finish(ROOT, Worker(1, ""))
    with pytest.raises(BenchmarkError, match="was asked for, but /elsewhere ran"):
        bits.finish(ROOT, Worker(0, "/elsewhere\n"))


# ------------------------------------------------------------------------------------------------------------- input


def test_a_missing_and_a_failing_peer_are_reported(monkeypatch, tmp_path):
    monkeypatch.setitem(peers.PEERS, "ghost", ("Ghost", "numgan_worker", ("no_such_package",)))
    monkeypatch.setitem(peers.PEERS, "broken", ("Broken", "no_such_worker", ()))
    jobs = {"sine": peers.Job(tmp_path, "sine", 1)}
    rows, workers = peers.start(("ghost", "broken"), jobs, 1)
    assert workers == {}
    assert rows["sine"]["ghost"]["missing"] == "no_such_package not installed"
    assert "no_such_worker" in rows["sine"]["broken"]["failed"]
    assert "\n" not in rows["sine"]["broken"]["failed"]


@pytest.mark.slow
def test_compare_shows_only_what_changed_by_more_than_the_spread(run, tmp_path):
    _, result, out = run("step")
    old = out / "step.json"
    entry = next(entry for entry in result["measures"] if entry["name"] == "sine step")
    for key in ("low", "median", "high"):
        entry[key] *= 100
    new = tmp_path / "new.json"
    new.write_text(json.dumps(result), encoding="utf-8")

    process = benchmarks("compare", old, new, "--out", tmp_path)
    assert process.returncode == 0, process.stderr
    assert "sine step" in process.stdout and "+9900.0%" in process.stdout
    assert f"1 of {len(result['measures'])} measures changed" in process.stdout
    rows = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))["changes"]
    assert [row["name"] for row in rows] == [entry["name"] for entry in result["measures"]]
    assert (tmp_path / "compare.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["step", "--recipes", "mnits"], "no 'mnits'; there are mnist, sine"),
        (["peers", "--only", "pytorch"], "no 'pytorch'; there are numgan, torch"),
        (["kernels", "--threads", "0"], "expected a positive integer, got '0'"),
        (["scaling", "--batches", "1,x"], "expected a positive integer, got 'x'"),
        (["compare", "setup.cfg", "setup.cfg"], "setup.cfg is not a result of these benchmarks"),
        (["compare", "nowhere.json", "setup.cfg"], "nowhere.json"),
        (["bits", "tests"], f"{ROOT / 'tests'} is no checkout of numgan"),
        (["bits"], "required: OLD"),
        (["versus", "tests", "--rounds", "1"], f"{ROOT / 'tests'} is no checkout of numgan"),
        (["versus"], "required: OLD"),
        (["arms", "ring", "--seeds", "0"], "expected a positive integer, got '0'"),
        (["arms", "rings"], "invalid choice: 'rings'"),
        ([], "required: COMMAND"),
    ],
)
def test_bad_input_gets_one_sentence_and_status_2(words, said, monkeypatch, capsys):
    """In this process."""
    monkeypatch.chdir(ROOT)
    with mock.patch.dict(os.environ):  # the number of threads goes there
        try:
            status = main(words)
        except SystemExit as stop:
            status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["race"], "invalid choice: 'race'"),
        (["versus", ".", "nowhere", "--rounds", "1"], "nowhere is no checkout of numgan"),  # the first has its worker
    ],
)
def test_a_refusal_is_the_same_as_a_process(words, said):
    process = benchmarks(*words)
    assert (process.returncode, process.stdout) == (2, "")
    assert said in process.stderr and process.stderr.count("\n") == 1
