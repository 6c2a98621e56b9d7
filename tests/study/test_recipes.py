"""The recipes: what the documents say of them, and that every one of them can play every game."""

import numpy as np
import pytest

from numgan import GAN, BatchNorm, Dense, Join, LeakyReLU, Sigmoid, SpectralNorm, Tanh
from numgan.data import SinePoints
from numgan.gan.objectives import OBJECTIVES
from numgan.study import recipes
from numgan.study.settings import SettingError, with_overrides
from tests.helpers import every_game, maker, rng, sine_discriminator

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.fixture(scope="module")
def alone():
    """(GAN, its generator's first weights, history, quality) of sine-discriminator, by seed."""
    return [sine_discriminator(seed) for seed in range(5)]


def test_a_discriminator_alone_tells_the_sine_from_the_line(alone):
    for _, _, history, quality in alone:
        assert len(history) == 300
        assert np.isfinite(history["d_loss"]).all() and not history.has("g_loss") and not history.has("g_accuracy")
        assert quality["accuracy on real"] >= 0.97
        assert quality["accuracy on fake"] >= 0.75


def test_the_line_does_not_move(alone):
    for gan, start, *_ in alone:
        assert maker(gan) == start
        assert gan.generator_optimizer.steps == 0 and gan.discriminator_optimizer.steps == 600
        t = rng().normal(0, 1, (50, 1)).astype(np.float32)
        np.testing.assert_array_equal(gan.generator.predict(t), np.concatenate([t, 2 * t], axis=1))


def test_its_quality_is_the_accuracy_counted_by_hand(alone):
    gan = alone[0][0]
    quality = recipes.get("sine-discriminator").quality(gan.sample(2_000, rng(1)), gan, rng(2))
    real = np.empty((2_000, 2), np.float32)
    SinePoints().sample(2_000, rng(2), real)
    assert quality["accuracy on real"] == np.mean([p > 0.5 for p in gan.discriminator.predict(real)])
    assert quality["accuracy on fake"] == np.mean(
        [p <= 0.5 for p in gan.discriminator.predict(gan.sample(2_000, rng(1)))]
    )


def test_the_epochs_recipe_has_the_study_s_networks_and_loss():
    recipe = recipes.get("mnist-epochs")
    gan = recipe.build(recipe.settings, rng(), "float32")
    assert gan.generator.shapes[0] == (100,) and gan.generator.shapes[-1] == gan.discriminator.shapes[0] == (784,)
    kinds = [[type(layer) for layer in network.layers] for network in (gan.generator, gan.discriminator)]
    assert kinds[0] == [Dense, LeakyReLU, BatchNorm] * 2 + [Dense, Tanh]
    assert kinds[1] == [Dense, LeakyReLU] * 2 + [Dense, Sigmoid]
    assert [layer.units for layer in gan.discriminator.layers if isinstance(layer, Dense)] == [512, 256, 1]
    assert (gan.schedule, gan.objective.name, gan.objective.discriminator_loss) == (
        "concatenated",
        "non-saturating",
        "sum",
    )
    assert gan.objective.label_smoothing == 0 and gan.generator_optimizer.learning_rate == 1e-4
    assert recipe.settings.length() == {"steps": None, "epochs": 50, "discriminator_steps": 1, "generator_steps": 1}


@pytest.mark.parametrize("overrides, steps, epochs", [
    ({}, 2000, 0), ({"epochs": "3"}, 0, 3), ({"steps": 5}, 5, 0), ({"steps": 0, "epochs": 3}, 0, 3),
])  # fmt: skip
def test_epochs_and_steps_take_each_other_s_place(overrides, steps, epochs):
    recipe = recipes.get("mnist")
    chosen = with_overrides(recipe.settings, overrides)
    assert (chosen.steps, chosen.epochs) == (steps, epochs)
    chosen = with_overrides(recipes.get("mnist-epochs").settings, overrides)
    assert (chosen.steps, chosen.epochs) == ((steps, epochs) if overrides else (0, 50))


def test_settings_that_train_neither_side_are_refused():
    for recipe in recipes.RECIPES.values():
        with pytest.raises(SettingError, match="discriminator_steps=0 and generator_steps=0"):
            with_overrides(recipe.settings, {"discriminator_steps": 0, "generator_steps": "0"})


# ---------------------------------------------------------------- every recipe and every game


SMALL = {key: {"hidden": "9,8"} for key in ("mnist", "mnist-best", "mnist-epochs")}
SMALL |= {key: {"filters": "3,4"} for key in ("mnist-dcgan", "stacked-mnist", "emoji", "pictures")}


