"""Evaluations of digits and of points, what counts as collapsed, and `numgan evaluate`."""

import itertools
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from numgan import GAN, Dense, Sequential, Sigmoid, cli
from numgan.data import (
    DataError,
    Digits,
    Images,
    Labelled,
    RingPoints,
    SinePoints,
    StackedDigits,
    load_emoji_split,
    load_mnist_split,
    load_outline_pairs_split,
)
from numgan.data.mnist import to_unit_range
from numgan.errors import Error
from numgan.study import classifier, metrics, recipes
from numgan.study.evaluation import (
    evaluate_classes,
    evaluate_digits,
    evaluate_pictures,
    evaluate_points,
    evaluate_ring,
    evaluate_stacked,
)
from numgan.study.settings import with_overrides
from numgan.study.translations import evaluate_translations
from tests.helpers import idx_images, rng

TRAINING, HELD_OUT = load_mnist_split()
REAL = to_unit_range(TRAINING.images)

# -------------------------------------------------------------------------------------------------------- evaluations


def digits_evaluation(samples, held_out=HELD_OUT, seed=0):
    evaluation = evaluate_digits(samples, TRAINING, held_out, rng(seed))
    return {m.name: m for m in evaluation.measures}, evaluation


def test_real_digits_score_as_real_digits_do():
    """Half of the held-out digits as samples, against the other half."""
    half = Digits(HELD_OUT.images[::2], HELD_OUT.labels[::2], "half")
    by_name, evaluation = digits_evaluation(to_unit_range(HELD_OUT.images[1::2]), half)
    assert evaluation.collapsed is None
    for name, tolerance in (("precision", 0.05), ("coverage", 0.05), ("confident_share", 0.03)):
        assert by_name[name].value == pytest.approx(by_name[name].real, abs=tolerance) and by_name[name].real > 0.9
    assert by_name["nearest_training_median"].value == pytest.approx(by_name["nearest_training_median"].real, rel=0.05)
    assert by_name["memorised_share"].value < 0.04 and by_name["memorised_share"].real == 0.01
    assert by_name["frechet_distance"].value < 2 * by_name["frechet_distance"].real < 10
    ours, real = evaluation.class_shares
    np.testing.assert_allclose([ours, real], 0.1, atol=0.01)
    assert evaluation.compared == ["half", "4,000 training images of 5,000 embedded MNIST digits"]


def test_copies_of_training_digits_are_memorised():
    by_name, evaluation = digits_evaluation(REAL[rng(5).choice(4000, 300)])
    assert by_name["memorised_share"].value == 1 and by_name["nearest_training_median"].value < 0.1
    assert 5 < by_name["nearest_training_median"].real < 15
    assert evaluation.collapsed is None


def noise(n=500):
    return rng().uniform(-1, 1, (n, 784))


def test_the_more_noise_the_worse():
    names = ("frechet_distance", "precision", "coverage", "confident_share")
    found = []
    for share in (0, 0.3, 0.6, 1):
        by_name, _ = digits_evaluation((1 - share) * to_unit_range(HELD_OUT.images[::4]) + share * noise(250))
        found.append([by_name[name].value for name in names])
    for better, worse in itertools.pairwise(found):
        assert worse[0] > better[0] and all(w <= b for w, b in zip(worse[1:], better[1:], strict=True))


@pytest.mark.parametrize("samples", [noise(), np.repeat(REAL[:1], 500, axis=0), np.zeros((500, 784)), REAL[400:800]])
def test_noise_a_single_image_and_a_single_class_have_collapsed(samples):
    _, evaluation = digits_evaluation(samples)
    assert evaluation.collapsed


def test_a_missing_class_is_a_collapse_and_is_named():
    chosen = np.flatnonzero((TRAINING.labels != 4) & (TRAINING.labels != 9))
    by_name, evaluation = digits_evaluation(REAL[rng().choice(chosen, 1000, replace=False)])
    assert by_name["coverage"].value > 0.5
    assert re.fullmatch(r"hardly a sample reads as 4 \(0\.\d%, .*\) or 9 \(0\.\d%, .*\)", evaluation.collapsed)


