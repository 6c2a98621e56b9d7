"""The minimax game, whose discriminator predicts probabilities, and its two generators.

min_G max_D V(D, G) = E[log D(x)] + E[log(1 − D(G(z)))], D = σ(score): Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.
Maximising V is minimising binary cross-entropy with real rows labelled 1 and generated ones 0. At the equilibrium
D = ½ everywhere and V = −log 4 (theorem 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from numgan.errors import fraction, one_of
from numgan.gan.objectives.base import Panel, Unpaired, mean, share
from numgan.hints import Array, Named
from numgan.kernels import losses as kernels
from numgan.kernels.activations import sigmoid_forward
from numgan.nn.activations import Sigmoid
from numgan.nn.calls import Call
from numgan.nn.losses import BinaryCrossEntropy, logit_constants, trusting
from numgan.nn.replicas import column, one_or_each

if TYPE_CHECKING:
    from numgan.nn.layer import Layer

MEAN_OR_SUM = ("mean", "sum")
LOGITS = trusting(BinaryCrossEntropy(from_logits=True))  # the scores of a training may be anything


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
        """The mean of both."""
        return (self.accuracy_real + self.accuracy_fake) / 2


class GeneratorMetrics(NamedTuple):
    """Of one generator step, before its update: its objective, and the share of fakes that passed as real."""

    loss: float
    accuracy: float


class _CrossEntropyGame(Unpaired):
    """The discriminator's side of the minimax game, which both generators share.

    label_smoothing     s in [0, ½), or a list of one for each replica: real rows are labelled 1 − s, generated ones 0.
                        Default 0.
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

    def __init__(self, label_smoothing: float | Sequence[float] = 0.0, discriminator_loss: str = "mean") -> None:
        self.label_smoothing = one_or_each(
            "label_smoothing", label_smoothing, lambda what, value: fraction(what, value, 0.5)
        )
        self.discriminator_loss = one_of("discriminator_loss", discriminator_loss, MEAN_OR_SUM)
        self.real_target = 1 - np.array(self.label_smoothing)

    @property
    def derived(self) -> Mapping[str, Callable[[Any], Array]]:
        """d_loss and d_accuracy, of both kinds of rows."""
        return {"d_loss": lambda h: self._whole(h, "loss"), "d_accuracy": lambda h: self._whole(h, "accuracy")}

    @property
    def summed(self) -> bool:
        """Whether the discriminator's loss is the sum of both sides, not their mean."""
        return self.discriminator_loss == "sum"

    def _whole(self, history, what):
        both = history[f"d_{what}_real"] + history[f"d_{what}_fake"]
        return both if what == "loss" and self.summed else both / 2

    def closing(self) -> list[Layer]:
        return [Sigmoid()]

    # ------------------------------------------------------------------------------------------------- gradients

    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        count = z.shape[-1]
        sides = [reals, count - reals]
        real = column(self.real_target, z.dtype, 2)
        target = np.zeros((*real.shape[:-1], count), z.dtype)
        target[..., :reals] = real
        weight = 2 if all(sides) and self.summed else 1  # a sum is twice the mean
        if all(sides) and reals != count - reals:  # the mean over all is not that of the two means
            weight = np.array(np.broadcast_to(np.repeat(weight * count / 2 / np.array(sides), sides), z.shape))
        if real.ndim or z.shape[-2] > 1:  # fewer rows than z has would go through a buffer of NumPy's own at every step
            target = np.array(np.broadcast_to(target, z.shape))
        return [_cross_entropy_gradient(z, out, target, weight)]

    def generator_gradient(self, z: Array, out: Array, real: Array | None = None) -> list[Call]:
        return [_cross_entropy_gradient(z, out, np.array(self._target, z.dtype), self._weight)]

    # ---------------------------------------------------------------------------------------------------- values

    def real_losses(self, z: Array) -> Array:
        return LOGITS.elements(z, column(self.real_target, z.dtype, 2))

    def fake_losses(self, z: Array) -> Array:
        return LOGITS.elements(z, 0.0)

    def shares(self) -> tuple[float, float]:
        return (1.0, 1.0) if self.summed else (0.5, 0.5)

    def generator_losses(self, z: Array, real: Array | None = None) -> Array:
        # no label is smoothed here
        return self._weight * LOGITS.elements(z, self._target)

    def measure_discriminator(self, real: Array, fake: Array) -> Named:
        loss_real, loss_fake = mean(self.real_losses(real)), mean(self.fake_losses(fake))
        # V has label 1 whatever the target: (log(1 + eᶻ) − z) is (log(1 + eᶻ) − t·z) less (1 − t)·z
        value = (1 - self.real_target) * mean(real) - loss_real - loss_fake
        return {
            "d_loss_real": loss_real,
            "d_loss_fake": loss_fake,
            "d_accuracy_real": share(real > 0),
            "d_accuracy_fake": share(fake <= 0),
            "d_real": _mean_probability(real),
            "d_fake": _mean_probability(fake),
            "value": value,
        }

    def measure_generator(self, z: Array, real: Array | None = None) -> Named:
        return {"g_loss": mean(self.generator_losses(z)), "g_accuracy": share(z > 0)}

    def discriminator_metrics(self, real: Array, fake: Array) -> Any:
        m = self.measure_discriminator(real, fake)
        losses = m["d_loss_real"], m["d_loss_fake"]
        loss = (losses[0] + losses[1]) * (1 if self.summed else 0.5)
        return DiscriminatorMetrics(*losses, m["d_accuracy_real"], m["d_accuracy_fake"], loss)

    def generator_metrics(self, z: Array, real: Array | None = None) -> Any:
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
    """The generator minimises −E[log D(G(z))], cross-entropy against label 1 (arXiv:1406.2661, section 3).

    >>> logits = np.array([[-20.0], [0.0], [20.0]])
    >>> NonSaturating().generator_losses(logits).ravel().round(4).tolist()
    [20.0, 0.6931, 0.0]
    >>> NonSaturating(label_smoothing=0.1).real_losses(logits).ravel().round(4).tolist()
    [18.0, 0.6931, 2.0]
    """

    name = "non-saturating"


class Minimax(_CrossEntropyGame):
    """The generator minimises E[log(1 − D(G(z)))], V itself: minus the cross-entropy against label 0.

    Its gradient −σ(score) vanishes where the discriminator is sure that a row is fake, which is where the generator
    needs it: it saturates.

    >>> logits = np.array([[-5.0], [0.0]])  # of a discriminator that is sure of a fake, and of one that guesses
    >>> Minimax().generator_losses(logits).ravel().round(4).tolist()
    [-0.0067, -0.6931]
    >>> NonSaturating().generator_losses(logits).ravel().round(4).tolist()
    [5.0067, 0.6931]
    """

    name = "minimax"
    _target, _weight = 0.0, -1


def _cross_entropy_gradient(z, out, target, weight):
    """The call that writes ∂(weight·mean cross-entropy)/∂z."""
    offset, half, half_over_count = logit_constants(target, z.shape, weight)
    arguments = {"z": z, "offset": offset, "half": half, "half_over_count": half_over_count, "out": out}
    return Call(kernels.bce_logits_backward, arguments, layer="loss", direction="backward")


def _mean_probability(z):
    """The mean of D = σ(z) over the batch: scores (…, batch, 1) to an array (…)."""
    probability = np.empty_like(z)
    sigmoid_forward(z, np.empty_like(z), out=probability)
    return mean(probability)
