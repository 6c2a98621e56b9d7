"""Planted faults in losses."""

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter, spoiled
from numgan.kernels import losses as kernels
from numgan.nn.losses import BinaryCrossEntropy

fault = chapter("losses", kernels)


@fault("cross-entropy: gradient not divided by the batch size", "bce", "bce_backward")
def _(p, target, epsilon, temp, out):
    np.copyto(out, (p - target) / (p * (1 - p)))


@fault("cross-entropy: t − p instead of p − t", "bce", "bce_backward")
def _(p, target, epsilon, temp, out):
    np.copyto(out, (target - p) / (p * (1 - p)) / p.size)


@fault("cross-entropy: derivative of the t·log p term only", "bce", "bce_backward")
def _(p, target, epsilon, temp, out):
    np.copyto(out, -target / p / p.size)


@fault("cross-entropy: logit gradient not divided by the batch size", "bce_logits", "bce_logits_backward")
def _(z, offset, half, half_over_count, out):
    np.copyto(out, (np.tanh(z / 2) * half_over_count + offset) * z.size)


@fault("cross-entropy: logit gradient multiplied by σ′ once more", "bce_logits", "bce_logits_backward")
def _(z, offset, half, half_over_count, out):
    s = 1 / (1 + np.exp(-z))
    np.copyto(out, (np.tanh(z / 2) * half_over_count + offset) * s * (1 - s))


@fault("cross-entropy: tanh(z) for tanh(z/2)", "bce_logits", "bce_logits_backward")
def _(z, offset, half, half_over_count, out):
    np.copyto(out, np.tanh(z) * half_over_count + offset)


@fault("cross-entropy: log(1 + eᶻ) written out, which overflows", "bce_logits", "bce_logits_forward")
def _(z, target, temp, out):
    np.copyto(out, np.log(1 + np.exp(z)) - target * z)


@fault("cross-entropy: label smoothing on both sides", "bce_logits", "smooth", owner=BinaryCrossEntropy)
def _(self, target):
    return target * (1 - self.label_smoothing) + self.label_smoothing / 2


def _softmax(z, axis=-2):
    e = np.exp(z - z.max(axis=-2, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


@fault("softmax: gradient not divided by the batch size", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, _softmax(z) - target)


@fault("softmax: gradient divided by the number of classes as well", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, (_softmax(z) - target) / (z.shape[-2] * z.shape[-1]))


@fault("softmax: target not subtracted", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, _softmax(z) / z.shape[-1])


@fault("softmax: t − p instead of p − t", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, (target - _softmax(z)) / z.shape[-1])


@fault("softmax: gradient multiplied by p·(1 − p) once more", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    p = _softmax(z)
    np.copyto(out, (p - target) * p * (1 - p) / z.shape[-1])


@fault("softmax: normalised over the batch instead of the classes", "softmax", "softmax_forward")
def _(z, row, out):
    np.copyto(out, _softmax(z, axis=-1))


@fault("softmax: largest logit not subtracted, which overflows", "softmax", "softmax_forward")
def _(z, row, out):
    e = np.exp(z)
    np.divide(e, e.sum(axis=-2, keepdims=True), out=out)


@fault("softmax: logarithm of probabilities that round to 0", "softmax", "softmax_cross_entropy_forward")
def _(z, target, row, temp, out):
    np.sum(-target * np.log(_softmax(z)), axis=-2, keepdims=True, out=out)


def _unclipped(p, target, epsilon):
    p = np.clip(p, epsilon, 1 - epsilon)
    return (p - target) / (p * (1 - p)) / p.size


@fault("cross-entropy: gradient flows beyond the clip", "bce", "bce_backward")
def _(p, target, epsilon, temp, out):
    np.copyto(out, _unclipped(p, target, epsilon))


@fault("cross-entropy: gradient stopped beyond the upper clip alone", "bce", "bce_backward")
def _(p, target, epsilon, temp, out):
    np.copyto(out, _unclipped(p, target, epsilon) * (p <= 1 - epsilon))


@fault("cross-entropy: the clip's mask turned round", "bce", "bce_backward")
def _(p, target, epsilon, temp, out):
    np.copyto(out, _unclipped(p, target, epsilon) * ((p < epsilon) | (p > 1 - epsilon)))


@fault("cross-entropy: probabilities not clipped", "bce", "bce_forward")
def _(p, target, epsilon, temp, out):
    np.copyto(out, -target * np.log(p) - (1 - target) * np.log(1 - p))


@fault("cross-entropy: divided by the rows alone", "bce", "bce_backward")
def _(p, target, epsilon, temp, out):
    np.copyto(out, _unclipped(p, target, epsilon) * (p == np.clip(p, epsilon, 1 - epsilon)) * p.shape[-1])


@fault("cross-entropy: p − t, as if from logits", "bce", "bce_backward")
def _(p, target, epsilon, temp, out):
    np.copyto(out, (p - target) / p.size)


@fault("cross-entropy: logit gradient without the target", "bce_logits", "bce_logits_backward")
def _(z, offset, half, half_over_count, out):
    np.copyto(out, np.tanh(z / 2) * half_over_count + half_over_count)


@fault("cross-entropy: logit gradient with the sign flipped", "bce_logits", "bce_logits_backward")
def _(z, offset, half, half_over_count, out):
    np.copyto(out, -(np.tanh(z / 2) * half_over_count + offset))


@fault("softmax: a temperature of 2 on the way back alone", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, (_softmax(z / 2) - target) / z.shape[-1])


@fault("softmax: p − t for the right class alone", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, np.where(target == target.max(axis=-2, keepdims=True), (_softmax(z) - target) / z.shape[-1], 0))


# ------------------------------------------------------------------------------------------------- absolute error


def _slope(y, target, share):
    return share * np.sign(y - target)


@fault("L1: the square instead of the absolute value", "l1", "absolute_error_forward")
@spoiled(kernels.absolute_error_forward)
def _(forward, a):
    np.square(a["y"] - a["target"], out=a["out"])


@fault("L1: the difference with its sign", "l1", "absolute_error_forward")
@spoiled(kernels.absolute_error_forward)
def _(forward, a):
    np.subtract(a["y"], a["target"], out=a["out"])


@fault("L1: gradient with the sign flipped", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    backward(**a | {"share": -a["share"]})


@fault("L1: prediction and target exchanged", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    backward(**a | {"y": a["target"], "target": a["y"]})


@fault("L1: gradient in place of the adversary's instead of beside it", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    np.copyto(a["out"], _slope(a["y"], a["target"], a["share"]))


@fault("L1: gradient of the mean over the batch alone", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    backward(**a | {"share": a["share"] * a["y"].shape[-2]})


@fault("L1: gradient of the sum", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    backward(**a | {"share": a["share"] * a["y"].size})


@fault("L1: gradient without the weight", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    backward(**a | {"share": 1 / a["y"].size})


@fault("L1: the difference itself for its sign, as of a square", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    a["out"] += a["share"] * (a["y"] - a["target"])


@fault("L1: the sign of the prediction alone", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    a["out"] += a["share"] * np.sign(a["y"])


@fault("L1: the adversary's gradient weighted too", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    a["out"] *= a["share"]
    backward(**a)


@fault("L1: a slope where the number is exactly right", "l1", "absolute_error_backward")
@spoiled(kernels.absolute_error_backward)
def _(backward, a):
    a["out"] += np.where(a["y"] >= a["target"], a["share"], -a["share"])
