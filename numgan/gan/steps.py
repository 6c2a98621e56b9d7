"""The steps of a GAN's training at one batch size, bound to their buffers: lists of kernel calls, made once.

Frozen means that nothing of the discriminator is written: the chain binds it in inference mode (running
statistics used, not updated), without parameter gradients, and its optimiser is not in the list of calls.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import ArgumentError
from numgan.gan.penalty import GENERATED, REAL, penalty_calls
from numgan.hints import Array
from numgan.nn.calls import Call, html_listing, listing, runs
from numgan.nn.plan import Plan

if TYPE_CHECKING:
    from numgan.gan.model import GAN
    from numgan.gan.objectives import Objective
    from numgan.nn.network import Sequential
    from numgan.nn.second_order import SecondOrder

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
    gradient = gan.objective.discriminator_gradient(scores_of(plan), plan.dy1[..., :-1, :], reals)
    after = [*gan.objective.after_update(gan.discriminator), *gan.discriminator.after_update()]
    return [*plan.forward, *gradient, *plan.backward, *penalty, gan.discriminator_optimizer.call, *after]


class Conditions:
    """Where a step's conditions are to be written: to every network that reads them, and of every part of a batch."""

    def __init__(self, gan: GAN) -> None:
        self._shapes = {name: condition.shape for name, condition in gan.conditions.items()}
        self._places = []  # (name, the rows of a buffer, which rows of what is given)

    def right(self, plan: Plan | SecondOrder, network: Sequential, part: Any = np.s_[...]) -> None:
        """Part of a plan's rows get the conditions as they are given."""
        self._add(plan, network, part, ((np.s_[:], np.s_[:]),))

    def wrong(self, plan: Plan, network: Sequential, part: Any) -> None:
        """Part of a plan's rows get, each, the condition of the next, and the last one that of the first."""
        self._add(plan, network, part, ((np.s_[:-1], np.s_[1:]), (np.s_[-1:], np.s_[:1])))

    def _add(self, plan, network, part, moves):
        for name, shape in self._shapes.items():
            behind = (slice(None),) * len(shape)
            for buffer in plan.conditions[name]:
                rows = network.samples_first(buffer[part])
                for to, taken in moves:
                    self._places.append((name, rows[(..., to, *behind)], (..., taken, *behind)))

    def write(self, conditions: Mapping[str, Array]) -> None:
        for name, place, taken in self._places:
            np.copyto(place, conditions[name][taken])

    def moved(self, move: Callable[[Array], Array]) -> Conditions:
        """The same where `move` has taken the buffers to."""
        twin = copy.copy(self)
        twin._places = [(name, move(place), taken) for name, place, taken in self._places]
        return twin


class Step:
    """A list of calls that is run as a whole. `print` shows it, line by line, and a notebook as a table.

    lists  what it runs: the calls, or in some steps others.
    plans  those that the network that learns runs in, in order: one for each of its updates.
    """

    title = ""
    partner: Step | None = None
    plans: list[Plan]
    _reals: list[Array]
    _conditions: Conditions

    def __init__(self, calls: list[Call], *others: list[Call]) -> None:
        self.calls, self.lists = calls, [calls, *others]
        self._runs = [runs(calls) for calls in self.lists]

    def _run(self, which=0):
        for run in self._runs[which]:
            run()

    def moved(self, move: Callable[[Array], Array], play: Sequence[Callable[[], Any]]) -> Step:
        """The same step where `move` has taken its arrays to, and with something that plays each of its lists."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(twin, name, move(value))
            elif isinstance(value, list) and all(isinstance(a, np.ndarray) for a in value):
                setattr(twin, name, [move(a) for a in value])
        twin._conditions, twin._runs = self._conditions.moved(move), [[run] for run in play]
        return twin

    @property
    def real(self) -> Array | None:
        """Where the real rows are to be written, if it reads any."""
        return self._reals[0] if self._reals else None

    def fill_rows(self, real: Array | None, conditions: Mapping[str, Array] = MappingProxyType({})) -> None:
        """Write real rows and conditions to wherever the calls read them."""
        for rows in self._reals:
            np.copyto(rows, real)
        self._conditions.write(conditions)

    def __repr__(self):
        return listing(self.title, self.calls)

    def _repr_html_(self):
        return html_listing(self.title, self.calls)


def scores_of(plan: Plan) -> Array:
    """A discriminator's scores (…, patches, N): one for each sample, or one for each patch of it."""
    return plan.y1[..., :-1, :]


