"""Activations as layers: ReLU, LeakyReLU, Tanh, Sigmoid."""

import numpy as np

from numgan.kernels import activations as kernels
from numgan.nn.layer import Layer


class Activation(Layer):
    """What elementwise layers share: each works on any block of features, and can overwrite what it is given."""

    in_place_forward = True
    in_place_backward = True
    featurewise = True


class ReLU(Activation):
    """y = max(x, 0)."""

    def bind(self, io):
        io.forward(kernels.relu_forward, zeros=np.zeros_like(io.x))
        io.backward(kernels.relu_backward, zero=0.0)


class LeakyReLU(Activation):
    """y = x where x > 0, else slope·x. `slope` in [0, 1), default 0.3 as in Keras (where it was called alpha).

    PyTorch's default is 0.01.
    """

    def __init__(self, slope=0.3):
        if not (isinstance(slope, (int, float)) and 0 <= slope < 1):
            raise ValueError(f"LeakyReLU(slope) expects a number in [0, 1), got {slope!r}")
        self.slope = slope

    def bind(self, io):
        io.forward(kernels.leaky_relu_forward, slope=self.slope)
        io.backward(kernels.leaky_relu_backward, slope=self.slope)

    def config(self):
        return {"slope": self.slope}


class Tanh(Activation):
    """y = tanh x, in (−1, 1)."""

    def bind(self, io):
        io.forward(kernels.tanh_forward)
        io.backward(kernels.tanh_backward)


class Sigmoid(Activation):
    """y = 1/(1 + e^−x), in (0, 1).

    At the end of a discriminator it serves `predict`; training takes the loss from the logit below it.
    """

    def bind(self, io):
        io.forward(kernels.sigmoid_forward)
        io.backward(kernels.sigmoid_backward)
