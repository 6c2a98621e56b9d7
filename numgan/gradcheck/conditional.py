"""Small conditional GANs to be checked whole: classes, words and pictures as conditions, in every way that they reach a
network; skip connections, scores of patches, matching-aware discriminators, the distance to a target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from numgan.gan.conditions import Label, Picture, Text
from numgan.gan.model import GAN
from numgan.gradcheck.check import check_gradients
from numgan.nn.activations import LeakyReLU, Tanh
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dense import Dense
from numgan.nn.embedding import Embedding, OneHot
from numgan.nn.joining import Join, Skip
from numgan.nn.network import Sequential
from numgan.nn.resampling import UpSampling2D
from numgan.nn.reshaping import Flatten, Reshape

if TYPE_CHECKING:
    from numgan.gan.objectives import Objective
    from numgan.gan.penalty import Penalty
    from numgan.gradcheck.report import Report
    from numgan.hints import Rng
    from numgan.nn.layer import Layer


def moved(network: Sequential, rng: Rng) -> Sequential:
    """A network away from its starting values: with biases, and statistics that are not those of its batch."""
    network.values += rng.normal(0, 0.2, network.values.shape)
    for layer in network.layers:
        for name, array in layer.state.items():
            if name.rpartition(".")[2] != "key":
                array += rng.uniform(0.1, 0.5, array.shape)
    return network


def gan_with_labels(
    objective: Objective, schedule: str, matching_aware: bool, seed: int, penalty: Penalty | None = None
) -> GAN:
    """Dense networks; the class one-hot beside the noise, and by way of an embedding and a layer beside the row. A
    discriminator that pays a penalty has no batch norm.
    """
    rng = np.random.default_rng(seed)
    vectors: list[Layer] = [Embedding(4, 2), Flatten(), Dense(3), Tanh()]
    grow = [Join("label", 1, [OneHot(4), Flatten()]), Dense(5), LeakyReLU(0.2), BatchNorm(0.8), Dense(4), Tanh()]
    shrink = [Join("label", 1, vectors), Dense(6), *([] if penalty else [BatchNorm(0.8)])]
    shrink += [Tanh(), Dense(1), *objective.closing()]
    generator = moved(Sequential(grow, 3, rng, "float64", name="generator"), rng)
    discriminator = moved(Sequential(shrink, 4, rng, "float64", name="discriminator"), rng)
    conditions = {"label": Label(4)}
    how = {"objective": objective, "schedule": schedule, "matching_aware": matching_aware, "penalty": penalty}
    return GAN(generator, discriminator, conditions=conditions, **how)


def gan_with_words(objective: Objective, schedule: str, seed: int) -> GAN:
    """Images of what texts say: a convolution over words, beside the noise and, repeated, beside small images."""
    rng = np.random.default_rng(seed)

    def sentence():
        return [Embedding(5, 2), Conv2D(2, (1, 2)), Tanh(), Flatten(), Dense(2)]

    everywhere: list[Layer] = [*sentence(), Reshape((2, 1, 1)), UpSampling2D(2)]
    grow = [Join("text", 3, sentence()), Dense(8), Reshape((2, 2, 2)), Tanh(), Conv2DTranspose(1, 2, 2), Tanh()]
    shrink = [Conv2D(2, 2, 2), Tanh(), Join("text", 3, everywhere), Conv2D(3, 1), Tanh(), Flatten(), Dense(1)]
    generator = moved(Sequential(grow, 2, rng, "float64", name="generator"), rng)
    discriminator = moved(
        Sequential([*shrink, *objective.closing()], (1, 4, 4), rng, "float64", name="discriminator"), rng
    )
    conditions = {"text": Text(["·", "a", "red", "blue", "one"], 3)}
    how = {"objective": objective, "schedule": schedule, "matching_aware": True}
    return GAN(generator, discriminator, conditions=conditions, **how)


def gan_of_translations(objective: Objective, schedule: str, seed: int) -> GAN:
    """A U-Net whose discriminator judges patches, and which is paid for its distance to the target too."""
    rng, image = np.random.default_rng(seed), (1, 4, 4)
    inner = [Tanh(), Conv2D(2, 2, 2), Tanh(), Conv2DTranspose(2, 2, 2), BatchNorm(0.8)]
    grow = [
        Join("image", image),
        Conv2D(2, 4, 2, "same"),
        Skip(inner),
        Tanh(),
        Conv2DTranspose(2, 4, 2, "same"),
        Tanh(),
    ]
    shrink = [Join("image", image), Conv2D(3, 2), Tanh(), Conv2D(1, 2), *objective.closing()]
    generator = moved(Sequential(grow, image, rng, "float64", name="generator"), rng)
    discriminator = moved(Sequential(shrink, (2, 4, 4), rng, "float64", name="discriminator"), rng)
    conditions = {"image": Picture(image)}
    return GAN(generator, discriminator, objective=objective, schedule=schedule, conditions=conditions, l1_weight=3.0)


def label_gradients(
    objective: Objective, schedule: str, matching_aware: bool, penalty: Penalty | None, seed: int, tolerance: float
) -> Report:
    """Both steps of the GAN with classes, of which no two neighbours have the same."""
    rng = np.random.default_rng(seed)
    x, label = (rng.normal(0, 1, (5, 4)), rng.standard_normal((5, 3))), np.array([2, 0, 3, 0, 1])
    gan = gan_with_labels(objective, schedule, matching_aware, seed, penalty)
    what = ["classes", *(["matching-aware"] if matching_aware else []), *([repr(penalty)] if penalty else [])]
    return _checked(gan, x, {"label": label}, ", ".join(what), seed, tolerance)


def word_gradients(objective: Objective, schedule: str, seed: int, tolerance: float) -> Report:
    """Both steps of the GAN with words, some of which occur several times, or not at all."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (3, 1, 4, 4)), rng.standard_normal((3, 2))
    text = np.array([[1, 2, 4], [1, 3, 1], [3, 0, 0]])
    return _checked(gan_with_words(objective, schedule, seed), x, {"text": text}, "words", seed, tolerance)


def translation_gradients(objective: Objective, schedule: str, seed: int, tolerance: float) -> Report:
    """Both steps of the GAN that translates."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (3, 2, 4, 4)), rng.standard_normal((3, 1, 4, 4))
    image = rng.normal(0, 1, (3, 1, 4, 4))
    return _checked(gan_of_translations(objective, schedule, seed), x, {"image": image}, "pictures", seed, tolerance)


def _checked(gan, x, conditions, what, seed, tolerance):
    report = check_gradients(gan, x, conditions=conditions, tolerance=tolerance, seed=seed)
    report.subject = f"conditions: {what}, {gan.schedule} schedule, {gan.objective!r}: {report.subject}"
    return report
