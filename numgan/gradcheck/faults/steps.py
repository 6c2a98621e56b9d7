"""Planted faults in a GAN's two steps."""

import numpy as np

from numgan.gan import steps
from numgan.gradcheck.faults.catalogue import chapter

fault = chapter(steps)


_Plan = steps.Plan


@fault("gan: the frozen discriminator runs in training mode, its statistics move", "chain", "Plan")
def _(network, batch, **options):
    if "x1" in options:
        options["training"] = True
    return _Plan(network, batch, **options)


@fault(
    "gan: the discriminator's fakes are generated in training mode, the generator's statistics move",
    "chain",
    "Plan",
)
def _(network, batch, **options):
    if not options["backward"]:
        options["training"] = True
    return _Plan(network, batch, **options)


@fault("gan: the discriminator's gradient never reaches the generator", "chain", "Plan")
def _(network, batch, **options):
    options.pop("dx1", None)
    return _Plan(network, batch, **options)


_loss_gradient = steps.loss_gradient


@fault("gan: generated rows labelled as real for the discriminator", "chain", "loss_gradient")
def _(plan, target, weight=1):
    return _loss_gradient(plan, np.where(np.equal(target, 0), 1.0, target), weight)


@fault("gan: real and generated labels the wrong way round", "chain", "loss_gradient")
def _(plan, target, weight=1):
    return _loss_gradient(plan, np.flip(target, axis=0) if np.ndim(target) else 0.9 - target, weight)


@fault("gan: the generator's step trains against label 0", "chain", "loss_gradient")
def _(plan, target, weight=1):
    return _loss_gradient(plan, 0.0 if np.ndim(target) == 0 and target == 1 else target, weight)


@fault("gan: the minimax objective maximised instead of minimised", "chain", "loss_gradient")
def _(plan, target, weight=1):
    return _loss_gradient(plan, target, abs(weight))


@fault("gan: the sum of the discriminator's two losses taken as their mean", "chain", "loss_gradient")
def _(plan, target, weight=1):
    return _loss_gradient(plan, target, min(weight, 1))


_generator_step = steps.GeneratorStep.__init__


@fault("gan: the generator's step updates the discriminator too", "chain", "__init__", owner=steps.GeneratorStep)
def _(self, model, batch):
    _generator_step(self, model, batch)
    self.calls.append(model.discriminator_optimizer.call)
