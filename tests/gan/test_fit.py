"""GAN.fit: steps and looks, epochs, frozen sides, several steps of a side, and every way in which a training ends."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numgan import GAN, Error, NonFiniteError
from numgan.data import SinePoints
from numgan.gan import steps as steps_module
from numgan.gan.fit import TrainingStep, as_source
from numgan.gan.objectives import OBJECTIVES, NonSaturating
from numgan.gan.parts import Parts
from numgan.gan.steps import SCHEDULES
from numgan.gan.stretches import Portion, epoch, stretches
from tests.helpers import (
    DTYPES,
    FEATURES,
    GAMES,
    KINDS,
    LATENT,
    POINTS,
    PROBABILITIES,
    columns,
    critic,
    every_kind,
    game_name,
    linear_gan,
    make_gan,
    maker,
    rng,
    sigmoid,
    state,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

UNPAIRED = [game for game in KINDS if not OBJECTIVES[game[0]].pairs]
every_probability = pytest.mark.parametrize("game", PROBABILITIES, ids=game_name)

# ---------------------------------------------------------------- helpers


def single(game=GAMES[0]):
    return make_gan(game, "float32")


def fit(gan, steps, every=10, callback=None, batch_size=8, seed=1):
    return gan.fit(POINTS, steps, batch_size, rng(seed), every, callback)


def trained(steps, game=GAMES[0], **kwargs):
    """A twin of `single()` after so many steps, and its history."""
    gan = single(game)
    return gan, fit(gan, steps, **kwargs)


class Recorder:
    """Rows (i, −i), i from 0 to n − 1, and a list of the indices of every batch that was taken."""

    shape = (FEATURES,)

    def __init__(self, n):
        self.n, self.taken = n, []

    def __len__(self):
        return self.n

    def sample(self, n, rng, out):
        raise AssertionError("epochs draw nothing at random")

    def take(self, index, out):
        assert len(out) == len(index)
        self.taken.append(np.array(index))
        out[:, 0], out[:, 1] = index, np.negative(index)

    def epochs(self):
        """The indices of each epoch, in order."""
        return np.concatenate(self.taken).reshape(-1, self.n)


class Untouchable(Recorder):
    """A set of rows that nobody may see."""

    def take(self, index, out):
        raise AssertionError("nobody reads real rows")


@pytest.fixture
def recorded(monkeypatch):
    """What every step was given and what scores it left, in order: [(kind, arrays, scores)]."""
    found = []
    for kind, scores in (
        (steps_module.DiscriminatorStep, lambda step: [step.real_scores, step.fake_scores]),
        (steps_module.GeneratorStep, lambda step: step.judged),
    ):

        def run(self, *arrays, right=kind.run, scores=scores):
            given = [a.copy() for a in arrays if isinstance(a, np.ndarray)]
            right(self, *arrays)
            found.append((type(self).__name__[0], given, [z.copy() for z in scores(self)]))

        monkeypatch.setattr(kind, "run", run)
    return found


def replay(gan, found):
    """Give a twin the recorded batches by hand; what each step said, under the history's names of it."""
    return [
        named(gan, kind, (gan.train_discriminator if kind == "D" else gan.train_generator)(*arrays))
        for kind, arrays, _ in list(found)
    ]


def named(gan, kind, metrics):
    """Metrics under their names in the history."""
    prefix = "" if metrics._fields[0] in gan.objective.columns else kind.lower() + "_"
    found = {prefix + name: value for name, value in metrics._asdict().items()}
    return found | ({"d_accuracy": metrics.accuracy} if "d_accuracy_real" in found else {})


# ---------------------------------------------------------------- steps and looks


