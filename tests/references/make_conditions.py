"""Make the trajectories that tests/gan/test_conditions_against_pytorch.py compares conditional GANs with, by PyTorch.

Run by hand:  python tests/references/make_conditions.py     (needs torch; the tests do not)

A case is 60 steps in float64, from stored weights on stored rows, their conditions and noise; autograd works out every
gradient. What it takes for PyTorch to compute the same thing is told in make_references.py and done in torch_side.py;
beyond that, and with the condition in front of what it is joined to, as numgan has it:

networks    "labels": dense; a class, one-hot, beside the noise and beside the row, as in `mnist-conditional`.
            "embedded": the same, but that the discriminator reads the class by Embedding, Flatten and Dense.
            "pictures": the U-Net and the patches of `translate`, on 8 × 8 pixels and without dropout.
            "texts": Embedding, convolution over words and Dense beside the noise; and once more, spread by Reshape and
            UpSampling2D, between the convolutions of a discriminator of images.
matching    The discriminator's batch: real rows; real rows, each with the condition of the next (`torch.roll`);
            generated rows. The loss on fakes is the mean over the last two.
schedules   "concatenated": one update on all of it. "separate": real rows, update; both kinds of fakes, update.
generator   Its loss and λ·l1_loss to the real rows of these conditions, where the case has a λ. Relativistic: the real
            rows are scored by the discriminator in eval mode, in a batch of their own.
biases      before a batch norm have rounding for a gradient (see make_games.py). They start away from zero, so that
            they have digits to compare, and Adam's ε is 10⁻⁵, by which it divides that rounding.

Files, plain arrays under numgan's names:
    conditions.npz          per kind of network ("labels." …): rows, conditions and noise, of which each step takes some
        by number (`d_rows`, `d_noise`, `g_rows`, `g_noise`, (60, rows)); per case, names begin with "0.", "1." …:
        initial weights; all float16 (see make_references.py).
    conditions_pytorch.npz  per case: losses (60, 3), the discriminator's on real and on generated rows and the
        generator's, each before its update (relativistic: the critic's, its mean difference, the generator's); l1 (60,)
        without λ; every tensor at the end. versions; cases as JSON.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch_side import SHARED, TorchAdamEpsilonHat

HERE = Path(__file__).parent
VERSIONS = f"torch {torch.__version__}, numpy {np.__version__}"
STEPS, STOCK, ROWS = 60, 24, 6
CLASSES, WORDS, LENGTH = 3, 7, 4
SIDES = ("generator", "discriminator")
ADAM = {"learning_rate": 2e-3, "beta1": 0.5, "beta2": 0.999, "epsilon": 1e-5}
PAPER, KERAS = (["Adam", ADAM | {"form": form}] for form in ("paper", "keras"))
MOMENTUM = ["SGD", {"learning_rate": 0.02, "momentum": 0.8}]
CROSS_ENTROPY, SMOOTHED = (["non-saturating", {"label_smoothing": s}] for s in (0.0, 0.1))


def case(networks, objective, schedule, optimizer, matching=False, weight=None):
    return {"networks": networks, "objective": objective, "schedule": schedule, "optimizer": optimizer,
            "matching_aware": matching, "l1_weight": weight}  # fmt: skip


CASES = [
    case("labels", CROSS_ENTROPY, "concatenated", KERAS),
    case("labels", SMOOTHED, "separate", PAPER),
    case("labels", ["relativistic", {}], "concatenated", MOMENTUM),
    case("embedded", CROSS_ENTROPY, "concatenated", PAPER, matching=True),
    case("embedded", ["least-squares", {}], "separate", MOMENTUM, matching=True),
    case("pictures", CROSS_ENTROPY, "concatenated", KERAS, weight=20.0),
    case("pictures", ["least-squares", {}], "separate", MOMENTUM, weight=5.0),
    case("texts", CROSS_ENTROPY, "concatenated", PAPER, matching=True),
    case("texts", ["hinge", {}], "separate", MOMENTUM, matching=True),
]
NOISE = {"labels": (4,), "embedded": (4,), "pictures": (1, 8, 8), "texts": (4,)}
ROW = {"labels": (8,), "embedded": (8,), "pictures": (1, 8, 8), "texts": (2, 8, 8)}

# ---------------------------------------------------------------------------------------------------------- networks


class Norm(nn.modules.batchnorm._BatchNorm):
    """Batch norm of rows or images, but that the biased variance enters the running one, as in Keras and numgan."""

    def __init__(self, n):
        super().__init__(n, SHARED["batch_norm_epsilon"], 1 - SHARED["momentum"])

    def _check_input_dim(self, x):
        pass

    def forward(self, x):
        before = self.running_var.clone()
        y = super().forward(x)
        if self.training:
            axes = [0, *range(2, x.ndim)]
            self.running_var = torch.lerp(before, x.detach().var(dim=axes, correction=0), self.momentum)
        return y


class OneHot(nn.Module):
    def forward(self, c):
        return nn.functional.one_hot(c[:, 0].long(), CLASSES).double()


class Words(nn.Embedding):
    """Vectors of words as an image one pixel high."""

    def forward(self, c):
        return super().forward(c.long()).transpose(1, 2)[:, :, None]


class Join(nn.Sequential):
    """What its modules make of the condition, in front of x."""

    def forward(self, x, c):
        return torch.cat([super().forward(c), x], 1)


class Skip(nn.Sequential):
    """What its modules make of x, in front of x."""

    def forward(self, x):
        return torch.cat([super().forward(x), x], 1)


class Network(nn.Sequential):
    def forward(self, x, c):
        for module in self:
            x = module(x, c) if isinstance(module, Join) else module(x)
        return x


def leaky():
    return nn.LeakyReLU(SHARED["slope"])


def halve(n_in, n_out):
    return nn.Conv2d(n_in, n_out, 4, 2, 1)


def double(n_in, n_out):
    return nn.ConvTranspose2d(n_in, n_out, 4, 2, 1)


def reader(n_out):
    """Of a text: features (rows, n_out)."""
    return [Words(WORDS, 3), nn.Conv2d(3, 4, (1, 2)), leaky(), nn.Flatten(), nn.Linear(4 * (LENGTH - 1), n_out)]


def make_networks(kind):
    """(generator, discriminator)."""
    if kind in ("labels", "embedded"):
        g = Network(Join(OneHot()), nn.Linear(CLASSES + 4, 6), leaky(), Norm(6), nn.Linear(6, 8), nn.Tanh())
        vectors = [Words(CLASSES, 4), nn.Flatten(), nn.Linear(4, 5)]
        front, n = (Join(OneHot()), CLASSES) if kind == "labels" else (Join(*vectors), 5)
        return g, Network(front, nn.Linear(n + 8, 7), leaky(), nn.Linear(7, 5), leaky(), nn.Linear(5, 1))
    if kind == "pictures":
        inner = Skip(leaky(), halve(3, 4), nn.ReLU(), double(4, 3), Norm(3))
        outer = Skip(leaky(), halve(2, 3), Norm(3), inner, nn.ReLU(), double(6, 2), Norm(2))
        g = Network(Join(), halve(2, 2), outer, nn.ReLU(), double(4, 1), nn.Tanh())
        patches = nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(3, 1, 4), nn.Flatten()
        return g, Network(Join(), halve(2, 3), leaky(), *patches)
    g = Network(Join(*reader(3)), nn.Linear(7, 16), nn.Unflatten(1, (4, 2, 2)), Norm(4), nn.ReLU(),
                double(4, 3), Norm(3), nn.ReLU(), double(3, 2), nn.Tanh())  # fmt: skip
    spread = Join(*reader(2), leaky(), nn.Unflatten(1, (2, 1, 1)), nn.UpsamplingNearest2d(scale_factor=4))
    return g, Network(halve(2, 3), leaky(), spread, nn.Conv2d(5, 4, 1), Norm(4), leaky(), nn.Flatten(),
                      nn.Linear(64, 1))  # fmt: skip


KINDS = {
    nn.Linear: "dense", nn.Conv2d: "conv2d", nn.ConvTranspose2d: "conv2d_transpose", Norm: "batch_norm",
    Words: "embedding", Join: "join", Skip: "skip",
}  # fmt: skip
NAMES = {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_variance"}


def tensors(network, prefix):
    """numgan's name -> tensor."""
    found, counts = {}, {}
    for module in network:
        kind = KINDS.get(type(module))
        counts[kind] = counts.get(kind, 0) + 1
        own = f"{prefix}.{kind}_{counts[kind]}"
        if isinstance(module, (Join, Skip)):
            found |= tensors(module, own)
        elif isinstance(module, Norm):
            found |= {f"{own}.{name}": getattr(module, theirs) for theirs, name in NAMES.items()}
        elif kind:
            found |= {f"{own}.{name}": p for name, p in module.named_parameters()}
    return found


