"""`peers`: numgan's training step against the same step in PyTorch, JAX and Keras, whichever are installed.

Every peer is a process that stays alive and trains when told to, so that all of them run in turn, one at a time, round
after round, on the same number of threads. Before that each trains a few given batches from given weights, and how far
it ends from numgan's weights tells whether it does the same work.
"""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import report, threads
from benchmarks.timing import interleave, spread
from benchmarks.workers.numgan_worker import entries
from numgan import recipes
from numgan.data.stream import data_stream

CHECKOUT = Path(__file__).parent.parent
CHECK_STEPS = 3
WARM_STEPS = 3
CHUNK_SECONDS = {"quick": 0.3, "full": 0.6}

# name: what it is called in tables, its worker, the packages it needs
PEERS = {
    "numgan": ("numgan", "numgan_worker", ()),
    "torch": ("PyTorch eager", "torch_worker", ("torch",)),
    "torch-compiled": ("PyTorch compiled", "torch_worker", ("torch",)),
    "jax": ("JAX jit, a call per step", "jax_worker", ("jax",)),
    "jax-scan": ("JAX jit, loop in lax.scan", "jax_worker", ("jax",)),
    "keras-jax": ("Keras on JAX", "keras_worker", ("keras", "jax")),
    "keras-tensorflow": ("Keras on TensorFlow", "keras_worker", ("keras", "tensorflow")),
}


class WorkerError(ValueError):
    """A peer that does not run; the message is the reason, in one line."""


def run(arguments):
    result = report.start("peers", arguments)
    names = [name for name in PEERS if name in arguments.only or name == "numgan"]
    chunk = CHUNK_SECONDS["quick" if arguments.quick else "full"]
    result["recipes"] = {}
    for recipe in arguments.recipes:
        rows = measure(recipe, names, arguments.threads, arguments.rounds, chunk)
        result["recipes"][recipe] = rows
        for name, row in rows.items():
            if "seconds" in row:
                result["measures"].append(report.measure(f"{recipe} step: {name}", "s", row["seconds"]))
                if name != "numgan":
                    result["measures"].append(report.measure(f"{recipe} step: {name} / numgan", "×", row["ratio"]))
    report.finish(result, arguments.out, table(result), draw)


def measure(recipe, names, thread_count, rounds, chunk_seconds):
    """name -> what came of the peer: versions, differs, seconds and ratio, or the reason in "failed" or "missing"."""
    rows, workers = {}, {}
    with tempfile.TemporaryDirectory() as directory:
        job, start, expected = write_job(Path(directory), recipe, thread_count)
        try:
            for name in names:
                report.progress(f"{recipe}: starting {name}")
                rows[name] = {"title": PEERS[name][0]}
                missing = [package for package in PEERS[name][2] if importlib.util.find_spec(package) is None]
                if missing:
                    rows[name]["missing"] = f"{' and '.join(missing)} not installed"
                    continue
                try:
                    workers[name] = Worker(name, job, thread_count)
                    rows[name]["versions"] = workers[name].versions
                    rows[name]["differs"] = distance(workers[name].check(), start, expected)
                    workers[name].run(WARM_STEPS)
                except WorkerError as error:
                    rows[name]["failed"] = str(error)
                    workers.pop(name).close() if name in workers else None
            report.progress(f"{recipe}: measuring {len(workers)} peers, {rounds} rounds")
            seconds = interleave({name: worker.run for name, worker in workers.items()}, rounds, chunk_seconds)
        finally:
            for worker in workers.values():
                worker.close()
    report.progress("")
    for name, own in seconds.items():
        rows[name] |= {"seconds": spread(own), "ratio": spread(own / seconds["numgan"])}
    return rows


def write_job(directory, name, thread_count):
    """Write the job that every worker of this recipe is given.

    Returns its path, the weights to start from, and the weights numgan ends with on its batches: flat lists.
    """
    recipe = recipes.get(name)
    rng, settings, data = np.random.default_rng(0), recipe.settings, recipe.load(None)
    gan = recipe.build(settings, rng, "float32")
    rows = settings.batch_size // 2 if settings.schedule == "separate" else settings.batch_size
    networks = gan.generator, gan.discriminator
    start = [list(entries(network).values()) for network in networks]
    batches = {
        "real": [data_stream(data, rng, (rows, data.features), np.float32).next() for _ in range(CHECK_STEPS)],
        "noise_d": rng.standard_normal((CHECK_STEPS, rows, gan.latent_dim), dtype=np.float32),
        "noise_g": rng.standard_normal((CHECK_STEPS, settings.batch_size, gan.latent_dim), dtype=np.float32),
    }
    for real, noise_d, noise_g in zip(*batches.values(), strict=True):
        gan.train_discriminator(real, noise_d)
        gan.train_generator(noise_g)
    facts = dataclasses.asdict(settings) | {
        "recipe": name, "threads": thread_count, "rows": rows, "counts": [len(arrays) for arrays in start],
    }  # fmt: skip
    arrays = {f"{network}{i}": a for network, own in zip("gd", start, strict=True) for i, a in enumerate(own)}
    if name == "mnist":
        arrays["images"] = (data.images.astype(np.float32) - 127.5) / 127.5
    path = directory / "job.npz"
    np.savez(path, settings=json.dumps(facts), **arrays, **batches)
    return path, [*start[0], *start[1]], [a for network in networks for a in entries(network).values()]


