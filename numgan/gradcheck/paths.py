"""The paths that training takes and a gradient check alone does not.

A check differentiates one pass: in float64, at one batch, every buffer apart, ∂L/∂y about 1, the input's gradient asked
for. Training runs in float32, in place, block by block, on other batches, without the first layer's input gradient, and
on gradients of any size. Each of these has to give the same numbers, and here each is held against the pass that was
checked. What does not is a broken guarantee of the report. So is an output that a layer or loss leaves unwritten.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from numgan.gradcheck.differences import check_problem
from numgan.gradcheck.problems import along, network_problem
from numgan.gradcheck.report import Report
from numgan.hints import Array, Named, Numbers, Rng
from numgan.nn import buffers
from numgan.nn.layer import Layer
from numgan.nn.network import Sequential, copy_layer
from numgan.nn.plan import Plan

SAME = 1e-10  # relative to the largest of its tensor, in float64
SINGLE = 2e-3  # the same in float32, in the root mean square
HELD = (1e-30, 1e30)  # sizes that float32 holds to all its bits, with room
SCALES = (1e-12, 1e-6, 1e6, 1e12)  # of ∂L/∂y
BATCHES = (1, 2, 200)  # rows, besides one more than were given
MANY = 100_000  # parameters, with which a network takes seconds at each batch size: it is tried at one more row alone
LARGE = 3 * buffers.BLOCK  # values in a layer, beyond which featurewise layers go block by block
ROWS_AT_MOST = 4_096
FILLS = (0.37, -1.93)  # what stands in an output before a pass, by turns: where both are still there, nobody wrote


class _Negative(Layer):
    """y = −x, in memory of its own: below an in-place layer it is something to overwrite."""

    reads_output = False

    def forward(self, x: Array, out: Array) -> None:
        np.negative(x, out=out)

    def backward_input(self, x: Array, y: Array, dy: Array, out: Array) -> None:
        np.negative(dy, out=out)


class _NegativeInPlace(_Negative):
    """The same over its input: above a layer whose output nobody is said to read, it overwrites that."""

    in_place_forward = True
    in_place_backward = True


def walk(
    network: Sequential,
    x: Numbers,
    training: bool,
    report: Report,
    rng: Rng,
    conditions: Mapping[str, Array] = MappingProxyType({}),
) -> None:
    """Add to report.broken what of a float64 network gives other numbers on another path."""
    x = np.asarray(x, np.float64)
    state = network.state.copy()
    with np.errstate(all="ignore"):
        values = _Pass(network, x, training, rng, conditions)
        more, theirs = _more(network, x, conditions, rng)
        large = _Pass(network, more, training, rng, theirs)
        for path, words in (
            (lambda: _unwritten_by_layers(values), "layer by layer"),
            (lambda: _linear(values, rng), "with another ∂L/∂y"),
            (lambda: _without_input_gradient(values), "without the input's gradient"),
            (lambda: _in_place(values), "in place between other layers"),
            (lambda: _at(values, "at this batch"), "at this batch, block by block or in float32"),
            (lambda: _at(large, "at a large batch"), "at a large batch, block by block or in float32"),
            (lambda: _other_batches(network, x, conditions, training, report, rng), "at another batch"),
        ):
            try:
                report.broken += path()
            except Exception as error:  # on a path that training takes nothing may be raised
                report.broken.append(f"{words} it raises {type(error).__name__}: {error}")
        report.notes += _replicas(values)
    network.state[...] = state


class _Pass:
    """One forward and backward pass of a network on given numbers: y, the input's gradient and the parameters'."""

    def __init__(
        self, network: Sequential, x: Array, training: bool, rng: Rng, conditions: Mapping[str, Array]
    ) -> None:
        self.network, self.x, self.training, self.conditions = network, x, training, conditions
        self.state = network.state.copy()
        self.c = rng.standard_normal((len(x), *network.shapes[-1]))
        self.result = self.run(self.c)

    def run(self, c: Array, network: Sequential | None = None, **options: bool) -> dict[str, Array]:
        """name -> array, by the network or another with the same layers; by a stack of such if x and c are stacked."""
        network = network or self.network
        rows = self.x.shape[len(network.replicas)]
        plan = Plan(network, rows, training=self.training, backward=True, **{"input_gradient": True} | options)
        network.state[...] = self.state
        np.copyto(network.samples_first(plan.x), self.x)
        network.fill_conditions(plan, self.conditions)
        plan.run_forward()
        found = {"output": network.samples_first(plan.y).copy()}
        np.copyto(network.samples_first(plan.dy), c)
        plan.run_backward()
        if plan.dx is not None:
            found["input"] = network.samples_first(plan.dx).copy()
        if self.training:
            found["parameters"] = network.grads.copy()
        found["state"] = network.state.copy()
        return found


def _unwritten_by_layers(values):
    """The outputs that a layer leaves as they were, each layer in a network of its own, on what the one before gives.

    Buffers start as zeros: a layer that writes nothing would agree with its own differences that all is zero.
    """
    x = values.x
    for layer, shape in zip(values.network.layers, values.network.shapes[:-1], strict=True):
        alone = Sequential([copy_layer(layer)], shape, np.random.default_rng(0), "float64")
        twin = alone.layers[0]
        for name, array in (twin.params | twin.state).items():
            array[...] = (layer.params | layer.state)[name]
        plan = Plan(alone, len(x), training=values.training, backward=True, input_gradient=True)
        outputs = {("forward", "`out`"): plan.y, ("backward_input", "`out`"): plan.dx}
        if values.training:
            outputs |= {("backward_parameters", f"the gradient of {name}"): a for name, a in twin.grads.items()}
        dy, passes = np.random.default_rng(1).standard_normal(plan.dy.shape), []
        for fill in FILLS:
            for output in outputs.values():
                output[...] = fill
            np.copyto(alone.samples_first(plan.x), x)  # after the fills: x and y may be the same memory, dy and dx too
            alone.fill_conditions(plan, {name: values.conditions[name] for name in alone.conditions})
            np.copyto(plan.dy, dy)
            plan.run_forward()
            plan.run_backward()
            passes.append([output.copy() for output in outputs.values()])
        for (method, what), first, second in zip(outputs, *passes, strict=True):
            yield from _unwritten(f"{layer.name}: {method}", what, first, second)
        x = alone.samples_first(plan.y).copy()


def unwritten_by_loss(loss: Any, prediction: Numbers, target: Numbers) -> Iterator[str]:
    """The same of a loss's gradient."""
    passes = [np.full(np.shape(prediction), fill) for fill in FILLS]
    for out in passes:
        loss.gradient(np.array(prediction, np.float64), target, out)
    return _unwritten(f"{type(loss).__name__}: gradient", "`out`", *passes)


