"""What every benchmark leaves behind: a table on the screen, NAME.json and NAME.png in the output directory.

The JSON has "measures", a flat list of {name, unit, median, low, high, rounds}; `compare` needs nothing else. What
a command's table and picture need besides stands next to it.
"""

import json
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks import machine

BLUE, ORANGE = "#3b6ea8", "#e08a3c"
QUIET = 0.1  # cores that others may keep busy while we measure


def start(name, arguments):
    """A result to fill in, for `finish`."""
    internal = ("command", "out", "full_rounds", "quick_rounds")
    return {
        "benchmark": name,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "settings": {k: v for k, v in vars(arguments).items() if k not in internal},
        "others": (time.perf_counter(), machine.others_seconds()),
        "measures": [],
    }


def finish(result, directory, text, draw):
    """Print the table, write the JSON, and let draw(figure, result) fill the picture."""
    began, seconds = result["others"]
    if seconds is not None:
        result["others"] = max(0.0, (machine.others_seconds() - seconds) / (time.perf_counter() - began))
    about = machine.sentence(result["machine"], result["settings"]["threads"])
    print(f"{text}\n\n{about}")
    if seconds is not None and result["others"] > QUIET:
        print(f"Not quiet: meanwhile other programs kept {result['others']:.1f} cores busy. Take no figure from this.")
    write(result, directory, draw, about)


def write(result, directory, draw, about):
    """NAME.json and NAME.png, the picture with the line `about` at its foot."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    data, picture = (directory / f"{result['benchmark']}{suffix}" for suffix in (".json", ".png"))
    data.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    draw(figure, result)
    figure.supxlabel(about, fontsize=8, color="0.4")
    figure.savefig(picture, dpi=110)
    print(f"written: {data}, {picture}")


def progress(text):
    """Say on a terminal's last line what is going on; nothing where no one watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def measure(name, unit, spread):
    """An entry of "measures": a name that stays the same from run to run, and a `timing.spread`."""
    return {"name": name, "unit": unit, **spread}


def exact(name, unit, value):
    """An entry for what does not vary."""
    return measure(name, unit, {"median": value, "low": value, "high": value, "rounds": 1})


# --------------------------------------------------------------------------------------------------------- wording


def time_unit(seconds):
    """(unit in seconds, its name) that makes this time readable."""
    return next(((unit, name) for unit, name in ((1, "s"), (1e-3, "ms")) if seconds >= unit), (1e-6, "µs"))


def time_cells(spread):
    """["18.2 ms", "17.9–18.8"]: a median and its quartiles."""
    unit, name = time_unit(spread["median"])
    return [f"{number(spread['median'] / unit)} {name}",
            f"{number(spread['low'] / unit)}–{number(spread['high'] / unit)}"]  # fmt: skip


def time_text(spread, brief=False):
    median, quartiles = time_cells(spread)
    return median if brief else f"{median} ({quartiles})"


def ratio_text(spread):
    return f"{spread['median']:.3f}× ({spread['low']:.3f}–{spread['high']:.3f})"


def number(value):
    """Three digits that count."""
    if value < 1:
        return f"{value:.3g}"
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def size(count):
    """Bytes for people."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if count >= unit:
            return f"{number(count / unit)} {name}"
    return f"{count:,.0f} B"


def columns(rows, title):
    """Rows of cells, the first of them the heading, as aligned text: the first column left, the others right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                       for i, (cell, w) in enumerate(zip(row, widths, strict=True))) for row in rows]  # fmt: skip
    rule = "─" * len(lines[0])
    return "\n".join([title, rule, lines[0], rule, *lines[1:]])


# --------------------------------------------------------------------------------------------------------- drawing


def tidy(ax, grid):
    """The look that the pictures share: a light grid along one axis, no box."""
    ax.grid(axis=grid, color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def plain_ticks(axis):
    """Numbers as they are on a logarithmic axis to the base of two, in place of powers."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def time_ticks(axis):
    """Times with their units on a logarithmic axis in seconds, few enough to be read."""
    low, high = axis.get_view_interval()
    steps = (1,) if high > 100 * low else (1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 5, 7)
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short_time(value)))


def _short_time(seconds):
    unit, name = time_unit(seconds * 1.001)  # ticks such as 9.999e-4 belong to the larger unit
    return f"{seconds / unit:.3g} {name}"


def patch(color, label):
    return Patch(color=color, label=label)
