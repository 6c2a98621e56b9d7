"""`numgan train --watch`: the table, in a terminal and without one; what a run keeps of it; that it changes nothing."""

import contextlib
import csv
import io
import itertools
import os
import re
import select
import shutil
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from numgan.cli import main
from numgan.gan.history import History
from numgan.gan.insides import Insides
from numgan.study import live, plots
from numgan.study.live import LiveTable, layer_lines
from tests.study.test_resume import FILES, RUNS, SMALL, TINY, assert_same, contents, stop_after  # noqa: F401

WATCHED = FILES | {"gradients.png"}


def insides_of(generator=("dense_1", "relu_1", "dense_2"), discriminator=("conv2d_1", "leaky_relu_1", "dense_1")):
    """A row of numbers, each another."""
    columns = [
        f"{side}.{layer}.{kind}"
        for side, layers in (("generator", generator), ("discriminator", discriminator))
        for layer in layers
        for kind in (("dead_units",) if "relu" in layer else ("gradient_norm", "update_ratio"))
    ]
    insides = Insides(columns)
    insides.add(7, {name: np.array((i + 1) / 100) for i, name in enumerate(columns)})
    return insides


# ---------------------------------------------------------------------------------------------------------- the table


def test_networks_stand_side_by_side_where_there_is_room():
    assert layer_lines(insides_of(), 100) == [
        "generator  gradient    update    dead   discriminator  gradient    update    dead",
        "dense_1     1.0e-02   2.0e-02           conv2d_1        6.0e-02   7.0e-02",
        "relu_1                           3.0%   leaky_relu_1                         8.0%",
        "dense_2     4.0e-02   5.0e-02           dense_1         9.0e-02   1.0e-01",
    ]


def test_in_a_narrow_terminal_they_stand_one_below_the_other():
    assert layer_lines(insides_of(), 43) == [
        "generator      gradient    update    dead",
        "dense_1         1.0e-02   2.0e-02",
        "relu_1                               3.0%",
        "dense_2         4.0e-02   5.0e-02",
        "discriminator  gradient    update    dead",
        "conv2d_1        6.0e-02   7.0e-02",
        "leaky_relu_1                         8.0%",
        "dense_1         9.0e-02   1.0e-01",
    ]


def test_in_a_narrower_one_names_are_cut_and_columns_left_out():
    assert layer_lines(insides_of(), 39)[4:7] == [
        "discr…nator  gradient    update    dead",
        "conv2d_1      6.0e-02   7.0e-02",
        "leaky…elu_1                        8.0%",
    ]
    assert layer_lines(insides_of(), 30)[4:6] == ["discr…inator  gradient    dead", "conv2d_1       6.0e-02"]
    assert layer_lines(insides_of(), 20)[4:6] == ["disc…nator  gradient", "conv2d_1     6.0e-02"]


@pytest.mark.parametrize("width", [1, 3, 10, 17, 25, 36, 40, 80, 81, 82, 200])
def test_no_line_is_wider_than_the_terminal(width):
    deep = insides_of(generator=("skip_1.skip_1.skip_1.conv2d_transpose_1", "dense_1"))
    for insides in (insides_of(), deep, insides_of(discriminator=())):
        lines = layer_lines(insides, width)
        assert lines and max(map(len, lines)) <= width
        assert not any(line != line.rstrip() for line in lines)


def test_a_gap_is_a_dash():
    insides = insides_of()
    insides.add(8, dict.fromkeys(insides.columns, np.array(np.nan)))
    assert layer_lines(insides, 100)[1].split() == ["dense_1", "—", "—", "conv2d_1", "—", "—"]


def test_what_is_paid_now_and_then_is_shown_and_what_never_is_is_a_dash():
    record = History(penalty="r1")
    gaps = dict.fromkeys(record.columns, np.full(5, np.nan))
    record.load_state_dict(gaps | {"penalty": np.array([9, np.nan, 2, np.nan, 4])})
    assert record.last_mean("penalty", 4, ".1f") == "3.0" and record.last_mean("d_loss", 4, ".1f") == "—"


@pytest.fixture
def terminal(monkeypatch):
    """terminal(columns, lines): from now on it is of that size."""

    def resize(columns, lines):
        monkeypatch.setattr(live.shutil, "get_terminal_size", lambda: os.terminal_size((columns, lines)))

    return resize


MEANS = [("discriminator: loss", "0.69"), ("D(x)", "0.50"), ("D(G(z))", "0.49")]


