"""`Processes`: an executor that a process may be killed of, and that can be told to stop.

A `ProcessPoolExecutor` is broken as a whole when one of its processes is killed, and does not say which call that was.
So each core has a pool of one process here. Who is killed takes the one call with it that it was at work on, and a new
process takes its place.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

from tqdm import tqdm

from numgan.errors import Error, whole

GRACE = 60  # seconds that a process has to keep its state when it is told to stop
# Of a new process: BLAS reads its number of threads once, when it is loaded, and Python (from 3.11 on) whether to look
# for modules in the current directory.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}

_starting = threading.Lock()  # one process at a time: what it is to find is everybody's


class LostError(Error, RuntimeError):
    """A call whose process ended under it; the message says what the process died of."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes(Executor):
    """So many processes (default: one for each core), each with one BLAS thread, for calls as an `Executor` takes them.
    Attribute `most`, how many.

    A call whose process is killed, whatever by, raises `LostError`. Processes end with this one, even if it is killed
    outright; a terminal's Ctrl-C comes to this one alone, which may then say `stop`.

    Processes are spawned, and know nothing of the main program: what is called must be a function of a module.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = cores() if most is None else whole("Processes: most", most)
        self._context = multiprocessing.get_context("spawn")
        # Nothing is ever written. The reading end finds the end of the file when the writing end is closed here, or
        # when this process ends, however it ends. (PR_SET_PDEATHSIG is Linux's alone, and follows the thread that
        # started a process, not the process.)
        self._reading, self._writing = self._context.Pipe(duplex=False)
        self._own = threading.local()  # each thread's pool, and its process
        self._pools, self._busy = [], set()
        self._threads = ThreadPoolExecutor(self.most, initializer=_without_ctrl_c)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._threads.submit(self._run, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            for pool in self._pools:
                pool.shutdown()
            self.stop()
            self._reading.close()

    def stop(self) -> None:
        """Tell all processes to stop, as SIGTERM does: a run that is going on keeps its state. No call begins any more;
        those that wait are for the caller to cancel.
        """
        self._writing.close()

    def kill(self) -> None:
        """End what is going on at once."""
        for process in list(self._busy):
            process.kill()

    def _run(self, fn, args, kwargs):
        pool, process = self._pool()
        self._busy.add(process)
        try:
            return pool.submit(_call, fn, args, kwargs).result()
        except BrokenProcessPool:
            del self._own.pool
            raise LostError(_death(_exit_code(process))) from None
        finally:
            self._busy.discard(process)

    def _pool(self):
        """This thread's pool and its process, started if there is none that lives."""
        pool, process = getattr(self._own, "pool", (None, None))
        if pool is None or not process.is_alive():
            if self._writing.closed:
                raise LostError("not begun")
            pool = ProcessPoolExecutor(1, self._context, _begin, (self._reading,))
            with _starting, _spawning():
                others = multiprocessing.active_children()
                number = pool.submit(os.getpid)
                started = [p for p in multiprocessing.active_children() if p not in others]
            self._pools.append(pool)
            try:
                process = next(p for p in started if p.pid == number.result())
            except BrokenProcessPool:
                raise LostError(_death(_exit_code(started[0]))) from None
            self._own.pool = pool, process
        return pool, process


def _without_ctrl_c():
    """For the threads that start processes: these inherit what is blocked. A terminal's SIGINT and SIGHUP come to all
    of a group, and the first process alone knows what to do.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})


@contextlib.contextmanager
def _spawning() -> Iterator[None]:
    """What a new process is to find, for the moment in which it is started.

    It would run the main program again, up to `if __name__ == "__main__":` where that has one, to find what is defined
    there. Nothing is, so it is shown an empty one.
    """
    before, main = {name: os.environ.get(name) for name in ENVIRONMENT}, sys.modules["__main__"]
    os.environ.update(ENVIRONMENT)
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _exit_code(process):
    """What a process ended with. It is told once: to this thread, or to the pool's own, which then writes it down in a
    moment.
    """
    process.join()
    until = time.monotonic() + 1
    while process.exitcode is None and time.monotonic() < until:
        time.sleep(1e-3)
    return process.exitcode


def _death(code):
    """In words what a process died of."""
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"its process ended with exit status {code}"


# ------------------------------------------------------------------------------------------------ in another process

_at_work = threading.Lock()  # held by a call


def _begin(reading: Connection) -> None:
    """The first thing in a new process."""
    tqdm.set_lock(threading.RLock())  # its own would be a semaphore, which a process that is killed leaves behind
    threading.Thread(target=_stop_at_the_end_of, args=(reading,), daemon=True).start()


def _call(fn, args, kwargs):
    with _at_work:
        return fn(*args, **kwargs)


def _stop_at_the_end_of(reading):
    """Wait until this process is to stop: who told it then takes what the call gives, unless that one is gone."""
    with contextlib.suppress(EOFError, OSError):
        reading.recv_bytes()
    os.kill(os.getpid(), signal.SIGTERM)
    over = _at_work.acquire(timeout=GRACE)
    if not over or not multiprocessing.parent_process().is_alive():
        os._exit(1)
