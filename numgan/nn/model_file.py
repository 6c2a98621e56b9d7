"""Model files: settings and arrays in one .npz, written whole or not at all, read without trusting it.

The settings are JSON text in the entry "settings"; everything else is a plain array, so `numpy.load` opens the file
too. Nothing is pickled. The bounds below, every entry's place, size, dtype and shape, and what a network would hold are
checked before memory is taken for them: opening a file and building what it describes takes at most MEMORY_FACTOR times
the file's own size and MEMORY_BASE bytes, whatever it says.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import ArgumentError, ArgumentTypeError, Error
from numgan.files import ReadError, atomic_write, open_regular, shown
from numgan.hints import Array, Config, FileName, Named, Shape
from numgan.nn.joining import Beside
from numgan.nn.network import Sequential
from numgan.nn.optimizers import OPTIMIZERS
from numgan.nn.registry import LAYERS

if TYPE_CHECKING:
    from numgan.nn.layer import Layer
    from numgan.nn.optimizers import Optimizer

FORMAT = "numgan model 2"
SETTINGS_LIMIT = 1_000_000  # characters
LAYER_LIMIT = 1_000  # of a network; one inside others counts once more for each, as its names do
NESTING_LIMIT = 16  # of layers inside one another; a U-Net of 1,024 × 1,024 pixels has 10
AXIS_LIMIT = 8  # of an array or a sample
DIRECTORY_LIMIT = 1 << 20  # bytes of the list of entries: about 10,000 of them
NAME_LIMIT = 100  # characters of a network's name
HEADER_ROOM = 128  # bytes
FILE_LIMIT = 1 << 32  # bytes; larger zip files need records of another kind
MEMORY_FACTOR, MEMORY_BASE = 12, 8 << 20

PLAIN = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}
END = struct.Struct("<4s4H2LH")  # of a zip file, APPNOTE.TXT 4.3.16
UTF_32 = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"
# The one way in which NumPy writes the header of a plain array: 1.0, then descr, order and shape.
MAGIC = b"\x93NUMPY\x01\x00"
HEADER = re.compile(
    rb"\{'descr': '([<>|]?\w{1,20})', 'fortran_order': (True|False), "
    rb"'shape': \((\d{1,20},|(?:\d{1,20}, )*\d{1,20}|)\), \} *\n"
)


class ModelFileError(Error, ValueError):
    """A model file that is missing, damaged, or something else; the message says which.

    >>> try:
    ...     GAN.load("nowhere.npz")
    ... except ModelFileError as error:
    ...     print(error)
    nowhere.npz: no such file
    """


def write_model(path: FileName, settings: Config, arrays: Mapping[str, Array]) -> None:
    """Write settings (JSON-ready, no NaN or infinity) and arrays (name -> array of numbers or bools) to `path`."""
    for name, array in arrays.items():
        dtype = np.asarray(array).dtype
        if f"{dtype.kind}{dtype.itemsize}" not in PLAIN:
            raise ArgumentTypeError(f"{name!r} holds {dtype}, expected numbers of up to 64 bits")
    try:
        text = json.dumps({"format": FORMAT} | settings, allow_nan=False)
    except TypeError as error:
        raise ArgumentTypeError(f"the settings do not fit into a model file: {_line(error)}") from None
    except ValueError as error:
        raise ArgumentError(f"the settings do not fit into a model file: {_line(error)}") from None
    if len(text) > SETTINGS_LIMIT:
        raise ArgumentError(f"settings of {len(text):,} characters, a model file holds at most {SETTINGS_LIMIT:,}")
    for key, part in settings.items():
        if isinstance(part, dict) and "layers" in part and (reason := _oversize(part)):
            raise ArgumentError(f"{key} does not fit into a model file: {reason}")
    with atomic_write(path) as temporary:
        packed = io.BytesIO()  # an archive cut short by a full disk would complain once more when Python lets go of it
        np.savez(packed, settings=np.array(text), **arrays)
        with open(temporary, "wb") as file:
            file.write(packed.getbuffer())
        with open_model(temporary):
            pass  # what is put in place can be read back: it is not too large, and has no name twice


class ModelFile:
    """An open model file; see `open_model`."""

    def __init__(self, path: FileName, archive: zipfile.ZipFile, size: int) -> None:
        self.path, self.archive = path, archive
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        self.entries = {info.filename.removesuffix(".npy"): info for info in infos}
        if len(self.entries) < len(infos):
            raise self._refusal("two of its entries have the same name")
        ends = [info.header_offset for info in infos[1:]]
        for (name, info), end in zip(self.entries.items(), [*ends, archive.start_dir], strict=False):
            # Stored, not compressed, and no byte twice: then all entries together hold no more than the file does.
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise self._refusal(f"entry {name[:80]!r} is compressed; numgan writes plain entries")
            if info.header_offset < 0 or info.header_offset + info.file_size > min(end, size):
                raise self._refusal(f"entry {name[:80]!r} reaches beyond its place in the file")
        self.settings = self._read_settings()

    def _refusal(self, reason):
        return ModelFileError(f"{shown(self.path)}: {_line(reason)}")

    def _read_settings(self):
        if "settings" not in self.entries:
            raise self._refusal("not a numgan model file, it has no entry 'settings'")
        if self.entries["settings"].file_size > 4 * SETTINGS_LIMIT + HEADER_ROOM:
            raise self._refusal(f"'settings' should be a text of at most {SETTINGS_LIMIT:,} characters, it is longer")
        # decoded strictly: NumPy would make a str of what is no Unicode, which Python then cannot handle
        text = self._read("settings", text=True).tobytes().decode(UTF_32).rstrip("\0")
        settings = json.loads(text, parse_constant=_refuse_constant)
        found = settings.get("format") if isinstance(settings, dict) else settings
        if found != FORMAT or not isinstance(settings, dict):
            raise self._refusal(f"format is {_line(found)!r}, expected {FORMAT!r}")
        return settings

    def _read(self, name, text=False):
        """An entry as a new array: plain numbers, or a text alone. Its header is read from the same bytes as the data,
        which another process may be changing, once they have agreed with their checksum.
        """
        data = self.archive.read(self.entries[name])
        shown_name = repr(_line(name, 80))
        if data[:6] == MAGIC[:6] and data[6:8] not in (MAGIC[6:], b""):
            version = tuple(data[6:8])
            raise self._refusal(f"entry {shown_name} has .npy version {version}, expected (1, 0)")
        start = len(MAGIC) + 2 + int.from_bytes(data[8:10], "little")
        header = HEADER.fullmatch(data, len(MAGIC) + 2, start)
        if data[:8] != MAGIC or not header:
            raise self._refusal(f"entry {shown_name} is not a plain array")
        descr, fortran, axes = (group.decode("ascii") for group in header.groups())
        held = len(data) - start
        shape = tuple(int(n) for n in re.findall(r"\d+", axes))
        if text and (descr.lstrip("<>")[0] != "U" or shape or held > 4 * SETTINGS_LIMIT):
            raise self._refusal(f"{shown_name} should be a text, found {descr} of shape {shape}")
        if len(shape) > AXIS_LIMIT or not (text or descr.lstrip("<>|") in PLAIN):
            raise self._refusal(f"{shown_name} is {descr} of shape {shape}, expected numbers of up to 64 bits")
        dtype = np.dtype(descr)
        if math.prod(shape) * dtype.itemsize != held:
            raise self._refusal(f"entry {shown_name} states {dtype} of shape {shape}, but holds {held} bytes")
        # a bool is 0 or 1, whatever byte stands there
        stored = np.dtype("u1") if dtype == np.bool_ else dtype
        array = np.ndarray(shape, stored, data, start, order="F" if fortran == "True" else "C")
        return array.astype(dtype.newbyteorder("="), order="C")

    def read_arrays(self, shapes: Mapping[str, Shape]) -> Named:
        """The arrays named in `shapes` (name -> shape), all numbers finite, and no others in the file but those of a
        training run ("run.…" where the settings have a "run").
        """
        names = {name for name in self.entries if not ("run" in self.settings and name.startswith("run."))}
        missing, unknown = shapes.keys() - names, names - shapes.keys() - {"settings"}
        if missing or unknown:
            raise self._refusal(f"entries missing {_some(missing)}, unknown {_some(unknown)}")
        return {name: self._read_numbers(name, shape) for name, shape in shapes.items()}

    def _read_numbers(self, name, expected):
        array = self._read(name)
        if array.shape != expected or array.dtype.kind not in "fi":
            raise self._refusal(f"'{name}' is {array.dtype} of shape {array.shape}, expected shape {expected}")
        if not np.isfinite(array).all():
            raise self._refusal(f"'{name}' holds {'a NaN' if np.isnan(array).any() else 'an infinity'}")
        if name.endswith(".running_variance") and array.size and array.min() < 0:
            raise self._refusal(f"'{name}' holds a number below 0")
        return array

    def read_group(self, prefix: str) -> Named:
        """name without `prefix` -> new array, for every entry whose name begins with it.

        The arrays hold bools, integers or floats of up to 64 bits, in any shape; NaN and infinity included.
        """
        return {name.removeprefix(prefix): self._read(name) for name in self.entries if name.startswith(prefix)}

    def build_network(self, key: str, extra_layers: Sequence[type[Layer]] = ()) -> Sequential:
        """The `Sequential` that settings[key] describes, its parameters still to be loaded from entries "key.…"."""
        config, known = self.settings[key], LAYERS | {cls.__name__: cls for cls in extra_layers}
        if reason := _oversize(config):
            raise self._refusal(f"{key} is no network: {reason}")
        layers = [self._build_layer(key, entry, known) for entry in config["layers"]]
        takes = Sequential.parameter_count(layers, config["shape"]) * np.dtype(config["dtype"]).itemsize
        held = sum(info.file_size for name, info in self.entries.items() if name.startswith(f"{key}."))
        if takes > held // (config["replicas"] or 1):
            raise self._refusal(f"{key} would take {takes:.6g} bytes a replica, the file holds {held:,} for it")
        return Sequential(
            layers, config["shape"], np.random.default_rng(0), config["dtype"], config["replicas"], config["name"]
        )

    def _build_layer(self, key, entry, known):
        """The layer that a pair (kind, arguments) describes, and those inside it."""
        kind, arguments = entry
        if kind not in known:
            raise self._refusal(f"{key} has a layer {_line(kind, 80)!r}; known are {', '.join(known)}")
        if issubclass(known[kind], Beside) and "layers" in arguments:
            inside = [self._build_layer(key, inner, known) for inner in arguments["layers"]]
            arguments = arguments | {"layers": inside}
        return known[kind](**arguments)

    def build_optimizer(self, key: str) -> Optimizer:
        """The optimiser that settings[key] describes."""
        kind, arguments = self.settings[key]
        if kind not in OPTIMIZERS:
            raise self._refusal(f"{key} is {_line(kind, 80)!r}; known are {', '.join(OPTIMIZERS)}")
        return OPTIMIZERS[kind].from_config(arguments)


@contextlib.contextmanager
def open_model(path: FileName) -> Iterator[ModelFile]:
    """Open a model file for reading; whatever is wrong with it, a number too large for the array that it is loaded into
    among them, comes out as one ModelFileError of at most 500 characters.
    """
    try:
        with open_regular(path) as file, np.errstate(over="raise"):
            size = os.fstat(file.fileno()).st_size
            _check_end(file, size)
            with zipfile.ZipFile(file) as archive:
                yield ModelFile(path, archive, size)
    except ModelFileError:
        raise
    except ReadError as error:
        raise ModelFileError(str(error)) from None
    except Exception as error:  # zipfile, json and NumPy each have many ways to fail on a damaged file
        reason = _line(error) or type(error).__name__
        raise ModelFileError(f"{shown(path)}: not a readable numgan model file ({reason})") from error


def _check_end(file, size):
    """The zip file's last record, which says how long the list of entries is: `zipfile` makes about 1 KB of each."""
    file.seek(max(size - END.size - 20, 0))
    tail = file.read(END.size + 20)
    if len(tail) < END.size:
        raise ArgumentError("it is shorter than any zip file")
    signature, *_, directory, _, comment = END.unpack(tail[-END.size :])
    if signature != b"PK\5\6" or comment:
        raise ArgumentError("it does not end as a zip file does")
    if size > FILE_LIMIT or tail.startswith(b"PK\6\7"):  # the mark of a zip64 end
        raise ArgumentError(f"it has more than {FILE_LIMIT:,} bytes or 65,535 entries")
    if directory > DIRECTORY_LIMIT:
        raise ArgumentError(f"its list of entries takes {directory:,} bytes, expected at most {DIRECTORY_LIMIT:,}")


