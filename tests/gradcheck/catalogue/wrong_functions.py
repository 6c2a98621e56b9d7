"""Wrong: the classics of handwork, as functions and losses of one's own."""

import math

import numpy as np

from numgan import Dense
from tests.gradcheck.catalogue.entries import (
    POSITIVE,
    SQUARE,
    VECTOR,
    Pointwise,
    Scale,
    X,
    function,
    network,
    rng,
    wrong,
)

# --------------------------------------------------------------------------- functions: the classics of handwork

function(wrong("signs", "x³ with 3·x·|x|"), lambda x: x**3, lambda x, dy: dy * 3 * x * np.abs(x), X)
function(
    wrong("signs", "ELU whose backward is ReLU's where x < 0"),
    lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), lambda x, dy: dy * (x > 0), X,
)  # fmt: skip
function(wrong("signs", "|x|·x with |x|"), lambda x: x * np.abs(x), lambda x, dy: dy * np.abs(x), X)
function(
    wrong("sizes", "the last of an odd number of features forgotten"),
    lambda x: x**2, lambda x, dy: 2 * x * dy * (np.arange(x.shape[1]) < x.shape[1] // 2 * 2), X[:, :3],
)  # fmt: skip
function(
    wrong("sizes", "a blockwise sum that forgets what is left of the last block"),
    lambda x: float(np.sum(x**2)), lambda x: np.r_[2 * x[: len(x) // 8 * 8], np.zeros(len(x) % 8)], VECTOR,
)  # fmt: skip
function(
    wrong("values", "σ by eˣ/(1 + eˣ), whose gradient overflows at 800"),
    lambda x: 0.5 + 0.5 * np.tanh(x / 2), lambda x, dy: dy * np.exp(x) / (1 + np.exp(x)) ** 2,
    np.array([0.5, -1.0, 800.0]),
)  # fmt: skip
function(
    wrong("values", "sin x/x with 0 where |x| < 10⁻²"),
    lambda x: np.sinc(x / np.pi), lambda x, dy: dy * np.where(np.abs(x) < 1e-2, 0, np.cos(x) / x - np.sin(x) / x**2),
    np.array([0.005, -0.3, 1.2]),
)  # fmt: skip
function(
    wrong("values", "log(1 + eˣ) unprotected, infinite at 800"),
    lambda x: np.log(1 + np.exp(x)), lambda x, dy: dy / (1 + np.exp(-x)), np.array([0.5, -1.0, 800.0]),
)  # fmt: skip
function(
    wrong("values", "logsumexp without its maximum taken off, at 800"),
    lambda x: float(np.log(np.exp(x).sum())), lambda x: np.exp(x) / np.exp(x).sum(), np.array([800.0, 799.0, 1.0]),
)  # fmt: skip
function(
    wrong("values", "tanh with 0 beyond ±2, as if it were flat there"),
    np.tanh, lambda x, dy: dy * np.where(np.abs(x) > 2, 0, 1 - np.tanh(x) ** 2), np.array([0.5, -1.0, 2.5, -4.0]),
)  # fmt: skip
function(wrong("accuracy", "off by 10⁻⁶"), np.sin, lambda x, dy: dy * np.cos(x) * (1 + 1e-6), X)
function(wrong("accuracy", "off by 3·10⁻⁷"), np.exp, lambda x, dy: dy * np.exp(x) * (1 + 3e-7), X)
function(
    wrong("accuracy", "exact within 10⁻⁵: one-sided differences instead of the derivative"),
    np.exp, lambda x, dy: dy * (np.exp(x + 1e-6) - np.exp(x)) / 1e-6, X,
)  # fmt: skip
function(
    wrong("accuracy", "π as 3.14159"),
    lambda x: np.sin(np.pi * x), lambda x, dy: dy * 3.14159 * np.cos(np.pi * x), X,
)  # fmt: skip
function(
    wrong("accuracy", "gradient rounded to float16"),
    np.sin, lambda x, dy: (dy * np.cos(x)).astype(np.float16), X,
)  # fmt: skip
function(
    wrong("accuracy", "gradient rounded to whole numbers"),
    lambda x: 3 * x**2, lambda x, dy: np.rint(6 * x * dy).astype(int), X,
)  # fmt: skip


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_slope(x):
    return 0.5 * (1 + erf(x / math.sqrt(2))) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


erf = np.vectorize(math.erf, otypes=[float])


def tanh_gelu_slope(x):
    c = math.sqrt(2 / math.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x)


function(wrong("neighbour", "GELU with its tanh approximation's slope"), gelu, lambda x, dy: dy * tanh_gelu_slope(x), X)
function(
    wrong("neighbour", "softplus with ReLU's slope"),
    lambda x: np.logaddexp(0, x), lambda x, dy: dy * (x > 0), X,
)  # fmt: skip
function(
    wrong("neighbour", "Huber's loss with another threshold"),
    lambda x: np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5), lambda x, dy: dy * np.clip(x, -1.2, 1.2), X,
)  # fmt: skip
function(wrong("neighbour", "sin with sin"), np.sin, lambda x, dy: dy * np.sin(x), X)
function(wrong("neighbour", "log10 with 1/x"), np.log10, lambda x, dy: dy / x, POSITIVE)
function(wrong("neighbour", "degrees with radians' slope"), lambda x: np.sin(np.deg2rad(x)), lambda x, dy: dy * np.cos(
    np.deg2rad(x)), 30 * X)  # fmt: skip
function(
    wrong("neighbour", "standard deviation with N − 1 over one with N"),
    lambda x: float(x.std()), lambda x: (x - x.mean()) / ((len(x) - 1) * x.std()), VECTOR,
)  # fmt: skip


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


function(
    wrong("jacobian", "softmax with its diagonal alone"),
    softmax, lambda x, dy: dy * softmax(x) * (1 - softmax(x)), X,
)  # fmt: skip
function(
    wrong("jacobian", "log-softmax with Σdy taken for 1"),
    lambda x: np.log(softmax(x)), lambda x, dy: dy - softmax(x), X,
)  # fmt: skip
function(
    wrong("jacobian", "layer norm without the mean's share"),
    lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True),
    lambda x, dy: layer_norm_gradient(x, dy, mean_share=0.0), X,
)  # fmt: skip
function(
    wrong("jacobian", "layer norm without the deviation's share"),
    lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True),
    lambda x, dy: layer_norm_gradient(x, dy, std_share=0.0), X,
)  # fmt: skip


