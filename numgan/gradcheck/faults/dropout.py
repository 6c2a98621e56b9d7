"""Planted faults in dropout. The mask is drawn, so that half of them are right on average."""

from __future__ import annotations

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter, spoiled
from numgan.kernels import dropout as kernels
from numgan.nn.dropout import Dropout

fault = chapter("dropout", kernels)

RATE = 0.4  # of the faults that cannot know the layer's


# ------------------------------------------------------------------------------------------------------- the mask


@fault("dropout: not scaled by 1/(1 − rate)", "dropout", "dropout_draw")
@spoiled(kernels.dropout_draw)
def _(draw, a):
    draw(**a)
    np.not_equal(a["keep"], 0, out=a["keep"], casting="unsafe")


@fault("dropout: scaled by 1/rate", "dropout", "dropout_draw")
@spoiled(kernels.dropout_draw)
def _(draw, a):
    draw(**a)
    a["keep"] *= (1 - a["rate"]) / a["rate"]


@fault("dropout: kept with the probability rate, not 1 − rate", "dropout", "dropout_draw")
@spoiled(kernels.dropout_draw)
def _(draw, a):
    draw(**a | {"rate": 1 - a["rate"]})


@fault("dropout: kept where it was to be dropped", "dropout", "dropout_draw")
@spoiled(kernels.dropout_draw)
def _(draw, a):
    draw(**a)
    a["keep"][...] = np.where(a["keep"] == 0, a["keep"].max(), 0)


@fault("dropout: the same mask at every step", "dropout", "dropout_follow")
@spoiled(kernels.dropout_follow)
def _(follow, a):
    """The key stays."""


@fault("dropout: one mask for all samples of a batch", "dropout", "dropout_draw")
@spoiled(kernels.dropout_draw)
def _(draw, a):
    draw(**a)
    a["keep"][...] = a["keep"][..., :1].copy()


@fault("dropout: whole samples dropped", "dropout", "dropout_draw")
@spoiled(kernels.dropout_draw)
def _(draw, a):
    draw(**a)
    samples = a["keep"].shape[-1]
    a["keep"][...] = a["keep"].reshape(-1, samples)[0]


# --------------------------------------------------------------------------------------------------- the way back


@fault("dropout: another mask on the way back", "dropout", "dropout_backward")
@spoiled(kernels.dropout_backward)
def _(backward, a):
    keep = np.random.default_rng(0).permuted(a["keep"].ravel()).reshape(a["keep"].shape)
    backward(**a | {"keep": keep})


@fault("dropout: no mask on the way back", "dropout", "dropout_backward")
@spoiled(kernels.dropout_backward)
def _(backward, a):
    np.copyto(a["out"], a["dy"])


@fault("dropout: a mask without 1/(1 − rate) on the way back", "dropout", "dropout_backward")
@spoiled(kernels.dropout_backward)
def _(backward, a):
    backward(**a | {"keep": a["keep"] != 0})


@fault("dropout: the mask twice on the way back", "dropout", "dropout_backward")
@spoiled(kernels.dropout_backward)
def _(backward, a):
    backward(**a | {"keep": a["keep"] ** 2})


# ------------------------------------------------------------------------------------------------------ inference


@fault("dropout: inference scaled by 1 − rate, though training was scaled already", "dropout", "dropout_inference")
@spoiled(kernels.dropout_inference)
def _(inference, a):
    np.multiply(a["x"], 1 - RATE, out=a["out"])


@fault("dropout: inference drops too", "dropout", "dropout_inference")
@spoiled(kernels.dropout_inference)
def _(inference, a):
    keep = np.random.default_rng(0).random(a["x"].shape) >= RATE
    np.multiply(a["x"], keep / (1 - RATE), out=a["out"])


@fault("dropout: inference's gradient scaled", "dropout", "dropout_inference_backward")
@spoiled(kernels.dropout_inference_backward)
def _(backward, a):
    np.multiply(a["dy"], 1 - RATE, out=a["out"])


_bind = Dropout.bind


@fault("gan: the frozen discriminator goes on drawing masks", "chain", "bind", owner=Dropout)
def _(self, io):
    training, io.training = io.training, True
    _bind(self, io)
    io.training = training
