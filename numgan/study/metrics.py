"""Measures of generated samples against the distribution they should follow: functions on arrays, a row per sample.

Sources
    [DL]    Dowson & Landau, The Fréchet Distance between Multivariate Normal Distributions, 1982,
            Journal of Multivariate Analysis 12(3).
    [HRU]   Heusel, Ramsauer, Unterthiner, Nessler & Hochreiter, GANs Trained by a Two Time-Scale Update Rule Converge
            to a Local Nash Equilibrium, 2017, arXiv:1706.08500.
    [KKL]   Kynkäänniemi, Karras, Laine, Lehtinen & Aila, Improved Precision and Recall Metric for Assessing Generative
            Models, 2019, arXiv:1904.06991.
    [NOU]   Naeem, Oh, Uh, Choi & Yoo, Reliable Fidelity and Diversity Metrics for Generative Models, 2020,
            arXiv:2002.09797.
    [SVR]   Srivastava, Valkov, Russell, Gutmann & Sutton, VEEGAN: Reducing Mode Collapse in GANs using Implicit
            Variational Learning, 2017, arXiv:1705.07761.
    [SR]    Székely & Rizzo, Energy Statistics: A Class of Statistics Based on Distances, 2013,
            Journal of Statistical Planning and Inference 143(8).
"""

from __future__ import annotations

import math

import numpy as np

from numgan.errors import ArgumentError, between, positive, rows_of, whole
from numgan.hints import Array

ROWS = 128  # of the first set, whose distances to the second are held at a time: 61 MB to 60,000 digits in float64

# ----------------------------------------------------------------------------------------------- in feature space


@np.errstate(all="ignore")
def frechet_distance(a: Array, b: Array) -> float:
    """The squared Fréchet distance of two sets of features (n, d) and (m, d), each taken for a normal distribution.

    |μ_a − μ_b|² + tr(Σ_a + Σ_b − 2·(Σ_a·Σ_b)^½), [DL]; [HRU] put it to this use. In float64; n and m at
    least 2. Σ_a·Σ_b has the eigenvalues of S·Σ_b·S with S = Σ_a^½, which is symmetric: its root's trace is the sum
    of the roots of what `eigvalsh` finds, and S itself comes from `eigh`. Rounding can leave an eigenvalue just below
    0, which counts as 0. The estimate is biased: the fewer rows, the larger it comes out.
    """
    a, b = _both(a, b, 2)
    cov_a, cov_b = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (a, b))
    if not (np.isfinite(cov_a).all() and np.isfinite(cov_b).all()):
        raise ArgumentError("the features are too large: their covariance is beyond float64")
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    gap = a.mean(axis=0) - b.mean(axis=0)
    return float(gap @ gap + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


@np.errstate(all="ignore")
def precision_and_coverage(samples: Array, real: Array, k: int = 5) -> tuple[float, float]:
    """How samples (n, d) and real rows (m, d), m > k, lie among each other: (precision, coverage), each in [0, 1].

    Every real row has a ball that reaches to its k-th nearest other real row.
    precision  share of samples in the ball of any real row: how many samples look real, [KKL].
    coverage   share of real rows with any sample in their ball: how much of what is real the samples reach, [NOU].
               For large n = m, rows from the real distribution score 1 − 2^−k on average: 0.97 for k = 5.
    """
    samples, real = _both(samples, real)
    if not 0 < whole("k", k) < len(real):
        raise ArgumentError(f"precision and coverage take more real rows than k={k}, got {len(real)}")
    precise, covered = np.zeros(len(samples), bool), []
    for rows in _blocks(real):
        radius = np.partition(_distances(rows, real), k, axis=1)[:, k, None]  # the nearest is the row itself
        inside = _distances(rows, samples) <= radius
        precise |= inside.any(axis=0)
        covered.append(inside.any(axis=1))
    return float(precise.mean()), float(np.concatenate(covered).mean())


@np.errstate(all="ignore")
def principal_axes(rows: Array, count: int) -> tuple[Array, Array]:
    """(mean (d,), axes (d, count)): the orthogonal directions in which rows (n, d) vary most, that most first; fewer
    axes where the rows vary in fewer.

    Features for pictures that no classifier reads: (x − mean) @ axes. In float64. With more columns than rows the axes
    come from the matrix of scalar products (n, n): X·Xᵀ·u = λ·u makes Xᵀ·u/√λ an eigenvector of Xᵀ·X.
    """
    rows, _ = _both(rows, rows, 2)
    mean = rows.mean(axis=0)
    centred = rows - mean
    values, vectors = np.linalg.eigh(centred @ centred.T if len(rows) <= rows.shape[1] else centred.T @ centred)
    kept = np.flatnonzero(values > 1e-10 * values.max(initial=0))[::-1][: whole("count", count)]
    vectors = vectors[:, kept]
    return mean, centred.T @ vectors / np.sqrt(values[kept]) if len(rows) <= rows.shape[1] else vectors


# -------------------------------------------------------------------------------------------- probabilities of classes


def class_shares(probabilities: Array) -> Array:
    """The share of rows (n, classes) whose most probable class is 0, 1, …: an array (classes,) that sums to 1."""
    probabilities = rows_of("probabilities", probabilities)
    return np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1]) / len(probabilities)


