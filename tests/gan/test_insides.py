"""What is seen inside the networks of a training, against the numbers themselves; and that looking changes nothing."""

import csv

import numpy as np
import pytest

from numgan import GAN, SGD, Conv2D, Dense, Error, Flatten, LeakyReLU, ReLU, Reshape, Sequential, Sigmoid
from numgan.data.rows import Rows
from numgan.gan.fit import TrainingStep
from numgan.gan.insides import Insides, measure
from numgan.nn.activations import Activation
from numgan.nn.optimizers import Optimizer
from numgan.nn.registry import LAYERS
from tests.gan import test_conditions as conditional
from tests.helpers import LATENT, POINTS, every_kind, make_gan, near, rng, state

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
ACTIVATIONS = [kind for kind in LAYERS.values() if issubclass(kind, Activation)]
HOW = {"batch_size": 10, "every": 10}
GAN_OF = {
    "plain": lambda: make_gan(),
    "replicas": lambda: make_gan(replicas=3),
    "averaged": lambda: make_gan(average=0.9),
    "conditional": conditional.make_gan,
}


def data_of(gan):
    return conditional.Coded() if gan.conditions else POINTS


# ------------------------------------------------------------------------------------------------------- what is seen


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_flat_is_where_the_slope_is_the_least_or_hardly_any(kind):
    layer, x = kind(), np.linspace(-20, 20, 4001)
    slopes = np.array([(layer.formula(a + 1e-6) - layer.formula(a - 1e-6)) / 2e-6 for a in x])
    lowest = min(slopes) if issubclass(kind, ReLU | LeakyReLU) else 0.01 * max(slopes)
    sure = (abs(x) > 1e-4) & (abs(abs(slopes) - 0.01 * max(slopes)) > 1e-4)  # off kinks, and off the bound
    expected = abs(slopes) <= lowest + 1e-9
    y = np.array([layer.formula(a) for a in x])
    np.testing.assert_array_equal(layer.flat(x, y)[sure], expected[sure])
    assert 0.1 < expected.mean() < 0.9
    if layer.in_place_forward:
        np.testing.assert_array_equal(layer.flat(y, y), layer.flat(x, y))


@every_kind
def test_norms_and_ratios_are_those_of_the_last_update(game, monkeypatch):
    right, updates = Optimizer.update, {}

    def update(self):
        before = {name: a.copy() for name, a in self.network.parameters().items()}
        right(self)
        updates[self.network.name] = {name: a - before[name] for name, a in self.network.parameters().items()}

    monkeypatch.setattr(Optimizer, "update", update)
    gan = make_gan(game, optimizer=lambda rate: SGD(rate, 0.9))
    step = TrainingStep(gan, Rows(POINTS), 10, rng(), 2, 3)
    step.run()
    step.run()
    found = measure(gan, step)
    for network in (gan.generator, gan.discriminator):
        for layer in (layer for layer in network.layers if layer.shapes):
            g, theta, move = (
                np.sqrt(sum((a**2).sum() for name, a in arrays.items() if name.startswith(f"{layer.name}.")))
                for arrays in (network.gradients(), network.parameters(), updates[network.name])
            )
            near(found.pop(f"{network.name}.{layer.name}.gradient_norm"), g)
            near(found.pop(f"{network.name}.{layer.name}.update_ratio"), move / theta)
    assert g > 0 and move > 0  # of the last layer; a critic's have no gradient below a batch norm
    assert found and all(name.endswith("dead_units") for name in found)


def of_activations(schedule):
    """A GAN with every activation, behind biases that make some of the units dead."""
    g, d = ([a for kind in ACTIVATIONS for a in (Dense(8), kind())] for _ in range(2))
    g = Sequential([*g, Dense(2)], LATENT, rng(), "float64")
    d = Sequential([*d, Dense(1), Sigmoid()], 2, rng(1), "float64")
    for network in (g, d):
        for name, a in network.parameters().items():
            if name.endswith("bias"):
                a[...] = rng(3).normal(0, 4, a.shape)
    return GAN(g, d, SGD(1e-9), SGD(1e-9), schedule=schedule)


