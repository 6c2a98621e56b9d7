"""Model files: what is saved comes back to the bit, and a file that is anything else is refused in one sentence."""

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numgan import (
    GAN,
    SGD,
    Adam,
    BatchNorm,
    Dense,
    Error,
    Flatten,
    Layer,
    LeakyReLU,
    Minimax,
    ModelFileError,
    NonSaturating,
    Rate,
    ReLU,
    Reshape,
    RMSprop,
    Sequential,
    Tanh,
    Wasserstein,
)
from numgan.gan import objectives
from numgan.gan.objectives import OBJECTIVES
from numgan.nn.network import copy_layer
from tests.helpers import GAMES, game_name, peak_memory, rules

# ---------------------------------------------------------------- helpers


class Gain(Layer):
    """A layer of our own, with a setting and a parameter: y = power · gain · x."""

    def __init__(self, power=1.0):
        self.power = power

    def build(self, shape):
        self.shapes = {"gain": shape}
        return shape

    def initialize(self, rng):
        self.params["gain"][...] = 1

    def forward(self, x, out):
        np.multiply(x, self.power * self.params["gain"][..., None, :], out=out)

    def backward_input(self, x, y, dy, out):
        np.multiply(dy, self.power * self.params["gain"][..., None, :], out=out)

    def backward_parameters(self, x, y, dy):
        self.grads["gain"][...] = self.power * (x * dy).sum(axis=-2)

    def config(self):
        return {"power": self.power}


def make_gan(seed=0, dtype="float32", replicas=None, optimizer=Adam, extra=(), **options):
    rng = np.random.default_rng(seed)
    bottom, top = [Dense(4), LeakyReLU(0.2), BatchNorm(0.8, 0.01)], [Dense(2), Tanh()]
    g = Sequential([*bottom, *extra, *top], 3, rng, dtype, replicas, "g")
    closing = objectives.get(options.get("objective", "non-saturating")).closing()
    d = Sequential([Dense(5), ReLU(), BatchNorm(), Dense(1), *closing], 2, rng, dtype, replicas, "d")
    return GAN(g, d, optimizer(0.01), optimizer(0.02), **options)


def train(gan, steps=3, seed=1):
    rows = np.random.default_rng(0).standard_normal((20, 2))
    return gan.fit(rows, steps, 8, np.random.default_rng(seed), every=2)


def assert_same_state(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype and array.shape == other[name].shape, name
        assert array.tobytes() == other[name].tobytes(), name


def npy(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), version)
    return file.getvalue()


def npy_claiming(shape, descr="<f4", held=b"\0" * 64):
    """An .npy that states a shape and holds some other number of bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": descr})
    return file.getvalue() + held


def read_entries(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write_entries(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def refusal(path, **kwargs):
    """The message with which GAN.load refuses a file: one line that begins with the file's name."""
    with pytest.raises(ModelFileError) as caught:
        GAN.load(path, **kwargs)
    assert isinstance(caught.value, Error)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message) > len(f"{path}: ") + 10
    assert message.isprintable() and len(message) < 1000
    return message


@pytest.fixture
def saved(tmp_path):
    """A good file to damage."""
    gan = make_gan()
    train(gan)
    gan.save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


@pytest.fixture
def entries(saved):
    return read_entries(saved)


def edit_settings(path, change):
    """Rewrite the settings of a good file: `change` edits the decoded dict in place, or returns another value."""
    entries = read_entries(path)
    decoded = json.loads(str(np.load(io.BytesIO(entries["settings.npy"]))))
    changed = change(decoded)
    text = json.dumps(decoded if changed is None else changed)
    write_entries(path, entries | {"settings.npy": npy(np.array(text))})


# ---------------------------------------------------------------- round trip

