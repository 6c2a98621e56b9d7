"""Losses: binary cross-entropy from probabilities and from logits, those of critics' scores, softmax cross-entropy, and
the distance from a target.

For a probability p and a target t in [0, 1]: ℓ = −t·log p − (1 − t)·log(1 − p), [GBC] section 3.13, and L is the
mean of ℓ. The discriminator's two terms of the minimax game ([GAN] eq. 1) are −ℓ with t = 1 on real and t = 0 on
fake; the generator's non-saturating objective ([GAN] section 3) is ℓ with t = 1 on fake.

For one of n classes: the logits z of a sample become probabilities p = softmax(z), and with a target t that sums to 1
the loss is ℓ = −Σ_j t_j·log p_j, one number per sample, [GBC] section 6.2.2.3; L is the mean of ℓ over the samples.
"""

import numpy as np


def bce_forward(p, target, epsilon, temp, out):
    """ℓ from probabilities, p first clipped to [ε, 1 − ε] as Keras does (ε = 10⁻⁷). All (n, N); out is ℓ."""
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


def critic_forward(z, sign, out):
    """ℓ = sign·z, of a critic's score z: −1 for what it should score high, 1 for what it should score low.

    The critic's two means, E[f(G(z))] − E[f(x)], are minus the Wasserstein distance when f is the best 1-Lipschitz
    function: Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875, eq. 2. All (1, N); sign a scalar.
    """
    np.multiply(z, sign, out=out)


def critic_backward(slope, out):
    """dz = sign/N, which depends on no score. slope holds it for every sample; both (1, N)."""
    np.copyto(out, slope)


def least_squares_forward(z, target, out):
    """ℓ = ½(z − t)², of a critic's score z: Mao et al. 2017, arXiv:1611.04076, eq. 9.

    t = 1 for what it should score as real, 0 for what it should score as generated. All (1, N); t may be a scalar.
    """
    np.subtract(z, target, out=out)
    np.square(out, out=out)
    np.multiply(out, 0.5, out=out)


def least_squares_backward(z, target, share, out):
    """dz = (z − t)/n, n the rows of its side.

    ∂ℓ/∂z = ½·2·(z − t): the square's 2 and the ½ leave nothing. The two sides' means are added, each over its own n
    rows, so that 1/n is another where one side has more rows: `share` holds it for every sample. All (1, N).
    """
    np.subtract(z, target, out=out)
    np.multiply(out, share, out=out)


def hinge_forward(z, sign, out):
    """ℓ = max(0, 1 − s·z), of a critic's score z: Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018,
    arXiv:1802.05957, eq. 16, with min(0, −1 + s·z) = −ℓ.

    s = 1 for what it should score above 1, −1 for what it should score below −1. All (1, N); s may be a scalar.
    """
    np.multiply(z, sign, out=out)
    np.subtract(1, out, out=out)
    np.maximum(out, 0, out=out)


def hinge_backward(z, sign, slope, out):
    """dz = −s/n where s·z < 1, and 0 beyond the margin, where ℓ is constantly 0.

    At the kink s·z = 1 itself any value from −s/n to 0 would do; it is 0, as ReLU's is. `slope` holds −s/n for every
    sample, n the rows of its side. All (1, N).
    """
    np.multiply(z, sign, out=out)
    np.subtract(1, out, out=out)
    np.heaviside(out, 0, out=out)  # 1 where 1 − s·z > 0; a comparison would be cast, through a buffer of NumPy's own
    np.multiply(out, slope, out=out)


def pairing_forward(better, worse, out):
    """ℓ = log(1 + e^−δ) with δ = b − w, of the scores of a pair, of which b should be the higher: softplus(−δ).

    Relativistic pairing: Jolicoeur-Martineau 2018, arXiv:1807.00734; Huang et al. 2024, arXiv:2501.05441, eq. 2. It is
    the cross-entropy −log σ(δ) of the statement "b is the real one". logaddexp(0, −δ) is finite for every finite δ.
    All (1, N).
    """
    np.subtract(worse, better, out=out)
    np.logaddexp(0, out, out=out)


