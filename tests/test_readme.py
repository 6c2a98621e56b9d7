"""The README's own examples run and do what it says they do; its links lead somewhere."""

import contextlib
import functools
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import numgan
from numgan import cli
from numgan.gradcheck import faults
from numgan.nn.registry import LAYERS
from numgan.study import checks, explain, recipes
from numgan.study.exercises.catalogue import EXERCISES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SUBCOMMANDS = next(action.choices for action in cli.parser()._actions if action.dest == "command")
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


@pytest.mark.parametrize("document, least", [("README.md", 15), ("CONTRIBUTING.md", 10)])
def test_links_lead_to_files(document, least):
    prose = re.sub(r"```.*?```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", prose) if "://" not in link]
    assert len(links) > least
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_changelog_names_only_what_there_is():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    names, options = set(re.findall(r"`([A-Z]\w+)`", text)), set(re.findall(r"`(--[a-z-]+)`", text))
    commands = set(re.findall(r"`numgan ([a-z]+)", text))
    assert len(names) > 20 and names <= {*numgan.__all__}
    # every command shows its own options in its help
    helps = "".join(sub.format_help() for sub in SUBCOMMANDS.values())
    assert options and commands <= SUBCOMMANDS.keys() and all(option in helps for option in options)


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


# ------------------------------------------------------------------------------------------------- the learning path

PATH = re.search(r"\n## Learning path\n.*?(?=\n## )", README, re.DOTALL)[0]
ANSWERS = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PATH, re.DOTALL)  # (command, its output, parts left out)
# a decimal number, one in powers of ten, or a share: what rounds, and so may differ a little from machine to machine
NUMBER = r"-?\d[\d,]*\.\d+(?:e[+-]?\d+)?|-?\d+e[+-]?\d+|-?\d+(?=%)"
KNOWN = {*recipes.RECIPES, *checks.TARGETS, *faults.CHAPTERS, *EXERCISES}  # what a command of the table can name
MEASURED = ("numgan profile", "numgan train")  # whose numbers are the machine's own: their places alone are compared


def test_the_path_s_files_have_the_lengths_it_states():
    rows = re.findall(r"^\| (\d+) \| \[`.*?`\]\((.*?)\) \| (\d+) \|", PATH, re.MULTILINE)
    assert [int(i) for i, *_ in rows] == [*range(1, len(rows) + 1)] and len(rows) > 10
    lengths = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for _, name, _ in rows}
    assert {name: int(lines) for _, name, lines in rows} == lengths
    assert f"about {round(sum(lengths.values()), -2):,} lines" in PATH


def test_what_the_path_says_to_run_can_be_run():
    table = "".join(re.findall(r"^\|.*\n", PATH, re.MULTILINE))
    commands = re.findall(r"`((?:numgan|python) .*?)`", table)
    assert len(commands) > 15
    for command in commands:
        program, *words = shlex.split(command)
        if program == "numgan":
            arguments = vars(cli.parser().parse_args(words))
            named = [arguments.get(name) for name in ("recipe", "what", "name")]
            named += [*arguments.get("targets", ()), arguments.get("faults")]
            assert {name for name in named if name} <= KNOWN, command
        else:
            assert (ROOT / words[0]).exists(), command


def test_there_are_twelve_questions_each_answered_by_one_command():
    questions = re.findall(r"^<details><summary>(.*\?)</summary>$", PATH, re.MULTILINE)
    assert len(questions) == len(set(questions)) == len(ANSWERS) == PATH.count("</details>") == 12


def output(command):
    program, *words = shlex.split(command)
    if program == "python":
        assert words[0] == "-c"
        return run(words[1])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert cli.main(words) == 0
    return printed.getvalue()


def alike(shown, happened, measured=False):
    """Whether a line is as it is shown: its words and whole numbers; `…` stands for anything, spaces and rules are of
    any length, other numbers are near. What is rounding beside zero may be other rounding.
    """
    pattern, numbers = "", []
    for part in re.findall(rf"(?P<number>{NUMBER})|(?P<any> ?…)|(?P<space>\s+)|(?P<rule>─+)|(?P<text>.)", shown):
        number, any_, space, rule, text = part
        numbers += [number] if number else []
        pattern += f"({NUMBER})" if number else ".*" if any_ else r"\s+" if space else "─+" if rule else re.escape(text)
    found = re.fullmatch(pattern, happened)
    if not found or measured:
        return bool(found)
    ours, theirs = ([float(number.replace(",", "")) for number in column] for column in (numbers, found.groups()))
    return bool(np.allclose(ours, theirs, rtol=0.02, atol=1e-9))


def told(shown, happened, measured=False):
    """Whether lines are what happened, `…` standing for any number of them."""

    @functools.cache
    def rest(i, j):
        if i == len(shown):
            return j == len(happened)
        if shown[i] == "…":
            return any(rest(i + 1, k) for k in range(j, len(happened) + 1))
        return j < len(happened) and alike(shown[i], happened[j], measured) and rest(i + 1, j + 1)

    return rest(0, 0)


SLOW = ("mnist", "numgan train")


@pytest.mark.parametrize(
    "command, shown",
    [pytest.param(*a, marks=[pytest.mark.slow] * any(word in a[0] for word in SLOW), id=a[0]) for a in ANSWERS],
)
def test_the_answer_is_what_the_command_prints(command, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    happened = output(command)
    assert len(shown.splitlines()) > 2 and told(shown.splitlines(), happened.splitlines(), command.startswith(MEASURED))


def test_an_answer_that_is_another_is_noticed():
    """By words, by whole numbers, by other numbers, by lines too many or too few."""
    printed = ["25×3 · 3×64 in 1.50 µs, 30%", "a", "b", "c"]
    assert told(["25×3 · 3×64  in 1.51 µs, 30%", "…", "c"], printed) and told(["25×3 …", "a", "b", "c"], printed)
    for wrong in ("25×4 · 3×64 in 1.50 µs, 30%", "25×3 · 3×64 in 1.60 µs, 30%", "25×3 · 3×64 in 1.50 ms, 30%", "25×3"):
        assert not told([wrong, "…"], printed)
    assert told(["25×3 · 3×64 in 9.99 µs, 1%", "…"], printed, measured=True)
    assert not told(["…", "b"], printed) and not told(["…", "b", "a", "…"], printed)
