"""Conditional GANs: who is told what, what is judged against what, what is frozen; and that whatever can be done to a
GAN can be done to one of these.
"""

import copy
import math
import pickle
from typing import ClassVar

import numpy as np
import pytest

from numgan import (
    GAN,
    SGD,
    Adam,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Error,
    Flatten,
    Hinge,
    Join,
    Label,
    Layer,
    LeakyReLU,
    LeastSquares,
    NonSaturating,
    OneHot,
    Picture,
    Sequential,
    Skip,
    SpectralNorm,
    Tanh,
    Text,
    Wasserstein,
)
from numgan.data.rows import Rows
from numgan.gan.checkpoint import Checkpoint
from numgan.gan.equilibrium import Equilibrium
from numgan.gan.objectives import get as objective_of
from tests.helpers import columns, critic, maker, near, peak_memory, rng, sigmoid, state

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
CLASSES, FEATURES, LATENT = 3, 2, 3
EVERY = 5


class Coded:
    """Rows that say which they are: row i is (i, −i)/n, its label i mod 3."""

    shape, conditions = (FEATURES,), {"label": (1,)}

    def __init__(self, n=40):
        self.n = n

    def __len__(self):
        return self.n

    def sample(self, n, rng, out, label):
        self.take(rng.integers(0, self.n, n), out, label)

    def take(self, index, out, label):
        index = np.asarray(index)
        out[:, 0], out[:, 1] = index / self.n, -index / self.n
        label[:, 0] = index % CLASSES


def one_hot():
    return Join("label", 1, [OneHot(CLASSES), Flatten()])


def vectors():
    """All that could move, were it not frozen."""
    return Join("label", 1, [
        Embedding(CLASSES, 3), Flatten(), SpectralNorm(Dense(4)), BatchNorm(0.8), LeakyReLU(0.2), Dropout(0.2),
    ])  # fmt: skip


def make_gan(objective="non-saturating", dtype="float64", replicas=None, optimizer=Adam, **settings):
    """Labels by way of layers of all kinds, in both networks; a Skip in either."""
    objective = objective_of(objective)
    g = [one_hot(), Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Skip([Dense(3), BatchNorm(0.5), Tanh()]), vectors()]
    d = [vectors(), Skip([Dense(3), BatchNorm(0.8), Dropout(0.1)]), Dense(5), Tanh(), Dense(1), *objective.closing()]
    networks = [
        Sequential([*g, Dense(FEATURES), Tanh()], LATENT, rng(), dtype, replicas, "generator"),
        Sequential(d, FEATURES, rng(1), dtype, replicas, "discriminator"),
    ]
    for i, network in enumerate(networks):
        network.values += rng(i + 2).normal(0, 0.2, network.values.shape)
    optimizers = optimizer(0.01), optimizer(0.01)
    return GAN(*networks, *optimizers, objective, conditions={"label": Label(CLASSES)}, **settings)


def batch(rows=6, lead=()):
    """(real rows, noise, labels), no two neighbours with one label."""
    real, noise = rng(7).normal(0.5, 1, (*lead, rows, FEATURES)), rng(8).normal(0, 1, (*lead, rows, LATENT))
    return real, noise, np.arange(rows) % CLASSES


GAMES = {
    "plain": {},
    "matching-aware": {"matching_aware": True},
    "matching-aware, separate, with a distance": {"matching_aware": True, "schedule": "separate", "l1_weight": 3.0},
    "a critic's, averaged": {"objective": "hinge", "matching_aware": True, "average": 0.9},
    "in pairs, with a distance": {"objective": "relativistic", "l1_weight": 0.5},
}
every_game = pytest.mark.parametrize("settings", GAMES.values(), ids=GAMES)


# ------------------------------------------------------------------------------------------------- who is told what


class Spy(Layer):
    """Passes on what it gets, and keeps it."""

    def __init__(self):
        self.seen = []

    def forward(self, x, out):
        self.seen.append(x.copy())
        out[...] = x

    def backward_input(self, x, y, dy, out):
        out[...] = dy


def spied(closing=True, **settings):
    """(GAN, what its discriminator reads, what its generator reads): the label's number first, then row or noise."""
    spies = Spy(), Spy()
    objective = objective_of(settings.pop("objective", "non-saturating"))
    g = Sequential([Join("label", 1), spies[0], Dense(FEATURES)], LATENT, rng(), "float64", name="g")
    d = Sequential([Join("label", 1), spies[1], Dense(1), *objective.closing()], FEATURES, rng(1), "float64", name="d")
    gan = GAN(g, d, SGD(0.1), SGD(0.1), objective, conditions={"label": Label(CLASSES)}, **settings)
    return gan, spies[1].seen, spies[0].seen


