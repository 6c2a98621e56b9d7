"""matplotlib figures, made and written; what they show is drawn elsewhere.

Figures are made without pyplot: nothing global is touched and no display is needed. matplotlib is imported with the
first figure: that takes longer than all the rest of numgan, and much of what numgan does draws nothing.
"""

from __future__ import annotations

import io
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


def panels(
    rows: int, columns: int, cell: tuple[float, float], margins: tuple[float, float, float, float]
) -> tuple[Figure, Array]:
    """A figure and its axes, row by row: each fills its cell (width, height) but for the margins (left, right, bottom,
    top), all in inches. Laid out by hand: matplotlib's own layout takes half of the time of such a picture.
    """
    (width, height), (left, right, bottom, top) = cell, margins
    figure = new_figure(figsize=(width * columns, height * rows))
    figure.subplots_adjust(
        left=left / (width * columns),
        right=1 - right / (width * columns),
        bottom=bottom / (height * rows),
        top=1 - top / (height * rows),
        wspace=(left + right) / (width - left - right),
        hspace=(bottom + top) / (height - bottom - top),
    )
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def save(figure: Figure, path: FileName) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG, for a notebook."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=NOTEBOOK_DPI)
    return file.getvalue()
