"""Learning rates by formula, and what optimisers do with them: the count decides, a number that is set replaces it."""

import copy
import dataclasses
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numgan import GAN, SGD, Adam, Dense, Error, Rate, Sequential
from numgan.nn.optimizers import OPTIMIZERS
from tests.helpers import make_network, near, rng

KINDS = pytest.mark.parametrize("kind", OPTIMIZERS.values())
DOWN = Rate(0.4, 2, "linear", 6)  # 0.2, 0.4, 0.4, 0.3, 0.2, 0.1, then 0


def rates(rate, n):
    return [rate.at(t) for t in range(1, n + 1)]


@pytest.mark.parametrize("rate, expected", [
    (Rate(0.4), [0.4, 0.4, 0.4]),
    (Rate(0.4, warm_up=4), [0.1, 0.2, 0.3, 0.4, 0.4, 0.4]),
    (Rate(0.4, decay="linear", steps=4), [0.4, 0.3, 0.2, 0.1, 0, 0, 0]),
    (DOWN, [0.2, 0.4, 0.4, 0.3, 0.2, 0.1, 0, 0]),
    (Rate(0.5, 1, "linear", 5, final=0.1), [0.5, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1]),
    (Rate(0.8, decay="cosine", steps=4), [0.8, 0.4 + 0.4 * 0.5**0.5, 0.4, 0.4 - 0.4 * 0.5**0.5, 0, 0, 0]),
    (Rate(0.8, 2, "cosine", 5, final=0.2), [0.4, 0.8, 0.8, 0.65, 0.35, 0.2, 0.2]),
    (Rate(0.8, 3, "cosine", 4), [0.8 / 3, 1.6 / 3, 0.8, 0.8, 0, 0]),
])  # fmt: skip
def test_rates_are_what_one_works_out_by_hand(rate, expected):
    near(rates(rate, len(expected)), expected, 1e-15)


@st.composite
def any_rate(draw):
    peak, warm_up = draw(st.floats(1e-6, 10)), draw(st.integers(0, 9))
    decay = draw(st.sampled_from([None, "linear", "cosine"]))
    ending = {"steps": warm_up + draw(st.integers(1, 12)), "final": draw(st.sampled_from([0.0, peak / 3, peak]))}
    return Rate(peak, warm_up, decay, **(ending if decay else {}))


@given(any_rate())
def test_every_rate_rises_to_its_peak_falls_to_its_end_and_stays_there(rate):
    found = rates(rate, 30)
    up, down = found[: rate.warm_up], found[rate.warm_up :]
    assert up == sorted(up) and all(value > 0 for value in up) and up[-1:] in ([], [rate.peak])
    assert all(a >= b - 1e-15 * rate.peak for a, b in pairwise(down))
    assert down[0] == pytest.approx(rate.peak, rel=1e-15)
    if rate.decay:
        assert all(value == rate.final for value in found[rate.steps :])
        assert rate.final == rate.peak or found[rate.steps - 1] > rate.final  # no update of the decay is wasted


@given(any_rate())
def test_a_rate_is_made_again_from_its_config(rate):
    assert Rate(**rate.config()) == rate == copy.deepcopy(rate) == pickle.loads(pickle.dumps(rate))


def test_numbers_of_numpy_become_plain_ones():
    rate = Rate(np.float32(0.5), np.int8(3), "cosine", np.int64(9), np.float64(0))
    assert [type(value) for value in rate.config().values()] == [float, int, str, int, float]


def test_a_rate_stays_as_it_was_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DOWN.peak = 1


@pytest.mark.parametrize("arguments, message", [
    ({"peak": 0}, "Rate: peak must be a positive finite number, got 0"),
    ({"peak": Rate(0.1)}, "Rate: peak must be a positive finite number, got Rate"),
    ({"warm_up": -1}, "Rate: warm_up must be an integer from 0 up, got -1"),
    ({"warm_up": 2.0}, "Rate: warm_up must be an integer from 0 up, got 2.0"),
    ({"decay": "step", "steps": 9}, r"Rate: decay must be one of \('linear', 'cosine'\), got 'step'"),
    ({"decay": "linear"}, "Rate: steps must be a positive integer, got None"),
    ({"decay": "linear", "warm_up": 5, "steps": 5}, "Rate: steps must be an integer from 6 up, got 5"),
    ({"decay": "cosine", "steps": 5, "final": 0.2}, "Rate: final must be at most the peak, 0.1, got 0.2"),
    ({"decay": "cosine", "steps": 5, "final": -0.1}, "Rate: final must be a number in"),
    ({"steps": 5}, "Rate: steps and final belong to a decay, and decay is None"),
    ({"final": 0.05}, "Rate: steps and final belong to a decay, and decay is None"),
])  # fmt: skip
def test_a_rate_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(Error, match=message):
        Rate(**{"peak": 0.1} | arguments)


