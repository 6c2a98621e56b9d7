"""Gradient penalties: what the discriminator pays, besides its objective, for being steep; as objects.

A penalty says at which points the gradient of the score is taken, what is paid for it, and how that depends on the
gradient. `numgan.kernels.penalties` derives all of it, `numgan.nn.second_order` runs it; a step of the discriminator
adds the result to the gradient of its loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import ArgumentError, positive, shown, whole
from numgan.gan.objectives import Panel
from numgan.hints import Array, Config, Named
from numgan.kernels import penalties as kernels
from numgan.names import SaysOurs
from numgan.nn.calls import Call
from numgan.nn.replicas import column, one_or_each
from numgan.nn.second_order import SecondOrder

if TYPE_CHECKING:
    from numgan.gan.objectives import Objective
    from numgan.nn.network import Sequential

TINY = 1e-18  # a gradient's norm below it counts as this
REAL, GENERATED, BETWEEN = "real", "generated", "between"


class Penalty(SaysOurs, ABC):
    """A gradient penalty with weight λ or γ, worked out at every `every`-th discriminator step, then `every`-fold.

    weight  positive, or a list of one for each replica; default 10.
    every   k: a lazy penalty (Karras et al. 2020, arXiv:1912.04958, appendix B) is left out k − 1 times and then counts
            k times as much, the same on average for 1/k of the work. Default 1.

    The gradient is of the score, not of its sigmoid, and of the discriminator that the generator meets, in inference
    mode: its dropout rests. (PyTorch's usual code leaves it on.) Where each patch of an image has a score, it is that
    of their sum.

    name    what settings and model files call it.
    where   at which points: on real rows, on generated ones, or between pairs of them.
    """

    name = ""
    where: tuple[str, ...] = ()
    takes = ("weight", "every")
    columns = ("gradient_norm", "penalty")
    ideal = 0.0  # the norm at which nothing is paid

    def __init__(self, weight: float | Sequence[float] = 10.0, every: int = 1) -> None:
        self.weight = one_or_each(f"{type(self).__name__} weight", weight, positive)
        self.every = whole(f"{type(self).__name__} every", every)

    @property
    def mixes(self) -> bool:
        """Whether it takes a random number for each pair."""
        return BETWEEN in self.where

    def check(self, objective: Objective, discriminator: Sequential) -> None:
        """Raise unless all layers of the discriminator have what a penalty takes, and nothing else bounds them."""
        for layer in discriminator.layers[: discriminator.logit_depth]:
            layer.check_tangent()
        if objective.clip:
            raise ArgumentError(
                f"{self!r} takes the place of clipping the weights, got {objective!r}; use clip=0 with a penalty"
            )

    # ---------------------------------------------------------------------------------- what every penalty has to say

    @abstractmethod
    def elements(self, norm: Array) -> Array:
        """What is paid for each sample, from the norms (…, 1, N) of the gradients."""

    @abstractmethod
    def slopes(self, gradient: Array, norm: Array, count: int, out: Array) -> Call:
        """The call that writes v = ∂P/∂g, `every`-fold; the mean is over `count` samples."""

    # --------------------------------------------------------------------------------------------- what follows from it

    def measure(self, norm: Array) -> Named:
        """name -> value of its columns, from the norms (…, rows, 1) of one step or several."""
        rows = norm.shape[-2] // len(self.where)
        paid = self.elements(norm).sum(axis=(-2, -1), dtype=np.float64) / rows
        return dict(zip(self.columns, (norm.mean(axis=(-2, -1), dtype=np.float64), paid), strict=True))

    @property
    def panels(self) -> list[Panel]:
        """For history.png."""
        lines = [(1.0, "nothing is paid at 1")] if self.ideal else []
        return [
            Panel(f"Gradient penalty ({self.name})", [("penalty", "added to the loss", "tab:green")], [], (0, None)),
            Panel("Gradient of the score", [("gradient_norm", "mean norm", "tab:green")], lines, (0, None)),
        ]

    def config(self) -> Config:
        """The keyword arguments that make this penalty again, as JSON-ready values."""
        return {name: getattr(self, name) for name in self.takes}

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


class WassersteinPenalty(Penalty):
    """WGAN-GP, λ·mean (‖∇f(x̂)‖ − 1)² at points x̂ = fake + u·(real − fake), u uniform in [0, 1): Gulrajani et al. 2017,
    arXiv:1704.00028, eq. 3. In place of clipping the weights: along the lines on which the best critic of the
    Wasserstein distance has slope 1.

    >>> critic = Sequential([Dense(1)], 2, rng)  # w·x + b, whose slope is w everywhere
    >>> gan = GAN(Sequential([Dense(2)], 3, rng), critic, objective=Wasserstein(clip=0), penalty=WassersteinPenalty(10))
    >>> history = gan.fit(SinePoints(), steps=1, batch_size=8, rng=rng)
    >>> round(float(history["penalty"][0] / (history["gradient_norm"][0] - 1) ** 2), 3)  # λ
    10.0
    """

    name, where, ideal = "wgan-gp", (BETWEEN,), 1.0

    def elements(self, norm: Array) -> Array:
        out = np.empty_like(norm)
        kernels.norm_penalty_forward(norm, column(self.weight, norm.dtype, 2), out)
        return out

    def slopes(self, gradient: Array, norm: Array, count: int, out: Array) -> Call:
        scale = column(2 * np.array(self.weight) / count * self.every, gradient.dtype, 2)
        constants = {"two_weight_over_count": scale, "tiny": np.array(TINY, gradient.dtype)}
        arguments = {"gradient": gradient, "norm": norm} | constants
        return _call(kernels.norm_penalty_backward, arguments | {"row": np.empty_like(norm), "out": out})


class ZeroCentredPenalty(Penalty):
    """What R1 and R2 share: γ/2·mean ‖∇f(x)‖²."""

    def elements(self, norm: Array) -> Array:
        out = np.empty_like(norm)
        kernels.square_penalty_forward(norm, column(np.array(self.weight) / 2, norm.dtype, 2), out)
        return out

    def slopes(self, gradient: Array, norm: Array, count: int, out: Array) -> Call:
        scale = column(np.array(self.weight) / count * self.every, gradient.dtype, 2)
        arguments = {"gradient": gradient, "weight_over_count": scale, "out": out}
        return _call(kernels.square_penalty_backward, arguments)


class R1(ZeroCentredPenalty):
    """γ/2·mean ‖∇f(x)‖² on real rows: Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406, eq. 9.

    >>> critic = Sequential([Dense(1)], 2, rng)  # w·x + b, whose slope is w everywhere
    >>> gan = GAN(Sequential([Dense(2)], 3, rng), critic, objective="hinge", penalty=R1(weight=10))
    >>> history = gan.fit(SinePoints(), steps=1, batch_size=8, rng=rng)
    >>> round(float(history["penalty"][0] / history["gradient_norm"][0] ** 2), 4)  # γ/2
    5.0
    """

    name, where = "r1", (REAL,)


class R2(ZeroCentredPenalty):
    """γ/2·mean ‖∇f(x)‖² on generated rows: arXiv:1801.04406, eq. 10.

    >>> critic = Sequential([Dense(1)], 2, rng)
    >>> gan = GAN(Sequential([Dense(2)], 3, rng), critic, objective="hinge", penalty=R2(weight=0.1, every=4))
    >>> history = gan.fit(SinePoints(), steps=8, batch_size=8, rng=rng)
    >>> (np.flatnonzero(~np.isnan(history["penalty"])) + 1).tolist()  # the steps that paid it, fourfold
    [1, 5]
    """

    name, where = "r2", (GENERATED,)


class R1R2(ZeroCentredPenalty):
    """R1 + R2, as R3GAN has them: Huang et al. 2024, arXiv:2501.05441.

    >>> critic = Sequential([Dense(1)], 2, rng)  # w·x + b, whose slope is w everywhere
    >>> gan = GAN(Sequential([Dense(2)], 3, rng), critic, objective="relativistic", penalty=R1R2(weight=10))
    >>> history = gan.fit(SinePoints(), steps=1, batch_size=8, rng=rng)
    >>> round(float(history["penalty"][0] / history["gradient_norm"][0] ** 2), 4)  # γ/2 for real and for generated rows
    10.0
    """

    name, where = "r1+r2", (REAL, GENERATED)


PENALTIES = {cls.name: cls for cls in (WassersteinPenalty, R1, R2, R1R2)}


def get(penalty: Penalty | str | None) -> Penalty | None:
    """The penalty of that name with its defaults; a `Penalty`, or None, is returned as it is."""
    if penalty is None or isinstance(penalty, Penalty):
        return penalty
    if not (isinstance(penalty, str) and penalty in PENALTIES):
        raise ArgumentError(f"penalty must be None, a Penalty or one of {tuple(PENALTIES)}, got {shown(penalty)}")
    return PENALTIES[penalty]()


def penalty_calls(
    penalty: Penalty, network: Sequential, where: Sequence[str], rows: Named, mix: Array | None, norms: Array
) -> tuple[list[Call], SecondOrder | None]:
    """The calls that add a penalty's gradient to the network's, and what they run in, whose `conditions` are those of
    its points: of each kind one after the other.

    where  which kinds of its points: all, or those of one of two updates.
    rows   REAL and GENERATED -> the buffers (…, n, batch) of the step, as far as it has them.
    mix    (…, 1, batch), for points between them.
    norms  (…, 1, len(where)·batch), to be written: the norms of the gradients.
    """
    if not where:
        return [], None
    batch = next(iter(rows.values())).shape[-1]
    second = SecondOrder(network, batch * len(where), network.logit_depth)
    points = np.split(second.points, len(where), axis=-1)
    measured = {"gradient": second.gradient, "temp": np.empty_like(second.gradient), "out": norms}
    calls = [
        *(_place(kind, rows, mix, out) for kind, out in zip(where, points, strict=True)),
        *second.first,
        _call(kernels.gradient_norms, measured),
        penalty.slopes(second.gradient, norms, batch, second.direction),
        *second.second,
    ]
    return calls, second


def _place(kind, rows, mix, out):
    """The call that writes the points of one kind."""
    if kind == BETWEEN:
        return _call(kernels.interpolate, {"real": rows[REAL], "fake": rows[GENERATED], "mix": mix, "out": out})
    return _call(np.copyto, {"dst": out, "src": rows[kind]}, f"{kind} rows")


def _call(kernel: Any, arguments: dict[str, Any], layer: str = "") -> Call:
    return Call(kernel, arguments, "penalty", layer, "penalty")
