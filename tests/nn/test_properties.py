"""Laws that hold for every architecture, shape, dtype and number of replicas."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.array_utils import byte_bounds

from numgan import BatchNorm, BinaryCrossEntropy, Dense, LeakyReLU, ReLU, Sequential, Sigmoid, Tanh, check_gradients

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def examples(n):
    return settings(max_examples=n, deadline=None, derandomize=True, suppress_health_check=SLOW)


WIDTHS = st.integers(1, 8)
BATCHES = st.integers(2, 7)
SEEDS = st.integers(0, 2**31)
REPLICAS = st.sampled_from([None, 1, 2, 3])
SLOPES = st.sampled_from([0.0, 0.01, 0.2, 0.9])
START = st.sampled_from(["glorot_uniform", "glorot_normal", "he_uniform", "he_normal"])

DENSE = st.tuples(st.just(Dense), WIDTHS, START)
ACTIVATIONS = [
    st.tuples(st.just(ReLU)),
    st.tuples(st.just(LeakyReLU), SLOPES),
    st.tuples(st.just(Tanh)),
    st.tuples(st.just(Sigmoid)),
]
BATCH_NORM = st.tuples(st.just(BatchNorm), st.sampled_from([0.0, 0.5, 0.99]), st.sampled_from([1e-3, 1e-1]))
ANY = st.lists(st.one_of(DENSE, *ACTIVATIONS, BATCH_NORM), min_size=1, max_size=6)
NO_BATCH_NORM = st.lists(st.one_of(DENSE, *ACTIVATIONS), min_size=1, max_size=6)


def build(kinds, n_in, seed, dtype="float64", replicas=None):
    """The network, with parameters and statistics of its own in every replica; the same for both dtypes."""
    rng = np.random.default_rng(seed)
    network = Sequential([kind(*arguments) for kind, *arguments in kinds], n_in, rng, dtype, replicas)
    network.values += rng.normal(0, 0.3, network.values.shape)
    network.state += rng.uniform(0, 0.5, network.state.shape)
    for twin in (network, *([] if replicas else [network.copy(replicas=2)])):
        assert_views_stay_within_the_arena(twin)
    return network, rng


def assert_views_stay_within_the_arena(network):
    """Before anything is written through them: beyond it lies the rest of the process."""
    start, stop = byte_bounds(network.values)
    for layer in network.layers:
        if isinstance(layer, Dense):
            first, last = byte_bounds(layer.matrix)
            assert start <= first <= last <= stop, f"{layer.name} of {network.replicas} replicas, {network.widths}"


def draw(rng, network, rows):
    """Input and output gradient, with the replica axis of the network."""
    lead = network.replicas
    return rng.normal(0.1, 1, (*lead, rows, network.widths[0])), rng.normal(0, 1, (*lead, rows, network.widths[-1]))


def run(network, x, dy, training):
    """Output, input gradient and parameter gradients, as copies."""
    y = network.forward(x, training).copy()
    dx = network.backward(dy).copy()
    return y, dx, network.grads.copy()


def near(ours, expected, tolerance=1e-10):
    np.testing.assert_allclose(
        ours, expected, rtol=tolerance, atol=tolerance * max(np.abs(expected).max(initial=0), 1e-9)
    )


# ------------------------------------------------------------------------------------------------- gradient checks


@examples(100)
@given(ANY, WIDTHS, BATCHES, SEEDS, st.booleans())
def test_any_network_passes_the_gradient_check(kinds, n_in, rows, seed, training):
    """Batch norms of two rows flatten each other's gradients, down to where differences have no digits left."""
    batch_norms = sum(kind is BatchNorm for kind, *_ in kinds)
    network, rng = build(kinds, n_in, seed)
    x = draw(rng, network, max(rows, 1 + 2 * batch_norms))[0]
    check_gradients(network, x, training=training, coordinates=12, directions=1).raise_for_failure()


