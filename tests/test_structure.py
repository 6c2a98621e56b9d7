"""The house: what may import what, and what an import brings along."""

import ast
import builtins
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import numgan
from numgan.nn import registry

PACKAGE = Path(numgan.__file__).parent
# From the ground up. Neighbours on one floor do not know each other; a module may import its own wing and those below.
FLOORS = (
    ("errors", "hints"),
    ("files", "names", "progress", "tables"),
    ("figures",),
    ("kernels", "data"),
    ("nn",),
    ("gan",),
    ("gradcheck",),
    ("study",),
    ("cli",),
)
TOP = ("__init__", "__main__", "cli")  # these may read the public face itself
MODULES = sorted(PACKAGE.rglob("*.py"))


def wing_of(module):
    """The wing that a dotted name below numgan belongs to: nn for nn.dense, __init__ for numgan itself."""
    return module.split(".")[0] or "__init__"


def floor_of(wing):
    return next((i for i, wings in enumerate(FLOORS) if wing in wings), len(FLOORS))


def imports_of(path):
    """The modules below numgan that a file imports anywhere, as dotted names; "" for what numgan itself offers."""
    package = path.relative_to(PACKAGE.parent).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == "numgan")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            if base == "numgan":
                for a in node.names:
                    is_module = (PACKAGE / a.name).is_dir() or (PACKAGE / f"{a.name}.py").exists()
                    if a.name != "__version__":  # a constant, which anyone may read
                        yield a.name if is_module else ""
            elif base.split(".")[0] == "numgan":
                yield base.partition(".")[2]


def own_wing(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_upward_or_sideways(path):
    wing = own_wing(path)
    if wing in TOP:
        return
    wrong = [
        module for module in imports_of(path) if wing_of(module) != wing and floor_of(wing_of(module)) >= floor_of(wing)
    ]
    assert not wrong, f"{path.relative_to(PACKAGE)} stands on floor {floor_of(wing)} and imports {wrong}"


def test_every_wing_has_a_floor():
    assert {own_wing(path) for path in MODULES} <= {wing for wings in FLOORS for wing in wings} | set(TOP)


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("from numgan.study import plots", {"study"}),
        ("def f():\n    import numgan.gan.model as m", {"gan.model"}),
        ("from . import plots", {"study"}),
        ("from ..cli import main", {"cli"}),
        ("from numgan import cli, GAN, __version__", {"cli", ""}),
    ],
)
def test_the_rule_sees_every_form_of_import(source, imported, tmp_path, monkeypatch):
    for name in ("cli.py", "study/plots.py"):
        (tmp_path / "numgan" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "numgan" / name).touch()
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "numgan")
    file = tmp_path / "numgan" / "study" / "new.py"
    file.write_text(source)
    assert set(imports_of(file)) == imported


def test_the_checker_loads_neither_matplotlib_nor_a_recipe():
    code = "import sys; from numgan import check_gradients; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.startswith(("matplotlib", "tqdm", "numgan.study", "numgan.cli"))]
    assert "numgan.gradcheck.differences" in loaded


BUILT_IN = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_raised_by_intent_is_numgan_s_own(path):
    raised = [node.exc for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Raise)]
    names = {ast.unparse(exc.func if isinstance(exc, ast.Call) else exc) for exc in raised if exc}
    parses = path.name in ("settings.py", "seeds.py")  # and turns the ValueError of a text into a sentence
    assert names & BUILT_IN <= {"KeyboardInterrupt", *(["ValueError"] if parses else [])}


def test_every_error_is_a_numgan_error():
    for path in MODULES:
        if path.name != "__main__.py":
            importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    own, found = [Exception], set()
    while own:
        own += (kind := own.pop()).__subclasses__()
        found |= {kind} if kind.__module__.partition(".")[0] == "numgan" else set()
    assert {kind.__name__ for kind in found} >= {"Error", "DataError", "GradientError", "ModelFileError", "RunError"}
    assert all(issubclass(kind, numgan.Error) for kind in found)


def test_every_layer_of_the_registry_is_on_the_public_face():
    assert registry.LAYERS.keys() <= set(numgan.__all__)
    assert all(getattr(numgan, name) is kind for name, kind in registry.LAYERS.items())
    assert len(set(numgan.__all__)) == len(numgan.__all__)
    assert all(hasattr(numgan, name) for name in numgan.__all__)
