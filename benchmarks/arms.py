"""`arms`: what several arms of one study end up as, seed by seed: objectives, penalties, rates, side by side.

An arm is a recipe under a few settings, see `benchmarks.studies`; each is trained and evaluated once per seed, as
`numgan train RECIPE --seeds` does it. What OUT/STUDY.json already holds of the same settings and seed is not trained
again: a benchmark that was stopped goes on, and arms can be added one by one. Run directories, pictures included, stay
in OUT/STUDY.

Nothing is timed: the machine may be busy meanwhile.
"""

import json
import shutil
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import BenchmarkError, report
from benchmarks.studies import STUDIES
from benchmarks.timing import spread
from numgan.files import atomic_write
from numgan.study import recipes, seeds
from numgan.study.settings import SettingError, with_overrides


def run(arguments):
    study, directory = STUDIES[arguments.study], Path(arguments.out)
    directory.mkdir(parents=True, exist_ok=True)
    file, common = directory / f"{arguments.study}.json", settings_of(arguments)
    result = report.start(arguments.study, arguments)
    del result["others"]  # as nothing is timed
    result |= {"common": common, "arms": held(file, common)}
    for name in chosen(study, arguments.arms):
        arm = begun(study, study.arms[name] | common, result["arms"].get(name))
        result["arms"][name] = arm
        missing = [seed for seed in range(arguments.seeds) if str(seed) not in arm["seeds"]]
        if "refused" in arm or not missing:
            continue
        report.progress(f"{name}: seeds {', '.join(map(str, missing))}")
        stopped = train(study, arm, missing, directory / arguments.study / name)
        with atomic_write(file) as temporary:
            Path(temporary).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if stopped:
            raise KeyboardInterrupt
    report.progress("")
    arms = {name: result["arms"][name] for name in study.arms if name in result["arms"]}
    result["measures"] = measures(study, arms)
    print(table(study, arms))
    (directory / f"{arguments.study}.md").write_text(markdown(study, arms), encoding="utf-8")
    about = f"{arguments.seeds} seeds to an arm, {text(common)}; the bar is their median, the line is real data"
    report.write(result, directory, partial(draw, study=study, arms=arms), about)


def settings_of(arguments):
    """The settings that all arms have in common."""
    pairs = [text.partition("=") for text in arguments.set]
    if bad := [name for name, equals, _ in pairs if not equals]:
        raise BenchmarkError(f"--set {bad[0]}: expected NAME=VALUE")
    return {name: value for name, _, value in pairs}


def chosen(study, names):
    """The arms that are asked for, or BenchmarkError."""
    if unknown := [name for name in names or () if name not in study.arms]:
        raise BenchmarkError(f"no arm {unknown[0]!r}; there are {', '.join(study.arms)}")
    return names or tuple(study.arms)


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


def begun(study, settings, before):
    """An arm: what was held of it under these settings, and "refused" where the recipe does not take them."""
    settings = {name: str(value) for name, value in settings.items()}
    arm = {"settings": settings, "seeds": before["seeds"] if before and before["settings"] == settings else {}}
    recipe, own = split(study, settings)
    try:
        with_overrides(recipes.get(recipe).settings, own)
    except SettingError as error:
        arm["refused"] = str(error)
    return arm


def split(study, settings):
    """The name of the recipe that these settings are for, and those that are the recipe's own."""
    own = dict(settings)
    return own.pop("recipe", study.recipe), own


def train(study, arm, missing, directory):
    """Train and evaluate an arm's missing seeds; whether that was stopped."""
    for seed in missing:  # what a stopped benchmark has left of them
        shutil.rmtree(directory / f"seed-{seed}", ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    recipe, own = split(study, arm["settings"])
    trained, stopped = seeds.train(recipe, own, missing, directory, quiet=True)
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


def measures(study, arms):
    """The flat list that `compare` reads."""
    names = dict.fromkeys((study.each[0], *study.spans))
    return [
        report.measure(f"{name}: {measure}", "", spread(found))
        for name, arm in arms.items()
        for measure in names
        if (found := values(arm, measure))
    ]


def real(arms):
    """What real data gets on each measure, as the first seed that was evaluated has it; None before there is one."""
    evaluated = (row for arm in arms.values() for row in ordered(arm) if "measures" in row)
    return next((row["real"] for row in evaluated), None)


def rows(study, arms):
    """The table as cells: the heading, a row per arm that has run, and real data's."""
    each, heading, form = study.each
    yield ["arm", *study.told, f"{heading}, seed by seed", *study.spans.values(), "collapsed"]
    for name, arm in arms.items():
        if not arm["seeds"]:
            continue
        recipe, own = split(study, arm["settings"])
        told = [str(own.get(setting, getattr(recipes.get(recipe).settings, setting))) for setting in study.told]
        singly = [figure(row["measures"][each], form) if "measures" in row else "—" for row in ordered(arm)]
        spans = [span(values(arm, measure)) for measure in study.spans]
        evaluated = [row for row in ordered(arm) if "measures" in row]
        lost, failed = sum(bool(row["collapsed"]) for row in evaluated), len(arm["seeds"]) - len(evaluated)
        end = f"{lost} of {len(evaluated)}" + (f", {failed} more failed" if failed else "")
        yield [name, *told, " ".join(singly), *spans, end]
    if best := real(arms):
        spans = [report.number(best[measure]) for measure in study.spans]
        yield ["real data", *["—"] * len(study.told), figure(best[each], form), *spans, "—"]


def figure(value, form):
    """A value by its format; a measure that is not finite is kept as None."""
    return "—" if value is None else format(value, form)


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


def table(study, arms):
    """The report as text."""
    return "\n".join([report.columns(list(rows(study, arms)), study.title), *notes(arms)])


def markdown(study, arms):
    """The report as a table for the README."""
    heading, *body = rows(study, arms)
    lines = [heading, ["---"] * len(heading), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def draw(figure, result, study, arms):
    """The study's axes, a panel each: a dot per seed, a row per arm, real data as a line."""
    arms, best = {name: arm for name, arm in arms.items() if arm["seeds"]}, real(arms)
    figure.set_size_inches(5 * len(study.axes), 1.6 + 0.35 * len(arms))
    panels = figure.subplots(1, len(study.axes), sharey=True, squeeze=False)[0]
    for ax, (measure, (label, end)) in zip(panels, study.axes.items(), strict=True):
        for y, arm in enumerate(arms.values()):
            found = values(arm, measure)
            ax.plot(found, [y] * len(found), "o", color=report.BLUE, alpha=0.5)
            if found:
                ax.plot(median(found), y, "|", color="0.2", markersize=14)
        if best:
            ax.axvline(best[measure], color=report.ORANGE, linewidth=1, zorder=0)
        end = end or ax.get_xlim()[1]
        ax.set_xlim(-0.03 * end, 1.03 * end)
        ax.set_yticks(range(len(arms)), list(arms))
        ax.set_ylim(len(arms) - 0.4, -0.6)
        ax.set_xlabel(label)
        report.tidy(ax, "x")
