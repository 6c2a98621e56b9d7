"""The checker on a catalogue of others' mistakes, and of functions that are right but hard."""

import numpy as np
import pytest

from numgan.errors import ArgumentError
from numgan.gradcheck.check import check_gradients
from tests.gradcheck.catalogue import REFUSED, RIGHT, WRONG
from tests.gradcheck.catalogue.entries import rng
from tests.helpers import examples


def checked(entry):
    with np.errstate(all="ignore"):
        return check_gradients(**entry.make())


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_does_not_pass(name):
    entry = WRONG[name]
    try:
        report = checked(entry)
    except ArgumentError as refusal:
        assert entry.hole == "calls" and "not deterministic" in str(refusal)
        return
    if entry.hole == "replicas":  # right as a single network, and that is what the word says
        assert report.notes and "replicas" in report.notes[0]
    else:
        assert not report.passed, str(report)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes_however_hard(name):
    report = checked(RIGHT[name])
    assert report.passed, str(report)
    assert not any(row.failed for row in report.rows)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_proven_is_called_unproven_and_not_wrong(name):
    report = checked(REFUSED[name])
    assert not report.passed and not report.broken
    assert {row.verdict for row in report.rows} - {"ok", "mostly", "zero"} == {"unproven"}, str(report)


def test_the_catalogue_is_as_large_as_promised():
    assert len(WRONG) >= 50 and len(RIGHT) >= 50


@pytest.mark.parametrize(("layer", "shape"), examples(), ids=lambda value: repr(value))
@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
def test_layers_of_numgan_pass_without_a_word_on_replicas(layer, shape, training):
    report = check_gradients(layer, rng().normal(0.2, 1.3, (5, *shape)), training=training)
    assert report.passed and not [note for note in report.notes if "replicas" in note]


@pytest.mark.parametrize("digits", [5, 6, 7, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rounding_that_no_result_shows_is_measured(digits, seed):
    """What is left over from a large number rounds as that does: lost in it, but never called wrong."""
    x, offset = rng(seed).normal(0.1, 1, (5, 4)), 10.0**digits
    report = check_gradients(lambda x: (offset + np.sin(x)) - offset, x, gradient=lambda x, dy: dy * np.cos(x))
    assert not any(row.failed for row in report.rows)
    assert report.passed or digits > 6
    wrong = check_gradients(lambda x: (offset + np.sin(x)) - offset, x, gradient=lambda x, dy: 1.01 * dy * np.cos(x))
    assert wrong.rows[0].verdict == "FAIL"


def test_what_is_not_certified_is_visible():
    """A gradient of which a number is too small beside the others to be seen is called mostly, not ok."""
    scales = np.array([1.0, 1.0, 1.0, 1e-12])
    report = check_gradients(lambda x: float(1e3 + scales @ np.sin(x)), rng().normal(size=4),
                             gradient=lambda x: scales * np.cos(x))  # fmt: skip
    (row,) = report.rows
    assert (row.verdict, row.certified, row.noise) == ("mostly", 3, 1)
    assert "3 of them certified" in str(report)


def test_a_function_in_float32_is_not_taken():
    with pytest.raises(ArgumentError, match="f\\(x\\) is float32, whose rounding hides derivatives"):
        check_gradients(lambda x: np.sin(x.astype(np.float32)), np.ones(3), gradient=lambda x, dy: dy * np.cos(x))
