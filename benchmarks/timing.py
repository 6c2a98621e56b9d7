"""Timing on a machine whose speed drifts: everything that is compared runs in turn, in short chunks, round after round.

Each round gives one time per task. Medians over the rounds are reported with their quartiles, and two tasks are
compared by the median of their per-round ratios: a slow minute then slows both sides of the same ratio.
"""

import time

import numpy as np

CHUNK_SECONDS = 0.05


def repeat(call):
    """A task for `interleave` from a function without arguments: run(n) gives the seconds per call of n calls."""

    def run(n):
        start = time.perf_counter()
        for _ in range(n):
            call()
        return (time.perf_counter() - start) / n

    return run


def interleave(tasks, rounds, chunk_seconds=CHUNK_SECONDS):
    """name -> array (rounds,) of seconds per call, for tasks name -> run(n) that gives seconds per call of n calls.

    Every task is warmed up and given as many repeats as fill a chunk; every other round goes backwards, so that no
    task always follows the same neighbour.
    """
    repeats = {name: _repeats(run, chunk_seconds) for name, run in tasks.items()}
    seconds = {name: np.empty(rounds) for name in tasks}
    for i in range(rounds):
        for name in list(tasks)[:: -1 if i % 2 else 1]:
            seconds[name][i] = tasks[name](repeats[name])
    return seconds


def _repeats(run, chunk_seconds):
    """How many repeats fill a chunk, from ever longer trials: the first ones are cold and would mislead."""
    n = 1
    while True:
        fits = max(1, round(chunk_seconds / run(n)))
        if fits <= 2 * n:
            return fits
        n = min(fits, 8 * n)


def spread(values):
    """The median and quartiles of some rounds, as JSON has them."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return {"median": float(median), "low": float(low), "high": float(high), "rounds": len(values)}
