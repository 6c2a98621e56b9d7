"""Planted faults in activations."""

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter
from numgan.kernels import activations as kernels

fault = chapter("activations", kernels)


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


@fault("silu: derivative σ alone, without the product rule's second term", "silu", "silu_backward")
def _(dy, x, temp, temp2, out):
    np.multiply(dy, 1 / (1 + np.exp(-x)), out=out)


@fault("silu: the second term without its x", "silu", "silu_backward")
def _(dy, x, temp, temp2, out):
    s = 1 / (1 + np.exp(-x))
    np.multiply(dy, s + s * (1 - s), out=out)


@fault("silu: the second term from the output instead of the input", "silu", "silu_backward")
def _(dy, x, temp, temp2, out):
    s = 1 / (1 + np.exp(-x))
    np.multiply(dy, s + (x * s) * s * (1 - s), out=out)


@fault("silu: both scratch arrays taken for one", "silu", "silu_backward")
def _(dy, x, temp, temp2, out):
    temp[...] = 1 / (1 + np.exp(-x))
    temp[...] = (1 - temp) * x + 1
    np.multiply(dy, temp * temp, out=out)


@fault("silu: x·σ(−x)", "silu", "silu_forward")
def _(x, temp, out):
    np.divide(x, 1 + np.exp(x), out=out)


@fault("relu: guided, where the gradient is positive too", "relu", "relu_backward")
def _(dy, y, zero, mask, temp, out):
    np.multiply(dy, (y > 0) & (dy > 0), out=out)


@fault("relu: mask replaces the incoming gradient", "relu", "relu_backward")
def _(dy, y, zero, mask, temp, out):
    np.copyto(out, y > 0)


@fault("relu: forward capped at 1, backward not", "relu", "relu_forward")
def _(x, zeros, out):
    np.clip(x, 0, 1, out=out)


@fault("relu: gradients below a thousandth dropped", "relu", "relu_backward")
def _(dy, y, zero, mask, temp, out):
    np.multiply(dy, (y > 0) & (np.abs(dy) >= 1e-3), out=out)


@fault("leaky relu: slope added to the mask instead of standing in for it", "leaky_relu", "leaky_relu_backward")
def _(dy, y, slope, mask, temp, out):
    np.multiply(dy, (y > 0) + slope, out=out)


@fault("leaky relu: slope of the wrong sign", "leaky_relu", "leaky_relu_backward")
def _(dy, y, slope, mask, temp, out):
    np.multiply(dy, np.where(y > 0, 1, -slope), out=out)


@fault("tanh: y², not taken from 1", "tanh", "tanh_backward")
def _(dy, y, temp, out):
    np.multiply(dy, y * y, out=out)


@fault("tanh: derivative applied twice", "tanh", "tanh_backward")
def _(dy, y, temp, out):
    np.multiply(dy, (1 - y * y) ** 2, out=out)


@fault("tanh: no derivative at all", "tanh", "tanh_backward")
def _(dy, y, temp, out):
    np.copyto(out, dy)


@fault("tanh: derivative of the sigmoid", "tanh", "tanh_backward")
def _(dy, y, temp, out):
    np.multiply(dy, y * (1 - y), out=out)


@fault("tanh: gradients clipped at ±3", "tanh", "tanh_backward")
def _(dy, y, temp, out):
    np.multiply(np.clip(dy, -3, 3), 1 - y * y, out=out)


@fault("sigmoid: derivative replaces the incoming gradient", "sigmoid", "sigmoid_backward")
def _(dy, y, temp, out):
    np.copyto(out, y * (1 - y))


@fault("sigmoid: 1 − y alone, as for a logarithm of it", "sigmoid", "sigmoid_backward")
def _(dy, y, temp, out):
    np.multiply(dy, 1 - y, out=out)


@fault("silu: 1 − x·(1 − σ), a sign wrong inside", "silu", "silu_backward")
def _(dy, x, temp, temp2, out):
    s = 1 / (1 + np.exp(-x))
    np.multiply(dy, s * (1 - x * (1 - s)), out=out)


@fault("silu: derivative of the sigmoid", "silu", "silu_backward")
def _(dy, x, temp, temp2, out):
    s = 1 / (1 + np.exp(-x))
    np.multiply(dy, s * (1 - s), out=out)
