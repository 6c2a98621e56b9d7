"""Sequential, its arena, its plans, what it refuses; optimisers on long arenas; no memory taken by a warm step."""

import math
import tracemalloc

import numpy as np
import pytest
from numpy.lib.array_utils import byte_bounds

from numgan import (
    GAN,
    SGD,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Layer,
    LeakyReLU,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    normal,
)
from numgan.data import stream
from numgan.nn import buffers, initializers, optimizers
from numgan.study import recipes
from numgan.study.settings import with_overrides

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def rng(seed=0):
    return np.random.default_rng(seed)


def layers():
    return [Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(5), Tanh(), Dense(1), Sigmoid()]


def make(dtype="float32", replicas=None, seed=0, name="net"):
    network = Sequential(layers(), 4, rng(seed), dtype, replicas, name)
    network.state += rng(seed + 1).uniform(0.1, 0.5, network.state.shape)
    return network


def data(rows=7, n=4, seed=3):
    return rng(seed).normal(0, 1, (rows, n))


# ------------------------------------------------------------------------------------------------ what it refuses


class Twins(Layer):
    """Two outputs per input feature."""

    def build(self, n_in):
        return 2 * n_in

    def forward(self, x, out):
        out[..., 0::2], out[..., 1::2] = x, -x

    def backward_input(self, x, y, dy, out):
        np.subtract(dy[..., 0::2], dy[..., 1::2], out=out)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": "float16"}, ValueError, "net: dtype must be float32 or float64, got 'float16'"),
        ({"dtype": int}, ValueError, "net: dtype must be float32 or float64, got"),
        ({"rng": 7}, TypeError, "net: rng must be a numpy.random.Generator, got int"),
        ({"rng": np.random.RandomState(1)}, TypeError, "got RandomState"),
        ({"n_in": 0}, ValueError, "net: n_in must be a positive integer, got 0"),
        ({"n_in": 2.5}, ValueError, "net: n_in must be a positive integer, got 2.5"),
        ({"layers": []}, ValueError, "net: a network needs at least one layer"),
        ({"replicas": 0}, ValueError, "net: replicas must be None or a positive integer"),
        ({"replicas": -1}, ValueError, "net: replicas must be None or a positive integer"),
        ({"replicas": 2.5}, ValueError, "net: replicas must be None or a positive integer"),
    ],
)
def test_a_network_that_cannot_be_is_refused(arguments, error, message):
    good = {"layers": [Dense(2)], "n_in": 3, "rng": rng(), "name": "net"}
    with pytest.raises(error) as caught:
        Sequential(**(good | arguments))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Dense(0), "Dense(units) expects a positive integer, got 0"),
        (lambda: Dense(2.0), "Dense(units) expects a positive integer, got 2.0"),
        (lambda: Dense(3, "xavier"), "unknown initializer 'xavier'; expected one of glorot_uniform"),
        (lambda: LeakyReLU(1), "LeakyReLU(slope) expects a number in [0, 1), got 1"),
        (lambda: LeakyReLU("0.2"), "LeakyReLU(slope) expects a number in [0, 1), got '0.2'"),
        (lambda: BatchNorm(1.0), "BatchNorm(momentum) expects a number in [0, 1), got 1.0"),
        (lambda: BatchNorm(epsilon=0), "BatchNorm(epsilon) expects a number in (0, 1), got 0"),
        (lambda: normal(-1), "normal(stddev) expects a positive finite number, got -1"),
        (lambda: normal(math.nan), "normal(stddev) expects a positive finite number, got nan"),
        (lambda: BinaryCrossEntropy(label_smoothing=0.5), "label_smoothing must be in [0, 0.5), got 0.5"),
        (lambda: Adam(0), "Adam learning_rate must be a positive finite number, got 0"),
        (lambda: Adam(beta1=1), "Adam beta1 must be in [0, 1), got 1"),
        (lambda: Adam(epsilon=math.inf), "Adam epsilon must be a positive finite number, got inf"),
        (lambda: Adam(form="pytorch"), "Adam form must be one of ('keras', 'paper'), got 'pytorch'"),
        (lambda: SGD("fast"), "SGD learning_rate must be a positive finite number, got 'fast'"),
        (lambda: SGD(momentum=-0.1), "SGD momentum must be in [0, 1), got -0.1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError) as caught:
        build()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((7, 5)), "net: Dense 'dense_1' expects 4 features, got 5 (input shape (7, 5); expected (batch, 4)"),
        (np.zeros(4), "input shape (4,); expected (batch, 4)"),
        (np.zeros((0, 4)), "input shape (0, 4); expected (batch, 4) with a batch of at least 1"),
        (3.0, "expects 4 features, got a scalar"),
        (np.zeros((2, 7, 4)), "net: input shape (2, 7, 4) has replicas (2,), not ()"),
        (np.zeros((7, 4), complex), "net: input dtype complex128 is not a real number"),
        (np.full((7, 4), "a"), "net: input dtype <U1 is not a real number"),
        (np.full((7, 4), None), "net: input dtype object is not a real number"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_everywhere(x, message):
    network = make()
    network.compile(Adam())
    for use in (network.forward, network.predict, lambda x: network.train_on_batch(x, np.ones((7, 1)))):
        with pytest.raises(ValueError) as caught:
            use(x)
        assert message in str(caught.value)


def test_replicas_that_do_not_fit_are_refused():
    stack = make(replicas=3)
    with pytest.raises(ValueError, match=r"input shape \(2, 7, 4\) has replicas \(2,\), not \(3,\)"):
        stack.forward(np.zeros((2, 7, 4)))


def test_backward_needs_a_forward_pass_and_a_gradient_of_its_shape():
    network = make()
    with pytest.raises(RuntimeError, match="net: backward needs a forward pass first"):
        network.backward(np.zeros((7, 1)))
    network.forward(data())
    for wrong in (np.zeros((7, 2)), np.zeros((6, 1)), np.zeros(7), 1.0):
        with pytest.raises(ValueError, match=r"net: dy has shape .*, expected \(7, 1\), that of the output"):
            network.backward(wrong)


def test_targets_that_do_not_fit_are_refused():
    network = make()
    with pytest.raises(RuntimeError, match=r"net: call compile\(optimizer\) before train_on_batch"):
        network.train_on_batch(data(), np.ones((7, 1)))
    network.compile(Adam())
    for wrong in (np.ones(7), np.ones((7, 2)), np.ones((6, 1)), 1.0):
        with pytest.raises(ValueError, match="expects targets of shape"):
            network.train_on_batch(data(), wrong)
    for wrong in (1.5, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"expects targets in \[0, 1\]"):
            network.train_on_batch(data(), np.full((7, 1), wrong))


def test_a_refused_batch_changes_nothing():
    network = make()
    network.compile(Adam())
    before = network.values.tobytes(), network.state.tobytes(), network.grads.tobytes()
    for x, t in ((data(7, 5), np.ones((7, 1))), (data(), np.ones((6, 1))), (data(), np.full((7, 1), 2))):
        with pytest.raises(ValueError):
            network.train_on_batch(x, t)
    assert (network.values.tobytes(), network.state.tobytes(), network.grads.tobytes()) == before


def test_a_layer_serves_one_network_once():
    layer = Dense(4)
    Sequential([layer], 4, rng())
    with pytest.raises(ValueError, match="second: layer 'dense_1' already belongs to a network"):
        Sequential([layer], 4, rng(), name="second")
    twice = Tanh()
    with pytest.raises(ValueError, match="already belongs to a network"):
        Sequential([twice, twice], 4, rng())


@pytest.mark.parametrize("optimizer", [Adam, SGD])
def test_an_optimizer_serves_one_network(optimizer):
    shared = optimizer()
    make(name="first").compile(shared)
    with pytest.raises(ValueError, match=rf"{optimizer.__name__}\(.* already trains 'first'; make a new one for 'net'"):
        make().compile(shared)
    with pytest.raises(ValueError, match="already trains 'first'"):
        GAN(Sequential([Dense(4)], 3, rng()), make(), shared)


def test_a_layer_without_its_methods_says_which_one_is_missing():
    class Bare(Layer):
        pass

    with pytest.raises(NotImplementedError, match=r"Bare must define forward\(x, out\)"):
        Sequential([Bare()], 4, rng()).forward(data())


# ------------------------------------------------------------------------------------------------------- contents


def test_layers_are_named_by_kind_and_position():
    network = Sequential([Dense(3), LeakyReLU(), Dense(3), BatchNorm(), ReLU(), Twins(), LeakyReLU()], 4, rng())
    names = ["dense_1", "leaky_relu_1", "dense_2", "batch_norm_1", "relu_1", "twins_1", "leaky_relu_2"]
    assert [layer.name for layer in network.layers] == names
    assert network.widths == [4, 3, 3, 3, 3, 3, 6, 6]
    shapes = {name: view.shape for name, view in network.parameters().items()}
    assert shapes == {
        "dense_1.weight": (3, 4),
        "dense_1.bias": (3,),
        "dense_2.weight": (3, 3),
        "dense_2.bias": (3,),
        "batch_norm_1.gamma": (3,),
        "batch_norm_1.beta": (3,),
    }
    assert network.gradients().keys() == shapes.keys()
    assert network.state_dict().keys() == shapes.keys() | {"batch_norm_1.running_mean", "batch_norm_1.running_variance"}


def test_summary_has_a_line_per_layer_and_adds_up():
    network = make(replicas=3, name="critic")
    lines = network.summary().splitlines()
    assert lines[0] == "critic: input (batch, 4), float32 · 3 replicas"
    table = [line.split() for line in lines[4:-2]]
    counts = [30, 0, 24, 35, 0, 6, 0]
    assert [line[-1] for line in table] == [str(n) for n in counts]
    assert table[0] == ["dense_1", "(Dense)", "(batch,", "6)", "30"]
    assert lines[-1] == f"{sum(counts)} parameters: {sum(counts) - 12} trained, 12 running statistics"
    assert Sequential.parameter_count(layers(), 4) == sum(counts)
    assert "replicas" not in make().summary()


def test_start_values():
    network = Sequential([Dense(6), BatchNorm()], 4, rng())
    start = {name: array.tolist() for name, array in network.state_dict().items()}
    assert start["dense_1.bias"] == start["batch_norm_1.beta"] == start["batch_norm_1.running_mean"] == [0] * 6
    assert start["batch_norm_1.gamma"] == start["batch_norm_1.running_variance"] == [1] * 6
    assert make(seed=5).values.tobytes() == make(seed=5).values.tobytes() != make(seed=6).values.tobytes()


@pytest.mark.parametrize("replicas", [None, 3])
def test_parameters_and_gradients_are_views_into_the_arena(replicas):
    network = make(replicas=replicas)
    for views, arena in ((network.parameters(), network.values), (network.gradients(), network.grads)):
        arena[...], sizes = 0, 0
        for i, view in enumerate(views.values()):
            assert np.shares_memory(view, arena)
            view[...] = i + 1
            sizes += view.size
            assert (arena == i + 1).sum() == view.size
        assert sizes == arena.size
    network.values[...] = 7
    assert all((view == 7).all() for view in network.parameters().values())


@pytest.mark.parametrize("replicas", [None, 1, 2, 3])
@pytest.mark.parametrize("units", [1, 2])
@pytest.mark.parametrize("n_in", [1, 2])
def test_the_matrix_of_a_dense_layer_is_its_weight_beside_its_bias(n_in, units, replicas):
    """All three are views of the arena, also where axes of length 1 leave NumPy any stride it likes."""
    network = Sequential([BatchNorm(), Dense(units), Dense(3)], n_in, rng(), "float64", replicas)
    for name, views, arena in (
        ("matrix", network.parameters(), network.values),
        ("grad_matrix", network.gradients(), network.grads),
    ):
        for layer in network.layers[1:]:
            matrix = getattr(layer, name)
            (start, stop), (first, last) = byte_bounds(arena), byte_bounds(matrix)
            assert start <= first <= last <= stop
            arena[...] = rng(1).normal(size=arena.shape)
            np.testing.assert_array_equal(matrix[..., :-1], views[layer.name + ".weight"])
            np.testing.assert_array_equal(matrix[..., -1], views[layer.name + ".bias"])


def test_what_is_written_into_the_parameters_is_what_runs():
    network, x = make("float64"), data()
    before = network.predict(x)
    network.parameters()["dense_3.bias"][...] += 2
    logit = np.log(before / (1 - before)) + 2
    np.testing.assert_allclose(network.predict(x), 1 / (1 + np.exp(-logit)), rtol=1e-12)


def test_state_dict_is_a_copy_that_load_sets_back():
    network, x = make(), data()
    kept, y = network.state_dict(), network.predict(x)
    network.compile(Adam(0.1))
    network.train_on_batch(x, np.ones((7, 1)))
    assert network.predict(x).tobytes() != y.tobytes()
    network.load_state_dict(kept)
    assert network.predict(x).tobytes() == y.tobytes()
    other = make(seed=9)
    other.load_state_dict({name: array.tolist() for name, array in kept.items()})
    assert other.predict(x).tobytes() == y.tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s | {"dense_9.weight": np.ones(1)}, "net: missing [], unknown ['dense_9.weight']"),
        (lambda s: {k: v for k, v in s.items() if k != "dense_3.bias"}, "net: missing ['dense_3.bias'], unknown []"),
        (lambda s: s | {"dense_3.bias": np.ones(2)}, "net: dense_3.bias has shape (2,), expected (1,)"),
        (lambda s: s | {"batch_norm_1.running_mean": np.ones((1, 6))}, "has shape (1, 6), expected (6,)"),
    ],
)
def test_a_state_dict_is_loaded_whole_or_not_at_all(change, message):
    network = make()
    before = network.state_dict()
    wrong = change({name: array + 1 for name, array in before.items()})
    with pytest.raises(ValueError) as caught:
        network.load_state_dict(wrong)
    assert message in str(caught.value)
    assert all(array.tobytes() == before[name].tobytes() for name, array in network.state_dict().items())


