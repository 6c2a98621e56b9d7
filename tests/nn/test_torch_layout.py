"""Weights to and from PyTorch's layout, against a state_dict, an input and an output that PyTorch wrote.

tests/references/make_references.py made the file; PyTorch is not needed here.
"""

from pathlib import Path

import numpy as np
import pytest

from numgan import (
    AveragePooling2D,
    BatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
    UpSampling2D,
)
from numgan.nn.torch_layout import from_torch_layout, to_torch_layout
from tests.helpers import rng

STORED = Path(__file__).parents[1] / "references" / "pytorch_state_dict.npz"


def read():
    """(state_dict, input, output) as PyTorch has them."""
    with np.load(STORED) as file:
        arrays = dict(file)
    return {k.removeprefix("state."): a for k, a in arrays.items() if "state." in k}, arrays["input"], arrays["output"]


def make_network(dtype="float64", replicas=None):
    """The stored network in numgan, with other weights."""
    layers = [Dense(6), LeakyReLU(0.2), BatchNorm(0.8, 1e-3), Dense(5), ReLU(), Dense(3), Tanh(), Dense(2), Sigmoid()]
    return Sequential(layers, 4, rng(), dtype, replicas)


def test_from_pytorch():
    """PyTorch's weights make PyTorch's output."""
    state, x, y = read()
    network = make_network()
    assert np.abs(network.predict(x) - y).max() > 0.01
    from_torch_layout(network, state)
    np.testing.assert_allclose(network.predict(x), y, rtol=1e-13, atol=0)


def test_to_pytorch():
    """What came from PyTorch goes back bit for bit, with the same names, shapes and types."""
    state, _, _ = read()
    network = make_network()
    from_torch_layout(network, state)
    back = to_torch_layout(network)
    assert list(back) == list(to_torch_layout(make_network()))
    assert back.keys() == state.keys()
    for name, array in state.items():
        assert back[name].dtype == array.dtype, name
        assert back[name].flags.c_contiguous
        if "num_batches_tracked" not in name:
            np.testing.assert_array_equal(back[name], array, strict=True)


def test_the_arrays_are_copies():
    network = make_network()
    arrays, before = to_torch_layout(network), network.state_dict()
    for array in arrays.values():
        array[...] = 7
    assert all((a == before[name]).all() for name, a in network.state_dict().items())
    from_torch_layout(network, arrays)
    for array in arrays.values():
        array[...] = 8
    assert (network.values == 7).all()


def test_without_the_batch_count():
    """num_batches_tracked may be missing, as in files of old PyTorch versions."""
    state, x, y = read()
    del state["2.num_batches_tracked"]
    network = make_network()
    from_torch_layout(network, state)
    np.testing.assert_allclose(network.predict(x), y, rtol=1e-13, atol=0)


def test_float32():
    state, x, y = read()
    network = make_network("float32")
    from_torch_layout(network, state)
    np.testing.assert_allclose(network.predict(x), y, rtol=1e-5, atol=0)
    assert to_torch_layout(network)["0.weight"].dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("2.running_var"), r"missing \['2.running_var'\], unknown \[\]"),
        (lambda state: state.update({"9.weight": np.zeros(1)}), r"missing \[\], unknown \['9.weight'\]"),
        (lambda state: state.update({"0.weight": state["0.weight"].T}), r"0.weight has shape \(4, 6\), expected"),
        (lambda state: state.update({"7.bias": np.zeros(3)}), r"7.bias has shape \(3,\), expected \(2,\)"),
    ],
)
def test_what_does_not_fit_changes_nothing(change, message):
    state, _, _ = read()
    change(state)
    network = make_network()
    before = network.state_dict()
    with pytest.raises(ValueError, match=message):
        from_torch_layout(network, state)
    assert all((a == before[name]).all() for name, a in network.state_dict().items())


def test_replicas_are_refused():
    network = make_network(replicas=3)
    with pytest.raises(ValueError, match="3 replicas have no PyTorch layout"):
        to_torch_layout(network)
    with pytest.raises(ValueError, match="3 replicas have no PyTorch layout"):
        from_torch_layout(network, read()[0])


class Scale(Layer):
    """A layer of one's own with a parameter."""

    def build(self, shape):
        self.shapes = {"factor": shape}
        return shape


def test_a_layer_of_ones_own_is_refused_if_it_has_parameters():
    network = Sequential([Dense(3), Scale()], 2, rng())
    with pytest.raises(ValueError, match=r"scale_1 \(Scale\) has no PyTorch layout"):
        to_torch_layout(network)


def test_layers_without_contents_are_passed_over_but_counted():
    """nn.Flatten and nn.Unflatten stand where Flatten and Reshape do, and PyTorch numbers modules by position."""
    network = Sequential([Flatten(), Dense(6), Reshape((2, 3)), LeakyReLU(), Flatten(), Dense(1)], (2, 2, 1), rng())
    arrays = to_torch_layout(network)
    assert {name: a.shape for name, a in arrays.items()} == {
        "1.weight": (6, 4),
        "1.bias": (6,),
        "5.weight": (1, 6),
        "5.bias": (1,),
    }
    before = network.values.copy()
    network.values[...] = 0
    from_torch_layout(network, arrays)
    np.testing.assert_array_equal(network.values, before)


def network_of_images():
    layers = [
        Dense(8), Reshape((2, 2, 2)), BatchNorm(), Conv2DTranspose(3, (4, 2), 2, "same"), Dropout(0.3), UpSampling2D(),
        Conv2D(5, (2, 3)), LeakyReLU(), AveragePooling2D(), Dropout(0.5), Flatten(), Dense(1),
    ]  # fmt: skip
    return Sequential(layers, 4, rng(1), "float64")


def test_convolutions_go_over_as_they_are():
    """PyTorch's own shapes: nn.Conv2d (F, C, KH, KW), nn.ConvTranspose2d (C, F, KH, KW); of a dropout, nothing."""
    network = network_of_images()
    network.values[...] = rng(2).normal(size=network.values.shape)
    arrays = to_torch_layout(network)
    assert {name: a.shape for name, a in arrays.items() if name[:2] not in ("0.", "2.", "11")} == {
        "3.weight": (2, 3, 4, 2), "3.bias": (3,), "6.weight": (5, 3, 2, 3), "6.bias": (5,),
    }  # fmt: skip
    for name, layer in (("3", network.layers[3]), ("6", network.layers[6])):
        for part in ("weight", "bias"):
            np.testing.assert_array_equal(arrays[f"{name}.{part}"], layer.params[part])
            assert arrays[f"{name}.{part}"].flags.c_contiguous


def test_convolutions_come_back_and_a_dropout_s_key_stays():
    network, other = network_of_images(), network_of_images()
    network.values[...] = rng(2).normal(size=network.values.shape)
    key = other.state_dict()["dropout_1.key"]
    from_torch_layout(other, to_torch_layout(network))
    assert other.values.tobytes() == network.values.tobytes()
    x = rng(3).normal(size=(3, 4))
    assert other.predict(x).tobytes() == network.predict(x).tobytes()
    assert other.state_dict()["dropout_1.key"].tobytes() == key.tobytes()


def test_a_kernel_with_filters_and_channels_exchanged_is_refused():
    network = network_of_images()
    arrays = to_torch_layout(network)
    arrays["6.weight"] = arrays["6.weight"].swapaxes(0, 1)
    with pytest.raises(ValueError, match=r"6.weight has shape \(3, 5, 2, 3\), expected \(5, 3, 2, 3\)"):
        from_torch_layout(network, arrays)
