"""The command line: parses arguments, calls the rest, prints what came of it.

Exit status 2 for a bad call, 3 for a training that diverged, 128 and the signal's number for what was stopped (130 by
Ctrl-C, 143 by SIGTERM, 141 where nobody reads the output any more), 1 for any other failure.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import json
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import numgan
from numgan import data
from numgan.data.mnist import to_unit_range
from numgan.errors import Error
from numgan.figures import new_figure
from numgan.gan.equilibrium import PATIENCE
from numgan.gan.equilibrium import TOLERANCE as TOLERANCE_OF_HALF
from numgan.gan.fit import NonFiniteError
from numgan.gradcheck import faults, own
from numgan.gradcheck.check import TOLERANCE
from numgan.study import checks, event_log, explain, plots, profiling, recipes, runs, seeds
from numgan.study.exercises import command as exercise
from numgan.study.settings import SettingError, brief, named_value, setting_rows, with_overrides
from numgan.study.signals import stop_status, stopping_signals
from numgan.study.streams import LONGEST, Streams, fail
from numgan.study.studies import command as studies
from numgan.tables import as_json, figure

CONDITIONS = {  # of `numgan sample`, where the run has one
    "label": ("CLASS", "of a run with classes: make this one, such as 7"),
    "text": ("WORDS", "of a run with captions: make what is described, such as 'a green four'"),
    "image": ("FILE.png", "of a run that translates: make its picture from this one"),
}
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EIO)
MOST_ROWS = 1_000_000  # that -n asks for, and the like


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line on `argv` (default: sys.argv) and return the exit status."""
    with Streams() as streams:
        try:
            status = _run(sys.argv[1:] if argv is None else argv)
        except SystemExit as stop:  # argparse, after it has printed help or what is wrong
            status = stop.code
        return streams.close(status)


def _run(argv):
    try:
        arguments = _parser().parse_args(_as_file_names(argv))
    except SettingError as error:
        return fail("numgan", error, 2)
    who = f"numgan {arguments.command}"
    try:
        if arguments.command in ("train", "study"):
            new_figure()  # so that what keeps matplotlib from drawing is said now, not after the training
        return arguments.run(arguments) or 0
    except NonFiniteError as error:
        return fail(who, error, 1)
    except (Error, OSError, MemoryError) as error:
        disk_full = getattr(error.__cause__ or error, "errno", None) in DISK_FULL
        return fail(who, error, 1 if disk_full or sys.stdout.error else 2)
    except KeyboardInterrupt as stop:
        return fail(who, str(stop) or "interrupted", stop_status(stop))


def _as_file_names(argv):
    """The arguments, if each could name a file: then none fails further down for what no file is called."""
    for argument in argv:
        try:
            fits = b"\0" not in os.fsencode(argument)
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise SettingError(f"argument {brief(ascii(argument))} holds a character that no file name can have")
    return argv


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(2, brief(f"{self.prog}: error: {message}", LONGEST) + "\n")


