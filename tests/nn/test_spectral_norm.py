"""Spectral normalisation: 60 steps against PyTorch, when its vectors move, what can be wrapped, files, copies.

tests/references/make_spectral_norm.py made the reference and tells of the networks; PyTorch is not needed here. Worst
measured: losses 4·10⁻¹⁶ of themselves, parameters and vectors 2·10⁻¹⁵ of their tensor's largest element.
"""

import contextlib
import copy
import functools
import itertools
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from numgan import (
    GAN,
    SGD,
    Adam,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Error,
    Flatten,
    LeakyReLU,
    ModelFileError,
    ReLU,
    Sequential,
    Sigmoid,
    SpectralNorm,
    Tanh,
    from_torch_layout,
    to_torch_layout,
)
from numgan.gan.objectives import OBJECTIVES
from numgan.gradcheck.faults import FAULTS, planted
from numgan.gradcheck.targets import gan_with_spectral_norm
from numgan.nn.network import copy_layer
from tests.helpers import DTYPES, near, normal_rows, peak_memory, rng

REFERENCE = Path(__file__).parents[1] / "references" / "spectral_norm.npz"
NETWORKS = ("dense", "images")
TOLERANCE = 1e-9


@functools.cache
def stored():
    with np.load(REFERENCE) as file:
        return dict(file)


def of(network, group=""):
    """The reference's arrays of a network, or of a group of them."""
    prefix = f"{network}.{group}"
    return {name.removeprefix(prefix): a for name, a in stored().items() if name.startswith(prefix)}


def make_discriminator(network):
    """With the weights and vectors that PyTorch starts from."""
    if network == "dense":
        layers = [SpectralNorm(Dense(8)), LeakyReLU(0.25), SpectralNorm(Dense(5)), Tanh()]
        shape = (6,)
    else:
        layers = [
            SpectralNorm(Conv2D(3, 4, 2, 1)), LeakyReLU(0.25), SpectralNorm(Conv2DTranspose(2, 2, 2)), LeakyReLU(0.25),
            SpectralNorm(Conv2D(3, 3, 3)), LeakyReLU(0.25), Flatten(),
        ]  # fmt: skip
        shape = (1, 6, 6)
    made = Sequential([*layers, SpectralNorm(Dense(1)), Sigmoid()], shape, rng(), "float64", name="discriminator")
    from_torch_layout(made, of(network, "start."))
    made.compile(Adam(*(float(stored()[k]) for k in ("learning_rate", "beta1", "beta2", "epsilon")), "paper"))
    return made


def train(network):
    """numgan's trajectory, laid out as the stored one."""
    made, reference, losses, after = make_discriminator(network), of(network), [], []
    for step, (x, target) in enumerate(zip(reference["x"], reference["target"], strict=True), 1):
        losses.append(made.train_on_batch(x, target)[0])
        if step in stored()["stored_steps"]:
            after.append(to_torch_layout(made))
    return {"losses": np.array(losses)} | {f"after.{name}": np.stack([a[name] for a in after]) for name in after[0]}


def far(network):
    """name -> the worst difference from PyTorch, where it is beyond TOLERANCE."""
    reference, found = of(network), {}
    ours = train(network)
    assert ours.keys() == {name for name in reference if name == "losses" or name.startswith("after.")}
    for name, array in ours.items():
        wanted = reference[name]
        assert array.shape == wanted.shape, name
        size = np.abs(wanted)
        if name != "losses":
            size = size.max(axis=tuple(range(1, size.ndim)), keepdims=True)
        distance = float((np.abs(array - wanted) / size).max())
        if not distance <= TOLERANCE:
            found[name] = distance
    return found


@pytest.mark.parametrize("network", NETWORKS)
def test_sixty_steps_are_pytorch_s(network):
    assert far(network) == {}


@pytest.mark.parametrize("network", NETWORKS)
def test_pytorch_s_weights_and_vectors_make_its_scores(network):
    made = make_discriminator(network)
    scores = np.log(p := made.predict(of(network)["x"][0])) - np.log1p(-p)
    near(scores, of(network)["scores"], 1e-12)


