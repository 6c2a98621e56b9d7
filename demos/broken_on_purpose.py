"""Broken on purpose: five classic failures of a GAN, each beside the healthy run from the same seed.

All play for the ring's eight modes. What is wrong with code is planted by name out of `numgan.gradcheck.faults`, so it
is what `numgan gradcheck --faults` plants. For each failure: where the points of both runs end, the number that gives
it away, and what would have told. A fault that hardly harms is shown as that: a wrong gradient that trains all the same
is what checkers are for.

vanishing   The generator starts far from the ring, against a discriminator that has learnt alone: D(G(z)) is near 0.
            At the logit, log(1 − D) of the minimax objective has the slope −D and −log D the slope D − 1: from the same
            weights a row's first gradient is D/(1 − D) of the other, and nothing moves. Neither gradient is wrong, and
            no check fails. (Adam divides a gradient by its own size, and with it the generator comes back.)
collapse    Eight noise values in place of two, and a larger rate: a generator that has found a mode or two which pass
            stays with them. Healthy is the same with R1 (Mescheder et al. 2018, arXiv:1801.04406, eq. 9).
not frozen  The generator's step updates the discriminator too, by the generator's loss: it learns to call fakes real.
            Where points are as likely real as generated, both steps together minimise −½ log D − ½ log(1 − D) − log D.
            3/(2D) = 1/(2(1 − D)) at D = ¾, where a discriminator that can only guess says ½.
batch norm  Without the mean's share of its input gradient. A bias right before a batch norm is taken off again with the
            mean, so its gradient is zero. Without the share it is not.
wrong axis  WGAN-GP with ‖∇D‖ taken along one axis at a time, here of one coordinate: what is held at 1 is the mean of
            two absolute values, and the norm is √2 to 2 times that. The history shows the norm that the code believes
            in, and looks healthy.

broken.png  The points of each healthy run, those of each broken one, and the number that gives it away.

Run:  python demos/broken_on_purpose.py [--steps N] [--seed N] [--out DIR]

At full length the exit code is 1 if a failure is not told by what should tell it, or one is told of a healthy run.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from numgan import GAN, SGD, BatchNorm, Dense, LeakyReLU, Sequential
from numgan.data import RingPoints
from numgan.gradcheck.faults import FAULTS, hunt, planted
from numgan.study import evaluation, metrics, recipes
from numgan.study.ends import ends
from numgan.study.plots import GENERATED, REAL, draw_centres, save
from numgan.study.settings import with_overrides

STEPS, SAMPLES, LOOKS = 20_000, 2_500, 100  # of the longest game; points judged; looks at a game's number
RATE = 1e-3  # of SGD
NAMED = {fault.name: fault for fault in FAULTS}
UNFROZEN = NAMED["gan: the discriminator is not frozen, it learns from the generator's loss"]
MEANLESS = NAMED["batch norm: without the mean's share of the gradient"]
WRONG_AXIS = NAMED["penalty: the norm over one axis of a picture, not over all"]


class Game(NamedTuple):
    """A run: its name, the GAN, its history, and the number that was watched, (looks, 2) with the step in front."""

    name: str
    gan: GAN
    history: object
    watched: np.ndarray

    def number(self):
        """The mean of the last tenth."""
        return self.watched[-max(1, len(self.watched) // 10) :, 1].mean()

    def quality(self):
        return metrics.mixture_quality(self.points(), RingPoints.centres, RingPoints.deviation)

    def points(self):
        return self.gan.sample(SAMPLES, np.random.default_rng(1))


class Failure(NamedTuple):
    """A healthy and a broken game, what is watched, and how the failure is told: a command, and told(game), sentences.
    `lines` are heights worth knowing: (height, label).
    """

    title: str
    healthy: Game
    broken: Game
    watched: str
    command: str
    told: Callable
    lines: tuple = ()
    log: bool = False


def ring(seed, **settings):
    """The ring recipe's GAN under some settings, those settings, and the random numbers of what follows."""
    recipe, rng = recipes.get("ring"), np.random.default_rng(seed)
    settings = with_overrides(recipe.settings, settings)
    return recipe.build(settings, rng, "float32"), settings, rng


