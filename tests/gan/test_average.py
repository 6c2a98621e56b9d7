"""Averaged weights: the recurrence, what reads the average, and that it is saved, copied and resumed with all else. The
target `average` of the gradient checks holds it against plain Python, with mistakes planted.
"""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from numgan import (
    GAN,
    Adam,
    BatchNorm,
    Dense,
    Dropout,
    Error,
    ModelFileError,
    NonFiniteError,
    Sequential,
    Sigmoid,
    Tanh,
    from_torch_layout,
    to_torch_layout,
)
from numgan.data.rows import Rows
from numgan.gan import average as average_module
from numgan.gan.equilibrium import Equilibrium
from numgan.gan.objectives import OBJECTIVES
from numgan.nn.model_file import write_model
from numgan.nn.optimizers import OPTIMIZERS
from numgan.study import recipes
from numgan.study.recipes.recipe import Asked
from numgan.study.settings import SettingError, with_overrides
from tests.gan.test_games_against_pytorch import before_batch_norm, make_network, read
from tests.helpers import (
    DTYPES,
    GAMES,
    LATENT,
    POINTS,
    batch,
    columns,
    every_game,
    make_gan,
    near,
    peak_memory,
    rng,
    state,
)

DECAY = 0.4  # reached at the fifth update
NOISE = rng(9).normal(0, 1, (5, LATENT))


def averaged(game=GAMES[0], dtype="float64", replicas=None, **settings):
    return make_gan(game, dtype, replicas, average=DECAY, **settings)


def decay_at(t):
    return min(DECAY, (1 + t) / (10 + t))


# ------------------------------------------------------------------------------------------------- the recurrence


@pytest.mark.parametrize("chunk", [5, 10**6])
@pytest.mark.parametrize("replicas", [None, 3])
@every_game
def test_every_number_follows_the_recurrence(game, replicas, chunk, monkeypatch):
    monkeypatch.setattr(average_module, "CHUNK", chunk)
    gan = averaged(game, "float64", replicas)
    wanted = gan.generator.state_dict()
    for t in range(1, 8):
        real, noise = batch(seed=t, lead=gan.generator.replicas)
        gan.train_discriminator(real, noise)
        gan.train_generator(noise, *[real] * gan.objective.pairs)
        for name, now in gan.generator.state_dict().items():
            wanted[name] = decay_at(t) * wanted[name] + (1 - decay_at(t)) * now
    for name, ours in gan.sampler.state_dict().items():
        near(ours, wanted[name], 1e-14)
        assert not np.array_equal(ours, gan.generator.state_dict()[name]), name
    assert gan.average.updates == 7


def test_a_replica_s_average_is_that_of_the_gan_alone():
    stack, alone = averaged(replicas=2), averaged()
    for r in range(2):
        stack.generator.values[r], stack.discriminator.values[r] = alone.generator.values, alone.discriminator.values
        stack.generator.state[r], stack.discriminator.state[r] = alone.generator.state, alone.discriminator.state
        stack.sampler.values[r], stack.sampler.state[r] = alone.sampler.values, alone.sampler.state
    for t in range(6):
        for gan in (stack, alone):
            gan.train_generator(batch(seed=t)[1])
    for r in range(2):
        near(stack.sampler.values[r], alone.sampler.values)
        near(stack.sampler.state[r], alone.sampler.state)


REFERENCE = Path(__file__).parents[1] / "references" / "average_pytorch.npz"


@pytest.mark.parametrize("i", range(3))
def test_pytorch_s_averaged_model_is_followed(i):
    """As test_games_against_pytorch.py compares: to 10⁻⁹ of a tensor's largest element; worst: 2·10⁻¹⁰."""
    stored, inputs = dict(np.load(REFERENCE)), read("normed")
    case = json.loads(str(stored["cases"][i]))
    (rules, settings), (kind, arguments) = case["objective"], case["optimizer"]
    objective = OBJECTIVES[rules](**settings)
    ends = {"generator": [Tanh()], "discriminator": objective.closing()}
    networks = [make_network("normed", side, end, inputs) for side, end in ends.items()]
    optimizers = [OPTIMIZERS[kind](**arguments) for _ in networks]
    gan = GAN(*networks, *optimizers, objective, case["schedule"], average=float(stored["decay"]))
    biases, compared = {name.partition(".")[2] for name in before_batch_norm("normed")}, 0
    batches = zip(*(inputs[name] for name in ("real", "d_noise", "g_noise")), strict=True)
    for step, (real, d_noise, g_noise) in enumerate(batches, 1):
        gan.train_discriminator(real, d_noise)
        gan.train_generator(g_noise)
        for at in np.flatnonzero(stored["stored_steps"] == step):
            for name, ours in gan.sampler.state_dict().items():
                theirs = stored[name][i, at]
                size = 1.0 if name in biases else np.abs(theirs).max()
                assert np.abs(ours - theirs).max() <= 1e-9 * size, (step, name)
                compared += 1
    assert compared == 2 * len(gan.sampler.state_dict())


