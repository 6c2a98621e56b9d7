"""`peers`: numgan's training step against the same step in PyTorch, JAX and Keras, whichever are installed.

Every peer is a process that stays alive and trains when told to, so that all of them run in turn, one at a time, round
after round, on the same number of threads. Before that each trains a few given batches from given weights, and how far
it ends from numgan's weights tells whether it does the same work.
"""

import contextlib
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import BenchmarkError, report, threads
from benchmarks.timing import interleave, spread
from benchmarks.workers.numgan_worker import described, entries, train
from numgan.data.mnist import to_unit_range
from numgan.data.stream import data_stream
from numgan.gan.conditions import together
from numgan.study import recipes
from numgan.study.settings import with_overrides

CHECKOUT = Path(__file__).parent.parent
CHECK_STEPS = 3
WARM_STEPS = 3
ONLY_IMAGES = {"torch-channels-last"}  # peers that differ from another in convolutions alone
CONDITIONAL = {"numgan", "torch", "torch-channels-last", "torch-compiled"}  # peers that are written for conditions
OVERRIDES = {"mnist-conditional": {"spectral_norm": "no", "average": 0}}  # settings of a recipe that no peer has
CHUNK_SECONDS = {"quick": 0.25, "full": 0.5}
REST_SECONDS = 0.05  # before each chunk: threads of the peer before it may still spin for work

# name: what it is called in tables, its worker, the packages it needs
PEERS = {
    "numgan": ("numgan", "numgan_worker", ()),
    "torch": ("PyTorch eager", "torch_worker", ("torch",)),
    "torch-channels-last": ("PyTorch eager, channels last", "torch_worker", ("torch",)),
    "torch-compiled": ("PyTorch compiled", "torch_worker", ("torch",)),
    "jax": ("JAX jit, a call per step", "jax_worker", ("jax",)),
    "jax-scan": ("JAX jit, loop in lax.scan", "jax_worker", ("jax",)),
    "keras-jax": ("Keras on JAX", "keras_worker", ("keras", "jax")),
    "keras-tensorflow": ("Keras on TensorFlow", "keras_worker", ("keras", "tensorflow")),
    "torch-critic": ("PyTorch eager", "torch_critic_worker", ("torch",)),  # for `penalty`
    # for `replicas`
    "numgan-stack": ("numgan", "numgan_stack_worker", ()),
    "numgan-alone": ("numgan, one process", "numgan_stack_worker", ()),
    "jax-vmap": ("JAX vmap, loop in lax.scan", "jax_stack_worker", ("jax",)),
    "torch-stack": ("PyTorch, baddbmm", "torch_stack_worker", ("torch",)),
}


class WorkerError(BenchmarkError):
    """A peer that does not run; the message is the reason, in one line."""


def run(arguments):
    result = report.start("peers", arguments)
    names = [name for name in PEERS if name in arguments.only or name == "numgan"]
    chunk = CHUNK_SECONDS["quick" if arguments.quick else "full"]
    with tempfile.TemporaryDirectory() as directory:
        jobs = {
            recipe: Job(directory, recipe, arguments.threads, **OVERRIDES.get(recipe, {}))
            for recipe in arguments.recipes
        }
        rows, workers = start(names, jobs, arguments.threads)
        try:
            for recipe in jobs:
                report.progress(f"{recipe}: {arguments.rounds} rounds of {len(rows[recipe])} peers")
                tasks = {n: partial(worker.run, recipe) for n, worker in workers.items() if recipe in worker.jobs}
                seconds = interleave(tasks, arguments.rounds, chunk)
                for name, own in seconds.items():
                    rows[recipe][name] |= {"seconds": spread(own), "ratio": spread(own / seconds["numgan"])}
        finally:
            for worker in workers.values():
                worker.close()
            report.progress("")
    result["recipes"], result["machine"]["peers"] = rows, {}
    for recipe, peers in rows.items():
        for name, row in peers.items():
            result["machine"]["peers"] |= row.get("versions", {})
            if "seconds" in row:
                result["measures"].append(report.measure(f"{recipe} step: {name}", "s", row["seconds"]))
                result["measures"].append(report.measure(f"{recipe} step: {name} / numgan", "×", row["ratio"]))
    report.finish(result, arguments.out, table(result), draw)