class DiscriminatorStep(Step):
    """One discriminator step at one batch size; see `GAN` for the schedules.

    Its rows in order: real ones; where it is `matching_aware`, real ones once more, under wrong conditions; generated
    ones. All but the first are fakes.

    partner  the generator's step that shares the generated rows, where the GAN has `shared_fakes`; else None. They are
             those of its own forward pass, which runs here and not there, and it reads the real rows and conditions of
             this step.
    """

    def __init__(self, gan: GAN, batch: int) -> None:
        g, d = gan.generator, gan.discriminator
        joint, mismatched = gan.schedule == JOINT, batch if gan.matching_aware else 0
        if mismatched == 1:
            raise ArgumentError(
                "discriminator step: matching_aware=True takes 2 rows or more, got 1; where a pass over the data ends "
                "in a batch of 1, choose another batch_size"
            )

        def learner(rows):
            return Plan(d, rows, training=True, backward=True, depth=d.logit_depth)

        real = learner(2 * batch + mismatched if joint else batch)
        fake = real if joint else learner(batch + mismatched)
        self.plans = [real] if joint else [real, fake]
        first = batch if joint else 0
        wrong, fakes = np.s_[..., first : first + mismatched], np.s_[..., first + mismatched :]
        self.partner = gan.generator_step(batch) if gan.shared_fakes else None
        source = self.partner.source if self.partner else Plan(g, batch, training=False, backward=False)
        copy = {"dst": fake.x[fakes], "src": source.y}
        generate = [*source.forward, Call(np.copyto, copy, g.name, "generated rows", "copy")]
        rows = {REAL: real.x1[..., :-1, :batch], GENERATED: fake.x1[..., :-1, :][fakes]}
        self._conditions = Conditions(gan)
        self._penalise(gan, rows, joint)
        if joint:
            calls = [*generate, *learning_calls(gan, real, batch, self._penalties[0])]
        else:
            calls = [
                *learning_calls(gan, real, batch, self._penalties[0]),
                *generate,
                *learning_calls(gan, fake, 0, self._penalties[1]),
            ]
        self._penalised = {id(call) for calls in self._penalties for call in calls}
        super().__init__(calls, [call for call in calls if not self.penalises(call)])
        role = "runs forward for both steps" if self.partner else "is frozen and only runs forward"
        self.title = (
            f"discriminator step: {batch:,} real and {batch:,} generated rows, "
            f"{'as one batch' if joint else 'one batch after the other'}"
            f"{', and the real ones under wrong conditions' if mismatched else ''}\n"
            f"'{d.name}' learns; '{g.name}' {role}"
        )
        if self._every > 1:
            self.title += f"\nthe penalty is part of every {self._every:,}th step"
        self.noise = g.samples_first(source.x)
        self._reals = [d.samples_first(real.x[..., :batch]), *([d.samples_first(fake.x[wrong])] if mismatched else [])]
        self._conditions.right(source, g)
        self._conditions.right(real, d, np.s_[..., :batch])
        self._conditions.right(fake, d, fakes)
        if mismatched:
            self._conditions.wrong(fake, d, wrong)
        self.real_scores, self.fake_scores = (
            d.samples_first(a) for a in (scores_of(real)[..., :batch], scores_of(fake)[fakes])
        )

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
        kinds = penalty.where[:early], penalty.where[early:]
        self._penalties = tuple(
            self._penalty_calls(penalty, d, where, rows, row, part)
            for where, part in zip(kinds, np.split(norms, [early * batch], axis=-1), strict=True)
        )

    def _penalty_calls(self, penalty, d, where, rows, row, norms):
        """The calls of one update's penalty. Its points have the conditions of the rows that they are made of."""
        calls, second = penalty_calls(penalty, d, where, rows, row, norms)
        batch = rows[REAL].shape[-1]
        for i in range(len(where)):
            self._conditions.right(second, d, np.s_[..., i * batch : (i + 1) * batch])
        return calls

    def penalises(self, call: Call) -> bool:
        """Whether a call of this step is part of the penalty."""
        return id(call) in self._penalised

    @property
    def penalty_due(self) -> bool:
        """Whether the next run works out the penalty; a step without one has nothing to leave out."""
        return self._optimizer.steps // self._updates % self._every == 0

    def fill(
        self,
        real: Array,
        noise: Array,
        mix: Array | None = None,
        conditions: Mapping[str, Array] = MappingProxyType({}),
    ) -> None:
        """Write what the calls read."""
        self.fill_rows(real, conditions)
        if self.partner:
            self.partner.fill_rows(real, conditions)
        np.copyto(self.noise, noise)
        if self.mix is not None:
            np.copyto(self.mix, mix)

    def run(self, *inputs: Any) -> None:
        """Fill, and run the calls; inputs as `fill` takes them."""
        self.fill(*inputs)
        if self.penalty_due:
            self._run()
        else:
            self.norms[...] = np.nan  # none is worked out
            self._run(1)


