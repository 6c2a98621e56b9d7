"""Would another learning rate or batch size have been better? The 50-epoch study asks; here its own recipe answers.

Run:  python demos/rate_and_batch.py [--rates 1e-4,…] [--batches 32,…] [--epochs N] [--seeds N] [--out DIR]

Its last page says: "The quality of the generated images may be improved [...] if I change the learning rate or batch
size." So `numgan train mnist-epochs` is trained with each of three rates and four batch sizes, 50 epochs as in the
study, with five seeds each, and every run is measured as by `numgan evaluate`. That takes 25 minutes of two cores;
stopped, it goes on where it was when it is called again.
"""

import argparse

from numgan import Error
from numgan.study.signals import stop_status, stopping_signals
from numgan.study.studies import study
from numgan.study.studies.results import spread

OWN = {"learning_rate": 1e-4, "batch_size": 32}  # the recipe's own: the study's rate, and a batch that it leaves open


def values(cell, measure):
    """The measure of a cell's seeds: those that have one."""
    return [value for value in cell.figures(measure) if value is not None]


def in_words(cell, measure):
    middle, low, high = spread(values(cell, measure))
    settings = f"rate {cell.values['learning_rate']:g}, batches of {cell.values['batch_size']}"
    return f"{settings}: {middle:.3g} (seeds from {low:.3g} to {high:.3g})"


def answer(found, measure="frechet_distance"):
    """Sentences: what either setting changes alone, and both at once. Less is better."""
    own = next((cell for cell in found.cells if cell.values == OWN), None)
    if own is None or not values(own, measure):
        return
    known = [cell for cell in found.ranked if values(cell, measure)]
    yield f"as it is        {in_words(own, measure)}"
    for what, held in (("the rate alone", "batch_size"), ("batches alone", "learning_rate"), ("both", None)):
        best = next(cell for cell in known if held is None or cell.values[held] == OWN[held])
        if best is own:
            yield f"{what:<15} no better than as it is"
            continue
        apart = max(values(best, measure)) < min(values(own, measure))
        verdict = "better in every seed than any seed of the recipe" if apart else "seeds differ as much as that"
        yield f"{what:<15} {in_words(best, measure)}; {verdict}"
    real = next(m.real for m in found.measures if m.name == measure)
    yield f"real digits     {real:.3g}"


def main():
    parser = argparse.ArgumentParser(description="Another learning rate or batch size for the 50-epoch study?")
    parser.add_argument("--rates", default="1e-4,4e-4,1e-3", metavar="X,…", help="learning rates (default %(default)s)")
    parser.add_argument("--batches", default="16,32,64,128", metavar="N,…", help="batch sizes (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=50, metavar="N", help="passes over the digits (default 50)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds of each cell, from 0 on (default 5)")
    parser.add_argument("--out", default="demos-output/rate_and_batch", metavar="DIR", help="the study's directory")
    arguments = parser.parse_args()
    if arguments.epochs < 1 or arguments.seeds < 1:
        parser.error(f"expected --epochs and --seeds from 1, got {arguments.epochs} and {arguments.seeds}")
    vary = {"learning_rate": arguments.rates, "batch_size": arguments.batches}
    try:
        with stopping_signals():
            settings = {"epochs": arguments.epochs}
            found = study("mnist-epochs", vary, range(arguments.seeds), arguments.out, settings=settings, say=print)
    except (Error, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt as stop:
        parser.exit(stop_status(stop), f"{parser.prog}: {stop}\n")
    print(f"\n{found}\n\nFréchet distance after {arguments.epochs} epochs")
    print("\n".join(answer(found)))
    print(f"{found.directory}/study.png, {found.directory}/samples.png")


if __name__ == "__main__":
    main()
