"""The minimax game of a GAN, two of its theorems measured: the best discriminator, and the saturated generator.

1. For fixed densities a discriminator trained to convergence is compared with the optimum p_data/(p_data + p_g), and
   its value V(D, G) with −log 4 + 2·JSD (Goodfellow et al. 2014, arXiv:1406.2661, proposition 1 and theorem 1).
2. The sine recipe is trained from one seed with either objective of the generator: the two curves of its gradient,
   and the way of the game to its equilibrium V = −log 4, D = ½.

Run:  python demos/minimax_game.py                             (a quarter of a minute; exits 1 if part 1 is not met)
      python demos/minimax_game.py --steps 300 --game-steps 200  (a quick look; errors are printed, not judged)

Writes optimum.png and saturation.png to runs/minimax_game, or to --out DIR.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from numgan import Adam, Dense, Sequential, Sigmoid, Tanh, recipes
from numgan.plots import GENERATED, REAL, save

STEPS = 3000
MEAN_ERROR, LARGEST_ERROR, VALUE_ERROR = 0.01, 0.05, 0.005  # what part 1 states; seeds 0 to 9 stay within it
HALF_BATCH, FRESH = 1024, 500_000  # rows of either kind: in a training batch, and to measure V on
GRID = np.linspace(-10, 10, 4001)
CELL = GRID[1] - GRID[0]

# A density is a mixture of normal distributions in equal shares: [(mean, standard deviation), …]
PAIRS = {
    "two normals, 1.5 apart": ([(0, 1)], [(1.5, 1)]),
    "two peaks against one wide": ([(-2, 0.6), (2, 0.6)], [(0, 2)]),
    "equal densities": ([(0, 1)], [(0, 1)]),
}


def density(parts, x):
    return np.mean([np.exp(-(((x - m) / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi)) for m, s in parts], axis=0)


def draw(parts, n, rng):
    mean, deviation = np.array(parts)[rng.integers(0, len(parts), n)].T
    return (mean + deviation * rng.standard_normal(n))[:, None]


def train_discriminator(p_data, p_g, steps, rng):
    """A discriminator trained to tell draws of the two densities apart, in three stages of falling learning rate."""
    discriminator = Sequential([Dense(32), Tanh(), Dense(32), Tanh(), Dense(1), Sigmoid()], n_in=1, rng=rng)
    adam = Adam()
    discriminator.compile(adam)
    target = np.repeat([1.0, 0.0], HALF_BATCH)[:, None]
    for rate in (1e-2, 1e-3, 1e-4):
        adam.learning_rate = rate
        for _ in range(steps // 3):
            batch = np.concatenate([draw(p_data, HALF_BATCH, rng), draw(p_g, HALF_BATCH, rng)])
            discriminator.train_on_batch(batch, target)
    return discriminator


def best_discriminators(steps, rng, path):
    """Part 1; returns whether every pair is within the stated errors."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey="row", height_ratios=(2, 1))
    print("discriminators at convergence          |D − D*|: mean   largest      V(D, G)   −log 4 + 2·JSD")
    held = True
    for column, (name, (p_data, p_g)) in zip(axes.T, PAIRS.items(), strict=True):
        discriminator = train_discriminator(p_data, p_g, steps, rng)
        a, b = density(p_data, GRID), density(p_g, GRID)
        # V = ∫ a·log D + b·log(1 − D) dx, a = p_data, b = p_g: each x has its own D, so each x is maximised alone.
        # d/dD (a·log D + b·log(1 − D)) = a/D − b/(1 − D) = 0 at D* = a/(a + b), a maximum, as both terms are concave.
        # With m = (a + b)/2, D* = a/(2m): V* = ∫ a·log(a/2m) + b·log(b/2m) = −log 4 + KL(a|m) + KL(b|m), the 2·JSD.
        best, m = a / (a + b), (a + b) / 2
        best_value = -np.log(4) + (a * np.log(a / m) + b * np.log(b / m)).sum() * CELL
        error = np.abs(discriminator.predict(GRID[:, None])[:, 0] - best)
        mass_left = m.cumsum() * CELL
        central = (mass_left > 0.005) & (mass_left < 0.995)
        mean, largest = (m * error).sum() * CELL, error[central].max()
        on_real, on_fake = (discriminator.predict(draw(p, FRESH, rng)).astype(float) for p in (p_data, p_g))
        value = np.log(on_real).mean() + np.log(1 - on_fake).mean()
        held &= mean <= MEAN_ERROR and largest <= LARGEST_ERROR and abs(value - best_value) <= VALUE_ERROR
        print(f"  {name:<35} {mean:>15.4f} {largest:>9.4f} {value:>12.4f} {best_value:>16.4f}")

        x = GRID[central]
        column[0].plot(x, best[central], color="0.75", linewidth=5, label="D* = p_data/(p_data + p_g)")
        column[0].plot(x, discriminator.predict(x[:, None]), color="black", linewidth=1.2, label="D, trained")
        column[0].set(title=f"{name}\nV = {value:.4f}, V* = {best_value:.4f}", ylim=(-0.03, 1.03))
        for p, label, color in ((a, "p_data", REAL), (b, "p_g", GENERATED)):
            column[1].fill_between(x, p[central], color=color, alpha=0.35, linewidth=0, label=label)
        column[1].set_xlabel("x")
    axes[0, 0].legend(fontsize=9)
    axes[1, 0].legend(fontsize=9)
    save(figure, path)
    print(
        f"stated: mean at most {MEAN_ERROR} where (p_data + p_g)/2 weighs the points, largest at most {LARGEST_ERROR} "
        f"on its central 99 %,\n        V within {VALUE_ERROR} (on {FRESH:,} fresh points of either kind): "
        f"{'held' if held else 'NOT held'}"
    )
    return held


