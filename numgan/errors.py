"""What numgan raises by intent, all of it an `Error`, and the checks of plain arguments that raise it."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


class Error(Exception):
    """The base of everything that numgan raises by intent."""


class ArgumentError(Error, ValueError):
    """An argument that cannot be; the message says what was given, what was expected, and where."""


class ArgumentTypeError(Error, TypeError):
    """An argument of a kind that cannot be."""


class StateError(Error, RuntimeError):
    """A call that needs another one before it."""


class MissingMethodError(Error, NotImplementedError):
    """A layer of one's own without a method that it needs."""


def whole(what: str, value: Any, least: int = 1, expects: str | None = None) -> int:
    """`value` as an int, if it is a whole number from `least` up, of Python or of NumPy; a bool is none."""
    if isinstance(value, Integral) and not isinstance(value, bool) and value >= least:
        return int(value)
    expects = expects or ("a positive integer" if least == 1 else f"an integer from {least} up")
    raise ArgumentError(f"{what} must be {expects}, got {value!r}")


def positive(what: str, value: Any) -> float:
    """`value` as a float, if it is a finite number above 0."""
    return _number(what, value, lambda v: 0 < v < math.inf, "a positive finite number")


def fraction(what: str, value: Any, top: float = 1) -> float:
    """`value` as a float, if it is a number in [0, top)."""
    return _number(what, value, lambda v: 0 <= v < top, f"a number in [0, {top:g})")


def between(what: str, value: Any, low: float, high: float) -> float:
    """`value` as a float, if it is a number in (low, high)."""
    return _number(what, value, lambda v: low < v < high, f"a number in ({low:g}, {high:g})")


def _number(what, value, accepts, expects):
    if isinstance(value, Real) and not isinstance(value, bool) and accepts(value):
        return float(value)
    raise ArgumentError(f"{what} must be {expects}, got {value!r}")


def shown(value: Any, limit: int = 80) -> str:
    """The repr of `value` for a message, cut where it is longer than a reader would want."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
