"""One checkout's end of `bits`: train every small game that numgan can play, and write what came of it to an .npz file.

Run as a script with the checkout first on PYTHONPATH. It keeps to what every checkout offers (`from numgan import …`,
the command line, model files), so that trees of different structure can be held against each other.
"""

import contextlib
import io
import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import numgan
from numgan import cli

SCHEDULES = ("concatenated", "separate", "summed")
OBJECTIVES = ("non-saturating", "minimax")
DTYPES = ("float32", "float64")
LENGTHS = {"mnist": 7, "mnist-epochs": 7, "sine": 130, "sine-discriminator": 60}  # steps
EXTRAS = (
    ("mnist", "--set=discriminator_steps=3", "--set=generator_steps=2"),
    ("mnist", "--set=label_smoothing=0.1", "--batch-size=31"),
    ("mnist", "--set=adam_form=paper"),
    ("mnist", "--set=discriminator_steps=0"),
    ("mnist-epochs", "--epochs=1", "--batch-size=300"),
    ("sine", "--set=output=sigmoid", "--set=initializer=he_normal"),
    ("sine", "--seed=5", "--set=label_smoothing=0.2", "--batch-size=34"),
)


def rng(seed=0):
    return np.random.default_rng(seed)


# --------------------------------------------------------------------------------------- arrays, whatever the layout


def weights_turned():
    """Whether this checkout keeps a Dense layer's weight as (n_out, n_in); results are told as (n_in, n_out)."""
    probe = numgan.Sequential([numgan.Dense(2)], 3, rng())
    return probe.parameters()["dense_1.weight"].shape == (2, 3)


TURNED = weights_turned()
OBJECTS = hasattr(numgan, "NonSaturating")  # the rules of the game are objects, not strings


def told(named):
    """name -> contiguous copy, dense weights as (…, n_in, n_out)."""
    return {
        name: np.ascontiguousarray(a.mT if TURNED and name.endswith(".weight") else a).copy()
        for name, a in named.items()
    }


def contents(network, optimizer):
    """Everything that belongs to a network and its optimiser, by name. Flat moments are read through the layout."""
    found = {f"value {name}": a for name, a in told(network.state_dict()).items()}
    found |= {f"gradient {name}": a for name, a in told(network.gradients()).items()}
    kept = network.grads.copy()
    for moment, array in optimizer.state.items():
        network.grads[...] = array
        found |= {f"{moment} {name}": a for name, a in told(network.gradients()).items()}
    network.grads[...] = kept
    return found | {"steps": np.array(optimizer.steps)}


def contents_of_gan(gan):
    sides = {"generator": gan.generator, "discriminator": gan.discriminator}
    return {
        f"{side} {name}": a
        for side, network in sides.items()
        for name, a in contents(network, getattr(gan, f"{side}_optimizer")).items()
    }


# ------------------------------------------------------------------------------------------------- what is trained


def command_line_runs(directory):
    """(name, arrays) for every recipe, schedule, objective and dtype, trained from the command line."""
    runs = [
        (
            f"{recipe} {schedule} {objective} {dtype}",
            recipe,
            f"--steps={LENGTHS[recipe]}",
            f"--dtype={dtype}",
            *game(schedule, objective),
        )
        for recipe, schedule, objective, dtype in itertools.product(LENGTHS, SCHEDULES, OBJECTIVES, DTYPES)
    ]
    for recipe, *options in EXTRAS:
        length = [] if any("epochs" in option for option in options) else [f"--steps={LENGTHS[recipe]}"]
        runs += [
            (" ".join([recipe, *options, dtype]), recipe, *length, *options, f"--dtype={dtype}") for dtype in DTYPES
        ]
    for i, (name, *arguments) in enumerate(runs):
        out = directory / str(i)
        status = run_command(["train", *arguments, "--quiet", f"--out={out}"])
        if status:
            raise SystemExit(f"numgan train {' '.join(arguments)}: exit status {status}")
        arrays = contents_of_gan(numgan.GAN.load(out / "model.npz"))
        arrays = {name: a for name, a in arrays.items() if " gradient " not in name}  # a model file has none
        table = np.genfromtxt(out / "history.csv", delimiter=",", skip_header=1, dtype=np.float64)
        yield name, arrays | {"history": table}


