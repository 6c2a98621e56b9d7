"""Planted faults in spectral normalisation: its gradient, its norm, its vectors, and when they are iterated."""

from __future__ import annotations

import numpy as np

from numgan.gan import steps
from numgan.gradcheck.faults.catalogue import chapter, spoiled
from numgan.kernels import spectral_norm as kernels
from numgan.nn import spectral_norm as layers
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.spectral_norm import SpectralNorm

fault = chapter("spectral_norm", kernels)


# --------------------------------------------------------------------------------------------------- the gradient


@fault(
    "spectral norm: σ taken for a constant, the term with ⟨dW̄, W̄⟩ left out", "spectral_norm", "spectral_norm_backward"
)
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    a["out"] /= a["sigma"]


@fault("spectral norm: gradient divided by σ twice", "spectral_norm", "spectral_norm_backward")
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    backward(**a)
    a["out"] /= a["sigma"]


@fault("spectral norm: gradient not divided by σ", "spectral_norm", "spectral_norm_backward")
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    backward(**a)
    a["out"] *= a["sigma"]


@fault("spectral norm: the gradient of W̄ for that of W", "spectral_norm", "spectral_norm_backward")
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    pass


@fault("spectral norm: the term with ⟨dW̄, W̄⟩ added, not taken off", "spectral_norm", "spectral_norm_backward")
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    backward(**a | {"u": -a["u"]})


@fault("spectral norm: ⟨dW̄, W⟩ for ⟨dW̄, W̄⟩", "spectral_norm", "spectral_norm_backward")
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    backward(**a | {"normalised": a["normalised"] * a["sigma"]})


@fault("spectral norm: the gradient of a division by the Frobenius norm", "spectral_norm", "spectral_norm_backward")
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    weight = a["normalised"]
    a["out"][...] = (a["out"] - (a["out"] * weight).sum() / (weight**2).sum() * weight) / a["sigma"]


@fault("spectral norm: u and v in each other's place in the gradient", "spectral_norm", "spectral_norm_backward")
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    u, v = a["u"], a["vT"]
    backward(**a | {"u": np.resize(v, u.shape), "vT": np.resize(u, v.shape)})


@fault("spectral norm: gradient transposed", "spectral_norm", "spectral_norm_backward")
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    backward(**a)
    a["out"][...] = a["out"].mT.copy().reshape(a["out"].shape)


@fault("spectral norm: a term with ⟨dW̄, W̄⟩ of each output alone", "spectral_norm", "spectral_norm_backward")
@spoiled(kernels.spectral_norm_backward)
def _(backward, a):
    share = (a["out"] * a["normalised"]).sum(axis=(-3, -1), keepdims=True)
    a["out"][...] = (a["out"] - share * a["u"] * a["vT"]) / a["sigma"]


# ------------------------------------------------------------------------------------------------------- the norm


@fault("spectral norm: divided by the Frobenius norm", "spectral_norm", "spectral_norm_forward")
@spoiled(kernels.spectral_norm_forward)
def _(forward, a):
    _divide(forward, a, np.sqrt((a["weight"] ** 2).sum(axis=(-3, -2, -1), keepdims=True)))


@fault("spectral norm: divided by the largest sum of a row", "spectral_norm", "spectral_norm_forward")
@spoiled(kernels.spectral_norm_forward)
def _(forward, a):
    _divide(forward, a, np.abs(a["weight"]).sum(axis=(-3, -1), keepdims=True).max(axis=-2, keepdims=True))


@fault("spectral norm: divided by σ², the eigenvalue of WᵀW", "spectral_norm", "spectral_norm_forward")
@spoiled(kernels.spectral_norm_forward)
def _(forward, a):
    forward(**a)
    a["out"] /= a["sigma"]


@fault("spectral norm: σ of the bias column too", "spectral_norm", "spectral_norm_forward")
@spoiled(kernels.spectral_norm_forward)
def _(forward, a):
    forward(**a)
    bias = np.broadcast_to(a["bias"][..., None, :, None], (*a["weight"].shape[:-1], 1)) / a["weight"].shape[-3]
    _divide(forward, a, np.hypot(a["sigma"], (a["uT"] @ bias).sum(axis=-3, keepdims=True)))


@fault("spectral norm: the bias divided by σ too", "spectral_norm", "spectral_norm_forward")
@spoiled(kernels.spectral_norm_forward)
def _(forward, a):
    forward(**a)
    a["out_bias"] /= a["sigma"][..., 0, 0, :]


@fault("spectral norm: the bias left out", "spectral_norm", "spectral_norm_forward")
@spoiled(kernels.spectral_norm_forward)
def _(forward, a):
    forward(**a)
    a["out_bias"][...] = 0


@fault("spectral norm: u and v in each other's place in σ", "spectral_norm", "spectral_norm_forward")
@spoiled(kernels.spectral_norm_forward)
def _(forward, a):
    u, v = a["uT"], a["v"]
    forward(**a | {"uT": np.resize(v, u.shape), "v": np.resize(u, v.shape)})


