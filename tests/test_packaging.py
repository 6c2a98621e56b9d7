"""The package as a user gets it: built, installed into a clean environment outside the checkout, and used there."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import numgan

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


def run(*command, **keywords):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, **keywords)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(wheel, sdist): the wheel is made from the sdist, which therefore holds all that it takes."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, ROOT)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


def test_the_wheel_holds_the_package_and_nothing_else(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "numgan").rglob("*.py")}
    assert modules <= names
    assert {"numgan/py.typed", "numgan/data/classifier.npz", "numgan/data/README.md"} <= names
    assert {f"numgan/study/explain/page.{kind}" for kind in ("html", "css", "js")} <= names
    assert len([name for name in names if name.startswith("numgan/data/mnist_5k/")]) >= 3
    assert {f"numgan/data/emoji_64/{name}" for name in ("emoji.npz", "names.txt", "README.md")} <= names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"numgan"}


def test_the_metadata_says_what_it_is_and_for_whom(built):
    wheel = zipfile.ZipFile(built[0])
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    for line in (
        "Requires-Python: >=3.10",
        "Author: The numgan authors",
        "License-Expression: MIT AND CC-BY-SA-3.0 AND CC-BY-4.0",
        "License-File: LICENSE",
        "License-File: numgan/data/mnist_5k/README.md",
        "License-File: numgan/data/emoji_64/README.md",
        "Project-URL: Generative Adversarial Nets",
        "Classifier: Programming Language :: Python :: 3.10",
        "Classifier: Typing :: Typed",
        f"Version: {numgan.__version__}",
        "Requires-Dist: numpy>=2.0",
    ):
        assert line in metadata
    assert "Keywords: GAN" in metadata


def test_what_a_package_index_shows_leads_nowhere_wrong_and_runs(built):
    wheel = zipfile.ZipFile(built[0])
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    text = metadata.partition("\n\n")[2]
    assert all(target.startswith("https://") for target in re.findall(r"\]\(([^)]*)", text))
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "passed" in run(sys.executable, "-c", code)
    for command in re.findall("^numgan (.*)$", text, re.MULTILINE):
        run(sys.executable, "-m", "numgan", *command.split(), "--help")


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """The sdist's own directory, unpacked away from the checkout."""
    away = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built[1]) as sdist:
        sdist.extractall(away, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (directory,) = away.iterdir()
    return directory


def test_the_sdist_holds_all_that_the_checkout_does(unpacked):
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= {path.name for path in unpacked.iterdir()}
    for folder in ("numgan", "tests", "benchmarks", "demos", ".ci"):
        wanted = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        wanted = {path for path in wanted if not {"__pycache__", "results", ".ipynb_checkpoints"} & {*path.parts}}
        assert wanted and wanted <= {path.relative_to(unpacked) for path in unpacked.rglob("*")}, folder


def test_the_sdist_runs_its_own_tests(unpacked):
    """With its own package, conftest, helpers, references, demos, benchmarks and README."""
    alone = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    here = run(sys.executable, "-c", "import numgan; print(numgan.__file__)", cwd=unpacked, env=alone)
    assert Path(here.strip()).is_relative_to(unpacked.resolve())
    tests = ["nn/test_spectral_norm.py", "test_structure.py", "test_demos.py::test_bare_kernels_take_the_steps_of_gan",
             "test_arms_benchmark.py", "test_readme.py::test_links_lead_to_files"]  # fmt: skip
    tests = [f"tests/{name}" for name in tests]
    done = run(sys.executable, "-m", "pytest", "-q", "-n", "0", "--no-header", *tests, cwd=unpacked, env=alone)
    assert " passed" in done


def test_the_installed_wheel_trains_away_from_the_checkout(built, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "env")
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    run(scripts / "python", "-m", "pip", "install", "--quiet", built[0])
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    work = tmp_path / "work"
    work.mkdir()
    where = run(scripts / "python", "-c", "import numgan; print(numgan.__file__)", cwd=work, env=clean)
    assert str(tmp_path / "env") in where
    run(scripts / "numgan", "train", "mnist", "--steps", "20", "--out", "run", "--quiet", cwd=work, env=clean)
    assert {path.name for path in (work / "run").iterdir()} >= {"model.npz", "history.csv", "samples.png"}
    assert "frechet_distance" in run(scripts / "numgan", "evaluate", "run", "-n", "200", cwd=work, env=clean)
    assert "checks passed" in run(scripts / "numgan", "gradcheck", "dense", "silu", cwd=work, env=clean)
