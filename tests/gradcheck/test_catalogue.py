"""The checker on a catalogue of others' mistakes, and of functions that are right but hard."""

import numpy as np
import pytest

from numgan.errors import ArgumentError
from numgan.gradcheck.check import check_gradients
from tests.gradcheck.catalogue import REFUSED, RIGHT, WRONG


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
