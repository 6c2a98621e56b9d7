"""Gradient penalties, where a linear critic makes them easy."""

from __future__ import annotations

import math

import numpy as np

from numgan.gan.model import GAN
from numgan.gan.objectives import Wasserstein
from numgan.gan.penalty import PENALTIES, penalty_calls
from numgan.gradcheck.formulas.compare import VALUE_TOLERANCE, compare
from numgan.gradcheck.report import Report
from numgan.nn.dense import Dense
from numgan.nn.network import Sequential
from numgan.nn.optimizers import SGD


def penalty_values(name: str, seed: int, tolerance: float) -> Report:
    """A penalty and its gradient on a critic of one layer, s = w·x + b, where g = w at every point, in plain Python: P
    is λ·(‖w‖ − 1)² or γ/2·‖w‖², the same from one sample as from many. With w = 0 too, where ‖w‖ has no derivative.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    penalty = PENALTIES[name](3.0, every=2)
    report = Report(f"{penalty!r} of a linear critic", VALUE_TOLERANCE)
    for w in (rng.normal(0, 0.4, 5), rng.normal(0, 1, 5), np.zeros(5)):
        critic = Sequential([Dense(1)], 5, np.random.default_rng(0), "float64")
        critic.values[...] = [*w, 0.3]
        rows = {kind: rng.standard_normal((5, 4)) for kind in ("real", "generated")}
        norms = np.zeros((1, 4 * len(penalty.where)))
        calls, _ = penalty_calls(penalty, critic, penalty.where, rows, rng.uniform(size=(1, 4)), norms)
        for call in calls:
            call.run()
        length, kinds = math.sqrt(math.fsum(a * a for a in w)), len(penalty.where)
        if name == "wgan-gp":
            paid, pull = 3 * (length - 1) ** 2, 6 * (length - 1) / length if length else 0.0
        else:
            paid, pull = kinds * 1.5 * length**2, kinds * 3.0
        wanted = [2 * pull * a for a in w]  # twice, as every second step pays
        size = f"‖w‖ = {length:.2f}"
        compare(report, f"penalty at {size}", penalty.measure(norms.T)["penalty"], paid)
        compare(report, f"gradient at {size}", critic.grads, [*wanted, 0.0])
    return report


def penalised_game(name: str, seed: int, tolerance: float) -> Report:
    """Six training steps of a linear generator against a linear critic, both by SGD, the penalty lazy, in plain Python:
    what the critic learns from the present fakes and the penalty, and what the generator learns through the critic.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    rate, weight, every, n = 0.05, 0.7, 2, 5
    generator = Sequential([Dense(3)], 2, rng, "float64", name="generator")
    critic = Sequential([Dense(1)], 3, rng, "float64", name="discriminator")
    critic.values[...] = rng.normal(0, 0.5, critic.values.shape)
    game = GAN(generator, critic, SGD(rate), SGD(rate), Wasserstein(clip=0), penalty=PENALTIES[name](weight, every))
    a, (*w, b) = generator.values.reshape(3, 3).tolist(), critic.values.tolist()  # [A c] of the generator, row by row
    with np.errstate(all="ignore"):
        for t in range(6):
            real, noise, other = rng.normal(0.5, 1, (n, 3)), rng.standard_normal((n, 2)), rng.standard_normal((n, 2))
            mix = [rng.uniform(size=n)] if game.penalty.mixes else []
            game.train_discriminator(real, noise, *mix)
            game.train_generator(other)
            ones = [[*row, 1.0] for row in noise.tolist()]
            fakes = [[math.fsum(p * q for p, q in zip(unit, z, strict=True)) for unit in a] for z in ones]
            pull = 0.0
            if t % every == 0 and name == "wgan-gp":
                length = math.sqrt(math.fsum(v * v for v in w))
                pull = every * 2 * weight * (length - 1) / length
            elif t % every == 0:
                pull = every * weight * len(game.penalty.where)
            for j in range(3):
                drawn = (math.fsum(f[j] for f in fakes) - math.fsum(real[:, j].tolist())) / n
                w[j] -= rate * (drawn + pull * w[j])
            means = [math.fsum(column) / n for column in zip(*([*row, 1.0] for row in other.tolist()), strict=True)]
            for j in range(3):
                a[j] = [p + rate * w[j] * z for p, z in zip(a[j], means, strict=True)]
    report = Report(f"six steps against a linear critic, {game.penalty!r}", VALUE_TOLERANCE)
    compare(report, "critic", critic.values, [*w, b])
    compare(report, "generator", generator.values, [value for unit in a for value in unit])
    return report


def mixing_numbers(seed: int, tolerance: float) -> Report:
    """The numbers by which fit mixes real and generated rows: one a pair, uniform in [0, 1). Mean, variance and ends of
    4,000 of them within seven standard errors.
    """
    rng = np.random.default_rng(seed)
    generator, critic = (Sequential([Dense(n)], 1, rng, name=name) for n, name in ((1, "generator"), (1, "critic")))
    game = GAN(generator, critic, SGD(), SGD(), Wasserstein(clip=0), penalty="wgan-gp")
    drawn, step = [], game.discriminator_step(40)

    def kept(done, history):
        drawn.extend(step.mix.tolist() if done else [])

    game.fit(np.zeros((40, 1)), 100, 40, rng, every=1, callback=kept)
    numbers = np.array(drawn)
    report = Report("numbers that mix real and generated rows", 0.05)
    compare(report, "mean", numbers.mean(), 0.5)
    compare(report, "12 · variance", 12 * numbers.var(), 1)
    compare(report, "least + 1, greatest", [numbers.min() + 1, numbers.max()], [1, 1])
    report.broken += [f"{a:.3g} is not in [0, 1)" for a in (numbers.min(), numbers.max()) if not 0 <= a < 1]
    compare(report, "how many differ", len(np.unique(numbers)) / len(numbers), 1)
    return report
