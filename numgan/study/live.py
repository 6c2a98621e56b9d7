"""The table that `numgan train --watch` shows: how far the training is, what the game stands at, and what is inside the
networks, layer by layer. In a terminal it is drawn in place, as wide and high as that is at the moment; else the layers
are lines like any others.
"""

from __future__ import annotations

import itertools
import math
import shutil
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tqdm import tqdm

from numgan.gan.insides import DEAD, GRADIENT, SIDES, UPDATE

if TYPE_CHECKING:
    from numgan.gan.insides import Insides

LINE = 80  # columns where there is no terminal
GAP = 3  # columns between what stands side by side
# The columns of a layer's row, kind -> heading, width, how a number is written; and which go first where it is narrow.
CELLS = {
    GRADIENT: ("gradient", 8, "{:.1e}".format),
    UPDATE: ("update", 8, "{:.1e}".format),
    DEAD: ("dead", 6, "{:.1%}".format),
}
DROPPED = (UPDATE, DEAD, GRADIENT)
NAME = 10  # columns that a layer's name has at least
UP, CLEAR = "\x1b[{}F", "\x1b[J"  # to the beginning of the line so many above; from there to the end of the screen
WHOLE = "\x1b[H\x1b[2J"  # the whole screen, from its first place


class LiveTable:
    """Draws the table by `say`, which prints a text and a line's end in a terminal, each time over the one before."""

    def __init__(self, say: Callable[[str], None], total: int) -> None:
        self._say, self._total, self._start, self._first = say, total, time.monotonic(), None
        self._size, self._height = None, 0

    def draw(self, done: int, means: Sequence[tuple[str, str]], insides: Insides | None) -> None:
        """Draw the state after so many steps: means as (heading, text), and the last row of the insides."""
        size = shutil.get_terminal_size()
        self._first = done if self._first is None else self._first
        width = max(size.columns - 1, 1)  # a line that ends in the last place may be taken for two
        lines = [self._progress(done), *flow(means, width), *layer_lines(insides, width)]
        lines = [line[:width] for line in fitted(lines, size.lines - 1)]
        back = UP.format(self._height) + CLEAR if self._height else ""
        if size != self._size and self._size:  # what was drawn may stand on other lines now
            back = WHOLE
        self._say(back + "\n".join(lines))
        self._size, self._height = size, len(lines)

    def _progress(self, done):
        text = f"step {done:,} of {self._total:,}"
        if done > self._first:
            rate = (done - self._first) / (time.monotonic() - self._start)
            text += f"   {tqdm.format_sizeof(rate)}/s   {tqdm.format_interval((self._total - done) / rate)} left"
        return text


def fitted(lines: list[str], height: int) -> list[str]:
    """The lines, as many as a terminal has; the last one says how many more there are."""
    height = max(height, 1)
    if len(lines) <= height:
        return lines
    return [*lines[: height - 1], f"… {len(lines) - height + 1} more"]


def flow(cells: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Headings and values, as many to a line as fit, one below the other."""
    texts = [f"{heading} {value}" for heading, value in cells]
    cell = max(map(len, texts), default=0)
    columns = max(1, (width + GAP) // (cell + GAP))
    rows = [texts[i : i + columns] for i in range(0, len(texts), columns)]
    return [(" " * GAP).join(text.ljust(cell) for text in row).rstrip() for row in rows]


def layer_lines(insides: Insides | None, width: int) -> list[str]:
    """The last row of the insides: a line for each layer of a network. Networks stand side by side where that fits;
    where it is narrow names are cut, and columns left out.
    """
    if not insides:
        return []
    layers = {side: insides.layers(side) for side in SIDES}
    longest = {side: max(map(len, (side, *own))) for side, own in layers.items() if own}
    cells = sum(w + 2 for _, w, _ in CELLS.values())
    if sum(longest.values()) + (cells + GAP) * len(longest) - GAP <= width:
        blocks = [_block(insides, side, layers[side], longest[side], CELLS) for side in longest]
        rows = itertools.zip_longest(*blocks, fillvalue="")
        widths = [name + cells + GAP for name in longest.values()]
        return ["".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    kept = dict(CELLS)
    for kind in DROPPED:
        if NAME + sum(w + 2 for _, w, _ in kept.values()) > width:
            del kept[kind]
    name = min(max(longest.values()), max(width - sum(w + 2 for _, w, _ in kept.values()), 1))
    return [line for side in longest for line in _block(insides, side, layers[side], name, kept)]


def _block(insides, side, layers, name, cells):
    """A heading and a line for each layer of one network, names `name` wide."""
    heads = _cut(side, name).ljust(name) + "".join(f"  {heading:>{w}}" for heading, w, _ in cells.values())
    lines = [heads.rstrip()]
    for layer, columns in layers.items():
        texts = [_text(insides, columns.get(kind), form).rjust(w) for kind, (_, w, form) in cells.items()]
        lines.append((_cut(layer, name).ljust(name) + "".join(f"  {text}" for text in texts)).rstrip())
    return lines


def _cut(name, width):
    """A name without its middle, where it is too long: its end tells one layer from another."""
    if len(name) <= width or width < 3:
        return name[:width]
    return f"{name[: (width - 1) // 2]}…{name[-(width // 2) :]}"


def _text(insides, column, form):
    if column is None:
        return ""
    value = float(insides[column][-1])
    return "—" if math.isnan(value) else form(value)
