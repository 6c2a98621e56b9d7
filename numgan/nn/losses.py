"""Losses, each with the accuracy that goes with it: binary cross-entropy from probabilities or from logits, and
softmax cross-entropy for one of several classes.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np

from numgan.errors import ArgumentError, between, flag, fraction, native, output, real_array, shown
from numgan.hints import Array, Numbers, Shape
from numgan.kernels import losses as kernels
from numgan.names import SaysOurs

__all__ = ["BinaryCrossEntropy", "SoftmaxCrossEntropy"]


class Loss(Protocol):
    """What a network trains on: a value, its gradient, and an accuracy, of predictions against targets."""

    def for_logits(self) -> Loss: ...

    def check_target(self, target: Numbers, shape: Shape) -> Array: ...

    def value(self, prediction: Array, target: Array) -> float | Array: ...

    def gradient(self, prediction: Array, target: Array, out: Array | None = None) -> Array: ...

    def accuracy(self, prediction: Array, target: Array) -> float | Array: ...


class CrossEntropy(SaysOurs, ABC):
    """What the losses share: the checks, made in every public call, around the arithmetic.

    Predictions and targets are whatever NumPy makes arrays of real, finite numbers of; results are in float32 where
    the predictions are, else in float64. A target without the leading axes of its predictions is shared by all.
    """

    _trusting = False  # see `trusting`

    def for_logits(self) -> CrossEntropy:
        """The same loss, read from logits."""
        return self

    @abstractmethod
    def check_prediction(self, prediction: Numbers) -> Array:
        """The predictions as an array (…, batch, n), or an error that says what they should be."""

    @abstractmethod
    def check_target(self, target: Numbers, shape: Shape) -> Array:
        """The target as an array that fits predictions of `shape`, or an error that says what it should be."""

    def elements(self, prediction: Numbers, target: Numbers) -> Array:
        """ℓ before the mean: an array of an element's or a row's losses."""
        return self._elements(*self._checked(prediction, target))

    def value(self, prediction: Numbers, target: Numbers) -> float | Array:
        """The mean loss: a float, or an array (R,) for replicas (R, batch, n)."""
        return _mean(self.elements(prediction, target))

    def gradient(self, prediction: Numbers, target: Numbers, out: Array | None = None) -> Array:
        """∂(mean loss)/∂prediction, written into `out` (a new array by default) and returned."""
        prediction, target = self._checked(prediction, target)
        if out is None:
            out = np.empty_like(prediction)
        elif not self._trusting:
            output(f"{type(self).__name__}: out", out, prediction.shape, prediction.dtype)
            if np.may_share_memory(out, prediction):
                prediction = prediction.copy()  # a kernel may read it again after it has written
        self._gradient(prediction, target, out)
        return out

    def accuracy(self, prediction: Numbers, target: Numbers) -> float | Array:
        """The share of predictions that are right: a float, or (R,) with replicas."""
        return _mean(self._right(*self._checked(prediction, target)))

    def _checked(self, prediction, target):
        if self._trusting:
            return prediction, target
        prediction = native(self.check_prediction(prediction))
        return prediction, self.check_target(target, prediction.shape)

    def _fitting(self, target, shape):
        """The target as real numbers of a shape that fits predictions of `shape`."""
        name, shape = type(self).__name__, tuple_of_sizes(shape)
        target = native(real_array(f"{name}: target", target))
        if target.shape[-2:] != shape[-2:] or target.shape[:-2] not in ((), shape[:-2]):
            raise ArgumentError(f"{name} expects targets of shape {shape}, got {target.shape}")
        return target

    def _rows(self, prediction):
        """The predictions as real numbers (…, batch, n), in whatever dtype they have."""
        name = type(self).__name__
        prediction = real_array(f"{name}: prediction", prediction)
        if prediction.ndim < 2 or prediction.size == 0:
            raise ArgumentError(f"{name} expects predictions of shape (batch, n), one at least, got {prediction.shape}")
        return prediction

    @abstractmethod
    def _elements(self, prediction, target): ...

    @abstractmethod
    def _gradient(self, prediction, target, out): ...

    @abstractmethod
    def _right(self, prediction, target): ...


def tuple_of_sizes(shape: Any) -> Shape:
    """The shape of some predictions, if it can be one."""
    if not isinstance(shape, tuple) or len(shape) < 2 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ArgumentError(f"predictions have a shape (…, batch, n), got {shown(shape)}")
    return shape


def trusting(loss: Any) -> Any:
    """The same loss without the checks of its arguments, for a caller that has made them. A loss of one's own that does
    not inherit them is returned as it is.
    """
    if not isinstance(loss, CrossEntropy):
        return loss
    twin = copy.copy(loss)
    twin._trusting = True
    return twin


class BinaryCrossEntropy(CrossEntropy):
    """ℓ = −t·log p − (1 − t)·log(1 − p), averaged over the batch; t the target, p the predicted probability.

    from_logits      predictions are logits z with p = σ(z): exact, and finite for any finite z. Default False:
                     probabilities, from 0 to 1.
    label_smoothing  s: targets of 1 become 1 − s and targets of 0 stay, "one-sided" as in Salimans et al. 2016,
                     arXiv:1606.03498, section 3.4. Default 0. (Keras smooths both sides.)
    epsilon          the clip of probabilities, [ε, 1 − ε]; unused with logits. Default 10⁻⁷ as in Keras; in float32
                     1 − ε must not round to 1, which it does below 3·10⁻⁸.

    Accuracy: a prediction exactly on the threshold counts as "0", a target above ½ as "1", as in Keras.

    >>> loss = BinaryCrossEntropy()
    >>> round(float(loss.value([[0.5], [0.5]], [[0.0], [1.0]])), 4)  # log 2: a guess
    0.6931
    >>> loss.gradient([[0.5], [0.25]], [[0.0], [1.0]]).ravel().tolist()
    [1.0, -2.0]
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, epsilon: float = 1e-7) -> None:
        self.label_smoothing = fraction("label_smoothing", label_smoothing, 0.5)
        self.from_logits, self.epsilon = flag("from_logits", from_logits), between("epsilon", epsilon, 0, 0.5)

    def for_logits(self) -> BinaryCrossEntropy:
        return BinaryCrossEntropy(True, self.label_smoothing, self.epsilon)

    @property
    def threshold(self) -> float:
        """The prediction above which the answer is "1": p > ½, or z > 0."""
        return 0.0 if self.from_logits else 0.5

    def check_prediction(self, prediction: Numbers) -> Array:
        """The predictions as an array; probabilities have to be in [0, 1]."""
        prediction = self._rows(prediction)
        if not self.from_logits:
            low, high = prediction.min(), prediction.max()
            if low < 0 or high > 1:
                raise ArgumentError(
                    f"BinaryCrossEntropy expects probabilities in [0, 1], got {low} to {high}; from_logits=True is for "
                    "logits"
                )
            if not 1 - native(prediction).dtype.type(self.epsilon) < 1:
                raise ArgumentError(
                    f"BinaryCrossEntropy(epsilon={self.epsilon:g}) is too small for {prediction.dtype} predictions, "
                    "where 1 − ε rounds to 1"
                )
        return prediction

    def check_target(self, target: Numbers, shape: Shape) -> Array:
        """The target as an array that fits predictions of `shape`, with values in [0, 1]."""
        target = self._fitting(target, shape)
        if target.min() < 0 or target.max() > 1:
            raise ArgumentError(f"BinaryCrossEntropy expects targets in [0, 1], got {target.min()} to {target.max()}")
        return target

    def smooth(self, target: Any) -> Any:
        """The target after one-sided smoothing."""
        checked = real_array("smooth: target", target)
        return (target if isinstance(target, float) else native(checked)) * (1 - self.label_smoothing)

    def _elements(self, prediction, target):
        target = self.smooth(target)
        out, temp = np.empty_like(prediction), np.empty_like(prediction)
        if self.from_logits:
            kernels.bce_logits_forward(prediction, target, temp, out=out)
        else:
            kernels.bce_forward(prediction, target, self.epsilon, temp, out=out)
        return out

    def _gradient(self, prediction, target, out):
        target = np.asarray(self.smooth(target), prediction.dtype)
        if self.from_logits:
            kernels.bce_logits_backward(prediction, *logit_constants(target, prediction.shape), out=out)
        else:
            kernels.bce_backward(prediction, target, self.epsilon, np.empty_like(prediction), out=out)

    def _right(self, prediction, target):
        return (prediction > self.threshold) == (target > 0.5)


