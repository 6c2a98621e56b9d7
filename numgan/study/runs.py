"""A run: one training of a recipe, from seed to run directory, and back from the directory to samples.

A run directory holds config.json, history.csv, model.npz, samples.png, evolution.png and history.png, where the insides
of the networks are watched gradients.png, and where it was asked for evolution.gif. model.npz is the run's checkpoint
too: beside the model it holds all that it takes to go on.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import math
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan import __version__
from numgan.errors import Error
from numgan.files import atomic_write, locked, remove_leftovers
from numgan.gan.checkpoint import Checkpoint
from numgan.gan.conditions import Together
from numgan.gan.equilibrium import Equilibrium
from numgan.gan.fit import NonFiniteError
from numgan.gan.model import GAN
from numgan.gan.side_by_side import Side, fit_side_by_side
from numgan.hints import Array, DType, FileName, Rng
from numgan.nn.model_file import ModelFileError
from numgan.study import ends, event_log, neighbours, plots, recipes
from numgan.study.recipes.recipe import Asked
from numgan.study.settings import brief, extent, stored, with_overrides
from numgan.study.signals import stop_status
from numgan.study.walk import STOPS, STRIDES, closed_walk
from numgan.study.watch import Watch
from numgan.tables import RED, html_lines, html_picture

if TYPE_CHECKING:
    from numgan.gan.average import Average
    from numgan.gan.history import History
    from numgan.study.evaluation import Evaluation

JUDGED = 1_000  # of these, beside as many real rows, to see whether the training is lost
PICTURED, WALKED = 100_000, 1_000  # samples in a picture at most, and in an animation
CONFIG_LIMIT = 1_000_000  # bytes
PICTURES = ("samples.png", "evolution.png", "history.png")
SEEDS = 2**64  # from 0 up to, but not including


class RunError(Error, ValueError):
    """A run directory that cannot be made or read; the message says why."""


@dataclasses.dataclass
class Run:
    """What a training gave.

    history      None where a second interrupt left no time for it.
    ends         the known ends of a lost training that it came to, a sentence each: see `numgan.study.ends`.
    equilibrium  None, or the `Equilibrium` that was watched for, as its last check found it.
    stop         None, or what ended it before all was done: NonFiniteError, an interrupt, any other failure.
    kept         the steps after which model.npz holds it.
    average      None, or the `Average` that its samples are of.
    """

    directory: Path
    history: History | None
    seconds: float
    samples_per_second: float
    quality: dict
    ends: list[str]
    equilibrium: Equilibrium | None
    stop: BaseException | None
    kept: int
    average: Average | None

    @property
    def stopped(self) -> str | None:
        """One sentence on what ended it, what is kept and how to go on."""
        if self.stop is None:
            return None
        what = str(self.stop) or "interrupted"
        if not isinstance(self.stop, Error | KeyboardInterrupt):
            what = f"{type(self.stop).__name__}: {what}"
        return kept_until(what[:300], self.directory, self.kept)

    @property
    def status(self) -> int:
        """The exit status that tells: 0; 128 and a signal's number; 3 for a divergence; 1 for anything else."""
        if isinstance(self.stop, KeyboardInterrupt):
            return stop_status(self.stop)
        return 0 if self.stop is None else 3 if isinstance(self.stop, NonFiniteError) else 1

    def figures(self) -> str:
        """The closing figures a user wants, and what lies where."""
        lines = [repr(self.history)] if self.history else []
        lines += [f"  {name:<17} {value:.4f}" for name, value in self.quality.items()]
        lines += [f"  lost: {end}" for end in self.ends]
        lines += [f"samples and pictures are of the {self.average}"] if self.average else []
        lines += [str(self.equilibrium)] if self.equilibrium else []
        lines.append(f"{self.seconds:.1f} s, {self.samples_per_second:,.0f} samples per second")
        lines.append(f"{self.directory}: " + ", ".join(sorted(path.name for path in self.directory.glob("*"))))
        return "\n".join(lines)

    def __repr__(self):
        return "\n".join([self.figures(), *([self.stopped] if self.stop else [])])

    def _repr_html_(self):
        """What a notebook shows: the figures, and the pictures that there are."""
        pictures = [self.directory / name for name in PICTURES if (self.directory / name).is_file()]
        parts = [html_lines(self.figures()), *([html_lines(self.stopped, RED)] if self.stop else [])]
        return "\n".join([*parts, *(html_picture(path.read_bytes(), path.name) for path in pictures)])


