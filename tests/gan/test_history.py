"""The record of a training: columns, gaps, what is not finite, and the CSV."""

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from numgan import Error, History, Minimax, NonSaturating
from numgan.gan.history import ScoreLog
from numgan.gan.objectives import OBJECTIVES
from tests.helpers import DTYPES, PROBABILITIES, columns, every_game, rng, rules, sigmoid

# ---------------------------------------------------------------- helpers


def cross_entropy(logits, target):
    """−t·log σ(z) − (1 − t)·log(1 − σ(z)) in float64."""
    z = np.asarray(logits, np.float64)
    return target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z)


def log_of(*steps):
    """A ScoreLog holding the given (real, fake, generator) scores; None for what a side that does not play lacks."""
    dtype = next(a.dtype for a in steps[0] if a is not None)
    log = ScoreLog(
        len(steps), [*(None if a is None else a.shape for a in steps[0]), None, None], dtype
    )  # and no penalty, no L1
    for scores in steps:
        log.write([a for a in scores if a is not None])
    return log


def random_scores(rng, n_steps, replicas=(), scale=5.0, dtype=np.float32):
    return scores_of([6, 4, 10], rng, n_steps, replicas, scale, dtype)


def scores_of(rows, rng, n_steps, replicas=(), scale=5.0, dtype=np.float32):
    shapes = [(*replicas, n, 1) for n in rows]
    return [tuple((scale * rng.standard_normal(s)).astype(dtype) for s in shapes) for _ in range(n_steps)]


def scores_for(objective, *how):
    """The same as an objective wants them: in pairs, as many of real rows as of fakes."""
    return scores_of([6, 6, 10, 10] if objective.pairs else [6, 4, 10], *how)


REPLICAS = pytest.mark.parametrize("replicas", [(), (3,)], ids=["single", "replicas"])
SIDES = {"discriminator": (0, 1), "generator": (2, 3)}  # whose scores are which; the last there are in pairs alone


def without(side, steps):
    """The same steps with a side that does not play."""
    return [tuple(None if i in SIDES[side] else a for i, a in enumerate(scores)) for scores in steps]


def columns_of(side, objective):
    """The names of what a side's scores are worth."""
    zeros = np.zeros((1, 4, 1))
    if side == "generator":
        return set(objective.measure_generator(zeros, zeros))
    return set(objective.measure_discriminator(zeros, zeros))


# ---------------------------------------------------------------- losses and accuracies