@pytest.mark.parametrize("network", NETWORKS)
def test_what_came_from_pytorch_goes_back_bit_for_bit(network):
    back, start = to_torch_layout(make_discriminator(network)), of(network, "start.")
    assert back.keys() == start.keys()
    for name, array in start.items():
        np.testing.assert_array_equal(back[name], array, strict=True)


def test_the_reference_is_sixty_steps_that_moved_everything():
    for network in NETWORKS:
        after, start = of(network, "after."), of(network, "start.")
        assert len(of(network)["losses"]) == 60 and after.keys() == start.keys()
        for name, a in after.items():
            assert np.isfinite(a).all()
            assert a[-1].size == 1 or np.abs(a[-1] - start[name]).max() > 1e-3, name


UNTOUCHED = ("frozen", "the generator's", "before the", "made at the")  # what these trajectories do not do
FAULTY = [
    fault for fault in FAULTS
    if fault.chapter == "spectral_norm" and not any(words in fault.name for words in UNTOUCHED)
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY[::3], ids=lambda fault: fault.name)
def test_a_planted_fault_parts_the_two(fault):
    with planted(fault), np.errstate(all="ignore"), contextlib.suppress(Error):  # or refused
        assert any(far(network) for network in NETWORKS)


# ------------------------------------------------------------------------------------------------ what is computed


def normalised(layer, shape, seed=0):
    """(a network of the layer after many updates of nothing, its W as a matrix)."""
    network = Sequential([SpectralNorm(layer)], shape, rng(seed), "float64")
    for call in 500 * network.after_update():
        call.run()
    return network


