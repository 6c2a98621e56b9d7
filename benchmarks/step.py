"""`step`: each recipe's training step, whole and in its parts, against the time of its matrix products alone."""

import time
import tracemalloc

import numpy as np

from benchmarks import report
from benchmarks.loop import Loop, run_all
from benchmarks.timing import interleave, repeat, spread

WARM_STEPS = 20


def run(arguments):
    result = report.start("step", arguments)
    result["recipes"] = {}
    for name in arguments.recipes:
        row = result["recipes"][name] = measure(name, arguments.rounds)
        result["measures"] += _measures(name, row)
    report.finish(result, arguments.out, table(result), draw)


def measure(recipe, rounds):
    """Everything about one recipe's step."""
    loop = Loop(recipe)
    for _ in range(WARM_STEPS):
        loop.step()
    parts = Stopwatch(loop.parts())
    tasks = {"step": repeat(loop.step), "products": repeat(run_all(loop.products())), "parts": parts.run}
    seconds = interleave(tasks, rounds)
    ratio = seconds["step"] / seconds["products"]
    return {
        "step": spread(seconds["step"]),
        "products": spread(seconds["products"]),
        "ratio": spread(ratio),
        "watched": spread(seconds["parts"]),
        "parts": parts.table(rounds),
        "products_are": sorted({call.name for call in loop.calls() if call.is_product}),
        "allocated": allocated(loop),
    }


class Stopwatch:
    """Runs the parts of a step with a look at the clock between any two, and keeps the time of each."""

    def __init__(self, parts):
        self.names, self.calls = zip(*parts, strict=True)
        self._rounds = []

    def run(self, n):
        """A task for `interleave`."""
        total = np.zeros(len(self.calls))
        clock = time.perf_counter
        for _ in range(n):
            stamps = [clock()]
            for call in self.calls:
                call()
                stamps.append(clock())
            total += np.diff(stamps)
        self._rounds.append(total / n)
        return total.sum() / n

    def table(self, rounds):
        """name -> calls a step and seconds a step, of the last `rounds` runs, the dearest first."""
        seconds = np.array(self._rounds[-rounds:])
        table = {}
        for name in dict.fromkeys(self.names):
            own = [i for i, other in enumerate(self.names) if other == name]
            table[name] = {"calls": len(own), **spread(seconds[:, own].sum(axis=1))}
        return dict(sorted(table.items(), key=lambda item: -item[1]["median"]))


def allocated(loop):
    """The most bytes that a warm step holds beyond what was held before it, and the same part by part."""
    parts, steps = loop.parts(), loop.steps_per_refill + 1
    most = {name: 0 for name, _ in parts}
    tracemalloc.start()
    try:
        _peak(loop.step, steps)  # tracemalloc counts only what it sees being made: let it see everything once
        whole = _peak(loop.step, steps)
        for _ in range(steps):
            for name, call in parts:
                most[name] = max(most[name], _peak(call, 1))
    finally:
        tracemalloc.stop()
    return {"step": whole, "parts": most}


def _peak(call, times):
    """The highest of `times` peaks above the memory held before each call, in bytes."""
    highest = 0
    for _ in range(times):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call()
        highest = max(highest, tracemalloc.get_traced_memory()[1] - before)
    return highest


def _measures(recipe, row):
    measures = [report.measure(f"{recipe} {name}", "s", row[name]) for name in ("step", "products")]
    measures.append(report.measure(f"{recipe} step / products", "×", row["ratio"]))
    measures += [report.measure(f"{recipe} step: {name}", "s", part) for name, part in row["parts"].items()]
    measures.append(report.exact(f"{recipe} step allocates", "B", row["allocated"]["step"]))
    return measures


def table(result):
    """The report as text."""
    blocks = []
    for name, row in result["recipes"].items():
        whole = row["watched"]["median"]
        lines = [["part", "calls", "median", "quartiles", "share", "allocates"]]
        for part, own in row["parts"].items():
            lines.append([part, own["calls"], *report.time_cells(own), f"{own['median'] / whole:.1%}",
                          report.size(row["allocated"]["parts"][part])])  # fmt: skip
        products = sum(own["median"] for part, own in row["parts"].items() if part in row["products_are"])
        calls = sum(own["calls"] for own in row["parts"].values())
        blocks.append(
            report.columns(lines, f"{name}: the parts, timed one by one ({calls} calls)")
            + f"\n\n{name} step      {report.time_text(row['step'])}"
            + f"\n  products alone  {report.time_text(row['products'])}"
            + f"\n  step / products {report.ratio_text(row['ratio'])}"
            + f"\n  timed in parts  {report.time_text(row['watched'])}, products {products / whole:.0%} of it"
            + f"\n  allocates       {report.size(row['allocated']['step'])} at most, once warm"
        )
    return "\n\n".join(blocks)


def draw(figure, result):
    """One bar per recipe's parts, the products alone as a line."""
    figure.set_size_inches(max(12, 6 * len(result["recipes"])), 5.5)
    axes = figure.subplots(1, len(result["recipes"]), squeeze=False)[0]
    for ax, (name, row) in zip(axes, result["recipes"].items(), strict=True):
        unit, label = report.time_unit(row["step"]["median"])
        names = list(row["parts"])[::-1]
        values = [row["parts"][n]["median"] / unit for n in names]
        errors = [[(row["parts"][n]["median"] - row["parts"][n]["low"]) / unit for n in names],
                  [(row["parts"][n]["high"] - row["parts"][n]["median"]) / unit for n in names]]  # fmt: skip
        colors = [report.BLUE if n in row["products_are"] else report.ORANGE for n in names]
        ax.barh(names, values, color=colors, xerr=errors, error_kw={"ecolor": "0.35", "elinewidth": 1})
        for y, n in enumerate(names):
            share = row["parts"][n]["median"] / row["watched"]["median"]
            ax.annotate(f"{share:.1%}", (errors[1][y] + values[y], y), (4, 0), textcoords="offset points",
                        va="center", fontsize=8, color="0.3")  # fmt: skip
        ax.margins(x=0.12)
        ax.set_xlabel(f"{label} a step")
        ax.set_title(f"{name}: {report.time_text(row['step'], brief=True)}, "
                     f"{row['ratio']['median']:.2f}× its products alone")  # fmt: skip
        report.tidy(ax, "x")
    handles = [report.patch(report.BLUE, "matrix products"), report.patch(report.ORANGE, "everything else")]
    axes[-1].legend(handles=handles, loc="lower right", frameon=False)
