"""What a wrong gradient looks like: which coordinates fail, by what factor, and which classic mistake does that.

Only complete tensors show a pattern; of drawn coordinates nothing is said. A name is given to what fits in every number
and not otherwise: a wrong name costs more time than none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.hints import Array

if TYPE_CHECKING:
    from numgan.gradcheck.problems import Problem

CLOSE = 1e-5  # relative to the largest gradient: claims that agree so far are taken for the same
FEW = 3  # numbers that show no pattern, as anything fits them


def describe(problem: Problem, name: str, results: list[tuple[Any, float, str, float]]) -> str:
    """A remark on a failed tensor, from [(probe, claim, fate, measured value)] of all its coordinates; "" for none."""
    results = [result for result in results if result[0].index is not None]
    x = problem.base[name]
    if len(results) < x.size:
        return ""
    claim, measured = (np.array([result[i] for result in results], np.float64).reshape(x.shape) for i in (1, 3))
    failed, beyond = (
        np.array([result[2] == fate for result in results]).reshape(x.shape) for fate in ("failed", "beyond")
    )
    if not np.isfinite(claim).all():
        return "not finite " + (_where(~np.isfinite(claim), x) or "in places")
    if beyond.any():
        return " ".join(filter(None, ("beyond the slopes on both sides of kinks,", _where(beyond, x) or "in places")))
    if not failed.any():
        return "at kinks that are moved together: they share too much, or too little"
    near = _same(claim, measured)  # too near for a pattern: the right numbers in any order would do
    looks = "" if near else next(filter(None, _looks(problem, name, claim, measured, failed)), "")
    parts = [_where(failed, x), _by(claim, measured, failed), looks and f"looks like: {looks}"]
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


def _factor(claim, measured):
    """The one factor between claim and measured value, or None."""
    clear = np.abs(measured) > CLOSE * np.abs(measured).max(initial=0)
    if not (clear.any() and claim.any()):
        return None
    factor = float(np.median(claim[clear] / measured[clear]))
    return factor if _same(claim, factor * measured) else None


def _by(claim, measured, failed):
    """By what the claim differs from what was measured."""
    a, n = claim[failed], measured[failed]
    if not (a.any() and n.any()):
        return "the function does not depend on it" if a.any() else "the claim is zero"
    factor = _factor(a, n)
    if factor is not None:
        return f"by the factor {factor:.6g}" if abs(factor - 1) > CLOSE else f"by the factor 1 {factor - 1:+.1e}"
    return f"off by the constant {(a - n).flat[0]:.6g}" if _same(a - n, np.full_like(a, (a - n).flat[0])) else ""


def _looks(problem: Problem, name: str, claim: Array, measured: Array, failed: Array) -> Iterator[str]:
    """Names for it, the likeliest first; "" for none."""
    x, known = problem.base[name], problem.known.get(name, {})
    if name in problem.drifting and _same(problem.again[name] - claim, measured):
        yield "added to the last pass's instead of overwriting it"
    factor = _factor(claim[failed], measured[failed]) if _where(failed, x) else None
    if factor is not None and abs(factor + 1) <= CLOSE:
        yield "the sign flipped"
    if claim.size > FEW:
        yield _of_a_known_slope(claim, measured, x, known)
        yield _of_a_mask(claim, measured, x, known)
        arrays = {words: array[failed] for words, array in known.items()}
        yield _of_a_factor_left_out(claim[failed], measured[failed], arrays, x[failed])
    if not claim[failed].any() and measured.any() and _where(failed, x):
        yield "never written, forgotten, or masked away"
    # a part of the numbers that the sign of x picks has nothing to do with how many there are
    on_a_side = any(np.array_equal(failed, side) for side in (x < 0, x > 0)) and not failed.all()
    yield _of_a_count(factor, 0 if on_a_side else problem.rows, np.moveaxis(claim, -1, 0) if problem.columns else claim)
    if claim.size > FEW:
        yield _of_an_image(claim, measured, "kernel" if name.endswith("weight") else "image")
        yield _of_an_order(claim, measured)
        yield _of_a_share(claim, measured, x, known, problem.columns)


def _of_a_known_slope(claim, measured, x, known):
    """A backward pass that is another function's, where ∂L/∂y is known."""
    dy, y = known.get("∂L/∂y"), known.get("y")
    if dy is None or not claim.any():
        return ""
    σ_of_y = 0.5 + 0.5 * np.tanh(y / 2)
    for slope, words in (
        (1.0, "∂L/∂y passed on as it came"),
        (x > 0, "a ReLU's mask, with no slope below 0"),
        (1 - y * y, "tanh's slope, 1 − y²"),
        (y * (1 - y), "the sigmoid's slope, y·(1 − y), or softmax's diagonal"),
        (1 - y, "1 − y alone"),
        (1 - np.tanh(y) ** 2, "tanh's slope taken at the output"),
        (σ_of_y * (1 - σ_of_y), "the sigmoid's slope taken at the output"),
        (y / np.where(x == 0, 1, x), "y/x, without the product rule's second term"),
    ):
        if _same(claim, dy * slope):
            return words
    return ""


