"""The command line of the benchmarks: arguments in, then the command's own module does the work."""

import argparse
import importlib
import os
import sys

from benchmarks import BenchmarkError, threads
from benchmarks.studies import STUDIES

RECIPES = ("mnist", "sine", "mnist-dcgan")
DENSE = RECIPES[:2]
CONDITIONAL = ("mnist-conditional", "translate")
PEERS = (
    "numgan", "torch", "torch-channels-last", "torch-compiled", "jax", "jax-scan", "keras-jax", "keras-tensorflow",
)  # fmt: skip
STACKS = ("numgan-stack", "numgan-alone", "jax-vmap", "torch-stack")
ABOUT = """\
Each command prints a table and writes COMMAND.json and COMMAND.png into the output directory. Times are medians, with
quartiles, over rounds in which everything that is compared runs in turn. Close what else computes while one runs."""
UNTIMED = """\
Leaves STUDY.json, STUDY.md, STUDY.png and the run directories in the output directory. What STUDY.json holds already is
not trained again. Nothing is timed."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One sentence, without the usage in front of it."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv=None):
    """Run the command line on `argv` (default: sys.argv) and return the exit status."""
    arguments = _parser().parse_args(argv)
    if getattr(arguments, "rounds", 0) is None:
        arguments.rounds = arguments.quick_rounds if arguments.quick else arguments.full_rounds
    if isinstance(getattr(arguments, "threads", None), int):
        os.environ.update(threads.environment(arguments.threads))  # before the import below loads NumPy
    try:
        return importlib.import_module(f"benchmarks.{arguments.command}").run(arguments)
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"benchmarks {arguments.command}: interrupted", file=sys.stderr)
        return 130


def _parser():
    parser = Parser(prog="benchmarks", description="Measure numgan on this machine.", epilog=ABOUT)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, help, rounds, quick_rounds, default=DENSE, known=RECIPES):
        sub = commands.add_parser(name, help=help, description=f"{name}: {help}.", epilog=ABOUT)
        _add_out(sub)
        sub.add_argument("--recipes", type=_names(known), default=default, metavar="NAME,…",
                         help=f"default: {','.join(default)}; there are {', '.join(known)}")  # fmt: skip
        sub.add_argument("--quick", action="store_true", help=f"{quick_rounds} rounds in place of {rounds}")
        sub.add_argument("--rounds", type=_positive, metavar="N", help="or as many as this")
        sub.set_defaults(full_rounds=rounds, quick_rounds=quick_rounds)
        return sub

    sub = command("kernels", "each kernel alone, as a share of the machine's own measured peak", 30, 8,
                  (*DENSE, "layers"), (*RECIPES, "layers"))  # fmt: skip
    _add_threads(sub)
    sub = command("step", "each recipe's training step, in its parts and against its matrix products alone", 100, 25,
                  RECIPES)  # fmt: skip
    _add_threads(sub)
    sub = command("peers", "numgan against PyTorch, JAX and Keras on the same training step", 30, 6, RECIPES,
                  (*RECIPES, *CONDITIONAL))  # fmt: skip
    _add_threads(sub)
    sub.add_argument("--only", type=_names(PEERS), default=PEERS, metavar="NAME,…", help="of " + ", ".join(PEERS))
    sub = command("penalty", "what a gradient penalty costs: a critic's step with one against the plain step", 30, 6,
                  ("mnist", "mnist-dcgan"))  # fmt: skip
    _add_threads(sub)
    sub.add_argument("--peers", action="store_true", help="beside PyTorch, which has to be installed")
    sub = command("busy", "a step while another process keeps a core, against a quiet machine", 20, 5,
                  ("mnist",))  # fmt: skip
    _add_threads(sub)
    sub = command("replicas", "many GANs at once, numgan's stacks against JAX's vmap and PyTorch's baddbmm", 10, 3,
                  ("sine",), ("sine",))  # fmt: skip
    _add_threads(sub)
    sub.add_argument("--only", type=_names(STACKS), default=STACKS, metavar="NAME,…", help="of " + ", ".join(STACKS))
    sub.add_argument("--replicas", type=_numbers, default=(1, 4, 16, 64, 256), metavar="N,…",
                     help="default: 1,4,16,64,256")  # fmt: skip
    sub = command("scaling", "samples a second and memory over batch size, width and 1 and 2 threads", 3, 1)
    sub.add_argument("--batches", type=_numbers, metavar="N,…", help="default: powers of two from 1 to 8,192")
    sub.add_argument("--widths", type=_numbers, metavar="K,…", help="factors of the hidden widths, default 1,2,4,8")
    sub.set_defaults(threads=(1, 2))
    sub = command("versus", "the training step of two checkouts, in turns", 60, 12)
    _add_threads(sub)
    _add_checkouts(sub)

    text = "what a study's arms end up as, seed by seed: objectives, penalties, rates and averages side by side"
    sub = commands.add_parser("arms", help=text, description=f"arms: {text}.", epilog=UNTIMED)
    sub.add_argument("study", choices=tuple(STUDIES), metavar="STUDY", help=f"of {', '.join(STUDIES)}")
    _add_out(sub)
    sub.add_argument("--arms", type=lambda text: tuple(text.split(",")), metavar="NAME,…", help="default: all")
    sub.add_argument("--seeds", type=_positive, default=5, metavar="N", help="so many, from 0 on; default 5")
    sub.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of all arms")

    text = "whether two checkouts train the same models, bit for bit"
    sub = commands.add_parser("bits", help=text, description=f"bits: {text}.")
    _add_checkouts(sub)

    text = "what changed between two results of one command, and by how much more than the spread"
    sub = commands.add_parser("compare", help=text, description=f"compare: {text}.")
    sub.add_argument("old", metavar="OLD.json")
    sub.add_argument("new", metavar="NEW.json")
    _add_out(sub)
    return parser


def _add_out(sub):
    sub.add_argument("--out", default="benchmarks/results", metavar="DIR", help="default %(default)s")


def _add_checkouts(sub):
    sub.add_argument("old", metavar="OLD", help="a checkout of numgan")
    sub.add_argument("new", metavar="NEW", nargs="?", default=".", help="another (default: this one)")


def _add_threads(sub):
    sub.add_argument("--threads", type=_positive, default=2, metavar="N", help="of the matrix products, default 2")


def _positive(text):
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return int(text)


def _numbers(text):
    return tuple(_positive(part) for part in text.split(","))


def _names(known):
    def parse(text):
        names = tuple(text.split(","))
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"no {', '.join(map(repr, unknown))}; there are {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
