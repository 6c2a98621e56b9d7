"""Formulas of docstrings as MathML: a small converter for the notation that the kernels are written in.

It reads one equation: names with marks, primes, superscripts and subscripts (ẋ, σ², Wᵀ, x_ij, e^−x), numbers, brackets,
operators, functions by name. What it does not know it leaves alone: then there is no MathML, and the text is shown.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from html import escape

from numgan.errors import Error

WORDS = (  # of more than three letters that stand in equations: functions, and arguments of kernels
    *("tanh", "sign", "mean", "slope", "count", "start", "share", "scale", "shift", "gradient", "real", "fake", "high"),
    *("running", "momentum"),
)
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹ᵀᵗᵏᶻ⁻", "0123456789Ttkz−", strict=True))
TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>\d+(?:\.\d+)?|½)"
    r"|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹ᵀᵗᵏᶻ⁻]+)"
    r"|(?P<sub>_\w+)"
    r"|(?P<power>\^)"
    r"|(?P<root>√)"
    r"|(?P<word>[^\W\d_¹²³⁰-⁹ᵀᵗᵏᶻ½]+[\u0300-\u036f]*[′'″]*)"
    r"|(?P<open>[(\[‖⟨|])|(?P<close>[)\]⟩])"
    r"|(?P<operator>\+=|[=←+−·/<>≤≥;,⋆Σ∂∇…-])"
)
PROSE = re.compile(r"[,:;] |\.$| (?:where|with|and|over|within|of|in) ")


class Unreadable(Error, ValueError):
    """What is no equation in this notation."""


def equation(text: str) -> tuple[str, str]:
    """(the equation that a sentence begins with, as MathML, the rest of the sentence). "" for the first where it does
    not begin with one that can be read.
    """
    mode = re.match(r"\w+ mode: |", text)[0]
    head, rest = _split(text[len(mode) :])
    try:
        row = _Reader(head).row()
    except Unreadable:
        return "", text
    if not re.search("[=←]", head):
        return "", text
    return f'<math display="block"><mrow>{row}</mrow></math>', mode + rest


def _split(text):
    """The text up to its first comma or word of prose outside brackets, and what is behind."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c in "([⟨") - (c in ")]⟩")
        if depth == 0 and PROSE.match(text, i):
            return text[:i], text[i:].strip(" ,:;.") + "." * (text[i:] != ".")
    return text, ""


class _Reader:
    """Reads tokens from left to right; Unreadable for what it does not know."""

    def __init__(self, text):
        self._tokens, at = [], 0
        text = unicodedata.normalize("NFC", text)
        while at < len(text):
            found = TOKEN.match(text, at)
            if not found:
                raise Unreadable(text[at])
            self._tokens.append((found.lastgroup, found[0]))
            at = found.end()
        kinds = ["", *(kind for kind, _ in self._tokens), ""]
        gaps = ["word", "space", "word"]  # as between W and b of [W b]
        kept = [kinds[i + 1] != "space" or kinds[i : i + 3] == gaps for i in range(len(self._tokens))]
        self._tokens = list(itertools.compress(self._tokens, kept))

    def row(self, until: str = "") -> str:
        """Everything up to a closing bracket."""
        parts = []
        while self._tokens and self._tokens[0][1] != until:
            parts.append(self._scripted())
        return "".join(parts)

    def _scripted(self):
        """An atom with the superscripts and subscripts behind it."""
        base = self._atom()
        while self._tokens and self._tokens[0][0] in ("raised", "sub", "power"):
            kind, text = self._tokens.pop(0)
            if kind == "sub":
                base = f"<msub>{base}<mrow>{_name(text[1:])}</mrow></msub>"
            elif kind == "raised":
                base = f"<msup>{base}<mrow>{_name(''.join(RAISED[c] for c in text))}</mrow></msup>"
            else:
                sign = self._atom() if self._tokens and self._tokens[0][1] in "−-" else ""
                base = f"<msup>{base}<mrow>{sign}{self._scripted()}</mrow></msup>"
        return base

    def _atom(self):
        if not self._tokens:
            raise Unreadable("nothing")
        kind, text = self._tokens.pop(0)
        if kind == "space":
            return '<mspace width="0.4em"/>'
        if kind == "number":
            return f"<mn>{text}</mn>"
        if kind == "word":
            return _word(text)
        if kind == "root":
            return f"<msqrt>{self._scripted()}</msqrt>"
        if kind == "open":
            end = {"(": ")", "[": "]", "⟨": "⟩", "‖": "‖", "|": "|"}[text]
            inner = self.row(end)
            if not self._tokens:
                raise Unreadable(f"no {end}")
            self._tokens.pop(0)
            return f"<mrow><mo>{text}</mo>{inner}<mo>{end}</mo></mrow>"
        if kind == "operator":
            return f"<mo>{escape(text)}</mo>"
        raise Unreadable(text)


def _word(text):
    if sum(c.isalpha() for c in text) > 3 and text not in WORDS:
        raise Unreadable(text)
    return _name(text)


def _name(text):
    return f"<mi>{escape(text)}</mi>" if not text.isdigit() else f"<mn>{text}</mn>"
