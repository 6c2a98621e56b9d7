"""`Plan`: the kernel calls of one network at one batch size.

At the first use of a batch size the buffers are allocated and every layer binds its kernels to them. From then on a
pass is `for run in runs: run()`; it allocates no array and decides nothing.
"""

import itertools

import numpy as np

from numgan.nn.buffers import Buffers
from numgan.nn.calls import runs


class Plan:
    """One network at one batch size: its buffers, and the calls that run it forward and backward.

    training        batch statistics and parameter gradients; else running statistics and no parameter gradient.
    backward        bind the backward pass too.
    input_gradient  carry the backward pass down to the input.
    depth           how many layers to run; all by default.
    x1, dx1         buffers to use in place of new ones: how the discriminator of a GAN's chain reads the generator's
                    output, and writes its gradient, where they are.

    Samples are columns: x, y, dy, dx are (…, features, N), and `samples_first` is how they look from outside.
    Activations are kept as [x; 1] (…, features + 1, N), as the dense kernels want them. The row of ones is one piece of
    memory at the end, and the view without it is contiguous. (With samples as rows every elementwise pass would skip
    over the ones, which NumPy does through hidden copies: tanh on 256 × 784 takes 147 µs that way, 85 so.)
    """

    def __init__(
        self,
        network,
        batch,
        *,
        training,
        backward,
        input_gradient=False,
        depth=None,
        x1=None,
        dx1=None,
    ):
        layers, lead, dtype = network.layers[:depth], network.replicas, network.dtype
        widths = network.widths[: len(layers) + 1]
        activations = self._activations(layers, widths, (lead, batch, dtype), x1)
        gradients = [None] * len(activations)
        if backward:
            gradients = self._gradients(layers, widths, (lead, batch, dtype), input_gradient, dx1)
        scratch = {}
        pairs = [
            (
                layer,
                Buffers(
                    *(activations[i], activations[i + 1], gradients[i + 1], gradients[i]),
                    scratch=scratch,
                    training=training,
                    network=network.name,
                    layer=layer.name,
                ),
            )
            for i, layer in enumerate(layers)
        ]
        self.forward, self.backward = [], []
        for featurewise, group in itertools.groupby(pairs, lambda pair: pair[0].featurewise):
            self._bind(list(group), featurewise)
        self._forward, self._backward = runs(self.forward), runs(self.backward)
        self.x1, self.y1, self.dx1, self.dy1 = activations[0], activations[-1], gradients[0], gradients[-1]
        self.x, self.y, self.dx, self.dy = map(_head, (self.x1, self.y1, self.dx1, self.dy1))

    def _bind(self, pairs, featurewise):
        """Add the calls of neighbouring layers. Featurewise ones go block by block, all layers on one block before
        the next, so that a block is still in the cache when its next pass comes (5 % of the MNIST step).
        """
        blocks = pairs[0][1].blocks() if featurewise else [slice(None)]
        backward = []
        for block in blocks:
            calls_of_block = []
            for layer, io in pairs:
                own = io if len(blocks) == 1 else io.block(block)
                layer.bind(own)
                self.forward += own.forward_calls
                calls_of_block[:0] = own.backward_calls
            backward += calls_of_block
        self.backward[:0] = backward

    @staticmethod
    def _activations(layers, widths, layout, x1):
        """A buffer per boundary, from the output down. A layer that can works in place, unless the layer below
        reads its own output in the backward pass or the buffer is the network's input (an in-place pass moves half
        the memory: 0.12 against 0.2 to 0.4 ns an element).
        """
        buffers = [None] * len(widths)
        buffers[-1] = _with_ones(widths[-1], *layout)
        for i in reversed(range(len(layers))):
            if i > 0 and layers[i].in_place_forward and not layers[i - 1].reads_output:
                buffers[i] = buffers[i + 1]
            elif i > 0 or x1 is None:
                buffers[i] = _with_ones(widths[i], *layout)
            else:
                buffers[i] = x1
        return buffers

    @staticmethod
    def _gradients(layers, widths, layout, input_gradient, dx1):
        """A buffer per boundary that the backward pass reaches: down to the input, or the lowest with parameters."""
        buffers = [None] * len(widths)
        buffers[-1] = _columns(widths[-1] + 1, *layout)
        lowest = 0 if input_gradient else 1 + next((i for i, layer in enumerate(layers) if layer.shapes), len(layers))
        for i in reversed(range(lowest, len(layers))):
            if i == 0 and dx1 is not None:
                buffers[i] = dx1
            elif layers[i].in_place_backward:
                buffers[i] = buffers[i + 1]
            else:
                buffers[i] = _columns(widths[i] + 1, *layout)
        return buffers

    def run_forward(self):
        for run in self._forward:
            run()

    def run_backward(self):
        for run in self._backward:
            run()


def _head(a1):
    """Without the last row, which belongs to the ones; None stays None."""
    return None if a1 is None else a1[..., :-1, :]


def _columns(width, lead, batch, dtype):
    """Zeros (…, width, batch)."""
    return np.zeros((*lead, width, batch), dtype)


def _with_ones(width, lead, batch, dtype):
    """A buffer (…, width + 1, batch) whose last row is and stays 1."""
    buffer = _columns(width + 1, lead, batch, dtype)
    buffer[..., -1, :] = 1
    return buffer
