"""`Dense`: every output is a weighted sum of all inputs."""

from functools import partial

import numpy as np

from numgan.kernels import dense as kernels
from numgan.nn import initializers
from numgan.nn.layer import Layer


class Dense(Layer):
    """y = x·W + b.

    units        number of output features.
    initializer  for W: a name from `initializers.INITIALIZERS` or a function; default Glorot uniform, as in Keras.
                 b starts at zero.

    Parameters `weight` (n_in, n_out) and `bias` (n_out,) are neighbours in the arena, so that together they are
    the matrix [W; b] of the kernels. (PyTorch's Linear keeps W transposed, (n_out, n_in).)
    """

    reads_output = False

    def __init__(self, units, initializer="glorot_uniform"):
        if not (isinstance(units, int) and units > 0):
            raise ValueError(f"Dense(units) expects a positive integer, got {units!r}")
        self.units = units
        self.initializer = initializers.get(initializer)

    def build(self, n_in):
        self.shapes = {"weight": (n_in, self.units), "bias": (self.units,)}
        return self.units

    def initialize(self, rng):
        weight = self.params["weight"]
        for replica in np.ndindex(weight.shape[:-2]):
            weight[replica] = self.initializer(rng, *weight.shape[-2:], weight.dtype)
        self.params["bias"][...] = 0

    def attach(self, params, grads, state):
        super().attach(params, grads, state)
        self.weight_and_bias = _stacked(params["weight"])
        self.grad_weight_and_bias = _stacked(grads["weight"])

    def bind(self, io, training):
        forward, backward = [_bound(kernels.dense_forward, self.weight_and_bias.mT, io.x1.mT, io.y.mT)], []
        if training and io.dy is not None:
            backward.append(_bound(kernels.dense_backward_weight, io.x1.mT, io.dy, self.grad_weight_and_bias))
        if io.dx is not None:
            backward.append(_bound(kernels.dense_backward_input, self.params["weight"], io.dy.mT, io.dx.mT))
        return forward, backward

    def config(self):
        return {"units": self.units}


def _bound(kernel, a, b, out):
    """A dense kernel with its operands and the product that suits them."""
    return partial(kernel, a, b, out=out, product=kernels.fastest_product(a, b))


def _stacked(weight):
    """The (n_in + 1, n_out) view that starts at `weight` (n_in, n_out) and takes in the bias row behind it.

    The strides are written out: those of an axis of length 1 are anybody's guess.
    """
    *lead, n_in, n_out = weight.shape
    strides = (*weight.strides[:-2], n_out * weight.itemsize, weight.itemsize)
    return np.lib.stride_tricks.as_strided(weight, (*lead, n_in + 1, n_out), strides)
