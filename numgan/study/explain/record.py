"""A training step as it was: every call with the numbers that it read and wrote, as plain data; and what the docstrings
of its kernels say of it.
"""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numgan import kernels
from numgan.gradcheck.differences import Quotient
from numgan.hints import Array, Kernel

CELLS = 8  # numbers of a sample's column that are kept
POINTS = 4_096  # numbers of an array that a histogram is made from
FLAT = 0.01  # a derivative below it lets hardly anything through: a unit that is dead or saturated


@dataclass
class Numbers:
    """An array at one moment: of a part of it, what is told, and of all of it, what sums say.

    name, shape        as the kernel has it, without the row of ones; of blocks, the whole.
    cells, size        the first of a sample's own numbers (or of a parameter's), and how many it has of them.
    mean, spread       over all numbers; spread is the standard deviation.
    zero, flat         shares: of numbers that are 0, and of those below FLAT in size.
    points             some numbers from all over it.
    place              where in memory it lies.
    """

    name: str
    shape: tuple[int, ...]
    cells: list[float]
    size: int
    count: int
    total: float
    squares: float
    zeros: int
    flats: int
    points: Array
    place: Any = None

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def spread(self) -> float:
        return math.sqrt(max(self.squares / self.count - self.mean**2, 0.0))

    @property
    def zero(self) -> float:
        return self.zeros / self.count

    @property
    def flat(self) -> float:
        return self.flats / self.count

    def join(self, other: Numbers) -> None:
        """Take in the next block of the same array."""
        self.shape = (self.shape[0] + other.shape[0], *self.shape[1:])
        for name in ("size", "count", "total", "squares", "zeros", "flats"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.points = np.concatenate([self.points, other.points])
        self.points = self.points[:: -(-len(self.points) // POINTS)]


def numbers(name: str, array: Array, rows: int, sample: int) -> Numbers:
    """The `Numbers` of an array; if its last axis holds `rows` samples, or positions of each, its cells are those of
    one of them. With `rows` 0 it is no array of samples.
    """
    array = np.asarray(array, np.float64)
    own = array.reshape(-1, rows)[:, sample] if rows else array.reshape(-1)
    flat = array.reshape(-1)
    return Numbers(
        name,
        array.shape,
        own[:CELLS].tolist(),
        own.size,
        array.size,
        float(flat.sum()),
        float(flat @ flat),
        int(array.size - np.count_nonzero(array)),
        int((np.abs(flat) < FLAT).sum()),
        flat[:: -(-flat.size // POINTS)].copy(),
    )


@dataclass
class Worked:
    """The number in row 0 and some column of a product, as the sum that it is: [(a, b)] of its first terms, how many
    there are, and what they give.
    """

    column: int
    terms: list[tuple[float, float]]
    count: int
    value: float


@dataclass
class Window:
    """What a gather looks at: the first channel of a sample's image, and where the windows on it lie."""

    image: Array
    size: tuple[int, int]
    strides: tuple[int, int]
    before: tuple[int, int]
    positions: tuple[int, int]


@dataclass
class Entry:
    """A call, or the calls that do one thing block by block.

    reads, writes   name -> `Numbers` before and after.
    derivative      of an elementwise call of the way back: f′, which is what its kernel makes of dy = 1.
    skipped         why it does not run.
    frozen          whether its network is held still.
    """

    side: str
    network: str
    layer: str
    direction: str
    kernel: Kernel
    penalty: bool
    frozen: bool
    update: int
    skipped: str = ""
    shapes: str = ""
    calls: int = 0
    reads: dict[str, Numbers] = field(default_factory=dict)
    writes: dict[str, Numbers] = field(default_factory=dict)
    derivative: Numbers | None = None
    worked: Worked | None = None
    move: Move | None = None
    window: Window | None = None

    def is_of(self, layer: str) -> bool:
        """Whether it is of a layer, named as dense_1 or generator.dense_1, or of one inside it."""
        names = self.layer, f"{self.network}.{self.layer}"
        return any(name == layer or name.startswith(f"{layer}.") for name in names) and bool(self.layer)

    @property
    def name(self) -> str:
        return getattr(self.kernel, "__name__", str(self.kernel))

    @property
    def result(self) -> Numbers | None:
        """What it gives: `out` where it has one, else what it has written first."""
        return next((n for name, n in self.writes.items() if name.startswith("out")), None) or next(
            iter(self.writes.values()), None
        )


@dataclass
class Move:
    """One weight's step: what an update did to the one with the largest gradient.

    name           "dense_1.weight[0, 3]".
    before, after  argument's name -> number: theta, gradient, and the optimiser's own.
    settings       those of the optimiser, rate as of this step.
    step           which update of the network it is, from 1.
    checked        name of a weight -> its gradient beside a difference: of this one, and where the network is small
                   of that with the largest gradient in each tensor. Empty in later updates of the step.
    """

    name: str
    optimizer: str
    settings: dict[str, Any]
    step: int
    before: dict[str, float]
    after: dict[str, float]
    checked: dict[str, Checked] = field(default_factory=dict)


@dataclass
class Checked:
    """A gradient in float64, as the hand-written code has it, and by differences."""

    by_hand: float
    quotient: Quotient


@dataclass
class Part:
    """One side's step. `title` is the step's own, `rows` what a sample's number counts to.

    samples  name -> (n, numbers of a sample), the first of the batch: "real" rows of the discriminator's step; of the
             generator's the rows "made", and "gradient", ∂L/∂x of these as the discriminator hands it back.
    """

    side: str
    title: str
    rows: int
    entries: list[Entry]
    note: str = ""
    samples: dict[str, Array] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------- what kernels say


def derivation(kernel: Kernel) -> str:
    """All that a kernel's docstring says, or "" where it is none of the course."""
    ours = getattr(kernel, "__module__", "").startswith(kernels.__name__)
    return inspect.getdoc(kernel) or "" if ours else ""


def formula(kernel: Kernel) -> str:
    """The first sentence of the derivation, on one line."""
    text = " ".join(derivation(kernel).partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s+(?=\D)|:\s+(?=[A-Z`])", text)[0]


def left_sides(kernel: Kernel) -> list[str]:
    """What the formula gives values to, in order: "dx" of "dx = dy·(1 − y²).", "P" of "P[c, u] = …"."""
    found = re.findall(r"(\[[^\]]*\]|[^\s\[\]:,(]+)(?:\[[^\]]*\])? (?:\+?=|←) ", formula(kernel))
    return [name.strip("[]").split(";")[0] if ";" in name else name for name in found]
