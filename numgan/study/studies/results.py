"""What a study found: its cells with the outcomes of all seeds, which of them is best, as a table and as a file."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from numgan.files import atomic_write
from numgan.hints import FileName
from numgan.study.evaluation import falls_short
from numgan.study.jobs import Outcome
from numgan.study.studies.space import typed
from numgan.tables import aligned, figure, html_lines

ENDS = {"collapsed": "collapsed", "diverged": "diverged", "error": "failed"}  # of a run -> as people read it
ABREAST = 3  # measures in a block of the table


class Measured(NamedTuple):
    """A measure of the study: what real data gets, and in words which way is better."""

    name: str
    real: float | None
    better: str


@dataclass(frozen=True)
class Result:
    """One cell.

    values     setting -> value, of the settings that vary.
    length     how long its runs are, in steps or epochs.
    outcomes   seed -> `Outcome`.
    directory  with a run directory per seed.
    """

    values: dict[str, Any]
    length: int
    outcomes: dict[int, Outcome]
    directory: Path

    def figures(self, measure: str) -> list[float | None]:
        """A measure's value seed by seed; None where a run diverged, was not finished or has no such measure."""
        return [_figure(outcome, measure) for outcome in self.outcomes.values()]

    def count(self, end: str) -> int:
        """How many seeds "collapsed", "diverged", or ended in an "error"."""
        return sum(_ends(outcome)[end] is not None for outcome in self.outcomes.values())

    def to_dict(self, measures: Sequence[str], unit: str) -> dict[str, Any]:
        """All of it, ready for JSON, with these measures of every run, and its length in this unit."""
        columns = {name: self.figures(name) for name in measures}
        runs = [
            {"seed": seed, **_ends(outcome)} | {"measures": {name: column[i] for name, column in columns.items()}}
            for i, (seed, outcome) in enumerate(self.outcomes.items())
        ]
        return {"values": self.values, unit: self.length, "directory": str(self.directory), "runs": runs}


def _ends(outcome):
    """end -> what is said of it, for each of ENDS; None of one that a run did not come to."""
    collapsed = None if outcome.diverged else (outcome.evaluation or {}).get("collapsed")
    return {"collapsed": collapsed, "diverged": outcome.diverged, "error": outcome.error}


def _figure(outcome, measure):
    if outcome.diverged or not outcome.evaluation:  # the last good state before the end is no result
        return None
    values = {m["name"]: m["value"] for m in outcome.evaluation["measures"]}
    return values.get(measure)


