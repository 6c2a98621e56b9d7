"""`numgan evaluate`: how good a run's samples are."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from numgan.cli.arguments import add_json, natural, png, positive
from numgan.study import runs
from numgan.tables import as_json, figure

HELP = "measure how good a run's samples are, beside what real data gets"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("directory", metavar="RUN", help="a run directory")
    parser.add_argument(
        "-n",
        type=positive,
        metavar="N",
        help="how many samples (default: as many as held-out pictures; 26,000 stacks of digits; 5,000 points)",
    )
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="seed of the noise and of the real data (default 0)"
    )
    add_json(parser, "the evaluation")
    parser.add_argument(
        "--neighbours",
        metavar="FILE.png",
        help="of digits and pictures: draw the samples that repeat most, beside the samples and the training pictures "
        "nearest to them",
    )


def run(arguments: Namespace) -> None:
    target = None if arguments.neighbours is None else png(arguments.neighbours, "--neighbours")
    evaluation, gan, about = runs.evaluate(arguments.directory, arguments.n, arguments.seed)
    if target:
        runs.draw_neighbours(arguments.directory, arguments.n, arguments.seed, target)
    if arguments.json:
        print(as_json(about | evaluation.to_dict()))
    else:
        of = f"{arguments.directory} ({about['recipe']}, seed {arguments.seed}){runs.of_average(gan, ', ')}"
        print(f"{about['samples']:,} samples of {of}")
        _print_evaluation(evaluation)
        if evaluation.collapsed and not target and runs.has_neighbours(arguments.directory):
            print(f"look at it: numgan evaluate {arguments.directory} --neighbours collapse.png")
        if target:
            print(f"\n{target}: samples that repeat, beside their nearest neighbours")


def _print_evaluation(evaluation):
    """What was compared, a row per measure, the class shares, and whether the samples have collapsed. What samples were
    made from has a column where it is judged too.
    """
    print("compared with " + "\n          and ".join(evaluation.compared) + "\n")
    rows = [("measure", "this run", "real data", "the input", "better")]
    rows += [
        (m.name, figure(m.value), figure(m.real), "" if m.input is None else figure(m.input), m.better)
        for m in evaluation.measures
    ]
    if not any(given for *_, given, _ in rows[1:]):
        rows = [(*row[:3], row[4]) for row in rows]
    width = max(len(row[0]) for row in rows)
    for name, *figures, better in rows:
        print(f"{name:<{width}}" + "".join(f"{cell:>12}" for cell in figures) + f"   {better}")
    if evaluation.class_shares:
        print("\nread as   " + "".join(f"{digit:>8}" for digit in range(10)))
        for who, shares in zip(("this run", "real data"), evaluation.class_shares, strict=True):
            print(f"{who:<10}" + "".join(f"{share:>8.1%}" for share in shares))
    if evaluation.collapsed:
        print(f"\ncollapsed: {evaluation.collapsed}")