@pytest.mark.parametrize("n", [2, 20, 100])
def test_a_few_real_digits_are_no_collapse(n):
    for seed in range(3):
        _, evaluation = digits_evaluation(REAL[rng(seed).choice(4000, n)], seed=seed)
        assert evaluation.collapsed is None
        assert all(math.isfinite(m.value) and math.isfinite(m.real) for m in evaluation.measures)


def test_pixels_beyond_the_range_are_clipped_and_the_same_call_gives_the_same_numbers():
    samples = to_unit_range(HELD_OUT.images[:200]).astype(np.float64)
    _, plain = digits_evaluation(samples)
    _, loud = digits_evaluation(np.where(np.abs(samples) == 1, 1e30 * samples, samples))
    assert plain.to_dict() == loud.to_dict()


def test_too_many_samples_or_too_few_of_anything_is_refused():
    with pytest.raises(DataError, match="cannot evaluate 4,001 samples; expected 2 to 4,000, as many as training"):
        evaluate_digits(np.zeros((4001, 784)), TRAINING, HELD_OUT, rng())
    with pytest.raises(DataError, match="cannot evaluate 1 samples"):
        evaluate_digits(np.zeros((1, 784)), TRAINING, HELD_OUT, rng())
    with pytest.raises(DataError, match="cannot evaluate beside 5 held-out digits; expected more than 5"):
        evaluate_digits(np.zeros((20, 784)), TRAINING, Digits(HELD_OUT.images[:5]), rng())
    with pytest.raises(DataError, match="cannot evaluate 99 points; expected at least 100"):
        evaluate_points(np.zeros((99, 2)), rng())
    with pytest.raises(DataError, match="cannot evaluate 99 points; expected at least 100"):
        evaluate_ring(np.zeros((99, 2)), rng())
    with pytest.raises(DataError, match=r"points have the shape \(n, 2\), got \(100, 3\)"):
        evaluate_ring(np.zeros((100, 3)), rng())


# -------------------------------------------------------------------------------------- digits asked for by class

LABELLED = Labelled(TRAINING), Labelled(HELD_OUT)


def hundred_of_each():
    index = np.concatenate([np.flatnonzero(TRAINING.labels == k)[:100] for k in range(10)])
    return REAL[index], TRAINING.labels[index]


def classes_evaluation(samples, labels, seed=0):
    evaluation = evaluate_classes(samples, labels, *LABELLED, rng(seed))
    return {m.name: m for m in evaluation.measures}, evaluation


def test_real_digits_are_of_their_class_and_spread_as_real_ones_do():
    samples, labels = to_unit_range(HELD_OUT.images), HELD_OUT.labels
    by_name, evaluation = classes_evaluation(samples, labels)
    assert list(by_name)[:3] == ["class_accuracy", "worst_class_accuracy", "class_frechet"]
    assert by_name["class_accuracy"].value == by_name["class_accuracy"].real == 0.982
    assert by_name["worst_class_accuracy"].value == by_name["worst_class_accuracy"].real == 0.96
    assert by_name["class_frechet"].value == pytest.approx(0, abs=1e-4)
    digits = evaluate_digits(samples, TRAINING, HELD_OUT, rng(0))
    assert evaluation.measures[3:] == digits.measures and evaluation.compared == digits.compared
    assert evaluation.collapsed is None and evaluation.class_shares[1].sum() == pytest.approx(1)


def test_real_digits_under_each_other_s_labels_are_good_digits_and_of_the_wrong_class():
    samples, labels = hundred_of_each()
    right, _ = classes_evaluation(samples, labels)
    wrong, evaluation = classes_evaluation(samples, (labels + 1) % 10)
    assert right["class_accuracy"].value == right["worst_class_accuracy"].value == 1
    assert wrong["class_accuracy"].value == wrong["worst_class_accuracy"].value == 0
    # as many real digits of each class, drawn otherwise: both are mostly bias
    near, far = right["class_frechet"], wrong["class_frechet"]
    assert 4 < near.real < 9 and 0.7 < near.value / near.real < 1.4 and far.value > 20 * far.real
    assert wrong["frechet_distance"] == right["frechet_distance"] and evaluation.collapsed is None


def test_the_worst_class_is_the_one_that_is_mixed_up():
    samples, labels = hundred_of_each()
    labels = labels.copy()
    labels[300:350] = 8  # half of the threes were asked for as eights
    by_name, _ = classes_evaluation(samples, labels)
    assert by_name["class_accuracy"].value == pytest.approx(0.95)
    assert by_name["worst_class_accuracy"].value == pytest.approx(100 / 150)


