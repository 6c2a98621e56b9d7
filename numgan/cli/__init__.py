"""The command line: parses arguments, calls the rest, prints what came of it. Each command has a file of its own.

Exit status 2 for a bad call, 3 for a training that diverged, 128 and the signal's number for what was stopped (130 by
Ctrl-C, 143 by SIGTERM, 141 where nobody reads the output any more), 1 for any other failure.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence

import numgan
from numgan.cli import (
    data,
    evaluate,
    exercise,
    explain,
    gradcheck,
    profile,
    recipes,
    sample,
    study,
    summary,
    train,
)
from numgan.cli.streams import LONGEST, Streams, fail
from numgan.errors import Error
from numgan.figures import new_figure
from numgan.gan.fit import NonFiniteError
from numgan.study.settings import SettingError, brief
from numgan.study.signals import stop_status

COMMANDS = (recipes, summary, train, study, sample, evaluate, profile, explain, gradcheck, exercise, data)
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EIO)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line on `argv` (default: sys.argv) and return the exit status."""
    with Streams() as streams:
        try:
            status = _run(sys.argv[1:] if argv is None else argv)
        except SystemExit as stop:  # argparse, after it has printed help or what is wrong
            status = stop.code
        return streams.close(status)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    made = _Parser(prog="numgan", description=numgan.__doc__.splitlines()[0])
    made.add_argument("--version", action="version", version=f"numgan {numgan.__version__}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(command.__name__.rpartition(".")[2], help=command.HELP, description=command.HELP)
        sub.set_defaults(run=command.run)
        command.add_arguments(sub)
    return made


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(2, brief(f"{self.prog}: error: {message}", LONGEST) + "\n")


def _run(argv):
    try:
        arguments = parser().parse_args(_as_file_names(argv))
    except SettingError as error:
        return fail("numgan", error, 2)
    who = f"numgan {arguments.command}"
    try:
        if arguments.command in ("train", "study"):
            new_figure()  # so that what keeps matplotlib from drawing is said now, not after the training
        return arguments.run(arguments) or 0
    except NonFiniteError as error:
        return fail(who, error, 1)
    except (Error, OSError, MemoryError) as error:
        disk_full = getattr(error.__cause__ or error, "errno", None) in DISK_FULL
        return fail(who, error, 1 if disk_full or sys.stdout.error else 2)
    except KeyboardInterrupt as stop:
        return fail(who, str(stop) or "interrupted", stop_status(stop))


def _as_file_names(argv):
    """The arguments, if each could name a file: then none fails further down for what no file is called."""
    for argument in argv:
        try:
            fits = b"\0" not in os.fsencode(argument)
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise SettingError(f"argument {brief(ascii(argument))} holds a character that no file name can have")
    return argv
