"""The list that the chapters of faults fill: what a fault is, and how one is planted."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

FAULTS = []


@dataclass
class Fault:
    """A mistake: its chapter and name, the target of `targets.TARGETS` that has to notice, what it stands in for."""

    chapter: str
    name: str
    target: str
    attribute: str
    replacement: Any
    owner: Any


def chapter(name: str, kernels: Any) -> Callable[..., Any]:
    """The decorator of one chapter's faults: @fault(name, target, attribute) adds its function to the catalogue as the
    faulty form of kernels.attribute, or of owner.attribute.
    """

    def fault(title, target, attribute, owner=kernels):
        def add(replacement):
            FAULTS.append(Fault(name, title, target, attribute, replacement, owner))
            return replacement

        return add

    return fault


@contextlib.contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Put the fault in place, and take it out again whatever happens. What an owner has inherited it inherits again, or
    no fault of the class above would reach it any more.
    """
    own = vars(fault.owner).get(fault.attribute)
    setattr(fault.owner, fault.attribute, fault.replacement)
    try:
        yield
    finally:
        if own is None:
            delattr(fault.owner, fault.attribute)
        else:
            setattr(fault.owner, fault.attribute, own)


def spoiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The decorator of a kernel's faulty form: it gets the right kernel, and the arguments of a call by name. What the
    kernel asks for beyond those that the fault is about goes with them, whatever it is.
    """

    signature = inspect.signature(kernel)

    def decorate(fault):
        @functools.wraps(kernel)
        def faulty(*values, **named):
            return fault(kernel, signature.bind(*values, **named).arguments)

        return faulty

    return decorate
