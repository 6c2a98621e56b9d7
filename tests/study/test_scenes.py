"""Whether scenes show what their captions ask for: real ones do, and each fault shows in the measure of its kind."""

import math
import re

import numpy as np
import pytest

from numgan.data import DataError, Digits, Scenes, load_scenes_split
from numgan.data.scenes import COLOURS, PLACES, decode, encode, is_unseen, parse
from numgan.errors import Error
from numgan.study.evaluation import Evaluation
from numgan.study.scenes import evaluate_scenes, judge_scenes
from tests.helpers import rng

TRAINING, HELD_OUT = load_scenes_split()


def draw(scenes, n, seed=0):
    out, text = np.empty((n, 3, 32, 32), np.float32), np.empty((n, 8), np.float32)
    scenes.sample(n, rng(seed), out, text)
    return out, text


REAL, TEXT = draw(HELD_OUT, 1_000)
PIECES = [parse(decode(numbers)) for numbers in TEXT]
SINGLE = np.array([len(pieces) == 1 for pieces in PIECES])
SIDE_BY_SIDE = np.array([pieces[0].place == "left" for pieces in PIECES])


def evaluation_of(samples, text=TEXT):
    evaluation = evaluate_scenes(samples, text, HELD_OUT, rng(1))
    return {m.name: m for m in evaluation.measures}, evaluation


def shares(samples, text=TEXT):
    """The shares that have their digits, their colours, their places right."""
    return tuple(float(right.mean()) for right in judge_scenes(samples, text))


def test_real_scenes_of_digits_never_trained_on_are_read_right():
    by_name, evaluation = evaluation_of(REAL)
    assert isinstance(evaluation, Evaluation) and evaluation.collapsed is None
    assert evaluation.compared == ["1,000 scenes of 1,000 held-out images of 5,000 embedded MNIST digits"]
    for name in ("colours_right", "places_right"):
        assert by_name[name].value == by_name[name].real == 1
    for name in ("digits_right", "all_right", "unseen_right"):
        assert by_name[name].value > 0.93 and by_name[name].real > 0.93
    assert by_name["spread"].value == pytest.approx(by_name["spread"].real, rel=0.03)
    json_ready = evaluation.to_dict()
    assert [row["name"] for row in json_ready["measures"]] == list(by_name)


def test_one_picture_for_a_caption_shows_and_other_pictures_of_it_do_not():
    """Noise that is heeded makes other digits of a caption each time; what is right is not less right for being one."""
    text = np.repeat([encode("a green four"), encode("a blue one")], 20, axis=0)
    told, scenes = np.empty((4000, 8), np.float32), np.empty((4000, *Scenes.shape), np.float32)
    HELD_OUT.sample(4000, rng(9), scenes, told)
    of_each = [scenes[(told == words).all(axis=1)][:20] for words in (text[0], text[-1])]
    many, one = np.concatenate(of_each), np.concatenate([np.repeat(own[:1], 20, axis=0) for own in of_each])
    assert len(many) == 40
    assert evaluation_of(one, text)[0]["spread_of_one"].value == pytest.approx(0, abs=1e-5)
    varied = evaluation_of(many, text)[0]["spread_of_one"]
    by_hand = [np.linalg.norm(a - b) for own in of_each for i, a in enumerate(own) for b in own[:i]]
    assert varied.value == pytest.approx(np.mean(by_hand), rel=1e-4)


def test_captions_of_the_same_scene_from_the_other_side_are_as_right():
    turned = TEXT[~SINGLE].copy()
    for numbers in turned:
        words = decode(numbers).split()
        relation = {"left": "right of", "right": "left of", "above": "below", "below": "above"}[words[3]]
        numbers[...] = encode(" ".join([*words[-3:], relation, *words[:3]]))
    assert (turned != TEXT[~SINGLE]).any(axis=1).all()
    for ours, theirs in zip(judge_scenes(REAL, TEXT), judge_scenes(REAL[~SINGLE], turned), strict=True):
        assert np.array_equal(ours[~SINGLE], theirs)


def test_real_scenes_with_the_captions_of_others_are_wrong():
    by_name, evaluation = evaluation_of(REAL, np.roll(TEXT, 1, axis=0))
    assert by_name["all_right"].value < 0.01 < by_name["all_right"].real
    assert by_name["digits_right"].value < 0.08 and by_name["colours_right"].value < 0.12
    assert 0.25 < by_name["places_right"].value < 0.42  # a third, by chance
    assert evaluation.collapsed is None


def test_wrong_colours_leave_digits_and_places_right():
    digits, colours, places = shares(REAL[:, [1, 2, 0]])
    assert digits > 0.93 and places == 1 and colours < 0.05
    assert shares(REAL.max(axis=1, keepdims=True).repeat(3, axis=1))[1] == 0  # white is none of the colours


