"""The rules of the game: what either side minimises, as objects.

The discriminator scores real rows x and generated rows G(z); an objective says what both sides make of the scores. It
knows what the discriminator ends in, writes both sides' gradients at the scores, gives the losses themselves (for the
history, and for the checker to differentiate), names the columns of the history and the values that theory gives them
at the equilibrium. Steps, history, plots, command line and checker ask it; none of them knows a game by name.

To add one: subclass `Objective`, its kernels in `numgan.kernels.losses`, and list it in OBJECTIVES.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from numgan.errors import ArgumentError, one_of, positive, shown
from numgan.hints import Array, Config, Named
from numgan.kernels import losses as kernels
from numgan.kernels.activations import sigmoid_forward
from numgan.kernels.optimizers import clip_weights
from numgan.nn.activations import Sigmoid
from numgan.nn.calls import Call
from numgan.nn.losses import BinaryCrossEntropy, logit_constants, trusting

if TYPE_CHECKING:
    from numgan.nn.layer import Layer
    from numgan.nn.network import Sequential

MEAN_OR_SUM = ("mean", "sum")
UNSMOOTHED = trusting(BinaryCrossEntropy(from_logits=True))  # the scores of a training may be anything


class Panel(NamedTuple):
    """One panel of history.png: curves [(column, label, colour)], and lines [(height, label)] that theory draws."""

    title: str
    curves: list[tuple[str, str, str]]
    lines: Sequence[tuple[float, str]] = ()
    limits: tuple[float | None, float | None] = (None, None)  # lowest and highest value shown


class Objective(ABC):
    """What both sides of the game minimise. Scores are arrays (…, 1, N) or (…, N, 1), whatever the caller has.

    name         what settings and model files call it.
    undecided    what a discriminator that can only guess answers, or None where answers are no probabilities.
    columns      of the history, worked out at every look.
    derived      column -> function of the history, worked out on asking.
    panels       of history.png, with the lines that theory gives the equilibrium.
    watched      the columns that a run's progress shows, in order: (heading, column, format).
    takes        the settings of the constructor.
    """

    name = ""
    undecided: float | None = None
    columns: tuple[str, ...] = ()
    derived: Mapping[str, Callable[[Any], Array]] = MappingProxyType({})
    panels: Sequence[Panel] = ()
    watched: Sequence[tuple[str, str, str]] = ()
    takes: tuple[str, ...] = ()

    def config(self) -> Config:
        """The keyword arguments that make this objective again, as JSON-ready values."""
        return {name: getattr(self, name) for name in self.takes}

    def closing(self) -> list[Layer]:
        """New layers for the discriminator to end in, behind its one score."""
        return []

    def check(self, discriminator: Sequential) -> None:
        """Raise unless the discriminator ends in what this objective reads."""
        probability = discriminator.logit_depth < len(discriminator.layers)
        if discriminator.shapes[-1] != (1,) or probability != bool(self.closing()):
            ends = ", ".join(["Dense(1)", *map(repr, self.closing())])
            raise ArgumentError(
                f"the objective {self.name} reads a discriminator that must end in {ends}; '{discriminator.name}' ends "
                f"in {discriminator.layers[-1]!r} and gives {discriminator.shapes[-1]}"
            )

    def after_update(self, network: Sequential) -> list[Call]:
        """Calls that follow every update of the discriminator."""
        return []

    # ------------------------------------------------------------------------- what every objective has to say itself

    @abstractmethod
    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        """Calls that write ∂L/∂z for scores z whose first `reals` columns are of real rows, all others of fakes."""

    @abstractmethod
    def generator_gradient(self, z: Array, out: Array) -> list[Call]:
        """Calls that write ∂L/∂z for the scores z of fakes."""

    @abstractmethod
    def real_losses(self, z: Array) -> Array:
        """The discriminator's loss on every real row, from its score."""

    @abstractmethod
    def fake_losses(self, z: Array) -> Array:
        """The discriminator's loss on every generated row."""

    @abstractmethod
    def generator_losses(self, z: Array) -> Array:
        """The generator's loss on every generated row."""

    @abstractmethod
    def measure_discriminator(self, real: Array, fake: Array) -> Named:
        """name -> value of the discriminator's columns, from scores (…, batch, 1) of real and of generated rows."""

    @abstractmethod
    def measure_generator(self, z: Array) -> Named:
        """name -> value of the generator's columns, from scores (…, batch, 1) of its rows."""

    # --------------------------------------------------------------------------------------------- what follows from it

    def shares(self) -> tuple[float, float]:
        """(real, fake): the weights of the two means in the discriminator's loss on both at once."""
        return 1.0, 1.0

    def discriminator_metrics(self, real: Array, fake: Array) -> Any:
        """A record of the discriminator's columns, from scores (…, batch, 1) of real and of generated rows."""
        return _record("DiscriminatorMetrics", self.measure_discriminator(real, fake))

    def generator_metrics(self, z: Array) -> Any:
        """A record of the generator's columns, from scores (…, batch, 1) of its rows."""
        return _record("GeneratorMetrics", self.measure_generator(z))

    def summary(self, last: Callable[[str, str], str]) -> list[str]:
        """Lines on the end of a run, from the last means of its columns: last(column, format) is one as text."""
        return [f"{heading:<26} {last(column, form)}" for heading, column, form in self.watched]

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


