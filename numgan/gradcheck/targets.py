"""The named checks behind `numgan gradcheck`, by target: layers, losses, optimisers, objectives, a GAN's two steps.

A check is a function (seed, tolerance) -> Report.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from numgan.gan.model import GAN
from numgan.gan.objectives import OBJECTIVES, Hinge, LeastSquares, Minimax, NonSaturating, Relativistic, Wasserstein
from numgan.gan.penalty import PENALTIES, R1, R1R2, R2, WassersteinPenalty
from numgan.gan.steps import SCHEDULES, schedules
from numgan.gradcheck import formulas
from numgan.gradcheck.check import check_gradients
from numgan.gradcheck.conditional import label_gradients, translation_gradients, word_gradients
from numgan.gradcheck.formulas.compare import ROWS
from numgan.hints import DType, Shape
from numgan.kernels import losses as kernels
from numgan.nn import convolution
from numgan.nn.activations import LeakyReLU, ReLU, Sigmoid, SiLU, Tanh
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dense import Dense
from numgan.nn.dropout import Dropout
from numgan.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from numgan.nn.network import Sequential, snake_case
from numgan.nn.registry import LAYERS
from numgan.nn.resampling import AveragePooling2D, UpSampling2D
from numgan.nn.reshaping import Flatten, Reshape
from numgan.nn.spectral_norm import SpectralNorm

if TYPE_CHECKING:
    from numgan.gan.objectives import Objective
    from numgan.gan.penalty import Penalty
    from numgan.gradcheck.report import Report
    from numgan.nn.layer import Layer


def layer_gradients(layer: Layer, shape: Shape, training: bool, seed: int, tolerance: float) -> Report:
    """A layer's gradients, on as many rows as features: then a wrong axis or transpose fits, and shows."""
    x = np.random.default_rng(seed).normal(0.2, 1.3, (ROWS, *shape))
    return check_gradients(layer, x, training=training, tolerance=tolerance, seed=seed)


def in_pieces(check: Callable, layer: Layer, shape: Shape, training: bool, seed: int, tolerance: float) -> Report:
    """The same of a convolution that scatters in pieces, as large ones do: a channel at a time."""
    whole, convolution.PIECE = convolution.PIECE, 1
    try:
        return titled("in pieces", check(layer, shape, training, seed, tolerance))
    finally:
        convolution.PIECE = whole


def neighbouring_convolutions(seed: int, tolerance: float) -> Report:
    """Two convolutions whose patches have one shape, and so, where nothing learns, share their scratch, but not what of
    it is padding.
    """
    rng = np.random.default_rng(seed)
    layers = [Conv2D(2, 3, padding=((2, 0), (0, 2))), Tanh(), Conv2D(2, 3, padding=((0, 2), (1, 1)))]
    network = Sequential(layers, (2, 3, 4), rng, "float64", name="network")
    x = rng.normal(0.2, 1.3, (ROWS, 2, 3, 4))
    report = check_gradients(network, x, training=False, tolerance=tolerance, seed=seed)
    return titled("neighbours with one scratch", report)


def loss_gradients(from_logits: bool, seed: int, tolerance: float) -> Report:
    rng = np.random.default_rng(seed)
    prediction = rng.normal(0, 3, (6, 3)) if from_logits else rng.uniform(0.02, 0.98, (6, 3))
    loss = BinaryCrossEntropy(from_logits, label_smoothing=0.1)
    return check_gradients(loss, prediction, target=rng.integers(0, 2, (6, 3)), tolerance=tolerance, seed=seed)


def clip_gradients(seed: int, tolerance: float) -> Report:
    """Probabilities within the clip and beyond it, up to exactly 0 and 1: where the loss is flat its gradient is 0. The
    clip is set at 10⁻², so that what lies beyond it has room for differences.
    """
    rng = np.random.default_rng(seed)
    p = rng.permutation([0.0, 1.0, 1e-9, 1 - 1e-9, 1e-3, 1 - 1e-3, *rng.uniform(0.1, 0.9, 6)]).reshape(6, 2)
    target = rng.permutation(np.repeat([0, 1], 6)).reshape(6, 2)
    report = check_gradients(BinaryCrossEntropy(epsilon=1e-2), p, target=target, tolerance=tolerance, seed=seed)
    return titled("within and beyond the clip", report)


def softmax_gradients(seed: int, tolerance: float) -> Report:
    """More rows than classes, so that 1/N cannot pass for 1/n; targets that are neither 0 nor 1."""
    rng = np.random.default_rng(seed)
    logits, target = rng.normal(0, 3, (6, 4)), rng.dirichlet(np.ones(4), 6)
    return check_gradients(SoftmaxCrossEntropy(), logits, target=target, tolerance=tolerance, seed=seed)


