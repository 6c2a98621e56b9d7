"""Plans: batch sizes and blocks change no number, buffers are shared where they may be, a warm step takes no memory."""

import tracemalloc

import numpy as np
import pytest

from numgan import Adam, BatchNorm, Dense, Flatten, LeakyReLU, ReLU, Reshape, Sequential, Sigmoid, Tanh
from numgan.data import stream
from numgan.gan import model
from numgan.nn import buffers, network
from numgan.nn.plan import Plan
from numgan.study import recipes
from numgan.study.settings import with_overrides
from tests.helpers import make_network, normal_rows, peak_memory, rng

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


# ------------------------------------------------------------------------------------------- what changes no number


def test_batch_sizes_take_turns():
    """More of them than plans are kept, in training and in between predictions."""
    net, fresh = make_network("float64"), make_network("float64")
    for rows in [*range(1, 14), 3, 1, 7]:
        x, dy = normal_rows(rows, seed=rows), normal_rows(rows, 1, seed=rows + 50)
        y = net.forward(x, True).copy()
        net.predict(normal_rows(5))
        dx = net.backward(dy).copy()
        fresh._plans.clear()
        assert fresh.forward(x, True).tobytes() == y.tobytes()
        assert fresh.backward(dy).tobytes() == dx.tobytes()
        assert fresh.grads.tobytes() == net.grads.tobytes()
        assert fresh.state.tobytes() == net.state.tobytes()


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("shape", [(5,), (6, 5, 4)], ids=str)
@pytest.mark.parametrize("block", [1, 20, 65_536, 10**9])
def test_how_the_work_is_cut_into_blocks_changes_nothing(block, shape, replicas, monkeypatch):
    def run():
        first = [Dense(300)] if shape == (5,) else []
        stack = [*first, BatchNorm(), LeakyReLU(0.2), BatchNorm(0.5), Tanh(), ReLU(), Flatten(), Dense(40), Sigmoid()]
        net = Sequential([*stack, BatchNorm()], shape, rng(), "float64", replicas)
        net.values += rng(1).normal(0, 0.2, net.values.shape)
        x, dy = (rng(seed).normal(0, 1, (*net.replicas, 260, *end)) for seed, end in ((2, shape), (3, net.shapes[-1])))
        results = [net.predict(x)]
        for training in (True, False):
            results += [net.forward(x, training).copy(), net.backward(dy).copy()]
        return [*results, net.grads, net.state]

    monkeypatch.setattr(buffers, "BLOCK", block)
    ours = run()
    monkeypatch.setattr(buffers, "BLOCK", 10**9)
    for cut, whole in zip(ours, run(), strict=True):
        np.testing.assert_allclose(cut, whole, rtol=1e-10, atol=1e-12)


def cuts(network, batch):
    """layer -> where its blocks begin, of a forward pass."""
    found = {}
    for call in Plan(network, batch, training=False, backward=False).forward:
        if call.rows:
            found.setdefault(call.layer, []).append(call.rows[0])
    return found


def test_blocks_of_elementwise_layers_alone_begin_with_a_group_of_rows():
    """Where sums over a block are worked out, in which the cut shows, they are as many features as fit."""
    network = Sequential([Dense(100), Tanh(), Dense(100), ReLU(), BatchNorm()], 3, rng())
    assert cuts(network, 2_000) == {"tanh_1": [0, 32, 64], "relu_1": [0, 33, 66], "batch_norm_1": [0, 33, 66]}
    few = Sequential([Dense(7), Tanh()], 3, rng())
    assert cuts(few, 100_000) == {} and cuts(Sequential([Dense(9), Tanh()], 3, rng()), 100_000) == {"tanh_1": [0, 8]}


def test_elementwise_kernels_of_a_stack_run_on_arrays_in_the_order_of_memory():
    network = Sequential([Dense(5), ReLU(), Dense(4)], 3, rng(), replicas=6)
    plan = Plan(network, 64, training=True, backward=True)
    calls = [call for call in [*plan.forward, *plan.backward] if call.layer == "relu_1"]
    assert [call.name for call in calls] == ["relu_forward", "relu_backward"]
    for call in calls:
        arrays = [a for a in call.run.args if isinstance(a, np.ndarray) and a.ndim]
        assert {a.shape for a in call.arrays} == {(6, 5, 64)} and {a.shape for a in arrays} == {(5, 6, 64)}
        assert all(a.flags.c_contiguous for a in arrays)
        assert [a.ctypes.data for a in arrays] == [a.ctypes.data for a in call.arrays]


