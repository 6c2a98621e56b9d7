"""`numgan summary`: the networks of a recipe, and its training step."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace

from numgan.cli.arguments import add_json, add_recipe, add_settings, settings_of
from numgan.study import recipes, runs
from numgan.tables import as_json

HELP = "print the networks of a recipe, layer by layer"


def add_arguments(parser: ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument(
        "--step", action="store_true", help="print the whole training step too, every kernel call with its shapes"
    )
    add_settings(parser)
    add_json(parser, "them")


def run(arguments: Namespace) -> None:
    recipe = recipes.get(arguments.recipe)
    settings = settings_of(recipe, arguments)
    settings = dataclasses.replace(settings, warm_up=0, decay="none")  # not shown, and by epochs a matter of the data
    gan = recipe.build(settings, runs.streams(0)[0], "float32")
    steps = _steps_of(gan, settings) if arguments.step else []
    if arguments.json:
        listed = [{"title": step.title, "calls": [call.to_dict() for call in step.calls]} for step in steps]
        about = {"recipe": recipe.name, "average": gan.average and gan.average.decay}
        networks = {"generator": gan.generator.to_dict(), "discriminator": gan.discriminator.to_dict()}
        print(as_json(about | networks | ({"steps": listed} if arguments.step else {})))
        return
    print(f"{gan.generator.summary()}\n\n{gan.discriminator.summary()}\n")
    trained = [network.values.shape[-1] for network in (gan.generator, gan.discriminator)]
    print(
        f"chain: noise → generator → frozen discriminator; a generator step trains {trained[0]:,} parameters "
        f"and holds {trained[1]:,} still"
    )
    if gan.average:
        print(f"samples: of the {gan.average}")
    for step in steps:
        print(f"\n{step}")


def _steps_of(gan, settings):
    """The steps of the sides that play."""
    steps = [gan.discriminator_step(gan.rows_per_step(settings.batch_size))] if settings.discriminator_steps else []
    return steps + ([gan.generator_step(settings.batch_size)] if settings.generator_steps else [])
