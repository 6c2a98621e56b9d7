"""Benchmarks of numgan, run from a checkout: `python -m benchmarks COMMAND`. See `python -m benchmarks -h`."""