@examples(40)
@given(ANY, WIDTHS, BATCHES, SEEDS, st.booleans(), REPLICAS, st.integers(0, 2))
def test_any_stack_of_replicas_is_its_networks_one_by_one(kinds, n_in, rows, seed, training, replicas, r):
    stack, rng = build(kinds, n_in, seed, replicas=replicas or 1)
    network, _ = build(kinds, n_in, seed)
    r %= replicas or 1
    network.values[...], network.state[...] = stack.values[r], stack.state[r]
    x, dy = draw(rng, stack, rows)
    for together, alone in zip(run(stack, x, dy, training), run(network, x[r], dy[r], training), strict=True):
        near(together[r], alone)
    near(stack.state[r], network.state)


@examples(60)
@given(ANY, WIDTHS, BATCHES, SEEDS, st.booleans(), REPLICAS)
def test_float32_runs_close_to_float64(kinds, n_in, rows, seed, training, replicas):
    single, rng = build(kinds, n_in, seed, "float32", replicas)
    double, _ = build(kinds, n_in, seed, "float64", replicas)
    double.values[...], double.state[...] = single.values, single.state
    x, dy = draw(rng, single, rows)
    x = x.astype(np.float32)
    for narrow, wide in zip(run(single, x, dy, training), run(double, x, dy, training), strict=True):
        assert narrow.dtype == np.float32
        near(narrow, wide, 5e-3)
    near(single.state, double.state, 1e-4)


# ------------------------------------------------------------------------------------------------------- backward


@examples(60)
@given(ANY, WIDTHS, BATCHES, SEEDS, st.booleans(), REPLICAS, st.floats(-5, 5), st.floats(-5, 5))
def test_backward_is_linear(kinds, n_in, rows, seed, training, replicas, a, b):
    network, rng = build(kinds, n_in, seed, replicas=replicas)
    x, dy1 = draw(rng, network, rows)
    _, dy2 = draw(rng, network, rows)
    _, dx1, grads1 = run(network, x, dy1, training)
    _, dx2, grads2 = run(network, x, dy2, training)
    _, dx, grads = run(network, x, a * dy1 + b * dy2, training)
    size = abs(a) + abs(b) + 1
    for both, one, two in ((dx, dx1, dx2), (grads, grads1, grads2)):
        scale = size * max(np.abs(one).max(initial=0), np.abs(two).max(initial=0), 1e-9)
        np.testing.assert_allclose(both, a * one + b * two, rtol=0, atol=1e-10 * scale)


