"""Laws that hold for every architecture, shape, dtype and number of replicas.

Layers are drawn from the registry: each class's own examples, and known ones with random settings besides. A layer that
joins a chapter is tested here without a change.
"""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.array_utils import byte_bounds

from numgan import (
    AveragePooling2D,
    BatchNorm,
    BinaryCrossEntropy,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Embedding,
    Error,
    Flatten,
    Join,
    LeakyReLU,
    OneHot,
    Reshape,
    Sequential,
    Sigmoid,
    SpectralNorm,
    UpSampling2D,
    check_gradients,
)
from numgan.nn.initializers import INITIALIZERS
from numgan.nn.network import as_shape
from numgan.nn.registry import LAYERS
from tests.helpers import DTYPES
from tests.helpers import rng as make_rng

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def examples(n):
    return settings(max_examples=n, deadline=None, derandomize=True, suppress_health_check=SLOW)


WIDTHS = st.integers(1, 8)
SIDES = st.integers(1, 3)
SHAPES = st.one_of(st.tuples(WIDTHS), st.tuples(SIDES, SIDES, SIDES))  # features, or (channels, height, width)
BATCHES = st.integers(2, 7)
SEEDS = st.integers(0, 2**31)
REPLICAS = st.sampled_from([None, 1, 2, 3])
TURNS = st.lists(st.integers(0, 99), max_size=4)  # which of the shapes that a Reshape can make, for some of them

# ------------------------------------------------------------------------------------------------------- layers
#
# A drawn layer is (class, how it is made): the arguments of the class, or the number of one of its examples. A network
# is built more than once from the same draw, each time of new layers.

PADDINGS = st.sampled_from(["same", "valid"]) | st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2)
SETTINGS = {  # of the known layers, beyond those of their examples
    Dense: st.tuples(WIDTHS, st.sampled_from([name for name in INITIALIZERS if name != "zeros"])),
    LeakyReLU: st.tuples(st.sampled_from([0.0, 0.01, 0.2, 0.9])),
    BatchNorm: st.tuples(st.sampled_from([0.0, 0.5, 0.99]), st.sampled_from([1e-3, 1e-1])),
    Reshape: st.tuples(st.integers(0, 99)),  # which of the shapes that the numbers fit into
    Dropout: st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9])),
    Conv2D: st.tuples(SIDES, st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), PADDINGS),
    Conv2DTranspose: st.tuples(
        SIDES, st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.sampled_from(["same", "valid"])
    ),
    AveragePooling2D: st.tuples(st.tuples(SIDES, SIDES), st.none() | st.tuples(SIDES, SIDES), PADDINGS),
    UpSampling2D: st.tuples(st.tuples(SIDES, SIDES)),
    Embedding: st.tuples(st.integers(2, 20), WIDTHS),  # of one index the output is a constant
    OneHot: st.tuples(st.integers(2, 20)),
    SpectralNorm: st.tuples(st.tuples(st.just("Dense"), st.fixed_dictionaries({"units": WIDTHS}))),
}
IMAGES = (Conv2D, Conv2DTranspose, AveragePooling2D, UpSampling2D)


def drawn(kind):
    """A strategy for the layers of one class."""
    own = st.tuples(st.just(kind), st.integers(0, len(kind.examples()) - 1))
    return st.one_of(own, st.tuples(st.just(kind), SETTINGS[kind])) if kind in SETTINGS else own


def mixes_rows(kind):
    """Whether a training pass of the class takes statistics of the batch, in which every row has its share, or draws
    numbers of which every row gets others: the layers with a state, but for those whose passes only read it.
    """
    if kind is SpectralNorm:
        return False
    for layer, shape in kind.examples():
        layer.build(shape)
        if layer.state_shapes:
            return True
    return False


def networks(kinds):
    """Lists of layers; those of indices come first, as what they read is data: nothing below them would ever learn. And
    of an image one pixel high a window may see its padding alone, so that nothing depends on anything: Flatten.
    """
    indices = st.one_of(*(drawn(kind) for kind in kinds if kind.takes_indices))
    others = st.lists(st.one_of(*(drawn(kind) for kind in kinds if not kind.takes_indices)), min_size=1, max_size=6)
    first = st.one_of(*[st.just([])] * 4, indices.map(lambda layer: [layer, (Flatten, 0)]))
    return st.tuples(first, others).map(lambda parts: [*parts[0], *parts[1]])


