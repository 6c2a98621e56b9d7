"""Settings: every number of a recipe as a named field that can be overridden, with what it may be."""

from __future__ import annotations

import dataclasses
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import Error
from numgan.gan.model import GAN
from numgan.gan.objectives import MEAN_OR_SUM, OBJECTIVES
from numgan.gan.penalty import PENALTIES
from numgan.gan.steps import JOINT, SCHEDULES, SEPARATE, UPDATES, refusal
from numgan.gan.stretches import endless, epoch, updates
from numgan.nn.convolution import Conv2D
from numgan.nn.dense import Dense
from numgan.nn.optimizers import Adam
from numgan.nn.rates import DECAYS, Rate
from numgan.nn.spectral_norm import SpectralNorm

if TYPE_CHECKING:
    from numgan.gan.conditions import Condition
    from numgan.gan.objectives import Objective
    from numgan.gan.penalty import Penalty
    from numgan.gan.stretches import Portion
    from numgan.nn.layer import Layer
    from numgan.nn.network import Sequential

MOST = 1_000_000_000  # of any count: what numgan multiplies of two of them still fits NumPy's sizes
WIDEST, DEEPEST = 1_000_000, 100  # hidden layers, as several of them multiply
RULES = {name for rules in OBJECTIVES.values() for name in rules.takes}  # settings that are the objective's
PAID = ("penalty_weight", "penalty_every")  # and those that are the penalty's


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


def positive_or_0(default: Any, help: str) -> Any:
    return setting(default, help, lambda v: 0 <= v < np.inf, "a positive number, or 0")


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
    generator_rate: float = positive_or_0(0.0, "Adam's α for the generator; 0: learning_rate")
    discriminator_rate: float = positive_or_0(0.0, "Adam's α for the discriminator; 0: learning_rate")
    warm_up: int = natural(0, "training steps at the start, over which the learning rates grow to what they are")
    decay: str = choice("none", "how the learning rates fall after that, to 0 by the end of the run", ("none", *DECAYS))
    beta1: float = fraction(0.9, "Adam's β₁")
    beta2: float = fraction(0.999, "Adam's β₂")
    epsilon: float = positive(1e-7, "Adam's ε")
    adam_form: str = choice("keras", "where Adam adds ε: keras (ε̂ form) or paper (algorithm 1)", Adam.FORMS)
    schedule: str = choice("concatenated", "real and generated rows as one batch, or one after the other", SCHEDULES)
    objective: str = choice("non-saturating", "the rules of the game: what either side minimises", tuple(OBJECTIVES))
    label_smoothing: float = fraction(0.0, "s: real rows are labelled 1 − s for the discriminator", 0.5)
    discriminator_loss: str = choice("mean", "of its mean losses on real and on generated rows", MEAN_OR_SUM)
    clip: float = setting(
        0.01,
        "c: a Wasserstein critic's parameters stay in [−c, c]; 0 leaves them free, to be bound by something else",
        lambda v: 0 <= v < np.inf,
        "a number from 0 up",
    )
    penalty: str = choice("none", "what the discriminator pays for being steep", ("none", *PENALTIES))
    penalty_weight: float = positive(10.0, "λ or γ of the penalty")
    penalty_every: int = positive_int(1, "k: the penalty is part of every k-th discriminator step, k-fold")
    spectral_norm: str = choice("no", "whether the discriminator's weights are divided by their norms", ("yes", "no"))
    discriminator_steps: int = natural(1, "discriminator steps in a training step; 0 freezes the discriminator")
    generator_steps: int = natural(1, "generator steps in a training step; 0 freezes the generator")
    average: float = fraction(0.0, "d: samples are of the generator's weights averaged with this decay; 0: as they are")

    def adam(self, rate: float | Rate) -> Adam:
        return Adam(rate, self.beta1, self.beta2, self.epsilon, self.adam_form)

    def game(self) -> Objective:
        """The objective, with those of its settings that it takes."""
        rules = OBJECTIVES[self.objective]
        return rules(**{name: getattr(self, name) for name in rules.takes})

    def paid(self) -> Penalty | None:
        """The penalty, if there is one."""
        kind = PENALTIES.get(self.penalty)
        return kind(self.penalty_weight, self.penalty_every) if kind else None

    def normed(self, layers: list[Layer]) -> list[Layer]:
        """A discriminator's layers, those that have weights in a `SpectralNorm` each if the settings say so."""
        if self.spectral_norm == "no":
            return layers
        return [SpectralNorm(layer) if isinstance(layer, Dense | Conv2D) else layer for layer in layers]

    def gan(
        self,
        generator: Sequential,
        discriminator: Sequential,
        conditions: Mapping[str, Condition] = MappingProxyType({}),
        **how: Any,
    ) -> GAN:
        """The GAN of these networks; `how` are arguments that only some recipes have."""
        sides = generator, discriminator, *map(self.adam, self.rates())
        how |= {"average": self.average or None, "conditions": conditions}
        return GAN(*sides, self.game(), self.schedule, self.paid(), **how)

    def rates(self) -> list[float | Rate]:
        """The learning rates of generator and discriminator. Each counts the updates of its own side, so that warm-up
        and decay end with the same training step, the decay with the last.
        """
        peaks: list[float | Rate] = [
            rate or self.learning_rate for rate in (self.generator_rate, self.discriminator_rate)
        ]
        if not self.rates_change:
            return peaks
        portions, steps = self.course()
        decay = None if self.decay == "none" else self.decay
        if decay and self.warm_up >= steps:
            raise SettingError(
                f"warm_up={self.warm_up} is not possible with decay={decay}: the whole run has {steps:,} steps"
            )
        warm_ups, totals = (updates(portions, n, self.generator_steps, self.schedule) for n in (self.warm_up, steps))
        return [
            Rate(peak, warm_up, decay, total if decay else None) if total else peak  # a frozen side makes no update
            for peak, warm_up, total in zip(peaks, warm_ups, totals, strict=True)
        ]

    @property
    def rates_change(self) -> bool:
        """Whether the learning rates are others in the course of a run."""
        return self.warm_up > 0 or self.decay != "none"

    def course(self) -> tuple[list[Portion], int]:
        """What a run consists of: portions, repeated, and how many training steps in all."""
        return endless(self.batch_size, self.discriminator_steps), self.steps

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
    rows: int = natural(0, "training images, for warm_up and decay by epochs; 0: as many as there are")

    def course(self) -> tuple[list[Portion], int]:
        if not self.epochs:
            return super().course()
        if not self.rows:
            raise SettingError("warm_up and decay by epochs depend on how many training images there are; set rows")
        rows = self.batch_size // UPDATES[self.schedule]
        portions = epoch(rows, self.rows, self.batch_size, self.discriminator_steps)
        return portions, self.epochs * sum(portion.times for portion in portions)

    def for_data(self, data: Any) -> Any:
        if not (self.epochs and self.rates_change):
            return self
        if self.rows not in (0, len(data)):
            raise SettingError(f"rows={self.rows} is not possible; there are {len(data):,} training images")
        return dataclasses.replace(self, rows=len(data))

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

    An objective that compares pairs brings its one schedule and matching_aware=no along, and a penalty on a Wasserstein
    critic clip=0, unless another is asked for.

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
    return _together(dataclasses.replace(settings, **values), values)


