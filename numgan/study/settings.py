"""Settings: every number of a recipe as a named field that can be overridden, with what it may be."""

from __future__ import annotations

import dataclasses
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import Error
from numgan.gan.model import GAN
from numgan.gan.objectives import MEAN_OR_SUM, OBJECTIVES
from numgan.gan.steps import SCHEDULES, SEPARATE
from numgan.nn.convolution import Conv2D
from numgan.nn.dense import Dense
from numgan.nn.optimizers import Adam
from numgan.nn.spectral_norm import SpectralNorm

if TYPE_CHECKING:
    from numgan.gan.objectives import Objective
    from numgan.nn.layer import Layer
    from numgan.nn.network import Sequential

MOST = 1_000_000_000  # of any count: what numgan multiplies of two of them still fits NumPy's sizes
WIDEST, DEEPEST = 1_000_000, 100  # hidden layers, as several of them multiply
RULES = {name for rules in OBJECTIVES.values() for name in rules.takes}  # settings that are the objective's


class SettingError(Error, ValueError):
    """A setting that a recipe does not have, or a value it cannot take; the message lists what is right."""


def setting(default: Any, help: str, check: Callable[[Any], bool], expects: str) -> Any:
    """A field of a Settings class: `check(value)` accepts it, `expects` says in words what is accepted."""
    return field(default=default, metadata={"help": help, "check": check, "expects": expects})


def positive_int(default: Any, help: str) -> Any:
    return setting(default, help, lambda v: 0 < v <= MOST, f"a positive integer, at most {MOST:,}")


def natural(default: Any, help: str) -> Any:
    return setting(default, help, lambda v: 0 <= v <= MOST, f"a whole number from 0 up to {MOST:,}")


def positive(default: Any, help: str) -> Any:
    return setting(default, help, lambda v: 0 < v < np.inf, "a positive number")


def fraction(default: Any, help: str, top: float = 1.0) -> Any:
    return setting(default, help, lambda v: 0 <= v < top, f"a number from 0 up to, but not including, {top:g}")


def choice(default: Any, help: str, options: tuple[Any, ...]) -> Any:
    return setting(default, help, lambda v: v in options, "one of " + ", ".join(map(str, options)))


def widths(default: Any, help: str) -> Any:
    expects = f"positive integers with commas, as 128,256,512, at most {DEEPEST} of them and each at most {WIDEST:,}"
    return setting(default, help, lambda v: 0 < len(v) <= DEEPEST and 0 < min(v) <= max(v) <= WIDEST, expects)


@dataclass(frozen=True)
class TrainingSettings:
    """What every recipe has."""

    steps: int = positive_int(1000, "training steps: each a discriminator step, then a generator step")
    batch_size: int = positive_int(128, "rows in the generator's batch")
    snapshot_every: int = positive_int(
        100, "steps between two summaries and moments of evolution.png; by epochs, there is one after each"
    )
    learning_rate: float = positive(1e-3, "Adam's α")
    beta1: float = fraction(0.9, "Adam's β₁")
    beta2: float = fraction(0.999, "Adam's β₂")
    epsilon: float = positive(1e-7, "Adam's ε")
    adam_form: str = choice("keras", "where Adam adds ε: keras (ε̂ form) or paper (algorithm 1)", Adam.FORMS)
    schedule: str = choice("concatenated", "real and generated rows as one batch, or one after the other", SCHEDULES)
    objective: str = choice("non-saturating", "the rules of the game: what either side minimises", tuple(OBJECTIVES))
    label_smoothing: float = fraction(0.0, "s: real rows are labelled 1 − s for the discriminator", 0.5)
    discriminator_loss: str = choice("mean", "of its mean losses on real and on generated rows", MEAN_OR_SUM)
    clip: float = positive(0.01, "c: a Wasserstein critic's parameters stay in [−c, c]")
    spectral_norm: str = choice("no", "whether the discriminator's weights are divided by their norms", ("yes", "no"))
    discriminator_steps: int = natural(1, "discriminator steps in a training step; 0 freezes the discriminator")
    generator_steps: int = natural(1, "generator steps in a training step; 0 freezes the generator")

    def adam(self) -> Adam:
        return Adam(self.learning_rate, self.beta1, self.beta2, self.epsilon, self.adam_form)

    def game(self) -> Objective:
        """The objective, with those of its settings that it takes."""
        rules = OBJECTIVES[self.objective]
        return rules(**{name: getattr(self, name) for name in rules.takes})

    def normed(self, layers: list[Layer]) -> list[Layer]:
        """A discriminator's layers, those that have weights in a `SpectralNorm` each if the settings say so."""
        if self.spectral_norm == "no":
            return layers
        return [SpectralNorm(layer) if isinstance(layer, Dense | Conv2D) else layer for layer in layers]

    def gan(self, generator: Sequential, discriminator: Sequential) -> GAN:
        return GAN(generator, discriminator, self.adam(), self.adam(), self.game(), self.schedule)

    def for_data(self, data: Any) -> Any:
        """The same settings, those that depend on the data filled in. Default: none does."""
        return self

    def length(self) -> dict[str, Any]:
        """How long to train and with how many steps of either side, as keywords of `GAN.fit`."""
        return {name: getattr(self, name) for name in ("steps", "discriminator_steps", "generator_steps")}