def layer_norm_gradient(x, dy, mean_share=1.0, std_share=1.0):
    std = x.std(1, keepdims=True)
    xhat = (x - x.mean(1, keepdims=True)) / std
    inner = dy - mean_share * dy.mean(1, keepdims=True) - std_share * xhat * (dy * xhat).mean(1, keepdims=True)
    return inner / std


function(
    wrong("broadcast", "a row's gradient from the first sample alone"),
    lambda a, b: a * b, lambda a, b, dy: {"a": dy * b, "b": (dy * a)[0]}, {"a": X, "b": VECTOR[:4]},
)  # fmt: skip
function(
    wrong("broadcast", "a row's gradient averaged instead of summed"),
    lambda a, b: a + b, lambda a, b, dy: {"a": dy, "b": dy.mean(axis=0)}, {"a": X, "b": VECTOR[:4]},
)  # fmt: skip
function(
    wrong("broadcast", "a scalar's gradient from a sum over one axis, its first"),
    lambda a, b: a * b, lambda a, b, dy: {"a": dy * b, "b": (dy * a).sum(axis=0)[0]}, {"a": X, "b": np.array(0.7)},
)  # fmt: skip
function(wrong("matrices", "A·Aᵀ with one of its factors"), lambda x: x @ x.T, lambda x, dy: dy @ x, SQUARE)
function(wrong("matrices", "xᵀ·A·x with A·x alone"), lambda x: float(x @ SQUARE @ x), lambda x: 2 * SQUARE @ x, X[0])
function(
    wrong("matrices", "a square product's gradient transposed"),
    lambda x: x @ SQUARE, lambda x, dy: SQUARE @ dy, X[:4],
)  # fmt: skip
function(
    wrong("matrices", "determinant with det·A⁻¹, not transposed"),
    lambda x: float(np.linalg.det(x)), lambda x: np.linalg.det(x) * np.linalg.inv(x), SQUARE,
)  # fmt: skip
function(
    wrong("matrices", "inverse without its sign"),
    np.linalg.inv, lambda x, dy: np.linalg.inv(x).T @ dy @ np.linalg.inv(x).T, SQUARE,
)  # fmt: skip
function(wrong("matrices", "tr A² with 2·A, not transposed"), lambda x: float(np.trace(x @ x)), lambda x: 2 * x, SQUARE)
function(
    wrong("matrices", "attention without 1/√d on its way back"),
    lambda x: softmax(x @ x.T / 2) @ X, lambda x, dy: attention_gradient(x, dy, 1.0), X,
)  # fmt: skip


def attention_gradient(x, dy, scale):
    p = softmax(x @ x.T / 2)
    dp = dy @ X.T
    ds = p * (dp - (p * dp).sum(1, keepdims=True)) * scale
    return ds @ x + ds.T @ x


KERNEL = np.array([0.5, -1.0, 2.0])
function(
    wrong("order", "convolution with its kernel not turned round on the way back"),
    lambda x: np.convolve(x, KERNEL, "valid"), lambda x, dy: np.convolve(dy, KERNEL[::-1][::-1], "full"), VECTOR,
)  # fmt: skip
function(wrong("order", "cumulative sum back from the front"), np.cumsum, lambda x, dy: np.cumsum(dy), VECTOR)
function(wrong("order", "sort without putting the gradient back in place"), np.sort, lambda x, dy: dy, VECTOR)
function(
    wrong("order", "sort with the permutation instead of its inverse"),
    np.sort, lambda x, dy: dy[np.argsort(x)], VECTOR,
)  # fmt: skip
PICKS = np.array([0, 2, 2, 5, 2])
function(
    wrong("order", "picked rows that repeat, each overwriting the last"),
    lambda x: x[PICKS], lambda x, dy: scatter(dy, np.copyto), VECTOR,
)  # fmt: skip


