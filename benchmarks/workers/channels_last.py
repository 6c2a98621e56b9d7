"""Weights for frameworks that keep images as (height, width, channels), which is the faster order in JAX and the only
one of TensorFlow's convolutions on a CPU: turned once before the training and once after it.

A convolution's weight turns from PyTorch's (F, C, KH, KW) to Keras's (KH, KW, C, F), a transposed one's likewise from
(C, F, KH, KW) to (KH, KW, F, C). And where an image becomes a row of features, or comes out of one, the dense layer
beside it has its features in another order.
"""

import math

import numpy as np

THERE, BACK = (2, 3, 1, 0), (3, 2, 0, 1)  # axes
ARRAYS = {"Dense": 2, "Conv2D": 2, "Conv2DTranspose": 2, "BatchNorm": 4}  # of a layer; none of any other


def last(shape):
    """(height, width, channels) of an image; the shape of anything else stays."""
    return (*shape[1:], shape[0])


def images(rows):
    """(N, C, H, W) as (N, H, W, C), in this order in memory; rows of features as they are."""
    return np.ascontiguousarray(np.moveaxis(rows, 1, -1)) if rows.ndim == 4 else rows


def turned(arrays, layers, shapes, back=False):
    """A network's arrays, layer by layer, from channels first to channels last, or back.

    layers [(kind, settings)] and shapes, before, between and after the layers, with channels first, as a job has them.
    """
    arrays, out = iter(arrays), []
    for i, (kind, _) in enumerate(layers):
        own = [np.asarray(next(arrays)) for _ in range(ARRAYS.get(kind, 0))]
        if kind.startswith("Conv"):
            own[0] = own[0].transpose(BACK if back else THERE)
        if kind == "Dense":
            if i > 0 and layers[i - 1][0] == "Flatten":
                own[0] = own[0][_order(shapes[i - 1], back)]
            if i + 1 < len(layers) and layers[i + 1][0] == "Reshape":
                own = [a[..., _order(shapes[i + 2], back)] for a in own]
        out += [np.ascontiguousarray(a) for a in own]
    return out


def _order(shape, back):
    """Where in the features of an image with channels first those with channels last stand, or the other way."""
    order = images(np.arange(math.prod(shape)).reshape(1, *shape)).ravel()
    return np.argsort(order) if back else order
