"""`GAN`: a generator, a discriminator, and the two training steps that play them against each other.

Discriminator step: real rows labelled 1 and generated rows labelled 0; only the discriminator learns.
Generator step: noise → generator → frozen discriminator, labelled 1; only the generator learns.

Frozen means that nothing of the discriminator is written: the chain binds it in inference mode (running
statistics used, not updated), without parameter gradients, and its optimiser is not in the list of calls.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from numgan import kernels
from numgan.data.stream import data_stream, noise_stream
from numgan.history import History, LogitLog, measure
from numgan.losses import logit_constants
from numgan.network import Plan
from numgan.optimizers import Adam
from numgan.saving import open_model, write_model

SCHEDULES = ("concatenated", "separate")


class DiscriminatorMetrics(NamedTuple):
    """Of one discriminator step, before its update: binary cross-entropy and accuracy on real and on fake rows."""

    loss_real: float
    loss_fake: float
    accuracy_real: float
    accuracy_fake: float

    @property
    def loss(self):
        """The mean over both halves: what a concatenated batch minimises."""
        return (self.loss_real + self.loss_fake) / 2

    @property
    def accuracy(self):
        return (self.accuracy_real + self.accuracy_fake) / 2


class GeneratorMetrics(NamedTuple):
    """Of one generator step, before its update: loss against label 1, and the share of fakes that passed as real."""

    loss: float
    accuracy: float


class NonFiniteError(FloatingPointError):
    """Training produced an infinity or a NaN; the message says at which step and in which tensor."""


def loss_gradient(plan, target):
    """The call that writes ∂L/∂logit for constant targets, and so starts the backward pass."""
    target = np.asarray(target, plan.y.dtype)
    return partial(kernels.bce_logits_backward, plan.y, *logit_constants(target, plan.y.shape), out=plan.dy)


def _learning_calls(plan, target, optimizer):
    return [*plan.forward, loss_gradient(plan, target), *plan.backward, optimizer.step]


class DiscriminatorStep:
    """One discriminator step at one batch size, as a list of bound calls; see `GAN` for the two schedules."""

    def __init__(self, gan, batch):
        g, d = gan.generator, gan.discriminator
        both = gan.schedule == "concatenated"

        def learner(rows):
            return Plan(d, rows, training=True, backward=True, depth=d.logit_depth)

        real = learner(2 * batch if both else batch)
        fake = real if both else learner(batch)
        rows = np.s_[..., batch:, :] if both else np.s_[...]
        source = Plan(g, batch, training=False, backward=False)
        generate = [*source.forward, partial(np.copyto, fake.x[rows], source.y)]
        if both:
            target = np.repeat([gan.real_target, 0.0], batch)[:, None]
            self.calls = [*generate, *_learning_calls(real, target, gan.discriminator_optimizer)]
        else:
            self.calls = [
                *_learning_calls(real, gan.real_target, gan.discriminator_optimizer),
                *generate,
                *_learning_calls(fake, 0.0, gan.discriminator_optimizer),
            ]
        self.origins = source.origins | real.origins | fake.origins
        self.real, self.noise = real.x[..., :batch, :], source.x
        self.real_logits, self.fake_logits = real.y[..., :batch, :], fake.y[rows]

    def run(self, real, noise):
        np.copyto(self.real, real)
        np.copyto(self.noise, noise)
        for call in self.calls:
            call()


class GeneratorStep:
    """One generator step at one batch size: through the frozen discriminator and back, as a list of bound calls."""

    def __init__(self, gan, batch):
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
            dx=source.dy,
        )
        self.calls = [
            *source.forward,
            *critic.forward,
            loss_gradient(critic, 1.0),
            *critic.backward,
            *source.backward,
            gan.generator_optimizer.step,
        ]
        self.origins = source.origins | critic.origins
        self.noise, self.logits = source.x, critic.y

    def run(self, noise):
        np.copyto(self.noise, noise)
        for call in self.calls:
            call()


class TrainingStep:
    """One step of `GAN.fit`: fresh rows and noise, a discriminator step, a generator step."""

    def __init__(self, gan, data, batch_size, rng):
        data = data if hasattr(data, "sample") else Rows(data)
        if data.features != gan.discriminator.widths[0]:
            wanted = gan.discriminator.widths[0]
            raise ValueError(f"the data has {data.features} features, the discriminator expects {wanted}")
        if gan.schedule == "separate" and batch_size % 2:
            raise ValueError(f"batch_size must be even for half-batches, got {batch_size}")
        rows = batch_size // 2 if gan.schedule == "separate" else batch_size
        self.discriminator, self.generator = gan.discriminator_step(rows), gan.generator_step(batch_size)
        dtype, lead = gan.generator.dtype, gan.generator.replicas
        self.real = data_stream(data, rng, (*lead, rows, data.features), dtype)
        self.noise = noise_stream(rng, (*lead, rows, gan.latent_dim), dtype)
        self.generator_noise = noise_stream(rng, (*lead, batch_size, gan.latent_dim), dtype)
        self.logits = self.discriminator.real_logits, self.discriminator.fake_logits, self.generator.logits

    def run(self):
        self.discriminator.run(self.real.next(), self.noise.next())
        self.generator.run(self.generator_noise.next())


class GAN:
    """A generative adversarial network (Goodfellow et al. 2014) with hand-written gradients.

    generator, discriminator   `Sequential`s of equal dtype and replicas; the generator's output is the
        discriminator's input. The discriminator has one output and ends in Sigmoid, so that it predicts
        probabilities; the loss is computed from the logit below.
    generator_optimizer, discriminator_optimizer   default Adam(); each network owns its own.
    schedule          how the discriminator learns from a real and a generated batch:
        "concatenated" (default), one update on both as one batch;
        "separate", one update on the real batch, then one on the generated one.
    label_smoothing   s in [0, ½): real rows are labelled 1 − s in the discriminator's step. Default 0.

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
        self.generator, self.discriminator = g, d
        self.schedule, self.label_smoothing = schedule, float(label_smoothing)
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
        return DiscriminatorMetrics(*map(_number, (loss_real, loss_fake, accuracy_real, accuracy_fake)))

    def train_generator(self, noise):
        """One generator step on noise (…, batch, latent_dim), through the frozen discriminator.

        Not one bit of the discriminator changes: weights, gradients, optimiser state, batch-norm statistics.
        Returns GeneratorMetrics.
        """
        noise = self.generator.check_input(noise)
        step = self.generator_step(noise.shape[-2])
        step.run(noise)
        return GeneratorMetrics(*map(_number, measure(step.logits, 1.0, True)))

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

    def fit(self, data, steps, batch_size, rng, every=100, callback=None):
        """Train for `steps` steps, each a discriminator step followed by a generator step; returns the `History`.

        data        a source of real rows: an object with `features` and sample(n, rng, out), or an array of rows.
        batch_size  rows of the generator's batch. The discriminator sees as many real and as many generated rows
                    when concatenated, half as many of each when separate, as the documents have it.
        rng         numpy.random.Generator for data and noise.
        every       steps between two looks at the losses; default 100.
        callback    callback(steps done, history), called before the first step and after every `every` steps.

        When numbers stop being finite, NonFiniteError says at which step and where; it, and a KeyboardInterrupt,
        leave the networks and optimisers in the state of the last good look, with error.history up to there.
        """
        for name, value, least in (("steps", steps, 0), ("batch_size", batch_size, 1), ("every", every, 1)):
            if not (isinstance(value, int) and value >= least):
                raise ValueError(f"fit: {name} must be an integer from {least} up, got {value!r}")
        history = History(self.real_target)
        good = None  # (state, number of looks) as of the last good look: one name, so that no interrupt splits it
        try:
            step = TrainingStep(self, data, batch_size, rng)
            log = LogitLog(min(every, max(steps, 1)), [a.shape for a in step.logits], self.generator.dtype)
            good = self.state_dict(), 0
            if callback:
                callback(0, history)
            with np.errstate(all="ignore"):  # the look at the losses reports what goes wrong, once
                for done in range(1, steps + 1):
                    step.run()
                    log.write(*step.logits)
                    if log.used == every or done == steps:
                        good = self._look(history, log)
                        if callback:
                            callback(done, history)
        except (NonFiniteError, KeyboardInterrupt) as error:
            if good:
                self.load_state_dict(good[0])
                history.cut(good[1])
            error.history = history
            raise
        return history

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
            gan = cls(*networks, *optimizers, model.settings["schedule"], model.settings["label_smoothing"])
            gan.load_state_dict(model.read_arrays({k: a.shape for k, a in gan.state_dict().items()}))
        return gan


class Rows:
    """An array of real rows (n, features) as a data source: rows are drawn at random, with replacement."""

    def __init__(self, rows):
        self.rows = np.asarray(rows)
        if self.rows.ndim != 2 or self.rows.dtype.kind not in "fiu":
            raise ValueError(
                f"real data must be numbers of shape (rows, features), got {self.rows.dtype} {self.rows.shape}"
            )
        self.features = self.rows.shape[1]

    def sample(self, n, rng, out):
        out[...] = self.rows[rng.integers(0, len(self.rows), n)]


def _number(value):
    return float(value) if np.ndim(value) == 0 else value
