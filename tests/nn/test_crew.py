"""Crew: what kernels write, how calls are split, where the processes have to wait for one another."""

import contextlib
import inspect
import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from numgan import (
    Conv2D,
    Conv2DTranspose,
    Dense,
    Error,
    Sequential,
)
from numgan.gan import average
from numgan.gan.steps import DiscriminatorStep
from numgan.gan.team import between_of
from numgan.kernels import dense
from numgan.nn import buffers, crew, optimizers
from numgan.nn.buffers import GROUP
from numgan.nn.calls import Call
from numgan.nn.crew import BY_ROWS, SCRATCH, programs, split
from numgan.nn.network import copy_layer
from numgan.nn.optimizers import OPTIMIZERS
from numgan.nn.plan import Plan
from numgan.nn.registry import LAYERS
from numgan.nn.second_order import SecondOrder
from tests.helpers import CREW_GANS, DTYPES, GAMES, crew_batch, examples, make_gan, rng, state

COUNTS = (2, 3, 4, 5)
layers_by_name = pytest.mark.parametrize(
    "which", range(len(examples())), ids=[f"{layer!r} on {shape}"[:60] for layer, shape in examples()]
)


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """What the numbers of a crew are equal to."""
    with threadpool_limits(1, user_api="blas"):
        yield


# ------------------------------------------------------------------------------------------------------- calls to try


def arrays_of(call):
    return {name: a for name, a in call.arguments.items() if isinstance(a, np.ndarray)}


def apart(call, poison=None):
    """The same call on copies, one for each argument, and with `poison` in its scratch."""
    own = {name: np.copy(a, order="K") for name, a in arrays_of(call).items()}
    for name in SCRATCH if poison is not None else ():
        if name in own:
            own[name][...] = poison
    return Call(call.kernel, call.arguments | own, rows=call.rows)


def parts_of(calls):
    return [part for call in calls if not call.skipped for part in call.parts]


def calls_of_layer(layer, shape, batch=7, dtype="float64"):
    """Everything that a layer binds, each call when its turn has come: both modes, both ways, and the passes of a
    penalty where it has them.
    """
    network = Sequential([layer], shape, rng(), dtype)
    network.state += rng(1).integers(1, 9, network.state.shape)
    for training in (True, False):
        plan = Plan(network, batch, training=training, backward=True, input_gradient=True)
        plan.x[...] = rng(2).normal(size=plan.x.shape)
        plan.dy[...] = rng(2).normal(size=plan.dy.shape)
        yield from in_turn([*plan.forward, *plan.backward, *network.after_update()])
    with contextlib.suppress(Error):  # it may have no tangent
        layer.check_tangent()
        below = Dense(shape[0]) if len(shape) == 1 else Conv2D(shape[0], 1)
        second = SecondOrder(Sequential([below, copy_layer(layer)], shape, rng(), dtype), batch)
        second.points[...] = rng(3).normal(size=second.points.shape)
        yield from in_turn(second.first)
        second.direction[...] = rng(4).normal(size=second.points.shape)
        yield from in_turn(second.second)


def in_turn(calls):
    with np.errstate(all="ignore"):
        for call in calls:
            if call.skipped:
                continue
            if call.before:
                call.before()
            for part in call.parts:
                yield part
                part.run()


def steps_of(gan, batch=6):
    """The calls of a GAN's steps, each when its turn has come."""
    d, g = gan.discriminator_step(gan.rows_per_step(batch)), gan.generator_step(batch)
    for step in (d, g):
        step.fill(*inputs(gan, step, 0))
        yield from in_turn(step.calls)


def inputs(gan, step, seed):
    """What a step's `fill` takes."""
    draw = rng(seed)
    noise = draw.normal(size=step.noise.shape)
    real = None if step.real is None else draw.normal(size=step.real.shape)
    batch = noise.shape[0]
    named = {name: draw.integers(0, 3, (batch, 1)) for name in gan.conditions}
    if isinstance(step, DiscriminatorStep):
        mix = None if step.mix is None else draw.uniform(size=step.mix.shape)
        return real, noise, mix, named
    return noise, real, named


