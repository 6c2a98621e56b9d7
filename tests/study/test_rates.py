"""Learning rates as settings: a rate for each side, warm-up and decay in training steps, each of which ends for both
sides in the same step of the run.
"""

import numpy as np
import pytest

from numgan import Adam
from numgan.nn.rates import DECAYS
from numgan.study import recipes
from numgan.study.settings import SettingError, with_overrides
from tests.helpers import rng

SIDES = ("generator", "discriminator")
SMALL = {"hidden": "3,2", "batch_size": 6}


class Images:
    """An array of rows as a recipe's data, so many of them that no batch goes into it."""

    def __init__(self, rows):
        self.rows, self.shape = rng().uniform(-1, 1, (rows, 784)), (784,)

    def __len__(self):
        return len(self.rows)

    def sample(self, n, draw, out):
        out[...] = self.rows[draw.integers(0, len(self), n)]

    def take(self, index, out):
        out[...] = self.rows[index]


def played(**overrides):
    """What a run of these settings gives: the optimisers of both sides, and their rates before every step."""
    recipe, data = recipes.get("mnist-epochs"), Images(20)
    settings = with_overrides(recipe.settings, SMALL | overrides).for_data(data)
    gan, told = recipe.build(settings, rng(), "float64"), []
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer

    def callback(done, history):
        told.append([optimizer.learning_rate for optimizer in optimizers])

    gan.fit(data, batch_size=settings.batch_size, rng=rng(), every=1, callback=callback, **settings.length())
    return optimizers, np.array(told)


@pytest.mark.parametrize("schedule", ["concatenated", "separate"])
@pytest.mark.parametrize("steps", [{}, {"discriminator_steps": 3}, {"generator_steps": 2}], ids=str)
@pytest.mark.parametrize("length", [{"steps": 13}, {"epochs": 3}], ids=str)
@pytest.mark.parametrize("decay", DECAYS)
def test_warm_up_and_decay_end_for_both_sides_in_the_same_steps(decay, length, steps, schedule):
    rates = {"generator_rate": 1e-4, "discriminator_rate": 4e-4}
    optimizers, told = played(decay=decay, warm_up=4, schedule=schedule, **rates, **length, **steps)
    for optimizer, before, peak in zip(optimizers, told.T, rates.values(), strict=True):
        assert optimizer.config()["learning_rate"]["steps"] == optimizer.steps
        assert before[4] == peak and before[-1] == 0  # told before the fifth step, and after the last
        assert (before[:-1] > 0).all() and (np.diff(before[:4]) > 0).all() and (np.diff(before[4:]) < 0).all()


def test_a_warm_up_without_a_decay_holds_the_rate_from_then_on():
    _, told = played(steps=7, warm_up=3, learning_rate=0.003, discriminator_steps=2)
    np.testing.assert_allclose(told[:, 0], [0.001, 0.002, *[0.003] * 6], rtol=1e-15)
    np.testing.assert_allclose(told[:, 1], [0.0005, 0.0015, 0.0025, *[0.003] * 5], rtol=1e-15)
    assert played(steps=2, warm_up=4)[1].max() < 1e-4  # it may be longer than a run, which can be made longer


@pytest.mark.parametrize("overrides, expected", [
    ({}, (3e-3, 3e-3)),
    ({"generator_rate": "1e-4"}, (1e-4, 3e-3)),
    ({"discriminator_rate": "4e-4"}, (3e-3, 4e-4)),
    ({"generator_rate": "1e-4", "discriminator_rate": "4e-4"}, (1e-4, 4e-4)),
    ({"generator_rate": "0"}, (3e-3, 3e-3)),
])  # fmt: skip
def test_a_side_without_a_rate_of_its_own_has_the_common_one(overrides, expected):
    for recipe in recipes.RECIPES.values():
        settings = with_overrides(recipe.settings, {"learning_rate": "3e-3"} | overrides)
        gan = recipe.build(settings, rng(), "float32")
        assert (gan.generator_optimizer.learning_rate, gan.discriminator_optimizer.learning_rate) == expected
        assert (
            gan.generator_optimizer.config()
            == Adam(expected[0], settings.beta1, settings.beta2, settings.epsilon, settings.adam_form).config()
        )


@pytest.mark.parametrize("side", SIDES)
def test_a_frozen_side_has_a_rate_that_it_never_uses(side):
    frozen = dict(zip(SIDES, played(steps=5, decay="linear", **{f"{side}_steps": 0})[0], strict=True))[side]
    assert frozen.steps == 0 and frozen.learning_rate == 1e-4


@pytest.mark.parametrize("overrides, message", [
    ({"decay": "step"}, "decay=step is not possible; expected one of none, linear, cosine"),
    ({"warm_up": "-1"}, "warm_up=-1 is not possible; expected a whole number from 0"),
    ({"generator_rate": "-1"}, "generator_rate=-1 is not possible; expected a positive number, or 0"),
    ({"discriminator_rate": "inf"}, "discriminator_rate=inf is not possible; expected a positive number, or 0"),
    ({"steps": 9, "decay": "linear", "warm_up": 9},
     "warm_up=9 is not possible with decay=linear: the whole run has 9 steps"),
    ({"epochs": 2, "decay": "cosine", "warm_up": 8},
     "warm_up=8 is not possible with decay=cosine: the whole run has 8 steps"),
    ({"epochs": 2, "decay": "cosine", "rows": 21}, "rows=21 is not possible; there are 20 training images"),
])  # fmt: skip
def test_rates_that_cannot_be_are_refused(overrides, message):
    with pytest.raises(SettingError) as caught:
        played(**overrides)
    assert message in str(caught.value)


def test_by_epochs_a_decay_needs_the_data_and_a_summary_does_not(call):
    recipe = recipes.get("mnist-epochs")
    settings = with_overrides(recipe.settings, {"decay": "cosine", "hidden": "3,2"})
    with pytest.raises(SettingError, match="depend on how many training images there are; set rows"):
        recipe.build(settings, rng(), "float32")
    assert recipe.build(settings.for_data(Images(20)), rng(), "float32").generator_optimizer.steps == 0
    status, out, err = call("summary", "mnist-epochs", "--set", "decay=cosine", "--set", "hidden=3,2")
    assert (status, err) == (0, "") and "a generator step trains" in out
