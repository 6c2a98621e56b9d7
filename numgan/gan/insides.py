"""`Insides`: what goes on inside the networks while they train, layer by layer: whether gradients arrive, whether
weights move, which units are dead.

Nothing is measured in the training step. At a look, which comes every so many steps, `measure` reads what the last step
left behind: gradients, weights, the optimiser's state, the activations in the buffers. It writes to none of them, so
that a training that is measured is the training that is not, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import ArgumentError, shown
from numgan.hints import Array, Named, Numbers, Shape
from numgan.nn.activations import Activation

if TYPE_CHECKING:
    from numgan.gan.fit import TrainingStep
    from numgan.gan.model import GAN
    from numgan.nn.layer import Layer
    from numgan.nn.network import Sequential
    from numgan.nn.optimizers import Optimizer
    from numgan.nn.plan import Plan

SIDES = ("generator", "discriminator")
GRADIENT, UPDATE, DEAD = "gradient_norm", "update_ratio", "dead_units"


def measure(gan: GAN, step: TrainingStep) -> dict[str, Array]:
    """column -> value (*replicas,) in float64, of what the last training step left behind; step is its `TrainingStep`.

    Columns are called "side.layer.kind", in the order of the layers, those inside a `Join` or `Skip` where they stand.
    Of every layer that has parameters, biases and all:
    gradient_norm  ‖∂L/∂θ‖ of the last update's gradient g, a penalty's share included.
    update_ratio   ‖Δθ‖/‖θ‖: Δθ is what the optimiser added in the last update, θ the parameters now; a gap where they
                   are all zero. 10⁻³ is a usual size; 10⁻¹ is a layer that is thrown about, 10⁻⁶ one that stands still.
    Of every activation:
    dead_units     the share of its units that are flat on every row of the last batch: a ReLU that is 0, a LeakyReLU on
                   its slope below zero, a Tanh, Sigmoid or SiLU whose slope is below a hundredth of the steepest, see
                   `Activation.flat`. A unit is a feature, or a channel of an image with all its places. Such a ReLU
                   lets no gradient through, and a LeakyReLU is a linear map. The last batch of a discriminator is all
                   that its step saw, real rows and generated ones, be it in two updates.

    Only sides that play are measured, and no layer that training does not run, as a closing Sigmoid.
    """
    found: dict[str, Array] = {}
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer
    with np.errstate(all="ignore"):
        for side, optimizer, bound in zip(SIDES, optimizers, (step.generator, step.discriminator), strict=True):
            if bound:
                found |= {f"{side}.{name}": a for name, a in _side(optimizer, bound.plans)}
    return found


def _side(optimizer: Optimizer, plans: Sequence[Plan]) -> Iterator[tuple[str, Array]]:
    """("layer.kind", value) of the network that an optimiser trains in these plans."""
    network = optimizer.network
    update, slices = optimizer.last_update(), _by_layer(network)
    for layer in _leaves(network.layers):
        if layer.name in slices:
            own = slices[layer.name]
            yield f"{layer.name}.{GRADIENT}", _norm(network.grads[..., own])
            yield f"{layer.name}.{UPDATE}", _norm(update[..., own]) / _norm(network.values[..., own])
        if isinstance(layer, Activation):
            flat = [_flat(layer, plan) for plan in plans]
            if flat[0] is not None:
                yield f"{layer.name}.{DEAD}", np.logical_and.reduce(flat).mean(axis=-1)


def _leaves(layers: Sequence[Layer]) -> Iterator[Layer]:
    """The layers, those that are made of others as these, in order."""
    for layer in layers:
        inside = [inner for inner, _ in layer.inside()]
        yield from _leaves(inside) if inside else (layer,)


def _by_layer(network: Sequential) -> dict[str, slice]:
    """layer -> where its parameters stand in the arena, side by side."""
    found: dict[str, slice] = {}
    for (layer, parameter), place in network.slices.items():
        name = f"{layer}.{parameter}".rpartition(".")[0]
        found[name] = slice(found.get(name, place).start, place.stop)
    return found


def _norm(a: Array) -> Array:
    return np.linalg.norm(a.astype(np.float64), axis=-1)


def _flat(layer: Activation, plan: Plan) -> Array | None:
    """Which units (…, units) were flat on every row that the plan last ran; None where it does not run the layer."""
    calls = [call.arguments for call in plan.forward if call.layer == layer.name]  # one for each block of features
    flat = [layer.flat(given["x"], given["out"]).all(axis=-1) for given in calls]
    return np.concatenate(flat, axis=-1) if flat else None


class Insides:
    """The measurements of a training: columns as `measure` has them, and a row for every look; a `Part` of the run.

    columns   their names.
    replicas  () or (R,), as the values have them; default ().

    Looks that a longer training would not have had, such as one at the very end, leave a row that the next one takes
    the place of: so a training in parts has the rows of one that went through.
    """

    def __init__(self, columns: Sequence[str], replicas: Shape = ()) -> None:
        self.columns, self._replicas = tuple(columns), tuple(replicas)
        self._steps, self._values = np.empty(0, np.int64), np.empty((0, *self._replicas, len(self.columns)))
        self._length, self._passing = 0, False

    def __len__(self) -> int:
        return self._length

    @property
    def steps(self) -> Array:
        """The steps after which there was a look, (n,)."""
        return self._steps[: len(self)]

    def __getitem__(self, column: str) -> Array:
        """A column's values, (n,), or (n, R) with replicas."""
        return self._values[: len(self), ..., self.columns.index(column)]

    def add(self, step: int, measured: Mapping[str, Array], passing: bool = False) -> None:
        """Add the row of a look; `passing`: until the next one. What has been handed out stays as it is."""
        n = len(self) - self._passing
        if self._passing or n == len(self._steps):
            self._steps, self._values = (_longer(a[:n]) for a in (self._steps, self._values))
        self._steps[n] = step
        self._values[n] = np.stack([measured[name] for name in self.columns], axis=-1)
        self._length, self._passing = n + 1, passing

    def layers(self, side: str) -> dict[str, dict[str, str]]:
        """layer -> kind -> column, of one side, in order."""
        found: dict[str, dict[str, str]] = {}
        for column in self.columns:
            owner, _, rest = column.partition(".")
            layer, _, kind = rest.rpartition(".")
            if owner == side:
                found.setdefault(layer, {})[kind] = column
        return found

    def state_dict(self) -> Named:
        """steps (n,), values (n, …, columns), and passing: whether the last row is."""
        return {"steps": self.steps, "values": self._values[: len(self)], "passing": np.array(self._passing)}

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Raise unless these are measurements of the same columns."""
        if arrays.keys() != {"steps", "values", "passing"}:
            raise ArgumentError(f"insides: expected steps, values and passing, got {shown(sorted(arrays))}")
        steps, values, passing = (np.asarray(arrays[name]) for name in ("steps", "values", "passing"))
        if steps.ndim != 1 or steps.dtype.kind != "i" or not (np.diff(steps, prepend=0) > 0).all():
            raise ArgumentError("insides: steps must be whole numbers from 1 up, each larger than the one before")
        wanted = (len(steps), *self._values.shape[1:])
        if values.dtype.kind != "f" or values.shape != wanted:
            raise ArgumentError(f"insides: values are {values.dtype} of shape {values.shape}, expected {wanted}")
        if passing.dtype != bool or passing.shape != () or (passing and not len(steps)):
            raise ArgumentError("insides: passing must say whether the last row is")

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Hold these measurements, and nothing of what was there."""
        self.check_state_dict(arrays)
        self._steps, self._values = np.array(arrays["steps"], np.int64), np.array(arrays["values"], np.float64)
        self._length, self._passing = len(self._steps), bool(arrays["passing"])


def _longer(a):
    """The same rows in new memory that has room for as many again, and one more."""
    grown = np.empty((2 * len(a) + 1, *a.shape[1:]), a.dtype)
    grown[: len(a)] = a
    return grown
