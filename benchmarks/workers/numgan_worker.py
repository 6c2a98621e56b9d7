"""numgan: `GAN.fit` on the recipe's networks, with the looks at the losses that `numgan train` takes."""

import dataclasses

import numpy as np

import numgan
from benchmarks.workers.serve import serve
from numgan.nn.dropout import Dropout
from numgan.study import recipes


class Trainer:
    def __init__(self, job):
        self.versions = {"numgan": numgan.__version__, "numpy": np.__version__}
        recipe = recipes.get(job.recipe)
        self.rng, self.batch_size, self.every = np.random.default_rng(0), job.batch_size, recipe.look_every
        named = {field.name: getattr(job, field.name) for field in dataclasses.fields(recipe.settings)}
        settings = dataclasses.replace(  # a list is what JSON has made of a tuple
            recipe.settings, **{name: tuple(v) if isinstance(v, list) else v for name, v in named.items()}
        )
        self.gan = recipe.build(settings, self.rng, "float32")
        self.data = recipe.load(None, settings)[0]
        for network, arrays in zip((self.gan.generator, self.gan.discriminator), job.weights, strict=True):
            network.load_state_dict(network.state_dict() | turned(dict(zip(entries(network), arrays, strict=True))))

    def train(self, real, noise_d, noise_g):
        self.gan.train_discriminator(real, noise_d)
        self.gan.train_generator(noise_g)

    def run(self, n):
        steps = -(-n // self.every) * self.every  # a look at the losses belongs to so many steps, no fewer
        self.gan.fit(self.data, steps, self.batch_size, self.rng, self.every)
        return steps

    def weights(self):
        networks = self.gan.generator, self.gan.discriminator
        return [array for network in networks for array in entries(network).values()]


def entries(network):
    """Every parameter and running statistic by name, layer by layer, in the orientation of the job.

    Not dropout's key: it names a stream of random numbers that no other framework has.
    """
    state = turned(network.state_dict())
    return {
        name: state[name]
        for layer in network.layers
        for name in state
        if name.startswith(f"{layer.name}.") and not isinstance(layer, Dropout)
    }


def turned(named):
    """Dense weights from numgan's (n_out, n_in) to the job's (n_in, n_out), or back."""
    return {name: array.T if name.endswith(".weight") and array.ndim == 2 else array for name, array in named.items()}


if __name__ == "__main__":
    serve(Trainer)
