"""What a gradient check cannot see, against formulas written out in plain Python: forward values, running statistics,
optimiser updates.

A check is a function (seed, tolerance) -> Report.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from numgan.gan import stretches
from numgan.gan.model import GAN
from numgan.gan.objectives import NonSaturating, Wasserstein
from numgan.gan.steps import SEPARATE
from numgan.gradcheck.problems import as_network
from numgan.gradcheck.report import Report, Row
from numgan.hints import Numbers, Shape
from numgan.nn import initializers
from numgan.nn.activations import LeakyReLU, ReLU, Sigmoid
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.calls import runs
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dense import Dense
from numgan.nn.dropout import Dropout
from numgan.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from numgan.nn.network import Sequential
from numgan.nn.optimizers import SGD, Adam
from numgan.nn.rates import Rate
from numgan.nn.reshaping import Flatten, Reshape
from numgan.nn.spectral_norm import SpectralNorm

if TYPE_CHECKING:
    from numgan.nn.layer import Layer

ROWS = 5  # of a layer's inputs
VALUE_TOLERANCE = 1e-12  # relative, for float64 values against the same formula in another order of operations


def compare(report: Report, name: str, ours: Numbers, expected: Numbers) -> None:
    """Add a row: largest difference between two arrays, relative to the largest expected value."""
    ours, expected = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    difference = np.abs(ours - expected)
    difference = np.where(np.isfinite(difference), difference, np.inf)
    size = max(float(np.abs(expected).max(initial=0)), 1e-300)
    index = np.unravel_index(int(difference.argmax()), difference.shape)
    error = float(difference[index]) / size
    failed = int((difference > report.tolerance * size).sum())
    report.rows.append(
        Row(
            tensor=name,
            shape=ours.shape,
            checked=ours.size,
            certified=ours.size - failed,
            failed=failed,
            error=error,
            index=tuple(map(int, index)),
            analytic=float(ours[index]),
            numeric=float(expected[index]),
            verdict="FAIL" if failed else "ok",
        )
    )


def layer_values(layer: Layer, shape: Shape, training: bool, seed: int, tolerance: float) -> Report:
    """A layer's outputs, element by element, against its own formula in plain Python floats."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.2, 1.3, (ROWS, *shape))
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


def loss_values(from_logits: bool, seed: int, tolerance: float) -> Report:
    """Binary cross-entropy with one-sided smoothing, element by element in plain Python."""
    rng = np.random.default_rng(seed)
    z, target = rng.normal(0, 3, (6, 2)), rng.integers(0, 2, (6, 2))
    terms = []
    for logit, t in zip(z.ravel().tolist(), target.ravel().tolist(), strict=True):
        p, t = 1 / (1 + math.exp(-logit)), 0.9 if t == 1 else 0.0
        terms.append(-t * math.log(p) - (1 - t) * math.log(1 - p))
    loss = BinaryCrossEntropy(from_logits, label_smoothing=0.1)
    report = Report(f"value of BinaryCrossEntropy from {'logits' if from_logits else 'probabilities'}", VALUE_TOLERANCE)
    compare(
        report,
        "mean loss",
        loss.value(z if from_logits else 1 / (1 + np.exp(-z)), target),
        math.fsum(terms) / len(terms),
    )
    return report


def extreme_logits(seed: int, tolerance: float) -> Report:
    """Loss and gradient from float32 logits of up to ±10⁴: finite, and right."""
    z = np.array([[-1e4], [-100.0], [0.0], [100.0], [1e4]], np.float32)
    report = Report("BinaryCrossEntropy from extreme float32 logits", 1e-6)
    loss = BinaryCrossEntropy(from_logits=True)
    for t, wanted in ((1.0, [1e4, 100, math.log(2), 0, 0]), (0.0, [0, 0, math.log(2), 100, 1e4])):
        with np.errstate(all="ignore"):
            compare(report, f"loss against {t:.0f}", loss.value(z, np.full_like(z, t)), math.fsum(wanted) / 5)
            slopes = [((p - t) / 5,) for p in (0, 0, 0.5, 1, 1)]
            compare(report, f"gradient against {t:.0f}", loss.gradient(z, np.full_like(z, t)), slopes)
    return report


