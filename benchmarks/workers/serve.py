"""The worker's end of the pipe: a job per recipe to start with, then a command a line, a JSON answer a line.

    RECIPE check PATH  train on the job's own batches, from its weights, write the weights that come of it to PATH, and
                       answer with the versions of the framework
    RECIPE run N       train N steps on batches of the worker's drawing; answer with the steps done and the seconds

A worker is a class `Trainer(job)` with
    versions                         name -> version, of the framework
    train(real, noise_d, noise_g …)  one step on these batches; what they are, the job says
    run(n)                           n steps on freshly drawn batches, or the next multiple that suits; returns how many
    weights()                        a list of arrays, the generator's before the discriminator's, layer by layer:
                                     W (n_in, n_out), b of a dense layer; W, b of a convolution, W as PyTorch has it;
                                     γ, β, mean, variance of a batch norm
"""

import copy
import json
import os
import sys
import time

import numpy as np


class Job:
    """What the parent asks for. Besides the recipe's settings by their names (batch_size, learning_rate …):

    peer, recipe, threads   which peer trains which recipe on how many threads.
    rows                    real rows, and as many generated ones, in a discriminator step.
    concatenated            whether they are one batch or two.
    layers                  [generator's, discriminator's], each [(kind, settings)], numgan's classes and arguments by
                            name; the discriminator ends in a Sigmoid. A Skip's or Join's settings have "layers" and
                            "shapes" likewise.
    shapes                  of a row before, between and after these layers; images are (channels, height, width).
    weights                 to start from: [generator's, discriminator's], each a list as `Trainer.weights` has it.
    inputs                  names of what a step takes: real, noise_d, noise_g; where there is a condition then also
                            condition_d, condition_g, real_g: of the real rows, and of rows for the generator's step.
    batches                 those for the check, a tuple each.
    images                  digits (4000, 784) or (4000, 1, 28, 28) in [−1, 1], float32; None for the sine's points.
    conditions              what each of them is under, (4000, …), float32; None where there is no condition.
    """

    def __init__(self, path, peer):
        with np.load(path) as file:
            arrays = dict(file)
        vars(self).update(json.loads(str(arrays["settings"])))
        self.peer = peer
        self.weights = [
            [arrays[f"{network}{i}"] for i in range(count)] for network, count in zip("gd", self.counts, strict=True)
        ]
        self.batches = list(zip(*(arrays[name] for name in self.inputs), strict=True))
        self.images, self.conditions = arrays.get("images"), arrays.get("conditions")
        self.concatenated = self.schedule == "concatenated"

    def has(self, *kinds):
        """Whether a network has a layer of these kinds."""
        return any(_has(layers, kinds) for layers in self.layers)

    def without_dropout(self):
        """The same job without its dropout, for the check: every framework draws masks of its own."""
        job, kept = copy.copy(self), map(_without_dropout, self.layers, self.shapes)
        job.dropout, (job.layers, job.shapes) = 0.0, zip(*kept, strict=True)
        return job


def _has(layers, kinds):
    return any(kind in kinds or _has(s.get("layers", ()), kinds) for kind, s in layers)


def _without_dropout(layers, shapes):
    """(layers, shapes) of all others."""
    kept, around = [], [shapes[0]]
    for (kind, s), shape in zip(layers, shapes[1:], strict=True):
        if kind != "Dropout":
            if "layers" in s:
                s = s | dict(zip(("layers", "shapes"), _without_dropout(s["layers"], s["shapes"]), strict=True))
            kept.append((kind, s))
            around.append(shape)
    return kept, around


def hold_threads(threads):
    """Leave this process as many cores as it may use threads: XLA has no other way to be told."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def serve(trainer_class):
    """Answer commands from standard input until it ends, or with "failed", the reason in one line, and end."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a framework prints must not get between the answers
    peer, *paths = sys.argv[1:]
    jobs = {job.recipe: job for job in (Job(path, peer) for path in paths)}
    hold_threads(next(iter(jobs.values())).threads)
    trainers = {}
    for line in sys.stdin:
        recipe, command, word = line.strip().split(" ", 2)
        try:
            if recipe not in trainers:
                trainers[recipe] = trainer_class(jobs[recipe])
            answer = COMMANDS[command](trainers[recipe], jobs[recipe], word)
        except Exception as error:
            text = str(error).strip()
            answer = {"failed": f"{type(error).__name__}: {text.splitlines()[0] if text else 'no reason given'}"}
        print(json.dumps(answer), file=answers)
        if "failed" in answer:
            break


def check(trainer, job, path):
    if job.has("Dropout"):
        trainer = type(trainer)(job.without_dropout())
    for batch in job.batches:
        trainer.train(*batch)
    np.savez(path, *trainer.weights())
    return {"versions": trainer.versions}


def run(trainer, job, n):
    start = time.perf_counter()
    steps = trainer.run(int(n))
    return {"steps": steps, "seconds": time.perf_counter() - start}


COMMANDS = {"check": check, "run": run}
