"""Pictures of a study: the measure that ranks its cells, and samples of each cell."""

from __future__ import annotations

import itertools
import math

import numpy as np

from numgan.hints import FileName
from numgan.study import runs
from numgan.study.plots import GENERATED, REAL, new_figure, save
from numgan.study.studies.results import ENDS, Study, shortfall, spread
from numgan.study.studies.space import typed
from numgan.tables import figure as number

MOST_ROWS = 60  # cells of a dot plot
MOST_PANELS = 60  # cells whose samples are shown
WIDE = 20  # largest over smallest: colours and axes then follow the logarithm
NOTHING = (0.88, 0.88, 0.88)  # where no value is
DARK = 0.55  # luminance of a colour under which text is white


def overview(study: Study, path: FileName) -> None:
    """study.png: a dot per seed where one setting varies, a heat map where two make a grid; else a row of dots for each
    cell, the best first.
    """
    if len(study.cells[0].values) == 1:
        _line(study, path)
    elif grid := _grid(study):
        _heat_map(study, grid, path)
    else:
        _rows(study, path)


def _axes(study):
    """Each setting that varies, and its values: numbers in their order, others as they come."""
    values = {name: list(dict.fromkeys(cell.values[name] for cell in study.cells)) for name in study.cells[0].values}
    return {name: sorted(v) if all(isinstance(x, int | float) for x in v) else v for name, v in values.items()}


def _grid(study):
    """Rows of cells, a column for each value of the second setting; None unless two settings make a grid."""
    axes = _axes(study)
    if len(axes) != 2 or len(study.cells) != math.prod(map(len, axes.values())):
        return None
    cells = {tuple(cell.values.values()): cell for cell in study.cells}
    down, across = axes.values()
    return [[cells[y, x] for x in across] for y in down]


def _title(study):
    measure = study.measure
    real = "" if measure.real is None else f" (real data: {number(measure.real)})"
    return f"{study.recipe}: {measure.name}\n{measure.better}{real}"


def _ends(study, cell):
    """What is to be said of a cell besides its value, a line each."""
    seeds = len(cell.outcomes)
    lines = [f"{cell.count(end)} of {seeds} {said}" for end, said in ENDS.items() if cell.count(end)]
    longest = max(other.length for other in study.cells)
    return lines + ([f"{cell.length:,} {study.unit}"] if cell.length < longest else [])


def _spans(values):
    """Whether positive numbers reach so far that their logarithm is to be shown."""
    known = [value for value in values if value is not None]
    return bool(known) and min(known) > 0 and max(known) > WIDE * min(known)


# ----------------------------------------------------------------------------------------------------------- heat map


def _heat_map(study, grid, path):
    from matplotlib.colors import LogNorm, Normalize

    higher = study.measure.better.startswith("higher")
    shades = np.array([[shortfall(cell, study.measure) for cell in row] for row in grid]) * (-1 if higher else 1)
    shades[np.isinf(shades)] = np.nan
    known = shades[np.isfinite(shades)].tolist() or [0.0]
    low, high = min(known), max(known)
    norm = (LogNorm if _spans(known) else Normalize)(low, high if high > low else low + abs(low) / 2 + 1e-9)
    figure = new_figure(figsize=(2.6 + 1.5 * len(grid[0]), 1.7 + 0.9 * len(grid)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shades, cmap="YlGnBu" if higher else "YlGnBu_r", norm=norm, aspect="auto")  # dark is good
    axes.set_facecolor(NOTHING)
    for (y, x), shade in np.ndenumerate(shades):
        _cell(axes, study, grid[y][x], (y, x), image.to_rgba(shade) if np.isfinite(shade) else NOTHING)
    for axis, (name, values) in zip((axes.yaxis, axes.xaxis), _axes(study).items(), strict=True):
        axis.set_ticks(range(len(values)), [typed(value) for value in values])
        axis.set_label_text(name)
    seeds = len(study.cells[0].outcomes)
    axes.set_title(_title(study) + (f"\nmedian of {seeds} seeds, lowest to highest" if seeds > 1 else ""), fontsize=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    scale = study.measure.name if _way_is_known(study.measure) else f"|{study.measure.name} − real|"
    figure.colorbar(image, label=scale)
    save(figure, path)


def _way_is_known(measure):
    return measure.better.startswith(("higher", "lower"))


def _cell(axes, study, cell, place, color):
    """A cell's numbers on its colour; the best has a frame."""
    y, x = place
    ink = "white" if np.dot(color[:3], (0.299, 0.587, 0.114)) < DARK else "black"
    found, best = spread(cell.figures(study.measure.name)), cell is study.best
    lines = [f"{number(found[1])} to {number(found[2])}"] if found and len(cell.outcomes) > 1 else []
    small = "\n".join([*lines, *_ends(study, cell)])
    axes.text(x, y - 0.06, number(found[0]) if found else "—", color=ink, ha="center", va="bottom", fontsize=12,
              fontweight="bold" if best else "normal")  # fmt: skip
    axes.text(x, y + 0.02, small, color=ink, ha="center", va="top", fontsize=7, linespacing=1.25)
    if best:
        from matplotlib.patches import Rectangle

        axes.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, fill=False, edgecolor=GENERATED, linewidth=2))


# --------------------------------------------------------------------------------------------------------------- dots


