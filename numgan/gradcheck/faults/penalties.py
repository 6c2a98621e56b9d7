"""Planted faults in gradient penalties."""

import numpy as np

from numgan.gan import fit, penalty, steps
from numgan.gradcheck.faults.catalogue import chapter, spoiled
from numgan.kernels import activations
from numgan.kernels import penalties as kernels
from numgan.nn import second_order
from numgan.nn.activations import LeakyReLU, SiLU
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.second_order import SecondOrder

fault = chapter("penalties", kernels)

# ----------------------------------------------------------------------------------------------- the norm of a gradient


@fault("penalty: the norm over one axis of a picture, not over all", "penalties", "gradient_norms")
def _(gradient, temp, out):
    halves = np.array_split(gradient, 2, axis=-2)
    np.copyto(out, sum(np.sqrt((half**2).sum(axis=-2, keepdims=True)) for half in halves) / 2)


@fault("penalty: one norm for the whole batch", "penalties", "gradient_norms")
def _(gradient, temp, out):
    out[...] = np.sqrt((gradient**2).sum())


@fault("penalty: the squared norm taken for the norm", "penalties", "gradient_norms")
def _(gradient, temp, out):
    np.add.reduce(gradient**2, axis=-2, keepdims=True, out=out)


@fault("penalty: the root of the mean over features, not of the sum", "penalties", "gradient_norms")
def _(gradient, temp, out):
    np.sqrt((gradient**2).mean(axis=-2, keepdims=True), out=out)


@fault("penalty: the sum of absolute values taken for the norm", "penalties", "gradient_norms")
def _(gradient, temp, out):
    np.add.reduce(np.abs(gradient), axis=-2, keepdims=True, out=out)


# ---------------------------------------------------------------------------------------------------- points in between


@fault("penalty: a mixing number for every pixel, not for every sample", "penalties", "interpolate")
def _(real, fake, mix, out):
    shifted = np.array([np.roll(mix[0], k) for k in range(len(real))])
    np.copyto(out, fake + shifted * (real - fake))


@fault("penalty: one mixing number for the whole batch", "penalties", "interpolate")
def _(real, fake, mix, out):
    np.copyto(out, fake + mix[..., :1] * (real - fake))


@fault("penalty: normal mixing numbers, not uniform ones", "penalties", "uniform_stream", owner=fit)
def _(rng, batch, dtype):
    return _noise_stream(rng, batch, (), dtype)


_noise_stream = fit.noise_stream


@fault("penalty: points beyond the generated rows, fake − mix·(real − fake)", "penalties", "interpolate")
def _(real, fake, mix, out):
    np.copyto(out, fake - mix * (real - fake))


_place = penalty._place


@fault("penalty: on the generated rows of the step before", "penalties", "_place", owner=penalty)
def _(kind, rows, mix, out):
    return _place(kind, rows | {"generated": rows["generated"].copy()} if "generated" in rows else rows, mix, out)


@fault("penalty: R2 looks at real rows", "penalties", "_place", owner=penalty)
def _(kind, rows, mix, out):
    return _place("real" if kind == "generated" and "real" in rows else kind, rows, mix, out)


# ---------------------------------------------------------------------------------------------------------------- ∂P/∂g


@fault("penalty: worked out and never added", "penalties", "add_gradient")
def _(gradient, out):
    pass


@fault("penalty: takes the place of the loss's gradient", "penalties", "add_gradient")
def _(gradient, out):
    np.copyto(out, gradient)


@fault("penalty: subtracted, as from a critic that maximises", "penalties", "add_gradient")
def _(gradient, out):
    np.subtract(out, gradient, out=out)


@fault("wgan-gp: not divided by the batch size", "penalties", "norm_penalty_backward")
@spoiled(kernels.norm_penalty_backward)
def _(right, a):
    right(**a)
    a["out"] *= a["out"].shape[-1]


@fault("wgan-gp: the 2 of the square left out", "penalties", "norm_penalty_backward")
@spoiled(kernels.norm_penalty_backward)
def _(right, a):
    right(**a)
    a["out"] /= 2


@fault("wgan-gp: ∂‖g‖/∂g taken for g", "penalties", "norm_penalty_backward")
@spoiled(kernels.norm_penalty_backward)
def _(right, a):
    np.multiply(a["gradient"], (a["norm"] - 1) * a["two_weight_over_count"], out=a["out"])


@fault("wgan-gp: √ at 0, a gradient of 0/0", "penalties", "norm_penalty_backward")
@spoiled(kernels.norm_penalty_backward)
def _(right, a):
    np.multiply(a["gradient"], (a["norm"] - 1) / a["norm"] * a["two_weight_over_count"], out=a["out"])


@fault("wgan-gp: one-sided, nothing is paid for norms below 1", "penalties", "norm_penalty_backward")
@spoiled(kernels.norm_penalty_backward)
def _(right, a):
    right(**a)
    a["out"] *= a["norm"] > 1


@fault("wgan-gp: (‖g‖² − 1)² in place of (‖g‖ − 1)²", "penalties", "norm_penalty_backward")
@spoiled(kernels.norm_penalty_backward)
def _(right, a):
    np.multiply(a["gradient"], 2 * (a["norm"] ** 2 - 1) * a["two_weight_over_count"], out=a["out"])


@fault("wgan-gp: centred at 0, not at 1", "penalties", "norm_penalty_backward")
@spoiled(kernels.norm_penalty_backward)
def _(right, a):
    np.multiply(a["gradient"], a["two_weight_over_count"], out=a["out"])


@fault("r1: the ½ left out on the way back", "penalties", "square_penalty_backward")
def _(gradient, weight_over_count, out):
    np.multiply(gradient, 2 * weight_over_count, out=out)


