"""The mathematics of numgan: every forward pass directly above its backward pass, derived line by line.

A kernel is a function on arrays. It knows no class, keeps no state and allocates nothing: it writes into the
buffers it is handed. Read from top to bottom, this file is a short course on backpropagation.

Conventions
    L       the loss, a scalar. `dy` means ∂L/∂y and has the shape of `y`.
    shapes  written without the leading axes: `x` is (batch, features), N is the batch, n the features. Any axes
            in front are independent replicas: (R, batch, features) with parameters (R, n_in, n_out).
    memory  any layout gives the same numbers; networks hand in arrays that are contiguous feature by feature
            (`plan.Plan` says why), and the timings quoted are of those.
    out     where the result goes. "May be x" says that the kernel can run in place.
    scalars (slopes, rates, ε) are 0-d arrays of the data's dtype: a Python float makes a small
            call 1.7 times as long, because NumPy has to convert it first.

Sources
    [GBC]   Goodfellow, Bengio & Courville, Deep Learning, MIT Press 2016.
    [IS]    Ioffe & Szegedy, Batch Normalization, 2015, arXiv:1502.03167.
    [KB]    Kingma & Ba, Adam, 2015, arXiv:1412.6980.
    [GAN]   Goodfellow et al., Generative Adversarial Nets, 2014, arXiv:1406.2661.
    [MHN]   Maas, Hannun & Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013.
"""

import numpy as np

# ---------------------------------------------------------------------------------------------------------- dense
#
# A dense layer is y = x·W + b. Its bias is a weight like any other once every row of x ends in a one:
#
#     y = [x 1]·[W; b]
#
# so W and b are kept as one matrix `weight` of shape (n_in + 1, n_out), b its last row, and `x1` is [x 1], of
# shape (N, n_in + 1). One product then does the work of a product and a broadcast addition, and in the backward
# pass the bias gradient comes out of the weight gradient's product. (At the sine GAN's 128 × 25 the addition would
# take 4.6 µs and the reduction 4.4, beside a product's 1.9; in wide layers the extra row is lost in the noise.)
#
# Activations lie in memory feature by feature, so what a product finds there row by row is a transpose: `x1_t` is
# x1ᵀ of shape (n_in + 1, N), `dy_t` is dyᵀ, and (A·B)ᵀ = Bᵀ·Aᵀ. The caller hands the transposes in, views made once:
# making three at every call takes as long as a sine GAN's product.


def dense_forward(weight_t, x1_t, out, product=np.matmul):
    """yᵀ = [W; b]ᵀ·[x 1]ᵀ, that is y = [x 1]·[W; b], the affine map of [GBC] eq. 6.1.

    weight_t (n_out, n_in + 1); x1_t (n_in + 1, N), its last row ones; out, which is yᵀ, (n_out, N); product as from
    `fastest_product`.
    """
    product(weight_t, x1_t, out=out)


def dense_backward_weight(x1_t, dy, out, product=np.matmul):
    """[dW; db] = [x 1]ᵀ·dy.

    y_ij = Σ_k x1_ik W_kj, so ∂y_ij/∂W_kl = x1_ik when j = l and 0 otherwise. By the chain rule
        ∂L/∂W_kl = Σ_ij ∂L/∂y_ij ∂y_ij/∂W_kl = Σ_i x1_ik dy_il = (x1ᵀ·dy)_kl.
    The last row, where x1_ik = 1, is Σ_i dy_il = ∂L/∂b_l. The sum over i has no 1/N: the mean is the loss's.

    x1_t (n_in + 1, N); dy (N, n_out); out (n_in + 1, n_out).
    """
    product(x1_t, dy, out=out)


def dense_backward_input(weight, dy_t, out, product=np.matmul):
    """dxᵀ = W·dyᵀ, that is dx = dy·Wᵀ.

    ∂y_ij/∂x_ik = W_kj, so ∂L/∂x_ik = Σ_j dy_ij W_kj = (dy·Wᵀ)_ik. The bias has no part in it.

    weight (n_in, n_out), without the bias row; dy_t (n_out, N); out, which is dxᵀ, (n_in, N).
    """
    product(weight, dy_t, out=out)


def fastest_product(a, b):
    """`dot` or `matmul`, whichever is the faster for a·b; both give the same numbers.

    `dot` takes 2.0 µs where `matmul` takes 2.9 on the sine GAN's matrices, and 107 against 1,388 for the outer product
    of 512 and 512 (a layer of one unit), for which `matmul` has no fast path. But it clears its output first, which
    makes large products 5 % slower, and it knows no stacks of matrices.
    """
    small = a.shape[-2] * b.shape[-1] <= 4096
    return np.dot if a.ndim == b.ndim == 2 and (small or a.shape[-1] == 1) else np.matmul