@pytest.mark.parametrize("schedule", ["concatenated", "separate"])
def test_dead_units_are_flat_on_every_row_of_the_last_batch_real_or_generated(schedule):
    """The weights hardly move, so that the last batch can be run through the layers once more."""
    gan, rows = of_activations(schedule), 12
    step = TrainingStep(gan, Rows(POINTS), rows, rng(), 2, 2)
    step.run()
    found = measure(gan, step)
    seen = {
        "generator": (gan.generator, step.generator.noise),
        "discriminator": (
            gan.discriminator,
            np.concatenate([step.discriminator.real, gan.generator.predict(step.discriminator.noise)]),
        ),
    }
    shares = set()
    for side, (network, x) in seen.items():
        for depth, layer in enumerate(network.layers[: network.logit_depth], 1):
            plans = [network.plan(len(x), training=True, backward=False, depth=n) for n in (depth - 1, depth)]
            if isinstance(layer, Activation):
                before, after = (through(network, plan, x) for plan in plans)
                dead = layer.flat(before, after).all(axis=0).mean()
                assert found.pop(f"{side}.{layer.name}.dead_units") == dead
                shares.add(dead)
    assert not [name for name in found if name.endswith("dead_units")] and len(shares) > 3


def through(network, plan, x):
    np.copyto(network.samples_first(plan.x), x)
    plan.run_forward()
    return network.samples_first(plan.y).copy()


def test_a_unit_of_an_image_is_a_channel():
    g = Sequential([Dense(12), Reshape((1, 3, 4))], LATENT, rng(), "float64")
    d = Sequential([Conv2D(5, 2), ReLU(), Flatten(), Dense(1), Sigmoid()], (1, 3, 4), rng(1), "float64")
    d.parameters()["conv2d_1.bias"][...] = [-99, 99, -99, 99, 0]
    gan = GAN(g, d)
    step = TrainingStep(gan, Rows(rng().normal(0, 1, (20, 1, 3, 4))), 6, rng())
    step.run()
    assert measure(gan, step)["discriminator.relu_1.dead_units"] == 0.4


def test_a_side_that_does_not_play_is_not_seen():
    history = make_gan().fit(POINTS, steps=10, rng=rng(), discriminator_steps=0, insides=True, **HOW)
    assert {name.partition(".")[0] for name in history.insides.columns} == {"generator"}
    assert history.insides.layers("discriminator") == {}
    assert history.insides.layers("generator")["leaky_relu_1"] == {"dead_units": "generator.leaky_relu_1.dead_units"}


def test_layers_inside_of_others_are_seen_where_they_stand():
    gan = conditional.make_gan()
    columns = gan.fit(conditional.Coded(), steps=1, rng=rng(), insides=True).insides.layers("generator")
    assert list(columns) == [
        "dense_1", "leaky_relu_1", "batch_norm_1", "skip_1.dense_1", "skip_1.batch_norm_1", "skip_1.tanh_1",
        "join_2.embedding_1", "join_2.spectral_norm_1", "join_2.batch_norm_1", "join_2.leaky_relu_1", "dense_2",
        "tanh_1",
    ]  # fmt: skip


def test_parameters_that_are_all_zero_have_no_ratio():
    gan = make_gan()
    step = TrainingStep(gan, Rows(POINTS), 10, rng())
    step.run()
    gan.generator.values[...] = 0
    gan.generator_optimizer.state["m"][...] = 0
    found = measure(gan, step)
    assert np.isnan(found["generator.dense_1.update_ratio"]) and found["discriminator.dense_1.update_ratio"] > 0


# ---------------------------------------------------------------------------------------------- the training with it


@pytest.mark.parametrize("kind", GAN_OF)
def test_looking_changes_nothing(kind):
    seen, plain = GAN_OF[kind](), GAN_OF[kind]()
    one = seen.fit(data_of(seen), steps=25, rng=rng(), insides=True, **HOW)
    other = plain.fit(data_of(plain), steps=25, rng=rng(), **HOW)
    assert state(seen) == state(plain) and other.insides is None
    for name in other.columns:
        assert one[name].tobytes() == other[name].tobytes()


def test_the_history_has_the_columns_with_gaps_between_looks(tmp_path):
    history = make_gan(replicas=2).fit(POINTS, steps=25, rng=rng(), insides=True, **HOW)
    name = "discriminator.dense_2.update_ratio"
    column, insides = history[name], history.insides
    assert column.shape == (25, 2) and insides.steps.tolist() == [10, 20, 25] and insides[name].shape == (3, 2)
    assert np.flatnonzero(~np.isnan(column[:, 0])).tolist() == [9, 19, 24]
    np.testing.assert_array_equal(column[[9, 19, 24]], insides[name])
    assert history.has(name) and (insides[name] > 0).all()
    history.write_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row[f"{name}[1]"] for row in rows] == ["" if np.isnan(v) else str(np.float32(v)) for v in column[:, 1]]
    assert list(rows[0])[-2 * len(insides.columns) :] == [f"{n}[{r}]" for n in insides.columns for r in (0, 1)]


