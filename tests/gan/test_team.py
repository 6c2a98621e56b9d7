"""fit(processes=…): equal to the bit by however many, and nothing left behind, whatever stops it."""

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from numgan import GAN, Adam, Dense, Error, Layer, LeakyReLU, Sequential, Sigmoid
from numgan.files import locked
from numgan.gan import team as team_module
from numgan.gan.steps import GeneratorStep
from numgan.nn.crew import Crew, CrewError
from tests.helpers import CREW_GANS, POINTS, make_gan, rng, rows_gan, state

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork")
linux = pytest.mark.skipif(not os.path.isdir("/proc"), reason="Linux's /proc")
ROWS = 40  # of data: two batches and a partial one


@pytest.fixture(autouse=True)
def one_blas_thread():
    """What the numbers of a crew are equal to."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture
def forked(monkeypatch):
    """The processes that are forked, for any GAN, to make all of its steps; none is there afterwards."""
    found, right = [], os.fork

    def fork():
        child = right()
        if child:
            found.append(child)
        return child

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(team_module, "WORTH", 0)
    monkeypatch.setattr(team_module, "JUDGED", 10**9)
    yield found
    assert all(map(gone, found))


def gone(child):
    """Whether a child has ended and been waited for."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, os.WNOHANG)
        return False
    return True


@pytest.fixture
def alone(monkeypatch):
    """Nobody may fork, though any GAN is worth it."""

    def fork():
        raise AssertionError("this is trained by one process")

    monkeypatch.setattr(os, "fork", fork, raising=False)
    monkeypatch.setattr(team_module, "WORTH", 0)


class Real:
    """Real rows for any GAN, with labels where it has some."""

    def __init__(self, gan):
        self.shape = gan.discriminator.shapes[0]
        self.conditions = {name: condition.shape for name, condition in gan.conditions.items()}
        self._rows = np.tanh(rng(9).normal(size=(ROWS, *self.shape)))

    def __len__(self):
        return ROWS

    def sample(self, n, rng, out, **conditions):
        self.take(rng.integers(0, ROWS, n), out, **conditions)

    def take(self, index, out, label=None):
        out[...] = self._rows[index]
        if label is not None:
            label[:, 0] = np.asarray(index) % 3


def trained(processes, name="dense", steps=12, build=None, **options):
    """(GAN, history) of a training by so many processes."""
    gan = (build or CREW_GANS[name])()
    length = {} if "epochs" in options else {"steps": steps}
    options = {"rng": rng(3), "every": 5, "batch_size": 16} | length | options
    return gan, gan.fit(Real(gan), processes=processes, **options)


def bits(gan, history):
    """All that a training leaves, as bytes."""
    gradients = [network.grads.tobytes() for network in (gan.generator, gan.discriminator)]
    return state(gan), {name: a.tobytes() for name, a in history.state_dict().items()}, gradients


# ------------------------------------------------------------------------------------------------------ equal bits


@forks
@pytest.mark.parametrize(
    ("name", "processes"),
    [
        (name, n) if (n == 2 and name in ("dropout", "penalty", "labels")) else
        pytest.param(name, n, marks=pytest.mark.slow)
        for name in CREW_GANS for n in (2, 3)
    ],
)  # fmt: skip
def test_a_training_by_several_processes_is_that_of_one_to_the_bit(name, processes, forked):
    batch = 16 if name in ("images", "labels") else 128
    one = bits(*trained(1, name, 11, batch_size=batch))
    assert not forked
    assert bits(*trained(processes, name, 11, batch_size=batch)) == one
    assert len(forked) == processes - 1


@forks
@pytest.mark.parametrize("options", [
    {"epochs": 2}, {"epochs": 2, "discriminator_steps": 2}, {"discriminator_steps": 3, "generator_steps": 2},
    {"generator_steps": 0}, {"discriminator_steps": 0}, {"steps": 0},
    *(pytest.param({"every": n}, marks=pytest.mark.slow) for n in (1, 1000)),
], ids=str)  # fmt: skip
def test_however_the_sides_play(options, forked):
    assert bits(*trained(2, **options)) == bits(*trained(1, **options))
    assert forked


@forks
def test_a_callback_sees_and_changes_what_it_would_of_one_process(forked):
    def run(processes):
        seen = []
        gan = CREW_GANS["average"]()
        start = gan.state_dict()

        def callback(done, history):
            seen.append((done, state(gan), gan.sample(3, rng(done)).tobytes(), gan.generator.grads.tobytes()))
            if done == 5:
                gan.generator_optimizer.learning_rate = 0.03
            if done == 10:
                gan.load_state_dict(start)
            if done == 15:
                gan.train_generator(rng(1).normal(size=(16, 20)))  # the step that is being played, by hand
                gan.train_discriminator(*(rng(2).normal(size=(16, n)) for n in (40, 20)))
            return done == 20

        history = gan.fit(Real(gan), 30, 16, rng(3), 5, callback, processes=processes)
        return bits(gan, history), seen

    assert run(2) == run(1)
    assert forked


