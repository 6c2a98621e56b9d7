"""The trainings of several single GANs side by side, with their steps made by one stack.

Each is a `Training` of its own, which looks at its GAN, calls back, keeps its checkpoint and goes back to its last good
look by itself; in place of making steps it is dealt what replica r of the stack has made of them. So what is true of a
training alone is true of it here.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import threadpoolctl

from numgan.data.stream import Shuffled
from numgan.gan.blocks import counts, set_counts
from numgan.gan.checkpoint import Checkpoint
from numgan.gan.conditions import together
from numgan.gan.fit import FINITE_EVERY, Callback, Request, Training, TrainingStep, as_source
from numgan.gan.model import GAN
from numgan.gan.parts import Part, Parts, RandomState
from numgan.gan.replicas import arenas
from numgan.hints import Array, ConditionalSource, Rng, Source


class Side(NamedTuple):
    """A single GAN that is to be trained beside others: what `GAN.fit` takes of it alone.

    callback  looks on, and changes nothing of the GAN.
    """

    gan: GAN
    rng: Rng
    callback: Callback
    checkpoint: Checkpoint
    parts: dict[str, Part]


def fit_side_by_side(
    sides: Sequence[Side],
    data: Source | ConditionalSource,
    steps: int | None,
    batch_size: int,
    every: int,
    discriminator_steps: int,
    generator_steps: int,
    epochs: int | None = None,
) -> None:
    """Train two single GANs or more as gan.fit(data, rng=rng, callback=callback, …) does, each by itself, to the bit
    where BLAS has one thread. The other arguments are those of `GAN.fit`; all checkpoints have the same `every`.

    Each checkpoint holds the state in which that would have left it: at the end, or where infinities or NaNs came up,
    or anything else has stopped it, of the last good look. Going on from there by itself says what it was.

    Raises ArgumentError, with nothing begun, where the GANs cannot be stacked. Whatever stops all, such as a
    KeyboardInterrupt, is raised again once every state is kept.
    """
    stack = GAN.stack([side.gan for side in sides])
    request = Request(steps, epochs, batch_size, every, discriminator_steps, generator_steps, insides=False).checked()
    data = as_source(stack, data)
    shares = [_Share(gan, data, rng, request, parts) for gan, rng, _, _, parts in sides]
    made = _Steps(stack, data, shares, [copy.deepcopy(side.rng) for side in sides])
    going = {r: shares[r].course(side.callback, side.checkpoint) for r, side in enumerate(sides)}
    with contextlib.ExitStack() as inside:
        inside.enter_context(threadpoolctl.threadpool_limits(1, user_api="blas"))
        inside.enter_context(np.errstate(all="ignore"))
        for side in sides:
            inside.enter_context(side.gan.in_use("fit"))
        try:
            while going:
                for r in list(going):
                    try:
                        stretch, _ = next(going[r])  # the same for all
                    except StopIteration:
                        del going[r]
                    except Exception as error:  # of this one alone
                        del going[r]
                        shares[r].go_back(error, sides[r].checkpoint)
                    else:
                        index = shares[r].index_of(stretch.step)
                if going:
                    made.run(index, stretch.length)
                    made.deal(index, going)
        except BaseException as error:
            for r in going:
                shares[r].go_back(error, sides[r].checkpoint)
            raise


class _Share(Training):
    """The training of one GAN; `steps` are those that are made for it, as number `r`."""

    steps: _Steps
    r: int

    def _team_of(self, processes):
        return contextlib.nullcontext()

    def index_of(self, step: TrainingStep) -> int:
        """Which of the steps that are repeated it is."""
        return next(i for i, (own, _) in enumerate(self._repeated) if own is step)

    def take(self, index: int, scores: Sequence[Array], logged: Sequence[Array | None]) -> None:
        """Have made the steps of a stretch: the scores of the last, and what is logged of all."""
        step, _ = self._repeated[index]
        for own, dealt in zip(step.kept, scores, strict=True):
            np.copyto(own, dealt)
        self._logs[step].extend(logged)

    def _look(self, stretch, told):
        self.steps.deal_random(self.r, self.parts["run"])
        return super()._look(stretch, told)


class _Steps:
    """The steps that a stack makes for several trainings, and what each of these has of them.

    rngs  a random generator for each, of which nobody else draws.
    """

    def __init__(self, stack: GAN, data: Source | ConditionalSource, shares: Sequence[_Share], rngs: list[Rng]) -> None:
        self._stack, self._shares, self._rngs = stack, shares, rngs
        source, by_epoch = together(data, stack.conditions), "order" in shares[0].parts["run"]
        self._orders = [Shuffled(source, rng) for rng in rngs] if by_epoch else []
        self._steps = [step for step, _ in shares[0].bound(stack, data, rngs, self._orders or None)]
        self._logs = [step.log(FINITE_EVERY) for step in self._steps]
        self._arenas, self._theirs = arenas(stack), [arenas(share.gan) for share in shares]
        for r, share in enumerate(shares):
            share.steps, share.r = self, r

    def run(self, index: int, times: int) -> None:
        """Make a step so many times."""
        step, log = self._steps[index], self._logs[index]
        for _ in range(times):
            step.run()
            log.write(step.kept)

    def deal(self, index: int, going: Iterable[int]) -> None:
        """Give those that go on what there is of them after a stretch."""
        logged, made = self._logs[index].take(), counts(self._stack)
        for r in going:
            for own, all_of_them in zip(self._theirs[r], self._arenas, strict=True):
                np.copyto(own, all_of_them[r].reshape(own.shape))
            set_counts(self._shares[r].gan, made)
            scores = [a[r] for a in self._steps[index].kept]
            self._shares[r].take(index, scores, [None if a is None else a[:, r] for a in logged])

    def deal_random(self, r: int, run: Parts) -> None:
        """Set the parts of a run that have to do with random numbers to where replica r is."""
        run["rng"].load_state_dict(RandomState(self._rngs[r]).state_dict())
        if self._orders:
            run["order"].load_state_dict(self._orders[r].state_dict())
        for i, step in enumerate(self._steps):
            for name, stream in step.drawn.items():
                run[f"drawn_{i}"][name].hand_out([batch[r] for batch in stream.left])
