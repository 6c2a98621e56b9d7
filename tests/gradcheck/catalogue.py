"""Small subjects for the checker: WRONG ones that must not pass, RIGHT but hard ones that must, and REFUSED ones, which
are right but of which nobody can prove it by differences.

An entry is a name, the hole in a checker that it is made for, and a function that makes the arguments of
`check_gradients`. None of the wrong ones is a kernel's fault: those are planted by `numgan.gradcheck.faults`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgan import BatchNorm, Dense, LeakyReLU, ReLU, Sequential, Sigmoid, SiLU, Tanh
from numgan.nn.layer import Layer
from numgan.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy


@dataclass
class Entry:
    """One subject. `hole` is the kind of mistake, or of difficulty; `reason` says why a right one is refused."""

    name: str
    hole: str
    make: Callable[[], dict[str, Any]]
    reason: str = ""


WRONG: dict[str, Entry] = {}
RIGHT: dict[str, Entry] = {}
REFUSED: dict[str, Entry] = {}


def wrong(hole, name):
    """Decorates a function that makes the arguments of `check_gradients`."""
    return lambda make: WRONG.setdefault(name, Entry(name, hole, make)) and make


def right(hole, name):
    return lambda make: RIGHT.setdefault(name, Entry(name, hole, make)) and make


def refused(reason, name):
    return lambda make: REFUSED.setdefault(name, Entry(name, "unproven", make, reason)) and make


def function(register, f, gradient, x, **more):
    """Add an entry that is a function f, its gradient, and where to take it."""
    register(lambda: {"subject": f, "gradient": gradient, "x": x, **more})


def rng(seed=3):
    return np.random.default_rng(seed)


def network(layers, width=4, spread=0.5):
    """A float64 network, its parameters drawn so that none is zero."""
    made = Sequential(layers, width, rng(), "float64", name="net")
    made.values[...] = rng(5).normal(0, spread, made.values.shape)
    return made


X = rng().normal(0.1, 1.0, (5, 4))
POSITIVE = rng().uniform(0.5, 2.0, (5, 4))
SQUARE = rng().normal(0, 1, (4, 4)) + 3 * np.eye(4)
VECTOR = rng().normal(0, 1, 9)
ZEROS = X * (rng(4).uniform(size=X.shape) > 0.3)  # exact zeros among other numbers
LINE = np.linspace(-2.0, 2.0, 17)  # exact zero in the middle


class Pointwise(Layer):
    """y = f(x) and dx = dy·slope(x), or, where `backward` is given, dx = backward(x, dy)."""

    def __init__(self, f, slope=None, backward=None):
        self.f, self.turn = f, backward or (lambda x, dy: dy * slope(x))

    def forward(self, x, out):
        out[...] = self.f(x)

    def backward_input(self, x, y, dy, out):
        out[...] = self.turn(x, dy)


class Scale(Layer):
    """y = w·x, feature by feature, with gradients that subclasses get wrong."""

    def build(self, shape):
        self.shapes = {"weight": shape}
        return shape

    def initialize(self, rng):
        self.params["weight"][...] = rng.normal(1, 0.3, self.params["weight"].shape)

    def forward(self, x, out):
        np.multiply(x, self.params["weight"][..., None, :], out=out)

    def backward_input(self, x, y, dy, out):
        np.multiply(dy, self.params["weight"][..., None, :], out=out)

    def backward_parameters(self, x, y, dy):
        np.sum(x * dy, axis=-2, out=self.grads["weight"])


# =============================================================================================================== WRONG
# ------------------------------------------------------------------------------- claims that make room for themselves


class _Thrice(Scale):
    """Its weights' gradient three times too large."""

    def backward_parameters(self, x, y, dy):
        super().backward_parameters(x, y, dy)
        self.grads["weight"] *= 3


class _Against(_Thrice):
    """Its weights' gradient of the wrong sign."""

    def backward_parameters(self, x, y, dy):
        np.sum(-x * dy, axis=-2, out=self.grads["weight"])


def half_line(f, slope):
    """f of max(x, 0), whose slope nobody masks: what stands above a ReLU meets its zeros."""
    return Pointwise(lambda x: f(np.maximum(x, 0)), lambda x: slope(np.maximum(x, 0)))


def root():
    return half_line(np.sqrt, lambda x: 0.5 / (np.sqrt(x) + 1e-16))


@wrong("noise", "√x with 0.5/(√x + 1e-16) at zeros, above weights whose gradient is three times too large")
def _():
    return {"subject": network([_Thrice(), root()]), "x": np.maximum(ZEROS, 0)}


@wrong("noise", "√x with 0.5/(√x + 1e-16) at zeros, below weights whose gradient is of the wrong sign")
def _():
    return {"subject": network([root(), _Against()]), "x": np.maximum(ZEROS, 0)}


@wrong("noise", "√x with 0.5/(√x + 1e-16) at zeros, alone")
def _():
    return {"subject": root(), "x": np.maximum(ZEROS, 0)}


@wrong("noise", "x^⅓ with 1/(3·(x^⅔ + 1e-14)) at zeros, below weights whose gradient is three times too large")
def _():
    layer = half_line(np.cbrt, lambda x: 1 / (3 * (np.cbrt(x) ** 2 + 1e-14)))
    return {"subject": network([layer, _Thrice()]), "x": np.maximum(ZEROS, 0)}


@wrong("noise", "log(x + 1e-12) with 1/(x + 1e-30) at zeros, below weights whose gradient is of the wrong sign")
def _():
    layer = half_line(lambda x: np.log(x + 1e-12), lambda x: 1 / (x + 1e-30))
    return {"subject": network([layer, _Against()]), "x": np.maximum(ZEROS, 0)}


function(
    wrong("noise", "one claim of 10²⁰ beside others that are three times too large"),
    lambda x: float(np.sum(x**2)), lambda x: np.where(np.arange(9) == 4, 1e20, 6 * x), VECTOR,
)  # fmt: skip
function(
    wrong("noise", "Σ√|x| with 10⁸ at its zero, three times too large beside it"),
    lambda x: float(np.sqrt(np.abs(x)).sum()),
    lambda x: np.where(x == 0, 1e8, 1.5 * np.sign(x) / np.sqrt(np.abs(x) + (x == 0))), LINE,
)  # fmt: skip