def _line(study, path):
    """One setting: its values to the right, a dot per seed, a line through the medians."""
    ((name, values),) = _axes(study).items()
    cells = sorted(study.cells, key=lambda cell: values.index(cell.values[name]))
    numbers = all(isinstance(value, int | float) for value in values)
    places = values if numbers and len(values) > 2 else range(len(values))
    figure = new_figure(figsize=(max(6, 2.2 + 1.1 * len(values)), 4.6), layout="constrained")
    axes = figure.subplots()
    if places is values and min(values) > 0 and max(values) > 5 * min(values):
        axes.set_xscale("log")
    _marks(axes, study, cells, places)
    middles = [spread(cell.figures(study.measure.name)) for cell in cells]
    axes.plot(places, [found[0] if found else np.nan for found in middles], color="0.6", zorder=0, label="median")
    axes.minorticks_off()
    texts = ["\n".join([typed(value), *_ends(study, cell)]) for value, cell in zip(values, cells, strict=True)]
    axes.set_xticks(places, texts, fontsize=8)
    axes.set_xlabel(name)
    if _spans([v for cell in cells for v in cell.figures(study.measure.name)]):
        axes.set_yscale("log")
    if study.measure.real is not None and (study.measure.real > 0 or axes.get_yscale() == "linear"):
        axes.axhline(study.measure.real, color=REAL, linewidth=1, label="real data")
    axes.set_ylabel(study.measure.name)
    _finish(figure, axes, study, path)


def _rows(study, path):
    """A row of dots for each cell, the best first, the median a bar."""
    cells = study.ranked[:MOST_ROWS]
    figure = new_figure(figsize=(9.5, 1.9 + 0.26 * len(cells)), layout="constrained")
    axes = figure.subplots()
    _marks(axes, study, cells, range(len(cells)), across=True)
    for y, cell in enumerate(cells):
        if found := spread(cell.figures(study.measure.name)):
            axes.plot([found[0]] * 2, [y - 0.3, y + 0.3], color="0.2", linewidth=1.5)
    axes.plot([], [], color="0.2", label="median")
    names = list(study.cells[0].values)
    texts = ["  ".join([*(f"{n}={typed(cell.values[n])}" for n in names), *_ends(study, cell)]) for cell in cells]
    axes.set_yticks(range(len(cells)), texts, fontsize=8)
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
    if _spans([v for cell in cells for v in cell.figures(study.measure.name)]):
        axes.set_xscale("log")
    if study.measure.real is not None and (study.measure.real > 0 or axes.get_xscale() == "linear"):
        axes.axvline(study.measure.real, color=REAL, linewidth=1, label="real data")
    some = f", the best {len(cells)} of {len(study.cells)} cells" if len(cells) < len(study.cells) else ""
    axes.set_xlabel(study.measure.name + some)
    _finish(figure, axes, study, path)


def _marks(axes, study, cells, places, across=False):
    """A mark for each seed of each cell, at the cell's place: a dot, or a cross where the run collapsed."""
    for lost, marker, color, label in ((False, "o", GENERATED, "a seed"), (True, "x", "0.2", "collapsed")):
        found = [
            (place, value)
            for cell, place in zip(cells, places, strict=True)
            for value, outcome in zip(cell.figures(study.measure.name), cell.outcomes.values(), strict=True)
            if value is not None and bool(outcome.evaluation["collapsed"]) == lost
        ]
        if found:
            x, y = zip(*found, strict=True)
            axes.scatter(*((y, x) if across else (x, y)), s=22, color=color, marker=marker, label=label, zorder=2)


def _finish(figure, axes, study, path):
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(_title(study), fontsize=10)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    save(figure, path)


# ------------------------------------------------------------------------------------------------------------ samples


def samples(study: Study, path: FileName) -> None:
    """samples.png: what the first seed of each cell makes, all from the same noise. Where two settings make a grid, so
    do the pictures; else the best cell comes first.
    """
    if grid := _grid(study):
        cells, columns = list(itertools.chain(*grid)), len(grid[0])
    else:
        cells = study.ranked[:MOST_PANELS]
        columns = min(len(cells), max(3, math.isqrt(len(cells))))
    rows = -(-len(cells) // columns)
    figure = new_figure(figsize=(2.6 * columns, 0.5 + 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, cell in itertools.zip_longest(axes, cells):
        ax.axis("off")
        if cell:
            _panel(ax, study, cell)
    seed = next(iter(study.cells[0].outcomes))
    some = f", the best {len(cells)} of {len(study.cells)}" if len(cells) < len(study.cells) else ""
    figure.suptitle(f"{study.recipe}: samples of each cell, seed {seed}, the same noise{some}", fontsize=11)
    save(figure, path)


def _panel(axes, study, cell):
    """Samples of a cell, or why there are none."""
    seed, outcome = next(iter(cell.outcomes.items()))
    axes.set_title("\n".join(f"{name}={typed(value)}" for name, value in cell.values.items()), fontsize=8)
    why = "diverged" if outcome.diverged else "failed" if outcome.error else None
    if why is None:
        recipe, config, gan = runs.open_run(cell.directory / f"seed-{seed}")
        noise_rng, rng = np.random.default_rng(0).spawn(2)
        held_out = recipe.load(config["data_from"], config["settings"])[1]
        asked = recipe.pictured(recipe.snapshot_count, held_out, rng)
        noise = noise_rng.standard_normal((recipe.snapshot_count, *gan.generator.shapes[0]), dtype=gan.generator.dtype)
        moment = recipe.moment(gan, noise, rng, asked)
        recipe.draw(axes, moment)
        axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
    else:
        axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes, color="0.4")
