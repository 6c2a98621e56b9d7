"""Learning rates that change, against PyTorch's schedulers: 100 float64 steps with a rate for each side, from stored
trajectories.

tests/references/make_rates.py made them. Each rate must be PyTorch's to 10⁻¹³ of its peak (worst measured:
2·10⁻¹⁵), losses at every step and all tensors at the stored ones to 10⁻⁹ of the largest of their kind (2·10⁻¹⁵).
"""

import copy
import functools
import json

import numpy as np
import pytest

from numgan import GAN, Rate
from numgan.gan.objectives import OBJECTIVES
from numgan.nn.optimizers import OPTIMIZERS
from tests.gan.test_games_against_pytorch import REFERENCES, SIDES, TOLERANCE, make_network, read


@functools.cache
def stored():
    with np.load(REFERENCES / "rates_pytorch.npz") as file:
        return dict(file)


CASES = [json.loads(str(text)) for text in stored()["cases"]]


def train(case):
    """numgan's trajectory, laid out as the stored ones."""
    inputs, (name, settings), (kind, arguments) = read("sine"), case["objective"], case["optimizer"]
    objective = OBJECTIVES[name](**settings)
    networks = [
        make_network("sine", side, closing, inputs)
        for side, closing in zip(SIDES, ([], objective.closing()), strict=True)
    ]
    optimizers = [OPTIMIZERS[kind](Rate(**case["rates"][side]), **arguments) for side in SIDES]
    gan, losses, snapshots = GAN(*networks, *optimizers, objective, case["schedule"]), [], []
    batches = zip(*(inputs[name] for name in ("real", "d_noise", "g_noise")), strict=True)
    for step, (real, d_noise, g_noise) in enumerate(batches, 1):
        on_d, on_g = gan.train_discriminator(real, d_noise), gan.train_generator(g_noise)
        if name == "wasserstein":
            losses.append([-on_d.score_real, on_d.score_fake, on_g.g_loss])
        else:
            losses.append([on_d.loss_real, on_d.loss_fake, on_g.loss])
        if step in stored()["stored_steps"]:
            snapshots.append({f"{net.name}.{name}": a for net in networks for name, a in net.state_dict().items()})
    return {"losses": np.array(losses)} | {name: np.stack([x[name] for x in snapshots]) for name in snapshots[0]}


def worst(case, i):
    """The largest difference from PyTorch: of a loss, relative to its column's largest; of a tensor, to its own."""
    found = 0
    for name, ours in train(case).items():
        wanted = stored()[name][i]
        size = np.abs(wanted).max(axis=0 if name == "losses" else tuple(range(1, wanted.ndim)), keepdims=True)
        found = max(found, (np.abs(ours - wanted) / size).max())
    return found


@pytest.mark.parametrize("i", range(len(CASES)))
def test_rates_are_those_of_pytorch_s_schedulers(i):
    for side, used in zip(SIDES, stored()["rates"][i], strict=True):
        rate = Rate(**CASES[i]["rates"][side])
        used = used[~np.isnan(used)]
        assert len(used) == (200 if side == "discriminator" and CASES[i]["schedule"] == "separate" else 100)
        ours = np.array([rate.at(t) for t in range(1, len(used) + 1)])
        np.testing.assert_allclose(ours, used, rtol=0, atol=1e-13 * rate.peak)


@pytest.mark.parametrize("i", range(len(CASES)))
def test_trajectories_agree_at_every_stored_step(i):
    assert worst(CASES[i], i) < TOLERANCE


def test_the_cases_have_every_decay_and_both_schedules_and_a_warm_up():
    rates = [rate for case in CASES for rate in case["rates"].values()]
    assert {rate["decay"] for rate in rates} == {None, "linear", "cosine"}
    assert {case["schedule"] for case in CASES} == {"concatenated", "separate"}
    assert any(rate["warm_up"] for rate in rates) and all(len(set(map(str, c["rates"].values()))) == 2 for c in CASES)


@pytest.mark.parametrize("side", SIDES)
def test_a_rate_that_is_off_by_an_update_is_noticed(side):
    case = copy.deepcopy(CASES[4])
    case["rates"][side]["warm_up"] += 1
    assert worst(case, 4) > 100 * TOLERANCE
