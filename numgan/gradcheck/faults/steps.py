"""Planted faults in a GAN's two steps."""

from functools import partial

import numpy as np

from numgan.gan import steps
from numgan.gradcheck.faults.catalogue import Fault, chapter, planted
from numgan.nn.calls import Call

fault = chapter("steps", steps)


_Plan = steps.Plan


@fault("gan: the frozen discriminator runs in training mode, its statistics move", "chain", "Plan")
def _in_training_mode(network, batch, **options):
    if options.get("input_gradient"):
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
    options.pop("dy1", None)
    return _Plan(network, batch, **options)


_generator_step = steps.GeneratorStep.__init__


@fault("gan: the generator's step updates the discriminator too", "chain", "__init__", owner=steps.GeneratorStep)
def _(self, model, batch):
    _generator_step(self, model, batch)
    _add_update(self, model)


def _add_update(step, model):
    """The discriminator's update, at the end of a generator step."""
    step.calls.append(model.discriminator_optimizer.call)
    step._runs[0].append(model.discriminator_optimizer.call.run)


@fault("gan: the discriminator is not frozen, it learns from the generator's loss", "chain", "__init__",
       owner=steps.GeneratorStep)  # fmt: skip
def _(self, model, batch):
    with planted(Fault("", "", "", "Plan", _in_training_mode, steps)):
        _generator_step(self, model, batch)
    _add_update(self, model)


@fault("gan: the generator's own step runs in inference mode", "chain", "Plan")
def _(network, batch, **options):
    if options["training"] and options["backward"] and network.name == "generator":
        return _WithoutBatch(network, batch, **options)
    return _Plan(network, batch, **options)


class _WithoutBatch(_Plan):
    """Its forward pass from running statistics, its backward pass from a batch's."""

    def __init__(self, network, batch, **options):
        super().__init__(network, batch, **options)
        frozen = _Plan(network, batch, **{"training": False, "backward": False, "y1": options["y1"]})
        copied = Call(np.copyto, {"dst": frozen.x, "src": self.x})
        self.forward = [*self.forward, copied, *frozen.forward]


@fault("gan: the chain's discriminator reads a copy of its own, which nobody fills", "chain", "Plan")
def _(network, batch, **options):
    options.pop("y1", None)
    return _Plan(network, batch, **options)


_learning_calls = steps.learning_calls


@fault("gan: the discriminator is updated before its backward pass", "chain", "learning_calls")
def _(gan, plan, reals, penalty):
    (*calls,) = _learning_calls(gan, plan, reals, penalty)
    update = next(call for call in calls if call.run == gan.discriminator_optimizer.update)
    calls.remove(update)
    return [*plan.forward, update, *calls[len(plan.forward) :]]


@fault("relativistic: real rows scored by the discriminator in training mode", "chain", "Plan")
def _(network, batch, **options):
    if not options["backward"] and "depth" in options:
        options["training"] = True
    return _Plan(network, batch, **options)


@fault("relativistic: the generator's step compares with the real rows of the step before", "chain", "__init__",
       owner=steps.GeneratorStep)  # fmt: skip
def _(self, model, batch):
    _generator_step(self, model, batch)
    if model.objective.pairs:
        first = next(i for i, call in enumerate(self.calls) if call.network == model.generator.name)
        self.calls += self.calls[:first]
        del self.calls[:first]


@fault("relativistic: the generator's rows are compared with themselves", "chain", "__init__",
       owner=steps.GeneratorStep)  # fmt: skip
def _(self, model, batch):
    _generator_step(self, model, batch)
    for call in self.calls if model.objective.pairs else ():
        if "worse" in call.arguments:
            call.run = partial(call.kernel, *(call.arguments | {"worse": call.arguments["better"]}).values())


@fault("shared fakes: the generator runs once more for its own step", "chain", "_forward", owner=steps.GeneratorStep)
def _(self, shared):
    return self.source.forward


_shared_discriminator_step = steps.DiscriminatorStep.__init__


@fault("shared fakes: the discriminator's are of a pass in inference mode", "chain", "__init__",
       owner=steps.DiscriminatorStep)  # fmt: skip
def _(self, gan, batch):
    shared, gan.shared_fakes = gan.shared_fakes, False
    _shared_discriminator_step(self, gan, batch)
    gan.shared_fakes = shared
    if shared:
        self.partner = gan.generator_step(batch)
        before = partial(np.copyto, self.partner.noise, self.noise), self.partner.source.run_forward
        self._runs = [[*before, *runs] for runs in self._runs]