def test_the_fewer_digits_of_a_class_the_larger_its_distance():
    """What the caveat of `evaluate_classes` says, of real digits beside as many real ones."""
    index = np.concatenate([np.flatnonzero(TRAINING.labels == k)[:10] for k in range(10)])
    few, _ = classes_evaluation(REAL[index], TRAINING.labels[index])
    many, _ = classes_evaluation(REAL, TRAINING.labels)
    assert few["class_frechet"].real == pytest.approx(30, rel=0.1)
    assert many["class_frechet"].real == many["class_frechet"].value == pytest.approx(4.0, rel=0.05)


def test_classes_are_asked_for_as_whole_numbers_in_any_form():
    samples, labels = (rows[::5] for rows in hundred_of_each())
    _, evaluation = classes_evaluation(samples, labels)
    pictures, column = samples.reshape(-1, 1, 28, 28).astype(np.float64), labels[:, None].astype(np.float32)
    assert classes_evaluation(pictures, column)[1].to_dict() == evaluation.to_dict()
    images = [Labelled(digits.as_images()) for digits in (TRAINING, HELD_OUT)]
    assert evaluate_classes(samples, labels, *images, rng(0)).to_dict() == evaluation.to_dict()


SAMPLES, TEN = REAL[:40], np.arange(40) % 10


@pytest.mark.parametrize("labels, training, message", [
    (TEN[:39], LABELLED[0], r"the labels of samples must have the shape \(40,\) or \(40, 1\), got \(39,\)"),
    (TEN + 1, LABELLED[0], "evaluate_classes: the labels of samples must be whole numbers from 0 to 9, got 10"),
    (TEN % 9, LABELLED[0], "cannot evaluate classes where 0 of the samples are of class 9; expected at least 2"),
    (np.where(np.arange(40) < 30, 3, TEN), LABELLED[0], "where 1 of the samples are of class 0; expected at least 2"),
    (TEN, Labelled(Digits(TRAINING.images[:1600], TRAINING.labels[:1600])), "where 0 of the training digits are of"),
    (TEN, TRAINING, "evaluate_classes: training must be a Labelled, got"),
])  # fmt: skip
def test_classes_that_cannot_be_judged_are_refused(labels, training, message):
    with pytest.raises(Error, match=message):
        evaluate_classes(SAMPLES, labels, training, LABELLED[1], rng())


# -------------------------------------------------------------------------------------------- stacks of digits


def stacked_evaluation(samples):
    evaluation = evaluate_stacked(samples, StackedDigits(HELD_OUT), rng(1))
    return {m.name: m for m in evaluation.measures}, evaluation


def test_digits_as_images_are_the_same_digits():
    samples = to_unit_range(HELD_OUT.images[:300])
    flat = evaluate_digits(samples, TRAINING, HELD_OUT, rng())
    images = evaluate_digits(samples.reshape(-1, 1, 28, 28), TRAINING.as_images(), HELD_OUT.as_images(), rng())
    assert flat.to_dict() == images.to_dict()


def test_real_stacks_score_as_real_stacks_do():
    samples, _ = StackedDigits(TRAINING).labelled(5_000, rng())
    by_name, evaluation = stacked_evaluation(samples)
    assert evaluation.collapsed is None and evaluation.compared[0].startswith("5,000 triples as red, green and blue of")
    assert by_name["modes"].value > 980 and by_name["modes"].real > 980
    # 999/2n = 0.1, and what the classifier's mistakes add
    assert 0.08 < by_name["kl_divergence"].value < 0.16 and 0.08 < by_name["kl_divergence"].real < 0.16
    assert by_name["confident_share"].value > 0.9


def test_modes_are_counted_one_by_one():
    """Only stacks of zeros and ones: 8 modes, each with an eighth of the samples where real data has a thousandth."""
    chosen = Digits(TRAINING.images[TRAINING.labels < 2], TRAINING.labels[TRAINING.labels < 2])
    samples, modes = StackedDigits(chosen).labelled(4_000, rng())
    assert set(modes) == {100 * r + 10 * g + b for r in (0, 1) for g in (0, 1) for b in (0, 1)}
    by_name, evaluation = stacked_evaluation(samples)
    assert 8 <= by_name["modes"].value < 30
    assert by_name["kl_divergence"].value == pytest.approx(math.log(1000 / 8), abs=0.1)
    assert re.fullmatch(r"samples hit \d+ modes, where real data hits 9\d\d", evaluation.collapsed)


