"""Planted faults in how weights start."""

import math

from numgan.gradcheck.faults.catalogue import chapter
from numgan.nn import initializers

fault = chapter("initializers", initializers)


@fault("glorot: fan in alone, not both", "initializers", "glorot_uniform")
def _(rng, shape, fan_in, fan_out, dtype):
    return initializers._uniform(rng, math.sqrt(6 / (2 * fan_in)), shape, dtype)


@fault("glorot: √3 for √6, a standard deviation taken for a limit", "initializers", "glorot_uniform")
def _(rng, shape, fan_in, fan_out, dtype):
    return initializers._uniform(rng, math.sqrt(2 / (fan_in + fan_out)), shape, dtype)


@fault("glorot: variance given for the standard deviation", "initializers", "glorot_normal")
def _(rng, shape, fan_in, fan_out, dtype):
    return initializers.normal(2 / (fan_in + fan_out))(rng, shape, fan_in, fan_out, dtype)


@fault("he: fan out for fan in, as with a kernel (n_in, n_out)", "initializers", "he_normal")
def _(rng, shape, fan_in, fan_out, dtype):
    return initializers.normal(math.sqrt(2 / fan_out))(rng, shape, fan_in, fan_out, dtype)


@fault("he: variance 1/fan_in, the 2 for the ReLU forgotten", "initializers", "he_uniform")
def _(rng, shape, fan_in, fan_out, dtype):
    return initializers._uniform(rng, math.sqrt(3 / fan_in), shape, dtype)


@fault("pytorch: √(3/fan_in), the limit of LeCun", "initializers", "pytorch_uniform")
def _(rng, shape, fan_in, fan_out, dtype):
    return initializers._uniform(rng, math.sqrt(3 / fan_in), shape, dtype)


@fault("uniform: from 0, not from −a", "initializers", "_uniform")
def _(rng, limit, shape, dtype):
    return rng.uniform(0, limit, shape).astype(dtype)
