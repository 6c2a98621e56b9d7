"""`GAN`: a generator, a discriminator, and the two training steps that play them against each other.

Discriminator step: real and generated rows → discriminator; only the discriminator learns.
Generator step: noise → generator → frozen discriminator; only the generator learns.
What either side minimises is the `Objective`'s business, see `numgan.gan.objectives`.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.data.noise import NOISES, NORMAL, drawn
from numgan.errors import (
    ArgumentError,
    StateError,
    affordable,
    flag,
    generator,
    instance,
    mapping,
    one_of,
    real_array,
    shown,
    whole,
)
from numgan.gan import objectives
from numgan.gan import penalty as penalties
from numgan.gan.average import Average
from numgan.gan.blocks import StackTraining, checked_generators
from numgan.gan.conditions import CONDITIONS, Condition, arrays, checked
from numgan.gan.fit import Request, fit
from numgan.gan.l1 import L1
from numgan.gan.objectives import made
from numgan.gan.parts import Part, Parts
from numgan.gan.replicas import replica, set_replica, stack
from numgan.gan.steps import SCHEDULES, SEPARATE, DiscriminatorStep, GeneratorStep, refusal
from numgan.gan.stretches import epoch
from numgan.hints import Array, ConditionalSource, Config, FileName, Named, Numbers, Rng, Source
from numgan.names import SaysOurs, says_ours
from numgan.nn.model_file import open_model, write_model
from numgan.nn.network import Sequential
from numgan.nn.optimizers import Adam, Optimizer
from numgan.nn.replicas import check_count
from numgan.tables import aligned, html_table

if TYPE_CHECKING:
    from numgan.gan.checkpoint import Checkpoint
    from numgan.gan.fit import Callback
    from numgan.gan.history import History
    from numgan.gan.objectives import Objective
    from numgan.gan.penalty import Penalty
    from numgan.nn.layer import Layer

SIDES = ("generator_optimizer", "discriminator_optimizer")
BOUND = ("_steps", "_shared", *SIDES, "average")  # to the networks' arrays
STEPS_KEPT = 8  # of each kind; a GAN forgets its oldest steps beyond this, as a network its plans


class GAN(SaysOurs):
    """A generative adversarial network (Goodfellow et al. 2014) with hand-written gradients.

    generator, discriminator   `Sequential`s of equal dtype and replicas; the generator's output is the
        discriminator's input. The discriminator has one output and ends in what the objective reads: in the minimax
        game in Sigmoid, so that it predicts probabilities; the loss is computed from the logit below.
    generator_optimizer, discriminator_optimizer   default Adam(); each network owns its own.
    objective  what either side minimises: an `Objective`, or the name of one, default "non-saturating".
    schedule   how the discriminator learns from a real and a generated batch: "concatenated" (default), one update on
        both as one batch; "separate", one update on the real batch, then one on the generated one. An objective that
        compares real rows with generated ones, such as "relativistic", needs both as one.
    penalty    what the discriminator pays for being steep: a `Penalty`, or the name of one, "wgan-gp", "r1", "r2" or
        "r1+r2"; default None. A Wasserstein critic then has clip=0.
    average    d, in (0, 1): samples are of the generator's weights averaged with this decay, see `Average`;
        default None: of the weights as they are.
    conditions  name -> `Condition` (`Label`, `Text`, `Picture`): what both networks read besides, by a `Join` each.
        Training and sampling then take one by that name for every row, or one for all: sample(n, rng, label=7).
        Generated rows are made and judged under the conditions of the real rows beside them.
    matching_aware  whether the discriminator's batch also holds each real row with the condition of the next one, as a
        fake (Reed et al. 2016, arXiv:1605.05396, algorithm 1): so it learns that a row should be what was asked for.
        (Where two neighbours have one condition, the pair is right and counts as a fake all the same.) Default False.
    l1_weight   λ: the generator also minimises λ·mean |G − target|, see `L1`. Default None: it does not.
    noise       what the generator starts from in `fit`, in `sample` and wherever else noise is drawn: "normal"
        (default), standard normal numbers; or "uniform", numbers on [−1, 1), as DCGAN has it (arXiv:1511.06434).
    shared_fakes  whether both steps share the generated rows, as in scripts that run the generator once a step. It then
        runs in the discriminator's step, in training mode, and its statistics move there; the generator's step, one
        after the discriminator's last, goes on from its activations, with the real rows and conditions of that step
        where it takes any. So in PyTorch: fake = G(z); update D on real and fake.detach(); then update G through the
        new D on the same fake, D in eval mode. Needs the schedule "concatenated". Default False: the generator's step
        makes its own, and those for the discriminator are made in inference mode, as Keras's `predict` makes them, by
        the generator as it is.

    With replicas, `average`, `l1_weight` and the numbers of objective, penalty and optimisers may each be a list of R,
    one for each; see `stack`.

    parts   all that training changes: the `Part`s that saving, loading, copying and resuming read.

    >>> gan = GAN(Sequential([Dense(2)], 3, rng), Sequential([Dense(16), ReLU(), Dense(1), Sigmoid()], 2, rng))
    >>> history = gan.fit(SinePoints(), steps=20, batch_size=32, rng=rng)
    >>> gan.sample(5, rng).shape
    (5, 2)
    """

    def __init__(
        self,
        generator: Sequential,
        discriminator: Sequential,
        generator_optimizer: Optimizer | None = None,
        discriminator_optimizer: Optimizer | None = None,
        objective: Objective | str = "non-saturating",
        schedule: str = "concatenated",
        penalty: Penalty | str | None = None,
        average: float | Sequence[float] | None = None,
        conditions: Mapping[str, Condition] | None = None,
        matching_aware: bool = False,
        l1_weight: float | Sequence[float] | None = None,
        noise: str = NORMAL,
        shared_fakes: bool = False,
    ) -> None:
        g = instance("GAN: generator", generator, Sequential)
        d = instance("GAN: discriminator", discriminator, Sequential)
        if g.shapes[-1] != d.shapes[0]:
            raise ArgumentError(
                f"generator '{g.name}' makes rows of shape {g.shapes[-1]}, "
                f"discriminator '{d.name}' expects {d.shapes[0]}"
            )
        self.objective = objectives.get(objective)
        self.objective.check(d)
        if (g.dtype, g.replicas) != (d.dtype, d.replicas):
            raise ArgumentError(
                f"generator has dtype {g.dtype} and replicas {g.replicas}, discriminator {d.dtype} and {d.replicas}"
            )
        if g is d:
            raise ArgumentError(f"GAN: generator and discriminator are the same network, '{g.name}'")
        self.generator, self.discriminator, self.schedule = g, d, one_of("schedule", schedule, SCHEDULES)
        refused = refusal(self.objective, schedule)
        if refused:
            raise ArgumentError(refused)
        self.penalty = penalties.get(penalty)
        if self.penalty:
            self.penalty.check(self.objective, d)
        self.generator_optimizer, self.discriminator_optimizer = (
            Adam() if optimizer is None else instance(f"GAN: {side}_optimizer", optimizer, Optimizer)
            for side, optimizer in (("generator", generator_optimizer), ("discriminator", discriminator_optimizer))
        )
        if self.generator_optimizer is self.discriminator_optimizer:
            raise ArgumentError(f"GAN: each network needs an optimizer of its own, got one {self.generator_optimizer}")
        self.conditions = checked(conditions)
        self._check_conditions()
        self.matching_aware = flag("GAN: matching_aware", matching_aware)
        if self.matching_aware and (self.objective.pairs or not self.conditions):
            lacks = (
                f"the objective {self.objective.name} pairs rows" if self.objective.pairs else "it has no conditions"
            )
            raise ArgumentError(f"GAN: matching_aware=True counts real rows of wrong conditions as fakes, but {lacks}")
        self.l1 = None if l1_weight is None else L1(l1_weight)
        self.noise = one_of("GAN: noise", noise, NOISES)
        self.shared_fakes = flag("GAN: shared_fakes", shared_fakes)
        if self.shared_fakes and schedule == SEPARATE:
            raise ArgumentError(
                "GAN: shared_fakes=True needs as many generated rows in either step; by the schedule separate the "
                "discriminator has half of them"
            )
        own = {"l1_weight": self.l1.weight} if self.l1 else {}
        for config in (self.objective.config(), self.penalty.config() if self.penalty else {}, own):
            check_count("GAN", config, g.replicas)
        self.average = None if average is None else Average(g, average)
        self.generator_optimizer.check_free(g)  # before either is attached
        self.discriminator_optimizer.check_free(d)
        self.generator_optimizer.attach(g)
        self.discriminator_optimizer.attach(d)
        self.parts = Parts(
            generator=g,
            discriminator=d,
            generator_optimizer=self.generator_optimizer,
            discriminator_optimizer=self.discriminator_optimizer,
        )
        if self.average:
            self.parts["average"] = self.average
        self._steps, self._shared = {}, None  # the last discriminator step, while its generated rows can be learnt from

    def _check_conditions(self):
        """Raise unless both networks read just these conditions."""
        for network in (self.generator, self.discriminator):
            unknown, unread = network.conditions.keys() - self.conditions, self.conditions.keys() - network.conditions
            if unknown:
                raise ArgumentError(
                    f"'{network.name}' reads the conditions {', '.join(sorted(unknown))}, of which GAN(conditions=…) "
                    "does not say what they are"
                )
            if unread:
                raise ArgumentError(
                    f"'{network.name}' does not read the conditions {', '.join(sorted(unread))}; it needs a Join each"
                )
            for name, condition in self.conditions.items():
                if network.conditions[name] != condition.shape:
                    raise ArgumentError(
                        f"'{network.name}' reads {name} of the shape {network.conditions[name]}, but {condition!r} has "
                        f"{condition.shape}"
                    )
                self._check_largest(network, name, condition)

    def _check_largest(self, network, name, condition):
        """Raise where a condition's numbers go beyond those that a network's layers know."""
        for layer in network.layers if condition.largest is not None else ():
            try:
                layer.check_condition(name, np.array(condition.largest))
            except ArgumentError as error:
                raise ArgumentError(f"'{network.name}' cannot read all of {shown(condition)}: {error}") from None

    def _given(self, conditions, rows, who):
        """The conditions that a call gives, as arrays."""
        return arrays(self.conditions, conditions, rows, self.generator, who)

    @property
    def latent_dim(self) -> int:
        """How many noise values make one sample."""
        return math.prod(self.generator.shapes[0])

    @property
    def sampler(self) -> Sequential:
        """The network that samples are made with: the averaged generator where there is one, else the generator."""
        return self.average.network if self.average else self.generator

    # ------------------------------------------------------------------------------------------------------ showing it

    def __repr__(self):
        networks = self.generator.summary(), self.discriminator.summary()
        return "\n\n".join(["\n".join(aligned(self._rules(), left=(0, 1))), *networks])

    def _repr_html_(self):
        """What a notebook shows: the same, as tables."""
        networks = self.generator._repr_html_(), self.discriminator._repr_html_()
        return "\n".join([html_table(self._rules(), left=(0, 1)), *networks])

    def _rules(self):
        """How it is played, as rows of two texts."""
        rows = [
            ("the game", ""),
            ("objective", repr(self.objective)),
            ("schedule", self.schedule),
            *((side.replace("_", "'s "), repr(getattr(self, side))) for side in SIDES),
            ("penalty", self.penalty and repr(self.penalty)),
            ("samples are of", self.average and str(self.average)),
            *((f"condition {shown(name)}", repr(condition)) for name, condition in self.conditions.items()),
            ("matching_aware", self.matching_aware and "True"),
            ("l1_weight", self.l1 and f"{self.l1.weight:g}"),
        ]
        return [row for row in rows if row[1] or row is rows[0]]

    # ---------------------------------------------------------------------------------------------------- training

    def train_discriminator(self, real: Numbers, noise: Numbers, mix: Numbers | None = None, **conditions: Any) -> Any:
        """One discriminator step on real rows (…, batch, *shape) and noise (…, batch, *shape), each real row and that
        generated beside it under one condition.

        mix  (…, batch), numbers from 0 to 1, uniform at random: where between each generated and real row a penalty
             that asks for it ("wgan-gp") takes its gradient. No other game takes it.

        Nothing of the generator changes, but by `shared_fakes` its statistics. Returns the objective's metrics, such as
        `DiscriminatorMetrics`: floats, or arrays (R,) with replicas.
        """
        real, noise = self.discriminator.check_input(real), self.generator.check_input(noise)
        rows, noise_rows = self.discriminator.rows_of(real), self.generator.rows_of(noise)
        if rows != noise_rows:
            raise ArgumentError(f"train_discriminator: {rows} real rows but {noise_rows} noise rows")
        mix, given = self._check_mix(mix, rows), self._given(conditions, rows, "train_discriminator")
        with self.in_use(), np.errstate(all="ignore"):  # what diverges shows in the metrics
            step = self.discriminator_step(rows)
            step.run(real, noise, mix, given)
            self._shared = step if self.shared_fakes else None
            return _as_numbers(self.objective.discriminator_metrics(step.real_scores, step.fake_scores))

    def train_generator(self, noise: Numbers | None = None, real: Numbers | None = None, **conditions: Any) -> Any:
        """One generator step on noise (…, batch, *shape), through the frozen discriminator. By `shared_fakes` it takes
        nothing, and follows a discriminator step.

        real  as many real rows (…, batch, *shape), where the objective compares generated rows with real ones, such as
              "relativistic", or where there is an `l1_weight`, whose targets they are; nothing (default) elsewhere.

        Not one bit of the discriminator changes: weights, gradients, optimiser state, batch-norm statistics.
        Returns the objective's metrics, such as `GeneratorMetrics`.
        """
        if self.shared_fakes:
            return self._train_on_shared(noise, real, *conditions)
        noise = self.generator.check_input(noise)
        rows, real = self.generator.rows_of(noise), self._opponents(real)
        if real is not None and self.discriminator.rows_of(real) != rows:
            raise ArgumentError(f"train_generator: {self.discriminator.rows_of(real)} real rows but {rows} noise rows")
        given = self._given(conditions, rows, "train_generator")
        with self.in_use(), np.errstate(all="ignore"):
            step = self.generator_step(rows)
            step.run(noise, real, given)
            return _as_numbers(self.objective.generator_metrics(*step.judged))

    def _train_on_shared(self, *given):
        """The generator's step on the generated rows of the discriminator's step before it."""
        if any(value is not None for value in given):
            raise ArgumentError(
                "train_generator: by shared_fakes=True it takes nothing, train_discriminator had it all"
            )
        if self._shared is None:
            raise StateError("train_generator: by shared_fakes=True a train_discriminator comes before each, none did")
        with self.in_use(), np.errstate(all="ignore"):
            step, self._shared = self._shared.partner, None
            step.run()
            return _as_numbers(self.objective.generator_metrics(*step.judged))

    def _opponents(self, real):
        """The real rows of a generator step, checked: some where they are compared with, and none elsewhere."""
        if self.compares == (real is not None):
            return None if real is None else self.discriminator.check_input(real)
        if self.compares:
            why = f"the objective {self.objective.name} compares generated rows with real ones"
            why = why if self.objective.pairs else "l1_weight takes targets"
            raise ArgumentError(f"train_generator: {why}; give as many real rows as noise rows")
        raise ArgumentError(
            f"train_generator: the objective {self.objective.name} looks at generated rows alone; give no real rows"
        )

    @property
    def compares(self) -> bool:
        """Whether the generator's step takes real rows: to be paired with, or to be near to."""
        return self.objective.pairs or self.l1 is not None

    def _check_mix(self, mix, rows):
        """The mixing numbers as an array, or an error; None where nothing is mixed."""
        if not (self.penalty and self.penalty.mixes):
            if mix is not None:
                raise ArgumentError(
                    f"train_discriminator: mix is for penalties that mix rows, and it is {self.penalty}"
                )
            return None
        if mix is None:
            raise ArgumentError(f"train_discriminator: {self.penalty!r} needs mix=…, a random number for each row")
        mix = real_array("train_discriminator: mix", mix, self.discriminator.dtype)
        if mix.shape not in ((rows,), (*self.discriminator.replicas, rows)) or not 0 <= mix.min() <= mix.max() <= 1:
            raise ArgumentError(
                f"train_discriminator: mix must be {rows} numbers from 0 to 1, got the shape {mix.shape}"
                + (f" and numbers from {mix.min():.3g} to {mix.max():.3g}" if mix.size else "")
            )
        return mix

    @contextlib.contextmanager
    def in_use(self, by: str = "") -> Iterator[None]:
        """Keep other threads from using the networks meanwhile; see `Sequential.in_use`."""
        with self.generator.in_use(by), self.discriminator.in_use(by), self.sampler.in_use(by):
            yield

    def discriminator_step(self, batch: int) -> DiscriminatorStep:
        """The bound discriminator step for a batch size, made at first use."""
        return self._step(DiscriminatorStep, batch)

    def generator_step(self, batch: int) -> GeneratorStep:
        """The bound generator step for a batch size, made at first use."""
        return self._step(GeneratorStep, batch)

    def _step(self, kind, batch):
        batch = whole(f"{kind.__name__}: batch", batch)
        if (kind, batch) not in self._steps:
            own = [key for key in self._steps if key[0] is kind]
            if len(own) >= STEPS_KEPT:
                del self._steps[own[0]]
            self._steps[kind, batch] = kind(self, batch)
        return self._steps[kind, batch]

    def rows_per_step(self, batch_size: int) -> int:
        """How many real rows a discriminator step takes: `batch_size`, or half of it when "separate"."""
        batch_size = whole("batch_size", batch_size)
        if self.schedule == SEPARATE and batch_size % 2:
            raise ArgumentError(f"batch_size must be even for half-batches, got {batch_size}")
        return batch_size // 2 if self.schedule == SEPARATE else batch_size

    @says_ours
    def fit(
        self,
        data: Source | ConditionalSource | Numbers,
        steps: int | None = None,
        batch_size: int = 128,
        rng: Rng | Sequence[Rng] | None = None,
        every: int = 100,
        callback: Callback | None = None,
        epochs: int | None = None,
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        checkpoint: Checkpoint | FileName | None = None,
        resume: bool = False,
        parts: Mapping[str, Part] = MappingProxyType({}),
        insides: bool = False,
        processes: int | None = None,
    ) -> History:
        """Train for `steps` steps or `epochs` epochs and return the `History`, a row per step.

        A step is `discriminator_steps` steps of the discriminator, then `generator_steps` of the generator.

        A second call trains on, with moments and statistics as they are, but it is a training of its own: batches are
        drawn ahead, and those that the first call drew and did not use are dropped, so that fit(steps=100) twice gives
        other numbers than fit(steps=200) once. For a training in parts that ends as one that ran through, to the bit,
        call with checkpoint=… and resume=True, first with steps=100, then with steps=200.

        data        a source of real rows: an object with a `shape` and sample(n, rng, out), or an array of rows. For a
                    GAN with conditions a source with the same `conditions`, such as `numgan.data.Labelled`.
        steps       rows are drawn at random for each; or
        epochs      passes over all rows in a new random order each, the last batch of a pass holding what is left.
                    Needs an array, or a source with a length and take(index, out).
        batch_size  rows of the generator's batch, default 128. The discriminator sees as many real and as many
                    generated rows, half as many of each when the schedule is "separate", as the documents have it.
                    Where the objective compares pairs, the generator's step gets as many real rows of its own. They
                    are drawn at random, by epochs too: an epoch is once through all rows by the discriminator.
        rng         numpy.random.Generator for data and noise. Default: a fresh one in every call, and
                    `History.seed` says which: rng=numpy.random.default_rng(history.seed) gives the same training again.
                    Or a list of one for each replica: replica r is then
                    trained as a single GAN is with rng[r], to the bit where BLAS has one thread: same rows, same noise,
                    an order of its own in epochs. One whose numbers are not finite is stopped: it keeps the state of
                    the last good look, its rows in the history are gaps from there on, history.stopped says why, and
                    the others go on.
        every       steps between two looks at the losses, default 100; there are more around the end of an epoch.
        callback    callback(steps done, history), called before the first step, after every `every` steps, at the end
                    of an epoch and at the end. Training ends when it returns True. `ProgressBar` is one.
        discriminator_steps, generator_steps   default 1; 0 freezes that side, whose columns in the history are gaps.
                    By `shared_fakes` neither can be 0, and the generator's only 1.
        checkpoint  a file that the training is kept in, about every half minute, at the end, and when anything stops
                    it; or a `Checkpoint`, which says when. `GAN.load` opens it as well.
        resume      go on from the checkpoint, if its file is there: call with the same data and settings, and with
                    `steps` or `epochs` as long as the whole training is to be. It ends as one that ran through, to the
                    bit: weights, moments, statistics, random numbers, order of the rows, history. Default False.
        parts       name -> `Part`: more that changes with the training, such as what the callback gathers.
        insides     whether to look inside the networks too, at every look: gradient norm and update-to-weight ratio of
                    every layer and its dead units, which are columns of the history then; see `measure` in
                    `numgan.gan.insides`. The training is the same, to the bit. Default False.
        processes   how many share the work; their number changes no bit of what comes of it. They make a step together,
                    see `Crew`, where that is worth it: not that of small networks, of layers of one's own, of a stack
                    with one generator, or beside other threads. With a list of generators they share the replicas.
                    Default: as many as BLAS has threads, four at most. Where this process is alone with one GAN, BLAS
                    keeps its threads, and the numbers are up to it. One that is killed is a `CrewError`.

        Whatever stops a training (numbers that are not finite, a KeyboardInterrupt, an exception in the callback)
        leaves every part in the state of the last good look, with error.history up to there. NonFiniteError says at
        which step and where; an infinity or a NaN is noticed within a hundred steps.
        """
        request = Request(steps, epochs, batch_size, every, discriminator_steps, generator_steps, insides)
        rest = request, callback, checkpoint, resume, parts, processes
        if isinstance(rng, list | tuple):
            return fit(self, data, checked_generators(self, rng), *rest, StackTraining)
        return fit(self, data, rng, *rest)

    def steps_per_epoch(self, length: int, batch_size: int, discriminator_steps: int = 1) -> int:
        """How many training steps it takes to go through `length` rows once."""
        length, k = whole("length", length), whole("discriminator_steps", discriminator_steps, 0)
        return sum(portion.times for portion in epoch(self.rows_per_step(batch_size), length, batch_size, k))

    # ----------------------------------------------------------------------------------------------------- sampling

    def sample(self, n: int, rng: Rng, **conditions: Any) -> Array:
        """n generated rows (…, n, *shape) of the `sampler`, in inference mode, from noise drawn from `rng`; under a
        condition for each, or one for all: sample(8, rng, label=7).
        """
        n, rng = whole("sample(n)", n), generator("sample: rng", rng)
        affordable(f"sample: {n:,} rows", 8 * n * math.prod((*self.generator.replicas, *self.generator.shapes[0])))
        given = self._given(conditions, n, "sample")
        return self.sampler.predict(self.draw_noise(n, rng), **given)

    def draw_noise(self, n: int, rng: Rng) -> Array:
        """Noise (…, n, *shape) for n rows of the generator, of the kind that this GAN has."""
        shape = (*self.generator.replicas, whole("draw_noise(n)", n), *self.generator.shapes[0])
        return drawn(generator("draw_noise: rng", rng), shape, self.generator.dtype, self.noise)

    def predict(self, noise: Numbers, **conditions: Any) -> Array:
        """What the discriminator says of generated rows, D(G(z)) (…, rows, 1), in inference mode, with the `sampler`
        for G: probabilities that they are real, or a critic's scores.
        """
        noise = self.generator.check_input(noise)
        given = self._given(conditions, self.generator.rows_of(noise), "predict")
        return self.discriminator.predict(self.sampler.predict(noise, **given), **given)

    # ------------------------------------------------------------------------------------------------------- replicas

    @classmethod
    def stack(cls, gans: Sequence[GAN]) -> GAN:
        """A GAN of R replicas from R single ones, with copies of their state. All are of one architecture, objective
        and so on; where numbers differ (rates, β, ε, momentum, label_smoothing, clip, the weight of a penalty or of
        L1, decay of the average), each replica has its own.
        """
        return stack(cls, gans)

    def replica(self, r: int) -> GAN:
        """Replica r as a single GAN, with a copy of its state: weights, moments, statistics, count of updates."""
        return replica(self, r)

    def set_replica(self, r: int, gan: GAN) -> None:
        """Put the state of a single GAN in the place of replica r. Its learning rate comes with it; the other numbers
        of replica r have to be its own, and it has made as many updates.
        """
        set_replica(self, r, gan)

    # ------------------------------------------------------------------------------------------------------- saving

    def state_dict(self) -> Named:
        """name -> copy of everything that training changes: "generator.dense_1.weight", "generator_optimizer.m" …"""
        return self.parts.state_dict()

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Set everything in `state_dict`; on any wrong name or shape nothing changes."""
        self.parts.load_state_dict(arrays)

    def config(self) -> Config:
        """What makes this GAN again but for its state, as JSON-ready values."""
        optimizers = {"generator": self.generator_optimizer, "discriminator": self.discriminator_optimizer}
        return {
            "generator": self.generator.config(),
            "discriminator": self.discriminator.config(),
            **{f"{side}_optimizer": [type(o).__name__, o.config()] for side, o in optimizers.items()},
            "objective": objectives.described(self.objective),
            "schedule": self.schedule,
            **({"penalty": [self.penalty.name, self.penalty.config()]} if self.penalty else {}),
            **({"average": self.average.decay} if self.average else {}),
            **({"conditions": self._conditions_config()} if self.conditions else {}),
            **({"matching_aware": True} if self.matching_aware else {}),
            **({"l1_weight": self.l1.weight} if self.l1 else {}),
            **({"noise": self.noise} if self.noise != NORMAL else {}),
            **({"shared_fakes": True} if self.shared_fakes else {}),
        }

    def _conditions_config(self):
        return {name: [type(c).__name__, c.config()] for name, c in self.conditions.items()}

    def copy(self) -> GAN:
        """A new GAN with the same state, optimisers and all, that shares nothing with this one."""
        with self.in_use():
            return copy.deepcopy(self)

    __copy__ = copy  # with networks shared, each would have two optimisers

    def __getstate__(self):
        """For `copy` and `pickle`: everything but what is bound to the networks' arrays, which the copy binds anew."""
        with self.in_use():
            bound = [part for part in (self.generator_optimizer, self.discriminator_optimizer, self.average) if part]
            state = {name: value for name, value in vars(self).items() if name not in BOUND}
            state["parts"] = Parts({k: None if part in bound else part for k, part in self.parts.items()})
            state["optimizers"] = {s: (getattr(self, s).free(), getattr(self, s).state_dict()) for s in SIDES}
            state["average"] = self.average and (self.average.decay, self.average.state_dict())
        return state

    def __setstate__(self, state):
        optimizers, average = state.pop("optimizers"), state.pop("average", None)
        vars(self).update(state)
        for side, network in zip(SIDES, (self.generator, self.discriminator), strict=True):
            optimizer, held = optimizers[side]
            optimizer.attach(network)
            optimizer.load_state_dict(held)
            setattr(self, side, optimizer)
            self.parts[side] = optimizer
        self.average = average and Average(self.generator, average[0])
        if average:
            self.average.load_state_dict(average[1])
            self.parts["average"] = self.average
        self._steps, self._shared = {}, None

    def save(self, path: FileName) -> None:
        """Write networks, optimisers and settings to one .npz file, whole or not at all; see `load`."""
        write_model(path, self.config(), self.state_dict())

    @classmethod
    def load(
        cls, path: FileName, layers: Sequence[type[Layer]] = (), objectives: Sequence[type[Objective]] = ()
    ) -> GAN:
        """The GAN that `save` wrote, ready to sample or to train on; `layers` and `objectives` are classes of your own
        that it is made of.

        Raises ModelFileError with one sentence for a file that is damaged or holds something else.
        """
        with open_model(path) as model:
            networks = [model.build_network(key, layers) for key in ("generator", "discriminator")]
            optimizers = [model.build_optimizer(key + "_optimizer") for key in ("generator", "discriminator")]
            objective = made(*model.settings["objective"], objectives)
            optional = ("average", "matching_aware", "l1_weight", "noise", "shared_fakes")
            settings = {name: model.settings[name] for name in optional if name in model.settings}
            if "conditions" in model.settings:
                described = mapping("conditions", model.settings["conditions"])
                settings["conditions"] = {k: CONDITIONS[kind](**c) for k, (kind, c) in described.items()}
            if "penalty" in model.settings:
                name, arguments = model.settings["penalty"]
                settings["penalty"] = type(penalties.get(str(name)))(**arguments)
            gan = cls(*networks, *optimizers, objective, model.settings["schedule"], **settings)
            gan.load_state_dict(model.read_arrays({k: a.shape for k, a in gan.state_dict().items()}))
        return gan


def _as_numbers(metrics):
    """A record of arrays (…) as one of floats, where there are no replicas."""
    return metrics._make(float(value) if np.ndim(value) == 0 else value for value in metrics)
