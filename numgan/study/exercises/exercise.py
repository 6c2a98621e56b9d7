"""What an exercise is, and what it is tried on: a kernel's backward pass beside the function that it differentiates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from numgan.hints import Array, Kernel, Named


@dataclass
class Trial:
    """A function of named arrays, laid out as kernels have them, and a call of the kernel that is to give its gradient.

    point      name -> array: what is differentiated by.
    forward    (**point) -> the output, or the loss, a scalar; worked out by numgan's own kernels.
    backward   (kernel, dy, **point) -> name -> gradient: calls the kernel by the names of its arguments. dy is
               ∂L/∂output, None for a loss.
    outs       what the kernel writes to. They keep what the call before left in them, as a network's buffers do.
    samples    N.
    about      what is special about the input, for messages; "" for nothing.
    known      name of the point -> words -> array, for remarks on wrong gradients, as in `gradcheck.problems.Problem`.
    """

    point: Named
    forward: Callable[..., Array]
    backward: Callable[..., Named]
    outs: Sequence[Array]
    samples: int
    about: str = ""
    known: dict[str, Named] = field(default_factory=dict)

    def results(self, kernel: Kernel) -> Named:
        """What a kernel gives at the point for one dy, always the same, beside random numbers that stood in `outs`."""
        rng = np.random.default_rng(len(self.point))
        for out in self.outs:
            out[...] = rng.standard_normal(out.shape)
        y = self.forward(**self.point)
        dy = 2 * rng.standard_normal(y.shape) if np.ndim(y) else None
        return {name: np.array(a) for name, a in self.gradient(kernel, dy, self.point).items()}

    def gradient(self, kernel: Kernel, dy: Array | None, point: Named) -> Named:
        """`backward`, of arrays that the kernel cannot write to."""
        dy, point = dy if dy is None else dy.copy(), {name: a.copy() for name, a in point.items()}
        for array in (*point.values(), *([] if dy is None else [dy])):
            array.flags.writeable = False
        return self.backward(kernel, dy, **point)


@dataclass
class Values:
    """Of a kernel that is no gradient: `run` calls it and gives its results by name, `expected` is what they should be,
    worked out from the formula's source.
    """

    run: Callable[[Kernel], Named]
    expected: Named
    about: str = ""

    def results(self, kernel: Kernel) -> Named:
        return {name: np.array(a) for name, a in self.run(kernel).items()}


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    name      a word, and the file's name without .py; title what it is about, in a line.
    task      what is to be written and to be watched, in a sentence or two.
    kernel    the kernel to write, which is the solution.
    above     the kernels that are given, forward ones first of all.
    blanks    what of the kernel's docstring gives the answer away, each made a blank, in this order. One that holds …,
              which stands for anything, leaves none: it says how the kernel is made fast.
    hints     from gentle to nearly telling.
    trials    make what it is tried on, one after the other.
    imports   lines that the kernels above need.
    """

    name: str
    title: str
    task: str
    kernel: Kernel
    above: tuple[Kernel, ...]
    blanks: tuple[str, ...]
    hints: tuple[str, ...]
    trials: tuple[Callable[[], Trial | Values], ...]
    imports: tuple[str, ...] = ()