class _Scatters:
    """Half too large, and scattered at every call: as if the function rounded that badly."""

    def __init__(self, spread):
        self.rng, self.spread = rng(), spread

    def __call__(self, x):
        return 3 * x + self.spread * self.rng.standard_normal(x.shape)


for spread in (1e-9, 1e-3, 1.0):
    function(
        wrong("noise", f"claims half too large that scatter by {spread:g}"),
        lambda x: float(np.sum(x**2)), _Scatters(spread), VECTOR,
    )  # fmt: skip

function(
    wrong("noise", "a claim that is not a number"),
    lambda x: np.sin(x), lambda x, dy: np.where(x > 0.5, np.nan, dy * np.cos(x)), X,
)  # fmt: skip
function(
    wrong("noise", "a claim that is infinite at one of the numbers"),
    lambda x: np.sin(x), lambda x, dy: dy * np.cos(x) / (np.arange(4) != 2), X,
)  # fmt: skip

# ------------------------------------------------------------------------------------------------------ beyond a kink

for at_zero in (2.0, -1.0, 1.001, np.inf):

    @wrong("kink", f"ReLU with {at_zero:g}·dy at 0")
    def _(at_zero=at_zero):
        layer = Pointwise(lambda x: np.maximum(x, 0), lambda x: np.where(x == 0, at_zero, x > 0))
        return {"subject": layer, "x": ZEROS}


function(wrong("kink", "|x| with 3 at 0"), np.abs, lambda x, dy: dy * np.where(x == 0, 3, np.sign(x)), LINE)
function(
    wrong("kink", "a clip with −1 on its edges"),
    lambda x: np.clip(x, -1, 1),
    lambda x, dy: dy * np.where(np.abs(x) == 1, -1, np.abs(x) < 1), LINE,
)  # fmt: skip
function(
    wrong("kink", "hinge loss with −2 on the margin"),
    lambda x: np.maximum(0, 1 - x), lambda x, dy: dy * np.where(x == 1, -2, -1.0 * (x < 1)), LINE,
)  # fmt: skip
function(
    wrong("kink", "leaky ReLU with its slope negated at 0"),
    lambda x: np.maximum(x, 0.2 * x), lambda x, dy: dy * np.where(x == 0, -0.2, np.where(x > 0, 1, 0.2)), LINE,
)  # fmt: skip
function(
    wrong("kink", "the largest of a row, both ends of a tie credited in full"),
    lambda x: x.max(axis=1),
    lambda x, dy: dy[:, None] * (x == x.max(axis=1, keepdims=True)),
    np.array([[1.0, 3.0, 3.0], [2.0, 0.5, -1.0], [0.3, 0.2, 0.7]]),
)  # fmt: skip
function(
    wrong("kink", "right at the kink, a thousandth off elsewhere"),
    np.abs, lambda x, dy: dy * np.sign(x) * 1.001, LINE,
)  # fmt: skip

# --------------------------------------------------------------------------- one certified number, the rest unproven

BIG_AND_SMALL = np.r_[1e8, np.full(29, 1e-8)]
function(
    wrong("coverage", "29 of 30 lost in the thirtieth's rounding and half too large"),
    lambda x: float(BIG_AND_SMALL @ x**2), lambda x: np.where(np.arange(30) == 0, 2, 3) * BIG_AND_SMALL * x,
    rng().uniform(0.5, 1.5, 30),
)  # fmt: skip
function(
    wrong("coverage", "29 of 30 hidden below an offset of 10¹² and half too large"),
    lambda x: float(1e12 + 1e7 * x[0] + 1e-5 * np.sum(x[1:] ** 2)),
    lambda x: np.r_[1e7, 3e-5 * x[1:]], rng().uniform(0.5, 1.5, 30),
)  # fmt: skip
function(
    wrong("coverage", "a sum below 10¹⁴, claimed to be constant"),
    lambda x: float(1e14 + x.sum()), np.zeros_like, VECTOR,
)  # fmt: skip
function(
    wrong("coverage", "everything below 10¹³ but one number, which is right"),
    lambda x: float(1e13 + 1e4 * x[0] + np.sin(x[1:]).sum()), lambda x: np.r_[1e4, -np.cos(x[1:])], VECTOR,
)  # fmt: skip
function(
    wrong("coverage", "one in a hundred is wrong"),
    lambda x: np.sin(x), lambda x, dy: dy * np.cos(x) * np.where(np.arange(100) == 61, 1.01, 1),
    rng().normal(0, 1, 100),
)  # fmt: skip

# ----------------------------------------------------------------------------------------- backward that isn't linear


def cube(backward):
    return {"subject": Pointwise(lambda x: x**3, backward=backward), "x": X}


@wrong("linearity", "a layer that drops gradients below 1e-3")
def _():
    return cube(lambda x, dy: np.where(np.abs(dy) < 1e-3, 0, dy) * 3 * x**2)


@wrong("linearity", "a layer that drops gradients below 1e-10")
def _():
    return cube(lambda x, dy: np.where(np.abs(dy) < 1e-10, 0, dy) * 3 * x**2)


@wrong("linearity", "a layer that clips gradients at ±3")
def _():
    return cube(lambda x, dy: np.clip(dy, -3, 3) * 3 * x**2)


@wrong("linearity", "a layer that clips gradients at ±10⁹")
def _():
    return cube(lambda x, dy: np.clip(dy, -1e9, 1e9) * 3 * x**2)


@wrong("linearity", "a layer that rescales gradients of a norm beyond 10")
def _():
    return cube(lambda x, dy: dy * min(1.0, 10 / np.linalg.norm(dy)) * 3 * x**2)


@wrong("linearity", "a layer that adds 10⁻⁹ to its gradient")
def _():
    return cube(lambda x, dy: dy * 3 * x**2 + 1e-9)


