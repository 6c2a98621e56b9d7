"""`numgan train`: a run, several seeds of it, or a run that goes on."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from numgan.cli.arguments import (
    add_recipe,
    add_settings,
    between,
    named,
    natural,
    overrides_of,
    positive,
    seeds_of,
    settings_of,
)
from numgan.cli.streams import fail
from numgan.gan.equilibrium import PATIENCE
from numgan.gan.equilibrium import TOLERANCE as TOLERANCE_OF_HALF
from numgan.study import event_log, recipes, runs, seeds
from numgan.study.settings import SettingError, setting_rows
from numgan.study.signals import stop_status, stopping_signals

HELP = "train a recipe and leave a run directory with the model, its history and pictures"


def add_arguments(parser: ArgumentParser) -> None:
    add_recipe(parser, nargs="?")
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with a run that was stopped, from its last checkpoint; --steps or --epochs make it longer",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="train as a run was trained whose config.json this is: its recipe, settings, seed, dtype, data, "
        "--until-equilibrium and --watch; what is given besides holds in place of the file's",
    )
    parser.add_argument("--steps", metavar="N", help="training steps; the same as --set steps=N")
    parser.add_argument(
        "--epochs", metavar="N", help="passes over a recipe's data set in place of steps; the same as --set epochs=N"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=natural, metavar="N", help="seed of everything random (default 0)")
    which.add_argument(
        "--seeds",
        type=seeds_of,
        metavar="0-4",
        help="several seeds, as 0-4 or 0,3,7: trained side by side, a run directory each, evaluated and compared",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), help="default float32")
    parser.add_argument(
        "--data",
        metavar="DIR|full",
        help="a directory of MNIST IDX files, or 'full' for the download (default: the embedded 5,000 digits); for "
        "the recipe pictures a directory of PNG files",
    )
    parser.add_argument(
        "--until-equilibrium",
        type=between(0.5),
        nargs="?",
        const=TOLERANCE_OF_HALF,
        metavar="X",
        help="stop when, on held-out real rows and on fresh fakes, the discriminator's answers stay within X of ½ on "
        f"average for {PATIENCE} checks running (X is {TOLERANCE_OF_HALF:g} unless given)",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=positive,
        metavar="N",
        help="keep all that it takes to go on every N steps (default: about every half minute)",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="look inside the networks: every layer's gradient norm, update-to-weight ratio and dead units, shown as a "
        "table that is drawn in place (as lines where there is no terminal), kept in history.csv and drawn in "
        "gradients.png; with --quiet kept and drawn alone",
    )
    parser.add_argument(
        "--animate",
        action="store_true",
        help="leave evolution.gif too: the training as an animation, a frame for each moment that the run keeps",
    )
    parser.add_argument(
        "--log-dir",
        metavar="DIR",
        help="write event files for TensorBoard there (which takes: pip install 'numgan[tensorboard]'), in DIR/seed-N "
        "with --seeds: losses, what --watch looks at, pictures, weights; a run that is resumed is logged on there",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="the run directory, new or empty (default: a fresh one under runs/)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_settings(parser)


def run(arguments: Namespace) -> int:
    if [arguments.recipe, arguments.config, arguments.resume].count(None) != 2:
        raise SettingError(
            "numgan train takes a recipe, or --resume and a run to go on with, or --config and a file; one of them"
        )
    with stopping_signals():
        if arguments.resume:
            trained = _resume(arguments)
        else:
            _fill_in(arguments, _from_config(arguments) if arguments.config else {"seed": 0, "dtype": "float32"})
            recipe = recipes.get(arguments.recipe)
            settings = settings_of(recipe, arguments)
            if arguments.seeds:
                return _train_seeds(recipe, settings, arguments)
            trained = runs.train(
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
        if trained.history is not None and not arguments.quiet and not isinstance(trained.stop, OSError):
            print(f"\n{trained.figures()}" if trained.history else trained.figures())
    return fail("numgan train", trained.stopped, trained.status) if trained.stopped else 0


def _train_seeds(recipe, settings, arguments):
    # so that data that cannot be read is reported once, before anything starts
    recipe.load(arguments.data, settings)
    for seed in arguments.seeds if arguments.log_dir else ():
        event_log.check(Path(arguments.log_dir, f"seed-{seed}"), new=True)
    how = {name: getattr(arguments, name) for name in ("dtype", "until_equilibrium", "checkpoint_every")}
    how["source"] = arguments.data if arguments.data in (None, "full") else str(Path(arguments.data).resolve())
    how |= {"watch": arguments.watch, "animate": arguments.animate}
    how |= {"log_dir": arguments.log_dir and str(Path(arguments.log_dir).resolve())}
    with runs.claimed(arguments.out, f"{recipe.name}-seeds") as directory:
        overrides = overrides_of(recipe, arguments)
        trained, stop = seeds.train(recipe.name, overrides, arguments.seeds, directory, arguments.quiet, **how)
    if not arguments.quiet:
        print(f"{seeds.table(trained)}\n{directory}: " + ", ".join(sorted(path.name for path in directory.iterdir())))
    failed = [run for run in trained if run.error]
    for run in failed:
        fail("numgan train", f"seed {run.seed} failed: {run.error}", 1)
    if stop:
        return stop_status(stop)
    return 1 if failed else 0


def _resume(arguments):
    """`numgan train --resume RUN`: what the run was asked for stands in the run."""
    own = ("seeds", "data", "until_equilibrium", "watch", "animate", "out", "batch_size", "set", "seed", "dtype")
    given = [name for name in own if _given(arguments, name)]
    if given:
        raise SettingError(f"--{given[0].replace('_', '-')} cannot be given with --resume: the run has its own")
    length, how = named(arguments, "steps", "epochs"), {"live": _in_place(), "log_dir": arguments.log_dir}
    return runs.resume(arguments.resume, length, arguments.quiet, _say, arguments.checkpoint_every, **how)


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


def _given(arguments, name):
    """Whether an argument is on the command line: 0 is one."""
    value = getattr(arguments, name)
    return not (value is None or value is False or value == [])


def _fill_in(arguments, values):
    """Arguments that were not given, as they are to be."""
    for name, value in values.items():
        if not _given(arguments, name):
            setattr(arguments, name, value)


def _in_place():
    """Whether standard output is a terminal in which the cursor can go up."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and sys.platform != "win32"


def _say(text):
    """Print a line of progress. Where nobody can read it, the training stops, and keeps its state."""
    print(text, flush=True)
    if sys.stdout.error:
        raise sys.stdout.error
