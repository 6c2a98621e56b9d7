"""Conditional GANs against PyTorch: 60 steps in float64, from stored trajectories.

tests/references/make_conditions.py made them and tells of the networks; PyTorch is not needed here. numgan starts from
the same weights, takes the same rows, conditions and noise, and must agree to TOLERANCE: every loss and distance of the
largest of its column, every parameter and running statistic of its tensor's largest element. The worst seen
with five kinds of OpenBLAS's kernels is 5·10⁻¹², of a bias before a batch norm, whose gradient is rounding that Adam
divides by little more than ε; of all else 3·10⁻¹². The losses part by 3·10⁻¹³ at most.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from numgan import (
    GAN,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Embedding,
    Flatten,
    Join,
    Label,
    LeakyReLU,
    OneHot,
    ReLU,
    Reshape,
    Sequential,
    Tanh,
    Text,
    UpSampling2D,
)
from numgan.gan.objectives import OBJECTIVES
from numgan.gradcheck.faults import FAULTS, planted
from numgan.nn.optimizers import OPTIMIZERS
from numgan.study.recipes.conditional import Translate, TranslateSettings
from tests.helpers import rng

REFERENCES = Path(__file__).parents[1] / "references"
TOLERANCE = 1e-9
CLASSES, WORDS, LENGTH = 3, 7, 4


@functools.cache
def read(name):
    with np.load(REFERENCES / f"{name}.npz") as file:
        return dict(file)


CASES = json.loads(str(read("conditions_pytorch")["cases"]))
NAMES = [f"{c['networks']}, {c['objective'][0]}, {c['schedule']}" for c in CASES]


SLOPE = float(np.float32(0.2))
WINDOW = {"kernel_size": 4, "strides": 2, "padding": "same"}


class SmallPictures(Translate):
    size = 8


def labels(case):
    """(generator, discriminator, conditions): the structure of `mnist-conditional`."""
    g = [*one_hot(), Dense(6), LeakyReLU(SLOPE), BatchNorm(0.8), Dense(8), Tanh()]
    embedded = [Join("label", 1, [Embedding(CLASSES, 4), Flatten(), Dense(5)])]
    front = embedded if case["networks"] == "embedded" else one_hot()
    d = [*front, Dense(7), LeakyReLU(SLOPE), Dense(5), LeakyReLU(SLOPE), Dense(1), *closing(case)]
    return network(g, 4, "generator"), network(d, 8, "discriminator"), {"label": Label(CLASSES)}


def one_hot():
    return [Join("label", 1, [OneHot(CLASSES), Flatten()])]


def pictures(case):
    """The recipe's own, on 8 × 8 pixels."""
    small = {"filters": (2, 3, 4), "patch_filters": (3,), "dropout": 0.0, "slope": SLOPE}
    gan = SmallPictures().build(TranslateSettings(objective=case["objective"][0], **small), rng(), "float64")
    return gan.generator.copy(), gan.discriminator.copy(), gan.conditions


def texts(case):
    """A text beside the noise, and in the middle of a discriminator of images."""
    g = [Join("text", LENGTH, reader(3)), Dense(16), Reshape((4, 2, 2)), BatchNorm(0.8), ReLU()]
    g += [Conv2DTranspose(3, **WINDOW), BatchNorm(0.8), ReLU(), Conv2DTranspose(2, **WINDOW), Tanh()]
    spread = Join("text", LENGTH, [*reader(2), LeakyReLU(SLOPE), Reshape((2, 1, 1)), UpSampling2D(4)])
    d = [Conv2D(3, **WINDOW), LeakyReLU(SLOPE), spread, Conv2D(4, 1), BatchNorm(0.8), LeakyReLU(SLOPE)]
    d += [Flatten(), Dense(1), *closing(case)]
    conditions = {"text": Text([f"word{i}" for i in range(WORDS)], LENGTH)}
    return network(g, 4, "generator"), network(d, (2, 8, 8), "discriminator"), conditions


def reader(features):
    return [Embedding(WORDS, 3), Conv2D(4, (1, 2)), LeakyReLU(SLOPE), Flatten(), Dense(features)]