@wrong("linearity", "a layer that passes gradients as float16")
def _():
    return cube(lambda x, dy: dy.astype(np.float16) * 3 * x**2)


@wrong("linearity", "a layer whose parameters' gradient alone is clipped at ±30")
def _():
    class Clipped(Scale):
        def backward_parameters(self, x, y, dy):
            super().backward_parameters(x, y, dy)
            np.clip(self.grads["weight"], -30, 30, out=self.grads["weight"])

    return {"subject": Clipped(), "x": X}


@wrong("linearity", "a network with a layer in it that drops small gradients")
def _():
    drops = Pointwise(np.tanh, backward=lambda x, dy: np.where(np.abs(dy) < 1e-4, 0, dy) * (1 - np.tanh(x) ** 2))
    return {"subject": network([Dense(3), drops, Dense(2)]), "x": X}


function(
    wrong("linearity", "a function whose gradient is clipped at ±3"),
    np.sin, lambda x, dy: np.clip(dy, -3, 3) * np.cos(x), X,
)  # fmt: skip
function(
    wrong("linearity", "a function whose gradient is dropped below 1e-3"),
    np.sin, lambda x, dy: np.where(np.abs(dy) < 1e-3, 0, dy) * np.cos(x), X,
)  # fmt: skip
function(
    wrong("linearity", "a function of two arrays, one gradient normalised beyond a norm of 100"),
    lambda a, b: a * b, lambda a, b, dy: {"a": dy * b * min(1, 100 / np.linalg.norm(dy)), "b": dy * a},
    {"a": X, "b": POSITIVE},
)  # fmt: skip

# ------------------------------------------------------------------------------------- replicas: a word, not a failure


@wrong("replicas", "a layer centred over all replicas")
def _():
    class Centred(Layer):
        def forward(self, x, out):
            np.subtract(x, x.mean(), out=out)

        def backward_input(self, x, y, dy, out):
            np.subtract(dy, dy.mean(), out=out)

    return {"subject": Centred(), "x": X}


@wrong("replicas", "a layer that fills the first replica's parameter gradients alone")
def _():
    class First(Scale):
        def backward_parameters(self, x, y, dy):
            gradient = np.sum(x * dy, axis=-2)
            self.grads["weight"].reshape(-1, *self.shapes["weight"])[0] = gradient.reshape(-1, gradient.shape[-1])[0]

    return {"subject": First(), "x": X}


@wrong("replicas", "a layer that fills the first replica's input gradient alone")
def _():
    class First(Scale):
        def backward_input(self, x, y, dy, out):
            if out.ndim == 2:
                super().backward_input(x, y, dy, out)
            else:
                out[0] = dy[0] * self.params["weight"][0]

    return {"subject": First(), "x": X}


@wrong("replicas", "a layer that uses the first replica's weights for all")
def _():
    class First(Scale):
        def forward(self, x, out):
            np.multiply(x, self.params["weight"].reshape(-1, x.shape[-1])[0], out=out)

    return {"subject": First(), "x": X}


@wrong("replicas", "a layer that adds the replicas' parameter gradients up")
def _():
    class Summed(Scale):
        def backward_parameters(self, x, y, dy):
            self.grads["weight"][...] = (x * dy).reshape(-1, x.shape[-1]).sum(axis=0)

    return {"subject": Summed(), "x": X}


@wrong("replicas", "a layer that leaks from one replica to the next")
def _():
    def before(a):
        return np.roll(a, 1, axis=0) if a.ndim == 3 else a

    layer = Pointwise(lambda x: np.tanh(x) + 0.1 * before(x), backward=lambda x, dy: dy * (1.1 - np.tanh(x) ** 2))
    return {"subject": layer, "x": X}


# ------------------------------------------------------------------------- paths that training takes, and others don't


@wrong("paths", "parameter gradient written on the way to the input, which a first layer never goes")
def _():
    class Late(Scale):
        def backward_parameters(self, x, y, dy):
            pass

        def backward_input(self, x, y, dy, out):
            np.sum(x * dy, axis=-2, out=self.grads["weight"])
            super().backward_input(x, y, dy, out)

    return {"subject": Late(), "x": X}


class _Bound(Layer):
    """A layer of kernels on columns: what subclasses say of it is wrong."""

    def bind(self, io):
        io.forward(self.up)
        io.backward(self.down)


@wrong("paths", "softmax over the features that calls itself featurewise")
def _():
    class Softmax(_Bound):
        featurewise = True

        @staticmethod
        def up(x, out):
            e = np.exp(x - x.max(axis=-2, keepdims=True))
            np.divide(e, e.sum(axis=-2, keepdims=True), out=out)

        @staticmethod
        def down(dy, y, out):
            out[...] = y * (dy - (y * dy).sum(axis=-2, keepdims=True))

    return {"subject": Softmax(), "x": X}


@wrong("paths", "featurewise, but every block takes the first block's weights")
def _():
    class Weighted(Layer):
        featurewise = True

        def build(self, shape):
            self.shapes = {"weight": shape}
            return shape

        def bind(self, io):
            def own(a):
                return a[..., : io.x.shape[-2], None]

            io.let(weight=own(self.params["weight"]), dweight=own(self.grads["weight"]))
            io.forward(lambda x, weight, out: np.multiply(x, weight, out=out))
            io.backward_parameters(lambda x, dy, dweight: np.sum(x * dy, axis=-1, keepdims=True, out=dweight))
            io.backward(lambda dy, weight, out: np.multiply(dy, weight, out=out))

    return {"subject": Weighted(), "x": X}


@wrong("paths", "centred over the features, and calls itself featurewise")
def _():
    class Centred(_Bound):
        featurewise = True

        @staticmethod
        def up(x, out):
            np.subtract(x, x.mean(axis=-2, keepdims=True), out=out)

        @staticmethod
        def down(dy, out):
            np.subtract(dy, dy.mean(axis=-2, keepdims=True), out=out)

    return {"subject": Centred(), "x": X}


