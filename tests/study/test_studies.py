"""`numgan study` and `study`: what is asked for, who goes on, what is found, and that a study is never begun anew."""

import csv
import html
import json
import math
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool

import pytest
from matplotlib.image import imread

from numgan import Error
from numgan.cli import main
from numgan.files import locked
from numgan.study import evaluation
from numgan.study.jobs import Outcome
from numgan.study.studies import StudyError, pictures, study
from numgan.study.studies.results import table

FILES = {"study.json", "study.csv", "study.png", "samples.png"}


class Here(Executor):
    """Does at once, and here, what it is given; the job after so many raises an interrupt."""

    def __init__(self, most=math.inf):
        self.left = most

    def submit(self, fn, /, *args):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        future = Future()
        future.set_result(fn(*args))
        return future


class Answers(Executor):
    """Trains nothing: answer(settings, seed) is the outcome of a job, or an error that it raises."""

    def __init__(self, answer):
        self.answer, self.jobs = answer, []

    def submit(self, fn, /, batch):
        self.jobs += batch
        future = Future()
        try:
            future.set_result([self.answer(job.settings, job.seed) for job in batch])
        except Exception as error:
            future.set_exception(error)
        return future


def measured(value, better="lower: less is better", collapsed=None, real=1.0):
    row = {"name": "size", "value": value, "real": real, "better": better}
    return Outcome({"measures": [row], "collapsed": collapsed})


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """asked(answer, vary, …): a study whose outcomes are made up; (`Study`, [(cell, seed, steps) trained])."""
    monkeypatch.setattr(pictures, "samples", lambda *_: None)

    def ask(answer, vary, seeds=(0,), out="study", **how):
        hands = how.pop("executor", None) or Answers(answer)
        found = study("sine", vary, seeds, tmp_path / out, executor=hands, **how)
        return found, [({k: j.settings[k] for k in vary}, j.seed, j.settings.get("steps")) for j in hands.jobs]

    return ask


