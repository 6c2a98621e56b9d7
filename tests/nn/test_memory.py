"""Buffers begin at a line of the cache, and scratch is one for all plans of a network."""

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numgan import GAN, Adam, BatchNorm, Dense, ReLU, Sequential, Sigmoid, Tanh
from numgan.nn.crew import owner_of
from numgan.nn.memory import LINE, SMALL, address, order_in_memory, zeros, zeros_like


@given(shape=st.lists(st.integers(1, 14), max_size=4).map(tuple), dtype=st.sampled_from(["float32", "float64", "bool"]))
def test_zeros_are_those_of_numpy_at_the_start_of_a_line(shape, dtype):
    made, expected = zeros(shape, dtype), np.zeros(shape, dtype)
    assert made.dtype == expected.dtype and made.strides == expected.strides
    assert made.nbytes < SMALL or made.ctypes.data % LINE == 0
    np.testing.assert_array_equal(made, expected)
    made[...] = True
    assert made.all()


@given(shape=st.lists(st.integers(2, 11), min_size=1, max_size=4), order=st.randoms())
def test_zeros_like_an_array_have_the_order_of_its_axes(shape, order):
    axes = list(range(len(shape)))
    order.shuffle(axes)
    a = np.ones(shape).transpose(axes)
    made = zeros_like(a, np.float32)
    assert made.strides == tuple(stride // 2 for stride in a.strides) and made.shape == a.shape
    assert order_in_memory(made) == order_in_memory(a) and not made.any()
    assert made.nbytes < SMALL or made.ctypes.data % LINE == 0


@pytest.mark.parametrize("replicas", [None, 3])
def test_what_a_step_walks_through_begins_at_a_line(replicas):
    rng = np.random.default_rng(0)
    generator = Sequential([Dense(9), BatchNorm(), ReLU(), Dense(16), Tanh()], 5, rng, replicas=replicas)
    discriminator = Sequential([Dense(8), ReLU(), Dense(1), Sigmoid()], 16, rng, replicas=replicas)
    gan = GAN(generator, discriminator, Adam(), Adam())
    calls = [*gan.discriminator_step(400).calls, *gan.generator_step(400).calls]
    starts = {}
    for a in (a for call in calls for a in call.arrays if a.nbytes > 2 * SMALL):
        starts[id(owner_of(a))] = min(address(a), starts.get(id(owner_of(a)), address(a)))
    assert len(starts) > 10 and not any(start % LINE for start in starts.values())


def test_plans_of_a_network_share_scratch_and_it_goes_with_them():
    rng = np.random.default_rng(0)
    generator = Sequential([Dense(9), ReLU(), Dense(16), Tanh()], 5, rng)
    discriminator = Sequential([Dense(8), ReLU(), Dense(1), Sigmoid()], 16, rng)
    gan = GAN(generator, discriminator, Adam(), Adam(), schedule="separate")
    backward = [call for call in gan.discriminator_step(10).calls if call.name == "relu_backward"]
    first, second = (call.arguments for call in backward)
    assert first["temp"] is second["temp"] and first["mask"] is second["mask"] and first["y"] is not second["y"]
    assert discriminator.scratch and not {id(a) for a in discriminator.scratch.values()} & {
        id(a) for a in generator.scratch.values()
    }
    del gan, backward, first, second
    gc.collect()
    assert not discriminator.scratch
