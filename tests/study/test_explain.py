"""`numgan explain`: what it tells of a training step is what the step did."""

import math
import re

import numpy as np
import pytest
from matplotlib.image import imsave

from numgan import GAN
from numgan.gan.fit import TrainingStep
from numgan.gan.objectives import OBJECTIVES
from numgan.gan.penalty import PENALTIES
from numgan.kernels import activations, dense, losses
from numgan.study import explain, recipes, runs
from numgan.study.explain.record import derivation, formula, left_sides
from numgan.study.settings import with_overrides
from tests.helpers import near

# Games on top of `sine`'s networks: every objective, every penalty, and what else a step may consist of.
GAMES = [
    *({"objective": name} for name in OBJECTIVES),
    *({"penalty": name} for name in PENALTIES),
    {"objective": "wasserstein", "penalty": "wgan-gp", "discriminator_steps": "2", "schedule": "concatenated"},
    {"penalty": "r1+r2", "penalty_every": "2", "spectral_norm": "yes", "average": "0.9", "adam_form": "paper"},
    {"output": "sigmoid", "generator_steps": "2"},
]
IDS = ["-".join(game.values()) for game in GAMES]


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures, for the recipe that has none of its own."""
    rng = np.random.default_rng(0)
    for i in range(6):
        imsave(tmp_path / f"{i}.png", rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    return tmp_path


def small(name, **overrides):
    """A recipe's settings with a batch of four and its networks as narrow as its gradient check has them."""
    recipe = recipes.get(name)
    checked = recipe.gradient_check or recipes.get("mnist-dcgan").gradient_check
    narrow = checked.get("settings", {})
    return recipe, with_overrides(recipe.settings, narrow | {"batch_size": "4"} | overrides)


def twin(recipe, settings, source=None):
    """The GAN that `explain.of_recipe` starts from, and what its training step is made of."""
    weights, training, _ = runs.streams(0)
    data = recipe.load(source, settings)[0]
    gan = recipe.build(settings.for_data(data), weights, "float32")
    steps = settings.discriminator_steps, settings.generator_steps
    return gan, TrainingStep(gan, data, settings.batch_size, training, *steps)


