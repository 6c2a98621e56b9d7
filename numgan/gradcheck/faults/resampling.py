"""Planted faults in average pooling and upsampling."""

from __future__ import annotations

import math

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter, spoiled
from numgan.kernels import resampling as kernels

fault = chapter("resampling", kernels)

POOL, UP = "average_pooling2d", "up_sampling2d"


# -------------------------------------------------------------------------------------------------------- pooling


@fault("average pooling: padding counted among the pixels", POOL, "average_pool_forward")
@spoiled(kernels.average_pool_forward)
def _(forward, a):
    forward(**a | {"share": np.full_like(a["share"], 1 / math.prod(a["size"]))})


@fault("average pooling: the sum of a window, not its mean", POOL, "average_pool_forward")
@spoiled(kernels.average_pool_forward)
def _(forward, a):
    forward(**a | {"share": np.ones_like(a["share"])})


@fault("average pooling: the rows' stride along the columns", POOL, "average_pool_forward")
@spoiled(kernels.average_pool_forward)
def _(forward, a):
    forward(**a | {"strides": a["strides"][::-1]})


@fault("average pooling: padding forgotten", POOL, "average_pool_forward")
@spoiled(kernels.average_pool_forward)
def _(forward, a):
    forward(**a | {"before": (0, 0)})


@fault("average pooling: gradient without the share", POOL, "average_pool_backward")
@spoiled(kernels.average_pool_backward)
def _(backward, a):
    backward(**a | {"share": np.ones_like(a["share"])})


@fault("average pooling: gradient shared among padding too", POOL, "average_pool_backward")
@spoiled(kernels.average_pool_backward)
def _(backward, a):
    backward(**a | {"share": np.full_like(a["share"], 1 / math.prod(a["size"]))})


@fault("average pooling: the gradient goes to one pixel of the window, as a maximum's", POOL, "average_pool_backward")
@spoiled(kernels.average_pool_backward)
def _(backward, a):
    backward(**a | {"size": (1, 1), "share": np.ones_like(a["share"])})


@fault("average pooling: where windows overlap the gradient is averaged", POOL, "average_pool_backward")
@spoiled(kernels.average_pool_backward)
def _(backward, a):
    over = np.empty_like(a["out"])
    backward(**a | {"dy": np.ones_like(a["dy"]), "share": np.ones_like(a["share"]), "out": over})
    backward(**a)
    a["out"] /= np.maximum(over, 1)


@fault("average pooling: gradient added to the last one", POOL, "average_pool_backward")
@spoiled(kernels.average_pool_backward)
def _(backward, a):
    last = a["out"].copy()
    backward(**a)
    a["out"] += last


# ----------------------------------------------------------------------------------------------------- upsampling


@fault("upsampling: zeros between the pixels instead of copies", UP, "upsample_forward")
@spoiled(kernels.upsample_forward)
def _(forward, a):
    a["out"][...] = 0
    a["out"][..., :, 0, :, 0, :] = a["x"]


@fault("upsampling: the image beside itself, not every pixel", UP, "upsample_forward")
@spoiled(kernels.upsample_forward)
def _(forward, a):
    rows, columns = a["out"].shape[-4], a["out"].shape[-2]
    a["out"][...] = np.tile(a["x"], (rows, columns, 1)).reshape(a["out"].shape)


@fault("upsampling: the brightness shared among the copies", UP, "upsample_forward")
@spoiled(kernels.upsample_forward)
def _(forward, a):
    forward(**a)
    a["out"] /= a["out"].shape[-4] * a["out"].shape[-2]


@fault("upsampling: gradient of one copy alone", UP, "upsample_backward")
@spoiled(kernels.upsample_backward)
def _(backward, a):
    a["out"][...] = a["dy"][..., :, 0, :, 0, :]


@fault("upsampling: gradient averaged over the copies", UP, "upsample_backward")
@spoiled(kernels.upsample_backward)
def _(backward, a):
    a["out"][...] = a["dy"].mean(axis=(-4, -2))


@fault("upsampling: gradient along the diagonal of the copies alone", UP, "upsample_backward")
@spoiled(kernels.upsample_backward)
def _(backward, a):
    dy = a["dy"]
    a["out"][...] = sum(dy[..., :, k, :, k, :] for k in range(min(dy.shape[-4], dy.shape[-2])))


@fault("upsampling: gradient of the first row of copies counted twice", UP, "upsample_backward")
@spoiled(kernels.upsample_backward)
def _(backward, a):
    backward(**a)
    a["out"] += a["dy"][..., :, 0, :, :, :].sum(axis=-2)
