"""Sequential: what it refuses, what it holds, how it runs and trains."""

import math

import numpy as np
import pytest

from numgan import (
    SGD,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Error,
    Layer,
    LeakyReLU,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)
from tests.helpers import DTYPES, make_network, normal_rows, rng, small_layers

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


# ------------------------------------------------------------------------------------------------ what it refuses


class Twins(Layer):
    """Two outputs per input feature."""

    def build(self, shape):
        return (2 * shape[0], *shape[1:])

    def forward(self, x, out):
        out[..., 0::2], out[..., 1::2] = x, -x

    def backward_input(self, x, y, dy, out):
        np.subtract(dy[..., 0::2], dy[..., 1::2], out=out)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": "float16"}, ValueError, "net: dtype must be float32 or float64, got 'float16'"),
        ({"dtype": int}, ValueError, "net: dtype must be float32 or float64, got"),
        (
            {"rng": 7},
            TypeError,
            "net: rng must be a numpy.random.Generator such as ",
        ),
        ({"rng": np.random.RandomState(1)}, TypeError, "got RandomState"),
        ({"shape": 0}, ValueError, "net: shape must be a positive integer or a tuple of them, got 0"),
        ({"shape": 2.5}, ValueError, "net: shape must be a positive integer or a tuple of them, got 2.5"),
        ({"shape": True}, ValueError, "net: shape must be a positive integer or a tuple of them, got True"),
        ({"shape": (3, -1)}, ValueError, "net: shape must be a positive integer or a tuple of them, got -1"),
        ({"shape": ()}, ValueError, "net: shape must have 1 to 8 axes, got ()"),
        (
            {"shape": (3, 1)},
            ValueError,
            "dense_1: Dense expects one axis of features, got the shape (3, 1); Flatten first",
        ),
        ({"layers": []}, ValueError, "net: a network needs at least one layer"),
        ({"layers": iter(())}, ValueError, "net: a network needs at least one layer"),
        (
            {"layers": [Dense(2), ReLU]},
            ValueError,
            "activations.ReLU'> at position 1",
        ),
        ({"layers": ["dense"]}, ValueError, "net: layers must be Layer objects, got 'dense' at position 0"),
        (
            {"layers": [Dense(2), Tanh(), [ReLU()]]},
            ValueError,
            "Layer objects, got [ReLU()] at position 2",
        ),
        ({"replicas": 0}, ValueError, "net: replicas must be None or a positive integer"),
        ({"replicas": -1}, ValueError, "net: replicas must be None or a positive integer"),
        ({"replicas": 2.5}, ValueError, "net: replicas must be None or a positive integer"),
        ({"replicas": True}, ValueError, "net: replicas must be None or a positive integer, got True"),
    ],
)
def test_a_network_that_cannot_be_is_refused(arguments, error, message):
    good = {"layers": [Dense(2)], "shape": 3, "rng": rng(), "name": "net"}
    with pytest.raises(error) as caught:
        Sequential(**(good | arguments))
    assert message in str(caught.value)
    assert isinstance(caught.value, Error)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((7, 5)), "net: Dense 'dense_1' expects 4 features, got input of shape (7, 5); expected (batch, 4)"),
        (np.zeros(4), "got input of shape (4,); expected (batch, 4)"),
        (np.zeros((0, 4)), "got input of shape (0, 4); expected (batch, 4) with a batch of at least 1"),
        (3.0, "expects 4 features, got input of shape (); expected (batch, 4)"),
        (np.zeros((2, 7, 4)), "net: input shape (2, 7, 4) has replicas (2,), not ()"),
        (np.zeros((7, 4), complex), "net: input must be real numbers, got an array of dtype 'complex128'"),
        (np.full((7, 4), "a"), "net: input must be real numbers, got an array of dtype 'str32'"),
        (np.full((7, 4), None), "net: input must be real numbers, got an array of dtype 'object'"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_everywhere(x, message):
    network = make_network()
    network.compile(Adam())
    for use in (network.forward, network.predict, lambda x: network.train_on_batch(x, np.ones((7, 1)))):
        with pytest.raises(ValueError) as caught:
            use(x)
        assert message in str(caught.value)


def test_replicas_that_do_not_fit_are_refused():
    stack = make_network(replicas=3)
    with pytest.raises(ValueError, match=r"input shape \(2, 7, 4\) has replicas \(2,\), not \(3,\)"):
        stack.forward(np.zeros((2, 7, 4)))


def test_backward_needs_a_forward_pass_and_a_gradient_of_its_shape():
    network = make_network()
    with pytest.raises(RuntimeError, match="net: backward needs a forward pass first"):
        network.backward(np.zeros((7, 1)))
    network.forward(normal_rows())
    for wrong in (np.zeros((7, 2)), np.zeros((6, 1)), np.zeros(7), 1.0):
        with pytest.raises(ValueError, match=r"net: dy has shape .*, expected \(7, 1\), that of the output"):
            network.backward(wrong)


def test_targets_that_do_not_fit_are_refused():
    network = make_network()
    with pytest.raises(RuntimeError, match=r"net: call compile\(optimizer\) before train_on_batch"):
        network.train_on_batch(normal_rows(), np.ones((7, 1)))
    network.compile(Adam())
    for wrong in (np.ones(7), np.ones((7, 2)), np.ones((6, 1)), 1.0):
        with pytest.raises(ValueError, match="expects targets of shape"):
            network.train_on_batch(normal_rows(), wrong)
    for wrong in (1.5, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"expects targets in \[0, 1\]|target must be finite"):
            network.train_on_batch(normal_rows(), np.full((7, 1), wrong))


def test_a_refused_batch_changes_nothing():
    network = make_network()
    network.compile(Adam())
    before = network.values.tobytes(), network.state.tobytes(), network.grads.tobytes()
    right = np.ones((7, 1))
    for x, t in ((normal_rows(7, 5), right), (normal_rows(), right[:6]), (normal_rows(), 2 * right)):
        with pytest.raises(ValueError):
            network.train_on_batch(x, t)
    assert (network.values.tobytes(), network.state.tobytes(), network.grads.tobytes()) == before


# ------------------------------------------------------------------------------------------------------- contents


def test_layers_are_named_by_kind_and_position():
    network = Sequential([Dense(3), LeakyReLU(), Dense(3), BatchNorm(), ReLU(), Twins(), LeakyReLU()], 4, rng())
    names = ["dense_1", "leaky_relu_1", "dense_2", "batch_norm_1", "relu_1", "twins_1", "leaky_relu_2"]
    assert [layer.name for layer in network.layers] == names
    assert network.shapes == [(n,) for n in (4, 3, 3, 3, 3, 3, 6, 6)]
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
    network = make_network(replicas=3, name="critic")
    lines = network.summary().splitlines()
    assert lines[0] == "critic: input (batch, 4), float32 · 3 replicas"
    table = [line.split() for line in lines[4:-2]]
    counts = [30, 0, 24, 35, 0, 6, 0]
    assert [line[-1] for line in table] == [str(n) for n in counts]
    assert table[0] == ["dense_1", "(Dense)", "(batch,", "6)", "30"]
    assert lines[-1] == f"{sum(counts)} parameters: {sum(counts) - 12} trained, 12 kept"
    assert Sequential.parameter_count(small_layers(), 4) == sum(counts)
    assert "replicas" not in make_network().summary()


def test_start_values():
    network = Sequential([Dense(6), BatchNorm()], 4, rng())
    start = {name: array.tolist() for name, array in network.state_dict().items()}
    assert start["dense_1.bias"] == start["batch_norm_1.beta"] == start["batch_norm_1.running_mean"] == [0] * 6
    assert start["batch_norm_1.gamma"] == start["batch_norm_1.running_variance"] == [1] * 6
    assert (
        make_network(seed=5).values.tobytes()
        == make_network(seed=5).values.tobytes()
        != make_network(seed=6).values.tobytes()
    )


@pytest.mark.parametrize("replicas", [None, 3])
def test_parameters_and_gradients_are_views_into_the_arena(replicas):
    network = make_network(replicas=replicas)
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


def test_what_is_written_into_the_parameters_is_what_runs():
    network, x = make_network("float64"), normal_rows()
    before = network.predict(x)
    network.parameters()["dense_3.bias"][...] += 2
    logit = np.log(before / (1 - before)) + 2
    np.testing.assert_allclose(network.predict(x), 1 / (1 + np.exp(-logit)), rtol=1e-12)


def test_state_dict_is_a_copy_that_load_sets_back():
    network, x = make_network(), normal_rows()
    kept, y = network.state_dict(), network.predict(x)
    network.compile(Adam(0.1))
    network.train_on_batch(x, np.ones((7, 1)))
    assert network.predict(x).tobytes() != y.tobytes()
    network.load_state_dict(kept)
    assert network.predict(x).tobytes() == y.tobytes()
    other = make_network(seed=9)
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
    network = make_network()
    before = network.state_dict()
    wrong = change({name: array + 1 for name, array in before.items()})
    with pytest.raises(ValueError) as caught:
        network.load_state_dict(wrong)
    assert message in str(caught.value)
    assert all(array.tobytes() == before[name].tobytes() for name, array in network.state_dict().items())


@pytest.mark.parametrize("value", [["none at all"], [None], [1j]], ids=str)
@pytest.mark.filterwarnings("ignore")
def test_a_state_dict_of_what_are_no_numbers_is_refused_whole(value):
    network = make_network()
    before = network.state_dict()
    with pytest.raises(ValueError):
        network.load_state_dict({name: array + 1 for name, array in before.items()} | {"dense_3.bias": value})
    assert all(array.tobytes() == before[name].tobytes() for name, array in network.state_dict().items())


@pytest.mark.parametrize("replicas", [None, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_has_the_same_values_and_a_life_of_its_own(dtype, replicas):
    network, x = make_network(), normal_rows()
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
    network, x = make_network("float64", replicas), normal_rows(rows)
    predicted = network.predict(x)
    assert predicted.shape == (*network.replicas, rows, 1)
    np.testing.assert_allclose(predicted, network.forward(x), rtol=1e-13)
    row_by_row = np.concatenate([network.predict(x[i : i + 1]) for i in (0, rows // 2, rows - 1)], axis=-2)
    np.testing.assert_allclose(row_by_row, predicted[..., [0, rows // 2, rows - 1], :], rtol=1e-13)


def test_the_result_of_forward_is_borrowed_and_that_of_predict_is_not():
    network = make_network()
    first, kept = network.forward(normal_rows(seed=1)), network.predict(normal_rows(seed=1))
    copy = first.copy()
    np.testing.assert_allclose(kept, copy, rtol=1e-6)
    second = network.forward(normal_rows(seed=2))
    assert second is first or np.shares_memory(first, second)
    assert not np.array_equal(first, copy)
    before = kept.copy()
    again = network.predict(normal_rows(seed=2))
    assert not np.shares_memory(kept, again)
    assert kept.tobytes() == before.tobytes()


def test_inference_moves_nothing_and_training_moves_the_statistics():
    network = make_network()
    network.grads[...] = 5
    before = network.values.tobytes(), network.state.tobytes(), network.grads.tobytes()
    network.predict(normal_rows())
    network.forward(normal_rows())
    network.backward(np.ones((7, 1)))
    assert (network.values.tobytes(), network.state.tobytes(), network.grads.tobytes()) == before
    network.forward(normal_rows(), training=True)
    assert network.state.tobytes() != before[1]
    network.backward(np.ones((7, 1)))
    assert (network.grads != 5).all()
    assert network.values.tobytes() == before[0]


@pytest.mark.parametrize("kind", [float, "float32", "float64", "int8", "uint8", bool, list])
def test_any_kind_of_number_goes_in(kind):
    network, x = make_network("float64"), rng().integers(0, 2, (7, 4))
    expected = network.predict(x.astype(np.float64))
    given = x.tolist() if kind is list else x.astype(kind)
    assert network.predict(given).tobytes() == expected.tobytes()


# ------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("optimizer", [lambda: Adam(0.01), lambda: SGD(0.2, 0.9)], ids=["adam", "sgd"])
@pytest.mark.parametrize("closing", ["sigmoid", "logits", "probabilities"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_train_on_batch_learns_to_separate(dtype, closing, optimizer):
    x = normal_rows(200, 2)
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
    network, x, t = make_network("float64"), normal_rows(), rng(4).integers(0, 2, (7, 1))
    network.compile(Adam(0.1))
    plain = make_network("float64")
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
