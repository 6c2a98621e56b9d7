"""gather and scatter_add against their definition pixel by pixel, against each other, and with what the dense kernels
make of them; the resampling kernels likewise.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numgan.kernels import convolution, resampling
from tests.kernels.plain import assert_takes_no_memory, blank, normal, quickly

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
WINDOWS = st.fixed_dictionaries({
    "lead": st.sampled_from([(), (1,), (2,)]),
    "channels": st.integers(1, 3),
    "image": st.tuples(st.integers(1, 6), st.integers(1, 5)),
    "size": PAIRS,
    "positions": st.tuples(st.integers(1, 5), st.integers(1, 4)),  # some of them beyond the image
    "strides": PAIRS,
    "before": st.tuples(st.integers(0, 3), st.integers(0, 3)),
    "samples": st.integers(1, 3),
    "seed": st.integers(0, 99),
})  # fmt: skip


def arrays(w):
    """An image (…, C, H, W, N) and patches (…, C, KH, KW, OH, OW, N), random."""
    image = normal(w["seed"], *w["lead"], w["channels"], *w["image"], w["samples"])
    patches = normal(w["seed"] + 1, *w["lead"], w["channels"], *w["size"], *w["positions"], w["samples"])
    return image, patches


def taps(w):
    """(u, v, i, j, row, column) of every tap at every position: the pixel that it lies on, on the image or not."""
    (sh, sw), (top, left) = w["strides"], w["before"]
    for u, v, i, j in itertools.product(*map(range, (*w["size"], *w["positions"]))):
        yield u, v, i, j, sh * i + u - top, sw * j + v - left


def on(image, r, q):
    return 0 <= r < image.shape[-3] and 0 <= q < image.shape[-2]


def canvas(patches, image, w):
    return np.full(convolution.canvas_shape(patches.shape, image.shape, **where(w)), np.nan)


def where(w):
    return {"strides": w["strides"], "before": w["before"]}


@given(WINDOWS)
@quickly
def test_every_entry_of_the_patches_is_a_pixel_or_a_zero(w):
    image, patches = arrays(w)
    expected = np.zeros_like(patches)
    for u, v, i, j, r, q in taps(w):
        if on(image, r, q):
            expected[..., u, v, i, j, :] = image[..., r, q, :]
    convolution.gather(image, out=patches, **where(w))
    assert patches.tobytes() == expected.tobytes()


@given(WINDOWS)
@quickly
def test_every_pixel_gets_the_sum_of_the_entries_that_are_its_own(w):
    image, patches = arrays(w)
    start = normal(7, *w["lead"], w["channels"], 1, 1, 1)
    for first in (0.0, start):
        expected = np.zeros_like(image) + first
        for u, v, i, j, r, q in taps(w):
            if on(image, r, q):
                expected[..., r, q, :] += patches[..., u, v, i, j, :]
        on_canvas = start[..., None, None] if first is start else first
        convolution.scatter_add(patches, on_canvas, canvas=canvas(patches, image, w), out=image, **where(w))
        np.testing.assert_allclose(image, expected, rtol=1e-12, atol=1e-12)


@given(WINDOWS)
@quickly
def test_scatter_add_is_the_adjoint_of_gather(w):
    """⟨gather(x), P⟩ = ⟨x, scatter_add(P)⟩, for whatever windows, replicas apart."""
    image, patches = arrays(w)
    gathered, scattered = np.full_like(patches, np.nan), np.full_like(image, np.nan)
    convolution.gather(image, out=gathered, **where(w))
    convolution.scatter_add(patches, 0.0, canvas=canvas(patches, image, w), out=scattered, **where(w))
    axes = tuple(range(len(w["lead"]), patches.ndim)), tuple(range(len(w["lead"]), image.ndim))
    left, right = (gathered * patches).sum(axis=axes[0]), (image * scattered).sum(axis=axes[1])
    size = np.abs(gathered * patches).sum() + 1e-300
    np.testing.assert_allclose(left, right, rtol=0, atol=1e-13 * size)


@given(WINDOWS)
@quickly
def test_the_average_s_way_back_is_its_adjoint(w):
    image, _ = arrays(w)
    share = np.abs(normal(3, *w["positions"], w["samples"]))
    dy = normal(4, *w["lead"], w["channels"], *w["positions"], w["samples"])
    y, dx, temp = np.full_like(dy, np.nan), np.full_like(image, np.nan), np.full_like(dy, np.nan)
    resampling.average_pool_forward(image, share, w["size"], out=y, **where(w))
    shape = (*image.shape[:-3], *w["size"], *dy.shape[-3:])
    sums = np.full(convolution.canvas_shape(shape, image.shape, **where(w)), np.nan)
    resampling.average_pool_backward(dy, share, w["size"], temp=temp, canvas=sums, out=dx, **where(w))
    expected = np.zeros_like(y)
    for _, _, i, j, r, q in taps(w):
        if on(image, r, q):
            expected[..., i, j, :] += image[..., r, q, :] * share[i, j]
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose((y * dy).sum(), (image * dx).sum(), rtol=1e-11, atol=1e-12 * np.abs(y * dy).sum())


@given(WINDOWS)
@quickly
def test_upsampling_repeats_and_its_way_back_is_the_adjoint(w):
    image, _ = arrays(w)
    (height, width), (a, b) = w["image"], w["size"]
    y = blank(*image.shape[:-3], height, a, width, b, w["samples"])
    dy, dx = normal(4, *y.shape), np.full_like(image, np.nan)
    resampling.upsample_forward(image, out=y)
    resampling.upsample_backward(dy, out=dx)
    large = y.reshape(*image.shape[:-3], height * a, width * b, w["samples"])
    assert large.tobytes() == image.repeat(a, axis=-3).repeat(b, axis=-2).tobytes()
    np.testing.assert_allclose((y * dy).sum(), (image * dx).sum(), rtol=1e-11, atol=1e-12 * np.abs(y * dy).sum())


def test_the_sum_of_a_channel_is_over_all_positions_and_samples():
    dy, out = normal(0, 2, 3, 12), blank(2, 3, 1)
    convolution.channel_sums(dy, np.ones((12, 1)), out)
    np.testing.assert_allclose(out[..., 0], dy.sum(axis=-1), rtol=1e-12, atol=1e-13)


W = {"lead": (), "channels": 16, "image": (24, 24), "size": (4, 4), "positions": (12, 12), "strides": (2, 2),
     "before": (1, 1), "samples": 32, "seed": 0}  # fmt: skip


@pytest.mark.parametrize("lead", [(), (2,)])
def test_a_call_takes_no_memory(lead):
    image, patches = arrays(W | {"lead": lead})
    assert_takes_no_memory(convolution.gather, {"x": image, "out": patches, **where(W)})
    scattering = {"patches": patches, "start": 0.0, "canvas": canvas(patches, image, W), "out": image, **where(W)}
    assert_takes_no_memory(convolution.scatter_add, scattering, bound=20_000)
