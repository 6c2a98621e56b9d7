"""The page of `numgan explain … --html`: what is in it, and in a browser, that it works."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from numgan.kernels import dense
from numgan.study import explain, recipes
from numgan.study.explain.html import HERE, grid
from numgan.study.explain.mathml import equation
from numgan.study.explain.record import formula
from tests.study.test_explain import article, entries_of, small

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def calls_of(step):
    return [call for part in step["parts"] for strip in part["strips"] for call in strip]


def shown(value):
    """A number of the page's text, or NaN."""
    try:
        return float(value.replace("−", "-"))
    except ValueError:
        return np.nan


@pytest.fixture(scope="module")
def sine(tmp_path_factory):
    """The page of `sine` at the steps 0 and 10."""
    path, recipe = tmp_path_factory.mktemp("page") / "sine.html", recipes.get("sine")
    explain.as_page(explain.of_recipe(recipe, recipe.settings), path, 10)
    return path


def test_the_page_is_one_small_file_that_asks_for_nothing(sine):
    page = sine.read_text(encoding="utf-8")
    assert 50_000 < len(page.encode()) < 2_000_000
    assert "://" not in page and not re.search(r"<(link|img|iframe)|\bsrc=|@import|url\(|fetch\(|XMLHttp", page)
    assert "default-src 'none'" in page
    assert not re.search(r"\{\{\w+\}\}", page)


def test_its_data_are_the_recorded_steps(sine):
    data = data_of(sine.read_text(encoding="utf-8"))
    assert [step["step"] for step in data["steps"]] == [0, 10]
    recorder = explain.of_recipe(recipes.get("sine"), recipes.get("sine").settings).recorder
    for step, ahead in zip(data["steps"], (0, 9), strict=True):
        recorder.train(ahead)
        entries = entries_of(recorder.record(quotients=False))
        calls = calls_of(step)
        assert [call["kernel"] for call in calls] == [entry.name for entry in entries]
        for call, entry in zip(calls, entries, strict=True):
            assert call["skipped"] == entry.skipped and call["frozen"] == entry.frozen
            for told, numbers in zip(call["writes"], entry.writes.values(), strict=True):
                np.testing.assert_allclose(told["cells"], numbers.cells, rtol=6e-4)
                np.testing.assert_allclose(told["mean"], numbers.mean, rtol=6e-4, atol=1e-12)
                assert not told["counts"] or sum(told["counts"]) == len(numbers.points)
    plane = data["steps"][0]["plane"]
    assert len(plane["answers"]) == 48 * 36 and len(plane["real"]) == 128
    assert len(plane["made"]) == len(plane["gradient"]) == 64


def test_the_arrows_of_the_plane_are_the_gradient_that_the_discriminator_hands_back():
    recorder = explain.of_recipe(recipes.get("sine"), recipes.get("sine").settings).recorder
    samples = recorder.record(quotients=False)[1].samples
    gan, h = recorder.gan.copy(), 1e-3

    def loss(points):  # of each point, its share of the mean over 128
        z = np.log(gan.discriminator.predict(points).astype(float))
        return -z[:, 0] / 128

    for axis, move in enumerate(h * np.eye(2)):
        slopes = (loss(samples["made"] + move) - loss(samples["made"] - move)) / (2 * h)
        error = np.abs(slopes - samples["gradient"][:, axis])
        assert np.median(error) < 1e-6 and np.median(np.abs(slopes)) > 1e-5


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("mnist", "mnist-dcgan", "translate", "captions")]


@pytest.mark.parametrize("name", ["mnist-conditional", "ring", "sine-discriminator", *SLOW])
def test_other_recipes_have_pages_too(name, tmp_path):
    explain.as_page(explain.of_recipe(*small(name)), tmp_path / "page.html", 0, sample=1)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    (step,) = data_of(page)["steps"]
    assert len(page) < 2_000_000
    if name in ("ring", "sine-discriminator"):
        assert step["plane"]["real"] and ("made" in step["plane"]) == (name == "ring")
    else:
        pictures = step["pictures"]
        assert len(pictures["samples"]) == 4
        for sample in pictures["samples"]:
            assert len(sample["pixels"]) == len(sample["gradient"]) == np.prod(pictures["shape"])
            assert any(sample["gradient"])


