"""A small input and a forward pass for every exercise, of numgan's own kernels in float64.

No two axes are of one length, so that what is transposed or summed over the wrong axis does not fit, or shows. What
people stumble over is among the numbers: an index that repeats and one that never occurs, logits whose exponential
overflows, probabilities beyond the clip, a gradient of norm 0, windows that overlap and that hang over the border.

Inputs are read-only, scratch holds NaN before a call.
"""

from __future__ import annotations

import math

import numpy as np

from numgan.kernels import activations, batch_norm, convolution, dense, dropout, embedding, losses, penalties
from numgan.study.exercises.exercise import Trial, Values


def _fixed(values):
    """An array that nobody may write to."""
    array = np.array(values, np.float64)
    array.flags.writeable = False
    return array


def _normal(seed, *shape):
    return _fixed(np.random.default_rng(seed).normal(0.2, 1.0, shape))


def _scratch(*shape):
    """What stands in it before a call does not matter; whoever reads it gets NaN."""
    return np.full(shape, np.nan)


def _made(kernel, *shape, **arguments):
    """The array that a kernel writes to its `out`."""
    out = np.empty(shape)
    kernel(**arguments, out=out)
    out.flags.writeable = False
    return out


def dense_weights() -> Trial:
    x1 = _fixed(np.concatenate([_normal(1, 3, 5), np.ones((1, 5))]))
    out = np.zeros((2, 4))

    def forward(weight):
        return _made(dense.dense_forward, 2, 5, weight=weight, x1=x1)

    def backward(kernel, dy, weight):
        kernel(dy=dy, x1ᵀ=x1.T, out=out, product=np.matmul)
        return {"weight": out}

    return Trial({"weight": _normal(2, 2, 4)}, forward, backward, [out], 5)


def dense_input() -> Trial:
    weight = _normal(1, 2, 5)
    out1 = np.zeros((5, 3))

    def forward(x):
        return _made(dense.dense_forward, 2, 3, weight=weight, x1=np.concatenate([x, np.ones((1, 3))]))

    def backward(kernel, dy, x):
        kernel(weightᵀ=weight.T, dy=dy, out1=out1, product=np.matmul)
        return {"x": out1[:-1]}  # nobody reads the last row

    return Trial({"x": _normal(2, 4, 3)}, forward, backward, [out1], 3)


def leaky_relu(at_zero: bool = False) -> Trial:
    x, slope, out = np.array(_normal(1, 4, 6)), _fixed(0.2), np.zeros((4, 6))
    if at_zero:
        x[1, 2:4] = 0

    def forward(x):
        return _made(activations.leaky_relu_forward, 4, 6, x=x, slope=slope, temp=_scratch(4, 6))

    def backward(kernel, dy, x):
        mask = np.ones((4, 6), bool)
        kernel(dy=dy, y=forward(x), slope=slope, mask=mask, temp=_scratch(4, 6), out=out)
        return {"x": out}

    return Trial({"x": x}, forward, backward, [out], 6, "with zeros among x" if at_zero else "")


def kink() -> Trial:
    return leaky_relu(at_zero=True)


def tanh() -> Trial:
    out = np.zeros((4, 6))

    def forward(x):
        return _made(activations.tanh_forward, 4, 6, x=x)

    def backward(kernel, dy, x):
        kernel(dy=dy, y=forward(x), temp=_scratch(4, 6), out=out)
        return {"x": out}

    return Trial({"x": _normal(1, 4, 6)}, forward, backward, [out], 6)


def bce_logits(size: float = 2.0, about: str = "") -> Trial:
    z, out = size * _normal(1, 2, 6), np.zeros((2, 6))
    target = _fixed(np.random.default_rng(2).uniform(0, 1, (2, 6)))
    half, half_over_count, offset = _fixed(0.5), _fixed(0.5 / z.size), _fixed((0.5 - target) / z.size)

    def forward(z):
        return _made(losses.bce_logits_forward, 2, 6, z=z, target=target, temp=_scratch(2, 6)).mean()

    def backward(kernel, dy, z):
        kernel(z=z, offset=offset, half=half, half_over_count=half_over_count, out=out)
        return {"z": out}

    return Trial({"z": z}, forward, backward, [out], 6, about, {"z": {"target": target}})


