"""The gradient checker itself: what it must certify, what it must catch, and what it must say."""

import json

import numpy as np
import pytest

from numgan import (
    GAN,
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
    check_gradients,
)
from numgan.gradcheck.targets import gan_with_batch_norm
from numgan.kernels import activations
from tests.helpers import DTYPES, every_kind, rng, rules, train_generator


def points(rows=5, features=4, seed=0):
    return rng(seed).normal(0.1, 1, (rows, features))


def rows_of(report):
    return {row.tensor: row for row in report.rows}


def assert_fails(report, *tensors):
    """Exactly these tensors failed."""
    assert not report.passed, str(report)
    assert {row.tensor for row in report.rows if row.verdict == "FAIL"} == set(tensors), str(report)


# ---------------------------------------------------------------------------------------------------- user layers


class Square(Layer):
    """y = k·x² + b, with a k and a b per feature."""

    def build(self, shape):
        self.shapes = {"k": shape, "b": shape}
        return shape

    def row(self, name):
        return self.params[name][..., None, :]

    def forward(self, x, out):
        np.copyto(out, self.row("k") * x**2 + self.row("b"))

    def backward_input(self, x, y, dy, out):
        np.copyto(out, 2 * self.row("k") * x * dy)

    def backward_parameters(self, x, y, dy):
        self.grads["k"][...] = (x**2 * dy).sum(axis=-2)
        self.grads["b"][...] = dy.sum(axis=-2)


class ForgetsTwo(Square):
    def backward_input(self, x, y, dy, out):
        np.copyto(out, self.row("k") * x * dy)


class Averages(Square):
    def backward_parameters(self, x, y, dy):
        super().backward_parameters(x, y, dy)
        self.grads["b"][...] = dy.mean(axis=-2)


class Accumulates(Square):
    def backward_parameters(self, x, y, dy):
        self.grads["k"] += (x**2 * dy).sum(axis=-2)
        self.grads["b"][...] = dy.sum(axis=-2)


class AccumulatesInput(Square):
    def backward_input(self, x, y, dy, out):
        out += 2 * self.row("k") * x * dy


class NeverWritesB(Square):
    def backward_parameters(self, x, y, dy):
        self.grads["k"][...] = (x**2 * dy).sum(axis=-2)


class WritesOnce(Square):
    """Right at the first pass; afterwards the gradients stay what they were."""

    def backward_parameters(self, x, y, dy):
        if not self.grads["k"].any():
            super().backward_parameters(x, y, dy)


class NeverWritesInput(Square):
    def backward_input(self, x, y, dy, out):
        pass


class Matrix(Layer):
    """y = x·w + b in code for one network alone: transposes with .T and sums over axis 0."""

    def build(self, shape):
        self.shapes = {"w": (*shape, 3), "b": (3,)}
        return (3,)

    def forward(self, x, out):
        out[...] = (self.params["w"].T @ x.T).T + self.params["b"]

    def backward_input(self, x, y, dy, out):
        out[...] = dy @ self.params["w"].T

    def backward_parameters(self, x, y, dy):
        self.grads["w"][...] = x.T @ dy
        self.grads["b"][...] = dy.sum(axis=0)


class MatrixWrongSum(Matrix):
    def backward_parameters(self, x, y, dy):
        super().backward_parameters(x, y, dy)
        self.grads["b"][...] = dy[:3].sum(axis=1)


class Share(Layer):
    """y = x²/Σ x² over axis 0, the batch: takes a replica axis without complaint and then sums over the wrong one."""

    def forward(self, x, out):
        self.total = (x**2).sum(axis=0)
        out[...] = x**2 / self.total

    def backward_input(self, x, y, dy, out):
        out[...] = 2 * x * (dy - (dy * y).sum(axis=0)) / self.total


class ShareConstantTotal(Share):
    def backward_input(self, x, y, dy, out):
        out[...] = 2 * x * dy / self.total


class Centre(Layer):
    """y = x − mean of all of x: equal copies on a replica axis look right, different ones mix."""

    def forward(self, x, out):
        np.subtract(x, x.mean(), out=out)

    def backward_input(self, x, y, dy, out):
        np.subtract(dy, dy.mean(), out=out)


