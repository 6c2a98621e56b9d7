"""Every gradient in the package against differences, and stacks of replicas against their networks one by one."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from numgan import (
    GAN,
    SGD,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Embedding,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Skip,
    SpectralNorm,
    Tanh,
    Wasserstein,
    check_gradients,
)
from numgan.gan.objectives import OBJECTIVES
from numgan.gan.steps import SEPARATE
from numgan.gradcheck.targets import gan_with_batch_norm
from numgan.nn.network import copy_layer, snake_case
from numgan.nn.registry import LAYERS
from numgan.study.checks import TARGETS
from tests.helpers import KINDS, every_game, examples, game_name, rng, rules

# "join" checks whole GANs
GRADIENT_ONLY = (*(snake_case(name) for name in LAYERS if name != "Join"), "bce", "bce_logits")
R = 3


def example_name(example):
    layer, shape = example
    return f"{layer!r} on {shape}"


def smoothings(game):
    """The label smoothings to try with a game: none, and one where the objective has any."""
    return (0, 0.2) if "label_smoothing" in OBJECTIVES[game[0]].takes else (0,)


SMOOTHED = [(game, smoothing) for game in KINDS for smoothing in smoothings(game)]


def every_check_but(*left_out):
    """All checks; of games whole, which take longest, one in three, and the others among the slow tests."""
    for target, checks in TARGETS.items():
        for i, check in enumerate(checks if target not in left_out else []):
            rare = target in ("translate", "captions") or (target in ("chain", "penalties", "conditions") and i % 3)
            yield pytest.param(check, id=f"{target}-{i}", marks=[pytest.mark.slow] if rare else [])


def deep_layers():
    """All kinds of layer in one network, in-place ones on top of each other included."""
    return [
        Dense(6, "he_normal"),
        Reshape((3, 2, 1)),
        BatchNorm(0.8),
        LeakyReLU(0.2),
        Flatten(),
        Dense(5),
        BatchNorm(0.5),
        ReLU(),
        Tanh(),
        Dense(4),
        Sigmoid(),
        Dense(1),
        Sigmoid(),
    ]


def network_of(layers, shape=4, replicas=None, dtype="float64", seed=0):
    """A network with parameters and statistics away from their starting values, different in every replica."""
    network = Sequential(layers, shape, rng(seed), dtype, replicas)
    network.values += rng(seed + 1).normal(0, 0.3, network.values.shape)
    network.state += rng(seed + 2).uniform(0.1, 0.9, network.state.shape)
    return network


def one_of(stack, r, layers):
    """Replica r of a stack as a network of its own."""
    network = Sequential(layers, stack.shapes[0], rng(), stack.dtype)
    network.values[...], network.state[...] = stack.values[r], stack.state[r]
    return network


def near(a, b, tolerance=1e-12):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(np.abs(b).max(initial=0), 1e-3))


# ------------------------------------------------------------------------------------------- against differences


@pytest.mark.parametrize("check", list(every_check_but("mnist", "mnist-best", "mnist-epochs", "mnist-dcgan")))
def test_every_named_check_passes(check):
    check(0, 1e-7).raise_for_failure()


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe, tensors, deepest",
    [
        ("mnist", 9 + 15, {"dense_4.weight", "batch_norm_3.gamma"}),
        ("mnist-epochs", 7 + 11, {"dense_3.weight", "batch_norm_2.gamma"}),
    ],
)
def test_the_named_check_of_a_mnist_gan_passes(recipe, tensors, deepest):
    """As a process, so that its many small products run on one thread: on a busy machine that is four times as fast."""
    command = [sys.executable, "-m", "numgan", "gradcheck", recipe, "--json"]
    one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "MKL", "OMP")}
    done = subprocess.run(command, env=os.environ | one_thread, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (report,) = json.loads(done.stdout)["reports"]
    assert report["passed"]
    assert len(report["rows"]) == tensors
    assert {row["tensor"].rpartition(": ")[2] for row in report["rows"]} >= deepest | {"noise", "input"}
    assert {row["verdict"] for row in report["rows"]} <= {"ok", "zero"}


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(t, marks=pytest.mark.slow)
        if t.startswith(("average", "batch", "conv2d", "drop", "skip", "spectral", "up"))
        else t
        for t in GRADIENT_ONLY
    ],
)
def test_right_gradients_agree_to_nine_digits_and_more(target):
    for seed in (1, 2, 3):
        for check in TARGETS[target]:
            report = check(seed, 1e-7)
            report.raise_for_failure()
            assert report.worst <= (1e-9 if report.tolerance == 1e-7 else report.tolerance), str(report)


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("example", [*examples(), (Dense(4), (5,))], ids=example_name)
def test_every_coordinate_of_a_layer_is_certified(example, training):
    layer, shape = example
    report = check_gradients(layer, rng(4).normal(0.1, 1, (6, *shape)), training=training)
    report.raise_for_failure()
    assert all(row.certified == row.checked == np.prod(row.shape) for row in report.rows), str(report)
    names = [*Sequential([copy_layer(layer)], shape, rng()).parameters(), "input"]
    two = isinstance(layer, (Dense, BatchNorm, Conv2D, Conv2DTranspose, SpectralNorm))
    assert len(names) == 1 + 2 * two + isinstance(layer, Embedding) or isinstance(layer, Skip)
    assert [row.tensor for row in report.rows] == (names if training else ["input"])


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
def test_a_deep_network(training):
    network = network_of(deep_layers())
    report = check_gradients(network, rng(5).normal(0, 1, (7, 4)), training=training)
    report.raise_for_failure()
    assert report.worst < 1e-8
    names = [*(network.parameters() if training else ()), "input"]
    assert [row.tensor for row in report.rows] == names


def test_a_zero_gradient_deep_in_a_network_passes():
    """The first batch norm's β is a shift that the second one takes out again, through a dense layer."""
    for seed in range(6):
        layers = [Dense(6, "he_normal"), LeakyReLU(0.2), BatchNorm(0.8), Dense(5), BatchNorm(0.5), Dense(4), Sigmoid()]
        network = network_of([*layers, Dense(1), Sigmoid()], seed=seed)
        check_gradients(network, rng(seed + 1000).normal(0, 1, (7, 4))).raise_for_failure()


