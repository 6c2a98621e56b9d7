"""`Reshape` and `Flatten`: another shape for the same memory. Nothing is copied, no kernel runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from numgan.errors import ArgumentError, as_shape
from numgan.hints import Config, Rows, Shape
from numgan.nn.layer import Layer

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers

__all__ = ["Flatten", "Reshape"]


class Reshape(Layer):
    """The same numbers in another shape, in row-major order as in Keras. `shape` is a tuple of positive integers.

    >>> network = Sequential([Dense(784), Tanh(), Reshape((1, 28, 28))], 100, rng)
    >>> network.predict(np.ones((5, 100))).shape
    (5, 1, 28, 28)
    """

    is_view = True
    linear = True

    def __init__(self, shape: int | Sequence[int]) -> None:
        self.shape = as_shape("Reshape(shape)", shape)

    def build(self, shape: Shape) -> Shape:
        if math.prod(shape) != math.prod(self.shape):
            raise ArgumentError(f"{self.name}: the shape {shape} does not fit into {self.shape}")
        return self.shape

    def bind(self, io: Buffers) -> None:
        pass

    def config(self) -> Config:
        return {"shape": list(self.shape)}

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls((2, 3)), (6,)), (cls((6,)), (3, 2, 1))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        return rows


class Flatten(Layer):
    """All axes as one axis of features.

    >>> Sequential([Flatten()], (3, 8, 8), rng).predict(np.ones((5, 3, 8, 8))).shape
    (5, 192)
    """

    is_view = True
    linear = True

    def build(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def bind(self, io: Buffers) -> None:
        pass

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls(), (2, 3)), (cls(), (5,))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        return rows
