"""Numbers of replicas: where a setting is a number, a stack of R replicas takes one for all, or a list of one for each.

Those are kept in a tuple, and stand as a column (R, 1, …) beside the arrays (R, …) that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from numgan.errors import ArgumentError, shown
from numgan.hints import Array, Config, DType, Shape

Number = TypeVar("Number")


def one_or_each(what: str, value: Any, check: Callable[[str, Any], Number]) -> Number | tuple[Number, ...]:
    """check(what, value); of a list, a tuple or an array (R,), that of each in a tuple."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
        if not len(value):
            raise ArgumentError(f"{what} must be a number, or one for each replica, got {shown(value)}")
        return tuple(check(f"{what}[{r}]", v) for r, v in enumerate(value))
    return check(what, value)


def column(value: float | tuple[float, ...], dtype: DType, axes: int) -> Array:
    """A 0-d array of a number; of one for each replica an array (R, 1, …) with so many axes behind R."""
    array = np.array(value, dtype)
    return array.reshape(*array.shape, *[1] * axes) if array.ndim else array


def check_count(what: str, config: Config, replicas: Shape) -> None:
    """Raise where a setting is one for each of another number of replicas."""
    for name, value in config.items():
        if isinstance(value, tuple) and (len(value),) != replicas:
            has = f"{replicas[0]} replicas" if replicas else "no replicas"
            raise ArgumentError(f"{what}: {name} is a list of {len(value)}, the network has {has}")


def of_replicas(config: Config, rows: slice) -> Config:
    """The same settings for some of the replicas."""
    return {k: joined(v[rows]) if isinstance(v, tuple) else v for k, v in config.items()}


def joined(values: Sequence[Any]) -> Any:
    """One value, where all are the same; else a tuple of them."""
    return values[0] if all(value == values[0] for value in values) else tuple(values)
