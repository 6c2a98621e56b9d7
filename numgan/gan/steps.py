"""The steps of a GAN's training at one batch size, bound to their buffers: lists of kernel calls, made once.

Frozen means that nothing of the discriminator is written: the chain binds it in inference mode (running
statistics used, not updated), without parameter gradients, and its optimiser is not in the list of calls.
"""

import itertools

import numpy as np

from numgan.data.stream import data_stream, epoch_stream, noise_stream
from numgan.kernels import losses as kernels
from numgan.nn.calls import Call, listing, runs
from numgan.nn.losses import logit_constants
from numgan.nn.plan import Plan


def loss_gradient(plan, target, weight=1):
    """The call that writes ∂(weight·L)/∂logit for constant targets, and so starts the backward pass."""
    offset, half, half_over_count = logit_constants(np.asarray(target, plan.y.dtype), plan.y.shape, weight)
    arguments = {"z": plan.y, "offset": offset, "half": half, "half_over_count": half_over_count, "out": plan.dy}
    return Call(kernels.bce_logits_backward, arguments, layer="loss", direction="backward")


def _learning_calls(plan, target, optimizer, weight=1):
    return [*plan.forward, loss_gradient(plan, target, weight), *plan.backward, optimizer.call]


class Step:
    """A list of calls that is run as a whole. `print` shows it, line by line."""

    title = ""

    def __init__(self, calls):
        self.calls, self._runs = calls, runs(calls)

    def _run(self):
        for run in self._runs:
            run()

    def __str__(self):
        return listing(self.title, self.calls)


class DiscriminatorStep(Step):
    """One discriminator step at one batch size; see `GAN` for the schedules."""

    def __init__(self, gan, batch):
        g, d = gan.generator, gan.discriminator
        both = gan.schedule != "separate"

        def learner(rows):
            return Plan(d, rows, training=True, backward=True, depth=d.logit_depth)

        real = learner(2 * batch if both else batch)
        fake = real if both else learner(batch)
        fakes = np.s_[..., batch:] if both else np.s_[...]
        source = Plan(g, batch, training=False, backward=False)
        copy = {"dst": fake.x[fakes], "src": source.y}
        generate = [*source.forward, Call(np.copyto, copy, g.name, "generated rows", "copy")]
        if both:
            target = np.repeat([gan.real_target, 0.0], batch)
            weight = 2 if gan.schedule == "summed" else 1  # the sum of two means is twice the mean of all
            calls = [*generate, *_learning_calls(real, target, gan.discriminator_optimizer, weight)]
        else:
            calls = [
                *_learning_calls(real, gan.real_target, gan.discriminator_optimizer),
                *generate,
                *_learning_calls(fake, 0.0, gan.discriminator_optimizer),
            ]
        super().__init__(calls)
        self.title = (
            f"discriminator step: {batch:,} real and {batch:,} generated rows, "
            f"{'as one batch' if both else 'one batch after the other'}; "
            f"'{d.name}' learns, '{g.name}' is frozen and only runs forward"
        )
        self.real, self.noise = d.samples_first(real.x[..., :batch]), g.samples_first(source.x)
        self.real_logits, self.fake_logits = (d.samples_first(a) for a in (real.y[..., :batch], fake.y[fakes]))

    def run(self, real, noise):
        np.copyto(self.real, real)
        np.copyto(self.noise, noise)
        self._run()


class GeneratorStep(Step):
    """One generator step at one batch size: through the frozen discriminator and back."""

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
            dx1=source.dy1,
        )
        calls = [
            *source.forward,
            *critic.forward,
            # minimax: E[log(1 − D)] is minus the cross-entropy against label 0
            loss_gradient(critic, 1.0) if gan.objective == "non-saturating" else loss_gradient(critic, 0.0, -1),
            *critic.backward,
            *source.backward,
            gan.generator_optimizer.call,
        ]
        super().__init__(calls)
        self.title = (
            f"generator step: {batch:,} rows of noise, through '{g.name}' and the frozen '{d.name}', and back; "
            f"'{g.name}' learns"
        )
        self.noise, self.logits = g.samples_first(source.x), d.samples_first(critic.y)

    def run(self, noise):
        np.copyto(self.noise, noise)
        self._run()


class FrozenDiscriminator(Step):
    """Stands in for the discriminator step when the discriminator does not learn: what it says of real rows."""

    def __init__(self, gan, batch):
        d = gan.discriminator
        plan = Plan(d, batch, training=False, backward=False, depth=d.logit_depth)
        super().__init__(plan.forward)
        self.real, self.real_logits = d.samples_first(plan.x), d.samples_first(plan.y)

    def run(self, real):
        np.copyto(self.real, real)
        self._run()


class TrainingStep:
    """One step of `GAN.fit`: fresh rows and noise for every discriminator step, fresh noise for every generator step.

    order   None, for rows drawn from `data` at random, or a `Shuffled` that hands out each row once an epoch.
    logits  those of the last discriminator step on real and on fake rows, and of the last generator step. A frozen
            side has none of its own: its place is taken by what the discriminator says in the other side's step.
    """

    def __init__(self, gan, data, batch_size, rng, discriminator_steps=1, generator_steps=1, order=None):
        rows = gan.rows_per_step(batch_size)
        dtype, lead = gan.generator.dtype, gan.generator.replicas
        shape = (*lead, rows, data.features)
        self.real = epoch_stream(order, shape[-2:], dtype) if order else data_stream(data, rng, shape, dtype)
        self.noise = noise_stream(rng, (*lead, rows, gan.latent_dim), dtype)
        self.generator_noise = noise_stream(rng, (*lead, batch_size, gan.latent_dim), dtype)
        self.discriminator_steps, self.generator_steps = range(discriminator_steps), range(generator_steps)
        self.generator = gan.generator_step(batch_size) if generator_steps else None
        self.discriminator = gan.discriminator_step(rows) if discriminator_steps else FrozenDiscriminator(gan, rows)
        fake = self.discriminator.fake_logits if discriminator_steps else self.generator.logits
        self.logits = self.discriminator.real_logits, fake, self.generator.logits if generator_steps else fake

    def run(self):
        for _ in self.discriminator_steps:
            self.discriminator.run(self.real.next(), self.noise.next())
        for _ in self.generator_steps:
            self.generator.run(self.generator_noise.next())
        if not self.discriminator_steps:
            self.discriminator.run(self.real.next())


def stretches(parts, total, every):
    """(training step, how often, steps done then, whether to report): runs of equal steps, up to `total` steps.

    parts  [(training step, how often)] of an epoch, repeated. They are cut after every `every` steps, which is when to
           report; also at the end of an epoch, but not before its last, partial batch.
    """
    done = 0
    for step, count in itertools.cycle(parts):
        end = min(done + count, total)
        while done < end:
            length = min(end - done, every - done % every)
            done += length
            end_of_epoch = done == end and step is parts[-1][0]
            yield step, length, done, done % every == 0 or done == total or end_of_epoch
        if done == total:
            return
