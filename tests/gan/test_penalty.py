"""Gradient penalties in a GAN's training: who pays, when, and that it is saved, copied and resumed with all else. The
target `penalties` of the gradient checks holds their gradients against differences, with mistakes planted.
"""

import copy

import numpy as np
import pytest

from numgan import (
    GAN,
    R1,
    SGD,
    BatchNorm,
    Conv2D,
    Dense,
    Error,
    Flatten,
    LeakyReLU,
    ModelFileError,
    Sequential,
    Sigmoid,
    Tanh,
    Wasserstein,
    WassersteinPenalty,
)
from numgan.gan.penalty import PENALTIES
from numgan.gan.steps import SCHEDULES
from numgan.nn.model_file import write_model
from numgan.study import recipes
from numgan.study.settings import SettingError, with_overrides
from tests.helpers import FEATURES, LATENT, POINTS, batch, bits, critic, maker, near, peak_memory, rng, state

every_penalty = pytest.mark.parametrize("name", PENALTIES)


def paying(name, schedule="concatenated", every=1, replicas=None, dtype="float64", weight=5.0, rate=0.1):
    """A small game without batch norm in the discriminator, curved and with a kink."""
    g = [Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(FEATURES), Tanh()]
    d = [Dense(7), LeakyReLU(0.2), Dense(5), Tanh(), Dense(1), Sigmoid()]
    generator, discriminator = (
        Sequential(layers, n, rng(k), dtype, replicas, name)
        for k, (layers, n, name) in enumerate(((g, LATENT, "generator"), (d, FEATURES, "discriminator")))
    )
    penalty = PENALTIES[name](weight, every) if name else None
    return GAN(generator, discriminator, SGD(rate), SGD(rate), schedule=schedule, penalty=penalty)


def mix_for(gan, rows=6, lead=()):
    return [rng(3).uniform(size=(*lead, rows))] if gan.penalty and gan.penalty.mixes else []


def moved(gan, steps=1):
    """What so many discriminator steps make of the weights."""
    before = gan.discriminator.values.copy()
    for _ in range(steps):
        gan.train_discriminator(*batch(), *mix_for(gan))
    return gan.discriminator.values - before


@pytest.mark.parametrize("schedule", SCHEDULES)
@every_penalty
def test_the_discriminator_alone_pays_and_twice_the_weight_is_twice_the_share(name, schedule):
    if schedule == "separate":  # whose second update starts from other weights: in the limit of small steps
        free, once, twice = (
            moved(paying(n, schedule, weight=w, rate=1e-9)) for n, w in ((None, 1), (name, 1), (name, 2))
        )
    else:
        free, once, twice = (moved(paying(n, schedule, weight=w)) for n, w in ((None, 1), (name, 1), (name, 2)))
    assert np.abs(once - free).max() > 1e-3 * np.abs(free).max()
    near((twice - free) / np.abs(free).max(), 2 * (once - free) / np.abs(free).max(), 1e-5)
    gan = paying(name, schedule)
    before = maker(gan)
    gan.train_discriminator(*batch(), *mix_for(gan))
    assert maker(gan) == before
    before = critic(gan)
    gan.train_generator(batch()[1])
    assert critic(gan) == before and maker(gan) != before


@every_penalty
def test_a_lazy_penalty_is_paid_at_every_kth_step_k_fold(name):
    lazy, eager, free = paying(name, every=3), paying(name, weight=15.0), paying(None)
    before = lazy.discriminator.state_dict()
    for i in range(7):
        for gan in (eager, free):
            gan.discriminator.load_state_dict(before)
        mover = eager if i % 3 == 0 else free
        moved(lazy), moved(mover)
        near(lazy.discriminator.values, mover.discriminator.values, 1e-12)
        before = lazy.discriminator.state_dict()
        assert np.isnan(lazy.discriminator_step(6).norms).all() == (i % 3 != 0)


