"""How good samples are: measures of them, each beside what real data gets on the same measure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from numgan.data import DataError, Labelled, RingPoints, SinePoints
from numgan.data.idx import SIDE
from numgan.data.mnist import to_unit_range
from numgan.errors import generator, indices, instance, real_array, rows_of
from numgan.hints import Array, Rng
from numgan.study import classifier, metrics

if TYPE_CHECKING:
    from numgan.data import Images, StackedDigits
    from numgan.data.mnist import Digits

NEIGHBOURS = 5  # k of precision and coverage
PIXEL_ROWS = 1_000  # at most so many digits are held against every training digit, pixel by pixel
LEAST_POINTS = 100
REAL_DRAWS = 5  # of points, to see what real ones score
COLLAPSED = 0.1  # of real data's coverage, or of a class's share of real data: less has collapsed
SPREADS = (0.5, 2.0)  # standard deviation of x, among points that have not collapsed
CURVE_ERROR = 0.25  # mean |y − sin x| of points that are still on the curve

STACKED_SAMPLES = 26_000  # as in the literature
STACKED_MEASURES = {
    "modes": "higher: of 1,000",
    "kl_divergence": "lower: every mode as often as in the data",
    "confident_share": "higher: all three colours read as digits",
}
PICTURE_AXES = 32  # directions in which pictures are compared

POINT_MEASURES = {
    "curve_error": "lower: 0 on the curve",
    "curve_error_median": "lower: 0 on the curve",
    "x_mean": "0, the mean of t",
    "x_std": "1, the standard deviation of t",
    "x_ks": "lower: x spreads as t does",
    "energy_distance": "lower: points spread as real ones do",
}

RING_SAMPLES = 2_500  # as in the literature
RING_MEASURES = {
    "modes": "higher: with a tenth of their share of good points",
    "modes_hit": "higher: with any good point",
    "good_share": "higher: within 3 deviations of a centre",
    "kl_divergence": "lower: every mode as often as in the data",
    "spread": "like real: far less is a point for a mode",
}


@dataclass(frozen=True)
class Measure:
    """One number about the samples, the same number for real data, and in words which way is better; and where samples
    are made from something that might pass for one itself, the same number for that.
    """

    name: str
    value: float
    real: float
    better: str
    input: float | None = None


def falls_short(value: float, real: float | None, better: str) -> float:
    """How far a value is from good, by the words of its `Measure`: less is better.

    Where it should be "higher", −value; where "lower", the value; where "not above real", what it is above it; of any
    other words its distance from real data's value. Infinite where that is not known.
    """
    if better.startswith(("higher", "lower")):
        return -value if better.startswith("higher") else value
    if real is None:
        return math.inf
    return max(0.0, value - real) if better.startswith("not above real") else abs(value - real)


@dataclass(frozen=True)
class Evaluation:
    """The measures of a set of samples.

    compared      the sets of real data used, each in words.
    collapsed     None, or a sentence that says why the samples have collapsed.
    class_shares  for digits (of the samples, of real data): arrays (10,) that sum to 1; else None.
    """

    measures: list
    compared: list
    collapsed: str | None
    class_shares: tuple | None = None

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as JSON-ready values; a number that is not finite becomes None."""
        measures = [asdict(measure) for measure in self.measures]
        for row in measures:
            if row["input"] is None:
                del row["input"]
            row |= {key: None for key in ("value", "real", "input") if not math.isfinite(row.get(key, 0))}
        shares = self.class_shares and {"run": self.class_shares[0].tolist(), "real": self.class_shares[1].tolist()}
        about = {"compared_with": self.compared, "measures": measures}
        return about | {"class_shares": shares, "collapsed": self.collapsed}