def _oversize(config):
    """Why a network's settings go beyond what a model file may describe, or None."""
    layers, shape, name = config["layers"], config["shape"], config["name"]
    if not isinstance(layers, list) or len(layers) > LAYER_LIMIT:
        return f"its layers should be a list of at most {LAYER_LIMIT:,}"
    if reason := _too_many_inside(layers):
        return reason
    if isinstance(shape, list) and len(shape) > AXIS_LIMIT:
        return f"its shape has {len(shape):,} axes, expected at most {AXIS_LIMIT}"
    if not isinstance(name, str) or len(name) > NAME_LIMIT:
        return f"its name should be a text of at most {NAME_LIMIT} characters"
    return None


def _too_many_inside(layers):
    """Why there are too many layers inside a network's, or None."""
    count, depth = 0, 0
    while layers:
        depth += 1
        if depth > NESTING_LIMIT:
            return f"its layers are more than {NESTING_LIMIT} deep inside one another"
        count += depth * len(layers)
        if count > LAYER_LIMIT:
            return f"it has more than {LAYER_LIMIT:,} layers, where one counts once more for each that it is inside of"
        layers = [inner for entry in layers for inner in _inside(entry)]
    return None


def _inside(entry):
    """The list of layers in the settings of a layer, where there is one."""
    settings = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
    layers = settings.get("layers") if isinstance(settings, dict) else None
    return layers if isinstance(layers, list) else []


def _refuse_constant(name):
    raise ArgumentError(f"the settings hold {name}, expected finite numbers")


def _some(names):
    """The first few of a set of names."""
    return f"{[_line(name, 60) for name in sorted(names)[:2]]}{f' and {len(names) - 2:,} more' * (len(names) > 2)}"


def _line(value, limit=220):
    """What a file says, or an error that may quote it, on one line of a message."""
    if not isinstance(value, (str, Exception, int, float, type(None))):
        value = type(value).__name__
    text = "".join(c if c.isprintable() else " " for c in str(value)[: 4 * limit])
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