def _of_a_mask(claim, measured, x, known):
    """A mask from the wrong array, or turned round."""
    through, right = claim != 0, measured != 0
    if through.any() and right.any() and not np.array_equal(through, right):
        if np.array_equal(through, ~right):
            return "a mask of the other side"
        positive = known.get("∂L/∂y", 0 * x) > 0
        if np.array_equal(through, positive):
            return "a mask from ∂L/∂y instead of x"
        if np.array_equal(through, positive & right):
            return "a mask from ∂L/∂y besides x's"
    above, below = (_factor(claim[side], measured[side]) for side in (x > 0, x < 0))
    if above and below and abs(above - below) > CLOSE and abs(above * below - 1) <= CLOSE:
        return "the two sides of a mask swapped"
    return ""


def _of_a_factor_left_out(claim, measured, known, x):
    """An array that is multiplied in once too often, or not at all."""
    if claim.size <= FEW:
        return ""
    sigmoid = 0.5 + 0.5 * np.tanh(x / 2)
    arrays = known | {"x": x, "σ′(x)": sigmoid * (1 - sigmoid), "tanh′(x)": 1 - np.tanh(x) ** 2}
    for words, array in arrays.items():
        if np.ptp(array) > CLOSE * np.abs(array).max():  # a constant is the next one's business
            if _same(claim, measured * array):
                return f"{words} multiplied in once too often"
            if _same(claim * array, measured):
                return f"{words} left out"
    return ""


def _of_a_count(factor, rows, claim):
    """What a constant factor is known for; N is the number of rows, n that of features."""
    if factor is None:
        return ""
    known = [(2, "counted twice, or a ½ forgotten"), (0.5, "counted half, or a square's 2 forgotten")]
    counts = {}
    if rows > 2:
        counts["N"] = rows
    if rows > 2 and claim.ndim > 1 and len(claim) == rows:
        features = claim[0].size
        counts |= {"N" if features == rows else "n": features, "count": claim.size}
    for what, count in counts.items():
        both = " (or 1/n)" if what == "N" and claim.ndim > 1 and len(claim) == rows == claim[0].size else ""
        if count > 2:
            known += [(count, f"missing 1/{what}{both}"), (1 / count, f"1/{what}{both} once too often")]
            known += [(-count, f"missing 1/{what}{both}, and the sign flipped")]
    return next((words for value, words in known if abs(factor - value) <= CLOSE * abs(value)), "")


def _of_an_image(claim, measured, what):
    """The right numbers of a kernel (filters, channels, rows, columns), or of images, turned round."""
    if claim.ndim != 4:
        return ""
    for turned, words in (
        (np.flip(claim, (-2, -1)), f"the {what} turned by 180°"),
        (claim.swapaxes(-2, -1), f"the {what}'s rows and columns exchanged"),
        (claim.swapaxes(0, 1), "channels and filters exchanged" if what == "kernel" else "channels and rows exchanged"),
    ):
        if turned.shape == measured.shape and _same(turned, measured):
            return words
    return ""


def _of_an_order(claim, measured):
    """The right numbers, not where they belong."""
    if claim.ndim > 1 and claim.swapaxes(-1, -2).shape == measured.shape and _same(claim.swapaxes(-1, -2), measured):
        return "transposed"
    if claim.ndim > 1 and _same(claim.reshape(claim.shape[::-1]).T, measured):
        return "transposed, then read in the wrong order"
    for axis in range(claim.ndim):
        if _same(np.flip(claim, axis), measured):
            return f"reversed along axis {axis}"
        for by in (1, -1):
            if _same(np.roll(claim, by, axis), measured):
                return f"off by one along axis {axis}"
    if _same(np.sort(claim, axis=None), np.sort(measured, axis=None)):
        return "the right numbers in the wrong places"
    return ""


def _of_a_share(claim, measured, x, known, columns):
    """Something that is the same, or goes as x or the target does, all along an axis."""
    off = claim - measured
    if _same(off, np.full_like(off, off.flat[0])):
        return ""  # one constant, of which there is no telling where it is from
    if "target" in known and _factor(off, known["target"]) is not None:
        return "the target not subtracted, or not as it is"
    if claim.ndim != 2 or min(claim.shape) <= FEW:
        return ""
    for axis in (0, 1):
        if _same(off, np.broadcast_to(off.mean(axis, keepdims=True), off.shape)):
            return f"a mean's share along axis {axis} forgotten, or of another size"
    if columns:
        claim, measured, x, off = claim.T, measured.T, x.T, off.T
    ratio = claim[0] / np.where(measured[0] == 0, 1, measured[0])
    if np.ptp(ratio) > CLOSE and _same(claim, measured * ratio):
        return "a scale per feature left out, or once too often"
    centred = x - x.mean(axis=0)
    slope = (off * centred).sum(axis=0) / np.maximum((centred**2).sum(axis=0), 1e-300)
    left = off - slope * centred
    if _same(left, np.zeros_like(left)) or np.abs(left).max() <= CLOSE * np.abs(off).max():
        return "the variance's share forgotten, or of another size"
    if np.abs(left - left.mean(axis=0)).max() <= CLOSE * np.abs(off).max():
        return "the shares of mean and variance forgotten, or of another size"
    return ""
