"""Dropout: what is kept and how often, masks that are a function of the key, and the key through copies, files and
resumed trainings.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numgan import GAN, Conv2D, Dense, Dropout, Flatten, LeakyReLU, NonSaturating, Sequential, check_gradients
from numgan.gan.checkpoint import Checkpoint
from numgan.gan.steps import SCHEDULES
from numgan.gradcheck.targets import gan_of_images
from numgan.kernels import dropout as kernels
from numgan.nn.calls import runs
from tests.helpers import DTYPES, maker, near, rng, state

quickly = settings(max_examples=30, deadline=None)
IMAGES = rng(5).normal(0.3, 0.5, (24, 1, 4, 4))


def dropout(rate=0.3, shape=6, dtype="float64", replicas=None, seed=0):
    return Sequential([Dropout(rate)], shape, rng(seed), dtype, replicas)


# -------------------------------------------------------------------------------------------------------- masks


@given(rate=st.sampled_from([0.0, 0.1, 0.5, 0.9]), seed=st.integers(0, 99), dtype=st.sampled_from(DTYPES))
@quickly
def test_what_is_kept_is_scaled_and_the_rest_is_zero_forward_and_back(rate, seed, dtype):
    network = dropout(rate, (2, 3, 4), dtype, seed=seed)
    x = rng(1).uniform(1, 2, (20, 2, 3, 4)).astype(dtype)
    y = network.forward(x, training=True).copy()
    kept = y != 0
    np.testing.assert_allclose(y, kept * x / (1 - rate), rtol=1e-6)
    np.testing.assert_allclose(network.backward(np.ones_like(x)), kept / (1 - rate), rtol=1e-6)
    assert abs(kept.mean() - (1 - rate)) <= 6 * np.sqrt(rate * (1 - rate) / kept.size)


@given(seed=st.integers(0, 99), replicas=st.sampled_from([None, 2]))
@quickly
def test_in_inference_nothing_happens_and_nothing_moves(seed, replicas):
    network = dropout(seed=seed, replicas=replicas)
    x, key = rng(1).normal(size=(*network.replicas, 5, 6)), network.state.tobytes()
    for y in (network.forward(x).copy(), network.predict(x), network.backward(x).copy()):
        assert y.tobytes() == x.tobytes()
    assert network.state.tobytes() == key


def test_every_pass_has_a_mask_of_its_own_and_a_key_put_back_gives_it_again():
    network, ones = dropout(0.5, 50), np.ones((40, 50))
    keys, masks = [], []
    for _ in range(6):
        keys.append(network.state.copy())
        masks.append(network.forward(ones, training=True).tobytes())
    assert len(set(masks)) == 6 and len({key.tobytes() for key in keys}) == 6
    for key, mask in zip(keys[::-1], masks[::-1], strict=True):
        network.state[...] = key
        assert network.forward(ones, training=True).tobytes() == mask


def test_a_backward_pass_draws_nothing():
    network, ones = dropout(0.5, 50), np.ones((40, 50))
    network.forward(ones, training=True)
    key = network.state.copy()
    first = network.backward(ones).copy()
    assert network.backward(ones).tobytes() == first.tobytes()
    assert network.state.tobytes() == key.tobytes()


def test_both_dtypes_drop_the_same_numbers():
    """So that float32 can be held against float64."""
    masks = []
    for dtype in DTYPES:
        network = dropout(0.4, 30, dtype)
        for _ in range(3):
            masks.append(network.forward(np.ones((20, 30)), training=True) != 0)
    assert all(np.array_equal(a, b) for a, b in zip(masks[:3], masks[3:], strict=True))


def test_layers_and_replicas_draw_apart_and_a_seed_gives_the_same_again():
    def keys(seed):
        network = Sequential([Dropout(0.3), Dropout(0.3)], 4, rng(seed), replicas=3)
        return [tuple(key) for layer in network.layers for key in layer.state["key"]]

    assert len(set(keys(1))) == 6
    assert keys(1) == keys(1) != keys(2)
    assert all(0 <= a < kernels.KEY and a == int(a) for key in keys(1) for a in key)


def test_a_stack_of_replicas_drops_as_its_networks_do():
    stack, single = dropout(0.4, 7, replicas=3), dropout(0.4, 7)
    x = rng(1).normal(size=(3, 5, 7))
    y = stack.forward(x, training=True)
    for r in range(3):
        single.state[...] = dropout(0.4, 7, replicas=3).state[r]
        assert single.forward(x[r], training=True).tobytes() == y[r].tobytes()
        assert single.state.tobytes() == stack.state[r].tobytes()


def test_a_gan_s_frozen_sides_do_not_draw():
    """The discriminator's key moves in its own steps alone, the generator's in its."""
    gan = gan_of_images(NonSaturating(), "separate")
    noise = rng(1).normal(size=(8, 3))
    generator, discriminator = maker(gan), gan.discriminator.state.tobytes()
    gan.train_discriminator(IMAGES[:8], noise)
    assert maker(gan) == generator and gan.discriminator.state.tobytes() != discriminator
    discriminator = gan.discriminator.state.tobytes()
    gan.train_generator(noise)
    assert maker(gan) != generator and gan.discriminator.state.tobytes() == discriminator


def test_the_two_batches_of_the_separate_schedule_have_masks_of_their_own():
    """Which a gradient check of the second one has to know."""
    gan = gan_of_images(NonSaturating(), "separate")
    keys = {gan.discriminator.state_dict()["dropout_1.key"].tobytes()}
    step = gan.discriminator_step(4)
    for run in runs(step.calls):
        run()
        keys.add(gan.discriminator.state_dict()["dropout_1.key"].tobytes())
    assert len(keys) == 3


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_gan_with_dropout_passes_the_gradient_check(schedule, seed):
    gan = gan_of_images(NonSaturating(label_smoothing=0.1), schedule, seed)
    report = check_gradients(gan, (IMAGES[:3], rng(2).normal(size=(3, 3))))
    report.raise_for_failure()
    assert {row.verdict for row in report.rows} == {"ok", "zero"}


# ------------------------------------------------------------------------------------------------------- the key


def layers():
    return [Conv2D(3, 3, padding="same"), LeakyReLU(0.2), Dropout(0.3), Flatten(), Dropout(0.5), Dense(1)]


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_with_another_s_state_goes_on_as_that(dtype, replicas):
    network, twin = (Sequential(layers(), (1, 4, 4), rng(seed), dtype, replicas) for seed in (0, 9))
    network.forward(IMAGES, training=True)
    twin.load_state_dict(network.state_dict())
    for _ in range(2):
        expected = network.forward(IMAGES, training=True).tobytes()
        assert twin.forward(IMAGES, training=True).tobytes() == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_saved_gan_goes_on_as_the_one_that_was_saved(dtype, tmp_path):
    gan = gan_of_images(NonSaturating(), dtype=dtype)
    gan.fit(IMAGES, 3, 8, rng(1))
    gan.save(tmp_path / "gan.npz")
    loaded = GAN.load(tmp_path / "gan.npz")
    assert state(loaded) == state(gan)
    for model in (gan, loaded):
        model.fit(IMAGES, 3, 8, rng(2))
    assert state(loaded) == state(gan)


def test_a_copy_goes_on_as_the_original_and_shares_nothing():
    network = Sequential(layers(), (1, 4, 4), rng(), "float64")
    twin, stack = network.copy(), network.copy(replicas=2)
    first = network.forward(IMAGES, training=True).copy()
    assert twin.forward(IMAGES, training=True).tobytes() == first.tobytes()
    assert twin.state.tobytes() == network.state.tobytes()
    for y in stack.forward(IMAGES, training=True):
        near(y, first)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_resumed_training_draws_the_masks_that_it_would_have_drawn(dtype, schedule, tmp_path):
    """A GAN with convolutions, batch norm and dropout on both sides, to the bit."""

    def play(name, steps, resume):
        gan, draw = gan_of_images(NonSaturating(), schedule, dtype=dtype), rng(3)
        checkpoint = Checkpoint(tmp_path / name, 3)
        gan.fit(IMAGES, steps, 8, draw, every=3, checkpoint=checkpoint, resume=resume)
        return state(gan)

    through = play("through.npz", 20, False)
    for steps in (4, 11, 20):
        resumed = play("model.npz", steps, True)
    assert resumed == through
    assert state(GAN.load(tmp_path / "model.npz")) == through
    assert any(name.endswith("dropout_1.key") for name in through)


# ------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, 1.5, np.nan, np.inf, "0.5", None, True, [0.5]])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises((ValueError, TypeError), match=r"Dropout\(rate\) must be a number in \[0, 1\), got "):
        Dropout(rate)


def test_a_summary_counts_the_key_among_what_is_kept():
    lines = dropout(0.3, (2, 3, 4)).summary().splitlines()
    (line,) = [line for line in lines if line.startswith("dropout_1 (Dropout)")]
    assert "(batch, 2, 3, 4)" in line and line.endswith(" 4")
    assert Dropout(**Dropout(0.25).config()).rate == 0.25
