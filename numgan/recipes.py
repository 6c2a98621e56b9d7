"""Recipes: the systems of the source documents as data — networks, optimiser, schedule, data set — with every
number a setting that can be overridden.
"""

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from numgan import evaluation, initializers, metrics, plots
from numgan.data import SinePoints, load_mnist_split
from numgan.gan import GAN, SCHEDULES
from numgan.history import OBJECTIVES
from numgan.layers import BatchNorm, Dense, LeakyReLU, ReLU, Sigmoid, Tanh
from numgan.network import Sequential
from numgan.optimizers import Adam


class SettingError(ValueError):
    """A setting that a recipe does not have, or a value it cannot take; the message lists what is right."""


def setting(default, help, check, expects):
    """A field of a Settings class: `check(value)` accepts it, `expects` says in words what is accepted."""
    return field(default=default, metadata={"help": help, "check": check, "expects": expects})


def positive_int(default, help):
    return setting(default, help, lambda v: v > 0, "a positive integer")


def natural(default, help):
    return setting(default, help, lambda v: v >= 0, "a whole number from 0 up")


def positive(default, help):
    return setting(default, help, lambda v: 0 < v < np.inf, "a positive number")


def fraction(default, help, top=1.0):
    return setting(default, help, lambda v: 0 <= v < top, f"a number from 0 up to, but not including, {top:g}")


def choice(default, help, options):
    return setting(default, help, lambda v: v in options, "one of " + ", ".join(options))


def widths(default, help):
    return setting(default, help, lambda v: len(v) > 0 and min(v) > 0, "positive integers with commas, as 128,256,512")


@dataclass(frozen=True)
class TrainingSettings:
    """What every recipe has."""

    steps: int = positive_int(1000, "training steps: each a discriminator step, then a generator step")
    batch_size: int = positive_int(128, "rows in the generator's batch")
    snapshot_every: int = positive_int(
        100, "steps between two summaries and moments of evolution.png; by epochs, a tenth of the run"
    )
    learning_rate: float = positive(1e-3, "Adam's α")
    beta1: float = fraction(0.9, "Adam's β₁")
    beta2: float = fraction(0.999, "Adam's β₂")
    epsilon: float = positive(1e-7, "Adam's ε")
    adam_form: str = choice("keras", "where Adam adds ε: keras (ε̂ form) or paper (algorithm 1)", Adam.FORMS)
    schedule: str = choice("concatenated", "how the discriminator sees real and generated rows", SCHEDULES)
    label_smoothing: float = fraction(0.0, "s: real rows are labelled 1 − s for the discriminator", 0.5)
    objective: str = choice(
        "non-saturating", "the generator minimises −log D(G(z)) (non-saturating) or log(1 − D(G(z)))", OBJECTIVES
    )
    discriminator_steps: int = natural(1, "discriminator steps in a training step; 0 freezes the discriminator")
    generator_steps: int = natural(1, "generator steps in a training step; 0 freezes the generator")

    def adam(self):
        return Adam(self.learning_rate, self.beta1, self.beta2, self.epsilon, self.adam_form)

    def gan(self, generator, discriminator):
        adams = self.adam(), self.adam()
        return GAN(generator, discriminator, *adams, self.schedule, self.label_smoothing, self.objective)

    def length(self):
        """How long to train and with how many steps of either side, as keywords of `GAN.fit`."""
        return {name: getattr(self, name) for name in ("steps", "discriminator_steps", "generator_steps")}


@dataclass(frozen=True)
class DigitSettings(TrainingSettings):
    """What recipes on a set of digits have besides."""

    steps: int = natural(2000, "training steps on random batches; 0 where epochs are given")
    epochs: int = natural(0, "passes over the shuffled training images, in place of steps")
    latent_dim: int = positive_int(100, "noise values per image")
    slope: float = fraction(0.2, "LeakyReLU's slope below zero")
    momentum: float = fraction(0.8, "weight of the old value in the batch norms' running statistics")

    def length(self):
        by_epochs = {"steps": None, "epochs": self.epochs} if self.epochs else {}
        return super().length() | by_epochs