def test_a_right_network_does_not_fail_for_saturated_units():
    network = network_of([Dense(5), Tanh(), Dense(1), Sigmoid()], seed=4)
    report = check_gradients(network, 100 * rng(1004).normal(0, 1, (7, 4)))
    assert sum(row.failed for row in report.rows) == 0, str(report)


@pytest.mark.parametrize(
    "offset",
    [0, 1e2, 1e4],
)
def test_batch_norm_of_inputs_far_from_zero_does_not_fail(offset):
    """The differences x − mean then have fewer digits than x."""
    for seed in range(8):
        report = check_gradients(BatchNorm(), offset + rng(seed).normal(size=(6, 2)), seed=seed)
        assert sum(row.failed for row in report.rows) == 0, str(report)


@pytest.mark.parametrize("smoothing", [0, 0.1])
@pytest.mark.parametrize("from_logits", [False, True], ids=["probabilities", "logits"])
def test_losses(from_logits, smoothing):
    draw = rng(6)
    prediction = draw.normal(0, 3, (8, 2)) if from_logits else draw.uniform(0.01, 0.99, (8, 2))
    for target in (draw.integers(0, 2, (8, 2)), draw.uniform(0, 1, (8, 2))):
        report = check_gradients(BinaryCrossEntropy(from_logits, smoothing), prediction, target=target)
        report.raise_for_failure()
        assert report.worst < 1e-9
        assert report.rows[0].certified == 16


def test_probabilities_beyond_the_clip_have_no_gradient():
    """Nor does the loss, which is constant there."""
    p = np.array([[1e-9], [0.3], [1 - 1e-9]])
    loss = BinaryCrossEntropy()
    assert (loss.gradient(p, np.ones_like(p))[[0, 2]] == 0).all()
    assert loss.value(p, np.ones_like(p)) == loss.value(np.clip(p, 1e-7, 1 - 1e-7), np.ones_like(p))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("game", "smoothing"), SMOOTHED, ids=lambda x: game_name(x) if isinstance(x, tuple) else str(x)
)
def test_a_gan_in_every_game(game, smoothing):
    gan = gan_with_batch_norm(rules(game, label_smoothing=smoothing), game[1], seed=10)
    report = check_gradients(gan, (rng(8).normal(0, 1, (6, 4)), rng(9).normal(0, 1, (6, 3))))
    report.raise_for_failure()
    assert report.worst < 1e-8
    tensors = [row.tensor for row in report.rows]
    for name in gan.generator.parameters():
        assert f"generator step: {name}" in tensors
    for name in gan.discriminator.parameters():
        assert sum(t.endswith(f": {name}") and "generator step" not in t for t in tensors) == (
            2 if gan.schedule == SEPARATE else 1
        )


def test_a_gan_whose_discriminator_starts_with_an_in_place_layer():
    """The two networks then share buffers across their border."""
    for game in KINDS:
        objective = rules(game)
        g = network_of([Dense(5), Tanh(), Dense(4), LeakyReLU(0.3)], 3)
        stack = [LeakyReLU(0.2), BatchNorm(0.8), Dense(3), Tanh(), Dense(1), *objective.closing()]
        gan = GAN(g, network_of(stack, 4, seed=3), objective=objective, schedule=game[1])
        check_gradients(gan, (rng(1).normal(0, 1, (5, 4)), rng(2).normal(0, 1, (5, 3)))).raise_for_failure()


