"""The game itself: both objectives, its value, the summed loss, frozen sides, epochs, the equilibrium, the recipes."""

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numgan import (
    GAN,
    SGD,
    Adam,
    BatchNorm,
    Dense,
    LeakyReLU,
    NonFiniteError,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    check_gradients,
)
from numgan.data import SinePoints
from numgan.gan import steps as steps_module
from numgan.gan.equilibrium import PATIENCE, ROWS, Equilibrium
from numgan.gan.history import COLUMNS
from numgan.study import plots, recipes, runs
from numgan.study.settings import SettingError, with_overrides

SCHEDULES = ("concatenated", "separate", "summed")
OBJECTIVES = ("non-saturating", "minimax")
FEATURES, LATENT = 2, 3

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

# ---------------------------------------------------------------- helpers


def rng(seed=0):
    return np.random.default_rng(seed)


def make_gan(schedule="concatenated", objective="non-saturating", smoothing=0.0, dtype="float64", replicas=None,
             optimizer=Adam, seed=0):  # fmt: skip
    """Batch norm in both networks: frozen statistics could move, and rows of one batch depend on each other."""
    g = [Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(FEATURES)]
    d = [Dense(7), BatchNorm(0.8), ReLU(), Dense(1), Sigmoid()]
    generator = Sequential(g, LATENT, rng(seed), dtype, replicas, "generator")
    discriminator = Sequential(d, FEATURES, rng(seed + 1), dtype, replicas, "discriminator")
    for network in (generator, discriminator):
        network.values += rng(seed + 2).normal(0, 0.2, network.values.shape)
    return GAN(generator, discriminator, optimizer(0.01), optimizer(0.01), schedule, smoothing, objective)


def linear_gan(objective="non-saturating", schedule="concatenated", bias=0.0):
    """G(z) = z·W + b, logit(x) = x·w + c: every gradient fits on a line."""
    g = Sequential([Dense(FEATURES)], LATENT, rng(1), "float64")
    d = Sequential([Dense(1), Sigmoid()], FEATURES, rng(2), "float64")
    d.parameters()["dense_1.bias"][...] = bias
    return GAN(g, d, SGD(0.1), SGD(0.1), schedule, objective=objective)


def batch(rows=6, seed=0, lead=()):
    """Real rows and noise."""
    return rng(seed).normal(0.5, 1, (*lead, rows, FEATURES)), rng(seed + 100).normal(0, 1, (*lead, rows, LATENT))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def bits(gan, side):
    """Everything that belongs to one side of the game, as bytes."""
    network, optimizer = getattr(gan, side), getattr(gan, side + "_optimizer")
    arrays = {"values": network.values, "grads": network.grads, "state": network.state} | optimizer.state
    return {name: a.tobytes() for name, a in arrays.items()} | {"steps": optimizer.steps}


def state(gan):
    return {name: a.tobytes() for name, a in gan.state_dict().items()}


def columns(history):
    return {name: history[name].tobytes() for name in COLUMNS}


ROWS_OF_DATA = rng(5).normal(0.3, 0.5, (40, FEATURES))


class Recorder:
    """Rows (i, −i), i from 0 to n − 1, and a list of the indices of every batch that was taken."""

    features = FEATURES

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


@pytest.fixture
def recorded(monkeypatch):
    """What every step was given and what logits it left, in order: [(kind, arrays, logits)]."""
    found = []
    for kind, logits in (
        (steps_module.DiscriminatorStep, ("real_logits", "fake_logits")),
        (steps_module.GeneratorStep, ("logits",)),
    ):

        def run(self, *arrays, right=kind.run, logits=logits):
            given = [a.copy() for a in arrays]
            right(self, *arrays)
            found.append((type(self).__name__[0], given, [getattr(self, name).copy() for name in logits]))

        monkeypatch.setattr(kind, "run", run)
    return found


def replay(gan, found):
    """Give a twin the recorded batches by hand."""
    for kind, arrays, _ in found:
        (gan.train_discriminator if kind == "D" else gan.train_generator)(*arrays)


