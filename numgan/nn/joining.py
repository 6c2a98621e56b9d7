"""`Skip` and `Join`: more beside a layer's input, as neighbours in one buffer. Nothing is concatenated.

The output of either is [f; x], with what stands in front, f, made by layers of its own: from x itself (`Skip`), or from
a condition (`Join`). It is laid out before x is known: the layer below writes x into the rear of it, the last of the
layers that make f writes into its front, and whoever fills the input or the condition writes where the others read. So
the forward pass has no call of its own, but for a copy where f itself ends in one of the two. Going back, ∂L/∂[f; x]
lies in one buffer too; the front of it is what goes back through the layers of f, the rear is ∂L/∂x as it is where f
does not depend on x, and else has f's share added.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from numgan.errors import ArgumentError, ArgumentTypeError, as_shape, shown
from numgan.hints import Array, Config, Named, Rng, Rows, Shape
from numgan.kernels.joining import add_share, copy_front
from numgan.nn.activations import LeakyReLU, Tanh
from numgan.nn.buffers import Buffers, without_ones
from numgan.nn.convolution import Conv2D, Conv2DTranspose
from numgan.nn.dense import Dense
from numgan.nn.layer import Layer
from numgan.nn.network import agreeing, conditions_of, copy_layer, snake_case
from numgan.nn.plan import activation_buffers, bind_layers, boundaries, gradient_buffers

if TYPE_CHECKING:
    from numgan.nn.calls import Call

__all__ = ["Join", "Skip"]

# What calls that take conditions by name call something else.
TAKEN = ("self", "x", "training", "target", "real", "noise", "mix", "n", "rng", "out", "index")


class Beside(Layer):
    """What `Skip` and `Join` share: layers of their own, whose output f stands in front of the input x.

    Parameters and state are those of the layers inside, by name: "conv2d_1.weight".
    """

    def __init__(self, layers: Iterable[Any]) -> None:
        name = type(self).__name__
        try:
            layers = list(layers)
        except TypeError:
            raise ArgumentTypeError(f"{name}: layers must be Layer objects, got {shown(layers)}") from None
        self.layers = [_described(name, layer) for layer in layers]

    # ------------------------------------------------------------------------------------------------ what is inside

    def _build(self, start: Shape) -> Shape:
        """Name and build the layers inside; the shape of f."""
        counts: dict[str, int] = {}
        self.inner, self.inner_shapes = [copy_layer(layer) for layer in self.layers], [start]
        for layer in self.inner:
            kind = snake_case(type(layer).__name__)
            counts[kind] = counts.get(kind, 0) + 1
            layer.name = f"{self.name}.{kind}_{counts[kind]}"
            self.inner_shapes.append(as_shape(f"{layer.name}: its shape", layer.build(self.inner_shapes[-1])))
        self.shapes, self.state_shapes = (self._by_name(kind) for kind in ("shapes", "state_shapes"))
        return self.inner_shapes[-1]

    def _by_name(self, kind):
        """What the layers inside have of one kind, "conv2d_1.weight" -> …"""
        return {
            f"{layer.name.removeprefix(self.name)[1:]}.{name}": value
            for layer in self.inner
            for name, value in getattr(layer, kind).items()
        }

    def _joined(self, front: Shape, shape: Shape) -> Shape:
        """The shape of [f; x]."""
        if front[1:] != shape[1:]:
            raise ArgumentError(
                f"{self.name}: {_words(front)} cannot stand in front of {_words(shape)}; all axes but the first must "
                "be equal"
            )
        self.in_front = math.prod(front)
        return (front[0] + shape[0], *shape[1:])

    def initialize(self, rng: Rng) -> None:
        for layer in self.inner:
            layer.initialize(rng)

    def attach(self, params: Named, grads: Named, state: Named) -> None:
        # to layers of its own, as copies of this one may be attached elsewhere
        named = self.inner
        self.inner = [copy_layer(layer) for layer in named]
        for layer, before in zip(self.inner, named, strict=True):
            layer.name = before.name
            own = f"{layer.name.removeprefix(self.name)[1:]}."
            layer.attach(*(_under(own, arrays) for arrays in (params, grads, state)))
        super().attach(self._by_name("params"), self._by_name("grads"), self._by_name("state"))

    @property
    def statistics(self) -> tuple[str, ...]:
        prefixes = [(layer, layer.name.removeprefix(self.name)[1:]) for layer in self.inner]
        return tuple(f"{prefix}.{name}" for layer, prefix in prefixes for name in layer.statistics)

    def inside(self) -> list[tuple[Layer, Shape]]:
        return list(zip(self.inner, self.inner_shapes[1:], strict=True))

    def check_condition(self, name: str, c: Array) -> None:
        for layer in self.layers:
            layer.check_condition(name, c)

    def check_tangent(self) -> None:
        raise ArgumentError(
            f"a gradient penalty cannot pass through {type(self).__name__} '{self.name}', which has no tangent pass; "
            "SpectralNorm bounds the slope of such a discriminator instead"
        )

    def after_update(self) -> list[Call]:
        return [call for layer in self.inner for call in layer.after_update()]

    def _bind_inner(self, io: Buffers, x1: Array | None, dx: bool) -> tuple[Array, Array | None]:
        """Bind the layers of f to the front of the output, from x1 or a buffer of their own; (their first buffer, its
        gradient where `dx` asks for it).
        """
        columns = boundaries(io.network, self.inner_shapes, io.y1.shape[-1], 2)
        front, d_front = (None if a1 is None else a1[..., : self.in_front + 1, :] for a1 in (io.y1, io.dy1))
        # Where f ends in a Skip, what that one's layers read would be the end of f, with x behind it in place of ones.
        last = next((layer for layer in reversed(self.inner) if not layer.is_view), None)
        apart = last is not None and last.in_front > 0
        activations = activation_buffers(self.inner, columns, io.one, x1, None if apart else front)
        gradients = [None] * len(activations)
        if d_front is not None and (dx or io.learning):
            gradients = gradient_buffers(self.inner, columns, dx, d_front)
        pairs = []
        for i, layer in enumerate(self.inner):
            arrays = activations[i], activations[i + 1], gradients[i + 1], gradients[i]
            shapes = self.inner_shapes[i : i + 2]
            pairs.append((layer, io.inside(layer, shapes, *arrays)))
        forward, backward = bind_layers(pairs)
        io.forward_calls += forward
        if apart:
            io.forward(copy_front, f=activations[-1][..., :-1, :], out=front[..., :-1, :])
        io.backward_calls += backward
        return activations[0], gradients[0]

    def __getstate__(self):
        """For `copy` and `pickle`: without the layers that `build` makes of those described."""
        return {name: value for name, value in vars(self).items() if name != "inner"}

    def __repr__(self):
        first = [repr(v) for k, v in vars(self).items() if k in ("condition", "shape")]
        return f"{type(self).__name__}({', '.join([*first, repr(self.layers)])})"

    def _layers_config(self):
        return [[type(layer).__name__, layer.checked_config()] for layer in self.layers]


class Skip(Beside):
    """y = [f(x); x]: what the layers inside make of the input, and behind it the input itself, as channels of one image
    or features of one row.

    layers  what makes f(x); an image's height and width have to come out as they went in. Pairs (name of the class, its
            settings), as `config` gives them, do as well.

    A U-Net (Ronneberger et al. 2015, arXiv:1505.04597) is a Skip in a Skip: each goes down by a strided convolution,
    has the next inside, and comes up again by a transposed one. (PyTorch's usual code puts x first.)

    ∂L/∂x = what comes to the rear of y, plus what comes down through f.

    >>> network = Sequential([Skip([Dense(1), ReLU()])], 2, rng)
    >>> y = network.predict([[3.0, 4.0]])
    >>> y.shape, y[:, 1:].tolist()
    ((1, 3), [[3.0, 4.0]])
    """

    def __init__(self, layers: Iterable[Any]) -> None:
        super().__init__(layers)
        # x has a place of its own, in the rear of y, and cannot lie in the rear of something else too
        first = next((layer for layer in self.layers if not layer.is_view), None)
        if first is None or isinstance(first, Beside):
            raise ArgumentError(
                "Skip(layers) takes layers of which the first that is no view is neither a Skip nor a Join, got "
                f"{shown(self.layers)}"
            )

    @property
    def conditions(self) -> dict[str, Shape]:
        return conditions_of(self.name, getattr(self, "inner", ()))

    def build(self, shape: Shape) -> Shape:
        return self._joined(self._build(shape), shape)

    def bind(self, io: Buffers) -> None:
        _, d_inner1 = self._bind_inner(io, io.x1, io.dx is not None)
        if d_inner1 is not None:
            io.backward(add_share, share=d_inner1[..., :-1, :].reshape(io.dx.shape))

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return [
            (cls([Dense(3), Tanh()]), (4,)),
            (cls([Dense(3), cls([Dense(2), Tanh()])]), (4,)),
            (cls([Conv2D(2, 3, padding="same")]), (2, 4, 3)),
            (cls([Conv2D(3, 2, 2), cls([Conv2D(2, 1)]), LeakyReLU(0.2), Conv2DTranspose(2, 2, 2), Tanh()]), (1, 4, 4)),
        ]

    def plain(self, rows: Rows, training: bool) -> Rows:
        made = rows
        for layer in self.inner:
            made = layer.plain(made, training)
        return [[*front, *row] for front, row in zip(made, rows, strict=True)]

    def config(self) -> Config:
        return {"layers": self._layers_config()}


class Join(Beside):
    """y = [f(c); x]: what the layers inside make of a condition c, and behind it the input.

    condition  its name, as calls give it: network.predict(x, label=…).
    shape      of one sample's c: a number of features, (features,), or (channels, height, width). A class number is one
               number, and so is a word.
    layers     what makes f(c), which must be of x's shape but for the first axis; default none: c itself is joined.
               `OneHot` and `Embedding` take class numbers and words.

    Mirza & Osindero 2014, arXiv:1411.1784: both networks of a conditional GAN read the condition. No gradient goes to
    c; the parameters of the layers inside learn with the network's others, and are frozen with them.

    >>> network = Sequential([Join("label", 1, [OneHot(3), Flatten()])], 2, rng)
    >>> network.predict([[0.5, 0.25]], label=[2]).tolist()
    [[0.0, 0.0, 1.0, 0.5, 0.25]]
    """

    def __init__(self, condition: str, shape: int | Sequence[int], layers: Iterable[Any] = ()) -> None:
        super().__init__(layers)
        if not (isinstance(condition, str) and condition.isidentifier()):
            raise ArgumentError(f"Join(condition) must be a name, such as 'label', got {shown(condition)}")
        if condition in TAKEN or keyword.iskeyword(condition):
            raise ArgumentError(f"Join(condition) cannot be {shown(condition)}, which means something else in calls")
        self.condition, self.shape = condition, as_shape("Join(shape)", shape)

    @property
    def conditions(self) -> dict[str, Shape]:
        inside = conditions_of(self.name, getattr(self, "inner", ()))
        return agreeing(self.name, [*inside.items(), (self.condition, self.shape)])

    def build(self, shape: Shape) -> Shape:
        return self._joined(self._build(self.shape), shape)

    def check_condition(self, name: str, c: Array) -> None:
        first = next((layer for layer in self.layers if not layer.is_view), None)
        if name == self.condition and hasattr(first, "check_indices"):
            first.check_indices(name, c)
        super().check_condition(name, c)

    def bind(self, io: Buffers) -> None:
        c1, _ = self._bind_inner(io, None, False)
        c = without_ones(c1, io.replicas, (*self.shape, c1.shape[-1]))
        io.conditions.setdefault(self.condition, []).append(c)

    def check_tangent(self) -> None:
        """There is one: nothing of c moves with x."""

    def bind_tangent(self, io: Buffers, primal: Buffers) -> None:
        """ẏ = [0; ẋ]: the front of a tangent's buffer is zeros, which nobody writes to, and ẋ stands in its rear."""

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        return []  # a condition is not among what can be tried out on an input alone: see the target "conditions"

    def plain(self, rows: Rows, training: bool) -> Rows:
        raise ArgumentError(f"{self.name}: what it gives depends on a condition")

    def config(self) -> Config:
        return {"condition": self.condition, "shape": list(self.shape), "layers": self._layers_config()}


def _described(name, layer):
    """A layer of its own from what the constructor takes."""
    from numgan.nn.registry import LAYERS  # which lists this chapter too

    if isinstance(layer, list | tuple) and len(layer) == 2 and isinstance(layer[1], dict):
        kind, settings = layer
        layer = LAYERS[kind](**settings) if isinstance(kind, str) and kind in LAYERS else layer
    if not isinstance(layer, Layer):
        raise ArgumentTypeError(f"{name}: layers must be Layer objects, got {shown(layer)}")
    if layer.name != type(layer).name:
        raise ArgumentError(f"{name}: layer '{layer.name}' belongs to a network; give a layer of its own")
    return copy_layer(layer)


def _under(prefix, arrays):
    """Those whose name begins so, without it."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _words(shape):
    return f"{shape[0]} features" if len(shape) == 1 else f"images of {shape}"