def all_calls():
    for layer, shape in examples():
        yield from calls_of_layer(layer, shape)
    for game in GAMES:
        yield from steps_of(make_gan(game))
    for name in ("images", "labels", "penalty", "curved penalty", "spectral norm"):
        yield from steps_of(CREW_GANS[name]())
    for optimizer in (kind() for kind in OPTIMIZERS.values()):
        network = Sequential([Dense(3)], 2, rng())
        network.grads += 1
        optimizer.attach(network)
        yield from in_turn([optimizer.call])


every_build = pytest.mark.parametrize("name", CREW_GANS)
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork")


# --------------------------------------------------------------------------------------------- what kernels write


def test_every_kernel_writes_just_what_is_declared_and_its_scratch_means_nothing():
    seen = set()
    for call in all_calls():
        how = BY_ROWS.get(call.kernel)
        if how is None:
            continue
        seen.add(call.kernel)
        found = []
        for poison in (0, 1):
            ours = apart(call, poison)
            before = {name: a.tobytes() for name, a in arrays_of(ours).items()}
            ours.run()
            after = {name: a.tobytes() for name, a in arrays_of(ours).items()}
            changed = {name for name in after if after[name] != before[name]}
            assert changed <= {*how.written, *SCRATCH}, (call.name, changed)
            found.append({name: a for name, a in after.items() if name not in SCRATCH})
        assert found[0] == found[1], call.name
    assert seen == set(BY_ROWS)


@pytest.mark.parametrize("kernel", BY_ROWS, ids=lambda kernel: kernel.__name__)
def test_the_table_names_arguments_that_the_kernels_have(kernel):
    how = BY_ROWS[kernel]
    # NumPy 2.0 tells no names of its own functions' arguments
    names = ("dst", "src") if kernel is np.copyto else inspect.signature(kernel).parameters
    assert {*how.written, *how.whole} <= {*names}
    assert not {*how.written} & {*how.whole, *SCRATCH}


def look(x):
    """A kernel that nobody knows."""


def test_a_kernel_that_is_not_known_may_write_everything():
    x, y = np.zeros((64, 3)), np.zeros((64, 3))
    reading = Call(np.copyto, {"dst": y, "src": x})
    assert [len(program) for program in programs([reading, reading], 2)] == [1, 1]
    made = programs([reading, Call(look, {"x": x}), reading], 2)
    assert [[len(piece) for piece in program] for program in made] == [[1, 1, 1], [1, 0, 1]]


# ------------------------------------------------------------------------------------------------------- splitting


def assert_shares_give_what_the_call_gives(call, count):
    """To the bit; how many shares there were."""
    whole, shared = apart(call, 0), apart(call, 1)
    shares = split(shared, count)
    whole.run()
    for share in reversed(shares):
        if all(a.size for a in share.arrays):
            share.run()
    for name, a in arrays_of(whole).items():
        if name not in SCRATCH:
            assert a.tobytes() == shared.arguments[name].tobytes(), (call.name, name, call.shapes)
    return len(shares)


@pytest.mark.parametrize("batch", [pytest.param(2, marks=pytest.mark.slow), 33])
@layers_by_name
def test_the_shares_of_every_layer_s_calls_give_what_the_calls_give(which, batch, monkeypatch):
    monkeypatch.setattr(buffers, "BLOCK", 40)  # so that some go by blocks of features
    layer, shape = examples()[which]
    for call in calls_of_layer(layer, shape, batch, "float32"):
        for count in COUNTS:
            assert_shares_give_what_the_call_gives(call, count)


@pytest.mark.slow
@every_build
def test_the_shares_of_every_game_s_calls_give_what_the_calls_give(name):
    found = dict.fromkeys(COUNTS, 0)
    for call in steps_of(CREW_GANS[name](), crew_batch(name)):
        for count in COUNTS:
            found[count] += assert_shares_give_what_the_call_gives(call, count) > 1
    assert min(found.values()) > 5


WIDTHS = st.integers(1, 70)
FEATUREWISE = [name for name, kind in LAYERS.items() if kind.featurewise]


