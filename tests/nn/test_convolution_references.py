"""Layers of images against PyTorch's and Keras's own, in float64, from stored arrays.

tests/references/make_convolutions.py made them; neither framework is needed here. Outputs, input and parameter
gradients agree to 10⁻¹³ of the largest number of each (worst measured: 2·10⁻¹⁶).
"""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

import numgan
from numgan import Sequential
from tests.helpers import rng

REFERENCES = Path(__file__).parents[1] / "references"
TOLERANCE = 1e-13


@functools.cache
def read(name):
    with np.load(REFERENCES / f"layers_{name}.npz") as file:
        return dict(file)


def every_case(name):
    for k, text in enumerate(read(name)["cases"]):
        (kind, arguments), training = json.loads(str(text))
        told = ", ".join(f"{key}={value}" for key, value in arguments.items())
        yield pytest.param(k, kind, arguments, training, id=f"{kind}({told})" + ("" if training else " in inference"))


def arrays(name, k):
    """name -> array of one case, in float64."""
    return {key.partition(".")[2]: a.astype(np.float64) for key, a in read(name).items() if key.startswith(f"{k}.")}


def network_of(kind, arguments, a):
    """A network of that one layer with the stored parameters."""
    network = Sequential([getattr(numgan, kind)(**arguments)], a["x"].shape[1:], rng(), "float64")
    layer = network.layers[0]
    for name, view in (layer.params | layer.state).items():
        view[...] = a[name]
    return network


def near(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE * np.abs(theirs).max())


@pytest.mark.parametrize("k, kind, arguments, training", [*every_case("pytorch")])
def test_outputs_and_gradients_are_pytorch_s(k, kind, arguments, training):
    a = arrays("pytorch", k)
    network = network_of(kind, arguments, a)
    near(network.forward(a["x"], training), a["y"])
    near(network.backward(a["dy"]), a["d.x"])
    gradients = {name.partition(".")[2]: view for name, view in network.gradients().items()}
    for name, gradient in gradients.items():
        if training:
            near(gradient, a[f"d.{name}"])
        else:
            assert not gradient.any()  # frozen
    assert {f"d.{name}" for name in gradients} | {"d.x"} == {name for name in a if name.startswith("d.")}


@pytest.mark.parametrize("k, kind, arguments, training", [*every_case("keras")])
def test_outputs_are_keras_s_where_same_is_not_even(k, kind, arguments, training):
    a = arrays("keras", k)
    near(network_of(kind, arguments, a).predict(a["x"]), a["y"])


def test_enough_is_stored_of_every_kind():
    kinds = {name: [json.loads(str(text))[0][0] for text in read(name)["cases"]] for name in ("pytorch", "keras")}
    for kind, least in (("Conv2D", 6), ("Conv2DTranspose", 5), ("AveragePooling2D", 2), ("UpSampling2D", 1)):
        assert min(kinds[name].count(kind) for name in ("pytorch", "keras")) >= least
    assert kinds["pytorch"].count("BatchNorm") == 2
    assert all(word in str(read("keras")["versions"]) for word in ("torch", "keras", "numpy"))


@pytest.mark.parametrize("name", ["pytorch", "keras"])
def test_a_pixel_more_or_less_of_padding_would_be_seen(name):
    """The same comparison on images moved by one pixel fails in every case with weights."""
    for k, text in enumerate(read(name)["cases"]):
        (kind, arguments), training = json.loads(str(text))
        a = arrays(name, k)
        if "weight" in a:
            network = network_of(kind, arguments, a)
            moved = network.forward(np.roll(a["x"], 1, axis=-1), training)
            assert np.abs(moved - a["y"]).max() > 0.01
