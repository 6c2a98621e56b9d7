"""Where a training step's time goes: one row per kernel call, in the order of the step.

A step is a list of bound calls, so a profile is that list run with a clock between the calls. Normal runs have no
clock in them and pay nothing. What a call does is not written down anywhere but watched: it is run once on arrays that
count what every NumPy call reads, writes and computes.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.gan.fit import TrainingStep
from numgan.hints import Array, ConditionalSource, Rng, Source
from numgan.nn.calls import Call
from numgan.tables import aligned

if TYPE_CHECKING:
    from numgan.gan.model import GAN


@dataclass
class Row:
    """One kernel call. Times in seconds, the median over the profiled steps; flop and bytes per call."""

    phase: str
    call: Call
    flop: int
    bytes: int
    seconds: float = 0.0


class Work:
    """What calls do when they run once: `operations`, which are the FLOP of matrix products, 2·m·k·n, and one for each
    element that any other arithmetic passes over, and `bytes` read and written by all NumPy calls together.
    """

    def __init__(self, calls: list[Call]) -> None:
        self.operations, self.bytes = sum(call.flop for call in calls), 0
        for call in calls:
            self._product_counts = not call.is_product  # else it has been counted, however the kernel makes it
            call.kernel(*map(self._watched, call.arguments.values()))

    def _watched(self, value):
        if not isinstance(value, np.ndarray):
            return value
        value = value.view(_Watched)
        value.work = self
        return value

    def add(self, function: Any, arrays: list[Array]) -> None:
        self.bytes += sum(a.nbytes for a in arrays)
        if function in (np.matmul, np.dot):
            if self._product_counts:  # a sum over samples, as a product with ones
                self.operations += 2 * arrays[0].size * arrays[1].shape[-1]
        elif function is not np.copyto:
            self.operations += max(a.size for a in arrays)


class _Watched(np.ndarray):
    """An array that reports every ufunc, and every other NumPy function, that it takes part in to its Work."""

    work = None

    def __array_finalize__(self, parent):
        self.work = getattr(parent, "work", None)

    def fill(self, value):
        super().fill(value)
        self.work.add(np.copyto, [self])

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **keywords):
        inputs, out = ([np.asarray(a) for a in arrays] for arrays in (inputs, out))
        self.work.add(ufunc, [*inputs, *out])
        if out:  # `ufunc.at` writes to the first of its inputs
            keywords["out"] = tuple(out)
        return getattr(ufunc, method)(*inputs, **keywords)

    def __array_function__(self, function, types, args, keywords):
        args = [np.asarray(a) for a in args]
        keywords = {name: np.asarray(a) if isinstance(a, _Watched) else a for name, a in keywords.items()}
        self.work.add(function, [*args, *(a for a in keywords.values() if isinstance(a, np.ndarray))])
        return function(*args, **keywords)


def profile(
    gan: GAN, data: Source | ConditionalSource, batch_size: int, rng: Rng, steps: int = 30
) -> tuple[list[Row], float]:
    """(rows, seconds of a whole step run without the clock) for a GAN on a data source; medians over `steps` steps."""
    step = TrainingStep(gan, data, batch_size, rng)
    d_step, g_step = step.discriminator, step.generator
    for _ in range(3):
        step.run()
    rows = [
        _rows(step, "discriminator", step.real, d_step),
        _noise("discriminator", step.noise, d_step),
        *_step("discriminator", d_step),
        _noise("generator", step.generator_noise, g_step),
        *([_rows(step, "generator", step.generator_real, g_step)] if step.generator_real else []),
        *_step("generator", g_step),
    ]
    runs = [row.call.run for row in rows]
    times, whole = np.empty((steps, len(rows))), np.empty(steps)
    for i in range(steps):
        start = time.perf_counter()
        for run in runs:
            run()
        whole[i] = time.perf_counter() - start
        for j, run in enumerate(runs):
            start = time.perf_counter()
            run()
            times[i, j] = time.perf_counter() - start
    for row, seconds in zip(rows, np.median(times, axis=0), strict=True):
        row.seconds = float(seconds)
    return rows, float(np.median(whole))


def _noise(phase, stream, step):
    """The row of drawing noise and putting it where the step reads it."""
    return _input(phase, "noise", lambda: np.copyto(step.noise, stream.next()), step.noise)


def _rows(training, phase, stream, step):
    """The row of drawing real rows, and the conditions that go with them."""
    return _input(phase, "real rows", lambda: step.fill_rows(*training.split(stream.next())), stream.next())


def _input(phase, name, draw, buffer):
    return Row(phase, Call(draw, {"buffer": buffer}, layer=name, direction="draw", run=draw), 0, buffer.nbytes)


def _step(phase, step):
    for call in step.calls:
        if not call.skipped:
            work = Work(call.parts)
            yield Row(phase, call, work.operations, work.bytes)


def table(rows: list[Row], whole: float) -> str:
    """The profile as a text table, with totals and the share of the matrix products."""
    clocked = math.fsum(r.seconds for r in rows)
    head = ("phase", "network", "layer", "", "kernel", "shapes", "MFLOP", "kB", "µs", "share", "GFLOP/s")
    lines = [head]
    for r in rows:
        rate = f"{r.flop / r.seconds / 1e9:.1f}" if r.flop else ""
        numbers = (
            f"{r.flop / 1e6:,.2f}",
            f"{r.bytes / 1e3:,.1f}",
            f"{r.seconds * 1e6:,.1f}",
            f"{r.seconds / clocked:.1%}",
            rate,
        )
        c = r.call
        lines.append((r.phase, c.network, c.layer, c.direction, c.name, c.shapes, *numbers))
    text = aligned(lines, left=range(6))
    text.insert(1, "─" * max(map(len, text)))
    products = [r for r in rows if r.call.is_product]
    seconds, flop = math.fsum(r.seconds for r in products), sum(r.call.flop for r in products)
    text += [
        text[1],
        f"whole step {whole * 1e6:,.1f} µs without the clock, {clocked * 1e6:,.1f} µs with it",
        f"matrix products {seconds * 1e6:,.1f} µs, {seconds / clocked:.0%} of the step: {flop / 1e6:,.1f} MFLOP at "
        f"{flop / seconds / 1e9:.1f} GFLOP/s",
    ]
    return "\n".join(text)


def to_dict(rows: list[Row], whole: float) -> dict[str, Any]:
    """The profile as JSON-ready values: seconds of a whole step without the clock, and of every call."""
    calls = [
        {"phase": r.phase} | r.call.to_dict() | {"flop": r.flop, "bytes": r.bytes, "seconds": r.seconds} for r in rows
    ]
    return {"seconds": whole, "calls": calls}
