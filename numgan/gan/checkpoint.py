"""`Checkpoint`: the file that a training is kept in, so that it can go on from there.

The file is a model file, which `GAN.load` opens too, with the rest of the run behind the model: entries that begin
with "run." and a "run" in its settings.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from numgan.errors import ArgumentError, ArgumentTypeError, shown, whole
from numgan.hints import Config, FileName, Named
from numgan.nn.model_file import ModelFileError, open_model, write_model

if TYPE_CHECKING:
    from numgan.gan.model import GAN

SECONDS = 30.0  # between two writes, unless told by steps
SHARE = 0.01  # of the time, at most, goes into writing


class Look(NamedTuple):
    """The state of every part after `done` steps, in one name, which no interrupt splits.

    told   whether the callback has been called for this step, and what it did to the parts is in the state.
    ended  whether the callback ended the training there.
    """

    state: Named
    done: int
    told: bool
    ended: bool = False


class Checkpoint:
    """Where and when a training is kept.

    path   of the file, which is replaced as a whole by every write.
    every  write after every so many steps. Default: about every half minute, less often where writing takes more than
           a hundredth of the time.
    wrote  wrote(steps done), called after each write, when the file is on the disk.

    kept   the steps that the file holds; None before it has been written or read.
    begun  the steps that it held when the training began.
    """

    def __init__(self, path: FileName, every: int | None = None, wrote: Callable[[int], Any] | None = None) -> None:
        if not isinstance(path, str | os.PathLike) or "\0" in os.fspath(path):
            raise ArgumentTypeError(f"checkpoint must be the name of a file, got {shown(path)}")
        self.path = os.fspath(path)
        self.every = None if every is None else whole("checkpoint: every", every)
        self.wrote, self.kept, self.begun = wrote, None, 0
        self._next, self._written = 0.0, None

    def due(self, done: int) -> bool:
        """Whether it is time to write, with so many steps done."""
        return done % self.every == 0 if self.every else time.monotonic() >= self._next

    def write(self, gan: GAN, settings: Config, look: Look) -> None:
        """Write a `Look`, unless the file holds that one; `settings` are what the run was asked for."""
        if look is self._written:
            return
        start = time.monotonic()
        run = settings | {"done": look.done, "told": look.told, "ended": look.ended}
        write_model(self.path, gan.config() | {"run": run}, look.state)
        end = time.monotonic()
        self._next = end + max(SECONDS, (end - start) / SHARE)
        self._written, self.kept = look, look.done
        if self.wrote:
            self.wrote(look.done)

    def read(self, gan: GAN, settings: Config) -> Look:
        """The `Look` that the file holds, of the same GAN and the same settings, or an Error."""
        with open_model(self.path) as model:
            held, wanted = dict(model.settings), json.loads(json.dumps(gan.config()))
            run = held.pop("run", None)
            if not (isinstance(run, dict) and isinstance(run.get("told"), bool) and isinstance(run.get("ended"), bool)):
                raise ModelFileError(f"{self.path}: a model, but no checkpoint of a training")
            for key in [*wanted, *(held.keys() - wanted.keys() - {"format"})]:
                if held.get(key) != wanted.get(key):
                    raise ModelFileError(f"{self.path}: the training of a GAN with another {key.replace('_', ' ')}")
            for key, value in settings.items():
                if run.get(key) != value:
                    raise ArgumentError(f"{self.path}: a training with {key}={shown(run.get(key))}, not {value!r}")
            state = model.read_arrays({name: a.shape for name, a in gan.state_dict().items()})
            state |= {f"run.{name}": a for name, a in model.read_group("run.").items()}
        self._written = Look(state, run.get("done"), run["told"], run["ended"])
        self.kept = self.begun = self._written.done
        return self._written


class NoCheckpoint(Checkpoint):
    """For a training that nobody keeps."""

    def __init__(self) -> None:
        super().__init__("")

    def due(self, done: int) -> bool:
        return False

    def write(self, gan: GAN, settings: Config, look: Look) -> None:
        pass
