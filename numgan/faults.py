"""Planted faults: the mistakes people make in hand-written backprop, each put in place of the right code for the
length of a check. A checker is only worth trusting once it has caught them all: `numgan gradcheck --faults`.

A fault is a name, what it replaces (a kernel, unless it names an owner), the faulty code, and the target of
`checks.TARGETS` that has to notice.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgan import checks, kernels, optimizers, steps
from numgan.losses import BinaryCrossEntropy

FAULTS = []


@dataclass
class Fault:
    name: str
    target: str
    attribute: str
    replacement: Any
    owner: Any


@dataclass
class Caught:
    """How a fault fared: `by` is the report that failed, or None when nothing noticed; `what` is what it saw."""

    fault: Fault
    by: Any
    what: str


def fault(name, target, attribute, owner=kernels):
    """Decorator: adds its function to the catalogue as the faulty form of owner.attribute."""

    def add(replacement):
        FAULTS.append(Fault(name, target, attribute, replacement, owner))
        return replacement

    return add


@contextlib.contextmanager
def planted(fault):
    """Put the fault in place, and take it out again whatever happens."""
    right = getattr(fault.owner, fault.attribute)
    setattr(fault.owner, fault.attribute, fault.replacement)
    try:
        yield
    finally:
        setattr(fault.owner, fault.attribute, right)


def hunt(fault, seed=0, tolerance=1e-7):
    """Run the checks of the fault's target until one fails."""
    with planted(fault), np.errstate(all="ignore"):
        for check in checks.TARGETS[fault.target]:
            report = check(seed, tolerance)
            if not report.passed:
                return Caught(fault, report, _seen(report))
    return Caught(fault, None, "nothing")


def _seen(report):
    """The worst row of a failed report, in words."""
    if report.broken:
        return report.broken[0]
    bad = [row for row in report.rows if row.verdict not in ("ok", "zero")]
    row = max(bad, key=lambda row: row.error)
    return f"{row.tensor}: error {row.error:.1e}" if row.verdict == "FAIL" else f"{row.tensor}: {row.verdict}"


# ---------------------------------------------------------------------------------------------------------- dense


