"""Gradient penalties against PyTorch's double backward: 100 steps in float64, from stored trajectories.

tests/references/make_penalties.py made them, and says what PyTorch was given; it is not needed here. numgan starts from
the same weights, takes the same batches, noise and mixing numbers, and must agree to TOLERANCE: every loss and norm of
the largest of its column, every parameter of its tensor's largest element.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from numgan import (
    GAN,
    SGD,
    Adam,
    Conv2D,
    Dense,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
    Wasserstein,
)
from numgan.gan.penalty import PENALTIES
from numgan.gradcheck.faults import FAULTS, planted
from tests.helpers import rng

REFERENCES = Path(__file__).parents[1] / "references"
TOLERANCE = 1e-9


@functools.cache
def read(name):
    with np.load(REFERENCES / f"{name}.npz") as file:
        return dict(file)


CASES = json.loads(str(read("penalties_pytorch")["cases"]))
NAMES = [f"{c['penalty']} every {c['every']}, {c['critic']}, {c['schedule']}" for c in CASES]


def make_gan(k):
    case, shape = CASES[k], (1, 4, 4)
    critic = case["objective"] == "wasserstein"
    bend, bow = (Tanh(), SiLU()) if "curved" in case["critic"] else (LeakyReLU(0.2), ReLU())
    if "images" in case["critic"]:
        d = [Conv2D(3, 3, 2, 1), bend, Conv2D(4, 2), bow, Flatten(), Dense(1)]
    else:
        d = [Flatten(), Dense(6), bend, Dense(5), bow, Dense(1)]
    g = [Dense(8), LeakyReLU(0.2), Dense(16), Tanh(), Reshape(shape)]
    generator = Sequential(g, 3, rng(), "float64", name="generator")
    discriminator = Sequential([*d, *([] if critic else [Sigmoid()])], shape, rng(), "float64", name="discriminator")
    for network in (generator, discriminator):
        network.load_state_dict({n: read("penalties")[f"{k}.{network.name}.{n}"] for n in network.state_dict()})
    kind, settings = case["optimizer"]
    optimizers = [{"SGD": SGD, "Adam": Adam}[kind](**settings) for _ in range(2)]
    objective = Wasserstein(clip=0) if critic else "non-saturating"
    penalty = PENALTIES[case["penalty"]](case["weight"], case["every"])
    return GAN(generator, discriminator, *optimizers, objective, case["schedule"], penalty)


def train(k):
    """numgan's trajectory, laid out as the stored one."""
    gan, s = make_gan(k), read("penalties")
    losses, norms, paid, kept = [], [], [], {}
    batches = [s[name].astype(np.float64) for name in ("real", "d_noise", "g_noise", "mix")]
    step = gan.discriminator_step(batches[0].shape[1])
    for i, (real, d_noise, g_noise, mix) in enumerate(zip(*batches, strict=True)):
        on = gan.train_discriminator(real, d_noise, *([mix] if gan.penalty.mixes else []))
        if gan.objective.name == "wasserstein":
            row = [-on.score_real, on.score_fake, gan.train_generator(g_noise).g_loss]
        else:
            row = [on.loss_real, on.loss_fake, gan.train_generator(g_noise).loss]
        measured = gan.penalty.measure(step.norms)
        due = i % gan.penalty.every == 0
        losses.append(row)
        norms.append(measured["gradient_norm"] if due else np.nan)
        paid.append(measured["penalty"] if due else np.nan)
        if i + 1 in s["stored_steps"]:
            for network in (gan.generator, gan.discriminator):
                for name, array in network.state_dict().items():
                    kept.setdefault(f"{network.name}.{name}", []).append(array)
    found = {"losses": losses, "norms": norms, "paid": paid} | kept
    return {name: np.array(a) for name, a in found.items()}


def distances(ours, k):
    """name -> the worst difference, relative as told above; names and shapes must match."""
    prefix = f"{k}."
    theirs = {n.removeprefix(prefix): a for n, a in read("penalties_pytorch").items() if n.startswith(prefix)}
    assert ours.keys() == theirs.keys()
    found = {}
    for name, a in theirs.items():
        assert ours[name].shape == a.shape and (np.isnan(ours[name]) == np.isnan(a)).all()
        axes = 0 if name in ("losses", "norms", "paid") else tuple(range(1, a.ndim))
        size = np.nanmax(np.abs(a), axis=axes, keepdims=True)
        found[name] = float(np.nanmax(np.abs(ours[name] - a) / size))
    return found


@pytest.mark.parametrize("k", range(len(CASES)), ids=NAMES)
def test_a_penalised_game_follows_pytorch(k):
    found = distances(train(k), k)
    assert len(found) > 10 and max(found.values()) < TOLERANCE, found


FAULTY = {
    "penalty: worked out and never added": 0,
    "penalty: the tangent pass adds the biases": 1,
    "penalty: tanh taken for a line, f″ left out": 4,
    "penalty: silu taken for a line, f″ left out": 3,
    "penalty: a lazy one not multiplied by k": 3,
}  # and a case that has to show it


@pytest.mark.parametrize("name", FAULTY)
def test_a_wrong_penalty_does_not(name):
    (fault,) = (f for f in FAULTS if f.name == name)
    with planted(fault):
        assert max(distances(train(FAULTY[name]), FAULTY[name]).values()) > 1e-4
