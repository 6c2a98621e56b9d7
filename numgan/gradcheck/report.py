"""The report of a gradient check: a row per tensor, a table to print, a dictionary for scripts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from numgan.errors import Error
from numgan.tables import aligned


class GradientError(Error, AssertionError):
    """Raised by `Report.raise_for_failure`."""


@dataclass
class Row:
    """The check of one tensor. `error`, `analytic`, `numeric` are those of the worst coordinate, at `index`."""

    tensor: str
    shape: tuple
    checked: int
    certified: int
    noise: int
    kinks: int
    failed: int
    error: float
    index: tuple | None
    analytic: float
    numeric: float
    verdict: str


@dataclass
class Report:
    """What `check_gradients` found: a row per tensor, and remarks on what is not a number."""

    subject: str
    tolerance: float
    rows: list = field(default_factory=list)
    broken: list = field(default_factory=list)  # guarantees that did not hold, as sentences
    notes: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.broken and all(row.verdict in ("ok", "zero") for row in self.rows)

    @property
    def checked(self) -> int:
        return sum(row.checked for row in self.rows)

    @property
    def worst(self) -> float:
        """The largest relative error of all rows."""
        return max((row.error for row in self.rows), default=0.0)

    def raise_for_failure(self) -> None:
        """Raise GradientError with the table unless the report passed."""
        if not self.passed:
            raise GradientError("\n" + str(self))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return asdict(self) | {
            "passed": self.passed,
            "checked": self.checked,
            "worst": self.worst,
            "coordinates_per_second": self.checked / self.seconds if self.seconds else None,
        }

    def __str__(self):
        head = (
            "tensor",
            "shape",
            "checked",
            "noise",
            "kinks",
            "failed",
            "worst error",
            "at",
            "analytic",
            "numeric",
            "verdict",
        )
        table = [head]
        for r in self.rows:
            where = "direction" if r.index is None else ",".join(map(str, r.index))
            number = "{:.6e}".format
            table.append(
                (
                    r.tensor,
                    "×".join(map(str, r.shape)) or "scalar",
                    f"{r.checked:,}",
                    f"{r.noise:,}",
                    f"{r.kinks:,}",
                    f"{r.failed:,}",
                    f"{r.error:.1e}",
                    where,
                    number(r.analytic),
                    number(r.numeric),
                    r.verdict,
                )
            )
        lines = aligned(table, left=(0, 1, 10))
        lines.insert(1, "─" * len(lines[0]))
        rate = (
            f", {self.seconds:.2f} s, {self.checked / self.seconds:,.0f} coordinates per second" if self.seconds else ""
        )
        verdict = "passed" if self.passed else "FAILED"
        lines = [
            self.subject,
            *lines,
            *(f"BROKEN: {text}" for text in self.broken),
            *(f"note: {text}" for text in self.notes),
        ]
        return "\n".join(
            [
                *lines,
                f"{verdict}: {self.checked:,} numbers, worst relative error {self.worst:.1e} "
                f"(tolerance {self.tolerance:.0e}){rate}",
            ]
        )
