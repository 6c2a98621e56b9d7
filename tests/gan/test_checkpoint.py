"""Checkpoints: a training stopped anywhere and resumed ends as one that ran through, to the bit."""

import json

import numpy as np
import pytest

from numgan import GAN, SGD, Adam, Dense, Error, ModelFileError, Rate, Sequential, Sigmoid
from numgan.gan import checkpoint as checkpoint_module
from numgan.gan import steps as steps_module
from numgan.gan.checkpoint import Checkpoint
from numgan.gan.parts import Parts, RandomState
from numgan.nn.model_file import write_model
from tests.helpers import GAMES, POINTS, columns, every_kind, make_gan, rng, state

LENGTHS = pytest.mark.parametrize("length", [{"steps": 37}, {"epochs": 6}], ids=["steps", "epochs"])
EVERY = 5


class Stop(Exception):
    """What stops a training in these tests."""


@pytest.fixture
def stop_in(monkeypatch):
    """stop_in(n): the n-th generator step from now raises Stop halfway through; stop_in(None): none does."""
    right, left = steps_module.GeneratorStep.run, [None]

    def run(self, *inputs):
        if left[0] is not None:
            left[0] -= 1
            if left[0] == 0:
                self.calls[0].run()
                raise Stop
        right(self, *inputs)

    monkeypatch.setattr(steps_module.GeneratorStep, "run", run)
    return lambda n: left.__setitem__(0, n)


class Counter:
    """A part that a callback changes."""

    def __init__(self):
        self.seen = np.zeros(3)

    def state_dict(self):
        return {"seen": self.seen.copy()}

    def check_state_dict(self, arrays):
        if arrays.keys() != {"seen"} or np.shape(arrays["seen"]) != (3,):
            raise Error("a counter has three numbers")

    def load_state_dict(self, arrays):
        self.seen = np.array(arrays["seen"])


def play(path, length, game=GAMES[0], dtype="float64", replicas=None, every=EVERY, resume=True, **options):
    """One call of `fit` in what might be a new process: everything made anew. (GAN, history, rng, part, calls)."""
    gan, draw, part, calls = make_gan(game, dtype, replicas), rng(3), Counter(), []

    def callback(done, history):
        calls.append((done, len(history)))
        part.seen[:2] += done, draw.random()  # a callback may draw from the run's random numbers too

    checkpoint = Checkpoint(path, every)
    options = {"batch_size": 12, "callback": callback, "parts": {"counter": part}} | options
    try:
        history = gan.fit(POINTS, rng=draw, every=EVERY, checkpoint=checkpoint, resume=resume, **length, **options)
    except Exception as error:
        error.gan = gan
        raise
    return gan, history, draw, part, calls


def everything(played):
    gan, history, draw, part, _ = played
    return state(gan), columns(history), json.dumps(draw.bit_generator.state), part.seen.tobytes()


@LENGTHS
@pytest.mark.parametrize(("dtype", "replicas"), [("float32", None), pytest.param("float64", 2, marks=pytest.mark.slow)])
@every_kind
def test_a_training_stopped_again_and_again_ends_as_one_that_ran_through(
    game, replicas, dtype, length, stop_in, tmp_path
):
    through = play(tmp_path / "through.npz", length, game, dtype, replicas)
    for n in (1, 8, 2, 14, None):
        stop_in(n)
        try:
            resumed = play(tmp_path / "model.npz", length, game, dtype, replicas, every=3)
        except Stop:
            continue
    assert everything(resumed) == everything(through)
    files = [np.load(tmp_path / name) for name in ("through.npz", "model.npz")]
    assert set(files[0].files) == set(files[1].files)
    assert all(files[0][name].tobytes() == files[1][name].tobytes() for name in files[0].files)


