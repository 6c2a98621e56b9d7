"""Reshape and Flatten share memory and run nothing; images are features in another shape; batch norm per channel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numgan import GAN, SGD, Adam, BatchNorm, Dense, Flatten, LeakyReLU, ReLU, Reshape, Sequential, Sigmoid, Tanh
from numgan import check_gradients as check
from numgan.nn.optimizers import OPTIMIZERS
from numgan.nn.plan import Plan
from numgan.nn.registry import LAYERS
from tests.helpers import DTYPES, near, rng

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
VIEWS = [name for name, kind in LAYERS.items() if kind.is_view]


def images(rows=6, shape=(2, 3, 4), seed=0):
    return rng(seed).normal(0.2, 1.1, (rows, *shape))


# ------------------------------------------------------------------------------------------------- the same memory


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("replicas", [None, 2])
def test_no_call_runs_and_no_buffer_is_made(replicas, training):
    network = Sequential([Reshape((3, 2)), Flatten(), Reshape((1, 6, 1))], (2, 3), rng(), replicas=replicas)
    plan = Plan(network, 5, training=training, backward=True, input_gradient=True)
    assert plan.forward == plan.backward == []
    assert plan.y1 is plan.x1 and plan.dy1 is plan.dx1
    lead = () if replicas is None else (replicas,)
    assert (plan.x.shape, plan.y.shape) == ((*lead, 2, 3, 5), (*lead, 1, 6, 1, 5))
    assert np.shares_memory(plan.x, plan.y) and np.shares_memory(plan.dx, plan.dy)


@pytest.mark.parametrize("position", range(4))
def test_a_view_between_other_layers_adds_no_call_and_no_buffer(position):
    def calls_of(views):
        layers = [Dense(6), Tanh(), BatchNorm(), Dense(3)]
        layers[position:position] = views
        network = Sequential(layers, 4, rng(), "float64")
        plan = Plan(network, 5, training=True, backward=True, input_gradient=True)
        arrays = [a for call in (*plan.forward, *plan.backward) for a in call.arrays]
        memory = {(a.__array_interface__["data"][0], a.nbytes) for a in arrays}
        return [call.name for call in (*plan.forward, *plan.backward)], len(memory)

    assert calls_of([Reshape((2, 2) if position == 0 else (3, 2)), Flatten()]) == calls_of([])


def test_a_reshaped_output_is_the_input_in_row_major_order_and_a_gradient_comes_back_so():
    x = images()
    for layer, shape in ((Reshape((4, 6)), (4, 6)), (Reshape((24,)), (24,)), (Flatten(), (24,)), (Reshape(24), (24,))):
        network = Sequential([layer], (2, 3, 4), rng(), "float64")
        assert network.shapes == [(2, 3, 4), shape]
        np.testing.assert_array_equal(network.forward(x, True), x.reshape(6, *shape))
        np.testing.assert_array_equal(network.predict(x), x.reshape(6, *shape))
        dy = rng(1).normal(size=(6, *shape))
        np.testing.assert_array_equal(network.backward(dy), dy.reshape(x.shape))


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data(), replicas=st.none() | st.integers(1, 3)
)
@settings(max_examples=40, deadline=None)
def test_any_shape_goes_into_any_other_of_its_size_and_back(shape, data, replicas):
    size = int(np.prod(shape))
    other, left = [], size
    while left > 1 and len(other) < 3:
        other.append(data.draw(st.sampled_from([n for n in range(1, left + 1) if left % n == 0])))
        left //= other[-1]
    network = Sequential([Reshape((*other, left)), Reshape(tuple(shape))], shape, rng(), "float64", replicas)
    assert network.shapes == [tuple(shape), (*other, left), tuple(shape)]
    x = rng(1).normal(size=(*network.replicas, 3, *shape))
    np.testing.assert_array_equal(network.forward(x), x)
    np.testing.assert_array_equal(network.backward(-x), -x)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"reshape_1: the shape \(2, 3\) does not fit into \(4, 2\)"):
        Sequential([Reshape((4, 2))], (2, 3), rng())
    network = Sequential([Flatten()], (2, 3, 4), rng(), name="net")
    for x in (np.zeros((5, 24)), np.zeros((5, 2, 4, 3)), np.zeros((2, 3, 4)), np.zeros((0, 2, 3, 4))):
        with pytest.raises(ValueError, match=r"net: Flatten 'flatten_1' expects images .*\(2, 3, 4\)"):
            network.forward(x)
    network.forward(np.zeros((5, 2, 3, 4)))
    with pytest.raises(ValueError, match=r"dy has shape \(5, 2, 3, 4\), expected \(5, 24\)"):
        network.backward(np.zeros((5, 2, 3, 4)))


# ------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("training", [True, False])
def test_gradients_through_images_are_right(training):
    for layers in (
        [Dense(12), Reshape((3, 2, 2)), BatchNorm(0.8), LeakyReLU(0.2), Flatten(), Dense(2), Tanh()],
        [Reshape((2, 1, 2)), BatchNorm(0.8), Tanh(), Reshape((4,)), Dense(6), Reshape((2, 3)), BatchNorm(), Sigmoid()],
        [Flatten(), Dense(3), Flatten(), ReLU(), Reshape((3, 1)), BatchNorm()],
    ):
        network = Sequential(layers, 4, rng(2), "float64")
        network.values += rng(3).normal(0, 0.3, network.values.shape)
        check(network, rng(4).normal(size=(7, 4)), training=training).raise_for_failure()


@pytest.mark.parametrize("shape", [(2, 3, 2), (3, 4), (1, 2, 2, 2)])
def test_batch_norm_of_images_has_right_gradients(shape):
    report = check(BatchNorm(0.8), images(6, shape))
    report.raise_for_failure()
    assert {row.tensor: row.shape for row in report.rows} == {
        "batch_norm_1.gamma": shape[:1], "batch_norm_1.beta": shape[:1], "input": (6, *shape),
    }  # fmt: skip


def test_a_gan_whose_networks_meet_in_an_image_has_right_gradients():
    """The generator ends in a view, the discriminator starts with one, or with a layer that works in place."""
    for first in ([Flatten()], [BatchNorm(0.8), Flatten()], [LeakyReLU(0.2), BatchNorm(0.8), Flatten()]):
        g = Sequential([Dense(4), Tanh(), Dense(8), BatchNorm(0.8), Reshape((2, 2, 2))], 3, rng(1), "float64")
        d = Sequential([*first, Dense(3), Tanh(), Dense(1), Sigmoid()], (2, 2, 2), rng(2), "float64")
        gan = GAN(g, d)
        check(gan, (images(6, (2, 2, 2)), rng(3).normal(size=(6, 3)))).raise_for_failure()


# ------------------------------------------------------------------------------------------- batch norm per channel


def by_channel(x, gamma, beta, epsilon):
    """(outputs, means, variances) of batch norm on (rows, channels, …), a channel at a time."""
    y, statistics = np.empty_like(x), []
    for k in range(x.shape[1]):
        channel = x[:, k]
        mean, variance = channel.mean(), channel.var()
        y[:, k] = gamma[k] * (channel - mean) / np.sqrt(variance + epsilon) + beta[k]
        statistics.append((mean, variance))
    return y, *np.array(statistics).T


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 2, 2), (5, 1, 1), (2, 7), (4, 2, 1, 3), (6,)])
def test_batch_norm_is_that_of_every_channel_over_the_batch_and_all_positions(shape):
    layer, x = BatchNorm(0.75, 0.01), images(6, shape)
    network = Sequential([layer], shape, rng(), "float64")
    assert network.parameters()["batch_norm_1.gamma"].shape == shape[:1]
    gamma, beta = rng(1).normal(1, 0.3, shape[0]), rng(2).normal(0, 1, shape[0])
    layer.params["gamma"][...], layer.params["beta"][...] = gamma, beta
    y, mean, variance = by_channel(x, gamma, beta, 0.01)
    near(network.forward(x, True), y)
    near(layer.state["running_mean"], 0.25 * mean)
    near(layer.state["running_variance"], 0.75 + 0.25 * variance)
    dy = rng(3).normal(size=x.shape)
    network.backward(dy)
    positions = (0, *range(2, x.ndim))
    columns = [1, -1] + [1] * (len(shape) - 1)
    centred = (y - beta.reshape(columns)) / gamma.reshape(columns)
    near(layer.grads["beta"], dy.sum(axis=positions))
    near(layer.grads["gamma"], (dy * centred).sum(axis=positions))
    root = np.sqrt(layer.state["running_variance"] + 0.01).reshape(columns)
    inference = gamma.reshape(columns) * (x - layer.state["running_mean"].reshape(columns)) / root
    near(network.predict(x), inference + beta.reshape(columns))


def test_batch_norm_of_an_image_of_one_pixel_is_that_of_features():
    x = images(6, (5,))
    flat, pixel = (Sequential([BatchNorm(0.8)], shape, rng(), "float64") for shape in (5, (5, 1, 1)))
    y = flat.forward(x, True)
    assert pixel.forward(x[:, :, None, None], True)[..., 0, 0].tobytes() == y.tobytes()
    assert pixel.state.tobytes() == flat.state.tobytes()


# ------------------------------------------------------------------------------------- images and rows of features


def network_of(shape, dtype, replicas, *view):
    layers = [ReLU(), *view, Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(1), Sigmoid()]
    return Sequential(layers, shape, rng(), dtype, replicas)


def same(ours, theirs, replicas):
    """Equal to the bit; in stacks, whose memory is laid out otherwise where there are images, but for rounding."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if replicas:
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    else:
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("dtype", "replicas"), [*((dtype, None) for dtype in DTYPES), ("float64", 2)])
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5), (2, 2, 3)])
def test_a_network_on_images_trains_as_the_same_network_on_flat_rows_to_the_bit(shape, dtype, replicas, optimizer):
    image = network_of(shape, dtype, replicas, Flatten())
    flat = network_of(int(np.prod(shape)), dtype, replicas)
    for network in (image, flat):
        network.compile(OPTIMIZERS[optimizer](0.02))
    start = image.values.copy()
    for step in range(6):
        rows = 5 + step % 2
        x, target = images(rows, shape, seed=step), rng(step + 50).integers(0, 2, (rows, 1))
        target = np.broadcast_to(target, (*image.replicas, rows, 1))
        same(image.train_on_batch(x, target), flat.train_on_batch(x.reshape(rows, -1), target), replicas)
    assert image.values.tobytes() != start.tobytes()
    for ours, theirs in ((image.values, flat.values), (image.grads, flat.grads), (image.state, flat.state)):
        same(ours, theirs, replicas)
    x = images(300, shape, seed=9)
    same(image.predict(x), flat.predict(x.reshape(300, -1)), replicas)


