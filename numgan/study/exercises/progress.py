"""What is solved and how many hints were given, kept in a file of the folder in which the exercises are done."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from numgan.errors import Error
from numgan.files import atomic_write, open_regular
from numgan.study.exercises.catalogue import EXERCISES

FILE = "exercises.json"
MOST = 100_000  # bytes


class ProgressError(Error):
    """A file of progress that is none."""


@dataclass
class Standing:
    """Of one exercise."""

    solved: bool = False
    hints: int = 0


def read(folder: Path) -> dict[str, Standing]:
    """Of every exercise how it stands, by name; a folder without the file has none solved."""
    path = folder / FILE
    found = {}
    if os.path.lexists(path):
        try:
            with open_regular(path) as file:
                found = {name: Standing(**entry) for name, entry in json.loads(file.read(MOST)).items()}
        except (ValueError, TypeError, AttributeError, RecursionError):
            found = {"": Standing()}
    standings = {name: found.pop(name, Standing()) for name in EXERCISES}
    kinds = {(type(s.solved), type(s.hints)) for s in standings.values()}
    if found or kinds != {(bool, int)} or any(s.hints < 0 for s in standings.values()):
        raise ProgressError(f"{FILE} is not a file of progress, or a damaged one; move it away to start afresh")
    return standings


def write(folder: Path, standings: dict[str, Standing]) -> None:
    """Keep it; only of what has been begun."""
    begun = {name: asdict(standing) for name, standing in standings.items() if standing != Standing()}
    with atomic_write(folder / FILE) as temporary:
        Path(temporary).write_text(json.dumps(begun, indent=2) + "\n", encoding="utf-8")