def softmax_values(seed: int, tolerance: float) -> Report:
    """Softmax cross-entropy in plain Python."""
    rng = np.random.default_rng(seed)
    z, target = rng.normal(0, 3, (6, 4)), rng.dirichlet(np.ones(4), 6)
    terms = []
    for logits, wanted in zip(z.tolist(), target.tolist(), strict=True):
        total = math.fsum(map(math.exp, logits))
        terms.append(-math.fsum(t * math.log(math.exp(v) / total) for v, t in zip(logits, wanted, strict=True)))
    report = Report("value of SoftmaxCrossEntropy", VALUE_TOLERANCE)
    compare(report, "mean loss", SoftmaxCrossEntropy().value(z, target), math.fsum(terms) / len(terms))
    return report


def extreme_softmax(seed: int, tolerance: float) -> Report:
    """Loss and gradient from float32 logits of up to ±10⁴: finite, and right."""
    z, classes = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]], np.float32), np.eye(3, dtype=np.float32)
    report = Report("SoftmaxCrossEntropy from extreme float32 logits", 1e-6)
    loss = SoftmaxCrossEntropy()
    for k, wanted in enumerate([0, 2e4, 1e4]):
        target = classes[[k, k]]
        slopes = (np.array([[1, 0, 0], [1 / 3] * 3]) - target) / 2
        with np.errstate(all="ignore"):
            compare(report, f"loss against class {k}", loss.value(z, target), (wanted + math.log(3)) / 2)
            compare(report, f"gradient against class {k}", loss.gradient(z, target), slopes)
    return report


def clipped_probabilities(seed: int, tolerance: float) -> Report:
    """Loss and gradient from probabilities at and beyond the clip, up to exactly 0 and 1, in plain Python."""
    loss, epsilon = BinaryCrossEntropy(), 1e-7
    p = [0.0, 1e-9, 1e-3, 0.5, 1 - 1e-3, 1 - 1e-9, 1.0]
    report = Report("BinaryCrossEntropy from probabilities beyond its clip", 1e-9)
    for t in (0, 1):
        kept = [min(max(q, epsilon), 1 - epsilon) for q in p]
        terms = [-math.log(q) if t else -math.log(1 - q) for q in kept]
        slopes = [0.0 if q != k else (k - t) / (k * (1 - k)) / len(p) for q, k in zip(p, kept, strict=True)]
        column = np.array(p)[:, None]
        with np.errstate(all="ignore"):
            compare(report, f"loss against {t}", loss.value(column, np.full_like(column, t)), math.fsum(terms) / len(p))
            compare(report, f"gradient against {t}", loss.gradient(column, np.full_like(column, t))[:, 0], slopes)
    return report


def starting_weights(seed: int, tolerance: float) -> Report:
    """The variance of every initializer's weights, and that of their mean, against its formula: within 5 % of 40,000
    numbers, seven standard errors of a normal distribution's.
    """
    fan_in, fan_out = 400, 100
    report = Report(f"variance of starting weights of {fan_out} units with {fan_in} inputs", 0.05)
    wanted = {"glorot_uniform": 2 / (fan_in + fan_out), "glorot_normal": 2 / (fan_in + fan_out)}
    wanted |= {"he_uniform": 2 / fan_in, "he_normal": 2 / fan_in}
    for name, variance in wanted.items():
        make = getattr(initializers, name)
        weights = make(np.random.default_rng([seed, *name.encode()]), (fan_out, fan_in), fan_in, fan_out, "float64")
        compare(report, f"{name}: mean square", np.mean(weights**2), variance)
        compare(report, f"{name}: 1 + mean", 1 + weights.mean() / math.sqrt(variance), 1)
    return report


# ---------------------------------------------------------------------------------------- spectral normalisation


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


# ------------------------------------------------------------------------------------------------------ optimisers


