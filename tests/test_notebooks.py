"""What notebooks show: tables that hold what `print` prints, pictures, bars; and the notebook in demos/."""

import base64
import html.parser
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from numgan import (
    GAN,
    Adam,
    Dense,
    Flatten,
    History,
    Join,
    Label,
    Layer,
    LeakyReLU,
    OneHot,
    ProgressBar,
    Sequential,
    Sigmoid,
    SpectralNorm,
    Tanh,
    check_gradients,
)
from numgan.gan import curves as picture
from numgan.gan.curves import curves
from numgan.gan.objectives import OBJECTIVES
from numgan.study import runs
from numgan.tables import GREEN, RED, html_lines, html_table
from tests.helpers import KINDS, POINTS, make_gan, make_network, rng, state

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "demos/first_steps.ipynb"
SCRIPT = "<script>alert('x' & \"y\")</script>"


class Page(html.parser.HTMLParser):
    """HTML taken apart: its text, its tags in order with their attributes. Every tag that opens must close in turn."""

    def __init__(self, source):
        super().__init__()
        self.text, self.tags, self._open = "", [], []
        self.feed(source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += f" {data}"


def styles(page):
    """The declarations in all style attributes, as a set."""
    return {part.strip() for _, a in page.tags if "style" in a for part in a["style"].split(";")}


class Cube(Layer):
    def forward(self, x, out):
        out[...] = x**3

    def backward_input(self, x, y, dy, out):
        out[...] = 3 * x * dy  # should be 3·x²


def conditional_gan():
    """One that has all there is to say about a game, and names that are HTML."""
    told = [Join("label", 1, [OneHot(3), Flatten()])]
    generator = Sequential([*told, Dense(4), Dense(2), Tanh()], 3, rng(1), name=SCRIPT)
    told = [Join("label", 1, [OneHot(3), Flatten()])]
    discriminator = Sequential(
        [*told, SpectralNorm(Dense(4)), LeakyReLU(0.2), Dense(1), Sigmoid()], 2, rng(2), name="d"
    )
    more = {"penalty": "r1", "average": 0.99, "conditions": {"label": Label(3)}, "matching_aware": True}
    return GAN(generator, discriminator, Adam(0.01), Adam(0.02), l1_weight=2.0, **more)


OBJECTS = {
    "a network": lambda: make_network(name=SCRIPT),
    "replicas": lambda: make_network(replicas=3),
    "a game": make_gan,
    "a conditional game": conditional_gan,
    "a discriminator step": lambda: conditional_gan().discriminator_step(6),
    "a generator step": lambda: conditional_gan().generator_step(6),
    "a check that fails": lambda: check_gradients(Cube(), rng().normal(size=(4, 3))),
    "a check that passes": lambda: check_gradients(Sequential([Dense(2)], 3, rng(), name=SCRIPT), np.ones((4, 3))),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_html_says_what_print_says(name):
    shown = OBJECTS[name]()
    page = Page(shown._repr_html_())
    words = [word for word in str(shown).split() if set(word) != {"─"}]
    assert len(words) > 20 and sorted(page.text.split()) == sorted(words)
    assert repr(shown) == str(shown)
    assert {tag for tag, _ in page.tags} == {"table", "tr", "th", "td", "div"}


@pytest.mark.parametrize("name", OBJECTS)
def test_html_leaves_colours_to_the_theme(name):
    """Of colours there are tints behind the text, half transparent; all else is the notebook's own."""
    kinds = {style.partition(":")[0] for style in styles(Page(OBJECTS[name]()._repr_html_()))}
    assert kinds <= {"text-align", "white-space", "font-family", "margin", "background"}
    assert all(float(tint.rpartition(",")[2].strip(" )")) < 0.5 for tint in (GREEN, RED))


def test_cells_are_escaped_and_keep_their_spaces():
    rows = [("<b>", "&amp;"), ("  inside", SCRIPT)]
    source = html_table(rows, left=(0,))
    page = Page(source)
    assert page.text.split(maxsplit=2)[:2] == ["<b>", "&amp;"] and "  inside" in page.text and SCRIPT in page.text
    assert [tag for tag, _ in page.tags] == ["table", "tr", "th", "th", "tr", "td", "td"]
    assert ["left" in a["style"] for tag, a in page.tags if tag in ("th", "td")] == [True, False] * 2
    assert "white-space: pre" in styles(page)
    assert Page(html_lines(f"a  b\n{SCRIPT}")).text == f" a  b\n{SCRIPT}"


def test_a_failing_tensor_and_the_verdict_are_marked_by_word_and_colour():
    at = {"right": np.array([1.0, 2.0]), "wrong": np.array([3.0, 4.0])}
    report = check_gradients(
        lambda right, wrong: right @ wrong, at, gradient=lambda right, wrong: {"right": wrong, "wrong": 2 * right}
    )
    assert not report.passed
    rows = re.findall("<tr>.*?</tr>", report._repr_html_())
    assert [RED in row for row in rows] == [False, False, True]
    assert [Page(row).text.split()[:2] for row in rows[1:]] == [["right", "ok"], ["wrong", "FAIL"]]
    for name, word, tint in (("fails", "FAILED:", RED), ("passes", "passed:", GREEN)):
        last = Page(OBJECTS[f"a check that {name}"]()._repr_html_().splitlines()[-1])
        assert last.text.split()[0] == word and f"background: {tint}" in styles(last)
    assert RED not in OBJECTS["a check that passes"]()._repr_html_()


# ---------------------------------------------------------------- pictures


def train(game=KINDS[0], steps=20, **more):
    gan = make_gan(game)
    return gan, gan.fit(POINTS, steps=steps, batch_size=4, rng=rng(), **more)


def pixels(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    picture = matplotlib.image.imread(io.BytesIO(png))[..., :3]
    assert (picture.min(axis=-1) < 0.9).mean() > 0.01 and picture.std() > 0.05
    return picture


def test_a_history_shows_its_picture():
    _, history = train()
    width, height = curves(history).get_size_inches()
    np.testing.assert_allclose(pixels(history._repr_png_()).shape[:2], (72 * height, 72 * width), atol=1)
    assert not hasattr(history, "_repr_html_")  # which notebooks would prefer to the picture


@pytest.mark.parametrize("name", ["minimax", "wasserstein", "relativistic"])
def test_the_picture_is_of_the_columns(name):
    history = recorded(20, name)
    panels, axes = history.objective.panels, curves(history).axes
    assert [ax.get_title() for ax in axes[: len(panels)]] == [panel.title for panel in panels]
    for ax, panel in zip(axes, panels, strict=False):
        lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
        for column, label, _ in panel.curves:
            np.testing.assert_array_equal(lines[label], history[column])
        for y, label in panel.lines:
            assert set(lines[label]) == {y}


def recorded(n, objective="wasserstein", replicas=()):
    """A history of random numbers."""
    history = History(objective, replicas)
    history.load_state_dict({name: rng(i).uniform(size=(n, *replicas)) for i, name in enumerate(history.columns)})
    return history


def test_a_long_history_is_averaged_down_and_no_longer_than_there_are_steps():
    n = 2 * picture.POINTS + 1
    history = recorded(n)
    (pale, line, *_) = curves(history).axes[0].get_lines()
    means = history["score_real"][:-1].reshape(-1, 2).mean(axis=1)
    np.testing.assert_allclose(pale.get_ydata(), means)
    for drawn in (pale, line):
        np.testing.assert_array_equal(drawn.get_xdata(), np.arange(2, n, 2))
    for i in (25, 500, 974):  # over the values themselves lies the median of the 51 about each
        assert line.get_ydata()[i] == pytest.approx(np.median(means[i - 25 : i + 26]), rel=1e-12)
    assert line.get_ydata()[0] == pytest.approx(np.median([*means[:25], *means[:26]]), rel=1e-12)
    assert line.get_color() == pale.get_color() and pale.get_alpha() < 0.5 and pale.zorder < line.zorder


def test_the_first_values_may_run_out_of_the_frame_and_no_others():
    history = recorded(1_000)
    column = history["score_real"]
    column[:20], column[990] = 50.0, 7.0
    low, high = curves(history).axes[0].get_ylim()
    assert -1 < low < column.min() and 7 < high < 8


@pytest.mark.parametrize("value", [np.inf, -3e38, np.nan])
@pytest.mark.filterwarnings("error")
def test_a_training_that_diverged_has_a_picture(value):
    history = recorded(100)
    history["score_real"][98], history["score_real"][99] = 3e38, value
    curves(history).draw_without_rendering()


def test_a_legend_hides_no_curve_and_the_title_is_as_the_run_is_called():
    figure = curves(recorded(100, "non-saturating"), "a$b$: sine, seed 3, 100 steps")
    figure.draw_without_rendering()
    assert figure.get_suptitle() == "a$b$: sine, seed 3, 100 steps"
    for ax in figure.axes:
        box = ax.get_window_extent()
        legend, title = (artist.get_window_extent() for artist in (ax.get_legend(), ax.title))
        assert box.y1 <= legend.y0 + 1 and legend.y1 <= title.y0 and legend.x1 <= box.x1
        assert title.y1 < figure.bbox.y1 and not any(title.overlaps(other.bbox) for other in figure.axes)


def test_each_replica_has_its_curve():
    history = recorded(5, replicas=(3,))
    lines = curves(history).axes[0].get_lines()
    for r in range(3):
        np.testing.assert_array_equal(lines[r].get_ydata(), history["score_real"][:, r])
    assert len({line.get_color() for line in lines[:3]}) == 1


def test_a_side_that_does_not_play_says_so_and_no_steps_are_no_picture():
    _, history = train(steps=3, generator_steps=0)
    titles = [ax.get_title() for ax in curves(history).axes]
    assert [title for title in titles if title.endswith("does not play")] == [
        f"{panel.title}: does not play"
        for panel in history.objective.panels
        if all(column.startswith("g_") for column, _, _ in panel.curves)
    ]
    assert "—" in repr(history) and "over the last 3 of 3 steps" in repr(history)
    assert History()._repr_png_() is None and repr(History()) == "no steps yet"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_history_in_words_has_its_last_means(name):
    history = recorded(150, name)
    assert repr(history).startswith("over the last 100 of 150 steps\n")
    for _, column, form in history.objective.watched:
        assert format(history[column][50:].mean(), form) in repr(history)


@pytest.fixture
def run(tmp_path):
    """A run that was short, and has left its pictures."""
    directory = tmp_path / "a & b"
    directory.mkdir()
    for name in ("history.csv", "samples.png", "evolution.png", "history.png"):
        (directory / name).write_bytes(f"the bytes of {name}".encode())
    quality = {"curve_error": 0.25, "x_mean": -1.5}
    return runs.Run(directory, recorded(20), 1.5, 1e6, quality, ["it is <lost>"], None, None, 20, None)


def test_a_run_shows_its_figures_and_its_pictures(run):
    page = Page(run._repr_html_())
    assert page.text.split() == repr(run).split() == run.figures().split()
    files = "evolution.png, history.csv, history.png, samples.png"
    for said in (
        repr(run.history),
        "0.2500",
        "-1.5000",
        "lost: it is <lost>",
        "1,000,000",
        f"{run.directory}: {files}",
    ):
        assert said in page.text
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [a["alt"] for a in pictures] == ["samples.png", "evolution.png", "history.png"]
    for a in pictures:
        kind, _, encoded = a["src"].partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(encoded, validate=True) == (run.directory / a["alt"]).read_bytes()


def test_a_run_that_was_stopped_says_so_and_one_whose_directory_is_gone_shows_what_it_knows(run):
    stopped = replace(run, stop=KeyboardInterrupt("told <to>"))
    source = stopped._repr_html_()
    assert stopped.stopped in Page(source).text and f"background: {RED}" in styles(Page(source))
    assert repr(stopped).endswith(stopped.stopped)
    page = Page(replace(run, directory=run.directory / "gone", history=None)._repr_html_())
    assert "curve_error" in page.text and {tag for tag, _ in page.tags} == {"div"}


# ---------------------------------------------------------------- bars


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_goes_from_none_to_all_in_a_terminal(monkeypatch):
    bar = ProgressBar(20)
    for _ in range(2):  # one for each training
        monkeypatch.setattr(sys, "stderr", Terminal())
        train(every=5, callback=bar)
        shown = sys.stderr.getvalue().split("\r")
        assert "0/20" in shown[1] and "100%" in shown[-1] and "20/20" in shown[-1] and shown[-1].endswith("\n")


def test_where_nobody_looks_on_there_is_no_bar_and_the_training_is_the_same(capsys):
    (plain, _), (watched, _) = train(), train(callback=ProgressBar(20))
    assert state(plain) == state(watched)
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------- the notebook in demos/


def cells(path):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def text(of):
    """A text of a notebook, which may be a list of lines."""
    return "".join(of)


def outputs(cell):
    """(what kind of output, kind of data -> text) of a cell, without bars, which depend on the time and the place."""
    found = []
    for output in cell["outputs"]:
        data = output.get("data", {output.get("name"): output.get("text")})
        data = {kind: text(value) for kind, value in data.items()}
        bar = "\r" in data.get("stdout", "") or "application/vnd.jupyter.widget-view+json" in data
        if not bar and data.get("stdout", "…").strip():
            found.append((output["output_type"], data))
    return found


def test_the_notebook_is_small_and_as_it_was_run():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert NOTEBOOK.stat().st_size < 300_000
    assert notebook["metadata"].keys() == {"kernelspec", "language_info"}
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    code = cells(NOTEBOOK)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = {kind for cell in code for _, data in outputs(cell) for kind in data}
    assert kinds == {"text/plain", "text/html", "image/png", "stdout"}
    links = [
        link
        for cell in notebook["cells"]
        if cell["cell_type"] == "markdown"
        for link in re.findall(r"\]\((.*?)\)", text(cell["source"]))
    ]
    assert len(links) >= 3 and all("://" in link or (NOTEBOOK.parent / link).exists() for link in links)


def execute(notebook, out):
    """Execute a notebook by nbconvert in a process of its own; the cells of what comes out, none of which failed."""
    for module in ("nbconvert", "ipykernel"):
        pytest.importorskip(module)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", out, notebook]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    executed = cells(out / notebook.name)
    for cell in executed:
        assert all(output.get("name") != "stderr" for output in cell["outputs"]), cell["outputs"]  # nor warned
    return executed


EXACT = ("forward", "backward", "gan", "step")  # cells without a number that depends on rounding or on time


def words(data):
    """A text without numbers and widths, which depend on them."""
    return re.sub(r"[-−+]?\d[\d.,]*(e[-+]\d+)?|─+", "·", data).split()


@pytest.mark.slow
def test_the_notebook_runs_and_gives_what_it_shows(tmp_path):
    executed = execute(NOTEBOOK, tmp_path)
    stored = cells(NOTEBOOK)
    assert {cell["id"] for cell in stored} >= set(EXACT) and len(executed) == len(stored)
    for ours, theirs in zip(executed, stored, strict=True):
        if ours["id"] in EXACT:
            assert outputs(ours) == outputs(theirs)
        assert [(kind, data.keys()) for kind, data in outputs(ours)] == [
            (kind, data.keys()) for kind, data in outputs(theirs)
        ]
        for (_, new), (_, old) in zip(outputs(ours), outputs(theirs), strict=True):
            for kind in new.keys() - {"image/png"}:
                assert words(new[kind]) == words(old[kind]), ours["id"]
            if "image/png" in new:
                for png in (new, old):
                    pixels(base64.b64decode(png["image/png"]))
    assert float(outputs(executed[-1])[0][1]["stdout"].split()[-1]) < 0.2  # from the curve; untrained it is 0.8


def notebook_of(path, *sources):
    code = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    found = [code | {"id": f"c{i}", "source": source} for i, source in enumerate(sources)]
    path.write_text(json.dumps({"cells": found, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.mark.slow
def test_in_a_session_that_imports_numgan_alone_all_show_themselves(tmp_path):
    notebook = notebook_of(
        tmp_path / "session.ipynb",
        "import numpy as np\nimport numgan\nrng = np.random.default_rng(0)",
        "g = numgan.Sequential([numgan.Dense(2)], 3, rng)\ng",
        "d = numgan.Sequential([numgan.Dense(1), numgan.Sigmoid()], 2, rng)\ngan = numgan.GAN(g, d)\ngan",
        "bar = numgan.ProgressBar(400)\nhistory = gan.fit(rng.normal(size=(50, 2)), steps=400, rng=rng, callback=bar)",
        "history",
        "gan.generator_step(8)",
        "numgan.check_gradients(g, rng.normal(size=(4, 3)))",
        "from dataclasses import replace\nfrom numgan.study import recipes, runs\nsine = recipes.get('sine')\n"
        "run = runs.train(sine, replace(sine.settings, steps=20, snapshot_every=20))",
        "run",
    )
    _, network, game, fit, history, step, report, train, run = execute(notebook, tmp_path / "out")
    for cell in (network, game, step, report, run):
        ((kind, data),) = outputs(cell)
        assert kind == "execute_result" and data.keys() == {"text/plain", "text/html"}
        assert Page(data["text/html"]).tags
    ((_, data),) = outputs(history)
    assert data.keys() == {"text/plain", "image/png"} and data["text/plain"].startswith("over the last 100 of 400")
    pixels(base64.b64decode(data["image/png"]))
    assert outputs(run)[0][1]["text/html"].count("<img") == 3
    for cell, total in ((fit, 400), (train, 20)):
        shown = json.dumps(cell["outputs"])
        assert ("100%" in shown and f"{total}/{total}" in shown) or "widget-view" in shown
    assert "discriminator: loss" in shown  # what the run says, beside its bar