# --------------------------------------------------------------------------------------------------------- memory


MODELS = {
    "sine": ("sine", {}, 128),
    "mnist": ("mnist", {}, 256),
    "mnist narrowed": ("mnist", {"hidden": (8, 12)}, 16),
    "sine of one batch": ("sine", {"schedule": "concatenated"}, 16),
}


def model_of(name):
    recipe, changes, batch = MODELS[name]
    recipe = recipes.get(recipe)
    gan = recipe.build(with_overrides(recipe.settings, changes), rng(), "float32")
    return gan, batch


@pytest.mark.parametrize("name", MODELS)
def test_a_warm_step_takes_no_memory(name):
    gan, batch = model_of(name)
    d_step, g_step = gan.discriminator_step(batch), gan.generator_step(batch)
    real = rng(1).standard_normal((batch, *gan.discriminator.shapes[0]), dtype=np.float32)
    noise = rng(2).standard_normal((batch, gan.latent_dim), dtype=np.float32)
    for _ in range(2):
        d_step.run(real, noise), g_step.run(noise)
    assert peak_memory(lambda: d_step.run(real, noise)) < 2_000
    assert peak_memory(lambda: g_step.run(noise)) < 2_000


class Watched:
    """A data source that looks at the memory in use whenever it is asked for rows."""

    def __init__(self, shape):
        self.shape, self.calls, self.seen = shape, 0, np.zeros((45, 2), np.int64)

    def sample(self, n, rng, out):
        out[...] = 0.5
        self.seen[self.calls] = tracemalloc.get_traced_memory()
        self.calls += 1
        tracemalloc.reset_peak()


@pytest.mark.parametrize("name", ["sine", "mnist narrowed"])
def test_forty_warm_steps_of_fit_take_no_memory(name, monkeypatch):
    gan, batch = model_of(name)
    monkeypatch.setattr(stream, "BLOCK_VALUES", 1)  # rows are drawn for every step anew, and the memory looked at
    source = Watched(gan.discriminator.shapes[0])
    tracemalloc.start()
    try:
        gan.fit(source, 45, batch, rng(3), every=1000)
    finally:
        tracemalloc.stop()
    assert source.calls == 45
    (start, _), *warm = source.seen[5:].tolist()
    assert max(peak for _, peak in warm) - start < 2_500


def test_train_on_batch_makes_its_buffers_once():
    net = make_network()
    net.compile(Adam())
    x, t = normal_rows(), np.ones((7, 1))
    net.train_on_batch(x, t)
    plans = dict(net._plans)
    for _ in range(3):
        net.train_on_batch(x, t)
    assert net._plans == plans


@pytest.mark.parametrize("many", [network.PLANS_KEPT, 3 * network.PLANS_KEPT])
def test_the_plans_that_a_network_keeps_are_bounded(many):
    net = make_network()
    for rows in range(1, many + 1):
        net.forward(normal_rows(rows))
    assert len(net._plans) == network.PLANS_KEPT
    assert [batch for batch, *_ in net._plans] == list(range(many - network.PLANS_KEPT + 1, many + 1))


def test_the_steps_that_a_gan_keeps_are_bounded_for_either_side():
    gan, _ = model_of("sine")
    held = gan.generator_step(1)
    for batch in range(1, 3 * model.STEPS_KEPT):
        gan.discriminator_step(batch), gan.generator_step(2 * batch)
    kept = [(kind.__name__, batch) for kind, batch in gan._steps]
    for kind, newest in (("DiscriminatorStep", 3 * model.STEPS_KEPT - 1), ("GeneratorStep", 6 * model.STEPS_KEPT - 2)):
        batches = [batch for name, batch in kept if name == kind]
        assert len(batches) == model.STEPS_KEPT and batches[-1] == newest
    assert gan.generator_step(1) is not held and gan.generator_step(1) is gan.generator_step(1)
    before = gan.generator.values.tobytes()
    held.run(np.ones((1, 5)))  # a forgotten step still is one
    assert gan.generator.values.tobytes() != before