def _parser():
    parser = _Parser(prog="numgan", description=numgan.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"numgan {numgan.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, run, help):
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(run=run)
        return sub

    sub = command("recipes", _recipes, "list the recipes and their settings")
    _add_json(sub, "them")

    sub = command("summary", _summary, "print the networks of a recipe, layer by layer")
    sub.add_argument("recipe", metavar="RECIPE")
    sub.add_argument(
        "--step", action="store_true", help="print the whole training step too, every kernel call with its shapes"
    )
    sub.add_argument("--batch-size", metavar="N", help="the same as --set batch_size=N")
    _add_set(sub)
    _add_json(sub, "them")

    sub = command("train", _train, "train a recipe and leave a run directory with the model, its history and pictures")
    sub.add_argument("recipe", metavar="RECIPE", nargs="?", help="one of: " + ", ".join(recipes.RECIPES))
    sub.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with a run that was stopped, from its last checkpoint; --steps or --epochs make it longer",
    )
    sub.add_argument(
        "--config",
        metavar="FILE",
        help="train as a run was trained whose config.json this is: its recipe, settings, seed, dtype, data, "
        "--until-equilibrium and --watch; what is given besides holds in place of the file's",
    )
    sub.add_argument("--steps", metavar="N", help="training steps; the same as --set steps=N")
    sub.add_argument(
        "--epochs", metavar="N", help="passes over a recipe's data set in place of steps; the same as --set epochs=N"
    )
    sub.add_argument("--batch-size", metavar="N", help="the same as --set batch_size=N")
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--seed", type=_natural, metavar="N", help="seed of everything random (default 0)")
    which.add_argument(
        "--seeds",
        type=_seeds,
        metavar="0-4",
        help="several seeds, as 0-4 or 0,3,7: trained side by side, a run directory each, evaluated and compared",
    )
    sub.add_argument("--dtype", choices=("float32", "float64"), help="default float32")
    sub.add_argument(
        "--data",
        metavar="DIR|full",
        help="a directory of MNIST IDX files, or 'full' for the download (default: the embedded 5,000 digits); for "
        "the recipe pictures a directory of PNG files",
    )
    sub.add_argument(
        "--until-equilibrium",
        type=_between(0.5),
        nargs="?",
        const=TOLERANCE_OF_HALF,
        metavar="X",
        help="stop when, on held-out real rows and on fresh fakes, the discriminator's answers stay within X of ½ on "
        f"average for {PATIENCE} checks running (X is {TOLERANCE_OF_HALF:g} unless given)",
    )
    sub.add_argument(
        "--checkpoint-every",
        type=_positive,
        metavar="N",
        help="keep all that it takes to go on every N steps (default: about every half minute)",
    )
    sub.add_argument(
        "--watch",
        action="store_true",
        help="look inside the networks: every layer's gradient norm, update-to-weight ratio and dead units, shown as a "
        "table that is drawn in place (as lines where there is no terminal), kept in history.csv and drawn in "
        "gradients.png; with --quiet kept and drawn alone",
    )
    sub.add_argument(
        "--animate",
        action="store_true",
        help="leave evolution.gif too: the training as an animation, a frame for each moment that the run keeps",
    )
    sub.add_argument(
        "--log-dir",
        metavar="DIR",
        help="write event files for TensorBoard there (which takes: pip install 'numgan[tensorboard]'), in DIR/seed-N "
        "with --seeds: losses, what --watch looks at, pictures, weights; a run that is resumed is logged on there",
    )
    sub.add_argument("--out", metavar="DIR", help="the run directory, new or empty (default: a fresh one under runs/)")
    sub.add_argument("--quiet", action="store_true", help="print nothing but errors")
    _add_set(sub)

    sub = command("study", studies.run, "train a recipe under many settings with several seeds each, and compare them")
    studies.add_arguments(sub)

    sub = command("sample", _sample, "draw new samples from a trained run")
    sub.add_argument("directory", metavar="RUN", help="a run directory")
    sub.add_argument("-n", type=_positive, metavar="N", help="how many (default: as many as the run's own picture)")
    sub.add_argument("--seed", type=_natural, default=0, metavar="N", help="seed of the noise (default 0)")
    where = sub.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="FILE", help=".png for a picture, .npy for the raw float32 array (n, *shape)")
    where.add_argument(
        "--walk",
        metavar="FILE.gif",
        help="an animation: the noise goes from point to point and back to the first, conditions stay",
    )
    condition = sub.add_mutually_exclusive_group()
    for name, (metavar, help) in CONDITIONS.items():
        condition.add_argument(f"--{name}", metavar=metavar, help=help)

    sub = command("evaluate", _evaluate, "measure how good a run's samples are, beside what real data gets")
    sub.add_argument("directory", metavar="RUN", help="a run directory")
    sub.add_argument(
        "-n",
        type=_positive,
        metavar="N",
        help="how many samples (default: as many as held-out pictures; 26,000 stacks of digits; 5,000 points)",
    )
    sub.add_argument(
        "--seed", type=_natural, default=0, metavar="N", help="seed of the noise and of the real data (default 0)"
    )
    _add_json(sub, "the evaluation")
    sub.add_argument(
        "--neighbours",
        metavar="FILE.png",
        help="of digits and pictures: draw the samples that repeat most, beside the samples and the training pictures "
        "nearest to them",
    )

    sub = command("profile", _profile, "show where a training step's time goes, kernel call by kernel call")
    sub.add_argument("recipe", metavar="RECIPE", help="one of: " + ", ".join(recipes.RECIPES))
    sub.add_argument(
        "--steps", type=_positive, default=30, dest="repeats", metavar="N", help="medians over N steps (default 30)"
    )
    sub.add_argument("--batch-size", metavar="N", help="the same as --set batch_size=N")
    _add_set(sub)
    _add_json(sub, "the profile")

    sub = command("explain", _explain, "tell one training step call by call: the formulas, with the step's numbers")
    sub.add_argument("what", metavar="RECIPE|RUN", help="a recipe with fresh weights of seed 0, or a run directory")
    sub.add_argument(
        "--step",
        type=_steps,
        metavar="N",
        help="train for N steps first (default 0); of a run, N more, which it does not keep; with --html look into "
        "the steps 0, 10, 100 … up to N on the way (default 100)",
    )
    sub.add_argument("--html", metavar="FILE", help="write a page to look around in, one file that needs no network")
    sub.add_argument("--layer", metavar="NAME", help="tell of this layer alone, as dense_1, and all that it reads")
    sub.add_argument("--sample", type=_natural, default=0, metavar="I", help="whose numbers are shown (default 0)")
    sub.add_argument("--data", metavar="DIR|full", help="the recipe's data, as for numgan train")
    sub.add_argument("--batch-size", metavar="N", help="the same as --set batch_size=N")
    _add_set(sub)

    sub = command(
        "gradcheck", _gradcheck, "check the hand-written gradients against differences, and all other formulas"
    )
    sub.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="what to check: "
        + ", ".join(checks.TARGETS)
        + "; or a layer, loss or function of your own as FILE.py:NAME or MODULE:NAME, whose code is then run",
    )
    sub.add_argument("--all", action="store_true", help="check everything")
    sub.add_argument(
        "--faults",
        nargs="?",
        const="all",
        metavar="CHAPTER|WORDS",
        help="plant known mistakes one by one, all of them, a chapter's, or those with WORDS in their name, and see "
        "each one caught; the chapters are " + ", ".join(faults.CHAPTERS),
    )
    sub.add_argument(
        "--shape",
        type=_shape,
        metavar="N,…",
        help="shape of your own code's input: of one sample, default 4; for functions of all of it, default 5,4",
    )
    sub.add_argument("--tol", type=_between(1), default=TOLERANCE, metavar="X", help="relative (default 1e-07)")
    sub.add_argument("--seed", type=_natural, default=0, metavar="N", help="seed of inputs and directions (default 0)")
    _add_json(sub, "the reports")

    sub = command("exercise", exercise.run, "write a kernel's backward pass yourself, and have it checked")
    exercise.add_arguments(sub)

    sub = command("data", _data, "describe a data set, or fetch it")
    sub.add_argument("name", choices=("mnist",))
    sub.add_argument("--download", action="store_true", help="fetch the full set into the cache directory")
    sub.add_argument("--mirror", action="append", metavar="URL", help="download from here instead; may be repeated")
    sub.add_argument("--data", metavar="DIR|full", help="describe these files (default: the embedded 5,000 digits)")
    sub.add_argument("--seed", type=_natural, default=0, metavar="N", help="seed of the images shown (default 0)")
    sub.add_argument(
        "--out", default="mnist.png", metavar="FILE.png", help="the picture of the set (default mnist.png)"
    )
    _add_json(sub, "the description")
    return parser


