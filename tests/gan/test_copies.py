"""`copy.copy`, `copy.deepcopy` and `pickle`: what comes out learns as what went in, to the bit, and shares nothing with
it; what cannot be copied alone says so.
"""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from numgan import SGD, Adam, BatchNorm, Dense, Error, Rate, ReLU, Sequential, Sigmoid, normal
from numgan.errors import StateError
from numgan.nn.losses import BinaryCrossEntropy
from tests.gan.test_checkpoint import Averaging, averaging
from tests.helpers import GAMES, POINTS, columns, every_kind, make_gan, rng, state

WAYS = pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))],
    ids=["copy", "deepcopy", "pickle"],
)  # fmt: skip
TARGET = (POINTS[:, 1:] > 0).astype(float)


def compiled(replicas=None, optimizer=SGD):
    layers = [Dense(6, normal(0.3)), BatchNorm(0.8), ReLU(), Dense(1), Sigmoid()]
    network = Sequential(layers, POINTS.shape[1], rng(), "float32", replicas, "net")
    network.compile(optimizer(0.05), BinaryCrossEntropy(label_smoothing=0.1))
    return network


def taught(network, steps=5):
    """What training on gives: losses and accuracies, and everything that changed."""
    said = [np.array(network.train_on_batch(POINTS[i : i + 9], TARGET[i : i + 9])).tobytes() for i in range(steps)]
    return said, {name: a.tobytes() for name, a in (network.state_dict() | network.gradients()).items()}


@WAYS
@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("optimizer", [SGD, Adam, lambda rate: Adam(Rate(rate, 3, "linear", 8))])
def test_a_copied_network_learns_as_its_original_does(copied, replicas, optimizer):
    network = compiled(replicas, optimizer)
    taught(network)
    start = network.values.copy()
    twin = copied(network)
    first = taught(twin)
    assert (network.values == start).all() and (twin.values != start).any()  # the copy learns, and alone
    assert taught(network) == first
    assert repr(twin.config()) == repr(network.config())


@WAYS
def test_a_copied_network_hands_out_views_of_its_own_arrays(copied):
    network = compiled()
    twin = copied(network)
    assert all(np.shares_memory(view, twin.values) for view in twin.parameters().values())
    assert not any(np.shares_memory(view, network.values) for view in twin.parameters().values())
    twin.parameters()["dense_1.bias"][...] = 7
    assert (twin.predict(POINTS) != network.predict(POINTS)).any()
    assert not {id(layer) for layer in twin.layers} & {id(layer) for layer in network.layers}


@WAYS
def test_a_copied_network_without_an_optimiser_has_none_and_can_get_one(copied):
    network = Sequential([Dense(1), Sigmoid()], POINTS.shape[1], rng())
    twin = copied(network)
    with pytest.raises(StateError, match="call compile"):
        taught(twin)
    for one in (network, twin):
        one.compile(Adam(0.01))
    assert taught(twin) == taught(network)


@WAYS
def test_what_was_added_to_a_network_or_gan_comes_along(copied):
    network, gan = compiled(), make_gan()
    network.note = gan.note = ["mine"]
    assert copied(network).note == copied(gan).note == ["mine"]


@WAYS
@pytest.mark.parametrize("replicas", [None, 2])
@every_kind
def test_a_copied_gan_trains_as_its_original_does(copied, game, replicas):
    gan = make_gan(game, "float32", replicas)
    gan.fit(POINTS, 5, 8, rng(1))
    gan.generator_optimizer.learning_rate /= 2
    before = state(gan)
    twin = copied(gan)
    assert state(twin) == before and list(twin.state_dict()) == list(gan.state_dict())
    history = twin.fit(POINTS, 5, 8, rng(2))
    assert state(gan) == before != state(twin)
    assert columns(gan.fit(POINTS, 5, 8, rng(2))) == columns(history)
    assert state(gan) == state(twin)


@WAYS
def test_a_copied_gan_of_a_class_of_ones_own_has_the_parts_that_were_added(copied):
    gan = averaging()
    gan.parts["average"].seen[1] = 5
    twin = copied(gan)
    assert type(twin) is Averaging and twin.parts["average"].seen.tolist() == [0, 5, 0]
    assert list(twin.parts) == list(gan.parts)
    assert twin.parts["generator"] is twin.generator
    assert twin.parts["discriminator_optimizer"] is twin.discriminator_optimizer


def test_a_gan_is_copied_in_the_middle_of_its_training():
    gan, kept = make_gan(), {}
    gan.fit(POINTS, 15, 8, rng(), 5, lambda done, history: kept.setdefault(done, copy.deepcopy(gan)) and False)
    assert sorted(kept) == [0, 5, 10, 15]
    assert state(kept[15]) == state(gan) != state(kept[10])


FRESH = """
import pickle, sys
from tests.helpers import POINTS, rng, state
gan, network = pickle.loads(sys.stdin.buffer.read())
from tests.gan.test_copies import taught
gan.fit(POINTS, 5, 8, rng(2))
sys.stdout.buffer.write(pickle.dumps((state(gan), taught(network))))
"""


def test_in_a_fresh_process_they_train_on_as_here():
    gan, network = make_gan(GAMES[0], "float32"), compiled()
    gan.fit(POINTS, 5, 8, rng(1))
    taught(network)
    done = subprocess.run([sys.executable, "-c", FRESH], input=pickle.dumps((gan, network)), capture_output=True,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    there = pickle.loads(done.stdout)
    gan.fit(POINTS, 5, 8, rng(2))
    assert there == (state(gan), taught(network))


@WAYS
def test_a_layer_in_a_network_is_not_copied_alone(copied):
    layer = compiled().layers[0]
    with pytest.raises(Error, match=r"^layer 'dense_1' belongs to a network and cannot be copied alone; copy the netw"):
        copied(layer)


@WAYS
def test_an_attached_optimiser_is_not_copied_alone(copied):
    ours = Adam()
    ours.attach(Sequential([Dense(1)], 2, rng(), name="net"))
    with pytest.raises(Error, match=r"^Adam\(.*\) trains 'net' and cannot be copied alone; copy the network"):
        copied(ours)


FREE = (lambda: Dense(3, normal(0.2)), lambda: BatchNorm(0.7), lambda: SGD(0.2, 0.9), lambda: Adam(0.2, form="paper"))


@WAYS
@pytest.mark.parametrize("make", FREE)
def test_a_free_layer_or_optimiser_is_copied_with_its_settings(copied, make):
    free = make()
    twin = copied(free)
    assert twin is not free and repr(twin) == repr(free)
    networks = [Sequential([layer], 2, rng(4)) for layer in (free, twin)] if isinstance(free, Dense) else []
    assert all((network.values == networks[0].values).all() and network.values.any() for network in networks)