def evaluate_digits(samples: Array, training: Digits, held_out: Digits, rng: Rng) -> Evaluation:
    """Compare generated digits, (n, 784) or (n, 1, 28, 28), with two sets of real ones, `Digits` or `Images`. Pixels
    beyond [-1, 1] are clipped.

    In the feature space of `numgan.study.classifier`, against all held-out digits; real data: n random training digits.
        frechet_distance, precision, coverage   see `metrics`; balls reach to the 5th neighbour.
    As the classifier reads them; real data: all held-out digits.
        confident_share          share read as one digit with a probability of at least 0.9.
        class shares             share read as 0, 1, …
    Pixel by pixel, -1 to 1, the first 1,000 samples against all training digits; real data: as many held-out digits.
        nearest_training_median  median Euclidean distance to the nearest training digit.
        memorised_share          share nearer to a training digit than 99 % of the held-out digits are.

    Collapsed are samples whose coverage is below a tenth of real data's, or of which some class has below a tenth of
    its share of real data (1 % where that is 10 %); of n real digits 10 or more would have to be of that class.

    Caveats: Fréchet distances come out larger for smaller n, and in these features they compare with no published FID.
    The classifier has seen the embedded set's training digits and is surer of them than of any others, so that only
    held-out digits stand for real ones where it reads. (To the Fréchet distance it makes no measurable difference.)

    rng chooses among the real digits. Raises DataError unless 2 ≤ n ≤ len(training) and len(held_out) > 5.
    """
    samples, rng = _flat("digits", samples, (SIDE**2,), (1, SIDE, SIDE)), generator("evaluate_digits: rng", rng)
    n = len(samples)
    if not 2 <= n <= len(training):
        raise DataError(f"cannot evaluate {n:,} samples; expected 2 to {len(training):,}, as many as training digits")
    if len(held_out) <= NEIGHBOURS:
        raise DataError(f"cannot evaluate beside {len(held_out)} held-out digits; expected more than {NEIGHBOURS}")
    samples = np.clip(samples, -1, 1).astype(np.float32)
    train, held = (to_unit_range(digits.images).reshape(-1, SIDE**2) for digits in (training, held_out))
    reference = classifier.features(held)
    pair = [classifier.features(x) for x in (samples, _some(train, n, rng))]
    frechet, precision, coverage = _in_features(pair, reference)
    read = [classifier.probabilities(x) for x in (samples, held)]
    shares = tuple(metrics.class_shares(p) for p in read)
    rows = min(n, PIXEL_ROWS)
    measures = [
        Measure("frechet_distance", *frechet, "lower: features spread as real ones do"),
        Measure("precision", *precision, "higher: samples that pass for real digits"),
        Measure("coverage", *coverage, "higher: real digits that samples come near"),
        Measure("confident_share", *map(metrics.confident_share, read), "higher: samples that read as one digit"),
        *_copying((samples[:rows], _some(held, rows, rng)), train),
    ]
    return Evaluation(measures, [held_out.source, training.source], _why_collapsed(n, coverage, shares), shares)


def _flat(what, samples, *shapes):
    """Samples of one of these shapes as rows of numbers, or DataError."""
    samples = real_array(f"the {what}", samples)
    if samples.shape[1:] not in shapes or len(samples) == 0:
        expected = " or ".join(f"(n, {', '.join(map(str, shape))})" for shape in shapes)
        raise DataError(f"{what} have the shape {expected}, got {samples.shape}")
    return samples.reshape(len(samples), -1)


def _some(rows, n, rng):
    """n random rows, or all when there are no more."""
    return rows if n >= len(rows) else rows[rng.choice(len(rows), n, replace=False)]


def _in_features(pair, reference):
    """(Fréchet distances, precisions, coverages) of the samples' features and of real ones, beside the reference's."""
    frechet = [metrics.frechet_distance(x, reference) for x in pair]
    return frechet, *zip(*(metrics.precision_and_coverage(x, reference, NEIGHBOURS) for x in pair), strict=True)


def _copying(pair, train):
    """The measures of how near samples and held-out rows, pixel by pixel, come to a training row."""
    nearest = [metrics.nearest_distances(x, train) for x in pair]
    near = np.percentile(nearest[1], 1)
    return [
        Measure("nearest_training_median", *(float(np.median(d)) for d in nearest), "like real: far less is copying"),
        Measure("memorised_share", *(float((d < near).mean()) for d in nearest), "not above real: more is copying"),
    ]


def _why_collapsed(n, coverage, shares):
    """None, or how the digits break the rule that `evaluate_digits` states."""
    ours, real = coverage
    if ours < COLLAPSED * real:
        return f"samples come near {ours:.1%} of the real digits, where as many real ones come near {real:.1%}"
    ours, real = shares
    rare = np.flatnonzero((ours < COLLAPSED * real) & (n * real >= 10))
    if len(rare):
        return "hardly a sample reads as " + " or ".join(f"{k} ({ours[k]:.1%}, real {real[k]:.1%})" for k in rare)
    return None


