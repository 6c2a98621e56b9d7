"""The two training steps of a GAN: what stands still, what is computed, and that every number is right."""

import math
from collections import Counter

import numpy as np
import pytest

from numgan import GAN, SGD, Adam, BatchNorm, Dense, LeakyReLU, ReLU, Sequential, Sigmoid, Tanh
from numgan.data import SinePoints
from numgan.gan import model as gan_module
from numgan.gan.history import COLUMNS
from numgan.study import recipes
from numgan.study.metrics import sine_quality
from numgan.study.settings import with_overrides

SCHEDULES = ("concatenated", "separate", "summed")
OBJECTIVES = ("non-saturating", "minimax")
DTYPES = ("float32", "float64")
FEATURES, LATENT = 4, 3

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def rng(seed=0):
    return np.random.default_rng(seed)


def make_networks(dtype="float64", replicas=None, seed=0):
    """Batch norm in both networks, and all kinds of activation."""
    g = [Dense(6), LeakyReLU(0.2), BatchNorm(0.8), Dense(5), ReLU(), Dense(FEATURES), Tanh()]
    d = [Dense(7), BatchNorm(0.8), LeakyReLU(0.2), Dense(5), Tanh(), BatchNorm(0.5), Dense(1), Sigmoid()]
    generator = Sequential(g, LATENT, rng(seed), dtype, replicas, "generator")
    discriminator = Sequential(d, FEATURES, rng(seed + 1), dtype, replicas, "discriminator")
    for i, network in enumerate((generator, discriminator)):
        network.values += rng(seed + i + 2).normal(0, 0.2, network.values.shape)
        network.state += rng(seed + i + 4).uniform(0.1, 0.5, network.state.shape)
    return generator, discriminator


def make_gan(schedule="concatenated", dtype="float64", smoothing=0.0, optimizer=Adam, replicas=None, seed=0):
    return GAN(*make_networks(dtype, replicas, seed), optimizer(0.01), optimizer(0.01), schedule, smoothing)


def batch(rows=6, seed=0, lead=()):
    """Real rows and noise."""
    return rng(seed).normal(0, 1, (*lead, rows, FEATURES)), rng(seed + 100).normal(0, 1, (*lead, rows, LATENT))


def warm(gan, steps=3, lead=()):
    """A few steps of training, so that moments, statistics and gradients are all something."""
    for i in range(steps):
        real, noise = batch(6, i, lead)
        gan.train_discriminator(real, noise)
        gan.train_generator(noise)
    return gan


def bits(network, optimizer):
    """Everything that belongs to a network and its optimiser, as bytes."""
    arrays = {"values": network.values, "grads": network.grads, "state": network.state} | optimizer.state
    return {name: a.tobytes() for name, a in arrays.items()} | {"steps": optimizer.steps}


def critic(gan):
    return bits(gan.discriminator, gan.discriminator_optimizer)


def maker(gan):
    return bits(gan.generator, gan.generator_optimizer)


# ----------------------------------------------------------------------------------------------------- the frozen


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("optimizer", [Adam, SGD])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_not_a_bit_of_the_discriminator_changes_while_the_generator_trains(schedule, dtype, optimizer, replicas):
    gan = make_gan(schedule, dtype, 0.1, optimizer, replicas)
    lead = gan.generator.replicas
    warm(gan, lead=lead)
    frozen, moving = critic(gan), maker(gan)
    for rows in (6, 1, 9, 6):
        gan.train_generator(batch(rows, 50 + rows, lead)[1])
        assert critic(gan) == frozen
    after = maker(gan)
    assert all(after[name] != moving[name] for name in moving)
    assert after["steps"] == moving["steps"] + 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_not_a_bit_of_the_generator_changes_while_the_discriminator_trains(schedule, dtype):
    gan = warm(make_gan(schedule, dtype, 0.1))
    frozen, moving = maker(gan), critic(gan)
    for rows in (6, 2, 9, 6):
        gan.train_discriminator(*batch(rows, 50 + rows))
        assert maker(gan) == frozen
    after = critic(gan)
    assert all(after[name] != moving[name] for name in moving)
    assert after["steps"] == moving["steps"] + (8 if schedule == "separate" else 4)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sampling_and_predicting_change_nothing(schedule):
    gan = warm(make_gan(schedule))
    before = maker(gan), critic(gan)
    gan.sample(300, rng())
    gan.predict(batch(300)[1])
    assert (maker(gan), critic(gan)) == before