def absolute_error_gradients(seed: int, tolerance: float) -> Report:
    """A generator's loss at its output, the adversary's and λ·mean |y − t|: the second gradient is added to the first.
    More samples than features, so that no mean passes for another.
    """
    rng, weight = np.random.default_rng(seed), 7.0
    y, adversary, target = (rng.normal(0, 1, (3, 5)) for _ in range(3))
    share = np.array(weight / y.size)

    def loss(y):
        errors = np.empty_like(y)
        kernels.absolute_error_forward(y, target, out=errors)
        return (adversary * y).sum() + weight * errors.mean()

    def gradient(y):
        dy = adversary.copy()
        kernels.absolute_error_backward(y, target, share, np.empty_like(y), out=dy)
        return dy

    report = check_gradients(loss, y, gradient=gradient, tolerance=tolerance, seed=seed)
    return titled("absolute error beside the adversary's loss", report)


def gan_with_batch_norm(
    objective: Objective, schedule: str = "concatenated", seed: int = 0, dtype: DType = "float64"
) -> GAN:
    """A small GAN with batch norm in both networks: frozen, its discriminator has statistics that could move."""
    rng = np.random.default_rng(seed)
    generator = Sequential(
        [Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(4), Tanh()],
        3,
        rng,
        dtype,
        name="generator",
    )
    discriminator = Sequential(
        [
            Dense(6),
            BatchNorm(0.8),
            LeakyReLU(0.2),
            Dense(5),
            Tanh(),
            Dense(1),
            *objective.closing(),
        ],
        4,
        rng,
        dtype,
        name="discriminator",
    )
    for network in (generator, discriminator):
        network.values += rng.normal(0, 0.2, network.values.shape)
        network.state += rng.uniform(0.1, 0.5, network.state.shape)
    return GAN(generator, discriminator, objective=objective, schedule=schedule)


def gan_of_images(objective: Objective, schedule: str = "concatenated", seed: int = 0, dtype: DType = "float64") -> GAN:
    """A small GAN of images, batch norm and dropout in both networks, and all layers that change an image's size."""
    rng = np.random.default_rng(seed)
    generator = Sequential(
        [
            Dense(8),
            Reshape((2, 2, 2)),
            BatchNorm(0.8),
            LeakyReLU(0.2),
            Dropout(0.3),
            Conv2DTranspose(2, 3, (2, 1), "same"),
            BatchNorm(0.8),
            Tanh(),
            UpSampling2D((1, 2)),
            Conv2D(1, 3, padding="same"),
            Tanh(),
        ],
        3,
        rng,
        dtype,
        name="generator",
    )
    discriminator = Sequential(
        [
            Conv2D(2, (2, 4), (1, 2), "same"),
            LeakyReLU(0.2),
            Dropout(0.25),
            Conv2D(2, 2),
            BatchNorm(0.8),
            Tanh(),
            AveragePooling2D(2, 1, "same"),
            Flatten(),
            Dropout(0.4),
            Dense(1),
            *objective.closing(),
        ],
        (1, 4, 4),
        rng,
        dtype,
        name="discriminator",
    )
    for network in (generator, discriminator):
        network.values += rng.normal(0, 0.2, network.values.shape)
        for layer in network.layers:
            if isinstance(layer, BatchNorm):
                for array in layer.state.values():
                    array += rng.uniform(0.1, 0.5, array.shape)
    return GAN(generator, discriminator, objective=objective, schedule=schedule)


def gan_with_spectral_norm(objective: Objective, schedule: str = "concatenated", seed: int = 0) -> GAN:
    """A small GAN of images with spectral norms in both networks, of every layer that can have one."""
    rng = np.random.default_rng(seed)
    grow = [Dense(6), Reshape((3, 1, 2)), SpectralNorm(Conv2DTranspose(2, (2, 3), 2, "same")), Tanh()]
    shrink = [SpectralNorm(Conv2D(3, 2, (1, 2), "same")), LeakyReLU(0.2), Flatten(), SpectralNorm(Dense(4)), Tanh()]
    generator = Sequential(grow, 3, rng, "float64", name="generator")
    discriminator = Sequential(
        [*shrink, SpectralNorm(Dense(1)), *objective.closing()], (2, 2, 4), rng, "float64", name="discriminator"
    )
    for network in (generator, discriminator):
        network.values += rng.normal(0, 0.2, network.values.shape)  # away from the singular vectors
    return GAN(generator, discriminator, objective=objective, schedule=schedule)