@pytest.mark.slow
def test_a_mode_is_read_from_red_to_blue():
    """A set without the class 7 in red alone: the samples miss its hundred modes, not those of another colour."""
    samples, modes = StackedDigits(TRAINING).labelled(20_000, rng())
    by_name, _ = stacked_evaluation(samples[modes // 100 != 7])
    assert by_name["kl_divergence"].value == pytest.approx(math.log(10 / 9) + 999 / 36_000, abs=0.03)


@pytest.mark.parametrize("shape", [(10, 1, 28, 28), (10, 3, 28, 27), (10, 2352), (0, 3, 28, 28)])
def test_stacks_of_another_shape_are_refused(shape):
    with pytest.raises(DataError, match=r"stacks have the shape \(n, 3, 28, 28\), got"):
        stacked_evaluation(np.zeros(shape, np.float32))


# -------------------------------------------------------------------------------------------- pictures of any kind


EMOJI = load_emoji_split(16)


def pictures_evaluation(samples):
    evaluation = evaluate_pictures(samples, *EMOJI)
    return {m.name: m for m in evaluation.measures}, evaluation


def test_held_out_pictures_score_as_held_out_pictures_do():
    by_name, evaluation = pictures_evaluation(to_unit_range(EMOJI[1].images))
    assert evaluation.collapsed is None
    for name, measure in by_name.items():
        assert measure.value == pytest.approx(measure.real, rel=1e-4, abs=1e-6), name


def test_copies_of_training_pictures_are_called_memorised():
    by_name, _ = pictures_evaluation(to_unit_range(EMOJI[0].images[::9]))
    assert by_name["memorised_share"].value == 1 and by_name["nearest_training_median"].value < 0.05
    assert by_name["precision"].value == 1


def test_noise_among_pictures_makes_every_figure_worse():
    real = to_unit_range(EMOJI[1].images)
    found = []
    for share in (0, 0.4, 1):
        mixed = (1 - share) * real + share * rng().uniform(-1, 1, real.shape)
        by_name, _ = pictures_evaluation(mixed)
        found.append((by_name["frechet_distance"].value, -by_name["precision"].value))
    assert found == sorted(found) and found[0][0] < 0.7 * found[2][0]


@pytest.mark.parametrize("samples", [
    np.repeat(to_unit_range(EMOJI[1].images[:1]), 100, axis=0), np.full((100, 3, 16, 16), 0.5),
])  # fmt: skip
def test_a_single_picture_over_and_over_has_collapsed(samples):
    _, evaluation = pictures_evaluation(samples)
    assert re.fullmatch(r"the samples' (spread|coverage) is .*, where held-out pictures have .*", evaluation.collapsed)


def test_too_few_pictures_are_refused():
    few = Images(EMOJI[1].images[:5])
    with pytest.raises(DataError, match="cannot evaluate 1 samples beside 117 held-out, 1,059 training pictures"):
        pictures_evaluation(np.zeros((1, 3, 16, 16)))
    with pytest.raises(DataError, match="cannot evaluate 9 samples beside 5 held-out, 5 training pictures; expected"):
        evaluate_pictures(np.zeros((9, 3, 16, 16)), few, few)
    with pytest.raises(DataError, match=r"pictures have the shape \(n, 3, 16, 16\), got \(9, 1, 16, 16\)"):
        pictures_evaluation(np.zeros((9, 1, 16, 16)))


def points_evaluation(points):
    evaluation = evaluate_points(points, rng(1))
    return {m.name: m for m in evaluation.measures}, evaluation.collapsed


def curve(n=1000, seed=0):
    points = np.empty((n, 2))
    SinePoints().sample(n, rng(seed), points)
    return points


def test_real_points_score_as_real_points_do():
    by_name, collapsed = points_evaluation(curve())
    assert collapsed is None
    assert by_name["curve_error"].value == by_name["curve_error_median"].value == 0
    assert by_name["x_ks"].value < 0.06 and 0.01 < by_name["x_ks"].real < 0.06
    assert by_name["x_std"].value == pytest.approx(1, abs=0.1) and abs(by_name["x_mean"].value) < 0.1
    assert by_name["energy_distance"].value < 4 * by_name["energy_distance"].real < 0.05


def test_points_with_a_known_error():
    points = curve() + np.array([0, 0.1])
    points[:100, 1] += 1.9
    by_name, collapsed = points_evaluation(points)
    assert collapsed is not None  # the mean, 0.29, is above 0.25
    assert by_name["curve_error"].value == pytest.approx(0.29)
    assert by_name["curve_error_median"].value == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (np.tile([0.5, np.sin(0.5)], (500, 1)), "x has the standard deviation 0, where real points have 1"),
        (0.3 * curve() * [1, 0], "x has the standard deviation 0.29"),
        (curve() * [3, 1], "x has the standard deviation 2.9"),
        (curve() * [1e300, 1], "x has the standard deviation inf"),
        (curve() * [1, -1], "the points are off the curve, mean |y − sin x| is 1.1"),
    ],
    ids=["one point", "narrow", "wide", "enormous", "mirrored"],
)
def test_collapsed_points(points, why):
    by_name, collapsed = points_evaluation(points)
    assert collapsed.startswith(why)
    energy = by_name["energy_distance"]
    assert not energy.value <= 10 * energy.real


