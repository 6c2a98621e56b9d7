"""Planted faults in optimisers."""

import numpy as np

from numgan.gradcheck.faults.catalogue import chapter
from numgan.kernels import optimizers as kernels
from numgan.nn import optimizers

fault = chapter("optimizers", kernels)


def _plain_adam(theta, gradient, m, v, beta1, beta2, scale, square=True):
    m[...] = beta1 * m + gradient
    v[...] = beta2 * v + (gradient * gradient if square else np.abs(gradient))
    theta -= scale(m, v)


@fault("adam: no bias correction", "adam", "_before_step", owner=optimizers.Adam)
def _(self):
    root = (1 - self.beta2) ** 0.5
    self._constants["rate"][()] = self.learning_rate * (1 - self.beta1) / root
    self._constants["epsilon"][()] = self.epsilon / root


@fault("adam: bias correction of the first moment only", "adam", "_before_step", owner=optimizers.Adam)
def _(self):
    root = (1 - self.beta2) ** 0.5
    self._constants["rate"][()] = self.learning_rate * (1 - self.beta1) / (1 - self.beta1**self.steps) / root
    self._constants["epsilon"][()] = self.epsilon / root


_right_before_step = optimizers.Adam._before_step


@fault("adam: the two ε forms swapped", "adam", "_before_step", owner=optimizers.Adam)
def _(self):
    self._form = {"paper": "keras", "keras": "paper"}[self._form]
    _right_before_step(self)
    self._form = {"paper": "keras", "keras": "paper"}[self._form]


@fault("adam: step counter one behind", "adam", "_before_step", owner=optimizers.Adam)
def _(self):
    self.steps += 1
    _right_before_step(self)
    self.steps -= 1


@fault("adam: ε inside the root", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: rate * m / np.sqrt(v + epsilon))


@fault("adam: second moment of |g| instead of g²", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: rate * m / (np.sqrt(v) + epsilon), square=False)


@fault("adam: no root under the second moment", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: rate * m / (v + epsilon))


@fault("adam: β₁ and β₂ swapped", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta2, beta1, lambda m, v: rate * m / (np.sqrt(v) + epsilon))


@fault("adam: climbs instead of descending", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: -rate * m / (np.sqrt(v) + epsilon))


@fault("sgd: momentum ignored", "sgd", "sgd_update")
def _(theta, gradient, velocity, rate, momentum, temp):
    theta -= rate * gradient


@fault("sgd: rate applied to the velocity a second time", "sgd", "sgd_update")
def _(theta, gradient, velocity, rate, momentum, temp):
    velocity[...] = momentum * velocity - rate * gradient
    theta += rate * velocity


@fault("adam: the gradient itself instead of its first moment", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: rate * gradient / (np.sqrt(v) + epsilon))


@fault("adam: moments updated after the step", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    before = m.copy(), v.copy()
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: rate * before[0] / (np.sqrt(before[1]) + epsilon))


@fault("adam: second moment never falls, as in AMSGrad", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    v[...] = np.maximum(v, beta2 * v + gradient * gradient)
    m[...] = beta1 * m + gradient
    theta -= rate * m / (np.sqrt(v) + epsilon)


@fault("adam: weights decayed on the side", "adam", "adam_update")
def _(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    _plain_adam(theta, gradient, m, v, beta1, beta2, lambda m, v: rate * (m / (np.sqrt(v) + epsilon) + 1e-3 * theta))


@fault("sgd: climbs instead of descending", "sgd", "sgd_update")
def _(theta, gradient, velocity, rate, momentum, temp):
    velocity[...] = momentum * velocity + rate * gradient
    theta += velocity


@fault("sgd: gradient damped by 1 − momentum", "sgd", "sgd_update")
def _(theta, gradient, velocity, rate, momentum, temp):
    velocity[...] = momentum * velocity - (1 - momentum) * rate * gradient
    theta += velocity


@fault("sgd: looks ahead, as Nesterov's does", "sgd", "sgd_update")
def _(theta, gradient, velocity, rate, momentum, temp):
    velocity[...] = momentum * velocity - rate * gradient
    theta += momentum * velocity - rate * gradient


def _plain_rmsprop(theta, gradient, v, rho, scale, square=True):
    v[...] = rho * v + (gradient * gradient if square else np.abs(gradient))
    theta -= scale(v)


@fault("rmsprop: ε inside the root", "rmsprop", "rmsprop_update")
def _(theta, gradient, v, rho, rate, epsilon, temp):
    _plain_rmsprop(theta, gradient, v, rho, lambda v: rate * gradient / np.sqrt(v + epsilon))


@fault("rmsprop: mean of |g| instead of g²", "rmsprop", "rmsprop_update")
def _(theta, gradient, v, rho, rate, epsilon, temp):
    _plain_rmsprop(theta, gradient, v, rho, lambda v: rate * gradient / (np.sqrt(v) + epsilon), square=False)


@fault("rmsprop: no root under the mean square", "rmsprop", "rmsprop_update")
def _(theta, gradient, v, rho, rate, epsilon, temp):
    _plain_rmsprop(theta, gradient, v, rho, lambda v: rate * gradient / (v + epsilon))


@fault("rmsprop: a sum of squares that never forgets, as Adagrad's", "rmsprop", "rmsprop_update")
def _(theta, gradient, v, rho, rate, epsilon, temp):
    _plain_rmsprop(theta, gradient, v, 1, lambda v: rate * gradient / (np.sqrt(v) + epsilon))


@fault("rmsprop: mean square updated after the step", "rmsprop", "rmsprop_update")
def _(theta, gradient, v, rho, rate, epsilon, temp):
    before = v.copy()
    _plain_rmsprop(theta, gradient, v, rho, lambda v: rate * gradient / (np.sqrt(before) + epsilon))


@fault("rmsprop: climbs instead of descending", "rmsprop", "rmsprop_update")
def _(theta, gradient, v, rho, rate, epsilon, temp):
    _plain_rmsprop(theta, gradient, v, rho, lambda v: -rate * gradient / (np.sqrt(v) + epsilon))


@fault("rmsprop: mean square corrected for its start, as Adam's", "rmsprop", "_before_step", owner=optimizers.RMSprop)
def _(self):
    self._constants["rate"][()] = self.learning_rate * ((1 - self.rho**self.steps) / (1 - self.rho)) ** 0.5


@fault("rmsprop: ε not divided by √(1 − ρ), as v is", "rmsprop", "_scalars", owner=optimizers.RMSprop)
def _(self):
    return {"rho": self.rho, "rate": 0.0, "epsilon": self.epsilon}


@fault("rmsprop: the weight of the new square is ρ", "rmsprop", "rmsprop_update")
def _(theta, gradient, v, rho, rate, epsilon, temp):
    _plain_rmsprop(theta, gradient, v, 1 - rho, lambda v: rate * gradient / (np.sqrt(v) + epsilon))
