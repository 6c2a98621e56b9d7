"""`ring`: which objective, with which penalty, finds the eight modes of the recipe `ring` and stays with them.

An arm is the recipe under a few settings; each is trained and evaluated once per seed, as `numgan train ring --seeds`
does it. What OUT/ring.json already holds of the same settings and seed is not trained again: a benchmark that was
stopped goes on, and arms can be added one by one. Run directories, pictures included, stay in OUT/ring.

Nothing is timed: the machine may be busy meanwhile.
"""

import json
import shutil
from pathlib import Path
from statistics import median

from benchmarks import BenchmarkError, report
from benchmarks.timing import spread
from numgan.files import atomic_write
from numgan.study import recipes, seeds
from numgan.study.settings import SettingError, with_overrides

# Five critic steps to one of the generator: Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875, algorithm 1, and
# Gulrajani, Ahmed, Arjovsky, Dumoulin & Courville 2017, arXiv:1704.00028, algorithm 1.
CRITIC = {"objective": "wasserstein", "discriminator_steps": "5"}
ARMS = {
    "non-saturating": {},
    "minimax": {"objective": "minimax"},
    "least-squares": {"objective": "least-squares"},
    "hinge": {"objective": "hinge"},
    "wasserstein": CRITIC,
    "relativistic": {"objective": "relativistic"},
    "wasserstein+wgan-gp": CRITIC | {"penalty": "wgan-gp"},
    "non-saturating+r1": {"penalty": "r1"},
    "relativistic+r1+r2": {"objective": "relativistic", "penalty": "r1+r2"},
    "non-saturating+average": {"average": "0.999"},
}
SHOWN = {"good_share": "good share", "kl_divergence": "KL", "spread": "spread"}  # beside the modes


def run(arguments):
    directory = Path(arguments.out)
    directory.mkdir(parents=True, exist_ok=True)
    file, common = directory / "ring.json", settings_of(arguments)
    result = report.start("ring", arguments)
    del result["others"]  # as nothing is timed
    result |= {"common": common, "arms": held(file, common)}
    for name in chosen(arguments.arms):
        arm = begun(ARMS[name] | common, result["arms"].get(name))
        result["arms"][name] = arm
        missing = [seed for seed in range(arguments.seeds) if str(seed) not in arm["seeds"]]
        if "refused" in arm or not missing:
            continue
        report.progress(f"{name}: seeds {', '.join(map(str, missing))}")
        stopped = train(arm, missing, directory / "ring" / name)
        with atomic_write(file) as temporary:
            Path(temporary).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if stopped:
            raise KeyboardInterrupt
    report.progress("")
    result["measures"] = measures(result["arms"])
    print(table(result["arms"]))
    (directory / "ring.md").write_text(markdown(result["arms"]), encoding="utf-8")
    report.write(result, directory, draw, f"numgan train ring, {arguments.seeds} seeds to an arm")


def settings_of(arguments):
    """The settings that all arms have in common."""
    pairs = [text.partition("=") for text in arguments.set]
    if bad := [name for name, equals, _ in pairs if not equals]:
        raise BenchmarkError(f"--set {bad[0]}: expected NAME=VALUE")
    return {name: value for name, _, value in pairs}


def chosen(names):
    """The arms that are asked for, or BenchmarkError."""
    if unknown := [name for name in names or () if name not in ARMS]:
        raise BenchmarkError(f"no arm {unknown[0]!r}; there are {', '.join(ARMS)}")
    return names or tuple(ARMS)