def test_frozen_gradients_that_are_garbage_stay_garbage_and_do_no_harm():
    clean, dirty = warm(make_gan()), warm(make_gan())
    dirty.discriminator.grads[...] = np.nan
    noise = batch(6, 9)[1]
    assert dirty.train_generator(noise) == clean.train_generator(noise)
    assert maker(dirty) == maker(clean)
    assert np.isnan(dirty.discriminator.grads).all()


# ----------------------------------------------------------------------------- only what is needed is computed


def kernels_of(step):
    """How often each kernel runs in a training step, copies and updates aside."""
    return Counter(c.name for c in step.calls if c.direction in ("forward", "backward") and not c.skipped)


def arrays_of(step):
    """All arrays that a step's calls are bound to."""
    for call in step.calls:
        if call.direction != "update":
            yield from call.arrays


def touches(step, arena):
    return any(np.shares_memory(a, arena) for a in arrays_of(step))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_generator_s_step_computes_no_gradient_of_the_frozen_parameters(schedule):
    gan = make_gan(schedule)
    step = gan.generator_step(6)
    assert kernels_of(step) == {
        "dense_forward": 3 + 3,
        "dense_backward_weight": 3,  # the generator's
        "dense_backward_input": 2 + 3,  # not the noise's
        "leaky_relu_forward": 2,
        "leaky_relu_backward": 2,
        "relu_forward": 1,
        "relu_backward": 1,
        "tanh_forward": 2,
        "tanh_backward": 2,
        "batch_norm_forward": 1,  # the generator's
        "batch_norm_running": 2,
        "batch_norm_backward_parameters": 1,
        "batch_norm_backward_input": 1,
        "batch_norm_inference": 2,  # the discriminator's
        "batch_norm_inference_backward": 2,
        "bce_logits_backward": 1,
    }
    assert [c.run for c in step.calls if c.direction == "update"] == [gan.generator_optimizer.step]
    assert touches(step, gan.generator.grads)
    assert not touches(step, gan.discriminator.grads)
    assert not any(touches(step, a) for a in gan.discriminator_optimizer.state.values())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_discriminator_s_step_computes_no_gradient_of_its_input(schedule):
    gan = make_gan(schedule)
    step = gan.discriminator_step(6)
    passes = 2 if schedule == "separate" else 1
    assert kernels_of(step) == {
        "dense_forward": 3 + 3 * passes,
        "dense_backward_weight": 3 * passes,
        "dense_backward_input": 2 * passes,  # not the rows'
        "leaky_relu_forward": 1 + passes,
        "leaky_relu_backward": passes,
        "relu_forward": 1,
        "tanh_forward": 1 + passes,
        "tanh_backward": passes,
        "batch_norm_inference": 1,  # the generator's
        "batch_norm_forward": 2 * passes,
        "batch_norm_running": 4 * passes,
        "batch_norm_backward_parameters": 2 * passes,
        "batch_norm_backward_input": 2 * passes,
        "bce_logits_backward": passes,
    }
    assert [c.run for c in step.calls if c.direction == "update"] == [gan.discriminator_optimizer.step] * passes
    assert touches(step, gan.discriminator.grads)
    assert not touches(step, gan.generator.grads)
    assert not any(touches(step, a) for a in gan.generator_optimizer.state.values())


def test_no_gradient_goes_below_the_last_layer_with_parameters():
    g = Sequential([Dense(4)], 3, rng())
    d = Sequential([Tanh(), Dense(1), Sigmoid()], 4, rng())
    counts = kernels_of(GAN(g, d).discriminator_step(5))
    assert counts["tanh_forward"] == 1
    assert counts["tanh_backward"] == counts["dense_backward_input"] == 0


# ------------------------------------------------------------------------------- one step, worked out independently


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

    def power(self, n):
        return Number(self.value**n, ((self, n * self.value ** (n - 1)),))

    def tanh(self):
        y = math.tanh(self.value)
        return Number(y, ((self, 1 - y * y),))

    def log(self):
        return Number(math.log(self.value), ((self, 1 / self.value),))

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


def columns(rows):
    return [list(column) for column in zip(*rows, strict=True)]


