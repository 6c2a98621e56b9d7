"""A GAN as a whole: metrics, batches and replicas, what it refuses, sampling, learning."""

import numpy as np
import pytest

from numgan import (
    GAN,
    Adam,
    Dense,
    Error,
    Flatten,
    LeakyReLU,
    NonSaturating,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
    Wasserstein,
)
from numgan.data import SinePoints
from numgan.gan.model import STEPS_KEPT
from numgan.gan.objectives import OBJECTIVES
from numgan.gan.steps import SCHEDULES
from numgan.study import recipes
from numgan.study.metrics import sine_quality
from numgan.study.settings import with_overrides
from tests.helpers import (
    DTYPES,
    FEATURES,
    LATENT,
    PROBABILITIES,
    batch,
    critic,
    every_kind,
    game_name,
    linear_gan,
    make_gan,
    maker,
    near,
    rng,
    rules,
    state,
    train_generator,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


# ------------------------------------------------------------------------------------------- labels and metrics


def test_smoothing_is_on_the_real_side_of_the_discriminator_alone():
    """The fake half and the generator do not depend on it (when no batch norm mixes them)."""
    separate = ("non-saturating", "separate", {})
    real, noise = batch()
    plain, smooth = (linear_gan(separate, rate=1e-9, label_smoothing=s) for s in (0.0, 0.2))
    assert (plain.objective.real_target, smooth.objective.real_target) == (1.0, 0.8)
    before = plain.discriminator.predict(real), plain.discriminator.predict(plain.generator.predict(noise))
    m_plain, m_smooth = plain.train_discriminator(real, noise), smooth.train_discriminator(real, noise)
    near(m_plain.loss_real, -np.log(before[0]).mean())
    near(m_smooth.loss_real, -(0.8 * np.log(before[0]) + 0.2 * np.log(1 - before[0])).mean())
    near(m_smooth.loss_fake, -np.log(1 - before[1]).mean(), 1e-6)
    near(m_plain.loss_fake, m_smooth.loss_fake, 1e-6)
    near(plain.discriminator.grads, smooth.discriminator.grads, 1e-6)  # those of the fake half
    near(plain.train_generator(noise), smooth.train_generator(noise), 1e-6)
    near(plain.generator.grads, smooth.generator.grads, 1e-6)


def small_networks(objective):
    """Without batch norm: what a step sees is what `predict` says."""
    g = Sequential([Dense(5), ReLU(), Dense(FEATURES)], LATENT, rng(1), "float64")
    layers = [Dense(5), LeakyReLU(), Dense(1), *objective.closing()]
    return g, Sequential(layers, FEATURES, rng(2), "float64")


def test_metrics_are_those_of_the_batch_before_its_update():
    g, d = small_networks(NonSaturating())
    gan = GAN(g, d)
    for i in range(4):
        real, noise = batch(9, i)
        on_real, on_fake = d.predict(real), gan.predict(noise)
        m = gan.train_discriminator(real, noise)
        losses = [-np.log(on_real).mean(), -np.log(1 - on_fake).mean()]
        near(m, [*losses, (on_real > 0.5).mean(), (on_fake <= 0.5).mean(), sum(losses) / 2])
        assert m.loss == (m.loss_real + m.loss_fake) / 2
        assert m.accuracy == (m.accuracy_real + m.accuracy_fake) / 2
        assert all(type(value) is float for value in m)
        passed = gan.predict(noise)
        m = gan.train_generator(noise)
        near(m, [-np.log(passed).mean(), (passed > 0.5).mean()])
        assert all(type(value) is float for value in m)


def test_a_critic_s_metrics_are_its_mean_scores_before_its_update():
    g, d = small_networks(Wasserstein())
    gan = GAN(g, d, objective=Wasserstein(0.4))
    for i in range(4):
        real, noise = batch(9, i)
        expected = [d.predict(real).mean(), gan.predict(noise).mean()]
        m = gan.train_discriminator(real, noise)
        near(m, expected)
        assert (m.score_real, m.score_fake) == tuple(m)
        expected = -gan.predict(noise).mean()
        near(gan.train_generator(noise).g_loss, expected)
        assert all(type(value) is float for value in m)


@pytest.mark.parametrize("game", PROBABILITIES, ids=game_name)
def test_each_side_learns_its_own_aim(game):
    """Against a generator that stands still the discriminator tells real from fake; then the generator fools it."""
    g = Sequential([Dense(8), ReLU(), Dense(4), Tanh()], LATENT, rng(1))
    d = Sequential([Dense(8), LeakyReLU(), Dense(1), Sigmoid()], 4, rng(2))
    gan = GAN(g, d, Adam(0.01), Adam(0.01), rules(game), game[1])
    real, noise = 0.1 * rng().normal(0, 1, (64, 4)) + 0.5, batch(64)[1]
    first = gan.train_discriminator(real, noise)
    for _ in range(60):
        last = gan.train_discriminator(real, noise)
    assert last.loss < 0.5 * first.loss
    assert last.accuracy > 0.85
    before, answer = gan.train_generator(noise), gan.predict(noise).mean()
    for _ in range(150 if game[0] == "non-saturating" else 600):  # minimax saturates where D is sure, as it is here
        last = gan.train_generator(noise)
    if game[0] == "non-saturating":
        assert last.loss < 0.5 * before.loss
    else:
        assert last.loss < before.loss < 0
    assert last.accuracy > before.accuracy
    assert gan.predict(noise).mean() > max(0.4, answer)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_critic_learns_to_score_real_rows_higher_and_the_generator_to_be_scored_so(schedule):
    g = Sequential([Dense(8), ReLU(), Dense(4), Tanh()], LATENT, rng(1))
    d = Sequential([Dense(8), LeakyReLU(), Dense(1)], 4, rng(2))
    gan = GAN(g, d, Adam(0.01), Adam(0.01), Wasserstein(0.2), schedule)
    real, noise = 0.1 * rng().normal(0, 1, (64, 4)) + 0.5, batch(64)[1]
    gan.train_discriminator(real, noise)
    first = gan.train_discriminator(real, noise)
    for _ in range(60):
        last = gan.train_discriminator(real, noise)
    assert last.score_real - last.score_fake > 2 * abs(first.score_real - first.score_fake) > 0
    before = gan.train_generator(noise)
    for _ in range(150):
        after = gan.train_generator(noise)
    assert after.g_loss < before.g_loss
    near(-after.g_loss, gan.predict(noise).mean(), 1e-2)
    assert gan.predict(noise).mean() > last.score_real  # further than where real rows lie: nobody holds it back


# -------------------------------------------------------------------------------------------- batches and replicas


@every_kind
def test_batch_sizes_take_turns(game):
    """Buffers of one batch size leave no trace in the steps of another."""
    gan, fresh = make_gan(game), make_gan(game)
    for i, rows in enumerate((4, 9, 4, 2, 9, 1, 4)):
        real, noise = batch(max(rows, 2), i)
        fresh._steps.clear()
        assert gan.train_discriminator(real, noise) == fresh.train_discriminator(real, noise)
        noise = batch(rows, i + 20)[1]
        assert train_generator(gan, noise) == train_generator(fresh, noise)
    assert (maker(gan), critic(gan)) == (maker(fresh), critic(fresh))


def test_a_gan_forgets_its_oldest_steps():
    gan, sizes = make_gan(), range(1, STEPS_KEPT + 1)
    for make in (gan.discriminator_step, gan.generator_step):
        kept = {n: make(n) for n in sizes}
        assert all(make(n) is step for n, step in kept.items())  # no more than it keeps: nothing is made anew
        new = make(100)
        assert make(100) is new and all(make(n) is kept[n] for n in sizes[1:])
        assert make(1) is not kept[1]  # the oldest went, and coming back it sends away the next
        assert make(2) is not kept[2] and make(4) is kept[4]
        assert sum(kind is type(new) for kind, _ in gan._steps) == STEPS_KEPT
    assert len(gan._steps) == 2 * STEPS_KEPT


@every_kind
def test_many_batch_sizes_train_as_if_nothing_was_ever_forgotten(game):
    gan, twin = make_gan(game), make_gan(game)
    held = {rows: (twin.discriminator_step(rows), twin.generator_step(rows)) for rows in range(2, STEPS_KEPT + 5)}
    for rows in [*held, *held]:
        real, noise = batch(rows, rows)
        judged = [noise, real] if gan.objective.pairs else [noise]
        gan.train_discriminator(real, noise), gan.train_generator(*judged)
        held[rows][0].run(real, noise), held[rows][1].run(*judged)
    assert state(gan) == state(twin)


@every_kind
def test_replicas_train_like_separate_gans(game):
    stack = make_gan(game, replicas=3, label_smoothing=0.1)
    gans = [make_gan(game, label_smoothing=0.1) for _ in range(3)]
    for r, gan in enumerate(gans):
        for ours, theirs in ((gan.generator, stack.generator), (gan.discriminator, stack.discriminator)):
            ours.values[...], ours.state[...] = theirs.values[r], theirs.state[r]
    for i in range(5):
        real, noise = batch(6, i, (3,))
        judged = (noise, real) if stack.objective.pairs else (noise,)
        for which, data in (("train_discriminator", (real, noise)), ("train_generator", judged)):
            together = getattr(stack, which)(*data)
            assert all(np.shape(value) == (3,) for value in together)
            for r, gan in enumerate(gans):
                near(np.array(together)[:, r], getattr(gan, which)(*(a[r] for a in data)), 1e-9)
    z = batch(5, 77)[1]
    for r, gan in enumerate(gans):
        near(stack.generator.values[r], gan.generator.values, 1e-8)
        near(stack.discriminator.values[r], gan.discriminator.values, 1e-8)
        near(stack.predict(z)[r], gan.predict(z), 1e-8)


@pytest.mark.parametrize("replicas", [None, 2])
@every_kind
def test_a_gan_of_images_is_the_gan_of_their_numbers(game, replicas):
    """Reshape at the generator's end and Flatten at the discriminator's start move nothing, and change no bit."""

    def gan(images):
        objective = rules(game)
        g, d = [Dense(12), Tanh()], [Dense(5), LeakyReLU(0.2), Dense(1), *objective.closing()]
        if images:
            g, d = [Reshape((3,)), *g, Reshape((2, 3, 2))], [Flatten(), *d]
        shapes = ((1, 3), (2, 3, 2)) if images else (3, 12)
        networks = [Sequential(n, s, rng(1), "float32", replicas) for n, s in zip((g, d), shapes, strict=True)]
        return GAN(*networks, objective=objective, schedule=game[1])

    flat, images = gan(False), gan(True)
    assert images.latent_dim == flat.latent_dim == 3
    rows = rng(3).normal(0, 1, (20, 12))
    histories = [flat.fit(rows, 5, 8, rng(4)), images.fit(rows.reshape(20, 2, 3, 2), 5, 8, rng(4))]
    assert state(flat) == state(images)
    for name in flat.objective.columns:
        assert histories[0][name].tobytes() == histories[1][name].tobytes()
    lead = flat.generator.replicas
    sample = images.sample(7, rng(5))
    assert sample.shape == (*lead, 7, 2, 3, 2)
    assert sample.tobytes() == flat.sample(7, rng(5)).tobytes()
    noise = rng(6).normal(0, 1, (*lead, 4, 1, 3))
    assert images.predict(noise).tobytes() == flat.predict(noise.reshape(*lead, 4, 3)).tobytes()
    against = [rng(7).normal(0, 1, (*lead, 4, 12))] * flat.objective.pairs
    in_images = [a.reshape(*lead, 4, 2, 3, 2) for a in against]
    flat_noise = noise.reshape(*lead, 4, 3)
    pairs = images.train_generator(noise, *in_images), flat.train_generator(flat_noise, *against)
    for metrics in zip(*pairs, strict=True):
        np.testing.assert_array_equal(*metrics)
    assert state(flat) == state(images)


# -------------------------------------------------------------------------------------------------- what it refuses


def g(width=FEATURES, **options):
    return Sequential([Dense(width)], LATENT, rng(), **({"name": "maker"} | options))


def d(*layers, shape=FEATURES, **options):
    return Sequential([Dense(3), *(layers or (Dense(1), Sigmoid()))], shape, rng(), **({"name": "critic"} | options))


PATCHES = ", or for scores of patches in one channel; 'critic' ends in "
MUST_END = f"the objective non-saturating reads a discriminator that must end in Dense(1), Sigmoid(){PATCHES}"
CRITIC_MUST_END = f"the objective wasserstein reads a discriminator that must end in Dense(1){PATCHES}"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: GAN(g(5), d()),
            "generator 'maker' makes rows of shape (5,), discriminator 'critic' expects (2,)",
        ),
        (lambda: GAN(g(), d(Dense(1))), MUST_END + "Dense(units=1) and gives (1,)"),
        (lambda: GAN(g(), d(Dense(2), Sigmoid())), MUST_END + "Sigmoid() and gives (2,)"),
        (lambda: GAN(g(), d(Dense(1), Tanh())), MUST_END + "Tanh() and gives (1,)"),
        (
            lambda: GAN(g(), d(Dense(1), Sigmoid(), Reshape((1, 1)))),
            MUST_END + "Reshape(shape=[1, 1]) and gives (1, 1)",
        ),
        (lambda: GAN(g(), d(), objective="wasserstein"), CRITIC_MUST_END + "Sigmoid() and gives (1,)"),
        (
            lambda: GAN(g(), d(Dense(2)), objective=Wasserstein(0.1)),
            CRITIC_MUST_END + "Dense(units=2) and gives (2,)",
        ),
        (
            lambda: GAN(g(), d(dtype="float64")),
            "generator has dtype float32 and replicas (), discriminator float64 and ()",
        ),
        (
            lambda: GAN(g(replicas=2), d()),
            "generator has dtype float32 and replicas (2,), discriminator float32 and ()",
        ),
        (lambda: GAN(g(), d(), schedule="both"), f"schedule must be one of {SCHEDULES}, got 'both'"),
        (lambda: GAN(g(), d(), schedule="summed"), f"schedule must be one of {SCHEDULES}, got 'summed'"),
        (
            lambda: GAN(g(), d(), objective="maximin"),
            f"objective must be an Objective or one of {tuple(OBJECTIVES)}, got 'maximin'",
        ),
        (
            lambda: GAN(g(), d(), objective=Wasserstein),
            f"objective must be an Objective or one of {tuple(OBJECTIVES)}, got <class",
        ),
    ],
)
def test_a_gan_that_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError) as caught:
        build()
    assert message in str(caught.value)
    assert isinstance(caught.value, Error)


