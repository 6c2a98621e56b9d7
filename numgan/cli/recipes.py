"""`numgan recipes`: what can be trained."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace

from numgan.cli.arguments import add_json
from numgan.study import recipes
from numgan.study.settings import setting_rows
from numgan.tables import as_json

HELP = "list the recipes and their settings"


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser, "them")


def run(arguments: Namespace) -> None:
    if arguments.json:
        print(as_json([_described(recipe) for recipe in recipes.RECIPES.values()]))
        return
    for recipe in recipes.RECIPES.values():
        print(f"{recipe.name}: {recipe.title}")
        for name, value, help in setting_rows(recipe.settings):
            print(f"    {name + '=' + value:<28} {help}")
        print()


def _described(recipe):
    values = dataclasses.asdict(recipe.settings)
    rows = {name: {"value": values[name], "help": help} for name, _, help in setting_rows(recipe.settings)}
    return {"name": recipe.name, "title": recipe.title, "settings": rows}
