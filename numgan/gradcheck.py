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

import math
import time
from dataclasses import asdict, dataclass, field

import numpy as np

from numgan import kernels
from numgan.gan import GAN, DiscriminatorStep, GeneratorStep, loss_gradient
from numgan.layers import Layer
from numgan.losses import BinaryCrossEntropy
from numgan.network import Plan, Sequential, copy_layer

TOLERANCE = 1e-7
FIRST_STEP = 0.1  # of the coordinate's scale
RATIO = 4.0  # between one step and the next
COARSE, FINE = 6, 5  # steps tried at every coordinate, and more where those settle nothing
ROUNDING = 64 * np.finfo(np.float64).eps  # of an analytic gradient, relative to the largest one
STACK_BYTES = 64_000_000  # memory for perturbed copies
STACK_LIMIT = 4_096
EPS = np.finfo(np.float64).eps


class GradientError(AssertionError):
    """Raised by `Report.raise_for_failure`."""


@dataclass
class Row:
    """The check of one tensor. `error`, `analytic`, `numeric` are those of the worst coordinate, at `index`."""

    tensor: str
    shape: tuple
    checked: int
    certified: int
    noise: int
    kinks: int
    failed: int
    error: float
    index: tuple | None
    analytic: float
    numeric: float
    verdict: str


@dataclass
class Report:
    """What `check_gradients` found: a row per tensor, and remarks on what is not a number."""

    subject: str
    tolerance: float
    rows: list = field(default_factory=list)
    broken: list = field(default_factory=list)  # guarantees that did not hold, as sentences
    notes: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self):
        return not self.broken and all(row.verdict in ("ok", "zero") for row in self.rows)

    @property
    def checked(self):
        return sum(row.checked for row in self.rows)

    @property
    def worst(self):
        """The largest relative error of all rows."""
        return max((row.error for row in self.rows), default=0.0)

    def raise_for_failure(self):
        """Raise GradientError with the table unless the report passed."""
        if not self.passed:
            raise GradientError("\n" + str(self))

    def to_dict(self):
        """The report as JSON-ready values."""
        return asdict(self) | {"passed": self.passed, "checked": self.checked, "worst": self.worst,
                               "coordinates_per_second": self.checked / self.seconds if self.seconds else None}  # fmt: skip

    def __str__(self):
        head = ("tensor", "shape", "checked", "noise", "kinks", "failed", "worst error", "at", "analytic", "numeric", "verdict")
        table = [head]
        for r in self.rows:
            where = "direction" if r.index is None else ",".join(map(str, r.index))
            number = "{:.6e}".format
            table.append((r.tensor, "×".join(map(str, r.shape)) or "scalar", f"{r.checked:,}", f"{r.noise:,}", f"{r.kinks:,}",
                          f"{r.failed:,}", f"{r.error:.1e}", where, number(r.analytic), number(r.numeric), r.verdict))  # fmt: skip
        widths = [max(len(line[i]) for line in table) for i in range(len(head))]
        lines = ["  ".join(cell.ljust(w) if i in (0, 1, 10) else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))).rstrip()
                 for line in table]  # fmt: skip
        lines.insert(1, "─" * len(lines[0]))
        rate = f", {self.seconds:.2f} s, {self.checked / self.seconds:,.0f} coordinates per second" if self.seconds else ""
        verdict = "passed" if self.passed else "FAILED"
        lines = [self.subject, *lines, *(f"BROKEN: {text}" for text in self.broken), *(f"note: {text}" for text in self.notes)]
        return "\n".join([*lines, f"{verdict}: {self.checked:,} numbers, worst relative error {self.worst:.1e} "
                                  f"(tolerance {self.tolerance:.0e}){rate}"])  # fmt: skip


