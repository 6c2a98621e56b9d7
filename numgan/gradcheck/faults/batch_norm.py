"""Planted faults in batch norm."""

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter
from numgan.gradcheck.formulas.compare import ROWS
from numgan.kernels import batch_norm as kernels

fault = chapter("batch_norm", kernels)


def _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, mean_share=1.0, variance_share=1.0):
    batch = dy.shape[-1]
    return scale * (dy - mean_share * dbeta / batch - variance_share * centred * inv_std * dgamma / batch)


@fault("batch norm: without the mean's share of the gradient", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, mean_share=0))


@fault("batch norm: without the variance's share of the gradient", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, variance_share=0))


@fault("batch norm: shares not divided by the batch size", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    n = dy.shape[-1]
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, n, n))


@fault("batch norm: variance's share doubled, as if through the mean too", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, variance_share=2))


@fault("batch norm: input gradient without γ", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, inv_std, dgamma, dbeta))


@fault(
    "batch norm: input gradient divided by the variance instead of its root", "batch_norm", "batch_norm_backward_input"
)
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    np.copyto(out, inv_std * _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta))


@fault("batch norm: statistics treated as constants, as in inference", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    np.multiply(dy, scale, out=out)


@fault("batch norm: γ's gradient from x − μ instead of x̂", "batch_norm", "batch_norm_backward_parameters")
def _(dy, centred, inv_std, ones, dgamma, dbeta):
    np.sum(dy, axis=-1, keepdims=True, out=dbeta)
    np.sum(dy * centred, axis=-1, keepdims=True, out=dgamma)


@fault("batch norm: β's gradient averaged instead of summed", "batch_norm", "batch_norm_backward_parameters")
def _(dy, centred, inv_std, ones, dgamma, dbeta):
    np.mean(dy, axis=-1, keepdims=True, out=dbeta)
    np.multiply(inv_std, np.sum(dy * centred, axis=-1, keepdims=True), out=dgamma)


def _batch_norm_forward(x, gamma, beta, epsilon, centred, mean, variance, inv_std, scale, out, ddof=0, inside=True):
    np.mean(x, axis=-1, keepdims=True, out=mean)
    np.divide(np.sum((x - mean) ** 2, axis=-1, keepdims=True), max(x.shape[-1] - ddof, 1), out=variance)
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
def _(running, batch_value, momentum, rest, column):
    running *= rest
    running += momentum * batch_value


@fault("batch norm: running statistics never move", "batch_norm", "batch_norm_running")
def _(running, batch_value, momentum, rest, column):
    pass


@fault("batch norm: inference forgets ε", "batch_norm", "batch_norm_inference")
def _(x, gamma, beta, running_mean, running_variance, epsilon, scale, shift, temp, out):
    np.divide(gamma, np.sqrt(running_variance), out=scale)
    np.subtract(beta, running_mean * scale, out=shift)
    np.add(x * scale, shift, out=out)


@fault("batch norm: inference uses the batch's statistics", "batch_norm", "batch_norm_inference")
def _(x, gamma, beta, running_mean, running_variance, epsilon, scale, shift, temp, out):
    np.divide(gamma, np.sqrt(x.var(axis=-1, keepdims=True) + epsilon), out=scale)
    np.subtract(beta, x.mean(axis=-1, keepdims=True) * scale, out=shift)
    np.add(x * scale, shift, out=out)


@fault("batch norm: inference backward forgets the scale", "batch_norm", "batch_norm_inference_backward")
def _(dy, scale, temp, out):
    np.copyto(out, dy)


@fault("batch norm: shares divided by N − 1", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    n = dy.shape[-1]
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, n / (n - 1), n / (n - 1)))


@fault("batch norm: variance's share added instead of subtracted", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, variance_share=-1))


@fault("batch norm: variance's share from x − μ instead of x̂", "batch_norm", "batch_norm_backward_input")
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    np.copyto(out, _normalised_gradient(dy, centred, 1.0, scale, dgamma, dbeta))


@fault("batch norm: γ's and β's gradients in each other's place", "batch_norm", "batch_norm_backward_parameters")
def _(dy, centred, inv_std, ones, dgamma, dbeta):
    np.sum(dy, axis=-1, keepdims=True, out=dgamma)
    np.multiply(inv_std, np.sum(dy * centred, axis=-1, keepdims=True), out=dbeta)


