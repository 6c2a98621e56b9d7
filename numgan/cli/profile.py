"""`numgan profile`: where a training step's time goes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from numgan.cli.arguments import add_json, add_recipe, add_settings, positive, settings_of
from numgan.study import profiling, recipes, runs
from numgan.tables import as_json

HELP = "show where a training step's time goes, kernel call by kernel call"


def add_arguments(parser: ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument(
        "--steps", type=positive, default=30, dest="repeats", metavar="N", help="medians over N steps (default 30)"
    )
    add_settings(parser)
    add_json(parser, "the profile")


def run(arguments: Namespace) -> None:
    recipe = recipes.get(arguments.recipe)
    settings = settings_of(recipe, arguments)
    weights_rng, training_rng, _ = runs.streams(0)
    rows = recipe.load(None, settings)[0]
    gan = recipe.build(settings.for_data(rows), weights_rng, "float32")
    profile = profiling.profile(gan, rows, settings.batch_size, training_rng, arguments.repeats)
    print(as_json(profiling.to_dict(*profile)) if arguments.json else profiling.table(*profile))
