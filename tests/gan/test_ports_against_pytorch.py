"""Layouts that people bring along, against PyTorch: 100 float64 steps by RMSprop, with generated rows that both steps
share, and by one optimiser for both networks, from stored trajectories.

tests/references/make_ports.py made them. Losses at every step and all tensors at the stored ones must agree to 10⁻⁹ of
the largest of their kind; worst measured: 10⁻¹⁵.
"""

import functools
import json

import numpy as np
import pytest

from numgan import GAN, Tanh
from numgan.gan.objectives import OBJECTIVES
from numgan.nn.optimizers import OPTIMIZERS
from tests.gan.test_games_against_pytorch import REFERENCES, SIDES, TOLERANCE, losses_of, make_network, read


@functools.cache
def stored():
    with np.load(REFERENCES / "ports_pytorch.npz") as file:
        return dict(file)


CASES = [json.loads(str(text)) for text in stored()["cases"]]


def train(case, **arguments):
    """numgan's trajectory, laid out as the stored ones; `arguments` are more of the optimisers'."""
    networks, (name, settings), (kind, own) = case["networks"], case["objective"], case["optimizer"]
    inputs, objective = read(networks), OBJECTIVES[name](**settings)
    g = make_network(networks, "generator", [] if networks == "sine" else [Tanh()], inputs)
    d = make_network(networks, "discriminator", objective.closing(), inputs)
    gan = GAN(g, d, *(OPTIMIZERS[kind](**own | arguments) for _ in SIDES), objective, case["schedule"])
    losses, snapshots = [], []
    batches = zip(*(inputs[name] for name in ("real", "d_noise", "g_noise")), strict=True)
    for step, (real, d_noise, g_noise) in enumerate(batches, 1):
        losses.append(losses_of(name, gan.train_discriminator(real, d_noise), gan.train_generator(g_noise)))
        if step in stored()["stored_steps"]:
            snapshots.append({f"{net.name}.{name}": a for net in (g, d) for name, a in net.state_dict().items()})
    return {"losses": np.array(losses)} | {name: np.stack([x[name] for x in snapshots]) for name in snapshots[0]}


def worst(i, ours):
    """The largest difference from PyTorch: of a loss, relative to its column's largest; of a tensor, to its own."""
    found = 0
    for name, array in ours.items():
        wanted = stored()[f"{i}.{name}"]
        size = np.abs(wanted).max(axis=0 if name == "losses" else tuple(range(1, wanted.ndim)), keepdims=True)
        found = max(found, (np.abs(array - wanted) / size).max())
    return found


@pytest.mark.parametrize("i", [i for i, case in enumerate(CASES) if case["layout"] != "shared fakes"])
def test_trajectories_agree_at_every_stored_step(i):
    assert worst(i, train(CASES[i])) < TOLERANCE


def test_an_epsilon_of_another_place_is_noticed():
    i, case = next((i, case) for i, case in enumerate(CASES) if case["optimizer"][0] == "RMSprop")
    assert worst(i, train(case, epsilon=case["optimizer"][1]["epsilon"] * 2)) > 100 * TOLERANCE