@pytest.mark.slow
@settings(max_examples=60, derandomize=True)
@given(st.sampled_from(FEATUREWISE), WIDTHS, st.integers(1, 40), st.sampled_from(DTYPES), st.integers(20, 400))
def test_features_are_split_wherever_the_cuts_fall(name, features, batch, dtype, block):
    before, buffers.BLOCK = buffers.BLOCK, block
    try:
        layer, _ = LAYERS[name].examples()[0]
        for call in calls_of_layer(layer, (features,), batch, dtype):
            for count in COUNTS:
                assert_shares_give_what_the_call_gives(call, count)
    finally:
        buffers.BLOCK = before


@pytest.mark.slow
@settings(max_examples=20, derandomize=True)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3), st.integers(1, 2), st.integers(1, 9), st.booleans())
def test_convolutions_are_split_wherever_the_cuts_fall(channels, filters, kernel, stride, batch, transposed):
    kind = Conv2DTranspose if transposed else Conv2D
    for call in calls_of_layer(kind(filters, kernel, stride, "same"), (channels, 5, 4), batch, "float32"):
        for count in COUNTS:
            assert_shares_give_what_the_call_gives(call, count)


def product(kernel, m, k, n, dtype):
    """The three products of a dense layer, with their operands as they lie in memory."""
    draw = rng(m + k + n)
    a, b = (draw.normal(size=shape).astype(dtype) for shape in ((m, k), (k, n)))
    named = {
        dense.dense_forward: ("weight", a, "x1", b, "out"),
        dense.dense_backward_weight: ("dy", a, "x1T", np.copy(b.T, order="C").T, "out"),
        dense.dense_backward_input: ("weightT", np.copy(a.T, order="C").T, "dy", b, "out1"),
    }[kernel]
    first, a, second, b, out = named
    result = np.full((m, n), 7, dtype)
    return Call(kernel, {first: a, second: b, out: result, "product": dense.fastest_product(a, b)})


SIDES = st.one_of(st.integers(1, 40), st.integers(100, 500), st.sampled_from([8, 64, 128, 256, 784, 785]))
PRODUCTS = (dense.dense_forward, dense.dense_backward_weight, dense.dense_backward_input)


@settings(max_examples=25, derandomize=True)
@given(st.sampled_from(PRODUCTS), SIDES, SIDES, SIDES, st.sampled_from(DTYPES), st.sampled_from(COUNTS))
def test_products_are_split_wherever_the_cuts_fall(kernel, m, k, n, dtype, count):
    call = product(kernel, m, k, n, dtype)
    shares = assert_shares_give_what_the_call_gives(call, count)
    if m * k * n < count * crew.LEAST and k > 1:
        assert shares == 1


def test_a_product_goes_by_rows_and_by_columns_where_the_second_operand_is_much_the_larger():
    tall = split(product(dense.dense_forward, 256, 128, 256, "float32"), 2)
    assert [(len(share.arguments["weight"]), share.arguments["x1"].shape[1]) for share in tall] == [(128, 256)] * 2
    wide = split(product(dense.dense_forward, 32, 128, 4000, "float32"), 2)
    assert [(len(share.arguments["weight"]), share.arguments["x1"].shape[1]) for share in wide] == [(32, 2000)] * 2


@pytest.mark.parametrize(("m", "k", "n", "by_columns"), [(16, 1000, 256, True), (8, 1, 900, False)])
def test_a_product_whose_operands_dot_would_take_is_split_too(m, k, n, by_columns):
    """`dot` does not write to a part of each row."""
    call = product(dense.dense_forward, m, k, n, "float32")
    assert call.arguments["product"] is np.dot
    shares = split(call, 2)
    assert assert_shares_give_what_the_call_gives(call, 2) == len(shares) == 1 + by_columns
    assert by_columns == (shares[0].arguments["x1"].shape[1] < n)


def test_what_is_too_small_or_not_known_is_not_split():
    small = product(dense.dense_forward, 64, 64, 64, "float32")
    assert split(small, 2) == [small]
    unknown = Call(look, {"x": np.zeros((64, 64))})
    assert split(unknown, 2) == [unknown]