def test_a_gather_shows_the_image_that_it_looks_at(tmp_path):
    recipe, settings = small("mnist-dcgan")
    recorder = explain.of_recipe(recipe, settings).recorder
    parts = recorder.record(sample=2, quotients=False)
    real = parts[0].samples["real"][2].reshape(28, 28)
    first = next(e for e in parts[0].entries if e.window and (e.network, e.direction) == ("discriminator", "forward"))
    np.testing.assert_array_equal(first.window.image, real)
    assert first.window.size == (4, 4) and first.window.positions == (14, 14) and first.window.strides == (2, 2)


def test_the_command_writes_it(tmp_path, call):
    status, out, err = call("explain", "sine", "--batch-size", "8", "--step", "0", "--html", "page.html")
    assert (status, out, err) == (0, "page.html\n", "")
    assert data_of((tmp_path / "page.html").read_text(encoding="utf-8"))["title"] == "sine: fresh weights of seed 0"
    status, out, err = call("explain", "sine", "--html", "page.html", "--layer", "dense_1")
    assert status == 2 and "--layer cannot be given with --html" in err
    status, out, err = call("explain", "sine", "--step", "0", "--html", "nowhere/page.html")
    assert status == 2 and "nowhere" in err


def test_the_steps_looked_into_are_powers_of_ten_and_the_last():
    assert [grid(n) for n in (0, 1, 10, 1000, 250)] == [[0], [0, 1], [0, 10], [0, 10, 100, 1000], [0, 10, 100, 250]]


# ---------------------------------------------------------------------------------------------------- formulas


SQUARE = "<msup><mi>y</mi><mrow><mn>2</mn></mrow></msup>"
SUM = "<mrow><mo>(</mo><mi>σ</mi><mo>+</mo><mi>ε</mi><mo>)</mo></mrow>"
POWER = "<mrow><mo>−</mo><msub><mi>x</mi><mrow><mi>i</mi></mrow></msub></mrow>"


@pytest.mark.parametrize(
    ("text", "mathml", "rest"),
    [
        ("dx = 1 − y².", f"<mi>dx</mi><mo>=</mo><mn>1</mn><mo>−</mo>{SQUARE}", ""),
        ("s = √(σ + ε), as it is.", f"<mi>s</mi><mo>=</mo><msqrt>{SUM}</msqrt>", "as it is."),
        ("y = e^−x_i where x > 0.", f"<mi>y</mi><mo>=</mo><msup><mi>e</mi>{POWER}</msup>", "where x > 0."),
        ("y ← W·[x; 1]ᵀ", "<mi>y</mi><mo>←</mo><mi>W</mi><mo>·</mo><msup><mrow><mo>[</mo><mi>x</mi><mo>;</mo>"
         "<mn>1</mn><mo>]</mo></mrow><mrow><mi>T</mi></mrow></msup>", ""),
    ],
)  # fmt: skip
def test_an_equation_becomes_mathml(text, mathml, rest):
    assert equation(text) == (f'<math display="block"><mrow>{mathml}</mrow></math>', rest)


@pytest.mark.parametrize(
    "text", ["One step of Adam.", "index = the nearest number.", "y = (x.", "y = x^", "x?y = 1", ""]
)
def test_what_cannot_be_read_stays_text(text):
    assert equation(text) == ("", text)


def test_no_letter_of_an_equation_is_lost():
    math, rest = equation(formula(dense.dense_forward))
    assert re.sub(r"<[^>]+>", "", math) == "y=[Wb]·[x;1]" and rest == "the affine map of [GBC] eq. 6.1."


