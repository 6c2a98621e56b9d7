"""Planted faults in dense layers."""

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter
from numgan.kernels import dense as kernels

fault = chapter("dense", kernels)


@fault("dense: weight gradient divided by the batch size again", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy, x1ᵀ, out=out)
    out /= dy.shape[-1]


@fault("dense: weight gradient with the sign flipped", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy, -x1ᵀ, out=out)


@fault("dense: weight gradient transposed", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy, x1ᵀ, out=out)
    turned = x1ᵀ[..., :-1].mT @ dy.mT
    out[..., :-1] = turned[..., : out.shape[-2], : out.shape[-1] - 1]


@fault("dense: weight gradient from the output side's samples in reverse", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy[..., ::-1], x1ᵀ, out=out)


@fault("dense: bias gradient summed over the wrong axis", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy, x1ᵀ, out=out)
    out[..., -1] = np.resize(dy.sum(axis=-2), out.shape[-2])


@fault("dense: bias gradient averaged instead of summed", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy, x1ᵀ, out=out)
    out[..., -1] /= dy.shape[-1]


@fault("dense: bias gradient forgotten", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy, x1ᵀ, out=out)
    out[..., -1] = 0


@fault("dense: weight gradient added to the last one instead of overwriting it", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    out += dy @ x1ᵀ


class _StaleInput:
    """Remembers the first input of each shape and keeps using it."""

    def __init__(self):
        self.first = {}

    def __call__(self, dy, x1ᵀ, out, product):
        product(dy, self.first.setdefault(x1ᵀ.shape, x1ᵀ.copy()), out=out)


fault("dense: weight gradient from a stale copy of the input", "dense", "dense_backward_weight")(_StaleInput())


@fault("dense: input gradient without the transpose", "dense", "dense_backward_input")
def _(weightᵀ, dy, out1, product):
    weightᵀ, out = weightᵀ[..., :-1, :], out1[..., :-1, :]
    np.matmul(weightᵀ.mT if weightᵀ.shape[-1] == weightᵀ.shape[-2] else weightᵀ, dy, out=out)


@fault("dense: input gradient added to the last one instead of overwriting it", "dense", "dense_backward_input")
def _(weightᵀ, dy, out1, product):
    out1 += weightᵀ @ dy


@fault("dense: input gradient from the first output alone", "dense", "dense_backward_input")
def _(weightᵀ, dy, out1, product):
    out1[...] = weightᵀ[..., :1] * dy[..., :1, :]


@fault("dense: forward pass forgets the bias", "dense", "dense_forward")
def _(weight, x1, out, product):
    np.matmul(weight[..., :-1], x1[..., :-1, :], out=out)


@fault("dense: the last sample left out of the weight gradient", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy[..., :-1], x1ᵀ[..., :-1, :], out=out)


@fault("dense: weight gradient from dy's absolute values", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(np.abs(dy), x1ᵀ, out=out)


@fault("dense: weight gradient counted twice", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy, 2 * x1ᵀ, out=out)


@fault("dense: the last unit's weights get no gradient", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy, x1ᵀ, out=out)
    out[..., -1, :-1] = 0


@fault("dense: weight gradient's columns one to the left, for a missing bias column", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(dy, np.roll(x1ᵀ, 1, axis=-1), out=out)


@fault("dense: gradients clipped at ±1 on the way", "dense", "dense_backward_weight")
def _(dy, x1ᵀ, out, product):
    product(np.clip(dy, -1, 1), x1ᵀ, out=out)


@fault("dense: input gradient with the sign flipped", "dense", "dense_backward_input")
def _(weightᵀ, dy, out1, product):
    product(-weightᵀ, dy, out=out1)


@fault("dense: input gradient divided by the batch size", "dense", "dense_backward_input")
def _(weightᵀ, dy, out1, product):
    product(weightᵀ / dy.shape[-1], dy, out=out1)


@fault("dense: input gradient from weights that the update has already moved", "dense", "dense_backward_input")
def _(weightᵀ, dy, out1, product):
    product(weightᵀ - 0.01 * np.sign(weightᵀ), dy, out=out1)


@fault("dense: input gradient reversed along the features", "dense", "dense_backward_input")
def _(weightᵀ, dy, out1, product):
    out1[..., :-1, :] = (weightᵀ @ dy)[..., -2::-1, :]


@fault("dense: forward pass adds the bias twice", "dense", "dense_forward")
def _(weight, x1, out, product):
    product(weight, x1, out=out)
    out += weight[..., -1:]
