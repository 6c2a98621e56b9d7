"""`bits`: do two checkouts train the same models, bit for bit? The gate of every change that should change no number.

Each checkout trains, in a process of its own, every recipe, schedule, objective and dtype, stacks of replicas, partial
batches and each loss for a few steps; weights, gradients, moments, running statistics, histories and samples are then
compared byte by byte.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import BenchmarkError

HERE = Path(__file__).parent


def run(arguments):
    checkouts = [Path(arguments.old).resolve(), Path(arguments.new).resolve()]
    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory, f"{side}.npz") for side in ("old", "new")]
        workers = [start(checkout, file) for checkout, file in zip(checkouts, files, strict=True)]
        for checkout, worker in zip(checkouts, workers, strict=True):
            finish(checkout, worker)
        with np.load(files[0]) as old, np.load(files[1]) as new:
            differences = list(compare(old, new))
            print(f"{len(old.files):,} arrays of {checkouts[0]} and {len(new.files):,} of {checkouts[1]}")
    for run_name, lines in groups(differences):
        print(f"{run_name}: {len(lines):,} differ, among them {lines[0]}")
    print(f"{len(differences):,} differ" if differences else "equal to the bit")
    return 1 if differences else 0


def start(checkout, file):
    """The worker of one checkout, on one BLAS thread: with more the sums may be split differently from run to run."""
    if not (checkout / "numgan" / "__init__.py").exists():
        raise BenchmarkError(f"{checkout} is no checkout of numgan")
    environment = os.environ | {"PYTHONPATH": str(checkout), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, HERE / "bits_worker.py", file]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(checkout, worker):
    out, errors = worker.communicate()
    if worker.returncode:
        raise BenchmarkError(f"{checkout}: {(errors.strip().splitlines() or ['no reason given'])[-1]}")
    if Path(out.strip().splitlines()[-1]).resolve() != checkout:
        raise BenchmarkError(f"{checkout} was asked for, but {out.strip()} ran")


def groups(differences):
    """[(what was trained, [its lines])]."""
    grouped = {}
    for name, line in differences:
        run_name, _, part = name.rpartition(": ")
        grouped.setdefault(run_name, []).append(f"{part} {line}")
    return grouped.items()


def compare(old, new):
    """(name, what differs) for every array that is missing on one side or differs in shape, dtype or any bit."""
    for name in old.files:
        if name not in new.files:
            yield name, "is only in the old checkout"
            continue
        a, b = old[name], new[name]
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            yield name, f"was {a.dtype} {a.shape}, is {b.dtype} {b.shape}"
        elif a.tobytes() != b.tobytes():
            off = np.abs(a - b).max() / max(np.abs(a).max(initial=0), 1e-300)
            yield name, f"({(a != b).sum():,} of {a.size:,} numbers, by up to {off:.1e} of the largest)"
    for name in set(new.files) - set(old.files):
        yield name, "is only in the new checkout"