class _Square(_Bound):
    @staticmethod
    def up(x, out):
        np.multiply(x, x, out=out)

    @staticmethod
    def down(dy, x, out):
        out[...] = 2 * x * dy


@wrong("paths", "works in place and reads its input, which is gone")
def _():
    class InPlace(_Square):
        in_place_forward = True

    return {"subject": InPlace(), "x": X}


@wrong("paths", "a network that begins with a layer that works in place and reads its input")
def _():
    class InPlace(_Square):
        in_place_forward = True

    return {"subject": network([InPlace(), Dense(3), Tanh()]), "x": X}


@wrong("paths", "reads its output and says it does not")
def _():
    class Exp(_Bound):
        reads_output = False

        @staticmethod
        def up(x, out):
            np.exp(x, out=out)

        @staticmethod
        def down(dy, y, out):
            np.multiply(dy, y, out=out)

    return {"subject": Exp(), "x": X}


@wrong("paths", "overwrites dy in place and reads it once more")
def _():
    class Twice(_Bound):
        in_place_backward = True

        @staticmethod
        def up(x, out):
            out[...] = x + np.sin(x)

        @staticmethod
        def down(dy, x, out):
            np.multiply(dy, np.cos(x), out=out)
            np.add(out, dy, out=out)

    return {"subject": Twice(), "x": X}


@wrong("paths", "a forward pass in place that reads x after writing")
def _():
    class Twice(_Bound):
        in_place_forward = True

        @staticmethod
        def up(x, out):
            np.sin(x, out=out)
            np.add(out, x, out=out)

        @staticmethod
        def down(dy, y, out):
            out[...] = dy * (1 + np.cos(_unsine(y)))

    return {"subject": Twice(), "x": 0.5 * X}


def _unsine(y):
    """x with x + sin x = y, by Newton's method."""
    x = y / 2
    for _ in range(30):
        x = x - (x + np.sin(x) - y) / (1 + np.cos(x))
    return x


@wrong("paths", "in float32 an ε that rounds to nothing")
def _():
    layer = Pointwise(lambda x: np.log(x * x + np.asarray(1e-60, x.dtype)),
                      lambda x: 2 * x / (x * x + np.asarray(1e-60, x.dtype)))  # fmt: skip
    return {"subject": layer, "x": np.where(ZEROS == 0, 1e-25, X)}


@wrong("paths", "in float32 another branch, with another slope")
def _():
    return cube(lambda x, dy: dy * (3 if x.dtype == np.float64 else 2) * x**2)


@wrong("paths", "a backward pass by differences of 1e-6, which float32 cannot take")
def _():
    return cube(lambda x, dy: dy * (np.exp(np.log(np.abs(x + 1e-6)) * 3) * np.sign(x) - (x - 1e-6) ** 3) / 2e-6)


@wrong("paths", "parameter gradient right for a batch of 5 alone")
def _():
    class Five(Scale):
        def backward_parameters(self, x, y, dy):
            np.sum(x * dy, axis=-2, out=self.grads["weight"])
            self.grads["weight"] *= 5 / x.shape[-2]

    return {"subject": Five(), "x": X}


@wrong("paths", "input gradient wrong for batches beyond 64")
def _():
    return cube(lambda x, dy: dy * 3 * x**2 * (1 if x.shape[-2] <= 64 else 0.5))


@wrong("paths", "input gradient wrong for a batch of one")
def _():
    return cube(lambda x, dy: dy * 3 * x**2 * (1 if x.shape[-2] > 1 else 2))


@wrong("paths", "parameter gradient from the first five rows")
def _():
    class Five(Scale):
        def backward_parameters(self, x, y, dy):
            np.sum((x * dy)[..., :5, :], axis=-2, out=self.grads["weight"])

    return {"subject": Five(), "x": X}


@wrong("paths", "odd batches lose their last row's gradient, and the batch given is even")
def _():
    def pairs(x, dy):
        dx = dy * 3 * x**2
        if x.shape[-2] % 2:
            dx[..., -1, :] = 0
        return dx

    return cube(pairs) | {"x": X[:4]}


@wrong("paths", "a custom layer that flattens its transposed view into a copy")
def _():
    class Copied(Scale):
        def backward_input(self, x, y, dy, out):
            out.reshape(-1)[...] = (dy * self.params["weight"]).reshape(-1)

    return {"subject": Copied(), "x": X}


@wrong("paths", "parameter gradient added up from pass to pass")
def _():
    class Adds(Scale):
        def backward_parameters(self, x, y, dy):
            self.grads["weight"] += np.sum(x * dy, axis=-2)

    return {"subject": Adds(), "x": X}


@wrong("paths", "a mask kept from the first pass")
def _():
    class Kept(Layer):
        mask = None

        def forward(self, x, out):
            self.mask = self.mask if self.mask is not None and self.mask.shape == x.shape else x > 0
            np.maximum(x, 0, out=out)

        def backward_input(self, x, y, dy, out):
            np.multiply(dy, self.mask, out=out)

    return {"subject": Kept(), "x": X}


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
    lambda x, dy: _layer_norm_gradient(x, dy, mean_share=0.0), X,
)  # fmt: skip
function(
    wrong("jacobian", "layer norm without the deviation's share"),
    lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True),
    lambda x, dy: _layer_norm_gradient(x, dy, std_share=0.0), X,
)  # fmt: skip


def _layer_norm_gradient(x, dy, mean_share=1.0, std_share=1.0):
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
    lambda x: softmax(x @ x.T / 2) @ X, lambda x, dy: _attention_gradient(x, dy, 1.0), X,
)  # fmt: skip


def _attention_gradient(x, dy, scale):
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
    lambda x: x[PICKS], lambda x, dy: _scatter(dy, np.copyto), VECTOR,
)  # fmt: skip


def _scatter(dy, how):
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


# =============================================================================================================== RIGHT
# ------------------------------------------------------------------------------------------------ sizes and scales