def _add_set(sub):
    sub.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override a setting of the recipe; may be repeated",
    )


def _add_json(sub, what):
    sub.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def _natural(text):
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) >= runs.SEEDS:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 up, below 2⁶⁴, got {brief(text)!r}")
    return int(text)


def _steps(text):
    return 0 if text == "0" else _positive(text)


def _positive(text):
    if not re.fullmatch("[0-9]{1,20}", text) or not 0 < int(text) <= MOST_ROWS:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up to {MOST_ROWS:,}, got {brief(text)!r}")
    return int(text)


def _shape(text):
    shape = tuple(_positive(part) for part in text.split(","))
    if math.prod(shape) > MOST_ROWS:
        raise argparse.ArgumentTypeError(f"expected a shape of at most {MOST_ROWS:,} values, got {brief(text)!r}")
    return shape


def _seeds(text):
    try:
        return seeds.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected seeds such as 0-4 or 0,3,7, got {brief(text)!r}") from None


def _settings(recipe, arguments):
    """The recipe's settings with --steps, --batch-size and every --set applied."""
    return with_overrides(recipe.settings, _overrides(recipe, arguments))


def _overrides(recipe, arguments):
    """name -> text of the settings that --steps, --batch-size and --set give."""
    overrides = {name: getattr(arguments, name, None) for name in ("steps", "epochs", "batch_size")}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    if "epochs" in overrides and not hasattr(recipe.settings, "epochs"):
        raise SettingError(f"{recipe.name} draws its rows afresh and has no epochs; give --steps")
    for pair in arguments.set:
        name, value = named_value("--set", pair)
        overrides[name] = value
    return overrides


