"""Tables as text, columns as wide as their widest cell, and as HTML for notebooks; and what `--json` prints."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Container, Iterable, Sequence
from typing import Any

GREEN, RED = "rgba(46, 160, 67, 0.25)", "rgba(248, 81, 73, 0.25)"  # tints, behind text in the colour of its theme


def aligned(rows: Sequence[Sequence[str]], left: Iterable[int]) -> list[str]:
    """A line of text per row of cells (strings): columns in `left` flush left, the others right, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def as_json(value: Any) -> str:
    """JSON as all commands print it: indented, Unicode as it is, null for numbers that are not finite."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(value):
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def html_table(rows: Sequence[Sequence[str]], left: Container[int], tints: Sequence[str] = ()) -> str:
    """The rows as an HTML table, the first its head: columns in `left` flush left, the others right.

    tints  what stands behind each row of the body, a CSS colour or ""; default nothing.

    Every cell is escaped, and keeps its spaces. Colours of text and lines are the notebook's own, be it light or dark.
    """
    aligns = ["left" if i in left else "right" for i in range(len(rows[0]))]
    lines = [_row("th", rows[0], aligns)]
    for row, tint in zip(rows[1:], tints or [""] * (len(rows) - 1), strict=True):
        lines.append(_row("td", row, aligns, tint))
    return "\n".join(["<table>", *lines, "</table>"])


def html_lines(text: str, tint: str = "") -> str:
    """Lines of text as HTML, escaped, as `print` shows them; `tint` is what stands behind them."""
    style = f"white-space: pre-wrap; font-family: monospace; margin: 0.8em 0 0.4em{_behind(tint)}"
    return f'<div style="{style}">{html.escape(text)}</div>'


def html_picture(png: bytes, name: str) -> str:
    """A PNG picture as HTML, its bytes inside."""
    encoded = base64.b64encode(png).decode("ascii")
    return f'<img style="max-width: 100%" alt="{html.escape(name)}" src="data:image/png;base64,{encoded}">'


def _row(kind, cells, aligns, tint=""):
    cells = [
        f'<{kind} style="text-align: {align}; white-space: pre{_behind(tint)}">{html.escape(cell)}</{kind}>'
        for cell, align in zip(cells, aligns, strict=True)
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _behind(tint):
    return f"; background: {tint}" if tint else ""


def figure(value: float) -> str:
    """A number to three places; a count in the hundreds or more whole."""
    return f"{value:.0f}" if abs(value) >= 100 and float(value).is_integer() else f"{value:#.3g}"
