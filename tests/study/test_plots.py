"""Pictures: the discriminator's map of the plane."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from numgan.gan.objectives import OBJECTIVES
from numgan.study import plots
from tests.helpers import DTYPES, PROBABILITIES, every_game, make_gan, rng, sine_discriminator

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.mark.parametrize("dtype", DTYPES)
@every_game
def test_a_decision_surface_is_the_discriminator_asked_at_the_middles_of_cells(game, dtype):
    gan = make_gan(game, dtype)
    surface = plots.decision_surface(gan, (-2.0, 2.0, -1.0, 3.0), cells=(8, 4))
    assert isinstance(surface, plots.Surface) and surface.undecided == gan.objective.undecided
    assert surface.frame == (-2.0, 2.0, -1.0, 3.0) and surface.answers.shape == (4, 8)
    for row, column, point in ((0, 0, (-1.75, -0.5)), (0, 7, (1.75, -0.5)), (3, 0, (-1.75, 2.5)), (2, 5, (0.75, 1.5))):
        answer = gan.discriminator.predict(np.array([point]))[0, 0]
        np.testing.assert_allclose(surface.answers[row, column], answer, rtol=1e-6)
    assert len(np.unique(surface.answers)) > 20


def test_a_decision_surface_is_bright_where_the_real_points_are():
    answers = plots.decision_surface(sine_discriminator(0)[0], (-3.8, 3.8, -7.6, 7.6)).answers
    rows, columns = answers.shape

    def says(x, y):
        return answers[int((y + 7.6) / 15.2 * rows), int((x + 3.8) / 7.6 * columns)]

    for t in (-2.0, -1.5, 1.5, 2.0):
        assert says(t, math.sin(t)) > 0.5 > says(t, 2 * t)


def test_the_centres_of_a_mixture_are_ringed_and_a_circle_is_a_circle():
    centres, axes = rng().normal(0, 1, (5, 2)), Figure().subplots()
    plots.draw_centres(axes, centres)
    (rings,) = axes.collections
    np.testing.assert_array_equal(rings.get_offsets(), centres)
    assert axes.get_aspect() == 1 and len(rings.get_facecolors()) == 0


@every_game
def test_a_critic_s_map_goes_from_its_lowest_to_its_highest_score_and_answers_that_aim_at_0_and_1_between_these(game):
    surface = plots.decision_surface(make_gan(game), (-2.0, 2.0, -1.0, 3.0), cells=(12, 9))
    points = rng().normal(0, 1, (20, 2))
    axes = Figure().subplots()
    image = plots.draw_game(axes, (points, points, surface))
    answers = surface.answers
    undecided = OBJECTIVES[game[0]].undecided
    assert (undecided == 0.5) == (game in PROBABILITIES or game[0] == "least-squares")  # whose answers aim at 0 and 1
    assert image.get_clim() == ((0, 1) if undecided == 0.5 else (answers.min(), answers.max()))
    np.testing.assert_array_equal(image.get_array(), answers)
    crosses = undecided == 0.5 and answers.min() < 0.5 < answers.max()
    assert len(axes.collections) == 2 + crosses  # the line at ½, and the two sets of points