@pytest.mark.parametrize("schedule", ["concatenated", "separate"])
@pytest.mark.parametrize("replicas", [None, 2])
def test_a_gan_of_images_trains_as_the_same_gan_of_flat_rows_to_the_bit(schedule, replicas):
    shape, gans = (2, 3, 2), []
    for generator_ends, discriminator_starts, rows in (([Reshape(shape)], [Flatten()], shape), ([], [], (12,))):
        make = [Dense(6), ReLU(), BatchNorm(0.8), Dense(12), Tanh(), *generator_ends]
        judge = [*discriminator_starts, Dense(5), LeakyReLU(), Dense(1), Sigmoid()]
        g, d = Sequential(make, 4, rng(1), replicas=replicas), Sequential(judge, rows, rng(2), replicas=replicas)
        gans.append(GAN(g, d, Adam(0.01), SGD(0.1, 0.5), schedule=schedule))
    data = images(40, shape).astype(np.float32)
    for length in ({"steps": 7}, {"epochs": 2}):
        image, flat = (
            gan.fit(rows, batch_size=8, rng=rng(3), every=3, **length)
            for gan, rows in zip(gans, (data, data.reshape(40, -1)), strict=True)
        )
        for column in image.objective.columns:
            same(image[column], flat[column], replicas)
    for part in ("generator", "discriminator"):
        same(getattr(gans[0], part).values, getattr(gans[1], part).values, replicas)
    one, other = (gan.sample(9, rng(4)) for gan in gans)
    assert one.shape == (*gans[0].generator.replicas, 9, *shape)
    same(one, other.reshape(one.shape), replicas)


def test_the_views_are_those_of_this_chapter():
    assert {"Flatten", "Reshape"} == set(VIEWS)
    for name in VIEWS:
        for layer, shape in LAYERS[name].examples():
            assert layer.shapes == layer.state_shapes == {}
            check(layer, images(5, shape)).raise_for_failure()
