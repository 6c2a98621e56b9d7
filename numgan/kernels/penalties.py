"""Gradient penalties: what a GAN's discriminator pays for being steep, and its gradient by hand.

The generator learns along g = ∇ₓs(x), the gradient of the score by the sample. A gradient penalty P is a function of
these g, one for each of N samples:

    WGAN-GP     P = λ·mean (‖g‖ − 1)²     at points x̂ between real and generated samples    [WGP] eq. 3
    R1, R2      P = γ/2·mean ‖g‖²         at real (R1) or generated (R2) samples             [MGN] eq. 9 and 10

To learn from P the discriminator needs ∂P/∂W. But g has come out of a backward pass, so that this is a derivative of
derivatives. Frameworks differentiate the backward pass itself ("double backward"). By hand it is short.

1. Hold v fixed. With v = ∂P/∂g, the chain rule says dP = Σ v·dg. So ∂P/∂W is the gradient of the scalar

        S(W) = Σ v·g(W),   v held fixed at its value (not differentiated: how v depends on W is in ∂P/∂g already).

2. S is a derivative along a line. v·∇ₓs is how fast the score rises when x sets off in the direction v:

        v·∇ₓs(x) = d/dt s(x + t·v) at t = 0 = ṡ.

   So S = Σ ṡ, and ṡ can be worked out going up. Give every activation x_l a tangent ẋ_l, the speed at which it moves;
   at the bottom it is v, and layer by layer

        dense         x_l = W·x_{l−1} + b       ẋ_l = W·ẋ_{l−1}          the forward kernel on [ẋ; 0]: b is no speed
        elementwise   x_l = f(x_{l−1})          ẋ_l = f'(x_{l−1})·ẋ_{l−1}   the *backward* kernel, on ẋ for dy
        convolution, pooling, flattening …      linear: their own forward kernels, without bias.

3. S is bilinear where f is a line. Σ ṡ is the end of a chain of products, and its gradient by any ẋ_l is what the
   ordinary backward pass gives for ∂s/∂x_l: call it δ_l, the pass that g = δ_0 came from. Therefore

        ∂S/∂W_l = δ_l·ẋ_{l−1}ᵀ,   the ordinary weight-gradient kernel on (δ, [ẋ; 0]).

   Its last column, the bias's, is δ·0 = 0: a bias moves the score but no slope of it. (Within one piece of a piecewise
   linear network; at a kink a bias can move a sample into the next piece, and P jumps there: it has no derivative, and
   as everywhere the gradient is that of the piece the sample is in.)

4. Where f is curved, f'(x_{l−1}) in ẋ_l = f'·ẋ_{l−1} depends on the weights below as well. By the product rule the
   gradient of S by x_{l−1} gets

        ε_{l−1} = f''(x_{l−1})·ẋ_{l−1}·δ_l   + what comes from above:  f'·ε_l, then Wᵀ·ε …

   That second share, ε, starts as zero at the score (ṡ depends on x_L by nothing but ẋ), picks up such a term at
   every curved activation and goes down by the ordinary backward kernels; it leaves ε_l·[x; 1]ᵀ in the weights'
   gradients, biases included. ReLU and LeakyReLU have f'' = 0: no third pass, no bias gradient. Kernels for f'' stand
   in `numgan.kernels.activations` (`tanh_curvature` …).

Altogether: forward, backward without weight gradients, tangent forward with weight gradients; for curved activations
one more backward pass. Without those that is four products a layer, where a pass that trains takes three.

Where it goes wrong elsewhere, and what stands here:

    the norm is over all features of a sample, not over one axis and not over the batch       `gradient_norms`
    mix (usually called ε) is one uniform number per sample, not per pixel, and not normal     `interpolate`
    at ‖g‖ = 0 the norm has no derivative; 0 is used, as PyTorch does, and no 0/0               `norm_penalty_backward`
    the mean over samples: v carries 1/N, once                                                both …_backward
    the penalty has to be added: to the loss it is +P, whichever sign the critic's scores have   `add_gradient`

Samples are columns: x, g, v are (n, N), a picture's pixels and channels all among the n.

    [WGP]  Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028.
    [MGN]  Mescheder, Geiger & Nowozin, Which Training Methods for GANs do actually Converge?, 2018, arXiv:1801.04406.
    [P]    Pearlmutter, Fast Exact Multiplication by the Hessian, Neural Computation 6, 1994: the tangent pass.
"""

import numpy as np


def interpolate(real, fake, mix, out):
    """x̂ = fake + mix·(real − fake), a point on the line between each pair, [WGP] algorithm 1.

    real, fake, out (n, N); mix (1, N), uniform in [0, 1): one number per sample.
    """
    np.subtract(real, fake, out=out)
    np.multiply(out, mix, out=out)
    np.add(out, fake, out=out)


def gradient_norms(gradient, temp, out):
    """‖g‖ of each sample, over all of its features. gradient, temp (n, N); out (1, N)."""
    np.multiply(gradient, gradient, out=temp)
    np.add.reduce(temp, axis=-2, keepdims=True, out=out)
    np.sqrt(out, out=out)


def norm_penalty_forward(norm, weight, out):
    """λ·(‖g‖ − 1)² of each sample, [WGP] eq. 3. norm, out (1, N)."""
    np.subtract(norm, 1, out=out)
    np.multiply(out, out, out=out)
    np.multiply(out, weight, out=out)


def norm_penalty_backward(gradient, norm, two_weight_over_count, tiny, row, out):
    """v = 2λ/N·(1 − 1/‖g‖)·g, and 0 where g = 0.

    ∂‖g‖/∂g = g/‖g‖, so ∂(‖g‖ − 1)²/∂g = 2·(‖g‖ − 1)·g/‖g‖, and the mean has 1/N. At g = 0 the norm has no derivative;
    with `tiny`, 10⁻¹⁸, in place of a norm below it the quotient is finite, and times g = 0 it is 0.

    gradient, out (n, N); norm, row (1, N), row scratch.
    """
    np.maximum(norm, tiny, out=row)
    np.divide(1, row, out=row)
    np.subtract(1, row, out=row)
    np.multiply(row, two_weight_over_count, out=row)
    np.multiply(gradient, row, out=out)


def square_penalty_forward(norm, half_weight, out):
    """γ/2·‖g‖² of each sample, [MGN] eq. 9. norm, out (1, N)."""
    np.multiply(norm, norm, out=out)
    np.multiply(out, half_weight, out=out)


def square_penalty_backward(gradient, weight_over_count, out):
    """v = γ/N·g, as ∂(γ/2·‖g‖²)/∂g = γ·g, and the mean has 1/N. gradient, out (n, N)."""
    np.multiply(gradient, weight_over_count, out=out)


def add_gradient(gradient, out):
    """out ← out + gradient, the penalty's share to the loss's. All flat, of one length."""
    np.add(out, gradient, out=out)
