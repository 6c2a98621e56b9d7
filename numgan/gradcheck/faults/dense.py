"""Planted faults in dense layers."""

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter
from numgan.kernels import dense as kernels

fault = chapter(kernels)


@fault("dense: weight gradient divided by the batch size again", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out /= dy.shape[-2]


@fault("dense: weight gradient with the sign flipped", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(-x1_t, dy, out=out)


@fault("dense: weight gradient transposed", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out[..., :-1, :] = (dy.mT @ x1_t[..., :-1, :].mT)[..., : out.shape[-2] - 1, : out.shape[-1]]


@fault("dense: weight gradient from the output side's rows in reverse", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy[..., ::-1, :], out=out)


@fault("dense: bias gradient summed over the wrong axis", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out[..., -1, :] = np.resize(dy.sum(axis=-1), out.shape[-1])


@fault("dense: bias gradient averaged instead of summed", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out[..., -1, :] /= dy.shape[-2]


@fault("dense: bias gradient forgotten", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    product(x1_t, dy, out=out)
    out[..., -1, :] = 0


@fault("dense: weight gradient added to the last one instead of overwriting it", "dense", "dense_backward_weight")
def _(x1_t, dy, out, product):
    out += x1_t @ dy


class _StaleInput:
    """Remembers the first input of each shape and keeps using it."""

    def __init__(self):
        self.first = {}

    def __call__(self, x1_t, dy, out, product):
        product(self.first.setdefault(x1_t.shape, x1_t.copy()), dy, out=out)


fault("dense: weight gradient from a stale copy of the input", "dense", "dense_backward_weight")(_StaleInput())


@fault("dense: input gradient without the transpose", "dense", "dense_backward_input")
def _(weight, dy_t, out, product):
    product(weight.mT if weight.shape[-1] == weight.shape[-2] else weight, dy_t, out=out)


@fault("dense: input gradient added to the last one instead of overwriting it", "dense", "dense_backward_input")
def _(weight, dy_t, out, product):
    out += weight @ dy_t


@fault("dense: input gradient from the first output alone", "dense", "dense_backward_input")
def _(weight, dy_t, out, product):
    out[...] = weight[..., :1] * dy_t[..., :1, :]


@fault("dense: forward pass forgets the bias", "dense", "dense_forward")
def _(weight_t, x1_t, out, product):
    np.matmul(weight_t[..., :-1], x1_t[..., :-1, :], out=out)
