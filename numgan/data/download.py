"""Fetch the full MNIST set into the user's cache directory: checked, resumable, never half-written."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from numgan.hints import FileName

from .idx import DataError

# name -> (bytes, SHA-256)
FILES = {
    "train-images-idx3-ubyte.gz": (
        9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte.gz": (
        28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "t10k-images-idx3-ubyte.gz": (
        1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}  # fmt: skip

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

CHUNK = 1 << 16  # bytes


def cache_dir() -> Path:
    """Return the directory (a Path, perhaps not there yet) that downloaded data lives in.

    It is $NUMGAN_CACHE if set; else ~/Library/Caches/numgan on macOS, %LOCALAPPDATA%\\numgan\\Cache on
    Windows, and $XDG_CACHE_HOME/numgan or ~/.cache/numgan elsewhere. An empty variable counts as unset.

    >>> import os
    >>> os.environ["NUMGAN_CACHE"] = "my-cache"
    >>> cache_dir().name
    'my-cache'
    """
    if chosen := os.environ.get("NUMGAN_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "numgan"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / "numgan" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numgan"


def download_mnist(
    directory: FileName | None = None,
    mirrors: Any = MIRRORS,
    progress: Any = True,
    *,
    report: Any = print,
    timeout: float = 30.0,
) -> Path:
    """Fetch the four MNIST files; those already there with the right SHA-256 are kept.

    directory: where to put them, made if missing; default `cache_dir()`.
    mirrors: base URLs (http or https), tried in order for each file.
    progress: draw a progress bar per file on stderr.
    report: called with one line for each mirror that fails.
    timeout: seconds to wait for a mirror that is silent.

    Returns the directory as a Path. A file appears under its name only when size and SHA-256 are right.
    Raises DataError when all mirrors fail for a file, naming each and its reason.

    >>> try:
    ...     download_mnist("mnist", mirrors=["http://localhost:9/"], progress=False, report=lambda line: None)
    ... except DataError as error:
    ...     print(error)
    could not download train-images-idx3-ubyte.gz from any mirror: http://localhost:9/: ...
    """
    directory = cache_dir() if directory is None else Path(directory)
    if not mirrors:
        raise DataError("download_mnist: no mirrors given, expected at least one http or https URL")
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise DataError(f"download_mnist: mirror {mirror!r}, expected an http or https URL")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the directory {directory}: {error}") from error

    for name, (size, sha256) in FILES.items():
        path = directory / name
        if not _is_good(path, size, sha256):
            _fetch_from_any(mirrors, path, size, sha256, progress, report, timeout)
    return directory


def _is_good(path, size, sha256):
    if not path.is_file() or path.stat().st_size != size:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _fetch_from_any(mirrors, path, size, sha256, progress, report, timeout):
    reasons = []
    for mirror in mirrors:
        try:
            return _fetch(f"{mirror.rstrip('/')}/{path.name}", path, size, sha256, progress, timeout)
        except DataError as error:
            reasons.append(f"{mirror}: {error}")
            report(f"{path.name}: mirror failed: {reasons[-1]}")
    raise DataError(f"could not download {path.name} from any mirror: {'; '.join(reasons)}")


def _fetch(url, path, size, sha256, progress, timeout):
    """Download `url` to `path` by way of a temporary file beside it; raises DataError with the reason."""
    # Imported here because they take nearly as long as NumPy to import, and hardly any run downloads.
    import http.client
    import urllib.request

    from tqdm import tqdm

    # a name of its own, so that two downloads at once do not write into one file
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    bar = tqdm(total=size, desc=path.name, unit="B", unit_scale=True, disable=not progress)
    try:
        with bar, urllib.request.urlopen(url, timeout=timeout) as response, open(part, "xb") as file:
            got, digest = _copy(response, file, size + 1, bar)
        if got > size:
            raise DataError(f"more than the expected {size} bytes")
        if got < size:
            raise DataError(f"{got} bytes, expected {size}")
        if digest != sha256:
            raise DataError(f"SHA-256 {digest}, expected {sha256}")
        os.replace(part, path)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(_one_line(error) or type(error).__name__) from error
    finally:
        part.unlink(missing_ok=True)


def _one_line(error):
    # http.client quotes a server that does not speak HTTP, line ends and terminal escapes included
    return "".join(c if c.isprintable() else " " for c in str(error)).strip()


def _copy(source, target, limit, bar):
    """Copy at most `limit` bytes; returns (bytes copied, their SHA-256 in hex)."""
    got, digest = 0, hashlib.sha256()
    while chunk := source.read(min(CHUNK, limit - got)):
        target.write(chunk)
        digest.update(chunk)
        got += len(chunk)
        bar.update(len(chunk))
    return got, digest.hexdigest()
