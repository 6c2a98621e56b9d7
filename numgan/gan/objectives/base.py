"""`Objective`: what every game has to say of itself, and what follows from it."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from numgan.errors import ArgumentError, MissingMethodError
from numgan.hints import Array, Config, Named
from numgan.nn.calls import Call

if TYPE_CHECKING:
    from numgan.nn.layer import Layer
    from numgan.nn.network import Sequential


class Panel(NamedTuple):
    """One panel of history.png: curves [(column, label, colour)], and lines [(height, label)] that theory draws."""

    title: str
    curves: list[tuple[str, str, str]]
    lines: Sequence[tuple[float, str]] = ()
    limits: tuple[float | None, float | None] = (None, None)  # lowest and highest value shown


class Objective(ABC):
    """What both sides of the game minimise. Scores are arrays (…, 1, N) or (…, N, 1), whatever the caller has; of a
    discriminator that gives each patch of an image a score (Isola et al. 2017, arXiv:1611.07004, section 3.2.2),
    (…, patches, N) or (…, N, patches). A loss is then the mean over patches too.

    name         what settings and model files call it.
    pairs        whether a loss is of a real and a generated row together, row i with row i. Then both have to be in one
                 batch, and the generator's step needs real rows too: whatever takes the scores z of its rows takes the
                 scores `real` of as many real rows, too, which is None for any other objective. Default False.
    undecided    what a discriminator that can only guess answers, or None where theory names no such answer.
    columns      of the history, worked out at every look.
    derived      column -> function of the history, worked out on asking.
    panels       of history.png, with the lines that theory gives the equilibrium.
    watched      the columns that a run's progress shows, in order: (heading, column, format).
    clip         what the discriminator's parameters are clipped to after each update; 0: they are not.
    takes        the settings of the constructor.
    """

    name = ""
    pairs = False
    undecided: float | None = None
    columns: tuple[str, ...] = ()
    derived: Mapping[str, Callable[[Any], Array]] = MappingProxyType({})
    panels: Sequence[Panel] = ()
    watched: Sequence[tuple[str, str, str]] = ()
    clip: float | tuple[float, ...] = 0.0
    takes: tuple[str, ...] = ()

    def config(self) -> Config:
        """The keyword arguments that make this objective again, as JSON-ready values."""
        return {name: getattr(self, name) for name in self.takes}

    def checked_config(self) -> Config:
        """`config`, or an error where a file could not tell from it which game it is of."""
        kind, lost = type(self).__name__, [k for k in inspect.signature(type(self)).parameters if k not in self.takes]
        if lost:
            raise MissingMethodError(
                f"the objective {kind} cannot be saved: {kind}({lost[0]}) is a setting that its `takes` does not list"
            )
        if not isinstance(self.name, str) or not self.name:
            raise MissingMethodError(f"the objective {kind} cannot be saved: it must say its name")
        return self.config()

    def closing(self) -> list[Layer]:
        """New layers for the discriminator to end in, behind its one score."""
        return []

    @property
    def probabilities(self) -> bool:
        """Whether the discriminator answers with probabilities; otherwise it is a critic, and gives scores."""
        return bool(self.closing())

    def check(self, discriminator: Sequential) -> None:
        """Raise unless the discriminator ends in what this objective reads."""
        probability = discriminator.logit_depth < len(discriminator.layers)
        if discriminator.shapes[-1][0] != 1 or probability != self.probabilities:
            ends = ", ".join(["Dense(1)", *map(repr, self.closing())])
            raise ArgumentError(
                f"the objective {self.name} reads a discriminator that must end in {ends}, or for scores of patches in "
                f"one channel; '{discriminator.name}' ends in {discriminator.layers[-1]!r} and gives "
                f"{discriminator.shapes[-1]}"
            )

    def after_update(self, network: Sequential) -> list[Call]:
        """Calls that follow every update of the discriminator."""
        return []

    # ------------------------------------------------------------------------- what every objective has to say itself

    @abstractmethod
    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        """Calls that write ∂L/∂z for scores z whose first `reals` columns are of real rows, all others of fakes."""

    @abstractmethod
    def generator_gradient(self, z: Array, out: Array, real: Array | None = None) -> list[Call]:
        """Calls that write ∂L/∂z for the scores z of fakes."""

    @abstractmethod
    def discriminator_terms(self, real: Array, fake: Array) -> Array:
        """The terms (…, terms, patches) whose sum is the discriminator's loss, from scores of either side."""

    @abstractmethod
    def generator_losses(self, z: Array, real: Array | None = None) -> Array:
        """The generator's loss on every generated row."""

    @abstractmethod
    def measure_discriminator(self, real: Array, fake: Array) -> Named:
        """name -> value of the discriminator's columns, from scores (…, batch, 1) of real and of generated rows."""

    @abstractmethod
    def measure_generator(self, z: Array, real: Array | None = None) -> Named:
        """name -> value of the generator's columns, from scores (…, batch, 1) of its rows."""

    # --------------------------------------------------------------------------------------------- what follows from it

    def discriminator_metrics(self, real: Array, fake: Array) -> Any:
        """A record of the discriminator's columns, from scores (…, batch, 1) of real and of generated rows."""
        return _record("DiscriminatorMetrics", self.measure_discriminator(real, fake))

    def generator_metrics(self, z: Array, real: Array | None = None) -> Any:
        """A record of the generator's columns, from scores (…, batch, 1) of its rows."""
        return _record("GeneratorMetrics", self.measure_generator(z, real))

    def summary(self, last: Callable[[str, str], str]) -> list[str]:
        """Lines on the end of a run, from the last means of its columns: last(column, format) is one as text."""
        return [f"{heading:<26} {last(column, form)}" for heading, column, form in self.watched]

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


class Unpaired(Objective):
    """An objective by which each row, real or generated, has a loss of its own."""

    @abstractmethod
    def real_losses(self, z: Array) -> Array:
        """The discriminator's loss on every real row, from its score."""

    @abstractmethod
    def fake_losses(self, z: Array) -> Array:
        """The discriminator's loss on every generated row."""

    def shares(self) -> tuple[float, float]:
        """(real, fake): the weights of the two means in the discriminator's loss on both at once."""
        return 1.0, 1.0

    def discriminator_terms(self, real: Array, fake: Array) -> Array:
        shares = self.shares() if real.size and fake.size else (1.0, 1.0)
        losses = self.real_losses(real), self.fake_losses(fake)
        return np.concatenate(
            [s * a / max(a.shape[-2] * a.shape[-1], 1) for s, a in zip(shares, losses, strict=True)], axis=-2
        )


def mean(elements: Array) -> Any:
    """Over the batch, and patches: (…, batch, patches) to (…), in float64."""
    return elements.mean(axis=(-2, -1), dtype=np.float64)


def share(right: Array) -> Any:
    """How many of the batch, and patches, are True, of all: (…, batch, patches) to (…), in float64.

    A product with ones counts them, exactly up to 2²⁴, in 0.4 ns each; `mean` takes 0.8.
    """
    *lead, batch, patches = right.shape
    ones = np.ones(batch * patches, np.float32)
    count = right.reshape(-1, len(ones)).astype(np.float32) @ ones
    return count.reshape(lead).astype(np.float64) / len(ones)


def _record(name, columns):
    return _record_type(name, tuple(columns))(*columns.values())


_record_type = functools.cache(namedtuple)
