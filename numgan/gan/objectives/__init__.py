"""The rules of the game: what either side minimises, as objects.

The discriminator scores real rows x and generated rows G(z); an objective says what both sides make of the scores. It
knows what the discriminator ends in, writes both sides' gradients at the scores, gives the losses themselves (for the
history, and for the checker to differentiate), names the columns of the history and the values that theory gives them
at the equilibrium. Steps, history, plots, command line and checker ask it; none of them knows a game by name.

    base           `Objective`, what all of them have to say
    cross_entropy  the minimax game: probabilities, and two generators
    critics        Wasserstein, least squares, hinge, relativistic pairing: scores
    own            `OwnLosses`, for losses of one's own: three functions of a score

To add one to numgan: subclass `Unpaired` (or `Objective`, where real and generated rows are compared in pairs), its
kernels in `numgan.kernels.losses`, and list it in OBJECTIVES.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgan.errors import ArgumentError, shown
from numgan.gan.objectives.base import Objective, Panel, Unpaired
from numgan.gan.objectives.critics import Hinge, LeastSquares, Relativistic, Wasserstein
from numgan.gan.objectives.cross_entropy import (
    MEAN_OR_SUM,
    DiscriminatorMetrics,
    GeneratorMetrics,
    Minimax,
    NonSaturating,
)
from numgan.gan.objectives.own import OwnLosses
from numgan.hints import Config

__all__ = [
    "MEAN_OR_SUM",
    "OBJECTIVES",
    "DiscriminatorMetrics",
    "GeneratorMetrics",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Objective",
    "OwnLosses",
    "Panel",
    "Relativistic",
    "Unpaired",
    "Wasserstein",
    "get",
]

OBJECTIVES = {cls.name: cls for cls in (NonSaturating, Minimax, Wasserstein, LeastSquares, Hinge, Relativistic)}


def described(objective: Objective) -> list[Any]:
    """[name, settings] of an objective, as files keep it, or an error where they would bring another one back."""
    settings = objective.checked_config()
    if type(objective) is not OBJECTIVES.get(objective.name, type(objective)):
        raise ArgumentError(
            f"the objective {type(objective).__name__} cannot be saved: {shown(objective.name)} is one of numgan's; "
            "give it a name of its own"
        )
    return [objective.name, settings]


def made(name: str, settings: Config, own: Sequence[type[Objective]] = ()) -> Objective:
    """The objective that `described` is of: one of numgan's, or one of `own`."""
    known = {kind.name: kind for kind in own} | OBJECTIVES
    if name not in known:
        raise ArgumentError(
            f"its objective is {shown(name)}; known are {', '.join(known)}, and GAN.load(path, objectives=[…]) takes "
            "one's own"
        )
    return known[name](**settings)


def get(objective: Objective | str) -> Objective:
    """The objective of that name with its defaults; an `Objective` is returned as it is."""
    if isinstance(objective, Objective):
        return objective
    if not (isinstance(objective, str) and objective in OBJECTIVES):
        raise ArgumentError(f"objective must be an Objective or one of {tuple(OBJECTIVES)}, got {shown(objective)}")
    return OBJECTIVES[objective]()