def spectral_chain_gradients(objective: Objective, schedule: str, seed: int, tolerance: float) -> Report:
    """Both steps of the small GAN with spectral norms, whole."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (5, 2, 2, 4)), rng.standard_normal((5, 3))
    report = check_gradients(gan_with_spectral_norm(objective, schedule, seed), x, tolerance=tolerance, seed=seed)
    return titled(f"spectral norms in both networks, {schedule} schedule, {objective!r}", report)


def image_chain_gradients(objective: Objective, schedule: str, seed: int, tolerance: float) -> Report:
    """Both steps of the small GAN of images, whole."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (4, 1, 4, 4)), rng.standard_normal((4, 3))
    report = check_gradients(gan_of_images(objective, schedule, seed), x, tolerance=tolerance, seed=seed)
    return titled(f"convolutions and dropout in both networks, {schedule} schedule, {objective!r}", report)


def chain_gradients(objective: Objective, schedule: str, seed: int, tolerance: float) -> Report:
    """Both steps of the small GAN with batch norm on either side, whole."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (7, 4)), rng.standard_normal((7, 3))
    report = check_gradients(gan_with_batch_norm(objective, schedule, seed), x, tolerance=tolerance, seed=seed)
    return titled(f"batch norm in both networks, {schedule} schedule, {objective!r}", report)


def score_gradients(objective: Objective, seed: int, tolerance: float) -> Report:
    """Both sides' gradients at the scores alone, which lie on either side of every bend that a loss may have."""
    rng = np.random.default_rng(seed)
    spread = np.linspace(-3, 3, 7) + rng.uniform(-0.3, 0.3, (3, 7))
    real, fake, made = (rng.permutation(scores).reshape(1, 7) for scores in spread)

    def losses(both, made):
        on_both = objective.discriminator_terms(both[:, :7].T, both[:, 7:].T)
        return on_both.sum() + objective.generator_losses(made, *opponents).mean()

    def gradients(both, made):
        found = {"both": np.full_like(both, np.nan), "made": np.full_like(made, np.nan)}
        for call in (
            *objective.discriminator_gradient(both, found["both"], 7),
            *objective.generator_gradient(made, found["made"], *opponents),
        ):
            call.run()
        return found

    opponents = [rng.permutation(real.T).T] if objective.pairs else []
    x = {"both": np.concatenate([real, fake], axis=1), "made": made}
    report = check_gradients(losses, x, gradient=gradients, tolerance=tolerance, seed=seed)
    return titled(f"scores of real and generated rows, {objective!r}", report)


def critic_that_pays(
    penalty: Penalty, curved: bool, images: bool, schedule: str, seed: int, tolerance: float
) -> Report:
    """Both steps of a small game whose discriminator pays a penalty: dense or of images, piecewise linear or curved."""
    rng, objective = np.random.default_rng(seed), NonSaturating(label_smoothing=0.1)
    bend, bow, lean = (Tanh, SiLU, Sigmoid) if curved else (lambda: LeakyReLU(0.2), ReLU, lambda: LeakyReLU(0.4))
    shape = (1, 4, 4) if images else (4,)
    grow = [Dense(16), Tanh(), Reshape(shape)] if images else [Dense(4), Tanh()]
    if images:
        layers = [Conv2D(2, 3, 2, "same"), bend(), Conv2DTranspose(2, 3, 1, 1), bow(), UpSampling2D(2)]
        layers += [AveragePooling2D(3, 1), lean(), Conv2D(3, 2), bend(), Flatten(), Dense(1)]
    else:
        layers = [Dense(6), bend(), Dropout(0.3), Dense(5), bow(), Dense(4), lean(), Dense(1)]
    generator = Sequential(grow, 3, rng, "float64", name="generator")
    discriminator = Sequential([*layers, *objective.closing()], shape, rng, "float64", name="discriminator")
    for network in (generator, discriminator):
        network.values += rng.normal(0, 0.3, network.values.shape)
    x = rng.normal(0, 1, (4, *shape)), rng.standard_normal((4, 3))
    gan = GAN(generator, discriminator, objective=objective, schedule=schedule, penalty=penalty)
    report = check_gradients(gan, x, tolerance=tolerance, seed=seed)
    what = f"{'curved' if curved else 'piecewise linear'}, {'images' if images else 'dense'}"
    return titled(f"{penalty!r}, {what}, {schedule} schedule", report)


def titled(name: str, report: Report) -> Report:
    report.subject = f"{name}: {report.subject}"
    return report


def _layer_target(kind):
    """Gradients and values of every example of a layer, in both modes."""
    return [
        partial(check, layer, shape, training)
        for layer, shape in kind.examples()
        for check in (layer_gradients, formulas.layers.layer_values)
        for training in (True, False)
    ]


