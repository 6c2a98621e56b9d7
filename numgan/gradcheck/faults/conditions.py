"""Planted faults in conditions: who reads which, who learns from them, and what goes back where."""

import numpy as np

from numgan.gan import l1, steps
from numgan.gradcheck.faults.catalogue import chapter
from numgan.kernels import joining as kernels
from numgan.kernels import losses
from numgan.nn import joining
from numgan.nn.calls import Call
from numgan.nn.second_order import SecondOrder

fault = chapter("conditions", kernels)

_right, _wrong, _write = (getattr(steps.Conditions, name) for name in ("right", "wrong", "write"))


# ----------------------------------------------------------------------------------------------------- who reads which


@fault("conditions: labels shuffled between the two networks", "conditions", "right", owner=steps.Conditions)
def _(self, plan, network, part=np.s_[...]):
    (_wrong if network.name == "discriminator" else _right)(self, plan, network, part)


@fault("conditions: the generator reads no condition", "conditions", "right", owner=steps.Conditions)
def _(self, plan, network, part=np.s_[...]):
    if network.name != "generator":
        _right(self, plan, network, part)


@fault("conditions: those of the step before", "conditions", "write", owner=steps.Conditions)
def _(self, conditions):
    _write(self, getattr(self, "before", conditions))
    self.before = {name: c.copy() for name, c in conditions.items()}


@fault("conditions: all rows read the first one's", "conditions", "write", owner=steps.Conditions)
def _(self, conditions):
    _write(self, {name: np.broadcast_to(c[:1], c.shape) for name, c in conditions.items()})


@fault(
    "conditions: real rows under wrong conditions have their right ones", "conditions", "wrong", owner=steps.Conditions
)
def _(self, plan, network, part):
    _right(self, plan, network, part)


@fault("conditions: generated rows are judged under wrong ones", "conditions", "right", owner=steps.Conditions)
def _(self, plan, network, part=np.s_[...]):
    generated = isinstance(part, tuple) and part[1].start
    (_wrong if generated else _right)(self, plan, network, part)


@fault("conditions: a penalty's points have none", "conditions", "right", owner=steps.Conditions)
def _(self, plan, network, part=np.s_[...]):
    if not isinstance(plan, SecondOrder):
        _right(self, plan, network, part)


@fault("conditions: a penalty's points have those of others", "conditions", "right", owner=steps.Conditions)
def _(self, plan, network, part=np.s_[...]):
    (_wrong if isinstance(plan, SecondOrder) else _right)(self, plan, network, part)


_learning_calls = steps.learning_calls


@fault("conditions: real rows under wrong conditions count as real", "conditions", "learning_calls", owner=steps)
def _(gan, plan, reals, penalty):
    more = plan.y.shape[-1] - 2 * reals if gan.matching_aware and reals else 0
    return _learning_calls(gan, plan, reals + more, penalty)


# ------------------------------------------------------------------------------------------- what goes back, and where

_bind_inner = joining.Beside._bind_inner


@fault("conditions: what makes the condition learns while the discriminator is frozen", "conditions", "_bind_inner",
       owner=joining.Beside)  # fmt: skip
def _(self, io, x1, dx):
    learning, io.learning = io.learning, True
    try:
        return _bind_inner(self, io, x1, dx)
    finally:
        io.learning = learning


@fault("conditions: what makes the condition learns nothing", "conditions", "_bind_inner", owner=joining.Beside)
def _(self, io, x1, dx):
    learning, io.learning = io.learning, False
    try:
        return _bind_inner(self, io, x1, dx)
    finally:
        io.learning = learning


@fault("conditions: the condition's gradient is read from the input's part", "conditions", "_bind_inner",
       owner=joining.Beside)  # fmt: skip
def _(self, io, x1, dx):
    dy1 = io.dy1
    try:
        if dy1 is not None and dy1.shape[-2] >= 2 * self.in_front + 1:
            io.dy1 = dy1[..., self.in_front :, :]
        return _bind_inner(self, io, x1, dx)
    finally:
        io.dy1 = dy1


_join_bind = joining.Join.bind


@fault("conditions: the condition's gradient goes into the input's", "conditions", "bind", owner=joining.Join)
def _(self, io):
    _join_bind(self, io)
    if io.dx is not None and self.in_front <= io.dx[..., 0].size:
        front = io.dy1[..., : self.in_front, :]
        rear = io.dy1[..., self.in_front : 2 * self.in_front, :]
        if rear.shape == front.shape:
            io.backward_calls.append(Call(kernels.add_share, {"share": front, "out": rear}))


# ---------------------------------------------------------------------------------------------------- skips, distances


@fault("skip: the gradient that comes down through the layers inside is dropped", "skip", "add_share", owner=joining)
def _(share, out):
    pass


@fault("skip: the gradient of the skip itself is dropped", "skip", "add_share", owner=joining)
def _(share, out):
    np.copyto(out, share)


@fault("skip: the two gradients are averaged", "skip", "add_share", owner=joining)
def _(share, out):
    np.add(out, share, out=out)
    np.divide(out, 2, out=out)


@fault("skip: what comes down is subtracted", "skip", "add_share", owner=joining)
def _(share, out):
    np.subtract(out, share, out=out)


@fault("skip: what ends in a skip of its own is never brought to its place", "skip", "copy_front", owner=joining)
def _(f, out):
    pass


@fault("skip: what ends in a skip of its own is brought there in reverse", "skip", "copy_front", owner=joining)
def _(f, out):
    np.copyto(out, f[..., ::-1, :])


_l1_calls = l1.L1.calls


@fault("l1: the mean over rows alone", "conditions", "calls", owner=l1.L1)
def _(self, y, target, dy, errors):
    backward, means = _l1_calls(self, y, target, dy, errors)
    backward.arguments["share"][...] *= y.shape[-2]
    return [backward, means]


@fault("l1: takes the place of the adversary's gradient", "conditions", "calls", owner=l1.L1)
def _(self, y, target, dy, errors):
    backward, means = _l1_calls(self, y, target, dy, errors)
    return [Call(np.ndarray.fill, {"a": dy, "value": 0.0}), backward, means]


@fault("l1: without its weight", "conditions", "calls", owner=l1.L1)
def _(self, y, target, dy, errors):
    backward, means = _l1_calls(self, y, target, dy, errors)
    backward.arguments["share"][...] /= self.weight
    return [backward, means]


@fault("l1: pulls away from the target", "conditions", "absolute_error_backward", owner=losses)
def _(y, target, share, temp, out):
    out -= share * np.sign(y - target)


@fault("patches: the mean over rows alone", "conditions", "scores_of", owner=steps)
def _(plan):
    scores = plan.y1[..., :-1, :]
    return scores[..., :1, :]
