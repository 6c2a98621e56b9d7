"""`UpSampling2D` and `AveragePooling2D`: images made larger and smaller without weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.hints import Config, Rows, Shape
from numgan.kernels import resampling as kernels
from numgan.kernels.convolution import canvas_shape
from numgan.nn.convolution import Windows, as_image, pair
from numgan.nn.layer import Layer

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers

__all__ = ["AveragePooling2D", "UpSampling2D"]


class UpSampling2D(Layer):
    """Every pixel becomes a block of equal ones (nearest neighbour). `size` of the block: s, or (rows, columns);
    default 2.

    Images are (batch, channels, height, width).

    >>> Sequential([UpSampling2D(2)], (1, 1, 2), rng).predict([[[[1.0, 2.0]]]]).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """

    reads_output = False
    linear = True

    def __init__(self, size: int | Sequence[int] = 2) -> None:
        self.size = pair("UpSampling2D(size)", size)

    def build(self, shape: Shape) -> Shape:
        channels, height, width = self.image = as_image(self, shape)
        return (channels, height * self.size[0], width * self.size[1])

    def bind(self, io: Buffers) -> None:
        channels, height, width = self.image
        blocks = (*io.replicas, channels, height, self.size[0], width, self.size[1], -1)
        io.forward(kernels.upsample_forward, out=io.y.reshape(blocks))
        io.backward(kernels.upsample_backward, dy=None if io.dy is None else io.dy.reshape(blocks))

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls(), (2, 2, 3)), (cls((3, 1)), (2, 1, 2))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        (channels, height, width), (a, b) = self.image, self.size
        places = itertools.product(range(channels), range(height * a), range(width * b))
        source = [(c * height + i // a) * width + j // b for c, i, j in places]
        return [[row[k] for k in source] for row in rows]

    def config(self) -> Config:
        return {"size": list(self.size)}


class AveragePooling2D(Layer):
    """The mean of every window.

    pool_size  of the window: k, or (rows, columns); default 2.
    strides    of the window: s, or (rows, columns); default None, pool_size.
    padding    as of `Conv2D`; default "valid". Padding does not count: the mean is that of the pixels under the window
               (as in Keras; PyTorch: count_include_pad=False).

    Images are (batch, channels, height, width).

    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> Sequential([AveragePooling2D(2)], (1, 4, 4), rng).predict(x).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """

    reads_output = False
    linear = True

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence[Any] = "valid",
    ) -> None:
        strides = pool_size if strides is None else strides
        self.windows = Windows("AveragePooling2D", pool_size, strides, padding, "pool_size")

    def build(self, shape: Shape) -> Shape:
        self.image = as_image(self, shape)
        self.positions, self.before = self.windows.over(self.name, *self.image[1:])
        return (self.image[0], *self.positions)

    def bind(self, io: Buffers) -> None:
        rows, columns = (self._pixels_under(axis) for axis in (0, 1))
        counts = np.outer(rows, columns).astype(io.y.dtype)
        share = np.empty((*self.positions, io.y.shape[-1]), io.y.dtype)
        share[...] = 1 / np.maximum(counts, 1)[..., None]  # a window on padding alone gives 0
        io.let(share=share, size=self.windows.size, strides=self.windows.strides, before=self.before)
        io.forward(kernels.average_pool_forward)
        windows = (*io.x.shape[:-3], *self.windows.size, *self.positions, io.x.shape[-1])
        canvas = io.scratch("canvas", canvas_shape(windows, io.x.shape, self.windows.strides, self.before))
        io.backward(kernels.average_pool_backward, canvas=canvas)

    def _pixels_under(self, axis):
        """How many pixels lie under the window at each of its positions along one axis."""
        size, stride, before = self.windows.size[axis], self.windows.strides[axis], self.before[axis]
        starts = [stride * i - before for i in range(self.positions[axis])]
        return [max(min(start + size, self.image[1 + axis]) - max(start, 0), 0) for start in starts]

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [(cls(), (2, 4, 2)), (cls((2, 3), (1, 2), "same"), (2, 3, 4)), (cls(2, 1, 1), (1, 2, 3))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        (channels, height, width), (kh, kw) = self.image, self.windows.size
        (sh, sw), (top, left) = self.windows.strides, self.before

        def mean(row, c, i, j):
            window = itertools.product(range(sh * i - top, sh * i - top + kh), range(sw * j - left, sw * j - left + kw))
            seen = [row[(c * height + r) * width + q] for r, q in window if 0 <= r < height and 0 <= q < width]
            return math.fsum(seen) / max(len(seen), 1)

        places = list(itertools.product(range(channels), *map(range, self.positions)))
        return [[mean(row, *place) for place in places] for row in rows]

    def config(self) -> Config:
        config = self.windows.config()
        return {"pool_size": config.pop("kernel_size"), **config}
