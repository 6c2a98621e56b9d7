"""`BatchNorm`: every feature centred and scaled over the batch."""

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

    in_place_forward = True
    in_place_backward = True
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

    def bind(self, io):
        io.let(**{name: io.per_feature(a) for name, a in (self.params | self.state).items()}, epsilon=self.epsilon)
        if io.training:
            self._bind_training(io)
        else:
            self._bind_inference(io)

    def _bind_training(self, io):
        gamma = io.per_feature(self.params["gamma"])
        mean, variance, inv_std, scale = (np.empty_like(gamma) for _ in range(4))
        io.let(mean=mean, variance=variance, inv_std=inv_std, scale=scale, centred=np.empty_like(io.x))
        io.let(ones=np.ones((io.x.shape[-1], 1), gamma.dtype), momentum=self.momentum, rest=1 - self.momentum)
        io.let(**{f"d{name}": io.per_feature(a) for name, a in self.grads.items()})
        io.forward(kernels.batch_norm_forward)
        for name, value in (("mean", mean), ("variance", variance)):
            running = io.per_feature(self.state[f"running_{name}"])
            io.forward(kernels.batch_norm_running, running=running, batch_value=value)
        io.backward_parameters(kernels.batch_norm_backward_parameters)
        io.backward(kernels.batch_norm_backward_input)

    def _bind_inference(self, io):
        io.let(**{name: np.empty_like(io.per_feature(self.params["gamma"])) for name in ("scale", "shift")})
        io.forward(kernels.batch_norm_inference)
        io.backward_parameters(kernels.batch_norm_backward_parameters)
        io.backward(kernels.batch_norm_inference_backward)

    def config(self):
        return {"momentum": self.momentum, "epsilon": self.epsilon}
