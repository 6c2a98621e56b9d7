"""The rules of the game, objective by objective: gradients on paper, what either side makes of them, the sums."""

import math

import numpy as np
import pytest

from numgan import SGD, Minimax, NonSaturating, Wasserstein, check_gradients
from numgan.gan import objectives
from numgan.gan.objectives import OBJECTIVES, Hinge, LeastSquares, Relativistic, Unpaired
from numgan.gan.objectives.base import share
from numgan.gan.steps import SCHEDULES
from tests.helpers import (
    CLIP,
    PROBABILITIES,
    batch,
    critic,
    every_game,
    game_name,
    linear_gan,
    make_gan,
    maker,
    near,
    rules,
    sigmoid,
    state,
    train_generator,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

PAIR = ("non-saturating", "minimax")  # the two generators of one game


# ---------------------------------------------------------------- the objects


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_found_by_its_name_and_made_again_from_its_settings(name):
    kind = OBJECTIVES[name]
    objective = objectives.get(name)
    assert type(objective) is kind and objective.name == name
    assert objectives.get(objective) is objective
    assert objective.config().keys() == set(kind.takes)
    twin = kind(**objective.config())
    assert twin.config() == objective.config() and repr(twin) == repr(objective)
    assert eval(repr(objective), {kind.__name__: kind}).config() == objective.config()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_everything_that_an_objective_shows_is_among_its_columns(name):
    objective = OBJECTIVES[name]()
    known = {*objective.columns, *objective.derived}
    shown = [column for _, column, _ in objective.watched] + [c for p in objective.panels for c, *_ in p.curves]
    assert shown and set(shown) <= known
    zeros = np.zeros((4, 6, 1))
    measured = objective.measure_discriminator(zeros, zeros) | objective.measure_generator(zeros, zeros)
    assert tuple(sorted(measured)) == tuple(sorted(objective.columns))


def test_settings_that_an_objective_cannot_have_are_refused():
    for kind in (NonSaturating, Minimax):
        for value in (0.5, -0.1, math.nan, True, "0.1"):
            with pytest.raises(ValueError) as caught:
                kind(label_smoothing=value)
            assert str(caught.value) == f"label_smoothing must be a number in [0, 0.5), got {value!r}"
        with pytest.raises(ValueError) as caught:
            kind(discriminator_loss="total")
        assert str(caught.value) == "discriminator_loss must be one of ('mean', 'sum'), got 'total'"
    for value in (-0.01, math.inf, math.nan):
        with pytest.raises(ValueError) as caught:
            Wasserstein(value)
        assert str(caught.value) == f"clip must be a finite number from 0 up, got {value!r}"


@pytest.mark.parametrize("loss", objectives.MEAN_OR_SUM)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_lines_in_the_panels_are_what_is_measured_at_the_equilibrium(name, loss):
    """Every score 0, and so every probability ½; of least squares ½, and of hinge anything between the margins."""
    objective = rules((name, None, {}), discriminator_loss=loss)
    scores = np.full((1, 6, 1), 0.5 if name == "least-squares" else -0.3 if name == "hinge" else 0.0)
    found = objective.measure_discriminator(scores, scores) | objective.measure_generator(scores, scores)
    found |= {column: function(found) for column, function in objective.derived.items()}
    assert any(panel.lines for panel in objective.panels)
    for panel in objective.panels:
        assert all(label for _, label in panel.lines)
        margins = [height for height, label in panel.lines if "margin" in label]
        assert all(min(margins) < found[column][0] < max(margins) for column, *_ in panel.curves if margins)
        heights = [height for height, _ in panel.lines if height not in margins]
        measured = {float(found[column][0]) for column, *_ in panel.curves} if heights else set()
        near(sorted(measured), sorted(heights))  # a line for every height at which a curve rests, and no other


class Own(Unpaired):
    """An objective of one's own, of two columns: its losses and gradients are those of `Wasserstein`."""

    name, columns = "own", ("apart", "g_loss")
    _critic = Wasserstein(1e6)

    def discriminator_gradient(self, z, out, reals):
        return self._critic.discriminator_gradient(z, out, reals)

    def generator_gradient(self, z, out, real=None):
        return self._critic.generator_gradient(z, out)

    def real_losses(self, z):
        return self._critic.real_losses(z)

    def fake_losses(self, z):
        return self._critic.fake_losses(z)

    def generator_losses(self, z, real=None):
        return self._critic.generator_losses(z)

    def measure_discriminator(self, real, fake):
        return {"apart": real.mean(axis=(-2, -1)) - fake.mean(axis=(-2, -1))}

    def measure_generator(self, z, real=None):
        return {"g_loss": -z.mean(axis=(-2, -1))}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_an_objective_of_one_s_own_needs_no_other_change(schedule, monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "own", Own)
    ours, theirs = (make_gan((name, schedule, {}), clip=1e6) for name in ("own", "wasserstein"))
    histories = [gan.fit(batch(20)[0], 5, 8, np.random.default_rng(0)) for gan in (ours, theirs)]
    assert state(ours) == state(theirs)
    near(histories[0]["apart"], histories[1]["distance"])
    check_gradients(ours, batch(6)).raise_for_failure()


# ---------------------------------------------------------------- gradients


@pytest.mark.slow
@every_game
def test_every_gradient_of_every_game_is_right(game):
    gan = make_gan(game, optimizer=SGD, label_smoothing=0.1)
    report = check_gradients(gan, batch(6))
    report.raise_for_failure()
    tensors = [row.tensor for row in report.rows]
    assert all(f"generator step: {name}" in tensors for name in gan.generator.parameters())


@pytest.mark.parametrize("objective", PAIR)
def test_the_generator_s_gradient_is_the_one_on_paper(objective):
    """∂/∂logit of mean log(1 − σ) is −σ/N, that of −mean log σ is −(1 − σ)/N; the rest is the chain rule."""
    gan, (_, noise) = linear_gan((objective, "concatenated", {}), bias=0.3), batch(7)
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


def steps_on_constant_scores(score):
    """The generator's gradient under either objective where D(G(z)) = σ(score) for every z."""
    gradients = []
    for objective in PAIR:
        gan = linear_gan((objective, "concatenated", {}), bias=score)
        gan.generator.values[...] = 0
        gan.train_generator(batch(8)[1])
        gradients.append(gan.generator.grads.copy())
    return gradients


def test_minimax_saturates_where_the_discriminator_is_sure():
    """σ against 1 − σ: their ratio is e^score, so 1 where D = ½ and next to nothing where D is near 0."""
    undecided, minimax = steps_on_constant_scores(0.0)
    np.testing.assert_allclose(minimax, undecided, rtol=1e-12)
    sure, saturated = steps_on_constant_scores(-12.0)
    np.testing.assert_allclose(saturated, sure * math.exp(-12), rtol=1e-10)
    assert np.abs(saturated).max() < 1e-4 * np.abs(minimax).max()
    np.testing.assert_allclose(sure, 2 * undecided, rtol=1e-4)  # the other objective learns most just there


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_raises_the_discriminator_s_answer(objective):
    gan, noise = linear_gan((objective, "concatenated", {})), batch(50)[1]
    before = gan.predict(noise).mean()
    metrics = [train_generator(gan, noise) for _ in range(20)]
    losses = [m[0] for m in metrics]
    assert gan.predict(noise).mean() > before + 0.05
    assert losses == sorted(losses, reverse=True)
    assert (losses[-1] < 0) == (objective in ("minimax", "wasserstein", "hinge"))


def test_the_generator_s_objective_is_none_of_the_discriminator_s_business():
    gans = [make_gan((objective, "concatenated", {})) for objective in PAIR]
    for gan in gans:
        gan.train_discriminator(*batch(6))
    assert state(gans[0]) == state(gans[1])
    for gan in gans:
        gan.train_generator(batch(6)[1])
    assert critic(gans[0]) == critic(gans[1])
    assert gans[0].generator.values.tobytes() != gans[1].generator.values.tobytes()


# ---------------------------------------------------------------- the summed loss


@pytest.mark.parametrize("objective", PAIR)
def test_the_summed_loss_has_twice_the_gradient_and_twice_the_loss(objective):
    mean, total = (
        make_gan((objective, "concatenated", {"discriminator_loss": loss}), optimizer=SGD, label_smoothing=0.1)
        for loss in ("mean", "sum")
    )
    start = mean.discriminator.values.copy()
    one, two = (gan.train_discriminator(*batch(6)) for gan in (mean, total))
    assert (total.discriminator.grads == 2 * mean.discriminator.grads).all()  # times 2 is exact
    assert np.abs(mean.discriminator.grads).max() > 0.01
    moved = [gan.discriminator.values - start for gan in (mean, total)]
    np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-9, atol=1e-15)
    assert two[:4] == one[:4]
    assert (one.loss, two.loss) == ((one.loss_real + one.loss_fake) / 2, one.loss_real + one.loss_fake)
    assert maker(mean) == maker(total)


