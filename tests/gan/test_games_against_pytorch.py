"""Every game against PyTorch: 100 steps in float64 of each objective, schedule and optimiser, from stored trajectories.

tests/references/make_games.py made them and tells of the networks; PyTorch is not needed here. numgan starts from the
same weights, takes the same batches and noise, and must agree to TOLERANCE at every stored step, and in the losses at
every step. To what each difference is relative, with the worst measured (PyTorch 2.13, rows reordered, against itself
in brackets):

the loss itself          of non-saturating and minimax games: 10⁻¹¹ (2·10⁻¹¹).
its column's largest     of critics, whose mean scores pass through zero: 1.3·10⁻¹¹ (2·10⁻¹¹). Relative to itself the
                         worst is 7·10⁻¹⁰, of a loss of 4·10⁻⁵. Of `critics` 4·10⁻¹⁴ (10⁻¹³).
the element itself       of parameters and running statistics of `sine` and `mnist`: 5·10⁻¹¹ (10⁻¹¹); of `critics`
                         3·10⁻¹² (2·10⁻¹¹) but for what shifts all scores of relativistic pairs alike, the last
                         bias and batch norm's beta, which have rounding for a gradient: 1.6·10⁻¹⁰ (9·10⁻¹¹).
its tensor's largest     at that step, in `normed`: 1.1·10⁻¹⁰ (2·10⁻¹⁰ with OpenBLAS's kernels for older processors).
                         Relative to itself the worst is 3·10⁻⁹ (3·10⁻⁹), of an element near zero.
nothing                  of the biases right before a batch norm: 4·10⁻¹¹ as they are (3·10⁻¹¹).

Why `normed` is different: what a bias adds before a batch norm in train mode, the norm takes off again. Its gradient is
zero but for rounding, and Adam divides that by little more than ε, so that every order of summation has a walk of its
own. Where such a bias starts at zero (dense_1), rounding is all it holds, under any optimiser: no digit agrees, and
PyTorch's two runs differ there by more than the largest element. It is not without effect either, since the running
mean lags behind it. That Adam and these biases are the whole cause is stored too: with them held where they start,
PyTorch follows itself under Adam to 10⁻¹² of the element; and in float32, where free ones make its losses part by up
to 8 % of the largest, to 4·10⁻⁵ of it. Under SGD the biases agree to 4·10⁻¹⁶, all other tensors to 1.4·10⁻¹² of their
largest element (and to 10⁻⁹ of themselves: in the separate schedule SGD magnifies rounding ten thousandfold).

A zero gradient of another kind is in `mnist`: the critic's halves of a concatenated batch weigh 1/n and −1/n, so that a
bias whose unit is on one side of its kink in every row has none either (dense_2.bias[3]): it agrees to 10⁻¹¹ of itself.

The last tests plant faults, each of which must be noticed in every case that it touches.
"""

import copy
import functools
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from numgan import GAN, BatchNorm, Dense, LeakyReLU, ReLU, Sequential, Tanh
from numgan.gan import objectives, steps
from numgan.kernels import batch_norm as kernels
from numgan.nn.optimizers import OPTIMIZERS
from tests.helpers import GAMES, game_name

REFERENCES = Path(__file__).parents[1] / "references"
NETWORKS = ("sine", "mnist", "normed", "critics")
SIDES = ("generator", "discriminator")
TOLERANCE = 1e-9


# ------------------------------------------------------------------------------------------------ what is stored


@functools.cache
def read(name):
    with np.load(REFERENCES / f"games_{name}.npz") as file:
        return dict(file)


def stored(networks):
    return read(f"{networks}_pytorch")


def settings(networks):
    return json.loads(str(stored(networks)["settings"]))


@functools.cache
def cases(networks):
    return [json.loads(str(text)) for text in stored(networks)["cases"]]


def reference(networks, i):
    """PyTorch's trajectory of the i-th case: losses and tensors by name."""
    names = ("losses", *(f"{side}." for side in SIDES))
    return {name: a[i] for name, a in stored(networks).items() if name.startswith(names)}


def game_of(case):
    """A case's game as `tests.helpers` lists them."""
    (objective, arguments), schedule = case["objective"], case["schedule"]
    summed = arguments.get("discriminator_loss") == "sum"
    return objective, schedule, {"discriminator_loss": "sum"} if summed else {}


def optimizer_of(case):
    kind, arguments = case["optimizer"]
    return arguments.get("form", kind)


def every_case(*networks, of=lambda case: True):
    """Parameters (networks, index) of the cases of which `of` is true."""
    return [
        pytest.param(name, i, id=f"{name}-{game_name(game_of(case))}-{optimizer_of(case)}")
        for name in networks
        for i, case in enumerate(cases(name))
        if of(case)
    ]


