"""What a gradient check differentiates: layers, networks, losses and GAN steps as functions of named tensors.

A `Problem` pairs the gradient that the hand-written code claims with a way to evaluate the function itself at many
points at once, perturbed copies stacked on the replica axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import ArgumentError, ArgumentTypeError, mapping, real_array
from numgan.gan.conditions import arrays
from numgan.gan.model import GAN
from numgan.gan.penalty import GENERATED, REAL
from numgan.gan.steps import SEPARATE, DiscriminatorStep, GeneratorStep, scores_of
from numgan.gradcheck.second_order import Paid, payments
from numgan.hints import Array, Named, Numbers, Rng
from numgan.nn.calls import runs
from numgan.nn.losses import trusting
from numgan.nn.network import Sequential, copy_layer
from numgan.nn.plan import Plan

if TYPE_CHECKING:
    from numgan.gradcheck.report import Report


@dataclass
class Problem:
    """A function of named tensors, f = Σ terms, and the gradient that is claimed for it.

    base       name -> float64 array: the point at which to differentiate.
    claim      function (point like base) -> name -> array of the same shape: the gradient claimed there.
    make       function (R) -> (views, run): views name -> (R, *shape) to write perturbed values to; run() -> (R, m),
               the terms of f for each of the R copies.
    bytes      memory of one copy, roughly.
    rows       samples in a batch, for remarks on wrong gradients; 0 where there is no batch.
    columns    whether samples are columns, as in a kernel's arrays, and not rows, for these remarks too.
    analytic   the claim at base, worked out after a pass on other numbers: buffers left stale show in it.
    again      the claim of the pass after that, at base, too.
    drifting   the tensors of which it is another: gradients that are added up, or drawn.
    steps      the tensors of whole numbers that choose: around each of them the function is flat.
    known      tensor -> name -> array of its shape, for remarks on wrong gradients: what the claim is made of.
    """

    base: Named
    claim: Callable[[Named], Named]
    make: Callable[[int], Any]
    bytes: int
    prefix: str = ""
    rows: int = 0
    columns: bool = False
    steps: tuple[str, ...] = ()
    known: dict[str, Named] = field(default_factory=dict)
    analytic: Named = field(init=False)
    again: Named = field(init=False)
    drifting: list[str] = field(init=False)

    def __post_init__(self) -> None:
        # not −a, nor a shifted: what is left of this pass must look like no other mistake
        self.claim({name: 0.7 * np.flip(a) + 0.1 for name, a in self.base.items()})
        self.analytic, self.again = ({name: np.array(a) for name, a in self.claim(self.base).items()} for _ in range(2))
        self.drifting = [
            name for name, a in self.analytic.items() if not np.allclose(a, self.again[name], 1e-9, 0, True)
        ]


def learnt(view: Named, point: Named) -> None:
    """Write a point into a network's views."""
    for name, array in view.items():
        array[...] = point[name]


def as_network(subject: Any, x: Numbers, rng: Rng) -> Sequential:
    """The subject as a float64 network; a lone layer gets random parameters, as it has none yet."""
    if isinstance(subject, Sequential):
        return subject.copy("float64")
    if hasattr(subject, "params"):
        raise ArgumentTypeError(
            f"layer '{subject.name}' belongs to a network; check the network, or a layer of its own"
        )
    network = Sequential([copy_layer(subject)], np.shape(x)[1:], rng, "float64", name="layer")
    network.values[...] = rng.normal(0, 0.7, network.values.shape)
    for layer in network.layers:
        for name, array in layer.state.items():
            if name != "key":  # of which any start is as good as another, but none that is not whole
                array[...] = (
                    rng.uniform(0.5, 1.5, array.shape) if "variance" in name else rng.normal(0, 0.5, array.shape)
                )
    for call in network.after_update():  # of an update that led to these parameters
        call.run()
    return network


