"""Optimisers: SGD with momentum, RMSprop and Adam, each a walk over a network's flat arena.

The walk goes in chunks that stay in the processor's cache through all passes of the update: for the MNIST GAN's
842,000 parameters that takes four fifths of the time of ten passes over whole arrays.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import (
    ArgumentError,
    ArgumentTypeError,
    StateError,
    fraction,
    mapping,
    one_of,
    positive,
    real_array,
    shown,
    whole,
)
from numgan.hints import Array, Config, Kernel, Named, Numbers
from numgan.kernels import optimizers as kernels
from numgan.names import SaysOurs
from numgan.nn.calls import Call, in_order, runs
from numgan.nn.memory import zeros, zeros_like
from numgan.nn.rates import Rate
from numgan.nn.replicas import check_count, column, joined, of_replicas, one_or_each

if TYPE_CHECKING:
    from numgan.nn.network import Sequential

__all__ = ["SGD", "Adam", "RMSprop"]

CHUNK = 32_768  # elements; five float32 arrays of this length take 640 KB


class Fixed:
    """A setting that stays as an optimiser was made with it: the arrays of its state mean something only beside it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, kind: type) -> Any:
        return self if optimizer is None else vars(optimizer)[f"_{self.name}"]

    def __set__(self, optimizer: Any, value: Any) -> None:
        raise StateError(
            f"{optimizer}: {self.name} stays as it was made, only learning_rate can be set; got {shown(value)}"
        )


