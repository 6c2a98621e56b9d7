"""A GAN whose losses are one's own: three functions of a score, checked, trained, saved and loaded."""

import numpy as np
import pytest

from numgan import GAN, Dense, Error, LeakyReLU, LeastSquares, NonSaturating, OwnLosses, Sequential, Sigmoid
from numgan import check_gradients as check
from numgan.gan.steps import SCHEDULES
from tests.helpers import rng, state

REAL, NOISE = rng(1).normal(size=(6, 4)), rng(2).normal(size=(6, 3))


class Squares(OwnLosses):
    """`LeastSquares` by hand, times a setting."""

    name, takes = "squares", ("factor",)

    def __init__(self, factor=1.0):
        self.factor = factor

    def on_real(self, z):
        return self.factor * (z - 1) ** 2 / 2, self.factor * (z - 1)

    def on_fake(self, z):
        return self.factor * z**2 / 2, self.factor * z

    def for_generator(self, z):
        return self.on_real(z)


class Logistic(OwnLosses):
    """The non-saturating game by hand: of logits, below a closing sigmoid."""

    name = "logistic"

    def closing(self):
        return [Sigmoid()]

    def on_real(self, z):
        return np.logaddexp(0, -z), -1 / (1 + np.exp(z))

    def on_fake(self, z):
        return np.logaddexp(0, z), 1 / (1 + np.exp(-z))

    def for_generator(self, z):
        return self.on_real(z)


def played(objective, schedule="concatenated", dtype="float64", replicas=None, closing=()):
    g = Sequential([Dense(5), LeakyReLU(), Dense(4)], 3, rng(3), dtype, replicas, "g")
    d = Sequential([Dense(5), LeakyReLU(), Dense(1), *closing], 4, rng(4), dtype, replicas, "d")
    return GAN(g, d, objective=objective, schedule=schedule)


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("ours", "theirs"), [
    (Squares(), LeastSquares()), (Logistic(), NonSaturating(discriminator_loss="sum")),
], ids=["squares", "logistic"])  # fmt: skip
def test_losses_of_one_s_own_train_as_numgan_s_that_are_the_same(ours, theirs, schedule, replicas):
    gans = [played(game, schedule, replicas=replicas, closing=theirs.closing()) for game in (ours, theirs)]
    histories = [gan.fit(REAL, 20, 4, rng()) for gan in gans]
    for name in ("g_loss", "d_loss_real", "d_loss_fake"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-11)
    for a, b in zip(*(gan.state_dict().values() for gan in gans), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert histories[0].has("d_loss") and "own_losses_backward" in str(gans[0].generator_step(4))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_their_derivatives_are_checked_as_every_other_gradient(schedule):
    class Wrong(Squares):
        def for_generator(self, z):
            return (z - 1) ** 2 / 2, z

    check(played(Squares(3.0), schedule), (REAL, NOISE)).raise_for_failure()
    report = check(played(Wrong(), schedule), (REAL, NOISE))
    assert not report.passed
    assert {row.tensor.partition(":")[0] for row in report.rows if row.failed} == {"generator step"}


def test_a_game_of_one_s_own_is_saved_and_loaded_by_those_who_know_it(tmp_path):
    gan, path = played(Squares(2.0)), tmp_path / "gan.npz"
    gan.fit(REAL, 3, 4, rng(1), checkpoint=path)
    loaded = GAN.load(path, objectives=[Logistic, Squares])
    assert type(loaded.objective) is Squares and loaded.objective.factor == 2.0 and state(loaded) == state(gan)
    with pytest.raises(Error, match=r"its objective is 'squares'; known are non-saturating, .* takes one's own"):
        GAN.load(path)
    resumed, through = (played(Squares(2.0)) for _ in range(2))
    resumed.fit(REAL, 6, 4, rng(2), checkpoint=path, resume=True)
    through.fit(REAL, 6, 4, rng(1))
    assert state(resumed) == state(through) == state(resumed.copy())


class Unlisted(Squares):
    takes = ()


class Nameless(Squares):
    name = ""


class Namesake(Squares):
    name = "hinge"


@pytest.mark.parametrize(("game", "message"), [
    (Unlisted(2.0), r"Unlisted cannot be saved: Unlisted\(factor\) is a setting that its `takes` does not list"),
    (Nameless(), "Nameless cannot be saved: it must say its name"),
    (Namesake(), "Namesake cannot be saved: 'hinge' is one of numgan's; give it a name of its own"),
])  # fmt: skip
def test_what_would_come_back_as_another_game_is_not_saved(game, message, tmp_path):
    gan = played(game)
    with pytest.raises(Error, match=f"^the objective {message}$"):
        gan.save(tmp_path / "gan.npz")
    assert not list(tmp_path.iterdir()) and gan.copy().objective is not None


@pytest.mark.parametrize("pair", [
    lambda z: z**2, lambda z: (z**2, 2.0), lambda z: (z.sum(), z), lambda z: (z, z / 0 * 0), lambda z: None,
], ids=["loss alone", "one slope", "one loss", "not finite", "nothing"])  # fmt: skip
def test_a_loss_without_its_derivative_is_refused_when_the_gan_is_made(pair):
    class Half(Squares):
        def on_fake(self, z):
            with np.errstate(all="ignore"):
                return pair(z)

    with pytest.raises(Error, match=r"^Half.on_fake\(z\) must return the losses and their derivatives, two arrays"):
        played(Half())