@pytest.mark.parametrize("colour", COLOURS)
def test_a_single_wrong_colour_is_found(colour):
    wrong = REAL[SINGLE].copy()
    ink = (wrong.max(axis=1) + 1) / 2
    wrong[...] = 2 * ink[:, None] * np.array(COLOURS[colour])[:, None, None] - 1
    asked = np.array([pieces[0].colour == colour for pieces in PIECES if len(pieces) == 1])
    assert np.array_equal(judge_scenes(wrong, TEXT[SINGLE]).colours, asked)


def test_another_digit_of_the_right_colour_in_the_right_place_is_found():
    scenes, text = REAL[SINGLE], TEXT[SINGLE]
    for colour in COLOURS:
        index = np.flatnonzero([p[0].colour == colour for p in PIECES if len(p) == 1])
        digit = np.array([p[0].digit for p in PIECES if len(p) == 1])[index]
        verdicts = judge_scenes(scenes[np.roll(index, 1)], text[index])
        assert verdicts.colours.all() and verdicts.places.all()
        assert (verdicts.digits == (digit == np.roll(digit, 1))).mean() > 0.93


def test_what_stands_elsewhere_is_out_of_place():
    for moved, axis in ((3, 2), (-3, 2), (8, 2), (8, 3)):  # a one may move by 3 pixels sideways, and is in its place
        assert shares(np.roll(REAL, moved, axis))[2] < 0.03
    for given, asked in ((SINGLE, ~SINGLE), (~SINGLE, SINGLE), (SIDE_BY_SIDE, ~SIDE_BY_SIDE & ~SINGLE)):
        n = min(given.sum(), asked.sum())
        assert shares(REAL[given][:n], TEXT[asked][:n])[2] < 0.01


@pytest.mark.parametrize("dark", [slice(0, 16), slice(16, 32)])
def test_a_digit_less_than_asked_for_is_missed(dark):
    less = REAL[SIDE_BY_SIDE].copy()
    less[:, :, :, dark] = -1
    assert shares(less, TEXT[SIDE_BY_SIDE])[2] == 0


def test_something_more_than_asked_for_is_out_of_place_and_nothing_else():
    more = REAL[SIDE_BY_SIDE].copy()
    more[:, :, :8] = np.maximum(more[:, :, :8], more[:, :, 12:20])
    verdicts = judge_scenes(more, TEXT[SIDE_BY_SIDE])
    assert verdicts.places.mean() < 0.02 and verdicts.all_right().mean() < 0.02
    assert verdicts.digits.mean() > 0.93 and verdicts.colours.all()


def test_two_ones_side_by_side_pass_for_no_single_digit():
    ones = Digits(HELD_OUT.digits.images[HELD_OUT.digits.labels == 1], np.ones(100, np.uint8))
    samples, text = draw(Scenes(ones), 400)
    pieces = [parse(decode(numbers)) for numbers in text]
    pairs = np.array([p[0].place == "left" for p in pieces])
    single = np.repeat([encode("a red one")], pairs.sum(), axis=0)
    assert pairs.sum() > 100 and shares(samples[pairs], text[pairs])[2] == 1
    assert shares(samples[pairs], single)[2] < 0.05


def test_one_wrong_digit_of_two_makes_a_scene_wrong():
    half = REAL[SIDE_BY_SIDE].copy()
    half[:, :, :, 16:] = np.roll(half[:, :, :, 16:], 1, axis=0)
    verdicts = judge_scenes(half, TEXT[SIDE_BY_SIDE])
    right = np.array([pieces[1] for pieces in np.array(PIECES, object)[SIDE_BY_SIDE]], object)
    same = (right[:, :2] == np.roll(right, 1, axis=0)[:, :2]).all(axis=1)
    assert verdicts.places.all()
    assert (verdicts.all_right() == same).mean() > 0.93 and same.mean() < 0.1


def test_a_little_noise_or_dimness_is_read_and_much_is_not():
    noise = rng(3).normal(size=REAL.shape)
    assert min(shares(REAL + 0.1 * noise)) > 0.92
    assert min(shares(0.5 * (REAL + 1) - 1)) > 0.92
    assert min(shares(REAL + 0.4 * noise)) == 0
    assert shares(rng(4).uniform(-1, 1, REAL.shape))[1:] == (0, 0)


