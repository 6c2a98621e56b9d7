"""matplotlib figures, made and written; what they show is drawn elsewhere.

Figures are made without pyplot: nothing global is touched and no display is needed. matplotlib is imported with the
first figure: that takes longer than all the rest of numgan, and much of what numgan does draws nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from numgan.errors import Error
from numgan.files import atomic_write
from numgan.hints import Array, FileName

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI, NOTEBOOK_DPI = 100, 72  # in files; in notebooks, whose cells are narrow and keep every picture as text


class DrawingError(Error, RuntimeError):
    """matplotlib cannot be used; the message says why."""


def new_figure(**how: Any) -> Figure:
    """An empty matplotlib Figure; DrawingError where matplotlib does not start."""
    try:
        from matplotlib.figure import Figure
    except Exception as error:  # it reads the environment, the home directory and files of the user's
        raise DrawingError(f"matplotlib cannot be imported, so nothing can be drawn: {error}") from error
    return Figure(**how)


def panels(rows: int, columns: int) -> tuple[Figure, Array]:
    """A figure and its axes, row by row, to be laid out by `arrange`."""
    figure = new_figure()
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def arrange(
    figure: Figure,
    cell: tuple[float, float],
    margins: tuple[float, float, float, float],
    beside: tuple[float, float] = (0, 0),
) -> None:
    """Give the figure of `panels` its size: each panel fills its cell (width, height) but for the margins (left, right,
    bottom, top), and right of all cells and above them so much is left free; all in inches. Laid out by hand:
    matplotlib's own layout takes half of the time of such a picture.
    """
    rows, columns = figure.axes[0].get_subplotspec().get_gridspec().get_geometry()
    (width, height), (left, right, bottom, top) = cell, margins
    size = width * columns + beside[0], height * rows + beside[1]
    figure.set_size_inches(size)
    figure.subplots_adjust(
        left=left / size[0],
        right=1 - (right + beside[0]) / size[0],
        bottom=bottom / size[1],
        top=1 - (top + beside[1]) / size[1],
        wspace=(left + right) / (width - left - right),
        hspace=(bottom + top) / (height - bottom - top),
    )


def save(figure: Figure, path: FileName) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def gif(figure: Figure, frames: Iterable[None], path: FileName, per_second: int) -> None:
    """Write an animated GIF that runs for ever, whole or not at all: what the figure shows at every turn of `frames`,
    which draws it anew before each.
    """
    from matplotlib.animation import PillowWriter  # by now there is a figure

    writer = PillowWriter(fps=per_second)
    with atomic_write(path) as temporary:
        writer.setup(figure, temporary, DPI)
        for _ in frames:
            writer.grab_frame()
        writer.finish()


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG, for a notebook."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=NOTEBOOK_DPI)
    return file.getvalue()
