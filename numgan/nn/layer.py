"""Layers: an object around a kernel pair, holding its settings and views of its parameters and gradients.

A layer computes nothing by itself. `bind` is handed the buffers of one batch size and answers with the kernel calls
that run the layer on them, forward and backward; a network strings those calls together once and then only calls
them. To write a layer of your own, subclass `Layer` and write `forward`, `backward_input` and, if it has
parameters, `build` and `backward_parameters`; the inherited `bind` does the rest.
"""

from functools import partial
from typing import ClassVar

from numgan.nn.buffers import samples_first


class Layer:
    """A step of a network. Subclasses override the four methods below, or `bind` as a whole.

    The flags tell the network which buffers the layer can live with; their defaults are safe for any layer.
    """

    in_place = False  # io.y may be io.x, and io.dx may be io.dy
    reads_output = True  # backward reads y, so the layer above must not overwrite it
    featurewise = False  # no feature depends on another: io may hold a block of the features, io.features says which

    name = "layer"  # set by the network, for messages and parameter names
    shapes: ClassVar[dict] = {}  # trainable parameters, name -> shape, in arena order; set by build()
    state_shapes: ClassVar[dict] = {}  # what is kept but not trained (running statistics)

    def build(self, n_in):
        """Fix the shapes for `n_in` input features and return the number of output features."""
        return n_in

    def initialize(self, rng):
        """Set the starting values of self.params and self.state (they start as zeros) for every replica."""

    def attach(self, params, grads, state):
        """Take the views, name -> array (…, *shape), of the network's arenas."""
        self.params, self.grads, self.state = params, grads, state

    def forward(self, x, out):
        """Write the output (…, batch, n_out) for x (…, batch, n_in) into `out`."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(x, out)")

    def backward_input(self, x, y, dy, out):
        """Write ∂L/∂x into `out`, given the input, the output and ∂L/∂y."""
        raise NotImplementedError(f"{type(self).__name__} must define backward_input(x, y, dy, out)")

    def backward_parameters(self, x, y, dy):
        """Write (not add) ∂L/∂parameter into every array of self.grads."""
        raise NotImplementedError(f"{type(self).__name__} has parameters and must define backward_parameters(x, y, dy)")

    def bind(self, io, training):
        """The kernel calls on the buffers `io`: (forward calls, backward calls), each a list of callables.

        io.x, io.y, io.dy are arrays (…, features, N); io.dx is one, or None when the input's gradient is not wanted;
        io.x1 is [x; 1]; io.temp() and io.temp(bool) are scratch of y's shape, shared with other layers. Out of training
        (inference, or frozen inside a GAN's chain) a layer must write neither parameter gradients nor state.
        """
        x, y, dy, dx = (a if a is None else samples_first(a, a.shape[:-2]) for a in (io.x, io.y, io.dy, io.dx))
        backward = []
        if self.shapes and training:
            backward.append(partial(self.backward_parameters, x, y, dy))
        if dx is not None:
            backward.append(partial(self.backward_input, x, y, dy, out=dx))
        return [partial(self.forward, x, out=y)], backward

    def config(self):
        """The keyword arguments that make this layer again, as JSON-ready values."""
        return {}

    def __repr__(self):
        settings = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        return f"{type(self).__name__}({settings})"
