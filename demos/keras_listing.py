"""The Keras listing, line by line in numgan: same order, same names. A comment stands where a line has to differ.

Run:  python demos/keras_listing.py [--steps N] [--data DIR|full] [--out DIR]
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from tqdm import trange

from numgan import GAN, Adam, BatchNorm, Dense, LeakyReLU, Sequential, Sigmoid, Tanh, normal
from numgan.data import DataError, load_mnist
from numgan.study.plots import save

matplotlib.use("Agg")  # the figures go to files
import matplotlib.pyplot as plt

parser = argparse.ArgumentParser(description="The Keras listing, line by line in numgan.")
parser.add_argument("--steps", type=int, default=2000, metavar="N", help="train_steps (default 2,000)")
parser.add_argument("--data", metavar="DIR|full", help="MNIST files as for numgan train (default: the embedded digits)")
parser.add_argument("--out", type=Path, default="demos-output/keras_listing", metavar="DIR", help="for the pictures")
arguments = parser.parse_args()
if arguments.steps < 1:
    parser.error(f"expected --steps from 1, got {arguments.steps}")
try:
    arguments.out.mkdir(parents=True, exist_ok=True)
    mnist = load_mnist(arguments.data)
except (DataError, OSError) as error:
    parser.error(str(error))

rng = np.random.default_rng(2017)  # numgan draws from a generator that is handed to it, never from np.random itself

# data: the digits that ship with the package in place of a download; the listing has no use for labels and test images
X_train = mnist.images.reshape(-1, 28, 28)
print("X_train shape:", X_train.shape)
# reshaping the inputs
X_train = X_train.reshape(-1, 28 * 28)
# normalizing the inputs (-1, 1)
X_train = (X_train.astype("float32") / 255 - 0.5) * 2
print("X_train reshape:", X_train.shape)

# latent space dimension
latent_dim = 100
# image dimension 28x28
img_dim = 784
init = normal(stddev=0.02)

# Generator network: layers in one list in place of add(), activations as layers of their own
generator = Sequential(
    [
        # Input layer and hidden layer 1
        Dense(128, initializer=init),
        LeakyReLU(0.2),
        BatchNorm(momentum=0.8),
        # Hidden layer 2
        Dense(256),
        LeakyReLU(0.2),
        BatchNorm(momentum=0.8),
        # Hidden layer 3
        Dense(512),
        LeakyReLU(0.2),
        BatchNorm(momentum=0.8),
        # Output layer
        Dense(img_dim),
        Tanh(),
    ],
    shape=latent_dim,
    rng=rng,
    name="generator",
)
# prints a summary representation of your model
print(generator.summary())

# Adversarial network
adversarial = Sequential(
    [
        # Input layer and hidden layer 1
        Dense(128, initializer=init),
        LeakyReLU(0.2),
        # Hidden layer 2
        Dense(256),
        LeakyReLU(0.2),
        # Hidden layer 3
        Dense(512),
        LeakyReLU(0.2),
        # Output layer
        Dense(1),
        Sigmoid(),
    ],
    shape=img_dim,
    rng=rng,
    name="adversarial",
)


# Optimizer: one for each network, because an Adam holds the moments of the network that it trains
def optimizer():
    return Adam(learning_rate=0.0004, beta1=0.5)


adversarial.compile(optimizer())  # the loss is binary cross-entropy by default, and binary accuracy comes with it
# prints a summary representation of your model
print(adversarial.summary())

# GAN makes the chain in which adversarial is frozen; nothing has to be marked as not trainable. (It also holds an Adam
# for its own train_discriminator, which stays unused: here adversarial is trained by itself, as in the listing.)
gan_model = GAN(generator, adversarial, generator_optimizer=optimizer())
# prints a summary representation of your model
print(
    f"gan_model: generator, then adversarial; {generator.values.size:,} parameters are trained, "
    f"{adversarial.values.size:,} frozen\n"
)


def train(batch_size=256, train_steps=2000):
    adversarial_losses = []
    gan_losses = []
    sample_images = []

    for i in trange(train_steps):
        # Select a random sample from the training data
        images_train = X_train[rng.integers(0, X_train.shape[0], size=batch_size)]
        # Create noise as input for the generator to generate the fake images
        noise = rng.normal(loc=0, scale=1, size=(batch_size, 100))
        images_fake = generator.predict(noise)

        # Create input by concatenating both real and fake images and assigning the respective labels
        input_data = np.concatenate((images_train, images_fake))
        input_labels = np.ones([2 * batch_size, 1])
        input_labels[batch_size:, :] = 0
        adversarial_loss = adversarial.train_on_batch(input_data, input_labels)

        # Train the adversarial model to generate more realistic images: the labels 1 are built into train_generator
        noise = rng.normal(loc=0, scale=1, size=(batch_size, 100))
        gan_loss = gan_model.train_generator(noise)

        adversarial_losses.append(adversarial_loss)
        gan_losses.append(gan_loss)

        if i % 100 == 0:
            noise = rng.normal(loc=0, scale=1, size=(batch_size, 100))
            fake_images = generator.predict(noise)
            sample_images.append(fake_images[0])

    return adversarial_losses, gan_losses, sample_images


adversarial_losses, gan_losses, sample_images = train(train_steps=arguments.steps)

plt.figure(figsize=(20, 4))
rows = max(2, -(-len(sample_images) // 10))  # 2 in the listing; more than 2,000 steps take more
for i, fake_image in enumerate(sample_images, 0):
    plt.subplot(rows, 10, i + 1)
    plt.imshow(np.reshape(fake_image, (28, 28)), cmap="gray")
    plt.title(f"Iteration {i * 100}")
    plt.axis("off")
save(plt.gcf(), arguments.out / "evolution.png")

plt.figure(figsize=(20, 10))
plt.subplot(2, 2, 1)
plt.plot(np.array(adversarial_losses)[:, 0])
plt.title("Adversarial Losses")
plt.subplot(2, 2, 2)
plt.plot(np.array(adversarial_losses)[:, 1])
plt.title("Adversarial Accuracy")
plt.subplot(2, 2, 3)
plt.plot(np.array(gan_losses)[:, 0], color="darkorange")
plt.title("GAN Losses")
plt.subplot(2, 2, 4)
plt.plot(np.array(gan_losses)[:, 1], color="darkorange")
plt.title("GAN Accuracy")
save(plt.gcf(), arguments.out / "history.png")

for name, losses in (("adversarial", adversarial_losses), ("gan", gan_losses)):
    loss, accuracy = np.mean(losses[-100:], axis=0)
    print(f"{name:<12} loss {loss:.3f}, accuracy {accuracy:.0%} over the last {len(losses[-100:])} steps")
print(f"{arguments.out / 'evolution.png'}, {arguments.out / 'history.png'}")