@pytest.mark.parametrize("dtype", DTYPES)
@every_kind
def test_fit_is_the_same_to_the_bit_for_the_same_seed(game, dtype):
    def run(seed):
        gan = make_gan(game, dtype)
        history = gan.fit(POINTS, 12, 8, rng(seed), every=5)
        return maker(gan), critic(gan), columns(history)

    assert run(1) == run(1)
    assert run(1)[0]["values"] != run(2)[0]["values"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@every_kind
def test_fit_is_its_steps_one_after_the_other(recorded, game, smoothing, replicas, dtype):
    """The batches that a fit draws, caught on their way in, give the same bits and numbers when trained on by hand."""
    fitted, by_hand = (make_gan(game, dtype, replicas, label_smoothing=smoothing) for _ in range(2))
    history = fitted.fit(POINTS, 7, 8, rng(3), every=3)
    found = list(recorded)
    assert [kind for kind, *_ in found] == ["D", "G"] * 7 and len(history) == 7
    known = POINTS.astype(dtype)
    half, lead = 4 if fitted.schedule == "separate" else 8, fitted.generator.replicas
    for (_, (real, noise), _), (_, (g_noise, *g_real), _) in zip(found[::2], found[1::2], strict=True):
        assert (real.shape, noise.shape, g_noise.shape) == (
            (*lead, half, FEATURES),
            (*lead, half, LATENT),
            (*lead, 8, LATENT),
        )
        assert [a.shape for a in g_real] == [(*lead, 8, FEATURES)] * fitted.objective.pairs
        for rows in (real, *g_real):
            assert (rows.reshape(-1, FEATURES)[:, None] == known).all(axis=-1).any(axis=-1).all()
    for i, metrics in enumerate(replay(by_hand, found)):
        assert metrics
        for name, value in metrics.items():
            np.testing.assert_array_equal(history[name][i // 2], value, err_msg=name)
    assert (maker(by_hand), critic(by_hand)) == (maker(fitted), critic(fitted))


@every_kind
def test_every_step_sees_fresh_noise_and_real_rows_of_the_data(recorded, game):
    fit(make_gan(game), 40)
    steps = [arrays for kind, arrays, _ in recorded if kind == "D"]
    drawn = [tuple(row) for row in np.concatenate([real for real, _ in steps])]
    assert set(drawn) == {tuple(row) for row in POINTS}
    noise = np.concatenate([noise.ravel() for _, noise in steps] + [a[0].ravel() for k, a, _ in recorded if k == "G"])
    assert len(np.unique(noise)) == len(noise) == 40 * LATENT * (8 + len(steps[0][0]))


@every_kind
def test_the_number_of_looks_does_not_change_the_training(game):
    gan, history = trained(20, game, every=10)
    for every in (1, 7, 20, 1000):
        other, other_history = trained(20, game, every=every)
        assert state(gan) == state(other)
        assert columns(history) == columns(other_history)


def test_the_seed_decides():
    one, two = trained(5, seed=1)[0], trained(5, seed=2)[0]
    assert one.generator.values.tobytes() != two.generator.values.tobytes()
    assert state(one) == state(trained(5, seed=1)[0])


def test_without_a_generator_of_random_numbers_each_fit_has_a_fresh_one_and_says_which_seed(tmp_path):
    first, second = (single().fit(POINTS, 5, 8) for _ in range(2))
    assert first.seed != second.seed and columns(first) != columns(second)
    assert columns(fit(single(), 5, seed=first.seed)) == columns(first)
    assert fit(single(), 5).seed is None
    with pytest.raises(KeyboardInterrupt) as stopped:
        single().fit(POINTS, 9, 8, callback=interrupt, checkpoint=tmp_path / "fit.npz")
    gan = single()
    assert gan.fit(POINTS, 9, 8, checkpoint=tmp_path / "fit.npz", resume=True).seed is None
    twin = single()
    fit(twin, 9, seed=stopped.value.history.seed)
    assert state(gan) == state(twin)


def interrupt(step, history):
    raise KeyboardInterrupt


def test_fits_in_a_row_go_on_where_the_last_one_stopped():
    gan = make_gan()
    gan.fit(POINTS, 3, 8, rng(0))
    gan.fit(POINTS, 4, 6, rng(1))
    assert (gan.generator_optimizer.steps, gan.discriminator_optimizer.steps) == (7, 7)


def test_a_training_in_two_calls_is_that_of_one_call_with_a_checkpoint_and_another_without(tmp_path):
    """As the docstring of `fit` says."""
    (whole, rng_of_whole), (split, rng_of_split), (kept, rng_of_kept) = [(single(), rng(1)) for _ in range(3)]
    whole.fit(POINTS, 20, 8, rng_of_whole)
    for steps in (10, 20):
        split.fit(POINTS, 10, 8, rng_of_split)
        kept.fit(POINTS, steps, 8, rng_of_kept, checkpoint=tmp_path / "run.npz", resume=True)
    assert state(kept) == state(whole)
    assert state(split) != state(whole) and "fit(steps=100) twice gives" in GAN.fit.__doc__


def test_callbacks_come_before_the_first_step_and_after_every_look():
    gan, calls = single(), []
    start = state(gan)
    history = fit(gan, 25, every=10, callback=lambda done, h: calls.append((done, len(h), state(gan))))
    assert [(done, length) for done, length, _ in calls] == [(0, 0), (10, 10), (20, 20), (25, 25)]
    assert calls[0][2] == start
    assert calls[2][2] == state(trained(20)[0])
    assert calls[3][2] == state(gan)
    assert len(history) == 25 and history["step"][-1] == 25


def test_a_look_that_falls_on_the_last_step_happens_once():
    calls = []
    fit(single(), 20, every=10, callback=lambda done, h: calls.append(done))
    assert calls == [0, 10, 20]


def test_no_steps_change_nothing():
    gan = single()
    start = state(gan)
    assert len(fit(gan, 0)) == 0
    assert state(gan) == start


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("replicas", [None, 2])
@every_probability
def test_the_history_is_the_formulas_of_the_scores(recorded, game, smoothing, replicas):
    gan = make_gan(game, replicas=replicas, label_smoothing=smoothing)
    history = gan.fit(POINTS, 6, 8, rng(1), every=4)
    scores = [[z for _, _, left in recorded[2 * i : 2 * i + 2] for z in left] for i in range(6)]
    real, fake, generator = (sigmoid(np.array([step[k] for step in scores])[..., 0]) for k in range(3))
    target = 1 - smoothing
    on_real = -(target * np.log(real) + smoothing * np.log(1 - real)).mean(axis=-1)
    on_fake = -np.log(1 - fake).mean(axis=-1)
    saturating = game[0] == "minimax"
    expected = {
        "d_real": real.mean(axis=-1),
        "d_fake": fake.mean(axis=-1),
        "value": np.log(real).mean(axis=-1) + np.log(1 - fake).mean(axis=-1),
        "d_loss_real": on_real,
        "d_loss_fake": on_fake,
        "d_loss": (on_real + on_fake) / (1 if "sum" in game[2].values() else 2),
        "d_accuracy_real": (real > 0.5).mean(axis=-1),
        "d_accuracy_fake": (fake <= 0.5).mean(axis=-1),
        "g_loss": np.log(1 - generator).mean(axis=-1) if saturating else -np.log(generator).mean(axis=-1),
        "g_accuracy": (generator > 0.5).mean(axis=-1),
    }
    for name, values in expected.items():
        assert values.shape == (6, *gan.generator.replicas)
        np.testing.assert_allclose(history[name], values, rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_critic_s_history_is_the_means_of_the_scores(recorded, schedule, replicas):
    history = make_gan(("wasserstein", schedule, {}), replicas=replicas).fit(POINTS, 6, 8, rng(1), every=4)
    scores = [[z for _, _, left in recorded[2 * i : 2 * i + 2] for z in left] for i in range(6)]
    real, fake, generator = (np.array([step[k] for step in scores]).mean(axis=(-2, -1)) for k in range(3))
    for name, values in {"score_real": real, "score_fake": fake, "distance": real - fake, "g_loss": -generator}.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-12, atol=1e-14, err_msg=name)


def test_the_value_is_asked_of_the_rows_before_the_step_learns_from_them(recorded):
    """Without batch norm the scores of a step are those that `predict` gives for its rows."""
    gan = linear_gan()
    answers = []

    def remember(done, history):
        answers.append({name: a.copy() for name, a in gan.discriminator.parameters().items()})

    history = gan.fit(POINTS, 5, 8, rng(1), every=1, callback=remember)
    for i, before in enumerate(answers[:5]):
        real = recorded[2 * i][1][0]
        p = sigmoid(real @ before["dense_1.weight"].T + before["dense_1.bias"])
        np.testing.assert_allclose(history["d_real"][i], p.mean(), rtol=1e-12)


# ---------------------------------------------------------------- what it is given


@pytest.mark.parametrize("rows", [POINTS.tolist(), POINTS.astype(np.float16), (POINTS * 10).astype(np.int8),
                                  POINTS[::-2]])  # fmt: skip
def test_any_array_of_numbers_is_data(rows):
    history = single().fit(rows, 3, 8, rng())
    assert len(history) == 3 and np.isfinite(history["d_loss"]).all()


def test_a_data_source_is_an_object_with_a_shape_and_sample():
    class Source:
        shape = (2,)

        def sample(self, n, rng, out):
            out[...] = POINTS[rng.integers(0, len(POINTS), n)]

    gan, other = single(), single()
    gan.fit(Source(), 5, 8, rng(1))
    fit(other, 5)
    assert state(gan) == state(other)


BAD_DATA = {
    "three features": (np.zeros((5, 3)), r"the data has rows of shape \(3,\), the discriminator expects \(2,\)"),
    "one dimension": (np.zeros(5), r"\(rows, features\)"),
    "three dimensions": (np.zeros((5, 2, 2)), r"the data has rows of shape \(2, 2\), the discriminator expects \(2,\)"),
    "texts": (np.full((5, 2), "a"), "real data must be real numbers, got an array of dtype 'str"),
    "complex": (np.zeros((5, 2), complex), "real data must be real numbers, got an array of dtype 'complex128'"),
    "objects": (np.full((5, 2), None), "real data must be real numbers, got an array of dtype 'object'"),
    "nothing": (None, "real data must be real numbers"),
    "no rows": (np.zeros((0, 2)), "one row at least, got float64"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused_before_anything_changes(case):
    gan = single()
    start, (data, message) = state(gan), BAD_DATA[case]
    with pytest.raises(ValueError, match=message) as caught:
        gan.fit(data, 3, 8, rng())
    assert isinstance(caught.value, Error)
    assert state(gan) == start


def test_half_batches_need_an_even_batch_size():
    for game in GAMES:
        if game[1] == "separate":
            with pytest.raises(ValueError, match="batch_size must be even for half-batches, got 7"):
                fit(single(game), 3, batch_size=7)
        else:
            assert len(fit(single(game), 3, batch_size=7)) == 3


@pytest.mark.parametrize("kwargs", [{"batch_size": 0}, {"batch_size": -2}, {"every": 0}, {"every": -1}], ids=str)
def test_sizes_must_be_positive(kwargs):
    ((name, value),) = kwargs.items()
    with pytest.raises(ValueError, match=f"fit: {name} must be a positive integer, got {value}"):
        fit(single(), 3, **kwargs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discriminator_steps": 0, "generator_steps": 0}, "are both 0; nothing would be trained"),
        ({"discriminator_steps": -1}, "discriminator_steps must be an integer from 0 up, got -1"),
        ({"generator_steps": 1.0}, "generator_steps must be an integer from 0 up, got 1.0"),
        ({"generator_steps": True}, "generator_steps must be an integer from 0 up, got True"),
        ({"epochs": 2}, "give steps or epochs, not both; got steps=3, epochs=2"),
        ({"steps": None}, "steps must be an integer from 0 up, got None"),
        ({"steps": None, "epochs": -1}, "epochs must be an integer from 0 up, got -1"),
        ({"steps": None, "epochs": 1.5}, "epochs must be an integer from 0 up, got 1.5"),
    ],
)
def test_a_fit_that_makes_no_sense_is_refused_and_changes_nothing(options, message):
    gan = make_gan()
    before = state(gan)
    with pytest.raises(ValueError) as caught:
        gan.fit(POINTS, **{"steps": 3, "rng": rng()} | options)
    assert message in str(caught.value)
    assert state(gan) == before


# ---------------------------------------------------------------- frozen sides


FROZEN = [("discriminator_steps", "discriminator", "generator"), ("generator_steps", "generator", "discriminator")]
BITS = {"discriminator": critic, "generator": maker}


def columns_of(side, objective):
    zeros = np.zeros((1, 4, 1))
    measure = objective.measure_generator if side == "generator" else objective.measure_discriminator
    return set(measure(zeros, zeros))


@pytest.mark.parametrize("length", [{"steps": 9}, {"epochs": 2}], ids=["steps", "epochs"])
@pytest.mark.parametrize("setting, frozen, learner", FROZEN)
@every_kind
def test_not_a_bit_of_a_frozen_side_changes_and_its_columns_are_gaps(game, setting, frozen, learner, length):
    gan = make_gan(game)
    gan.fit(POINTS, 3, 8, rng(0))  # moments, gradients and statistics are all something
    before = {side: BITS[side](gan) for side in (frozen, learner)}
    history = gan.fit(POINTS, batch_size=12, rng=rng(1), every=4, **{setting: 0}, **length)
    assert BITS[frozen](gan) == before[frozen]
    after = BITS[learner](gan)
    assert all(after[name] != before[learner][name] for name in after)
    silent, expected = columns_of(frozen, gan.objective), 9
    if "epochs" in length:
        expected = 2 * -(-40 // (6 if game[1] == "separate" else 12))
    assert len(history) == expected
    for name in gan.objective.columns:
        assert history[name].shape == (expected,)
        assert np.isfinite(history[name]).all() or name in silent
        assert np.isnan(history[name]).all() or name not in silent
        assert history.has(name) == (name not in silent)


def test_against_a_frozen_generator_the_discriminator_learns_to_tell_and_back():
    gan = make_gan(dtype="float32")
    history = gan.fit(POINTS, 300, 32, rng(1), generator_steps=0)
    assert history["d_loss"][-50:].mean() < 0.8 * history["d_loss"][:10].mean()
    history = gan.fit(POINTS, 300, 32, rng(2), discriminator_steps=0)
    assert history["g_loss"][-50:].mean() < 0.8 * history["g_loss"][:10].mean()


@pytest.mark.parametrize("replicas", [None, 2])
@every_kind
def test_with_a_frozen_generator_only_discriminator_steps_are_made_and_told_of(recorded, game, replicas, tmp_path):
    gan, twin = (make_gan(game, replicas=replicas) for _ in range(2))
    history = gan.fit(POINTS, 4, 8, rng(1), every=3, generator_steps=0)
    assert [kind for kind, *_ in recorded] == ["D"] * 4
    for i, metrics in enumerate(replay(twin, recorded)):
        for name, value in metrics.items():
            np.testing.assert_array_equal(history[name][i], value, err_msg=name)
    assert state(gan) == state(twin)
    for name in columns_of("generator", gan.objective):
        assert np.isnan(history[name]).all() and history[name].shape == (4, *gan.generator.replicas)


@pytest.mark.parametrize("replicas", [None, 2])
@every_kind
def test_with_a_frozen_discriminator_only_generator_steps_are_made_and_told_of(recorded, game, replicas):
    gan, twin = (make_gan(game, replicas=replicas) for _ in range(2))
    gan.discriminator.state += 0.3  # so that inference is not training
    twin.discriminator.state += 0.3
    data = POINTS if gan.objective.pairs else Untouchable(40)
    history = gan.fit(data, 4, 8, rng(1), every=3, discriminator_steps=0)
    assert [kind for kind, *_ in recorded] == ["G"] * 4
    judged = [scores for *_, scores in recorded]
    for i, metrics in enumerate(replay(twin, recorded)):
        for name, value in metrics.items():
            np.testing.assert_array_equal(history[name][i], value, err_msg=name)
    assert state(gan) == state(twin)
    expected = np.array([gan.objective.measure_generator(*scores)["g_loss"] for scores in judged])
    np.testing.assert_array_equal(history["g_loss"], expected)
    for name in columns_of("discriminator", gan.objective):
        assert np.isnan(history[name]).all() and history[name].shape == (4, *gan.generator.replicas)


@pytest.mark.parametrize("length", [{"steps": 5}, {"epochs": 2}], ids=["steps", "epochs"])
@pytest.mark.parametrize("game", UNPAIRED, ids=game_name)
def test_no_real_rows_are_drawn_for_a_frozen_discriminator(game, length):
    """Nor noise for fakes that nobody judges: the generator's noise alone is taken from the random numbers."""
    gan, twin, drawn = make_gan(game), make_gan(game), rng(1)
    history = gan.fit(Untouchable(40), batch_size=8, rng=drawn, discriminator_steps=0, **length)
    step = TrainingStep(twin, Untouchable(40), 8, rng(1), 0, 1)
    assert step.discriminator is None and len(step.scores) == 1
    for _ in range(len(history)):
        step.run()
    assert maker(gan) == maker(twin)
    replay_of_noise = rng(1)
    TrainingStep(twin, Untouchable(40), 8, replay_of_noise, 0, 1).generator_noise.next()
    assert drawn.bit_generator.state == replay_of_noise.bit_generator.state  # one block of noise, and nothing else


@every_kind
def test_no_noise_is_drawn_for_a_frozen_generator_s_own_step(game):
    """A run with a frozen generator takes from the random numbers only what the discriminator's steps need."""
    gan, drawn, again = make_gan(game), rng(1), rng(1)
    gan.fit(POINTS, 3, 8, drawn, generator_steps=0)
    step = TrainingStep(make_gan(game), as_source(gan, POINTS), 8, again, 1, 0)
    assert step.generator is None and len(step.scores) == 2
    step.real.next(), step.noise.next()
    assert drawn.bit_generator.state == again.bit_generator.state


@pytest.mark.parametrize("sides", [(3, 1), (1, 2), (2, 3)], ids=str)
@every_kind
def test_a_step_is_so_many_of_the_discriminator_then_so_many_of_the_generator(recorded, game, sides):
    gan, twin = make_gan(game), make_gan(game)
    discriminator_steps, generator_steps = sides
    history = gan.fit(POINTS, 5, 8, rng(1), 3, None, None, discriminator_steps, generator_steps)
    found = list(recorded)
    assert "".join(kind for kind, *_ in found) == 5 * ("D" * discriminator_steps + "G" * generator_steps)
    noises = [arrays[1 if kind == "D" else 0] for kind, arrays, _ in found]
    assert len({noise.tobytes() for noise in noises}) == len(found)  # fresh noise for every one
    against = [arrays[1].tobytes() for kind, arrays, _ in found if kind == "G" and gan.objective.pairs]
    assert len(set(against)) == len(against)  # and fresh rows for every one of the generator's, where it needs some
    assert len({arrays[0].tobytes() for kind, arrays, _ in found if kind == "D"}) == 5 * discriminator_steps
    told = replay(twin, found)
    assert (maker(gan), critic(gan)) == (maker(twin), critic(twin))
    for i in range(5):  # a row of the history is the last step of either side
        last = told[i * sum(sides) + discriminator_steps - 1] | told[(i + 1) * sum(sides) - 1]
        for name, value in last.items():
            np.testing.assert_array_equal(history[name][i], value, err_msg=name)


# ---------------------------------------------------------------- bookkeeping


@given(st.integers(1, 60), st.integers(1, 10), st.integers(0, 5), st.sampled_from(SCHEDULES))
@settings(max_examples=60, deadline=None)
def test_the_parts_of_an_epoch_take_every_row_once(length, half, discriminator_steps, schedule):
    gan, batch_size = linear_gan((GAMES[0][0], schedule, {})), 2 * half
    parts = epoch(gan.rows_per_step(batch_size), length, batch_size, discriminator_steps)
    assert all(isinstance(part, Portion) and part.times > 0 and part.batch_size > 0 for part in parts)
    assert gan.steps_per_epoch(length, batch_size, discriminator_steps) == sum(part.times for part in parts)
    if discriminator_steps:
        rows = [gan.rows_per_step(p.batch_size) * p.discriminator_steps * p.times for p in parts]
        assert sum(rows) == length
    else:  # as many steps as if there were one
        ones = epoch(gan.rows_per_step(batch_size), length, batch_size, 1)
        assert [(p.batch_size, p.times) for p in parts] == [(p.batch_size, p.times) for p in ones]
        assert all(part.discriminator_steps == 0 for part in parts)
    assert [part.batch_size for part in parts[:-1]] == [batch_size] * (len(parts) - 1)
    assert all(part.discriminator_steps <= discriminator_steps for part in parts)


def test_an_epoch_of_forty_rows_in_parts():
    def parts(batch_size, discriminator_steps, schedule="concatenated"):
        rows = linear_gan((GAMES[0][0], schedule, {})).rows_per_step(batch_size)
        return [tuple(part) for part in epoch(rows, 40, batch_size, discriminator_steps)]

    assert parts(8, 1) == [(8, 1, 5)]
    assert parts(12, 1) == [(12, 1, 3), (4, 1, 1)]
    assert parts(100, 1) == [(40, 1, 1)]
    assert parts(6, 4) == [(6, 4, 1), (6, 2, 1), (4, 1, 1)]
    assert parts(12, 0) == [(12, 0, 3), (4, 0, 1)]
    assert parts(12, 1, "separate") == [(12, 1, 6), (8, 1, 1)]


@given(
    times=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    total=st.integers(0, 40),
    every=st.integers(1, 12),
    looks=st.integers(1, 12),
    start=st.integers(0, 40),
    cuts=st.lists(st.integers(1, 9), max_size=2),
)
@settings(max_examples=200, deadline=None)
def test_stretches_add_up_and_report_when_they_should(times, total, every, looks, start, cuts):
    portions, start, looks = (
        [(f"step {i}", Portion(8, 1, n)) for i, n in enumerate(times)],
        min(start, total),
        min(looks, every),
    )
    found = list(stretches(portions, total, every, looks, start, cuts))
    assert [s.done for s in found] == [start + n for n in itertools.accumulate(s.length for s in found)]
    assert sum(s.length for s in found) == total - start and all(
        0 < s.length <= min([every, looks, *cuts]) for s in found
    )
    order = [name for name, portion in portions for _ in range(portion.times)]
    expected = list(itertools.islice(itertools.cycle(order), start, total))
    assert [s.step for s in found for _ in range(s.length)] == expected
    ends = {d for d in range(start + 1, total + 1) if d % every == 0 or d == total or d % sum(times) == 0}
    assert {s.done for s in found if s.report} == ends
    changes = {d for d in range(start + 1, total) if order[d % len(order)] != order[(d - 1) % len(order)]}
    assert {s.done for s in found if s.look} == ends | changes | {
        d for d in range(start + 1, total + 1) if d % looks == 0
    }
    assert {d for d in range(start + 1, total + 1) if any(d % cut == 0 for cut in cuts)} <= {s.done for s in found}


def test_no_steps_have_no_stretches():
    assert list(stretches([("step", Portion(8, 1, 3))], 0, 5, 5)) == []


@pytest.mark.parametrize("replicas", [None, 3])
@every_kind
def test_a_training_step_and_its_log_have_one_shape(game, replicas):
    gan = make_gan(game, "float32", replicas)
    lead, rows = gan.generator.replicas, gan.rows_per_step(8)
    played = [8] * (1 + gan.objective.pairs)  # in the generator's step
    for sides, shapes in (
        ((1, 1), (rows, rows, *played)),
        ((2, 0), (rows, rows, None)),
        ((0, 1), (None, None, *played)),
    ):
        step = TrainingStep(gan, as_source(gan, POINTS), 8, rng(1), *sides)
        log = step.log(4)
        found = [None if a is None else (a.shape, a.dtype) for a in log.arrays]
        assert found == [None if n is None else ((4, *lead, n, 1), np.float32) for n in (*shapes, None, None)]
        step.run()
        log.write(step.scores)
        kept = [a[0] for a in log.take() if a is not None]
        assert all((a == b).all() for a, b in zip(kept, step.scores, strict=True))


# ---------------------------------------------------------------- epochs


@given(
    rows=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    epochs=st.integers(0, 3),
    every=st.integers(1, 12),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_every_row_comes_once_in_every_epoch(rows, batch_size, epochs, every, seed):
    data, calls = Recorder(rows), []
    history = linear_gan().fit(
        data, None, batch_size, rng(seed), every, lambda done, record: calls.append((done, len(record))), epochs
    )
    whole, left = divmod(rows, batch_size)
    sizes = [batch_size] * whole + [left] * (left > 0)
    assert [len(index) for index in data.taken] == epochs * sizes
    assert len(history) == epochs * len(sizes)
    if epochs:
        assert (np.sort(data.epochs(), axis=1) == np.arange(rows)).all()
    done = [d for d, _ in calls]
    assert all(d == length for d, length in calls)
    assert done == sorted(set(done)) and done[0] == 0 and done[-1] == len(history)
    assert {len(sizes) * (e + 1) for e in range(epochs)} <= set(done)  # a look at the end of every epoch
    assert set(range(0, len(history), every)) <= set(done)


@pytest.mark.parametrize("batch_size", [8, 12, 100], ids=["dividing", "partial", "larger than the set"])
@every_kind
def test_an_epoch_is_its_batches_one_after_the_other(recorded, game, batch_size):
    """An array of distinct rows; the last batch of an epoch holds what is left, of noise as of rows."""
    gan, twin = (make_gan(game, label_smoothing=0.1) for _ in range(2))
    gan.fit(POINTS, batch_size=batch_size, rng=rng(3), every=5, epochs=2)
    found = list(recorded)
    share = 2 if game[1] == "separate" else 1  # the discriminator's batch is half of the generator's
    rows = batch_size // share
    sizes = ([rows] * (40 // rows) + [40 % rows] * (40 % rows > 0)) * 2
    assert [kind for kind, *_ in found] == ["D", "G"] * len(sizes)
    for size, (_, (real, noise), _), (_, (g_noise, *g_real), _) in zip(sizes, found[::2], found[1::2], strict=True):
        assert (len(real), len(noise), len(g_noise)) == (size, size, share * size)
        assert [len(rows) for rows in g_real] == [size] * gan.objective.pairs
    drawn = np.concatenate([arrays[0] for kind, arrays, _ in found if kind == "D"]).reshape(2, 40, FEATURES)
    expected = POINTS[np.lexsort(POINTS.T)]
    for pass_ in drawn:
        np.testing.assert_array_equal(pass_[np.lexsort(pass_.T)], expected)
    assert (drawn[0] != drawn[1]).any() and (drawn[0] != POINTS).any()
    replay(twin, found)
    assert state(gan) == state(twin)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 5), st.integers(1, 3))
def test_several_discriminator_steps_share_an_epoch(rows, batch_size, discriminator_steps, epochs):
    data, gan = Recorder(rows), linear_gan()
    options = {"epochs": epochs, "discriminator_steps": discriminator_steps}
    history = gan.fit(data, batch_size=batch_size, rng=rng(1), **options)
    whole, left = divmod(rows, batch_size)
    assert [len(index) for index in data.taken] == epochs * ([batch_size] * whole + [left] * (left > 0))
    assert (np.sort(data.epochs(), axis=1) == np.arange(rows)).all()
    steps = whole // discriminator_steps + (whole % discriminator_steps > 0) + (left > 0)
    assert len(history) == epochs * steps == epochs * gan.steps_per_epoch(rows, batch_size, discriminator_steps)


def test_every_epoch_has_an_order_of_its_own():
    data = Recorder(50)
    linear_gan().fit(data, batch_size=10, rng=rng(0), epochs=5)
    orders = {tuple(order) for order in [*data.epochs(), np.arange(50)]}
    assert len(orders) == 6


def test_an_epoch_with_a_frozen_discriminator_is_as_long_and_takes_no_row():
    data, gan = Recorder(11), linear_gan()
    history = gan.fit(data, batch_size=4, rng=rng(0), epochs=2, discriminator_steps=0)
    assert data.taken == []
    assert len(history) == 6 == 2 * gan.steps_per_epoch(11, 4, 0)


def test_an_epoch_with_a_frozen_generator_shows_every_row_once():
    data = Recorder(11)
    linear_gan().fit(data, batch_size=4, rng=rng(0), epochs=2, generator_steps=0)
    assert [len(index) for index in data.taken] == [4, 4, 3] * 2
    assert (np.sort(data.epochs(), axis=1) == np.arange(11)).all()


@every_kind
def test_replicas_go_through_an_epoch_together(recorded, game):
    gan = make_gan(game, replicas=2)
    history = gan.fit(POINTS, batch_size=12, rng=rng(0), epochs=1)
    assert history[gan.objective.columns[0]].shape == (7 if game[1] == "separate" else 4, 2)
    drawn = np.concatenate([arrays[0] for kind, arrays, _ in recorded if kind == "D"], axis=-2)
    rows = np.broadcast_to(drawn, (2, 40, FEATURES))[1]
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], POINTS[np.lexsort(POINTS.T)])


@every_kind
def test_epochs_are_the_same_to_the_bit_for_the_same_seed_however_often_they_are_looked_at(game):
    def run(seed, every):
        gan = single(game)
        history = gan.fit(POINTS, batch_size=12, rng=rng(seed), every=every, epochs=3)
        return state(gan), columns(history)

    assert run(1, 5) == run(1, 5) == run(1, 1) == run(1, 100)
    assert run(1, 5)[0] != run(2, 5)[0]


def test_a_source_without_take_has_no_epochs():
    gan = make_gan()
    before = state(gan)
    with pytest.raises(ValueError) as caught:
        gan.fit(SinePoints(), epochs=2, rng=rng())
    assert str(caught.value) == "fit: SinePoints draws its rows afresh and has no epochs; give steps"
    assert state(gan) == before


def test_an_empty_set_has_no_epochs():
    with pytest.raises(ValueError, match="one row at least"):
        make_gan().fit(POINTS[:0], epochs=2, rng=rng())


def test_the_separate_schedule_halves_its_batches_in_epochs_too():
    for game in GAMES:
        if game[1] == "separate":
            with pytest.raises(ValueError, match="batch_size must be even for half-batches, got 7"):
                make_gan(game).fit(POINTS, batch_size=7, epochs=1, rng=rng())


def test_no_epochs_change_nothing():
    gan = make_gan()
    before = state(gan)
    assert len(gan.fit(POINTS, epochs=0, rng=rng())) == 0
    assert state(gan) == before


# ---------------------------------------------------------------- bad endings


class PlantedNaN:
    """Good rows, but for one NaN in the given step (batches of 8)."""

    shape = (FEATURES,)

    def __init__(self, step):
        self.row = 8 * (step - 1) + 3

    def sample(self, n, rng, out):
        out[...] = POINTS[rng.integers(0, len(POINTS), n)]
        out[self.row] = np.nan  # a stream draws more rows at once than these tests take steps


JOINT = [game for game in KINDS if game[1] == "concatenated"]


@pytest.mark.parametrize("step, kept", [(1, 0), (10, 0), (11, 10), (27, 20), (30, 20)])
@pytest.mark.parametrize("game", JOINT, ids=game_name)
def test_a_nan_restores_the_last_good_look_and_names_the_step(game, step, kept):
    gan, calls = single(game), []
    with pytest.raises(NonFiniteError) as caught:
        gan.fit(PlantedNaN(step), 30, 8, rng(1), 10, lambda done, h: calls.append(done))
    message = str(caught.value)
    assert f"{gan.objective.columns[0]} at step {step} " in message and f"after step {kept}" in message
    assert isinstance(caught.value, Error) and isinstance(caught.value, FloatingPointError)
    assert calls == list(range(0, kept + 1, 10))
    twin, history = trained(kept, game)
    assert state(gan) == state(twin)
    assert len(caught.value.history) == kept
    assert columns(caught.value.history) == columns(history)


def test_an_infinite_weight_is_found_though_the_losses_are_finite():
    gan = single()

    def spoil(done, history):
        if done == 10:
            gan.generator_optimizer.state["v"][0] = np.inf  # v only grows: the step is m/∞ = 0, and no loss shows it

    with pytest.raises(NonFiniteError, match=r"not finite: generator_optimizer.v by step 20; kept .* after step 10"):
        fit(gan, 30, callback=spoil)
    assert state(gan) == state(trained(10)[0])


def test_training_goes_on_after_a_nan():
    """No NaN stays behind in a buffer."""
    gan, twin = single(), trained(20)[0]
    with pytest.raises(NonFiniteError):
        gan.fit(PlantedNaN(25), 30, 8, rng(1), 10)
    assert columns(fit(gan, 15, seed=7)) == columns(fit(twin, 15, seed=7))
    assert state(gan) == state(twin)


@every_kind
def test_a_diverging_fit_warns_of_nothing_but_its_error(recwarn, game):
    gan = single(game)
    gan.generator_optimizer.learning_rate = 1e30
    with pytest.raises(NonFiniteError, match=r"at step \d|by step \d"):
        fit(gan, 30)
    assert all(np.isfinite(a).all() for a in gan.state_dict().values())
    assert not [str(w.message) for w in recwarn]


@pytest.mark.parametrize("setting, frozen, learner", FROZEN)
@every_kind
def test_a_nan_beside_a_frozen_side_is_found_though_that_side_s_columns_are_nan(game, setting, frozen, learner):
    gan = single(game)

    def spoil(done, history):
        if done == 10:
            getattr(gan, learner).values[0] = np.nan

    with pytest.raises(NonFiniteError, match=rf"{learner}.* after step 10$") as caught:
        gan.fit(POINTS, 30, 8, rng(1), 10, spoil, **{setting: 0})
    assert len(caught.value.history) == 10
    assert not any(f"{name} at step" in str(caught.value) for name in columns_of(frozen, gan.objective))


def interrupt_at(wanted):
    def callback(done, history):
        if done == wanted:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("stop", [10, 20])
@every_kind
def test_an_interrupt_in_a_callback_keeps_the_look_before_it(game, stop):
    gan = single(game)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(gan, 30, callback=interrupt_at(stop))
    twin, history = trained(stop, game)
    assert len(caught.value.history) == stop
    assert columns(caught.value.history) == columns(history)
    assert state(gan) == state(twin)


def test_an_interrupt_in_the_first_callback_keeps_the_start():
    gan = single()
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(gan, 30, callback=interrupt_at(0))
    assert len(caught.value.history) == 0
    assert state(gan) == state(single())


def test_an_interrupt_within_a_step_goes_back_to_the_last_look():
    gan, count = single(), iter(range(1, 100))
    step = gan.generator_step(8)
    run = step.run

    def interrupted(*inputs):
        run(*inputs)
        if next(count) == 17:
            raise KeyboardInterrupt

    step.run = interrupted
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(gan, 30)
    assert len(caught.value.history) == 10
    assert state(gan) == state(trained(10)[0])


@pytest.mark.parametrize(
    "owner, name, call",
    [(NonSaturating, "real_losses", 2), (NonSaturating, "measure_generator", 2), (Parts, "state_dict", 9)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_interrupt_within_a_look_keeps_history_and_state_together(owner, name, call, monkeypatch, tmp_path):
    """In the second look, while it measures either side; in the copy it makes, whose parts are three lists deep."""
    twin, count = state(trained(10)[0]), iter(range(1, 100))
    original = getattr(owner, name)

    def interrupted(*args):
        if next(count) == call:
            raise KeyboardInterrupt
        return original(*args)

    gan = single()
    monkeypatch.setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(gan, 30)
    monkeypatch.undo()
    assert state(gan) == twin
    caught.value.history.write_csv(tmp_path / "history.csv")
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + 10


# 40 rows in batches of 12 are 4 steps an epoch; every=3 looks at steps 3, 4, 6, 7, 8, 9, 11, 12 …


def in_epochs(gan, callback=None, data=POINTS):
    return gan.fit(data, batch_size=12, rng=rng(1), every=3, callback=callback, epochs=5)


def stopped_at(step):
    """A twin that was told to end at a look."""
    twin = make_gan()
    return twin, in_epochs(twin, lambda done, history: done == step)


def test_an_interrupt_within_an_epoch_keeps_the_last_look(monkeypatch):
    gan, right = make_gan(), steps_module.GeneratorStep.run
    seen = iter(range(1, 100))

    def interrupted(self, *inputs):
        right(self, *inputs)
        if next(seen) == 11:  # in the third epoch, two steps after the look at step 9
            raise KeyboardInterrupt

    monkeypatch.setattr(steps_module.GeneratorStep, "run", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        in_epochs(gan)
    monkeypatch.undo()
    twin, history = stopped_at(9)
    assert len(caught.value.history) == len(history) == 9
    assert state(gan) == state(twin)
    assert columns(caught.value.history) == columns(history)


def test_a_nan_within_an_epoch_keeps_the_last_look_and_names_the_step():
    class Spoilt(Recorder):
        def take(self, index, out):
            out[...] = POINTS[index]
            self.taken.append(index)
            if len(self.taken) == 6:
                out[0] = np.nan

    gan = make_gan()
    with pytest.raises(NonFiniteError, match=r"d_loss_real at step 6 .* after step 4$") as caught:
        in_epochs(gan, data=Spoilt(40))
    twin, history = stopped_at(4)
    assert state(gan) == state(twin)
    assert columns(caught.value.history) == columns(history)


def test_what_an_interrupted_epoch_kept_can_be_saved_and_trained_on(tmp_path):
    gan, (twin, _) = make_gan(), stopped_at(6)
    with pytest.raises(KeyboardInterrupt):
        in_epochs(gan, interrupt_at(6))
    gan.save(tmp_path / "model.npz")
    loaded = GAN.load(tmp_path / "model.npz")
    in_epochs(loaded), in_epochs(twin)
    assert state(loaded) == state(twin)


# ---------------------------------------------------------------- ending early


@pytest.mark.parametrize("length", [{"steps": 30}, {"epochs": 9}], ids=["steps", "epochs"])
def test_a_callback_that_returns_true_ends_the_training(length):
    gan, looks = make_gan(), []

    def enough(done, history):
        looks.append(done)
        return done >= 8

    history = gan.fit(POINTS, batch_size=10, rng=rng(1), every=4, callback=enough, **length)
    assert looks == [0, 4, 8] and len(history) == 8
    twin = make_gan()
    twin.fit(POINTS, batch_size=10, rng=rng(1), **({"steps": 8} if "steps" in length else {"epochs": 2}))
    assert state(gan) == state(twin)


def test_a_callback_can_end_the_training_before_its_first_step():
    gan = make_gan()
    before = state(gan)
    assert len(gan.fit(POINTS, 30, 8, rng(1), callback=lambda done, history: True)) == 0
    assert state(gan) == before
