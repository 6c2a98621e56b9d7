"""Conditions: what a sample is asked to be. A class, a picture, a sentence; as objects that read what callers give.

A conditional GAN (Mirza & Osindero 2014, arXiv:1411.1784) gives one and the same condition to both networks, which read
it by way of a `Join`: the generator beside its noise, the discriminator beside the row that it judges.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.errors import ArgumentError, as_shape, instance, mapping, real_array, shown, whole
from numgan.hints import Array, ConditionalSource, Config, DType, Named, Numbers, Rng, Shape, Source

if TYPE_CHECKING:
    from numgan.nn.network import Sequential


class Condition(ABC):
    """What a condition may be. `shape` is that of one sample's, as networks read it; `largest` the largest of its
    numbers, where they choose.
    """

    shape: Shape
    largest: int | None = None
    takes: tuple[str, ...] = ()

    @abstractmethod
    def check(self, name: str, c: Array) -> None:
        """Raise unless c (…, rows, *shape) is one; `name` is what the caller calls it."""

    def array(self, name: str, given: Any, rows: int, replicas: Shape = (), dtype: DType = np.float64) -> Array:
        """What a caller gives, one for all rows or one for each, as an array (rows, *shape) or (*replicas, rows,
        *shape) of numbers that `dtype` can hold.
        """
        c = real_array(name, self.read(name, given), dtype)
        if self.shape == (1,) and c.shape in ((), (rows,), (*replicas, rows)):
            c = c[..., None]
        if c.shape == self.shape:
            c = np.broadcast_to(c, (rows, *self.shape))
        if c.shape not in ((rows, *self.shape), (*replicas, rows, *self.shape)):
            raise ArgumentError(f"{name} has the shape {c.shape}, expected {self.shape} or {(rows, *self.shape)}")
        self.check(name, c)
        return c

    def read(self, name: str, given: Any) -> Numbers:
        """Numbers from what a caller gives. Default: it is numbers."""
        return given

    def config(self) -> Config:
        """The keyword arguments that make this condition again, as JSON-ready values."""
        return {name: getattr(self, name) for name in self.takes}

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={shown(v)}' for k, v in self.config().items())})"


class Choice(Condition):
    """What is said in whole numbers from 0 to `largest`; `said` is what messages call them."""

    largest: int
    said = "a whole number"

    def check(self, name: str, c: Array) -> None:
        wrong = c[(c != np.floor(c)) | (c < 0) | (c > self.largest)]
        if wrong.size:
            raise ArgumentError(f"{name} must be {self.said} from 0 to {self.largest}, got {wrong.flat[0]:g}")


class Label(Choice):
    """One of so many classes: a whole number from 0 to classes − 1.

    >>> generator = Sequential([Join("label", 1, [OneHot(10), Flatten()]), Dense(2)], 3, rng)
    >>> discriminator = Sequential([Join("label", 1, [OneHot(10), Flatten()]), Dense(1), Sigmoid()], 2, rng)
    >>> GAN(generator, discriminator, conditions={"label": Label(10)}).sample(5, rng, label=7).shape
    (5, 2)
    """

    shape = (1,)
    takes = ("classes",)

    def __init__(self, classes: int) -> None:
        self.classes = whole("Label(classes)", classes, 2)
        self.largest = self.classes - 1


class Text(Choice):
    """So many words of a vocabulary, at most.

    words   the vocabulary, in small letters; its first entry, number 0, stands where there is no word any more.
    length  how many words a text has at most.

    Callers give a text, a list of them, or word numbers (…, rows, length).

    >>> text = Text(["", "a", "red", "green", "four"], length=4)
    >>> text.read("text", "a green four")
    [1, 3, 4, 0]
    """

    takes = ("words", "length")
    said = "word numbers"

    def __init__(self, words: Sequence[str], length: int) -> None:
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise ArgumentError(f"Text(words) must be a list of words, got {shown(words)}")
        self.words, self.length = list(words), whole("Text(length)", length)
        if len(set(self.words)) < len(self.words) or len(self.words) < 2:
            raise ArgumentError("Text(words) must be two words at least, each once")
        wrong = next((word for word in self.words[1:] if word.lower().split() != [word]), None)
        if wrong is not None:  # no text that is read would ever have it
            raise ArgumentError(f"Text(words) must be single words in small letters, got {shown(wrong)}")
        self.shape, self.largest = (self.length,), len(self.words) - 1

    def read(self, name: str, given: Any) -> Numbers:
        if isinstance(given, str):
            return self._numbers(name, given)
        if isinstance(given, list | tuple) and given and all(isinstance(text, str) for text in given):
            return [self._numbers(name, text) for text in given]
        return given

    def _numbers(self, name, text):
        words = text.lower().split()
        unknown = next((word for word in words if word not in self.words[1:]), None)
        if unknown is not None:
            raise ArgumentError(f"{name}: no word {shown(unknown)}; the words are {', '.join(self.words[1:])}")
        if not 0 < len(words) <= self.length:
            raise ArgumentError(f"{name} must be 1 to {self.length} words, got {len(words)}: {shown(text)}")
        return [*(self.words.index(word, 1) for word in words), *[0] * (self.length - len(words))]


class Picture(Condition):
    """An image (channels, height, width), pixels from −1 to 1, or any other array of numbers of one shape.

    >>> shape = (1, 8, 8)
    >>> generator = Sequential([Join("image", shape), Conv2D(1, 3, padding="same")], shape, rng)
    >>> discriminator = Sequential([Join("image", shape), Flatten(), Dense(1), Sigmoid()], shape, rng)
    >>> GAN(generator, discriminator, conditions={"image": Picture(shape)}).sample(2, rng, image=np.ones(shape)).shape
    (2, 1, 8, 8)
    """

    takes = ("shape",)

    def __init__(self, shape: int | Sequence[int]) -> None:
        self.shape = as_shape("Picture(shape)", shape)

    def check(self, name: str, c: Array) -> None:
        pass


CONDITIONS = {kind.__name__: kind for kind in (Label, Text, Picture)}


def checked(conditions: Any) -> dict[str, Condition]:
    """A GAN's conditions, name -> `Condition`."""
    given = {} if conditions is None else mapping("GAN: conditions", conditions)
    return {name: instance(f"GAN: condition '{name}'", c, Condition) for name, c in given.items()}


