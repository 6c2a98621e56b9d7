"""Make the trajectories of every game that tests/gan/test_games_against_pytorch.py compares numgan with, by PyTorch.

Run by hand:  python tests/references/make_games.py [networks …]     (needs torch; the tests do not)

Three pairs of networks play the games of cross-entropy and of Wasserstein (objective × schedule, and the
discriminator's two losses added where they can be), a fourth those of the other critics, with every optimiser: Adam in
both forms, SGD with momentum. A case is 100 steps in float64, from stored weights on
stored batches; autograd works out every gradient, and what PyTorch has is used as its users use it. What it takes for
it to compute the same thing is told in make_references.py and done in torch_side.py; beyond that:

modes         The discriminator's own step runs it in train mode, on rows that the generator makes in eval mode. The
              generator's step runs the generator in train mode through the discriminator in eval mode.
losses        BCEWithLogitsLoss against labels: real 1 − smoothing, generated 0. The minimax generator's is minus the
              one against 0. Wasserstein's are means of scores, and the critic's parameters, batch norm's included, are
              clamped after each update. Least squares: half of MSELoss. Hinge: relu. Relativistic: softplus of the
              differences, row i with row i; the generator's step scores real rows of its own in eval mode.
schedules     "concatenated": both halves as one batch (which batch norm sees as one) and one update. "separate": real
              rows, update, generated rows, update.
momentum      PyTorch's velocity is numgan's divided by −learning rate; while the rate is constant, the same thing.

Networks, named as the stored files:
    sine      the recipe's: ReLU, no batch norm.
    mnist     the recipe's structure, narrow: batch norm after the generator's LeakyReLUs, none in the discriminator.
    normed    batch norm in both, before each LeakyReLU, as in DCGAN.
    critics   batch norm in both, after each LeakyReLU: a batch in common shows in the scores.

A bias right before a batch norm in train mode ("normed" has four) is taken off again with the mean: its true gradient
is zero, and what autograd returns is rounding, which Adam divides by √v + ε, hardly more than ε. (Not without effect:
in eval mode the running mean is taken off, which lags behind the bias.) The biases of dense_1 start at zero, as Keras's
and numgan's do, so that rounding is all they ever hold; those of dense_2 start elsewhere, so that their digits can be
compared. To see how far PyTorch follows itself, every case is run again with the rows within each batch in another
order, a change that only rounding feels; those of `normed` also with these biases held where they start, which is what
their gradient of zero says, and both in float32 too.

Files, plain arrays under numgan's names; everything per case is stacked, cases first, since thousands of small members
would outweigh their contents:
    games_{networks}.npz            initial weights, batches and noise, as float16 (see make_references.py).
    games_{networks}_pytorch.npz    cases: of each, JSON in numgan's own names and arguments; settings: the networks'.
        losses (cases, 100, 3)      of the discriminator on real and on generated rows and of the generator, each before
                                    the update that it belongs to. Wasserstein's: −mean score, mean score, −mean
                                    score. Relativistic: the critic's, its mean difference real − generated, the
                                    generator's.
        generator.dense_1.weight …  (cases, stored steps, …): parameters and running statistics; `stored_steps`.
        reordered.…                 (cases,) PyTorch against itself, rows reordered. loss: the worst difference of a
                                    loss, relative to the largest of its column (a critic's pass through zero); at the
                                    stored steps, element: the worst relative one of an element of any tensor but the
                                    biases before a batch norm; bias: the worst among those, in absolute terms;
                                    from_zero: of those that start at zero, relative to the tensor's largest.
                                    reordered_held.…: those biases held. reordered_float32.…, reordered_held_float32.…
        versions
"""

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch_side import SHARED, TorchAdamEpsilonHat, torch_network, torch_tensors

HERE = Path(__file__).parent
VERSIONS = f"torch {torch.__version__}, numpy {np.__version__}"
STEPS, STORED_STEPS, ROWS = 100, (5, 100), (8, 16)
SIDES = ("generator", "discriminator")

