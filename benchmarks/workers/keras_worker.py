"""Keras's `train_on_batch`, as the Keras listing does it, on the TensorFlow or the JAX backend.

Two changes to the listing. `predict_on_batch` makes the fakes, the fastest of the ways to (`predict` starts a data
pipeline at every call). And the discriminator is thawed for its own step and frozen for the generator's: Keras 3
reads `trainable` when a model trains, not when it is compiled, so that a discriminator frozen once never learns.
The listing's accuracy is left out: nobody else here computes one.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = sys.argv[1].removeprefix("keras-")

import keras
import numpy as np
from keras import layers

from benchmarks.workers.serve import serve


def networks(job):
    """The recipe's (generator, discriminator)."""
    if job.recipe == "sine":
        g = [keras.Input((job.latent_dim,)), layers.Dense(job.hidden, "relu"), layers.Dense(2)]
        d = [keras.Input((2,)), layers.Dense(job.hidden, "relu"), layers.Dense(1, "sigmoid")]
        return keras.Sequential(g), keras.Sequential(d)

    def hidden(batch_norm):
        for n_out in job.hidden:
            yield layers.Dense(n_out)
            yield layers.LeakyReLU(negative_slope=job.slope)
            if batch_norm:
                yield layers.BatchNormalization(momentum=job.momentum)

    g = [keras.Input((job.latent_dim,)), *hidden(True), layers.Dense(784, "tanh")]
    d = [keras.Input((784,)), *hidden(False), layers.Dense(1, "sigmoid")]
    return keras.Sequential(g), keras.Sequential(d)


class Trainer:
    def __init__(self, job):
        if keras.backend.backend() == "tensorflow":
            import tensorflow as backend

            backend.config.threading.set_intra_op_parallelism_threads(job.threads)
            backend.config.threading.set_inter_op_parallelism_threads(job.threads)
        else:
            import jax as backend
        self.versions = {"keras": keras.__version__, backend.__name__: backend.__version__}

        def adam():
            return keras.optimizers.Adam(job.learning_rate, job.beta1, job.beta2, job.epsilon)

        self.job, self.rng = job, np.random.default_rng(0)
        self.g, self.d = networks(job)
        for network, arrays in zip((self.g, self.d), job.weights, strict=True):
            network.set_weights(arrays)
        self.d.compile(optimizer=adam(), loss="binary_crossentropy")
        self.d.trainable = False
        self.chain = keras.Sequential([self.g, self.d])
        self.chain.compile(optimizer=adam(), loss="binary_crossentropy")
        self.one, self.zero = np.ones((job.rows, 1), np.float32), np.zeros((job.rows, 1), np.float32)
        self.both = np.concatenate([self.one, self.zero])
        self.passed = np.ones((job.batch_size, 1), np.float32)

    def train(self, real, noise_d, noise_g):
        self.d.trainable = True
        if self.job.concatenated:
            fake = self.g.predict_on_batch(noise_d)
            self.d.train_on_batch(np.concatenate([real, fake]), self.both)
        else:
            self.d.train_on_batch(real, self.one)
            self.d.train_on_batch(self.g.predict_on_batch(noise_d), self.zero)
        self.d.trainable = False
        self.chain.train_on_batch(noise_g, self.passed)

    def run(self, n):
        for _ in range(n):
            self.train(self.real(), self.noise(self.job.rows), self.noise(self.job.batch_size))
        return n

    def real(self):
        images = self.job.images
        if images is not None:
            return images[self.rng.integers(0, len(images), self.job.rows)]
        t = self.rng.standard_normal((self.job.rows, 1), dtype=np.float32)
        return np.concatenate([t, np.sin(t)], axis=1)

    def noise(self, rows):
        return self.rng.standard_normal((rows, self.job.latent_dim), dtype=np.float32)

    def weights(self):
        return [*self.g.get_weights(), *self.d.get_weights()]


if __name__ == "__main__":
    serve(Trainer)