def test_a_call_that_is_not_split_is_made_though_one_of_its_arrays_is_empty():
    seen = []
    made = programs([Call(lambda x, nothing: seen.append(1), {"x": np.ones(3), "nothing": np.ones(0)})], 2)
    play(made, rng())
    assert seen == [1]


def test_a_piece_of_an_image_s_channels_is_halved():
    network = Sequential([Conv2DTranspose(10, 4, 2, "same")], (3, 4, 4), rng(), "float32")
    scattering = Plan(network, 8, training=False, backward=False).forward[-1]
    assert [len(share.arguments["out"]) for share in split(scattering, 2)] == [5, 5]


def lengths_of(programs):
    """How many numbers each process updates in the last piece."""
    return [sum(run.args[0].size for run in program[-1] if getattr(run, "args", ())) for program in programs]


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("count", COUNTS)
def test_every_process_makes_as_much_of_an_update(parts, count, monkeypatch):
    network, adam = Sequential([Dense(60)], 59, rng()), optimizers.Adam()
    monkeypatch.setattr(optimizers, "CHUNK", network.values.size // parts)
    adam.attach(network)
    lengths = lengths_of(programs([adam.call], count))
    assert sum(lengths) == network.values.size
    assert max(lengths) - min(lengths) <= 2 * GROUP


@pytest.mark.parametrize("parts", [1, 5])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("ahead", [64, 1_000, 5_000, 10**6, np.inf])
def test_of_the_last_update_the_first_process_makes_less(ahead, count, parts, monkeypatch):
    network, adam = Sequential([Dense(60)], 59, rng()), optimizers.Adam()
    size = network.values.size
    monkeypatch.setattr(optimizers, "CHUNK", size // parts)
    adam.attach(network)
    first, *others = lengths_of(programs([adam.call], count, ahead=ahead))
    assert first + sum(others) == size
    assert max(others) - min(others) <= 2 * GROUP
    assert abs(min(ahead, size / (count - 1)) - (others[0] - first)) <= 2 * GROUP
    copies = {"dst": np.zeros((16, 3)), "src": np.zeros((16, 3))}
    lengths = lengths_of(programs([adam.call, Call(np.copyto, copies)], count, ahead=ahead))
    assert max(lengths) - min(lengths) <= 2 * GROUP + 48  # what comes after it would wait for the others


def test_the_average_is_cut_as_the_update_before_it_is_and_nobody_waits_in_between(monkeypatch):
    for module in (optimizers, average):
        monkeypatch.setattr(module, "CHUNK", 1_000)
    updates = [call for call in CREW_GANS["average"]().generator_step(128).calls if call.before]
    made = programs(updates, 2, ahead=2_000)
    counting, lengths = made[0][0], lengths_of(made)
    assert [len(program) for program in made] == [2, 2] and len(counting) == 2 and not made[1][0]
    kernels = [run.func.__name__ for run in made[1][1]]
    assert len(updates) == 2 and kernels == sorted(kernels)  # all of Adam's, then all of the average's
    assert 2_000 <= lengths[1] - lengths[0] <= 2_000 + 2_000 + 2 * GROUP  # with the state of a batch norm


# --------------------------------------------------------------------------------------------------- where they wait


def play(made, draw, mode="calls"):
    """Run the programs in this process alone, piece by piece. Within a piece the processes go in a random order: one
    after the other, or one call of one of them, then one of another.
    """
    for pieces in zip(*made, strict=True):
        left = [list(piece) for piece in pieces]
        while any(left):
            one = left[draw.choice([i for i, piece in enumerate(left) if piece])]
            for _ in range(len(one) if mode == "processes" else 1):
                one.pop(0)()


def memory(calls):
    """All that a list of calls reads and writes, but for scratch, as bytes."""
    return [a.tobytes() for part in parts_of(calls) for name, a in arrays_of(part).items() if name not in SCRATCH]


class Twins:
    """Two equal GANs, of which one goes through its steps call by call, and the other by programs."""

    def __init__(self, name, count):
        batch = crew_batch(name)
        self.gans = [CREW_GANS[name]() for _ in range(2)]
        self.pairs = [
            [gan.discriminator_step(gan.rows_per_step(batch)) for gan in self.gans],
            [gan.generator_step(batch) for gan in self.gans],
        ]
        self.made = [[programs(calls, count) for calls in ours.lists] for _, ours in self.pairs]

    def step(self, seed, draw, mode, made=None):
        """Make a step of each side both ways, at a rate of its own; whether all numbers are equal to the bit."""
        equal = True
        for gan in self.gans:
            gan.generator_optimizer.learning_rate = gan.discriminator_optimizer.learning_rate = 0.01 / (1 + seed)
        with np.errstate(all="ignore"):
            for (theirs, ours), lists in zip(self.pairs, made or self.made, strict=True):
                for step, gan in zip((theirs, ours), self.gans, strict=True):
                    step.fill(*inputs(gan, step, seed))
                which = int(len(lists) > 1 and not theirs.penalty_due)
                for call in theirs.lists[which]:
                    if not call.skipped:
                        call.run()
                play(lists[which], draw, mode)
                equal &= memory(theirs.lists[which]) == memory(ours.lists[which])
        return equal


class Order:
    """Draws the first or the last of what there is, in place of a random one."""

    def __init__(self, place):
        self.place = place

    def choice(self, processes):
        return processes[self.place]


ORDERS = (Order(-1), Order(0))


@pytest.fixture
def many_parts(monkeypatch):
    """Updates of small networks go in so many parts that every process gets some."""
    for module in (optimizers, average):
        monkeypatch.setattr(module, "CHUNK", 300)


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 3])
@every_build
def test_between_two_barriers_the_processes_go_in_any_order(name, count, many_parts):
    twins, draw = Twins(name, count), rng(count)
    plays = [(ORDERS[0], "processes"), (draw, "calls"), (draw, "processes")]
    assert all(twins.step(seed, *how) for seed, how in enumerate(plays))


