"""`Skip` and `Join`: what they make is plain concatenation, which nothing copies; what they cannot be made of."""

import copy
import functools
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.array_utils import byte_bounds

from numgan import (
    GAN,
    Adam,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Embedding,
    Error,
    Flatten,
    Join,
    Label,
    Layer,
    LeakyReLU,
    OneHot,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Skip,
    SpectralNorm,
    Tanh,
    to_torch_layout,
)
from numgan.kernels.joining import add_share
from numgan.nn.network import copy_layer, snake_case
from numgan.nn.plan import Plan
from tests.helpers import DTYPES, near, peak_memory, rng

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
CLASSES = 4
SHAPES = {"label": (1,), "more": (3,), "image": (2, 4, 4)}  # of the conditions that may be joined


# --------------------------------------------------------------------------------------------- by plain concatenation


class ByHand:
    """Layers one after the other, each in a network of its own, and `np.concatenate` where something is joined."""

    def __init__(self, layers, shape, network, prefix=""):
        self.parts, self.shapes, counts = [], [shape], {}
        for layer in layers:
            kind = snake_case(type(layer).__name__)
            counts[kind] = counts.get(kind, 0) + 1
            name = f"{prefix}{kind}_{counts[kind]}"
            self.parts.append((layer, name, self._part(layer, name, network)))
            self.shapes.append(self._shape(layer, self.parts[-1][2]))

    def _part(self, layer, name, network):
        if isinstance(layer, Skip | Join):
            start = self.shapes[-1] if isinstance(layer, Skip) else layer.shape
            return ByHand(layer.layers, start, network, f"{name}.")
        replicas = network.replicas[0] if network.replicas else None
        alone = Sequential([copy_layer(layer)], self.shapes[-1], rng(), network.dtype, replicas)
        own = alone.layers[0].name
        held = network.state_dict()
        alone.load_state_dict({entry: held[name + entry.removeprefix(own)] for entry in alone.state_dict()})
        return alone

    def _shape(self, layer, part):
        if isinstance(layer, Skip | Join):
            return (part.shapes[-1][0] + self.shapes[-1][0], *self.shapes[-1][1:])
        return part.shapes[-1]

    def forward(self, x, conditions, training):
        for (layer, _, part), shape in zip(self.parts, self.shapes, strict=False):
            if isinstance(layer, Skip | Join):
                front = part.forward(
                    x if isinstance(layer, Skip) else conditions[layer.condition], conditions, training
                )
                front = np.broadcast_to(front, (*x.shape[: -len(shape)], *front.shape[-len(shape) :]))
                x = np.concatenate([front, x], axis=-len(shape))
            else:
                x = part.forward(x, training).copy()
        return x

    def backward(self, dy):
        for (layer, _, part), shape in reversed(list(zip(self.parts, self.shapes, strict=False))):
            if isinstance(layer, Skip | Join):
                front, rear = np.split(dy, [part.shapes[-1][0]], axis=-len(shape))
                share = part.backward(front)
                dy = rear + share if isinstance(layer, Skip) else rear
            else:
                dy = part.backward(dy).copy()
        return dy

    def contents(self, kind):
        """name -> array of every gradient ("gradients") or of all that is kept ("state_dict")."""
        found = {}
        for _, name, part in self.parts:
            if isinstance(part, ByHand):
                found |= part.contents(kind)
            else:
                own = part.layers[0].name
                found |= {name + entry.removeprefix(own): a for entry, a in getattr(part, kind)().items()}
        return found


def draw_conditions(draw, network, rows):
    """Good values of every condition that a network reads."""
    lead = network.replicas
    return {
        name: draw.integers(0, CLASSES, (*lead, rows, 1))
        if name == "label"
        else draw.normal(size=(*lead, rows, *shape))
        for name, shape in network.conditions.items()
    }


def moved(network, seed):
    """Away from its starting values: with biases, and statistics that are not those of a batch."""
    network.values += rng(seed).normal(0, 0.1, network.values.shape)
    for layer in network.layers:
        for name, array in layer.state.items():
            if name.endswith(("running_mean", "running_variance")):
                array += rng(seed + 1).uniform(0.1, 0.5, array.shape)
    return network