@pytest.mark.parametrize("kind", OBJECTIVES.values(), ids=OBJECTIVES)
def test_a_discriminator_with_a_wrong_ending_is_refused_with_both_names(kind):
    """The objective's and the discriminator's, and nothing has been taken over by then."""
    objective = kind()
    wrong = [] if objective.closing() else [Sigmoid()]
    networks, adam = (g(), d(Dense(1), *wrong)), Adam()
    with pytest.raises(ValueError) as caught:
        GAN(*networks, adam, objective=objective)
    message = str(caught.value)
    assert f"the objective {objective.name} " in message and "'critic' ends in " in message
    assert repr(networks[1].layers[-1]) in message and repr(objective.closing())[1:-1] in message
    assert adam.network is None
    GAN(g(), d(Dense(1), *objective.closing()), adam, objective=objective)


def test_one_optimizer_for_both_networks_is_refused():
    shared = Adam()
    with pytest.raises(ValueError, match="each network needs an optimizer of its own"):
        GAN(g(), d(), shared, shared)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (lambda gan: gan.train_discriminator(*batch(6)[:1], batch(5)[1]), "6 real rows but 5 noise rows"),
        (
            lambda gan: gan.train_discriminator(batch()[1], batch()[1]),
            "discriminator: Dense 'dense_1' expects 2 features, got input of shape (6, 3); expected (batch, 2)",
        ),
        (
            lambda gan: gan.train_discriminator(batch()[0], batch()[0]),
            "generator: Dense 'dense_1' expects 3 features, got input of shape (6, 2); expected (batch, 3)",
        ),
        (
            lambda gan: gan.train_generator(batch()[0]),
            "generator: Dense 'dense_1' expects 3 features, got input of shape (6, 2); expected (batch, 3)",
        ),
        (lambda gan: gan.train_generator(np.zeros((2, 6, 3))), "has replicas (2,), not ()"),
        (lambda gan: gan.train_generator(np.zeros((0, 3))), "a batch of at least 1"),
        (
            lambda gan: gan.predict(batch()[0]),
            "generator: Dense 'dense_1' expects 3 features, got input of shape (6, 2); expected (batch, 3)",
        ),
        (lambda gan: gan.sample(0, rng()), "sample(n) must be a positive integer, got 0"),
        (lambda gan: gan.sample(2.0, rng()), "sample(n) must be a positive integer, got 2.0"),
        (
            lambda gan: gan.fit(np.ones((9, 3)), 1, 2, rng()),
            "the data has rows of shape (3,), the discriminator expects (2,)",
        ),
        (
            lambda gan: gan.fit(np.ones((9, 1, 2)), 1, 2, rng()),
            "the data has rows of shape (1, 2), the discriminator expects (2,)",
        ),
    ],
)
@every_kind
def test_data_that_does_not_fit_is_refused_and_changes_nothing(game, train, message):
    gan = make_gan(game)
    before = maker(gan), critic(gan)
    with pytest.raises(ValueError) as caught:
        train(gan)
    assert message in str(caught.value)
    assert (maker(gan), critic(gan)) == before