def test_unseen_combinations_are_counted_by_themselves():
    """A generator that draws what training shows, and the wrong colour where a combination is unseen."""
    samples = REAL.copy()
    unseen = np.array([any(map(is_unseen, pieces)) for pieces in PIECES])
    samples[unseen] = samples[unseen][:, [1, 2, 0]]
    by_name, _ = evaluation_of(samples)
    assert 0.2 < unseen.mean() < 0.4
    assert by_name["unseen_right"].value == 0 < 0.93 < by_name["unseen_right"].real
    assert by_name["all_right"].value == pytest.approx(1 - unseen.mean(), abs=0.05)


def test_one_unseen_combination_of_two_is_enough_to_count():
    unseen = np.array([sum(map(is_unseen, pieces)) for pieces in PIECES])
    mixed = (unseen == 1) & ~SINGLE
    by_name, _ = evaluation_of(np.where(mixed[:, None, None, None], REAL[:, [1, 2, 0]], REAL))
    assert by_name["unseen_right"].value == pytest.approx(1 - mixed.sum() / (unseen > 0).sum(), abs=0.05)
    assert 0.1 < by_name["unseen_right"].value < 0.5


def test_without_an_unseen_combination_there_is_no_such_share():
    by_name, evaluation = evaluation_of(*draw(TRAINING, 200))
    assert math.isnan(by_name["unseen_right"].value) and by_name["unseen_right"].real > 0.85
    assert [row["value"] for row in evaluation.to_dict()["measures"] if row["name"] == "unseen_right"] == [None]
    assert by_name["all_right"].value > 0.97  # digits that the classifier was trained on
    by_name, _ = evaluation_of(*draw(Scenes(HELD_OUT.digits, "unseen"), 200))
    assert by_name["unseen_right"].value == by_name["all_right"].value > 0.9


@pytest.mark.parametrize("picture", [np.full((3, 32, 32), -1.0), np.zeros((3, 32, 32)), REAL[0]])
def test_one_picture_for_every_caption_has_collapsed(picture):
    by_name, evaluation = evaluation_of(picture + rng(2).normal(0, 0.01, (200, 3, 32, 32)), TEXT[:200])
    assert by_name["all_right"].value < 0.03
    assert re.fullmatch(
        r"the samples look alike whatever is asked for: their spread is 0\.\d+, where real scenes have 2\d\.\d",
        evaluation.collapsed,
    )


def test_pixels_beyond_the_range_are_clipped_and_the_same_call_gives_the_same_numbers():
    _, plain = evaluation_of(REAL[:200], TEXT[:200])
    _, loud = evaluation_of(np.where(np.abs(REAL) == 1, 1e30 * REAL, REAL)[:200].astype(float), TEXT[:200].astype(int))
    assert plain.to_dict() == loud.to_dict()


@pytest.mark.parametrize(
    "samples, text, message",
    [
        (REAL[:5, :1], TEXT[:5], r"scenes have the shape \(n, 3, 32, 32\), got \(5, 1, 32, 32\)"),
        (REAL[:0], TEXT[:0], r"scenes have the shape \(n, 3, 32, 32\), got \(0, 3, 32, 32\)"),
        (REAL[:5], TEXT[:4], r"the captions of 5 scenes are \(5, 8\), got \(4, 8\)"),
        (REAL[:5], TEXT[:5] + 0.5, "word numbers are 8 whole numbers from 0 to 21"),
        (REAL[:5], np.zeros((5, 8)), 'a caption is like "a green four"'),
        (REAL[:5] * np.nan, TEXT[:5], "the scenes must be finite numbers, got nan"),
        (np.where(REAL[:5] == 1, np.inf, REAL[:5]), TEXT[:5], "the scenes must be finite numbers, got inf"),
    ],
)
def test_what_are_no_scenes_or_no_captions_is_refused(samples, text, message):
    for call in (judge_scenes, lambda *pair: evaluate_scenes(*pair, HELD_OUT, rng())):
        with pytest.raises(Error, match=message):
            call(samples, text)


def test_too_few_scenes_or_none_to_compare_with_are_refused():
    with pytest.raises(DataError, match="cannot evaluate 1 scene; expected at least 2"):
        evaluate_scenes(REAL[:1], TEXT[:1], HELD_OUT, rng())
    with pytest.raises(Error, match="evaluate_scenes: held_out must be a Scenes, got"):
        evaluate_scenes(REAL, TEXT, HELD_OUT.digits, rng())
    with pytest.raises(Error, match="evaluate_scenes: rng must be a numpy.random.Generator"):
        evaluate_scenes(REAL, TEXT, HELD_OUT, 0)


def test_places_do_not_overlap_with_their_neighbour():
    for a, b in (("left", "right"), ("top", "bottom")):
        covered = np.zeros((32, 32), int)
        for rows, columns in (PLACES[a], PLACES[b]):
            covered[rows, columns] += 1
        assert covered.max() == 1 and covered.sum() == 2 * 16 * 16
