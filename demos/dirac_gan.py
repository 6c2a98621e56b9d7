"""The Dirac-GAN: two parameters in which one can see, and work out, whether a GAN's training converges.

All real rows are 0, all generated ones θ, and the discriminator's score is ψ·x ([MGN]: Mescheder, Geiger & Nowozin,
Which Training Methods for GANs do actually Converge?, 2018, arXiv:1801.04406, section 2). The equilibrium is
θ = ψ = 0. The eigenvalues of a training step say whether it ends nearer to it or further away; GANs of two layers of
one's own take the steps, and the growth of their distance is held against the size of the largest eigenvalue. At full
length the exit code is 1 if one differs by more than BOUND.

trajectories.png  The path of (θ, ψ) from (1, 1), its distance from the equilibrium beside the predicted one, and the
                  eigenvalues on the unit circle.

Run:  python demos/dirac_gan.py [--steps N] [--out DIR]

The derivation. At a score t let h(t) be the discriminator's loss on a generated row and g(t) the generator's; real rows
have the score 0 whatever ψ is, and teach nothing. So

    ∂L_D/∂ψ = h′(ψθ)·θ,    ∂L_G/∂θ = g′(ψθ)·ψ.

Near (0, 0) only a = h′(0) and b = −g′(0) are left: (θ, ψ) follows θ̇ = b·ψ, ψ̇ = −a·θ, and J = [[0, b], [−a, 0]] has
the eigenvalues ±i·√(ab): a rotation, which neither comes nearer nor goes away. Steps of size η make of it

    simultaneous   F = 1 + η·J: eigenvalues 1 ± i·η·√(ab), |λ| = √(1 + η²·ab) > 1. Every step leads away.
    alternating    ψ first, then θ with the new ψ, as `GAN.fit` does it:
                   F = [[1, η·b], [0, 1]]·[[1, 0], [−η·a, 1]] = [[1 − η²·ab, η·b], [−η·a, 1]]. Its determinant is 1: as
                   long as η²·ab < 4 both eigenvalues lie on the unit circle, and it goes round for ever.

The objective only sets a and b. With cross-entropy, h(t) = log(1 + eᵗ)/2, half of a mean over real and generated rows:
a = ¼. The minimax generator's −log(1 + eᵗ) and the non-saturating one's log(1 + e⁻ᵗ) both have the slope −½ at 0, so
that b = ½. A Wasserstein critic's h and g are straight lines, a = b = 1. Below, both are read off the GANs themselves.

R1 adds γ/2·|∇ₓD|² at real rows, γ/2·ψ² here, which puts −γ into the lower right of J ([MGN], section 3): its
eigenvalues are −γ/2 ± √(γ²/4 − ab), of negative real part. In F, 1 − η·γ takes the place of the lower right 1 of the
discriminator's step. As long as the eigenvalues are a complex pair, |λ|² is the determinant: alternating 1 − η·γ, and
every γ > 0 converges; simultaneous 1 − η·γ + η²·ab, and γ > η·ab does.

WGAN-GP adds λ·(|ψ| − 1)² instead. Its slope jumps from 2λ to −2λ at ψ = 0: there is no derivative and no eigenvalue,
and at the equilibrium the penalty itself pushes ψ away, towards ±1.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from numgan import GAN, SGD, Layer, Sequential
from numgan.gan.objectives import OBJECTIVES
from numgan.study.plots import save

STEPS, RATE, GAMMA, LAMBDA = 1000, 0.1, 0.3, 0.5  # full length; η, R1's γ, WGAN-GP's λ
CLIP = 100.0  # of a Wasserstein critic: out of the way
NEAR = 1e-3  # distance from the equilibrium where the growth is measured
BOUND = 1e-4  # of the growth of a step


class Place(Layer):
    """G(z) = θ, whatever z is."""

    def build(self, shape):
        self.shapes = {"theta": (1,)}
        return (1,)

    def forward(self, x, out):
        out[...] = self.params["theta"]

    def backward_input(self, x, y, dy, out):
        out[...] = 0

    def backward_parameters(self, x, y, dy):
        self.grads["theta"][...] = dy.sum(axis=0)


class Slope(Layer):
    """D(x) = ψ·x."""

    def build(self, shape):
        self.shapes = {"psi": (1,)}
        return (1,)

    def forward(self, x, out):
        out[...] = x * self.params["psi"]

    def backward_input(self, x, y, dy, out):
        out[...] = dy * self.params["psi"]

    def backward_parameters(self, x, y, dy):
        self.grads["psi"][...] = (x * dy).sum(axis=0)


def r1(psi):
    """∂/∂ψ γ/2·ψ²."""
    return GAMMA * psi


def wgan_gp(psi):
    """∂/∂ψ λ·(|ψ| − 1)²; at 0 that of the right."""
    return 2 * LAMBDA * (abs(psi) - 1) * (1 if psi >= 0 else -1)


class Dirac:
    """The Dirac-GAN of an objective, at (θ, ψ)."""

    def __init__(self, objective, theta, psi):
        kind, rng = OBJECTIVES[objective], np.random.default_rng(0)
        rules = kind(**({"clip": CLIP} if "clip" in kind.takes else {}))
        generator = Sequential([Place()], 1, rng, "float64", name="generator")
        discriminator = Sequential([Slope(), *rules.closing()], 1, rng, "float64", name="discriminator")
        self.gan = GAN(generator, discriminator, SGD(RATE), SGD(RATE), rules)
        self.rows = np.zeros((1, 1))  # of real data, and of noise
        self.theta, self.psi = theta, psi

    @property
    def theta(self):
        return float(self.gan.generator.values[0])

    @theta.setter
    def theta(self, value):
        self.gan.generator.values[0] = value

    @property
    def psi(self):
        return float(self.gan.discriminator.values[0])

    @psi.setter
    def psi(self, value):
        self.gan.discriminator.values[0] = value

    def step(self, alternating, penalty):
        """A step of both sides. The penalty's gradient is added by hand."""
        before = self.psi
        self.gan.train_discriminator(self.rows, self.rows)
        after = self.psi - RATE * penalty(before)
        self.psi = after if alternating else before
        self.gan.train_generator(self.rows)
        self.psi = after

    def path(self, steps, alternating, penalty):
        """(θ, ψ) before the first step and after each, (steps + 1, 2)."""
        points = [(self.theta, self.psi)]
        for _ in range(steps):
            self.step(alternating, penalty)
            points.append((self.theta, self.psi))
        return np.array(points)