def saturation(steps, seed, path):
    """Part 2: the gradient of either objective, and a game with each from the same weights and the same noise."""
    recipe = recipes.get("sine")
    figure = Figure(figsize=(16, 4.6), layout="constrained")
    curve, values, answers = figure.subplots(1, 3)
    answer = np.linspace(0, 1, 101)  # D(G(z)) = σ(z), z the logit
    print(f"\nthe sine game with either objective, {steps:,} steps from seed {seed}")
    for objective, color, slope in (
        ("non-saturating", "tab:green", answer - 1),  # ∂/∂z −log σ(z) = σ(z) − 1
        ("minimax", "purple", -answer),  # ∂/∂z log(1 − σ(z)) = −σ(z)
    ):
        curve.plot(answer, slope, color=color, label=objective)
        rng = np.random.default_rng(seed)
        gan = recipe.build(recipes.with_overrides(recipe.settings, {"objective": objective}), rng, "float32")
        history = gan.fit(recipe.load(None)[0], steps, rng=rng)
        d_fake, value, step = history["d_fake"], history["value"], history["step"]
        # an average of D(G(z)) is, but for its sign and 1 −, one of the gradient
        gradient = d_fake if objective == "minimax" else 1 - d_fake
        low = d_fake.argmin()
        values.plot(step, value, color=color, linewidth=0.6, label=objective)
        answers.plot(step, d_fake, color=color, linewidth=0.6, label=f"mean D(G(z)), {objective}")
        answers.plot(step, history["d_real"], color=color, linewidth=0.6, alpha=0.35, label="mean D(x) on real")
        print(
            f"  {objective:<15} lowest mean D(G(z)) {d_fake[low]:.2f} at step {low + 1:,}, mean gradient there "
            f"{-gradient[low]:.2f}; {np.sum(d_fake < 0.3):,} steps below 0.3; "
            f"at the end V {value[-100:].mean():.3f}, D(G(z)) {d_fake[-100:].mean():.3f}"
        )
    print("  equilibrium     V −1.386, D(G(z)) 0.500")
    curve.set(title="Gradient of the generator's objective", xlabel="D(G(z))", ylabel="∂/∂logit")
    values.axhline(-np.log(4), color="0.4", linestyle=":", label="equilibrium: V = −log 4")
    answers.axhline(0.5, color="0.4", linestyle=":", label="equilibrium: D = ½")
    values.set(title="V(D, G)", xlabel="step")
    answers.set(title="What the discriminator says", xlabel="step", ylim=(-0.03, 1.03))
    for axes in (curve, values, answers):
        axes.legend(fontsize=8)
    save(figure, path)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, default=STEPS, help="updates of each discriminator in part 1 (default 3000)")
parser.add_argument("--game-steps", type=int, default=2000, help="training steps in part 2 (default 2000)")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path, default=Path("runs/minimax_game"), help="folder for the pictures")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)
held = best_discriminators(args.steps, np.random.default_rng(args.seed), args.out / "optimum.png")
saturation(args.game_steps, args.seed, args.out / "saturation.png")
print(f"pictures in {args.out}")
sys.exit(0 if held or args.steps < STEPS else 1)