@examples(60)
@given(NO_BATCH_NORM, WIDTHS, BATCHES, SEEDS, REPLICAS)
def test_a_batch_s_gradient_is_the_sum_of_its_rows_gradients(kinds, n_in, rows, seed, replicas):
    network, rng = build(kinds, n_in, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    y, dx, grads = run(network, x, dy, True)
    single = [run(network, x[..., i : i + 1, :], dy[..., i : i + 1, :], True) for i in range(rows)]
    near(y, np.concatenate([part[0] for part in single], axis=-2))
    near(dx, np.concatenate([part[1] for part in single], axis=-2))
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
@given(NO_BATCH_NORM, WIDTHS, BATCHES, SEEDS, REPLICAS, st.booleans(), st.sampled_from([0.0, 0.1]))
def test_a_training_batch_s_loss_and_gradient_are_the_means_of_its_rows(kinds, n_in, rows, seed, replicas, ends, s):
    kinds = [*kinds, (Dense, 1), *([(Sigmoid,)] if ends else [])]
    network, rng = build(kinds, n_in, seed, replicas=replicas)
    network.compile(Keeps(), BinaryCrossEntropy(from_logits=not ends, label_smoothing=s))
    x, _ = draw(rng, network, rows)
    target = rng.integers(0, 2, (*network.replicas, rows, 1))
    loss, accuracy = network.train_on_batch(x, target)
    grads, parts = network.grads.copy(), []
    for i in range(rows):
        metrics = network.train_on_batch(x[..., i : i + 1, :], target[..., i : i + 1, :])
        parts.append([*metrics, network.grads.copy()])
    near(loss, np.mean([part[0] for part in parts], axis=0))
    near(accuracy, np.mean([part[1] for part in parts], axis=0))
    scale = max(np.abs(part[2]).max(initial=0) for part in parts)
    np.testing.assert_allclose(grads, np.mean([p[2] for p in parts], axis=0), rtol=1e-10, atol=1e-12 * scale)


@examples(60)
@given(ANY, WIDTHS, BATCHES, SEEDS, st.booleans(), REPLICAS)
def test_permuting_a_batch_permutes_its_outputs_and_input_gradients(kinds, n_in, rows, seed, training, replicas):
    network, rng = build(kinds, n_in, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    order = rng.permutation(rows)
    y, dx, grads = run(network, x, dy, training)
    y2, dx2, grads2 = run(network, x[..., order, :], dy[..., order, :], training)
    near(y2, y[..., order, :], 1e-9)
    scale = max(np.abs(dy).max(), 1)
    np.testing.assert_allclose(dx2, dx[..., order, :], rtol=1e-8, atol=1e-10 * scale)
    np.testing.assert_allclose(grads2, grads, rtol=1e-8, atol=1e-10 * scale)


@examples(40)
@given(ANY, WIDTHS, BATCHES, SEEDS, REPLICAS)
def test_in_inference_no_row_depends_on_another(kinds, n_in, rows, seed, replicas):
    network, rng = build(kinds, n_in, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    y, dx, _ = run(network, x, dy, False)
    other = rng.normal(0, 10, x.shape)
    other[..., 0, :] = x[..., 0, :]
    y2, dx2, _ = run(network, other, dy, False)
    near(y2[..., 0, :], y[..., 0, :])
    near(dx2[..., 0, :], dx[..., 0, :])


# ----------------------------------------------------------------------------------------------------- batch norm


@examples(60)
@given(WIDTHS, st.integers(2, 40), SEEDS, REPLICAS, st.sampled_from([1e-12, 1e-3, 0.5]), st.sampled_from([1e-2, 1, 50]))
def test_batch_norm_s_input_gradient_is_orthogonal_to_constants_and_to_the_input(
    n, rows, seed, replicas, epsilon, size
):
    """To x̂ exactly when ε is nothing beside the variance; with ε, Σ dx·x̂ = dγ·γ/s · ε/(σ² + ε)."""
    network, rng = build([(BatchNorm, 0.9, epsilon)], n, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    x = size * x + rng.normal(0, size, n)
    _, dx, _ = run(network, x, dy, True)
    gamma, dgamma = (views["batch_norm_1.gamma"] for views in (network.parameters(), network.gradients()))
    variance = x.var(axis=-2, keepdims=True)
    s = np.sqrt(variance + epsilon)
    normal = (x - x.mean(axis=-2, keepdims=True)) / s
    scale = np.abs(dy).sum(axis=-2) * np.abs(gamma) / s[..., 0, :] * np.sqrt(rows) + 1e-300
    assert (np.abs(dx.sum(axis=-2)) <= 1e-11 * scale).all()
    rest = dgamma * gamma / s[..., 0, :] * (epsilon / (variance + epsilon))[..., 0, :]
    assert (np.abs((dx * normal).sum(axis=-2) - rest) <= 1e-11 * scale).all()


@examples(60)
@given(WIDTHS, st.integers(2, 40), SEEDS, REPLICAS, st.sampled_from([1e-8, 1e-3, 0.5]), st.floats(-100, 100))
def test_batch_norm_s_output_has_mean_zero_and_variance_one(n, rows, seed, replicas, epsilon, offset):
    rng = np.random.default_rng(seed)
    network = Sequential([BatchNorm(0.9, epsilon)], n, rng, "float64", replicas)
    x = rng.normal(offset, 3, (*network.replicas, rows, n))
    y = network.forward(x, training=True)
    variance = x.var(axis=-2)
    near(y.mean(axis=-2) + 1, np.ones_like(variance), 1e-10)
    near(y.var(axis=-2), variance / (variance + epsilon), 1e-8)
    state = network.state_dict()
    near(state["batch_norm_1.running_mean"], 0.1 * x.mean(axis=-2), 1e-10)
    near(state["batch_norm_1.running_variance"], 0.9 + 0.1 * variance, 1e-10)


@examples(30)
@given(WIDTHS, BATCHES, SEEDS, REPLICAS, st.floats(0.1, 100), st.floats(-100, 100))
def test_batch_norm_does_not_see_the_scale_and_offset_of_its_input(n, rows, seed, replicas, scale, offset):
    network, rng = build([(BatchNorm, 0.9, 1e-12)], n, seed, replicas=replicas)
    x, _ = draw(rng, network, max(rows, 3))
    y = network.forward(x, training=True).copy()
    near(network.forward(scale * x + offset, training=True), y, 1e-6)


# ------------------------------------------------------------------------------------------------- what goes in


@examples(60)
@given(ANY, WIDTHS, BATCHES, SEEDS, st.booleans(), st.sampled_from(["float32", "float64"]), REPLICAS)
def test_no_pass_writes_into_what_it_is_given(kinds, n_in, rows, seed, training, dtype, replicas):
    network, rng = build(kinds, n_in, seed, dtype, replicas)
    x, dy = (a.astype(dtype) for a in draw(rng, network, rows))
    for array in (x, dy):
        array.flags.writeable = False
    kept = x.tobytes(), dy.tobytes()
    network.forward(x, training)
    network.backward(dy)
    network.predict(x)
    network.backward(dy)
    assert (x.tobytes(), dy.tobytes()) == kept


def layouts(a):
    """The same numbers in every kind of memory."""
    spread = np.full((*a.shape[:-2], 2 * a.shape[-2], 3 * a.shape[-1]), np.nan, a.dtype)
    spread[..., ::2, ::3] = a
    yield np.ascontiguousarray(a)
    yield np.asfortranarray(a)
    yield a.mT.copy().mT
    yield spread[..., ::2, ::3]
    yield a[..., ::-1, ::-1].copy()[..., ::-1, ::-1]
    yield a.astype(a.dtype.newbyteorder())
    yield a.tolist()


@examples(40)
@given(ANY, WIDTHS, BATCHES, SEEDS, st.booleans(), REPLICAS)
def test_any_memory_layout_gives_the_same_bits(kinds, n_in, rows, seed, training, replicas):
    network, rng = build(kinds, n_in, seed, replicas=replicas)
    x, dy = draw(rng, network, rows)
    predicted = network.predict(x).tobytes()
    expected = [a.tobytes() for a in run(network, x, dy, training)]
    for a, b in zip(layouts(x), layouts(dy), strict=True):
        assert [c.tobytes() for c in run(network, a, b, training)] == expected
        network, _ = build(kinds, n_in, seed, replicas=replicas)
        assert network.predict(a).tobytes() == predicted


@examples(30)
@given(ANY, WIDTHS, BATCHES, SEEDS, st.booleans(), REPLICAS)
def test_a_broadcast_row_is_that_row_over_and_over(kinds, n_in, rows, seed, training, replicas):
    network, rng = build(kinds, n_in, seed, replicas=replicas)
    row = rng.normal(0, 1, (1, n_in))
    written_out = np.repeat(row, rows, axis=0)
    expected = network.forward(written_out, training).tobytes()
    assert network.forward(np.broadcast_to(row, (rows, n_in)), training).tobytes() == expected
    assert network.forward(np.broadcast_to(row, (*network.replicas, rows, n_in)), training).tobytes() == expected