def start(names, jobs, thread_count):
    """(recipe -> name -> what is known of the peer, name -> Worker, checked and warm, of those that run).

    What is known: its title, and versions and "differs", or why it does not run in "missing", "failed" or "left out".
    """
    rows = {
        recipe: {name: {"title": PEERS[name][0]} for name in names if name not in ONLY_IMAGES or job.images}
        for recipe, job in jobs.items()
    }
    for recipe, job in jobs.items():
        for name in rows[recipe].keys() - CONDITIONAL if job.conditional else ():
            rows[recipe][name]["left out"] = "not written for conditions"
    workers, absent = {}, {}
    for name in names:
        given = [recipe for recipe in jobs if name in rows[recipe] and "left out" not in rows[recipe][name]]
        own = {recipe: jobs[recipe] for recipe in given}
        missing = [package for package in PEERS[name][2] if importlib.util.find_spec(package) is None]
        if missing:
            absent[name] = {"missing": f"{' and '.join(missing)} not installed"}
        elif own:  # they import and compile side by side, which halves the wait; nothing is measured yet
            workers[name] = Worker(name, own, thread_count)
            for recipe in own:
                workers[name].send(recipe, "check", workers[name].path(recipe))
                workers[name].send(recipe, "run", WARM_STEPS)
    for name in list(workers):
        report.progress(f"starting {name}")
        try:
            for recipe, job in workers[name].jobs.items():
                rows[recipe][name]["versions"] = workers[name].receive()["versions"]
                rows[recipe][name]["differs"] = job.distance(load(workers[name].path(recipe)))
                workers[name].receive()
        except WorkerError as error:
            absent[name] = {"failed": str(error)}
            workers.pop(name).close()
    for peers in rows.values():
        for name in absent.keys() & peers.keys():
            peers[name] |= absent[name]
    return rows, workers


def load(path):
    """The arrays of an .npz file, in order."""
    with np.load(path) as file:
        return [file[name] for name in file.files]


class Job:
    """What every worker is given to do for a recipe, in a file at `path`, and what has to come of it.

    key        what workers call it; by default as the recipe.
    overrides  settings, as `--set` takes them.
    images     whether the rows are images, for convolutions.
    conditional   whether the networks read a condition.
    """

    def __init__(self, directory, name, thread_count, key=None, **overrides):
        recipe, key = recipes.get(name), key or name
        rng, settings = np.random.default_rng(0), with_overrides(recipe.settings, overrides)
        data = recipe.load(None, settings)[0]
        plain = dataclasses.replace(settings, dropout=0.0) if hasattr(settings, "dropout") else settings
        gan, whole = recipe.build(plain, rng, "float32"), recipe.build(settings, rng, "float32")
        rows = gan.rows_per_step(settings.batch_size)
        networks = gan.generator, gan.discriminator
        weights = [list(entries(network).values()) for network in networks]
        source, self.conditional = together(data, gan.conditions), bool(gan.conditions)
        real, condition = _drawn(source, rng, rows)
        noise_d = rng.standard_normal((CHECK_STEPS, rows, *gan.generator.shapes[0]), np.float32)
        batches = {"real": real, "noise_d": noise_d} | self.more(gan, settings.batch_size, rng)
        if self.conditional:
            real_g, condition_g = _drawn(source, rng, settings.batch_size)
            batches |= {"condition_d": condition, "condition_g": condition_g, "real_g": real_g}
        facts = dataclasses.asdict(settings) | {
            "recipe": key, "threads": thread_count, "rows": rows, "counts": [len(arrays) for arrays in weights],
            "inputs": list(batches),
            "layers": [described(network.layers) for network in (whole.generator, whole.discriminator)],
            "shapes": [network.shapes for network in (whole.generator, whole.discriminator)],
        }  # fmt: skip
        arrays = {f"{network}{i}": a for network, own in zip("gd", weights, strict=True) for i, a in enumerate(own)}
        if self.conditional:
            arrays["images"], arrays["conditions"] = _all(source)
        elif hasattr(data, "images"):
            arrays["images"] = to_unit_range(data.images)
        self.path, self.images = Path(directory, f"{key}.npz"), len(recipe.shape(settings)) > 1
        np.savez(self.path, settings=json.dumps(facts), **batches, **arrays)
        for batch in zip(*batches.values(), strict=True):
            self.train(gan, *batch)
        self._start = [*weights[0], *weights[1]]
        self._end = [a for network in networks for a in entries(network).values()]

    def more(self, gan, batch_size, rng):
        """What a step takes besides real rows and noise for the discriminator, name -> (CHECK_STEPS, …)."""
        return {"noise_g": rng.standard_normal((CHECK_STEPS, batch_size, *gan.generator.shapes[0]), np.float32)}

    def train(self, gan, *batch):
        """numgan's own step on a batch."""
        train(gan, *batch)

    def distance(self, weights):
        """How far from where numgan ends these weights are, as a share of the way that numgan went."""
        if [a.shape for a in weights] != [a.shape for a in self._end]:
            raise WorkerError("its networks have other shapes than the recipe's")
        apart, way = (np.sqrt(sum(((a - b) ** 2).sum(dtype=float) for a, b in zip(self._end, other, strict=True)))
                      for other in (weights, self._start))  # fmt: skip
        return float(apart / way)