@pytest.mark.parametrize("size", [0.01, 1, 100])
def test_a_dense_layer_stretches_no_vector_and_one_not_at_all(size):
    network = normalised(Dense(4), 6)
    network.parameters()["spectral_norm_1.weight"][...] *= size
    network.parameters()["spectral_norm_1.bias"][...] = 7
    matrix = network.predict(np.eye(6)) - 7
    near(np.linalg.norm(matrix, 2), 1)
    near(np.linalg.norm(network.predict(network.state_dict()["spectral_norm_1.v"][None]) - 7), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("replicas", [None, 3])
def test_vectors_start_near_the_singular_ones(replicas, dtype):
    """15 rounds: σ within a few per cent of the largest singular value, for each replica its own."""
    network = Sequential([SpectralNorm(Dense(40))], 30, rng(), dtype, replicas)
    state = network.state_dict()
    u, v, weight = (state[f"spectral_norm_1.{name}"].astype(np.float64) for name in ("u", "v", "weight"))
    sigma = np.einsum("...i,...ij,...j->...", u, weight, v)
    largest = np.linalg.svd(weight)[1][..., 0]
    assert (sigma <= largest * (1 + 1e-6)).all() and (sigma > 0.95 * largest).all()
    near(np.linalg.norm(u, axis=-1), np.ones(replicas or ()), 1e-6)


def test_a_layer_is_a_description_that_can_be_wrapped_twice():
    layer = Dense(3, "he_normal")
    one, other = SpectralNorm(layer), SpectralNorm(layer)
    network = Sequential([one, ReLU(), other, layer], 4, rng(), "float64")
    assert list(network.parameters()) == [
        f"{name}.{part}" for name in ("spectral_norm_1", "spectral_norm_2", "dense_1") for part in ("weight", "bias")
    ]
    first, second = (network.parameters()[f"spectral_norm_{i}.weight"] for i in (1, 2))
    assert first.shape == (3, 4) and second.shape == (3, 3)
    assert repr(one) == "SpectralNorm(Dense(units=3))"


def test_the_starting_weights_are_the_wrapped_layer_s():
    for layer, shape in ((Dense(3), (4,)), (Conv2D(2, 3), (3, 4, 5)), (Conv2DTranspose(2, 3), (3, 4, 5))):
        plain, wrapped = (Sequential([a], shape, rng(7)) for a in (copy.copy(layer), SpectralNorm(layer)))
        assert plain.values.tobytes() == wrapped.values.tobytes()


# --------------------------------------------------------------------------------------------- when vectors move


def vectors(network):
    return network.state.tobytes()


def test_an_update_moves_the_vectors_and_no_pass_does():
    network = make_discriminator("dense")
    x, before = of("dense")["x"][0], vectors(network)
    network.forward(x, training=True)
    network.backward(np.ones((6, 1)))
    network.predict(x)
    assert vectors(network) == before
    network.train_on_batch(x, of("dense")["target"][0])
    assert vectors(network) != before


def test_an_optimiser_s_step_by_hand_is_a_training_step():
    one, other = make_discriminator("images"), make_discriminator("images")
    x, target = of("images")["x"][0], of("images")["target"][0]
    one.train_on_batch(x, target)
    p = other.forward(x, training=True)
    other.backward((p - target) / (p * (1 - p)) / len(x))
    adam = Adam(*(float(stored()[k]) for k in ("learning_rate", "beta1", "beta2", "epsilon")), "paper")
    adam.attach(other)
    adam.step()
    near(other.values, one.values)
    near(other.state, one.state)


def updates(step):
    return [(call.name, call.network, call.layer) for call in step.calls if call.direction == "update"]


@pytest.mark.parametrize("schedule", ["concatenated", "separate"])
def test_the_listing_shows_one_round_after_each_update_and_what_else_is_done_to_the_weights(schedule):
    gan = gan_with_spectral_norm(OBJECTIVES["wasserstein"](), schedule)
    rounds = [("power_iteration", "discriminator", f"spectral_norm_{i}") for i in (1, 2, 3)]
    one = [("adam_update", "discriminator", "all parameters"), ("clip_weights", "discriminator", "all parameters")]
    assert updates(gan.discriminator_step(6)) == [*one, *rounds] * (1 + (schedule == "separate"))
    of_generator = [("power_iteration", "generator", "spectral_norm_1")]
    assert updates(gan.generator_step(6)) == [("adam_update", "generator", "all parameters"), *of_generator]
    text = str(gan.discriminator_step(6))
    assert text.count("power_iteration") == len(rounds) * (1 + (schedule == "separate"))


def test_a_frozen_network_does_not_move_by_a_bit():
    gan = gan_with_spectral_norm(OBJECTIVES["non-saturating"]())
    real, noise = rng(1).normal(size=(5, 2, 2, 4)), rng(2).normal(size=(5, 3))
    for network, step in (
        (gan.discriminator, lambda: gan.train_generator(noise)),
        (gan.generator, lambda: gan.train_discriminator(real, noise)),
    ):
        before = network.values.tobytes(), network.grads.tobytes(), network.state.tobytes()
        step()
        assert (network.values.tobytes(), network.grads.tobytes(), network.state.tobytes()) == before


def test_a_warm_step_takes_no_more_memory_than_one_without():
    """But for NumPy's buffers, short ones: 64 KB of weights and more are nowhere made anew."""

    def make(wrap):
        layers = [wrap(Conv2D(8, 4, 2, "same")), LeakyReLU(), Flatten(), wrap(Dense(64)), Tanh(), wrap(Dense(1))]
        d = Sequential([*layers, Sigmoid()], (3, 16, 16), rng())
        return GAN(Sequential([wrap(Conv2DTranspose(3, 4, 2, "same"))], (4, 8, 8), rng()), d)

    real, noise = rng(1).standard_normal((16, 3, 16, 16)), rng(2).standard_normal((16, 4, 8, 8))
    peaks = []
    for gan in (make(lambda layer: layer), make(SpectralNorm)):
        d_step, g_step = gan.discriminator_step(16), gan.generator_step(16)
        for _ in range(2):
            d_step.run(real, noise), g_step.run(noise)
        peaks += [peak_memory(lambda d=d_step: d.run(real, noise)), peak_memory(lambda g=g_step: g.run(noise))]
    plain, normed = peaks[:2], peaks[2:]
    assert all(after < before + 8_000 for before, after in zip(plain, normed, strict=True)), peaks


# -------------------------------------------------------------------------------------------- what can be wrapped


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpectralNorm(ReLU()), "SpectralNorm(layer) must be one of Dense, Conv2D, Conv2DTranspose, got ReLU()"),
        (lambda: SpectralNorm(Dense), "must be one of Dense, Conv2D, Conv2DTranspose, got <class"),
        (lambda: SpectralNorm(SpectralNorm(Dense(2))), "got SpectralNorm(Dense(units=2))"),
        (lambda: SpectralNorm(3), "must be one of Dense, Conv2D, Conv2DTranspose, got 3"),
        (lambda: SpectralNorm(("SpectralNorm", {"layer": ["Dense", {"units": 2}]})), "got ('SpectralNorm', {"),
        (lambda: SpectralNorm(["Dense"]), "got ['Dense']"),
        (lambda: SpectralNorm(["Dense", 3]), "got ['Dense', 3]"),
        (lambda: SpectralNorm([["Dense"], {}]), "got [['Dense'], {}]"),
        (lambda: SpectralNorm(["Dense", {"units": 0}]), "Dense(units) must be a positive integer, got 0"),
        (lambda: Sequential([SpectralNorm(Dense(2))], (1, 2, 2), rng()), "spectral_norm_1: Dense expects one axis"),
        (lambda: Sequential([SpectralNorm(Conv2D(2, 3))], 4, rng()), "spectral_norm_1: Conv2D expects images"),
        (
            lambda: Sequential([SpectralNorm(Dense(2, "zeros"))], 4, rng()),
            "spectral_norm_1: weights that start at zero have no norm to be divided by",
        ),
    ],
)
def test_what_cannot_be_wrapped_is_refused_in_a_sentence(make, message):
    with pytest.raises(Error) as caught:
        make()
    assert message in str(caught.value) and len(str(caught.value)) < 200


