"""`numgan study`: the question as arguments, the answer as a table."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable

from numgan.cli.arguments import add_json, add_recipe, add_settings, named, natural, seeds_of
from numgan.cli.streams import fail
from numgan.study.settings import SettingError, brief, named_value
from numgan.study.signals import stopping_signals
from numgan.study.studies.course import study
from numgan.tables import as_json

HELP = "train a recipe under many settings with several seeds each, and compare them"


def add_arguments(parser: ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="NAME=VALUES",
        help="a setting and its values, as learning_rate=1e-4,4e-4 (widths: 'hidden=128,256;256,512'), or a range to "
        "draw from, as learning_rate=1e-5:1e-2; may be repeated, and each combination is a cell of the study",
    )
    parser.add_argument(
        "--seeds", type=seeds_of, default=[0], metavar="0-4", help="seeds of every cell, as 0-4 or 0,3,7 (default 0)"
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="the study's directory, new or empty, or one of the same study that was stopped: it goes on",
    )
    parser.add_argument(
        "--random",
        type=natural,
        metavar="N",
        help="draw N cells at random, from ranges evenly in their logarithm, not all of a grid",
    )
    parser.add_argument("--search-seed", type=natural, default=0, metavar="N", help="seed of what is drawn (default 0)")
    parser.add_argument(
        "--halving",
        nargs="?",
        type=natural,
        const=2,
        metavar="ETA",
        help="train all cells for a share of their steps, and only the best half of them (or of ETA, one part) for "
        "longer, again and again, up to the whole length",
    )
    parser.add_argument(
        "--by", metavar="MEASURE", help="rank by this measure of `numgan evaluate` (default: the first of them)"
    )
    parser.add_argument("--steps", metavar="N", help="training steps; the same as --set steps=N")
    parser.add_argument("--epochs", metavar="N", help="passes over the data set; the same as --set epochs=N")
    add_settings(parser)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="default float32")
    parser.add_argument("--data", metavar="DIR|full", help="the recipe's data, as for numgan train")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_json(parser, "what was found, and nothing else,")


def run(arguments: Namespace) -> int:
    """The exit status: 1 where a run failed. One that diverged or collapsed is a result."""
    settings = named(arguments, "steps", "epochs", "batch_size") | _pairs("--set", arguments.set)
    with stopping_signals():
        found = study(
            arguments.recipe,
            _pairs("--vary", arguments.vary),
            arguments.seeds,
            arguments.out,
            settings=settings,
            random=arguments.random,
            search_seed=arguments.search_seed,
            halving=arguments.halving,
            by=arguments.by,
            dtype=arguments.dtype,
            source=arguments.data,
            say=None if arguments.quiet or arguments.json else _say,
        )
    if arguments.json:
        print(as_json(found.to_dict()))
    elif not arguments.quiet:
        left = ", ".join(sorted(path.name for path in found.directory.iterdir() if path.is_file()))
        print(f"\n{found}\n{found.directory}: {left}, and a directory for each cell")
    failed = [(cell, seed, o.error) for cell in found.cells for seed, o in cell.outcomes.items() if o.error]
    for cell, seed, error in failed:
        fail("numgan study", f"{cell.directory.name} seed {seed} failed: {error}", 1)
    return 1 if failed else 0


def _say(text):
    print(text, flush=True)


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, value = named_value(option, text)
        if name in pairs:
            raise SettingError(f"{option} {brief(name)} is given twice")
        pairs[name] = value
    return pairs
