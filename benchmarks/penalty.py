"""`penalty`: what a gradient penalty costs, as a critic's step with it against the plain step, in turns.

A critic is a recipe's discriminator under the Wasserstein objective without clipping; its step is the discriminator's
step of numgan, the generation of its rows included, on one batch again and again. A penalty is another pass through the
critic and down to the pixels, and two more for the gradient of that. With --peers PyTorch takes the same steps in a
process of its own, from the same weights; its penalty is the derivative of its own backward pass.
"""

import contextlib
import tempfile
import time
from functools import partial

import numpy as np

from benchmarks import peers, report
from benchmarks.loop import Loop
from benchmarks.timing import interleave, repeat, spread

CRITIC = {"objective": "wasserstein", "clip": 0}
PLAIN = "plain"
STEPS = {
    PLAIN: {},
    "wgan-gp": {"penalty": "wgan-gp"},
    "r1": {"penalty": "r1"},
    "r1-every-16": {"penalty": "r1", "penalty_every": 16},
}
TARGETS = {"wgan-gp": 2.2}  # times the plain step, at most
PEER = "torch-critic"


def run(arguments):
    result = report.start("penalty", arguments)
    result["recipes"], result["machine"]["peers"] = {}, {}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        for recipe in arguments.recipes:
            tasks = {("numgan", name): own_task(recipe, name) for name in STEPS}
            row = {"numgan": {}}
            if arguments.peers:
                row["torch"], more = peer_tasks(directory, recipe, arguments.threads, stack)
                tasks |= {("torch", name): task for name, task in more.items()}
            report.progress(f"{recipe}: {arguments.rounds} rounds of {len(tasks)} steps")
            seconds = interleave(tasks, arguments.rounds)
            for side, name in tasks:
                row[side].setdefault(name, {}).update(figures(seconds, side, name))
            result["recipes"][recipe] = row
            result["measures"] += measures(recipe, row)
            for peer in row.get("torch", {}).values():
                result["machine"]["peers"] |= peer.get("versions", {})
        report.progress("")
    report.finish(result, arguments.out, table(result), draw)


