"""One training step told call by call, with the formulas of the kernels and the numbers of the step.

record    a step as it was, as plain data
terminal  the step as a story in 80 columns
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numgan.hints import FileName
from numgan.study import runs
from numgan.study.explain import html
from numgan.study.explain.recorder import Recorder
from numgan.study.explain.terminal import story
from numgan.study.settings import SettingError, brief


@dataclass
class Subject:
    """What is told of: `name` as the command line has it, `about` the weights it starts from."""

    name: str
    about: str
    recipe: Any
    recorder: Recorder


def of_recipe(recipe: Any, settings: Any, source: FileName | None = None) -> Subject:
    """A recipe's GAN with fresh weights of seed 0, on its own data."""
    weights_rng, training_rng, _ = runs.streams(0)
    data = recipe.load(source, settings)[0]
    settings = settings.for_data(data)
    gan = recipe.build(settings, weights_rng, "float32")
    return Subject(recipe.name, "fresh weights of seed 0", recipe, Recorder(gan, data, settings, training_rng))


def of_run(path: FileName) -> Subject:
    """A run's GAN as the run has kept it, on the run's own data."""
    recipe, config, gan = runs.open_run(path)
    settings = config["settings"]
    data = recipe.load(config["data_from"], settings)[0]
    recorder = Recorder(gan, data, settings, runs.streams(config["seed"])[1])
    return Subject(str(path), f"{recipe.name}, the weights of the run", recipe, recorder)


def in_words(subject: Subject, step: int = 0, sample: int = 0, layer: str | None = None) -> str:
    """The story of the training step that follows `step` others."""
    recorder = subject.recorder
    _check_sample(recorder, sample)
    recorder.train(step)
    parts = recorder.record(sample, quotients=layer is None)
    entries = [entry for part in parts for entry in part.entries]
    if layer is not None and not any(entry.is_of(layer) for entry in entries):
        names = dict.fromkeys(entry.layer for entry in entries if entry.layer)
        raise SettingError(f"--layer {brief(layer)}: the step has {', '.join(names)}")
    trained = f", trained for {step:,} step{'s' * (step > 1)}" if step else ""
    title = f"{subject.name}: {subject.about}{trained}"
    return story(title, parts, sample, layer)


def as_page(subject: Subject, path: FileName, last: int = 100, sample: int = 0) -> None:
    """Write the page of the steps 0, 10, 100 … up to `last`, looked into while training."""
    recorder = subject.recorder
    _check_sample(recorder, sample)
    steps = html.record(recorder, subject.recipe, last, sample)
    html.write(path, f"{subject.name}: {subject.about}", steps, html.chapters(recorder.kernels), sample)


def _check_sample(recorder, sample):
    if sample >= recorder.rows:
        raise SettingError(f"--sample {sample}: a batch has {recorder.rows:,} samples, from 0 to {recorder.rows - 1:,}")
