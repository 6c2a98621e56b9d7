"""What `arms` can try: studies as data. An arm's name is what tables call it; to add one, add a line.

An arm is the settings under which it is trained, as `--set` takes them, and as "recipe" what it trains, where that is
not the study's own.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Study:
    """Arms, and which of their measures are shown.

    title   of the table.
    recipe  what an arm trains unless it says.
    arms    name -> settings.
    each    (measure, its heading, how a value is formatted): seed by seed.
    spans   measure -> its heading: median and extremes over the seeds.
    axes    measure -> (label, where its axis ends or None), for the picture.
    told    settings that have a column.
    """

    title: str
    recipe: str
    arms: dict
    each: tuple
    spans: dict
    axes: dict
    told: tuple = ()


AVERAGE = {"average": 0.999}
ALONE = {"l1_weight": 1e6}  # so large that the adversary has no say: Adam takes no notice of a gradient's size
# Five critic steps to one of the generator: Arjovsky, Chintala & Bottou 2017, arXiv:1701.07875, algorithm 1, and
# Gulrajani, Ahmed, Arjovsky, Dumoulin & Courville 2017, arXiv:1704.00028, algorithm 1.
CRITIC = {"objective": "wasserstein", "discriminator_steps": 5}
WGAN_GP = CRITIC | {"penalty": "wgan-gp"}
R1 = {"penalty": "r1", "penalty_weight": 1}
LAZY_R1 = R1 | {"penalty_every": 4}
R1_R2 = {"objective": "relativistic", "penalty": "r1+r2"}
HINGE = {"objective": "hinge"}
NORMED = {"spectral_norm": "yes"}

RING = Study(
    title="eight modes on a circle",
    recipe="ring",
    arms={
        "non-saturating": {},
        "minimax": {"objective": "minimax"},
        "least-squares": {"objective": "least-squares"},
        "hinge": HINGE,
        "wasserstein": CRITIC,
        "relativistic": {"objective": "relativistic"},
        "wasserstein+wgan-gp": WGAN_GP,
        "non-saturating+r1": {"penalty": "r1"},
        "non-saturating+r1-0.1": {"penalty": "r1", "penalty_weight": 0.1},
        "relativistic+r1+r2": R1_R2,
        "relativistic+r1+r2-0.1": R1_R2 | {"penalty_weight": 0.1},
        "non-saturating+average": AVERAGE,
    },
    each=("modes", "modes of 8", ".0f"),
    spans={"good_share": "good share", "kl_divergence": "KL", "spread": "spread"},
    axes={"modes": ("modes covered, of 8", 8), "good_share": ("share of good points", 1)},
)

# All but the first sampled by the averaged generator; the two best once more for longer, one of them as mnist-best.
TRIED, LONGER = AVERAGE | {"steps": 5000}, {"steps": 12_000}
DIGITS = Study(
    title="handwritten digits",
    recipe="mnist",
    arms={
        "mnist": {},
        "average": TRIED,
        "r1": TRIED | R1,
        "r1-longer": TRIED | R1 | LONGER,
        "wgan-gp": TRIED | {"objective": "wasserstein", "penalty": "wgan-gp"},
        "relativistic+r1+r2": TRIED | R1_R2 | {"penalty_weight": 1},
        "spectral-norm": TRIED | NORMED,
        "spectral-norm+hinge": TRIED | NORMED | HINGE,
        "spectral-norm+relativistic": TRIED | NORMED | {"objective": "relativistic"},
        "spectral-norm+cosine": TRIED | NORMED | {"decay": "cosine"},
        # a discriminator that learns faster: Heusel et al. 2017, arXiv:1706.08500
        "spectral-norm+two-rates": TRIED | NORMED | {"generator_rate": 2e-4, "discriminator_rate": 8e-4},
        "mnist-best": {"recipe": "mnist-best"},
    },
    each=("frechet_distance", "Fréchet distance", ".2f"),
    spans={
        "frechet_distance": "Fréchet distance",
        "precision": "precision",
        "coverage": "coverage",
        "confident_share": "confident",
    },
    axes={"frechet_distance": ("Fréchet distance, less is better", None), "coverage": ("coverage", 1)},
    told=("steps",),
)

STACKED = Study(
    title="stacks of three digits",
    recipe="stacked-mnist",
    arms={
        "non-saturating": {},
        "average": AVERAGE,
        "lazy-r1": LAZY_R1,
        "no-dropout": {"dropout": 0},
        "relativistic+r1+r2": R1_R2 | {"penalty_weight": 1},
        "spectral-norm": NORMED,
        "hinge+spectral-norm": HINGE | NORMED,
    },
    each=("modes", "modes of 1,000", ".0f"),
    spans={"modes": "modes", "kl_divergence": "KL", "confident_share": "confident"},
    axes={"modes": ("modes hit, of 1,000", 1000), "kl_divergence": ("KL divergence in nats, less is better", None)},
    told=("steps",),
)

CLASSES = Study(
    title="digits of the class asked for",
    recipe="mnist-conditional",
    arms={
        "mnist-conditional": {},
        "not-matching-aware": {"matching_aware": "no"},
        "spectral-norm": NORMED,
        "r1": R1,
    },
    each=("class_accuracy", "class asked for", ".1%"),
    spans={
        "worst_class_accuracy": "worst class",
        "class_frechet": "Fréchet within classes",
        "frechet_distance": "Fréchet distance",
        "coverage": "coverage",
    },
    axes={"class_accuracy": ("share of the class asked for", 1), "frechet_distance": ("Fréchet distance", None)},
    told=("steps",),
)

PIX2PIX = {"l1+adversary": {}, "l1-alone": ALONE, "adversary-alone": {"l1_weight": 0}}
TRANSLATED = {
    "title": "pictures made from others",
    "recipe": "translate",
    "each": ("l1", "L1", ".4f"),
    "axes": {"l1": ("mean |made − target|, less is better", None), "sharpness": ("sharpness", None)},
}
OUTLINES = Study(**TRANSLATED, arms=PIX2PIX, spans={"sharpness": "sharpness", "read_right": "read right"})
COLOURS = Study(
    **TRANSLATED,
    arms={name: settings | {"pairs": "emoji"} for name, settings in PIX2PIX.items()},
    spans={"sharpness": "sharpness", "chroma": "chroma"},
)

CAPTIONS = Study(
    title="scenes of what a caption says",
    recipe="captions",
    arms={"captions": {}, "not-matching-aware": {"matching_aware": "no"}},
    each=("all_right", "all right", ".1%"),
    spans={
        "digits_right": "digits",
        "colours_right": "colours",
        "places_right": "places",
        "unseen_right": "all right, unseen combinations",
    },
    axes={"all_right": ("share of scenes that are as asked for", 1), "unseen_right": ("unseen combinations", 1)},
)

STUDIES = {
    "ring": RING,
    "digits": DIGITS,
    "stacked-mnist": STACKED,
    "classes": CLASSES,
    "outlines": OUTLINES,
    "colours": COLOURS,
    "captions": CAPTIONS,
}