class GeneratorStep(Step):
    """One generator step at one batch size: through the frozen discriminator and back.

    Where the objective compares pairs, the frozen discriminator scores as many real rows first.

    source  the generator's `Plan`. Where the GAN has `shared_fakes`, it has run forward in the discriminator's step.
    scores  of the generated rows.
    judged  all that the objective measures the generator by: the scores, and those of the real rows in pairs.
    errors  each row's mean distance to its target (…, batch, 1), where the GAN has an `l1_weight`; else None.
    """

    def __init__(self, gan: GAN, batch: int) -> None:
        g, d = gan.generator, gan.discriminator
        critic = Plan(d, batch, training=False, backward=True, input_gradient=True, depth=d.logit_depth)
        self.source = source = Plan(g, batch, training=True, backward=True, y1=critic.x1, dy1=critic.dx1)
        self.plans = [source]
        opponents = []
        if gan.objective.pairs:
            opponents = [Plan(d, batch, training=False, backward=False, depth=d.logit_depth)]
        self._targets = [opponent.x for opponent in opponents]
        calls = [
            *(call for opponent in opponents for call in opponent.forward),
            *self._forward(gan.shared_fakes),
            *critic.forward,
            *gan.objective.generator_gradient(scores_of(critic), critic.dy1[..., :-1, :], *map(scores_of, opponents)),
            *critic.backward,
            *self._l1(gan, source),
            *source.backward,
            gan.generator_optimizer.call,
            *g.after_update(),
            *([gan.average.call] if gan.average else []),
        ]
        super().__init__(calls)
        self.title = (
            f"generator step: {batch:,} rows of {'both steps' if gan.shared_fakes else 'noise'}, "
            f"through '{g.name}' and '{d.name}', and back"
            f"{f'; {batch:,} real rows to compare with' if gan.compares else ''}\n"
            f"'{g.name}' learns; '{d.name}' is frozen"
        )
        self.noise, self.scores = g.samples_first(source.x), d.samples_first(scores_of(critic))
        self._reals = [d.samples_first(target) for target in self._targets]
        self._conditions = Conditions(gan)
        for plan, network in ((source, g), (critic, d), *((opponent, d) for opponent in opponents)):
            self._conditions.right(plan, network)
        self.judged = [self.scores, *(d.samples_first(scores_of(opponent)) for opponent in opponents)]

    def _forward(self, shared):
        """The calls that generate the rows, unless those of the discriminator's step are shared."""
        return [] if shared else self.source.forward

    def _l1(self, gan, source):
        """The calls of the distance to the targets, where there is one, between the two networks' ways back."""
        self.errors = None
        if gan.l1 is None:
            return []
        y, target = source.y1[..., :-1, :], np.empty_like(source.y)
        errors = np.zeros_like(y[..., :1, :])
        self._targets.append(target)
        self.errors = gan.generator.samples_first(errors)
        return gan.l1.calls(y, target.reshape(y.shape), source.dy1[..., :-1, :], errors)

    def fill(
        self, noise: Array, real: Array | None = None, conditions: Mapping[str, Array] = MappingProxyType({})
    ) -> None:
        """Write what the calls read."""
        np.copyto(self.noise, noise)
        self.fill_rows(real, conditions)

    def run(self, *inputs: Any) -> None:
        """Fill, and run the calls; inputs as `fill` takes them, none where the discriminator's step has filled it."""
        if inputs:
            self.fill(*inputs)
        self._run()
