"""Derivatives by central differences, certified to 10⁻⁷ relative or better, and what becomes of a claim beside them.

Method
    Everything runs in float64. Along a coordinate (or direction) with scale s, central differences
        D(h) = [f(θ + h) − f(θ − h)] / 2h = f′ + h²·f‴/6 + h⁴·f⁽⁵⁾/120 + …
    are taken at h = s/10, s/40, s/160, …; s is the coordinate's size, or its tensor's root mean square if larger. Where
    that settles nothing, smaller steps are taken, and those of the coordinate's own size.
    Each Richardson step removes one power of h²: T₁ = (16·D(h/4) − D(h))/15 leaves h⁴, T₂ = (256·T₁(h/4) − T₁(h))/255
    leaves h⁶. What shrinking h costs is rounding, about ε·|f|/h. The entry of the table that moved least from its
    neighbours is taken, and the move is its uncertainty u (Ridders 1982, Advances in Engineering Software 4(2);
    Press et al., Numerical Recipes, section 5.7). With h⁶ against ε/h a smooth function gives 10⁻¹¹ or better.
    f is a sum of terms, and the terms are subtracted before they are summed: a term that the coordinate does not
    touch cancels exactly and adds no rounding. How much a term rounds is measured: of its values at points that are
    10⁻⁷ apart a smooth function leaves nothing in fourth differences, and noise of size η leaves √70·η (Hamming 1962,
    Numerical Methods for Scientists and Engineers, chapter 2; Moré & Wild 2011, SIAM J. Sci. Comput. 33(3)).

Verdict on a coordinate, a the claim and n the measured value
    certified  |a − n| ≤ tolerance·max(|a|, |n|). Nothing else certifies.
    noise      not certified, but |a − n| ≤ r, the rounding in either, and r ≤ tolerance·G. Here r is the largest of 4u;
               of what the claim itself moves by when every number of the point is moved by a few units in its last
               place; and of 64ε·G. G is the largest gradient of all tensors as *measured*: no claim, right or wrong,
               makes room for itself or for another.
    hidden     |a − n| ≤ r, but r is larger than that: rounding so large that nothing is proven. And every coordinate
               of a function that does not move at all, whose claims are all zero: so does one that computes nothing.
               (One of indices, flat around each of them, has to move from one index to the next.)
    kink       at no step is the function smooth: the slopes to the left and to the right of θ differ by something that
               does not shrink with h (ReLU at 0), so no derivative exists there or none that can be measured. The claim
               lies between those two slopes, each give or take what it still moves by from step to step; or, where
               kinks of several intermediate values meet (zeros behind zero biases), between the slopes at points
               around, each on its own side of each kink (Clarke 1983, Optimization and Nonsmooth Analysis, theorem
               2.5.1). Along a direction it need not: max(a, 0) − max(b, 0) with the slope 0 at 0 claims 0 along
               (1, −2), where the slopes are 2 and 1. So kinks in directions prove nothing.
    beyond     a kink whose claim lies elsewhere; counts as failed.
    failed     everything else, and any claim that is not finite.
Where coordinates of a tensor are at kinks, they are moved together, too: the largest of two equal numbers is smooth
when both move, and the sum of their claims is its slope, however they share it.
Verdict on a tensor
    ok         every coordinate certified, or a kink beside certified ones.
    mostly     at least half of them certified, the rest noise.
    zero       all of them noise about a gradient that is zero.
    FAIL       a coordinate failed.
    unproven   anything else: a coordinate hidden, more noise than certified, kinks alone.
A report passes when every tensor is ok, mostly or zero; the table and its last line say how many numbers are certified.

Speed
    Perturbed copies are stacked on the replica axis and evaluated in one pass. A layer that cannot take the axis is
    evaluated copy by copy.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import ArgumentError
from numgan.gradcheck.patterns import describe
from numgan.gradcheck.report import Row
from numgan.hints import Array, Rng

if TYPE_CHECKING:
    from numgan.gradcheck.problems import Problem
    from numgan.gradcheck.report import Report

EPSILON = np.finfo(np.float64).eps
FIRST_STEP = 0.1  # of the coordinate's scale
RATIO = 4.0  # between one step and the next
AROUND, SIDES = 1e-6, 32  # of a tensor's size: how near points around a kink are, and how many
COARSE, FINE = 6, 6  # steps tried at every coordinate, and more where those settle nothing
ROUNDING = 64 * EPSILON  # of a claim, relative to the largest gradient that was measured
NUDGES = 3  # times that the point is moved in its last places, to see what rounding does to the claims
NUDGE = 4 * EPSILON
SPREAD = 8.0  # times what the claims moved by then
STACK_BYTES = 64_000_000  # memory for perturbed copies
STACK_LIMIT = 4_096
NOISE = 8 * EPSILON  # of a term of the function, relative, at the least: a few operations' rounding
CLOSE = 1e-7  # of the point's size: how far apart the points are that tell a term's rounding
CONSTANT = "claimed to be zero, of a function that is constant in all its tensors: proves nothing; try another point"
FLAT = "is indices: around each of them the function is flat, and its derivative 0"
POINTS, LINES = 13, 8  # how many there are on a line, and lines at the most


@dataclass
class Probe:
    """One derivative to take: of tensor `name` along coordinate `index`, or along the whole array `direction`."""

    name: str
    index: int | None
    direction: Array | None
    scale: float

    def of(self, gradient: Array) -> float:
        """This derivative as a gradient of the tensor has it."""
        return float(gradient.flat[self.index] if self.index is not None else np.vdot(gradient, self.direction))


@dataclass
class Measured:
    """What differences found, arrays with a value per probe.

    value, uncertainty   the derivative; infinite uncertainty where no step was smooth.
    low, high            between which slopes the derivative lies there, from the left and from the right.
    """

    value: Array
    uncertainty: Array
    low: Array
    high: Array

    def put(self, where: list[int], other: Measured) -> None:
        """Take over another measurement for some of the probes."""
        for name, array in vars(self).items():
            array[where] = getattr(other, name)


@dataclass
class Quotient:
    """One derivative, by differences alone.

    step, above, below   h, and the function at θ + h and at θ − h.
    central              (above − below)/2h, the terms subtracted before they are summed.
    value, uncertainty   what is left when h shrinks, as the top of this file has it; infinite where nothing is smooth.
    """

    step: float
    above: float
    below: float
    central: float
    value: float
    uncertainty: float


def quotient(problem: Problem, name: str, index: int) -> Quotient:
    """The derivative of the problem's function by coordinate `index` (flat) of tensor `name`, in one copy's memory."""
    base = problem.base[name]
    probe = Probe(name, index, None, max(abs(base.flat[index]), math.sqrt(np.mean(base**2))) or 1.0)
    views, run = problem.make(1)
    seen = []  # (h, terms at θ + h, terms at θ − h)

    def terms(h):
        for tensor, array in problem.base.items():
            views[tensor][...] = array
        _shift(views[name], 0, probe, h)
        return np.array(run()[0])

    def evaluate(probes, steps):
        seen[:] = [(h, terms(h), terms(-h)) for h in steps[:, 0]]
        pairs = np.array([[pair for _, *pair in seen]])
        return _differences(terms(0.0), pairs, steps.T, 0.0).transpose(0, 2, 1)

    measured = _measure([probe], evaluate, range(COARSE))
    if np.isinf(measured.uncertainty[0]):
        measured = _measure([probe], evaluate, range(COARSE + FINE))
    h, up, down = seen[len(seen) // 2]
    central = (up - down).sum() / (2 * h)
    numbers = (h, up.sum(), down.sum(), central, measured.value[0], measured.uncertainty[0])
    return Quotient(*map(float, numbers))


def check_problem(
    problem: Problem, report: Report, rng: Rng, coordinates: int | None = None, directions: int = 0
) -> None:
    """Add a row per tensor of the problem to the report."""
    probes = [p for name in problem.base for p in _probes(problem, name, rng, coordinates, directions)]
    per_probe = 2 * (COARSE + FINE)
    least = 1 + max(per_probe, 2 * 2 * COARSE)  # of the largest networks two probes at a time, or one closer look
    copies = int(np.clip(STACK_BYTES // problem.bytes, least, STACK_LIMIT))
    copies = min(copies, 1 + per_probe * len(probes))
    views, run = problem.make(copies)
    _refuse_chance(problem, views, run)
    evaluate = _evaluator(problem, views, run, copies, _rounding(problem, views, run, rng))
    for name in problem.drifting:
        report.broken.append(f"{problem.prefix}{name}: worked out once more at the same point, the claim is another")
    claims = np.array([p.of(problem.analytic[p.name]) for p in probes])
    moves = _claims_move_by(problem, probes, rng)
    measured = _measure(probes, evaluate, range(COARSE))
    fates = _fates(probes, claims, moves, measured, report.tolerance)
    for closer in (lambda probe: probe, lambda probe: _of_its_own_size(probe, problem)):
        looks = [(i, closer(probes[i])) for i, fate in enumerate(fates) if fate != "certified" and closer(probes[i])]
        if not looks:
            continue
        open_ = [i for i, _ in looks]
        trial = Measured(*(array.copy() for array in vars(measured).values()))
        trial.put(open_, _measure([probe for _, probe in looks], evaluate, range(COARSE + FINE)))
        again = _fates(probes, claims, moves, trial, report.tolerance)
        # a closer look can certify, be surer, or find what lies between kinks; otherwise it only adds noise
        surer = (trial.uncertainty < measured.uncertainty) | np.isinf(measured.uncertainty)
        better = [i for i in open_ if again[i] == "certified" or surer[i]]
        measured.put(better, Measured(*(array[better] for array in vars(trial).values())))
        fates = _fates(probes, claims, moves, measured, report.tolerance)
    beyond = [i for i, fate in enumerate(fates) if fate == "beyond"]
    if beyond:
        around = _slopes_around(problem, [probes[i] for i in beyond], evaluate, rng)
        measured.low[beyond] = np.fmin(measured.low[beyond], around.min(axis=0))
        measured.high[beyond] = np.fmax(measured.high[beyond], around.max(axis=0))
        fates = _fates(probes, claims, moves, measured, report.tolerance)
    constant = not (claims.any() or measured.value.any() or _climbs(problem, views, run))
    if constant:
        fates = ["hidden"] * len(fates)
    else:
        report.notes += [f"{problem.prefix}{name} {FLAT}" for name in problem.steps]
    results = list(zip(probes, claims, fates, measured.value, strict=True))
    results += _kinks_together(problem, results, evaluate, report.tolerance)
    for name in problem.base:
        report.rows.append(_row(problem, name, [result for result in results if result[0].name == name]))
        if constant:
            report.rows[-1].remark = CONSTANT


def _climbs(problem, views, run):
    """Whether the function is another where all of its indices are the next ones, or those before."""
    found = []
    for move in (0, 1, -1) if problem.steps else ():
        for name, array in problem.base.items():
            views[name][...] = array + move * (name in problem.steps)
        found.append(run()[0].tobytes())
    return len({*found}) > 1


def _slopes_around(problem, probes, evaluate, rng):
    """(points, probes): each probe's slope at points so near that nothing but the sides of kinks tells them apart.

    All numbers go either way at random, and then one tensor goes one way as a whole: biases, which turn all units off.
    """
    sizes = {name: math.sqrt(np.mean(a**2)) or 1.0 for name, a in problem.base.items()}
    steps = np.array([[2.0 ** np.round(np.log2(0.1 * AROUND * probe.scale)) for probe in probes]])
    slopes = []
    for name, way in [(None, 0), *itertools.product(sizes, (-1, 1))]:
        for _ in range(1 if name else SIDES):
            near = {n: a + AROUND * sizes[n] * rng.uniform(-1, 1, a.shape) for n, a in problem.base.items()}
            if name:
                near[name] = problem.base[name] + 10 * AROUND * sizes[name] * way
            slopes.append(evaluate(probes, steps, near)[0, 0])
    return np.array(slopes)


def _kinks_together(problem, results, evaluate, tolerance):
    """Results like those of coordinates for what fails when all of a tensor's kinks are moved together."""
    together = []
    for name, base in problem.base.items():
        at_kinks = [p.index for p, _, fate, _ in results if p.name == name and p.index is not None and fate == "kink"]
        if len(at_kinks) > 1:
            direction = np.zeros(base.shape)
            direction.flat[at_kinks] = max(p.scale for p, *_ in results if p.name == name)
            together.append(Probe(name, None, direction, 1.0))
    if not together:
        return []
    claims = np.array([p.of(problem.analytic[p.name]) for p in together])
    values = _measure(together, evaluate, range(COARSE + FINE))
    fates = _fates(together, claims, np.zeros(len(claims)), values, tolerance)
    return [result for result in zip(together, claims, fates, values.value, strict=True) if result[2] == "failed"]


