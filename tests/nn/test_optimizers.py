"""Optimisers on long arenas, against their recurrences; one network each; their state."""

import numpy as np
import pytest

from numgan import GAN, SGD, Adam, Dense, Error, Rate, RMSprop, Sequential, Tanh
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


def reference_rmsprop(theta, gradients, rate, rho, epsilon):
    """As PyTorch documents it."""
    v = np.zeros_like(theta)
    for g in gradients:
        v = rho * v + (1 - rho) * g * g
        theta = theta - rate * g / (np.sqrt(v) + epsilon)
    return theta, v


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("optimizer", ["adam keras", "adam paper", "rmsprop", "sgd"])
def test_an_arena_longer_than_a_chunk_is_updated_as_a_whole(optimizer, replicas):
    network = Sequential([Dense(350), Dense(1)], 200, rng(), "float64", replicas)
    assert network.values.size > 2 * optimizers.CHUNK
    assert network.values.size % optimizers.CHUNK
    theta = network.values.copy()
    gradients = [rng(i).normal(0, 1, theta.shape) * 10.0 ** rng(9).integers(-6, 2, theta.shape) for i in range(3)]
    if optimizer.startswith("adam"):
        ours = Adam(0.01, 0.5, 0.99, 1e-6, form=optimizer[5:])
    else:
        ours = SGD(0.05, 0.9) if optimizer == "sgd" else RMSprop(0.01, 0.8, 1e-6)
    ours.attach(network)
    for g in gradients:
        network.grads[...] = g
        ours.step()
        assert (network.grads == g).all()
    if optimizer == "sgd":
        expected, velocity = reference_sgd(theta, gradients, 0.05, 0.9)
        np.testing.assert_allclose(ours.state["velocity"], velocity, rtol=1e-13)
    elif optimizer == "rmsprop":
        expected, v = reference_rmsprop(theta, gradients, 0.01, 0.8, 1e-6)
        np.testing.assert_allclose(ours.state["v"] * (1 - 0.8), v, rtol=1e-12)
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
    assert call.run == ours.update and call.arguments["theta"] is network.values
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


# ------------------------------------------------------------------------------------------- settings that are changed

SETTINGS = {
    SGD: {"momentum": 0.5},
    RMSprop: {"rho": 0.5, "epsilon": 1e-3},
    Adam: {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3, "form": "paper"},
}


def walked(optimizer, rates, gradients):
    """The network after an update a rate, and its optimiser."""
    network = Sequential([Dense(5)], 4, rng(), "float64")
    optimizer.attach(network)
    for rate, seed in zip(rates, gradients, strict=True):
        optimizer.learning_rate = rate
        network.grads[...] = rng(seed).normal(0.3, 1, network.grads.shape)
        optimizer.step()
    return network


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_a_learning_rate_that_is_set_holds_from_the_next_step_on(kind):
    steady = walked(kind(0.01), [0.01, 0.01], [1, 2]).values
    first = walked(kind(0.01), [0.01], [1]).values
    doubled = walked(kind(0.01), [0.01, 0.02], [1, 2]).values
    np.testing.assert_allclose(doubled - first, 2 * (steady - first), rtol=1e-10)


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
@pytest.mark.parametrize("rate", [0, -1, np.nan, np.inf, "fast", None, True])
def test_a_learning_rate_that_cannot_be_is_refused_when_it_is_set(kind, rate):
    ours = kind(0.01)
    with pytest.raises(ValueError, match=f"{kind.__name__} learning_rate must be a positive finite number"):
        ours.learning_rate = rate
    assert ours.learning_rate == 0.01


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, settings in SETTINGS.items() for name in settings])
@pytest.mark.parametrize("attached", [False, True])
def test_every_other_setting_stays_as_it_was_made(kind, name, attached):
    ours, before = kind(), kind().config()
    if attached:
        ours.attach(make_network())
    with pytest.raises(Error, match=rf"{kind.__name__}\(.*{name} stays as it was made, only learning_rate can be set"):
        setattr(ours, name, SETTINGS[kind][name])
    assert ours.config() == before and getattr(ours, name) == before[name]


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_every_setting_but_the_learning_rate_is_known_to_be_fixed(kind):
    assert kind().config().keys() - SETTINGS[kind].keys() == {"learning_rate"}


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_the_learning_rate_is_part_of_the_state(kind):
    ours, other = kind(0.01), kind(0.01)
    walked(ours, [0.01, 0.003], [1, 2])
    other.attach(Sequential([Dense(5)], 4, rng(), "float64"))
    other.load_state_dict(ours.state_dict())
    assert other.learning_rate == 0.003 and "learning_rate=0.003" in repr(other)
    with pytest.raises(ValueError, match="learning_rate must be a positive finite number, got -1"):
        other.load_state_dict(ours.state_dict() | {"learning_rate": np.array(-1.0)})
    assert other.learning_rate == 0.003


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_a_gan_that_is_loaded_or_copied_has_the_present_learning_rate(kind, tmp_path):
    gan = GAN(Sequential([Dense(4)], 3, rng()), make_network(), kind(0.01), kind(0.02))
    gan.generator_optimizer.learning_rate, gan.discriminator_optimizer.learning_rate = 0.003, 0.004
    gan.save(tmp_path / "gan.npz")
    for other in (GAN.load(tmp_path / "gan.npz"), gan.copy()):
        assert other.generator_optimizer.learning_rate == 0.003
        assert other.discriminator_optimizer.learning_rate == 0.004


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer",
    [*OPTIMIZERS.values(), lambda: SGD(0.05, 0.9), lambda: Adam(Rate(0.01, warm_up=5), 0.5, 0.9, 1e-3, "paper")],
)
def test_the_last_update_is_what_was_added_to_the_parameters(optimizer, dtype):
    network, ours = make_network(dtype, replicas=2), optimizer()
    ours.attach(network)
    for i in range(3):
        network.grads[...] = rng(i).normal(0, 1, network.grads.shape)
        before = network.values.copy()
        ours.step()
        np.testing.assert_array_equal(before + ours.last_update(), network.values)
    assert ours.last_update().all() and not np.shares_memory(ours.last_update(), next(iter(ours.state.values())))
