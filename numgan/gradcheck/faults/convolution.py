"""Planted faults in convolutions: in the windows, in their adjoint, in the products' place between the two, and in what
is worked out in pieces.

Most of them spoil what the right kernel made, so that they say no more of it than the mistake needs. A fault of a
gradient alone is put behind the layer's own calls.
"""

from __future__ import annotations

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter, spoiled
from numgan.kernels import convolution as kernels
from numgan.nn.convolution import Conv2D, Conv2DTranspose, Convolution, Windows

fault = chapter("convolution", kernels)


# ------------------------------------------------------------------------------------------- patches of an image


@fault("convolution: the kernel turned by 180°, as the mathematical convolution has it", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a)
    a["out"][...] = a["out"][..., ::-1, ::-1, :, :, :].copy()


@fault("convolution: the kernel's rows and columns exchanged", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a)
    a["out"][...] = a["out"].swapaxes(-5, -4).copy().reshape(a["out"].shape)


@fault("convolution: stride and padding in each other's place", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    strides = tuple(max(p, 1) for p in a["before"])
    gather(**a | {"strides": strides, "before": a["strides"]})


@fault("convolution: the rows' stride along the columns, and the other way round", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a | {"strides": a["strides"][::-1]})


@fault("convolution: the rows' padding along the columns, and the other way round", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a | {"before": a["before"][::-1]})


@fault("convolution: padding counted from 1", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a | {"before": tuple(p + 1 for p in a["before"])})


@fault("convolution: the stride between a window's taps too", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    _look_up(**a, dilation=a["strides"])


@fault("convolution: the last row of positions left out", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a)
    a["out"][..., -1, :, :] = 0


@fault("convolution: the last column of a window never read", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a)
    a["out"][..., -1, :, :, :] = 0


@fault("convolution: the image's first column taken for padding", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    x = a["x"].copy()
    x[..., 0, :] = 0
    gather(**a | {"x": x})


@fault("convolution: padded with the edge's pixels instead of zeros", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    _look_up(**a, index=lambda i, n: np.clip(i, 0, n - 1))


@fault("convolution: indices below 0 read the image's other side", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    _look_up(**a, index=lambda i, n: i % n)


@fault("convolution: the border of the patches not zeroed, what the last layer left stands there", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    left, on_the_image = a["out"].copy(), np.empty_like(a["out"])
    gather(**a | {"x": np.ones_like(a["x"]), "out": on_the_image})
    gather(**a)
    np.copyto(a["out"], left, where=on_the_image == 0)


@fault("convolution: patches tap by tap, where the weights go channel by channel", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a)
    a["out"][...] = np.moveaxis(a["out"], -6, -4).copy().reshape(a["out"].shape)


@fault("convolution: the image's channels in reverse, BGR for RGB", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a | {"x": a["x"][..., ::-1, :, :, :]})


@fault("convolution: positions and samples in each other's place", "conv2d", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a)
    a["out"][...] = a["out"].swapaxes(-2, -1).copy().reshape(a["out"].shape)


@fault('convolution: "same" with the odd row in front', "conv2d", "over", owner=Windows)
def _(self, *where, over=Windows.over):
    positions, before = over(self, *where)
    odd = self.padding == "same" and any((k - s) % 2 for k, s in zip(self.size, self.strides, strict=True))
    return positions, tuple(p + odd for p in before)


@fault('convolution: "same" pads by half the kernel, whatever the stride', "conv2d", "over", owner=Windows)
def _(self, *where, over=Windows.over):
    positions, before = over(self, *where)
    return positions, tuple(k // 2 for k in self.size) if self.padding == "same" else before


def _look_up(x, strides, before, out, index=None, dilation=(1, 1), **_):
    """A gather that looks every pixel up; `index` (indices, length) says which one, default those on the image."""
    _, kh, kw, oh, ow, _ = out.shape[-6:]
    rows, columns = (
        s * np.arange(o) + d * np.arange(k)[:, None] - p
        for s, o, d, k, p in zip(strides, (oh, ow), dilation, (kh, kw), before, strict=True)
    )
    height, width = x.shape[-3:-1]
    rows, columns = rows[:, None, :, None], columns[None, :, None, :]
    if index:
        out[...] = x[..., index(rows, height), index(columns, width), :]
        return
    on_the_image = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    out[...] = x[..., rows % height, columns % width, :] * on_the_image[..., None]


# ------------------------------------------------------------------------------------------- and back to the image


@fault("scatter-add: the kernel not turned round on the way back", "conv2d", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a | {"patches": a["patches"][..., ::-1, ::-1, :, :, :]})


@fault("scatter-add: where windows overlap the last one overwrites the others", "conv2d", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    _put(**a)


@fault("scatter-add: where windows overlap the mean instead of the sum", "conv2d", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a)
    a["out"] /= np.maximum(_windows_over(scatter_add, a), 1)


@fault("scatter-add: starts from the last pass's result", "conv2d", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    last = a["out"].copy()
    scatter_add(**a)
    a["out"] += last


@fault("scatter-add: the stride forgotten on the way back", "conv2d", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    room = kernels.canvas_shape(a["patches"].shape, a["out"].shape, (1, 1), a["before"])
    scatter_add(**a | {"strides": (1, 1), "canvas": np.empty(room)})


@fault("scatter-add: the padding forgotten on the way back", "conv2d", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a | {"before": (0, 0)})


@fault("scatter-add: the last column of pixels gets nothing", "conv2d", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a)
    a["out"][..., -1, :] = 0


@fault("scatter-add: the first row of pixels counted twice", "conv2d", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a)
    a["out"][..., 0, :, :] *= 2


@fault("transposed convolution: no bias", "conv2d_transpose", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a | {"start": 0.0})


@fault("transposed convolution: the bias added by every window", "conv2d_transpose", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a)
    a["out"] += _bias(a["start"]) * (_windows_over(scatter_add, a) - 1)


@fault("transposed convolution: the bias under windows alone", "conv2d_transpose", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a)
    a["out"] -= _bias(a["start"]) * (_windows_over(scatter_add, a) == 0)


@fault("transposed convolution: overlapping windows overwrite each other", "conv2d_transpose", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    _put(**a)


@fault("transposed convolution: a convolution's windows with the kernel turned", "conv2d_transpose", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a | {"patches": a["patches"][..., ::-1, ::-1, :, :, :]})


@fault("transposed convolution: nothing cut off in front, all of it behind", "conv2d_transpose", "scatter_add")
@spoiled(kernels.scatter_add)
def _(scatter_add, a):
    scatter_add(**a | {"before": (0, 0)})


@fault("transposed convolution: its gradient from windows one pixel on", "conv2d_transpose", "gather")
@spoiled(kernels.gather)
def _(gather, a):
    gather(**a | {"before": tuple(p - 1 for p in a["before"])})


def _windows_over(scatter_add, a):
    """How many windows lie over each pixel."""
    over = np.empty_like(a["out"])
    scatter_add(**a | {"patches": np.ones_like(a["patches"]), "start": 0.0, "out": over})
    return over


def _bias(start):
    """What a pixel starts from, as it broadcasts to the image."""
    return start[..., 0, 0] if np.ndim(start) else start


def _put(patches, start, strides, before, out, **_):
    """A scatter that writes where it ought to add."""
    _, kh, kw, oh, ow, _ = patches.shape[-6:]
    height, width = out.shape[-3:-1]
    out[...] = 0
    for u, v, i, j in np.ndindex(kh, kw, oh, ow):
        r, q = strides[0] * i + u - before[0], strides[1] * j + v - before[1]
        if 0 <= r < height and 0 <= q < width:
            out[..., r, q, :] = patches[..., u, v, i, j, :]
    out += _bias(start)


# ----------------------------------------------------------------------------------------------- bias and weight


@fault("transposed convolution: bias gradient averaged over positions and samples", "conv2d_transpose", "channel_sums")
@spoiled(kernels.channel_sums)
def _(channel_sums, a):
    channel_sums(**a)
    a["out"] /= a["dy"].shape[-1]


@fault("transposed convolution: bias gradient of the first position alone", "conv2d_transpose", "channel_sums")
@spoiled(kernels.channel_sums)
def _(channel_sums, a):
    a["out"][...] = a["dy"][..., :1]


@fault("transposed convolution: bias gradient added to the last one", "conv2d_transpose", "channel_sums")
@spoiled(kernels.channel_sums)
def _(channel_sums, a):
    last = a["out"].copy()
    channel_sums(**a)
    a["out"] += last


def _behind(kind, name, spoil):
    """A layer's `bind` with one call more, which spoils the gradient `name`: spoil(gradient) gives the wrong one."""
    bind = kind.bind

    def spoil_gradient(layer, out):
        out[...] = np.reshape(spoil(out.copy(), layer), out.shape)

    def faulty(self, io):
        bind(self, io)
        io.backward_parameters(spoil_gradient, layer=self, out=self.grads[name])

    return faulty


for _kind, _what, _target in (
    (Conv2D, "convolution", "conv2d"),
    (Conv2DTranspose, "transposed convolution", "conv2d_transpose"),
):
    for _title, _name, _spoil in (
        ("weight gradient's kernel turned by 180°", "weight", lambda g, layer: g[..., ::-1, ::-1]),
        ("weight gradient's rows and columns exchanged", "weight", lambda g, layer: g.swapaxes(-1, -2)),
        ("weight gradient's channels and filters exchanged", "weight", lambda g, layer: g.swapaxes(-4, -3)),
        ("weight gradient averaged over the positions", "weight", lambda g, layer: g / np.prod(layer.positions)),
        ("weight gradient's last row of taps left out", "weight", lambda g, layer: g * _but_the_last(g.shape[-2])),
    ):
        fault(f"{_what}: {_title}", _target, "bind", owner=_kind)(_behind(_kind, _name, _spoil))

fault("convolution: bias gradient averaged over the positions", "conv2d", "bind", owner=Conv2D)(
    _behind(Conv2D, "bias", lambda g, layer: g / np.prod(layer.positions))
)


def _but_the_last(taps):
    """1 for every row of taps but the last."""
    return (np.arange(taps) < taps - 1)[:, None]


# ------------------------------------------------------------------------------------------------------ in pieces


@fault("convolution in pieces: every piece with the first one's weights", "conv2d", "scattered", owner=Convolution)
def _(self, io, image, scattered=Convolution.scattered):
    for channels, taps, patches, arguments in scattered(self, io, image):
        yield channels, slice(0, taps.stop - taps.start), patches, arguments


@fault("transposed convolution in pieces: the first piece alone", "conv2d_transpose", "scattered", owner=Convolution)
def _(self, io, image, scattered=Convolution.scattered):
    yield next(scattered(self, io, image))