# ---------------------------------------------------------------- the generator's objective


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_gradient_of_every_game_is_right(schedule, objective):
    gan = make_gan(schedule, objective, 0.1, optimizer=SGD)
    report = check_gradients(gan, batch(6))
    report.raise_for_failure()
    assert report.worst < 1e-8
    tensors = [row.tensor for row in report.rows]
    assert all(f"generator step: {name}" in tensors for name in gan.generator.parameters())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_generator_s_gradient_is_the_one_on_paper(objective):
    """∂/∂logit of mean log(1 − σ) is −σ/N, that of −mean log σ is −(1 − σ)/N; the rest is the chain rule."""
    gan, (_, noise) = linear_gan(objective, bias=0.3), batch(7)
    weight, bias = (gan.generator.parameters()[f"dense_1.{name}"].copy() for name in ("weight", "bias"))
    w, c = (gan.discriminator.parameters()[f"dense_1.{name}"] for name in ("weight", "bias"))
    p = sigmoid((noise @ weight.T + bias) @ w.T + c)
    metrics = gan.train_generator(noise)
    down = (-p if objective == "minimax" else p - 1) / 7 @ w
    gradients = gan.generator.gradients()
    np.testing.assert_allclose(gradients["dense_1.weight"], down.T @ noise, rtol=1e-12)
    np.testing.assert_allclose(gradients["dense_1.bias"], down.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(gan.generator.parameters()["dense_1.bias"], bias - 0.1 * down.sum(axis=0), rtol=1e-12)
    loss = np.log(1 - p).mean() if objective == "minimax" else -np.log(p).mean()
    np.testing.assert_allclose(metrics, [loss, (p > 0.5).mean()], rtol=1e-12)


def steps_on_constant_logits(logit):
    """The generator's gradient under either objective where D(G(z)) = σ(logit) for every z."""
    gradients = []
    for objective in OBJECTIVES:
        gan = linear_gan(objective, bias=logit)
        gan.generator.values[...] = 0
        gan.train_generator(batch(8)[1])
        gradients.append(gan.generator.grads.copy())
    return gradients


def test_minimax_saturates_where_the_discriminator_is_sure():
    """σ against 1 − σ: their ratio is e^logit, so 1 where D = ½ and next to nothing where D is near 0."""
    undecided, minimax = steps_on_constant_logits(0.0)
    np.testing.assert_allclose(minimax, undecided, rtol=1e-12)
    sure, saturated = steps_on_constant_logits(-12.0)
    np.testing.assert_allclose(saturated, sure * math.exp(-12), rtol=1e-10)
    assert np.abs(saturated).max() < 1e-4 * np.abs(minimax).max()
    np.testing.assert_allclose(sure, 2 * undecided, rtol=1e-4)  # the other objective learns most just there


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_either_objective_raises_the_discriminator_s_answer(objective):
    gan, noise = linear_gan(objective), batch(50)[1]
    before = gan.predict(noise).mean()
    losses = [gan.train_generator(noise).loss for _ in range(20)]
    assert gan.predict(noise).mean() > before + 0.05
    assert losses == sorted(losses, reverse=True)
    assert (losses[-1] < 0) == (objective == "minimax")


def test_the_objective_is_none_of_the_discriminator_s_business():
    gans = [make_gan(objective=objective) for objective in OBJECTIVES]
    for gan in gans:
        gan.train_discriminator(*batch(6))
    assert state(gans[0]) == state(gans[1])
    for gan in gans:
        gan.train_generator(batch(6)[1])
    assert bits(gans[0], "discriminator") == bits(gans[1], "discriminator")
    assert gans[0].generator.values.tobytes() != gans[1].generator.values.tobytes()


# ---------------------------------------------------------------- the value of the game


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_history_is_the_formulas_of_the_logits(recorded, schedule, objective, smoothing, replicas):
    gan = make_gan(schedule, objective, smoothing, replicas=replicas)
    history = gan.fit(ROWS_OF_DATA, 6, 8, rng(1), every=4)
    logits = [[z for _, _, left in recorded[2 * i : 2 * i + 2] for z in left] for i in range(6)]
    real, fake, generator = (sigmoid(np.array([step[k] for step in logits])[..., 0]) for k in range(3))
    target = 1 - smoothing
    on_real = -(target * np.log(real) + smoothing * np.log(1 - real)).mean(axis=-1)
    on_fake = -np.log(1 - fake).mean(axis=-1)
    saturating = objective == "minimax"
    expected = {
        "d_real": real.mean(axis=-1),
        "d_fake": fake.mean(axis=-1),
        "value": np.log(real).mean(axis=-1) + np.log(1 - fake).mean(axis=-1),
        "d_loss_real": on_real,
        "d_loss_fake": on_fake,
        "d_loss": (on_real + on_fake) / (1 if schedule == "summed" else 2),
        "g_loss": np.log(1 - generator).mean(axis=-1) if saturating else -np.log(generator).mean(axis=-1),
        "g_accuracy": (generator > 0.5).mean(axis=-1),
    }
    for name, values in expected.items():
        assert values.shape == (6, *gan.generator.replicas)
        np.testing.assert_allclose(history[name], values, rtol=1e-12, atol=1e-14, err_msg=name)


def test_the_value_is_asked_of_the_rows_before_the_step_learns_from_them(recorded):
    """Without batch norm the logits of a step are those that `predict` gives for its rows."""
    gan = linear_gan()
    answers = []

    def remember(done, history):
        answers.append({name: a.copy() for name, a in gan.discriminator.parameters().items()})

    history = gan.fit(ROWS_OF_DATA, 5, 8, rng(1), every=1, callback=remember)
    for i, before in enumerate(answers[:5]):
        real = recorded[2 * i][1][0]
        p = sigmoid(real @ before["dense_1.weight"].T + before["dense_1.bias"])
        np.testing.assert_allclose(history["d_real"][i], p.mean(), rtol=1e-12)


def test_the_new_columns_are_in_the_csv(tmp_path):
    history = make_gan().fit(ROWS_OF_DATA, 3, 8, rng(1))
    history.write_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in ("d_real", "d_fake", "value"):
        assert [float(row[name]) for row in rows] == pytest.approx(history[name], rel=1e-6)


# ---------------------------------------------------------------- the summed loss


def test_the_summed_loss_has_twice_the_gradient_and_twice_the_loss():
    mean, total = (
        make_gan("concatenated", smoothing=0.1, optimizer=SGD),
        make_gan("summed", smoothing=0.1, optimizer=SGD),
    )
    start = mean.discriminator.values.copy()
    one, two = (gan.train_discriminator(*batch(6)) for gan in (mean, total))
    assert (total.discriminator.grads == 2 * mean.discriminator.grads).all()  # times 2 is exact
    assert np.abs(mean.discriminator.grads).max() > 0.01
    moved = [gan.discriminator.values - start for gan in (mean, total)]
    np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-9, atol=1e-15)
    assert two[:4] == one[:4]
    assert (one.loss, two.loss) == ((one.loss_real + one.loss_fake) / 2, one.loss_real + one.loss_fake)
    assert bits(mean, "generator") == bits(total, "generator")


