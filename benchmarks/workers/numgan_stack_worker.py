"""numgan: `GAN.fit` on a stack with a generator for each replica, setting up and looks at the losses included."""

import numpy as np

import numgan
from benchmarks.workers.numgan_worker import entries, train
from benchmarks.workers.serve import serve
from numgan import GAN
from numgan.study import recipes


class Trainer:
    def __init__(self, job):
        self.versions = {"numgan": numgan.__version__, "numpy": np.__version__}
        recipe = recipes.get(job.base)
        self.data, settings = recipe.load(None, recipe.settings)[0], recipe.settings
        self.gan = GAN.stack([recipe.build(settings, np.random.default_rng(r), "float32") for r in range(job.replicas)])
        self.rngs = [np.random.default_rng(r) for r in range(job.replicas)]
        self.batch_size, self.every = settings.batch_size, recipe.look_every
        self.processes = 1 if job.peer == "numgan-alone" else job.threads
        for network, arrays in zip((self.gan.generator, self.gan.discriminator), job.weights, strict=True):
            network.load_state_dict(dict(zip(entries(network), arrays, strict=True)))

    def train(self, *batch):
        train(self.gan, *batch)

    def run(self, n):
        steps = -(-n // self.every) * self.every
        self.gan.fit(self.data, steps, self.batch_size, self.rngs, self.every, processes=self.processes)
        return steps

    def weights(self):
        return [a for network in (self.gan.generator, self.gan.discriminator) for a in entries(network).values()]


if __name__ == "__main__":
    serve(Trainer)
