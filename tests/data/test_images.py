"""Pictures of (channels, height, width): what a set of them takes, what it draws, how it is split."""

import numpy as np
import pytest

from numgan.data import DataError, Digits, Images, load_mnist
from numgan.data.images import to_pixels, to_unit_range
from numgan.data.stream import Shuffled, data_stream, epoch_stream
from numgan.errors import Error
from tests.helpers import peak_memory, rng

FLOATS = [np.float32, np.float64]
SHAPES = [(1, 5, 7), (3, 8, 8)]


def pictures(n=20, shape=(3, 8, 8), seed=0):
    return rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def outputs(n, shape, dtype):
    """Arrays (n, *shape) to sample into: contiguous, with padded rows, every second row, samples last in memory."""
    c, h, w = shape
    return {
        "contiguous": np.full((n, c, h, w), 7, dtype),
        "padded rows": np.full((n, c, h, w + 3), 7, dtype)[..., :w],
        "every second row": np.full((2 * n, c, h, w), 7, dtype)[::2],
        "samples last": np.moveaxis(np.full((c, h, w, n), 7, dtype), -1, 0),
        "channels last": np.moveaxis(np.full((n, h, w, c), 7, dtype), -1, 1),
    }


LAYOUTS = list(outputs(1, (1, 1, 1), np.float32))

# ---------------------------------------------------------------- the set


def test_a_set_keeps_its_bytes_labels_and_source():
    images, labels = pictures(5), np.arange(5, dtype=np.uint8)
    source = Images(images, labels, "five squares")
    assert source.images is images and source.labels is labels and source.source == "five squares"
    assert len(source) == 5 and source.shape == (3, 8, 8)
    assert Images(images).labels is None and Images(images).source == "images"


@pytest.mark.parametrize(
    "images, labels, message",
    [
        (np.zeros((3, 1, 4, 4)), None, r"Images: images are float64 \(3, 1, 4, 4\), expected uint8 \(3, 1, 4, 4\)"),
        (np.zeros((3, 784), np.uint8), None, r"images are uint8 \(3, 784\), expected uint8 \(N, 1 or 3 channels, "),
        (np.zeros((3, 4, 4, 3), np.uint8), None, r"images are uint8 \(3, 4, 4, 3\), expected .* 1 or 3 channels"),
        (np.zeros((3, 2, 4, 4), np.uint8), None, r"1 or 3 channels"),
        (np.zeros((0, 3, 4, 4), np.uint8), None, r"images are uint8 \(0, 3, 4, 4\), expected .* at least one"),
        (np.zeros((2, 3, 0, 4), np.uint8), None, r"images are uint8 \(2, 3, 0, 4\)"),
        ([[1]], None, r"images are \[\[1\]\], expected uint8"),
        (None, None, r"images are None, expected uint8"),
        (pictures(3), np.zeros(2, np.uint8), r"Images: labels are uint8 \(2,\), expected uint8 \(3,\)"),
        (pictures(3), np.zeros(3, int), r"labels are int64 \(3,\), expected uint8 \(3,\)"),
        (pictures(3), "abc", r"labels are 'abc', expected uint8 \(3,\)"),
    ],
)
def test_a_set_checks_its_arrays(images, labels, message):
    with pytest.raises(DataError, match=message):
        Images(images, labels)


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_take_gives_the_images_at_an_index_in_whatever_memory(shape, dtype, layout):
    images, index = pictures(9, shape), np.array([8, 0, 3, 3])
    out = outputs(4, shape, dtype)[layout]
    Images(images).take(index, out)
    assert np.array_equal(out, to_unit_range(images[index], dtype))
    assert np.array_equal(to_pixels(out), images[index])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sample_draws_rows_by_the_whole_parts_of_uniform_numbers(dtype, layout):
    images, out = pictures(20), outputs(64, (3, 8, 8), dtype)[layout]
    Images(images).sample(64, rng(3), out)
    assert np.array_equal(to_pixels(out), images[(20 * rng(3).random(64)).astype(int)])


