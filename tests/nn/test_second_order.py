"""The gradient of v·∇ₓs by the weights: against differences of ∇ₓs, over random networks of all layers that have it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numgan import (
    AveragePooling2D,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Error,
    Flatten,
    Layer,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    SiLU,
    Skip,
    SpectralNorm,
    Tanh,
    UpSampling2D,
)
from numgan.nn.registry import LAYERS
from numgan.nn.second_order import SecondOrder
from tests.helpers import near, peak_memory, rng

BENDS = [lambda: LeakyReLU(0.2), ReLU, Tanh, Sigmoid, SiLU, lambda: Dropout(0.3)]
FLAT = [lambda: Dense(4), lambda: SpectralNorm(Dense(3)), Flatten]
PLANE = [
    lambda: Conv2D(2, 3, padding="same"),
    lambda: Conv2D(3, (2, 3), (2, 1), ((1, 0), (1, 1))),
    lambda: Conv2DTranspose(2, 3, (2, 1), "same"),
    lambda: SpectralNorm(Conv2D(2, 3, padding=1)),
    lambda: UpSampling2D((1, 2)),
    lambda: AveragePooling2D(2, 1, "same"),
]


def run(calls):
    for call in calls:
        call.run()


def network_of(layers, shape, seed, dtype="float64", replicas=None):
    network = Sequential(layers, shape, rng(seed), dtype, replicas)
    network.values += rng(seed + 1).normal(0, 0.3, network.values.shape)
    return network


def input_gradient(network, x):
    """∇ₓs of every sample (n, N), by the network's public passes."""
    y = network.forward(x)
    return network.backward(np.ones_like(y)).reshape(len(x), -1).T.copy()


def share_of(network, x, v):
    """What `SecondOrder` adds to the gradients, after a run on other numbers and on top of others."""
    second = SecondOrder(network, x.shape[-1 - len(network.shapes[0])])
    columns = np.moveaxis(x.reshape(*x.shape[: len(network.replicas) + 1], -1), -1, -2)
    for k in (-0.5, 1.0):
        network.grads[...] = 0.25
        second.points[...] = k * columns
        run(second.first)
        second.direction[...] = k * v
        run(second.second)
    return network.grads - network.grads.dtype.type(0.25), second.gradient.copy()


@given(
    st.lists(st.sampled_from(BENDS + FLAT), max_size=5),
    st.lists(st.sampled_from(BENDS + PLANE), max_size=4),
    st.integers(0, 2**31),
)
@settings(max_examples=25, deadline=None)
def test_it_is_the_derivative_of_the_input_gradient_in_any_network(flat, plane, seed):
    layers = [make() for make in (*plane, Flatten, *flat)]
    network = network_of([*layers, Dense(1)], (2, 3, 2), seed)
    x, v = rng(seed).normal(0, 1, (3, 2, 3, 2)), rng(seed + 2).normal(0, 1, (12, 3))
    share, gradient = share_of(network, x, v)
    near(gradient, input_gradient(network, x))
    direction, h = rng(seed + 3).normal(0, 1, share.shape), 1e-6
    values, sums = network.values.copy(), []
    for step in (h, -h):
        network.values[...] = values + step * direction
        sums.append((input_gradient(network, x) * v).sum())
    measured = (sums[0] - sums[1]) / (2 * h)
    size = np.abs(share * direction).sum() + 1
    # at a kink of some sample between the two, ∇ₓs jumps, and the quotient is of the order of 1/h
    assert abs(measured - share @ direction) < 1e-6 * size or abs(measured) > 1e3 * size


def test_every_layer_has_a_tangent_or_says_why_not():
    for kind in LAYERS.values():
        for layer, shape in kind.examples():
            network = Sequential([layer, Flatten(), Dense(1)], shape, rng())
            if kind in (BatchNorm, Skip) or kind.takes_indices:
                refusal = f"a gradient penalty cannot pass through {kind.__name__} '{layer.name}'"
                with pytest.raises(Error, match=refusal):
                    SecondOrder(network, 2)
            else:
                SecondOrder(network, 2)