class Optimizer(SaysOurs, ABC):
    """What all optimisers share: state arrays as long as the arena, and kernel calls bound chunk by chunk.

    A kernel's arguments are found by name: theta, gradient, temp, the arrays of `state_names`, the numbers of
    `_scalars`.

    learning_rate  the rate of the next step. What the optimiser is made with is a number, or a `Rate`, which tells the
                   rate from the count of steps; `config` gives that. It may be set between any two steps to a number,
                   which holds from the next step on, in place of either. That is part of the state, so that whoever
                   loads, copies or resumes goes on with the present rate. Every other setting is `Fixed`.
    steps          how many updates it has made, from which Adam's corrections and a `Rate` count. May be set as well.

    Where a setting is a number, a list of R numbers gives the replicas of a stack one each; of rates, too.
    """

    state_names = ()
    nonnegative = ()  # those of them that are sums of squares
    changing: tuple[str, ...] = ("rate",)  # the constants that `_before_step` sets
    network = None
    steps = 0

    def __init__(self, learning_rate: float | Rate | Sequence[float | Rate]) -> None:
        self._rate = one_or_each(f"{type(self).__name__} learning_rate", learning_rate, _rate_or_positive)
        self._first_rate = self._rate

    @property
    def learning_rate(self) -> float | tuple[float, ...]:
        """That of the next update; of each replica's, where they differ."""
        if isinstance(self._rate, tuple):
            return tuple(_at(rate, self.steps + 1) for rate in self._rate)
        return self._rate_at(self.steps + 1)

    @learning_rate.setter
    def learning_rate(self, value: float | Sequence[float]) -> None:
        if isinstance(value, Rate):
            raise ArgumentError(f"{self}: learning_rate can be set to a number; make the optimiser with {value}")
        rate = one_or_each(f"{type(self).__name__} learning_rate", value, positive)
        if self.network is not None:
            check_count(f"{self}", {"learning_rate": rate}, self.network.replicas)
        self.set_rate(rate)

    @property
    def rate(self) -> float | Rate | tuple[float | Rate, ...]:
        """What tells the learning rate at present: a number or a `Rate`, or one for each replica."""
        return self._rate

    def set_rate(self, rate: float | Rate | tuple[float | Rate, ...]) -> None:
        """Set what `rate` gives."""
        self._rate = rate
        if self.network is not None and (isinstance(rate, tuple) or self._each):
            self._bind_walk()

    def _rate_at(self, step):
        return _at(self._rate, step)

    def attach(self, network: Sequential) -> None:
        """Take over a network's parameters: allocate the state and bind the update. One network per optimiser."""
        self.check_free(network)
        self.network, self.steps = network, 0
        self.state = {name: zeros_like(network.values) for name in self.state_names}
        self._bind_walk()
        self._after = runs(network.after_update())

    def _bind_walk(self):
        """Bind the kernel chunk by chunk: of flat arrays, or of (R, …) where each replica has numbers of its own."""
        settings = self.config() | {"learning_rate": self._rate}
        apart = any(isinstance(value, tuple) for value in settings.values())
        arrays = {"theta": self.network.values, "gradient": self.network.grads} | self.state
        if not apart:
            arrays = {name: a.reshape(-1) for name, a in arrays.items()}
        *lead, size = arrays["theta"].shape
        self._each = [type(self)(**of_replicas(settings, slice(r, r + 1))) for r in range(*lead)] if apart else []
        self._constants = {name: np.array(value, self.network.dtype) for name, value in self._scalars().items()}
        for single in self._each:
            single._constants = {name: np.array(v, self.network.dtype) for name, v in single._scalars().items()}
        if apart:
            names = self._constants
            self._constants = {name: np.array([[single._constants[name]] for single in self._each]) for name in names}
        length = max(1, CHUNK // math.prod(lead))
        temp = zeros((*lead, min(length, size)), self.network.dtype)
        chunks = [slice(start, min(start + length, size)) for start in range(0, size, length)]
        self._chunks = [
            self._bind({name: a[..., c] for name, a in arrays.items()} | {"temp": temp[..., : c.stop - c.start]})
            for c in chunks
        ]
        self._runs = runs(self._chunks)

    def check_free(self, network: Sequential) -> None:
        """Raise unless this optimiser can be attached to `network`."""
        if not isinstance(getattr(network, "values", None), np.ndarray):
            raise ArgumentTypeError(f"{self} trains a Sequential, got {shown(network)}")
        if self.network is not None:
            raise ArgumentError(f"{self} already trains '{self.network.name}'; make a new one for '{network.name}'")
        check_count(f"{self}", self.config(), network.replicas)

    def step(self) -> None:
        """Update the parameters from the gradients, and have the layers do what follows an update."""
        self.update()
        for run in self._after:
            run()

    def update(self) -> None:
        """The update alone. A training step that changes the parameters once more, as by clipping, ends in
        `network.after_update()` itself.
        """
        self._check_attached()
        self._begin()
        for run in self._runs:
            run()

    def _begin(self):
        """Count the step, and set the constants that go with it."""
        self.steps += 1
        if self._each:
            self._before_step_of_each()
        else:
            self._before_step()

    def _check_attached(self):
        if self.network is None:
            raise StateError(f"{self} trains no network yet; compile(optimizer) gives it one")

    def _bind(self, arrays):
        """The kernel bound to arrays of one length, its arguments taken by name."""
        return Call(self.kernel, in_order(self.kernel, arrays | self._constants), self.network.name)

    @property
    def call(self) -> Call:
        """The whole `update` as one line of a training step."""
        self._check_attached()
        arrays = {"theta": self.network.values, "gradient": self.network.grads} | self.state
        return Call(
            self.kernel, arrays, self.network.name, "all parameters", "update", run=self.update, parts=self._chunks,
            before=self._begin,
        )  # fmt: skip

    @abstractmethod
    def last_update(self) -> Array:
        """What the last update added to the parameters, (…, P), a new array: worked out from the state as that update
        left it, so it means nothing after a state has been loaded. What a layer or a game does to the parameters after
        the update (clipping) is not in it.
        """

    @abstractmethod
    def _before_step(self) -> None:
        """Set the constants that can change from step to step."""

    def _before_step_of_each(self):
        """What every replica's optimiser would set if it were alone."""
        for single in self._each:
            single.steps = self.steps
            single._before_step()
        for name in self.changing:
            self._constants[name][:, 0] = [single._constants[name] for single in self._each]

    @property
    @abstractmethod
    def kernel(self) -> Kernel:
        """The kernel of one update; looked up anew, so that a planted fault is seen."""

    @abstractmethod
    def config(self) -> Config:
        """The keyword arguments that make this optimiser again, as JSON-ready values."""

    @abstractmethod
    def _scalars(self) -> dict[str, float]:
        """The numbers that the kernel asks for, by name."""

    def free(self) -> Optimizer:
        """One like it that trains no network yet."""
        return type(self).from_config(self.config())

    @classmethod
    def from_config(cls, config: Config) -> Optimizer:
        """The optimiser whose `config` this is."""
        config = dict(config)
        if "learning_rate" in config:
            rate = config["learning_rate"]
            config["learning_rate"] = list(map(_rate_of, rate)) if isinstance(rate, list | tuple) else _rate_of(rate)
        return cls(**config)

    def _first_config(self):
        """What `config` has for the learning rate."""
        if isinstance(self._first_rate, tuple):
            return tuple(map(_rate_config, self._first_rate))
        return _rate_config(self._first_rate)

    def __reduce_ex__(self, protocol):
        """For `copy` and `pickle`: what is attached is bound to the network's arrays, which no copy could keep."""
        if self.network is not None:
            raise StateError(
                f"{self} trains '{self.network.name}' and cannot be copied alone; copy the network that was compiled "
                "with it, or the GAN"
            )
        return super().__reduce_ex__(protocol)

    def state_dict(self) -> Named:
        """steps, learning_rate, with replicas (R,), and a copy of every state array. learning_rate is 0 where that of
        the `Rate` holds that the optimiser was made with.
        """
        self._check_attached()
        rates = self._rate if isinstance(self._rate, tuple) else [self._rate]
        rates = np.array([0.0 if isinstance(rate, Rate) else rate for rate in rates])
        rates = np.array(np.broadcast_to(rates, self.network.replicas or 1)).reshape(self.network.replicas)
        numbers = {"steps": np.array(self.steps), "learning_rate": rates}
        return numbers | {k: v.copy() for k, v in self.state.items()}

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Set the state from `state_dict`'s result; on any wrong name, shape or value nothing changes."""
        self.set_state(self.check_state_dict(arrays))

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> Named:
        """The arrays to set, or an error unless `arrays` has exactly the names and shapes of `state_dict`, its numbers
        finite, sums of squares at least 0, steps a whole number from 0 to 2⁵³, and learning_rate positive, or 0 for the
        `Rate` that the optimiser was made with.
        """
        self._check_attached()
        shapes = {"steps": (), "learning_rate": self.network.replicas} | {
            name: value.shape for name, value in self.state.items()
        }
        if mapping(f"{self}: state", arrays).keys() != shapes.keys():
            raise ArgumentError(f"{self}: expected {sorted(shapes)}, got {shown(sorted(arrays))}")
        checked = {}
        for name, shape in shapes.items():
            array = real_array(f"{self}: {name}", arrays[name], self.network.dtype)
            if array.shape != shape:
                raise ArgumentError(f"{self}: {name} has shape {array.shape}, expected {shape}")
            if name in self.nonnegative and array.size and array.min() < 0:
                raise ArgumentError(f"{self}: {name} must be at least 0, got {array.min()}")
            checked[name] = array
        checked["steps"] = whole(f"{self}: steps", checked["steps"][()], 0)
        rates, first = checked["learning_rate"].astype(float).tolist(), self._first_rate
        if isinstance(rates, list):
            firsts = first if isinstance(first, tuple) else [first] * len(rates)
            checked["learning_rate"] = joined(list(map(self._checked_rate, rates, firsts)))
        else:
            checked["learning_rate"] = self._checked_rate(rates, first)
        return checked

    def _checked_rate(self, rate, first):
        by_count = rate == 0 and isinstance(first, Rate)
        return first if by_count else positive(f"{self}: learning_rate", rate)

    def set_state(self, checked: Named) -> None:
        """Set the state from what `check_state_dict` returned."""
        for name, value in self.state.items():
            value[...] = checked[name]
        self.steps = checked["steps"]
        self.set_rate(checked["learning_rate"])

    def __repr__(self):
        settings = self.config() | {"learning_rate": self._rate}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in settings.items())})"


