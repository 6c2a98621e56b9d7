"""Spectral normalisation's kernels against NumPy's singular values and matrices in one piece; the memory they take."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numgan.kernels import spectral_norm as kernels
from tests.helpers import near
from tests.kernels.plain import assert_computes, assert_takes_no_memory, blank, kernels_of, normal, quickly

sizes = st.tuples(  # replicas, blocks, n_out, k, seed
    st.just(()) | st.tuples(st.integers(1, 3)), *[st.integers(1, 4)] * 3, st.integers(0, 2**32 - 1)
)


def whole(blocks):
    """Blocks (…, B, n_out, k) as the matrix (…, n_out, B·k)."""
    *lead, _, n_out, _ = blocks.shape
    return blocks.swapaxes(-3, -2).reshape(*lead, n_out, -1)


def in_blocks(matrix, blocks):
    *lead, n_out, _ = matrix.shape
    return matrix.reshape(*lead, n_out, blocks, -1).swapaxes(-3, -2)


def columns(u, v, blocks):
    """Vectors (…, n_out) and (…, fan-in) in the shapes of the kernels."""
    return u[..., None, :, None], v.reshape(*v.shape[:-1], blocks, -1, 1)


def drawn(lead, blocks, n_out, k, seed):
    """(weights in blocks, u, v)."""
    return normal(seed, *lead, blocks, n_out, k), normal(seed + 1, *lead, n_out), normal(seed + 2, *lead, blocks * k)


def unit(vector):
    return vector / np.sqrt((vector**2).sum(axis=-1, keepdims=True))


def iteration(lead, blocks, n_out, k, seed):
    weight, u, v = drawn(lead, blocks, n_out, k, seed)
    matrix = whole(weight)
    new_u = unit((matrix @ v[..., None])[..., 0])
    new_v = unit((matrix.mT @ new_u[..., None])[..., 0])
    u, v = columns(u, v, blocks)
    expected = dict(zip("uv", columns(new_u, new_v, blocks), strict=True))
    arguments = {"weight": weight, "weightT": weight.mT, "u": u.copy(), "v": v.copy()}
    arguments |= {"products": blank(*lead, blocks, n_out, 1), "norm": blank(*lead, 1, 1, 1)}
    return kernels.power_iteration, arguments, expected, {"products", "norm"}


def forward(lead, blocks, n_out, k, seed):
    weight, u, v = drawn(lead, blocks, n_out, k, seed)
    sigma = (u[..., None, :] @ whole(weight) @ v[..., None])[..., None]
    u, v = columns(u, v, blocks)
    bias = normal(seed + 3, *lead, n_out)
    arguments = {"weight": weight, "bias": bias, "uT": u.mT, "v": v, "products": blank(*lead, blocks, n_out, 1)}
    arguments |= {"shares": blank(*lead, blocks, 1, 1), "sigma": blank(*lead, 1, 1, 1), "out": blank(*weight.shape)}
    arguments["out_bias"] = blank(*bias.shape)
    expected = {"sigma": sigma, "out": weight / sigma, "out_bias": bias}
    return kernels.spectral_norm_forward, arguments, expected, {"products", "shares"}


def backward(lead, blocks, n_out, k, seed):
    """Element by element: ∂W̄_kl/∂W_ij = δ_ik δ_jl/σ − W_kl u_i v_j/σ², in a tensor of four axes."""
    weight, u, v = drawn(lead, blocks, n_out, k, seed)
    sigma = (u[..., None, :] @ whole(weight) @ v[..., None])[..., None]
    given, matrix = normal(seed + 3, *weight.shape), whole(weight)
    n, fan_in = matrix.shape[-2:]
    one = np.einsum("ik,jl->klij", np.eye(n), np.eye(fan_in))
    s = sigma[..., None]  # (…, 1, 1, 1, 1)
    slopes = one / s - np.einsum("...kl,...i,...j->...klij", matrix, u, v) / s**2
    expected = in_blocks(np.einsum("...kl,...klij->...ij", whole(given), slopes), blocks)
    u, v = columns(u, v, blocks)
    arguments = {"normalised": weight / sigma, "u": u, "vT": v.mT, "sigma": sigma, "outer": blank(*weight.shape)}
    arguments |= {"share": blank(*lead, 1, 1, 1), "out": given}
    return kernels.spectral_norm_backward, arguments, {"out": expected}, {"outer", "share"}


CASES = (iteration, forward, backward)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@quickly
@given(sizes)
def test_every_kernel_computes_its_formula(case, size):
    kernel, arguments, expected, scratch = case(*size)
    assert_computes(kernel, arguments, expected, scratch, tolerance=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_no_kernel_takes_memory(case):
    """300 KB of weights, beside a bias, as they lie in a network."""
    kernel, arguments, _, _ = case((2,), 1, 6, 7, 0)
    for name, array in arguments.items():
        sized = np.ones([{6: 60, 7: 300}.get(n, n) for n in array.shape])
        arguments[name] = np.ones((2, 60, 301))[:, None, :, :-1] if sized.shape == (2, 1, 60, 300) else sized
    assert_takes_no_memory(kernel, arguments, bound=20_000)  # of 512 numbers a buffer; NumPy 2.0 has more of them


def test_every_kernel_is_tried():
    assert kernels_of(kernels) - {"_normalise", "_in_short_buffers"} == {
        case((1,), 1, 2, 3, 0)[0].__name__ for case in CASES
    }


@pytest.mark.parametrize("blocks", [1, 3])
def test_many_rounds_find_the_largest_singular_value_and_its_vectors(blocks):
    kernel, arguments, _, _ = iteration((2,), blocks, 5, 4, 1)
    for _ in range(1_000):
        kernel(**arguments)
    left, values, right = np.linalg.svd(whole(arguments["weight"]), full_matrices=False)
    u, v = arguments["u"][:, 0, :, 0], arguments["v"].reshape(2, -1)
    sign = np.sign((u * left[..., 0]).sum(axis=-1, keepdims=True))
    near(u, sign * left[..., 0], 1e-10)
    near(v, sign * right[:, 0], 1e-10)
    sigma = (u[:, None, :] @ whole(arguments["weight"]) @ v[..., None]).ravel()
    near(sigma, values[:, 0], 1e-13)
