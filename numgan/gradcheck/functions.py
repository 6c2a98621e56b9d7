"""Anyone's function as a problem: f and its gradient are callables that take and return arrays, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numgan.errors import ArgumentError, real_array
from numgan.gradcheck.paths import linearity
from numgan.gradcheck.problems import Problem
from numgan.gradcheck.report import Report, Row
from numgan.hints import Array, Rng, Shape


def function_problem(
    f: Callable[..., Any], gradient: Callable[..., Any], x: Any, rng: Rng
) -> tuple[Problem, Callable[[], Iterator[str]]]:
    """L = f for a scalar f, else Σ f·c with random c; see `check_gradients` for what f and gradient take and give.

    Also a function that gives what breaks the linearity of the gradient in dy, as sentences.
    """
    named = isinstance(x, dict)
    for name, value in x.items() if named else [("", x)]:
        if real_array(f"check_gradients: x{f'[{name!r}]' if named else ''}", value).size == 0:
            raise ArgumentError("check_gradients: x must hold one number at least, got an empty array")
    if named and not x:
        raise ArgumentError("check_gradients: x must hold one array at least, got {}")
    base = {name: _floats(f"x[{name!r}]", a) for name, a in x.items()} if named else {"x": _floats("x", x)}

    def call(function, point, **more):
        if named:
            return function(**{name: a.copy() for name, a in point.items()}, **more)
        return function(point["x"].copy(), *more.values())

    y = call(f, base)
    if np.asarray(y).dtype in (np.float16, np.float32):
        raise ArgumentError(f"f(x) is {np.asarray(y).dtype}, whose rounding hides derivatives: let f work in float64")
    y = _floats("f(x)", y)
    c = None if y.ndim == 0 else rng.standard_normal(y.shape)

    def claim(point, dy=c):
        found = call(gradient, point) if dy is None else call(gradient, point, dy=dy.copy())
        found = found if named else {"x": found}
        if not isinstance(found, dict) or found.keys() != base.keys():
            raise ArgumentError(f"gradient should give a dictionary of {', '.join(base)}, got {_what(found)}")
        for name, a in found.items():
            if np.shape(a) != base[name].shape:
                raise ArgumentError(f"gradient of {name} has shape {np.shape(a)}, expected {base[name].shape}")
        return {name: np.array(a, np.float64) for name, a in found.items()}

    def make(replicas):
        views = {name: np.empty((replicas, *a.shape)) for name, a in base.items()}

        def run():
            values = [_floats("f(x)", call(f, {n: v[r] for n, v in views.items()})) for r in range(replicas)]
            return np.array([value.reshape(1) if c is None else (value * c).ravel() for value in values])

        return views, run

    size = sum(a.size for a in base.values()) + y.size
    known = {name: {"∂L/∂y": c, "y": y} for name, a in base.items() if c is not None and a.shape == c.shape}
    problem = Problem(base, claim, make, 8 * max(size, 1), rows=len(y) if y.ndim > 1 else 0, known=known)
    return problem, lambda: iter(()) if c is None else linearity(lambda dy: claim(base, dy), c, rng)


def _floats(what, value):
    return np.array(real_array(what, value, finite=False), np.float64)


def _what(value):
    return f"{type(value).__name__} of {np.asarray(value).dtype}" if not isinstance(value, dict) else f"{list(value)}"


def adjoint_row(
    apply: Callable[[Array], Any],
    transpose: Callable[[Array], Any],
    shape: Shape,
    trials: int,
    report: Report,
    rng: Rng,
) -> None:
    """Add a row for ⟨A·x, y⟩ = ⟨x, Aᵀ·y⟩, and one for the linearity of either side."""
    out_shape = np.shape(apply(rng.standard_normal(shape)))
    laws: dict[str, list[tuple[float, float, float]]] = {"⟨A·x, y⟩ = ⟨x, Aᵀ·y⟩": [], "A linear": [], "Aᵀ linear": []}
    for _ in range(trials):
        x, x2, y, y2 = (rng.standard_normal(s) for s in (shape, shape, out_shape, out_shape))
        ax, aty = np.asarray(apply(x), np.float64), np.asarray(transpose(y), np.float64)
        if aty.shape != x.shape:
            raise ArgumentError(f"transpose gives the shape {aty.shape}, expected {x.shape}, that of apply's argument")
        size = max(float(np.abs(ax * y).sum()), float(np.abs(x * aty).sum()))
        laws["⟨A·x, y⟩ = ⟨x, Aᵀ·y⟩"].append((float((ax * y).sum()), float((x * aty).sum()), size))
        for name, function, u, v, at_u in (("A linear", apply, x, x2, ax), ("Aᵀ linear", transpose, y, y2, aty)):
            both, at_v = np.asarray(function(2.0 * u - 3.0 * v)), np.asarray(function(v))
            apart = 2.0 * at_u - 3.0 * at_v
            worst = int(np.abs(both - apart).argmax()) if both.size else 0
            scale = float(np.abs(2.0 * at_u).max(initial=0) + np.abs(3.0 * at_v).max(initial=0))
            laws[name].append((float(both.flat[worst]), float(apart.flat[worst]), scale))
    for name, values in laws.items():
        errors = [abs(a - b) / size if size else float(a != b) for a, b, size in values]
        errors = [error if np.isfinite(error) else np.inf for error in errors]
        worst, failed = int(np.argmax(errors)), sum(error > report.tolerance for error in errors)
        report.rows.append(
            Row(
                tensor=name, shape=shape, checked=trials, certified=trials - failed, failed=failed,
                error=errors[worst], index=(worst,), analytic=values[worst][0], numeric=values[worst][1],
                verdict="FAIL" if failed else "ok",
            )
        )  # fmt: skip
