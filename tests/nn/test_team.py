"""The team of threads: the same numbers whatever their number, and nothing lost when something goes wrong."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from numgan import (
    GAN,
    Adam,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Flatten,
    LeakyReLU,
    Reshape,
    Sequential,
    Sigmoid,
)
from numgan.nn import convolution, team
from numgan.nn.calls import runs
from tests.helpers import rng


class Blas:
    """In place of a BLAS: what it was told last."""

    threads = 7

    def set_num_threads(self, n):
        self.threads = n


@pytest.fixture
def of_size(monkeypatch):
    """of_size(n): from now on this process has a team of n threads."""

    def choose(n):
        own = team.Team(Blas(), n) if n > 1 else None
        monkeypatch.setattr(team, "team", lambda: own)
        return own

    return choose


def small_dcgan():
    r = rng()
    generator = Sequential(
        [Dense(4 * 3 * 3), Reshape((4, 3, 3)), BatchNorm(), LeakyReLU(), Conv2DTranspose(6, 4, 2, "same"), BatchNorm(),
         LeakyReLU(), Conv2DTranspose(2, 4, 2, "same")], 5, r, name="generator",
    )  # fmt: skip
    discriminator = Sequential(
        [Conv2D(6, 4, 2, "same"), LeakyReLU(), Conv2D(4, 4, 2, "same"), LeakyReLU(), Flatten(), Dense(1), Sigmoid()],
        (2, 12, 12), r, name="discriminator",
    )  # fmt: skip
    return GAN(generator, discriminator, Adam(1e-3), Adam(1e-3))


def trained(steps=4):
    gan, r = small_dcgan(), rng(1)
    for _ in range(steps):
        gan.train_discriminator(r.normal(0, 1, (16, 2, 12, 12)), r.normal(0, 1, (16, 5)))
        gan.train_generator(r.normal(0, 1, (16, 5)))
    return gan


def test_the_numbers_do_not_depend_on_how_many_threads_there_are(of_size, monkeypatch):
    monkeypatch.setattr(convolution, "PIECE", 500)
    states = []
    for size in (1, 2, 3, 5):
        of_size(size)
        states.append(trained().state_dict())
    for state in states[1:]:
        for name, array in states[0].items():
            np.testing.assert_array_equal(state[name], array, err_msg=name)


def test_a_step_in_lanes_runs_on_all_threads(of_size, monkeypatch):
    monkeypatch.setattr(convolution, "PIECE", 500)
    own, seen = of_size(3), set()
    monkeypatch.setattr(convolution.kernels, "gather", watched(convolution.kernels.gather, seen))
    trained(1)
    assert len(seen) == 3 and threading.main_thread() in seen
    assert own._blas.threads == 3  # as before, outside of the stages


def watched(kernel, seen):
    def gather(x, strides, before, out):
        seen.add(threading.current_thread())
        kernel(x, strides, before, out)

    return gather


def test_a_network_without_convolutions_is_left_alone(of_size):
    of_size(3)
    network = Sequential([Dense(600), BatchNorm(), LeakyReLU(), Dense(3)], 500, rng())
    plan = network.plan(512, training=True, backward=True)
    assert any(call.lane for call in plan.forward)
    assert runs(plan.forward) == [call.run for call in plan.forward]


def test_products_have_one_thread_each_inside_and_all_of_them_again_after(of_size):
    own, inside = of_size(2), []
    own.run([[lambda: inside.append(own._blas.threads)], [lambda: inside.append(own._blas.threads)]])
    assert inside == [1, 1] and own._blas.threads == 2


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("error", [ValueError("a mistake"), KeyboardInterrupt()])
def test_an_error_is_raised_when_all_threads_have_ended(where, error, of_size):
    own, ended = of_size(3), []

    def fail():
        raise error

    shares = [[lambda i=i: ended.append(i)] for i in range(3)]
    shares[where] = [fail]
    with pytest.raises(type(error)):
        own.run(shares)
    assert sorted(ended) == [i for i in range(3) if i != where] and own._blas.threads == 3
    ended.clear()
    own.run([[lambda i=i: ended.append(i)] for i in range(3)])  # and the team goes on
    assert sorted(ended) == [0, 1, 2]


def test_two_callers_share_a_team(of_size):
    """Each caller gets its own work done, and the BLAS its threads back when the last one leaves."""
    own, found = of_size(2), {}

    def caller(name):
        found[name] = []
        for i in range(200):
            own.run([[lambda i=i: found[name].append(i)], [lambda i=i: found[name].append(-i)]])

    threads = [threading.Thread(target=caller, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in "ab":
        assert sorted(found[name]) == sorted([*range(200), *(-i for i in range(200))])
    assert own._blas.threads == 2


SCRIPT = """
import numpy as np
from numgan.nn import team
from tests.nn.test_team import trained
from numgan.nn import convolution
convolution.PIECE = 500
print(team.size(), trained().generator.values.tobytes().hex())
"""


def test_one_blas_thread_means_no_team_and_the_same_numbers(tmp_path):
    found = []
    for threads in ("1", "2"):
        environment = os.environ | dict.fromkeys(
            ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads
        )
        out = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, text=True, capture_output=True, check=True, cwd=os.getcwd()
        ).stdout.split()
        found.append((int(out[0]), out[1]))
    assert found[0][0] == 1
    assert found[0][1] == found[1][1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_a_team_of_its_own(monkeypatch):
    monkeypatch.setattr(convolution, "PIECE", 500)
    before = trained().generator.values
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(trained().generator.values, before) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
