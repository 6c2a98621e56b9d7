"""Pictures from a directory of PNG files: every kind of PNG, every size, and everything that may be wrong with one."""

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from matplotlib.image import imsave

from numgan import errors
from numgan.data import DataError, Images, load_emoji, load_pictures, load_pictures_split
from numgan.data.pictures import SIGNATURE, _weights
from numgan.errors import Error
from tests.helpers import MEGABYTE, flip, peak_memory, rng

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def header(width, height, depth=8, kind=RGB, interlaced=0):
    return chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, kind, 0, 0, interlaced))


def png(pixels, kind=RGB, extra=b"", depth=None):
    """A PNG file of an array (h, w) or (h, w, channels), uint8 or uint16; of `depth` bits if that is below 8."""
    h, w = pixels.shape[:2]
    if depth:
        bits = np.unpackbits(pixels[..., None], axis=2)[:, :, 8 - depth :].reshape(h, -1)
        rows = np.packbits(bits, axis=1)
    else:
        depth, rows = 8 * pixels.itemsize, pixels
    lines = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in rows)
    data = chunk(b"IDAT", zlib.compress(lines, 1))
    return SIGNATURE + header(w, h, depth, kind) + extra + data + chunk(b"IEND", b"")


def colourful(h=6, w=6, channels=3, seed=0, dtype=np.uint8):
    return rng(seed).integers(0, np.iinfo(dtype).max + 1, (h, w, channels), dtype=dtype)


def fill(directory, *files):
    """Write PNG files a.png, b.png, ...; two of the same if there is one."""
    for name, content in zip("abcdefgh", files * 2 if len(files) == 1 else files, strict=False):
        (directory / f"{name}.png").write_bytes(content)
    return directory


def message(directory, size=4):
    with pytest.raises(DataError) as caught:
        load_pictures(directory, size)
    text = str(caught.value)
    assert 0 < len(text) <= 500 and "\n" not in text
    return text


# ---------------------------------------------------------------- kinds of PNG


def test_a_file_of_the_size_asked_for_is_taken_as_it_is(tmp_path):
    one, two = colourful(seed=1), colourful(seed=2)
    source = load_pictures(fill(tmp_path, png(one), png(two)), 6)
    assert isinstance(source, Images) and source.shape == (3, 6, 6) and source.images.dtype == np.uint8
    assert np.array_equal(source.images, np.array([one, two]).transpose(0, 3, 1, 2))
    assert source.labels is None and source.source == f"2 pictures from {tmp_path}"


def test_32_is_the_size_if_none_is_given(tmp_path):
    fill(tmp_path, png(colourful(40, 50)))
    assert load_pictures(tmp_path).shape == load_pictures_split(str(tmp_path))[1].shape == (3, 32, 32)


