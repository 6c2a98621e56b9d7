"""Initialisers: mean, spread and limits as they state them; names and functions."""

import math

import numpy as np
import pytest

from numgan import Dense, Sequential, normal
from numgan.nn import initializers
from tests.helpers import DTYPES, rng


@pytest.mark.parametrize("dtype", DTYPES)
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
    def corner(rng, shape, fan_in, fan_out, dtype):
        assert (shape, fan_in, fan_out) == ((3, 4), 4, 3)
        return np.eye(*shape, dtype=dtype)

    assert Dense(3).initializer is initializers.glorot_uniform
    network = Sequential([Dense(3, corner)], 4, rng())
    assert network.parameters()["dense_1.weight"].tolist() == np.eye(3, 4).tolist()
