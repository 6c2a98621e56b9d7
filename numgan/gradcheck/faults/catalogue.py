"""The list that the chapters of faults fill: what a fault is, and how one is planted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

FAULTS = []


@dataclass
class Fault:
    """A mistake: its name, the target of `targets.TARGETS` that has to notice, and what it stands in for."""

    name: str
    target: str
    attribute: str
    replacement: Any
    owner: Any


def fault(name: str, target: str, attribute: str, owner: Any) -> Callable[[Any], Any]:
    """Decorator: adds its function to the catalogue as the faulty form of owner.attribute."""

    def add(replacement):
        FAULTS.append(Fault(name, target, attribute, replacement, owner))
        return replacement

    return add


def chapter(kernels: Any) -> Callable[..., Any]:
    """The decorator `fault` for the kernels of one chapter."""
    return partial(fault, owner=kernels)


@contextlib.contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Put the fault in place, and take it out again whatever happens."""
    right = getattr(fault.owner, fault.attribute)
    setattr(fault.owner, fault.attribute, fault.replacement)
    try:
        yield
    finally:
        setattr(fault.owner, fault.attribute, right)
