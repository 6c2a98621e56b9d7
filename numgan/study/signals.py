"""Signals as exceptions: what stops a process from outside stops it as Ctrl-C does, so that its state can be kept."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to end, other than Ctrl-C's."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@contextlib.contextmanager
def stopping_signals() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise `Stopped` in the main thread, each time anew.

    A signal that is ignored stays ignored, as `nohup` wants it.
    """

    def stop(number, frame):
        raise Stopped(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may say what a signal does
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_status(stop: BaseException) -> int:
    """The exit status of a process that an interrupt ended, as a shell has it: 128 and the signal's number."""
    return 128 + getattr(stop, "number", signal.SIGINT)