def pairing_backward(better, worse, half, half_slope, out):
    """db = −σ(−δ)/N, dw = σ(−δ)/N: slope·σ(w − b), with the slope −1/N for b and 1/N for w.

    ∂ℓ/∂δ = −e^−δ/(1 + e^−δ) = −σ(−δ), and δ = b − w gives b that slope and w the opposite one. Written as
    σ(a) = ½ + ½·tanh(a/2), which never overflows: half is ½, half_slope is slope/2. All (1, N); out is b's or w's.
    """
    np.subtract(worse, better, out=out)
    np.multiply(out, half, out=out)
    np.tanh(out, out=out)
    np.add(out, 1, out=out)
    np.multiply(out, half_slope, out=out)


def softmax_forward(z, row, out):
    """p_j = e^z_j / Σ_k e^z_k, sample by sample, [GBC] eq. 4.1.

    Dividing both sides of the fraction by e^m, m the sample's largest z, changes nothing but that no exponent is
    positive any more and the sum is at least 1. z, out (n, N); row (1, N) is scratch. `out` may be z.
    """
    np.max(z, axis=-2, keepdims=True, out=row)
    np.subtract(z, row, out=out)
    np.exp(out, out=out)
    np.sum(out, axis=-2, keepdims=True, out=row)
    np.divide(out, row, out=out)


def softmax_cross_entropy_forward(z, target, row, temp, out):
    """ℓ = log Σ_k e^(z_k − m) − Σ_j t_j·(z_j − m), m the row's largest z: finite for every finite z.

    log p_j = z_j − log Σ_k e^z_k = (z_j − m) − log Σ_k e^(z_k − m); put that into ℓ, where Σ_j t_j = 1 takes the
    logarithm out of the sum. p itself is never formed: it may round to 0, of which there is no logarithm.

    z, target and the scratch temp (n, N); the scratch row and out, which is ℓ, (1, N).
    """
    np.max(z, axis=-2, keepdims=True, out=row)
    np.subtract(z, row, out=temp)
    np.vecdot(target, temp, axis=-2, out=out[..., 0, :])
    np.exp(temp, out=temp)
    np.sum(temp, axis=-2, keepdims=True, out=row)
    np.log(row, out=row)
    np.subtract(row, out, out=out)


def softmax_cross_entropy_backward(z, target, row, out):
    """dz = (p − t)/N.

    ∂/∂z_j log Σ_k e^z_k = e^z_j/Σ_k e^z_k = p_j, and ∂/∂z_j Σ_k t_k·z_k = t_j, so ∂ℓ/∂z_j = p_j − t_j. The mean over
    the N samples gives the 1/N: not 1/(N·n), for a sample has one ℓ.

    z, target, out (n, N); row (1, N) is scratch. `out` may be z.
    """
    softmax_forward(z, row, out)
    np.subtract(out, target, out=out)
    np.divide(out, z.shape[-1], out=out)


def absolute_error_forward(y, target, out):
    """ℓ = |y − t|, of a generated number y and the one t that it should be: the L1 distance is Σ ℓ.

    A generator that is shown a condition with its answer is paid for both: L_G = L_adversarial + λ·mean |y − t|, Isola
    et al. 2017, arXiv:1611.07004, eq. 3 and 4. All (…, n, N).
    """
    np.subtract(y, target, out=out)
    np.abs(out, out=out)


def absolute_error_backward(y, target, share, temp, out):
    """dy += share·sign(y − t).

    |y − t| is y − t above t and t − y below: ∂ℓ/∂y = 1 or −1, and λ times the mean over `count` numbers makes that
    ±λ/count, which is `share`. At the kink y = t any value in between would do; it is 0, as sign(0).

    Added, not written: `out` holds the adversary's gradient at the same output already, and the gradient of a sum is
    the sum of gradients.

    y, target, the scratch temp and out (…, n, N); share a scalar.
    """
    np.subtract(y, target, out=temp)
    np.sign(temp, out=temp)
    np.multiply(temp, share, out=temp)
    np.add(out, temp, out=out)


def absolute_error_means(y, target, temp, out):
    """The mean of ℓ = |y − t| over each sample's n numbers. y, target, temp (n, N); out (1, N)."""
    absolute_error_forward(y, target, out=temp)
    np.add.reduce(temp, axis=-2, keepdims=True, out=out)
    np.divide(out, y.shape[-2], out=out)