# --------------------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@every_kind
def test_samples_have_their_shape_and_are_decided_by_the_generator_of_noise(game, dtype, replicas):
    gan = make_gan(game, dtype, replicas)
    lead = gan.generator.replicas
    assert gan.latent_dim == LATENT
    for n in (1, 300):
        sample = gan.sample(n, rng(4))
        assert (sample.shape, sample.dtype) == ((*lead, n, FEATURES), dtype)
        assert sample.tobytes() == gan.sample(n, rng(4)).tobytes() != gan.sample(n, rng(5)).tobytes()
        noise = rng(4).standard_normal((*lead, n, LATENT), dtype=np.dtype(dtype))
        assert sample.tobytes() == gan.generator.predict(noise).tobytes()
        p = gan.predict(noise)
        assert (p.shape, p.dtype) == ((*lead, n, 1), dtype)
        assert ((p > 0) & (p < 1)).all() or game not in PROBABILITIES
        assert p.tobytes() == gan.discriminator.predict(sample).tobytes()


def test_a_sample_does_not_depend_on_who_else_is_in_it():
    gan = make_gan()
    for i in range(3):
        gan.train_discriminator(*batch(6, i)), gan.train_generator(batch(6, i)[1])
    noise = batch(300)[1]
    near(np.concatenate([gan.predict(noise[i : i + 1]) for i in range(0, 300, 60)]), gan.predict(noise)[::60], 1e-13)


# --------------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("game", [game for game in PROBABILITIES if game[0] == "non-saturating"], ids=game_name)
def test_a_few_thousand_steps_bring_points_to_the_sine(game):
    recipe, (objective, schedule, options) = recipes.get("sine"), game
    overrides = {"objective": objective, "schedule": schedule} | options
    gan = recipe.build(with_overrides(recipe.settings, overrides), rng(3), "float32")
    before = sine_quality(gan.sample(5000, rng(2)))["curve_error"]
    history = gan.fit(SinePoints(), 3000, 128, rng(6), every=500)
    after = sine_quality(gan.sample(5000, rng(2)))["curve_error"]
    assert after < 0.35
    assert after < 0.5 * before
    assert np.isfinite(history["d_loss"]).all()
    assert 0.4 < (history["d_loss_real"] + history["d_loss_fake"])[-500:].mean() / 2 < 0.75
