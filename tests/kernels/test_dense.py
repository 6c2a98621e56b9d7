"""Dense kernels against sums in plain Python, where they write, and the memory they take."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numgan.kernels import dense as kernels
from tests.kernels.plain import LARGE, assert_computes, assert_takes_no_memory, blank, each, normal, quickly, sizes


def product(a, b):
    """a·b of nested lists."""
    return [
        [math.fsum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a
    ]


def turned(a):
    return [list(row) for row in zip(*a, strict=True)]


def cases(lead, n_out, n_in, samples, seed):
    """kernel -> (arguments, what `out` is to be), by name."""
    weight, x1 = normal(seed, *lead, n_out, n_in + 1), normal(seed + 1, *lead, n_in + 1, samples)
    x1[..., -1, :] = 1
    dy = normal(seed + 2, *lead, n_out, samples)
    return {
        "dense_forward": (
            {"weight": weight, "x1": x1, "out": blank(*dy.shape)}, "out",
            lambda: each(product, weight, x1),
        ),
        "dense_backward_weight": (
            {"dy": dy, "x1ᵀ": x1.mT, "out": blank(*weight.shape)}, "out",
            lambda: each(lambda d, x: product(d, turned(x)), dy, x1),
        ),
        "dense_backward_input": (
            {"weightᵀ": weight.mT, "dy": dy, "out1": blank(*x1.shape)}, "out1",
            lambda: each(lambda w, d: product(turned(w), d), weight, dy),
        ),
    }  # fmt: skip


KERNELS = tuple(cases((), 1, 1, 1, 0))


def by_name(arguments):
    """Python reads the ᵀ in a name as a T."""
    return {name.replace("ᵀ", "T"): a for name, a in arguments.items()}


@pytest.mark.parametrize("name", KERNELS)
@given(size=sizes, units=st.integers(1, 5))
@quickly
def test_a_product_is_the_sum_over_what_both_sides_share(name, size, units):
    lead, n, samples, seed = size
    arguments, out, expected = cases(lead, units, n, samples, seed)[name]
    assert_computes(getattr(kernels, name), by_name(arguments), {out: expected()})


@pytest.mark.parametrize("name", KERNELS)
@given(size=sizes, units=st.integers(1, 5))
@quickly
def test_the_faster_product_gives_the_same(name, size, units):
    _, n, samples, seed = size
    arguments, out, expected = cases((), units, n, samples, seed)[name]
    a, b, _ = arguments.values()
    chosen = {"product": kernels.fastest_product(a, b)}
    assert_computes(getattr(kernels, name), by_name(arguments) | chosen, {out: expected()})


def test_the_bias_is_the_last_column_of_the_weight_and_its_gradient_the_sum_of_dy():
    weight, x1, dy = normal(0, 3, 5), normal(1, 5, 7), normal(2, 3, 7)
    x1[-1], out, gradient = 1, blank(3, 7), blank(3, 5)
    kernels.dense_forward(weight, x1, out)
    np.testing.assert_allclose(out, weight[:, :-1] @ x1[:-1] + weight[:, -1:], rtol=1e-12, atol=1e-12)
    kernels.dense_backward_weight(dy, x1.T, gradient)
    np.testing.assert_allclose(gradient[:, -1], dy.sum(axis=1), rtol=1e-12, atol=1e-12)


def test_dot_is_chosen_for_small_products_and_outer_ones_without_replicas():
    def chosen(m, k, n, lead=()):
        return kernels.fastest_product(np.empty((*lead, m, k)), np.empty((*lead, k, n)))

    assert chosen(25, 6, 128) is chosen(512, 1, 512) is np.dot
    assert chosen(512, 257, 256) is chosen(25, 6, 128, (2,)) is np.matmul


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("lead", [(), LARGE[0]])
def test_a_call_takes_no_memory(name, lead):
    arguments, *_ = cases(lead, 50, *LARGE[1:], 0)[name]
    a, b, _ = arguments.values()
    assert_takes_no_memory(getattr(kernels, name), by_name(arguments) | {"product": kernels.fastest_product(a, b)})