def check_gradients(subject, x, *, target=None, training=True, tolerance=TOLERANCE, coordinates=None, directions=0,
                    seed=0):  # fmt: skip
    """Check every hand-written gradient of `subject` against central differences; returns a `Report`.

    subject      a `Layer` (built in or your own), a `Sequential`, a loss (`BinaryCrossEntropy`), or a `GAN`.
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
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    if isinstance(subject, GAN):
        report = Report("GAN: discriminator step, and generator step through the frozen discriminator", tolerance)
        problems = _gan_problems(subject, x, report)
    elif isinstance(subject, BinaryCrossEntropy):
        form = "logits" if subject.from_logits else "probabilities"
        report = Report(f"BinaryCrossEntropy from {form}", tolerance)
        problems = [_loss_problem(subject, x, target)]
    elif isinstance(subject, Layer | Sequential):
        report = Report(_describe(subject, training), tolerance)
        problems = [_network_problem(_as_network(subject, x, rng), x, training, rng)]
    else:
        raise TypeError(f"check_gradients expects a Layer, Sequential, BinaryCrossEntropy or GAN, got {type(subject).__name__}")
    for problem in problems:
        _check(problem, report, rng, coordinates, directions)
    report.seconds = time.perf_counter() - start
    return report


def _describe(subject, training):
    what = repr(subject) if isinstance(subject, Layer) else f"Sequential '{subject.name}'"
    return f"{what} in {'training' if training else 'inference'} mode"


# --------------------------------------------------------------------------------------------------- the problems


@dataclass
class _Problem:
    """A function of named tensors, f = Σ terms, and the gradient that is claimed for it.

    base       name -> float64 array: the point at which to differentiate.
    analytic   name -> array of the same shape: the claim.
    stack      function (R) -> (views, run): views name -> (R, *shape) to write perturbed values to; run() -> (R, m),
               the terms of f for each of the R copies.
    bytes      memory of one copy, roughly.
    """

    base: dict
    analytic: dict
    stack: object
    bytes: int
    prefix: str = ""


def _as_network(subject, x, rng):
    """The subject as a float64 network; a lone layer gets random parameters, as it has none yet."""
    if isinstance(subject, Sequential):
        return subject.copy("float64")
    if hasattr(subject, "params"):
        raise TypeError(f"layer '{subject.name}' belongs to a network; check the network, or a layer of its own")
    network = Sequential([copy_layer(subject)], int(np.shape(x)[-1]), rng, "float64", name="layer")
    network.values[...] = rng.normal(0, 0.7, network.values.shape)
    for layer in network.layers:
        for name, array in layer.state.items():
            array[...] = rng.uniform(0.5, 1.5, array.shape) if "variance" in name else rng.normal(0, 0.5, array.shape)
    return network


def _network_problem(network, x, training, rng):
    """L = Σ y·c for random c of y's shape."""
    x = np.asarray(network.check_input(x), np.float64)
    plan = Plan(network, len(x), training=training, backward=True, input_gradient=True)
    weights = rng.standard_normal(plan.y.shape)
    # The first pass is on other numbers: buffers left stale and gradients added up show in the second.
    for factor, c in ((-0.7, rng.standard_normal(plan.y.shape)), (1.0, weights)):
        np.copyto(plan.x, factor * x)
        plan.run_forward()
        np.copyto(plan.dy, c)
        plan.run_backward()
    return _problem_of(network, plan, x, "input", lambda y: y * weights, training)


def _problem_of(network, plan, x, input_name, terms, training, depth=None):
    """A problem on a network's parameters and input, its gradients as the plan has just computed them."""
    base, analytic = {}, {}
    if training:
        base |= {name: array.copy() for name, array in network.parameters().items()}
        analytic |= {name: array.copy() for name, array in network.gradients().items()}
    base[input_name], analytic[input_name] = x, plan.dx.copy()
    state = network.state.copy()  # running statistics as they are now, not as a training pass leaves them

    def stack(replicas):
        twin = network.copy(replicas=replicas)
        inner = Plan(twin, len(x), training=training, backward=False, depth=depth)

        def run():
            twin.state[...] = state
            inner.run_forward()
            return terms(inner.y).reshape(replicas, -1)

        return (twin.parameters() if training else {}) | {input_name: inner.x}, run

    size = network.values.size + 3 * len(x) * sum(width + 1 for width in network.widths)
    return _Problem(base, analytic, _stackable(stack, base, network, x, training, terms, input_name, depth), 8 * size)


