"""Every target of `numgan gradcheck`: those of `gradcheck.targets`, and the recipes' whole GANs.

A check is a function (seed, tolerance) -> Report.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from numgan import data
from numgan.gradcheck import targets
from numgan.gradcheck.differences import check_gradients
from numgan.gradcheck.targets import titled
from numgan.study import recipes

if TYPE_CHECKING:
    from numgan.gradcheck.report import Report


def sine_gradients(seed: int, tolerance: float) -> Report:
    """Every coordinate of the sine GAN: both networks, points and noise."""
    rng = np.random.default_rng(seed)
    recipe, real = recipes.get("sine"), np.empty((16, 2))
    data.SinePoints().sample(16, rng, real)
    model = recipe.build(recipe.settings, rng, "float64")
    return titled("sine", check_gradients(model, (real, rng.standard_normal((16, 5))), tolerance=tolerance, seed=seed))


def mnist_gradients(name: str, coordinates: int | None, directions: int, seed: int, tolerance: float) -> Report:
    """A recipe's full GAN on digits: random directions through every tensor, and some of its coordinates."""
    rng = np.random.default_rng(seed)
    recipe, real = recipes.get(name), np.empty((8, 784))
    data.load_mnist().sample(8, rng, real)
    model = recipe.build(recipe.settings, rng, "float64")
    x = real, rng.standard_normal((8, 100))
    report = check_gradients(model, x, coordinates=coordinates, directions=directions, tolerance=tolerance, seed=seed)
    return titled(name, report)


TARGETS = targets.TARGETS | {
    "sine": [sine_gradients],
    "mnist": [partial(mnist_gradients, "mnist", 4, 2)],
    "mnist-epochs": [partial(mnist_gradients, "mnist-epochs", 1, 1)],
}
