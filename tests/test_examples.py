"""Every public name says what it is, and shows it: the examples in docstrings run, and print what they show."""

import doctest
import inspect

import numpy as np
import pytest

import numgan
import numgan.data

WINGS = {"numgan": numgan, "numgan.data": numgan.data}
NAMES = {f"{wing}.{name}": getattr(module, name) for wing, module in WINGS.items() for name in module.__all__}


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """What an example may take as given, see `numgan`: its imports and `rng`; in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMGAN_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    given = {"__name__": "__main__", "np": np, "rng": np.random.default_rng(0)}
    exec("from numgan import *\nfrom numgan.data import *", given)
    return given


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example_that_does_what_it_shows(name, surroundings):
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(NAMES[name]), surroundings, name, None, None)
    assert example.examples, f"{name}'s docstring has no example"
    assert any(step.want for step in example.examples) or name == "numgan.ProgressBar"  # which shows nothing here
    printed = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=printed.append)
    assert not printed, "".join(printed)


def test_an_example_that_shows_another_result_is_noticed(surroundings):
    text = inspect.getdoc(numgan.ReLU).replace("[[0.0, 0.0, 2.0]]", "[[0.0, 0.0, 3.0]]")
    example = doctest.DocTestParser().get_doctest(text, surroundings, "ReLU", None, None)
    assert doctest.DocTestRunner().run(example, out=lambda text: None).failed == 1


def test_every_public_method_and_property_has_a_docstring():
    bare = {
        f"{name}.{attribute}"
        for name, kind in NAMES.items()
        if isinstance(kind, type)
        for attribute in dir(kind)
        if not attribute.startswith("_") and hasattr(kind, attribute)
        if callable(getattr(kind, attribute)) or isinstance(getattr(kind, attribute), property)
        if not inspect.getdoc(getattr(kind, attribute))
    }
    assert bare == set()