def test_the_summed_gradient_is_that_of_both_means_on_paper():
    gan, (real, noise) = linear_gan(schedule="summed", bias=0.2), batch(5)
    fake = gan.generator.predict(noise)
    w, c = (gan.discriminator.parameters()[f"dense_1.{name}"].copy() for name in ("weight", "bias"))
    on_real, on_fake = sigmoid(real @ w.T + c), sigmoid(fake @ w.T + c)
    gan.train_discriminator(real, noise)
    gradients = gan.discriminator.gradients()
    expected = ((on_real - 1).T @ real + on_fake.T @ fake) / 5
    np.testing.assert_allclose(gradients["dense_1.weight"], expected, rtol=1e-12)
    np.testing.assert_allclose(gradients["dense_1.bias"], (on_real - 1 + on_fake).sum() / 5, rtol=1e-12)


# ---------------------------------------------------------------- frozen sides


FROZEN = [("discriminator_steps", "discriminator", "generator"), ("generator_steps", "generator", "discriminator")]


@pytest.mark.parametrize("length", [{"steps": 9}, {"epochs": 2}], ids=["steps", "epochs"])
@pytest.mark.parametrize("setting, frozen, learner", FROZEN)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_not_a_bit_of_a_frozen_side_changes(schedule, setting, frozen, learner, length):
    gan = make_gan(schedule)
    gan.fit(ROWS_OF_DATA, 3, 8, rng(0))  # moments, gradients and statistics are all something
    before = {side: bits(gan, side) for side in (frozen, learner)}
    history = gan.fit(ROWS_OF_DATA, batch_size=12, rng=rng(1), every=4, **{setting: 0}, **length)
    assert bits(gan, frozen) == before[frozen]
    after = bits(gan, learner)
    assert all(after[name] != before[learner][name] for name in after)
    assert len(history) > 0 and all(np.isfinite(history[name]).all() for name in COLUMNS)