@dataclass(frozen=True)
class Study:
    """What `study` returns. `print` shows its table, and so does a notebook.

    recipe     its name.
    by         the name of the measure that cells are ranked by; None: the first.
    unit       "steps" or "epochs", of lengths.
    cells      a `Result` for each, in the order in which they were asked for.
    directory  what `study` left.
    """

    recipe: str
    by: str | None
    unit: str
    cells: list[Result]
    directory: Path

    @property
    def measures(self) -> list[Measured]:
        """A `Measured` for each, in the order of the evaluation; none where nothing could be evaluated."""
        found: dict[str, Measured] = {}
        for cell in self.cells:
            for outcome in cell.outcomes.values():
                for m in outcome.evaluation["measures"] if outcome.evaluation else ():
                    found.setdefault(m["name"], Measured(m["name"], m["real"], m["better"]))
        return list(found.values())

    @property
    def measure(self) -> Measured | None:
        """The one that cells are ranked by; None where nothing could be evaluated."""
        return next((m for m in self.measures if self.by in (None, m.name)), None)

    @property
    def ranked(self) -> list[Result]:
        """The cells from the best to the worst: those that were trained for longest first, then by the median over
        their seeds of how far they fall short. A run that diverged falls short of everything.
        """
        measure = self.measure
        return sorted(self.cells, key=lambda cell: (-cell.length, shortfall(cell, measure) if measure else 0))

    @property
    def best(self) -> Result | None:
        """The first of them, if half of its seeds have a value at all."""
        first, measure = self.ranked[0], self.measure
        return first if measure and shortfall(first, measure) < math.inf else None

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON: best holds the values of the best cell, or is None."""
        names, best = [m.name for m in self.measures], self.best
        return {
            "recipe": self.recipe,
            "by": self.measure and self.measure.name,
            "measures": [m._asdict() for m in self.measures],
            "cells": [cell.to_dict(names, self.unit) for cell in self.cells],
            "best": best and best.values,
        }

    def __str__(self):
        return table(self)

    def _repr_html_(self):
        return html_lines(str(self))


def shortfall(cell: Result, measure: Measured) -> float:
    """The median over the seeds of how far a cell falls short; infinite where half of them have no value."""
    return median(
        math.inf if value is None else falls_short(value, measure.real, measure.better)
        for value in cell.figures(measure.name)
    )


def spread(values: Sequence[float | None]) -> tuple[float, float, float] | None:
    """(median, lowest, highest) of the values there are, or None."""
    known = [value for value in values if value is not None]
    return (median(known), min(known), max(known)) if known else None


def settings_of(values: Mapping[str, Any]) -> str:
    """A cell in words."""
    return ", ".join(f"{name}={typed(value)}" for name, value in values.items())


# ------------------------------------------------------------------------------------------------------------- output


def table(study: Study) -> str:
    """The study as text: a row per cell with the median over the seeds of every measure, lowest and highest behind it,
    a * at the best one; real data's values; which way is better; how many runs collapsed, diverged or failed; and the
    best cell. So many measures to a block.
    """
    measures = study.measures
    if not measures:
        return f"none of {sum(len(cell.outcomes) for cell in study.cells)} runs could be evaluated"
    ends = [end for end in ENDS if any(cell.count(end) for cell in study.cells)]
    counts = [[ENDS[end] for end in ends]]
    for cell in study.cells:
        found = [(cell.count(end), len(cell.outcomes)) for end in ends]
        counts.append([f"{lost} of {seeds}" if lost else "" for lost, seeds in found])
    counts += [[""] * len(ends)] * 2
    heads, blocks = _heads(study), [measures[i : i + ABREAST] for i in range(0, len(measures), ABREAST)]
    text = []
    for block in blocks:
        columns = [_column(study, measure) for measure in block]
        rows = [list(head) + list(cells) for head, *cells in zip(heads, *columns, strict=True)]
        if block is blocks[0]:
            rows = [row + count for row, count in zip(rows, counts, strict=True)]
        text += [*aligned(rows, left=range(len(study.cells[0].values))), ""]
    if study.best:
        value = _in_words(study.best.figures(study.measure.name))
        text += [f"best {study.measure.name}: {value} with {settings_of(study.best.values)}"]
    return "\n".join(text).rstrip()


def _heads(study):
    """The first columns: the settings that vary and, where they differ, the lengths."""
    lengths = len({cell.length for cell in study.cells}) > 1
    rows = [[*study.cells[0].values, *([study.unit] if lengths else [])]]
    rows += [[*map(typed, cell.values.values()), *([f"{cell.length:,}"] if lengths else [])] for cell in study.cells]
    return rows + [[name, *[""] * (len(rows[0]) - 1)] for name in ("real data", "better")]


def _column(study, measure):
    """A measure's column. The best is one of those that were trained for longest."""
    longest = max(cell.length for cell in study.cells)
    best = min((c for c in study.cells if c.length == longest), key=lambda cell: shortfall(cell, measure))
    star = {True: " *", False: "  "}
    cells = [
        _in_words(cell.figures(measure.name)) + star[cell is best and shortfall(cell, measure) < math.inf]
        for cell in study.cells
    ]
    real = "" if measure.real is None else figure(measure.real)
    return [f"{measure.name}  ", *cells, f"{real}  ", f"{_way(measure)}  "]


def write_csv(study: Study, path: FileName) -> None:
    """A row per run: the settings that vary, seed, length, how it ended, every measure; empty where there is none."""
    measures = [m.name for m in study.measures]
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*study.cells[0].values, "seed", study.unit, *ENDS, *measures])
        for cell in study.cells:
            for run in cell.to_dict(measures, study.unit)["runs"]:  # None is written as an empty field
                ends = [run[end] for end in ENDS]
                where = [*map(typed, cell.values.values()), run["seed"], cell.length]
                writer.writerow([*where, *ends, *run["measures"].values()])


def _in_words(values):
    found = spread(values)
    if found is None:
        return "—"
    middle, low, high = map(figure, found)
    return middle if len(values) == 1 else f"{middle} ({low} … {high})"


def _way(measure):
    """Which way is better, in a word or two."""
    first = measure.better.split(":")[0].split(",")[0]
    return first if first in ("higher", "lower", "like real", "not above real") else "like real"
