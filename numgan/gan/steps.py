"""The steps of a GAN's training at one batch size, bound to their buffers: lists of kernel calls, made once.

Frozen means that nothing of the discriminator is written: the chain binds it in inference mode (running
statistics used, not updated), without parameter gradients, and its optimiser is not in the list of calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from numgan.gan.penalty import GENERATED, REAL, penalty_calls
from numgan.hints import Array
from numgan.nn.calls import Call, listing, runs
from numgan.nn.plan import Plan

if TYPE_CHECKING:
    from numgan.gan.model import GAN
    from numgan.gan.objectives import Objective

# The discriminator learns from real and generated rows as one batch, or from one after the other.
JOINT, SEPARATE = SCHEDULES = ("concatenated", "separate")
UPDATES = {JOINT: 1, SEPARATE: 2}  # of the discriminator in one of its steps, on as many parts of a batch


def schedules(objective: Objective | type[Objective]) -> tuple[str, ...]:
    """Those by which an objective can be played: where it compares real rows with generated ones, both are in one
    batch.
    """
    return (JOINT,) if objective.pairs else SCHEDULES


def refusal(objective: Objective | type[Objective], schedule: str) -> str | None:
    """Why an objective cannot be played by a schedule, as a sentence, or None if it can."""
    if schedule in schedules(objective):
        return None
    return (
        f"the objective {objective.name} compares each real row with a generated one, so both must be in one batch: "
        f"its schedule can only be {JOINT}, not {schedule}"
    )


def learning_calls(gan: GAN, plan: Plan, reals: int, penalty: list[Call]) -> list[Call]:
    """Forward, the objective's gradient, backward, what a penalty adds to the gradient, and update of the discriminator
    on a batch whose first `reals` rows are real ones. What the objective does to the updated parameters comes before
    what the layers do with them.
    """
    gradient = gan.objective.discriminator_gradient(plan.y, plan.dy, reals)
    after = [*gan.objective.after_update(gan.discriminator), *gan.discriminator.after_update()]
    return [*plan.forward, *gradient, *plan.backward, *penalty, gan.discriminator_optimizer.call, *after]


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
        fakes = np.s_[..., batch if joint else 0 :]
        source = Plan(g, batch, training=False, backward=False)
        copy = {"dst": fake.x[fakes], "src": source.y}
        generate = [*source.forward, Call(np.copyto, copy, g.name, "generated rows", "copy")]
        rows = {REAL: real.x1[..., :-1, :batch], GENERATED: fake.x1[..., :-1, :][fakes]}
        self._penalise(gan, rows, joint)
        if joint:
            calls = [*generate, *learning_calls(gan, real, batch, self._penalties[0])]
        else:
            calls = [
                *learning_calls(gan, real, batch, self._penalties[0]),
                *generate,
                *learning_calls(gan, fake, 0, self._penalties[1]),
            ]
        super().__init__(calls)
        penalised = {id(call) for calls in self._penalties for call in calls}
        self._plain_runs = runs([call for call in calls if id(call) not in penalised])
        self.title = (
            f"discriminator step: {batch:,} real and {batch:,} generated rows, "
            f"{'as one batch' if joint else 'one batch after the other'}\n"
            f"'{d.name}' learns; '{g.name}' is frozen and only runs forward"
        )
        if self._every > 1:
            self.title += f"\nthe penalty is part of every {self._every:,}th step"
        self.real, self.noise = d.samples_first(real.x[..., :batch]), g.samples_first(source.x)
        self.real_scores, self.fake_scores = (d.samples_first(a) for a in (real.y[..., :batch], fake.y[fakes]))

    def _penalise(self, gan, rows, joint):
        """Bind the penalty of each update, and what it reads and writes: its share of mixing numbers, and the norms."""
        d, penalty = gan.discriminator, gan.penalty
        self._optimizer, self._updates = gan.discriminator_optimizer, UPDATES[gan.schedule]
        self._every, self._penalties, self.mix, self.norms = 1, ([], []), None, None
        if penalty is None:
            return
        self._every, batch = penalty.every, rows[REAL].shape[-1]
        row = np.zeros((*d.replicas, 1, batch), d.dtype)
        norms = np.zeros((*d.replicas, 1, batch * len(penalty.where)), d.dtype)
        self.norms = d.samples_first(norms)
        if penalty.mixes:
            self.mix = row[..., 0, :]
        early = len(penalty.where) if joint else penalty.where.count(REAL)  # real rows come first, in either
        self._penalties = tuple(
            penalty_calls(penalty, d, kinds, rows, row, part)
            for kinds, part in zip(
                (penalty.where[:early], penalty.where[early:]), np.split(norms, [early * batch], axis=-1), strict=True
            )
        )

    def run(self, real: Array, noise: Array, mix: Array | None = None) -> None:
        np.copyto(self.real, real)
        np.copyto(self.noise, noise)
        if self.mix is not None:
            np.copyto(self.mix, mix)
        if self._optimizer.steps // self._updates % self._every == 0:
            self._run()
        else:
            self.norms[...] = np.nan  # none is worked out
            for run in self._plain_runs:
                run()


class GeneratorStep(Step):
    """One generator step at one batch size: through the frozen discriminator and back.

    Where the objective compares pairs, the frozen discriminator scores as many real rows first.

    noise, real  what to fill before the calls run; real is None unless the objective compares pairs.
    scores       of the generated rows.
    judged       all that the objective measures the generator by: the scores, and those of the real rows in pairs.
    """

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
        opponents = []
        if gan.objective.pairs:
            opponents = [Plan(d, batch, training=False, backward=False, depth=d.logit_depth)]
        calls = [
            *(call for opponent in opponents for call in opponent.forward),
            *source.forward,
            *critic.forward,
            *gan.objective.generator_gradient(critic.y, critic.dy, *(opponent.y for opponent in opponents)),
            *critic.backward,
            *source.backward,
            gan.generator_optimizer.call,
            *g.after_update(),
            *([gan.average.call] if gan.average else []),
        ]
        super().__init__(calls)
        self.title = (
            f"generator step: {batch:,} rows of noise, through '{g.name}' and '{d.name}', and back"
            f"{f'; {batch:,} real rows to compare with' if opponents else ''}\n"
            f"'{g.name}' learns; '{d.name}' is frozen"
        )
        self.noise, self.scores = g.samples_first(source.x), d.samples_first(critic.y)
        self.real = d.samples_first(opponents[0].x) if opponents else None
        self.judged = [self.scores, *(d.samples_first(opponent.y) for opponent in opponents)]

    def run(self, noise: Array, real: Array | None = None) -> None:
        np.copyto(self.noise, noise)
        if self.real is not None:
            np.copyto(self.real, real)
        self._run()
