"""`check_gradients`: hand-written gradients against central differences, certified to 10⁻⁷ relative or better.

Method
    Everything runs in float64. Along a coordinate (or direction) with scale s, central differences
        D(h) = [f(θ + h) − f(θ − h)] / 2h = f′ + h²·f‴/6 + h⁴·f⁽⁵⁾/120 + …
    are taken at h = s/10, s/40, s/160, …; s is the coordinate's size, or its tensor's root mean square if larger.
    Each Richardson step removes one power of h²: T₁ = (16·D(h/4) − D(h))/15 leaves h⁴, T₂ = (256·T₁(h/4) − T₁(h))/255
    leaves h⁶. What shrinking h costs is rounding, about ε·|f|/h. The entry of the table that moved least from its
    neighbours is taken, and the move is its uncertainty u (Ridders 1982, Advances in Engineering Software 4(2);
    Press et al., Numerical Recipes, section 5.7). With h⁶ against ε/h a smooth function gives 10⁻¹¹ or better.
    f is a sum of terms, and the terms are subtracted before they are summed: a term that the coordinate does not
    touch cancels exactly and adds no rounding.

Verdict on a coordinate, a the analytic and n the numeric value
    certified  |a − n| ≤ tolerance·max(|a|, |n|). Nothing else certifies.
    noise      not certified, but |a − n| ≤ max(4u, 64ε·G), G the largest gradient of all the tensors: the difference
               is what rounding makes, in n (measured at the coordinate) or in a. It is counted and shown, never
               counted as certified. A gradient that is wrong by 100 % fails as long as it is above 10⁻¹⁴ of G.
    kink       at no step is the function smooth: the slopes to the left and to the right of θ differ by something that
               does not shrink with h (ReLU at 0), so no derivative exists there or none that can be measured.
    failed     everything else.
A tensor is "ok" when coordinates were certified and none failed, "zero" when all are noise about an analytic zero,
"FAIL" when a coordinate failed, and "unproven" when nothing could be certified, for noise or for kinks. A report
passes when every tensor is ok or zero.

Speed
    Perturbed copies are stacked on the replica axis and evaluated in one pass. A layer that cannot take the axis is
    evaluated copy by copy.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgan.errors import ArgumentError, ArgumentTypeError
from numgan.gan.model import GAN
from numgan.gradcheck.problems import as_network, gan_problems, loss_problem, network_problem
from numgan.gradcheck.report import Report, Row
from numgan.hints import Numbers
from numgan.nn.layer import Layer
from numgan.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from numgan.nn.network import Sequential

TOLERANCE = 1e-7
FIRST_STEP = 0.1  # of the coordinate's scale
RATIO = 4.0  # between one step and the next
COARSE, FINE = 6, 5  # steps tried at every coordinate, and more where those settle nothing
ROUNDING = 64 * np.finfo(np.float64).eps  # of an analytic gradient, relative to the largest one
STACK_BYTES = 64_000_000  # memory for perturbed copies
STACK_LIMIT = 4_096
NOISE = 8 * np.finfo(np.float64).eps  # of a term of the function, relative: a few operations' rounding


def check_gradients(
    subject: Any,
    x: Any,
    *,
    target: Numbers | None = None,
    training: bool = True,
    tolerance: float = TOLERANCE,
    coordinates: int | None = None,
    directions: int = 0,
    seed: int = 0,
) -> Report:
    """Check every hand-written gradient of `subject` against central differences; returns a `Report`.

    subject      a `Layer` (built in or your own), a `Sequential`, a loss of numgan, or a `GAN`.
                 It is not changed: the check works on float64 copies with the same values.
    x            the input (batch, features); for a loss the predictions; for a GAN the pair (real rows, noise).
    target       for a loss: the targets, of x's shape.
    training     layers and networks: training mode, where parameters have gradients (default), or inference mode,
                 where only the input has one.
    tolerance    relative; default 10⁻⁷.
    coordinates  how many coordinates of each tensor to check, drawn at random; default None: all.
    directions   besides, how many random directions to check through each tensor whole; default 0.
    seed         draws ∂L/∂y for layers and networks, the coordinates and the directions.

    A layer or network is checked as L = Σ y·c with random c. A GAN is checked as it trains: the discriminator's step
    on real and generated rows, and the generator's through the frozen discriminator, of which not a bit may change.

    Raises ValueError for a function that gives two results for one input, TypeError for an unknown subject.
    """
    # Not default_rng(seed): whoever drew x from that would meet the same numbers again in ∂L/∂y, and a mask taken from
    # the gradient instead of the input would look right.
    rng = np.random.default_rng([seed, *b"check_gradients"])
    start = time.perf_counter()
    if isinstance(subject, GAN):
        report = Report("GAN: discriminator step, and generator step through the frozen discriminator", tolerance)
        problems = gan_problems(subject, x, report)
    elif isinstance(subject, BinaryCrossEntropy):
        form = "logits" if subject.from_logits else "probabilities"
        report = Report(f"BinaryCrossEntropy from {form}", tolerance)
        problems = [loss_problem(subject, x, target)]
    elif isinstance(subject, SoftmaxCrossEntropy):
        report = Report("SoftmaxCrossEntropy", tolerance)
        problems = [loss_problem(subject, x, target)]
    elif isinstance(subject, Layer | Sequential):
        report = Report(_describe(subject, training), tolerance)
        problems = [network_problem(as_network(subject, x, rng), x, training, rng)]
    else:
        raise ArgumentTypeError(
            f"check_gradients expects a Layer, Sequential, loss or GAN, got {type(subject).__name__}"
        )
    for problem in problems:
        _check(problem, report, rng, coordinates, directions)
    report.seconds = time.perf_counter() - start
    return report


def _describe(subject, training):
    what = repr(subject) if isinstance(subject, Layer) else f"Sequential '{subject.name}'"
    return f"{what} in {'training' if training else 'inference'} mode"


# ------------------------------------------------------------------------------------------------ the differences


@dataclass
class _Probe:
    """One derivative to take: of tensor `name` along coordinate `index`, or along the whole array `direction`."""

    name: str
    index: int | None
    direction: np.ndarray | None
    scale: float
    claim: float


def _check(problem, report, rng, coordinates, directions):
    """Add a row per tensor of the problem to the report."""
    probes = [p for name in problem.base for p in _probes(problem, name, rng, coordinates, directions)]
    per_probe = 2 * (COARSE + FINE)
    copies = int(np.clip(STACK_BYTES // problem.bytes, per_probe + 1, STACK_LIMIT))
    copies = min(copies, 1 + per_probe * len(probes))
    views, run = problem.make(copies)
    evaluate = _evaluator(problem, views, run, copies)
    _refuse_chance(problem, views, run)
    rounding = ROUNDING * _largest(problem.analytic)
    fate, numeric = _judge(probes, evaluate, range(COARSE), report.tolerance, rounding)
    open_ = [i for i, f in enumerate(fate) if f != "certified"]
    if open_:
        closer = range(COARSE + FINE)
        again, values = _judge([probes[i] for i in open_], evaluate, closer, report.tolerance, rounding)
        for i, f, value in zip(open_, again, values, strict=True):
            # a closer look can certify, or find what lies between kinks; otherwise it only adds noise
            if f == "certified" or fate[i] == "kink":
                fate[i], numeric[i] = f, value
    for name in problem.base:
        chosen = [i for i, p in enumerate(probes) if p.name == name]
        report.rows.append(_row(problem, name, [(probes[i], fate[i], numeric[i]) for i in chosen]))


def _probes(problem, name, rng, coordinates, directions):
    base, claim = problem.base[name], problem.analytic[name]
    spread = math.sqrt(np.mean(base**2)) or 1.0
    indices = range(base.size)
    if coordinates is not None and coordinates < base.size:
        indices = sorted(rng.choice(base.size, coordinates, replace=False).tolist())
    for i in indices:
        yield _Probe(name, i, None, max(abs(base.flat[i]), spread), float(claim.flat[i]))
    for _ in range(directions):
        direction = rng.standard_normal(base.shape) * spread
        yield _Probe(name, None, direction, 1.0, float(np.vdot(claim, direction)))


def _evaluator(problem, views, run, copies):
    """A function (probes, steps (levels, probes)) -> central and one-sided differences and their rounding noise."""

    def evaluate(probes, steps):
        """Arrays (levels, probes): D(h), forward slope, backward slope, rounding noise of D(h)."""
        levels = len(steps)
        per_stack = max(1, (copies - 1) // (2 * levels))
        results, stale = [], set(problem.base)
        for start in range(0, len(probes), per_stack):
            part = probes[start : start + per_stack]
            for name in stale:  # only what the last stack moved: parameters are most of the memory
                views[name][...] = problem.base[name]
            stale = {probe.name for probe in part}
            for p, probe in enumerate(part):
                for level in range(levels):
                    r = 1 + 2 * (p * levels + level)
                    h = steps[level, start + p]
                    _shift(views[probe.name], r, probe, h)
                    _shift(views[probe.name], r + 1, probe, -h)
            terms = run()
            used = 2 * levels * len(part)
            pairs = terms[1 : 1 + used].reshape(len(part), levels, 2, -1)
            h = steps[:, start : start + len(part)].T
            results.append(_differences(terms[0], pairs, h))
        return np.concatenate(results, axis=1).transpose(0, 2, 1)

    return evaluate


def _shift(view, replica, probe, h):
    if probe.index is None:
        view[replica] += h * probe.direction
    else:
        view[(replica, *np.unravel_index(probe.index, view.shape[1:]))] += h


def _differences(centre, pairs, h):
    """(4, probes, levels): central, forward, backward difference quotients and the rounding noise of the first."""
    up, down = pairs[..., 0, :], pairs[..., 1, :]
    central = (up - down).sum(axis=-1) / (2 * h)
    forward, backward = (up - centre).sum(axis=-1) / h, (centre - down).sum(axis=-1) / h
    # A term that some step moves can hide a smaller step's move in its rounding; one that none moves has no rounding.
    touched = ((up != centre) | (down != centre)).any(axis=1, keepdims=True)
    noise = NOISE * (touched * (np.abs(up) + np.abs(down))).sum(axis=-1) / (2 * h)
    return np.array([central, forward, backward, noise])


def _refuse_chance(problem, views, run):
    """Raise unless two evaluations at the base point agree bit for bit."""
    for name, array in problem.base.items():
        views[name][...] = array
    first = run().copy()
    for name, array in problem.base.items():
        views[name][...] = array
    if not np.array_equal(first, run(), equal_nan=True):
        raise ArgumentError(
            "the function is not deterministic: two evaluations at the same point differ, so its differences "
            "are not derivatives; fix its random numbers (dropout, noise) before checking gradients"
        )


def _largest(arrays):
    return max(float(np.abs(array[np.isfinite(array)]).max(initial=0)) for array in arrays.values())


def _judge(probes, evaluate, levels, tolerance, rounding):
    """(fate, numeric value) of every probe, from differences at FIRST_STEP·RATIO^−level of its scale."""
    scales = np.array([p.scale for p in probes])
    claims = np.array([p.claim for p in probes])
    steps = np.array([scales * FIRST_STEP / RATIO**level for level in levels])
    # a step that the coordinate can hold exactly: no error from (θ + h) − θ
    steps = 2.0 ** np.round(np.log2(steps))
    central, forward, backward, noise = evaluate(probes, steps)
    numeric, uncertainty = _ridders(central, steps, noise, _smooth(np.abs(forward - backward), noise))
    difference = np.abs(claims - numeric)
    size = np.maximum(np.abs(claims), np.abs(numeric))
    # two zeros prove something only where no rounding could hide a difference
    certified = (difference <= tolerance * size) & ((size > 0) | (uncertainty == 0))
    noise_explains = difference <= np.maximum(4 * uncertainty, rounding)
    fate = np.where(certified, "certified", np.where(noise_explains, "noise", "failed"))
    fate = np.where(np.isinf(uncertainty), "kink", fate)
    fate = np.where(np.isfinite(claims), fate, "failed")
    return list(fate), list(numeric)


def _smooth(gap, noise):
    """(levels − 1, probes): is the function smooth across this step and the next, and all that are smaller?

    The gap between the slopes to the right and to the left is h·f″ + O(h³) for a smooth function, so the next step's
    is a quarter of it. A kink between −h and h adds a jump that does not scale. Many kinks may look right by chance
    at one step, hardly at all the smaller ones.
    """
    fits = np.abs(gap[1:] - gap[:-1] / RATIO) <= 0.05 * gap[:-1] + 16 * noise[1:]
    return np.logical_and.accumulate(fits[::-1])[::-1]


def _ridders(central, steps, noise, smooth):
    """(value, uncertainty) per probe: the entry of the Richardson table that moved least from its neighbours.

    Only entries made of smooth steps count; where there is none, the uncertainty is infinite.
    """
    best, value, step = np.full(central.shape[1], np.inf), central[-1].copy(), steps[-1].copy()
    columns = [central]
    for order in (1, 2):
        factor = RATIO ** (2 * order)
        before = columns[-1]
        now = (factor * before[1:] - before[:-1]) / (factor - 1)
        columns.append(now)
        usable = smooth if order == 1 else smooth[1:] & smooth[:-1]
        # how far the last step's entry was off, and, lest that be small by accident, what is left of the one before
        moved = np.maximum(np.abs(now - before[1:]), np.abs(before[1:] - before[:-1]) / RATIO)
        moved = np.maximum(moved, 2 * noise[order:])
        for level in range(len(now)):
            better = usable[level] & (moved[level] < best)
            best, value = np.where(better, moved[level], best), np.where(better, now[level], value)
            step = np.where(better, steps[level + order], step)
    # What the smallest step is off by is rounding, which grows as 1/h: so much of it is in the entry taken.
    return value, np.maximum(best, np.abs(central[-1] - value) * steps[-1] / step)


def _row(problem, name, results):
    """The report's row for one tensor."""
    shape = problem.base[name].shape
    counts = {f: sum(fate == f for _, fate, _ in results) for f in ("certified", "noise", "kink", "failed")}
    errors = []
    for probe, fate, numeric in results:
        size = max(abs(probe.claim), abs(numeric))
        relative = abs(probe.claim - numeric) / size if size and np.isfinite(size) else 0.0
        relative = relative if np.isfinite(probe.claim) else np.inf
        errors.append((fate == "failed", relative if fate in ("certified", "failed") else -1.0))
    worst = max(range(len(results)), key=errors.__getitem__)
    probe, _, numeric = results[worst]
    judged = counts["certified"] + counts["failed"] > 0
    rounding = ROUNDING * _largest(problem.analytic)
    all_zero = counts["noise"] and not counts["kink"] and all(abs(p.claim) <= rounding for p, _, _ in results)
    if counts["failed"]:
        verdict = "FAIL"
    elif all_zero:
        verdict = "zero"
    else:
        verdict = "ok" if counts["certified"] else "unproven"
    index = None if probe.index is None else tuple(int(i) for i in np.unravel_index(probe.index, shape))
    return Row(
        problem.prefix + name,
        shape,
        len(results),
        counts["certified"],
        counts["noise"],
        counts["kink"],
        counts["failed"],
        errors[worst][1] if judged else 0.0,
        index,
        float(probe.claim),
        float(numeric),
        verdict,
    )
