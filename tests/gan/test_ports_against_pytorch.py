"""Layouts that people bring along, against PyTorch: 100 float64 steps by RMSprop, with generated rows that both steps
share, and by one optimiser for both networks, from stored trajectories.

tests/references/make_ports.py made them. Losses at every step and all tensors at the stored ones must agree to 10⁻⁹ of
the largest of their kind; worst measured: 10⁻¹⁵, and 7·10⁻¹¹ of relativistic pairs, where what shifts all scores alike
has rounding for a gradient.
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


def train(case, shared=None, **arguments):
    """numgan's trajectory, laid out as the stored ones; `arguments` are more of the optimisers'."""
    shared = case["layout"] == "shared fakes" if shared is None else shared
    networks, (name, settings), (kind, own) = case["networks"], case["objective"], case["optimizer"]
    inputs, objective = read(networks), OBJECTIVES[name](**settings)
    g = make_network(networks, "generator", [] if networks == "sine" else [Tanh()], inputs)
    d = make_network(networks, "discriminator", objective.closing(), inputs)
    optimizers = [OPTIMIZERS[kind](**own | arguments) for _ in SIDES]
    gan = GAN(g, d, *optimizers, objective, case["schedule"], shared_fakes=shared)
    losses, snapshots = [], []
    batches = zip(*(inputs[name] for name in ("real", "d_noise", "g_noise")), strict=True)
    for step, (real, d_noise, g_noise) in enumerate(batches, 1):
        on_d = gan.train_discriminator(real, d_noise)
        if case["layout"] == "shared fakes" and not shared:  # two passes, each with rows of its own
            g_noise = d_noise
        inputs_of_g = [] if shared else [g_noise, *([real] if objective.pairs else [])]
        losses.append(losses_of(name, on_d, gan.train_generator(*inputs_of_g)))
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


@pytest.mark.parametrize("i", range(len(CASES)))
def test_trajectories_agree_at_every_stored_step(i):
    assert worst(i, train(CASES[i])) < TOLERANCE


def test_an_epsilon_of_another_place_is_noticed():
    i, case = next((i, case) for i, case in enumerate(CASES) if case["optimizer"][0] == "RMSprop")
    assert worst(i, train(case, epsilon=case["optimizer"][1]["epsilon"] * 2)) > 100 * TOLERANCE


def test_rows_that_are_made_twice_from_one_noise_are_noticed_where_batch_norm_tells_the_passes_apart():
    found = {case["networks"]: worst(i, train(case, shared=False)) for i, case in enumerate(CASES)
             if case["layout"] == "shared fakes"}  # fmt: skip
    assert found["sine"] < TOLERANCE < 1e-3 < found["mnist"]
