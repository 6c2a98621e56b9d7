"""Layers: settings they refuse, one network each, layers of one's own, how kernels are bound to arguments by name."""

import inspect
import itertools
import json
import math
import unicodedata

import numpy as np
import pytest
from numpy.lib.array_utils import byte_bounds

from numgan import (
    SGD,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    Dense,
    Error,
    Layer,
    LeakyReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
    check_gradients,
    normal,
)
from numgan.kernels.dense import fastest_product
from numgan.nn import buffers
from numgan.nn import calls as calls_module
from numgan.nn.joining import Join
from numgan.nn.network import copy_layer
from numgan.nn.plan import Plan
from numgan.nn.registry import LAYERS
from tests.helpers import DTYPES, examples, make_network, near, normal_rows, rng

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Dense(0), "Dense(units) must be a positive integer, got 0"),
        (lambda: Dense(2.0), "Dense(units) must be a positive integer, got 2.0"),
        (lambda: Dense(True), "Dense(units) must be a positive integer, got True"),
        (lambda: Dense(None), "Dense(units) must be a positive integer, got None"),
        (lambda: Reshape(()), "Reshape(shape) must have 1 to 8 axes, got ()"),
        (lambda: Reshape((2, 0)), "Reshape(shape) must be a positive integer or a tuple of them, got 0"),
        (lambda: Reshape((2, True)), "Reshape(shape) must be a positive integer or a tuple of them, got True"),
        (lambda: Reshape("ab"), "Reshape(shape) must be a positive integer or a tuple of them, got 'ab'"),
        (lambda: Dense(3, "xavier"), "unknown initializer 'xavier'; expected one of glorot_uniform"),
        (lambda: LeakyReLU(True), "LeakyReLU(slope) must be a number in [0, 1), got True"),
        (lambda: LeakyReLU(1), "LeakyReLU(slope) must be a number in [0, 1), got 1"),
        (lambda: LeakyReLU("0.2"), "LeakyReLU(slope) must be a number in [0, 1), got '0.2'"),
        (lambda: BatchNorm(1.0), "BatchNorm(momentum) must be a number in [0, 1), got 1.0"),
        (lambda: BatchNorm(epsilon=0), "BatchNorm(epsilon) must be a number in (0, 1), got 0"),
        (lambda: normal(-1), "normal(stddev) must be a positive finite number, got -1"),
        (lambda: normal(math.nan), "normal(stddev) must be a positive finite number, got nan"),
        (lambda: BinaryCrossEntropy(label_smoothing=0.5), "label_smoothing must be a number in [0, 0.5), got 0.5"),
        (lambda: Adam(0), "Adam learning_rate must be a positive finite number, got 0"),
        (lambda: Adam(beta1=1), "Adam beta1 must be a number in [0, 1), got 1"),
        (lambda: Adam(epsilon=math.inf), "Adam epsilon must be a positive finite number, got inf"),
        (lambda: Adam(form="pytorch"), "Adam form must be one of ('keras', 'paper'), got 'pytorch'"),
        (lambda: SGD("fast"), "SGD learning_rate must be a positive finite number, got 'fast'"),
        (lambda: SGD(momentum=-0.1), "SGD momentum must be a number in [0, 1), got -0.1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError) as caught:
        build()
    assert message in str(caught.value)
    assert isinstance(caught.value, Error)


def test_a_layer_serves_one_network_once():
    layer = Dense(4)
    Sequential([layer], 4, rng())
    with pytest.raises(ValueError, match="second: layer 'dense_1' already belongs to a network"):
        Sequential([layer], 4, rng(), name="second")
    twice = Tanh()
    with pytest.raises(ValueError, match="already belongs to a network"):
        Sequential([twice, twice], 4, rng())


def test_a_layer_without_its_methods_says_which_one_is_missing():
    class Bare(Layer):
        pass

    with pytest.raises(NotImplementedError, match=r"Bare must define forward\(x, out\)"):
        Sequential([Bare()], 4, rng()).forward(normal_rows())


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


def test_the_sigmoid_is_accurate_far_out():
    x = np.array([[-1e4, -700, -100, -30, -1e-9, 0, 1e-9, 30, 100, 1e4]])
    y = Sequential([Sigmoid()], 10, rng(), "float64").predict(x)[0]
    expected = [0.0, *(math.exp(v) / (1 + math.exp(v)) for v in (-700, -100, -30, -1e-9, 0, 1e-9, 30, 100)), 1.0]
    np.testing.assert_allclose(y, expected, rtol=1e-15)
    assert (Sequential([Sigmoid()], 10, rng(), "float32").predict(x)[0, [0, 9]] == [0, 1]).all()


# ------------------------------------------------------------------------------------------- what may be handed over


def test_layers_may_come_from_a_generator_expression():
    network = Sequential((Dense(units) for units in (3, 2)), 4, rng())
    assert network.shapes == [(4,), (3,), (2,)]
    listed = Sequential([Dense(3), Dense(2)], 4, rng())
    assert network.values.tobytes() == listed.values.tobytes()


@pytest.mark.parametrize(
    ("make", "plain"),
    [
        (lambda: Dense(np.int64(3)), "Dense(units=3)"),
        (lambda: Dense(np.uint8(3)), "Dense(units=3)"),
        (lambda: Reshape((np.int32(2), np.int64(2))), "Reshape(shape=[2, 2])"),
        (lambda: Reshape(np.int64(4)), "Reshape(shape=[4])"),
        (lambda: LeakyReLU(np.float32(0.25)), "LeakyReLU(slope=0.25)"),
        (lambda: LeakyReLU(0), "LeakyReLU(slope=0.0)"),
        (lambda: BatchNorm(np.float32(0.5), np.float64(0.125)), "BatchNorm(momentum=0.5, epsilon=0.125)"),
        (lambda: SGD(np.float32(0.5), np.int64(0)), "SGD(learning_rate=0.5, momentum=0.0)"),
        (
            lambda: Adam(np.float32(0.5), np.float16(0.5)),
            "Adam(learning_rate=0.5, beta1=0.5, beta2=0.999",
        ),
    ],
)
def test_numbers_of_numpy_are_numbers(make, plain):
    assert repr(make()).startswith(plain)
    assert json.loads(json.dumps(make().config())) == make().config()


def test_sizes_of_numpy_make_the_same_network():
    one = Sequential([Dense(np.int64(3)), Reshape(tuple(np.array([3, 1])))], np.int64(4), rng(), replicas=np.int8(2))
    same = Sequential([Dense(3), Reshape((3, 1))], (4,), rng(), replicas=2)
    assert one.values.tobytes() == same.values.tobytes()
    assert json.dumps(one.config()) == json.dumps(same.config())


# ------------------------------------------------------------------------------- a network that could not be is undone


def unready(rng, shape, fan_in, fan_out, dtype):
    raise RuntimeError("no weights today")


class Interrupted(Layer):
    def build(self, shape):
        raise KeyboardInterrupt


class Nowhere(Layer):
    """Its outputs have no shape."""

    def build(self, shape):
        return None


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (lambda: Reshape((2, 2)), ValueError),
        (lambda: Nowhere(), ValueError),
        (lambda: Interrupted(), KeyboardInterrupt),
        (lambda: Dense(2, unready), RuntimeError),
        (lambda: Dense(2, lambda rng, n_in, n_out, dtype: np.zeros((n_in, n_out))), TypeError),
        (lambda: Dense(10**15), ValueError),
    ],
    ids=["shape", "no shape", "interrupt", "initializer", "initializer of other arguments", "memory"],
)
def test_a_network_that_fails_to_build_leaves_its_layers_usable(last, error):
    layers = [Dense(3), BatchNorm(), LeakyReLU()]
    with pytest.raises(error):
        Sequential([*layers, last()], 4, rng())
    assert [layer.name for layer in layers] == ["layer"] * 3
    check_gradients(layers[0], normal_rows()).raise_for_failure()  # which takes no layer of a network
    network = Sequential(layers, 5, rng(1))
    fresh = Sequential([Dense(3), BatchNorm(), LeakyReLU()], 5, rng(1))
    assert [layer.name for layer in layers] == ["dense_1", "batch_norm_1", "leaky_relu_1"]
    assert network.predict(normal_rows(6, 5)).tobytes() == fresh.predict(normal_rows(6, 5)).tobytes()


