"""Outputs that a layer or loss leaves unwritten are named in the report; where nothing moves, no check passes."""

import numpy as np
import pytest

from numgan import GAN, BatchNorm, Dense, Layer, LeakyReLU, Reshape, Sequential, Sigmoid, check_gradients
from tests.gradcheck.catalogue import WRONG
from tests.gradcheck.catalogue.entries import Scale, X, network, rng
from tests.helpers import examples


def broken(subject, x=X, **more):
    """What the report says of writing, and that it does not pass."""
    report = check_gradients(subject, x, **more)
    assert not report.passed and "BROKEN" in str(report)
    return [text for text in report.broken if "did not write" in text]


class Square(Layer):
    """y = x², right but for what subclasses leave out."""

    def forward(self, x, out):
        out[...] = x**2

    def backward_input(self, x, y, dy, out):
        out[...] = 2 * x * dy


class NoForward(Square):
    def forward(self, x, out):
        out = x**2  # noqa: F841


class NoBackward(Square):
    def backward_input(self, x, y, dy, out):
        return 2 * x * dy


class Neither(NoForward, NoBackward):
    pass


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("kind", "methods"), [
    (NoForward, ["forward"]), (NoBackward, ["backward_input"]), (Neither, ["forward", "backward_input"]),
])  # fmt: skip
def test_a_layer_that_does_not_write_is_named(kind, methods, training):
    name = {NoForward: "no_forward_1", NoBackward: "no_backward_1", Neither: "neither_1"}[kind]
    expected = [f"{name}: {method} did not write `out`" for method in methods]
    assert broken(kind(), training=training) == expected
    within = network([Dense(3), Square(), kind(), Reshape((3, 1)), Reshape((3,)), Dense(2)])
    assert broken(within, training=training) == expected


def test_what_is_written_in_part_is_counted():
    assert broken(**WRONG["the last column is written in neither pass"].make()) == [
        "short_1: forward did not write 5 of the 20 numbers of `out`",
        "short_1: backward_input did not write 5 of the 20 numbers of `out`",
    ]


def test_a_parameter_whose_gradient_is_not_written_is_named():
    class Rebinds(Scale):
        def backward_parameters(self, x, y, dy):
            weight = np.sum(x * dy, axis=-2)  # noqa: F841

    assert broken(network([Rebinds(), Dense(2)])) == [
        "rebinds_1: backward_parameters did not write the gradient of weight"
    ]


def test_a_gradient_that_is_added_up_counts_as_written():
    """It is wrong in another way, and called by that name."""
    assert broken(**WRONG["parameter gradient added up from pass to pass"].make()) == []


def test_a_layer_of_a_gan_that_does_not_write_is_named():
    g = Sequential([Dense(4), NoBackward(), Dense(2)], 3, rng(), "float64")
    d = Sequential([Dense(4), NoForward(), Dense(1), Sigmoid()], 2, rng(), "float64")
    found = broken(GAN(g, d), (rng(1).normal(0, 1, (5, 2)), rng(2).normal(0, 1, (5, 3))))
    assert found == ["no_backward_1: backward_input did not write `out`", "no_forward_1: forward did not write `out`"]


def test_a_loss_that_returns_its_gradient_and_writes_nothing_is_named():
    made = WRONG["a loss returns its gradient, and leaves the array that training reads"].make()
    assert broken(**made) == ["Returned: gradient did not write `out`"]


def test_a_check_in_which_nothing_moves_is_unproven_and_says_why():
    report = check_gradients(Neither(), X)
    assert [row.verdict for row in report.rows] == ["unproven"]
    assert (report.rows[0].certified, report.rows[0].hidden) == (0, 20)
    assert "of a function that is constant in all its tensors: proves nothing" in str(report)


def test_a_tensor_that_moves_nothing_beside_others_that_do_passes():
    """A bias before a batch norm, an input that is not used."""
    made = network([Dense(3), BatchNorm(), LeakyReLU(0.1), Dense(2)])
    assert check_gradients(made, X).passed
    report = check_gradients(lambda a, b: np.sin(a), {"a": X, "b": X},
                             gradient=lambda a, b, dy: {"a": dy * np.cos(a), "b": 0 * b})  # fmt: skip
    assert report.passed and [row.verdict for row in report.rows] == ["ok", "ok"]


@pytest.mark.parametrize(("layer", "shape"), examples(), ids=lambda value: repr(value))
def test_a_whole_network_around_a_layer_of_numgan_writes_everything(layer, shape):
    before = [] if layer.takes_indices else [LeakyReLU(0.2)]  # which nothing would reach through indices
    network = Sequential([*before, layer, LeakyReLU(0.3)], shape, rng(), "float64")
    network.values += rng(1).normal(0, 0.3, network.values.shape)  # a bias of 0 would stand in the kink
    report = check_gradients(network, rng().normal(0.2, 1.3, (5, *shape)))
    assert report.broken == [] and report.passed, str(report)