def kept_until(what: str, directory: FileName, steps: int) -> str:
    """One sentence on what stopped a run, what is kept and how to go on."""
    return f"{what}; {directory} holds the state after step {steps:,}, go on with: numgan train --resume {directory}"


@contextlib.contextmanager
def claimed(out: FileName | None, name: str) -> Iterator[Path]:
    """A new run directory that no other process has: `out`, which must be new or empty, or the next free runs/NAME-n.

    What a killed run left half-written in it is removed.
    """
    directory = _make(name) if out is None else Path(out)
    if out is not None:
        if directory.exists() and not directory.is_dir():
            raise RunError(f"{directory} exists and is not a directory")
        directory.mkdir(parents=True, exist_ok=True)
    with locked(directory):
        remove_leftovers(directory)
        if any(directory.iterdir()):
            raise RunError(f"{directory} exists and is not an empty directory; a run never overwrites another")
        yield directory


def _make(name):
    """The next free runs/NAME-n, made."""
    for n in range(1, 1_000_000):
        with contextlib.suppress(FileExistsError):
            directory = Path("runs", f"{name}-{n}")
            directory.mkdir(parents=True)
            return directory
    raise RunError("runs/ is full")


def streams(seed: int) -> list[Rng]:
    """Three independent random generators of one seed: for initial weights, for training, for pictures."""
    return np.random.default_rng(seed).spawn(3)


def train(
    recipe: Any,
    settings: Any,
    seed: int = 0,
    dtype: DType = "float32",
    source: FileName | None = None,
    out: FileName | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = print,
    until_equilibrium: float | None = None,
    checkpoint_every: int | None = None,
    watch: bool = False,
    live: bool = False,
    log_dir: FileName | None = None,
    animate: bool = False,
) -> Run:
    """Train a recipe and leave a run directory; returns the `Run`.

    until_equilibrium  None, or the tolerance of an `Equilibrium` that is checked at every look and ends the training.
    checkpoint_every   steps between two checkpoints in model.npz; default about half a minute.
    watch              whether to look inside the networks, see `numgan.gan.insides`: history.csv has that too then,
                       gradients.png draws it, and it is shown. Default False.
    live               whether `say` prints in a terminal, so that what is watched is shown as a table that is drawn in
                       place; default False: as lines.
    log_dir            None, or a directory for TensorBoard's event files, in which no other training is logged.
    animate            whether to leave evolution.gif too, every moment kept as a frame. Default False.

    The same recipe, settings, seed, dtype and data give the same model to the bit on the same machine. Whatever stops
    a run leaves its last good state in model.npz; `Run.stopped` says so, and `resume` goes on from there.
    """
    game = _Game(recipe, settings, seed, dtype, source, until_equilibrium, watch, animate)
    if log_dir is not None:
        event_log.check(log_dir, new=True)
    with _begun(game, dtype, source, out, until_equilibrium, log_dir) as directory:
        return game.play(directory, checkpoint_every, None if quiet else say, live, log_dir)


@contextlib.contextmanager
def _begun(game, dtype, source, out, until_equilibrium=None, log_dir=None):
    """The new run directory of a game, with its config.json; gone again where not a single state was kept."""
    config = {
        "numgan": __version__,
        "numpy": np.__version__,
        "recipe": game.recipe.name,
        "seed": game.seed,
        "dtype": dtype,
        "data": game.data.source,
        "held_out": game.held_out.source,
        "data_from": source if source in (None, "full") else str(Path(source).resolve()),
        "until_equilibrium": until_equilibrium,
        "watch": game.watched,
        "animate": game.animated,
        "log_dir": None if log_dir is None else str(Path(log_dir).resolve()),
        "settings": dataclasses.asdict(game.settings),
    }
    with claimed(out, game.recipe.name) as directory:
        write_json(directory / "config.json", config)
        try:
            yield directory
        except BaseException:
            if not (directory / "model.npz").exists():
                (directory / "config.json").unlink()
                directory.rmdir()
            raise


