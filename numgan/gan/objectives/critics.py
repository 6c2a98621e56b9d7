"""Games of a critic, whose scores are no probabilities: Wasserstein, least squares, hinge, relativistic pairing."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from numgan.errors import ArgumentError, not_negative
from numgan.gan.objectives.base import Objective, Panel, Unpaired, mean
from numgan.hints import Array, Named
from numgan.kernels import losses as kernels
from numgan.kernels.optimizers import clip_weights
from numgan.nn.calls import Call
from numgan.nn.network import Sequential
from numgan.nn.replicas import column, one_or_each

SCORES = [("score_real", "on real", "tab:blue"), ("score_fake", "on generated", "tab:red")]
DISTANCE = Panel("Distance of the scores", [("distance", "real − generated", "purple")], [(0, "equilibrium: zero")])


class Wasserstein(Unpaired):
    """The critic f minimises E[f(G(z))] − E[f(x)], the generator −E[f(G(z))]: Arjovsky et al. 2017, arXiv:1701.07875.

    clip  c: after every update the critic's parameters are clipped to [−c, c]. Default 0.01, as in algorithm 1. 0 is no
          clipping: f then needs some other bound, without which its scores grow for ever. Or a list of one for each
          replica, all of which are clipped then.

    >>> critic = Sequential([Dense(1)], 2, rng)
    >>> gan = GAN(Sequential([Dense(2)], 3, rng), critic, objective=Wasserstein(clip=0.05))
    >>> history = gan.fit(SinePoints(), steps=1, batch_size=8, rng=rng)
    >>> bool(max(np.abs(a).max() for a in critic.parameters().values()) <= np.float32(0.05))
    True
    """

    name, takes = "wasserstein", ("clip",)
    columns = ("score_real", "score_fake", "g_loss")
    derived = MappingProxyType({"distance": lambda h: h["score_real"] - h["score_fake"]})
    watched = (("critic: on real", "score_real", ".4f"), ("on generated", "score_fake", ".4f"),
               ("their distance", "distance", ".4f"))  # fmt: skip
    panels = (
        Panel("Critic's scores", SCORES),
        DISTANCE,
        Panel("Generator loss (wasserstein)", [("g_loss", "generator", "darkorange")]),
    )

    def __init__(self, clip: float | Sequence[float] = 0.01) -> None:
        self.clip = one_or_each("clip", clip, not_negative)
        if isinstance(self.clip, tuple) and not all(self.clip):
            raise ArgumentError(f"clip: of replicas all are clipped or none, got {self.clip}")

    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        return [_slopes(out, _per_row(z, reals, -1, 1))]

    def generator_gradient(self, z: Array, out: Array, real: Array | None = None) -> list[Call]:
        return self.discriminator_gradient(z, out, z.shape[-1])  # fakes are to be scored as real rows are

    def after_update(self, network: Sequential) -> list[Call]:
        if not self.clip:
            return []
        theta, clip = network.values, column(self.clip, network.dtype, 1)
        bounds = -clip, clip
        arguments = dict(zip(("theta", "low", "high"), (theta, *bounds), strict=True))
        return [Call(clip_weights, arguments, network.name, "all parameters", "update")]

    def real_losses(self, z: Array) -> Array:
        return _signed(z, -1)

    def fake_losses(self, z: Array) -> Array:
        return _signed(z, 1)

    def generator_losses(self, z: Array, real: Array | None = None) -> Array:
        return self.real_losses(z)

    def measure_discriminator(self, real: Array, fake: Array) -> Named:
        return {"score_real": mean(real), "score_fake": mean(fake)}

    def measure_generator(self, z: Array, real: Array | None = None) -> Named:
        return {"g_loss": mean(self.generator_losses(z))}


class MeanLosses(Unpaired):
    """A critic whose loss is the sum of its mean losses on real and on generated rows: what history shows of it."""

    columns = ("score_real", "score_fake", "d_loss_real", "d_loss_fake", "g_loss")
    derived = MappingProxyType({"d_loss": lambda h: h["d_loss_real"] + h["d_loss_fake"]})
    watched = (
        ("critic: loss", "d_loss", ".4f"),
        ("score on real", "score_real", ".4f"),
        ("on generated", "score_fake", ".4f"),
        ("generator: loss", "g_loss", ".4f"),
    )
    _sides: ClassVar = [("d_loss_real", "on real", "tab:blue"), ("d_loss_fake", "on generated", "tab:red")]
    _sum: ClassVar = [("d_loss", "both: their sum", "0.2")]

    def measure_discriminator(self, real: Array, fake: Array) -> Named:
        scores = {"score_real": mean(real), "score_fake": mean(fake)}
        return scores | {"d_loss_real": mean(self.real_losses(real)), "d_loss_fake": mean(self.fake_losses(fake))}

    def measure_generator(self, z: Array, real: Array | None = None) -> Named:
        return {"g_loss": mean(self.generator_losses(z))}


class LeastSquares(MeanLosses):
    """The critic minimises ½E[(D(x) − 1)²] + ½E[D(G(z))²], the generator ½E[(D(G(z)) − 1)²].

    Mao et al. 2017, arXiv:1611.04076, eq. 9: real rows are labelled b = 1, generated ones a = 0, and the generator
    wants c = 1. The best critic is D = p_data/(p_data + p_g) (eq. 5), as in the minimax game, and at the equilibrium
    D = ½, so that each mean is ⅛. But nothing keeps D within [0, 1]. Unlike a cross-entropy the generator's loss has a
    slope wherever D is not 1, for rows far on the right side too.

    >>> scores = np.array([[0.0], [0.5], [2.0]])
    >>> LeastSquares().real_losses(scores).ravel().tolist()  # ½(D − 1)²
    [0.5, 0.125, 0.5]
    >>> LeastSquares().fake_losses(scores).ravel().tolist()  # ½D²
    [0.0, 0.125, 2.0]
    """

    name, undecided = "least-squares", 0.5
    panels = (
        Panel("Critic's scores", SCORES, [(0.5, "equilibrium: D = ½")]),
        Panel(
            "Critic's loss",
            MeanLosses._sides + MeanLosses._sum,
            [(1 / 8, "equilibrium: ⅛"), (1 / 4, "¼: their sum")],
            (0, None),
        ),
        Panel(
            "Generator loss (least-squares)",
            [("g_loss", "generator", "darkorange")],
            [(1 / 8, "equilibrium: ⅛")],
            (0, None),
        ),
    )

    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        arguments = {"z": z, "target": _sides(z, reals, 1, 0), "share": _per_row(z, reals, 1, 1), "out": out}
        return [Call(kernels.least_squares_backward, arguments, layer="loss", direction="backward")]

    def generator_gradient(self, z: Array, out: Array, real: Array | None = None) -> list[Call]:
        return self.discriminator_gradient(z, out, z.shape[-1])  # c = b: fakes are to be scored as real rows are

    def real_losses(self, z: Array) -> Array:
        return self._elements(z, 1)

    def fake_losses(self, z: Array) -> Array:
        return self._elements(z, 0)

    def generator_losses(self, z: Array, real: Array | None = None) -> Array:
        return self.real_losses(z)

    def _elements(self, z, target):
        out = np.empty_like(z)
        kernels.least_squares_forward(z, target, out)
        return out


class Hinge(MeanLosses):
    """The critic minimises E[max(0, 1 − D(x))] + E[max(0, 1 + D(G(z)))], the generator −E[D(G(z))].

    Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eq. 16 and 17. Rows beyond their margin, at 1
    or −1, teach the critic nothing more. At the equilibrium the critic's loss is 2, whatever one value in [−1, 1] it
    gives to all rows: 1 − D and 1 + D. So theory names a value of the loss, but none of the scores.

    >>> scores = np.array([[-1.0], [0.5], [2.0]])
    >>> Hinge().real_losses(scores).ravel().tolist()
    [2.0, 0.5, 0.0]
    >>> Hinge().fake_losses(scores).ravel().tolist()
    [0.0, 1.5, 3.0]
    """

    name = "hinge"
    panels = (
        Panel("Critic's scores", SCORES, [(1, "margin of real rows: 1"), (-1, "margin of generated rows: −1")]),
        Panel("Critic's loss on either side", MeanLosses._sides, [], (0, None)),
        Panel("Critic's loss", MeanLosses._sum, [(2, "equilibrium: 2")], (0, None)),
        Panel("Generator loss (hinge)", [("g_loss", "generator", "darkorange")]),
    )

    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        arguments = {"z": z, "sign": _sides(z, reals, 1, -1), "slope": _per_row(z, reals, -1, 1), "out": out}
        return [Call(kernels.hinge_backward, arguments, layer="loss", direction="backward")]

    def generator_gradient(self, z: Array, out: Array, real: Array | None = None) -> list[Call]:
        return [_slopes(out, _per_row(z, z.shape[-1], -1, 1))]

    def real_losses(self, z: Array) -> Array:
        return self._elements(z, 1)

    def fake_losses(self, z: Array) -> Array:
        return self._elements(z, -1)

    def generator_losses(self, z: Array, real: Array | None = None) -> Array:
        return _signed(z, -1)

    def _elements(self, z, sign):
        out = np.empty_like(z)
        kernels.hinge_forward(z, sign, out)
        return out


class Relativistic(Objective):
    """Relativistic pairing: the critic minimises E[softplus(−(D(x) − D(G(z))))], the generator the same with the
    difference turned round, E[softplus(−(D(G(z)) − D(x)))], softplus(a) = log(1 + eᵃ).

    Jolicoeur-Martineau 2018, arXiv:1807.00734, as Huang et al. 2024, arXiv:2501.05441, eq. 2, use it. Real row i is
    compared with generated row i, so that only differences count: whatever is added to all scores changes nothing, and
    a critic's last bias has no gradient. At the equilibrium D is the same for all rows, and either loss log 2.

    >>> real, fake = np.array([[2.0], [0.0]]), np.array([[0.0], [0.0]])
    >>> Relativistic().generator_losses(fake, real).ravel().round(4).tolist()  # log(1 + e²), log 2
    [2.1269, 0.6931]
    >>> Relativistic().generator_losses(fake + 5, real + 5).ravel().round(4).tolist()
    [2.1269, 0.6931]
    """

    name, pairs = "relativistic", True
    columns = ("score_real", "score_fake", "d_loss", "g_loss")
    derived = MappingProxyType({"distance": lambda h: h["score_real"] - h["score_fake"]})
    watched = (
        ("critic: loss", "d_loss", ".4f"),
        ("score, real − generated", "distance", ".4f"),
        ("generator: loss", "g_loss", ".4f"),
    )
    panels = (
        Panel("Critic's scores", SCORES),
        DISTANCE,
        Panel("Critic's loss", [("d_loss", "critic", "0.2")], [(np.log(2), "equilibrium: log 2")], (0, None)),
        Panel(
            "Generator loss (relativistic)",
            [("g_loss", "generator", "darkorange")],
            [(np.log(2), "equilibrium: log 2")],
            (0, None),
        ),
    )

    def discriminator_gradient(self, z: Array, out: Array, reals: int) -> list[Call]:
        real, fake = np.s_[..., :reals], np.s_[..., reals:]
        pair = z[real], z[fake]
        scores = reals * z.shape[-2]
        return [_pairing(*pair, -1 / scores, out[real]), _pairing(*pair, 1 / scores, out[fake])]

    def generator_gradient(self, z: Array, out: Array, real: Array | None = None) -> list[Call]:
        return [_pairing(z, real, -1 / (z.shape[-1] * z.shape[-2]), out)]

    def discriminator_terms(self, real: Array, fake: Array) -> Array:
        return self._elements(real, fake) / (real.shape[-2] * real.shape[-1])

    def generator_losses(self, z: Array, real: Array | None = None) -> Array:
        return self._elements(z, real)

    def _elements(self, better, worse):
        out = np.empty_like(better)
        kernels.pairing_forward(better, worse, out)
        return out

    def measure_discriminator(self, real: Array, fake: Array) -> Named:
        return {"score_real": mean(real), "score_fake": mean(fake), "d_loss": mean(self._elements(real, fake))}

    def measure_generator(self, z: Array, real: Array | None = None) -> Named:
        return {"g_loss": mean(self.generator_losses(z, real))}


# -------------------------------------------------------------------------------------------------------- in common


def _sides(z, reals, real, fake):
    """An array like z: `real` in the first `reals` columns, `fake` in all others. (One row for several replicas would
    go through a buffer of NumPy's own at every step.)
    """
    row = np.repeat(np.array([real, fake], z.dtype), [reals, z.shape[-1] - reals])
    return np.array(np.broadcast_to(row, z.shape))


def _per_row(z, reals, real, fake):
    """What each score has of its side's mean: real/reals in the first `reals` columns, fake/fakes in all others, and of
    that a share for each patch.
    """
    patches, fakes = z.shape[-2], z.shape[-1] - reals
    return _sides(z, reals, real / (max(reals, 1) * patches), fake / (max(fakes, 1) * patches))


def _slopes(out, slope):
    """The call that writes slopes which depend on no score."""
    return Call(kernels.critic_backward, {"slope": slope, "out": out}, layer="loss", direction="backward")


def _signed(z, sign):
    out = np.empty_like(z)
    kernels.critic_forward(z, sign, out)
    return out


def _pairing(better, worse, slope, out):
    """The call that writes slope·σ(worse − better)."""
    constants = {name: np.array(value, out.dtype) for name, value in (("half", 0.5), ("half_slope", slope / 2))}
    arguments = {"better": better, "worse": worse, **constants, "out": out}
    return Call(kernels.pairing_backward, arguments, layer="loss", direction="backward")
