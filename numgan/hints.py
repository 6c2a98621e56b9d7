"""Names for type hints. Shapes are said in words, in the docstrings."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Array = NDArray[Any]
Numbers = ArrayLike  # whatever NumPy can make an array of real numbers of
Shape = tuple[int, ...]
DType = DTypeLike
FileName = str | os.PathLike[str]
Rng = np.random.Generator
Rows = list[list[float]]  # in plain Python: a list of numbers a sample
Kernel = Callable[..., None]
Initializer = Callable[[Rng, Shape, int, int, Any], Array]
Config = dict[str, Any]  # JSON-ready keyword arguments
Named = dict[str, Array]


class Source(Protocol):
    """Where real rows come from: the shape of a row, and `out` filled with n of them drawn at random."""

    @property
    def shape(self) -> Shape: ...

    def sample(self, n: int, rng: Rng, out: Array) -> None: ...


class ConditionalSource(Protocol):
    """The same with conditions, name -> shape of what goes with each row: sample(n, rng, out, …) takes an array of each
    by name besides.
    """

    @property
    def shape(self) -> Shape: ...

    @property
    def conditions(self) -> Mapping[str, Shape]: ...

    @property
    def sample(self) -> Callable[..., None]: ...