def test_a_failing_network_takes_no_layer_away_from_another():
    mine, free = Dense(4), Dense(4)
    network = Sequential([mine], 4, rng())
    before = network.predict(normal_rows()).tobytes()
    for layers in ([free, mine], [free, free]):
        with pytest.raises(ValueError, match="already belongs to a network"):
            Sequential(layers, 4, rng())
    assert (mine.name, free.name) == ("dense_1", "layer")
    assert network.predict(normal_rows()).tobytes() == before
    assert network.parameters().keys() == {"dense_1.weight", "dense_1.bias"}
    Sequential([free], 4, rng())


# ------------------------------------------------------------------------------------------------- binding by name


class Own(Layer):
    """Binds the kernels that it is given, with the arrays and numbers that it is given."""

    def __init__(self, forward=None, backward=None, parameters=None, **own):
        self.kernels, self.own = (forward, backward, parameters), own
        self.shapes = {"k": (1,)} if parameters else {}

    def bind(self, io):
        forward, backward, parameters = self.kernels
        io.let(**self.own)
        io.forward(forward or copy_forward)
        if parameters:
            io.backward_parameters(parameters)
        io.backward(backward or copy_backward)


def copy_forward(x, out):
    np.copyto(out, x)


def copy_backward(dy, out):
    np.copyto(out, dy)


