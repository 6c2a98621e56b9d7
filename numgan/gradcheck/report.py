"""The report of a gradient check: a row per tensor, a table to print, a dictionary for scripts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from numgan.errors import Error
from numgan.tables import GREEN, RED, aligned, html_lines, html_table


class GradientError(Error, AssertionError):
    """Raised by `Report.raise_for_failure`.

    >>> report = check_gradients(np.tanh, np.ones(3), gradient=lambda x, dy: dy)
    >>> try:
    ...     report.raise_for_failure()
    ... except GradientError as error:
    ...     print(str(error).splitlines()[-2])
    x: everywhere, by the factor 2.3811
    """


PASSED = ("ok", "mostly", "zero")  # verdicts on a tensor that a passing report may have


@dataclass(kw_only=True)
class Row:
    """The check of one tensor. `error`, `analytic`, `numeric` are those of the worst coordinate, at `index`.

    `noise` counts coordinates lost in rounding that is small beside the largest gradient, `hidden` those lost in more.
    `remark` says what a wrong tensor looks like.
    """

    tensor: str
    shape: tuple[int, ...]
    checked: int
    certified: int
    noise: int = 0
    hidden: int = 0
    kinks: int = 0
    failed: int = 0
    error: float
    index: tuple[int, ...] | None
    analytic: float
    numeric: float
    verdict: str
    remark: str = ""


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
        return not self.broken and all(row.verdict in PASSED for row in self.rows)

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

    def __repr__(self):
        lines = aligned(self._table(), left=(0, 1, 12))
        lines.insert(1, "─" * len(lines[0]))
        return "\n".join([self.subject, *lines, *self._remarks(), self._verdict()])

    def _repr_html_(self):
        """What a notebook shows: the same, verdicts where a narrow window shows them, and red behind what is wrong."""
        table = [(tensor, verdict, *others) for tensor, *others, verdict in self._table()]
        tints = ["" if row.verdict in PASSED else RED for row in self.rows]
        remarks = "\n".join(self._remarks())
        parts = [
            html_lines(self.subject),
            html_table(table, (0, 1, 2), tints),
            *([html_lines(remarks)] if remarks else []),
        ]
        return "\n".join([*parts, html_lines(self._verdict(), GREEN if self.passed else RED)])

    def _table(self):
        """A row of texts for each tensor, under the head."""
        head = ("tensor", "shape", "checked", "certified", "noise", "hidden", "kinks", "failed", "worst error", "at")
        table = [(*head, "analytic", "numeric", "verdict")]
        for r in self.rows:
            where = "direction" if r.index is None else ",".join(map(str, r.index))
            counts = (r.checked, r.certified, r.noise, r.hidden, r.kinks, r.failed)
            shape = "×".join(map(str, r.shape)) or "scalar"
            numbers = (f"{r.error:.1e}", where, f"{r.analytic:.6e}", f"{r.numeric:.6e}")
            table.append((r.tensor, shape, *(f"{n:,}" for n in counts), *numbers, r.verdict))
        return table

    def _remarks(self):
        return [
            *(f"{r.tensor}: {r.remark}" for r in self.rows if r.remark),
            *(f"BROKEN: {text}" for text in self.broken),
            *(f"note: {text}" for text in self.notes),
        ]

    def _verdict(self):
        rate = (
            f", {self.seconds:.2f} s, {self.checked / self.seconds:,.0f} coordinates per second" if self.seconds else ""
        )
        certified = sum(r.certified for r in self.rows)
        return (
            f"{'passed' if self.passed else 'FAILED'}: {self.checked:,} numbers, "
            f"{certified:,} of them certified, worst relative error {self.worst:.1e} (tolerance {self.tolerance:.0e})"
            + rate
        )
