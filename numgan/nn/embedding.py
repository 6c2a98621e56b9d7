"""`Embedding` and `OneHot`: what takes indices, classes or words, and makes vectors of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import ArgumentError, real_array, whole
from numgan.hints import Array, Config, Initializer, Named, Numbers, Rng, Rows, Shape
from numgan.kernels import embedding as kernels
from numgan.nn import initializers
from numgan.nn.layer import Layer

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers

__all__ = ["Embedding", "OneHot"]

MOST = 2**24  # indices: float32 holds every whole number up to here
UNIT = initializers.normal(1.0)


class Indices(Layer):
    """What the two share: the input, (L,), is L indices, whole numbers 0 … count − 1 held as floats; the output,
    (features, 1, L), is an image one pixel high whose positions are those of the input, so that convolutions can run
    over words and `Flatten` makes a vector.

    A pass rounds what is not whole, and takes the nearest index for what is none; `check_indices` refuses both. The
    input's gradient is 0.
    """

    reads_output = False
    takes_indices = True

    def __init__(self, count: int, features: int) -> None:
        self.count, self.features = count, features

    def build(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ArgumentError(
                f"{self.name}: {type(self).__name__} expects one axis of indices, got the shape {shape}; Flatten first"
            )
        return (self.features, 1, *shape)

    def check_indices(self, what: str, x: Numbers) -> Array:
        """x as an array, if all of it is indices of this layer; else an error that begins with `what`."""
        x = real_array(what, x)
        bad = (x < 0) | (x >= self.count) | (x != np.rint(x))
        if bad.any():
            raise ArgumentError(
                f"{what}: expected whole numbers from 0 to {self.count - 1}, got {float(x[bad][0]):.10g}"
            )
        return x

    def check_tangent(self) -> None:
        raise ArgumentError(
            f"a gradient penalty cannot pass through {type(self).__name__} '{self.name}': indices have no direction in "
            "which to go"
        )

    def bind(self, io: Buffers) -> None:
        """The indices, read from the input (…, L, N), seen as (…, K)."""
        x = io.x.reshape(*io.replicas, -1)
        io.let(index=np.zeros(x.shape, np.intp))  # of its own, not scratch: the backward pass reads it again
        io.forward(kernels.read_indices, x=x, last=self.count - 1, temp=io.scratch("rounded", x.shape))
        io.backward(kernels.read_indices_backward)

    def columns(self, io: Buffers, vectors: Array) -> Array:
        """The output or its gradient, (…, features, 1, L, N), seen as (…, features, K)."""
        return vectors.reshape(*io.replicas, self.features, -1)

    def chosen(self, row: list[float]) -> list[int]:
        """For `plain`: the indices that a pass reads from a row of numbers."""
        return [min(max(round(x), 0), self.count - 1) for x in row]


class Embedding(Indices):
    """Every index chooses a vector of its own, which is learnt.

    count        how many indices there are: 0 … count − 1; at most 2²⁴.
    features     numbers in each vector.
    initializer  for the vectors: a name from `initializers.INITIALIZERS` or a function; default normal(1), as in
                 PyTorch: what follows is made for inputs of that size. (Keras draws uniformly from ±0.05.) A number
                 of the output comes from one of the vectors alone, so that fan_in is 1 and fan_out is `features`.

    Inputs are (batch, L), outputs (batch, features, 1, L). Where L differs from row to row, fill up with an index of
    its own, which has a vector as any other.

    Parameter `weight` (count, features), as PyTorch and Keras have it: row i is the vector of index i. A view of the
    kernels' W (features, count), of which it is column i.

    >>> network = Sequential([Embedding(10, 4), Flatten()], 3, rng)  # of three words, each one of ten
    >>> network.predict([[7, 0, 7]]).shape
    (1, 12)
    """

    initial = ("initializer",)

    def __init__(self, count: int, features: int, initializer: str | Initializer = UNIT) -> None:
        super().__init__(whole("Embedding(count)", count, most=MOST), whole("Embedding(features)", features))
        self.initializer = initializers.get(initializer)

    def build(self, shape: Shape) -> Shape:
        self.shapes = {"matrix": (self.features, self.count)}
        return super().build(shape)

    def attach(self, params: Named, grads: Named, state: Named) -> None:
        self.matrix, self.grad_matrix = params["matrix"], grads["matrix"]
        super().attach({"weight": self.matrix.mT}, {"weight": self.grad_matrix.mT}, state)

    def initialize(self, rng: Rng) -> None:
        shape = (self.count, self.features)
        initializers.fill(self.initializer, rng, self.params["weight"], shape, 1, self.features)

    def bind(self, io: Buffers) -> None:
        super().bind(io)
        io.forward(kernels.embedding_forward, weight=self.matrix, out=self.columns(io, io.y))
        if io.dy is not None:
            dy = self.columns(io, io.dy)
            io.backward_parameters(kernels.embedding_backward_weight, dy=dy, out=self.grad_matrix)

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls(3, 2), (4,)), (cls(4, 3), (1,))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        vectors = self.params["weight"].tolist()
        return [[vectors[i][j] for j in range(self.features) for i in self.chosen(row)] for row in rows]

    def config(self) -> Config:
        return {"count": self.count, "features": self.features}


class OneHot(Indices):
    """Every index becomes a vector that is 1 in its own place and 0 in all others. Nothing is learnt.

    count  how many indices there are: 0 … count − 1; at most 2²⁴.

    Inputs are (batch, L), outputs (batch, count, 1, L).

    >>> Sequential([OneHot(4), Flatten()], 1, rng).predict([[2], [0]]).tolist()
    [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    """

    def __init__(self, count: int) -> None:
        count = whole("OneHot(count)", count, most=MOST)
        super().__init__(count, count)

    def bind(self, io: Buffers) -> None:
        super().bind(io)
        out = self.columns(io, io.y)
        io.forward(kernels.one_hot_forward, positions=np.arange(out.shape[-1]), out=out)

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls(3), (4,)), (cls(4), (1,))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        return [[float(i == j) for j in range(self.count) for i in self.chosen(row)] for row in rows]

    def config(self) -> Config:
        return {"count": self.count}
