"""A walk through the noise: what a generator makes of points that lie between each other.

Along a straight line between two points of normal noise, the middle is nearer to 0 than hardly any noise is: of n
numbers the length is about √n everywhere, and half way √(n/2). So one goes along a great circle, [W].

    [W]  White, Sampling Generative Networks, 2016, arXiv:1609.04468, section 2.1.
"""

from __future__ import annotations

import numpy as np

from numgan.hints import Array

STOPS, STRIDES = 5, 10  # points of noise that a walk goes by; frames from one to the next


def spherical(p: Array, q: Array, t: float) -> Array:
    """The points a share t of the way from p to q, rows (n, *shape) each, along great circles.

    slerp(p, q; t) = sin((1 − t)·ω)/sin ω · p + sin(t·ω)/sin ω · q, with ω the angle between a row of p and its row of
    q. Where they lie on one line through 0 there is no such circle, and the way is straight.
    """
    flat_p, flat_q = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (p, q))
    lengths = np.linalg.norm(flat_p, axis=1) * np.linalg.norm(flat_q, axis=1)
    cosine = np.einsum("ij,ij->i", flat_p, flat_q) / np.where(lengths > 0, lengths, 1)
    angle = np.arccos(np.clip(cosine, -1, 1))[:, None]
    sine = np.sin(angle)
    straight = (sine < 1e-6) | (lengths[:, None] == 0)
    sine[straight] = 1
    a, b = (np.where(straight, share, np.sin(share * angle) / sine) for share in (1 - t, t))
    return (a * flat_p + b * flat_q).reshape(p.shape).astype(p.dtype)


def closed_walk(stops: Array, strides: int) -> list[Array]:
    """Noise (n, *shape) for every frame of a walk from one of `stops` (k, n, *shape) to the next, and from the last
    back to the first; the frame behind the last is the first again.
    """
    return [
        spherical(p, q, i / strides)
        for p, q in zip(stops, np.roll(stops, -1, axis=0), strict=True)
        for i in range(strides)
    ]
