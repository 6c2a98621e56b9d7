"""A GAN from bare kernels and plain arrays: everything that a training step does, with no class in the way.

Generator      5 noise values → 25 ReLU units → a point (x, y)
Discriminator  a point → 25 ReLU units → the logit of "this point is real"

Real points are (t, sin t), t standard normal. `discriminator_step` and `generator_step` do what numgan.GAN's
train_discriminator and train_generator do; tests/test_demos.py holds the two against each other.

Before that, a convolution: `convolve` and `convolve_backward` in plain loops, a term a line, and what makes the same of
the kernels for it, `convolve_with_kernels`.

Run:  python demos/bare_kernels.py [--steps N] [--seed N] [--out DIR]
"""

import argparse
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from numgan.kernels import activations, convolution, dense, losses, optimizers
from numgan.study import plots

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.5, 0.999, 1e-7  # Adam's


# ------------------------------------------------------------------------------------------- a convolution


def taps(weight, dy, stride, padding, x):
    """Of every term of a convolution the indices of its output, its weight and its pixel."""
    for f, i, j in np.ndindex(dy.shape):
        for c, u, v in np.ndindex(weight.shape[1:]):
            row, column = stride * i + u - padding, stride * j + v - padding
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:  # else it is on the padding, which is zero
                yield (f, i, j), (f, c, u, v), (c, row, column)