def confident_share(probabilities: Array, least: float = 0.9) -> float:
    """The share of rows (n, classes) whose most probable class has at least the probability `least`."""
    return float((rows_of("probabilities", probabilities).max(axis=1) >= between("least", least, 0, 1)).mean())


@np.errstate(all="ignore")
def kl_divergence(p: Array, q: Array) -> float:
    """KL(p ‖ q) = Σ p·log(p/q) of two distributions (n,), in nats; infinite where q is 0 and p is not."""
    p, q = (np.asarray(a, np.float64) for a in (p, q))
    return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))


# ----------------------------------------------------------------------------------------------------------- distances


@np.errstate(all="ignore")  # numbers too large to be squared are infinitely far
def nearest_distances(a: Array, b: Array) -> Array:
    """The Euclidean distance from every row of a (n, d) to the nearest row of b (m, d): an array (n,)."""
    a, b = _both(a, b, dtype=None)
    return np.sqrt(np.concatenate([_squares(rows, b).min(axis=1) for rows in _blocks(a)]))


@np.errstate(all="ignore")
def nearest_rows(a: Array, b: Array, k: int) -> tuple[Array, Array]:
    """(distances, indices), each (n, k): from every row of a (n, d) to the k nearest of b (m, d), nearest first."""
    a, b = _both(a, b, dtype=None)
    if not 0 < whole("k", k) <= len(b):
        raise ArgumentError(f"the nearest rows are at least k={k} rows, got {len(b)}")
    found = []
    for rows in _blocks(a):
        squares = _squares(rows, b)
        index = np.argpartition(squares, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(squares, index, axis=1)
        order = np.argsort(near, axis=1, kind="stable")
        found.append([np.take_along_axis(x, order, axis=1) for x in (np.sqrt(near), index)])
    return tuple(np.concatenate(x) for x in zip(*found, strict=True))


@np.errstate(all="ignore")
def energy_distance(a: Array, b: Array, within_b: float | None = None) -> float:
    """2·E|A − B| − E|A − A′| − E|B − B′| over the rows of a (n, d) and b (m, d), [SR]; in float64.

    The means are over all pairs, a row with itself included: then the result is 0 for equal sets and, but for rounding,
    never less. `within_b` is E|B − B′|, `mean_distance(b, b)`, for a b that is used again and again.
    """
    a, b = _both(a, b)
    within_b = mean_distance(b, b) if within_b is None else within_b
    return 2 * mean_distance(a, b) - mean_distance(a, a) - within_b


@np.errstate(all="ignore")
def mean_distance(a: Array, b: Array) -> float:
    """The mean Euclidean distance over all pairs of a row of a (n, d) and a row of b (m, d)."""
    a, b = _both(a, b)
    return sum(float(_distances(rows, b).sum()) for rows in _blocks(a)) / (len(a) * len(b))


def _both(a, b, least=1, dtype=np.float64):
    """Two sets of rows of one length, checked; in `dtype`, or float32 and float64 as they are."""
    a, b = rows_of("the first rows", a, least), rows_of("the second rows", b, least)
    if a.shape[1] != b.shape[1]:
        raise ArgumentError(f"rows of {a.shape[1]} numbers cannot be compared with rows of {b.shape[1]}")
    return (a, b) if dtype is None else (a.astype(dtype, copy=False), b.astype(dtype, copy=False))


def _blocks(a):
    return [a[start : start + ROWS] for start in range(0, len(a), ROWS)]


def _distances(a, b):
    """Euclidean distances (n, m) of rows (n, d) and (m, d), in their dtype."""
    squares = _squares(a, b)
    return np.sqrt(squares, out=squares)


def _squares(a, b):
    """Squared distances |a − b|² = |a|² + |b|² − 2·a·b: one matrix product in place of n·m subtractions of d values.

    What cancels in the sum makes a distance of 0 come out as up to 10⁻³ of the rows' length in float32, or 10⁻⁷ of it
    in float64; its square may then be just below 0, hence the absolute value.
    """
    squares = (-2 * a) @ b.T
    squares += np.vecdot(b, b)
    squares += np.vecdot(a, a)[:, None]
    return np.abs(squares, out=squares)


# --------------------------------------------------------------------------------------------------------------- points


@np.errstate(all="ignore")
def sine_quality(points: Array) -> dict[str, float]:
    """How well points (n, 2) follow (t, sin t), t standard normal: name -> float.

    curve_error   mean |y − sin x|: 0 on the curve, whatever x is.
    x_mean, x_std of x: 0 and 1 for standard normal t.
    x_ks          Kolmogorov–Smirnov distance of x to the standard normal: the largest gap between the two
                  distribution functions, in [0, 1]; n real points score about 0.87/√n (0.012 for 5,000).
    """
    points = rows_of("points", points).astype(np.float64, copy=False)
    if points.shape[1] != 2:
        raise ArgumentError(f"points must have the shape (n, 2), got {points.shape}")
    x, y = points.T
    return {
        "curve_error": float(np.abs(y - np.sin(x)).mean()),
        "x_mean": float(x.mean()),
        "x_std": float(x.std()),
        "x_ks": _ks_to_standard_normal(x),
    }


@np.errstate(all="ignore")
def mixture_quality(points: Array, centres: Array, deviation: float) -> dict[str, float]:
    """How well points (n, d) follow a mixture of equally likely normal distributions about centres (k, d), each of the
    standard deviation `deviation` along every axis: name -> float.

    A point belongs to the nearest centre, and is good if it lies within three deviations of it: [SVR], whose "high
    quality samples" these are. In the plane 1 − e^(−9/2) = 98.9 % of real points are good.
    modes          centres that have at least a tenth of their share, n/10k, in good points.
    modes_hit      centres that have any good point: the count of [SVR], who take 2,500 points. Samples strewn all over
                   the plane, or drawn out into a line through the centres, hit many.
    good_share     of all points.
    kl_divergence  KL(generated ‖ real) in nats, of the centres' shares of all points to 1/k: 0 to log k. n real points
                   have about (k − 1)/2n.
    spread         the standard deviation of good points about the mean of their own centre's, per axis, over
                   `deviation`: 0.97 for real points of the plane, as those beyond three deviations are left out; 0
                   where every mode is one point; NaN without any good point.
    """
    points, centres = _both(points, centres)
    deviation = positive("deviation", deviation)
    n, k = len(points), len(centres)
    distances = _distances(points, centres)
    nearest = distances.argmin(axis=1)
    good = distances.min(axis=1) <= 3 * deviation
    points, owners = points[good], nearest[good]
    counts = np.bincount(owners, minlength=k)
    means = np.stack([np.bincount(owners, x, k) for x in points.T], axis=1) / np.maximum(counts, 1)[:, None]
    return {
        "modes": float((counts >= n / (10 * k)).sum()),
        "modes_hit": float((counts > 0).sum()),
        "good_share": len(points) / n,
        "kl_divergence": kl_divergence(np.bincount(nearest, minlength=k) / n, np.full(k, 1 / k)),
        "spread": float(np.sqrt(((points - means[owners]) ** 2).mean())) / deviation if len(points) else math.nan,
    }


def _ks_to_standard_normal(x):
    """max over the sample of |F_n − Φ|, on both sides of every step of the empirical distribution F_n. With erfc, of
    which NumPy has none for arrays, Φ(x) = ½·erfc(−x/√2) is exact far out on the left too.
    """
    x, n = np.sort(x), len(x)
    phi = np.array([math.erfc(z) / 2 for z in (x / -math.sqrt(2)).tolist()])
    return float(max((np.arange(1, n + 1) / n - phi).max(), (phi - np.arange(n) / n).max()))