def none(psi):
    return 0.0


def slopes(objective):
    """(a, b) = (h′(0), −g′(0)), read off one step of the GAN: at ψ = 0 and at θ = 0 all scores are 0."""
    at_psi, at_theta = Dirac(objective, 1.0, 0.0), Dirac(objective, 0.0, 1.0)
    at_psi.gan.train_discriminator(at_psi.rows, at_psi.rows)
    at_theta.gan.train_generator(at_theta.rows)
    return -at_psi.psi / RATE, at_theta.theta / RATE


def jacobian(a, b, alternating, gamma):
    """F at (0, 0), 2 × 2: what a step makes of a small (θ, ψ)."""
    if alternating:
        return np.array([[1, RATE * b], [0, 1]]) @ np.array([[1, 0], [-RATE * a, 1 - RATE * gamma]])
    return np.array([[1, RATE * b], [-RATE * a, 1 - RATE * gamma]])


def growth(points):
    """The factor that a step multiplies the distance with, by a straight line through its logarithm."""
    distance = np.linalg.norm(points, axis=1)
    return np.exp(np.polyfit(np.arange(len(distance)), np.log(distance), 1)[0])


SCHEMES = {  # title -> alternating, γ
    "simultaneous": (False, 0.0),
    "alternating": (True, 0.0),
    "simultaneous, R1": (False, GAMMA),
    "alternating, R1": (True, GAMMA),
}