def test_dropout_s_key_is_copied_and_a_layer_of_one_s_own_says_what_is_a_statistic():
    class Counted(Dense):
        statistics = ("mean",)

        def build(self, shape):
            out = super().build(shape)
            self.state_shapes = {"mean": (2,), "seen": (3,)}
            return out

    g = Sequential([Counted(4), Dropout(0.5), Dense(2)], LATENT, rng(), "float64")
    gan = GAN(g, Sequential([Dense(1), Sigmoid()], 2, rng(), "float64"), average=DECAY)
    first = gan.sampler.state_dict()
    g.layers[0].state["mean"][...], g.layers[0].state["seen"][...] = 7, 9
    gan.train_generator(NOISE)
    now = gan.sampler.state_dict()
    near(now["counted_1.mean"], (1 - decay_at(1)) * 7)
    assert (now["counted_1.seen"] == 9).all()
    assert (now["dropout_1.key"] == g.layers[1].state["key"]).all() and (now["dropout_1.key"] % 1 == 0).all()
    assert (now["dropout_1.key"] != first["dropout_1.key"]).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_does_not_move_is_averaged_to_itself_to_the_bit(dtype):
    gan = averaged(dtype=dtype)
    start = gan.sampler.state_dict()
    for _ in range(20):
        gan.average.update()
    assert {k: a.tobytes() for k, a in gan.sampler.state_dict().items()} == {k: a.tobytes() for k, a in start.items()}


# ---------------------------------------------------------------------------------------------------- what reads it


@every_game
def test_the_game_is_played_as_without_an_average(game):
    gan, plain = averaged(game, "float32"), make_gan(game, "float32")
    assert columns(gan.fit(POINTS, 12, 8, rng(1))) == columns(plain.fit(POINTS, 12, 8, rng(1)))
    both = state(plain)
    assert {name: bits for name, bits in state(gan).items() if not name.startswith("average.")} == both


def test_sampling_reads_the_average_and_nothing_else_does():
    gan, plain = averaged(), make_gan()
    assert plain.sampler is plain.generator and plain.average is None
    gan.fit(POINTS, 12, 8, rng(1))
    ours = gan.sampler.predict(NOISE)
    assert gan.sampler is gan.average.network is not gan.generator
    assert np.abs(ours - gan.generator.predict(NOISE)).max() > 1e-4
    np.testing.assert_array_equal(gan.predict(NOISE), gan.discriminator.predict(ours))
    noise = rng(4).standard_normal((6, LATENT))
    np.testing.assert_array_equal(gan.sample(6, rng(4)), gan.sampler.predict(noise))


def test_the_equilibrium_is_that_of_the_generator_which_plays():
    found = []
    for gan in (averaged(), make_gan()):
        gan.fit(POINTS, 12, 8, rng(1))
        watch = Equilibrium(gan, Rows(POINTS), 0.1, rng(2))
        watch.check(12)
        found.append((watch.on_real, watch.on_fake))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_shows_the_average(name):
    recipe = recipes.get(name)
    gan, plain = (
        recipe.build(with_overrides(recipe.settings, {"average": d}), rng(), "float32") for d in ("0.999", "0")
    )
    assert gan.average.decay == 0.999 and plain.average is None
    gan.sampler.values += 0.01
    noise = rng(1).standard_normal((2, *gan.generator.shapes[0]), dtype=np.float32)
    asked = recipe.asked(2, recipe.load(None, recipe.settings)[1], rng(3)) if gan.conditions else Asked()
    shown = recipe.moment(gan, noise, rng(2), asked)
    plain.generator.values += 0.01
    for key, array in recipe.moment(plain, noise, rng(2), asked).items():
        np.testing.assert_array_equal(shown[key], array)
    plain.generator.values -= 0.01
    assert any((shown[key] != array).any() for key, array in recipe.moment(plain, noise, rng(2), asked).items())