# ------------------------------------------------------------------------------------------------------- the look


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_contrast_is_as_wcag_aa_asks(mode):
    style = (HERE / "page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[mode == "dark"]))

    def light(name):
        parts = np.array([int(colours[name][i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722) + 0.05

    text = [(a, b) for a in ("ink", "quiet") for b in ("paper", "field", "chosen", "frozen")]
    text += [(a, b) for a in ("generator", "discriminator") for b in ("paper", "frozen")]
    text += [(a, "paper") for a in ("real", "made")]
    for a, b in text:
        assert max(light(a), light(b)) / min(light(a), light(b)) >= 4.5, (a, b)
    moving = style.partition("@media (prefers-reduced-motion: no-preference)")[0]
    assert not re.search("transition|animation|smooth", moving)  # nothing moves unless it may
    assert max(light("bar"), light("field")) / min(light("bar"), light("field")) >= 3


# ---------------------------------------------------------------------------------------------------- in a browser

VISIT = """
const found = { errors: window.errors, calls: [], canvas: null };
const text = (e) => e.textContent.trim();
const look = () => ({
  heading: text(document.querySelector("#call h2")),
  math: document.querySelectorAll("#call math").length,
  why: document.querySelector("#call .why") && text(document.querySelector("#call .why")),
  rows: [...document.querySelectorAll("#call .rows tbody tr")].map((row) =>
    [row.querySelector("th").firstChild.textContent, ...[...row.querySelectorAll("td")].map(text)]),
  certificates: [...document.querySelectorAll("#call .gradient")].map((g) => {
    const c = document.getElementById(g.getAttribute("aria-describedby"));
    const before = getComputedStyle(c).display;
    g.focus();
    return [text(g), before, getComputedStyle(c).display, text(c)];
  }),
});
const buttons = () => [...document.querySelectorAll("button.call")];
const inOrder = () => buttons().sort(({ dataset: a }, { dataset: b }) => a.part - b.part || a.call - b.call);
for (const b of inOrder()) { b.click(); found.calls.push(look()); }
found.pressed = document.querySelectorAll('button.call[aria-pressed="true"]').length;
const gathers = buttons().filter((b) => text(b).startsWith("gather"));
found.patches = gathers.slice(0, 1).map((b) => {
  b.click();
  const canvas = document.querySelector("#call .window canvas"), patch = document.querySelector("#call .patch");
  const before = text(patch);
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  const moved = text(patch), box = canvas.getBoundingClientRect();
  const there = { clientX: box.left + box.width / 4, clientY: box.top + box.height / 4 };
  canvas.dispatchEvent(new PointerEvent("pointermove", there));
  return [before, moved, text(patch)];
});
found.frozen = document.querySelectorAll("td.frozen button.call").length;
const [first, second] = inOrder();
first.focus();
first.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
found.arrow = document.activeElement === second && look().heading;
first.click();
found.before = [look(), text(document.getElementById("done"))];
const slider = document.getElementById("step");
slider.value = slider.max;
slider.dispatchEvent(new Event("input"));
found.after = [look(), text(document.getElementById("done"))];
const canvas = document.querySelector("#ends canvas");
const drawn = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
const pixels = new Set(new Uint32Array(drawn.data.buffer));
found.canvas = [pixels.size, canvas.getAttribute("aria-label")];
document.documentElement.style.width = "390px";
const blocks = [...document.querySelectorAll("header > *, main > *, #chain > *, #side > * > *")];
found.widest = Math.max(...blocks.map((block) => block.getBoundingClientRect().right));
const pre = document.createElement("pre");
pre.id = "found";
pre.textContent = JSON.stringify(found);
document.body.replaceChildren(pre);
"""


def visit(page, directory):
    """What a browser finds: the page is opened, and VISIT run in it."""
    catch = "window.errors = []; window.onerror = (e) => { window.errors.push(String(e)); };"
    catch += "document.addEventListener('securitypolicyviolation', (e) => window.errors.push(e.blockedURI));"
    text = page.replace("<title>", f"<script>{catch}</script><title>", 1).replace(
        "</body>", f"<script>{VISIT}</script></body>"
    )
    (directory / "visit.html").write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={directory / 'profile'}"]
    options += ["--window-size=500,900", "--virtual-time-budget=10000", "--dump-dom"]
    address = (directory / "visit.html").as_uri()
    done = subprocess.run([BROWSER, *options, address], capture_output=True, text=True, timeout=180)
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)[1]))


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_in_a_browser_every_call_opens_and_shows_its_numbers(sine, tmp_path):
    page = sine.read_text(encoding="utf-8")
    found, data = visit(page, tmp_path), data_of(page)
    assert found["errors"] == []
    calls = calls_of(data["steps"][0])
    assert len(found["calls"]) == len(calls) == 42
    for look, call in zip(found["calls"], calls, strict=True):
        assert call["kernel"] in look["heading"]
        assert bool(look["math"]) == bool(data["kernels"][call["kernel"]]["math"])
        assert look["why"] == (f"skipped: {call['skipped']}" if call["skipped"] else None)
        told = [] if call["skipped"] else [*call["reads"], *call["writes"]]
        assert [row[0] for row in look["rows"]] == [numbers["name"] for numbers in told]
        for (_, *cells, _, mean, spread, _, _), numbers in zip(look["rows"], told, strict=True):
            values = [*(shown(cell) for cell in cells if cell), shown(mean), shown(spread)]
            expected = [*numbers["cells"][:3], numbers["mean"], numbers["spread"]]
            np.testing.assert_allclose(values, expected, rtol=6e-3, atol=1e-300)
    samples, gradients = article()
    for (number, name), array in {**samples, **gradients}.items():
        row = next(row for row in found["calls"][number - 1]["rows"] if row[0] == name)
        own = array[0, :3] if (number, name) in samples else array.ravel()[:3]
        cells = [shown(cell) for cell in row[1:4] if cell]
        np.testing.assert_allclose(cells, own, rtol=6e-3, atol=1e-6)
    assert found["pressed"] == 1 and found["frozen"] == sum(call["frozen"] for call in calls) > 5
    assert found["arrow"] == found["calls"][1]["heading"]
    assert found["widest"] <= 391


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_in_a_browser_the_slider_changes_the_numbers_and_a_gradient_shows_its_difference(sine, tmp_path):
    found = visit(sine.read_text(encoding="utf-8"), tmp_path)
    (before, at), (after, then) = found["before"], found["after"]
    assert (at, then) == ("0 steps of training", "10 steps of training")
    assert before["heading"] == after["heading"] and before["rows"] != after["rows"]
    certificates = [c for call in found["calls"] for c in call["certificates"]]
    assert len(certificates) >= 8
    for gradient, hidden, seen, text in certificates:
        assert (hidden, seen) == ("none", "block")
        by_hand = shown(re.search(r"by hand +(\S+)", text)[1])
        assert shown(gradient.split("= ")[1]) == pytest.approx(by_hand, rel=1e-4)
        if limit := re.search(r"as h shrinks +→ (\S+) ±", text):
            assert shown(limit[1]) == pytest.approx(by_hand, rel=1e-7)
    colours, said = found["canvas"]
    assert colours > 50 and "64 real and 32 made points" in said


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_in_a_browser_a_convolution_shows_the_patch_under_the_pointer(tmp_path):
    explain.as_page(explain.of_recipe(*small("mnist-dcgan")), tmp_path / "page.html", 0)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    found, (step,) = visit(page, tmp_path), data_of(page)["steps"]
    assert found["errors"] == [] and len(found["calls"]) == len(calls_of(step))
    window = next(call["window"] for call in calls_of(step) if "window" in call)
    image, (top, left) = np.array(window["image"]).reshape(-1, window["width"]), window["before"]
    image = np.pad(image, 8, constant_values=np.nan)
    there = [(28 // 4 + before - 4 // 2) // 2 for before in (top, left)]  # the window whose middle is there
    for text, (i, j) in zip(found["patches"][0], [(0, 0), (0, 1), there], strict=True):
        head, *lines = text.splitlines()
        assert head.startswith(f"P[0, u, v, {i}, {j}]")
        cells = [[shown(cell) for cell in line.split()] for line in lines]
        r, q = 8 + 2 * i - top, 8 + 2 * j - left
        np.testing.assert_allclose(cells, image[r : r + 4, q : q + 4], rtol=6e-3)
