"""The planted faults, each of which must be caught; and `numgan gradcheck`, which plants them."""

import json
import subprocess
import sys

import pytest

from numgan.cli import main
from numgan.gradcheck.faults import FAULTS, planted
from numgan.nn.network import snake_case
from numgan.nn.registry import LAYERS
from numgan.study.checks import TARGETS


def test_there_are_at_least_two_hundred_faults_with_names_of_their_own():
    assert len(FAULTS) >= 200
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert {fault.target for fault in FAULTS} <= TARGETS.keys()
    layers = {snake_case(name) for name, kind in LAYERS.items() if not kind.is_view}  # those that have kernels
    others = {"bce", "bce_logits", "softmax", "adam", "rmsprop", "sgd", "rates", "chain", "conditions"}
    assert {fault.target for fault in FAULTS} >= (layers - {"join"}) | others  # which has no kernel of its own


def test_no_target_is_of_nothing():
    assert [name for name, checks in TARGETS.items() if not checks] == []


def test_a_fault_is_in_place_only_while_planted():
    fault = FAULTS[0]
    right = getattr(fault.owner, fault.attribute)
    with pytest.raises(ZeroDivisionError), planted(fault):
        assert getattr(fault.owner, fault.attribute) is fault.replacement is not right
        raise ZeroDivisionError
    assert getattr(fault.owner, fault.attribute) is right


# ----------------------------------------------------------------------------------------------- the command line


def gradcheck(*arguments):
    command = [sys.executable, "-m", "numgan", "gradcheck", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=600, check=False)


def test_the_command_checks_what_is_named():
    done = gradcheck("dense", "relu")
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("Dense(units=5) in training mode", "ReLU() in inference mode", "dense_1.weight", "checks passed"):
        assert text in done.stdout
    assert "FAIL" not in done.stdout


@pytest.mark.slow
def test_the_command_s_json_has_every_report_and_every_fault_of_a_chapter():
    done = gradcheck("tanh", "bce_logits", "--seed", "3", "--faults", "conditions", "--json")
    result = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert len(result["reports"]) == len(TARGETS["tanh"]) + len(TARGETS["bce_logits"])
    assert all(report["passed"] and report["checked"] for report in result["reports"])
    assert [h["fault"] for h in result["faults"]] == [f.name for f in FAULTS if f.chapter == "conditions"]
    assert all(h["caught_by"] and h["saw"] for h in result["faults"])


@pytest.mark.parametrize("arguments", [["dense", "nonsense"], []])
def test_the_command_lists_the_targets_when_called_badly(arguments, capsys):
    assert main(["gradcheck", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and all(target in printed.err for target in TARGETS)


def test_the_command_fails_when_a_check_does(capsys):
    assert main(["gradcheck", "tanh", "--tol", "1e-16"]) == 1
    assert "FAILED" in capsys.readouterr().out