TARGETS = {snake_case(name): _layer_target(kind) for name, kind in LAYERS.items()}
TARGETS["batch_norm"].append(formulas.layers.running_statistics)
TARGETS["conv2d"] += [neighbouring_convolutions, formulas.layers.same_padding]
TARGETS["dropout"].append(formulas.layers.dropout_share)
TARGETS["spectral_norm"] = [
    partial(formulas.spectral_norm.power_iterations, None),
    partial(formulas.spectral_norm.power_iterations, 0.3),
    *TARGETS["spectral_norm"],
    formulas.spectral_norm.spectral_norms,
]
for _kind in (Conv2D, Conv2DTranspose):
    TARGETS[snake_case(_kind.__name__)] += [
        partial(in_pieces, check, *_kind.examples()[1], training)
        for check in (layer_gradients, formulas.layers.layer_values)
        for training in (True, False)
    ]
TARGETS["penalties"] = [  # the quick ones first, as a hunt for faults ends with the check that catches it
    *(
        partial(check, name)
        for name in PENALTIES
        for check in (formulas.penalties.penalty_values, formulas.penalties.penalised_game)
    ),
    formulas.penalties.mixing_numbers,
    partial(critic_that_pays, WassersteinPenalty(3.0), False, False, "concatenated"),
    partial(critic_that_pays, R2(3.0), True, False, "concatenated"),
    partial(critic_that_pays, R1(3.0), False, True, "concatenated"),
    partial(critic_that_pays, WassersteinPenalty(3.0, every=2), True, False, "separate"),
    partial(critic_that_pays, WassersteinPenalty(3.0), True, True, "concatenated"),
    partial(critic_that_pays, R1R2(3.0, every=4), True, True, "separate"),
]
TARGETS |= {
    "bce": [
        partial(loss_gradients, False),
        clip_gradients,
        partial(formulas.losses.loss_values, False),
        formulas.losses.clipped_probabilities,
    ],
    "bce_logits": [
        partial(loss_gradients, True),
        partial(formulas.losses.loss_values, True),
        formulas.losses.extreme_logits,
    ],
    "softmax": [softmax_gradients, formulas.losses.softmax_values, formulas.losses.extreme_softmax],
    "l1": [absolute_error_gradients, formulas.losses.absolute_errors],
    "initializers": [formulas.layers.starting_weights],
    "adam": [partial(formulas.optimizers.adam_updates, "paper"), partial(formulas.optimizers.adam_updates, "keras")],
    "sgd": [formulas.optimizers.sgd_updates],
    "rmsprop": [formulas.optimizers.rmsprop_updates],
    "average": [formulas.optimizers.averaged_weights],
    "rates": [
        formulas.rates.rate_values,
        formulas.rates.rates_in_use,
        *(partial(formulas.rates.rates_of_the_sides, schedule) for schedule in SCHEDULES),
        *(partial(formulas.rates.counted_updates, schedule) for schedule in SCHEDULES),
    ],
    "replicas": [
        partial(formulas.replicas.runs_of_their_seeds, game, epochs)
        for game in formulas.replicas.GAMES
        for epochs in (False, True)
    ],
    "join": [  # has no example of its own, as its input is not all that it reads
        partial(label_gradients, NonSaturating(), "concatenated", False, None),
        partial(word_gradients, Hinge(), "concatenated"),
    ],
    "conditions": [
        *(partial(label_gradients, NonSaturating(), schedule, False, None) for schedule in SCHEDULES),
        partial(label_gradients, NonSaturating(label_smoothing=0.1), "concatenated", True, None),
        partial(label_gradients, LeastSquares(), "separate", True, None),
        partial(label_gradients, Relativistic(), "concatenated", False, None),
        partial(translation_gradients, NonSaturating(discriminator_loss="sum"), "concatenated"),
        partial(translation_gradients, LeastSquares(), "separate"),
        partial(translation_gradients, Relativistic(), "concatenated"),
        partial(label_gradients, Wasserstein(clip=0), "concatenated", False, WassersteinPenalty(3.0)),
        partial(label_gradients, NonSaturating(), "separate", True, R1R2(3.0)),
        partial(word_gradients, NonSaturating(), "concatenated"),
        partial(word_gradients, Hinge(), "separate"),
    ],
    "scores": [partial(score_gradients, rules()) for rules in OBJECTIVES.values()],
    "chain": [
        *(partial(chain_gradients, rules(), how) for rules in OBJECTIVES.values() for how in schedules(rules)),
        partial(chain_gradients, NonSaturating(label_smoothing=0.1), "concatenated"),
        partial(chain_gradients, NonSaturating(label_smoothing=0.1), "separate"),
        partial(chain_gradients, Minimax(label_smoothing=0.1, discriminator_loss="sum"), "concatenated"),
        formulas.optimizers.clipped_weights,
        formulas.optimizers.shared_fakes,
        *(partial(image_chain_gradients, NonSaturating(), schedule) for schedule in SCHEDULES),
        partial(spectral_chain_gradients, NonSaturating(), "concatenated"),
        partial(spectral_chain_gradients, Wasserstein(), "separate"),
    ],
}