def test_against_a_frozen_generator_the_discriminator_learns_to_tell_and_back():
    gan = make_gan(dtype="float32")
    history = gan.fit(ROWS_OF_DATA, 300, 32, rng(1), generator_steps=0)
    assert history["d_loss"][-50:].mean() < 0.8 * history["d_loss"][:10].mean()
    history = gan.fit(ROWS_OF_DATA, 300, 32, rng(2), discriminator_steps=0)
    assert history["g_loss"][-50:].mean() < 0.8 * history["g_loss"][:10].mean()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_frozen_generator_s_columns_are_what_its_critic_says_of_its_fakes(recorded, schedule):
    gan = make_gan(schedule)
    history = gan.fit(ROWS_OF_DATA, 4, 8, rng(1), generator_steps=0)
    assert [kind for kind, *_ in recorded] == ["D"] * 4
    fake = sigmoid(np.array([logits[1] for *_, logits in recorded])[..., 0])
    np.testing.assert_allclose(history["g_loss"], -np.log(fake).mean(axis=-1), rtol=1e-12)
    np.testing.assert_array_equal(history["g_accuracy"], 1 - history["d_accuracy_fake"])


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_frozen_discriminator_s_columns_are_what_it_says_in_inference(recorded, schedule, replicas):
    gan = make_gan(schedule, replicas=replicas)
    gan.discriminator.state += 0.3  # so that inference is not training
    row = np.array([[0.7, -0.4]])
    history = gan.fit(row, 4, 8, rng(1), discriminator_steps=0)
    assert [kind for kind, *_ in recorded] == ["G"] * 4
    on_real = gan.discriminator.predict(np.broadcast_to(row, (*gan.generator.replicas, 1, 2)))[..., 0, 0]
    for step in range(4):
        np.testing.assert_allclose(history["d_real"][step], on_real, rtol=1e-12)
        np.testing.assert_allclose(history["d_loss_real"][step], -np.log(on_real), rtol=1e-12)
    fake = sigmoid(np.array([logits[0] for *_, logits in recorded])[..., 0])
    np.testing.assert_allclose(history["d_fake"], fake.mean(axis=-1), rtol=1e-12)
    np.testing.assert_allclose(history["g_loss"], -np.log(fake).mean(axis=-1), rtol=1e-12)


