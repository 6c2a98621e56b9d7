"""Learning rates that change as an optimiser counts its updates: linear warm-up, then linear or cosine decay.

A rate is a function of the number of the update and of nothing else. Whoever knows the count knows the rate: a training
that is loaded, copied or resumed goes on with the right one, to the bit, and there is no scheduler to step or to keep.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from numgan.errors import ArgumentError, fraction, one_of, positive, whole
from numgan.hints import Config

__all__ = ["Rate"]

DECAYS = ("linear", "cosine")


@dataclass(frozen=True)
class Rate:
    """The learning rate of update t = 1, 2, …, for any optimiser, as `Adam(Rate(…))`. It stays as it was made.

    peak     the rate that the warm-up leads to and the decay starts from.
    warm_up  w, updates of gradual warm-up (Goyal et al. 2017, arXiv:1706.02677, section 2.2): the rate grows by the
             same amount at each, and is the peak at the last,

                 rate = peak·t/w   for t ≤ w.

             So the first update has peak/w, and none is wasted on a rate of 0. Default 0: none.
    decay    None (default): the peak holds from then on. "linear" or "cosine": with u the share of the decay that the
             updates before this one have used up, u = min((t − 1 − w)/(steps − w), 1),

                 linear   rate = final + (peak − final)·(1 − u)
                 cosine   rate = final + (peak − final)·(1 + cos πu)/2

             linear as in CycleGAN (Zhu et al. 2017, arXiv:1703.10593, section 4); cosine from Loshchilov & Hutter 2017,
             arXiv:1608.03983, equation (5), without restarts. The first update after the warm-up has the peak; the last
             of the `steps` updates is one step of the decay short of `final`, which all later ones have.
    steps    updates until the decay has ended, those of the warm-up included; more than `warm_up`. With a decay only.
    final    what the rate decays to, from 0 up to the peak. Default 0.

    These are updates of one network, not training steps: a discriminator makes `discriminator_steps` updates in a
    training step, twice as many in the "separate" schedule; see `numgan.gan.stretches.updates`.

    >>> rate = Rate(0.1, warm_up=2, decay="linear", steps=6)
    >>> [round(rate.at(update), 3) for update in range(1, 9)]
    [0.05, 0.1, 0.1, 0.075, 0.05, 0.025, 0.0, 0.0]
    >>> Adam(rate).learning_rate
    0.05
    """

    peak: float
    warm_up: int = 0
    decay: str | None = None
    steps: int | None = None
    final: float = 0.0

    def __post_init__(self) -> None:
        checked = {
            "peak": positive("Rate: peak", self.peak),
            "warm_up": whole("Rate: warm_up", self.warm_up, 0),
            "final": fraction("Rate: final", self.final, math.inf),
        }
        if self.decay is None:
            if self.steps is not None or checked["final"]:
                raise ArgumentError("Rate: steps and final belong to a decay, and decay is None")
        else:
            one_of("Rate: decay", self.decay, DECAYS)
            checked["steps"] = whole("Rate: steps", self.steps, checked["warm_up"] + 1)
            if checked["final"] > checked["peak"]:
                raise ArgumentError(f"Rate: final must be at most the peak, {checked['peak']}, got {checked['final']}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def at(self, update: int) -> float:
        """The rate of that update, counted from 1."""
        t = whole("Rate.at: update", update)
        if t <= self.warm_up:
            return self.peak * (t / self.warm_up)
        if self.decay is None:
            return self.peak
        u = min((t - 1 - self.warm_up) / (self.steps - self.warm_up), 1)
        left = 1 - u if self.decay == "linear" else (1 + math.cos(math.pi * u)) / 2
        return self.final + (self.peak - self.final) * left

    def config(self) -> Config:
        """The keyword arguments that make this rate again, as JSON-ready values."""
        return asdict(self)
