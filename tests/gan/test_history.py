"""The numbers a training reports, GAN.fit around them (looks, callbacks, bad endings), and the sine measures."""

import csv
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from numgan import GAN, BatchNorm, Dense, History, LeakyReLU, NonFiniteError, ReLU, Sequential, Sigmoid
from numgan.gan.history import COLUMNS, LogitLog, measure
from numgan.study.metrics import sine_quality

# ---------------------------------------------------------------- helpers


def make_gan(schedule="concatenated", replicas=None, smoothing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    g = Sequential([Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(2)], 3, rng, replicas=replicas)
    d = Sequential([Dense(7), ReLU(), Dense(1), Sigmoid()], 2, rng, replicas=replicas)
    return GAN(g, d, schedule=schedule, label_smoothing=smoothing)


ROWS = np.random.default_rng(0).standard_normal((50, 2))


def fit(gan, steps, every=10, callback=None, batch_size=8, seed=1):
    return gan.fit(ROWS, steps, batch_size, np.random.default_rng(seed), every, callback)


def assert_same_state(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.tobytes() == other[name].tobytes(), name


def assert_same_history(one, other):
    for name in COLUMNS:
        assert one[name].tobytes() == other[name].tobytes(), name


def trained(steps, **kwargs):
    """A twin of `make_gan()` after so many steps, and its history."""
    gan = make_gan()
    return gan, fit(gan, steps, **kwargs)


def cross_entropy(logits, target):
    """−t·log σ(z) − (1 − t)·log(1 − σ(z)) in float64."""
    z = np.asarray(logits, np.float64)
    return target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z)


def log_of(*steps):
    """A LogitLog holding the given (real, fake, generator) logits."""
    log = LogitLog(len(steps), [a.shape for a in steps[0]], steps[0][0].dtype)
    for logits in steps:
        log.write(*logits)
    return log


def random_logits(rng, n_steps, replicas=(), scale=5.0, dtype=np.float32):
    shapes = [(*replicas, 6, 1), (*replicas, 4, 1), (*replicas, 10, 1)]
    return [tuple((scale * rng.standard_normal(s)).astype(dtype) for s in shapes) for _ in range(n_steps)]


# ---------------------------------------------------------------- losses and accuracies


@pytest.mark.parametrize("replicas", [(), (3,)], ids=["single", "replicas"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    seed=st.integers(0, 2**32),
    smoothing=st.sampled_from([0.0, 0.1, 0.25]),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    blocks=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
@settings(max_examples=15, deadline=None)
def test_a_history_is_the_direct_computation(replicas, dtype, seed, smoothing, scale, blocks):
    history, steps = History(real_target=1 - smoothing), []
    for n in blocks:  # however the steps are cut into looks
        block = random_logits(np.random.default_rng([seed, n]), n, replicas, scale, dtype)
        assert history.add(log_of(*block)) is None
        steps += block
    assert len(history) == len(steps)
    # in float32 a logit of 16 is known to 10⁻⁶, and no loss can be better known than its logit
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    sides = [("d_{}_real", 0, 1 - smoothing, True), ("d_{}_fake", 1, 0.0, False), ("g_{}", 2, 1.0, True)]
    for column, index, target, is_real in sides:
        losses = [cross_entropy(s[index], target).mean(axis=(-2, -1)) for s in steps]
        np.testing.assert_allclose(history[column.format("loss")], losses, **tolerance)
        hits = [np.mean((s[index] > 0) if is_real else (s[index] <= 0), axis=(-2, -1)) for s in steps]
        np.testing.assert_allclose(history[column.format("accuracy")], hits, rtol=1e-14)
        assert history[column.format("loss")].shape == (len(steps), *replicas)
    for column, index in (("d_real", 0), ("d_fake", 1)):
        means = [(1 / (1 + np.exp(-s[index].astype(np.float64)))).mean(axis=(-2, -1)) for s in steps]
        np.testing.assert_allclose(history[column], means, **tolerance)
    # V has no labels, so smoothing leaves it alone
    values = [-cross_entropy(r, 1).mean(axis=(-2, -1)) - cross_entropy(f, 0).mean(axis=(-2, -1)) for r, f, _ in steps]
    np.testing.assert_allclose(history["value"], values, **tolerance)


@pytest.mark.parametrize("replicas", [(), (3,)], ids=["single", "replicas"])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_history_of_a_minimax_summed_game(scale, replicas):
    history = History(objective="minimax", summed=True)
    steps = random_logits(np.random.default_rng(1), 5, replicas, scale, np.float64)
    history.add(log_of(*steps))
    np.testing.assert_allclose(history["g_loss"], [-cross_entropy(g, 0).mean(axis=(-2, -1)) for _, _, g in steps])
    np.testing.assert_allclose(history["g_accuracy"], [(g > 0).mean(axis=(-2, -1)) for _, _, g in steps], rtol=1e-14)
    np.testing.assert_array_equal(history["d_loss"], history["d_loss_real"] + history["d_loss_fake"])
    np.testing.assert_allclose(history["d_loss"], -history["value"])  # with labels 0 and 1 they are one thing
    np.testing.assert_array_equal(history["d_accuracy"], (history["d_accuracy_real"] + history["d_accuracy_fake"]) / 2)


def test_an_undecided_discriminator_gives_the_numbers_of_the_equilibrium():
    history = History(real_target=0.9)
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
    history.add(log_of(*random_logits(np.random.default_rng(0), 3)))
    assert history["step"].tolist() == [1, 2, 3]
    for name in ("loss", "accuracy"):
        np.testing.assert_array_equal(history[f"d_{name}"], (history[f"d_{name}_real"] + history[f"d_{name}_fake"]) / 2)
    with pytest.raises(KeyError):
        history["loss"]


def test_the_log_is_empty_after_a_look_and_takes_the_same_number_again():
    log, history = LogitLog(2, [(1, 1)] * 3, np.float32), History()
    one = [np.full((1, 1), z, np.float32) for z in (1, 2, 3)]
    for _ in range(3):
        log.write(*one)
        log.write(*(-a for a in one))
        assert log.used == 2
        history.add(log)
        assert log.used == 0
    assert history["g_accuracy"].tolist() == [1, 0] * 3
    log.write(*one)
    history.add(log)  # a short last look: only what was written counts
    assert len(history) == 7


def test_cut_keeps_the_first_looks():
    rng, history = np.random.default_rng(0), History()
    history.add(log_of(*random_logits(rng, 3)))
    before = {name: history[name].copy() for name in COLUMNS}
    history.add(log_of(*random_logits(rng, 2)))
    assert history.looks == 2
    history.cut(1)
    assert len(history) == 3
    for name in COLUMNS:
        assert history[name].tobytes() == before[name].tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side, column", [(0, "d_loss_real"), (1, "d_loss_fake"), (2, "g_loss")])
@pytest.mark.parametrize("replicas", [(), (2,)], ids=["single", "replicas"])
def test_the_first_bad_step_and_column_are_reported(bad, side, column, replicas):
    rng, history = np.random.default_rng(0), History()
    history.add(log_of(*random_logits(rng, 4, replicas)))
    steps = random_logits(rng, 5, replicas)
    for i in (2, 4):
        steps[i][side].flat[-1] = bad if side == 1 else -bad  # with replicas: in the last one alone
    with np.errstate(invalid="ignore"):
        assert history.add(log_of(*steps)) == (7, column)


@given(npst.arrays(np.float32, (5, len(COLUMNS)), elements=st.floats(0, 2**100, width=32)))
@settings(max_examples=25, deadline=None)
def test_a_csv_reads_back_as_the_same_float32(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("csv") / "history.csv"
    history, columns = History(), values.T.astype(float)
    history._blocks = {name: [column[:2], column[2:]] for name, column in zip(COLUMNS, columns, strict=True)}
    history.write_csv(path)
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["step", *COLUMNS]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert np.array([row[1:] for row in rows], np.float32).tobytes() == values.tobytes()


def test_the_csv_of_an_empty_history_is_its_header(tmp_path):
    History().write_csv(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text() == "step," + ",".join(COLUMNS) + "\n"


# ---------------------------------------------------------------- fit: steps and looks


@pytest.mark.parametrize("schedule", ["concatenated", "separate"])
@pytest.mark.parametrize("replicas, smoothing", [(None, 0.0), (None, 0.2), (2, 0.1)])
def test_fit_reports_what_training_step_by_step_reports(schedule, replicas, smoothing):
    """The inputs of every step of a fit, given to a twin by hand: the same numbers and the same networks."""
    gan, twin = (make_gan(schedule, replicas, smoothing) for _ in range(2))
    rows = 4 if schedule == "separate" else 8
    inputs = []

    def record(step):
        run = step.run

        def recording(*arrays):
            inputs.append([a.copy() for a in arrays])
            run(*arrays)

        step.run = recording

    record(gan.discriminator_step(rows))
    record(gan.generator_step(8))
    history = fit(gan, 7, every=3)

    assert len(history) == 7 and len(inputs) == 14
    lead = () if replicas is None else (replicas,)
    for i, ((real, noise), (g_noise,)) in enumerate(zip(inputs[::2], inputs[1::2], strict=True)):
        assert real.shape == (*lead, rows, 2) and noise.shape == (*lead, rows, 3) and g_noise.shape == (*lead, 8, 3)
        d, g = twin.train_discriminator(real, noise), twin.train_generator(g_noise)
        pairs = {"d_loss_real": d.loss_real, "d_loss_fake": d.loss_fake, "d_loss": d.loss, "d_accuracy": d.accuracy,
                 "d_accuracy_real": d.accuracy_real, "d_accuracy_fake": d.accuracy_fake,
                 "g_loss": g.loss, "g_accuracy": g.accuracy}  # fmt: skip
        for name, value in pairs.items():
            np.testing.assert_array_equal(history[name][i], value, err_msg=name)
    assert_same_state(gan.state_dict(), twin.state_dict())


def test_every_step_sees_fresh_noise_and_real_rows_of_the_data():
    gan, seen, noises = make_gan(), [], []
    run = gan.discriminator_step(8).run

    def recording(real, noise):
        seen.append(real.copy()), noises.append(noise.copy())
        run(real, noise)

    gan.discriminator_step(8).run = recording
    fit(gan, 40)
    known = {tuple(row) for row in ROWS.astype(np.float32)}
    drawn = [tuple(row) for row in np.concatenate(seen)]
    assert set(drawn) <= known and len(set(drawn)) > 45
    assert len(np.unique(np.concatenate(noises))) == 40 * 8 * 3


def test_the_number_of_looks_does_not_change_the_training():
    gan, history = trained(20, every=10)
    for every in (1, 7, 20, 1000):
        other, other_history = trained(20, every=every)
        assert_same_state(gan.state_dict(), other.state_dict())
        assert_same_history(history, other_history)


def test_the_seed_decides():
    one, two = trained(5, seed=1)[0], trained(5, seed=2)[0]
    assert one.generator.values.tobytes() != two.generator.values.tobytes()
    assert_same_state(one.state_dict(), trained(5, seed=1)[0].state_dict())


def test_callbacks_come_before_the_first_step_and_after_every_look():
    gan, calls = make_gan(), []
    start = gan.state_dict()
    history = fit(gan, 25, every=10, callback=lambda done, h: calls.append((done, len(h), gan.state_dict())))
    assert [(done, length) for done, length, _ in calls] == [(0, 0), (10, 10), (20, 20), (25, 25)]
    assert_same_state(calls[0][2], start)
    assert_same_state(calls[2][2], trained(20)[0].state_dict())
    assert_same_state(calls[3][2], gan.state_dict())
    assert len(history) == 25 and history["step"][-1] == 25


def test_a_look_that_falls_on_the_last_step_happens_once():
    calls = []
    fit(make_gan(), 20, every=10, callback=lambda done, h: calls.append(done))
    assert calls == [0, 10, 20]


def test_no_steps_change_nothing():
    gan = make_gan()
    start = gan.state_dict()
    assert len(fit(gan, 0)) == 0
    assert_same_state(gan.state_dict(), start)


@pytest.mark.parametrize("rows", [ROWS.tolist(), ROWS.astype(np.float16), (ROWS * 10).astype(np.int8), ROWS[::-2]])
def test_any_array_of_numbers_is_data(rows):
    gan = make_gan()
    history = gan.fit(rows, 3, 8, np.random.default_rng(0))
    assert len(history) == 3 and np.isfinite(history["d_loss"]).all()


def test_a_data_source_is_an_object_with_features_and_sample():
    class Source:
        features = 2

        def sample(self, n, rng, out):
            out[...] = ROWS[rng.integers(0, len(ROWS), n)]

    gan, other = make_gan(), make_gan()
    gan.fit(Source(), 5, 8, np.random.default_rng(1))
    fit(other, 5)
    assert_same_state(gan.state_dict(), other.state_dict())


BAD_DATA = {
    "three features": (np.zeros((5, 3)), "the data has 3 features, the discriminator expects 2"),
    "one dimension": (np.zeros(5), r"\(rows, features\)"),
    "three dimensions": (np.zeros((5, 2, 2)), r"\(rows, features\)"),
    "texts": (np.full((5, 2), "a"), r"numbers of shape .* got <U1"),
    "complex": (np.zeros((5, 2), complex), "numbers of shape .* got complex128"),
    "objects": (np.full((5, 2), None), "numbers of shape .* got object"),
    "nothing": (None, "numbers of shape"),
    "no rows": (np.zeros((0, 2)), "one row at least, got float64"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused_before_anything_changes(case):
    gan = make_gan()
    start, (data, message) = gan.state_dict(), BAD_DATA[case]
    with pytest.raises(ValueError, match=message):
        gan.fit(data, 3, 8, np.random.default_rng(0))
    assert_same_state(gan.state_dict(), start)


def test_half_batches_need_an_even_batch_size():
    with pytest.raises(ValueError, match="batch_size must be even for half-batches, got 7"):
        fit(make_gan("separate"), 3, batch_size=7)
    assert len(fit(make_gan("concatenated"), 3, batch_size=7)) == 3


@pytest.mark.parametrize("kwargs", [{"batch_size": 0}, {"batch_size": -2}, {"every": 0}, {"every": -1}], ids=str)
def test_sizes_must_be_positive(kwargs):
    with pytest.raises(ValueError, match=f"{next(iter(kwargs))}.*{next(iter(kwargs.values()))}"):
        fit(make_gan(), 3, **kwargs)


# ---------------------------------------------------------------- fit: bad endings


class PlantedNaN:
    """Good rows, but for one NaN in the given step (batches of 8)."""

    features = 2

    def __init__(self, step):
        self.row = 8 * (step - 1) + 3

    def sample(self, n, rng, out):
        out[...] = ROWS[rng.integers(0, len(ROWS), n)]
        out[self.row] = np.nan  # a stream draws more rows at once than these tests take steps


@pytest.mark.parametrize("step, kept", [(1, 0), (10, 0), (11, 10), (27, 20), (30, 20)])
def test_a_nan_restores_the_last_good_look_and_names_the_step(step, kept):
    gan, calls = make_gan(), []
    with pytest.raises(NonFiniteError) as caught:
        gan.fit(PlantedNaN(step), 30, 8, np.random.default_rng(1), 10, lambda done, h: calls.append(done))
    message = str(caught.value)
    assert f"d_loss_real at step {step} " in message and f"after step {kept}" in message
    assert calls == list(range(0, kept + 1, 10))
    twin, history = trained(kept)
    assert_same_state(gan.state_dict(), twin.state_dict())
    assert len(caught.value.history) == kept
    assert_same_history(caught.value.history, history)


def test_an_infinite_weight_is_found_though_the_losses_are_finite():
    gan = make_gan()

    def spoil(done, history):
        if done == 10:
            gan.generator_optimizer.state["v"][0] = np.inf  # v only grows: the step is m/∞ = 0, and no loss shows it

    with pytest.raises(NonFiniteError, match=r"not finite: generator_optimizer.v by step 20; kept .* after step 10"):
        fit(gan, 30, callback=spoil)
    assert_same_state(gan.state_dict(), trained(10)[0].state_dict())


def test_training_goes_on_after_a_nan():
    """No NaN stays behind in a buffer."""
    gan, twin = make_gan(), trained(20)[0]
    with pytest.raises(NonFiniteError):
        gan.fit(PlantedNaN(25), 30, 8, np.random.default_rng(1), 10)
    assert_same_history(fit(gan, 15, seed=7), fit(twin, 15, seed=7))
    assert_same_state(gan.state_dict(), twin.state_dict())


def test_a_diverging_fit_warns_of_nothing_but_its_error(recwarn):
    gan = make_gan()
    gan.generator_optimizer.learning_rate = 1e30
    with pytest.raises(NonFiniteError, match=r"at step \d|by step \d"):
        fit(gan, 30)
    assert all(np.isfinite(a).all() for a in gan.state_dict().values())
    assert not [str(w.message) for w in recwarn]


def interrupt_at(wanted):
    def callback(done, history):
        if done == wanted:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("stop", [10, 20])
def test_an_interrupt_in_a_callback_keeps_the_look_before_it(stop):
    gan = make_gan()
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(gan, 30, callback=interrupt_at(stop))
    twin, history = trained(stop)
    assert len(caught.value.history) == stop
    assert_same_history(caught.value.history, history)
    assert_same_state(gan.state_dict(), twin.state_dict())


def test_an_interrupt_in_the_first_callback_keeps_the_start():
    gan = make_gan()
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(gan, 30, callback=interrupt_at(0))
    assert len(caught.value.history) == 0
    assert_same_state(gan.state_dict(), make_gan().state_dict())


def test_an_interrupt_within_a_step_goes_back_to_the_last_look():
    gan, count = make_gan(), iter(range(1, 100))
    step = gan.generator_step(8)
    run = step.run

    def interrupted(noise):
        run(noise)
        if next(count) == 17:
            raise KeyboardInterrupt

    step.run = interrupted
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(gan, 30)
    assert len(caught.value.history) == 10
    assert_same_state(gan.state_dict(), trained(10)[0].state_dict())


@pytest.mark.parametrize("where, call", [("numgan.gan.history.measure", 5), ("numgan.gan.model.GAN.state_dict", 3)])
def test_an_interrupt_within_a_look_keeps_history_and_state_together(where, call, monkeypatch, tmp_path):
    """In the second of the second look's three measurements; in the copy it makes, the third with the start's."""
    twin, count = trained(10)[0].state_dict(), iter(range(1, 100))
    original = {"measure": measure, "state_dict": GAN.state_dict}[where.rpartition(".")[2]]

    def interrupted(*args):
        if next(count) == call:
            raise KeyboardInterrupt
        return original(*args)

    gan = make_gan()
    monkeypatch.setattr(where, interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(gan, 30)
    monkeypatch.undo()
    assert_same_state(gan.state_dict(), twin)
    caught.value.history.write_csv(tmp_path / "history.csv")
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + 10


# ---------------------------------------------------------------- sine_quality


def real_points(n, seed=0):
    t = np.random.default_rng(seed).standard_normal(n)
    return np.stack([t, np.sin(t)], axis=1)


def ks_distance(x):
    """sup |F_n − Φ| from the definition: F_n just before and at every point, Φ by math.erf."""
    gaps = []
    for value in x:
        phi = (1 + math.erf(value / math.sqrt(2))) / 2
        gaps += [abs(np.mean(x <= value) - phi), abs(np.mean(x < value) - phi)]
    return max(gaps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_points_have_next_to_no_error(dtype):
    quality = sine_quality(real_points(5000).astype(dtype))
    assert quality["curve_error"] < 1e-7
    assert abs(quality["x_mean"]) < 0.05 and abs(quality["x_std"] - 1) < 0.05
    assert quality["x_ks"] < 0.025  # 1.63/√n is passed once in a hundred
    assert all(type(value) is float for value in quality.values())


@given(npst.arrays(np.float64, st.integers(1, 40), elements=st.floats(-12, 12)))
@settings(max_examples=60, deadline=None)
def test_the_ks_distance_is_that_of_the_definition(x):
    quality = sine_quality(np.stack([x, np.sin(x)], axis=1))
    assert quality["x_ks"] == pytest.approx(ks_distance(x), abs=2e-7)


def test_planted_errors_are_measured():
    points = real_points(4000)
    assert sine_quality(points + np.array([0, 0.3]))["curve_error"] == pytest.approx(0.3, abs=1e-12)
    mirrored = sine_quality(points * np.array([1, -1]))["curve_error"]
    assert mirrored == pytest.approx(2 * np.abs(np.sin(points[:, 0])).mean())
    moved = points[:, 0] * 2 + 1
    quality = sine_quality(np.stack([moved, np.sin(moved)], axis=1))
    assert quality["curve_error"] < 1e-12
    assert quality["x_mean"] == pytest.approx(1 + 2 * points[:, 0].mean())
    assert quality["x_std"] == pytest.approx(2 * points[:, 0].std())
    # N(1, 2²) against N(0, 1), by their distribution functions
    root = math.sqrt(2)
    gaps = [abs(math.erf((x - 1) / 2 / root) - math.erf(x / root)) / 2 for x in np.linspace(-6, 6, 1001)]
    assert quality["x_ks"] == pytest.approx(max(gaps), abs=0.025)


def test_a_collapsed_generator_is_far_from_normal():
    assert sine_quality(np.zeros((100, 2)))["x_ks"] == pytest.approx(0.5)
    assert sine_quality(np.full((100, 2), 50.0))["x_ks"] == pytest.approx(1)