def _recipes(arguments):
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


def _summary(arguments):
    recipe = recipes.get(arguments.recipe)
    settings = _settings(recipe, arguments)
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


def _train(arguments):
    if [arguments.recipe, arguments.config, arguments.resume].count(None) != 2:
        raise SettingError(
            "numgan train takes a recipe, or --resume and a run to go on with, or --config and a file; one of them"
        )
    with stopping_signals():
        if arguments.resume:
            run = _resume(arguments)
        else:
            _fill_in(arguments, _from_config(arguments) if arguments.config else {"seed": 0, "dtype": "float32"})
            recipe = recipes.get(arguments.recipe)
            settings = _settings(recipe, arguments)
            if arguments.seeds:
                return _train_seeds(recipe, arguments)
            run = runs.train(
                recipe,
                settings,
                arguments.seed,
                arguments.dtype,
                arguments.data,
                arguments.out,
                arguments.quiet,
                _say,
                until_equilibrium=arguments.until_equilibrium,
                checkpoint_every=arguments.checkpoint_every,
                watch=arguments.watch,
                live=_in_place(),
                log_dir=arguments.log_dir,
                animate=arguments.animate,
            )
        if run.history is not None and not arguments.quiet and not isinstance(run.stop, OSError):
            print(f"\n{run.figures()}" if run.history else run.figures())
    return fail("numgan train", run.stopped, run.status) if run.stopped else 0


def _given(arguments, name):
    """Whether an argument is on the command line: 0 is one."""
    value = getattr(arguments, name)
    return not (value is None or value is False or value == [])


def _fill_in(arguments, values):
    """Arguments that were not given, as they are to be."""
    for name, value in values.items():
        if not _given(arguments, name):
            setattr(arguments, name, value)


def _from_config(arguments):
    """What --config says of arguments; of the settings those that are not given, in front of those of --set."""
    config = runs.config_in(arguments.config)
    recipe, given = config["recipe"], {pair.partition("=")[0].strip().replace("-", "_") for pair in arguments.set}
    given |= {name for name in ("steps", "epochs", "batch_size") if _given(arguments, name)}
    given |= {"steps", "epochs"} if given & {"steps", "epochs"} else set()  # two ways to say one thing
    usual = {name: value for name, value, _ in setting_rows(recipe.settings)}
    rows = [(name, value) for name, value, _ in setting_rows(config["settings"]) if value != usual[name]]
    arguments.set = [*(f"{name}={value}" for name, value in rows if name not in given), *arguments.set]
    same = {name: config[name] for name in ("seed", "dtype", "until_equilibrium", "watch", "animate")}
    return same | {"recipe": recipe.name, "data": config["data_from"]}