class PlainNetwork:
    """The same network as a Sequential, in lists of Numbers."""

    def __init__(self, network):
        self.layers, self.places = network.layers, places(network)
        self.read(network)

    def read(self, network):
        self.p = {k: to_numbers(v.tolist()) for k, v in network.parameters().items()}
        self.s = {k: v.tolist() for k, v in network.state_dict().items() if "running" in k}

    def run(self, rows, training):
        """The output for rows of Numbers; training passes move the running statistics."""
        for layer in self.layers:
            rows = getattr(self, type(layer).__name__.lower())(layer, rows, training)
        return rows

    def dense(self, layer, rows, training):
        w, b = self.p[layer.name + ".weight"], self.p[layer.name + ".bias"]
        return [[sum((x * w[j][k] for k, x in enumerate(row)), b[j]) for j in range(len(b))] for row in rows]

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
        for j, column in enumerate(columns(rows)):
            mean, variance, n = means[j], variances[j], len(column)
            if training:
                mean = sum(column, lift(0)) * (1 / n)
                variance = sum(((x - mean).power(2) for x in column), lift(0)) * (1 / n)
                means[j] = layer.momentum * means[j] + (1 - layer.momentum) * mean.value
                variances[j] = layer.momentum * variances[j] + (1 - layer.momentum) * variance.value
            scale = (lift(variance) + layer.epsilon).power(-0.5) * gamma[j]
            out.append([(x - mean) * scale + beta[j] for x in column])
        return columns(out)

    def slopes(self):
        """Every parameter's gradient, in arena order; and forgets them."""
        slopes = np.full(sum(where.size for where in self.places.values()), np.nan)
        for name, where in self.places.items():
            numbers = flatten(self.p[name])
            slopes[where.ravel()] = [number.slope for number in numbers]
            for number in numbers:
                number.slope = 0.0
        return slopes


def places(network):
    """name -> where in the arena each element of a parameter lies."""
    network.grads[...] = np.arange(network.grads.size)
    return {name: view.astype(int) for name, view in network.gradients().items()}


def to_numbers(nested):
    return [to_numbers(part) for part in nested] if isinstance(nested, list) else Number(nested)


def flatten(nested):
    return [x for part in nested for x in flatten(part)] if isinstance(nested, list) else [nested]


def cross_entropy(rows, targets):
    """The mean over the rows of −t·log p − (1 − t)·log(1 − p)."""
    terms = [-(p.log() * t) - (lift(1) - p).log() * (1 - t) for (p,), t in zip(rows, targets, strict=True)]
    return sum(terms, lift(0)) * (1 / len(terms))


class PlainAdam:
    """Kingma & Ba's algorithm 1 (form "paper") or the ε̂ form ("keras"), one parameter at a time."""

    def __init__(self, rate, beta1, beta2, epsilon, form):
        self.settings, self.t, self.m, self.v = (rate, beta1, beta2, epsilon, form), 0, {}, {}

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


class PlainGAN:
    """Both training steps as the documents have them, in Numbers."""

    def __init__(self, gan, adam):
        self.gan, self.real_target = gan, 1 - gan.label_smoothing
        self.g, self.d = PlainNetwork(gan.generator), PlainNetwork(gan.discriminator)
        self.values = {"g": gan.generator.values.copy(), "d": gan.discriminator.values.copy()}
        self.adam = {"g": PlainAdam(*adam), "d": PlainAdam(*adam)}

    def learn(self, which, loss):
        """One update of a network from the slopes of the loss; returns its gradient."""
        loss.differentiate()
        network = self.g if which == "g" else self.d
        for other in (self.g, self.d):
            if other is not network:
                other.slopes()
        gradient = network.slopes()
        self.values[which] = self.adam[which].update(self.values[which], gradient)
        for name, where in network.places.items():
            network.p[name] = to_numbers(self.values[which][where].tolist())
        return gradient

    def train_discriminator(self, real, noise):
        fakes = [[Number(x.value) for x in row] for row in self.g.run(to_numbers(noise.tolist()), False)]
        real = to_numbers(real.tolist())
        if self.gan.schedule != "separate":
            p = self.d.run(real + fakes, True)
            on_real, on_fake = p[: len(real)], p[len(real) :]
            labels = [self.real_target] * len(real) + [0] * len(fakes)
            halves = cross_entropy(on_real, labels[: len(real)]), cross_entropy(on_fake, labels[len(real) :])
            summed = self.gan.schedule == "summed"
            gradient = self.learn("d", halves[0] + halves[1] if summed else cross_entropy(p, labels))
        else:
            on_real = self.d.run(real, True)
            self.learn("d", cross_entropy(on_real, [self.real_target] * len(real)))
            on_fake = self.d.run(fakes, True)
            gradient = self.learn("d", cross_entropy(on_fake, [0] * len(fakes)))
        losses = [cross_entropy(on_real, [self.real_target] * len(real)), cross_entropy(on_fake, [0] * len(fakes))]
        right = [sum(p.value > 0.5 for (p,) in on_real), sum(p.value <= 0.5 for (p,) in on_fake)]
        losses = [loss.value for loss in losses]
        whole = sum(losses) / (1 if self.gan.schedule == "summed" else 2)
        return gradient, [*losses, *(n / len(real) for n in right), whole]

    def train_generator(self, noise):
        p = self.d.run(self.g.run(to_numbers(noise.tolist()), True), False)
        if self.gan.objective == "minimax":
            loss = sum(((lift(1) - p).log() for (p,) in p), lift(0)) * (1 / len(p))
        else:
            loss = cross_entropy(p, [1] * len(p))
        return self.learn("g", loss), [loss.value, sum(p.value > 0.5 for (p,) in p) / len(p)]