# --------------------------------------------------------------------------------------------------- one that is real


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Two runs: the study is stopped behind the first, and goes on."""
    directory, said = tmp_path_factory.mktemp("real") / "S", []
    what = ("sine-discriminator", {"learning_rate": "1e-3,1e-2"}, [3], directory)
    how = {"settings": {"steps": 30, "hidden": 6}, "say": said.append}
    with pytest.raises(KeyboardInterrupt) as stopped:
        study(*what, **how, executor=Here(1))
    first = directory / "learning_rate=0.001/seed-3/model.npz"
    before = first.stat().st_mtime_ns
    found = study(*what, **how, executor=Here())
    assert first.stat().st_mtime_ns == before
    return found, str(stopped.value), said


def test_a_study_that_is_stopped_goes_on_and_does_nothing_twice(real):
    found, stopped, said = real
    assert stopped == "interrupted; 1 of 2 runs are done, the same call goes on with the rest"
    assert [line.split()[0] for line in said] == ["1", "1", "2"]
    assert said[0].startswith("    1 of 2   learning_rate=0.001 seed 3: accuracy on real ")
    assert [cell.values for cell in found.cells] == [{"learning_rate": 0.001}, {"learning_rate": 0.01}]
    assert study("sine-discriminator", {"learning_rate": [0.001, 0.01]}, [3], found.directory, executor=Here(0),
                 settings={"hidden": "6", "steps": "30"}).cells == found.cells  # fmt: skip


def test_it_leaves_runs_a_table_and_pictures(real, capsys):
    found, _, _ = real
    assert {path.name for path in found.directory.iterdir() if path.is_file()} == FILES
    assert all(imread(found.directory / name).std() > 0.05 for name in ("study.png", "samples.png"))
    with open(found.directory / "study.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["learning_rate"], row["seed"], row["steps"], row["diverged"]) for row in rows] == [
        ("0.001", "3", "30", ""), ("0.01", "3", "30", ""),
    ]  # fmt: skip
    # runs are what other commands take, and what is kept of them is what these say
    for cell, row in zip(found.cells, rows, strict=True):
        assert main(["evaluate", str(cell.directory / "seed-3"), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said == cell.outcomes[3].evaluation | {"run": said["run"]}
        assert [m["value"] for m in said["measures"]] == [float(row[m["name"]]) for m in said["measures"]]
    config = json.loads((found.cells[1].directory / "seed-3/config.json").read_text(encoding="utf-8"))
    assert (config["seed"], config["settings"]["learning_rate"], config["settings"]["hidden"]) == (3, 0.01, 6)


def test_what_it_found_is_also_there_as_json(real, capsys):
    found, _, _ = real
    what = "study sine-discriminator --vary learning_rate=1e-3,1e-2 --seeds 3 --steps 30 --set hidden=6 --json --out"
    assert main([*what.split(), str(found.directory)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads(json.dumps(found.to_dict()))
    assert (said["recipe"], said["by"], said["best"]) == (found.recipe, found.measure.name, found.best.values)
    assert [m["name"] for m in said["measures"]] == [m.name for m in found.measures]
    for cell, its in zip(found.cells, said["cells"], strict=True):
        assert (its["values"], its["steps"], its["directory"]) == (cell.values, 30, str(cell.directory))
        (run,) = its["runs"]
        assert (run["seed"], run["collapsed"], run["diverged"], run["error"]) == (3, None, None, None)
        assert run["measures"] == {m["name"]: m["value"] for m in cell.outcomes[3].evaluation["measures"]}


def test_what_became_of_runs_is_said_in_json(asked):
    ends = [Outcome(diverged="not finite"), measured(2.0, collapsed="all alike"), measured(1.0)]
    found, _ = asked(lambda _, seed: ends[seed], {"hidden": "5"}, [0, 1, 2])
    (cell,) = found.to_dict()["cells"]
    assert [(run["diverged"], run["collapsed"], run["measures"]["size"]) for run in cell["runs"]] == [
        ("not finite", None, None), (None, "all alike", 2.0), (None, None, 1.0),
    ]  # fmt: skip


def test_another_question_is_refused_in_its_directory(real, tmp_path):
    found, _, _ = real
    what = {"vary": {"learning_rate": "1e-3,1e-2"}, "seeds": [3], "settings": {"steps": 30, "hidden": 6}}
    for change, phrase in (
        ({"seeds": [3, 4]}, "whose seeds are [3], not [3, 4]"),
        ({"settings": {"steps": 31, "hidden": 6}}, "whose cells are"),
        ({"halving": 2}, "whose rounds are"),
        ({"dtype": "float64"}, 'whose dtype are "float32"'),
    ):
        with pytest.raises(StudyError, match="holds another study, ") as caught:
            study("sine-discriminator", **(what | change), out=found.directory, executor=Here(0))
        assert phrase in str(caught.value)
    with locked(found.directory), pytest.raises(Error, match="in use by another process"):
        study("sine-discriminator", **what, out=found.directory, executor=Here(0))
    (tmp_path / "file").touch()
    for out, phrase in ((tmp_path, "is not empty and holds no study"), (tmp_path / "file", "not a directory")):
        with pytest.raises(StudyError, match=phrase):
            study("sine-discriminator", **what, out=out, executor=Here(0))


# ------------------------------------------------------------------------------------------------------ what is found


def test_cells_are_ranked_by_the_median_over_their_seeds_and_what_diverged_is_worst(asked):
    def answer(settings, seed):
        values = {5: [1, 2, 30], 6: [3, 4, 5], 7: [0, None, None], 8: [2.5, 2.6, None]}[settings["hidden"]]
        return Outcome(diverged="not finite") if values[seed] is None else measured(values[seed])

    found, trained = asked(answer, {"hidden": "5,6,7,8"}, [0, 1, 2])
    assert [cell.values["hidden"] for cell in found.ranked] == [5, 8, 6, 7]
    assert [(hidden["hidden"], seed) for hidden, seed, _ in trained[:5]] == [(5, 0), (6, 0), (7, 0), (8, 0), (5, 1)]
    lines = table(found).splitlines()
    assert str(found) == table(found) and html.escape(table(found)) in found._repr_html_()
    assert lines[0].split() == ["hidden", "size", "diverged"]
    assert [line.split() for line in lines[1:5]] == [
        ["5", "2.00", "(1.00", "…", "30.0)", "*"],
        ["6", "4.00", "(3.00", "…", "5.00)"],
        ["7", "0.00", "(0.00", "…", "0.00)", "2", "of", "3"],
        ["8", "2.55", "(2.50", "…", "2.60)", "1", "of", "3"],
    ]
    assert lines[5].split() == ["real", "data", "1.00"] and lines[6].split() == ["better", "lower"]
    assert lines[-1] == "best size: 2.00 (1.00 … 30.0) with hidden=5"
    with open(found.directory / "study.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["size"] for row in rows if row["diverged"] == "not finite"] == ["", "", ""]


@pytest.mark.parametrize(
    "better, best",
    [("higher: more", 9), ("lower: less", 5), ("like real: far less is not", 6), ("0, the mean of t", 6),
     ("not above real: more is copying", 5)],
)  # fmt: skip
def test_the_evaluation_says_which_way_is_better(better, best, asked):
    found, _ = asked(lambda settings, _: measured(float(settings["hidden"]), better, real=6.2), {"hidden": "7,9,5,6"})
    assert found.best.values == {"hidden": best}


def test_the_words_of_every_measure_say_which_way_is_better():
    words = [
        *evaluation.POINT_MEASURES.values(), *evaluation.RING_MEASURES.values(), *evaluation.STACKED_MEASURES.values()
    ]  # fmt: skip
    ways = {evaluation.falls_short(3.0, 1.0, better) for better in words}
    assert ways == {3.0, -3.0, 2.0}
    assert evaluation.falls_short(0.5, 1.0, "not above real: more is copying") == 0
    assert math.isinf(evaluation.falls_short(0.5, None, "like real"))


def test_nothing_but_lost_runs_is_a_table_too(asked):
    found, _ = asked(lambda *_: Outcome(diverged="not finite"), {"hidden": "5,6"})
    assert table(found) == "none of 2 runs could be evaluated" and found.best is None
    assert not (found.directory / "study.png").exists()


def test_a_picture_for_every_number_of_settings(asked):
    def answer(settings, seed):
        if settings["hidden"] == 6 and seed:
            return Outcome(diverged="not finite")
        return measured(settings["hidden"] ** 3.0 + seed, collapsed="all alike" if seed else None)

    one = {"hidden": "5,6,30"}
    two, three = one | {"batch_size": "4,8"}, one | {"batch_size": "4,8", "objective": "hinge,minimax"}
    sizes = {}
    for vary in (one, two, three):
        found, _ = asked(answer, vary, [0, 1], out=f"{len(vary)}")
        picture = imread(found.directory / "study.png")
        assert picture[..., :3].std() > 0.05
        sizes[len(vary)] = picture.shape
    assert len(set(sizes.values())) == 3


def test_an_executor_that_breaks_loses_nothing_that_is_done(asked):
    """As the standard library's pool does when one of its processes is killed: it takes no more."""

    class Breaks(Answers):
        def submit(self, fn, /, batch):
            if self.jobs:
                raise BrokenProcessPool("a process in the pool was terminated abruptly")
            return super().submit(fn, batch)

    hands = Breaks(lambda *_: measured(1.0))
    found, _ = asked(None, {"hidden": "5,6,7"}, executor=hands)
    assert [cell.outcomes[0].error for cell in found.cells] == [
        None, *["BrokenProcessPool: a process in the pool was terminated abruptly"] * 2
    ]  # fmt: skip
    assert found.best.values == {"hidden": 5} and "1 of 1" in table(found)