def train_side_by_side(
    recipe: Any,
    each: Sequence[tuple[Any, int, FileName]],
    dtype: DType = "float32",
    source: FileName | None = None,
    checkpoint_every: int | None = None,
) -> None:
    """Train a recipe several times at once, as one stack; `each` has the settings, the seed and the new run directory
    of one of them. It is left there as `train` would leave it if that were stopped at the very end, or just before
    infinities or NaNs came up: `resume` finishes it, and says so.

    Raises ArgumentError, with nothing begun, where the GANs cannot be stacked.
    """
    games = [_Game(recipe, settings, seed, dtype, source, None, False, False) for settings, seed, _ in each]
    with contextlib.ExitStack() as inside:
        sides = []
        for game, (_, _, out) in zip(games, each, strict=True):
            directory = inside.enter_context(_begun(game, dtype, source, out))
            watch, checkpoint = game.watching(directory, checkpoint_every)
            inside.callback(watch.close)
            sides.append(Side(game.gan, game.training_rng, watch, checkpoint, watch.parts))
        fit_side_by_side(sides, games[0].data, **games[0].request())


def resume(
    path: FileName,
    length: Mapping[str, Any] = MappingProxyType({}),
    quiet: bool = False,
    say: Callable[[str], None] = print,
    checkpoint_every: int | None = None,
    live: bool = False,
    log_dir: FileName | None = None,
) -> Run:
    """Go on with a run that was stopped, from its last checkpoint; returns the `Run`.

    It ends as one that ran through, to the bit. `length` may hold `steps` or `epochs`, the length of the whole run,
    if it is to be another than it was. What was watched is watched on, what was to be animated is, and what was logged
    is logged on, in the same directory or from now on in `log_dir`.
    """
    directory, config = Path(path), read_config(path)
    log_dir = config["log_dir"] if log_dir is None else str(Path(log_dir).resolve())
    if log_dir is not None:
        event_log.check(log_dir, new=log_dir != config["log_dir"])
    recipe, settings = config["recipe"], config["settings"]
    by, _ = extent(settings)
    if length.keys() - {by}:
        raise RunError(f"{directory} is a run of {getattr(settings, by):,} {by}; its length is given by --{by}")
    if length:
        asked = with_overrides(settings, length)
        if settings.decay != "none" and asked != settings:
            raise RunError(
                f"{directory} is a run of {getattr(settings, by):,} {by} and cannot be of {getattr(asked, by):,}: its "
                f"learning rates fall to 0 by its end (decay={settings.decay}), and would have been others"
            )
        settings = asked
    with locked(directory):
        remove_leftovers(directory)
        game = _Game(
            recipe,
            settings,
            config["seed"],
            config["dtype"],
            config["data_from"],
            config["until_equilibrium"],
            config["watch"],
            config["animate"],
        )
        if game.data.source != config["data"]:
            raise RunError(f"{directory} was trained on {config['data']}; there are now {game.data.source}")
        file, before = directory / "config.json", read_json(directory / "config.json")
        now = {"settings": dataclasses.asdict(settings)} if length else {}
        if log_dir != config["log_dir"]:
            now["log_dir"] = log_dir
        if now:
            write_json(file, before | now)
        try:
            return game.play(directory, checkpoint_every, None if quiet else say, live, log_dir)
        except Error:
            write_json(file, before)
            raise


