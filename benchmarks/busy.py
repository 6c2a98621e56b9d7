"""`busy`: the training step while another process keeps one of the cores, against the same step on a quiet machine.

Users' machines are busy. What shares its work out evenly waits for the share that has to share its core; so do the
threads of a BLAS, which spin while they wait.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from functools import partial

from benchmarks import report
from benchmarks.peers import CHUNK_SECONDS, Job, start
from benchmarks.timing import interleave, spread

PEERS = ("numgan", "torch", "jax")
SETTLE = 8.0  # seconds that each peer trains on, before it is measured, when a hog has come or gone


def run(arguments):
    result = report.start("busy", arguments)
    chunk = CHUNK_SECONDS["quick" if arguments.quick else "full"]
    with tempfile.TemporaryDirectory() as directory:
        jobs = {recipe: Job(directory, recipe, arguments.threads) for recipe in arguments.recipes}
        rows, workers = start(PEERS, jobs, arguments.threads)
        try:
            for recipe in jobs:
                tasks = {name: partial(worker.run, recipe) for name, worker in workers.items()}
                times = {}
                for when, hog in (("quiet", contextlib.nullcontext), ("busy", _hog)):
                    report.progress(f"{recipe}, {when}: {arguments.rounds} rounds of {len(tasks)} peers")
                    with hog():
                        for task in tasks.values():
                            _settle(task)
                        times[when] = interleave(tasks, arguments.rounds, chunk)
                for name in tasks:
                    quiet, busy = (times[when][name] for when in ("quiet", "busy"))
                    rows[recipe][name] |= {"quiet": spread(quiet), "busy": spread(busy), "ratio": spread(busy / quiet)}
        finally:
            for worker in workers.values():
                worker.close()
            report.progress("")
    result["recipes"] = rows
    for recipe, peers in rows.items():
        for name, row in peers.items():
            if "busy" in row:
                result["measures"] += [
                    report.measure(f"{recipe} {when}: {name}", "s", row[when]) for when in ("quiet", "busy")
                ]
                result["measures"].append(report.measure(f"{recipe} busy / quiet: {name}", "×", row["ratio"]))
    report.finish(result, arguments.out, table(result), draw)


@contextlib.contextmanager
def _hog():
    """Another process that never rests, as long as this lasts."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _settle(task):
    """Have a peer find its pace."""
    end = time.monotonic() + SETTLE
    while time.monotonic() < end:
        task(1)


def table(result):
    """The report as text."""
    blocks = []
    for recipe, rows in result["recipes"].items():
        lines = [["peer", "quiet", "quartiles", "busy", "quartiles", "busy / quiet"]]
        for row in rows.values():
            if "busy" in row:
                times = *report.time_cells(row["quiet"]), *report.time_cells(row["busy"])
                lines.append([row["title"], *times, f"{report.number(row['ratio']['median'])}×"])
        title = f"{recipe}: a step on {result['settings']['threads']} threads, one core kept by another process"
        absent = [f"\n{row['title']}: {row[k]}" for row in rows.values() for k in ("missing", "failed") if k in row]
        blocks.append(report.columns(lines, title) + "".join(absent))
    return "\n\n".join(blocks)


def draw(figure, result):
    """Two bars for each peer, one panel per recipe."""
    figure.set_size_inches(max(9, 5 * len(result["recipes"])), 3.6)
    axes = figure.subplots(1, len(result["recipes"]), squeeze=False)[0]
    for ax, (recipe, rows) in zip(axes, result["recipes"].items(), strict=True):
        rows = [row for row in rows.values() if "busy" in row][::-1]
        unit, label = report.time_unit(rows[-1]["quiet"]["median"])
        for offset, when, color in ((0.2, "quiet", report.BLUE), (-0.2, "busy", report.ORANGE)):
            values = [row[when]["median"] / unit for row in rows]
            bars = ax.barh([y + offset for y in range(len(rows))], values, 0.38, color=color, label=when)
            ax.bar_label(bars, fmt="%.3g", padding=3, fontsize=9)
        ax.set_yticks(range(len(rows)), [row["title"] for row in rows])
        ax.margins(x=0.12)
        ax.set_xlabel(f"{label} a step")
        ax.set_title(recipe)
        report.tidy(ax, "x")
    axes[0].legend(frameon=False)