def test_bias_gradients_are_zero_where_nothing_is_curved():
    for curved in (False, True):
        layers = [
            Conv2D(2, 2),
            Tanh() if curved else LeakyReLU(0.2),
            Conv2DTranspose(2, 2),
            ReLU(),
            Flatten(),
            Dense(1),
        ]
        network = network_of(layers, (1, 3, 3), 4)
        share_of(network, rng(1).normal(0, 1, (4, 1, 3, 3)), rng(2).normal(0, 1, (9, 4)))
        biases = [g - 0.25 for name, g in network.gradients().items() if name.endswith("bias")]
        assert len(biases) == 3 and any(bias.any() for bias in biases) == curved


def test_replicas_are_single_networks():
    def layers():
        image = [Reshape((2, 3, 2)), Conv2D(2, 2), Tanh(), Conv2DTranspose(2, 2), LeakyReLU(0.2), Flatten()]
        return [*image, Dense(4), SiLU(), Dense(1)]

    stack = network_of(layers(), 12, 5, replicas=3)
    x, v = rng(6).normal(0, 1, (3, 5, 12)), rng(7).normal(0, 1, (3, 12, 5))
    shares, _ = share_of(stack, x, v)
    for r in range(3):
        one = Sequential(layers(), 12, rng(), "float64")
        one.values[...], one.state[...] = stack.values[r], stack.state[r]
        near(share_of(one, x[r], v[r])[0], shares[r])


def test_float32_gives_float64_to_its_precision_and_nothing_is_allocated():
    wide = [Dense(300), LeakyReLU(0.2), Dense(200), Tanh(), Dense(1)]
    network = network_of(wide, 400, 8, "float32")
    second = SecondOrder(network, 128)
    second.points[...] = rng(1).normal(0, 1, second.points.shape)
    second.direction[...] = rng(2).normal(0, 1, second.points.shape)

    def both():
        run(second.first)
        run(second.second)

    both()
    assert peak_memory(both) < 4_000
    exact = network.copy("float64")
    share, _ = share_of(exact, second.points.T.astype(np.float64), second.direction.astype(np.float64))
    ours = share_of(network, second.points.T.copy(), second.direction.copy())[0]
    near(ours, share, 1e-5 * np.abs(share).max())


class Halve(Layer):
    """A linear layer of one's own."""

    def forward(self, x, out):
        out[...] = x / 2

    def backward_input(self, x, y, dy, out):
        out[...] = dy / 2

    def plain(self, rows, training):
        return [[value / 2 for value in row] for row in rows]


def test_a_layer_of_one_s_own_takes_part_when_it_says_that_it_is_linear():
    x, v = rng(1).normal(0, 1, (4, 3)), rng(2).normal(0, 1, (3, 4))
    with pytest.raises(
        Error, match="Halve 'halve_1' has no tangent pass, which a gradient penalty takes; it must say linear"
    ):
        SecondOrder(network_of([Halve(), Dense(4), Tanh(), Dense(1)], 3, 1), 4)
    Halve.linear = True
    try:
        own = network_of([Halve(), Dense(4), Tanh(), Dense(1)], 3, 1)
        plain = network_of([Dense(4), Tanh(), Dense(1)], 3, 1)
        plain.values[...] = own.values
        near(share_of(own, x, v)[0], share_of(plain, x / 2, v / 2)[0])
    finally:
        del Halve.linear


def test_a_shadow_shares_all_but_its_gradients():
    network = network_of([Dense(3), BatchNorm(), Dropout(0.5), Dense(1)], 4, 1)
    shadow = network.shadow()
    assert shadow.values is network.values and shadow.state is network.state
    assert not np.shares_memory(shadow.grads, network.grads)
    for name, view in shadow.parameters().items():
        assert np.shares_memory(view, network.values), name
    network.load_state_dict({name: a + 1 for name, a in network.state_dict().items()})
    x = rng(2).normal(0, 1, (5, 4))
    assert (shadow.predict(x) == network.predict(x)).all()
