"""Settings for the whole suite."""

import os

# The tests' matrices are small: BLAS threads gain nothing, and stall one another when the machine is shared.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("numgan", deadline=None)  # how long an example takes says more of the machine
settings.load_profile("numgan")


@pytest.fixture
def unrendered(monkeypatch):
    """For runs whose pictures are not looked at: figures are made, but their files stay empty. Rendering is most of a
    short run's time.
    """
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, path, **how: Path(path).write_bytes(b""))
