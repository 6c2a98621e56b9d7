"""`GAN`: a generator, a discriminator, and the two training steps that play them against each other.

The game ([GAN] eq. 1, Goodfellow et al. 2014, arXiv:1406.2661) is min_G max_D V(D, G) with the value function

    V(D, G) = E[log D(x)] + E[log(1 − D(G(z)))],    x real, z noise.

Discriminator step: maximise V, which is binary cross-entropy with real rows labelled 1 and generated rows labelled
0; only the discriminator learns.
Generator step: noise → generator → frozen discriminator; only the generator learns. Its objective is
    "non-saturating"  minimise −E[log D(G(z))], cross-entropy against label 1 ([GAN] section 3), or
    "minimax"         minimise E[log(1 − D(G(z)))], V itself. Its gradient −σ(logit) vanishes where the discriminator
                      is sure that a row is fake, which is where the generator needs it: it saturates.
"""

import sys
from typing import NamedTuple

import numpy as np

from numgan.data.rows import Rows
from numgan.data.stream import Shuffled
from numgan.gan.history import OBJECTIVES, History, LogitLog, measure, measure_generator
from numgan.gan.steps import DiscriminatorStep, GeneratorStep, TrainingStep, stretches
from numgan.nn.model_file import open_model, write_model
from numgan.nn.optimizers import Adam

SCHEDULES = ("concatenated", "separate", "summed")


class DiscriminatorMetrics(NamedTuple):
    """Of one discriminator step, before its update: binary cross-entropy and accuracy on real and on fake rows.

    loss is the mean of loss_real and loss_fake, or their sum where the schedule is "summed".
    """

    loss_real: float
    loss_fake: float
    accuracy_real: float
    accuracy_fake: float
    loss: float

    @property
    def accuracy(self):
        return (self.accuracy_real + self.accuracy_fake) / 2


class GeneratorMetrics(NamedTuple):
    """Of one generator step, before its update: its objective, and the share of fakes that passed as real."""

    loss: float
    accuracy: float


class NonFiniteError(FloatingPointError):
    """Training produced an infinity or a NaN; the message says at which step and in which tensor."""


