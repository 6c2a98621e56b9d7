"""The layers that numgan has, by name: a chapter's `__all__` lists its own. Model files, gradient checks, property
tests and the public face go through here, so that whoever adds a layer to a chapter adds it everywhere.
"""

from numgan.nn import (
    activations,
    batch_norm,
    convolution,
    dense,
    dropout,
    embedding,
    joining,
    resampling,
    reshaping,
    spectral_norm,
)

CHAPTERS = (
    dense,
    activations,
    batch_norm,
    convolution,
    resampling,
    dropout,
    embedding,
    reshaping,
    joining,
    spectral_norm,
)
LAYERS = {name: getattr(chapter, name) for chapter in CHAPTERS for name in chapter.__all__}
