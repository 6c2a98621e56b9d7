"""A user's program that touches every class and method of numgan's public face, for `mypy --strict`: every call is to a
typed function, and what comes back has the type that the documentation says. It is checked, not run.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgan import (
    GAN,
    R1,
    R1R2,
    R2,
    SGD,
    Adam,
    AveragePooling2D,
    BatchNorm,
    BinaryCrossEntropy,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Embedding,
    Error,
    Flatten,
    GradientError,
    Hinge,
    History,
    Join,
    Label,
    Layer,
    LeakyReLU,
    LeastSquares,
    Minimax,
    ModelFileError,
    NonFiniteError,
    NonSaturating,
    OneHot,
    OwnLosses,
    Picture,
    ProgressBar,
    Rate,
    Relativistic,
    ReLU,
    Reshape,
    RMSprop,
    Sequential,
    Sigmoid,
    SiLU,
    Skip,
    SoftmaxCrossEntropy,
    SpectralNorm,
    Tanh,
    Text,
    UpSampling2D,
    Wasserstein,
    WassersteinPenalty,
    check_adjoint,
    check_gradients,
    from_torch_layout,
    normal,
    to_torch_layout,
)
from numgan.data import (
    Digits,
    Emoji,
    Images,
    Labelled,
    Pairs,
    RingPoints,
    Scenes,
    SinePoints,
    StackedDigits,
    load_emoji_pairs_split,
    load_emoji_split,
    load_mnist,
    load_mnist_split,
    load_outline_pairs_split,
    load_pictures,
    load_scenes_split,
)
from numgan.data.scenes import Piece, decode, encode, parse
from numgan.study.studies import Range, Result, Study, study
from numgan.study.workers import Processes

Array = NDArray[Any]


class Cube(Layer):
    """A layer of one's own."""

    def forward(self, x: Array, out: Array) -> None:
        out[...] = x**3

    def backward_input(self, x: Array, y: Array, dy: Array, out: Array) -> None:
        out[...] = 3 * x**2 * dy


class Exponential(OwnLosses):
    """Losses of one's own."""

    name = "exponential"

    def on_real(self, z: Array) -> tuple[Array, Array]:
        return np.exp(-z), -np.exp(-z)

    def on_fake(self, z: Array) -> tuple[Array, Array]:
        return np.exp(z), np.exp(z)

    def for_generator(self, z: Array) -> tuple[Array, Array]:
        return self.on_real(z)


def networks(rng: np.random.Generator) -> tuple[Sequential, Sequential]:
    g = [
        Dense(8, normal(0.02)),
        LeakyReLU(0.2),
        BatchNorm(0.8),
        SiLU(),
        Dense(4, "he_uniform"),
        Tanh(),
        Reshape((1, 2, 2)),
        Conv2DTranspose(2, 2, 2),
        UpSampling2D((1, 2)),
        Conv2D(1, (3, 3), (1, 2), "same", "he_normal"),
    ]
    d = [
        SpectralNorm(Conv2D(4, 3, padding=((1, 1), (0, 0)))),
        AveragePooling2D(2, strides=(1, 2), padding=1),
        Dropout(0.3),
        Flatten(),
        SpectralNorm(("Dense", {"units": 8})),
        ReLU(),
        Cube(),
        Dense(1),
        Sigmoid(),
    ]
    return Sequential(g, 3, rng, "float64", name="generator"), Sequential(d, (1, 4, 4), rng, "float64")


def of_indices(rng: np.random.Generator) -> Array:
    words = Sequential([Embedding(9, 4, normal(0.1)), Conv2D(2, (1, 3)), Flatten()], 5, rng)
    labels: Array = OneHot(count=10).check_indices("label", [[3], [7]])
    return np.concatenate([words.predict(np.ones((2, 5))), Sequential([OneHot(10), Flatten()], 1, rng).predict(labels)])


