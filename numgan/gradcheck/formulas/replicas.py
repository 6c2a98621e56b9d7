"""Stacks of replicas against the single GANs that they are made of, each trained alone."""

from __future__ import annotations

import numpy as np

from numgan.data.rows import Rows
from numgan.gan.model import GAN
from numgan.gan.objectives import NonSaturating, Wasserstein
from numgan.gan.penalty import R1R2
from numgan.gradcheck.formulas.compare import VALUE_TOLERANCE, compare
from numgan.gradcheck.report import Report
from numgan.nn.activations import LeakyReLU, ReLU, Tanh
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.dense import Dense
from numgan.nn.dropout import Dropout
from numgan.nn.network import Sequential
from numgan.nn.optimizers import SGD, Adam

REPLICAS = 3


def _of_probabilities(r, seed):
    """One of the replicas: nothing that is a number is what another one has."""
    rng = np.random.default_rng([seed, r])
    generator = Sequential([Dense(6), BatchNorm(0.8), ReLU(), Dense(2), Tanh()], 3, rng, "float64")
    layers = [Dense(5), LeakyReLU(0.2), Dropout(0.3), Dense(1)]
    objective = NonSaturating([0.0, 0.1, 0.3][r])
    discriminator = Sequential([*layers, *objective.closing()], 2, rng, "float64")
    rates = [Adam([0.01, 0.03, 0.002][r], [0.9, 0.5, 0.7][r]) for _ in range(2)]
    return GAN(generator, discriminator, *rates, objective, average=[0.1, 0.25, 0.99][r])


def _of_scores(r, seed):
    """One with a critic that pays."""
    rng = np.random.default_rng([seed, r])
    generator = Sequential([Dense(5), Tanh(), Dense(2)], 3, rng, "float64")
    critic = Sequential([Dense(5), LeakyReLU(0.2), Dense(1)], 2, rng, "float64")
    rates = [SGD([0.1, 0.05, 0.01][r], [0.5, 0.0, 0.9][r]) for _ in range(2)]
    penalty = R1R2([1.0, 3.0, 0.2][r])
    return GAN(generator, critic, *rates, Wasserstein(clip=0), penalty=penalty, l1_weight=[1.0, 0.1, 4.0][r])


GAMES = {"probabilities": _of_probabilities, "scores": _of_scores}


def runs_of_their_seeds(game: str, epochs: bool, seed: int, tolerance: float) -> Report:
    """Each replica of a stack, taken out after a few steps, against a single GAN trained alone with its generator."""
    data = Rows(np.random.default_rng(seed).normal(0, 1, (20, 2)))
    how = {"batch_size": 8, "every": 2} | ({"epochs": 2} if epochs else {"steps": 5})
    singles = [GAMES[game](r, seed) for r in range(REPLICAS)]
    stack = GAN.stack(singles)
    stack.fit(data, rng=[np.random.default_rng([seed, r]) for r in range(REPLICAS)], processes=1, **how)
    report = Report(f"{REPLICAS} replicas, {game}, {'in epochs' if epochs else 'by steps'}", VALUE_TOLERANCE)
    for r, single in enumerate(singles):
        single.fit(data, rng=np.random.default_rng([seed, r]), **how)
        taken = stack.replica(r).state_dict()
        for name, expected in single.state_dict().items():
            compare(report, f"replica {r}: {name}", taken[name], expected)
    return report