class _Game:
    """A recipe's GAN, its data and its random generators, all made from one seed."""

    def __init__(self, recipe, settings, seed, dtype, source, until_equilibrium, watched, animated):
        self.recipe, self.seed, self.watched, self.animated = recipe, seed, watched, animated
        self.data, self.held_out = recipe.load(source, settings)
        self.settings = settings = settings.for_data(self.data)
        weights_rng, self.training_rng, self.picture_rng = streams(seed)
        self.gan = recipe.build(settings, weights_rng, dtype)
        self.equilibrium = until_equilibrium and Equilibrium(
            self.gan, self.held_out, until_equilibrium, self.picture_rng.spawn(1)[0]
        )

    def watching(self, directory, checkpoint_every, say=None, live=False, log_dir=None):
        """The `Watch` over a training and the `Checkpoint` that it is kept in."""
        total, line_every, every = _plan_of_run(self.recipe, self.settings, self.data, self.gan)
        rng = self.picture_rng
        asked = self.recipe.pictured(self.recipe.snapshot_count, self.held_out, rng)
        log = None if log_dir is None else event_log.EventLog(log_dir)
        how = {"watched": self.watched, "live": live and self.watched, "log": log}
        watch = Watch(self.recipe, self.gan, rng, asked, every, line_every, total, self.equilibrium, say, **how)
        return watch, Checkpoint(directory / "model.npz", checkpoint_every, watch.kept)

    def request(self):
        """How long to train, on what batches, with how many steps between two looks."""
        every = _plan_of_run(self.recipe, self.settings, self.data, self.gan)[2]
        return {"batch_size": self.settings.batch_size, "every": every} | self.settings.length()

    def play(self, directory, checkpoint_every, say, live, log_dir):
        """Train from the checkpoint in the directory, or from the start, and write all that belongs there."""
        watch, checkpoint = self.watching(directory, checkpoint_every, say, live, log_dir)
        stop, quality, lost, start = None, {}, [], time.perf_counter()
        try:
            record = self.gan.fit(
                self.data,
                rng=self.training_rng,
                callback=watch,
                checkpoint=checkpoint,
                resume=True,
                parts=watch.parts,
                insides=self.watched,
                **self.request(),
            )
        except BaseException as error:
            refused = isinstance(error, Error) and not hasattr(error, "history")  # before the training began
            if refused or checkpoint.kept is None:
                raise
            stop, record = error, getattr(error, "history", None)
        seconds = time.perf_counter() - start
        try:
            watch.close()
            if record is not None:
                quality, lost = self._finish(directory, record, watch.moments)
        except BaseException as error:
            stop = stop or error
        rate = (len(record or ()) - checkpoint.begun) * self.settings.batch_size / seconds
        ended = self.equilibrium, stop, checkpoint.kept, self.gan.average
        return Run(directory, record, seconds, rate, quality, lost, *ended)

    def _finish(self, directory, record, moments):
        """The history and the pictures of a run; returns the closing figures, and the ends that it came to."""
        recipe, gan, rng = self.recipe, self.gan, self.picture_rng
        with atomic_write(directory / "history.csv") as temporary:
            record.write_csv(temporary)
        moments = moments.up_to(len(record))
        title = f"{recipe.name}: samples after {len(record):,} steps, seed {self.seed}" + of_average(gan, "\n")
        asked = recipe.pictured(recipe.sample_count, self.held_out, rng)
        samples = gan.sample(recipe.sample_count, rng, **asked.conditions)
        recipe.picture(samples, gan, title, directory / "samples.png", rng, asked)
        plots.evolution(moments, recipe.draw, directory / "evolution.png")
        if self.animated:
            plots.animation(moments, recipe.draw, directory / "evolution.gif")
        if len(record):
            title = f"{_plain(directory)}: {recipe.name}, seed {self.seed}, {len(record):,} steps"
            plots.history(record, title, directory / "history.png")
        if record.insides:
            plots.gradients(record.insides, directory / "gradients.png")
        asked = recipe.asked(recipe.quality_count, self.held_out, rng)
        samples = gan.sample(recipe.quality_count, rng, **asked.conditions)
        data = Together(self.data)
        quality, drawn = recipe.quality(samples, gan, rng), np.empty((JUDGED, *data.shape), gan.generator.dtype)
        data.sample(JUDGED, rng, drawn)
        rows, given = data.split(drawn)
        judged = {name: c[:JUDGED] for name, c in asked.conditions.items()}
        return quality, ends.ends(gan, record, samples[:JUDGED], rows, judged, given)


def _plain(directory):
    """A directory's name as every font has it."""
    return brief("".join(c if c.isascii() and c.isprintable() else "?" for c in directory.resolve().name), 60)