def same_bits(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


def entries_of(parts):
    return [entry for part in parts for entry in part.entries]


def numbers_told(text):
    """call's number -> name of a row -> its numbers: the sample's own, mean, spread and share of zeros."""
    told, number = {}, None
    for line in text.splitlines():
        if head := re.match(r" *(\d+) \S", line):
            number = int(head[1])
        elif row := re.match(r"    (\S.{7})((?: +-?[\d.e+-]+)+)( …)?((?: +-?[\d.e+-]+){2}) +(\d+)%$", line):
            cells = [float(cell) for cell in (row[2] + row[4]).split()]
            told.setdefault(number, {})[row[1].strip()] = [*cells, float(row[5]) / 100]
    return told


# ------------------------------------------------------------------------------------------------ the numbers


def article():
    """(number of the call, row's name) -> array (64, features): the first update of `sine`, worked out in float64."""
    recipe = recipes.get("sine")
    gan, step = twin(recipe, recipe.settings)
    weights = {k: v.astype(float) for k, v in gan.discriminator.parameters().items()}
    x = np.array(step.real.next(), float)
    hidden = x @ weights["dense_1.weight"].T + weights["dense_1.bias"]
    active = np.maximum(hidden, 0)
    z = active @ weights["dense_2.weight"].T + weights["dense_2.bias"]
    dz = (1 / (1 + np.exp(-z)) - 1) / 64
    d_active = dz @ weights["dense_2.weight"]
    d_hidden = d_active * (hidden > 0)
    samples = {(1, "x"): x, (1, "y"): hidden, (2, "y"): active, (3, "y"): z, (4, "dz"): dz, (6, "dx"): d_active}
    samples |= {(7, "dy"): d_active, (7, "f′"): hidden > 0, (7, "dx"): d_hidden}
    upper, lower = (np.hstack([d.T @ below, d.sum(0)[:, None]]) for d, below in ((dz, active), (d_hidden, x)))
    return samples, {(5, "[dW db]"): upper, (8, "[dW db]"): lower}


def test_the_numbers_of_sine_are_those_of_the_article_s_formulas():
    recipe = recipes.get("sine")
    told = numbers_told(explain.in_words(explain.of_recipe(recipe, recipe.settings), sample=3))
    samples, gradients = article()
    for (number, name), array in samples.items():
        *cells, mean, spread, zero = told[number][name]
        np.testing.assert_allclose(cells, array[3, :4], rtol=6e-3, atol=1e-9)
        np.testing.assert_allclose([mean, spread], [array.mean(), array.std()], rtol=2e-2, atol=1e-9)
        assert abs(zero - (array == 0).mean()) <= 0.0051
    for (number, name), array in gradients.items():
        *cells, mean, spread, _ = told[number][name]
        np.testing.assert_allclose(cells, array.ravel()[:4], rtol=6e-3, atol=1e-6)
        np.testing.assert_allclose([mean, spread], [array.mean(), array.std()], rtol=2e-2)


def test_adam_s_move_is_worked_to_what_the_update_leaves_in_either_form():
    for form in ("keras", "paper"):
        text = explain.in_words(explain.of_recipe(*small("sine", adam_form=form, epsilon="1e-3")), step=2)
        worked = [float(v) for v in re.findall(r"= (\S+)  ← this one", text)]
        kept = [float(v) for v in re.findall(r"and leaves θ = (\S+)", text)]
        assert len(worked) == len(kept) == 3
        np.testing.assert_allclose(worked, kept, rtol=1e-6)
        paper, keras = (re.findall(rf"{name}: .* = (\S+)", text) for name in ("paper", "Keras"))
        assert all(a != b for a, b in zip(paper, keras, strict=True))


@pytest.mark.parametrize("game", GAMES, ids=IDS)
def test_a_gradient_stands_beside_a_difference_that_certifies_it(game):
    parts = explain.of_recipe(*small("sine", **game)).recorder.record()
    moves = [entry.move for entry in entries_of(parts) if entry.move and entry.move.checked]
    assert len(moves) == 2  # one on either side
    for move in moves:
        near(move.checked[move.name].by_hand, move.before["gradient"], 1e-4)  # which is in float32
        assert len(move.checked) >= 4  # every tensor's largest, too
    checked = [c for move in moves for c in move.checked.values()]
    smooth = [c for c in checked if math.isfinite(c.quotient.uncertainty)]
    assert len(smooth) >= len(checked) - 2  # a bias may lie at a kink
    for c in smooth:
        near(c.quotient.value, c.by_hand, 1e-7)
        near(c.quotient.central, c.by_hand, 1e-2)


# -------------------------------------------------------------------------------------- telling changes nothing


@pytest.mark.parametrize("game", GAMES, ids=IDS)
def test_a_told_step_is_the_step_of_the_training_to_the_bit(game):
    recipe, settings = small("sine", **game)
    gan, step = twin(recipe, settings)
    recorder = explain.of_recipe(recipe, settings).recorder
    recorder.train(1)
    for _ in range(2):  # a lazy penalty is part of one of them
        recorder.record(quotients=False)
    for _ in range(3):
        step.run()
    assert same_bits(gan, recorder.gan)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_s_step_is_told_whole(name, folder):
    recipe, settings = small(name)
    source = folder if name == "pictures" else None
    recorder = explain.of_recipe(recipe, settings, source).recorder
    parts, gan = recorder.record(sample=1, quotients=False), recorder.gan
    steps = [gan.discriminator_step(recorder.rows)] * (settings.discriminator_steps > 0)
    steps += [gan.generator_step(settings.batch_size)] * (settings.generator_steps > 0)
    assert len(parts) == len(steps)
    for part, step in zip(parts, steps, strict=True):
        assert sum(entry.calls for entry in part.entries) == len(step.calls)
        for entry in part.entries:
            assert formula(entry.kernel) or entry.kernel is np.copyto
            assert entry.skipped or entry.move or (entry.result and np.isfinite(entry.result.cells).all())
    twin_gan, twin_step = twin(recipe, settings, source)
    twin_step.run()
    assert same_bits(twin_gan, gan)
    text = explain.terminal.story("", parts, 1)
    assert max(map(len, text.splitlines())) <= 80
    heads = [int(number) for number in re.findall(r"^ *(\d+) \S.*", text, re.MULTILINE)]
    assert heads == list(range(1, len(entries_of(parts)) + 1))
    if len(heads) > 60:
        assert re.search(r"Left out: the numbers read by\s+\d+ calls", text)


# ------------------------------------------------------------------------------------------------- what it says


def test_what_does_not_run_says_why():
    text = explain.in_words(explain.of_recipe(*small("sine")))
    assert text.count("skipped: frozen, its parameters get no gradient") == 2
    assert text.count("skipped: nobody reads the input's gradient") == 3
    assert "── discriminator, frozen: backward ─" in text and "── generator, frozen: forward ─" in text


def test_a_penalty_is_told_in_its_three_passes_or_said_to_be_left_out():
    subject = explain.of_recipe(*small("sine", penalty="r1", penalty_every="2", output="sigmoid"))
    due, rest = (explain.in_words(subject) for _ in range(2))
    for name in ("input gradient", "tangent"):
        assert f"── the penalty: {name} ─" in due and f"── the penalty: {name} ─" not in rest
    assert "δ down from δ = 1 at the scores to g = ∇ₓs" in due and "ẋ up from v" in due
    assert "the penalty is left out here: it is part of every 2th step" in " ".join(rest.split())


def test_formulas_are_the_kernels_own():
    text = " ".join(explain.in_words(explain.of_recipe(*small("sine"))).split())
    for kernel in (dense.dense_forward, dense.dense_backward_weight, activations.relu_backward):
        assert text.count(formula(kernel)) == 1  # once, where it comes first on its way
        assert " ".join(derivation(kernel).split()).startswith(formula(kernel))
    assert left_sides(losses.bce_logits_backward)[0] == "dz"


def test_one_layer_is_told_alone_with_all_that_it_reads():
    text = explain.in_words(explain.of_recipe(*small("sine")), layer="generator.dense_2")
    assert set(re.findall(r"^ *\d+ (\S+)", text, re.MULTILINE)) == {"dense_2"}
    assert "weights" in text and "relu" not in text and "discriminator:" not in text
    inside = explain.in_words(explain.of_recipe(*small("mnist-conditional")), layer="join_1")
    assert "join_1.one_hot_1" in inside or "join_1" in inside


@pytest.mark.usefixtures("unrendered")
def test_a_run_is_told_from_the_weights_that_it_kept(tmp_path, call):
    call("train", "sine", "--steps", "3", "--batch-size", "8", "--out", "run", "--quiet")
    before = (tmp_path / "run" / "model.npz").read_bytes()
    status, out, err = call("explain", "run", "--layer", "discriminator.dense_1", "--step", "1")
    assert (status, err) == (0, "") and out.startswith("run: sine, the weights of the run, trained for 1 step\n")
    assert (tmp_path / "run" / "model.npz").read_bytes() == before
    status, out, _ = call("explain", "run", "--layer", "discriminator.dense_1")
    first = GAN.load("run/model.npz").discriminator.parameters()["dense_1.weight"][0]
    *cells, _, _, _ = numbers_told(out)[1]["weights"]
    np.testing.assert_allclose(cells[:2], first, rtol=6e-3)


def test_two_calls_print_the_same(call):
    first, second = (call("explain", "sine", "--batch-size", "8", "--step", "2") for _ in range(2))
    assert first == second and first[0] == 0


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["nope"], "nope is no recipe and no run; the recipes are mnist"),
        (["sine", "--layer", "dense_9"], "--layer dense_9: the step has dense_1, relu_1"),
        (["sine", "--sample", "64"], "--sample 64: a batch has 64 samples, from 0 to 63"),
        ([".", "--batch-size", "8"], "--batch-size cannot be given with a run, which has its own"),
        (["."], "is not a run directory"),
    ],
)
def test_a_bad_call_gets_one_sentence(call, arguments, phrase):
    status, out, err = call("explain", *arguments)
    assert (status, out) == (2, "") and phrase in err and err.count("\n") == 1
