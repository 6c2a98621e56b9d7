"""`numgan data`: a data set described, or fetched."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import numpy as np

from numgan import data
from numgan.cli.arguments import add_json, natural, png
from numgan.data.mnist import to_unit_range
from numgan.study import plots
from numgan.tables import as_json

HELP = "describe a data set, or fetch it"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", choices=("mnist",))
    parser.add_argument("--download", action="store_true", help="fetch the full set into the cache directory")
    parser.add_argument("--mirror", action="append", metavar="URL", help="download from here instead; may be repeated")
    parser.add_argument("--data", metavar="DIR|full", help="describe these files (default: the embedded 5,000 digits)")
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="seed of the images shown (default 0)")
    parser.add_argument(
        "--out", default="mnist.png", metavar="FILE.png", help="the picture of the set (default mnist.png)"
    )
    add_json(parser, "the description")


def run(arguments: Namespace) -> None:
    if arguments.download:
        directory = data.download_mnist(**({"mirrors": arguments.mirror} if arguments.mirror else {}))
        at = {"directory": str(directory)}
        print(as_json(at) if arguments.json else f"{directory}: the full MNIST set; use it with --data full")
        return
    target = png(arguments.out, "--out")
    digits = data.load_mnist(arguments.data)
    plots.data_set(digits, np.random.default_rng(arguments.seed), target)
    if arguments.json:
        print(as_json(_about(digits) | {"picture": str(target)}))
        return
    _print_data(digits)
    print(f"{'picture':<12}{target}")


def _about(digits):
    """What a set of digits holds, as JSON-ready values."""
    images, labels = digits.images, digits.labels
    classes = None if labels is None else np.bincount(labels, minlength=10).tolist()
    about = {"source": digits.source, "images": len(digits), "shape": [28, 28], "dtype": images.dtype.name}
    ink = {"lowest": int(images.min()), "highest": int(images.max()), "mean_ink": float(images.mean() / 255)}
    return about | ink | {"classes": classes}


def _print_data(digits):
    """What a set of digits holds: the images, their values, and how the classes share them."""
    extremes = np.array([digits.images.min(), digits.images.max()])
    low, high = to_unit_range(extremes)
    rows = [
        ("source", digits.source),
        ("images", f"{digits.images.shape} {digits.images.dtype}, 28 × 28 pixels each"),
        ("range", f"{extremes[0]} to {extremes[1]}"),
        ("scaled", f"{low:.4g} to {high:.4g}, by (pixel − 127.5)/127.5"),
        ("mean ink", f"{digits.images.mean() / 255:.1%} of full ink"),
    ]
    if digits.labels is None:
        rows.append(("labels", "none, so nothing is known of the classes"))
    else:
        counts = np.bincount(digits.labels, minlength=10)
        rows += [(f"class {k}", f"{n:>7,}  {n / len(digits):>6.1%}") for k, n in enumerate(counts)]
        for name, n in (("smallest", counts.min()), ("largest", counts.max())):
            classes = np.flatnonzero(counts == n)
            which = "every class" if len(classes) == 10 else "class " + ", ".join(map(str, classes))
            rows.append((name, f"{n:>7,}  {which}"))
    for name, value in rows:
        print(f"{name:<12}{value}")
