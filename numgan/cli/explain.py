"""`numgan explain`: one training step in formulas and numbers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from numgan.cli.arguments import add_settings, natural, positive, settings_of
from numgan.study import explain, recipes
from numgan.study.settings import SettingError, brief

HELP = "tell one training step call by call: the formulas, with the step's numbers"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", metavar="RECIPE|RUN", help="a recipe with fresh weights of seed 0, or a run directory")
    parser.add_argument(
        "--step",
        type=_steps,
        metavar="N",
        help="train for N steps first (default 0); of a run, N more, which it does not keep; with --html look into "
        "the steps 0, 10, 100 … up to N on the way (default 100)",
    )
    parser.add_argument("--html", metavar="FILE", help="write a page to look around in, one file that needs no network")
    parser.add_argument("--layer", metavar="NAME", help="tell of this layer alone, as dense_1, and all that it reads")
    parser.add_argument("--sample", type=natural, default=0, metavar="I", help="whose numbers are shown (default 0)")
    parser.add_argument("--data", metavar="DIR|full", help="the recipe's data, as for numgan train")
    add_settings(parser)


def run(arguments: Namespace) -> None:
    chosen = {name: getattr(arguments, name) for name in ("data", "batch_size", "set") if getattr(arguments, name)}
    if arguments.what in recipes.RECIPES:
        recipe = recipes.get(arguments.what)
        subject = explain.of_recipe(recipe, settings_of(recipe, arguments), arguments.data)
    elif chosen:
        raise SettingError(f"--{next(iter(chosen)).replace('_', '-')} cannot be given with a run, which has its own")
    elif not Path(arguments.what).is_dir():
        raise SettingError(
            f"{brief(arguments.what)} is no recipe and no run; the recipes are {', '.join(recipes.RECIPES)}"
        )
    else:
        subject = explain.of_run(arguments.what)
    if arguments.html is None:
        print(explain.in_words(subject, arguments.step or 0, arguments.sample, arguments.layer))
        return
    if arguments.layer:
        raise SettingError("--layer cannot be given with --html, whose page tells of all layers")
    explain.as_page(subject, arguments.html, 100 if arguments.step is None else arguments.step, arguments.sample)
    print(arguments.html)


def _steps(text):
    return 0 if text == "0" else positive(text)