def game(schedule, objective):
    """The settings of a game. The sum of the discriminator's losses was a schedule once."""
    settings = {"schedule": schedule, "objective": objective}
    if OBJECTS:
        settings |= {"discriminator_loss": "sum" if schedule == "summed" else "mean"}
        settings |= {"schedule": "concatenated"} if schedule == "summed" else {}
    return [f"--set={name}={value}" for name, value in settings.items()]


def run_command(arguments):
    with contextlib.redirect_stderr(io.StringIO()):
        return cli.main(arguments)


def make_gan(schedule, objective, dtype, replicas, optimizer):
    """A GAN of every kind of layer, batch norm on both sides."""
    n = numgan
    g = [n.Dense(6), n.LeakyReLU(0.2), n.BatchNorm(0.8), n.Dense(5), n.ReLU(), n.Dense(4), n.Tanh()]
    d = [
        n.Dense(7),
        n.BatchNorm(0.8),
        n.LeakyReLU(0.2),
        n.Dense(5),
        n.Tanh(),
        n.BatchNorm(0.5),
        n.Dense(1),
        n.Sigmoid(),
    ]
    networks = n.Sequential(g, 3, rng(1), dtype, replicas), n.Sequential(d, 4, rng(2), dtype, replicas)
    if not OBJECTS:
        return n.GAN(*networks, optimizer(), optimizer(), schedule, 0.1, objective)
    kind = n.Minimax if objective == "minimax" else n.NonSaturating
    rules = kind(0.1, "sum" if schedule == "summed" else "mean")
    return n.GAN(*networks, optimizer(), optimizer(), rules, "separate" if schedule == "separate" else "concatenated")


def replica_runs():
    """(name, arrays) for stacks of replicas and single networks, by steps and by epochs, with a partial batch."""
    rows = rng(5).normal(0.3, 0.5, (45, 4)).astype(np.float32)
    optimizers = {"Adam": lambda: numgan.Adam(0.01, form="paper"), "SGD": lambda: numgan.SGD(0.01, 0.9)}
    cases = itertools.product(SCHEDULES, OBJECTIVES, DTYPES, (None, 1, 3), optimizers)
    for schedule, objective, dtype, replicas, optimizer in cases:
        gan = make_gan(schedule, objective, dtype, replicas, optimizers[optimizer])
        arrays = {}
        for how in ({"steps": 9}, {"epochs": 2, "discriminator_steps": 2}):
            history = gan.fit(rows, batch_size=12, rng=rng(3), every=4, **how)
            for column in ("d_loss", "d_loss_real", "d_accuracy_fake", "g_loss", "g_accuracy", "value", "d_real"):
                arrays[f"{next(iter(how))} {column}"] = np.asarray(history[column])
        arrays["samples"] = gan.sample(300, rng(4))
        yield f"{schedule} {objective} {dtype} {replicas} replicas {optimizer}", arrays | contents_of_gan(gan)


def classifier_runs():
    """(name, arrays) for `train_on_batch` with each loss, and for the digit classifier that ships with the package."""
    x, labels = rng(6).normal(0, 1, (30, 5)), rng(7).integers(0, 3, 30)
    for dtype in DTYPES:
        for loss, head, target in (
            (numgan.BinaryCrossEntropy(label_smoothing=0.1), [numgan.Dense(1), numgan.Sigmoid()], labels[:, None] > 0),
            (numgan.BinaryCrossEntropy(), [numgan.Dense(1), numgan.Sigmoid(), numgan.ReLU()], labels[:, None] > 0),
            (numgan.SoftmaxCrossEntropy(), [numgan.Dense(3)], np.eye(3)[labels]),
        ):
            network = numgan.Sequential([numgan.Dense(8), numgan.BatchNorm(), numgan.ReLU(), *head], 5, rng(8), dtype)
            optimizer = numgan.Adam(0.01)
            network.compile(optimizer, loss)
            told_losses = np.array([network.train_on_batch(x, target) for _ in range(6)])
            name = f"train_on_batch {type(loss).__name__} {len(head)} {dtype}"
            yield name, contents(network, optimizer) | {"losses": told_losses}


def main(path):
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        Figure.savefig = lambda *arguments, **keywords: None  # pictures take most of the time, and prove nothing here
        for name, arrays in itertools.chain(replica_runs(), classifier_runs(), command_line_runs(Path(directory))):
            results |= {f"{name}: {part}": a for part, a in arrays.items()}
    np.savez(path, **{name.replace("/", "-"): a for name, a in results.items()})
    print(Path(numgan.__file__).parent.parent)


if __name__ == "__main__":
    main(sys.argv[1])
