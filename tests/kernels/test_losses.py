"""Loss kernels against plain Python, sample by sample; where they write, in place, and the memory they take."""

import math

import numpy as np
import pytest
from hypothesis import given

from numgan.kernels import losses as kernels
from tests.helpers import rng
from tests.kernels.plain import (
    LARGE,
    assert_computes,
    assert_takes_no_memory,
    blank,
    constants,
    each,
    elementwise,
    kernels_of,
    normal,
    quickly,
    sizes,
)

EPSILON = 0.05


def probabilities(lead, n, samples, seed):
    """Probabilities, some beyond the clip, and targets."""
    p = rng(seed).uniform(0, 1, (*lead, n, samples))
    return p, rng(seed + 1).uniform(0, 1, p.shape)


def clipped(p):
    return min(max(p, EPSILON), 1 - EPSILON)


def bce_forward(*size):
    p, target = probabilities(*size)
    expected = elementwise(lambda p, t: -t * math.log(clipped(p)) - (1 - t) * math.log(1 - clipped(p)), p, target)
    arguments = {"p": p, "target": target, "epsilon": EPSILON, "temp": blank(*p.shape), "out": blank(*p.shape)}
    return kernels.bce_forward, arguments, {"out": expected}, {"temp"}, None


def bce_backward(lead, n, samples, seed):
    p, target = probabilities(lead, n, samples, seed)
    expected = elementwise(
        lambda p, t: (p - t) / (p * (1 - p)) / (n * samples) if EPSILON <= p <= 1 - EPSILON else 0.0, p, target
    )
    arguments = {"p": p, "target": target, "epsilon": EPSILON, "temp": blank(*p.shape), "out": blank(*p.shape)}
    return kernels.bce_backward, arguments, {"out": expected}, {"temp"}, None


def bce_logits_forward(lead, n, samples, seed):
    z, target = 3 * normal(seed, *lead, n, samples), rng(seed).uniform(0, 1, (*lead, n, samples))
    expected = elementwise(lambda z, t: math.log1p(math.exp(z)) - t * z, z, target)
    arguments = {"z": z, "target": target, "temp": blank(*z.shape), "out": blank(*z.shape)}
    return kernels.bce_logits_forward, arguments, {"out": expected}, {"temp"}, None


def bce_logits_backward(lead, n, samples, seed):
    z, target, count = 3 * normal(seed, *lead, n, samples), rng(seed).uniform(0, 1, (n, samples)), n * samples
    expected = elementwise(lambda z, t: (1 / (1 + math.exp(-z)) - t) / count, z, target)
    scalars = constants(half=0.5, half_over_count=0.5 / count)
    arguments = {"z": z, "offset": (0.5 - target) / count, "out": blank(*z.shape)} | scalars
    return kernels.bce_logits_backward, arguments, {"out": expected}, set(), None


def critic_forward(lead, n, samples, seed):
    z = normal(seed, *lead, 1, samples)
    arguments = {"z": z, "out": blank(*z.shape)} | constants(sign=-1)
    return kernels.critic_forward, arguments, {"out": elementwise(lambda z: -z, z)}, set(), None


def critic_backward(lead, n, samples, seed):
    slope, out = normal(seed, samples), blank(*lead, 1, samples)
    return (
        kernels.critic_backward,
        {"slope": slope, "out": out},
        {"out": np.broadcast_to(slope, out.shape)},
        set(),
        None,
    )


def scores(lead, n, samples, seed):
    """Scores, some beyond every margin, and as many numbers."""
    return 2 * normal(seed, *lead, 1, samples), normal(seed + 1, *lead, 1, samples)


def signs(z, seed):
    return rng(seed).choice([-1.0, 1.0], z.shape)


def least_squares_forward(*size):
    z, target = scores(*size)
    arguments = {"z": z, "target": target, "out": blank(*z.shape)}
    expected = elementwise(lambda z, t: 0.5 * (z - t) ** 2, z, target)
    return kernels.least_squares_forward, arguments, {"out": expected}, set(), None


def least_squares_backward(*size):
    z, target = scores(*size)
    share = 1 / (2 + np.arange(target.size).reshape(target.shape))
    arguments = {"z": z, "target": target, "share": share, "out": blank(*z.shape)}
    expected = elementwise(lambda z, t, w: (z - t) * w, z, target, share)
    return kernels.least_squares_backward, arguments, {"out": expected}, set(), None


