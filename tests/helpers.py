"""What several test files need."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from numgan import (
    GAN,
    R1R2,
    SGD,
    Adam,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Join,
    Label,
    LeakyReLU,
    Minimax,
    NonSaturating,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    SiLU,
    Skip,
    SpectralNorm,
    Tanh,
    UpSampling2D,
    Wasserstein,
    WassersteinPenalty,
)
from numgan.gan import objectives
from numgan.gan.objectives import OBJECTIVES
from numgan.gan.steps import schedules
from numgan.nn.registry import LAYERS
from numgan.study import recipes, runs

DTYPES = ("float32", "float64")
MEGABYTE = 1 << 20
# Every game that can be played: each objective by each of its schedules, and the sum of the discriminator's losses.
GAMES = [
    *((name, schedule, {}) for name, kind in OBJECTIVES.items() for schedule in schedules(kind)),
    ("non-saturating", "concatenated", {"discriminator_loss": "sum"}),
    ("minimax", "concatenated", {"discriminator_loss": "sum"}),
]
# The games of probabilities, whose discriminators end in Sigmoid.
PROBABILITIES = [game for game in GAMES if OBJECTIVES[game[0]] in (NonSaturating, Minimax)]


def game_name(game):
    """An id for parametrised tests: "minimax-separate", "minimax-concatenated-sum"."""
    name, schedule, settings = game
    return "-".join([name, schedule, *map(str, settings.values())])


every_game = pytest.mark.parametrize("game", GAMES, ids=game_name)
# One of each kind that the loop around the steps can tell apart: the critics of unpaired rows are Wasserstein's kind.
KINDS = [game for game in GAMES if game[0] not in ("least-squares", "hinge")]
every_kind = pytest.mark.parametrize("game", KINDS, ids=game_name)


def rules(game, **settings):
    """The objective of a game, with more settings where it takes them."""
    kind = OBJECTIVES[game[0]]
    return kind(**game[2], **{name: value for name, value in settings.items() if name in kind.takes})


def rng(seed=0):
    return np.random.default_rng(seed)


def near(ours, expected, tolerance=1e-11):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


def bits(network, optimizer):
    """Everything that belongs to a network and its optimiser, as bytes."""
    arrays = {"values": network.values, "grads": network.grads, "state": network.state} | optimizer.state
    return {name: a.tobytes() for name, a in arrays.items()} | {"steps": optimizer.steps}


def examples():
    """(layer, input shape) of every layer in the registry, each layer ready for a network of its own."""
    return [example for kind in LAYERS.values() for example in kind.examples()]


# -------------------------------------------------------------------------------------------- a small game to play

FEATURES, LATENT = 2, 3
CLIP = 0.3  # of a critic's parameters, which start within about ±1: some are clipped, and not all
POINTS = rng(5).normal(0.3, 0.5, (40, FEATURES))  # real rows to train on, no two alike


def make_gan(game=GAMES[0], dtype="float64", replicas=None, optimizer=Adam, seed=0, average=None, **settings):
    """Batch norm in both networks, and all kinds of activation: statistics could move, rows depend on each other."""
    objective = rules(game, **{"clip": CLIP} | settings)
    g = [Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(5), ReLU(), Dense(FEATURES), Tanh()]
    d = [Dense(7), BatchNorm(0.8), LeakyReLU(0.2), Dense(5), Tanh(), BatchNorm(0.5), Dense(1), *objective.closing()]
    networks = [
        Sequential(g, LATENT, rng(seed), dtype, replicas, "generator"),
        Sequential(d, FEATURES, rng(seed + 1), dtype, replicas, "discriminator"),
    ]
    for i, network in enumerate(networks):
        network.values += rng(seed + i + 2).normal(0, 0.2, network.values.shape)
        network.state += rng(seed + i + 4).uniform(0.1, 0.5, network.state.shape)
    return GAN(*networks, optimizer(0.01), optimizer(0.01), objective, game[1], average=average)


def linear_gan(game=GAMES[0], bias=0.0, rate=0.1, **settings):
    """G(z) = W·z + b, score(x) = w·x + c: every gradient fits on a line."""
    objective = rules(game, **settings)
    g = Sequential([Dense(FEATURES)], LATENT, rng(1), "float64")
    d = Sequential([Dense(1), *objective.closing()], FEATURES, rng(2), "float64")
    d.parameters()["dense_1.bias"][...] = bias
    return GAN(g, d, SGD(rate), SGD(rate), objective, game[1])


def batch(rows=6, seed=0, lead=()):
    """Real rows and noise."""
    return rng(seed).normal(0.5, 1, (*lead, rows, FEATURES)), rng(seed + 100).normal(0, 1, (*lead, rows, LATENT))


def train_generator(gan, noise):
    """One generator step, against real rows where the game wants some."""
    real = rng(7).normal(0.5, 1, (*noise.shape[:-1], *gan.discriminator.shapes[0]))
    return gan.train_generator(noise, *[real] * gan.objective.pairs)


def critic(gan):
    return bits(gan.discriminator, gan.discriminator_optimizer)


def maker(gan):
    return bits(gan.generator, gan.generator_optimizer)


def state(gan):
    """Everything that training changes, as bytes."""
    return {name: a.tobytes() for name, a in gan.state_dict().items()}


def columns(history):
    """What a history has recorded, as bytes."""
    return {name: history[name].tobytes() for name in history.objective.columns}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sine_discriminator(seed):
    """A run of the recipe of that name: (GAN, its generator's first bits, history, quality)."""
    recipe, (weights_rng, training_rng, picture_rng) = recipes.get("sine-discriminator"), runs.streams(seed)
    gan = recipe.build(recipe.settings, weights_rng, "float32")
    start = maker(gan)
    history = gan.fit(
        recipe.load(None, recipe.settings)[0], batch_size=128, rng=training_rng, **recipe.settings.length()
    )
    return gan, start, history, recipe.quality(gan.sample(5_000, picture_rng), gan, picture_rng)


def peak_memory(function):
    """Bytes that `function` has in use at its peak, beyond what was in use before: the least of three calls, as other
    threads (xdist has one to receive messages) are traced too.
    """
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            function()
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
    return min(peaks)


def small_layers():
    return [Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(5), Tanh(), Dense(1), Sigmoid()]


def make_network(dtype="float32", replicas=None, seed=0, name="net"):
    """A network of small_layers on four features, its statistics away from their starting values."""
    network = Sequential(small_layers(), 4, rng(seed), dtype, replicas, name)
    network.state += rng(seed + 1).uniform(0.1, 0.5, network.state.shape)
    return network


def normal_rows(rows=7, n=4, seed=3):
    return rng(seed).normal(0, 1, (rows, n))


# ------------------------------------------------------------------------- GANs with every kind of call, for a crew


def rows_gan(objective="non-saturating", dtype="float32", width=128, between=(), **options):
    """Rows of 40 numbers; products that are large enough to be split."""
    closing = objectives.get(objective).closing()
    g = [Dense(width), LeakyReLU(0.2), BatchNorm(0.8), Dense(width), Tanh(), Dense(40), Tanh()]
    d = [Dense(width), LeakyReLU(0.2), *(layer() for layer in between), Dense(width), Tanh(), Dense(1), *closing]
    return GAN(
        Sequential(g, 20, rng(1), dtype, name="generator"), Sequential(d, 40, rng(2), dtype, name="discriminator"),
        Adam(0.01), SGD(0.01, 0.5), objective, **options,
    )  # fmt: skip


def images_gan():
    """A U-Net that makes pictures, and a convolutional discriminator with batch norm."""
    down, up = Conv2D(8, 4, 2, "same"), Conv2DTranspose(6, 4, 2, "same")
    g = [Dense(2 * 64), Reshape((2, 8, 8)), Skip([down, BatchNorm(0.5), ReLU(), up, Tanh()]), UpSampling2D(2)]
    g += [Conv2D(3, 3, padding="same"), Tanh()]
    d = [Conv2D(8, 4, 2, "same"), LeakyReLU(0.2), Conv2D(12, 3, 2), BatchNorm(0.8), SiLU(), Flatten(), Dense(1)]
    g, d = Sequential(g, 5, rng(1)), Sequential(d, (3, 16, 16), rng(2))
    return GAN(g, d, Adam(0.01), Adam(0.01), "least-squares", average=0.9)


def labels_gan():
    g = [Join("label", 1, [Embedding(3, 4), Flatten()]), Dense(30), ReLU(), Dense(9), Tanh()]
    d = [Join("label", 1, [Embedding(3, 4), Flatten()]), Dense(30), LeakyReLU(0.2), Dropout(0.3), Dense(1)]
    g, d = Sequential(g, 5, rng(1)), Sequential(d, 9, rng(2))
    return GAN(g, d, Adam(0.01), SGD(0.01), "least-squares", conditions={"label": Label(3)}, l1_weight=2.0,
               matching_aware=True)  # fmt: skip


CREW_GANS = {
    "dense": rows_gan,
    "separate": lambda: rows_gan(schedule="separate"),
    "average": lambda: rows_gan(average=0.9),
    "dropout": lambda: rows_gan(between=[lambda: Dropout(0.3), BatchNorm]),
    "spectral norm": lambda: rows_gan(between=[lambda: SpectralNorm(Dense(30))], objective="hinge"),
    "penalty": lambda: rows_gan(objective=Wasserstein(clip=0), penalty=WassersteinPenalty(5.0), schedule="separate"),
    "curved penalty": lambda: rows_gan(objective="relativistic", penalty=R1R2(0.5, every=2)),
    "clipping": lambda: rows_gan(objective=Wasserstein(clip=0.1), dtype="float64"),
    "images": images_gan,
    "labels": labels_gan,
}


def crew_batch(name):
    return 16 if name in ("images", "labels") else 128


# ------------------------------------------------------------------------------------------ files of digits


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


def flip(data, position):
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def png_files(directory, n=24, side=12, channels=3):
    """A new directory of n PNG files of noise around a colour each, with matplotlib's own writer."""
    from matplotlib.image import imsave

    directory.mkdir()
    for i in range(n):
        middle = rng(i).uniform(0.2, 0.8, channels)
        pixels = np.clip(middle + rng(i).normal(0, 0.1, (side, side, channels)), 0, 1)
        imsave(directory / f"{i:03}.png", pixels.repeat(3 // channels, axis=2))
    return directory
