"""Make the reference trajectories of layouts that people bring along: 100 float64 steps of the networks of
make_games.py in PyTorch, by RMSprop, with generated rows that both steps share, and by one optimiser for both networks.

Run by hand:  python tests/references/make_ports.py     (needs torch; the tests do not)

It takes a few seconds. Initial weights, batches and noise are those of games_….npz.

shared fakes   The generator runs once a step, in train mode, on the discriminator's noise. Its rows, detached, go to
               the discriminator's step; through the discriminator that has learnt from them, in eval mode, and back
               goes the generator's. Relativistic pairs meet the same real rows in both.
one optimizer  One torch.optim.Adam has the parameters of both networks; those of the other are frozen by
               requires_grad_(False) in each step, and zero_grad leaves them no gradient, so that it passes them over.

    ports_pytorch.npz    cases: of each, JSON in numgan's own names and arguments.
        {i}.losses (100, 3), {i}.generator.dense_1.weight … (stored steps, …): of the i-th case, as make_games.py has
                        them; stored_steps.
        versions
"""

import json
import time

import numpy as np
import torch
from make_games import HERE, STORED_STEPS, VERSIONS, Game, save, update

PAPER = ["Adam", {"learning_rate": 2e-3, "beta1": 0.5, "beta2": 0.999, "epsilon": 1e-7, "form": "paper"}]
MEAN, SUM = ({"label_smoothing": 0.0, "discriminator_loss": how} for how in ("mean", "sum"))


def rmsprop(rate, rho, epsilon):
    return ["RMSprop", {"learning_rate": rate, "rho": rho, "epsilon": epsilon}]


def case(networks, objective, schedule, optimizer, layout):
    return {"networks": networks, "objective": objective, "schedule": schedule, "optimizer": optimizer} | {
        "layout": layout
    }


CASES = (
    case("sine", ["non-saturating", MEAN], "concatenated", rmsprop(2e-3, 0.9, 1e-7), ""),
    case("sine", ["wasserstein", {"clip": 0.1}], "separate", rmsprop(1e-3, 0.99, 1e-8), ""),
    case("sine", ["non-saturating", SUM], "concatenated", PAPER, "shared fakes"),
    case("mnist", ["non-saturating", SUM], "concatenated", PAPER, "shared fakes"),
    case("critics", ["relativistic", {}], "concatenated", PAPER, "shared fakes"),
    case("sine", ["non-saturating", MEAN], "concatenated", PAPER, "one optimizer"),
)


class Port(Game):
    """A game in one of the layouts."""

    def __init__(self, case, inputs):
        self.one = case["layout"] == "one optimizer"
        kind, arguments = case["optimizer"]
        by_adam = case | ({} if kind == "Adam" else {"optimizer": PAPER})  # make_games.py knows no RMSprop
        super().__init__(case["networks"], by_adam, inputs, ())
        if kind == "RMSprop":
            rate, rho, epsilon = arguments.values()
            self.g_optimizer, self.d_optimizer = (
                torch.optim.RMSprop(network.parameters(), rate, rho, epsilon) for network in (self.g, self.d)
            )
        if self.one:
            parameters = [*self.g.parameters(), *self.d.parameters()]
            rate, beta1, beta2, epsilon, _ = arguments.values()
            self.g_optimizer = self.d_optimizer = torch.optim.Adam(parameters, rate, (beta1, beta2), epsilon)

    def shared_step(self, real, noise):
        """Both steps on the rows that the generator makes once; the losses of both."""
        self.g.train()
        self.d.train()
        fake = self.g(noise)
        scores = self.d(torch.cat([real, fake.detach()]))
        on_real, on_fake = scores.chunk(2)
        loss = self.loss_both(scores, on_real, on_fake)
        if self.objective == "relativistic":
            losses = loss.item(), (on_real - on_fake).mean().item()
        else:
            losses = self.loss_real(on_real).item(), self.loss_fake(on_fake).item()
        self.learn(loss)
        self.d.eval()
        opponents = self.d(real) if self.objective == "relativistic" else None
        return *losses, update(self.g_optimizer, self.loss_generator(self.d(fake), opponents))

    def step(self, real, d_noise, g_noise):
        self.d.requires_grad_(True)
        on_d = self.discriminator_step(real, d_noise)
        self.d.requires_grad_(not self.one)
        return *on_d, self.generator_step(g_noise)


def train(case, inputs):
    """One trajectory: losses (steps, 3), and every name -> (stored steps, …)."""
    game, losses, snapshots = Port(case, inputs), [], []
    batches = [torch.from_numpy(inputs[name]).double() for name in ("real", "d_noise", "g_noise")]
    for step, (real, d_noise, g_noise) in enumerate(zip(*batches, strict=True), 1):
        shared = case["layout"] == "shared fakes"
        losses.append(game.shared_step(real, d_noise) if shared else game.step(real, d_noise, g_noise))
        if step in STORED_STEPS:
            snapshots.append({name: tensor.detach().numpy().copy() for name, tensor in game.tensors().items()})
    return {"losses": np.array(losses)} | {name: np.stack([x[name] for x in snapshots]) for name in snapshots[0]}


def main():
    print(VERSIONS)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    start = time.perf_counter()
    results = {"versions": np.array(VERSIONS), "cases": np.array([json.dumps(case) for case in CASES])}
    results |= {"stored_steps": np.array(STORED_STEPS)}
    for i, case in enumerate(CASES):
        with np.load(HERE / f"games_{case['networks']}.npz") as file:
            trained = train(case, dict(file))
        results |= {f"{i}.{name}": array for name, array in trained.items()}
    save("ports_pytorch", results)
    print(f"{time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
