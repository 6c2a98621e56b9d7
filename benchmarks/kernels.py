"""`kernels`: every kernel of the recipes' steps alone, on the very buffers of the step, against the machine's peak.

What a kernel does is not written down here but watched: it is run once on arrays that count what every NumPy call
reads, writes and multiplies. Its share of the peak is then the time that the machine, at its own measured rates, would
need for that, over the time it takes:

    share = max(FLOP of products / peak product rate, bytes / peak bandwidth in cache) / time

A share near 100 % says that only fewer passes can be faster. A small one says that the time goes elsewhere: into the
calls themselves on tiny arrays, to memory beyond the caches on large ones, into the arithmetic of a tanh.
"""

import time
from functools import partial
from math import prod

import numpy as np

from benchmarks import report
from benchmarks.loop import Loop, kernel_calls
from benchmarks.timing import interleave, repeat, spread

WARM_STEPS = 20
CHUNK_SECONDS = 0.01
RUNS_UNRESTORED = 16
PRODUCT_SIZES = (512, 1024, 2048)
MEMORY_SIZES = tuple(2**i for i in range(16, 27, 2))  # bytes in use, from within a cache to far beyond


def run(arguments):
    result = report.start("kernels", arguments)
    cases = {}
    for recipe in arguments.recipes:
        loop = Loop(recipe)
        for _ in range(WARM_STEPS):
            loop.step()
        cases |= {f"{recipe} {label}": case for label, case in distinct(loop).items()}
    tasks = {name: Alone(calls).run for name, (_, calls) in cases.items()}
    seconds = interleave(tasks | peak_tasks(), arguments.rounds, CHUNK_SECONDS)
    peaks = Peaks(seconds)
    result["peaks"], result["kernels"] = peaks.table(), {}
    for name, (count, calls) in cases.items():
        work = Work(calls)
        shares, bound = peaks.share(work, seconds[name])
        time_spent, share = spread(seconds[name]), spread(shares)
        result["kernels"][name] = {"calls": count, "flop": work.flop, "bytes": work.bytes, "bound": bound,
                                   "seconds": time_spent, "share": share}  # fmt: skip
        result["measures"].append(report.measure(f"{name}", "s", time_spent))
        result["measures"].append(report.measure(f"{name}: share of peak", "", share))
    report.finish(result, arguments.out, table(result), draw)


# ------------------------------------------------------------------------------------------------------- the kernels


def distinct(loop):
    """label -> (how often a step has it, calls): the kernels of a step that differ in name or shapes."""
    cases = {}
    for name, call in loop.kernels():
        calls = kernel_calls(call)
        label = f"{name} {_shapes(calls)}"
        cases[label] = (cases[label][0] + 1 if label in cases else 1, cases.get(label, (0, calls))[1])
    return dict(sorted(cases.items()))


def _shapes(calls):
    """ "25×6 · 6×128", the factors of a product; or first operand and result; or the length of the arena that several
    calls walk.
    """
    args, keywords = calls[0].args, calls[0].keywords
    if args[0].ndim == 1:
        return f"{sum(call.args[0].size for call in calls):,}"
    if "product" in keywords:
        return " · ".join("×".join(map(str, a.shape)) for a in args[:2])
    return " → ".join(dict.fromkeys("×".join(map(str, a.shape)) for a in (args[0], keywords.get("out", args[0]))))


class Alone:
    """Runs some calls over and over on what the last training step left in their buffers.

    A kernel that works in place changes its input at every run, and a gradient that shrinks again and again soon
    consists of denormal numbers, which take a processor a hundred times as long. So the buffers are restored after
    every few runs, off the clock, and a first run, whose data may lie in another cache, does not count.
    """

    def __init__(self, calls):
        self.calls = calls
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
            for call in self.calls:
                call()
        return time.perf_counter() - start


def operands(calls):
    """The arrays that bound calls work on, each once."""
    arrays = [a for call in calls for a in (*call.args, *call.keywords.values()) if isinstance(a, np.ndarray)]
    return list({(a.__array_interface__["data"][0], a.shape): a for a in arrays}.values())


# ----------------------------------------------------------------------------------------------------- what they do


class Work:
    """What calls do when they run: `flop` in matrix products, `bytes` read and written by all NumPy calls together."""

    def __init__(self, calls):
        self.flop = self.bytes = 0
        for call in calls:
            args = [self._watched(a) for a in call.args]
            call.func(*args, **{k: self._watched(a) for k, a in call.keywords.items()})

    def _watched(self, value):
        if not isinstance(value, np.ndarray):
            return value
        value = value.view(Watched)
        value.work = self
        return value

    def add(self, function, arrays):
        self.bytes += sum(a.nbytes for a in arrays)
        if function in (np.matmul, np.dot):
            left, right, _ = arrays
            self.flop += 2 * prod(left.shape) * right.shape[-1]


class Watched(np.ndarray):
    """An array that reports every ufunc, and every other NumPy function, that it takes part in to its Work."""

    work = None

    def __array_finalize__(self, parent):
        self.work = getattr(parent, "work", None)

    def __array_ufunc__(self, ufunc, method, *inputs, out, **keywords):
        inputs, out = ([np.asarray(a) for a in arrays] for arrays in (inputs, out))
        self.work.add(ufunc, [*inputs, *out])
        return getattr(ufunc, method)(*inputs, out=tuple(out), **keywords)

    def __array_function__(self, function, types, args, keywords):
        args = [np.asarray(a) for a in args]
        keywords = {name: np.asarray(a) if isinstance(a, Watched) else a for name, a in keywords.items()}
        self.work.add(function, [*args, *(a for a in keywords.values() if isinstance(a, np.ndarray))])
        return function(*args, **keywords)


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

    def share(self, work, seconds):
        """(per round the least time that the machine needs for `work` over the time it took, what bounds it)."""
        products, memory = work.flop / self.product, work.bytes / self.in_cache
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
        report.columns(lines, "each kernel alone; calls are those of one training step"),
        report.columns(peaks, "this machine's own peaks; passes over memory run on one core, as NumPy's do"),
    ])  # fmt: skip


def draw(figure, result):
    """A bar per kernel: its share of the peak."""
    recipes = result["settings"]["recipes"]
    groups = [{k.partition(" ")[2]: row for k, row in result["kernels"].items() if k.startswith(r)} for r in recipes]
    most = max(map(len, groups))
    figure.set_size_inches(15, 1.6 + 0.2 * most)
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
