"""`Conv2D` and `Conv2DTranspose`: weights shared by all positions of an image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import ArgumentError, affordable, shown, whole
from numgan.hints import Array, Config, Initializer, Named, Rng, Rows, Shape
from numgan.kernels import convolution as kernels
from numgan.kernels import dense
from numgan.nn import initializers
from numgan.nn.layer import Layer
from numgan.nn.memory import zeros

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers

__all__ = ["Conv2D", "Conv2DTranspose"]

PIECE = 1 << 20  # numbers of a piece of patches: 4 MB in float32
LARGEST = 1_000_000  # of a kernel's side, a stride, a padding


def pair(name: str, value: int | Sequence[int], least: int = 1) -> tuple[int, int]:
    """(rows, columns): a whole number for both, or a pair of them."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise ArgumentError(f"{name} must be a whole number or a pair of them, got {shown(value)}")
        rows, columns = (whole(name, v, least, most=LARGEST) for v in value)
        return rows, columns
    return (whole(name, value, least, most=LARGEST),) * 2


def as_padding(name: str, padding: str | int | Sequence) -> str | tuple[tuple[int, int], tuple[int, int]]:
    """ "valid", "same" or ((top, bottom), (left, right)), from p, (rows, columns) or that itself."""
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ArgumentError(f"{name} must be 'valid', 'same' or whole numbers of rows, got {shown(padding)}")
        return padding
    if isinstance(padding, Sequence) and len(padding) == 2:
        (top, bottom), (left, right) = (pair(name, side, 0) for side in padding)
        return (top, bottom), (left, right)
    top, left = pair(name, padding, 0)
    return (top, top), (left, left)


