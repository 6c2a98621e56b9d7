"""A run: one training of a recipe, from seed to run directory, and back from the directory to samples.

A run directory holds config.json, history.csv, model.npz, samples.png, evolution.png and history.png.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from numgan import __version__
from numgan.errors import Error
from numgan.files import atomic_write
from numgan.gan.equilibrium import Equilibrium
from numgan.gan.fit import NonFiniteError
from numgan.gan.model import GAN
from numgan.hints import Array, DType, FileName, Rng
from numgan.nn.model_file import ModelFileError
from numgan.study import plots, recipes
from numgan.study.settings import brief, stored

if TYPE_CHECKING:
    from numgan.gan.history import History

QUALITY_SAMPLES = 5_000  # as many as the closing figures are computed from
PICTURED = 100_000  # samples in a picture at most
CONFIG_LIMIT = 1_000_000  # bytes
SEEDS = 2**64  # from 0 up to, but not including


class RunError(Error, ValueError):
    """A run directory that cannot be made or read; the message says why."""


@dataclasses.dataclass
class Run:
    """What a training gave.

    stopped      None, or the failure or interrupt that ended it before its last step.
    equilibrium  None, or the `Equilibrium` that was watched for, as its last check found it.
    """

    directory: FileName
    history: object
    seconds: float
    samples_per_second: float
    quality: dict
    stopped: str | None
    equilibrium: Equilibrium | None


def make_directory(out: FileName | None, name: str) -> Path:
    """Create the run directory: `out`, which must be new or empty, or else the next free runs/NAME-n."""
    if out is not None:
        out = Path(out)
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise RunError(f"{out} exists and is not an empty directory; a run never overwrites another")
        out.mkdir(parents=True, exist_ok=True)
        return out
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
) -> Run:
    """Train a recipe and leave a run directory; returns the `Run`.

    until_equilibrium  None, or the tolerance of an `Equilibrium` that is checked at every look and ends the training.

    The same recipe, settings, seed, dtype and data give the same model to the bit on the same machine. A run that is
    interrupted, or whose numbers stop being finite, keeps and writes its last good state; `Run.stopped` says so.
    """
    data, held_out = recipe.load(source)
    weights_rng, training_rng, picture_rng = streams(seed)
    gan = recipe.build(settings, weights_rng, dtype)
    equilibrium = until_equilibrium and Equilibrium(gan, held_out, until_equilibrium, picture_rng.spawn(1)[0])
    directory = make_directory(out, recipe.name)
    config = {
        "numgan": __version__,
        "numpy": np.__version__,
        "recipe": recipe.name,
        "seed": seed,
        "dtype": dtype,
        "data": data.source,
        "held_out": held_out.source,
        "data_from": source if source in (None, "full") else str(Path(source).resolve()),
        "settings": dataclasses.asdict(settings),
    }
    _write_json(directory / "config.json", config)
    plan = _plan_of_run(settings, data, gan)
    watch = _Watch(recipe, settings, gan, picture_rng, quiet, say, plan, equilibrium)
    stopped, start = None, time.perf_counter()
    try:
        record = gan.fit(
            data,
            batch_size=settings.batch_size,
            rng=training_rng,
            every=watch.every,
            callback=watch,
            **settings.length(),
        )
    except (NonFiniteError, KeyboardInterrupt) as stop:
        record, stopped = stop.history, str(stop) or f"interrupted; kept the state after step {len(stop.history)}"
    except BaseException:  # not a single step was made that could be kept
        (directory / "config.json").unlink()
        directory.rmdir()
        raise
    finally:
        watch.bar.close()
    seconds = time.perf_counter() - start
    gan.save(directory / "model.npz")
    with atomic_write(directory / "history.csv") as temporary:
        record.write_csv(temporary)
    title = f"{recipe.name}: samples after {len(record):,} steps, seed {seed}"
    recipe.picture(gan.sample(recipe.sample_count, picture_rng), gan, title, directory / "samples.png", picture_rng)
    if watch.snapshots:
        plots.evolution(watch.snapshots, recipe.draw, directory / "evolution.png")
    if len(record):
        plots.history(record, directory / "history.png")
    quality = recipe.quality(gan.sample(QUALITY_SAMPLES, picture_rng), gan, picture_rng)
    return Run(directory, record, seconds, len(record) * settings.batch_size / seconds, quality, stopped, equilibrium)


def _plan_of_run(settings, data, gan):
    """(total steps, steps between two snapshots): by epochs a snapshot falls on the end of one."""
    epochs = getattr(settings, "epochs", 0)
    if not epochs:
        return settings.steps, settings.snapshot_every
    steps = gan.steps_per_epoch(len(data), settings.batch_size, settings.discriminator_steps)
    return epochs * steps, steps * max(1, round(epochs / 10))


class _Watch:
    """The callback of a run: moves the progress bar, takes a snapshot of the samples now and then, and ends the
    training at the equilibrium where asked to.
    """

    def __init__(self, recipe, settings, gan, rng, quiet, say, plan, equilibrium):
        (self.total, self.snapshot_every), self.equilibrium = plan, equilibrium
        by_epochs = getattr(settings, "epochs", 0)  # then there is a look at the end of every epoch anyhow
        self.every = recipe.look_every if by_epochs else math.gcd(recipe.look_every, self.snapshot_every)
        self.recipe, self.gan, self.rng, self.say = recipe, gan, rng, None if quiet else say
        noise_shape = (recipe.snapshot_count, *gan.generator.shapes[0])
        self.noise = rng.standard_normal(noise_shape, dtype=gan.generator.dtype)  # the same at every snapshot
        self.snapshots = []
        self.bar = tqdm(total=self.total, unit="step", disable=True if quiet else None, dynamic_ncols=True)
        self.shown = gan.objective.watched
        if self.say:
            self.say("   ".join([f"{'step':>8}", *(heading for heading, _, _ in self.shown)]))

    def __call__(self, done, record):
        reached = bool(self.equilibrium and done and self.equilibrium.check(done))
        if done % self.snapshot_every == 0 or done == self.total or reached:
            self.snapshots.append((done, self.recipe.moment(self.gan, self.noise, self.rng)))
            if self.say and done:
                with tqdm.external_write_mode():
                    self.say(self._line(done, record))
        self.bar.update(done - self.bar.n)
        return reached

    def _line(self, done, record):
        """The last stretch's means, as a row under the heading."""
        cells = [
            last_mean(record, column, self.every, form).rjust(len(heading)) for heading, column, form in self.shown
        ]
        return "   ".join([f"{done:>8,}", *cells])


