"""The worker's end of the pipe: a job in, then one command a line, one JSON answer a line.

    check PATH  train on the job's own batches, from its weights, and write the weights that come of it to PATH
    N           train N steps on batches of the worker's drawing; answer with the steps done and the seconds they took

A worker is a class `Trainer(job)` with
    versions                         name -> version, of the framework
    train(real, noise_d, noise_g)    one step on these batches
    run(n)                           n steps on freshly drawn batches, or the next multiple that suits; returns how many
    weights()                        a list of arrays, the generator's before the discriminator's, layer by layer:
                                     W (n_in, n_out), b of a dense layer; γ, β, mean, variance of a batch norm
"""

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
    weights                 to start from: [generator's, discriminator's], each a list as `Trainer.weights` has it.
    batches                 (real, noise_d, noise_g) for the check.
    images                  digits (5000, 784) in [−1, 1], float32; None for the sine's points.
    """

    def __init__(self, path, peer):
        with np.load(path) as file:
            arrays = dict(file)
        vars(self).update(json.loads(str(arrays["settings"])))
        self.peer = peer
        self.weights = [
            [arrays[f"{network}{i}"] for i in range(count)] for network, count in zip("gd", self.counts, strict=True)
        ]
        self.batches = list(zip(arrays["real"], arrays["noise_d"], arrays["noise_g"], strict=True))
        self.images = arrays.get("images")
        self.concatenated = self.schedule == "concatenated"


def hold_threads(threads):
    """Leave this process as many cores as it may use threads: XLA has no other way to be told."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def serve(trainer_class):
    """Answer commands from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a framework prints must not get between the answers
    job = Job(*sys.argv[1:])
    hold_threads(job.threads)
    trainer = trainer_class(job)
    print(json.dumps({"versions": trainer.versions}), file=answers)
    for line in sys.stdin:
        command, _, path = line.strip().partition(" ")
        answer = check(trainer, job, path) if command == "check" else run(trainer, int(command))
        print(json.dumps(answer), file=answers)


def check(trainer, job, path):
    for batch in job.batches:
        trainer.train(*batch)
    np.savez(path, *trainer.weights())
    return {"steps": len(job.batches)}


def run(trainer, n):
    start = time.perf_counter()
    steps = trainer.run(n)
    return {"steps": steps, "seconds": time.perf_counter() - start}