def test_beside_a_frozen_generator_the_average_is_the_generator():
    gan = averaged()
    gan.fit(POINTS, 12, 8, rng(1), generator_steps=0)
    assert gan.average.updates == 0
    assert gan.sampler.values.tobytes() == gan.generator.values.tobytes()
    assert gan.sampler.state.tobytes() == gan.generator.state.tobytes()


def test_the_update_is_the_last_line_of_the_generator_s_step_alone():
    gan = averaged()
    *_, update, _ = str(gan.generator_step(8)).splitlines()
    assert update.split()[:2] == ["averaged", "generator"] and "average_update" in update
    assert len(gan.generator_step(8).calls) == len(make_gan().generator_step(8).calls) + 1
    assert "average" not in str(gan.discriminator_step(8))


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_update_takes_no_memory(dtype):
    gan = averaged(dtype=dtype)
    step, noise = gan.generator_step(8), batch(8)[1]
    step.run(noise)
    assert peak_memory(lambda: step.run(noise)) < 2_000


def test_an_average_has_pytorch_s_layout_as_any_network():
    g = Sequential([Dense(4), BatchNorm(), Tanh(), Dense(2)], LATENT, rng())
    gan = GAN(g, Sequential([Dense(1), Sigmoid()], 2, rng()), average=DECAY)
    gan.train_generator(NOISE)
    arrays, twin = to_torch_layout(gan.sampler), g.copy()
    from_torch_layout(twin, arrays)
    np.testing.assert_array_equal(twin.predict(NOISE), gan.sampler.predict(NOISE))
    assert (twin.predict(NOISE) != g.predict(NOISE)).any()


# -------------------------------------------------------------------------------- saved, copied, gone back to, resumed


@pytest.mark.parametrize(("game", "dtype", "replicas"), [(GAMES[0], "float32", None), (GAMES[1], "float64", 2)])
def test_a_training_in_parts_ends_as_one_that_ran_through(game, replicas, dtype, tmp_path):
    for name, lengths in (("through", [23]), ("parts", [7, 11, 23])):
        for steps in lengths:
            gan = averaged(game, dtype, replicas)
            gan.fit(POINTS, steps, 8, rng(3), 5, checkpoint=tmp_path / f"{name}.npz", resume=True)
    through, parts = (np.load(tmp_path / f"{name}.npz") for name in ("through", "parts"))
    assert set(through.files) == set(parts.files) >= {"average.updates", "average.batch_norm_1.running_mean"}
    assert all(through[name].tobytes() == parts[name].tobytes() for name in through.files)
    loaded = GAN.load(tmp_path / "parts.npz")
    assert state(loaded) == state(gan) and loaded.average.updates == 23 and loaded.average.decay == DECAY


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda gan: pickle.loads(pickle.dumps(gan)), GAN.copy])
def test_a_copy_trains_on_as_its_original_and_shares_nothing(copied):
    gan = averaged(dtype="float32", replicas=2)
    gan.fit(POINTS, 5, 8, rng(1))
    twin, before = copied(gan), state(gan)
    assert state(twin) == before and list(twin.parts) == list(gan.parts) and twin.parts["average"] is twin.average
    twin.fit(POINTS, 5, 8, rng(2))
    assert state(gan) == before != state(twin)
    gan.fit(POINTS, 5, 8, rng(2))
    assert state(gan) == state(twin)


def test_a_saved_gan_trains_on_as_it_would_have(tmp_path):
    gan = averaged()
    gan.fit(POINTS, 5, 8, rng(1))
    gan.save(tmp_path / "model.npz")
    loaded = GAN.load(tmp_path / "model.npz")
    assert loaded.config() == gan.config() and loaded.config()["average"] == DECAY
    for one in (gan, loaded):
        one.fit(POINTS, 5, 8, rng(2))
    assert state(gan) == state(loaded)


def test_a_gan_without_one_says_nothing_of_it_so_that_its_files_are_as_they_were(tmp_path):
    gan = make_gan()
    gan.save(tmp_path / "model.npz")
    assert "average" not in gan.config() and not [name for name in gan.state_dict() if "average" in name]
    assert GAN.load(tmp_path / "model.npz").average is None


