"""Optimisers: SGD with momentum, RMSprop, and Adam, on flat arrays; and the average of the weights that they leave.

Of replicas that have numbers of their own the arrays are (R, n), and the numbers (R, 1).
"""

import numpy as np


def sgd_update(theta, gradient, velocity, rate, momentum, temp):
    """v ← momentum·v − rate·g; θ ← θ + v: heavy-ball momentum, [GBC] algorithm 8.2. All flat, of one length."""
    np.multiply(gradient, rate, out=temp)
    np.multiply(velocity, momentum, out=velocity)
    np.subtract(velocity, temp, out=velocity)
    np.add(theta, velocity, out=theta)


def rmsprop_update(theta, gradient, v, rho, rate, epsilon, temp):
    """One step of RMSprop, Hinton 2012, Neural networks for machine learning, lecture 6e, on flat arrays of one length.

    The lecture's mean square is v_t = ρ·v + (1 − ρ)·g², and θ ← θ − α·g/(√v_t + ε), ε being added as PyTorch does. Here
    v is kept divided by 1 − ρ, so that v ← ρ·v + g²; with numerator and denominator divided by √(1 − ρ) the step
    becomes θ ← θ − rate·g/(√v + epsilon):

        rate = α/√(1 − ρ),    epsilon = ε/√(1 − ρ).

    v starts at 0 and nothing corrects that: a first step is α/√(1 − ρ) long, where ε is small. θ and v are updated.
    """
    np.multiply(v, rho, out=v)
    np.multiply(gradient, gradient, out=temp)
    np.add(v, temp, out=v)
    np.sqrt(v, out=temp)
    np.add(temp, epsilon, out=temp)
    np.divide(gradient, temp, out=temp)
    np.multiply(temp, rate, out=temp)
    np.subtract(theta, temp, out=theta)


def adam_update(theta, gradient, m, v, beta1, beta2, rate, epsilon, temp):
    """One step of Adam, [KB] algorithm 1, on flat arrays of one length; both of its ε forms.

    The paper's moments are m_t = β₁·m + (1 − β₁)·g and v_t = β₂·v + (1 − β₂)·g². Here each is kept divided by its
    (1 − β), so that m ← β₁·m + g and v ← β₂·v + g²: 10 passes in place of 12. Then

        θ ← θ − α·m̂/(√v̂ + ε),   m̂ = (1 − β₁)·m/(1 − β₁ᵗ),   v̂ = (1 − β₂)·v/(1 − β₂ᵗ)

    becomes θ ← θ − rate·m/(√v + epsilon) when numerator and denominator are divided by c = √((1 − β₂)/(1 − β₂ᵗ)):

        rate = α·(1 − β₁)/(1 − β₁ᵗ)/c,    epsilon = ε/c.

    The ε̂ form at the end of [KB] section 2, which Keras uses, adds ε to √v_t before the bias correction: there
    epsilon = ε̂/√(1 − β₂), the same at every step. The caller works out rate and epsilon; θ, m, v are updated.
    """
    np.multiply(m, beta1, out=m)
    np.add(m, gradient, out=m)
    np.multiply(v, beta2, out=v)
    np.multiply(gradient, gradient, out=temp)
    np.add(v, temp, out=v)
    np.sqrt(v, out=temp)
    np.add(temp, epsilon, out=temp)
    np.divide(m, temp, out=temp)
    np.multiply(temp, rate, out=temp)
    np.subtract(theta, temp, out=theta)


def clip_weights(theta, low, high):
    """θ ← min(max(θ, low), high), after an update: arXiv:1701.07875, algorithm 1. It bounds a critic's slopes."""
    np.clip(theta, low, high, out=theta)


def average_update(average, theta, rest, temp):
    """θ̄ ← θ̄ + (1 − d)·(θ − θ̄), after an update: the exponential moving average of the weights, [YFWC].

    The paper's θ̄_t = d·θ̄_{t−1} + (1 − d)·θ_t, in which the weights of k updates ago count (1 − d)·dᵏ, is the same
    number. As a step from θ̄ towards θ it stays where both are equal, to the bit, which d + (1 − d), rounded, does not
    promise. `rest` is 1 − d. average, theta and temp have one shape; temp is scratch.
    """
    np.subtract(theta, average, out=temp)
    np.multiply(temp, rest, out=temp)
    np.add(average, temp, out=average)
