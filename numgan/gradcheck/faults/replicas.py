"""Planted faults in stacks: whatever one replica can get of another's."""

import copy

import numpy as np

from numgan.data import stream
from numgan.gan import blocks, l1, penalty, replicas
from numgan.gan.average import Average
from numgan.gan.objectives import cross_entropy
from numgan.gradcheck.faults.catalogue import chapter, spoiled
from numgan.kernels import batch_norm, dropout, losses
from numgan.nn.optimizers import SGD, Adam, Optimizer
from numgan.nn.replicas import column

fault = chapter("replicas", replicas)


def _first_for_all(value, dtype, axes):
    """The column of the first replica's number."""
    return column(np.broadcast_to(np.ravel(value)[0], np.shape(value)), dtype, axes)


fault("replicas: all have the first one's label smoothing", "replicas", "column", owner=cross_entropy)(_first_for_all)
fault("replicas: all pay the first one's penalty", "replicas", "column", owner=penalty)(_first_for_all)
fault("replicas: all have the first one's weight of L1", "replicas", "column", owner=l1)(_first_for_all)


_before_step_of_each = Optimizer._before_step_of_each


@fault("replicas: all have the first one's rate", "replicas", "_before_step_of_each", owner=Optimizer)
def _(self):
    _before_step_of_each(self)
    self._constants["rate"][...] = self._constants["rate"][0]


@fault("replicas: the updates of Adam are not counted", "replicas", "_before_step_of_each", owner=Optimizer)
def _(self):
    steps, self.steps = self.steps, 1
    _before_step_of_each(self)
    self.steps = steps


_bind = Optimizer._bind


@fault("replicas: each learns from its neighbour's gradient", "replicas", "_bind", owner=Optimizer)
def _(self, arrays):
    gradient = arrays["gradient"]
    return _bind(self, arrays | {"gradient": gradient[::-1] if gradient.ndim > 1 else gradient})


@fault("replicas: all have the first one's β₁", "replicas", "_bind", owner=Adam)
def _(self, arrays):
    if self._constants["beta1"].ndim:
        self._constants["beta1"][...] = self._constants["beta1"][0]
    return _bind(self, arrays)


@fault("replicas: all have the first one's momentum", "replicas", "_bind", owner=SGD)
def _(self, arrays):
    if self._constants["momentum"].ndim:
        self._constants["momentum"][...] = self._constants["momentum"][0]
    return _bind(self, arrays)


_update = Average.update


@fault("replicas: all are averaged with the first one's decay", "replicas", "update", owner=Average)
def _(self):
    decay = self.decay
    if isinstance(decay, tuple):
        self.decay = (decay[0],) * len(decay)
    _update(self)
    self.decay = decay


@fault("replicas: one block of rows or noise for all", "replicas", "_draw", owner=stream.StreamApart)
def _(self):
    for r, rng in enumerate(self._rngs):
        self._fill(rng, self._blocks[r])
    self._blocks[...] = self._blocks[0]


@fault("replicas: each is given its neighbour's rows and noise", "replicas", "_draw", owner=stream.StreamApart)
def _(self):
    for r, rng in enumerate(self._rngs):
        self._fill(rng, self._blocks[r - 1])


_bound = blocks.StackTraining.bound


@fault("replicas: the first one's generator draws every order of an epoch", "replicas", "bound",
       owner=blocks.StackTraining)  # fmt: skip
def _(self, gan, data, rng, order):
    return _bound(self, gan, data, rng, [copy.copy(order[0]) for _ in order] if isinstance(order, list) else order)


@fault("replicas: running statistics of all together", "replicas", "batch_norm_running", owner=batch_norm)
@spoiled(batch_norm.batch_norm_running)
def _(kernel, arguments):
    value = arguments["batch_value"]
    if value.ndim > 2:
        arguments["batch_value"] = np.broadcast_to(value.mean(axis=0), value.shape)
    kernel(**arguments)


@fault("replicas: one dropout mask for all", "replicas", "dropout_draw", owner=dropout)
@spoiled(dropout.dropout_draw)
def _(kernel, arguments):
    kernel(**arguments)
    if arguments["key"].ndim > 1:
        arguments["keep"][...] = arguments["keep"][0]


@fault("replicas: the mean of a loss is over the rows of all", "replicas", "bce_logits_backward", owner=losses)
@spoiled(losses.bce_logits_backward)
def _(kernel, arguments):
    kernel(**arguments)
    out = arguments["out"]
    if out.ndim > 2:
        np.divide(out, len(out), out=out)


_taken = replicas.taken


@fault("replicas: a neighbour is taken out", "replicas", "taken")
def _(gan, rows, single=False):
    if single:
        r = (rows.start + 1) % gan.generator.replicas[0]
        rows = slice(r, r + 1)
    return _taken(gan, rows, single)


_set_counts = blocks.set_counts


@fault("replicas: the counts of updates stay in the blocks", "replicas", "set_counts", owner=blocks)
def _(gan, made):
    pass


_look = blocks.Block.look


@fault("replicas: each hands its state over in its neighbour's place", "replicas", "look", owner=blocks.Block)
def _(self, index):
    seen = _look(self, index)
    for shared in self._shared:
        shared[...] = np.roll(shared, 1, axis=0)
    return seen
