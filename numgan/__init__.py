"""numgan: generative adversarial networks in pure NumPy, every gradient derived and coded by hand."""

from numgan.exchange import from_torch_layout, to_torch_layout
from numgan.gan import GAN, NonFiniteError
from numgan.gradcheck import check_gradients
from numgan.gradreport import GradientError
from numgan.history import History
from numgan.initializers import normal
from numgan.layers import BatchNorm, Dense, Layer, LeakyReLU, ReLU, Sigmoid, Tanh
from numgan.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from numgan.network import Sequential
from numgan.optimizers import SGD, Adam
from numgan.saving import ModelFileError

__version__ = "0.1.0"
__all__ = [
    "GAN",
    "SGD",
    "Adam",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Dense",
    "GradientError",
    "History",
    "Layer",
    "LeakyReLU",
    "ModelFileError",
    "NonFiniteError",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Tanh",
    "check_gradients",
    "from_torch_layout",
    "normal",
    "to_torch_layout",
]
