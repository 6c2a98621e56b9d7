"""Conv2D and Conv2DTranspose, pooling and upsampling, against plain loops over a padded image; what they refuse."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from numgan import AveragePooling2D, Conv2D, Conv2DTranspose, Dense, Flatten, Reshape, Sequential, UpSampling2D
from numgan import check_adjoint as adjoint
from numgan.errors import ArgumentError
from numgan.nn import convolution
from numgan.nn.network import copy_layer
from tests.helpers import DTYPES, near, peak_memory, rng

quickly = settings(max_examples=25, deadline=None)

PAIRS = st.tuples(st.integers(1, 4), st.integers(1, 3))
SIDES = st.tuples(st.integers(0, 3), st.integers(0, 3))
CONFIGURATIONS = st.fixed_dictionaries({
    "filters": st.integers(1, 3),
    "kernel_size": PAIRS,
    "strides": PAIRS,
    "padding": st.sampled_from(["same", "valid"]) | st.tuples(SIDES, SIDES),
})  # fmt: skip
TOO_MUCH = {"filters": st.just(1), "kernel_size": PAIRS, "strides": PAIRS, "padding": st.tuples(SIDES, SIDES)}
IMAGES = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 5))


# ------------------------------------------------------------------------------------------------- the plain loops


def same(pixels, size, stride):
    """(zeros in front, behind) of padding "same", from TensorFlow's documentation."""
    over = max(size - (pixels % stride or stride), 0)
    return over // 2, over - over // 2


def sides(pixels, c):
    """((top, bottom), (left, right)) of a convolution of images of so many pixels."""
    if c["padding"] == "same":
        return [same(*axis) for axis in zip(pixels, c["kernel_size"], c["strides"], strict=True)]
    return [(0, 0), (0, 0)] if c["padding"] == "valid" else c["padding"]


