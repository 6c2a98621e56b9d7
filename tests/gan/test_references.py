"""numgan against PyTorch and Keras: whole training runs in float64, compared with stored trajectories.

tests/references/make_references.py made them; neither framework is needed here. numgan starts from the same stored
weights, takes the same stored batches and noise, and must agree with each framework, in either form of Adam, to 10⁻⁹:
losses at every step; parameters, Adam's moments and running statistics at every stored step. (Dense weights are stored
as (n_in, n_out), as Keras has them, and turned when read.)

Relative means element by element: |a − b| ≤ 10⁻⁹·|b| for every loss and for every single element of every tensor, b
being the framework's, with no absolute tolerance beside it. No quantity needs more. The worst measured: 5·10⁻¹⁶ of a
loss, 5·10⁻¹⁵ of a running statistic, 4·10⁻¹¹ of a parameter, 2·10⁻¹¹ of an m, 10⁻¹² of a v. (The larger figures are of
elements that happen to lie near zero; PyTorch and Keras differ from each other by as much. Measured against its
tensor's largest element every difference is below 10⁻¹⁴.)

The last tests train with a fault planted, and must find that numgan no longer agrees.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from numgan import GAN, Adam, BatchNorm, Dense, LeakyReLU, ReLU, Sequential, Sigmoid, Tanh
from numgan.kernels import batch_norm as kernels
from tests.helpers import rng

REFERENCES = Path(__file__).parents[1] / "references"
TOLERANCE = 1e-9
FORMS = ("paper", "keras")
CASES = [(gan, framework, form) for gan in ("sine", "mnist") for framework in ("pytorch", "keras") for form in FORMS]


# ------------------------------------------------------------------------------------------------ numgan's side


def read(name):
    """The arrays of a stored file; dense weights and their moments as numgan has them, (…, n_out, n_in)."""
    with np.load(REFERENCES / f"{name}.npz") as file:
        return {key: a.mT if key.endswith(".weight") else a for key, a in file.items()}


def make_networks(gan, s):
    """Generator and discriminator of the recipe's structure and the stored widths, their weights still to be set."""

    def network(name, activation, batch_norm, output):
        widths = [s[f"{name}.dense_1.weight"].shape[1]]
        while (key := f"{name}.dense_{len(widths)}.bias") in s:
            widths.append(s[key].size)
        layers = []
        for width in widths[1:-1]:
            layers += [Dense(width), activation()]
            layers += [BatchNorm(float(s["momentum"]), float(s["batch_norm_epsilon"]))] if batch_norm else []
        layers += [Dense(widths[-1]), *output]
        return Sequential(layers, widths[0], rng(), "float64", name=name)

    if gan == "sine":
        return network("generator", ReLU, False, []), network("discriminator", ReLU, False, [Sigmoid()])
    activation = partial(LeakyReLU, float(s["slope"]))
    return network("generator", activation, True, [Tanh()]), network("discriminator", activation, False, [Sigmoid()])


def make_gan(gan, form, s):
    """The GAN with the stored settings and initial weights."""
    g, d = make_networks(gan, s)
    for network in (g, d):
        network.load_state_dict({name: s[f"{network.name}.{name}"] for name in network.state_dict()})
    adams = [Adam(*(float(s[k]) for k in ("learning_rate", "beta1", "beta2", "epsilon")), form) for _ in range(2)]
    return GAN(g, d, *adams, schedule="separate" if gan == "sine" else "concatenated")


def snapshot(model):
    """Parameters, running statistics and moments, named as in the stored files."""
    arrays = {}
    for network, optimizer in (
        (model.generator, model.generator_optimizer),
        (model.discriminator, model.discriminator_optimizer),
    ):
        arrays |= {f"{network.name}.{name}": a for name, a in network.state_dict().items()}
        for kind, moment in zip("mv", optimizer.moments(), strict=True):
            network.grads[...] = moment  # laid out alike, and the gradients have names; the next step writes them anew
            arrays |= {f"{kind}.{network.name}.{name}": a.copy() for name, a in network.gradients().items()}
    return arrays


def train(gan, form, s):
    """numgan's trajectory, laid out as the stored ones: every name -> array with the (stored) steps in front."""
    model, losses, snapshots = make_gan(gan, form, s), [], []
    for step, (real, d_noise, g_noise) in enumerate(zip(s["real"], s["d_noise"], s["g_noise"], strict=True), 1):
        on = model.train_discriminator(real, d_noise)
        losses.append([on.loss_real, on.loss_fake, model.train_generator(g_noise).loss])
        if step in s["stored_steps"]:
            snapshots.append(snapshot(model))
    return {"losses": np.array(losses)} | {name: np.stack([x[name] for x in snapshots]) for name in snapshots[0]}