function(right("sizes", "squares on an offset of 10⁶"), lambda x: 1e6 + x**2, lambda x, dy: 2 * x * dy, X)
function(right("sizes", "a sum on an offset of 10⁴"), lambda x: float(1e4 + np.sum(x**3)), lambda x: 3 * x**2, VECTOR)
function(
    right("sizes", "inputs of 10⁸ ± 1"),
    lambda x: np.sin(1e-8 * x), lambda x, dy: dy * 1e-8 * np.cos(1e-8 * x), 1e8 + X,
)  # fmt: skip
function(right("sizes", "gradients of 10⁻³⁰"), lambda x: 1e-30 * x**2, lambda x, dy: 2e-30 * x * dy, X)
function(right("sizes", "gradients of 10⁺³⁰"), lambda x: 1e30 * np.sin(x), lambda x, dy: 1e30 * np.cos(x) * dy, X)
function(right("sizes", "inputs of 10⁻¹⁵⁰"), lambda x: 1e150 * x + (1e150 * x) ** 2,
         lambda x, dy: dy * (1e150 + 2e300 * x), 1e-150 * X)  # fmt: skip
SCALES = 10.0 ** np.arange(-8, 9)
function(
    right("sizes", "every number on its own scale, from 10⁻⁸ to 10⁸"),
    lambda x: np.sin(x / SCALES), lambda x, dy: dy * np.cos(x / SCALES) / SCALES, SCALES * rng().uniform(0.5, 2, 17),
)  # fmt: skip
function(
    right("sizes", "terms of sizes from 10⁻⁶ to 10⁶ in an array"),
    lambda x: 10.0 ** np.arange(-6, 7) * np.exp(x), lambda x, dy: dy * 10.0 ** np.arange(-6, 7) * np.exp(x),
    rng().normal(0, 1, 13),
)  # fmt: skip
function(
    right("sizes", "products near zero"),
    lambda x: x[:, 0] * x[:, 1] * x[:, 2],
    lambda x, dy: dy[:, None] * np.stack([x[:, 1] * x[:, 2], x[:, 0] * x[:, 2], x[:, 0] * x[:, 1]], axis=1),
    1e-8 * X[:, :3],
)  # fmt: skip
function(
    right("sizes", "a product with one factor exactly zero"),
    lambda x: float(np.prod(x)), lambda x: np.array([np.prod(np.delete(x, i)) for i in range(len(x))]),
    np.array([0.5, 0.0, 2.0, -1.5]),
)  # fmt: skip
function(
    right("sizes", "the mean of 10,000 numbers"),
    lambda x: float(np.mean(np.sin(x))), lambda x: np.cos(x) / x.size, rng().normal(0, 1, 10_000), coordinates=40,
)  # fmt: skip
function(
    right("sizes", "a long product"),
    lambda x: float(np.prod(x)), lambda x: np.prod(x) / x, rng().uniform(0.8, 1.25, 300), coordinates=60,
)  # fmt: skip

# -------------------------------------------------------------------------------------------------------- steep, wavy

function(right("steep", "e^(30·x)"), lambda x: np.exp(30 * x), lambda x, dy: dy * 30 * np.exp(30 * x), 0.3 * X)
function(
    right("steep", "tanh(20·x)"),
    lambda x: np.tanh(20 * x), lambda x, dy: dy * 20 / np.cosh(20 * x) ** 2, 0.05 * X,
)  # fmt: skip
function(right("steep", "sin(200·x)"), lambda x: np.sin(200 * x), lambda x, dy: dy * 200 * np.cos(200 * x), X)
function(right("steep", "sin(x²) far out"), lambda x: np.sin(x * x), lambda x, dy: dy * 2 * x * np.cos(x * x), 10 + X)
function(right("steep", "sin(1/x) near zero"), lambda x: np.sin(1 / x), lambda x, dy: -dy * np.cos(1 / x) / x**2,
         np.array([0.02, -0.05, 0.11, 0.3]))  # fmt: skip
function(right("steep", "1/(x − 1) a thousandth from its pole"),
         lambda x: 1 / (x - 1), lambda x, dy: -dy / (x - 1) ** 2,
         np.array([0.999, 1.001, 1.5, -3.0]))  # fmt: skip
function(right("steep", "√x and log x near zero"), lambda x: np.sqrt(x) + np.log(x),
         lambda x, dy: dy * (0.5 / np.sqrt(x) + 1 / x), np.array([1e-3, 1e-2, 1.0, 4.0]))  # fmt: skip
function(right("steep", "x^0.1 at 10⁻⁶, beside 1"), lambda x: x**0.1, lambda x, dy: dy * 0.1 * x**-0.9,
         np.array([1e-6, 1e-3, 1.0]))  # fmt: skip
function(right("steep", "arctan of 1000·x"),
         lambda x: np.arctan(1000 * x), lambda x, dy: dy * 1000 / (1 + (1000 * x) ** 2),
         0.01 * X)  # fmt: skip


def logistic_map(x):
    """Eight turns of x ← 3.9·x·(1 − x), and their slope."""
    slope = np.ones_like(x)
    for _ in range(8):
        slope, x = slope * 3.9 * (1 - 2 * x), 3.9 * x * (1 - x)
    return x, slope


