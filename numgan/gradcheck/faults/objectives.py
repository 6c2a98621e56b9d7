"""Planted faults in the rules of the game."""

import numpy as np

from numgan.gan import objectives
from numgan.gradcheck.faults.catalogue import chapter
from numgan.kernels import losses as kernels
from numgan.nn.calls import Call

fault = chapter("objectives", objectives)
_gradient = objectives._cross_entropy_gradient
_Game = objectives._CrossEntropyGame
_discriminator_gradient = _Game.discriminator_gradient


@fault("gan: generated rows labelled as real for the discriminator", "chain", "discriminator_gradient", owner=_Game)
def _(self, z, out, reals):
    return _discriminator_gradient(self, z, out, z.shape[-1])


@fault("gan: real and generated labels the wrong way round", "chain", "_cross_entropy_gradient")
def _(z, out, target, weight):
    return _gradient(z, out, 0.9 - target if target.ndim else target, weight)


@fault("gan: the generator's step trains against label 0", "chain", "_cross_entropy_gradient")
def _(z, out, target, weight):
    return _gradient(z, out, target if target.ndim else 0 * target, weight)


@fault("gan: the minimax objective maximised instead of minimised", "chain", "_cross_entropy_gradient")
def _(z, out, target, weight):
    return _gradient(z, out, target, abs(weight))


@fault("gan: the sum of the discriminator's two losses taken as their mean", "chain", "_cross_entropy_gradient")
def _(z, out, target, weight):
    return _gradient(z, out, target, min(weight, 1))


@fault("critic: real rows scored low and generated ones high", "chain", "critic_backward", owner=kernels)
def _(slope, out):
    np.negative(slope, out=out)


@fault("critic: the slope not divided by the batch size", "chain", "critic_backward", owner=kernels)
def _(slope, out):
    np.sign(slope, out=out)


@fault("critic: weights not clipped", "chain", "clip_weights")
def _(theta, low, high):
    pass


@fault("critic: weights clipped from above alone", "chain", "clip_weights")
def _(theta, low, high):
    np.minimum(theta, high, out=theta)


@fault("critic: gradients clipped instead of weights", "chain", "after_update", owner=objectives.Wasserstein)
def _(self, network):
    def clip():
        np.clip(network.grads, -self.clip, self.clip, out=network.grads)

    return [Call(clip, {}, network.name, "all parameters", "update")]


@fault("gan: smoothing left out of the gradient, though not of the loss", "chain", "_cross_entropy_gradient")
def _(z, out, target, weight):
    return _gradient(z, out, np.ceil(target), weight)


@fault("gan: labels of generated rows smoothed as well", "chain", "_cross_entropy_gradient")
def _(z, out, target, weight):
    return _gradient(z, out, np.where(target == 0, 1 - target.max(), target) if target.ndim else target, weight)


@fault("gan: the generator's gradient counted twice", "chain", "_cross_entropy_gradient")
def _(z, out, target, weight):
    return _gradient(z, out, target, weight if target.ndim else 2 * weight)


@fault("critic: real rows alone are scored", "chain", "critic_backward", owner=kernels)
def _(slope, out):
    np.minimum(slope, 0, out=out)


@fault("critic: weights beyond the clip set to 0", "chain", "clip_weights")
def _(theta, low, high):
    theta[(theta < low) | (theta > high)] = 0
