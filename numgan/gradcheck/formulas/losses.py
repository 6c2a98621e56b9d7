"""Losses: their values, and what extreme predictions give."""

from __future__ import annotations

import math

import numpy as np

from numgan.gradcheck.formulas.compare import VALUE_TOLERANCE, compare
from numgan.gradcheck.report import Report
from numgan.kernels import losses as kernels
from numgan.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy


def loss_values(from_logits: bool, seed: int, tolerance: float) -> Report:
    """Binary cross-entropy with one-sided smoothing, element by element in plain Python."""
    rng = np.random.default_rng(seed)
    z, target = rng.normal(0, 3, (6, 2)), rng.integers(0, 2, (6, 2))
    terms = []
    for logit, t in zip(z.ravel().tolist(), target.ravel().tolist(), strict=True):
        p, t = 1 / (1 + math.exp(-logit)), 0.9 if t == 1 else 0.0
        terms.append(-t * math.log(p) - (1 - t) * math.log(1 - p))
    loss = BinaryCrossEntropy(from_logits, label_smoothing=0.1)
    report = Report(f"value of BinaryCrossEntropy from {'logits' if from_logits else 'probabilities'}", VALUE_TOLERANCE)
    compare(
        report,
        "mean loss",
        loss.value(z if from_logits else 1 / (1 + np.exp(-z)), target),
        math.fsum(terms) / len(terms),
    )
    return report


def extreme_logits(seed: int, tolerance: float) -> Report:
    """Loss and gradient from float32 logits of up to ±10⁴: finite, and right."""
    z = np.array([[-1e4], [-100.0], [0.0], [100.0], [1e4]], np.float32)
    report = Report("BinaryCrossEntropy from extreme float32 logits", 1e-6)
    loss = BinaryCrossEntropy(from_logits=True)
    for t, wanted in ((1.0, [1e4, 100, math.log(2), 0, 0]), (0.0, [0, 0, math.log(2), 100, 1e4])):
        with np.errstate(all="ignore"):
            compare(report, f"loss against {t:.0f}", loss.value(z, np.full_like(z, t)), math.fsum(wanted) / 5)
            slopes = [((p - t) / 5,) for p in (0, 0, 0.5, 1, 1)]
            compare(report, f"gradient against {t:.0f}", loss.gradient(z, np.full_like(z, t)), slopes)
    return report


def softmax_values(seed: int, tolerance: float) -> Report:
    """Softmax cross-entropy in plain Python."""
    rng = np.random.default_rng(seed)
    z, target = rng.normal(0, 3, (6, 4)), rng.dirichlet(np.ones(4), 6)
    terms = []
    for logits, wanted in zip(z.tolist(), target.tolist(), strict=True):
        total = math.fsum(map(math.exp, logits))
        terms.append(-math.fsum(t * math.log(math.exp(v) / total) for v, t in zip(logits, wanted, strict=True)))
    report = Report("value of SoftmaxCrossEntropy", VALUE_TOLERANCE)
    compare(report, "mean loss", SoftmaxCrossEntropy().value(z, target), math.fsum(terms) / len(terms))
    return report


def extreme_softmax(seed: int, tolerance: float) -> Report:
    """Loss and gradient from float32 logits of up to ±10⁴: finite, and right."""
    z, classes = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]], np.float32), np.eye(3, dtype=np.float32)
    report = Report("SoftmaxCrossEntropy from extreme float32 logits", 1e-6)
    loss = SoftmaxCrossEntropy()
    for k, wanted in enumerate([0, 2e4, 1e4]):
        target = classes[[k, k]]
        slopes = (np.array([[1, 0, 0], [1 / 3] * 3]) - target) / 2
        with np.errstate(all="ignore"):
            compare(report, f"loss against class {k}", loss.value(z, target), (wanted + math.log(3)) / 2)
            compare(report, f"gradient against class {k}", loss.gradient(z, target), slopes)
    return report


def clipped_probabilities(seed: int, tolerance: float) -> Report:
    """Loss and gradient from probabilities at and beyond the clip, up to exactly 0 and 1, in plain Python."""
    loss, epsilon = BinaryCrossEntropy(), 1e-7
    p = [0.0, 1e-9, 1e-3, 0.5, 1 - 1e-3, 1 - 1e-9, 1.0]
    report = Report("BinaryCrossEntropy from probabilities beyond its clip", 1e-9)
    for t in (0, 1):
        kept = [min(max(q, epsilon), 1 - epsilon) for q in p]
        terms = [-math.log(q) if t else -math.log(1 - q) for q in kept]
        slopes = [0.0 if q != k else (k - t) / (k * (1 - k)) / len(p) for q, k in zip(p, kept, strict=True)]
        column = np.array(p)[:, None]
        with np.errstate(all="ignore"):
            compare(report, f"loss against {t}", loss.value(column, np.full_like(column, t)), math.fsum(terms) / len(p))
            compare(report, f"gradient against {t}", loss.gradient(column, np.full_like(column, t))[:, 0], slopes)
    return report


def absolute_errors(seed: int, tolerance: float) -> Report:
    """|y − t| and its gradient on top of another, in plain Python, where some numbers are exactly right."""
    rng = np.random.default_rng(seed)
    y, before = rng.normal(0, 1, (3, 5)), rng.normal(0, 1, (3, 5))
    target = np.where(rng.permutation(np.arange(15) < 5).reshape(3, 5), y, rng.normal(0, 1, (3, 5)))
    share, out, added, temp = 0.3 / y.size, np.empty_like(y), before.copy(), np.empty_like(y)
    kernels.absolute_error_forward(y, target, out=out)
    kernels.absolute_error_backward(y, target, np.array(share), temp, out=added)
    errors, slopes = [], []
    for a, t, b in zip(y.ravel().tolist(), target.ravel().tolist(), before.ravel().tolist(), strict=True):
        errors.append(a - t if a > t else t - a)
        slopes.append(b + (share if a > t else -share if a < t else 0.0))
    report = Report("absolute errors and their gradient, added to another", VALUE_TOLERANCE)
    compare(report, "errors", out.ravel(), errors)
    compare(report, "gradient", added.ravel(), slopes)
    return report
