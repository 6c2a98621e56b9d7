"""`atomic_write`: a file is there whole, or as it was before; directories are locked, leftovers removed."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from numgan.files import LockError, WriteError, atomic_write, is_empty, locked, remove_leftovers


class Interrupted(BaseException):
    pass


@pytest.fixture
def target(tmp_path):
    """A file that is there already."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    return path


@pytest.mark.parametrize("kind", [str, Path])
def test_what_was_written_is_there_afterwards_and_nothing_else(target, kind):
    with atomic_write(kind(target)) as temporary:
        Path(temporary).write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["file.txt"]


def test_the_temporary_file_lies_beside_the_target_and_has_its_ending(target):
    """Beside it, so that it can be moved in one step; with its ending, because some writers add one of their own."""
    with atomic_write(target) as temporary:
        assert Path(temporary).parent == target.parent and Path(temporary) != target
        assert temporary.endswith(".txt")


def test_a_name_without_a_directory_is_in_the_working_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_write("file") as temporary:
        Path(temporary).write_text("new")
    assert Path("file").read_text() == "new" and os.listdir() == ["file"]


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt(), Interrupted()], ids=repr)
@pytest.mark.parametrize("where", ["while writing", "os.replace", "os.chmod"])
def test_a_failure_leaves_the_old_file_alone_and_nothing_beside_it(target, failure, where, monkeypatch):
    def fail(*arguments):
        raise failure

    if where != "while writing":
        monkeypatch.setattr(where, fail)
    with pytest.raises(type(failure)), atomic_write(target) as temporary:
        Path(temporary).write_text("half")
        if where == "while writing":
            fail()
    assert target.read_text() == "old"
    assert os.listdir(target.parent) == ["file.txt"]


@pytest.mark.parametrize("failure", [OSError, Interrupted])
def test_a_failure_leaves_nothing_where_nothing_was(tmp_path, failure):
    with pytest.raises(failure), atomic_write(tmp_path / "file") as temporary:
        Path(temporary).write_text("half")
        raise failure
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_file_has_the_mode_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "file"):
            pass
        (tmp_path / "other").touch()
        assert os.umask(umask) == umask  # which was only looked at
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_missing_directory_is_an_os_error(tmp_path):
    with (
        pytest.raises(WriteError, match="missing/file: cannot be written: No such file"),
        atomic_write(tmp_path / "missing" / "file"),
    ):
        pass


def test_an_old_file_passes_on_its_mode(target):
    target.chmod(0o640)
    with atomic_write(target) as temporary:
        Path(temporary).write_text("new")
    assert target.read_text() == "new" and target.stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_is_followed(tmp_path, target):
    link = tmp_path / "elsewhere" / "link.txt"
    link.parent.mkdir()
    link.symlink_to(target)
    with atomic_write(link) as temporary:
        assert Path(temporary).parent == target.parent
        Path(temporary).write_text("new")
    assert link.is_symlink() and target.read_text() == "new" and os.listdir(link.parent) == ["link.txt"]


@pytest.mark.skipif(os.name != "posix", reason="special files")
@pytest.mark.parametrize("kind, word", [("fifo", "a FIFO"), ("directory", "a directory"), ("device", "a device")])
def test_what_is_no_regular_file_is_not_replaced(tmp_path, kind, word):
    path = tmp_path / "special"
    {"fifo": os.mkfifo, "directory": Path.mkdir, "device": lambda p: p.symlink_to("/dev/null")}[kind](path)
    with pytest.raises(WriteError, match=f"special: cannot be written: it is {word}"), atomic_write(path):
        pass
    assert os.listdir(tmp_path) == ["special"]


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
@pytest.mark.parametrize("how", ["write_model(path, {}, {'a': np.zeros(10**6)})", "save(figure, path)"])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(target, how):
    """A limit on the size of files stands in for the disk's."""
    program = f"""
import resource, sys
import numpy as np
from matplotlib.figure import Figure
from numgan.nn.model_file import write_model
from numgan.study.plots import save
figure, path = Figure(), sys.argv[1]
figure.subplots().plot([1, 2])
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    {how}
except OSError as error:
    print(type(error).__name__, error)
"""
    result = subprocess.run([sys.executable, "-c", program, str(target)], capture_output=True, text=True)
    assert result.stdout == f"WriteError {target}: cannot be written: File too large\n", result
    assert result.stderr == "" and target.read_text() == "old" and os.listdir(target.parent) == ["file.txt"]


def test_contents_reach_the_disk_before_the_name(target, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (done.append(name), real(*a)))
    with atomic_write(target):
        pass
    assert done[:2] == ["fsync", "replace"]
    assert done[2:] == ["fsync"] or os.name != "posix"  # of the directory


def test_leftovers_of_killed_runs_are_nothing_and_can_be_removed(tmp_path):
    kill = "import os, sys; from numgan.files import atomic_write\nwith atomic_write(sys.argv[1]): os._exit(1)"
    subprocess.run([sys.executable, "-c", kill, str(tmp_path / "file.txt")])
    assert len(os.listdir(tmp_path)) == 1 and is_empty(tmp_path)
    (tmp_path / "mine.txt").touch()
    assert not is_empty(tmp_path)
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["mine.txt"]


@pytest.mark.skipif(os.name != "posix", reason="locks")
def test_a_locked_directory_is_refused_to_others_until_it_is_let_go(tmp_path):
    other = "import sys; from numgan.files import locked\nwith locked(sys.argv[1]): print('mine')"

    def by_another_process():
        return subprocess.run([sys.executable, "-c", other, str(tmp_path)], capture_output=True, text=True)

    def by_another_thread():
        with locked(tmp_path):
            return "mine"

    with ThreadPoolExecutor() as pool:
        with locked(tmp_path):
            assert f"{tmp_path} is in use by another process" in by_another_process().stderr
            assert isinstance(pool.submit(by_another_thread).exception(), LockError)
        assert by_another_process().stdout == "mine\n" and pool.submit(by_another_thread).result() == "mine"
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="locks")
def test_a_directory_that_is_none_cannot_be_locked(target):
    for path in (target, target.parent / "missing"):
        with pytest.raises(LockError, match="cannot be locked"), locked(path):
            pass
