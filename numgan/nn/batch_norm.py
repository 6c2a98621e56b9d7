"""`BatchNorm`: every feature centred and scaled over the batch."""

from functools import partial

import numpy as np

from numgan.kernels import batch_norm as kernels
from numgan.nn.layer import Layer


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
        gamma, beta = (self.params[k][..., io.features, None] for k in ("gamma", "beta"))
        running = [self.state[k][..., io.features, None] for k in ("running_mean", "running_variance")]
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
        mean, variance, inv_std, scale, column = (np.empty_like(gamma) for _ in range(5))
        centred = np.empty_like(io.x)
        ones = np.ones((io.x.shape[-1], 1), gamma.dtype)
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
            partial(kernels.batch_norm_running, running[0], mean, momentum, rest, column),
            partial(kernels.batch_norm_running, running[1], variance, momentum, rest, column),
        ]
        dgamma, dbeta = (self.grads[k][..., io.features, None] for k in ("gamma", "beta"))
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
                    column,
                    io.temp(),
                    out=io.dx,
                )
            )
        return forward, backward

    def config(self):
        return {"momentum": self.momentum, "epsilon": self.epsilon}
