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

Windows lie on a `canvas` (…, C, sh·A, sw·B, N), the image with its padding around it: `pad` lays the image on it before
a gather, `crop` takes it off after a scatter. Then no window hangs over an edge, and a gather is one copy.

Like the frameworks' "convolution" this one does not flip its kernel (a cross-correlation, [GBC] eq. 9.6).
"""

import numpy as np


def pad(x, before, canvas):
    """canvas[c, r + p, q + p] = x[c, r, q]; the border stays as it is: zeros, since the canvas was made.

    x (…, C, H, W, N); before (top, left), the rows and columns of padding in front; canvas (…, C, CH, CW, N). Pixels
    that no window reaches may lie beyond its end.
    """
    rows, columns = (min(c - p, n) for c, p, n in zip(canvas.shape[-3:-1], before, x.shape[-3:-1], strict=True))
    top, left = before
    np.copyto(canvas[..., top : top + rows, left : left + columns, :], x[..., :rows, :columns, :])


def crop(canvas, before, out):
    """x[c, r, q] = canvas[c, r + p, q + p], the adjoint of `pad`: what lies on the padding is lost.

    canvas (…, C, CH, CW, N), at least as large as padding and image; before (top, left); out (…, C, H, W, N).
    """
    (top, left), (rows, columns) = before, out.shape[-3:-1]
    np.copyto(out, canvas[..., top : top + rows, left : left + columns, :])


def windows_of(canvas, size, strides, positions):
    """The canvas seen through its windows: a view (…, C, KH, KW, OH, OW, N) with [c, u, v, i, j] at [c, s·i + u,
    s·j + v]. Neighbouring windows overlap in it, so it is to be read only.

    canvas (…, C, CH, CW, N); size (KH, KW); strides (sh, sw); positions (OH, OW).
    """
    *lead, row, column, sample = canvas.strides
    shape = (*canvas.shape[:-3], *size, *positions, canvas.shape[-1])
    steps = (*lead, row, column, strides[0] * row, strides[1] * column, sample)
    return np.lib.stride_tricks.as_strided(canvas, shape, steps, writeable=False)


def gather(windows, out):
    """P[c, u, v, i, j] = canvas[c, s·i + u, s·j + v].

    windows (…, C, KH, KW, OH, OW, N) as from `windows_of`, or part of them; out of that shape, the memory of patches
    (…, C·KH·KW, OH·OW·N).
    """
    np.copyto(out, windows)


def scatter_add(patches, start, strides, canvas):
    """canvas[c, r, q] = start + Σ P[c, u, v, i, j] over all (u, v, i, j) with s·i + u = r and s·j + v = q.

    The adjoint of `gather`: ⟨scatter_add(P), x⟩ = ⟨P, gather(x)⟩ for start 0. A pixel under several windows gets a
    share from each of them, one under none keeps `start`.

    Taps less than a stride apart never meet on a pixel: of each block of s × s taps every pixel gets one share at the
    most, and the whole block is added at once.

    patches (…, C, KH, KW, OH, OW, N); start a scalar, or (…, C, 1, 1, 1), a bias to a channel; strides (sh, sw);
    canvas (…, C, sh·A, sw·B, N).
    """
    np.copyto(canvas, start)
    (sh, sw), (kh, kw, oh, ow, _) = strides, patches.shape[-5:]
    *lead, height, width, samples = canvas.shape
    blocks = canvas.reshape(*lead, height // sh, sh, width // sw, sw, samples)
    for u in range(0, kh, sh):
        for v in range(0, kw, sw):
            taps = patches[..., u : u + sh, v : v + sw, :, :, :]
            taps = np.moveaxis(taps, (-5, -4), (-4, -2))  # (…, C, OH, up to sh, OW, up to sw, N), the order of blocks
            i, j = u // sh, v // sw
            pixels = blocks[..., i : i + oh, : taps.shape[-4], j : j + ow, : taps.shape[-2], :]
            np.add(pixels, taps, out=pixels)


def channel_sums(dy, ones, out):
    """db_f = Σ dy over all positions and samples: the bias of a channel is added at each of them.

    dy (…, F, P), P = OH·OW·N; ones (P, 1); out (…, F, 1).
    """
    np.matmul(dy, ones, out=out)