# Objective, schedule, "mean" or "sum", whether labels are smoothed: in `normed` those of the other games are.
GAMES = (
    ("non-saturating", "concatenated", "mean", False),
    ("non-saturating", "concatenated", "sum", True),
    ("non-saturating", "separate", "mean", True),
    ("minimax", "concatenated", "mean", True),
    ("minimax", "concatenated", "sum", False),
    ("minimax", "separate", "mean", False),
    ("wasserstein", "concatenated", None, None),
    ("wasserstein", "separate", None, None),
)
SCORED = (
    ("least-squares", "concatenated", None, None),
    ("least-squares", "separate", None, None),
    ("hinge", "concatenated", None, None),
    ("hinge", "separate", None, None),
    ("relativistic", "concatenated", None, None),
)
# Of generator and discriminator: widths of the layers, where the batch norms are, and what they play.
NETWORKS = {
    "sine": {"widths": ((5, 25, 2), (2, 25, 1)), "batch_norm": (None, None), "beta1": 0.9, "games": GAMES},
    "mnist": {"widths": ((4, 5, 6, 8), (8, 6, 5, 1)), "batch_norm": ("after", None), "beta1": 0.5, "games": GAMES},
    "normed": {
        "widths": ((4, 5, 6, 8), (8, 6, 5, 1)),
        "batch_norm": ("before", "before"),
        "beta1": 0.5,
        "games": GAMES,
    },
    "critics": {
        "widths": ((4, 5, 4, 3), (3, 5, 4, 1)),
        "batch_norm": ("after", "after"),
        "beta1": 0.5,
        "games": SCORED,
    },
}
SMOOTHING, CLIP = 0.1, 0.1


def make_cases(networks):
    """Every game with every optimiser, in numgan's names and arguments."""
    adam = {"learning_rate": 2e-3, "beta1": NETWORKS[networks]["beta1"]}
    adam |= {name: SHARED[name] for name in ("beta2", "epsilon")}
    optimizers = [["Adam", adam | {"form": form}] for form in ("paper", "keras")]
    optimizers.append(["SGD", {"learning_rate": 0.02, "momentum": 0.8}])
    cases = []
    for objective, schedule, whole, smoothed in NETWORKS[networks]["games"]:
        if whole is None:
            settings = {"clip": CLIP} if objective == "wasserstein" else {}
        else:
            smoothing = SMOOTHING if smoothed != (networks == "normed") else 0.0
            settings = {"label_smoothing": smoothing, "discriminator_loss": whole}
        cases += [{"objective": [objective, settings], "schedule": schedule, "optimizer": o} for o in optimizers]
    return cases


def make_inputs(networks, rng):
    """Batches, noise and initial weights. But for the biases of dense_1 nothing starts at 0 or 1: nothing hides."""
    (d_rows, g_rows), (g_widths, d_widths) = ROWS, NETWORKS[networks]["widths"]
    inputs = {
        "d_noise": rng.standard_normal((STEPS, d_rows, g_widths[0])),
        "g_noise": rng.standard_normal((STEPS, g_rows, g_widths[0])),
    }
    if networks == "sine":
        t = rng.uniform(0, 2 * np.pi, (STEPS, d_rows))
        inputs["real"] = np.stack([t, np.sin(t)], axis=-1)
    else:
        inputs["real"] = rng.uniform(-1, 1, (STEPS, d_rows, d_widths[0]))
    for side, widths, place in zip(SIDES, (g_widths, d_widths), NETWORKS[networks]["batch_norm"], strict=True):
        for k, (n_in, n_out) in enumerate(pairwise(widths), 1):
            inputs[f"{side}.dense_{k}.weight"] = rng.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)
            inputs[f"{side}.dense_{k}.bias"] = rng.standard_normal(n_out) * 0.1 if k > 1 else np.zeros(n_out)
        for k, n in enumerate(widths[1:-1] if place else (), 1):
            inputs[f"{side}.batch_norm_{k}.gamma"] = rng.uniform(0.5, 1.5, n)
            inputs[f"{side}.batch_norm_{k}.beta"] = rng.standard_normal(n) * 0.1
            inputs[f"{side}.batch_norm_{k}.running_mean"] = rng.standard_normal(n) * 0.1
            inputs[f"{side}.batch_norm_{k}.running_variance"] = rng.uniform(0.5, 1.5, n)
    if any(game[0] == "relativistic" for game in NETWORKS[networks]["games"]):
        inputs["g_real"] = rng.uniform(-1, 1, (STEPS, g_rows, d_widths[0]))
    return {name: a.astype(np.float16) for name, a in inputs.items()}


# ---------------------------------------------------------------------------------------------------------- training


