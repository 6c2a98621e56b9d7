"""The story of a training step in 80 columns.

A formula is told where its kernel comes first, and so is one number of a product as the sum that it is. In a long story
a call whose kernel has been told on the same way has one line; the last line says so.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator

from numgan.nn import second_order
from numgan.study.explain.record import FLAT, Checked, Entry, Move, Numbers, Part, Worked, formula, left_sides

WIDTH = 80
SHORT = 60  # entries that are told in full
SHOWN = 4  # of a sample's own numbers
WAY, MAIN = ("x1", "x", "z"), ("dy", "x1", "x", "z")  # what a call reads first of all
NAMES = {"x1": "x", "out1": "out", "theta": "θ", "gradient": "g", "move": "θ moved", "dgamma": "dγ", "dbeta": "dβ"}
NAMES |= {"gamma": "γ", "beta": "β", "sigma": "σ", "weight": "weights"}


def story(title: str, parts: list[Part], sample: int, layer: str | None = None) -> str:
    """The whole story, or what it tells of one layer."""
    teller = _Teller(parts, sample, layer)
    return "\n".join([title, *(line for part in parts for line in teller.part(part)), *teller.left_out()])


class _Teller:
    """What has been told so far: kernels, and the last row of numbers."""

    def __init__(self, parts, sample, layer):
        self._sample, self._layer = sample, layer
        self._long = not layer and sum(len(part.entries) for part in parts) > SHORT
        self._number, self._briefly, self._blocks = 0, 0, 0
        self._told, self._passes, self._last = set(), set(), None

    def part(self, part: Part) -> Iterator[str]:
        yield from ["", *_wrapped(part.title, ""), *(_wrapped(part.note, "") if part.note else [])]
        heading, first = None, True
        for entry in part.entries:
            self._number += 1
            if self._layer and not entry.is_of(self._layer):
                continue
            if (now := heading_of(entry)) != heading:
                heading = now
                yield f"\n── {now} {'─' * (WIDTH - 4 - len(now))}"
                yield from self._pass(entry)
                if first:
                    yield _columns(f"sample {self._sample}", "mean", "spread", "zero")
                first = False
            yield from self._entry(entry)

    def left_out(self) -> Iterator[str]:
        """What this story does not tell, in words."""
        if self._layer:
            return
        lines = [f"zero: the share of exact zeros; of f′, of slopes below {FLAT:g}: units that are dead or saturated."]
        if self._briefly:
            lines.append(
                f"Left out: the numbers read by {self._briefly} calls with one line each, whose kernels were told "
                "before; and what else each call reads. --layer NAME tells a layer in full."
            )
        else:
            lines.append("Left out: what else each call reads. --layer NAME tells a layer in full.")
        yield ""
        for line in lines:
            yield from _wrapped(line, "")

    def _pass(self, entry):
        """What a pass of the penalty is for, as the code that runs it says."""
        said = _passes().get(entry.direction)
        if entry.penalty and said and entry.direction not in self._passes:
            self._passes.add(entry.direction)
            yield from _wrapped(said, "    ")

    def _entry(self, entry):
        key = entry.name, entry.direction == "forward"
        known, name = key in self._told, _cut(entry.layer or entry.network, 18)
        if entry.skipped:
            yield f"{self._number:>3} {name:<18} {entry.name}"
            yield f"    skipped: {entry.skipped}"
            return
        self._told.add(key)
        if self._long and known and not entry.move and entry.result:
            self._briefly += entry.calls
            self._last = entry.result
            yield f"{self._number:>3} {name:<18} {entry.name:<31}{_sums(entry.result)}"
            return
        yield from _head(f"{self._number:>3} {name:<18} {entry.name}", entry)
        if not known and formula(entry.kernel):
            yield from _wrapped(formula(entry.kernel), "    ")
        for name, found in self._rows(entry):
            yield _row(name, found)
            self._last = found
        if entry.worked and not (known and not self._layer):
            yield from _wrapped(_sum(label("out", entry), entry.worked), "    ")
        if entry.move:
            more = certificate(entry.move.checked[entry.move.name]) if entry.move.checked else []
            yield from (f"    {line}" for line in [*move_lines(entry.move), *more])

    def _rows(self, entry):
        """(name, numbers) to be shown: what came in, unless that was the last row; f′; what goes out. Of a layer told
        alone, all that it read too.
        """
        reads = list(entry.reads.items())
        if not self._layer:
            main = next((name for name in MAIN if name in entry.reads), None)
            reads = [(main, entry.reads[main])] if main else reads[:1]
            if not entry.derivative and self._last and _equal(reads, self._last):
                reads = []
        yield from ((NAMES.get(name, name), found) for name, found in reads)
        if entry.derivative:
            yield "f′", entry.derivative
        yield from ((label(name, entry), found) for name, found in entry.writes.items())


def label(name: str, entry: Entry) -> str:
    """What a result is called: `out` by the left side of the formula, one that no other result is called by."""
    own = NAMES.get(name, name)
    taken = {NAMES.get(other, other) for other in entry.writes}
    sides = [side for side in left_sides(entry.kernel) if side not in taken]
    return sides[0] if own == "out" and sides else own


def heading_of(entry: Entry) -> str:
    """Which pass a call belongs to."""
    if entry.penalty:
        return "the penalty" if entry.direction == "penalty" else f"the penalty: {entry.direction}"
    if entry.layer == "loss":
        return "the loss, where the way back begins"
    network = f"{entry.network}{', frozen' if entry.frozen else ''}"
    return (
        f"{network}: {'what follows an update' if entry.direction == 'update' and not entry.move else entry.direction}"
    )


def _passes():
    """direction -> what the code of the penalty's passes says of it."""
    text = second_order.__doc__ or ""
    found = re.findall(r"^    (\w+(?: \w+)?)\s{2,}(.*(?:\n\s{10,}.*)*)", text, re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in found}