def convolve(x, weight, bias, stride, padding):
    """y_fij = b_f + Σ_cuv W_fcuv x_c,si+u−p,sj+v−p, of an image x (C, H, W) and weights (F, C, K, K): y (F, OH, OW)."""
    filters, _, k, _ = weight.shape
    height, width = ((pixels + 2 * padding - k) // stride + 1 for pixels in x.shape[1:])
    y = np.zeros((filters, height, width)) + bias[:, None, None]
    for output, tap, pixel in taps(weight, y, stride, padding, x):
        y[output] += weight[tap] * x[pixel]
    return y


def convolve_backward(x, weight, dy, stride, padding):
    """(dx, dweight, dbias): each term of y is a weight times a pixel, and either gets dy times the other."""
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for output, tap, pixel in taps(weight, dy, stride, padding, x):
        dweight[tap] += dy[output] * x[pixel]
        dx[pixel] += dy[output] * weight[tap]
    return dx, dweight, dy.sum(axis=(1, 2))


def convolve_with_kernels(x, weight, bias, dy, stride, padding):
    """(y, dx, dweight, dbias) of the same, n images at once: x (C, H, W, n), dy (F, OH, OW, n). A dense layer between
    `gather`, which makes a column of every window, and `scatter_add`, which gives every pixel its share back.
    """
    (filters, channels, k, _), (_, height, width, n) = weight.shape, dy.shape
    matrix = np.concatenate([weight.reshape(filters, -1), bias[:, None]], axis=1)  # [W b]
    columns1 = np.ones((channels * k * k + 1, height * width * n))  # [x; 1], a column to a window
    windows = columns1[:-1].reshape(channels, k, k, height, width, n)  # the same memory
    y, dmatrix, dx = np.empty(dy.shape), np.empty(matrix.shape), np.empty(x.shape)
    dcolumns1, place = np.empty(columns1.shape), {"strides": (stride, stride), "before": (padding, padding)}
    canvas = np.empty(convolution.canvas_shape(windows.shape, x.shape, **place))

    convolution.gather(x, out=windows, **place)
    dense.dense_forward(matrix, columns1, out=y.reshape(filters, -1))
    dense.dense_backward_weight(dy.reshape(filters, -1), columns1.T, out=dmatrix)
    dense.dense_backward_input(matrix.T, dy.reshape(filters, -1), out1=dcolumns1)
    convolution.scatter_add(dcolumns1[:-1].reshape(windows.shape), 0, canvas=canvas, out=dx, **place)
    return y, dx, dmatrix[:, :-1].reshape(weight.shape), dmatrix[:, -1]


# ------------------------------------------------------------------------------------------------- the GAN


def allocate(n, dtype):
    """Every array that training needs, for n real and n generated points a step. The steps allocate no other.

    Samples are columns: an array of shape (features, n) holds n samples. x1, h1 and the like are [x; 1] and [h; 1]: the
    same with a last row of ones, which the bias is multiplied by. Their gradients dx1 and dh1 have that row too:
    dense_backward_input writes the derivative by the ones there, and nobody reads it.
    """
    a = SimpleNamespace(n=n, steps=0)

    def array(*shape):
        return np.zeros(shape, dtype)

    # Parameters: one flat array per network for Adam, and the matrices [W b] as views of it. The same for gradients.
    a.g_theta, a.g_grad, a.g_m, a.g_v, a.g_temp = array(5, 202)  # (202,) each: 25·6 + 2·26
    a.g_w1, a.g_w2 = a.g_theta[:150].reshape(25, 6), a.g_theta[150:].reshape(2, 26)  # (25, 6) and (2, 26)
    a.g_dw1, a.g_dw2 = a.g_grad[:150].reshape(25, 6), a.g_grad[150:].reshape(2, 26)  # (25, 6) and (2, 26)
    a.d_theta, a.d_grad, a.d_m, a.d_v, a.d_temp = array(5, 101)  # (101,) each: 25·3 + 1·26
    a.d_w1, a.d_w2 = a.d_theta[:75].reshape(25, 3), a.d_theta[75:].reshape(1, 26)  # (25, 3) and (1, 26)
    a.d_dw1, a.d_dw2 = a.d_grad[:75].reshape(25, 3), a.d_grad[75:].reshape(1, 26)  # (25, 3) and (1, 26)

    # The generator on n noise vectors.
    a.z1 = array(6, n)  # (6, n): noise
    a.g_h1 = array(26, n)  # (26, n): hidden units
    a.x1 = array(3, n)  # (3, n): generated points
    a.g_dh1 = array(26, n)  # (26, n): ∂L/∂hidden
    a.dx1 = array(3, n)  # (3, n): ∂L/∂points

    # The discriminator when it learns: n real points, then n generated ones, as one batch.
    a.both1 = array(3, 2 * n)  # (3, 2n): points
    a.d_h1 = array(26, 2 * n)  # (26, 2n): hidden units
    a.d_logit = array(1, 2 * n)  # (1, 2n)
    a.d_dh1 = array(26, 2 * n)  # (26, 2n): ∂L/∂hidden
    a.d_dlogit = array(1, 2 * n)  # (1, 2n): ∂L/∂logit
    a.target = np.repeat([[1, 0]], n, axis=1).astype(dtype)  # (1, 2n): 1 for real, 0 for generated

    # The discriminator when it is frozen, on the n generated points in x1.
    a.f_h1 = array(26, n)  # (26, n): hidden units
    a.f_logit = array(1, n)  # (1, n)
    a.f_dh1 = array(26, n)  # (26, n): ∂L/∂hidden
    a.f_dlogit = array(1, n)  # (1, n): ∂L/∂logit

    # Scratch, and the constants of bce_logits_backward: (½ − t)/count, with t = 1 for the generator.
    a.zeros, a.temp = array(2, 25, 2 * n)  # (25, 2n) each
    a.mask = np.zeros((25, 2 * n), bool)  # (25, 2n)
    a.d_offset = (0.5 - a.target) / (2 * n)  # (1, 2n)
    a.f_offset = np.full((1, n), (0.5 - 1) / n, dtype)  # (1, n)

    for with_ones in (a.z1, a.g_h1, a.x1, a.both1, a.d_h1, a.f_h1):
        with_ones[-1] = 1
    return a


def initialize(a, rng):
    """Weights: He uniform before a ReLU, Glorot uniform before an output. Biases stay zero."""
    for w, limit in (
        (a.g_w1, math.sqrt(6 / 5)),
        (a.g_w2, math.sqrt(6 / (25 + 2))),
        (a.d_w1, math.sqrt(6 / 2)),
        (a.d_w2, math.sqrt(6 / (25 + 1))),
    ):
        weight = w[:, :-1]
        weight[...] = rng.uniform(-limit, limit, weight.T.shape).T  # drawn input by input, as numgan.Dense does


def forward(w1, w2, x1, h1, y, zeros):
    """Both networks alike: y = w2·[h; 1] with h = max(w1·[x; 1], 0)."""
    h = h1[:-1]
    dense.dense_forward(w1, x1, out=h)
    activations.relu_forward(h, zeros[:, : h.shape[1]], out=h)
    dense.dense_forward(w2, h1, out=y)


def backward_hidden(a, w2, h1, dy, dh1):
    """∂L/∂y → ∂L/∂(hidden units before their ReLU), in dh1; returns it, without the last row."""
    h, dh, n = h1[:-1], dh1[:-1], dy.shape[1]
    dense.dense_backward_input(w2.T, dy, out1=dh1)
    activations.relu_backward(dh, h, 0, a.mask[:, :n], a.temp[:, :n], out=dh)
    return dh


def adam(a, theta, gradient, m, v, temp):
    """One step of Adam in the form of Keras; optimizers.adam_update derives the two constants."""
    c = math.sqrt((1 - BETA2) / (1 - BETA2**a.steps))
    rate = RATE * (1 - BETA1) / (1 - BETA1**a.steps) / c
    optimizers.adam_update(theta, gradient, m, v, BETA1, BETA2, rate, EPSILON / math.sqrt(1 - BETA2), temp)


def generate(a, noise):
    """noise (5, n) → n generated points, a view of a.x1 (2, n) that the next call overwrites."""
    a.z1[:-1] = noise
    forward(a.g_w1, a.g_w2, a.z1, a.g_h1, a.x1[:-1], a.zeros)
    return a.x1[:-1]


def discriminator_step(a, real, noise):
    """Real points (2, n) are labelled 1, points generated from noise (5, n) 0. The discriminator learns."""
    a.both1[:-1, : a.n] = real
    a.both1[:-1, a.n :] = generate(a, noise)
    forward(a.d_w1, a.d_w2, a.both1, a.d_h1, a.d_logit, a.zeros)

    losses.bce_logits_backward(a.d_logit, a.d_offset, 0.5, 0.5 / (2 * a.n), out=a.d_dlogit)
    dense.dense_backward_weight(a.d_dlogit, a.d_h1.T, out=a.d_dw2)
    dh = backward_hidden(a, a.d_w2, a.d_h1, a.d_dlogit, a.d_dh1)
    dense.dense_backward_weight(dh, a.both1.T, out=a.d_dw1)

    adam(a, a.d_theta, a.d_grad, a.d_m, a.d_v, a.d_temp)


def generator_step(a, noise):
    """Points generated from noise (5, n) are labelled 1. The gradient runs through the discriminator, down to its input
    and on through the generator. The discriminator is frozen: no gradient of its weights is taken, none of them moves.
    """
    generate(a, noise)
    forward(a.d_w1, a.d_w2, a.x1, a.f_h1, a.f_logit, a.zeros)

    losses.bce_logits_backward(a.f_logit, a.f_offset, 0.5, 0.5 / a.n, out=a.f_dlogit)
    dh = backward_hidden(a, a.d_w2, a.f_h1, a.f_dlogit, a.f_dh1)
    dense.dense_backward_input(a.d_w1.T, dh, out1=a.dx1)

    dx = a.dx1[:-1]
    dense.dense_backward_weight(dx, a.g_h1.T, out=a.g_dw2)
    dh = backward_hidden(a, a.g_w2, a.g_h1, dx, a.g_dh1)
    dense.dense_backward_weight(dh, a.z1.T, out=a.g_dw1)

    adam(a, a.g_theta, a.g_grad, a.g_m, a.g_v, a.g_temp)


def training_step(a, real, noise, generator_noise):
    """One step of training: the discriminator learns, then the generator. real (2, n); both noises (5, n)."""
    a.steps += 1
    discriminator_step(a, real, noise)
    generator_step(a, generator_noise)


def last_losses(a):
    """(discriminator's, generator's) loss in the last step, before its updates."""
    d, g = np.empty_like(a.d_logit), np.empty_like(a.f_logit)
    losses.bce_logits_forward(a.d_logit, a.target, np.empty_like(d), out=d)
    losses.bce_logits_forward(a.f_logit, 1, np.empty_like(g), out=g)
    return d.mean(), g.mean()


def train(steps, seed):
    """Train and report at eight moments; returns [(step, points (1024, 2))] for the picture."""
    rng = np.random.default_rng(seed)
    a = allocate(64, np.float32)
    initialize(a, rng)
    moments, snapshots = {round(steps * k / 7) for k in range(8)}, []
    print("   step   discriminator loss   generator loss   mean |y - sin x|   std of x (real: 1)")
    for step in range(steps + 1):
        if step > 0:
            t = rng.standard_normal(a.n)
            training_step(a, np.stack([t, np.sin(t)]), rng.standard_normal((5, a.n)), rng.standard_normal((5, a.n)))
        if step in moments:
            d_loss, g_loss = (f"{loss:.3f}" for loss in last_losses(a)) if step > 0 else ("-", "-")
            points = np.concatenate([generate(a, rng.standard_normal((5, a.n))).T.copy() for _ in range(16)])
            x, y = points.T
            print(f"{step:>7,}{d_loss:>21}{g_loss:>17}{np.abs(y - np.sin(x)).mean():>19.3f}{x.std():>21.3f}")
            snapshots.append((step, points))
    return snapshots


def main():
    parser = argparse.ArgumentParser(description="A GAN from bare kernels and plain arrays.")
    parser.add_argument("--steps", type=int, default=21_000, metavar="N", help="training steps (default 21,000)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of weights, points and noise (default 0)"
    )
    parser.add_argument("--out", type=Path, default="demos-output/bare_kernels", metavar="DIR", help="for the picture")
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.seed < 0:
        parser.error(f"expected --steps from 1 and --seed from 0, got {arguments.steps} and {arguments.seed}")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(str(error))
    snapshots = train(arguments.steps, arguments.seed)
    plots.evolution(snapshots, plots.draw_points, arguments.out / "points.png")
    print(arguments.out / "points.png")


if __name__ == "__main__":
    main()