FEATURE_LAYERS = st.one_of(
    st.integers(1, 5).map(lambda n: functools.partial(Dense, n)),
    st.sampled_from([Tanh, Sigmoid, ReLU, BatchNorm, Flatten, functools.partial(LeakyReLU, 0.2)]),
    st.just(functools.partial(SpectralNorm, ("Dense", {"units": 2}))),
)
IMAGE_LAYERS = st.one_of(
    st.integers(1, 3).map(lambda n: functools.partial(Conv2D, n, 3, padding="same")),
    st.sampled_from([Tanh, ReLU, BatchNorm, functools.partial(LeakyReLU, 0.2)]),
)
UNET = functools.partial(Conv2D, 2, 2, 2), functools.partial(Conv2DTranspose, 2, 2, 2)
LABELS = st.sampled_from([
    (functools.partial(OneHot, CLASSES), Flatten), (functools.partial(Embedding, CLASSES, 3), Flatten),
])  # fmt: skip


def joined(make, name):
    """A strategy for a Join of what the makers in a list make of a condition."""
    return make.map(lambda makers: lambda: Join(name, SHAPES[name], [m() for m in makers]))


def skipped(first, rest):
    return st.tuples(first, rest).map(lambda t: lambda: Skip([t[0](), *(m() for m in t[1])]))


def rows_of_layers(inner):
    """Lists of makers of layers on features, Skips and Joins among them."""
    label = st.tuples(LABELS, inner).map(lambda t: [*t[0], *t[1]])
    joins = st.one_of(joined(label, "label"), joined(inner, "more"))
    return st.lists(st.one_of(FEATURE_LAYERS, skipped(FEATURE_LAYERS.filter(lambda m: m is not Flatten), inner), joins),
                    min_size=0, max_size=4)  # fmt: skip


def images_of_layers(inner):
    """The same on images of 4 × 4 pixels, with whole U-Nets among them."""
    unet = st.just(lambda: Skip([UNET[0](), Tanh(), Skip([Conv2D(1, 1)]), UNET[1](), BatchNorm(0.7)]))
    return st.lists(st.one_of(IMAGE_LAYERS, unet, skipped(IMAGE_LAYERS, inner), joined(inner, "image")),
                    min_size=0, max_size=4)  # fmt: skip


FEATURES = st.recursive(st.lists(FEATURE_LAYERS, max_size=2), rows_of_layers, max_leaves=4).map(lambda m: ((3,), m))
IMAGES = st.recursive(st.lists(IMAGE_LAYERS, max_size=2), images_of_layers, max_leaves=4).map(lambda m: ((2, 4, 4), m))
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(st.one_of(FEATURES, IMAGES), st.sampled_from([None, 1, 2]), st.sampled_from(DTYPES), st.integers(2, 4),
       st.booleans(), st.integers(0, 99))  # fmt: skip
@quickly
def test_any_network_is_its_layers_and_plain_concatenation(drawn, replicas, dtype, rows, training, seed):
    """Outputs, running statistics, and every gradient."""
    shape, makers = drawn
    layers = [make() for make in makers] or [Tanh()]
    described = [copy_layer(layer) for layer in layers]
    network = moved(Sequential(layers, shape, rng(seed), dtype, replicas), seed)
    for call in network.after_update():
        call.run()
    plain = ByHand(described, shape, network)
    draw = rng(seed + 2)
    x, conditions = draw.normal(size=(*network.replicas, rows, *shape)), draw_conditions(draw, network, rows)
    tolerance = 1e-9 if dtype == "float64" else 2e-3
    y = network.forward(x, training, **conditions).copy()
    near(y, plain.forward(x, conditions, training), tolerance)
    dy = draw.normal(size=y.shape)
    dx = network.backward(dy).copy()
    near(dx, plain.backward(dy), tolerance * 10)
    kinds = ("gradients", "state_dict") if training else ()
    for kind in kinds:
        ours, theirs = getattr(network, kind)(), plain.contents(kind)
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            near(array, theirs[name], tolerance * 10)
    if not training:
        near(network.predict(x, **conditions), y, tolerance)


# ----------------------------------------------------------------------------------------------- neighbours in memory