def tensors_of_both(networks):
    return {name: t for side, n in zip(SIDES, networks, strict=True) for name, t in tensors(n, side).items()}


# ------------------------------------------------------------------------------------------------------------ inputs


def make_inputs():
    rng = np.random.default_rng(14)
    arrays = {}
    for kind, shape in ROW.items():
        if kind == "pictures":
            conditions = np.tanh(rng.standard_normal((STOCK, 1, 8, 8)))
        elif kind == "texts":
            conditions = rng.integers(0, WORDS, (STOCK, LENGTH))
        else:
            conditions = rng.integers(0, CLASSES, (STOCK, 1))
        mean = 0.2 * conditions.reshape(STOCK, -1).mean(axis=1).reshape(-1, *[1] * len(shape))
        own = {"rows": np.tanh(mean + 0.5 * rng.standard_normal((STOCK, *shape))), "conditions": conditions}
        own["noise"] = rng.standard_normal((STOCK, *NOISE[kind]))
        arrays |= {f"{kind}.{name}": a.astype(np.float16) for name, a in own.items()}
    for name in ("d_rows", "d_noise", "g_rows", "g_noise"):
        arrays[name] = np.stack([rng.permutation(STOCK)[:ROWS] for _ in range(STEPS)]).astype(np.uint8)
    for k, case in enumerate(CASES):
        for name, tensor in tensors_of_both(make_networks(case["networks"])).items():
            a = rng.standard_normal(tensor.shape)
            if tensor.ndim > 1:
                a *= 1.2 * tensor[0].numel() ** -0.5
            else:
                a = rng.uniform(0.5, 1.5, a.shape) if name.endswith(("gamma", "variance")) else 0.2 * a
            arrays[f"{k}.{name}"] = a.astype(np.float16)
    return arrays