def test_the_table_is_drawn_over_itself_as_large_as_the_terminal_is(terminal):
    said = []
    table = LiveTable(said.append, 1_000)
    terminal(100, 30)
    table.draw(0, [], None)
    table.draw(500, MEANS, insides_of())
    table.draw(510, MEANS, insides_of())
    first, second, third = (text.split("\n") for text in said)
    assert first == ["step 0 of 1,000"]
    assert re.fullmatch(r"\x1b\[1F\x1b\[Jstep 500 of 1,000   [\d.]+[kM]?/s   00:00 left", second[0])
    assert second[1] == "discriminator: loss 0.69   D(x) 0.50                  D(G(z)) 0.49"
    assert second[2:] == layer_lines(insides_of(), 99) and third[0].startswith("\x1b[6F\x1b[J")
    terminal(40, 10)  # lines that were drawn may stand anywhere now
    table.draw(520, MEANS, insides_of())
    lines = said[-1].split("\n")
    assert lines[0].startswith("\x1b[H\x1b[2Jstep 520") and lines[-1] == "… 4 more"
    assert len(lines) == 9 and max(len(line) for line in lines[1:]) <= 39
    table.draw(530, MEANS, insides_of())
    assert said[-1].startswith("\x1b[9F\x1b[J")


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (40, 3), (300, 100)])
def test_a_terminal_of_any_size_is_written_to(size, terminal):
    said = []
    terminal(*size)
    LiveTable(said.append, 10).draw(5, MEANS, insides_of())
    lines = said[0].split("\n")
    assert len(lines) <= max(1, size[1] - 1) and max(map(len, lines)) <= max(1, size[0] - 1)


# ------------------------------------------------------------------------------------------------------------ the runs


