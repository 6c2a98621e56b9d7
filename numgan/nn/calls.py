"""`Call`: a kernel bound to its arguments, one line of a training step; and the step as a listing."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from numgan.tables import aligned, html_lines, html_table

HEAD = ("network", "layer", "", "kernel", "shapes")  # of a listing

ARGUMENT_NAMES: WeakKeyDictionary[FunctionType, tuple[str, ...]] = WeakKeyDictionary()


@dataclass(eq=False)
class Call:
    """A bound kernel.

    kernel     the function that does the work.
    arguments  name -> array or value, in the kernel's own order; empty where skipped.
    network, layer, direction   where in a step it stands; direction is "forward", "backward", "copy" or "update".
    rows       which features of the layer it works on, (first, end, how many there are), or None for all.
    skipped    why it does not run, or "" when it does.
    run        the call itself, without arguments. What a step's loop calls: it knows no more than it has to.
    parts      the calls that it is made of: itself alone, or an optimiser's walk chunk by chunk.
    before     what an update does before its parts run, as to count the step; None elsewhere.
    """

    kernel: Callable
    arguments: dict[str, Any]
    network: str = ""
    layer: str = ""
    direction: str = ""
    rows: tuple[int, int, int] | None = None
    skipped: str = ""
    run: Callable[[], Any] = field(default=None, repr=False)
    parts: list["Call"] = field(default=None, repr=False)
    before: Callable[[], Any] | None = field(default=None, repr=False)

    def __post_init__(self):
        if self.run is None and not self.skipped:
            self.run = partial(self.kernel, *self.arguments.values())
        self.parts = self.parts or [self]

    @property
    def name(self) -> str:
        return getattr(self.kernel, "__name__", type(self.kernel).__name__)

    @property
    def block(self) -> str:
        """Which features it works on, in words, or "" for all."""
        return f"features {self.rows[0]} to {self.rows[1] - 1}" if self.rows else ""

    @property
    def is_product(self) -> bool:
        """Whether this is a matrix product: its kernel asks for one to use."""
        return "product" in self.arguments

    @property
    def arrays(self) -> list[np.ndarray]:
        """The arrays it works on, scalars aside."""
        return [a for a in self.arguments.values() if isinstance(a, np.ndarray) and a.ndim > 0]

    @property
    def flop(self) -> int:
        """Floating-point operations of a product, 2·m·k·n; 0 for anything else, which memory limits."""
        if not self.is_product:
            return 0
        a, b, _ = self.arrays
        return 2 * a.size * b.shape[-1]

    @property
    def shapes(self) -> str:
        """ "25×6 · 6×64 → 25×64" for a product, otherwise the shape of the largest array, and which block it is."""
        if self.is_product:
            a, b, out = map(_shape, self.arrays)
            return f"{a} · {b} → {out}"
        largest = _shape(max(self.arrays, key=lambda a: a.size))
        return f"{largest}, {self.block}" if self.block else largest

    def to_dict(self) -> dict[str, Any]:
        """Its line of a listing as JSON-ready values; `skipped` is why it does not run, or null."""
        about = {"network": self.network, "layer": self.layer, "direction": self.direction, "kernel": self.name}
        if self.skipped:
            return about | {"shapes": None, "flop": 0, "skipped": self.skipped}
        return about | {"shapes": self.shapes, "flop": self.flop, "skipped": None}


def in_order(kernel: Callable, named: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a kernel asks for out of `named`, in its own order."""
    return {name: named[name] for name in argument_names(kernel)}


def argument_names(kernel: Callable) -> tuple[str, ...]:
    """What a kernel's arguments are called, in order. Those of a function are kept for as long as it is: every plan
    asks for every kernel's, and Python takes 20 µs to tell.
    """
    if not isinstance(kernel, FunctionType):  # a method of a layer of one's own, which would be kept with it
        return tuple(inspect.signature(kernel).parameters)
    if kernel not in ARGUMENT_NAMES:
        ARGUMENT_NAMES[kernel] = tuple(inspect.signature(kernel).parameters)
    return ARGUMENT_NAMES[kernel]


def runs(calls: list[Call]) -> list[Callable[[], Any]]:
    """What there is to run of a list of calls, in order."""
    return [call.run for call in calls if not call.skipped]


def listing(title: str, calls: list[Call]) -> str:
    """The calls as a text table under a title, skipped ones with the reason."""
    lines = aligned([HEAD, *_rows(calls)], left=range(len(HEAD)))
    return "\n".join([title, lines[0], "─" * max(map(len, lines)), *lines[1:], _total(calls)])


def html_listing(title: str, calls: list[Call]) -> str:
    """The same as HTML."""
    table = html_table([HEAD, *_rows(calls)], left=range(len(HEAD)))
    return "\n".join([html_lines(title), table, html_lines(_total(calls))])


def _rows(calls):
    return [
        (c.network, c.layer, c.direction, c.name, f"skipped: {c.skipped}" if c.skipped else c.shapes) for c in calls
    ]


def _total(calls):
    products = [c for c in calls if c.is_product]
    skipped = sum(bool(c.skipped) for c in calls)
    return (
        f"{len(calls) - skipped} calls, {len(products)} of them products of {sum(c.flop for c in products) / 1e6:,.2f} "
        f"MFLOP; {skipped} skipped"
    )


def _shape(array):
    return "×".join(map(str, array.shape))
