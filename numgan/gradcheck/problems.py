"""What a gradient check differentiates: layers, networks, losses and GAN steps as functions of named tensors.

A `Problem` pairs the gradient that the hand-written code claims with a way to evaluate the function itself at many
points at once, perturbed copies stacked on the replica axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import ArgumentError, ArgumentTypeError, real_array
from numgan.gan.model import GAN
from numgan.gan.penalty import GENERATED, REAL
from numgan.gan.steps import SEPARATE, DiscriminatorStep, GeneratorStep
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


def network_problem(network: Sequential, x: Numbers, training: bool, rng: Rng) -> Problem:
    """L = Σ y·c for random c of y's shape."""
    x = np.asarray(network.check_input(x), np.float64)
    plan = Plan(network, len(x), training=training, backward=True, input_gradient=True)
    weights, other = (rng.standard_normal(network.samples_first(plan.y).shape) for _ in range(2))
    first = [other]  # of the first pass, which is on other numbers in every way

    def start():
        np.copyto(network.samples_first(plan.dy), first.pop() if first else weights)

    problem = network_terms(network, plan, x, start, lambda y: y * weights, training)
    if weights.shape == x.shape and len(network.layers) == 1:
        y = network.forward(x, training).copy()
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
) -> Problem:
    """A problem on a network's parameters and input: `start` writes ∂L/∂y, `terms` are those of L as y has them, `paid`
    is what is added to L.
    """
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
                for r in range(replicas):
                    np.add(problem.base[name], t[r] * line[name], out=view[r])
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


def gan_problems(gan: GAN, x: Any, report: Report) -> list[Problem]:
    """The gradients that a GAN's two steps compute, each with the loss that they are of."""
    real, noise = (np.asarray(a, np.float64) for a in x)
    if len(real) != len(noise):
        raise ArgumentError(f"checking a GAN takes as many real rows as noise rows, got {len(real)} and {len(noise)}")
    g, d = gan.generator.copy("float64"), gan.discriminator.copy("float64")
    twin = GAN(g, d, objective=gan.objective, schedule=gan.schedule, penalty=gan.penalty)
    fakes, objective = g.predict(noise), twin.objective
    mix = np.random.default_rng(len(real)).uniform(size=len(real))
    paid = payments(twin, {REAL: real, GENERATED: fakes}, mix)
    if gan.schedule == SEPARATE:
        batches = [("discriminator step on real", real, len(real)), ("on generated", fakes, 0)]
    else:
        batches = [("discriminator step", np.concatenate([real, fakes]), len(real))]
    before = _fingerprint(g, twin.generator_optimizer)
    step, inputs = DiscriminatorStep(twin, len(real)), {"real": real, "noise": noise}
    mixed = {"mix": mix} if step.mix is not None else {}
    claims = _claimed_gradients(step, d, twin.discriminator_optimizer, inputs | mixed)
    if _fingerprint(g, twin.generator_optimizer) != before:
        report.broken.append("the discriminator's step changed the generator")
    problems = [
        _critic_problem(objective, _with_state(d, state), rows, reals, claim, name, pays)
        for (name, rows, reals), (claim, state), pays in zip(batches, claims, paid[: len(claims)], strict=True)
    ]
    before = _fingerprint(d, twin.discriminator_optimizer)
    inputs = {name: array for name, array in inputs.items() if name == "noise" or objective.pairs}
    claims = _claimed_gradients(GeneratorStep(twin, len(noise)), g, twin.generator_optimizer, inputs)
    if _fingerprint(d, twin.discriminator_optimizer) != before:
        report.broken.append("the generator's step changed the frozen discriminator")
    opponents = [_scores(d, real)] if objective.pairs else []
    problems.append(_chain_problem(objective, g, d, noise, opponents, claims[0][0]))
    return problems


def _claimed_gradients(step, network, optimizer, inputs):
    """[(gradients, the state that their pass started from)] for each update of a training step, which is caught in
    place of being applied. What follows an update of the network, such as clipping its values, is left out with it.

    The step runs twice, first on other numbers, so that stale buffers and added-up gradients show. The network's own
    state is put back: running statistics and dropout's keys move in a training pass. So a step's second pass draws
    other masks than its first.
    """
    state = network.state.copy()
    for factor in (-0.7, 1.0):
        claims, network.state[...], start = [], state, state
        for name, array in inputs.items():
            np.copyto(getattr(step, name), factor * array)
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


def _discriminator_terms(objective, reals):
    """The terms of the discriminator's loss on scores (…, rows, 1), of which the first `reals` are of real rows."""

    return lambda z: objective.discriminator_terms(z[..., :reals, :], z[..., reals:, :])


def _critic_problem(objective, d, rows, reals, claim, name, paid):
    """The discriminator's step on one batch; the input's gradient, which training never asks for, is added. What a
    penalty is paid at are points of their own, which that gradient does not see.
    """
    plan = Plan(d, len(rows), training=True, backward=True, input_gradient=True, depth=d.logit_depth)
    calls = objective.discriminator_gradient(plan.y, plan.dy, reals)

    def start():
        for run in runs(calls):
            run()

    problem = network_terms(d, plan, rows, start, _discriminator_terms(objective, reals), True, d.logit_depth, paid)
    problem.analytic |= claim  # as training has it
    problem.prefix = name + ": "
    return problem


def _scores(d, rows):
    """The frozen discriminator's scores of given rows, (1, rows)."""
    plan = Plan(d, len(rows), training=False, backward=False, depth=d.logit_depth)
    np.copyto(d.samples_first(plan.x), rows)
    plan.run_forward()
    return plan.y


def _chain_problem(objective, g, d, noise, opponents, claim):
    """The generator's step through the frozen discriminator, with the noise's gradient added. `opponents` are the
    scores of the real rows that generated ones are compared with: one array, or none.
    """
    source, critic = _chain(g, d, len(noise), True)
    start = objective.generator_gradient(critic.y, critic.dy, *opponents)
    calls = runs([*source.forward, *critic.forward, *start, *critic.backward, *source.backward])
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
        inner, head = _chain(g_twin, d_twin, len(noise), False)

        def run():
            g_twin.state[...], d_twin.state[...] = state, frozen
            inner.run_forward()
            head.run_forward()
            return objective.generator_losses(head.y, *opponents).reshape(replicas or 1, -1) / len(noise)

        return g_twin.parameters() | {"noise": g_twin.samples_first(inner.x)}, run

    size = g.values.size + d.values.size + 3 * len(noise) * sum(math.prod(shape) + 1 for shape in g.shapes + d.shapes)
    problem = Problem(base, claims, stackable(make, base), 8 * size, "generator step: ", len(noise))
    problem.analytic |= claim
    return problem


def _chain(g, d, batch, backward):
    """The chain built anew, not taken from `GeneratorStep`: a fault there must not reach what it is held against."""
    source = Plan(g, batch, training=True, backward=backward, input_gradient=backward)
    critic = Plan(
        d,
        batch,
        training=False,
        backward=backward,
        input_gradient=backward,
        depth=d.logit_depth,
        x1=source.y1,
        dx1=source.dy1,
    )
    return source, critic