def _trained_vector(optimizer, gradients):
    """Parameters after one step per row of `gradients`, from a start of 0.5 everywhere."""
    n = gradients.shape[1]
    network = Sequential([Dense(1)], n - 1, np.random.default_rng(0), "float64")
    network.values[...] = 0.5
    optimizer.attach(network)
    for gradient in gradients:
        network.grads[...] = gradient
        optimizer.step()
    return network.values


def adam_updates(form: str, seed: int, tolerance: float) -> Report:
    """Twelve steps of Adam against the recurrence of Kingma & Ba, one parameter at a time."""
    gradients = np.random.default_rng(seed).normal(0, [1.0, 1e-3, 1e-6, 10.0], (12, 4))
    rate, beta1, beta2, epsilon = 0.01, 0.5, 0.99, 1e-4
    wanted = []
    for column in gradients.T.tolist():
        theta, m, v = 0.5, 0.0, 0.0
        for t, g in enumerate(column, 1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            if form == "paper":
                theta -= rate * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + epsilon)
            else:
                theta -= rate * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (math.sqrt(v) + epsilon)
        wanted.append(theta)
    optimizer = Adam(rate, beta1, beta2, epsilon, form)
    report = Report(f"twelve updates of {optimizer!r}", VALUE_TOLERANCE)
    compare(report, "parameters", _trained_vector(optimizer, gradients), wanted)
    return report


def sgd_updates(seed: int, tolerance: float) -> Report:
    """Twelve steps of SGD with momentum against its recurrence."""
    gradients = np.random.default_rng(seed).normal(0, 1, (12, 4))
    wanted = []
    for column in gradients.T.tolist():
        theta, velocity = 0.5, 0.0
        for g in column:
            velocity = 0.9 * velocity - 0.05 * g
            theta += velocity
        wanted.append(theta)
    report = Report("twelve updates of SGD(learning_rate=0.05, momentum=0.9)", VALUE_TOLERANCE)
    compare(report, "parameters", _trained_vector(SGD(0.05, 0.9), gradients), wanted)
    return report


def rate_values(seed: int, tolerance: float) -> Report:
    """Learning rates update by update: grown by equal amounts, then lowered by equal amounts or along a cosine, then
    held, as plain recurrences and sines have them.
    """
    report = Report("values of learning rates", VALUE_TOLERANCE)
    for peak, warm_up, length, final in ((0.4, 3, 5, 0.1), (2e-3, 1, 7, 0.0), (0.5, 0, 4, 0.05)):
        grown = list(np.linspace(0, peak, warm_up + 1)[1:])
        name = f"peak {peak}, {warm_up} up, {length} down to {final}"
        rate = Rate(peak, warm_up)
        compare(report, f"constant, {name}", _rates(rate, warm_up + length), [*grown, *[peak] * length])
        lowered, wave = [], []
        for k in range(length):
            lowered.append(peak - (peak - final) / length * k)
            wave.append(peak - (peak - final) * math.sin(math.pi * k / length / 2) ** 2)  # (1 − cos 2x)/2 = sin² x
        for decay, fallen in (("linear", lowered), ("cosine", wave)):
            rate = Rate(peak, warm_up, decay, warm_up + length, final)
            wanted = [*grown, *fallen, final, final, final]
            compare(report, f"{decay}, {name}", _rates(rate, warm_up + length + 3), wanted)
    return report


def _rates(rate, n):
    return [rate.at(t) for t in range(1, n + 1)]


def rates_in_use(seed: int, tolerance: float) -> Report:
    """Eight updates of SGD and of Adam with a rate that changes: SGD's are the rate times the gradient, and Adam's are
    those of a rate of 1 times the rate. Then the same from the state after five: the count goes on. Then with a rate
    that is set in its place.
    """
    gradients = np.random.default_rng(seed).normal(0, 1, (8, 4))
    rate, changes = Rate(0.3, 2, "linear", 7, 0.1), [0.15, 0.3, 0.3, 0.26, 0.22, 0.18, 0.14, 0.1]
    report = Report(f"updates with {rate!r}", VALUE_TOLERANCE)
    for kind in (SGD, Adam):
        walks = [_walk(kind(first), gradients) for first in (rate, 1.0)]
        wanted = 0.5 + np.cumsum(np.array(changes)[:, None] * np.diff(walks[1], axis=0, prepend=0.5), axis=0)
        compare(report, f"{kind.__name__}: parameters", walks[0], wanted)
        first, second = kind(rate), kind(rate)
        _walk(first, gradients[:5])
        second.attach(Sequential([Dense(1)], 3, np.random.default_rng(0), "float64"))
        second.load_state_dict(first.state_dict())
        compare(report, f"{kind.__name__}: rate when loaded", second.learning_rate, changes[5])
        second.learning_rate = 0.7
        first.load_state_dict(second.state_dict())
        compare(report, f"{kind.__name__}: rate when set", first.learning_rate, 0.7)
    return report


