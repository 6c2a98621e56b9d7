"""Convolution and transposed convolution: a gather or a scatter-add around the products of the dense layer.

A convolution is a dense layer that looks through a window. At every position (i, j) of its output it sees one patch of
the image, KH × KW pixels of every channel, and weighs them with the same matrix W:

    patches  P[cuv, ijn] = x[c, s·i + u − p, s·j + v − p, n]      C·KH·KW rows, OH·OW·N columns
    output   y = [W b]·[P; 1]                                     F rows, the dense layer's own product

with stride s, padding p (of zeros, where the window hangs over the border), and tap (u, v) of the window. What is new
is the first line alone, `gather`. It is linear in x, every entry of P is one pixel or a zero, and so its backward pass
is its transpose: every entry of dP goes back to the pixel that it came from, and a pixel that stands in several patches
gets the sum. That is `scatter_add`. Everything else is `numgan.kernels.dense`:

    convolution             y = W·gather(x)          dW = dy·gather(x)ᵀ     dx = scatter_add(Wᵀ·dy)
    transposed convolution  y = scatter_add(Wᵀ·x)    dW = x·gather(dy)ᵀ     dx = W·gather(dy)

The second row is the first read backwards: a transposed convolution's forward pass is a convolution's way to dx, and
its way to dx a convolution's forward pass ([DV] chapter 4). Images lie in memory channel by channel, row by row, the
samples innermost, (…, C, H, W, N): a gather copies runs of at least N numbers, and the product lands in exactly the
memory of the next layer's image. No axis is ever moved.

Like the frameworks' "convolution" this one does not flip its kernel (a cross-correlation, [GBC] eq. 9.6).
"""

import functools

import numpy as np


def gather(x, strides, before, out):
    """P[c, u, v, i, j] = x[c, s·i + u − p, s·j + v − p], and 0 where that is no pixel.

    x (…, C, H, W, N); strides (sh, sw); before (top, left), the rows and columns of padding in front, which may be less
    than 0; out (…, C, KH, KW, OH, OW, N), whose memory is that of patches (…, C·KH·KW, OH·OW·N).

    Where no window hangs over the border, x seen through the windows is a view and the gather one copy. (On two threads
    sixteen small copies take three times as long as on one: each has to wait for Python's lock.)
    """
    whole = _windows_inside(x, strides, before, out.shape)
    if whole is not None:
        np.copyto(out, whole)
        return
    for tap, inside, pixels, whole in taps_of(out.shape[-6:], x.shape[-3:-1], strides, before):
        patch = out[tap]
        if not whole:
            patch.fill(0)
        np.copyto(patch[inside], x[pixels])


def scatter_add(patches, start, strides, before, out):
    """x[c, r, q] = start + Σ P[c, u, v, i, j] over all (u, v, i, j) with s·i + u − p = r and s·j + v − p = q.

    The adjoint of `gather`: ⟨scatter_add(P), x⟩ = ⟨P, gather(x)⟩ for start 0. A pixel under several windows gets a
    share from each of them, one under none keeps `start`.

    patches (…, C, KH, KW, OH, OW, N); start a scalar, or (…, C, 1, 1, 1), a bias to a channel; strides and before as in
    `gather`; out (…, C, H, W, N).
    """
    np.copyto(out, start)
    for tap, inside, pixels, _ in taps_of(patches.shape[-6:], out.shape[-3:-1], strides, before):
        image = out[pixels]
        np.add(image, patches[tap][inside], out=image)


def _windows_inside(x, strides, before, shape):
    """x through the windows, a view (…, C, KH, KW, OH, OW, N); None if one of them hangs over the border."""
    sides = zip(shape[-5:-3], shape[-3:-1], strides, before, x.shape[-3:-1], strict=True)
    if max(before) > 0 or any(s * (o - 1) + k - p > pixels for k, o, s, p, pixels in sides):
        return None
    top, left = before
    *lead, row, column, sample = x.strides
    steps = (*lead, row, column, strides[0] * row, strides[1] * column, sample)
    return np.lib.stride_tricks.as_strided(x[..., -top:, -left:, :], shape, steps)


def pad(x, before, out):
    """x with a border: out[c, r + p, q + p] = x[c, r, q]. The border stays as it is; it is zeros if `out` was.

    x (…, C, H, W, N); before (top, left); out (…, C, at least top + H, at least left + W, N).
    """
    top, left = before
    np.copyto(out[..., top : top + x.shape[-3], left : left + x.shape[-2], :], x)


@functools.lru_cache(1024)
def taps_of(windows, image, strides, before):
    """[(tap, inside, pixels, whole)]: for every tap of the window the indices of its patch, of the positions in it at
    which it lies on the image, and of the pixels that it lies on; whole where that is every position.
    """
    _, kh, kw, oh, ow, _ = windows
    rows, columns = (_axis(*a) for a in zip((kh, kw), (oh, ow), image, strides, before, strict=True))
    return [
        (
            (..., u, v, slice(None), slice(None), slice(None)),
            (..., i, j, slice(None)),
            (..., r, q, slice(None)),
            i == slice(0, oh) and j == slice(0, ow),
        )
        for u, i, r in rows
        for v, j, q in columns
    ]


def _axis(taps, positions, pixels, stride, before):
    """[(u, positions i, pixels stride·i + u − before)] along one axis: those i for which that is a pixel."""
    found = []
    for u in range(taps):
        first = max(0, -((u - before) // stride))  # the least i with stride·i + u − before ≥ 0
        last = min(positions, (pixels - 1 - u + before) // stride + 1)
        start = stride * first + u - before
        stop = start + stride * (last - first - 1) + 1
        found.append((u, slice(first, last), slice(start, stop, stride)) if first < last else (u, slice(0), slice(0)))
    return found


def channel_sums(dy, ones, out):
    """db_f = Σ dy over all positions and samples: the bias of a channel is added at each of them.

    dy (…, F, P), P = OH·OW·N; ones (P, 1); out (…, F, 1).
    """
    np.matmul(dy, ones, out=out)
