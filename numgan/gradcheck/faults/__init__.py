"""Planted faults: the mistakes people make in hand-written backprop, each put in place of the right code for the
length of a check. A checker is only worth trusting once it has caught them all: `numgan gradcheck --faults`.

A fault is a name, what it replaces (a kernel, unless it names an owner), the faulty code, and the target of
`targets.TARGETS` that has to notice.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from numgan.errors import ArgumentError
from numgan.gradcheck import targets
from numgan.gradcheck.faults import (  # noqa: F401
    activations,
    average,
    batch_norm,
    conditions,
    convolution,
    dense,
    dropout,
    embedding,
    initializers,
    losses,
    objectives,
    optimizers,
    penalties,
    rates,
    replicas,
    resampling,
    spectral_norm,
    steps,
)
from numgan.gradcheck.faults.catalogue import FAULTS, Fault, planted
from numgan.gradcheck.report import PASSED, Report

CHAPTERS = tuple(dict.fromkeys(fault.chapter for fault in FAULTS))

__all__ = ["CHAPTERS", "FAULTS", "Caught", "Fault", "hunt", "planted"]


@dataclass
class Caught:
    """How a fault fared: `by` is the report that failed, or None when nothing noticed; `what` is what it saw."""

    fault: Fault
    by: Any
    what: str


def hunt(fault, seed=0, tolerance=1e-7):
    """Run the checks of the fault's target until one fails."""
    with planted(fault), np.errstate(all="ignore"):
        for check in targets.TARGETS[fault.target]:
            report = _outcome(check, seed, tolerance)
            if not report.passed:
                return Caught(fault, report, _seen(report))
    return Caught(fault, None, "nothing")


def _outcome(check, seed, tolerance):
    """A check's report. What a check refuses, as it can't be repeated, has been noticed too."""
    try:
        return check(seed, tolerance)
    except ArgumentError as refusal:
        report = Report("a check that refuses", tolerance)
        report.broken.append(str(refusal))
        return report


def _seen(report):
    """The row of a failed report that is nearest to the cause, in words, with what it looks like; or what is broken.

    Errors go from the output down to the input, so that is the last wrong parameter; the input's gradient is of use
    where no parameter's is wrong.
    """
    bad = [row for row in report.rows if row.verdict not in PASSED]
    if not bad:
        return report.broken[0]
    parameters = [row for row in bad if row.tensor.rpartition(": ")[2] not in ("input", "noise")]
    row = (parameters or bad)[-1]
    seen = f"{row.tensor}: error {row.error:.1e}" if row.verdict == "FAIL" else f"{row.tensor}: {row.verdict}"
    return f"{seen}, {row.remark}" if row.remark else seen
