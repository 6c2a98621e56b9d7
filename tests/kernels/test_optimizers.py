"""Optimiser kernels against their recurrences of one parameter, where they write, and the memory they take."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numgan.kernels import optimizers as kernels
from tests.helpers import near
from tests.kernels.plain import assert_computes, assert_takes_no_memory, blank, constants, elementwise, normal, quickly

lengths = st.tuples(st.integers(1, 40), st.integers(0, 2**32 - 1))


def sgd(n, seed=0):
    names = ("theta", "gradient", "velocity")
    arrays = {name: normal(seed + i, n) for i, name in enumerate(names)} | {"temp": blank(n)}
    return kernels.sgd_update, arrays | constants(rate=0.05, momentum=0.9)


def rmsprop(n, seed=0):
    arrays = {name: normal(seed + i, n) for i, name in enumerate(("theta", "gradient"))}
    arrays |= {"v": normal(seed + 2, n) ** 2, "temp": blank(n)}
    return kernels.rmsprop_update, arrays | constants(rho=0.8, rate=0.01, epsilon=1e-3)


def adam(n, seed=0):
    arrays = {name: normal(seed + i, n) for i, name in enumerate(("theta", "gradient", "m"))}
    arrays |= {"v": normal(seed + 3, n) ** 2, "temp": blank(n)}
    return kernels.adam_update, arrays | constants(beta1=0.5, beta2=0.99, rate=0.01, epsilon=1e-3)


def clip(n, seed=0):
    return kernels.clip_weights, {"theta": normal(seed, n)} | constants(low=-0.5, high=0.25)


def averaging(n, seed=0):
    arrays = {name: normal(seed + i, n) for i, name in enumerate(("average", "theta"))} | {"temp": blank(n)}
    return kernels.average_update, arrays | constants(rest=0.1)


@given(size=lengths)
@quickly
def test_sgd_is_heavy_ball_momentum(size):
    kernel, a = sgd(*size)
    velocity = elementwise(lambda v, g: 0.9 * v - 0.05 * g, a["velocity"], a["gradient"])
    theta = elementwise(lambda t, v: t + v, a["theta"], velocity)
    assert_computes(kernel, a, {"theta": theta, "velocity": velocity}, {"temp"})


@given(size=lengths)
@quickly
def test_rmsprop_divides_by_the_root_of_the_mean_square(size):
    kernel, a = rmsprop(*size)
    v = elementwise(lambda v, g: 0.8 * v + g * g, a["v"], a["gradient"])
    theta = elementwise(lambda t, g, v: t - 0.01 * g / (math.sqrt(v) + 1e-3), a["theta"], a["gradient"], v)
    assert_computes(kernel, a, {"theta": theta, "v": v}, {"temp"})


@given(size=lengths)
@quickly
def test_adam_moves_by_the_ratio_of_the_moments(size):
    kernel, a = adam(*size)
    m = elementwise(lambda m, g: 0.5 * m + g, a["m"], a["gradient"])
    v = elementwise(lambda v, g: 0.99 * v + g * g, a["v"], a["gradient"])
    theta = elementwise(lambda t, m, v: t - 0.01 * m / (math.sqrt(v) + 1e-3), a["theta"], m, v)
    assert_computes(kernel, a, {"theta": theta, "m": m, "v": v}, {"temp"})


@pytest.mark.parametrize("form", ["paper", "keras"])
def test_adam_is_the_paper_s_algorithm_with_rate_and_epsilon_as_its_docstring_says(form):
    rate, beta1, beta2, epsilon = 0.01, 0.6, 0.97, 1e-4
    theta, m, v = 0.3, 0.0, 0.0
    ours = {"theta": np.array([0.3]), "m": np.zeros(1), "v": np.zeros(1), "temp": blank(1)}
    for t in range(1, 20):
        g = math.sin(t)
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        if form == "paper":
            theta -= rate * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + epsilon)
        else:
            theta -= rate * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (math.sqrt(v) + epsilon)
        c = math.sqrt((1 - beta2) / (1 - beta2**t))
        scalars = constants(
            beta1=beta1, beta2=beta2, rate=rate * (1 - beta1) / (1 - beta1**t) / c,
            epsilon=epsilon / (c if form == "paper" else math.sqrt(1 - beta2)),
        )  # fmt: skip
        kernels.adam_update(**ours, gradient=np.array([g]), **scalars)
        near(ours["theta"], [theta], 1e-13)


@given(size=lengths)
@quickly
def test_clipping_keeps_what_lies_between_the_bounds(size):
    kernel, a = clip(*size)
    assert_computes(kernel, a, {"theta": elementwise(lambda t: min(max(t, -0.5), 0.25), a["theta"])}, tolerance=0)


@given(size=lengths)
@quickly
def test_an_average_keeps_d_of_itself(size):
    kernel, a = averaging(*size)
    average = elementwise(lambda old, new: 0.9 * old + 0.1 * new, a["average"], a["theta"])
    assert_computes(kernel, a, {"average": average}, {"temp"})


@pytest.mark.parametrize("make", [sgd, rmsprop, adam, clip, averaging])
def test_a_call_takes_no_memory(make):
    assert_takes_no_memory(*make(80_000))
