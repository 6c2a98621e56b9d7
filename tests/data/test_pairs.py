"""Pairs of pictures, digits with their outlines and emoji with their grey: what belongs together stays together."""

import numpy as np
import pytest

from numgan.data import (
    DataError,
    Digits,
    Images,
    Pairs,
    load_emoji_pairs_split,
    load_emoji_split,
    load_mnist_split,
    load_outline_pairs_split,
)
from numgan.data.images import to_pixels, to_unit_range
from numgan.data.pairs import luma, outlines
from numgan.errors import Error
from tests.helpers import idx_images, idx_labels, peak_memory, rng, some_images, some_labels, write

FLOATS = [np.float32, np.float64]
OUTLINED, COLOURS = load_outline_pairs_split(), load_emoji_pairs_split()


def numbered(n=20):
    """Pairs whose target and input are pixels of the number of the pair, the input 100 higher."""
    number = np.arange(n, dtype=np.uint8)[:, None, None, None]
    targets = Images(np.tile(number, (1, 3, 4, 4)), np.arange(n, dtype=np.uint8))
    return Pairs(targets, Images(np.tile(number + np.uint8(100), (1, 1, 2, 6))), "numbers")


def arrays(n, pairs, dtype=np.float32):
    """(out, image) for n pairs, in three kinds of memory."""
    shapes = [(n, *pairs.shape), (n, *pairs.conditions["image"])]
    return {
        "contiguous": [np.full(shape, 7, dtype) for shape in shapes],
        "every second row": [np.full((2 * n, *shape[1:]), 7, dtype)[::2] for shape in shapes],
        "samples last": [np.moveaxis(np.full((*shape[1:], n), 7, dtype), -1, 0) for shape in shapes],
    }


LAYOUTS = list(arrays(1, numbered()))

# ---------------------------------------------------------------- the set


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_batch_has_every_input_beside_its_target(dtype, layout):
    pairs = numbered()
    out, image = arrays(64, pairs, dtype)[layout]
    pairs.sample(64, rng(3), out, image=image)
    expected = (20 * rng(3).random(64)).astype(int)
    assert (to_pixels(out) == expected[:, None, None, None]).all()
    assert (to_pixels(image) == 100 + expected[:, None, None, None]).all()
    pairs.take(np.array([19, 0, 7]), out[:3], image=image[:3])
    assert to_pixels(out)[:3, 0, 0, 0].tolist() == [19, 0, 7]
    assert to_pixels(image)[:3, 0, 1, 5].tolist() == [119, 100, 107]


def test_pairs_tell_their_shapes_labels_and_source():
    pairs = numbered(5)
    assert len(pairs) == 5 and pairs.shape == (3, 4, 4) and pairs.conditions == {"image": (1, 2, 6)}
    assert pairs.labels.tolist() == [0, 1, 2, 3, 4] and pairs.source == "numbers"
    assert Pairs(pairs.inputs, pairs.targets).labels is None


def test_a_split_keeps_pairs_together_and_apart_from_each_other():
    training, held_out = numbered(23).split(4)
    assert held_out.labels.tolist() == [3, 7, 11, 15, 19] and len(training) == 18
    assert sorted([*training.labels, *held_out.labels]) == list(range(23))
    for part in (training, held_out):
        assert np.array_equal(part.inputs.images[:, 0, 0, 0], 100 + part.labels)
        assert np.array_equal(part.targets.images[:, 0, 0, 0], part.labels)
    assert (training.source, held_out.source) == ("18 training pairs of numbers", "5 held-out pairs of numbers")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_warm_set_takes_no_memory(layout):
    pairs, draw, index = COLOURS[0], rng(), np.arange(64)
    out, image = arrays(64, pairs)[layout]
    pairs.sample(64, draw, out, image)
    assert peak_memory(lambda: pairs.sample(64, draw, out, image)) < 8192  # a batch of bytes takes 262,144
    assert peak_memory(lambda: pairs.take(index, out, image)) < 8192


GOOD = Images(np.zeros((4, 1, 4, 4), np.uint8))


@pytest.mark.parametrize(
    "targets, inputs, message",
    [
        (GOOD, Images(np.zeros((3, 1, 4, 4), np.uint8)), "Pairs: got 3 inputs for 4 targets, expected one for each"),
        (np.zeros((4, 1, 4, 4), np.uint8), GOOD, "Pairs: targets must be an Images, got"),
        (GOOD, Digits(some_images(4)), "Pairs: inputs must be an Images, got"),
    ],
)
def test_what_makes_no_pairs_is_refused(targets, inputs, message):
    with pytest.raises(Error, match=message):
        Pairs(targets, inputs)


@pytest.mark.parametrize(
    "out, image, message",
    [
        ((3, 3, 4, 4), (4, 1, 2, 6), r"Pairs: out is float32 \(3, 3, 4, 4\), expected .* \(4, 3, 4, 4\)"),
        ((4, 3, 4, 4), (4, 1, 4, 4), r"Pairs: image is float32 \(4, 1, 4, 4\), expected .* \(4, 1, 2, 6\)"),
    ],
)
def test_an_array_that_does_not_fit_is_named_and_nothing_is_written(out, image, message):
    out, image = np.full(out, 7, np.float32), np.full(image, 7, np.float32)
    for call in (
        lambda: numbered().sample(4, rng(), out, image=image),
        lambda: numbered().take(np.arange(4), out, image=image),
    ):
        with pytest.raises(DataError, match=message):
            call()
    assert (out == 7).all() and (image == 7).all()


