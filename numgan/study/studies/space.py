"""What a study varies, and its cells: every combination, or so many at random."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from numgan.study.settings import SettingError, brief, with_overrides

MOST = 1_000  # cells
LONGEST = 200  # characters of a directory's name, less than file systems take
PLACES = 3  # of a number drawn at random, so that people can read it and type it again


class Range(NamedTuple):
    """From low to high, both positive; of a setting that is a number. Drawn evenly in its logarithm."""

    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """One combination.

    name    of its directory.
    values  setting -> value, of the settings that vary.
    asked   setting -> value, of all that are not the recipe's own.
    """

    name: str
    values: dict[str, Any]
    asked: dict[str, Any]


def axes(settings: Any, vary: Mapping[str, str | Sequence[Any]]) -> dict[str, list[Any] | Range]:
    """What varies, setting -> its values or their `Range`.

    vary  setting -> values, or a text as on the command line: 1e-4,4e-4 or 1e-5:1e-2. Widths have commas of their own
          and are set apart by semicolons: 128,256;256,512.

    Raises SettingError for what cannot be.
    """
    if not isinstance(vary, Mapping) or not vary:
        raise SettingError("a study varies at least one setting, such as learning_rate=1e-4,4e-4")
    return {name: _axis(settings, name, values) for name, values in vary.items()}


def _axis(settings, name, values):
    fields = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    if name not in fields:
        raise SettingError(f"no setting {brief(name)!r}; the settings are {', '.join(fields)}")
    if isinstance(values, Range):
        values = f"{values.low}:{values.high}"
    if isinstance(values, str):
        if ":" in values:
            return _range(name, values, type(fields[name]))
        values = values.split(";" if isinstance(fields[name], tuple) else ",")
    if not isinstance(values, Sequence) or not values:
        raise SettingError(f"{name}={brief(values)} is not possible; expected some values, or a text such as 1e-4,4e-4")
    return list(values)


def _range(name, text, kind):
    if kind not in (int, float):
        raise SettingError(f"{name} is no number, so it has no range {brief(text)}")
    ends = text.split(":")
    if len(ends) == 2 and all(re.fullmatch("[0-9.eE+-]{1,100}", end.strip()) for end in ends):
        try:
            low, high = map(float, ends)
        except ValueError:
            low = high = 0.0
        if 0 < low < high < math.inf and (kind is float or low >= 1):
            return Range(low, high)
    least = "1" if kind is int else "above 0"
    raise SettingError(f"{name}={brief(text)} is no range; expected LOW:HIGH, such as 1e-5:1e-2, from {least} up")


def grid(settings: Any, common: Mapping[str, Any], varied: Mapping[str, list[Any] | Range]) -> list[Cell]:
    """Every combination of the values, the last setting's changing first. `common` are settings of all cells."""
    for name, values in varied.items():
        if isinstance(values, Range):
            raise SettingError(
                f"{name}={values.low:g}:{values.high:g} is a range, from which a random search draws; a grid takes "
                "values such as 1e-4,4e-4"
            )
    if (count := math.prod(map(len, varied.values()))) > MOST:
        raise SettingError(f"a study has at most {MOST:,} cells, got {count:,}")
    combinations = (dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values()))
    return _distinct(_cell(settings, common, values) for values in combinations)


def draw(
    settings: Any, common: Mapping[str, Any], varied: Mapping[str, list[Any] | Range], n: int, seed: int
) -> list[Cell]:
    """n different cells at random: of a list each value is as likely, of a range each ratio."""
    rng, cells = np.random.default_rng(seed), []
    if n > MOST:
        raise SettingError(f"a study has at most {MOST:,} cells, got {n:,}")
    for _ in range(100 * n):  # where values are few, some come again
        whole = {name: isinstance(getattr(settings, name), int) for name in varied}
        values = {name: _drawn(values, whole[name], rng) for name, values in varied.items()}
        cells = _distinct([*cells, _cell(settings, common, values)])
        if len(cells) == n:
            return cells
    raise SettingError(f"there are no {n:,} different cells to be drawn; {len(cells):,} were found")


def _drawn(values, whole, rng):
    if not isinstance(values, Range):
        return values[rng.integers(len(values))]
    if whole:  # from half below the lowest to half above the highest, so that these are as likely as their neighbours
        low, high = math.ceil(values.low), math.floor(values.high)
        return int(np.clip(round(math.exp(rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))), low, high))
    return float(f"{math.exp(rng.uniform(*map(math.log, values))):.{PLACES}g}")


def _distinct(cells):
    return list({cell.name: cell for cell in cells}.values())


def _cell(settings, common, values):
    asked = {**common, **values}
    try:
        made = with_overrides(settings, asked)
    except SettingError as error:
        raise SettingError(f"{', '.join(f'{k}={typed(v)}' for k, v in values.items())}: {error}") from None
    asked, values = ({name: getattr(made, name) for name in given} for given in (asked, values))
    name = ",".join(f"{k}={typed(v, '-')}" for k, v in values.items())
    if len(name) > LONGEST:
        raise SettingError(f"so many settings do not fit into the name of a directory: {brief(name)}")
    return Cell(name, values, asked)


def typed(value: Any, comma: str = ",") -> str:
    """A value as it would be typed."""
    if isinstance(value, tuple | list):
        return comma.join(map(str, value))
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
