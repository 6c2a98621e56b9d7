"""Right, but hard: sizes, steep and wavy functions, kinks and saturation."""

import math

import numpy as np

from numgan import Dense, LeakyReLU, ReLU, Sequential
from numgan.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from tests.gradcheck.catalogue.entries import (
    LINE,
    POSITIVE,
    VECTOR,
    ZEROS,
    Pointwise,
    X,
    function,
    network,
    refused,
    right,
    rng,
)
from tests.gradcheck.catalogue.wrong_functions import erf, gelu, gelu_slope, softmax

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

    return {"subject": f, "gradient": gradient, "x": {"a": X, "p": X + 1.5 * POSITIVE, "n": POSITIVE}}


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
