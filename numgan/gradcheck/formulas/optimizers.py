"""Optimisers against their recurrences, one parameter at a time; clipping, shared fakes, and averaged weights."""

from __future__ import annotations

import math

import numpy as np

from numgan.gan.model import GAN
from numgan.gan.objectives import Wasserstein
from numgan.gradcheck.formulas.compare import VALUE_TOLERANCE, compare
from numgan.gradcheck.report import Report
from numgan.nn.activations import ReLU, Sigmoid
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.dense import Dense
from numgan.nn.dropout import Dropout
from numgan.nn.network import Sequential
from numgan.nn.optimizers import SGD, Adam, RMSprop


def _trained_vector(optimizer, gradients):
    """Parameters after one step per row of `gradients`, from a start of 0.5 everywhere."""
    n = gradients.shape[1]
    network = Sequential([Dense(1)], n - 1, np.random.default_rng(0), "float64")
    network.values[...] = 0.5
    optimizer.attach(network)
    for gradient in gradients:
        network.grads[...] = gradient
        optimizer.step()
    return network.values


def adam_updates(form: str, seed: int, tolerance: float) -> Report:
    """Twelve steps of Adam against the recurrence of Kingma & Ba, one parameter at a time."""
    gradients = np.random.default_rng(seed).normal(0, [1.0, 1e-3, 1e-6, 10.0], (12, 4))
    rate, beta1, beta2, epsilon = 0.01, 0.5, 0.99, 1e-4
    wanted = []
    for column in gradients.T.tolist():
        theta, m, v = 0.5, 0.0, 0.0
        for t, g in enumerate(column, 1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            if form == "paper":
                theta -= rate * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + epsilon)
            else:
                theta -= rate * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (math.sqrt(v) + epsilon)
        wanted.append(theta)
    optimizer = Adam(rate, beta1, beta2, epsilon, form)
    report = Report(f"twelve updates of {optimizer!r}", VALUE_TOLERANCE)
    compare(report, "parameters", _trained_vector(optimizer, gradients), wanted)
    return report


def sgd_updates(seed: int, tolerance: float) -> Report:
    """Twelve steps of SGD with momentum against its recurrence."""
    gradients = np.random.default_rng(seed).normal(0, 1, (12, 4))
    wanted = []
    for column in gradients.T.tolist():
        theta, velocity = 0.5, 0.0
        for g in column:
            velocity = 0.9 * velocity - 0.05 * g
            theta += velocity
        wanted.append(theta)
    report = Report("twelve updates of SGD(learning_rate=0.05, momentum=0.9)", VALUE_TOLERANCE)
    compare(report, "parameters", _trained_vector(SGD(0.05, 0.9), gradients), wanted)
    return report


def rmsprop_updates(seed: int, tolerance: float) -> Report:
    """Twelve steps of RMSprop against its recurrence, in which v is the mean square itself."""
    gradients = np.random.default_rng(seed).normal(0, [1.0, 1e-3, 1e-6, 10.0], (12, 4))
    rate, rho, epsilon = 0.01, 0.8, 1e-4
    wanted = []
    for column in gradients.T.tolist():
        theta, v = 0.5, 0.0
        for g in column:
            v = rho * v + (1 - rho) * g * g
            theta -= rate * g / (math.sqrt(v) + epsilon)
        wanted.append(theta)
    optimizer = RMSprop(rate, rho, epsilon)
    report = Report(f"twelve updates of {optimizer!r}", VALUE_TOLERANCE)
    compare(report, "parameters", _trained_vector(optimizer, gradients), wanted)
    return report


def clipped_weights(seed: int, tolerance: float) -> Report:
    """A Wasserstein critic's parameters after one step of SGD: none beyond ±clip, and those within as SGD left them."""
    rng = np.random.default_rng(seed)
    generator = Sequential([Dense(2)], 3, rng, "float64", name="generator")
    critic = Sequential([Dense(4), Dense(1)], 2, rng, "float64", name="critic")
    critic.values[...] = rng.normal(0, 0.3, critic.values.shape)
    gan, before = GAN(generator, critic, SGD(0.1), SGD(0.1), Wasserstein(clip=0.2)), critic.values.copy()
    gan.train_discriminator(rng.standard_normal((6, 2)), rng.standard_normal((6, 3)))
    steps = zip(before.tolist(), critic.grads.tolist(), strict=True)
    wanted = [min(max(theta - 0.1 * slope, -0.2), 0.2) for theta, slope in steps]
    report = Report("a critic's weights clipped after its update", VALUE_TOLERANCE)
    compare(report, "parameters", critic.values, wanted)
    return report


