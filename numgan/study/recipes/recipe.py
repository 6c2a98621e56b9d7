"""What every recipe has, whether it has a condition or none."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from numgan.study.settings import SettingError, brief

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numgan.hints import Array, Rng


class Asked(NamedTuple):
    """What samples are asked to be.

    conditions  name -> one for each sample, as `GAN.sample` takes it.
    rows        which held-out row each condition is of, (n,), where it is one's.
    real        these rows themselves, (n, *shape).
    """

    conditions: Mapping[str, Any] = MappingProxyType({})
    rows: Array | None = None
    real: Array | None = None


class Recipe:
    """The base of recipes.

    condition  the name of its condition, or None: what `numgan sample --NAME` gives.
    """

    name = ""
    condition: str | None = None

    def asked(self, n: int, held_out: Any, rng: Rng) -> Asked:
        """What n samples are asked to be where nobody says."""
        return Asked()

    def pictured(self, n: int, held_out: Any, rng: Rng) -> Asked:
        """The same of samples for a picture."""
        return self.asked(n, held_out, rng)

    def read_condition(self, text: str, s: Any) -> Any:
        """The condition that a text of the command line asks for, under settings `s`."""
        raise SettingError(f"the recipe {self.name} has no condition, got {brief(text)!r}")