def _walk(optimizer, gradients):
    """Parameters after each of the updates, from a start of 0.5."""
    network = Sequential([Dense(1)], gradients.shape[1] - 1, np.random.default_rng(0), "float64")
    network.values[...] = 0.5
    optimizer.attach(network)
    walk = []
    for gradient in gradients:
        network.grads[...] = gradient
        optimizer.step()
        walk.append(network.values.copy())
    return walk


def rates_of_the_sides(schedule: str, seed: int, tolerance: float) -> Report:
    """Five steps of a game of linear networks by SGD, each side with a rate of its own that falls with its own updates.
    The score is w·x + c and the row W·z + b, so that what a critic learns from is means: w moves by its rate times
    mean x on real rows, and by minus that on generated ones; b by its rate times w, and W by that times mean z.
    """
    rng, report = np.random.default_rng(seed), Report(f"rates of both sides, {schedule} schedule", VALUE_TOLERANCE)
    generator = Sequential([Dense(2)], 3, rng, "float64", name="generator")
    critic = Sequential([Dense(1)], 2, rng, "float64", name="critic")
    updates = 5 * (2 if schedule == SEPARATE else 1)
    optimizers = SGD(Rate(0.2, 0, "linear", 5)), SGD(Rate(0.5, 0, "linear", updates))
    gan = GAN(generator, critic, *optimizers, Wasserstein(clip=100.0), schedule)
    (big_w, b), (w, _) = ([a.copy() for a in net.parameters().values()] for net in (generator, critic))
    for step in range(5):
        real, noise, more = rng.normal(0, 1, (6, 2)), rng.normal(0, 1, (6, 3)), rng.normal(0, 1, (6, 3))
        gan.train_discriminator(real, noise)
        gan.train_generator(more)
        own, on_real, on_fake = 0.2 - 0.04 * step, 0.5 - 0.1 * step, 0.5 - 0.1 * step
        if schedule == SEPARATE:
            on_fake -= 0.05
        w = w + on_real * real.mean(axis=0) - on_fake * (big_w @ noise.mean(axis=0) + b)
        big_w, b = big_w + own * w.T * more.mean(axis=0), b + own * w[0]
        for name, ours, wanted in (
            ("critic's weights", critic.parameters()["dense_1.weight"], w),
            ("generator's weights", generator.parameters()["dense_1.weight"], big_w),
            ("generator's bias", generator.parameters()["dense_1.bias"], b),
        ):
            compare(report, f"{name} after step {step + 1}", ours, wanted)
    return report


def counted_updates(schedule: str, seed: int, tolerance: float) -> Report:
    """How many updates either side has made after every step of a training, by steps and by epochs of 11 rows in
    batches that do not go into them, against a GAN's optimisers.
    """
    report = Report(f"updates of either side, {schedule} schedule", VALUE_TOLERANCE)
    for d, g in ((1, 1), (3, 2), (2, 0), (0, 1)):
        for length in ({"steps": 7}, {"epochs": 2}):
            rng, counts = np.random.default_rng(seed), []
            generator = Sequential([Dense(2)], 3, rng, name="generator")
            gan = GAN(generator, Sequential([Dense(1)], 2, rng), SGD(), SGD(), Wasserstein(), schedule)

            def count(done, history, gan=gan, counts=counts):
                counts.append((gan.generator_optimizer.steps, gan.discriminator_optimizer.steps))

            how = {"batch_size": 4, "discriminator_steps": d, "generator_steps": g}
            gan.fit(rng.normal(0, 1, (11, 2)), rng=rng, every=1, callback=count, **length, **how)
            by_steps, by_epochs = stretches.endless(4, d), stretches.epoch(gan.rows_per_step(4), 11, 4, d)
            portions = by_steps if "steps" in length else by_epochs
            told = [stretches.updates(portions, n, g, schedule) for n in range(len(counts))]
            compare(report, f"{d} to {g}, by {next(iter(length))}", told, counts)
    return report


