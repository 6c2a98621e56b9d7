"""numgan: `GAN.fit` on the recipe's networks, with the looks at the losses that `numgan train` takes.

A training goes on until one of another recipe is asked for, and waits at a look until more steps are: what it takes to
begin one is no part of a step's time. It has the main thread, since only there several processes can share in it;
commands are read in another.
"""

import dataclasses
import queue
import threading

import numpy as np

import numgan
from benchmarks.workers.serve import serve
from numgan.nn.dropout import Dropout
from numgan.nn.joining import Join, Skip
from numgan.study import recipes

ENDLESS = 10**9  # steps
ORDERS = queue.Queue()  # (whose, so many steps); (None, 0) is the last


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
        self._left, self._done = 0, queue.Queue()
        for network, arrays in zip((self.gan.generator, self.gan.discriminator), job.weights, strict=True):
            network.load_state_dict(network.state_dict() | turned(dict(zip(entries(network), arrays, strict=True))))

    def train(self, *batch):
        train(self.gan, *batch)

    def run(self, n):
        steps = -(-n // self.every) * self.every  # a look at the losses belongs to so many steps, no fewer
        ORDERS.put((self, steps))
        if error := self._done.get():
            raise error
        return steps

    def go_on(self, steps):
        """So many steps, and more as they are asked for."""
        self._left = steps
        try:
            self.gan.fit(self.data, ENDLESS, self.batch_size, self.rng, self.every, self._look)
        except Exception as error:
            self._done.put(error)

    def _look(self, done, history):
        """Wait, where all the steps that were asked for are done, for more; True where another training is to begin."""
        self._left -= self.every if done else 0
        if self._left > 0:
            return False
        self._done.put(None)
        trainer, self._left = order = ORDERS.get()
        if trainer is self:
            return False
        ORDERS.put(order)
        return True

    def weights(self):
        networks = self.gan.generator, self.gan.discriminator
        return [array for network in networks for array in entries(network).values()]


def train(gan, real, noise_d, noise_g, condition_d=None, condition_g=None, real_g=None):
    """A step on a batch of a job."""
    under_d, under_g = (dict.fromkeys(gan.conditions, c) for c in (condition_d, condition_g))
    gan.train_discriminator(real, noise_d, **under_d)
    gan.train_generator(noise_g, *[real_g] * gan.compares, **under_g)


def entries(network):
    """Every parameter and running statistic by name, layer by layer, in the orientation of the job.

    Not dropout's key: it names a stream of random numbers that no other framework has.
    """
    state = turned(network.state_dict())
    return {
        name: state[name]
        for layer in leaves(network.layers)
        for name in state
        if name.startswith(f"{layer.name}.") and not isinstance(layer, Dropout)
    }


def leaves(layers):
    """The layers in order, with those inside a `Skip` or `Join` in its place."""
    for layer in layers:
        yield from leaves(layer.inner) if isinstance(layer, Join | Skip) else [layer]


def described(layers):
    """[(kind, settings)] of layers; a `Skip` or `Join` has its own likewise, and "shapes" around and between them."""
    found = []
    for layer in layers:
        settings = layer.config()
        if isinstance(layer, Join | Skip):
            settings |= {"layers": described(layer.inner), "shapes": layer.inner_shapes}
        found.append((type(layer).__name__, settings))
    return found


def turned(named):
    """Dense weights from numgan's (n_out, n_in) to the job's (n_in, n_out), or back."""
    return {name: array.T if name.endswith(".weight") and array.ndim == 2 else array for name, array in named.items()}


def read_commands():
    """Serve, and then have the main thread end."""
    try:
        serve(Trainer)
    finally:
        ORDERS.put((None, 0))


if __name__ == "__main__":
    threading.Thread(target=read_commands, daemon=True).start()
    while (order := ORDERS.get())[0]:
        order[0].go_on(order[1])