def play(name, gan, steps, settings, rng, watch, fault=None):
    """Train for some steps, with a fault in place if one is given, and look at a number on the way."""
    watched = []

    def look(step, history):
        if step:
            watched.append((step, watch(gan, history)))

    with planted(fault) if fault else contextlib.nullcontext():
        history = gan.fit(RingPoints(), steps, settings.batch_size, rng, max(1, steps // LOOKS), look)
    return Game(name, gan, history, np.array(watched))


def checked(fault, seen=lambda found: found.what):
    """How a gradient check tells of a fault: (command, told), as `Failure` has them. A healthy game has none in it."""
    command = f"numgan gradcheck {fault.target}"

    def told(game):
        found = hunt(fault) if game.name == "broken" else None
        return [seen(found)] if found and found.by else []

    return command, told


# ------------------------------------------------------------------------------------------------- the five failures


def vanishing(steps, seed):
    def gradient(gan, history):
        return np.linalg.norm(gan.generator.grads)

    def start(objective, optimizer=None):
        """Far from the ring, the discriminator learnt alone."""
        gan, settings, rng = ring(seed, objective=objective)
        optimizer = optimizer or settings.adam(settings.learning_rate)
        adam = settings.adam(settings.learning_rate)
        gan = GAN(gan.generator, gan.discriminator, optimizer, adam, gan.objective, gan.schedule)
        parameters = gan.generator.parameters()
        parameters["dense_3.weight"] *= 0.1
        parameters["dense_3.bias"] += 3
        gan.fit(RingPoints(), steps, settings.batch_size, rng, generator_steps=0)
        return gan, steps, settings, rng, gradient

    healthy = play("healthy", *start("non-saturating", SGD(RATE)))
    broken = play("broken", *start("minimax", SGD(RATE)))
    adam = play("broken, but Adam", *start("minimax"))
    d = broken.history["d_fake"][0]
    first = [first_gradient(*start(objective, SGD(RATE))) for objective in ("non-saturating", "minimax")]
    print(
        f"vanishing: at the start D(G(z)) is {d:.2g} on average, and ‖∂L/∂θ‖ {first[0]:.3g} non-saturating, "
        f"{first[1]:.3g} minimax; with Adam minimax ends with {adam.quality()['modes_hit']:.0f} modes hit, by SGD with "
        f"{broken.quality()['modes_hit']:.0f}"
    )

    def told(game):
        real = np.empty((SAMPLES, 2), np.float32)
        RingPoints().sample(SAMPLES, np.random.default_rng(2), real)
        return ends(game.gan, game.history, game.points(), real)

    watched = "‖∂L/∂θ‖ of the generator"
    return Failure("minimax, and a strong D", healthy, broken, watched, "numgan train", told, log=True)


def first_gradient(gan, steps, settings, rng, gradient):
    """The size of the generator's first gradient."""
    gan.train_generator(rng.standard_normal((settings.batch_size, gan.latent_dim)))
    return gradient(gan, None)


def collapse(steps, seed):
    def modes(gan, history):
        points = gan.sample(1000, np.random.default_rng(3))
        return metrics.mixture_quality(points, RingPoints.centres, RingPoints.deviation)["modes_hit"]

    def game(name, **more):
        gan, settings, rng = ring(seed, latent_dim=8, learning_rate=1e-3, **more)
        return play(name, gan, steps, settings, rng, modes)

    def told(game):
        collapsed = evaluation.evaluate_ring(game.points(), np.random.default_rng(2)).collapsed
        return [collapsed] if collapsed else []

    healthy, broken = game("healthy", penalty="r1", penalty_weight=0.1), game("broken")
    return Failure("collapse", healthy, broken, "modes hit, of 8", "numgan evaluate", told, ((8, "all"),))


def not_frozen(steps, seed):
    def answer(gan, history):
        return history["d_fake"][-100:].mean()

    def game(name, fault):
        gan, settings, rng = ring(seed)
        return play(name, gan, steps, settings, rng, answer, fault)

    healthy, broken = game("healthy", None), game("broken", UNFROZEN)
    how = checked(UNFROZEN, lambda found: found.by.broken[0])  # before its gradients, which are wrong as well
    return Failure("D not frozen", healthy, broken, "D(G(z))", *how, ((0.5, "½: undecided"), (0.75, "¾: predicted")))


def batch_norm(steps, seed):
    def bias(gan, history):
        return np.abs(gan.generator.gradients()["dense_1.bias"]).max()

    def game(name, fault):
        gan, settings, rng = ring(seed, learning_rate=1e-3, penalty="r1", penalty_weight=0.1)
        layers = [
            layer
            for units in settings.hidden
            for layer in (Dense(units, "he_uniform"), BatchNorm(0.9), LeakyReLU(settings.slope))
        ]
        generator = Sequential([*layers, Dense(2)], settings.latent_dim, rng, name="generator")
        return play(name, settings.gan(generator, gan.discriminator), steps, settings, rng, bias, fault)

    healthy, broken = game("healthy", None), game("broken", MEANLESS)
    watched = "largest |∂L/∂b| before the batch norm"
    return Failure("batch norm, mean's share", healthy, broken, watched, *checked(MEANLESS), log=True)


def wrong_axis(steps, seed):
    def slope(gan, history):
        """The mean norm of ∂D/∂x at points between real and generated ones, row by row."""
        rng = np.random.default_rng(4)
        points, fake = np.empty((500, 2), np.float32), gan.sample(500, rng)
        RingPoints().sample(500, rng, points)
        points += rng.random((500, 1), dtype=np.float32) * (fake - points)
        gan.discriminator.forward(points)
        return np.linalg.norm(gan.discriminator.backward(np.ones((500, 1))), axis=1).mean()

    def game(name, fault):
        gan, settings, rng = ring(seed, objective="wasserstein", penalty="wgan-gp", penalty_weight=1.0)
        return play(name, gan, steps, settings, rng, slope, fault)

    healthy, broken = game("healthy", None), game("broken", WRONG_AXIS)
    believed = broken.history["gradient_norm"][-max(1, steps // 10) :].mean()
    print(f"penalty: broken, the history's gradient_norm is {believed:.3f}, row by row it is {broken.number():.3f}")
    lines = (1.0, "1: nothing is paid"), (believed, "what the code believes")
    return Failure("WGAN-GP, wrong axis", healthy, broken, "mean ‖∇D‖, row by row", *checked(WRONG_AXIS), lines)


FAILURES = {vanishing: 0.2, collapse: 1.0, not_frozen: 0.4, batch_norm: 0.5, wrong_axis: 0.4}  # -> share of the steps


# ----------------------------------------------------------------------------------------------- what is shown of them


def report(failures):
    """The table, and whether every broken game was told and no healthy one."""
    print(f"\n{'':<26}{'the number that gives it away':<40}{'healthy':>9}{'broken':>9}   modes hit    good share")
    right = True
    for failure in failures:
        numbers = "".join(f"{game.number():>9.3g}" for game in (failure.healthy, failure.broken))
        ours, broken = failure.healthy.quality(), failure.broken.quality()
        modes = f"{ours['modes_hit']:.0f} and {broken['modes_hit']:.0f}"
        good = f"{ours['good_share']:.3f} and {broken['good_share']:.3f}"
        print(f"{failure.title:<26}{failure.watched:<40}{numbers}   {modes:<13}{good}")
    print("\nwhat tells")
    for failure in failures:
        told = failure.told(failure.broken)
        right &= bool(told) and not failure.told(failure.healthy)
        print(f"{failure.title:<26}{failure.command}")
        for sentence in told or ["nothing"]:
            print(f"    {sentence}")
    return right


def draw(failures, path):
    """A column per failure: the points of both games, and the number."""
    figure = Figure(figsize=(2.5 * len(failures), 7.2), layout="constrained")
    panels = figure.subplots(3, len(failures))
    for (above, middle, below), failure in zip(panels.T, failures, strict=True):
        for axes, game in ((above, failure.healthy), (middle, failure.broken)):
            points, quality = game.points()[:250], game.quality()
            axes.scatter(*points.T, s=3, color=GENERATED, linewidths=0)
            draw_centres(axes, RingPoints.centres)
            axes.set(xlim=(-3.2, 4.4), ylim=(-3.2, 4.4), xticks=[], yticks=[])
            title = f"{game.name}: {quality['modes_hit']:.0f} modes hit, {quality['good_share']:.0%} good"
            axes.set_title(title, fontsize=8)
        for game, color in ((failure.healthy, REAL), (failure.broken, GENERATED)):
            below.plot(*game.watched.T, color=color, linewidth=1, label=game.name)
        for (height, label), style in zip(failure.lines, (":", "--"), strict=False):
            below.axhline(height, color="0.4", linestyle=style, linewidth=1, label=label)
        below.set(xlabel="step", yscale="log" if failure.log else "linear")
        below.set_title(failure.watched, fontsize=8)
        below.tick_params(labelsize=7)
        below.legend(fontsize=6)
        above.annotate(failure.title, (0.5, 1.16), xycoords="axes fraction", ha="center", fontsize=11)
    save(figure, path)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Five classic failures of a GAN, each beside a healthy run.")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help="of the longest game (default 20,000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of weights and samples (default 0)")
    out = "demos-output/broken_on_purpose"
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="for the picture")
    arguments = parser.parse_args(arguments)
    if arguments.steps < 10 or arguments.seed < 0:
        parser.error(f"expected --steps from 10 and --seed from 0, got {arguments.steps} and {arguments.seed}")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(str(error))
    failures = [failure(int(share * arguments.steps), arguments.seed) for failure, share in FAILURES.items()]
    right = report(failures)
    draw(failures, arguments.out / "broken.png")
    print(arguments.out / "broken.png")
    sys.exit(arguments.steps >= STEPS and not right)


if __name__ == "__main__":
    main()