def network_problem(
    network: Sequential,
    x: Numbers,
    training: bool,
    rng: Rng,
    conditions: Mapping[str, Array] = MappingProxyType({}),
) -> Problem:
    """L = Σ y·c for random c of y's shape."""
    x = np.asarray(network.check_input(x), np.float64)
    plan = Plan(network, len(x), training=training, backward=True, input_gradient=True)
    weights, other = (rng.standard_normal(network.samples_first(plan.y).shape) for _ in range(2))
    first = [other]  # of the first pass, which is on other numbers in every way

    def start():
        np.copyto(network.samples_first(plan.dy), first.pop() if first else weights)

    problem = network_terms(network, plan, x, start, lambda y: y * weights, training, conditions=conditions)
    if weights.shape == x.shape and len(network.layers) == 1:
        y = network.forward(x, training, **conditions).copy()
        problem.known = {"input": {"∂L/∂y": weights, "y": y}}
    return problem


def network_terms(
    network: Sequential,
    plan: Plan,
    x: Array,
    start: Callable[[], Any],
    terms: Callable[[Array], Array],
    training: bool,
    depth: int | None = None,
    paid: Paid | None = None,
    conditions: Mapping[str, Array] = MappingProxyType({}),
) -> Problem:
    """A problem on a network's parameters and input: `start` writes ∂L/∂y, `terms` are those of L as y has them, `paid`
    is what is added to L. Conditions stay as they are.
    """
    network.fill_conditions(plan, conditions)
    views = network.parameters() if training else {}
    steps = ("input",) if takes_indices(network) else ()
    # indices are moved to where they stand for themselves: halfway between two of them the function jumps
    base = {name: array.copy() for name, array in views.items()} | {"input": np.rint(x) if steps else x}
    state = network.state.copy()  # running statistics as they are now, not as a training pass leaves them
    columns = network.samples_first(plan.x)
    add = paid.adding(network) if paid else lambda: None

    def claim(point):
        learnt(views | {"input": columns}, point)
        network.state[...] = state
        plan.run_forward()
        start()
        plan.run_backward()
        add()
        found = {name: a.copy() for name, a in network.gradients().items()} if training else {}
        found["input"] = network.samples_first(plan.dx).copy()
        learnt(views, base)
        network.state[...] = state
        return found

    def make(replicas):
        twin = network.copy(replicas=replicas)
        inner = Plan(twin, len(x), training=training, backward=False, depth=depth)
        twin.fill_conditions(inner, conditions)
        more = paid.terms(twin) if paid else lambda: np.empty((replicas or 1, 0))

        def run():
            twin.state[...] = state
            inner.run_forward()
            own = terms(twin.samples_first(inner.y)).reshape(replicas or 1, -1)
            return np.concatenate([own, more().reshape(replicas or 1, -1)], axis=1)

        return (twin.parameters() if training else {}) | {"input": twin.samples_first(inner.x)}, run

    size = network.values.size + 3 * len(x) * sum(math.prod(shape) + 1 for shape in network.shapes)
    return Problem(base, claim, stackable(make, base), 8 * size, rows=len(x), steps=steps)


def takes_indices(network: Sequential) -> bool:
    """Whether the first layer that does anything takes indices."""
    return next((layer.takes_indices for layer in network.layers if not layer.is_view), False)


def along(problem: Problem, rng: Rng) -> Problem:
    """The same function on a line through the point, all tensors moved at once but those of steps: of one number, t."""
    scales = {name: math.sqrt(np.mean(a**2)) or 1.0 for name, a in problem.base.items()}
    scales |= dict.fromkeys(problem.steps, 0.0)
    line = {name: scales[name] * rng.standard_normal(a.shape) for name, a in problem.base.items()}

    def claim(point):
        found = problem.claim({name: a + point["t"] * line[name] for name, a in problem.base.items()})
        return {"t": np.array([sum(float(np.vdot(a, line[name])) for name, a in found.items())])}

    def make(replicas):
        views, inner = problem.make(replicas)
        t = np.empty((replicas, 1))

        def run():
            for name, view in views.items():
                np.multiply(t.reshape(-1, *[1] * line[name].ndim), line[name], out=view)
                view += problem.base[name]
            return inner()

        return {"t": t}, run

    return Problem({"t": np.zeros(1)}, claim, make, problem.bytes)


