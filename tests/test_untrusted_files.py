"""Files from outside, damaged on purpose: each loads rightly or is refused in one short sentence that names it, and
none takes more memory than `MEMORY_FACTOR` times its own size and `MEMORY_BASE`.
"""

import contextlib
import gzip
import io
import json
import os
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest

from numgan import GAN, SGD, Adam, Dense, Error, NonFiniteError, Sequential, Tanh
from numgan.data import DataError
from numgan.data.idx import read_images, read_labels
from numgan.nn.model_file import (
    LAYER_LIMIT,
    MEMORY_BASE,
    MEMORY_FACTOR,
    NESTING_LIMIT,
    ModelFileError,
    open_model,
    write_model,
)
from numgan.study import recipes, runs
from numgan.study.settings import with_overrides
from tests.helpers import POINTS, idx_images, idx_labels, make_gan, peak_memory, rng, some_images, some_labels

QUICK, ALL = 2_000, 20_000


def npy(array, version=(1, 0)):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), version)
    return file.getvalue()


def unpacked(raw):
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def packed(entries):
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")  # the same name twice
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(name, content)
    return file.getvalue()


def settings_of(entries):
    return json.loads(str(np.load(io.BytesIO(entries["settings.npy"]))))


def with_settings(entries, settings):
    text = settings if isinstance(settings, str) else json.dumps(settings)
    return entries | {"settings.npy": npy(np.array(text))}


def model_bytes(directory, run=False):
    gan = make_gan(seed=3, dtype="float32")
    path = directory / "made.npz"
    gan.save(path)
    if run:
        with open_model(path) as model:
            settings = model.settings | {"run": {"step": 7, "columns": ["loss"]}}
        text = np.frombuffer(b'{"state": 12}', np.uint8)
        more = {
            "run.history.loss": np.array([0.5, np.nan]),
            "run.rng": text,
            "run.order": np.arange(40),
            "run.ok": np.array(True),
        }
        write_model(path, settings, gan.state_dict() | more)
    return path.read_bytes()


def load(path):
    """The whole of a model file: the GAN, and what a run left beside it."""
    gan = GAN.load(path)
    with open_model(path) as model:
        return gan, model.read_group("run.")


def message_of(error, path):
    message = str(error)
    assert len(message) <= 500 and message.isprintable() and str(path.name) in message, message
    return message


def refused(path):
    with pytest.raises(ModelFileError) as caught:
        load(path)
    return message_of(caught.value, path)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return unpacked(model_bytes(tmp_path_factory.mktemp("good"), run=True))


# ---------------------------------------------------------------- memory


def tall(s, layers):
    s["generator"]["layers"] = layers


def nested(depth, inside):
    """Layers `inside` of a Skip in a Skip in a Skip …"""
    layers = inside
    for _ in range(depth):
        layers = [["Skip", {"layers": [["Dense", {"units": 1}], *layers]}]]
    return layers


def deeper(entries, depth):
    """Settings of Skips so deep that Python's own writer of JSON gives up."""
    marked = with_settings(entries, json.dumps(settings_of(entries) | {"generator": "###"}))
    text = str(np.load(io.BytesIO(marked["settings.npy"])))
    layers = '[["Skip", {"layers": ' * depth + "[]" + "}]]" * depth
    network = json.dumps({"shape": [3], "name": "g", "dtype": "float32", "replicas": None})[:-1]
    return packed(with_settings(entries, text.replace('"###"', f'{network}, "layers": {layers}}}')))


def padded(entries, layers, numbers=100_000):
    """A generator of these layers in a file that is large enough for them."""
    return edited(entries | {"generator.x.npy": npy(np.zeros(numbers))}, lambda s: tall(s, layers))


