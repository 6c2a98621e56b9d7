"""A GAN one number at a time: what numgan computes with arrays, written out in plain Python without its gradients.

The tests hold numgan's steps against this. Nothing here is fast, and nothing here is derived by hand: every number
remembers which numbers it was made from, and slopes follow from the chain rule alone. Whoever wants to know what a
training step does, without matrices, buffers and kernels in the way, can read it from the end:

    PlainGAN      the two training steps, for either schedule.
    RULES         what either side minimises, a class per objective.
    PlainAdam     the optimiser.
    PlainNetwork  the layers, a method per kind; a batch is a list of rows, a row a list of Numbers.
    Number        a number, and reverse-mode differentiation.
"""

import math

import numpy as np

# ------------------------------------------------------------------------------------------------------- numbers


class Number:
    """A number that remembers how it was made: reverse-mode differentiation, one scalar at a time."""

    def __init__(self, value, parents=()):
        self.value, self.parents, self.slope = value, parents, 0.0  # parents: (number, ∂self/∂number)

    def __add__(self, other):
        other = lift(other)
        return Number(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = lift(other)
        return Number(self.value * other.value, ((self, other.value), (other, self.value)))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -lift(other)

    def __rsub__(self, other):
        return lift(other) - self

    def power(self, n):
        return Number(self.value**n, ((self, n * self.value ** (n - 1)),))

    def tanh(self):
        y = math.tanh(self.value)
        return Number(y, ((self, 1 - y * y),))

    def log(self):
        return Number(math.log(self.value), ((self, 1 / self.value),))

    def softplus(self):
        e = math.exp(self.value)
        return Number(math.log(1 + e), ((self, e / (1 + e)),))

    def sigmoid(self):
        y = 1 / (1 + math.exp(-self.value))
        return Number(y, ((self, y * (1 - y)),))

    def leaky(self, slope):
        factor = 1.0 if self.value > 0 else slope
        return Number(self.value * factor, ((self, factor),))

    def differentiate(self):
        """Set `slope` = ∂self/∂number on every number that self was made from."""
        order, seen = [], set()

        def visit(number):
            if id(number) not in seen:
                seen.add(id(number))
                for parent, _ in number.parents:
                    visit(parent)
                order.append(number)

        visit(self)
        self.slope = 1.0
        for number in reversed(order):
            for parent, slope in number.parents:
                parent.slope += number.slope * slope


def lift(x):
    return x if isinstance(x, Number) else Number(float(x))


def mean(numbers):
    return sum(numbers, lift(0)) * (1 / len(numbers))


def to_numbers(nested):
    """Nested lists of floats as nested lists of Numbers."""
    return [to_numbers(part) for part in nested] if isinstance(nested, list) else Number(nested)


def flatten(nested):
    return [x for part in nested for x in flatten(part)] if isinstance(nested, list) else [nested]


# ------------------------------------------------------------------------------------------------------- networks


class PlainNetwork:
    """The same network as a Sequential, in lists of Numbers: parameters `p` and running statistics `s`, by name."""

    def __init__(self, network):
        self.layers, self.places = network.layers, places(network)
        self.p = {name: to_numbers(a.tolist()) for name, a in network.parameters().items()}
        self.s = {name: a.tolist() for name, a in network.state_dict().items() if name not in self.p}

    def run(self, rows, training):
        """The output for rows of Numbers; training passes move the running statistics."""
        for layer in self.layers:
            rows = getattr(self, type(layer).__name__.lower())(layer, rows, training)
        return rows

    def dense(self, layer, rows, training):
        w, b = self.p[layer.name + ".weight"], self.p[layer.name + ".bias"]
        return [[sum((x * w[j][k] for k, x in enumerate(row)), b[j]) for j in range(len(b))] for row in rows]

    def relu(self, layer, rows, training):
        return [[x.leaky(0.0) for x in row] for row in rows]

    def leakyrelu(self, layer, rows, training):
        return [[x.leaky(layer.slope) for x in row] for row in rows]

    def tanh(self, layer, rows, training):
        return [[x.tanh() for x in row] for row in rows]

    def sigmoid(self, layer, rows, training):
        return [[x.sigmoid() for x in row] for row in rows]

    def batchnorm(self, layer, rows, training):
        means, variances = (self.s[f"{layer.name}.running_{k}"] for k in ("mean", "variance"))
        gamma, beta = self.p[layer.name + ".gamma"], self.p[layer.name + ".beta"]
        out = []
        for j, column in enumerate(transposed(rows)):
            centre, variance = lift(means[j]), lift(variances[j])
            if training:
                centre = mean(column)
                variance = mean([(x - centre).power(2) for x in column])
                means[j] = layer.momentum * means[j] + (1 - layer.momentum) * centre.value
                variances[j] = layer.momentum * variances[j] + (1 - layer.momentum) * variance.value
            scale = (variance + layer.epsilon).power(-0.5) * gamma[j]
            out.append([(x - centre) * scale + beta[j] for x in column])
        return transposed(out)

    def slopes(self):
        """Every parameter's gradient, in arena order; and forgets them."""
        slopes = np.full(sum(where.size for where in self.places.values()), np.nan)
        for name, where in self.places.items():
            numbers = flatten(self.p[name])
            slopes[where.ravel()] = [number.slope for number in numbers]
            for number in numbers:
                number.slope = 0.0
        return slopes

    def set(self, values):
        """New parameters, in arena order."""
        for name, where in self.places.items():
            self.p[name] = to_numbers(values[where].tolist())


def transposed(rows):
    return [list(column) for column in zip(*rows, strict=True)]


def places(network):
    """name -> where in the arena each element of a parameter lies."""
    network.grads[...] = np.arange(network.grads.size)
    return {name: view.astype(int) for name, view in network.gradients().items()}


# ------------------------------------------------------------------------------------------------------- optimiser


class PlainAdam:
    """Kingma & Ba's algorithm 1 (form "paper") or the ε̂ form ("keras"), one parameter at a time."""

    def __init__(self, learning_rate, beta1, beta2, epsilon, form):
        self.settings, self.t, self.m, self.v = (learning_rate, beta1, beta2, epsilon, form), 0, {}, {}

    def update(self, theta, gradient):
        rate, beta1, beta2, epsilon, form = self.settings
        self.t += 1
        out = []
        for i, (x, g) in enumerate(zip(theta.tolist(), gradient.tolist(), strict=True)):
            m = self.m[i] = beta1 * self.m.get(i, 0.0) + (1 - beta1) * g
            v = self.v[i] = beta2 * self.v.get(i, 0.0) + (1 - beta2) * g * g
            c1, c2 = 1 - beta1**self.t, 1 - beta2**self.t
            out.append(
                x - rate * (m / c1) / (math.sqrt(v / c2) + epsilon)
                if form == "paper"
                else x - rate * math.sqrt(c2) / c1 * m / (math.sqrt(v) + epsilon)
            )
        return np.array(out)


# ------------------------------------------------------------------------------------- what either side minimises


class CrossEntropyRules:
    """The discriminator predicts probabilities p. Real rows are labelled 1 − s, generated ones 0."""

    clip = math.inf  # no bound on the discriminator's parameters

    def __init__(self, label_smoothing, discriminator_loss):
        self.real_label, self.summed = 1 - label_smoothing, discriminator_loss == "sum"

    def on_real(self, answers):
        return mean([cross_entropy(p, self.real_label) for (p,) in answers])

    def on_fake(self, answers):
        return mean([cross_entropy(p, 0) for (p,) in answers])

    def on_both(self, real, fake):
        """Of a batch half real, half generated: the mean over all its rows, or the sum of its halves' means."""
        if self.summed:
            return self.on_real(real) + self.on_fake(fake)
        labelled = [(p, self.real_label) for (p,) in real] + [(p, 0) for (p,) in fake]
        return mean([cross_entropy(p, label) for p, label in labelled])

    def of_generator(self, answers):
        return mean([cross_entropy(p, 1) for (p,) in answers])

    def metrics(self, real, fake):
        """What `train_discriminator` returns: losses, accuracies, and the loss on both."""
        losses = [self.on_real(real).value, self.on_fake(fake).value]
        right = [sum(p.value > 0.5 for (p,) in real), sum(p.value <= 0.5 for (p,) in fake)]
        return [*losses, right[0] / len(real), right[1] / len(fake), sum(losses) / (1 if self.summed else 2)]

    def generator_metrics(self, answers):
        """What `train_generator` returns."""
        return [self.of_generator(answers).value, sum(p.value > 0.5 for (p,) in answers) / len(answers)]


def cross_entropy(p, label):
    return -(p.log() * label) - (1 - p).log() * (1 - label)


class MinimaxRules(CrossEntropyRules):
    def of_generator(self, answers):
        return mean([(1 - p).log() for (p,) in answers])


class WassersteinRules:
    """The critic gives scores, and keeps its parameters in [−clip, clip]."""

    def __init__(self, clip):
        self.clip = clip

    def on_real(self, answers):
        return -mean([score for (score,) in answers])

    def on_fake(self, answers):
        return mean([score for (score,) in answers])

    def on_both(self, real, fake):
        return self.on_real(real) + self.on_fake(fake)

    of_generator = on_real

    def metrics(self, real, fake):
        return [-self.on_real(real).value, self.on_fake(fake).value]

    def generator_metrics(self, answers):
        return [self.of_generator(answers).value]


class LeastSquaresRules:
    """Scores are to be 1 for real rows and 0 for generated ones; the generator wants 1."""

    clip = math.inf

    def on_real(self, answers):
        return mean([(score - 1).power(2) * 0.5 for (score,) in answers])

    def on_fake(self, answers):
        return mean([score.power(2) * 0.5 for (score,) in answers])

    def on_both(self, real, fake):
        return self.on_real(real) + self.on_fake(fake)

    of_generator = on_real

    def metrics(self, real, fake):
        scores = [sum(score.value for (score,) in answers) / len(answers) for answers in (real, fake)]
        return [*scores, self.on_real(real).value, self.on_fake(fake).value]

    def generator_metrics(self, answers):
        return [self.of_generator(answers).value]


class HingeRules(LeastSquaresRules):
    """Scores are to be above 1 for real rows and below −1 for generated ones; the generator raises them."""

    def on_real(self, answers):
        return mean([(1 - score).leaky(0.0) for (score,) in answers])

    def on_fake(self, answers):
        return mean([(1 + score).leaky(0.0) for (score,) in answers])

    def of_generator(self, answers):
        return -mean([score for (score,) in answers])


class RelativisticRules:
    """Of each pair of a real and a generated row one is to score higher: the real one, or the generator's."""

    clip = math.inf

    def on_both(self, real, fake):
        return mean([(f - r).softplus() for (r,), (f,) in zip(real, fake, strict=True)])

    def of_generator(self, answers, real):
        return self.on_both(answers, real)

    def metrics(self, real, fake):
        scores = [sum(score.value for (score,) in answers) / len(answers) for answers in (real, fake)]
        return [*scores, self.on_both(real, fake).value]

    def generator_metrics(self, answers, real):
        return [self.of_generator(answers, real).value]


RULES = {
    "non-saturating": CrossEntropyRules,
    "minimax": MinimaxRules,
    "wasserstein": WassersteinRules,
    "least-squares": LeastSquaresRules,
    "hinge": HingeRules,
    "relativistic": RelativisticRules,
}


# ------------------------------------------------------------------------------------------------------- the steps


class PlainGAN:
    """Both training steps as the documents have them, from the state and the settings that a `GAN` has now.

    g, d      the two networks.
    values    of each, "g" and "d": the parameters, in arena order.
    adam      of each: its optimiser.
    """

    def __init__(self, gan):
        self.rules, self.schedule = RULES[gan.objective.name](**gan.objective.config()), gan.schedule
        self.g, self.d = PlainNetwork(gan.generator), PlainNetwork(gan.discriminator)
        self.values = {"g": gan.generator.values.copy(), "d": gan.discriminator.values.copy()}
        optimizers = {"g": gan.generator_optimizer, "d": gan.discriminator_optimizer}
        self.adam = {which: PlainAdam(**optimizer.config()) for which, optimizer in optimizers.items()}

    def train_discriminator(self, real, noise):
        """(the gradient of the last update, the metrics) of one discriminator step."""
        fakes = [[Number(x.value) for x in row] for row in self.g.run(to_numbers(noise.tolist()), training=False)]
        real = to_numbers(real.tolist())
        if self.schedule == "concatenated":
            answers = self.d.run(real + fakes, training=True)
            on_real, on_fake = answers[: len(real)], answers[len(real) :]
            gradient = self.learn("d", self.rules.on_both(on_real, on_fake))
        else:
            on_real = self.d.run(real, training=True)
            self.learn("d", self.rules.on_real(on_real))
            on_fake = self.d.run(fakes, training=True)
            gradient = self.learn("d", self.rules.on_fake(on_fake))
        return gradient, self.rules.metrics(on_real, on_fake)

    def train_generator(self, noise, *real):
        """(the gradient, the metrics) of one generator step, on noise and, in pairs, as many real rows."""
        answers = [self.d.run(self.g.run(to_numbers(noise.tolist()), training=True), training=False)]
        answers += [self.d.run(to_numbers(rows.tolist()), training=False) for rows in real]
        return self.learn("g", self.rules.of_generator(*answers)), self.rules.generator_metrics(*answers)

    def learn(self, which, loss):
        """One update of a network from the slopes of the loss; returns its gradient."""
        loss.differentiate()
        gradients = {"g": self.g.slopes(), "d": self.d.slopes()}  # the other network's are thrown away
        values = self.adam[which].update(self.values[which], gradients[which])
        if which == "d":
            values = np.array([min(max(x, -self.rules.clip), self.rules.clip) for x in values.tolist()])
        self.values[which] = values
        (self.g if which == "g" else self.d).set(values)
        return gradients[which]
