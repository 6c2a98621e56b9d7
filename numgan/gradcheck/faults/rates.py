"""Planted faults in learning rates: in what a `Rate` says, in how optimisers ask it, in whose updates it counts."""

import math

from numgan.gan import stretches
from numgan.gan.model import GAN
from numgan.gradcheck.faults.catalogue import chapter
from numgan.nn.optimizers import Adam, Optimizer
from numgan.nn.rates import Rate

fault = chapter("rates", Rate)


def _shaped(rate, t, up=lambda t, w: t / w, share=None, left=None, after=lambda u: min(u, 1)):
    """A rate's formula, with parts of it replaced."""
    if t <= rate.warm_up:
        return rate.peak * up(t, rate.warm_up)
    if rate.decay is None:
        return rate.peak
    u = after((share or (lambda t, w, n: (t - 1 - w) / (n - w)))(t, rate.warm_up, rate.steps))
    shapes = {"linear": lambda u: 1 - u, "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2} | (left or {})
    return rate.final + (rate.peak - rate.final) * shapes[rate.decay](u)


@fault("rate: the warm-up starts at 0 and wastes an update", "rates", "at")
def _(self, update):
    return _shaped(self, update, up=lambda t, w: (t - 1) / w)


@fault("rate: the warm-up never reaches the peak", "rates", "at")
def _(self, update):
    return _shaped(self, update, up=lambda t, w: t / (w + 1))


@fault("rate: the warm-up jumps to the peak at once", "rates", "at")
def _(self, update):
    return _shaped(self, update, up=lambda t, w: 1.0)


@fault("rate: no half before the cosine", "rates", "at")
def _(self, update):
    return _shaped(self, update, left={"cosine": lambda u: 1 + math.cos(math.pi * u)})


@fault("rate: a quarter of the cosine's period in place of half of it", "rates", "at")
def _(self, update):
    return _shaped(self, update, left={"cosine": lambda u: math.cos(math.pi * u / 2)})


@fault("rate: the cosine upside down", "rates", "at")
def _(self, update):
    return _shaped(self, update, left={"cosine": lambda u: (1 - math.cos(math.pi * u)) / 2})


@fault("rate: the decay goes on after its end, below 0 or up again", "rates", "at")
def _(self, update):
    return _shaped(self, update, after=lambda u: u)


@fault("rate: the decay one update early", "rates", "at")
def _(self, update):
    return _shaped(self, update, share=lambda t, w, n: (t - w) / (n - w))


@fault("rate: the decay starts with the warm-up, not after it", "rates", "at")
def _(self, update):
    return _shaped(self, update, share=lambda t, w, n: (t - 1) / n)


@fault("rate: the decay as long as warm-up and decay together", "rates", "at")
def _(self, update):
    return _shaped(self, update, share=lambda t, w, n: (t - 1 - w) / n)


@fault("rate: decays to 0 whatever it should decay to", "rates", "at")
def _(self, update):
    return _right_at(Rate(self.peak, self.warm_up, self.decay, self.steps), update)


@fault("rate: what it decays to is added on top", "rates", "at")
def _(self, update):
    return self.final + _right_at(Rate(self.peak, self.warm_up, self.decay, self.steps), update)


@fault("rate: linear and cosine swapped", "rates", "at")
def _(self, update):
    other = {"linear": "cosine", "cosine": "linear", None: None}[self.decay]
    return _right_at(Rate(self.peak, self.warm_up, other, self.steps, self.final), update)


_right_at = Rate.at


@fault("rate: an optimiser asks for the next update's", "rates", "_rate_at", owner=Optimizer)
def _(self, step):
    return self._rate.at(step + 1) if isinstance(self._rate, Rate) else self._rate


@fault("rate: an optimiser stays with its first", "rates", "_rate_at", owner=Optimizer)
def _(self, step):
    return self._rate.at(1) if isinstance(self._rate, Rate) else self._rate


_right_set_state, _right_before_step = Optimizer.set_state, Adam._before_step


@fault("rate: a loaded optimiser's schedule starts anew", "rates", "set_state", owner=Optimizer)
def _(self, checked):
    _right_set_state(self, checked | {"steps": 0})


@fault("rate: a rate that was set is forgotten by whoever loads it", "rates", "set_state", owner=Optimizer)
def _(self, checked):
    _right_set_state(self, checked | {"learning_rate": self._first_rate})


@fault("rate: Adam has that of the update before", "rates", "_before_step", owner=Adam)
def _(self):
    rate = self._rate
    if isinstance(rate, Rate) and self.steps > 1:
        self._rate = rate.at(self.steps - 1)
    _right_before_step(self)
    self._rate = rate


# --------------------------------------------------------------------------------------------- updates of either side


_right_updates = stretches.updates


@fault("rate: the sides' updates swapped", "rates", "updates", owner=stretches)
def _(portions, steps, generator_steps, schedule):
    return _right_updates(portions, steps, generator_steps, schedule)[::-1]


@fault("rate: the separate schedule's two updates counted as one", "rates", "updates", owner=stretches)
def _(portions, steps, generator_steps, schedule):
    return _right_updates(portions, steps, generator_steps, "concatenated")


@fault("rate: training steps taken for the discriminator's updates", "rates", "updates", owner=stretches)
def _(portions, steps, generator_steps, schedule):
    return _right_updates(portions, steps, generator_steps, schedule)[0], steps


@fault("rate: an epoch's last discriminator steps taken for as many as ever", "rates", "updates", owner=stretches)
def _(portions, steps, generator_steps, schedule):
    k = portions[0].discriminator_steps
    portions = [portion._replace(discriminator_steps=k) for portion in portions]
    return _right_updates(portions, steps, generator_steps, schedule)


# ---------------------------------------------------------------------------------------------- one rate for each side


_right_init = GAN.__init__


@fault("rate: each side learns at the other's", "rates", "__init__", owner=GAN)
def _(self, *networks_and_rules):
    _right_init(self, *networks_and_rules)
    g, d = self.generator_optimizer, self.discriminator_optimizer
    g._rate, d._rate = d._rate, g._rate


@fault("rate: both sides learn at the generator's", "rates", "__init__", owner=GAN)
def _(self, *networks_and_rules):
    _right_init(self, *networks_and_rules)
    self.discriminator_optimizer._rate = self.generator_optimizer._rate


@fault("rate: the discriminator's falls with the generator's updates", "rates", "__init__", owner=GAN)
def _(self, *networks_and_rules):
    _right_init(self, *networks_and_rules)
    g, d = self.generator_optimizer, self.discriminator_optimizer
    d._rate_at = lambda step: d._rate.at(g.steps + 1)