def _stackable(stack, base, network, x, training, terms, input_name, depth):
    """`stack` if stacked copies give what one network gives; else a stack that runs its copies one by one."""
    single = network.copy()
    plan = Plan(single, len(x), training=training, backward=False, depth=depth)

    def run_single():
        plan.run_forward()
        return np.array(terms(plan.y), np.float64).ravel()

    np.copyto(plan.x, x)
    expected = run_single()
    try:
        views, run = stack(2)
        for name, array in base.items():
            views[name][...] = array
        together = run()
        if np.allclose(together, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max(initial=0)):
            return stack
    except (ValueError, IndexError, TypeError):
        pass

    def one_by_one(replicas):
        views = {name: np.empty((replicas, *array.shape)) for name, array in base.items()}
        targets = single.parameters() | {input_name: plan.x}

        def run():
            results = []
            for r in range(replicas):
                for name, view in views.items():
                    np.copyto(targets[name], view[r])
                results.append(run_single())
            return np.array(results)

        return views, run

    return one_by_one


def _loss_problem(loss, prediction, target):
    """L = mean ℓ over the batch, a function of the predictions."""
    if target is None:
        raise TypeError("checking a loss needs target=…, of the predictions' shape")
    prediction = np.array(prediction, np.float64)
    target = loss.smooth(np.asarray(loss.check_target(target, prediction.shape), np.float64))
    gradient = np.full_like(prediction, np.nan)
    raw = BinaryCrossEntropy(loss.from_logits, 0.0, loss.epsilon)
    raw.gradient(prediction, target, out=gradient)

    def stack(replicas):
        view = np.empty((replicas, *prediction.shape))
        out, temp = np.empty_like(view), np.empty_like(view)

        def run():
            if loss.from_logits:
                kernels.bce_logits_forward(view, target, temp, out=out)
            else:
                kernels.bce_forward(view, target, loss.epsilon, temp, out=out)
            return out.reshape(replicas, -1) / prediction.size

        return {"prediction": view}, run

    return _Problem({"prediction": prediction}, {"prediction": gradient}, stack, 8 * 4 * prediction.size)


def _gan_problems(gan, x, report):
    """The gradients that a GAN's two steps compute, each with the loss that they are of."""
    real, noise = (np.asarray(a, np.float64) for a in x)
    g, d = gan.generator.copy("float64"), gan.discriminator.copy("float64")
    twin = GAN(g, d, schedule=gan.schedule, label_smoothing=gan.label_smoothing)
    fakes = g.predict(noise)
    if gan.schedule == "concatenated":
        targets = np.repeat([gan.real_target, 0.0], [len(real), len(noise)])[:, None]
        batches = [("discriminator step", np.concatenate([real, fakes]), targets)]
    else:
        batches = [("discriminator step on real", real, gan.real_target), ("on generated", fakes, 0.0)]
    before = _fingerprint(g, twin.generator_optimizer)
    claims = _claimed_gradients(DiscriminatorStep(twin, len(real)), d, twin.discriminator_optimizer, (real, noise))
    if _fingerprint(g, twin.generator_optimizer) != before:
        report.broken.append("the discriminator's step changed the generator")
    problems = [_critic_problem(d, rows, target, claim, name)
                for (name, rows, target), claim in zip(batches, claims, strict=True)]  # fmt: skip
    before = _fingerprint(d, twin.discriminator_optimizer)
    claims = _claimed_gradients(GeneratorStep(twin, len(noise)), g, twin.generator_optimizer, (noise,))
    if _fingerprint(d, twin.discriminator_optimizer) != before:
        report.broken.append("the generator's step changed the frozen discriminator")
    problems.append(_chain_problem(g, d, noise, claims[0]))
    return problems


