"""`L1`: what the generator pays, besides its objective, for every pixel that is not the target's.

Isola, Zhu, Zhou & Efros 2017, Image-to-Image Translation with Conditional Adversarial Networks, arXiv:1611.07004, eq. 3
and 4: G* = arg min_G max_D L_cGAN(G, D) + λ·L_L1(G), with L_L1 = E‖y − G(x, z)‖₁. As in their code, the norm is a mean
over pixels, so that λ does not depend on a picture's size. Both gradients meet at the generator's output: the
discriminator's has been written there when this one is added.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numgan.errors import positive
from numgan.gan.objectives import Panel
from numgan.hints import Array, Named
from numgan.kernels import losses as kernels
from numgan.nn.calls import Call
from numgan.nn.replicas import column, one_or_each


class L1:
    """λ·mean |G − target|, the mean over rows and numbers of a row.

    weight  λ, positive, or a list of one for each replica.
    """

    columns = ("l1",)
    watched = (("mean |G − target|", "l1", ".4f"),)  # as an objective's

    def __init__(self, weight: float | Sequence[float]) -> None:
        self.weight = one_or_each("GAN: l1_weight", weight, positive)

    def calls(self, y: Array, target: Array, dy: Array, errors: Array) -> list[Call]:
        """The calls that add the gradient to dy and write each row's mean error.

        y, target, dy  (…, n, N): the generator's output, what it should be, and ∂L/∂y as the discriminator left it.
        errors         (…, 1, N).
        """
        share = column(np.array(self.weight) / (y.shape[-2] * y.shape[-1]), y.dtype, 2)
        named = {"y": y, "target": target}
        temp = np.empty_like(y)
        return [
            Call(
                kernels.absolute_error_backward, named | {"share": share, "temp": temp, "out": dy}, "l1", "", "backward"
            ),
            Call(kernels.absolute_error_means, named | {"temp": temp, "out": errors}, "l1", "", "forward"),
        ]

    def measure(self, errors: Array) -> Named:
        """name -> value of its column, mean |G − target| without λ, from errors (…, N, 1) of a step or several."""
        return {"l1": errors.mean(axis=(-2, -1), dtype=np.float64)}

    @property
    def panels(self) -> list[Panel]:
        """For history.png."""
        return [Panel("Distance to the target", [("l1", "mean |G − target|", "tab:green")], [], (0, None))]
