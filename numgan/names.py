"""What Keras and PyTorch call things, and what numgan has in their place: for errors that name ours.

There are no aliases. A call with an argument that is none, an attribute or an import by another library's name fails
with one sentence, which says what to write here. All of them stand in the tables below.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from numgan.errors import ArgumentTypeError, MissingAttributeError, MissingNameError, shown

F = TypeVar("F", bound=Callable[..., Any])

# Keras's and PyTorch's names of arguments -> ours; where there are several, the one that the call takes is meant.
ARGUMENTS = {
    "alpha": ("slope", "rho"),
    "beta_1": ("beta1",),
    "beta_2": ("beta2",),
    "betas": ("beta1", "beta2"),
    "callbacks": ("callback",),
    "embedding_dim": ("features",),
    "eps": ("epsilon",),
    "gamma": ("weight",),
    "input_shape": ("shape",),
    "iterations": ("steps",),
    "kernel_initializer": ("initializer",),
    "kernel_size": ("pool_size",),
    "lr": ("learning_rate",),
    "nb_epoch": ("epochs",),
    "negative_slope": ("slope",),
    "num_embeddings": ("count",),
    "out_channels": ("filters",),
    "out_features": ("units",),
    "output_dim": ("features", "units"),
    "p": ("rate",),
    "scale_factor": ("size",),
    "stride": ("strides",),
    "target_shape": ("shape",),
    "x": ("data",),
}
# What has no name here -> what to do. "Reshape.input_shape" is of that class alone, and goes before all others.
SHAPES = "leave it out: Sequential(layers, shape, rng) takes the shape of an input, and each layer works out its own"
FLAGS = "leave it out: in each of a GAN's steps one network learns, and nothing of the other changes"
ELSEWHERE = {
    "amsgrad": "numgan has Adam as in the paper",
    "batch_input_shape": SHAPES,
    "bias": "leave it out: Dense and the convolutions always have one",
    "data_format": "leave it out: images are (batch, channels, height, width)",
    "decay": "learning_rate may be a Rate(peak, decay=…, total=…)",
    "dtype": "leave it out: Sequential(…, dtype=…) holds for all layers",
    "Embedding.input_dim": "its name here is count",
    "in_channels": SHAPES,
    "in_features": SHAPES,
    "inplace": "leave it out: a network overwrites where it can",
    "input_dim": SHAPES,
    "input_shape": SHAPES,
    "input_size": SHAPES,
    "metrics": "leave it out: every training step returns the loss and the accuracy",
    "name": "leave it out: layers are named by kind and position",
    "num_features": SHAPES,
    "params": "leave it out: a network takes its optimiser, by GAN(…) or compile(optimizer)",
    "reduction": "leave it out: a loss is the mean over the batch",
    "Reshape.input_shape": SHAPES,
    "shuffle": "leave it out: steps=… draws rows at random, epochs=… goes through all in a new order each",
    "trainable": FLAGS,
    "use_bias": "leave it out: Dense and the convolutions always have one",
    "validation_data": "callback(steps done, history) can measure what you like",
    "verbose": "leave it out: fit prints nothing, callback(steps done, history) can",
    "weight_decay": "numgan has none",
    "y": "leave it out: a GAN labels its rows itself",
}
ACTIVATIONS = {
    "leaky_relu": "LeakyReLU()",
    "relu": "ReLU()",
    "sigmoid": "Sigmoid()",
    "silu": "SiLU()",
    "swish": "SiLU()",
    "tanh": "Tanh()",
}
# Of a class: attributes that Keras's or PyTorch's have -> what to do.
ATTRIBUTES = {
    "Layer": {"requires_grad_": FLAGS, "trainable": FLAGS},
    "Optimizer": {
        "beta_1": "its name here is beta1",
        "beta_2": "its name here is beta2",
        "iterations": "its name here is steps",
        "lr": "its name here is learning_rate",
        "minimize": "its step() updates the network that it was given to",
        "param_groups": "learning_rate holds for the network that it was given to",
        "zero_grad": "leave it out: a backward pass overwrites the gradients",
    },
    "Sequential": {
        "add": "Sequential([…], shape, rng) takes all layers at once",
        "eval": "leave it out: predict is inference, forward(x, training=…) is told",
        "fit": "compile(optimizer) and train_on_batch(x, target) train a network alone; a GAN has fit",
        "get_weights": "its name here is state_dict",
        "input_shape": "shapes[0] is the shape of an input",
        "load_weights": "load_state_dict takes what state_dict gave; a GAN has save and load",
        "output_shape": "shapes[-1] is the shape of an output",
        "requires_grad_": FLAGS,
        "save": "state_dict gives all that it has learnt; a GAN has save and load",
        "save_weights": "state_dict gives all that it has learnt; a GAN has save and load",
        "set_weights": "its name here is load_state_dict",
        "train": "leave it out: train_on_batch trains, forward(x, training=…) is told",
        "trainable": FLAGS,
        "zero_grad": "leave it out: a backward pass overwrites the gradients",
    },
    "GAN": {
        "compile": "GAN(generator, discriminator, generator_optimizer, discriminator_optimizer, objective) takes all",
        "generate": "its name here is sample",
        "train_on_batch": "its names here are train_discriminator(real, noise) and train_generator(noise)",
        "trainable": FLAGS,
    },
}
# What is imported by another library's name.
IMPORTS = {
    "Activation": "its names here are those of the activations: ReLU(), LeakyReLU(), Tanh(), Sigmoid(), SiLU()",
    "AvgPool2d": "its name here is AveragePooling2D",
    "BCELoss": "its name here is BinaryCrossEntropy",
    "BCEWithLogitsLoss": "its name here is BinaryCrossEntropy(from_logits=True)",
    "BatchNorm1d": "its name here is BatchNorm",
    "BatchNorm2d": "its name here is BatchNorm",
    "BatchNormalization": "its name here is BatchNorm",
    "BinaryCrossentropy": "its name here is BinaryCrossEntropy",
    "CategoricalCrossentropy": "its name here is SoftmaxCrossEntropy",
    "Concatenate": "its name here is Join",
    "Conv2d": "its name here is Conv2D",
    "ConvTranspose2d": "its name here is Conv2DTranspose",
    "CrossEntropyLoss": "its name here is SoftmaxCrossEntropy",
    "Input": "Sequential(layers, shape, rng) takes the shape of an input",
    "InputLayer": "Sequential(layers, shape, rng) takes the shape of an input",
    "Linear": "its name here is Dense",
    "Model": "its name here is Sequential",
    "Module": "its names here are Layer and Sequential",
    "RMSProp": "its name here is RMSprop",
    "SpectralNormalization": "its name here is SpectralNorm",
    "Upsample": "its name here is UpSampling2D",
}


def hint(what: str, name: str, value: Any, takes: list[str]) -> str:
    """What to write in place of an argument that `what`, which takes others, does not have."""
    if name == "activation":
        layer = ACTIVATIONS.get(value) if isinstance(value, str) else None
        return f"put {layer or 'an activation such as ReLU()'} behind it as a layer of its own"
    own = f"{what}.{name}"
    ours = [known for known in ARGUMENTS.get(name, ()) if known in takes]
    if ours and own not in ELSEWHERE:
        return f"its name here is {' and '.join(ours) if name == 'betas' else ours[0]}"
    return ELSEWHERE.get(own) or ELSEWHERE.get(name) or f"it takes {', '.join(takes) or 'none'}"


def says_ours(function: F) -> F:
    """A function whose calls with wrong arguments say what the right ones are; all else about it stays."""
    signature = inspect.signature(function)
    takes = [name for name in signature.parameters if name != "self"]

    @functools.wraps(function)
    def checked(*args, **kwargs):
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            what = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
            unknown = next((name for name in kwargs if name not in takes), None)
            if unknown is None:
                raise ArgumentTypeError(f"{what}: {error}; it takes {', '.join(takes) or 'none'}") from None
            told = hint(what, unknown, kwargs[unknown], takes)
            raise ArgumentTypeError(f"{what} has no argument {shown(unknown, 40)[1:-1]}; {told}") from None
        return function(*args, **kwargs)

    return checked


class Theirs:
    """An attribute by another library's name: whoever reads or sets it is told what to do here."""

    def __init__(self, says: str) -> None:
        self.says = says

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type) -> Any:
        return self if owner is None else self._refuse(owner)

    def __set__(self, owner: Any, value: Any) -> None:
        self._refuse(owner)

    def _refuse(self, owner) -> NoReturn:
        raise MissingAttributeError(f"{type(owner).__name__} has no {self.name}; {self.says}")


class SaysOurs:
    """A base of classes whose constructors, and those of all classes below, are `says_ours`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            setattr(cls, "__init__", says_ours(vars(cls)["__init__"]))  # noqa: B010 — of a class, mypy says
        for name, says in ATTRIBUTES.get(cls.__name__, {}).items():
            attribute = Theirs(says)
            attribute.__set_name__(cls, name)
            setattr(cls, name, attribute)


def missing(name: str) -> NoReturn:
    """Refuse an attribute that numgan does not have; where it is another library's name of something, by what an import
    statement lets through as it is.
    """
    if name in IMPORTS:
        raise MissingNameError(f"numgan has no {name}; {IMPORTS[name]}")
    module = sys.modules["numgan"]  # from whose names Python suggests one
    raise MissingAttributeError(f"module 'numgan' has no attribute {shown(name)}", name=name, obj=module)