def _resume(arguments):
    """`numgan train --resume RUN`: what the run was asked for stands in the run."""
    own = ("seeds", "data", "until_equilibrium", "watch", "animate", "out", "batch_size", "set", "seed", "dtype")
    given = [name for name in own if _given(arguments, name)]
    if given:
        raise SettingError(f"--{given[0].replace('_', '-')} cannot be given with --resume: the run has its own")
    length = {name: getattr(arguments, name) for name in ("steps", "epochs") if getattr(arguments, name) is not None}
    how = {"live": _in_place(), "log_dir": arguments.log_dir}
    return runs.resume(arguments.resume, length, arguments.quiet, _say, arguments.checkpoint_every, **how)


def _in_place():
    """Whether standard output is a terminal in which the cursor can go up."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and sys.platform != "win32"


def _say(text):
    """Print a line of progress. Where nobody can read it, the training stops, and keeps its state."""
    print(text, flush=True)
    if sys.stdout.error:
        raise sys.stdout.error


def _train_seeds(recipe, arguments):
    # so that data that cannot be read is reported once, before anything starts
    recipe.load(arguments.data, _settings(recipe, arguments))
    for seed in arguments.seeds if arguments.log_dir else ():
        event_log.check(Path(arguments.log_dir, f"seed-{seed}"), new=True)
    how = {name: getattr(arguments, name) for name in ("dtype", "until_equilibrium", "checkpoint_every")}
    how["source"] = arguments.data if arguments.data in (None, "full") else str(Path(arguments.data).resolve())
    how |= {"watch": arguments.watch, "animate": arguments.animate}
    how |= {"log_dir": arguments.log_dir and str(Path(arguments.log_dir).resolve())}
    with runs.claimed(arguments.out, f"{recipe.name}-seeds") as directory:
        settings = _overrides(recipe, arguments)
        trained, stop = seeds.train(recipe.name, settings, arguments.seeds, directory, arguments.quiet, **how)
    if not arguments.quiet:
        print(f"{seeds.table(trained)}\n{directory}: " + ", ".join(sorted(path.name for path in directory.iterdir())))
    failed = [run for run in trained if run.error]
    for run in failed:
        fail("numgan train", f"seed {run.seed} failed: {run.error}", 1)
    if stop:
        return stop_status(stop)
    return 1 if failed else 0


def _sample(arguments):
    conditions = {name: value for name in CONDITIONS if (value := getattr(arguments, name)) is not None}
    if arguments.walk is not None:
        how = arguments.n, arguments.seed, conditions
        target, samples = runs.walk(arguments.directory, arguments.walk, *how)
    else:
        target, samples = runs.sample(arguments.directory, arguments.n, arguments.seed, arguments.out, conditions)
    print(f"{target}: {samples}")


def _evaluate(arguments):
    target = None if arguments.neighbours is None else _png(arguments.neighbours, "--neighbours")
    evaluation, gan, about = runs.evaluate(arguments.directory, arguments.n, arguments.seed)
    if target:
        runs.draw_neighbours(arguments.directory, arguments.n, arguments.seed, target)
    if arguments.json:
        print(json.dumps(about | evaluation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False))
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


def _profile(arguments):
    recipe = recipes.get(arguments.recipe)
    settings = _settings(recipe, arguments)
    weights_rng, training_rng, _ = runs.streams(0)
    rows = recipe.load(None, settings)[0]
    gan = recipe.build(settings.for_data(rows), weights_rng, "float32")
    profile = profiling.profile(gan, rows, settings.batch_size, training_rng, arguments.repeats)
    print(as_json(profiling.to_dict(*profile)) if arguments.json else profiling.table(*profile))


def _explain(arguments):
    chosen = {name: getattr(arguments, name) for name in ("data", "batch_size", "set") if getattr(arguments, name)}
    if arguments.what in recipes.RECIPES:
        recipe = recipes.get(arguments.what)
        subject = explain.of_recipe(recipe, _settings(recipe, arguments), arguments.data)
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


def _between(top):
    """An argument type: a number between 0 and `top`."""

    def parse(text):
        value = 0.0
        if re.fullmatch("[0-9.eE+-]{1,100}", text):
            with contextlib.suppress(ValueError):
                value = float(text)
        if not 0 < value < top:
            raise argparse.ArgumentTypeError(f"expected a number between 0 and {top:g}, got {brief(text)!r}")
        return value

    return parse


def _gradcheck(arguments):
    unknown = [name for name in arguments.targets if name not in checks.TARGETS and not own.is_own(name)]
    if unknown:
        raise SettingError(f"no target {brief(unknown[0])!r}; the targets are {', '.join(checks.TARGETS)}")
    if not (arguments.targets or arguments.all or arguments.faults):
        raise SettingError(f"name a target, or --all, or --faults; the targets are {', '.join(checks.TARGETS)}")
    planted = _planted(arguments.faults)
    named = [name for name in arguments.targets if not (arguments.all and name in checks.TARGETS)]
    reports = []
    for name in [*(checks.TARGETS if arguments.all else ()), *named]:
        if own.is_own(name):
            reports += own.check_own(name, arguments.shape, arguments.seed, arguments.tol)
        else:
            reports += [check(arguments.seed, arguments.tol) for check in checks.TARGETS[name]]
    caught = [faults.hunt(fault, arguments.seed, arguments.tol) for fault in planted]
    if arguments.json:
        hunted = [
            {"chapter": c.fault.chapter, "fault": c.fault.name, "caught_by": c.by and c.by.subject, "saw": c.what}
            for c in caught
        ]
        print(as_json({"reports": [r.to_dict() for r in reports], "faults": hunted}))
    else:
        print("\n\n".join(map(str, reports)))
        _print_hunt(caught)
        _print_verdict(reports, caught)
    return 0 if all(r.passed for r in reports) and all(c.by for c in caught) else 1


def _planted(asked):
    """The faults that --faults asks for: none where it is not given, all, those of a chapter, or by words of theirs."""
    if asked is None:
        return []
    planted = [fault for fault in faults.FAULTS if asked in ("all", fault.chapter)]
    planted = planted or [fault for fault in faults.FAULTS if asked.lower() in fault.name.lower()]
    if not planted:
        raise SettingError(
            f"--faults {brief(asked)}: no planted mistake has that in its name; the chapters are "
            + ", ".join(faults.CHAPTERS)
        )
    return planted


def _print_hunt(caught):
    """A line per planted fault: what it was, which check failed over it, and what that check saw."""
    chapter = None
    for c in caught:
        if c.fault.chapter != chapter:
            chapter = c.fault.chapter
            print(f"\n{chapter}")
        print(f"{'caught' if c.by else 'MISSED':<7} {c.fault.name}")
        print(f"        {c.by.subject if c.by else 'no check'} → {c.what}")


def _print_verdict(reports, caught):
    if len(reports) > 1:
        passed, numbers, seconds = (sum(getattr(r, k) for r in reports) for k in ("passed", "checked", "seconds"))
        print(f"\n{passed} of {len(reports)} checks passed, {numbers:,} numbers in {seconds:.1f} s")
        for report in reports:
            if not report.passed:
                print(f"FAILED: {report.subject}")
    if caught:
        print(f"\n{sum(c.by is not None for c in caught)} of {len(caught)} planted faults caught")


def _data(arguments):
    if arguments.download:
        directory = data.download_mnist(**({"mirrors": arguments.mirror} if arguments.mirror else {}))
        at = {"directory": str(directory)}
        print(as_json(at) if arguments.json else f"{directory}: the full MNIST set; use it with --data full")
        return
    target = _png(arguments.out, "--out")
    digits = data.load_mnist(arguments.data)
    plots.data_set(digits, np.random.default_rng(arguments.seed), target)
    if arguments.json:
        print(as_json(_about(digits) | {"picture": str(target)}))
        return
    _print_data(digits)
    print(f"{'picture':<12}{target}")


def _png(text, option):
    """Where to write a picture, checked before any work is done."""
    target = Path(text)
    if target.suffix != ".png":
        raise SettingError(f"{option} {brief(text)} should end in .png")
    if not target.parent.is_dir():
        raise SettingError(f"{option} {brief(text)}: {brief(str(target.parent))} is not a directory")
    return target


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