def large_logits() -> Trial:
    return bce_logits(1500.0, "with logits of ±1000, whose exponential overflows")


def bce(beyond: bool = False) -> Trial:
    rng, epsilon, out = np.random.default_rng(1), _fixed(1e-2), np.zeros((2, 6))
    p = rng.uniform(0.1, 0.9, (2, 6))
    if beyond:
        p[0, :4], p[1, 1:3] = (0, 1, 1e-3, 1 - 1e-3), (1e-9, 1 - 1e-9)
    target = _fixed(rng.uniform(0, 1, (2, 6)))

    def forward(p):
        clipped = _made(losses.bce_forward, 2, 6, p=p, target=target, epsilon=epsilon, temp=_scratch(2, 6))
        return clipped.mean()

    def backward(kernel, dy, p):
        kernel(p=p, target=target, epsilon=epsilon, temp=_scratch(2, 6), out=out)
        return {"p": out}

    about = "with probabilities beyond the clip, ε = 0.01" if beyond else ""
    return Trial({"p": p}, forward, backward, [out], 6, about, {"p": {"target": target}})


def clipped() -> Trial:
    return bce(beyond=True)


def _normalised(x, gamma, beta):
    """All that the forward pass of batch norm writes, by name."""
    kept = {name: np.empty((4, 1)) for name in ("mean", "variance", "inv_std", "scale")}
    kept |= {name: np.empty((4, 7)) for name in ("centred", "out")}
    given = {"x": x, "gamma": gamma, "beta": beta, "epsilon": 1e-3, "ones": np.ones((7, 1))}
    batch_norm.batch_norm_forward(**given, **kept, temp=_scratch(4, 7))
    for array in kept.values():
        array.flags.writeable = False
    return kept


def batch_norm_parameters() -> Trial:
    x, ones, dgamma, dbeta = _normal(1, 4, 7), _fixed(np.ones((7, 1))), np.zeros((4, 1)), np.zeros((4, 1))

    def forward(gamma, beta):
        return _normalised(x, gamma, beta)["out"]

    def backward(kernel, dy, gamma, beta):
        kept = _normalised(x, gamma, beta)
        kernel(dy=dy, centred=kept["centred"], inv_std=kept["inv_std"], ones=ones, dgamma=dgamma, dbeta=dbeta)
        return {"gamma": dgamma, "beta": dbeta}

    point = {"gamma": _normal(2, 4, 1), "beta": _normal(3, 4, 1)}
    return Trial(point, forward, backward, [dgamma, dbeta], 7)


def batch_norm_input() -> Trial:
    gamma, beta, out = _normal(2, 4, 1), _normal(3, 4, 1), np.zeros((4, 7))

    def forward(x):
        return _normalised(x, gamma, beta)["out"]

    def backward(kernel, dy, x):
        kept = {name: a for name, a in _normalised(x, gamma, beta).items() if name in ("centred", "inv_std", "scale")}
        dbeta = _fixed(dy.sum(axis=1, keepdims=True))
        dgamma = _fixed((dy * kept["centred"]).sum(axis=1, keepdims=True) * kept["inv_std"])
        kernel(dy=dy, **kept, dgamma=dgamma, dbeta=dbeta, column=_scratch(4, 1), temp=_scratch(4, 7), out=out)
        return {"x": out}

    return Trial({"x": _normal(1, 4, 7)}, forward, backward, [out], 7)


def softmax(size: float = 1.0, about: str = "") -> Trial:
    z, out = size * _normal(1, 4, 6), np.zeros((4, 6))
    target = _fixed(np.random.default_rng(2).dirichlet(np.ones(4), 6).T)

    def forward(z):
        rows = {"row": _scratch(1, 6), "temp": _scratch(4, 6)}
        return _made(losses.softmax_cross_entropy_forward, 1, 6, z=z, target=target, **rows).mean()

    def backward(kernel, dy, z):
        kernel(z=z, target=target, row=_scratch(1, 6), out=out)
        return {"z": out}

    return Trial({"z": z}, forward, backward, [out], 6, about, {"z": {"target": target}})


def large_softmax() -> Trial:
    return softmax(1000.0, "with logits of 1000, whose exponential overflows")


