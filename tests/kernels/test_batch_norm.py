"""Batch norm's kernels against plain Python, feature by feature; where they write, in place, the memory they take."""

import math

import numpy as np
import pytest
from hypothesis import given

from numgan.kernels import batch_norm as kernels
from tests.helpers import near
from tests.kernels.plain import (
    LARGE,
    assert_computes,
    assert_takes_no_memory,
    blank,
    constants,
    each,
    elementwise,
    kernels_of,
    normal,
    quickly,
    sizes,
)

EPSILON = 0.01


def column(seed, lead, n):
    return normal(seed, *lead, n, 1)


def statistics(x):
    """(means, biased variances) of the rows of a nested list, as columns."""
    means = [math.fsum(row) / len(row) for row in x]
    return means, [math.fsum((v - m) ** 2 for v in row) / len(row) for row, m in zip(x, means, strict=True)]


def in_training(lead, n, samples, seed):
    """(kernel, arguments, expected, scratch, what `out` may be) of the training mode's forward pass."""
    x, gamma, beta = normal(seed, *lead, n, samples), column(seed + 1, lead, n), column(seed + 2, lead, n)
    mean = each(lambda rows: [[m] for m in statistics(rows)[0]], x)
    variance = each(lambda rows: [[v] for v in statistics(rows)[1]], x)
    inv_std = elementwise(lambda v: 1 / math.sqrt(v + EPSILON), variance)
    scale = elementwise(lambda g, s: g * s, gamma, inv_std)
    centred = elementwise(lambda v, m: v - m, x, mean)
    y = elementwise(lambda c, s, g, b: g * (c * s) + b, centred, inv_std, gamma, beta)
    arguments = {"x": x, "gamma": gamma, "beta": beta, "ones": np.ones((samples, 1)), "centred": blank(*x.shape)}
    arguments |= {name: blank(*gamma.shape) for name in ("mean", "variance", "inv_std", "scale")}
    arguments |= {"temp": blank(*x.shape), "out": blank(*x.shape)} | constants(epsilon=EPSILON)
    expected = {"mean": mean, "variance": variance, "inv_std": inv_std, "scale": scale, "centred": centred, "out": y}
    return kernels.batch_norm_forward, arguments, expected, {"temp"}, "x"


def parameters(lead, n, samples, seed):
    dy, centred, inv_std = normal(seed, *lead, n, samples), normal(seed + 1, *lead, n, samples), column(seed, lead, n)
    dbeta = each(lambda rows: [[math.fsum(row)] for row in rows], dy)
    sums = each(lambda d, c: [[math.fsum(a * b for a, b in zip(*r, strict=True))] for r in zip(d, c, strict=True)],
                dy, centred)  # fmt: skip
    arguments = {"dy": dy, "centred": centred, "inv_std": inv_std, "ones": np.ones((samples, 1))}
    arguments |= {"dgamma": blank(*inv_std.shape), "dbeta": blank(*inv_std.shape)}
    expected = {"dbeta": dbeta, "dgamma": elementwise(lambda s, i: s * i, sums, inv_std)}
    return kernels.batch_norm_backward_parameters, arguments, expected, set(), None


def inputs(lead, n, samples, seed):
    dy, centred = normal(seed, *lead, n, samples), normal(seed + 1, *lead, n, samples)
    columns = {name: column(seed + i, lead, n) for i, name in enumerate(("inv_std", "scale", "dgamma", "dbeta"))}
    dx = elementwise(
        lambda d, c, i, s, g, b: s * (d - b / samples - c * i * g / samples), dy, centred, *columns.values()
    )
    arguments = {"dy": dy, "centred": centred} | columns
    arguments |= {"column": blank(*lead, n, 1), "temp": blank(*dy.shape), "out": blank(*dy.shape)}
    return kernels.batch_norm_backward_input, arguments, {"out": dx}, {"column", "temp"}, "dy"


def running(lead, n, samples, seed):
    old, new = column(seed, lead, n), column(seed + 1, lead, n)
    arguments = {"running": old, "batch_value": new, "column": blank(*old.shape)} | constants(momentum=0.8, rest=0.2)
    expected = {"running": elementwise(lambda a, b: 0.8 * a + 0.2 * b, old, new)}
    return kernels.batch_norm_running, arguments, expected, {"column"}, None


def inference(lead, n, samples, seed):
    x, gamma, beta, mean = normal(seed, *lead, n, samples), *(column(seed + i, lead, n) for i in (1, 2, 3))
    variance = column(seed + 4, lead, n) ** 2
    scale = elementwise(lambda g, v: g / math.sqrt(v + EPSILON), gamma, variance)
    shift = elementwise(lambda b, m, s: b - m * s, beta, mean, scale)
    y = elementwise(lambda v, m, s, b: (v - m) * s + b, x, mean, scale, beta)
    arguments = {"x": x, "gamma": gamma, "beta": beta, "running_mean": mean, "running_variance": variance}
    arguments |= {"scale": blank(*gamma.shape), "shift": blank(*gamma.shape), "temp": blank(*x.shape)}
    arguments |= {"out": blank(*x.shape)} | constants(epsilon=EPSILON)
    return kernels.batch_norm_inference, arguments, {"scale": scale, "shift": shift, "out": y}, {"temp"}, "x"


def inference_backward(lead, n, samples, seed):
    dy, scale = normal(seed, *lead, n, samples), column(seed + 1, lead, n)
    arguments = {"dy": dy, "scale": scale, "temp": blank(*dy.shape), "out": blank(*dy.shape)}
    expected = {"out": elementwise(lambda d, s: d * s, dy, scale)}
    return kernels.batch_norm_inference_backward, arguments, expected, {"temp"}, "dy"


CASES = (in_training, parameters, inputs, running, inference, inference_backward)
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)


@every_case
@given(size=sizes)
@quickly
def test_a_kernel_is_its_formula_feature_by_feature(case, size):
    assert_computes(*case(*size), tolerance=1e-10)


@every_case
def test_a_call_takes_no_memory(case):
    kernel, arguments, *_ = case(*LARGE, 0)
    assert_takes_no_memory(kernel, arguments)


def test_every_kernel_of_the_chapter_is_tried():
    assert kernels_of(kernels) == {case((), 1, 2, 0)[0].__name__ for case in CASES}


def test_the_three_backward_paths_together_are_the_derivative_of_the_forward_pass():
    """∂(Σ c·y)/∂x by differences of the kernel itself."""
    kernel, a, *_ = in_training((), 3, 5, 0)
    c, h = normal(9, 3, 5), 1e-6

    def total(x):
        kernel(**a | {"x": x})
        return (a["out"] * c).sum()

    expected = np.empty((3, 5))
    for index in np.ndindex(3, 5):
        step = np.zeros((3, 5))
        step[index] = h
        expected[index] = (total(a["x"] + step) - total(a["x"] - step)) / (2 * h)
    total(a["x"])
    dgamma, dbeta, dx = blank(3, 1), blank(3, 1), blank(3, 5)
    kernels.batch_norm_backward_parameters(c, a["centred"], a["inv_std"], a["ones"], dgamma, dbeta)
    kernels.batch_norm_backward_input(
        c, a["centred"], a["inv_std"], a["scale"], dgamma, dbeta, blank(3, 1), blank(3, 5), dx
    )
    near(dx, expected, 1e-7)
