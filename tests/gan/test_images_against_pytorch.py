"""A small DCGAN against PyTorch: 50 steps of Adam in float64 in either schedule, from a stored trajectory.

tests/references/make_convolutions.py made it; PyTorch is not needed here. The generator is dense, then an image with
batch norm, LeakyReLU and two transposed convolutions, the discriminator two strided convolutions, one with batch norm.
numgan starts from the same weights, takes the same batches and noise, and must agree to TOLERANCE: every loss of
itself (worst measured: 10⁻¹¹); every parameter and running statistic of its tensor's largest element at that step
(4·10⁻¹¹); and biases right before a batch norm, whose gradient is rounding alone, as they are (3·10⁻¹¹): see
test_games_against_pytorch.py, of why these numbers are not smaller. The separate schedule is the worse one.
"""

import functools
from pathlib import Path

import numpy as np
import pytest

from numgan import (
    GAN,
    Adam,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Flatten,
    LeakyReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
)
from numgan.gan.steps import SCHEDULES
from numgan.gradcheck.faults import FAULTS, planted
from tests.helpers import rng

REFERENCES = Path(__file__).parents[1] / "references"
TOLERANCE = 1e-9
BEFORE_BATCH_NORM = {"generator.conv2d_transpose_1.bias", "discriminator.conv2d_2.bias"}


@functools.cache
def read(name):
    with np.load(REFERENCES / f"{name}.npz") as file:
        return dict(file)


def make_gan(s, schedule):
    def norm():
        return BatchNorm(0.8, 1e-3)

    g = [
        Dense(16), Reshape((4, 2, 2)), norm(), LeakyReLU(0.2), Conv2DTranspose(3, 4, 2, 1), norm(), LeakyReLU(0.2),
        Conv2DTranspose(1, 4, 2, "same"), Tanh(),
    ]  # fmt: skip
    d = [
        Conv2D(3, 4, 2, "same"), LeakyReLU(0.2), Conv2D(4, 4, 2, 1), norm(), LeakyReLU(0.2), Flatten(), Dense(1),
        Sigmoid(),
    ]  # fmt: skip
    networks = (
        Sequential(g, 5, rng(), "float64", name="generator"),
        Sequential(d, (1, 8, 8), rng(), "float64", name="discriminator"),
    )
    for network in networks:
        network.load_state_dict({name: s[f"{network.name}.{name}"] for name in network.state_dict()})
    adams = [Adam(*(float(s[k]) for k in ("learning_rate", "beta1", "beta2", "epsilon")), "paper") for _ in networks]
    return GAN(*networks, *adams, schedule=schedule)


def train(schedule, s=None):
    """numgan's trajectory, laid out as the stored one."""
    s = s or read("dcgan")
    gan, losses, snapshots = make_gan(s, schedule), [], []
    batches = zip(*(s[name].astype(np.float64) for name in ("real", "d_noise", "g_noise")), strict=True)
    for step, (real, d_noise, g_noise) in enumerate(batches, 1):
        on = gan.train_discriminator(real, d_noise)
        losses.append([on.loss_real, on.loss_fake, gan.train_generator(g_noise).loss])
        if step in s["stored_steps"]:
            networks = gan.generator, gan.discriminator
            snapshots.append({f"{n.name}.{k}": a for n in networks for k, a in n.state_dict().items()})
    return {"losses": np.array(losses)} | {name: np.stack([x[name] for x in snapshots]) for name in snapshots[0]}


def stored(schedule):
    names = {name.partition(".")[2]: a for name, a in read("dcgan_pytorch").items() if name.startswith(schedule)}
    assert len(names) > 20
    return names


def distances(ours, theirs):
    """name -> the worst difference, relative as told above; names and shapes must match."""
    assert ours.keys() == theirs.keys()
    found = {}
    for name, reference in theirs.items():
        assert ours[name].shape == reference.shape, name
        size = np.abs(reference)
        if name in BEFORE_BATCH_NORM:
            size = np.ones_like(reference)
        elif name != "losses":
            size = size.max(axis=tuple(range(1, size.ndim)), keepdims=True)
        found[name] = float((np.abs(ours[name] - reference) / size).max())
    return found


def far(ours, theirs):
    return {name: distance for name, distance in distances(ours, theirs).items() if not distance <= TOLERANCE}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_fifty_steps_are_pytorch_s(schedule):
    assert far(train(schedule), stored(schedule)) == {}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_reference_is_fifty_steps_that_moved_everything(schedule):
    reference, start = stored(schedule), read("dcgan")
    assert reference["losses"].shape == (50, 3)
    assert list(start["stored_steps"]) == [1, 10, 50]
    for name, a in reference.items():
        assert a.dtype == np.float64 and np.isfinite(a).all()
        if name not in BEFORE_BATCH_NORM | {"losses"}:
            assert np.abs(a[-1] - start[name]).max() > 1e-3 * np.abs(a[-1]).max(), name


def test_the_other_schedule_is_another_game():
    assert "losses" in far(train("separate"), stored("concatenated"))


GRADIENTS = [
    fault for fault in FAULTS
    if any(words in fault.name for words in (
        "weight gradient's kernel turned", "weight gradient's last row", "overlap", "positions and samples",
        "padding forgotten on the way back", "patches tap by tap", "image's first column",
    ))
]  # fmt: skip


@pytest.mark.parametrize("fault", [f for f in GRADIENTS if "pooling" not in f.name], ids=lambda fault: fault.name)
def test_a_planted_fault_parts_the_two(fault):
    with planted(fault), np.errstate(all="ignore"):
        assert far(train("concatenated"), stored("concatenated"))


@pytest.mark.parametrize("name", ["discriminator.conv2d_1.weight", "generator.conv2d_transpose_2.bias"])
def test_one_weight_off_by_a_millionth_is_found(name):
    s = dict(read("dcgan"))
    s[name] = s[name].astype(np.float64)
    s[name].flat[0] += 1e-6
    assert far(train("separate", s), stored("separate"))