def embeddings() -> Trial:
    index, out = np.array([3, 0, 3, 1, 3, 0]), np.zeros((2, 5))  # 3 and 0 repeat; 2 and 4 never occur
    index.flags.writeable = False

    def forward(weight):
        return _made(embedding.embedding_forward, 2, 6, weight=weight, index=index)

    def backward(kernel, dy, weight):
        kernel(dy=dy, index=index, out=out)
        return {"weight": out}

    return Trial({"weight": _normal(1, 2, 5)}, forward, backward, [out], 6)


def dropped() -> Trial:
    keep, out = _fixed((np.random.default_rng(4).uniform(size=(4, 6)) >= 0.4) / 0.6), np.zeros((4, 6))

    def forward(x):
        return _made(dropout.dropout_forward, 4, 6, x=x, keep=keep)

    def backward(kernel, dy, x):
        kernel(dy=dy, keep=keep, out=out)
        return {"x": out}

    return Trial({"x": _normal(1, 4, 6)}, forward, backward, [out], 6)


def windows() -> Trial:
    image, patches = (2, 4, 5, 2), (2, 3, 2, 2, 5, 2)  # 3 × 2 taps at 2 × 5 positions
    where, out = {"strides": (2, 1), "before": (1, 1)}, np.zeros(image)

    def forward(x):
        return _made(convolution.gather, *patches, x=x, **where)

    def backward(kernel, dy, x):
        canvas = _scratch(*convolution.canvas_shape(patches, image, *where.values()))
        kernel(patches=dy, start=_fixed(0), **where, canvas=canvas, out=out)
        return {"x": out}

    return Trial({"x": _normal(1, *image)}, forward, backward, [out], 2)


def skip() -> Trial:
    """y = [f; x] with f = tanh x: the buffer of dx holds d_rear when the kernel is called."""

    def forward(x):
        return np.concatenate([np.tanh(x), x])

    def backward(kernel, dy, x):
        out = dy[4:].copy()
        kernel(share=_fixed(dy[:4] * (1 - np.tanh(x) ** 2)), out=out)
        return {"x": out}

    return Trial({"x": _normal(1, 4, 6)}, forward, backward, [], 6)


def adam() -> Trial:
    """Three updates from moments of zero, against algorithm 1 of the paper, bias corrections and all."""
    alpha, beta1, beta2, epsilon = 0.1, 0.5, 0.9, 0.05
    start, gradients = _normal(1, 6), _normal(2, 3, 6)
    theta, m, v = start, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        theta = theta - alpha * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)

    def run(kernel):
        found = {"theta": start.copy(), "m": np.zeros(6), "v": np.zeros(6)}
        for t, g in enumerate(gradients, 1):
            c = math.sqrt((1 - beta2) / (1 - beta2**t))
            constants = {"beta1": beta1, "beta2": beta2, "epsilon": epsilon / c}
            constants["rate"] = alpha * (1 - beta1) / (1 - beta1**t) / c
            constants = {name: _fixed(number) for name, number in constants.items()}
            kernel(gradient=g, **found, **constants, temp=_scratch(6))
        return found

    return Values(run, {"theta": theta, "m": m / (1 - beta1), "v": v / (1 - beta2)}, "after three updates")


def gradient_penalty(flat: bool = False) -> Trial:
    weight, samples = 3.0, 5
    gradient, out = np.linspace(0.3, 2, samples) * _normal(1, 3, samples), np.zeros((3, samples))
    if flat:
        gradient[:, 2] = 0

    def norms(gradient):
        return _made(penalties.gradient_norms, 1, samples, gradient=gradient, temp=_scratch(3, samples))

    def forward(gradient):
        return _made(penalties.norm_penalty_forward, 1, samples, norm=norms(gradient), weight=weight).mean()

    def backward(kernel, dy, gradient):
        constants = {"two_weight_over_count": _fixed(2 * weight / samples), "tiny": _fixed(1e-18)}
        kernel(gradient=gradient, norm=norms(gradient), **constants, row=_scratch(1, samples), out=out)
        return {"gradient": out}

    about = "with a sample whose gradient is 0" if flat else ""
    return Trial({"gradient": gradient}, forward, backward, [out], samples, about)


def flat_gradient() -> Trial:
    return gradient_penalty(flat=True)