def logit_constants(target: Array, shape: Shape, weight: float | Array = 1) -> tuple[Array, Array, Array]:
    """(offset, half, half_over_count) for `kernels.bce_logits_backward` on logits of `shape` and these targets.

    The gradient then is that of the mean of weight × loss.
    """
    share, dtype = weight / (shape[-2] * shape[-1]), target.dtype
    return np.asarray((0.5 - target) * share, dtype), np.array(0.5, dtype), np.array(0.5 * share, dtype)


class SoftmaxCrossEntropy(CrossEntropy):
    """ℓ = −Σ_j t_j·log p_j with p = softmax(z), averaged over the rows; z the logits of the classes, t the target.

    Predictions are logits (…, batch, classes), targets probabilities of that shape: rows that sum to 1, one-hot or
    not. Exact, and finite for any finite z. `elements` are those of the rows, (…, batch, 1).

    Accuracy: the share of rows whose largest logit is at the target's largest entry.

    >>> logits, target = [[0.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]]
    >>> round(float(SoftmaxCrossEntropy().value(logits, target)), 4)  # log 3
    1.0986
    >>> SoftmaxCrossEntropy().gradient(logits, target).round(4).tolist()  # p − t
    [[-0.6667, 0.3333, 0.3333]]
    """

    def for_logits(self) -> SoftmaxCrossEntropy:
        raise ArgumentError("SoftmaxCrossEntropy reads the logits of its classes; the network must not end in Sigmoid")

    def check_prediction(self, prediction: Numbers) -> Array:
        """The logits as an array."""
        return self._rows(prediction)

    def check_target(self, target: Numbers, shape: Shape) -> Array:
        """The target as an array that fits predictions of `shape`, its rows probabilities."""
        target = self._fitting(target, shape)
        if not (target.min() >= 0 and np.allclose(target.sum(axis=-1, dtype=np.float64), 1, rtol=0, atol=1e-5)):
            raise ArgumentError("SoftmaxCrossEntropy expects targets that are at least 0 and sum to 1 in every row")
        return target

    def _elements(self, prediction, target):
        z, t = prediction.mT, np.asarray(target, prediction.dtype).mT
        out = np.empty_like(z[..., :1, :])
        kernels.softmax_cross_entropy_forward(z, t, np.empty_like(out), np.empty_like(z), out=out)
        return out.mT

    def _gradient(self, prediction, target, out):
        z, t = prediction.mT, np.asarray(target, prediction.dtype).mT
        kernels.softmax_cross_entropy_backward(z, t, np.empty_like(z[..., :1, :]), out=out.mT)

    def _right(self, prediction, target):
        return (prediction.argmax(axis=-1) == target.argmax(axis=-1))[..., None]


def _mean(elements):
    result = np.mean(elements, axis=(-2, -1), dtype=np.float64)
    return float(result) if result.ndim == 0 else result
