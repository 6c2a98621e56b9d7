"""Weights to and from PyTorch, as arrays in the layout of its `state_dict`. PyTorch itself is not needed.

The same network in PyTorch is an `nn.Sequential` with one module for each numgan layer, in the same order:

    Dense(n)                  nn.Linear(n_in, n)         weight, bias
    BatchNorm(momentum, eps)  nn.BatchNorm1d(n, eps=eps, momentum=1 - momentum)
                                                         weight and bias, our γ and β; running_mean; running_var
    Conv2D(n, k, s, p)        nn.Conv2d(c, n, k, s, p)   weight, bias
    Conv2DTranspose(…)        nn.ConvTranspose2d(…)      weight, bias
    Embedding(count, n)       nn.Embedding(count, n)     weight; its output is (batch, L, n)
    SpectralNorm(Dense(n))    nn.utils.parametrizations.spectral_norm(nn.Linear(n_in, n)), and so with convolutions
                                                         parametrizations.weight.original, bias, and the vectors
                                                         parametrizations.weight.0._u and parametrizations.weight.0._v
    LeakyReLU(slope)          nn.LeakyReLU(slope)        nothing, and so with the other layers; nn.BatchNorm2d as above

What a `state_dict` does not hold must be set equal on both sides: batch norm's eps, LeakyReLU's slope, padding (what
"same" comes to, see `Conv2D`) and, to train on, the momentum. Training on, PyTorch adds to running_var the unbiased
variance, N/(N − 1) times the one numgan adds. And in train mode it iterates spectral norms in every pass, with weights
as they are then; numgan once after every update. In eval mode, both give the same outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from numgan.errors import ArgumentError, instance, mapping, real_array, shown
from numgan.hints import Named
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dense import Dense
from numgan.nn.dropout import Dropout
from numgan.nn.embedding import Embedding
from numgan.nn.joining import Beside
from numgan.nn.network import Sequential
from numgan.nn.spectral_norm import SpectralNorm

# PyTorch's name -> numgan's, for each layer that has contents.
NAMES = {
    **{kind: {"weight": "weight", "bias": "bias"} for kind in (Dense, Conv2D, Conv2DTranspose)},
    Embedding: {"weight": "weight"},
    BatchNorm: {"weight": "gamma", "bias": "beta", "running_mean": "running_mean", "running_var": "running_variance"},
    SpectralNorm: {
        "bias": "bias",
        "parametrizations.weight.original": "weight",
        "parametrizations.weight.0._u": "u",
        "parametrizations.weight.0._v": "v",
    },
    Dropout: {},  # its key names a stream of random numbers that PyTorch does not have
}
# How many batches an nn.BatchNorm1d has seen. numgan does not count, and PyTorch only reads it when momentum is None.
UNUSED = "num_batches_tracked"


def to_torch_layout(network: Sequential) -> Named:
    """The contents of a `Sequential` as PyTorch's `state_dict` of the same network names and shapes them.

    Returns {"0.weight": array, "0.bias": array, …} of new arrays in the network's dtype. To load them:
    module.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()}).

    >>> network = Sequential([Dense(3), ReLU(), Dense(1)], 2, rng)
    >>> {name: a.shape for name, a in to_torch_layout(network).items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """
    entries, arrays = instance("to_torch_layout: network", network, Sequential).state_dict(), {}
    for torch_name, name in _pairs(network):
        arrays[torch_name] = entries[name]
    for i, layer in enumerate(network.layers):
        if isinstance(layer, BatchNorm):
            arrays[f"{i}.{UNUSED}"] = np.array(0)
    return arrays


def from_torch_layout(network: Sequential, arrays: Mapping[str, Any]) -> None:
    """Set a `Sequential` from the `state_dict` of the same network in PyTorch; with a wrong name or shape, not at all.

    arrays  name -> array, or tensor in main memory: module.state_dict() as it is.

    >>> network = Sequential([Dense(1)], 2, rng)
    >>> from_torch_layout(network, {"0.weight": [[3.0, 4.0]], "0.bias": [0.5]})
    >>> network.predict([[1.0, 1.0]]).tolist()
    [[7.5]]
    """
    pairs = _pairs(instance("from_torch_layout: network", network, Sequential))
    given = {name for name in mapping(f"{network.name}: PyTorch's state", arrays) if not name.endswith("." + UNUSED)}
    missing, unknown = dict(pairs).keys() - given, given - dict(pairs).keys()
    if missing or unknown:
        raise ArgumentError(
            f"{network.name}: in PyTorch's layout missing {shown(sorted(missing))}, unknown {shown(sorted(unknown))}"
        )
    entries = network.state_dict()
    for torch_name, name in pairs:
        array = real_array(f"{network.name}: PyTorch's {torch_name}", arrays[torch_name], network.dtype)
        expected = entries[name].shape
        if array.shape != expected:
            raise ArgumentError(f"{network.name}: PyTorch's {torch_name} has shape {array.shape}, expected {expected}")
        entries[name] = array
    network.load_state_dict(entries)


def _pairs(network):
    """[(PyTorch's name, numgan's name)], "0.weight" with "dense_1.weight", for all that the network holds."""
    if network.replicas:
        raise ArgumentError(f"{network.name}: {network.replicas[0]} replicas have no PyTorch layout")
    pairs = []
    for i, layer in enumerate(network.layers):
        if type(layer) not in NAMES and (layer.shapes or layer.state_shapes or isinstance(layer, Beside)):
            raise ArgumentError(f"{network.name}: {layer.name} ({type(layer).__name__}) has no PyTorch layout")
        pairs += [(f"{i}.{theirs}", f"{layer.name}.{ours}") for theirs, ours in NAMES.get(type(layer), {}).items()]
    return pairs
