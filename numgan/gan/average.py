"""`Average`: the generator's weights averaged over its updates, for better samples than those of any one moment.

Yazıcı et al. 2019, The Unusual Effectiveness of Averaging in GAN Training, arXiv:1806.04498. Two sides that play
against each other circle about an equilibrium, and an average of the generator's places lies nearer to it than they do.
The game itself takes no notice: what the discriminator reads is made by the generator as it is.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from numgan.errors import ArgumentError, between, mapping, real_array, whole
from numgan.hints import Named, Numbers
from numgan.kernels import optimizers as kernels
from numgan.nn.calls import Call, runs
from numgan.nn.network import Sequential
from numgan.nn.optimizers import CHUNK
from numgan.nn.replicas import check_count, column, one_or_each


class Average:
    """An exponential moving average of a network's parameters and running statistics; a `Part` of the GAN.

    network  the `Sequential` to be averaged.
    decay    d, in (0, 1): what the average keeps of itself at an update; or a list of one for each replica.

    At update t, counted from 1, θ̄ ← θ̄ + (1 − d_t)·(θ − θ̄) with d_t = min(d, (1 + t)/(10 + t)), the warm-up of
    TensorFlow's ExponentialMovingAverage(d, num_updates=t): of the weights that training began with, 6·10⁻⁵ are left
    after ten updates. It lasts for (10·d − 1)/(1 − d) of them, which is 8,990 for 0.999.

    A layer's `statistics` are averaged as parameters are; whatever else is in its state is copied, as dropout's key.

    Attributes `network`, the averaged one, equal at first to the given one as that is then; `decay`; `updates`, t.
    """

    def __init__(self, network: Sequential, decay: float | Sequence[float]) -> None:
        self.decay = one_or_each("GAN: average", decay, lambda what, value: between(what, value, 0, 1))
        self.updates = 0
        check_count("GAN", {"average": self.decay}, network.replicas)
        self.network = copy.deepcopy(network)
        self.network.name = f"averaged {network.name}"
        self._rest = np.zeros_like(column(self.decay, network.dtype, 1))
        walk = list(self._walk(network))
        self._runs = runs(walk)
        whole = {"average": self.network.values, "theta": network.values, "rest": self._rest}
        self.call = Call(
            kernels.average_update, whole, self.network.name, "parameters, state", "update", run=self.update,
            parts=walk, before=self._begin,
        )  # fmt: skip

    def _walk(self, network: Sequential) -> Iterator[Call]:
        """All parameters in chunks, as an optimiser walks them, then the state of each layer."""
        average, theta = self.network.values, network.values
        if not isinstance(self.decay, tuple):
            average, theta = average.reshape(-1), theta.reshape(-1)
        *lead, size = theta.shape
        length = max(1, CHUNK // math.prod(lead))
        temp = np.empty((*lead, min(length, size)), theta.dtype)
        for start in range(0, size, length):
            chunk = np.s_[..., start : min(start + length, size)]
            yield self._bound(average[chunk], theta[chunk], temp[..., : theta[chunk].shape[-1]])
        for ours, theirs in zip(self.network.layers, network.layers, strict=True):
            for name, value in theirs.state.items():
                if name in theirs.statistics:
                    yield self._bound(ours.state[name], value, np.empty_like(value))
                else:
                    yield Call(np.copyto, {"dst": ours.state[name], "src": value}, self.network.name)

    def _bound(self, average, theta, temp):
        rest = self._rest.reshape(-1, *[1] * (theta.ndim - 1)) if self._rest.ndim else self._rest
        arguments = {"average": average, "theta": theta, "rest": rest, "temp": temp}
        return Call(kernels.average_update, arguments, self.network.name)

    @property
    def present_decay(self) -> float | tuple[float, ...]:
        """d_t, of the last update."""
        warming = (1 + self.updates) / (10 + self.updates)
        if isinstance(self.decay, tuple):
            return tuple(min(decay, warming) for decay in self.decay)
        return min(self.decay, warming)

    def update(self) -> None:
        """Take in the network as an update has left it."""
        self._begin()
        for run in self._runs:
            run()

    def _begin(self):
        """Count the update, and set what the average takes in of it."""
        self.updates += 1
        self._rest[...] = column(1 - np.array(self.present_decay), self._rest.dtype, 1)

    def state_dict(self) -> Named:
        """updates, and what the averaged network's own `state_dict` gives."""
        return {"updates": np.array(self.updates)} | self.network.state_dict()

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Raise ValueError unless `arrays` has exactly the names and shapes of `state_dict`, its numbers finite,
        updates a whole number from 0 to 2⁵³.
        """
        self._checked_updates(arrays)
        self.network.check_state_dict({name: a for name, a in arrays.items() if name != "updates"})

    def _checked_updates(self, arrays):
        if "updates" not in mapping(f"{self.network.name}: state", arrays):
            raise ArgumentError(f"{self.network.name}: missing ['updates']")
        updates = real_array(f"{self.network.name}: updates", arrays["updates"])
        if updates.shape != ():
            raise ArgumentError(f"{self.network.name}: updates has shape {updates.shape}, expected ()")
        return whole(f"{self.network.name}: updates", updates[()], 0)

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Set the state from a `state_dict`; on anything wrong nothing changes."""
        self.check_state_dict(arrays)
        self.network.load_state_dict({name: a for name, a in arrays.items() if name != "updates"})
        self.updates = self._checked_updates(arrays)

    def __str__(self):
        decay, now = (
            ", ".join(f"{d:.4g}" for d in (value if isinstance(value, tuple) else [value]))
            for value in (self.decay, self.present_decay)
        )
        return f"{self.network.name}, decay {decay}{f' (now {now})' if self.updates and now != decay else ''}"