VARIANTS = {
    "plain": {},
    "float64": {"dtype": "float64"},
    "replicas": {"replicas": 3},
    "sgd": {"optimizer": lambda rate: SGD(rate, momentum=0.7)},
    "rmsprop": {"optimizer": lambda rate: RMSprop(rate, 0.8, 1e-6)},
    "adam of the paper": {"optimizer": lambda rate: Adam(rate, 0.5, 0.99, 1e-8, "paper")},
    "rates by count": {"optimizer": lambda rate: Adam(Rate(rate, 2, "cosine", 9, rate / 8))},
    "separate, smoothed": {"schedule": "separate", "objective": NonSaturating(label_smoothing=0.1)},
    "summed, minimax": {"objective": Minimax(discriminator_loss="sum")},
    "another clip": {"objective": Wasserstein(clip=0.25)},
    "own layer": {"extra": (Gain(1.5),)},
    "images": {"extra": (Reshape((2, 1, 2)), BatchNorm(), Flatten())},
    **{game_name(game): {"schedule": game[1], "objective": rules(game)} for game in GAMES},
}


@pytest.fixture(params=VARIANTS)
def variant(request):
    # a layer belongs to one network, so every GAN of a test gets its own
    kwargs = VARIANTS[request.param]
    return lambda seed=0: make_gan(seed, **kwargs | {"extra": [copy_layer(e) for e in kwargs.get("extra", ())]})


def test_what_is_saved_comes_back_to_the_bit(variant, tmp_path):
    gan = variant()
    train(gan)
    gan.save(tmp_path / "model.npz")
    before = gan.state_dict()
    loaded = GAN.load(tmp_path / "model.npz", layers=[Gain])
    assert_same_state(gan.state_dict(), before)  # saving changed nothing
    assert_same_state(loaded.state_dict(), before)
    assert loaded.generator_optimizer.steps == 3
    assert loaded.discriminator_optimizer.steps == (6 if gan.schedule == "separate" else 3)
    for part in ("generator", "discriminator"):
        assert getattr(loaded, part).config() == getattr(gan, part).config()
        one, other = (getattr(g, part + "_optimizer") for g in (loaded, gan))
        assert type(one) is type(other) and one.config() == other.config()
    assert loaded.schedule == gan.schedule
    assert type(loaded.objective) is type(gan.objective) and loaded.objective.config() == gan.objective.config()
    samples = [g.sample(5, np.random.default_rng(2)) for g in (gan, loaded)]
    assert samples[0].tobytes() == samples[1].tobytes()


def test_training_on_after_a_load_is_as_if_never_saved(variant, tmp_path):
    gan = variant()
    train(gan)
    gan.save(tmp_path / "model.npz")
    loaded = GAN.load(tmp_path / "model.npz", layers=[Gain])
    histories = [train(g, steps=5, seed=2) for g in (gan, loaded)]
    assert_same_state(gan.state_dict(), loaded.state_dict())
    for name in gan.objective.columns:
        assert histories[0][name].tobytes() == histories[1][name].tobytes()


def test_optimiser_state_matters(saved):
    """The test above would not notice a lost optimiser state if that had no effect."""
    whole, reset = GAN.load(saved), GAN.load(saved)
    reset.generator_optimizer.state["m"][...] = 0
    for gan in (whole, reset):
        train(gan, 1)
    assert whole.generator.values.tobytes() != reset.generator.values.tobytes()