def overlapping(entries):
    """Entries that lie in one another, each the whole of the next smaller one with a header before it."""
    names, listing = [b"run.%02d.npy" % i for i in range(60)], b""
    content = npy(np.zeros(100_000))
    contents = []
    for name in names:
        contents.append(content)
        record = struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, zlib.crc32(content), len(content), len(content), 10, 0
        )
        content = npy(np.frombuffer(record + name + content, np.uint8))
    raw = packed(entries | {"run.all.npy": content})
    end = raw.rindex(b"PK\5\6")
    count, _, start = struct.unpack_from("<H2L", raw, end + 10)
    for name, content in zip(names, contents, strict=True):
        sizes = zlib.crc32(content), len(content), len(content), 10, 0, 0, 0, 0, 0, raw.index(name) - 30
        listing += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, *sizes) + name
    listing = raw[start:end] + listing
    count += len(names)
    return raw[:start] + listing + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(listing), start, 0)


def lying(entries):
    """Sizes of 4 GB in the list of entries and before the entry."""
    raw = bytearray(packed({"run.big.npy": npy(np.zeros(3))} | entries))
    for signature, offset in ((b"PK\3\4", 18), (b"PK\1\2", 20)):
        struct.pack_into("<2L", raw, raw.index(signature) + offset, 2**32 - 2, 2**32 - 2)
    return bytes(raw)


def zip64(entries):
    """The same by way of a zip64 record."""
    raw = bytearray(packed(entries))
    extra = struct.pack("<2H2Q", 1, 16, 2**40, 2**40)
    start, end = raw.index(b"PK\1\2"), raw.rindex(b"PK\5\6")
    struct.pack_into("<2L", raw, start + 20, 2**32 - 1, 2**32 - 1)
    struct.pack_into("<H", raw, start + 30, len(extra))
    at = start + 46 + struct.unpack_from("<H", raw, start + 28)[0]
    raw[at:at] = extra
    struct.pack_into(
        "<L", raw, end + len(extra) + 12, struct.unpack_from("<L", raw, end + len(extra) + 12)[0] + len(extra)
    )
    return bytes(raw)


def edited(entries, change):
    settings = settings_of(entries)
    change(settings)
    return packed(with_settings(entries, settings))


def with_npy(content):
    return lambda e: packed(e | {"generator.dense_1.weight.npy": content})