@pytest.mark.parametrize("depth", [1, 2, 4, None])
def test_grey_of_any_depth_gives_one_channel_from_black_to_white(tmp_path, depth):
    top = 2 ** (depth or 8) - 1
    levels = rng(3).integers(0, top + 1, (5, 5), dtype=np.uint8)
    levels[0, :2] = 0, top
    source = load_pictures(fill(tmp_path, png(levels, GREY, depth=depth)), 5)
    assert source.shape == (1, 5, 5)
    assert np.array_equal(source.images[0, 0], levels * (255 // top))


def test_grey_of_few_levels_that_are_all_dark_is_not_mistaken(tmp_path):
    levels = np.array([[0, 1], [0, 0]], np.uint8)
    images = load_pictures(fill(tmp_path, png(levels, GREY, depth=2)), 2).images
    assert images[0, 0].tolist() == [[0, 85], [0, 0]]


@pytest.mark.parametrize("kind, channels", [(GREY, 1), (RGB, 3), (GREY_ALPHA, 2), (RGBA, 4)])
def test_16_bits_become_8(tmp_path, kind, channels):
    pixels = colourful(5, 5, channels, dtype=np.uint16)
    if kind in (GREY_ALPHA, RGBA):
        pixels[..., -1] = 65535
    images = load_pictures(fill(tmp_path, png(pixels, kind)), 5).images[0]
    expected = pixels[..., : len(images)].transpose(2, 0, 1) / 257
    assert len(images) == (1 if channels < 3 else 3)
    assert np.abs(images - expected).max() <= 1  # a decoder may cut where another rounds


@pytest.mark.parametrize("kind", [GREY_ALPHA, RGBA])
def test_alpha_is_laid_on_white(tmp_path, kind):
    channels = {GREY_ALPHA: 1, RGBA: 3}[kind]
    pixels = colourful(4, 4, channels + 1)
    pixels[0, 0], pixels[0, 1] = [0] * channels + [0], [7] * channels + [255]
    images = load_pictures(fill(tmp_path, png(pixels, kind)), 4).images[0]
    colour, alpha = pixels[..., :-1].astype(float), pixels[..., -1:] / 255
    expected = colour * alpha + 255 * (1 - alpha)
    assert np.abs(images - expected.transpose(2, 0, 1)).max() < 0.51
    assert (images[:, 0, 0] == 255).all() and (images[:, 0, 1] == 7).all()


def test_a_palette_is_looked_up_and_its_transparent_entries_are_white(tmp_path):
    extra = chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60, 70, 80, 90])) + chunk(b"tRNS", bytes([255, 0]))
    indices = np.array([[0, 1], [2, 0]], np.uint8)
    images = load_pictures(fill(tmp_path, png(indices, PALETTE, extra)), 2).images[0]
    assert images[:, 0, 0].tolist() == [10, 20, 30] and images[:, 1, 0].tolist() == [70, 80, 90]
    assert images[:, 0, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    "pixels, kind, depth, transparent",
    [
        (np.array([[9, 8], [8, 7]], np.uint8), GREY, None, [8]),
        (np.array([[3, 1], [1, 0]], np.uint8), GREY, 2, [1]),
        (np.array([[9, 800], [800, 7]], np.uint16), GREY, None, [800]),
        (np.array([[[1, 2, 3], [4, 5, 6]], [[4, 5, 6], [4, 5, 7]]], np.uint8), RGB, None, [4, 5, 6]),
        (257 * np.array([[[1, 2, 3], [4, 5, 6]], [[4, 5, 6], [4, 5, 7]]], np.uint16), RGB, None, [1028, 1285, 1542]),
    ],
)
def test_a_transparent_colour_without_alpha_is_white_and_no_other_is(tmp_path, pixels, kind, depth, transparent):
    extra = chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    images = load_pictures(fill(tmp_path, png(pixels, kind, extra, depth)), 2).images[0]
    plain = tmp_path / "plain"
    plain.mkdir()
    expected = load_pictures(fill(plain, png(pixels, kind, depth=depth)), 2).images[0].copy()
    assert (expected[:, [0, 1], [1, 0]] < 255).all()
    expected[:, [0, 1], [1, 0]] = 255
    assert np.array_equal(images, expected)


def test_grey_among_colours_is_grey_in_all_three_channels(tmp_path):
    grey, colour = colourful(4, 4, 1), colourful(4, 4)
    images = load_pictures(fill(tmp_path, png(grey[..., 0], GREY), png(colour)), 4).images
    assert images.shape == (2, 3, 4, 4)
    assert all(np.array_equal(channel, grey[..., 0]) for channel in images[0])
    assert np.array_equal(images[1], colour.transpose(2, 0, 1))


def test_colour_files_that_show_no_colour_have_one_channel(tmp_path):
    grey = np.repeat(colourful(4, 4, 1), 3, axis=2)
    source = load_pictures(fill(tmp_path, png(grey), png(grey[..., 0], GREY)), 4)
    assert source.shape == (1, 4, 4) and np.array_equal(source.images[1, 0], grey[..., 0])


