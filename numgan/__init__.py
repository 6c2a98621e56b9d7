"""numgan: generative adversarial networks in pure NumPy, every gradient derived and coded by hand."""

from numgan.errors import Error
from numgan.gan.fit import NonFiniteError
from numgan.gan.history import History
from numgan.gan.model import GAN
from numgan.gan.objectives import Minimax, NonSaturating, Wasserstein
from numgan.gradcheck.differences import check_gradients
from numgan.gradcheck.report import GradientError
from numgan.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.dense import Dense
from numgan.nn.initializers import normal
from numgan.nn.layer import Layer
from numgan.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from numgan.nn.model_file import ModelFileError
from numgan.nn.network import Sequential
from numgan.nn.optimizers import SGD, Adam
from numgan.nn.torch_layout import from_torch_layout, to_torch_layout

__version__ = "0.1.0"
__all__ = [
    "GAN",
    "SGD",
    "Adam",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Dense",
    "Error",
    "GradientError",
    "History",
    "Layer",
    "LeakyReLU",
    "Minimax",
    "ModelFileError",
    "NonFiniteError",
    "NonSaturating",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Tanh",
    "Wasserstein",
    "check_gradients",
    "from_torch_layout",
    "normal",
    "to_torch_layout",
]
