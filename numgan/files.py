"""Files written whole or not at all, regular files opened for reading, directories locked."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO

from numgan.errors import Error
from numgan.hints import FileName

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PREFIX = ".numgan-"  # of temporary files
NO_WAIT = getattr(os, "O_NONBLOCK", 0)
KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class WriteError(Error, OSError):
    """A file that could not be written; the message names it and says why. What was there before still is."""


class ReadError(Error, OSError):
    """A file that could not be opened for reading; the message names it and says why."""


class LockError(Error, OSError):
    """A directory that could not be locked; the message names it and says why."""


@contextlib.contextmanager
def atomic_write(path: FileName) -> Iterator[str]:
    """A temporary file name beside `path`, moved onto it when the block ends well and removed when it does not.

    A symbolic link is followed: the file that it points to is replaced. A file that was there passes on its mode.
    Contents reach the disk before the name does, where the platform can say so.

    Raises WriteError for every OSError, the block's own included: whatever is written there is written to this file.
    """
    target = os.path.realpath(path)
    directory, name = os.path.split(target)
    temporary = os.path.join(directory, f"{PREFIX}{secrets.token_hex(8)}{os.path.splitext(name)[1]}")
    try:
        mode = _mode_of(target, path)
        created = 0o666 if mode is None else mode | stat.S_IWUSR  # never more open than the file it replaces
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, created))
        yield temporary
        _sync(temporary, os.O_RDWR)
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
        with contextlib.suppress(OSError):  # Windows and some network drives cannot sync a directory
            _sync(directory, os.O_RDONLY)
    except Error:
        raise
    except OSError as error:
        raise WriteError(f"{shown(path)}: cannot be written: {_reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):  # it was moved, or never made
            os.unlink(temporary)


def open_regular(path: FileName) -> BinaryIO:
    """A regular file, or one that a symbolic link points to, open for reading bytes.

    Raises ReadError for anything else: a FIFO would wait for ever, and a device never end.
    """
    try:
        reason = _irregular(os.stat(path))
        if not reason:
            # looked at again once it is open, since another may have taken its name; a FIFO is then not waited for
            file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_WAIT))  # noqa: SIM115
            if not (reason := _irregular(os.fstat(file.fileno()))):
                return file
            file.close()
    except FileNotFoundError:
        raise ReadError(f"{shown(path)}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise ReadError(f"{shown(path)}: cannot be read: {_reason(error)}") from error
    raise ReadError(f"{shown(path)}: cannot be read: {reason}")


@contextlib.contextmanager
def locked(directory: FileName) -> Iterator[None]:
    """Hold a directory for this thread of this process alone, while the block runs.

    The lock lies on the directory itself: it leaves nothing behind and ends with the process. Where the platform or
    the file system knows no such locks (Windows, some network drives), it does nothing.

    Raises LockError when another holds it.
    """
    if fcntl is None:
        yield
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise LockError(f"{shown(directory)}: cannot be locked: {_reason(error)}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockError(f"{shown(directory)} is in use by another process") from None
        except OSError:  # no locks on this file system
            pass
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(directory: FileName) -> None:
    """Delete the temporary files of killed runs from a directory. For whoever holds its lock: they may be in use."""
    for entry in list(os.scandir(directory)):
        if entry.name.startswith(PREFIX) and entry.is_file(follow_symlinks=False):
            os.unlink(entry.path)


def is_empty(directory: FileName) -> bool:
    """Whether a directory holds nothing but the temporary files of killed runs."""
    return all(name.startswith(PREFIX) for name in os.listdir(directory))


def shown(path: FileName) -> str:
    """A path as a message shows it: on one line, the end of it when it is very long."""
    text = "".join(c if c.isprintable() else "?" for c in os.fsdecode(path))
    return text if len(text) <= 200 else f"…{text[-199:]}"


def _mode_of(target, path):
    """The permissions of the regular file that is there, or None."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        return None
    if reason := _irregular(status):
        raise WriteError(f"{shown(path)}: cannot be written: {reason}")
    return stat.S_IMODE(status.st_mode)


def _irregular(status):
    """What stands there in place of a regular file, or None."""
    kind = stat.S_IFMT(status.st_mode)
    return None if kind == stat.S_IFREG else f"it is {KINDS.get(kind, 'something else')}, expected a regular file"


def _sync(path, flags):
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error):
    return getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