def near(ours, expected, tolerance=1e-11):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("form", Adam.FORMS)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_number_of_a_step_is_that_of_plain_scalar_arithmetic(schedule, objective, form, smoothing):
    generator = Sequential([Dense(3), LeakyReLU(0.2), BatchNorm(0.8), Dense(2), Tanh()], 2, rng(0), "float64")
    discriminator = Sequential([Dense(3), BatchNorm(0.6), LeakyReLU(0.3), Dense(1), Sigmoid()], 2, rng(1), "float64")
    for i, network in enumerate((generator, discriminator)):
        network.values += rng(i + 2).normal(0, 0.5, network.values.shape)
    adam = (0.02, 0.5, 0.9, 1e-3, form)
    gan = GAN(generator, discriminator, Adam(*adam), Adam(*adam), schedule, smoothing, objective)
    plain = PlainGAN(gan, adam)
    for step in range(3):
        draw = rng(step + 10)
        real, noise, g_noise = (draw.normal(0, 1, (rows, 2)) for rows in (4, 4, 5))
        gradient, metrics = plain.train_discriminator(real, noise)
        near(gan.train_discriminator(real, noise), metrics)
        near(discriminator.grads, gradient)
        near(discriminator.values, plain.values["d"])
        gradient, metrics = plain.train_generator(g_noise)
        near(gan.train_generator(g_noise), metrics)
        near(generator.grads, gradient)
        near(generator.values, plain.values["g"])
        for network, other in ((generator, plain.g), (discriminator, plain.d)):
            for name, statistic in other.s.items():
                near(network.state_dict()[name], statistic)
    for which, optimizer in (("g", gan.generator_optimizer), ("d", gan.discriminator_optimizer)):
        for ours, theirs in zip(optimizer.moments(), (plain.adam[which].m, plain.adam[which].v), strict=True):
            near(ours, list(theirs.values()))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_float32_takes_the_same_steps_roughly(schedule):
    single, double = (make_gan(schedule, dtype, optimizer=SGD) for dtype in DTYPES)
    single.load_state_dict(double.state_dict())
    for i in range(3):
        real, noise = batch(8, i)
        near(single.train_discriminator(real, noise), double.train_discriminator(real, noise), 1e-5)
        near(single.discriminator.grads, double.discriminator.grads, 1e-5)
        near(single.train_generator(noise), double.train_generator(noise), 1e-5)
        near(single.generator.grads, double.generator.grads, 1e-5)


# ------------------------------------------------------------------------------------------- labels and metrics


