"""The exercises: every solution is right, every classic mistake is not, and whatever a file holds, an answer comes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from numgan import cli
from numgan.gradcheck.faults import FAULTS
from numgan.study.exercises import sheet
from numgan.study.exercises.answer import AnswerError, check
from numgan.study.exercises.catalogue import EXERCISES

EMPTY = "    raise NotImplementedError  # your lines instead of this one\n"
FIRST, *_, LAST = EXERCISES
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """`numgan exercise` in tmp_path: (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        try:
            status = cli.main(["exercise", *arguments])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def answered(call):
    """A body, or a whole file, put into the file of an exercise and checked."""

    def answered(name, body=None, whole=None):
        path = Path(f"{name}.py")
        if not path.exists():
            assert call(name)[0] == 0
        fresh = sheet.text(EXERCISES[name], 1, len(EXERCISES))
        path.write_text(fresh.replace(EMPTY, f"    {body}\n") if whole is None else whole, encoding="utf-8")
        return call(name, "--check")

    return answered


def assert_one_sentence(answer, *phrases, status=1):
    code, out, err = answer
    assert (code, out) == (status, ""), err
    assert err.startswith("numgan exercise: ") and err.count("\n") == 1, err
    for phrase in phrases:
        assert phrase in err


# ---------------------------------------------------------------------------------------------------- right and empty


def test_there_are_fifteen_from_dense_to_the_gradient_penalty():
    assert len(EXERCISES) == 15 and (FIRST, LAST) == ("dense_weights", "gradient_penalty")
    assert len({e.kernel for e in EXERCISES.values()}) == 15
    assert all(2 <= len(e.hints) <= 3 for e in EXERCISES.values())


@every_exercise
def test_the_kernel_itself_solves_it_and_the_empty_file_does_not(exercise, call):
    status, out, _ = call(exercise.name)
    assert status == 0 and out.startswith(f"{exercise.name}.py: write the body of {exercise.kernel.__name__}")
    assert_one_sentence(call(exercise.name, "--check"), "is still empty")
    kernel = exercise.kernel
    with open(f"{exercise.name}.py", "a", encoding="utf-8") as file:
        file.write(f"\n\nfrom {kernel.__module__} import {kernel.__name__}\n")
    status, out, err = call(exercise.name, "--check")
    assert (status, err) == (0, "")
    assert re.match(rf"{exercise.name}: right, all \d+ numbers to \de-\d\d; next: numgan exercise \w+\n$", out)


@every_exercise
def test_the_file_holds_the_task_and_not_the_answer(exercise):
    text, kernel = sheet.text(exercise, 1, 15), exercise.kernel
    given, yours = text.split(f"def {kernel.__name__}(")
    assert yours.count(sheet.BLANK) >= sum("…" not in blank.split() for blank in exercise.blanks) > 0
    assert not any(blank in yours for blank in exercise.blanks)
    assert yours.endswith(f'"""\n{EMPTY}')
    defined = {}
    exec(compile(text, "sheet", "exec"), defined)  # it runs as it is
    for above in exercise.above:
        assert sheet.source(above) in given and callable(defined[above.__name__])
    assert defined[kernel.__name__].__code__.co_varnames == tuple(sheet.inspect.signature(kernel).parameters)
    # the docstring is the kernel's own, but for what is left out
    left = re.split(rf"{sheet.BLANK}|\n", defined[kernel.__name__].__doc__)
    assert all(part.strip() in kernel.__doc__ for part in left)


# ----------------------------------------------------------------------------------------------------------- mistakes

# exercise -> a planted fault of its kernel, and what is said of it
MISTAKES = {
    "dense_weights": (
        "bias gradient averaged instead of summed",
        "only in column 3, by the factor 0.2, looks like: 1/",
    ),
    "dense_input": ("input gradient reversed along the features", "looks like: reversed along axis 0"),
    "leaky_relu": ("backward pass of a plain relu", "a ReLU's mask, with no slope below 0"),
    "tanh": ("derivative taken at the output, 1 − tanh²(y)", "tanh's slope taken at the output"),
    "bce_logits": ("logit gradient not divided by the batch size", "by the factor 12, looks like: missing 1/count"),
    "bce": ("gradient flows beyond the clip", "with probabilities beyond the clip"),
    "batch_norm_parameters": ("β's gradient averaged instead of summed", "looks like: 1/N once too often"),
    "batch_norm_input": ("without the mean's share of the gradient", "a mean's share along axis 1 forgotten"),
    "softmax": ("gradient divided by the number of classes as well", "by the factor 0.25, looks like: 1/n once too"),
    "embedding": ("out[index] += dy, which counts an index that repeats once", "only in column 0, 3"),
    "dropout": ("no mask on the way back", "∂L/∂y passed on as it came"),
    "convolution": ("where windows overlap the last one overwrites the others", "68 of 80 numbers are wrong"),
    "skip": ("the two gradients are averaged", "by the factor 0.5"),
    "adam": ("ε inside the root", "theta (6): 6 of 6 numbers are wrong"),
    "gradient_penalty": ("not divided by the batch size", "by the factor 5, looks like: missing 1/N"),
}


def faults_of(exercise):
    own = [f for f in FAULTS if getattr(f.owner, f.attribute, None) is exercise.kernel]
    return [f for f in own if f.chapter != "replicas"]  # of which an exercise has none


@every_exercise
def test_a_planted_fault_is_told_by_its_numbers_and_its_name(exercise):
    name, remark = MISTAKES[exercise.name]
    (fault,) = (f for f in faults_of(exercise) if f.name.endswith(f": {name}"))
    report, wrong = check(exercise, fault.replacement)
    assert not report.passed
    said = "\n".join(wrong)
    assert remark in said
    named = re.search("a classic mistake gives the same numbers: (.*)", said)[1]
    twins = ("of an index that repeats, the last gradient alone",)  # which gives the same where it is added to nothing
    assert named == name or named in twins


# what one trial cannot show: another input, a square matrix, images, a bias
UNSEEN = ("stale copy", "without the transpose", "image", "transposed convolution: no bias", "the bias ")


@pytest.mark.slow
@every_exercise
def test_every_planted_fault_of_the_kernel_is_noticed(exercise):
    for fault in faults_of(exercise):
        try:
            passed = check(exercise, fault.replacement)[0].passed
        except (AnswerError, ValueError):  # a sentence, or shapes that do not fit
            passed = False
        assert passed == any(words in fault.name for words in UNSEEN), fault.name


def test_where_it_is_wrong_is_drawn(answered):
    status, out, _ = answered("dense_weights", "np.matmul(dy, x1ᵀ, out=out); out[1, 3] *= 5")
    assert status == 1
    assert "  weight (2 × 4): 1 of 8 numbers are wrong, the worst at [1, 3]: yours" in out
    assert "      · · · ·\n      · · · x\n" in out and out.endswith("stuck? numgan exercise dense_weights --hint\n")


@pytest.mark.parametrize(
    ("name", "body", "phrase"),
    [
        ("softmax", "e = np.exp(z); out[...] = (e / e.sum(0) - target) / z.shape[1]", "with logits of 1000"),
        ("bce_logits", "e = np.exp(z); out[...] = 2 * half_over_count * (e / (1 + e) - 0.5) + offset", "of ±1000"),
        ("bce", "out[...] = (p - target) / (p * (1 - p)) / p.size", "ε = 0.01"),
        ("gradient_penalty", "out[...] = two_weight_over_count * (1 - 1 / norm) * gradient", "whose gradient is 0"),
        ("leaky_relu", "x = np.where(y > 0, y, y / slope); out[...] = dy * y / x", "with zeros among x"),
    ],
)  # fmt: skip
def test_what_only_fails_at_special_numbers_is_found_there(name, body, phrase, answered):
    assert_one_sentence(answered(name, body), f"{name}.py: the result for", "is not finite at [", phrase)


def test_slow_answers_that_allocate_are_right_too(answered):
    loop = "out[...] = 0\n    for k in range(len(index)):\n        out[:, index[k]] += dy[:, k]"
    assert answered("embedding", loop)[0] == 0
    taps = (
        "out[...] = start\n    for tap, inside, pixels, _ in taps_of(patches.shape, out.shape[1:3], strides, before):"
    )
    assert answered("convolution", f"{taps}\n        out[pixels] += patches[tap][inside]")[0] == 0
    body = "y = dy - dbeta / 7 - centred * inv_std * dgamma / 7\n    out[...] = scale * y"
    assert answered("batch_norm_input", body)[0] == 0


# ------------------------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("body", "phrase"),
    [
        ("...", "left as it was before the call, all of it"),
        ("out[:1] = 0", "left as it was before the call at [1, 0]"),
        ("out.fill(np.nan)", "the result for weight is not finite, all of it"),
        ("out[...] = dy @ x1ᵀ; out[0, 1] = np.inf", "not finite at [0, 1]"),
        ("return dy @ x1ᵀ", "returns its result; write it to the array"),
        ("out[...] = (dy @ x1ᵀ).T", "(given dy (2, 5), x1ᵀ (5, 4), out (2, 4))"),
        ("dy *= 2; np.matmul(dy, x1ᵀ, out=out)", "ValueError: output array is read-only"),
        ("out[...] = nothing", "dense_weights.py, line 39: NameError: name 'nothing' is not defined"),
        ("exit()", "SystemExit"),
    ],
)
def test_a_body_that_cannot_be_judged_gets_one_sentence(body, phrase, answered):
    assert_one_sentence(answered("dense_weights", body), "dense_weights.py", phrase)


