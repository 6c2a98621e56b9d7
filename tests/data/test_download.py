"""The cache directory, and the download from a local server with mirrors of every fault."""

import gzip
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from numgan.data import DataError, cache_dir, download, download_mnist, load_mnist
from tests.helpers import MEGABYTE, flip, idx_images, idx_labels, some_images, some_labels

# ---------------------------------------------------------------- the cache directory


@pytest.mark.parametrize(
    "platform, env, expected",
    [
        ("linux", {}, "/home/u/.cache/numgan"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/numgan"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/u/.cache/numgan"),
        ("darwin", {}, "/home/u/Library/Caches/numgan"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/numgan/Cache"),
        ("win32", {}, "/home/u/AppData/Local/numgan/Cache"),
        ("linux", {"NUMGAN_CACHE": "/mine", "XDG_CACHE_HOME": "/xdg"}, "/mine"),
        ("darwin", {"NUMGAN_CACHE": "~/mine"}, "/home/u/mine"),
        ("linux", {"NUMGAN_CACHE": ""}, "/home/u/.cache/numgan"),
    ],
)
def test_cache_dir(monkeypatch, platform, env, expected):
    for name in ("NUMGAN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/u", **env}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(download.sys, "platform", platform)
    assert cache_dir() == Path(expected)


@pytest.mark.parametrize("make", [True, False])
def test_full_without_the_files_tells_how_to_get_them(monkeypatch, tmp_path, make):
    monkeypatch.setenv("NUMGAN_CACHE", str(tmp_path / "cache"))
    if make:
        (tmp_path / "cache").mkdir()
    with pytest.raises(DataError, match="cache.*; run `numgan data mnist --download` to fetch them$"):
        load_mnist("full")


# ---------------------------------------------------------------- the download, from a real local server

CONTENT = {
    "train-images-idx3-ubyte.gz": gzip.compress(idx_images(some_images(300)), 1, mtime=0),
    "train-labels-idx1-ubyte.gz": gzip.compress(idx_labels(some_labels(300)), 1, mtime=0),
    "t10k-images-idx3-ubyte.gz": gzip.compress(idx_images(some_images(5)), 1, mtime=0),
    "t10k-labels-idx1-ubyte.gz": gzip.compress(idx_labels(some_labels(5)), 1, mtime=0),
}
FIRST = "train-images-idx3-ubyte.gz"
ENDLESS = 400 * MEGABYTE


class Mirrors(BaseHTTPRequestHandler):
    """Serves CONTENT under /good/; every other folder is a mirror with a fault of its own."""

    def do_GET(self):
        fault, name = self.path.strip("/").split("/")
        body = CONTENT[name]
        self.server.requests.append(self.path)
        if fault == "missing":
            return self.send_error(404)
        if fault == "no-http":
            self.wfile.write(b"220 welcome \x1b[31mto another service\r\n")
            return None
        if fault == "hang":
            self.server.release.wait(10)
            return None
        if fault == "garbled":
            body = flip(body, len(body) // 2)
        if fault == "short":
            body = body[:-10]
        claimed = {"endless": ENDLESS, "cut": len(body)}.get(fault, len(body))
        self.send_response(200)
        self.send_header("Content-Length", str(claimed))
        self.end_headers()
        if fault == "endless":
            return self.send_endless()
        if fault == "stall":
            self.wfile.write(body[:-1])
            self.server.release.wait(10)
            return None
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    def send_endless(self):
        try:
            while self.server.sent < ENDLESS:
                self.server.sent += self.wfile.write(bytes(1 << 16))
        except OSError:
            pass  # the client has hung up, as it should

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for the handlers

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Mirrors)
        self.requests, self.sent, self.release = [], 0, threading.Event()

    def url(self, mirror):
        return f"http://127.0.0.1:{self.server_port}/{mirror}/"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    table = {name: (len(body), hashlib.sha256(body).hexdigest()) for name, body in CONTENT.items()}
    monkeypatch.setattr(download, "FILES", table)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(directory, *mirrors, timeout=5.0):
    """Download without a progress bar; returns the lines reported."""
    lines = []
    assert download_mnist(directory, mirrors, False, report=lines.append, timeout=timeout) == directory
    return lines


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def dead_url():
    """A URL at a port of this machine where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{s.getsockname()[1]}/"


def test_download(server, tmp_path):
    assert fetch(tmp_path / "new" / "place", server.url("good")) == []
    assert contents(tmp_path / "new" / "place") == CONTENT
    assert server.requests == [f"/good/{name}" for name in CONTENT]


def test_download_into_the_cache_and_load(server, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMGAN_CACHE", str(tmp_path / "cache"))
    assert download_mnist(mirrors=[server.url("good")], progress=False) == tmp_path / "cache"
    train, test = load_mnist("full"), load_mnist("full", kind="test")
    assert np.array_equal(train.images, some_images(300)) and np.array_equal(train.labels, some_labels(300))
    assert np.array_equal(test.images, some_images(5)) and np.array_equal(test.labels, some_labels(5))


def test_a_mirror_needs_no_final_slash(server, tmp_path):
    assert fetch(tmp_path, server.url("good").rstrip("/")) == []
    assert contents(tmp_path) == CONTENT


def test_good_files_are_kept_and_bad_ones_replaced(server, tmp_path):
    names = list(CONTENT)
    (tmp_path / names[0]).write_bytes(CONTENT[names[0]])
    (tmp_path / names[1]).write_bytes(CONTENT[names[1]][:-1])  # another size
    (tmp_path / names[2]).write_bytes(flip(CONTENT[names[2]], 50))  # the size, but not the sum
    fetch(tmp_path, server.url("good"))
    assert server.requests == [f"/good/{name}" for name in names[1:]]
    assert contents(tmp_path) == CONTENT
    fetch(tmp_path, server.url("good"))
    assert len(server.requests) == 3


FAULTS = {
    "missing": "HTTP Error 404: Not Found",
    "no-http": "220 welcome",  # http.client's own exceptions are no OSError
    "short": f"{len(CONTENT[FIRST]) - 10} bytes, expected {len(CONTENT[FIRST])}",
    "cut": f"{len(CONTENT[FIRST]) // 2} bytes",
    "garbled": "SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}",
    "endless": f"more than the expected {len(CONTENT[FIRST])} bytes",
    "hang": "timed out",
    "stall": "timed out",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_mirror_is_reported_and_leaves_nothing(server, tmp_path, fault):
    lines = []
    with pytest.raises(DataError, match=f"could not download {FIRST} from any mirror: .*{FAULTS[fault]}"):
        download_mnist(tmp_path, [server.url(fault)], False, report=lines.append, timeout=0.4)
    assert contents(tmp_path) == {}
    assert len(lines) == 1 and lines[0].startswith(f"{FIRST}: mirror failed: {server.url(fault)}: ")
    assert server.requests == [f"/{fault}/{FIRST}"]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_mirror_serves_when_one_fails(server, tmp_path, fault, monkeypatch):
    monkeypatch.setattr(download, "FILES", {FIRST: download.FILES[FIRST]})
    lines = fetch(tmp_path, server.url(fault), server.url("good"), timeout=0.4)
    assert contents(tmp_path) == {FIRST: CONTENT[FIRST]}
    assert len(lines) == 1 and server.url(fault) in lines[0] and lines[0].isprintable()


def test_a_dead_port_is_a_failed_mirror(server, tmp_path):
    dead = dead_url()
    lines = fetch(tmp_path, dead, server.url("good"))
    assert contents(tmp_path) == CONTENT
    assert len(lines) == 4 and all(dead in line and "refused" in line for line in lines)


def test_all_mirrors_failing_is_one_error_that_names_each(server, tmp_path):
    mirrors = [dead_url(), server.url("missing"), server.url("garbled")]
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, *mirrors)
    message = str(caught.value)
    assert all(mirror in message for mirror in mirrors)
    assert all(reason in message for reason in ("refused", "404", "SHA-256"))
    assert "\n" not in message and contents(tmp_path) == {}


def test_a_failure_keeps_the_files_fetched_before(server, tmp_path):
    fetch(tmp_path, server.url("good"))
    last = list(CONTENT)[-1]
    (tmp_path / last).unlink()
    with pytest.raises(DataError, match=f"could not download {last}"):
        fetch(tmp_path, server.url("cut"))
    assert contents(tmp_path) == {name: body for name, body in CONTENT.items() if name != last}


def test_a_failure_leaves_an_older_file_alone(server, tmp_path):
    (tmp_path / FIRST).write_bytes(b"older")
    with pytest.raises(DataError):
        fetch(tmp_path, server.url("garbled"))
    assert contents(tmp_path) == {FIRST: b"older"}


def test_no_more_is_read_than_the_file_may_have(server, tmp_path):
    with pytest.raises(DataError, match="more than the expected"):
        fetch(tmp_path, server.url("endless"))
    server.shutdown()
    server.server_close()  # waits for the handler
    assert 0 < server.sent < ENDLESS / 10  # what fits into the sockets' buffers


def test_an_interrupt_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupted(source, target, limit, bar):
        target.write(b"half")
        target.flush()
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"half"]  # not under the final name
        assert not (tmp_path / FIRST).exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "_copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, server.url("good"))
    assert contents(tmp_path) == {}


def test_reports_are_printed_and_progress_is_drawn(server, tmp_path, capsys):
    download_mnist(tmp_path, [server.url("missing"), server.url("good")])
    out, err = capsys.readouterr()
    assert out.count("mirror failed") == 4 and out.count("\n") == 4
    assert all(name in err for name in CONTENT) and "100%" in err


def test_no_progress_draws_nothing(server, tmp_path, capsys):
    download_mnist(tmp_path, [server.url("good")], progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "mirrors, message",
    [
        ([], "no mirrors given"),
        (["file:///etc/"], "mirror 'file:///etc/', expected an http or https URL"),
        (["https://fine.example/", "ftp://a/"], "mirror 'ftp://a/', expected an http or https URL"),
    ],
)
def test_mirrors_are_checked_before_anything_is_made(tmp_path, mirrors, message):
    with pytest.raises(DataError, match=message):
        download_mnist(tmp_path / "new", mirrors, False)
    assert not (tmp_path / "new").exists()


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot make the directory .*file"):
        download_mnist(tmp_path / "file" / "sub", ["http://127.0.0.1:9/"], False)
