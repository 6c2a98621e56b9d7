"""The picture of a `History`, history.png: the objective's panels, each with the values that theory gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.figures import panels
from numgan.hints import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numgan.gan.history import History

POINTS = 1_000  # a curve is averaged down to about this many points


def curves(record: History) -> Figure:
    """A matplotlib Figure of all panels of the objective, the penalty and the L1, a curve for each replica.

    Gaps stay gaps: a side that does not play leaves its panels empty, and says so.
    """
    shown = [panel for part in (record.objective, record.penalty, record.l1) if part for panel in part.panels]
    columns = min(len(shown), 3)
    figure, axes = panels(-(-len(shown) // columns), columns, (5.3, 3.5), (0.75, 0.1, 0.5, 0.3))
    for ax in axes[len(shown) :]:
        ax.axis("off")
    for ax, panel in zip(axes, shown, strict=False):
        drawn = [curve for curve in panel.curves if record.has(curve[0])]
        if not drawn:
            ax.set_title(f"{panel.title}: does not play")
            ax.axis("off")
            continue
        for column, label, color in drawn:
            for r, values in enumerate(record[column].reshape(len(record), -1).T):
                curve(ax, record["step"], values, label if r == 0 else None, color)
        for height, label in panel.lines:
            ax.axhline(height, color="0.6", linestyle=":", linewidth=1, label=label)
        ax.set(title=panel.title, xlabel="step")
        ax.set_ylim(*panel.limits)
        ax.legend(fontsize=8)
    return figure


def curve(axes: Axes, steps: Array, values: Array, label: str | None, color: Any, **how: Any) -> None:
    """Values at steps without their gaps, averaged over equal stretches where there are more points than a picture can
    show.
    """
    known = ~np.isnan(values)
    steps, values = steps[known], values[known]
    stretch = max(1, len(values) // POINTS)
    used = len(values) // stretch * stretch
    means = values[:used].reshape(-1, stretch).mean(axis=1)
    axes.plot(steps[:used].reshape(-1, stretch)[:, -1], means, color=color, linewidth=0.8, label=label, **how)