def ring_evaluation(points):
    evaluation = evaluate_ring(points, rng(1))
    return {m.name: m for m in evaluation.measures}, evaluation


def ring(n=2_500, seed=0):
    points = np.empty((n, 2))
    RingPoints().sample(n, rng(seed), points)
    return points


def test_real_points_of_the_ring_score_as_real_points_do():
    by_name, evaluation = ring_evaluation(ring())
    assert evaluation.collapsed is None and evaluation.compared == [f"2,500 {RingPoints.source}"]
    assert by_name["modes"].value == by_name["modes"].real == by_name["modes_hit"].real == 8
    for name, tolerance in (("good_share", 0.01), ("spread", 0.02), ("kl_divergence", 0.003)):
        assert by_name[name].value == pytest.approx(by_name[name].real, abs=tolerance)
    assert by_name["kl_divergence"].real == pytest.approx(7 / 5_000, rel=0.7)


@pytest.mark.parametrize("n", [100, 300])
def test_a_few_real_points_of_the_ring_are_no_collapse(n):
    assert [ring_evaluation(ring(n, seed))[1].collapsed for seed in range(50)] == [None] * 50


def without_the_first_mode():
    points = ring(4_000)
    return points[points[:, 0] < 1.9]


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (np.tile(RingPoints.centres[3], (500, 1)), "points leave out 7 of 8 modes; 100.0% are near any"),
        (without_the_first_mode(), "points leave out 1 of 8 modes; 99."),
        (1.1 * ring(), "points leave out 8 of 8 modes; 0.0% are near any"),
        (1e300 * ring(), "points leave out 8 of 8 modes; 0.0% are near any"),
    ],
    ids=["one point", "all but one", "off the ring", "enormous"],
)
def test_points_that_leave_out_a_mode_have_collapsed(points, why):
    _, evaluation = ring_evaluation(points)
    assert evaluation.collapsed.startswith(why)
    json.dumps(evaluation.to_dict(), allow_nan=False)


# ---------------------------------------------------------------------------------------------------- the command line

SMALL = ["--batch-size", "32", "--set", "hidden=16,24", "--steps", "30", "--quiet"]


