"""Threads: one network gives right numbers or says that it is in use; networks of their own are exact."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from numgan import Adam, Dense, Flatten, Join, OneHot, Sequential
from numgan.errors import StateError
from numgan.study import classifier
from tests.helpers import POINTS, make_gan, make_network, normal_rows, rng, state

THREADS, TIMES = 4, 60


def together(*functions):
    """What the functions return, run at once, each in a thread of its own that starts when all are ready."""
    ready = threading.Barrier(len(functions))

    def run(function):
        ready.wait(10)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def test_predict_is_right_whoever_else_predicts():
    network = make_network("float64")
    inputs = [normal_rows(20 + i, seed=i) for i in range(THREADS)]
    expected = [network.predict(x).tobytes() for x in inputs]
    found = together(*(lambda x=x: {network.predict(x).tobytes() for _ in range(TIMES)} for x in inputs))
    assert found == [{bits} for bits in expected]


def test_a_prediction_is_under_its_own_conditions_whoever_else_predicts():
    network = Sequential([Join("label", 1, [OneHot(THREADS), Flatten(), Dense(5)]), Dense(3)], 2, rng(), "float64")
    x = rng(1).normal(size=(300, 2))
    expected = [network.predict(x, label=np.full(300, i)).tobytes() for i in range(THREADS)]
    assert len(set(expected)) == THREADS
    found = together(
        *(
            lambda i=i: {network.predict(x, label=np.full(300, i)).tobytes() for _ in range(TIMES)}
            for i in range(THREADS)
        )
    )
    assert found == [{bits} for bits in expected]


def test_the_classifier_s_features_are_right_whoever_else_reads():
    inputs = [rng(i).uniform(-1, 1, (300, 784)) for i in range(THREADS)]
    expected = [classifier.features(x).tobytes() for x in inputs]
    found = together(*(lambda x=x: {classifier.features(x).tobytes() for _ in range(4)} for x in inputs))
    assert found == [{bits} for bits in expected]


def test_training_batches_are_taken_one_after_the_other():
    network, x = make_network("float64"), normal_rows()
    network.compile(Adam())
    target = (x[:, :1] > 0).astype(float)
    losses = together(*([lambda: [network.train_on_batch(x, target)[0] for _ in range(TIMES)]] * THREADS))
    twin = make_network("float64")
    twin.compile(Adam())
    expected = [twin.train_on_batch(x, target)[0] for _ in range(THREADS * TIMES)]
    assert sorted(value for part in losses for value in part) == sorted(expected)
    assert network.values.tobytes() == twin.values.tobytes()


def test_the_buffers_of_forward_belong_to_one_thread():
    network = make_network()
    network.forward(normal_rows())
    (error,) = together(lambda: _error(lambda: network.forward(normal_rows())))
    assert "forward and backward hand out buffers" in str(error) and "use a copy" in str(error)
    (error,) = together(lambda: _error(lambda: network.backward(np.ones((7, 1)))))
    assert isinstance(error, StateError)
    (right,) = together(lambda: network.copy().forward(normal_rows()).tobytes())
    assert right == network.forward(normal_rows()).tobytes()


def test_a_thread_that_has_ended_leaves_the_buffers_to_others():
    network = make_network()
    thread = threading.Thread(target=lambda: network.forward(normal_rows()))
    thread.start()
    thread.join()
    assert np.isfinite(network.forward(normal_rows())).all()


def _error(function):
    with pytest.raises(StateError) as caught:
        function()
    return caught.value


@pytest.mark.parametrize("call", [
    lambda gan: gan.sample(3, rng()), lambda gan: gan.train_generator(np.zeros((2, 3))), lambda gan: gan.state_dict(),
    lambda gan: gan.generator.predict(np.zeros((2, 3))), lambda gan: gan.fit(POINTS, 3, 8, rng()),
])  # fmt: skip
def test_a_gan_that_is_being_trained_says_so_to_other_threads(call):
    gan, errors = make_gan(), []

    def callback(done, history):  # a thread that comes while fit is at work
        if done == 10:
            errors.extend(together(lambda: _error(lambda: call(gan))))
            gan.sample(2, rng())  # its own thread may

    gan.fit(POINTS, 20, 8, rng(1), 10, callback)
    assert "is in use by fit in another thread; use a copy of it" in str(errors[0])
    twin = make_gan()
    twin.fit(POINTS, 20, 8, rng(1), 10)
    assert state(gan) == state(twin)
    call(gan)


def test_gans_of_their_own_train_exactly_side_by_side():
    def train(seed):
        gan = make_gan(seed=seed)
        gan.fit(POINTS, 60, 8, rng(seed), 10)
        return state(gan)

    expected = [train(seed) for seed in range(THREADS)]
    assert together(*(lambda seed=seed: train(seed) for seed in range(THREADS))) == expected
