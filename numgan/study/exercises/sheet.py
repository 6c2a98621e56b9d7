"""The file of an exercise: the given kernels' source, the docstring of the one to write with blanks, an empty body."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

from numgan.hints import Kernel
from numgan.study.exercises.exercise import Exercise

BLANK = "___"
WIDTH = 100


def text(exercise: Exercise, number: int, of: int) -> str:
    """What stands in the exercise's file at the start."""
    task = textwrap.fill(exercise.task, WIDTH)
    given = "\n\n\n".join(source(kernel) for kernel in exercise.above)
    imports = "\n".join(["import numpy as np", *(["", *exercise.imports] if exercise.imports else [])])
    return f'''"""Exercise {number} of {of}: {exercise.title}.

{task}

Fill in the blanks ({BLANK}) on paper first, then the body. Write to the arrays that are there to be written to, as in
`out[...] = …`, or `np.add(a, b, out=out)`; nothing is returned. Only the numbers count: be as slow as you like.

    numgan exercise {exercise.name} --check    is it right?
    numgan exercise {exercise.name} --hint     one hint more, of {len(exercise.hints)}
"""

{imports}

# ------------------------------------------------------------------------------------ given


{given}


# ------------------------------------------------------------------------------------ yours


{_head(exercise.kernel)}
{_with_blanks(exercise)}
    raise NotImplementedError  # your lines instead of this one
'''


def source(kernel: Kernel) -> str:
    """A kernel's source, docstring and all."""
    return inspect.getsource(kernel).rstrip()


def signature(kernel: Kernel) -> str:
    """name(arguments) as the kernel's source has it."""
    return " ".join(_head(kernel).split()).removeprefix("def ").removesuffix(":")


def _docstring(kernel):
    """(first, behind the last) line of the docstring in the kernel's source."""
    node = ast.parse(source(kernel)).body[0].body[0]
    return node.lineno - 1, node.end_lineno


def _head(kernel):
    return "\n".join(source(kernel).splitlines()[: _docstring(kernel)[0]])


def _with_blanks(exercise):
    """The docstring's lines, with a blank for all that gives the answer away."""
    start, end = _docstring(exercise.kernel)
    lines = "\n".join(source(exercise.kernel).splitlines()[start:end])
    for given_away in exercise.blanks:
        words = [".*?" if word == "…" else re.escape(word) for word in given_away.split()]
        pattern, blank = r"\s+".join(words), BLANK
        if ".*?" in words:
            pattern, blank = rf"\s*{pattern}", ""
        lines, found = re.subn(pattern, blank, lines, flags=re.DOTALL)
        assert found, f"the docstring of {exercise.kernel.__name__} no longer says {given_away!r}"
    return lines
