"""Train a generator in numgan and use it in PyTorch, and the other way round. Needs PyTorch.

Run:  python demos/exchange_weights_with_pytorch.py
"""

import sys

import numpy as np

from numgan import GAN, BatchNorm, Dense, LeakyReLU, Sequential, Sigmoid, Tanh
from numgan.nn.torch_layout import from_torch_layout, to_torch_layout

try:
    import torch
    from torch import nn
except ModuleNotFoundError as error:
    sys.exit(f"this demo needs PyTorch, to be had with `pip install torch`: {error}")

rng = np.random.default_rng(1)
torch.manual_seed(1)

# The same generator twice. BatchNorm's momentum weighs the old value in numgan and the new one in PyTorch.
ours = Sequential(
    [Dense(32), LeakyReLU(0.2), BatchNorm(momentum=0.8, epsilon=1e-3), Dense(8), Tanh()],
    shape=4, rng=rng, dtype="float64",
)  # fmt: skip
theirs = nn.Sequential(
    nn.Linear(4, 32), nn.LeakyReLU(0.2), nn.BatchNorm1d(32, eps=1e-3, momentum=1 - 0.8), nn.Linear(32, 8), nn.Tanh(),
).double()  # fmt: skip


def difference(noise):
    """The largest difference between the two generators' rows, in inference mode."""
    theirs.eval()
    with torch.no_grad():
        rows = theirs(torch.from_numpy(noise)).numpy()
    return np.abs(ours.predict(noise) - rows).max()


noise = rng.standard_normal((1000, 4))

# numgan → PyTorch: train in numgan for a while, so that weights and running statistics are not just the first ones.
discriminator = Sequential([Dense(32), LeakyReLU(0.2), Dense(1), Sigmoid()], shape=8, rng=rng, dtype="float64")
GAN(ours, discriminator).fit(rng.uniform(-1, 1, (500, 8)), steps=200, batch_size=64, rng=rng)
print(f"before the exchange   max |numgan − PyTorch| = {difference(noise):.2g}")
theirs.load_state_dict({name: torch.from_numpy(a) for name, a in to_torch_layout(ours).items()})
print(f"numgan → PyTorch      max |numgan − PyTorch| = {difference(noise):.2g}")

# PyTorch → numgan: move PyTorch's weights and statistics by a few steps of some training, then take them over.
theirs.train()
optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
for _ in range(50):
    optimizer.zero_grad()
    theirs(torch.randn(64, 4, dtype=torch.float64)).square().mean().backward()
    optimizer.step()
print(f"PyTorch trained on    max |numgan − PyTorch| = {difference(noise):.2g}")
from_torch_layout(ours, theirs.state_dict())
print(f"PyTorch → numgan      max |numgan − PyTorch| = {difference(noise):.2g}")