class OneNetworkOnly(Layer):
    """Refuses a replica axis with an assertion, as careful people write it."""

    def forward(self, x, out):
        assert x.ndim == 2
        np.multiply(x, 3, out=out)

    def backward_input(self, x, y, dy, out):
        np.multiply(dy, 3, out=out)


class Scale(Layer):
    """y = scales·x, with a claim of claims·dy."""

    def __init__(self, scales, claims=None):
        self.scales = np.asarray(scales, float)
        self.claims = self.scales if claims is None else np.asarray(claims, float)

    def forward(self, x, out):
        np.multiply(x, self.scales, out=out)

    def backward_input(self, x, y, dy, out):
        np.multiply(dy, self.claims, out=out)


class Mix(Layer):
    """y_j = Σ_i x_i·w_ij for fixed w, so that large and tiny gradients share every term."""

    def __init__(self, w, claims=None):
        self.w = np.asarray(w, float)
        self.claims = self.w if claims is None else np.asarray(claims, float)

    def build(self, shape):
        return self.w.shape[1:]

    def forward(self, x, out):
        np.matmul(x, self.w, out=out)

    def backward_input(self, x, y, dy, out):
        np.matmul(dy, self.claims.T, out=out)


class Noisy(Layer):
    """Dropout that draws a new mask at every pass."""

    def __init__(self):
        self.rng = rng()

    def forward(self, x, out):
        self.mask = self.rng.integers(0, 2, x.shape)
        np.multiply(x, self.mask, out=out)

    def backward_input(self, x, y, dy, out):
        np.multiply(dy, self.mask, out=out)


class Poisoned(Square):
    """Right, but for one entry of either gradient."""

    def __init__(self, value):
        self.value = value

    def backward_input(self, x, y, dy, out):
        super().backward_input(x, y, dy, out)
        out[..., 1, 2] = self.value

    def backward_parameters(self, x, y, dy):
        super().backward_parameters(x, y, dy)
        self.grads["k"][..., 0] = self.value


@pytest.mark.parametrize("layer", [Square, Matrix, Share])
def test_a_right_layer_of_ones_own_passes(layer):
    report = check_gradients(layer(), points())
    report.raise_for_failure()
    assert report.worst < 1e-9
    assert all(row.certified == row.checked == np.prod(row.shape) for row in report.rows)


@pytest.mark.parametrize(
    ("layer", "tensor"),
    [
        (ForgetsTwo, "input"),
        (Averages, "averages_1.b"),
        (Accumulates, "accumulates_1.k"),
        (AccumulatesInput, "input"),
        (NeverWritesB, "never_writes_b_1.b"),
        (NeverWritesInput, "input"),
        (MatrixWrongSum, "matrix_wrong_sum_1.b"),
        (ShareConstantTotal, "input"),
    ],
)
def test_a_wrong_layer_of_ones_own_fails_where_it_is_wrong(layer, tensor):
    for seed in range(3):
        report = check_gradients(layer(), points(), seed=seed)
        assert_fails(report, tensor)
        row = rows_of(report)[tensor]
        assert row.failed == row.checked
        assert row.error > 1e-3


def test_gradients_left_as_they_were_fail():
    assert_fails(check_gradients(WritesOnce(), points()), "writes_once_1.k", "writes_once_1.b")


def test_the_worst_coordinate_is_named_with_both_values():
    scales = np.ones(4)
    report = check_gradients(Scale(scales, [1, 1, 1.5, 1]), points())
    row = rows_of(report)["input"]
    assert (row.failed, row.certified, row.index[1]) == (5, 15, 2)
    assert row.error == pytest.approx(1 / 3)
    assert row.analytic / row.numeric == pytest.approx(1.5)


def test_a_right_layer_that_mixes_replicas_passes():
    check_gradients(Centre(), points()).raise_for_failure()


def test_a_right_layer_that_refuses_replicas_in_its_own_way_passes():
    check_gradients(OneNetworkOnly(), points()).raise_for_failure()


def network_with(layer):
    network = Sequential([Dense(4), layer, Tanh(), Dense(2)], 3, rng(1), "float64")
    network.values[...] = rng(2).normal(0, 0.5, network.values.shape)
    return network


def critic_with(*layers):
    network = Sequential([Dense(4), *layers, Tanh(), Dense(1), Sigmoid()], 2, rng(3), "float64")
    network.values[...] = rng(4).normal(0, 0.5, network.values.shape)
    return network