@pytest.mark.parametrize("value", [["none at all"], [None], [1j]], ids=str)
@pytest.mark.filterwarnings("ignore")
def test_a_state_dict_of_what_are_no_numbers_is_refused_whole(value):
    network = make()
    before = network.state_dict()
    with pytest.raises(ValueError):
        network.load_state_dict({name: array + 1 for name, array in before.items()} | {"dense_3.bias": value})
    assert all(array.tobytes() == before[name].tobytes() for name, array in network.state_dict().items())


@pytest.mark.parametrize("replicas", [None, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_copy_has_the_same_values_and_a_life_of_its_own(dtype, replicas):
    network, x = make(), data()
    network.compile(Adam())
    twin = network.copy(dtype, replicas)
    assert (twin.dtype, twin.replicas) == (dtype, () if replicas is None else (replicas,))
    for r in [...] if replicas is None else range(replicas):
        np.testing.assert_array_equal(twin.values[r], network.values)
        np.testing.assert_array_equal(twin.state[r], network.state)
    assert twin.summary().splitlines()[1:] == network.summary().splitlines()[1:]
    assert [repr(layer) for layer in twin.layers] == [repr(layer) for layer in network.layers]
    kept = network.predict(x).tobytes()
    twin.compile(SGD(0.5))
    target = np.ones((*twin.replicas, 7, 1))
    twin.train_on_batch(x, target)
    assert network.predict(x).tobytes() == kept
    assert not np.array_equal(twin.predict(x), network.predict(x))
    if replicas:
        with pytest.raises(ValueError, match="net: a network of replicas cannot be copied"):
            twin.copy()


# ---------------------------------------------------------------------------------------------------- running it


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("rows", [1, 2, 255, 256, 257, 512, 600])
def test_predict_is_forward_in_inference_mode_for_any_number_of_rows(rows, replicas):
    network, x = make("float64", replicas), data(rows)
    predicted = network.predict(x)
    assert predicted.shape == (*network.replicas, rows, 1)
    np.testing.assert_allclose(predicted, network.forward(x), rtol=1e-13)
    row_by_row = np.concatenate([network.predict(x[i : i + 1]) for i in (0, rows // 2, rows - 1)], axis=-2)
    np.testing.assert_allclose(row_by_row, predicted[..., [0, rows // 2, rows - 1], :], rtol=1e-13)


def test_the_result_of_forward_is_borrowed_and_that_of_predict_is_not():
    network = make()
    first, kept = network.forward(data(seed=1)), network.predict(data(seed=1))
    copy = first.copy()
    np.testing.assert_allclose(kept, copy, rtol=1e-6)
    second = network.forward(data(seed=2))
    assert second is first or np.shares_memory(first, second)
    assert not np.array_equal(first, copy)
    before = kept.copy()
    again = network.predict(data(seed=2))
    assert not np.shares_memory(kept, again)
    assert kept.tobytes() == before.tobytes()


def test_inference_moves_nothing_and_training_moves_the_statistics():
    network = make()
    network.grads[...] = 5
    before = network.values.tobytes(), network.state.tobytes(), network.grads.tobytes()
    network.predict(data())
    network.forward(data())
    network.backward(np.ones((7, 1)))
    assert (network.values.tobytes(), network.state.tobytes(), network.grads.tobytes()) == before
    network.forward(data(), training=True)
    assert network.state.tobytes() != before[1]
    network.backward(np.ones((7, 1)))
    assert (network.grads != 5).all()
    assert network.values.tobytes() == before[0]


def test_batch_sizes_take_turns():
    """More of them than plans are kept, in training and in between predictions."""
    network, fresh = make("float64"), make("float64")
    for rows in [*range(1, 14), 3, 1, 7]:
        x, dy = data(rows, seed=rows), data(rows, 1, seed=rows + 50)
        y = network.forward(x, True).copy()
        network.predict(data(5))
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


@pytest.mark.parametrize("kind", [float, "float32", "float64", "int8", "uint8", bool, list])
def test_any_kind_of_number_goes_in(kind):
    network, x = make("float64"), rng().integers(0, 2, (7, 4))
    expected = network.predict(x.astype(np.float64))
    given = x.tolist() if kind is list else x.astype(kind)
    assert network.predict(given).tobytes() == expected.tobytes()


# ------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("optimizer", [lambda: Adam(0.01), lambda: SGD(0.2, 0.9)], ids=["adam", "sgd"])
@pytest.mark.parametrize("closing", ["sigmoid", "logits", "probabilities"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_train_on_batch_learns_to_separate(dtype, closing, optimizer):
    x = data(200, 2)
    target = (x[:, :1] * x[:, 1:] > 0).astype(int)
    head = [Dense(1)] if closing == "logits" else [Dense(1), Sigmoid()]
    if closing == "probabilities":
        head.append(Twice())  # so that the network does not end in Sigmoid
    network = Sequential([Dense(16, "he_uniform"), ReLU(), *head], 2, rng(1), dtype)
    network.compile(optimizer(), BinaryCrossEntropy(from_logits=closing == "logits"))
    first, _ = network.train_on_batch(x, target)
    for _ in range(300):
        loss, accuracy = network.train_on_batch(x, target)
    assert isinstance(loss, float)
    assert loss < 0.5 * first
    assert accuracy > 0.9


class Twice(Layer):
    """The identity in disguise."""

    def forward(self, x, out):
        np.copyto(out, x)

    def backward_input(self, x, y, dy, out):
        np.copyto(out, dy)


def test_train_on_batch_reports_what_was_before_the_update():
    network, x, t = make("float64"), data(), rng(4).integers(0, 2, (7, 1))
    network.compile(Adam(0.1))
    plain = make("float64")
    p = plain.forward(x, training=True)
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    assert network.train_on_batch(x, t) == (pytest.approx(loss, rel=1e-12), ((p > 0.5) == (t > 0.5)).mean())
    assert network.train_on_batch(x, t)[0] < loss


@pytest.mark.parametrize("logit", [1e4, -1e4, 88.8, -88.8, 0.0])
def test_a_closing_sigmoid_trains_from_the_logit_without_overflow(logit):
    for target in (0, 1):
        network = Sequential([Dense(1, "zeros"), Sigmoid()], 3, rng(), "float32")
        network.parameters()["dense_1.bias"][...] = logit
        network.compile(SGD(1.0))
        loss, accuracy = network.train_on_batch(np.zeros((4, 3)), np.full((4, 1), target))
        expected = max(logit, 0) - target * logit + math.log1p(math.exp(-abs(logit)))
        assert loss == pytest.approx(expected, rel=1e-6)
        assert accuracy == ((logit > 0) == target)
        slope = (1 / (1 + math.exp(-logit)) if logit > -700 else 0) - target
        assert network.gradients()["dense_1.bias"][0] == pytest.approx(slope, abs=1e-7)
        assert np.isfinite(network.values).all()


def test_the_sigmoid_is_accurate_far_out():
    x = np.array([[-1e4, -700, -100, -30, -1e-9, 0, 1e-9, 30, 100, 1e4]])
    y = Sequential([Sigmoid()], 10, rng(), "float64").predict(x)[0]
    expected = [0.0, *(math.exp(v) / (1 + math.exp(v)) for v in (-700, -100, -30, -1e-9, 0, 1e-9, 30, 100)), 1.0]
    np.testing.assert_allclose(y, expected, rtol=1e-15)
    assert (Sequential([Sigmoid()], 10, rng(), "float32").predict(x)[0, [0, 9]] == [0, 1]).all()


# ----------------------------------------------------------------------------------------------------- optimisers


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
    network = make()
    first, second = Adam(), SGD()
    network.compile(first)
    network.train_on_batch(data(), np.ones((7, 1)))
    network.compile(second)
    network.train_on_batch(data(), np.ones((7, 1)))
    assert (first.steps, second.steps) == (1, 1)


# --------------------------------------------------------------------------------------------------- initialisers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("initializer", "deviation", "limit"),
    [
        ("glorot_uniform", math.sqrt(2 / 700), math.sqrt(6 / 700)),
        ("glorot_normal", math.sqrt(2 / 700), None),
        ("he_uniform", math.sqrt(2 / 400), math.sqrt(6 / 400)),
        ("he_normal", math.sqrt(2 / 400), None),
        (normal(0.02), 0.02, None),
        ("zeros", 0, 0),
    ],
    ids=["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "normal", "zeros"],
)
def test_initialisers_have_the_mean_and_spread_they_state(initializer, deviation, limit, dtype):
    network = Sequential([Dense(300, initializer)], 400, rng(8), dtype, replicas=2)
    weight = network.parameters()["dense_1.weight"]
    assert weight.dtype == dtype
    for w in weight:
        assert abs(w.mean()) <= 5 * deviation / math.sqrt(w.size)
        assert w.std() == pytest.approx(deviation, rel=0.02)
        if limit is not None:
            assert np.abs(w).max() <= limit * (1 + 1e-6)
            assert np.abs(w).max() >= 0.999 * limit
    assert np.array_equal(weight[0], weight[1]) == (deviation == 0)
    if limit is None:
        assert np.abs(weight).max() > 3.5 * deviation


def test_the_default_is_glorot_uniform_and_a_function_may_be_given():
    def corner(rng, n_in, n_out, dtype):
        return np.eye(n_in, n_out, dtype=dtype)

    assert Dense(3).initializer is initializers.glorot_uniform
    network = Sequential([Dense(3, corner)], 4, rng())
    assert network.parameters()["dense_1.weight"].tolist() == np.eye(4, 3).T.tolist()


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


def peak_of(run):
    """Bytes that `run` has in use at most, beyond what was in use before."""
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        run()
        return tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", MODELS)
def test_a_warm_step_takes_no_memory(name):
    gan, batch = model_of(name)
    d_step, g_step = gan.discriminator_step(batch), gan.generator_step(batch)
    real = rng(1).standard_normal((batch, gan.discriminator.widths[0]), dtype=np.float32)
    noise = rng(2).standard_normal((batch, gan.latent_dim), dtype=np.float32)
    for _ in range(2):
        d_step.run(real, noise), g_step.run(noise)
    assert peak_of(lambda: d_step.run(real, noise)) < 2_000
    assert peak_of(lambda: g_step.run(noise)) < 2_000


class Watched:
    """A data source that looks at the memory in use whenever it is asked for rows."""

    def __init__(self, features):
        self.features, self.calls, self.seen = features, 0, np.zeros((45, 2), np.int64)

    def sample(self, n, rng, out):
        out[...] = 0.5
        self.seen[self.calls] = tracemalloc.get_traced_memory()
        self.calls += 1
        tracemalloc.reset_peak()


@pytest.mark.parametrize("name", ["sine", "mnist narrowed"])
def test_forty_warm_steps_of_fit_take_no_memory(name, monkeypatch):
    gan, batch = model_of(name)
    monkeypatch.setattr(stream, "BLOCK_VALUES", 1)  # rows are drawn for every step anew, and the memory looked at
    source = Watched(gan.discriminator.widths[0])
    tracemalloc.start()
    try:
        gan.fit(source, 45, batch, rng(3), every=1000)
    finally:
        tracemalloc.stop()
    assert source.calls == 45
    (start, _), *warm = source.seen[5:].tolist()
    assert max(peak for _, peak in warm) - start < 2_500


def test_train_on_batch_makes_its_buffers_once():
    network = make()
    network.compile(Adam())
    x, t = data(), np.ones((7, 1))
    network.train_on_batch(x, t)
    plans = dict(network._plans)
    for _ in range(3):
        network.train_on_batch(x, t)
    assert network._plans == plans