# --------------------------------------------------------------------------------------------------------- buffers


def bound(*layers, shape=4, rows=7, **options):
    """(network, plan) of layers at a batch size, forward and backward."""
    options = {"training": True, "backward": True, "input_gradient": True} | options
    net = Sequential(layers, shape, rng(), "float64")
    return net, Plan(net, rows, **options)


def argument(calls, layer, name):
    """The one array of that name among a layer's calls."""
    (array,) = [call.arguments[name] for call in calls if call.layer == layer and name in call.arguments]
    return array


def test_a_layer_that_can_writes_its_output_over_its_input():
    _, plan = bound(Dense(3), LeakyReLU(), BatchNorm(), Dense(2))
    x = argument(plan.forward, "leaky_relu_1", "x")
    assert np.shares_memory(x, argument(plan.forward, "dense_1", "out"))
    assert np.shares_memory(x, argument(plan.forward, "leaky_relu_1", "out"))


def test_an_output_that_its_layer_reads_again_is_not_written_over():
    for reader in (ReLU, LeakyReLU, Tanh, Sigmoid):
        _, plan = bound(Dense(3), reader(), BatchNorm(), Dense(2))
        assert not np.shares_memory(plan.forward[1].arguments["out"], plan.forward[2].arguments["out"])
    _, plan = bound(Dense(3), BatchNorm(), BatchNorm(), Dense(2))  # which reads nothing of its output
    first, second = (call.arguments["out"] for call in plan.forward if call.name == "batch_norm_forward")
    assert np.shares_memory(first, second)


@pytest.mark.parametrize("first", [ReLU, LeakyReLU, Tanh, Sigmoid, BatchNorm, Flatten])
def test_the_network_s_own_input_is_never_written_over(first):
    _, plan = bound(first(), Dense(3), Tanh())
    plan.x[...] = normal_rows().T
    kept = plan.x1.copy()
    plan.run_forward()
    plan.dy[...] = 1
    plan.run_backward()
    assert plan.x1.tobytes() == kept.tobytes()


def test_the_row_of_ones_stays_one():
    _, plan = bound(BatchNorm(), Dense(6), LeakyReLU(), BatchNorm(), Dense(6), Tanh(), Reshape((2, 3)), Flatten())
    for seed in range(3):
        plan.x[...] = normal_rows(seed=seed).T
        plan.run_forward()
        plan.dy[...] = normal_rows(7, 6, seed=seed).reshape(7, 2, 3).transpose(1, 2, 0).reshape(plan.dy.shape)
        plan.run_backward()
    inputs = [call.arguments["x1"] for call in plan.forward if call.is_product]
    assert len(inputs) == 2
    for x1 in (*inputs, plan.x1, plan.y1):
        assert (x1[..., -1, :] == 1).all()


def test_buffers_that_are_handed_in_are_those_that_are_used():
    """How the generator of a GAN's chain writes where the discriminator reads, and the other way round."""
    above = Sequential([Dense(2), Sigmoid()], 3, rng(1), "float64")
    plan = Plan(above, 7, training=False, backward=True, input_gradient=True)
    net, below = bound(Dense(3), Tanh(), y1=plan.x1, dy1=plan.dx1)
    assert below.y1 is plan.x1 and below.dy1 is plan.dx1
    below.x[...] = normal_rows().T
    below.run_forward()
    plan.run_forward()
    np.testing.assert_allclose(plan.y.T, above.predict(net.predict(normal_rows())), rtol=1e-14)


def test_a_plan_of_some_layers_ends_there():
    net, plan = bound(Dense(3), Tanh(), Dense(1), Sigmoid(), depth=3)
    plan.x[...] = normal_rows().T
    plan.run_forward()
    p = net.predict(normal_rows())
    np.testing.assert_allclose(plan.y.T, np.log(p / (1 - p)), rtol=1e-12)
    assert {call.layer for call in plan.backward} == {"dense_1", "tanh_1", "dense_2"}


def test_an_untrained_plan_has_no_gradients_and_a_forward_one_no_backward_calls():
    _, plan = bound(Dense(3), BatchNorm(), backward=False)
    assert plan.dx is plan.dy is plan.dx1 is plan.dy1 is None and plan.backward == []
