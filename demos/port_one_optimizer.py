"""A port, line by line: the PyTorch layout of one optimiser for both networks, whose two steps share the fakes.
PyTorch's lines are comments, numgan's stand below them.

One Adam over all parameters is no other thing than one for each network. Moments belong to a parameter, and so does the
count of its updates; parameters without a gradient are passed over. That takes zero_grad, which leaves none behind,
detach, and requires_grad_(False): without it the generator's backward pass leaves gradients in the discriminator too,
and the one step() teaches it to be fooled. numgan's steps change one network each, whatever is written.

Keras's optimisers of old (keras.optimizers.legacy) are different: one that compiles two models counts the updates of
both together, so that Adam's corrections for its start fade twice as fast. The last part does that, too.

Run:  python demos/port_one_optimizer.py [--steps N]     (a few seconds)
"""

import argparse
import sys

import numpy as np

from numgan import GAN, Adam, Dense, LeakyReLU, NonSaturating, Sequential, Sigmoid
from numgan.data import SinePoints
from numgan.study.metrics import sine_quality

parser = argparse.ArgumentParser(description="One optimiser for both networks, ported line by line.")
parser.add_argument("--steps", type=int, default=2000, metavar="N", help="training steps (default 2,000)")
arguments = parser.parse_args()
if arguments.steps < 1:
    parser.error(f"expected --steps from 1, got {arguments.steps}")
n, data = 64, SinePoints()


def build():
    rng = np.random.default_rng(0)  # numgan draws weights from a generator that it is handed
    # G = nn.Sequential(nn.Linear(5, 25), nn.LeakyReLU(0.2), nn.Linear(25, 2))
    how = {"initializer": "pytorch_uniform", "bias_initializer": "pytorch_uniform"}  # as nn.Linear starts
    G = Sequential([Dense(25, **how), LeakyReLU(0.2), Dense(2, **how)], 5, rng, name="G")
    # D = nn.Sequential(nn.Linear(2, 25), nn.LeakyReLU(0.2), nn.Linear(25, 1))
    D = Sequential([Dense(25, **how), LeakyReLU(0.2), Dense(1, **how), Sigmoid()], 2, rng, name="D")
    # optimizer = torch.optim.Adam([*G.parameters(), *D.parameters()], lr=2e-3, betas=(0.5, 0.999))
    adams = [Adam(learning_rate=2e-3, beta1=0.5, beta2=0.999, epsilon=1e-8, form="paper") for _ in range(2)]
    # bce = nn.BCEWithLogitsLoss()
    game = NonSaturating(discriminator_loss="sum")  # reads the logit below Sigmoid; its two means are added, as below
    return GAN(G, D, *adams, game, shared_fakes=True)  # G runs once a step


def train(gan, one_count=False):
    rng, real, losses = np.random.default_rng(1), np.empty((n, 2), np.float32), []
    # for real in loader:
    for _ in range(arguments.steps):
        data.sample(n, rng, real)
        # fake = G(torch.randn(n, 5))
        noise = rng.standard_normal((n, 5))
        # optimizer.zero_grad()
        # d_loss = bce(D(real), torch.ones(n, 1)) + bce(D(fake.detach()), torch.zeros(n, 1))
        # d_loss.backward()
        # optimizer.step()
        if one_count:
            gan.discriminator_optimizer.steps = gan.generator_optimizer.steps
        on_d = gan.train_discriminator(real, noise)
        # optimizer.zero_grad()
        # D.requires_grad_(False)
        # g_loss = bce(D(fake), torch.ones(n, 1))
        # g_loss.backward()
        # optimizer.step()
        # D.requires_grad_(True)
        if one_count:
            gan.generator_optimizer.steps = gan.discriminator_optimizer.steps
        before = gan.generator.values.copy()
        on_g = gan.train_generator()
        losses.append((on_d.loss, on_g.loss, np.abs(gan.generator.values - before).mean()))
    # print(d_loss.item(), g_loss.item())
    quality = sine_quality(gan.sample(10_000, rng))
    print(f"D loss {losses[-1][0]:.3f}, G loss {losses[-1][1]:.3f}, curve error {quality['curve_error']:.3f}")
    return losses


print("one Adam, as PyTorch counts: ", end="")
own = train(build())
print("one Adam, as Keras of old counts: ", end="")
shared = train(build(), one_count=True)

# The first update of G is the second of the one optimiser: t = 2 in both corrections of a first gradient, where
# m̂/√v̂ = (1 − β₁)/(1 − β₁²)·g / √((1 − β₂)/(1 − β₂²)·g²) = √(1 + β₂)/(1 + β₁)·sign g, in place of sign g.
measured, derived = shared[0][2] / own[0][2], (1 + 0.999) ** 0.5 / (1 + 0.5)
print(f"G's first update is {measured:.4f} of what it is with a count of its own; derived: {derived:.4f}")
sys.exit(int(abs(measured - derived) > 1e-3))
