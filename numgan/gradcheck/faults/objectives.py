"""Planted faults in the rules of the game."""

import numpy as np

from numgan.gan.objectives import critics, cross_entropy
from numgan.gradcheck.faults.catalogue import chapter
from numgan.kernels import losses as kernels
from numgan.nn.calls import Call

fault = chapter("objectives", critics)
_gradient = cross_entropy._cross_entropy_gradient
_Game = cross_entropy._CrossEntropyGame
_discriminator_gradient = _Game.discriminator_gradient


@fault("gan: generated rows labelled as real for the discriminator", "chain", "discriminator_gradient", owner=_Game)
def _(self, z, out, reals):
    return _discriminator_gradient(self, z, out, z.shape[-1])


@fault("gan: real and generated labels the wrong way round", "chain", "_cross_entropy_gradient", owner=cross_entropy)
def _(z, out, target, weight):
    return _gradient(z, out, 0.9 - target if target.ndim else target, weight)


@fault("gan: the generator's step trains against label 0", "chain", "_cross_entropy_gradient", owner=cross_entropy)
def _(z, out, target, weight):
    return _gradient(z, out, target if target.ndim else 0 * target, weight)


@fault(
    "gan: the minimax objective maximised instead of minimised", "chain", "_cross_entropy_gradient", owner=cross_entropy
)
def _(z, out, target, weight):
    return _gradient(z, out, target, abs(weight))


@fault(
    "gan: the sum of the discriminator's two losses taken as their mean",
    "chain",
    "_cross_entropy_gradient",
    owner=cross_entropy,
)
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


@fault("critic: gradients clipped instead of weights", "chain", "after_update", owner=critics.Wasserstein)
def _(self, network):
    def clip():
        np.clip(network.grads, -self.clip, self.clip, out=network.grads)

    return [Call(clip, {}, network.name, "all parameters", "update")]


@fault(
    "gan: smoothing left out of the gradient, though not of the loss",
    "chain",
    "_cross_entropy_gradient",
    owner=cross_entropy,
)
def _(z, out, target, weight):
    return _gradient(z, out, np.ceil(target), weight)


@fault("gan: labels of generated rows smoothed as well", "chain", "_cross_entropy_gradient", owner=cross_entropy)
def _(z, out, target, weight):
    return _gradient(z, out, np.where(target == 0, 1 - target.max(), target) if target.ndim else target, weight)


@fault("gan: the generator's gradient counted twice", "chain", "_cross_entropy_gradient", owner=cross_entropy)
def _(z, out, target, weight):
    return _gradient(z, out, target, weight if target.ndim else 2 * weight)


@fault("critic: real rows alone are scored", "chain", "critic_backward", owner=kernels)
def _(slope, out):
    np.minimum(slope, 0, out=out)


@fault("critic: weights beyond the clip set to 0", "chain", "clip_weights")
def _(theta, low, high):
    theta[(theta < low) | (theta > high)] = 0


# ------------------------------------------------------------------------------------------------- least squares


@fault("least squares: gradient of (z − t)², the ½ forgotten", "scores", "least_squares_backward", owner=kernels)
def _(z, target, share, out):
    np.copyto(out, 2 * (z - target) * share)


@fault("least squares: t − z instead of z − t", "scores", "least_squares_backward", owner=kernels)
def _(z, target, share, out):
    np.copyto(out, (target - z) * share)


@fault(
    "least squares: real and generated labels the wrong way round", "scores", "least_squares_backward", owner=kernels
)
def _(z, target, share, out):
    np.copyto(out, (z - (1 - target)) * share)


@fault("least squares: generated rows labelled −1 on the way back", "scores", "least_squares_backward", owner=kernels)
def _(z, target, share, out):
    np.copyto(out, (z - (2 * target - 1)) * share)


@fault("least squares: not divided by the batch size", "scores", "least_squares_backward", owner=kernels)
def _(z, target, share, out):
    np.copyto(out, z - target)


@fault("least squares: divided by the rows of both sides", "scores", "least_squares_backward", owner=kernels)
def _(z, target, share, out):
    np.copyto(out, (z - target) / z.shape[-1])


