"""The steps of a GAN's training at one batch size, bound to their buffers: lists of kernel calls, made once.

Frozen means that nothing of the discriminator is written: the chain binds it in inference mode (running
statistics used, not updated), without parameter gradients, and its optimiser is not in the list of calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from numgan.hints import Array
from numgan.nn.calls import Call, listing, runs
from numgan.nn.plan import Plan

if TYPE_CHECKING:
    from numgan.gan.model import GAN

# The discriminator learns from real and generated rows as one batch, or from one after the other.
JOINT, SEPARATE = SCHEDULES = ("concatenated", "separate")


def learning_calls(gan: GAN, plan: Plan, reals: int) -> list[Call]:
    """Forward, the objective's gradient, backward and update of the discriminator on a batch whose first `reals` rows
    are real ones. What the objective does to the updated parameters comes before what the layers do with them.
    """
    gradient = gan.objective.discriminator_gradient(plan.y, plan.dy, reals)
    after = [*gan.objective.after_update(gan.discriminator), *gan.discriminator.after_update()]
    return [*plan.forward, *gradient, *plan.backward, gan.discriminator_optimizer.call, *after]


class Step:
    """A list of calls that is run as a whole. `print` shows it, line by line."""

    title = ""

    def __init__(self, calls: list[Call]) -> None:
        self.calls, self._runs = calls, runs(calls)

    def _run(self):
        for run in self._runs:
            run()

    def __str__(self):
        return listing(self.title, self.calls)


class DiscriminatorStep(Step):
    """One discriminator step at one batch size; see `GAN` for the schedules."""

    def __init__(self, gan: GAN, batch: int) -> None:
        g, d = gan.generator, gan.discriminator
        joint = gan.schedule == JOINT

        def learner(rows):
            return Plan(d, rows, training=True, backward=True, depth=d.logit_depth)

        real = learner(2 * batch if joint else batch)
        fake = real if joint else learner(batch)
        fakes = np.s_[..., batch:] if joint else np.s_[...]
        source = Plan(g, batch, training=False, backward=False)
        copy = {"dst": fake.x[fakes], "src": source.y}
        generate = [*source.forward, Call(np.copyto, copy, g.name, "generated rows", "copy")]
        if joint:
            calls = [*generate, *learning_calls(gan, real, batch)]
        else:
            calls = [*learning_calls(gan, real, batch), *generate, *learning_calls(gan, fake, 0)]
        super().__init__(calls)
        self.title = (
            f"discriminator step: {batch:,} real and {batch:,} generated rows, "
            f"{'as one batch' if joint else 'one batch after the other'}\n"
            f"'{d.name}' learns; '{g.name}' is frozen and only runs forward"
        )
        self.real, self.noise = d.samples_first(real.x[..., :batch]), g.samples_first(source.x)
        self.real_scores, self.fake_scores = (d.samples_first(a) for a in (real.y[..., :batch], fake.y[fakes]))

    def run(self, real: Array, noise: Array) -> None:
        np.copyto(self.real, real)
        np.copyto(self.noise, noise)
        self._run()


class GeneratorStep(Step):
    """One generator step at one batch size: through the frozen discriminator and back."""

    def __init__(self, gan: GAN, batch: int) -> None:
        g, d = gan.generator, gan.discriminator
        source = Plan(g, batch, training=True, backward=True)
        critic = Plan(
            d,
            batch,
            training=False,
            backward=True,
            input_gradient=True,
            depth=d.logit_depth,
            x1=source.y1,
            dx1=source.dy1,
        )
        calls = [
            *source.forward,
            *critic.forward,
            *gan.objective.generator_gradient(critic.y, critic.dy),
            *critic.backward,
            *source.backward,
            gan.generator_optimizer.call,
            *g.after_update(),
        ]
        super().__init__(calls)
        self.title = (
            f"generator step: {batch:,} rows of noise, through '{g.name}' and '{d.name}', and back\n"
            f"'{g.name}' learns; '{d.name}' is frozen"
        )
        self.noise, self.scores = g.samples_first(source.x), d.samples_first(critic.y)

    def run(self, noise: Array) -> None:
        np.copyto(self.noise, noise)
        self._run()
