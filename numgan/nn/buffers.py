"""`Buffers`: the arrays that a layer binds its kernels to."""

import copy
import itertools

import numpy as np

BLOCK = 65_536  # values: 256 KB in float32, of which a core's L2 cache holds several


def samples_first(columns, replicas):
    """The public face of an array of columns: the memory of (*replicas, *shape, N) seen as (*replicas, N, *shape)."""
    return np.moveaxis(columns, -1, len(replicas))


class Buffers:
    """What a layer binds to: x, y, dy, dx (arrays, or None where no gradient flows), x1 = [x; 1], shared scratch.

    features  the slice of the layer's features that these buffers hold: all of them, or a block.
    """

    def __init__(self, x1, y, dy, dx1, scratch):
        self.x1, self.x, self.y, self.dy = x1, x1[..., :-1, :], y, dy
        self.dx1, self.dx = dx1, None if dx1 is None else dx1[..., :-1, :]
        self.features = slice(None)
        self._scratch = scratch

    def block(self, features):
        """The same for a slice of features; without x1, which only a layer that mixes features needs."""
        block = copy.copy(self)
        block.x1, block.dx1, block.features = None, None, features
        for name in ("x", "y", "dy", "dx"):
            whole = getattr(self, name)
            setattr(block, name, None if whole is None else whole[..., features, :])
        return block

    def blocks(self):
        """Slices of the features of x that hold about BLOCK values each."""
        features = self.x.shape[-2]
        count = min(features, max(1, round(self.x.size / BLOCK)))
        edges = [features * i // count for i in range(count + 1)]
        return [slice(a, b) for a, b in itertools.pairwise(edges)]

    def temp(self, dtype=None):
        """Scratch of y's shape, and of y's dtype unless another is named, for use within one kernel call."""
        key = self.y.shape, dtype
        if key not in self._scratch:
            self._scratch[key] = np.zeros_like(self.y, dtype)
        return self._scratch[key]