def closing(case):
    return OBJECTIVES[case["objective"][0]]().closing()


def network(layers, shape, name):
    return Sequential(layers, shape, rng(), "float64", name=name)


def make_gan(k):
    case = CASES[k]
    *networks, conditions = {"pictures": pictures, "texts": texts}.get(case["networks"], labels)(case)
    for own in networks:
        own.load_state_dict({n: read("conditions")[f"{k}.{own.name}.{n}"] for n in own.state_dict()})
    (objective, rules), (kind, settings) = case["objective"], case["optimizer"]
    return GAN(
        *networks,
        *(OPTIMIZERS[kind](**settings) for _ in networks),
        OBJECTIVES[objective](**rules),
        case["schedule"],
        conditions=conditions,
        matching_aware=case["matching_aware"],
        l1_weight=case["l1_weight"],
    )


def train(k):
    """numgan's trajectory, laid out as the stored one."""
    gan, kind, stored = make_gan(k), CASES[k]["networks"], read("conditions")
    rows, conditions, noise = (stored[f"{kind}.{n}"].astype(float) for n in ("rows", "conditions", "noise"))
    (name,), losses, distances = gan.conditions, [], []
    for d_rows, d_noise, g_rows, g_noise in zip(
        *(stored[n] for n in ("d_rows", "d_noise", "g_rows", "g_noise")), strict=True
    ):
        on = gan.train_discriminator(rows[d_rows], noise[d_noise], **{name: conditions[d_rows]})
        targets = [rows[g_rows]] * gan.compares
        losses.append([*losses_of(on), gan.train_generator(noise[g_noise], *targets, **{name: conditions[g_rows]})[0]])
        if gan.l1:
            distances.append(gan.l1.measure(gan.generator_step(len(g_rows)).errors)["l1"])
    found = {"losses": np.array(losses)} | ({"l1": np.array(distances)} if gan.l1 else {})
    return found | {n: a for n, a in gan.state_dict().items() if not n.startswith(("generator_o", "discriminator_o"))}


def losses_of(on):
    """The discriminator's two columns that are stored."""
    if hasattr(on, "d_loss"):
        return on.d_loss, on.score_real - on.score_fake
    return (on.loss_real, on.loss_fake) if hasattr(on, "loss_real") else (on.d_loss_real, on.d_loss_fake)


def distances(ours, k):
    """name -> the worst difference, relative as told above; names and shapes must match."""
    prefix = f"{k}."
    theirs = {n.removeprefix(prefix): a for n, a in read("conditions_pytorch").items() if n.startswith(prefix)}
    assert ours.keys() == theirs.keys()
    found = {}
    for name, a in theirs.items():
        assert ours[name].shape == a.shape
        size = np.abs(a).max(axis=0 if name == "losses" else None)
        found[name] = float(np.max(np.abs(ours[name] - a) / size))
    return found


@pytest.mark.parametrize("k", range(len(CASES)), ids=NAMES)
def test_a_conditional_game_follows_pytorch(k):
    found = distances(train(k), k)
    assert len(found) > 10 and max(found.values()) < TOLERANCE, found


# What is written and used by nobody; and what no case has, a skip that ends in another and a penalty.
UNSEEN = ("conditions: what makes the condition learns while the discriminator is frozen", "skip: what ends in a skip",
          "conditions: a penalty's points")  # fmt: skip
CHAPTERS = ("conditions:", "skip:", "l1:", "patches:")
FAULTY = [f for f in FAULTS if f.name.startswith(CHAPTERS) and not f.name.startswith(UNSEEN)]
OF_PICTURES = ("skip", "l1", "patches")


@pytest.mark.parametrize("fault", FAULTY, ids=lambda fault: fault.name)
def test_a_wrong_one_does_not(fault):
    k = NAMES.index(f"{'pictures' if fault.name.startswith(OF_PICTURES) else 'embedded'}, non-saturating, concatenated")
    with planted(fault):
        assert max(distances(train(k), k).values()) > 1e-3