def is_critic(case):
    return not is_probability(case["objective"][0])


def is_probability(objective):
    return objective in ("non-saturating", "minimax")


def is_shift_free(case):
    """Whether nothing changes when every score is shifted: then the last bias has no gradient but rounding."""
    return case["objective"][0] in ("wasserstein", "relativistic") and case["schedule"] == "concatenated"


def before_batch_norm(networks):
    """The biases right before a batch norm, by name."""
    places = settings(networks)["batch_norm"]
    return {
        name.replace("batch_norm", "dense").replace("gamma", "bias")
        for name in read(networks)
        if name.endswith(".gamma") and places[name.split(".")[0]] == "before"
    }


# ------------------------------------------------------------------------------------------------ numgan's side


def make_network(networks, side, closing, inputs):
    s = settings(networks)
    widths = [inputs[f"{side}.dense_1.weight"].shape[1]]
    while (key := f"{side}.dense_{len(widths)}.bias") in inputs:
        widths.append(inputs[key].size)
    layers = []
    for width in widths[1:-1]:
        activation = ReLU() if networks == "sine" else LeakyReLU(s["slope"])
        norm = BatchNorm(s["momentum"], s["batch_norm_epsilon"])
        after = {None: [activation], "before": [norm, activation], "after": [activation, norm]}
        layers += [Dense(width), *after[s["batch_norm"][side]]]
    layers += [Dense(widths[-1]), *closing]
    network = Sequential(layers, widths[0], np.random.default_rng(0), "float64", name=side)
    network.load_state_dict({name: inputs[f"{side}.{name}"] for name in network.state_dict()})
    return network


def losses_of(objective, on_d, on_g):
    """The three columns that are stored."""
    if is_probability(objective):
        return [on_d.loss_real, on_d.loss_fake, on_g.loss]
    if objective == "wasserstein":
        return [-on_d.score_real, on_d.score_fake, on_g.g_loss]
    if objective == "relativistic":
        return [on_d.d_loss, on_d.score_real - on_d.score_fake, on_g.g_loss]
    return [on_d.d_loss_real, on_d.d_loss_fake, on_g.g_loss]


def train(networks, case, inputs=None):
    """numgan's trajectory, laid out as the stored ones."""
    inputs = inputs or read(networks)
    name, arguments = case["objective"]
    objective = objectives.OBJECTIVES[name](**arguments)
    g = make_network(networks, "generator", [] if networks == "sine" else [Tanh()], inputs)
    d = make_network(networks, "discriminator", objective.closing(), inputs)
    kind, arguments = case["optimizer"]
    gan = GAN(g, d, *(OPTIMIZERS[kind](**arguments) for _ in SIDES), objective, case["schedule"])
    losses, snapshots = [], []
    names = ("real", "d_noise", "g_noise", *["g_real"] * objective.pairs)
    for step, (real, d_noise, *g_inputs) in enumerate(zip(*(inputs[name] for name in names), strict=True), 1):
        losses.append(losses_of(name, gan.train_discriminator(real, d_noise), gan.train_generator(*g_inputs)))
        if step in stored(networks)["stored_steps"]:
            snapshots.append({f"{net.name}.{name}": a for net in (g, d) for name, a in net.state_dict().items()})
    return {"losses": np.array(losses)} | {name: np.stack([x[name] for x in snapshots]) for name in snapshots[0]}


@functools.cache
def trained(networks, i):
    """numgan's trajectory of the i-th case."""
    return train(networks, cases(networks)[i])


# -------------------------------------------------------------------------------------------------- the comparison


def scale(networks, case, name, b):
    """To what the difference from PyTorch's b, (steps, …), is relative."""
    if name == "losses":
        return np.abs(b).max(axis=0) if is_critic(case) else np.abs(b)
    if name in before_batch_norm(networks):
        return 1.0
    if networks == "normed":
        return np.abs(b).max(axis=tuple(range(1, b.ndim)), keepdims=True)
    return np.abs(b)


def disagreements(networks, case, ours, theirs):
    """A line for the losses or a tensor with an element beyond the tolerance. Names and shapes must match."""
    assert ours.keys() == theirs.keys()
    lines = []
    for name, b in theirs.items():
        a = ours[name]
        assert a.shape == b.shape, name
        agrees = np.abs(a - b) <= TOLERANCE * scale(networks, case, name, b)  # a NaN does not
        if not agrees.all():
            where = np.unravel_index(agrees.argmin(), agrees.shape)
            lines.append(f"{name}{[*map(int, where)]}: {a[where]:.17g} against {b[where]:.17g}")
    return lines