def _rate_or_positive(what, value):
    return value if isinstance(value, Rate) else positive(what, value)


def _at(rate, step):
    return rate.at(step) if isinstance(rate, Rate) else rate


def _rate_config(rate):
    return rate.config() if isinstance(rate, Rate) else rate


def _rate_of(config):
    return Rate(**config) if isinstance(config, dict) else config


class SGD(Optimizer):
    """v ← momentum·v − rate·g; θ ← θ + v.

    Each gradient goes in with the rate of its own step, as in Keras; PyTorch multiplies the whole of v by the present
    rate, which is the same while the rate is.

    learning_rate  positive, or a `Rate`; default 0.01. May be set at any time.
    momentum       in [0, 1); default 0.

    >>> network = Sequential([Dense(1)], 1, rng)
    >>> network.compile(SGD(0.5, momentum=0.9), BinaryCrossEntropy(from_logits=True))
    >>> losses = [network.train_on_batch([[1.0], [-1.0]], [[1.0], [0.0]])[0] for _ in range(50)]
    >>> bool(losses[-1] < 0.05 < losses[0])
    True
    """

    state_names = ("velocity",)
    momentum = Fixed()

    def __init__(
        self, learning_rate: float | Rate | Sequence[float | Rate] = 0.01, momentum: float | Sequence[float] = 0.0
    ) -> None:
        super().__init__(learning_rate)
        self._momentum = one_or_each("SGD momentum", momentum, fraction)

    def _scalars(self):
        return {"rate": 0.0, "momentum": self._momentum}

    def _before_step(self):
        self._constants["rate"][()] = self._rate_at(self.steps)

    def last_update(self) -> Array:
        return self.state["velocity"].copy()

    @property
    def kernel(self) -> Kernel:
        return kernels.sgd_update

    def config(self) -> Config:
        return {"learning_rate": self._first_config(), "momentum": self._momentum}


