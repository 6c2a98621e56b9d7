"""`numgan train --seeds`: several seeds in processes of their own, evaluated and compared."""

import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from numgan import seeds

MODULE = [sys.executable, "-m", "numgan"]


def numgan(*arguments, cwd):
    return subprocess.run([*MODULE, *arguments], cwd=cwd, capture_output=True, encoding="utf-8", check=False)


@pytest.mark.parametrize(
    "text, expected", [("0-4", [0, 1, 2, 3, 4]), ("3", [3]), ("7,0-2", [7, 0, 1, 2]), ("1,1,0-1", [1, 0])]
)
def test_seeds_are_read_in_their_order_each_once(text, expected):
    assert seeds.parse(text) == expected


@pytest.mark.parametrize("text", ["", "a", "4-2", "-1", "1-", "0..3", "1,,2", "0-100000"])
def test_other_texts_are_refused(text, tmp_path):
    with pytest.raises(ValueError):
        seeds.parse(text)
    process = numgan("train", "sine", f"--seeds={text}", cwd=tmp_path)
    assert process.returncode == 2 and "expected seeds such as 0-4" in process.stderr
    assert not list(tmp_path.iterdir())


def test_two_seeds_are_trained_evaluated_and_compared(tmp_path):
    options = ("--steps", "150", "--set", "hidden=8", "--seeds", "5,2", "--out", "s")
    process = numgan("train", "sine-discriminator", *options, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["seed-2", "seed-5", "seeds.json", "seeds.png"]
    runs = json.loads((tmp_path / "s" / "seeds.json").read_text(encoding="utf-8"))
    assert [run["seed"] for run in runs] == [5, 2]
    assert imread(tmp_path / "s" / "seeds.png").std() > 0.01
    head, *rows = process.stdout.splitlines()
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


def test_a_seed_trains_as_it_does_alone(tmp_path):
    options = ("train", "sine-discriminator", "--steps", "40")
    assert numgan(*options, "--seeds", "3", "--out", "many", "--quiet", cwd=tmp_path).returncode == 0
    assert numgan(*options, "--seed", "3", "--out", "one", "--quiet", cwd=tmp_path).returncode == 0
    histories = [(tmp_path / name / "history.csv").read_bytes() for name in ("many/seed-3", "one")]
    assert histories[0] == histories[1]


def test_a_failed_seed_is_shown_as_such(tmp_path):
    options = ("--steps", "500", "--set", "learning_rate=1e30", "--seeds", "0", "--out", "s")
    process = numgan("train", "sine-discriminator", *options, cwd=tmp_path)
    assert process.returncode == 1
    assert "seed 0 failed: numgan train: not finite" in process.stdout
    process = numgan("train", "sine", "--steps", "0", "--seeds", "0", cwd=tmp_path)
    assert process.returncode == 2 and "steps=0 is not possible" in process.stderr


def test_a_collapsed_seed_is_shown_as_such(tmp_path):
    process = numgan("train", "sine", "--steps", "500", "--set", "learning_rate=1", "--seeds", "1", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "seed 1 collapsed: " in process.stdout and "1 of 1 seeds collapsed" in process.stdout


def test_one_seed_and_several_exclude_each_other_and_a_directory_in_use_is_refused(tmp_path):
    process = numgan("train", "sine", "--seed", "1", "--seeds", "0-1", cwd=tmp_path)
    assert process.returncode == 2 and "not allowed with" in process.stderr
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    process = numgan("train", "sine", "--seeds", "0-1", "--out", "used", cwd=tmp_path)
    assert process.returncode == 2 and "never overwrites" in process.stderr