def _plan_of_run(recipe, settings, data, gan):
    """(total steps, steps between two summaries and moments, steps between two looks)."""
    epochs = getattr(settings, "epochs", 0)
    if not epochs:
        return settings.steps, settings.snapshot_every, math.gcd(recipe.look_every, settings.snapshot_every)
    steps = gan.steps_per_epoch(len(data), settings.batch_size, settings.discriminator_steps)
    return epochs * steps, steps, recipe.look_every  # there is a look at the end of every epoch anyhow


def read_config(path: FileName) -> dict[str, Any]:
    """What the config.json of a run directory says, every field checked.

    recipe             the recipe itself.
    seed, dtype        as given to `train`.
    data               what the training rows were, in words.
    data_from          None, "full" or a directory of data files.
    settings           the recipe's Settings of that run.
    until_equilibrium  None or a tolerance, in (0, ½).
    watch              whether the insides of the networks are watched.
    animate            whether the training is animated.
    log_dir            None or the directory of its event files.

    Raises RunError with one sentence that names the file.
    """
    try:
        return config_in(Path(path) / "config.json")
    except RunError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise RunError(f"{brief(str(path), 200)} is not a run directory: it has no config.json") from None


def config_in(file: FileName) -> dict[str, Any]:
    """The same of a run's config.json wherever it is, under whatever name."""
    file = Path(file)
    try:
        config = read_json(file)
        recipe = recipes.get(_field(config, "recipe", lambda v: isinstance(v, str), "a name"))
        return {
            "recipe": recipe,
            "seed": _field(config, "seed", lambda v: type(v) is int and 0 <= v < SEEDS, "a whole number below 2⁶⁴"),
            "dtype": _field(config, "dtype", lambda v: v in ("float32", "float64"), "float32 or float64"),
            "data": _field(config, "data", lambda v: isinstance(v, str), "a text"),
            "data_from": _field(config, "data_from", lambda v: v is None or _is_path(v), "null, full or a directory"),
            "settings": stored(
                recipe.settings, _field(config, "settings", lambda v: isinstance(v, dict), "names and values")
            ),
            "until_equilibrium": _field(
                {"until_equilibrium": None} | config,
                "until_equilibrium",
                lambda v: v is None or (type(v) is float and 0 < v < 0.5),
                "null or a number between 0 and 0.5",
            ),
            **{
                name: _field({name: False} | config, name, lambda v: isinstance(v, bool), "true or false")
                for name in ("watch", "animate")
            },
            "log_dir": _field(
                {"log_dir": None} | config, "log_dir", lambda v: v is None or _is_path(v), "null or a directory"
            ),
        }
    except OSError as error:
        raise RunError(f"{brief(str(file), 200)} cannot be read: {error.strerror}") from error
    except (Error, ValueError, RecursionError) as error:
        raise RunError(f"{brief(str(file), 200)} is not readable ({brief(str(error), 250)})") from None


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file of sane size, or ValueError."""
    if "\0" in str(file) or not stat.S_ISREG(file.stat().st_mode):  # before it is opened: a pipe would wait for ever
        raise RunError("it is no file")
    with open(file, "rb") as opened:
        text = opened.read(CONFIG_LIMIT + 1)
    if len(text) > CONFIG_LIMIT:
        raise RunError(f"it is larger than {CONFIG_LIMIT:,} bytes")
    config = json.loads(text.decode("utf-8"))
    if not isinstance(config, dict):
        raise RunError("it holds no object")
    return config


def _field(config, name, accepts, expects):
    if name not in config:
        raise RunError(f"it has no {name}")
    if not accepts(config[name]):
        raise RunError(f"{name} is {brief(config[name])}, expected {expects}")
    return config[name]


def _is_path(value):
    """Whether a JSON value could name a file on this system."""
    try:
        return isinstance(value, str) and value != "" and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def open_run(path: FileName) -> tuple[Any, dict[str, Any], GAN]:
    """(recipe, config as of `read_config`, GAN) of a run directory."""
    config = read_config(path)
    try:
        gan = GAN.load(Path(path) / "model.npz")
    except ModelFileError as error:
        raise RunError(str(error)) from None
    recipe, made = config["recipe"], gan.generator.shapes[-1]
    expected = recipe.shape(config["settings"])
    if made != expected:
        raise RunError(f"{path}: model.npz makes rows of shape {made}, its recipe {recipe.name} {expected}")
    return recipe, config, gan


def of_average(gan: GAN, before: str = " ") -> str:
    """What is said behind samples of an averaged generator; "" where none is."""
    return f"{before}of the {gan.average}" if gan.average else ""


def sample(
    path: FileName,
    n: int | None = None,
    seed: int = 0,
    out: FileName | None = None,
    conditions: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Path, str]:
    """Write n new samples of a run to `out`, a .png picture or a .npy array; returns (path written, "n samples", and of
    what where it is an average).

    conditions  name -> what all samples are asked to be, as the command line has it: {"label": "7"}. Default: what the
                recipe's own picture asks for.

    n defaults to the recipe's own count, `out` to sample-seedN.png in the run directory. The array is float32
    (n, *shape) in the generator's own range. NonFiniteError for a generator that makes infinities or NaNs.
    """
    recipe, config, gan = open_run(path)
    n = recipe.sample_count if n is None else n
    target = Path(path) / f"sample-seed{seed}.png" if out is None else Path(out)
    if target.suffix not in (".png", ".npy"):
        raise RunError(f"{brief(str(target))} should end in .png or .npy")
    if target.suffix == ".png" and n > PICTURED:
        raise RunError(f"a picture shows at most {PICTURED:,} samples, got {n:,}; a .npy file takes more")
    _check_parent(target)
    sample_rng, picture_rng = np.random.default_rng(seed).spawn(2)
    asked = _asked(recipe, config, gan, n, conditions, sample_rng)
    samples = finite_samples(gan, n, sample_rng, asked)
    with np.errstate(all="ignore"):  # a picture of finite points may still ask for answers about them that overflow
        if target.suffix == ".npy":
            with atomic_write(target) as temporary, open(temporary, "wb") as file:
                np.save(file, samples.astype(np.float32, copy=False))
        else:
            title = f"{recipe.name}: {n:,} samples, seed {seed}" + of_average(gan, "\n")
            recipe.picture(samples, gan, title, target, picture_rng, asked)
    return target, f"{n:,} samples{of_average(gan)}"


def walk(
    path: FileName,
    out: FileName,
    n: int | None = None,
    seed: int = 0,
    conditions: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Path, str]:
    """Write an animated GIF of n samples of a run whose noise goes by five points and back to the first, see
    `numgan.study.walk`; returns (path written, "n samples on a walk", and of what where it is an average).

    n defaults to the recipe's own count at a moment, as which it is drawn. Conditions, as `sample` takes them, stay as
    they are. NonFiniteError for a generator that makes infinities or NaNs on the way.
    """
    recipe, config, gan = open_run(path)
    n, target = recipe.snapshot_count if n is None else n, Path(out)
    if target.suffix != ".gif":
        raise RunError(f"{brief(str(target))} should end in .gif")
    if n > WALKED:
        raise RunError(f"a walk shows at most {WALKED:,} samples, got {n:,}")
    _check_parent(target)
    sample_rng, picture_rng = np.random.default_rng(seed).spawn(2)
    asked = _asked(recipe, config, gan, n, conditions, sample_rng)
    asked = asked._replace(conditions={k: gan.conditions[k].array(k, c, n) for k, c in asked.conditions.items()})
    stops = np.stack([gan.draw_noise(n, sample_rng) for _ in range(STOPS)])
    moments = []
    for i, noise in enumerate(closed_walk(stops, STRIDES)):
        with np.errstate(all="ignore"):
            _check_finite(gan.sampler.predict(noise, **asked.conditions))
            moment = recipe.moment(gan, noise, copy.deepcopy(picture_rng), asked)  # real points stay where they are
        at = f"{i // STRIDES + 1} → {(i // STRIDES + 1) % STOPS + 1}"
        moments.append((f"{recipe.name}, seed {seed}: noise {at}", moment))
    plots.moving(moments, recipe.draw, target)
    return target, f"{n:,} samples on a walk{of_average(gan)}"


def _check_parent(target):
    if not target.parent.is_dir():
        raise RunError(f"{brief(str(target.parent))} is not a directory")


def _asked(recipe, config, gan, n, conditions, rng):
    """What n samples are asked to be: what the command line gives, or else what the recipe's own picture asks for."""
    given = {name: _condition(recipe, config, gan, name, text) for name, text in conditions.items()}
    return Asked(given) if given or not gan.conditions else _usual(recipe, config, n, rng)