@pytest.mark.parametrize("update", [0, -1, 1.0, "1", None, True])
def test_updates_are_counted_from_one(update):
    with pytest.raises(Error, match=r"Rate\.at: update must be a positive integer"):
        DOWN.at(update)


# ---------------------------------------------------------------------------------------------------- in optimisers


def attached(optimizer):
    network = Sequential([Dense(5)], 4, rng(), "float64")
    optimizer.attach(network)
    return network


def walk(network, optimizer, seeds):
    """A step on a gradient per seed; what each changed."""
    changes = []
    for seed in seeds:
        network.grads[...], before = rng(seed).normal(0.3, 1, network.grads.shape), network.values.copy()
        optimizer.step()
        changes.append(network.values - before)
    return changes


@KINDS
def test_each_step_has_the_rate_of_its_number(kind):
    steady, falling = kind(0.4), kind(DOWN)
    whole = walk(attached(steady), steady, range(8))
    network, told = attached(falling), []
    for seed, change in enumerate(whole):
        told.append(falling.learning_rate)
        near(walk(network, falling, [seed])[0], change * DOWN.at(seed + 1) / 0.4, 1e-12)
    assert told == rates(DOWN, 8)


@KINDS
def test_a_rate_of_one_number_is_that_number(kind):
    walks = [walk(attached(ours), ours, range(3)) for ours in (kind(0.07), kind(Rate(0.07)))]
    assert np.array(walks[0]).tobytes() == np.array(walks[1]).tobytes()


@KINDS
def test_a_number_that_is_set_replaces_the_schedule_from_the_next_step_on(kind):
    ours = kind(DOWN)
    network = attached(ours)
    walk(network, ours, range(3))
    assert ours.learning_rate == DOWN.at(4) and repr(DOWN) in repr(ours)
    ours.learning_rate = 0.05
    walk(network, ours, range(2))
    assert ours.learning_rate == 0.05 and "learning_rate=0.05" in repr(ours)
    assert ours.config()["learning_rate"] == DOWN.config()  # what it was made with


@KINDS
def test_a_schedule_cannot_be_set(kind):
    ours = kind(0.1)
    with pytest.raises(Error, match=r"learning_rate can be set to a number; make the optimiser with Rate\(peak=0.4"):
        ours.learning_rate = DOWN
    assert ours.learning_rate == 0.1


@KINDS
@pytest.mark.parametrize("set_to", [None, 0.05])
def test_whoever_takes_over_the_state_goes_on_with_the_schedule_or_the_number(kind, set_to):
    ours, other = kind(DOWN), kind(DOWN)
    networks = attached(ours), attached(other)
    walk(networks[0], ours, range(3))
    if set_to:
        ours.learning_rate = set_to
    else:
        other.learning_rate = 0.3  # which the state that is loaded replaces by the schedule
    other.load_state_dict(ours.state_dict())
    networks[1].values[...] = networks[0].values
    assert other.learning_rate == ours.learning_rate == (set_to or DOWN.at(4))
    changes = [np.array(walk(network, o, range(5))) for network, o in zip(networks, (ours, other), strict=True)]
    assert changes[0].tobytes() == changes[1].tobytes()


@KINDS
def test_the_state_of_a_schedule_is_refused_by_an_optimiser_without_one(kind):
    ours, other = kind(DOWN), kind(0.1)
    attached(ours), attached(other)
    with pytest.raises(Error, match="learning_rate must be a positive finite number, got 0.0"):
        other.load_state_dict(ours.state_dict())
    ours.load_state_dict(other.state_dict())  # the other way it is a number that was set
    assert ours.learning_rate == 0.1


@pytest.mark.parametrize("set_to", [None, 0.05])
def test_a_gan_that_is_saved_copied_or_pickled_keeps_both_sides_schedules(set_to, tmp_path):
    gan = GAN(Sequential([Dense(4)], 3, rng()), make_network(), Adam(DOWN), SGD(Rate(0.1, 9)))
    for _ in range(3):
        gan.train_discriminator(rng().normal(size=(5, 4)), rng().normal(size=(5, 3)))
        gan.train_generator(rng().normal(size=(5, 3)))
    if set_to:
        gan.discriminator_optimizer.learning_rate = set_to
    gan.save(tmp_path / "gan.npz")
    for other in (GAN.load(tmp_path / "gan.npz"), gan.copy(), pickle.loads(pickle.dumps(gan))):
        for ours, theirs in zip(gan.parts.values(), other.parts.values(), strict=True):
            assert repr(ours.config()) == repr(theirs.config())
        assert other.generator_optimizer.learning_rate == DOWN.at(4)
        assert other.discriminator_optimizer.learning_rate == (set_to or Rate(0.1, 9).at(4))
