"""Scenes of coloured digits: the grammar of their captions, and that pictures are what captions say."""

import itertools

import numpy as np
import pytest

from numgan.data import DataError, Digits, Scenes, load_mnist_split, load_scenes_split
from numgan.data.images import to_pixels
from numgan.data.scenes import COLOURS, DIGITS, PLACES, RELATIONS, WORDS, Piece, decode, encode, is_unseen, parse
from numgan.errors import Error
from tests.helpers import peak_memory, rng, some_images, some_labels

FLOATS = [np.float32, np.float64]
TRAINING, HELD_OUT = load_scenes_split()


def draw(scenes, n, seed=0, dtype=np.float32):
    out, text = np.full((n, 3, 32, 32), 7, dtype), np.full((n, 8), 7, dtype)
    scenes.sample(n, rng(seed), out, text)
    return out, text


def asked(text):
    return [parse(decode(numbers)) for numbers in text]


# ------------------------------------------------------------------------------------------------------------- captions


@pytest.mark.parametrize(
    "text, pieces",
    [
        ("a green four", [(4, "green", "middle")]),
        ("a red three left of a blue seven", [(3, "red", "left"), (7, "blue", "right")]),
        ("a blue seven right of a red three", [(3, "red", "left"), (7, "blue", "right")]),
        ("a purple one above a purple zero", [(1, "purple", "top"), (0, "purple", "bottom")]),
        ("A Purple zero  below a purple one", [(0, "purple", "bottom"), (1, "purple", "top")][::-1]),
    ],
)
def test_a_caption_says_what_stands_where(text, pieces):
    assert parse(text) == tuple(Piece(*piece) for piece in pieces)


def test_every_caption_can_be_encoded_and_decoded():
    some = [("red", "zero"), ("yellow", "nine"), ("purple", "five")]
    singles = [f"a {colour} {digit}" for colour in COLOURS for digit in DIGITS]
    pairs = [
        f"a {c} {d} {relation} a {e} {f}" for (c, d), (e, f) in itertools.product(some, some) for relation in RELATIONS
    ]
    codes = [encode(text) for text in singles + pairs]
    assert [decode(code) for code in codes] == singles + pairs
    assert len({code.tobytes() for code in codes}) == len(codes) == 50 + 36
    assert all(code.shape == (8,) and code.max() < len(WORDS) for code in codes)
    assert decode(codes[-1].astype(np.float32)) == pairs[-1]


def test_word_numbers_are_places_in_the_vocabulary():
    assert Scenes.words == WORDS and WORDS[0] == "" and len(set(WORDS)) == len(WORDS) == 22
    assert [WORDS[number] for number in encode("a red six below a blue two")] == [
        "a", "red", "six", "below", "a", "blue", "two", "",
    ]  # fmt: skip
    assert Scenes.conditions == {"text": (8,)}


@pytest.mark.parametrize("text", ["a orange four", "a red 4", "a red four.", "a redfour"])
def test_an_unknown_word_is_answered_with_the_vocabulary(text):
    for call in (parse, encode):
        with pytest.raises(DataError, match="captions have no word '.*', only a, left, .* purple, zero, .* nine$"):
            call(text)


@pytest.mark.parametrize(
    "text",
    [
        "red a three", "", " ", "a red", "a three", "red three", "a red three left a blue seven", "a red three of",
        "a red three left of blue seven", "a red three above of a blue seven", "a red three a blue seven",
        "a red three left of a blue seven above a red one", "a " * 5_000, None, 3, ["a", "red", "three"],
        b"a red three", "left of a red three", "a red three left of",
    ],
)  # fmt: skip
def test_what_is_no_caption_is_answered_with_captions(text):
    for call in (parse, encode):
        with pytest.raises(DataError, match='a caption is like "a green four", "a red three left of a blue seven"'):
            call(text)


@pytest.mark.parametrize(
    "numbers", [[1, 2, 3], np.zeros((1, 8)), [1, 7, 12, 0, 0, 0, 0, 1], [1, 7, 22, 0, 0, 0, 0, 0], [-1] * 8, [0.5] * 8]
)
def test_what_are_no_word_numbers_is_refused(numbers):
    with pytest.raises(DataError, match="word numbers are 8 whole numbers from 0 to 21, 0 after the last word, got"):
        decode(numbers)


# --------------------------------------------------------------------------------------------------- what is drawn


