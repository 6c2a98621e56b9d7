"""A layer, loss or function of one's own as a target of `numgan gradcheck`: FILE.py:NAME or MODULE:NAME.

NAME is a `Layer`, a loss, a network, a GAN's part or a function, or a class of a layer or loss that is made without
arguments. The gradient of a function f is the function f_gradient beside it: of x where f gives a number, of x and
∂L/∂f(x) where it gives an array.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from numgan.errors import ArgumentError
from numgan.gradcheck.check import check_gradients, is_loss
from numgan.gradcheck.report import Report
from numgan.hints import Shape
from numgan.nn.layer import Layer
from numgan.nn.network import Sequential

ROWS = 5
SHAPE = (4,)  # of a sample, unless told


def is_own(target: str) -> bool:
    """Whether a target of the command line names somebody's own code."""
    return ":" in target


def check_own(target: str, shape: Shape | None, seed: int, tolerance: float) -> list[Report]:
    """Run the code that `target` names and check what it defines, on random inputs of a shape (of one sample for
    layers, networks and losses, of the whole argument for functions).
    """
    where, _, name = target.rpartition(":")
    module = _load(where, target)
    if not hasattr(module, name):
        raise ArgumentError(f"{target}: {where} defines no {name!r}")
    subject = _made(getattr(module, name), target)
    rng = np.random.default_rng(seed)
    if isinstance(subject, Sequential):
        x = rng.normal(0.1, 1.0, (ROWS, *subject.shapes[0]))
    elif isinstance(subject, Layer) or is_loss(subject):
        x = rng.normal(0.1, 1.0, (ROWS, *(shape or SHAPE)))
    else:
        x = rng.normal(0.1, 1.0, shape or (ROWS, *SHAPE))
    how: dict[str, Any] = {"tolerance": tolerance, "seed": seed}
    if isinstance(subject, Layer | Sequential):
        modes = (True, False)
        return [check_gradients(subject, x, training=training, **how) for training in modes]
    if is_loss(subject):
        if not getattr(subject, "from_logits", True):
            x = 1 / (1 + np.exp(-x))  # probabilities
        return [check_gradients(subject, x, target=rng.integers(0, 2, x.shape), **how)]
    gradient = getattr(module, f"{name}_gradient", None)
    if not callable(subject) or gradient is None:
        raise ArgumentError(
            f"{target}: expected a Layer, a network, a loss, or a function with {name}_gradient beside it, got "
            f"{'a function without' if callable(subject) else type(subject).__name__}"
        )
    try:
        inspect.signature(subject).bind(x)
    except TypeError as error:
        raise ArgumentError(
            f"{target}: expected a function of one array, got {name}{inspect.signature(subject)} ({error}); "
            "check_gradients in Python takes named arrays"
        ) from error
    return [check_gradients(subject, x, gradient=gradient, **how)]


def _made(thing: Any, target: str) -> Any:
    """An object of a class that takes no arguments; anything else as it is."""
    if not isinstance(thing, type):
        return thing
    try:
        return thing()
    except TypeError as error:
        raise ArgumentError(f"{target}: the class can't be made without arguments ({error}); name an object") from error


def _load(where: str, target: str) -> ModuleType:
    """The module of a file or of a dotted name, whatever goes wrong in it as one sentence. As with `python`, modules
    beside the file, or in the working directory, can be imported.
    """
    path = Path(where).resolve()
    sys.path.insert(0, str(path.parent))
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise ArgumentError("no such file")
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        spec.loader.exec_module(module)
        return module
    except Exception as error:  # it is somebody's code, which may raise anything
        raise ArgumentError(f"{target}: {where} can't be loaded ({type(error).__name__}: {error})") from error
