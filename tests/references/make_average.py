"""Make the averages of a generator that tests/gan/test_average.py compares numgan with, by PyTorch.

Run by hand:  python tests/references/make_average.py     (needs torch; the tests do not)

Three cases of the game `normed` (see make_games.py, which this goes on from: its networks, batches and steps), one of
each optimiser, with torch.optim.swa_utils.AveragedModel over the generator, batch norm's buffers averaged too
(use_buffers=True). Its own get_ema_avg_fn has no warm-up, so avg_fn is the textbook's d·θ̄ + (1 − d)·θ with the d_t of
numgan's `Average`. Its first update copies, whatever avg_fn says: that one is made before the training begins, so that
num_averaged is t at update t.

average_pytorch.npz, plain arrays under numgan's names, cases first:
    cases, decay, versions
    dense_1.weight …     (cases, stored steps, …): averaged parameters and running statistics, after `stored_steps`.
"""

import json
from itertools import count

import numpy as np
import torch
from make_games import HERE, STEPS, VERSIONS, Game, make_cases, save
from torch.optim.swa_utils import AveragedModel
from torch_side import torch_tensors

NETWORKS, DECAY, STORED_STEPS = "normed", 0.9, (3, STEPS)  # within the warm-up, which 80 updates end, and beyond


def warmed_up(average, theta, t):
    d = min(DECAY, (1 + int(t)) / (10 + int(t)))
    return d * average + (1 - d) * theta


def train(case, inputs):
    """The averages, every name -> (stored steps, …)."""
    game, snapshots = Game(NETWORKS, case, inputs, ()), []
    averaged = AveragedModel(game.g, avg_fn=warmed_up, use_buffers=True)
    averaged.update_parameters(game.g)
    batches = [torch.from_numpy(inputs[name]).to(torch.float64) for name in ("real", "d_noise", "g_noise")]
    for step, real, d_noise, g_noise in zip(count(1), *batches, strict=False):
        game.discriminator_step(real, d_noise)
        game.generator_step(g_noise)
        averaged.update_parameters(game.g)
        if step in STORED_STEPS:
            tensors = torch_tensors(averaged.module, "average")
            snapshots.append({name.removeprefix("average."): t.detach().numpy().copy() for name, t in tensors.items()})
    return {name: np.stack([x[name] for x in snapshots]) for name in snapshots[0]}


def main():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    with np.load(HERE / f"games_{NETWORKS}.npz") as file:
        inputs = dict(file)
    cases = make_cases(NETWORKS)[:3]
    stacked = [train(case, inputs) for case in cases]
    about = {"versions": np.array(VERSIONS), "cases": np.array([json.dumps(case) for case in cases])}
    about |= {"decay": np.array(DECAY), "stored_steps": np.array(STORED_STEPS)}
    save("average_pytorch", about | {name: np.stack([a[name] for a in stacked]) for name in stacked[0]})


if __name__ == "__main__":
    main()