def test_the_file_opens_with_numpy_without_pickle(saved):
    with np.load(saved, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    text = json.loads(str(arrays.pop("settings")))
    assert text["format"] == "numgan model 2" and text["generator"]["shape"] == [3]
    assert text["objective"] == ["non-saturating", {"label_smoothing": 0.0, "discriminator_loss": "mean"}]
    assert_same_state(arrays, GAN.load(saved).state_dict())


@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2))
@settings(max_examples=25, deadline=None)
def test_every_float_survives(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("floats") / "model.npz"
    gan = make_gan()
    gan.generator.parameters()["dense_2.bias"][...] = values
    gan.save(path)
    loaded = GAN.load(path).generator.parameters()["dense_2.bias"]
    assert loaded.tobytes() == np.array(values, np.float32).tobytes()


def test_a_path_can_be_a_text_and_have_any_ending(tmp_path):
    gan = make_gan()
    gan.save(str(tmp_path / "model"))
    assert os.listdir(tmp_path) == ["model"]
    assert_same_state(GAN.load(str(tmp_path / "model")).state_dict(), gan.state_dict())


def test_a_layer_of_ones_own_must_be_named_to_load(tmp_path):
    make_gan(extra=[Gain(2.0)]).save(tmp_path / "model.npz")
    message = refusal(tmp_path / "model.npz")
    assert "'Gain'" in message and "known are Dense" in message
    loaded = GAN.load(tmp_path / "model.npz", layers=[Gain])
    assert loaded.generator.layers[3].power == 2.0


class Own(SGD):
    """An optimiser of one's own."""


def test_an_optimiser_of_ones_own_is_named_where_it_cannot_be_loaded(tmp_path):
    make_gan(optimizer=Own).save(tmp_path / "model.npz")
    assert refusal(tmp_path / "model.npz").endswith("generator_optimizer is 'Own'; known are SGD, RMSprop, Adam")


class Forgetful(Gain):
    """A gain whose config is that of a layer without settings."""

    config = Layer.config


class HalfForgetful(Gain):
    """Two settings, of which config gives one."""

    def __init__(self, power, offset=0.0):
        super().__init__(power)
        self.offset = offset


class AnyName(Gain):
    """Settings by any name, and a config that gives none."""

    config = Layer.config

    def __init__(self, **settings):
        super().__init__(settings["power"])


class Constant(Gain):
    """A config that is not of this layer."""

    def config(self):
        return {"power": 1.0}


class StartsAt(Gain):
    """A setting for starting values alone, and any number of others that config is free to give."""

    initial = ("start",)

    def __init__(self, power, start=1.0, **more):
        super().__init__(power)
        self.start = start


@pytest.mark.parametrize(("layer", "setting"), [
    (Forgetful(3.0), r"Forgetful\(power\) is a setting that config\(\) does not"),
    (HalfForgetful(3.0), r"HalfForgetful\(offset\) is a setting that config\(\) does not"),
    (AnyName(power=3.0), r"AnyName\(\*\*settings\) is a setting that config\(\) does not"),
    (Constant(3.0), r"config\(\) gives power=1.0, which makes a Constant with power 1.0, and this one has 3.0"),
], ids=["none", "one of two", "any name", "another"])  # fmt: skip
@pytest.mark.parametrize("way", ["save", "checkpoint"])
def test_a_layer_that_would_come_back_with_its_defaults_cannot_be_saved(layer, setting, way, tmp_path):
    gan, path = make_gan(extra=[copy_layer(layer)]), tmp_path / "model.npz"
    with pytest.raises(Error, match=rf"^layer '\w+_1' cannot be saved: {setting}"):
        gan.save(path) if way == "save" else gan.fit(np.ones((9, 2)), 3, 4, rng=np.random.default_rng(0),
                                                     checkpoint=path)  # fmt: skip
    assert os.listdir(tmp_path) == []
    assert gan.copy().generator.layers[3].power == 3.0  # which asks no config


def test_a_setting_that_matters_at_the_start_alone_may_be_left_out(tmp_path):
    make_gan(extra=[StartsAt(3.0, 2.0, other=1)]).save(tmp_path / "model.npz")
    assert GAN.load(tmp_path / "model.npz", layers=[StartsAt]).generator.layers[3].power == 3.0


# ---------------------------------------------------------------- written whole or not at all


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("failure", [OSError("disk full"), Interrupted()], ids=["error", "interrupt"])
@pytest.mark.parametrize("where", ["numpy.savez", "os.replace"])
def test_a_failing_write_leaves_the_old_file_alone(saved, monkeypatch, failure, where):
    old = saved.read_bytes()

    def fail(target, *args, **kwargs):
        if where == "numpy.savez":
            target.write(b"half a file")
        raise failure

    monkeypatch.setattr(where, fail)
    with pytest.raises(type(failure)):
        make_gan(seed=5).save(saved)
    assert saved.read_bytes() == old
    assert os.listdir(saved.parent) == ["model.npz"]


def test_settings_that_json_cannot_hold_leave_the_old_file_alone(saved):
    old = saved.read_bytes()
    with pytest.raises(TypeError):
        make_gan(extra=[Gain(power=np.ones(2))]).save(saved)
    assert saved.read_bytes() == old and os.listdir(saved.parent) == ["model.npz"]


def test_saving_again_replaces_the_file(saved):
    other = make_gan(seed=5)
    other.save(saved)
    assert_same_state(GAN.load(saved).state_dict(), other.state_dict())
    assert os.listdir(saved.parent) == ["model.npz"]


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_the_file_has_the_mode_of_any_new_file(saved):
    (saved.parent / "other").touch()
    assert saved.stat().st_mode == (saved.parent / "other").stat().st_mode


def test_saving_into_a_missing_directory_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="missing/model.npz: cannot be written: No such file"):
        make_gan().save(tmp_path / "missing" / "model.npz")