def unet(dtype="float64", replicas=None, seed=0):
    """A small one with everything: a condition beside the input and another in the middle, a Skip in a Skip."""
    inside = [
        Tanh(),
        Conv2D(3, 2, 2),
        Join("label", 1, classes()),
        Skip([Conv2D(2, 1), LeakyReLU(0.2), BatchNorm(0.8)]),
    ]
    layers = [
        Join("image", (2, 4, 4)), Conv2D(3, 3, padding="same"), LeakyReLU(0.2), BatchNorm(0.8),
        Skip([*inside, Conv2DTranspose(2, 2, 2), Dropout(0.3)]), Tanh(), Conv2D(1, 3, padding="same"),
    ]  # fmt: skip
    return moved(Sequential(layers, (1, 4, 4), rng(seed), dtype, replicas, "unet"), seed + 1)


def classes():
    return [Embedding(CLASSES, 2), Flatten(), Dense(8), Reshape((2, 2, 2)), Tanh()]


def given_to(network, rows=5, seed=3):
    """(x, conditions)"""
    draw = rng(seed)
    return draw.normal(size=(rows, *network.shapes[0])), draw_conditions(draw, network, rows)


def test_the_forward_pass_has_the_calls_of_its_layers_alone_and_what_is_joined_lies_side_by_side():
    plan = Plan(unet(), 5, training=True, backward=True, input_gradient=True)
    layers = [call.layer for call in plan.forward]
    assert not {"join_1", "skip_1", "skip_1.skip_1", "skip_1.join_1"} & set(layers)
    assert not {"copyto", "concatenate", "add_share"} & {call.name for call in plan.forward}

    def written(layer):
        return byte_bounds([c.arguments["out"] for c in plan.forward if c.layer == layer and "out" in c.arguments][-1])

    (image,), (label,) = plan.conditions["image"], plan.conditions["label"]
    assert label.shape[-1] == 5 and byte_bounds(image)[1] == byte_bounds(plan.x)[0]
    assert byte_bounds(plan.x)[1] - byte_bounds(image)[0] == 8 * 5 * 3 * 16
    # [f; x] of the outer Skip: x is where the batch norm below it writes, f where the dropout in it does
    assert written("skip_1.dropout_1")[1] == written("batch_norm_1")[0]
    # and of the inner one, whose x is [g(label); the convolution below]
    assert written("skip_1.skip_1.batch_norm_1")[1] == written("skip_1.join_1.tanh_1")[0]
    assert written("skip_1.join_1.tanh_1")[1] == written("skip_1.conv2d_1")[0]


def test_going_back_the_only_call_of_a_skip_is_a_sum_and_a_join_has_none():
    plan = Plan(unet(), 5, training=True, backward=True, input_gradient=True)
    own = [
        (call.layer, call.name) for call in plan.backward if call.layer.rpartition(".")[2].startswith(("skip", "join"))
    ]
    assert own == [("skip_1.skip_1", "add_share"), ("skip_1", "add_share")]
    assert all(call.kernel is add_share for call in plan.backward if call.layer == "skip_1")


def test_what_nobody_reads_is_not_worked_out():
    """Of a frozen network under conditions: nothing goes back to the layers that make of a condition what is joined."""
    frozen = Plan(unet(), 5, training=False, backward=True, input_gradient=True)
    run = [call.layer for call in frozen.backward if not call.skipped]
    assert "skip_1.conv2d_1" in run and not [layer for layer in run if ".join_1" in layer]
    alone = Sequential([Join("label", 1, [OneHot(3), Flatten(), Dense(2)]), Dense(1)], 2, rng())
    learning = [c.layer for c in Plan(alone, 4, training=True, backward=True).backward if not c.skipped]
    assert learning == ["dense_1", "dense_1", "join_1.dense_1"]


@pytest.mark.parametrize("replicas", [None, 2])
def test_batch_sizes_take_turns(replicas):
    network, fresh = (unet(replicas=replicas) for _ in range(2))
    for rows in [*range(2, 13), 3, 2, 7]:
        x, conditions = given_to(network, rows, rows)
        y = network.forward(x, True, **conditions).copy()
        network.predict(x[:1], **given_to(network, 1)[1])
        dy = rng(rows).normal(size=y.shape)
        dx = network.backward(dy).copy()
        fresh._plans.clear()
        assert fresh.forward(x, True, **conditions).tobytes() == y.tobytes()
        assert fresh.backward(dy).tobytes() == dx.tobytes()
        assert fresh.grads.tobytes() == network.grads.tobytes() and fresh.state.tobytes() == network.state.tobytes()


