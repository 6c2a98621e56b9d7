"""`numgan sample`: new samples from a trained run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from numgan.cli.arguments import natural, positive
from numgan.study import runs

CONDITIONS = {  # where the run has one
    "label": ("CLASS", "of a run with classes: make this one, such as 7"),
    "text": ("WORDS", "of a run with captions: make what is described, such as 'a green four'"),
    "image": ("FILE.png", "of a run that translates: make its picture from this one"),
}
HELP = "draw new samples from a trained run"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("directory", metavar="RUN", help="a run directory")
    parser.add_argument("-n", type=positive, metavar="N", help="how many (default: as many as the run's own picture)")
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="seed of the noise (default 0)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="FILE", help=".png for a picture, .npy for the raw float32 array (n, *shape)")
    where.add_argument(
        "--walk",
        metavar="FILE.gif",
        help="an animation: the noise goes from point to point and back to the first, conditions stay",
    )
    condition = parser.add_mutually_exclusive_group()
    for name, (metavar, help) in CONDITIONS.items():
        condition.add_argument(f"--{name}", metavar=metavar, help=help)


def run(arguments: Namespace) -> None:
    conditions = {name: value for name in CONDITIONS if (value := getattr(arguments, name)) is not None}
    if arguments.walk is not None:
        how = arguments.n, arguments.seed, conditions
        target, samples = runs.walk(arguments.directory, arguments.walk, *how)
    else:
        target, samples = runs.sample(arguments.directory, arguments.n, arguments.seed, arguments.out, conditions)
    print(f"{target}: {samples}")