def _condition(recipe, config, gan, name, text):
    """A condition that the command line gives, as one that the GAN takes."""
    if name not in gan.conditions:
        has = f"condition is --{recipe.condition}" if gan.conditions else "samples have no condition"
        raise RunError(f"--{name} cannot be given: the recipe {recipe.name}'s {has}")
    given = recipe.read_condition(text, config["settings"])
    return gan.conditions[name].array(f"--{name}", given, 1)[0]


def _usual(recipe, config, n, rng):
    """What the recipe's own pictures ask for."""
    held_out = recipe.load(config["data_from"], config["settings"])[1]
    return recipe.pictured(n, held_out, rng)


def evaluate(path: FileName, n: int | None = None, seed: int = 0) -> tuple[Evaluation, GAN, dict[str, Any]]:
    """Measure n new samples of a run beside real data; returns (`Evaluation`, GAN, what `numgan evaluate --json` says
    of the run before that).

    n defaults to the recipe's own count, `seed` is of the noise and of the real data. NonFiniteError for a generator
    that makes infinities or NaNs.
    """
    recipe, config, gan = open_run(path)
    data, held_out = recipe.load(config["data_from"], config["settings"])
    evaluation, count = measured(recipe, gan, data, held_out, n, seed)
    about = {"run": str(path), "recipe": recipe.name, "samples": count, "seed": seed}
    return evaluation, gan, about | {"average": gan.average and gan.average.decay}


