"""The ring: points about eight centres on a circle, each as likely as the others."""

import math

import numpy as np
import pytest

from numgan.data import RingPoints
from numgan.errors import Error
from tests.helpers import DTYPES, peak_memory, rng

N = 40_000
CENTRES = np.array([[2 * math.cos(k * math.pi / 4), 2 * math.sin(k * math.pi / 4)] for k in range(8)])


def drawn(n=N, seed=0, dtype=np.float64):
    out = np.full((n, 2), 7, dtype)
    RingPoints().sample(n, rng(seed), out)
    return out


def test_the_centres_lie_on_a_circle_of_radius_2_at_equal_distances():
    np.testing.assert_allclose(RingPoints.centres, CENTRES, atol=1e-15)
    assert RingPoints().shape == (2,) and RingPoints.deviation == 0.02


@pytest.mark.parametrize("dtype", DTYPES)
def test_points_are_normal_about_the_nearest_centre_and_every_centre_gets_its_share(dtype):
    points = drawn(dtype=dtype).astype(np.float64)
    gaps = points[:, None] - CENTRES
    nearest = (gaps**2).sum(axis=2).argmin(axis=1)
    z = gaps[np.arange(N), nearest] / 0.02
    # 2N standard normal numbers: mean, variance, fourth moment and the two coordinates' correlation, to 5 errors
    for value, expected, error in (
        (z.mean(), 0, 1 / math.sqrt(2 * N)), ((z**2).mean(), 1, math.sqrt(2 / (2 * N))),
        ((z**4).mean(), 3, math.sqrt(96 / (2 * N))), (z.prod(axis=1).mean(), 0, 1 / math.sqrt(N)),
    ):  # fmt: skip
        assert abs(value - expected) < 5 * error
    counts = np.bincount(nearest, minlength=8)
    # chi-squared with 7 degrees of freedom is below 33 but once in 40,000 draws
    assert ((counts - N / 8) ** 2 / (N / 8)).sum() < 33


def test_the_centre_of_a_point_says_nothing_of_the_next_one_s():
    nearest = ((drawn()[:, None] - CENTRES) ** 2).sum(axis=2).argmin(axis=1)
    pairs = np.bincount(8 * nearest[:-1:2] + nearest[1::2], minlength=64)
    assert ((pairs - N / 128) ** 2 / (N / 128)).sum() < 130  # 63 degrees of freedom, once in a million


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_strided_array_gets_the_same_points(dtype):
    strided = np.full((2 * 50, 3), 7, dtype)
    RingPoints().sample(50, rng(3), strided[::2, ::2])
    np.testing.assert_array_equal(strided[::2, ::2], drawn(50, 3, dtype))
    assert (strided[1::2] == 7).all() and (strided[:, 1] == 7).all()


def test_a_second_draw_is_another_and_allocates_nothing():
    source, draw, out = RingPoints(), rng(), np.empty((4_000, 2), np.float32)
    source.sample(4_000, draw, out)
    first = out.copy()
    assert peak_memory(lambda: source.sample(4_000, draw, out)) < 8192  # the points take 32,000
    assert not (out == first).all(axis=1).any()


@pytest.mark.parametrize(("n", "draw", "out", "message"), [
    (0, rng(), np.empty((0, 2)), "RingPoints.sample: n must be a positive integer, got 0"),
    (2, 5, np.empty((2, 2)), "RingPoints.sample: rng must be a numpy.random.Generator"),
    (2, rng(), np.empty((3, 2)), r"RingPoints: out must be a float32 or float64 array \(2, 2\), got"),
    (2, rng(), np.empty((2, 2), np.float16), "RingPoints: out must be a float32 or float64 array"),
    (2, rng(), np.broadcast_to(np.zeros(2), (2, 2)), "RingPoints: out must be an array to write to"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_sentence(n, draw, out, message):
    with pytest.raises(Error, match=message):
        RingPoints().sample(n, draw, out)
