"""Raw IDX bytes and images, for the tests of digits; memory at its peak; and what belongs to tests of several wings.

To be merged into `tests.helpers`.
"""

import gzip
import struct
import tracemalloc

import numpy as np

from numgan import BatchNorm, Dense, LeakyReLU, Sequential, Sigmoid, Tanh
from tests.helpers import rng

MEGABYTE = 1 << 20


def idx_images(images, *, count=None, magic=0x803, side=(28, 28)):
    return struct.pack(">4I", magic, len(images) if count is None else count, *side) + images.tobytes()


def idx_labels(labels, *, count=None, magic=0x801):
    return struct.pack(">2I", magic, len(labels) if count is None else count) + labels.tobytes()


def some_images(n=7):
    return np.random.default_rng(n).integers(0, 256, (n, 784), dtype=np.uint8)


def some_labels(n=7):
    return (np.arange(n) % 10).astype(np.uint8)


def write(directory, images=None, labels=None, gz=False):
    """Write raw IDX bytes under the usual names."""
    for name, data in [("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)]:
        if data is not None:
            ending = ".gz" if gz else ""
            (directory / (name + ending)).write_bytes(gzip.compress(data, 1) if gz else data)
    return directory


def peak_memory(function):
    """Bytes that `function` has in use at its peak, beyond what was in use before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def flip(data, position):
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def small_layers():
    return [Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(5), Tanh(), Dense(1), Sigmoid()]


def make_network(dtype="float32", replicas=None, seed=0, name="net"):
    """A network of small_layers on four features, its statistics away from their starting values."""
    network = Sequential(small_layers(), 4, rng(seed), dtype, replicas, name)
    network.state += rng(seed + 1).uniform(0.1, 0.5, network.state.shape)
    return network


def normal_rows(rows=7, n=4, seed=3):
    return rng(seed).normal(0, 1, (rows, n))
