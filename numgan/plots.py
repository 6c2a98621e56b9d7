"""Pictures of samples and of training, drawn with matplotlib into files.

Figures are made without pyplot: nothing global is touched and no display is needed. Every file is written whole or
not at all.
"""

import numpy as np
from matplotlib.figure import Figure

from numgan.data.mnist import to_pixels
from numgan.saving import atomic_write

REAL, GENERATED = "tab:blue", "tab:red"
SIDE = 28
PANELS = 21  # evolution.png shows at most this many moments: the Keras listing's 20, and the end
HISTORY_POINTS = 1_000  # a curve is averaged down to about this many points


def save(figure, path):
    """Write a figure as PNG."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def digit_grid(samples, columns):
    """Images (n, 784) in [−1, 1] as one uint8 picture, `columns` to a row with a thin frame; unused cells white."""
    rows, cell = -(-len(samples) // columns), SIDE + 2
    picture = np.full((rows * cell, columns * cell), 255, np.uint8)
    for i, image in enumerate(to_pixels(samples).reshape(-1, SIDE, SIDE)):
        top, left = i // columns * cell + 1, i % columns * cell + 1
        picture[top : top + SIDE, left : left + SIDE] = image
    return picture


def draw_digits(axes, samples):
    """A grid of digits on one pair of axes."""
    columns = int(np.ceil(np.sqrt(len(samples))))
    axes.imshow(digit_grid(samples, columns), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.axis("off")


def draw_points(axes, samples, size=6):
    """Generated points over the sine curve."""
    t = np.linspace(-3.5, 3.5, 200)
    axes.plot(t, np.sin(t), color="0.75", linewidth=2, zorder=0)
    axes.scatter(samples[:, 0], samples[:, 1], s=size, color=GENERATED, alpha=0.5, linewidths=0)
    axes.set(xlim=(-3.8, 3.8), ylim=(-1.7, 1.7))


def digit_samples(samples, title, path):
    """samples.png of a digit GAN."""
    figure = Figure(figsize=(8, 8.4), layout="constrained")
    axes = figure.subplots()
    draw_digits(axes, samples)
    axes.set_title(title)
    save(figure, path)


def point_samples(samples, real, title, path):
    """samples.png of the sine GAN: generated points, and real ones where given, over the curve."""
    figure = Figure(figsize=(8, 5), layout="constrained")
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


def evolution(snapshots, draw, path):
    """evolution.png: [(step, samples)] in order, one panel a moment, `draw(axes, samples)` filling it.

    At most PANELS moments are shown, evenly chosen, the first and the last among them.
    """
    chosen = np.unique(np.linspace(0, len(snapshots) - 1, min(len(snapshots), PANELS)).round().astype(int))
    columns = min(len(chosen), 7 if len(chosen) > 12 else 4)
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(2.3 * columns if columns > 4 else 3.2 * columns, 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(chosen) :]:
        ax.axis("off")
    for ax, i in zip(axes, chosen, strict=False):
        draw(ax, snapshots[i][1])
        ax.set_title(f"step {snapshots[i][0]:,}", fontsize=10)
        ax.tick_params(labelsize=7)
    save(figure, path)


def history(record, path):
    """history.png: the Keras listing's four panels, losses and accuracies of both networks."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    for row, name in enumerate(("loss", "accuracy")):
        for column, label in ((f"d_{name}_real", "on real"), (f"d_{name}_fake", "on generated"), (f"d_{name}", "both")):
            color = {"on real": REAL, "on generated": GENERATED, "both": "0.2"}[label]
            _curve(axes[row, 0], record, column, label, color)
        axes[row, 0].set_title(f"Discriminator {name}")
        _curve(axes[row, 1], record, f"g_{name}", "against label 1", "darkorange")
        axes[row, 1].set_title(f"Generator {name}")
    for ax in axes[0]:
        ax.axhline(np.log(2), color="0.6", linestyle=":", linewidth=1, label="log 2: undecided")
        ax.set_ylim(bottom=0)
    for ax in axes[1]:
        ax.set_ylim(-0.03, 1.03)
    for ax in axes.ravel():
        ax.set_xlabel("step")
        ax.legend(fontsize=8)
    save(figure, path)


def _curve(axes, record, column, label, color):
    """One column of the history, averaged over equal stretches where it has more points than a picture can show."""
    values, steps = record[column], record["step"]
    stretch = max(1, len(values) // HISTORY_POINTS)
    used = len(values) // stretch * stretch
    means = values[:used].reshape(-1, stretch).mean(axis=1)
    axes.plot(steps[:used].reshape(-1, stretch)[:, -1], means, color=color, linewidth=0.8, label=label)