def test_updates_on_one_half_at_a_time_have_nothing_to_sum():
    """Each of the separate schedule's updates is on the mean of its own half, whatever the loss on both is called."""
    mean, total = (make_gan(("minimax", "separate", {"discriminator_loss": loss})) for loss in ("mean", "sum"))
    one, two = (gan.train_discriminator(*batch(6)) for gan in (mean, total))
    assert state(mean) == state(total)
    assert two.loss == 2 * one.loss


def test_the_summed_gradient_is_that_of_both_means_on_paper():
    summed = ("non-saturating", "concatenated", {"discriminator_loss": "sum"})
    gan, (real, noise) = linear_gan(summed, bias=0.2), batch(5)
    fake = gan.generator.predict(noise)
    w, c = (gan.discriminator.parameters()[f"dense_1.{name}"].copy() for name in ("weight", "bias"))
    on_real, on_fake = sigmoid(real @ w.T + c), sigmoid(fake @ w.T + c)
    gan.train_discriminator(real, noise)
    gradients = gan.discriminator.gradients()
    expected = ((on_real - 1).T @ real + on_fake.T @ fake) / 5
    np.testing.assert_allclose(gradients["dense_1.weight"], expected, rtol=1e-12)
    np.testing.assert_allclose(gradients["dense_1.bias"], (on_real - 1 + on_fake).sum() / 5, rtol=1e-12)


