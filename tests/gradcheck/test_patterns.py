"""What a failed row says: the classics by name, and no name for what is none of them."""

import numpy as np
import pytest

from numgan.gradcheck.check import check_gradients
from numgan.nn.layer import Layer
from tests.gradcheck.catalogue import WRONG
from tests.gradcheck.catalogue.entries import Scale, rng

X = rng(1).normal(0, 1, (6, 4))
ROWS, FEATURES = X.shape


def remark(f, gradient, x=X, **more):
    """That of the only wrong row."""
    report = check_gradients(f, x, gradient=gradient, **more)
    (row,) = (row for row in report.rows if row.verdict == "FAIL")
    assert f"{row.tensor}: {row.remark}" in str(report) or not row.remark
    return row.remark


def of_sine(change):
    """The remark on a gradient of sin x that `change` makes of the right one."""
    return remark(np.sin, lambda x, dy: change(dy * np.cos(x)))


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        (-1, "the sign flipped"),
        (2, "counted twice, or a ½ forgotten"),
        (0.5, "counted half, or a square's 2 forgotten"),
        (ROWS, "missing 1/N"),
        (1 / ROWS, "1/N once too often"),
        (-ROWS, "missing 1/N, and the sign flipped"),
        (FEATURES, "missing 1/n"),
        (1 / FEATURES, "1/n once too often"),
        (X.size, "missing 1/count"),
        (1 / X.size, "1/count once too often"),
    ],
)
def test_factors(factor, name):
    said = of_sine(lambda g: factor * g)
    assert said == f"everywhere, by the factor {factor:.6g}, looks like: {name}"


@pytest.mark.parametrize("factor", [3.0, 1.5, -2.0, 0.9, 1.001, 7.0])
def test_a_factor_that_no_mistake_is_known_for_is_told_and_not_named(factor):
    assert of_sine(lambda g: factor * g) == f"everywhere, by the factor {factor:g}"


def test_a_count_that_may_be_either():
    x = X[:4]
    said = remark(np.sin, lambda x, dy: dy * np.cos(x) * 4, x)
    assert said == "everywhere, by the factor 4, looks like: missing 1/N (or 1/n)"


def test_a_slope_that_happens_to_be_one_over_the_rows_is_no_count():
    """Leaky ReLU with a slope of 1/6, applied twice in a batch of 6."""
    f = lambda x: np.where(x > 0, x, x / ROWS)  # noqa: E731
    said = remark(f, lambda x, dy: dy * np.where(x > 0, 1, 1 / ROWS**2))
    assert said == "only where x < 0, by the factor 0.166667"


def test_transposed():
    square = X[:4]
    assert remark(lambda x: float(np.sum(np.sin(x) * np.arange(16).reshape(4, 4))), lambda x: (
        np.cos(x) * np.arange(16).reshape(4, 4)).T, square) == "looks like: transposed"  # fmt: skip
    weights = np.arange(24.0).reshape(6, 4) + 1
    said = remark(lambda x: float(np.sum(x * weights)), lambda x: weights.T.reshape(6, 4))
    assert said.endswith("looks like: transposed, then read in the wrong order")


IMAGES = rng(2).normal(0, 1, (3, 3, 4, 4))  # rows, channels; or filters, channels
TURNED = {
    " turned by 180°": lambda g: g[..., ::-1, ::-1],
    "'s rows and columns exchanged": lambda g: g.swapaxes(2, 3),
}


@pytest.mark.parametrize("how", TURNED)
def test_a_kernel_or_an_image_turned_round(how):
    def gradient(x, dy):
        return TURNED[how](dy * np.cos(x))

    assert remark(np.sin, gradient, IMAGES).endswith(f"looks like: the image{how}")
    (row,) = check_gradients(
        lambda weight: np.sin(weight), {"weight": IMAGES}, gradient=lambda weight, dy: {"weight": gradient(weight, dy)}
    ).rows
    assert row.remark.endswith(f"looks like: the kernel{how}")


def test_channels_in_each_other_s_place():
    exchanged = lambda x, dy: (dy * np.cos(x)).swapaxes(0, 1)  # noqa: E731
    assert remark(np.sin, exchanged, IMAGES).endswith("looks like: channels and rows exchanged")
    (row,) = check_gradients(
        lambda weight: np.sin(weight), {"weight": IMAGES}, gradient=lambda weight, dy: {"weight": exchanged(weight, dy)}
    ).rows
    assert row.remark.endswith("looks like: channels and filters exchanged")


@pytest.mark.parametrize("axis", [0, 1])
def test_reversed_and_off_by_one(axis):
    assert of_sine(lambda g: np.flip(g, axis)).endswith(f"looks like: reversed along axis {axis}")
    assert of_sine(lambda g: np.roll(g, 1, axis)).endswith(f"looks like: off by one along axis {axis}")


