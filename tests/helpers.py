"""What several test files need."""

import itertools

import numpy as np

from numgan import Minimax, NonSaturating
from numgan.gan.objectives import OBJECTIVES
from numgan.gan.steps import SCHEDULES
from numgan.nn.registry import LAYERS

DTYPES = ("float32", "float64")
# Every game that can be played: each objective and schedule, and the sum of the discriminator's losses besides.
GAMES = [
    *((name, schedule, {}) for name, schedule in itertools.product(OBJECTIVES, SCHEDULES)),
    ("non-saturating", "concatenated", {"discriminator_loss": "sum"}),
    ("minimax", "concatenated", {"discriminator_loss": "sum"}),
]
# The games of probabilities, whose discriminators end in Sigmoid.
PROBABILITIES = [game for game in GAMES if OBJECTIVES[game[0]] in (NonSaturating, Minimax)]


def game_name(game):
    """An id for parametrised tests: "minimax-separate", "minimax-concatenated-sum"."""
    name, schedule, settings = game
    return "-".join([name, schedule, *map(str, settings.values())])


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