def bound(layer, shape=(3,), rows=5, replicas=None, dtype="float64"):
    """(plan, the layer's forward calls, its backward calls) of a network of that layer behind a copying one."""
    network = Sequential([Own(), layer], shape, rng(), dtype, replicas)
    plan = Plan(network, rows, training=True, backward=True, input_gradient=True)
    return plan, *([c for c in calls if c.layer == layer.name] for calls in (plan.forward, plan.backward))


def asks_forward(x, y, dy, x1, temp, temp2, temp17, mask, column, out):
    pass


def asks_backward(x, y, dy, out1, xᵀ, x1ᵀ, temp, temp2, mask, column, out):
    pass


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("shape", [(3,), (1,), (2, 3, 4)])
def test_every_buffer_comes_by_its_name(shape, replicas, dtype):
    layer = Own(asks_forward, asks_backward)
    _, (forward,), (backward,) = bound(layer, shape, 5, replicas, dtype)
    lead, n = () if replicas is None else (replicas,), int(np.prod(shape))
    whole, ones = (*lead, *shape, 5), (*lead, n + 1, 5)
    for call in (forward, backward):
        a = call.arguments
        assert list(a) == list(inspect.signature(call.kernel).parameters)
        for name in {"x", "y", "dy", "out", "temp", "temp2", "temp17"} & a.keys():
            assert a[name].shape == whole and a[name].dtype == dtype, name
        assert (a["mask"].shape, a["mask"].dtype) == (whole, bool)
        assert (a["column"].shape, a["column"].dtype) == ((*whole[:-1], 1), dtype)
    x1, out1 = forward.arguments["x1"], backward.arguments["out1"]
    assert x1.shape == out1.shape == ones and (x1[..., -1, :] == 1).all()
    assert np.shares_memory(x1, forward.arguments["x"]) and np.shares_memory(out1, backward.arguments["out"])
    assert same(forward.arguments["out"], forward.arguments["y"])
    for name in ("x", "y", "dy"):
        assert same(forward.arguments[name], backward.arguments[name])
    assert same(np.matrix_transpose(backward.arguments["xT"]), forward.arguments["x"])
    assert same(np.matrix_transpose(backward.arguments["x1T"]), x1)
    distinct = [forward.arguments["x"], forward.arguments["y"], forward.arguments["dy"], out1]
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(distinct, 2))


def same(a, b):
    """Whether two arrays are one piece of memory, looked at in one way."""
    return a.__array_interface__ == b.__array_interface__


def test_two_scratch_names_are_two_arrays():
    """A kernel that uses both at once gets right what it would spoil in one; the same name is the same array."""

    def forward(x, temp, temp2, out):
        np.multiply(x, 2, out=temp)
        np.multiply(x, 3, out=temp2)
        np.multiply(temp, temp2, out=out)

    def backward(dy, x, temp2, temp, temp3, out):
        np.multiply(x, 5, out=temp2)
        np.multiply(x, 7, out=temp)
        np.add(temp, temp2, out=temp3)
        np.multiply(dy, temp3, out=out)

    layer = Own(forward, backward)
    _, (first,), (second,) = bound(layer)
    scratch = [first.arguments[name] for name in ("temp", "temp2")] + [second.arguments["temp3"]]
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(scratch, 2))
    assert all(first.arguments[name] is second.arguments[name] for name in ("temp", "temp2"))
    x = normal_rows()
    np.testing.assert_allclose(Sequential([Own(forward, backward)], 4, rng(), "float64").forward(x), 6 * x**2)
    check_gradients(Own(forward, backward), x).raise_for_failure()


