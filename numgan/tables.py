"""Text tables: columns as wide as their widest cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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


def figure(value: float) -> str:
    """A number to three places; a count in the hundreds or more whole."""
    return f"{value:.0f}" if abs(value) >= 100 and float(value).is_integer() else f"{value:#.3g}"
