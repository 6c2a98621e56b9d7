"""Planted faults in the average of the generator's weights."""

from numgan.gan import steps
from numgan.gan.average import Average
from numgan.gan.model import GAN
from numgan.gradcheck.faults.catalogue import chapter, spoiled
from numgan.kernels import optimizers as kernels
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.dropout import Dropout

fault = chapter("average", kernels)


# ----------------------------------------------------------------------------------------------------- the update


@fault("average: d and 1 − d swapped", "average", "average_update")
@spoiled(kernels.average_update)
def _(update, a):
    update(**a | {"rest": 1 - a["rest"]})


@fault("average: what is new is added, nothing of the old taken away", "average", "average_update")
@spoiled(kernels.average_update)
def _(update, a):
    a["average"] += a["rest"] * a["theta"]


@fault("average: the generator pulled to its average, as in Lookahead", "average", "average_update")
@spoiled(kernels.average_update)
def _(update, a):
    update(**a)
    a["theta"][...] = a["average"]


@fault("average: moves against the generator", "average", "average_update")
@spoiled(kernels.average_update)
def _(update, a):
    update(**a | {"rest": -a["rest"]})


# ------------------------------------------------------------------------------------------------------ the decay


@fault("average: no warm-up", "average", "present_decay", owner=Average)
@property
def _(self):
    return self.decay


@fault("average: never done with its warm-up", "average", "present_decay", owner=Average)
@property
def _(self):
    return (1 + self.updates) / (10 + self.updates)


@fault("average: the larger of the two decays", "average", "present_decay", owner=Average)
@property
def _(self):
    return max(self.decay, (1 + self.updates) / (10 + self.updates))


@fault("average: the count of updates one behind", "average", "present_decay", owner=Average)
@property
def _(self):
    return min(self.decay, self.updates / (9 + self.updates))


@fault("average: the plain mean of all moments", "average", "present_decay", owner=Average)
@property
def _(self):
    return self.updates / (1 + self.updates)


# ------------------------------------------------------------------------------------------------ what is averaged


_made = Average.__init__


@fault("average: begins at zero", "average", "__init__", owner=Average)
def _(self, network, decay):
    _made(self, network, decay)
    self.network.values[...] = 0


_walk = Average._walk


@fault("average: batch norm's statistics left as they began", "average", "_walk", owner=Average)
def _(self, network):
    statistics = [a for layer in self.network.layers for a in layer.state.values()]
    return [c for c in _walk(self, network) if all(c.arguments.get("average") is not a for a in statistics)]


@fault("average: dropout's key left as it began", "average", "_walk", owner=Average)
def _(self, network):
    return [call for call in _walk(self, network) if "average" in call.arguments]


fault("average: batch norm's statistics copied, not averaged", "average", "statistics", owner=BatchNorm)(())

fault("average: dropout's key averaged", "average", "statistics", owner=Dropout)(("key",))


# ------------------------------------------------------------------------------------------------------ the steps


_runs = steps.runs


@fault("average: taken before the generator's update", "average", "runs", owner=steps)
def _(calls):
    *before, update, last = calls
    return _runs([*before, last, update] if last.name == "average_update" else calls)


_learning_calls = steps.learning_calls


@fault("average: taken after the discriminator's updates too", "average", "learning_calls", owner=steps)
def _(gan, plan, reals, penalty):
    return [*_learning_calls(gan, plan, reals, penalty), *([gan.average.call] if gan.average else [])]


_discriminator_step = steps.DiscriminatorStep.__init__


@fault("average: the discriminator learns from its rows", "average", "__init__", owner=steps.DiscriminatorStep)
def _(self, gan, batch):
    generator, gan.generator = gan.generator, gan.sampler
    _discriminator_step(self, gan, batch)
    gan.generator = generator


@fault("average: samples are of the generator as it is", "average", "sampler", owner=GAN)
@property
def _(self):
    return self.generator
