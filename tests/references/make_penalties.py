"""Make the trajectories that tests/gan/test_penalties_against_pytorch.py compares gradient penalties with, by PyTorch.

Run by hand:  python tests/references/make_penalties.py     (needs torch; the tests do not)

PyTorch gets every penalty as its users do, by differentiating its own backward pass: `torch.autograd.grad` of the sum
of the scores with create_graph=True, the norm over all features of each sample, loss + penalty, `backward()`. A case is
100 steps in float64, from stored weights on stored batches. A critic runs in train mode throughout; it has no layer to
which that would matter.

Cases: critic (dense or of images, piecewise linear or curved), objective, schedule, penalty, its weight and every how
many discriminator steps it is paid (then that many times as much), optimiser.

Files, plain arrays under numgan's names:
    penalties.npz           initial weights, batches, noise and mixing numbers, as float16.
    penalties_pytorch.npz   per case, names begin with "0.", "1." …: losses (100, 3), the discriminator's on real and on
        generated rows and the generator's, each before its update; norms and paid (100,), of the critic's gradients and
        for them, NaN at steps that pay nothing; every tensor at the stored steps. versions; cases as JSON.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
VERSIONS = f"torch {torch.__version__}, numpy {np.__version__}"
STEPS, STORED_STEPS, LATENT, SHAPE = 100, (5, 100), 3, (1, 4, 4)
ROWS = 8  # a power of two: the means of a critic's scores cancel in its last bias, to the bit
CASES = [
    {"critic": "dense", "objective": "wasserstein", "schedule": "concatenated", "penalty": "wgan-gp", "weight": 10.0,
     "every": 1, "optimizer": ["Adam", {"learning_rate": 2e-3, "beta1": 0.5, "beta2": 0.9, "form": "paper"}]},
    {"critic": "images", "objective": "wasserstein", "schedule": "separate", "penalty": "wgan-gp", "weight": 3.0,
     "every": 1, "optimizer": ["SGD", {"learning_rate": 0.01, "momentum": 0.5}]},
    {"critic": "images", "objective": "non-saturating", "schedule": "concatenated", "penalty": "r1+r2", "weight": 2.0,
     "every": 1, "optimizer": ["Adam", {"learning_rate": 2e-3, "beta1": 0.5, "beta2": 0.99, "form": "paper"}]},
    {"critic": "curved", "objective": "non-saturating", "schedule": "separate", "penalty": "r1+r2", "weight": 1.0,
     "every": 4, "optimizer": ["Adam", {"learning_rate": 2e-3, "beta1": 0.0, "beta2": 0.99, "form": "paper"}]},
    {"critic": "curved images", "objective": "non-saturating", "schedule": "concatenated", "penalty": "r1",
     "weight": 5.0, "every": 3, "optimizer": ["SGD", {"learning_rate": 0.02, "momentum": 0.0}]},
]  # fmt: skip


def torch_critic(kind):
    bend, bow = (nn.Tanh, nn.SiLU) if "curved" in kind else (lambda: nn.LeakyReLU(0.2), nn.ReLU)
    if "images" in kind:
        return nn.Sequential(nn.Conv2d(1, 3, 3, 2, 1), bend(), nn.Conv2d(3, 4, 2), bow(), nn.Flatten(), nn.Linear(4, 1))
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), bend(), nn.Linear(6, 5), bow(), nn.Linear(5, 1))


def torch_generator():
    return nn.Sequential(nn.Linear(LATENT, 8), nn.LeakyReLU(0.2), nn.Linear(8, 16), nn.Tanh(), nn.Unflatten(1, SHAPE))


def torch_tensors(g, d):
    """numgan's name -> parameter."""
    found = {}
    for side, network in (("generator", g), ("discriminator", d)):
        for kind, cls in (("dense", nn.Linear), ("conv2d", nn.Conv2d)):
            for k, module in enumerate((m for m in network if isinstance(m, cls)), 1):
                found |= {f"{side}.{kind}_{k}.weight": module.weight, f"{side}.{kind}_{k}.bias": module.bias}
    return found