def shared_fakes(seed: int, tolerance: float) -> Report:
    """Three training steps whose generated rows are shared, by SGD, against a linear critic: its loss is the difference
    of two means, so that its update is theirs, and each generated row's gradient is −w/n, w as it is then. The
    generator has batch norm; it is run once a step, in training mode.
    """
    rng, rate, n = np.random.default_rng(seed), 0.1, 6
    layers = [Dense(4), BatchNorm(0.8), ReLU(), Dense(2)]
    generator = Sequential(layers, 3, rng, "float64", name="generator")
    critic = Sequential([Dense(1)], 2, rng, "float64", name="critic")
    twin = generator.copy()
    gan = GAN(generator, critic, SGD(rate), SGD(rate), Wasserstein(clip=0), shared_fakes=True)
    report = Report("three training steps with shared fakes", VALUE_TOLERANCE)
    wanted = critic.parameters()["dense_1.weight"].copy()
    for step in (1, 2, 3):
        real, noise = rng.standard_normal((n, 2)), rng.standard_normal((n, 3))
        gan.train_discriminator(real, noise)
        gan.train_generator()
        fake = twin.forward(noise, training=True)
        wanted -= rate * (fake.mean(axis=0) - real.mean(axis=0))
        twin.backward(np.repeat(-wanted / n, n, axis=0))
        twin.values -= rate * twin.grads
        compare(report, f"critic's weights, step {step}", critic.parameters()["dense_1.weight"], wanted)
        compare(report, f"generator's parameters, step {step}", generator.values, twin.values)
        compare(report, f"generator's statistics, step {step}", generator.state, twin.state)
    return report


def averaged_weights(seed: int, tolerance: float) -> Report:
    """Five steps of a GAN whose generator is averaged, two of them in the warm-up, against the recurrence in plain
    Python: every parameter and running statistic, and dropout's key, which is no number to average. Then what sampling
    makes of it; and that the game is the one that is played without an average.
    """
    decay, rng = 0.3, np.random.default_rng(seed)
    plain, averaged = (_gan_to_average(seed, average) for average in (None, decay))
    wanted = {name: a.ravel().tolist() for name, a in plain.generator.state_dict().items()}
    for t in range(1, 6):
        batches = [(rng.standard_normal((6, 2)), rng.standard_normal((6, 3))) for _ in range(3)]
        for gan in (plain, averaged):
            for real, noise in batches:
                gan.train_discriminator(real, noise)
            gan.train_generator(batches[0][1])
        d = min(decay, (1 + t) / (10 + t))
        for name, a in plain.generator.state_dict().items():
            now = a.ravel().tolist()
            mean = [d * old + (1 - d) * new for old, new in zip(wanted[name], now, strict=True)]
            wanted[name] = now if name.endswith("key") else mean
    report = Report(f"five updates of a generator averaged with decay {decay}", VALUE_TOLERANCE)
    live, shapes = plain.generator.values.copy(), {name: a.shape for name, a in plain.generator.state_dict().items()}
    plain.generator.load_state_dict({name: np.reshape(wanted[name], shape) for name, shape in shapes.items()})
    compare(report, "what the discriminator says of samples", averaged.predict(noise), plain.predict(noise))
    ours, expected = (gan.sample(4, np.random.default_rng(seed)) for gan in (averaged, plain))
    compare(report, "samples", ours, expected)
    for name, a in averaged.average.network.state_dict().items():
        compare(report, f"average of {name}", a.ravel(), wanted[name])
    compare(report, "updates", averaged.average.updates, 5)
    compare(report, "the generator itself", averaged.generator.values, live)
    return report


def _gan_to_average(seed, average):
    rng = np.random.default_rng(seed)
    layers = [Dense(4), BatchNorm(0.8), Dropout(0.3), ReLU(), Dense(2)]
    generator = Sequential(layers, 3, rng, "float64", name="generator")
    discriminator = Sequential([Dense(5), ReLU(), Dense(1), Sigmoid()], 2, rng, "float64", name="discriminator")
    generator.values += rng.normal(0, 0.2, generator.values.shape)
    return GAN(generator, discriminator, SGD(0.5), SGD(0.1), average=average)
