"""One checkout's end of `versus`: "RECIPE N" a line in, the seconds of N training steps a line out."""

import sys
import time

import numpy as np

try:
    from numgan.study import recipes
except ImportError:  # a checkout from before the wings
    from numgan import recipes


class Loop:
    """A recipe's `fit` on its own data, with the looks at the losses that belong to it."""

    def __init__(self, name):
        self.recipe, self.rng = recipes.get(name), np.random.default_rng(0)
        self.gan = self.recipe.build(self.recipe.settings, self.rng, "float32")
        self.data = self.recipe.load(None, self.recipe.settings)[0]

    def seconds(self, n):
        start = time.perf_counter()
        self.gan.fit(self.data, n, self.recipe.settings.batch_size, self.rng, every=self.recipe.look_every)
        return time.perf_counter() - start


def main():
    loops = {}
    for line in sys.stdin:
        name, n = line.split()
        if name not in loops:
            loops[name] = Loop(name)
        print(loops[name].seconds(int(n)), flush=True)


if __name__ == "__main__":
    main()