class GAN:
    """A generative adversarial network (Goodfellow et al. 2014) with hand-written gradients.

    generator, discriminator   `Sequential`s of equal dtype and replicas; the generator's output is the
        discriminator's input. The discriminator has one output and ends in Sigmoid, so that it predicts
        probabilities; the loss is computed from the logit below.
    generator_optimizer, discriminator_optimizer   default Adam(); each network owns its own.
    schedule          how the discriminator learns from a real and a generated batch:
        "concatenated" (default), one update on both as one batch, by the mean of all losses;
        "summed", the same by the sum of the mean loss on real and the mean loss on generated rows;
        "separate", one update on the real batch, then one on the generated one.
    label_smoothing   s in [0, ½): real rows are labelled 1 − s in the discriminator's step. Default 0.
    objective         the generator's: "non-saturating" (default) or "minimax"; the top of this file derives both.

    The rows generated for the discriminator are made in inference mode, as Keras's `predict` makes them.
    """

    def __init__(
        self,
        generator,
        discriminator,
        generator_optimizer=None,
        discriminator_optimizer=None,
        schedule="concatenated",
        label_smoothing=0.0,
        objective="non-saturating",
    ):
        g, d = generator, discriminator
        if g.widths[-1] != d.widths[0]:
            raise ValueError(
                f"generator '{g.name}' makes {g.widths[-1]} features, discriminator '{d.name}' expects {d.widths[0]}"
            )
        if d.widths[-1] != 1 or d.logit_depth == len(d.layers):
            raise ValueError(
                f"discriminator '{d.name}' must end in Dense(1), Sigmoid(); it ends in "
                f"{d.layers[-1]!r} with {d.widths[-1]} features"
            )
        if (g.dtype, g.replicas) != (d.dtype, d.replicas):
            raise ValueError(
                f"generator has dtype {g.dtype} and replicas {g.replicas}, discriminator {d.dtype} and {d.replicas}"
            )
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {SCHEDULES}, got {schedule!r}")
        if not 0 <= label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must be in [0, 0.5), got {label_smoothing!r}")
        if objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {OBJECTIVES}, got {objective!r}")
        self.generator, self.discriminator = g, d
        self.schedule, self.label_smoothing, self.objective = schedule, float(label_smoothing), objective
        self.real_target = 1.0 - self.label_smoothing
        self.generator_optimizer = generator_optimizer or Adam()
        self.discriminator_optimizer = discriminator_optimizer or Adam()
        self.generator_optimizer.attach(g)
        self.discriminator_optimizer.attach(d)
        self._steps = {}

    @property
    def latent_dim(self):
        """How many noise values make one sample."""
        return self.generator.widths[0]

    # ---------------------------------------------------------------------------------------------------- training

    def train_discriminator(self, real, noise):
        """One discriminator step on real rows (…, batch, features) and noise (…, batch, latent_dim).

        Nothing of the generator changes. Returns DiscriminatorMetrics; floats, or arrays (R,) with replicas.
        """
        real, noise = self.discriminator.check_input(real), self.generator.check_input(noise)
        if real.shape[-2] != noise.shape[-2]:
            raise ValueError(f"train_discriminator: {real.shape[-2]} real rows but {noise.shape[-2]} noise rows")
        step = self.discriminator_step(real.shape[-2])
        step.run(real, noise)
        loss_real, accuracy_real = measure(step.real_logits, self.real_target, True)
        loss_fake, accuracy_fake = measure(step.fake_logits, 0.0, False)
        loss = (loss_real + loss_fake) * (1 if self.schedule == "summed" else 0.5)
        return DiscriminatorMetrics(*map(_number, (loss_real, loss_fake, accuracy_real, accuracy_fake, loss)))

    def train_generator(self, noise):
        """One generator step on noise (…, batch, latent_dim), through the frozen discriminator.

        Not one bit of the discriminator changes: weights, gradients, optimiser state, batch-norm statistics.
        Returns GeneratorMetrics.
        """
        noise = self.generator.check_input(noise)
        step = self.generator_step(noise.shape[-2])
        step.run(noise)
        return GeneratorMetrics(*map(_number, measure_generator(step.logits, self.objective)))

    def discriminator_step(self, batch):
        """The bound discriminator step for a batch size, made at first use."""
        return self._step(DiscriminatorStep, batch)

    def generator_step(self, batch):
        """The bound generator step for a batch size, made at first use."""
        return self._step(GeneratorStep, batch)

    def _step(self, kind, batch):
        if (kind, batch) not in self._steps:
            self._steps[kind, batch] = kind(self, batch)
        return self._steps[kind, batch]

    def rows_per_step(self, batch_size):
        """How many real rows a discriminator step takes: `batch_size`, or half of it when "separate"."""
        if self.schedule == "separate" and batch_size % 2:
            raise ValueError(f"batch_size must be even for half-batches, got {batch_size}")
        return batch_size // 2 if self.schedule == "separate" else batch_size

    def fit(
        self,
        data,
        steps=None,
        batch_size=128,
        rng=None,
        every=100,
        callback=None,
        epochs=None,
        discriminator_steps=1,
        generator_steps=1,
    ):
        """Train for `steps` steps or `epochs` epochs and return the `History`, a row per step.

        A step is `discriminator_steps` steps of the discriminator, then `generator_steps` of the generator.

        data        a source of real rows: an object with `features` and sample(n, rng, out), or an array of rows.
        steps       rows are drawn at random for each; or
        epochs      passes over all rows in a new random order each, the last batch of a pass holding what is left.
                    Needs an array, or a source with a length and take(index, out).
        batch_size  rows of the generator's batch, default 128. The discriminator sees as many real and as many
                    generated rows, half as many of each when the schedule is "separate", as the documents have it.
        rng         numpy.random.Generator for data and noise.
        every       steps between two looks at the losses, default 100; there are more around the end of an epoch.
        callback    callback(steps done, history), called before the first step, after every `every` steps, at the end
                    of an epoch and at the end. Training ends when it returns True.
        discriminator_steps, generator_steps   default 1; 0 freezes that side, and the history then shows what the
                    discriminator says of the rows that the other side sees.

        When numbers stop being finite, NonFiniteError says at which step and where; it, and a KeyboardInterrupt,
        leave the networks and optimisers in the state of the last good look, with error.history up to there.
        """
        for name, value, least in (
            ("steps" if epochs is None else "epochs", steps if epochs is None else epochs, 0),
            ("batch_size", batch_size, 1),
            ("every", every, 1),
            ("discriminator_steps", discriminator_steps, 0),
            ("generator_steps", generator_steps, 0),
        ):
            if not (isinstance(value, int) and not isinstance(value, bool) and value >= least):
                raise ValueError(f"fit: {name} must be an integer from {least} up, got {value!r}")
        if steps is not None and epochs is not None:
            raise ValueError(f"fit: give steps or epochs, not both; got steps={steps}, epochs={epochs}")
        if discriminator_steps == generator_steps == 0:
            raise ValueError("fit: discriminator_steps and generator_steps are both 0; nothing would be trained")
        history = History(self.real_target, self.objective, self.schedule == "summed")
        good = None  # (state, number of looks) as of the last good look: one name, so that no interrupt splits it
        try:
            parts = self._parts_of_training(data, epochs, batch_size, rng, discriminator_steps, generator_steps)
            total = steps if epochs is None else epochs * sum(count for _, count in parts)
            logs = {step: self._log(step, min(every, max(total, 1))) for step, _ in parts}
            good = self.state_dict(), 0
            if callback and callback(0, history):
                return history
            with np.errstate(all="ignore"):  # the look at the losses reports what goes wrong, once
                for step, count, done, report in stretches(parts, total, every):
                    log = logs[step]
                    for _ in range(count):
                        step.run()
                        log.write(*step.logits)
                    good = self._look(history, log)
                    if report and callback and callback(done, history):
                        break
        except (NonFiniteError, KeyboardInterrupt) as error:
            if good:
                self.load_state_dict(good[0])
                history.cut(good[1])
            error.history = history
            raise
        return history

    def steps_per_epoch(self, length, batch_size, discriminator_steps=1):
        """How many training steps it takes to go through `length` rows once."""
        return sum(count for _, _, count in self._epoch(length, batch_size, discriminator_steps))

    def _epoch(self, length, batch_size, discriminator_steps):
        """[(batch size, discriminator steps, how often)]: the training steps that see each of `length` rows once.

        Each discriminator step takes a batch. When the whole batches of an epoch do not divide by the discriminator
        steps of a training step, the last training step on them has fewer; one more takes the partial batch.
        """
        rows = self.rows_per_step(batch_size)
        whole, left = divmod(length, rows)
        times, fewer = divmod(whole, max(1, discriminator_steps))
        parts = (
            (batch_size, discriminator_steps, times),
            (batch_size, fewer, int(fewer > 0)),
            (left * batch_size // rows, min(1, discriminator_steps), int(left > 0)),
        )
        return [part for part in parts if part[2]]

    def _parts_of_training(self, data, epochs, batch_size, rng, discriminator_steps, generator_steps):
        """[(training step, how often)]: those of an epoch, or one endless part."""
        data = data if hasattr(data, "sample") else Rows(data)
        if data.features != self.discriminator.widths[0]:
            wanted = self.discriminator.widths[0]
            raise ValueError(f"the data has {data.features} features, the discriminator expects {wanted}")
        if epochs is None:
            step = TrainingStep(self, data, batch_size, rng, discriminator_steps, generator_steps)
            return [(step, sys.maxsize)]
        if not hasattr(data, "take"):
            raise ValueError(f"fit: {type(data).__name__} draws its rows afresh and has no epochs; give steps")
        order = Shuffled(data, rng)
        return [
            (TrainingStep(self, data, size, rng, steps, generator_steps, order=order), count)
            for size, steps, count in self._epoch(len(data), batch_size, discriminator_steps)
        ]

    def _log(self, step, steps):
        return LogitLog(steps, [a.shape for a in step.logits], self.generator.dtype)

    def _look(self, history, log):
        """Move the logged steps to the history; returns (copy of the state, number of looks), or NonFiniteError."""
        start = len(history)
        bad_loss, state = history.add(log), self.state_dict()
        bad_tensor = next((name for name, a in state.items() if not np.isfinite(a).all()), None)
        if bad_loss or bad_tensor:
            what = [f"{bad_loss[1]} at step {bad_loss[0]}"] if bad_loss else []
            what += [f"{bad_tensor} by step {len(history)}"] if bad_tensor else []
            raise NonFiniteError(f"not finite: {' and '.join(what)}; kept the last good state, after step {start}")
        return state, history.looks

    # ----------------------------------------------------------------------------------------------------- sampling

    def sample(self, n, rng):
        """n generated rows (…, n, features), in inference mode, from standard normal noise drawn from `rng`."""
        if not (isinstance(n, int) and n > 0):
            raise ValueError(f"sample(n) expects a positive integer, got {n!r}")
        shape = (*self.generator.replicas, n, self.latent_dim)
        return self.generator.predict(rng.standard_normal(shape, dtype=self.generator.dtype))

    def predict(self, noise):
        """The discriminator's probabilities D(G(z)) (…, rows, 1) that generated rows are real, in inference mode."""
        return self.discriminator.predict(self.generator.predict(noise))

    # ------------------------------------------------------------------------------------------------------- saving

    def _parts(self):
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }

    def state_dict(self):
        """name -> copy of everything that training changes: "generator.dense_1.weight", "generator_optimizer.m" …"""
        return {f"{part}.{name}": a for part, owner in self._parts().items() for name, a in owner.state_dict().items()}

    def load_state_dict(self, arrays):
        """Set everything in `state_dict`; on any wrong name or shape nothing changes."""
        parts = {part: {} for part in self._parts()}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            if part not in parts:
                raise ValueError(f"unknown entry {name!r}; entries begin with {', '.join(parts)}")
            parts[part][rest] = array
        for part, owner in self._parts().items():
            owner.check_state_dict(parts[part])
        for part, owner in self._parts().items():
            owner.load_state_dict(parts[part])

    def save(self, path):
        """Write networks, optimisers and settings to one .npz file, whole or not at all; see `load`."""
        settings = {
            "generator": self.generator.config(),
            "discriminator": self.discriminator.config(),
            "generator_optimizer": [type(self.generator_optimizer).__name__, self.generator_optimizer.config()],
            "discriminator_optimizer": [
                type(self.discriminator_optimizer).__name__,
                self.discriminator_optimizer.config(),
            ],
            "schedule": self.schedule,
            "label_smoothing": self.label_smoothing,
            "objective": self.objective,
        }
        write_model(path, settings, self.state_dict())

    @classmethod
    def load(cls, path, layers=()):
        """The GAN that `save` wrote, ready to sample or to train on; `layers` are Layer subclasses of your own.

        Raises ModelFileError with one sentence for a file that is damaged or holds something else.
        """
        with open_model(path) as model:
            networks = [model.build_network(key, layers) for key in ("generator", "discriminator")]
            optimizers = [model.build_optimizer(key + "_optimizer") for key in ("generator", "discriminator")]
            settings = {name: model.settings[name] for name in ("schedule", "label_smoothing", "objective")}
            gan = cls(*networks, *optimizers, **settings)
            gan.load_state_dict(model.read_arrays({k: a.shape for k, a in gan.state_dict().items()}))
        return gan


def _number(value):
    return float(value) if np.ndim(value) == 0 else value
