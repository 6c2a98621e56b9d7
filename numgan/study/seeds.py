"""Several seeds of a recipe: trained and evaluated side by side in processes of their own, and how far they spread.

What a GAN ends up as depends on the seed, so one run says little. A process takes one BLAS thread, and as many run
at a time as the machine has cores.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm

from numgan.files import atomic_write
from numgan.hints import FileName
from numgan.study import plots
from numgan.tables import aligned

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
INTERRUPTED = 130


@dataclass
class SeedRun:
    """One seed's run: its directory, its evaluation as `numgan evaluate --json` gives it, or what went wrong."""

    seed: int
    directory: str
    evaluation: dict | None
    error: str | None


def parse(text: str) -> list[int]:
    """The seeds that "0-4" or "0,3,7-9" names, in order, each once; ValueError for anything else."""
    seeds = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= first + 999:
            raise ValueError(text)
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def train(options: list[str], seeds: list[int], directory: FileName, quiet: bool = False) -> list[SeedRun]:
    """Train with `numgan train OPTIONS` once per seed, each in directory/seed-N, and evaluate; returns SeedRuns.

    Leaves seeds.json and seeds.png in the directory. A seed whose training fails, or whose numbers stop being finite,
    is kept with its error. KeyboardInterrupt reaches the processes too, which then keep their last good state.
    """
    workers = min(len(seeds), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    bar = tqdm(total=len(seeds), unit="seed", disable=True if quiet else None, dynamic_ncols=True)
    with bar, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_train_one, options, seed, directory / f"seed-{seed}") for seed in seeds]
        try:
            runs = []
            for future in futures:
                runs.append(future.result())
                bar.update()
        except KeyboardInterrupt:
            for future in futures:
                future.cancel()
            raise
    with atomic_write(directory / "seeds.json") as temporary:
        Path(temporary).write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n", encoding="utf-8")
    if any(run.evaluation for run in runs):
        plots.seeds(runs, directory / "seeds.png")
    return runs


def _train_one(options, seed, directory):
    trained = _numgan("train", *options, "--seed", seed, "--quiet", "--out", directory)
    if trained.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    error = trained.stderr.strip() if trained.returncode else None
    if not (directory / "model.npz").exists():
        return SeedRun(seed, str(directory), None, error)
    evaluated = _numgan("evaluate", directory, "--json")
    if evaluated.returncode:
        return SeedRun(seed, str(directory), None, error or evaluated.stderr.strip())
    return SeedRun(seed, str(directory), json.loads(evaluated.stdout), error)


def _numgan(*arguments):
    one_thread = dict.fromkeys(BLAS_THREADS, "1")
    command = [sys.executable, "-m", "numgan", *map(str, arguments)]
    return subprocess.run(command, env=os.environ | one_thread, capture_output=True, encoding="utf-8", check=False)


def table(runs: Any) -> str:
    """The spread as text: a row per measure, a column per seed, their median and extremes, and real data's value."""
    evaluated = [run for run in runs if run.evaluation]
    lines = [["measure", *(f"seed {run.seed}" for run in runs), "median", "lowest", "highest", "real data"]]
    for i, measure in enumerate(evaluated[0].evaluation["measures"] if evaluated else []):
        values = [run.evaluation["measures"][i]["value"] if run.evaluation else None for run in runs]
        known = [value for value in values if value is not None] or [math.nan]
        lines.append([measure["name"], *values, median(known), min(known), max(known), measure["real"]])
    text = aligned([[_text(cell) for cell in line] for line in lines], left=(0,))
    text += [f"seed {run.seed} failed: {run.error}" for run in runs if run.error]
    collapsed = [run for run in evaluated if run.evaluation["collapsed"]]
    text += [f"seed {run.seed} collapsed: {run.evaluation['collapsed']}" for run in collapsed]
    return "\n".join([*text, f"{len(collapsed)} of {len(runs)} seeds collapsed"])


def _text(cell):
    return cell if isinstance(cell, str) else "—" if cell is None else f"{cell:#.3g}"