def _unwritten(who, what, first, second):
    """A sentence where an output, filled with one of FILLS before a pass and with the other before the next, holds
    them still.
    """
    left = np.count_nonzero((first == FILLS[0]) & (second == FILLS[1]))
    if left:
        yield f"{who} did not write {'' if left == first.size else f'{left:,} of the {first.size:,} numbers of '}{what}"


def _far(ours: dict[str, Array], expected: dict[str, Array], tolerance: float) -> Iterator[str]:
    """The tensors that differ."""
    for name, array in ours.items():
        wanted = expected[name]
        size = np.abs(wanted).max(initial=0)
        distance = np.abs(array - wanted).max(initial=0)
        if not distance <= tolerance * max(size, 1e-300):  # a NaN is far from everything
            yield f"{name} by {distance / max(size, 1e-300):.1e}"


def _far_in_single(ours, expected, rounded):
    """The tensors of a float32 run that differ from float64's by more than float32 has a right to.

    In the root mean square, as rounding at a kink may flip a few. What the input's own rounding changes, in float64, no
    float32 run can avoid: a batch norm of values around 10⁴ loses four of the seven digits.
    """
    for name, wanted in expected.items():
        size = np.abs(wanted).max(initial=0)
        if size and not HELD[0] < size < HELD[1]:
            continue  # nothing that float32 could agree with
        distance, allowed = (_rms(a.astype(np.float64) - wanted) for a in (ours[name], rounded[name]))
        if not distance <= max(SINGLE * size, 10 * allowed):
            yield f"{name} by {distance / max(size, 1e-300):.1e}"


def _rms(a):
    return np.sqrt(np.mean(a**2)) if a.size else 0.0


def linearity(backward: Callable[[Array], Named], c: Array, rng: Rng) -> Iterator[str]:
    """What breaks a law of backward passes, ∂L/∂y to name -> gradient: they are linear, in sums and in any size."""
    other = rng.standard_normal(c.shape)
    here, there = backward(c), backward(other)
    far = list(_far(backward(c + other), {name: a + there[name] for name, a in here.items()}, SAME * 100))
    if far:
        yield f"backward of a sum is not the sum of backwards: {', '.join(far)}"
    for scale in SCALES:
        far = list(_far(backward(scale * c), {name: scale * a for name, a in here.items()}, SAME * 100))
        if far:
            yield f"backward is not linear: with ∂L/∂y times {scale:g} its result is off, {', '.join(far)}"


def _linear(values, rng):
    def backward(c):
        return {name: a for name, a in values.run(c).items() if name not in ("output", "state")}

    return linearity(backward, values.c, rng)