def test_predictions_of_many_rows_go_block_by_block_each_with_its_conditions():
    network = Sequential([Join("label", 1), Join("more", 3), Dense(2)], 2, rng(), "float64")
    x, conditions = given_to(network, 600)
    whole = np.concatenate([conditions["more"], conditions["label"], x], axis=1)
    weight, bias = network.parameters().values()
    near(network.predict(x, **conditions), whole @ weight.T + bias)


def test_a_warm_pass_takes_no_memory():
    plan = Plan(unet("float32"), 512, training=True, backward=True, input_gradient=True)
    for _ in range(2):
        plan.run_forward(), plan.run_backward()
    assert peak_memory(plan.run_forward) < 5_000  # NumPy 2.0's iterators take more than those after it
    assert peak_memory(plan.run_backward) < 9_000 < plan.y.nbytes / 3  # np.add.at, of the embedding, buffers 5 KB


def test_one_condition_read_in_two_places_is_written_to_both():
    network = Sequential([Join("more", 3), Dense(4), Skip([Dense(2), Join("more", 3)]), Dense(1)], 2, rng(), "float64")
    x, conditions = given_to(network)
    assert network.conditions == {"more": (3,)}
    before = network.predict(x, **conditions)
    p = network.parameters()
    hidden = np.concatenate([conditions["more"], x], 1) @ p["dense_1.weight"].T + p["dense_1.bias"]
    f = hidden @ p["skip_1.dense_1.weight"].T + p["skip_1.dense_1.bias"]
    y = np.concatenate([conditions["more"], f, hidden], 1) @ p["dense_2.weight"].T + p["dense_2.bias"]
    near(before, y)


# ------------------------------------------------------------------------------------------------- copies and learning


def compiled(replicas=None):
    layers = [Join("label", 1, classes()[:3]), Skip([Dense(3), BatchNorm(0.8)]), Dropout(0.2), Dense(1), Sigmoid()]
    network = Sequential(layers, 4, rng(), "float32", replicas, "net")
    network.compile(Adam(0.05))
    return network


def taught(network, steps=4):
    draw = rng(5)
    x, target, label = draw.normal(size=(9, 4)), draw.integers(0, 2, (9, 1)), draw.integers(0, CLASSES, 9)
    said = [np.array(network.train_on_batch(x, target, label=label)).tobytes() for _ in range(steps)]
    return said, {name: a.tobytes() for name, a in (network.state_dict() | network.gradients()).items()}


WAYS = [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]


@pytest.mark.parametrize("copied", WAYS, ids=["copy", "deepcopy", "pickle"])
@pytest.mark.parametrize("replicas", [None, 2])
def test_a_copied_network_learns_as_its_original_does_and_shares_nothing_with_it(copied, replicas):
    network = compiled(replicas)
    taught(network)
    start = network.values.copy()
    twin = copied(network)
    first = taught(twin)
    assert (network.values == start).all() and (twin.values != start).any()
    assert taught(network) == first
    for name, view in twin.parameters().items():
        assert np.shares_memory(view, twin.values) and not np.shares_memory(view, network.values), name
    assert twin.config() == network.config() and twin.conditions == network.conditions


def test_a_copy_in_another_dtype_and_a_stack_of_copies_compute_the_same():
    network = unet("float32")
    x, conditions = given_to(network)
    y = network.predict(x, **conditions)
    near(network.copy("float64").predict(x, **conditions), y, 1e-4)
    near(network.copy(replicas=3).predict(x, **conditions), np.stack([y] * 3), 1e-5)
    assert network.copy().predict(x, **conditions).tobytes() == y.tobytes()


def test_the_layers_of_a_skip_learn():
    network = compiled()
    before = network.state_dict()
    losses = [np.frombuffer(said)[0] for said in taught(network, 60)[0]]
    assert losses[-1] < losses[0] / 2
    changed = {name for name, a in network.state_dict().items() if (a != before[name]).any()}
    assert {"skip_1.dense_1.weight", "skip_1.batch_norm_1.gamma", "skip_1.batch_norm_1.running_mean",
            "join_1.embedding_1.weight", "join_1.dense_1.bias"} <= changed  # fmt: skip


