"""`History`: what a run reports, worked out from the discriminator's scores a block of steps at a time.

A training step needs the gradient of its loss, not the loss. Steps therefore only log their scores; every hundred
steps or so one vectorised pass turns them into the columns of the objective (at each step they would take 250 µs, more
than a step of the sine GAN; logged and measured a thousand steps at a time, 7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from numgan.errors import ArgumentError, shown
from numgan.figures import png
from numgan.gan import objectives
from numgan.gan import penalty as penalties
from numgan.gan.curves import curves
from numgan.hints import Array, DType, FileName, Named, Numbers, Shape

if TYPE_CHECKING:
    from numgan.gan.insides import Insides
    from numgan.gan.l1 import L1
    from numgan.gan.objectives import Objective
    from numgan.gan.penalty import Penalty

LAST = 100  # steps that are averaged over to say how a training ended


class ScoreLog:
    """Room for the scores of `steps` training steps: on real rows, on fakes, and in the generator's step on its fakes
    and, where the objective compares pairs, on its real rows; for the norms of the gradients that a penalty looks at;
    and for the generated rows' distances to their targets. Each is (steps, *shape); what there is not has None in place
    of a shape. Of its `room`, which is `steps`, `used` are logged at present.
    """

    def __init__(self, steps: int, shapes: Sequence[Shape | None], dtype: DType) -> None:
        self.arrays = [None if shape is None else np.empty((steps, *shape), dtype) for shape in shapes]
        self._kept = [a for a in self.arrays if a is not None]
        self._rows = list(zip(*map(list, self._kept), strict=True))  # views made once: 0.1 µs each to make
        self.room, self.used = steps, 0

    def write(self, scores: list[Array]) -> None:
        """Log one step: what there is of it, in order."""
        for row, array in zip(self._rows[self.used], scores, strict=True):
            np.copyto(row, array)
        self.used += 1

    def extend(self, logged: Sequence[Array | None]) -> None:
        """Log several steps at once: arrays (steps, *shape), in the order of `take`."""
        given = [a for a in logged if a is not None]
        start, self.used = self.used, self.used + len(given[0])
        for array, new in zip(self._kept, given, strict=True):
            array[start : self.used] = new

    def take(self) -> list[Array | None]:
        """[real, fake, generator's …, norms, errors]: what was logged, None for what there is not; empties the log."""
        taken = [None if a is None else a[: self.used] for a in self.arrays]
        self.used = 0
        return taken


class History:
    """One row per step: step (counted from 1) and the objective's columns; arrays (steps,), with replicas (steps, R).

    Each objective says its own columns, in `columns` and `derived`. Of the minimax game, whichever the generator has:
    d_loss_real, d_loss_fake          binary cross-entropy of real rows and of fakes, each against its label.
    d_accuracy_real, d_accuracy_fake  shares of the batch that the discriminator puts on the right side of ½.
    g_loss, g_accuracy                the generator's objective, and the share of fakes that passed as real.
    d_real, d_fake                    mean D(x) on real rows and mean D(G(z)) on fakes: ½ at the equilibrium.
    value                             V(D, G) = mean log D(x) + mean log(1 − D(G(z))): −log 4 at the equilibrium
                                      (Goodfellow et al. 2014, arXiv:1406.2661, eq. 1 and theorem 1).
    Worked out on asking: step, d_accuracy (the mean of both) and d_loss (their mean, or their sum where the objective
    says so). The columns of a side that does not play are gaps: NaN, and empty in the CSV.

    With a penalty, gaps at steps that do not pay it:
    gradient_norm                     mean ‖∇ₓ score‖ over the points it looks at.
    penalty                           what it adds to the discriminator's loss.

    With an `L1`:
    l1                                mean |G − target| over the generator's batch.

    objective  an `Objective` or its name; default "non-saturating".
    replicas   () or (R,), as the scores have them; default ().
    penalty    a `Penalty` or its name; default None.
    l1         an `L1`; default None.

    Where `GAN.fit` was asked for `insides`, the `Insides` is in the attribute of that name, else None, and its columns,
    "generator.dense_1.gradient_norm" and the like, are columns here too: gaps at all steps without a look.

    seed  of the generator that `fit` made for itself, a whole number below 2³²; None where it was given one, or went on
          from a checkpoint, which has the state of its own.

    Rows are only ever added, in arrays that grow: what has been handed out stays as it is.

    stopped  replica -> what was not finite, and when: of those that a training with a generator for each has stopped.

    `print` shows how it ended, a notebook its curves.

    >>> gan = GAN(Sequential([Dense(2)], 3, rng), Sequential([Dense(1), Sigmoid()], 2, rng))
    >>> history = gan.fit(SinePoints(), steps=100, batch_size=8, rng=rng)
    >>> len(history), history["d_loss"].shape, history.columns[-1]
    (100, (100,), 'value')
    """

    def __init__(
        self,
        objective: Objective | str = "non-saturating",
        replicas: Shape = (),
        penalty: Penalty | str | None = None,
        l1: L1 | None = None,
    ) -> None:
        self.objective, self.penalty, self.l1 = objectives.get(objective), penalties.get(penalty), l1
        self.seed: int | None = None
        self.columns = sum((part.columns for part in (self.objective, self.penalty, self.l1) if part), ())
        self._columns = {name: np.empty((0, *replicas)) for name in self.columns}
        self._length = 0
        self.insides: Insides | None = None
        self.stopped: dict[int, str] = {}

    def __len__(self) -> int:
        return self._length

    def add(self, log: ScoreLog) -> tuple[int, str] | None:
        """Take over the logged steps and empty the log.

        Returns None, or (step, column) of the first value among them that is not finite.
        """
        start, columns = len(self), self.measured(log)
        self.extend(columns)
        bad = self.first_bad(columns)
        return bad and (start + bad[0], bad[1])

    def measured(self, log: ScoreLog) -> Named:
        """name -> values (steps, …) of the columns that the logged steps have; empties the log."""
        (real, fake, *judged, norms, errors), columns = log.take(), {}
        if real is not None:
            columns |= self.objective.measure_discriminator(real, fake)
        if judged[0] is not None:
            columns |= self.objective.measure_generator(*judged)
        if norms is not None:
            columns |= self.penalty.measure(norms)
        if errors is not None:
            columns |= self.l1.measure(errors)
        return columns

    def extend(self, columns: Named) -> None:
        """Append `measured` columns; gaps for those that there are not."""
        gap = np.full_like(next(iter(columns.values())), np.nan)
        for name in self.columns:
            self._append(name, columns.get(name, gap))
        self._length += len(gap)

    def first_bad(self, columns: Named) -> tuple[int, str] | None:
        """(step, column) of the first value of the objective that is not finite, steps counted from 1, or None."""
        bad = []
        for name in self.objective.columns:
            if name in columns:
                finite = np.isfinite(columns[name]).reshape(len(columns[name]), -1).all(axis=1)
                if not finite.all():
                    bad.append((int(finite.argmin()) + 1, name))
        return min(bad, key=lambda found: found[0], default=None)

    def _append(self, name, values):
        """Write values behind the column's rows, in memory twice as long where there is no room."""
        n, held = len(self), self._columns[name]
        if len(held) < n + len(values):
            grown = np.empty((max(2 * n, n + len(values)), *values.shape[1:]), values.dtype)
            if n:
                grown[:n] = held[:n]
            self._columns[name] = grown
        self._columns[name][n : n + len(values)] = values

    def __getitem__(self, name: str) -> Array:
        """A column by name: an array (steps,), or (steps, R) with replicas."""
        if name == "step":
            return np.arange(1, len(self) + 1)
        if name in self.objective.derived:
            return self.objective.derived[name](self)
        if self.insides is not None and name in self.insides.columns:
            return self._between_gaps(self.insides.steps, self.insides[name])
        return self._columns[name][: len(self)]

    def _between_gaps(self, steps, values):
        column = np.full((len(self), *values.shape[1:]), np.nan)
        column[steps - 1] = values
        return column

    def state_dict(self) -> Named:
        """Every column recorded, not copied: rows that are there never change."""
        return {name: self[name] for name in self.columns}

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Raise ValueError unless these are this game's columns, of one length."""
        names = self.columns
        if arrays.keys() != set(names):
            raise ArgumentError(f"history: expected the columns {', '.join(names)}, got {shown(sorted(arrays))}")
        length = np.shape(arrays[names[0]])[:1] or (0,)
        for name in names:
            array, wanted = np.asarray(arrays[name]), length + self._columns[name].shape[1:]
            if array.dtype.kind != "f" or array.shape != wanted:
                raise ArgumentError(f"history: {name} is {array.dtype} of shape {array.shape}, expected {wanted}")

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Hold these columns, and nothing of what was there."""
        self.check_state_dict(arrays)
        columns = {name: np.array(arrays[name]) for name in self.columns}
        self._columns, self._length = columns, len(next(iter(columns.values())))

    def has(self, name: str) -> bool:
        """Whether a column has values, and not gaps alone."""
        return len(self) > 0 and not np.isnan(self[name]).all()

    def last(self, column: str, steps: int) -> Array:
        """What a column has in its last steps, without gaps: a penalty may be paid now and then."""
        values = self[column][-steps:]
        return values[~np.isnan(values)]

    def last_mean(self, column: str, steps: int, form: str) -> str:
        """The mean of that as text, or a dash where there are only gaps."""
        known = self.last(column, steps)
        return format(float(known.mean()), form) if known.size else "—"

    def __repr__(self):
        """How it ended."""
        if not len(self):
            return "no steps yet"
        lines = self.objective.summary(lambda column, form: self.last_mean(column, LAST, form))
        for heading, column, form in self.l1.watched if self.l1 else ():
            lines.append(f"{heading:<15} {self.last_mean(column, LAST, form)}")
        return "\n  ".join([f"over the last {min(len(self), LAST)} of {len(self):,} steps", *lines])

    def _repr_png_(self):
        """What a notebook shows: its curves."""
        return png(curves(self)) if len(self) else None

    def write_csv(self, path: FileName) -> None:
        """Write a header line and a line per step, shortest digits that read back as the same float32; gaps are empty.

        With replicas each column is written once per replica: d_loss_real[0], d_loss_real[1], …
        """
        names, columns = [], []
        for name in [*self.columns, *(() if self.insides is None else self.insides.columns)]:
            values = self[name].astype(np.float32)
            names += [name] if values.ndim == 1 else [f"{name}[{r}]" for r in range(values.shape[1])]
            columns += [values] if values.ndim == 1 else list(values.T)
        texts = [["" if np.isnan(v) else str(v) for v in column] for column in columns]
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(",".join(["step", *names]) + "\n")
            for step, row in enumerate(zip(*texts, strict=True), 1):
                file.write(f"{step}," + ",".join(row) + "\n")
