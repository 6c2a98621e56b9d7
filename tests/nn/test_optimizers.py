"""Optimisers on long arenas, against their recurrences; one network each; their state."""

import numpy as np
import pytest

from numgan import GAN, SGD, Adam, Dense, Sequential, Tanh
from numgan.nn import optimizers
from numgan.nn.optimizers import OPTIMIZERS
from tests.helpers import make_network, normal_rows, rng

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
def test_an_optimizer_serves_one_network(optimizer):
    shared = optimizer()
    make_network(name="first").compile(shared)
    with pytest.raises(ValueError, match=rf"{optimizer.__name__}\(.* already trains 'first'; make a new one for 'net'"):
        make_network().compile(shared)
    with pytest.raises(ValueError, match="already trains 'first'"):
        GAN(Sequential([Dense(4)], 3, rng()), make_network(), shared)


def reference_adam(theta, gradients, rate, beta1, beta2, epsilon, form):
    """Algorithm 1 of Kingma & Ba, or the ε̂ form at the end of their section 2, on whole arrays."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        if form == "paper":
            theta = theta - rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        else:
            theta = theta - rate * np.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + epsilon)
    return theta, m, v


def reference_sgd(theta, gradients, rate, momentum):
    velocity = np.zeros_like(theta)
    for g in gradients:
        velocity = momentum * velocity - rate * g
        theta = theta + velocity
    return theta, velocity


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("optimizer", ["adam keras", "adam paper", "sgd"])
def test_an_arena_longer_than_a_chunk_is_updated_as_a_whole(optimizer, replicas):
    network = Sequential([Dense(350), Dense(1)], 200, rng(), "float64", replicas)
    assert network.values.size > 2 * optimizers.CHUNK
    assert network.values.size % optimizers.CHUNK
    theta = network.values.copy()
    gradients = [rng(i).normal(0, 1, theta.shape) * 10.0 ** rng(9).integers(-6, 2, theta.shape) for i in range(3)]
    ours = SGD(0.05, 0.9) if optimizer == "sgd" else Adam(0.01, 0.5, 0.99, 1e-6, form=optimizer[5:])
    ours.attach(network)
    for g in gradients:
        network.grads[...] = g
        ours.step()
        assert (network.grads == g).all()
    if optimizer == "sgd":
        expected, velocity = reference_sgd(theta, gradients, 0.05, 0.9)
        np.testing.assert_allclose(ours.state["velocity"], velocity, rtol=1e-13)
    else:
        expected, m, v = reference_adam(theta, gradients, 0.01, 0.5, 0.99, 1e-6, optimizer[5:])
        np.testing.assert_allclose(ours.moments()[0], m, rtol=1e-9, atol=1e-20)
        np.testing.assert_allclose(ours.moments()[1], v, rtol=1e-12)
    np.testing.assert_allclose(network.values, expected, rtol=1e-12, atol=1e-14)
    assert ours.steps == 3


def test_float32_adam_stays_close_to_float64_over_many_steps():
    ends = []
    for dtype in ("float32", "float64"):
        network = Sequential([Dense(5)], 4, rng(), dtype)
        optimizer = Adam(0.01, 0.5)
        optimizer.attach(network)
        for step in range(300):
            network.grads[...] = rng(step).normal(0.3, 1, network.grads.shape)
            optimizer.step()
        ends.append(network.values.copy())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-4, atol=1e-5)


def test_a_new_optimizer_starts_anew():
    network = make_network()
    first, second = Adam(), SGD()
    network.compile(first)
    network.train_on_batch(normal_rows(), np.ones((7, 1)))
    network.compile(second)
    network.train_on_batch(normal_rows(), np.ones((7, 1)))
    assert (first.steps, second.steps) == (1, 1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
def test_an_update_is_one_call_whose_parts_walk_the_arena_chunk_by_chunk(optimizer):
    network = Sequential([Dense(350)], 200, rng(), "float64")
    ours = optimizer()
    ours.attach(network)
    call = ours.call
    assert (call.kernel, call.network, call.direction, call.skipped) == (ours.kernel, network.name, "update", "")
    assert call.run == ours.step and call.arguments["theta"] is network.values
    assert len(call.parts) == -(-network.values.size // optimizers.CHUNK) > 1
    for name in ("theta", "gradient", *optimizer.state_names):
        arena = call.arguments[name]
        chunks = [part.arguments[name] for part in call.parts]
        assert sum(chunk.size for chunk in chunks) == arena.size
        assert all(chunk.size <= optimizers.CHUNK and np.shares_memory(chunk, arena) for chunk in chunks)
        arena[...] = np.arange(arena.size)
        assert np.array_equal(np.concatenate(chunks), arena)
    network.grads[...], before = 1, network.values.copy()
    call.run()
    assert ours.steps == 1 and (network.values != before).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
def test_a_network_without_parameters_can_be_stepped(optimizer):
    ours = optimizer()
    ours.attach(Sequential([Tanh()], 3, rng()))
    ours.step()
    assert ours.steps == 1