def test_a_layer_of_a_network_cannot_be_wrapped():
    layer = Dense(3)
    Sequential([layer], 4, rng())
    with pytest.raises(ValueError, match="'dense_1' belongs to a network; wrap a layer of its own"):
        SpectralNorm(layer)


# ------------------------------------------------------------------------------------------------- files and copies


@pytest.fixture
def saved(tmp_path):
    gan = gan_with_spectral_norm(OBJECTIVES["non-saturating"]())
    gan.save(tmp_path / "model.npz")
    return gan, tmp_path / "model.npz"


def trained(gan):
    """The bits of everything after two steps more."""
    for i in range(2):
        gan.train_discriminator(rng(i).normal(size=(5, 2, 2, 4)), rng(i + 10).normal(size=(5, 3)))
        gan.train_generator(rng(i + 20).normal(size=(5, 3)))
    return {name: a.tobytes() for name, a in gan.state_dict().items()}


def test_files_copies_and_pickles_train_on_as_if_nothing_had_been(saved):
    gan, path = saved
    others = [GAN.load(path), gan.copy(), copy.deepcopy(gan), pickle.loads(pickle.dumps(gan))]
    expected = trained(gan)
    for other in others:
        assert trained(other) == expected


def test_a_copy_shares_nothing_with_its_original(saved):
    gan, _ = saved
    twin, noise = gan.generator.copy(), rng(3).normal(size=(4, 3))
    before = gan.generator.predict(noise)
    twin.values *= 1.3
    twin.state[...] = 0.1
    assert gan.generator.predict(noise).tobytes() == before.tobytes()


