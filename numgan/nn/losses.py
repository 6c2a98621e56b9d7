"""Losses, each with the accuracy that goes with it: binary cross-entropy from probabilities or from logits, and
softmax cross-entropy for one of several classes.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from numgan.errors import ArgumentError, between, fraction
from numgan.hints import Array, Numbers, Shape
from numgan.kernels import losses as kernels

__all__ = ["BinaryCrossEntropy", "SoftmaxCrossEntropy"]


class Loss(Protocol):
    """What a network trains on: a value, its gradient, and an accuracy, of predictions against targets."""

    def for_logits(self) -> Loss: ...

    def check_target(self, target: Numbers, shape: Shape) -> Array: ...

    def value(self, prediction: Array, target: Array) -> float | Array: ...

    def gradient(self, prediction: Array, target: Array, out: Array | None = None) -> Array: ...

    def accuracy(self, prediction: Array, target: Array) -> float | Array: ...


class BinaryCrossEntropy:
    """ℓ = −t·log p − (1 − t)·log(1 − p), averaged over the batch; t the target, p the predicted probability.

    from_logits      predictions are logits z with p = σ(z): exact, and finite for any finite z. Default False.
    label_smoothing  s: targets of 1 become 1 − s and targets of 0 stay, "one-sided" as in Salimans et al. 2016,
                     arXiv:1606.03498, section 3.4. Default 0. (Keras smooths both sides.)
    epsilon          the clip of probabilities, [ε, 1 − ε]; unused with logits. Default 10⁻⁷ as in Keras.
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, epsilon: float = 1e-7) -> None:
        self.label_smoothing = fraction("label_smoothing", label_smoothing, 0.5)
        self.from_logits, self.epsilon = from_logits, between("epsilon", epsilon, 0, 0.5)

    def for_logits(self) -> BinaryCrossEntropy:
        """The same loss, read from logits."""
        return BinaryCrossEntropy(True, self.label_smoothing, self.epsilon)

    @property
    def threshold(self) -> float:
        """The prediction above which the answer is "1": p > ½, or z > 0."""
        return 0.0 if self.from_logits else 0.5

    def check_target(self, target: Numbers, shape: Shape) -> Array:
        """The target as an array that fits predictions of `shape`, with values in [0, 1]."""
        target = np.asarray(target)
        if target.shape[-2:] != shape[-2:] or target.shape[:-2] not in ((), shape[:-2]):
            raise ArgumentError(f"BinaryCrossEntropy expects targets of shape {shape}, got {target.shape}")
        if not ((target >= 0) & (target <= 1)).all():
            raise ArgumentError(f"BinaryCrossEntropy expects targets in [0, 1], got {target.min()} to {target.max()}")
        return target

    def smooth(self, target: Any) -> Any:
        """The target after one-sided smoothing."""
        return target * (1 - self.label_smoothing)

    def elements(self, prediction: Array, target: Any) -> Array:
        """ℓ of every element, before the mean: an array of the prediction's shape."""
        out, temp, target = np.empty_like(prediction), np.empty_like(prediction), self.smooth(target)
        if self.from_logits:
            kernels.bce_logits_forward(prediction, target, temp, out=out)
        else:
            kernels.bce_forward(prediction, target, self.epsilon, temp, out=out)
        return out

    def value(self, prediction: Array, target: Numbers) -> float | Array:
        """The mean loss: a float, or an array (R,) for replicas (R, batch, n)."""
        return _mean(self.elements(prediction, target))

    def gradient(self, prediction: Array, target: Numbers, out: Array | None = None) -> Array:
        """∂(mean loss)/∂prediction, written into `out` (a new array by default) and returned."""
        target = np.asarray(self.smooth(target), prediction.dtype)
        out = np.empty_like(prediction) if out is None else out
        if self.from_logits:
            kernels.bce_logits_backward(prediction, *logit_constants(target, prediction.shape), out=out)
        else:
            kernels.bce_backward(prediction, target, self.epsilon, np.empty_like(prediction), out=out)
        return out

    def accuracy(self, prediction: Array, target: Array) -> float | Array:
        """The share of predictions on the target's side of the threshold: a float, or (R,) with replicas.

        A prediction exactly on the threshold counts as "0", a target above ½ as "1", as in Keras.
        """
        return _mean((prediction > self.threshold) == (target > 0.5))


def logit_constants(target: Array, shape: Shape, weight: float = 1) -> tuple[Array, Array, Array]:
    """(offset, half, half_over_count) for `kernels.bce_logits_backward` on logits of `shape` and these targets.

    The gradient then is that of weight × the mean loss.
    """
    share, dtype = weight / (shape[-2] * shape[-1]), target.dtype
    return np.asarray((0.5 - target) * share, dtype), np.array(0.5, dtype), np.array(0.5 * share, dtype)


class SoftmaxCrossEntropy:
    """ℓ = −Σ_j t_j·log p_j with p = softmax(z), averaged over the rows; z the logits of the classes, t the target.

    Predictions are logits (…, batch, classes), targets probabilities of that shape: rows that sum to 1, one-hot or
    not. Exact, and finite for any finite z.
    """

    def for_logits(self) -> SoftmaxCrossEntropy:
        raise ArgumentError("SoftmaxCrossEntropy reads the logits of its classes; the network must not end in Sigmoid")

    def check_target(self, target: Numbers, shape: Shape) -> Array:
        """The target as an array that fits predictions of `shape`, its rows probabilities."""
        target = np.asarray(target)
        if target.shape[-2:] != shape[-2:] or target.shape[:-2] not in ((), shape[:-2]):
            raise ArgumentError(f"SoftmaxCrossEntropy expects targets of shape {shape}, got {target.shape}")
        if not ((target >= 0).all() and np.allclose(target.sum(axis=-1), 1, rtol=0, atol=1e-5)):
            raise ArgumentError("SoftmaxCrossEntropy expects targets that are at least 0 and sum to 1 in every row")
        return target

    def elements(self, prediction: Array, target: Numbers) -> Array:
        """ℓ of every row, before the mean: an array (…, batch, 1)."""
        z, t = prediction.mT, np.asarray(target, prediction.dtype).mT
        out = np.empty_like(z[..., :1, :])
        kernels.softmax_cross_entropy_forward(z, t, np.empty_like(out), np.empty_like(z), out=out)
        return out.mT

    def value(self, prediction: Array, target: Numbers) -> float | Array:
        """The mean loss: a float, or an array (R,) for replicas (R, batch, n)."""
        return _mean(self.elements(prediction, target))

    def gradient(self, prediction: Array, target: Numbers, out: Array | None = None) -> Array:
        """∂(mean loss)/∂prediction, written into `out` (a new array by default) and returned."""
        z, t = prediction.mT, np.asarray(target, prediction.dtype).mT
        out = np.empty_like(prediction) if out is None else out
        kernels.softmax_cross_entropy_backward(z, t, np.empty_like(z[..., :1, :]), out=out.mT)
        return out

    def accuracy(self, prediction: Array, target: Array) -> float | Array:
        """The share of rows whose largest logit is at the target's largest entry: a float, or (R,) with replicas."""
        return _mean((prediction.argmax(axis=-1) == target.argmax(axis=-1))[..., None])


def _mean(elements):
    result = np.mean(elements, axis=(-2, -1), dtype=np.float64)
    return float(result) if result.ndim == 0 else result