def stackable(make: Callable[[int | None], Any], base: Named) -> Callable[[int], Any]:
    """`make` itself if its stacked copies give what single ones give; else a form that runs copies one by one."""
    single, run_single = make(None)
    points = [base, {name: 1.01 * array + 0.01 for name, array in base.items()}]

    def evaluate(point):
        for name, view in single.items():
            view[...] = point[name]
        return np.array(run_single(), np.float64).ravel()

    expected = np.array([evaluate(point) for point in points])
    try:
        views, run = make(len(points))
        for name, view in views.items():
            view[...] = [point[name] for point in points]
        if np.allclose(run(), expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max(initial=0)):
            return make
    except Exception:  # whatever a layer does when an axis is in its way
        pass

    def one_by_one(replicas):
        views = {name: np.empty((replicas, *array.shape)) for name, array in base.items()}

        def run():
            return np.array([evaluate({name: view[r] for name, view in views.items()}) for r in range(replicas)])

        return views, run

    return one_by_one


def loss_problem(loss: Any, prediction: Numbers, target: Numbers | None) -> Problem:
    """L = mean ℓ over the batch, a function of the predictions."""
    if target is None:
        raise ArgumentTypeError("checking a loss needs target=…, of the predictions' shape")
    prediction = np.array(real_array("check_gradients: x", prediction), np.float64)
    target = np.asarray(loss.check_target(target, prediction.shape), np.float64)
    loss = trusting(loss)  # differences look beyond what a loss would take, as at probabilities of 0 and 1

    def claim(point):
        out = np.full_like(prediction, np.nan)  # where training looks, whatever may be returned
        loss.gradient(point["prediction"], target, out)
        return {"prediction": out}

    def make(replicas):
        view = np.empty((replicas, *prediction.shape))

        def run():
            terms = loss.elements(view, target).reshape(replicas, -1)
            return terms / terms.shape[1]

        return {"prediction": view}, run

    known = {"prediction": {"target": target}} if target.shape == prediction.shape else {}
    return Problem({"prediction": prediction}, claim, make, 8 * 4 * prediction.size, rows=len(prediction), known=known)


def gan_problems(gan: GAN, x: Any, given: Mapping[str, Any], report: Report) -> list[Problem]:
    """The gradients that a GAN's two steps compute, each with the loss that they are of; `given` are the conditions."""
    real, noise = (np.asarray(a, np.float64) for a in x)
    if len(real) != len(noise):
        raise ArgumentError(f"checking a GAN takes as many real rows as noise rows, got {len(real)} and {len(noise)}")
    given = mapping("check_gradients: conditions", given)
    given = arrays(gan.conditions, given, len(real), gan.generator, "check_gradients")
    given = {name: np.array(c) for name, c in given.items()}
    mix = np.random.default_rng(len(real)).uniform(size=len(real))
    problems = discriminator_problems(gan, real, noise, mix, given, report)
    return [*problems, generator_problem(gan, noise, real, given, report)]


def _twin(gan, penalised=True):
    """The same GAN in float64, with optimisers of its own; without its penalty where a step is not `penalised`."""
    how = {name: getattr(gan, name) for name in ("objective", "schedule", "conditions", "matching_aware")}
    how |= {"l1_weight": gan.l1 and gan.l1.weight, "penalty": gan.penalty if penalised else None}
    return GAN(gan.generator.copy("float64"), gan.discriminator.copy("float64"), **how)


