"""`kernels`: every kernel of the recipes' steps alone, on the very buffers of the step, against the machine's peak; and
the passes of whole layers on images, `layers`, with the kernels that they consist of.

What a kernel does is not written down here but watched: it is run once on arrays that count what every NumPy call
reads, writes and multiplies. Its share of the peak is then the time that the machine, at its own measured rates, would
need for that, over the time it takes:

    share = max(FLOP of products / peak product rate, bytes / peak bandwidth in cache) / time

A share near 100 % says that only fewer passes can be faster. A small one says that the time goes elsewhere: into the
calls themselves on tiny arrays, to memory beyond the caches on large ones, into the arithmetic of a tanh.
"""

import time
from functools import partial

import numpy as np

from benchmarks import report
from benchmarks.loop import Loop
from benchmarks.timing import interleave, repeat, spread
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dropout import Dropout
from numgan.nn.network import Sequential
from numgan.nn.resampling import AveragePooling2D, UpSampling2D
from numgan.study.profiling import Work

WARM_STEPS = 20
CHUNK_SECONDS = 0.01
RUNS_UNRESTORED = 16
LAYERS, IMAGES = "layers", 128  # the group of layers on images, and how many images
ON_IMAGES = (
    (Conv2D(128, 4, 2, "same"), (64, 14, 14)),
    (Conv2DTranspose(64, 4, 2, "same"), (128, 7, 7)),
    (AveragePooling2D(2), (64, 14, 14)),
    (UpSampling2D(2), (128, 7, 7)),
    (Dropout(0.3), (64, 14, 14)),
)
PRODUCT_SIZES = (512, 1024, 2048)
MEMORY_SIZES = tuple(2**i for i in range(16, 27, 2))  # bytes in use, from within a cache to far beyond


def run(arguments):
    result = report.start("kernels", arguments)
    cases = {}
    for recipe in arguments.recipes:
        if recipe == LAYERS:
            cases |= {f"{recipe} {label}": case for label, case in passes().items()}
            continue
        loop = Loop(recipe)
        for _ in range(WARM_STEPS):
            loop.step()
        cases |= {f"{recipe} {label}": case for label, case in distinct(loop).items()}
    tasks = {name: Alone(calls).run for name, (_, calls) in cases.items()}
    seconds = interleave(tasks | peak_tasks(), arguments.rounds, CHUNK_SECONDS)
    peaks = Peaks(seconds)
    result["peaks"], result["kernels"] = peaks.table(), {}
    for name, (count, calls) in cases.items():
        flop, moved = sum(call.flop for call in calls), Work(calls).bytes
        shares, bound = peaks.share(flop, moved, seconds[name])
        time_spent, share = spread(seconds[name]), spread(shares)
        result["kernels"][name] = {"calls": count, "flop": flop, "bytes": moved, "bound": bound,
                                   "seconds": time_spent, "share": share}  # fmt: skip
        result["measures"].append(report.measure(f"{name}", "s", time_spent))
        result["measures"].append(report.measure(f"{name}: share of peak", "", share))
    report.finish(result, arguments.out, table(result), draw)


# ------------------------------------------------------------------------------------------------------- the kernels


def distinct(loop):
    """label -> (how often a step has it, calls): the kernels of a step that differ in name or shapes."""
    cases = {}
    for call in loop.calls():
        label = f"{call.name} {call.shapes.partition(',')[0]}"
        cases[label] = (cases[label][0] + 1 if label in cases else 1, cases.get(label, (0, call.parts))[1])
    return dict(sorted(cases.items()))


def passes():
    """label -> (how many calls, calls): each pass of each of ON_IMAGES, and its kernels alone if there are several."""
    cases, rng = {}, np.random.default_rng(0)
    for layer, shape in ON_IMAGES:
        network = Sequential([layer], shape, rng)
        title = f"{type(layer).__name__} {_by(shape)} → {_by(network.shapes[-1])}"
        for what, calls in _passes(network):
            cases[f"{title}, {what}"] = len(calls), calls
            kernels = {call.name: [other for other in calls if other.name == call.name] for call in calls}
            if len(kernels) > 1:
                cases |= {f"{title}, {what}: {name}": (len(own), own) for name, own in kernels.items()}
    return cases


def _passes(network):
    """(name, calls) of each pass through a network of one layer, its buffers filled."""
    stages = {  # the input's gradient alone is that of a frozen layer
        "forward": network.plan(IMAGES, training=True, backward=False),
        "weight gradient": network.plan(IMAGES, training=True, backward=True),
        "input gradient": network.plan(IMAGES, training=not network.parameters(), backward=True, input_gradient=True),
    }
    for what, plan in stages.items():
        if what == "weight gradient" and not network.parameters():
            continue
        rng = np.random.default_rng(0)
        for array in (plan.x, plan.dy):
            if array is not None:
                array[...] = rng.standard_normal(array.shape, np.float32)
        plan.run_forward()
        calls = plan.forward if what == "forward" else plan.backward
        yield what, [call for call in calls if not call.skipped]


def _by(shape):
    return "×".join(map(str, shape))