class Game:
    """A generator and a discriminator in PyTorch, and the two training steps of one case."""

    def __init__(self, networks, case, inputs, held):
        activation = nn.ReLU if networks == "sine" else lambda: nn.LeakyReLU(SHARED["slope"])
        output = [] if networks == "sine" else [nn.Tanh()]
        (g_widths, d_widths), (g_place, d_place) = (NETWORKS[networks][name] for name in ("widths", "batch_norm"))
        self.g = torch_network(g_widths, activation, g_place, output)
        self.d = torch_network(d_widths, activation, d_place)
        with torch.no_grad():
            for name, tensor in self.tensors().items():
                tensor.copy_(torch.from_numpy(inputs[name]))
                tensor.requires_grad_(tensor.requires_grad and name not in held)
        (self.objective, self.settings), self.schedule = case["objective"], case["schedule"]
        self.g_optimizer, self.d_optimizer = (make_optimizer(case, network) for network in (self.g, self.d))
        self.bce = nn.BCEWithLogitsLoss()

    def tensors(self):
        return torch_tensors(self.g, "generator") | torch_tensors(self.d, "discriminator")

    def real_labels(self, scores):
        return torch.full_like(scores, 1 - self.settings["label_smoothing"])

    def loss_real(self, scores):
        if self.objective == "wasserstein":
            return -scores.mean()
        if self.objective == "least-squares":
            return nn.functional.mse_loss(scores, torch.ones_like(scores)) / 2
        if self.objective == "hinge":
            return torch.relu(1 - scores).mean()
        return self.bce(scores, self.real_labels(scores))

    def loss_fake(self, scores):
        if self.objective == "wasserstein":
            return scores.mean()
        if self.objective == "least-squares":
            return nn.functional.mse_loss(scores, torch.zeros_like(scores)) / 2
        if self.objective == "hinge":
            return torch.relu(1 + scores).mean()
        return self.bce(scores, torch.zeros_like(scores))

    def loss_both(self, scores, real, fake):
        """From the scores of real and generated rows as one batch, and its two halves."""
        if self.objective == "relativistic":
            return nn.functional.softplus(-(real - fake)).mean()
        if self.settings.get("discriminator_loss", "sum") == "sum":
            return self.loss_real(real) + self.loss_fake(fake)
        return self.bce(scores, torch.cat([self.real_labels(real), torch.zeros_like(fake)]))

    def loss_generator(self, scores, real):
        """From the scores of generated rows and of as many real ones."""
        if self.objective == "relativistic":
            return nn.functional.softplus(-(scores - real)).mean()
        if self.objective in ("wasserstein", "hinge"):
            return -scores.mean()
        if self.objective == "least-squares":
            return nn.functional.mse_loss(scores, torch.ones_like(scores)) / 2
        if self.objective == "minimax":
            return -self.bce(scores, torch.zeros_like(scores))
        return self.bce(scores, torch.ones_like(scores))

    def discriminator_step(self, real, noise):
        self.g.eval()
        self.d.train()
        with torch.no_grad():
            fake = self.g(noise)
        if self.schedule == "concatenated":
            scores = self.d(torch.cat([real, fake]))
            on_real, on_fake = scores.chunk(2)
            loss = self.loss_both(scores, on_real, on_fake)
            if self.objective == "relativistic":
                losses = loss.item(), (on_real - on_fake).mean().item()
            else:
                losses = self.loss_real(on_real).item(), self.loss_fake(on_fake).item()
            self.learn(loss)
            return losses
        loss_real = self.learn(self.loss_real(self.d(real)))
        return loss_real, self.learn(self.loss_fake(self.d(fake)))

    def learn(self, loss):
        """The discriminator's update; returns the loss."""
        value = update(self.d_optimizer, loss)
        if self.objective == "wasserstein":
            with torch.no_grad():
                for p in self.d.parameters():
                    p.clamp_(-self.settings["clip"], self.settings["clip"])
        return value

    def generator_step(self, noise, real=None):
        self.g.train()
        self.d.eval()
        return update(
            self.g_optimizer, self.loss_generator(self.d(self.g(noise)), None if real is None else self.d(real))
        )