def own_task(recipe, name):
    """numgan's step as a task for `interleave`: whole rounds of a lazy penalty, after a rest, as peers have it."""
    overrides = CRITIC | STEPS[name]
    timed, every = repeat(Loop(recipe, **overrides).discriminator()), overrides.get("penalty_every", 1)

    def run(n):
        time.sleep(peers.REST_SECONDS)
        return timed(-(-n // every) * every)

    return run


def peer_tasks(directory, recipe, threads, stack):
    """(name -> what is known of PyTorch's step, name -> task of those that run); `stack` closes their process."""
    jobs = {
        f"{recipe}+{name}": Critic(directory, recipe, threads, f"{recipe}+{name}", **CRITIC, **own)
        for name, own in STEPS.items()
    }
    rows, workers = peers.start([PEER], jobs, threads)
    for worker in workers.values():
        stack.callback(worker.close)
    known = {name: rows[key][PEER] for name, key in zip(STEPS, jobs, strict=True)}
    tasks = {
        name: partial(worker.run, key) for worker in workers.values() for name, key in zip(STEPS, jobs, strict=True)
    }
    return known, tasks


class Critic(peers.Job):
    """What PyTorch is given to do: the critic's step alone, with a number from 0 to 1 for each pair of rows."""

    def more(self, gan, batch_size, rng):
        return {"mix": rng.random((peers.CHECK_STEPS, gan.rows_per_step(batch_size)), np.float32)}

    def train(self, gan, real, noise_d, mix):
        gan.train_discriminator(real, noise_d, mix if gan.penalty and gan.penalty.mixes else None)


def figures(seconds, side, name):
    """A step's time, and as a multiple of the plain one of its side and of numgan's like it, round by round."""
    own = seconds[side, name]
    ratios = {"ratio": spread(own / seconds[side, PLAIN]), "to_numgan": spread(own / seconds["numgan", name])}
    return {"seconds": spread(own)} | ratios


# ------------------------------------------------------------------------------------------------------------ reports


def measures(recipe, row):
    found = []
    for side, steps in row.items():
        of = "" if side == "numgan" else f", {side}"
        for name, own in steps.items():
            if "seconds" not in own:
                continue
            found.append(report.measure(f"{recipe} critic step: {name}{of}", "s", own["seconds"]))
            if name != PLAIN:
                found.append(report.measure(f"{recipe} critic step: {name} / plain{of}", "×", own["ratio"]))
            if of:
                found.append(report.measure(f"{recipe} critic step: {name}{of} / numgan", "×", own["to_numgan"]))
    return found


def table(result):
    """The report as text."""
    blocks = []
    for recipe, row in result["recipes"].items():
        lines = [["step", "median", "quartiles", "/ plain", "quartiles"]]
        if "torch" in row:
            lines[0] += ["/ numgan", "quartiles", "differs by"]
        for side, steps in row.items():
            for name, own in steps.items():
                if "seconds" in own:
                    lines.append([f"{side} {name}", *cells(own)] + ["—"] * 3 * (side == "numgan" and "torch" in row))
        title = f"{recipe}: a critic's step, threads: {result['settings']['threads']}"
        blocks.append("\n".join([report.columns(lines, title), *verdicts(row), *absent(row)]))
    if result["machine"]["peers"]:
        blocks.append("differs by: how far from numgan's weights PyTorch ends after three steps on the same batches, "
                      "as a share of the way")  # fmt: skip
        blocks.append(", ".join(f"{name} {version}" for name, version in result["machine"]["peers"].items()))
    return "\n\n".join(blocks)


def cells(own):
    """A line of the table but for its name; what a peer has besides follows."""
    line = [*report.time_cells(own["seconds"]), *ratio(own["ratio"])]
    return [*line, *ratio(own["to_numgan"]), f"{own['differs']:.0e}"] if "differs" in own else line


def ratio(spread):
    """["2.05×", "2.01–2.10"]."""
    return [f"{spread['median']:.2f}×", f"{spread['low']:.2f}–{spread['high']:.2f}"]


def verdicts(row):
    """A line per target: whether numgan meets it."""
    for name, most in TARGETS.items():
        found = row["numgan"][name]["ratio"]["median"]
        yield f"target: {name} at most {most} × the plain step; {'met' if found <= most else 'missed'}: {found:.2f} ×"


def absent(row):
    """A line if PyTorch does not run, with the reason."""
    for own in list(row.get("torch", {}).values())[:1]:
        yield from (f"{own['title']}: {key}: {own[key]}" for key in ("missing", "failed") if key in own)


def draw(figure, result):
    """A dot with quartiles per step, as a multiple of the plain step of its side; targets dashed."""
    figure.set_size_inches(6 * len(result["recipes"]), 4)
    panels = figure.subplots(1, len(result["recipes"]), squeeze=False, sharey=True)[0]
    for ax, (recipe, row) in zip(panels, result["recipes"].items(), strict=True):
        for (_, steps), shift, color in zip(row.items(), (-0.12, 0.12), (report.BLUE, report.ORANGE), strict=False):
            for y, name in enumerate(STEPS):
                if "seconds" in steps[name]:
                    spread = steps[name]["ratio"]
                    ax.plot([spread["low"], spread["high"]], [y + shift] * 2, color=color, linewidth=2.5, alpha=0.5)
                    ax.plot(spread["median"], y + shift, "o", color=color)
                    text = report.time_text(steps[name]["seconds"], brief=True)
                    ax.annotate(text, (spread["high"], y + shift), (9, 0), textcoords="offset points", va="center",
                                fontsize=8, color=color)  # fmt: skip
        for name, most in TARGETS.items():
            y = list(STEPS).index(name)
            ax.plot([most, most], [y - 0.4, y + 0.4], color="0.3", linewidth=1.2, linestyle="--")
        ax.set_yticks(range(len(STEPS)), list(STEPS))
        ax.set_ylim(len(STEPS) - 0.4, -0.6)
        ax.set_xlim(0.8, max(ax.get_xlim()[1], *TARGETS.values()) + 0.5)  # room for the texts
        ax.set_xlabel("× the plain step, less is better; dashed: the target")
        ax.set_title(recipe)
        report.tidy(ax, "x")
    handles = [report.patch(report.BLUE, "numgan"), report.patch(report.ORANGE, "PyTorch")]
    panels[-1].legend(handles=handles[: len(row)], loc="lower right", frameon=False)