# ------------------------------------------------------------------------------------------------- halving and random


def test_halving_trains_the_best_for_longer(asked):
    found, trained = asked(
        lambda settings, seed: measured(abs(settings["hidden"] - 12) + settings["steps"] / 1e6 + seed / 10),
        {"hidden": "9,10,11,12,13,14,15,16,17"}, [0, 1], settings={"steps": 900}, halving=3,
    )  # fmt: skip
    rounds = {}
    for values, seed, steps in trained:
        rounds.setdefault(steps, []).append((values["hidden"], seed))
    assert list(rounds) == [100, 300, 900]
    assert rounds[100] == [(hidden, seed) for seed in (0, 1) for hidden in range(9, 18)]
    assert sorted(rounds[300]) == [(hidden, seed) for hidden in (11, 12, 13) for seed in (0, 1)]
    assert rounds[900] == [(12, 0), (12, 1)]
    assert found.best.values == {"hidden": 12} and [cell.length for cell in found.ranked[:4]] == [900, 300, 300, 100]
    assert " 900" in table(found) and "steps" in table(found)


def test_halving_waits_for_what_failed(asked, tmp_path):
    def failing(settings, seed):
        raise OSError("the worker is gone")

    found, trained = asked(failing, {"hidden": "5,6"}, settings={"steps": 100}, halving=2)
    assert {steps for *_, steps in trained} == {50}
    assert [cell.outcomes[0].error for cell in found.cells] == ["OSError: the worker is gone"] * 2
    found, trained = asked(lambda s, _: measured(s["hidden"]), {"hidden": "5,6"}, settings={"steps": 100}, halving=2)
    assert [steps for *_, steps in trained] == [50, 50, 100] and found.best.values == {"hidden": 5}


