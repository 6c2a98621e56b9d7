"""How a formula is compared: a row of a report, in relative terms."""

from __future__ import annotations

import numpy as np

from numgan.gradcheck.report import Report, Row
from numgan.hints import Numbers

ROWS = 5  # of a layer's inputs
VALUE_TOLERANCE = 1e-12  # relative, for float64 values against the same formula in another order of operations


def compare(report: Report, name: str, ours: Numbers, expected: Numbers) -> None:
    """Add a row: largest difference between two arrays, relative to the largest expected value."""
    ours, expected = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    difference = np.abs(ours - expected)
    difference = np.where(np.isfinite(difference), difference, np.inf)
    size = max(float(np.abs(expected).max(initial=0)), 1e-300)
    index = np.unravel_index(int(difference.argmax()), difference.shape)
    error = float(difference[index]) / size
    failed = int((difference > report.tolerance * size).sum())
    report.rows.append(
        Row(
            tensor=name,
            shape=ours.shape,
            checked=ours.size,
            certified=ours.size - failed,
            failed=failed,
            error=error,
            index=tuple(map(int, index)),
            analytic=float(ours[index]),
            numeric=float(expected[index]),
            verdict="FAIL" if failed else "ok",
        )
    )