def test_a_training_with_another_average_is_not_gone_on_with(tmp_path):
    averaged().fit(POINTS, 5, 8, rng(), checkpoint=tmp_path / "with.npz")
    make_gan().fit(POINTS, 5, 8, rng(), checkpoint=tmp_path / "without.npz")
    for path, other in (("with.npz", make_gan()), ("without.npz", averaged()), ("with.npz", make_gan(average=0.5))):
        with pytest.raises(ModelFileError, match="the training of a GAN with another average"):
            other.fit(POINTS, 9, 8, rng(), checkpoint=tmp_path / path, resume=True)


def test_what_diverges_is_found_in_the_average_too_and_all_goes_back_to_the_last_good_look():
    gan, twin = averaged(), averaged()

    def spoil(done, history):
        if done == 10:
            gan.sampler.values[0] = np.inf

    with pytest.raises(NonFiniteError, match=r"average\.dense_1\.weight by step \d+; kept the last good .* step 10$"):
        gan.fit(POINTS, 30, 8, rng(1), 10, spoil)
    twin.fit(POINTS, 30, 8, rng(1), 10, lambda done, history: done == 10)
    assert state(gan) == state(twin)


# ----------------------------------------------------------------------------------------------------- bad values


@pytest.mark.parametrize("value", [1, 0, -0.1, 1.5, "x", True, float("nan")])
def test_a_decay_that_cannot_be_is_refused_in_a_sentence(value):
    with pytest.raises(Error, match=r"^GAN: average must be a number in \(0, 1\), got "):
        make_gan(average=value)


@pytest.mark.parametrize("text", ["1", "-0.1", "x", "True", "nan"])
def test_so_is_the_setting(text):
    with pytest.raises(SettingError, match=f"^average={text} is not possible; expected a number from 0 up to, but not"):
        with_overrides(recipes.get("sine").settings, {"average": text})


@pytest.mark.parametrize(("name", "value", "says"), [
    ("updates", -1, "averaged generator: updates must be an integer from 0 up, got"),
    ("updates", 2.5, "averaged generator: updates must be an integer from 0 up, got"),
    ("updates", 2**60, "averaged generator: updates must be at most 9007199254740992, got"),
    ("updates", [1, 2], r"averaged generator: updates has shape \(2,\), expected \(\)"),
    ("updates", None, r"averaged generator: missing \['updates'\]"),
    ("dense_1.weight", np.zeros((2, 2)), r"averaged generator: dense_1.weight has shape \(2, 2\), expected"),
    ("dense_1.bias", None, r"averaged generator: missing \['dense_1.bias'\]"),
    ("dense_2.bias", np.full(5, np.nan), "averaged generator: dense_2.bias must be finite"),
    ("batch_norm_1.running_variance", np.full(6, -1.0), "running_variance must be at least 0"),
    ("other", np.zeros(1), r"averaged generator: missing \[\], unknown \['other'\]"),
])  # fmt: skip
def test_a_state_that_cannot_be_changes_nothing(name, value, says):
    gan = averaged()
    before, given = state(gan), gan.state_dict()
    given |= {"generator.dense_1.weight": given["generator.dense_1.weight"] + 1, f"average.{name}": value}
    if value is None:
        del given[f"average.{name}"]
    with pytest.raises(Error, match=says):
        gan.load_state_dict(given)
    assert state(gan) == before


@pytest.mark.parametrize("average", [1, 0, -2, "x", True, [0.5], {"a": 1}])
def test_a_file_with_a_decay_that_cannot_be_is_refused(average, tmp_path):
    gan = averaged()
    write_model(tmp_path / "model.npz", gan.config() | {"average": average}, gan.state_dict())
    with pytest.raises(
        ModelFileError, match=r"model\.npz: .*average (must be|is a list of 1, the network has no replicas)"
    ):
        GAN.load(tmp_path / "model.npz")


def test_a_file_that_only_claims_an_average_is_refused_without_taking_much_memory_for_it(tmp_path):
    g = Sequential([Dense(2000), Dense(300), Tanh()], 100, rng(), name="g")
    gan = GAN(g, Sequential([Dense(1), Sigmoid()], 300, rng(), name="d"), Adam(), Adam(), average=DECAY)
    honest, path = tmp_path / "honest.npz", tmp_path / "model.npz"
    gan.save(honest)
    assert peak_memory(lambda: GAN.load(honest)) < 4.5 * honest.stat().st_size
    write_model(path, gan.config(), {k: a for k, a in gan.state_dict().items() if k.startswith(("generator.", "d"))})

    def load():
        with pytest.raises(ModelFileError, match="entries missing"):
            GAN.load(path)

    assert peak_memory(load) < 12 * path.stat().st_size