@pytest.mark.parametrize("sides", [(3, 1), (1, 2), (2, 3)], ids=str)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_step_is_so_many_of_the_discriminator_then_so_many_of_the_generator(recorded, schedule, sides):
    gan, twin = make_gan(schedule), make_gan(schedule)
    discriminator_steps, generator_steps = sides
    history = gan.fit(ROWS_OF_DATA, 5, 8, rng(1), 3, None, None, discriminator_steps, generator_steps)
    found = list(recorded)
    assert "".join(kind for kind, *_ in found) == 5 * ("D" * discriminator_steps + "G" * generator_steps)
    assert len({arrays[-1].tobytes() for _, arrays, _ in found}) == len(found)  # fresh noise for every one
    assert len({arrays[0].tobytes() for kind, arrays, _ in found if kind == "D"}) == 5 * discriminator_steps
    replay(twin, found)
    for side in ("generator", "discriminator"):
        assert bits(gan, side) == bits(twin, side)
    # a row of the history is the last step of either side
    last = [found[i * sum(sides) + discriminator_steps - 1][2][0] for i in range(5)]
    np.testing.assert_allclose(history["d_real"], sigmoid(np.array(last)).mean(axis=(-2, -1)), rtol=1e-12)
    last = [found[(i + 1) * sum(sides) - 1][2][0] for i in range(5)]
    np.testing.assert_array_equal(history["g_accuracy"], (np.array(last) > 0).mean(axis=(-2, -1)))


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
        gan.fit(ROWS_OF_DATA, **{"steps": 3, "rng": rng()} | options)
    assert message in str(caught.value)
    assert state(gan) == before


def test_settings_that_train_neither_side_are_refused():
    for recipe in recipes.RECIPES.values():
        with pytest.raises(SettingError, match="discriminator_steps=0 and generator_steps=0"):
            with_overrides(recipe.settings, {"discriminator_steps": 0, "generator_steps": "0"})


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
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_an_epoch_is_its_batches_one_after_the_other(recorded, schedule, batch_size):
    """An array of distinct rows; the last batch of an epoch holds what is left, of noise as of rows."""
    gan, twin = make_gan(schedule, smoothing=0.1), make_gan(schedule, smoothing=0.1)
    gan.fit(ROWS_OF_DATA, batch_size=batch_size, rng=rng(3), every=5, epochs=2)
    found = list(recorded)
    share = 2 if schedule == "separate" else 1  # the discriminator's batch is half of the generator's
    rows = batch_size // share
    sizes = ([rows] * (40 // rows) + [40 % rows] * (40 % rows > 0)) * 2
    assert [kind for kind, *_ in found] == ["D", "G"] * len(sizes)
    for size, (_, (real, noise), _), (_, (g_noise,), _) in zip(sizes, found[::2], found[1::2], strict=True):
        assert (len(real), len(noise), len(g_noise)) == (size, size, share * size)
    drawn = np.concatenate([arrays[0] for kind, arrays, _ in found if kind == "D"]).reshape(2, 40, FEATURES)
    expected = ROWS_OF_DATA[np.lexsort(ROWS_OF_DATA.T)]
    for epoch in drawn:
        np.testing.assert_array_equal(epoch[np.lexsort(epoch.T)], expected)
    assert (drawn[0] != drawn[1]).any() and (drawn[0] != ROWS_OF_DATA).any()
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


def test_an_epoch_with_a_frozen_discriminator_shows_it_every_row_once():
    data = Recorder(11)
    linear_gan().fit(data, batch_size=4, rng=rng(0), epochs=2, discriminator_steps=0)
    assert [len(index) for index in data.taken] == [4, 4, 3] * 2
    assert (np.sort(data.epochs(), axis=1) == np.arange(11)).all()


def test_replicas_go_through_an_epoch_together(recorded):
    gan = make_gan(replicas=2)
    history = gan.fit(ROWS_OF_DATA, batch_size=12, rng=rng(0), epochs=1)
    assert history["value"].shape == (4, 2)
    drawn = np.concatenate([arrays[0] for kind, arrays, _ in recorded if kind == "D"], axis=-2)
    rows = np.broadcast_to(drawn, (2, 40, FEATURES))[1]
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], ROWS_OF_DATA[np.lexsort(ROWS_OF_DATA.T)])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_epochs_are_the_same_to_the_bit_for_the_same_seed_however_often_they_are_looked_at(schedule):
    def run(seed, every):
        gan = make_gan(schedule, dtype="float32")
        history = gan.fit(ROWS_OF_DATA, batch_size=12, rng=rng(seed), every=every, epochs=3)
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
        make_gan().fit(ROWS_OF_DATA[:0], epochs=2, rng=rng())