# ---------------------------------------------------------------------------------------------------------- training


class Game:
    """The two networks in PyTorch, and the two training steps of one case."""

    def __init__(self, case, weights):
        self.case, self.objective = case, case["objective"][0]
        self.g, self.d = networks = make_networks(case["networks"])
        with torch.no_grad():
            for name, tensor in self.tensors().items():
                tensor.copy_(torch.from_numpy(weights[name]))
        self.g_optimizer, self.d_optimizer = (make_optimizer(case, network) for network in networks)

    def tensors(self):
        return tensors_of_both((self.g, self.d))

    def loss_real(self, scores):
        if self.objective == "least-squares":
            return nn.functional.mse_loss(scores, torch.ones_like(scores)) / 2
        if self.objective == "hinge":
            return torch.relu(1 - scores).mean()
        label = 1 - self.case["objective"][1]["label_smoothing"]
        return nn.functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))

    def loss_fake(self, scores):
        if self.objective == "least-squares":
            return nn.functional.mse_loss(scores, torch.zeros_like(scores)) / 2
        if self.objective == "hinge":
            return torch.relu(1 + scores).mean()
        return nn.functional.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores))

    def loss_generator(self, scores, opponents):
        if self.objective == "relativistic":
            return nn.functional.softplus(-(scores - opponents)).mean()
        if self.objective == "least-squares":
            return nn.functional.mse_loss(scores, torch.ones_like(scores)) / 2
        if self.objective == "hinge":
            return -scores.mean()
        return nn.functional.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))

    def discriminator_step(self, real, noise, c):
        self.g.eval()
        self.d.train()
        with torch.no_grad():
            fake = self.g(noise, c)
        n = len(real)
        fakes, under = fake, c
        if self.case["matching_aware"]:
            fakes, under = torch.cat([real, fake]), torch.cat([c.roll(-1, 0), c])
        if self.case["schedule"] == "separate":
            on_real = self.d(real, c)
            losses = [self.loss_real(on_real)]
            update(self.d_optimizer, losses[0])
            on_fakes = self.d(fakes, under)
            update(self.d_optimizer, self.loss_fake(on_fakes))
        else:
            scores = self.d(torch.cat([real, fakes]), torch.cat([c, under]))
            on_real, on_fakes = scores[:n], scores[n:]
            if self.objective == "relativistic":
                loss = nn.functional.softplus(-(on_real - on_fakes)).mean()
                update(self.d_optimizer, loss)
                return [loss.item(), (on_real - on_fakes).mean().item()]
            losses = [self.loss_real(on_real)]
            loss = losses[0] + self.loss_fake(on_fakes)
            update(self.d_optimizer, loss / 2 if self.objective == "non-saturating" else loss)
        return [losses[0].item(), self.loss_fake(on_fakes[-n:]).item()]

    def generator_step(self, noise, real, c):
        self.g.train()
        self.d.eval()
        fake = self.g(noise, c)
        opponents = self.d(real, c) if self.objective == "relativistic" else None
        loss, distance = self.loss_generator(self.d(fake, c), opponents), nn.functional.l1_loss(fake, real)
        weight = self.case["l1_weight"]
        update(self.g_optimizer, loss + weight * distance if weight else loss)
        return loss.item(), distance.item()