def test_what_has_been_handed_out_stays_as_it_is():
    insides = Insides(["a", "b"])
    for step in range(1, 40):
        before = insides.state_dict()
        copies = {name: a.copy() for name, a in before.items()}
        insides.add(step, {"a": np.array(step), "b": np.array(-step)}, passing=step % 3 == 0)
        assert all((before[name] == copies[name]).all() for name in before)
    kept = [step for step in range(1, 40) if step % 3 or step == 39]
    assert insides.steps.tolist() == kept and insides["b"].tolist() == [-step for step in kept]


class Stop(Exception):
    pass


@pytest.mark.parametrize("by", [{"steps": 57}, {"epochs": 4}], ids=str)
def test_a_training_in_parts_has_seen_what_one_that_went_through_has(by, tmp_path):
    def bits(gan, history):
        return state(gan), [history.insides.state_dict()[name].tobytes() for name in ("steps", "values", "passing")]

    through = make_gan()
    whole = bits(through, through.fit(POINTS, rng=rng(), insides=True, **HOW, **by))

    def stop(done, history):
        if done and done not in stopped:
            stopped.add(done)
            raise Stop

    stopped = set()
    for _ in range(20):
        gan = make_gan()
        how = {"checkpoint": tmp_path / "run.npz", "resume": True, "insides": True, "callback": stop}
        try:
            found = bits(gan, gan.fit(POINTS, rng=rng(), **how, **HOW, **by))
            break
        except Stop:
            pass
    assert found == whole and len(stopped) > 3


def test_a_training_made_longer_has_seen_what_one_as_long_has(tmp_path):
    through = make_gan().fit(POINTS, steps=34, rng=rng(), insides=True, **HOW).insides
    for steps in (17, 34):
        how = {"checkpoint": tmp_path / "run.npz", "resume": True, "insides": True}
        parts = make_gan().fit(POINTS, steps=steps, rng=rng(), **how, **HOW).insides
    assert parts.steps.tolist() == [10, 20, 30, 34]
    assert {k: a.tobytes() for k, a in parts.state_dict().items()} == {
        k: a.tobytes() for k, a in through.state_dict().items()
    }


def test_a_training_that_was_not_looked_into_is_not_gone_on_with_as_one_that_was(tmp_path):
    for first, then in ((False, True), (True, False)):
        path = tmp_path / f"{first}.npz"
        make_gan().fit(POINTS, steps=10, rng=rng(), checkpoint=path, insides=first, **HOW)
        with pytest.raises(Error, match="insides"):
            make_gan().fit(POINTS, steps=20, rng=rng(), checkpoint=path, resume=True, insides=then, **HOW)


GOOD = {"steps": np.array([10, 20]), "values": np.zeros((2, 2)), "passing": np.array(False)}


@pytest.mark.parametrize("changed, phrase", [
    ({"steps": None}, "expected steps, values and passing"),
    ({"steps": np.array([0, 3])}, "whole numbers from 1 up"),
    ({"steps": np.array([20, 10])}, "whole numbers from 1 up"),
    ({"steps": np.array([1.0, 2.0])}, "whole numbers from 1 up"),
    ({"values": np.zeros((2, 3))}, r"expected \(2, 2\)"),
    ({"values": np.zeros((2, 2), int)}, "values are int64"),
    ({"passing": np.array(3)}, "passing"),
    ({"steps": np.zeros(0, int), "values": np.zeros((0, 2)), "passing": np.array(True)}, "passing"),
])  # fmt: skip
def test_a_state_that_cannot_be_is_refused(changed, phrase):
    insides = Insides(["a", "b"])
    insides.load_state_dict(GOOD)
    with pytest.raises(Error, match=phrase):
        insides.load_state_dict({k: v for k, v in (GOOD | changed).items() if v is not None})
    assert insides.steps.tolist() == [10, 20]


def test_a_checkpoint_that_looked_further_than_it_went_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    make_gan().fit(POINTS, steps=10, rng=rng(), checkpoint=path, insides=True, **HOW)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["run.insides.steps"] = np.array([11])
    np.savez(path, **arrays)
    with pytest.raises(Error, match="looked inside the networks after more than 10 steps"):
        make_gan().fit(POINTS, steps=20, rng=rng(), checkpoint=path, resume=True, insides=True, **HOW)