def rows_of(directory):
    with open(directory / "history.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


RUN = ["sine", "--steps", "70", "--set", "snapshot_every=50"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run that is watched, and what it printed."""
    directory, printed = tmp_path_factory.mktemp("watched") / "seen", io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["train", *RUN, "--watch", "--out", str(directory)]) == 0
    return directory, printed.getvalue()


@pytest.mark.slow
def test_a_run_that_is_watched_is_the_run_that_is_not(watched, call, tmp_path):
    assert call("train", *RUN, "--quiet", "--out", "plain") == (0, "", "")
    seen, plain = contents(watched[0]), contents(tmp_path / "plain")
    extra = {"run.insides.steps", "run.insides.values", "run.insides.passing", "gradients.png"}
    assert seen.keys() - plain.keys() == extra and plain.keys() <= seen.keys()
    differ = {"config.json", "history.csv", "history.png"}  # the last has the run's name in it
    assert {name for name in plain if plain[name] != seen[name]} == differ
    seen, plain = rows_of(watched[0]), rows_of(tmp_path / "plain")
    assert [{name: row[name] for name in plain[0]} for row in seen] == plain
    assert call("train", *RUN, "--watch", "--quiet", "--out", "quiet") == (0, "", "")
    quiet, seen = contents(tmp_path / "quiet"), contents(watched[0])
    assert {name for name in seen if quiet[name] != seen[name]} == {"history.png"}


def test_history_gains_columns_that_are_blank_between_looks(watched):
    seen = rows_of(watched[0])
    more = list(seen[0])[10:]
    assert more == [
        f"{side}.{rest}"
        for side in ("generator", "discriminator")
        for rest in ("dense_1.gradient_norm", "dense_1.update_ratio", "relu_1.dead_units", "dense_2.gradient_norm",
                     "dense_2.update_ratio")
    ]  # fmt: skip
    looks = [int(row["step"]) for row in seen if row[more[0]]]
    assert looks == [50, 70]
    for row in seen:
        cells = [row[name] for name in more]
        assert all(cells) if int(row["step"]) in looks else not any(cells)
        assert all(0 <= float(cell) < 100 for cell in cells if cell)


def test_without_a_terminal_there_are_plain_lines(watched):
    out = watched[1]
    assert "\x1b" not in out and "\r" not in out
    assert re.match(
        r" {4}step   discriminator: loss .*   D\(x\)   D\(G\(z\)\)\n {6}50   [\d.% ]+\n {11}generator +gradient", out
    )
    assert len(re.findall(r"^ {11}dense_2( +\d\.\de[+-]\d\d){2}$", out, re.MULTILINE)) == 2 * 2
    assert len(re.findall(r"^ {11}relu_1 +[\d.]+%$", out, re.MULTILINE)) == 2 * 2


def test_a_run_that_is_gone_on_with_is_watched_or_not_as_it_was(call, tmp_path, watched):
    shutil.copytree(watched[0], "seen")
    status, out, err = call("train", "--resume", "seen", "--watch")
    assert (status, out) == (2, "") and "--watch cannot be given with --resume: the run has its own" in err


WATCHED_RUNS = {
    "a penalty now and then, averaged": [
        "ring", "--steps", "70", "--set", "snapshot_every=30", "--set", "hidden=12,9", "--set", "penalty=wgan-gp",
        "--set", "objective=wasserstein", "--set", "penalty_every=4", "--set", "average=0.9",
    ],
    "of pictures, with conditions": RUNS["translate"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", WATCHED_RUNS)
def test_a_watched_run_stopped_and_gone_on_with_is_the_one_that_went_through(name, call, stop_after, tmp_path):  # noqa: F811
    arguments = [*WATCHED_RUNS[name], "--watch", "--quiet"]
    assert call("train", *arguments, "--out", "through/run") == (0, "", "")
    stop_after(17, KeyboardInterrupt())
    assert call("train", *arguments, "--out", "run", "--checkpoint-every", "7")[0] == 130
    assert {path.name for path in (tmp_path / "run").iterdir()} == WATCHED
    for _ in range(2):  # a finished run stays as it is
        assert call("train", "--resume", "run", "--quiet") == (0, "", "")
        assert_same(tmp_path / "through/run", tmp_path / "run")


# --------------------------------------------------------------------------------------------------- a real terminal


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 100])
def test_in_a_terminal_the_table_is_drawn_in_place(columns, tmp_path):
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "numgan", "train", "sine", "--steps", "2000", "--watch", "--out", "run"], cwd=tmp_path,
        stdin=theirs, stdout=theirs, stderr=theirs, env=env | {"TERM": "xterm", "PYTHONUTF8": "1"},
    )  # fmt: skip
    os.close(theirs)
    shown, end = b"", time.monotonic() + 60
    while time.monotonic() < end and select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    text = shown.decode().replace("\r", "")
    tables = re.split(r"\x1b\[\d+F\x1b\[J", text.partition("\n\nover the last")[0])
    assert [re.match(r"step ([\d,]+) of 2,000", table)[1] for table in tables] == ["0", "1,000", "2,000"]
    heights = [len(table.rstrip("\n").split("\n")) for table in tables]
    assert [int(up) for up in re.findall(r"\x1b\[(\d+)F", text)] == heights[:-1]
    assert max(map(len, itertools.chain(*(table.split("\n") for table in tables)))) < columns
    assert "checkpoint" not in text and "D(G(z)) 0." in tables[-1] and "dense_2" in tables[-1]


# ------------------------------------------------------------------------------------------------------ gradients.png


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """drawn(insides): the axes of gradients.png."""

    def draw(insides):
        figures, right = [], plots.save
        monkeypatch.setattr(plots, "save", lambda figure, path: (figures.append(figure), right(figure, path)))
        plots.gradients(insides, tmp_path / "gradients.png")
        assert (tmp_path / "gradients.png").exists()
        return figures[0].axes

    return draw


def test_gradients_are_a_curve_for_each_layer_of_each_network(drawn):
    insides = insides_of()
    insides.add(20, {name: np.array(3.0) for name in insides.columns})
    generator, discriminator = drawn(insides)
    assert [axes.get_title() for axes in (generator, discriminator)] == [
        "generator: gradient norm by layer", "discriminator: gradient norm by layer",
    ]  # fmt: skip
    assert [line.get_label() for line in generator.lines] == ["dense_1", "dense_2"]
    assert [line.get_label() for line in discriminator.lines] == ["conv2d_1", "dense_1"]
    assert [line.get_xydata().tolist() for line in generator.lines] == [[[7, 0.01], [20, 3]], [[7, 0.04], [20, 3]]]
    for axes in (generator, discriminator):
        assert axes.get_yscale() == "log" and len({tuple(line.get_color()) for line in axes.lines}) == 2
        legend = axes.get_legend().get_window_extent()
        assert legend.x0 > axes.get_window_extent().x1 and legend.x1 < axes.figure.bbox.x1


def test_what_a_logarithm_cannot_show_is_left_out(drawn):
    insides = insides_of()
    for step, value in ((20, 0.0), (30, np.nan), (40, np.inf)):
        insides.add(step, dict.fromkeys(insides.columns, np.array(value)))
    assert [line.get_xdata().tolist() for axes in drawn(insides) for line in axes.lines] == [[7]] * 4


@pytest.mark.slow
def test_gradients_that_are_all_zero_are_an_empty_picture(drawn):
    insides = insides_of()
    insides.load_state_dict({"steps": np.array([9]), "values": np.zeros((1, 10)), "passing": np.array(False)})
    assert [len(line.get_xdata()) for axes in drawn(insides) for line in axes.lines] == [0] * 4


def test_a_side_that_does_not_play_says_so(drawn):
    _, axes = drawn(insides_of(discriminator=()))
    assert axes.get_title() == "discriminator: does not play" and not axes.lines
