"""The README's own examples run and do what it says they do; its links lead somewhere."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np

from numgan import cli
from numgan.gradcheck import faults
from numgan.nn.registry import LAYERS
from numgan.study import explain, recipes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(code):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    return printed.getvalue()


def test_the_ten_lines_train_a_gan():
    lines = [line for line in EXAMPLES[0].splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) <= 10
    losses = re.fullmatch(r"discriminator (\d\.\d\d), generator (\d\.\d\d), \(16, 784\)\n", run(EXAMPLES[0]))
    assert losses and all(0 < float(loss) < 9 for loss in losses.groups())


def test_the_wrong_gradient_is_caught():
    printed = run(EXAMPLES[1])
    assert "FAIL" in printed and "FAILED: 12 numbers" in printed
    assert "FAIL" not in run(EXAMPLES[1].replace("3 * x * dy", "3 * x**2 * dy"))


def test_the_other_examples_run():
    whole = [code for code in EXAMPLES[2:] if code.startswith("import")]
    assert len(whole) >= 3
    printed = "".join(run(code) for code in whole)
    assert "gradient norm" in printed and "(16, 784)" in printed


def test_links_lead_to_files():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", prose) if "://" not in link]
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_number_of_faults_is_right():
    assert f"numgan gradcheck --faults    # plants {len(faults.FAULTS)} classic" in README


def stops():
    """The plain door: (stop, number of lines it states) of each of its four rows."""
    rows = re.findall(r"^\| (\d)\. (.*?) \| (\d+) \|", README, re.MULTILINE)
    return [(what, int(lines)) for _, what, lines in rows]


def test_the_plain_door_has_four_stops_of_the_lengths_it_states():
    (kernel, first), (demo, second), (layer, third), (step, fourth) = stops()
    for text, lines in ((kernel, first), (demo, second)):
        path = ROOT / re.search(r"\]\((.*?)\)", text)[1]
        assert len(path.read_text(encoding="utf-8").splitlines()) == lines, path
    assert "#check-a-gradient-yours-or-ours" in layer
    cube = re.search(r"class Cube\(Layer\):\n(?:(?:    .*)?\n)+?(?=\n\n)", EXAMPLES[1])[0]
    assert len([line for line in cube.splitlines() if line]) == third
    assert step == "`numgan summary sine --step`"
    recipe = recipes.get("sine")
    gan = recipe.build(recipe.settings, np.random.default_rng(0), "float32")
    rows = recipe.settings.batch_size
    assert len(gan.discriminator_step(rows // 2).calls) + len(gan.generator_step(rows).calls) == fourth


def test_the_session_of_an_exercise_is_what_happens(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (session,) = re.findall(r"### Exercises\n.*?```console\n(.*?)```", README, re.DOTALL)
    happened, body = "", "raise NotImplementedError  # your lines instead of this one"
    for line in re.findall(r"^[$#] .*\n", session, re.MULTILINE):
        happened += line
        if line.startswith("$"):
            cli.main(line.split()[2:])
            happened += capsys.readouterr().out
        else:
            name, instead = re.fullmatch(r"# in (.*?): (.*)\n", line).groups()
            text = Path(name).read_text(encoding="utf-8")
            assert body in text
            Path(name).write_text(text.replace(body, instead), encoding="utf-8")
            body = instead
    rounding = r"\de-\d\d"
    assert re.sub(rounding, "", happened) == re.sub(rounding, "", session) and re.search(rounding, happened)


def test_every_layer_is_named():
    assert [name for name in LAYERS if f"`{name}`" not in README] == []


def test_the_told_step_begins_as_it_is_printed():
    shown = re.search(r"`numgan explain sine` tells.*?```text\n(.*?)```", README, re.DOTALL)[1]
    sine = recipes.get("sine")
    told = explain.in_words(explain.of_recipe(sine, sine.settings))
    assert told.startswith(shown) and shown.count("\n") > 12