def _together(settings, values):
    """The settings with what follows from `values`, which are those that were asked for; or an error where they do not
    go together.
    """
    rules = OBJECTIVES[settings.objective]
    if rules.pairs and "schedule" not in values:
        settings = dataclasses.replace(settings, schedule=JOINT)
    if rules.pairs and getattr(settings, "matching_aware", "no") == "yes":
        if "matching_aware" in values:
            raise SettingError(f"matching_aware=yes is not possible where rows are paired, as by {rules.name}")
        settings = dataclasses.replace(settings, matching_aware="no")
    refused = refusal(rules, settings.schedule)
    if refused:
        raise SettingError(refused)
    for name in values:
        if name in RULES and name not in rules.takes:
            raise SettingError(
                f"{name} is no setting of the objective {rules.name}, which has {', '.join(rules.takes) or 'none'}"
            )
        if name in PAID and settings.penalty == "none":
            raise SettingError(f"{name} is no setting without a penalty; penalty can be {', '.join(PENALTIES)}")
    if settings.penalty != "none" and "clip" in rules.takes and "clip" not in values:
        settings = dataclasses.replace(settings, clip=0.0)  # a penalty takes its place
    if settings.discriminator_steps == settings.generator_steps == 0:
        raise SettingError("discriminator_steps=0 and generator_steps=0 leave nothing to train")
    if settings.steps == getattr(settings, "epochs", 0) == 0:
        raise SettingError("steps=0 and epochs=0 leave nothing to train")
    if settings.schedule == SEPARATE and settings.batch_size % 2:
        raise SettingError(
            f"batch_size={settings.batch_size} is not possible; the separate schedule halves the batch, "
            "so expected an even number"
        )
    if not getattr(settings, "epochs", 0):
        settings.rates()
    return settings


def stored(settings: Any, values: Mapping[str, Any]) -> Any:
    """Settings with `values` as a run's file keeps them, each checked as by `with_overrides`.

    The file keeps what its objective or penalty does not take too, at the default, where it is no contradiction.
    """
    defaults = dataclasses.asdict(settings)
    silent = {k for k in (*RULES, *PAID) if values.get(k) == defaults.get(k) and not isinstance(values.get(k), bool)}
    return with_overrides(settings, {k: v for k, v in values.items() if k not in silent})


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


def extent(settings: Any) -> tuple[str, int]:
    """("epochs", so many) or ("steps", so many) of a run."""
    by = "epochs" if getattr(settings, "epochs", 0) else "steps"
    return by, getattr(settings, by)


def named_value(option: str, text: str) -> tuple[str, str]:
    """(name, value) of what --set and the like take, NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingError(f"{option} {brief(text)}: expected NAME=VALUE")
    return name.strip().replace("-", "_"), value.strip()
