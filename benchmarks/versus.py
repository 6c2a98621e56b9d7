"""`versus`: the training step of one checkout against another's, in processes that live side by side and take turns.

The figure is the median of the ratios of neighbouring turns: a slow minute then slows both sides of the same ratio.
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import BenchmarkError, report, threads
from benchmarks.timing import interleave, spread

HERE = Path(__file__).parent
LEAST = {"mnist": 50, "sine": 1000, "mnist-dcgan": 10}  # steps in a turn: a look at the losses belongs to so many
CHUNK_SECONDS = 0.3


def run(arguments):
    result = report.start("versus", arguments)
    checkouts = {"old": arguments.old, "new": arguments.new}
    workers = {side: Worker(path, arguments.threads) for side, path in checkouts.items()}
    result["recipes"] = {}
    for recipe in arguments.recipes:
        tasks = {side: partial(worker.seconds, recipe) for side, worker in workers.items()}
        seconds = interleave(tasks, arguments.rounds, CHUNK_SECONDS)
        row = {side: spread(own) for side, own in seconds.items()} | {"ratio": spread(seconds["new"] / seconds["old"])}
        result["recipes"][recipe] = row
        result["measures"] += [report.measure(f"{recipe} step: {side}", "s", row[side]) for side in checkouts]
        result["measures"].append(report.measure(f"{recipe} step: new / old", "×", row["ratio"]))
    for worker in workers.values():
        worker.process.stdin.close()
        worker.process.wait()
    report.finish(result, arguments.out, table(result), draw)


class Worker:
    """A process that trains with one checkout's numgan."""

    def __init__(self, checkout, thread_count):
        checkout = Path(checkout).resolve()
        if not (checkout / "numgan" / "__init__.py").exists():
            raise BenchmarkError(f"{checkout} is no checkout of numgan")
        environment = os.environ | threads.environment(thread_count) | {"PYTHONPATH": str(checkout)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, HERE / "versus_worker.py"], env=environment, **pipes)

    def seconds(self, recipe, n):
        """A task for `interleave`, in whole looks."""
        steps = -(-n // LEAST[recipe]) * LEAST[recipe]
        print(recipe, steps, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise BenchmarkError("a worker ended; its reason is above")
        return float(answer) / steps


def table(result):
    """The report as text."""
    lines = [["recipe", "old", "new", "new / old", "quartiles"]]
    for name, row in result["recipes"].items():
        old, new = (report.time_text(row[side], brief=True) for side in ("old", "new"))
        ratio = row["ratio"]
        lines.append([name, old, new, f"{ratio['median']:.3f}", f"{ratio['low']:.3f}–{ratio['high']:.3f}"])
    return report.columns(lines, "a training step of two checkouts")


def draw(figure, result):
    """A dot with quartiles per recipe."""
    figure.set_size_inches(7, 1.4 + 0.5 * len(result["recipes"]))
    ax = figure.subplots()
    ax.axvline(1, color="0.5", linewidth=1)
    for y, row in enumerate(result["recipes"].values()):
        ratio = row["ratio"]
        ax.plot([ratio["low"], ratio["high"]], [y, y], color=report.BLUE, linewidth=2.5, alpha=0.5)
        ax.plot(ratio["median"], y, "o", color=report.BLUE)
    ax.set_yticks(range(len(result["recipes"])), list(result["recipes"]))
    ax.set_ylim(-0.7, len(result["recipes"]) - 0.3)
    ax.set_xlim(np.minimum(ax.get_xlim(), 0.9)[0], np.maximum(ax.get_xlim(), 1.1)[1])
    ax.set_xlabel("new / old: time of a training step, with quartiles")
    report.tidy(ax, "x")