def test_smoothing_is_on_the_real_side_of_the_discriminator_alone():
    """The fake half and the generator do not depend on it (when no batch norm mixes them)."""

    def gan(smoothing):
        g, d = (
            Sequential([Dense(FEATURES)], LATENT, rng(1), "float64"),
            Sequential([Dense(1), Sigmoid()], 4, rng(2), "float64"),
        )
        return GAN(g, d, SGD(1e-9), SGD(1e-9), "separate", smoothing)

    real, noise = batch()
    plain, smooth = gan(0.0), gan(0.2)
    before = plain.discriminator.predict(real), plain.discriminator.predict(plain.generator.predict(noise))
    m_plain, m_smooth = plain.train_discriminator(real, noise), smooth.train_discriminator(real, noise)
    near(m_plain.loss_real, -np.log(before[0]).mean())
    near(m_smooth.loss_real, -(0.8 * np.log(before[0]) + 0.2 * np.log(1 - before[0])).mean())
    near(m_smooth.loss_fake, -np.log(1 - before[1]).mean(), 1e-6)
    near(m_plain.loss_fake, m_smooth.loss_fake, 1e-6)
    near(plain.discriminator.grads, smooth.discriminator.grads, 1e-6)  # those of the fake half
    near(plain.train_generator(noise), smooth.train_generator(noise), 1e-6)
    near(plain.generator.grads, smooth.generator.grads, 1e-6)


def test_metrics_are_those_of_the_batch_before_its_update():
    g = Sequential([Dense(5), ReLU(), Dense(FEATURES)], LATENT, rng(1), "float64")
    d = Sequential([Dense(5), LeakyReLU(), Dense(1), Sigmoid()], FEATURES, rng(2), "float64")
    gan = GAN(g, d)
    for i in range(4):
        real, noise = batch(9, i)
        on_real, on_fake = d.predict(real), gan.predict(noise)
        m = gan.train_discriminator(real, noise)
        losses = [-np.log(on_real).mean(), -np.log(1 - on_fake).mean()]
        near(m, [*losses, (on_real > 0.5).mean(), (on_fake <= 0.5).mean(), sum(losses) / 2])
        assert m.loss == (m.loss_real + m.loss_fake) / 2
        assert m.accuracy == (m.accuracy_real + m.accuracy_fake) / 2
        assert all(type(value) is float for value in m)
        passed = gan.predict(noise)
        m = gan.train_generator(noise)
        near(m, [-np.log(passed).mean(), (passed > 0.5).mean()])
        assert all(type(value) is float for value in m)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_side_learns_its_own_aim(schedule):
    """Against a generator that stands still the discriminator tells real from fake; then the generator fools it."""
    g = Sequential([Dense(8), ReLU(), Dense(FEATURES), Tanh()], LATENT, rng(1))
    d = Sequential([Dense(8), LeakyReLU(), Dense(1), Sigmoid()], FEATURES, rng(2))
    gan = GAN(g, d, Adam(0.01), Adam(0.01), schedule)
    real, noise = batch(64)
    real = 0.1 * real + 0.5
    first = gan.train_discriminator(real, noise)
    for _ in range(60):
        last = gan.train_discriminator(real, noise)
    assert last.loss < 0.5 * first.loss
    assert last.accuracy > 0.85
    first = gan.train_generator(noise)
    for _ in range(150):
        last = gan.train_generator(noise)
    assert last.loss < 0.5 * first.loss
    assert last.accuracy > first.accuracy
    assert gan.predict(noise).mean() > 0.4


# -------------------------------------------------------------------------------------- batches, replicas and fit


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_batch_sizes_take_turns(schedule):
    """Buffers of one batch size leave no trace in the steps of another."""
    gan, fresh = make_gan(schedule), make_gan(schedule)
    for i, rows in enumerate((4, 9, 4, 2, 9, 1, 4)):
        real, noise = batch(max(rows, 2), i)
        fresh._steps.clear()
        assert gan.train_discriminator(real, noise) == fresh.train_discriminator(real, noise)
        noise = batch(rows, i + 20)[1]
        assert gan.train_generator(noise) == fresh.train_generator(noise)
    assert (maker(gan), critic(gan)) == (maker(fresh), critic(fresh))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_replicas_train_like_separate_gans(schedule):
    stack = make_gan(schedule, smoothing=0.1, replicas=3)
    gans = [make_gan(schedule, smoothing=0.1) for _ in range(3)]
    for r, gan in enumerate(gans):
        for ours, theirs in ((gan.generator, stack.generator), (gan.discriminator, stack.discriminator)):
            ours.values[...], ours.state[...] = theirs.values[r], theirs.state[r]
    for i in range(5):
        real, noise = batch(6, i, (3,))
        for which, data in (("train_discriminator", (real, noise)), ("train_generator", (noise,))):
            together = getattr(stack, which)(*data)
            assert all(np.shape(value) == (3,) for value in together)
            for r, gan in enumerate(gans):
                near(np.array(together)[:, r], getattr(gan, which)(*(a[r] for a in data)), 1e-9)
    z = batch(5, 77)[1]
    for r, gan in enumerate(gans):
        near(stack.generator.values[r], gan.generator.values, 1e-8)
        near(stack.discriminator.values[r], gan.discriminator.values, 1e-8)
        near(stack.predict(z)[r], gan.predict(z), 1e-8)


