"""Make the reference that tests/nn/test_spectral_norm.py compares numgan with: two small discriminators, every layer
with PyTorch's spectral norm, trained by PyTorch in float64.

Run by hand:  python tests/references/make_spectral_norm.py     (needs torch; the tests need numgan alone)

spectral_norm.npz, by network, "dense." and "images.", under the names of PyTorch's state_dict:
    x, target     a batch for each step; float16, for size: as float64 they are the same numbers
    start.…       weights and vectors at the start; scores, what the network says of the first batch there, in eval mode
    losses        of every step, before its update
    after.…       weights and vectors at `stored_steps`

numgan iterates once after every update and never in a pass. So every pass here is in eval mode, and after the
optimiser's step each weight is read once in train mode, which is when PyTorch iterates.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

HERE = Path(__file__).parent
STEPS, STORED_STEPS, ROWS = 60, (1, 10, 60), 6
ADAM = {"lr": 5e-3, "betas": (0.5, 0.9), "eps": 1e-7}
torch.set_default_dtype(torch.float64)


def dense():
    return [nn.Linear(6, 8), nn.LeakyReLU(0.25), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 1)], (6,)


def images():
    layers = [
        nn.Conv2d(1, 3, 4, 2, 1), nn.LeakyReLU(0.25), nn.ConvTranspose2d(3, 2, 2, 2), nn.LeakyReLU(0.25),
        nn.Conv2d(2, 3, 3, 3), nn.LeakyReLU(0.25), nn.Flatten(), nn.Linear(12, 1),
    ]  # fmt: skip
    return layers, (1, 6, 6)


def iterate(network):
    network.train()
    with torch.no_grad():
        for module in network:
            if hasattr(module, "parametrizations"):
                module.weight  # noqa: B018
    network.eval()


def contents(network):
    return {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}


def train(make, rng):
    torch.manual_seed(int(rng.integers(2**31)))
    modules, shape = make()
    network = nn.Sequential(*(spectral_norm(m) if hasattr(m, "weight") else m for m in modules))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.4, parameter.shape).astype(np.float16)))
    iterate(network)
    x = rng.standard_normal((STEPS, ROWS, *shape)).astype(np.float16)
    target = rng.integers(0, 2, (STEPS, ROWS, 1)).astype(np.int8)
    found = {"x": x, "target": target} | {f"start.{name}": a for name, a in contents(network).items()}
    found["scores"] = network(torch.from_numpy(x[0]).double()).detach().numpy().copy()
    optimizer, losses, after = torch.optim.Adam(network.parameters(), **ADAM), [], []
    for step, (rows, labels) in enumerate(zip(x, target, strict=True), 1):
        scores = network(torch.from_numpy(rows).double())
        loss = nn.functional.binary_cross_entropy_with_logits(scores, torch.from_numpy(labels).double())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        iterate(network)
        losses.append(loss.item())
        if step in STORED_STEPS:
            after.append(contents(network))
    found |= {"losses": np.array(losses)}
    return found | {f"after.{name}": np.stack([a[name] for a in after]) for name in after[0]}


def main():
    torch.set_num_threads(1)
    rng, arrays = np.random.default_rng(0), {}
    for make in (dense, images):
        arrays |= {f"{make.__name__}.{name}": a for name, a in train(make, rng).items()}
    adam = {"learning_rate": ADAM["lr"], "beta1": ADAM["betas"][0], "beta2": ADAM["betas"][1], "epsilon": ADAM["eps"]}
    arrays |= {name: np.array(value) for name, value in adam.items()}
    arrays |= {"stored_steps": np.array(STORED_STEPS), "versions": np.array(f"torch {torch.__version__}")}
    np.savez_compressed(HERE / "spectral_norm.npz", **arrays)
    print(f"spectral_norm.npz: {(HERE / 'spectral_norm.npz').stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
