"""Pictures of samples and of training, drawn with matplotlib into files.

Every file is written whole or not at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from numgan.data.mnist import to_pixels, to_unit_range
from numgan.figures import arrange, gif, new_figure, panels, png, save
from numgan.gan.curves import curve, curves
from numgan.gan.insides import GRADIENT, SIDES
from numgan.hints import Array, FileName, Rng

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from numgan.data.mnist import Digits
    from numgan.gan.history import History
    from numgan.gan.insides import Insides
    from numgan.gan.model import GAN

REAL, GENERATED = "tab:blue", "tab:red"
SIDE = 28
PANELS = 12  # evolution.png shows at most this many moments
PER_SECOND, HELD = 5, 6  # frames of an animation; for how many more the end of a training stands still
SINE_FRAME = (-3.8, 3.8, -1.7, 1.7)  # left, right, bottom, top of pictures of points
PLAIN = {  # what measures are called where their names are no words
    "frechet_distance": "Fréchet distance",
    "class_frechet": "Fréchet distance within classes",
    "kl_divergence": "KL divergence",
    "curve_error": "mean distance from the curve",
    "curve_error_median": "median distance from the curve",
    "x_mean": "mean of x",
    "x_std": "standard deviation of x",
    "x_ks": "Kolmogorov–Smirnov distance of x",
    "nearest_training_median": "median distance to the training data",
    "l1": "L1 distance to the targets",
}


def as_png(draw: Callable[[Axes], Any]) -> bytes:
    """What `draw(axes)` makes, as the PNG file of a small picture."""
    figure = new_figure(figsize=(4, 4), layout="constrained")
    draw(figure.subplots())
    return png(figure)


def image_grid(pixels: Array, columns: int) -> Array:
    """Images, uint8 (n, channels, height, width) of 1 or 3 channels, as one picture (rows, columns, channels), so many
    images to a row with a thin frame; unused cells white.
    """
    _, channels, height, width = pixels.shape
    rows = -(-len(pixels) // columns)
    picture = np.full((rows * (height + 2), columns * (width + 2), channels), 255, np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + 2) + 1, i % columns * (width + 2) + 1
        picture[top : top + height, left : left + width] = np.moveaxis(image, 0, -1)
    return picture


def digit_grid(samples: Array, columns: int) -> Array:
    """The `image_grid` of digits (n, 784) in [−1, 1]."""
    return image_grid(to_pixels(samples).reshape(-1, 1, SIDE, SIDE), columns)


def draw_images(axes: Axes, pixels: Array) -> None:
    """A grid of images, uint8 (n, channels, height, width), on one pair of axes; grey where there is one channel."""
    picture = image_grid(pixels, int(np.ceil(np.sqrt(len(pixels)))))
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.axis("off")


def draw_digits(axes: Axes, samples: Array) -> None:
    """A grid of digits (n, 784) on one pair of axes."""
    draw_images(axes, to_pixels(samples).reshape(-1, 1, SIDE, SIDE))


def draw_points(axes: Axes, samples: Array, size: float = 6) -> None:
    """Generated points over the sine curve."""
    t = np.linspace(-3.5, 3.5, 200)
    axes.plot(t, np.sin(t), color="0.75", linewidth=2, zorder=0)
    axes.scatter(samples[:, 0], samples[:, 1], s=size, color=GENERATED, alpha=0.5, linewidths=0)
    axes.set(xlim=SINE_FRAME[:2], ylim=SINE_FRAME[2:], xlabel="x", ylabel="y")


class Surface(NamedTuple):
    """The discriminator's map of the plane: its answers at the middles of a grid of cells over the frame.

    undecided  the answer of a discriminator that can only guess, or None where answers are a critic's scores.
    """

    frame: tuple
    answers: np.ndarray
    undecided: float | None


def decision_surface(gan: GAN, frame: tuple[float, float, float, float], cells: tuple[int, int] = (96, 72)) -> Surface:
    """The `Surface` of a GAN's discriminator."""
    left, right, bottom, top = frame
    columns, rows = cells
    x = left + (right - left) * (np.arange(columns) + 0.5) / columns
    y = bottom + (top - bottom) * (np.arange(rows) + 0.5) / rows
    points = np.stack([a.ravel() for a in np.meshgrid(x, y)], axis=1)
    answers = gan.discriminator.predict(points).reshape(rows, columns)
    return Surface(frame, answers, gan.objective.undecided)


