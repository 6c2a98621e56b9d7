"""Recipes: the systems of the source documents, and test beds of the field, as data — networks, optimiser, schedule,
data set — with every number a setting that can be overridden. A family a file.
"""

from __future__ import annotations

from typing import Any

from numgan.study.recipes.conditional import Captions, MnistConditional, Translate
from numgan.study.recipes.digits import Mnist, MnistBest, MnistEpochs
from numgan.study.recipes.images import Emoji, MnistDcgan, Pictures, StackedMnist
from numgan.study.recipes.points import Ring, Sine, SineDiscriminator
from numgan.study.settings import SettingError

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Mnist(), MnistBest(), MnistEpochs(), MnistDcgan(), StackedMnist(), Emoji(), Pictures(),
        MnistConditional(), Translate(), Captions(), Sine(), SineDiscriminator(), Ring(),
    )
}  # fmt: skip


def get(name: str) -> Any:
    """The recipe of that name, or SettingError with the names there are."""
    if name not in RECIPES:
        raise SettingError(f"no recipe {name!r}; the recipes are {', '.join(RECIPES)}")
    return RECIPES[name]
