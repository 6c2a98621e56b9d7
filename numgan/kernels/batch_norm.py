"""Batch norm: forward, backward, running statistics, inference.

Every feature is centred and scaled by its mean and variance over the batch, then given a learnt scale γ and
shift β ([IS] algorithm 1). The column vectors γ, β, mean, variance … have shape (n, 1).

Sums over the samples are products with a column of ones, `x @ ones`, a quarter of the time of `add.reduce`; sums of
products are one `vecdot`, which never writes the products down. A column is spread over a scratch array by `copyto`
before it is added or multiplied: NumPy runs arithmetic with a broadcast column through a buffer (82 µs for 512 × 256,
53 so).
"""

import numpy as np


def batch_norm_forward(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
    """Training mode: y = γ·x̂ + β with x̂ = (x − μ)/s and s = √(σ² + ε), [IS] algorithm 1.

    μ = 1/N Σ_i x_i and σ² = 1/N Σ_i (x_i − μ)², feature by feature: the biased variance, as Keras has it.
    x̂ itself is never stored; y = (x − μ)·(γ/s) + β is the same number in one pass less.

    x, out, centred, temp (n, N); ones (N, 1); all else (n, 1). Written: centred = x − μ, mean = μ, variance = σ²,
    inv_std = 1/s, scale = γ/s; temp is scratch. `out` may be x.
    """
    samples = x.shape[-1]
    np.matmul(x, ones, out=mean)
    np.divide(mean, samples, out=mean)
    np.copyto(centred, mean)
    np.subtract(x, centred, out=centred)
    np.vecdot(centred, centred, out=variance[..., 0])
    np.divide(variance, samples, out=variance)
    np.add(variance, epsilon, out=inv_std)
    np.sqrt(inv_std, out=inv_std)
    np.divide(1, inv_std, out=inv_std)
    np.multiply(gamma, inv_std, out=scale)
    np.copyto(temp, scale)
    np.multiply(centred, temp, out=out)
    np.copyto(temp, beta)
    np.add(out, temp, out=out)


def batch_norm_backward_parameters(dy, centred, inv_std, ones, dgamma, dbeta):
    """dβ = Σ_i dy_i and dγ = Σ_i dy_i·x̂_i = 1/s · Σ_i dy_i·(x_i − μ): y = γ·x̂ + β is linear in both.

    dy, centred (n, N); ones (N, 1); inv_std and the results dgamma, dbeta (n, 1).
    """
    np.matmul(dy, ones, out=dbeta)
    np.vecdot(dy, centred, out=dgamma[..., 0])
    np.multiply(dgamma, inv_std, out=dgamma)


def batch_norm_backward_input(dy, centred, inv_std, scale, dgamma, dbeta, column, temp, out):
    """dx = γ/s · (dy − dβ/N − x̂·dγ/N): the gradient minus its components along 1 and along x̂.

    Write g_i = ∂L/∂x̂_i = γ·dy_i. An input reaches the loss along three paths: directly, through μ, through σ².
        direct    ∂x̂_i/∂x_i = 1/s                                  contributes  g_i/s
        by mean   ∂x̂_j/∂μ = −1/s, ∂μ/∂x_i = 1/N                    contributes  −1/s · 1/N Σ_j g_j
        by var.   ∂x̂_j/∂σ² = −x̂_j/(2s²), ∂σ²/∂x_i = 2·s·x̂_i/N     contributes  −1/s · x̂_i · 1/N Σ_j g_j x̂_j
    (σ² has no further path through μ: ∂σ²/∂μ = −2/N Σ_j (x_j − μ) = 0.) Σ g_j = γ·dβ and Σ g_j x̂_j = γ·dγ, and
    the sum of the three is the line above. [IS] section 3 gives the paths, not their sum.

    dgamma and dbeta are those of `batch_norm_backward_parameters`. dy, centred, temp, out (n, N); column and all
    else (n, 1); column and temp are scratch. `out` may be dy.
    """
    samples = dy.shape[-1]
    np.multiply(dgamma, inv_std, out=column)
    np.divide(column, samples, out=column)
    np.copyto(temp, column)
    np.multiply(centred, temp, out=temp)  # x̂·dγ/N, from centred = s·x̂
    np.subtract(dy, temp, out=out)
    np.divide(dbeta, samples, out=column)
    np.copyto(temp, column)
    np.subtract(out, temp, out=out)
    np.copyto(temp, scale)
    np.multiply(out, temp, out=out)


def batch_norm_running(running, batch_value, momentum, rest, column):
    """running ← momentum·running + (1 − momentum)·batch value: Keras's convention, momentum weighs the old value.

    PyTorch's momentum weighs the new value (its 0.2 is our 0.8), and its running variance is the unbiased one.
    `rest` is 1 − momentum; running, batch_value and the scratch column are (n, 1).
    """
    np.multiply(batch_value, rest, out=column)
    np.multiply(running, momentum, out=running)
    np.add(running, column, out=running)


def batch_norm_inference(x, gamma, beta, running_mean, running_variance, epsilon, scale, shift, temp, out):
    """Inference mode: y = x·scale + shift, an affine map per feature, from the running statistics ([IS] eq. 11).

    scale = γ/√(running σ² + ε) and shift = β − running μ·scale are written too. x, out and the scratch temp are
    (n, N), all else (n, 1). `out` may be x.
    """
    np.add(running_variance, epsilon, out=scale)
    np.sqrt(scale, out=scale)
    np.divide(gamma, scale, out=scale)
    np.multiply(running_mean, scale, out=shift)
    np.subtract(beta, shift, out=shift)
    np.copyto(temp, scale)
    np.multiply(x, temp, out=out)
    np.copyto(temp, shift)
    np.add(out, temp, out=out)


def batch_norm_inference_backward(dy, scale, temp, out):
    """dx = dy·scale: the running statistics are constants, so only the direct path is left. `out` may be dy."""
    np.copyto(temp, scale)
    np.multiply(dy, temp, out=out)
