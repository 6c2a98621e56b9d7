"""What a study is asked for: checked before anything is written, and kept in its directory, which takes no other."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numgan import __version__
from numgan.errors import ArgumentError, ArgumentTypeError, Error, whole
from numgan.files import locked, remove_leftovers, shown
from numgan.hints import DType, FileName
from numgan.study import recipes, runs
from numgan.study.jobs import Job
from numgan.study.settings import SettingError, brief, extent, with_overrides
from numgan.study.studies import space


class StudyError(Error, ValueError):
    """A directory that cannot hold the study; the message says why."""


class Question:
    """What `study` is asked for, checked; its arguments are explained there.

    cells   every `Cell` of it.
    unit    "steps" or "epochs", of lengths.
    rounds  (how many cells, their length) of each; a single one, of the length None for the cells' own, unless cells
            are halved.
    """

    def __init__(
        self,
        recipe: str,
        vary: Mapping[str, str | Sequence[Any]],
        seeds: Sequence[int],
        settings: Mapping[str, Any],
        random: int | None,
        search_seed: int,
        halving: int | None,
        by: str | None,
        dtype: DType,
        source: FileName | None,
    ) -> None:
        self.recipe = recipes.get(recipe)
        self.seeds = _seeds(seeds)
        self.dtype, self.by = dtype, by
        if dtype not in ("float32", "float64"):
            raise ArgumentError(f"study: dtype must be float32 or float64, got {brief(dtype)}")
        if not isinstance(settings, Mapping):
            raise ArgumentTypeError(f"study: settings must be a mapping of names to values, got {brief(settings)}")
        own = self.recipe.settings
        varied = space.axes(own, vary)
        if both := [name for name in varied if name in settings]:
            raise SettingError(f"{both[0]} cannot both vary and be {brief(settings[both[0]])}")
        if random is None:
            self.cells = space.grid(own, settings, varied)
        else:
            seed = whole("study: search_seed", search_seed, 0, most=runs.SEEDS - 1)
            self.cells = space.draw(own, settings, varied, whole("study: random", random), seed)
        first = self.settings_of(self.cells[0])
        self.source = source if source in (None, "full") else str(Path(source).resolve())
        self.unit, _ = extent(first)
        self.rounds = [(len(self.cells), None)] if halving is None else self._halved(halving)
        data, held_out = self.recipe.load(self.source, first)  # so that what cannot be read is said once, and now
        if by is not None:
            self._check_measure(first.for_data(data), data, held_out)

    def settings_of(self, cell: space.Cell) -> Any:
        """The settings of a cell's runs."""
        return with_overrides(self.recipe.settings, cell.asked)

    def _halved(self, halving):
        """The rounds of successive halving."""
        eta, lengths = whole("study: halving", halving, 2, most=100), set()
        for cell in self.cells:
            settings = self.settings_of(cell)
            lengths.add(extent(settings))
            if settings.decay != "none":
                raise SettingError(
                    f"{cell.name} cannot be halved, which makes a run longer: its learning rates fall to 0 by its end "
                    f"(decay={settings.decay}), and would have been others"
                )
        if len(lengths) > 1:
            raise SettingError("cells of different lengths cannot be halved")
        ((_, total),), counts = lengths, [len(self.cells)]
        while counts[-1] >= eta:
            counts.append(counts[-1] // eta)
        parts = [round(total / eta**k) for k in reversed(range(len(counts)))]
        if parts[0] < 1 or len(set(parts)) < len(parts):
            raise SettingError(f"{counts[0]} cells take {len(parts)} rounds, for which {total} {self.unit} are too few")
        return list(zip(counts, parts, strict=True))

    def _check_measure(self, settings, data, held_out):
        """That there is such a measure: a fresh GAN has it too."""
        gan = self.recipe.build(settings, runs.streams(0)[0], self.dtype)
        names = [m.name for m in runs.measured(self.recipe, gan, data, held_out)[0].measures]
        if self.by not in names:
            raise SettingError(f"no measure {brief(self.by)!r}; {self.recipe.name} has {', '.join(names)}")

    @property
    def runs(self) -> int:
        """How many there are, a cell that goes on counted anew."""
        return sum(n for n, _ in self.rounds) * len(self.seeds)

    def job(self, directory: Path, cell: space.Cell, seed: int, part: int | None) -> Job:
        """A cell's run of one seed; `part` is its length, None for all of it."""
        settings = cell.asked | ({} if part is None else {self.unit: part})
        place = str(directory.resolve() / cell.name / f"seed-{seed}")
        return Job(self.recipe.name, settings, seed, place, self.dtype, self.source)

    @contextlib.contextmanager
    def held_by(self, out: FileName) -> Iterator[Path]:
        """The directory `out`, locked: new, empty, or one that holds this very study."""
        directory = Path(out)
        if directory.exists() and not directory.is_dir():
            raise StudyError(f"{shown(out)} exists and is not a directory")
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory):
            remove_leftovers(directory)
            self._compare(directory)
            yield directory

    def _compare(self, directory):
        asked = {
            "recipe": self.recipe.name,
            "data": self.source,
            "dtype": self.dtype,
            "seeds": self.seeds,
            "cells": [cell.asked for cell in self.cells],
            "rounds": self.rounds,
        }
        if len(self.rounds) > 1:
            asked["by"] = self.by  # which decides who goes on
        asked, file = json.loads(json.dumps(asked)), directory / "study.json"
        if not file.exists():
            if any(directory.iterdir()):
                raise StudyError(f"{shown(directory)} is not empty and holds no study; give another directory")
            runs.write_json(file, {"numgan": __version__, "asked": asked})
            return
        try:
            before = runs.read_json(file)["asked"]
            other = [key for key in (before | asked) if before.get(key) != asked.get(key)]
        except (Error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StudyError(f"{shown(file)} is not readable ({brief(str(error), 200)})") from None
        if other:
            was, now = (brief(json.dumps(q.get(other[0])), 150) for q in (before, asked))
            raise StudyError(
                f"{shown(directory)} holds another study, whose {other[0]} are {was}, not {now}; give another directory"
            )


def _seeds(seeds):
    if isinstance(seeds, str) or not isinstance(seeds, Sequence) or not seeds:
        raise ArgumentError(f"study: seeds must be some whole numbers, got {brief(seeds)}")
    return list(dict.fromkeys(whole("study: a seed", seed, 0, most=runs.SEEDS - 1) for seed in seeds))