def _head(head, entry):
    more = f", in {entry.calls} calls" if entry.calls > 1 else ""
    if len(head) + len(entry.shapes + more) + 2 <= WIDTH:
        yield f"{head}  {entry.shapes}{more}"
    else:
        yield from (head, f"    {entry.shapes}{more}")


def _columns(first, mean, spread, zero):
    return f"    {'':<8}{first:<42}{mean:>10}{spread:>9}{zero:>6}"


def _row(name: str, found: Numbers) -> str:
    cells = "".join(f"{_short(cell):>10}" for cell in found.cells[:SHOWN])
    more = " …" if found.size > SHOWN else ""
    return f"    {_cut(name, 8):<8}{cells + more:<42}{_sums(found)}"


def _sums(found: Numbers) -> str:
    share = found.flat if found.name == "f′" else found.zero
    return f"{_short(found.mean):>10}{_short(found.spread):>9}{share:>6.0%}"


def _sum(name: str, worked: Worked) -> str:
    """A number of a product as the sum that it is."""
    terms = " + ".join(f"{_factor(a)}·{_factor(b)}" for a, b in worked.terms)
    more = f" + … ({worked.count:,} terms)" if worked.count > len(worked.terms) else ""
    return f"{name}[0, {worked.column}] = {terms}{more} = {_short(worked.value)}"


def move_lines(move: Move) -> list[str]:
    """A weight's way through the update."""
    g, theta = move.before["gradient"], move.before["theta"]
    head = [f"{move.name} has the largest gradient:", f"  θ = {theta:.8g}, g = ∂L/∂θ = {g:.8g}"]
    return head + (list(_adam(move)) if move.optimizer == "Adam" else [f"θ ← {move.after['theta']:.8g}"])


def certificate(checked: Checked) -> list[str]:
    """A gradient beside its difference quotient."""
    q = checked.quotient
    smooth = math.isfinite(q.uncertainty)
    limit = f"{q.value:.12g} ± {q.uncertainty:.0e}" if smooth else "nothing: kinks within every h tried"
    return [
        f"In float64, with h = {q.step:.3g} (see numgan gradcheck):",
        f"  [L(θ + h) − L(θ − h)]/2h = ({q.above:.9g} − {_factor(q.below, 9)})/{2 * q.step:.3g}",
        f"                           = {q.central:.9g}",
        f"  as h shrinks             → {limit}",
        f"  by hand                    {checked.by_hand:.12g}",
    ]


def _adam(move):
    """[KB] algorithm 1 with its numbers; then what the kernel makes of the same."""
    alpha, beta1, beta2, epsilon = (move.settings[k] for k in ("learning_rate", "beta1", "beta2", "epsilon"))
    t, g, theta = move.step, move.before["gradient"], move.before["theta"]
    m0, v0 = move.before["m"] * (1 - beta1), move.before["v"] * (1 - beta2)
    m, v, c1, c2 = beta1 * m0 + (1 - beta1) * g, beta2 * v0 + (1 - beta2) * g * g, 1 - beta1**t, 1 - beta2**t
    paper = theta - alpha * (m / c1) / (math.sqrt(v / c2) + epsilon)
    keras = theta - alpha * math.sqrt(c2) / c1 * m / (math.sqrt(v) + epsilon)
    this = {name: "  ← this one" if name == move.settings["form"] else "" for name in ("paper", "keras")}
    yield f"Adam, update t = {t:,}, α = {alpha:g}, β₁ = {beta1:g}, β₂ = {beta2:g}, ε = {epsilon:g}:"
    yield f"  m = β₁·m + (1 − β₁)·g  = {beta1:g}·{_factor(m0, 4)} + {1 - beta1:.4g}·{_factor(g, 4)} = {m:.5g}"
    yield f"  v = β₂·v + (1 − β₂)·g² = {beta2:g}·{_factor(v0, 4)} + {1 - beta2:.4g}·{g * g:.4g} = {v:.5g}"
    yield f"  m̂ = m/(1 − β₁ᵗ) = {m:.5g}/{c1:.5g} = {m / c1:.5g}"
    yield f"  v̂ = v/(1 − β₂ᵗ) = {v:.5g}/{c2:.5g} = {v / c2:.5g}"
    yield f"  paper: θ − α·m̂/(√v̂ + ε) = {paper:.8g}{this['paper']}"
    yield f"  Keras: θ − α·√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m/(√v + ε) = {keras:.8g}{this['keras']}"
    yield f"The kernel keeps m/(1 − β₁) = {move.after['m']:.5g} and v/(1 − β₂) = {move.after['v']:.5g},"
    yield f"  and leaves θ = {move.after['theta']:.8g}"


def _wrapped(text, indent):
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph, WIDTH, initial_indent=indent, subsequent_indent=indent)
    ]


def _short(value):
    return f"{value + 0.0:.3g}"  # a zero has no sign


def _factor(value, places=3):
    """A number in a product: a negative one in brackets."""
    return f"({value:.{places}g})" if value < 0 else f"{value:.{places}g}"


def _cut(text, width):
    """The end of a text that is too long."""
    return text if len(text) <= width else "…" + text[1 - width :]


def _equal(reads, last):
    return bool(reads) and reads[0][1].cells == last.cells and reads[0][1].total == last.total
