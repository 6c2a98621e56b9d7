"""Digits and pictures with the number of their class: a label always belongs to its row."""

import numpy as np
import pytest

from numgan.data import DataError, Digits, Labelled, load_emoji, load_mnist
from numgan.data.images import to_pixels
from numgan.errors import Error
from tests.helpers import peak_memory, rng, some_images

DIGITS = load_mnist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [DIGITS, DIGITS.as_images()], ids=["rows", "pictures"])
def test_a_batch_has_the_rows_that_the_digits_draw_each_with_its_label(rows, dtype):
    source, plain = Labelled(rows), np.empty((64, *rows.shape), dtype)
    wide = np.full((64, 3), 7, dtype)  # the label may be a column of something wider
    rows.sample(64, rng(3), plain)
    out = np.empty((128, *rows.shape), dtype)[::2]
    source.sample(64, rng(3), out, label=wide[:, 1:2])
    assert out.tobytes() == plain.tobytes()
    assert np.array_equal(wide[:, 1], DIGITS.labels[(5000 * rng(3).random(64)).astype(int)])
    assert (wide[:, ::2] == 7).all()
    source.take(np.array([4999, 0, 2600]), out[:3], label=wide[:3, :1])
    assert wide[:3, 0].tolist() == [9, 0, 5]
    assert np.array_equal(to_pixels(out[:3]), rows.images[[4999, 0, 2600]])


def test_it_tells_its_shape_labels_and_source():
    source = Labelled(DIGITS.as_images())
    assert source.shape == (1, 28, 28) and source.conditions == {"label": (1,)} and len(source) == 5000
    assert source.labels is DIGITS.labels and source.source == "5,000 embedded MNIST digits"


def test_a_warm_source_takes_no_memory():
    source, out, label, draw = Labelled(DIGITS), np.empty((256, 784), np.float32), np.empty((256, 1), np.float32), rng()
    source.sample(256, draw, out, label)
    assert peak_memory(lambda: source.sample(256, draw, out, label)) < 8192  # a batch of bytes takes 200,704


@pytest.mark.parametrize("rows, source", [(Digits(some_images(), source="digits of mine"), "digits of mine"),
                                          (load_emoji(16), "1,176 emoji of 16x16 pixels")])  # fmt: skip
def test_rows_without_labels_are_refused_in_a_sentence(rows, source):
    with pytest.raises(DataError, match=f"Labelled: {source} have no labels, expected one for each"):
        Labelled(rows)


@pytest.mark.parametrize("rows", [None, Digits, np.zeros((3, 784)), Labelled(DIGITS)])
def test_what_are_no_rows_is_refused(rows):
    with pytest.raises(Error, match="Labelled: rows must be Digits or Images, got "):
        Labelled(rows)


@pytest.mark.parametrize("out, label, message", [
    ((4, 784), (4,), r"Labelled: label is float32 \(4,\), expected float32 or float64 \(4, 1\)"),
    ((3, 784), (4, 1), r"Labelled: out is float32 \(3, 784\), expected float32 or float64 \(4, 784\)"),
])  # fmt: skip
def test_an_array_that_does_not_fit_is_named(out, label, message):
    out, label = np.empty(out, np.float32), np.empty(label, np.float32)
    with pytest.raises(DataError, match=message):
        Labelled(DIGITS).sample(4, rng(), out, label=label)
    with pytest.raises(DataError, match=message):
        Labelled(DIGITS).take(np.arange(4), out, label=label)