def claiming(descr, shape, held=b"\0" * 64, order="False"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + held


HOSTILE = {
    "20,000 layers": lambda e: edited(e, lambda s: tall(s, [["Dense", {"units": 1}]] * 20_000)),
    "20,000 layers with a file to match": lambda e: edited(
        e | {"generator.x.npy": npy(np.zeros(1_400_000))}, lambda s: tall(s, [["Dense", {"units": 1}]] * 20_000)
    ),
    "as many layers as may be": lambda e: edited(
        e | {"generator.x.npy": npy(np.zeros(100_000))}, lambda s: tall(s, [["BatchNorm", {}]] * LAYER_LIMIT)
    ),
    "Skips as deep as may be": lambda e: padded(e, nested(NESTING_LIMIT - 1, [["BatchNorm", {}]] * 45)),
    "500 layers in one": lambda e: padded(e, nested(1, [["BatchNorm", {}]] * 497)),
    "Skips one deeper": lambda e: padded(e, nested(NESTING_LIMIT, [["Tanh", {}]])),
    "300 Skips in one another": lambda e: padded(e, nested(300, [["Tanh", {}]])),
    "30,000 Skips in one another": lambda e: deeper(e, 30_000),
    "20,000 layers in one": lambda e: padded(e, nested(1, [["Dense", {"units": 1}]] * 20_000)),
    "20,000 Joins of nothing": lambda e: padded(e, [["Join", {"condition": "c", "shape": 1, "layers": []}]] * 20_000),
    "2¹⁵⁰ features by Skips": lambda e: padded(e, [["Skip", {"layers": [["LeakyReLU", {"slope": 0.1}]]}]] * 150),
    **{
        f"a Join of {shape!r:.40} and {layers!r:.60}": lambda e, shape=shape, layers=layers: padded(
            e, [["Join", {"condition": "c", "shape": shape, "layers": layers}], ["Dense", {"units": 2}]]
        )
        for shape, layers in (
            (10**9, []), ([10**9], []), (10**30, []), ([1] * 100_000, []), (1.5, []), (None, []), ("1", []), (-1, []),
            (1, [["OneHot", {"count": 2**24}], ["Flatten", {}]]),
            (1, [["Embedding", {"count": 2**24, "features": 99}]]),
            (1, None), (1, 3), (1, "x"), (1, [3]), (1, [["Dense"]]), (1, [["Dense", 3]]), (1, [[["Dense"], {}]]),
            (1, {"a": 1}), (1, [["Nothing", {}]]), (1, [["Skip", {}]]), (1, [["Dense", {"units": 10**9}]]),
        )
    },
    "a Join of a name of 900,000 characters": lambda e: padded(
        e, [["Join", {"condition": "x" * 900_000, "shape": 1, "layers": []}]]
    ),
    **{
        f"conditions of {c!r:.60}": lambda e, c=c: edited(e, lambda s: s.update(conditions=c))
        for c in (
            3, [], "label", {"label": 3}, {"label": ["Label", 3]}, {"label": ["Nothing", {}]},
            {"label": [["Label"], {}]},
            {"label": ["Label", {"classes": 10}]}, {"label": ["Label", {"classes": 10**300}]},
            {"label": ["Picture", {"shape": [10**9]}]}, {"label": ["Picture", {"shape": [1] * 100_000}]},
            {"text": ["Text", {"words": ["x"] * 100_000, "length": 3}]},
            {"text": ["Text", {"words": [f"{i}" for i in range(50_000)], "length": 10**9}]},
            {"text": ["Text", {"words": [[], {}], "length": 3}]}, {"x" * 400_000: ["Label", {"classes": 3}]},
        )
    },
    "a weight of -1": lambda e: edited(e, lambda s: s.update(l1_weight=-1)),
    "a weight of 'x'": lambda e: edited(e, lambda s: s.update(l1_weight="x")),
    "matching without conditions": lambda e: edited(e, lambda s: s.update(matching_aware=True)),
    "matching perhaps": lambda e: edited(e, lambda s: s.update(matching_aware=1)),
    "a layer 10⁹ wide": lambda e: edited(e, lambda s: tall(s, [["Dense", {"units": 10**9}]])),
    "10⁶ replicas": lambda e: edited(e, lambda s: s["generator"].update(replicas=10**6)),
    "a network as large as the padding": lambda e: edited(
        e | {"generator.x.npy": npy(np.zeros(6 * 10**5))},
        lambda s: tall(s, [["Dense", {"units": 2 * 10**5}], ["Dense", {"units": 2}]]),
    ),
    "10⁵ entries": lambda e: packed(e | {f"run.{i}": b"" for i in range(100_000)}),
    "10⁴ entries": lambda e: packed(e | {f"run.{i}.npy": b"" for i in range(10_000)}),
    "a list of long names": lambda e: packed(e | {f"run.{i}".ljust(60_000, "x") + ".npy": b"" for i in range(100)}),
    "a name of 65,000 characters": lambda e: packed(e | {"x" * 65_000 + ".npy": npy(np.zeros(2))}),
    "overlapping entries": overlapping,
    "sizes of 4 GB": lying,
    "sizes of 1 TB": zip64,
    "shapes that overflow": with_npy(claiming("'<f4'", (2**62, 4))),
    "a shape beyond any integer": with_npy(claiming("'<f4'", (10**40,))),
    "a structured dtype": with_npy(npy(np.zeros((6, 3), [("a", "f4")]))),
    "a longdouble": with_npy(npy(np.zeros((6, 3), "<f16"))),
    "a Python 2 header": with_npy(claiming("'<f4'", "(6L, 3L)", bytes(72))),
    "a header of code": with_npy(claiming("__import__('os').getpid()", (6, 3), bytes(72))),
    "a nested header": with_npy(claiming("(" * 60_000, (6, 3))),
    "nested settings": lambda e: packed(with_settings(e, "[" * 10**6)),
    "10⁶ lists": lambda e: packed(with_settings(e, f"[{'[],' * 330_000}[]]")),
    "settings too long": lambda e: packed(with_settings(e, " " * 1_100_000)),
    "settings that are no Unicode": lambda e: packed(
        e
        | {"settings.npy": with_settings(e, json.dumps(settings_of(e) | {"schedule": "###"}))["settings.npy"].replace(
            b"#\0\0\0", b"\xff\xff\xff\x7f")}
    ),
    "a huge integer": lambda e: packed(with_settings(e, '{"format": 1' + "0" * 900_000 + "}")),
    "a NaN": lambda e: packed(with_settings(e, json.dumps(settings_of(e) | {"x": float("nan")}))),
    "an infinity": lambda e: packed(with_settings(e, json.dumps(settings_of(e) | {"x": float("inf")}))),
    "a format of 900,000 characters": lambda e: packed(with_settings(e, json.dumps({"format": "x" * 900_000}))),
    "a layer of 900,000 characters": lambda e: edited(e, lambda s: tall(s, [["x" * 900_000, {}]])),
    "a network's name of 900,000 characters": lambda e: edited(e, lambda s: s["generator"].update(name="x" * 900_000)),
    "a shape of 10⁵ axes": lambda e: edited(e, lambda s: s["generator"].update(shape=[1] * 100_000)),
    "the same name twice": lambda e: packed([*e.items(), ("run.rng.npy", npy(np.zeros(2)))]),
    "the same name but for its ending": lambda e: packed(e | {"run.rng": npy(np.zeros(2))}),
    "a name that climbs": lambda e: packed(e | {"../../climb.npy": npy(np.zeros(2))}),
    "trailing bytes": lambda e: packed(e) + b"\0",
    "trailing bytes in an entry": lambda e: packed(e | {"run.rng.npy": e["run.rng.npy"] + b"\0"}),
    "a NaN among the weights": with_npy(npy(np.full((6, 3), np.nan, "f4"))),
    "an infinity among the weights": with_npy(npy(np.full((6, 3), np.inf, "f4"))),
    "weights beyond float32": with_npy(npy(np.full((6, 3), 1e300))),
    "a variance below 0": lambda e: packed(
        e | {"generator.batch_norm_1.running_variance.npy": npy(np.full(6, -1, "f4"))}
    ),
    **{
        f"{layer} of {value!r}": lambda e, layer=layer, value=value: edited(
            e, lambda s: s["generator"]["layers"].insert(1, [layer, value])
        )
        for layer in ("BatchNorm", "LeakyReLU")
        for value in ({"momentum": "0.8"}, {"slope": [0.1]}, {"epsilon": True}, {"slope": 10**300}, [0.1], "x", None, 3)
    },
}  # fmt: skip


SAYS = {
    "20,000 layers": "at most 1,000",
    "Skips one deeper": f"its layers are more than {NESTING_LIMIT} deep inside one another",
    "300 Skips in one another": f"its layers are more than {NESTING_LIMIT} deep inside one another",
    "20,000 layers in one": "it has more than 1,000 layers, where one counts once more for each",
    "20,000 Joins of nothing": "at most 1,000",
    "a Join of 1 and [['Nothing', {}]]": "generator has a layer 'Nothing'; known are",
    "conditions of {'label': ['Label', {'classes': 10}]}": "does not read the conditions label",
    "matching without conditions": "it has no conditions",
    "10⁵ entries": "65,535 entries",
    "overlapping entries": "reaches beyond its place",
    "sizes of 4 GB": "reaches beyond its place",
    "settings that are no Unicode": "utf-32",
    "the same name twice": "same name",
    "the same name but for its ending": "same name",
    "a NaN": "hold NaN",
    "a NaN among the weights": "'generator.dense_1.weight' holds a NaN",
    "weights beyond float32": "must be numbers that float32 can hold",
}


LONG = ("10⁴ entries", "10⁶ lists", "10⁵ entries", "500 layers in one", "20,000 layers in one", "[1, 1, 1, ", "'Text'")


# long under tracemalloc, that is
@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.slow) if any(long in c for long in LONG) else c for c in HOSTILE]
)
def test_a_hostile_file_is_refused_within_its_bound_of_memory(tmp_path, good, case):
    path = tmp_path / "model.npz"
    path.write_bytes(HOSTILE[case](good))
    bound = MEMORY_FACTOR * path.stat().st_size + MEMORY_BASE
    messages = []
    assert peak_memory(lambda: messages.append(refused(path))) < bound
    assert SAYS.get(case, "") in messages[0]