def hinge_forward(lead, n, samples, seed):
    z = scores(lead, n, samples, seed)[0]
    sign = signs(z, seed)
    arguments = {"z": z, "sign": sign, "out": blank(*z.shape)}
    expected = elementwise(lambda z, s: max(0.0, 1 - s * z), z, sign)
    return kernels.hinge_forward, arguments, {"out": expected}, set(), None


def hinge_backward(lead, n, samples, seed):
    z, slope = scores(lead, n, samples, seed)
    sign = signs(z, seed)
    z.flat[0] = sign.flat[0]  # at the kink itself
    arguments = {"z": z, "sign": sign, "slope": slope, "out": blank(*z.shape)}
    expected = elementwise(lambda z, s, w: w if s * z < 1 else 0.0, z, sign, slope)
    return kernels.hinge_backward, arguments, {"out": expected}, set(), None


def pairing_forward(lead, n, samples, seed):
    better, worse = (scores(lead, n, samples, seed + i)[0] for i in (0, 9))
    arguments = {"better": better, "worse": worse, "out": blank(*better.shape)}
    expected = elementwise(lambda b, w: math.log1p(math.exp(w - b)), better, worse)
    return kernels.pairing_forward, arguments, {"out": expected}, set(), None


def pairing_backward(lead, n, samples, seed):
    better, worse = (scores(lead, n, samples, seed + i)[0] for i in (0, 9))
    arguments = {"better": better, "worse": worse, "out": blank(*better.shape)}
    arguments |= constants(half=0.5, half_slope=-0.5 / samples)
    expected = elementwise(lambda b, w: -1 / (1 + math.exp(b - w)) / samples, better, worse)
    return kernels.pairing_backward, arguments, {"out": expected}, set(), None


def columns_of(function):
    """The function of a sample's column (and its target's), as one of nested lists (classes, samples)."""

    def of_rows(*arrays):
        columns = zip(*(zip(*rows, strict=True) for rows in arrays), strict=True)
        return [list(row) for row in zip(*(function(*column) for column in columns), strict=True)]

    return of_rows


def softmax_of(z):
    total = math.fsum(math.exp(v) for v in z)
    return [math.exp(v) / total for v in z]


def classes(lead, n, samples, seed):
    """Logits and targets that sum to one sample by sample."""
    target = rng(seed).dirichlet(np.ones(n), (*lead, samples)).mT
    return 2 * normal(seed, *lead, n, samples), np.ascontiguousarray(target)


def softmax_forward(lead, n, samples, seed):
    z, _ = classes(lead, n, samples, seed)
    arguments = {"z": z, "row": blank(*lead, 1, samples), "out": blank(*z.shape)}
    return kernels.softmax_forward, arguments, {"out": each(columns_of(softmax_of), z)}, {"row"}, "z"


def softmax_cross_entropy_forward(lead, n, samples, seed):
    z, target = classes(lead, n, samples, seed)

    def loss(z, t):
        return [-math.fsum(a * math.log(p) for a, p in zip(t, softmax_of(z), strict=True))]

    arguments = {"z": z, "target": target, "row": blank(*lead, 1, samples), "temp": blank(*z.shape)}
    arguments |= {"out": blank(*lead, 1, samples)}
    expected = {"out": each(columns_of(loss), z, target)}
    return kernels.softmax_cross_entropy_forward, arguments, expected, {"row", "temp"}, None


def softmax_cross_entropy_backward(lead, n, samples, seed):
    z, target = classes(lead, n, samples, seed)

    def slope(z, t):
        return [(p - a) / samples for p, a in zip(softmax_of(z), t, strict=True)]

    arguments = {"z": z, "target": target, "row": blank(*lead, 1, samples), "out": blank(*z.shape)}
    expected = {"out": each(columns_of(slope), z, target)}
    return kernels.softmax_cross_entropy_backward, arguments, expected, {"row"}, "z"


def numbers_and_targets(lead, n, samples, seed):
    """Numbers, some of them exactly what they should be."""
    y, target = normal(seed, *lead, n, samples), normal(seed + 1, *lead, n, samples)
    return y, np.where(rng(seed).random(y.shape) < 0.3, y, target)


