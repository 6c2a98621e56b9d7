"""`BatchNorm`: every feature, or every channel of an image, centred and scaled over the batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import ArgumentError, between, fraction
from numgan.hints import Config, Rng, Rows, Shape
from numgan.kernels import batch_norm as kernels
from numgan.nn.layer import Layer
from numgan.nn.memory import zeros_like

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers

__all__ = ["BatchNorm"]


class BatchNorm(Layer):
    """Centre and scale every feature over the batch, then y = γ·x̂ + β; Ioffe & Szegedy 2015.

    momentum  weight of the old value in the running statistics, in [0, 1); default 0.99 (Keras's convention;
              PyTorch's momentum is 1 − this).
    epsilon   added to the variance; default 10⁻³ as in Keras (PyTorch: 10⁻⁵).

    Training uses the batch's statistics and updates the running ones, inference uses the running ones. A frozen
    layer runs in inference mode: its output does not depend on who else is in the batch, and nothing moves.
    Parameters `gamma`, `beta` (n,) start at 1 and 0; state `running_mean`, `running_variance` at 0 and 1.

    >>> network = Sequential([BatchNorm()], 2, rng)
    >>> y = network.forward([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0]], training=True)
    >>> y.mean(axis=0).round(2).tolist(), y.std(axis=0).round(2).tolist()
    ([0.0, 0.0], [1.0, 1.0])
    """

    in_place_forward = True
    in_place_backward = True
    reads_output = False
    featurewise = True
    statistics = ("running_mean", "running_variance")

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3) -> None:
        self.momentum = fraction("BatchNorm(momentum)", momentum)
        self.epsilon = between("BatchNorm(epsilon)", epsilon, 0, 1)

    def build(self, shape: Shape) -> Shape:
        n = shape[0]  # features, or the channels of an image, whose positions count as samples
        self.shapes = {"gamma": (n,), "beta": (n,)}
        self.state_shapes = {"running_mean": (n,), "running_variance": (n,)}
        return shape

    def initialize(self, rng: Rng) -> None:
        self.params["gamma"][...] = 1
        self.params["beta"][...] = 0
        self.state["running_mean"][...] = 0
        self.state["running_variance"][...] = 1

    def bind(self, io: Buffers) -> None:
        io.let(**{name: io.per_feature(a) for name, a in (self.params | self.state).items()}, epsilon=self.epsilon)
        if io.training:
            self._bind_training(io)
        else:
            self._bind_inference(io)

    def check_tangent(self) -> None:
        raise ArgumentError(
            f"a gradient penalty cannot pass through BatchNorm '{self.name}': it is on the gradient of each score by "
            "its own sample, and in a batch norm every score depends on all samples of the batch; leave it out of the "
            "discriminator"
        )

    def _bind_training(self, io):
        gamma = io.per_feature(self.params["gamma"])
        mean, variance, inv_std, scale = (np.empty_like(gamma) for _ in range(4))
        io.let(mean=mean, variance=variance, inv_std=inv_std, scale=scale, centred=zeros_like(io.x))
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

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls(0.8, 0.1), (5,)), (cls(0.8, 0.1), (3, 2, 1))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        channels = len(self.params["gamma"])
        size = len(rows[0]) // channels  # positions of a channel, one after the other
        out = [list(row) for row in rows]
        for k in range(channels):
            values = [x for row in rows for x in row[k * size : (k + 1) * size]]
            mean, variance = (float(self.state[f"running_{name}"][k]) for name in ("mean", "variance"))
            if training:
                mean = math.fsum(values) / len(values)
                variance = math.fsum((x - mean) ** 2 for x in values) / len(values)
            gamma, beta, s = float(self.params["gamma"][k]), float(self.params["beta"][k]), variance + self.epsilon
            for row in out:
                row[k * size : (k + 1) * size] = [
                    gamma * (x - mean) / math.sqrt(s) + beta for x in row[k * size : (k + 1) * size]
                ]
        return out

    def config(self) -> Config:
        return {"momentum": self.momentum, "epsilon": self.epsilon}
