"""`OwnLosses`: a game of three losses of one's own, each of one row's score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import ArgumentError, shown
from numgan.gan.objectives.base import Panel
from numgan.gan.objectives.critics import SCORES, MeanLosses
from numgan.hints import Array
from numgan.nn.calls import Call

if TYPE_CHECKING:
    from numgan.nn.network import Sequential

METHODS = ("on_real", "on_fake", "for_generator")


class OwnLosses(MeanLosses):
    """A game whose losses are your own: the discriminator minimises the mean of `on_real` over real rows and that of
    `on_fake` over generated ones, added up; the generator minimises the mean of `for_generator` over generated rows.

    Each of the three takes scores z, an array of any shape and of the networks' dtype, and returns two arrays of that
    shape: the loss of every score, and its derivative.

    >>> class Exponential(OwnLosses):
    ...     name = "exponential"
    ...
    ...     def on_real(self, z):
    ...         return np.exp(-z), -np.exp(-z)
    ...
    ...     def on_fake(self, z):
    ...         return np.exp(z), np.exp(z)
    ...
    ...     def for_generator(self, z):
    ...         return np.exp(-z), -np.exp(-z)
    >>> gan = GAN(Sequential([Dense(2)], 3, rng), Sequential([Dense(1)], 2, rng), objective=Exponential())
    >>> real, noise = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    >>> check_gradients(gan, (real, noise)).passed  # whether the derivatives are those of the losses
    True
    >>> gan.save("gan.npz")
    >>> GAN.load("gan.npz", objectives=[Exponential]).objective
    Exponential()

    The scores are those of a critic, which ends in Dense(1). Where `closing` returns [Sigmoid()], the discriminator
    ends in that, answers with probabilities, and z is the logit below.

    Settings are arguments of the constructor, kept under their names; `takes` lists these, or the game is not saved.
    Columns, curves and summaries are those of a critic; say others as `Objective` has it. A loss of a real and a
    generated row together is an `Objective` with `pairs`, as `Relativistic` is.
    """

    panels = (
        Panel("Critic's scores", SCORES),
        Panel("Critic's loss", [*MeanLosses._sides, *MeanLosses._sum]),
        Panel("Generator loss", [("g_loss", "generator", "darkorange")]),
    )

    @abstractmethod
    def on_real(self, z: Array) -> tuple[Array, Array]:
        """The discriminator's loss on real rows of the scores z, and its derivative: two arrays like z."""

    @abstractmethod
    def on_fake(self, z: Array) -> tuple[Array, Array]:
        """The same on generated rows."""

    @abstractmethod
    def for_generator(self, z: Array) -> tuple[Array, Array]:
        """The generator's loss on its rows, and its derivative."""

    def check(self, discriminator: Sequential) -> None:
        super().check(discriminator)
        z = np.linspace(-1, 1, 6, dtype=discriminator.dtype).reshape(2, 3)
        for method in METHODS:
            pair = getattr(self, method)(z)
            fits = isinstance(pair, tuple) and [np.shape(a) for a in pair] == [z.shape] * 2
            if not (fits and all(np.isfinite(a).all() for a in pair)):
                raise ArgumentError(
                    f"{type(self).__name__}.{method}(z) must return the losses and their derivatives, two arrays like "
                    f"z, and finite for scores from −1 to 1; got {shown(pair)} for {shown(z)}"
                )

    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        sides = (self.on_real, np.s_[..., :reals]), (self.on_fake, np.s_[..., reals:])
        return [_slopes(losses, z[part], out[part]) for losses, part in sides if z[part].size]

    def generator_gradient(self, z: Array, out: Array, real: Array | None = None) -> list[Call]:
        return [_slopes(self.for_generator, z, out)]

    def real_losses(self, z: Array) -> Array:
        return self.on_real(z)[0]

    def fake_losses(self, z: Array) -> Array:
        return self.on_fake(z)[0]

    def generator_losses(self, z: Array, real: Array | None = None) -> Array:
        return self.for_generator(z)[0]


def own_losses_backward(losses: Callable[[Array], tuple[Array, Array]], z: Array, share: Array, out: Array) -> None:
    """Write share·dℓ/dz, where losses(z) gives ℓ and dℓ/dz: the gradient of the mean loss at the scores."""
    np.multiply(losses(z)[1], share, out=out)


def _slopes(losses, z, out):
    share = np.array(1 / (z.shape[-1] * z.shape[-2]), z.dtype)
    arguments = {"losses": losses, "z": z, "share": share, "out": out}
    return Call(own_losses_backward, arguments, layer="loss", direction="backward")
