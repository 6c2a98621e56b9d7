"""Small subjects for the checker: WRONG ones that must not pass, RIGHT but hard ones that must, and REFUSED ones, which
are right but of which nobody can prove it by differences.

An entry is a name, the hole in a checker that it is made for, and a function that makes the arguments of
`check_gradients`. None of the wrong ones is a kernel's fault: those are planted by `numgan.gradcheck.faults`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgan import Sequential
from numgan.nn.layer import Layer


@dataclass
class Entry:
    """One subject. `hole` is the kind of mistake, or of difficulty; `reason` says why a right one is refused."""

    name: str
    hole: str
    make: Callable[[], dict[str, Any]]
    reason: str = ""


WRONG: dict[str, Entry] = {}
RIGHT: dict[str, Entry] = {}
REFUSED: dict[str, Entry] = {}


def wrong(hole, name):
    """Decorates a function that makes the arguments of `check_gradients`."""
    return lambda make: WRONG.setdefault(name, Entry(name, hole, make)) and make


def right(hole, name):
    return lambda make: RIGHT.setdefault(name, Entry(name, hole, make)) and make


def refused(reason, name):
    return lambda make: REFUSED.setdefault(name, Entry(name, "unproven", make, reason)) and make


def function(register, f, gradient, x, **more):
    """Add an entry that is a function f, its gradient, and where to take it."""
    register(lambda: {"subject": f, "gradient": gradient, "x": x, **more})


def rng(seed=3):
    return np.random.default_rng(seed)


def network(layers, width=4, spread=0.5):
    """A float64 network, its parameters drawn so that none is zero."""
    made = Sequential(layers, width, rng(), "float64", name="net")
    made.values[...] = rng(5).normal(0, spread, made.values.shape)
    return made


X = rng().normal(0.1, 1.0, (5, 4))
POSITIVE = rng().uniform(0.5, 2.0, (5, 4))
SQUARE = rng().normal(0, 1, (4, 4)) + 3 * np.eye(4)
VECTOR = rng().normal(0, 1, 9)
ZEROS = X * (rng(4).uniform(size=X.shape) > 0.3)  # exact zeros among other numbers
LINE = np.linspace(-2.0, 2.0, 17)  # exact zero in the middle


class Pointwise(Layer):
    """y = f(x) and dx = dy·slope(x), or, where `backward` is given, dx = backward(x, dy)."""

    def __init__(self, f, slope=None, backward=None):
        self.f, self.turn = f, backward or (lambda x, dy: dy * slope(x))

    def forward(self, x, out):
        out[...] = self.f(x)

    def backward_input(self, x, y, dy, out):
        out[...] = self.turn(x, dy)


class Scale(Layer):
    """y = w·x, feature by feature, with gradients that subclasses get wrong."""

    def build(self, shape):
        self.shapes = {"weight": shape}
        return shape

    def initialize(self, rng):
        self.params["weight"][...] = rng.normal(1, 0.3, self.params["weight"].shape)

    def forward(self, x, out):
        np.multiply(x, self.params["weight"][..., None, :], out=out)

    def backward_input(self, x, y, dy, out):
        np.multiply(dy, self.params["weight"][..., None, :], out=out)

    def backward_parameters(self, x, y, dy):
        np.sum(x * dy, axis=-2, out=self.grads["weight"])
