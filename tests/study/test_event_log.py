"""`numgan train --log-dir`: event files, read by TensorBoard's own reader, and what cannot be logged."""

import json
import os
import shutil
import sys

import numpy as np
import pytest

from numgan import Error
from numgan.cli import main
from numgan.study import event_log, runs, seeds
from tests.study.test_resume import stop_after  # noqa: F401

RUN = ["sine", "--steps", "230", "--set", "snapshot_every=80", "--quiet"]


def read(directory):
    """name -> [(step, value)] of the scalars that TensorBoard shows, and [(step, picture)] and [(step, histogram)]."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = accumulator.EventAccumulator(str(directory), {"scalars": 0, "images": 0, "histograms": 0})
    reader.Reload()
    tags = reader.Tags()
    found = {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in tags["scalars"]}
    found |= {tag: [(e.step, e.encoded_image_string) for e in reader.Images(tag)] for tag in tags["images"]}
    return found | {tag: [(e.step, e.histogram_value) for e in reader.Histograms(tag)] for tag in tags["histograms"]}


def history_of(directory):
    """name -> column of history.csv, gaps as NaN."""
    names, *rows = (line.split(",") for line in (directory / "history.csv").read_text().splitlines())
    values = np.array([[cell or "nan" for cell in row] for row in rows], float)
    return dict(zip(names, values.T, strict=True))


# ------------------------------------------------------------------------------------------------ what cannot be logged


@pytest.fixture
def missing(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)


@pytest.mark.parametrize("more", [[], ["--seeds", "0-1"]])
def test_without_the_package_one_sentence_names_the_extra(more, missing, call, tmp_path):
    status, out, err = call("train", *RUN, "--log-dir", "logs", *more)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "event files (--log-dir) need the package tensorboard" in err and "pip install 'numgan[tensorboard]'" in err
    assert os.listdir() == []


@pytest.fixture
def present(monkeypatch):
    """As if the package were there, for what is refused before it is used."""
    monkeypatch.setattr(event_log, "_tensorboard", lambda: (None, None, None))


def test_a_file_is_no_directory(present, call, tmp_path):
    (tmp_path / "logs").write_text("")
    status, out, err = call("train", *RUN, "--log-dir", "logs")
    assert (status, out) == (2, "") and "--log-dir logs is not a directory" in err
    assert os.listdir() == ["logs"]


@pytest.mark.parametrize("more, place", [([], "logs"), (["--seeds", "3,4"], "logs/seed-4")])
def test_a_directory_that_holds_another_training_s_events_is_refused(more, place, present, call, tmp_path):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "events.out.tfevents.1.host.2").write_bytes(b"")
    status, out, err = call("train", *RUN, "--log-dir", "logs", *more)
    assert (status, out) == (2, "") and f"--log-dir {place} holds the events of another training" in err
    assert os.listdir() == ["logs"]


def test_a_directory_that_cannot_be_made_is_refused(present, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Error, match="cannot be made"):
        event_log.EventLog(tmp_path / "file" / "logs")


def test_every_seed_is_watched_and_has_a_log_of_its_own(present, call, monkeypatch):
    called = []

    def train(*arguments, **how):
        called.append(how)
        return [], None

    monkeypatch.setattr(seeds, "train", train)
    call("train", *RUN, "--seeds", "0-1", "--watch", "--log-dir", "logs", "--out", "s")
    (how,) = called
    assert how["watch"] and how["log_dir"] == os.path.abspath("logs")


# ----------------------------------------------------------------------------------------------- what TensorBoard reads


def with_reader(test):
    """Marks what takes TensorBoard itself, whose warnings are its own business."""
    return pytest.mark.slow(pytest.mark.filterwarnings("default")(test))


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A directory with a run that was watched and its log."""
    pytest.importorskip("tensorboard")
    cwd = tmp_path_factory.mktemp("logged")
    assert main(["train", *RUN, "--watch", "--log-dir", str(cwd / "logs"), "--out", str(cwd / "run")]) == 0
    return cwd