def with_overrides(settings, overrides):
    """Settings with some replaced: `overrides` maps names to texts, as the command line has them, or to values."""
    fields = {f.name: f for f in dataclasses.fields(settings)}
    values = {}
    for name, text in overrides.items():
        if name not in fields:
            raise SettingError(f"no setting {name!r}; the settings are {', '.join(fields)}")
        expects = fields[name].metadata["expects"]
        try:
            values[name] = _parse(text, type(getattr(settings, name)))
            accepted = fields[name].metadata["check"](values[name])
        except ValueError:
            accepted = False
        if not accepted:
            raise SettingError(f"{name}={_text(text)} is not possible; expected {expects}")
    if "epochs" in fields and values.get("epochs") and values.get("steps"):
        raise SettingError(f"give steps or epochs, not both; got steps={values['steps']}, epochs={values['epochs']}")
    if "epochs" in fields and (values.get("epochs") or values.get("steps")):
        values = {"steps": 0, "epochs": 0} | values
    settings = dataclasses.replace(settings, **values)
    if settings.discriminator_steps == settings.generator_steps == 0:
        raise SettingError("discriminator_steps=0 and generator_steps=0 leave nothing to train")
    if settings.steps == getattr(settings, "epochs", 0) == 0:
        raise SettingError("steps=0 and epochs=0 leave nothing to train")
    if settings.schedule == "separate" and settings.batch_size % 2:
        raise SettingError(
            f"batch_size={settings.batch_size} is not possible; the separate schedule halves the batch, "
            "so expected an even number"
        )
    return settings


def _parse(text, kind):
    if kind is tuple and not isinstance(text, str):
        return tuple(text)
    if kind is tuple:
        return tuple(int(part) for part in text.split(","))
    if kind is int and isinstance(text, float):
        raise ValueError(text)
    return kind(text)


def _text(value):
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def setting_rows(settings):
    """(name, value as it would be typed, help) for every setting."""
    return [(f.name, _text(getattr(settings, f.name)), f.metadata["help"]) for f in dataclasses.fields(settings)]


# ---------------------------------------------------------------------------------------------------------- mnist


@dataclass(frozen=True)
class MnistSettings(DigitSettings):
    batch_size: int = positive_int(256, "images in the generator's batch")
    learning_rate: float = positive(4e-4, "Adam's α")
    beta1: float = fraction(0.5, "Adam's β₁")
    hidden: tuple = widths((128, 256, 512), "widths of the hidden layers, the same in both networks")
    stddev: float = positive(0.02, "standard deviation of each network's first weights; the rest is Glorot uniform")


class Mnist:
    """The Keras listing: a dense GAN for handwritten digits."""

    name = "mnist"
    title = "handwritten digits: the Keras listing's dense GAN with batch norm, 2,000 steps"
    settings = MnistSettings()
    features = 784
    look_every = 50  # steps between two looks at the losses, about a second
    sample_count = 64
    snapshot_count = 16

    def load(self, source):
        """(training, held-out) digits: embedded (None), downloaded ("full") or from a directory of IDX files."""
        return load_mnist_split(source)

    def build(self, s, rng, dtype):
        """The GAN for settings `s`, its weights drawn from `rng`."""

        def hidden(batch_norm):
            for i, width in enumerate(s.hidden):
                yield Dense(width, initializers.normal(s.stddev) if i == 0 else "glorot_uniform")
                yield LeakyReLU(s.slope)
                if batch_norm:
                    yield BatchNorm(s.momentum)

        generator = Sequential([*hidden(True), Dense(784), Tanh()], s.latent_dim, rng, dtype, name="generator")
        discriminator = Sequential([*hidden(False), Dense(1), Sigmoid()], 784, rng, dtype, name="discriminator")
        return s.gan(generator, discriminator)

    draw = staticmethod(plots.draw_digits)

    def moment(self, gan, noise, rng):
        """What `draw` shows of a moment of the training."""
        return gan.generator.predict(noise)

    def picture(self, samples, gan, title, path, rng):
        plots.digit_samples(samples, title, path)

    def quality(self, samples, gan, rng):
        """Figures for the closing summary, name -> number: none for digits."""
        return {}

    def evaluation_count(self, training, held_out):
        """How many samples to evaluate unless told: as many as there are held-out digits."""
        return min(len(training), len(held_out))

    def evaluate(self, samples, gan, training, held_out, rng):
        """The `Evaluation` of generated digits beside both parts of the data."""
        return evaluation.evaluate_digits(samples, training, held_out, rng)


