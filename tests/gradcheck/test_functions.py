"""Anyone's function and gradient, adjoints, and code of one's own from the command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numgan import Error, check_adjoint, check_gradients
from numgan.cli import main
from tests.helpers import rng


def logsumexp(x):
    m = x.max(axis=1, keepdims=True)
    return np.log(np.exp(x - m).sum(axis=1)) + m[:, 0]


def logsumexp_gradient(x, dy):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return dy[:, None] * e / e.sum(axis=1, keepdims=True)


FUNCTIONS = {
    "a number": (lambda x: float((x**3).sum()), lambda x: 3 * x**2),
    "an array": (np.sin, lambda x, dy: np.cos(x) * dy),
    "rows to numbers": (logsumexp, logsumexp_gradient),
    "a list": (lambda x: [float(x.sum()), float((x**2).sum())], lambda x, dy: dy[0] + 2 * x * dy[1]),
    "a 0-d array": (lambda x: np.array(x.prod()), lambda x: x.prod() / x),
    "another shape": (lambda x: x @ x.T, lambda x, dy: (dy + dy.T) @ x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_right_gradient_passes_and_any_other_fails(name):
    f, gradient = FUNCTIONS[name]
    x = rng().normal(size=(4, 3))
    report = check_gradients(f, x, gradient=gradient)
    report.raise_for_failure()
    assert report.rows[0].certified == report.rows[0].checked == 12
    for wrong in (
        lambda *a: 2 * np.asarray(gradient(*a)),
        lambda *a: -np.asarray(gradient(*a)),
        lambda *a: np.asarray(gradient(*a)) * np.where(np.arange(12).reshape(4, 3) == 7, 1 + 1e-6, 1),
        lambda *a: np.zeros((4, 3)),
        lambda *a: np.flip(gradient(*a), 0),
        lambda *a: np.full((4, 3), np.nan),
    ):
        assert not check_gradients(f, x, gradient=wrong).passed


def test_named_arrays_are_keyword_arguments():
    def affine(weight, bias, x):
        return weight @ x + bias[:, None]

    def affine_gradient(weight, bias, x, dy):
        return {"weight": dy @ x.T, "bias": dy.sum(axis=1), "x": weight.T @ dy}

    x = {"weight": rng(1).normal(size=(2, 3)), "bias": rng(2).normal(size=2), "x": rng(3).normal(size=(3, 4))}
    report = check_gradients(affine, x, gradient=affine_gradient)
    report.raise_for_failure()
    assert [row.tensor for row in report.rows] == ["weight", "bias", "x"]
    forgot = check_gradients(
        affine, x, gradient=lambda weight, bias, x, dy: affine_gradient(weight, bias, x, dy) | {"bias": np.zeros(2)}
    )
    assert [row.verdict for row in forgot.rows] == ["ok", "FAIL", "ok"]
    assert "never written" in str(forgot)


def test_the_function_may_overwrite_what_it_is_given():
    def f(x):
        x *= x
        return float(x.sum())

    x = rng().normal(size=5)
    kept = x.copy()
    check_gradients(f, x, gradient=lambda x: 2 * x).raise_for_failure()
    assert (x == kept).all()


@pytest.mark.parametrize(
    ("f", "gradient", "message"),
    [
        (np.sin, lambda x, dy: np.ones(3), r"gradient of x has shape \(3,\), expected \(4,\)"),
        (lambda x: "text", lambda x: x, r"f\(x\) must be (an array of )?real numbers"),
        (lambda x: 1j * x, lambda x, dy: x, r"f\(x\) must be (an array of )?real numbers"),
        (lambda x: rng(None).normal(size=4) * x, lambda x, dy: x * dy, "not deterministic"),
    ],
)
def test_what_makes_no_sense_is_refused(f, gradient, message):
    with pytest.raises(Error, match=message):
        check_gradients(f, rng().normal(size=4), gradient=gradient)


def test_a_function_needs_its_gradient():
    with pytest.raises(TypeError, match="or a function with gradient=…, got function"):
        check_gradients(lambda x: x, np.ones(3))


# ---------------------------------------------------------------------------------------------------------- adjoints


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_a_matrix_and_its_transpose_are_adjoint_and_nothing_else_is(n, m, seed):
    a = rng(seed).normal(size=(m, n))
    check_adjoint(lambda x: a @ x, lambda y: a.T @ y, n).raise_for_failure()
    other = a.copy()
    other[seed % m, seed % n] += 1e-6
    assert not check_adjoint(lambda x: a @ x, lambda y: other.T @ y, n, trials=20).passed


def test_adjoints_of_any_shape_and_what_is_not_linear():
    def shift(x):
        return np.concatenate([np.zeros_like(x[:1]), x[:-1]])

    def back(y):
        return np.concatenate([y[1:], np.zeros_like(y[:1])])

    report = check_adjoint(shift, back, (4, 2, 3))
    report.raise_for_failure()
    assert [row.tensor for row in report.rows] == ["⟨A·x, y⟩ = ⟨x, Aᵀ·y⟩", "A linear", "Aᵀ linear"]
    assert not check_adjoint(shift, shift, (4, 2, 3)).passed
    assert not check_adjoint(lambda x: shift(x) + 1, back, (4, 2, 3)).passed
    assert [r.verdict for r in check_adjoint(np.abs, np.abs, 5).rows[1:]] == ["FAIL", "FAIL"]
    with pytest.raises(Error, match=r"transpose gives the shape \(3,\), expected \(4,\)"):
        check_adjoint(lambda x: x[:3], lambda y: y, 4)
    with pytest.raises(Error, match="trials"):
        check_adjoint(shift, back, 4, trials=0)


# ----------------------------------------------------------------------------------------------- the command line


HOMEWORK = """
import numpy as np
from numgan import BinaryCrossEntropy, Dense, Layer, Sequential, Tanh