def held(file, common):
    """The arms of a results file; none where there is no file. BenchmarkError where it is of other common settings."""
    if not file.exists():
        return {}
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        arms = {name: {"settings": arm["settings"], "seeds": arm["seeds"]} for name, arm in before["arms"].items()}
        others = before["common"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BenchmarkError(f"{file} is not a result of this benchmark; give another --out") from None
    if others != common:
        raise BenchmarkError(f"{file} was made with {text(others)}, this is {text(common)}; give another --out")
    return arms


def text(common):
    """Common settings as they are typed."""
    return " ".join(f"--set {name}={value}" for name, value in common.items()) or "no --set"


def begun(settings, before):
    """An arm: what was held of it under these settings, and "refused" where the recipe does not take them."""
    arm = {"settings": settings, "seeds": before["seeds"] if before and before["settings"] == settings else {}}
    try:
        with_overrides(recipes.get("ring").settings, settings)
    except SettingError as error:
        arm["refused"] = str(error)
    return arm


def train(arm, missing, directory):
    """Train and evaluate an arm's missing seeds; whether that was stopped."""
    for seed in missing:  # what a stopped benchmark has left of them
        shutil.rmtree(directory / f"seed-{seed}", ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    options = ["ring", *(f"--set={name}={value}" for name, value in arm["settings"].items())]
    trained, stopped = seeds.train(options, missing, directory, quiet=True)
    arm["seeds"] |= {str(one.seed): figures(one) for one in trained if one.evaluation or not stopped}
    return stopped


def figures(one):
    """What is kept of a seed: its measures and why it collapsed, or what went wrong."""
    if one.evaluation is None:
        return {"error": one.error}
    evaluated = {measure["name"]: measure["value"] for measure in one.evaluation["measures"]}
    real = {measure["name"]: measure["real"] for measure in one.evaluation["measures"]}
    return {"error": one.error, "measures": evaluated, "real": real, "collapsed": one.evaluation["collapsed"]}


# ------------------------------------------------------------------------------------------------------------ reports


def ordered(arm):
    """What is kept of an arm's seeds, in their order."""
    return [arm["seeds"][seed] for seed in sorted(arm["seeds"], key=int)]


def values(arm, measure):
    """A measure of the seeds that have it."""
    found = [row["measures"][measure] for row in ordered(arm) if "measures" in row]
    return [value for value in found if value is not None]


def measures(arms):
    """The flat list that `compare` reads."""
    names = ("modes", *SHOWN)
    return [
        report.measure(f"{name}: {measure}", "", spread(found))
        for name, arm in arms.items()
        for measure in names
        if (found := values(arm, measure))
    ]


def rows(arms):
    """The table as cells: the heading, a row per arm that has run, and real data's."""
    yield ["arm", "modes of 8, seed by seed", *SHOWN.values(), "collapsed"]
    real = None
    for name, arm in arms.items():
        if not arm["seeds"]:
            continue
        modes = [f"{row['measures']['modes']:.0f}" if "measures" in row else "—" for row in ordered(arm)]
        cells = [span(values(arm, measure)) for measure in SHOWN]
        evaluated = [row for row in ordered(arm) if "measures" in row]
        lost, failed = sum(bool(row["collapsed"]) for row in evaluated), len(arm["seeds"]) - len(evaluated)
        real = real or (evaluated[0]["real"] if evaluated else None)
        end = f"{lost} of {len(evaluated)}" + (f", {failed} more failed" if failed else "")
        yield [name, " ".join(modes), *cells, end]
    if real:
        yield ["real data", f"{real['modes']:.0f}", *(report.number(real[measure]) for measure in SHOWN), "—"]


def span(found):
    """ "0.68 (0.61–0.74)": a median and the extremes."""
    if not found:
        return "—"
    return f"{report.number(median(found))} ({report.number(min(found))}–{report.number(max(found))})"


def notes(arms):
    """A sentence for every arm that the recipe refuses, and for every seed that failed."""
    for name, arm in arms.items():
        if "refused" in arm:
            yield f"{name} has not run: {arm['refused']}"
        for seed, row in arm["seeds"].items():
            if row["error"]:
                yield f"{name}, seed {seed}: {row['error']}"


def table(arms):
    """The report as text."""
    return "\n".join([report.columns(list(rows(arms)), "eight modes on a circle"), *notes(arms)])


def markdown(arms):
    """The report as a table for the README."""
    heading, *body = (f"| {' | '.join(row)} |" for row in rows(arms))
    return "\n".join([heading, "|" + " --- |" * (2 + len(SHOWN) + 1), *body, ""])


def draw(figure, result):
    """Modes and share of good samples: a dot per seed, a row per arm."""
    arms = {name: arm for name, arm in result["arms"].items() if arm["seeds"]}
    figure.set_size_inches(10, 1.6 + 0.35 * len(arms))
    for ax, measure, limits in zip(figure.subplots(1, 2, sharey=True), ("modes", "good_share"), (8, 1), strict=True):
        for y, arm in enumerate(arms.values()):
            found = values(arm, measure)
            ax.plot(found, [y] * len(found), "o", color=report.BLUE, alpha=0.5)
            if found:
                ax.plot(median(found), y, "|", color="0.2", markersize=14)
        ax.set_xlim(-0.03 * limits, 1.03 * limits)
        ax.set_yticks(range(len(arms)), list(arms))
        ax.set_ylim(len(arms) - 0.4, -0.6)
        ax.set_xlabel({"modes": "modes covered, of 8", "good_share": "share of good points"}[measure])
        report.tidy(ax, "x")
