"""How well points follow the sine: each measure against its definition, and against planted errors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from numgan.study.metrics import sine_quality
from tests.helpers import DTYPES, rng


def real_points(n, seed=0):
    t = rng(seed).standard_normal(n)
    return np.stack([t, np.sin(t)], axis=1)


def ks_distance(x):
    """sup |F_n − Φ| from the definition: F_n just before and at every point, Φ by math.erf."""
    gaps = []
    for value in x:
        phi = (1 + math.erf(value / math.sqrt(2))) / 2
        gaps += [abs(np.mean(x <= value) - phi), abs(np.mean(x < value) - phi)]
    return max(gaps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_real_points_have_next_to_no_error(dtype):
    quality = sine_quality(real_points(5000).astype(dtype))
    assert quality["curve_error"] < 1e-7
    assert abs(quality["x_mean"]) < 0.05 and abs(quality["x_std"] - 1) < 0.05
    assert quality["x_ks"] < 0.025  # 1.63/√n is passed once in a hundred
    assert all(type(value) is float for value in quality.values())


@given(npst.arrays(np.float64, st.integers(1, 40), elements=st.floats(-12, 12)))
@settings(max_examples=60, deadline=None)
def test_the_ks_distance_is_that_of_the_definition(x):
    quality = sine_quality(np.stack([x, np.sin(x)], axis=1))
    assert quality["x_ks"] == pytest.approx(ks_distance(x), abs=2e-7)


def test_planted_errors_are_measured():
    points = real_points(4000)
    assert sine_quality(points + np.array([0, 0.3]))["curve_error"] == pytest.approx(0.3, abs=1e-12)
    mirrored = sine_quality(points * np.array([1, -1]))["curve_error"]
    assert mirrored == pytest.approx(2 * np.abs(np.sin(points[:, 0])).mean())
    moved = points[:, 0] * 2 + 1
    quality = sine_quality(np.stack([moved, np.sin(moved)], axis=1))
    assert quality["curve_error"] < 1e-12
    assert quality["x_mean"] == pytest.approx(1 + 2 * points[:, 0].mean())
    assert quality["x_std"] == pytest.approx(2 * points[:, 0].std())
    # N(1, 2²) against N(0, 1), by their distribution functions
    root = math.sqrt(2)
    gaps = [abs(math.erf((x - 1) / 2 / root) - math.erf(x / root)) / 2 for x in np.linspace(-6, 6, 1001)]
    assert quality["x_ks"] == pytest.approx(max(gaps), abs=0.025)


def test_a_collapsed_generator_is_far_from_normal():
    assert sine_quality(np.zeros((100, 2)))["x_ks"] == pytest.approx(0.5)
    assert sine_quality(np.full((100, 2), 50.0))["x_ks"] == pytest.approx(1)
