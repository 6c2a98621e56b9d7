"""The one sum of a skip connection: what it writes, into part of a larger buffer too, and the memory it takes."""

import numpy as np
import pytest
from hypothesis import given

from numgan.kernels import joining as kernels
from tests.kernels.plain import LARGE, assert_computes, assert_takes_no_memory, elementwise, kernels_of, normal, quickly
from tests.kernels.plain import sizes as SIZES


@given(size=SIZES)
@quickly
def test_a_share_is_added_to_what_came_to_the_rear(size):
    lead, n, samples, seed = size
    share, out = normal(seed, *lead, n, samples), normal(seed + 1, *lead, n, samples)
    expected = elementwise(lambda a, b: a + b, share, out)
    assert_computes(kernels.add_share, {"share": share, "out": out}, {"out": expected})


def test_a_front_made_elsewhere_comes_to_its_place():
    whole, f = normal(0, 7, 4), normal(1, 3, 4)
    before = whole.copy()
    kernels.copy_front(f, whole[:3])
    np.testing.assert_array_equal(whole, np.concatenate([f, before[3:]]))


def test_the_front_of_the_buffer_is_left_alone():
    whole, share = normal(0, 7, 4), normal(1, 3, 4)
    before = whole.copy()
    kernels.add_share(share, whole[4:])
    np.testing.assert_array_equal(whole, np.concatenate([before[:4], before[4:] + share]))


@pytest.mark.parametrize("lead", [(), LARGE[0]])
def test_a_call_takes_no_memory_in_part_of_a_buffer_too(lead):
    _, n, samples = LARGE
    share, whole = normal(0, *lead, n, samples), normal(1, *lead, 2 * n, samples)
    # a stack's parts lie apart, and older NumPy goes through two buffers of 8,192 numbers there, whatever the size
    bound = 2 * 65_536 + 3_000 if lead and np.lib.NumpyVersion(np.__version__) < "2.4.0" else 3_000
    assert_takes_no_memory(kernels.add_share, {"share": share, "out": whole[..., n:, :]}, bound)


def test_every_kernel_of_the_chapter_is_tried():
    assert kernels_of(kernels) == {"add_share", "copy_front"}