class Alone:
    """Runs some calls over and over on what the last training step left in their buffers.

    A kernel that works in place changes its input at every run, and a gradient that shrinks again and again soon
    consists of denormal numbers, which take a processor a hundred times as long. So the buffers are restored after
    every few runs, off the clock, and a first run, whose data may lie in another cache, does not count.
    """

    def __init__(self, calls):
        self._runs = [call.run for call in calls]
        self.saved = [(array, array.copy(order="K")) for array in operands(calls)]

    def run(self, n):
        """A task for `interleave`."""
        total = 0.0
        for done in range(0, n, RUNS_UNRESTORED):
            for array, copy in self.saved:
                np.copyto(array, copy)
            self._repeat(1)
            total += self._repeat(min(RUNS_UNRESTORED, n - done))
        return total / n

    def _repeat(self, n):
        start = time.perf_counter()
        for _ in range(n):
            for run in self._runs:
                run()
        return time.perf_counter() - start


def operands(calls):
    """The arrays that bound calls work on, each once."""
    arrays = [a for call in calls for a in call.arguments.values() if isinstance(a, np.ndarray)]
    return list({(a.__array_interface__["data"][0], a.shape): a for a in arrays}.values())


# -------------------------------------------------------------------------------------------- what the machine can do


def peak_tasks():
    """Tasks for `interleave`: large square products, and single passes over ever larger arrays."""
    tasks = {}
    for n in PRODUCT_SIZES:
        a, b, c = np.ones((3, n, n), np.float32)
        tasks["product", n] = repeat(partial(np.matmul, a, b, out=c))
    scale = np.array(1.0, np.float32)
    for size in MEMORY_SIZES:
        a, b = np.ones((2, size // 8), np.float32)
        tasks["memory", size, "x → y"] = repeat(partial(np.multiply, a, scale, out=b))
        tasks["memory", size, "x, y → x"] = repeat(partial(np.maximum, a, b, out=a))
    return tasks


class Peaks:
    """The machine's peak rates, each an array with a value per round, from the times of `peak_tasks`."""

    def __init__(self, seconds):
        self.product = np.max([2 * n**3 / seconds["product", n] for n in PRODUCT_SIZES], axis=0)
        passes = {"x → y": 1, "x, y → x": 1.5}  # bytes moved over bytes in use
        self.memory = {
            size: np.max([factor * size / seconds["memory", size, name] for name, factor in passes.items()], axis=0)
            for size in MEMORY_SIZES
        }
        self.in_cache = np.max(list(self.memory.values()), axis=0)

    def share(self, flop, moved, seconds):
        """(per round the least time that the machine needs over the time it took, what bounds it), for so many FLOP
        of products and bytes moved.
        """
        products, memory = flop / self.product, moved / self.in_cache
        bound = "products" if np.median(products) > np.median(memory) else "memory"
        return np.maximum(products, memory) / seconds, bound

    def table(self):
        rates = {"products, GFLOP/s": spread(self.product / 1e9), "memory in cache, GB/s": spread(self.in_cache / 1e9)}
        return rates | {f"memory, {report.size(n)} in use, GB/s": spread(rate / 1e9) for n, rate in self.memory.items()}


# ---------------------------------------------------------------------------------------------------- what is shown


def table(result):
    """The report as text."""
    lines = [["kernel", "calls", "median", "quartiles", "GFLOP/s", "GB/s", "share", "bound by"]]
    for name, row in result["kernels"].items():
        rates = [report.number(row[k] / row["seconds"]["median"] / 1e9) for k in ("flop", "bytes")]
        lines.append([name, row["calls"], *report.time_cells(row["seconds"]), *rates,
                      f"{row['share']['median']:.0%}", row["bound"]])  # fmt: skip
    peaks = [["peak", "median", "quartiles"]]
    for name, rate in result["peaks"].items():
        median, low, high = (report.number(rate[k]) for k in ("median", "low", "high"))
        peaks.append([name, median, f"{low}–{high}"])
    return "\n\n".join([
        report.columns(lines, "each kernel alone; calls are those of one training step, or of a layer's pass"),
        report.columns(peaks, "this machine's own peaks; passes over memory run on one core, as NumPy's do"),
    ])  # fmt: skip


def draw(figure, result):
    """A bar per kernel: its share of the peak."""
    recipes = result["settings"]["recipes"]
    groups = [
        {k.partition(" ")[2]: row for k, row in result["kernels"].items() if k.startswith(f"{r} ")} for r in recipes
    ]
    most = max(map(len, groups))
    figure.set_size_inches(max(15, 7.5 * len(groups)), 1.6 + 0.2 * most)
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for ax, recipe, rows in zip(axes, recipes, groups, strict=True):
        names = list(rows)[::-1]
        colors = [report.BLUE if rows[n]["bound"] == "products" else report.ORANGE for n in names]
        ax.barh(names, [100 * rows[n]["share"]["median"] for n in names], color=colors)
        for y, n in enumerate(names):
            ax.annotate(report.time_text(rows[n]["seconds"], brief=True), (100 * rows[n]["share"]["median"], y), (4, 0),
                        textcoords="offset points", va="center", fontsize=7, color="0.3")  # fmt: skip
        ax.axvline(100, color="0.5", linewidth=1)
        ax.set_xlim(0, 115)
        ax.set_ylim(len(names) - most - 0.7, len(names) - 0.3)
        ax.tick_params(axis="y", labelsize=7)
        ax.set_xlabel("% of the machine's own peak")
        ax.set_title(recipe)
        report.tidy(ax, "x")
    handles = [report.patch(report.BLUE, "bound by products"), report.patch(report.ORANGE, "bound by memory")]
    axes[-1].legend(handles=handles, loc="lower right", frameon=False)