@pytest.mark.parametrize(
    "change",
    [lambda a: a.astype(">f4"), np.asfortranarray, lambda a: a.astype("f2"), lambda a: a.astype("f8")],
    ids=["big-endian", "Fortran order", "half", "double"],
)
def test_another_form_of_the_same_numbers_is_read_rightly(tmp_path, good, change):
    name = "generator.dense_1.weight"
    weight = np.load(io.BytesIO(good[name + ".npy"]))
    path = tmp_path / "model.npz"
    path.write_bytes(packed(good | {name + ".npy": npy(change(weight))}))
    loaded = load(path)[0].generator.parameters()["dense_1.weight"]
    assert loaded.tobytes() == change(weight).astype("f4").tobytes()


def test_an_honest_file_of_some_megabytes_stays_within_its_bound(tmp_path):
    g = Sequential([Dense(2000), Dense(300), Tanh()], 100, np.random.default_rng(0), name="g")
    d = Sequential([Dense(1000), Dense(1), *make_gan().objective.closing()], 300, np.random.default_rng(1), name="d")
    path = tmp_path / "model.npz"
    GAN(g, d, Adam(0.01), SGD(0.01)).save(path)
    assert peak_memory(lambda: GAN.load(path)) < 4 * path.stat().st_size


def test_what_a_run_leaves_is_a_group_of_its_own(tmp_path, good):
    path = tmp_path / "model.npz"
    path.write_bytes(packed(good))
    group = load(path)[1]
    assert sorted(group) == ["history.loss", "ok", "order", "rng"]
    assert bytes(group["rng"]) == b'{"state": 12}' and group["ok"].dtype == bool
    assert np.isnan(group["history.loss"][1]) and group["order"].tolist() == list(range(40))
    group["order"][0] = 5  # one's own
    settings = settings_of(good)
    del settings["run"]
    path.write_bytes(packed(with_settings(good, settings)))
    assert "unknown" in refused(path)