def draw_game(axes: Axes, moment: Any) -> AxesImage:
    """Real and generated points on the discriminator's map: blue where it says real, red where fake, line at ½.

    A critic's scores have no zero of their own: they are shown from their lowest to their highest, without a line.
    Returns the map, whose label says what its colours mean.
    """
    real, generated, (frame, answers, undecided) = moment
    low, high = (0, 1) if undecided is not None else (answers.min(), answers.max())
    image = axes.imshow(
        answers, origin="lower", extent=frame, aspect="auto", cmap="RdBu", vmin=low, vmax=high, alpha=0.6, zorder=-1
    )
    image.set_label("D(x, y): " + ("a critic's score" if undecided is None else "probability of being real"))
    for points, color, label in ((real, REAL, "real"), (generated, GENERATED, "generated")):
        axes.scatter(points[:, 0], points[:, 1], s=4, color=color, linewidths=0, label=label)
    if undecided is not None:
        if answers.min() < undecided < answers.max():
            axes.contour(answers, [undecided], origin="lower", extent=frame, colors="0.3", linewidths=0.8)
        axes.plot([], [], color="0.3", linewidth=0.8, label="D = ½")
    axes.set(xlim=frame[:2], ylim=frame[2:], xlabel="x", ylabel="y")
    return image


def draw_centres(axes: Axes, centres: Array) -> None:
    """Rings about the centres of a mixture, and the axes to one scale, so that a circle is one."""
    axes.scatter(*centres.T, s=70, facecolors="none", edgecolors="0.2", linewidths=0.8, label="centre of a mode")
    axes.set_aspect("equal")


def game(
    real: Array, generated: Any, surface: Surface, title: str, path: FileName, centres: Array | None = None
) -> None:
    """One picture of `draw_game`, with its scale; the centres of a mixture marked where given."""
    figure = new_figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    image = draw_game(axes, (real, generated, surface))
    figure.colorbar(image, label=image.get_label())
    if centres is not None:
        draw_centres(axes, centres)
    axes.set(title=title)
    axes.legend(loc="upper left", markerscale=2)
    save(figure, path)


def image_samples(pixels: Array, title: str, path: FileName) -> None:
    """samples.png of a GAN for images, uint8 (n, channels, height, width)."""
    figure = new_figure(figsize=(8, 8.4), layout="constrained")
    axes = figure.subplots()
    draw_images(axes, pixels)
    axes.set_title(title)
    save(figure, path)


def image_rows(rows: Mapping[str, Array], title: str, path: FileName) -> None:
    """Pictures that belong together in columns: name -> uint8 (n, channels, height, width), a row each, the first three
    of one height and width; twelve columns to a block, and the next block below.
    """
    n = len(next(iter(rows.values())))
    columns = min(n, 12)
    blocks = [slice(start, start + columns) for start in range(0, n, columns)]
    figure = new_figure(figsize=(9, 0.9 + 9 / columns * len(rows) * len(blocks) * 0.92), layout="constrained")
    lines = figure.subplots(len(blocks) * len(rows), 1, squeeze=False).ravel()
    for axes, (block, (name, pixels)) in zip(lines, itertools.product(blocks, rows.items()), strict=True):
        picture = image_grid(pixels[block], columns)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axes.spines[:].set_visible(False)
    figure.suptitle(title)
    save(figure, path)