def test_the_separate_schedule_halves_its_batches_in_epochs_too():
    with pytest.raises(ValueError, match="batch_size must be even for half-batches, got 7"):
        make_gan("separate").fit(ROWS_OF_DATA, batch_size=7, epochs=1, rng=rng())


def test_no_epochs_change_nothing():
    gan = make_gan()
    before = state(gan)
    assert len(gan.fit(ROWS_OF_DATA, epochs=0, rng=rng())) == 0
    assert state(gan) == before


# 40 rows in batches of 12 are 4 steps an epoch; every=3 looks at steps 3, 4, 6, 7, 8, 9, 11, 12 …


def in_epochs(gan, callback=None, data=ROWS_OF_DATA):
    return gan.fit(data, batch_size=12, rng=rng(1), every=3, callback=callback, epochs=5)


def stopped_at(step):
    """A twin that was told to end at a look."""
    twin = make_gan()
    return twin, in_epochs(twin, lambda done, history: done == step)


def test_an_interrupt_within_an_epoch_keeps_the_last_look(monkeypatch):
    gan, right = make_gan(), steps_module.GeneratorStep.run
    seen = iter(range(1, 100))

    def interrupted(self, noise):
        right(self, noise)
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
            out[...] = ROWS_OF_DATA[index]
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
    def interrupt(done, history):
        if done == 6:
            raise KeyboardInterrupt

    gan, (twin, _) = make_gan(), stopped_at(6)
    with pytest.raises(KeyboardInterrupt):
        in_epochs(gan, interrupt)
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

    history = gan.fit(ROWS_OF_DATA, batch_size=10, rng=rng(1), every=4, callback=enough, **length)
    assert looks == [0, 4, 8] and len(history) == 8
    twin = make_gan()
    twin.fit(ROWS_OF_DATA, batch_size=10, rng=rng(1), **({"steps": 8} if "steps" in length else {"epochs": 2}))
    assert state(gan) == state(twin)


def test_a_callback_can_end_the_training_before_its_first_step():
    gan = make_gan()
    before = state(gan)
    assert len(gan.fit(ROWS_OF_DATA, 30, 8, rng(1), callback=lambda done, history: True)) == 0
    assert state(gan) == before


# ---------------------------------------------------------------- the equilibrium


class Where:
    """A source of points (x, 0) with the same x for all rows, or ± x in turn."""

    features = FEATURES

    def __init__(self, x, both=False):
        self.x, self.both = x, both

    def sample(self, n, rng, out):
        out[...] = 0
        out[:, 0] = self.x
        if self.both:
            out[::2, 0] *= -1


def planted(logit_per_x=0.0, generated=0.0, spread=0.0):
    """A GAN with logit(x, y) = logit_per_x · x, whose generator makes x = generated + spread · z."""
    gan = linear_gan()
    for network in (gan.generator, gan.discriminator):
        network.values[...] = 0
    gan.discriminator.parameters()["dense_1.weight"][0, 0] = logit_per_x
    gan.generator.parameters()["dense_1.weight"][0, 0] = spread
    gan.generator.parameters()["dense_1.bias"][0] = generated
    return gan


def verdicts(gan, source, checks=PATIENCE + 2, tolerance=0.05):
    watch = Equilibrium(gan, source, tolerance, rng())
    return watch, [watch.check(10 * i) for i in range(1, checks + 1)]


def test_an_undecided_discriminator_is_the_equilibrium_after_enough_checks():
    watch, found = verdicts(planted(), Where(3.0))
    assert found == [False] * (PATIENCE - 1) + [True] * 3
    assert watch.reached and (watch.step, watch.on_real, watch.on_fake) == (10 * (PATIENCE + 2), 0, 0)
    assert str(watch).startswith(f"equilibrium at step {10 * (PATIENCE + 2)}: mean |D − ½| is 0.000 on held-out real")


