"""Pictures made from other pictures, judged beside what they should be and what they were made from."""

import functools
import re

import numpy as np
import pytest

from numgan.data import Images, Pairs, load_emoji_pairs_split, load_outline_pairs_split
from numgan.data.images import to_unit_range
from numgan.errors import Error
from numgan.study.translations import evaluate_translations
from tests.helpers import rng

OUTLINED, EMOJI = load_outline_pairs_split()[1], load_emoji_pairs_split(16, flip=False)[1]
DIGITS, COLOURS = (to_unit_range(pairs.targets.images) for pairs in (OUTLINED, EMOJI))


def judged(made, pairs, rows=None):
    evaluation = evaluate_translations(made, pairs, np.arange(len(made)) if rows is None else rows)
    return {m.name: m for m in evaluation.measures}, evaluation


@functools.cache
def of(name):
    """The evaluation of translations of the outlines that are wrong in one way."""
    made = {"digits": DIGITS, "blurred": blurred(DIGITS), "others": DIGITS[rng().permutation(len(DIGITS))]}
    return judged(made[name], OUTLINED)[0]


def blurred(pictures):
    """Each pixel the mean of the nine around it."""
    _, _, h, w = pictures.shape
    wide = np.pad(pictures, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    return sum(wide[..., y : y + h, x : x + w] for y in range(3) for x in range(3)) / 9


def greyer(colours, share):
    return share * colours + (1 - share) * to_unit_range(EMOJI.inputs.images)


# ---------------------------------------------------------------- what is perfect, and what does nothing


def test_the_targets_themselves_are_perfect():
    for pictures, pairs in ((DIGITS, OUTLINED), (COLOURS, EMOJI)):
        by_name, evaluation = judged(pictures, pairs)
        assert evaluation.collapsed is None and evaluation.compared == [pairs.source]
        assert by_name["l1"].value == pytest.approx(0, abs=1e-7) and by_name["l1"].real == 0
        for name, measure in by_name.items():
            assert measure.value == pytest.approx(measure.real, abs=1e-5), name
    assert list(of("digits")) == ["l1", "sharpness", "spread", "read_right", "label_probability"]
    assert list(by_name) == ["l1", "sharpness", "spread", "chroma"]


def test_real_digits_are_read_as_the_classifier_is_known_to():
    """98.2 % of the held-out digits: 32x32 pixels are cut to the 28x28 that they stand on."""
    assert of("digits")["read_right"].value == 0.982
    assert 0.95 < of("digits")["label_probability"].value < 0.982


def test_handing_on_the_input_is_what_the_third_figure_says():
    outlines, grey = to_unit_range(OUTLINED.inputs.images), np.repeat(to_unit_range(EMOJI.inputs.images), 3, axis=1)
    for handed_on, pairs in ((outlines, OUTLINED), (grey, EMOJI)):
        by_name, _ = judged(handed_on, pairs)
        for name, measure in by_name.items():
            assert measure.value == pytest.approx(measure.input, rel=1e-5, abs=1e-9), name
    assert by_name["chroma"].input == 0 < 0.3 < by_name["chroma"].real
    assert 0.2 < of("digits")["read_right"].input < 0.5  # an outline is no digit to the classifier


def test_every_figure_of_known_pictures():
    """Two pictures of 2x2 pixels, by hand."""
    targets = np.array([[[[0, 255], [0, 0]]] * 3, [[[255, 255], [255, 255]]] * 3], np.uint8)
    pairs = Pairs(Images(targets), Images(targets[:, :1]))
    made = np.zeros((2, 3, 2, 2))
    made[0, 0, 0, 0] = 1  # one red pixel, twice as far from its target as the others
    by_name, _ = judged(made, pairs)
    assert by_name["l1"].value == pytest.approx((2 + 23) / 24)
    assert by_name["sharpness"].value == pytest.approx(np.sqrt(2 / 24))  # two of 24 steps, of 1
    assert by_name["sharpness"].real == pytest.approx(np.sqrt(6 * 4 / 24))  # six, of 2
    assert by_name["spread"].value == pytest.approx(2 * 1 / 4)  # of four ordered pairs, two at a distance of 1
    assert by_name["spread"].real == pytest.approx(2 * 6 / 4)  # nine numbers that differ by 2
    assert by_name["chroma"].value == pytest.approx(1 / 8) and by_name["chroma"].real == 0


# ---------------------------------------------------------------- what is wrong in one way


def test_blur_costs_sharpness_by_far_more_than_it_makes_digits_unreadable():
    by_name = of("blurred")
    assert by_name["sharpness"].value < 0.6 * by_name["sharpness"].real
    assert 0.9 < by_name["read_right"].value < by_name["read_right"].real
    assert by_name["l1"].value < 0.1
    colours, _ = judged(blurred(COLOURS), EMOJI)
    assert colours["sharpness"].value < 0.6 * colours["sharpness"].real
    assert colours["chroma"].value == pytest.approx(colours["chroma"].real, rel=0.05)


def test_noise_shows_as_too_much_sharpness():
    by_name, _ = judged(COLOURS + rng().normal(0, 0.3, COLOURS.shape), EMOJI)
    assert by_name["sharpness"].value > 1.2 * by_name["sharpness"].real


def test_good_digits_for_the_wrong_outlines_are_wrong():
    by_name = of("others")
    assert by_name["sharpness"].value == pytest.approx(by_name["sharpness"].real)
    assert by_name["read_right"].value < 0.15 and by_name["label_probability"].value < 0.15
    assert by_name["l1"].value > 0.2


def test_chroma_tells_how_grey_colours_are_and_nothing_else_does():
    half, _ = judged(greyer(COLOURS, 0.5), EMOJI)
    assert half["chroma"].value == pytest.approx(0.5 * half["chroma"].real, rel=1e-4)
    assert half["l1"].value == pytest.approx(0.5 * half["l1"].input, rel=1e-4)


@pytest.mark.parametrize("made, pairs", [
    (np.broadcast_to(DIGITS.mean(axis=0), DIGITS.shape), OUTLINED), (np.zeros((50, 3, 16, 16)), EMOJI),
])  # fmt: skip
def test_one_picture_for_every_input_has_collapsed(made, pairs):
    _, evaluation = judged(made, pairs)
    assert re.fullmatch(r"the pictures' spread is .*, where their targets have [\d.]+", evaluation.collapsed)


# ---------------------------------------------------------------- what is compared with what


def test_rows_say_what_each_picture_was_made_for():
    rows = rng().permutation(len(EMOJI))[:40]
    by_name, _ = judged(COLOURS[rows], EMOJI, rows)
    assert by_name["l1"].value < 1e-7
    again, _ = judged(COLOURS[rows], EMOJI, rows[:, None].astype(np.float32).tolist())
    assert again == by_name
    assert judged(COLOURS[rows], EMOJI)[0]["l1"].value > 0.3
    few, _ = judged(DIGITS[[999, 3]], OUTLINED, [999, 3])
    assert few["read_right"].value == 1 and few["l1"].value < 1e-7


def test_pixels_beyond_the_range_are_clipped():
    loud = np.where(np.abs(COLOURS) == 1, 1e30 * COLOURS.astype(np.float64), COLOURS)
    assert judged(loud, EMOJI)[0] == judged(COLOURS, EMOJI)[0]


def test_inputs_of_another_size_are_not_judged_and_the_figures_are_the_same():
    small = Pairs(EMOJI.targets, Images(EMOJI.inputs.images[..., ::2, ::2].copy()))
    by_name, evaluation = judged(COLOURS, small)
    assert [m.input for m in by_name.values()] == [None] * 4
    assert all("input" not in row for row in evaluation.to_dict()["measures"])
    assert {n: m.value for n, m in by_name.items()} == {n: m.value for n, m in judged(COLOURS, EMOJI)[0].items()}


def test_digits_without_labels_and_other_pictures_with_labels_are_not_read():
    bare = Pairs(Images(OUTLINED.targets.images[:20]), Images(OUTLINED.inputs.images[:20]))
    assert list(judged(DIGITS[:20], bare)[0]) == ["l1", "sharpness", "spread"]
    kinds = Images(EMOJI.targets.images, np.full(len(EMOJI), 77, np.uint8))
    assert list(judged(COLOURS, Pairs(kinds, EMOJI.inputs))[0]) == ["l1", "sharpness", "spread", "chroma"]


@pytest.mark.parametrize("made, rows, message", [
    (COLOURS[:3, :1], [0, 1, 2], r"translations have the shape \(n, 3, 16, 16\), got \(3, 1, 16, 16\)"),
    (COLOURS[:0], [], r"translations have the shape \(n, 3, 16, 16\), got \(0, 3, 16, 16\)"),
    (COLOURS[:3] * np.nan, [0, 1, 2], r"evaluate_translations: made must be finite numbers, got nan at \[0, 0, 0, 0\]"),
    (np.float32([1, np.inf])[:, None, None, None] * np.ones((2, 3, 16, 16), np.float32), [0, 1],
     r"evaluate_translations: made must be finite numbers, got inf at \[1, 0, 0, 0\]"),
    (COLOURS[:3], [0, 1], r"evaluate_translations: rows must have the shape \(3,\) or \(3, 1\), got \(2,\)"),
    (COLOURS[:3], [0, 1, 117], "evaluate_translations: rows must be whole numbers from 0 to 116, got 117"),
    (COLOURS[:3], [0, 1.5, 2], "rows must be whole numbers from 0 to 116, got 1.5"),
    (COLOURS[:3], [0, -1, 2], "rows must be whole numbers from 0 to 116, got -1"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_sentence(made, rows, message):
    with pytest.raises(Error, match=message) as caught:
        evaluate_translations(made, EMOJI, rows)
    assert "\n" not in str(caught.value)


def test_pictures_that_are_no_pairs_are_refused():
    with pytest.raises(Error, match="evaluate_translations: held_out must be a Pairs, got"):
        evaluate_translations(COLOURS, EMOJI.targets, np.arange(len(COLOURS)))
