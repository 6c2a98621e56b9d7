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
    """
    for tap, inside, pixels, outside in taps_of(out.shape[-6:], x.shape[-3:-1], strides, before):
        patch = out[tap]
        np.copyto(patch[inside], x[pixels])
        for border in outside:
            patch[border].fill(0)


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


@functools.lru_cache(1024)
def taps_of(windows, image, strides, before):
    """[(tap, inside, pixels, outside)]: for every tap of the window the index of its patch, of the positions in it at
    which it lies on the image, of the pixels that it lies on there, and of the strips of positions at which it doesn't.
    """
    _, kh, kw, oh, ow, _ = windows
    rows, columns = (_axis(*a) for a in zip((kh, kw), (oh, ow), image, strides, before, strict=True))
    every, found = slice(None), []
    for u, (i, r) in enumerate(rows):
        for v, (j, q) in enumerate(columns):
            strips = [(k, every) for k in (slice(0, i.start), slice(i.stop, oh)) if k.start < k.stop]
            strips += [(i, k) for k in (slice(0, j.start), slice(j.stop, ow)) if k.start < k.stop]
            found.append(
                (
                    (..., u, v, every, every, every),
                    (..., i, j, every),
                    (..., r, q, every),
                    [(..., *strip, every) for strip in strips],
                )
            )
    return found


def _axis(taps, positions, pixels, stride, before):
    """[(positions i, pixels stride·i + u − before)] of every tap u along one axis: those i for which that is a pixel."""
    found = []
    for u in range(taps):
        first = max(0, -((u - before) // stride))  # the least i with stride·i + u − before ≥ 0
        last = min(positions, (pixels - 1 - u + before) // stride + 1)
        if first >= last:
            found.append((slice(0, 0), slice(0, 0)))
        else:
            start = stride * first + u - before
            found.append((slice(first, last), slice(start, start + stride * (last - first), stride)))
    return found


def channel_sums(dy, ones, out):
    """db_f = Σ dy over all positions and samples: the bias of a channel is added at each of them.

    dy (…, F, P), P = OH·OW·N; ones (P, 1); out (…, F, 1).
    """
    np.matmul(dy, ones, out=out)
