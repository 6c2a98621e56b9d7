"""Spectral normalisation against a singular value decomposition, and power iteration against plain products."""

from __future__ import annotations

import math

import numpy as np

from numgan.gan.model import GAN
from numgan.gan.objectives import NonSaturating, Wasserstein
from numgan.gradcheck.formulas.compare import ROWS, VALUE_TOLERANCE, compare
from numgan.gradcheck.problems import as_network
from numgan.gradcheck.report import Report
from numgan.nn.activations import LeakyReLU
from numgan.nn.calls import runs
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dense import Dense
from numgan.nn.network import Sequential
from numgan.nn.optimizers import SGD
from numgan.nn.reshaping import Flatten, Reshape
from numgan.nn.spectral_norm import SpectralNorm


def spectral_norms(seed: int, tolerance: float) -> Report:
    """After many rounds of power iteration: outputs are those of the wrapped layer with weights divided by the largest
    singular value that NumPy finds, and the bias as it is; and the gradient is that of W/σ(W), σ as it depends on W.
    """
    rng, report = np.random.default_rng(seed), Report("spectral norms against singular values", 1e-9)
    for layer, shape in SpectralNorm.examples():
        x = rng.normal(0.2, 1.3, (ROWS, *shape))
        network = as_network(layer, x, rng)
        _iterate(network, 2_000)
        wrapped = as_network(layer.layer, x, rng)
        for ours, theirs in zip(wrapped.parameters().values(), network.parameters().values(), strict=True):
            ours[...] = theirs
        weight = wrapped.layers[0].params["weight"]
        (one,) = network.layers
        sigma = np.linalg.norm(_outputs_first(one.layer, weight), 2)
        compare(report, f"{layer.layer!r}: length of u", np.linalg.norm(one.state["u"]), 1)
        compare(report, f"{layer.layer!r}: length of v", np.linalg.norm(one.state["v"]), 1)
        weight /= sigma
        compare(report, f"{layer.layer!r}: output", network.predict(x), wrapped.predict(x))
        # ∂σ/∂W by NumPy's singular vectors, and what the wrapped layer says of W̄
        c = rng.standard_normal(network.predict(x).shape)
        for each in (network, wrapped):
            each.forward(x, training=True)
            each.backward(c)
        given, grad = _outputs_first(one.layer, wrapped.layers[0].grads["weight"]), one.grads["weight"]
        left, _, right = np.linalg.svd(_outputs_first(one.layer, weight), full_matrices=False)
        inner = math.fsum((given * _outputs_first(one.layer, weight)).ravel())
        wanted = (given - inner * np.outer(left[:, 0], right[0])) / sigma
        compare(report, f"{layer.layer!r}: gradient", _outputs_first(one.layer, grad), wanted)
    return report


def power_iterations(clip: float | None, seed: int, tolerance: float) -> Report:
    """The vectors of a GAN's spectral norms over three steps, in plain Python: one round of power iteration after each
    update, on the weights that it left, clipped ones where they are; and none at any other time.
    """
    rng = np.random.default_rng(seed)
    layers = [
        SpectralNorm(Conv2DTranspose(2, (2, 3), 2, "same")),
        Flatten(),
        SpectralNorm(Dense(6)),
        Reshape((2, 3, 1)),
    ]
    generator = Sequential(layers, (3, 1, 2), rng, "float64", name="generator")
    layers = [
        SpectralNorm(Conv2D(4, (2, 1))),
        Flatten(),
        SpectralNorm(Dense(3)),
        LeakyReLU(0.2),
        SpectralNorm(Dense(1)),
    ]
    objective = Wasserstein(clip) if clip else NonSaturating()
    discriminator = Sequential([*layers, *objective.closing()], (2, 3, 1), rng, "float64", name="discriminator")
    gan = GAN(generator, discriminator, SGD(0.2), SGD(0.2), objective)
    report = Report(f"vectors of spectral norms{', weights clipped' if clip else ''}", VALUE_TOLERANCE)
    for _ in range(3):
        for network, other in ((discriminator, generator), (generator, discriminator)):
            kept, vectors = other.state.copy(), [a["v"].tolist() for a in _normalised(network)]
            real, noise = rng.standard_normal((4, 2, 3, 1)), rng.standard_normal((4, 3, 1, 2))
            if network is discriminator:
                gan.train_discriminator(real, noise)
            else:
                gan.train_generator(noise)
            for layer, v in zip((a for a in network.layers if isinstance(a, SpectralNorm)), vectors, strict=True):
                u, v = _round(_outputs_first(layer.layer, layer.params["weight"]).tolist(), v)
                compare(report, f"{network.name}: {layer.name}.u", layer.state["u"], u)
                compare(report, f"{network.name}: {layer.name}.v", layer.state["v"], v)
            after = network.state.copy()
            gan.predict(noise)
            network.forward(real if network is discriminator else noise, training=True)
            compare(report, f"{network.name}: moved by passes", np.sum(network.state != after), 0)
            compare(report, f"{other.name}: moved while frozen", np.sum(other.state != kept), 0)
    return report


def _normalised(network):
    """The states of a network's spectral norms."""
    return [layer.state for layer in network.layers if isinstance(layer, SpectralNorm)]


def _outputs_first(layer, weight):
    """Weights, or their gradient, as the matrix (n_out, fan-in)."""
    outputs = np.moveaxis(weight, 1, 0) if isinstance(layer, Conv2DTranspose) else weight
    return outputs.reshape(len(outputs), -1)


def _round(matrix, v):
    """u and v after a round of power iteration, in lists."""
    u = _unit([math.fsum(w * b for w, b in zip(row, v, strict=True)) for row in matrix])
    return u, _unit([math.fsum(w * a for w, a in zip(column, u, strict=True)) for column in zip(*matrix, strict=True)])


def _unit(vector):
    norm = math.sqrt(math.fsum(x * x for x in vector))
    return [x / norm for x in vector]


def _iterate(network, rounds):
    calls = runs(network.after_update())
    for _ in range(rounds):
        for run in calls:
            run()