def discriminator_problems(
    gan: GAN, real: Array, noise: Array, mix: Array, given: Named, report: Report, penalised: bool = True
) -> list[Problem]:
    """The discriminator's step on these rows, an update a problem, all at the weights as they are now.

    mix  (rows,), for a penalty that mixes rows; without one it does not matter.
    penalised  whether it is a step of which the penalty is part, if there is one. Default True.
    """
    twin = _twin(gan, penalised)
    g, d, objective = twin.generator, twin.discriminator, twin.objective
    fakes = g.predict(noise, **given)
    paid = payments(twin, {REAL: real, GENERATED: fakes}, mix, given)
    false, under = ([real, fakes], [WRONG, RIGHT]) if gan.matching_aware else ([fakes], [RIGHT])
    if gan.schedule == SEPARATE:
        batches = [("discriminator step on real", [real], [RIGHT], len(real)), ("on generated", false, under, 0)]
    else:
        batches = [("discriminator step", [real, *false], [RIGHT, *under], len(real))]
    before = _fingerprint(g, twin.generator_optimizer)
    step, inputs = DiscriminatorStep(twin, len(real)), {"real": real, "noise": noise, "mix": mix}
    claims = _claimed_gradients(step, d, twin.discriminator_optimizer, inputs, given)
    if _fingerprint(g, twin.generator_optimizer) != before:
        report.broken.append("the discriminator's step changed the generator")
    return [
        _critic_problem(objective, _with_state(d, state), rows, under, given, reals, claim, name, pays)
        for (name, rows, under, reals), (claim, state), pays in zip(batches, claims, paid[: len(claims)], strict=True)
    ]


def generator_problem(gan: GAN, noise: Array, real: Array | None, given: Named, report: Report) -> Problem:
    """The generator's step on this noise, through the discriminator as it is now. `real` as the step takes it."""
    twin = _twin(gan)
    g, d = twin.generator, twin.discriminator
    before = _fingerprint(d, twin.discriminator_optimizer)
    inputs = {"noise": noise} | ({"real": real} if twin.compares else {})
    claims = _claimed_gradients(GeneratorStep(twin, len(noise)), g, twin.generator_optimizer, inputs, given)
    if _fingerprint(d, twin.discriminator_optimizer) != before:
        report.broken.append("the generator's step changed the frozen discriminator")
    opponents = [_scores(d, real, given)] if twin.objective.pairs else []
    return _chain_problem(twin, noise, given, opponents, real, claims[0][0])


def RIGHT(c: Array) -> Array:
    """The conditions of rows as they are."""
    return c


def WRONG(c: Array) -> Array:
    """Each row's is that of the next, the last one's that of the first."""
    return np.concatenate([c[1:], c[:1]])


def _claimed_gradients(step, network, optimizer, inputs, given):
    """[(gradients, the state that their pass started from)] for each update of a training step, which is caught in
    place of being applied. What follows an update of the network, such as clipping its values, is left out with it.

    The step runs twice, first on other numbers, so that stale buffers and added-up gradients show. The network's own
    state is put back: running statistics and dropout's keys move in a training pass. So a step's second pass draws
    other masks than its first.
    """
    state = network.state.copy()
    for factor in (-0.7, 1.0):
        claims, network.state[...], start = [], state, state
        others = given if factor == 1 else {name: WRONG(c) for name, c in given.items()}
        step.fill(**{name: factor * array for name, array in inputs.items()}, conditions=others)
        for call in step.calls:
            if call.run == optimizer.update:
                claims.append(({name: array.copy() for name, array in network.gradients().items()}, start))
                start = network.state.copy()
            elif not call.skipped and not _follows_update(call, network):
                call.run()
    network.state[...] = state
    return claims


def _follows_update(call, network):
    """Whether a call of a training step is of those that follow an update of the network."""
    own = network.values, network.state
    return call.direction == "update" and any(np.may_share_memory(a, b) for a in call.arrays for b in own)


def _with_state(network, state):
    twin = network.copy()
    twin.state[...] = state
    return twin


def _fingerprint(network, optimizer):
    arrays = (network.values, network.grads, network.state, *optimizer.state.values())
    return b"".join(a.tobytes() for a in arrays) + bytes(str(optimizer.steps), "ascii")


def _discriminator_terms(objective, reals, axes):
    """The terms of the discriminator's loss on its outputs (…, rows, *shape), shape of so many axes, of which the first
    `reals` are of real rows: a score for each, or for each patch.
    """

    def terms(y):
        z = y.reshape(*y.shape[:-axes], -1)
        return objective.discriminator_terms(z[..., :reals, :], z[..., reals:, :])

    return terms


