"""`compare`: what changed between two results of one command, and by how much more than the spread.

The spread of a difference is taken as √(a² + b²) from the distances a and b between the quartiles of the two results;
a change of less than one spread is not shown as one. Ratios survive a change of the machine's mood, times do not.
"""

import json
import math
from pathlib import Path

from benchmarks import BenchmarkError, report

DRAWN = 40  # the picture shows so many changes


def run(arguments):
    old, new = load(arguments.old), load(arguments.new)
    if old["benchmark"] != new["benchmark"]:
        kinds = f"{arguments.old} is a result of {old['benchmark']}, {arguments.new} of {new['benchmark']}"
        raise BenchmarkError(f"only results of one command can be compared: {kinds}")
    about = f"{new['benchmark']}: {arguments.old} of {old['made']} → {arguments.new} of {new['made']}"
    result = {"benchmark": "compare", "of": new["benchmark"], "about": about,
              "circumstances": circumstances(old, new), "changes": changes(old, new)}  # fmt: skip
    print(table(result))
    report.write(result, arguments.out, draw, about)


def load(path):
    """A result file, or a BenchmarkError when it is none."""
    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
        result["measures"] = {entry["name"]: entry for entry in result["measures"]}
    except (ValueError, KeyError, TypeError):
        raise BenchmarkError(f"{path} is not a result of these benchmarks") from None
    return result


def circumstances(old, new):
    """Sentences on what else differs: machine, versions, settings, and measures that only one side has."""
    lines = []
    for part in ("machine", "settings"):
        for key in old[part].keys() | new[part].keys():
            before, after = old[part].get(key), new[part].get(key)
            if before != after:
                lines.append(f"{part}: {key} was {before}, is {after}")
    for name, here, there in (("old", old, new), ("new", new, old)):
        only = here["measures"].keys() - there["measures"].keys()
        if only:
            lines.append(f"only in the {name} result: {', '.join(sorted(only))}")
    return sorted(lines)


def changes(old, new):
    """A row per measure that both have. Its "spreads" is the change in units of the spread; None where the spread is
    zero and yet the value changed.
    """
    rows = []
    for name, after in new["measures"].items():
        before = old["measures"].get(name)
        if before:
            change = abs(after["median"] - before["median"])
            spread = math.hypot(before["high"] - before["low"], after["high"] - after["low"])
            spreads = change / spread if spread else None if change else 0.0
            rows.append({"name": name, "unit": after["unit"], "old": before, "new": after, "spreads": spreads})
    return rows


def is_change(row):
    return row["spreads"] is None or row["spreads"] > 1


def table(result):
    """The report as text: what changed by more than the spread, the surest first."""
    changed = sorted(filter(is_change, result["changes"]), key=lambda row: -(row["spreads"] or math.inf))
    lines = [["measure", "old", "new", "change", "in spreads"]]
    for row in changed:
        before, after = row["old"]["median"], row["new"]["median"]
        lines.append([row["name"], quantity(before, row["unit"]), quantity(after, row["unit"]),
                      f"{after / before - 1:+.1%}" if before else "new",
                      "exact" if row["spreads"] is None else f"{row['spreads']:.1f}"])  # fmt: skip
    blocks = [report.columns(lines, result["about"])] if changed else [result["about"]]
    blocks.append(f"{len(changed)} of {len(result['changes'])} measures changed by more than the spread")
    blocks += ["\n".join(result["circumstances"])] if result["circumstances"] else []
    return "\n\n".join(blocks)


def quantity(value, unit):
    """A value with its unit, for people."""
    if unit == "s":
        return report.time_text({"median": value, "low": value, "high": value}, brief=True)
    return report.size(value) if unit == "B" else f"{report.number(value)}{unit}"


def draw(figure, result):
    """New over old, a dot with the quartiles of the new result per measure; those beyond the spread in colour."""
    rows = [row for row in result["changes"] if row["old"]["median"] > 0]
    rows = sorted(rows, key=lambda row: -(math.inf if row["spreads"] is None else row["spreads"]))[:DRAWN][::-1]
    figure.set_size_inches(11, 1.6 + 0.24 * len(rows))
    ax = figure.subplots()
    ax.axvline(1, color="0.5", linewidth=1)
    for y, row in enumerate(rows):
        low, median, high = (row["new"][k] / row["old"]["median"] for k in ("low", "median", "high"))
        color = report.BLUE if is_change(row) else "0.7"
        ax.plot([low, high], [y, y], color=color, linewidth=2.5, alpha=0.5)
        ax.plot(median, y, "o", color=color, markersize=5)
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=8)
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.set_xlabel("new / old, with the new quartiles")
    ax.set_title(f"{result['of']}: blue changed by more than the spread")
    report.tidy(ax, "x")
