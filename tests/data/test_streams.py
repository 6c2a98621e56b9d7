"""Streams: batches drawn many at a time, each number used once; rows shuffled epoch by epoch; normal numbers."""

import math

import numpy as np
import pytest

from numgan.data import SinePoints, stream
from numgan.data.noise import fill_normal
from numgan.data.rows import Rows
from numgan.data.stream import Shuffled, data_stream, epoch_stream, noise_stream
from numgan.errors import Error
from tests.helpers import DTYPES, peak_memory, rng

BATCHES = [((7,), (3,)), ((2, 5), (3,)), ((1,), (1,)), ((4,), (2, 3, 1)), ((3, 2), (2, 2, 2)), ((300,), (784,))]


class Counter:
    """A data source whose n-th row is n all over."""

    def __init__(self, shape):
        self.shape, self.drawn = shape, 0

    def sample(self, n, rng, out):
        assert out.shape == (n, *self.shape)
        out[...] = (self.drawn + np.arange(n)).reshape(n, *[1] * len(self.shape))
        self.drawn += n


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "shape"), BATCHES)
def test_noise_comes_in_batches_of_the_shape_asked_for_and_never_twice(batch, shape, dtype, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_VALUES", 2_000)  # several blocks even of small batches
    source = noise_stream(rng(), batch, shape, dtype)
    seen = [source.next().copy() for _ in range(4_000 // np.prod(batch + shape) + 3)]
    assert {(noise.shape, noise.dtype) for noise in seen} == {((*batch, *shape), np.dtype(dtype))}
    numbers = np.concatenate([noise.ravel() for noise in seen])
    assert len(np.unique(numbers)) > 0.99 * len(numbers)
    again = noise_stream(rng(), batch, shape, dtype)
    assert all(again.next().tobytes() == noise.tobytes() for noise in seen)


@pytest.mark.parametrize(("batch", "shape"), BATCHES)
def test_noise_lies_in_memory_as_networks_read_it_samples_last(batch, shape):
    noise = noise_stream(rng(), batch, shape, "float32").next()
    assert np.moveaxis(noise, len(batch) - 1, -1).flags.c_contiguous


@pytest.mark.parametrize(("batch", "shape"), BATCHES)
def test_data_are_handed_out_row_by_row_in_the_order_drawn(batch, shape):
    source = data_stream(Counter(shape), rng(), batch, "float64")
    rows = np.concatenate([source.next().reshape(-1, math.prod(shape)).copy() for _ in range(9)])
    np.testing.assert_array_equal(rows, np.broadcast_to(np.arange(len(rows))[:, None], rows.shape))


def test_a_block_is_used_up_before_the_next_is_drawn(monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_VALUES", 4 * 2 * 5)  # five batches of four points
    source = Counter((2,))
    batches = data_stream(source, rng(), (4,), "float32")
    drawn = []
    for _ in range(11):
        batches.next()
        drawn.append(source.drawn)
    assert drawn == [20] * 5 + [40] * 5 + [60]


@pytest.mark.parametrize("make", [noise_stream, lambda *a: data_stream(SinePoints(), a[0], a[1], a[3])])
def test_a_warm_stream_takes_no_memory(make):
    source = make(rng(), (64,), (2,), "float32")
    for _ in range(600):
        source.next()
    assert peak_memory(lambda: [source.next() for _ in range(300)]) < 10_000


@pytest.mark.parametrize("shape", [(3,), (2, 2, 1)])
def test_every_row_comes_once_an_epoch_in_a_new_order(shape):
    rows = np.broadcast_to(np.arange(10.0).reshape(10, *[1] * len(shape)), (10, *shape))
    order = Shuffled(Rows(rows), rng())
    whole, rest = epoch_stream(order, (4, *shape), "float32"), epoch_stream(order, (2, *shape), "float32")
    epochs = []
    for _ in range(4):
        batches = [batch.next().copy() for batch in (whole, whole, rest)]
        assert [len(batch) for batch in batches] == [4, 4, 2]
        epochs.append([int(row.flat[0]) for batch in batches for row in batch])
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


@pytest.mark.parametrize("rows", [np.zeros(3), np.zeros((0, 2)), np.zeros((2, 0)), np.array([["a"]]), 1.0, [[None]]])
def test_what_are_no_rows_of_numbers_is_refused(rows):
    with pytest.raises(Error, match="real data must be (real )?numbers"):
        Rows(rows)


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_numbers_are_normal(dtype):
    out = np.empty(200_000, dtype)
    fill_normal(rng(), out, np.empty(100_000, dtype))
    assert abs(out.mean()) < 0.01 and abs(out.std() - 1) < 0.01 and abs((out**4).mean() - 3) < 0.1
    shares = [(np.abs(out) < s).mean() for s in (0.5, 1, 2, 3)]
    np.testing.assert_allclose(shares, [math.erf(s / math.sqrt(2)) for s in (0.5, 1, 2, 3)], atol=0.005)
    first, second = np.split(out, 2)  # the two coordinates of a point
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01 and abs(np.corrcoef(first**2, second**2)[0, 1]) < 0.01


# ---------------------------------------------------------------- going on where one stopped


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "shape"), BATCHES)
@pytest.mark.parametrize("make", [noise_stream, lambda draw, *rest: data_stream(Rows(np.eye(9)), draw, *rest)])
def test_a_stream_goes_on_from_its_state_and_that_of_the_random_numbers(make, batch, shape, dtype):
    shape = shape if make is noise_stream else (9,)
    arguments = (batch, shape, dtype) if make is noise_stream else (batch, dtype)
    draw = rng()
    ours, other = make(draw, *arguments), make(rng(5), *arguments)
    for used in range(12):
        state, numbers = ours.state_dict(), draw.bit_generator.state
        ours.next()
        expected = [ours.next().copy() for _ in range(3)]
        assert state["left"].dtype == dtype and state["left"].shape[1:] == expected[0].shape, used
        again = rng()
        again.bit_generator.state = numbers
        other = make(again, *arguments)
        other.load_state_dict(state)
        other.next()
        assert all(other.next().tobytes() == batch.tobytes() for batch in expected)


def test_an_order_goes_on_from_its_state():
    def order(seed):
        return Shuffled(Rows(np.arange(10.0)[:, None]), rng(seed))

    def take(order, n):
        out = np.empty((n, 1))
        order.take(out)
        return out.ravel().tolist()

    ours = order(1)
    take(ours, 4), take(ours, 3)
    state = ours.state_dict()
    rest = take(ours, 3)
    assert sorted(state["order"].tolist()) == sorted(map(int, rest))
    other = order(2)
    other.load_state_dict(state)
    assert take(other, 3) == rest
