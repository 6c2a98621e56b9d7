"""`ProgressBar`: how far a training is, for `GAN.fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numgan.errors import whole
from numgan.progress import progress_bar

if TYPE_CHECKING:
    from numgan.gan.history import History


class ProgressBar:
    """A callback of `GAN.fit` that moves a bar: gan.fit(data, steps=2000, rng=rng, callback=ProgressBar(2000)).

    total  steps of the whole training; by epochs, that is as many times `GAN.steps_per_epoch`.

    It is a line of text in a terminal, a widget in a notebook, and nothing where nobody looks on. Another training
    gets a bar of its own.

    >>> gan = GAN(Sequential([Dense(2)], 3, rng), Sequential([Dense(1), Sigmoid()], 2, rng))
    >>> history = gan.fit(SinePoints(), steps=20, batch_size=8, rng=rng, callback=ProgressBar(20))
    """

    def __init__(self, total: int) -> None:
        self.total, self._bar = whole("ProgressBar: total", total, 0), None

    def __call__(self, done: int, history: History) -> None:
        if self._bar is None:
            self._bar = progress_bar(self.total, "step")
        self._bar.update(done - self._bar.n)
        if done >= self.total:
            self._bar.close()
            self._bar = None
