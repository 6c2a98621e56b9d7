"""`check_gradients` and `check_adjoint`: anyone's gradients, held against what differences measure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from numgan.errors import (
    ArgumentError,
    ArgumentTypeError,
    affordable,
    as_shape,
    flag,
    positive,
    real_array,
    shown,
    whole,
)
from numgan.gan.conditions import arrays
from numgan.gan.model import GAN
from numgan.gradcheck.differences import check_problem
from numgan.gradcheck.functions import adjoint_row, function_problem
from numgan.gradcheck.paths import unwritten_by_loss, walk
from numgan.gradcheck.problems import as_network, gan_problems, loss_problem, network_problem
from numgan.gradcheck.report import Report
from numgan.hints import Array, Numbers, Shape
from numgan.nn.layer import Layer
from numgan.nn.losses import BinaryCrossEntropy
from numgan.nn.network import Sequential

TOLERANCE = 1e-7
MOST = 1_000_000  # directions, or trials


def check_gradients(
    subject: Any,
    x: Any,
    *,
    target: Numbers | None = None,
    gradient: Callable[..., Any] | None = None,
    conditions: Mapping[str, Any] = MappingProxyType({}),
    training: bool = True,
    tolerance: float = TOLERANCE,
    coordinates: int | None = None,
    directions: int = 0,
    seed: int = 0,
) -> Report:
    """Check every hand-written gradient of `subject` against central differences; returns a `Report`.

    subject      a `Layer` or loss (built in or your own), a `Sequential`, a `GAN`, or any function of yours of NumPy
                 arrays. It is not changed: networks are checked as float64 copies with the same values.
    x            the input (batch, features), which is rounded where a network starts with a layer of indices; for a
                 loss the predictions; for a GAN the pair (real rows, noise); for a function its argument, an array, or
                 a dictionary of arrays that are its keyword arguments.
    target       for a loss: the targets, of x's shape.
    gradient     for a function f: gradient(x) for a scalar f, the gradient; for one that gives an array,
                 gradient(x, dy), the vector-Jacobian product Σ dy·∂f/∂x. With a dictionary x both take keyword
                 arguments, dy besides, and give a dictionary. Anything NumPy can read as an array will do.
    conditions   for a network or a GAN with conditions: name -> one for every row.
    training     layers and networks: training mode, where parameters have gradients (default), or inference mode,
                 where only the input has one.
    tolerance    relative; default 10⁻⁷.
    coordinates  how many coordinates of each tensor to check, drawn at random; default None: all.
    directions   besides, how many random directions to check through each tensor whole; default 0.
    seed         draws ∂L/∂y for layers and networks, the coordinates and the directions.

    A layer or network is checked as L = Σ y·c with random c, and then walked along the other paths that training takes
    (see `paths`). A GAN is checked as it trains: the discriminator's step on real and generated rows, and the
    generator's through the frozen discriminator, of which not a bit may change.

    Raises ArgumentError for a function that gives two results for one input, ArgumentTypeError for an unknown subject.

    >>> x = rng.normal(size=(4, 3))
    >>> check_gradients(np.tanh, x, gradient=lambda x, dy: dy * (1 - np.tanh(x) ** 2)).passed
    True
    >>> check_gradients(np.tanh, x, gradient=lambda x, dy: dy * (1 - np.tanh(x))).passed
    False
    >>> check_gradients(Sequential([Dense(3), Tanh(), Dense(1)], 2, rng), rng.normal(size=(4, 2))).passed
    True
    """
    tolerance, training = positive("check_gradients: tolerance", tolerance), flag("check_gradients: training", training)
    coordinates = None if coordinates is None else whole("check_gradients: coordinates", coordinates)
    directions = whole("check_gradients: directions", directions, 0, most=MOST)
    seed = whole("check_gradients: seed", seed, 0)
    # Not default_rng(seed): whoever drew x from that would meet the same numbers again in ∂L/∂y, and a mask taken from
    # the gradient instead of the input would look right.
    rng = np.random.default_rng([seed, *b"check_gradients"])
    begin = time.perf_counter()
    after: Callable[[], Any] = lambda: None  # noqa: E731
    if isinstance(subject, GAN):
        report = Report("GAN: discriminator step, and generator step through the frozen discriminator", tolerance)
        if not isinstance(x, tuple | list) or len(x) != 2:
            raise ArgumentError(f"check_gradients of a GAN: x must be (real rows, noise), got {shown(x)}")
        x = tuple(
            network.check_input(real_array(f"check_gradients: x[{i}]", rows))
            for i, (network, rows) in enumerate(zip((subject.discriminator, subject.generator), x, strict=True))
        )
        problems = gan_problems(subject, x, conditions, report)

        def after():
            given = arrays(subject.conditions, conditions, len(x[0]), subject.generator, "check_gradients")
            for network, rows in zip((subject.generator, subject.discriminator), (x[1], x[0]), strict=True):
                walk(network.copy("float64"), rows, True, report, rng, given)
    elif is_loss(subject):
        report = Report(_describe_loss(subject), tolerance)
        problems = [loss_problem(subject, x, target)]

        def after():
            report.broken += unwritten_by_loss(subject, x, target)
    elif isinstance(subject, Layer | Sequential):
        x = real_array("check_gradients: x", x)
        report = Report(_describe(subject, training), tolerance)
        network = as_network(subject, x, rng)
        given = network.check_conditions(conditions, len(x))
        problems = [network_problem(network, x, training, rng, given)]

        def after():
            walk(network, x, training, report, rng, given)
    elif callable(subject) and not isinstance(subject, type) and gradient is not None:
        report = Report(f"function {getattr(subject, '__name__', type(subject).__name__)}", tolerance)
        problem, nonlinear = function_problem(subject, gradient, x, rng)
        problems = [problem]

        def after():
            with np.errstate(all="ignore"):
                report.broken += nonlinear()
    else:
        given = subject.__name__ if isinstance(subject, type) else type(subject).__name__
        raise ArgumentTypeError(
            f"check_gradients expects a Layer, Sequential, loss or GAN, or a function with gradient=…, got {given}"
        )
    with np.errstate(all="ignore"):  # what overflows is judged by what it gives
        for problem in problems:
            check_problem(problem, report, rng, coordinates, directions)
        after()
    report.seconds = time.perf_counter() - begin
    return report


def check_adjoint(
    apply: Callable[[Array], Numbers],
    transpose: Callable[[Array], Numbers],
    shape: int | Shape,
    *,
    trials: int = 5,
    tolerance: float = 1e-12,
    seed: int = 0,
) -> Report:
    """Check that two linear functions are transposes of each other: ⟨A·x, y⟩ = ⟨x, Aᵀ·y⟩, to rounding.

    apply, transpose   functions of one array; `shape` is that of apply's argument.
    trials             random x and y, default 5. Linearity of both is checked on the way.
    tolerance          relative to the sizes of the terms that are summed, Σ|A·x|·|y|; default 10⁻¹².

    Returns a `Report` with a row for each of the laws.

    >>> check_adjoint(np.cumsum, lambda y: np.cumsum(y[::-1])[::-1], 5).passed
    True
    >>> check_adjoint(np.cumsum, np.cumsum, 5).passed
    False
    """
    for name, function in (("apply", apply), ("transpose", transpose)):
        if not callable(function) or isinstance(function, type):
            raise ArgumentTypeError(f"check_adjoint: {name} must be a function of one array, got {shown(function)}")
    shape, tolerance = as_shape("check_adjoint: shape", shape), positive("check_adjoint: tolerance", tolerance)
    trials, seed = whole("check_adjoint: trials", trials, most=MOST), whole("check_adjoint: seed", seed, 0)
    affordable("check_adjoint: an array of that shape", 8 * math.prod(shape))
    report = Report(f"adjoint of {getattr(apply, '__name__', 'apply')}", tolerance)
    begin = time.perf_counter()
    rng = np.random.default_rng([seed, *b"check_adjoint"])
    adjoint_row(apply, transpose, shape, trials, report, rng)
    report.seconds = time.perf_counter() - begin
    return report


def is_loss(subject: Any) -> bool:
    """Whether it is a loss, numgan's or one's own: its elements, their mean's gradient, and what targets it takes."""
    return not isinstance(subject, type) and all(
        callable(getattr(subject, name, None)) for name in ("elements", "gradient", "check_target")
    )


def _describe(subject, training):
    what = repr(subject) if isinstance(subject, Layer) else f"Sequential '{subject.name}'"
    return f"{what} in {'training' if training else 'inference'} mode"


def _describe_loss(loss):
    if isinstance(loss, BinaryCrossEntropy):
        return f"BinaryCrossEntropy from {'logits' if loss.from_logits else 'probabilities'}"
    return type(loss).__name__