def test_its_config_makes_it_again():
    network = unet()
    twin = Sequential([type(layer)(**layer.config()) for layer in network.layers], (1, 4, 4), rng(), "float64")
    twin.load_state_dict(network.state_dict())
    x, conditions = given_to(network)
    assert twin.predict(x, **conditions).tobytes() == network.predict(x, **conditions).tobytes()


class Cube(Layer):
    """A layer of one's own."""

    def forward(self, x, out):
        out[...] = x**3

    def backward_input(self, x, y, dy, out):
        out[...] = 3 * x**2 * dy


def test_a_layer_of_ones_own_may_be_inside_and_comes_back_from_a_file(tmp_path):
    def parts():
        return [Join("label", 1, [OneHot(3), Flatten(), Cube()]), Skip([Dense(2), Cube()])]

    g, d = Sequential([*parts(), Dense(2)], 3, rng()), Sequential([*parts(), Dense(1), Sigmoid()], 2, rng())
    gan = GAN(g, d, conditions={"label": Label(3)})
    gan.save(tmp_path / "own.npz")
    with pytest.raises(Error, match="has a layer 'Cube'; known are"):
        GAN.load(tmp_path / "own.npz")
    loaded = GAN.load(tmp_path / "own.npz", layers=[Cube])
    assert loaded.sample(5, rng(1), label=2).tobytes() == gan.sample(5, rng(1), label=2).tobytes()


def test_a_summary_shows_what_is_inside_and_its_counts_add_up():
    _, *lines, total = [line for line in compiled().summary().splitlines() if "─" not in line]
    names = [line.split()[0] for line in lines[1:]]
    assert names[:1] == ["join_1"] and {"skip_1", "dense_1"} <= set(names)
    inside = [line for line in lines if line.startswith("  ")]
    assert inside and all("(Skip)" not in line for line in inside)
    counts = [int(line.split()[-1].replace(",", "")) for line in lines[1:] if line.split()[-1].isdecimal()]
    assert f"{sum(counts):,} parameters" in total


# ------------------------------------------------------------------------------------------------------- wrong ones


def in_network():
    return Sequential([Dense(2)], 3, rng()).layers[0]


def of(*layers, shape=4):
    return lambda: Sequential(layers, shape, rng(), name="net")