@fault("dense: weight gradient divided by the batch size again", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out /= dy.shape[-2]


@fault("dense: weight gradient with the sign flipped", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(-x1_t, dy, out=out)


@fault("dense: weight gradient transposed", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out[..., :-1, :] = (dy.mT @ x1_t[..., :-1, :].mT)[..., : out.shape[-2] - 1, : out.shape[-1]]


@fault("dense: weight gradient from the output side's rows in reverse", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy[..., ::-1, :], out=out)


@fault("dense: bias gradient summed over the wrong axis", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out[..., -1, :] = np.resize(dy.sum(axis=-1), out.shape[-1])


@fault("dense: bias gradient averaged instead of summed", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out[..., -1, :] /= dy.shape[-2]


@fault("dense: bias gradient forgotten", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out[..., -1, :] = 0


@fault("dense: weight gradient added to the last one instead of overwriting it", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    out += x1_t @ dy


class _StaleInput:
    """Remembers the first input of each shape and keeps using it."""

    def __init__(self):
        self.first = {}

    def __call__(self, x1_t, dy, out, product):
        product(self.first.setdefault(x1_t.shape, x1_t.copy()), dy, out=out)


fault("dense: weight gradient from a stale copy of the input", "dense", "dense_backward_weight")(_StaleInput())


@fault("dense: input gradient without the transpose", "dense", "dense_backward_input")
def _(weight, dy_t, out, product):
    product(weight.mT if weight.shape[-1] == weight.shape[-2] else weight, dy_t, out=out)


@fault("dense: input gradient added to the last one instead of overwriting it", "dense", "dense_backward_input")
def _(weight, dy_t, out, product):
    out += weight @ dy_t


@fault("dense: input gradient from the first output alone", "dense", "dense_backward_input")
def _(weight, dy_t, out, product):
    out[...] = weight[..., :1] * dy_t[..., :1, :]


@fault("dense: forward pass forgets the bias", "dense", "dense_forward")
def _(weight_t, x1_t, out, product):
    np.matmul(weight_t[..., :-1], x1_t[..., :-1, :], out=out)


# ---------------------------------------------------------------------------------------------------- activations


@fault("relu: mask from the wrong side", "relu", "relu_backward")
def _(dy, y, zero, mask, temp, out):
    np.multiply(dy, y <= 0, out=out)


@fault("relu: mask from y ≥ 0, which is everywhere", "relu", "relu_backward")
def _(dy, y, zero, mask, temp, out):
    np.multiply(dy, y >= 0, out=out)


@fault("relu: mask from the gradient instead of the output", "relu", "relu_backward")
def _(dy, y, zero, mask, temp, out):
    np.multiply(dy, dy > 0, out=out)


@fault("relu: multiplies by the output instead of its mask", "relu", "relu_backward")
def _(dy, y, zero, mask, temp, out):
    np.multiply(dy, y, out=out)


@fault("leaky relu: slope applied twice", "leaky_relu", "leaky_relu_backward")
def _(dy, y, slope, mask, temp, out):
    np.multiply(dy, np.where(y > 0, 1, slope * slope), out=out)


@fault("leaky relu: slope on the wrong side", "leaky_relu", "leaky_relu_backward")
def _(dy, y, slope, mask, temp, out):
    np.multiply(dy, np.where(y > 0, slope, 1), out=out)


@fault("leaky relu: backward pass of a plain relu", "leaky_relu", "leaky_relu_backward")
def _(dy, y, slope, mask, temp, out):
    np.multiply(dy, y > 0, out=out)


@fault("leaky relu: no mask at all", "leaky_relu", "leaky_relu_backward")
def _(dy, y, slope, mask, temp, out):
    np.copyto(out, dy)


@fault("leaky relu: forward takes the smaller side, backward agrees", "leaky_relu", "leaky_relu_forward")
def _(x, slope, temp, out):
    np.multiply(x, slope, out=temp)
    np.minimum(x, temp, out=out)


@fault("leaky relu: slope 0.01 wired in, in both passes", "leaky_relu", "leaky_relu_forward")
def _(x, slope, temp, out):
    np.multiply(x, 0.01, out=temp)
    np.maximum(x, temp, out=out)


@fault("tanh: 1 − y, not squared", "tanh", "tanh_backward")
def _(dy, y, temp, out):
    np.multiply(dy, 1 - y, out=out)


@fault("tanh: derivative taken at the output, 1 − tanh²(y)", "tanh", "tanh_backward")
def _(dy, y, temp, out):
    np.multiply(dy, 1 - np.tanh(y) ** 2, out=out)


@fault("tanh: derivative replaces the incoming gradient", "tanh", "tanh_backward")
def _(dy, y, temp, out):
    np.copyto(out, 1 - y * y)


@fault("sigmoid: derivative taken at the output, σ′(y)", "sigmoid", "sigmoid_backward")
def _(dy, y, temp, out):
    s = 1 / (1 + np.exp(-y))
    np.multiply(dy, s * (1 - s), out=out)


@fault("sigmoid: y·(1 + y)", "sigmoid", "sigmoid_backward")
def _(dy, y, temp, out):
    np.multiply(dy, y * (1 + y), out=out)


@fault("sigmoid: derivative of tanh", "sigmoid", "sigmoid_backward")
def _(dy, y, temp, out):
    np.multiply(dy, 1 - y * y, out=out)


@fault("sigmoid: σ(−x)", "sigmoid", "sigmoid_forward")
def _(x, temp, out):
    np.divide(1, 1 + np.exp(x), out=out)


# ----------------------------------------------------------------------------------------------------- batch norm


def _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, mean_share=1.0, variance_share=1.0):
    batch = dy.shape[-2]
    return scale * (dy - mean_share * dbeta / batch - variance_share * centred * inv_std * dgamma / batch)


@fault("batch norm: without the mean's share of the gradient", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, row, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, mean_share=0))


@fault("batch norm: without the variance's share of the gradient", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, row, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, variance_share=0))


@fault("batch norm: shares not divided by the batch size", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, row, temp, out):
    n = dy.shape[-2]
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, n, n))


@fault("batch norm: variance's share doubled, as if through the mean too", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, row, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, variance_share=2))


@fault("batch norm: input gradient without γ", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, row, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, inv_std, dgamma, dbeta))


@fault(
    "batch norm: input gradient divided by the variance instead of its root", "batch_norm", "batch_norm_backward_input"
)
def _(dy, centred, inv_std, scale, dgamma, dbeta, row, temp, out):
    np.copyto(out, inv_std * _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta))


@fault("batch norm: statistics treated as constants, as in inference", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, row, temp, out):
    np.multiply(dy, scale, out=out)


@fault("batch norm: γ's gradient from x − μ instead of x̂", "batch_norm", "batch_norm_backward_parameters")
def _(dy, centred, inv_std, ones, dgamma, dbeta):
    np.sum(dy, axis=-2, keepdims=True, out=dbeta)
    np.sum(dy * centred, axis=-2, keepdims=True, out=dgamma)


