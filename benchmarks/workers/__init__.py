"""The peers of `benchmarks peers`, each a process of its own that trains a recipe's GAN its framework's way."""
