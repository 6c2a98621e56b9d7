"""What numgan raises by intent, all of it an `Error`, and the checks of arguments that raise it."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from types import ModuleType
from typing import Any

import numpy as np


class Error(Exception):
    """The base of everything that numgan raises by intent.

    >>> try:
    ...     Dense(0)
    ... except Error as error:
    ...     print(error)
    Dense(units) must be a positive integer, got 0
    """


class ArgumentError(Error, ValueError):
    """An argument that cannot be; the message says what was given, what was expected, and where."""


class ArgumentTypeError(Error, TypeError):
    """An argument of a kind that cannot be."""


class StateError(Error, RuntimeError):
    """A call that needs another one before it."""


class MissingAttributeError(Error, AttributeError):
    """An attribute that there is none of; the message says what to do in its place."""


class MissingNameError(Error, ImportError):
    """An import by the name that another library has for something."""


class MissingMethodError(Error, NotImplementedError):
    """A layer of one's own without a method that it needs."""


LARGEST = 2**53  # a whole number up to here is exact as a float64, and its digits fit on a line


def shown(value: Any, limit: int = 80) -> str:
    """`value` as a message may quote it: one line, `limit` characters at most, whatever it is."""
    try:
        text = repr(value[:limit] if isinstance(value, str | bytes) else value)
    except Exception:  # an int of more digits than Python prints, or somebody's own __repr__
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


# ------------------------------------------------------------------------------------------------------ single values


def whole(what: str, value: Any, least: int = 1, expects: str | None = None, most: int | None = LARGEST) -> int:
    """`value` as an int, if it is a whole number from `least` to `most`, of Python or of NumPy; a bool is none."""
    if isinstance(value, Integral) and not isinstance(value, bool) and value >= least:
        if most is None or value <= most:
            return int(value)
        expects = f"at most {most}"
    expects = expects or ("a positive integer" if least == 1 else f"an integer from {least} up")
    raise ArgumentError(f"{what} must be {expects}, got {shown(value)}")


def flag(what: str, value: Any) -> bool:
    """`value` as a bool, if it is one, of Python or of NumPy."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise ArgumentTypeError(f"{what} must be True or False, got {shown(value)}")


def positive(what: str, value: Any) -> float:
    """`value` as a float, if it is a finite number above 0."""
    return _number(what, value, lambda v: 0 < v < math.inf, "a positive finite number")


def not_negative(what: str, value: Any) -> float:
    """`value` as a float, if it is a finite number from 0 up."""
    return _number(what, value, lambda v: 0 <= v < math.inf, "a finite number from 0 up")


def fraction(what: str, value: Any, top: float = 1) -> float:
    """`value` as a float, if it is a number in [0, top)."""
    return _number(what, value, lambda v: 0 <= v < top, f"a number in [0, {top:g})")


def between(what: str, value: Any, low: float, high: float) -> float:
    """`value` as a float, if it is a number in (low, high)."""
    return _number(what, value, lambda v: low < v < high, f"a number in ({low:g}, {high:g})")


def _number(what, value, accepts, expects):
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:  # of an int beyond every float
        number = math.inf
    if not accepts(number):
        raise ArgumentError(f"{what} must be {expects}, got {shown(value)}")
    if number and not SMALLEST <= abs(number) <= LIMITS["float32"]:
        raise ArgumentError(f"{what} must be a number that float32 can hold, 1.2e-38 to 3.4e38, got {shown(value)}")
    return number


def as_shape(what: str, shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of positive integers, at most 8; an integer n is (n,)."""
    axes = shape if isinstance(shape, tuple | list) else (shape,)
    if not 1 <= len(axes) <= 8:
        raise ArgumentError(f"{what} must have 1 to 8 axes, got {shown(shape)}")
    return tuple(whole(what, n, 1, "a positive integer or a tuple of them") for n in axes)


def one_of(what: str, value: Any, names: Iterable[str]) -> str:
    """`value`, if it is one of these texts."""
    names = tuple(names)
    if isinstance(value, str) and value in names:
        return value
    raise ArgumentError(f"{what} must be one of {names}, got {shown(value)}")


def instance(what: str, value: Any, kind: type) -> Any:
    """`value`, if it is an object of that class."""
    if isinstance(value, kind):
        return value
    given = f"the class {value.__name__}" if isinstance(value, type) else shown(value)
    article = "an" if kind.__name__[0] in "AEIO" else "a"
    raise ArgumentTypeError(f"{what} must be {article} {kind.__name__}, got {given}")


def generator(what: str, value: Any) -> np.random.Generator:
    """`value`, if it is a numpy.random.Generator; seeds, RandomState and the module numpy.random are none."""
    if isinstance(value, np.random.Generator):
        return value
    given = value.__name__ if isinstance(value, (type, ModuleType)) else type(value).__name__
    raise ArgumentTypeError(f"{what} must be a numpy.random.Generator such as numpy.random.default_rng(0), got {given}")


def mapping(what: str, value: Any) -> Mapping[str, Any]:
    """`value`, if it is a mapping whose keys are texts."""
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(f"{what} must be a mapping of names to arrays, got {shown(value)}")
    for name in value:
        if not isinstance(name, str):
            raise ArgumentTypeError(f"{what} must have texts as names, got {shown(name)}")
    return value