def evaluate_classes(samples: Array, labels: Array, training: Labelled, held_out: Labelled, rng: Rng) -> Evaluation:
    """Compare digits that were asked for by class, (n, 784) or (n, 1, 28, 28), with `Labelled` real ones: whether they
    are of their class, and then all that `evaluate_digits` says of them.

    labels: n whole numbers from 0 to 9, (n,) or (n, 1): the class that each sample should be of.

    As the classifier reads them; real data: all held-out digits, by their labels.
        class_accuracy        share of samples read as the class asked for.
        worst_class_accuracy  the same within the class in which it is lowest.
    In its feature space, within each class, the mean over classes; real data: as many training digits of each class.
        class_frechet         Fréchet distance of the class's samples to its held-out digits.

    Caveats: a class has few digits. To the 100 held-out ones of each embedded class, in 64 features, real training
    digits come out at 30 with 10 of a class, 6.0 with 100 and 4.0 with 400, those of the next class at about 150: the
    figure is mostly bias where samples are good, and means something beside real data's, on as many digits. Classes are
    best asked for in the shares of real data, by which `evaluate_digits` tells that one is missing.

    rng chooses among the real digits. Raises DataError with fewer than 2 samples or real digits of any class, and as
    `evaluate_digits` does.
    """
    training, held_out = (
        instance(f"evaluate_classes: {name}", digits, Labelled)
        for name, digits in (("training", training), ("held_out", held_out))
    )
    evaluation = evaluate_digits(samples, training.rows, held_out.rows, rng)
    samples = np.clip(_flat("digits", samples, (SIDE**2,), (1, SIDE, SIDE)), -1, 1).astype(np.float32)
    train, held = (to_unit_range(digits.rows.images).reshape(-1, SIDE**2) for digits in (training, held_out))
    ours, train, held = (
        _by_class(what, images, of)
        for what, images, of in (
            ("samples", samples, labels),
            ("training digits", train, training.labels),
            ("held-out digits", held, held_out.labels),
        )
    )
    right = [
        [(classifier.probabilities(images).argmax(axis=1) == k).mean() for k, images in enumerate(digits)]
        for digits in (ours, held)
    ]
    accuracy = [
        float(np.average(shares, weights=list(map(len, digits))))
        for shares, digits in zip(right, (ours, held), strict=True)
    ]
    frechet = [
        [metrics.frechet_distance(classifier.features(x), reference) for x in (made, _some(real, len(made), rng))]
        for made, real, reference in zip(ours, train, map(classifier.features, held), strict=True)
    ]
    measures = [
        Measure("class_accuracy", *accuracy, "higher: samples of the class asked for"),
        Measure("worst_class_accuracy", *(float(min(shares)) for shares in right), "higher: also in the worst class"),
        Measure("class_frechet", *map(float, np.mean(frechet, axis=0)), "lower: each class spreads as real ones do"),
    ]
    return replace(evaluation, measures=measures + evaluation.measures)


def _by_class(what, images, labels):
    """Ten arrays of digits (…, 784), at least two in each."""
    labels = indices(f"evaluate_classes: the labels of {what}", labels, len(images), classifier.CLASSES)
    counts = np.bincount(labels, minlength=classifier.CLASSES)
    if counts.min() < 2:
        raise DataError(
            f"cannot evaluate classes where {counts.min()} of the {what} are of class {counts.argmin()}; "
            "expected at least 2 of each"
        )
    return [images[labels == k] for k in range(classifier.CLASSES)]