def test_scratch_is_shared_by_the_layers_of_a_plan():
    def forward(x, temp, out):
        np.copyto(out, x)

    network = Sequential([Own(forward), Own(forward), Dense(2), Own(forward)], 4, rng())
    plan = Plan(network, 5, training=True, backward=False)
    first, second, narrow = (call.arguments["temp"] for call in plan.forward if not call.is_product)
    assert first is second and narrow.shape == (2, 5)


@pytest.mark.parametrize("name", ["weight", "tmp", "z", "temp_2", "temperature", "maskᵀ2", "dz", "T", "zᵀ"])
@pytest.mark.parametrize("place", range(3), ids=["forward", "backward", "parameters"])
def test_a_kernel_that_asks_for_an_unknown_name_is_refused_with_the_layer_s_name(name, place):
    scope = {}
    exec(f"def odd({name}, out=None):\n    pass", scope)
    kernels = [None, None, None]
    kernels[place] = scope["odd"]
    network = Sequential([Dense(4), Own(*kernels)], 4, rng())
    with pytest.raises(TypeError) as caught:
        network.forward(normal_rows(), True)
    message, plain = str(caught.value), unicodedata.normalize("NFKC", name)
    assert message.startswith("own_1: kernel odd asks for '") and isinstance(caught.value, Error)
    assert f"asks for '{plain}'" in message or f"asks for '{plain.removesuffix('T')}'" in message
    assert "the buffers are x, y, dy, x1, out, out1, temp, mask, column, product" in message


def test_what_the_layer_hands_over_goes_before_the_buffers_and_what_a_call_hands_over_before_all():
    mine, own = np.arange(3.0), np.arange(4.0)

    class Particular(Layer):
        def bind(self, io):
            io.let(x=mine, temp=mine, slope=0.1)
            io.let(slope=0.5)
            io.forward(lambda x, temp, slope, out: None, temp=own)
            io.backward(lambda x, temp, slope, out: None, out=mine)

    _, (forward,), (backward,) = bound(Particular())
    assert forward.arguments["x"] is backward.arguments["x"] is backward.arguments["temp"] is mine
    assert forward.arguments["temp"] is own and backward.arguments["out"] is mine
    assert forward.arguments["slope"] == backward.arguments["slope"] == 0.5


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_becomes_an_array_of_the_data_s_dtype(dtype):
    layer = Own(lambda x, slope, count, name, out: None, slope=0.1, count=3, name="n")
    _, (call,), _ = bound(layer, dtype=dtype)
    for name, value in (("slope", 0.1), ("count", 3)):
        number = call.arguments[name]
        assert isinstance(number, np.ndarray) and (number.shape, number.dtype) == ((), dtype)
        assert number == np.dtype(dtype).type(value)
    assert call.arguments["name"] == "n"
    assert len(call.arrays) == 2  # scalars are none


def test_a_product_is_the_faster_one_for_the_first_two_operands():
    small, large = np.ones((3, 2)), np.ones((200, 2))
    for a, bᵀ in ((small, small), (large, large), (np.ones((2, 3, 2)), small)):
        layer = Own(lambda a, b, out, product: None, a=a, b=bᵀ.T)
        _, (call,), _ = bound(layer)
        assert call.arguments["product"] is fastest_product(a, bᵀ.T) and call.is_product


def test_a_featurewise_layer_binds_block_by_block_each_with_its_own_features(monkeypatch):
    monkeypatch.setattr(buffers, "BLOCK", 10)

    class Gain(Layer):
        featurewise = True

        def build(self, shape):
            self.shapes = {"gain": shape[:1]}
            return shape

        def bind(self, io):
            io.let(gain=io.per_feature(self.params["gain"]), dgain=io.per_feature(self.grads["gain"]))
            io.forward(lambda x, gain, out: np.multiply(x, gain, out=out))
            io.backward_parameters(lambda x, dy, dgain: np.sum(x * dy, axis=-1, keepdims=True, out=dgain))
            io.backward(lambda dy, gain, out: np.multiply(dy, gain, out=out))

    network = Sequential([Gain()], 6, rng(), "float64")
    network.values[...] = rng(1).normal(size=6)
    x, dy = normal_rows(5, 6), normal_rows(5, 6, seed=4)
    np.testing.assert_array_equal(network.forward(x, True), x * network.values)
    np.testing.assert_array_equal(network.backward(dy), dy * network.values)
    np.testing.assert_allclose(network.grads, (x * dy).sum(axis=0), rtol=1e-14)
    calls = network.plan(5, training=True, backward=True, input_gradient=True).forward
    assert [call.block for call in calls] == ["features 0 to 1", "features 2 to 3", "features 4 to 5"]
    assert [call.arguments["gain"].shape for call in calls] == [(2, 1)] * 3