@fault("batch norm: γ's gradient averaged instead of summed", "batch_norm", "batch_norm_backward_parameters")
def _(dy, centred, inv_std, ones, dgamma, dbeta):
    np.sum(dy, axis=-1, keepdims=True, out=dbeta)
    np.multiply(inv_std, np.mean(dy * centred, axis=-1, keepdims=True), out=dgamma)


@fault("batch norm: forward divides by the variance", "batch_norm", "batch_norm_forward")
def _(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
    _batch_norm_forward(x, gamma, beta, epsilon, centred, mean, variance, inv_std, scale, out)
    np.add(centred * scale * inv_std, beta, out=out)


@fault("batch norm: γ·(x̂ + β)", "batch_norm", "batch_norm_forward")
def _(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
    _batch_norm_forward(x, gamma, gamma * beta, epsilon, centred, mean, variance, inv_std, scale, out)


@fault("batch norm: statistics over the features instead of the samples", "batch_norm", "batch_norm_forward")
def _(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
    _batch_norm_forward(x, gamma, beta, epsilon, centred, mean, variance, inv_std, scale, out)
    xhat = (x - x.mean(axis=-2, keepdims=True)) / np.sqrt(x.var(axis=-2, keepdims=True) + epsilon)
    np.add(gamma * xhat, beta, out=out)


@fault("batch norm: running statistics added up without decay", "batch_norm", "batch_norm_running")
def _(running, batch_value, momentum, rest, column):
    running += rest * batch_value


@fault("batch norm: running statistics are the last batch's", "batch_norm", "batch_norm_running")
def _(running, batch_value, momentum, rest, column):
    running[...] = batch_value


@fault("batch norm: inference divides by the running variance", "batch_norm", "batch_norm_inference")
def _(x, gamma, beta, running_mean, running_variance, epsilon, scale, shift, temp, out):
    np.divide(gamma, running_variance + epsilon, out=scale)
    np.subtract(beta, running_mean * scale, out=shift)
    np.add(x * scale, shift, out=out)


@fault("batch norm: inference does not take the running mean off", "batch_norm", "batch_norm_inference")
def _(x, gamma, beta, running_mean, running_variance, epsilon, scale, shift, temp, out):
    np.divide(gamma, np.sqrt(running_variance + epsilon), out=scale)
    np.add(x * scale, beta, out=out)


# ---------------------------------------------------------------------------------------------- of a channel's image


def _positions(x):
    """(…, n, N) with the positions of an image on an axis of their own, (…, n, positions, samples); only of the image
    among the layer's examples, as a kernel does not know which of its columns belong to one sample.
    """
    return x.reshape(*x.shape[:-1], -1, ROWS if x.shape[-1] == 2 * ROWS else x.shape[-1])


def _normalised_over(axes, x, gamma, beta, epsilon, out):
    images = _positions(x)
    s = np.sqrt(images.var(axis=axes, keepdims=True) + epsilon)
    xhat = ((images - images.mean(axis=axes, keepdims=True)) / s).reshape(x.shape)
    np.add(gamma * xhat, beta, out=out)


@fault(
    "batch norm: an image's statistics position by position, not channel by channel", "batch_norm", "batch_norm_forward"
)
def _(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
    _batch_norm_forward(x, gamma, beta, epsilon, centred, mean, variance, inv_std, scale, out)
    _normalised_over(-1, centred + mean, gamma, beta, epsilon, out)


@fault("batch norm: an image's statistics sample by sample, as in instance norm", "batch_norm", "batch_norm_forward")
def _(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
    _batch_norm_forward(x, gamma, beta, epsilon, centred, mean, variance, inv_std, scale, out)
    _normalised_over(-2 if x.shape[-1] == 2 * ROWS else -1, centred + mean, gamma, beta, epsilon, out)


@fault(
    "batch norm: an image's shares divided by the samples, positions forgotten",
    "batch_norm",
    "batch_norm_backward_input",
)
def _(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    positions = _positions(dy).shape[-2]
    np.copyto(out, _normalised_gradient(dy, centred, inv_std, scale, dgamma, dbeta, positions, positions))


@fault("batch norm: γ's gradient of an image's first position alone", "batch_norm", "batch_norm_backward_parameters")
def _(dy, centred, inv_std, ones, dgamma, dbeta):
    np.sum(dy, axis=-1, keepdims=True, out=dbeta)
    first = _positions(dy * centred)[..., 0, :]
    np.multiply(inv_std, first.sum(axis=-1, keepdims=True), out=dgamma)
