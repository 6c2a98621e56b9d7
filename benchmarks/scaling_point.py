"""One point of `scaling`, as a process: RECIPE BATCH WIDTH in, a JSON line with the times and the memory out."""

import json
import sys

import numpy as np

from benchmarks import machine
from benchmarks.loop import Loop, run_all
from benchmarks.timing import interleave, repeat
from numgan.data.images import ByteRows
from numgan.study import recipes

ROUNDS = 5
FULL_SET = 60_000  # digits in memory, as many as the full training set has


def main(name, batch, width):
    recipe = recipes.get(name)
    widths = "filters" if hasattr(recipe.settings, "filters") else "hidden"
    own = getattr(recipe.settings, widths)
    wider = own * width if isinstance(own, int) else tuple(n * width for n in own)
    data = recipe.load(None, recipe.settings)[0]
    if isinstance(data, ByteRows):
        data = type(data)(np.resize(data.images, (FULL_SET, *data.shape)))
    loop = Loop(name, data, batch_size=batch, **{widths: wider})
    tasks = {"step": repeat(loop.step), "products": repeat(run_all(loop.products()))}
    seconds = interleave(tasks, ROUNDS)
    print(json.dumps({k: v.tolist() for k, v in seconds.items()} | {"memory": machine.peak_memory()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
