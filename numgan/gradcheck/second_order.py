"""A gradient penalty as the checker sees it: the penalty itself, from first-order passes alone, and its gradient.

What differences are taken of is P as it is defined, at points worked out here from the rows, from norms worked out here
from ∇ₓ score. Nothing of the tangent or curvature pass is in it. The input gradient, which is, is held against
differences of its own in every check of a discriminator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from numgan.gan.penalty import BETWEEN, GENERATED, REAL, penalty_calls
from numgan.gan.steps import SEPARATE
from numgan.hints import Array, Named
from numgan.nn.calls import runs
from numgan.nn.second_order import SecondOrder

if TYPE_CHECKING:
    from numgan.gan.model import GAN
    from numgan.gan.penalty import Penalty
    from numgan.nn.network import Sequential


class Paid:
    """What one update of the discriminator pays: a penalty at points that are held fixed, as often as it counts.

    where   which kinds of the penalty's points belong to the update.
    rows    REAL, GENERATED -> (batch, *shape); mix (batch,).
    given   the conditions of these rows, name -> (batch, *shape).
    """

    def __init__(self, penalty: Penalty, where: Sequence[str], rows: Named, mix: Array, given: Named) -> None:
        real, fake = (a.reshape(len(a), -1).T for a in (rows[REAL], rows[GENERATED]))
        points = {REAL: real, GENERATED: fake, BETWEEN: mix * real + (1 - mix) * fake}
        self._penalty, self._count, self._kinds = penalty, len(mix), len(where)
        self._points = np.concatenate([points[kind] for kind in where], axis=-1)
        self._given = {name: np.concatenate([c] * len(where)) for name, c in given.items()}

    def terms(self, network: Sequential) -> Callable[[], Array]:
        """The function that gives the terms of P (…, points), from the network as it is at the call."""
        second = SecondOrder(network, self._points.shape[-1], network.logit_depth, learn=False)
        second.points[...] = self._points
        network.fill_conditions(second, self._given)
        calls = runs(second.first)

        def run():
            for call in calls:
                call()
            norm = np.sqrt((second.gradient**2).sum(axis=-2, keepdims=True))
            return self._penalty.every * self._penalty.elements(norm)[..., 0, :] / self._count

        return run

    def adding(self, network: Sequential) -> Callable[[], None]:
        """The function that adds ∂P/∂W to network.grads: the calls of a training step, on these points."""
        norms = np.zeros((1, self._points.shape[-1]))
        points = np.split(self._points, self._kinds, axis=-1)
        bound = []
        for own, part in zip(points, np.split(norms, self._kinds, axis=-1), strict=True):
            calls, second = penalty_calls(self._penalty, network, [REAL], {REAL: own}, None, part)
            network.fill_conditions(second, {name: c[: self._count] for name, c in self._given.items()})
            bound += runs(calls)

        def run():
            for call in bound:
                call()

        return run


def payments(gan: GAN, rows: Named, mix: Array, given: Named) -> list[Paid | None]:
    """What each update of a discriminator step pays: one, or two under the separate schedule."""
    penalty = gan.penalty
    if penalty is None:
        return [None, None]
    shares = [penalty.where]
    if gan.schedule == SEPARATE:
        shares = [[kind for kind in penalty.where if (kind == REAL) == first] for first in (True, False)]
    return [Paid(penalty, where, rows, mix, given) if where else None for where in shares]