# ------------------------------------------------------------------------------------------------ the minimax game
#
# min_G max_D V(D, G) = E[log D(x)] + E[log(1 − D(G(z)))], D = σ(score): Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.
# Maximising V is minimising binary cross-entropy with real rows labelled 1 and generated ones 0. At the equilibrium
# D = ½ everywhere and V = −log 4 (theorem 1).


class DiscriminatorMetrics(NamedTuple):
    """Of one discriminator step, before its update: binary cross-entropy and accuracy on real and on fake rows.

    loss is the mean of loss_real and loss_fake, or their sum where the objective's `discriminator_loss` says so.
    """

    loss_real: float
    loss_fake: float
    accuracy_real: float
    accuracy_fake: float
    loss: float

    @property
    def accuracy(self) -> float:
        return (self.accuracy_real + self.accuracy_fake) / 2


class GeneratorMetrics(NamedTuple):
    """Of one generator step, before its update: its objective, and the share of fakes that passed as real."""

    loss: float
    accuracy: float


class _CrossEntropyGame(Objective):
    """The discriminator's side of the minimax game, which both generators share.

    label_smoothing     s in [0, ½): real rows are labelled 1 − s, generated ones 0. Default 0.
    discriminator_loss  "mean" (default) or "sum" of its mean losses on real and on generated rows.
    """

    undecided = 0.5
    columns = (
        *("d_loss_real", "d_loss_fake", "d_accuracy_real", "d_accuracy_fake", "g_loss", "g_accuracy"),
        *("d_real", "d_fake", "value"),
    )
    takes = ("label_smoothing", "discriminator_loss")
    watched = (
        ("discriminator: loss", "d_loss", ".3f"),
        ("real ✓", "d_accuracy_real", ".0%"),
        ("fake ✓", "d_accuracy_fake", ".0%"),
        ("generator: loss", "g_loss", ".3f"),
        ("passed as real", "g_accuracy", ".0%"),
    )
    _target, _weight = 1.0, 1  # the generator minimises weight × cross-entropy against this label

    def __init__(self, label_smoothing: float = 0.0, discriminator_loss: str = "mean") -> None:
        self._loss = trusting(BinaryCrossEntropy(from_logits=True, label_smoothing=label_smoothing))
        self.label_smoothing = self._loss.label_smoothing
        self.discriminator_loss = one_of("discriminator_loss", discriminator_loss, MEAN_OR_SUM)
        self.real_target = self._loss.smooth(1.0)

    @property
    def derived(self) -> Mapping[str, Callable[[Any], Array]]:
        return {"d_loss": lambda h: self._whole(h, "loss"), "d_accuracy": lambda h: self._whole(h, "accuracy")}

    @property
    def summed(self) -> bool:
        return self.discriminator_loss == "sum"

    def _whole(self, history, what):
        both = history[f"d_{what}_real"] + history[f"d_{what}_fake"]
        return both if what == "loss" and self.summed else both / 2

    def closing(self) -> list[Layer]:
        return [Sigmoid()]

    # ------------------------------------------------------------------------------------------------- gradients

    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        count = z.shape[-1]
        target = np.repeat(np.array([self.real_target, 0.0], z.dtype), [reals, count - reals])
        both = 0 < reals < count
        return [_cross_entropy_gradient(z, out, target, 2 if both and self.summed else 1)]  # a sum is twice the mean

    def generator_gradient(self, z: Array, out: Array) -> list[Call]:
        return [_cross_entropy_gradient(z, out, np.array(self._target, z.dtype), self._weight)]

    # ---------------------------------------------------------------------------------------------------- values

    def real_losses(self, z: Array) -> Array:
        return self._loss.elements(z, 1.0)

    def fake_losses(self, z: Array) -> Array:
        return self._loss.elements(z, 0.0)

    def shares(self) -> tuple[float, float]:
        return (1.0, 1.0) if self.summed else (0.5, 0.5)

    def generator_losses(self, z: Array) -> Array:
        # no label is smoothed here
        return self._weight * UNSMOOTHED.elements(z, self._target)

    def measure_discriminator(self, real: Array, fake: Array) -> Named:
        loss_real, loss_fake = _mean(self.real_losses(real)), _mean(self.fake_losses(fake))
        # V has label 1 whatever the target: (log(1 + eᶻ) − z) is (log(1 + eᶻ) − t·z) less (1 − t)·z
        value = (1 - self.real_target) * _mean(real) - loss_real - loss_fake
        return {
            "d_loss_real": loss_real,
            "d_loss_fake": loss_fake,
            "d_accuracy_real": _mean(real > 0),
            "d_accuracy_fake": _mean(fake <= 0),
            "d_real": _mean_probability(real),
            "d_fake": _mean_probability(fake),
            "value": value,
        }

    def measure_generator(self, z: Array) -> Named:
        return {"g_loss": _mean(self.generator_losses(z)), "g_accuracy": _mean(z > 0)}

    def discriminator_metrics(self, real: Array, fake: Array) -> Any:
        m = self.measure_discriminator(real, fake)
        losses = m["d_loss_real"], m["d_loss_fake"]
        loss = (losses[0] + losses[1]) * (1 if self.summed else 0.5)
        return DiscriminatorMetrics(*losses, m["d_accuracy_real"], m["d_accuracy_fake"], loss)

    def generator_metrics(self, z: Array) -> Any:
        return GeneratorMetrics(*self.measure_generator(z).values())

    # -------------------------------------------------------------------------------------------------- pictures

    @property
    def panels(self) -> Sequence[Panel]:
        def two(what, whole):
            return [
                (f"d_{what}_real", "on real", "tab:blue"),
                (f"d_{what}_fake", "on generated", "tab:red"),
                (f"d_{what}", f"both: their {whole}", "0.2"),
            ]

        generator = [("g_loss", "generator", "darkorange")]
        undecided = (self._weight * np.log(2), f"{'−' if self._weight < 0 else ''}log 2: undecided")
        side = (None, 0) if self._weight < 0 else (0, None)
        says = [("d_real", "mean D(x) on real", "tab:blue"), ("d_fake", "mean D(G(z)) on generated", "tab:red")]
        shares = (-0.03, 1.03)
        guessing = [(np.log(2), "log 2: undecided"), *([(np.log(4), "log 4: their sum")] if self.summed else [])]
        return [
            Panel("Discriminator loss", two("loss", self.discriminator_loss), guessing, (0, None)),
            Panel(f"Generator loss ({self.name})", generator, [undecided], side),
            Panel("Value of the game", [("value", "V(D, G)", "purple")], [(-np.log(4), "equilibrium: V = −log 4")]),
            Panel("Discriminator accuracy", two("accuracy", "mean"), [], shares),
            Panel("Generator accuracy", [("g_accuracy", "generator", "darkorange")], [], shares),
            Panel("What the discriminator says", says, [(self.undecided, "equilibrium: D = ½")], shares),
        ]

    def summary(self, last: Callable[[str, str], str]) -> list[str]:
        return [
            f"discriminator   loss {last('d_loss', '.3f')}   accuracy {last('d_accuracy_real', '.0%')} on real, "
            f"{last('d_accuracy_fake', '.0%')} on generated",
            f"generator       loss {last('g_loss', '.3f')}   accuracy {last('g_accuracy', '.0%')} (passed as real)",
            f"game            V = {last('value', '.3f')} (equilibrium: −log 4 = −1.386)   "
            f"mean D {last('d_real', '.3f')} on real, {last('d_fake', '.3f')} on generated",
        ]


