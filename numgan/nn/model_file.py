"""Model files: settings and arrays in one .npz, written whole or not at all, read without trusting it.

The settings are JSON text in the entry "settings"; everything else is a plain array, so `numpy.load` opens the file
too. Nothing is pickled. Reading checks every entry's stored size, dtype and shape before memory is taken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import Error
from numgan.files import atomic_write
from numgan.hints import Array, Config, FileName, Named, Shape
from numgan.nn.network import Sequential
from numgan.nn.optimizers import OPTIMIZERS
from numgan.nn.registry import LAYERS

if TYPE_CHECKING:
    from numgan.nn.layer import Layer
    from numgan.nn.optimizers import Optimizer

FORMAT = "numgan model 2"
SETTINGS_LIMIT = 1_000_000  # characters


class ModelFileError(Error, ValueError):
    """A model file that is missing, damaged, or something else; the message says which."""


def write_model(path: FileName, settings: Config, arrays: Mapping[str, Array]) -> None:
    """Write settings (JSON-ready) and arrays (name -> array) to `path`."""
    text = json.dumps({"format": FORMAT} | settings)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, settings=np.array(text), **arrays)


class ModelFile:
    """An open model file; see `open_model`."""

    def __init__(self, path: FileName, archive: zipfile.ZipFile) -> None:
        self.path, self.archive = path, archive
        self.size = os.path.getsize(path)
        self.entries = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        for name, info in self.entries.items():
            # Stored, not compressed: then no entry can unpack to more than the file holds.
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise ModelFileError(f"{path}: entry {name!r} is compressed; numgan writes plain entries")
        self.settings = self._read_settings()

    def _read_settings(self):
        if "settings" not in self.entries:
            raise ModelFileError(f"{self.path}: not a numgan model file, it has no entry 'settings'")
        shape, dtype = self._header("settings")
        if shape != () or dtype.kind != "U" or dtype.itemsize > 4 * SETTINGS_LIMIT:
            raise ModelFileError(f"{self.path}: 'settings' should be a text, found {dtype} of shape {shape}")
        settings = json.loads(str(self._read("settings")))
        if settings.get("format") != FORMAT:
            raise ModelFileError(f"{self.path}: format is {settings.get('format')!r}, expected {FORMAT!r}")
        return settings

    def _header(self, name):
        """(shape, dtype) as the entry's header states them, checked against the bytes that are there."""
        with self.archive.open(self.entries[name]) as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ModelFileError(f"{self.path}: entry {name!r} has .npy version {version}, expected (1, 0)")
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            held = self.entries[name].file_size - file.tell()
        if dtype.hasobject or int(np.prod(shape, dtype=object)) * dtype.itemsize != held:
            raise ModelFileError(f"{self.path}: entry {name!r} states {dtype} of shape {shape}, but holds {held} bytes")
        return shape, dtype

    def _read(self, name):
        with self.archive.open(self.entries[name]) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def read_arrays(self, shapes: Mapping[str, Shape]) -> Named:
        """The arrays named in `shapes` (name -> shape), and no others in the file."""
        missing, unknown = shapes.keys() - self.entries.keys(), self.entries.keys() - shapes.keys() - {"settings"}
        if "run" in self.settings:
            unknown = {name for name in unknown if not name.startswith("run.")}
        if missing or unknown:
            raise ModelFileError(f"{self.path}: entries missing {sorted(missing)}, unknown {sorted(unknown)}")
        for name, expected in shapes.items():
            shape, dtype = self._header(name)
            if shape != expected or dtype.kind not in "fi":
                raise ModelFileError(f"{self.path}: '{name}' is {dtype} of shape {shape}, expected shape {expected}")
        return {name: self._read(name) for name in shapes}

    def read_group(self, prefix: str) -> Named:
        """Every entry whose name begins with `prefix`, under the rest of its name."""
        return {name.removeprefix(prefix): self._read(name) for name in self.entries if name.startswith(prefix)}

    def build_network(self, key: str, extra_layers: Sequence[type[Layer]] = ()) -> Sequential:
        """The `Sequential` that settings[key] describes, its parameters still to be loaded."""
        config, known = self.settings[key], LAYERS | {cls.__name__: cls for cls in extra_layers}
        layers = []
        for kind, arguments in config["layers"]:
            if kind not in known:
                raise ModelFileError(f"{self.path}: {key} has a layer {kind!r}; known are {', '.join(known)}")
            layers.append(known[kind](**arguments))
        held = Sequential.parameter_count(layers, config["shape"]) * np.dtype(config["dtype"]).itemsize
        if held > self.size // (config["replicas"] or 1):
            raise ModelFileError(f"{self.path}: {key} would take {held:,} bytes, the file has {self.size:,}")
        return Sequential(
            layers, config["shape"], np.random.default_rng(0), config["dtype"], config["replicas"], config["name"]
        )

    def build_optimizer(self, key: str) -> Optimizer:
        """The optimiser that settings[key] describes."""
        kind, arguments = self.settings[key]
        return OPTIMIZERS[kind](**arguments)


@contextlib.contextmanager
def open_model(path: FileName) -> Iterator[ModelFile]:
    """Open a model file for reading; whatever is wrong with it comes out as one ModelFileError."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield ModelFile(path, archive)
    except ModelFileError:
        raise
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file") from None
    except Exception as error:  # zipfile, json and NumPy each have many ways to fail on a damaged file
        reason = "".join(c if c.isprintable() else " " for c in str(error))  # it may quote the file
        raise ModelFileError(f"{path}: not a readable numgan model file ({reason})") from error