class Bomb:
    exploded = False

    def __reduce__(self):
        return exec, (f"import {__name__} as t; t.Bomb.exploded = True",)


@pytest.mark.parametrize("name", ["settings.npy", "generator.dense_1.weight.npy", "run.rng.npy"])
def test_no_pickle_is_opened(tmp_path, good, name):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.full((6, 3), Bomb(), object), allow_pickle=True)
    path = tmp_path / "model.npz"
    path.write_bytes(packed(good | {name: file.getvalue()}))
    refused(path)
    assert not Bomb.exploded


def test_what_could_not_be_read_is_not_written(tmp_path):
    path, gan = tmp_path / "model.npz", make_gan()
    for settings, arrays in (
        ({}, {"x": np.array([Bomb()], object)}),
        ({}, {"x": np.array("text")}),
        ({"x": float("nan")}, {}),
        ({"x": np.ones(2)}, {}),
        ({"x": "y" * 10**6}, {}),
        ({"generator": gan.generator.config() | {"layers": [["Tanh", {}]] * (LAYER_LIMIT + 1)}}, {}),
        ({}, {f"run.{i:090}": np.zeros(1) for i in range(9_000)}),
    ):
        with pytest.raises(Error) as caught:
            write_model(path, settings, arrays)
        assert len(str(caught.value)) <= 500 and os.listdir(tmp_path) == []


# ---------------------------------------------------------------- what is no file


@pytest.mark.skipif(os.name != "posix", reason="special files")
@pytest.mark.parametrize("read", [GAN.load, read_images], ids=["model", "images"])
@pytest.mark.parametrize(
    "kind, word", [("fifo", "FIFO"), ("directory", "directory"), ("device", "device"), ("link to a device", "device")]
)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, read, kind, word):
    path = tmp_path / "special"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path = type(path)("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(Error) as caught:
        read(path)
    assert word in message_of(caught.value, path)


def test_a_symbolic_link_to_a_file_is_followed(tmp_path, good):
    (tmp_path / "model.npz").write_bytes(packed(good))
    (tmp_path / "link").symlink_to("model.npz")
    load(tmp_path / "link")


def test_a_gzip_bomb_is_unpacked_no_further_than_its_header_says(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx_images(some_images(3)) + bytes(50_000_000)))

    def read():
        with pytest.raises(DataError, match="left over"):
            read_images(path)

    assert peak_memory(read) < 2_000_000


