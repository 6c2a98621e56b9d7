"""Keras's `train_on_batch`, as the Keras listing does it, on the TensorFlow or the JAX backend.

Two changes to the listing. `predict_on_batch` makes the fakes, the fastest of the ways to (`predict` starts a data
pipeline at every call). And the discriminator is thawed for its own step and frozen for the generator's: Keras 3
reads `trainable` when a model trains, not when it is compiled, so that a discriminator frozen once never learns.
The listing's accuracy is left out: nobody else here computes one. Images are kept with channels last, as Keras has them
unless told otherwise and TensorFlow's convolutions on a CPU need them.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = sys.argv[1].removeprefix("keras-")

import keras
import numpy as np
from keras import layers

from benchmarks.workers.channels_last import images, last, turned
from benchmarks.workers.serve import serve


def network(own, shapes):
    """The layers of a job as a model."""
    return keras.Sequential([keras.Input(last(shapes[0])), *(layer(kind, s) for kind, s in own)])


def layer(kind, s):
    """A layer of settings `s`."""
    window = [s[name] for name in ("filters", "kernel_size", "strides", "padding")] if kind.startswith("Conv") else []
    return {
        "Dense": lambda: layers.Dense(s["units"]),
        "Conv2D": lambda: layers.Conv2D(*window),
        "Conv2DTranspose": lambda: layers.Conv2DTranspose(*window),
        "BatchNorm": lambda: layers.BatchNormalization(momentum=s["momentum"], epsilon=s["epsilon"]),
        "ReLU": layers.ReLU,
        "LeakyReLU": lambda: layers.LeakyReLU(negative_slope=s["slope"]),
        "Tanh": lambda: layers.Activation("tanh"),
        "Sigmoid": lambda: layers.Activation("sigmoid"),
        "Dropout": lambda: layers.Dropout(s["rate"]),
        "Reshape": lambda: layers.Reshape(last(s["shape"])),
        "Flatten": layers.Flatten,
    }[kind]()


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

        self.job, self.rng, self.described = (
            job,
            np.random.default_rng(0),
            list(zip(job.layers, job.shapes, strict=True)),
        )
        self.images = None if job.images is None else images(job.images)
        self.g, self.d = (network(*own) for own in self.described)
        for model, arrays, own in zip((self.g, self.d), job.weights, self.described, strict=True):
            model.set_weights(turned(arrays, *own))
        self.d.compile(optimizer=adam(), loss="binary_crossentropy")
        self.d.trainable = False
        self.chain = keras.Sequential([self.g, self.d])
        self.chain.compile(optimizer=adam(), loss="binary_crossentropy")
        self.one, self.zero = np.ones((job.rows, 1), np.float32), np.zeros((job.rows, 1), np.float32)
        self.both = np.concatenate([self.one, self.zero])
        self.passed = np.ones((job.batch_size, 1), np.float32)

    def train(self, real, noise_d, noise_g):
        self.step(images(real), noise_d, noise_g)

    def step(self, real, noise_d, noise_g):
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
            self.step(self.real(), self.noise(self.job.rows), self.noise(self.job.batch_size))
        return n

    def real(self):
        if self.images is not None:
            return self.images[self.rng.integers(0, len(self.images), self.job.rows)]
        t = self.rng.standard_normal((self.job.rows, 1), dtype=np.float32)
        return np.concatenate([t, np.sin(t)], axis=1)

    def noise(self, rows):
        return self.rng.standard_normal((rows, self.job.latent_dim), dtype=np.float32)

    def weights(self):
        models = zip((self.g, self.d), self.described, strict=True)
        return [array for model, own in models for array in turned(model.get_weights(), *own, back=True)]


if __name__ == "__main__":
    serve(Trainer)
