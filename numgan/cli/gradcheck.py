"""`numgan gradcheck`: gradients against differences, and planted mistakes."""

from __future__ import annotations

import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace

from numgan.cli.arguments import MOST_ROWS, add_json, between, natural, positive
from numgan.gradcheck import faults, own
from numgan.gradcheck.check import TOLERANCE
from numgan.study import checks
from numgan.study.settings import SettingError, brief
from numgan.tables import as_json

HELP = "check the hand-written gradients against differences, and all other formulas"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="what to check: "
        + ", ".join(checks.TARGETS)
        + "; or a layer, loss or function of your own as FILE.py:NAME or MODULE:NAME, whose code is then run",
    )
    parser.add_argument("--all", action="store_true", help="check everything")
    parser.add_argument(
        "--faults",
        nargs="?",
        const="all",
        metavar="CHAPTER|WORDS",
        help="plant known mistakes one by one, all of them, a chapter's, or those with WORDS in their name, and see "
        "each one caught; the chapters are " + ", ".join(faults.CHAPTERS),
    )
    parser.add_argument(
        "--shape",
        type=_shape,
        metavar="N,…",
        help="shape of your own code's input: of one sample, default 4; for functions of all of it, default 5,4",
    )
    parser.add_argument("--tol", type=between(1), default=TOLERANCE, metavar="X", help="relative (default 1e-07)")
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="seed of inputs and directions (default 0)"
    )
    add_json(parser, "the reports")


def run(arguments: Namespace) -> int:
    """The exit status: 1 where a check fails or a planted mistake is missed."""
    unknown = [name for name in arguments.targets if name not in checks.TARGETS and not own.is_own(name)]
    if unknown:
        raise SettingError(f"no target {brief(unknown[0])!r}; the targets are {', '.join(checks.TARGETS)}")
    if not (arguments.targets or arguments.all or arguments.faults):
        raise SettingError(f"name a target, or --all, or --faults; the targets are {', '.join(checks.TARGETS)}")
    planted = _planted(arguments.faults)
    named = [name for name in arguments.targets if not (arguments.all and name in checks.TARGETS)]
    reports = []
    for name in [*(checks.TARGETS if arguments.all else ()), *named]:
        if own.is_own(name):
            reports += own.check_own(name, arguments.shape, arguments.seed, arguments.tol)
        else:
            reports += [check(arguments.seed, arguments.tol) for check in checks.TARGETS[name]]
    caught = [faults.hunt(fault, arguments.seed, arguments.tol) for fault in planted]
    if arguments.json:
        hunted = [
            {"chapter": c.fault.chapter, "fault": c.fault.name, "caught_by": c.by and c.by.subject, "saw": c.what}
            for c in caught
        ]
        print(as_json({"reports": [r.to_dict() for r in reports], "faults": hunted}))
    else:
        print("\n\n".join(map(str, reports)))
        _print_hunt(caught)
        _print_verdict(reports, caught)
    return 0 if all(r.passed for r in reports) and all(c.by for c in caught) else 1


def _shape(text):
    shape = tuple(positive(part) for part in text.split(","))
    if math.prod(shape) > MOST_ROWS:
        raise ArgumentTypeError(f"expected a shape of at most {MOST_ROWS:,} values, got {brief(text)!r}")
    return shape


def _planted(asked):
    """The faults that --faults asks for: none where it is not given, all, those of a chapter, or by words of theirs."""
    if asked is None:
        return []
    planted = [fault for fault in faults.FAULTS if asked in ("all", fault.chapter)]
    planted = planted or [fault for fault in faults.FAULTS if asked.lower() in fault.name.lower()]
    if not planted:
        raise SettingError(
            f"--faults {brief(asked)}: no planted mistake has that in its name; the chapters are "
            + ", ".join(faults.CHAPTERS)
        )
    return planted


def _print_hunt(caught):
    """A line per planted fault: what it was, which check failed over it, and what that check saw."""
    chapter = None
    for c in caught:
        if c.fault.chapter != chapter:
            chapter = c.fault.chapter
            print(f"\n{chapter}")
        print(f"{'caught' if c.by else 'MISSED':<7} {c.fault.name}")
        print(f"        {c.by.subject if c.by else 'no check'} → {c.what}")


def _print_verdict(reports, caught):
    if len(reports) > 1:
        passed, numbers, seconds = (sum(getattr(r, k) for r in reports) for k in ("passed", "checked", "seconds"))
        print(f"\n{passed} of {len(reports)} checks passed, {numbers:,} numbers in {seconds:.1f} s")
        for report in reports:
            if not report.passed:
                print(f"FAILED: {report.subject}")
    if caught:
        print(f"\n{sum(c.by is not None for c in caught)} of {len(caught)} planted faults caught")
