"""Learning rates: their values, and which update of which side gets which."""

from __future__ import annotations

import math

import numpy as np

from numgan.gan import stretches
from numgan.gan.model import GAN
from numgan.gan.objectives import Wasserstein
from numgan.gan.steps import SEPARATE
from numgan.gradcheck.formulas.compare import VALUE_TOLERANCE, compare
from numgan.gradcheck.report import Report
from numgan.nn.dense import Dense
from numgan.nn.network import Sequential
from numgan.nn.optimizers import OPTIMIZERS, SGD
from numgan.nn.rates import Rate


def rate_values(seed: int, tolerance: float) -> Report:
    """Learning rates update by update: grown by equal amounts, then lowered by equal amounts or along a cosine, then
    held, as plain recurrences and sines have them.
    """
    report = Report("values of learning rates", VALUE_TOLERANCE)
    for peak, warm_up, length, final in ((0.4, 3, 5, 0.1), (2e-3, 1, 7, 0.0), (0.5, 0, 4, 0.05)):
        grown = list(np.linspace(0, peak, warm_up + 1)[1:])
        name = f"peak {peak}, {warm_up} up, {length} down to {final}"
        rate = Rate(peak, warm_up)
        compare(report, f"constant, {name}", _rates(rate, warm_up + length), [*grown, *[peak] * length])
        lowered, wave = [], []
        for k in range(length):
            lowered.append(peak - (peak - final) / length * k)
            wave.append(peak - (peak - final) * math.sin(math.pi * k / length / 2) ** 2)  # (1 − cos 2x)/2 = sin² x
        for decay, fallen in (("linear", lowered), ("cosine", wave)):
            rate = Rate(peak, warm_up, decay, warm_up + length, final)
            wanted = [*grown, *fallen, final, final, final]
            compare(report, f"{decay}, {name}", _rates(rate, warm_up + length + 3), wanted)
    return report


def _rates(rate, n):
    return [rate.at(t) for t in range(1, n + 1)]


def rates_in_use(seed: int, tolerance: float) -> Report:
    """Eight updates of every optimiser with a rate that changes: those of a rate of 1, times the rate. Then the same
    from the state after five: the count goes on. Then with a rate that is set in its place.
    """
    gradients = np.random.default_rng(seed).normal(0, 1, (8, 4))
    rate, changes = Rate(0.3, 2, "linear", 7, 0.1), [0.15, 0.3, 0.3, 0.26, 0.22, 0.18, 0.14, 0.1]
    report = Report(f"updates with {rate!r}", VALUE_TOLERANCE)
    for kind in OPTIMIZERS.values():
        walks = [_walk(kind(first), gradients) for first in (rate, 1.0)]
        wanted = 0.5 + np.cumsum(np.array(changes)[:, None] * np.diff(walks[1], axis=0, prepend=0.5), axis=0)
        compare(report, f"{kind.__name__}: parameters", walks[0], wanted)
        first, second = kind(rate), kind(rate)
        _walk(first, gradients[:5])
        second.attach(Sequential([Dense(1)], 3, np.random.default_rng(0), "float64"))
        second.load_state_dict(first.state_dict())
        compare(report, f"{kind.__name__}: rate when loaded", second.learning_rate, changes[5])
        second.learning_rate = 0.7
        first.load_state_dict(second.state_dict())
        compare(report, f"{kind.__name__}: rate when set", first.learning_rate, 0.7)
    return report


def _walk(optimizer, gradients):
    """Parameters after each of the updates, from a start of 0.5."""
    network = Sequential([Dense(1)], gradients.shape[1] - 1, np.random.default_rng(0), "float64")
    network.values[...] = 0.5
    optimizer.attach(network)
    walk = []
    for gradient in gradients:
        network.grads[...] = gradient
        optimizer.step()
        walk.append(network.values.copy())
    return walk


def rates_of_the_sides(schedule: str, seed: int, tolerance: float) -> Report:
    """Five steps of a game of linear networks by SGD, each side with a rate of its own that falls with its own updates.
    The score is w·x + c and the row W·z + b, so that what a critic learns from is means: w moves by its rate times
    mean x on real rows, and by minus that on generated ones; b by its rate times w, and W by that times mean z.
    """
    rng, report = np.random.default_rng(seed), Report(f"rates of both sides, {schedule} schedule", VALUE_TOLERANCE)
    generator = Sequential([Dense(2)], 3, rng, "float64", name="generator")
    critic = Sequential([Dense(1)], 2, rng, "float64", name="critic")
    updates = 5 * (2 if schedule == SEPARATE else 1)
    optimizers = SGD(Rate(0.2, 0, "linear", 5)), SGD(Rate(0.5, 0, "linear", updates))
    gan = GAN(generator, critic, *optimizers, Wasserstein(clip=100.0), schedule)
    (big_w, b), (w, _) = ([a.copy() for a in net.parameters().values()] for net in (generator, critic))
    for step in range(5):
        real, noise, more = rng.normal(0, 1, (6, 2)), rng.normal(0, 1, (6, 3)), rng.normal(0, 1, (6, 3))
        gan.train_discriminator(real, noise)
        gan.train_generator(more)
        own, on_real, on_fake = 0.2 - 0.04 * step, 0.5 - 0.1 * step, 0.5 - 0.1 * step
        if schedule == SEPARATE:
            on_fake -= 0.05
        w = w + on_real * real.mean(axis=0) - on_fake * (big_w @ noise.mean(axis=0) + b)
        big_w, b = big_w + own * w.T * more.mean(axis=0), b + own * w[0]
        for name, ours, wanted in (
            ("critic's weights", critic.parameters()["dense_1.weight"], w),
            ("generator's weights", generator.parameters()["dense_1.weight"], big_w),
            ("generator's bias", generator.parameters()["dense_1.bias"], b),
        ):
            compare(report, f"{name} after step {step + 1}", ours, wanted)
    return report


def counted_updates(schedule: str, seed: int, tolerance: float) -> Report:
    """How many updates either side has made after every step of a training, by steps and by epochs of 11 rows in
    batches that do not go into them, against a GAN's optimisers.
    """
    report = Report(f"updates of either side, {schedule} schedule", VALUE_TOLERANCE)
    for d, g in ((1, 1), (3, 2), (2, 0), (0, 1)):
        for length in ({"steps": 7}, {"epochs": 2}):
            rng, counts = np.random.default_rng(seed), []
            generator = Sequential([Dense(2)], 3, rng, name="generator")
            gan = GAN(generator, Sequential([Dense(1)], 2, rng), SGD(), SGD(), Wasserstein(), schedule)

            def count(done, history, gan=gan, counts=counts):
                counts.append((gan.generator_optimizer.steps, gan.discriminator_optimizer.steps))

            how = {"batch_size": 4, "discriminator_steps": d, "generator_steps": g}
            gan.fit(rng.normal(0, 1, (11, 2)), rng=rng, every=1, callback=count, **length, **how)
            by_steps, by_epochs = stretches.endless(4, d), stretches.epoch(gan.rows_per_step(4), 11, 4, d)
            portions = by_steps if "steps" in length else by_epochs
            told = [stretches.updates(portions, n, g, schedule) for n in range(len(counts))]
            compare(report, f"{d} to {g}, by {next(iter(length))}", told, counts)
    return report