class NonSaturating(_CrossEntropyGame):
    """The generator minimises −E[log D(G(z))], cross-entropy against label 1 (arXiv:1406.2661, section 3)."""

    name = "non-saturating"


class Minimax(_CrossEntropyGame):
    """The generator minimises E[log(1 − D(G(z)))], V itself: minus the cross-entropy against label 0.

    Its gradient −σ(score) vanishes where the discriminator is sure that a row is fake, which is where the generator
    needs it: it saturates.
    """

    name = "minimax"
    _target, _weight = 0.0, -1


# --------------------------------------------------------------------------------------------- Wasserstein distance


class Wasserstein(Objective):
    """The critic f minimises E[f(G(z))] − E[f(x)], the generator −E[f(G(z))]: Arjovsky et al. 2017, arXiv:1701.07875.

    clip  c: after every update the critic's parameters are clipped to [−c, c]. Default 0.01, as in algorithm 1.
    """

    name, takes = "wasserstein", ("clip",)
    columns = ("score_real", "score_fake", "g_loss")
    derived = MappingProxyType({"distance": lambda h: h["score_real"] - h["score_fake"]})
    watched = (("critic: on real", "score_real", ".4f"), ("on generated", "score_fake", ".4f"),
               ("their distance", "distance", ".4f"))  # fmt: skip
    panels = (
        Panel("Critic's scores", [("score_real", "on real", "tab:blue"), ("score_fake", "on generated", "tab:red")]),
        Panel("Distance of the scores", [("distance", "real − generated", "purple")], [(0, "equilibrium: zero")]),
        Panel("Generator loss (wasserstein)", [("g_loss", "generator", "darkorange")]),
    )

    def __init__(self, clip: float = 0.01) -> None:
        self.clip = positive("clip", clip)

    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        fakes = z.shape[-1] - reals
        slope = np.repeat(np.array([-1 / max(reals, 1), 1 / max(fakes, 1)], z.dtype), [reals, fakes])
        return [Call(kernels.critic_backward, {"slope": slope, "out": out}, layer="loss", direction="backward")]

    def generator_gradient(self, z: Array, out: Array) -> list[Call]:
        return self.discriminator_gradient(z, out, z.shape[-1])  # fakes are to be scored as real rows are

    def after_update(self, network: Sequential) -> list[Call]:
        theta, bounds = network.values, (np.array(c, network.dtype) for c in (-self.clip, self.clip))
        arguments = dict(zip(("theta", "low", "high"), (theta, *bounds), strict=True))
        return [Call(clip_weights, arguments, network.name, "all parameters", "update")]

    def real_losses(self, z: Array) -> Array:
        return self._elements(z, -1)

    def fake_losses(self, z: Array) -> Array:
        return self._elements(z, 1)

    generator_losses = real_losses

    def _elements(self, z, sign):
        out = np.empty_like(z)
        kernels.critic_forward(z, sign, out)
        return out

    def measure_discriminator(self, real: Array, fake: Array) -> Named:
        return {"score_real": _mean(real), "score_fake": _mean(fake)}

    def measure_generator(self, z: Array) -> Named:
        return {"g_loss": _mean(self.generator_losses(z))}