def scatter(dy, how):
    dx = np.zeros_like(VECTOR)
    if how is np.copyto:
        dx[PICKS] = dy
    else:
        np.add.at(dx, PICKS, dy)
    return dx


function(
    wrong("order", "memory read with a negative stride"),
    lambda x: x**2, lambda x, dy: np.lib.stride_tricks.as_strided(
        2 * x[::-1] * dy, x.shape, [-s for s in x[::-1].strides]) if x.ndim == 0 else 2 * x[::-1] * dy, VECTOR,
)  # fmt: skip
function(
    wrong("values", "product divided by x, which may be 0"),
    lambda x: float(np.prod(x)), lambda x: np.prod(x) / x, np.array([0.5, 0.0, 2.0]),
)  # fmt: skip
function(
    wrong("values", "norm squared in the denominator"),
    lambda x: float(np.linalg.norm(x)), lambda x: x / (x @ x), VECTOR,
)  # fmt: skip


class _Remembers:
    """The gradient of the first call, for ever."""

    first = None

    def __call__(self, x):
        self.first = 2 * x if self.first is None else self.first
        return self.first


@wrong("calls", "a gradient kept from the first call")
def _():
    return {"subject": lambda x: float(np.sum(x**2)), "gradient": _Remembers(), "x": VECTOR}


@wrong("calls", "a gradient added to the last one")
def _():
    kept = np.zeros_like(VECTOR)

    def gradient(x):
        kept[...] += 2 * x
        return kept

    return {"subject": lambda x: float(np.sum(x**2)), "gradient": gradient, "x": VECTOR}


@wrong("calls", "right at every second call")
def _():
    calls = iter(range(1_000_000))
    return {"subject": lambda x: float(np.sum(x**2)), "gradient": lambda x: 2 * x + next(calls) % 2, "x": VECTOR}


@wrong("calls", "a function that draws random numbers")
def _():
    chance = rng()
    return {"subject": lambda x: x * (chance.uniform(size=x.shape) > 0.5), "gradient": lambda x, dy: dy * 0.5, "x": X}


class _Loss:
    """A loss of one's own: mean of `f`, and what it claims of it."""

    def __init__(self, f, gradient):
        self.f, self.claim = f, gradient

    def check_target(self, target, shape):
        return np.asarray(target, float)

    def elements(self, prediction, target):
        return self.f(prediction - target)

    def gradient(self, prediction, target, out=None):
        out[...] = self.claim(prediction - target)
        return out


def own_loss(f, gradient):
    return {"subject": _Loss(f, gradient), "x": X, "target": np.zeros_like(X)}


@wrong("losses", "squared error not divided by the count")
def _():
    return own_loss(np.square, lambda d: 2 * d)


@wrong("losses", "squared error divided by the rows alone")
def _():
    return own_loss(np.square, lambda d: 2 * d / len(d))


@wrong("losses", "squared error without its 2")
def _():
    return own_loss(np.square, lambda d: d / d.size)


@wrong("losses", "squared error of target − prediction")
def _():
    return own_loss(np.square, lambda d: -2 * d / d.size)


@wrong("losses", "absolute error with the difference for its sign")
def _():
    return own_loss(np.abs, lambda d: d / d.size)


@wrong("losses", "a loss that leaves the first row as it was")
def _():
    def partly(d):
        claim = 2 * d / d.size
        claim[0] = np.nan
        return claim

    return own_loss(np.square, partly)


@wrong("layers", "own dense layer whose bias gets no gradient")
def _():
    class Own(Scale):
        def build(self, shape):
            self.shapes = {"weight": shape, "bias": shape}
            return shape

        def forward(self, x, out):
            np.add(x * self.params["weight"][..., None, :], self.params["bias"][..., None, :], out=out)

    return {"subject": Own(), "x": X}


@wrong("layers", "weights tied to their square, counted once")
def _():
    class Squared(Scale):
        def forward(self, x, out):
            np.multiply(x, self.params["weight"][..., None, :] ** 2, out=out)

        def backward_input(self, x, y, dy, out):
            np.multiply(dy, self.params["weight"][..., None, :] ** 2, out=out)

    return {"subject": Squared(), "x": X}


@wrong("layers", "mask of the gradient instead of the input, in the middle of a network")
def _():
    layer = Pointwise(lambda x: np.maximum(x, 0), backward=lambda x, dy: dy * (dy > 0))
    return {"subject": network([Dense(5), layer, Dense(2)]), "x": X}