def distance(weights, start, expected):
    """How far a peer ends from where numgan ends, as a share of the way that numgan went."""
    if [a.shape for a in weights] != [a.shape for a in expected]:
        raise WorkerError("its networks have other shapes than the recipe's")
    apart, went = (np.sqrt(sum(((a - b) ** 2).sum(dtype=float) for a, b in zip(expected, other, strict=True)))
                   for other in (weights, start))  # fmt: skip
    return float(apart / went)


class Worker:
    """A peer's process, ready to train. Any failure is a WorkerError with the last line of what it complained."""

    def __init__(self, name, job, thread_count):
        self.job = job
        environment = os.environ | threads.environment(thread_count) | {
            "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu",
        }  # fmt: skip
        self.complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.workers.{PEERS[name][1]}", str(job), name],
            cwd=CHECKOUT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints,
        )  # fmt: skip
        try:
            self.versions = self._answer()["versions"]
        except WorkerError:
            self.close()
            raise

    def check(self):
        """The weights after training on the job's batches."""
        path = self.job.with_name("weights.npz")
        self._ask(f"check {path}")
        with np.load(path) as file:
            return [file[name] for name in file.files]

    def run(self, n):
        """Train n steps, or a few more; the seconds per step."""
        answer = self._ask(n)
        return answer["seconds"] / answer["steps"]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.complaints.close()

    def _ask(self, command):
        try:
            self.process.stdin.write(f"{command}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, and the missing answer will say so
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.complaints.seek(0)
        lines = [line.strip() for line in self.complaints if line.strip()]
        raise WorkerError(lines[-1] if lines else f"it ended with status {self.process.returncode}")


def table(result):
    """The report as text."""
    blocks = []
    for recipe, rows in result["recipes"].items():
        lines = [["peer", "a step", "quartiles", "/ numgan", "quartiles", "differs by"]]
        for row in rows.values():
            if "seconds" not in row:
                reason = f"missing: {row['missing']}" if "missing" in row else f"failed: {row['failed']}"
                lines.append([row["title"], reason, "", "", "", ""])
                continue
            ratio, low, high = (report.number(row["ratio"][k]) for k in ("median", "low", "high"))
            lines.append([row["title"], *report.time_cells(row["seconds"]), f"{ratio}×", f"{low}–{high}",
                          f"{row['differs']:.0e}"])  # fmt: skip
        blocks.append(report.columns(lines, f"{recipe}: a training step on {result['settings']['threads']} threads"))
    blocks.append("differs by: how far from numgan's weights a peer ends after three steps on the same batches, "
                  "as a share of the way")  # fmt: skip
    versions = {}
    for rows in result["recipes"].values():
        for row in rows.values():
            versions |= row.get("versions", {})
    blocks.append(", ".join(f"{name} {version}" for name, version in versions.items()))
    return "\n\n".join(blocks)


def draw(figure, result):
    """A dot per peer on a logarithmic axis, one panel per recipe."""
    figure.set_size_inches(12, 4.2)
    axes = figure.subplots(1, len(result["recipes"]), squeeze=False)[0]
    for ax, (recipe, rows) in zip(axes, result["recipes"].items(), strict=True):
        rows = {name: row for name, row in rows.items() if "seconds" in row}
        unit, label = report.time_unit(rows["numgan"]["seconds"]["median"])
        reference = rows["numgan"]["seconds"]["median"] / unit
        ax.axvline(reference, color=report.BLUE, linewidth=1, alpha=0.5)
        for y, (name, row) in enumerate(reversed(rows.items())):
            median, low, high = (row["seconds"][k] / unit for k in ("median", "low", "high"))
            color = report.BLUE if name == "numgan" else report.ORANGE
            ax.plot([low, high], [y, y], color=color, linewidth=2.5, alpha=0.5, solid_capstyle="round")
            ax.plot(median, y, "o", color=color, markersize=8)
            text = report.time_text(row["seconds"], brief=True)
            if name != "numgan":
                text += f" · {report.number(row['ratio']['median'])}×"
            ax.annotate(text, (high, y), (9, 0), textcoords="offset points", va="center", fontsize=9)
        ax.set_yticks(range(len(rows)), [row["title"] for row in reversed(rows.values())])
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        ax.set_xlim(low, high * (high / low) ** 0.45)  # room for the texts
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.set_xlabel(f"{label} a step, less is better")
        ax.set_title(recipe)
        report.tidy(ax, "x")
