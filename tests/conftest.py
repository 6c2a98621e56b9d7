"""Settings for the whole suite."""

import os

# The tests' matrices are small: BLAS threads gain nothing, and stall one another when the machine is shared.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("numgan", deadline=None)  # how long an example takes says more of the machine
settings.load_profile("numgan")