ROWS = rng(5).normal(0.3, 0.5, (40, FEATURES))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_fit_is_the_same_to_the_bit_for_the_same_seed(schedule, dtype):
    def run(seed):
        gan = make_gan(schedule, dtype)
        history = gan.fit(ROWS, 12, 8, rng(seed), every=5)
        return maker(gan), critic(gan), {name: history[name].tobytes() for name in COLUMNS}

    assert run(1) == run(1)
    assert run(1)[0]["values"] != run(2)[0]["values"]


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_fit_is_its_steps_one_after_the_other(schedule, replicas, monkeypatch):
    """The batches that a fit draws, caught on their way in, give the same bits when trained on by hand."""
    drawn = []
    for kind in (gan_module.DiscriminatorStep, gan_module.GeneratorStep):

        def run(self, *arrays, right=kind.run):
            drawn.append([a.copy() for a in arrays])
            right(self, *arrays)

        monkeypatch.setattr(kind, "run", run)
    fitted = make_gan(schedule, smoothing=0.1, replicas=replicas)
    history = fitted.fit(ROWS, 7, 8, rng(3), every=3)
    monkeypatch.undo()
    by_hand = make_gan(schedule, smoothing=0.1, replicas=replicas)
    assert len(drawn) == 14
    for i in range(7):
        (real, noise), (g_noise,) = drawn[2 * i], drawn[2 * i + 1]
        half = 4 if schedule == "separate" else 8
        lead = by_hand.generator.replicas
        assert (real.shape, noise.shape, g_noise.shape) == (
            (*lead, half, FEATURES),
            (*lead, half, LATENT),
            (*lead, 8, LATENT),
        )
        assert (real.reshape(-1, FEATURES)[:, None] == ROWS).all(axis=-1).any(axis=-1).all()
        d, g = by_hand.train_discriminator(real, noise), by_hand.train_generator(g_noise)
        metrics = {f"d_{name}": value for name, value in d._asdict().items()}
        metrics |= {f"g_{name}": value for name, value in g._asdict().items()}
        for name, value in metrics.items():
            np.testing.assert_array_equal(history[name][i], value)
    assert (maker(by_hand), critic(by_hand)) == (maker(fitted), critic(fitted))


def test_fits_in_a_row_go_on_where_the_last_one_stopped():
    gan = make_gan()
    gan.fit(ROWS, 3, 8, rng(0))
    gan.fit(ROWS, 4, 6, rng(1))
    assert (gan.generator_optimizer.steps, gan.discriminator_optimizer.steps) == (7, 7)


# -------------------------------------------------------------------------------------------------- what it refuses


def g(width=FEATURES, **options):
    return Sequential([Dense(width)], LATENT, rng(), **({"name": "maker"} | options))


def d(*layers, n_in=FEATURES, **options):
    return Sequential([Dense(3), *(layers or (Dense(1), Sigmoid()))], n_in, rng(), **({"name": "critic"} | options))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GAN(g(5), d()), "generator 'maker' makes 5 features, discriminator 'critic' expects 4"),
        (lambda: GAN(g(), d(Dense(1))), "discriminator 'critic' must end in Dense(1), Sigmoid(); it ends in Dense("),
        (
            lambda: GAN(g(), d(Dense(2), Sigmoid())),
            "must end in Dense(1), Sigmoid(); it ends in Sigmoid() with 2 features",
        ),
        (lambda: GAN(g(), d(Dense(1), Tanh())), "it ends in Tanh() with 1 features"),
        (
            lambda: GAN(g(), d(dtype="float64")),
            "generator has dtype float32 and replicas (), discriminator float64 and ()",
        ),
        (
            lambda: GAN(g(replicas=2), d()),
            "generator has dtype float32 and replicas (2,), discriminator float32 and ()",
        ),
        (
            lambda: GAN(g(), d(), schedule="both"),
            "schedule must be one of ('concatenated', 'separate', 'summed'), got 'both'",
        ),
        (
            lambda: GAN(g(), d(), objective="maximin"),
            "objective must be one of ('non-saturating', 'minimax'), got 'maximin'",
        ),
        (lambda: GAN(g(), d(), label_smoothing=0.5), "label_smoothing must be in [0, 0.5), got 0.5"),
        (lambda: GAN(g(), d(), label_smoothing=-0.1), "label_smoothing must be in [0, 0.5), got -0.1"),
    ],
)
def test_a_gan_that_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError) as caught:
        build()
    assert message in str(caught.value)