def _claimed_gradients(step, network, optimizer, inputs):
    """The gradients at each update of a training step, which are caught in place of being applied.

    The step runs twice, first on other numbers, so that stale buffers and added-up gradients show. The network's own
    running statistics are put back: they move in a training pass.
    """
    state = network.state.copy()
    for factor in (-0.7, 1.0):
        claims, network.state[...] = [], state
        for buffer, array in zip((step.real, step.noise) if len(inputs) == 2 else (step.noise,), inputs, strict=True):
            np.copyto(buffer, factor * array)
        for call in step.calls:
            if call == optimizer.step:
                claims.append({name: array.copy() for name, array in network.gradients().items()})
            else:
                call()
    network.state[...] = state
    return claims


def _fingerprint(network, optimizer):
    arrays = (network.values, network.grads, network.state, *optimizer.state.values())
    return b"".join(a.tobytes() for a in arrays) + bytes(str(optimizer.steps), "ascii")


def _cross_entropy_terms(target):
    def terms(z):
        out = np.empty(z.shape)
        kernels.bce_logits_forward(z, target, np.empty(z.shape), out=out)
        return out / (z.shape[-2] * z.shape[-1])

    return terms


def _critic_problem(d, rows, target, claim, name):
    """The discriminator's step on one batch; the input's gradient, which training never asks for, is added."""
    plan = Plan(d, len(rows), training=True, backward=True, input_gradient=True, depth=d.logit_depth)
    np.copyto(plan.x, rows)
    for call in (*plan.forward, loss_gradient(plan, target), *plan.backward):
        call()
    problem = _problem_of(d, plan, rows, "input", _cross_entropy_terms(target), True, d.logit_depth)
    problem.analytic |= claim
    problem.prefix = name + ": "
    return problem


def _chain_problem(g, d, noise, claim):
    """The generator's step through the frozen discriminator, with the noise's gradient added."""
    source, critic = _chain(g, d, len(noise), True)
    np.copyto(source.x, noise)
    for call in (*source.forward, *critic.forward, loss_gradient(critic, 1.0), *critic.backward, *source.backward):
        call()
    base = {name: array.copy() for name, array in g.parameters().items()} | {"noise": noise}
    analytic = claim | {"noise": source.dx.copy()}
    terms = _cross_entropy_terms(1.0)

    def stack(replicas):
        g_twin, d_twin = g.copy(replicas=replicas), d.copy(replicas=replicas)
        inner, head = _chain(g_twin, d_twin, len(noise), False)

        def run():
            inner.run_forward()
            head.run_forward()
            return terms(head.y).reshape(replicas, -1)

        return g_twin.parameters() | {"noise": inner.x}, run

    size = g.values.size + d.values.size + 3 * len(noise) * (sum(g.widths) + sum(d.widths))
    return _Problem(base, analytic, stack, 8 * size, "generator step: ")