@pytest.mark.parametrize("matching_aware", [False, True])
@pytest.mark.parametrize("schedule", ["concatenated", "separate"])
def test_a_discriminator_s_batch_is_real_rows_real_ones_under_the_next_label_and_generated_ones(
    schedule, matching_aware
):
    gan, judged, made = spied(schedule=schedule, matching_aware=matching_aware)
    real, noise, label = batch(5)
    fake = gan.sampler.predict(noise, label=label)
    made.clear()
    gan.train_discriminator(real, noise, label=label)
    right = np.column_stack([label, real])
    wrong = [np.column_stack([[*label[1:], label[0]], real])] * matching_aware
    generated = np.column_stack([label, fake])
    expected = [right, np.concatenate([*wrong, generated])]
    if schedule == "concatenated":
        expected = [np.concatenate(expected)]
    assert [rows.shape for rows in judged] == [rows.shape for rows in expected]
    for rows, these in zip(judged, expected, strict=True):
        near(rows, these)
    np.testing.assert_array_equal(made, [np.column_stack([label, noise])])


def test_the_generator_s_step_gives_both_networks_the_same_labels():
    gan, judged, made = spied(objective="relativistic")
    real, noise, label = batch()
    fake = gan.generator.predict(noise, label=label)
    made.clear()
    gan.train_generator(noise, real, label=label)
    near(judged, [np.column_stack([label, real]), np.column_stack([label, fake])])
    near(made, [np.column_stack([label, noise])])


@pytest.mark.parametrize("length", [{"steps": 12}, {"epochs": 2}], ids=["steps", "epochs"])
def test_in_a_training_every_real_row_has_its_own_label_and_every_generated_one_a_label_of_the_data(length):
    data = Coded(40)
    gan, judged, _ = spied(objective="relativistic", matching_aware=False)
    gan.fit(data, batch_size=8, rng=rng(3), **length)
    of_discriminator, opponents = judged[::3], judged[1::3]
    seen = []
    for rows in of_discriminator:
        real, fake = np.split(rows, 2)
        index = np.rint(real[:, 1] * data.n).astype(int)
        np.testing.assert_array_equal(real[:, 0], index % CLASSES)
        np.testing.assert_array_equal(fake[:, 0], real[:, 0])
        seen += index.tolist()
    for real, fake in zip(opponents, judged[2::3], strict=True):
        np.testing.assert_array_equal(real[:, 0], np.rint(real[:, 1] * data.n) % CLASSES)
        np.testing.assert_array_equal(fake[:, 0], real[:, 0])
    if "epochs" in length:
        assert sorted(seen) == sorted([*range(40)] * 2)


def test_replicas_have_labels_of_their_own():
    gan, (real, noise, label) = make_gan(replicas=2), batch(lead=(2,))
    own = np.stack([label, label[::-1]])
    stacked = gan.sampler.predict(noise, label=own)
    for r in (0, 1):
        np.testing.assert_array_equal(gan.sampler.predict(noise, label=own[r])[r], stacked[r])
    shared, apart = (gan.copy().train_discriminator(real, noise, label=c) for c in (label, own))
    assert shared.loss[0] == apart.loss[0] and shared.loss[1] != apart.loss[1]


def test_one_condition_for_all_is_that_for_each():
    gan, (real, noise, label) = make_gan(), batch()
    samples = gan.sample(6, rng(), label=2)
    for same in ([2], [2] * 6, np.full((6, 1), 2.0), np.int8(2)):
        assert gan.sample(6, rng(), label=same).tobytes() == samples.tobytes()
    assert gan.sample(6, rng(), label=label).tobytes() != samples.tobytes()
    assert gan.copy().train_generator(noise, label=1) == gan.copy().train_generator(noise, label=[1] * 6)
    assert gan.copy().train_discriminator(real, noise, label=1) == gan.train_discriminator(real, noise, label=[1] * 6)
    near(
        gan.predict(noise, label=1), gan.discriminator.predict(gan.sampler.predict(noise, label=[1] * 6), label=[1] * 6)
    )