def test_what_matplotlib_writes_is_read(tmp_path):
    pixels = colourful(7, 7)
    for name in "ab":
        imsave(tmp_path / f"{name}.png", pixels)
    assert np.array_equal(load_pictures(tmp_path, 7).images[0], pixels.transpose(2, 0, 1))


# ---------------------------------------------------------------- sizes


def naive(square, size):
    """Means over areas, by the definition: each new pixel is an integral over the square that it covers."""
    n = len(square)
    out = np.zeros((size, size, 3))
    for i, j in np.ndindex(size, size):
        for r, c in np.ndindex(n, n):
            tall = min((i + 1) * n / size, r + 1) - max(i * n / size, r)
            wide = min((j + 1) * n / size, c + 1) - max(j * n / size, c)
            out[i, j] += max(tall, 0) * max(wide, 0) * square[r, c]
    return out * (size / n) ** 2


@pytest.mark.parametrize("side, size", [(8, 4), (9, 3), (7, 3), (10, 4), (5, 7), (3, 9), (1, 4), (6, 1), (11, 11)])
def test_sizes_are_means_over_areas(tmp_path, side, size):
    pixels = colourful(side, side)
    images = load_pictures(fill(tmp_path, png(pixels)), size).images[0].transpose(1, 2, 0)
    assert np.abs(images - naive(pixels.astype(float), size)).max() < 0.502


@pytest.mark.parametrize("n, size", [(1, 1), (5, 3), (3, 5), (4096, 32), (100, 64), (64, 4096), (37, 36)])
def test_every_part_weighs_one_and_every_pixel_counts_the_same(n, size):
    weights = _weights(n, size)
    assert weights.shape == (size, n) and weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(weights.sum(axis=0), size / n, rtol=1e-9)


def test_enlarging_by_a_whole_number_repeats_pixels(tmp_path):
    pixels = colourful(3, 3)
    images = load_pictures(fill(tmp_path, png(pixels)), 12).images[0]
    assert np.array_equal(images, pixels.transpose(2, 0, 1).repeat(4, axis=1).repeat(4, axis=2))


@pytest.mark.parametrize(
    "h, w, rows, columns", [(6, 10, (0, 6), (2, 8)), (9, 4, (2, 6), (0, 4)), (5, 6, (0, 5), (0, 5))]
)
def test_the_square_in_the_middle_is_what_is_taken(tmp_path, h, w, rows, columns):
    pixels = colourful(h, w)
    square = pixels[slice(*rows), slice(*columns)]
    source = load_pictures(fill(tmp_path, png(pixels)), len(square))
    assert np.array_equal(source.images[0], square.transpose(2, 0, 1))


def test_pictures_of_several_sizes_become_one(tmp_path):
    files = [png(np.full((h, w, 3), [h, w, 0], np.uint8)) for h, w in ((3, 3), (40, 20), (8, 100))]
    images = load_pictures(fill(tmp_path, *files), 8).images
    assert images.shape == (3, 3, 8, 8)
    assert images[:, :, 4, 4].tolist() == [[3, 3, 0], [40, 20, 0], [8, 100, 0]]
    assert (images == images[:, :, :1, :1]).all()


@pytest.mark.parametrize("size", [32, 16])
def test_emoji_written_as_files_come_back_as_the_smaller_emoji(tmp_path, size):
    emoji, smaller = load_emoji(64), load_emoji(size)
    for i in range(0, 1176, 100):
        (tmp_path / f"{i:04}.png").write_bytes(png(emoji.images[i].transpose(1, 2, 0)))
    assert np.array_equal(load_pictures(tmp_path, size).images, smaller.images[::100])


