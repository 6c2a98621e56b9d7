"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from numgan.hints import FileName


@contextlib.contextmanager
def atomic_write(path: FileName) -> Iterator[str]:
    """A temporary file name beside `path`, moved onto it when the block ends well and removed when it does not."""
    path = os.fspath(path)
    handle, temporary = tempfile.mkstemp(
        prefix=".numgan-", suffix=os.path.splitext(path)[1], dir=os.path.dirname(path) or "."
    )
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files private
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def locked(directory: FileName) -> Iterator[None]:
    import fcntl

    d = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(d, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(d)


def remove_leftovers(directory: FileName) -> None:
    for name in os.listdir(directory):
        if name.startswith(".numgan-"):
            os.unlink(os.path.join(directory, name))
