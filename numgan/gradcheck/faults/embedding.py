"""Planted faults in layers of indices."""

from __future__ import annotations

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter, spoiled
from numgan.kernels import embedding as kernels

fault = chapter("embedding", kernels)

EMBEDDING, ONE_HOT = "embedding", "one_hot"


def _rows(a):
    """(a row of out, the indices, the row of dy) for each."""
    return [(a["out"][row], a["index"][row[:-1]], a["dy"][row]) for row in np.ndindex(a["out"].shape[:-1])]


# --------------------------------------------------------------------------------------------- reading the indices


@fault("indices: the fraction cut off instead of rounded", EMBEDDING, "read_indices")
@spoiled(kernels.read_indices)
def _(read, a):
    np.copyto(a["index"], np.clip(a["x"], 0, a["last"]), casting="unsafe")


@fault("indices: what is beyond the last wraps round to the first", EMBEDDING, "read_indices")
@spoiled(kernels.read_indices)
def _(read, a):
    np.copyto(a["index"], np.mod(np.rint(a["x"]), a["last"] + 1), casting="unsafe")


@fault("indices: counted from one", EMBEDDING, "read_indices")
@spoiled(kernels.read_indices)
def _(read, a):
    read(**a | {"x": a["x"] - 1})


@fault("indices: the last one out of reach", ONE_HOT, "read_indices")
@spoiled(kernels.read_indices)
def _(read, a):
    read(**a | {"last": a["last"] - 1})


@fault("indices: the first sample's for all", ONE_HOT, "read_indices")
@spoiled(kernels.read_indices)
def _(read, a):
    read(**a)
    a["index"][...] = a["index"][..., :1]


@fault("indices: the input's gradient is not zero", EMBEDDING, "read_indices_backward")
def _(out):
    out.fill(1)


@fault("indices: the input's gradient left unwritten", ONE_HOT, "read_indices_backward")
def _(out):
    pass


# ------------------------------------------------------------------------------------------------------- embedding


@fault("embedding: the vector of the next index", EMBEDDING, "embedding_forward")
@spoiled(kernels.embedding_forward)
def _(forward, a):
    forward(**a | {"weight": np.roll(a["weight"], -1, axis=-1)})


@fault("embedding: vectors laid out position by position", EMBEDDING, "embedding_forward")
@spoiled(kernels.embedding_forward)
def _(forward, a):
    forward(**a)
    a["out"][...] = a["out"].mT.copy().reshape(a["out"].shape)


@fault("embedding: index 0 is padding, and gives zeros", EMBEDDING, "embedding_forward")
@spoiled(kernels.embedding_forward)
def _(forward, a):
    forward(**a)
    a["out"] *= (a["index"] != 0)[..., None, :]


@fault("embedding: of an index that repeats, the last gradient alone", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    a["out"].fill(0)
    for out, index, dy in _rows(a):
        out[index] = dy


@fault("embedding: out[index] += dy, which counts an index that repeats once", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    a["out"].fill(0)
    for out, index, dy in _rows(a):
        out[index] += dy


@fault("embedding: gradient added to the last step's", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    for out, index, dy in _rows(a):
        np.add.at(out, index, dy)


@fault("embedding: gradients of what was not chosen left as they were", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    for out, index, dy in _rows(a):
        out[index] = 0
        np.add.at(out, index, dy)


@fault("embedding: gradient scattered to the next index", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    backward(**a | {"index": (a["index"] + 1) % a["out"].shape[-1]})


@fault("embedding: gradient averaged over the repeats", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    counts = np.empty_like(a["out"])
    backward(**a | {"dy": np.ones_like(a["dy"]), "out": counts})
    backward(**a)
    a["out"] /= np.maximum(counts, 1)


@fault("embedding: gradient averaged over the places", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    backward(**a)
    a["out"] /= a["index"].shape[-1]


@fault("embedding: gradient from an output read position by position", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    backward(**a | {"dy": a["dy"].reshape(a["dy"].mT.shape).mT})


@fault("embedding: weight gradient transposed", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    backward(**a)
    a["out"][...] = a["out"].mT.copy().reshape(a["out"].shape)


@fault("embedding: gradient with the sign flipped", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    backward(**a | {"dy": -a["dy"]})


@fault("embedding: gradient from the samples in reverse", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    backward(**a | {"index": a["index"][..., ::-1]})


@fault("embedding: index 0 is padding, and gets no gradient", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    backward(**a)
    a["out"][..., 0] = 0


@fault("embedding: the last place left out of the gradient", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    backward(**a | {"dy": a["dy"][..., :-1], "index": a["index"][..., :-1]})


@fault("embedding: gradient of every vector that of the first feature", EMBEDDING, "embedding_backward_weight")
@spoiled(kernels.embedding_backward_weight)
def _(backward, a):
    backward(**a)
    a["out"][...] = a["out"][..., :1, :]


# --------------------------------------------------------------------------------------------------------- one-hot


@fault("one-hot: a one at the neighbour", ONE_HOT, "one_hot_forward")
@spoiled(kernels.one_hot_forward)
def _(forward, a):
    forward(**a)
    a["out"][...] = np.roll(a["out"], 1, axis=-2)


@fault("one-hot: zeros and ones exchanged", ONE_HOT, "one_hot_forward")
@spoiled(kernels.one_hot_forward)
def _(forward, a):
    forward(**a)
    np.subtract(1, a["out"], out=a["out"])


@fault("one-hot: the ones of the pass before left standing", ONE_HOT, "one_hot_forward")
@spoiled(kernels.one_hot_forward)
def _(forward, a):
    for replica in np.ndindex(a["index"].shape[:-1]):
        a["out"][replica][a["index"][replica], a["positions"]] = 1


@fault("one-hot: every index up to the one that is, as an ordinal code", ONE_HOT, "one_hot_forward")
@spoiled(kernels.one_hot_forward)
def _(forward, a):
    a["out"][...] = np.arange(a["out"].shape[-2])[:, None] <= a["index"][..., None, :]


@fault("one-hot: the index itself in place of the one", ONE_HOT, "one_hot_forward")
@spoiled(kernels.one_hot_forward)
def _(forward, a):
    forward(**a)
    a["out"] *= a["index"][..., None, :]


@fault("one-hot: index 0 is nothing, and gives zeros", ONE_HOT, "one_hot_forward")
@spoiled(kernels.one_hot_forward)
def _(forward, a):
    forward(**a)
    a["out"][..., 0, :] = 0


@fault("one-hot: smoothed, as a target would be", ONE_HOT, "one_hot_forward")
@spoiled(kernels.one_hot_forward)
def _(forward, a):
    forward(**a)
    a["out"] *= 0.9
    a["out"] += 0.1 / a["out"].shape[-2]