def test_a_critic_is_checked_where_it_stands_not_where_its_clipping_would_put_it():
    """The clip belongs to the update, which a check does not make: every gradient is that of the weights given."""
    gan = gan_with_batch_norm(Wasserstein(clip=1e-6), seed=3)
    real, noise = rng(1).normal(0, 1, (6, 4)), rng(2).normal(0, 1, (6, 3))
    report = check_gradients(gan, (real, noise))
    report.raise_for_failure()
    (row,) = [row for row in report.rows if row.tensor == "discriminator step: dense_2.weight"]
    critic = gan.discriminator.copy()
    critic.forward(np.concatenate([real, gan.generator.predict(noise)]), True)
    critic.backward(np.repeat([-1 / 6, 1 / 6], 6)[:, None])
    assert row.analytic == pytest.approx(critic.gradients()["dense_2.weight"][row.index], rel=1e-9)
    assert abs(row.analytic) > 1e-4


# ------------------------------------------------------------------------------------------------------- replicas


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("example", [*examples(), None], ids=lambda e: example_name(e) if e else "all")
def test_a_stack_is_its_networks_one_by_one(example, training):
    layer, shape = example or (None, (5,))

    def make():
        return [copy_layer(layer)] if layer else deep_layers()

    stack = network_of(make(), shape, R)
    networks = [one_of(stack, r, make()) for r in range(R)]
    x, dy = rng(1).normal(0, 1, (R, 6, *shape)), rng(2).normal(0, 1, (R, 6, *stack.shapes[-1]))
    y, dx = stack.forward(x, training).copy(), stack.backward(dy)
    predicted = stack.predict(x)
    for r, network in enumerate(networks):
        near(y[r], network.forward(x[r], training))
        near(dx[r], network.backward(dy[r]))
        near(stack.grads[r], network.grads)
        near(stack.state[r], network.state)
        near(predicted[r], network.predict(x[r]))
    assert stack.grads.any() if stack.grads.size and training else not stack.grads.any()


def test_data_without_a_replica_axis_is_shared():
    stack, x = network_of(deep_layers(), 5, R), rng(1).normal(0, 1, (6, 5))
    shared = stack.forward(x, True).copy()
    assert shared.tobytes() == stack.forward(np.broadcast_to(x, (R, 6, 5)), True).copy().tobytes()
    assert not np.array_equal(shared[0], shared[1])


@pytest.mark.parametrize("optimizer", [Adam, lambda: SGD(0.1, 0.9)], ids=["adam", "sgd"])
def test_a_stack_trains_like_its_networks_one_by_one(optimizer):
    stack = network_of(deep_layers(), 4, R)
    networks = [one_of(stack, r, deep_layers()) for r in range(R)]
    for network in (stack, *networks):
        network.compile(optimizer())
    for step in range(5):
        x, t = rng(step).normal(0, 1, (R, 6, 4)), rng(step + 9).integers(0, 2, (R, 6, 1))
        loss, accuracy = stack.train_on_batch(x, t)
        one_by_one = [network.train_on_batch(x[r], t[r]) for r, network in enumerate(networks)]
        assert loss.shape == accuracy.shape == (R,)
        near(np.array([loss, accuracy]).T, np.array(one_by_one), 1e-9)
    for r, network in enumerate(networks):
        near(stack.values[r], network.values, 1e-9)
        near(stack.state[r], network.state, 1e-9)


@every_game
def test_the_steps_of_a_stack_of_gans_are_those_of_each(game):
    objective = rules(game, label_smoothing=0.1, clip=0.5)

    def layers():
        g = [Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(4), Tanh()]
        return g, [Dense(6), BatchNorm(0.8), LeakyReLU(0.2), Dense(1), *objective.closing()]

    (g, d), build = layers(), {"objective": objective, "schedule": game[1]}
    stack = GAN(network_of(g, 3, R), network_of(d, 4, R, seed=3), **build)
    gans = []
    for r in range(R):
        g, d = layers()
        gans.append(GAN(one_of(stack.generator, r, g), one_of(stack.discriminator, r, d), **build))
    for step in range(3):
        draw = rng(step)
        real, noise, g_noise, g_real = (draw.normal(0, 1, (R, n, f)) for n, f in ((5, 4), (5, 3), (8, 3), (8, 4)))
        judged = [g_noise, g_real] if objective.pairs else [g_noise]
        d_metrics, g_metrics = stack.train_discriminator(real, noise), stack.train_generator(*judged)
        for r, gan in enumerate(gans):
            near(np.array(d_metrics)[:, r], gan.train_discriminator(real[r], noise[r]), 1e-9)
            near(np.array(g_metrics)[:, r], gan.train_generator(*(a[r] for a in judged)), 1e-9)
    for name, array in stack.state_dict().items():
        for r, gan in enumerate(gans):
            near(array[r] if array.ndim else array, gan.state_dict()[name], 1e-8)
