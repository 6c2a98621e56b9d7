"""How well points follow the sine, or a mixture: each measure against its definition, and against planted errors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from numgan.study.metrics import mixture_quality, sine_quality
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
    assert quality["x_ks"] == pytest.approx(ks_distance(x), abs=1e-15)


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


# ----------------------------------------------------------------------------------------------------- mixtures

CENTRES = np.array([[0.0, 0], [1, 0], [0, 1], [3, 3]])
DEVIATION = 0.02


def mixture(shares, n=4000, deviation=DEVIATION, seed=0):
    """Points about the centres, so many of every hundred about each."""
    owners = np.repeat(np.arange(len(CENTRES)), np.array(shares) * n // 100)
    return CENTRES[owners] + deviation * rng(seed).standard_normal((len(owners), 2))


def counted(points, centres, deviation):
    """The measures of a mixture in plain Python."""
    good, all_of = [[] for _ in centres], [0] * len(centres)
    for point in points:
        distances = [math.dist(point, centre) for centre in centres]
        owner = distances.index(min(distances))
        all_of[owner] += 1
        if min(distances) <= 3 * deviation:
            good[owner].append(point)
    n, k = len(points), len(centres)
    squares = [(x - np.mean(xs)) ** 2 for points in good if points for xs in zip(*points, strict=True) for x in xs]
    return {
        "modes": sum(len(own) >= n / (10 * k) for own in good),
        "modes_hit": sum(len(own) > 0 for own in good),
        "good_share": sum(map(len, good)) / n,
        "kl_divergence": sum(m / n * math.log(k * m / n) for m in all_of if m),
        "spread": math.sqrt(sum(squares) / len(squares)) / deviation if squares else math.nan,
    }


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_measures_of_a_mixture_are_those_counted_one_by_one(dimensions):
    for seed in range(4):
        centres = rng(seed).normal(0, 1, (5, dimensions))
        points = centres[rng(seed).integers(4, size=300)] + 0.3 * rng(seed).standard_normal((300, dimensions))
        for deviation in (0.01, 0.1, 0.3):
            quality = mixture_quality(points, centres, deviation)
            assert quality == pytest.approx(counted(points, centres, deviation), nan_ok=True)
            assert all(type(value) is float for value in quality.values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_real_points_of_a_mixture_have_next_to_no_error(dtype):
    quality = mixture_quality(mixture([25, 25, 25, 25]).astype(dtype), CENTRES, DEVIATION)
    assert quality["modes"] == quality["modes_hit"] == 4 and quality["kl_divergence"] < 1e-12
    assert quality["good_share"] == pytest.approx(1 - math.exp(-4.5), abs=0.006)
    # the variance of what is left within 3: 1 − 9/2·e^(−9/2)/(1 − e^(−9/2)), 0.949
    assert quality["spread"] == pytest.approx(math.sqrt(0.949), abs=0.03)


def test_what_is_wrong_with_a_mixture_shows_in_the_measure_of_it():
    missing = mixture_quality(mixture([50, 48, 2, 0]), CENTRES, DEVIATION)
    assert (missing["modes"], missing["modes_hit"]) == (2, 3)  # 2 % is less than a tenth of a quarter
    assert missing["good_share"] > 0.97 and missing["spread"] > 0.9
    assert missing["kl_divergence"] == pytest.approx(
        math.log(4) + 0.5 * math.log(0.5) + 0.48 * math.log(0.48) + 0.02 * math.log(0.02)
    )
    even = [25, 25, 25, 25]
    narrow, wide = (mixture_quality(mixture(even, deviation=f * DEVIATION), CENTRES, DEVIATION) for f in (0.2, 5))
    assert narrow["spread"] == pytest.approx(0.2, rel=0.05) and narrow["good_share"] == 1 and narrow["modes"] == 4
    assert wide["good_share"] == pytest.approx(1 - math.exp(-4.5 / 25), abs=0.03)
    assert wide["spread"] > 1.3 and wide["modes"] == 4
    moved = mixture_quality(mixture(even, deviation=0) + np.array([0.03, 0.04]), CENTRES, DEVIATION)
    assert moved["spread"] == pytest.approx(0, abs=1e-9) and moved["good_share"] == 1
    away = mixture_quality(mixture(even) + 0.1, CENTRES, DEVIATION)
    assert away["good_share"] < 0.01 and away["modes"] == 0
    assert math.isnan(mixture_quality(mixture(even) + 0.4, CENTRES, DEVIATION)["spread"])
