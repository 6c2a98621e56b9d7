"""Layers: what they give, in plain Python; running statistics, padding, dropout's share, starting weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from numgan.gradcheck.formulas.compare import ROWS, VALUE_TOLERANCE, compare
from numgan.gradcheck.problems import as_network
from numgan.gradcheck.report import Report
from numgan.hints import Shape
from numgan.nn import initializers
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dropout import Dropout
from numgan.nn.network import Sequential

if TYPE_CHECKING:
    from numgan.nn.layer import Layer


def layer_values(layer: Layer, shape: Shape, training: bool, seed: int, tolerance: float) -> Report:
    """A layer's outputs, element by element, against its own formula in plain Python floats."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.2, 1.3, (ROWS, *shape))
    if layer.takes_indices:  # every one of them, and where there is room one beyond either end
        beyond = int(x.size >= layer.count + 2)
        x = np.resize(rng.permutation(np.arange(-beyond, layer.count + beyond)), x.shape)
        x = x + rng.uniform(-0.4, 0.4, x.shape)
    network = as_network(layer, x, rng)
    report = Report(
        f"values of {layer!r} on {shape} in {'training' if training else 'inference'} mode", VALUE_TOLERANCE
    )
    wanted = network.layers[0].plain(x.reshape(ROWS, -1).tolist(), training)
    outputs = network.forward(x, training)
    compare(report, "output", outputs, np.reshape(wanted, outputs.shape))
    return report


def running_statistics(seed: int, tolerance: float) -> Report:
    """Batch norm's running statistics over three training passes: momentum weighs the old value, variance is biased."""
    rng = np.random.default_rng(seed)
    layer = BatchNorm(momentum=0.8)
    network = Sequential([layer], 3, rng, "float64", name="layer")
    mean, variance = [0.0] * 3, [1.0] * 3
    for _ in range(3):
        x = rng.normal(2, 3, (5, 3))
        network.forward(x, training=True)
        batch_mean = [math.fsum(column) / 5 for column in x.T.tolist()]
        batch_variance = [
            math.fsum((v - m) ** 2 for v in column) / 5 for column, m in zip(x.T.tolist(), batch_mean, strict=True)
        ]
        mean = [0.8 * old + 0.2 * new for old, new in zip(mean, batch_mean, strict=True)]
        variance = [0.8 * old + 0.2 * new for old, new in zip(variance, batch_variance, strict=True)]
    report = Report("running statistics of BatchNorm(momentum=0.8)", VALUE_TOLERANCE)
    compare(report, "running_mean", layer.state["running_mean"], mean)
    compare(report, "running_variance", layer.state["running_variance"], variance)
    return report


def same_padding(seed: int, tolerance: float) -> Report:
    """Where the windows of "same" lie, from sums of 1 to 7 and 1 to 8 worked out by hand: as many as pixels over the
    stride, rounded up, with the odd zero behind. A transposed convolution paints as many pixels as positions times the
    stride, and cuts the odd one off behind.
    """
    report = Report('places of the windows of padding "same"', VALUE_TOLERANCE)
    for pixels, size, stride, sums in (
        (7, 3, 1, [3, 6, 9, 12, 15, 18, 13]),  # a zero on either side
        (7, 4, 1, [6, 10, 14, 18, 22, 18, 13]),  # one in front, two behind
        (7, 2, 2, [3, 7, 11, 7]),  # none in front, one behind
        (7, 4, 2, [6, 14, 22, 13]),  # one in front, two behind
        (8, 3, 2, [6, 12, 18, 15]),  # none in front, one behind
        (8, 4, 3, [6, 18, 21]),  # one in front, one behind
    ):
        network = Sequential([Conv2D(1, (1, size), (1, stride), "same")], (1, 1, pixels), np.random.default_rng(0))
        network.values[...] = [1] * size + [0]
        numbers = np.arange(1.0, pixels + 1).reshape(1, 1, 1, pixels)
        compare(report, f"{size} wide, stride {stride}, on {pixels}", network.predict(numbers).ravel(), sums)
    for size, stride, painted in (
        (3, 1, [3, 6, 5]),  # of 1 3 6 5 3
        (4, 2, [1, 3, 3, 5, 5, 3]),  # of 1 1 3 3 5 5 3 3
        (3, 2, [1, 1, 3, 2, 5, 3]),  # of 1 1 3 2 5 3 3
        (2, 3, [1, 1, 0, 2, 2, 0, 3, 3, 0]),
    ):
        network = Sequential([Conv2DTranspose(1, (1, size), (1, stride), "same")], (1, 1, 3), np.random.default_rng(0))
        network.values[...] = [1] * size + [0]
        numbers = np.arange(1.0, 4.0).reshape(1, 1, 1, 3)
        compare(report, f"1 2 3 painted {size} wide, stride {stride}", network.predict(numbers).ravel(), painted)
    return report


def dropout_share(seed: int, tolerance: float) -> Report:
    """Dropout over 40,000 numbers: how many are kept, what the output is on average, that no two masks are alike, that
    a key put back gives its mask again, and that nothing happens in inference. Within 3 %: six standard errors.
    """
    rate, rng = 0.3, np.random.default_rng(seed)
    network = Sequential([Dropout(rate)], 200, rng, "float64", name="layer")
    ones, keys, outputs = np.ones((200, 200)), [network.state.copy()], []
    for _ in range(3):
        outputs.append(network.forward(ones, training=True).copy())
        keys.append(network.state.copy())
    report = Report(f"shares of Dropout(rate={rate})", 0.03)
    kept = np.array(outputs) != 0
    compare(report, "kept", kept.mean(axis=(1, 2)), [1 - rate] * 3)
    compare(report, "mean output", np.mean(outputs, axis=(1, 2)), [1.0] * 3)
    both = (1 - rate) ** 2
    compare(report, "kept twice running", (kept[1:] & kept[:-1]).mean(axis=(1, 2)), [both] * 2)
    compare(report, "kept of neighbours", (kept[:, 1:] & kept[:, :-1]).mean(axis=(1, 2)), [both] * 3)
    compare(report, "keys of the steps", len(np.unique(keys, axis=0)), 4)
    network.state[...] = keys[1]
    compare(report, "others when drawn again", np.sum(network.forward(ones, training=True) != outputs[1]), 0)
    compare(report, "changed in inference", np.sum(network.predict(ones) != ones), 0)
    return report


def starting_weights(seed: int, tolerance: float) -> Report:
    """The variance of every initializer's weights, and that of their mean, against its formula: within 5 % of 40,000
    numbers, seven standard errors of a normal distribution's.
    """
    fan_in, fan_out = 400, 100
    report = Report(f"variance of starting weights of {fan_out} units with {fan_in} inputs", 0.05)
    wanted = {"glorot_uniform": 2 / (fan_in + fan_out), "glorot_normal": 2 / (fan_in + fan_out)}
    wanted |= {"he_uniform": 2 / fan_in, "he_normal": 2 / fan_in, "pytorch_uniform": 1 / 3 / fan_in}
    for name, variance in wanted.items():
        make = getattr(initializers, name)
        weights = make(np.random.default_rng([seed, *name.encode()]), (fan_out, fan_in), fan_in, fan_out, "float64")
        compare(report, f"{name}: mean square", np.mean(weights**2), variance)
        compare(report, f"{name}: 1 + mean", 1 + weights.mean() / math.sqrt(variance), 1)
    return report