def clipped_weights(seed: int, tolerance: float) -> Report:
    """A Wasserstein critic's parameters after one step of SGD: none beyond ±clip, and those within as SGD left them."""
    rng = np.random.default_rng(seed)
    generator = Sequential([Dense(2)], 3, rng, "float64", name="generator")
    critic = Sequential([Dense(4), Dense(1)], 2, rng, "float64", name="critic")
    critic.values[...] = rng.normal(0, 0.3, critic.values.shape)
    gan, before = GAN(generator, critic, SGD(0.1), SGD(0.1), Wasserstein(clip=0.2)), critic.values.copy()
    gan.train_discriminator(rng.standard_normal((6, 2)), rng.standard_normal((6, 3)))
    steps = zip(before.tolist(), critic.grads.tolist(), strict=True)
    wanted = [min(max(theta - 0.1 * slope, -0.2), 0.2) for theta, slope in steps]
    report = Report("a critic's weights clipped after its update", VALUE_TOLERANCE)
    compare(report, "parameters", critic.values, wanted)
    return report


def averaged_weights(seed: int, tolerance: float) -> Report:
    """Five steps of a GAN whose generator is averaged, two of them in the warm-up, against the recurrence in plain
    Python: every parameter and running statistic, and dropout's key, which is no number to average. Then what sampling
    makes of it; and that the game is the one that is played without an average.
    """
    decay, rng = 0.3, np.random.default_rng(seed)
    plain, averaged = (_gan_to_average(seed, average) for average in (None, decay))
    wanted = {name: a.ravel().tolist() for name, a in plain.generator.state_dict().items()}
    for t in range(1, 6):
        batches = [(rng.standard_normal((6, 2)), rng.standard_normal((6, 3))) for _ in range(3)]
        for gan in (plain, averaged):
            for real, noise in batches:
                gan.train_discriminator(real, noise)
            gan.train_generator(batches[0][1])
        d = min(decay, (1 + t) / (10 + t))
        for name, a in plain.generator.state_dict().items():
            now = a.ravel().tolist()
            mean = [d * old + (1 - d) * new for old, new in zip(wanted[name], now, strict=True)]
            wanted[name] = now if name.endswith("key") else mean
    report = Report(f"five updates of a generator averaged with decay {decay}", VALUE_TOLERANCE)
    live, shapes = plain.generator.values.copy(), {name: a.shape for name, a in plain.generator.state_dict().items()}
    plain.generator.load_state_dict({name: np.reshape(wanted[name], shape) for name, shape in shapes.items()})
    compare(report, "what the discriminator says of samples", averaged.predict(noise), plain.predict(noise))
    ours, expected = (gan.sample(4, np.random.default_rng(seed)) for gan in (averaged, plain))
    compare(report, "samples", ours, expected)
    for name, a in averaged.average.network.state_dict().items():
        compare(report, f"average of {name}", a.ravel(), wanted[name])
    compare(report, "updates", averaged.average.updates, 5)
    compare(report, "the generator itself", averaged.generator.values, live)
    return report


def _gan_to_average(seed, average):
    rng = np.random.default_rng(seed)
    layers = [Dense(4), BatchNorm(0.8), Dropout(0.3), ReLU(), Dense(2)]
    generator = Sequential(layers, 3, rng, "float64", name="generator")
    discriminator = Sequential([Dense(5), ReLU(), Dense(1), Sigmoid()], 2, rng, "float64", name="discriminator")
    generator.values += rng.normal(0, 0.2, generator.values.shape)
    return GAN(generator, discriminator, SGD(0.5), SGD(0.1), average=average)