def measured(
    recipe: Any, gan: GAN, data: Any, held_out: Any, n: int | None = None, seed: int = 0
) -> tuple[Evaluation, int]:
    """The `Evaluation` of a recipe's GAN, and how many samples it is of."""
    samples, asked, rng = _to_measure(recipe, gan, data, held_out, n, seed)
    with np.errstate(all="ignore"):  # finite samples may still be too large for what is worked out from them
        return recipe.evaluate(samples, gan, data, held_out, rng, asked), len(samples)


def _to_measure(recipe, gan, data, held_out, n, seed):
    """The samples that are measured, what they were asked to be, and the generator for the rest."""
    sample_rng, rng = np.random.default_rng(seed).spawn(2)
    n = n or recipe.evaluation_count(data, held_out)
    asked = recipe.asked(n, held_out, sample_rng)
    return finite_samples(gan, n, sample_rng, asked), asked, rng


def draw_neighbours(path: FileName, n: int | None, seed: int, target: FileName) -> None:
    """A picture of those of the samples that `evaluate` measures which repeat, see `numgan.study.neighbours`."""
    recipe, config, gan = open_run(path)
    data, held_out = recipe.load(config["data_from"], config["settings"])
    samples, *_ = _to_measure(recipe, gan, data, held_out, n, seed)
    title = f"{recipe.name}, seed {config['seed']}: samples that repeat{of_average(gan, ', ')}"
    neighbours.draw(samples, data, held_out, title, target)


def has_neighbours(path: FileName) -> bool:
    """Whether `draw_neighbours` can draw a run's samples."""
    config = read_config(path)
    return neighbours.can_be_drawn(config["recipe"].load(config["data_from"], config["settings"])[0])


def finite_samples(gan: GAN, n: int, rng: Rng, asked: Asked) -> Array:
    """n samples of a GAN, or NonFiniteError: finite weights too can make infinities and NaNs."""
    with np.errstate(all="ignore"):
        samples = gan.sample(n, rng, **asked.conditions)
    _check_finite(samples)
    return samples


def _check_finite(samples):
    bad = np.count_nonzero(~np.isfinite(samples).all(axis=tuple(range(1, samples.ndim))))
    if bad:
        raise NonFiniteError(
            f"{bad:,} of {len(samples):,} samples are not finite, so there is nothing to show or to measure"
        )


def write_json(path: FileName, value: Any) -> None:
    """A JSON file, written whole or not at all."""
    with atomic_write(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        Path(temporary).write_bytes(text.encode("utf-8", "backslashreplace"))  # a file's name need not be UTF-8