class Windows:
    """Where the windows of a layer lie: size, strides and padding, each of rows and columns.

    kind, size_name   the layer's and the argument's, for messages.
    """

    def __init__(self, kind: str, size: Any, strides: Any, padding: Any, size_name: str = "kernel_size") -> None:
        self.size = pair(f"{kind}({size_name})", size)
        self.strides = pair(f"{kind}(strides)", strides)
        self.padding = as_padding(f"{kind}(padding)", padding)

    def over(self, name: str, height: int, width: int) -> tuple[Shape, Shape]:
        """((rows, columns) of positions on an image of that size, (top, left) padding).

        "same" makes as many positions as there are pixels, over the stride and rounded up, by padding both sides
        alike, the odd row or column behind (as in Keras and TensorFlow).
        """
        positions, before = [], []
        for axis, pixels in enumerate((height, width)):
            size, stride = self.size[axis], self.strides[axis]
            if self.padding == "same":
                count = -(-pixels // stride)
                front = max((count - 1) * stride + size - pixels, 0) // 2
            else:
                front, back = (0, 0) if self.padding == "valid" else self.padding[axis]
                count = (front + pixels + back - size) // stride + 1
            positions.append(count)
            before.append(front)
        if min(positions) < 1:
            raise ArgumentError(
                f"{name}: a window of {self.size} with padding {self.padding!r} does not fit into an image of "
                f"{height} × {width}"
            )
        return tuple(positions), tuple(before)

    def under(self, name: str, height: int, width: int) -> tuple[Shape, Shape]:
        """((rows, columns) of the image that so many positions cover, (top, left) padding cut off): `over` the other
        way. Of the images that have so many positions, "same" and "valid" take the one with stride · positions pixels
        ("valid": and what the last window has beyond it), as Keras does.
        """
        pixels, before = [], []
        for axis, count in enumerate((height, width)):
            size, stride = self.size[axis], self.strides[axis]
            over = max(size - stride, 0)
            if self.padding == "same":
                total, front = count * stride, over // 2
            elif self.padding == "valid":
                total, front = count * stride + over, 0
            else:
                front, back = self.padding[axis]
                total = (count - 1) * stride + size - front - back
            pixels.append(total)
            before.append(front)
        if min(pixels) < 1:
            raise ArgumentError(
                f"{name}: of {height} × {width} windows of {self.size} the padding {self.padding!r} leaves no pixel"
            )
        return tuple(pixels), tuple(before)

    def config(self) -> Config:
        padding = self.padding if isinstance(self.padding, str) else [list(side) for side in self.padding]
        return {"kernel_size": list(self.size), "strides": list(self.strides), "padding": padding}


def as_image(layer: Layer, shape: Shape) -> Shape:
    """The shape (channels, height, width), or an error that names the layer."""
    if len(shape) != 3:
        raise ArgumentError(
            f"{layer.name}: {type(layer).__name__} expects images of shape (channels, height, width), got the shape "
            f"{shape}; Reshape first"
        )
    return shape


def flat(image: Array | None) -> Array | None:
    """The memory of (…, C, H, W, N) as a matrix (…, C, H·W·N); None stays None."""
    return None if image is None else image.reshape(*image.shape[:-4], image.shape[-4], -1)


class Convolution(Layer):
    """What both convolutions share: the windows, and a weight for each of their taps.

    image      (channels, height, width) of the image that the windows lie on: a convolution's input, a transposed
               one's output.
    positions  (rows, columns) of windows on it, the size of the image at the layer's other end, with `outer` channels.
    before     (top, left) padding.
    """

    reads_output = False
    linear = True
    initial = ("initializer", "bias_initializer")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[Any] = "valid",
        initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
    ) -> None:
        kind = type(self).__name__
        self.filters = whole(f"{kind}(filters)", filters)
        self.windows = Windows(kind, kernel_size, strides, padding)
        self.initializer, self.bias_initializer = map(initializers.get, (initializer, bias_initializer))

    def initialize(self, rng: Rng) -> None:
        weight, taps = self.params["weight"], math.prod(self.windows.size)
        fans = self.image[0] * taps, self.outer * taps
        initializers.fill(self.initializer, rng, weight, weight.shape[-4:], *fans)
        initializers.fill(self.bias_initializer, rng, self.params["bias"], (self.filters,), *fans)

    def config(self) -> Config:
        return {"filters": self.filters, **self.windows.config()}

    def gathered(self, io: Buffers, image: Array, spare: int = 0) -> tuple[Array, Named]:
        """Patches (…, C·KH·KW + spare, OH·OW·N), the spare row of ones, and the arguments with which `gather` fills
        them from the image. Where parameters learn they are the layer's own: what the forward pass gathers is still
        there for the backward pass.
        """
        *lead, channels, _, _, samples = image.shape
        rows, columns = channels * math.prod(self.windows.size), math.prod(self.positions) * samples
        shape = (*lead, rows + spare, columns)
        affordable(f"{self.name}: the patches of its windows", math.prod(shape) * image.itemsize)
        scratch = "patches and ones" if spare else "patches"  # of one shape maybe, but the ones have to stay
        patches = zeros(shape, image.dtype) if io.learning else io.scratch(scratch, shape)
        patches[..., rows:, :] = io.one
        windows = (*lead, channels, *self.windows.size, *self.positions, samples)
        return patches, {
            "x": image,
            "strides": self.windows.strides,
            "before": self.before,
            "out": patches[..., :rows, :].reshape(windows),
        }

    def scattered(self, io: Buffers, image: Array) -> Iterator[tuple[slice, slice, Array, Named]]:
        """Piece by piece of the image's channels: (channels, their taps, patches, arguments of `scatter_add`).

        patches (…, channels·KH·KW, OH·OW·N) are scratch of about PIECE numbers, which `scatter_add` finds in the cache.
        `taps` are their rows among all patches', the columns of the weights. `start` is not among the arguments.
        """
        *lead, channels, _, _, samples = image.shape
        taps, columns = math.prod(self.windows.size), math.prod(self.positions) * samples
        pieces = min(channels, max(1, round(math.prod(lead) * channels * taps * columns / PIECE)))
        edges = [channels * i // pieces for i in range(pieces + 1)]
        for piece in (slice(a, b) for a, b in itertools.pairwise(edges)):
            count = piece.stop - piece.start
            patches = io.scratch("gradients of patches", (*lead, count * taps, columns))
            part, windows = image[..., piece, :, :, :], (*lead, count, *self.windows.size, *self.positions, samples)
            place = {"strides": self.windows.strides, "before": self.before}
            canvas = io.scratch("canvas", kernels.canvas_shape(windows, part.shape, **place))
            arguments = {"patches": patches.reshape(windows), "canvas": canvas, "out": part, **place}
            yield piece, slice(piece.start * taps, piece.stop * taps), patches, arguments


class Conv2D(Convolution):
    """y_f = Σ_c W_fc ⋆ x_c + b_f: every filter slides over the image, a weight to each channel and tap.

    filters      number of output channels, F.
    kernel_size  of the window: k, or (rows, columns).
    strides      of the window: s, or (rows, columns); default 1.
    padding      zeros around the image. "valid" (default): none. "same": as many as it takes for ⌈pixels / stride⌉
                 positions, on both sides alike, the odd one behind, as in Keras. Else p, (rows, columns) or
                 ((top, bottom), (left, right)).
    initializer  for W: a name from `initializers.INITIALIZERS` or a function; default Glorot uniform, as in Keras.
                 Fan-in is C·KH·KW, fan-out F·KH·KW.
    bias_initializer  for b, likewise; default zeros. "pytorch_uniform" for both is how PyTorch starts.

    Images are (batch, channels, height, width). Parameters `weight` (F, C, KH, KW), as PyTorch has it, and `bias` (F,):
    views of the one matrix [W b] of the kernels, (F, C·KH·KW + 1). (Keras's kernel is (KH, KW, C, F).)

    >>> network = Sequential([Conv2D(8, 4, strides=2, padding="same")], (3, 32, 32), rng)
    >>> network.predict(np.ones((5, 3, 32, 32))).shape
    (5, 8, 16, 16)
    >>> network.parameters()["conv2d_1.weight"].shape
    (8, 3, 4, 4)
    """

    def build(self, shape: Shape) -> Shape:
        self.image, self.outer = as_image(self, shape), self.filters
        self.positions, self.before = self.windows.over(self.name, *self.image[1:])
        self.shapes = {"weight_and_bias": (self.filters, self.image[0] * math.prod(self.windows.size) + 1)}
        return (self.filters, *self.positions)

    def attach(self, params: Named, grads: Named, state: Named) -> None:
        self.matrix, self.grad_matrix = params["weight_and_bias"], grads["weight_and_bias"]
        super().attach(self._by_name(self.matrix), self._by_name(self.grad_matrix), state)

    def _by_name(self, matrix):
        """The two parts of [W b] by name."""
        shape = (*matrix.shape[:-1], self.image[0], *self.windows.size)
        return {"weight": matrix[..., :-1].reshape(shape), "bias": matrix[..., -1]}

    def bind(self, io: Buffers) -> None:
        patches, gathering = self.gathered(io, io.x, spare=1)
        dy = flat(io.dy)
        io.forward(kernels.gather, **gathering)
        io.forward(dense.dense_forward, weight=self.matrix, x1=patches, out=flat(io.y))
        io.backward_parameters(dense.dense_backward_weight, dy=dy, x1=patches, out=self.grad_matrix)
        if io.dx is None:
            io.backward(dense.dense_backward_input)
            io.backward(kernels.scatter_add)
            return
        for _, taps, pieces, scattering in self.scattered(io, io.dx):
            io.backward(dense.dense_backward_input, weight=self.matrix[..., taps], dy=dy, out1=pieces)
            io.backward(kernels.scatter_add, start=0.0, **scattering)

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [
            (cls(2, 3, padding="same"), (2, 4, 3)),
            (cls(2, (2, 3), (2, 1), ((1, 0), (0, 2))), (3, 4, 3)),
            (cls(3, 4, 2, "same"), (1, 5, 6)),
        ]

    def plain(self, rows: Rows, training: bool) -> Rows:
        weight, bias = self.params["weight"].tolist(), self.params["bias"].tolist()
        (oh, ow), (sh, sw), (top, left) = self.positions, self.windows.strides, self.before
        _, height, width = self.image

        def value(row, f, i, j):
            """One output: the filter f on the window at (i, j)."""
            terms = [bias[f]]
            for c, u, v in itertools.product(*map(range, self.params["weight"].shape[1:])):
                r, q = sh * i + u - top, sw * j + v - left
                if 0 <= r < height and 0 <= q < width:
                    terms.append(weight[f][c][u][v] * row[(c * height + r) * width + q])
            return math.fsum(terms)

        places = list(itertools.product(range(self.filters), range(oh), range(ow)))
        return [[value(row, *place) for place in places] for row in rows]


class Conv2DTranspose(Convolution):
    """A convolution's way back as a layer: every input pixel paints its window with W, and where windows overlap the
    paint adds up; then a bias to each channel.

    filters      number of output channels, F.
    kernel_size  of the window: k, or (rows, columns).
    strides      between neighbouring windows in the output: s, or (rows, columns); default 1.
    padding      rows and columns cut off the output. "same": what makes stride · pixels of them. "valid" (default):
                 none. Else p, (rows, columns) or ((top, bottom), (left, right)): (pixels − 1)·stride + kernel_size
                 − both, as in PyTorch.
    initializer  for W: a name from `initializers.INITIALIZERS` or a function; default Glorot uniform, as in Keras.
                 Fans are those of the convolution that this one turns round, as in Keras and PyTorch: fan-in F·KH·KW,
                 fan-out C·KH·KW.
    bias_initializer  for b, likewise; default zeros. "pytorch_uniform" for both is how PyTorch starts.

    Images are (batch, channels, height, width). Parameters `weight` (C, F, KH, KW), as PyTorch has it, and `bias` (F,).
    (Keras's kernel is (KH, KW, F, C).)

    >>> network = Sequential([Conv2DTranspose(3, 4, strides=2, padding="same")], (8, 16, 16), rng)
    >>> network.predict(np.ones((5, 8, 16, 16))).shape
    (5, 3, 32, 32)
    >>> network.parameters()["conv2d_transpose_1.weight"].shape
    (8, 3, 4, 4)
    """

    def build(self, shape: Shape) -> Shape:
        self.outer, *self.positions = as_image(self, shape)
        size, self.before = self.windows.under(self.name, *self.positions)
        self.image = (self.filters, *size)
        self.shapes = {"weight": (self.outer, self.filters, *self.windows.size), "bias": (self.filters,)}
        return self.image

    def bind(self, io: Buffers) -> None:
        weight, grad = (a["weight"].reshape(*io.replicas, self.outer, -1) for a in (self.params, self.grads))
        bias = self.params["bias"][..., None, None, None, None, None]  # as it broadcasts to a canvas
        x, dy, dx = map(flat, (io.x, io.dy, io.dx))
        for channels, taps, pieces, scattering in self.scattered(io, io.y):
            io.forward(dense.dense_backward_input, weight=weight[..., taps], dy=x, out1=pieces)
            start = bias[..., channels, :, :, :, :, :] if io.one else 0.0
            io.forward(kernels.scatter_add, start=start, **scattering)
        if dy is None:
            return
        ones = np.full((dy.shape[-1], 1), io.one, dy.dtype)
        io.backward_parameters(kernels.channel_sums, dy=dy, ones=ones, out=self.grads["bias"][..., None])
        patches, gathering = self.gathered(io, io.dy)
        (io.backward_parameters if io.learning else io.backward)(kernels.gather, **gathering)
        io.backward_parameters(dense.dense_backward_weight, dy=x, x1=patches, out=grad)
        io.backward(dense.dense_forward, weight=weight, x1=patches, out=dx)

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [
            (cls(2, 3, padding="same"), (2, 3, 4)),
            (cls(2, (2, 3), (3, 1), ((0, 1), (1, 0))), (3, 2, 3)),
            (cls(1, 4, 2, "same"), (3, 2, 3)),
        ]

    def plain(self, rows: Rows, training: bool) -> Rows:
        weight, bias = self.params["weight"].tolist(), self.params["bias"].tolist()
        (h, w), (sh, sw), (top, left) = self.positions, self.windows.strides, self.before
        filters, height, width = self.image
        out = []
        for row in rows:
            terms = [[b] for b in bias for _ in range(height * width)]
            for c, i, j, f, u, v in itertools.product(*map(range, (self.outer, h, w, filters, *self.windows.size))):
                r, q = sh * i + u - top, sw * j + v - left
                if 0 <= r < height and 0 <= q < width:
                    terms[(f * height + r) * width + q].append(weight[c][f][u][v] * row[(c * h + i) * w + j])
            out.append([math.fsum(t) for t in terms])
        return out
