"""Layers of indices: which vector goes where, what repeats add up to, what is no index, and PyTorch's own numbers.

tests/references/make_embedding.py made the stored arrays; PyTorch is not needed here.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numgan import (
    Adam,
    BinaryCrossEntropy,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    LeakyReLU,
    OneHot,
    Sequential,
    check_gradients,
    from_torch_layout,
    to_torch_layout,
)
from numgan.errors import ArgumentError
from numgan.nn.network import copy_layer
from tests.helpers import DTYPES, near, peak_memory, rng

quickly = settings(max_examples=30, deadline=None)
KINDS = {"Embedding": lambda: Embedding(7, 3), "OneHot": lambda: OneHot(7)}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
# (count, features, words in a row, rows, seed)
SIZES = st.tuples(*[st.integers(1, 6)] * 4, st.integers(0, 999))
REPLICAS = st.sampled_from([None, 1, 3])


def of(layer, words, dtype="float64", replicas=None, seed=0):
    return Sequential([layer], words, rng(seed), dtype, replicas)


def vectors(network):
    return network.parameters()["embedding_1.weight"]


# -------------------------------------------------------------------------------------------------- right indices


@given(SIZES, REPLICAS, st.sampled_from(DTYPES))
@quickly
def test_every_position_gets_the_vector_of_its_index_and_the_vector_the_gradients_of_its_positions(
    size, replicas, dtype
):
    count, features, words, rows, seed = size
    network = of(Embedding(count, features), words, dtype, replicas, seed)
    lead = network.replicas
    x = rng(seed).integers(0, count, (*lead, rows, words))
    y = network.forward(x, training=True)
    assert y.shape == (*lead, rows, features, 1, words)
    dy = rng(seed + 1).normal(size=y.shape).astype(dtype)
    network.grads[...] = np.nan  # overwritten, not added to
    dx = network.backward(dy)
    weight, expected = vectors(network), np.zeros((*lead, count, features))
    for place in np.ndindex(*x.shape):
        *r, n, k = place
        assert y[(*r, n, slice(None), 0, k)].tolist() == weight[(*r, x[place])].tolist()
        expected[(*r, x[place])] += dy[(*r, n, slice(None), 0, k)]
    near(network.gradients()["embedding_1.weight"], expected, 1e-5 if dtype == "float32" else 1e-12)
    unused = ~np.array([np.isin(np.arange(count), x[r]) for r in np.ndindex(*lead)]).reshape(*lead, count)
    assert (network.gradients()["embedding_1.weight"][unused] == 0).all()
    assert dx.shape == x.shape and not dx.any()


@given(SIZES, REPLICAS)
@quickly
def test_a_one_hot_column_is_one_at_its_index_and_an_embedding_is_a_dense_layer_on_it(size, replicas):
    count, features, words, rows, seed = size
    network, embedding = of(OneHot(count), words, replicas=replicas), of(Embedding(count, features), words, seed=seed)
    x = rng(seed).integers(0, count, (rows, words))
    y = network.predict(x)
    assert y.shape == (*network.replicas, rows, count, 1, words)
    assert (y.sum(axis=-3) == 1).all() and set(y.ravel()) <= {0.0, 1.0}
    assert (y.argmax(axis=-3)[..., 0, :] == x).all()
    columns = y if replicas is None else y[-1]
    near(embedding.predict(x), np.einsum("cf,ncok->nfok", vectors(embedding), columns))
    network.forward(x)
    assert not network.backward(np.ones_like(y)).any()


def test_other_weights_are_read_at_once_and_the_indices_of_the_last_pass_forgotten():
    network = of(Embedding(4, 2), 3)
    for seed in range(3):
        vectors(network)[...] = rng(seed).normal(size=(4, 2))
        x = rng(seed).integers(0, 4, (5, 3))
        assert network.forward(x, True).tolist() == vectors(network)[x].mT[:, :, None].tolist()
        network.backward(np.ones((5, 2, 1, 3)))
        assert network.gradients()["embedding_1.weight"][:, 0].tolist() == np.bincount(x.ravel(), minlength=4).tolist()


def test_two_embeddings_of_one_shape_keep_their_indices_apart():
    """The backward pass of the first comes long after the forward pass of another with buffers of the same shape."""
    network = of(Embedding(5, 1), 3)
    one, other = (
        network.plan(4, training=True, backward=True),
        of(Embedding(5, 1), 3).plan(4, training=True, backward=True),
    )
    one.x[...], other.x[...] = 2, 4
    one.run_forward()
    other.run_forward()
    one.dy[...] = 1
    one.run_backward()
    assert network.gradients()["embedding_1.weight"].ravel().tolist() == [0, 0, 12, 0, 0]


def test_convolutions_run_over_words_and_train():
    """Whether a row says "1 2" anywhere: two words side by side, which no single position tells."""
    layers = [Embedding(4, 6), Conv2D(12, (1, 2)), LeakyReLU(0.2), Flatten(), Dense(1)]
    network = Sequential(layers, 5, rng(1))
    x = rng(2).integers(0, 4, (256, 5))
    target = ((x[:, :-1] == 1) & (x[:, 1:] == 2)).any(axis=1, keepdims=True)
    network.compile(Adam(0.02), BinaryCrossEntropy(from_logits=True))
    first = network.train_on_batch(x, target)
    for _ in range(60):
        last = network.train_on_batch(x, target)
    assert last[0] < first[0] / 4 and last[1] > 0.97


def test_initial_vectors_are_standard_normal_or_as_asked():
    weight = vectors(of(Embedding(400, 50), 1))
    assert abs(weight.mean()) < 0.03 and abs(weight.std() - 1) < 0.03
    assert not vectors(of(Embedding(4, 5, "zeros"), 1)).any()
    asked = []

    def initializer(rng, shape, fan_in, fan_out, dtype):
        asked.append((shape, fan_in, fan_out, np.dtype(dtype).name))
        return np.full(shape, 2.0)

    assert (vectors(of(Embedding(4, 5, initializer), 1, replicas=2)) == 2).all()
    assert asked == [((4, 5), 1, 5, "float64")] * 2
    stack = vectors(of(Embedding(4, 5), 1, replicas=2))
    assert not np.array_equal(stack[0], stack[1])


def test_a_pass_takes_no_memory():
    network = of(Embedding(300, 40), 30, "float32")
    plan = network.plan(200, training=True, backward=True, input_gradient=True)
    plan.x[...] = rng().integers(0, 300, plan.x.shape)

    def step():
        plan.run_forward()
        plan.run_backward()

    step()
    assert peak_memory(step) < 9_000 < plan.y.nbytes / 50


# ------------------------------------------------------------------------------------------- what is no right index


@every_kind
def test_what_is_no_index_is_read_as_the_nearest(make):
    network = of(make(), 8)
    x = np.array([[-1e300, -3, -0.4, 1.4, 1.6, 6.4, 7, 1e300]])
    assert network.predict(x).tobytes() == network.predict([[0, 0, 0, 1, 2, 6, 6, 6]]).tobytes()


@every_kind
@pytest.mark.filterwarnings("error")
def test_even_what_is_no_number_leads_nowhere_else(make):
    network = of(make(), 3, "float32")
    plan = network.plan(1, training=False, backward=False)
    plan.x[:, 0] = np.nan, np.inf, -np.inf
    plan.run_forward()
    assert network.samples_first(plan.y).copy().tobytes() == network.predict([[0, 6, 0]]).tobytes()


@every_kind
def test_right_indices_are_given_back(make):
    for x in ([[0], [6]], np.array([[3, 5]], np.uint8), np.zeros((0, 1)), np.float32([1.0])):
        assert make().check_indices("label", x).tolist() == np.asarray(x).tolist()


@every_kind
@pytest.mark.parametrize("value, told", [(12, "12"), (7, "7"), (-1, "-1"), (2.5, "2.5"), (1e300, "1e+300")])
def test_others_are_refused_in_a_sentence(make, value, told):
    with pytest.raises(ArgumentError) as error:
        make().check_indices("label", np.array([[1], [value], [99]]))
    assert str(error.value) == f"label: expected whole numbers from 0 to 6, got {told}"


@every_kind
@pytest.mark.parametrize("x", [[np.nan], [np.inf], "3", None, [1j]])
def test_so_is_what_is_no_number(make, x):
    with pytest.raises(ArgumentError, match="^label must be "):
        make().check_indices("label", x)


@every_kind
def test_one_axis_of_indices_is_expected(make):
    with pytest.raises(ArgumentError, match=r"(embedding|one_hot)_1: \w+ expects one axis of indices, got the shape"):
        of(make(), (1, 2, 2))


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: Embedding(0, 3), r"Embedding\(count\) must be a positive integer, got 0"),
        (lambda: Embedding(3, 2.5), r"Embedding\(features\) must be a positive integer, got 2.5"),
        (lambda: Embedding(2**24 + 1, 3), r"Embedding\(count\) must be at most 16777216, got 16777217"),
        (lambda: OneHot(-1), r"OneHot\(count\) must be a positive integer, got -1"),
        (lambda: Embedding(3, 3, "uniform"), "unknown initializer 'uniform'"),
    ],
)
def test_wrong_settings_are_refused(make, told):
    with pytest.raises(ArgumentError, match=told):
        make()


# ------------------------------------------------------------------------------------------------- gradient checks


@given(SIZES)
@settings(max_examples=15, deadline=None)
def test_the_gradient_check_certifies_every_number(size):
    count, features, words, rows, seed = size
    count += 1  # of one index alone nothing depends on the input, which a check calls unproven
    for layer in (Embedding(count, features), OneHot(count)):
        network = of(copy_layer(layer), words, seed=seed)
        for training in (True, False):
            x = rng(seed).integers(0, count, (rows, words))
            report = check_gradients(network, x, training=training, directions=2)
            assert report.passed and all(row.certified == row.checked for row in report.rows), str(report)
            assert "input is indices: around each of them the function is flat, and its derivative 0" in report.notes


def test_zeros_of_a_layer_that_reads_no_index_prove_nothing():
    class Deaf(OneHot):
        """The same output whatever the input."""

        def bind(self, io):
            super().bind(io)
            io.forward(lambda out: out.fill(1))

    report = check_gradients(Deaf(4), [[0], [3], [1]])
    assert [row.verdict for row in report.rows] == ["unproven"] and not report.passed


# ------------------------------------------------------------------------------------------------------ PyTorch


def stored():
    with np.load(Path(__file__).parents[1] / "references" / "embedding_pytorch.npz") as file:
        return dict(file)


def captions():
    return Sequential([Embedding(9, 5), Conv2D(4, (1, 3)), Flatten(), Dense(2)], 6, rng(), "float64")


def test_outputs_and_gradients_are_pytorch_s():
    """Indices repeat within rows and between them, and some are in none."""
    a, network = stored(), captions()
    from_torch_layout(network, {name.removeprefix("state."): v for name, v in a.items() if name.startswith("state.")})
    near(network.forward(a["x"], training=True), a["y"], 1e-13)
    network.backward(a["dy"])
    counts = np.bincount(a["x"].ravel(), minlength=9)
    assert counts.max() > 5 and (counts == 0).sum() == 2
    grads = network.gradients()
    for ours, theirs in (
        ("embedding_1.weight", "0.weight"),
        ("conv2d_1.weight", "1.weight"),
        ("dense_1.bias", "3.bias"),
    ):
        near(grads[ours], a[f"grad.{theirs}"], 1e-13)
    assert (grads["embedding_1.weight"][counts == 0] == 0).all()


def test_weights_go_to_pytorch_and_back():
    network, twin = captions(), captions()
    arrays = to_torch_layout(network)
    assert arrays["0.weight"].shape == (9, 5) and arrays["0.weight"].tolist() == vectors(network).tolist()
    twin.values[...] = 0
    from_torch_layout(twin, arrays)
    assert twin.values.tobytes() == network.values.tobytes()


def test_one_hot_columns_are_pytorch_s():
    a = stored()
    assert of(OneHot(9), 6).predict(a["x"])[:, :, 0].mT.tolist() == a["one_hot"].tolist()
