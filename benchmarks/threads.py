"""How many threads the matrix products use. A BLAS reads these variables once, when it is loaded: set them before."""

VARIABLES = (
    "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip


def environment(threads):
    """name -> value that holds any BLAS to so many threads."""
    return dict.fromkeys(VARIABLES, str(threads))