@with_reader
def test_it_reads_the_means_of_the_history(logged):
    found, history = read(logged / "logs"), history_of(logged / "run")
    game = {tag.partition("/")[2]: values for tag, values in found.items() if tag.startswith("game/")}
    assert list(game) == [name for name in history if name != "step" and "." not in name]
    for name, values in game.items():
        assert [step for step, _ in values] == [40, 80, 120, 160, 200, 230]
        for step, value in values:
            np.testing.assert_allclose(value, history[name][max(0, step - 40) : step].mean(), rtol=1e-5)


@with_reader
def test_it_reads_what_is_inside_the_networks(logged):
    found, history = read(logged / "logs"), history_of(logged / "run")
    inside = [name for name in history if "." in name]
    assert len(inside) == 10
    for name in inside:
        for step, value in found[name.replace(".", "/")]:
            np.testing.assert_allclose(value, history[name][step - 1], rtol=1e-6)


@with_reader
def test_it_reads_pictures_and_weights_at_the_moments(logged):
    found = read(logged / "logs")
    assert [step for step, _ in found["moment"]] == [0, 80, 160]
    assert all(png.startswith(b"\x89PNG") for _, png in found["moment"]) and len({*found["moment"]}) == 3
    with np.load(logged / "run" / "model.npz") as model:
        shapes = {name: model[name].size for name in model.files}
    for name in ("generator.dense_1.weight", "discriminator.dense_2.bias"):
        for _, histogram in found[name.replace(".", "/")]:
            assert histogram.num == sum(histogram.bucket) == shapes[name]
            assert histogram.min <= histogram.max <= histogram.bucket_limit[-1] + 1e-12


@with_reader
def test_a_run_that_is_gone_on_with_reads_as_one_that_went_through(logged, call, stop_after, tmp_path):  # noqa: F811
    """Killed, with a log that is further than its last checkpoint: what was logged beyond is not read twice."""
    stop_after(150, KeyboardInterrupt())
    arguments = ["--watch", "--log-dir", "logs", "--out", "run", "--checkpoint-every", "70"]
    assert call("train", *RUN, *arguments)[0] == 130
    assert max(step for step, _ in read("logs")["game/g_loss"]) == 120
    shutil.rmtree("logs")
    shutil.copytree(logged / "logs", "logs")
    assert call("train", "--resume", "run", "--quiet") == (0, "", "")
    assert len(os.listdir("logs")) == 2 and read("logs") == read(logged / "logs")


@with_reader
def test_a_run_can_be_logged_from_now_on_elsewhere(logged, call, tmp_path):
    shutil.copytree(logged / "run", "run")
    assert call("train", "--resume", "run", "--steps", "300", "--log-dir", "more", "--quiet") == (0, "", "")
    assert [step for step, _ in read("more")["game/g_loss"]] == [240, 280, 300]
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["log_dir"] == str(tmp_path / "more") and config["watch"] is True


@with_reader
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full")
def test_a_disk_that_is_full_stops_the_run_and_keeps_its_state(call, monkeypatch):
    monkeypatch.setattr(event_log, "open", lambda path, mode: open("/dev/full", "wb"), raising=False)  # noqa: SIM115
    status, out, err = call("train", *RUN, "--log-dir", "logs", "--out", "run")
    assert (status, out) == (1, "") and "No space left on device; run holds the state after step 0, go on with" in err


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names that are no UTF-8")
def test_a_directory_need_not_have_a_name_in_unicode(call, present, monkeypatch, tmp_path):
    monkeypatch.setattr(event_log, "EventLog", lambda directory: None)
    name = os.fsdecode(b"l\xff")
    assert call("train", "sine", "--steps", 5, "--quiet", "--log-dir", name, "--out", "run") == (0, "", "")
    assert runs.read_config("run")["log_dir"] == str(tmp_path / name)


@with_reader
@pytest.mark.parametrize("values", [[1.0] * 5, [1.0, 1 + 2e-16], [0.0], [1e-320, 0.0], [-1e30, 1e30], [3.0, 1.0, 2.0]])
def test_numbers_however_alike_have_a_histogram(values, tmp_path):
    pytest.importorskip("tensorboard")
    log = event_log.EventLog(tmp_path)
    log.histogram(1, "w", np.array(values))
    log.close()
    ((_, histogram),) = read(tmp_path)["w"]
    assert sum(histogram.bucket) == histogram.num == len(values)
    assert (histogram.min, histogram.max, histogram.sum) == (min(values), max(values), sum(values))