def arrays(
    conditions: Mapping[str, Condition], given: Mapping[str, Any], rows: int, network: Sequential, who: str
) -> Named:
    """name -> array (…, rows, *shape) of what a caller gives for each condition, for a network that reads them; an
    error for one too many or few.
    """
    if given.keys() != conditions.keys():
        wanted = ", ".join(f"{name}=…" for name in conditions) or "no condition"
        raise ArgumentError(f"{who} takes {wanted}, got {', '.join(f'{name}=…' for name in given) or 'none'}")
    how = rows, network.replicas, network.dtype
    return {name: condition.array(f"{who}: {name}", given[name], *how) for name, condition in conditions.items()}


class Together:
    """A source whose rows carry their conditions along: each is a row and what goes with it, one behind the other. So a
    stream of batches, the order of an epoch and their states need not know that there are conditions.

    data  where it has `conditions`, name -> shape, it takes an array of each by name in sample(n, rng, out, …) and
          take(index, out, …). A source without any is left as it is.
    conditions  name -> `Condition`: what those have to be, checked at every draw; default: anything.

    `shape` is that of such a row.
    """

    def __init__(self, data: Any, conditions: Mapping[str, Condition] = MappingProxyType({})) -> None:
        self._data, self._conditions = data, conditions
        self._places, shapes = {}, {"": tuple(data.shape)}
        shapes |= {name: tuple(shape) for name, shape in getattr(data, "conditions", {}).items()}
        start = 0
        for name, shape in shapes.items():
            self._places[name] = slice(start, start + math.prod(shape)), shape
            start += math.prod(shape)
        self.shape = (start,) if len(shapes) > 1 else shapes[""]

    def split(self, rows: Array) -> tuple[Array, Named]:
        """(rows (…, n, *shape), name -> conditions (…, n, *shape)): views of an array of this source's rows."""
        if len(self._places) == 1:
            return rows, {}
        parts = {
            name: rows[..., place].reshape(*rows.shape[:-1], *shape) for name, (place, shape) in self._places.items()
        }
        return parts.pop(""), parts

    def sample(self, n: int, rng: Rng, out: Array) -> None:
        rows, conditions = self.split(out)
        self._data.sample(n, rng, rows, **conditions)
        self._check(conditions)

    def take(self, index: Array, out: Array) -> None:
        rows, conditions = self.split(out)
        self._data.take(index, rows, **conditions)
        self._check(conditions)

    def _check(self, drawn):
        for name, condition in self._conditions.items():
            condition.check(f"the data's {name}", drawn[name])

    def __len__(self) -> int:
        return len(self._data)


def together(data: Source | ConditionalSource, conditions: Mapping[str, Condition]) -> Together:
    """The data as rows that carry their conditions along, checked to be those of a GAN."""
    given = mapping("the data's conditions", getattr(data, "conditions", {}))
    given = {name: as_shape(f"the data's condition '{name}'", shape) for name, shape in given.items()}
    wanted = {name: condition.shape for name, condition in conditions.items()}
    if given != wanted:
        raise ArgumentError(f"the data comes with the conditions {given or 'none'}, the GAN has {wanted or 'none'}")
    return Together(data, conditions)
