"""The kernels of gradient penalties against plain Python, on rows that lie in any memory."""

import math

import numpy as np
from hypothesis import given

from numgan.kernels import activations
from numgan.kernels import penalties as kernels
from tests.helpers import near
from tests.kernels.plain import blank, normal, quickly, sizes


def scalar(a):
    return np.array(float(a))


@given(sizes)
@quickly
def test_points_lie_between_each_pair_by_its_own_number(size):
    lead, n, rows, seed = size
    real, fake = normal(seed, *lead, n, rows), normal(seed + 1, *lead, n, rows)
    mix = np.abs(normal(seed + 2, *lead, 1, rows)) % 1
    out = blank(*real.shape)
    kernels.interpolate(real, fake, mix, out)
    for index in np.ndindex(out.shape):
        u = mix[(*index[:-2], 0, index[-1])]
        near(out[index], u * real[index] + (1 - u) * fake[index])


@given(sizes)
@quickly
def test_norms_are_over_all_features_of_a_sample(size):
    lead, n, rows, seed = size
    g = normal(seed, *lead, n, rows)
    out = blank(*lead, 1, rows)
    kernels.gradient_norms(g, blank(*g.shape), out)
    for *index, k in np.ndindex(*lead, rows):
        near(out[(*index, 0, k)], math.hypot(*g[(*index, slice(None), k)].tolist()))


@given(sizes)
@quickly
def test_slopes_are_the_derivatives_of_what_is_paid(size):
    lead, n, rows, seed = size
    g = normal(seed, *lead, n, rows)
    norm, row, paid, v = blank(*lead, 1, rows), blank(*lead, 1, rows), blank(*lead, 1, rows), blank(*g.shape)

    def total(forward, weight, at):
        kernels.gradient_norms(at, blank(*g.shape), norm)
        forward(norm, scalar(weight), paid)
        return paid.sum() / rows

    direction = normal(seed + 1, *g.shape)
    for forward, backward, arguments in (
        (kernels.norm_penalty_forward, kernels.norm_penalty_backward, {"two_weight_over_count": scalar(6 / rows)}),
        (kernels.square_penalty_forward, kernels.square_penalty_backward, {"weight_over_count": scalar(6 / rows)}),
    ):
        rise = [total(forward, 3, g + h * direction) for h in (1e-5, -1e-5)]
        total(forward, 3, g)
        if backward is kernels.norm_penalty_backward:
            arguments |= {"norm": norm, "tiny": scalar(1e-18), "row": row}
        backward(gradient=g, out=v, **arguments)
        near((v * direction).sum(), (rise[0] - rise[1]) / 2e-5, 1e-5)


def test_where_a_gradient_is_zero_nothing_pulls_at_it():
    for dtype in (np.float32, np.float64):
        g, row, v = np.zeros((3, 2), dtype), blank(1, 2).astype(dtype), blank(3, 2).astype(dtype)
        scale, tiny = np.array(1e6, dtype), np.array(1e-18, dtype)
        kernels.norm_penalty_backward(g, np.zeros((1, 2), dtype), scale, tiny, row, v)
        assert (v == 0).all()


@given(sizes)
@quickly
def test_curvatures_are_added_and_are_the_derivative_of_the_slope(size):
    lead, n, rows, seed = size
    x, tangent, delta, before = (normal(seed + k, *lead, n, rows) for k in range(4))
    for name in ("tanh", "sigmoid", "silu"):
        curve, slope = (getattr(activations, f"{name}_{what}") for what in ("curvature", "backward"))
        forward = getattr(activations, f"{name}_forward")
        extra = {"tanh": 1, "sigmoid": 1, "silu": 2}[name]

        def slopes(at, forward=forward, slope=slope, name=name, extra=extra):
            y, out = blank(*x.shape), blank(*x.shape)
            forward(at, *[blank(*x.shape)] * (name != "tanh"), out=y)
            slope(tangent, at if name == "silu" else y, *[blank(*x.shape) for _ in range(extra)], out=out)
            return y, out

        h = 1e-5
        wanted = (slopes(x + h)[1] - slopes(x - h)[1]) / (2 * h) * delta
        y, ydot = slopes(x)
        out = before.copy()
        scratch = [blank(*x.shape) for _ in range(1 if name == "tanh" else 2)]
        curve(tangent if name == "silu" else ydot, delta, x if name == "silu" else y, *scratch, out)
        near(out, before + wanted, 1e-7)
