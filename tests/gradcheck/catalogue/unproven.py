"""Right, and beyond what differences can prove."""

import numpy as np

from numgan import ReLU
from tests.gradcheck.catalogue.entries import (
    VECTOR,
    X,
    function,
    refused,
)
from tests.gradcheck.catalogue.wrong_claims import BIG_AND_SMALL

function(
    refused("all that moves is below the rounding of 10¹⁴", "sines below 10¹⁴"),
    lambda x: float(1e14 + np.sin(x).sum()), np.cos, VECTOR,
)  # fmt: skip
function(
    refused("σ is 1 to the last place but one, and its slope less than that", "nothing but saturated sigmoids"),
    lambda x: 1 / (1 + np.exp(-x)), lambda x, dy: dy * np.exp(-x) / (1 + np.exp(-x)) ** 2, np.array([33.0, 34.0, 35.0]),
)  # fmt: skip
function(
    refused("no derivative exists anywhere", "|x| at nothing but zeros"),
    np.abs, lambda x, dy: 0 * dy, np.zeros(4),
)  # fmt: skip
function(
    refused("what is left of 10⁸ rounds at 10⁻⁸", "(10⁸ + sin x) − 10⁸"),
    lambda x: (1e8 + np.sin(x)) - 1e8, lambda x, dy: dy * np.cos(x), X,
)  # fmt: skip
function(
    refused("one number is so steep that the other eight drown", "Σ aᵢ·xᵢ² with one a of 10⁸ and others of 10⁻⁸"),
    lambda x: float(BIG_AND_SMALL[:9] @ x**2), lambda x: 2 * BIG_AND_SMALL[:9] * x, VECTOR,
)  # fmt: skip
function(
    refused("nothing moves, so that a gradient of zeros by mistake looks the same", "a number whatever the input"),
    lambda x: 5.0, np.zeros_like, VECTOR,
)  # fmt: skip
function(
    refused("every row is beyond the margin, where a gradient that is never written is right", "a hinge at rest"),
    lambda x: np.maximum(0, 1 - np.abs(x)), lambda x, dy: 0 * dy, 2 + np.abs(X),
)  # fmt: skip


@refused("no unit is on, and every gradient is zero", "a ReLU of numbers below zero")
def _():
    return {"subject": ReLU(), "x": -1 - np.abs(X)}