def update(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def make_optimizer(case, network):
    kind, arguments = case["optimizer"]
    rate, parameters = arguments["learning_rate"], [p for p in network.parameters() if p.requires_grad]
    if kind == "SGD":
        return torch.optim.SGD(parameters, lr=rate, momentum=arguments["momentum"])
    adam = torch.optim.Adam if arguments["form"] == "paper" else TorchAdamEpsilonHat
    return adam(parameters, lr=rate, betas=(arguments["beta1"], arguments["beta2"]), eps=arguments["epsilon"])


def train(networks, case, inputs, dtype=torch.float64, held=(), reordered=False):
    """One trajectory: losses (steps, 3), and every name -> (stored steps, …). `held` tensors do not learn."""
    torch.set_default_dtype(dtype)
    game, losses, snapshots = Game(networks, case, inputs, held), [], []
    names = [name for name in ("real", "d_noise", "g_noise", "g_real") if name in inputs]
    batches = [torch.from_numpy(inputs[name]).to(dtype) for name in names]
    if reordered:
        batches = [batch[:, np.random.default_rng(1).permutation(batch.shape[1])] for batch in batches]
    for step, (real, d_noise, *g_inputs) in enumerate(zip(*batches, strict=True), 1):
        losses.append([*game.discriminator_step(real, d_noise), game.generator_step(*g_inputs)])
        if step in STORED_STEPS:
            snapshots.append({name: tensor.detach().numpy().copy() for name, tensor in game.tensors().items()})
    return {"losses": np.array(losses)} | {name: np.stack([x[name] for x in snapshots]) for name in snapshots[0]}


# ------------------------------------------------------------------------------------------------------ running it


def biases_before_batch_norm(networks):
    s = NETWORKS[networks]
    sides = [x for x in zip(SIDES, s["widths"], s["batch_norm"], strict=True) if x[2] == "before"]
    return {f"{side}.dense_{k}.bias" for side, widths, _ in sides for k in range(1, len(widths) - 1)}


def difference(a, b, biases):
    """How far two trajectories are from each other; see `reordered` at the top of the file."""
    return {
        "loss": (np.abs(a["losses"] - b["losses"]) / np.abs(b["losses"]).max(axis=0)).max(),
        "element": max(relative(a[name], b[name]) for name in a.keys() - biases - {"losses"}),
        "bias": max((np.abs(a[name] - b[name]).max() for name in biases), default=0.0),
        "from_zero": max((of_largest(a[name], b[name]) for name in biases if "dense_1" in name), default=0.0),
    }


def of_largest(a, b):
    """The worst difference of an element, relative to its tensor's largest at that step; 0 where all are zero."""
    return (np.abs(a - b).max(axis=1) / np.maximum(np.abs(b).max(axis=1), np.finfo(float).tiny)).max()


def relative(a, b):
    """The worst relative difference of an element; equal ones, such as 0 and 0, have none."""
    return (np.abs(a - b) / np.where(a == b, 1, np.abs(b))).max()


def title(case):
    (objective, settings), (kind, arguments) = case["objective"], case["optimizer"]
    return " ".join(map(str, [objective, case["schedule"], *settings.values(), arguments.get("form", kind)]))


def save(name, arrays):
    np.savez_compressed(HERE / f"{name}.npz", **arrays)
    print(f"  {name}.npz: {(HERE / f'{name}.npz').stat().st_size / 1000:.0f} kB")


def main():
    print(VERSIONS)
    torch.set_num_threads(1)
    for seed, (networks, s) in enumerate(NETWORKS.items()):
        if sys.argv[1:] and networks not in sys.argv[1:]:
            continue
        start, biases = time.perf_counter(), biases_before_batch_norm(networks)
        cases, inputs = make_cases(networks), make_inputs(networks, np.random.default_rng(seed))
        pairs = {"reordered": (torch.float64, ())}
        if biases:
            pairs |= {"reordered_held": (torch.float64, biases), "reordered_float32": (torch.float32, ())}
            pairs |= {"reordered_held_float32": (torch.float32, biases)}
        stacked = []
        for case in cases:
            arrays, worst = train(networks, case, inputs), {}
            for label, how in pairs.items():
                pair = [train(networks, case, inputs, *how, reordered) for reordered in (True, False)]
                worst |= {f"{label}.{kind}": np.float64(x) for kind, x in difference(*pair, biases).items()}
            stacked.append(arrays | worst)
            print(f"{networks} {title(case)}:", ", ".join(f"{kind} {x:.0e}" for kind, x in worst.items()))
        print(f"{networks}: {time.perf_counter() - start:.1f} s")
        settings = SHARED | {"batch_norm": dict(zip(SIDES, s["batch_norm"], strict=True))}
        results = {"versions": np.array(VERSIONS), "settings": np.array(json.dumps(settings))}
        results |= {"cases": np.array([json.dumps(case) for case in cases]), "stored_steps": np.array(STORED_STEPS)}
        save(f"games_{networks}", inputs)
        save(f"games_{networks}_pytorch", results | {k: np.stack([a[k] for a in stacked]) for k in stacked[0]})


if __name__ == "__main__":
    main()