# --------------------------------------------------------------------------------------------------- mnist-epochs


@dataclass(frozen=True)
class MnistEpochsSettings(DigitSettings):
    steps: int = natural(0, "training steps on random batches, in place of epochs")
    epochs: int = natural(50, "passes over the shuffled training images, each image once in every pass")
    batch_size: int = positive_int(32, "images in the generator's batch")
    learning_rate: float = positive(1e-4, "Adam's α")
    beta1: float = fraction(0.5, "Adam's β₁")
    schedule: str = choice("summed", "how the discriminator sees real and generated rows", SCHEDULES)
    hidden: tuple = widths((256, 512), "widths of the generator's hidden layers; the discriminator's are the reverse")


class MnistEpochs(Mnist):
    """The 50-epoch study: three dense layers in either network, epochs over the shuffled digits.

    The study names the layers, the losses and Adam's rate. Widths, slope, β₁ and batch size are chosen here: 50 epochs
    of the embedded digits are 1,600 steps in batches of 128, too few for digits to appear, and 6,250 in batches of 32.
    """

    name = "mnist-epochs"
    title = "handwritten digits: the 50-epoch study, three dense layers in either network"
    settings = MnistEpochsSettings()

    def build(self, s, rng, dtype):
        grow = [layer for n in s.hidden for layer in (Dense(n), LeakyReLU(s.slope), BatchNorm(s.momentum))]
        shrink = [layer for n in reversed(s.hidden) for layer in (Dense(n), LeakyReLU(s.slope))]
        generator = Sequential([*grow, Dense(784), Tanh()], s.latent_dim, rng, dtype, name="generator")
        discriminator = Sequential([*shrink, Dense(1), Sigmoid()], 784, rng, dtype, name="discriminator")
        return s.gan(generator, discriminator)


# ----------------------------------------------------------------------------------------------------------- sine


@dataclass(frozen=True)
class SineSettings(TrainingSettings):
    steps: int = positive_int(100_000, "training steps: two discriminator updates, then one of the generator")
    batch_size: int = positive_int(128, "points in the generator's batch; the discriminator's are half as large")
    snapshot_every: int = positive_int(10_000, "steps between two summaries and moments of evolution.png")
    schedule: str = choice("separate", "how the discriminator sees real and generated rows", SCHEDULES)
    latent_dim: int = positive_int(5, "noise values per point")
    hidden: int = positive_int(25, "units in the one hidden layer of either network")
    initializer: str = choice(
        "he_uniform", "hidden weights; output weights are Glorot uniform", tuple(initializers.INITIALIZERS)
    )
    output: str = choice(
        "linear", "the generator's output: the document's text says linear, its code sigmoid", ("linear", "sigmoid")
    )


