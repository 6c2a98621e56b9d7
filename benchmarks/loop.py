"""A recipe's training step as `GAN.fit` runs it, in one piece and taken apart into its kernel calls."""

from functools import partial

import numpy as np

from numgan import recipes
from numgan.data.stream import data_stream, noise_stream
from numgan.history import LogitLog

PRODUCTS = "dense_"  # the kernels that are matrix products carry this in front of their names


class Loop:
    """The bound steps, data and noise of a recipe; `overrides` are settings, as `--set` takes them."""

    def __init__(self, recipe, data=None, **overrides):
        recipe = recipes.get(recipe)
        s = recipes.with_overrides(recipe.settings, overrides)
        rng = np.random.default_rng(0)
        gan = recipe.build(s, rng, "float32")
        rows = s.batch_size // 2 if s.schedule == "separate" else s.batch_size
        data = data or recipe.load(None)
        self._d, self._g = gan.discriminator_step(rows), gan.generator_step(s.batch_size)
        self._real = data_stream(data, rng, (rows, data.features), np.float32)
        self._d_noise = noise_stream(rng, (rows, gan.latent_dim), np.float32)
        self._g_noise = noise_stream(rng, (s.batch_size, gan.latent_dim), np.float32)
        self.steps_per_refill = max(len(stream._batches) for stream in (self._real, self._d_noise, self._g_noise))
        self._logits = self._d.real_logits, self._d.fake_logits, self._g.logits
        self._log = LogitLog(recipe.look_every, [a.shape for a in self._logits], np.float32)

    def step(self):
        """One training step. (`fit` also looks at the losses and keeps a copy of the state now and then.)"""
        self._d.run(self._real.next(), self._d_noise.next())
        self._g.run(self._g_noise.next())
        self._write_log()

    def parts(self):
        """The same step as a list of (name, call): kernels by their names, and what is around them."""
        d, g = self._d, self._g
        return [
            ("data", lambda: np.copyto(d.real, self._real.next())),
            ("noise", lambda: np.copyto(d.noise, self._d_noise.next())),
            *((kernel_name(call), call) for call in d.calls),
            ("noise", lambda: np.copyto(g.noise, self._g_noise.next())),
            *((kernel_name(call), call) for call in g.calls),
            ("logging", self._write_log),
        ]

    def kernels(self):
        """The kernels of a step and their calls, (name, call), in order; an optimiser's walk counts as one."""
        return [(kernel_name(call), call) for call in (*self._d.calls, *self._g.calls)]

    def products(self):
        """The matrix products of a step and nothing else: the floor under its time."""
        return [call for name, call in self.kernels() if name.startswith(PRODUCTS)]

    def _write_log(self):
        if self._log.used == len(self._log.arrays[0]):
            self._log.used = 0
        self._log.write(*self._logits)


def kernel_calls(call):
    """The bound kernels behind one entry of a step's calls: itself, or one per chunk of an optimiser's walk."""
    return [call] if isinstance(call, partial) else call.__self__._calls


def kernel_name(call):
    return kernel_calls(call)[0].func.__name__


def run_all(calls):
    """A function that makes these calls in order."""

    def run():
        for call in calls:
            call()

    return run
