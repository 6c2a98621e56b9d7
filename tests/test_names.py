"""Whoever types what Keras or PyTorch call a thing is told, in one sentence, what it is called here."""

import copy
import functools
import inspect
import pickle
import re

import numpy as np
import pytest

import numgan
from numgan import GAN, Adam, Dense, Embedding, Layer, ReLU, Reshape, Sequential, Sigmoid, names
from numgan.nn.optimizers import Optimizer
from tests.helpers import rng


def network():
    return Sequential([Dense(1), Sigmoid()], 2, rng())


def gan():
    return GAN(Sequential([Dense(2)], 3, rng(), name="g"), network())


def message_of(call, kind=TypeError):
    with pytest.raises(numgan.Error) as caught:
        call()
    assert isinstance(caught.value, kind)
    return str(caught.value)


# of every class and function that says our names: what a call of it takes
CLASSES = [c for c in map(numgan.__dict__.get, numgan.__all__) if isinstance(c, type) and issubclass(c, names.SaysOurs)]
CALLS = {c.__name__: c for c in CLASSES if not inspect.isabstract(c)} | {"fit": GAN.fit, "compile": Sequential.compile}
TAKES = {what: [*inspect.signature(call).parameters] for what, call in CALLS.items()}


@pytest.mark.parametrize(("call", "says"), [
    (lambda: Dense(64, activation="relu"), "Dense has no argument activation; put ReLU() behind it as a layer of its"),
    (lambda: Dense(64, activation=abs), "Dense has no argument activation; put an activation such as ReLU() behind"),
    (lambda: Dense(64, input_shape=(3,)), "Dense has no argument input_shape; leave it out: Sequential(layers, shape"),
    (lambda: Sequential([Dense(1)], input_shape=3), "Sequential has no argument input_shape; its name here is shape"),
    (lambda: Reshape(3, input_shape=3), "Reshape has no argument input_shape; leave it out"),
    (lambda: Embedding(input_dim=3, output_dim=2), "Embedding has no argument input_dim; its name here is count"),
    (lambda: ReLU(inplace=True), "ReLU has no argument inplace; leave it out: a network overwrites where it can"),
    (lambda: Adam(2e-4, betas=(0.5, 0.9)), "Adam has no argument betas; its name here is beta1 and beta2"),
    (lambda: Dense(3, gian=1), "Dense has no argument gian; it takes units, initializer"),
    (lambda: Dense(), "Dense: missing a required argument: 'units'; it takes units, initializer"),
    (lambda: ReLU(0.2), "ReLU: too many positional arguments; it takes none"),
    (lambda: Sequential([Dense(1)]), "Sequential: missing a required argument: 'shape'; it takes layers, shape, rng"),
    (lambda: gan().fit(x=np.ones((3, 2)), steps=1), "fit has no argument x; its name here is data"),
    (lambda: network().compile(Adam(), metrics=[]), "compile has no argument metrics; leave it out"),
])  # fmt: skip
def test_a_wrong_argument_is_answered_with_what_to_write(call, says):
    assert message_of(call).startswith(says)


def test_a_layer_of_ones_own_says_what_it_takes():
    class Gain(Layer):
        def __init__(self, power):
            self.power = power

    assert message_of(lambda: Gain(powre=2)) == "Gain has no argument powre; it takes power"
    assert Gain(power=2).power == 2


def test_every_argument_of_the_table_is_that_of_some_call():
    """Nothing in it is ours, each of ours is somewhere taken, and that call names it."""
    for theirs, ours in names.ARGUMENTS.items():
        for name in ours:
            found = [what for what, takes in TAKES.items() if name in takes and theirs not in takes]
            assert found, f"nothing takes {name} for {theirs}"
            said = [message_of(functools.partial(CALLS[what], **{theirs: 1})) for what in found]
            assert any(f"no argument {theirs}; its name here is {name}" in text or theirs == "betas" for text in said)
    taken = {name for takes in TAKES.values() for name in takes}
    unread = {name for name in names.ELSEWHERE if name in taken} - {"input_shape", "dtype", "name"}  # of networks
    assert not unread


def test_what_is_imported_by_another_name_is_answered_with_ours():
    with pytest.raises(ImportError, match=r"^numgan has no BatchNormalization; its name here is BatchNorm$"):
        from numgan import BatchNormalization  # noqa: F401
    for theirs, says in names.IMPORTS.items():
        assert theirs not in vars(numgan)
        assert message_of(lambda name=theirs: getattr(numgan, name), ImportError) == f"numgan has no {theirs}; {says}"
        ours = re.match(r"its name here is (\w+)", says)
        assert not ours or ours[1] in numgan.__all__
    assert not hasattr(numgan, "nothing_of_the_kind")


@pytest.mark.parametrize(("thing", "kind"), [
    (Dense(1), "Layer"), (Adam(), "Optimizer"), (network(), "Sequential"), (gan(), "GAN"),
], ids=["layer", "optimizer", "network", "gan"])  # fmt: skip
def test_an_attribute_by_another_name_is_neither_read_nor_set(thing, kind):
    for name, says in names.ATTRIBUTES[kind].items():
        expected = f"{type(thing).__name__} has no {name}; {says}"
        assert message_of(lambda name=name: getattr(thing, name), AttributeError) == expected
        assert message_of(lambda name=name: setattr(thing, name, False), AttributeError) == expected


def test_all_else_about_a_call_stays_as_it_is():
    assert str(inspect.signature(Dense)).startswith("(units: 'int', initializer: 'str | Initializer' = ")
    assert inspect.getdoc(GAN.fit).startswith("Train for `steps` steps") and GAN.fit.__name__ == "fit"
    assert [p.name for p in inspect.signature(Optimizer).parameters.values()] == ["learning_rate"]
    copied = pickle.loads(pickle.dumps(copy.deepcopy(gan())))
    assert len(copied.fit(np.ones((3, 2)), steps=2, batch_size=2, rng=rng())) == 2