class RMSprop(Optimizer):
    """v ← ρ·v + (1 − ρ)·g²; θ ← θ − rate·g/(√v + ε): Hinton 2012, lecture 6e; see `kernels.rmsprop_update`.

    ε is added to the root, as in PyTorch. (Keras adds it to v, under the root, where ε bounds the step as √ε does
    here.) Momentum and centring, which both offer and have off by default, there are not.

    learning_rate  positive, or a `Rate`; default 10⁻³, as in Keras (PyTorch: 10⁻²). May be set at any time.
    rho            ρ in [0, 1); default 0.9, as in the lecture and in Keras (PyTorch: alpha, 0.99).
    epsilon        ε; default 10⁻⁷ (PyTorch: 10⁻⁸).

    State `v` holds the mean square divided by (1 − ρ).

    >>> network = Sequential([Dense(1)], 1, rng, dtype="float64")
    >>> before = network.parameters()["dense_1.weight"].copy()
    >>> network.compile(RMSprop(0.01, rho=0.75), BinaryCrossEntropy(from_logits=True))
    >>> loss, accuracy = network.train_on_batch([[1.0]], [[1.0]])
    >>> (network.parameters()["dense_1.weight"] - before).round(5).tolist()  # rate/√(1 − ρ)
    [[0.02]]
    """

    state_names = ("v",)
    nonnegative = ("v",)
    rho, epsilon = Fixed(), Fixed()

    def __init__(self, learning_rate: float | Rate = 1e-3, rho: float = 0.9, epsilon: float = 1e-7) -> None:
        super().__init__(learning_rate)
        self._rho, self._epsilon = fraction("RMSprop rho", rho), positive("RMSprop epsilon", epsilon)

    def _scalars(self):
        return {"rho": self._rho, "rate": 0.0, "epsilon": self._epsilon / math.sqrt(1 - self._rho)}

    @property
    def kernel(self) -> Kernel:
        return kernels.rmsprop_update

    def _before_step(self):
        self._constants["rate"][()] = self._rate_at(self.steps) / math.sqrt(1 - self._rho)

    def last_update(self) -> Array:
        root = np.sqrt(self.state["v"]) + self._constants["epsilon"]
        return self.network.grads / root * -self._constants["rate"]  # as the kernel goes

    def config(self) -> Config:
        return {"learning_rate": self._first_config(), "rho": self._rho, "epsilon": self._epsilon}