# All but what a condition is needed for: see test_joining.
KINDS = {name: kind for name, kind in LAYERS.items() if kind is not Join}
ANY = networks([*KINDS.values()])
ROW_BY_ROW = networks([kind for kind in KINDS.values() if not mixes_rows(kind)])


def shapes_of(size):
    """All shapes of one or three axes that so many numbers fit into."""
    divisors = [n for n in range(1, size + 1) if size % n == 0]
    return [(size,), *((a, b, size // a // b) for a in divisors for b in divisors if size // a % b == 0)]


def make(kind, how, shape):
    """(a new layer, an input shape that it surely takes)."""
    if isinstance(how, int):
        return kind.examples()[how]
    if kind is Reshape:
        choices = shapes_of(math.prod(shape))
        return Reshape(choices[how[0] % len(choices)]), shape
    return kind(*how), (2, 4, 3) if kind in IMAGES else (5,)


def fits(layers, shape):
    """The shape that layers make of `shape`, or None where one refuses it."""
    try:
        for layer in layers:
            shape = as_shape("shape", layer.build(shape))
    except Error:
        return None
    return shape


def make_layers(kinds, shape):
    """New layers in order. Before one that refuses what comes, Flatten; or, if need be, what makes a shape it takes."""
    layers = []
    for kind, how in kinds:
        layer, wanted = make(kind, how, shape)
        led = [Flatten(), Dense(math.prod(wanted)), Reshape(wanted), layer]
        chosen = next(group for group in ([layer], [Flatten(), layer], led) if fits(group, shape))
        layers, shape = layers + chosen, fits(chosen, shape)
    return layers


def build(kinds, shape, seed, dtype="float64", replicas=None):
    """The network, with parameters and statistics of its own in every replica; the same for both dtypes. What layers
    keep beside their parameters is as an update to these would leave it.
    """
    rng = make_rng(seed)
    network = Sequential(make_layers(kinds, shape), shape, rng, dtype, replicas)
    network.values += rng.normal(0, 0.3, network.values.shape)
    network.state += rng.uniform(0, 0.5, network.state.shape)
    for call in network.after_update():
        call.run()
    for twin in (network, *([] if replicas else [network.copy(replicas=2)])):
        assert_views_stay_within_the_arena(twin)
    return network, rng


def assert_views_stay_within_the_arena(network):
    """Before anything is written through them: beyond it lies the rest of the process."""
    arenas = [byte_bounds(a) for a in (network.values, network.grads, network.state) if a.size]
    for layer in network.layers:
        held = [a for part in (layer.params, layer.grads, layer.state) for a in part.values()]
        held += [a for a in vars(layer).values() if isinstance(a, np.ndarray) and a.base is not None]
        for first, last in map(byte_bounds, held):
            inside = any(start <= first <= last <= stop for start, stop in arenas)
            assert inside, f"{layer.name} of {network.replicas} replicas, {network.shapes}"


def draw(rng, network, rows):
    """Input and output gradient, with the replica axis of the network."""
    lead = (*network.replicas, rows)
    first = next((layer for layer in network.layers if not layer.is_view), None)
    if first is not None and first.takes_indices:
        x = rng.integers(0, first.count, (*lead, *network.shapes[0])).astype(np.float64)
    else:
        x = rng.normal(0.1, 1, (*lead, *network.shapes[0]))
    return x, rng.normal(0, 1, (*lead, *network.shapes[-1]))


def of_rows(a, shape, index):
    """Some rows of an array (…, batch, *shape)."""
    return a[(..., index, *[slice(None)] * len(shape))]


def run(network, x, dy, training):
    """Output, input gradient, parameter gradients and the state that is left, as copies. The network's own is put back:
    another pass starts from the same running statistics, and draws the same numbers.
    """
    before = network.state.copy()
    y = network.forward(x, training).copy()
    dx = network.backward(dy).copy()
    after = network.state.copy()
    network.state[...] = before
    return y, dx, network.grads.copy(), after


def near(ours, expected, tolerance=1e-10):
    np.testing.assert_allclose(
        ours, expected, rtol=tolerance, atol=tolerance * max(np.abs(expected).max(initial=0), 1e-9)
    )


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_layer_of_the_registry_has_examples_that_work(kind):
    assert kind.examples()
    for how, (layer, shape) in enumerate(kind.examples()):
        assert type(layer) is kind and fits([layer], shape) is not None
        network, rng = build([(kind, how)], shape, 1)
        assert len(network.layers) == 1
        x, dy = draw(rng, network, 4)
        run(network, x, dy, True)
        check_gradients(network, x, coordinates=12).raise_for_failure()


# ------------------------------------------------------------------------------------------------- gradient checks


@pytest.mark.slow
@examples(70)
@given(ANY, SHAPES, BATCHES, SEEDS, st.booleans())
def test_any_network_passes_the_gradient_check(kinds, shape, rows, seed, training):
    """Batch norms of two rows flatten each other's gradients, down to where differences have no digits left."""
    batch_norms = sum(mixes_rows(kind) for kind, _ in kinds)
    network, rng = build(kinds, shape, seed)
    x = draw(rng, network, max(rows, 1 + 2 * batch_norms))[0]
    check_gradients(network, x, training=training, coordinates=12, directions=1).raise_for_failure()


@examples(40)
@given(ANY, SHAPES, BATCHES, SEEDS, st.booleans(), REPLICAS, st.integers(0, 2))
def test_any_stack_of_replicas_is_its_networks_one_by_one(kinds, shape, rows, seed, training, replicas, r):
    stack, rng = build(kinds, shape, seed, replicas=replicas or 1)
    network, _ = build(kinds, shape, seed)
    r %= replicas or 1
    network.values[...], network.state[...] = stack.values[r], stack.state[r]
    x, dy = draw(rng, stack, rows)
    for together, alone in zip(run(stack, x, dy, training), run(network, x[r], dy[r], training), strict=True):
        near(together[r], alone)


@examples(60)
@given(ANY, SHAPES, BATCHES, SEEDS, st.booleans(), REPLICAS)
def test_float32_runs_close_to_float64(kinds, shape, rows, seed, training, replicas):
    single, rng = build(kinds, shape, seed, "float32", replicas)
    double, _ = build(kinds, shape, seed, "float64", replicas)
    double.values[...], double.state[...] = single.values, single.state
    x, dy = draw(rng, single, rows)
    x = x.astype(np.float32)
    (*narrow, state), (*wide, wide_state) = run(single, x, dy, training), run(double, x, dy, training)
    for ours, exact in zip(narrow, wide, strict=True):
        assert ours.dtype == np.float32
        near(ours, exact, 5e-3)
    near(state, wide_state, 1e-4)


# ------------------------------------------------------------------------------------------------------- backward


@examples(60)
@given(ANY, SHAPES, BATCHES, SEEDS, st.booleans(), REPLICAS, st.floats(-5, 5), st.floats(-5, 5))
def test_backward_is_linear(kinds, shape, rows, seed, training, replicas, a, b):
    network, rng = build(kinds, shape, seed, replicas=replicas)
    x, dy1 = draw(rng, network, rows)
    _, dy2 = draw(rng, network, rows)
    _, dx1, grads1, _ = run(network, x, dy1, training)
    _, dx2, grads2, _ = run(network, x, dy2, training)
    _, dx, grads, _ = run(network, x, a * dy1 + b * dy2, training)
    size = abs(a) + abs(b) + 1
    for both, one, two in ((dx, dx1, dx2), (grads, grads1, grads2)):
        scale = size * max(np.abs(one).max(initial=0), np.abs(two).max(initial=0), 1e-9)
        np.testing.assert_allclose(both, a * one + b * two, rtol=0, atol=1e-10 * scale)


@examples(60)
@given(ROW_BY_ROW, SHAPES, BATCHES, SEEDS, REPLICAS)
def test_a_batch_s_gradient_is_the_sum_of_its_rows_gradients(kinds, shape, rows, seed, replicas):
    network, rng = build(kinds, shape, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    y, dx, grads, _ = run(network, x, dy, True)
    first, last = network.shapes[0], network.shapes[-1]
    single = [
        run(network, of_rows(x, first, slice(i, i + 1)), of_rows(dy, last, slice(i, i + 1)), True) for i in range(rows)
    ]
    near(y, np.concatenate([part[0] for part in single], axis=-1 - len(last)))
    near(dx, np.concatenate([part[1] for part in single], axis=-1 - len(first)))
    total = sum(part[2] for part in single)
    scale = max(np.abs(part[2]).max(initial=0) for part in single)
    np.testing.assert_allclose(grads, total, rtol=1e-10, atol=1e-12 * scale)


class Keeps:
    """An optimiser that leaves the parameters alone."""

    def attach(self, network):
        pass

    def step(self):
        pass


@examples(40)
@given(ROW_BY_ROW, SHAPES, BATCHES, SEEDS, REPLICAS, st.booleans(), st.sampled_from([0.0, 0.1]))
def test_a_training_batch_s_loss_and_gradient_are_the_means_of_its_rows(kinds, shape, rows, seed, replicas, ends, s):
    kinds = [*kinds, (Dense, (1,)), *([(Sigmoid, ())] if ends else [])]
    network, rng = build(kinds, shape, seed, replicas=replicas)
    network.compile(Keeps(), BinaryCrossEntropy(from_logits=not ends, label_smoothing=s))
    x, _ = draw(rng, network, rows)
    target = rng.integers(0, 2, (*network.replicas, rows, 1))
    loss, accuracy = network.train_on_batch(x, target)
    grads, parts = network.grads.copy(), []
    for i in range(rows):
        metrics = network.train_on_batch(of_rows(x, shape, slice(i, i + 1)), target[..., i : i + 1, :])
        parts.append([*metrics, network.grads.copy()])
    near(loss, np.mean([part[0] for part in parts], axis=0))
    near(accuracy, np.mean([part[1] for part in parts], axis=0))
    scale = max(np.abs(part[2]).max(initial=0) for part in parts)
    np.testing.assert_allclose(grads, np.mean([p[2] for p in parts], axis=0), rtol=1e-10, atol=1e-12 * scale)


@examples(60)
@given(ANY, SHAPES, BATCHES, SEEDS, st.booleans(), REPLICAS)
def test_permuting_a_batch_permutes_its_outputs_and_input_gradients(kinds, shape, rows, seed, training, replicas):
    """A dropout's mask stays where it is, whatever row comes there: it rests here."""
    training = training and not any(kind is Dropout for kind, _ in kinds)
    network, rng = build(kinds, shape, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    order = rng.permutation(rows)
    y, dx, grads, _ = run(network, x, dy, training)
    first, last = network.shapes[0], network.shapes[-1]
    y2, dx2, grads2, _ = run(network, of_rows(x, first, order), of_rows(dy, last, order), training)
    near(y2, of_rows(y, last, order), 1e-9)
    scale = max(np.abs(dy).max(), 1)
    np.testing.assert_allclose(dx2, of_rows(dx, first, order), rtol=1e-8, atol=1e-10 * scale)
    np.testing.assert_allclose(grads2, grads, rtol=1e-8, atol=1e-10 * scale)


@examples(40)
@given(ANY, SHAPES, BATCHES, SEEDS, REPLICAS)
def test_in_inference_no_row_depends_on_another(kinds, shape, rows, seed, replicas):
    network, rng = build(kinds, shape, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    y, dx, *_ = run(network, x, dy, False)
    other = rng.normal(0, 10, x.shape)
    of_rows(other, shape, 0)[...] = of_rows(x, shape, 0)
    y2, dx2, *_ = run(network, other, dy, False)
    near(of_rows(y2, network.shapes[-1], 0), of_rows(y, network.shapes[-1], 0))
    near(of_rows(dx2, shape, 0), of_rows(dx, shape, 0))


# ----------------------------------------------------------------------------------------------------- batch norm


def per_channel(a, shape):
    """An array (…, batch, *shape) as (…, samples, channels): every position of an image counts as a sample."""
    lead = a.shape[: a.ndim - len(shape) - 1]
    return np.moveaxis(a, len(lead) + 1, -1).reshape(*lead, -1, shape[0])


def of_channels(values, shape):
    """(…, channels) so that it broadcasts against (…, batch, *shape)."""
    return values.reshape(*values.shape[:-1], 1, shape[0], *[1] * (len(shape) - 1))


@examples(60)
@given(SHAPES, st.integers(2, 40), SEEDS, REPLICAS, st.sampled_from([1e-12, 1e-3, 0.5]), st.sampled_from([1e-2, 1, 50]))
def test_batch_norm_s_input_gradient_is_orthogonal_to_constants_and_to_the_input(
    shape, rows, seed, replicas, epsilon, size
):
    """To x̂ exactly when ε is nothing beside the variance; with ε, Σ dx·x̂ = dγ·γ/s · ε/(σ² + ε)."""
    network, rng = build([(BatchNorm, (0.9, epsilon))], shape, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    x = size * x + of_channels(rng.normal(0, size, shape[0]), shape)
    _, dx, *_ = run(network, x, dy, True)
    gamma, dgamma = (views["batch_norm_1.gamma"] for views in (network.parameters(), network.gradients()))
    x, dy, dx = (per_channel(a, shape) for a in (x, dy, dx))
    variance = x.var(axis=-2, keepdims=True)
    s = np.sqrt(variance + epsilon)
    normal = (x - x.mean(axis=-2, keepdims=True)) / s
    scale = np.abs(dy).sum(axis=-2) * np.abs(gamma) / s[..., 0, :] * np.sqrt(x.shape[-2]) + 1e-300
    assert (np.abs(dx.sum(axis=-2)) <= 1e-11 * scale).all()
    rest = dgamma * gamma / s[..., 0, :] * (epsilon / (variance + epsilon))[..., 0, :]
    assert (np.abs((dx * normal).sum(axis=-2) - rest) <= 1e-11 * scale).all()


@examples(60)
@given(SHAPES, st.integers(2, 40), SEEDS, REPLICAS, st.sampled_from([1e-8, 1e-3, 0.5]), st.floats(-100, 100))
def test_batch_norm_s_output_has_mean_zero_and_variance_one(shape, rows, seed, replicas, epsilon, offset):
    rng = make_rng(seed)
    network = Sequential([BatchNorm(0.9, epsilon)], shape, rng, "float64", replicas)
    x = rng.normal(offset, 3, (*network.replicas, rows, *shape))
    y = per_channel(network.forward(x, training=True), shape)
    x = per_channel(x, shape)
    variance = x.var(axis=-2)
    near(y.mean(axis=-2) + 1, np.ones_like(variance), 1e-10)
    near(y.var(axis=-2), variance / (variance + epsilon), 1e-8)
    state = network.state_dict()
    near(state["batch_norm_1.running_mean"], 0.1 * x.mean(axis=-2), 1e-10)
    near(state["batch_norm_1.running_variance"], 0.9 + 0.1 * variance, 1e-10)


@examples(30)
@given(SHAPES, BATCHES, SEEDS, REPLICAS, st.floats(0.1, 100), st.floats(-100, 100))
def test_batch_norm_does_not_see_the_scale_and_offset_of_its_input(shape, rows, seed, replicas, scale, offset):
    network, rng = build([(BatchNorm, (0.9, 1e-12))], shape, seed, replicas=replicas)
    x, _ = draw(rng, network, max(rows, 3))
    y = network.forward(x, training=True).copy()
    near(network.forward(scale * x + offset, training=True), y, 1e-6)


@examples(40)
@given(st.tuples(SIDES, SIDES, SIDES), BATCHES, SEEDS, st.booleans(), REPLICAS)
def test_batch_norm_of_images_is_that_of_their_positions_as_rows(shape, rows, seed, training, replicas):
    kinds = [(BatchNorm, (0.7, 0.1))]
    images, rng = build(kinds, shape, seed, replicas=replicas)
    flat, _ = build(kinds, shape[:1], seed, replicas=replicas)
    x, dy = draw(rng, images, rows)
    y, dx, grads, state = run(images, x, dy, training)
    y2, dx2, grads2, state2 = run(flat, per_channel(x, shape), per_channel(dy, shape), training)
    pairs = (per_channel(y, shape), y2), (per_channel(dx, shape), dx2), (grads, grads2), (state, state2)
    for ours, theirs in pairs:
        near(ours, theirs)


# ---------------------------------------------------------------------------------------------------------- shapes


@examples(60)
@given(
    SHAPES, st.lists(st.integers(0, 99), max_size=4), BATCHES, SEEDS, st.booleans(), st.sampled_from(DTYPES), REPLICAS
)
def test_views_move_nothing(shape, turns, rows, seed, training, dtype, replicas):
    """Reshape and Flatten, however many: the same numbers in row-major order, forward and backward, to the bit."""
    network, rng = build([(Flatten, 0), *((Reshape, (turn,)) for turn in turns)], shape, seed, dtype, replicas)
    assert math.prod(network.shapes[-1]) == math.prod(shape) and network.values.shape[-1] == 0
    x, dy = (a.astype(dtype) for a in draw(rng, network, rows))
    y, dx, *_ = run(network, x, dy, training)
    assert y.shape == (*network.replicas, rows, *network.shapes[-1]) and dx.shape == x.shape
    assert y.tobytes() == x.tobytes() == network.predict(x).tobytes()
    assert dx.tobytes() == dy.tobytes()


@examples(60)
@given(ROW_BY_ROW, SHAPES, BATCHES, SEEDS, st.booleans(), st.sampled_from(DTYPES), REPLICAS)
def test_a_network_between_views_is_the_network(kinds, shape, rows, seed, training, dtype, replicas):
    """Flatten and Reshape before it, and Flatten behind: the same bits in other shapes."""
    plain, rng = build(kinds, shape, seed, dtype, replicas)
    layers = [Flatten(), Reshape(shape), *make_layers(kinds, shape), Flatten()]
    wrapped = Sequential(layers, shape, make_rng(seed), dtype, replicas)
    wrapped.values[...], wrapped.state[...] = plain.values, plain.state
    x, dy = (a.astype(dtype) for a in draw(rng, plain, rows))
    flat = dy.reshape(*plain.replicas, rows, -1)
    for ours, theirs in zip(run(wrapped, x, flat, training), run(plain, x, dy, training), strict=True):
        assert ours.tobytes() == theirs.tobytes()


# ------------------------------------------------------------------------------------------------- what goes in


@examples(60)
@given(ANY, SHAPES, BATCHES, SEEDS, st.booleans(), st.sampled_from(DTYPES), REPLICAS)
def test_no_pass_writes_into_what_it_is_given(kinds, shape, rows, seed, training, dtype, replicas):
    network, rng = build(kinds, shape, seed, dtype, replicas)
    x, dy = (a.astype(dtype) for a in draw(rng, network, rows))
    for array in (x, dy):
        array.flags.writeable = False
    kept = x.tobytes(), dy.tobytes()
    network.forward(x, training)
    network.backward(dy)
    network.predict(x)
    network.backward(dy)
    assert (x.tobytes(), dy.tobytes()) == kept


def layouts(a, shape):
    """The same numbers, an array (…, batch, *shape), in every kind of memory."""
    spread = np.full([(2 + i % 2) * n for i, n in enumerate(a.shape)], np.nan, a.dtype)
    every_other = tuple(slice(None, None, 2 + i % 2) for i in range(a.ndim))
    spread[every_other] = a
    backwards = (slice(None, None, -1),) * a.ndim
    batch = a.ndim - len(shape) - 1
    yield np.ascontiguousarray(a)
    yield np.asfortranarray(a)
    yield a.mT.copy().mT
    yield np.moveaxis(np.moveaxis(a, batch, -1).copy(), -1, batch)  # as numgan has it: samples are columns
    yield spread[every_other]
    yield a[backwards].copy()[backwards]
    yield a.astype(a.dtype.newbyteorder())
    yield a.tolist()


@examples(40)
@given(ANY, SHAPES, BATCHES, SEEDS, st.booleans(), REPLICAS)
def test_any_memory_layout_gives_the_same_bits(kinds, shape, rows, seed, training, replicas):
    network, rng = build(kinds, shape, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    predicted = network.predict(x).tobytes()
    expected = [a.tobytes() for a in run(network, x, dy, training)]
    for a, b in zip(layouts(x, shape), layouts(dy, network.shapes[-1]), strict=True):
        assert [c.tobytes() for c in run(network, a, b, training)] == expected
        network, _ = build(kinds, shape, seed, replicas=replicas)
        assert network.predict(a).tobytes() == predicted


@examples(30)
@given(ANY, SHAPES, BATCHES, SEEDS, st.booleans(), REPLICAS)
def test_a_broadcast_row_is_that_row_over_and_over(kinds, shape, rows, seed, training, replicas):
    network, rng = build(kinds, shape, seed, replicas=replicas)
    row, state = rng.normal(0, 1, (1, *shape)), network.state.copy()
    written_out = np.repeat(row, rows, axis=0)
    expected = network.forward(written_out, training).tobytes()
    for lead in ((rows,), (*network.replicas, rows)):
        network.state[...] = state
        assert network.forward(np.broadcast_to(row, (*lead, *shape)), training).tobytes() == expected