def _drawn(source, rng, rows):
    """(real rows, the condition of each or None) for the steps of the check."""
    real, conditions = source.split(data_stream(source, rng, (CHECK_STEPS, rows), np.float32).next())
    return real, next(iter(conditions.values()), None)


def _all(source):
    """(all rows of a source, the condition of each)."""
    rows = np.empty((len(source), *source.shape), np.float32)
    source.take(np.arange(len(source)), rows)
    real, conditions = source.split(rows)
    return real, next(iter(conditions.values()))


class Worker:
    """A peer's process. Whatever goes wrong in it is a WorkerError here, with the reason in one line."""

    def __init__(self, name, jobs, thread_count):
        self.name, self.jobs, self.directory = name, jobs, next(iter(jobs.values())).path.parent
        environment = os.environ | threads.environment(thread_count) | {
            "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu",
        }  # fmt: skip
        self.complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.workers.{PEERS[name][1]}", name, *(job.path for job in jobs.values())],
            cwd=CHECKOUT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints,
        )  # fmt: skip

    def path(self, recipe):
        """Where it writes its weights."""
        return self.directory / f"{recipe} {self.name}.npz"

    def run(self, recipe, n):
        """Train n steps, or a few more; the seconds per step."""
        time.sleep(REST_SECONDS)
        self.send(recipe, "run", n)
        answer = self.receive()
        return answer["seconds"] / answer["steps"]

    def close(self):
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self.process.wait()
        self.complaints.close()

    def send(self, *words):
        with contextlib.suppress(BrokenPipeError):  # it has died, and the missing answer will say so
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()

    def receive(self):
        """The answer to the oldest command that has none yet."""
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(self._last_words())
        answer = json.loads(line)
        if "failed" in answer:
            raise WorkerError(answer["failed"])
        return answer

    def _last_words(self):
        self.process.wait()
        self.complaints.seek(0)
        lines = [line.strip() for line in self.complaints if line.strip()]
        return lines[-1] if lines else f"it ended with status {self.process.returncode}"


def table(result):
    """The report as text."""
    blocks = []
    for recipe, rows in result["recipes"].items():
        lines, absent = [["peer", "a step", "quartiles", "/ numgan", "quartiles", "differs by"]], []
        for row in rows.values():
            if "seconds" not in row:
                absent.append(
                    f"\n{row['title']}: "
                    + next(f"{k}: {row[k]}" for k in ("left out", "missing", "failed") if k in row)
                )
                continue
            ratio, low, high = (report.number(row["ratio"][k]) for k in ("median", "low", "high"))
            lines.append([row["title"], *report.time_cells(row["seconds"]), f"{ratio}×", f"{low}–{high}",
                          f"{row['differs']:.0e}"])  # fmt: skip
        title = f"{recipe}: a training step on {result['settings']['threads']} threads"
        title += "".join(f", {name}={value}" for name, value in OVERRIDES.get(recipe, {}).items())
        blocks.append(report.columns(lines, title) + "".join(absent))
    blocks.append("differs by: how far from numgan's weights a peer ends after three steps on the same batches, "
                  "as a share of the way")  # fmt: skip
    blocks.append(", ".join(f"{name} {version}" for name, version in result["machine"]["peers"].items()))
    return "\n\n".join(blocks)


def draw(figure, result):
    """A dot per peer on a logarithmic axis, one panel per recipe."""
    figure.set_size_inches(max(12, 6 * len(result["recipes"])), 4.2)
    axes = figure.subplots(1, len(result["recipes"]), squeeze=False)[0]
    for ax, (recipe, rows) in zip(axes, result["recipes"].items(), strict=True):
        rows = {name: row for name, row in rows.items() if "seconds" in row}
        ax.axvline(rows["numgan"]["seconds"]["median"], color=report.BLUE, linewidth=1, alpha=0.5)
        for y, (name, row) in enumerate(reversed(rows.items())):
            median, low, high = (row["seconds"][k] for k in ("median", "low", "high"))
            color = report.BLUE if name == "numgan" else report.ORANGE
            ax.plot([low, high], [y, y], color=color, linewidth=2.5, alpha=0.5, solid_capstyle="round")
            ax.plot(median, y, "o", color=color, markersize=8)
            text = report.time_text(row["seconds"], brief=True)
            if name != "numgan":
                text += f" · {report.number(row['ratio']['median'])}×"
            ax.annotate(text, (high, y), (9, 0), textcoords="offset points", va="center", fontsize=9,
                        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        ax.set_yticks(range(len(rows)), [row["title"] for row in reversed(rows.values())])
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        ax.set_xlim(low, high * (high / low) ** 0.45)  # room for the texts
        report.time_ticks(ax.xaxis)
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.set_xlabel("time of a training step, less is better")
        ax.set_title(recipe)
        report.tidy(ax, "x")