@fault("r1: not divided by the batch size", "penalties", "square_penalty_backward")
def _(gradient, weight_over_count, out):
    np.multiply(gradient, weight_over_count * gradient.shape[-1], out=out)


@fault("r1: the norm not squared in what is paid", "penalties", "square_penalty_forward")
def _(norm, half_weight, out):
    np.multiply(norm, half_weight, out=out)


# ----------------------------------------------------------------------------------------------------- the tangent pass


_activation_buffers = second_order.activation_buffers


@fault("penalty: the tangent pass adds the biases", "penalties", "activation_buffers", owner=second_order)
def _(layers, columns, one=1.0):
    return _activation_buffers(layers, columns)


@fault("penalty: LeakyReLU's tangent is LeakyReLU of the tangent", "penalties", "bind_tangent", owner=LeakyReLU)
def _(self, io, primal):
    io.forward(activations.leaky_relu_forward, slope=self.slope)


@fault("penalty: SiLU's tangent is taken at the tangent", "penalties", "bind_tangent", owner=SiLU)
def _(self, io, primal):
    io.forward(activations.silu_backward, dy=io.x, x=io.x.copy())


def _with_ones(kind):
    right = kind.bind

    def bind(self, io):
        one, io.one = io.one, 1.0
        right(self, io)
        io.one = one

    return bind


fault("penalty: a convolution's tangent has a bias", "penalties", "bind", owner=Conv2D)(_with_ones(Conv2D))
fault("penalty: a transposed convolution's tangent has a bias", "penalties", "bind", owner=Conv2DTranspose)(
    _with_ones(Conv2DTranspose)
)

_kept = second_order.kept_gradients


@fault("penalty: gradients of the mean score, not of each", "penalties", "kept_gradients", owner=second_order)
def _(layers, columns):
    buffers = _kept(layers, columns)
    buffers[-1][..., :-1, :] /= buffers[-1].shape[-1]
    return buffers


_second_order = SecondOrder.__init__


@fault("penalty: on the probability, not on the score", "penalties", "__init__", owner=SecondOrder)
def _(self, network, batch, depth=None, learn=True):
    _second_order(self, network, batch, None if learn else depth, learn)


@fault("penalty: v is the gradient itself, whatever the penalty", "penalties", "__init__", owner=SecondOrder)
def _(self, network, batch, depth=None, learn=True):
    _second_order(self, network, batch, depth, learn)
    if learn:
        second = self.second[0]
        right = second.run

        def run():
            np.copyto(self.direction, self.gradient)
            right()

        second.run = run


# --------------------------------------------------------------------------------------------------- the curvature pass


for _kernel in ("tanh", "sigmoid", "silu"):
    _right = getattr(activations, f"{_kernel}_curvature")
    fault(f"penalty: {_kernel} taken for a line, f″ left out", "penalties", f"{_kernel}_curvature", owner=activations)(
        spoiled(_right)(lambda right, a: None)
    )


@fault("penalty: tanh″ without its 2", "penalties", "tanh_curvature", owner=activations)
@spoiled(activations.tanh_curvature)
def _(right, a):
    a["out"] -= a["y"] * a["tangent"] * a["delta"]


@fault("penalty: tanh″ with the other sign", "penalties", "tanh_curvature", owner=activations)
@spoiled(activations.tanh_curvature)
def _(right, a):
    a["out"] += 2 * a["y"] * a["tangent"] * a["delta"]


@fault("penalty: tanh″ without ẋ", "penalties", "tanh_curvature", owner=activations)
@spoiled(activations.tanh_curvature)
def _(right, a):
    a["out"] -= 2 * a["y"] * (1 - a["y"] ** 2) * a["delta"]


@fault("penalty: σ″ as 1 − y", "penalties", "sigmoid_curvature", owner=activations)
@spoiled(activations.sigmoid_curvature)
def _(right, a):
    a["out"] += (1 - a["y"]) * a["tangent"] * a["delta"]


@fault("penalty: SiLU″ as σ′ alone", "penalties", "silu_curvature", owner=activations)
@spoiled(activations.silu_curvature)
def _(right, a):
    s = 1 / (1 + np.exp(-a["x"]))
    a["out"] += s * (1 - s) * a["tangent"] * a["delta"]


@fault("penalty: what the curvature pass found is not added", "penalties", "_curvature", owner=SecondOrder)
def _(self, layers, columns, top):
    network, buffers = _curvature(self, layers, columns, top)
    for io in buffers:
        io.backward_calls.clear()
    return network, buffers


_curvature = SecondOrder._curvature


# -------------------------------------------------------------------------------------------- when it is paid, and what


_run = steps.DiscriminatorStep.run


@fault("penalty: a lazy one paid at every step", "penalties", "run", owner=steps.DiscriminatorStep)
def _(self, *inputs):
    self._every = 1
    _run(self, *inputs)


@fault("penalty: a lazy one paid a step late", "penalties", "run", owner=steps.DiscriminatorStep)
def _(self, *inputs):
    optimizer = self._optimizer
    self._optimizer = type("Late", (), {"steps": optimizer.steps + self._updates})
    _run(self, *inputs)
    self._optimizer = optimizer


_penalty_calls = penalty.penalty_calls


@fault("penalty: a lazy one not multiplied by k", "penalties", "penalty_calls", owner=steps)
def _(pays, *arguments):
    once = type(pays)(pays.weight)
    return _penalty_calls(once, *arguments)


_Plan = steps.Plan


@fault("penalty: the generator's gradient skips the critic", "penalties", "Plan", owner=steps)
def _(network, batch, **options):
    plan = _Plan(network, batch, **options)
    if "dx1" in options:
        plan.backward = []
    return plan
