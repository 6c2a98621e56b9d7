"""Pictures: the discriminator's map of the plane."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageSequence

from numgan.data import Digits
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


# ----------------------------------------------------------------------------------------- pictures of many moments


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """shown(draw, *arguments): the figure that `draw(*arguments, path)` saves, laid out."""

    def show(draw, *arguments):
        figures = []
        monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
        draw(*arguments, tmp_path / "picture.png")
        figures[0].draw_without_rendering()
        return figures[0]

    return show


def game_moments(n, game="minimax"):
    """Moments of a game, in which a critic's scores go further and further apart."""
    undecided = OBJECTIVES[game].undecided
    points, answers = rng().normal(0, 1, (2, 20, 2)), rng(1).uniform(0.1, 0.9, (4, 6))
    surfaces = [plots.Surface((-2, 2, -1, 3), answers * (1 if undecided else i + 1), undecided) for i in range(n)]
    return [(100 * i, (*points, surface)) for i, surface in enumerate(surfaces)]


def test_moments_of_a_game_have_a_legend_a_scale_and_axes_at_the_outside_alone(shown):
    *panels, scale = shown(plots.evolution, game_moments(6), plots.draw_game).axes
    figure = scale.figure
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["real", "generated", "D = ½"]
    assert scale.get_ylabel() == "D(x, y): probability of being real" and scale.get_ylim() == (0, 1)
    panels, empty = panels[:6], panels[6:]
    assert [panel.get_title() for panel in panels] == [f"step {100 * i}" for i in range(6)]
    assert [panel.get_ylabel() for panel in panels] == ["y", "", "", "", "y", ""]
    assert [panel.get_xlabel() for panel in panels] == ["", "", "x", "x", "x", "x"]  # the lowest of each column
    assert len(empty) == 2 and not any(panel.axison for panel in empty)
    for artist in (figure.legends[0], scale, *(panel.title for panel in panels)):
        box = artist.get_tightbbox()
        assert not any(box.overlaps(panel.bbox) for panel in panels) and figure.bbox.fully_containsx(box.x1)


def test_a_critic_s_scale_has_numbers_only_where_all_moments_share_them(shown):
    for n, numbers in ((1, True), (2, False)):
        scale = shown(plots.evolution, game_moments(n, "wasserstein"), plots.draw_game).axes[-1]
        assert scale.get_ylabel() == "D(x, y): a critic's score"
        assert ([tick.get_text() for tick in scale.get_yticklabels()] == ["lowest", "highest"]) != numbers


@pytest.mark.parametrize("n, steps", [(1, [0]), (12, range(12)), (24, [*range(0, 23, 3), 23])])
def test_at_most_a_dozen_moments_are_shown_the_last_among_them(n, steps, shown):
    figure = shown(plots.evolution, [(i, np.zeros((4, 784))) for i in range(n)], plots.draw_digits)
    assert [panel.get_title() for panel in figure.axes if panel.get_title()] == [f"step {i}" for i in steps]
    assert not figure.legends  # digits need none, and have the room
    widths = [panel.get_position().width * figure.get_figwidth() for panel in figure.axes]
    assert min(widths) == pytest.approx(3)  # inches


def frames_of(path):
    """The frames of a GIF, (height, width, 3), and how long each is shown, in ms."""
    with Image.open(path) as file:
        frames = [(np.array(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(file)]
        assert file.info["loop"] == 0  # for ever
    return zip(*frames, strict=True)


def test_an_animation_has_a_frame_for_each_moment_and_holds_the_last(tmp_path):
    samples = [np.full((1, 784), value) for value in (-1, 0, 1)]
    plots.animation([*enumerate(samples)], plots.draw_digits, tmp_path / "a.gif")
    frames, shown_for = frames_of(tmp_path / "a.gif")
    assert [frame[200, 155, 0] for frame in frames] == pytest.approx([0, 128, 255], abs=1)
    assert len({frame.shape for frame in frames}) == 1
    assert shown_for[0] == shown_for[1] and shown_for[2] == (1 + plots.HELD) * shown_for[0]
    titles = [frame[:30].tobytes() for frame in frames]
    assert len(set(titles)) == 3


def test_an_animation_is_whole_or_not_there(tmp_path):
    def draw(axes, moment):
        if moment is None:
            raise ValueError("a mistake")
        plots.draw_digits(axes, moment)

    with pytest.raises(ValueError, match="a mistake"):
        plots.animation([(0, np.zeros((1, 784))), (1, None)], draw, tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------- pictures of numbers and sets


def seed_runs(collapsed):
    """Five seeds with two measures, these of which collapsed."""
    names = [("x_ks", "lower: x spreads as t does"), ("good_share", "higher: near a centre")]
    return [
        SimpleNamespace(
            seed=10 + i,
            evaluation={
                "collapsed": "why" if i in collapsed else None,
                "measures": [{"name": n, "value": i / 10, "real": 0.05, "better": b} for n, b in names],
            },
        )
        for i in range(5)
    ]


@pytest.mark.parametrize(
    "collapsed, entries", [((), ["a seed", "real data"]), ((3,), ["a seed", "collapsed", "real data"])]
)
def test_seeds_say_plainly_what_is_measured_what_is_better_and_what_collapsed(collapsed, entries, shown):
    figure = shown(plots.seeds, seed_runs(collapsed))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == entries
    titles = ["Kolmogorov–Smirnov distance of x", "good share"]
    assert [panel.get_title().strip() for panel in figure.axes] == titles
    assert [panel.texts[0].get_text() for panel in figure.axes] == [
        "lower: x spreads as t does",
        "higher: near a centre",
    ]
    for panel in figure.axes:
        dots, crosses = panel.collections[0], panel.collections[1:]
        assert len(dots.get_offsets()) == 5 - len(collapsed) and len(crosses) == bool(collapsed)
        assert [cross.get_offsets().tolist() for cross in crosses] == [[[i, i / 10]] for i in collapsed]
        better, title = panel.texts[0].get_window_extent(), panel.title.get_window_extent()
        assert panel.bbox.y1 < better.y0 < better.y1 < title.y1 - 12  # pixels, which the name has


@pytest.mark.parametrize("counts, title", [
    ([2] * 10, "random sample of 20 images, 2 of each class"), ([3, *[2] * 9], "random sample of 21 images"),
])  # fmt: skip
def test_classes_of_one_size_are_told_in_words_and_others_in_bars(counts, title, shown):
    labels = np.repeat(np.arange(10), counts).astype(np.uint8)
    axes, *bars = shown(plots.data_set, Digits(np.zeros((len(labels), 784), np.uint8), labels), rng()).axes
    assert axes.get_title() == title
    assert [[bar.get_height() for bar in chart.patches] for chart in bars] == ([counts] if counts[0] == 3 else [])
