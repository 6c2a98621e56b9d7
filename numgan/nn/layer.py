"""Layers: an object around a kernel pair, holding its settings and views of its parameters and gradients.

A layer computes nothing by itself. `bind` is handed the buffers of one batch size and says which kernels run on them,
forward and backward; a network strings those calls together once and then only calls them.

To write a layer of your own, subclass `Layer` and write `forward`, `backward_input` and, if it has parameters, `build`
and `backward_parameters`; the inherited `bind` does the rest. If its constructor takes settings, write `config` too, or
it cannot be saved. To add one to numgan, write its kernels, a class with
`bind`, `examples` and `plain` in the chapter that it belongs to, whose `__all__` names it, and mistakes to plant
(`numgan.gradcheck.faults`); everything else finds it in `numgan.nn.registry`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, ClassVar

from numgan.errors import MissingMethodError, StateError, shown
from numgan.hints import Array, Config, Named, Rng, Rows, Shape
from numgan.names import SaysOurs

if TYPE_CHECKING:
    from numgan.nn.buffers import Buffers
    from numgan.nn.calls import Call


class Layer(SaysOurs):
    """A step of a network. Subclasses override the four methods below, or `bind` as a whole; and `config`, where the
    constructor takes anything, or the layer could not be made again from a model file.

    The flags tell the network which buffers the layer can live with; their defaults are safe for any layer.

    >>> class Cube(Layer):
    ...     def forward(self, x, out):
    ...         out[...] = x**3
    ...     def backward_input(self, x, y, dy, out):
    ...         out[...] = 3 * x**2 * dy
    >>> check_gradients(Cube(), rng.normal(size=(4, 3))).passed
    True
    """

    in_place_forward = False  # y may be written over x
    in_place_backward = False  # dx may be written over dy
    reads_output = True  # backward reads y, so the layer above must not overwrite it
    # No feature depends on another: io may hold a block of the features, io.features says which. An image's features
    # are its channels, and io holds (…, channels, positions · N).
    featurewise = False
    elementwise = False  # nor any number on another: kernels may be given the axes of all arrays in another order
    is_view = False  # the output is the input in another shape; `bind` has nothing to do
    in_front = 0  # numbers that the output has in front of the input, which stands in it unchanged; 0: it does not
    conditions: ClassVar[dict] = {}  # what it reads besides its input, name -> shape
    # The output is linear in the input, but for constants that are bound by way of io.one: `bind` on a tangent, with
    # io.one = 0, gives the tangent of the output. See `numgan.nn.second_order`.
    linear = False
    # The input is whole numbers that choose, held as floats: the output is flat around each of them, its derivative 0.
    takes_indices = False
    curved = False  # not linear on either side of a kink: has a second derivative, and `bind_curvature`

    initial: ClassVar[tuple[str, ...]] = ()  # arguments of the constructor that matter for starting values alone

    name = "layer"  # set by the network, for messages and parameter names
    shapes: ClassVar[dict] = {}  # trainable parameters, name -> shape, in arena order; set by build()
    state_shapes: ClassVar[dict] = {}  # what is kept but not trained, such as running statistics
    # Those of the state that are means over batches: where weights are averaged, these are too, and all else is copied.
    statistics: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        """Default: no settings."""

    def build(self, shape: Shape) -> Shape:
        """Fix the parameters' shapes for inputs of `shape`, (features,) or (channels, height, width), and return the
        outputs' shape.
        """
        return shape

    def initialize(self, rng: Rng) -> None:
        """Set the starting values of self.params and self.state (they start as zeros) for every replica."""

    def attach(self, params: Named, grads: Named, state: Named) -> None:
        """Take the views, name -> array (…, *shape), of the network's arenas."""
        self.params, self.grads, self.state = params, grads, state

    def forward(self, x: Array, out: Array) -> None:
        """Write the output (…, batch, *shape) for x (…, batch, *shape) into `out`."""
        raise MissingMethodError(f"{type(self).__name__} must define forward(x, out)")

    def backward_input(self, x: Array, y: Array, dy: Array, out: Array) -> None:
        """Write ∂L/∂x into `out`, given the input, the output and ∂L/∂y."""
        raise MissingMethodError(f"{type(self).__name__} must define backward_input(x, y, dy, out)")

    def backward_parameters(self, x: Array, y: Array, dy: Array) -> None:
        """Write (not add) ∂L/∂parameter into every array of self.grads."""
        raise MissingMethodError(f"{type(self).__name__} has parameters and must define backward_parameters(x, y, dy)")

    def bind(self, io: Buffers) -> None:
        """Bind this layer's kernels to the `Buffers` io: io.forward(kernel, …), io.backward(kernel, …) and
        io.backward_parameters(kernel, …), whose arguments are filled in by name; see `numgan.nn.buffers`.

        Without a `bind` of its own, a layer runs its methods on the public face of the buffers, (…, batch, features).
        """
        x, y, dy, dx = map(io.samples_first, (io.x, io.y, io.dy, io.dx))
        io.let(x=x, y=y, dy=dy)
        io.forward(self.forward, out=y)
        if self.shapes:
            io.backward_parameters(self.backward_parameters)
        io.backward(self.backward_input, out=dx)

    def inside(self) -> list[tuple[Layer, Shape]]:
        """The layers that it is made of, each with the shape of its output. Default: none."""
        return []

    def check_condition(self, name: str, c: Array) -> None:
        """Raise unless the condition called `name`, an array (…, batch, *shape), is one that the layer can read."""

    def check_tangent(self) -> None:
        """Raise unless the layer has a tangent pass, which a gradient penalty takes."""
        if not self.linear and type(self).bind_tangent is Layer.bind_tangent:
            raise MissingMethodError(
                f"{type(self).__name__} '{self.name}' has no tangent pass, which a gradient penalty takes; it must say "
                "linear = True or define bind_tangent"
            )

    def bind_tangent(self, io: Buffers, primal: Buffers) -> None:
        """Bind the kernels that carry a tangent ẋ = io.x on to ẏ = (∂y/∂x)·ẋ = io.y, at the activations of `primal`, in
        inference mode; and io.backward_parameters of the weights' share of ∂/∂W of Σ ẏ·io.dy. This is for what is
        `linear`.
        """
        self.bind(io)

    def bind_curvature(self, io: Buffers, tangent: Buffers) -> None:
        """Where `curved`: bind the kernel that adds f″(x)·ẋ·δ to io.dx, with ẋ = tangent.x and δ = tangent.dy."""
        raise MissingMethodError(f"{type(self).__name__} '{self.name}' is curved and must define bind_curvature")

    def after_update(self) -> list[Call]:
        """Calls that follow every update of the parameters: the last to change anything before the next pass."""
        return []

    @property
    def kind(self) -> str:
        """What a summary calls it."""
        return type(self).__name__

    @classmethod
    def examples(cls) -> list[tuple[Layer, Shape]]:
        """[(layer, shape of its input)]: what checks and tests try out. Default: the layer with no settings."""
        return [(cls(), (5,))]

    def plain(self, rows: Rows, training: bool) -> Rows:
        """What `forward` computes, in plain Python floats: rows of numbers to rows of outputs, a list a sample, images
        in row-major order. Nothing runs it but the checker, which holds the kernels against it.
        """
        raise MissingMethodError(f"{type(self).__name__} has no plain(rows, training) to check its outputs against")

    def config(self) -> Config:
        """The keyword arguments that make this layer again, as JSON-ready values: all that its constructor takes, but
        for those in `initial`.
        """
        return {}

    def checked_config(self) -> Config:
        """`config`, or an error where it leaves out a setting, or gives another value than the layer has: the layer
        would come back as another.
        """
        config, kind = self.config(), type(self).__name__
        for name, parameter in inspect.signature(type(self)).parameters.items():
            any_name = parameter.kind == parameter.VAR_KEYWORD
            if name not in (*config, *self.initial) and not (any_name and config):
                raise MissingMethodError(
                    f"layer '{self.name}' cannot be saved: {kind}({'**' * any_name}{name}) is a setting that config() "
                    f"does not give; {kind} must define config() with all that its constructor takes"
                )
        if "layers" in config:  # which may be one's own, and are not made here
            return config
        back = vars(type(self)(**config))
        for name in config:
            ours, theirs = vars(self).get(name), back.get(name)
            if isinstance(ours, bool | int | float | str) and ours != theirs:
                raise MissingMethodError(
                    f"layer '{self.name}' cannot be saved: config() gives {name}={shown(config[name])}, which makes a "
                    f"{kind} with {name} {shown(theirs)}, and this one has {shown(ours)}"
                )
        return config

    def __reduce_ex__(self, protocol):
        """For `copy` and `pickle`: a layer in a network has views of that one's arrays, which no copy could keep."""
        if self.name != type(self).name:
            raise StateError(f"layer '{self.name}' belongs to a network and cannot be copied alone; copy the network")
        return super().__reduce_ex__(protocol)

    def __repr__(self):
        settings = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        return f"{type(self).__name__}({settings})"
