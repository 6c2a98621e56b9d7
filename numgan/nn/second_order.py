"""`SecondOrder`: the gradient of v·∇ₓs by a network's weights, at one batch size; derived in `kernels.penalties`.

Three passes over one set of activations. Every one of them runs the layers' own kernels:

    input gradient   δ down from δ = 1 at the scores to g = ∇ₓs: the backward pass, with no weight gradients, and every
                     layer's δ kept.
    tangent          ẋ up from v: `Layer.bind_tangent`, and the weights' share, which is the weight-gradient kernel on
                     (δ, ẋ). Rows of ones are zeros here, as a constant has no tangent: biases get a share of zero.
    curvature        down from the highest curved activation: f″(x)·ẋ·δ begins there and goes the ordinary backward way,
                     weight gradients and all. There is none where all layers are linear but for kinks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from numgan.hints import Array
from numgan.kernels import penalties as kernels
from numgan.nn.buffers import Buffers, without_ones
from numgan.nn.calls import Call
from numgan.nn.plan import activation_buffers, boundaries, gradient_buffers

if TYPE_CHECKING:
    from numgan.nn.layer import Layer
    from numgan.nn.network import Sequential

FORWARD, INPUT, TANGENT, CURVATURE = "forward", "input gradient", "tangent", "curvature"


class SecondOrder:
    """Buffers and calls for `batch` samples of a network with one score.

    depth   how many layers lead to the score; all by default.
    learn   whether to bind the tangent and curvature passes, or the input gradient alone. Default True.

    The network runs in inference mode: the one that the generator meets, dropout at rest.

    points, gradient, direction   x, g and v: (…, n, batch), an image's pixels one after the other. Who uses this writes
            points before `first` runs, and direction, from the gradient, before `second` does.
    conditions                    name -> the buffers that a condition of that name is to be written to, as of a `Plan`.
    first, second                 the calls. `second` ends by adding its gradient to network.grads.
    """

    def __init__(self, network: Sequential, batch: int, depth: int | None = None, learn: bool = True) -> None:
        layers = network.layers[:depth]
        shapes = network.shapes[: len(layers) + 1]
        columns = boundaries(network, shapes, batch, 4)
        self._network, self._shapes, self._scratch, self.conditions = network, shapes, {}, {}
        self._x1 = activation_buffers(layers, columns)
        self._delta1 = kept_gradients(layers, columns)
        self.points, self.gradient = self._flat(self._x1[0]), self._flat(self._delta1[0])
        top = 1 + max((i for i, layer in enumerate(layers) if layer.curved), default=-1) if learn else 0
        curving, primal = self._curvature(layers, columns, top)
        self.first = [call for io in primal for call in io.forward_calls] + self._input_gradient(curving)
        self.second = []
        if learn:
            tangent1 = activation_buffers(layers, columns, one=0.0)
            self.direction = self._flat(tangent1[0])
            self.second = self._tangent(layers, tangent1, primal, curving, top)

    def _io(self, network, i, arrays, **options):
        """The `Buffers` of layer i, from [x1, y1, dy1, dx1]."""
        how = {"scratch": self._scratch, "conditions": {}, "training": False} | options
        return Buffers(network, network.layers[i], self._shapes[i : i + 2], *arrays, **how)

    def _flat(self, a1):
        return without_ones(a1, self._network.replicas, (-1, a1.shape[-1]))

    def _curvature(self, layers, columns, top):
        """(the network whose gradients the curvature pass writes, a `Buffers` per layer). Each is bound: its forward
        calls fill the activations, its backward calls are the curvature pass, which the layers from `top` on have not.
        """
        network = self._network.shadow() if top else self._network
        epsilon1 = [None] * (len(layers) + 1)
        if top:
            epsilon1[: top + 1] = gradient_buffers(layers[:top], columns, input_gradient=False)
            epsilon1[top] = columns(top)  # zeros: nothing comes from above, and nothing may be written over them
        buffers = []
        for i in range(len(layers)):
            curves = i < top
            above = epsilon1[i + 1] if curves else None
            arrays = self._x1[i], self._x1[i + 1], above, epsilon1[i] if curves else None
            how = {"learning": curves, "directions": (FORWARD, CURVATURE), "conditions": self.conditions}
            io = self._io(network, i, arrays, **how)
            network.layers[i].bind(io)
            buffers.append(io)
        return network, buffers

    def _input_gradient(self, network):
        calls = []
        for i in range(len(self._shapes) - 1):
            arrays = self._x1[i], self._x1[i + 1], self._delta1[i + 1], self._delta1[i]
            io = self._io(network, i, arrays, learning=False, directions=(FORWARD, INPUT))
            network.layers[i].bind(io)
            calls[:0] = [call for call in io.backward_calls if not call.skipped]
        return calls

    def _tangent(self, layers, tangent1, primal, curving, top):
        """The calls of the tangent pass, of the curvature pass, and of adding what both have found."""
        network = self._network.shadow()
        up, down = [], []
        for i, layer in enumerate(network.layers[: len(layers)]):
            arrays = tangent1[i], tangent1[i + 1], self._delta1[i + 1], None
            io = self._io(network, i, arrays, learning=True, one=0.0, directions=(TANGENT, TANGENT))
            layer.check_tangent()
            layer.bind_tangent(io, primal[i])
            up += [call for call in [*io.forward_calls, *io.backward_calls] if not call.skipped]
            if layer.curved:
                curving.layers[i].bind_curvature(primal[i], io)
            down[:0] = [call for call in primal[i].backward_calls if not call.skipped]
        shares = [network, *([curving] if top else [])]
        return [*up, *down, *(self._added(share) for share in shares)]

    def _added(self, share):
        arguments = {"gradient": share.grads, "out": self._network.grads}
        return Call(kernels.add_gradient, arguments, self._network.name, "all parameters", "add")


def kept_gradients(layers: Sequence[Layer], columns: Callable[[int], Array]) -> list[Array]:
    """A buffer per boundary for δ, each in memory of its own but for views and parts; 1 at the score, for good."""
    buffers = [columns(len(layers))]
    buffers[0][..., :-1, :] = 1
    for i in reversed(range(len(layers))):
        in_front = layers[i].in_front
        new = columns(i) if not (layers[i].is_view or in_front) else buffers[0][..., in_front:, :]
        buffers.insert(0, new)
    return buffers