def last_mean(record: History, column: str, steps: int, form: str) -> str:
    """The mean of a column over its last steps as text, or a dash where the column has a gap."""
    value = float(record[column][-steps:].mean())
    return "—" if math.isnan(value) else format(value, form)


def read_config(path: FileName) -> dict[str, Any]:
    """What the config.json of a run directory says, every field checked.

    recipe             the recipe itself.
    seed, dtype        as given to `train`.
    data_from          None, "full" or a directory of data files.
    settings           the recipe's Settings of that run.
    until_equilibrium  None or a tolerance, in (0, ½).

    Raises RunError with one sentence that names the file.
    """
    file = Path(path) / "config.json"
    try:
        config = _read_json(file)
        recipe = recipes.get(_field(config, "recipe", lambda v: isinstance(v, str), "a name"))
        return {
            "recipe": recipe,
            "seed": _field(config, "seed", lambda v: type(v) is int and 0 <= v < SEEDS, "a whole number below 2⁶⁴"),
            "dtype": _field(config, "dtype", lambda v: v in ("float32", "float64"), "float32 or float64"),
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
        }
    except FileNotFoundError:
        raise RunError(f"{brief(str(path), 200)} is not a run directory: it has no config.json") from None
    except OSError as error:
        raise RunError(f"{brief(str(file), 200)} cannot be read: {error.strerror}") from None
    except (Error, ValueError, RecursionError) as error:
        raise RunError(f"{brief(str(file), 200)} is not readable ({brief(str(error), 250)})") from None


def _read_json(file):
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
    if made != recipe.shape:
        raise RunError(f"{path}: model.npz makes rows of shape {made}, its recipe {recipe.name} {recipe.shape}")
    return recipe, config, gan


def sample(path: FileName, n: int | None = None, seed: int = 0, out: FileName | None = None) -> tuple[Path, int]:
    """Write n new samples of a run to `out`, a .png picture or a .npy array; returns (path written, n).

    n defaults to the recipe's own count, `out` to sample-seedN.png in the run directory. The array is float32
    (n, features) in the generator's own range. NonFiniteError for a generator that makes infinities or NaNs.
    """
    recipe, _, gan = open_run(path)
    n = recipe.sample_count if n is None else n
    target = Path(path) / f"sample-seed{seed}.png" if out is None else Path(out)
    if target.suffix not in (".png", ".npy"):
        raise RunError(f"{brief(str(target))} should end in .png or .npy")
    if target.suffix == ".png" and n > PICTURED:
        raise RunError(f"a picture shows at most {PICTURED:,} samples, got {n:,}; a .npy file takes more")
    if not target.parent.is_dir():
        raise RunError(f"{brief(str(target.parent))} is not a directory")
    sample_rng, picture_rng = np.random.default_rng(seed).spawn(2)
    samples = finite_samples(gan, n, sample_rng)
    with np.errstate(all="ignore"):  # a picture of finite points may still ask for answers about them that overflow
        if target.suffix == ".npy":
            with atomic_write(target) as temporary, open(temporary, "wb") as file:
                np.save(file, samples.astype(np.float32, copy=False))
        else:
            recipe.picture(samples, gan, f"{recipe.name}: {n:,} samples, seed {seed}", target, picture_rng)
    return target, n


def finite_samples(gan: GAN, n: int, rng: Rng) -> Array:
    """n samples of a GAN, or NonFiniteError: finite weights too can make infinities and NaNs."""
    with np.errstate(all="ignore"):
        samples = gan.sample(n, rng)
    bad = np.count_nonzero(~np.isfinite(samples).all(axis=-1))
    if bad:
        raise NonFiniteError(f"{bad:,} of {n:,} samples are not finite, so there is nothing to show or to measure")
    return samples


def _write_json(path, value):
    with atomic_write(path) as temporary:
        Path(temporary).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
