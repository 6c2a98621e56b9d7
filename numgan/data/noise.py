"""Noise: uniform numbers, and standard normal ones by the Box–Muller transform, in a third of the time of
`Generator.standard_normal`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from numgan.hints import Array, DType, Rng, Shape

NOISES = NORMAL, UNIFORM = ("normal", "uniform")  # standard normal; uniform on [−1, 1)


def fill_unit(rng: Rng, out: Array) -> None:
    """Fill `out`, flat, float32 or float64, with independent numbers uniform on [0, 1)."""
    rng.random(out=out, dtype=out.dtype)


def fill_unit_by_bits(rng: Rng, out: Array) -> None:
    """`fill_unit`, the same numbers in 60 % of the time, but with as much memory taken and given back again.

    A float32 of NumPy's is 2⁻²⁴ times the upper 24 of 32 random bits, and two of them are made of 64 random bits, the
    lower half first. To take these bits many at a time, and to shift, convert and multiply them so, takes 1.6 ns a
    number, against 2.7. (Not where the generator makes no 64 bits at once.) NumPy itself draws the first number where
    32 bits are left over, as after a normal number that it rejected, and always the last one or two, which leave a
    trace in the generator's state.
    """
    bits = rng.bit_generator
    left_over = bits.state.get("has_uint32") if out.dtype == np.float32 and sys.byteorder == "little" else None
    pairs = 0 if left_over is None else (len(out) - left_over - 1) // 2
    if pairs > 0:
        fill_unit(rng, out[:left_over])
        most, out = out[left_over : left_over + 2 * pairs], out[left_over + 2 * pairs :]
        halves = bits.random_raw(pairs).view(np.uint32)
        np.right_shift(halves, 8, out=halves)
        np.copyto(most, halves.view(np.int32), casting="unsafe")
        np.multiply(most, 2.0**-24, out=most)
    fill_unit(rng, out)


def fill_uniform(rng: Rng, out: Array) -> None:
    """Fill `out` with independent numbers uniform on [−1, 1): 2u − 1 for u uniform on [0, 1).

    Nothing is rounded: in float32 u is a multiple of 2⁻²⁴ and 2u − 1 one of 2⁻²³, none of them larger than 1 in size.
    """
    fill_unit(rng, out)
    np.multiply(out, 2, out=out)
    np.subtract(out, 1, out=out)


def drawn(rng: Rng, shape: Shape, dtype: DType, kind: str) -> Array:
    """A new array of noise, one of NOISES."""
    if kind == NORMAL:
        return rng.standard_normal(shape, dtype=dtype)
    out = np.empty(shape, dtype)
    fill_uniform(rng, out)
    return out


def fill_normal(rng: Rng, out: Array, temp: Array, unit: Callable[[Rng, Array], None] = fill_unit) -> None:
    """Fill `out`, flat and of even length, with independent standard normal numbers; temp is scratch of half of it,
    unit a function that draws what is uniform on [0, 1).

    A point of the plane with two standard normal coordinates lies at an angle θ uniform on [0, 2π), and at a distance
    r with P(r > s) = e^(−s²/2). So with u, v uniform on (0, 1], r = √(−2 log u) and θ = 2πv have its distribution, and
    r·cos θ and r·sin θ are two independent standard normal numbers (Box & Muller 1958, Ann. Math. Statist. 29, 610).
    In float32 u is a multiple of 2⁻²⁴, so that no number is larger than 5.8, which one in 10⁸ would be.

    rng is a numpy.random.Generator; float32 or float64. 4.3 ns a number, against 11.5, because NumPy's logarithm and
    sine work on many numbers at a time and the rejection method of `standard_normal` on one.
    """
    r, theta = out[: len(temp)], out[len(temp) :]
    unit(rng, out)
    np.subtract(1, r, out=r)
    np.log(r, out=r)
    np.multiply(r, -2, out=r)
    np.sqrt(r, out=r)
    np.multiply(theta, 2 * np.pi, out=theta)
    np.cos(theta, out=temp)
    np.sin(theta, out=theta)
    np.multiply(r, theta, out=theta)
    np.multiply(r, temp, out=r)