function(
    right("steep", "eight turns of the logistic map"),
    lambda x: logistic_map(x)[0], lambda x, dy: dy * logistic_map(x)[1], np.array([0.1, 0.37, 0.62, 0.81]),
)  # fmt: skip
function(
    right("steep", "flat but for a bump"),
    lambda x: np.exp(-((x / 0.05) ** 2)), lambda x, dy: -dy * 2 * x / 0.05**2 * np.exp(-((x / 0.05) ** 2)),
    np.array([0.01, 0.04, -0.07, 0.1]),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------- kinks, and beside

ZERO_OR_NOT = np.array([0.0, 0.0, 1.0, -2.0, 1e-6, -1e-6, 0.5, 0.0])
for at_zero in (0.0, 0.5, 1.0):
    function(
        right("kinks", f"ReLU with {at_zero:g} at its zeros"),
        lambda x: np.maximum(x, 0), lambda x, dy, a=at_zero: dy * np.where(x == 0, a, x > 0), ZERO_OR_NOT,
    )  # fmt: skip
function(right("kinks", "|x| with 0 at 0"), np.abs, lambda x, dy: dy * np.sign(x), LINE)
function(
    right("kinks", "a clip with its edges hit exactly"),
    lambda x: np.clip(x, -1, 1), lambda x, dy: dy * (np.abs(x) < 1), LINE,
)  # fmt: skip
function(
    right("kinks", "the largest of a row, a tie shared"),
    lambda x: x.max(axis=1),
    lambda x, dy: dy[:, None] * (x == x.max(1, keepdims=True)) / (x == x.max(1, keepdims=True)).sum(1, keepdims=True),
    np.array([[1.0, 3.0, 3.0], [2.0, 0.5, -1.0], [0.3, 0.2, 0.7]]),
)  # fmt: skip
function(
    right("kinks", "the largest of a row, the first of a tie credited"),
    lambda x: x.max(axis=1), lambda x, dy: dy[:, None] * (np.arange(3) == x.argmax(axis=1)[:, None]),
    np.array([[1.0, 3.0, 3.0], [2.0, 0.5, -1.0], [0.3, 0.2, 0.7]]),
)  # fmt: skip
function(
    right("kinks", "sort with two equal numbers"),
    np.sort, lambda x, dy: dy[np.argsort(np.argsort(x, kind="stable"))], np.array([0.3, 1.0, -0.5, 1.0, 2.0]),
)  # fmt: skip
function(
    right("kinks", "median of nine"),
    lambda x: float(np.median(x)), lambda x: 1.0 * (x == np.median(x)), VECTOR,
)  # fmt: skip
function(right("kinks", "‖x‖₁ with zeros"), lambda x: float(np.abs(x).sum()), np.sign, ZERO_OR_NOT)
function(right("kinks", "‖x‖∞"), lambda x: float(np.abs(x).max()),
         lambda x: np.sign(x) * (np.abs(x) == np.abs(x).max()), VECTOR)  # fmt: skip
function(right("kinks", "hinge loss on the margin"), lambda x: np.maximum(0, 1 - x), lambda x, dy: -dy * (x < 1), LINE)
function(
    right("kinks", "Huber's loss at its threshold"),
    lambda x: np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5), lambda x, dy: dy * np.clip(x, -1, 1), LINE,
)  # fmt: skip
function(right("kinks", "x·|x|, once differentiable"), lambda x: x * np.abs(x), lambda x, dy: dy * 2 * np.abs(x), LINE)
function(right("kinks", "steps, flat where they are not steep"), lambda x: np.floor(x) + x, lambda x, dy: dy,
         np.array([0.3, 1.7, -2.4, 0.999]))  # fmt: skip
function(
    right("kinks", "linear interpolation in a table"),
    lambda x: np.interp(x, [0, 1, 2, 4], [0, 3, 1, 2]),
    lambda x, dy: dy * np.array([3, -2, 0.5])[np.searchsorted([1, 2], x)], np.array([0.2, 0.999, 1.5, 2.001, 3.7]),
)  # fmt: skip
function(
    right("kinks", "largest in windows of two"),
    lambda x: x.reshape(-1, 2).max(axis=1),
    lambda x, dy: (np.arange(2) == x.reshape(-1, 2).argmax(axis=1)[:, None]).reshape(-1) * np.repeat(dy, 2), X.ravel(),
)  # fmt: skip


