"""The config.json of a run, read back: whatever is in it, it is read rightly or refused in a sentence."""

import json
import os
import random
import sys

import numpy as np
import pytest

from numgan import Error
from numgan.cli import main
from numgan.study import recipes, runs
from numgan.study.settings import with_overrides
from tests.helpers import png_files

DIGITS = {"hidden": [16, 24], "epochs": 3, "steps": 0, "objective": "wasserstein", "clip": 0.1, "slope": 0}


def config_of(recipe="mnist", **settings):
    return {
        "numgan": "0.1.0", "numpy": "2.0.0", "recipe": recipe, "seed": 7, "dtype": "float64", "data": "digits",
        "held_out": "digits", "data_from": "/somewhere", "settings": settings or dict(DIGITS),
    }  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """Writes a config.json (bytes, text, or anything JSON) and reads it as a run's."""

    def read(content):
        if not isinstance(content, bytes):
            content = (content if isinstance(content, str) else json.dumps(content)).encode("utf-8", "surrogatepass")
        (tmp_path / "config.json").write_bytes(content)
        return runs.read_config(tmp_path)

    return read


def assert_refused(tmp_path, call, *phrases):
    with pytest.raises(runs.RunError) as caught:
        call()
    message = str(caught.value)
    assert len(message) <= 500 and message.isprintable() and str(tmp_path) in message
    for phrase in phrases:
        assert phrase in message


def test_what_is_read_is_what_was_run(read):
    config = read(config_of())
    mnist = recipes.get("mnist")
    assert config == {
        "recipe": mnist, "seed": 7, "dtype": "float64", "data_from": "/somewhere", "until_equilibrium": None,
        "data": "digits", "watch": False, "animate": False, "log_dir": None,
        "settings": with_overrides(mnist.settings, {"hidden": (16, 24), "epochs": 3, "objective": "wasserstein",
                                                    "clip": 0.1, "slope": 0.0}),
    }  # fmt: skip
    assert read(config_of() | {"until_equilibrium": 0.01})["until_equilibrium"] == 0.01
    kept = read(config_of() | {"watch": True, "animate": True, "log_dir": "/logs"})
    assert (kept["watch"], kept["animate"], kept["log_dir"]) == (True, True, "/logs")


FAMILIES = ("mnist", "emoji", "sine", "translate", "captions")  # the others of a family have the same settings


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize(
    "recipe", [name if name in FAMILIES else pytest.param(name, marks=pytest.mark.slow) for name in recipes.RECIPES]
)
def test_a_run_s_own_settings_come_back(recipe, tmp_path):
    """All of them as `train` writes them, those that the objective does not take included."""
    settings = recipes.get(recipe).settings
    width = {"hidden": "2"} if hasattr(settings, "hidden") else {"filters": "2,2"}
    settings = with_overrides(settings, {"steps": 1, "batch_size": 4, **width})
    settings = with_overrides(settings, {"objective": "wasserstein", "clip": 0.5})
    pictures = png_files(tmp_path / "pictures") if recipe == "pictures" else None
    runs.train(recipes.get(recipe), settings, 3, source=pictures, out=tmp_path / "run", quiet=True)
    config = runs.read_config(tmp_path / "run")
    assert (
        config["settings"] == settings.for_data(np.empty((3, 32, 32)))
        and config["recipe"].name == recipe
        and config["seed"] == 3
    )


@pytest.mark.parametrize("content, phrases", [
    (b"", []), (b"{", []), (b"\xff\xfe{}", []), (b"[1]", ["no object"]), (b"3", ["no object"]), (b'"a"', ["no object"]),
    (b"null", ["no object"]), (b"[" * 100_000, []), (b'{"recipe": ' * 100_000, []), (b"{}", ["it has no recipe"]),
    (b" " * 1_000_001, ["larger than 1,000,000 bytes"]), (b"9" * 10_000, []),
])  # fmt: skip
def test_a_file_that_holds_something_else_is_refused(read, tmp_path, content, phrases):
    assert_refused(tmp_path, lambda: read(content), "config.json is not readable", *phrases)


STRANGE = [
    None, True, -1, 1.5, 2**64, 10**400, float("nan"), float("inf"), -float("inf"), "", "x" * 90_000, "٣", "1_000",
    "\ud800", "a\0b", "a\nb", [], [1], ["mnist"], [[1]], [True], ["4"] * 200, [2.5], {}, {"a": 1}, [10**30],
]  # fmt: skip