@pytest.mark.parametrize("real, fake", [(9.0, -9.0), (9.0, 0.0), (0.0, -9.0), (9.0, 9.0), (-9.0, 9.0)])
def test_a_discriminator_that_is_sure_of_either_side_is_not(real, fake):
    watch, found = verdicts(planted(1.0, fake), Where(real))
    assert not any(found) and not watch.reached
    expected = [abs(sigmoid(x) - 0.5) for x in (real, fake)]
    assert (watch.on_real, watch.on_fake) == pytest.approx(expected, rel=1e-12)
    assert str(watch).startswith("no equilibrium at step 70: ") and str(watch).endswith("had 0")


def test_sure_answers_on_both_sides_do_not_average_to_a_half():
    gan, source = planted(1e3, 0.0, 1.0), Where(1.0, both=True)
    rows = np.empty((ROWS, FEATURES))
    source.sample(ROWS, rng(), rows)
    assert gan.discriminator.predict(rows).mean() == 0.5
    watch, found = verdicts(gan, source)
    assert not any(found)
    assert watch.on_real == 0.5 and watch.on_fake > 0.49


@pytest.mark.parametrize("x, reached", [(0.19, True), (0.21, False)])
def test_the_tolerance_is_that_of_the_mean_distance(x, reached):
    """σ(0.2007) = 0.55."""
    assert verdicts(planted(1.0), Where(x))[0].reached is reached
    assert verdicts(planted(1.0, x), Where(0.0))[0].reached is reached


def test_one_sure_check_starts_the_count_anew():
    gan, source = planted(1.0), Where(0.0)
    watch = Equilibrium(gan, source, 0.05, rng())
    assert not any(watch.check(i) for i in range(PATIENCE - 1))
    source.x = 9.0
    assert not watch.check(8)
    source.x = 0.0
    assert [watch.check(9 + i) for i in range(PATIENCE)] == [False] * (PATIENCE - 1) + [True]


@pytest.mark.parametrize("tolerance", [0, 0.5, -0.1, 1, math.nan])
def test_a_tolerance_that_means_nothing_is_refused(tolerance):
    with pytest.raises(ValueError, match=r"tolerance must be between 0 and 0.5, got "):
        Equilibrium(planted(), Where(0.0), tolerance, rng())


def test_an_equilibrium_that_was_never_checked_says_so():
    watch = Equilibrium(planted(), Where(0.0), 0.05, rng())
    assert not watch.reached and str(watch) == "no equilibrium: training ended before the first check"


def test_checking_changes_nothing_of_the_game():
    gan = make_gan(dtype="float32")
    before = {side: bits(gan, side) for side in ("generator", "discriminator")}
    verdicts(gan, Where(1.0))
    assert {side: bits(gan, side) for side in before} == before


# ---------------------------------------------------------------- recipes


@pytest.fixture(scope="module")
def alone():
    """(GAN, its generator's first weights, history, quality) of sine-discriminator, by seed."""
    recipe, found = recipes.get("sine-discriminator"), []
    for seed in range(5):
        weights_rng, training_rng, picture_rng = runs.streams(seed)
        gan = recipe.build(recipe.settings, weights_rng, "float32")
        start = bits(gan, "generator")
        history = gan.fit(recipe.load(None)[0], batch_size=128, rng=training_rng, **recipe.settings.length())
        found.append((gan, start, history, recipe.quality(gan.sample(5_000, picture_rng), gan, picture_rng)))
    return found


def test_a_discriminator_alone_tells_the_sine_from_the_line(alone):
    for _, _, history, quality in alone:
        assert len(history) == 300
        assert quality["accuracy on real"] >= 0.97
        assert quality["accuracy on fake"] >= 0.75