@pytest.mark.parametrize(("networks", "i"), every_case(*NETWORKS))
def test_agreement(networks, i):
    case = cases(networks)[i]
    lines = disagreements(networks, case, trained(networks, i), reference(networks, i))
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize("networks", NETWORKS)
def test_every_game_is_there_with_every_optimiser(networks):
    """Those that are newer than the first three pairs of networks in the fourth."""
    there = [(game_name(game_of(case)), optimizer_of(case)) for case in cases(networks)]
    newer = [game for game in GAMES if game[0] in ("least-squares", "hinge", "relativistic")]
    played = newer if networks == "critics" else [game for game in GAMES if game not in newer]
    assert sorted(there) == sorted(itertools.product(map(game_name, played), ("paper", "keras", "SGD")))
    assert stored(networks)["losses"].shape == (len(there), 100, 3)
    assert stored(networks)["stored_steps"][-1] == 100
    assert all(case["optimizer"][1]["momentum"] > 0 for case in cases(networks) if optimizer_of(case) == "SGD")


def test_labels_are_smoothed_in_some_cases_of_every_such_game_and_not_in_others():
    smoothed = {
        (game_name(game_of(case)), case["objective"][1]["label_smoothing"] > 0)
        for case in itertools.chain(*map(cases, NETWORKS))
        if not is_critic(case)
    }
    assert len(smoothed) == 2 * sum(is_probability(game[0]) for game in GAMES)


def test_batch_norm_is_before_an_activation_in_normed_alone():
    places = {networks: settings(networks)["batch_norm"] for networks in NETWORKS}
    assert [places[networks]["discriminator"] for networks in NETWORKS] == [None, None, "before", "after"]
    assert [places[networks]["generator"] for networks in NETWORKS] == [None, "after", "before", "after"]
    assert len(before_batch_norm("normed")) == 4


@pytest.mark.parametrize(("networks", "i"), every_case(*NETWORKS))
def test_training_moved_every_tensor_that_has_a_gradient(networks, i):
    """By far more than the tolerance. What shifts all scores of a batch alike may have none, as a last bias."""
    case = cases(networks)[i]
    for name, a in reference(networks, i).items():
        assert a.dtype == np.float64
        assert np.isfinite(a).all()
        shifts = [f"discriminator.dense_{2 if networks == 'sine' else 3}.bias"]
        if settings(networks)["batch_norm"]["discriminator"] == "after":
            shifts.append("discriminator.batch_norm_2.beta")
        idle = name in before_batch_norm(networks) or (name in shifts and is_shift_free(case))
        if name != "losses" and not idle:
            assert np.abs(a[-1] - read(networks)[name]).max() > 1e-3 * np.abs(a[-1]).max(), name


# ------------------------------------------------------------------------------- the biases before a batch norm


@pytest.mark.parametrize(("networks", "i"), every_case("normed"))
def test_the_biases_before_a_batch_norm_stay_where_they_start(networks, i):
    """To 2·10⁻¹¹, in numgan and in PyTorch: their gradient is zero. A critic's are clipped to begin with."""
    case = cases(networks)[i]
    for trajectory in (trained(networks, i), reference(networks, i)):
        for name in before_batch_norm(networks):
            start = read(networks)[name].astype(np.float64)
            if is_critic(case) and name.startswith("discriminator"):
                start = np.clip(start, -case["objective"][1]["clip"], case["objective"][1]["clip"])
            assert np.abs(trajectory[name] - start).max() < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize(("networks", "i"), every_case("normed", of=lambda case: not is_critic(case)))
def test_only_their_distance_from_the_running_mean_counts(networks, i):
    """Biases and running means shifted alike, which a critic's clip would undo: the same losses, the same weights."""
    case, theirs = cases(networks)[i], reference(networks, i)
    biases, shift = before_batch_norm(networks), 0.25
    means = {name.replace("dense", "batch_norm").replace("bias", "running_mean") for name in biases}
    inputs = read(networks) | {name: read(networks)[name].astype(np.float64) + shift for name in biases | means}
    ours = train(networks, case, inputs)
    ours |= {name: ours[name] - shift for name in biases | means}
    assert not disagreements(networks, case, ours, theirs)
    inputs |= {name: read(networks)[name] for name in means}  # the biases alone: the generated rows are others
    assert np.abs(train(networks, case, inputs)["losses"] - theirs["losses"]).max() > 1e-3


