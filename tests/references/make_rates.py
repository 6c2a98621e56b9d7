"""Make the reference trajectories of learning rates that change: 100 float64 steps of the `sine` networks of
make_games.py in PyTorch, each side with schedulers of torch.optim.lr_scheduler of its own.

Run by hand:  python tests/references/make_rates.py     (needs torch; the tests do not)

It takes a few seconds. Initial weights, batches and noise are those of games_sine.npz. A scheduler is stepped after
each update of its optimiser. Rates are put together as PyTorch's users do: LinearLR up, then LinearLR or
CosineAnnealingLR down, joined by SequentialLR. SGD is without momentum here: PyTorch multiplies its whole velocity by
the present rate, numgan and Keras each gradient by the rate that it came with, which is the same only while the rate
is.

    rates_pytorch.npz    cases: of each, JSON in numgan's own names and arguments, the rates of both sides among them.
        losses (cases, 100, 3), generator.dense_1.weight … (cases, stored steps, …), stored_steps: as make_games.py has
                        them.
        rates (cases, 2, 200)    what each optimiser had in each update, generator first; NaN beyond the last.
        versions
"""

import json
import time

import numpy as np
import torch
from make_games import HERE, SIDES, STORED_STEPS, VERSIONS, Game, save
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR
from torch_side import SHARED

ADAM = {"beta1": 0.5, "beta2": SHARED["beta2"], "epsilon": SHARED["epsilon"]}
PAPER, KERAS, SGD = ["Adam", ADAM | {"form": "paper"}], ["Adam", ADAM | {"form": "keras"}], ["SGD", {"momentum": 0.0}]
BCE = ["non-saturating", {"label_smoothing": 0.0, "discriminator_loss": "mean"}]
CRITIC = ["wasserstein", {"clip": 0.1}]


def rate(peak, warm_up=0, decay=None, steps=None, final=0.0):
    return {"peak": peak, "warm_up": warm_up, "decay": decay, "steps": steps, "final": final}


# Objective, schedule, optimiser, and the rates of generator and discriminator, in updates of their own. In the separate
# schedule the discriminator makes two a step.
CASES = (
    (BCE, "concatenated", PAPER, rate(1e-3), rate(4e-3)),
    (BCE, "concatenated", PAPER, rate(2e-3, 20), rate(4e-3, 31)),
    (BCE, "concatenated", SGD, rate(0.02, 10, "linear", 100), rate(0.05, 10, "linear", 100)),
    (BCE, "concatenated", KERAS, rate(2e-3, 0, "linear", 60, 5e-4), rate(4e-3, 0, "cosine", 100)),  # the end is held
    (BCE, "separate", PAPER, rate(2e-3, 10, "cosine", 100), rate(5e-3, 20, "cosine", 200)),
    (CRITIC, "separate", KERAS, rate(1e-3, 15, "linear", 100), rate(2e-3, 30, "linear", 200)),
    (CRITIC, "concatenated", SGD, rate(0.02, 7, "cosine", 100, 0.005), rate(0.05, 7, "linear", 100, 0.01)),
)  # fmt: skip


def scheduler(optimizer, rate):
    """PyTorch's scheduler for a rate in numgan's arguments."""
    peak, warm_up, steps = rate["peak"], rate["warm_up"], rate["steps"]
    if rate["decay"] == "linear":
        down = LinearLR(optimizer, 1.0, rate["final"] / peak, steps - warm_up)
    elif rate["decay"] == "cosine":
        down = CosineAnnealingLR(optimizer, steps - warm_up, rate["final"])
    else:
        down = ConstantLR(optimizer, 1.0, 0)
    if not warm_up:
        return down
    return SequentialLR(optimizer, [LinearLR(optimizer, 1 / warm_up, 1.0, warm_up - 1), down], [warm_up])


class Scheduled(Game):
    """A game whose optimisers are followed by schedulers; `used` are the rates of the updates that were made."""

    def __init__(self, case, inputs):
        # make_games.py makes both optimisers with one rate, which each then has replaced by its own
        kind, arguments = case["optimizer"]
        super().__init__("sine", case | {"optimizer": [kind, arguments | {"learning_rate": 1.0}]}, inputs, ())
        self.used = {side: [] for side in SIDES}
        for side, optimizer in zip(SIDES, (self.g_optimizer, self.d_optimizer), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = case["rates"][side]["peak"]
            self.follow(optimizer, scheduler(optimizer, case["rates"][side]), self.used[side])

    def follow(self, optimizer, scheduler, used):
        def after(*_):
            used.append(optimizer.param_groups[0]["lr"])
            scheduler.step()

        optimizer.register_step_post_hook(after)


def train(case, inputs):
    """One trajectory: losses (steps, 3), rates (2, 200), and every name -> (stored steps, …)."""
    game, losses, snapshots = Scheduled(case, inputs), [], []
    batches = [torch.from_numpy(inputs[name]).double() for name in ("real", "d_noise", "g_noise")]
    for step, (real, d_noise, g_noise) in enumerate(zip(*batches, strict=True), 1):
        losses.append([*game.discriminator_step(real, d_noise), game.generator_step(g_noise)])
        if step in STORED_STEPS:
            snapshots.append({name: tensor.detach().numpy().copy() for name, tensor in game.tensors().items()})
    rates = np.full((2, 200), np.nan)
    for row, side in zip(rates, SIDES, strict=True):
        row[: len(game.used[side])] = game.used[side]
    stacked = {name: np.stack([x[name] for x in snapshots]) for name in snapshots[0]}
    return {"losses": np.array(losses), "rates": rates} | stacked


def main():
    print(VERSIONS)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    start = time.perf_counter()
    with np.load(HERE / "games_sine.npz") as file:
        inputs = dict(file)
    names = ("objective", "schedule", "optimizer")
    cases = [
        dict(zip(names, case[:3], strict=True)) | {"rates": dict(zip(SIDES, case[3:], strict=True))} for case in CASES
    ]
    trained = [train(case, inputs) for case in cases]
    results = {"versions": np.array(VERSIONS), "cases": np.array([json.dumps(case) for case in cases])}
    results |= {"stored_steps": np.array(STORED_STEPS)}
    save("rates_pytorch", results | {k: np.stack([a[k] for a in trained]) for k in trained[0]})
    print(f"{time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
