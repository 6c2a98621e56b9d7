"""The sine article from its first plot to its last, in its order and under its names, in numgan.

A discriminator learns alone to tell (t, sin t) from (t, 2t); then a generator and a new discriminator are trained
against each other, and looked at every 10,000 steps. A comment stands where a line has to differ.

Run:  python demos/sine_article.py [--steps N] [--output linear|sigmoid] [--seed N] [--out DIR]
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from numgan import GAN, Adam, Dense, ReLU, Sequential, Sigmoid
from numgan.data import SinePoints
from numgan.study.metrics import sine_quality
from numgan.study.plots import GENERATED, SINE_FRAME, decision_surface, draw_game, evolution, save

matplotlib.use("Agg")  # the figures go to files
import matplotlib.pyplot as plt

parser = argparse.ArgumentParser(description="The sine article from its first plot to its last, in numgan.")
parser.add_argument("--steps", type=int, default=100_000, metavar="N", help="of the GAN's training (default 100,000)")
parser.add_argument("--output", choices=["linear", "sigmoid"], default="linear", help="generator's (default linear)")
parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, points and noise (default 0)")
parser.add_argument("--out", type=Path, default="demos-output/sine_article", metavar="DIR", help="for the pictures")
arguments = parser.parse_args()
if arguments.steps < 1 or arguments.seed < 0:
    parser.error(f"expected --steps from 1 and --seed from 0, got {arguments.steps} and {arguments.seed}")
try:
    arguments.out.mkdir(parents=True, exist_ok=True)
except OSError as error:
    parser.error(str(error))

rng = np.random.default_rng(arguments.seed)


def show(name):
    """plt.show(), as a file."""
    save(plt.gcf(), arguments.out / name)
    plt.close()
    print(f"{arguments.out / name}\n")


# Function selection


def getSine(x):
    return np.sin(x)


time = np.arange(0, 10, 0.1)
amplitude = getSine(time)
plt.plot(time, amplitude)
plt.title("y = sin x")
show("sine.png")

# Discriminator model. Of either network the article's text has He initialisation in the hidden layer, and of the
# generator a linear output; its code has Keras's default initialisation, which is Glorot's, and a sigmoid. This script
# follows the text. With --output sigmoid, as in the code, no generated point can leave the unit square.


def build_discriminator(n_inputs):
    layers = [Dense(25, "he_uniform"), ReLU(), Dense(1), Sigmoid()]
    model = Sequential(layers, n_inputs, rng, name="discriminator")
    model.compile(Adam())  # the loss is binary cross-entropy by default, and accuracy comes with it
    return model


def gen_real_samples(n):
    time = rng.standard_normal((n, 1))
    return np.hstack((time, getSine(time))), np.ones((n, 1))


def gen_fake_samples(n):
    time = rng.standard_normal((n, 1))
    return np.hstack((time, time * 2)), np.zeros((n, 1))


def accuracy(model, X, y):
    """What model.evaluate gives besides the loss."""
    return np.mean((model.predict(X) > 0.5) == y)


def train_discriminator(model, n_epochs, n_batches=128):
    half_batches = n_batches // 2
    for _ in range(n_epochs):
        model.train_on_batch(*gen_real_samples(half_batches))
        model.train_on_batch(*gen_fake_samples(half_batches))


model = build_discriminator(2)
print(model.summary())
train_discriminator(model, 300)
acc_real, acc_fake = (accuracy(model, *samples(1000)) for samples in (gen_real_samples, gen_fake_samples))
print("after 300 epochs, on 1,000 fresh points of either kind:")
print(f"accuracy on real {acc_real:.1%} (the article: 100 %), on fake {acc_fake:.1%} (the article: about 85 %)\n")

# Generator model


def build_generator(latent_dim, n=2):
    output = [Sigmoid()] if arguments.output == "sigmoid" else []
    return Sequential([Dense(25, "he_uniform"), ReLU(), Dense(n), *output], latent_dim, rng, name="generator")


def generate_latent_space(latent_dim, n):
    return rng.standard_normal((n, latent_dim))


def generate_fake_samples(model, latent_dim, n):
    return model.predict(generate_latent_space(latent_dim, n)), np.zeros((n, 1))


latent_dim = 5
model = build_generator(latent_dim)
print(model.summary())
X, y = generate_fake_samples(model, latent_dim, 100)
plt.scatter(X[:, 0], X[:, 1], color=GENERATED)
plt.title("100 points of the untrained generator")
show("untrained.png")

# Generator model training


def build_gan(generator, discriminator):
    # "separate" is the article's loop: an update of the discriminator on half a batch of real points, one on half a
    # batch of generated ones, then the generator's. GAN freezes the discriminator there, and brings its own Adams.
    return GAN(generator, discriminator, Adam(), Adam(), schedule="separate")


def summarize_perf(generator, discriminator, latent_dim, n, epoch):
    X_real, y_real = gen_real_samples(n)
    X_fake, y_fake = generate_fake_samples(generator, latent_dim, n)
    acc_real, acc_fake = accuracy(discriminator, X_real, y_real), accuracy(discriminator, X_fake, y_fake)
    print(f"{epoch:>7,}{acc_real:>18.0%}{acc_fake:>18.0%}", flush=True)
    moments.append((epoch, (X_real, X_fake, decision_surface(gan_model, SINE_FRAME))))


def train_gan(gan_model, latent_dim, n_epochs=100_000, n_batch_size=128):
    def callback(step, history):
        summarize_perf(gan_model.generator, gan_model.discriminator, latent_dim, 100, step)

    # SinePoints is gen_real_samples as a data source
    gan_model.fit(SinePoints(), n_epochs, n_batch_size, rng, every=10_000, callback=callback)


moments = []
discriminator = build_discriminator(2)
generator = build_generator(latent_dim)
gan_model = build_gan(generator, discriminator)
print("   step  accuracy on real  accuracy on fake")
train_gan(gan_model, latent_dim, arguments.steps)
evolution(moments, draw_game, arguments.out / "game.png")
print(f"{arguments.out / 'game.png'}: real points blue, generated ones red, on the discriminator's map of the plane\n")

X, y = generate_fake_samples(generator, latent_dim, 5000)
error, spread = (sine_quality(X)[name] for name in ("curve_error", "x_std"))
print(f"5,000 generated points: mean |y - sin x| {error:.3f}, standard deviation of x {spread:.2f} (real points: 1),")
print(f"x from {X[:, 0].min():.2f} to {X[:, 0].max():.2f} (the article: plausible in the domain [0, 1])")
