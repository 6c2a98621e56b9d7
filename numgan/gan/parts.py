"""What a run consists of: parts, each of them something with a state of named arrays.

Networks, optimisers, random generators, the rows not yet handed out, the history: whatever changes while a GAN trains
stands in one `Parts`. Saving, loading, copying, going back to the last good look and resuming all read that list, so
that a part which is in it cannot be forgotten by any of them. To add one, give it the three methods of `Part` and put
it into `GAN.parts` (where it belongs to the model), or hand it to `GAN.fit` (where it belongs to the run).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from numgan.errors import ArgumentError, mapping
from numgan.hints import Array, Named, Numbers, Rng


class Part(Protocol):
    """Something with a state."""

    def state_dict(self) -> Named:
        """name -> array. The arrays stay as they are: copies, or memory that is never written again."""

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Raise an `Error` unless `load_state_dict` can take these."""

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        """Set the state from a `state_dict`; on anything wrong nothing changes."""


class Parts(dict):
    """name -> `Part`, which is a part itself: its entries are called "part.entry". A part's name has no dot in it."""

    def state_dict(self) -> Named:
        return {f"{name}.{key}": a for name, part in self.items() for key, a in part.state_dict().items()}

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        for name, own in self._shared_out(arrays).items():
            self[name].check_state_dict(own)

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        self.check_state_dict(arrays)
        for name, own in self._shared_out(arrays).items():
            self[name].load_state_dict(own)

    def _shared_out(self, arrays):
        """part -> its own entries."""
        shared = {name: {} for name in self}
        for entry, array in mapping("the state", arrays).items():
            name, _, key = entry.partition(".")
            if name not in shared:
                raise ArgumentError(f"unknown entry {entry[:80]!r}; entries begin with {', '.join(shared)}")
            shared[name][key] = array
        return shared


def json_of(value: Any) -> str:
    """A value as JSON, an array in it as a list, as a bit generator's dictionary may hold one."""
    return json.dumps(value, default=lambda a: a.tolist())


def bytes_of(text: str) -> Array:
    """A text as an array of UTF-8 bytes, for a state."""
    return np.frombuffer(text.encode(), np.uint8)


class RandomState:
    """The state of a numpy.random.Generator as a part: the bit generator's own dictionary, as JSON in UTF-8 bytes."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng

    def state_dict(self) -> Named:
        return {"state": bytes_of(json_of(self._rng.bit_generator.state))}

    def check_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        self._set(type(self._rng.bit_generator)(), arrays)

    def load_state_dict(self, arrays: Mapping[str, Numbers]) -> None:
        self.check_state_dict(arrays)
        self._set(self._rng.bit_generator, arrays)

    @staticmethod
    def _set(bits, arrays):
        kind = type(bits).__name__
        try:
            (text,) = (np.asarray(arrays[name]) for name in {"state"} | arrays.keys())
            bits.state = json.loads(text.tobytes())
        except Exception:  # a bit generator has many ways to refuse a state
            raise ArgumentError(f"a random generator's state is not that of a {kind}") from None