# -------------------------------------------------------------------------------------------------------- in common


def _cross_entropy_gradient(z, out, target, weight):
    """The call that writes ∂(weight·mean cross-entropy)/∂z."""
    offset, half, half_over_count = logit_constants(target, z.shape, weight)
    arguments = {"z": z, "offset": offset, "half": half, "half_over_count": half_over_count, "out": out}
    return Call(kernels.bce_logits_backward, arguments, layer="loss", direction="backward")


def _record(name, columns):
    return _record_type(name, tuple(columns))(*columns.values())


_record_type = functools.cache(namedtuple)


def _mean(elements):
    """Over the batch: (…, batch, 1) to (…), in float64."""
    return elements.mean(axis=(-2, -1), dtype=np.float64)


def _mean_probability(z):
    """The mean of D = σ(z) over the batch: scores (…, batch, 1) to an array (…)."""
    probability = np.empty_like(z)
    sigmoid_forward(z, np.empty_like(z), out=probability)
    return _mean(probability)


OBJECTIVES = {cls.name: cls for cls in (NonSaturating, Minimax, Wasserstein)}


def get(objective: Objective | str) -> Objective:
    """The objective of that name with its defaults; an `Objective` is returned as it is."""
    if isinstance(objective, Objective):
        return objective
    if not (isinstance(objective, str) and objective in OBJECTIVES):
        raise ArgumentError(f"objective must be an Objective or one of {tuple(OBJECTIVES)}, got {shown(objective)}")
    return OBJECTIVES[objective]()