@fault("least squares: the slope of σ multiplied in, as if D were a probability", "scores", "least_squares_backward",
       owner=kernels)  # fmt: skip
def _(z, target, share, out):
    s = 1 / (1 + np.exp(-z))
    np.copyto(out, (z - target) * s * (1 - s) * share)


@fault("least squares: the generator aims at label 0", "scores", "generator_gradient", owner=critics.LeastSquares)
def _(self, z, out, real=None):
    return self.discriminator_gradient(z, out, 0)


# --------------------------------------------------------------------------------------------------------- hinge


@fault("hinge: rows beyond the margin still have a slope", "scores", "hinge_backward", owner=kernels)
def _(z, sign, slope, out):
    np.copyto(out, np.broadcast_to(slope, z.shape))


@fault("hinge: the mask turned round", "scores", "hinge_backward", owner=kernels)
def _(z, sign, slope, out):
    np.copyto(out, slope * (z * sign > 1))


@fault("hinge: the margin at 0 instead of 1", "scores", "hinge_backward", owner=kernels)
def _(z, sign, slope, out):
    np.copyto(out, slope * (z * sign < 0))


@fault("hinge: the margin on the wrong side of 0", "scores", "hinge_backward", owner=kernels)
def _(z, sign, slope, out):
    np.copyto(out, slope * (z * sign < -1))


@fault("hinge: the margin of generated rows where that of real ones is", "scores", "hinge_backward", owner=kernels)
def _(z, sign, slope, out):
    np.copyto(out, slope * (z < 1))


@fault("hinge: the generator has a margin too", "scores", "generator_gradient", owner=critics.Hinge)
def _(self, z, out, real=None):
    return self.discriminator_gradient(z, out, z.shape[-1])


@fault("hinge: the generator lowers its scores", "scores", "generator_gradient", owner=critics.Hinge)
def _(self, z, out, real=None):
    return [critics._slopes(out, critics._per_row(z, 0, -1, 1))]


# --------------------------------------------------------------------------------------------- relativistic pairs


_pairing = kernels.pairing_backward
_real_and_fake = critics.Relativistic.discriminator_gradient


@fault("relativistic: the difference turned round", "scores", "pairing_backward", owner=kernels)
def _(better, worse, half, half_slope, out):
    _pairing(worse, better, half, half_slope, out)


@fault("relativistic: real rows scored low and generated ones high", "scores", "pairing_backward", owner=kernels)
def _(better, worse, half, half_slope, out):
    _pairing(better, worse, half, -half_slope, out)


@fault("relativistic: compared with the mean score instead of row by row", "scores", "pairing_backward", owner=kernels)
def _(better, worse, half, half_slope, out):
    _pairing(better, worse.mean(axis=-1, keepdims=True), half, half_slope, out)


@fault("relativistic: row i paired with row i + 1", "scores", "pairing_backward", owner=kernels)
def _(better, worse, half, half_slope, out):
    _pairing(better, np.roll(worse, -1, axis=-1), half, half_slope, out)


@fault("relativistic: tanh(δ) for tanh(δ/2)", "scores", "pairing_backward", owner=kernels)
def _(better, worse, half, half_slope, out):
    _pairing(better, worse, 2 * half, half_slope, out)


@fault("relativistic: the score alone, compared with nothing", "scores", "pairing_backward", owner=kernels)
def _(better, worse, half, half_slope, out):
    _pairing(better, 0 * worse, half, half_slope, out)


@fault("relativistic: not divided by the batch size", "scores", "pairing_backward", owner=kernels)
def _(better, worse, half, half_slope, out):
    _pairing(better, worse, half, half_slope * better.shape[-1], out)


@fault("relativistic: real scores held fixed in the discriminator's step", "scores", "discriminator_gradient",
       owner=critics.Relativistic)  # fmt: skip
def _(self, z, out, reals):
    return _real_and_fake(self, z, out, reals)[1:]


@fault("relativistic: the generator's real and generated scores exchanged", "scores", "generator_gradient",
       owner=critics.Relativistic)  # fmt: skip
def _(self, z, out, real=None):
    return [critics._pairing(real, z, -1 / z.shape[-1], out)]