# ---------------------------------------------------------------- the mutator


def flip_bits(rng, raw):
    raw = bytearray(raw)
    for _ in range(rng.integers(1, 6)):
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
    return bytes(raw)


def truncate(rng, raw):
    return raw[: rng.integers(len(raw))]


def splice(rng, raw):
    a, b, length = (int(n) for n in (*rng.integers(len(raw), size=2), rng.integers(1, 200)))
    return raw[:a] + raw[b : b + length] + raw[a + int(rng.integers(2)) * length :]


def steer(rng, raw):
    """Another number in one of the first bytes, or in the last, where headers and lists of entries are."""
    raw, width = bytearray(raw), int(rng.choice([1, 2, 4]))
    at = (
        int(rng.integers(min(64, len(raw))))
        if rng.random() < 0.5
        else len(raw) - 1 - int(rng.integers(min(4000, len(raw))))
    )
    value = int(rng.choice([0, 1, 255, 2**15, 2**16 - 1, 2**31, 2**32 - 1])) % 256**width
    raw[at : at + width] = value.to_bytes(width, "little")
    return bytes(raw)


RAW = (flip_bits, truncate, splice, steer)
VALUES = [
    None, True, -1, 0, 1, 3, 2**31, 10**9, 10**30, 0.5, 1e-300, 1e300, "", "x" * 500, "Dense", "float64",
    [], [[]], [1], {}, {"units": 2},
]  # fmt: skip
NAMES = ["", "settings", "generator", "../x", "run.x", "a\0b", "x" * 3000, "generator.dense_1.weight"]
DESCRS = ["<f2", "<f8", ">f4", "<f16", "|O", "<U3", "|b1", "<i8", "|V4", "<M8[s]", "<c8"]


def edit_json(rng, text):
    """One value of a JSON text in another's place, dropped, doubled, or under another name."""
    value = json.loads(text)
    holder = value
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[rng.integers(len(keys))]
        if not isinstance(holder[key], (dict, list)) or not holder[key] or rng.random() < 0.3:
            break
        holder = holder[key]
    choice = rng.integers(5)
    if choice == 0 and isinstance(holder, dict):
        holder[NAMES[rng.integers(len(NAMES))]] = holder.pop(key)
    elif choice == 1:
        del holder[key]
    elif choice == 2 and isinstance(holder, list):
        holder *= int(rng.choice([2, 50]))
    else:
        holder[key] = VALUES[rng.integers(len(VALUES))]
    return json.dumps(value)


def edit_entry(rng, entries):
    """One entry changed, its checksum right."""
    names = list(entries)
    name, other = (names[i] for i in rng.integers(len(names), size=2))
    content, choice = entries[name], rng.integers(6)
    if choice == 0:
        return entries | {name: entries[other], other: content}
    if choice == 1:
        return {n: c for n, c in entries.items() if n != name}
    if choice == 2:
        return entries | {NAMES[rng.integers(len(NAMES))] + ".npy": content}
    if choice == 3:
        descr, shape = (
            DESCRS[rng.integers(len(DESCRS))],
            tuple(int(n) for n in rng.choice([0, 1, 3, 6, 2**31], rng.integers(4))),
        )
        return entries | {name: claiming(repr(descr), shape, content[128:], str(rng.random() < 0.5))}
    if choice == 4 and name != "settings.npy":
        array = np.load(io.BytesIO(content))
        if array.size and array.dtype.kind in "fi":
            number = (
                rng.choice([-1, 0, 1.5, 1e3, 1e300, np.nan, np.inf])
                if array.dtype.kind == "f"
                else rng.choice([-1, 0, 2**62])
            )
            with np.errstate(over="ignore"):
                array.reshape(-1)[rng.integers(array.size)] = number
            return entries | {name: npy(array)}
    return entries | {name: RAW[rng.integers(len(RAW))](rng, content)}