class _OnceForAll:
    """Normalises at the first pass and leaves it at that."""

    def __init__(self):
        self.done = []

    def __call__(self, forward, a):
        if not any(a["out"] is out for out in self.done):
            forward(**a)
            self.done.append(a["out"])


fault("spectral norm: W̄ made at the first pass and kept", "spectral_norm", "spectral_norm_forward")(
    spoiled(kernels.spectral_norm_forward)(_OnceForAll())
)


def _divide(forward, a, norm):
    """The forward pass with another norm."""
    forward(**a)
    a["sigma"][...] = norm
    np.divide(a["weight"], a["sigma"], out=a["out"])


# ---------------------------------------------------------------------------------------------------- the vectors


@fault("power iteration: u not brought back to length 1", "spectral_norm", "power_iteration")
@spoiled(kernels.power_iteration)
def _(iteration, a):
    iteration(**a)
    a["u"][...] = (a["weight"] @ a["v"]).sum(axis=-3, keepdims=True)


@fault("power iteration: v not brought back to length 1", "spectral_norm", "power_iteration")
@spoiled(kernels.power_iteration)
def _(iteration, a):
    iteration(**a)
    a["v"][...] = a["weightT"] @ a["u"]


@fault("power iteration: both divided by their largest number", "spectral_norm", "power_iteration")
@spoiled(kernels.power_iteration)
def _(iteration, a):
    iteration(**a)
    for vector in (a["u"], a["v"]):
        vector /= np.abs(vector).max()


@fault("power iteration: u alone, v as it was drawn", "spectral_norm", "power_iteration")
@spoiled(kernels.power_iteration)
def _(iteration, a):
    v = a["v"].copy()
    iteration(**a)
    a["v"][...] = v


@fault("power iteration: v from the last round's u", "spectral_norm", "power_iteration")
@spoiled(kernels.power_iteration)
def _(iteration, a):
    v = a["weightT"] @ a["u"]
    iteration(**a)
    if v.any():  # there is none before the first
        a["v"][...] = v / np.sqrt((v**2).sum(axis=(-3, -2), keepdims=True))


@fault("power iteration: v by W without the transpose", "spectral_norm", "power_iteration")
@spoiled(kernels.power_iteration)
def _(iteration, a):
    turned = a["weight"].copy().reshape(a["weightT"].shape)
    iteration(**a | {"weightT": turned})


# ------------------------------------------------------------------------------------------------- W as a matrix


_blocks = layers._blocks


@fault(
    "spectral norm: a transposed convolution's output channels not in front", "spectral_norm", "_blocks", owner=layers
)
def _(layer, arrays):
    weight, bias = _blocks(layer, arrays)
    if isinstance(layer, Conv2DTranspose):
        *lead, channels, n_out, taps = weight.shape
        weight = weight.reshape(*lead, n_out, channels, taps).swapaxes(-3, -2)
    return weight, bias


@fault("spectral norm: a convolution's taps in front of its channels", "spectral_norm", "_blocks", owner=layers)
def _(layer, arrays):
    weight, bias = _blocks(layer, arrays)
    return (weight[..., ::-1] if isinstance(layer, Conv2D) else weight), bias


# ------------------------------------------------------------------------------------------------ when to iterate


@fault("power iteration: none after an update", "spectral_norm", "after_update", owner=SpectralNorm)
def _(self):
    return []


def _iterating_in_passes(frozen):
    """A layer's `bind` with a round of power iteration in front."""

    def faulty(self, io, bind=SpectralNorm.bind, calls=SpectralNorm.after_update):
        if io.training != frozen:
            (call,) = calls(self)
            io.forward(call.kernel, **call.arguments)
        bind(self, io)

    return faulty


fault("power iteration: in every pass that learns, too", "spectral_norm", "bind", owner=SpectralNorm)(
    _iterating_in_passes(frozen=False)
)
fault("power iteration: in passes of a frozen network", "spectral_norm", "bind", owner=SpectralNorm)(
    _iterating_in_passes(frozen=True)
)


_generator_step, _learning_calls = steps.GeneratorStep.__init__, steps.learning_calls


@fault(
    "power iteration: after the generator's update in the discriminator too",
    "spectral_norm",
    "__init__",
    owner=steps.GeneratorStep,
)
def _(self, gan, batch):
    _generator_step(self, gan, batch)
    self.calls += gan.discriminator.after_update()
    self._runs[0] += [call.run for call in gan.discriminator.after_update()]


def _moved(to):
    """The discriminator's step with its power iterations elsewhere: to(calls) says before which call."""

    def faulty(gan, plan, reals, penalty):
        calls = _learning_calls(gan, plan, reals, penalty)
        rounds = [call for call in calls if call.kernel is kernels.power_iteration]
        rest = [call for call in calls if call not in rounds]
        place = to(rest)
        return [*rest[:place], *rounds, *rest[place:]]

    return faulty


def _of_update(calls):
    return next(i for i, call in enumerate(calls) if call.direction == "update")


fault("power iteration: before the update", "spectral_norm", "learning_calls", owner=steps)(_moved(_of_update))
fault("power iteration: before the weights are clipped", "spectral_norm", "learning_calls", owner=steps)(
    _moved(lambda calls: _of_update(calls) + 1)
)