@pytest.mark.parametrize(
    "name", [name if name in ("dense", "images") else pytest.param(name, marks=pytest.mark.slow) for name in CREW_GANS]
)
def test_without_barriers_the_numbers_are_others(name, monkeypatch):
    monkeypatch.setattr(crew, "_clash", lambda one, other: False)
    twins = Twins(name, 2)
    assert not all(twins.step(seed, order, "processes") for seed, order in enumerate(ORDERS))


def without(made, which):
    """The programs with one barrier taken out."""
    return [[*program[:which], program[which] + program[which + 1], *program[which + 2 :]] for program in made]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "dropout", "images"])
def test_every_barrier_is_needed(name, many_parts):
    twins = Twins(name, 2)
    for side in range(2):
        right = twins.made[side][0]
        for which in range(len(right[0]) - 1):
            twins.made[side][0] = without(right, which)
            equal = all(twins.step(2 * which + seed, order, "processes") for seed, order in enumerate(ORDERS))
            assert not equal, (side, which)
            twins.gans[1].load_state_dict(twins.gans[0].state_dict())
        twins.made[side][0] = right


def test_what_is_read_and_written_between_lists_is_done_with_when_the_first_process_is():
    x, y = np.zeros((16, 3)), np.zeros((16, 3))
    copy = [Call(np.copyto, {"dst": y, "src": x})]
    assert [len(program) for program in programs(copy, 2)] == [1, 1]
    for between in ([x], [y], [x[12:]]):
        made = programs(copy, 2, between)
        assert [[len(piece) for piece in program] for program in made] == [[1, 0], [1, 0]]
    assert [len(program) for program in programs(copy, 2, [x[:8], y[:8], np.zeros(3)])] == [1, 1]  # its own share


@every_build
def test_the_first_process_may_fill_the_next_step_while_the_others_are_at_the_end_of_this_one(name, many_parts):
    twins = Twins(name, 2)
    (theirs, ours) = ([pair[i] for pair in twins.pairs] for i in range(2))
    between = [a for side in ours for a in between_of(side)]
    made = [[programs(calls, 2, between, 700) for calls in side.lists] for side in ours]
    fills = [inputs(twins.gans[0], theirs[k % 2], k) for k in range(5)]
    ours[0].fill(*fills[0])
    for k in range(4):
        side, which = k % 2, int(len(made[k % 2]) > 1 and not theirs[k % 2].penalty_due)
        with np.errstate(all="ignore"):
            theirs[side].fill(*fills[k])
            for call in theirs[side].lists[which]:
                if not call.skipped:
                    call.run()
            *pieces, (own, others) = zip(*made[side][which], strict=True)
            play(zip(*pieces, strict=True), ORDERS[0], "processes")
            for run in own:
                run()
            scores = [a.tobytes() for a in between_of(ours[side])]
            ours[(k + 1) % 2].fill(*fills[k + 1])
            for run in others:
                run()
        assert scores == [a.tobytes() for a in between_of(theirs[side])]
        assert state(twins.gans[0]) == state(twins.gans[1]), k