@right("kinks", "a triplet loss, some of it beyond its margin")
def _():
    def f(a, p, n):
        return np.maximum(0, ((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 0.5)

    def gradient(a, p, n, dy):
        on = (dy * (f(a, p, n) > 0))[:, None]
        return {"a": on * 2 * (n - p), "p": on * 2 * (p - a), "n": on * 2 * (a - n)}

    return {"subject": f, "gradient": gradient, "x": {"a": X, "p": X + 0.5 * POSITIVE, "n": POSITIVE}}


@right("kinks", "√x with 0.5/(√x + 1e-16) behind a ReLU whose mask takes it back at its zeros")
def _():
    return {"subject": network([Dense(6), ReLU(), Pointwise(np.sqrt, lambda x: 0.5 / (np.sqrt(x) + 1e-16))]), "x": X}


@refused("every bias stands at a kink, and some inputs at eight", "a row of zeros into ReLUs behind zero biases")
def _():
    made = Sequential([Dense(8), ReLU(), Dense(2)], 4, rng(), "float64", name="net")
    return {"subject": made, "x": X * (np.arange(5) != 2)[:, None]}


@right("kinks", "ReLU network on exact zeros")
def _():
    return {"subject": network([ReLU(), Dense(4), LeakyReLU(0.1), Dense(2)]), "x": ZEROS}


# ------------------------------------------------------------------------------------- saturated, extreme, protected

EXTREME = np.array([[1000.0, -1000.0, 0.0], [0.5, 0.1, -0.2], [-1000.0, -1000.0, -999.0]])


def logsumexp(x):
    m = x.max(axis=1, keepdims=True)
    return m[:, 0] + np.log(np.exp(x - m).sum(axis=1))


function(right("extremes", "logsumexp of ±1000"), logsumexp, lambda x, dy: dy[:, None] * softmax(x), EXTREME)
function(
    right("extremes", "softmax of ±1000"),
    softmax, lambda x, dy: softmax(x) * (dy - (dy * softmax(x)).sum(1, keepdims=True)), EXTREME,
)  # fmt: skip
function(
    right("extremes", "log(1 + eˣ) from −30 to 800"),
    lambda x: np.logaddexp(0, x), lambda x, dy: dy / (1 + np.exp(-x)), np.array([-30.0, -2.0, 0.0, 1.0, 30.0, 800.0]),
)  # fmt: skip
function(
    right("extremes", "saturated sigmoids beside open ones"),
    lambda x: 0.5 + 0.5 * np.tanh(x / 2), lambda x, dy: dy * 0.25 / np.cosh(x / 2) ** 2,
    np.array([0.1, -0.5, 2.0, 40.0, -3.0]),
)  # fmt: skip
function(right("extremes", "log1p and expm1 near zero"), lambda x: np.log1p(x) + np.expm1(x),
         lambda x, dy: dy * (1 / (1 + x) + np.exp(x)), 1e-10 * X)  # fmt: skip
function(right("extremes", "x − sin x near zero, by its series"), lambda x: x**3 / 6 - x**5 / 120,
         lambda x, dy: dy * (x**2 / 2 - x**4 / 24), 1e-3 * X)  # fmt: skip
function(right("extremes", "GELU far out and near"), gelu, lambda x, dy: dy * gelu_slope(x), np.linspace(-4, 4, 9))
function(
    right("extremes", "erf"),
    erf, lambda x, dy: dy * 2 / math.sqrt(math.pi) * np.exp(-x * x), np.linspace(-3, 3, 8),
)  # fmt: skip


@right("extremes", "softmax cross-entropy of logits of ±50")
def _():
    return {"subject": SoftmaxCrossEntropy(), "x": 25 * X, "target": np.eye(4)[[0, 1, 2, 3, 0]]}


@right("extremes", "binary cross-entropy of logits of ±30")
def _():
    return {"subject": BinaryCrossEntropy(from_logits=True), "x": 10 * X, "target": (X > 0) * 1.0}


@right("extremes", "binary cross-entropy of probabilities within and beyond its clip")
def _():
    x = np.array([[0.0, 1.0, 1e-9], [1 - 1e-9, 0.2, 0.7], [0.5, 0.9, 0.3]])
    return {"subject": BinaryCrossEntropy(epsilon=1e-3), "x": x, "target": np.eye(3)}


# ------------------------------------------------------------------------------------------------------ linear algebra

HILBERT = 1 / (np.arange(6)[:, None] + np.arange(6) + 1)
SYMMETRIC = SQUARE @ SQUARE.T

function(
    right("matrices", "a quadratic form of Hilbert's matrix"),
    lambda x: float(x @ HILBERT @ x), lambda x: 2 * HILBERT @ x, VECTOR[:6],
)  # fmt: skip


@right("matrices", "A⁻¹·b, both")
def _():
    def gradient(a, b, dy):
        g = np.linalg.solve(a.T, dy)
        return {"a": -np.outer(g, np.linalg.solve(a, b)), "b": g}

    return {"subject": lambda a, b: np.linalg.solve(a, b), "gradient": gradient, "x": {"a": SQUARE, "b": VECTOR[:4]}}


@right("matrices", "A⁻¹·b of a matrix of condition 10⁵")
def _():
    a = np.diag([1.0, 1e-2, 1e-4, 1e-5]) + 1e-7 * SQUARE

    def gradient(x, dy):
        return np.linalg.solve(a.T, dy)

    return {"subject": lambda x: np.linalg.solve(a, x), "gradient": gradient, "x": VECTOR[:4]}


function(
    right("matrices", "determinant"),
    lambda x: float(np.linalg.det(x)), lambda x: np.linalg.det(x) * np.linalg.inv(x).T, SQUARE,
)  # fmt: skip
function(
    right("matrices", "log determinant by Cholesky"),
    lambda x: float(2 * np.log(np.diag(np.linalg.cholesky(x @ x.T + np.eye(4)))).sum()),
    lambda x: 2 * np.linalg.solve(x @ x.T + np.eye(4), x), SQUARE,
)  # fmt: skip
function(
    right("matrices", "inverse"),
    np.linalg.inv, lambda x, dy: -np.linalg.inv(x).T @ dy @ np.linalg.inv(x).T, SQUARE,
)  # fmt: skip


@right("matrices", "the largest eigenvalue")
def _():
    def gradient(x):
        v = np.linalg.eigh(x + x.T)[1][:, -1]
        return 2 * np.outer(v, v)

    return {"subject": lambda x: float(np.linalg.eigvalsh(x + x.T)[-1]), "gradient": gradient, "x": SQUARE}


@right("matrices", "the sum of the singular values")
def _():
    def gradient(x):
        u, _, vt = np.linalg.svd(x, full_matrices=False)
        return u @ vt

    return {"subject": lambda x: float(np.linalg.svd(x, compute_uv=False).sum()), "gradient": gradient, "x": X}


function(
    right("matrices", "attention"), lambda x: softmax(x @ x.T / 2) @ X, lambda x, dy: _attention_gradient(x, dy, 0.5), X
)
function(
    right("matrices", "layer norm"),
    lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True), _layer_norm_gradient, X,
)  # fmt: skip
function(
    right("matrices", "rows of length 1"),
    lambda x: x / np.linalg.norm(x, axis=1, keepdims=True),
    lambda x, dy: (dy - x * (x * dy).sum(1, keepdims=True) / (x * x).sum(1, keepdims=True))
    / np.linalg.norm(x, axis=1, keepdims=True), X,
)  # fmt: skip


@right("matrices", "a table of three indices, contracted")
def _():
    def gradient(a, b, dy):
        return {"a": np.einsum("il,jkl->ijk", dy, b), "b": np.einsum("ijk,il->jkl", a, dy)}

    a, b = rng(8).normal(0, 1, (2, 3, 2)), rng(9).normal(0, 1, (3, 2, 4))
    return {"subject": lambda a, b: np.einsum("ijk,jkl->il", a, b), "gradient": gradient, "x": {"a": a, "b": b}}


# ----------------------------------------------------------------------------------------------- sequences, iterations

function(right("sequences", "cumulative sum"), np.cumsum, lambda x, dy: np.cumsum(dy[::-1])[::-1], VECTOR)
function(
    right("sequences", "cumulative product"),
    np.cumprod, lambda x, dy: np.cumsum((dy * np.cumprod(x))[::-1])[::-1] / x, VECTOR,
)  # fmt: skip
function(
    right("sequences", "convolution by Fourier transforms"),
    lambda x: np.fft.irfft(np.fft.rfft(x, 9) * np.fft.rfft(KERNEL, 9), 9),
    lambda x, dy: np.fft.irfft(np.fft.rfft(dy, 9) * np.conj(np.fft.rfft(KERNEL, 9)), 9), VECTOR,
)  # fmt: skip
function(
    right("sequences", "convolution, strided"),
    lambda x: np.convolve(x, KERNEL, "valid")[::2],
    lambda x, dy: np.convolve(_every_second(dy, 7), KERNEL[::-1], "full"), VECTOR,
)  # fmt: skip
function(right("sequences", "picked rows that repeat"), lambda x: x[PICKS], lambda x, dy: _scatter(dy, np.add), VECTOR)


def _every_second(dy, size):
    spread = np.zeros(size)
    spread[::2] = dy
    return spread


def lambert(x):
    """w with w·eʷ = x, by Newton's method until it stands still."""
    w = np.log1p(x)
    for _ in range(40):
        w = w - (w * np.exp(w) - x) / (np.exp(w) * (1 + w))
    return w


function(
    right("sequences", "Lambert's W by Newton's method"),
    lambert, lambda x, dy: dy / (np.exp(lambert(x)) * (1 + lambert(x))), POSITIVE,
)  # fmt: skip
function(
    right("sequences", "√ by Heron's iteration, 20 turns"),
    lambda x: _heron(x), lambda x, dy: dy * 0.5 / np.sqrt(x), POSITIVE,
)  # fmt: skip


def _heron(x):
    y = x + 0
    for _ in range(20):
        y = (y + x / y) / 2
    return y


@right("sequences", "a recurrent net over twelve steps, back through time")
def _():
    w = 0.4 * SQUARE

    def run(x):
        states = [np.zeros(4)]
        for _ in range(12):
            states.append(np.tanh(w @ states[-1] + x))
        return states

    def gradient(x, dy):
        total, states = np.zeros(4), run(x)
        for state in states[:0:-1]:
            dz = dy * (1 - state**2)
            total, dy = total + dz, w.T @ dz
        return total

    return {"subject": lambda x: run(x)[-1], "gradient": gradient, "x": VECTOR[:4]}


# ------------------------------------------------------------------------------------------------ networks and layers


@right("networks", "three batch norms in a row")
def _():
    return {"subject": network([Dense(6), BatchNorm(), Tanh(), Dense(6), BatchNorm(), Dense(5), BatchNorm()]), "x": X}


@right("networks", "twelve dense layers deep")
def _():
    layers = [layer for _ in range(12) for layer in (Dense(4), Tanh())]
    return {"subject": network(layers, spread=0.7), "x": X}


@right("networks", "leaky ReLUs, eight deep")
def _():
    layers = [layer for _ in range(8) for layer in (Dense(5), LeakyReLU(0.2))]
    return {"subject": network(layers, spread=0.7), "x": X}


@right("networks", "batch norm on inputs of 10⁴ ± 1")
def _():
    return {"subject": network([BatchNorm(), Dense(3), SiLU()]), "x": 1e4 + X}


@right("networks", "batch norm in inference")
def _():
    return {"subject": network([Dense(6), BatchNorm(), Sigmoid()]), "x": X, "training": False}


@right("networks", "a wide layer whose float32 goes block by block")
def _():
    return {"subject": network([Dense(40), SiLU(), Dense(1)]), "x": rng().normal(0, 1, (30, 4)), "coordinates": 30}


@right("networks", "a layer that knows one network alone")
def _():
    class Once(Layer):
        def forward(self, x, out):
            for row, result in zip(x, out, strict=True):
                result[...] = row.reshape(4) @ SQUARE

        def backward_input(self, x, y, dy, out):
            for row, result in zip(dy, out, strict=True):
                result[...] = SQUARE @ row.reshape(4)

    return {"subject": Once(), "x": X}


@right("networks", "a layer over the rows of a batch")
def _():
    class Centred(Layer):
        def forward(self, x, out):
            np.subtract(x, x.mean(axis=-2, keepdims=True), out=out)

        def backward_input(self, x, y, dy, out):
            np.subtract(dy, dy.mean(axis=-2, keepdims=True), out=out)

    return {"subject": Centred(), "x": X}


@right("networks", "a scale per feature, of one's own")
def _():
    return {"subject": Scale(), "x": X}


@right("losses", "log cosh of one's own")
def _():
    return own_loss(lambda d: np.logaddexp(d, -d) - math.log(2), lambda d: np.tanh(d) / d.size)


@right("losses", "absolute error")
def _():
    return own_loss(np.abs, lambda d: np.sign(d) / d.size)


# ============================================================================================================= REFUSED

function(
    refused("all that moves is below the rounding of 10¹⁴", "sines below 10¹⁴"),
    lambda x: float(1e14 + np.sin(x).sum()), np.cos, VECTOR,
)  # fmt: skip
function(
    refused("σ is 1 to the last place but one, and its slope less than that", "nothing but saturated sigmoids"),
    lambda x: 1 / (1 + np.exp(-x)), lambda x, dy: dy * np.exp(-x) / (1 + np.exp(-x)) ** 2, np.array([33.0, 34.0, 35.0]),
)  # fmt: skip
function(
    refused("no derivative exists anywhere", "|x| at nothing but zeros"),
    np.abs, lambda x, dy: 0 * dy, np.zeros(4),
)  # fmt: skip
function(
    refused("what is left of 10⁸ rounds at 10⁻⁸", "(10⁸ + sin x) − 10⁸"),
    lambda x: (1e8 + np.sin(x)) - 1e8, lambda x, dy: dy * np.cos(x), X,
)  # fmt: skip
function(
    refused("one number is so steep that the other eight drown", "Σ aᵢ·xᵢ² with one a of 10⁸ and others of 10⁻⁸"),
    lambda x: float(BIG_AND_SMALL[:9] @ x**2), lambda x: 2 * BIG_AND_SMALL[:9] * x, VECTOR,
)  # fmt: skip