# -------------------------------------------------------------------------------------------------- the comparison


def disagreements(ours, theirs, s):
    """A line for every loss or tensor and step with an element beyond the tolerance. Names and shapes must match."""
    theirs = {name: a for name, a in theirs.items() if name != "versions"}
    assert ours.keys() == theirs.keys()
    lines = []
    for name, reference in theirs.items():
        assert ours[name].shape == reference.shape, name
        steps = range(1, len(reference) + 1) if name == "losses" else s["stored_steps"]
        for step, a, b in zip(steps, ours[name], reference, strict=True):
            agrees = np.abs(a - b) <= TOLERANCE * np.abs(b)  # a NaN does not
            if not agrees.all():
                where = np.unravel_index(agrees.argmin(), agrees.shape)
                lines.append(f"{name}{[*map(int, where)]} at step {step}: {a[where]:.17g} against {b[where]:.17g}")
    return lines


@pytest.mark.parametrize(("gan", "framework", "form"), CASES)
def test_agreement(gan, framework, form):
    s = read(gan)
    lines = disagreements(train(gan, form, s), read(f"{gan}_{framework}_{form}"), s)
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize(("gan", "framework", "form"), CASES)
def test_the_references_are_what_was_asked_for(gan, framework, form):
    """Steps, float64, recorded versions, and that training really moved every tensor by far more than the tolerance."""
    s, stored = read(gan), read(f"{gan}_{framework}_{form}")
    assert len(stored["losses"]) >= (100 if gan == "sine" else 30)
    assert s["stored_steps"][-1] == len(stored["losses"])
    assert all(name in str(stored["versions"]) for name in ("torch", "keras", "tensorflow", "numpy"))
    for name, a in stored.items():
        if name == "versions":
            continue
        assert a.dtype == np.float64
        assert np.isfinite(a).all()
        start = s.get(name, np.zeros(a.shape[1:]))
        assert np.abs(a[-1] - start).max() > 1e-3 * np.abs(a[-1]).max(), name


# ------------------------------------------------------------------------------------------------- planted faults


def setting(name, change):
    """A fault in one stored setting."""
    return lambda s, monkeypatch: s.update({name: s[name] + change})


def unbiased_running_variance(s, monkeypatch):
    """PyTorch's running variance, N/(N − 1) times the biased one."""
    true, n = kernels.batch_norm_forward, s["g_noise"].shape[-2]

    def forward(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out):
        true(x, gamma, beta, epsilon, ones, centred, mean, variance, inv_std, scale, temp, out)
        variance *= n / (n - 1)

    monkeypatch.setattr(kernels, "batch_norm_forward", forward)


def weight(name):
    """One element of one initial weight off by 10⁻⁷ relative."""

    def fault(s, monkeypatch):
        s[name] = s[name].astype(np.float64)
        s[name].flat[0] *= 1 + 1e-7

    return fault


def batch(name):
    """One value of the last step's batch off by 10⁻⁵."""

    def fault(s, monkeypatch):
        s[name] = s[name].astype(np.float64)
        s[name][-1].flat[0] += 1e-5

    return fault


FAULTS = {
    "beta1": ("sine", setting("beta1", 1e-6)),
    "beta2": ("sine", setting("beta2", 1e-6)),
    "learning rate": ("sine", setting("learning_rate", 1e-9)),
    "Adam's epsilon": ("sine", setting("epsilon", 1e-9)),
    "slope": ("mnist", setting("slope", 1e-6)),
    "batch norm's epsilon": ("mnist", setting("batch_norm_epsilon", 1e-8)),
    "batch norm's momentum": ("mnist", setting("momentum", 1e-7)),
    "unbiased running variance": ("mnist", unbiased_running_variance),
    "an initial weight": ("sine", weight("generator.dense_1.weight")),
    "an initial running mean": ("mnist", weight("generator.batch_norm_2.running_mean")),
    "the last real batch": ("mnist", batch("real")),
    "the last noise": ("sine", batch("g_noise")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, monkeypatch):
    gan, plant = FAULTS[fault]
    s, stored = read(gan), read(f"{gan}_pytorch_paper")
    plant(s, monkeypatch)
    assert disagreements(train(gan, "paper", s), stored, s)


@pytest.mark.parametrize("gan", ["sine", "mnist"])
@pytest.mark.parametrize("framework", ["pytorch", "keras"])
def test_the_other_form_of_adam_is_found(gan, framework):
    s = read(gan)
    for form, other in (FORMS, FORMS[::-1]):
        assert disagreements(train(gan, other, s), read(f"{gan}_{framework}_{form}"), s)