def test_texts_are_read_as_their_words():
    text = Text(["·", "a", "red", "one"], 3)

    def words():
        return Join("text", 3, [Embedding(4, 2), Flatten()])

    networks = Sequential([words(), Dense(2)], 3, rng()), Sequential([words(), Dense(1)], 2, rng())
    gan = GAN(*networks, objective="hinge", conditions={"text": text})
    asked = {"one": "A red one", "numbers": [1, 2, 3], "each": ["a red one"] * 4, "arrays": np.array([[1, 2, 3]] * 4)}
    samples = {name: gan.sample(4, rng(), text=given).tobytes() for name, given in asked.items()}
    assert len(set(samples.values())) == 1
    assert gan.sample(4, rng(), text=["red", "red one", "a", "one"]).tobytes() != samples["one"]


# -------------------------------------------------------------------------------------------- what a loss is made of

SLOPES = {  # of a row's loss at its score, real and fake
    "bce": (lambda s: sigmoid(s) - 1, sigmoid),
    "least-squares": (lambda s: s - 1, lambda s: s),
    "hinge": (lambda s: -1.0 * (s < 1), lambda s: 1.0 * (s > -1)),
    "wasserstein": (lambda s: -1.0 + 0 * s, lambda s: 1.0 + 0 * s),
}
LOSSES = {  # (objective, its slopes, weight of either mean in one batch)
    "cross-entropy, mean": (lambda: NonSaturating(), "bce", 0.5),
    "cross-entropy, sum": (lambda: NonSaturating(discriminator_loss="sum"), "bce", 1),
    "least squares": (LeastSquares, "least-squares", 1),
    "hinge": (Hinge, "hinge", 1),
    "wasserstein": (lambda: Wasserstein(clip=0), "wasserstein", 1),
}


def gradient(inputs, slopes, weights):
    """∂/∂[w, c] of Σ weight·loss for scores w·input + c."""
    return sum(
        weight * np.append(slope @ rows, slope.sum())
        for rows, slope, weight in zip(inputs, slopes, weights, strict=True)
    )


