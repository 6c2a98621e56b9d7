"""What the tests of runs share."""

import pytest

from numgan.cli import main


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """call(*arguments): `numgan ARGUMENTS` in an empty directory, (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return call
