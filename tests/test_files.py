"""`atomic_write`: a file is there whole, or as it was before."""

import os
from pathlib import Path

import pytest

from numgan.files import WriteError, atomic_write


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