def _chain(g, d, batch, backward):
    source = Plan(g, batch, training=True, backward=backward, input_gradient=backward)
    critic = Plan(d, batch, training=False, backward=backward, input_gradient=backward, depth=d.logit_depth,
                  x1=source.y1, dx=source.dy)  # fmt: skip
    return source, critic


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
    per_probe = 2 * COARSE
    copies = int(np.clip(STACK_BYTES // problem.bytes, per_probe + 1, STACK_LIMIT))
    copies = min(copies, 1 + per_probe * len(probes))
    views, run = problem.stack(copies)
    evaluate = _evaluator(problem, views, run, copies)
    _refuse_chance(problem, views, run)
    rounding = ROUNDING * _largest(problem.analytic)
    fate, numeric = _judge(probes, evaluate, range(COARSE), report.tolerance, rounding)
    open_ = [i for i, f in enumerate(fate) if f != "certified"]
    if open_:
        closer = range(COARSE - 1, COARSE + FINE)
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
    if not np.isfinite(claim).all():
        claim = np.where(np.isfinite(claim), claim, np.inf)  # never written, or overflowed: must not pass
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
    touched = (up != down) * (np.abs(up) + np.abs(down))
    return np.array([central, forward, backward, EPS * touched.sum(axis=-1) / (2 * h)])


def _refuse_chance(problem, views, run):
    """Raise unless two evaluations at the base point agree bit for bit."""
    for name, array in problem.base.items():
        views[name][...] = array
    first = run().copy()
    for name, array in problem.base.items():
        views[name][...] = array
    if not np.array_equal(first, run(), equal_nan=True):
        raise ValueError("the function is not deterministic: two evaluations at the same point differ, so its differences "
                         "are not derivatives; fix its random numbers (dropout, noise) before checking gradients")  # fmt: skip


def _largest(arrays):
    return max(float(np.abs(array).max(initial=0)) for array in arrays.values())


def _judge(probes, evaluate, levels, tolerance, rounding):
    """(fate, numeric value) of every probe, from differences at FIRST_STEP·RATIO^−level of its scale."""
    scales = np.array([p.scale for p in probes])
    claims = np.array([p.claim for p in probes])
    steps = np.array([scales * FIRST_STEP / RATIO**level for level in levels])
    # a step that the coordinate can hold exactly: no error from (θ + h) − θ
    steps = 2.0 ** np.round(np.log2(steps))
    central, forward, backward, noise = evaluate(probes, steps)
    numeric, uncertainty = _ridders(central, noise, _smooth(np.abs(forward - backward), noise))
    difference = np.abs(claims - numeric)
    certified = difference <= tolerance * np.maximum(np.abs(claims), np.abs(numeric))
    fate = np.where(certified, "certified", np.where(difference <= np.maximum(4 * uncertainty, rounding), "noise", "failed"))
    fate = np.where(np.isinf(uncertainty), "kink", fate)
    return list(fate), list(numeric)


def _smooth(gap, noise):
    """(levels − 1, probes): is the function smooth across this step and the next, and all that are smaller?

    The gap between the slopes to the right and to the left is h·f″ + O(h³) for a smooth function, so the next step's
    is a quarter of it. A kink between −h and h adds a jump that does not scale. Many kinks may look right by chance
    at one step, hardly at all the smaller ones.
    """
    fits = np.abs(gap[1:] - gap[:-1] / RATIO) <= 0.05 * gap[:-1] + 16 * noise[1:]
    return np.logical_and.accumulate(fits[::-1])[::-1]


def _ridders(central, noise, smooth):
    """(value, uncertainty) per probe: the entry of the Richardson table that moved least from its neighbours.

    Only entries made of smooth steps count; where there is none, the uncertainty is infinite.
    """
    best, value = np.full(central.shape[1], np.inf), central[-1].copy()
    columns = [central]
    for order in (1, 2):
        factor = RATIO ** (2 * order)
        before = columns[-1]
        now = (factor * before[1:] - before[:-1]) / (factor - 1)
        columns.append(now)
        usable = smooth if order == 1 else smooth[1:] & smooth[:-1]
        moved = np.maximum(np.abs(now - before[1:]), 2 * noise[order:])
        for level in range(len(now)):
            better = usable[level] & (moved[level] < best)
            best, value = np.where(better, moved[level], best), np.where(better, now[level], value)
    return value, best


def _row(problem, name, results):
    """The report's row for one tensor."""
    shape = problem.base[name].shape
    counts = {f: sum(fate == f for _, fate, _ in results) for f in ("certified", "noise", "kink", "failed")}
    errors = []
    for probe, fate, numeric in results:
        size = max(abs(probe.claim), abs(numeric))
        relative = abs(probe.claim - numeric) / size if size else 0.0
        errors.append((fate == "failed", relative if fate in ("certified", "failed") else -1.0))
    worst = max(range(len(results)), key=errors.__getitem__)
    probe, _, numeric = results[worst]
    judged = counts["certified"] + counts["failed"] > 0
    if counts["failed"]:
        verdict = "FAIL"
    elif counts["certified"]:
        verdict = "ok"
    else:
        rounding = ROUNDING * _largest(problem.analytic)
        zero = not counts["kink"] and all(abs(probe.claim) <= rounding for probe, _, _ in results)
        verdict = "zero" if zero else "unproven"
    index = None if probe.index is None else tuple(int(i) for i in np.unravel_index(probe.index, shape))
    return Row(problem.prefix + name, shape, len(results), counts["certified"], counts["noise"], counts["kink"], counts["failed"],
               errors[worst][1] if judged else 0.0, index, float(probe.claim), float(numeric), verdict)  # fmt: skip