def side_by_side(blocks: Mapping[str, Array], rows: int, title: str, path: FileName) -> None:
    """Blocks of pictures beside each other, of so many rows each: name -> uint8 (n, channels, height, width)."""
    widths = [len(pixels) // rows for pixels in blocks.values()]
    figure = new_figure(figsize=(0.4 + 0.75 * sum(widths), 1.2 + 0.75 * rows), layout="constrained")
    panels = figure.subplots(1, len(blocks), width_ratios=widths, squeeze=False)[0]
    for axes, width, (name, pixels) in zip(panels, widths, blocks.items(), strict=True):
        axes.imshow(image_grid(pixels, width), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(name, fontsize=10)
        axes.axis("off")
    figure.suptitle(title, fontsize=11)
    save(figure, path)


def captioned_rows(pixels: Array, captions: Sequence[str], columns: int, title: str, path: FileName) -> None:
    """Images, uint8 (n, channels, height, width), so many to a row, each row with a text in front of it."""
    columns, cell, head = min(columns, len(pixels)), 0.62, 0.8  # inches, and below
    side = 0.3 + 0.075 * max(map(len, captions))
    width, height = side + cell * columns + 0.4, head + cell * len(captions)
    figure = new_figure(figsize=(width, height))
    axes = figure.add_axes((side / width, 0, cell * columns / width, 1 - head / height))
    picture = image_grid(pixels, columns)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    middles = len(picture) / len(captions) * (np.arange(len(captions)) + 0.5)
    axes.set(xticks=[], yticks=middles, yticklabels=captions)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.suptitle(title, fontsize=11, y=1 - 0.1 / height, va="top")
    save(figure, path)


def point_samples(samples: Array, real: Array | None, title: str, path: FileName) -> None:
    """samples.png of the sine GAN: generated points, and real ones where given, over the curve."""
    figure = new_figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    if real is not None:
        axes.scatter(real[:, 0], real[:, 1], s=6, color=REAL, alpha=0.5, linewidths=0, label="real (t, sin t)")
    draw_points(axes, samples)
    outside = np.sum((np.abs(samples[:, 0]) > 3.8) | (np.abs(samples[:, 1]) > 1.7) | ~np.isfinite(samples).all(axis=1))
    label = f"generated ({outside} outside the frame)" if outside else "generated"
    axes.scatter([], [], s=6, color=GENERATED, label=label)
    axes.set(title=title, xlabel="x", ylabel="y")
    axes.legend(loc="upper left")
    save(figure, path)


def data_set(digits: Digits, rng: Rng, path: FileName) -> None:
    """mnist.png: random images, ten of each class to a row, beside a bar chart of classes that differ in size.

    Images without labels: the grid alone, a hundred at random.
    """
    counts = None if digits.labels is None else np.bincount(digits.labels, minlength=10)
    equal = counts is None or counts.min() == counts.max()
    figure = new_figure(figsize=(6.4, 6.8) if equal else (12.4, 6.4), layout="constrained")
    axes, *bars = figure.subplots(1, 1 if equal else 2, squeeze=False)[0]
    title = f"random sample of {len(digits):,} images"
    if counts is None:
        chosen = rng.permutation(len(digits))[:100]
        picture = digit_grid(to_unit_range(digits.images[chosen]), min(len(chosen), 10))
        axes.axis("off")
    else:
        picture = np.concatenate([_class_row(digits, label, rng) for label in range(10)])
        middles = len(picture) / 10 * (np.arange(10) + 0.5)
        axes.set(xticks=[], yticks=middles, yticklabels=range(10), ylabel="class")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        title += f", {counts[0]:,} of each class" if equal else ""
    for chart in bars:
        chart.bar_label(chart.bar(range(10), counts, color=REAL), fmt="{:,.0f}", fontsize=8, padding=2)
        chart.set(xticks=range(10), xlabel="class", ylabel="images", title="class distribution")
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title)
    save(figure, path)


def _class_row(digits, label, rng):
    """Ten random images of a class side by side, fewer where it has fewer, the rest of the row white."""
    members = rng.permutation(np.flatnonzero(digits.labels == label))[:10]
    row = np.ones((10, *digits.shape), np.float32)
    row[: len(members)] = to_unit_range(digits.images[members])
    return digit_grid(row, 10)


def evolution(snapshots: Any, draw: Callable[..., Any], path: FileName) -> None:
    """evolution.png: [(step, moment)] in order, one panel a moment, `draw(axes, moment)` filling it.

    At most PANELS moments are shown, each so many behind the one before, and the last. What `draw` returns is the map
    behind the moment, which gets a scale, or None.
    """
    last = len(snapshots) - 1
    chosen = [*range(0, last, max(1, -(-last // (PANELS - 1)))), last]
    figure = new_figure()
    _draw_moments(figure, [(f"step {snapshots[i][0]:,}", snapshots[i][1]) for i in chosen], draw)
    save(figure, path)


def animation(snapshots: Any, draw: Callable[..., Any], path: FileName) -> None:
    """evolution.gif: every one of these moments, a frame each, as `evolution` draws them; the last is held."""
    titled = [(f"step {step:,}", moment) for step, moment in snapshots]
    moving(titled, draw, path, HELD)


def moving(titled: Any, draw: Callable[..., Any], path: FileName, held: int = 0) -> None:
    """An animated GIF of moments [(title, moment)], a frame each; the last stands still for `held` more."""
    figure = new_figure()

    def frames():
        for one in titled:
            figure.clear()
            yield _draw_moments(figure, [one], draw)
        yield from [None] * held

    gif(figure, frames(), path, PER_SECOND)


def _draw_moments(figure, titled, draw):
    """Moments [(title, moment)] in rows of four, x and y named at the outside alone; above them what all panels'
    marks mean, and right of them the scale of their maps.
    """
    columns = min(len(titled), 4)
    axes = figure.subplots(-(-len(titled) // columns), columns, squeeze=False).ravel()
    images = []
    for i, (ax, (title, moment)) in enumerate(zip(axes, titled, strict=False)):
        images.append(draw(ax, moment))
        ax.set_title(title, fontsize=10)
        ax.tick_params(labelsize=8, labelleft=i % columns == 0, labelbottom=i + columns >= len(titled))
        ax.set(
            xlabel=ax.get_xlabel() if i + columns >= len(titled) else "", ylabel="" if i % columns else ax.get_ylabel()
        )
    for ax in axes[len(titled) :]:
        ax.axis("off")
    if not axes[0].axison:
        arrange(figure, (3.1, 3.4), (0.05, 0.05, 0.05, 0.35))
        return
    marks, labels = axes[0].get_legend_handles_labels()
    mapped = images[0] is not None
    arrange(figure, (3.2, 2.7), (0.6, 0.1, 0.45, 0.25), (0.95 * mapped, 0.3 * bool(marks)))
    if marks:
        figure.legend(marks, labels, loc="upper center", ncols=len(marks), fontsize=9, frameon=False, markerscale=1.5)
    if mapped:
        _add_scale(figure, images)


def _add_scale(figure, images):
    """The maps' scale, right of them; where each has one of its own, as a critic's scores have, without numbers."""
    width, height = figure.get_size_inches()
    beside = figure.add_axes((1 - 0.87 / width, 0.45 / height, 0.15 / width, 1 - 1 / height))
    bar = figure.colorbar(images[0], cax=beside)
    bar.set_label(images[0].get_label(), fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if len({image.get_clim() for image in images}) > 1:
        bar.set_ticks(images[0].get_clim(), labels=["lowest", "highest"])


def history(record: History, title: str, path: FileName) -> None:
    """history.png: the `curves` of a history."""
    save(curves(record, title), path)


def gradients(insides: Insides, path: FileName) -> None:
    """gradients.png: the gradient norm of every layer over the training, a panel per network, coloured from its first
    layer to its last. A side that does not play says so.
    """
    norms = {
        side: {layer: kinds[GRADIENT] for layer, kinds in insides.layers(side).items() if GRADIENT in kinds}
        for side in SIDES
    }
    names = 0.6 + 0.07 * max((len(layer) for named in norms.values() for layer in named), default=0)  # inches
    height = max(4.2, 1 + 0.165 * max(map(len, norms.values())))
    figure, axes = panels(1, 2)
    arrange(figure, (4.7 + names, height), (0.75, names, 0.5, 0.3))
    from matplotlib import colormaps  # which there is, now that there is a figure

    for ax, (side, named) in zip(axes, norms.items(), strict=True):
        if not named:
            ax.set_title(f"{side}: does not play")
            ax.axis("off")
            continue
        # Yellow, the map's end, is not seen on white; zero has no place on a logarithmic scale.
        colors = colormaps["viridis"](np.linspace(0, 0.9, len(named)))
        for (layer, column), color in zip(named.items(), colors, strict=True):
            values = insides[column]
            values = np.where(np.isfinite(values) & (values > 0), values, np.nan)
            curve(ax, insides.steps, values, layer, color, marker="o" if len(insides) == 1 else None)
        ax.set(title=f"{side}: gradient norm by layer", xlabel="step", yscale="log")
        ax.locator_params(axis="x", nbins=6)
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=8, frameon=False, title="first to last")
    save(figure, path)


def seeds(runs: Any, path: FileName) -> None:
    """seeds.png: a panel per measure, which says what is better, with a dot per seed, crossed out where it collapsed,
    and real data's value.
    """
    evaluated = [run for run in runs if run.evaluation]
    measures = evaluated[0].evaluation["measures"]
    columns = min(len(measures), 3)
    rows = -(-len(measures) // columns)
    figure = new_figure(figsize=(4.2 * columns, 0.3 + 3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(measures) :]:
        ax.axis("off")
    for i, (ax, measure) in enumerate(zip(axes, measures, strict=False)):
        for collapsed, marker, color in ((False, "o", GENERATED), (True, "x", "0.2")):
            shown = [x for x, run in enumerate(evaluated) if bool(run.evaluation["collapsed"]) == collapsed]
            if shown:
                values = [evaluated[x].evaluation["measures"][i]["value"] for x in shown]
                label = "collapsed" if collapsed else "a seed"
                ax.scatter(shown, [np.nan if v is None else v for v in values], c=color, marker=marker, label=label)
        ax.set_xticks(range(len(evaluated)), [run.seed for run in evaluated])
        ax.axhline(np.nan if measure["real"] is None else measure["real"], color=REAL, label="real data")
        ax.set_title(f"{_plain(measure['name'])}\n", fontsize=11)
        ax.text(0.5, 1.02, measure["better"], ha="center", va="bottom", fontsize=8, transform=ax.transAxes)
        ax.set_xlabel("seed")
        ax.margins(y=0.15)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=9)
    save(figure, path)


def _plain(name):
    """A measure's name as one would say it."""
    return PLAIN.get(name, name.replace("_", " "))
