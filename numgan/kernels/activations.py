"""Activations: ReLU, LeakyReLU, tanh, sigmoid and SiLU, each with its gradient, the curved ones with their curvature.

Elementwise, so ∂L/∂x = dy · f'(x), element by element. Each backward pass but SiLU's reads f' off the output y: the
input need not be kept, and the forward pass may overwrite it.

A curvature kernel adds f''(x)·ẋ·δ to the gradient of ẏ·δ = f'(x)·ẋ·δ by x, which is where second derivatives come in:
see `numgan.kernels.penalties`. ReLU and LeakyReLU have none.

`temp` is scratch of the data's shape and dtype, `mask` of its shape and bool. Masks go by way of a bool array and
`copyto`, because a comparison that casts its result allocates a buffer at every call.
"""

import numpy as np


def relu_forward(x, zeros, out):
    """y = max(x, 0), [GBC] eq. 6.37. `out` may be x.

    `zeros` has x's shape: `maximum` against an array is vectorised, against a scalar it takes 4 times as long.
    """
    np.maximum(x, zeros, out=out)


def relu_backward(dy, y, zero, mask, temp, out):
    """dx = dy where y > 0, else 0. At x = 0, where no derivative exists, 0 is used, as the frameworks do.

    y > 0 exactly where x > 0. `zero` is a scalar; `out` may be dy.
    """
    np.greater(y, zero, out=mask)
    np.copyto(temp, mask)
    np.multiply(dy, temp, out=out)


def leaky_relu_forward(x, slope, temp, out):
    """y = x where x > 0, else slope·x; for 0 ≤ slope ≤ 1 that is max(x, slope·x), [MHN] eq. 2.

    `out` may be x. (Two vectorised passes; `where` takes eighteen times as long.)
    """
    np.multiply(x, slope, out=temp)
    np.maximum(x, temp, out=out)


def leaky_relu_backward(dy, y, slope, mask, temp, out):
    """dx = dy where y > 0, else slope·dy; at x = 0 the slope is used.

    f'(x) = max([x > 0], slope) for 0 ≤ slope < 1, and y > 0 exactly where x > 0. `out` may be dy.
    """
    np.greater(y, 0, out=mask)
    np.copyto(temp, mask)
    np.maximum(temp, slope, out=temp)
    np.multiply(dy, temp, out=out)


def tanh_forward(x, out):
    """y = tanh x. `out` may be x."""
    np.tanh(x, out=out)


def tanh_backward(dy, y, temp, out):
    """dx = dy·(1 − y²).

    tanh = sinh/cosh, so tanh' = (cosh² − sinh²)/cosh² = 1 − tanh². `out` may be dy.
    """
    np.multiply(y, y, out=temp)
    np.subtract(1, temp, out=temp)
    np.multiply(dy, temp, out=out)


def tanh_curvature(tangent, delta, y, temp, out):
    """out ← out − 2y·ẏ·δ.

    tanh' = 1 − y², so tanh'' = −2y·tanh', and tanh''·ẋ·δ = −2y·ẏ·δ with ẏ = tanh'·ẋ. tangent, which is ẏ, delta and y
    all (n, N).
    """
    np.multiply(tangent, delta, out=temp)
    np.multiply(temp, y, out=temp)
    np.subtract(out, temp, out=out)
    np.subtract(out, temp, out=out)


def sigmoid_forward(x, temp, out):
    """y = σ(x) = 1/(1 + e^−x), [GBC] eq. 3.30, accurate and without overflow for every finite x.

    Multiplying both sides of the fraction by e^min(x, 0) gives σ(x) = e^min(x, 0) / (1 + e^−|x|): no exponent is
    ever positive. `out` may be x.
    """
    np.abs(x, out=temp)
    np.negative(temp, out=temp)
    np.exp(temp, out=temp)
    np.add(temp, 1, out=temp)
    np.minimum(x, 0, out=out)
    np.exp(out, out=out)
    np.divide(out, temp, out=out)


def sigmoid_backward(dy, y, temp, out):
    """dx = dy·y·(1 − y).

    σ'(x) = e^−x/(1 + e^−x)² = σ(x)·(1 − σ(x)). `out` may be dy.
    """
    np.subtract(1, y, out=temp)
    np.multiply(temp, y, out=temp)
    np.multiply(dy, temp, out=out)


def sigmoid_curvature(tangent, delta, y, temp, temp2, out):
    """out ← out + (1 − 2y)·ẏ·δ.

    σ' = y·(1 − y), so σ'' = σ'·(1 − y) − y·σ' = σ'·(1 − 2y), and σ''·ẋ·δ = (1 − 2y)·ẏ·δ with ẏ = σ'·ẋ. tangent, which
    is ẏ, delta and y all (n, N).
    """
    np.multiply(tangent, delta, out=temp)
    np.multiply(temp, y, out=temp2)
    np.add(out, temp, out=out)
    np.subtract(out, temp2, out=out)
    np.subtract(out, temp2, out=out)


def silu_forward(x, temp, out):
    """y = x·σ(x), Hendrycks & Gimpel 2016, arXiv:1606.08415. `out` must not be x, which is read to the end."""
    sigmoid_forward(x, temp, out)
    np.multiply(out, x, out=out)


def silu_backward(dy, x, temp, temp2, out):
    """dx = dy·σ(x)·(1 + x·(1 − σ(x))).

    (x·σ)' = σ + x·σ' = σ + x·σ·(1 − σ). y does not say which x it came from: it falls to −0.28 at x = −1.28 and rises
    on both sides, so x is kept and σ(x) worked out again. `out` may be dy.
    """
    sigmoid_forward(x, temp2, temp)
    np.subtract(1, temp, out=temp2)
    np.multiply(temp2, x, out=temp2)
    np.add(temp2, 1, out=temp2)
    np.multiply(temp, temp2, out=temp)
    np.multiply(dy, temp, out=out)


def silu_curvature(tangent, delta, x, temp, temp2, out):
    """out ← out + σ'(x)·(2 + x·(1 − 2σ(x)))·ẋ·δ.

    (x·σ)' = σ + x·σ', so (x·σ)'' = 2σ' + x·σ'' = σ'·(2 + x·(1 − 2σ)), as σ'' = σ'·(1 − 2σ). tangent, which is ẋ, delta
    and x all (n, N).
    """
    sigmoid_forward(x, temp2, temp)
    np.multiply(temp, temp, out=temp2)
    np.subtract(temp, temp2, out=temp2)  # σ' = σ − σ²
    np.add(temp, temp, out=temp)
    np.subtract(1, temp, out=temp)
    np.multiply(temp, x, out=temp)
    np.add(temp, 2, out=temp)
    np.multiply(temp, temp2, out=temp)
    np.multiply(temp, tangent, out=temp)
    np.multiply(temp, delta, out=temp)
    np.add(out, temp, out=out)
