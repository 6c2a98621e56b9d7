"""`numgan exercise`: the list, a file to fill in, hints, the check and the solution."""

from __future__ import annotations

import contextlib
import os
import textwrap
from argparse import ArgumentParser, Namespace
from pathlib import Path

from numgan.cli.streams import fail
from numgan.errors import ArgumentError, Error
from numgan.files import ReadError, WriteError
from numgan.study.exercises import progress, sheet
from numgan.study.exercises.answer import AnswerError, check, load
from numgan.study.exercises.catalogue import EXERCISES, after, get
from numgan.study.exercises.exercise import Exercise
from numgan.study.exercises.progress import ProgressError
from numgan.tables import aligned, as_json

HELP = "write a kernel's backward pass yourself, and have it checked"
WIDTH = 100  # of a line of hints


class ExistsError(Error):
    """A file that is there already."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="writes NAME.py into the working directory, to be filled in; without it, lists them all: "
        + ", ".join(EXERCISES),
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check", action="store_true", help="check NAME.py, whose code is then run, and say what is wrong with it"
    )
    what.add_argument("--hint", action="store_true", help="print the next hint, after those given before")
    what.add_argument("--solution", action="store_true", help="print the kernel itself; best after the hints")
    what.add_argument("--json", action="store_true", help="print the list as JSON")


def run(arguments: Namespace) -> int:
    """The exit status: 1 for an answer that is not right, or that cannot be checked."""
    if arguments.json and arguments.name:
        raise ArgumentError("--json is of the list of exercises, and goes without the name of one")
    if arguments.name is None:
        for option in ("check", "hint", "solution"):
            if getattr(arguments, option):
                raise ArgumentError(f"--{option} takes the name of an exercise: {', '.join(EXERCISES)}")
    exercise, folder = arguments.name and get(arguments.name), Path()
    try:
        if exercise is None:
            return _list_as_json(folder) if arguments.json else _list(folder)
        if arguments.check:
            return _check(exercise, folder)
        if arguments.hint:
            return _hint(exercise, folder)
        if arguments.solution:
            return _solution(exercise)
        return _write(exercise, folder)
    except (AnswerError, ExistsError, ProgressError, ReadError) as error:
        return fail("numgan exercise", error, 1)


def _list(folder):
    standings = progress.read(folder)
    rows = [
        (str(number), name, exercise.title, _standing(exercise, standings[name]))
        for number, (name, exercise) in enumerate(EXERCISES.items(), 1)
    ]
    print("\n".join(aligned(rows, left=(1, 2, 3))))
    solved = _solved(standings)
    print(
        f"\n{len(solved)} of {len(EXERCISES)} solved in this folder{_next(after(list(EXERCISES.values())[-1], solved))}"
    )
    return 0


def _list_as_json(folder):
    standings = progress.read(folder)
    rows = [
        {"name": name, "title": exercise.title, "solved": standings[name].solved}
        | {"hints": len(exercise.hints), "hints_given": standings[name].hints}
        for name, exercise in EXERCISES.items()
    ]
    print(as_json(rows))
    return 0


def _standing(exercise, standing):
    hints = f"{standing.hints} of {len(exercise.hints)} hints" if standing.hints else ""
    return ", ".join(filter(None, ["solved" if standing.solved else "", hints]))


def _solved(standings):
    return {name for name, standing in standings.items() if standing.solved}


def _next(exercise):
    return f"; next: numgan exercise {exercise.name}" if exercise else ", all of them"


def _write(exercise: Exercise, folder: Path) -> int:
    path = folder / f"{exercise.name}.py"
    number = list(EXERCISES).index(exercise.name) + 1
    text = sheet.text(exercise, number, len(EXERCISES))
    try:
        file = open(path, "x", encoding="utf-8")  # noqa: SIM115
    except FileExistsError:
        raise ExistsError(f"{path} is there already and stays as it is; move it away for a fresh one") from None
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with file:
            file.write(text)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise WriteError(f"{path}: cannot be written: {error.strerror}") from error
    print(f"{path}: write the body of {exercise.kernel.__name__}, then numgan exercise {exercise.name} --check")
    return 0


def _check(exercise: Exercise, folder: Path) -> int:
    path = folder / f"{exercise.name}.py"
    if not os.path.lexists(path):
        raise AnswerError(f"{path} is not there; numgan exercise {exercise.name} writes it")
    standings = progress.read(folder)
    report, wrong = check(exercise, load(exercise, path))
    standing = standings[exercise.name]
    if wrong:
        print("\n".join([f"{exercise.name}: not yet", *(f"  {line}" for line in wrong)]))
        if standing.hints < len(exercise.hints):
            print(f"stuck? numgan exercise {exercise.name} --hint")
        return 1
    standing.solved = True
    progress.write(folder, standings)
    print(
        f"{exercise.name}: right, all {report.checked} numbers to {report.worst:.0e}"
        f"{_next(after(exercise, _solved(standings)))}"
    )
    return 0


def _hint(exercise: Exercise, folder: Path) -> int:
    standings = progress.read(folder)
    standing = standings[exercise.name]
    if standing.hints < len(exercise.hints):
        standing.hints += 1
        progress.write(folder, standings)
    for number, hint in enumerate(exercise.hints[: standing.hints], 1):
        print(textwrap.fill(f"hint {number} of {len(exercise.hints)}: {hint}", WIDTH))
    if standing.hints == len(exercise.hints):
        print(f"that was the last one; numgan exercise {exercise.name} --solution prints the kernel")
    return 0


def _solution(exercise: Exercise) -> int:
    print(f"# of {exercise.kernel.__module__}; best read when the hints are used up\n\n{sheet.source(exercise.kernel)}")
    return 0