def test_pytorch_does_not_follow_itself_there_either():
    """Rows reordered: under Adam it parts from itself as far as numgan does from it, and hardly with biases held."""
    s = stored("normed")
    adam = np.array([optimizer_of(case) != "SGD" for case in cases("normed")])
    separate = np.array([case["schedule"] == "separate" for case in cases("normed")])
    assert s["reordered.from_zero"].min() > 1  # no digit agrees where there is nothing but rounding
    assert s["reordered.bias"].max() < 1e-10
    assert s["reordered.bias"][~adam].max() < 1e-15
    assert 1e-9 < s["reordered.element"][adam].max() < 1e-8
    assert s["reordered_held.element"][adam].max() < 2e-12
    assert s["reordered.loss"].max() < 1e-10
    assert s["reordered_held.loss"][adam].max() < 1e-13
    assert s["reordered.element"][~adam & ~separate].max() < 1e-12
    assert s["reordered_float32.loss"][adam].max() > 0.05
    assert s["reordered_held_float32.loss"][adam].max() < 1e-4


@pytest.mark.parametrize("networks", ["sine", "mnist", "critics"])
def test_pytorch_follows_itself_where_no_bias_is_before_a_batch_norm(networks):
    assert not before_batch_norm(networks)
    assert stored(networks)["reordered.element"].max() < 1e-10
    assert stored(networks)["reordered.loss"].max() < 1e-11


# ------------------------------------------------------------------------------------------------- planted faults


def off(part, name, change):
    """A fault in one argument of a case's objective or optimiser, where it has it."""

    def fault(case):
        arguments = case[part][1]
        if name not in arguments:
            return False
        arguments[name] = change(arguments[name])
        return True

    return fault


def swapped(values):
    return dict(zip(values, values[::-1], strict=True)).get


def objective_swapped(case):
    if is_critic(case):
        return False
    case["objective"][0] = swapped(("non-saturating", "minimax"))(case["objective"][0])
    return True


def schedule_swapped(case):
    case["schedule"] = swapped(("concatenated", "separate"))(case["schedule"])
    return True


def mean_and_sum_swapped(case):
    swap = off("objective", "discriminator_loss", swapped(("mean", "sum")))
    return case["schedule"] == "concatenated" and swap(case)


FAULTS = {
    "labels not smoothed, or smoothed": off("objective", "label_smoothing", lambda s: 0.0 if s else 0.1),
    "a little more smoothing": off("objective", "label_smoothing", lambda s: s + 1e-6),
    "objective swapped": objective_swapped,
    "schedule swapped": schedule_swapped,
    "mean and sum swapped": mean_and_sum_swapped,
    "no clip": off("objective", "clip", lambda c: 1e9),
    "a little more clip": off("objective", "clip", lambda c: c * (1 + 1e-6)),
    "no momentum": off("optimizer", "momentum", lambda m: 0.0),
    "a little more momentum": off("optimizer", "momentum", lambda m: m + 1e-6),
    "Adam's form swapped": off("optimizer", "form", swapped(("paper", "keras"))),
}


def noticed(i, case):
    return disagreements("normed", case, train("normed", case), reference("normed", i))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_setting_is_noticed(fault):
    """Where the comparison is at its most lenient."""
    touched = 0
    for i, case in enumerate(cases("normed")):
        wrong = copy.deepcopy(case)
        if FAULTS[fault](wrong):
            touched += 1
            assert noticed(i, wrong), case
    assert touched >= 6


@pytest.mark.parametrize("rows", ["real", "g_real"])
def test_another_order_of_the_real_rows_in_pairs_is_noticed(rows):
    """And of no other game: there a batch is a set."""
    shifted = read("critics") | {rows: np.roll(read("critics")[rows], 1, axis=1)}
    for i, case in enumerate(cases("critics")):
        if optimizer_of(case) == "keras" and case["schedule"] == "concatenated":
            found = disagreements("critics", case, train("critics", case, shifted), reference("critics", i))
            assert bool(found) == (case["objective"][0] == "relativistic")


def always_in_train_mode(side):
    """Also where that side does not learn, on whose account it runs in eval mode."""

    def plant(monkeypatch):
        true = steps.Plan

        def plan(network, batch, training, **others):
            return true(network, batch, training=training or network.name == side, **others)

        monkeypatch.setattr(steps, "Plan", plan)

    return plant


def unbiased_running_variance(monkeypatch):
    """PyTorch's own, N/(N − 1) times the biased one: what the BatchNorm of torch_side.py is there for."""
    true = kernels.batch_norm_forward

    def forward(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
        true(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out)
        variance *= x.shape[-1] / (x.shape[-1] - 1)

    monkeypatch.setattr(kernels, "batch_norm_forward", forward)


PLANTED = {
    "the generator always in train mode": always_in_train_mode("generator"),
    "the discriminator always in train mode": always_in_train_mode("discriminator"),
    "an unbiased running variance": unbiased_running_variance,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_in_batch_norm_is_noticed(fault, monkeypatch):
    PLANTED[fault](monkeypatch)
    for i, case in enumerate(cases("normed")):
        assert noticed(i, case), case
