"""Progress bars by tqdm: a line in a terminal, a widget in a notebook, nothing where nobody looks on."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

WIDTH = 80  # of a bar of text in a notebook, which does not say how wide it is


def progress_bar(total: int, unit: str, quiet: bool = False) -> tqdm:
    """A bar of `total` units, moved by `update(n)` and ended by `close()` or the end of a `with`; a quiet one is not
    shown. A notebook without ipywidgets, of which tqdm's own choice would warn, gets its bar as text.
    """
    from tqdm import tqdm

    if quiet:
        return tqdm(total=total, unit=unit, disable=True)
    if not in_notebook():
        return tqdm(total=total, unit=unit, disable=None, dynamic_ncols=True)
    if importlib.util.find_spec("ipywidgets") is None:
        return tqdm(total=total, unit=unit, file=sys.stdout, ncols=WIDTH)
    from tqdm.notebook import tqdm as widget

    return widget(total=total, unit=unit)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config
