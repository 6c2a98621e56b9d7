"""The benchmark of a study's arms: what it trains, what it does not train again, and what it reports."""

import dataclasses
import json
from argparse import Namespace

import numpy as np
import pytest

from benchmarks import BenchmarkError, arms
from benchmarks.studies import RING, STUDIES
from numgan.study import evaluation, recipes, seeds
from numgan.study.settings import with_overrides
from tests.test_benchmarks import PNG, benchmarks

MEASURES = ("modes", "modes_hit", "good_share", "kl_divergence", "spread")
ARMS = {"plain": {}, "minimax": {"objective": "minimax"}, "unknown": {"objective": "telepathic"}}


@pytest.fixture
def trained(monkeypatch):
    """[(recipe and settings, seeds)] of every call that would train; seed s has s modes, and seed 3 fails."""
    asked = []

    def train(recipe, settings, wanted, directory, quiet):
        asked.append(((recipe, settings), wanted))
        found = [seeds.SeedRun(seed, str(directory), evaluated(seed) if seed != 3 else None, None) for seed in wanted]
        for one in found:
            one.error = "it is a three" if one.seed == 3 else None
        return found, None

    monkeypatch.setattr(arms.seeds, "train", train)
    monkeypatch.setitem(STUDIES, "ring", dataclasses.replace(RING, arms=ARMS))
    return asked


def evaluated(seed):
    values = dict.fromkeys(MEASURES, 0.5) | {"modes": float(seed), "spread": None if seed == 0 else 0.9}
    real = dict.fromkeys(MEASURES, 1.0) | {"modes": 8.0}
    measures = [{"name": name, "value": values[name], "real": real[name], "better": ""} for name in MEASURES]
    return {"measures": measures, "collapsed": "points leave out modes" if seed < 2 else None}


def call(out, names=None, seeds=3, **settings):
    pairs = [f"{name}={value}" for name, value in settings.items()]
    arms.run(Namespace(command="arms", study="ring", out=out, arms=names, seeds=seeds, set=pairs))
    return json.loads((out / "ring.json").read_text(encoding="utf-8"))


def test_every_arm_is_trained_with_its_settings_and_those_of_all(trained, tmp_path):
    result = call(tmp_path, steps=50)
    assert trained == [
        (("ring", {"steps": "50"}), [0, 1, 2]),
        (("ring", {"objective": "minimax", "steps": "50"}), [0, 1, 2]),
    ]
    assert result["arms"]["minimax"]["settings"] == {"objective": "minimax", "steps": "50"}
    assert [row["measures"]["modes"] for row in result["arms"]["plain"]["seeds"].values()] == [0, 1, 2]


def test_an_arm_that_the_recipe_does_not_take_is_reported_and_the_others_run(trained, tmp_path, capsys):
    result = call(tmp_path)
    assert "unknown has not run: objective=telepathic is not possible; expected one of" in capsys.readouterr().out
    assert result["arms"]["unknown"]["seeds"] == {} and len(trained) == 2
    assert "unknown" not in (tmp_path / "ring.md").read_text(encoding="utf-8")


def test_what_the_results_hold_is_not_trained_again(trained, tmp_path):
    call(tmp_path, ("plain",), seeds=2)
    result = call(tmp_path, ("plain", "minimax"), seeds=3)
    assert [wanted for _, wanted in trained] == [[0, 1], [2], [0, 1, 2]]
    assert list(result["arms"]["plain"]["seeds"]) == ["0", "1", "2"]
    assert call(tmp_path)["arms"].keys() == ARMS.keys() and len(trained) == 3


def test_an_arm_of_new_settings_is_trained_anew(trained, tmp_path, monkeypatch):
    call(tmp_path, ("minimax",))
    monkeypatch.setitem(ARMS, "minimax", {"objective": "minimax", "beta1": 0})
    call(tmp_path, ("minimax",))
    assert [wanted for _, wanted in trained] == [[0, 1, 2]] * 2