class Cube(Layer):
    def forward(self, x, out):
        out[...] = x**3

    def backward_input(self, x, y, dy, out):
        out[...] = 3 * x**2 * dy


class Averaged(Cube):
    def backward_input(self, x, y, dy, out):
        out[...] = 3 * x**2 * dy / len(x)


class NeedsArguments(Cube):
    def __init__(self, power):
        self.power = power


class Half(BinaryCrossEntropy):
    def gradient(self, prediction, target, out=None):
        out = super().gradient(prediction, target, out)
        out /= 2
        return out


network = Sequential([Dense(3), Tanh(), Cube()], 4, np.random.default_rng(0), name="homework")
nothing = 7


def f(x):
    return float((x**2).sum())


def f_gradient(x):
    return 2 * x


def g(x):
    return np.sin(x)


def g_gradient(x, dy):
    return np.cos(x) * dy * np.where(x < 0, 2, 1)


def product(a, b):
    return a @ b


def product_gradient(a, b, dy):
    return {"a": dy @ b.T, "b": a.T @ dy}
"""


@pytest.fixture
def homework(tmp_path, monkeypatch):
    (tmp_path / "homework.py").write_text(HOMEWORK, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "homework.py"


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("Cube", 0, "Cube() in training mode"),
        ("network", 0, "Sequential 'homework' in inference mode"),
        ("f", 0, "function f"),
        ("Averaged", 1, "by the factor 0.2, looks like: 1/N once too often"),
        ("Half", 1, "by the factor 0.5"),
        ("g", 1, "only where x < 0, by the factor 2"),
    ],
)
def test_code_of_one_s_own_is_checked_with_the_same_table_and_status(homework, capsys, name, status, said):
    assert main(["gradcheck", f"{homework}:{name}"]) == status
    printed = capsys.readouterr().out
    assert said in printed
    assert ("FAIL" in printed) == bool(status)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("homework.py:Square", "homework.py defines no 'Square'"),
        ("homework.py:NeedsArguments", "the class can't be made without arguments"),
        ("homework.py:nothing", "expected a Layer, a network, a loss, or a function with nothing_gradient beside it"),
        (
            "homework.py:product",
            "expected a function of one array, got product(a, b) (missing a required argument: 'b')",
        ),
        ("nowhere.py:Cube", "nowhere.py can't be loaded"),
        ("no.such.module:Cube", "no.such.module can't be loaded (ModuleNotFoundError"),
        ("broken.py:Cube", "broken.py can't be loaded (ZeroDivisionError: division by zero)"),
    ],
)
def test_what_can_t_be_checked_is_one_sentence(homework, capsys, target, message):
    with open("broken.py", "w", encoding="utf-8") as file:
        file.write("1 / 0\n")
    assert main(["gradcheck", target]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and printed.err.count("\n") == 1


def test_a_module_s_name_will_do_and_so_will_a_shape(homework, capsys):
    assert main(["gradcheck", "numgan:Tanh", "--shape", "2,3"]) == 0
    assert "5×2×3" in capsys.readouterr().out
    assert main(["gradcheck", f"{homework}:f", "--shape", "7"]) == 0
    assert " 7 " in capsys.readouterr().out


def test_own_code_may_import_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_it.py").write_text("from numgan import Tanh as Base\n", encoding="utf-8")
    (tmp_path / "its_own_layer.py").write_text(
        "from beside_it import Base\n\n\nclass Mine(Base):\n    pass\n", encoding="utf-8"
    )
    numgan = [str(Path(sys.executable).parent / "numgan"), "gradcheck"]
    for directory, target in ((tmp_path, "its_own_layer:Mine"), (tmp_path.parent, f"{tmp_path}/its_own_layer.py:Mine")):
        done = subprocess.run([*numgan, target], cwd=directory, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_help_says_that_the_file_is_run(capsys):
    assert main(["gradcheck", "-h"]) == 0
    printed = capsys.readouterr().out
    assert "FILE.py:NAME" in printed and "whose code is then run" in " ".join(printed.split())


def test_a_chapter_of_faults(capsys):
    assert main(["gradcheck", "--faults", "dense"]) == 0
    printed = capsys.readouterr().out
    assert "\ndense\n" in printed and "batch norm:" not in printed
    assert main(["gradcheck", "--faults", "nonsense"]) == 2
    assert "nonsense: no planted mistake has that in its name; the chapters are" in capsys.readouterr().err


def test_faults_by_words_of_their_names(capsys):
    assert main(["gradcheck", "--faults", "GAUSS"]) == 2
    assert main(["gradcheck", "--faults", "Share of the gradient"]) == 0
    printed = capsys.readouterr().out
    assert "\nbatch_norm\n" in printed and printed.count("\ncaught") == 2 and "2 of 2 planted" in printed