def test_one_optimizer_for_both_networks_is_refused():
    shared = Adam()
    with pytest.raises(ValueError, match="already trains 'maker'; make a new one for 'critic'"):
        GAN(g(), d(), shared, shared)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (lambda gan: gan.train_discriminator(*batch(6)[:1], batch(5)[1]), "6 real rows but 5 noise rows"),
        (
            lambda gan: gan.train_discriminator(batch()[1], batch()[1]),
            "discriminator: Dense 'dense_1' expects 4 features, got 3",
        ),
        (
            lambda gan: gan.train_discriminator(batch()[0], batch()[0]),
            "generator: Dense 'dense_1' expects 3 features, got 4",
        ),
        (lambda gan: gan.train_generator(batch()[0]), "generator: Dense 'dense_1' expects 3 features, got 4"),
        (lambda gan: gan.train_generator(np.zeros((2, 6, 3))), "has replicas (2,), not ()"),
        (lambda gan: gan.train_generator(np.zeros((0, 3))), "a batch of at least 1"),
        (lambda gan: gan.predict(batch()[0]), "generator: Dense 'dense_1' expects 3 features, got 4"),
        (lambda gan: gan.sample(0, rng()), "sample(n) expects a positive integer, got 0"),
        (lambda gan: gan.sample(2.0, rng()), "sample(n) expects a positive integer, got 2.0"),
        (lambda gan: gan.fit(np.ones((9, 3)), 1, 2, rng()), "the data has 3 features, the discriminator expects 4"),
    ],
)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_data_that_does_not_fit_is_refused_and_changes_nothing(schedule, train, message):
    gan = make_gan(schedule)
    before = maker(gan), critic(gan)
    with pytest.raises(ValueError) as caught:
        train(gan)
    assert message in str(caught.value)
    assert (maker(gan), critic(gan)) == before


# --------------------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("replicas", [None, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_samples_have_their_shape_and_are_decided_by_the_generator_of_noise(dtype, replicas):
    gan = make_gan(dtype=dtype, replicas=replicas)
    lead = gan.generator.replicas
    assert gan.latent_dim == LATENT
    for n in (1, 300):
        sample = gan.sample(n, rng(4))
        assert (sample.shape, sample.dtype) == ((*lead, n, FEATURES), dtype)
        assert sample.tobytes() == gan.sample(n, rng(4)).tobytes() != gan.sample(n, rng(5)).tobytes()
        noise = rng(4).standard_normal((*lead, n, LATENT), dtype=np.dtype(dtype))
        assert sample.tobytes() == gan.generator.predict(noise).tobytes()
        p = gan.predict(noise)
        assert (p.shape, p.dtype) == ((*lead, n, 1), dtype)
        assert ((p > 0) & (p < 1)).all()
        assert p.tobytes() == gan.discriminator.predict(sample).tobytes()


def test_a_sample_does_not_depend_on_who_else_is_in_it():
    gan = warm(make_gan())
    noise = batch(300)[1]
    near(np.concatenate([gan.predict(noise[i : i + 1]) for i in range(0, 300, 60)]), gan.predict(noise)[::60], 1e-13)


# --------------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_few_thousand_steps_bring_points_to_the_sine(schedule):
    recipe = recipes.get("sine")
    gan = recipe.build(with_overrides(recipe.settings, {"schedule": schedule}), rng(3), "float32")
    before = sine_quality(gan.sample(5000, rng(2)))["curve_error"]
    history = gan.fit(SinePoints(), 3000, 128, rng(6), every=500)
    after = sine_quality(gan.sample(5000, rng(2)))["curve_error"]
    assert after < 0.35
    assert after < 0.5 * before
    assert np.isfinite(history["d_loss"]).all()
    assert 0.4 < (history["d_loss_real"] + history["d_loss_fake"])[-500:].mean() / 2 < 0.75