# ------------------------------------------------------------------------------------------------ calls nobody reads


def reasons(calls):
    """(layer, kernel) -> why it is skipped, of the calls that are."""
    return {(call.layer, call.name): call.skipped for call in calls if call.skipped}


FROZEN, UNREAD = "frozen, its parameters get no gradient", "nobody reads the input's gradient"


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("input_gradient", [True, False])
def test_calls_that_nobody_reads_are_listed_as_skipped_with_the_reason(training, input_gradient):
    network = make_network()
    plan = Plan(network, 7, training=training, backward=True, input_gradient=input_gradient)
    expected = {}
    if not training:
        expected |= {(f"dense_{i}", "dense_backward_weight"): FROZEN for i in (1, 2, 3)}
        expected["batch_norm_1", "batch_norm_backward_parameters"] = FROZEN
    if not input_gradient:
        expected["dense_1", "dense_backward_input"] = UNREAD
    assert reasons(plan.backward) == expected and reasons(plan.forward) == {}
    for call in plan.backward:
        assert bool(call.skipped) == (call.run is None) == (call.arguments == {})
    assert calls_module.runs(plan.backward) == [call.run for call in plan.backward if not call.skipped]
    text = calls_module.listing("a title", plan.backward)
    assert text.splitlines()[0] == "a title"
    assert text.splitlines()[-1].endswith(f"MFLOP; {len(expected)} skipped")
    for (layer, kernel), reason in expected.items():
        (line,) = [line for line in text.splitlines() if f" {kernel} " in line and f" {layer} " in line]
        assert line.endswith(f"skipped: {reason}")


def test_what_is_skipped_is_not_even_bound():
    """A kernel that nobody needs may ask for what is not there."""

    class Frozen(Own):
        def bind(self, io):
            super().bind(io)
            io.backward_parameters(lambda nothing_of_the_kind: None)

    network = Sequential([Frozen()], 4, rng())
    network.forward(normal_rows())
    network.backward(normal_rows())
    with pytest.raises(TypeError, match="nothing_of_the_kind"):
        network.forward(normal_rows(), True)


def test_below_the_lowest_layer_with_parameters_no_backward_call_is_made():
    network = Sequential([Tanh(), LeakyReLU(), Dense(2), Sigmoid()], 4, rng())
    plan = Plan(network, 5, training=True, backward=True)
    assert [(call.layer, call.name) for call in plan.backward] == [
        ("sigmoid_1", "sigmoid_backward"), ("dense_1", "dense_backward_weight"), ("dense_1", "dense_backward_input"),
    ]  # fmt: skip
    assert reasons(plan.backward) == {("dense_1", "dense_backward_input"): UNREAD}


# ------------------------------------------------------------------------------------------------------- every layer


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("example", examples(), ids=str)
def test_a_layer_computes_what_its_plain_formula_says(example, training):
    layer, shape = example
    network = Sequential([copy_layer(layer)], shape, rng(), "float64")
    network.values[...] = rng(1).normal(0, 0.7, network.values.shape)
    network.state[...] = rng(2).uniform(0.5, 1.5, network.state.shape)
    for call in network.after_update():
        call.run()
    x = rng(3).normal(0.2, 1.3, (6, *shape))
    plain = network.layers[0].plain(x.reshape(6, -1).tolist(), training)
    y = network.forward(x, training)
    assert y.shape == (6, *network.shapes[-1])
    near(y, np.reshape(plain, y.shape), 1e-13)


@pytest.mark.parametrize("example", examples(), ids=str)
def test_a_layer_can_be_made_again_from_its_config(example):
    layer, shape = example
    again = type(layer)(**json.loads(json.dumps(layer.config())))
    assert repr(again) == repr(layer)
    one, other = (Sequential([copy_layer(made)], shape, rng()) for made in (layer, again))
    assert one.shapes == other.shapes and one.values.tobytes() == other.values.tobytes()


def test_every_layer_has_examples_of_itself():
    for kind in set(LAYERS.values()) - {Join}:  # which an input alone does not try out
        assert kind.examples() and {type(layer) for layer, _ in kind.examples()} == {kind}


def test_a_layer_without_a_formula_says_so():
    with pytest.raises(NotImplementedError, match=r"Own has no plain\(rows, training\)"):
        Own().plain([[1.0]], True)
