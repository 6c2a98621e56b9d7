"""`replicas`: many sine GANs at once, numgan's stacks beside JAX's `vmap` and PyTorch's batched products.

numgan runs in one process, and in as many as the peers have threads. Each peer trains a stack of R replicas, all with
weights, rows and noise of their own; before that, a few given steps, and how far it ends from where numgan's stack does
tells whether it does the same work.
"""

import dataclasses
import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import peers, report
from benchmarks.timing import interleave, spread
from benchmarks.workers.numgan_worker import described, entries, train
from numgan import GAN
from numgan.study import recipes

NAMES = ("numgan-stack", "numgan-alone", "jax-vmap", "torch-stack")
CHUNK_SECONDS = {"quick": 1.0, "full": 2.0}  # of which numgan's setting up takes a twentieth
TARGET = 14e-6  # seconds a model and step at 64 replicas, two cores
AHEAD = {"jax-vmap": 2.5, "torch-stack": 3.0}  # times, at 64 replicas


class Stack(peers.Job):
    """What every peer is given to do with so many replicas of a recipe. Dense weights are (R, n_out, n_in)."""

    def __init__(self, directory, name, count, thread_count):
        recipe, rng = recipes.get(name), np.random.default_rng(0)
        settings, key = recipe.settings, f"{name}×{count}"
        data = recipe.load(None, settings)[0]
        gan = GAN.stack([recipe.build(settings, np.random.default_rng(r), "float32") for r in range(count)])
        networks, rows = (gan.generator, gan.discriminator), gan.rows_per_step(settings.batch_size)
        weights = [list(entries(network).values()) for network in networks]
        real = np.empty((peers.CHECK_STEPS * count * rows, *data.shape), np.float32)
        data.sample(len(real), rng, real)
        drawn = (peers.CHECK_STEPS, count)
        batches = {"real": real.reshape(*drawn, rows, *data.shape)} | {
            name: rng.standard_normal((*drawn, n, *gan.generator.shapes[0]), np.float32)
            for name, n in (("noise_d", rows), ("noise_g", settings.batch_size))
        }
        facts = dataclasses.asdict(settings) | {
            "recipe": key, "base": name, "replicas": count, "threads": thread_count, "rows": rows,
            "counts": [len(arrays) for arrays in weights], "inputs": list(batches),
            "layers": [described(network.layers) for network in networks],
            "shapes": [network.shapes for network in networks],
        }  # fmt: skip
        arrays = {f"{network}{i}": a for network, own in zip("gd", weights, strict=True) for i, a in enumerate(own)}
        self.path, self.images, self.conditional = Path(directory, f"{key}.npz"), False, False
        np.savez(self.path, settings=json.dumps(facts), **batches, **arrays)
        for batch in zip(*batches.values(), strict=True):
            train(gan, *batch)
        self._start = [*weights[0], *weights[1]]
        self._end = [a for network in networks for a in entries(network).values()]


def run(arguments):
    result = report.start("replicas", arguments)
    chunk = CHUNK_SECONDS["quick" if arguments.quick else "full"]
    (recipe,) = arguments.recipes
    with tempfile.TemporaryDirectory() as directory:
        jobs = {f"{recipe}×{count}": Stack(directory, recipe, count, arguments.threads) for count in arguments.replicas}
        rows, workers = peers.start(arguments.only, jobs, arguments.threads)
        try:
            for key, count in zip(jobs, arguments.replicas, strict=True):
                report.progress(f"{count} replicas: {arguments.rounds} rounds of {len(workers)} peers")
                tasks = {name: partial(worker.run, key) for name, worker in workers.items()}
                seconds = interleave(tasks, arguments.rounds, chunk)
                for name, own in seconds.items():
                    rows[key][name]["seconds"] = spread(own / count)
                    rows[key][name]["ratio"] = spread(own / seconds.get("numgan-stack", own))
        finally:
            for worker in workers.values():
                worker.close()
            report.progress("")
    result["recipes"], result["machine"]["peers"] = {recipe: rows}, {}
    for key, own in rows.items():
        for name, row in own.items():
            result["machine"]["peers"] |= row.get("versions", {})
            if "seconds" in row:
                result["measures"].append(report.measure(f"{key}, a model's step: {name}", "s", row["seconds"]))
                result["measures"].append(report.measure(f"{key}: {name} / numgan-stack", "×", row["ratio"]))
    report.finish(result, arguments.out, table(result), draw)


def table(result):
    """The report as text: a line for each peer and count of replicas."""
    (recipe, rows), threads = next(iter(result["recipes"].items())), result["settings"]["threads"]
    lines, absent = [["replicas", "peer", "a model's step", "quartiles", "/ numgan", "quartiles", "differs by"]], {}
    for key, own in rows.items():
        for row in own.values():
            if "seconds" not in row:
                absent[row["title"]] = next(f"{k}: {row[k]}" for k in ("missing", "failed") if k in row)
                continue
            ratio, low, high = (report.number(row["ratio"][k]) for k in ("median", "low", "high"))
            lines.append([key.partition("×")[2], row["title"], *report.time_cells(row["seconds"]), f"{ratio}×",
                          f"{low}–{high}", f"{row['differs']:.0e}"])  # fmt: skip
    blocks = [report.columns(lines, f"{recipe}: stacks of replicas on {threads} cores")]
    blocks += [f"{title}: {reason}" for title, reason in absent.items()]
    blocks += targets(rows.get(f"{recipe}×64", {}))
    blocks.append("differs by: how far from numgan's weights a peer ends after three steps on the same batches, "
                  "as a share of the way")  # fmt: skip
    blocks.append(", ".join(f"{name} {version}" for name, version in result["machine"]["peers"].items()))
    return "\n\n".join(blocks)


def targets(rows):
    """What is aimed at with 64 replicas, and whether it is met."""
    found = []
    if "seconds" in rows.get("numgan-stack", {}):
        seconds = rows["numgan-stack"]["seconds"]
        met = "met" if seconds["median"] <= TARGET else "missed"
        found.append(f"target: at most 14 µs a model and step of 64; {met}: {report.time_text(seconds)}")
    for name, least in AHEAD.items():
        if "ratio" in rows.get(name, {}):
            ratio = rows[name]["ratio"]
            met = "met" if ratio["median"] >= least else "missed"
            found.append(f"target: {least} × ahead of {rows[name]['title']} at 64; {met}: {report.ratio_text(ratio)}")
    return found


def draw(figure, result):
    """A line for each peer over the number of replicas."""
    ax = figure.subplots()
    (recipe, rows) = next(iter(result["recipes"].items()))
    colors = dict(zip(NAMES, (report.BLUE, "#8fb3dd", report.ORANGE, "#a05a2c"), strict=True))
    for name, color in colors.items():
        points = [
            (int(key.partition("×")[2]), own[name]) for key, own in rows.items() if "seconds" in own.get(name, {})
        ]
        if points:
            counts, own = zip(*points, strict=True)
            medians, low, high = ([row["seconds"][k] for row in own] for k in ("median", "low", "high"))
            ax.plot(counts, medians, "o-", color=color, label=own[0]["title"])
            ax.fill_between(counts, low, high, color=color, alpha=0.2, linewidth=0)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    report.plain_ticks(ax.xaxis)
    report.time_ticks(ax.yaxis)
    ax.set_xlabel("replicas")
    ax.set_ylabel("time of a step, for each model")
    ax.set_title(f"{recipe}: many GANs at once")
    ax.legend(frameon=False)
    report.tidy(ax, "both")