def of_conditions(rng: np.random.Generator, path: Path) -> Array:
    classes = Join("label", 1, [Embedding(10, 4), Flatten()])
    said = Join("text", (8,), [Embedding(3, 2), Conv2D(2, (1, 3)), Flatten()])
    generator = Sequential([classes, said, Skip([Dense(3), Tanh()]), Dense(4)], 3, rng)
    critic = [Join("label", 1), Join("text", 8), Dense(1), Sigmoid()]
    conditions = {"label": Label(10), "text": Text(["", "red", "one"], length=8)}
    gan = GAN(generator, Sequential(critic, 4, rng), conditions=conditions, matching_aware=True, l1_weight=10.0)
    real, noise, labels = np.ones((2, 4)), np.ones((2, 3)), np.array([[3], [7]])
    print(gan.train_discriminator(real, noise, label=labels, text=["red one", "one"]).loss)
    print(gan.train_generator(noise, real, label=7, text="one").loss, Picture((1, 28, 28)).shape, gan.conditions)
    y: Array = generator.predict(noise, label=labels, text=np.zeros((2, 8)))
    generator.forward(noise, training=True, label=labels, text=np.zeros((2, 8)))
    answers: Array = gan.predict(noise, label=7, text="red")
    samples: Array = gan.sample(2, rng, label=[3, 7], text="red one")
    report = check_gradients(gan, (real, noise), conditions={"label": 7, "text": "red"})
    return np.concatenate([y, samples, answers]) if report.passed else y


def one_network(network: Sequential, x: Array) -> None:
    network.compile(Adam(1e-3, beta1=0.5, form="paper"), BinaryCrossEntropy(label_smoothing=0.1))
    loss, accuracy = network.train_on_batch(x, np.ones((len(x), 1)))
    y: Array = network.forward(x, training=True)
    dx: Array = network.backward(np.ones_like(y))
    predicted: Array = network.predict(x.tolist())
    state: dict[str, Array] = network.state_dict()
    network.load_state_dict(state)
    names: list[str] = [*network.parameters(), *network.gradients()]
    text: str = network.copy("float64", replicas=2).summary()
    torch: dict[str, Array] = to_torch_layout(network)
    from_torch_layout(network, torch)
    print(loss, accuracy, dx.shape, predicted.shape, names, text)


def many_games(rng: np.random.Generator) -> GAN:
    optimizers = Adam([1e-3, 1e-4], beta1=(0.9, 0.5)), SGD([0.1, 0.2], momentum=[0.0, 0.9])
    stack = GAN.stack([GAN(*networks(rng), Adam(rate), average=0.9) for rate in (1e-3, Rate(1e-4))])
    rows = rng.standard_normal((40, 1, 2, 2))
    history: History = stack.fit(rows, steps=20, batch_size=8, rng=[rng, np.random.default_rng(1)], processes=2)
    stopped: dict[int, str] = history.stopped
    stack.set_replica(0, stack.replica(1))
    stack.generator_optimizer.learning_rate = [1e-3, 1e-4]
    print(optimizers, stopped, NonSaturating([0.0, 0.1]), R1([1.0, 2.0]))
    return stack.replica(1)


def a_game(rng: np.random.Generator, path: Path) -> History:
    g, d = networks(rng)
    for objective in (NonSaturating(0.1), Minimax(discriminator_loss="sum"), Wasserstein(clip=0.01), "non-saturating"):
        print(objective)
    print(LeastSquares(), Hinge(), Relativistic().pairs, Exponential().config())
    rate = Rate(1e-3, warm_up=10, decay="cosine", steps=100, final=1e-5)
    optimizers = Adam(rate), SGD(rate.at(1), momentum=0.9)
    print(RMSprop(rate, rho=0.99, epsilon=1e-8).rho)
    gan = GAN(g, d, *optimizers, NonSaturating(0.1), schedule="separate", average=0.999)

    paying = GAN(g, d, penalty=R1R2(1.0, every=4), noise="uniform")
    between = GAN(g, d, objective=Wasserstein(clip=0), penalty=WassersteinPenalty(10.0))
    mixed = between.train_discriminator(np.ones((8, 1, 2, 2)), np.ones((8, 3)), mix=np.full(8, 0.5))
    print(R1(), R2(weight=2), paying.penalty, GAN(g, d, penalty="r1", shared_fakes=True).penalty, mixed.score_real)

    def callback(step: int, history: History) -> bool:
        return step > 10 and bool(history["d_loss"][-1] > 1)

    rows = rng.standard_normal((40, 1, 2, 2))
    try:
        history: History = gan.fit(rows, steps=20, batch_size=8, rng=rng, every=5, callback=callback, insides=True)
        history = gan.fit(rows, epochs=2, batch_size=8, rng=rng, discriminator_steps=2, generator_steps=1, processes=2)
        history = gan.fit(rows, steps=20, rng=rng, callback=ProgressBar(20))
    except (NonFiniteError, Error) as error:
        raise SystemExit(str(error)) from error
    samples: Array = gan.sample(16, rng)
    noise: Array = gan.draw_noise(16, rng)
    sampler: Sequential = gan.sampler
    answers: Array = gan.predict(rng.standard_normal((16, gan.latent_dim)))
    print(
        gan.train_discriminator(rows[:8], rng.standard_normal((8, 3))).loss, gan.train_generator(np.ones((8, 3))).loss
    )
    print(gan.discriminator_step(4), gan.generator_step(8), sampler, noise, samples.shape, answers.shape, len(history))
    gan.save(path)
    try:
        GAN.load(path, layers=[Cube], objectives=[Exponential]).load_state_dict(gan.state_dict())
    except ModelFileError as error:
        print(error)
    history.write_csv(path.with_suffix(".csv"))
    return history


