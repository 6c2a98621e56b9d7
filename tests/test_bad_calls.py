"""Every public call with every kind of wrong argument in turn: it works as it should, or says in a short sentence of
numgan's own what is wrong. Nothing else is raised, NumPy warns of nothing, and what equals a float64 array gives what
that gives.
"""

import signal
import warnings

import numpy as np
import pytest

import numgan
from numgan import (
    GAN,
    SGD,
    Adam,
    AveragePooling2D,
    BatchNorm,
    BinaryCrossEntropy,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Embedding,
    Error,
    Flatten,
    History,
    Join,
    Label,
    LeakyReLU,
    NonSaturating,
    OneHot,
    Picture,
    ProgressBar,
    Rate,
    ReLU,
    Reshape,
    RMSprop,
    Sequential,
    Sigmoid,
    Skip,
    SoftmaxCrossEntropy,
    SpectralNorm,
    Tanh,
    Text,
    UpSampling2D,
    Wasserstein,
    check_adjoint,
    check_gradients,
    from_torch_layout,
    normal,
    to_torch_layout,
)
from numgan.data import Digits, Images, Labelled, Pairs, RingPoints, Scenes, SinePoints, StackedDigits, scenes
from numgan.data.rows import Rows
from numgan.gan.checkpoint import Checkpoint
from numgan.gan.equilibrium import Equilibrium
from numgan.gan.penalty import PENALTIES
from numgan.study import classifier, evaluation, metrics
from numgan.study.scenes import evaluate_scenes, judge_scenes
from numgan.study.translations import evaluate_translations
from tests.helpers import rng

X, NOISE = rng(2).normal(size=(6, 4)), rng(3).normal(size=(6, 3))
LABELS, P = np.array([[1.0], [0], [1], [1], [0], [0]]), rng(5).random((6, 1))
LOGITS, ONE_HOT = rng(6).normal(size=(6, 4)), np.eye(4)[[0, 1, 2, 3, 0, 1]]


