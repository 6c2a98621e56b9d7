"""Where a training step's time goes: one row per kernel call, in the order of the step.

A step is a list of bound calls, so a profile is that list run with a clock between the calls. Normal runs have no
clock in them and pay nothing.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

from numgan.gan.steps import TrainingStep
from numgan.kernels import dense as kernels
from numgan.tables import aligned

PRODUCTS = (
    kernels.dense_forward,
    kernels.dense_backward_weight,
    kernels.dense_backward_input,
)

# Passes of arithmetic over the largest array, read off each kernel: what its FLOP are counted from.
PASSES = {
    "relu_forward": 1, "relu_backward": 2, "leaky_relu_forward": 2, "leaky_relu_backward": 3, "tanh_forward": 1,
    "tanh_backward": 3, "sigmoid_forward": 7, "sigmoid_backward": 3, "batch_norm_forward": 6,
    "batch_norm_backward_parameters": 3, "batch_norm_backward_input": 4, "batch_norm_running": 3,
    "batch_norm_inference": 2, "batch_norm_inference_backward": 1, "bce_logits_backward": 4, "adam_update": 10,
    "sgd_update": 4,
}  # fmt: skip


@dataclass
class Row:
    """One kernel call. Times in seconds, the median over the profiled steps; flop and bytes per call."""

    phase: str
    network: str
    layer: str
    direction: str
    kernel: str
    shapes: str
    flop: int
    bytes: int
    seconds: float


def profile(gan, data, batch_size, rng, steps=30):
    """(rows, seconds of a whole step run without the clock) for a GAN on a data source; medians over `steps` steps."""
    step = TrainingStep(gan, data, batch_size, rng)
    d_step, g_step = step.discriminator, step.generator
    calls = [
        *_input_calls("discriminator", (("real rows", step.real, d_step.real), ("noise", step.noise, d_step.noise))),
        *_step_calls("discriminator", d_step),
        *_input_calls("generator", (("noise", step.generator_noise, g_step.noise),)),
        *_step_calls("generator", g_step),
    ]
    times, whole = np.empty((steps, len(calls))), np.empty(steps)
    for i in range(-3, steps):  # three to warm up
        start = time.perf_counter()
        for _, call in calls:
            call()
        whole[max(i, 0)] = time.perf_counter() - start
        for j, (_, call) in enumerate(calls):
            start = time.perf_counter()
            call()
            times[max(i, 0), j] = time.perf_counter() - start
    for (row, _), seconds in zip(calls, np.median(times, axis=0), strict=True):
        row.seconds = float(seconds)
    return [row for row, _ in calls], float(np.median(whole))


def _input_calls(phase, inputs):
    for name, stream, buffer in inputs:

        def call(stream=stream, buffer=buffer):
            np.copyto(buffer, stream.next())

        yield Row(phase, "", name, "draw", "stream", _shape(buffer), 0, buffer.nbytes, 0.0), call


def _step_calls(phase, step):
    for call in step.calls:
        origin = step.origins.get(call)
        if hasattr(call, "func"):
            network, layer, direction = origin or ("", "loss", "backward")
            yield _row(phase, network, layer, direction, call), call
        else:
            yield _optimizer_row(phase, call.__self__), call


def _row(phase, network, layer, direction, call):
    arrays = [a for a in (*call.args, *call.keywords.values()) if isinstance(a, np.ndarray)]
    kernel, out = call.func.__name__, call.keywords.get("out", arrays[0])
    if call.func in PRODUCTS:
        operands = a, b, _ = arrays
        flop, shapes = 2 * a.size * b.shape[-1], f"{_shape(a)} · {_shape(b)}"
    else:
        operands = [a for a in arrays if a.ndim > 1]
        flop, shapes = PASSES.get(kernel, 1) * max(a.size for a in operands), _shape(out)
    return Row(phase, network, layer, direction, kernel, shapes, flop, _distinct_bytes(operands), 0.0)


def _optimizer_row(phase, optimizer):
    size, kernel = optimizer.network.values.size, type(optimizer).__name__.lower() + "_update"
    arrays = 2 + len(optimizer.state)
    nbytes = arrays * optimizer.network.values.nbytes
    return Row(
        phase,
        optimizer.network.name,
        "all parameters",
        "update",
        kernel,
        f"{size:,}",
        PASSES[kernel] * size,
        nbytes,
        0.0,
    )


def _distinct_bytes(arrays):
    return sum({a.__array_interface__["data"][0]: a.nbytes for a in arrays}.values())


def _shape(array):
    return "×".join(map(str, array.shape))


def table(rows, whole):
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
        lines.append((r.phase, r.network, r.layer, r.direction, r.kernel, r.shapes, *numbers))
    text = aligned(lines, left=range(6))
    text.insert(1, "─" * max(map(len, text)))
    products = math.fsum(r.seconds for r in rows if r.kernel.startswith("dense_"))
    flop = sum(r.flop for r in rows if r.kernel.startswith("dense_"))
    text += [
        text[1],
        f"whole step {whole * 1e6:,.1f} µs without the clock, {clocked * 1e6:,.1f} µs with it",
        f"matrix products {products * 1e6:,.1f} µs, {products / clocked:.0%} of the step: {flop / 1e6:,.1f} MFLOP at "
        f"{flop / products / 1e9:.1f} GFLOP/s",
    ]
    return "\n".join(text)