@pytest.mark.parametrize(
    ("schedule", "dtype", "replicas", "every"), [("concatenated", "float32", None, 1), ("separate", "float64", 2, 3)]
)
@every_penalty
def test_a_training_stopped_and_resumed_ends_as_one_that_ran_through(name, dtype, replicas, schedule, every, tmp_path):
    def play(steps, path, resume):
        gan = paying(name, schedule, every, replicas, dtype)
        history = gan.fit(POINTS, steps, 8, rng(5), every=4, checkpoint=path, resume=resume)
        return state(gan), {n: history[n].tobytes() for n in history.columns}

    through = play(20, tmp_path / "through.npz", False)
    play(7, tmp_path / "model.npz", False)
    assert play(20, tmp_path / "model.npz", True) == through


@every_penalty
def test_what_is_paid_is_in_the_history_and_in_its_file(name, tmp_path):
    gan = paying(name, every=2)
    history = gan.fit(POINTS, 6, 8, rng(5))
    norms, paid = history["gradient_norm"], history["penalty"]
    assert (np.isnan(norms) == [False, True] * 3).all() and (np.isnan(paid) == np.isnan(norms)).all()
    assert (norms[::2] > 0).all() and (paid[::2] > 0).all()
    if name == "r1":
        assert (paid[::2] >= 2.5 * norms[::2] ** 2).all()  # the mean of squares is at least the square of the mean
    history.write_csv(tmp_path / "history.csv")
    rows = (tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0].endswith(",gradient_norm,penalty") and rows[2].endswith(",,") and not rows[1].endswith(",")
    assert "penalty" not in paying(None).fit(POINTS, 1, 8, rng(5)).columns


@every_penalty
def test_replicas_are_games_of_their_own(name):
    stack = paying(name, replicas=3, every=1)
    for network in (stack.generator, stack.discriminator):
        network.values += rng(4).normal(0, 0.2, network.values.shape)
    real, noise = batch(lead=(3,))
    mix = [rng(3).uniform(size=(3, 6))] if stack.penalty.mixes else []
    singles = []
    for r in range(3):
        one = paying(name)
        for ours, theirs in ((one.generator, stack.generator), (one.discriminator, stack.discriminator)):
            ours.values[...], ours.state[...] = theirs.values[r], theirs.state[r]
        one.train_discriminator(real[r], noise[r], *(m[r] for m in mix))
        singles.append(one.discriminator.values)
    stack.train_discriminator(real, noise, *mix)
    near(stack.discriminator.values, np.array(singles), 1e-12)


@every_penalty
def test_it_is_saved_loaded_and_copied(name, tmp_path):
    gan = paying(name, every=2)
    gan.fit(POINTS, 5, 8, rng(5))
    gan.save(tmp_path / "model.npz")
    loaded = GAN.load(tmp_path / "model.npz")
    twins = [loaded, gan.copy(), copy.deepcopy(gan)]
    assert all(repr(twin.penalty) == repr(gan.penalty) for twin in twins)
    for one in (gan, *twins):
        moved(one, 3)
    assert all(
        bits(t.discriminator, t.discriminator_optimizer)["values"] == gan.discriminator.values.tobytes() for t in twins
    )


@pytest.mark.parametrize(
    "penalty", [["wgan-gp"], ["r3", {}], ["r1", {"weight": -1}], ["r1", {"clip": 1}], [None, {}], 7]
)
def test_a_file_with_a_penalty_that_cannot_be_is_refused(penalty, tmp_path):
    gan = paying("r1")
    write_model(tmp_path / "model.npz", gan.config() | {"penalty": penalty}, gan.state_dict())
    with pytest.raises(ModelFileError):
        GAN.load(tmp_path / "model.npz")


def test_a_file_of_few_weights_on_vast_images_is_loaded_in_little_memory(tmp_path):
    image = (1, 3000, 3000)
    generator = Sequential([Conv2D(1, 3, padding=1)], image, rng(), name="generator")
    d = [Conv2D(1, 3, 3000, 1), LeakyReLU(0.2), Flatten(), Dense(1), Sigmoid()]
    GAN(generator, Sequential(d, image, rng(), name="discriminator"), penalty="r1").save(tmp_path / "model.npz")
    assert peak_memory(lambda: GAN.load(tmp_path / "model.npz")) < 1 << 20