def test_a_copy_of_the_layer_may_be_attached_to_other_gradients():
    """What it writes there leaves the layer itself as it was."""
    network, x = make_discriminator("dense"), of("dense")["x"][0]
    layer = network.layers[0]
    twin, grads = copy_layer(layer), np.zeros((8, 7))
    twin.name = layer.name
    weight_and_bias = network.values[: 8 * 7].reshape(8, 7)
    twin.attach({"weight_and_bias": weight_and_bias}, {"weight_and_bias": grads}, layer.state)
    network.forward(x, training=True)
    network.backward(np.ones((6, 1)))
    assert not grads.any() and network.grads[: 8 * 7].any()


def test_a_pickled_network_holds_its_arrays_once():
    """None of the normalised weights, which every pass makes anew."""
    plain, wrapped = (Sequential([layer], 200, rng(), "float64") for layer in (Dense(200), SpectralNorm(Dense(200))))
    assert len(pickle.dumps(wrapped)) <= len(pickle.dumps(plain)) + 8 * 400 + 4_000


def layer_of(change):
    """A change of the first wrapped layer's settings."""
    return lambda settings: change(settings["discriminator"]["layers"][0][1])


NESTED = {
    "a layer of another kind": layer_of(lambda a: a.update(layer=["ReLU", {}])),
    "itself": layer_of(lambda a: a.update(layer=["SpectralNorm", dict(a)])),
    "no such layer": layer_of(lambda a: a.update(layer=["Dense\n" * 10_000, {}])),
    "no layer": layer_of(lambda a: a.pop("layer")),
    "a number": layer_of(lambda a: a.update(layer=3)),
    "a list": layer_of(lambda a: a.update(layer=[[], []])),
    "settings of no kind": layer_of(lambda a: a["layer"].__setitem__(1, [1])),
    "a setting too many": layer_of(lambda a: a["layer"][1].update(width=3)),
    "a setting of its own too many": layer_of(lambda a: a.update(rounds=3)),
    "too many filters": layer_of(lambda a: a["layer"][1].update(filters=10**9)),
    "a large kernel": layer_of(lambda a: a["layer"][1].update(kernel_size=[10**6, 10**6], padding=[10**6, 10**6])),
    "more filters than it holds": layer_of(lambda a: a["layer"][1].update(filters=4)),
}


@pytest.mark.parametrize("case", NESTED)
def test_a_file_s_wrong_nesting_is_refused_in_a_sentence_and_takes_no_memory(saved, case):
    _, path = saved
    with np.load(path) as file:
        arrays = dict(file)
    settings = json.loads(str(arrays.pop("settings")))
    NESTED[case](settings)
    np.savez(path, settings=np.array(json.dumps(settings)), **arrays)
    messages = []

    def refused():
        with pytest.raises(ModelFileError) as caught:
            GAN.load(path)
        messages.append(str(caught.value))

    assert peak_memory(refused) < 2_000_000
    for message in messages:
        assert len(message) <= 500 and message.isprintable() and message.startswith(str(path))


def test_the_summary_counts_the_vectors_beside_the_parameters():
    network = Sequential([SpectralNorm(Dense(3)), Sigmoid()], 4, rng())
    assert "spectral_norm_1 (SpectralNorm of Dense)" in network.summary()
    assert network.summary().splitlines()[-1] == "22 parameters: 15 trained, 7 kept"


def test_stacks_train_as_their_networks():
    stack = Sequential([SpectralNorm(Dense(5)), Tanh(), SpectralNorm(Dense(1)), Sigmoid()], 4, rng(), "float64", 2)
    singles = [Sequential([SpectralNorm(Dense(5)), Tanh(), SpectralNorm(Dense(1)), Sigmoid()], 4, rng(), "float64")
               for _ in range(2)]  # fmt: skip
    for r, network in enumerate(singles):
        network.values[...], network.state[...] = stack.values[r], stack.state[r]
    for network in (stack, *singles):
        network.compile(SGD(0.3))
    x, target = normal_rows(), rng(4).integers(0, 2, (7, 1))
    for network, _ in itertools.product((stack, *singles), range(4)):
        network.train_on_batch(x, target)
    for r, network in enumerate(singles):
        near(stack.values[r], network.values, 1e-13)
        near(stack.state[r], network.state, 1e-13)
