"""Wrong: claims that make room for themselves, kinks, one certified number among many, backward passes that are not
linear, replicas.
"""

import numpy as np

from numgan import Dense
from numgan.nn.layer import Layer
from tests.gradcheck.catalogue.entries import (
    LINE,
    POSITIVE,
    VECTOR,
    ZEROS,
    Pointwise,
    Scale,
    X,
    function,
    network,
    rng,
    wrong,
)

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