# ---------------------------------------------------------------- the critic


def test_a_critic_s_gradients_are_the_ones_on_paper():
    """Of mean f(fake) − mean f(real) with f(x) = w·x + c: the difference of the mean rows; of −mean f(G(z)): −w."""
    gan, (real, noise) = linear_gan(("wasserstein", "concatenated", {}), clip=1e6), batch(5)
    fake = gan.generator.predict(noise)
    w = gan.discriminator.parameters()["dense_1.weight"].copy()
    c = gan.discriminator.parameters()["dense_1.bias"].copy()
    metrics = gan.train_discriminator(real, noise)
    np.testing.assert_allclose(metrics, [(real @ w.T + c).mean(), (fake @ w.T + c).mean()], rtol=1e-12)
    slope = (fake.mean(axis=0) - real.mean(axis=0))[None]
    near(gan.discriminator.gradients()["dense_1.weight"], slope)
    near(gan.discriminator.gradients()["dense_1.bias"], 0)
    near(gan.discriminator.parameters()["dense_1.weight"], w - 0.1 * slope)
    gan.train_generator(noise)
    near(gan.generator.gradients()["dense_1.bias"], -(w - 0.1 * slope)[0])


def test_a_critic_s_update_is_clipped_after_it_and_not_before():
    """A linear critic's weights after one step are the unclipped ones, cut at ±c."""
    free, bound = (linear_gan(("wasserstein", "concatenated", {}), clip=clip) for clip in (1e6, CLIP))
    assert np.abs(bound.discriminator.values).max() > CLIP
    for gan in (free, bound):
        gan.train_discriminator(*batch(5))
    np.testing.assert_array_equal(bound.discriminator.values, np.clip(free.discriminator.values, -CLIP, CLIP))
    np.testing.assert_array_equal(bound.discriminator.grads, free.discriminator.grads)


@pytest.mark.parametrize("game", PROBABILITIES, ids=game_name)
def test_nothing_is_clipped_where_answers_are_probabilities(game):
    gan = make_gan(game)
    gan.discriminator.values *= 100
    gan.train_discriminator(*batch(6))
    assert np.abs(gan.discriminator.values).max() > 50
    assert gan.objective.after_update(gan.discriminator) == []


# ---------------------------------------------------------------- least squares, hinge, relativistic pairing


def scored(objective, real, fake):
    """Both sides' gradients at given scores: of the discriminator's on both as one batch, of the generator's on `fake`
    (against `real` in pairs).
    """
    z = np.array([[*real, *fake]], float)
    made, opponents = np.array([fake], float), [np.array([real], float)] if objective.pairs else []
    found = np.full_like(z, np.nan), np.full_like(made, np.nan)
    for call in objective.discriminator_gradient(z, found[0], len(real)):
        call.run()
    for call in objective.generator_gradient(made, found[1], *opponents):
        call.run()
    return [a[0].tolist() for a in found]