class Sine:
    """The sine article's GAN: points on a curve from networks of one hidden layer."""

    name = "sine"
    title = "points (t, sin t): the sine article's GAN with one hidden layer, 100,000 steps"
    settings = SineSettings()
    features = 2
    look_every = 1000
    sample_count = 1000
    snapshot_count = 500

    frame = plots.SINE_FRAME

    def load(self, source):
        """(training, held-out) points: always fresh, so nothing need be held out."""
        if source is not None:
            raise SettingError(f"the {self.name} recipe draws its own points and takes no --data, got {source!r}")
        return SinePoints(), SinePoints()

    def build(self, s, rng, dtype):
        """The GAN for settings `s`, its weights drawn from `rng`."""
        output = [Sigmoid()] if s.output == "sigmoid" else []
        generator = Sequential(
            [Dense(s.hidden, s.initializer), ReLU(), Dense(2), *output], s.latent_dim, rng, dtype, name="generator"
        )
        return s.gan(generator, self.discriminator(s, rng, dtype))

    @staticmethod
    def discriminator(s, rng, dtype):
        layers = [Dense(s.hidden, s.initializer), ReLU(), Dense(1), Sigmoid()]
        return Sequential(layers, 2, rng, dtype, name="discriminator")

    draw = staticmethod(plots.draw_game)

    def moment(self, gan, noise, rng):
        """Real and generated points, and what the discriminator says of the plane behind them."""
        points = gan.generator.predict(noise)
        return _real_points(len(points), rng), points, plots.decision_surface(gan.discriminator, self.frame)

    def picture(self, samples, gan, title, path, rng):
        plots.point_samples(samples, _real_points(len(samples), rng), title, path)

    def quality(self, samples, gan, rng):
        return metrics.sine_quality(samples)

    def evaluation_count(self, training, held_out):
        """How many samples to evaluate unless told."""
        return 5_000

    def evaluate(self, samples, gan, training, held_out, rng):
        """The `Evaluation` of generated points beside fresh real ones."""
        return evaluation.evaluate_points(samples, rng)


# ---------------------------------------------------------------------------------------------- sine-discriminator


@dataclass(frozen=True)
class SineDiscriminatorSettings(SineSettings):
    steps: int = positive_int(300, "training steps, which the document calls epochs: an update on real, one on fake")
    snapshot_every: int = positive_int(50, "steps between two summaries and moments of evolution.png")
    generator_steps: int = natural(0, "generator steps in a training step: 0, the fakes are fixed")
    latent_dim: int = setting(1, "the t of a fake point (t, 2t)", lambda v: v == 1, "1")
    output: str = choice("linear", "of the fixed generator", ("linear",))


class SineDiscriminator(Sine):
    """The sine article's first part: a discriminator alone, (t, sin t) real against (t, 2t) fake.

    The fakes come from a generator too, the linear map t → (t, 2t), which is frozen.
    """

    name = "sine-discriminator"
    title = "the sine article's discriminator alone: (t, sin t) against (t, 2t), 300 half-batches of each"
    settings = SineDiscriminatorSettings()
    look_every = 50
    frame = (-3.8, 3.8, -7.6, 7.6)

    def build(self, s, rng, dtype):
        def line(rng, n_in, n_out, dtype):
            return np.array([[1, 2]], dtype)

        generator = Sequential([Dense(2, line)], 1, rng, dtype, name="generator")
        return s.gan(generator, self.discriminator(s, rng, dtype))

    def picture(self, samples, gan, title, path, rng):
        surface = plots.decision_surface(gan.discriminator, self.frame)
        plots.game(_real_points(len(samples), rng), samples, surface, title, path)

    def quality(self, samples, gan, rng):
        """Accuracy on fresh points of either kind, as the article reports it."""
        real = gan.discriminator.predict(_real_points(len(samples), rng))
        fake = gan.discriminator.predict(samples)
        return {"accuracy on real": float((real > 0.5).mean()), "accuracy on fake": float((fake <= 0.5).mean())}

    def evaluate(self, samples, gan, training, held_out, rng):
        """The two accuracies. Beside them what a perfect discriminator has, since the curves meet in one point only."""
        article = {
            "accuracy on real": "higher; the article: 100 %",
            "accuracy on fake": "higher; the article: about 85 %",
        }
        accuracy = self.quality(samples, gan, rng)
        measures = [evaluation.Measure(name, value, 1.0, article[name]) for name, value in accuracy.items()]
        return evaluation.Evaluation(measures, [f"{len(samples):,} {held_out.source}"], None)


def _real_points(n, rng):
    real = np.empty((n, 2), np.float32)
    SinePoints().sample(n, rng, real)
    return real


RECIPES = {recipe.name: recipe for recipe in (Mnist(), MnistEpochs(), Sine(), SineDiscriminator())}


def get(name):
    """The recipe of that name, or SettingError with the names there are."""
    if name not in RECIPES:
        raise SettingError(f"no recipe {name!r}; the recipes are {', '.join(RECIPES)}")
    return RECIPES[name]