def _probes(problem, name, rng, coordinates, directions):
    base, flat = problem.base[name], name in problem.steps
    spread = 0.5 if flat else math.sqrt(np.mean(base**2)) or 1.0  # no step may lead to the next index
    indices = range(base.size)
    if coordinates is not None and coordinates < base.size:
        indices = sorted(rng.choice(base.size, coordinates, replace=False).tolist())
    for i in indices:
        yield Probe(name, i, None, spread if flat else max(abs(base.flat[i]), spread))
    for _ in range(directions):
        yield Probe(name, None, rng.standard_normal(base.shape) * spread, 1.0)


def _of_its_own_size(probe, problem):
    """The same probe on the scale of its coordinate alone, if that is another."""
    size = 0.0 if probe.index is None else abs(problem.base[probe.name].flat[probe.index])
    return Probe(probe.name, probe.index, None, size) if 0 < size < probe.scale / 4 else None


def _claims_move_by(problem, probes, rng):
    """How much each claim moves when the point is moved in its last places: rounding in the hand-written code, and
    what the function itself turns rounding of its inputs into.
    """
    claims, moves = np.array([p.of(problem.again[p.name]) for p in probes]), np.zeros(len(probes))
    for _ in range(NUDGES):
        point = {name: a * (1 + NUDGE * rng.uniform(-1, 1, a.shape)) for name, a in problem.base.items()}
        gradient = problem.claim(point)
        with np.errstate(all="ignore"):
            moved = np.abs(np.array([p.of(gradient[p.name]) for p in probes]) - claims)
        moves = np.fmax(moves, moved)
    return np.where([p.name in problem.drifting for p in probes], 0.0, SPREAD * moves)


