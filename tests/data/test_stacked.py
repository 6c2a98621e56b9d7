"""Stacked digits: three digits as one picture, their modes, and how probable these are."""

import numpy as np
import pytest

from numgan.data import DataError, Digits, StackedDigits, load_mnist, load_mnist_split, load_stacked_split
from numgan.data.images import to_pixels, to_unit_range
from numgan.data.stream import data_stream
from numgan.errors import Error
from tests.helpers import peak_memory, rng, some_images, some_labels

FLOATS = [np.float32, np.float64]


def outputs(n, dtype):
    return {
        "contiguous": np.full((n, 3, 28, 28), 7, dtype),
        "every second row": np.full((2 * n, 3, 28, 28), 7, dtype)[::2],
        "samples last": np.moveaxis(np.full((3, 28, 28, n), 7, dtype), -1, 0),
    }


def drawn(seed, count, n):
    return (count * rng(seed).random(3 * n)).astype(int).reshape(n, 3)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", list(outputs(1, np.float32)))
def test_red_green_and_blue_are_three_digits_drawn_one_after_the_other(dtype, layout):
    digits, out = load_mnist(), outputs(40, dtype)[layout]
    StackedDigits(digits).sample(40, rng(3), out)
    expected = digits.images[drawn(3, 5000, 40)].reshape(40, 3, 28, 28)
    assert np.array_equal(out, to_unit_range(expected, dtype))


def test_a_stack_tells_its_shape_and_where_it_comes_from():
    digits = load_mnist()
    stack = StackedDigits(digits)
    assert stack.shape == (3, 28, 28) and stack.digits is digits
    assert stack.source == "triples as red, green and blue of 5,000 embedded MNIST digits"
    assert not hasattr(stack, "take") and not hasattr(stack, "__len__")  # endless


def test_the_three_colours_are_independent():
    digits = Digits(np.repeat(np.arange(3, dtype=np.uint8)[:, None], 784, axis=1))
    out = np.empty((5_400, 3, 28, 28), np.float32)
    StackedDigits(digits).sample(5_400, rng(), out)
    triples = to_pixels(out[:, :, 0, 0]) @ np.array([9, 3, 1])
    counts = np.bincount(triples, minlength=27)
    # chi-squared with 26 degrees of freedom lies between 8 and 57 but once in 2,000 draws
    assert 8 < ((counts - 200) ** 2 / 200).sum() < 57


def test_the_mode_is_the_number_read_from_red_to_blue():
    digits = load_mnist()
    images, modes = StackedDigits(digits).labelled(50, rng(8))
    assert images.dtype == np.float32 and images.shape == (50, 3, 28, 28) and modes.shape == (50,)
    known = {image.tobytes(): label for image, label in zip(digits.images, digits.labels, strict=True)}
    for image, mode in zip(images, modes, strict=True):
        r, g, b = (int(known[to_pixels(colour).tobytes()]) for colour in image)
        assert mode == 100 * r + 10 * g + b


def test_labelled_samples_are_those_that_training_would_draw():
    stack, out = StackedDigits(load_mnist()), np.empty((30, 3, 28, 28), np.float32)
    stack.sample(30, rng(4), out)
    assert stack.labelled(30, rng(4))[0].tobytes() == out.tobytes()


def test_balanced_digits_have_a_thousand_equal_modes():
    p = StackedDigits(load_mnist()).mode_probabilities()
    assert p.shape == (1000,) and p.dtype == np.float64
    np.testing.assert_allclose(p, 1 / 1000, rtol=1e-12)
    assert abs(p.sum() - 1) < 1e-12


def test_mode_probabilities_agree_with_a_large_sample_of_unequal_digits():
    labels = np.array([0, 0, 0, 1, 1, 7, 9, 9, 9, 9], np.uint8)
    stack = StackedDigits(Digits(some_images(10), labels))
    p = stack.mode_probabilities()
    assert abs(p.sum() - 1) < 1e-12 and np.count_nonzero(p) == 4**3
    assert abs(p[19] - 0.3 * 0.2 * 0.4) < 1e-15  # red 0, green 1, blue 9
    counts = np.zeros(1000)
    draw = rng(2)
    for _ in range(10):
        counts += np.bincount(stack.labelled(4_000, draw)[1], minlength=1000)
    assert not counts[p == 0].any()
    expected = 40_000 * p[p > 0]
    # chi-squared with 63 degrees of freedom lies between 32 and 106 but once in 2,000 draws
    assert 32 < ((counts[p > 0] - expected) ** 2 / expected).sum() < 106


