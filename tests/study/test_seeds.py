"""`numgan train --seeds`: several seeds in processes of their own, evaluated and compared."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from numgan.cli import main
from numgan.study import seeds
from numgan.tables import figure


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Runs `numgan train` in an empty folder; the seeds themselves are always processes."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            status = main(["train", *arguments])
        except SystemExit as stop:  # argparse refuses a call this way
            status = stop.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.mark.parametrize(
    "text, expected", [("0-4", [0, 1, 2, 3, 4]), ("3", [3]), ("7,0-2", [7, 0, 1, 2]), ("1,1,0-1", [1, 0])]
)
def test_seeds_are_read_in_their_order_each_once(text, expected):
    assert seeds.parse(text) == expected


@pytest.mark.parametrize("text", ["", "a", "4-2", "-1", "1-", "0..3", "1,,2", "0-100000"])
def test_other_texts_are_refused(text, train, tmp_path):
    status, _, error = train("sine", f"--seeds={text}")
    assert status == 2 and "expected seeds such as 0-4" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_two_seeds_are_trained_evaluated_and_compared(train, tmp_path):
    options = ("sine-discriminator", "--steps", "150", "--set", "hidden=8")
    status, printed, error = train(*options, "--seeds", "5,2", "--out", "s")
    assert status == 0, error
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["seed-2", "seed-5", "seeds.json", "seeds.png"]
    runs = json.loads((tmp_path / "s" / "seeds.json").read_text(encoding="utf-8"))
    assert [run["seed"] for run in runs] == [5, 2]
    assert imread(tmp_path / "s" / "seeds.png").std() > 0.01
    head, *rows = printed.splitlines()
    assert head.split()[:6] == ["measure", "seed", "5", "seed", "2", "median"]
    shown = {row[:16]: list(map(float, row[16:].split())) for row in rows if row.startswith("accuracy on ")}
    assert shown.keys() == {"accuracy on real", "accuracy on fake"}
    for i, run in enumerate(runs):
        config = json.loads((tmp_path / "s" / f"seed-{run['seed']}" / "config.json").read_text(encoding="utf-8"))
        assert (config["seed"], config["settings"]["steps"], config["settings"]["hidden"]) == (run["seed"], 150, 8)
        for measure in run["evaluation"]["measures"]:
            assert shown[measure["name"]][i] == pytest.approx(measure["value"], rel=5e-3)
    for first, second, median, lowest, highest, real in shown.values():
        assert [lowest, highest] == sorted([first, second]) and real == 1
        assert median == pytest.approx(np.mean([first, second]), rel=1e-2)

    # each trains as it does alone
    assert train(*options, "--seed", "2", "--out", "alone", "--quiet")[0] == 0
    histories = [(tmp_path / name / "history.csv").read_bytes() for name in ("s/seed-2", "alone")]
    assert histories[0] == histories[1]


@pytest.mark.slow
def test_failed_and_collapsed_seeds_are_shown_as_such(train):
    options = ("--steps", "500", "--set", "learning_rate=1e30", "--seeds", "0")
    status, _, error = train("sine-discriminator", *options)
    assert status == 1 and "seed 0 failed: not finite" in error

    status, printed, _ = train("sine", "--steps", "500", "--set", "learning_rate=1", "--seeds", "1")
    assert status == 0 and "seed 1 collapsed: " in printed and "1 of 1 seeds collapsed" in printed


def test_a_bad_call_is_refused_once_before_anything_starts(train, tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for arguments, phrase in (
        (("--steps", "0", "--seeds", "0-3"), "steps=0 is not possible"),
        (("--seed", "1", "--seeds", "0-1"), "not allowed with"),
        (("--seeds", "0-1", "--out", "used"), "never overwrites"),
    ):
        status, _, error = train("sine", *arguments)
        assert status == 2 and error.count(phrase) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["used"]


def test_counts_are_printed_whole_and_figures_to_three_places():
    assert [figure(v) for v in (1000.0, 998, 99.0, 12.3456, 1234.5, 0.0, float("nan"))] == [
        "1000", "998", "99.0", "12.3", "1.23e+03", "0.00", "nan",
    ]  # fmt: skip
