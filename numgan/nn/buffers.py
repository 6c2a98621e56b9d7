"""`Buffers`: the arrays of one layer at one batch size, and the binding of kernels to them.

The names of a kernel's arguments are its contract. A layer says which kernels run, and hands over what only it knows;
everything else is filled in by name:

    x, y, dy      input, output and ∂L/∂output, (…, *shape, N): (…, n, N) for n features
    x1            [x; 1] (…, n + 1, N), its last row ones
    out           where the result goes: y in a forward call, dx in a backward one
    out1          dx with a spare row behind it, the shape of x1
    temp, temp2 … scratch of y's shape and dtype, for use within one call; a number behind the name makes another
    mask          the same in bool
    column        scratch (…, n, 1)
    product       `dot` or `matmul`, whichever is faster for the first two operands
    …ᵀ            the transpose of what is named before the ᵀ

A number that the layer hands over becomes a 0-d array of the data's dtype, as the kernels want it.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import MutableMapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import ArgumentTypeError, affordable
from numgan.hints import Array, Kernel, Shape
from numgan.kernels.dense import fastest_product
from numgan.nn.calls import Call, argument_names
from numgan.nn.memory import order_in_memory, zeros, zeros_like

if TYPE_CHECKING:
    from numgan.nn.layer import Layer
    from numgan.nn.network import Sequential

GROUP = 8  # rows that are not split: sums over a row are products with ones, which OpenBLAS takes four rows at a time
BLOCK = 65_536  # values: 256 KB in float32, of which a core's L2 cache holds several


def samples_first(columns: Array, replicas: Shape) -> Array:
    """The public face of an array of columns: the memory of (*replicas, *shape, N) seen as (*replicas, N, *shape)."""
    lead = len(replicas)
    return columns.transpose(*range(lead), -1, *range(lead, columns.ndim - 1))  # np.moveaxis takes five times as long


def without_ones(a1: Array | None, replicas: Shape, shape: Shape) -> Any:
    """A buffer without its last row, which belongs to the ones, seen as (*replicas, *shape); None stays None."""
    return None if a1 is None else a1[..., :-1, :].reshape(*replicas, *shape)


class Buffers:
    """What a layer binds to.

    network, layer    whose buffers these are.
    shapes            (input's, output's), without batch and replicas.
    x1, y1, dy1, dx1  arrays (…, features + 1, N) whose last row belongs to the ones; dy1 and dx1 are None where no
                      gradient flows, dx1 alone where nobody reads the input's.
    scratch           a dictionary that all layers of all plans of a network share: no two calls run at once.
    conditions        another: name -> buffers that a condition of that name is to be written to, where a layer adds its
                      own.
    training          whether to run as in training: batch statistics, dropout.
    learning          whether parameters get gradients; as `training` unless said.
    one               what stands in the last rows, 1. In a tangent pass 0: a constant has no derivative.
    directions        what the two passes are called in a listing.

    `forward_calls` and `backward_calls` are what the layer has bound, `features` the slice of its features that these
    buffers hold: all of them, or a block.
    """

    def __init__(
        self,
        network: Sequential,
        layer: Layer,
        shapes: Sequence[Shape],
        x1: Array,
        y1: Array,
        dy1: Array | None,
        dx1: Array | None,
        *,
        scratch: MutableMapping[Any, Array],
        conditions: dict[str, list[Array]],
        training: bool,
        learning: bool | None = None,
        one: float = 1.0,
        directions: tuple[str, str] = ("forward", "backward"),
    ) -> None:
        self.network, self.x1, self.y1, self.dy1, self.out1 = network, x1, y1, dy1, dx1
        self.replicas, self.one, self.conditions = network.replicas, one, conditions
        shape_in, shape_out = ((s[0], -1) if layer.featurewise else (*s, x1.shape[-1]) for s in shapes)
        self.x, self.dx = (without_ones(a, self.replicas, shape_in) for a in (x1, dx1))
        self.y, self.dy = (without_ones(a, self.replicas, shape_out) for a in (y1, dy1))
        self.training, self.learning = training, training if learning is None else learning
        self.features, self._rows, self._directions = slice(None), None, directions
        self.forward_calls, self.backward_calls = [], []
        self.shared_scratch, self._names, self._own = scratch, (network.name, layer.name), {}
        self._elementwise = layer.elementwise

    # ------------------------------------------------------------------------------------------ for a layer's `bind`

    def let(self, **own: Any) -> None:
        """Hand over arrays and numbers of the layer's own, by name, for all calls that follow."""
        self._own |= own

    def forward(self, kernel: Kernel, **own: Any) -> None:
        """Bind a kernel of the forward pass; `own` are arguments for this call alone."""
        self.forward_calls.append(self._call(kernel, own, 0, out=self.y))

    def backward_parameters(self, kernel: Kernel, **own: Any) -> None:
        """Bind a kernel that writes parameter gradients. Dropped in a network that does not learn."""
        if self.dy is not None:
            why = "" if self.learning else "frozen, its parameters get no gradient"
            self.backward_calls.append(self._call(kernel, own, 1, skipped=why))

    def backward(self, kernel: Kernel, **own: Any) -> None:
        """Bind a kernel of the way to the input's gradient. Dropped where nobody reads that."""
        if self.dy is not None:
            why = "nobody reads the input's gradient" if self.dx is None else ""
            self.backward_calls.append(self._call(kernel, own, 1, out=self.dx, skipped=why))

    def scratch(self, name: str, shape: Shape, like: Array | None = None) -> Array:
        """Scratch of the data's dtype in a shape of the layer's own, zeros at first, for use within one pass of the
        layer; of that name and shape there is one in the network. Its axes are in memory as those of `like`.
        """
        return self._scratch_array(name, shape, self.y.dtype, like)

    def samples_first(self, columns: Array | None) -> Any:
        """One of these buffers as it looks from outside: (…, N, *shape); None stays None."""
        return None if columns is None else samples_first(columns, self.replicas)

    def per_feature(self, array: Array) -> Array:
        """A parameter (…, n) as a column (…, n, 1) of the features that these buffers hold."""
        return array[..., self.features, None]

    # --------------------------------------------------------------------------------------------------- by name

    def _call(self, kernel, own, back, out=None, skipped=""):
        arguments = {}
        if not skipped:
            own = self._own | ({} if out is None else {"out": out}) | own
            for name in argument_names(kernel):
                arguments[name] = self._find(name, own, arguments, kernel)
        run = self._run(kernel, arguments.values()) if arguments and self._elementwise else None
        return Call(kernel, arguments, *self._names, self._directions[back], self._rows, skipped, run)

    def _run(self, kernel, arguments):
        """The call of an elementwise kernel on arrays whose axes are in the order of memory: NumPy begins a pass
        through those in 0.4 µs, and in 1.2 through the arrays of a stack as they are.
        """
        order = order_in_memory(self.y)
        return partial(kernel, *(a.transpose(order) if np.ndim(a) == len(order) else a for a in arguments))

    def _find(self, name, own, found, kernel):
        """The argument of that name; `found` are those before it."""
        if name in own:
            value = own[name]
            return np.array(value, self.y.dtype) if isinstance(value, (int, float)) else value
        if name == "product":
            return fastest_product(*list(found.values())[:2])
        if name.rstrip("0123456789") == "temp":
            return self._scratch_array(name, self.y.shape, self.y.dtype, like=self.y)
        if name == "mask":
            return self._scratch_array(name, self.y.shape, bool, like=self.y)
        if name == "column":
            return self._scratch_array(name, (*self.y.shape[:-1], 1), self.y.dtype)
        if name in ("x", "y", "dy", "x1", "out1"):
            return getattr(self, name)
        if name.endswith("T") and len(name) > 1:  # Python reads the ᵀ in a name as a T
            return np.matrix_transpose(self._find(name[:-1], own, found, kernel))
        raise ArgumentTypeError(
            f"{self._names[1]}: kernel {kernel.__qualname__} asks for '{name}', which is neither a buffer nor handed "
            "over by the layer; the buffers are x, y, dy, x1, out, out1, temp, mask, column, product"
        )

    def _scratch_array(self, name, shape, dtype, like=None):
        """Scratch of a name, a shape and a dtype; its axes in the order in memory of an array that it is `like`."""
        key = name, shape, np.dtype(dtype), None if like is None else order_in_memory(like)
        found = self.shared_scratch.get(key)
        if found is None:
            affordable(f"{self._names[1]}: scratch for it", math.prod(shape) * np.dtype(dtype).itemsize)
            found = self.shared_scratch[key] = zeros(shape, dtype) if like is None else zeros_like(like, dtype)
        return found

    def inside(
        self, layer: Layer, shapes: Sequence[Shape], x1: Array, y1: Array, dy1: Array | None, dx1: Array | None
    ) -> Buffers:
        """The buffers of a layer within this one: all that is the plan's own is shared."""
        return Buffers(
            self.network, layer, shapes, x1, y1, dy1, dx1, scratch=self.shared_scratch, conditions=self.conditions,
            training=self.training, learning=self.learning, one=self.one, directions=self._directions,
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------------- for a plan

    def block(self, features: slice) -> Buffers:
        """The same for a slice of features; without the ones, which only a layer that mixes features needs."""
        block = copy.copy(self)
        block.x1 = block.out1 = None
        block.features, block._rows = features, (features.start, features.stop, self.x.shape[-2])
        block.forward_calls, block.backward_calls, block._own = [], [], {}
        for name in ("x", "y", "dy", "dx"):
            whole = getattr(self, name)
            setattr(block, name, None if whole is None else whole[..., features, :])
        return block

    def blocks(self, in_groups: bool) -> list[slice]:
        """Slices of the features of x that hold about BLOCK values each; twice as many in a stack, whose time is in the
        number of calls (32 sine GANs: 17.0 in place of 17.8 µs a model and step). If `in_groups`, they begin with a
        GROUP, so that they are cut where the products before them are.
        """
        features, room = self.x.shape[-2], 2 * BLOCK if self.replicas else BLOCK
        count = min(features, max(1, round(self.x.size / room)))
        edges = [features * i // count for i in range(count + 1)]
        if in_groups:
            edges = sorted({0, features, *(edge // GROUP * GROUP for edge in edges[:-1])})
        return [slice(a, b) for a, b in itertools.pairwise(edges)]