PAIRS = [(Square, ForgetsTwo), (Matrix, MatrixWrongSum), (Share, ShareConstantTotal)]


@pytest.mark.parametrize(("right", "wrong"), PAIRS)
def test_layers_of_ones_own_within_networks(right, wrong):
    assert check_gradients(network_with(right()), points(5, 3)).passed
    assert not check_gradients(network_with(wrong()), points(5, 3)).passed


@pytest.mark.parametrize(
    ("right", "wrong"), [PAIRS[0], *(pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS[1:])]
)
def test_layers_of_ones_own_within_gans(right, wrong):
    data = points(6, 2), points(6, 3)
    assert check_gradients(GAN(network_with(right()), critic_with(right())), data).passed
    assert not check_gradients(GAN(network_with(wrong()), critic_with()), data).passed
    assert not check_gradients(GAN(network_with(right()), critic_with(wrong())), data).passed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_claims_that_are_not_finite_fail(value):
    report = check_gradients(Poisoned(value), points())
    assert_fails(report, "input", "poisoned_1.k")
    assert rows_of(report)["input"].index == (1, 2)
    assert rows_of(report)["poisoned_1.k"].index == (0,)


def test_a_gradient_that_is_nan_all_over_fails():
    assert_fails(check_gradients(Scale([1, 1, 1, 1], [np.nan] * 4), points()), "input")


def test_chance_is_refused():
    with pytest.raises(ValueError, match="not deterministic: two evaluations at the same point differ"):
        check_gradients(Noisy(), points())
    network = Sequential([Dense(4), Noisy(), Dense(1), Sigmoid()], 3, rng(), "float64")
    with pytest.raises(ValueError, match="not deterministic"):
        check_gradients(network, points(5, 3))
    g = Sequential([Dense(2)], 3, rng(), "float64")
    d = Sequential([Dense(4), Noisy(), Dense(1), Sigmoid()], 2, rng(), "float64")
    with pytest.raises(ValueError, match="not deterministic"):
        check_gradients(GAN(g, d), (points(5, 2), points(5, 3)))


def test_a_mask_from_the_gradient_fails_even_when_x_comes_from_the_same_seed():
    class MaskFromGradient(ReLU):
        def bind(self, io):
            io.forward(activations.relu_forward, zeros=np.zeros_like(io.x))
            io.backward(lambda dy, out: np.multiply(dy, dy > 0, out=out))

    for seed in range(10):
        x = rng(seed).standard_normal((5, 4))
        assert_fails(check_gradients(MaskFromGradient(), x, seed=seed), "input")
        check_gradients(ReLU(), x, seed=seed).raise_for_failure()


def test_a_wrong_loss_of_ones_own_fails():
    class Twice(BinaryCrossEntropy):
        def gradient(self, prediction, target, out=None):
            out = super().gradient(prediction, target, out)
            out *= 2
            return out

    assert_fails(check_gradients(Twice(True), points(), target=rng().integers(0, 2, (5, 4))), "prediction")


# -------------------------------------------------------------------------------------------------- tiny and zero


WRONG = {"doubled": 2.0, "flipped": -1.0, "missing": 0.0}