@pytest.mark.parametrize("field, fine", [
    ("recipe", []), ("seed", []), ("dtype", []), ("data_from", [None, "x" * 90_000, "٣", "1_000", "a\nb"]),
    ("settings", [{}]), ("until_equilibrium", [None]), ("watch", [True]), ("animate", [True]),
    ("log_dir", [None, "x" * 90_000, "٣", "1_000", "a\nb"]),
])  # fmt: skip
def test_a_field_that_cannot_be_is_refused_by_name(read, tmp_path, field, fine):
    for value in STRANGE:
        config = config_of() | {field: value}
        if value in fine:
            assert read(config)
        else:
            assert_refused(tmp_path, lambda config=config: read(config), "" if field == "settings" else field)
    if field in config_of():
        left = {key: value for key, value in config_of().items() if key != field}
        assert_refused(tmp_path, lambda: read(left), f"it has no {field}")


@pytest.mark.parametrize("recipe", ["mnist-epochs", "sine"])
def test_a_setting_that_cannot_be_is_refused_by_name(read, tmp_path, recipe):
    """Each in turn. The default is read, and so is a whole number for a fraction."""
    large = ("learning_rate", "generator_rate", "discriminator_rate", "epsilon", "clip", "stddev", "penalty_weight")
    fine = {"slope": 0, "beta1": 0, "beta2": 0, "momentum": 0, "label_smoothing": 0, "hidden": [1]}
    for name, default in vars(recipes.get(recipe).settings).items():
        assert read(config_of(recipe, **{name: default}))
        for value in [*STRANGE, 0.1 + 2**60, -0.0001]:
            if isinstance(value, list) and value == fine.get(name) and isinstance(default, tuple):
                continue
            if isinstance(default, float) and value == 1.5 and name in large:
                continue
            if isinstance(default, float) and value in (2**64, 0.1 + 2**60) and isinstance(value, int | float):
                continue  # a rate may be large
            config = config_of(recipe, **{name: value})
            assert_refused(tmp_path, lambda config=config: read(config), name)


def test_settings_that_do_not_go_together_are_refused(read, tmp_path):
    for settings, phrase in (
        ({"steps": 5, "epochs": 5}, "steps or epochs, not both"),
        ({"clip": 0.5}, "clip is no setting of the objective"),
        ({"speed": 1}, "no setting 'speed'"),
        ({"a\nb" * 30_000: 1}, "no setting 'a?b"),
        ({"generator_steps": 0, "discriminator_steps": 0}, "nothing to train"),
        ({"steps": 5, "epochs": 0, "decay": "linear", "warm_up": 5}, "warm_up=5 is not possible with decay=linear"),
    ):
        assert_refused(tmp_path, lambda settings=settings: read(config_of(**settings)), phrase)


def mutated(rng, value, depth=0):
    """A JSON value with one thing in it changed."""
    if isinstance(value, dict) and value and depth < 3 and rng.random() < 0.8:
        key = rng.choice(list(value))
        changed = dict(value)
        match rng.randrange(4):
            case 0:
                del changed[key]
            case 1:
                changed[rng.choice(["x", key * 2, "\ud800", key.upper(), "n" * 10_000])] = changed.pop(key)
            case _:
                changed[key] = mutated(rng, changed[key], depth + 1)
        return changed
    return rng.choice([*STRANGE, value, [value], {"a": value}, str(value), 0, 1, 0.3, "sine", 10**9])


def test_whatever_is_changed_it_is_read_rightly_or_refused(read, tmp_path):
    """A thousand seeded changes, of the values and of the bytes."""
    rng, outcomes = random.Random(0), {True: 0, False: 0}
    for case in range(1000):
        config = config_of(rng.choice(list(recipes.RECIPES)), **(dict(DIGITS) if rng.random() < 0.5 else {"steps": 5}))
        content = json.dumps(mutated(rng, config)).encode()
        if case % 3 == 0:
            at = rng.randrange(len(content))
            content = content[:at] + rng.randbytes(rng.randrange(4)) + content[at + rng.randrange(4) :]
        try:
            got = read(content)
        except Error as error:
            assert isinstance(error, runs.RunError) and len(str(error)) <= 500 and str(tmp_path) in str(error)
            outcomes[False] += 1
        else:
            assert isinstance(got["settings"], type(got["recipe"].settings)) and type(got["seed"]) is int
            outcomes[True] += 1
    assert min(outcomes.values()) > 100, outcomes


