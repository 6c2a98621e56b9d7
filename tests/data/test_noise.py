"""`fill_normal` draws what it says: moments, tails, the whole distribution, and no number that knows of another; and
`fill_uniform` does; `fill_unit_by_bits` draws what NumPy does.
"""

import math

import numpy as np
import pytest

from numgan.data.noise import fill_normal, fill_uniform, fill_unit_by_bits
from numgan.data.stream import noise_stream

SIZE = 1_000_000
STANDARD_ERRORS = 5.0


def draw(size, dtype, seed=0):
    out = np.empty(size, dtype)
    fill_normal(np.random.default_rng(seed), out, np.empty(size // 2, dtype))
    return out


@pytest.fixture(scope="module", params=["float32", "float64"])
def drawn(request):
    return draw(SIZE, request.param).astype(np.float64)


def upper_tail(z):
    return math.erfc(z / math.sqrt(2)) / 2


@pytest.mark.parametrize(("order", "moment", "next_moment"), [(1, 0, 1), (2, 1, 3), (3, 0, 15), (4, 3, 105)])
def test_moments(drawn, order, moment, next_moment):
    """E[zᵏ], its standard error √((E[z²ᵏ] − E[zᵏ]²)/n)."""
    error = math.sqrt((next_moment - moment**2) / SIZE)
    assert abs(np.mean(drawn**order) - moment) < STANDARD_ERRORS * error


@pytest.mark.parametrize("half", [0, 1], ids=["cosine", "sine"])
def test_either_half_has_the_moments(drawn, half):
    z = np.split(drawn, 2)[half]
    for order, moment, next_moment in ((1, 0, 1), (2, 1, 3), (3, 0, 15), (4, 3, 105)):
        assert abs(np.mean(z**order) - moment) < STANDARD_ERRORS * math.sqrt((next_moment - moment**2) / len(z))


@pytest.mark.parametrize("sigmas", [2, 3, 4])
@pytest.mark.parametrize("sign", [-1, 1])
def test_tails(drawn, sigmas, sign):
    expected = SIZE * upper_tail(sigmas)
    assert abs(np.count_nonzero(sign * drawn > sigmas) - expected) < STANDARD_ERRORS * math.sqrt(expected) + 1


def test_kolmogorov_smirnov(drawn):
    """The largest distance between the distribution drawn and the normal one: above 1.95/√n once in a thousand times.
    The expected one is taken at 4,001 points, between which it moves by less than 0.0007 of itself.
    """
    edges = np.linspace(-4, 4, 4001)
    expected = np.array([1 - upper_tail(z) for z in edges])
    found = np.searchsorted(np.sort(drawn), edges, side="right") / SIZE
    assert np.abs(found - expected).max() < 1.95 / math.sqrt(SIZE)


def uncorrelated(a, b):
    """The sample correlation of independent numbers is 0 within 1/√n."""
    return abs(np.corrcoef(a, b)[0, 1]) < STANDARD_ERRORS / math.sqrt(len(a))


@pytest.mark.parametrize("lag", [1, 2, 3, 17])
def test_neighbours_are_independent(drawn, lag):
    a, b = drawn[:-lag], drawn[lag:]
    assert uncorrelated(a, b) and uncorrelated(a**2, b**2) and uncorrelated(np.abs(a), b)


def test_the_two_halves_are_independent_though_made_of_the_same_numbers(drawn):
    """r·cos θ and r·sin θ share r: uncorrelated, and their squares too, only if r² is exponential."""
    a, b = np.split(drawn, 2)
    assert uncorrelated(a, b) and uncorrelated(a**2, b**2) and uncorrelated(a, b**2) and uncorrelated(a**3, b)
    assert abs(np.mean(np.arctan2(b, a) > math.pi / 2) - 0.25) < STANDARD_ERRORS * math.sqrt(0.1875 / len(a))
    far = (np.abs(a) > 2) & (np.abs(b) > 2)
    expected = len(a) * (2 * upper_tail(2)) ** 2
    assert abs(np.count_nonzero(far) - expected) < STANDARD_ERRORS * math.sqrt(expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_are_independent(dtype):
    rng, size = np.random.default_rng(5), 200_000
    out, temp = np.empty(size, dtype), np.empty(size // 2, dtype)
    blocks = []
    for _ in range(2):
        fill_normal(rng, out, temp)
        blocks.append(out.astype(np.float64))
    assert not np.array_equal(*blocks)
    assert uncorrelated(*blocks) and uncorrelated(blocks[0] ** 2, blocks[1] ** 2)
    assert uncorrelated(blocks[0][::-1], blocks[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_number_is_finite_and_float32_ends_where_it_says(dtype):
    z = draw(SIZE, dtype, seed=1)
    assert z.dtype == dtype and np.isfinite(z).all()
    assert np.abs(z).max() < (5.8 if dtype == "float32" else 9.0)

    class Edges:
        """A generator that draws nothing but the ends of its range."""

        def random(self, out, dtype):
            out[...] = np.resize([0, 1 - np.finfo(dtype).epsneg], len(out))

    extreme = np.empty(8, dtype)
    fill_normal(Edges(), extreme, np.empty(4, dtype))
    assert np.isfinite(extreme).all()


def test_the_seed_decides_all_and_another_gives_others():
    assert np.array_equal(draw(1000, "float32", 3), draw(1000, "float32", 3))
    assert not np.array_equal(draw(1000, "float32", 3), draw(1000, "float32", 4))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("batch", "shape"), [((7,), (3,)), ((5,), (1,)), ((3, 5), (3,)), ((33_333,), (1,))])
def test_a_stream_of_odd_sizes(batch, shape, dtype):
    """Pairs make an even number; what a stream hands out may be odd, and every number of it is drawn."""
    stream = noise_stream(np.random.default_rng(2), batch, shape, dtype)
    size = math.prod(batch) * math.prod(shape)
    batches = [stream.next().copy() for _ in range(max(2, 200_000 // size))]
    assert all(b.shape == (*batch, *shape) and b.dtype == dtype for b in batches)
    values = np.concatenate([b.ravel() for b in batches]).astype(np.float64)
    assert len(np.unique(values)) > 0.97 * len(values)
    for order, moment, next_moment in ((1, 0, 1), (2, 1, 3), (3, 0, 15), (4, 3, 105)):
        error = math.sqrt((next_moment - moment**2) / len(values))
        assert abs(np.mean(values**order) - moment) < STANDARD_ERRORS * error
    assert uncorrelated(values[:-1], values[1:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_numbers_are_twice_those_of_the_generator_less_one_to_the_bit(dtype):
    out = np.empty(100_000, dtype)
    fill_uniform(np.random.default_rng(0), out)
    drawn = np.random.default_rng(0).random(100_000, dtype=dtype)
    assert np.array_equal(out.astype(np.longdouble), 2 * drawn.astype(np.longdouble) - 1)  # so nothing is rounded
    assert -1 <= out.min() < -0.999 and 0.999 < out.max() < 1


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_in_0_to_1_are_numpy_s_own_and_leave_the_generator_where_numpy_does(bits, dtype):
    ours, theirs = (np.random.Generator(getattr(np.random, bits)(5)) for _ in range(2))
    for size in (2, 1000, 7, 64, 1, 3, 10, 0, 4096):  # odd ones leave half of 64 bits for the next
        out, expected = np.full(size, np.nan, dtype), np.empty(size, dtype)
        fill_unit_by_bits(ours, out)
        theirs.random(out=expected, dtype=dtype)
        np.testing.assert_array_equal(out, expected)
        assert str(ours.bit_generator.state) == str(theirs.bit_generator.state)