def test_the_line_does_not_move(alone):
    for gan, start, *_ in alone:
        assert bits(gan, "generator") == start
        assert gan.generator_optimizer.steps == 0 and gan.discriminator_optimizer.steps == 600
        t = rng().normal(0, 1, (50, 1)).astype(np.float32)
        np.testing.assert_array_equal(gan.generator.predict(t), np.concatenate([t, 2 * t], axis=1))


def test_its_quality_is_the_accuracy_counted_by_hand(alone):
    gan = alone[0][0]
    quality = recipes.get("sine-discriminator").quality(gan.sample(2_000, rng(1)), gan, rng(2))
    real = np.empty((2_000, 2), np.float32)
    SinePoints().sample(2_000, rng(2), real)
    assert quality["accuracy on real"] == np.mean([p > 0.5 for p in gan.discriminator.predict(real)])
    assert quality["accuracy on fake"] == np.mean(
        [p <= 0.5 for p in gan.discriminator.predict(gan.sample(2_000, rng(1)))]
    )


def test_the_epochs_recipe_has_the_study_s_networks_and_loss():
    recipe = recipes.get("mnist-epochs")
    gan = recipe.build(recipe.settings, rng(), "float32")
    assert gan.generator.widths[0] == 100 and gan.generator.widths[-1] == 784
    kinds = [[type(layer) for layer in network.layers] for network in (gan.generator, gan.discriminator)]
    assert kinds[0] == [Dense, LeakyReLU, BatchNorm] * 2 + [Dense, Tanh]
    assert kinds[1] == [Dense, LeakyReLU] * 2 + [Dense, Sigmoid]
    assert [layer.units for layer in gan.discriminator.layers if isinstance(layer, Dense)] == [512, 256, 1]
    assert (gan.schedule, gan.objective, gan.generator_optimizer.learning_rate) == ("summed", "non-saturating", 1e-4)
    assert recipe.settings.length() == {"steps": None, "epochs": 50, "discriminator_steps": 1, "generator_steps": 1}


@pytest.mark.parametrize("overrides, steps, epochs", [
    ({}, 2000, 0), ({"epochs": "3"}, 0, 3), ({"steps": 5}, 5, 0), ({"steps": 0, "epochs": 3}, 0, 3),
])  # fmt: skip
def test_epochs_and_steps_take_each_other_s_place(overrides, steps, epochs):
    recipe = recipes.get("mnist")
    chosen = with_overrides(recipe.settings, overrides)
    assert (chosen.steps, chosen.epochs) == (steps, epochs)
    chosen = with_overrides(recipes.get("mnist-epochs").settings, overrides)
    assert (chosen.steps, chosen.epochs) == ((steps, epochs) if overrides else (0, 50))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_decision_surface_is_the_discriminator_asked_at_the_middles_of_cells(dtype):
    discriminator = make_gan(dtype=dtype).discriminator
    frame, surface = plots.decision_surface(discriminator, (-2.0, 2.0, -1.0, 3.0), cells=(8, 4))
    assert frame == (-2.0, 2.0, -1.0, 3.0) and surface.shape == (4, 8)
    for row, column, point in ((0, 0, (-1.75, -0.5)), (0, 7, (1.75, -0.5)), (3, 0, (-1.75, 2.5)), (2, 5, (0.75, 1.5))):
        answer = discriminator.predict(np.array([point]))[0, 0]
        np.testing.assert_allclose(surface[row, column], answer, rtol=1e-6)
    assert len(np.unique(surface)) > 20


def test_a_decision_surface_is_bright_where_the_real_points_are(alone):
    _, surface = plots.decision_surface(alone[0][0].discriminator, (-3.8, 3.8, -7.6, 7.6))
    rows, columns = surface.shape

    def says(x, y):
        return surface[int((y + 7.6) / 15.2 * rows), int((x + 3.8) / 7.6 * columns)]

    for t in (-2.0, -1.5, 1.5, 2.0):
        assert says(t, math.sin(t)) > 0.5 > says(t, 2 * t)