# ---------------------------------------------------------------- digits and their outlines


def test_an_outline_is_the_dark_pixels_beside_ink():
    picture = np.array(
        [[0, 0, 0, 0, 0, 0], [0, 128, 255, 200, 0, 0], [0, 255, 127, 255, 0, 9], [0, 255, 255, 255, 0, 0]], np.uint8
    )
    expected = ["011100", "100010", "101010", "100010"]  # no corner, no pixel beyond the border; a grey one in the ink
    assert ["".join("01"[pixel // 255] for pixel in row) for row in outlines(picture)] == expected
    assert outlines(picture).dtype == np.uint8 and set(np.unique(outlines(picture))) == {0, 255}


def test_outlines_agree_with_loops_over_real_digits():
    images = OUTLINED[1].targets.images[::50]
    padded = np.pad(images[:, 0] >= 128, ((0, 0), (1, 1), (1, 1)))
    for n, outline in enumerate(OUTLINED[1].inputs.images[::50, 0]):
        for y in range(32):
            for x in range(32):
                around = [padded[n, y + 1 + dy, x + 1 + dx] for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))]
                assert outline[y, x] == 255 * (any(around) and not padded[n, y + 1, x + 1])


def test_digits_stand_in_the_middle_of_their_canvas_with_their_labels():
    for pairs, digits in zip(OUTLINED, load_mnist_split(), strict=True):
        images = pairs.targets.images
        assert pairs.shape == pairs.conditions["image"] == (1, 32, 32) and len(pairs) == len(digits)
        assert np.array_equal(images[:, 0, 2:30, 2:30].reshape(-1, 784), digits.images)
        assert images.sum(dtype=int) == digits.images.sum(dtype=int)  # dark around
        assert np.array_equal(pairs.labels, digits.labels)
    assert OUTLINED[1].source == "outlines and digits of 1,000 held-out images of 5,000 embedded MNIST digits"


def test_outlines_are_thin_and_around_every_digit():
    for pairs in OUTLINED:
        lines = pairs.inputs.images > 0
        assert not (lines & (pairs.targets.images >= 128)).any()
        assert 0.06 < lines.mean() < 0.08 and lines.any(axis=(1, 2, 3)).all()


def test_one_s_own_digits_have_outlines_too(tmp_path):
    write(tmp_path, idx_images(some_images(10)), idx_labels(some_labels(10)))
    training, held_out = load_outline_pairs_split(tmp_path)
    assert (len(training), len(held_out)) == (8, 2) and held_out.labels.tolist() == [4, 9]
    assert held_out.source == f"outlines and digits of 2 held-out images of 10 MNIST train digits from {tmp_path}"
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert load_outline_pairs_split(tmp_path)[0].labels is None


# ---------------------------------------------------------------- emoji and their grey


@pytest.mark.parametrize("colour, grey", [
    ((0, 0, 0), 0), ((255, 255, 255), 255), ((7, 7, 7), 7), ((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29),
    ((0, 0, 250), 29), ((10, 0, 90), 13),  # 28.5 and 13.25
])  # fmt: skip
def test_grey_is_the_luma_of_a_colour(colour, grey):
    image = np.array(colour, np.uint8)[None, :, None, None]
    assert luma(image).tolist() == [[[[grey]]]] and luma(image).dtype == np.uint8


def test_grey_emoji_are_the_rounded_luma_of_coloured_ones():
    pairs = COLOURS[1]
    exact = np.einsum("c,nchw->nhw", [0.299, 0.587, 0.114], pairs.targets.images.astype(float))
    assert np.abs(pairs.inputs.images[:, 0] - exact).max() <= 0.5 + 1e-9
    assert np.array_equal(to_unit_range(pairs.targets.images), to_unit_range(load_emoji_split()[1].images))


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("flip", [True, False])
def test_emoji_pairs_are_the_emoji_of_that_size_and_what_is_held_out_never_comes_back(size, flip):
    training, held_out = load_emoji_pairs_split(size, flip)
    for pairs, emoji in zip((training, held_out), load_emoji_split(size, flip), strict=True):
        assert pairs.shape == (3, size, size) and pairs.conditions == {"image": (1, size, size)}
        assert np.array_equal(pairs.targets.images, emoji.images) and pairs.labels is None
        assert np.array_equal(pairs.inputs.images, luma(emoji.images))
    assert (len(training), len(held_out)) == (2118 if flip else 1059, 117)
    assert held_out.source == f"grey and coloured 117 held-out images of 1,176 emoji of {size}x{size} pixels"


def test_the_training_emoji_are_mirrored_unless_told():
    assert len(COLOURS[0]) == 2118 and COLOURS[0].shape == (3, 32, 32)
    with pytest.raises(Error, match="load_emoji_pairs_split: flip must be True or False, got 1"):
        load_emoji_pairs_split(16, 1)
    with pytest.raises(Error, match="load_emoji: size must be 64, 32 or 16, got 28"):
        load_emoji_pairs_split(28)
