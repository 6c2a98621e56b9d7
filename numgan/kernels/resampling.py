"""Images of another size without weights: nearest-neighbour upsampling and average pooling.

Both are linear and make every output from few inputs, so that the backward pass can be read off: an input's gradient
is the sum of the gradients of all outputs that it went into, each times the share that it had in it. Images are
(…, C, H, W, N).
"""

import numpy as np

from numgan.kernels.convolution import scatter_add


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


def average_pool_forward(windows, share, out):
    """y[c, i, j] = share[i, j] · Σ_uv canvas[c, s·i + u, s·j + v]: the mean over the pixels under the window.

    share is 1 over the number of pixels under the window: padding is not counted (as in Keras; PyTorch counts it unless
    told otherwise).

    windows (…, C, KH, KW, OH, OW, N) as from `convolution.windows_of`; share (OH, OW, N); out (…, C, OH, OW, N).
    """
    np.add.reduce(windows, axis=(-5, -4), out=out)
    np.multiply(out, share, out=out)


def average_pool_backward(dy, share, size, strides, temp, canvas):
    """d canvas[c, r, q] = Σ dy[c, i, j]·share[i, j] over all windows (i, j) that the pixel lies under: a scatter-add in
    which all taps of a window bring the same.

    dy and the scratch temp (…, C, OH, OW, N); size (KH, KW); canvas (…, C, sh·A, sw·B, N).
    """
    np.multiply(dy, share, out=temp)
    same = np.broadcast_to(temp[..., None, None, :, :, :], (*temp.shape[:-3], *size, *temp.shape[-3:]))
    scatter_add(same, 0, strides, canvas)
