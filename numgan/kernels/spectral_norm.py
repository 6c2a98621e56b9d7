"""Spectral normalisation: a layer with W̄ = W/σ(W) in place of its weights W, σ the largest singular value (Miyato et
al. 2018, Spectral Normalization for Generative Adversarial Networks, arXiv:1802.05957).

σ(W) = max ‖W·h‖/‖h‖ is by how much W can stretch a vector, so that a dense layer with W̄ stretches none: it is
1-Lipschitz, and so is a network of such layers with activations of slope at most 1. (A convolution's W̄ stretches no
patch; as a pixel lies in up to KH·KW of them, an image may still become √(KH·KW) times as long.) A discriminator's
slope is then bounded without its weights being clipped. The bias stretches nothing and stays as it is.

The largest singular value belongs to unit vectors u and v with W·v = σu and Wᵀ·u = σv, so that σ = uᵀ·W·v. They are
found by power iteration, u ← W·v/‖W·v‖ and v ← Wᵀ·u/‖Wᵀ·u‖ by turns: each round multiplies v's part along every other
singular vector by (σᵢ/σ)² relative to the part along the largest. Training moves W by little, so that vectors which are
kept, and iterated once after every update, stay near ([M+] algorithm 1). In a pass they are constants.

Gradient, with G = ∂L/∂W̄ and ⟨A, B⟩ = Σ_ij A_ij B_ij. For u and v fixed, σ = Σ_ij u_i W_ij v_j is linear in W:

    δσ = ⟨u·vᵀ, δW⟩    and    δW̄ = δW/σ − W·δσ/σ² = (δW − W̄·⟨u·vᵀ, δW⟩)/σ
    δL = ⟨G, δW̄⟩ = ⟨G − ⟨G, W̄⟩ u·vᵀ, δW⟩/σ    so    ∂L/∂W = (G − ⟨G, W̄⟩ u·vᵀ)/σ

which is [M+] eq. 12. That of G which would make W̄ larger as a whole is taken off, along the direction in which σ grows.

Why u and v may be held fixed. Let them depend on W, as the singular vectors do: then

    δσ = uᵀ·δW·v + δuᵀ·W·v + uᵀ·W·δv = uᵀ·δW·v + σ δuᵀ·u + σ vᵀ·δv

and both last terms are zero, as uᵀ·u = 1 gives δuᵀ·u = 0, and so for v. σ is the maximum of uᵀ·W·v over unit vectors,
and at a maximum a change of where it is taken changes nothing: the envelope theorem. So at the singular vectors the
gradient is that of W/σ(W) itself. Short of them it is exact for the function that the pass computes, with the vectors
that it uses; only the way in which the vectors will follow W is left out. (After an iteration Wᵀ·u is along v, so that
of the two terms v's is zero however far it has come, and u's is as small as what u lacks.) PyTorch does the same: it
iterates without recording, and its autograd sees u and v as constants.

Shapes. W is the matrix (n_out, fan-in) that PyTorch sees too: a convolution's weights (F, C, KH, KW) are (F, C·KH·KW),
and a transposed one's, (C, F, KH, KW), have the F output channels in front, (F, C·KH·KW). In memory that last one is C
blocks beside each other, [W_1 … W_C], each (F, KH·KW). So all W here are B blocks, (…, B, n_out, k) with fan-in B·k,
one in dense layers and convolutions; u is (…, 1, n_out, 1) and v (…, B, k, 1), and W·v = Σ_b W_b·v_b.
"""

import functools

import numpy as np

from numgan.kernels.convolution import RUN


def _in_short_buffers(kernel):
    """The kernel with NumPy's buffers at RUN numbers. What is no run of memory, as W without the b beside it, goes
    through them unless its rows are longer: u·vᵀ of 512 × 784 takes 226 µs with the usual ones, 60 with these.
    """

    @functools.wraps(kernel)
    def run(*arrays, **named):
        usual = np.setbufsize(RUN)
        try:
            kernel(*arrays, **named)
        finally:
            np.setbufsize(usual)

    return run


@_in_short_buffers
def power_iteration(weight, weightᵀ, u, v, products, norm):
    """u ← W·v/‖W·v‖, then v ← Wᵀ·u/‖Wᵀ·u‖: one round.

    [M+] algorithm 1 begins with v, PyTorch's parametrizations.spectral_norm with u, as here: the same sequence, u and v
    by turns, from its other end. PyTorch bounds both norms by 10⁻¹², which keeps a W of zeros from a division by zero
    but gives it no σ to be divided by.

    weight (…, B, n_out, k), weightᵀ (…, B, k, n_out); u (…, 1, n_out, 1) and v (…, B, k, 1), which are overwritten;
    products (…, B, n_out, 1) and norm (…, 1, 1, 1), scratch.
    """
    np.matmul(weight, v, out=products)
    np.sum(products, axis=-3, keepdims=True, out=u)
    _normalise(u, norm)
    np.matmul(weightᵀ, u, out=v)
    _normalise(v, norm)


def _normalise(vector, norm):
    """vector ← vector/‖vector‖, over all of its blocks."""
    row = vector.reshape(*vector.shape[:-3], 1, 1, -1)
    np.matmul(row, row.mT, out=norm)
    np.sqrt(norm, out=norm)
    np.divide(vector, norm, out=vector)


@_in_short_buffers
def spectral_norm_forward(weight, bias, uᵀ, v, products, shares, sigma, out, out_bias):
    """σ = uᵀ·W·v, W̄ = W/σ; the bias goes along as it is.

    weight (…, B, n_out, k); bias (…, n_out); uᵀ (…, 1, 1, n_out); v (…, B, k, 1); products (…, B, n_out, 1) and shares
    (…, B, 1, 1), scratch; sigma (…, 1, 1, 1), which the backward pass reads; out, which is W̄, of weight's shape;
    out_bias of bias's.
    """
    np.matmul(weight, v, out=products)
    np.matmul(uᵀ, products, out=shares)
    np.sum(shares, axis=-3, keepdims=True, out=sigma)
    np.divide(weight, sigma, out=out)
    np.copyto(out_bias, bias)


@_in_short_buffers
def spectral_norm_backward(normalised, u, vᵀ, sigma, outer, share, out):
    """dW = (dW̄ − ⟨dW̄, W̄⟩ u·vᵀ)/σ, in place of dW̄.

    normalised, which is W̄, (…, B, n_out, k); u (…, 1, n_out, 1); vᵀ (…, B, 1, k); sigma (…, 1, 1, 1), of the forward
    pass; outer (…, B, n_out, k) and share (…, 1, 1, 1), scratch; out, which is dW̄ before and dW after, of W̄'s shape.
    """
    np.multiply(out, normalised, out=outer)
    np.sum(outer, axis=(-3, -2, -1), keepdims=True, out=share)
    np.multiply(u, vᵀ, out=outer)
    np.multiply(outer, share, out=outer)
    np.subtract(out, outer, out=out)
    np.divide(out, sigma, out=out)
