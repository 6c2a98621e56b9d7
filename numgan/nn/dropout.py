"""`Dropout`: in training, a random part of the numbers set to zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import fraction
from numgan.hints import Config, Rng, Rows, Shape
from numgan.kernels import dropout as kernels
from numgan.nn.layer import Layer
from numgan.nn.memory import zeros_like

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers

__all__ = ["Dropout"]


class Dropout(Layer):
    """In training every number is set to 0 with probability `rate`, in [0, 1), and multiplied by 1/(1 − rate) else;
    in inference nothing happens. Srivastava et al. 2014.

    A frozen layer runs in inference mode, as every layer here: a discriminator's dropout rests while the generator
    learns. (In Keras and PyTorch it goes on.)

    State `key` (4,), numbers from 0 to 65,535, of which the next mask is a function: drawn at first from the network's
    generator, moved on by every training pass, saved, copied and resumed with the running statistics.

    >>> network = Sequential([Dropout(0.5)], 1000, rng)
    >>> y = network.forward(np.ones((1, 1000)), training=True)
    >>> np.unique(y).tolist(), bool(0.9 < y.mean() < 1.1)
    ([0.0, 2.0], True)
    >>> np.unique(network.predict(np.ones((1, 1000)))).tolist()
    [1.0]
    """

    in_place_forward = True
    in_place_backward = True
    reads_output = False
    linear = True

    def __init__(self, rate: float) -> None:
        self.rate = fraction("Dropout(rate)", rate)

    def build(self, shape: Shape) -> Shape:
        self.state_shapes = {"key": (4,)}
        return shape

    def initialize(self, rng: Rng) -> None:
        self.state["key"][...] = rng.integers(0, kernels.KEY, self.state["key"].shape)

    def bind(self, io: Buffers) -> None:
        if not io.training:
            io.forward(kernels.dropout_inference)
            io.backward(kernels.dropout_inference_backward)
            return
        io.let(keep=zeros_like(io.y), scale=1 / (1 - self.rate), rate=np.array(self.rate, np.float32))
        numbers = np.empty(io.y.shape[len(io.replicas) :], np.float32)
        io.let(key=self.state["key"], random=_philox(), numbers=numbers, following=np.empty(4, np.float32))
        io.forward(kernels.dropout_draw, skip=np.array(0))
        io.forward(kernels.dropout_follow)
        io.forward(kernels.dropout_forward)
        io.backward(kernels.dropout_backward)

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls(0.4), (6,)), (cls(0.25), (2, 3, 2))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        if not training:
            return rows
        random = _philox()
        kernels.seed(random, self.state["key"])
        random.random(kernels.KEY_LENGTH, dtype=np.float32)  # the next key
        drawn = random.random((len(rows[0]), len(rows)), dtype=np.float32).T.tolist()
        rate = float(np.float32(self.rate))
        return [
            [x / (1 - self.rate) if u >= rate else 0.0 for x, u in zip(*pair, strict=True)]
            for pair in zip(rows, drawn, strict=True)
        ]

    def config(self) -> Config:
        return {"rate": self.rate}


def _philox():
    """A generator whose state is set from a key before each use."""
    return np.random.Generator(np.random.Philox(0))
