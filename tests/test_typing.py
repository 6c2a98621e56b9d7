"""Every public function, class and method says what it takes and gives, and the package tells type checkers so."""

import ast
from importlib.resources import files
from pathlib import Path

import pytest

import numgan

PACKAGE = Path(numgan.__file__).parent
SPOKEN = ("__init__", "__len__", "__getitem__", "__call__")  # the rest of the double underscores explain themselves
# Kernels are typed by their shapes, in words; faults are wrong kernels.
MODULES = [p for p in sorted(PACKAGE.rglob("*.py")) if not {"kernels", "faults"} & set(p.relative_to(PACKAGE).parts)]


def public_functions(tree, prefix=""):
    """(name, node) of every public function and method; nothing inside a function is public."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name in SPOKEN):
            yield prefix + node.name, node


def untyped(node):
    """What a function does not say: names of parameters, or "return"."""
    a = node.args
    arguments = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    missing = [x.arg for x in arguments if x.annotation is None and x.arg not in ("self", "cls")]
    return missing + (["return"] if node.returns is None else [])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_public_function_is_typed(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert {name: untyped(node) for name, node in public_functions(tree) if untyped(node)} == {}


def test_type_checkers_are_told():
    assert files("numgan").joinpath("py.typed").is_file()


def test_a_missing_annotation_is_found():
    tree = ast.parse("class A:\n    def f(self, x, y: int): ...\n    def _g(self, z): ...\ndef h() -> None: ...")
    assert [(name, untyped(node)) for name, node in public_functions(tree)] == [("A.f", ["x", "return"]), ("h", [])]


def test_the_typed_program_uses_all_that_is_offered():
    text = (Path(__file__).parent / "typing" / "public_face.py").read_text(encoding="utf-8")
    assert [name for name in numgan.__all__ if name not in text] == []
