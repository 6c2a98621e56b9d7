"""`History`: the losses and accuracies of a run, worked out from the discriminator's logits a block of steps at a time.

A training step needs the gradient of its loss, not the loss. Steps therefore only log their logits; every hundred
steps or so one vectorised pass turns them into losses and accuracies (at each step they would take 52 µs beside the
sine GAN's 182; logged and measured a thousand steps at a time, 3).
"""

import numpy as np

from numgan import kernels

COLUMNS = ("d_loss_real", "d_loss_fake", "d_accuracy_real", "d_accuracy_fake", "g_loss", "g_accuracy")


def measure(logits, target, is_real):
    """(mean loss, share classified as `is_real`) over the batch: logits (…, batch, 1) to two arrays (…)."""
    loss = np.empty_like(logits)
    kernels.bce_logits_forward(logits, target, np.empty_like(logits), out=loss)
    hit = (logits > 0) == is_real
    return loss.mean(axis=(-2, -1), dtype=np.float64), hit.mean(axis=(-2, -1), dtype=np.float64)


class LogitLog:
    """Room for the logits of `steps` training steps: real, fake and generator, each (steps, *logit shape)."""

    def __init__(self, steps, shapes, dtype):
        self.arrays = [np.empty((steps, *shape), dtype) for shape in shapes]
        self._rows = list(zip(*map(list, self.arrays), strict=True))  # views made once: 0.1 µs each to make
        self.used = 0

    def write(self, real, fake, generator):
        """Log one step."""
        rows = self._rows[self.used]
        np.copyto(rows[0], real)
        np.copyto(rows[1], fake)
        np.copyto(rows[2], generator)
        self.used += 1


class History:
    """One row per step: step (counted from 1) and COLUMNS; arrays (steps,), or (steps, R) with replicas.

    Losses are binary cross-entropies against the targets trained with (real_target for real, 0 for fake, 1 for the
    generator); accuracies are shares of the batch the discriminator puts on the target's side of ½, so g_accuracy
    is the share of fakes that passed as real.
    """

    def __init__(self, real_target=1.0):
        self.real_target = real_target
        self._blocks = {name: [] for name in COLUMNS}

    def __len__(self):
        return sum(map(len, self._blocks["g_loss"]))

    def add(self, log):
        """Take over the logged steps and empty the log.

        Returns None, or (step, column) of the first value among them that is not finite.
        """
        start = len(self)
        real, fake, generator = (a[: log.used] for a in log.arrays)
        log.used = 0
        sides = (
            ("d_{}_real", real, self.real_target, True),
            ("d_{}_fake", fake, 0.0, False),
            ("g_{}", generator, 1.0, True),
        )
        bad = []
        for column, logits, target, is_real in sides:
            loss, accuracy = measure(logits, target, is_real)
            self._blocks[column.format("loss")].append(loss)
            self._blocks[column.format("accuracy")].append(accuracy)
            finite = np.isfinite(loss).reshape(len(loss), -1).all(axis=1)
            if not finite.all():
                bad.append((start + int(finite.argmin()) + 1, column.format("loss")))
        return min(bad, default=None)

    @property
    def looks(self):
        """How many times `add` has been called."""
        return len(self._blocks[COLUMNS[-1]])

    def cut(self, looks):
        """Keep what the first `looks` calls of `add` brought."""
        for blocks in self._blocks.values():
            del blocks[looks:]

    def __getitem__(self, name):
        """A column by name; "step", "d_loss" and "d_accuracy" (the means of real and fake) are worked out."""
        if name == "step":
            return np.arange(1, len(self) + 1)
        if name in ("d_loss", "d_accuracy"):
            return (self[name + "_real"] + self[name + "_fake"]) / 2
        blocks = self._blocks[name]
        return np.concatenate(blocks) if blocks else np.empty(0)

    def write_csv(self, path):
        """Write a header line and a line per step, shortest digits that read back as the same float32.

        With replicas each column is written once per replica: d_loss_real[0], d_loss_real[1], …
        """
        names, columns = [], []
        for name in COLUMNS:
            values = self[name].astype(np.float32)
            names += [name] if values.ndim == 1 else [f"{name}[{r}]" for r in range(values.shape[1])]
            columns += [values] if values.ndim == 1 else list(values.T)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(",".join(["step", *names]) + "\n")
            for step, row in enumerate(zip(*columns, strict=True), 1):
                file.write(f"{step}," + ",".join(map(str, row)) + "\n")
