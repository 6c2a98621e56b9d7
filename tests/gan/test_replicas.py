"""Many GANs at once: replica r of a stack, trained with a generator of its own, is the run of seed r, to the bit."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

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
    Error,
    Flatten,
    Join,
    Label,
    LeakyReLU,
    ModelFileError,
    NonFiniteError,
    NonSaturating,
    OneHot,
    Rate,
    ReLU,
    Reshape,
    Sequential,
    SiLU,
    SpectralNorm,
    Tanh,
    Wasserstein,
    WassersteinPenalty,
)
from numgan.data import RingPoints, SinePoints
from numgan.gan import blocks, objectives, team
from numgan.gan.fit import Request
from numgan.nn.model_file import write_model
from tests.helpers import POINTS, rng

ROOT = Path(__file__).parents[2]
REPLICAS = 2
NUMBERS = POINTS.astype("float32")
REQUEST = Request(23, None, 10, 9, 1, 1, False)
PICTURES = rng(6).normal(0, 0.5, (37, 1, 4, 4)).astype("float32")


@pytest.fixture(autouse=True)
def one_thread():
    """BLAS with one thread, as a stack is trained with: its other threads cut products in other places."""
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(params=["one block", "blocks of one"])
def cut(request, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", {"one block": 1 << 40, "blocks of one": 1}[request.param])


def points_gan(seed, objective="non-saturating", middle=(), critic=(), dtype="float32", optimizer=Adam, **settings):
    objective, draw = objectives.get(objective), rng(seed)
    g = [Dense(9), ReLU(), *(kind(*a) for kind, *a in middle), Dense(8), LeakyReLU(0.2), Dense(2), Tanh()]
    d = [
        Dense(10),
        LeakyReLU(0.2),
        *(kind(*a) for kind, *a in critic),
        Dense(8),
        SiLU(),
        Dense(1),
        *objective.closing(),
    ]
    networks = Sequential(g, 3, draw, dtype), Sequential(d, 2, draw, dtype)
    return GAN(*networks, optimizer(0.01), optimizer(0.01), objective, **settings)


def picture_gan(seed, objective="non-saturating", wrap=lambda layer: layer, norm=True, **settings):
    objective, draw = objectives.get(objective), rng(seed)
    norms = [[BatchNorm(0.9)] if norm else [] for _ in range(2)]
    g = [Dense(12), Reshape((3, 2, 2)), *norms[0], ReLU(), Conv2DTranspose(1, 4, 2, "same"), Tanh()]
    d = [wrap(Conv2D(3, 3, 2, "same")), *norms[1], LeakyReLU(0.2), Dropout(0.3), Flatten(), wrap(Dense(1))]
    networks = Sequential(g, 5, draw), Sequential([*d, *objective.closing()], (1, 4, 4), draw)
    return GAN(*networks, objective=objective, **settings)


def labelled_gan(seed, **settings):
    draw = rng(seed)
    joins = [Join("label", 1, [OneHot(3), Flatten()]) for _ in range(2)]
    g = Sequential([joins[0], Dense(8), ReLU(), Dense(2)], 3, draw)
    d = Sequential([joins[1], Dense(8), LeakyReLU(0.2), Dense(1)], 2, draw)
    return GAN(g, d, objective="hinge", conditions={"label": Label(3)}, **settings)


class Labelled:
    """Points with labels."""

    shape, conditions = (2,), {"label": (1,)}

    def sample(self, n, draw, out, label):
        label[...] = draw.integers(0, 3, (n, 1))
        out[...] = draw.normal(size=(n, 2)) + label


def rare(case):
    """One that is tried in the slow tests alone: the others try the same in other games."""
    return pytest.param(case, marks=pytest.mark.slow)


CASES = {
    "plain": (points_gan, NUMBERS, {}),
    "sine": (points_gan, SinePoints(), {}),
    "ring": (lambda seed: points_gan(seed, optimizer=SGD), RingPoints(), {}),
    "many rows": (points_gan, NUMBERS, {"batch_size": 32}),
    "float64": (lambda seed: points_gan(seed, dtype="float64"), POINTS, {}),
    "batch norm, dropout, average": (
        lambda seed: points_gan(seed, middle=[(BatchNorm, 0.9)], critic=[(Dropout, 0.3)], average=0.9), NUMBERS, {},
    ),
    "half-batches, one after the other": (lambda seed: points_gan(seed, schedule="separate"), NUMBERS, {}),
    "lazy penalty between pairs": (
        lambda seed: points_gan(seed, Wasserstein(clip=0), penalty=WassersteinPenalty(3.0, every=3)), NUMBERS, {},
    ),
    "pairs and two penalties": (lambda seed: points_gan(seed, "relativistic", penalty=R1R2(0.5)), NUMBERS, {}),
    "distance to targets": (lambda seed: points_gan(seed, l1_weight=2.0), NUMBERS, {}),
    "conditions": (labelled_gan, Labelled(), {}),
    "wrong conditions": (lambda seed: labelled_gan(seed, matching_aware=True), Labelled(), {}),
    "epochs": (lambda seed: points_gan(seed, critic=[(Dropout, 0.3)]), NUMBERS, {"steps": None, "epochs": 5}),
    "epochs, steps of the critic": (
        lambda seed: points_gan(seed, "least-squares"), NUMBERS,
        {"steps": None, "epochs": 7, "discriminator_steps": 2},
    ),
    "frozen discriminator": (points_gan, NUMBERS, {"discriminator_steps": 0}),
    "pictures": (picture_gan, PICTURES, {}),
    "spectral norm": (lambda seed: picture_gan(seed, "hinge", SpectralNorm), PICTURES, {}),
}  # fmt: skip
FEW = (
    "many rows",
    "batch norm, dropout, average",
    "lazy penalty between pairs",
    "conditions",
    "epochs",
    "pictures",
)
every_case = pytest.mark.parametrize("case", [*FEW, *(rare(case) for case in CASES if case not in FEW)])


def trained(gan, data, draw, **settings):
    return gan.fit(data, rng=draw, **{"steps": 23, "batch_size": 10, "every": 9} | settings)


def draws(count=REPLICAS):
    return [rng(90 + r) for r in range(count)]


def bits_of(gan, history, r=...):
    """What a training left behind, of a single GAN or of replica r of a stack, as bytes."""
    state = {name: a[r] if a.ndim else a for name, a in gan.state_dict().items()}
    columns = {name: history[name] if r is ... else history[name][:, r] for name in history.columns}
    return {name: a.tobytes() for name, a in (state | columns).items()}


def bits(gan):
    return {name: a.tobytes() for name, a in gan.state_dict().items()}


def assert_runs_of_their_seeds(stack, history, make, data, **settings):
    for r, draw in enumerate(draws()):
        single = make(r)
        assert bits_of(single, trained(single, data, draw, **settings)) == bits_of(stack, history, r), r


# ----------------------------------------------------------------------------------------------- as the run of a seed


@every_case
def test_replica_r_is_the_run_of_seed_r_to_the_bit(case, monkeypatch):
    make, data, settings = CASES[case]
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 40)
    stack = GAN.stack([make(r) for r in range(REPLICAS)])
    assert_runs_of_their_seeds(stack, trained(stack, data, draws(), **settings), make, data, **settings)


forked = pytest.mark.skipif(blocks.ALONE, reason="processes cannot be forked here")
every_share = pytest.mark.parametrize("processes", [1, pytest.param(2, marks=forked)])


def in_blocks(monkeypatch, count, processes):
    monkeypatch.setattr(blocks.StackTraining, "_cut", lambda self: (count, processes))


@pytest.mark.parametrize(
    ("length", "processes"),
    [
        pytest.param({}, 2, id="steps", marks=forked),
        pytest.param({"steps": None, "epochs": 3}, 1, id="epochs"),
        pytest.param({"steps": None, "epochs": 3}, 2, id="epochs, 2", marks=[forked, pytest.mark.slow]),
    ],
)
def test_blocks_and_processes_change_nothing(length, processes, monkeypatch):
    in_blocks(monkeypatch, 3, processes)  # of 1, 2 and 2 replicas
    make, generators = lambda seed: points_gan(seed, critic=[(Dropout, 0.3)], average=0.9), draws(5)
    stack = GAN.stack([make(r) for r in range(5)])
    history = trained(stack, NUMBERS, generators, **length)
    for r in (0, 1, 4):
        single, draw = make(r), draws(5)[r]
        assert bits_of(single, trained(single, NUMBERS, draw, **length)) == bits_of(stack, history, r)
        assert generators[r].random() == draw.random()


def test_how_often_a_block_measures_between_two_looks_changes_nothing(monkeypatch):
    found, rooms, room = [], [], blocks.Block._room
    monkeypatch.setattr(blocks.Block, "_room", lambda self, *of: rooms.append(room(*of)) or rooms[-1])
    for logged in (1, 10_000, blocks.LOGGED):
        monkeypatch.setattr(blocks, "LOGGED", logged)
        stack = GAN.stack([points_gan(r) for r in range(2)])
        history = trained(stack, NUMBERS, draws(2), steps=450, every=430, processes=1)
        found.append((bits(stack), {name: history[name].tobytes() for name in history.columns}))
    assert rooms[0] == 100 < rooms[1] < rooms[2] == 430 and len(history) == 450
    assert found[0] == found[1] == found[2]


def test_a_stack_of_one_is_run_by_the_calls_of_a_single_gan():
    stack = GAN.stack([points_gan(0)])
    training = blocks.StackTraining(stack, SinePoints(), draws(1), REQUEST, {})
    block = blocks.Block(training, slice(0, 1), blocks.arenas(stack))
    assert list(map(str, steps_of(block.gan))) == list(map(str, steps_of(points_gan(0))))


def steps_of(gan):
    return gan.discriminator_step(10), gan.generator_step(10)


@forked
def test_as_many_processes_as_blas_has_threads_and_no_more_than_replicas(monkeypatch):
    stack = GAN.stack([points_gan(r) for r in range(4)])
    for threads, asked, expected in ((1, None, 1), (2, None, 2), (3, None, 3), (8, None, 4), (2, 4, 4), (2, 1, 1)):
        blas = [{"user_api": "blas", "num_threads": threads}]
        monkeypatch.setattr(team, "threadpool_info", lambda blas=blas: blas)
        count, processes = blocks.StackTraining(stack, SinePoints(), draws(4), REQUEST, {}, asked)._cut()
        assert processes == expected and count % processes == 0


def test_as_many_replicas_in_a_block_as_stay_in_cache(monkeypatch):
    training = blocks.StackTraining(
        GAN.stack([points_gan(r) for r in range(4)]), SinePoints(), draws(4), REQUEST, {}, 1
    )
    one = blocks.step_bytes(points_gan(0), REQUEST.batch_size)
    for room, expected in ((1, 4), (2, 2), (3, 2), (4, 1), (40, 1), (0.5, 4)):
        monkeypatch.setattr(blocks, "BLOCK_BYTES", int(room * one))
        assert training._cut() == (expected, 1)


# --------------------------------------------------------------------------------------------- numbers of each replica

OF_EACH = {
    "Adam": lambda r: points_gan(0, optimizer=lambda _: Adam(*[(1e-2, 0.9, 0.999, 1e-7), (3e-3, 0.5, 0.9, 1e-3)][r])),
    "SGD": lambda r: points_gan(0, optimizer=lambda _: SGD([1e-2, 3e-3][r], [0.0, 0.9][r])),
    "rates by count": lambda r: points_gan(0, optimizer=lambda _: Adam([0.01, Rate(0.01, warm_up=20)][r])),
    "label smoothing": lambda r: points_gan(0, NonSaturating([0.0, 0.2][r])),
    "clip": lambda r: points_gan(0, Wasserstein([0.01, 0.05][r])),
    "weight of a penalty": lambda r: points_gan(0, Wasserstein(0), penalty=WassersteinPenalty([1.0, 7.0][r], 2)),
    "weight of R1 and R2": lambda r: points_gan(0, "relativistic", penalty=R1R2([0.5, 3.0][r])),
    "weight of L1": lambda r: points_gan(0, l1_weight=[1.0, 20.0][r]),
    "decay of the average": lambda r: points_gan(0, middle=[(BatchNorm, 0.8)], average=[0.5, 0.99][r]),
}  # fmt: skip
FEW_NUMBERS = "Adam", "label smoothing", "clip", "weight of a penalty", "decay of the average"
every_number = pytest.mark.parametrize(
    "number", [*FEW_NUMBERS, *(rare(number) for number in OF_EACH if number not in FEW_NUMBERS)]
)


@every_number
def test_numbers_can_differ_from_replica_to_replica(number, monkeypatch):
    make = OF_EACH[number]
    in_blocks(monkeypatch, 1, 1)
    stack = GAN.stack([make(0), make(1)])
    assert_runs_of_their_seeds(stack, trained(stack, NUMBERS, draws()), make, NUMBERS)


@every_number
def test_numbers_of_replicas_are_saved_copied_and_taken_out(number, tmp_path):
    make = OF_EACH[number]
    stack = GAN.stack([make(0), make(1)])
    stack.save(tmp_path / "stack.npz")
    loaded = GAN.load(tmp_path / "stack.npz")
    assert loaded.config() == stack.config()
    for other in (loaded, stack.copy()):
        assert bits(other) == bits(stack)
    for r in range(REPLICAS):
        assert stack.replica(r).config() == make(r).config()
        assert bits(stack.replica(r)) == bits(make(r))


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_a_stack_s_optimiser_steps_each_replica_with_its_own_numbers(optimizer):
    numbers = {SGD: {"momentum": (0.0, 0.9, 0.5)}, Adam: {"beta1": (0.9, 0.5, 0.0), "epsilon": (1e-7, 1e-3, 1e-5)}}
    settings = {"learning_rate": (0.1, 0.01, 1.0)} | numbers[optimizer]
    stack = Sequential([Dense(2)], 3, rng(), "float64", 3)
    stack.compile(optimizer(**settings))
    singles = []
    for r in range(3):
        single = Sequential([Dense(2)], 3, rng(), "float64")
        single.values[...] = stack.values[r]
        single.compile(optimizer(**{name: value[r] for name, value in settings.items()}))
        singles.append(single)
    for step in range(5):
        if step == 3:
            stack._optimizer.learning_rate = (0.2, 0.3, 0.4)
        for r, single in enumerate(singles):
            if step == 3:
                single._optimizer.learning_rate = (0.2, 0.3, 0.4)[r]
            single.grads[...] = stack.grads[r] = rng(10 * step + r).normal(size=single.grads.shape)
            single._optimizer.step()
        stack._optimizer.step()
        assert stack.values.tobytes() == np.stack([single.values for single in singles]).tobytes()
    stack._optimizer.learning_rate = 0.7
    assert stack._optimizer.learning_rate == 0.7


# ------------------------------------------------------------------------------------- put together and taken apart


def test_a_replica_taken_out_goes_on_as_the_single_gan_and_back_in_as_the_stack():
    stack = GAN.stack([points_gan(r) for r in range(3)])
    trained(stack, NUMBERS, draws(3))
    single = stack.replica(1)
    trained(single, NUMBERS, rng(7))
    stack.set_replica(1, stack.replica(2))
    before = stack.replica(0).state_dict()
    trained(stack, NUMBERS, [rng(6), rng(7), rng(7)])
    assert bits(stack.replica(1)) == bits(stack.replica(2)) != bits(single)
    stack.set_replica(0, stack.replica(2))
    assert bits(stack.replica(0)) == bits(stack.replica(2))
    assert not np.shares_memory(before["generator.dense_1.weight"], stack.generator.values)


def test_a_present_learning_rate_goes_along():
    gans = [points_gan(r) for r in range(2)]
    gans[1].generator_optimizer.learning_rate = 0.5
    stack = GAN.stack(gans)
    assert stack.generator_optimizer.learning_rate == (0.01, 0.5)
    assert stack.replica(1).generator_optimizer.learning_rate == 0.5
    gans[0].generator_optimizer.learning_rate = 0.25
    stack.set_replica(1, gans[0])
    assert stack.generator_optimizer.learning_rate == (0.01, 0.25)


def after(gan, count):
    trained(gan, NUMBERS, rng(), steps=count)
    return gan


REFUSED = {
    "no list": (lambda: points_gan(0), "GAN.stack: expected a list of GANs, got the game"),
    "none": (lambda: [], "GAN.stack: expected a list of GANs, got []"),
    "no GAN": (lambda: [points_gan(0), 3], "GAN.stack: gans[1] must be a GAN, got 3"),
    "a stack": (
        lambda: [points_gan(0), GAN.stack([points_gan(0)] * 2)], "GAN.stack: gans[1] is a stack itself, of 2 replicas",
    ),
    "layers": (lambda: [points_gan(0), points_gan(0, middle=[(Tanh,)])], "GAN.stack: gans[1] has another generator: "),
    "dtype": (lambda: [points_gan(0), points_gan(0, dtype="float64")], "GAN.stack: gans[1] has another generator: "),
    "objective": (
        lambda: [points_gan(0), points_gan(0, "minimax")],
        "GAN.stack: gans[1] has another objective: 'Minimax', not 'NonSaturating'",
    ),
    "optimiser": (
        lambda: [points_gan(0), points_gan(0, optimizer=SGD)],
        "GAN.stack: gans[1] has another generator_optimizer: 'SGD', not 'Adam'",
    ),
    "form": (
        lambda: [points_gan(0), points_gan(0, optimizer=lambda rate: Adam(rate, form="paper"))],
        "GAN.stack: generator_optimizer form is 'keras' and 'paper'; only numbers may differ",
    ),
    "how often": (
        lambda: [points_gan(0, "hinge", penalty=R1R2(1.0, every)) for every in (1, 2)],
        "GAN.stack: penalty every is 1 and 2; only numbers may differ",
    ),
    "updates": (
        lambda: [points_gan(0), after(points_gan(0), 2)],
        "GAN.stack: gans[1] has generator_optimizer.steps 2, gans[0] 0: replicas make their updates together",
    ),
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED)
def test_what_is_no_stack_is_refused_in_a_sentence(refused):
    make, message = REFUSED[refused]
    with pytest.raises(Error) as error:
        GAN.stack(make())
    assert str(error.value).startswith(message)


def test_a_single_gan_that_does_not_fit_in_is_refused_in_a_sentence():
    stack = GAN.stack([points_gan(r) for r in range(2)])
    before = bits(stack)
    other = points_gan(0, optimizer=lambda rate: Adam(rate, 0.5))
    for gan, message in (
        (after(points_gan(0), 3), "set_replica: the GAN has generator_optimizer.steps 3, the stack 0"),
        (other, "set_replica: the GAN has another generator_optimizer beta1: 0.5, not 0.9"),
        (stack, "set_replica: the GAN is a stack itself, of 2 replicas"),
        (points_gan(0, "hinge"), "set_replica: the GAN has another discriminator: "),
    ):
        with pytest.raises(Error) as error:
            stack.set_replica(1, gan)
        assert str(error.value).startswith(message) and bits(stack) == before
    for call in (lambda: points_gan(0).replica(0), lambda: points_gan(0).set_replica(0, points_gan(0))):
        with pytest.raises(Error, match=r"replica: the GAN is a single one and has no replicas"):
            call()
    for r in (2, -1, 0.5, True):
        with pytest.raises(Error, match=r"^replica: r must be a replica from 0 to 1, got |at most 1"):
            stack.replica(r)


def test_numbers_of_another_count_are_refused_in_a_sentence():
    def of(replicas, **settings):
        networks = [Sequential(layers, 2, rng(), replicas=replicas) for layers in ([Dense(2)], [Dense(1)])]
        return GAN(*networks, **{"objective": "hinge"} | settings)

    for replicas, settings, message in (
        (
            2,
            {"generator_optimizer": Adam([1, 2, 3])},
            "learning_rate is a list of 3, the network has 2 replicas",
        ),
        (
            None,
            {"generator_optimizer": SGD([1, 2])},
            "learning_rate is a list of 2, the network has no replicas",
        ),
        (2, {"objective": Wasserstein([0.1])}, "GAN: clip is a list of 1, the network has 2 replicas"),
        (2, {"penalty": R1R2([1, 2, 3])}, "GAN: weight is a list of 3, the network has 2 replicas"),
        (2, {"l1_weight": [1, 2, 3]}, "GAN: l1_weight is a list of 3, the network has 2 replicas"),
        (2, {"average": [0.1, 0.2, 0.3]}, "GAN: average is a list of 3, the network has 2 replicas"),
    ):
        with pytest.raises(Error) as error:
            of(replicas, **settings)
        assert message in str(error.value)
    for make, message in (
        (lambda: Adam([0.1, -1]), "Adam learning_rate[1] must be a positive finite number, got -1"),
        (lambda: Adam([]), "Adam learning_rate must be a number, or one for each replica, got []"),
        (lambda: Wasserstein([0.1, 0]), "clip: of replicas all are clipped or none, got (0.1, 0.0)"),
        (lambda: NonSaturating([0.1, 0.5]), "label_smoothing[1] must be a number in [0, 0.5), got 0.5"),
    ):
        with pytest.raises(Error) as error:
            make()
        assert str(error.value) == message
    gan = of(2)
    with pytest.raises(Error, match="learning_rate is a list of 3, the network has 2 replicas"):
        gan.generator_optimizer.learning_rate = [1, 2, 3]


def test_generators_that_do_not_fit_are_refused_in_a_sentence():
    stack, one = GAN.stack([points_gan(r) for r in range(2)]), rng()
    for gan, draw, message in (
        (stack, [rng()], "fit: rng is a list of 1 generators, the GAN has 2 replicas"),
        (points_gan(0), [rng()], "fit: rng is a list of 1 generators, the GAN has no replicas; give one generator"),
        (
            stack,
            [rng(), 5],
            "fit: rng[1] must be a numpy.random.Generator such as numpy.random.default_rng(0), got int",
        ),
        (stack, [one, one], "fit: rng has one generator twice; each replica needs one of its own"),
    ):
        with pytest.raises(Error) as error:
            trained(gan, NUMBERS, draw)
        assert str(error.value) == message
    with pytest.raises(Error, match="fit: processes must be a positive integer, got 0"):
        trained(stack, NUMBERS, draws(), processes=0)
    with pytest.raises(Error, match="fit: insides are not looked at in replicas with a generator each"):
        trained(stack, NUMBERS, draws(), insides=True)


# --------------------------------------------------------------------------------------------- what stops a replica


def diverging(r, at=1):
    """Replica `at` has a rate that nothing survives."""
    return points_gan(r, optimizer=lambda rate: SGD(1e30 if r == at else rate))


@pytest.mark.parametrize(("count", "processes"), [(2, 1), pytest.param(4, 2, marks=forked)])
def test_one_that_is_not_finite_is_stopped_and_the_others_go_on(count, processes, monkeypatch):
    in_blocks(monkeypatch, count, processes)
    stack = GAN.stack([diverging(r) for r in range(4)])
    start = bits(stack.replica(1))
    history = trained(stack, NUMBERS, draws(4))
    assert (
        list(history.stopped) == [1] and "g_loss at step 1 and generator.dense_1.weight by step 9" in history.stopped[1]
    )
    assert all(np.isnan(history[name][:, 1]).all() for name in history.columns)
    end = stack.replica(1)
    end.generator_optimizer.steps = end.discriminator_optimizer.steps = 0
    assert bits(end) == start
    for r in (0, 2, 3):
        single = diverging(r)
        assert bits_of(single, trained(single, NUMBERS, draws(4)[r])) == bits_of(stack, history, r)


def test_it_keeps_the_last_good_look_and_its_history_up_to_there(monkeypatch):
    in_blocks(monkeypatch, 1, 1)

    def explode(done, history):
        if done == 9:
            stack.generator_optimizer.learning_rate = [0.01, 1e38]
            seen.append(stack.replica(1).generator.values)

    stack, seen = GAN.stack([points_gan(r, optimizer=SGD) for r in range(2)]), []
    history = trained(stack, NUMBERS, draws(), callback=explode)
    single = points_gan(1, optimizer=SGD)
    expected = trained(single, NUMBERS, draws()[1], steps=9)
    assert "by step 18" in history.stopped[1]
    assert stack.generator.values[1].tobytes() == seen[0].tobytes() == single.generator.values.tobytes()
    for name in history.columns:
        assert history[name][:9, 1].tobytes() == expected[name].tobytes()
        assert np.isnan(history[name][9:, 1]).all() and np.isfinite(history[name][:, 0]).all()


def test_when_all_are_stopped_training_ends_as_that_of_a_single_gan():
    stack = GAN.stack([diverging(r, at=r) for r in range(2)])
    start = bits(stack)
    with pytest.raises(NonFiniteError) as error:
        trained(stack, NUMBERS, draws())
    message = str(error.value)
    assert message.startswith("not finite: replica 0: g_loss at step 1 and ") and "; replica 1: g_loss at" in message
    assert message.endswith("; kept the last good state, after step 0")
    assert bits(stack) == start and len(error.value.history) == 0


def test_one_that_is_given_other_weights_goes_on_when_it_is_told_to(monkeypatch):
    in_blocks(monkeypatch, 2, 1)

    def revive(done, history):
        if done == 9:
            stack.set_replica(1, stack.replica(0))
            stack.generator_optimizer.learning_rate = stack.discriminator_optimizer.learning_rate = 0.01
            history.stopped.clear()

    stack = GAN.stack([diverging(r) for r in range(2)])
    history = trained(stack, NUMBERS, draws(), callback=revive)
    assert history.stopped == {} and np.isnan(history["g_loss"][:9, 1]).all()
    assert np.isfinite(history["g_loss"][9:]).all()


# ------------------------------------------------------------------------------------------ checkpoints and accidents


class Stop(Exception):
    """What stops a training in these tests."""


@pytest.mark.parametrize(
    ("length", "processes"),
    [
        pytest.param({"steps": None, "epochs": 5}, 1, id="epochs"),
        pytest.param({}, 2, id="steps", marks=[forked, pytest.mark.slow]),
    ],
)
def test_a_training_stopped_and_resumed_ends_as_one_that_ran_through(length, processes, tmp_path, monkeypatch):
    make = lambda r: points_gan(r, optimizer=lambda rate: SGD(1e30 if r == 1 else rate, 0.5))  # noqa: E731
    through = GAN.stack([make(r) for r in range(3)])
    in_blocks(monkeypatch, 1, 1)
    history = trained(through, NUMBERS, draws(3), **length)

    def stop(done, history):
        if done == limit:
            raise Stop

    in_blocks(monkeypatch, 2, processes)
    path = tmp_path / "training.npz"
    for limit in (9, 18, None):
        resumed, generators = GAN.stack([make(r) for r in range(3)]), draws(3)
        keep = {"checkpoint": path, "resume": True, "callback": stop, **length}
        if limit is None:
            ended = trained(resumed, NUMBERS, generators, **keep)
        else:
            with pytest.raises(Stop):
                trained(resumed, NUMBERS, generators, **keep)
    assert ended.stopped == history.stopped and list(history.stopped) == [1]
    for r in range(3):
        assert bits_of(resumed, ended, r) == bits_of(through, history, r)


def spoil(state, what):
    """A checkpoint's state with one thing wrong."""
    marks = json.loads(state["run.replicas.marks"].tobytes())
    if what == "stopped":
        return state | {"run.replicas.stopped": np.frombuffer(b'{"7": "no such"}', np.uint8)}
    if what == "no JSON":
        return state | {"run.replicas.marks": state["run.replicas.marks"][1:]}
    if what == "one replica":
        marks.pop()
    if what == "one stream":
        marks[0][1].pop(), marks[1][1].pop()
    if what == "count":
        for mark in marks:
            mark[1][0][0] = 10**6
    if what == "out of step":
        marks[0][1][0][0] -= 1
    if what == "no beginning":
        marks[0][1][0][1] = None
    if what == "generator":
        marks[0][0]["state"]["state"] = "x"
    return state | {"run.replicas.marks": np.frombuffer(json.dumps(marks).encode(), np.uint8)}


