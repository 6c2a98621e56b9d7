"""The measures of samples, against their definitions and against what is known in closed form."""

import math

import numpy as np
import pytest

from numgan.study import metrics
from tests.helpers import peak_memory, rng


def clouds(n=60, m=50, d=4, seed=0):
    mix = rng(seed).normal(0, 1, (2, d, d))
    return rng(seed + 1).normal(0, 1, (n, d)) @ mix[0], rng(seed + 2).normal(1, 1, (m, d)) @ mix[1]


@pytest.fixture(params=[128, 1, 7], ids=["one block", "row by row", "some blocks"])
def blocks(request, monkeypatch):
    """The results must not depend on how many distances are held at a time."""
    monkeypatch.setattr(metrics, "ROWS", request.param)


def distances(a, b):
    return np.array([[math.dist(p, q) for q in b] for p in a])


@pytest.mark.parametrize("n", [60, 3], ids=["full rank", "fewer rows than features"])
def test_frechet_distance_is_that_of_the_two_normal_distributions(n):
    a, b = clouds(n)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(cov_a @ cov_b).real, 0))  # not symmetric, but the same eigenvalues
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b) - 2 * roots.sum()
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert metrics.frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)


def test_frechet_distances_known_in_closed_form():
    a, _ = clouds()
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(a, a + np.array([1, -2, 0, 2])) == pytest.approx(9)
    assert metrics.frechet_distance(a - a.mean(0), 3 * (a - a.mean(0))) == pytest.approx(4 * np.trace(np.cov(a.T)))


def test_precision_and_coverage_count_balls(blocks):
    samples, real = clouds()
    for k in (1, 5):
        radius = np.sort(distances(real, real))[:, k]
        inside = distances(real, samples) <= radius[:, None]
        expected = inside.any(axis=0).mean(), inside.any(axis=1).mean()
        assert 0 < expected[1] < 1
        assert metrics.precision_and_coverage(samples, real, k) == pytest.approx(expected)


def test_precision_and_coverage_of_known_sets():
    a, b = clouds(2000, 2000)
    assert metrics.precision_and_coverage(a, a) == (1, 1)
    assert metrics.precision_and_coverage(a + 1000, a) == (0, 0)
    precision, coverage = metrics.precision_and_coverage(np.repeat(b[:1], 500, axis=0), b)  # one real point over again
    assert precision == 1 and coverage < 0.02
    _, coverage = metrics.precision_and_coverage(a[1000:], a[:1000])
    assert coverage == pytest.approx(1 - 2**-5, abs=0.02)


def test_nearest_distances(blocks):
    a, b = clouds()
    np.testing.assert_allclose(metrics.nearest_distances(a, b), distances(a, b).min(axis=1), 1e-9)
    assert metrics.nearest_distances(a, np.concatenate([b, a])).max() < 1e-6


def test_energy_distance(blocks):
    a, b = clouds()
    expected = 2 * distances(a, b).mean() - distances(a, a).mean() - distances(b, b).mean()
    assert metrics.energy_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert metrics.energy_distance(a, a) == pytest.approx(0, abs=1e-12)
    assert metrics.energy_distance([[0.0, 0.0]], [[3.0, 4.0]]) == pytest.approx(10)


@pytest.mark.slow
def test_distances_take_bounded_memory():
    points = rng().normal(size=(4000, 2))  # all 16 million distances would take 128 MB
    for measure in (metrics.energy_distance, metrics.nearest_distances, metrics.precision_and_coverage):
        assert peak_memory(lambda measure=measure: measure(points, points)) < 15e6


def test_class_shares_and_confidence():
    probabilities = np.array([[0.9, 0.1, 0], [0.5, 0.3, 0.2], [0, 0.95, 0.05], [0.89, 0.11, 0]])
    assert metrics.class_shares(probabilities).tolist() == [0.75, 0.25, 0]
    assert metrics.confident_share(probabilities) == 0.5


# ------------------------------------------------------------------------------------- directions, and distributions


@pytest.mark.parametrize("n, d", [(40, 7), (7, 40), (12, 12)])
def test_principal_axes_are_those_of_the_covariance(n, d):
    """Orthonormal, in the order of the variance along them, which is the covariance's eigenvalue."""
    rows = rng().normal(0, 1, (n, d)) @ rng(1).normal(0, 1, (d, d)) + 3
    mean, axes = metrics.principal_axes(rows, 5)
    np.testing.assert_allclose(mean, rows.mean(axis=0))
    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-10)
    expected = np.sort(np.linalg.eigvalsh(np.cov(rows.T)))[::-1][:5]
    np.testing.assert_allclose(np.var((rows - mean) @ axes, axis=0, ddof=1), expected, rtol=1e-8)


def test_there_are_no_more_axes_than_directions_in_which_the_rows_vary():
    flat = rng().normal(0, 1, (50, 2)) @ rng(1).normal(0, 1, (2, 9))
    assert metrics.principal_axes(flat, 5)[1].shape == (9, 2)
    assert metrics.principal_axes(np.ones((4, 3)), 5)[1].shape == (3, 0)


def test_the_kullback_leibler_divergence_is_its_sum():
    p, q = rng().dirichlet(np.ones(6)), rng(1).dirichlet(np.ones(6))
    expected = math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert metrics.kl_divergence(p, q) == pytest.approx(expected, rel=1e-12)
    assert metrics.kl_divergence(p, p) == 0
    assert metrics.kl_divergence([0, 1], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert metrics.kl_divergence([0.5, 0.5], [0, 1]) == math.inf