def ink_of(digits, index, place):
    """What stands in a place, by loops: the 24 pixels about the middle of the ink, or these made smaller."""
    square = digits.images[index].reshape(28, 28).astype(float)
    rows, columns = (np.flatnonzero(square.any(axis=axis)) for axis in (1, 0))
    large = np.zeros((24, 24))
    for y, x in itertools.product(range(24), range(24)):
        from_y, from_x = y + (rows[0] + rows[-1] + 1) // 2 - 12, x + (columns[0] + columns[-1] + 1) // 2 - 12
        if 0 <= from_y < 28 and 0 <= from_x < 28:
            large[y, x] = square[from_y, from_x]
    if place == "middle":
        return large
    fine = large.repeat(2, axis=0).repeat(2, axis=1)  # pixels of a half, nine of which are a pixel of a place
    return np.rint(fine.reshape(16, 3, 16, 3).mean(axis=(1, 3)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_pictures_show_what_their_captions_say(dtype):
    """The same scenes from the same random numbers, drawn by loops."""
    n, count = 40, len(TRAINING.digits)
    out, text = draw(TRAINING, n, 3, dtype)
    uniform = rng(3).random((n, 5))
    told = set()
    for picture, pieces, numbers, u in zip(out, asked(text), text, uniform, strict=True):
        relation = next((r for r in RELATIONS if r in decode(numbers)), None)
        told.add(relation)
        expected = np.zeros((3, 32, 32))
        for share, place in zip(u[[1, 3]], RELATIONS.get(relation, ("middle",)), strict=False):
            index = int(share * count)
            (piece,) = (piece for piece in pieces if piece.place == place)
            assert piece.digit == TRAINING.digits.labels[index]
            rows, columns = PLACES[place]
            tint = np.array(COLOURS[piece.colour])[:, None, None]
            expected[:, rows, columns] = np.floor(ink_of(TRAINING.digits, index, place) * tint)
        assert np.array_equal(to_pixels(picture), expected)
    assert told == {None, *RELATIONS}
    assert out.min() == -1 and out.max() == 1 and out.dtype == text.dtype == dtype


def test_a_digit_leaves_the_rim_of_its_place_dark():
    out, text = draw(HELD_OUT, 2_000)
    for picture, pieces in zip(out, asked(text), strict=True):
        rims = np.ones((32, 32), bool)
        for piece in pieces:
            rows, columns = PLACES[piece.place]
            rim = 2 if piece.place == "middle" else 1
            rims[rows.start + rim : rows.stop - rim, columns.start + rim : columns.stop - rim] = False
        assert (picture[:, rims] == -1).all() and (picture[:, ~rims] > -1).any()


def test_a_third_are_of_one_digit_and_each_relation_is_as_frequent_as_the_others():
    _, text = draw(HELD_OUT, 12_000)
    captions = [decode(numbers) for numbers in text]
    counts = [sum(relation in caption for caption in captions) for relation in RELATIONS]
    assert abs(12_000 - sum(counts) - 4_000) < 200  # four standard deviations
    assert all(abs(count - 2_000) < 170 for count in counts)


def combinations(scenes):
    return {piece[:2] for pieces in asked(draw(scenes, 3_000)[1]) for piece in pieces}


def test_training_leaves_out_one_combination_in_five_yet_shows_every_digit_and_every_colour():
    seen, every = combinations(TRAINING), combinations(HELD_OUT)
    unseen = every - seen
    assert (len(seen), len(every), len(unseen)) == (40, 50, 10) and seen < every
    assert sorted(digit for digit, _ in unseen) == list(range(10))
    assert all([colour for _, colour in unseen].count(name) == 2 for name in COLOURS)
    assert {(0, "red"), (5, "red"), (9, "purple")} < unseen and {(4, "green"), (3, "red"), (7, "blue")} < seen
    assert unseen == {combination for combination in every if is_unseen(Piece(*combination, "middle"))}


def test_scenes_of_unseen_or_of_seen_combinations_only_can_be_drawn():
    unseen, seen = (combinations(Scenes(HELD_OUT.digits, which)) for which in ("unseen", "seen"))
    assert len(unseen) == 10 and len(seen) == 40 and not unseen & seen
    assert all(is_unseen(Piece(*combination, "middle")) for combination in unseen)


def test_training_and_held_out_scenes_share_no_digit():
    for scenes, digits in zip((TRAINING, HELD_OUT), load_mnist_split(), strict=True):
        assert np.array_equal(scenes.digits.images, digits.images)
    assert (TRAINING.combinations, HELD_OUT.combinations) == ("seen", "all")
    assert HELD_OUT.source == "scenes of 1,000 held-out images of 5,000 embedded MNIST digits"
    assert TRAINING.source.endswith("training images of 5,000 embedded MNIST digits, in colours that training shows")


def test_scenes_tell_their_shape_and_have_no_end():
    assert TRAINING.shape == (3, 32, 32)
    assert not hasattr(TRAINING, "take") and not hasattr(TRAINING, "__len__")


# --------------------------------------------------------------------------------------------------------- sampling


def test_the_same_generator_gives_the_same_scenes():
    draws, first, other = rng(1), *([np.empty((20, 3, 32, 32)), np.empty((20, 8))] for _ in range(2))
    TRAINING.sample(20, draws, *first)
    TRAINING.sample(20, draws, *other)
    again = draw(load_scenes_split()[0], 20, 1, np.float64)
    for a, b, c in zip(first, again, other, strict=True):
        assert a.tobytes() == b.tobytes() != c.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
def test_strided_arrays_are_filled_alike(dtype):
    out, text = draw(TRAINING, 30, 2, dtype)
    columns = np.moveaxis(np.full((3, 32, 32, 30), 7, dtype), -1, 0), np.full((8, 30), 7, dtype).T
    others = np.full((60, 3, 32, 32), 7, dtype)[::2], np.full((60, 16), 7, dtype)[::2, ::2]
    for views in (columns, others):
        TRAINING.sample(30, rng(2), *views)
        assert np.array_equal(views[0], out) and np.array_equal(views[1], text)


def test_scenes_of_several_sizes_come_from_one_source():
    scenes = Scenes(HELD_OUT.digits)
    for n in (5, 2, 9, 5):
        for a, b in zip(draw(scenes, n, n), draw(Scenes(HELD_OUT.digits), n, n), strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_warm_source_takes_no_memory_that_grows_with_the_batch(dtype):
    scenes, draws = Scenes(HELD_OUT.digits), rng()
    out, text = np.empty((256, 3, 32, 32), dtype), np.empty((256, 8), dtype)
    scenes.sample(256, draws, out, text)
    # a batch of bytes takes 786,432; tinting a digit goes through a buffer of NumPy's, 23,000 at any size
    assert peak_memory(lambda: scenes.sample(256, draws, out, text)) < 40_000


def test_a_digit_without_ink_or_with_nothing_but_ink_can_be_drawn():
    scenes = Scenes(Digits(np.repeat(np.array([[0], [255]], np.uint8), 784, axis=1), np.array([4, 8], np.uint8)))
    out, text = draw(scenes, 50)
    assert {piece.digit for pieces in asked(text) for piece in pieces} == {4, 8}
    assert {-1, 1} <= set(out.max(axis=(1, 2, 3)).tolist())


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("digits", [None, np.zeros((3, 784), np.uint8), Digits, HELD_OUT, HELD_OUT.digits.as_images()])
def test_what_are_no_digits_is_refused(digits):
    with pytest.raises(Error, match="Scenes: digits must be a Digits, got "):
        Scenes(digits)


def test_digits_without_labels_or_with_others_than_digits_have_no_captions():
    with pytest.raises(DataError, match="Scenes: digits of mine have no labels, expected one for each"):
        Scenes(Digits(some_images(), source="digits of mine"))
    with pytest.raises(DataError, match="Scenes: the digits have a label 12, expected 0 to 9"):
        Scenes(Digits(some_images(3), np.array([1, 12, 3], np.uint8)))


def test_combinations_have_names():
    with pytest.raises(Error, match=r"Scenes: combinations must be one of \('all', 'seen', 'unseen'\), got 'new'"):
        Scenes(HELD_OUT.digits, "new")


@pytest.mark.parametrize(
    "n, draws, out, text, message",
    [
        (0, rng(), np.empty((0, 3, 32, 32)), np.empty((0, 8)), "Scenes.sample: n must be a positive integer, got 0"),
        (2, 5, np.empty((2, 3, 32, 32)), np.empty((2, 8)), "Scenes.sample: rng must be a numpy.random.Generator"),
        (2, rng(), np.empty((2, 3, 28, 28)), np.empty((2, 8)), r"sample: out is float64 \(2, 3, 28, 28\), expected"),
        (2, rng(), np.empty((2, 3, 32, 32)), np.empty((2, 7)), r"sample: text is float64 \(2, 7\), .* \(2, 8\)"),
        (2, rng(), np.empty((2, 3, 32, 32)), np.empty((3, 8)), r"sample: text is float64 \(3, 8\), .* \(2, 8\)"),
        (2, rng(), np.empty((2, 3, 32, 32)), np.empty((2, 8), int), "text is int64"),
        (2, rng(), np.empty((2, 3, 32, 32)), None, "text is None"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(n, draws, out, text, message):
    with pytest.raises(Error, match=message):
        Scenes(Digits(some_images(), some_labels())).sample(n, draws, out, text)
