"""MNIST digits: the embedded ones, the IDX reader against broken files, what is held out."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from numgan.data import DataError, Digits, download, load_mnist, load_mnist_split
from numgan.data.mnist import to_pixels, to_unit_range
from tests.helpers import MEGABYTE, flip, idx_images, idx_labels, peak_memory, some_images, some_labels, write

FLOATS = [np.float32, np.float64]

# ---------------------------------------------------------------- the embedded digits


def test_embedded_digits_are_the_5000():
    digits = load_mnist()
    assert len(digits) == 5000
    assert digits.source == "5,000 embedded MNIST digits"
    assert digits.images.shape == (5000, 784) and digits.images.dtype == np.uint8
    assert digits.labels.shape == (5000,) and digits.labels.dtype == np.uint8
    assert np.bincount(digits.labels).tolist() == [500] * 10


def test_embedded_digits_have_the_sums_in_their_readme():
    digits = load_mnist()
    readme = (Path(download.__file__).parent / "mnist_5k" / "README.md").read_text()
    for array, expected in [
        (digits.images, "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f"),
        (digits.labels, "41b7b0a9d94690a3a2f54a1d01a9f1cc1b9512e3954fb737ad5ed9f66972403d"),
    ]:
        assert hashlib.sha256(array.tobytes()).hexdigest() == expected
        assert expected in readme


def test_embedded_digits_look_like_digits():
    digits = load_mnist()
    images = digits.images.reshape(-1, 28, 28).astype(float)
    assert images.min() == 0 and images.max() == 255
    assert 0.12 < images.mean() / 255 < 0.14  # 0.1307 over all of MNIST
    assert 0.30 < images.std() / 255 < 0.32  # 0.3081 over all of MNIST
    # MNIST centres each digit by its mass: the centre lies in the middle, whatever the class
    mass = images.sum(axis=(1, 2))
    rows = images.sum(axis=2) @ np.arange(28) / mass
    columns = images.sum(axis=1) @ np.arange(28) / mass
    assert np.abs(rows - 14).max() < 1 and np.abs(columns - 14).max() < 1
    # a zero is hollow in its middle, a one is not: labels belong to their images, rows are not transposed
    middle = images[:, 13:15, 13:15].mean(axis=(1, 2))
    assert middle[digits.labels == 0].mean() < 30 and middle[digits.labels == 1].mean() > 200
    top_bar = images[digits.labels == 7].mean(axis=0)
    assert top_bar[7:10].mean() > 2 * top_bar[:, 7:10].mean()


def test_embedded_digits_have_no_test_set():
    with pytest.raises(DataError, match="embedded digits are training images"):
        load_mnist(kind="test")


def test_kind_is_checked():
    with pytest.raises(DataError, match="""kind is 'valid', expected "train" or "test\""""):
        load_mnist(kind="valid")


# ---------------------------------------------------------------- reading a directory


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("joint", ["-", "."])
@pytest.mark.parametrize("kind, prefix", [("train", "train"), ("test", "t10k")])
def test_all_names_and_both_forms_are_read(tmp_path, gz, joint, kind, prefix):
    images, labels = some_images(), some_labels()
    pack, ending = (gzip.compress, ".gz") if gz else (bytes, "")
    (tmp_path / f"{prefix}-images{joint}idx3-ubyte{ending}").write_bytes(pack(idx_images(images)))
    (tmp_path / f"{prefix}-labels{joint}idx1-ubyte{ending}").write_bytes(pack(idx_labels(labels)))
    digits = load_mnist(tmp_path, kind=kind)
    assert np.array_equal(digits.images, images) and np.array_equal(digits.labels, labels)
    assert digits.source == f"7 MNIST {kind} digits from {tmp_path}"


def test_kinds_are_not_mixed_up(tmp_path):
    write(tmp_path, idx_images(some_images()))
    with pytest.raises(DataError, match="expected t10k-images-idx3-ubyte or t10k-images.idx3-ubyte"):
        load_mnist(tmp_path, kind="test")