SPOILT = {
    "no JSON": "replicas: where they stand is not said in the way that it is written",
    "stopped": "replicas: where they stand is said of 2, expected 2 in step",
    "one replica": "replicas: where they stand is said of 1, expected 2 in step",
    "out of step": "replicas: where they stand is said of 2, expected 2 in step",
    "one stream": "2 streams of batches, expected 3",
    "count": "a stream: the batches that it has handed out must be at most 1638, got 1000000",
    "no beginning": "a stream that has handed out 9 of 1638 batches must say where it began, or not",
    "generator": "a random generator's state is not that of a PCG64",
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_checkpoint_that_cannot_be_is_refused_in_a_sentence_that_names_it(spoilt, tmp_path):
    path = tmp_path / "training.npz"
    trained(GAN.stack([points_gan(r) for r in range(2)]), NUMBERS, draws(), checkpoint=path, steps=9)
    with np.load(path) as file:
        state = dict(file)
    write_model(path, json.loads(str(state.pop("settings"))), spoil(state, spoilt))
    stack = GAN.stack([points_gan(r) for r in range(2)])
    with pytest.raises(ModelFileError) as error:
        trained(stack, NUMBERS, draws(), checkpoint=path, resume=True)
    assert str(error.value).removeprefix(f"{path}: ") == SPOILT[spoilt]


@every_share
def test_whatever_stops_a_training_leaves_it_at_the_last_look(processes, monkeypatch):
    in_blocks(monkeypatch, 2, processes)

    def stop(done, history):
        if done == 18:
            raise KeyboardInterrupt

    stack, generators = GAN.stack([points_gan(r) for r in range(2)]), draws()
    with pytest.raises(KeyboardInterrupt) as error:
        trained(stack, NUMBERS, generators, callback=stop)
    for r, draw in enumerate(draws()):
        single = points_gan(r)
        assert bits_of(single, trained(single, NUMBERS, draw, steps=18)) == bits_of(stack, error.value.history, r)
        assert generators[r].random() == draw.random()


@forked
def test_a_process_that_is_killed_is_an_error_and_the_last_look_stands(monkeypatch):
    in_blocks(monkeypatch, 2, 2)
    before = {process.pid for process in multiprocessing.active_children()}

    def kill(done, history):
        if done == 9:
            (process,) = [p for p in multiprocessing.active_children() if p.pid not in before]
            os.kill(process.pid, signal.SIGKILL)
            process.join()

    stack = GAN.stack([points_gan(r) for r in range(2)])
    with pytest.raises(
        Error, match=r"^fit: a process that trains replicas has ended before its time; was it killed\?$"
    ):
        trained(stack, NUMBERS, draws(), callback=kill)
    assert {process.pid for process in multiprocessing.active_children()} == before
    for r, draw in enumerate(draws()):
        single = points_gan(r)
        trained(single, NUMBERS, draw, steps=9)
        assert bits(stack.replica(r)) == bits(single)


@forked
def test_an_error_in_a_process_is_raised_here(monkeypatch):
    class Broken(SinePoints):
        def sample(self, n, draw, out):
            if os.getpid() != here:
                raise LookupError("no such row")
            super().sample(n, draw, out)

    in_blocks(monkeypatch, 2, 2)
    stack, here = GAN.stack([points_gan(r) for r in range(2)]), os.getpid()
    with pytest.raises(Error, match="^LookupError: no such row$"):
        trained(stack, Broken(), draws())


@forked
@pytest.mark.slow
def test_a_process_ends_with_the_one_that_it_is_forked_from(tmp_path):
    code = (
        "import os, sys, numpy as np\n"
        "from numgan.gan import blocks, team\n"
        "from tests.gan.test_replicas import *\n"
        "blocks.StackTraining._cut = lambda self: (3, 3)\n"
        "def tell(done, history):\n"
        "    print(*(process.pid for process in multiprocessing.active_children()), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "stack = GAN.stack([points_gan(r) for r in range(3)])\n"
        "trained(stack, NUMBERS, draws(3), callback=tell)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL and len(ended.stdout.split()) == 2
    for pid in map(int, ended.stdout.split()):
        deadline = time.monotonic() + 20
        while alive(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