def test_least_squares_gradients_are_the_ones_on_paper():
    """∂/∂z of ½(z − t)²/n: distances from the labels, beyond them too."""
    on_both, on_made = scored(LeastSquares(), [3, 1], [0.5, -2])
    assert on_both == [(3 - 1) / 2, 0, 0.5 / 2, -2 / 2]
    assert on_made == [(0.5 - 1) / 2, (-2 - 1) / 2]


def test_hinge_gradients_stop_at_the_margin_and_the_generator_s_do_not():
    on_both, on_made = scored(Hinge(), [3, 1, 0.9, -5], [-3, -1, -0.9, 5])
    assert on_both == [0, 0, -1 / 4, -1 / 4, 0, 0, 1 / 4, 1 / 4]
    assert on_made == [-1 / 4] * 4


def test_relativistic_gradients_are_the_ones_on_paper():
    """∂/∂z of softplus(−δ)/n is ∓σ(−δ)/n, of the pair's two scores."""
    real, fake = np.array([2.0, -1, 0.5]), np.array([-1.0, 4, 0.5])
    on_both, on_made = scored(Relativistic(), real, fake)
    share = sigmoid(fake - real) / 3
    near(on_both, [*-share, *share])
    near(on_made, -sigmoid(real - fake) / 3)


def test_only_differences_of_a_pair_count():
    shifted = [scored(Relativistic(), [2 + c, -1 + c], [1 + c, 4 + c]) for c in (0, 8)]
    near(np.concatenate(shifted[0]), np.concatenate(shifted[1]))


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_scores_of_any_size_have_finite_losses_and_gradients(size):
    for objective in (Hinge(), Relativistic()):
        real, fake = np.array([-size, size]), np.array([size, -size])
        assert np.isfinite(np.concatenate(scored(objective, real, fake))).all()
        assert np.isfinite(objective.discriminator_terms(real[:, None], fake[:, None])).all()


def test_pairs_need_both_rows_in_one_batch():
    gan = make_gan(("relativistic", "concatenated", {}))
    with pytest.raises(ValueError) as caught:
        type(gan)(gan.generator.copy(), gan.discriminator.copy(), objective="relativistic", schedule="separate")
    assert str(caught.value) == (
        "the objective relativistic compares each real row with a generated one, so both must be in one batch: its "
        "schedule can only be concatenated, not separate"
    )


def test_a_generator_s_step_takes_real_rows_where_it_compares_with_them_and_nowhere_else():
    real, noise = batch(6)
    pairs, alone = (make_gan((name, "concatenated", {})) for name in ("relativistic", "hinge"))
    before = state(pairs), state(alone)
    for gan, arguments, message in (
        (pairs, (noise,), "the objective relativistic compares generated rows with real ones; give as many real rows "
         "as noise rows"),
        (pairs, (noise, real[:4]), "4 real rows but 6 noise rows"),
        (alone, (noise, real), "the objective hinge looks at generated rows alone; give no real rows"),
    ):  # fmt: skip
        with pytest.raises(ValueError) as caught:
            gan.train_generator(*arguments)
        assert str(caught.value) == f"train_generator: {message}"
    assert (state(pairs), state(alone)) == before


def test_a_critic_without_a_clip_is_bound_by_nothing():
    free, bound = (make_gan(("wasserstein", "concatenated", {}), clip=clip) for clip in (0, 1e6))
    for gan in (free, bound):
        gan.train_discriminator(*batch(6))
    assert free.objective.after_update(free.discriminator) == [] != bound.objective.after_update(bound.discriminator)
    assert critic(free) == critic(bound)


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (64, 3), (5, 64, 1), (4, 3, 33, 2)], ids=str)
def test_a_share_is_the_mean_of_what_is_true_to_the_bit(shape):
    right = np.random.default_rng(len(shape)).random(shape) < 0.7
    expected, found = right.mean(axis=(-2, -1), dtype=np.float64), share(right)
    assert type(found) is type(expected) and np.array_equal(found, expected)
    assert np.array_equal(share(np.ones(shape, bool)), np.ones(shape[:-2]))