def test_the_largest_picture_allowed_is_read(tmp_path):
    row = np.zeros((4096, 1), np.uint8)
    row[2048:] = 200
    images = load_pictures(fill(tmp_path, png(row, GREY), png(np.zeros((1, 4096), np.uint8), GREY)), 2).images
    assert images.shape == (2, 1, 2, 2)
    with_all = np.zeros((4096, 4096), np.uint8)
    with_all[:2048] = 77
    (tmp_path / "a.png").write_bytes(png(with_all, GREY))
    assert load_pictures(tmp_path, 2).images[0].tolist() == [[[77, 77], [0, 0]]]


@pytest.mark.parametrize("size", [0, -1, 4097, 2.5, 32.0, "32", None, True, np.nan, [4]])
def test_a_size_that_cannot_be_is_refused(tmp_path, size):
    with pytest.raises(Error, match="load_pictures: size must be"):
        load_pictures(fill(tmp_path, png(colourful())), size)


def test_more_than_the_machine_can_hold_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "MEMORY", 10**8)
    fill(tmp_path, b"never read")
    with pytest.raises(Error, match="load_pictures: 2 pictures of 4096x4096 pixels would take"):
        load_pictures(tmp_path, 4096)


# ---------------------------------------------------------------- which files


def test_files_come_by_name_whatever_the_order_they_were_written_in(tmp_path):
    for name in ("b.png", "C.PNG", "a10.png", "a2.png"):
        shade = {"b.png": 3, "C.PNG": 0, "a10.png": 1, "a2.png": 2}[name]
        (tmp_path / name).write_bytes(png(np.full((4, 4), shade, np.uint8), GREY))
    assert load_pictures(tmp_path, 4).images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_hidden_files_other_endings_and_sub_folders_are_passed_over(tmp_path):
    fill(tmp_path, png(colourful()))
    (tmp_path / ".hidden.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "photo.jpg").write_bytes(b"no picture")
    (tmp_path / "png").write_bytes(b"no picture")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.png").write_bytes(b"no picture")
    assert len(load_pictures(tmp_path, 4)) == 2


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_a_link_to_a_picture_is_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(png(colourful()))
    for name in "ab":
        (tmp_path / f"{name}.png").symlink_to("elsewhere")
    assert len(load_pictures(tmp_path, 4)) == 2


def test_a_directory_that_is_missing_or_a_file_is_told_of(tmp_path):
    assert message(tmp_path / "nowhere") == f"the directory {tmp_path}/nowhere does not exist"
    (tmp_path / "file.png").write_bytes(png(colourful()))
    assert message(tmp_path / "file.png").endswith("file.png is a file, expected a directory of PNG files")
    assert "cannot be read" in message(f"{tmp_path}\0")


@pytest.mark.parametrize("directory", [None, 0, 1.5, b"x", ["x"]])
def test_what_is_no_path_is_refused(directory):
    with pytest.raises(Error, match="load_pictures: directory must be a path, got"):
        load_pictures(directory)


def test_fewer_than_two_pictures_are_too_few(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")
    assert message(tmp_path) == f"{tmp_path}: holds no PNG files, expected at least 2 files that end in .png"
    (tmp_path / "only.png").write_bytes(png(colourful()))
    assert message(tmp_path) == f"{tmp_path}: holds only.png alone, expected at least 2 files that end in .png"


# ---------------------------------------------------------------- files that are not what they should be

GOOD = png(colourful())
IDAT = GOOD.index(b"IDAT")
END = chunk(b"IEND", b"")


def claiming(width, height, **more):
    """A small file that claims to be of another size."""
    return SIGNATURE + header(width, height, **more) + GOOD[IDAT - 4 :]


BROKEN = {
    "of no bytes": (b"", "is empty, expected a PNG file"),
    "a text": (b"no picture at all", "not a PNG file: starts with 0x6e6f207069637475, expected 0x89504e470d0a1a0a"),
    "a JPEG": (b"\xff\xd8\xff\xe0" + bytes(100), "not a PNG file: starts with 0xffd8ffe0"),
    "two bytes of text": (b"no", "not a PNG file: starts with 0x6e6f"),
    "through text mode": (GOOD.replace(b"\r\n", b"\n"), "not a PNG file: starts with 0x89504e470a1a0a"),
    "half a signature": (GOOD[:4], "truncated: 4 bytes, too few for a PNG file's header"),
    "cut in the header": (GOOD[:20], "truncated: 20 bytes"),
    "cut after the header": (GOOD[:33], "truncated: ends after 33 bytes"),
    "cut in the pixels": (GOOD[: IDAT + 20], "truncated: ends after"),
    "cut before the end mark": (GOOD[:-12], "truncated: ends after"),
    "one byte short": (GOOD[:-1], "truncated: ends after"),
    "another first chunk": (SIGNATURE + chunk(b"IDAT", bytes(13)) + END, "does not begin with a PNG file's header"),
    "a long header": (SIGNATURE + chunk(b"IHDR", bytes(14)) + END, "does not begin with a PNG file's header"),
    "no width": (claiming(0, 6), "0 x 6 pixels, expected 1 x 1 to 4096 x 4096"),
    "no height": (claiming(6, 0), "6 x 0 pixels, expected 1 x 1 to 4096 x 4096"),
    "too wide": (claiming(4097, 1), "4097 x 1 pixels, expected"),
    "a bomb": (claiming(2**31 - 1, 2**31 - 1), "2147483647 x 2147483647 pixels, expected"),
    "a second, larger header": (GOOD[:33] + header(60_000, 60_000) + GOOD[33:], "has a second header at byte 33"),
    "a flipped bit in the header": (flip(GOOD, 25), "the checksum of the IHDR at byte 8 is wrong"),
    "a flipped bit in the pixels": (flip(GOOD, IDAT + 30), "the checksum of the IDAT at byte 33 is wrong"),
    "pixels that are not compressed": (GOOD[:33] + chunk(b"IDAT", b"x" * 50) + END, "cannot be decoded: OSError"),
    "no pixels": (GOOD[:33] + END, "cannot be decoded: "),
    "3 bits a channel": (claiming(6, 6, depth=3), "cannot be decoded: "),
    "a kind of colour that is none": (claiming(6, 6, kind=5), "cannot be decoded: "),
    "an endless part": (GOOD[:33] + struct.pack(">I", 2**32 - 1) + b"IDAT" + bytes(40), "truncated: ends after"),
    "far more bytes than pixels": (GOOD[:33] + bytes((1 << 24) + 400), "more than 16,777,504 bytes for 6 x 6 pixels"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_and_its_fault_told(tmp_path, case):
    content, words = BROKEN[case]
    (tmp_path / "a.png").write_bytes(GOOD)
    (tmp_path / "broken.png").write_bytes(content)
    text = message(tmp_path)
    assert text.startswith(f"{tmp_path / 'broken.png'}: ") and words in text


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (60_000, 60_000), (4096, 4097)])
def test_what_a_header_claims_costs_no_memory(tmp_path, size):
    fill(tmp_path, claiming(*size))
    message(tmp_path)  # imports of the first call are not what is measured
    assert peak_memory(lambda: message(tmp_path)) < MEGABYTE


def test_a_comment_that_unpacks_to_a_hundred_megabytes_is_no_bomb(tmp_path):
    comment = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100 * MEGABYTE), 9))
    fill(tmp_path, GOOD[:33] + comment + GOOD[33:])

    def load():
        try:
            load_pictures(tmp_path, 4)
        except DataError as error:
            assert "cannot be decoded" in str(error)

    load()
    assert peak_memory(load) < 10 * MEGABYTE