def table(steps):
    """Predicted and simulated growth for every objective; returns the largest difference."""
    print(f"{'the Dirac-GAN, ' + format(steps, ',') + ' steps':<38}a      b      |λ|     growth   difference")
    worst = 0.0
    for objective in OBJECTIVES:
        a, b = slopes(objective)
        for scheme, (alternating, gamma) in SCHEMES.items():
            predicted = np.abs(np.linalg.eigvals(jacobian(a, b, alternating, gamma))).max()
            points = Dirac(objective, NEAR, NEAR).path(steps, alternating, r1 if gamma else none)
            simulated = growth(points)
            worst = max(worst, abs(simulated - predicted))
            print(
                f"{objective:<17}{scheme:<18}{a:>7.3f}{b:>7.3f}{predicted:>10.5f}{simulated:>10.5f}"
                f"{simulated - predicted:>13.1e}"
            )
    return worst


def draw(steps, path):
    """The paths from (1, 1), how far they are from the equilibrium, and the eigenvalues."""
    columns = [("minimax", scheme, *how, r1 if how[1] else none) for scheme, how in SCHEMES.items()]
    columns = [c for c in columns if c[1] != "simultaneous, R1"]
    columns.append(("wasserstein", "alternating, WGAN-GP", True, None, wgan_gp))
    figure = Figure(figsize=(16, 11), layout="constrained")
    panels = figure.subplots(3, len(columns))
    for (plane, distance, circle), (objective, scheme, alternating, gamma, penalty) in zip(
        panels.T, columns, strict=True
    ):
        points = Dirac(objective, 1.0, 1.0).path(steps, alternating, penalty)
        size = np.linalg.norm(points, axis=1)
        plane.plot(*points.T, color="tab:blue", linewidth=0.7)
        plane.plot(*points[0], "o", color="tab:blue", label="start")
        plane.plot(*points[-1], "s", color="tab:red", label="end")
        plane.plot(0, 0, "+", color="black", markersize=12, label="equilibrium")
        plane.set(title=f"{objective}: {scheme}", xlabel="θ", ylabel="ψ", aspect="equal", adjustable="datalim")
        distance.plot(size, color="tab:blue")
        distance.set(title="Distance from the equilibrium", xlabel="step", yscale="log")
        if gamma is None:
            circle.axis("off")
            circle.text(0.5, 0.5, "no derivative at ψ = 0,\nno eigenvalues", ha="center", va="center")
        else:
            values = np.linalg.eigvals(jacobian(*slopes(objective), alternating, gamma))
            largest = np.abs(values).max()
            distance.plot(size[0] * largest ** np.arange(steps + 1), "k--", linewidth=1)
            distance.set_title(f"Distance; dashed: |λ|ⁿ, |λ| = {largest:.5f}")
            angle = np.linspace(-0.06, 0.06, 200)
            circle.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=1)
            circle.plot(values.real, values.imag, "o", color="tab:red")
            circle.set(title="Eigenvalues of a step, and the unit circle", xlabel="real part", ylabel="imaginary part")
            circle.set(xlim=(0.975, 1.005), ylim=(-0.06, 0.06))
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(
        description="The Dirac-GAN: whether a GAN's training converges, in two parameters."
    )
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help="of each game (default 1,000)")
    parser.add_argument("--out", type=Path, default="demos-output/dirac_gan", metavar="DIR", help="for the picture")
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error(f"expected --steps from 1, got {arguments.steps}")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(str(error))
    worst = table(arguments.steps)
    full = arguments.steps >= STEPS
    verdict = f"not judged below {STEPS:,} steps" if not full else "held" if worst <= BOUND else "NOT held"
    print(f"bound {verdict}: the growth of a step, to {BOUND:g}")
    draw(arguments.steps, arguments.out / "trajectories.png")
    print(arguments.out / "trajectories.png")
    sys.exit(bool(full and worst > BOUND))


if __name__ == "__main__":
    main()