def test_the_same_generator_gives_the_same_batch():
    source = Images(pictures(100))
    first, other, again = (np.empty((50, 3, 8, 8), np.float32) for _ in range(3))
    draw = rng(1)
    source.sample(50, draw, first)
    source.sample(50, draw, other)
    Images(pictures(100)).sample(50, rng(1), again)
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_a_view_s_neighbours_stay_as_they_are():
    whole = np.full((10, 3, 8, 12), 7, np.float32)
    Images(pictures()).sample(5, rng(), whole[::2, :, :, 2:10])
    assert np.all(whole[1::2] == 7) and np.all(whole[..., :2] == 7) and np.all(whole[..., 10:] == 7)
    assert np.all(np.abs(whole[::2, :, :, 2:10]) <= 1)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_warm_source_takes_no_memory(dtype, layout):
    source, out, draw = Images(pictures(500, (3, 16, 16))), outputs(128, (3, 16, 16), dtype)[layout], rng()
    index = np.arange(128)
    source.sample(128, draw, out)
    assert peak_memory(lambda: source.sample(128, draw, out)) < 8192  # a batch of bytes takes 98,304
    assert peak_memory(lambda: source.take(index, out)) < 8192


@pytest.mark.parametrize(
    "n, out, message",
    [
        (4, np.empty((3, 3, 8, 8), np.float32), r"Images.sample: out has 3 rows, expected 4"),
        (4, np.empty((4, 192), np.float32), r"Images: out is float32 \(4, 192\), expected float32 or float64 \(4, 3, "),
        (4, np.empty((4, 3, 8, 8), np.float16), r"out is float16 \(4, 3, 8, 8\)"),
        (4, np.broadcast_to(np.float32(0), (4, 3, 8, 8)), r"not to be written to"),
        (4, [1], r"out is \[1\], not to be written to, expected"),
        (0, np.empty((0, 3, 8, 8), np.float32), r"Images.sample: n must be a positive integer, got 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(n, out, message):
    with pytest.raises(Error, match=message):
        Images(pictures()).sample(n, rng(), out)


def test_a_seed_is_no_generator():
    with pytest.raises(Error, match="Images.sample: rng must be a numpy.random.Generator"):
        Images(pictures()).sample(1, 0, np.empty((1, 3, 8, 8)))


def test_it_serves_training_by_draws_and_by_epochs():
    images = pictures(10, (1, 4, 4))
    known = {image.tobytes() for image in images}
    batch = data_stream(Images(images), rng(), (2, 6), np.float32).next()
    assert batch.shape == (2, 6, 1, 4, 4)
    assert {to_pixels(image).tobytes() for image in batch.reshape(12, 1, 4, 4)} <= known
    epoch = epoch_stream(Shuffled(Images(images), rng()), (5, 1, 4, 4), np.float32)
    rows = np.concatenate([epoch.next().copy() for _ in range(2)])
    assert {to_pixels(image).tobytes() for image in rows} == known


# ---------------------------------------------------------------- parts, and digits as pictures


def test_a_split_is_disjoint_and_complete():
    images, labels = pictures(23), np.arange(23, dtype=np.uint8)
    training, held_out = Images(images, labels, "squares").split(4)
    assert held_out.labels.tolist() == [3, 7, 11, 15, 19]
    assert sorted([*training.labels, *held_out.labels]) == list(range(23))
    for part in (training, held_out):
        assert isinstance(part, Images) and np.array_equal(part.images, images[part.labels])
    assert training.source == "18 training images of squares" and held_out.source == "5 held-out images of squares"


@pytest.mark.parametrize("every, message", [(0, "Images.split: every must be"), (24, "Images: 23 images are too few")])
def test_a_split_that_cannot_be_is_refused(every, message):
    with pytest.raises(Error, match=message):
        Images(pictures(23)).split(every)


def test_mirrored_images_come_after_the_others():
    images, labels = pictures(3, (3, 4, 5)), np.arange(3, dtype=np.uint8)
    before = images.copy()
    twice = Images(images, labels, "three").mirrored()
    assert len(twice) == 6 and twice.labels.tolist() == [0, 1, 2, 0, 1, 2] and twice.source == "three, also mirrored"
    assert np.array_equal(twice.images[:3], before) and np.array_equal(twice.images[3:], np.flip(before, axis=3))
    assert np.array_equal(images, before)


def test_digits_as_images_share_the_memory_and_give_the_same_numbers():
    digits = load_mnist()
    images = digits.as_images()
    assert isinstance(images, Images) and images.shape == (1, 28, 28) and len(images) == 5000
    assert np.shares_memory(images.images, digits.images)
    assert images.labels is digits.labels and images.source == digits.source
    rows, squares = np.empty((64, 784), np.float32), np.empty((64, 1, 28, 28), np.float32)
    digits.sample(64, rng(5), rows)
    images.sample(64, rng(5), squares)
    assert rows.tobytes() == squares.tobytes()


def test_digits_without_labels_are_images_without_labels():
    images = Digits(np.zeros((2, 784), np.uint8), source="two zeros").as_images()
    assert images.labels is None and images.source == "two zeros"
