"""`Dense`: every output is a weighted sum of all inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numgan.errors import ArgumentError, whole
from numgan.hints import Config, Initializer, Named, Rng, Rows, Shape
from numgan.kernels import dense as kernels
from numgan.nn import initializers
from numgan.nn.layer import Layer

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers

__all__ = ["Dense"]


class Dense(Layer):
    """y = W·x + b.

    units             number of output features.
    initializer       for W: a name from `initializers.INITIALIZERS` or a function; default Glorot uniform, as in Keras.
    bias_initializer  for b, likewise; default zeros. "pytorch_uniform" for both is how PyTorch starts.

    Parameters `weight` (units, n_in), as PyTorch has it, and `bias` (units,): views of the one matrix [W b] of the
    kernels, (units, n_in + 1), which is what lies in the arena. (Keras's kernel is the transpose, (n_in, units).)

    >>> network = Sequential([Dense(1)], 2, rng)
    >>> network.load_state_dict({"dense_1.weight": [[3.0, 4.0]], "dense_1.bias": [0.5]})
    >>> network.predict([[1.0, 1.0], [0.0, 2.0]]).tolist()  # 3 + 4 + ½, 8 + ½
    [[7.5], [8.5]]
    """

    reads_output = False
    linear = True
    initial = ("initializer", "bias_initializer")

    def __init__(
        self,
        units: int,
        initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
    ) -> None:
        self.units = whole("Dense(units)", units)
        self.initializer, self.bias_initializer = map(initializers.get, (initializer, bias_initializer))

    def build(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ArgumentError(
                f"{self.name}: Dense expects one axis of features, got the shape {shape}; Flatten first"
            )
        self.shapes = {"weight_and_bias": (self.units, shape[0] + 1)}
        return (self.units,)

    def attach(self, params: Named, grads: Named, state: Named) -> None:
        self.matrix, self.grad_matrix = params["weight_and_bias"], grads["weight_and_bias"]
        super().attach(_weight_and_bias(self.matrix), _weight_and_bias(self.grad_matrix), state)

    def initialize(self, rng: Rng) -> None:
        n_out, n_in = self.params["weight"].shape[-2:]
        initializers.fill(self.initializer, rng, self.params["weight"], (n_out, n_in), n_in, n_out)
        initializers.fill(self.bias_initializer, rng, self.params["bias"], (n_out,), n_in, n_out)

    def bind(self, io: Buffers) -> None:
        io.let(weight=self.matrix)
        io.forward(kernels.dense_forward)
        io.backward_parameters(kernels.dense_backward_weight, out=self.grad_matrix)
        io.backward(kernels.dense_backward_input)

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls(5), (5,)), (cls(1), (5,))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        units = list(zip(self.params["weight"].tolist(), self.params["bias"].tolist(), strict=True))
        return [[math.fsum([*(w * x for w, x in zip(ws, row, strict=True)), b]) for ws, b in units] for row in rows]

    def config(self) -> Config:
        return {"units": self.units}


def _weight_and_bias(matrix):
    """The two parts of [W b] by name."""
    return {"weight": matrix[..., :-1], "bias": matrix[..., -1]}
