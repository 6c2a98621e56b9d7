"""The emoji that ship with numgan: that they are what their README says, and look like it, at every size."""

import hashlib
import re
import shutil

import numpy as np
import pytest

from numgan.data import DataError, Emoji, Images, emoji, load_emoji, load_emoji_split
from numgan.data.images import to_pixels
from numgan.errors import Error
from tests.helpers import peak_memory, rng

README = (emoji.DIRECTORY / "README.md").read_text(encoding="utf-8")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


# ---------------------------------------------------------------- the files


def test_the_files_have_the_sums_in_their_readme():
    file, names = ((emoji.DIRECTORY / name).read_bytes() for name in ("emoji.npz", "names.txt"))
    stated = re.findall(r"^\| .* \| `([0-9a-f]{64})` \|$", README, re.MULTILINE)
    assert stated == [sha256(file), sha256(load_emoji(64).images.tobytes()), sha256(names)]
    assert len(file) < 4_000_000


def test_the_readme_names_source_licence_and_authors():
    for words in (
        "@iconify-json/twemoji` 1.2.5",
        "Creative Commons Attribution 4.0",
        "© Twitter, Inc and other contrib",
    ):
        assert words in README


def test_there_are_as_many_as_the_readme_says_each_with_a_name_of_its_own():
    source = load_emoji()
    assert len(source) == len(source.names) == len(set(source.names)) == 1176
    assert README.startswith("# 1,176 emoji\n") and source.source == "1,176 emoji of 32x32 pixels"
    assert {"red apple", "robot", "octopus", "rocket", "thumbs up"} <= set(source.names)
    assert all(re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", name) for name in source.names)
    assert not {"flag germany", "right arrow", "letter a", "man cook"} & set(source.names)
    for word in ("keycap", "skin tone", "oclock"):
        assert not [name for name in source.names if name.startswith(word) or name.endswith(word)]


def test_no_two_are_the_same_or_mirror_images():
    images = load_emoji(64).images
    seen = {image.tobytes() for image in images}
    assert len(seen) == len(images)
    symmetric = sum(np.array_equal(image, image[..., ::-1]) for image in images)
    assert len(seen & {image[..., ::-1].tobytes() for image in images}) == symmetric


# ---------------------------------------------------------------- what they look like


def colours(name, size=64):
    source = load_emoji(size)
    return source.images[source.names.index(name)].astype(int)


def test_the_emoji_look_like_their_names():
    red, green, blue = colours("red apple")[:, 32:48, 20:44].mean(axis=(1, 2))
    assert red > 200 and green < 80 and blue < 90
    red, green, blue = colours("green apple")[:, 32:48, 20:44].mean(axis=(1, 2))
    assert green > red > blue
    red, green, blue = colours("blue heart")[:, 20:32, 10:54].mean(axis=(1, 2))
    assert blue > 200 > green > red
    moon = colours("full moon")
    assert (moon[:, 0, 0] == 255).all() and moon[:, 32, 32].std() > 30  # yellow, on white


def test_the_emoji_are_upright_and_not_mirrored():
    umbrella = 255 - colours("umbrella").mean(axis=0)
    assert umbrella[:32].mean() > 1.5 * umbrella[32:].mean()  # the cover is above
    pointing = 255 - colours("backhand index pointing left").mean(axis=0)
    assert pointing[:, 32:].mean() > 1.5 * pointing[:, :32].mean()  # the hand is at the right of its finger


@pytest.mark.parametrize("size, shares", [(64, (0.35, 0.75)), (32, (0.3, 0.7)), (16, (0.2, 0.65))])
def test_they_stand_on_white_and_fill_their_square(size, shares):
    images = load_emoji(size).images
    white = (images == 255).all(axis=1).mean()
    assert shares[0] < white < shares[1]
    assert not (images == 255).all(axis=(1, 2, 3)).any()  # none is empty
    for edge in (images[:, :, 0], images[:, :, -1], images[..., 0], images[..., -1]):
        assert (edge < 250).any()  # drawn to all four borders by one or another
    assert images.min() == 0 and images.max() == 255


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("size", [64, 32, 16])
def test_smaller_sizes_are_rounded_averages_of_the_stored_pixels(size):
    stored, source = load_emoji(64).images, load_emoji(size)
    assert isinstance(source, Images) and source.shape == (3, size, size) and source.images.dtype == np.uint8
    k = 64 // size
    blocks = stored[:50].reshape(50, 3, size, k, size, k).swapaxes(3, 4).reshape(50, 3, size, size, k * k)
    assert np.array_equal(source.images[:50], np.floor(blocks.astype(float).mean(axis=-1) + 0.5))
    assert source.names == load_emoji(64).names


def test_32_is_the_size_if_none_is_given():
    assert load_emoji().shape == load_emoji_split()[0].shape == (3, 32, 32)


@pytest.mark.parametrize("size", [0, 8, 28, 48, 128, -32, 32.5, 32.0, "32", None, True, np.nan, [32]])
@pytest.mark.parametrize("load", [load_emoji, load_emoji_split])
def test_other_sizes_are_refused_in_a_sentence(load, size):
    with pytest.raises(Error, match="load_emoji: size must be 64, 32 or 16, got ") as caught:
        load(size)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- what is held out, what is mirrored


@pytest.mark.parametrize("size", [64, 32, 16])
def test_every_tenth_is_held_out_and_none_is_in_both(size):
    whole, (training, held_out) = load_emoji(size), load_emoji_split(size)
    assert (len(training), len(held_out)) == (1059, 117)
    assert held_out.names == whole.names[9::10] and np.array_equal(held_out.images, whole.images[9::10])
    assert sorted(training.names + held_out.names) == sorted(whole.names)
    assert not {i.tobytes() for i in training.images} & {i.tobytes() for i in held_out.images}
    for part in (training, held_out):
        assert isinstance(part, Emoji)
        for name, image in list(zip(part.names, part.images, strict=True))[::40]:
            assert np.array_equal(image, whole.images[whole.names.index(name)])
    assert held_out.source == f"117 held-out images of 1,176 emoji of {size}x{size} pixels"


def test_flip_doubles_the_training_set_with_mirrored_pictures_and_nothing_else():
    training, held_out = load_emoji_split(16)
    flipped, same = load_emoji_split(16, flip=True)
    assert len(flipped) == 2 * len(training) and flipped.names == 2 * training.names
    assert np.array_equal(flipped.images[: len(training)], training.images)
    assert np.array_equal(flipped.images[len(training) :], training.images[..., ::-1])
    assert np.array_equal(same.images, held_out.images)
    assert not {i.tobytes() for i in flipped.images} & {i.tobytes() for i in held_out.images}
    assert flipped.source.endswith(", also mirrored")


@pytest.mark.parametrize("flip", [None, 1, "yes", 0.5])
def test_flip_is_true_or_false(flip):
    with pytest.raises(Error, match="load_emoji_split: flip must be True or False, got"):
        load_emoji_split(flip=flip)


# ---------------------------------------------------------------- drawing


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_is_of_emoji_the_same_for_the_same_generator(dtype):
    source, first, again = load_emoji(), np.empty((30, 3, 32, 32), dtype), np.empty((60, 3, 32, 32), dtype)[::2]
    source.sample(30, rng(4), first)
    load_emoji().sample(30, rng(4), again)
    assert np.array_equal(first, again) and first.min() >= -1 and first.max() == 1
    assert np.array_equal(to_pixels(first), source.images[(1176 * rng(4).random(30)).astype(int)])


def test_a_warm_source_takes_no_memory():
    source, out, draw = load_emoji(), np.empty((64, 3, 32, 32), np.float32), rng()
    source.sample(64, draw, out)
    assert peak_memory(lambda: source.sample(64, draw, out)) < 8192  # a batch of bytes takes 196,608


# ---------------------------------------------------------------- files that are not as they should be


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda d: (d / "emoji.npz").unlink(), r"the emoji in .* cannot be read: No such file.*; install numgan anew"),
        (lambda d: (d / "names.txt").unlink(), "cannot be read: No such file"),
        (lambda d: (d / "emoji.npz").write_bytes(b""), "cannot be read"),
        (lambda d: (d / "emoji.npz").write_bytes((d / "emoji.npz").read_bytes()[:100_000]), "cannot be read"),
        (lambda d: np.savez(d / "emoji.npz", pictures=np.zeros(3)), "cannot be read"),
        (lambda d: np.savez(d / "emoji.npz", images=np.zeros(3)), r"holds float64 \(3,\) for 1176 names"),
        (lambda d: np.savez(d / "emoji.npz", images=np.array([{}])), "cannot be read: .*allow_pickle=False"),
        (lambda d: (d / "names.txt").write_text("one\n"), r"holds uint8 \(1176, 3, 64, 64\) for 1 names"),
    ],
)
def test_damaged_files_are_told_of_in_a_sentence(tmp_path, monkeypatch, damage, message):
    directory = shutil.copytree(emoji.DIRECTORY, tmp_path / "emoji_64")
    monkeypatch.setattr(emoji, "DIRECTORY", directory)
    damage(directory)
    with pytest.raises(DataError, match=message) as caught:
        load_emoji()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [None, "ab", ["a"], ["a", "b", "c"], 2])
def test_names_are_as_many_as_images(names):
    with pytest.raises(DataError, match="Emoji: names are .*, expected 2 texts, one an image"):
        Emoji(np.zeros((2, 3, 4, 4), np.uint8), names)