def _critic_problem(objective, d, parts, under, given, reals, claim, name, paid):
    """The discriminator's step on one batch of `parts`, each under the conditions that a function makes of those given;
    the input's gradient, which training never asks for, is added. What a penalty is paid at are points of their own,
    which that gradient does not see.
    """
    rows = np.concatenate(parts)
    given = {name: np.concatenate([of(c) for of in under]) for name, c in given.items()}
    plan = Plan(d, len(rows), training=True, backward=True, input_gradient=True, depth=d.logit_depth)
    calls = objective.discriminator_gradient(scores_of(plan), plan.dy1[..., :-1, :], reals)

    def start():
        for run in runs(calls):
            run()

    terms = _discriminator_terms(objective, reals, len(d.shapes[-1]))
    problem = network_terms(d, plan, rows, start, terms, True, d.logit_depth, paid, given)
    problem.analytic |= claim  # as training has it
    problem.prefix = name + ": "
    return problem


def _scores(d, rows, given):
    """The frozen discriminator's scores of given rows, (patches, rows)."""
    plan = Plan(d, len(rows), training=False, backward=False, depth=d.logit_depth)
    np.copyto(d.samples_first(plan.x), rows)
    d.fill_conditions(plan, given)
    plan.run_forward()
    return scores_of(plan)


def _chain_problem(gan, noise, given, opponents, targets, claim):
    """The generator's step through the frozen discriminator, with the noise's gradient added. `opponents` are the
    scores of the real rows that generated ones are compared with: one array, or none.
    """
    objective, g, d = gan.objective, gan.generator, gan.discriminator
    source, critic = _chain(g, d, len(noise), given, True)
    start = objective.generator_gradient(scores_of(critic), critic.dy1[..., :-1, :], *opponents)
    weight = gan.l1.weight if gan.l1 else 0.0

    def pull():
        """The second gradient at the generator's output, from its definition."""
        if weight:
            away = np.sign(g.samples_first(source.y) - targets)
            g.samples_first(source.dy)[...] += weight / targets.size * away

    ups, downs = runs([*source.forward, *critic.forward, *start, *critic.backward]), runs(source.backward)
    calls = [*ups, pull, *downs]
    views, columns = g.parameters(), g.samples_first(source.x)
    state, frozen = g.state.copy(), d.state.copy()
    base = {name: array.copy() for name, array in views.items()} | {"noise": noise}

    def claims(point):
        learnt(views | {"noise": columns}, point)
        g.state[...], d.state[...] = state, frozen
        for run in calls:
            run()
        found = {name: a.copy() for name, a in g.gradients().items()} | {"noise": g.samples_first(source.dx).copy()}
        learnt(views, base)
        g.state[...], d.state[...] = state, frozen
        return found

    def make(replicas):
        g_twin, d_twin = g.copy(replicas=replicas), d.copy(replicas=replicas)
        inner, head = _chain(g_twin, d_twin, len(noise), given, False)

        def run():
            g_twin.state[...], d_twin.state[...] = state, frozen
            inner.run_forward()
            head.run_forward()
            losses = objective.generator_losses(scores_of(head), *opponents).reshape(replicas or 1, -1)
            terms = losses / losses.shape[1]
            if not weight:
                return terms
            far = np.abs(g_twin.samples_first(inner.y) - targets).reshape(replicas or 1, -1)
            return np.concatenate([terms, weight * far / targets.size], axis=1)

        return g_twin.parameters() | {"noise": g_twin.samples_first(inner.x)}, run

    size = g.values.size + d.values.size + 3 * len(noise) * sum(math.prod(shape) + 1 for shape in g.shapes + d.shapes)
    problem = Problem(base, claims, stackable(make, base), 8 * size, "generator step: ", len(noise))
    problem.analytic |= claim
    return problem


def _chain(g, d, batch, given, backward):
    """The chain built anew, not taken from `GeneratorStep`: a fault there must not reach what it is held against."""
    critic = Plan(d, batch, training=False, backward=backward, input_gradient=backward, depth=d.logit_depth)
    how = {"y1": critic.x1, "dy1": critic.dx1}
    source = Plan(g, batch, training=True, backward=backward, input_gradient=backward, **how)
    for network, plan in ((g, source), (d, critic)):
        network.fill_conditions(plan, given)
    return source, critic