def mutate_model(rng, raw):
    if rng.random() < 0.4:
        return RAW[rng.integers(len(RAW))](rng, raw)
    entries = unpacked(raw)
    if rng.random() < 0.5:
        text = str(np.load(io.BytesIO(entries["settings.npy"])))
        text = (
            edit_json(rng, text)
            if rng.random() < 0.8
            else RAW[rng.integers(len(RAW))](rng, text.encode()).decode("latin-1")
        )
        return packed(with_settings(entries, text))
    return packed(edit_entry(rng, entries))


def mutate_idx(rng, raw):
    if raw[:2] != b"\x1f\x8b" or rng.random() < 0.5:
        return RAW[rng.integers(len(RAW))](rng, raw)
    return gzip.compress(RAW[rng.integers(len(RAW))](rng, gzip.decompress(raw)), 1, mtime=0)


def mutate_text(rng, raw):
    return edit_json(rng, raw).encode() if rng.random() < 0.6 else RAW[rng.integers(len(RAW))](rng, raw)


def try_model(path):
    gan, _ = load(path)
    state = gan.state_dict()
    assert all(np.isfinite(a).all() for a in state.values())
    # numbers that no training makes may overflow in a product; that is arithmetic, not reading
    if max(np.abs(a).max() for name, a in state.items() if a.size and "optimizer" not in name) < 1e6:
        rng = np.random.default_rng(0)
        assert np.isfinite(gan.sample(2, rng)).all()
        assert np.isfinite(gan.predict(rng.standard_normal((2, *gan.generator.shapes[0])))).all()


def try_checkpoint(path):
    """Go on with the training, which takes every part of the file; the numbers of strangers may make it diverge."""
    try_model(path)
    with contextlib.suppress(NonFiniteError):
        go_on(path)


def go_on(path, epochs=2):
    gan = make_gan(seed=3, dtype="float32")
    gan.fit(POINTS, batch_size=12, rng=rng(), epochs=epochs, checkpoint=path, resume=True)


def try_images(path):
    images = read_images(path)
    assert images.dtype == np.uint8 and images.shape[1] == 784


def try_labels(path):
    assert read_labels(path, 7).max() <= 9


KINDS = {
    "model": ("model.npz", mutate_model, try_model),
    "checkpoint": ("model.npz", mutate_model, try_checkpoint),
    "images": ("images", mutate_idx, try_images),
    "images.gz": ("images.gz", mutate_idx, try_images),
    "labels": ("labels", mutate_idx, try_labels),
    "config": ("config.json", mutate_text, lambda path: runs.read_config(path.parent)),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    directory = tmp_path_factory.mktemp("originals")
    go_on(directory / "run.npz", epochs=1)
    made = {"model": model_bytes(directory), "checkpoint": (directory / "run.npz").read_bytes()}
    images = idx_images(some_images(7))
    made |= {"images": images, "images.gz": gzip.compress(images, 1, mtime=0), "labels": idx_labels(some_labels(7))}
    recipe = recipes.get("sine")
    runs.train(recipe, with_overrides(recipe.settings, {"steps": 2}), out=directory / "run", quiet=True)
    made["config"] = (directory / "run" / "config.json").read_bytes()
    return made


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cases", [QUICK, pytest.param(ALL, marks=pytest.mark.slow)])
def test_a_mutated_file_loads_rightly_or_is_refused_in_a_sentence(tmp_path, originals, kind, cases):
    name, mutate, attempt = KINDS[kind]
    path, read = tmp_path / name, 0
    for seed in range(cases // len(KINDS)):
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
        path.write_bytes(mutate(rng, originals[kind]))
        try:
            attempt(path)
            read += 1
        except Error as error:
            message_of(error, path)
        except BaseException as error:
            raise AssertionError(f"{kind}, seed {seed}: {type(error).__name__}: {error}") from error
    assert 0 < read < cases // len(KINDS)  # some mutations matter, and some do not
