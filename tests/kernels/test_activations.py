"""Activation kernels against formulas of one number, where they write, in place, and the memory they take."""

import math

import numpy as np
import pytest
from hypothesis import given

from numgan.kernels import activations as kernels
from tests.helpers import near
from tests.kernels.plain import (
    LARGE,
    assert_computes,
    assert_takes_no_memory,
    blank,
    constants,
    elementwise,
    flags,
    kernels_of,
    normal,
    quickly,
    sizes,
)

SLOPE = 0.2
# kernel -> (formula of one number or of (dy, y), its own scalars)
FORWARD = {
    "relu": (lambda x: max(x, 0.0), {}),
    "leaky_relu": (lambda x: x if x > 0 else SLOPE * x, {"slope": SLOPE}),
    "tanh": (math.tanh, {}),
    "sigmoid": (lambda x: 1 / (1 + math.exp(-x)), {}),
    "silu": (lambda x: x / (1 + math.exp(-x)), {}),
}
BACKWARD = {
    "relu": (lambda dy, y: dy if y > 0 else 0.0, {"zero": 0.0}),
    "leaky_relu": (lambda dy, y: dy if y > 0 else SLOPE * dy, {"slope": SLOPE}),
    "tanh": (lambda dy, y: dy * (1 - y * y), {}),
    "sigmoid": (lambda dy, y: dy * y * (1 - y), {}),
    "silu": (lambda dy, x: dy * (1 + x / (1 + math.exp(x))) / (1 + math.exp(-x)), {}),
}
READS_INPUT = ("silu",)  # the derivative is read off the input, which is therefore not overwritten


def asked(kernel, arguments):
    names = kernel.__code__.co_varnames[: kernel.__code__.co_argcount]
    return {name: arguments[name] for name in names}


def forward(name, shape, seed=0):
    kernel, scalars = getattr(kernels, f"{name}_forward"), constants(**FORWARD[name][1])
    arrays = {"x": normal(seed, *shape), "zeros": np.zeros(shape), "temp": blank(*shape), "out": blank(*shape)}
    return kernel, asked(kernel, arrays | scalars)


def backward(name, shape, seed=0):
    """With zeros among the outputs: at x = 0 no derivative exists, and the lower one is taken."""
    kernel, scalars = getattr(kernels, f"{name}_backward"), constants(**BACKWARD[name][1])
    y = elementwise(FORWARD[name][0], normal(seed, *shape))
    y.flat[:: 3 + seed % 5] = 0
    arrays = {"dy": normal(seed + 1, *shape), "x" if name in READS_INPUT else "y": y, "mask": flags(*shape)}
    scratch = {"temp": blank(*shape), "temp2": blank(*shape), "out": blank(*shape)}
    return kernel, asked(kernel, arrays | scalars | scratch)


@pytest.mark.parametrize("name", FORWARD)
@given(size=sizes)
@quickly
def test_an_output_is_the_formula_of_every_number(name, size):
    lead, n, samples, seed = size
    kernel, arguments = forward(name, (*lead, n, samples), seed)
    expected = elementwise(FORWARD[name][0], arguments["x"])
    over = None if name in READS_INPUT else "x"
    assert_computes(kernel, arguments, {"out": expected}, {"temp"} & {*arguments}, over)


@pytest.mark.parametrize("name", BACKWARD)
@given(size=sizes)
@quickly
def test_a_gradient_is_the_derivative_read_off_the_output(name, size):
    lead, n, samples, seed = size
    kernel, arguments = backward(name, (*lead, n, samples), seed)
    at = arguments["x" if name in READS_INPUT else "y"]
    expected = elementwise(BACKWARD[name][0], arguments["dy"], at)
    assert_computes(kernel, arguments, {"out": expected}, {"temp", "temp2", "mask"} & {*arguments}, "dy")


@pytest.mark.parametrize("name", BACKWARD)
def test_the_derivative_is_that_of_the_forward_pass(name):
    x, h = normal(3, 4, 5), 1e-6
    up, down = (elementwise(FORWARD[name][0], x + step) for step in (h, -h))
    y = x if name in READS_INPUT else elementwise(FORWARD[name][0], x)
    near(elementwise(BACKWARD[name][0], np.ones_like(x), y), (up - down) / (2 * h), 1e-8)


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("make", [forward, backward])
def test_a_call_takes_no_memory(name, make):
    lead, n, samples = LARGE
    assert_takes_no_memory(*make(name, (*lead, n, samples)))


def test_every_kernel_of_the_chapter_is_tried():
    curved = {"tanh_curvature", "sigmoid_curvature", "silu_curvature"}  # in test_penalties.py
    assert kernels_of(kernels) == {f"{name}_{way}" for name in FORWARD for way in ("forward", "backward")} | curved


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sigmoid_overflows_nowhere(dtype):
    x = np.array([-np.finfo(dtype).max, -1e4, -800, -100, 0, 100, 800, 1e4, np.finfo(dtype).max], dtype)
    out, temp = np.empty_like(x), np.empty_like(x)
    with np.errstate(under="ignore"):
        kernels.sigmoid_forward(x, temp, out)
    assert out[0] == 0 and out[4] == 0.5 and (out[5:] == 1).all() and (np.diff(out) >= 0).all()
