"""Activations as layers: ReLU, LeakyReLU, Tanh, Sigmoid, SiLU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import MissingMethodError, fraction
from numgan.hints import Array, Config, Rows, Shape
from numgan.kernels import activations as kernels
from numgan.nn.layer import Layer

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers

__all__ = ["LeakyReLU", "ReLU", "SiLU", "Sigmoid", "Tanh"]

SATURATED = 0.01  # of the steepest slope that a curved activation has
SILU_STEEPEST = 1.0998  # SiLU's, at x = 2.40; Tanh has 1 and Sigmoid ¼, at 0


class Activation(Layer):
    """What elementwise layers share: each works on any block of features, and can overwrite what it is given.

    The tangent pass ẏ = f'(x)·ẋ is the backward pass dx = f'(x)·dy, elementwise, on other numbers.

    `formula` is the function itself. `flat` says where it has stopped to bend: what a unit is called dead by, see
    `numgan.gan.insides`.
    """

    in_place_forward = True
    in_place_backward = True
    featurewise = elementwise = True

    def formula(self, x: float) -> float:
        """f(x) of one number, in plain Python."""
        raise MissingMethodError(f"{type(self).__name__} must define formula(x)")

    def plain(self, rows: Rows, training: bool) -> Rows:
        return [[self.formula(x) for x in row] for row in rows]

    def flat(self, x: Array, y: Array) -> Array:
        """Where the slope f'(x) is the least that there is (ReLU: 0, LeakyReLU: its slope), or, of a curved one, less
        than a hundredth of the steepest in size: bool, of any shape that x and y have. A layer that may work in place
        reads y alone, as x may be overwritten.
        """
        raise MissingMethodError(f"{type(self).__name__} must define flat(x, y)")


class ReLU(Activation):
    """y = max(x, 0).

    >>> Sequential([ReLU()], 3, rng).predict([[-2.0, 0.0, 2.0]]).tolist()
    [[0.0, 0.0, 2.0]]
    """

    def bind(self, io: Buffers) -> None:
        io.forward(kernels.relu_forward, zeros=io.scratch("zeros of ReLU", io.x.shape, like=io.x))
        io.backward(kernels.relu_backward, zero=0.0)

    def bind_tangent(self, io: Buffers, primal: Buffers) -> None:
        io.forward(kernels.relu_backward, dy=io.x, y=primal.y, zero=0.0)

    def flat(self, x: Array, y: Array) -> Array:
        return y <= 0

    def formula(self, x: float) -> float:
        return max(x, 0.0)


class LeakyReLU(Activation):
    """y = x where x > 0, else slope·x. `slope` in [0, 1), default 0.3 as in Keras (where it was called alpha).

    PyTorch's default is 0.01.

    >>> Sequential([LeakyReLU(0.25)], 3, rng).predict([[-2.0, 0.0, 2.0]]).tolist()
    [[-0.5, 0.0, 2.0]]
    """

    def __init__(self, slope: float = 0.3) -> None:
        self.slope = fraction("LeakyReLU(slope)", slope)

    def bind(self, io: Buffers) -> None:
        io.forward(kernels.leaky_relu_forward, slope=self.slope)
        io.backward(kernels.leaky_relu_backward, slope=self.slope)

    def bind_tangent(self, io: Buffers, primal: Buffers) -> None:
        io.forward(kernels.leaky_relu_backward, dy=io.x, y=primal.y, slope=self.slope)

    def flat(self, x: Array, y: Array) -> Array:
        return y <= 0

    def formula(self, x: float) -> float:
        return x if x > 0 else self.slope * x

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls(0.2), (5,)), (cls(), (2, 3, 2))]

    def config(self) -> Config:
        return {"slope": self.slope}


class Tanh(Activation):
    """y = tanh x, in (−1, 1).

    >>> Sequential([Tanh()], 3, rng).predict([[-2.0, 0.0, 2.0]]).round(3)
    array([[-0.964,  0.   ,  0.964]], dtype=float32)
    """

    curved = True

    def bind(self, io: Buffers) -> None:
        io.forward(kernels.tanh_forward)
        io.backward(kernels.tanh_backward)

    def bind_tangent(self, io: Buffers, primal: Buffers) -> None:
        io.forward(kernels.tanh_backward, dy=io.x, y=primal.y)

    def bind_curvature(self, io: Buffers, tangent: Buffers) -> None:
        io.backward(kernels.tanh_curvature, tangent=tangent.y, delta=tangent.dy)

    def flat(self, x: Array, y: Array) -> Array:
        return 1 - y * y < SATURATED

    def formula(self, x: float) -> float:
        return math.tanh(x)


class Sigmoid(Activation):
    """y = 1/(1 + e^−x), in (0, 1).

    At the end of a discriminator it serves `predict`; training takes the loss from the logit below it.

    >>> Sequential([Sigmoid()], 3, rng).predict([[-2.0, 0.0, 2.0]]).round(3)
    array([[0.119, 0.5  , 0.881]], dtype=float32)
    """

    curved = True

    def bind(self, io: Buffers) -> None:
        io.forward(kernels.sigmoid_forward)
        io.backward(kernels.sigmoid_backward)

    def bind_tangent(self, io: Buffers, primal: Buffers) -> None:
        io.forward(kernels.sigmoid_backward, dy=io.x, y=primal.y)

    def bind_curvature(self, io: Buffers, tangent: Buffers) -> None:
        io.backward(kernels.sigmoid_curvature, tangent=tangent.y, delta=tangent.dy)

    def flat(self, x: Array, y: Array) -> Array:
        return 4 * y * (1 - y) < SATURATED

    def formula(self, x: float) -> float:
        return 1 / (1 + math.exp(-x))


class SiLU(Activation):
    """y = x·σ(x), also called swish. Smooth, and its backward pass reads the input, which is therefore kept.

    >>> Sequential([SiLU()], 3, rng).predict([[-2.0, 0.0, 2.0]]).round(3)
    array([[-0.238,  0.   ,  1.762]], dtype=float32)
    """

    in_place_forward = False
    reads_output = False
    curved = True

    def bind(self, io: Buffers) -> None:
        io.forward(kernels.silu_forward)
        io.backward(kernels.silu_backward)

    def bind_tangent(self, io: Buffers, primal: Buffers) -> None:
        io.forward(kernels.silu_backward, dy=io.x, x=primal.x)

    def bind_curvature(self, io: Buffers, tangent: Buffers) -> None:
        io.backward(kernels.silu_curvature, tangent=tangent.x, delta=tangent.dy)

    def flat(self, x: Array, y: Array) -> Array:
        slope, ones, *temp = np.empty_like(x), np.ones_like(x), np.empty_like(x), np.empty_like(x)
        kernels.silu_backward(ones, x, *temp, slope)
        return np.abs(slope) < SATURATED * SILU_STEEPEST

    def formula(self, x: float) -> float:
        return x / (1 + math.exp(-x))
