"""Planted faults in a GAN's two steps."""

from numgan.gan import steps
from numgan.gradcheck.faults.catalogue import chapter

fault = chapter("steps", steps)


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


_generator_step = steps.GeneratorStep.__init__


@fault("gan: the generator's step updates the discriminator too", "chain", "__init__", owner=steps.GeneratorStep)
def _(self, model, batch):
    _generator_step(self, model, batch)
    self.calls.append(model.discriminator_optimizer.call)