def _without_input_gradient(values):
    """What the first layer of a network does: parameter gradients alone."""
    if values.training:
        alone = values.run(values.c, input_gradient=False)
        far = list(_far({"parameters": alone["parameters"]}, values.result, SAME))
        if far:
            yield f"without the input's gradient the parameters' is another: {', '.join(far)}"


def _in_place(values):
    """Behind a layer whose output may be overwritten, and before one that overwrites: where layers can, they do."""
    network = values.network
    layers = [_Negative(), *(copy_layer(layer) for layer in network.layers), _NegativeInPlace(), _Negative()]
    framed = Sequential(layers, network.shapes[0], np.random.default_rng(0), "float64", name=network.name)
    framed.values[...] = network.values
    turned = copy.copy(values)
    turned.x = -values.x
    found = turned.run(values.c, framed)
    found["input"] = -found["input"]
    far = list(_far(found, values.result, SAME))
    if far:
        yield f"in place, between other layers, the numbers are others: {', '.join(far)}"


def _at(values, where):
    """Block by block, and in float32."""
    whole = buffers.BLOCK
    try:
        buffers.BLOCK = 1 if values.x.size < 10_000 else 1_000
        far = list(_far(values.run(values.c), values.result, SAME))
    finally:
        buffers.BLOCK = whole
    if far:
        yield f"{where}, block by block of the features, the numbers are others: {', '.join(far)}"
    single = values.network.copy("float32")
    exact = copy.copy(values)  # the same numbers on both sides: those that float32 can hold
    exact.x, exact.c = (a.astype(np.float32).astype(np.float64) for a in (values.x, values.c))
    double = values.network.copy("float64")
    double.values[...], exact.state = single.values, values.state.astype(np.float32).astype(np.float64)
    ours, expected = exact.run(exact.c, single), exact.run(exact.c, double)
    exact.x = exact.x * (1 + 2.0**-24 * np.random.default_rng(0).choice([-1, 1], exact.x.shape))
    far = list(_far_in_single(ours, expected, exact.run(exact.c, double)))
    if far:
        yield f"{where}, float32 is far from float64: {', '.join(far)}"


def _more(network, x, conditions, rng):
    """More rows like x, and their conditions: enough that some layer goes block by block, within reason."""
    widest = max(int(np.prod(shape)) for shape in network.shapes)
    rows = int(np.clip(LARGE // widest, len(x) + 1, ROWS_AT_MOST))
    index = rng.integers(0, len(x), rows)
    moved = x[index] * rng.uniform(0.9, 1.1, (rows, *(1 for _ in network.shapes[0])))
    return moved, {name: c[index] for name, c in conditions.items()}


def _other_batches(network, x, conditions, training, report, rng):
    """Fewer rows and more, along one direction: a sum may stop where it need not, or 1/N be wired in."""
    batches = BATCHES if network.values.size < MANY else ()
    for rows in dict.fromkeys((*batches, len(x) + 1)):
        index = rng.integers(0, len(x), rows)
        shape = (rows, *x.shape[1:])  # no row twice, and nothing exactly at a kink
        moved = x[index] * rng.uniform(0.9, 1.1, shape) + 1e-3 * rng.standard_normal(shape)
        found = Report("", report.tolerance)
        theirs = {name: c[index] for name, c in conditions.items()}
        problem = along(network_problem(network, moved, training, rng, theirs), rng)
        check_problem(problem, found, rng, coordinates=0, directions=1)
        row = found.rows[0]
        if row.failed:
            yield f"at a batch of {rows} the slope along a direction is {row.analytic:.6e}, measured {row.numeric:.6e}"


def _replicas(values):
    """A stack of two different networks, each on its own numbers, against the networks one by one."""
    network, rng = values.network, np.random.default_rng(1)
    try:
        stack = network.copy("float64", replicas=2)
        stack.values[1] += 0.1 * rng.standard_normal(network.values.shape)
        x = np.stack([values.x, 0.8 * values.x + 0.1])
        c = np.stack([values.c, values.c[::-1]])
        singles = [network.copy("float64") for _ in range(2)]
        for r, single in enumerate(singles):
            single.values[...] = stack.values[r]
        together = copy.copy(values)
        together.x, together.state = x, np.stack([values.state] * 2)
        found = together.run(c, stack)
        far = []
        for r, single in enumerate(singles):
            alone = copy.copy(values)
            alone.x = x[r]
            expected = alone.run(c[r], single)
            far += _far({name: a[r] for name, a in found.items()}, expected, 1e-8)
    except Exception as error:  # whatever a layer does when an axis is in its way
        return [f"does not run as a stack of replicas ({type(error).__name__}); checked as a single network"]
    if far:
        return [f"as a stack of replicas it gives other numbers than its networks one by one ({far[0]}); checked as a "
                "single network"]  # fmt: skip
    return []
