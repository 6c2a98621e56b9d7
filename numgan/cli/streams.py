"""Standard output and error for the time of a call of the command line, and what a call that fails says there."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

from numgan.study.settings import brief

LONGEST = 800  # characters of a message


def fail(who: str, error: Any, status: int) -> int:
    """Say on standard error what went wrong; the exit status."""
    print(brief(f"{who}: {error}", LONGEST), file=sys.stderr)
    return status


class Streams:
    """Standard output and error for the time of a call, so that nothing of what they are ends in a traceback.

    A terminal without Unicode shows ? for a rule or a Greek letter. One that is closed takes what it gets. One that
    fails, for its reader is gone or its disk is full, stays silent from then on: what is done counts, a training is not
    lost because its progress cannot be shown. `close` says so at the end.
    """

    def __enter__(self) -> Streams:
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass  # else the next file opened would become standard output
        os.close(descriptor)
        self._before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (_Stream(stream) for stream in self._before)
        return self

    def close(self, status: int) -> int:
        """The exit status of a call that ended with `status`, once everything is printed."""
        sys.stdout.flush()
        if isinstance(sys.stdout.error, BrokenPipeError):
            return status or 128 + 13  # as if ended by SIGPIPE, like any other command
        if sys.stdout.error:
            return fail("numgan", f"standard output cannot be written: {sys.stdout.error.strerror}", status or 1)
        return status

    def __exit__(self, *error: object) -> None:
        sys.stderr.flush()
        sys.stdout, sys.stderr = self._before


class _Stream(io.TextIOBase):
    """A text stream that keeps its first failure for later and is silent from then on."""

    def __init__(self, stream):
        self._stream, self.error = stream, None
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

    def _try(self, call, *arguments):
        if self._stream is None or self.error:
            return
        try:
            call(*arguments)
        except OSError as error:
            self.error = error
            with contextlib.suppress(OSError):  # what is still held back would be tried again at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def write(self, text):
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self):
        self._try(lambda: self._stream.flush())

    def isatty(self):
        return self._stream is not None and self._stream.isatty()

    def fileno(self):
        return self._stream.fileno()

    @property
    def encoding(self):
        return getattr(self._stream, "encoding", None)