def test_the_right_numbers_shuffled():
    order = rng(2).permutation(X.size)
    said = of_sine(lambda g: g.ravel()[order].reshape(g.shape))
    assert said.endswith("looks like: the right numbers in the wrong places")


def test_where_it_fails():
    assert remark(np.sin, lambda x, dy: dy * np.cos(x) * np.where(x < 0, 1.5, 1)).startswith("only where x < 0")
    assert remark(np.sin, lambda x, dy: dy * np.cos(x) * np.where(x > 0, 1.5, 1)).startswith("only where x > 0")
    zeros = np.where(np.arange(24).reshape(6, 4) % 5 == 0, 0, X)
    assert remark(np.sin, lambda x, dy: dy * np.cos(x) * np.where(x == 0, 1.5, 1), zeros).startswith("only where x = 0")
    assert of_sine(lambda g: g * np.where(np.arange(6) == 2, 1.5, 1)[:, None]).startswith("only in row 2")
    assert of_sine(lambda g: g * np.where(np.arange(4) % 3 == 0, 1.5, 1)).startswith("only in column 0, 3")
    cube = X.reshape(2, 3, 4)
    said = remark(np.sin, lambda x, dy: dy * np.cos(x) * np.array([1, 1.5, 1])[:, None], cube)
    assert said.startswith("only in position on axis 1 1")


def test_never_written():
    assert (
        of_sine(np.zeros_like) == "everywhere, the claim is zero, looks like: never written, forgotten, or masked away"
    )
    said = of_sine(lambda g: g * (np.arange(6) != 5)[:, None])
    assert said == "only in row 5, the claim is zero, looks like: never written, forgotten, or masked away"


def test_zeros_here_and_there_are_not_called_forgotten():
    scattered = rng(7).uniform(size=X.shape) > 0.5
    assert "looks like" not in of_sine(lambda g: g * scattered)


def test_not_finite():
    assert of_sine(lambda g: g * np.where(np.arange(6) == 2, np.nan, 1)[:, None]) == "not finite only in row 2"
    with np.errstate(divide="ignore"):
        assert of_sine(lambda g: g / 0.0) == "not finite everywhere"


