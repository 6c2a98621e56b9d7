"""Several seeds of a recipe: trained and evaluated side by side in processes of their own, and how far they spread.

What a GAN ends up as depends on the seed, so one run says little. A process takes one BLAS thread, and as many run
at a time as the machine has cores.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from numgan.files import atomic_write
from numgan.hints import FileName
from numgan.progress import progress_bar
from numgan.study import plots
from numgan.study.runs import SEEDS
from numgan.study.settings import brief
from numgan.tables import aligned, figure

PACKAGE = Path(__file__).resolve().parents[1] / "__init__.py"  # numgan's
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
GRACE = 60  # seconds that a worker has to keep its state when this process is gone
LOOK = 0.1  # seconds between two looks at whether a signal has come


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
    options: list[str],
    seeds: list[int],
    directory: FileName,
    quiet: bool = False,
    log_dir: FileName | None = None,
) -> tuple[list[SeedRun], int | None]:
    """Train with `numgan train OPTIONS` once per seed, each in directory/seed-N, and evaluate; where there is a
    log_dir, each logged in log_dir/seed-N.

    Returns (a SeedRun per seed, None or the number of the signal that ended it). Leaves seeds.json and, where there is
    anything to draw, seeds.png in the directory. A seed that fails, whatever it dies of, is kept with its error and
    leaves the others alone.

    SIGINT, SIGTERM or SIGHUP tells all processes to stop as SIGTERM would, and waits for them; a second one ends
    everything at once. Should this process be killed outright, they stop too.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bar = progress_bar(len(seeds), "seed", quiet)
    with bar, _Workers() as workers, ThreadPoolExecutor(min(len(seeds), cores)) as pool:
        logs = [[] if log_dir is None else ["--log-dir", Path(log_dir, f"seed-{seed}")] for seed in seeds]
        futures = [
            pool.submit(_train_one, workers, [*options, *log], seed, directory / f"seed-{seed}")
            for seed, log in zip(seeds, logs, strict=True)
        ]
        left, told = set(futures), False
        while left:
            done, left = wait(left, LOOK, FIRST_COMPLETED)
            bar.update(len(done))
            if workers.signal and not told:
                told = True
                print(
                    f"numgan train: {signal.Signals(workers.signal).name}: the seeds are told to stop; "
                    "a second signal ends them at once",
                    file=sys.stderr,
                )
    runs = [future.result() for future in futures]
    with atomic_write(directory / "seeds.json") as temporary:
        Path(temporary).write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n", encoding="utf-8")
    if any(run.evaluation for run in runs):
        plots.seeds(runs, directory / "seeds.png")
    return runs, workers.signal


def _train_one(workers, options, seed, directory):
    if workers.signal:
        return SeedRun(seed, str(directory), None, "not started")
    trained = workers.run("train", *options, "--seed", seed, "--quiet", "--out", directory)
    error = _failure(trained)
    if workers.signal:
        return SeedRun(seed, str(directory), None, f"stopped: {error or 'not evaluated'}")
    if not (directory / "model.npz").exists():
        return SeedRun(seed, str(directory), None, error or "it left no model")
    evaluated = workers.run("evaluate", directory, "--json")
    if evaluated.returncode:
        error = error or ("stopped: not evaluated" if workers.signal else _failure(evaluated))
        return SeedRun(seed, str(directory), None, error)
    return SeedRun(seed, str(directory), json.loads(evaluated.stdout), error)


def _failure(process):
    """None, or in words what a process died of."""
    if process.returncode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-process.returncode).name}"
        return f"killed by signal {-process.returncode}"
    if process.returncode:
        said = process.stderr.strip().splitlines()
        return brief(said[-1], 400) if said else f"ended with exit status {process.returncode}"
    return None


# -------------------------------------------------------------------------------------------------------- processes


class _Workers:
    """The processes that train, and the signals that end them.

    All have the reading end of one pipe for their standard input. Nothing is ever written to it: its end of file comes
    when the writing end is closed here, or when this process ends, however it ends, and a worker that sees it sends
    itself SIGTERM. (PR_SET_PDEATHSIG is Linux's alone, and follows the thread that started a process, not the process.)
    Each leads a session of its own, so that a terminal's Ctrl-C comes to this process, which knows what to do.
    """

    def __init__(self):
        self.signal, self._running = None, set()

    def __enter__(self):
        self._reading, self._writing = os.pipe()
        self._handlers = {}
        if threading.current_thread() is threading.main_thread():  # no other may have handlers
            # what is ignored, as by nohup or in a shell's background, stays so
            heard = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
            self._handlers = {number: signal.signal(number, self._stop) for number in heard}
        return self

    def __exit__(self, *error):
        self._release()
        os.close(self._reading)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _release(self):
        writing, self._writing = self._writing, None
        if writing is not None:
            os.close(writing)

    def _stop(self, number, frame):
        if self.signal is None:
            self.signal = number
            self._release()
        else:
            for process in list(self._running):
                process.kill()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def run(self, *arguments):
        """`numgan ARGUMENTS` as a process of its own, awaited: its exit status and what it printed."""
        process = subprocess.Popen(
            [*_python(), *map(str, arguments)],
            env=os.environ | dict.fromkeys(BLAS_THREADS, "1"),
            stdin=self._reading,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._running.add(process)
        try:
            out, err = process.communicate()
        finally:
            self._running.discard(process)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


WORKER = """\
import sys
sys.path[:] = {path!r}
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("numgan", {package!r})
sys.modules["numgan"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["numgan"])
from numgan.cli import main
from numgan.study.seeds import stop_with_parent
stop_with_parent()
sys.exit(main())
"""


def _python():
    """A Python that runs this very numgan's command line, on the same modules, but none of the current directory's.

    -I keeps that directory, and whatever PYTHONPATH names, from the path until the first line sets it (-P alone would
    do, but Python 3.10 has none); numgan itself may lie in the current directory, so it is loaded by its file.
    """
    here = os.path.realpath(os.curdir)
    path = [entry for entry in sys.path if entry and os.path.realpath(entry) != here]
    code = WORKER.format(path=path, package=str(PACKAGE))
    return [sys.executable, "-I", "-X", "utf8", *(f"-W{option}" for option in sys.warnoptions), "-c", code]


def stop_with_parent() -> None:
    """Have this process send itself SIGTERM at the end of its standard input; for the processes of `train`."""

    def watch():
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


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
