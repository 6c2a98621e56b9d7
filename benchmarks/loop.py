"""A recipe's training step as `GAN.fit` runs it, in one piece and taken apart into its kernel calls."""

from functools import partial

import numpy as np

from numgan.gan.fit import TrainingStep
from numgan.study import recipes
from numgan.study.settings import with_overrides


class Loop:
    """The bound steps, data and noise of a recipe; `overrides` are settings, as `--set` takes them."""

    def __init__(self, recipe, data=None, **overrides):
        recipe = recipes.get(recipe)
        s = with_overrides(recipe.settings, overrides)
        rng = np.random.default_rng(0)
        gan = recipe.build(s, rng, "float32")
        self._step = TrainingStep(gan, data or recipe.load(None, s)[0], s.batch_size, rng)
        streams = self._step.real, self._step.noise, self._step.generator_noise
        self.steps_per_refill = max(len(stream._batches) for stream in streams)
        self._log = self._step.log(recipe.look_every)

    def step(self):
        """One training step. (`fit` also looks at the losses and keeps a copy of the state now and then.)"""
        self._step.run()
        self._write_log()

    def discriminator(self):
        """The discriminator's step alone, as a function: again and again on one batch."""
        mix = self._step.mix and self._step.mix.next()
        real, conditions = self._step.split(self._step.real.next())
        return partial(self._step.discriminator.run, real, self._step.noise.next(), mix, conditions)

    def parts(self):
        """The same step as a list of (name, run): kernels by their names, and what is around them."""
        step, d, g = self._step, self._step.discriminator, self._step.generator
        return [
            ("data", lambda: d.fill_rows(*step.split(step.real.next()))),
            ("noise", lambda: np.copyto(d.noise, step.noise.next())),
            *((call.name, call.run) for call in d.calls if not call.skipped),
            ("noise", lambda: np.copyto(g.noise, step.generator_noise.next())),
            *([("data", lambda: g.fill_rows(*step.split(step.generator_real.next())))] if step.generator_real else []),
            *((call.name, call.run) for call in g.calls if not call.skipped),
            ("logging", self._write_log),
        ]

    def calls(self):
        """The kernel calls of a step, in order; an optimiser's walk counts as one."""
        calls = (*self._step.discriminator.calls, *self._step.generator.calls)
        return [call for call in calls if not call.skipped]

    def products(self):
        """The matrix products of a step and nothing else: the floor under its time."""
        return [call.run for call in self.calls() if call.is_product]

    def _write_log(self):
        if self._log.used == len(self._log.arrays[0]):
            self._log.used = 0
        self._log.write(self._step.kept)


def run_all(calls):
    """A function that makes these calls in order."""

    def run():
        for call in calls:
            call()

    return run