def run(cwd, *arguments):
    command = [sys.executable, "-m", "numgan", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", timeout=120, check=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Short runs of digits and of points, and two at a rate at which nothing can be learnt; without the pictures."""
    cwd = tmp_path_factory.mktemp("runs")
    for name, recipe, steps, settings in (
        ("digits", "mnist", 30, {}),
        ("silly", "mnist", 30, {"learning_rate": 0.5}),
        ("points", "sine", 1000, {}),
        ("one-point", "sine", 1000, {"learning_rate": 0.5}),
    ):
        (cwd / name).mkdir()
        recipe = recipes.get(recipe)
        about = {"recipe": recipe.name, "seed": 0, "dtype": "float32", "data": "", "data_from": None, "settings": {}}
        (cwd / name / "config.json").write_text(json.dumps(about))
        gan = recipe.build(with_overrides(recipe.settings, settings), rng(), "float32")
        gan.fit(recipe.load(None, recipe.settings)[0], steps=steps, batch_size=32, rng=rng())
        gan.save(cwd / name / "model.npz")
    return cwd


@pytest.fixture
def call(runs, monkeypatch, capsys):
    """The command line in this process, where the runs are: (exit status, stdout, stderr)."""
    monkeypatch.chdir(runs)

    def call(*arguments):
        return cli.main([str(a) for a in arguments]), *capsys.readouterr()

    return call


def evaluated(call, *arguments):
    status, out, err = call("evaluate", *arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out, parse_constant=pytest.fail)


def test_digits_are_evaluated_beside_held_out_ones(runs):
    done = run(runs, "evaluate", "digits")
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first == "1,000 samples of digits (mnist, seed 0)"
    assert lines[0] == "compared with 1,000 held-out images of 5,000 embedded MNIST digits"
    assert lines[1] == "          and 4,000 training images of 5,000 embedded MNIST digits"
    table = [line for line in lines if re.match(r"\w+ +[\d.e+-]+ +[\d.e+-]+   \w", line)]
    assert [line.split()[0] for line in table] == [
        "frechet_distance", "precision", "coverage", "confident_share", "nearest_training_median", "memorised_share",
    ]  # fmt: skip
    assert len({re.search("   [a-z]", line).start() for line in table}) == 1  # one below the other
    ours, real = ([float(cell) for cell in re.findall(r"([\d.]+)%", line)] for line in lines if line.count("%") == 10)
    assert len(ours) == len(real) == 10
    assert sum(ours) == pytest.approx(100, abs=0.6) and real == pytest.approx([10] * 10, abs=0.5)
    assert lines[-2].startswith("collapsed: samples come near ")  # so early
    assert lines[-1] == "look at it: numgan evaluate digits --neighbours collapse.png"


def test_json_holds_the_same_numbers(call):
    result = evaluated(call, "digits")
    status, out, err = call("evaluate", "digits")
    assert (status, err) == (0, "")
    for measure in result["measures"]:
        assert set(measure) == {"name", "value", "real", "better"}
        row = f"{measure['name']} {measure['value']:#.3g} {measure['real']:#.3g} {measure['better']}"
        assert row in [" ".join(line.split()) for line in out.splitlines()]
    assert f"collapsed: {result['collapsed']}\n" in out
    assert sum(result["class_shares"]["run"]) == pytest.approx(1) == sum(result["class_shares"]["real"])
    about = {key: result[key] for key in ("run", "recipe", "samples", "seed")}
    assert about == {"run": "digits", "recipe": "mnist", "samples": 1000, "seed": 0}
    assert result["compared_with"][1] == TRAINING.source


def test_what_samples_are_made_from_has_a_column_of_its_own(call, monkeypatch):
    pairs = load_outline_pairs_split()[1]
    outlines = evaluate_translations(to_unit_range(pairs.inputs.images), pairs, np.arange(len(pairs)))
    monkeypatch.setattr(type(recipes.get("mnist")), "evaluate", lambda *arguments: outlines)
    status, out, _ = call("evaluate", "digits")
    header, *table = out.splitlines()[3:9]
    assert status == 0 and header.split() == ["measure", "this", "run", "real", "data", "the", "input", "better"]
    assert [line.split()[0] for line in table] == [m.name for m in outlines.measures]
    assert all(cells[1] == cells[3] for cells in map(str.split, table))  # the outlines, handed on as they are
    end = header.index("the input") + len("the input")
    assert all(line[end - 1] != " " == line[end] for line in table)
    for row, measure in zip(evaluated(call, "digits")["measures"], outlines.measures, strict=True):
        assert row["input"] == measure.input == pytest.approx(row["value"])


def test_the_samples_are_those_of_the_sample_command(call, runs):
    assert call("sample", "digits", "-n", 150, "--seed", 7, "--out", "s.npy")[0] == 0
    probabilities = classifier.probabilities(np.load(runs / "s.npy"))
    result = evaluated(call, "digits", "-n", 150, "--seed", 7)
    assert result["class_shares"]["run"] == metrics.class_shares(probabilities).tolist()
    assert result == evaluated(call, "digits", "-n", 150, "--seed", 7)
    assert result["measures"] != evaluated(call, "digits", "-n", 150, "--seed", 8)["measures"]


def test_a_silly_learning_rate_is_seen(call):
    result = evaluated(call, "silly")
    values = {m["name"]: m for m in result["measures"]}
    assert values["coverage"]["value"] < 0.1 < values["coverage"]["real"]
    assert max(result["class_shares"]["run"]) > 0.5
    assert result["collapsed"]


def test_points_are_evaluated_beside_fresh_ones(call):
    result = evaluated(call, "points", "-n", 1000)
    values = {m["name"]: m for m in result["measures"]}
    assert list(values) == ["curve_error", "curve_error_median", "x_mean", "x_std", "x_ks", "energy_distance"]
    assert result["class_shares"] is None and result["collapsed"] is None
    assert values["curve_error"]["value"] < 0.25 and values["curve_error"]["real"] == 0
    assert values["energy_distance"]["value"] > values["energy_distance"]["real"]
    status, out, _ = call("evaluate", "points", "-n", 500, "--seed", 3)
    assert status == 0 and "collapsed" not in out and "%" not in out
    assert out.startswith("500 samples of points (sine, seed 3)\ncompared with 500 points (t, sin t), t standard")
    assert recipes.get("sine").evaluation_count(*recipes.get("sine").load(None, recipes.get("sine").settings)) == 5000


def test_a_generator_of_one_point_is_seen(call):
    result = evaluated(call, "one-point", "-n", 500)
    assert result["collapsed"].startswith("x has the standard deviation ")
    assert call("evaluate", "one-point", "-n", 500)[1].endswith(f"\ncollapsed: {result['collapsed']}\n")


@pytest.mark.usefixtures("unrendered")
def test_a_run_is_compared_with_the_data_that_it_was_trained_on(call, runs, tmp_path):
    """Files of one's own, without labels: every fifth image is held out, unless there is a test set."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_images(TRAINING.images[::20]))
    assert call("train", "mnist", *SMALL, "--data", tmp_path, "--out", tmp_path / "run")[0] == 0
    result = evaluated(call, tmp_path / "run")
    assert result["samples"] == 40
    assert result["compared_with"] == [
        f"{n} images of 200 MNIST train digits from {tmp_path}" for n in ("40 held-out", "160 training")
    ]
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_images(HELD_OUT.images[::4]))
    result = evaluated(call, tmp_path / "run")
    assert (result["samples"], result["compared_with"][0]) == (200, f"250 MNIST test digits from {tmp_path}")
    (tmp_path / "train-images-idx3-ubyte").unlink()
    status, out, err = call("evaluate", tmp_path / "run")
    assert (status, out) == (2, "") and f"no MNIST images in {tmp_path}" in err and err.count("\n") == 1


@pytest.mark.parametrize("value", [1e30, 3e38])  # finite, as a file must have it, and too large to be multiplied
def test_samples_that_are_not_finite_are_said_to_be_so(call, runs, tmp_path, value):
    for file in (runs / "points").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    gan = GAN.load(tmp_path / "model.npz")
    gan.generator.values[...] = value
    gan.save(tmp_path / "model.npz")
    for form in ([], ["--json"]):
        status, out, err = call("evaluate", tmp_path, *form)
        assert (status, out) == (1, "")
        assert re.fullmatch(r"numgan evaluate: [\d,]+ of 5,000 samples are not finite, so .* nothing .* measure\n", err)


def test_enormous_samples_give_null_in_json(call, runs, tmp_path):
    (tmp_path / "config.json").write_bytes((runs / "points" / "config.json").read_bytes())
    generator = Sequential([Dense(2)], 5, rng(), "float64")
    generator.values[...] = 1e300
    GAN(generator, Sequential([Dense(1), Sigmoid()], 2, rng(), "float64")).save(tmp_path / "model.npz")
    result = evaluated(call, tmp_path, "-n", 100)
    assert None in [m["value"] for m in result["measures"]] and result["collapsed"]


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["nowhere"], "nowhere is not a run directory: it has no config.json"),
        (["digits", "-n", "4001"], "cannot evaluate 4,001 samples; expected 2 to 4,000"),
        (["points", "-n", "99"], "cannot evaluate 99 points"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(call, arguments, phrase):
    status, out, err = call("evaluate", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("numgan evaluate: ") and phrase in err and err.count("\n") == 1