# ---------------------------------------------------------------- state dicts


def broken_states(good):
    """What an owner's state_dict `good` must not be mistaken for."""
    name = next(n for n in good if good[n].ndim)
    return [
        {n: a for n, a in good.items() if n != name},
        good | {"extra": np.zeros(1)},
        good | {name: good[name][..., :-1]},
        {},
    ]


def owners(gan):
    return [gan.generator, gan.discriminator, gan.generator_optimizer, gan.discriminator_optimizer]


@pytest.mark.parametrize("which", range(4), ids=["generator", "discriminator", "g optimizer", "d optimizer"])
def test_a_refused_state_dict_changes_nothing(which):
    gan, other = make_gan(), make_gan(seed=5)
    train(gan), train(other)
    owner, good = owners(gan)[which], owners(other)[which].state_dict()
    before = gan.state_dict()
    for arrays in broken_states(good):
        with pytest.raises(ValueError, match=r".+"):
            owner.load_state_dict(arrays)
        assert_same_state(gan.state_dict(), before)
    owner.load_state_dict(good)
    assert_same_state(owner.state_dict(), good)


@pytest.mark.parametrize("steps", [np.zeros(3), np.zeros((2, 2))], ids=lambda a: str(a.shape))
def test_a_refused_step_count_changes_nothing(steps):
    gan = make_gan()
    train(gan)
    before, optimizer = gan.state_dict(), gan.generator_optimizer
    broken = optimizer.state_dict() | {"steps": steps}
    with pytest.raises((ValueError, TypeError)):
        optimizer.load_state_dict(broken)
    assert_same_state(gan.state_dict(), before)


@pytest.mark.parametrize("part", ["discriminator.dense_2.bias", "generator_optimizer.m", "discriminator_optimizer.v"])
def test_a_refused_state_dict_of_a_gan_changes_nothing(part):
    gan, other = make_gan(), make_gan(seed=5)
    train(other)
    before, broken = gan.state_dict(), other.state_dict()
    broken[part] = np.zeros((7, 7))
    with pytest.raises(ValueError, match="shape"):
        gan.load_state_dict(broken)
    assert_same_state(gan.state_dict(), before)


def test_a_state_dict_is_a_copy_that_sets_everything_back():
    gan = make_gan()
    train(gan)
    before = gan.state_dict()
    kept = {name: a.copy() for name, a in before.items()}
    train(gan)
    assert_same_state(before, kept)
    assert gan.generator.values.tobytes() != make_gan().generator.values.tobytes()
    gan.load_state_dict(before)
    assert_same_state(gan.state_dict(), kept)
    assert set(before) >= {
        "generator.dense_1.weight", "generator.batch_norm_1.running_variance", "discriminator.dense_2.bias",
        "generator_optimizer.m", "discriminator_optimizer.steps",
    }  # fmt: skip


