"""numgan: generative adversarial networks in pure NumPy, every gradient derived and coded by hand.

Examples in docstrings take as given

    import numpy as np
    from numgan import *
    from numgan.data import *
    rng = np.random.default_rng(0)
"""

from typing import TYPE_CHECKING, Any

from numgan.errors import Error
from numgan.gan.conditions import Label, Picture, Text
from numgan.gan.fit import NonFiniteError
from numgan.gan.history import History
from numgan.gan.model import GAN
from numgan.gan.objectives import Hinge, LeastSquares, Minimax, NonSaturating, OwnLosses, Relativistic, Wasserstein
from numgan.gan.penalty import R1, R1R2, R2, WassersteinPenalty
from numgan.gan.progress import ProgressBar
from numgan.gradcheck.check import check_adjoint, check_gradients
from numgan.gradcheck.report import GradientError
from numgan.names import missing
from numgan.nn import (
    activations,
    batch_norm,
    convolution,
    dense,
    dropout,
    embedding,
    joining,
    losses,
    optimizers,
    rates,
    resampling,
    reshaping,
    spectral_norm,
)
from numgan.nn.activations import *
from numgan.nn.batch_norm import *
from numgan.nn.convolution import *
from numgan.nn.dense import *
from numgan.nn.dropout import *
from numgan.nn.embedding import *
from numgan.nn.initializers import normal
from numgan.nn.joining import *
from numgan.nn.layer import Layer
from numgan.nn.losses import *
from numgan.nn.model_file import ModelFileError
from numgan.nn.network import Sequential
from numgan.nn.optimizers import *
from numgan.nn.rates import *
from numgan.nn.resampling import *
from numgan.nn.reshaping import *
from numgan.nn.spectral_norm import *
from numgan.nn.torch_layout import from_torch_layout, to_torch_layout

__version__ = "0.1.0"
__all__ = [
    "GAN",
    "R1",
    "R1R2",
    "R2",
    "Error",
    "GradientError",
    "Hinge",
    "History",
    "Label",
    "Layer",
    "LeastSquares",
    "Minimax",
    "ModelFileError",
    "NonFiniteError",
    "NonSaturating",
    "OwnLosses",
    "Picture",
    "ProgressBar",
    "Relativistic",
    "Sequential",
    "Text",
    "Wasserstein",
    "WassersteinPenalty",
    "check_adjoint",
    "check_gradients",
    "from_torch_layout",
    "normal",
    "to_torch_layout",
]
# the chapters list their own, so that a layer that joins one is offered here too
__all__ += activations.__all__
__all__ += batch_norm.__all__
__all__ += convolution.__all__
__all__ += dense.__all__
__all__ += dropout.__all__
__all__ += embedding.__all__
__all__ += joining.__all__
__all__ += losses.__all__
__all__ += optimizers.__all__
__all__ += rates.__all__
__all__ += resampling.__all__
__all__ += reshaping.__all__
__all__ += spectral_norm.__all__

if not TYPE_CHECKING:  # to a type checker it would say that there is any name

    def __getattr__(name: str) -> Any:
        missing(name)
