"""Several seeds of a recipe: trained and evaluated side by side in processes of their own, and how far they spread.

What a GAN ends up as depends on the seed, so one run says little. As many run at a time as the machine has cores.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from numgan.files import atomic_write
from numgan.hints import FileName
from numgan.progress import progress_bar
from numgan.study import plots
from numgan.study.dispatcher import Dispatcher
from numgan.study.jobs import Job
from numgan.study.runs import SEEDS
from numgan.study.workers import Processes, cores
from numgan.tables import aligned, figure


@dataclass
class SeedRun:
    """One seed's run: its directory, its evaluation as `numgan evaluate --json` gives it, or what went wrong."""

    seed: int
    directory: str
    evaluation: dict | None
    error: str | None


def parse(text: str) -> list[int]:
    """The seeds that "0-4" or "0,3,7-9" names, in order, each once and at most 1,000; ValueError for anything else."""
    seeds = {}
    for part in text.split(","):
        match = re.fullmatch("([0-9]{1,20})(?:-([0-9]{1,20}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < min(first + 1000, SEEDS):
            raise ValueError(text)
        seeds |= dict.fromkeys(range(first, last + 1))
    if len(seeds) > 1000:
        raise ValueError(text)
    return list(seeds)


def train(
    recipe: str,
    settings: Mapping[str, Any],
    seeds: list[int],
    directory: FileName,
    quiet: bool = False,
    log_dir: FileName | None = None,
    **how: Any,
) -> tuple[list[SeedRun], KeyboardInterrupt | None]:
    """Train a recipe once per seed, each in directory/seed-N, and evaluate; where there is a log_dir, each logged in
    log_dir/seed-N.

    settings  setting -> value or text, over the recipe's own.
    how       what else a `Job` takes: dtype, source, until_equilibrium, checkpoint_every, watch.

    Returns (a SeedRun per seed, None or the interrupt that ended it). Leaves seeds.json and, where there is anything to
    draw, seeds.png in the directory. A seed that fails, whatever its process dies of, is kept with its error and leaves
    the others alone.

    An interrupt (Ctrl-C, or a signal within `stopping_signals`) tells all processes to stop, and waits for them; a
    second one ends them at once. Should this process be killed outright, they stop too.
    """
    directory, stopped = Path(directory), None
    places = {seed: str(directory.resolve() / f"seed-{seed}") for seed in seeds}
    logs = {seed: log_dir and str(Path(log_dir, f"seed-{seed}")) for seed in seeds}
    jobs = {seed: Job(recipe, settings, seed, places[seed], log_dir=logs[seed], **how) for seed in seeds}
    with (
        progress_bar(len(seeds), "seed", quiet) as bar,
        Processes(min(len(seeds), cores())) as hands,
    ):
        dispatcher = Dispatcher(hands)
        try:
            dispatcher.run(jobs, lambda *_: bar.update())
        except KeyboardInterrupt as stop:
            stopped = stop
    outcomes = [(seed, dispatcher.outcomes[seed]) for seed in seeds]
    runs = [SeedRun(n, str(directory / f"seed-{n}"), o.evaluation, o.error or o.diverged) for n, o in outcomes]
    with atomic_write(directory / "seeds.json") as temporary:
        Path(temporary).write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n", encoding="utf-8")
    if any(run.evaluation for run in runs):
        plots.seeds(runs, directory / "seeds.png")
    return runs, stopped


# ------------------------------------------------------------------------------------------------------------ tables


def table(runs: Any) -> str:
    """The spread as text: a row per measure, a column per seed, their median and extremes, and real data's value; a
    line for every seed that collapsed, and how many did; what is sampled, where it is an average.
    """
    evaluated = [run for run in runs if run.evaluation]
    if not evaluated:
        return f"none of {len(runs)} seeds could be evaluated"
    lines = [["measure", *(f"seed {run.seed}" for run in runs), "median", "lowest", "highest", "real data"]]
    for i, measure in enumerate(evaluated[0].evaluation["measures"]):
        values = [run.evaluation["measures"][i]["value"] if run.evaluation else None for run in runs]
        known = [value for value in values if value is not None] or [math.nan]
        lines.append([measure["name"], *values, median(known), min(known), max(known), measure["real"]])
    text = aligned([[_text(cell) for cell in line] for line in lines], left=(0,))
    if average := evaluated[0].evaluation.get("average"):
        text.append(f"samples are of the averaged generators, decay {average:g}")
    collapsed = [run for run in evaluated if run.evaluation["collapsed"]]
    text += [f"seed {run.seed} collapsed: {run.evaluation['collapsed']}" for run in collapsed]
    missing = len(runs) - len(evaluated)
    text += [
        f"{len(collapsed)} of {len(evaluated)} seeds collapsed" + (f", {missing} more not evaluated" if missing else "")
    ]
    return "\n".join(text)


def _text(cell):
    return cell if isinstance(cell, str) else "—" if cell is None else figure(cell)
