"""Initialisers: mean, spread and limits as they state them; names and functions."""

import math

import numpy as np
import pytest

from numgan import Conv2D, Conv2DTranspose, Dense, Reshape, Sequential, SpectralNorm, normal
from numgan.nn import initializers
from numgan.nn.initializers import INITIALIZERS
from tests.helpers import DTYPES, rng


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("initializer", "deviation", "limit"),
    [
        ("glorot_uniform", math.sqrt(2 / 700), math.sqrt(6 / 700)),
        ("glorot_normal", math.sqrt(2 / 700), None),
        ("he_uniform", math.sqrt(2 / 400), math.sqrt(6 / 400)),
        ("he_normal", math.sqrt(2 / 400), None),
        ("pytorch_uniform", math.sqrt(1 / 1200), 1 / 20),
        (normal(0.02), 0.02, None),
        ("zeros", 0, 0),
    ],
    ids=["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "pytorch_uniform", "normal", "zeros"],
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
    def corner(rng, shape, fan_in, fan_out, dtype):
        assert (shape, fan_in, fan_out) == ((3, 4), 4, 3)
        return np.eye(*shape, dtype=dtype)

    assert Dense(3).initializer is initializers.glorot_uniform
    network = Sequential([Dense(3, corner)], 4, rng())
    assert network.parameters()["dense_1.weight"].tolist() == np.eye(3, 4).tolist()


SPREADS = {  # name -> variance of weights with these fans
    "glorot_uniform": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "glorot_normal": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he_uniform": lambda fan_in, fan_out: 2 / fan_in,
    "he_normal": lambda fan_in, fan_out: 2 / fan_in,
    "pytorch_uniform": lambda fan_in, fan_out: 1 / (3 * fan_in),
    "zeros": lambda fan_in, fan_out: 0,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_fans_and_not_the_shape_decide_on_the_spread(name, dtype):
    """As of a kernel of five by five pixels, 8 to 16 channels: each output sums up 200 inputs."""
    weight = INITIALIZERS[name](rng(1), (16, 8, 5, 5), 200, 400, dtype)
    assert (weight.shape, weight.dtype) == ((16, 8, 5, 5), dtype)
    assert weight.std() == pytest.approx(math.sqrt(SPREADS[name](200, 400)), rel=0.05)


def test_weights_are_drawn_input_by_input():
    """So that a seed gives the network that it gave when weights were kept that way."""
    weight = INITIALIZERS["glorot_uniform"](rng(3), (5, 4), 4, 5, "float64")
    limit = math.sqrt(6 / 9)
    assert weight.tolist() == rng(3).uniform(-limit, limit, (4, 5)).T.tolist()
    assert normal(0.5)(rng(3), (5, 4), 4, 5, "float64").tolist() == (0.5 * rng(3).standard_normal((4, 5))).T.tolist()


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("make", [
    lambda **how: Dense(300, **how), lambda **how: Conv2D(300, 2, **how), lambda **how: Conv2DTranspose(300, 2, **how),
    lambda **how: SpectralNorm(Dense(300, **how)),
], ids=["dense", "convolution", "transposed", "spectral norm"])  # fmt: skip
def test_biases_start_at_zero_or_as_their_initialiser_says(make, replicas):
    dense = "Dense" in repr(make())

    def started(**how):
        layers = [make(**how)] if dense else [Reshape((4, 1, 1)), make(padding="same", **how)]
        network = Sequential(layers, 4, rng(), "float64", replicas)
        *_, (_, weight), (_, bias) = network.parameters().items()
        return weight, bias

    plain = started()
    assert not plain[1].any()
    weight, bias = started(bias_initializer="pytorch_uniform")
    assert np.array_equal(weight[0] if replicas else weight, plain[0][0] if replicas else plain[0])
    limit = {"dense": 1 / math.sqrt(4), "image": 1 / math.sqrt(16)}["dense" if dense else "image"]
    if "Transpose" in repr(make()):
        limit = 1 / math.sqrt(300 * 4)
    assert 0.95 * limit < np.abs(bias).max() < limit and abs(bias.mean()) < 0.2 * limit
    assert not replicas or not np.array_equal(*bias)
    seen = []
    started(bias_initializer=lambda rng, shape, *fans_and_dtype: seen.append(shape) or np.full(shape, 0.5))
    assert seen == [(300,)] * (replicas or 1)


@pytest.mark.parametrize("value", ["ones", 3, None])
def test_a_bias_initialiser_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="unknown initializer"):
        Dense(3, bias_initializer=value)