# ---------------------------------------------------------------- files that are something else


def test_a_missing_file(tmp_path):
    assert refusal(tmp_path / "model.npz").endswith("no such file")


def test_a_directory(tmp_path):
    refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06", b"\x93NUMPY", b"not a model at all" * 100, bytes(5000)])
def test_not_a_zip(tmp_path, content):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    assert "not a readable numgan model file" in refusal(path)


def test_an_npy_and_a_pickle_are_not_models(tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(npy(np.zeros(100)))
    refusal(path)
    path.write_bytes(pickle.dumps({"settings": 1}))
    refusal(path)


def test_a_zip_of_something_else(tmp_path):
    np.savez(tmp_path / "model.npz", weights=np.zeros(3))
    assert "no entry 'settings'" in refusal(tmp_path / "model.npz")
    write_entries(tmp_path / "model.npz", {})
    assert "no entry 'settings'" in refusal(tmp_path / "model.npz")


def test_truncated_anywhere(saved):
    whole = saved.read_bytes()
    for size in [*range(0, len(whole), 997), len(whole) - 1, len(whole) - 22, len(whole) - 23]:
        saved.write_bytes(whole[:size])
        refusal(saved)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_is_refused_or_does_not_matter(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("flip") / "model.npz"
    gan = make_gan()
    gan.save(path)
    raw = bytearray(path.read_bytes())
    directory = raw.index(b"PK\x01\x02")  # here sit most of the bytes that steer the reader
    position = data.draw(st.integers(directory, len(raw) - 1) | st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        loaded = GAN.load(path)
    except ModelFileError as error:
        assert str(error).isprintable()
    else:
        assert_same_state(loaded.state_dict(), gan.state_dict())


# ---------------------------------------------------------------- entries


def test_a_missing_entry_is_named(saved, entries):
    del entries["generator.dense_1.weight.npy"], entries["discriminator_optimizer.v.npy"]
    write_entries(saved, entries)
    message = refusal(saved)
    assert "'generator.dense_1.weight'" in message and "'discriminator_optimizer.v'" in message


@pytest.mark.parametrize("name", ["generator.dense_9.weight", "critic.weight", "readme", "", "../escape"])
def test_an_extra_entry_is_named(saved, entries, name):
    write_entries(saved, entries | {name + ".npy": npy(np.zeros(3, np.float32))})
    message = refusal(saved)
    assert "unknown" in message and repr(name) in message


@pytest.mark.parametrize("shape", [(4, 5), (3, 4), (12,), (1, 4, 3), (0,), ()], ids=str)
def test_a_wrong_shape_is_named(saved, entries, shape):
    write_entries(saved, entries | {"generator.dense_1.weight.npy": npy(np.zeros(shape, np.float32))})
    message = refusal(saved)
    assert "'generator.dense_1.weight'" in message
    assert f"shape {shape}" in message and "expected shape (4, 3)" in message


@pytest.mark.parametrize("dtype", ["complex64", "bool", "U1", "S4", "M8[s]", "V4", [("a", "f4")]], ids=str)
def test_a_wrong_dtype_is_named(saved, entries, dtype):
    write_entries(saved, entries | {"generator.dense_1.weight.npy": npy(np.zeros((4, 3), dtype))})
    assert "generator.dense_1.weight" in refusal(saved)


class Bomb:
    exploded = False

    def __reduce__(self):
        return exec, (f"import {__name__} as t; t.Bomb.exploded = True",)


@pytest.mark.parametrize("name", ["generator.dense_1.weight.npy", "settings.npy"])
def test_pickles_are_refused_unopened(saved, entries, name):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([[Bomb()] * 3] * 4, object), allow_pickle=True)
    write_entries(saved, entries | {name: file.getvalue()})
    refusal(saved)
    write_entries(saved, entries | {name: pickle.dumps(Bomb())})
    refusal(saved)
    write_entries(saved, entries | {name: npy_claiming((4, 3), "|O", pickle.dumps(Bomb()).ljust(4 * 3 * 8, b"."))})
    refusal(saved)
    assert not Bomb.exploded


def test_compressed_entries_are_refused(saved, entries):
    write_entries(saved, entries, zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(saved)


def test_a_compression_bomb_is_refused_unpacked(saved, entries):
    bomb = entries | {"settings.npy": npy(np.zeros(5_000_000, np.float32))}
    write_entries(saved, bomb, zipfile.ZIP_DEFLATED)
    assert peak_memory(lambda: refusal(saved)) < 2_000_000


@pytest.mark.parametrize("held", [0, 47, 49, 96])
def test_more_or_fewer_bytes_than_the_shape_takes_are_refused(saved, entries, held):
    write_entries(saved, entries | {"generator.dense_1.weight.npy": npy_claiming((4, 3), held=bytes(held))})
    message = refusal(saved)
    assert "'generator.dense_1.weight'" in message and f"holds {held} bytes" in message


@pytest.mark.parametrize("version", [(2, 0), (3, 0)])
def test_other_npy_versions_are_refused(saved, entries, version):
    write_entries(saved, entries | {"generator.dense_1.bias.npy": npy(np.zeros(4, np.float32), version)})
    assert "version" in refusal(saved)


def test_a_header_that_is_no_header_is_refused(saved, entries):
    magic = b"\x93NUMPY\x01\x00"
    for content in (b"", b"\x93NUMPY", magic + b"\xff\xff{", magic + b"\x10\x00__import__('os')",
                    magic + b"\xf0\xff" + b"(" * 0xFFF0):  # fmt: skip
        write_entries(saved, entries | {"generator.dense_1.bias.npy": content})
        refusal(saved)


# ---------------------------------------------------------------- files that claim to be huge


@pytest.mark.parametrize("shape", [(10**12,), (2**62, 4), (2**33, 2**33), (10**40,), (-1, -16)], ids=str)
@pytest.mark.parametrize("name", ["generator.dense_1.weight.npy", "settings.npy", "generator_optimizer.steps.npy"])
def test_a_header_claiming_a_huge_shape_takes_no_memory(saved, entries, name, shape):
    write_entries(saved, entries | {name: npy_claiming(shape)})
    assert peak_memory(lambda: refusal(saved)) < 2_000_000


@pytest.mark.parametrize("length", [900_000, 10**8])
def test_a_settings_text_claiming_to_be_huge_takes_no_memory(saved, entries, length):
    write_entries(saved, entries | {"settings.npy": npy_claiming((), f"<U{length}")})
    assert peak_memory(lambda: refusal(saved)) < 2_000_000


def test_a_settings_text_that_is_huge_is_not_read(saved, entries):
    write_entries(saved, entries | {"settings.npy": npy(np.array(" " * 1_000_001))})
    assert "should be a text" in refusal(saved)
    assert peak_memory(lambda: refusal(saved)) < 2_000_000


def test_zip_and_header_lying_together_take_no_memory(saved, entries):
    """Directory, local header and .npy header all state 4 GB; the file has a few KB."""
    liar = npy_claiming((2**30 - 64,))
    size = len(liar) - 64 + 4 * (2**30 - 64)
    del entries["generator.dense_1.weight.npy"]
    write_entries(saved, {"generator.dense_1.weight.npy": liar} | entries)
    raw = bytearray(saved.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
        struct.pack_into("<2I", raw, raw.index(signature) + offset, size, size)
    saved.write_bytes(raw)
    assert peak_memory(lambda: refusal(saved)) < 2_000_000


def drop(name):
    def change(s):
        del s[name]

    return change


def set_units(units):
    def change(s):
        s["generator"]["layers"][0][1]["units"] = units

    return change


def set_field(part, name, value):
    def change(s):
        s[part][name] = value

    return change


def both_replicas(value, units=4):
    def change(s):
        set_units(units)(s)
        s["generator"]["replicas"] = s["discriminator"]["replicas"] = value

    return change


def wrapping_count(s):
    """2²² · 2⁴¹ weights, −2⁶³ in 64-bit arithmetic, would hide the 3 · 2²² numbers of the layer below."""
    s["generator"] |= {"shape": 2, "layers": [["Dense", {"units": units}] for units in (2**22, 2**41, 2)]}


HUGE = {
    "units": set_units(10**9),
    "more units": set_units(10**30),
    "inputs": set_field("generator", "shape", [10**12]),
    "inputs of an image": set_field("generator", "shape", [10**5, 10**5, 10**5]),
    "infinite inputs": set_field("discriminator", "shape", [float("inf")]),
    "replicas": both_replicas(10**10),
    "many layers": lambda s: s["generator"].update(layers=[["Dense", {"units": 20_000}]] * 30),
    "replicas a text": both_replicas("a", units=2**22),
    "replicas a list": both_replicas([0], units=2**22),
    "a count beyond 64 bits": wrapping_count,
}


@pytest.mark.parametrize("case", HUGE)
def test_settings_claiming_a_huge_network_take_no_memory(saved, case):
    edit_settings(saved, HUGE[case])
    assert peak_memory(lambda: refusal(saved)) < 2_000_000


# ---------------------------------------------------------------- settings


BAD_JSON = ["", "{", "nope", "[]", "3", "null", '"numgan model 2"', "{}", "[" * 100_000, "é\n\x1b[31m"]


@pytest.mark.parametrize("text", BAD_JSON, ids=range(len(BAD_JSON)))
def test_bad_json_is_refused(saved, entries, text):
    write_entries(saved, entries | {"settings.npy": npy(np.array(text))})
    refusal(saved)


@pytest.mark.parametrize("array", [np.zeros(3), np.array(["a", "b"]), np.array(b"{}"), np.array(1)], ids=repr)
def test_settings_that_are_no_text_are_refused(saved, entries, array):
    write_entries(saved, entries | {"settings.npy": npy(array)})
    assert "'settings' should be a text" in refusal(saved)


@pytest.mark.parametrize("value", ["numgan model 1", "", None, 2, ["numgan model 2"]], ids=str)
def test_another_format_is_refused(saved, value):
    edit_settings(saved, lambda s: s.update(format=value))
    assert "expected 'numgan model 2'" in refusal(saved)


def test_an_unknown_layer_is_named(saved):
    edit_settings(saved, lambda s: s["discriminator"]["layers"].__setitem__(1, ["Conv", {}]))
    message = refusal(saved)
    assert "'Conv'" in message and "discriminator" in message and "LeakyReLU" in message


def test_an_unknown_optimizer_is_named(saved):
    edit_settings(saved, lambda s: s.update(generator_optimizer=["Lion", {}]))
    assert "Lion" in refusal(saved)


def set_rule(name, value):
    def change(s):
        s["objective"][1][name] = value

    return change


def swap_parts(s):
    s["generator"], s["discriminator"] = s["discriminator"], s["generator"]


def set_rate(**config):
    return lambda s: s["generator_optimizer"][1].update(learning_rate=config)


WRONG = {
    "no generator": drop("generator"),
    "no optimizer": drop("discriminator_optimizer"),
    "no layers": set_field("generator", "layers", []),
    "layers a text": set_field("generator", "layers", "Dense"),
    "half a layer": set_field("generator", "layers", [["Dense"]]),
    "a layer's wrong argument": set_field("generator", "layers", [["Dense", {"width": 3}]]),
    "a layer's bad value": set_field("generator", "layers", [["LeakyReLU", {"slope": 7}]]),
    "negative units": set_units(-4),
    "fractional units": set_units(4.0),
    "fewer units": set_units(3),
    "wrong shape": set_field("generator", "shape", [4]),
    "zero shape": set_field("generator", "shape", [0]),
    "no shape": set_field("generator", "shape", []),
    "a shape of no kind": set_field("generator", "shape", {"features": 3}),
    "an image for features": set_field("generator", "shape", [3, 1, 1]),
    "a dtype of objects": set_field("generator", "dtype", "O"),
    "half precision": set_field("generator", "dtype", "float16"),
    "one dtype of two": set_field("generator", "dtype", "float64"),
    "one replicas of two": set_field("generator", "replicas", 1),
    "negative replicas": both_replicas(-1),
    "no such schedule": lambda s: s.update(schedule="both"),
    "no such objective": lambda s: s.update(objective=["maximin", {}]),
    "an objective's name alone": lambda s: s.update(objective="minimax"),
    "an objective of no kind": lambda s: s.update(objective=[1]),
    "no objective": lambda s: s.pop("objective"),
    "another objective's setting": lambda s: s.update(objective=["minimax", {"clip": 0.1}]),
    "an objective that reads scores": lambda s: s.update(objective=["wasserstein", {"clip": 0.1}]),
    "too much smoothing": set_rule("label_smoothing", 0.5),
    "smoothing a text": set_rule("label_smoothing", "a"),
    "neither mean nor sum": set_rule("discriminator_loss", "median"),
    "a rate of nan": lambda s: s["generator_optimizer"][1].update(learning_rate=float("nan")),
    "a negative rate": lambda s: s["generator_optimizer"][1].update(learning_rate=-1),
    "a rate of a peak below 0": set_rate(peak=-1.0),
    "a rate without a peak": set_rate(),
    "a rate with a speed": set_rate(peak=0.1, speed=3),
    "a decay that is none": set_rate(peak=0.1, decay="step", steps=3),
    "a decay without an end": set_rate(peak=0.1, decay="cosine"),
    "a decay of half a step": set_rate(peak=0.1, decay="cosine", steps=2.5),
    "a decay that is over before it begins": set_rate(peak=0.1, warm_up=3, decay="cosine", steps=3),
    "a rate that rises": set_rate(peak=0.1, decay="linear", steps=3, final=0.2),
    "a rate that is a list": lambda s: s["generator_optimizer"][1].update(learning_rate=[0.1]),
    "a wrong form": lambda s: s["generator_optimizer"][1].update(form="pytorch"),
    "another optimizer": lambda s: s.update(generator_optimizer=["SGD", {"learning_rate": 0.1, "momentum": 0.0}]),
    "networks swapped": swap_parts,
    "a list": lambda s: [s],
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_are_refused(saved, case):
    edit_settings(saved, WRONG[case])
    refusal(saved)


def test_an_unknown_objective_is_named(saved):
    edit_settings(saved, lambda s: s.update(objective=["maximin", {}]))
    message = refusal(saved)
    assert "maximin" in message and all(name in message for name in OBJECTIVES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_no_settings_get_past_model_file_error(tmp_path_factory, data):
    """Whatever stands in place of one value: a GAN that works, or a ModelFileError."""
    path = tmp_path_factory.mktemp("settings") / "model.npz"
    make_gan(optimizer=lambda rate: Adam(Rate(rate, 1, "linear", 5))).save(path)

    def change(s):
        holder = s
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(holder[key], dict | list) or not holder[key] or data.draw(st.booleans()):
                holder[key] = data.draw(JSON)
                return
            holder = holder[key]

    edit_settings(path, change)
    try:
        gan = GAN.load(path)
    except ModelFileError as error:
        assert str(error).isprintable()
    else:
        assert np.isfinite(gan.sample(2, np.random.default_rng(0))).all()
