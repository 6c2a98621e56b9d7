"""What docstrings promise and no test had tried: parameters start as zeros, callbacks come around a partial batch,
batch norm's ε is below 1.
"""

import numpy as np
import pytest

from numgan import GAN, SGD, BatchNorm, Dense, Sequential, Sigmoid
from numgan.errors import ArgumentError
from numgan.nn.layer import Layer
from tests.helpers import rng


class Remembering(Layer):
    """What its arrays held when it was asked to initialize them."""

    def build(self, shape):
        self.shapes, self.state_shapes = {"weight": shape, "matrix": (2, 3)}, {"count": shape}
        return shape

    def initialize(self, rng):
        self.found = {name: a.copy() for name, a in (self.params | self.grads | self.state).items()}
        self.shapes_found = {name: a.shape for name, a in (self.params | self.state).items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("replicas", [None, 3])
def test_parameters_and_state_start_as_zeros_before_initialize(dtype, replicas):
    layers = [Dense(4), BatchNorm(), Remembering(), Dense(2)]
    network = Sequential(layers, 5, rng(), dtype, replicas)
    found = layers[2].found
    assert found.keys() == {"weight", "matrix", "count"}
    assert all(a.dtype == dtype and not a.any() for a in found.values())
    lead = () if replicas is None else (replicas,)
    assert layers[2].shapes_found == {"weight": (*lead, 4), "matrix": (*lead, 2, 3), "count": (*lead, 4)}
    assert not layers[2].params["weight"].any()  # and stay what initialize leaves them
    assert network.parameters()["dense_1.weight"].any()


def gan(schedule="concatenated"):
    generator = Sequential([Dense(2)], 3, rng(1), name="generator")
    discriminator = Sequential([Dense(1), Sigmoid()], 2, rng(2), name="discriminator")
    return GAN(generator, discriminator, SGD(0.1), SGD(0.1), schedule=schedule)


def looks(rows, batch, every, epochs, **more):
    """The steps at which the callback was called, and the length of the history at each."""
    seen = []
    model = gan()
    history = model.fit(
        rng(3).normal(size=(rows, 2)),
        batch_size=batch,
        every=every,
        epochs=epochs,
        rng=rng(4),
        callback=lambda step, history: seen.append((step, len(history))) and None,
        **more,
    )
    return seen, history


@pytest.mark.parametrize(
    ("rows", "batch", "every", "epochs", "steps"),
    [
        (10, 4, 100, 1, [0, 3]),  # 4 + 4 + 2: not before the partial batch, but after it
        (10, 4, 2, 1, [0, 2, 3]),
        (10, 4, 100, 3, [0, 3, 6, 9]),
        (10, 4, 2, 3, [0, 2, 3, 4, 6, 8, 9]),
        (10, 4, 3, 2, [0, 3, 6]),  # every and the end of an epoch at once: one call
        (8, 4, 100, 2, [0, 2, 4]),  # no partial batch
        (3, 4, 100, 2, [0, 1, 2]),  # nothing but a partial batch
        (5, 4, 1, 2, [0, 1, 2, 3, 4]),
    ],
)
def test_callbacks_in_epochs_with_a_partial_batch(rows, batch, every, epochs, steps):
    seen, history = looks(rows, batch, every, epochs)
    assert [step for step, _ in seen] == steps
    assert all(step == length for step, length in seen)  # the history is up to the step that is told
    assert len(history) == steps[-1] == epochs * -(-rows // batch)


def test_a_callback_that_ends_the_training_at_the_partial_batch():
    model = gan()
    history = model.fit(
        rng(3).normal(size=(10, 2)), batch_size=4, every=100, epochs=5, rng=rng(4), callback=lambda step, _: step == 3
    )
    assert len(history) == 3


def test_callbacks_with_several_discriminator_steps_and_what_is_left_of_them():
    """Five whole batches and a partial one, two discriminator steps each: 2 + 2, 1 and the partial one, 4 steps."""
    seen, history = looks(rows=22, batch=4, every=100, epochs=2, discriminator_steps=2)
    assert [step for step, _ in seen] == [0, 4, 8]
    assert len(history) == 8


def test_a_step_of_a_partial_batch_is_that_of_its_rows_alone():
    """An epoch of one partial batch changes the parameters as a step of that batch size does."""
    data = rng(3).normal(size=(3, 2))
    by_epoch, by_steps = gan(), gan()
    by_epoch.fit(data, batch_size=8, epochs=1, rng=rng(5))
    by_steps.fit(data, batch_size=3, epochs=1, rng=rng(5))
    assert np.array_equal(by_epoch.discriminator.values, by_steps.discriminator.values)
    assert np.array_equal(by_epoch.generator.values, by_steps.generator.values)


@pytest.mark.parametrize("epsilon", [1, 1.0, 1.5, 1e3, np.inf, np.nan, 0, 0.0, -1e-3, True, "0.1", None])
def test_batch_norm_s_epsilon_is_between_0_and_1(epsilon):
    with pytest.raises(ArgumentError, match=r"BatchNorm\(epsilon\) must be a number in \(0, 1\)"):
        BatchNorm(epsilon=epsilon)


@pytest.mark.parametrize("epsilon", [1e-12, 1e-3, 0.5, np.nextafter(1, 0)])
def test_batch_norm_takes_any_epsilon_below_1(epsilon):
    assert BatchNorm(epsilon=epsilon).epsilon == epsilon