# ------------------------------------------------------------------------------------------------------------- arrays
#
# Inputs may be whatever NumPy makes an array of real numbers of: lists, integers, bools (as 0 and 1), any float, any
# byte order and memory layout, read-only or not. A masked array is taken if it masks nothing. NaN and infinities are
# refused everywhere, and so are numbers that the receiving dtype cannot hold.


def real_array(what: str, value: Any, dtype: Any = np.float64, finite: bool = True) -> np.ndarray:
    """`value` as an array, if all of it is real numbers that `dtype` can hold. The array keeps its own dtype.

    finite  False lets NaN and infinities pass: for what a network that has diverged may give.
    """
    array = value
    if type(value) is not np.ndarray:
        array = _as_array(what, value)
    if array.dtype.kind not in "fiub":
        raise ArgumentError(f"{what} must be real numbers, got an array of dtype {shown(array.dtype.name)}")
    if finite and array.size and array.dtype.kind == "f":
        limit = LIMITS[np.dtype(dtype).name]
        low, high = float(array.min()), float(array.max())  # both are NaN if anything is
        if not (low >= -limit and high <= limit):
            raise ArgumentError(_not_finite(what, array, limit, dtype))
    return array


def _as_array(what, value):
    if np.ma.is_masked(value):
        raise ArgumentError(f"{what} must have no masked values, got {np.ma.count_masked(value)} of them; fill them")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # masked values in a list become NaN with a warning
            return np.asarray(value)
    except Exception as error:  # lists of unequal length, and whatever an object's own __array__ raises
        raise ArgumentError(f"{what} must be an array of real numbers, got {shown(value)} ({_line(error)})") from None


def _not_finite(what, array, limit, dtype):
    wide = array.astype(np.promote_types(array.dtype, np.float64), copy=False)  # the limit is beyond smaller dtypes
    bad = ~((wide >= -limit) & (wide <= limit))
    index = tuple(map(int, np.unravel_index(int(bad.argmax()), array.shape)))
    where = f" at {list(index)}" if index else ""
    expected = "finite numbers" if not np.isfinite(array[index]) else f"numbers that {np.dtype(dtype).name} can hold"
    return f"{what} must be {expected}, got {array[index]}{where}"


def indices(what: str, value: Any, n: int, below: int) -> np.ndarray:
    """`value` as an array (n,) of integers, if it is n whole numbers from 0 to `below` − 1, (n,) or (n, 1)."""
    array = real_array(what, value)
    if array.shape not in ((n,), (n, 1)):
        raise ArgumentError(f"{what} must have the shape ({n},) or ({n}, 1), got {array.shape}")
    wrong = array[(array < 0) | (array >= below) | (array % 1 != 0)]
    if wrong.size:
        raise ArgumentError(f"{what} must be whole numbers from 0 to {below - 1}, got {wrong[0]}")
    return array.reshape(n).astype(np.intp)


def rows_of(what: str, value: Any, least: int = 1, finite: bool = True) -> np.ndarray:
    """`value` as an array (n, d) of real numbers, float32 or float64, with n at least `least`."""
    array = native(real_array(what, value, finite=finite))
    if array.ndim != 2 or len(array) < least or array.shape[1] == 0:
        raise ArgumentError(f"{what} must have the shape (n, d) with n at least {least}, got {array.shape}")
    return array


def method_of(what: str, value: Any, kind: str, *methods: str) -> Any:
    """`value`, if it is an object, not a class or a module, with these methods; `kind` says what such a thing is."""
    lacking = [m for m in methods if not callable(getattr(value, m, None))]
    if lacking or isinstance(value, type | ModuleType):
        raise ArgumentTypeError(f"{what} must be {kind}, got {shown(value)}")
    return value


def native(array: np.ndarray) -> np.ndarray:
    """The array in an arithmetic that kernels know: float32 as it is, anything else in float64."""
    return array if array.dtype.type is np.float32 and array.dtype.isnative else np.asarray(array, np.float64)


def output(what: str, value: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """`value`, if it is a writeable array of that shape and dtype."""
    if not isinstance(value, np.ndarray) or np.ma.isMaskedArray(value):
        raise ArgumentTypeError(f"{what} must be an array to write to, got {shown(value)}")
    if value.shape != shape or value.dtype != dtype or not value.flags.writeable:
        kind = "" if value.flags.writeable else "read-only "
        raise ArgumentError(
            f"{what} must be a writeable {np.dtype(dtype).name} array of shape {shape}, got {kind}"
            f"{shown(value.dtype.name)} {value.shape}"
        )
    return value


def affordable(what: str, size: int) -> None:
    """Raise for what would take `size` bytes, more than the machine's memory, before any of it is taken."""
    if size > MEMORY:
        raise ArgumentError(f"{what} would take {size / 2**30:,.3g} GiB, this machine has {MEMORY / 2**30:,.3g}")


def _line(error):
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 160 else text[:157] + "..."


def _memory():
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return 2**40


MEMORY = _memory()
LIMITS = {name: float(np.finfo(name).max) for name in ("float32", "float64")}
SMALLEST = float(np.finfo(np.float32).tiny)