@pytest.mark.parametrize("name", recipes.RECIPES)
@every_game
def test_every_recipe_can_play_every_game(game, name):
    """Its discriminator ends as the objective wants it, and its settings come to the objective and the schedule."""
    recipe, (objective, schedule, options) = recipes.get(name), game
    kind = OBJECTIVES[objective]
    more = {key: value for key, value in (("clip", "0.25"), ("label_smoothing", "0.125")) if key in kind.takes}
    overrides = {"objective": objective, "schedule": schedule, **SMALL.get(name, {}), **options, **more}
    s = with_overrides(recipe.settings, overrides)
    gan = recipe.build(s, rng(), "float32")
    assert type(gan.objective) is kind and gan.schedule == schedule
    asked = options | {key: float(value) for key, value in more.items()}
    assert gan.objective.config() == {key: getattr(s, key) for key in kind.takes} | asked
    gan.objective.check(gan.discriminator)
    assert gan.generator.shapes[-1] == gan.discriminator.shapes[0] == recipe.shape(recipe.settings)


def test_an_objective_of_pairs_brings_its_schedule_along_whatever_the_recipe_s_is():
    for recipe in recipes.RECIPES.values():
        s = with_overrides(recipe.settings, {"objective": "relativistic"})
        assert s.schedule == "concatenated"
        assert with_overrides(s, {"steps": "7"}).schedule == "concatenated"
    assert {recipe.settings.schedule for recipe in recipes.RECIPES.values()} > {"concatenated"}


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_spectral_norms_are_around_every_layer_of_the_discriminator_that_has_weights_where_asked_for(name):
    recipe = recipes.get(name)
    plain, normed = (
        recipe.build(
            with_overrides(recipe.settings, {**SMALL.get(name, {}), "spectral_norm": answer}), rng(), "float32"
        )
        for answer in ("no", "yes")
    )
    assert not any(isinstance(a, SpectralNorm) for gan in (plain, normed) for a in gan.generator.layers)
    assert normed.generator.values.tobytes() == plain.generator.values.tobytes()
    for one, other in zip(plain.discriminator.layers, normed.discriminator.layers, strict=True):
        through = one.shapes and not isinstance(one, Join)  # what makes a condition has no say in the slope by the row
        assert repr(other) == (f"SpectralNorm({one!r})" if through else repr(one))
    with pytest.raises(SettingError, match="spectral_norm=maybe is not possible; expected one of yes, no"):
        with_overrides(recipe.settings, {"spectral_norm": "maybe"})


@pytest.mark.parametrize("setting, values, message", [
    ("clip", {"objective": "minimax", "clip": "0.1"}, "clip is no setting of the objective minimax, which has "
     "label_smoothing, discriminator_loss"),
    ("smoothing", {"objective": "wasserstein", "label_smoothing": "0.1"}, "label_smoothing is no setting of the "
     "objective wasserstein, which has clip"),
    ("schedule", {"schedule": "summed"}, "schedule=summed is not possible; expected one of concatenated, separate"),
    ("loss", {"discriminator_loss": "total"}, "discriminator_loss=total is not possible; expected one of mean, sum"),
    ("none", {"objective": "hinge", "clip": "0.1"}, "clip is no setting of the objective hinge, which has none"),
    ("objective", {"objective": "chess"}, "objective=chess is not possible; expected one of non-saturating, minimax, "
     "wasserstein, least-squares, hinge, relativistic"),
    ("range", {"objective": "wasserstein", "clip": "-1"}, "clip=-1 is not possible; expected a number from 0 up"),
    ("pairs", {"objective": "relativistic", "schedule": "separate"}, "the objective relativistic compares each real "
     "row with a generated one, so both must be in one batch: its schedule can only be concatenated, not separate"),
    ("half", {"label_smoothing": "0.5"}, "label_smoothing=0.5 is not possible"),
    ("odd", {"schedule": "separate", "batch_size": "7"}, "batch_size=7 is not possible; the separate schedule halves"),
], ids=lambda value: value if isinstance(value, str) and " " not in value else "")  # fmt: skip
def test_settings_of_the_game_that_cannot_be_are_refused(setting, values, message):
    for recipe in recipes.RECIPES.values():
        with pytest.raises(SettingError) as caught:
            with_overrides(recipe.settings, values)
        assert message in str(caught.value)


def test_a_run_keeps_its_penalty_and_shows_what_was_paid(call, tmp_path):
    status, said, _ = call(
        "train", "sine", "--out", "run", "--steps", "40", "--set", "penalty=r1", "--set", "penalty_every=2"
    )
    assert status == 0 and "model" in said
    assert (
        (tmp_path / "run" / "history.csv").read_text(encoding="utf-8").split("\n")[0].endswith("gradient_norm,penalty")
    )
    assert repr(GAN.load(tmp_path / "run" / "model.npz").penalty) == "R1(weight=10.0, every=2)"
    assert call("train", "--resume", "run", "--steps", "60")[0] == 0