def test_a_stopped_benchmark_keeps_what_is_done_and_goes_on(trained, tmp_path, monkeypatch):
    right = arms.seeds.train

    def stopped(recipe, settings, wanted, directory, quiet):
        trained, _ = right(recipe, settings, wanted[:1], directory, quiet)
        return [*trained, seeds.SeedRun(1, "", None, "not begun")], KeyboardInterrupt()

    with monkeypatch.context() as patch:
        patch.setattr(arms.seeds, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            call(tmp_path)
    call(tmp_path, ("plain",))
    assert [wanted for _, wanted in trained] == [[0], [1, 2]]


def test_the_tables_say_how_many_seeds_have_which_modes_and_how_many_are_lost(trained, tmp_path, capsys):
    result = call(tmp_path, ("plain",), seeds=5)
    heading, rule, plain, real = (tmp_path / "ring.md").read_text(encoding="utf-8").splitlines()
    assert heading.count("|") == rule.count("|") == plain.count("|") == real.count("|") == 7
    assert plain.startswith("| plain | 0 1 2 — 4 | 0.5 (0.5–0.5) |")
    assert plain.endswith("| 2 of 4, 1 more failed |") and real.startswith("| real data | 8 |")
    assert "plain, seed 3: it is a three" in capsys.readouterr().out
    modes = {entry["name"]: entry for entry in result["measures"]}["plain: modes"]
    assert (modes["median"], modes["rounds"]) == (1.5, 4)
    assert (tmp_path / "ring.png").read_bytes().startswith(PNG)


def test_results_of_something_else_are_not_written_over(trained, tmp_path):
    call(tmp_path, steps=50)
    with pytest.raises(BenchmarkError, match=r"was made with --set steps=50, this is no --set; give another --out"):
        call(tmp_path)
    (tmp_path / "ring.json").write_text("[]")
    with pytest.raises(BenchmarkError, match="is not a result of this benchmark; give another --out"):
        call(tmp_path)
    assert (tmp_path / "ring.json").read_text() == "[]"


def test_an_arm_or_a_setting_that_cannot_be_is_refused_before_anything_is_trained(trained, tmp_path):
    with pytest.raises(BenchmarkError, match="no arm 'hinged'; there are plain, minimax, unknown"):
        call(tmp_path, ("plain", "hinged"))
    with pytest.raises(BenchmarkError, match="--set steps: expected NAME=VALUE"):
        arms.run(Namespace(command="arms", study="ring", out=tmp_path, arms=None, seeds=1, set=["steps"]))
    assert trained == []


def test_an_arm_of_another_recipe_is_trained_as_that_and_says_its_settings(trained, tmp_path, monkeypatch):
    own = {"other": {"recipe": "sine", "steps": 70}, "plain": {}, "gone": {"recipe": "telepathy"}}
    monkeypatch.setitem(STUDIES, "ring", dataclasses.replace(RING, arms=own, told=("steps", "batch_size")))
    result = call(tmp_path, batch_size=30)
    assert [asked for asked, _ in trained] == [
        ("sine", {"steps": "70", "batch_size": "30"}), ("ring", {"batch_size": "30"})
    ]  # fmt: skip
    assert result["arms"]["gone"]["refused"].startswith("no recipe 'telepathy'")
    heading, _, other, plain, _ = (tmp_path / "ring.md").read_text(encoding="utf-8").splitlines()
    assert heading.startswith("| arm | steps | batch_size | modes of 8, seed by seed |")
    assert other.startswith("| other | 70 | 30 | 0 1 2 |")
    assert plain.startswith(f"| plain | {recipes.get('ring').settings.steps} | 30 | 0 1 2 |")


def test_reports_are_in_the_order_of_the_study_and_leave_out_what_it_has_no_more(trained, tmp_path, monkeypatch):
    call(tmp_path, ("minimax",))
    call(tmp_path, ("plain",))
    lines = (tmp_path / "ring.md").read_text(encoding="utf-8").splitlines()[2:]
    assert [line.split(" ")[1] for line in lines] == ["plain", "minimax", "real"]
    monkeypatch.setitem(STUDIES, "ring", dataclasses.replace(RING, arms={"plain": {}}))
    result = call(tmp_path)
    assert "minimax" not in (tmp_path / "ring.md").read_text(encoding="utf-8")
    assert result["arms"].keys() == {"minimax", "plain"} and len(trained) == 2  # what was trained is kept


@pytest.mark.parametrize(("study", "name"), [(study, name) for study, own in STUDIES.items() for name in own.arms])
def test_every_arm_can_be_built(study, name):
    recipe, own = arms.split(STUDIES[study], STUDIES[study].arms[name])
    recipe = recipes.get(recipe)
    recipe.build(with_overrides(recipe.settings, own), np.random.default_rng(0), "float32")


@pytest.mark.parametrize(
    ("study", "known"),
    [("ring", evaluation.RING_MEASURES), ("stacked-mnist", evaluation.STACKED_MEASURES)],
)
def test_a_study_shows_measures_that_there_are(study, known):
    own = STUDIES[study]
    assert {own.each[0], *own.spans, *own.axes} <= known.keys()


@pytest.mark.slow
def test_two_arms_are_trained_and_evaluated(tmp_path):
    words = ("ring", "--arms", "non-saturating,minimax", "--seeds", 1, "--set", "steps=40")
    process = benchmarks("arms", *words, "--out", tmp_path)
    assert process.returncode == 0, process.stderr
    result = json.loads((tmp_path / "ring.json").read_text(encoding="utf-8"))
    for name in ("non-saturating", "minimax"):
        assert result["arms"][name]["seeds"]["0"]["measures"].keys() == set(MEASURES)
        assert (tmp_path / "ring" / name / "seed-0" / "samples.png").exists()
    assert "minimax" in process.stdout