def test_the_same_generator_gives_the_same_batch():
    first, other, again = (np.empty((20, 3, 28, 28), np.float32) for _ in range(3))
    stack, draw = StackedDigits(load_mnist()), rng(1)
    stack.sample(20, draw, first)
    stack.sample(20, draw, other)
    StackedDigits(load_mnist()).sample(20, rng(1), again)
    assert first.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", list(outputs(1, np.float32)))
def test_a_warm_stack_takes_no_memory(dtype, layout):
    stack, out, draw = StackedDigits(load_mnist()), outputs(64, dtype)[layout], rng()
    stack.sample(64, draw, out)
    assert peak_memory(lambda: stack.sample(64, draw, out)) < 8192  # a batch of bytes takes 150,528


def test_batches_of_several_sizes_come_from_one_stack():
    stack = StackedDigits(load_mnist())
    for n in (5, 2, 9, 5):
        out = np.empty((n, 3, 28, 28))
        stack.sample(n, rng(n), out)
        assert np.array_equal(to_pixels(out), stack.digits.images[drawn(n, 5000, n)].reshape(n, 3, 28, 28))


def test_it_serves_training():
    assert data_stream(StackedDigits(load_mnist()), rng(), (2, 4), np.float32).next().shape == (2, 4, 3, 28, 28)


def test_training_and_held_out_stacks_share_no_digit():
    training, held_out = load_stacked_split()
    for stack, digits in zip((training, held_out), load_mnist_split(), strict=True):
        assert np.array_equal(stack.digits.images, digits.images)
        assert np.array_equal(stack.digits.labels, digits.labels)
    assert not set(map(bytes, training.digits.images)) & set(map(bytes, held_out.digits.images))
    assert held_out.source == ("triples as red, green and blue of 1,000 held-out images of 5,000 embedded MNIST digits")


@pytest.mark.parametrize("digits", [None, np.zeros((3, 784), np.uint8), Digits, load_mnist().as_images()])
def test_what_are_no_digits_is_refused(digits):
    with pytest.raises(Error, match="StackedDigits: digits must be a Digits, got "):
        StackedDigits(digits)


def test_digits_without_labels_are_drawn_but_have_no_modes():
    stack = StackedDigits(Digits(some_images(), source="digits of mine"))
    stack.sample(2, rng(), np.empty((2, 3, 28, 28)))
    for call in (stack.mode_probabilities, lambda: stack.labelled(2, rng())):
        with pytest.raises(DataError, match=r"StackedDigits\.\w+: digits of mine have no labels"):
            call()


def test_a_label_above_nine_has_no_mode():
    stack = StackedDigits(Digits(some_images(3), np.array([1, 12, 3], np.uint8)))
    with pytest.raises(DataError, match="have a label 12, expected 0 to 9"):
        stack.mode_probabilities()


@pytest.mark.parametrize(
    "n, draw, out, message",
    [
        (0, rng(), np.empty((0, 3, 28, 28)), "StackedDigits.sample: n must be a positive integer, got 0"),
        (2, 5, np.empty((2, 3, 28, 28)), "StackedDigits.sample: rng must be a numpy.random.Generator"),
        (2, rng(), np.empty((3, 3, 28, 28)), r"StackedDigits.sample: out is float64 \(3, 3, 28, 28\), expected"),
        (2, rng(), np.empty((2, 784)), r"out is float64 \(2, 784\), expected float32 or float64 \(2, 3, 28, 28\)"),
        (2, rng(), np.empty((2, 3, 28, 28), np.float16), "out is float16"),
        (2, rng(), None, "out is None"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(n, draw, out, message):
    with pytest.raises(Error, match=message):
        StackedDigits(Digits(some_images(), some_labels())).sample(n, draw, out)