@REPLICAS
@pytest.mark.parametrize("dtype", DTYPES)
@given(
    seed=st.integers(0, 2**32),
    game=st.sampled_from(PROBABILITIES),
    smoothing=st.sampled_from([0.0, 0.1, 0.25]),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    blocks=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
@settings(max_examples=15, deadline=None)
def test_a_history_is_the_direct_computation(replicas, dtype, seed, game, smoothing, scale, blocks):
    objective = rules(game, label_smoothing=smoothing)
    history, steps = History(objective), []
    for n in blocks:  # however the steps are cut into looks
        block = random_scores(rng([seed, n]), n, replicas, scale, dtype)
        assert history.add(log_of(*block)) is None
        steps += block
    assert len(history) == len(steps)
    # in float32 a logit of 16 is known to 10⁻⁶, and no loss can be better known than its logit
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
    minimax = game[0] == "minimax"
    sides = [("d_{}_real", 0, 1 - smoothing, True), ("d_{}_fake", 1, 0.0, False), ("g_{}", 2, float(not minimax), True)]
    for column, index, target, is_real in sides:
        sign = -1 if minimax and index == 2 else 1
        losses = [sign * cross_entropy(s[index], target).mean(axis=(-2, -1)) for s in steps]
        np.testing.assert_allclose(history[column.format("loss")], losses, **tolerance)
        hits = [np.mean((s[index] > 0) if is_real else (s[index] <= 0), axis=(-2, -1)) for s in steps]
        np.testing.assert_allclose(history[column.format("accuracy")], hits, rtol=1e-14)
        assert history[column.format("loss")].shape == (len(steps), *replicas)
    for column, index in (("d_real", 0), ("d_fake", 1)):
        means = [sigmoid(s[index].astype(np.float64)).mean(axis=(-2, -1)) for s in steps]
        np.testing.assert_allclose(history[column], means, **tolerance)
    # V has no labels, so smoothing leaves it alone
    values = [-cross_entropy(r, 1).mean(axis=(-2, -1)) - cross_entropy(f, 0).mean(axis=(-2, -1)) for r, f, _ in steps]
    np.testing.assert_allclose(history["value"], values, **tolerance)
    both = history["d_loss_real"] + history["d_loss_fake"]
    np.testing.assert_array_equal(history["d_loss"], both if objective.discriminator_loss == "sum" else both / 2)


@REPLICAS
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_a_critic_s_history_is_its_mean_scores(scale, dtype, replicas):
    history, steps = History("wasserstein"), random_scores(rng(1), 5, replicas, scale, dtype)
    assert history.add(log_of(*steps[:2])) is history.add(log_of(*steps[2:])) is None
    means = [np.array([s[k].mean(axis=(-2, -1), dtype=np.float64) for s in steps]) for k in range(3)]
    for name, expected in (("score_real", means[0]), ("score_fake", means[1]), ("g_loss", -means[2])):
        assert history[name].shape == (5, *replicas)
        np.testing.assert_allclose(history[name], expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(history["distance"], history["score_real"] - history["score_fake"])


@REPLICAS
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_history_of_a_minimax_summed_game(scale, replicas):
    history = History(Minimax(discriminator_loss="sum"))
    steps = random_scores(rng(1), 5, replicas, scale, np.float64)
    history.add(log_of(*steps))
    np.testing.assert_allclose(history["g_loss"], [-cross_entropy(g, 0).mean(axis=(-2, -1)) for _, _, g in steps])
    np.testing.assert_allclose(history["g_accuracy"], [(g > 0).mean(axis=(-2, -1)) for _, _, g in steps], rtol=1e-14)
    np.testing.assert_array_equal(history["d_loss"], history["d_loss_real"] + history["d_loss_fake"])
    np.testing.assert_allclose(history["d_loss"], -history["value"])  # with labels 0 and 1 they are one thing
    np.testing.assert_array_equal(history["d_accuracy"], (history["d_accuracy_real"] + history["d_accuracy_fake"]) / 2)


def test_an_undecided_discriminator_gives_the_numbers_of_the_equilibrium():
    history = History(NonSaturating(label_smoothing=0.1))
    history.add(log_of([np.zeros((4, 1), np.float32)] * 3))
    assert history["d_real"] == history["d_fake"] == [0.5]
    np.testing.assert_allclose(history["value"], -math.log(4), rtol=1e-7)


def test_a_logit_of_zero_is_called_fake():
    history = History()
    history.add(log_of([np.zeros((2, 1), np.float32)] * 3))
    assert history["d_accuracy_real"] == [0] and history["d_accuracy_fake"] == [1] and history["g_accuracy"] == [0]
    np.testing.assert_allclose(history["d_loss"], math.log(2), rtol=1e-7)


@pytest.mark.parametrize("logit", [1e4, 1e30, 3e38])
def test_huge_logits_have_finite_losses(logit):
    history, z = History(), np.full((2, 1), logit, np.float32)
    assert history.add(log_of([z, z, -z])) is None
    np.testing.assert_allclose([history["d_loss_real"][0], history["d_loss_fake"][0], history["g_loss"][0]],
                               [0, logit, logit], rtol=1e-6)  # fmt: skip


def test_columns():
    history = History()
    assert len(history) == 0
    assert [history[name].size for name in ("step", "g_loss", "d_loss", "d_accuracy_real")] == [0] * 4
    history.add(log_of(*random_scores(rng(), 3)))
    assert history["step"].tolist() == [1, 2, 3]
    for name in ("loss", "accuracy"):
        np.testing.assert_array_equal(history[f"d_{name}"], (history[f"d_{name}_real"] + history[f"d_{name}_fake"]) / 2)
    with pytest.raises(KeyError):
        history["loss"]


def test_the_log_is_empty_after_a_look_and_takes_the_same_number_again():
    log, history = ScoreLog(2, [*[(1, 1)] * 3, None, None], np.float32), History()
    one = [np.full((1, 1), z, np.float32) for z in (1, 2, 3)]
    for _ in range(3):
        log.write(one)
        log.write([-a for a in one])
        assert log.used == 2
        history.add(log)
        assert log.used == 0
    assert history["g_accuracy"].tolist() == [1, 0] * 3
    log.write(one)
    history.add(log)  # a short last look: only what was written counts
    assert len(history) == 7


@REPLICAS
@every_game
def test_a_history_goes_back_to_a_state_which_later_rows_have_not_touched(game, replicas):
    draw, history = rng(), History(rules(game), replicas)
    before = history.state_dict()
    assert {a.shape for a in before.values()} == {(0, *replicas)}
    for n in (3, 2, 9, 1):
        history.add(log_of(*scores_for(history.objective, draw, n, replicas)))
        if n == 2:
            kept, bits = history.state_dict(), columns(history)
    assert len(history) == 15 and {name: a.tobytes() for name, a in kept.items()} == bits
    history.load_state_dict(kept)
    assert len(history) == 5 and columns(history) == bits
    history.add(log_of(*scores_for(history.objective, draw, 2, replicas)))
    assert len(history) == 7 and {name: a.tobytes() for name, a in kept.items()} == bits
    history.load_state_dict(before)
    assert len(history) == 0


WRONG_COLUMNS = {
    "one missing": lambda kept: kept.pop("g_loss"),
    "one too many": lambda kept: kept.update(more=kept["g_loss"]),
    "another length": lambda kept: kept.update(g_loss=kept["g_loss"][1:]),
    "another shape": lambda kept: kept.update(g_loss=kept["g_loss"][:, None]),
    "a number": lambda kept: kept.update({name: np.array(1.0) for name in kept}),
    "whole numbers": lambda kept: kept.update(g_loss=kept["g_loss"].astype(int)),
    "texts": lambda kept: kept.update(g_loss=kept["g_loss"].astype(str)),
}


@pytest.mark.parametrize("case", WRONG_COLUMNS)
def test_columns_that_cannot_be_a_history_s_are_refused_and_change_nothing(case):
    history = History()
    history.add(log_of(*random_scores(rng(), 3)))
    kept, bits = history.state_dict(), columns(history)
    WRONG_COLUMNS[case](kept)
    with pytest.raises(Error, match="history: "):
        history.load_state_dict(kept)
    assert columns(history) == bits


FIRST_BAD = [  # objective, whose score is bad, the column that shows it first
    *(("non-saturating", side, column) for side, column in enumerate(("d_loss_real", "d_loss_fake", "g_loss"))),
    *(("minimax", side, column) for side, column in enumerate(("d_loss_real", "d_loss_fake", "g_loss"))),
    *(
        (critic, side, column)
        for critic in ("wasserstein", "least-squares", "hinge", "relativistic")
        for side, column in enumerate(("score_real", "score_fake", "g_loss"))
    ),
    ("relativistic", 3, "g_loss"),
]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("objective, side, column", FIRST_BAD)
@pytest.mark.parametrize("replicas", [(), (2,)], ids=["single", "replicas"])
def test_the_first_bad_step_and_column_are_reported(bad, objective, side, column, replicas):
    assert {name for name, *_ in FIRST_BAD} == set(OBJECTIVES)
    draw, history = rng(), History(objective)
    history.add(log_of(*scores_for(history.objective, draw, 4, replicas)))
    steps = scores_for(history.objective, draw, 5, replicas)
    # a score of which the loss is infinite: a real row's −∞, a fake's ∞; the minimax generator's too
    upwards = side in (1, 3) or (objective == "minimax" and side == 2)
    for i in (2, 4):
        steps[i][side].flat[-1] = bad if upwards else -bad  # with replicas: in the last one alone
    with np.errstate(invalid="ignore"):
        assert history.add(log_of(*steps)) == (7, column)


# ---------------------------------------------------------------- gaps


@REPLICAS
@pytest.mark.parametrize("side", SIDES)
@every_game
def test_a_side_that_does_not_play_leaves_gaps_and_the_other_s_columns_are_what_they_are(game, side, replicas):
    objective = rules(game)
    steps = scores_for(objective, rng(), 5, replicas)
    whole, half = History(objective), History(objective)
    whole.add(log_of(*steps))
    assert half.add(log_of(*without(side, steps)[:2])) is half.add(log_of(*without(side, steps)[2:])) is None
    assert len(half) == 5 and half["step"].tolist() == [1, 2, 3, 4, 5]
    silent = columns_of(side, objective)
    assert 0 < len(silent) < len(objective.columns)
    for name in objective.columns:
        assert half[name].shape == whole[name].shape
        assert half.has(name) == (name not in silent) and whole.has(name)
        if name in silent:
            assert np.isnan(half[name]).all()
        else:
            assert half[name].tobytes() == whole[name].tobytes()
    for name in objective.derived:  # all of them are the discriminator's
        assert half.has(name) == (side == "generator")
        assert np.isnan(half[name]).all() == (side == "discriminator")


@pytest.mark.parametrize("side", SIDES)
@every_game
def test_a_gap_is_no_failure_but_a_nan_of_the_side_that_plays_is(game, side):
    steps = without(side, scores_for(rules(game), rng(), 3))
    playing = next(i for i in range(3) if steps[0][i] is not None)
    steps[1][playing][0] = np.nan
    with np.errstate(invalid="ignore"):
        step, column = History(rules(game)).add(log_of(*steps))
    assert step == 2 and column not in columns_of(side, rules(game))


@pytest.mark.parametrize("side", SIDES)
@every_game
def test_gaps_are_empty_cells_in_the_csv(game, side, tmp_path):
    history = History(rules(game))
    history.add(log_of(*without(side, scores_for(history.objective, rng(), 3))))
    history.write_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    silent = columns_of(side, history.objective)
    for row in rows:
        assert list(row) == ["step", *history.objective.columns]
        assert {name for name, text in row.items() if text == ""} == silent
    for name in set(history.objective.columns) - silent:
        assert [float(row[name]) for row in rows] == pytest.approx(history[name], rel=1e-6)


def test_gaps_of_replicas_are_empty_cells_for_every_one(tmp_path):
    history = History("wasserstein")
    history.add(log_of(*without("generator", random_scores(rng(), 2, (2,)))))
    history.write_csv(tmp_path / "history.csv")
    header, *rows = (tmp_path / "history.csv").read_text().splitlines()
    assert header == "step,score_real[0],score_real[1],score_fake[0],score_fake[1],g_loss[0],g_loss[1]"
    assert [row.count(",") for row in rows] == [6, 6] and all(row.endswith(",,") for row in rows)
    assert [float(rows[1].split(",")[i]) for i in (1, 2)] == pytest.approx(history["score_real"][1], rel=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_empty_history_has_no_column(objective):
    history = History(objective)
    assert not any(history.has(name) for name in (*history.objective.columns, *history.objective.derived, "step"))


def test_a_log_knows_who_plays():
    log = ScoreLog(3, [None, None, (4, 1), None], np.float32)
    log.write([np.ones((4, 1), np.float32)])
    with pytest.raises(ValueError):
        log.write([np.ones((4, 1), np.float32)] * 3)
    real, fake, generator, norms = log.take()
    assert real is fake is norms is None and generator.shape == (1, 4, 1) and (generator == 1).all()


# ---------------------------------------------------------------- the CSV


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_csv_reads_back_as_the_same_float32(tmp_path_factory, objective, data):
    path = tmp_path_factory.mktemp("csv") / "history.csv"
    history = History(objective)
    names = history.objective.columns
    values = data.draw(npst.arrays(np.float32, (5, len(names)), elements=st.floats(0, 2**100, width=32)))
    columns = values.T.astype(float)
    history.load_state_dict(dict(zip(names, columns, strict=True)))
    history.write_csv(path)
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["step", *names]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert np.array([row[1:] for row in rows], np.float32).tobytes() == values.tobytes()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_csv_of_an_empty_history_is_its_header(tmp_path, objective):
    History(objective).write_csv(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text() == "step," + ",".join(OBJECTIVES[objective].columns) + "\n"


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_column_is_in_the_csv(tmp_path, objective):
    history = History(objective)
    history.add(log_of(*scores_for(history.objective, rng(), 3)))
    history.write_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in history.objective.columns:
        assert [float(row[name]) for row in rows] == pytest.approx(history[name], rel=1e-6)