def inputs():
    rng = np.random.default_rng(11)
    arrays = {}
    for k, case in enumerate(CASES):
        for name, tensor in torch_tensors(torch_generator(), torch_critic(case["critic"])).items():
            scale = 0.1 if name.endswith("bias") else tensor[0].numel() ** -0.5
            arrays[f"{k}.{name}"] = (scale * rng.standard_normal(tensor.shape)).astype(np.float16)
    arrays["real"] = np.tanh(0.5 + 0.5 * rng.standard_normal((STEPS, ROWS, *SHAPE))).astype(np.float16)
    arrays |= {n: rng.standard_normal((STEPS, ROWS, LATENT)).astype(np.float16) for n in ("d_noise", "g_noise")}
    return arrays | {"mix": rng.uniform(size=(STEPS, ROWS)).astype(np.float16), "stored_steps": np.array(STORED_STEPS)}


def gradient_norms(d, points):
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(d(points).sum(), points, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


def optimizer(case, parameters):
    kind, s = case["optimizer"]
    if kind == "SGD":  # PyTorch's velocity is numgan's over −learning rate, the same while that is constant
        return torch.optim.SGD(parameters, s["learning_rate"], s["momentum"])
    return torch.optim.Adam(parameters, s["learning_rate"], (s["beta1"], s["beta2"]), 1e-7)


def trajectory(k, case, arrays):
    torch.set_default_dtype(torch.float64)
    g, d = torch_generator(), torch_critic(case["critic"])
    tensors = torch_tensors(g, d)
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(arrays[f"{k}.{name}"].astype(np.float64)))
    of_g, of_d = (optimizer(case, network.parameters()) for network in (g, d))
    bce, one, zero = nn.BCEWithLogitsLoss(), torch.ones(ROWS, 1), torch.zeros(ROWS, 1)
    critic, joint, weight = case["objective"] == "wasserstein", case["schedule"] == "concatenated", case["weight"]

    def pay(where, real, fake, mix):
        """(norms, penalty) of the points of one update."""
        points = {"real": real, "generated": fake, "between": mix * real + (1 - mix) * fake}
        norms = [gradient_norms(d, points[kind]) for kind in where]
        if case["penalty"] == "wgan-gp":
            return torch.cat(norms), sum(weight * ((n - 1) ** 2).mean() for n in norms)
        return torch.cat(norms), sum(weight / 2 * (n**2).mean() for n in norms)

    kinds = {"wgan-gp": ["between"], "r1": ["real"], "r1+r2": ["real", "generated"]}[case["penalty"]]
    losses, paid, norms, kept = [], [], [], {}
    for step in range(STEPS):
        batch = [torch.from_numpy(arrays[n][step].astype(np.float64)) for n in ("real", "d_noise", "g_noise", "mix")]
        real, d_noise, g_noise, mix = batch
        mix = mix[:, None, None, None]
        fake = g(d_noise).detach()
        due, row = step % case["every"] == 0, []
        if joint:
            updates = [(kinds, ("real", "fake"))]
        else:
            early = [kind for kind in kinds if kind == "real"]
            updates = [(early, ("real",)), ([kind for kind in kinds if kind != "real"], ("fake",))]
        found, sums = [], 0.0
        for where, sides in updates:
            terms = []
            for side in sides:
                scores = d(real if side == "real" else fake)
                if critic:
                    terms.append(-scores.mean() if side == "real" else scores.mean())
                else:
                    terms.append(bce(scores, one if side == "real" else zero))
                row.append(terms[-1].item())
            loss = sum(terms) / (1 if critic else len(terms))
            if due and where:
                n, penalty = pay(where, real, fake, mix)
                loss = loss + case["every"] * penalty
                found.append(n.detach().numpy())
                sums += penalty.item()
            of_d.zero_grad()
            loss.backward()
            of_d.step()
        scores = d(g(g_noise))
        loss = -scores.mean() if critic else bce(scores, one)
        of_g.zero_grad()
        loss.backward()
        of_g.step()
        losses.append([*row, loss.item()])
        norms.append(np.concatenate(found).mean() if due else np.nan)
        paid.append(sums if due else np.nan)
        if step + 1 in STORED_STEPS:
            for name, tensor in tensors.items():
                kept.setdefault(name, []).append(tensor.detach().numpy().copy())
    result = {"losses": np.array(losses), "norms": np.array(norms), "paid": np.array(paid)}
    return {f"{k}.{name}": np.array(a) for name, a in (result | kept).items()}


def main():
    arrays = inputs()
    found = {"versions": np.array(VERSIONS), "cases": np.array(json.dumps(CASES))}
    for k, case in enumerate(CASES):
        found |= trajectory(k, case, arrays)
    np.savez_compressed(HERE / "penalties.npz", **arrays)
    np.savez_compressed(HERE / "penalties_pytorch.npz", **found)


if __name__ == "__main__":
    main()
