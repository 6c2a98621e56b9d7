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

# What does not lie in one run NumPy adds by way of buffers of 8,192 numbers, unless its runs are longer than a buffer.
RUN = 512


def gather(x, strides, before, out):
    """P[c, u, v, i, j] = x[c, s·i + u − p, s·j + v − p], and 0 where that is no pixel.

    x (…, C, H, W, N); strides (sh, sw); before (top, left), the rows and columns of padding in front;
    out (…, C, KH, KW, OH, OW, N), whose memory is that of patches (…, C·KH·KW, OH·OW·N).
    """
    for tap, inside, pixels, outside in taps_of(out.shape[-6:], x.shape[-3:-1], strides, before):
        patch = out[tap]
        np.copyto(patch[inside], x[pixels])
        for border in outside:
            patch[border].fill(0)


def scatter_add(patches, start, strides, before, canvas, out):
    """x[c, r, q] = start + Σ P[c, u, v, i, j] over all (u, v, i, j) with s·i + u − p = r and s·j + v − p = q.

    The adjoint of `gather`: ⟨scatter_add(P), x⟩ = ⟨P, gather(x)⟩ for start 0. A pixel under several windows gets a
    share from each of them, one under none keeps `start`.

    The sums are made on a canvas that is sorted by residues: where r + p = s·a + α and q + p = s·b + β, the pixel
    (r, q) lies at canvas[c, α, β, a, b]. There tap (u, v) of all windows is one block, which begins at a = ⌊u/s⌋ in
    α = u mod s, and s × s taps, which never meet on a pixel, are added at once. (Added up in the image itself, which
    takes runs of N numbers in place of OW·N, it takes 1.8 times as long: each run costs NumPy 100 ns.)

    patches (…, C, KH, KW, OH, OW, N); start what the canvas is filled with, a scalar or an array that broadcasts to it,
    as (…, C, 1, 1, 1, 1, 1) for a bias; strides and before as in `gather`; canvas, scratch of the `canvas_shape`;
    out (…, C, H, W, N).
    """
    (sh, sw), (kh, kw, oh, ow) = strides, patches.shape[-5:-1]
    np.copyto(canvas, start)
    usual = np.setbufsize(RUN)
    try:
        for u in range(0, kh, sh):
            for v in range(0, kw, sw):
                taps = patches[..., u : u + sh, v : v + sw, :, :, :]
                a, b = u // sh, v // sw
                block = canvas[..., : taps.shape[-5], : taps.shape[-4], a : a + oh, b : b + ow, :]
                np.add(block, taps, out=block)
    finally:
        np.setbufsize(usual)
    rows, columns = map(_residues, strides, before, out.shape[-3:-1])
    for alpha, (a, r) in enumerate(rows):
        for beta, (b, q) in enumerate(columns):
            np.copyto(out[..., r, q, :], canvas[..., alpha, beta, a, b, :])


def _residues(stride, before, pixels):
    """[(places a, pixels r)] along one axis, for every residue α: those with r + before = stride·a + α."""
    found = []
    for alpha in range(stride):
        r = (alpha - before) % stride
        a = (r + before) // stride
        found.append((slice(a, a + len(range(r, pixels, stride))), slice(r, pixels, stride)))
    return found


def canvas_shape(patches, image, strides, before):
    """The shape (…, C, sh, sw, A, B, N) of the canvas on which patches of shape (…, C, KH, KW, OH, OW, N) and an image
    of shape (…, C, H, W, N) have room.
    """
    sides = [
        max(positions + (taps - 1) // stride, -(-(front + pixels) // stride))
        for positions, taps, stride, front, pixels in zip(
            patches[-3:-1], patches[-5:-3], strides, before, image[-3:-1], strict=True
        )
    ]
    return (*patches[:-5], *strides, *sides, patches[-1])


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
    """[(positions i, pixels stride·i + u − before)] of each tap u along one axis, for the i that put it on a pixel."""
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