class Weird:
    """What no array can be made of, and nothing can be said of."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no array")

    def __repr__(self):
        raise RuntimeError("no repr")


VALUES = [
    None, True, False, -1, 0, 1, 2, 3.5, -0.0, 1e308, 1e-320, 10**30, 10**5000, np.nan, np.inf, -np.inf, "3", "", b"x",
    [], [1], (1, 2), {}, {"a": 1}, {1: 2}, 1j, np.float16(2), np.int8(3), np.bool_(True), np.array(3), np.array([3]),
    np.datetime64("2020-01-01"), object(), Weird(), int, np.random, np.random.RandomState(0), range(3), set(),
    "x" * 9999,
]  # fmt: skip


def same(array):
    """The same numbers in other forms: each must give what the float64 array gives."""
    read_only = array.copy()
    read_only.flags.writeable = False
    return [array.astype(">f8"), array.tolist(), np.ma.masked_array(array), np.asfortranarray(array), read_only,
            np.repeat(array, 2, 0)[::2], array.astype(np.longdouble)]  # fmt: skip


def others(array):
    """Other arrays in its place, most of which cannot be."""
    array = np.asarray(array, float)
    spoilt = []
    for value in (np.nan, np.inf, -np.inf, 1e300, 1e39, -5.0, 2.0, 1e-320):
        spoilt.append(array.copy())
        spoilt[-1].flat[array.size - 1] = value
    masked = np.ma.masked_array(array, np.arange(array.size).reshape(array.shape) == 0)
    kinds = (np.float16, np.float32, np.int32, complex, object, str, "S3", bool, "M8[s]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kinds = [array.astype(kind) for kind in kinds]
    rows = array[:, 0] if array.ndim > 1 else array
    return [
        *kinds, *spoilt, masked, array[:0], array[:1], array[..., :0], array.ravel(), array[None], array[None, None],
        array.T, rows, np.concatenate([array, array]), np.zeros((6, 4), [("x", "f4")]), [[1, 2], [3]], [[None]],
        np.full(array.shape, 1e39), np.zeros(array.shape), np.ones(array.shape),
    ]  # fmt: skip


def network(**kwargs):
    return Sequential([Dense(5), LeakyReLU(0.2), BatchNorm(), Dense(1), Sigmoid()], 4, rng(), **kwargs)


def gan(**kwargs):
    g = Sequential([Dense(5), ReLU(), Dense(4)], 3, rng(0), name="g", **kwargs)
    return GAN(g, Sequential([Dense(6), LeakyReLU(), Dense(1), Sigmoid()], 4, rng(1), name="d", **kwargs))


def stacked(optimizer=None):
    """Two replicas."""
    g = Sequential([Dense(5), ReLU(), Dense(4)], 3, rng(0), name="g", replicas=2)
    return GAN(g, Sequential([Dense(6), LeakyReLU(), Dense(1), Sigmoid()], 4, rng(1), replicas=2, name="d"), optimizer)


def averaged():
    plain = gan(dtype="float64")
    return GAN(plain.generator.copy(), plain.discriminator.copy(), average=0.9)


def paying(penalty):
    plain = gan(dtype="float64")
    return GAN(plain.generator.copy(), plain.discriminator.copy(), penalty=penalty)


def critics(**kwargs):
    g = Sequential([Dense(5), ReLU(), Dense(4)], 3, rng(0), name="g", **kwargs)
    return GAN(
        g, Sequential([Dense(6), LeakyReLU(), Dense(1)], 4, rng(1), name="d", **kwargs), objective="relativistic"
    )


def conditional(**kwargs):
    """Of six classes, and of pictures of three numbers."""

    def joined():
        return [Join("label", 1, [OneHot(6), Flatten()]), Join("image", 3)]

    networks = (
        Sequential([*joined(), Dense(4)], 3, rng(0), "float64"),
        Sequential([*joined(), Dense(1), Sigmoid()], 4, rng(1), "float64"),
    )
    return GAN(*networks, conditions={"label": Label(6), "image": Picture(3)}, **kwargs)


def trained(x, target, **kwargs):
    ours = network(**kwargs)
    ours.compile(SGD(0.01))
    return ours.train_on_batch(x, target)


def given_labels(method, **given):
    """What a network with labels makes of a call."""
    network = Sequential([Join("label", 1, [Embedding(6, 2), Flatten()]), Dense(1), Sigmoid()], 4, rng(), "float64")
    network.compile(SGD(0.1))
    result = getattr(network, method)(**given)
    return result.copy() if method == "forward" else result


def gan_of(conditions):
    """A GAN whose networks read labels, told what they are."""
    layers = [[Join("label", 1, [OneHot(6), Flatten()]), *end] for end in ([Dense(4)], [Dense(1), Sigmoid()])]
    generator, discriminator = (Sequential(own, 4, rng()) for own in layers)
    GAN(generator, discriminator, conditions=conditions)


def backward(dy):
    ours = network(dtype="float64")
    ours.forward(X)
    return ours.backward(dy).copy()


def loaded(owner, **changes):
    owner.load_state_dict(owner.state_dict() | changes)
    return {name: a.tobytes() for name, a in owner.state_dict().items()}


def compiled(optimizer, loss):
    network().compile(optimizer, loss)


def drawn(source, *shape):
    def draw(n, rng, out):
        source.sample(n, rng, out)
        return out

    return draw, {"n": 3, "rng": rng(), "out": np.zeros((3, *shape))}


DIGITS = Digits(np.zeros((5, 784), np.uint8), np.arange(5, dtype=np.uint8))
SCENES, CAPTIONS = rng(8).uniform(-1, 1, (2, 3, 32, 32)), np.stack([scenes.encode("a red one")] * 2).astype(float)


def told(n, rng, out, text):
    Scenes(DIGITS).sample(n, rng, out, text)
    return out


BCE, FROM_LOGITS, SOFTMAX = BinaryCrossEntropy(), BinaryCrossEntropy(True, 0.1), SoftmaxCrossEntropy()
PICTURES = Images(np.zeros((5, 3, 4, 4), np.uint8), np.arange(5, dtype=np.uint8))
GREY = Images(np.zeros((5, 1, 2, 4), np.uint8))
PAIRS, LABELLED = Pairs(PICTURES, GREY), Labelled(Digits(np.zeros((20, 784), np.uint8), np.arange(20, dtype="u1") % 10))
# name -> (call, its arguments, all of them good): each is varied in turn
CALLS = {
    "Dense": (Dense, {"units": 3, "initializer": "he_normal", "bias_initializer": "zeros"}),
    "LeakyReLU": (LeakyReLU, {"slope": 0.2}),
    "BatchNorm": (BatchNorm, {"momentum": 0.9, "epsilon": 0.1}),
    "Reshape": (Reshape, {"shape": (2, 2)}),
    "Dropout": (Dropout, {"rate": 0.3}),
    "Embedding": (Embedding, {"count": 5, "features": 3, "initializer": "he_normal"}),
    "OneHot": (OneHot, {"count": 5}),
    "check_indices": (lambda x: OneHot(4).check_indices("label", x), {"x": np.array([[0.0], [3], [1], [1]])}),
    "a network of indices": (
        lambda shape: Sequential([Embedding(7, 2), Conv2D(2, (1, 2))], shape, rng()), {"shape": (3,)},
    ),
    "predict from indices": (
        lambda x: Sequential([Embedding(7, 2), Conv2D(2, (1, 2))], 3, rng(), "float64").predict(x),
        {"x": np.array([[0.0, 6, 1], [1, 1, 5]])},
    ),
    "Conv2D": (
        Conv2D,
        {"filters": 2, "kernel_size": (3, 2), "strides": 1, "padding": "same", "initializer": "he_normal",
         "bias_initializer": "zeros"},
    ),
    "Conv2DTranspose": (
        Conv2DTranspose,
        {"filters": 2, "kernel_size": 4, "strides": (2, 1), "padding": ((1, 0), (0, 2)), "initializer": "he_normal",
         "bias_initializer": "zeros"},
    ),
    "SpectralNorm": (SpectralNorm, {"layer": Dense(3)}),
    "Skip": (Skip, {"layers": [Dense(3)]}),
    "Join": (Join, {"condition": "label", "shape": 1, "layers": [OneHot(5), Flatten()]}),
    "a network with both": (
        lambda shape: Sequential([Join("image", (2, 4, 4)), Skip([Conv2D(1, 1)]), Flatten(), Dense(1)], shape, rng()),
        {"shape": (1, 4, 4)},
    ),
    "Label": (Label, {"classes": 5}),
    "Text": (Text, {"words": ["", "red", "one"], "length": 3}),
    "Picture": (Picture, {"shape": (1, 4, 4)}),
    "predict under conditions": (
        lambda x, **more: conditional().generator.predict(x, **more),
        {"x": NOISE, "label": np.arange(6.0)[:, None], "image": NOISE + 1},
    ),
    "train_on_batch under conditions": (
        lambda **more: given_labels("train_on_batch", **more), {"x": X, "target": LABELS, "label": np.arange(6.0)},
    ),
    "forward under conditions": (lambda **more: given_labels("forward", **more), {"x": X, "label": np.arange(6.0)}),
    "a conditional GAN": (
        lambda **more: conditional(**more), {"matching_aware": True, "l1_weight": 3.0, "schedule": "separate"},
    ),
    "conditions": (lambda conditions: gan_of(conditions), {"conditions": {"label": Label(6)}}),
    "train_discriminator under conditions": (
        lambda **more: conditional(matching_aware=True).train_discriminator(**more),
        {"real": X, "noise": NOISE, "label": np.arange(6.0)[:, None], "image": NOISE + 1},
    ),
    "train_generator under conditions": (
        lambda **more: conditional(l1_weight=2.0).train_generator(**more),
        {"noise": NOISE, "real": X, "label": np.arange(6.0)[:, None], "image": NOISE + 1},
    ),
    "GAN.sample under conditions": (
        lambda **more: conditional().sample(6, rng(), **more), {"label": np.arange(6.0)[:, None], "image": NOISE},
    ),
    "GAN.predict under conditions": (
        lambda **more: conditional().predict(**more), {"noise": NOISE, "label": np.arange(6.0), "image": NOISE},
    ),
    "check_gradients under conditions": (
        lambda conditions: check_gradients(conditional(), (X, NOISE), conditions=conditions, coordinates=1).passed,
        {"conditions": {"label": 3, "image": NOISE}},
    ),
    "AveragePooling2D": (AveragePooling2D, {"pool_size": 2, "strides": (1, 2), "padding": 1}),
    "UpSampling2D": (UpSampling2D, {"size": (2, 3)}),
    "a network of images": (
        lambda shape: Sequential([Conv2D(2, 3), AveragePooling2D(), UpSampling2D(), Dropout(0.1)], shape, rng()),
        {"shape": (2, 6, 6)},
    ),
    "predict from images": (
        lambda x: Sequential([Conv2D(2, 3, 2, "same"), Dropout(0.5)], (1, 3, 4), rng(), "float64").predict(x),
        {"x": rng().normal(size=(2, 1, 3, 4))},
    ),
    "normal": (normal, {"stddev": 0.1}),
    "Rate": (Rate, {"peak": 0.1, "warm_up": 2, "decay": "linear", "steps": 9, "final": 0.01}),
    "Rate.at": (Rate(0.1, 2, "cosine", 9).at, {"update": 3}),
    "SGD": (SGD, {"learning_rate": 0.1, "momentum": 0.5}),
    "RMSprop": (RMSprop, {"learning_rate": 0.1, "rho": 0.9, "epsilon": 1e-7}),
    "Adam": (Adam, {"learning_rate": 0.1, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-7, "form": "keras"}),
    "BinaryCrossEntropy": (BinaryCrossEntropy, {"from_logits": False, "label_smoothing": 0.1, "epsilon": 1e-7}),
    "NonSaturating": (NonSaturating, {"label_smoothing": 0.1, "discriminator_loss": "mean"}),
    "Wasserstein": (Wasserstein, {"clip": 0.1}),
    "train_generator in pairs": (
        lambda **more: critics(dtype="float64").train_generator(**more),
        {"noise": NOISE, "real": X},
    ),
    "History": (History, {"objective": "minimax"}),
    "ProgressBar": (ProgressBar, {"total": 3}),
    "Checkpoint": (Checkpoint, {"path": "x.npz", "every": 3}),
    "Rows": (Rows, {"rows": X}),
    "Sequential": (
        lambda layers, **more: Sequential([Dense(2)] if layers == "good" else layers, **more),
        {"layers": "good", "shape": 4, "rng": rng(), "dtype": "float32", "replicas": None, "name": "n"},
    ),
    "GAN": (
        lambda generator, discriminator, **more: GAN(
            gan().generator.copy() if generator == "good" else generator,
            gan().discriminator.copy() if discriminator == "good" else discriminator, **more),
        {"generator": "good", "discriminator": "good", "generator_optimizer": None, "discriminator_optimizer": None,
         "objective": "minimax", "schedule": "separate", "average": 0.9, "noise": "uniform",
         "shared_fakes": False},
    ),
    "forward": (lambda x, training: network(dtype="float64").forward(x, training).copy(), {"x": X, "training": True}),
    "predict": (lambda x: network(dtype="float64").predict(x), {"x": X}),
    "predict, float32": (lambda x: network().predict(x), {"x": X}),
    "predict, replicas": (lambda x: network(replicas=2).predict(x), {"x": X}),
    "backward": (backward, {"dy": np.ones((6, 1))}),
    "train_on_batch": (lambda x, target: trained(x, target, dtype="float64"), {"x": X, "target": LABELS}),
    "train_on_batch, float32": (trained, {"x": X, "target": LABELS}),
    "compile": (compiled, {"optimizer": SGD(0.1), "loss": BCE}),
    "plan": (lambda batch: network().plan(batch, training=True, backward=True), {"batch": 4}),
    "copy": (lambda **more: network().copy(**more), {"dtype": "float32", "replicas": 2}),
    "load a network": (
        lambda a: loaded(network(dtype="float64"), **{"dense_1.weight": a}), {"a": rng().normal(size=(5, 4))},
    ),
    "load a variance": (lambda a: loaded(network(), **{"batch_norm_1.running_variance": a}), {"a": np.ones(5)}),
    "load a GAN": (lambda a: loaded(gan(dtype="float64"), **{"generator_optimizer.v": a}), {"a": np.ones(44)}),
    "load steps": (lambda a: loaded(gan(), **{"generator_optimizer.steps": a}), {"a": 7}),
    "load an average": (
        lambda a: loaded(averaged(), **{"average.dense_1.weight": a}), {"a": rng().normal(size=(5, 3))},
    ),
    "load its updates": (lambda a: loaded(averaged(), **{"average.updates": a}), {"a": 7}),
    "load": (lambda a: gan().load_state_dict(a), {"a": gan().state_dict()}),
    "train_discriminator": (
        lambda **more: gan(dtype="float64").train_discriminator(**more), {"real": X, "noise": NOISE},
    ),
    "train_generator": (lambda noise: gan().train_generator(noise), {"noise": NOISE}),
    "train_discriminator with a penalty": (
        lambda **more: paying("wgan-gp").train_discriminator(**more),
        {"real": X, "noise": NOISE, "mix": rng().uniform(size=len(X))},
    ),
    "penalty": (lambda penalty: paying(penalty).penalty, {"penalty": "r1"}),
    **{kind.__name__: (kind, {"weight": 2.0, "every": 3}) for kind in PENALTIES.values()},
    "GAN.predict": (lambda noise: gan(dtype="float64").predict(noise), {"noise": NOISE}),
    "GAN.sample": (lambda **more: gan().sample(**more), {"n": 3, "rng": rng()}),
    "GAN.draw_noise": (lambda **more: gan().draw_noise(**more), {"n": 3, "rng": rng()}),
    "fit": (
        lambda **more: gan(dtype="float64").fit(**more)["g_loss"],
        {"data": X, "steps": 2, "batch_size": 4, "rng": rng(), "every": 2, "callback": None, "discriminator_steps": 1,
         "generator_steps": 1, "checkpoint": None, "resume": False, "parts": {}, "insides": False,
         "processes": 1},
    ),
    "GAN.stack": (lambda gans: GAN.stack(gans).generator.replicas, {"gans": [gan(), gan()]}),
    "GAN.replica": (lambda r: stacked().replica(r).generator.values, {"r": 1}),
    "GAN.set_replica": (lambda **more: stacked().set_replica(**more), {"r": 1, "gan": gan()}),
    "fit of replicas": (
        lambda **more: stacked().fit(X, steps=2, batch_size=4, **more)["g_loss"],
        {"rng": [rng(0), rng(1)], "processes": 1},
    ),
    "Adam of replicas": (
        lambda **more: stacked(Adam(**more)).generator.values,
        {"learning_rate": [0.1, 0.2], "beta1": [0.1, 0.2], "beta2": (0.1, 0.2), "epsilon": np.array([0.1, 0.2])},
    ),
    "fit in epochs": (lambda epochs: len(gan().fit(X, rng=rng(), batch_size=4, epochs=epochs)), {"epochs": 1}),
    "Equilibrium": (
        lambda gan_, **more: Equilibrium(gan() if gan_ == "good" else gan_, **more),
        {"gan_": "good", "held_out": Rows(X), "tolerance": 0.1, "rng": rng()},
    ),
    "to PyTorch": (lambda net: to_torch_layout(network() if net == "good" else net), {"net": "good"}),
    "from PyTorch": (
        lambda a: from_torch_layout(network(), to_torch_layout(network()) | {"0.weight": a}),
        {"a": rng().normal(size=(5, 4))},
    ),
    **{
        f"{name}.{method}": (getattr(loss, method), {"prediction": prediction, "target": target})
        for name, loss, prediction, target in (
            ("cross-entropy", BCE, P, LABELS), ("from logits", FROM_LOGITS, LOGITS[:, :1], LABELS),
            ("softmax", SOFTMAX, LOGITS, ONE_HOT),
        )
        for method in ("value", "elements", "gradient", "accuracy")
    },
    "gradient into": (lambda out: FROM_LOGITS.gradient(LOGITS[:, :1], LABELS, out), {"out": np.zeros((6, 1))}),
    "check_target": (BCE.check_target, {"target": LABELS, "shape": (6, 1)}),
    "smooth": (FROM_LOGITS.smooth, {"target": LABELS}),
    "check_gradients": (
        lambda **more: check_gradients(Tanh(), **more).passed,
        {"x": X, "training": True, "tolerance": 1e-7, "coordinates": 2, "directions": 0, "seed": 0},
    ),
    "check_gradients of anything": (lambda subject: check_gradients(subject, X), {"subject": Sigmoid()}),
    "check_gradients of a loss": (
        lambda **more: check_gradients(BCE, coordinates=1, **more).passed, {"x": P, "target": LABELS},
    ),
    "check_gradients of a GAN": (lambda x: check_gradients(gan(), x, coordinates=1), {"x": (X, NOISE)}),
    "check_gradients of a function": (
        lambda x: check_gradients(
            lambda x: np.tanh(x).sum(), x, gradient=lambda x: 1 - np.tanh(x) ** 2, coordinates=2).passed,
        {"x": X},
    ),
    "check_adjoint": (
        lambda **more: check_adjoint(**({"apply": np.negative, "transpose": np.negative} | more)).passed,
        {"apply": np.negative, "transpose": np.negative, "shape": (2,), "trials": 2, "tolerance": 1e-12, "seed": 0},
    ),
    "frechet_distance": (metrics.frechet_distance, {"a": X, "b": X + 1}),
    "precision_and_coverage": (metrics.precision_and_coverage, {"samples": X, "real": X + 1, "k": 2}),
    "class_shares": (metrics.class_shares, {"probabilities": ONE_HOT}),
    "confident_share": (metrics.confident_share, {"probabilities": ONE_HOT, "least": 0.9}),
    "nearest_distances": (metrics.nearest_distances, {"a": X, "b": X + 1}),
    "nearest_rows": (metrics.nearest_rows, {"a": X, "b": X + 1, "k": 2}),
    "energy_distance": (metrics.energy_distance, {"a": X, "b": X + 1}),
    "mean_distance": (metrics.mean_distance, {"a": X, "b": X + 1}),
    "sine_quality": (metrics.sine_quality, {"points": X[:, :2]}),
    "mixture_quality": (metrics.mixture_quality, {"points": X, "centres": X[:3] + 1, "deviation": 0.1}),
    "features": (classifier.features, {"images": rng().uniform(-1, 1, (2, 784))}),
    "probabilities": (classifier.probabilities, {"images": rng().uniform(-1, 1, (2, 784))}),
    "evaluate_points": (evaluation.evaluate_points, {"samples": rng().normal(size=(120, 2)), "rng": rng()}),
    "evaluate_ring": (evaluation.evaluate_ring, {"samples": rng().normal(size=(120, 2)), "rng": rng()}),
    "evaluate_translations": (
        evaluate_translations, {"made": rng().uniform(-1, 1, (3, 3, 4, 4)), "held_out": PAIRS, "rows": np.arange(3.0)},
    ),
    "evaluate_classes": (
        evaluation.evaluate_classes,
        {"samples": rng().uniform(-1, 1, (20, 784)), "labels": np.arange(20.0) % 10, "training": LABELLED,
         "held_out": LABELLED, "rng": rng()},
    ),
    "Digits": (Digits, {"images": np.zeros((5, 784), np.uint8), "labels": np.zeros(5, np.uint8)}),
    "Digits.sample": drawn(Digits(np.zeros((5, 784), np.uint8)), 784),
    "Images": (Images, {"images": np.zeros((5, 3, 4, 4), np.uint8), "labels": np.zeros(5, np.uint8)}),
    "Images.sample": drawn(Images(np.zeros((5, 3, 4, 4), np.uint8)), 3, 4, 4),
    "Pairs": (
        lambda targets, inputs: Pairs(PICTURES if targets == "good" else targets, GREY if inputs == "good" else inputs),
        {"targets": "good", "inputs": "good"},
    ),
    "Pairs.sample": (
        PAIRS.sample,
        {"n": 3, "rng": rng(), "out": np.zeros((3, 3, 4, 4)), "image": np.zeros((3, 1, 2, 4))},
    ),
    "Labelled": (lambda rows: Labelled(PICTURES if rows == "good" else rows), {"rows": "good"}),
    "Labelled.sample": (
        Labelled(PICTURES).sample,
        {"n": 3, "rng": rng(), "out": np.zeros((3, 3, 4, 4)), "label": np.zeros((3, 1))},
    ),
    "StackedDigits.sample": drawn(StackedDigits(Digits(np.zeros((5, 784), np.uint8))), 3, 28, 28),
    "Scenes": (Scenes, {"digits": DIGITS, "combinations": "seen"}),
    "Scenes.sample": (told, {"n": 3, "rng": rng(), "out": np.zeros((3, 3, 32, 32)), "text": np.zeros((3, 8))}),
    "parse": (scenes.parse, {"text": "a red one"}),
    "encode": (scenes.encode, {"text": "a red one"}),
    "decode": (scenes.decode, {"numbers": CAPTIONS[0]}),
    "judge_scenes": (judge_scenes, {"samples": SCENES, "text": CAPTIONS}),
    "evaluate_scenes": (
        evaluate_scenes, {"samples": SCENES, "text": CAPTIONS, "held_out": Scenes(DIGITS), "rng": rng()},
    ),
    "SinePoints.sample": drawn(SinePoints(), 2),
    "RingPoints.sample": drawn(RingPoints(), 2),
}  # fmt: skip
# What an array of float64 may not be exchanged for: a checkpoint of one's own work, uint8 images, an array to write to.
PARTICULAR = (
    "gradient into", "Digits", "Digits.sample", "Images", "Images.sample", "Pairs.sample", "Labelled.sample",
    "StackedDigits.sample", "Scenes.sample", "SinePoints.sample", "RingPoints.sample",
)  # fmt: skip


def outcome(call, arguments):
    """(result, None) or (None, what was wrong), of numgan's own words; no warning, and no wait."""
    before = signal.setitimer(signal.ITIMER_REAL, 10) if hasattr(signal, "setitimer") else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return call(**arguments), None
    except Error as error:
        assert 0 < len(str(error)) <= 500 and "\n" not in str(error)
        return None, error
    finally:
        if before is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_with_a_wrong_argument_works_or_is_refused_in_words(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a checkpoint may be named by some of these
    call, good = CALLS[name]
    assert outcome(call, good)[1] is None
    refused = 0
    for argument, value in good.items():
        is_array = isinstance(value, np.ndarray)
        for wrong in VALUES + (others(value) if is_array else []):
            if name == "check_gradients of a function" and isinstance(wrong, dict):
                continue  # which are the keyword arguments of the function
            try:
                refused += outcome(call, good | {argument: wrong})[1] is not None
            except Exception as error:
                kind = f"{wrong.dtype} {wrong.shape}" if isinstance(wrong, np.ndarray) else type(wrong).__name__
                raise AssertionError(f"{name}({argument}: {kind}): {type(error).__name__}: {error}") from error
    assert refused > len(good)  # some of these are wrong for every argument


@pytest.mark.parametrize("name", [name for name in CALLS if name not in PARTICULAR])
def test_the_same_numbers_in_another_form_give_the_same(name):
    call, good = CALLS[name]
    for argument, value in good.items():
        if not isinstance(value, np.ndarray) or "rng" in good:
            continue
        expected, _ = outcome(call, good)
        for form in same(value):
            result, error = outcome(call, good | {argument: form})
            assert error is None, (argument, type(form))
            if isinstance(result, dict):
                assert result == expected
            elif isinstance(result, np.ndarray | float | tuple):
                np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-12)