@dataclass(frozen=True)
class EpochSettings(TrainingSettings):
    """What recipes have besides whose data is a set that can be gone through."""

    steps: int = natural(2000, "training steps on random batches; 0 where epochs are given")
    epochs: int = natural(0, "passes over the shuffled training images, in place of steps")

    def length(self) -> dict[str, Any]:
        by_epochs = {"steps": None, "epochs": self.epochs} if self.epochs else {}
        return super().length() | by_epochs


@dataclass(frozen=True)
class DigitSettings(EpochSettings):
    """What dense recipes on a set of digits have besides."""

    latent_dim: int = positive_int(100, "noise values per image")
    slope: float = fraction(0.2, "LeakyReLU's slope below zero")
    momentum: float = fraction(0.8, "weight of the old value in the batch norms' running statistics")


def with_overrides(settings: Any, overrides: Mapping[str, Any]) -> Any:
    """Settings with some replaced: `overrides` maps names to texts, as the command line has them, or to values.

    Raises SettingError for a name that is none, a value of another kind or out of bounds, or values that do not go
    together.
    """
    fields = {f.name: f for f in dataclasses.fields(settings)}
    values = {}
    for name, text in overrides.items():
        if name not in fields:
            raise SettingError(f"no setting {brief(name)!r}; the settings are {', '.join(fields)}")
        expects = fields[name].metadata["expects"]
        try:
            values[name] = _parse(text, type(getattr(settings, name)))
            accepted = fields[name].metadata["check"](values[name])
        except (ValueError, OverflowError):  # float() of a long whole number
            accepted = False
        if not accepted:
            raise SettingError(f"{name}={brief(text)} is not possible; expected {expects}")
    if "epochs" in fields and values.get("epochs") and values.get("steps"):
        raise SettingError(f"give steps or epochs, not both; got steps={values['steps']}, epochs={values['epochs']}")
    if "epochs" in fields and (values.get("epochs") or values.get("steps")):
        values = {"steps": 0, "epochs": 0} | values
    settings = dataclasses.replace(settings, **values)
    rules = OBJECTIVES[settings.objective]
    for name in values:
        if name in RULES and name not in rules.takes:
            raise SettingError(
                f"{name} is no setting of the objective {rules.name}, which has {', '.join(rules.takes)}"
            )
    if settings.discriminator_steps == settings.generator_steps == 0:
        raise SettingError("discriminator_steps=0 and generator_steps=0 leave nothing to train")
    if settings.steps == getattr(settings, "epochs", 0) == 0:
        raise SettingError("steps=0 and epochs=0 leave nothing to train")
    if settings.schedule == SEPARATE and settings.batch_size % 2:
        raise SettingError(
            f"batch_size={settings.batch_size} is not possible; the separate schedule halves the batch, "
            "so expected an even number"
        )
    return settings


def stored(settings: Any, values: Mapping[str, Any]) -> Any:
    """Settings with `values` as a run's file keeps them, each checked as by `with_overrides`.

    The file keeps what its objective does not take too, at the default, where it is no contradiction.
    """
    defaults = dataclasses.asdict(settings)
    return with_overrides(settings, {k: v for k, v in values.items() if k not in RULES or v != defaults.get(k)})


def _parse(value, kind):
    """A text or a JSON value as a setting's kind, or ValueError. Nothing is rounded, and a digit is one of 0 to 9."""
    if kind is str and isinstance(value, str):
        return value
    if kind is int and isinstance(value, str) and re.fullmatch("[+-]?[0-9]{1,20}", value):
        return int(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is float and isinstance(value, str) and re.fullmatch("[0-9.eE+-]{1,100}", value):
        return float(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is tuple and isinstance(value, str | list | tuple):
        parts = map(str.strip, value.split(",")) if isinstance(value, str) else value
        return tuple(_parse(part, int) for part in parts)
    raise ValueError(value)


def _text(value):
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def brief(value: Any, most: int = 80) -> str:
    """A value as a message quotes it: on one line, printable, of at most `most` characters, its middle left out."""
    text = value if isinstance(value, str) else reprlib.repr(value)
    if len(text) > most:
        text = f"{text[: most // 2]}…{text[most // 2 + 1 - most :]}"
    return "".join(c if c.isprintable() else "?" for c in text)


def setting_rows(settings: Any) -> list[tuple[str, str, str]]:
    """(name, value as it would be typed, help) for every setting."""
    return [(f.name, _text(getattr(settings, f.name)), f.metadata["help"]) for f in dataclasses.fields(settings)]
