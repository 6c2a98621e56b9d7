"""Plans: batch sizes and blocks change no number, buffers are shared where they may be, a warm step takes no memory."""

import tracemalloc

import numpy as np
import pytest

from numgan import Adam, BatchNorm, Dense, LeakyReLU, ReLU, Sequential, Sigmoid, Tanh
from numgan.data import stream
from numgan.nn import buffers
from numgan.study import recipes
from numgan.study.settings import with_overrides
from tests.helpers import rng
from tests.helpers_b import make_network, normal_rows, peak_memory

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


# ------------------------------------------------------------------------------------------- what changes no number


def test_batch_sizes_take_turns():
    """More of them than plans are kept, in training and in between predictions."""
    network, fresh = make_network("float64"), make_network("float64")
    for rows in [*range(1, 14), 3, 1, 7]:
        x, dy = normal_rows(rows, seed=rows), normal_rows(rows, 1, seed=rows + 50)
        y = network.forward(x, True).copy()
        network.predict(normal_rows(5))
        dx = network.backward(dy).copy()
        fresh._plans.clear()
        assert fresh.forward(x, True).tobytes() == y.tobytes()
        assert fresh.backward(dy).tobytes() == dx.tobytes()
        assert fresh.grads.tobytes() == network.grads.tobytes()
        assert fresh.state.tobytes() == network.state.tobytes()


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("block", [1, 20, 65_536, 10**9])
def test_how_the_work_is_cut_into_blocks_changes_nothing(block, replicas, monkeypatch):
    def run():
        stack = [Dense(300), BatchNorm(), LeakyReLU(0.2), BatchNorm(0.5), Tanh(), ReLU(), Dense(40), Sigmoid()]
        network = Sequential([*stack, BatchNorm()], 5, rng(), "float64", replicas)
        network.values += rng(1).normal(0, 0.2, network.values.shape)
        x, dy = rng(2).normal(0, 1, (*network.replicas, 260, 5)), rng(3).normal(0, 1, (*network.replicas, 260, 40))
        results = [network.predict(x)]
        for training in (True, False):
            results += [network.forward(x, training).copy(), network.backward(dy).copy()]
        return [*results, network.grads, network.state]

    monkeypatch.setattr(buffers, "BLOCK", block)
    ours = run()
    monkeypatch.setattr(buffers, "BLOCK", 10**9)
    for cut, whole in zip(ours, run(), strict=True):
        np.testing.assert_allclose(cut, whole, rtol=1e-10, atol=1e-12)


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
    network = make_network()
    network.compile(Adam())
    x, t = normal_rows(), np.ones((7, 1))
    network.train_on_batch(x, t)
    plans = dict(network._plans)
    for _ in range(3):
        network.train_on_batch(x, t)
    assert network._plans == plans
