"""Somebody's answer: its file loaded, its function run on every trial, what is wrong with it said and named.

The verdict is that of differences of numgan's own forward kernels (`numgan.gradcheck.differences`). The names of
mistakes come from there too, and from the planted faults: one that gives the same wrong numbers is the mistake that was
made. Where numbers are wrong is shown by the kernel's own, which the same differences certify.
"""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from numgan.errors import Error
from numgan.files import open_regular
from numgan.gradcheck.check import TOLERANCE
from numgan.gradcheck.differences import check_problem
from numgan.gradcheck.faults import FAULTS
from numgan.gradcheck.formulas.compare import VALUE_TOLERANCE, compare
from numgan.gradcheck.functions import function_problem
from numgan.gradcheck.report import PASSED, Report
from numgan.hints import Array, Kernel, Named
from numgan.study.exercises import sheet
from numgan.study.exercises.exercise import Exercise, Trial, Values

SHOWN = 6  # places that are named one by one
CLOSE = 1e-9  # relative to the largest: numbers that are the same mistake's


class AnswerError(Error):
    """An answer that cannot be checked; the message says in a sentence what is in its way."""


def load(exercise: Exercise, path: Path) -> Kernel:
    """The function that a file defines for an exercise, in a form that fails in sentences. Runs the file."""
    with open_regular(path) as file:
        code = file.read()
    defined: dict[str, Any] = {"__name__": path.stem, "__file__": os.fspath(path)}
    try:
        exec(compile(code, os.fspath(path), "exec"), defined)
    except SyntaxError as error:
        raise AnswerError(f"{path.name}, line {error.lineno or 1}: {error.msg}") from error
    except (Exception, SystemExit) as error:  # it is somebody's code, which may do anything
        raise AnswerError(f"{_line(path, error)}: {_said(error)}") from error
    name = exercise.kernel.__name__
    kernel = defined.get(name)
    if not inspect.isfunction(kernel):
        raise AnswerError(f"{path.name} defines no function {name}")
    expected = sheet.signature(exercise.kernel)
    given = list(inspect.signature(kernel).parameters)
    if given != list(inspect.signature(exercise.kernel).parameters):
        raise AnswerError(f"{path.name}: expected {expected}, got {name}({', '.join(map(_written, given))})")
    return _guarded(kernel, path)


def _guarded(kernel, path):
    """The same function; whatever it raises becomes a sentence, with the shapes of what it was given."""

    def guarded(**arguments):
        try:
            returned = kernel(**arguments)
        except NotImplementedError as error:
            raise AnswerError(f"{path.name}: the body of {kernel.__name__} is still empty") from error
        except (Exception, SystemExit) as error:
            shapes = ", ".join(f"{_written(name)} {np.shape(a)}" for name, a in arguments.items() if np.ndim(a))
            raise AnswerError(f"{_line(path, error)}: {_said(error)} (given {shapes})") from error
        if returned is not None:
            raise AnswerError(
                f"{path.name}: {kernel.__name__} returns its result; write it to the array instead, as in out[...] = …"
            )

    return guarded


def _written(name):
    """An argument's name as it is written: Python takes x1ᵀ for x1T."""
    return f"{name[:-1]}ᵀ" if name.endswith("T") else name


