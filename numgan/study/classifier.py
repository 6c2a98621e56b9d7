"""A small classifier of handwritten digits, trained by numgan itself: the measure that generated digits are held to.

784 → 192 → 64 → 10, with batch norm and ReLU. The 64 activations below the last layer are the "features" in which
`metrics` compares sets of digits: near there means alike to a reader of digits, not alike pixel by pixel.

The weights in numgan/data/classifier.npz were written by `python -m numgan.study.classifier` with its defaults (200
epochs, seed 0) from the 4,000 training digits of the embedded set, each moved by up to 2 pixels anew in every epoch. It
reads 98.2 % of the 1,000 held-out digits right.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.data import load_mnist_split
from numgan.data.idx import SIDE
from numgan.data.mnist import to_unit_range
from numgan.hints import Array, FileName
from numgan.kernels import losses as kernels
from numgan.nn.activations import ReLU
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.dense import Dense
from numgan.nn.losses import SoftmaxCrossEntropy
from numgan.nn.model_file import open_model, write_model
from numgan.nn.network import Sequential, copy_layer
from numgan.nn.optimizers import Adam
from numgan.progress import progress_bar

if TYPE_CHECKING:
    from numgan.data.mnist import Digits

FILE = Path(__file__).parent.parent / "data" / "classifier.npz"
CLASSES = 10
BATCH = 128
SHIFT = 2  # pixels
LEARNING_RATE = 4e-3  # at the start; it falls to 0 along a straight line


def features(images: Array) -> Array:
    """The features (n, 64), float32 and at least 0, of images (n, 784) with pixels from -1 to 1."""
    return _trunk().predict(images)


def probabilities(images: Array) -> Array:
    """The probabilities (n, 10) of the digits 0 to 9 for images (n, 784) with pixels from -1 to 1."""
    z = _shipped().predict(images).T  # samples are columns
    kernels.softmax_forward(z, np.empty_like(z[:1]), out=z)
    return z.T


def load_classifier(path: FileName = FILE) -> Sequential:
    """The trained classifier, a `Sequential` (n, 784) -> logits (n, 10); by default the one in the package."""
    network = _build(np.random.default_rng(0))
    with open_model(path) as model:
        network.load_state_dict(model.read_arrays({name: a.shape for name, a in network.state_dict().items()}))
    return network


_shipped = functools.cache(load_classifier)


@functools.cache
def _trunk():
    """The classifier without its last layer."""
    whole = _shipped()
    layers = [copy_layer(layer) for layer in whole.layers[:-1]]
    trunk = Sequential(layers, whole.shapes[0], np.random.default_rng(0), name="features")
    arrays = whole.state_dict()
    trunk.load_state_dict({name: arrays[name] for name in trunk.state_dict()})
    return trunk


def _build(rng):
    hidden = [layer for width in (192, 64) for layer in (Dense(width, "he_uniform"), BatchNorm(0.9), ReLU())]
    return Sequential([*hidden, Dense(CLASSES)], SIDE * SIDE, rng, name="classifier")


# ------------------------------------------------------------------------------------------------------- training


def train(
    digits: Digits, epochs: int, seed: int, after_epoch: Callable[[Sequential], Any] = lambda network: None
) -> Sequential:
    """A classifier trained on labelled Digits; the same seed gives the same weights on the same machine.

    after_epoch is called with the network after every epoch.
    """
    rng = np.random.default_rng(seed)
    network, optimizer, one_hot = _build(rng), Adam(LEARNING_RATE), np.eye(CLASSES, dtype=np.float32)
    network.compile(optimizer, SoftmaxCrossEntropy())
    for epoch in range(epochs):
        optimizer.learning_rate = LEARNING_RATE * (1 - epoch / epochs)
        order = rng.permutation(len(digits))[: len(digits) // BATCH * BATCH]
        for index in order.reshape(-1, BATCH):
            network.train_on_batch(to_unit_range(_moved(digits.images[index], rng)), one_hot[digits.labels[index]])
        after_epoch(network)
    return network


def _moved(images, rng):
    """uint8 images (n, 784), each moved by up to SHIFT pixels down or up and right or left; background moves in."""
    squares = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    windows = np.lib.stride_tricks.sliding_window_view(squares, (SIDE, SIDE), axis=(1, 2))
    top, left = rng.integers(0, 2 * SHIFT + 1, (2, len(images)))
    return windows[np.arange(len(images)), top, left].reshape(images.shape)


def _accuracy(network, digits):
    """The share of labelled Digits that the network reads right."""
    return float((network.predict(to_unit_range(digits.images)).argmax(axis=1) == digits.labels).mean())


def main(argv: Sequence[str] | None = None) -> None:
    """Train on the embedded digits, write the weights as float16, and print the accuracy of what was written."""
    parser = argparse.ArgumentParser(prog="python -m numgan.study.classifier", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=FILE, metavar="FILE", help="default: the package's own weights")
    parser.add_argument("--epochs", type=int, default=200, metavar="N", help="default 200")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    arguments = parser.parse_args(argv)
    if arguments.epochs < 1 or arguments.seed < 0 or not arguments.out.parent.is_dir():
        parser.error("expected --epochs from 1 up, --seed from 0 up, and --out in a directory that exists")
    training, held_out = load_mnist_split()
    with progress_bar(arguments.epochs, "epoch") as bar:

        def show(network):
            bar.set_postfix_str(f"held-out accuracy {_accuracy(network, held_out):.1%}", refresh=False)
            bar.update()

        network = train(training, arguments.epochs, arguments.seed, show)
    write_model(arguments.out, {}, {name: a.astype(np.float16) for name, a in network.state_dict().items()})
    accuracy = _accuracy(load_classifier(arguments.out), held_out)
    print(f"{arguments.out}: {accuracy:.1%} of {len(held_out):,} held-out digits are read right")


if __name__ == "__main__":
    main()