@pytest.mark.parametrize("x", [X, X.ravel()[:9]], ids=["a table", "a vector"])
def test_off_by_a_constant(x):
    assert (
        remark(lambda x: float(np.sin(x).sum()), lambda x: np.cos(x) + 0.25, x)
        == "everywhere, off by the constant 0.25"
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mean_s_share(axis):
    said = remark(lambda x: 3 * (x - x.mean(axis, keepdims=True)), lambda x, dy: 3 * dy)
    assert said == f"everywhere, looks like: a mean's share along axis {axis} forgotten, or of another size"


def normalised(x):
    return (x - x.mean(0)) / x.std(0)


def normalised_gradient(x, dy, mean, variance):
    xhat = normalised(x)
    return (dy - mean * dy.mean(0) - variance * xhat * (dy * xhat).mean(0)) / x.std(0)


def test_shares_of_mean_and_variance():
    def said(mean, variance):
        return remark(normalised, lambda x, dy: normalised_gradient(x, dy, mean, variance)).partition("like: ")[2]

    assert said(0, 1).startswith("a mean's share along axis 0")
    assert said(1, 0).startswith("the variance's share")
    assert said(1, 2).startswith("the variance's share")
    assert said(0, 0).startswith("the shares of mean and variance")
    assert check_gradients(normalised, X, gradient=lambda x, dy: normalised_gradient(x, dy, 1, 1)).passed


def test_a_scale_per_feature():
    scale = np.array([0.5, 2.0, 3.0, 7.0])
    said = remark(lambda x: scale * np.sin(x), lambda x, dy: dy * np.cos(x))
    assert said.endswith("looks like: a scale per feature left out, or once too often")


def test_other_functions_slopes():
    def said(f, gradient):
        return remark(f, gradient).partition("like: ")[2]

    sigmoid = lambda x: 0.5 + 0.5 * np.tanh(x / 2)  # noqa: E731
    assert said(np.tanh, lambda x, dy: dy) == "∂L/∂y passed on as it came"
    assert said(np.tanh, lambda x, dy: 1 - np.tanh(x) ** 2) == "∂L/∂y left out"
    assert said(np.tanh, lambda x, dy: dy * (1 - np.tanh(x))) == "1 − y alone"
    assert said(np.tanh, lambda x, dy: dy * (1 - np.tanh(np.tanh(x)) ** 2)) == "tanh's slope taken at the output"
    assert said(sigmoid, lambda x, dy: dy * (1 - sigmoid(x) ** 2)) == "tanh's slope, 1 − y²"
    assert (
        said(np.tanh, lambda x, dy: dy * np.tanh(x) * (1 - np.tanh(x)))
        == "the sigmoid's slope, y·(1 − y), or softmax's diagonal"
    )
    assert said(np.sin, lambda x, dy: dy * np.cos(x) * x) == "x multiplied in once too often"
    assert (
        said(lambda x: x * sigmoid(x), lambda x, dy: dy * sigmoid(x)) == "y/x, without the product rule's second term"
    )


def test_masks():
    def said(gradient, f=lambda x: np.maximum(x, 0)):
        return remark(f, gradient).partition("like: ")[2]

    assert said(lambda x, dy: dy * (x < 0)) == "a mask of the other side"
    assert said(lambda x, dy: dy * (dy > 0)) == "a mask from ∂L/∂y instead of x"
    assert said(lambda x, dy: dy * (dy > 0) * (x > 0)) == "a mask from ∂L/∂y besides x's"
    leaky = lambda x: np.where(x > 0, x, 0.2 * x)  # noqa: E731
    assert said(lambda x, dy: dy * (x > 0), leaky) == "a ReLU's mask, with no slope below 0"
    assert said(lambda x, dy: dy * np.where(x > 0, 0.2, 1), leaky) == "the two sides of a mask swapped"


def test_added_to_the_last_pass():
    class Adds(Scale):
        def backward_parameters(self, x, y, dy):
            self.grads["weight"] += np.sum(x * dy, axis=-2)

    report = check_gradients(Adds(), X)
    assert report.rows[0].remark.endswith("looks like: added to the last pass's instead of overwriting it")
    assert any("worked out once more" in sentence for sentence in report.broken)


def test_a_target_not_subtracted():
    class Loss:
        def check_target(self, target, shape):
            return target

        def elements(self, prediction, target):
            return np.log(np.cosh(prediction)) - target * prediction

        def gradient(self, prediction, target, out):
            out[...] = np.tanh(prediction) / prediction.size
            return out

    report = check_gradients(Loss(), X, target=rng(3).uniform(size=X.shape))
    assert report.rows[0].remark.endswith("looks like: the target not subtracted, or not as it is")


def test_what_does_not_depend_on_it():
    assert remark(lambda x: float(np.sum(0 * x)), np.cos) == "everywhere, the function does not depend on it"


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g + 0.1 * rng(4).standard_normal(g.shape),
        lambda g: g * rng(5).uniform(0.5, 1.5, g.shape),
        lambda g: np.abs(g),
        lambda g: g * np.cumsum(np.ones_like(g), axis=0),
        lambda g: g**3,
        lambda g: np.where(np.arange(24).reshape(6, 4) == 13, 2.5 * g, g),
        lambda g: np.sqrt(np.abs(g)) * np.sign(g),
    ],
)
def test_what_is_none_of_them_gets_no_name(change):
    said = remark(
        lambda x: float(np.sum(np.exp(x) * np.sin(3 * x))),
        lambda x: change(np.exp(x) * (np.sin(3 * x) + 3 * np.cos(3 * x))),
    )
    assert "looks like" not in said


def test_of_drawn_coordinates_nothing_is_said():
    assert remark(np.sin, lambda x, dy: -dy * np.cos(x), coordinates=7) == ""


def test_right_rows_have_no_remark():
    report = check_gradients(np.sin, X, gradient=lambda x, dy: dy * np.cos(x))
    assert report.passed and all(row.remark == "" for row in report.rows)


class _Identity(Layer):
    def forward(self, x, out):
        np.copyto(out, x)

    def backward_input(self, x, y, dy, out):
        np.copyto(out, -dy)


def test_a_layer_s_row_is_named_as_a_function_s():
    assert check_gradients(_Identity(), X).rows[0].remark.endswith("looks like: the sign flipped")


def test_a_claim_beyond_a_kink_is_said_to_be_that():
    zeros = np.where(np.arange(24).reshape(6, 4) % 5 == 0, 0, X)
    relu = lambda x: np.maximum(x, 0)  # noqa: E731
    said = remark(relu, lambda x, dy: dy * np.where(x == 0, 2, x > 0), zeros)
    assert said == "beyond the slopes on both sides of kinks, only where x = 0"
    tied = np.array([[1.0, 3.0, 3.0], [2.0, 0.5, -1.0]])
    said = remark(lambda x: x.max(axis=1), lambda x, dy: dy[:, None] * (x == x.max(axis=1, keepdims=True)), tied)
    assert said == "at kinks that are moved together: they share too much, or too little"


@pytest.mark.parametrize("off", [1e-6, 3e-7, -1e-6])
def test_what_is_nearly_right_gets_no_name_but_how_far_it_is_off(off):
    assert of_sine(lambda g: g * (1 + off)) == f"everywhere, by the factor 1 {off:+.1e}"


def test_a_mask_kept_from_another_pass_looks_like_no_other_mask():
    kept = WRONG["a mask kept from the first pass"].make()
    (row,) = check_gradients(**kept).rows
    assert row.verdict == "FAIL" and "looks like" not in row.remark
