"""Right, but hard: linear algebra, sequences and iterations, networks and layers."""

import math

import numpy as np

from numgan import BatchNorm, Dense, LeakyReLU, Sigmoid, SiLU, Tanh
from numgan.nn.layer import Layer
from tests.gradcheck.catalogue.entries import (
    POSITIVE,
    SQUARE,
    VECTOR,
    Scale,
    X,
    function,
    network,
    right,
    rng,
)
from tests.gradcheck.catalogue.wrong_functions import (
    KERNEL,
    PICKS,
    attention_gradient,
    layer_norm_gradient,
    own_loss,
    scatter,
    softmax,
)

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
    right("matrices", "attention"), lambda x: softmax(x @ x.T / 2) @ X, lambda x, dy: attention_gradient(x, dy, 0.5), X
)
function(
    right("matrices", "layer norm"),
    lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True), layer_norm_gradient, X,
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
function(right("sequences", "picked rows that repeat"), lambda x: x[PICKS], lambda x, dy: scatter(dy, np.add), VECTOR)


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
