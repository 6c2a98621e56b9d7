"""numgan: generative adversarial networks in pure NumPy, every gradient derived and coded by hand."""

from numgan.gan import GAN, NonFiniteError
from numgan.history import History
from numgan.initializers import normal
from numgan.layers import BatchNorm, Dense, Layer, LeakyReLU, ReLU, Sigmoid, Tanh
from numgan.losses import BinaryCrossEntropy
from numgan.network import Sequential
from numgan.optimizers import SGD, Adam
from numgan.saving import ModelFileError

__version__ = "0.1.0"
__all__ = [
    "GAN", "SGD", "Adam", "BatchNorm", "BinaryCrossEntropy", "Dense", "History", "Layer", "LeakyReLU",
    "ModelFileError", "NonFiniteError", "ReLU", "Sequential", "Sigmoid", "Tanh", "normal",
]  # fmt: skip