def evaluate_stacked(samples: Array, held_out: StackedDigits, rng: Rng) -> Evaluation:
    """Count the modes of generated stacks of digits (n, 3, 28, 28). Pixels beyond [-1, 1] are clipped.

    Each colour is read as a digit by `numgan.study.classifier`; three digits are one of 1,000 modes. Real data: as many
    stacks of held-out digits, drawn from `rng` and read likewise.
        modes            how many of the 1,000 modes any sample is read as.
        kl_divergence    KL(generated ‖ real) in nats: of the shares of the modes among samples to their probabilities
                         in the real data, known from the labels of the digits that stacks are drawn from.
        confident_share  share of samples of which every colour is read with a probability of at least 0.9.

    n real stacks hit all modes and have a divergence of about 999/2n (0.019 for 26,000), plus what the classifier's
    mistakes add. The measure is that of Metz et al. 2017, arXiv:1611.02163, and Lin et al. 2018, arXiv:1712.04086 (who
    take 26,000 samples); their classifiers, and their training sets of all 60,000 digits, are others.

    Collapsed are samples that hit fewer than a tenth of the modes that real data hits.
    """
    samples = _flat("stacks", samples, (3, SIDE, SIDE)).reshape(-1, SIDE**2)
    n, rng = len(samples) // 3, generator("evaluate_stacked: rng", rng)
    probabilities = held_out.mode_probabilities()
    real, _ = held_out.labelled(n, rng)
    rows = []
    for digits in (np.clip(samples, -1, 1).astype(np.float32), real.reshape(-1, SIDE**2)):
        read = classifier.probabilities(digits).reshape(n, 3, -1)
        modes = np.bincount(read.argmax(axis=2) @ [100, 10, 1], minlength=1000)
        kl = metrics.kl_divergence(modes / n, probabilities)
        rows.append((int((modes > 0).sum()), kl, metrics.confident_share(read.max(axis=2).min(axis=1, keepdims=True))))
    measures = [
        Measure(name, *map(float, pair), better)
        for (name, better), pair in zip(STACKED_MEASURES.items(), zip(*rows, strict=True), strict=True)
    ]
    ours, theirs = (row[0] for row in rows)
    collapsed = f"samples hit {ours} modes, where real data hits {theirs}" if ours < COLLAPSED * theirs else None
    return Evaluation(measures, [f"{n:,} {held_out.source}"], collapsed)


def evaluate_pictures(samples: Array, training: Images, held_out: Images) -> Evaluation:
    """Compare generated pictures (n, channels, height, width) with two sets of real ones, `Images`. Pixels beyond
    [-1, 1] are clipped. Real data: the held-out pictures, all of them.

    In the 32 directions in which training pictures vary most (`metrics.principal_axes`), against all of them:
        frechet_distance, precision, coverage   see `metrics`; balls reach to the 5th neighbour.
    Pixel by pixel, -1 to 1:
        spread                   mean distance of two samples.
        nearest_training_median  median distance to the nearest training picture.
        memorised_share          share nearer to a training picture than 99 % of the held-out pictures are.

    Collapsed are samples whose coverage or spread is below a tenth of real data's.

    Caveats: such directions see colour, brightness and large shapes, not what a picture shows. The Fréchet distance and
    coverage depend on how many samples there are: compare n with as many held-out pictures.
    """
    samples = np.clip(_flat("pictures", samples, training.shape), -1, 1)
    if len(held_out) < 2 or len(training) <= NEIGHBOURS or len(samples) < 2:
        raise DataError(
            f"cannot evaluate {len(samples):,} samples beside {len(held_out):,} held-out, {len(training):,} training "
            f"pictures; expected at least 2, 2 and {NEIGHBOURS + 1}"
        )
    train, held = (to_unit_range(x.images).reshape(len(x), -1) for x in (training, held_out))
    mean, axes = metrics.principal_axes(train, PICTURE_AXES)
    reference = (train - mean) @ axes
    pair = [(x - mean) @ axes for x in (samples, held)]
    frechet, precision, coverage = _in_features(pair, reference)
    spread = [metrics.mean_distance(x, x) for x in (samples.astype(np.float64), held.astype(np.float64))]
    measures = [
        Measure("frechet_distance", *frechet, "lower: large shapes and colours spread as real ones do"),
        Measure("precision", *precision, "higher: samples that pass for real pictures"),
        Measure("coverage", *coverage, "higher: real pictures that samples come near"),
        Measure("spread", *spread, "like real: far less is repetition"),
        *_copying((samples.astype(np.float32), held), train),
    ]
    collapsed = None
    for name, (ours, real) in (("coverage", coverage), ("spread", spread)):
        if ours < COLLAPSED * real:
            collapsed = f"the samples' {name} is {ours:.3g}, where held-out pictures have {real:.3g}"
    return Evaluation(measures, [held_out.source, training.source], collapsed)