# ----------------------------------------------------------------------------------------------- no plain file


def test_a_directory_or_a_device_is_no_config(tmp_path):
    (tmp_path / "config.json").mkdir()
    assert_refused(tmp_path, lambda: runs.read_config(tmp_path), "it is no file")
    (tmp_path / "config.json").rmdir()
    if os.path.exists("/dev/zero"):
        (tmp_path / "config.json").symlink_to("/dev/zero")
        assert_refused(tmp_path, lambda: runs.read_config(tmp_path), "it is no file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    assert_refused(tmp_path, lambda: runs.read_config(tmp_path), "it is no file")


def test_what_is_no_run_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        assert_refused(tmp_path, lambda name=name: runs.read_config(tmp_path / name), name)
    for name in ("a\0b", "\ud800", "n" * 5_000, "n/" * 5_000):
        with pytest.raises(runs.RunError) as caught:
            runs.read_config(name)
        assert len(str(caught.value)) <= 500 and str(caught.value).isprintable()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions, which do not bind root")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "config.json").chmod(0)
    assert_refused(tmp_path, lambda: runs.read_config(tmp_path), "Permission denied")


# ---------------------------------------------------------------- training by it


@pytest.fixture
def train(tmp_path, monkeypatch, capsys, unrendered):
    """`numgan train ARGUMENTS --quiet` in tmp_path: (its config.json, or what it says, model.npz's bytes or None)."""
    monkeypatch.chdir(tmp_path)
    number = iter(range(10))

    def train(*arguments):
        out = tmp_path / f"trained-{next(number)}"
        status = main(["train", *map(str, arguments), "--quiet", "--out", str(out)])
        said = capsys.readouterr().err
        if status:
            assert status == 2 and said.count("\n") == 1 and not out.exists()
            return said, None
        return json.loads((out / "config.json").read_text(encoding="utf-8")), (out / "model.npz").read_bytes()

    return train


def test_a_run_s_config_trains_the_same_model_to_the_bit(train):
    asked = ["--steps", 12, "--seed", 5, "--dtype", "float64", "--until-equilibrium", 0.01, "--watch"]
    first = train("sine", *asked, "--set", "hidden=7", "--set", "objective=minimax", "--set", "penalty=r1")
    assert train("--config", "trained-0/config.json") == first
    assert first[0]["settings"]["hidden"] == 7 and first[0]["watch"] and first[0]["seed"] == 5


def test_what_is_given_beside_a_config_holds_in_place_of_its_own(train):
    config, model = train("sine", "--steps", 12, "--seed", 5, "--dtype", "float64", "--set", "hidden=3")
    flags = ["--steps", 6, "--seed", 0, "--dtype", "float32", "--set", "batch-size=10", "--set", "latent_dim=2"]
    other, another = train("--config", "trained-0/config.json", *flags)
    assert (other["seed"], other["dtype"]) == (0, "float32") and another != model
    expected = config["settings"] | {"steps": 6, "batch_size": 10, "latent_dim": 2}
    assert other["settings"] == expected


@pytest.mark.slow
def test_epochs_given_beside_a_config_of_steps_hold(train):
    train("mnist", "--steps", 2, "--batch-size", 2000, "--set", "hidden=3")
    config, _ = train("--config", "trained-0/config.json", "--epochs", 1)
    assert (config["settings"]["epochs"], config["settings"]["steps"]) == (1, 0)
    assert config["settings"]["hidden"] == [3] and config["settings"]["batch_size"] == 2000


@pytest.mark.parametrize("content, arguments, phrase", [
    (None, [], "elsewhere.json cannot be read: No such file"),
    ("{", [], "elsewhere.json is not readable"),
    (config_of("faces"), [], "no recipe 'faces'"),
    (config_of() | {"seed": -1}, [], "seed is -1, expected a whole number below"),
    (config_of(), ["mnist"], "one of them"),
    (config_of("sine", steps=5), ["--set", "slope=1"], "no setting 'slope'"),
])  # fmt: skip
def test_a_config_that_cannot_be_trained_by_is_refused_in_a_sentence(content, arguments, phrase, train, tmp_path):
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "elsewhere.json").write_text(text, encoding="utf-8")
    assert phrase in train(*arguments, "--config", "elsewhere.json")[0]