def windows(shape, c):
    """The slices of a padded image of that shape that the windows lie on: (i, j, rows, columns)."""
    (kh, kw), (sh, sw) = c["kernel_size"], c["strides"]
    for i, j in itertools.product(range((shape[0] - kh) // sh + 1), range((shape[1] - kw) // sw + 1)):
        yield i, j, slice(sh * i, sh * i + kh), slice(sw * j, sw * j + kw)


def convolved(x, weight, bias, c):
    """y (N, F, OH, OW) for x (N, C, H, W), weight (F, C, KH, KW)."""
    x = np.pad(x, [(0, 0), (0, 0), *sides(x.shape[2:], c)])
    found = {(i, j): (x[:, None, :, r, q] * weight).sum(axis=(2, 3, 4)) for i, j, r, q in windows(x.shape[2:], c)}
    rows, columns = (1 + max(place[axis] for place in found) for axis in (0, 1))
    return np.stack([found[i, j] for i in range(rows) for j in range(columns)], -1).reshape(
        len(x), -1, rows, columns
    ) + bias.reshape(-1, 1, 1)


def painted(x, weight, bias, c):
    """y (N, F, OH, OW) for x (N, C, H, W), weight (C, F, KH, KW): each pixel's window on a canvas, the rim cut off."""
    (kh, kw), (sh, sw), (h, w) = c["kernel_size"], c["strides"], x.shape[2:]
    canvas = np.zeros((len(x), weight.shape[1], sh * h + kh, sw * w + kw))  # larger than the windows reach
    for i, j in itertools.product(range(h), range(w)):
        canvas[:, :, sh * i : sh * i + kh, sw * j : sw * j + kw] += np.einsum("nc,cfuv->nfuv", x[:, :, i, j], weight)
    cut = []
    for n, k, s, padding in zip((h, w), (kh, kw), (sh, sw), sides((h, w), c), strict=True):
        if c["padding"] == "same":
            front = max(k - s, 0) // 2
            cut.append(slice(front, front + n * s))
        elif c["padding"] == "valid":
            cut.append(slice(0, n * s + max(k - s, 0)))
        else:
            cut.append(slice(padding[0], (n - 1) * s + k - padding[1]))
    return canvas[:, :, cut[0], cut[1]] + bias.reshape(-1, 1, 1)


def fits(kind, shape, c):
    """Whether the layer can be: whether some window lies on the padded image, or some pixel is left."""
    for pixels, k, s, (front, back) in zip(shape[1:], c["kernel_size"], c["strides"], sides(shape[1:], c), strict=True):
        if isinstance(c["padding"], str) and (c["padding"] == "same" or kind is Conv2DTranspose):
            continue
        if (front + pixels + back < k) if kind is Conv2D else ((pixels - 1) * s + k - front - back < 1):
            return False
    return True


def network_of(kind, shape, c, dtype="float64", replicas=None):
    network = Sequential([kind(**c)], shape, rng(1), dtype, replicas)
    network.values[...] = rng(2).normal(0, 1, network.values.shape)
    return network


ORACLES = {Conv2D: convolved, Conv2DTranspose: painted}
BOTH = pytest.mark.parametrize("kind", ORACLES, ids=lambda kind: kind.__name__)


def passes(network, x, dy):
    """Output, input gradient and parameter gradients, as copies."""
    y = network.forward(x, True).copy()
    return y, network.backward(dy).copy(), network.grads.copy()


@BOTH
@given(shape=IMAGES, c=CONFIGURATIONS, rows=st.integers(1, 3))
@quickly
def test_outputs_are_those_of_the_plain_loops(kind, shape, c, rows):
    assume(fits(kind, shape, c))
    network, x = network_of(kind, shape, c), rng(3).normal(0, 1, (rows, *shape))
    p = network.layers[0].params
    expected = ORACLES[kind](x, p["weight"], p["bias"], c)
    assert network.shapes[-1] == expected.shape[1:]
    near(network.predict(x), expected, 1e-12)
    near(network.forward(x, True), expected, 1e-12)


@BOTH
@given(shape=st.tuples(*[st.integers(1, 2)] * 3), c=st.fixed_dictionaries(TOO_MUCH))
@settings(quickly, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_does_not_fit_is_refused_and_nothing_else(kind, shape, c):
    assume(not fits(kind, shape, c))
    with pytest.raises(ValueError, match=r"_1: (a window of .* does not fit into an image|of .* leaves no pixel)"):
        Sequential([kind(**c)], shape, rng())


@BOTH
@given(shape=IMAGES, c=CONFIGURATIONS, replicas=st.sampled_from([None, 2]), piece=st.sampled_from([1, 60, 300]))
@quickly
def test_in_pieces_everything_is_as_in_one(kind, shape, c, replicas, piece):
    """The same bits of an input gradient, whose pixels are summed alike; the same parameter gradients but for the order
    of their sums.
    """
    assume(fits(kind, shape, c))
    whole, lead = convolution.PIECE, () if replicas is None else (replicas,)
    network = network_of(kind, shape, c, replicas=replicas)
    x, dy = rng(3).normal(0, 1, (*lead, 3, *shape)), rng(4).normal(0, 1, (*lead, 3, *network.shapes[-1]))
    expected = passes(network, x, dy)
    try:
        convolution.PIECE = piece
        found = passes(network_of(kind, shape, c, replicas=replicas), x, dy)
    finally:
        convolution.PIECE = whole
    for ours, theirs in zip(found, expected, strict=True):
        near(ours, theirs, 1e-12)


def test_a_small_piece_really_is_a_piece(monkeypatch):
    """Else the test above would compare a thing with itself."""

    def scatters():
        network = network_of(Conv2D, (2, 5, 4), {"filters": 3, "kernel_size": 3, "padding": "same"})
        calls = network.plan(4, training=True, backward=True, input_gradient=True)
        return sum(call.name == "scatter_add" for call in calls.backward)

    assert scatters() == 1
    monkeypatch.setattr(convolution, "PIECE", 1)
    assert scatters() > 1


@BOTH
@given(shape=IMAGES, c=CONFIGURATIONS)
@quickly
def test_a_stack_of_replicas_is_its_networks_one_by_one(kind, shape, c):
    assume(fits(kind, shape, c))
    stack, single = network_of(kind, shape, c, replicas=3), network_of(kind, shape, c)
    x, dy = rng(3).normal(0, 1, (3, 2, *shape)), rng(4).normal(0, 1, (3, 2, *stack.shapes[-1]))
    together = passes(stack, x, dy)
    for r in range(3):
        single.values[...] = stack.values[r]
        for ours, theirs in zip(together, passes(single, x[r], dy[r]), strict=True):
            near(ours[r], theirs, 1e-12)


@BOTH
@given(shape=IMAGES, c=CONFIGURATIONS)
@quickly
def test_float32_is_close_to_float64(kind, shape, c):
    assume(fits(kind, shape, c))
    narrow, wide = (network_of(kind, shape, c, dtype) for dtype in DTYPES)
    wide.values[...] = narrow.values
    x, dy = (rng(k).normal(0, 1, (2, *s)).astype(np.float32) for k, s in ((3, shape), (4, narrow.shapes[-1])))
    for ours, theirs in zip(passes(narrow, x, dy), passes(wide, x, dy), strict=True):
        assert ours.dtype == np.float32
        near(ours, theirs, 2e-5 * max(np.abs(theirs).max(), 1))


# ------------------------------------------------------------------------------------------------ linear maps


def forward_of(network):
    """y for one x, in training mode."""
    return lambda x: network.forward(x[None], True)[0].copy()


def backward_of(network, shape):
    network.forward(np.zeros((1, *shape)), True)
    return lambda dy: network.backward(dy[None])[0].copy()


@given(shape=IMAGES, c=CONFIGURATIONS)
@quickly
def test_a_transposed_convolution_is_the_transpose_of_the_convolution_of_equal_weight(shape, c):
    """The weight (F, C, KH, KW) of one is that of the other; without bias. Rows and columns that no window sees are
    none of the transposed one's, so the image is one that the windows cover exactly, or with "same" a multiple of the
    strides.
    """
    if c["padding"] == "same":
        shape = (shape[0], *(n * s for n, s in zip(shape[1:], c["strides"], strict=True)))
        assume(all(k >= s for k, s in zip(c["kernel_size"], c["strides"], strict=True)))
    elif c["padding"] == "valid":  # Keras's transposed one makes s pixels of each, and k − s more
        c = c | {"padding": ((0, 0), (0, 0))}
    assume(fits(Conv2D, shape, c))
    convolved = network_of(Conv2D, shape, c)
    if c["padding"] != "same":
        covered = tuple(
            (n - 1) * s + k - sum(p)
            for n, s, k, p in zip(convolved.shapes[-1][1:], c["strides"], c["kernel_size"], c["padding"], strict=True)
        )
        assume(min(covered) > 0)
        shape = (shape[0], *covered)
        convolved = network_of(Conv2D, shape, c)
    transposed = network_of(Conv2DTranspose, convolved.shapes[-1], c | {"filters": shape[0]})
    assert transposed.shapes == convolved.shapes[::-1]
    transposed.layers[0].params["weight"][...] = convolved.layers[0].params["weight"]
    for network in (convolved, transposed):
        network.layers[0].params["bias"][...] = 0
    adjoint(forward_of(convolved), forward_of(transposed), shape).raise_for_failure()
    near(
        backward_of(convolved, shape)(np.ones(transposed.shapes[0])),
        forward_of(transposed)(np.ones(transposed.shapes[0])),
        1e-12,
    )


def test_a_frozen_pass_finds_its_ones_where_it_left_them():
    """A convolution's patches and ones, (3 + 1, 4·N), and a transposed one's patches on its way back, (1·4, 4·N)."""
    network = Sequential([Conv2D(1, 1), Conv2DTranspose(1, 2, 2)], (3, 2, 2), rng(), "float64")
    network.values[...] = rng(1).normal(0, 1, network.values.shape)
    x = rng(2).normal(0, 1, (5, 3, 2, 2))
    before = network.forward(x).copy()
    network.backward(rng(3).normal(0, 1, before.shape))
    np.testing.assert_array_equal(network.forward(x), before)


@pytest.mark.parametrize(
    "layer",
    [
        UpSampling2D(), UpSampling2D((3, 1)), AveragePooling2D(), AveragePooling2D((2, 3), 1, "same"),
        AveragePooling2D(3, (2, 1), ((1, 0), (0, 2))), Conv2D(2, 3, 2, "same"), Conv2DTranspose(2, (3, 2), 2),
    ],
    ids=repr,
)  # fmt: skip
def test_backward_is_the_transpose_of_forward(layer):
    network = Sequential([layer], (2, 5, 4), rng(), "float64")  # whose bias is 0
    adjoint(forward_of(network), backward_of(network, (2, 5, 4)), (2, 5, 4)).raise_for_failure()


@given(shape=IMAGES, size=st.tuples(st.integers(1, 3), st.integers(1, 3)))
@quickly
def test_pooling_takes_upsampling_back(shape, size):
    network = Sequential([UpSampling2D(size), AveragePooling2D(size)], shape, rng(), "float64")
    x = rng(1).normal(0, 1, (3, *shape))
    assert network.shapes[-1] == shape
    near(network.predict(x), x, 1e-12)


@given(shape=IMAGES, c=CONFIGURATIONS)
@quickly
def test_a_mean_of_equal_pixels_is_that_pixel_padding_or_not(shape, c):
    """Padding does not count; a window on padding alone, if there is one, gives 0."""
    assume(fits(Conv2D, shape, c))
    layer = AveragePooling2D(c["kernel_size"], c["strides"], c["padding"])
    network = Sequential([layer], shape, rng(), "float64")
    y, seen = network.predict(np.full((1, *shape), 7.0))[0, 0], np.pad(np.ones(shape[1:]), sides(shape[1:], c))
    for i, j, r, q in windows(seen.shape, c):
        assert y[i, j] == pytest.approx(7 if seen[r, q].any() else 0, abs=1e-12)


# ------------------------------------------------------------------------------------------------ weights and words


@pytest.mark.parametrize("kind, fans", [(Conv2D, (4 * 6, 16 * 6)), (Conv2DTranspose, (16 * 6, 4 * 6))])
def test_an_initialiser_is_told_shape_and_fans(kind, fans):
    """Of a transposed convolution those of the convolution that it turns round, as in Keras and PyTorch."""
    told = []

    def initializer(rng, shape, fan_in, fan_out, dtype):
        told.append((shape, fan_in, fan_out, dtype))
        return np.full(shape, len(told), dtype)

    network = Sequential([kind(16, (2, 3), initializer=initializer)], (4, 5, 5), rng(), replicas=2)
    shape = (16, 4, 2, 3) if kind is Conv2D else (4, 16, 2, 3)
    assert told == [(shape, *fans, np.dtype("float32"))] * 2
    weight = network.layers[0].params["weight"]
    assert weight.shape == (2, *shape) and (weight[0] == 1).all() and (weight[1] == 2).all()
    assert not network.layers[0].params["bias"].any()


@pytest.mark.parametrize("kind, fan_in, fan_out", [(Conv2D, 8 * 25, 64 * 25), (Conv2DTranspose, 64 * 25, 8 * 25)])
def test_weights_start_within_glorot_s_limits(kind, fan_in, fan_out):
    weight = Sequential([kind(64, 5)], (8, 6, 6), rng()).layers[0].params["weight"]
    limit = math.sqrt(6 / (fan_in + fan_out))
    assert 0.99 * limit < np.abs(weight).max() <= limit * (1 + 1e-6)
    weight = Sequential([kind(64, 5, initializer="he_normal")], (8, 6, 6), rng()).layers[0].params["weight"]
    assert weight.std() == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)


def test_a_summary_shows_images_and_parameters():
    layers = [
        Dense(8), Reshape((2, 2, 2)), Conv2DTranspose(3, 4, 2, "same"), UpSampling2D(), AveragePooling2D(2, 1),
        Conv2D(5, (2, 3), padding=((1, 0), (0, 0))), Flatten(), Dense(1),
    ]  # fmt: skip
    network = Sequential(layers, 4, rng())
    assert network.shapes[2:7] == [(2, 2, 2), (3, 4, 4), (3, 8, 8), (3, 7, 7), (5, 7, 5)]
    lines = network.summary().splitlines()
    for name, shape, count in (
        ("conv2d_transpose_1 (Conv2DTranspose)", "(batch, 3, 4, 4)", 2 * 3 * 16 + 3),
        ("up_sampling2d_1 (UpSampling2D)", "(batch, 3, 8, 8)", 0),
        ("average_pooling2d_1 (AveragePooling2D)", "(batch, 3, 7, 7)", 0),
        ("conv2d_1 (Conv2D)", "(batch, 5, 7, 5)", 3 * 5 * 6 + 5),
    ):
        (line,) = [line for line in lines if line.startswith(name)]
        assert shape in line and line.endswith(f" {count}")


def test_a_layer_s_settings_make_it_again():
    for layer in (
        Conv2D(2, 3, (2, 1), "same"), Conv2DTranspose(2, (3, 4), 2, ((0, 1), (1, 0))), UpSampling2D((2, 3)),
        AveragePooling2D((2, 3)), AveragePooling2D(2, 1, 1),
    ):  # fmt: skip
        twin = type(layer)(**layer.config())
        assert twin.config() == layer.config() and repr(twin) == repr(layer)


REFUSED = {
    "no filters": (lambda: Conv2D(0, 3), r"Conv2D\(filters\) must be a positive integer, got 0"),
    "a kernel of nothing": (lambda: Conv2D(2, 0), r"Conv2D\(kernel_size\) must be a positive integer, got 0"),
    "a kernel of a mile": (lambda: Conv2D(2, 10**7), r"Conv2D\(kernel_size\) must be at most 1000000"),
    "half a kernel": (lambda: Conv2DTranspose(2, 2.5), r"\(kernel_size\) must be a positive integer, got 2.5"),
    "a kernel of three sides": (lambda: Conv2D(2, (3, 3, 3)), r"Conv2D\(kernel_size\) must be .* or a pair of them"),
    "a kernel in words": (lambda: Conv2D(2, "3"), r"Conv2D\(kernel_size\) must be"),
    "strides of 0": (lambda: Conv2D(2, 3, 0), r"Conv2D\(strides\) must be a positive integer, got 0"),
    "strides of −1": (lambda: Conv2DTranspose(2, 3, (1, -1)), r"Conv2DTranspose\(strides\) must be"),
    "padding full": (lambda: Conv2D(2, 3, 1, "full"), r"Conv2D\(padding\) must be 'valid', 'same' or .*, got 'full'"),
    "padding of −1": (lambda: Conv2D(2, 3, 1, -1), r"Conv2D\(padding\) must be an integer from 0 up, got -1"),
    "padding of three": (lambda: Conv2D(2, 3, 1, (1, 1, 1)), r"Conv2D\(padding\) must be a whole number or a pair"),
    "no padding": (lambda: Conv2D(2, 3, 1, None), r"Conv2D\(padding\) must be"),
    "an initialiser of no name": (lambda: Conv2D(2, 3, initializer="best"), r"best"),
    "a pool of 0": (lambda: AveragePooling2D(0), r"AveragePooling2D\(pool_size\) must be a positive integer, got 0"),
    "blocks of 0": (lambda: UpSampling2D(0), r"UpSampling2D\(size\) must be"),
    "a window larger than the image": (
        lambda: Sequential([Conv2D(2, 5)], (1, 4, 6), rng()),
        r"conv2d_1: a window of \(5, 5\) with padding 'valid' does not fit into an image of 4 × 6",
    ),
    "a pool larger than the image": (
        lambda: Sequential([AveragePooling2D(3)], (1, 4, 2), rng()),
        r"average_pooling2d_1: a window of \(3, 3\) .* does not fit into an image of 4 × 2",
    ),
    "all cut off": (
        lambda: Sequential([Conv2DTranspose(2, 3, 1, 2)], (1, 2, 2), rng()),
        r"conv2d_transpose_1: of 2 × 2 windows of \(3, 3\) the padding .* leaves no pixel",
    ),
    "features for an image": (
        lambda: Sequential([Conv2D(2, 3)], 784, rng()),
        r"conv2d_1: Conv2D expects images of shape \(channels, height, width\), got the shape \(784,\); Reshape first",
    ),
    "features to enlarge": (lambda: Sequential([UpSampling2D()], (2, 3), rng()), r"up_sampling2d_1: .*Reshape first"),
    "features to pool": (lambda: Sequential([AveragePooling2D()], 9, rng()), r"average_pooling2d_1: .*Reshape first"),
    "features to paint with": (lambda: Sequential([Conv2DTranspose(1, 2)], 9, rng()), r".*Reshape first"),
    "channels last": (
        lambda: Sequential([Conv2D(2, 3)], (1, 28, 28), rng()).predict(np.zeros((5, 28, 28, 1))),
        r"expects images of \(channels, height, width\) \(1, 28, 28\), got input of shape \(5, 28, 28, 1\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_sentence(case):
    make, words = REFUSED[case]
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("layer, shape", [
    (UpSampling2D(1_000_000), (1, 2, 2)),
    (Conv2D(1, 1, padding=1_000_000), (1, 2, 2)),
    (Conv2DTranspose(1, 1, strides=1_000_000), (1, 3, 3)),
    (AveragePooling2D(2, 1, padding=1_000_000), (1, 2, 2)),
    (Conv2D(1, 1_000, padding="same"), (1, 1_000, 1_000)),
], ids=repr)  # fmt: skip
def test_what_would_not_fit_into_memory_is_refused_before_it_is_taken(layer, shape):
    """A file may hold such a layer, which has hardly a parameter."""
    network = Sequential([copy_layer(layer)], shape, rng())
    x = np.zeros((1, *shape), np.float32)
    assert peak_memory(lambda: refused(network, x)) < 100_000_000


def refused(network, x):
    with pytest.raises(ArgumentError, match=r"would take [\d,.e+]+ GiB, this machine has"):
        network.predict(x)