def test_a_barrier_stands_where_all_have_as_much_to_do_on_either_side():
    """Both write x; then the first reads its half five times, the second its own once, and at last the other's."""
    x, rows = np.zeros((16, 3)), [np.zeros((8, 3)) for _ in range(8)]
    halved = Call(np.copyto, {"dst": x, "src": np.zeros((16, 3))})
    firsts = [Call(np.copyto, {"dst": row, "src": x[:8]}, rows=(0, 8, 16)) for row in rows[:5]]
    second = Call(np.copyto, {"dst": rows[5], "src": x[8:]}, rows=(8, 16, 16))
    across = Call(np.copyto, {"dst": rows[6], "src": x[:8]}, rows=(8, 16, 16))
    made = programs([halved, *firsts, second, across], 2)
    assert [[len(piece) for piece in program] for program in made] == [[2, 4], [2, 1]]


def test_what_a_barrier_is_for_does_not_wait_again_for_what_could_come_after_it():
    x, y = np.zeros((16, 3)), np.zeros((8, 3))
    halved = Call(np.copyto, {"dst": x, "src": np.zeros((16, 3))})
    first = Call(np.copyto, {"dst": y, "src": x[:8]}, rows=(0, 8, 16))
    across = Call(np.copyto, {"dst": np.zeros((8, 3)), "src": y}, rows=(8, 16, 16))
    made = programs([halved, first, Call(np.copyto, {"dst": np.zeros((16, 3)), "src": x}), across], 2)
    assert [[len(piece) for piece in program] for program in made] == [[3, 0], [2, 1]]


# ------------------------------------------------------------------------------------------------------ the processes


@pytest.fixture
def late(monkeypatch):
    """late(name): a child takes a while before that method, which is called without arguments, or with a number."""
    parent = os.getpid()

    def make(name):
        right = getattr(crew.Crew, name)

        def slow(self, *arguments):
            if os.getpid() != parent:
                time.sleep(0.01)
            return right(self, *arguments)

        monkeypatch.setattr(crew.Crew, name, slow)

    return make


def copies(count=3):
    """Lists of one call each, from an array that counts to one of zeros: no process ever waits for another in them."""
    pairs = [(np.full((16, 3), 1.0 + i), np.zeros((16, 3))) for i in range(count)]
    return [[Call(np.copyto, {"dst": to, "src": source})] for source, to in pairs], pairs


@forks
def test_a_child_that_comes_late_runs_what_it_was_told_all_the_same(late):
    late("_told")
    lists, pairs = copies()
    with crew.Crew(lists, 2) as ours:
        for which in (1, 0, 2, 1, 2, 0):
            ours.shared.copy(pairs[which][1])[...] = 0
            ours.run(which)
            ours.rest()
            assert (ours.shared.copy(pairs[which][1]) == 1 + which).all()
        for _, to in pairs:
            ours.shared.copy(to)[...] = 0
        for which in range(3):  # the first process never waits for the other to be done
            ours.run(which)
        ours.rest()
        assert all((ours.shared.copy(to) == ours.shared.copy(source)).all() for source, to in pairs)


@forks
def test_a_crew_that_rests_has_done_all_and_does_not_rest_before(late):
    late("_play")
    lists, pairs = copies(1)
    with crew.Crew(lists, 3) as ours:
        result = ours.shared.copy(pairs[0][1])
        ours.run(0)
        assert (result[:5] == 1).all() and (result[8:] == 0).all()
        ours.rest()
        assert (result == 1).all()
