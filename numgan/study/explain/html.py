"""The page: recorded steps as data, and what shows them, in one file that needs no network.

page.html, page.css and page.js stand beside this file; they are put together with the data as JSON. Numbers have four
digits. Of arrays there is what `Numbers` keeps, and a histogram.
"""

from __future__ import annotations

import json
import math
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from numgan.data.images import to_pixels
from numgan.files import atomic_write
from numgan.hints import Array, FileName, Kernel
from numgan.study import plots
from numgan.study.explain.mathml import equation
from numgan.study.explain.record import Entry, Move, Numbers, derivation, formula
from numgan.study.explain.recorder import Recorder
from numgan.study.explain.terminal import certificate, heading_of, label, move_lines

BINS = 24  # of a histogram
CELLS = (48, 36)  # of the map of the plane
ARROWS, PICTURES = 32, 6  # generated points and pictures whose gradient is shown
HERE = Path(__file__).parent


def grid(last: int) -> list[int]:
    """The steps to look into up to `last`: 0, 10, 100 … and `last` itself."""
    return sorted({0, last, *(10**k for k in range(1, 10) if 10**k < last)})


def record(recorder: Recorder, recipe: Any, last: int, sample: int) -> list[dict[str, Any]]:
    """Train up to step `last` and look into the steps of the `grid`, as JSON-ready data."""
    found = []
    for step in grid(last):
        recorder.train(step - recorder.done)
        frame = getattr(recipe, "frame", None)
        plane = plots.decision_surface(recorder.gan, frame, CELLS) if frame else None
        parts = recorder.record(sample)
        found.append({"step": step, "parts": [_part(part) for part in parts], **_ends(parts, plane, recorder.gan)})
    return found


def write(path: FileName, title: str, steps: list[dict[str, Any]], kernels: dict[str, Any], sample: int) -> None:
    """Write the page, whole or not at all."""
    data = {"title": title, "sample": sample, "kernels": kernels, "steps": steps}
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = (HERE / "page.html").read_text(encoding="utf-8")
    for name, piece in (
        ("{{title}}", escape(f"numgan explain {title}")),
        ("{{style}}", (HERE / "page.css").read_text(encoding="utf-8")),
        ("{{script}}", (HERE / "page.js").read_text(encoding="utf-8")),
        ("{{data}}", text),
    ):
        page = page.replace(name, piece)
    with atomic_write(path) as temporary:
        Path(temporary).write_text(page, encoding="utf-8")


def chapters(kernels: dict[str, Kernel]) -> dict[str, dict[str, str]]:
    """name -> what a kernel's docstring says: the equation as MathML, the rest of its first sentence, and the rest."""
    found = {}
    for name, kernel in kernels.items():
        first, _, more = derivation(kernel).partition("\n\n")
        row, rest = equation(formula(kernel))
        behind = " ".join(first.split())[len(formula(kernel)) :].strip(" :")
        found[name] = {"math": row, "text": rest, "derivation": "\n\n".join(filter(None, (behind, more)))}
    return found


def _part(part):
    entries = [_entry(entry, i) for i, entry in enumerate(part.entries)]
    return {"side": part.side, "title": part.title, "note": part.note, "strips": _strips(part, entries)}


def _strips(part, entries):
    """The calls as one way up and down after the other: a penalty and what follows an update begin a new one."""
    strips, before = [], None
    for entry, data in zip(part.entries, entries, strict=True):
        updates = entry.direction == "update"
        if before is None or entry.penalty != before[0] or (before[1] and not updates):
            strips.append([])
        strips[-1].append(data)
        before = entry.penalty, updates
    return strips


def _entry(entry: Entry, number):
    found = {"number": number, "heading": heading_of(entry), "skipped": entry.skipped}
    found |= {name: getattr(entry, name) for name in ("network", "layer", "direction", "frozen", "shapes", "calls")}
    found["kernel"] = entry.name
    rows = [(name, n) for name, n in entry.reads.items()]
    if entry.derivative:
        rows.append(("f′", entry.derivative))
    found["reads"] = [_numbers(n, label(name, entry)) for name, n in rows]
    found["writes"] = [_numbers(n, label(name, entry)) for name, n in entry.writes.items()]
    if entry.result:
        found["result"] = next(i for i, n in enumerate(entry.writes.values()) if n is entry.result)
    if entry.worked:
        w = entry.worked
        terms = [[_round(a), _round(b)] for a, b in w.terms]
        found["worked"] = {"column": w.column, "terms": terms, "count": w.count, "value": _round(w.value)}
    if entry.window:
        w = entry.window
        found["window"] = {"image": _list(w.image, 3), "width": w.image.shape[1]}
        found["window"] |= {name: list(getattr(w, name)) for name in ("size", "strides", "before", "positions")}
    if entry.move:
        found["move"] = _move(entry.move)
    return found


def _numbers(n: Numbers, name):
    points = n.points[np.isfinite(n.points)]
    low, high = (points.min(), points.max()) if points.size else (0.0, 0.0)
    counts = np.histogram(points, BINS, (low, high))[0] if low < high else []
    return {
        "name": name,
        "shape": list(n.shape),
        "cells": [_round(cell) for cell in n.cells],
        "size": n.size,
        **{key: _round(getattr(n, key)) for key in ("mean", "spread", "zero", "flat")},
        "low": _round(low),
        "high": _round(high),
        "counts": [int(count) for count in counts],
    }


def _move(move: Move):
    checked = {
        name: {"byHand": _round(c.by_hand, 5), "text": "\n".join(certificate(c))} for name, c in move.checked.items()
    }
    return {"text": "\n".join(move_lines(move)), "checked": checked}


def _ends(parts, plane, gan):
    """What stands at either end of the chain: points on the map of the plane, or pictures, with ∂L/∂x of each."""
    samples = {name: a for part in parts for name, a in part.samples.items()}
    if plane:
        answers = {"answers": _list(plane.answers, 3), "columns": CELLS[0], "frame": list(plane.frame)}
        answers["undecided"] = None if plane.undecided is None else float(plane.undecided)
        points = {name: _list(a) for name, a in samples.items() if name == "real"}
        points |= {name: _list(samples[name][:ARROWS]) for name in ("made", "gradient") if name in samples}
        return {"plane": answers | points}
    shape = _image_shape(gan.discriminator.shapes[0])
    if not shape or "made" not in samples:
        return {}
    pictures = [
        {"pixels": to_pixels(made).tolist(), "gradient": _list(gradient, 3)}
        for made, gradient in zip(samples["made"][:PICTURES], samples["gradient"][:PICTURES], strict=True)
    ]
    return {"pictures": {"shape": list(shape), "samples": pictures}}


def _image_shape(shape):
    """(channels, height, width), of an image or of a row that is a square one; None of anything else."""
    side = math.isqrt(shape[-1])
    return shape if len(shape) == 3 else (1, side, side) if side > 4 and side * side == shape[0] else None


def _list(array: Array, digits=4):
    return [_round(value, digits) for value in np.asarray(array, np.float64).ravel()]


def _round(value, digits=4):
    """A number with so many digits; None, which JSON has in its place, for one that is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
