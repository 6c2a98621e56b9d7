"""Generated rows that both steps share: the generator runs once, and what it made is learnt from twice."""

import numpy as np
import pytest

from numgan import GAN, SGD, Adam, BatchNorm, Dense, Dropout, Error, Flatten, Join, Label, LeakyReLU, OneHot, Sequential
from numgan.gan.objectives import OBJECTIVES
from tests.helpers import rng, state

REAL, NOISE, LABEL = rng(1).normal(size=(6, 4)), rng(2).normal(size=(6, 3)), np.array([2, 0, 1, 1, 0, 2])


def played(objective="hinge", layers=(), optimizer=SGD, replicas=None, shared=True, labels=False, **settings):
    game = OBJECTIVES[objective]()
    joined = [Join("label", 1, [OneHot(3), Flatten()])] if labels else []
    g = Sequential([*joined, Dense(5), *layers, LeakyReLU(), Dense(4)], 3, rng(3), "float64", replicas, "g")
    joined = [Join("label", 1, [OneHot(3), Flatten()])] if labels else []
    d = Sequential([*joined, Dense(5), LeakyReLU(), Dense(1), *game.closing()], 4, rng(4), "float64", replicas, "d")
    settings |= {"conditions": {"label": Label(3)}} if labels else {}
    return GAN(g, d, optimizer(0.1), optimizer(0.1), game, shared_fakes=shared, **settings)


@pytest.mark.parametrize("settings", [
    {}, {"objective": "relativistic"}, {"l1_weight": 2.0}, {"average": 0.9}, {"penalty": "r1+r2"}, {"replicas": 2},
    {"labels": True}, {"labels": True, "matching_aware": True}, {"labels": True, "objective": "relativistic"},
], ids=str)  # fmt: skip
def test_without_batch_norm_it_is_the_game_of_two_passes_from_one_noise(settings):
    shared, twice = played(**settings), played(shared=False, **settings)
    given = {"label": LABEL} if settings.get("labels") else {}
    real = {"real": REAL} if twice.compares else {}
    for _ in range(3):
        metrics = [gan.train_discriminator(REAL, NOISE, **given) for gan in (shared, twice)]
        metrics += [shared.train_generator(), twice.train_generator(NOISE, **real, **given)]
        np.testing.assert_allclose(metrics[0], metrics[1], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(metrics[2], metrics[3], rtol=1e-12, atol=1e-13)
    for a, b in zip(shared.state_dict().values(), twice.state_dict().values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_the_generator_runs_once_in_training_mode_and_both_steps_see_what_it_made():
    gan = played(layers=[BatchNorm(0.5), Dropout(0.5)])
    twin = gan.generator.copy()
    expected = twin.forward(NOISE, training=True).copy()
    gan.train_discriminator(REAL, NOISE)
    assert np.array_equal(gan.generator.state, twin.state)  # statistics moved, and once; dropout drew once
    fakes = gan.generator_step(6).source
    np.testing.assert_allclose(gan.generator.samples_first(fakes.y), expected, rtol=1e-12)
    learner = gan.discriminator_step(6)
    answers = gan.discriminator.copy().predict(expected)
    gan.train_generator()
    assert np.array_equal(gan.generator.state, twin.state)
    np.testing.assert_allclose(
        gan.generator_step(6).scores, answers, rtol=1e-10
    )  # by the discriminator that has learnt
    assert not np.allclose(learner.fake_scores, answers)
    assert "forward" in str(learner) and "'g' runs forward for both steps" in str(learner)


class Counted:
    """Ten rows, of three classes in turn."""

    shape, conditions = (4,), {"label": (1,)}

    def __len__(self):
        return 10

    def take(self, index, out, label):
        out[...], label[...] = index[:, None], index[:, None] % 3

    def sample(self, n, rng, out, label):
        self.take(rng.integers(0, 10, n), out, label)


@pytest.mark.parametrize("length", [{"steps": 7}, {"epochs": 3}])
@pytest.mark.parametrize("labels", [False, True])
def test_a_fit_is_its_steps_and_can_be_stopped_resumed_and_copied(length, labels, tmp_path):
    data = Counted() if labels else np.arange(40.0).reshape(10, 4)

    def made():
        return played(layers=[BatchNorm(), Dropout(0.2)], optimizer=Adam, labels=labels)

    through, path = made(), tmp_path / "gan.npz"
    history = through.fit(data, batch_size=4, rng=rng(5), discriminator_steps=2, **length)
    assert len(history) == through.generator_optimizer.steps
    with pytest.raises(KeyboardInterrupt):
        made().fit(data, batch_size=4, rng=rng(5), discriminator_steps=2, checkpoint=path, callback=stop, every=2,
                   **length)  # fmt: skip
    resumed = made()
    resumed.fit(data, batch_size=4, rng=rng(6), discriminator_steps=2, checkpoint=path, resume=True, **length)
    assert state(resumed) == state(through) == state(GAN.load(path)) == state(through.copy())
    assert GAN.load(path).shared_fakes and through.copy().shared_fakes
    with pytest.raises(Error, match="the training of a GAN with another shared fakes"):
        played(layers=[BatchNorm(), Dropout(0.2)], optimizer=Adam, labels=labels, shared=False).fit(
            data, batch_size=4, rng=rng(6), discriminator_steps=2, checkpoint=path, resume=True, **length
        )


def stop(step, history):
    if step == 2:
        raise KeyboardInterrupt


@pytest.mark.parametrize(("call", "message"), [
    (lambda: played(schedule="separate"), "by the schedule separate the discriminator has half of them"),
    (lambda: played(shared=1), "GAN: shared_fakes must be True or False, got 1"),
    (lambda: played().train_generator(), "a train_discriminator comes before each, none did"),
    (lambda: twice(played()), "a train_discriminator comes before each, none did"),
    (lambda: stepped(played()).train_generator(NOISE), "train_generator: by shared_fakes=True it takes nothing"),
    (lambda: stepped(played()).copy().train_generator(), "a train_discriminator comes before each, none did"),
    (lambda: played().fit(REAL, 2, 4, rng(), generator_steps=2), "generator_steps=1, got 1 and 2"),
    (lambda: played().fit(REAL, 2, 4, rng(), discriminator_steps=0), "generator_steps=1, got 0 and 1"),
])  # fmt: skip
def test_what_cannot_be_shared_is_refused(call, message):
    with pytest.raises(Error, match=message):
        call()


def stepped(gan):
    gan.train_discriminator(REAL, NOISE)
    return gan


def twice(gan):
    stepped(gan).train_generator()
    gan.train_generator()