@pytest.mark.parametrize(
    ("whole", "phrase"),
    [
        ("def dense_backward_weight(:\n", "dense_weights.py, line 1: invalid syntax"),
        ("x = 1\0", "null bytes"),
        ("", "defines no function dense_backward_weight"),
        ("dense_backward_weight = 3\n", "defines no function dense_backward_weight"),
        ("\n1 / 0\n", "dense_weights.py, line 2: ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)\n", "dense_weights.py, line 1: SystemExit: 0"),
        ("import nowhere\n", "ModuleNotFoundError"),
        ("def dense_backward_weight(dy, x1ᵀ): ...\n",
         "expected dense_backward_weight(dy, x1ᵀ, out, product=np.matmul), got dense_backward_weight(dy, x1ᵀ)"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_run_gets_one_sentence(whole, phrase, answered):
    assert_one_sentence(answered("dense_weights", whole=whole), phrase)


def test_a_file_that_is_none_gets_one_sentence(call, tmp_path):
    assert_one_sentence(call("tanh", "--check"), "tanh.py is not there; numgan exercise tanh writes it")
    (tmp_path / "tanh.py").mkdir()
    assert_one_sentence(call("tanh", "--check"), "tanh.py: cannot be read: it is a directory")
    assert_one_sentence(call("tanh"), "tanh.py is there already")


def test_nothing_that_is_there_is_overwritten(call, tmp_path):
    (tmp_path / "tanh.py").write_text("my answer\n")
    os.symlink("nowhere", tmp_path / "bce.py")
    for name in ("tanh", "bce"):
        assert_one_sentence(call(name), f"{name}.py is there already and stays as it is")
    assert (tmp_path / "tanh.py").read_text() == "my answer\n" and not (tmp_path / "nowhere").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"tanh.py", "bce.py"}


@pytest.mark.parametrize("arguments", [("nothing",), ("--check",), ("--hint",), ("--solution",)])
def test_a_bad_call_says_which_exercises_there_are(arguments, call):
    assert_one_sentence(call(*arguments), ", ".join(EXERCISES), status=2)


# --------------------------------------------------------------------------------------------- progress and hints


def test_progress_is_kept_and_the_next_one_named(call, answered):
    answered("tanh", "out[...] = dy * (1 - y * y)")
    status, out, _ = call()
    lines = out.splitlines()
    assert status == 0 and [line.split()[1] for line in lines[:15]] == list(EXERCISES)
    assert [line for line in lines[:15] if line.endswith("solved")] == [lines[3]]
    assert lines[-1] == "1 of 15 solved in this folder; next: numgan exercise dense_weights"
    assert "next: numgan exercise leaky_relu" in answered("dense_input", "np.matmul(weightᵀ, dy, out=out1)")[1]
    answered("tanh", "out[...] = dy")  # what was solved stays solved
    assert json.loads(Path("exercises.json").read_text()) == {
        name: {"solved": True, "hints": 0} for name in ("dense_input", "tanh")
    }


def test_the_last_one_solved_ends_the_list(call, answered):
    standing = {name: {"solved": True, "hints": 0} for name in EXERCISES if name != "dropout"}
    Path("exercises.json").write_text(json.dumps(standing))
    assert answered("dropout", "np.multiply(dy, keep, out=out)")[1].endswith(", all of them\n")
    assert call()[1].endswith("15 of 15 solved in this folder, all of them\n")


def test_hints_come_one_by_one_and_the_solution_last(call):
    hints = EXERCISES["tanh"].hints
    for given in (1, 2, 3, 3):
        status, out, _ = call("tanh", "--hint")
        assert status == 0 and out.count("hint ") == given and (f"hint {given} of 3: {hints[given - 1][:30]}" in out)
        assert ("--solution prints the kernel" in out) == (given == 3)
    assert "3 of 3 hints" in call()[1]
    status, out, _ = call("tanh", "--solution")
    assert status == 0 and "np.subtract(1, temp, out=temp)\n    np.multiply(dy, temp, out=out)\n" in out
    assert not Path("tanh.py").exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"tanh": 1}', '{"tanh": {"solved": 1, "hints": 0}}', '{"tanh": {"hints": -1}}', '{"a": {}}'],
)
def test_a_damaged_file_of_progress_is_left_alone(text, call):
    Path("exercises.json").write_text(text)
    for arguments in ((), ("tanh", "--hint")):
        assert_one_sentence(call(*arguments), "exercises.json is not a file of progress")
    assert Path("exercises.json").read_text() == text


def test_a_session_of_real_processes(tmp_path):
    def numgan(*arguments):
        return subprocess.run([sys.executable, "-m", "numgan", "exercise", *arguments], cwd=tmp_path, timeout=120,
                              capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONUTF8": "1"})  # fmt: skip

    assert numgan("skip").returncode == 0
    path = tmp_path / "skip.py"
    path.write_text(path.read_text(encoding="utf-8").replace(EMPTY, "    out += share\n"), encoding="utf-8")
    done = numgan("skip", "--check")
    assert (done.returncode, done.stderr) == (0, "") and "skip: right, all 24 numbers" in done.stdout
    assert {entry.name for entry in tmp_path.iterdir()} == {"skip.py", "exercises.json"}


def test_results_are_the_same_at_every_call():
    for exercise in EXERCISES.values():
        trial = exercise.trials[0]()
        first, second = (trial.results(exercise.kernel) for _ in range(2))
        assert all(np.array_equal(first[name], second[name]) for name in first)
