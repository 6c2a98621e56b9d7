"""Benchmarks of numgan, run from a checkout: `python -m benchmarks COMMAND`. See `python -m benchmarks -h`."""


class BenchmarkError(Exception):
    """What a user can put right; the message says what, in one sentence."""