def test_a_step_with_a_penalty_allocates_nothing_and_prints_its_calls():
    gan = paying("wgan-gp", dtype="float32")
    real, noise, mix = (a.astype(np.float32) for a in (*batch(512), *mix_for(gan, 512)))
    step = gan.discriminator_step(512)
    step.run(real, noise, mix)
    assert peak_memory(lambda: step.run(real, noise, mix)) < 12_000  # an activation has 14 KB, iterators 5 to 9 KB
    listing = str(paying("r1+r2", every=16).discriminator_step(64))
    assert "the penalty is part of every 16th step" in listing
    for kernel in ("gradient_norms", "square_penalty_backward", "tanh_curvature", "add_gradient"):
        assert kernel in listing
    assert "penalty" not in str(paying(None).discriminator_step(64))


def test_bad_calls_get_a_sentence():
    gan, free = paying("wgan-gp"), paying("r1")
    (real, noise), (mix,) = batch(), mix_for(gan)
    for call, message in (
        (lambda: gan.train_discriminator(real, noise), "needs mix=…, a random number for each row"),
        (lambda: free.train_discriminator(real, noise, mix), "mix is for penalties that mix rows, and it is R1"),
        (lambda: gan.train_discriminator(real, noise, mix[:3]), "must be 6 numbers from 0 to 1, got the shape (3,)"),
        (lambda: gan.train_discriminator(real, noise, mix + 1), "numbers from 1."),
        (lambda: gan.train_discriminator(real, noise, mix - np.nan), "mix"),
        (lambda: R1(0), "R1 weight must be a positive finite number, got 0"),
        (lambda: R1(every=0), "R1 every must be a positive integer, got 0"),
    ):
        before = state(gan), state(free)
        with pytest.raises(Error) as error:
            call()
        assert message in str(error.value) and (state(gan), state(free)) == before


def test_a_game_that_cannot_pay_is_refused_with_the_reason():
    generator = Sequential([Dense(2)], 3, rng(), name="generator")
    critic = Sequential([Dense(4), LeakyReLU(), Dense(1)], 2, rng(), name="critic")
    normed = Sequential([Dense(4), BatchNorm(), LeakyReLU(), Dense(1), Sigmoid()], 2, rng())
    for d, objective, penalty, message in (
        (critic, "wasserstein", "wgan-gp", "takes the place of clipping the weights"),
        (normed, "non-saturating", "r1", "every score depends on all samples of the batch"),
        (
            critic,
            Wasserstein(clip=0),
            "gp",
            "penalty must be None, a Penalty or one of ('wgan-gp', 'r1', 'r2', 'r1+r2')",
        ),
        (critic, Wasserstein(clip=0), 10, "got 10"),
    ):
        with pytest.raises(Error) as error:
            GAN(generator, d, objective=objective, penalty=penalty)
        assert message in str(error.value)
    GAN(generator, critic, objective=Wasserstein(clip=0), penalty=WassersteinPenalty())  # the networks are still free


def test_settings_bring_a_penalty_and_with_it_a_critic_that_is_not_clipped():
    settings = recipes.get("sine").settings
    s = with_overrides(settings, {"objective": "wasserstein", "penalty": "wgan-gp", "penalty_weight": "3"})
    gan = recipes.get("sine").build(s, rng(), "float32")
    assert (repr(gan.penalty), s.clip) == ("WassersteinPenalty(weight=3.0, every=1)", 0)
    assert with_overrides(settings, {"objective": "wasserstein"}).clip == 0.01
    for values, message in (
        (
            {"penalty_weight": "3"},
            "penalty_weight is no setting without a penalty; penalty can be wgan-gp, r1, r2, r1+r2",
        ),
        ({"penalty_every": "2"}, "penalty_every is no setting without a penalty"),
        ({"penalty": "gp"}, "penalty=gp is not possible; expected one of none, wgan-gp, r1, r2, r1+r2"),
        ({"penalty": "r1", "penalty_weight": "0"}, "penalty_weight=0 is not possible"),
    ):
        with pytest.raises(SettingError) as error:
            with_overrides(settings, values)
        assert message in str(error.value)
