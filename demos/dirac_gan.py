"""The Dirac-GAN: two parameters in which one can see, and work out, whether a GAN's training converges.

All real rows are 0, all generated ones θ, and the discriminator's score is ψ·x ([MGN]: Mescheder, Geiger & Nowozin,
Which Training Methods for GANs do actually Converge?, 2018, arXiv:1801.04406, section 2). The equilibrium is
θ = ψ = 0. The eigenvalues of a training step say what becomes of a small (θ, ψ): it comes nearer, goes away, or
circles. GANs of two layers of one's own take the steps, with every objective, and the eigenvalues of what they did are
held against those of theory. The exit code is 1 if one differs by more than BOUND, or, at full length, if what theory
only says to first order differs by more than ROUGH_BOUND.

trajectories.png  The path of (θ, ψ), its distance from the equilibrium beside the predicted one, and the eigenvalues on
                  the unit circle; where WGAN-GP ends; averaged weights.

Run:  python demos/dirac_gan.py [--steps N] [--out DIR]

The derivation. At a score t let h(t) be the discriminator's loss on a generated row and g(t) the generator's. Real rows
have the score 0 whatever ψ is, and teach nothing. So ∂L_D/∂ψ = h′(ψθ)·θ and ∂L_G/∂θ = g′(ψθ)·ψ. Near (0, 0) only the
slopes at 0 are left, and in every game here they are h′(0) = −g′(0) = c, which [MGN] calls f′(0): GAMES. Then

    θ̇ = c·ψ,  ψ̇ = −c·θ:    J = [[0, c], [−c, 0]] has the eigenvalues ±ic, a rotation: neither nearer nor away.

Steps of size η make of it

    simultaneous   F = 1 + η·J: 1 ± iηc, |λ| = √(1 + η²c²) > 1. Every step leads away.
    alternating    ψ first, then θ with the new ψ, as `GAN.fit` does it:
                   F = [[1, ηc], [0, 1]]·[[1, 0], [−ηc, 1]] = [[1 − η²c², ηc], [−ηc, 1]]. Its determinant is 1, its
                   trace 2 − η²c²: as long as ηc < 2 both eigenvalues lie on the unit circle.

On the unit circle the next terms decide. With h′(t) = c + h″·t and g′(t) = −c + g″·t the squared distance r² changes
by −2κ·(ψθ)² per time, κ = h″(0) + g″(0), and once round a circle the mean of (ψθ)² is r⁴/8. So alternating steps have
r² = r₀²/(1 + κ·r₀²·t/4) after the time t = ηn. Minimax, Wasserstein and hinge, with κ = 0, circle for good; the others
come nearer, ever more slowly.

R1 adds γ/2·|∇ₓD|² at real rows. ∇ₓD is ψ at every x, so that R2, at generated rows, is the same here, and R1 + R2 is R1
with twice the γ. γ/2·ψ² puts −γ into the lower right of J: −γ/2 ± √(γ²/4 − c²), of negative real part ([MGN], section
3). In F, 1 − ηγ takes the place of the 1 of the discriminator's own step. While the eigenvalues are a complex pair,
|λ|² is the determinant: alternating 1 − ηγ, and every γ > 0 converges; simultaneous 1 − ηγ + η²c², and γ > ηc² does.

WGAN-GP adds λ·(|ψ| − 1)² instead, and pushes ψ away from the equilibrium, towards ±1: at ψ = 0 (where numgan adds
nothing) there is no derivative, so no eigenvalue, and there is no convergence ([MGN], section 3). With c = 1 the energy
E = (θ² + ψ²)/2 has Ė = −2λ·(ψ² − |ψ|). Once round a circle of radius r the mean of ψ² is r²/2 and that of |ψ| is 2r/π:
E grows while r < 4/π and falls beyond. For small λ alternating steps end on the circle of radius 4/π.

Least squares wants the score ½ at the equilibrium, which ψ·x cannot give at x = 0. With a bias b it can: from
ḃ = 1 − 2b − ψθ, b = ½ has an eigenvalue of its own, −2; the other two are those above, with c = ½. Off the equilibrium
b − ½ follows −ψθ, which goes round at the angular speed 1, as −ψθ/(2 + i), and takes ⅖ of κ = 2 away. Without a bias
h(t) = t²/2 and c = 0: ψ̇ = −ψθ² − γψ, θ̇ = (1 − ψθ)·ψ. Every (θ*, 0) is an equilibrium, with the eigenvalues 0 and
−θ*² − γ, and training stops at one of them, wherever the data are; ψ shrinks by the factor 1 − η·(θ*² + γ) a step.

An average θ̄ ← d·θ̄ + (1 − d)·θ (`GAN(average=d)`) of a θ that circles by an angle φ a step circles as well, at
(1 − d)/|1 − d·e^(−iφ)| of its distance.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from numgan import GAN, SGD, Dense, Layer, Sequential
from numgan.gan.objectives import OBJECTIVES
from numgan.gan.penalty import PENALTIES
from numgan.study.plots import save

STEPS, RATE, GAMMA, LAMBDA, DECAY = 1000, 0.1, 0.3, 0.1, 0.99  # full length; η, R1's γ, WGAN-GP's λ, d
NEAR = 1e-3, 1e-3  # a path from here is short: the slopes at 0 are all that counts
AWAY = 0.15, 0.0  # on an axis: circles of alternating steps are ellipses, by ηc/4 longer or shorter on the diagonals
BOUND = 1e-6  # of the distance between a predicted eigenvalue of a step and a simulated one
ROUGH_BOUND = 0.01  # relative: of r as κ changes it, of the radius that WGAN-GP ends at, of what averaging leaves

GAMES = {  # objective -> (c, κ), of the losses g against h
    "non-saturating": (1 / 2, 1 / 2),  # log(1 + e⁻ᵗ) against log(1 + eᵗ)
    "minimax": (1 / 2, 0),  # −log(1 + eᵗ) against log(1 + eᵗ)
    "wasserstein": (1, 0),  # −t against t
    "least-squares": (1 / 2, 6 / 5),  # (t − 1)²/2 against t²/2, at t = ½, with a bias
    "hinge": (1, 0),  # −t against max(0, 1 + t): Wasserstein's, up to the margin
    "relativistic": (1 / 2, 1 / 2),  # non-saturating's, of the score less that of a real row, which is 0
}
SCHEMES = {  # title -> alternating, γ
    "simultaneous": (False, 0.0),
    "alternating": (True, 0.0),
    "simultaneous, R1": (False, GAMMA),
    "alternating, R1": (True, GAMMA),
}


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

    linear = True  # in x: all that a gradient penalty asks for

    def build(self, shape):
        self.shapes = {"psi": (1,)}
        return (1,)

    def forward(self, x, out):
        out[...] = x * self.params["psi"]

    def backward_input(self, x, y, dy, out):
        out[...] = dy * self.params["psi"]

    def backward_parameters(self, x, y, dy):
        self.grads["psi"][...] = (x * dy).sum(axis=0)


def dirac_gan(objective, start, penalty=None, bias=None, average=None):
    """The Dirac-GAN of an objective, at (θ, ψ) = start; with a bias, a number, D(x) = ψ·x + b."""
    kind, rng = OBJECTIVES[objective], np.random.default_rng(0)
    settings = {"clip": 0, "discriminator_loss": "sum"}  # nothing is clipped, no mean of two losses halves a slope
    rules = kind(**{name: value for name, value in settings.items() if name in kind.takes})
    generator = Sequential([Place()], 1, rng, "float64", name="generator")
    score = Slope() if bias is None else Dense(1)
    discriminator = Sequential([score, *rules.closing()], 1, rng, "float64", name="discriminator")
    generator.values[...] = start[0]
    discriminator.values[...] = start[1] if bias is None else (start[1], bias)
    return GAN(generator, discriminator, SGD(RATE), SGD(RATE), rules, penalty=penalty, average=average)


def with_equilibrium(objective, start, gamma):
    """The Dirac-GAN with R1, and with a bias where (0, 0) is no equilibrium without one."""
    bias = 0.5 if objective == "least-squares" else None
    return dirac_gan(objective, start, PENALTIES["r1"](gamma) if gamma else None, bias)


def play(gan, steps, alternating=True):
    """(θ, ψ) before the first step and after each, and the averaged θ if there is one: (steps + 1, 2 or 3)."""
    kept = [gan.generator, gan.discriminator, *([gan.average.network] if gan.average else [])]
    points = [[network.values[0] for network in kept]]
    # what train_discriminator and train_generator run, less their metrics, which take longer than so small a step
    discriminator_step, generator_step = gan.discriminator_step(1), gan.generator_step(1)
    psi, zero = gan.discriminator.values, np.zeros((1, 1))  # zero: real data, noise, and where WGAN-GP looks
    for _ in range(steps):
        before = psi.copy()
        discriminator_step.run(zero, zero, zero[0])
        after = psi.copy()
        if not alternating:
            psi[...] = before
        generator_step.run(zero, zero)
        psi[...] = after
        points.append([network.values[0] for network in kept])
    return np.array(points)


# ------------------------------------------------------------------------------------------------------- eigenvalues


def flow(c, gamma):
    """J at (0, 0), 2 × 2: (θ̇, ψ̇) = J·(θ, ψ)."""
    return np.array([[0, c], [-c, -gamma]])


def step(c, gamma, alternating):
    """F at (0, 0), 2 × 2: what a step makes of a small (θ, ψ)."""
    generator, discriminator = np.eye(2), np.eye(2)
    generator[0] += RATE * flow(c, gamma)[0]
    discriminator[1] += RATE * flow(c, gamma)[1]
    return generator @ discriminator if alternating else generator + discriminator - np.eye(2)


def fitted(points):
    """The 2 × 2 matrix that takes each point of a path to the next one, by least squares."""
    return np.linalg.lstsq(points[:-1], points[1:], rcond=None)[0].T


def upper(matrix):
    """Its eigenvalue with the larger imaginary part."""
    return max(np.linalg.eigvals(matrix), key=lambda value: value.imag)


def verdict(growth):
    return "circles" if abs(growth - 1) <= BOUND else "diverges" if growth > 1 else "converges"


def table(steps):
    """What every objective does near (0, 0), and what theory says; returns the largest difference."""
    print(f"{'':<34}{'in continuous':<17}{'predicted step':<18}{'simulated step':<18}")
    head = f"{'the Dirac-GAN, ' + format(steps, ',') + ' steps':<34}{'time':<17}"
    print(f"{head}{'|λ|      angle':<18}{'|λ|      angle':<18}{'difference':<12}distance  near (0, 0)")
    differences = []
    for objective in OBJECTIVES:
        c, _ = GAMES[objective]
        for scheme, (alternating, gamma) in SCHEMES.items():
            points = play(with_equilibrium(objective, NEAR, gamma), steps, alternating)
            time, predicted, simulated = map(upper, (flow(c, gamma), step(c, gamma, alternating), fitted(points)))
            differences.append(abs(simulated - predicted))
            numbers = "".join(f"{abs(a):.6f} {np.angle(a):.6f} " for a in (predicted, simulated))
            ratio = np.linalg.norm(points[-1]) / np.linalg.norm(points[0])
            print(
                f"{objective:<16}{scheme:<18}{f'{time.real:.3f} ± {time.imag:.3f}i':<17}{numbers}"
                f"{differences[-1]:>10.1e}{'×' + format(ratio, '.2g'):>10}  {verdict(abs(simulated))}"
            )
    return np.max(differences)


# --------------------------------------------------------------------------------------------- what is exact besides


def same_penalties(steps):
    """The largest difference of the paths under R1, R2, and R1 + R2 with half the γ."""
    paths = [
        play(dirac_gan("non-saturating", (1, 1), PENALTIES[name](gamma)), steps)
        for name, gamma in (("r1", GAMMA), ("r2", GAMMA), ("r1+r2", GAMMA / 2))
    ]
    difference = np.max([np.abs(path - paths[0]).max() for path in paths])
    print(f"R1, R2, and R1 + R2 with half the γ: the same path, but for {difference:.1e}")
    return difference


def least_squares_without_bias(steps):
    """Where least squares ends without a bias, and how fast; returns the largest difference of the rate."""
    differences = []
    for gamma in (0.0, GAMMA):
        points = play(dirac_gan("least-squares", (1, 1), PENALTIES["r1"](gamma) if gamma else None), steps)
        simulated, predicted = points[-1, 1] / points[-2, 1], 1 - RATE * (points[-2, 0] ** 2 + gamma)
        differences.append(abs(simulated - predicted))
        print(
            f"least-squares without a bias{', R1' if gamma else ''}: from (1, 1) to ({points[-1, 0]:.4f}, "
            f"{points[-1, 1]:.0e}), ψ × {simulated:.6f} a step, predicted {predicted:.6f}: stops, and not at the data"
        )
    return np.max(differences)


# ------------------------------------------------------------------------------------- what holds to the first order


def whole_turns(points, c):
    """The last of the points of alternating steps, four turns of them if there are so many."""
    return points[-round(8 * np.pi / np.angle(upper(step(c, 0, True)))) :]


def radius(points, c):
    """The mean distance from (0, 0) over the last turns."""
    return np.linalg.norm(whole_turns(points, c), axis=1).mean()


def next_terms(steps):
    """What circles near (0, 0), seen from further away; returns the relative differences."""
    times, start = RATE * np.arange(steps + 1), np.linalg.norm(AWAY)
    differences = []
    print(f"alternating, from a distance of {start:.4f}; mean of the last turns:")
    for objective, (c, kappa) in GAMES.items():
        simulated = radius(play(with_equilibrium(objective, AWAY, 0), steps), c)
        predicted = whole_turns(start / np.sqrt(1 + kappa * start**2 * times / 4), c).mean()
        differences.append(simulated / predicted - 1)
        print(f"    {objective:<16}{simulated:.4f}, predicted {predicted:.4f}")
    return differences


def wgan_gp(steps):
    """Where WGAN-GP ends; returns the relative differences."""
    penalty = PENALTIES["wgan-gp"](LAMBDA)
    radii = [radius(play(dirac_gan("wasserstein", start, penalty), steps), 1) for start in (NEAR, (2, 2))]
    print(
        f"wasserstein, alternating, WGAN-GP: from near the equilibrium and from (2, 2) it ends on a circle, of the "
        f"radius {radii[0]:.4f} and {radii[1]:.4f}, predicted 4/π = {4 / np.pi:.4f}"
    )
    return [a * np.pi / 4 - 1 for a in radii]


def averaged(steps):
    """What averaging makes of circles; returns the relative difference."""
    path, angle = play(dirac_gan("minimax", NEAR, average=DECAY), steps), np.angle(upper(step(1 / 2, 0, True)))
    theta, _, mean = whole_turns(path, 1 / 2).T
    simulated, predicted = mean.std() / theta.std(), (1 - DECAY) / abs(1 - DECAY * np.exp(-1j * angle))
    print(
        f"minimax, alternating, average={DECAY}: the averaged θ circles at {simulated:.4f} of θ's distance, "
        f"predicted {predicted:.4f}"
    )
    return [simulated / predicted - 1]


# ----------------------------------------------------------------------------------------------------------- picture


def draw(steps, path):
    """Paths from AWAY, how far they are from the equilibrium, and the eigenvalues; averaged weights."""
    figure = Figure(figsize=(16, 11.5), layout="constrained")
    panels = figure.subplots(3, 4)
    for scheme, column in zip(("simultaneous", "alternating", "alternating, R1"), panels.T, strict=False):
        alternating, gamma = SCHEMES[scheme]
        matrix = step(1 / 2, gamma, alternating)
        points = play(with_equilibrium("minimax", AWAY, gamma), steps, alternating)
        predicted = np.linalg.norm(AWAY) * abs(upper(matrix)) ** np.arange(steps + 1)
        draw_path(column, f"minimax, {scheme}", points, predicted, f"|λ|ⁿ, |λ| = {abs(upper(matrix)):.5f}")
        draw_eigenvalues(column[2], np.linalg.eigvals(matrix), np.linalg.eigvals(fitted(points)))
    points = play(dirac_gan("wasserstein", AWAY, PENALTIES["wgan-gp"](LAMBDA)), steps)
    draw_path(panels[:, 3], "wasserstein, alternating, WGAN-GP", points, np.full(steps + 1, 4 / np.pi), "4/π")
    theta, _, mean = play(dirac_gan("minimax", AWAY, average=DECAY), steps).T
    panels[2, 3].plot(theta, color="tab:blue", linewidth=0.7, label="θ")
    panels[2, 3].plot(mean, color="tab:red", label="averaged θ")
    panels[2, 3].set(title=f"minimax, alternating, average={DECAY}", xlabel="step", ylim=(-0.17, 0.21))
    panels[2, 3].legend(fontsize=8, loc="upper right", ncols=2)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    save(figure, path)


def draw_path(column, title, points, predicted, formula):
    plane, distance = column[:2]
    plane.plot(*points.T, color="tab:blue", linewidth=0.7)
    plane.plot(*points[0], "o", color="tab:blue", label="start")
    plane.plot(*points[-1], "s", color="tab:red", label="end")
    plane.plot(0, 0, "+", color="black", markersize=12, label="equilibrium")
    plane.set(title=title, xlabel="θ", ylabel="ψ", aspect="equal", adjustable="datalim")
    size = np.linalg.norm(points, axis=1)
    distance.plot(size, color="tab:blue", label="simulated")
    distance.plot(predicted, "k--", linewidth=1, label=f"predicted: {formula}")
    distance.set(title="Distance from the equilibrium", xlabel="step", yscale="log", ylim=(min(0.05, size.min()), 5))
    distance.legend(fontsize=8, loc="upper right")


def draw_eigenvalues(axes, predicted, simulated):
    angle = np.linspace(-0.075, 0.075, 200)
    axes.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=1, label="unit circle")
    axes.plot(predicted.real, predicted.imag, "o", color="black", fillstyle="none", markersize=9, label="predicted")
    axes.plot(simulated.real, simulated.imag, "x", color="tab:red", label="simulated")
    axes.set(title="Eigenvalues of a step", xlabel="real part (stretched)", ylabel="imaginary part")
    axes.set(xlim=(0.97, 1.01), ylim=(-0.075, 0.075))
    axes.legend(fontsize=8, loc="center left")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description="The Dirac-GAN: whether a GAN's training converges, in two parameters."
    )
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help="of each game (default 1,000)")
    parser.add_argument("--out", type=Path, default="demos-output/dirac_gan", metavar="DIR", help="for the picture")
    arguments = parser.parse_args(arguments)
    if arguments.steps < 2:
        parser.error(f"expected --steps from 2, got {arguments.steps}")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(str(error))
    steps, full = arguments.steps, arguments.steps >= STEPS
    exact = np.max([table(steps), same_penalties(steps), least_squares_without_bias(steps)])
    print(f"bound {'held' if exact <= BOUND else 'NOT held'}: largest difference {exact:.1e}, allowed {BOUND:g}\n")
    rough = np.abs([*next_terms(steps), *wgan_gp(2 * steps), *averaged(2 * steps)]).max()
    how = f"not judged below {STEPS:,} steps" if not full else "held" if rough <= ROUGH_BOUND else "NOT held"
    print(f"bound {how}: largest difference {rough:.2%}, allowed {ROUGH_BOUND:.0%}")
    draw(steps, arguments.out / "trajectories.png")
    print(arguments.out / "trajectories.png")
    sys.exit(not exact <= BOUND or (full and not rough <= ROUGH_BOUND))


if __name__ == "__main__":
    main()