def the_proof(rng: np.random.Generator) -> None:
    report = check_gradients(Cube(), rng.standard_normal((4, 3)), tolerance=1e-7, coordinates=5, directions=1)
    loss = check_gradients(SoftmaxCrossEntropy(), rng.standard_normal((4, 3)), target=np.eye(4, 3))
    own = check_gradients(np.sin, rng.standard_normal(3), gradient=lambda x, dy: np.cos(x) * dy)
    adjoint = check_adjoint(lambda x: np.cumsum(x), lambda y: np.cumsum(y[::-1])[::-1], 5)
    print(own.passed, adjoint.passed)
    try:
        report.raise_for_failure()
    except GradientError as error:
        print(error)
    passed: bool = report.passed and loss.passed
    worst: float = report.worst
    print(passed, worst, report.to_dict(), str(report))


def data(rng: np.random.Generator) -> None:
    digits: Digits = load_mnist()
    training, held_out = load_mnist_split("full")
    images: Images = digits.as_images()
    parts: tuple[Images, Images] = load_pictures("holidays", size=64).split(10)
    emoji: tuple[Emoji, Emoji] = load_emoji_split(32, flip=True)
    batch, modes = StackedDigits(training).labelled(4, rng)
    told: tuple[Scenes, Scenes] = load_scenes_split()
    text = np.empty((8, *Scenes(training, "unseen").conditions["text"]))
    told[0].sample(8, rng, np.empty((8, *told[0].shape)), text)
    numbers: Array = encode("a green four")
    pieces: tuple[Piece, ...] = parse(decode(numbers))
    print(pieces[0].digit, pieces[0].colour, pieces[0].place, told[1].words)
    out = np.empty((8, *digits.shape), np.float32)
    digits.sample(8, rng, out)
    training.take(np.arange(8), out)
    SinePoints().sample(8, rng, np.empty((8, 2)))
    RingPoints().sample(8, rng, np.empty((8, 2)))
    labels, labelled = np.empty((8, 1), np.float32), Labelled(digits)
    labelled.sample(8, rng, out, label=labels)
    labelled.take(np.arange(8), out, labels)
    colours: tuple[Pairs, Pairs] = load_emoji_pairs_split(32, flip=False)
    outlined: Pairs = load_outline_pairs_split("full")[1].split(10)[0]
    made, given = np.empty((8, *outlined.shape), np.float32), np.empty((8, *outlined.conditions["image"]), np.float32)
    outlined.sample(8, rng, made, image=given)
    outlined.take(np.arange(8), made, given)
    g, d = (Sequential([Join("label", 1), Dense(n)], 784, rng) for n in (784, 1))
    conditional = GAN(g, d, objective="hinge", conditions={"label": Label(10)})
    print(len(conditional.fit(labelled, steps=3, rng=rng)))
    print(Pairs(images, images, "themselves").labels, colours[0].inputs, outlined.targets, labelled.rows)
    print(len(held_out), len(images), len(parts), emoji[0].names, batch.shape, modes.shape)


def a_study(out: Path) -> None:
    with Processes(2) as hands:
        rates: Study = study(
            "mnist",
            {"learning_rate": Range(1e-4, 1e-3), "batch_size": [64, 128], "hidden": "128,256;256,512"},
            range(3),
            out,
            settings={"steps": 100},
            random=8,
            search_seed=1,
            halving=2,
            by="coverage",
            executor=hands,
            say=print,
        )
    best: Result | None = rates.best
    figures: list[float | None] = rates.ranked[-1].figures("coverage")
    print(best and best.values, figures, rates.cells[0].count("collapsed"), rates.measures[0].better)
