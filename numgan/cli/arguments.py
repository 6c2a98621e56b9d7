"""What commands share: the kinds of arguments that there are, and the settings of a recipe among them."""

from __future__ import annotations

import contextlib
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numgan.study import recipes, runs, seeds
from numgan.study.recipes.recipe import Recipe
from numgan.study.settings import SettingError, brief, named_value, with_overrides

MOST_ROWS = 1_000_000  # that -n asks for, and the like


def add_recipe(parser: ArgumentParser, nargs: str | None = None) -> None:
    parser.add_argument(
        "recipe",
        choices=tuple(recipes.RECIPES),
        metavar="RECIPE",
        nargs=nargs,
        help="one of: " + ", ".join(recipes.RECIPES),
    )


def add_settings(parser: ArgumentParser) -> None:
    parser.add_argument("--batch-size", metavar="N", help="the same as --set batch_size=N")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override a setting of the recipe; may be repeated",
    )


def add_json(parser: ArgumentParser, what: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def natural(text: str) -> int:
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) >= runs.SEEDS:
        raise ArgumentTypeError(f"expected a whole number from 0 up, below 2⁶⁴, got {brief(text)!r}")
    return int(text)


def positive(text: str) -> int:
    if not re.fullmatch("[0-9]{1,20}", text) or not 0 < int(text) <= MOST_ROWS:
        raise ArgumentTypeError(f"expected a whole number from 1 up to {MOST_ROWS:,}, got {brief(text)!r}")
    return int(text)


def seeds_of(text: str) -> list[int]:
    try:
        return seeds.parse(text)
    except ValueError:
        raise ArgumentTypeError(f"expected seeds such as 0-4 or 0,3,7, got {brief(text)!r}") from None


def between(top: float) -> Callable[[str], float]:
    """An argument type: a number between 0 and `top`."""

    def parse(text):
        value = 0.0
        if re.fullmatch("[0-9.eE+-]{1,100}", text):
            with contextlib.suppress(ValueError):
                value = float(text)
        if not 0 < value < top:
            raise ArgumentTypeError(f"expected a number between 0 and {top:g}, got {brief(text)!r}")
        return value

    return parse


def png(text: str, option: str) -> Path:
    """Where to write a picture, checked before any work is done."""
    target = Path(text)
    if target.suffix != ".png":
        raise SettingError(f"{option} {brief(text)} should end in .png")
    if not target.parent.is_dir():
        raise SettingError(f"{option} {brief(text)}: {brief(str(target.parent))} is not a directory")
    return target


def settings_of(recipe: Recipe, arguments: Namespace) -> Any:
    """The recipe's settings with --steps, --batch-size and every --set applied."""
    return with_overrides(recipe.settings, overrides_of(recipe, arguments))


def named(arguments: Namespace, *names: str) -> dict[str, Any]:
    """name -> value of those of the arguments that the command has and that are given."""
    return {name: value for name in names if (value := getattr(arguments, name, None)) is not None}


def overrides_of(recipe: Recipe, arguments: Namespace) -> dict[str, Any]:
    """name -> text of the settings that --steps, --batch-size and --set give."""
    overrides = named(arguments, "steps", "epochs", "batch_size")
    if "epochs" in overrides and not hasattr(recipe.settings, "epochs"):
        raise SettingError(f"{recipe.name} draws its rows afresh and has no epochs; give --steps")
    for pair in arguments.set:
        name, value = named_value("--set", pair)
        overrides[name] = value
    return overrides