@pytest.mark.skipif(os.name != "posix", reason="special files")
@pytest.mark.parametrize("kind, words", [
    ("directory", "cannot be read: it is a directory, expected a regular file"),
    ("pipe", "cannot be read: it is a FIFO"),
    ("device", "cannot be read: it is a device"),
    ("dangling link", "no such file"),
    ("link to itself", "cannot be read: "),
])  # fmt: skip
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, kind, words):
    path = fill(tmp_path, GOOD) / "special.png"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"device": "/dev/zero", "dangling link": "nowhere", "link to itself": "special.png"}[kind])
    assert message(tmp_path).startswith(f"{path}: {words}")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told_of(tmp_path):
    (fill(tmp_path, GOOD) / "b.png").chmod(0)
    assert "b.png: cannot be read: Permission denied" in message(tmp_path)


def test_a_name_that_no_terminal_should_see_is_shown_safely(tmp_path):
    fill(tmp_path, GOOD)
    (tmp_path / "\x1b[31m\n.png").write_bytes(b"")
    assert message(tmp_path) == f"{tmp_path}/?[31m?.png: is empty, expected a PNG file"


def test_any_damage_is_a_data_error_or_a_picture(tmp_path):
    path, draw, read = fill(tmp_path, GOOD) / "b.png", rng(7), 0
    for _ in range(300):
        raw = bytearray(GOOD)
        at = int(draw.integers(len(raw)))
        raw[at : at + int(draw.integers(3))] = draw.bytes(int(draw.integers(3)))
        if draw.random() < 0.5:  # checksums made right again, where the chunks still are where they were
            body = bytes(raw[37 : len(raw) - 16])
            raw = raw[:33] + chunk(body[:4], body[4:]) + raw[len(raw) - 12 :]
        path.write_bytes(raw)
        try:
            assert load_pictures(tmp_path, 4).images.shape == (2, 3, 4, 4)
            read += 1
        except DataError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert 0 < read < 300