def update(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def make_optimizer(case, network):
    kind, s = case["optimizer"]
    if kind == "SGD":  # PyTorch's velocity is numgan's over −learning rate, the same while that is constant
        return torch.optim.SGD(network.parameters(), s["learning_rate"], s["momentum"])
    adam = torch.optim.Adam if s["form"] == "paper" else TorchAdamEpsilonHat
    return adam(network.parameters(), s["learning_rate"], (s["beta1"], s["beta2"]), s["epsilon"])


def trajectory(k, case, arrays):
    prefix, kind = f"{k}.", case["networks"]
    game = Game(case, {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)})
    stock = {n: torch.from_numpy(arrays[f"{kind}.{n}"].astype(np.float64)) for n in ("rows", "conditions", "noise")}
    losses, distances = [], []
    for step in range(STEPS):
        d_rows, d_noise, g_rows, g_noise = (
            torch.from_numpy(arrays[n][step].astype(int)) for n in ("d_rows", "d_noise", "g_rows", "g_noise")
        )
        row = game.discriminator_step(stock["rows"][d_rows], stock["noise"][d_noise], stock["conditions"][d_rows])
        loss, distance = game.generator_step(
            stock["noise"][g_noise], stock["rows"][g_rows], stock["conditions"][g_rows]
        )
        losses.append([*row, loss])
        distances.append(distance)
    found = {"losses": losses} | ({"l1": distances} if case["l1_weight"] else {})
    found |= {name: tensor.detach().numpy() for name, tensor in game.tensors().items()}
    return {f"{k}.{name}": np.array(a) for name, a in found.items()}


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    arrays = make_inputs()
    found = {"versions": np.array(VERSIONS), "cases": np.array(json.dumps(CASES))}
    for k, case in enumerate(CASES):
        found |= trajectory(k, case, arrays)
        print(k, case["networks"], case["schedule"], found[f"{k}.losses"][[0, -1]].round(3).tolist())
    for name, content in (("conditions", arrays), ("conditions_pytorch", found)):
        np.savez_compressed(HERE / f"{name}.npz", **content)
        print(f"{name}.npz: {(HERE / f'{name}.npz').stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
