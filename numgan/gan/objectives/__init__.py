"""The rules of the game: what either side minimises, as objects.

The discriminator scores real rows x and generated rows G(z); an objective says what both sides make of the scores. It
knows what the discriminator ends in, writes both sides' gradients at the scores, gives the losses themselves (for the
history, and for the checker to differentiate), names the columns of the history and the values that theory gives them
at the equilibrium. Steps, history, plots, command line and checker ask it; none of them knows a game by name.

    base           `Objective`, what all of them have to say
    cross_entropy  the minimax game: probabilities, and two generators
    critics        Wasserstein, least squares, hinge, relativistic pairing: scores

To add one: subclass `Unpaired` (or `Objective`, where real and generated rows are compared in pairs), its kernels in
`numgan.kernels.losses`, and list it in OBJECTIVES.
"""

from __future__ import annotations

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
    "Panel",
    "Relativistic",
    "Unpaired",
    "Wasserstein",
    "get",
]

OBJECTIVES = {cls.name: cls for cls in (NonSaturating, Minimax, Wasserstein, LeastSquares, Hinge, Relativistic)}


def get(objective: Objective | str) -> Objective:
    """The objective of that name with its defaults; an `Objective` is returned as it is."""
    if isinstance(objective, Objective):
        return objective
    if not (isinstance(objective, str) and objective in OBJECTIVES):
        raise ArgumentError(f"objective must be an Objective or one of {tuple(OBJECTIVES)}, got {shown(objective)}")
    return OBJECTIVES[objective]()
