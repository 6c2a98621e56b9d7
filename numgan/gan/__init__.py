"""The game: a generator against a discriminator."""
