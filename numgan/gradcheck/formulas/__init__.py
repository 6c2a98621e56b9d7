"""What a gradient check cannot see, against formulas written out in plain Python: forward values, running statistics,
optimiser updates, rates, what is paid and when; and a stack of replicas against single GANs. A chapter a file.

A check is a function (seed, tolerance) -> Report.
"""

from numgan.gradcheck.formulas import layers, losses, optimizers, penalties, rates, replicas, spectral_norm

__all__ = ["layers", "losses", "optimizers", "penalties", "rates", "replicas", "spectral_norm"]
