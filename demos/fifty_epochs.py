"""The 50-epoch study: look at the digits, scale them to [-1, 1], and train three dense layers against three.

Run:  python demos/fifty_epochs.py [--epochs N] [--data DIR|full] [--seed N] [--out DIR]

The study names the layers, the losses and Adam's rate. Widths, slope, β₁ and batches of 32 are those of
`numgan train mnist-epochs`; that command holds some digits out, this script trains on all, as the study does.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from numgan import GAN, Adam, BatchNorm, Dense, LeakyReLU, NonSaturating, Sequential, Sigmoid, Tanh
from numgan.data import DataError, load_mnist
from numgan.study.plots import data_set, draw_digits, save

BATCH, LATENT = 32, 100


def explore(digits, rng, path):
    """The study's figures 1 and 2, and the shapes and ranges of its tables."""
    images = digits.images.reshape(-1, 28, 28)
    print(f"{digits.source}\nimages {images.shape}, {images.dtype} from {images.min()} to {images.max()}")
    if digits.labels is not None:
        print(f"labels {digits.labels.shape}, images per class {np.bincount(digits.labels, minlength=10).tolist()}")
    data_set(digits, rng, path)


def preprocess(images):
    """uint8 from 0 to 255 → float32 from -1 to 1, the range of tanh. Dense layers need no axis for a channel."""
    x = images.astype(np.float32)
    x -= 127.5
    x /= 127.5
    print(f"scaled {x.shape}, {x.dtype} from {x.min():g} to {x.max():g}\n")
    return x


def build(rng):
    """Three dense layers in either network, and the GAN that plays them against each other."""
    grow = [Dense(256), LeakyReLU(0.2), BatchNorm(0.8), Dense(512), LeakyReLU(0.2), BatchNorm(0.8), Dense(784), Tanh()]
    shrink = [Dense(512), LeakyReLU(0.2), Dense(256), LeakyReLU(0.2), Dense(1), Sigmoid()]
    generator = Sequential(grow, LATENT, rng, name="generator")
    discriminator = Sequential(shrink, 784, rng, name="discriminator")
    print(generator.summary(), discriminator.summary(), sep="\n\n", end="\n\n")
    adams = (Adam(1e-4, beta1=0.5) for _ in range(2))  # one each: an Adam holds the moments of its own network
    # the discriminator's loss is the sum of its losses on real and on generated images, not their mean
    return GAN(generator, discriminator, *adams, NonSaturating(discriminator_loss="sum"))


def train(gan, x, epochs, rng):
    """Every image once an epoch, in a new order. The generator's target is label 1, as GAN has it by default.

    Returns {name of a loss: its mean over the steps of each epoch}, and [(epoch, 16 digits)] at every tenth of the run.
    """
    per_epoch = -(-len(x) // BATCH)  # steps, the last one on what is left
    noise = rng.standard_normal((16, LATENT))
    moments = []

    def callback(step, history):
        epoch, within = divmod(step, per_epoch)
        if within or (epoch % max(1, epochs // 10) and epoch < epochs):
            return
        moments.append((epoch, gan.generator.predict(noise)))
        if step:
            g, d = (history[name][-per_epoch:].mean() for name in ("g_loss", "d_loss"))
            print(f"{epoch:>5}{g:>16.3f}{d:>20.3f}", flush=True)

    print(f"{per_epoch:,} steps an epoch, the last on {len(x) - (per_epoch - 1) * BATCH} images")
    print("epoch  generator loss  discriminator loss")
    history = gan.fit(x, epochs=epochs, batch_size=BATCH, rng=rng, callback=callback)
    return {name: history[name].reshape(epochs, per_epoch).mean(axis=1) for name in ("g_loss", "d_loss")}, moments


def draw_moments(moments, path):
    """Generated digits over the epochs, as the study's figure 5; the noise stays the same."""
    rows = -(-len(moments) // 4)
    figure = Figure(figsize=(10, 2.7 * rows), layout="constrained")
    axes = figure.subplots(rows, 4, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, (epoch, digits) in zip(axes, moments, strict=False):
        draw_digits(ax, digits)
        ax.set_title(f"epoch {epoch}")
    save(figure, path)


def draw_losses(losses, path):
    """The study's figure 6: both losses over the epochs, with what a discriminator that can only guess would give."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, label, color, undecided in (
        ("g_loss", "generator", "tab:blue", np.log(2)),
        ("d_loss", "discriminator: on real + on generated", "tab:orange", 2 * np.log(2)),
    ):
        axes.plot(range(1, len(losses[name]) + 1), losses[name], ".-", color=color, label=label)
        axes.axhline(undecided, color=color, linestyle=":", linewidth=1, label=f"undecided: {undecided:.2f}")
    axes.set(xlabel="epoch", ylabel="mean loss in the epoch")
    axes.set_ylim(bottom=0)
    axes.legend()
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description="The 50-epoch study, exploratory part included.")
    parser.add_argument("--epochs", type=int, default=50, metavar="N", help="passes over the digits (default 50)")
    parser.add_argument("--data", metavar="DIR|full", help="MNIST files as for numgan train (default: embedded digits)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, order and noise (default 0)")
    parser.add_argument("--out", type=Path, default="demos-output/fifty_epochs", metavar="DIR", help="for the pictures")
    arguments = parser.parse_args()
    if arguments.epochs < 1 or arguments.seed < 0:
        parser.error(f"expected --epochs from 1 and --seed from 0, got {arguments.epochs} and {arguments.seed}")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        digits = load_mnist(arguments.data)
    except (DataError, OSError) as error:
        parser.error(str(error))
    rng = np.random.default_rng(arguments.seed)
    pictures = [arguments.out / name for name in ("data.png", "evolution.png", "losses.png")]

    explore(digits, rng, pictures[0])
    x = preprocess(digits.images)
    gan = build(rng)
    losses, moments = train(gan, x, arguments.epochs, rng)
    draw_moments(moments, pictures[1])
    draw_losses(losses, pictures[2])
    g, d = (losses[name][-1] for name in ("g_loss", "d_loss"))
    print(f"\nmean of the last epoch: generator {g:.2f} (the study: about 0.7), discriminator {d:.2f} (about 0.6)")
    print(f"undecided would be {np.log(2):.2f} and {2 * np.log(2):.2f}; the second as a mean: {d / 2:.2f}")
    print(", ".join(map(str, pictures)))


if __name__ == "__main__":
    main()
