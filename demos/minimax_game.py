"""The minimax game where its answers are known: the best discriminator, and the gradient that reaches the generator.

    min_G max_D V(D, G),    V = E[log D(x)] + E[log(1 − D(G(z)))]     ([GAN]: Goodfellow et al. 2014, arXiv:1406.2661)

optimum.png  Discriminators trained on samples of three pairs of densities, on the best ones there are. At full size the
             exit code is 1 if one of them is further from its optimum than MEAN_BOUND and MAX_BOUND allow.
game.png     Why log(1 − D(G(z))) saturates: the gradients of both objectives of the generator, and the sine recipe's
             GAN trained with either from the same seed, twice: as it is, where the generated points lie among the real
             ones from the start, and from a poor start, where the discriminator is sure of itself.

Run:  python demos/minimax_game.py [--steps N] [--seed N] [--out DIR]
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from numgan import GAN, SGD, Adam, Dense, Sequential, Sigmoid, Tanh
from numgan.study import recipes
from numgan.study.plots import GENERATED, REAL, save
from numgan.study.settings import with_overrides

STEPS, BATCH = 3000, 2048  # full size; rows of either kind in a discriminator's batch
RATES = (1e-2, 3e-3, 1e-3, 2e-4)  # Adam's, each for a quarter of the steps: small ones average out the batches' noise
MEAN_BOUND, MAX_BOUND = 0.01, 0.05
GRID = np.linspace(-8, 8, 3201)
EQUILIBRIUM = -np.log(4)


class Mixture(NamedTuple):
    """Normal distributions in equal shares."""

    means: tuple
    stds: tuple

    def density(self, x):
        z = (x[:, None] - self.means) / self.stds
        return (np.exp(-(z**2) / 2) / (np.sqrt(2 * np.pi) * np.array(self.stds))).mean(axis=1)

    def sample(self, n, rng):
        which = rng.integers(len(self.means), size=(n, 1))
        return np.take(self.means, which) + np.take(self.stds, which) * rng.standard_normal((n, 1))


NORMAL = Mixture((0,), (1,))
PAIRS = {  # title -> p_data, p_g
    "N(0, 1) and N(1.5, 1)": (NORMAL, Mixture((1.5,), (1,))),
    "two humps and a wide normal": (Mixture((-2, 2), (0.7, 0.7)), Mixture((0,), (2,))),
    "equal densities": (NORMAL, NORMAL),
}


def integral(values):
    return np.trapezoid(values, GRID)


def train_discriminator(real, fake, steps, rng):
    """D at the points of GRID, after training on samples of two distributions."""
    layers = [Dense(32), Tanh(), Dense(32), Tanh(), Dense(1), Sigmoid()]
    discriminator, adam = Sequential(layers, 1, rng, name="discriminator"), Adam()
    discriminator.compile(adam)
    labels = np.repeat([[1], [0]], BATCH, axis=0)
    for step in range(steps):
        adam.learning_rate = RATES[step * len(RATES) // steps]
        discriminator.train_on_batch(np.concatenate((real.sample(BATCH, rng), fake.sample(BATCH, rng))), labels)
    return discriminator.predict(GRID[:, None])[:, 0].astype(np.float64)


def known_optimum(steps, seed, path):
    """Train a discriminator for each pair, hold it against the best one; returns whether all are within the bounds."""
    # [GAN] proposition 1. V = ∫ p·log D + q·log(1 − D) dx, with p = p_data and q = p_g, and every x has a D of its own.
    # p/D − q/(1 − D) = 0 at D* = p/(p + q); the second derivative −p/D² − q/(1 − D)² < 0 makes it the maximum.
    # With m = (p + q)/2: V* = ∫ p·log(p/2m) + q·log(q/2m) dx = −log 4 + KL(p‖m) + KL(q‖m) = −log 4 + 2·JSD(p, q).
    print(f"{'discriminators after ' + format(steps, ',') + ' steps':<34}mean |D - D*|   maximum   V(D, G)        V*")
    figure = Figure(figsize=(13, 6), layout="constrained")
    panels = figure.subplots(2, len(PAIRS), sharex="col", height_ratios=(2, 1))
    within = True
    for (above, below), (title, (real, fake)) in zip(panels.T, PAIRS.items(), strict=True):
        d = train_discriminator(real, fake, steps, np.random.default_rng(seed))
        p, q = real.density(GRID), fake.density(GRID)
        best, m = p / (p + q), (p + q) / 2
        inner = m >= 0.01 * m.max()
        mean, maximum = integral(m * np.abs(d - best)), np.abs(d - best)[inner].max()
        # in float32 a D above 1 − 3·10⁻⁸ is 1, and log(1 − D) infinite
        value = integral(p * np.log(d) + q * np.log1p(-np.minimum(d, 1 - 1e-7)))
        best_value = EQUILIBRIUM + integral(p * np.log(p / m)) + integral(q * np.log(q / m))
        within &= bool(mean <= MEAN_BOUND and maximum <= MAX_BOUND)
        print(f"{title:<34}{mean:>13.4f}{maximum:>10.4f}{value:>10.4f}{best_value:>10.4f}")

        above.plot(GRID, best, color="0.75", linewidth=5, label="D* = p_data / (p_data + p_g)")
        above.plot(GRID, d, color="black", linewidth=1, label="D, trained")
        above.set(title=f"{title}\nV = {value:.4f}, V* = {best_value:.4f}", ylim=(-0.03, 1.03))
        for density, color, label in ((p, REAL, "p_data"), (q, GENERATED, "p_g")):
            below.fill_between(GRID, density, color=color, alpha=0.35, linewidth=0, label=label)
        below.set(xlabel="x", xlim=GRID[inner][[0, -1]])
    for axes, quantity in zip(panels[:, 0], ("D(x): probability of being real", "density"), strict=True):
        axes.set_ylabel(quantity)
        axes.legend(fontsize=8)
    save(figure, path)
    verdict = f"not judged below {STEPS:,} steps" if steps < STEPS else "held" if within else "NOT held"
    print(f"bounds {verdict}: mean {MEAN_BOUND} under the density m = (p_data + p_g)/2,", end=" ")
    print(f"maximum {MAX_BOUND} where m is at least 1 % of its peak")
    return within


def play(objective, poor_start, steps, seed):
    """The history of the sine recipe's GAN with one objective of the generator.

    A poor start: the points begin 4 to the right of the real ones and 4 above, and the discriminator learns alone for a
    third as many steps. The generator then learns by SGD: Adam divides a gradient by its own size, so a small one will
    do, and both objectives come back about equally fast.
    """
    recipe, rng = recipes.get("sine"), np.random.default_rng(seed)
    settings = with_overrides(recipe.settings, {"objective": objective})
    gan, (data, _) = recipe.build(settings, rng, "float32"), recipe.load(None, settings)
    if poor_start:
        gan.generator.parameters()["dense_2.bias"][...] += 4
        adam = settings.adam(settings.learning_rate)
        gan = GAN(gan.generator, gan.discriminator, SGD(0.003), adam, gan.objective, gan.schedule)
        gan.fit(data, -(-steps // 3), settings.batch_size, rng, generator_steps=0)
    return gan.fit(data, steps, settings.batch_size, rng)


def saturation(steps, seed, path):
    """The two gradients, and the games that they make."""
    # With D(G(z)) = σ(s), s the logit, and σ' = σ·(1 − σ):
    #     minimax         ∂/∂s log(1 − σ(s)) = −σ(s), which goes to 0 where D is sure that a row is fake;
    #     non-saturating  ∂/∂s −log σ(s) = σ(s) − 1, which goes to −1 there.
    gradients = {"minimax": (lambda d: -d, "purple"), "non-saturating": (lambda d: d - 1, "tab:green")}
    figure = Figure(figsize=(15, 8), layout="constrained")
    panels = figure.subplots(2, 3)
    curve, pushes = panels[:, 0]
    stretch = max(1, steps // 150)  # curves and the last column are of means over so many steps
    print(f"\n{f'the sine GAN, {steps:,} steps':<35}first D(G(z))  gradient     last V   D(x)  D(G(z))   D(G(z)) > 0.3")
    for start, (_, values, answers) in zip(("recipe's start", "poor start"), panels, strict=True):
        poor = start == "poor start"
        for objective, (gradient, color) in gradients.items():
            history = play(objective, poor, steps, seed)
            step, value, real, fake = (
                history[name][: steps // stretch * stretch].reshape(-1, stretch).mean(axis=1)
                for name in ("step", "value", "d_real", "d_fake")
            )
            first, above = history["d_fake"][0], np.flatnonzero(fake > 0.3)
            end = [f"{history[name][-100:].mean():.3f}" for name in ("value", "d_real", "d_fake")]
            print(
                f"{start:<18}{objective:<16}{first:>14.3f}{gradient(first):>10.3f}{end[0]:>11}{end[1]:>7}{end[2]:>9}   "
                f"{f'from step {above[0] * stretch + 1:,}' if len(above) else 'never'}"
            )
            values.plot(step, value, color=color, label=objective)
            answers.plot(step, fake, color=color, label=f"D(G(z)), {objective}")
            answers.plot(step, real, color=color, linestyle="--", alpha=0.5, label=f"D(x), {objective}")
            if poor:
                pushes.plot(step, -gradient(fake), color=color, label=objective)
        values.axhline(EQUILIBRIUM, color="0.4", linestyle=":", label="equilibrium: V = −log 4")
        answers.axhline(0.5, color="0.4", linestyle=":", label="equilibrium: D = ½")
        values.set(title=f"Value of the game V(D, G), {start}", xlabel="step")
        answers.set(title=f"What the discriminator says, {start}", xlabel="step", ylim=(-0.03, 1.03))
    print(f"{'the equilibrium':<58}{EQUILIBRIUM:>11.3f}{0.5:>7.3f}{0.5:>9.3f}   (last: mean of 100 steps)")
    d = np.linspace(0, 1, 101)
    for objective, (gradient, color) in gradients.items():
        curve.plot(d, gradient(d), color=color, label=objective)
    curve.set(title="Gradient of the generator's objective", xlabel="D(G(z))", ylabel="∂/∂logit")
    pushes.set(title="Its mean size, poor start", xlabel="step", yscale="log")
    for axes in panels.ravel():
        axes.legend(fontsize=8)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description="The minimax game where its answers are known.")
    parser.add_argument(
        "--steps", type=int, default=STEPS, metavar="N", help="of each discriminator and each game (default 3,000)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of weights and samples (default 0)")
    parser.add_argument("--out", type=Path, default="demos-output/minimax_game", metavar="DIR", help="for the pictures")
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.seed < 0:
        parser.error(f"expected --steps from 1 and --seed from 0, got {arguments.steps} and {arguments.seed}")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(str(error))
    within = known_optimum(arguments.steps, arguments.seed, arguments.out / "optimum.png")
    saturation(arguments.steps, arguments.seed, arguments.out / "game.png")
    print(f"{arguments.out / 'optimum.png'}, {arguments.out / 'game.png'}")
    sys.exit(arguments.steps >= STEPS and not within)


if __name__ == "__main__":
    main()
