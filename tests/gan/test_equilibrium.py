"""When to stop: an undecided discriminator, held-out rows, and what does not count as undecided."""

import math

import numpy as np
import pytest

from numgan.errors import ArgumentError
from numgan.gan.equilibrium import PATIENCE, ROWS, Equilibrium
from numgan.gan.objectives import OBJECTIVES
from tests.helpers import FEATURES, PROBABILITIES, critic, game_name, linear_gan, make_gan, maker, rng, sigmoid

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


class Where:
    """A source of points (x, 0) with the same x for all rows, or ± x in turn."""

    shape = (FEATURES,)

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
    with pytest.raises(ValueError, match=r"tolerance must be a number in \(0, 0.5\), got "):
        Equilibrium(planted(), Where(0.0), tolerance, rng())


def test_an_equilibrium_that_was_never_checked_says_so():
    watch = Equilibrium(planted(), Where(0.0), 0.05, rng())
    assert not watch.reached and str(watch) == "no equilibrium: training ended before the first check"


@pytest.mark.parametrize("game", PROBABILITIES, ids=game_name)
def test_checking_changes_nothing_of_the_game(game):
    gan = make_gan(game, "float32")
    before = maker(gan), critic(gan)
    verdicts(gan, Where(1.0))
    assert (maker(gan), critic(gan)) == before


@pytest.mark.parametrize("name", OBJECTIVES)
def test_only_a_discriminator_that_can_be_undecided_has_an_equilibrium_to_watch_for(name):
    """A critic has scores without a middle, unless they aim at 0 and 1."""
    gan = make_gan((name, "concatenated", {}))
    if OBJECTIVES[name].undecided is not None:
        assert not Equilibrium(gan, Where(0.0), 0.05, rng()).reached
        return
    with pytest.raises(ArgumentError) as caught:
        Equilibrium(gan, Where(0.0), 0.05, rng())
    assert str(caught.value).startswith(f"the objective {name} has no equilibrium to watch for: ")
    assert "; history.png shows instead: " in str(caught.value) and "equilibrium" in str(caught.value)[60:]
    assert isinstance(caught.value, ValueError)


def test_critics_are_those_without_but_for_least_squares():
    without = [name for name, kind in OBJECTIVES.items() if kind.undecided is None]
    assert without == ["wasserstein", "hinge", "relativistic"]


def test_what_is_shown_instead_is_named():
    with pytest.raises(ArgumentError) as caught:
        Equilibrium(make_gan(("relativistic", "concatenated", {})), Where(0.0), 0.05, rng())
    assert str(caught.value).endswith(
        "history.png shows instead: Distance of the scores (equilibrium: zero); Critic's loss (equilibrium: log 2); "
        "Generator loss (relativistic) (equilibrium: log 2)"
    )


def test_a_least_squares_critic_is_undecided_at_a_half():
    gan = linear_gan(("least-squares", "concatenated", {}))
    for network in (gan.generator, gan.discriminator):
        network.values[...] = 0
    assert not any(verdicts(gan, Where(3.0))[1])  # it says 0: generated, of every row
    gan.discriminator.parameters()["dense_1.bias"][...] = 0.5
    assert verdicts(gan, Where(3.0))[1] == [False] * (PATIENCE - 1) + [True] * 3