# ---------------------------------------------------------------- what is held out


@pytest.mark.parametrize("count, held", [(2, [1]), (3, [2]), (9, [8]), (10, [9]), (19, [9]), (25, [9, 19])])
def test_every_tenth_is_held_out_and_one_at_least(tmp_path, count, held):
    for i in range(count):
        (tmp_path / f"{i:02}.png").write_bytes(png(np.full((3, 3), i, np.uint8), GREY))
    training, held_out = load_pictures_split(tmp_path, 3)
    assert held_out.images[:, 0, 0, 0].tolist() == held
    assert sorted([*training.images[:, 0, 0, 0], *held]) == list(range(count))
    assert held_out.source == f"{len(held)} held-out images of {count} pictures from {tmp_path}"


def test_flip_doubles_the_training_set_with_mirrored_pictures(tmp_path):
    fill(tmp_path, *(png(colourful(seed=i)) for i in range(4)))
    training, held_out = load_pictures_split(tmp_path, 6)
    flipped, same = load_pictures_split(tmp_path, 6, flip=True)
    assert np.array_equal(flipped.images, np.concatenate([training.images, training.images[..., ::-1]]))
    assert np.array_equal(same.images, held_out.images)
    with pytest.raises(Error, match="load_pictures_split: flip must be True or False"):
        load_pictures_split(tmp_path, 6, flip=1)


# ---------------------------------------------------------------- the set


def test_batches_are_drawn_from_the_pictures_the_same_for_the_same_generator(tmp_path):
    fill(tmp_path, *(png(colourful(seed=i)) for i in range(5)))
    source, first, again = load_pictures(tmp_path, 6), *(np.empty((40, 3, 6, 6), np.float32) for _ in range(2))
    source.sample(40, rng(2), first)
    load_pictures(tmp_path, 6).sample(40, rng(2), again)
    assert first.tobytes() == again.tobytes()
    assert np.allclose((first + 1) * 127.5, source.images[(5 * rng(2).random(40)).astype(int)], atol=1e-4)


def test_the_wing_loads_no_matplotlib():
    code = "import sys, numgan.data; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numgan.data.pictures" in loaded and not [n for n in loaded if n.startswith(("matplotlib", "PIL"))]