def test_cells_at_random_come_from_the_ranges_evenly_in_their_logarithm(asked, monkeypatch):
    monkeypatch.setattr(pictures, "overview", lambda *_: None)
    vary = {"learning_rate": "1e-5:1e-1", "hidden": "1:100", "objective": "hinge,minimax"}

    def drawn(seed, out):
        return asked(lambda *_: measured(1.0), vary, out=out, random=200, search_seed=seed)[1]

    draws = drawn(0, "one"), drawn(0, "again"), drawn(1, "other")
    assert draws[0] == draws[1] != draws[2]
    cells = [values for values, *_ in draws[0]]
    assert all(1e-5 <= c["learning_rate"] <= 0.1 and 1 <= c["hidden"] <= 100 for c in cells)
    assert all(float(f"{c['learning_rate']:.3g}") == c["learning_rate"] for c in cells)
    shares = [sum(c["learning_rate"] < 1e-3 for c in cells), sum(c["objective"] == "hinge" for c in cells)]
    shares.append(sum(c["hidden"] <= 10 for c in cells))  # log(10.5 / 0.5) of log(100.5 / 0.5)
    assert [share / 200 for share in shares] == pytest.approx([0.5, 0.5, 0.574], abs=0.12)


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "how, phrase",
    [
        ({"vary": {}}, "varies at least one setting"),
        ({"vary": {"rate": "1,2"}}, "no setting 'rate'"),
        ({"vary": {"hidden": "1,x"}}, "hidden=x is not possible"),
        ({"vary": {"hidden": []}}, "expected some values"),
        ({"vary": {"hidden": 3}}, "expected some values"),
        ({"vary": {"hidden": "5:9"}}, "hidden=5:9 is a range"),
        ({"vary": {"hidden": "9:5"}, "random": 2}, "is no range"),
        ({"vary": {"hidden": "0.5:5"}, "random": 2}, "from 1 up"),
        ({"vary": {"objective": "a:b"}, "random": 2}, "is no number"),
        ({"random": 3}, "no 3 different cells"),
        ({"random": 0}, "must be a positive integer"),
        ({"vary": {"hidden": ",".join(map(str, range(1, 200))), "batch_size": ",".join(map(str, range(2, 300, 2)))}},
         "at most 1,000 cells"),
        ({"settings": {"hidden": 4}}, "cannot both vary and be 4"),
        ({"settings": {"batch_size": 3}}, "hidden=5: batch_size=3 is not possible"),
        ({"seeds": []}, "seeds must be"),
        ({"seeds": "0-4"}, "seeds must be"),
        ({"seeds": [-1]}, "a seed must be"),
        ({"halving": 1}, "halving must be"),
        ({"halving": 2, "settings": {"steps": 1}}, "too few"),
        ({"halving": 2, "settings": {"decay": "linear"}}, "its learning rates fall to 0 by its end (decay=linear)"),
        ({"halving": 2, "vary": {"steps": "5,6"}}, "different lengths"),
        ({"by": "beauty"}, "no measure 'beauty'; sine has curve_error"),
        ({"dtype": "float16"}, "must be float32 or float64"),
        ({"source": "full"}, "takes no --data"),
        ({"executor": print}, "must be an Executor"),
        ({"settings": "steps=3"}, "settings must be a mapping"),
        ({"recipe": "cosine"}, "no recipe 'cosine'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_written(how, phrase, tmp_path):
    call = {"recipe": "sine", "vary": {"hidden": "5,6"}, "out": tmp_path / "S", "executor": Here(0)} | how
    with pytest.raises(Error) as caught:
        study(**call)
    assert phrase in str(caught.value)
    assert not (tmp_path / "S").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"asked": 3}', '{"asked": {"seeds": [0]}}', "[" * 5000, '{"asked": {"rounds": null}}']
)
def test_a_strange_study_file_is_refused(text, tmp_path):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(StudyError, match="is not readable|holds another study"):
        study("sine", {"hidden": "5,6"}, out=tmp_path, executor=Here(0))


def test_a_strange_outcome_is_refused(tmp_path):
    file = tmp_path / "S/hidden=5/seed-0/evaluation-9-steps.json"
    with pytest.raises(KeyboardInterrupt):
        study("sine", {"hidden": "5,6"}, out=tmp_path / "S", settings={"steps": 9}, executor=Here(0))
    file.parent.mkdir(parents=True)
    file.write_text('{"evaluation": null, "colour": "red"}')
    with pytest.raises(Error, match="evaluation-9-steps.json is not readable"):
        study("sine", {"hidden": "5,6"}, out=tmp_path / "S", settings={"steps": 9}, executor=Here(0))


@pytest.mark.parametrize(
    "arguments, phrase",
    [
        (["--vary", "hidden"], "--vary hidden: expected NAME=VALUE"),
        (["--vary", "hidden=5", "--vary", "hidden=6"], "hidden is given twice"),
        (["--vary", "hidden=5,6", "--seeds", "4-2"], "expected seeds such as 0-4"),
        (
            ["--vary", "hidden=5,6", "--random", "many"],
            "--random: expected a whole number from 0 up, below 2⁶⁴, got 'many'",
        ),
        (["--vary", "hidden=5,6", "--halving", "0.5"], "--halving: expected a whole number"),
        (["--vary", "hidden=5,6", "--set", "steps"], "--set steps: expected NAME=VALUE"),
    ],
)
def test_the_command_refuses_in_a_sentence(arguments, phrase, call, tmp_path):
    status, out, err = call("study", "sine", *arguments, "--out", "S")
    assert (status, out) == (2, "") and phrase in err.splitlines()[-1]
    assert err.count("\n") == 1 or err.startswith("usage: numgan study ")
    assert not list(tmp_path.iterdir())
