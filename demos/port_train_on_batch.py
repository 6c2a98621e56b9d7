"""A port, line by line: the Keras layout of two train_on_batch calls a step, half a batch each, and a stacked model in
which the discriminator is not trainable. Keras's lines are comments, numgan's stand below them.

Below it the same training with both calls as one, held against it, and with the whole loop as one.

Run:  python demos/port_train_on_batch.py [--steps N]     (a few seconds)
"""

import argparse
import sys

import numpy as np

from numgan import GAN, Adam, BatchNorm, Dense, LeakyReLU, Sequential, Sigmoid, Tanh
from numgan.data import load_mnist

parser = argparse.ArgumentParser(description="Two train_on_batch calls a step, ported line by line.")
parser.add_argument("--steps", type=int, default=300, metavar="N", help="training steps (default 300)")
arguments = parser.parse_args()
if arguments.steps < 1:
    parser.error(f"expected --steps from 1, got {arguments.steps}")
batch_size, half_batch, latent_dim = 64, 32, 100

# (X_train, _), (_, _) = mnist.load_data()
X_train = load_mnist().images.reshape(-1, 784)  # 5,000 digits that ship with numgan
# X_train = X_train / 127.5 - 1.0
X_train = (X_train / 127.5 - 1.0).astype(np.float32)


def build_generator(rng):
    # model = Sequential()
    # model.add(Dense(128, input_dim=latent_dim))
    # model.add(LeakyReLU(alpha=0.2))
    # model.add(BatchNormalization(momentum=0.8))
    # model.add(Dense(784, activation="tanh"))
    # return model
    layers = [Dense(128), LeakyReLU(slope=0.2), BatchNorm(momentum=0.8), Dense(784), Tanh()]
    return Sequential(layers, latent_dim, rng, name="generator")


def build_discriminator(rng):
    # model = Sequential()
    # model.add(Dense(128, input_dim=784))
    # model.add(LeakyReLU(alpha=0.2))
    # model.add(Dense(1, activation="sigmoid"))
    # return model
    return Sequential([Dense(128), LeakyReLU(slope=0.2), Dense(1), Sigmoid()], 784, rng, name="discriminator")


def as_in_keras():
    """The script as it is, every line in its place."""
    rng = np.random.default_rng(0)  # numgan draws weights from a generator, and this script its noise

    # generator = build_generator()
    generator = build_generator(rng)
    # discriminator = build_discriminator()
    discriminator = build_discriminator(rng)
    # discriminator.compile(loss="binary_crossentropy", optimizer=Adam(0.0002, 0.5), metrics=["accuracy"])
    discriminator.compile(Adam(0.0002, 0.5))  # binary cross-entropy is the default, and accuracy comes with it

    # discriminator.trainable = False
    # z = Input(shape=(latent_dim,))
    # combined = Model(z, discriminator(generator(z)))
    # combined.compile(loss="binary_crossentropy", optimizer=Adam(0.0002, 0.5))
    combined = GAN(
        generator, discriminator, Adam(0.0002, 0.5)
    )  # its generator's step leaves the discriminator as it is

    # real, fake = np.ones((half_batch, 1)), np.zeros((half_batch, 1))
    real, fake = np.ones((half_batch, 1)), np.zeros((half_batch, 1))
    # for step in range(steps):
    for step in range(arguments.steps):
        # images = X_train[np.random.randint(0, len(X_train), half_batch)]
        images = X_train[rng.integers(0, len(X_train), half_batch)]
        # noise = np.random.normal(0, 1, (half_batch, latent_dim))
        noise = rng.normal(0, 1, (half_batch, latent_dim))
        # generated = generator.predict(noise)
        generated = generator.predict(noise)
        # d_loss_real = discriminator.train_on_batch(images, real)
        d_loss_real = discriminator.train_on_batch(images, real)
        # d_loss_fake = discriminator.train_on_batch(generated, fake)
        d_loss_fake = discriminator.train_on_batch(generated, fake)
        # d_loss = 0.5 * np.add(d_loss_real, d_loss_fake)
        d_loss = 0.5 * np.add(d_loss_real, d_loss_fake)
        # noise = np.random.normal(0, 1, (batch_size, latent_dim))
        noise = rng.normal(0, 1, (batch_size, latent_dim))
        # g_loss = combined.train_on_batch(noise, np.ones((batch_size, 1)))
        g_loss = combined.train_generator(noise)  # the labels 1 are built in
        # if step % 100 == 0:
        if step % 100 == 0:
            # print("%d [D loss: %f, acc: %.2f%%] [G loss: %f]" % (step, d_loss[0], 100 * d_loss[1], g_loss))
            print(f"{step} [D loss: {d_loss[0]:f}, acc: {100 * d_loss[1]:.2f}%] [G loss: {g_loss.loss:f}]")
    return generator, discriminator


def as_a_gan():
    """The same with both calls as one: schedule="separate" is an update on real rows, then one on generated ones."""
    rng = np.random.default_rng(0)
    generator, discriminator = build_generator(rng), build_discriminator(rng)
    gan = GAN(generator, discriminator, Adam(0.0002, 0.5), Adam(0.0002, 0.5), schedule="separate")
    for _ in range(arguments.steps):
        images = X_train[rng.integers(0, len(X_train), half_batch)]
        gan.train_discriminator(images, rng.normal(0, 1, (half_batch, latent_dim)))
        gan.train_generator(rng.normal(0, 1, (batch_size, latent_dim)))
    return generator, discriminator


pairs = list(zip(as_in_keras(), as_a_gan(), strict=True))
worst = max(np.abs(a.values - b.values).max() / np.abs(b.values).max() for a, b in pairs)
print(f"\nline by line and with one call for both: weights differ by at most {worst:.1e} of the largest")

# All of the loop is fit: it draws rows and noise, in half batches, and keeps the losses of every step.
rng = np.random.default_rng(0)
gan = GAN(build_generator(rng), build_discriminator(rng), Adam(0.0002, 0.5), Adam(0.0002, 0.5), schedule="separate")
history = gan.fit(X_train, arguments.steps, batch_size, rng)
print(f"gan.fit: D loss {history['d_loss'][-100:].mean():.3f}, G loss {history['g_loss'][-100:].mean():.3f} at the end")
sys.exit(int(worst > 1e-5))
