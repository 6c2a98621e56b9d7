"""Small subjects for the checker, in chapters; importing this fills the registers of entries."""

from tests.gradcheck.catalogue import (  # noqa: F401
    right_functions,
    right_networks,
    unproven,
    wrong_claims,
    wrong_functions,
    wrong_paths,
)
from tests.gradcheck.catalogue.entries import REFUSED, RIGHT, WRONG

__all__ = ["REFUSED", "RIGHT", "WRONG"]