def test_a_path_may_be_a_string(tmp_path):
    write(tmp_path, idx_images(some_images(3)))
    assert len(load_mnist(str(tmp_path))) == 3


def test_images_alone_are_enough(tmp_path):
    digits = load_mnist(write(tmp_path, idx_images(some_images())))
    assert digits.labels is None and np.array_equal(digits.images, some_images())


def test_gzip_is_told_by_content_not_by_name(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(gzip.compress(idx_images(some_images(3))))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(idx_labels(some_labels(3)))
    digits = load_mnist(tmp_path)
    assert np.array_equal(digits.images, some_images(3)) and np.array_equal(digits.labels, some_labels(3))


def test_a_directory_under_a_files_name_is_passed_over(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").mkdir()
    assert len(load_mnist(write(tmp_path, idx_images(some_images()), gz=True))) == 7


def test_a_set_larger_than_one_chunk_is_read_whole(tmp_path):
    images = some_images(1000)
    assert np.array_equal(load_mnist(write(tmp_path, idx_images(images), gz=True)).images, images)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(n=st.integers(1, 30), gz=st.booleans(), data=st.data())
def test_round_trip(tmp_path_factory, n, gz, data):
    images = data.draw(npst.arrays(np.uint8, (n, 784)))
    labels = data.draw(npst.arrays(np.uint8, n, elements=st.integers(0, 9)))
    directory = write(tmp_path_factory.mktemp("idx"), idx_images(images), idx_labels(labels), gz)
    digits = load_mnist(directory)
    assert np.array_equal(digits.images, images) and np.array_equal(digits.labels, labels)


# ---------------------------------------------------------------- broken files


def test_missing_directory(tmp_path):
    with pytest.raises(DataError, match="the MNIST directory .*nowhere does not exist$"):
        load_mnist(tmp_path / "nowhere")


def test_file_instead_of_directory(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(idx_images(some_images()))
    with pytest.raises(DataError, match="train-images-idx3-ubyte is a file, expected a directory"):
        load_mnist(path)


def test_directory_without_images(tmp_path):
    write(tmp_path, labels=idx_labels(some_labels()))
    with pytest.raises(DataError, match="no MNIST images in .*expected train-images-idx3-ubyte or .*gz$"):
        load_mnist(tmp_path)


GOOD = idx_images(some_images())

BROKEN_IMAGES = {
    "empty": (b"", "truncated: the header takes 16 bytes, found 0"),
    "half a magic": (GOOD[:2], "truncated: the header takes 16 bytes, found 2"),
    "half a header": (GOOD[:15], "truncated: the header takes 16 bytes, found 15"),
    "header alone": (GOOD[:16], "truncated: 7 images take 5488 bytes, found 0"),
    "one byte short": (GOOD[:-1], "truncated: 7 images take 5488 bytes, found 5487"),
    "one byte over": (GOOD + b"\0", "bytes left over after the 7 images"),
    "labels for images": (idx_labels(some_labels()), "starts with 0x00000801, expected 0x00000803"),
    "little-endian": (GOOD[3::-1] + GOOD[4:], "starts with 0x03080000, expected 0x00000803"),
    "web page": (b"<!DOCTYPE html>", "not an IDX images file: starts with 0x3c21444f"),
    "other size": (idx_images(some_images(), side=(32, 32)), "images of 32x32 pixels, expected 28x28"),
    "other shape": (idx_images(some_images(), side=(784, 1)), "images of 784x1 pixels, expected 28x28"),
    "no images": (idx_images(some_images(), count=0), "holds no images"),
    "fewer stated": (idx_images(some_images(), count=6), "bytes left over after the 6 images"),
    "more stated": (idx_images(some_images(), count=8), "8 images take 6272 bytes, found 5488"),
    "4 billion": (
        idx_images(some_images(), count=2**32 - 1),
        "header states 4,294,967,295 images, expected at most 1,000,000",
    ),
}


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("case", BROKEN_IMAGES)
def test_broken_images(tmp_path, case, gz):
    data, message = BROKEN_IMAGES[case]
    with pytest.raises(DataError, match=message) as caught:
        load_mnist(write(tmp_path, data, gz=gz))
    assert str(caught.value).startswith(f"{tmp_path / 'train-images-idx3-ubyte'}{'.gz' if gz else ''}: ")


BROKEN_LABELS = {
    "empty": (b"", "truncated: the header takes 8 bytes, found 0"),
    "one short": (idx_labels(some_labels())[:-1], "truncated: 7 labels take 7 bytes, found 6"),
    "one over": (idx_labels(some_labels()) + b"\0", "bytes left over after the 7 labels"),
    "images for labels": (GOOD, "not an IDX labels file: starts with 0x00000803, expected 0x00000801"),
    "fewer": (idx_labels(some_labels(6)), "6 labels for 7 images"),
    "more": (idx_labels(some_labels(8)), "8 labels for 7 images"),
    "none": (idx_labels(some_labels(0)), "holds no labels"),
    "4 billion": (idx_labels(some_labels(), count=2**32 - 1), "header states 4,294,967,295 labels"),
    "above 9": (idx_labels(np.array([1, 9, 0, 10, 3, 4, 5], np.uint8)), "label 10 at position 3"),
}


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("case", BROKEN_LABELS)
def test_broken_labels(tmp_path, case, gz):
    data, message = BROKEN_LABELS[case]
    with pytest.raises(DataError, match=message) as caught:
        load_mnist(write(tmp_path, GOOD, data, gz))
    assert str(caught.value).startswith(f"{tmp_path / 'train-labels-idx1-ubyte'}{'.gz' if gz else ''}: ")


PACKED = gzip.compress(GOOD, 1, mtime=0)

BROKEN_GZIP = {
    "cut in the header": (PACKED[:5], "cannot be read: .*ended before the end"),
    "cut in the middle": (PACKED[:2000], "cannot be read: .*ended before the end"),
    "cut in the trailer": (PACKED[:-3], "cannot be read: .*ended before the end"),
    "wrong CRC": (flip(PACKED, len(PACKED) - 8), "cannot be read: CRC check failed"),
    "wrong pixels": (flip(PACKED, len(PACKED) // 2), "cannot be read: "),
    "damaged deflate": (PACKED[:10] + b"\xff" * 500, "cannot be read: .*invalid block type"),
    "leftovers": (PACKED + b"leftovers", "cannot be read: Not a gzipped file"),
    "second member": (PACKED + gzip.compress(b"\0"), "bytes left over after the 7 images"),
    "not gzip at all": (b"some text under a gzip name", "not an IDX images file: starts with 0x736f6d65"),
}


@pytest.mark.parametrize("case", BROKEN_GZIP)
def test_broken_gzip(tmp_path, case):
    data, message = BROKEN_GZIP[case]
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(data)
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte.gz: .*{message}"):
        load_mnist(tmp_path)


@settings(
    max_examples=150, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(data=st.data(), packed=st.booleans())
def test_any_damage_is_a_data_error_or_a_valid_set(tmp_path, data, packed):
    good = gzip.compress(idx_images(some_images(2)), 1, mtime=0) if packed else idx_images(some_images(2))
    # most of the damage goes where it hurts: the headers
    position = data.draw(st.integers(0, 40) | st.integers(0, len(good) - 1))
    removed = data.draw(st.integers(0, 3) | st.just(len(good)))
    damaged = good[:position] + data.draw(st.binary(max_size=6)) + good[position + removed :]
    (tmp_path / "train-images-idx3-ubyte").write_bytes(damaged)
    try:
        images = load_mnist(tmp_path).images
    except DataError:
        return
    assert images.shape == (2, 784) and images.dtype == np.uint8


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("count", [999_999, 2**32 - 1])
def test_a_lying_header_takes_no_memory(tmp_path, gz, count):
    write(tmp_path, idx_images(some_images(), count=count), gz=gz)

    def load():
        with pytest.raises(DataError, match="take 783999216 bytes, found 5488|header states 4,294"):
            load_mnist(tmp_path)

    load()  # imports and caches of the first call are not what is measured
    assert peak_memory(load) < 2 * MEGABYTE


def test_a_gzip_bomb_stops_at_the_size_the_header_states(tmp_path):
    bomb = gzip.compress(idx_images(np.zeros((50_000, 784), np.uint8), count=2), 1)
    assert len(bomb) < MEGABYTE / 2
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(bomb)

    def load():
        with pytest.raises(DataError, match="bytes left over after the 2 images"):
            load_mnist(tmp_path)

    load()
    assert peak_memory(load) < 2 * MEGABYTE


# ---------------------------------------------------------------- Digits and batches


def drawn_rows(seed, count, n):
    """The rows that `Digits.sample` draws: whole parts of count·u."""
    return (count * np.random.default_rng(seed).random(n)).astype(int)


@pytest.mark.parametrize(
    "images, labels, message",
    [
        (np.zeros((3, 784)), None, r"images are float64 \(3, 784\), expected uint8 \(3, 784\)"),
        (np.zeros((3, 28, 28), np.uint8), None, r"images are uint8 \(3, 28, 28\), expected uint8 \(3, 784\)"),
        (np.zeros((0, 784), np.uint8), None, "got no images"),
        (some_images(3), some_labels(2), r"labels are uint8 \(2,\), expected uint8 \(3,\)"),
        (some_images(3), np.zeros(3, int), r"labels are int64 \(3,\), expected uint8 \(3,\)"),
    ],
)
def test_digits_check_their_arrays(images, labels, message):
    with pytest.raises(DataError, match=message):
        Digits(images, labels)


def outputs(n, dtype):
    """Arrays (n, 784) to sample into: contiguous, with padded rows, every second row, transposed memory."""
    return {
        "contiguous": np.full((n, 784), 7, dtype),
        "padded rows": np.full((n, 785), 7, dtype)[:, :784],
        "every second row": np.full((2 * n, 784), 7, dtype)[::2],
        "transposed": np.full((784, n), 7, dtype).T,
    }


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", outputs(1, np.float32))
def test_sample_is_a_scaled_uniform_draw(dtype, layout):
    images = some_images(5)
    out = outputs(64, dtype)[layout]
    Digits(images).sample(64, np.random.default_rng(3), out)
    drawn = images[drawn_rows(3, 5, 64)]
    assert np.allclose(out, drawn / 127.5 - 1, rtol=0, atol=2 * np.finfo(dtype).eps)


def test_sample_leaves_what_lies_beside_its_view():
    whole = np.full((10, 790), 7, np.float32)
    Digits(some_images()).sample(4, np.random.default_rng(0), whole[2:10:2, 3:787])
    inside = np.zeros(whole.shape, bool)
    inside[2:10:2, 3:787] = True
    assert np.all(whole[~inside] == 7) and np.all(np.abs(whole[inside]) <= 1)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sample_reaches_both_ends_of_the_range_exactly(dtype):
    out = np.empty((1, 784), dtype)
    image = np.resize(np.array([0, 255], np.uint8), (1, 784))
    Digits(image).sample(1, np.random.default_rng(0), out)
    assert np.all(out[0, ::2] == -1) and np.all(out[0, 1::2] == 1)


def test_sample_draws_uniformly_with_replacement():
    count, n = 10, 20_000
    images = np.repeat(np.arange(count, dtype=np.uint8)[:, None], 784, axis=1)
    out = np.empty((n, 784), np.float32)
    Digits(images).sample(n, np.random.default_rng(0), out)
    counts = np.bincount(to_pixels(out[:, 0]), minlength=count)
    # chi-squared with 9 degrees of freedom lies between 0.6 and 33.7 but once in 5,000 draws
    assert 0.6 < ((counts - n / count) ** 2 / (n / count)).sum() < 33.7


def test_sample_is_reproducible_by_seed():
    digits = Digits(some_images(100))
    first, again, other = (np.empty((50, 784), np.float32) for _ in range(3))
    rng = np.random.default_rng(1)
    digits.sample(50, rng, first)
    digits.sample(50, rng, other)
    digits.sample(50, np.random.default_rng(1), again)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_sample_serves_changing_batch_sizes():
    digits = Digits(some_images(5))
    for n in (8, 3, 20, 8, 1):
        out = np.empty((n, 784), np.float32)
        digits.sample(n, np.random.default_rng(n), out)
        drawn = digits.images[drawn_rows(n, 5, n)]
        assert np.array_equal(out, to_unit_range(drawn))


def test_digits_that_are_not_contiguous_are_drawn_from_correctly():
    wide = np.random.default_rng(0).integers(0, 256, (5, 800), dtype=np.uint8)
    out = np.empty((8, 784), np.float32)
    Digits(wide[:, 7:791]).sample(8, np.random.default_rng(2), out)
    assert np.array_equal(to_pixels(out), wide[drawn_rows(2, 5, 8), 7:791])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", ["contiguous", "padded rows", "every second row"])
def test_sample_allocates_no_array_once_warm(dtype, layout):
    n, rng = 256, np.random.default_rng(0)
    digits, out = Digits(some_images(2000)), outputs(n, dtype)[layout]
    digits.sample(n, rng, out)
    # the indices take 8 n = 2,048 bytes; a batch of bytes would take 200,704
    assert peak_memory(lambda: digits.sample(n, rng, out)) < 8192


def test_sample_does_not_copy_a_set_that_is_not_contiguous():
    digits = Digits(np.zeros((2000, 785), np.uint8)[:, :784])
    rng, out = np.random.default_rng(0), np.empty((256, 784), np.float32)
    digits.sample(256, rng, out)
    assert peak_memory(lambda: digits.sample(256, rng, out)) < 8192


def test_sample_does_not_change_the_images():
    digits = Digits(some_images())
    digits.sample(50, np.random.default_rng(0), np.empty((50, 784), np.float32))
    assert np.array_equal(digits.images, some_images())


@pytest.mark.parametrize(
    "out, message",
    [
        (np.empty((3, 784), np.float32), r"Digits.sample: out has 3 rows, expected 4"),
        (np.empty((4, 785), np.float32), r"out is float32 \(4, 785\)"),
        (np.empty((4, 28, 28), np.float32), r"out is float32 \(4, 28, 28\)"),
        (np.empty((4, 784), np.float16), r"out is float16 \(4, 784\), expected float32 or float64"),
        (np.empty((4, 784), np.uint8), r"out is uint8 \(4, 784\)"),
    ],
)
def test_sample_checks_out(out, message):
    with pytest.raises(DataError, match=message):
        Digits(some_images()).sample(4, np.random.default_rng(0), out)


@pytest.mark.parametrize("dtype", FLOATS)
def test_scaling_and_back_is_the_identity_on_every_pixel_value(dtype):
    pixels = np.arange(256, dtype=np.uint8)
    x = to_unit_range(pixels, dtype)
    assert x.dtype == dtype and x[0] == -1 and x[-1] == 1 and np.all(np.diff(x) > 0)
    assert np.array_equal(x, -x[::-1])
    assert np.array_equal(to_pixels(x), pixels)


def test_to_unit_range_copies_any_shape():
    images = some_images(2).reshape(2, 28, 28)
    x = to_unit_range(images)
    assert x.shape == (2, 28, 28) and x.dtype == np.float32
    assert np.array_equal(x.reshape(2, 784), to_unit_range(some_images(2)))
    assert np.array_equal(images.reshape(2, 784), some_images(2))


@pytest.mark.parametrize("images, dtype", [(some_images(), np.float16), (np.zeros(3), np.float32)])
def test_to_unit_range_checks_its_dtypes(images, dtype):
    with pytest.raises(DataError, match="to_unit_range: .* expected uint8 to float32 or float64"):
        to_unit_range(images, dtype)


@pytest.mark.filterwarnings("error")
def test_to_pixels_rounds_and_clips():
    x = [-np.inf, -3, -1, -1 + 0.4 / 127.5, -1 + 0.6 / 127.5, 1, 1.01, 1e30, np.inf, np.nan]
    pixels = to_pixels(np.array(x))
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [0, 0, 0, 0, 1, 255, 255, 255, 255, 0]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(npst.arrays(np.float32, npst.array_shapes(), elements=st.floats(-1, 1, width=32)))
def test_to_pixels_is_within_half_a_step(x):
    assert np.all(np.abs(to_unit_range(to_pixels(x), np.float64) - x) <= 0.5001 / 127.5)


# ---------------------------------------------------------------- what is held out


@given(n=st.integers(1, 60), every=st.integers(1, 12), labelled=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_split_is_disjoint_and_complete(n, every, labelled):
    digits = Digits(some_images(n), some_labels(n) if labelled else None, "digits of mine")
    if every == 1 or n < every:
        with pytest.raises(DataError):
            digits.split(every)
        return
    training, held_out = digits.split(every)
    assert len(held_out) == n // every and len(training) == n - n // every
    assert np.array_equal(held_out.images, digits.images[every - 1 :: every])
    both = [image.tobytes() for part in (training, held_out) for image in part.images]
    assert sorted(both) == sorted(image.tobytes() for image in digits.images)
    if labelled:
        label_of = {image.tobytes(): label for image, label in zip(digits.images, digits.labels, strict=True)}
        for part in (training, held_out):
            assert [label_of[image.tobytes()] for image in part.images] == part.labels.tolist()
    else:
        assert training.labels is held_out.labels is None
    assert held_out.source == f"{n // every} held-out images of digits of mine"


def test_a_set_too_small_to_split_is_refused():
    with pytest.raises(DataError, match="Digits: 4 images are too few to hold out one in 5"):
        Digits(some_images(4)).split()


def test_of_the_embedded_digits_a_hundred_of_each_class_are_held_out():
    training, held_out = load_mnist_split()
    assert np.bincount(training.labels).tolist() == [400] * 10
    assert np.bincount(held_out.labels).tolist() == [100] * 10
    assert training.source == "4,000 training images of 5,000 embedded MNIST digits"
    assert held_out.source == "1,000 held-out images of 5,000 embedded MNIST digits"
    both = np.concatenate([training.images, held_out.images])
    original = load_mnist().images
    assert sorted(map(bytes, both)) == sorted(map(bytes, original))
    assert not set(map(bytes, training.images)) & set(map(bytes, held_out.images))
    again = load_mnist_split()
    assert all(np.array_equal(one.images, two.images) for one, two in zip((training, held_out), again, strict=True))


def test_a_directory_s_own_test_set_is_what_is_held_out(tmp_path):
    write(tmp_path, idx_images(some_images(7)), idx_labels(some_labels(7)))
    training, held_out = load_mnist_split(tmp_path)
    assert (len(training), len(held_out)) == (6, 1)
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(idx_images(some_images(3)))
    training, held_out = load_mnist_split(str(tmp_path))
    assert np.array_equal(training.images, some_images(7)) and np.array_equal(training.labels, some_labels(7))
    assert np.array_equal(held_out.images, some_images(3)) and held_out.labels is None
    assert held_out.source == f"3 MNIST test digits from {tmp_path}"


def test_a_damaged_test_set_is_not_passed_over(tmp_path):
    write(tmp_path, idx_images(some_images(7)))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_images(some_images(3))[:-1])
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte"):
        load_mnist_split(tmp_path)


@pytest.mark.parametrize("dtype", FLOATS)
def test_take_gives_the_images_at_an_index(dtype):
    digits, index = Digits(some_images()), np.array([6, 0, 3, 3])
    out = np.empty((4, 784), dtype)
    digits.take(index, out)
    assert np.array_equal(out, to_unit_range(some_images()[index], dtype))
    with pytest.raises(DataError, match=r"out is float(32|64) \(4, 784\), expected .* \(3, 784\)"):
        digits.take(index[:3], out)
