"""The layers that numgan has, by name: what model files, gradient checks and tests go through."""

from numgan.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from numgan.nn.batch_norm import BatchNorm
from numgan.nn.dense import Dense

LAYERS = {cls.__name__: cls for cls in (Dense, ReLU, LeakyReLU, Tanh, Sigmoid, BatchNorm)}
