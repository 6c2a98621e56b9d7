"""What a wrong gradient looks like: which coordinates fail, by what factor, and which classic mistake does that.

Only complete tensors show a pattern; of drawn coordinates nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.hints import Array

if TYPE_CHECKING:
    from numgan.gradcheck.problems import Problem

CLOSE = 1e-5  # relative to the largest gradient: claims that agree so far are taken for the same


def describe(problem: Problem, name: str, results: list[tuple[Any, float, str, float]]) -> str:
    """A remark on a failed tensor, from [(probe, claim, fate, measured value)] of all its coordinates; "" for none."""
    results = [result for result in results if result[0].index is not None]
    shape = problem.base[name].shape
    if len(results) < problem.base[name].size:
        return ""
    claim, measured = (np.array([result[i] for result in results], np.float64).reshape(shape) for i in (1, 3))
    failed = np.array([result[2] == "failed" for result in results]).reshape(shape)
    if not np.isfinite(claim).all():
        return "not finite " + (_where(~np.isfinite(claim), problem.base[name]) or "in places")
    parts = [_where(failed, problem.base[name]), _how(claim, measured, failed, problem.rows)]
    return ", ".join(part for part in parts if part)


def _same(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max(initial=0) <= CLOSE * max(np.abs(b).max(initial=0), 1e-300))


def _where(failed, x):
    """Which coordinates fail, in words."""
    if failed.all():
        return "everywhere"
    for mask, words in ((x < 0, "where x < 0"), (x > 0, "where x > 0"), (x == 0, "where x = 0")):
        if np.array_equal(failed, mask):
            return f"only {words}"
    for axis in range(failed.ndim):
        others = tuple(i for i in range(failed.ndim) if i != axis)
        lines = failed.all(axis=others)
        if failed.ndim > 1 and np.array_equal(failed, np.broadcast_to(np.expand_dims(lines, others), failed.shape)):
            kind = ("row", "column")[axis] if failed.ndim == 2 else f"position on axis {axis}"
            return f"only in {kind} " + ", ".join(map(str, np.flatnonzero(lines)))
    return ""


def _how(claim, measured, failed, rows):
    """By what the claim differs from what was measured, and what mistake does that."""
    a, n = claim[failed], measured[failed]
    if not a.any():
        return "the claim is zero: looks like: never written, or forgotten"
    clear = np.abs(n) > CLOSE * np.abs(n).max()
    if clear.any():
        ratios = a[clear] / n[clear]
        factor = float(np.median(ratios))
        if _same(a, factor * n):
            return f"by the factor {factor:.6g}" + _classic(factor, rows, claim.size)
    # the wrong order only shows where everything is at hand
    turned = claim.swapaxes(-1, -2) if claim.ndim > 1 else claim
    if turned.shape == measured.shape and claim.ndim > 1 and _same(turned, measured):
        return "looks like: transposed"
    if claim.ndim > 1 and _same(claim.reshape(claim.shape[::-1]).T, measured):
        return "looks like: transposed, then read in the wrong order"
    for axis in range(claim.ndim):
        if _same(np.flip(claim, axis), measured):
            return f"looks like: reversed along axis {axis}"
    if _same(a - n, np.full_like(a, (a - n).flat[0])):
        return f"off by the constant {(a - n).flat[0]:.6g}"
    if _same(np.sort(claim, axis=None), np.sort(measured, axis=None)):
        return "the right numbers in the wrong places"
    for axis in range(claim.ndim):
        difference = claim - measured
        if claim.ndim > 1 and _same(difference, np.broadcast_to(difference.mean(axis, keepdims=True), claim.shape)):
            return f"off by the same along axis {axis}: looks like: a mean's or a sum's share forgotten"
    return ""


def _classic(factor, rows, size):
    """What a constant factor is known for; N is the number of rows."""
    known = [(-1, "the sign flipped"), (2, "counted twice"), (0.5, "counted half, or a square's 2 forgotten")]
    if rows and rows > 2:
        known += [(rows, "missing 1/N"), (1 / rows, "1/N once too often"), (-rows, "missing 1/N, and the sign flipped")]
    if size > 2:
        known += [(size, "missing 1/count"), (1 / size, "1/count once too often")]
    for value, words in known:
        if abs(factor - value) <= CLOSE * abs(value):
            return f": looks like: {words}"
    return ""
