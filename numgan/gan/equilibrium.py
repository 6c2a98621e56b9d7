"""When to stop: the game's equilibrium, where the discriminator can only guess.

At the optimum of the minimax game p_g = p_data and D = ½ everywhere (Goodfellow et al. 2014, arXiv:1406.2661,
proposition 1 and theorem 1); a least-squares critic's optimum is the same. On the rows it was trained on a
discriminator may be sure of itself long after it has stopped knowing anything, so it is asked about real rows held out
from training and about fresh fakes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from numgan.errors import ArgumentError, between, generator, instance, method_of, shown
from numgan.gan.conditions import together
from numgan.gan.model import GAN
from numgan.gan.parts import RandomState
from numgan.hints import ConditionalSource, Named, Numbers, Rng, Source

ROWS = 1_000  # real rows and fakes per check
PATIENCE = 5  # checks running: a game that swings passes ½ now and then
TOLERANCE = 0.05


def _lines(objective):
    """What history.png shows of an objective's equilibrium, in words."""
    return "; ".join(f"{panel.title} ({', '.join(text for _, text in panel.lines)})" for panel in objective.panels
                     if panel.lines)  # fmt: skip


class Equilibrium:
    """Watches the mean of |D − ½|, so that sure answers on both sides do not average to ½.

    held_out   a data source of real rows that the GAN is not trained on.
    tolerance  in (0, ½): the largest mean of |D − ½| that counts as undecided, on real rows and on fakes.
    """

    def __init__(self, gan: GAN, held_out: Source | ConditionalSource, tolerance: float, rng: Rng) -> None:
        instance("Equilibrium: gan", gan, GAN)
        method_of("Equilibrium: held_out", held_out, "a source of rows", "sample")
        if tuple(held_out.shape) != gan.discriminator.shapes[0]:
            raise ArgumentError(
                f"Equilibrium: held_out has rows of shape {shown(held_out.shape)}, the discriminator expects "
                f"{gan.discriminator.shapes[0]}"
            )
        rng = generator("Equilibrium: rng", rng)
        tolerance = between("the equilibrium's tolerance", tolerance, 0, 0.5)
        if gan.objective.undecided is None:
            raise ArgumentError(
                f"the objective {gan.objective.name} has no equilibrium to watch for: its discriminator is a critic, "
                f"whose scores have no value that means undecided; history.png shows instead: {_lines(gan.objective)}"
            )
        self._gan, self._rng, self.tolerance = gan, rng, tolerance
        self._held_out = together(held_out, gan.conditions)
        self._rows = np.empty((ROWS, *self._held_out.shape), gan.discriminator.dtype)
        self._running = 0
        self.step = self.on_real = self.on_fake = None

    def check(self, step: int) -> bool:
        """Ask the discriminator; True when it has been undecided for PATIENCE checks running."""
        self._held_out.sample(ROWS, self._rng, self._rows)
        rows, conditions = self._held_out.split(self._rows)
        real = self._gan.discriminator.predict(rows, **conditions)
        g = self._gan.generator  # which plays the game, averaged or not
        noise = self._gan.draw_noise(ROWS, self._rng)
        fake = self._gan.discriminator.predict(g.predict(noise, **conditions), **conditions)
        self.step, self.on_real, self.on_fake = (
            step,
            *(float(np.abs(d - self._gan.objective.undecided).mean()) for d in (real, fake)),
        )
        self._running = self._running + 1 if max(self.on_real, self.on_fake) <= self.tolerance else 0
        return self.reached

    def state_dict(self) -> Named:
        """running, what the last check found (step, on real, on fake; NaN before it), and the random generator's."""
        found = [np.nan if value is None else value for value in (self.step, self.on_real, self.on_fake)]
        return {"running": np.array(self._running), "found": np.array(found)} | RandomState(self._rng).state_dict()

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Raise ValueError unless these are what `state_dict` gives."""
        running, found = (np.asarray(arrays.get(name, "")) for name in ("running", "found"))
        if running.shape != () or running.dtype.kind != "i" or found.shape != (3,) or found.dtype.kind != "f":
            raise ArgumentError("the state of an equilibrium is a count of checks and the three numbers of the last")
        RandomState(self._rng).check_state_dict({k: a for k, a in arrays.items() if k not in ("running", "found")})

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Go on watching from there."""
        self.check_state_dict(arrays)
        self._running = int(arrays["running"])
        step, self.on_real, self.on_fake = (None if np.isnan(v) else float(v) for v in arrays["found"])
        self.step = None if step is None else int(step)
        RandomState(self._rng).load_state_dict({"state": arrays["state"]})

    @property
    def reached(self) -> bool:
        return self._running >= PATIENCE

    def __str__(self):
        if self.step is None:
            return "no equilibrium: training ended before the first check"
        return (
            f"{'equilibrium' if self.reached else 'no equilibrium'} at step {self.step:,}: mean |D − ½| is "
            f"{self.on_real:.3f} on held-out real rows and {self.on_fake:.3f} on fresh fakes; asked for at most "
            f"{self.tolerance:g} in {PATIENCE} checks running, had {self._running}"
        )