@fault("batch norm: β's gradient averaged instead of summed", "batch_norm", "batch_norm_backward_parameters")
def _(dy, centred, inv_std, ones, dgamma, dbeta):
    np.mean(dy, axis=-2, keepdims=True, out=dbeta)
    np.multiply(inv_std, np.sum(dy * centred, axis=-2, keepdims=True), out=dgamma)


def _batch_norm_forward(x, gamma, beta, epsilon, centred, mean, variance, inv_std, scale, out, ddof=0, inside=True):
    np.mean(x, axis=-2, keepdims=True, out=mean)
    np.var(x, axis=-2, keepdims=True, ddof=ddof, out=variance)
    np.subtract(x, mean, out=centred)
    np.divide(1, np.sqrt(variance + epsilon) if inside else np.sqrt(variance) + epsilon, out=inv_std)
    np.multiply(gamma, inv_std, out=scale)
    np.add(centred * scale, beta, out=out)


@fault("batch norm: unbiased variance in the forward pass", "batch_norm", "batch_norm_forward")
def _(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
    _batch_norm_forward(x, gamma, beta, epsilon, centred, mean, variance, inv_std, scale, out, ddof=1)


@fault("batch norm: ε outside the root", "batch_norm", "batch_norm_forward")
def _(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
    _batch_norm_forward(x, gamma, beta, epsilon, centred, mean, variance, inv_std, scale, out, inside=False)


@fault("batch norm: momentum weighs the new value, as in PyTorch", "batch_norm", "batch_norm_running")
def _(running, batch_value, momentum, rest, temp):
    running *= rest
    running += momentum * batch_value


@fault("batch norm: running statistics never move", "batch_norm", "batch_norm_running")
def _(running, batch_value, momentum, rest, temp):
    pass


@fault("batch norm: inference forgets ε", "batch_norm", "batch_norm_inference")
def _(x, gamma, beta, running_mean, running_variance, epsilon, scale, shift, temp, out):
    np.divide(gamma, np.sqrt(running_variance), out=scale)
    np.subtract(beta, running_mean * scale, out=shift)
    np.add(x * scale, shift, out=out)


@fault("batch norm: inference uses the batch's statistics", "batch_norm", "batch_norm_inference")
def _(x, gamma, beta, running_mean, running_variance, epsilon, scale, shift, temp, out):
    np.divide(gamma, np.sqrt(x.var(axis=-2, keepdims=True) + epsilon), out=scale)
    np.subtract(beta, x.mean(axis=-2, keepdims=True) * scale, out=shift)
    np.add(x * scale, shift, out=out)


@fault("batch norm: inference backward forgets the scale", "batch_norm", "batch_norm_inference_backward")
def _(dy, scale, temp, out):
    np.copyto(out, dy)


# ------------------------------------------------------------------------------------------- binary cross-entropy


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


@fault("cross-entropy: label smoothing on both sides", "bce_logits", "smooth", BinaryCrossEntropy)
def _(self, target):
    return target * (1 - self.label_smoothing) + self.label_smoothing / 2


# ------------------------------------------------------------------------------------------- softmax cross-entropy


def _softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


@fault("softmax: gradient not divided by the batch size", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, _softmax(z) - target)


@fault("softmax: gradient divided by the number of classes as well", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, (_softmax(z) - target) / (z.shape[-2] * z.shape[-1]))


@fault("softmax: target not subtracted", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, _softmax(z) / z.shape[-2])


@fault("softmax: t − p instead of p − t", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    np.copyto(out, (target - _softmax(z)) / z.shape[-2])


@fault("softmax: gradient multiplied by p·(1 − p) once more", "softmax", "softmax_cross_entropy_backward")
def _(z, target, row, out):
    p = _softmax(z)
    np.copyto(out, (p - target) * p * (1 - p) / z.shape[-2])


@fault("softmax: normalised over the batch instead of the classes", "softmax", "softmax_forward")
def _(z, row, out):
    np.copyto(out, _softmax(z, axis=-2))


@fault("softmax: largest logit not subtracted, which overflows", "softmax", "softmax_forward")
def _(z, row, out):
    e = np.exp(z)
    np.divide(e, e.sum(axis=-1, keepdims=True), out=out)


@fault("softmax: logarithm of probabilities that round to 0", "softmax", "softmax_cross_entropy_forward")
def _(z, target, row, temp, out):
    np.sum(-target * np.log(_softmax(z)), axis=-1, keepdims=True, out=out)


# ------------------------------------------------------------------------------------------------------ optimisers


def _plain_adam(theta, gradient, m, v, beta1, beta2, scale, square=True):
    m[...] = beta1 * m + gradient
    v[...] = beta2 * v + (gradient * gradient if square else np.abs(gradient))
    theta -= scale(m, v)


@fault("adam: no bias correction", "adam", "_before_step", optimizers.Adam)
def _(self):
    root = (1 - self.beta2) ** 0.5
    self._constants["rate"][()] = self.learning_rate * (1 - self.beta1) / root
    self._constants["epsilon"][()] = self.epsilon / root


@fault("adam: bias correction of the first moment only", "adam", "_before_step", optimizers.Adam)
def _(self):
    root = (1 - self.beta2) ** 0.5
    self._constants["rate"][()] = self.learning_rate * (1 - self.beta1) / (1 - self.beta1**self.steps) / root
    self._constants["epsilon"][()] = self.epsilon / root


_right_before_step = optimizers.Adam._before_step


@fault("adam: the two ε forms swapped", "adam", "_before_step", optimizers.Adam)
def _(self):
    self.form = {"paper": "keras", "keras": "paper"}[self.form]
    _right_before_step(self)
    self.form = {"paper": "keras", "keras": "paper"}[self.form]


@fault("adam: step counter one behind", "adam", "_before_step", optimizers.Adam)
def _(self):
    self.steps += 1
    _right_before_step(self)
    self.steps -= 1


@fault("adam: ε inside the root", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: rate * m / np.sqrt(v + epsilon))


@fault("adam: second moment of |g| instead of g²", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: rate * m / (np.sqrt(v) + epsilon), square=False)


@fault("adam: no root under the second moment", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: rate * m / (v + epsilon))


@fault("adam: β₁ and β₂ swapped", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta2, beta1, lambda m, v: rate * m / (np.sqrt(v) + epsilon))


@fault("adam: climbs instead of descending", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: -rate * m / (np.sqrt(v) + epsilon))


@fault("sgd: momentum ignored", "sgd", "sgd_update")
def _(theta, gradient, velocity, rate, momentum, temp):
    theta -= rate * gradient


@fault("sgd: rate applied to the velocity a second time", "sgd", "sgd_update")
def _(theta, gradient, velocity, rate, momentum, temp):
    velocity[...] = momentum * velocity - rate * gradient
    theta += rate * velocity


# ------------------------------------------------------------------------------------------------------- the chain

_Plan = steps.Plan


@fault("gan: the frozen discriminator runs in training mode, its statistics move", "chain", "Plan", steps)
def _(network, batch, **options):
    if "x1" in options:
        options["training"] = True
    return _Plan(network, batch, **options)


@fault(
    "gan: the discriminator's fakes are generated in training mode, the generator's statistics move",
    "chain",
    "Plan",
    steps,
)
def _(network, batch, **options):
    if not options["backward"]:
        options["training"] = True
    return _Plan(network, batch, **options)


@fault("gan: the discriminator's gradient never reaches the generator", "chain", "Plan", steps)
def _(network, batch, **options):
    options.pop("dx", None)
    return _Plan(network, batch, **options)


_loss_gradient = steps.loss_gradient


@fault("gan: generated rows labelled as real for the discriminator", "chain", "loss_gradient", steps)
def _(plan, target, weight=1):
    return _loss_gradient(plan, np.where(np.equal(target, 0), 1.0, target), weight)


@fault("gan: real and generated labels the wrong way round", "chain", "loss_gradient", steps)
def _(plan, target, weight=1):
    return _loss_gradient(plan, np.flip(target, axis=0) if np.ndim(target) else 0.9 - target, weight)


@fault("gan: the generator's step trains against label 0", "chain", "loss_gradient", steps)
def _(plan, target, weight=1):
    return _loss_gradient(plan, 0.0 if np.ndim(target) == 0 and target == 1 else target, weight)


@fault("gan: the minimax objective maximised instead of minimised", "chain", "loss_gradient", steps)
def _(plan, target, weight=1):
    return _loss_gradient(plan, target, abs(weight))


@fault("gan: the sum of the discriminator's two losses taken as their mean", "chain", "loss_gradient", steps)
def _(plan, target, weight=1):
    return _loss_gradient(plan, target, min(weight, 1))


_generator_step = steps.GeneratorStep.__init__


@fault("gan: the generator's step updates the discriminator too", "chain", "__init__", steps.GeneratorStep)
def _(self, model, batch):
    _generator_step(self, model, batch)
    self.calls.append(model.discriminator_optimizer.step)
