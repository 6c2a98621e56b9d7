"""Images of another size without weights: nearest-neighbour upsampling and average pooling.

Both are linear and make every output from few inputs, so that the backward pass can be read off: an input's gradient
is the sum of the gradients of all outputs that it went into, each times the share that it had in it. Images are
(…, C, H, W, N).
"""

import numpy as np

from numgan.kernels.convolution import scatter_add, taps_of


def upsample_forward(x, out):
    """y[c, h, a, w, b] = x[c, h, w]: every pixel becomes sh × sw equal ones.

    x (…, C, H, W, N); out (…, C, H, sh, W, sw, N), the memory of an image (…, C, H·sh, W·sw, N).
    """
    np.copyto(out, x[..., :, None, :, None, :])


def upsample_backward(dy, out):
    """dx[c, h, w] = Σ_ab dy[c, h, a, w, b]: a pixel's gradient is the sum over its copies.

    dy (…, C, H, sh, W, sw, N); out (…, C, H, W, N).
    """
    np.copyto(out, dy[..., :, 0, :, 0, :])
    for a in range(dy.shape[-4]):
        for b in range(dy.shape[-2]):
            if a or b:
                np.add(out, dy[..., :, a, :, b, :], out=out)


def average_pool_forward(x, share, size, strides, before, out):
    """y[c, i, j] = share[i, j] · Σ_uv x[c, s·i + u − p, s·j + v − p] over the pixels of the window.

    share is 1 over the number of pixels under the window: padding is not counted (as in Keras; PyTorch counts it unless
    told otherwise).

    x (…, C, H, W, N); share (OH, OW, N); size (KH, KW); out (…, C, OH, OW, N).
    """
    out.fill(0)
    for _, inside, pixels, _ in taps_of((1, *size, *share.shape), x.shape[-3:-1], strides, before):
        positions = out[inside]
        np.add(positions, x[pixels], out=positions)
    np.multiply(out, share, out=out)


def average_pool_backward(dy, share, size, strides, before, temp, canvas, out):
    """dx[c, r, q] = Σ dy[c, i, j]·share[i, j] over all windows (i, j) that the pixel lies under: a scatter-add to which
    all taps of a window bring the same.

    dy and the scratch temp (…, C, OH, OW, N); canvas as for `convolution.scatter_add`; out (…, C, H, W, N).
    """
    np.multiply(dy, share, out=temp)
    *lead, oh, ow, samples = temp.shape
    same = np.broadcast_to(temp[..., None, None, :, :, :], (*lead, *size, oh, ow, samples))
    scatter_add(same, 0, strides, before, canvas, out)
