"""`scaling`: samples a second, share of matrix products and memory, over batch size and width, on 1 and 2 threads.

Every point is a process of its own, because a BLAS reads its number of threads only once and the memory a process
has once held is never given back. Rounds go through all points and back, so that a slow minute does not sit on one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks import BenchmarkError, report, threads
from benchmarks.timing import spread
from numgan.study import recipes

CHECKOUT = Path(__file__).parent.parent
FULL = tuple(2**i for i in range(14)), (1, 2, 4, 8)
QUICK = (2, 16, 128, 1024, 8192), (1, 2, 4)
STYLES = {1: (report.ORANGE, "1 thread"), 2: (report.BLUE, "2 threads")}


def run(arguments):
    batches, widths = QUICK if arguments.quick else FULL
    arguments.batches, arguments.widths = arguments.batches or batches, arguments.widths or widths
    result = report.start("scaling", arguments)
    points = [point for recipe in arguments.recipes for point in plan(recipe, arguments)]
    answers = {point: [] for point in points}
    for i in range(arguments.rounds):
        for j, point in enumerate(points[:: -1 if i % 2 else 1]):
            report.progress(f"round {i + 1} of {arguments.rounds}, point {j + 1} of {len(points)}")
            answers[point].append(measure(*point))
    report.progress("")
    result["points"] = [summary(point, answers[point]) for point in points]
    for row in result["points"]:
        name = f"{row['recipe']}, batch {row['batch']}, width ×{row['width']}, {row['threads']} threads"
        result["measures"] += [
            report.measure(f"{name}: samples a second", "/s", row["rate"]),
            report.measure(f"{name}: step / products", "×", row["ratio"]),
        ]
        if row["memory"]:
            result["measures"].append(report.measure(f"{name}: peak memory", "B", row["memory"]))
    report.finish(result, arguments.out, table(result), draw)


def plan(recipe, arguments):
    """The points (recipe, batch, width, threads) of a recipe: all batches at ×1, and all widths at its own batch."""
    settings = recipes.get(recipe).settings
    step = 2 if settings.schedule == "separate" else 1  # such a batch is two halves
    shapes = [(batch, 1) for batch in arguments.batches if batch % step == 0]
    shapes += [(settings.batch_size, width) for width in arguments.widths]
    shapes = sorted(set(shapes), key=lambda shape: shape[::-1])
    return [(recipe, *shape, count) for shape in shapes for count in arguments.threads]


def measure(recipe, batch, width, thread_count):
    """What `scaling_point` finds: arrays of seconds for "step" and "products", and the peak "memory" in bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling_point", recipe, str(batch), str(width)],
        cwd=CHECKOUT, env=os.environ | threads.environment(thread_count), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}"
        raise BenchmarkError(f"{recipe} with batch {batch}, width ×{width} does not run: {reason}")
    return json.loads(done.stdout)


def summary(point, answers):
    """One point's row of the result, over all its rounds."""
    step, products = (np.concatenate([answer[k] for answer in answers]) for k in ("step", "products"))
    recipe, batch, width, thread_count = point
    memory = [answer["memory"] for answer in answers if answer["memory"]]
    return {
        "recipe": recipe, "batch": batch, "width": width, "threads": thread_count,
        "step": spread(step), "products": spread(products), "ratio": spread(step / products),
        "rate": spread(batch / step), "limit": spread(batch / products),
        "memory": spread(memory) if memory else None,
    }  # fmt: skip


def table(result):
    """The report as text."""
    blocks = []
    for recipe in result["settings"]["recipes"]:
        lines = [["batch", "width", "threads", "samples/s", "quartiles", "step", "products", "other", "memory"]]
        for row in (row for row in result["points"] if row["recipe"] == recipe):
            rate = row["rate"]
            share = 1 / row["ratio"]["median"]
            lines.append([f"{row['batch']:,}", f"×{row['width']}", row["threads"], f"{rate['median']:,.0f}",
                          f"{rate['low']:,.0f}–{rate['high']:,.0f}", report.time_text(row["step"], brief=True),
                          f"{share:.0%}", f"{1 - share:.0%}",
                          report.size(row["memory"]["median"]) if row["memory"] else "?"])  # fmt: skip
        blocks.append(report.columns(lines, f"{recipe}: products and other are shares of the step's time"))
    return "\n\n".join(blocks)


def draw(figure, result):
    """Per recipe: samples a second, share of products and memory over the batch; samples a second over the width."""
    names = result["settings"]["recipes"]
    figure.set_size_inches(17, 4.2 * len(names))
    axes = figure.subplots(len(names), 4, squeeze=False)
    for row, recipe in zip(axes, names, strict=True):
        points = [point for point in result["points"] if point["recipe"] == recipe]
        own_batch = recipes.get(recipe).settings.batch_size
        over_batch = [point for point in points if point["width"] == 1]
        over_width = [point for point in points if point["batch"] == own_batch]
        _rates(row[0], over_batch, "batch", f"{recipe}: samples a second")
        _lines(row[1], over_batch, "batch", lambda p: 100 / p["ratio"]["median"], f"{recipe}: % of time in products")
        row[1].set_ylim(0, 105)
        row[1].axhline(80, color="0.6", linestyle=":", linewidth=1)
        if all(point["memory"] for point in points):
            _lines(row[2], over_batch, "batch", lambda p: p["memory"]["median"] / 1e6, f"{recipe}: peak memory, MB")
            row[2].set_xscale("linear")
            row[2].set_ylim(bottom=0)
        _rates(row[3], over_width, "width", f"{recipe}: samples a second, batch {own_batch}")
        row[3].set_xlabel("width of hidden layers, or filters, ×")


def _rates(ax, points, over, title):
    _lines(ax, points, over, lambda p: p["rate"]["median"], title)
    for count, (color, label) in STYLES.items():
        own = sorted((p for p in points if p["threads"] == count), key=lambda p: p[over])
        x = [p[over] for p in own]
        ax.fill_between(x, [p["rate"]["low"] for p in own], [p["rate"]["high"] for p in own], color=color, alpha=0.2)
        limit = [p["limit"]["median"] for p in own]
        ax.plot(x, limit, "--", color=color, linewidth=1, label=f"products alone, {label}")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high)))  # readable ticks
    ax.legend(fontsize=8, frameon=False)


def _lines(ax, points, over, value, title):
    """A line per number of threads."""
    for count, (color, label) in STYLES.items():
        own = sorted((p for p in points if p["threads"] == count), key=lambda p: p[over])
        ax.plot([p[over] for p in own], [value(p) for p in own], "o-", color=color, markersize=4, label=label)
    ax.set_xscale("log", base=2)
    report.plain_ticks(ax.xaxis)
    ax.set_xlabel(over)
    ax.set_title(title, fontsize=10)
    ax.legend(fontsize=8, frameon=False)
    report.tidy(ax, "both")