@pytest.mark.parametrize("options", [
    {"discriminator_steps": 3}, {"discriminator_steps": 0}, {"generator_steps": 2}, {"generator_steps": 0},
    {"batch_size": 40}, {"batch_size": 300},
], ids=str)  # fmt: skip
@LENGTHS
def test_however_the_sides_play(length, options, tmp_path):
    through = play(tmp_path / "through.npz", length, **options)
    half = {name: n // 2 for name, n in length.items()}
    play(tmp_path / "model.npz", half, **options)
    assert everything(play(tmp_path / "model.npz", length, **options)) == everything(through)


@LENGTHS
@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_learning_rates_go_on_as_the_steps_do_and_a_rate_that_was_set_stays(optimizer, length, tmp_path):
    """Each side's own, stopped at odd steps; from the 20th step on the generator's is set by the callback."""
    rates = Rate(0.02, 5, "cosine", 37), Rate(0.05, 9, "linear", 37)

    def played(path, length, **options):
        gan, draw, used = make_gan(), rng(3), []
        gan = GAN(gan.generator, gan.discriminator, *(optimizer(rate) for rate in rates), gan.objective)

        def callback(done, history):
            used.append((done, gan.generator_optimizer.learning_rate, gan.discriminator_optimizer.learning_rate))
            if done >= 20:
                gan.generator_optimizer.learning_rate = 0.001

        history = gan.fit(
            POINTS, rng=draw, every=EVERY, batch_size=6, callback=callback, checkpoint=Checkpoint(path, 3),
            resume=True, **length,
        )  # fmt: skip
        return (state(gan), columns(history)), used

    through, used = played(tmp_path / "through.npz", length)
    told = {done: (g, d) for done, g, d in used}
    assert told[15] == tuple(rate.at(16) for rate in rates) and told[25] == (0.001, rates[1].at(26))
    for part in (1, 2, 3):
        resumed, _ = played(tmp_path / "model.npz", {name: n * part // 3 for name, n in length.items()})
    assert resumed == through


def test_a_training_with_other_rates_is_not_gone_on_with(tmp_path):
    def played(steps, rate):
        gan = make_gan(optimizer=lambda _: Adam(rate))
        return gan.fit(POINTS, steps, 12, rng(3), checkpoint=tmp_path / "model.npz", resume=True)

    played(5, Rate(0.01, 2, "linear", 10))
    with pytest.raises(ModelFileError, match="the training of a GAN with another generator optimizer"):
        played(20, Rate(0.01, 2, "linear", 20))
    assert len(played(10, Rate(0.01, 2, "linear", 10))) == 10


@pytest.mark.parametrize("first", [0, 1, 5, 12, 36, 37])
def test_a_training_can_be_made_longer_wherever_it_ended(first, tmp_path):
    through = play(tmp_path / "through.npz", {"steps": 37})
    play(tmp_path / "model.npz", {"steps": first})
    assert everything(play(tmp_path / "model.npz", {"steps": 37})) == everything(through)


def test_a_finished_training_resumed_is_as_it_was(tmp_path):
    through = play(tmp_path / "model.npz", {"steps": 35})
    before = (tmp_path / "model.npz").read_bytes()
    again = play(tmp_path / "model.npz", {"steps": 35})
    assert everything(again) == everything(through) and again[4] == []
    assert (tmp_path / "model.npz").read_bytes() == before


def test_without_a_file_a_resumed_training_starts(tmp_path):
    assert everything(play(tmp_path / "a.npz", {"steps": 9})) == everything(
        play(tmp_path / "b.npz", {"steps": 9}, resume=False)
    )


def test_without_resume_a_training_starts_anew_and_replaces_the_file(tmp_path):
    play(tmp_path / "a.npz", {"steps": 20})
    fresh = play(tmp_path / "a.npz", {"steps": 9}, resume=False)
    assert len(fresh[1]) == 9 and everything(fresh) == everything(play(tmp_path / "b.npz", {"steps": 9}))


@pytest.mark.parametrize("at", [0, 5, 10, 35, 37])
def test_an_exception_in_a_callback_keeps_its_step_and_calls_it_again(at, tmp_path):
    through = play(tmp_path / "through.npz", {"steps": 37})
    gan, draw, part = make_gan(), rng(3), Counter()

    def callback(done, history):
        part.seen[:2] += done, draw.random()
        if done == at:
            raise Stop

    with pytest.raises(Stop) as caught:
        gan.fit(POINTS, 37, 12, draw, EVERY, callback, checkpoint=tmp_path / "model.npz", parts={"counter": part})
    assert len(caught.value.history) == at
    resumed = play(tmp_path / "model.npz", {"steps": 37})
    assert everything(resumed) == everything(through) and resumed[4][0] == (at, at)


def test_a_training_ended_by_its_callback_stays_ended(tmp_path):
    ended = play(tmp_path / "model.npz", {"steps": 37}, callback=lambda done, history: done == 10)
    assert len(ended[1]) == 10
    again = play(tmp_path / "model.npz", {"steps": 60}, callback=lambda done, history: pytest.fail("called"))
    assert everything(again) == everything(ended)


def test_a_divergence_leaves_the_last_good_look_in_the_file(tmp_path):
    through = play(tmp_path / "through.npz", {"steps": 10})

    class Spoilt:
        shape = (2,)

        def sample(self, n, draw, out):
            out[...] = POINTS[draw.integers(0, len(POINTS), n)]
            out[12 * 13] = np.nan

    gan, draw = make_gan(), rng(3)
    part = Counter()

    def callback(done, history):
        part.seen[:2] += done, draw.random()

    with pytest.raises(FloatingPointError, match="at step 14"):
        gan.fit(Spoilt(), 37, 12, draw, EVERY, callback, checkpoint=tmp_path / "m.npz", parts={"counter": part})
    assert everything(play(tmp_path / "m.npz", {"steps": 10})) == everything(through)


def test_a_divergence_is_noticed_within_a_hundred_steps_however_rare_the_looks(tmp_path):
    class Spoilt:
        shape, seen = (2,), 0

        def sample(self, n, draw, out):
            out[...] = POINTS[draw.integers(0, len(POINTS), n)]
            self.seen += 1

    gan, data = make_gan(dtype="float32"), Spoilt()
    right, count = steps_module.DiscriminatorStep.run, []

    def run(self, *inputs):
        count.append(1)
        if len(count) == 250:
            gan.discriminator.values[3] = np.inf
        right(self, *inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps_module.DiscriminatorStep, "run", run)
        with pytest.raises(FloatingPointError):
            gan.fit(data, 10_000, 12, rng(3), every=10_000)
    assert 250 <= len(count) <= 350


# ---------------------------------------------------------------- the list of parts


class Averaging(GAN):
    """A GAN with one more part than others have."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.parts["average"] = Counter()


def averaging(seed=0):
    return Averaging(
        Sequential([Dense(2)], 3, rng(seed), "float64"), Sequential([Dense(1), Sigmoid()], 2, rng(seed + 1), "float64")
    )


def test_a_part_that_is_added_is_saved_loaded_copied_gone_back_to_and_resumed(tmp_path):
    gan = averaging()

    def count(done, history):
        gan.parts["average"].seen[2] += done
        if done == 15:
            gan.parts["average"].seen[0] = 99
            raise Stop

    with pytest.raises(Stop):
        gan.fit(POINTS, 30, 8, rng(), 5, count, checkpoint=tmp_path / "run.npz")
    assert gan.parts["average"].seen.tolist() == [0, 0, 15]  # gone back to before the call that raised
    assert gan.state_dict()["average.seen"].tolist() == [0, 0, 15]
    gan.save(tmp_path / "model.npz")
    for path in ("model.npz", "run.npz"):
        loaded = Averaging.load(tmp_path / path)
        assert loaded.parts["average"].seen.tolist() == [0, 0, 15] and state(loaded) == state(gan)
    assert gan.copy().parts["average"].seen.tolist() == [0, 0, 15]
    other = averaging(seed=8)
    other.fit(POINTS, 15, 8, rng(), 5, checkpoint=tmp_path / "run.npz", resume=True)
    assert state(other) == state(gan)
    with pytest.raises(ModelFileError, match="average"):
        GAN.load(tmp_path / "model.npz")  # one that knows of no such part


def test_every_part_is_in_the_file_under_its_name(tmp_path):
    play(tmp_path / "model.npz", {"epochs": 1})
    entries = set(np.load(tmp_path / "model.npz").files)
    groups = {name.rpartition(".")[0] for name in entries}
    assert groups >= {"run.rng", "run.order", "run.history", "run.counter", "run.drawn_0.noise", "run.drawn_1.real"}


def test_a_copy_shares_nothing(tmp_path):
    gan = make_gan()
    gan.fit(POINTS, 5, 8, rng())
    twin, before = gan.copy(), state(gan)
    assert state(twin) == before
    twin.fit(POINTS, 5, 8, rng())
    assert state(gan) == before != state(twin)
    gan.fit(POINTS, 5, 8, rng())
    assert state(gan) == state(twin)


@pytest.mark.parametrize("name", ["rng", "history", "drawn_0", "a.b"])
def test_a_part_s_name_is_its_own(name):
    with pytest.raises(Error, match="a part cannot be called"):
        make_gan().fit(POINTS, 5, 8, rng(), parts={name: Counter()})


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_the_state_of_every_bit_generator_comes_back(kind):
    ours, other = (np.random.Generator(getattr(np.random, kind)(seed)) for seed in (1, 2))
    ours.standard_normal(7, dtype="float32")
    kept = RandomState(ours).state_dict()
    expected = ours.random(5, dtype="float32")
    RandomState(other).load_state_dict(kept)
    assert (other.random(5, dtype="float32") == expected).all()


@pytest.mark.parametrize("arrays", [
    {}, {"state": np.zeros(3, np.uint8)}, {"other": np.zeros(1)}, {"state": np.frombuffer(b"[]", np.uint8)},
    {"state": np.frombuffer(b'{"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}}', np.uint8)},
    {"state": np.frombuffer(b'{"bit_generator": "MT19937"}', np.uint8)}, {"state": np.array(3.5)},
])  # fmt: skip
def test_what_is_no_state_of_a_random_generator_is_refused(arrays):
    draw = rng()
    before = draw.bit_generator.state
    with pytest.raises(Error, match="a random generator's state is not that of a PCG64"):
        Parts(rng=RandomState(draw)).load_state_dict({f"rng.{name}": a for name, a in arrays.items()})
    assert draw.bit_generator.state == before


# ---------------------------------------------------------------- when to write


@pytest.mark.slow
def test_by_the_clock_a_checkpoint_comes_every_half_minute_and_takes_a_hundredth_of_the_time(tmp_path, monkeypatch):
    now, cost, written = [0.0], [0.1], []
    monkeypatch.setattr(checkpoint_module.time, "monotonic", lambda: now[0])

    def slow(*arguments):
        now[0] += cost[0]
        write_model(*arguments)

    monkeypatch.setattr(checkpoint_module, "write_model", slow)

    def callback(done, history):
        now[0] += 1.0  # a second a step
        cost[0] = 0.1 if done < 100 else 2.0

    gan = make_gan()
    checkpoint = Checkpoint(tmp_path / "model.npz", wrote=written.append)
    gan.fit(POINTS, 400, 4, rng(), 1, callback, checkpoint=checkpoint)
    assert written == [0, 30, 61, 92, 123, 324, 400] and checkpoint.kept == 400


def test_by_steps_a_checkpoint_comes_after_every_so_many(tmp_path):
    written = []
    make_gan().fit(POINTS, 40, 4, rng(), 6, checkpoint=Checkpoint(tmp_path / "m.npz", 7, written.append))
    assert written == [0, 7, 14, 21, 28, 35, 40]


def test_a_checkpoint_is_a_model_file(tmp_path):
    gan = play(tmp_path / "model.npz", {"steps": 9})[0]
    assert state(GAN.load(tmp_path / "model.npz")) == state(gan)


# ---------------------------------------------------------------- what does not go together


OTHERS = {
    "batch size": ({"batch_size": 8}, "a training with batch_size=12, not 8"),
    "sides": ({"generator_steps": 2}, "a training with generator_steps=1, not 2"),
    "game": ({"game": ("minimax", "concatenated", {})}, "the training of a GAN with another objective"),
    "schedule": ({"game": (GAMES[0][0], "separate", {})}, "the training of a GAN with another schedule"),
    "dtype": ({"dtype": "float32"}, "the training of a GAN with another generator"),
    "replicas": ({"replicas": 2}, "the training of a GAN with another generator"),
    "parts": ({"parts": {}}, "unknown entry 'counter.seen'"),
    "epochs": ({"length": {"epochs": 3}}, "a training with rows=None, not 40"),
    "length": ({"length": {"steps": 19}}, "20 steps are done, more than the 19 asked for"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_checkpoint_of_another_training_is_refused_and_changes_nothing(case, tmp_path):
    other, message = OTHERS[case]
    play(tmp_path / "model.npz", {"steps": 20})
    before = (tmp_path / "model.npz").read_bytes()
    with pytest.raises(Error) as caught:
        play(tmp_path / "model.npz", **({"length": {"steps": 30}} | other))
    assert message in str(caught.value)
    assert (tmp_path / "model.npz").read_bytes() == before
    options = {key: other[key] for key in ("game", "dtype", "replicas") if key in other}
    assert state(caught.value.gan) == state(make_gan(**options))


def test_a_model_alone_is_no_checkpoint(tmp_path):
    make_gan().save(tmp_path / "model.npz")
    with pytest.raises(ModelFileError, match="a model, but no checkpoint of a training"):
        play(tmp_path / "model.npz", {"steps": 9})


def entry(name, change):
    def edit(settings, arrays):
        arrays[name] = change(arrays[name])

    return edit


def run(key, value):
    def edit(settings, arrays):
        settings["run"][key] = value

    return edit


EDITS = {
    "no random state": lambda settings, arrays: arrays.pop("run.rng.state"),
    "no history": lambda settings, arrays: [arrays.pop(n) for n in list(arrays) if n.startswith("run.history")],
    "one column": lambda settings, arrays: arrays.pop("run.history.g_loss"),
    "a shorter column": entry("run.history.g_loss", lambda a: a[1:]),
    "fewer steps": run("done", 7),
    "steps that are a text": run("done", "8"),
    "steps that are nothing": run("done", None),
    "told": run("told", 1),
    "ended": run("ended", "no"),
    "no run": lambda settings, arrays: settings.pop("run"),
    "a run that is a list": lambda settings, arrays: settings.update(run=[1]),
    "rows twice": entry("run.order.order", lambda a: a[:1].repeat(len(a))),
    "rows from elsewhere": entry("run.order.order", lambda a: a + 1000),
    "negative rows": entry("run.order.order", lambda a: -1 - a),
    "too few rows": entry("run.order.order", lambda a: a[1:]),
    "rows that are floats": entry("run.order.order", lambda a: a + 0.5),
    "batches of another shape": entry("run.drawn_0.noise.left", lambda a: a[:, :, :1]),
    "batches of another dtype": entry("run.drawn_0.noise.left", lambda a: a.astype("float32")),
    "too many batches": entry("run.drawn_0.noise.left", lambda a: np.concatenate([a] * 3)),
    "a part of nobody's": lambda settings, arrays: arrays.update({"run.more.a": np.zeros(2)}),
    "an entry of nobody's": lambda settings, arrays: arrays.update({"run.rng.more": np.zeros(2)}),
}


@pytest.mark.parametrize("case", EDITS)
def test_a_checkpoint_that_was_tampered_with_is_refused(case, tmp_path):
    path = tmp_path / "model.npz"
    play(path, {"epochs": 2})
    with pytest.raises(Stop):  # in the middle of an epoch
        play(path, {"epochs": 4}, callback=lambda done, history: (_ for _ in ()).throw(Stop) if done == 10 else None)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    settings = json.loads(str(arrays.pop("settings")))
    settings.pop("format")
    EDITS[case](settings, arrays)
    write_model(path, settings, arrays)
    with pytest.raises(Error) as caught:
        play(path, {"epochs": 4})
    assert str(path) in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("checkpoint", [3.5, [], int], ids=str)
def test_a_checkpoint_that_is_no_file_name_is_refused(checkpoint):
    with pytest.raises(Error, match="checkpoint must be the name of a file"):
        make_gan().fit(POINTS, 5, 8, rng(), checkpoint=checkpoint)


def test_resuming_needs_a_checkpoint():
    with pytest.raises(Error, match="resume=True needs the checkpoint"):
        make_gan().fit(POINTS, 5, 8, rng(), resume=True)


def test_a_learning_rate_that_the_callback_set_is_resumed(tmp_path, stop_in):
    """A schedule that sets it once, before the stop: the new process does not set it again."""

    def play(resume):
        gan = make_gan()

        def callback(done, history):
            if done == 10:
                gan.generator_optimizer.learning_rate /= 8

        path = tmp_path / ("stopped.npz" if resume else "whole.npz")
        gan.fit(POINTS, 30, 12, rng(3), 5, callback, checkpoint=Checkpoint(path, 5), resume=resume)
        return gan

    whole = play(False)
    stop_in(23)
    with pytest.raises(Stop):
        play(True)
    stop_in(None)
    resumed = play(True)
    assert resumed.generator_optimizer.learning_rate == whole.generator_optimizer.learning_rate
    assert state(resumed) == state(whole)