def evaluate_points(samples: Array, rng: Rng) -> Evaluation:
    """Compare generated points (n, 2) with n real ones, (t, sin t) with t standard normal, drawn from `rng`.

    Real data: n more real points; the mean over 5 such draws.
        curve_error, curve_error_median  mean and median |y − sin x|.
        x_mean, x_std                    of x.
        x_ks                             Kolmogorov–Smirnov distance of x to the standard normal.
        energy_distance                  to the n real points, both coordinates at once.

    Collapsed are points whose x has a standard deviation outside 0.5 to 2 (real 1), as when all are one point, or
    that have left the curve: mean |y − sin x| above 0.25, where standard normal x and y = 0 would score 0.58.

    Raises DataError for fewer than 100 points, whose deviation may be far from 1 by chance.
    """
    samples, rng = _points(samples), generator("evaluate_points: rng", rng)
    real = np.empty((1 + REAL_DRAWS, len(samples), 2))
    for points in real:
        SinePoints().sample(len(points), rng, points)
    reference, *draws = real
    with np.errstate(all="ignore"):  # finite points may still be too large to be squared
        within = metrics.mean_distance(reference, reference)
        ours = _point_figures(np.asarray(samples, np.float64), reference, within)
        theirs = [_point_figures(points, reference, within) for points in draws]
    collapsed = None
    if not SPREADS[0] <= ours["x_std"] <= SPREADS[1]:
        collapsed = f"x has the standard deviation {ours['x_std']:.3g}, where real points have 1"
    elif not ours["curve_error"] <= CURVE_ERROR:
        collapsed = f"the points are off the curve, mean |y − sin x| is {ours['curve_error']:.3g}"
    compared = [f"{len(samples):,} {SinePoints.source}"]
    return Evaluation(_beside_real(ours, theirs, POINT_MEASURES), compared, collapsed)


def evaluate_ring(samples: Array, rng: Rng) -> Evaluation:
    """Compare generated points (n, 2) with those of `RingPoints`, a mixture of eight normal distributions.

    Real data: n of its points, drawn from `rng`; the mean over 5 such draws.
        modes, modes_hit, good_share, kl_divergence, spread   see `metrics.mixture_quality`.

    Collapsed are points that leave out a mode: fewer than a tenth of its share lie within three deviations of its
    centre. That is the rule of the digits' classes; points that are near no centre break it too.

    Raises DataError for fewer than 100 points, of which a mode may have few by chance.
    """
    samples, rng = _points(samples), generator("evaluate_ring: rng", rng)
    theirs, points, source = [], np.empty(samples.shape), RingPoints()
    ours = _ring_figures(samples)
    for _ in range(REAL_DRAWS):
        source.sample(len(points), rng, points)
        theirs.append(_ring_figures(points))
    collapsed, k = None, len(source.centres)
    if ours["modes"] < k:
        collapsed = f"points leave out {k - ours['modes']:.0f} of {k} modes; {ours['good_share']:.1%} are near any"
    compared = [f"{len(samples):,} {source.source}"]
    return Evaluation(_beside_real(ours, theirs, RING_MEASURES), compared, collapsed)


def _ring_figures(points):
    return metrics.mixture_quality(points, RingPoints.centres, RingPoints.deviation)


def _beside_real(ours, theirs, better):
    """A `Measure` for each name in `better`: our figure, and the mean of theirs over the draws of real points."""
    return [
        Measure(name, ours[name], math.fsum(figures[name] for figures in theirs) / REAL_DRAWS, words)
        for name, words in better.items()
    ]


def _points(samples):
    """Generated points of the plane, enough of them to be judged."""
    samples = rows_of("the points", samples)
    if samples.shape[1] != 2:
        raise DataError(f"points have the shape (n, 2), got {samples.shape}")
    if len(samples) < LEAST_POINTS:
        raise DataError(f"cannot evaluate {len(samples)} points; expected at least {LEAST_POINTS}")
    return samples


def _point_figures(points, reference, within_reference):
    """name -> value of every measure of points."""
    x, y = points.T
    return metrics.sine_quality(points) | {
        "curve_error_median": float(np.median(np.abs(y - np.sin(x)))),
        "energy_distance": metrics.energy_distance(points, reference, within_reference),
    }
