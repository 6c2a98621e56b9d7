"""Layers: an object around a kernel pair, holding its settings and views of its parameters and gradients.

A layer computes nothing by itself. `bind` is handed the buffers of one batch size and answers with the kernel calls
that run the layer on them, forward and backward; a network strings those calls together once and then only calls
them. To write a layer of your own, subclass `Layer` and write `forward`, `backward_input` and, if it has
parameters, `build` and `backward_parameters`; the inherited `bind` does the rest.
"""

from functools import partial
from typing import ClassVar

import numpy as np

from numgan import initializers, kernels


class Layer:
    """A step of a network. Subclasses override the four methods below, or `bind` as a whole.

    The flags tell the network which buffers the layer can live with; their defaults are safe for any layer.
    """

    in_place = False  # io.y may be io.x, and io.dx may be io.dy
    reads_output = True  # backward reads y, so the layer above must not overwrite it
    featurewise = False  # no feature depends on another: io may hold a block of the features, io.features says which

    name = "layer"  # set by the network, for messages and parameter names
    shapes: ClassVar[dict] = {}  # trainable parameters, name -> shape, in arena order; set by build()
    state_shapes: ClassVar[dict] = {}  # what is kept but not trained (running statistics)

    def build(self, n_in):
        """Fix the shapes for `n_in` input features and return the number of output features."""
        return n_in

    def initialize(self, rng):
        """Set the starting values of self.params and self.state (they start as zeros) for every replica."""

    def attach(self, params, grads, state):
        """Take the views, name -> array (…, *shape), of the network's arenas."""
        self.params, self.grads, self.state = params, grads, state

    def forward(self, x, out):
        """Write the output (…, batch, n_out) for x (…, batch, n_in) into `out`."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(x, out)")

    def backward_input(self, x, y, dy, out):
        """Write ∂L/∂x into `out`, given the input, the output and ∂L/∂y."""
        raise NotImplementedError(f"{type(self).__name__} must define backward_input(x, y, dy, out)")

    def backward_parameters(self, x, y, dy):
        """Write (not add) ∂L/∂parameter into every array of self.grads."""
        raise NotImplementedError(f"{type(self).__name__} has parameters and must define backward_parameters(x, y, dy)")

    def bind(self, io, training):
        """The kernel calls on the buffers `io`: (forward calls, backward calls), each a list of callables.

        io.x, io.y, io.dy are arrays; io.dx is one, or None when the input's gradient is not wanted; io.x1 is
        [x 1]; io.temp() and io.temp(bool) are scratch of y's shape, shared with other layers. Out of training
        (inference, or frozen inside a GAN's chain) a layer must write neither parameter gradients nor state.
        """
        backward = []
        if self.shapes and training:
            backward.append(partial(self.backward_parameters, io.x, io.y, io.dy))
        if io.dx is not None:
            backward.append(partial(self.backward_input, io.x, io.y, io.dy, out=io.dx))
        return [partial(self.forward, io.x, out=io.y)], backward

    def config(self):
        """The keyword arguments that make this layer again, as JSON-ready values."""
        return {}

    def __repr__(self):
        settings = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        return f"{type(self).__name__}({settings})"


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


class BatchNorm(Layer):
    """Centre and scale every feature over the batch, then y = γ·x̂ + β; Ioffe & Szegedy 2015.

    momentum  weight of the old value in the running statistics, in [0, 1); default 0.99 (Keras's convention;
              PyTorch's momentum is 1 − this).
    epsilon   added to the variance; default 10⁻³ as in Keras (PyTorch: 10⁻⁵).

    Training uses the batch's statistics and updates the running ones, inference uses the running ones. A frozen
    layer runs in inference mode: its output does not depend on who else is in the batch, and nothing moves.
    Parameters `gamma`, `beta` (n,) start at 1 and 0; state `running_mean`, `running_variance` at 0 and 1.
    """

    in_place = True
    reads_output = False
    featurewise = True

    def __init__(self, momentum=0.99, epsilon=1e-3):
        if not (isinstance(momentum, (int, float)) and 0 <= momentum < 1):
            raise ValueError(f"BatchNorm(momentum) expects a number in [0, 1), got {momentum!r}")
        if not (isinstance(epsilon, (int, float)) and 0 < epsilon < 1):
            raise ValueError(f"BatchNorm(epsilon) expects a number in (0, 1), got {epsilon!r}")
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, n_in):
        self.shapes = {"gamma": (n_in,), "beta": (n_in,)}
        self.state_shapes = {"running_mean": (n_in,), "running_variance": (n_in,)}
        return n_in

    def initialize(self, rng):
        self.params["gamma"][...] = 1
        self.params["beta"][...] = 0
        self.state["running_mean"][...] = 0
        self.state["running_variance"][...] = 1

    def bind(self, io, training):
        gamma, beta = (self.params[k][..., None, io.features] for k in ("gamma", "beta"))
        running = [self.state[k][..., None, io.features] for k in ("running_mean", "running_variance")]
        epsilon = np.array(self.epsilon, gamma.dtype)
        if training:
            return self._bind_training(io, gamma, beta, running, epsilon)
        scale, shift = np.empty_like(gamma), np.empty_like(gamma)
        forward = [
            partial(
                kernels.batch_norm_inference, io.x, gamma, beta, *running, epsilon, scale, shift, io.temp(), out=io.y
            )
        ]
        backward = []
        if io.dx is not None:
            backward.append(partial(kernels.batch_norm_inference_backward, io.dy, scale, io.temp(), out=io.dx))
        return forward, backward

    def _bind_training(self, io, gamma, beta, running, epsilon):
        mean, variance, inv_std, scale, row = (np.empty_like(gamma) for _ in range(5))
        centred = np.empty_like(io.x)
        ones = np.ones((1, io.x.shape[-2]), gamma.dtype)
        momentum, rest = np.array(self.momentum, gamma.dtype), np.array(1 - self.momentum, gamma.dtype)
        forward = [
            partial(
                kernels.batch_norm_forward,
                io.x,
                gamma,
                beta,
                epsilon,
                ones,
                centred,
                mean,
                variance,
                inv_std,
                scale,
                io.temp(),
                out=io.y,
            ),
            partial(kernels.batch_norm_running, running[0], mean, momentum, rest, row),
            partial(kernels.batch_norm_running, running[1], variance, momentum, rest, row),
        ]
        dgamma, dbeta = (self.grads[k][..., None, io.features] for k in ("gamma", "beta"))
        backward = [partial(kernels.batch_norm_backward_parameters, io.dy, centred, inv_std, ones, dgamma, dbeta)]
        if io.dx is not None:
            backward.append(
                partial(
                    kernels.batch_norm_backward_input,
                    io.dy,
                    centred,
                    inv_std,
                    scale,
                    dgamma,
                    dbeta,
                    row,
                    io.temp(),
                    out=io.dx,
                )
            )
        return forward, backward

    def config(self):
        return {"momentum": self.momentum, "epsilon": self.epsilon}


LAYERS = {cls.__name__: cls for cls in (Dense, ReLU, LeakyReLU, Tanh, Sigmoid, BatchNorm)}