WRONG = {
    "a Skip of nothing": (lambda: Skip([]), "the first that is no view is neither a Skip nor a Join, got []"),
    "a Skip of views": (lambda: Skip([Flatten()]), "the first that is no view is neither a Skip nor a Join"),
    "a Skip that begins with one": (lambda: Skip([Skip([Dense(1)])]), "neither a Skip nor a Join"),
    "a Skip that begins with a Join": (lambda: Skip([Join("label", 1)]), "neither a Skip nor a Join"),
    "a Skip that begins with one behind a view": (lambda: Skip([Flatten(), Skip([Dense(1)])]), "neither a Skip nor a"),
    "a layer in place of a list": (lambda: Skip(Dense(3)), "Skip: layers must be Layer objects, got Dense("),
    "a number in place of a list": (lambda: Join("label", 1, 5), "Join: layers must be Layer objects, got 5"),
    "no layer": (lambda: Skip([Dense(3), "tanh"]), "Skip: layers must be Layer objects, got 'tanh'"),
    "a pair of no layer": (lambda: Skip([("Dens", {"units": 3})]), "Skip: layers must be Layer objects, got ('Dens'"),
    "a network's layer": (lambda: Skip([in_network()]), "layer 'dense_1' belongs to a network; give a layer of its ow"),
    "no name": (lambda: Join("", 1), "Join(condition) must be a name, such as 'label', got ''"),
    "no identifier": (lambda: Join("a b", 1), "must be a name, such as 'label', got 'a b'"),
    "a keyword": (lambda: Join("class", 1), "Join(condition) cannot be 'class', which means something else in calls"),
    **{name: (functools.partial(Join, name, 1), f"cannot be '{name}', which means something else in calls")
       for name in ("x", "training", "target", "real", "noise", "mix", "n", "rng", "out", "index")},
    "no shape": (lambda: Join("label", 0), "Join(shape) must be a positive integer or a tuple of them, got 0"),
    "an image before features": (of(Join("image", (1, 2, 2))), "join_1: images of (1, 2, 2) cannot stand in front of"),
    "features before an image": (of(Join("more", 3), shape=(1, 4, 4)), "join_1: 3 features cannot stand in front of i"),
    "another size": (of(Join("image", (1, 4, 5)), shape=(1, 4, 4)), "all axes but the first must be equal"),
    "a Skip that shrinks": (of(Skip([Conv2D(1, 3)]), shape=(1, 4, 4)), "skip_1: images of (1, 2, 2) cannot stand in f"),
    "one name, two shapes": (of(Join("more", 3), Join("more", 2)), "net: the condition 'more' has two shapes, (3,) an"),
    "one inside the other": (of(Join("label", 1, [Join("label", 2)])), "the condition 'label' has two shapes, (2,) an"),
    "in PyTorch": (lambda: to_torch_layout(of(Skip([Dense(3)]))()), "net: skip_1 (Skip) has no PyTorch layout"),
    "a condition in PyTorch": (lambda: to_torch_layout(of(Join("more", 3))()), "join_1 (Join) has no PyTorch layout"),
    "a layer's own": (lambda: copy.copy(of(Skip([Dense(3)]))().layers[0]), "layer 'skip_1' belongs to a network and c"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_joined_is_refused(case):
    build, message = WRONG[case]
    with pytest.raises(Error) as caught:
        build()
    assert message in str(caught.value) and len(str(caught.value)) <= 500


@pytest.mark.parametrize("given, message", [
    ({}, "net: expected the conditions label=…, got none"),
    ({"lable": 1}, "net: expected the conditions label=…, got lable"),
    ({"label": [1, 2, 0], "more": 3}, "net: expected the conditions label=…, got label, more"),
    ({"label": 1}, "net: label has the shape (), expected (3, 1), one for each row of the input"),
    ({"label": [1, 2]}, "net: label has the shape (2,), expected (3, 1)"),
    ({"label": [[1, 2, 3]]}, "net: label has the shape (1, 3), expected (3, 1)"),
    ({"label": [1, 2, 4]}, "label: expected whole numbers from 0 to 3, got 4"),
    ({"label": [1, 2, -1]}, "label: expected whole numbers from 0 to 3, got -1"),
    ({"label": [1, 2.5, 0]}, "label: expected whole numbers from 0 to 3, got 2.5"),
    ({"label": [1, np.nan, 0]}, "net: label must be finite numbers, got nan at [1]"),
    ({"label": ["a", "b", "c"]}, "net: label must be real numbers, got an array of dtype 'str"),
    ({"label": None}, "net: label must be real numbers, got an array of dtype 'object'"),
])  # fmt: skip
@pytest.mark.parametrize("call", ["predict", "forward", "train_on_batch"])
@pytest.mark.parametrize("view", [[], [Flatten()]], ids=["first", "behind a view"])
def test_a_wrong_condition_is_refused_and_nothing_learnt(view, call, given, message):
    layers = [Join("label", 1, [*view, OneHot(CLASSES), Flatten()]), Dense(1), Sigmoid()]
    network = Sequential(layers, 2, rng(), name="net")
    network.compile(Adam())
    before = network.values.tobytes()
    target = [np.ones((3, 1))] * (call == "train_on_batch")
    with pytest.raises(Error) as caught:
        getattr(network, call)(np.ones((3, 2)), *target, **given)
    assert message in str(caught.value)
    assert network.values.tobytes() == before


def test_conditions_for_a_network_that_reads_none_are_refused():
    with pytest.raises(Error, match="network: expected the conditions none, got label"):
        Sequential([Dense(1)], 2, rng()).predict(np.ones((3, 2)), label=[1, 2, 3])


def test_a_network_that_could_not_be_leaves_its_layers_free():
    skip = Skip([Dense(3)])
    with pytest.raises(Error):
        Sequential([skip, Join("image", (1, 2, 2))], 4, rng())
    Sequential([skip, Dense(1)], 4, rng())