def _rounding(problem, views, run, rng):
    """How much each term of the function rounds, by what is left of it in fourth differences on lines of points: the
    median of the nine that thirteen points give, as one kink is in four of them, and the largest of several lines, as
    a term that is a multiple of something (of 10⁻¹⁰, left over from 10⁶) may look straight along one.

    Every number moves by its own size; of a term that does not feel that, by its tensor's.
    """
    if len(next(iter(views.values()))) > 2 * LINES * POINTS:  # a smaller stack is soon made, and sooner run
        views, run = problem.make(LINES * POINTS)
    found = []
    for own in (True, False):
        for name, array in problem.base.items():
            size = np.full(array.shape, math.sqrt(np.mean(array**2)) or 1.0)
            size = CLOSE * np.where(own & (array != 0), np.abs(array), size)
            for r in range(len(views[name])):
                if r % POINTS == 0:
                    line = size * rng.uniform(-1, 1, array.shape)
                views[name][r] = array + (r % POINTS + 1) * line
        terms = run()
        lines = min(len(terms) // POINTS, LINES)
        left = np.diff(terms[: lines * POINTS].reshape(lines, POINTS, -1), 4, axis=1)
        found.append(4 * np.median(np.abs(left), axis=1).max(axis=0) / math.sqrt(70))
        if found[0].all():
            break
    for name, array in problem.base.items():
        views[name][...] = array
    return np.where(found[0] > 0, found[0], found[-1])


def _evaluator(problem, views, run, copies, rounding):
    """A function (probes, steps (levels, probes)) -> central and one-sided differences and their rounding noise."""

    def evaluate(probes, steps, base=problem.base):
        """Arrays (levels, probes): D(h), forward slope, backward slope, rounding noise of D(h)."""
        levels = len(steps)
        per_stack = max(1, (copies - 1) // (2 * levels))
        results, stale = [], set(problem.base)
        for start in range(0, len(probes), per_stack):
            part = probes[start : start + per_stack]
            for name in stale:  # only what the last stack moved: parameters are most of the memory
                views[name][...] = base[name]
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
            results.append(_differences(terms[0], pairs, h, rounding))
        return np.concatenate(results, axis=1).transpose(0, 2, 1)

    return evaluate


def _shift(view, replica, probe, h):
    if probe.index is None:
        view[replica] += h * probe.direction
    else:
        view[(replica, *np.unravel_index(probe.index, view.shape[1:]))] += h


def _differences(centre, pairs, h, rounding):
    """(4, probes, levels): central, forward, backward difference quotients and the rounding noise of the first."""
    up, down = pairs[..., 0, :], pairs[..., 1, :]
    central = (up - down).sum(axis=-1) / (2 * h)
    forward, backward = (up - centre).sum(axis=-1) / h, (centre - down).sum(axis=-1) / h
    # A term that some step moves can hide a smaller step's move in its rounding; one that none moves has no rounding.
    touched = ((up != centre) | (down != centre)).any(axis=1, keepdims=True)
    noise = (touched * np.maximum(NOISE * (np.abs(up) + np.abs(down)), rounding)).sum(axis=-1) / (2 * h)
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


def _measure(probes, evaluate, levels):
    """`Measured` from differences at FIRST_STEP·RATIO^−level of each probe's scale. No claim has a part in it."""
    scales = np.array([p.scale for p in probes])
    steps = np.array([scales * FIRST_STEP / RATIO**level for level in levels])
    # a step that the coordinate can hold exactly: no error from (θ + h) − θ
    steps = 2.0 ** np.round(np.log2(steps))
    central, forward, backward, noise = evaluate(probes, steps)
    smooth = _smooth(np.abs(forward - backward), noise)
    return Measured(*_ridders(central, steps, noise, smooth), *_slopes(forward, backward, noise))


def _fates(probes, claims, moves, measured, tolerance):
    """The verdict on every coordinate, as the top of this file defines them."""
    n, u = measured.value, measured.uncertainty
    found = np.isfinite(u)
    largest = np.abs(n[found & np.isfinite(n)]).max(initial=0)
    difference, size = np.abs(claims - n), np.maximum(np.abs(claims), np.abs(n))
    # two zeros prove something only where no rounding could hide a difference
    certified = (difference <= tolerance * size) & ((size > 0) | (u == 0))
    rounding = np.maximum(np.maximum(4 * u, moves), ROUNDING * largest)
    fates = np.where(rounding <= tolerance * largest, "noise", "hidden")
    fates = np.where((size <= rounding) & (fates == "noise"), "zero", fates)
    fates = np.where(difference <= rounding, fates, "failed")
    fates = np.where(certified, "certified", fates)
    slack = tolerance * np.maximum(np.abs(measured.low), np.abs(measured.high)) + ROUNDING * largest
    between = (claims >= measured.low - slack) & (claims <= measured.high + slack)
    between |= [p.index is None for p in probes]
    fates = np.where(found, fates, np.where(between, "kink", "beyond"))
    return list(np.where(np.isfinite(claims), fates, "failed"))


def _slopes(forward, backward, noise):
    """(low, high) per probe: between the slopes to the right and to the left, each with h taken out of its error,
    (4·F(h/4) − F(h))/3, and widened by what it moved by over the last steps and by its rounding.
    """
    sides = []
    for slope in (forward, backward):
        straight = (RATIO * slope[1:] - slope[:-1]) / (RATIO - 1)
        moved = np.abs(np.diff(straight[-3:], axis=0)).max(axis=0)
        sides.append((straight[-1], moved + 8 * noise[-1]))
    low = np.minimum(*(value - slack for value, slack in sides))
    return low, np.maximum(*(value + slack for value, slack in sides))


def _smooth(gap, noise):
    """(levels − 1, probes): is the function smooth across this step and the next, and all that are smaller?

    The gap between the slopes to the right and to the left is h·f″ + O(h³) for a smooth function, so the next step's
    is a quarter of it. A kink between −h and h adds a jump that does not scale. Many kinks, or noise, may look right by
    chance at one step, hardly at all the smaller ones, of which there have to be a few.
    """
    fits = np.abs(gap[1:] - gap[:-1] / RATIO) <= 0.05 * gap[:-1] + 16 * noise[1:]
    return np.logical_and.accumulate(fits[::-1])[::-1] & fits[-(len(gap) // 3) :].all(axis=0)


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
    """The report's row for one tensor, from [(probe, claim, fate, measured value)]."""
    counts = Counter(fate for _, _, fate, _ in results)
    counts["failed"] += counts["beyond"]
    errors = []
    for _, claim, fate, numeric in results:
        size = max(abs(claim), abs(numeric))
        relative = abs(claim - numeric) / size if size and np.isfinite(size) else 0.0
        relative = relative if np.isfinite(claim) and np.isfinite(numeric) else np.inf
        failed = fate in ("failed", "beyond")
        errors.append((failed, relative if failed or fate == "certified" else -1.0))
    worst = max(range(len(results)), key=errors.__getitem__)
    probe, claim, _, numeric = results[worst]
    shape = problem.base[name].shape
    return Row(
        tensor=problem.prefix + name,
        shape=shape,
        checked=len(results),
        certified=counts["certified"],
        noise=counts["noise"] + counts["zero"],
        hidden=counts["hidden"],
        kinks=counts["kink"],
        failed=counts["failed"],
        error=max(errors[worst][1], 0.0),
        index=None if probe.index is None else tuple(int(i) for i in np.unravel_index(probe.index, shape)),
        analytic=float(claim),
        numeric=float(numeric),
        verdict=_verdict(counts, results),
        remark=describe(problem, name, results) if counts["failed"] else "",
    )


def _verdict(counts, results):
    noise = counts["noise"] + counts["zero"]
    if counts["failed"]:
        return "FAIL"
    if counts["zero"] and all(f in ("zero", "kink") or claim == value == 0 for _, claim, f, value in results):
        return "zero"
    if counts["hidden"] or not counts["certified"] or noise > counts["certified"]:
        return "unproven"
    return "mostly" if noise else "ok"
