"""The picture of a `History`, history.png: the objective's panels, each with the values that theory gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.figures import arrange, panels
from numgan.hints import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numgan.gan.history import History

POINTS = 1_000  # a curve is averaged down to about this many points
WINDOW = 1 / 20  # of a curve's points, that the running median is over
START = 1 / 50  # of a curve's points, that may run out of the frame
PAD = 30  # points between a frame and its title, for two lines of legend


def curves(record: History, title: str | None = None) -> Figure:
    """A matplotlib Figure of all panels of the objective, the penalty and the L1, a curve for each replica: its running
    median, over the values themselves in pale.

    A side that does not play leaves its panels grey, and says so. The frame fits what follows the first fiftieth of the
    training, whose values may be many times as large.
    """
    shown = [panel for part in (record.objective, record.penalty, record.l1) if part for panel in part.panels]
    columns = min(len(shown), 3)
    figure, axes = panels(-(-len(shown) // columns), columns)
    arrange(figure, (5.3, 3.9), (0.75, 0.1, 0.5, 0.7), (0, 0.3 if title else 0))
    for ax in axes[len(shown) :]:
        ax.axis("off")
    for ax, panel in zip(axes, shown, strict=False):
        drawn = [curve for curve in panel.curves if record.has(curve[0])]
        if drawn:
            _fill(ax, panel, drawn, record)
        else:
            ax.set_title(f"{panel.title}: does not play", pad=PAD)
            ax.set(xticks=[], yticks=[], facecolor="0.93")
            ax.text(0.5, 0.5, "frozen: takes no steps", ha="center", color="0.4", transform=ax.transAxes)
    if title:  # a name of the user's is no formula
        figure.suptitle(title, fontsize=12, y=1 - 0.08 / figure.get_figheight(), va="top", parse_math=False)
    return figure


def _fill(ax, panel, drawn, record):
    """A panel's curves and theory's lines, with the legend between title and frame, where it hides nothing."""
    heights = [height for height, _ in panel.lines]
    for column, label, color in drawn:
        for r, values in enumerate(record[column].reshape(len(record), -1).T):
            steps, values = _points(record["step"], values)
            window = int(len(values) * WINDOW) | 1
            if window > 1:
                ax.plot(steps, values, color=color, linewidth=0.6, alpha=0.25, zorder=1)
            median = running_median(values, window)
            ax.plot(steps, median, color=color, linewidth=1.2, label=label if r == 0 else None)
            heights += [*values[int(len(values) * START) :]]
    for height, label in panel.lines:
        ax.axhline(height, color="0.6", linestyle=":", linewidth=1, label=label)
    low, high = np.min(heights), np.max(heights)
    if low < high and np.isfinite(high - low):  # a training that diverged leaves matplotlib to find a frame
        ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    ax.set_ylim(*panel.limits)
    ax.locator_params(axis="x", nbins=6)
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, frameon=False, borderaxespad=0.1, labelspacing=0.3
    )
    ax.set(xlabel="step")
    ax.set_title(panel.title, pad=PAD)


def running_median(values: Array, window: int) -> Array:
    """The median of the `window` values, an odd number, about each of `values` (n,), mirrored at both ends."""
    mirrored = np.pad(values, window // 2, mode="symmetric")
    return np.median(np.lib.stride_tricks.sliding_window_view(mirrored, window), axis=1)


def curve(axes: Axes, steps: Array, values: Array, label: str | None, color: Any, **how: Any) -> None:
    """Values at steps without their gaps, averaged over equal stretches where there are more points than a picture can
    show.
    """
    axes.plot(*_points(steps, values), color=color, linewidth=0.8, label=label, **how)


def _points(steps, values):
    """The points of such a curve."""
    known = ~np.isnan(values)
    steps, values = steps[known], values[known]
    stretch = max(1, len(values) // POINTS)
    used = len(values) // stretch * stretch
    return steps[:used].reshape(-1, stretch)[:, -1], values[:used].reshape(-1, stretch).mean(axis=1)
