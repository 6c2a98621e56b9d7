"""`History`: the losses and accuracies of a run, worked out from the discriminator's logits a block of steps at a time.

A training step needs the gradient of its loss, not the loss. Steps therefore only log their logits; every hundred
steps or so one vectorised pass turns them into losses and accuracies (at each step they would take 250 µs, more than a
step of the sine GAN; logged and measured a thousand steps at a time, 7).
"""

import numpy as np

from numgan.kernels import activations, losses

COLUMNS = (
    *("d_loss_real", "d_loss_fake", "d_accuracy_real", "d_accuracy_fake", "g_loss", "g_accuracy"),
    *("d_real", "d_fake", "value"),
)
OBJECTIVES = ("non-saturating", "minimax")


def measure(logits, target, is_real):
    """(mean loss, share classified as `is_real`) over the batch: logits (…, batch, 1) to two arrays (…)."""
    loss = np.empty_like(logits)
    losses.bce_logits_forward(logits, target, np.empty_like(logits), out=loss)
    hit = (logits > 0) == is_real
    return loss.mean(axis=(-2, -1), dtype=np.float64), hit.mean(axis=(-2, -1), dtype=np.float64)


def measure_generator(logits, objective):
    """(mean objective, share of fakes that passed as real): cross-entropy against label 1, or E[log(1 − D(G(z)))]."""
    if objective == "non-saturating":
        return measure(logits, 1.0, True)
    cross_entropy, caught = measure(logits, 0.0, False)
    return -cross_entropy, 1 - caught


def mean_probability(logits):
    """The mean of D = σ(logit) over the batch: logits (…, batch, 1) to an array (…)."""
    probability = np.empty_like(logits)
    activations.sigmoid_forward(logits, np.empty_like(logits), out=probability)
    return probability.mean(axis=(-2, -1), dtype=np.float64)


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

    d_loss_real, d_loss_fake          binary cross-entropy against real_target on real rows, against 0 on fakes.
    d_accuracy_real, d_accuracy_fake  shares of the batch that the discriminator puts on the right side of ½.
    g_loss, g_accuracy                the generator's objective, and the share of fakes that passed as real.
    d_real, d_fake                    mean D(x) on real rows and mean D(G(z)) on fakes: ½ at the equilibrium.
    value                             V(D, G) = mean log D(x) + mean log(1 − D(G(z))): −log 4 at the equilibrium
                                      (Goodfellow et al. 2014, arXiv:1406.2661, eq. 1 and theorem 1).
    Worked out on asking: step, d_accuracy (the mean of both) and d_loss (the mean, or the sum where `summed`).
    """

    def __init__(self, real_target=1.0, objective="non-saturating", summed=False):
        self.real_target, self.objective, self.summed = real_target, objective, summed
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
        loss_real, accuracy_real = measure(real, self.real_target, True)
        loss_fake, accuracy_fake = measure(fake, 0.0, False)
        # against label 1 whatever the target: (log(1 + eᶻ) − z) is (log(1 + eᶻ) − t·z) less (1 − t)·z
        value = (1 - self.real_target) * real.mean(axis=(-2, -1), dtype=np.float64) - loss_real - loss_fake
        columns = [loss_real, loss_fake, accuracy_real, accuracy_fake, *measure_generator(generator, self.objective)]
        columns += [mean_probability(real), mean_probability(fake), value]
        bad = []
        for name, values in zip(COLUMNS, columns, strict=True):
            self._blocks[name].append(values)
            finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
            if not finite.all():
                bad.append((start + int(finite.argmin()) + 1, name))
        return min(bad, key=lambda found: found[0], default=None)

    @property
    def looks(self):
        """How many times `add` has been called."""
        return len(self._blocks[COLUMNS[-1]])

    def cut(self, looks):
        """Keep what the first `looks` calls of `add` brought."""
        for blocks in self._blocks.values():
            del blocks[looks:]

    def __getitem__(self, name):
        """A column by name: an array (steps,), or (steps, R) with replicas."""
        if name == "step":
            return np.arange(1, len(self) + 1)
        if name in ("d_loss", "d_accuracy"):
            both = self[name + "_real"] + self[name + "_fake"]
            return both if name == "d_loss" and self.summed else both / 2
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
