"""`Plan`: the kernel calls of one network at one batch size.

At the first use of a batch size the buffers are allocated and every layer binds its kernels to them. From then on a
pass is `for run in runs: run()`; it allocates no array and decides nothing.

A buffer may be part of a larger one: a layer with something `in_front` has that in front of its input, so that its
input is the rear of its output, written there by the layer below. Buffers are therefore laid out from the last one
down.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from numgan.errors import affordable
from numgan.hints import Array, Shape
from numgan.nn.buffers import Buffers, without_ones
from numgan.nn.calls import Call, runs
from numgan.nn.memory import zeros

if TYPE_CHECKING:
    from numgan.nn.layer import Layer
    from numgan.nn.network import Sequential


NARROW = 32  # samples; OpenBLAS's kernels for narrow matrices without longer strides end at 8


class Plan:
    """One network at one batch size: its buffers, and the calls that run it forward and backward.

    training        batch statistics and parameter gradients; else running statistics and no parameter gradient.
    backward        bind the backward pass too.
    input_gradient  carry the backward pass down to the input.
    depth           how many layers to run; all by default.
    y1, dy1         buffers to use in place of new ones: how the generator of a GAN's chain writes its output where the
                    discriminator reads it, and reads its gradient where that one writes it.

    conditions      name -> the buffers (…, *shape, N) that a condition of that name is to be written to.

    Samples are columns: x, y, dy, dx are (…, *shape, N), and `samples_first` is how they look from outside.
    Activations are kept as [x; 1] (…, features + 1, N), as the dense kernels want them. The row of ones is one piece of
    memory at the end, and the view without it is contiguous. (With samples as rows every elementwise pass would skip
    over the ones, which NumPy does through hidden copies: tanh on 256 × 784 takes 147 µs that way, 85 so.)
    """

    def __init__(
        self,
        network: Sequential,
        batch: int,
        *,
        training: bool,
        backward: bool,
        input_gradient: bool = False,
        depth: int | None = None,
        y1: Array | None = None,
        dy1: Array | None = None,
    ) -> None:
        layers = network.layers[:depth]
        shapes = network.shapes[: len(layers) + 1]
        columns = boundaries(network, shapes, batch, 2 if backward else 1)
        activations = activation_buffers(layers, columns, y1=y1)
        gradients = [None] * len(activations)
        if backward:
            gradients = gradient_buffers(layers, columns, input_gradient, dy1)
        self.conditions, pairs = {}, []
        for i, layer in enumerate(layers):
            arrays = activations[i], activations[i + 1], gradients[i + 1], gradients[i]
            how = {"scratch": network.scratch, "conditions": self.conditions, "training": training}
            pairs.append((layer, Buffers(network, layer, shapes[i : i + 2], *arrays, **how)))
        self.forward, self.backward = bind_layers(pairs)
        self._forward, self._backward = runs(self.forward), runs(self.backward)
        self.x1, self.y1, self.dx1, self.dy1 = activations[0], activations[-1], gradients[0], gradients[-1]
        ends = (*shapes[0], batch), (*shapes[-1], batch)
        self.x, self.dx = (without_ones(a, network.replicas, ends[0]) for a in (self.x1, self.dx1))
        self.y, self.dy = (without_ones(a, network.replicas, ends[1]) for a in (self.y1, self.dy1))

    def run_forward(self) -> None:
        for run in self._forward:
            run()

    def run_backward(self) -> None:
        for run in self._backward:
            run()


def bind_layers(pairs: Sequence[tuple[Layer, Buffers]]) -> tuple[list[Call], list[Call]]:
    """Bind layers in order, each to its `Buffers`: (the calls forward, the calls backward)."""
    forward, backward = [], []
    for _, group in itertools.groupby(pairs, lambda pair: pair[0].featurewise and pair[1].x.shape):
        up, down = _bind_neighbours(list(group))
        forward += up
        backward[:0] = down
    return forward, backward


def _bind_neighbours(pairs):
    """The calls of neighbouring layers. Featurewise ones go block by block, all layers on one block before the next, so
    that a block is still in the cache when its next pass comes (5 % of the MNIST step).
    """
    elementwise = all(layer.elementwise for layer, _ in pairs)  # to others it matters how sums over a block are cut
    blocks = pairs[0][1].blocks(in_groups=elementwise) if pairs[0][0].featurewise else [slice(None)]
    forward, backward = [], []
    for block in blocks:
        calls_of_block = []
        for layer, io in pairs:
            own = io if len(blocks) == 1 else io.block(block)
            layer.bind(own)
            forward += own.forward_calls
            calls_of_block[:0] = own.backward_calls
        backward += calls_of_block
    return forward, backward


def boundaries(network: Sequential, shapes: Sequence[Shape], batch: int, times: int) -> Callable[[int], Array]:
    """The function that makes a buffer [x; 1] for boundary i of a network, (…, features + 1, batch), all zeros; `times`
    says how many of each there will be at most, which has to fit into memory.

    In the memory of a stack without images a feature of all replicas comes before the next one: then what is without
    the ones is one piece, through which elementwise passes run without a step aside at each replica. (NumPy runs them
    through a buffer otherwise, at four times the time of the sine GAN's 16 × 25 × 64.) To a product a replica's matrix
    is one with longer strides, which changes no bit of it unless it is so narrow that BLAS has a kernel of its own.
    (Of an image a channel's positions and samples have to lie together.)
    """
    held = sum(math.prod(shape) + 1 for shape in shapes) * times
    held *= batch * math.prod(network.replicas) * network.dtype.itemsize
    affordable(f"{network.name}: {batch:,} rows and what its layers make of them", held)
    if network.replicas and batch >= NARROW and all(len(shape) == 1 for shape in shapes):
        return lambda i: zeros((math.prod(shapes[i]) + 1, *network.replicas, batch), network.dtype).swapaxes(0, 1)
    return lambda i: zeros((*network.replicas, math.prod(shapes[i]) + 1, batch), network.dtype)


def activation_buffers(
    layers: Sequence[Layer],
    columns: Callable[[int], Array],
    one: float = 1.0,
    x1: Array | None = None,
    y1: Array | None = None,
) -> list[Array]:
    """A buffer per boundary, new ones but for those given as the first and the last. A view's output is its input. A
    layer that can writes its output over its input, unless that is the network's own, or the layer it comes from reads
    it in the backward pass (an in-place pass moves half the memory: 0.12 against 0.2 to 0.4 ns an element). `one`
    stands in the last rows of the new ones.
    """
    shared, source = [], None  # the layer that the last buffer is from
    for layer in layers:
        over = layer.in_place_forward and source is not None and not source.reads_output
        shared.append(layer.is_view or over)
        source = source if layer.is_view else layer
    views = next((i for i, same in enumerate(shared) if not same), len(layers))  # boundaries below here are the first
    new = lambda i: _with_last_row(columns(i), one)  # noqa: E731
    buffers = [new(len(layers)) if y1 is None else y1]
    for i in reversed(range(len(layers))):
        if shared[i]:
            buffers.insert(0, buffers[0])
        elif layers[i].in_front:
            buffers.insert(0, buffers[0][..., layers[i].in_front :, :])
        else:
            buffers.insert(0, new(i) if i > views or x1 is None else x1)
    return buffers


def gradient_buffers(
    layers: Sequence[Layer], columns: Callable[[int], Array], input_gradient: bool, dy1: Array | None = None
) -> list[Array | None]:
    """A buffer per boundary that the backward pass reaches: down to the input, or the lowest with parameters; new ones
    but for the last, if that is given.
    """
    lowest = 0 if input_gradient else 1 + next((i for i, layer in enumerate(layers) if layer.shapes), len(layers) - 1)
    buffers = [columns(len(layers)) if dy1 is None else dy1]
    for i in reversed(range(lowest, len(layers))):
        if layers[i].is_view or layers[i].in_place_backward:
            buffers.insert(0, buffers[0])
        else:
            in_front = layers[i].in_front
            buffers.insert(0, buffers[0][..., in_front:, :] if in_front else columns(i))
    return [None] * lowest + buffers


def _with_last_row(a1, one):
    """The array with a last row that is and stays 1, or what else is said."""
    a1[..., -1, :] = one
    return a1