@forks
@pytest.mark.parametrize("length", [pytest.param({"steps": 14}, marks=pytest.mark.slow), {"epochs": 4}], ids=str)
def test_a_training_begun_by_one_process_is_gone_on_with_by_two(length, forked, tmp_path):
    name = "spectral norm"
    through = bits(*trained(1, name, **length))
    ((unit, n),) = length.items()
    trained(1, name, **{unit: n // 2}, checkpoint=tmp_path / "model.npz")
    assert not forked
    resumed = trained(2, name, **length, checkpoint=tmp_path / "model.npz", resume=True)
    assert forked and bits(*resumed) == through


class Counting(Layer):
    """y = k·x, by methods that read and count by way of `self`."""

    def build(self, shape):
        self.shapes, self.runs = {"k": (1,)}, 0
        return shape

    def initialize(self, rng):
        self.params["k"][...] = 1.5

    def forward(self, x, out):
        self.runs += 1
        np.multiply(x, self.params["k"], out=out)

    def backward_input(self, x, y, dy, out):
        np.multiply(dy, self.params["k"], out=out)

    def backward_parameters(self, x, y, dy):
        self.grads["k"][0] = (x * dy).sum()


def own_layer_gan():
    d = [Dense(30), Counting(), LeakyReLU(0.2), Dense(1), Sigmoid()]
    return GAN(Sequential([Dense(40), Counting()], 20, rng(1)), Sequential(d, 40, rng(2)), Adam(0.01), Adam(0.01))


def test_a_layer_of_one_s_own_is_trained_by_this_process_alone(alone):
    two, one = (trained(n, build=own_layer_gan) for n in (2, 1))
    assert bits(*two) == bits(*one)
    assert two[0].generator.layers[1].runs == one[0].generator.layers[1].runs > 12


# ------------------------------------------------------------------------------------------------ alone or together


class Clock:
    """Seconds that pass by the step: `alone` or `together`, whoever makes it. `who` is a letter for each step."""

    def __init__(self, monkeypatch):
        self.now, self.alone, self.together, self.who = 0.0, 2.0, 1.0, ""
        monkeypatch.setattr(team_module, "time", SimpleNamespace(perf_counter=lambda: self.now))
        play, run = Crew.run, GeneratorStep.run

        def crew_run(crew, which):
            self._crew = True
            play(crew, which)

        def step_run(step, *inputs):
            self._crew = False
            run(step, *inputs)
            self.now += self.together if self._crew else self.alone
            self.who += "T" if self._crew else "A"

        monkeypatch.setattr(Crew, "run", crew_run)
        monkeypatch.setattr(GeneratorStep, "run", step_run)


@forks
def test_a_team_takes_what_was_the_faster_lately_and_no_bit_changes(forked, monkeypatch):
    monkeypatch.setattr(team_module, "JUDGED", 3)
    monkeypatch.setattr(team_module, "SOONEST", 2)
    one = bits(*trained(1, "average", 48, every=3))
    clock, stretches = Clock(monkeypatch), []

    def callback(done, history):
        stretches.append(clock.who[-1:])
        clock.together = 5.0 if 15 <= done < 30 else 1.0

    assert bits(*trained(2, "average", 48, every=3, callback=callback)) == one
    assert set(map(len, map(set, re.findall("...", clock.who)))) == {1}  # a stretch is one way throughout
    assert "".join(stretches) == "TATTTTAAATAAAATT"


@forks
def test_what_tells_how_fast_a_way_is_takes_a_piece_of_a_stretch(forked, monkeypatch):
    monkeypatch.setattr(team_module, "JUDGED", 3)
    clock = Clock(monkeypatch)
    assert bits(*trained(2, "average", 20, every=10)) == bits(*trained(1, "average", 20, every=10))
    assert clock.who == "TTTAAATTTT" + 10 * "T" + 20 * "A"  # and then what it is compared with


# ------------------------------------------------------------------------------------------------------ the next rows


@forks
@pytest.mark.parametrize(
    ("build", "steps", "drawn"),
    [
        (rows_gan, (1, 1), [20, 20, 20 + 40]),  # after each list, of which a discriminator step has two
        (rows_gan, (3, 1), [20 + 40, 20 + 40, 20 + 40]),
        (rows_gan, (1, 2), [20, 20, 20]),
        (rows_gan, (2, 0), [20 + 40, 20 + 40]),
        (partial(rows_gan, shared_fakes=True), (1, 1), [0, 0, 20 + 40]),
        (CREW_GANS["labels"], (1, 1), [5 + 10, 5 + 10, 5 + 10]),
    ],
)
def test_the_others_update_more_while_this_process_draws_what_is_read_next(build, steps, drawn, forked, monkeypatch):
    asked = []

    class Noted(Crew):
        def __init__(self, lists, processes, between, aheads, more):
            asked.extend(aheads)
            super().__init__(lists, processes, between, aheads, more)

    monkeypatch.setattr(team_module, "Crew", Noted)
    gan, both = build(), dict(zip(("discriminator_steps", "generator_steps"), steps, strict=True))
    gan.fit(Real(gan), 2, 16, rng(3), **both, processes=2)
    assert asked == [team_module.DRAWN * 16 * numbers for numbers in drawn]


# ------------------------------------------------------------------------------------------------------ what stops it


@pytest.fixture
def in_step(monkeypatch):
    """in_step(n, what): what() happens in the n-th generator step from now, before its calls."""
    right, left = GeneratorStep.run, [None, None]

    def run(self, *inputs):
        if left[0] is not None:
            left[0] -= 1
            if left[0] == 0:
                left[1]()
        right(self, *inputs)

    monkeypatch.setattr(GeneratorStep, "run", run)
    return lambda n, what: left.__setitem__(slice(None), (n, what))


@forks
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.slow)])
def test_a_child_that_is_killed_is_one_error_and_the_last_good_look(number, forked, in_step, tmp_path):
    in_step(13, lambda: os.kill(forked[1], number))
    gan = CREW_GANS["average"]()
    with pytest.raises(CrewError) as caught:
        gan.fit(Real(gan), 30, 16, rng(3), 5, checkpoint=tmp_path / "model.npz", processes=3)
    assert str(caught.value) == f"a process that shared in the training was lost: killed by signal {int(number)}"
    assert isinstance(caught.value, Error) and len(forked) == 2 and all(map(gone, forked))
    twin, history = trained(1, "average", 10)
    assert state(gan) == state(twin)
    assert bits(twin, caught.value.history)[1] == bits(twin, history)[1]
    in_step(None, None)
    through = bits(*trained(1, "average", 30))
    assert bits(*trained(2, "average", 30, checkpoint=tmp_path / "model.npz", resume=True)) == through