@pytest.mark.parametrize("patches", [False, True], ids=["rows", "patches"])
@pytest.mark.parametrize("schedule", ["concatenated", "separate"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_matching_aware_loss_weighs_real_rows_as_much_as_both_kinds_of_fakes_together(name, schedule, patches):
    """By hand, for a discriminator whose score is w·[c; x] + b: of real rows the mean, and of fakes of either kind,
    together, the mean.
    """
    make, slopes, weight = LOSSES[name]
    objective, n, shape = make(), 4, (1, 2, 2)
    on_real, on_fake = SLOPES[slopes]
    g = Sequential([Join("image", shape), Conv2D(1, 1)], shape, rng(), "float64")
    score = [Conv2D(1, 1)] if patches else [Flatten(), Dense(1)]
    d = Sequential([Join("image", shape), *score, *objective.closing()], shape, rng(1), "float64")
    d.values[...] = rng(2).normal(0, 0.7, d.values.shape)
    gan = GAN(g, d, SGD(0.1), SGD(0.1), objective, schedule, conditions={"image": Picture(shape)}, matching_aware=True)
    real, noise, image = (rng(3 + i).normal(size=(n, *shape)) for i in range(3))
    fake = g.predict(noise, image=image)

    def rows_of(c, x):
        rows = np.concatenate([c, x], axis=1)
        return np.moveaxis(rows, 1, -1).reshape(-1, 2) if patches else rows.reshape(n, -1)

    parts = [rows_of(image, real), rows_of(np.roll(image, -1, axis=0), real), rows_of(image, fake)]
    count = len(parts[0])
    theta = np.append(*(a.ravel() for a in d.parameters().values()))
    updates = [(range(3), (weight / count, weight / 2 / count, weight / 2 / count))]
    if schedule == "separate":
        updates = [((0,), (1 / count,)), ((1, 2), (0.5 / count, 0.5 / count))]
    for kinds, weights in updates:
        scores = [parts[k] @ theta[:-1] + theta[-1] for k in kinds]
        slope = [on_real(s) if k == 0 else on_fake(s) for k, s in zip(kinds, scores, strict=True)]
        theta = theta - 0.1 * gradient([parts[k] for k in kinds], slope, weights)
    gan.train_discriminator(real, noise, image=image)
    near(np.append(*(a.ravel() for a in d.parameters().values())), theta)


def linear(l1_weight, objective="hinge"):
    """G(z) = W·[label; z] + b, score = w·[label; x] + c."""
    g = Sequential([Join("label", 1), Dense(FEATURES)], LATENT, rng(), "float64")
    objective = objective_of(objective)
    d = Sequential([Join("label", 1), Dense(1), *objective.closing()], FEATURES, rng(1), "float64")
    return GAN(g, d, SGD(0.1), SGD(0.1), objective, conditions={"label": Label(CLASSES)}, l1_weight=l1_weight)


@pytest.mark.parametrize("objective", ["hinge", "non-saturating", "relativistic"])
def test_with_a_distance_the_generator_s_gradient_is_the_sum_of_both(objective):
    real, noise, label = batch()
    gans = {weight: linear(weight, objective) for weight in (None, 2.5)}
    inputs = np.column_stack([label, noise, np.ones(6)])
    weight, bias = gans[None].generator.parameters().values()
    share = np.sign(inputs @ np.column_stack([weight, bias]).T - real) / real.size
    updated = {}
    for l1_weight, gan in gans.items():
        gan.train_generator(noise, *[real] * gan.compares, label=label)
        updated[l1_weight] = np.column_stack(list(gan.generator.parameters().values()))
    near(updated[2.5], updated[None] - 0.1 * 2.5 * share.T @ inputs)


@pytest.mark.parametrize("replicas", [None, 2])
def test_the_history_s_column_is_the_mean_distance_before_each_update(replicas):
    gan, (real, noise, label) = make_gan(l1_weight=3.0, replicas=replicas), batch()
    lead = gan.generator.replicas

    class Fresh:
        shape, conditions = (FEATURES,), {"label": (1,)}

        def sample(self, n, rng, out, label):
            out[...], label[...] = rng.normal(0.5, 1, out.shape), rng.integers(0, CLASSES, label.shape)

    step, distances = gan.generator_step(6), []

    def remember(done, history):
        distances.append(step.errors.mean(axis=(-2, -1)))

    history = gan.fit(Fresh(), 7, 6, rng(), every=1, callback=remember)
    assert history["l1"].shape == (7, *lead) and (history["l1"] > 0).all()
    near(history["l1"], distances[1:])
    twin = linear(3.0)
    weight, bias = twin.generator.parameters().values()
    expected = np.abs(np.column_stack([label, noise]) @ weight.T + bias - real).mean()
    twin.train_generator(noise, real, label=label)
    near(twin.generator_step(6).errors.mean(), expected)
    near(twin.l1.measure(twin.generator_step(6).errors[None])["l1"], [expected])


def test_a_generator_at_rest_leaves_gaps_in_the_distance(tmp_path):
    history = make_gan(l1_weight=3.0).fit(Coded(), 3, 8, rng(), generator_steps=0)
    assert np.isnan(history["l1"]).all() and np.isfinite(history["d_loss"]).all()
    history = make_gan(l1_weight=3.0).fit(Coded(), 3, 8, rng(), discriminator_steps=0)
    assert np.isfinite(history["l1"]).all() and np.isnan(history["d_loss"]).all()
    history.write_csv(tmp_path / "history.csv")
    header, *rows = (tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()
    assert header.endswith(",l1")
    assert [np.float32(row.rpartition(",")[2]) for row in rows] == history["l1"].astype(np.float32).tolist()


def test_a_larger_weight_brings_the_samples_nearer_to_their_targets():
    """Row i's target is known from its label alone: (label, −label)/3 or so."""

    class Means:
        shape, conditions = (FEATURES,), {"label": (1,)}

        def sample(self, n, rng, out, label):
            label[...] = rng.integers(0, CLASSES, (n, 1))
            out[...] = (label - 1) * [0.5, -0.5]

    ends = [make_gan(l1_weight=w).fit(Means(), 100, 16, rng(2))["l1"][-20:].mean() for w in (1e-3, 30.0)]
    assert ends[1] < 0.15 < 0.3 < ends[0]


# -------------------------------------------------------------------------------------------------- frozen, no memory


@every_game
def test_frozen_means_frozen_to_the_bit_inside_of_what_is_joined_too(settings):
    gan, (real, noise, label) = make_gan(**settings), batch()
    held = {"discriminator.join_1.dropout_1.key", "discriminator.join_1.batch_norm_1.running_mean",
            "discriminator.join_1.spectral_norm_1.u", "discriminator.skip_1.dropout_1.key"}  # fmt: skip
    assert held <= gan.state_dict().keys()
    for _ in range(2):
        before, gradients = critic(gan), gan.discriminator.grads.tobytes()
        gan.train_generator(noise, *[real] * gan.compares, label=label)
        assert critic(gan) == before and gan.discriminator.grads.tobytes() == gradients
        before = maker(gan)
        gan.train_discriminator(real, noise, label=label)
        assert maker(gan) == before


def test_all_that_is_inside_learns():
    gan, (real, noise, label) = make_gan(l1_weight=1.0), batch()
    before = gan.state_dict()
    gan.train_discriminator(real, noise, label=label)
    gan.train_generator(noise, real, label=label)
    kept = [name for name, a in gan.state_dict().items() if (a == before[name]).all()]
    assert [name for name in kept if not name.endswith(".learning_rate")] == []


@every_game
def test_a_warm_step_takes_no_memory(settings):
    gan, (real, noise, label) = make_gan(**settings), batch(64)
    given = {"label": label[:, None].astype(float)}
    steps = gan.discriminator_step(64), gan.generator_step(64)
    opponents = real if gan.compares else None
    for _ in range(2):
        steps[0].run(real, noise, None, given), steps[1].run(noise, opponents, given)
    limit = 9_000  # np.add.at, of the embeddings, buffers 5 KB
    assert peak_memory(lambda: steps[0].run(real, noise, None, given)) < limit
    assert peak_memory(lambda: steps[1].run(noise, opponents, given)) < limit < steps[0].real.nbytes * 10


def test_batch_sizes_take_turns():
    gan, fresh = (make_gan(matching_aware=True, l1_weight=1.0) for _ in range(2))
    for rows in (*range(2, 12), 3, 2, 7):
        real, noise, label = batch(rows)
        for one in (gan, fresh):
            fresh._steps.clear()
            fresh.discriminator._plans.clear()
            one.train_discriminator(real, noise, label=label)
            one.train_generator(noise, real, label=label)
    assert state(gan) == state(fresh)


# --------------------------------------------------------------------------------------------- copies, files, stops


def trained(gan, seed=2):
    return columns(gan.fit(Coded(), 5, 8, rng(seed))), state(gan)


WAYS = {"copy": GAN.copy, "copy.copy": copy.copy, "deepcopy": copy.deepcopy,
        "pickle": lambda gan: pickle.loads(pickle.dumps(gan))}  # fmt: skip


def reloaded(gan, path):
    gan.save(path)
    return GAN.load(path)


@every_game
@pytest.mark.parametrize("way", [*WAYS, "file"])
@pytest.mark.parametrize("replicas", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_a_copied_or_reloaded_gan_trains_as_its_original_does(way, replicas, settings, tmp_path):
    gan = make_gan(dtype="float32", replicas=replicas, **settings)
    gan.fit(Coded(), 5, 8, rng(1))
    twin = reloaded(gan, tmp_path / "gan.npz") if way == "file" else WAYS[way](gan)
    assert twin.config() == gan.config() and state(twin) == state(gan)
    assert repr(twin.conditions) == repr(gan.conditions)
    before = state(gan)
    after = trained(twin)
    assert state(gan) == before != state(twin)
    assert trained(gan) == after
    assert gan.sample(3, rng(), label=1).tobytes() == twin.sample(3, rng(), label=1).tobytes()


def test_conditions_of_every_kind_come_back_from_a_file(tmp_path):
    def read():
        return [Join("label", 1), Join("text", 3), Join("image", 4)]

    conditions = {"label": Label(7), "text": Text(["", "größe", "b"], 3), "image": Picture(4)}
    g, d = Sequential([*read(), Dense(2)], 3, rng()), Sequential([*read(), Dense(1)], 2, rng())
    gan = GAN(g, d, objective="hinge", conditions=conditions, l1_weight=0.1, matching_aware=True)
    twin = reloaded(gan, tmp_path / "gan.npz")
    assert repr(twin.conditions) == repr(conditions) and list(twin.conditions) == [*conditions]
    assert (twin.l1.weight, twin.matching_aware) == (0.1, True)
    assert twin.conditions["text"].words == ["", "größe", "b"]
    how = {"label": 6, "text": "größe b", "image": [1, 2, 3, 4]}
    assert twin.sample(2, rng(), **how).tobytes() == gan.sample(2, rng(), **how).tobytes()


class Stop(Exception):
    """What stops a training in these tests."""


LENGTHS = pytest.mark.parametrize("length", [{"steps": 23}, {"epochs": 4}], ids=["steps", "epochs"])


QUICK = "matching-aware, separate, with a distance"


@LENGTHS
@pytest.mark.parametrize(
    "settings",
    [pytest.param(how, id=name, marks=[] if name == QUICK else pytest.mark.slow) for name, how in GAMES.items()],
)
def test_a_training_stopped_again_and_again_ends_as_one_that_ran_through(settings, length, tmp_path):
    def played(path, stop=None):
        gan, draw = make_gan(dtype="float32", **settings), rng(3)

        def callback(done, history):
            if done == stop:
                raise Stop

        history = gan.fit(
            Coded(42), batch_size=8, rng=draw, every=EVERY, callback=callback, checkpoint=Checkpoint(path, 3),
            resume=True, **length,
        )  # fmt: skip
        return state(gan), columns(history), [history[name].tobytes() for name in history.columns], draw.random()

    through = played(tmp_path / "through.npz")
    for stop in (5, 15):
        with pytest.raises(Stop):
            played(tmp_path / "run.npz", stop)
    assert played(tmp_path / "run.npz") == through


def test_a_checkpoint_of_other_conditions_is_not_gone_on_with(tmp_path):
    def played(**settings):
        return make_gan(**settings).fit(Coded(), 3, 8, rng(), checkpoint=tmp_path / "run.npz", resume=True)

    played()
    for other in ({"matching_aware": True}, {"l1_weight": 2.0}):
        with pytest.raises(Error, match="the training of a GAN with another"):
            played(**other)


def test_the_average_has_the_layers_inside_too():
    gan = make_gan(average=0.5)
    gan.fit(Coded(), 3, 8, rng())
    averaged, own = gan.sampler.state_dict(), gan.generator.state_dict()
    inside = [name for name in own if name.startswith(("join_2.", "skip_1.")) and own[name].size > 1]
    assert len(inside) > 8
    for name in inside:
        assert (averaged[name] == own[name]).all() == name.endswith((".u", ".v", ".key")), name


# -------------------------------------------------------------------------------------------------------- the watch


def test_the_watch_for_the_equilibrium_asks_under_the_conditions_of_the_held_out_rows():
    gan, judged, _ = spied()
    watch = Equilibrium(gan, Coded(), 0.1, rng(1))
    watch.check(1)
    rows = np.concatenate(judged)
    real, fake = np.split(rows, 2)
    np.testing.assert_array_equal(real[:, 0], np.rint(real[:, 1] * 40) % CLASSES)
    np.testing.assert_array_equal(fake[:, 0], real[:, 0])
    assert 0 < watch.on_real < 0.5 and 0 < watch.on_fake < 0.5


# ------------------------------------------------------------------------------------------------------- wrong ones


def no_conditions(**settings):
    g, d = Sequential([Dense(FEATURES)], LATENT, rng(), name="g"), Sequential([Dense(1)], FEATURES, rng(), name="d")
    return GAN(g, d, objective="hinge", **settings)


def told(conditions, first=None, second=None, **settings):
    """A GAN of small networks that read what they are given to read, default a label."""
    first, second = ([one_hot()] if layers is None else layers for layers in (first, second))
    g = Sequential([*first, Dense(FEATURES)], LATENT, rng(), name="g")
    return GAN(g, Sequential([*second, Dense(1)], FEATURES, rng(), name="d"),
               **{"objective": "hinge", "conditions": conditions} | settings)  # fmt: skip


LABEL, REAL, NOISE = {"label": Label(CLASSES)}, *batch()[:2]


class Unlike(Coded):
    conditions: ClassVar = {"label": (2,)}


class NoMapping(Coded):
    conditions = ("label",)


WRONG = {
    "no mapping": (lambda: told([Label(3)]), "GAN: conditions must be a mapping"),
    "no condition": (lambda: told({"label": 3}), "GAN: condition 'label' must be a Condition, got 3"),
    "a class": (lambda: told({"label": Label}), "must be a Condition, got the class Label"),
    "read by one": (lambda: told(LABEL, second=[]), "'d' does not read the conditions label; it needs a Join each"),
    "read by the other": (lambda: told(LABEL, first=[]), "'g' does not read the conditions label; it needs a Join eac"),
    "read by none": (lambda: told(LABEL, [], []), "'g' does not read the conditions label"),
    "read and not said": (lambda: told(None), "'g' reads the conditions label, of which GAN(conditions=…) does not sa"),
    "another shape": (lambda: told({"label": Picture(2)}), "'g' reads label of the shape (1,), but Picture(shape="),
    "more classes than a network knows": (
        lambda: told({"label": Label(CLASSES + 1)}),
        "'g' cannot read all of Label(classes=4): label: expected whole numbers from 0 to 2, got 3",
    ),
    "matching nothing": (lambda: no_conditions(matching_aware=True), "as fakes, but it has no conditions"),
    "matching in pairs": (
        lambda: make_gan("relativistic", matching_aware=True), "as fakes, but the objective relativistic pairs rows",
    ),
    "matching one row": (
        lambda: make_gan(matching_aware=True).train_discriminator(REAL[:1], NOISE[:1], label=1),
        "discriminator step: matching_aware=True takes 2 rows or more, got 1; where a pass over the data ends in",
    ),
    "matching the last row of a pass": (
        lambda: make_gan(matching_aware=True).fit(Coded(9), epochs=1, batch_size=4, rng=rng()),
        "matching_aware=True takes 2 rows or more, got 1",
    ),
    "matching perhaps": (lambda: told(LABEL, matching_aware=1), "GAN: matching_aware must be True or False, got 1"),
    **{f"a weight of {w}": (lambda w=w: told(LABEL, l1_weight=w), "GAN: l1_weight must be a positive finite number, go")
       for w in (0, -1, math.nan, math.inf, "1", True)},
    "no target": (
        lambda: told(LABEL, l1_weight=1.0).train_generator(NOISE, label=1), "l1_weight takes targets; give as many rea",
    ),
    "a target for nothing": (
        lambda: told(LABEL).train_generator(NOISE, REAL, label=1), "hinge looks at generated rows alone; give no real",
    ),
    "too few targets": (
        lambda: told(LABEL, l1_weight=1.0).train_generator(NOISE, REAL[:3], label=1), "3 real rows but 6 noise rows",
    ),
    "a penalty through a Skip": (
        lambda: told(None, [], [Skip([Dense(2)])], penalty="wgan-gp", objective=Wasserstein(clip=0)),
        "a gradient penalty cannot pass through Skip 'skip_1'",
    ),
    "data without": (
        lambda: told(LABEL).fit(REAL, 3, 4, rng()),
        "the data comes with the conditions none, the GAN has {'label': (1,)}",
    ),
    "data with": (
        lambda: no_conditions().fit(Coded(), 3, 4, rng()),
        "the data comes with the conditions {'label': (1,)}, the GAN has none",
    ),
    "data of another shape": (
        lambda: told(LABEL).fit(Unlike(), 3, 4, rng()),
        "the data comes with the conditions {'label': (2,)}, the GAN has {'label': (1,)}",
    ),
    "data of no mapping": (lambda: told(LABEL).fit(NoMapping(), 3, 4, rng()), "the data's conditions must be a mappin"),
    "held-out rows without": (
        lambda: Equilibrium(make_gan(), Rows(REAL), 0.1, rng()), "the data comes with the conditions none",
    ),
    "held-out rows with": (
        lambda: Equilibrium(no_conditions_of_probability(), Coded(), 0.1, rng()), "the GAN has none",
    ),
}  # fmt: skip


def no_conditions_of_probability():
    game = objective_of("minimax")
    d = Sequential([Dense(1), *game.closing()], FEATURES, rng())
    return GAN(Sequential([Dense(FEATURES)], LATENT, rng()), d, objective=game)


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused_in_words(case):
    build, message = WRONG[case]
    with pytest.raises(Error) as caught:
        build()
    assert message in str(caught.value) and len(str(caught.value)) <= 500


BAD_LABELS = {
    "none": ({}, "takes label=…, got none"),
    "another": ({"image": 1}, "takes label=…, got image=…"),
    "one more": ({"label": 1, "image": 1}, "takes label=…, got label=…, image=…"),
    "too few": ({"label": [0, 1]}, "label has the shape (2,), expected (1,) or (6, 1)"),
    "lying down": ({"label": np.zeros((1, 6))}, "label has the shape (1, 6), expected (1,) or (6, 1)"),
    "of five replicas": ({"label": np.zeros((5, 6, 1))}, "label has the shape (5, 6, 1), expected (1,) or (6, 1)"),
    "10 of 10": ({"label": 3}, "label must be a whole number from 0 to 2, got 3"),
    "negative": ({"label": [0, 1, 2, 0, 1, -1]}, "label must be a whole number from 0 to 2, got -1"),
    "half": ({"label": 1.5}, "label must be a whole number from 0 to 2, got 1.5"),
    "NaN": ({"label": math.nan}, "label must be finite numbers, got nan"),
    "infinity": ({"label": math.inf}, "label must be finite numbers, got inf"),
    "a word": ({"label": "seven"}, "label must be real numbers, got an array of dtype 'str"),
    "nothing": ({"label": None}, "label must be real numbers, got an array of dtype 'object'"),
}
CALLS = {
    "train_discriminator": lambda gan, c: gan.train_discriminator(REAL, NOISE, **c),
    "train_generator": lambda gan, c: gan.train_generator(NOISE, **c),
    "sample": lambda gan, c: gan.sample(6, rng(), **c),
    "predict": lambda gan, c: gan.predict(NOISE, **c),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("case", BAD_LABELS)
def test_a_wrong_condition_is_refused_and_changes_nothing(case, call):
    gan, (given, message) = make_gan(), BAD_LABELS[case]
    before = state(gan)
    with pytest.raises(Error) as caught:
        CALLS[call](gan, given)
    assert str(caught.value).startswith(call) and message in str(caught.value)
    assert state(gan) == before


@pytest.mark.parametrize("call", CALLS)
def test_a_condition_for_a_gan_without_any_is_refused(call):
    with pytest.raises(Error, match=f"{call} takes no condition, got label=…"):
        CALLS[call](no_conditions(), {"label": 1})


@pytest.mark.parametrize("given, message", [
    ("a green one", "text: no word 'green'; the words are a, red, one"),
    ("", "text must be 1 to 3 words, got 0: ''"),
    ("a red red one", "text must be 1 to 3 words, got 4: 'a red red one'"),
    (["red", "blue"], "text: no word 'blue'; the words are a, red, one"),
    (["red"] * 3, "text has the shape (3, 3), expected (3,) or (2, 3)"),
    ([1, 2], "text has the shape (2,), expected (3,) or (2, 3)"),
    ([1, 2, 4], "text must be word numbers from 0 to 3, got 4"),
    ([1, 0.5, 0], "text must be word numbers from 0 to 3, got 0.5"),
    ([], "text has the shape (0,)"),
    (["red", 1], "text must be"),
    (None, "text must be real numbers"),
])  # fmt: skip
def test_a_text_that_is_none_is_refused(given, message):
    with pytest.raises(Error) as caught:
        Text(["·", "a", "red", "one"], 3).array("text", given, 2)
    assert message in str(caught.value)


@pytest.mark.parametrize("image, message", [
    (np.zeros((1, 3, 2)), "image has the shape (1, 3, 2), expected (1, 2, 2) or (6, 1, 2, 2)"),
    (np.zeros((2, 2)), "image has the shape (2, 2), expected (1, 2, 2)"),
    (np.zeros((5, 1, 2, 2)), "image has the shape (5, 1, 2, 2), expected (1, 2, 2) or (6, 1, 2, 2)"),
    (np.full((1, 2, 2), math.nan), "image must be finite numbers, got nan at [0, 0, 0]"),
    (np.full((1, 2, 2), 1e300), "image must be numbers that float32 can hold, got 1e+300 at [0, 0, 0]"),
    ("sketch.png", "image must be real numbers"),
])  # fmt: skip
@pytest.mark.parametrize("call", CALLS)
def test_an_image_of_a_wrong_size_or_beyond_all_numbers_is_refused(call, image, message):
    def read():
        return [Join("image", (1, 2, 2), [Flatten()])]

    gan = told({"image": Picture((1, 2, 2))}, read(), read())
    with pytest.raises(Error) as caught:
        CALLS[call](gan, {"image": image})
    assert message in str(caught.value)


@pytest.mark.parametrize("make, message", [
    (lambda: Label(1), "Label(classes) must be an integer from 2 up, got 1"),
    (lambda: Label(2.0), "Label(classes) must be an integer from 2 up, got 2.0"),
    (lambda: Text("red", 2), "Text(words) must be a list of words, got 'red'"),
    (lambda: Text(None, 2), "Text(words) must be a list of words, got None"),
    (lambda: Text(["", 3], 2), "Text(words) must be a list of words, got ['', 3]"),
    (lambda: Text([""], 2), "Text(words) must be two words at least, each once"),
    (lambda: Text(["", "a", "a"], 2), "Text(words) must be two words at least, each once"),
    (lambda: Text(["", "a red"], 2), "Text(words) must be single words in small letters, got 'a red'"),
    (lambda: Text(["", "Red"], 2), "Text(words) must be single words in small letters, got 'Red'"),
    (lambda: Text(["a", ""], 2), "Text(words) must be single words in small letters, got ''"),
    (lambda: Text(["", "a"], 0), "Text(length) must be a positive integer, got 0"),
    (lambda: Picture(()), "Picture(shape) must have 1 to 8 axes, got ()"),
])  # fmt: skip
def test_a_condition_that_cannot_be_is_refused(make, message):
    with pytest.raises(Error) as caught:
        make()
    assert str(caught.value) == message