@pytest.mark.parametrize("factor", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("tiny", [1e-3, 1e-6, 1e-9, 1e-12])
def test_a_gradient_wrong_by_its_whole_size_fails_however_tiny(tiny, factor):
    scales = np.array([1.0, tiny, 1.0, tiny])
    x = points()
    for size in (1, 1e-12, 1e12):  # of all gradients
        check_gradients(Scale(size * scales), x).raise_for_failure()
        report = check_gradients(Scale(size * scales, size * scales * [1, factor, 1, 1]), x)
        assert_fails(report, "input")
        assert (rows_of(report)["input"].failed, rows_of(report)["input"].certified) == (5, 15)


@pytest.mark.parametrize("factor", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("tiny", [1e-6, 1e-9, 1e-12])
def test_a_tiny_gradient_is_not_drowned_by_large_ones_in_the_same_terms(tiny, factor):
    w = np.array([[1.0, -0.7], [0.4, 1.3], [tiny, -0.6 * tiny], [0.9 * tiny, tiny]])
    wrong = w.copy()
    wrong[2] *= factor
    report = check_gradients(Mix(w), points())
    report.raise_for_failure()
    assert rows_of(report)["input"].failed == 0
    assert_fails(check_gradients(Mix(w, wrong), points()), "input")


@pytest.mark.parametrize("size", [1e-12, 1e-100])
@pytest.mark.parametrize("x_size", [1e-12, 1, 1e12])
def test_a_layer_of_tiny_outputs_is_certified_and_its_faults_are_caught(size, x_size):
    x, scales = x_size * points(), size * np.array([1.0, 2.0, 3.0, 0.5])
    report = check_gradients(Scale(scales), x)
    report.raise_for_failure()
    assert rows_of(report)["input"].certified == 20
    for factor in WRONG.values():
        assert_fails(check_gradients(Scale(scales, factor * scales), x), "input")


@pytest.mark.parametrize("training", [True, False])
def test_inputs_far_apart_in_size_are_certified_each_by_itself(training):
    x = points(6, 5) * np.logspace(-8, 8, 5)
    report = check_gradients(LeakyReLU(), x, training=training)
    report.raise_for_failure()
    assert rows_of(report)["input"].kinks + rows_of(report)["input"].certified == 30


def test_a_bias_before_batch_norm_has_zero_gradient_and_passes_as_zero():
    network = Sequential([Dense(4), BatchNorm(0.8), Tanh(), Dense(1)], 3, rng(1), "float64")
    report = check_gradients(network, points(6, 3))
    report.raise_for_failure()
    row = rows_of(report)["dense_1.bias"]
    assert (row.verdict, row.failed, row.kinks) == ("zero", 0, 0)


def test_a_claim_about_a_zero_gradient_fails():
    """The bias before batch norm again, with a gradient that is not zero."""

    class Biased(Dense):
        def bind(self, io):
            super().bind(io)
            io.backward_parameters(lambda: self.grads["bias"].__setitem__(..., 1e-3))

    network = Sequential([Biased(4), BatchNorm(0.8), Tanh(), Dense(1)], 3, rng(1), "float64")
    assert_fails(check_gradients(network, points(6, 3)), "biased_1.bias")


@pytest.mark.parametrize(("layer", "x"), [(Sigmoid, 33.0), (Tanh, 16.0)])
def test_a_right_layer_does_not_fail_for_being_saturated(layer, x):
    report = check_gradients(layer(), x + points())
    assert rows_of(report)["input"].failed == 0, str(report)


# ---------------------------------------------------------------------------------------------------------- kinks


def test_a_relu_at_zero_is_a_kink_neither_certified_nor_failed():
    x = points()
    x[0, 1] = x[3, 2] = 0
    for layer in (ReLU(), LeakyReLU(0.2), LeakyReLU(0.9)):
        row = rows_of(check_gradients(layer, x))["input"]
        assert (row.kinks, row.certified, row.failed, row.noise) == (2, 18, 0, 0)


def test_a_tensor_of_nothing_but_kinks_is_unproven():
    report = check_gradients(ReLU(), np.zeros((3, 2)))
    row = rows_of(report)["input"]
    assert (row.verdict, row.kinks, row.certified, row.failed) == ("unproven", 6, 0, 0)
    assert not report.passed


def test_a_kink_is_told_wherever_it_comes_from():
    """Σ over a row of ReLU(w·x) at w·x = 0: every weight and every input that leads there has the kink."""
    network = Sequential([Dense(1), ReLU()], 2, rng(), "float64")
    network.values[...] = [1.0, 1.0, 0.0]
    rows = rows_of(check_gradients(network, np.array([[0.5, -0.5], [1.0, 2.0]])))
    assert rows["dense_1.weight"].kinks == 2
    assert rows["dense_1.bias"].kinks == 1
    assert (rows["input"].kinks, rows["input"].certified) == (2, 2)


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_a_kink_nearby_disturbs_nothing(distance):
    x = np.sign(points(4, 3)) * distance
    x[0] = [1.0, -1.0, 0.7]  # sets the scale of the steps
    for layer in (ReLU(), LeakyReLU(0.2)):
        report = check_gradients(layer, x)
        report.raise_for_failure()
        assert rows_of(report)["input"].certified == 12, str(report)


def test_a_fault_beside_a_kink_fails():
    class Flipped(ReLU):
        def bind(self, io):
            io.forward(activations.relu_forward, zeros=np.zeros_like(io.x))
            io.backward(lambda dy, y, out: np.multiply(dy, y <= 0, out=out))

    x = np.sign(points(4, 3)) * 1e-5
    x[0] = 1.0
    assert_fails(check_gradients(Flipped(), x), "input")
    assert rows_of(check_gradients(Flipped(), x))["input"].failed == 12


# ------------------------------------------------------------------------------------------- the frozen guarantee


class Counter(Layer):
    """Passes x through, and counts its passes in a state."""

    def build(self, shape):
        self.state_shapes = {"passes": (1,)}
        return shape

    def forward(self, x, out):
        self.state["passes"] += 1
        np.copyto(out, x)

    def backward_input(self, x, y, dy, out):
        np.copyto(out, dy)


class Eager(Square):
    """Works out its parameters' gradients together with its input's, asked or not."""

    def backward_input(self, x, y, dy, out):
        super().backward_input(x, y, dy, out)
        self.backward_parameters(x, y, dy)


def small_gan(generator=(), discriminator=()):
    g = Sequential([Dense(3), *generator, Tanh(), Dense(2)], 3, rng(1), "float64")
    d = Sequential([Dense(3), *discriminator, Tanh(), Dense(1), Sigmoid()], 2, rng(2), "float64")
    for network in (g, d):
        network.values[...] = rng(3).normal(0, 0.6, network.values.shape)
    return GAN(g, d)


DATA = points(6, 2, seed=1), points(6, 3, seed=2)


@pytest.mark.parametrize("layer", [Counter, Eager])
def test_whatever_moves_in_the_frozen_discriminator_breaks_the_guarantee(layer):
    report = check_gradients(small_gan(discriminator=[layer()]), DATA)
    assert "the generator's step changed the frozen discriminator" in report.broken
    assert all(row.verdict in ("ok", "zero") for row in report.rows)
    assert not report.passed
    assert "BROKEN: the generator's step changed the frozen discriminator" in str(report)


def test_whatever_moves_in_the_generator_during_the_discriminator_s_step_breaks_it_too():
    report = check_gradients(small_gan(generator=[Counter()]), DATA)
    assert report.broken == ["the discriminator's step changed the generator"]
    assert not report.passed


def test_a_gan_that_keeps_still_has_nothing_broken():
    report = check_gradients(small_gan([BatchNorm()], [BatchNorm()]), DATA)
    report.raise_for_failure()
    assert report.broken == []


# ----------------------------------------------------------------------------------------------------- the report


def test_the_table_has_a_row_per_tensor_and_the_verdict():
    for layer, verdict in ((Square(), "passed"), (Averages(), "FAILED")):
        report = check_gradients(layer, points())
        lines = str(report).splitlines()
        certified = sum(row.certified for row in report.rows)
        assert lines[0].startswith(f"{type(layer).__name__}() in training mode")
        assert lines[1].split()[:3] == ["tensor", "shape", "checked"]
        for row in report.rows:
            (line,) = [line for line in lines if line.startswith(row.tensor + " ")]
            assert line.endswith(" " + row.verdict)
            assert f" {row.error:.1e} " in line
            assert f" {row.analytic:.6e} " in line
        worst = f"worst relative error {report.worst:.1e}"
        assert lines[-1].startswith(f"{verdict}: {report.checked} numbers, {certified} of them certified, {worst}")
        assert "coordinates per second" in lines[-1]


def test_raise_for_failure_raises_with_the_table():
    check_gradients(Square(), points()).raise_for_failure()
    report = check_gradients(Averages(), points())
    with pytest.raises(AssertionError) as caught:
        report.raise_for_failure()
    assert str(report) in str(caught.value)


def test_to_dict_is_json():
    for layer in (Square(), Averages(), Poisoned(np.nan)):
        report = check_gradients(layer, points())
        plain = json.loads(json.dumps(report.to_dict()))
        assert plain["passed"] == report.passed
        assert plain["checked"] == report.checked == 28
        assert plain["coordinates_per_second"] > 0
        assert [row["tensor"] for row in plain["rows"]] == [row.tensor for row in report.rows]
        assert [tuple(row["shape"]) for row in plain["rows"]] == [(4,), (4,), (5, 4)]


def test_coordinates_and_directions_are_what_was_asked_for():
    report = check_gradients(Dense(7), points(6, 5), coordinates=3, directions=2)
    assert [row.checked for row in report.rows] == [5, 5, 5]
    assert [row.certified for row in report.rows] == [5, 5, 5]
    report = check_gradients(Dense(7), points(6, 5), coordinates=10)
    assert [row.checked for row in report.rows] == [10, 7, 10]


def test_one_direction_sees_a_fault_in_any_tensor():
    for make, tensor in ((Averages, "averages_1.b"), (ForgetsTwo, "input")):
        report = check_gradients(make(), points(), coordinates=1, directions=1)
        assert_fails(report, tensor)


def test_the_same_seed_gives_the_same_report():
    def numbers(seed):
        report = check_gradients(Dense(3), points(), coordinates=3, directions=1, seed=seed)
        return [(row.index, row.error, row.analytic, row.numeric) for row in report.rows]

    assert numbers(5) == numbers(5)
    assert numbers(5) != numbers(6)


def test_a_looser_and_a_tighter_tolerance():
    almost = Scale([1, 1, 1, 1], [1, 1, 1, 1 + 1e-5])
    assert not check_gradients(almost, points()).passed
    assert check_gradients(almost, points(), tolerance=1e-4).passed
    assert not check_gradients(Dense(3), points(), tolerance=1e-17).passed


# ------------------------------------------------------------------------------------------------- what goes in


@pytest.mark.parametrize("subject", ["dense", Dense, None, Adam(), np.zeros(3), lambda x: x])
def test_what_cannot_be_checked_is_refused(subject):
    with pytest.raises(
        TypeError, match="expects a Layer, Sequential, loss or GAN, or a function with gradient=…, got "
    ):
        check_gradients(subject, points())


def test_a_layer_in_use_is_refused():
    layer = Dense(3)
    Sequential([layer], 4, rng())
    with pytest.raises(TypeError, match="'dense_1' belongs to a network"):
        check_gradients(layer, points())


def test_a_loss_needs_its_targets():
    with pytest.raises(TypeError, match="needs target"):
        check_gradients(BinaryCrossEntropy(), points())
    with pytest.raises(ValueError, match="expects targets of shape"):
        check_gradients(BinaryCrossEntropy(True), points(), target=np.ones((5, 1)))
    with pytest.raises(ValueError, match=r"targets in \[0, 1\]"):
        check_gradients(BinaryCrossEntropy(True), points(), target=np.full((5, 4), 2))


def test_an_input_of_the_wrong_width_is_refused():
    with pytest.raises(ValueError, match=r"expects 3 features, got input of shape \(5, 4\)"):
        check_gradients(Sequential([Dense(2)], 3, rng()), points())


def everything(network):
    return [a.tobytes() for a in (network.values, network.grads, network.state)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_is_checked_in_float64_and_left_alone(dtype, training):
    network = Sequential([Dense(5), LeakyReLU(), BatchNorm(0.8), Dense(1), Sigmoid()], 4, rng(1), dtype)
    network.compile(Adam())
    network.train_on_batch(points(), np.ones((5, 1)))
    before = everything(network)
    report = check_gradients(network, points().astype(dtype), training=training)
    report.raise_for_failure()
    assert report.worst < 1e-8
    assert everything(network) == before
    assert {a.dtype.name for a in (network.values, network.grads, network.state)} == {dtype}


@pytest.mark.parametrize("dtype", DTYPES)
@every_kind
def test_a_gan_is_left_alone(game, dtype):
    gan = gan_with_batch_norm(rules(game, clip=1.0), game[1], dtype=dtype)
    real, noise = points(6, 4).astype(dtype), points(6, 3).astype(dtype)
    gan.train_discriminator(real, noise), train_generator(gan, noise)
    before = {name: array.tobytes() for name, array in gan.state_dict().items()}
    networks = everything(gan.generator), everything(gan.discriminator)
    check_gradients(gan, (real, noise)).raise_for_failure()
    assert {name: array.tobytes() for name, array in gan.state_dict().items()} == before
    assert (everything(gan.generator), everything(gan.discriminator)) == networks


def test_a_layer_and_its_input_are_left_alone():
    layer, x = Dense(3), points()
    kept = x.copy()
    check_gradients(layer, x).raise_for_failure()
    assert x.tobytes() == kept.tobytes()
    assert not hasattr(layer, "params")
    Sequential([layer], 4, rng())  # still free
