"""Every target of `numgan gradcheck`: those of `gradcheck.targets`, and the recipes' whole GANs.

A check is a function (seed, tolerance) -> Report.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from numgan.gan.conditions import Together
from numgan.gradcheck import targets
from numgan.gradcheck.check import check_gradients
from numgan.gradcheck.report import Report
from numgan.gradcheck.targets import titled
from numgan.study import recipes
from numgan.study.settings import with_overrides


def recipe_gradients(name: str, seed: int, tolerance: float) -> Report:
    """A recipe's GAN on its own data: every coordinate, or as many as the recipe's `gradient_check` says."""
    rng = np.random.default_rng(seed)
    recipe = recipes.get(name)
    how = dict(recipe.gradient_check)
    rows, settings = how.pop("rows"), with_overrides(recipe.settings, how.pop("settings", {}))
    noise = how.pop("noise", 0)
    gan, data = recipe.build(settings, rng, "float64"), Together(recipe.load(None, settings)[0])
    drawn = np.empty((rows, *data.shape))
    data.sample(rows, rng, drawn)
    real, conditions = data.split(drawn)
    if noise:
        real = real + rng.normal(0, noise, real.shape)
    x = real, gan.draw_noise(rows, rng)
    return titled(name, check_gradients(gan, x, conditions=conditions, tolerance=tolerance, seed=seed, **how))


TARGETS = targets.TARGETS | {
    name: [partial(recipe_gradients, name)] for name, recipe in recipes.RECIPES.items() if recipe.gradient_check
}