class Adam(Optimizer):
    """Adam, Kingma & Ba 2015; see `kernels.adam_update` for the derivation.

    learning_rate, beta1, beta2, epsilon   α, β₁, β₂, ε; defaults 10⁻³, 0.9, 0.999, 10⁻⁷ (the paper's ε is 10⁻⁸).
           learning_rate may be a `Rate`, and may be set at any time.
    form   "keras" (default): the paper's ε̂ form, ε added before the bias correction of √v, as Keras does.
           "paper": algorithm 1 itself, ε added after it, as PyTorch does.

    State `m` and `v` hold the moments divided by (1 − β₁) and (1 − β₂); `moments()` gives the paper's.

    >>> network = Sequential([Dense(1)], 1, rng, dtype="float64")
    >>> before = network.parameters()["dense_1.weight"].copy()
    >>> network.compile(Adam(0.01), BinaryCrossEntropy(from_logits=True))
    >>> loss, accuracy = network.train_on_batch([[1.0]], [[1.0]])
    >>> (network.parameters()["dense_1.weight"] - before).round(5).tolist()  # whatever the gradient's size: the rate
    [[0.01]]
    """

    state_names = ("m", "v")
    nonnegative = ("v",)
    changing = ("rate", "epsilon")
    FORMS = ("keras", "paper")
    beta1, beta2, epsilon, form = Fixed(), Fixed(), Fixed(), Fixed()

    def __init__(
        self,
        learning_rate: float | Rate | Sequence[float | Rate] = 1e-3,
        beta1: float | Sequence[float] = 0.9,
        beta2: float | Sequence[float] = 0.999,
        epsilon: float | Sequence[float] = 1e-7,
        form: str = "keras",
    ) -> None:
        super().__init__(learning_rate)
        self._beta1, self._beta2 = (
            one_or_each(f"Adam {k}", v, fraction) for k, v in (("beta1", beta1), ("beta2", beta2))
        )
        self._epsilon = one_or_each("Adam epsilon", epsilon, positive)
        self._form = one_of("Adam form", form, self.FORMS)

    def _scalars(self):
        return {"beta1": self._beta1, "beta2": self._beta2, "rate": 0.0, "epsilon": 0.0}

    @property
    def kernel(self) -> Kernel:
        return kernels.adam_update

    def _before_step(self):
        # c of the derivation: √((1 − β₂)/(1 − β₂ᵗ))
        rate, c = self._rate_at(self.steps), math.sqrt((1 - self._beta2) / (1 - self._beta2**self.steps))
        self._constants["rate"][()] = rate * (1 - self._beta1) / (1 - self._beta1**self.steps) / c
        self._constants["epsilon"][()] = self._epsilon / (c if self._form == "paper" else math.sqrt(1 - self._beta2))

    def last_update(self) -> Array:
        m, v = self.state["m"], self.state["v"]
        return m / (np.sqrt(v) + self._constants["epsilon"]) * -self._constants["rate"]  # as the kernel goes

    def moments(self) -> tuple[Array, Array]:
        """The paper's first and second moment estimates m_t, v_t, as new arrays (…, P)."""
        self._check_attached()
        beta1, beta2 = (
            column(beta, np.float64, 1) if isinstance(beta, tuple) else beta for beta in (self._beta1, self._beta2)
        )
        return self.state["m"] * (1 - beta1), self.state["v"] * (1 - beta2)

    def config(self) -> Config:
        fixed = {name: getattr(self, name) for name in ("beta1", "beta2", "epsilon", "form")}
        return {"learning_rate": self._first_config()} | fixed


OPTIMIZERS = {cls.__name__: cls for cls in (SGD, RMSprop, Adam)}