# ---------------------------------------------------------------------------------------------------- activations
#
# Elementwise, so ∂L/∂x = dy · f'(x), element by element. Each backward pass below reads f' off the output y: the
# input need not be kept, and the forward pass may overwrite it.
#
# `temp` is scratch of the data's shape and dtype, `mask` of its shape and bool. Masks go by way of a bool array and
# `copyto`, because a comparison that casts its result allocates a buffer at every call.


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


# ----------------------------------------------------------------------------------------------------- batch norm
#
# Every feature is centred and scaled by its mean and variance over the batch, then given a learnt scale γ and
# shift β ([IS] algorithm 1). The row vectors γ, β, mean, variance … have shape (1, n).
#
# Column sums are products with a row of ones, `ones @ x`, a quarter of the time of `add.reduce`; sums of products are
# one `vecdot`, which never writes the products down. A row is spread over a scratch array by `copyto` before it is
# added or multiplied: NumPy runs arithmetic with a broadcast row through a buffer (82 µs for 256 × 512, 53 so).


def batch_norm_forward(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
    """Training mode: y = γ·x̂ + β with x̂ = (x − μ)/s and s = √(σ² + ε), [IS] algorithm 1.

    μ = 1/N Σ_i x_i and σ² = 1/N Σ_i (x_i − μ)², feature by feature: the biased variance, as Keras has it.
    x̂ itself is never stored; y = (x − μ)·(γ/s) + β is the same number in one pass less.

    x, out, centred, temp (N, n); ones (1, N); all else (1, n). Written: centred = x − μ, mean = μ, variance = σ²,
    inv_std = 1/s, scale = γ/s; temp is scratch. `out` may be x.
    """
    batch = x.shape[-2]
    np.matmul(ones, x, out=mean)
    np.divide(mean, batch, out=mean)
    np.copyto(centred, mean)
    np.subtract(x, centred, out=centred)
    np.vecdot(centred, centred, axis=-2, out=variance[..., 0, :])
    np.divide(variance, batch, out=variance)
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

    dy, centred (N, n); ones (1, N); inv_std and the results dgamma, dbeta (1, n).
    """
    np.matmul(ones, dy, out=dbeta)
    np.vecdot(dy, centred, axis=-2, out=dgamma[..., 0, :])
    np.multiply(dgamma, inv_std, out=dgamma)


def batch_norm_backward_input(dy, centred, inv_std, scale, dgamma, dbeta, row, temp, out):
    """dx = γ/s · (dy − dβ/N − x̂·dγ/N): the gradient minus its components along 1 and along x̂.

    Write g_i = ∂L/∂x̂_i = γ·dy_i. An input reaches the loss along three paths: directly, through μ, through σ².
        direct    ∂x̂_i/∂x_i = 1/s                                  contributes  g_i/s
        by mean   ∂x̂_j/∂μ = −1/s, ∂μ/∂x_i = 1/N                    contributes  −1/s · 1/N Σ_j g_j
        by var.   ∂x̂_j/∂σ² = −x̂_j/(2s²), ∂σ²/∂x_i = 2·s·x̂_i/N     contributes  −1/s · x̂_i · 1/N Σ_j g_j x̂_j
    (σ² has no further path through μ: ∂σ²/∂μ = −2/N Σ_j (x_j − μ) = 0.) Σ g_j = γ·dβ and Σ g_j x̂_j = γ·dγ, and
    the sum of the three is the line above. [IS] section 3 gives the paths, not their sum.

    dgamma and dbeta are those of `batch_norm_backward_parameters`. dy, centred, temp, out (N, n); row and all else
    (1, n); row and temp are scratch. `out` may be dy.
    """
    batch = dy.shape[-2]
    np.multiply(dgamma, inv_std, out=row)
    np.divide(row, batch, out=row)
    np.copyto(temp, row)
    np.multiply(centred, temp, out=temp)  # x̂·dγ/N, from centred = s·x̂
    np.subtract(dy, temp, out=out)
    np.divide(dbeta, batch, out=row)
    np.copyto(temp, row)
    np.subtract(out, temp, out=out)
    np.copyto(temp, scale)
    np.multiply(out, temp, out=out)


def batch_norm_running(running, batch_value, momentum, rest, temp):
    """running ← momentum·running + (1 − momentum)·batch value: Keras's convention, momentum weighs the old value.

    PyTorch's momentum weighs the new value (its 0.2 is our 0.8), and its running variance is the unbiased one.
    `rest` is 1 − momentum; running, batch_value and the scratch temp are (1, n).
    """
    np.multiply(batch_value, rest, out=temp)
    np.multiply(running, momentum, out=running)
    np.add(running, temp, out=running)


def batch_norm_inference(x, gamma, beta, running_mean, running_variance, epsilon, scale, shift, temp, out):
    """Inference mode: y = x·scale + shift, an affine map per feature, from the running statistics ([IS] eq. 11).

    scale = γ/√(running σ² + ε) and shift = β − running μ·scale are written too. x, out and the scratch temp are
    (N, n), all else (1, n). `out` may be x.
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


# ------------------------------------------------------------------------------------------- binary cross-entropy
#
# For a probability p and a target t in [0, 1]: ℓ = −t·log p − (1 − t)·log(1 − p), [GBC] section 3.13, and L is the
# mean of ℓ. The discriminator's two terms of the minimax game ([GAN] eq. 1) are −ℓ with t = 1 on real and t = 0 on
# fake; the generator's non-saturating objective ([GAN] section 3) is ℓ with t = 1 on fake.


def bce_forward(p, target, epsilon, temp, out):
    """ℓ from probabilities, p first clipped to [ε, 1 − ε] as Keras does (ε = 10⁻⁷). All (N, n); out is ℓ."""
    np.clip(p, epsilon, 1 - epsilon, out=temp)
    np.log(temp, out=out)
    np.multiply(out, target, out=out)  # t·log p
    np.subtract(1, temp, out=temp)
    np.log(temp, out=temp)
    np.add(out, temp, out=out)
    np.multiply(temp, target, out=temp)
    np.subtract(temp, out, out=out)  # t·log(1 − p) − t·log p − log(1 − p)


def bce_backward(p, target, epsilon, temp, out):
    """dp = (p − t)/(p·(1 − p))/count within the clip, 0 beyond it.

    ∂ℓ/∂p = −t/p + (1 − t)/(1 − p) = (p − t)/(p·(1 − p)); the mean over `count` elements gives the 1/count. Beyond
    the clip the forward pass is constant, so a saturated discriminator gets no gradient and stays stuck: the reason
    to train from logits, below.
    """
    np.clip(p, epsilon, 1 - epsilon, out=temp)
    np.subtract(temp, target, out=out)
    np.divide(out, temp, out=out)
    np.subtract(1, temp, out=temp)
    np.divide(out, temp, out=out)
    np.divide(out, p.shape[-2] * p.shape[-1], out=out)
    np.clip(p, epsilon, 1 - epsilon, out=temp)
    np.equal(temp, p, out=temp, casting="unsafe")
    np.multiply(out, temp, out=out)


def bce_logits_forward(z, target, temp, out):
    """ℓ from the logit z = log(p/(1 − p)): ℓ = log(1 + eᶻ) − t·z, finite for every finite z.

    With p = σ(z): log p = z − log(1 + eᶻ) and log(1 − p) = −log(1 + eᶻ); put both into ℓ. No exponent is ever
    positive in log(1 + eᶻ) = max(z, 0) + log(1 + e^−|z|). temp is scratch of z's shape; target broadcasts.
    """
    np.abs(z, out=temp)
    np.negative(temp, out=temp)
    np.exp(temp, out=temp)
    np.log1p(temp, out=temp)
    np.maximum(z, 0, out=out)
    np.add(out, temp, out=out)
    np.multiply(z, target, out=temp)
    np.subtract(out, temp, out=out)


def bce_logits_backward(z, offset, half, half_over_count, out):
    """dz = (σ(z) − t)/count, by σ(z) = ½ + ½·tanh(z/2).

    ∂ℓ/∂z = eᶻ/(1 + eᶻ) − t = σ(z) − t. tanh never overflows, and the rest folds into constants:
        dz = tanh(z/2)·1/(2·count) + (½ − t)/count,
    four passes, the last adding the constant `offset` = (½ − t)/count. half is ½; half_over_count is ½/count.
    """
    np.multiply(z, half, out=out)
    np.tanh(out, out=out)
    np.multiply(out, half_over_count, out=out)
    np.add(out, offset, out=out)


# ------------------------------------------------------------------------------------------- softmax cross-entropy
#
# For one of n classes: the logits z of a row become probabilities p = softmax(z), and with a target row t that sums
# to 1 the loss is ℓ = −Σ_j t_j·log p_j, one number per row, [GBC] section 6.2.2.3; L is the mean of ℓ over the rows.


def softmax_forward(z, row, out):
    """p_j = e^z_j / Σ_k e^z_k, row by row, [GBC] eq. 4.1.

    Dividing both sides of the fraction by e^m, m the row's largest z, changes nothing but that no exponent is positive
    any more and the sum is at least 1. z, out (N, n); row (N, 1) is scratch. `out` may be z.
    """
    np.max(z, axis=-1, keepdims=True, out=row)
    np.subtract(z, row, out=out)
    np.exp(out, out=out)
    np.sum(out, axis=-1, keepdims=True, out=row)
    np.divide(out, row, out=out)


def softmax_cross_entropy_forward(z, target, row, temp, out):
    """ℓ = log Σ_k e^(z_k − m) − Σ_j t_j·(z_j − m), m the row's largest z: finite for every finite z.

    log p_j = z_j − log Σ_k e^z_k = (z_j − m) − log Σ_k e^(z_k − m); put that into ℓ, where Σ_j t_j = 1 takes the
    logarithm out of the sum. p itself is never formed: it may round to 0, of which there is no logarithm.

    z, target and the scratch temp (N, n); the scratch row and out, which is ℓ, (N, 1).
    """
    np.max(z, axis=-1, keepdims=True, out=row)
    np.subtract(z, row, out=temp)
    np.vecdot(target, temp, out=out[..., 0])
    np.exp(temp, out=temp)
    np.sum(temp, axis=-1, keepdims=True, out=row)
    np.log(row, out=row)
    np.subtract(row, out, out=out)


def softmax_cross_entropy_backward(z, target, row, out):
    """dz = (p − t)/N.

    ∂/∂z_j log Σ_k e^z_k = e^z_j/Σ_k e^z_k = p_j, and ∂/∂z_j Σ_k t_k·z_k = t_j, so ∂ℓ/∂z_j = p_j − t_j. The mean over
    the N rows gives the 1/N: not 1/(N·n), for a row has one ℓ.

    z, target, out (N, n); row (N, 1) is scratch. `out` may be z.
    """
    softmax_forward(z, row, out)
    np.subtract(out, target, out=out)
    np.divide(out, z.shape[-2], out=out)


# ------------------------------------------------------------------------------------------------------ optimisers


def sgd_update(theta, gradient, velocity, rate, momentum, temp):
    """v ← momentum·v − rate·g; θ ← θ + v: heavy-ball momentum, [GBC] algorithm 8.2. All flat, of one length."""
    np.multiply(gradient, rate, out=temp)
    np.multiply(velocity, momentum, out=velocity)
    np.subtract(velocity, temp, out=velocity)
    np.add(theta, velocity, out=theta)


def adam_update(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    """One step of Adam, [KB] algorithm 1, on flat arrays of one length; both of its ε forms.

    The paper's moments are m_t = β₁·m + (1 − β₁)·g and v_t = β₂·v + (1 − β₂)·g². Here each is kept divided by its
    (1 − β), so that m ← β₁·m + g and v ← β₂·v + g²: 10 passes in place of 12. Then

        θ ← θ − α·m̂/(√v̂ + ε),   m̂ = (1 − β₁)·m/(1 − β₁ᵗ),   v̂ = (1 − β₂)·v/(1 − β₂ᵗ)

    becomes θ ← θ − rate·m/(√v + epsilon) when numerator and denominator are divided by c = √((1 − β₂)/(1 − β₂ᵗ)):

        rate = α·(1 − β₁)/(1 − β₁ᵗ)/c,    epsilon = ε/c.

    The ε̂ form at the end of [KB] section 2, which Keras uses, adds ε to √v_t before the bias correction: there
    epsilon = ε̂/√(1 − β₂), the same at every step. The caller works out rate and epsilon; θ, m, v are updated.
    """
    np.multiply(m, beta1, out=m)
    np.add(m, gradient, out=m)
    np.multiply(v, beta2, out=v)
    np.multiply(gradient, gradient, out=temp)
    np.add(v, temp, out=v)
    np.sqrt(v, out=temp)
    np.add(temp, epsilon, out=temp)
    np.divide(m, temp, out=temp)
    np.multiply(temp, rate, out=temp)
    np.subtract(theta, temp, out=theta)