def absolute_error_forward(*size):
    y, target = numbers_and_targets(*size)
    arguments = {"y": y, "target": target, "out": blank(*y.shape)}
    return kernels.absolute_error_forward, arguments, {"out": elementwise(lambda y, t: abs(y - t), y, target)}, (), "y"


def absolute_error_backward(lead, n, samples, seed):
    y, target = numbers_and_targets(lead, n, samples, seed)
    out, share = normal(seed + 2, *y.shape), 0.7 / (n * samples)
    arguments = {"y": y, "target": target, "temp": blank(*y.shape), "out": out} | constants(share=share)
    expected = elementwise(lambda y, t, b: b + share * ((y > t) - (y < t)), y, target, out)
    return kernels.absolute_error_backward, arguments, {"out": expected}, {"temp"}, None


def absolute_error_means(lead, n, samples, seed):
    y, target = numbers_and_targets(lead, n, samples, seed)
    distances = elementwise(lambda y, t: abs(y - t), y, target)
    arguments = {"y": y, "target": target, "temp": blank(*y.shape), "out": blank(*lead, 1, samples)}
    return kernels.absolute_error_means, arguments, {"out": distances.mean(axis=-2, keepdims=True)}, {"temp"}, None


CASES = {
    case.__name__: case
    for case in (
        *(bce_forward, bce_backward, bce_logits_forward, bce_logits_backward, critic_forward, critic_backward),
        *(least_squares_forward, least_squares_backward, hinge_forward, hinge_backward),
        *(pairing_forward, pairing_backward, absolute_error_forward, absolute_error_backward),
        absolute_error_means,
        *(softmax_forward, softmax_cross_entropy_forward, softmax_cross_entropy_backward),
    )
}


@pytest.mark.parametrize("name", CASES)
@given(size=sizes)
@quickly
def test_a_kernel_is_its_formula_sample_by_sample(name, size):
    assert_computes(*CASES[name](*size), tolerance=1e-11)


# These cast, or spread a row over the classes, which NumPy does through a buffer of its own of at most 8,192 numbers,
# whatever the size of the data (672 KB here). No training step of a GAN runs any of them.
BUFFERED = ["bce_backward", "softmax_forward", "softmax_cross_entropy_forward", "softmax_cross_entropy_backward"]
if np.lib.NumpyVersion(np.__version__) < "2.4.0":  # there (2.2.6 at least) one offset for several replicas does it, too
    BUFFERED += ["bce_logits_backward", "absolute_error_means"]
NUMPY_BUFFER = 8 * 8_192 + 2_000


@pytest.mark.parametrize("name", CASES)
def test_a_call_takes_no_memory(name):
    kernel, arguments, *_ = CASES[name](*LARGE, 0)
    bound = {"bound": NUMPY_BUFFER} if name in BUFFERED else {}
    assert_takes_no_memory(kernel, arguments, **bound)


def test_every_kernel_of_the_chapter_is_tried():
    assert kernels_of(kernels) == {*CASES}


def test_a_number_that_is_right_adds_nothing_to_the_gradient_and_any_other_the_same():
    y, out = np.array([[-2.0, 0.0, 1e-300, 5.0]]), np.array([[1.0, 2.0, 3.0, 4.0]])
    kernels.absolute_error_backward(y, np.array([[0.0, 0.0, 0.0, 5.0]]), np.array(0.5), blank(1, 4), out)
    assert out.tolist() == [[0.5, 2.0, 3.5, 4.0]]


@pytest.mark.filterwarnings("error")
def test_no_logit_is_too_large():
    z = np.array([[-1e300, -1e4, -800, 0, 800, 1e4, 1e300]])
    out, temp = blank(*z.shape), blank(*z.shape)
    with np.errstate(under="ignore"):
        kernels.bce_logits_forward(z, np.array(1.0), temp, out)
        assert out.tolist() == [[1e300, 1e4, 800, math.log(2), 0, 0, 0]]
        kernels.bce_logits_backward(z, *constants(offset=-0.5 / 7, half=0.5, half_over_count=0.5 / 7).values(), out)
    np.testing.assert_allclose(out, np.array([[-1, -1, -1, -0.5, 0, 0, 0]]) / 7, atol=1e-16)