def _line(path, error):
    """file.py, line n: the last line of the file that an exception came through."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == os.fspath(path)]
    return f"{path.name}, line {lines[-1]}" if lines else path.name


def _said(error):
    return " ".join(f"{type(error).__name__}: {error}".split())


def check(exercise: Exercise, kernel: Kernel) -> tuple[Report, list[str]]:
    """The report of the first trial that does not pass, and what is wrong in lines; of the last one and no lines when
    all of them pass.

    Raises AnswerError for what writes nothing, or numbers that are none.
    """
    for make in exercise.trials:
        trial = make()
        with np.errstate(all="ignore"):
            mine = trial.results(kernel)
            _refuse(exercise, trial, mine)
            report = _report(trial, kernel)
            if not report.passed:
                return report, list(_wrong(exercise, trial, mine, report))
    return report, []


def _refuse(exercise, trial, mine):
    """Raise for what is left unwritten, and for infinities and NaN."""
    whose, about = f"{exercise.name}.py: the result for", f", {trial.about}" if trial.about else ""
    before = trial.results(lambda **arguments: None)
    for name, array in mine.items():
        for wrong, what in (
            (array == before[name], "left as it was before the call"),
            (~np.isfinite(array), "not finite"),
        ):
            if wrong.all():
                raise AnswerError(f"{whose} {name} is {what}, all of it{about}")
            if wrong.any():
                raise AnswerError(f"{whose} {name} is {what} at {_places(wrong)}{about}")


def _report(trial: Trial | Values, kernel: Kernel) -> Report:
    if isinstance(trial, Values):
        report = Report(trial.about, VALUE_TOLERANCE)
        for name, array in trial.results(kernel).items():
            compare(report, name, array, trial.expected[name])
        return report
    report, rng = Report(trial.about, TOLERANCE), np.random.default_rng([0, *b"exercise"])

    def gradient(dy=None, **point):
        return trial.gradient(kernel, dy, point)

    problem, nonlinear = function_problem(trial.forward, gradient, trial.point, rng)
    problem.rows, problem.columns = trial.samples, True
    for name, known in trial.known.items():
        problem.known[name] = problem.known.get(name, {}) | known
    check_problem(problem, report, rng)
    report.broken += nonlinear()
    return report


def _wrong(exercise: Exercise, trial: Trial | Values, mine: Named, report: Report) -> Iterator[str]:
    """What is wrong, tensor by tensor: how much of it and where, and what it looks like."""
    right = trial.results(exercise.kernel)
    if trial.about:
        yield trial.about
    for row in report.rows:
        if row.verdict in PASSED:
            continue
        off = ~_same(mine[row.tensor], right[row.tensor], TOLERANCE)
        shape = " × ".join(map(str, row.shape))
        yield f"{row.tensor} ({shape}): {off.sum() or row.failed} of {off.size} numbers are wrong" + (
            f", the worst at {list(row.index)}: yours {row.analytic:.6g}, expected {row.numeric:.6g}"
            if row.index
            else ""
        )
        if off.any() and not off.all():
            yield from _map(off)
        if row.remark:
            yield row.remark
    if (mistake := _known_mistake(exercise, trial, mine)) is not None:
        yield f"a classic mistake gives the same numbers: {mistake}"
    if all(row.verdict in PASSED for row in report.rows):  # else they are wrong for the same reason
        yield from report.broken[:1]


def _same(a: Array, b: Array, tolerance: float) -> Array:
    return np.abs(a - b) <= tolerance * np.maximum(np.abs(b), CLOSE * np.abs(b).max(initial=1e-300))


def _map(off):
    """A picture of a matrix, x where it is wrong; a list of places for anything larger."""
    if off.ndim > 2 or off.size > 100:
        yield f"wrong at {_places(off)}"
    else:
        yield from ("    " + " ".join("·x"[int(wrong)] for wrong in line) for line in np.atleast_2d(off))


def _places(where):
    places = [str(list(map(int, place))) for place in np.argwhere(where)]
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return ", ".join(places[:SHOWN]) + more


def _known_mistake(exercise: Exercise, trial: Trial | Values, mine: Named) -> str | None:
    """The name of the planted fault that gives the same numbers, or None."""
    for fault in FAULTS:
        if getattr(fault.owner, fault.attribute, None) is exercise.kernel:
            try:
                found = trial.results(fault.replacement)
            except Exception:  # a mistake that these shapes do not allow
                continue
            if all(np.isfinite(found[name]).all() and _same(mine[name], found[name], CLOSE).all() for name in mine):
                return fault.name.partition(": ")[2]
    return None