def test_every_public_name_is_called():
    """Whoever offers a new one calls it here too, or says why not."""
    elsewhere = {
        "Error", "GradientError", "ModelFileError", "NonFiniteError",  # raised, not called
        "Flatten", "ReLU", "SiLU", "Sigmoid", "SoftmaxCrossEntropy", "Tanh",  # take no arguments
        "Hinge", "LeastSquares", "Relativistic",  # nor do these
        "Layer", "OwnLosses", "Minimax",  # base classes; what NonSaturating is
    }  # fmt: skip
    called = {"check_adjoint", "check_gradients", "from_torch_layout", "to_torch_layout"}
    assert set(numgan.__all__) - elsewhere - called <= set(CALLS)


SILENT = {
    "accuracy of (3, 1) against (3,)": lambda: BCE.accuracy(P[:3], LABELS[:3, 0]),
    "targets of 2": lambda: BCE.value(P, LABELS * 2),
    "probabilities of 2": lambda: BCE.value(P * 9, LABELS),
    "a NaN among the inputs": lambda: network().predict(np.full((2, 4), np.nan)),
    "numbers beyond float32": lambda: network().predict(np.full((2, 4), 1e39)),
    "an optimizer shared": lambda: GAN(gan().generator, gan().discriminator, *[Adam()] * 2),
    "a network against itself": lambda: GAN(*[Sequential([Dense(1), Sigmoid()], 1, rng())] * 2),
    "steps of −1": lambda: loaded(gan(), **{"generator_optimizer.steps": -1}),
    "steps of 1.5": lambda: loaded(gan(), **{"generator_optimizer.steps": 1.5}),
    "steps of 10³⁰⁰": lambda: loaded(gan(), **{"generator_optimizer.steps": 1e300}),
    "steps of ∞": lambda: loaded(gan(), **{"generator_optimizer.steps": np.inf}),
    "a negative second moment": lambda: loaded(gan(), **{"generator_optimizer.v": -np.ones(44)}),
    "a network of a petabyte": lambda: Sequential([Dense(10**9), Dense(10**9)], 10**3, rng()),
    "weights that do not fit": lambda: Sequential([Dense(2, lambda *a: np.ones(2))], 3, rng()),
    "weights that are NaN": lambda: Sequential([Dense(2, lambda *a: np.full((2, 3), np.nan))], 3, rng()),
}


@pytest.mark.parametrize("case", SILENT)
def test_what_would_be_silently_wrong_is_refused(case):
    with pytest.raises(Error) as caught:
        SILENT[case]()
    assert 0 < len(str(caught.value)) <= 500


@pytest.mark.parametrize("name, value", [
    ("generator.dense_1.weight", np.nan), ("generator.dense_1.weight", np.inf), ("discriminator.dense_2.bias", 1e39),
    ("generator_optimizer.m", np.nan), ("discriminator_optimizer.v", -1.0), ("discriminator_optimizer.steps", -1),
])  # fmt: skip
def test_a_state_that_cannot_be_changes_nothing_at_all(name, value):
    ours, arrays = gan(), gan().state_dict()
    other = {key: a + 1 for key, a in arrays.items()}
    other[name] = np.full_like(np.asarray(other[name], float), value)
    with pytest.raises(Error, match=name.partition(".")[2]):
        ours.load_state_dict(other)
    assert {key: a.tobytes() for key, a in ours.state_dict().items()} == {k: a.tobytes() for k, a in arrays.items()}
