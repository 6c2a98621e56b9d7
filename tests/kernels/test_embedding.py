"""Kernels of indices against plain Python, place by place: what they write, repeats, bounds, the memory they take."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numgan.kernels import embedding as kernels
from tests.helpers import rng
from tests.kernels.plain import (
    LARGE,
    assert_computes,
    assert_takes_no_memory,
    blank,
    constants,
    each,
    kernels_of,
    normal,
    quickly,
    sizes,
)

LETTERS = st.integers(1, 6)


def indices(lead, count, places, seed):
    """Indices, other ones in every replica, of which some repeat as soon as there are more places than indices."""
    return rng(seed).integers(0, count, (*lead, places))


def read_indices(count, lead, _, places, seed):
    x = rng(seed).uniform(-2, count + 2, (*lead, places))
    x.flat[0], out = rng(seed).choice([np.nan, np.inf, -np.inf, 1e300, -0.4, 0.5, 1.5]), np.full(x.shape, -7, np.intp)

    def nearest(v):
        return 0 if math.isnan(v) else round(min(max(v, 0), count - 1))

    expected = np.reshape([nearest(v) for v in x.ravel().tolist()], x.shape)
    arguments = {"x": x, "temp": blank(*x.shape), "index": out} | constants(last=count - 1)
    return kernels.read_indices, arguments, {"index": expected}, {"temp"}


def read_indices_backward(count, lead, n, places, seed):
    return kernels.read_indices_backward, {"out": blank(*lead, n, places)}, {"out": np.zeros((*lead, n, places))}, ()


def embedding_forward(count, lead, n, places, seed):
    weight, index = normal(seed, *lead, n, count), indices(lead, count, places, seed)

    def chosen(rows, places):
        return [[row[i] for i in places[0]] for row in rows]

    arguments = {"weight": weight, "index": index, "out": blank(*lead, n, places)}
    return kernels.embedding_forward, arguments, {"out": each(chosen, weight, index[..., None, :])}, ()


def embedding_backward_weight(count, lead, n, places, seed):
    dy, index = normal(seed, *lead, n, places), indices(lead, count, places, seed)

    def added(rows, places):
        return [
            [math.fsum(d for d, j in zip(row, places[0], strict=True) if j == i) for i in range(count)] for row in rows
        ]

    arguments = {"dy": dy, "index": index, "out": blank(*lead, n, count)}
    return kernels.embedding_backward_weight, arguments, {"out": each(added, dy, index[..., None, :])}, ()


def one_hot_forward(count, lead, _, places, seed):
    index = indices(lead, count, places, seed)
    expected = each(lambda places: [[float(i == j) for j in places[0]] for i in range(count)], index[..., None, :])
    arguments = {"index": index, "positions": np.arange(places), "out": blank(*lead, count, places)}
    return kernels.one_hot_forward, arguments, {"out": expected}, ()


CASES = {
    case.__name__: case
    for case in (read_indices, read_indices_backward, embedding_forward, embedding_backward_weight, one_hot_forward)
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CASES)
@given(count=LETTERS, size=sizes)
@quickly
def test_a_kernel_is_its_formula_place_by_place(name, count, size):
    assert_computes(*CASES[name](count, *size))


@given(size=sizes, count=LETTERS)
@quickly
def test_the_gradient_is_the_dense_one_on_one_hot_columns(size, count):
    lead, n, places, seed = size
    dy, index = normal(seed, *lead, n, places), indices(lead, count, places, seed)
    out, columns = blank(*lead, n, count), blank(*lead, count, places)
    kernels.embedding_backward_weight(dy, index, out)
    kernels.one_hot_forward(index, np.arange(places), columns)
    np.testing.assert_allclose(out, dy @ columns.mT, rtol=1e-12, atol=1e-12)
    missing = np.broadcast_to(~columns.any(axis=-1)[..., None, :], out.shape)
    assert (out[missing] == 0).all()


def test_an_infinite_gradient_stays_with_its_index():
    out = blank(1, 3)
    kernels.embedding_backward_weight(np.array([[np.inf, 1.0, 2.0]]), np.array([2, 0, 0]), out)
    assert out.tolist() == [[3.0, 0.0, np.inf]]


@pytest.mark.parametrize("lead", [(), LARGE[0]])
@pytest.mark.parametrize("name", CASES)
def test_a_call_takes_no_memory(name, lead):
    """Nothing of the data's size, 336 KB a replica; `add.at` sets up an iterator of its own, the same at any size."""
    kernel, arguments, *_ = CASES[name](50, lead, *LARGE[1:], 0)
    with np.errstate(all="ignore"):
        assert_takes_no_memory(kernel, arguments, bound=9_000)


def test_every_kernel_of_the_chapter_is_tried():
    assert kernels_of(kernels) == {*CASES}
