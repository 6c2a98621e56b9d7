"""Activations as layers: ReLU, LeakyReLU, Tanh, Sigmoid."""

from functools import partial

import numpy as np

from numgan.kernels import activations as kernels
from numgan.nn.layer import Layer


class ReLU(Layer):
    """y = max(x, 0)."""

    in_place = True
    featurewise = True

    def bind(self, io, training):
        zero = np.zeros((), io.x.dtype)
        zeros = np.zeros_like(io.x)
        forward = [partial(kernels.relu_forward, io.x, zeros, out=io.y)]
        if io.dx is None:
            return forward, []
        return forward, [partial(kernels.relu_backward, io.dy, io.y, zero, io.temp(bool), io.temp(), out=io.dx)]


class LeakyReLU(Layer):
    """y = x where x > 0, else slope·x. `slope` in [0, 1), default 0.3 as in Keras (where it was called alpha).

    PyTorch's default is 0.01.
    """

    in_place = True
    featurewise = True

    def __init__(self, slope=0.3):
        if not (isinstance(slope, (int, float)) and 0 <= slope < 1):
            raise ValueError(f"LeakyReLU(slope) expects a number in [0, 1), got {slope!r}")
        self.slope = slope

    def bind(self, io, training):
        slope = np.array(self.slope, io.x.dtype)
        forward = [partial(kernels.leaky_relu_forward, io.x, slope, io.temp(), out=io.y)]
        if io.dx is None:
            return forward, []
        return forward, [partial(kernels.leaky_relu_backward, io.dy, io.y, slope, io.temp(bool), io.temp(), out=io.dx)]

    def config(self):
        return {"slope": self.slope}


class Tanh(Layer):
    """y = tanh x, in (−1, 1)."""

    in_place = True
    featurewise = True

    def bind(self, io, training):
        forward = [partial(kernels.tanh_forward, io.x, out=io.y)]
        if io.dx is None:
            return forward, []
        return forward, [partial(kernels.tanh_backward, io.dy, io.y, io.temp(), out=io.dx)]


class Sigmoid(Layer):
    """y = 1/(1 + e^−x), in (0, 1).

    At the end of a discriminator it serves `predict`; training takes the loss from the logit below it.
    """

    in_place = True
    featurewise = True

    def bind(self, io, training):
        forward = [partial(kernels.sigmoid_forward, io.x, io.temp(), out=io.y)]
        if io.dx is None:
            return forward, []
        return forward, [partial(kernels.sigmoid_backward, io.dy, io.y, io.temp(), out=io.dx)]