@forks
def test_children_are_deaf_to_what_asks_a_training_to_stop(forked, in_step):
    one = bits(*trained(1))
    in_step(3, lambda: [os.kill(forked[0], number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
    assert bits(*trained(2)) == one
    assert len(forked) == 1


@forks
def test_an_interrupt_leaves_the_last_good_look_and_no_child(forked, in_step):
    in_step(13, lambda: os.kill(os.getpid(), signal.SIGINT))
    gan = CREW_GANS["dropout"]()
    with pytest.raises(KeyboardInterrupt):
        gan.fit(Real(gan), 30, 16, rng(3), 5, processes=2)
    assert len(forked) == 1 and gone(forked[0])
    assert state(gan) == state(trained(1, "dropout", 10)[0])


@forks
@pytest.mark.slow
@pytest.mark.parametrize("after", [0.005, 0.02, 0.1, 0.2, 0.3])
def test_an_interrupt_may_come_at_any_time(after, forked):
    def stop(number, frame):
        raise KeyboardInterrupt

    gan, before = CREW_GANS["separate"](), signal.signal(signal.SIGALRM, stop)
    error = None
    try:
        signal.setitimer(signal.ITIMER_REAL, after)
        gan.fit(Real(gan), 10**8, 16, rng(3), 5, processes=2)
    except KeyboardInterrupt as stopped:
        error = stopped
    finally:
        signal.signal(signal.SIGALRM, before)
    assert all(map(gone, forked))
    steps = len(getattr(error, "history", ()))
    assert state(gan) == state(trained(1, "separate", steps)[0])


@forks
def test_an_exception_in_the_callback_ends_the_children(forked):
    def callback(done, history):
        if done == 5:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        trained(3, callback=callback)
    assert len(forked) == 2 and all(map(gone, forked))


@forks
def test_a_failing_kernel_of_a_child_is_an_error(forked, monkeypatch):
    serve, parent = Crew._play, os.getpid()

    def play(crew, which):
        if os.getpid() != parent:
            raise MemoryError
        serve(crew, which)

    monkeypatch.setattr(Crew, "_play", play)
    with pytest.raises(CrewError, match="a process that shared in the training was lost: failed"):
        trained(2)


@forks
def test_after_a_training_blas_has_its_threads_again(forked):
    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    seen = []
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        trained(2, callback=lambda done, history: seen.append(threads()))
        assert threads() == before
    assert set(map(tuple, seen)) == {tuple(1 for _ in before)}


# ---------------------------------------------------------------------------------------------- where nobody forks


@pytest.mark.parametrize(("processes", "got"), [(0, "0"), (-1, "-1"), (1.5, "1.5"), ("2", "'2'"), (True, "True")])
def test_a_number_of_processes_that_cannot_be_is_refused(processes, got):
    gan = make_gan()
    before = state(gan)
    with pytest.raises(ValueError) as caught:
        gan.fit(POINTS, 2, 8, rng(), processes=processes)
    assert str(caught.value) == f"fit: processes must be a positive integer, got {got}"
    assert isinstance(caught.value, Error) and state(gan) == before


def test_stacks_of_replicas_are_trained_by_one_process(alone):
    make_gan(replicas=2).fit(POINTS, 2, 8, rng(), processes=2)


def test_small_networks_are_trained_by_one_process(alone, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(os, "fork", None, raising=False)  # cannot be called
    make_gan().fit(POINTS, 2, 8, rng(), processes=2)


def test_by_default_there_are_as_many_processes_as_blas_has_threads_and_four_at_most():
    for threads, processes in ((1, 1), (2, 2)):
        with threadpool_limits(threads, user_api="blas"):
            assert team_module.how_many(None) == processes
    library = {"user_api": "blas", "num_threads": 64}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(team_module, "threadpool_info", lambda: [library])
        assert team_module.how_many(None) == 4
        patch.setattr(team_module, "threadpool_info", list)
        assert team_module.how_many(None) == 1
    assert team_module.how_many(7) == 7


def test_a_platform_that_does_not_fork_trains_by_one_process(monkeypatch):
    monkeypatch.setattr(team_module, "WORTH", 0)
    monkeypatch.delattr(os, "fork", raising=False)
    assert bits(*trained(2)) == bits(*trained(1))


@forks
@pytest.mark.parametrize("there_are", [0, 1])
def test_where_no_more_processes_are_to_be_had_one_trains(there_are, forked, monkeypatch):
    right = os.fork

    def fork():
        if len(forked) == there_are:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return right()

    monkeypatch.setattr(os, "fork", fork)
    threads = threadpool_info()
    assert bits(*trained(3, "average")) == bits(*trained(1, "average"))
    assert len(forked) == there_are and all(map(gone, forked)) and threadpool_info() == threads


def test_beside_other_threads_one_process_trains(alone):
    """A fork could leave them waiting for ever."""
    expected = bits(*trained(1))
    with ThreadPoolExecutor(2) as pool:
        assert [f.result() for f in [pool.submit(lambda: bits(*trained(2))) for _ in range(2)]] == [expected] * 2
        assert threading.active_count() > 1
        assert bits(*trained(2)) == expected


# ----------------------------------------------------------------------------------------------- real processes

MNIST = [sys.executable, "-m", "numgan", "train", "mnist", "--steps", "1000000", "--set", "snapshot_every=5"]


def family(process):
    """The process and its children, as /proc has them, but for zombies."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            number = int(entry.name)
            status, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if process in (number, int(parent)) and status != "Z":
                found[number] = status
    return set(found)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited for {seconds} seconds"
        time.sleep(0.01)


@pytest.fixture
def training(tmp_path):
    """A `numgan train` by two processes in a session of its own, past its first snapshots; and the two."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(
        [*MNIST, "--out", "run"], cwd=tmp_path, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        for line in process.stdout:
            if re.match(r" +5 ", line):
                break
        both = family(process.pid)
        assert len(both) == 2
        yield process, both
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def alive(numbers):
    return {n for n in numbers if os.path.exists(f"/proc/{n}") and " Z " not in Path(f"/proc/{n}/stat").read_text()}


def resume(tmp_path, steps):
    return subprocess.run(
        [sys.executable, "-m", "numgan", "train", "--resume", "run", "--steps", str(steps)], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.getcwd()}, capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_all_of_a_training_s_processes_is_the_parent_s_business(number, status, training, tmp_path):
    process, both = training
    os.killpg(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status, error
    found = re.fullmatch(r"numgan train: .*; run holds the state after step ([\d,]+), go on with: .*\n", error)
    assert found, error
    assert not alive(both)
    assert len(GAN.load(tmp_path / "run" / "model.npz").state_dict())


@linux
@pytest.mark.slow
def test_a_training_that_is_killed_leaves_no_child_and_no_lock(training, tmp_path):
    process, both = training
    process.kill()
    process.wait()
    with locked(tmp_path / "run"):  # at once
        pass
    resumed = resume(tmp_path, 1)
    assert "in use" not in resumed.stderr, resumed.stderr
    wait_until(lambda: not alive(both), 2)
