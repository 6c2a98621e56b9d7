"""The command line where its surroundings fail it: closed, full and broken streams, a backend that is none, no home."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
NUMGAN = f"{sys.executable} -m numgan"
TRAIN = f"{NUMGAN} train sine --steps 20 --quiet --out run"


def shell(tmp_path, command, **environment):
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"} | environment
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=120
    )
    assert "Traceback" not in done.stderr and all(len(line) <= 500 for line in done.stderr.splitlines())
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command, status, says", [
    (f"MPLBACKEND=nonsense {NUMGAN} --version", 0, ""),
    (f"MPLBACKEND=nonsense {TRAIN}", 2, "matplotlib cannot be imported, so nothing can be drawn"),
    (f"env -u HOME {NUMGAN} recipes | head -1", 0, ""),
    (f"{NUMGAN} --version 2>&-", 0, ""),
    (f"{NUMGAN} --version >&-", 0, ""),
    (f"{NUMGAN} --version <&-", 0, ""),
    (f"{NUMGAN} recipes > /dev/full", 1, "standard output cannot be written: No space left on device"),
    (f"set -o pipefail; {NUMGAN} recipes | true", None, ""),
    pytest.param(f"{NUMGAN} train sine > /dev/full; ls run", 2, "No space left", marks=pytest.mark.slow),
    (f"mkdir -p run; mkfifo run/config.json; {NUMGAN} train --resume run", 2, "is not readable"),
])  # fmt: skip
def test_a_failing_surrounding_ends_in_a_sentence(command, status, says, tmp_path):
    found, _, error = shell(tmp_path, command)
    assert status is None or found == status
    assert says in error


@pytest.mark.slow
@pytest.mark.parametrize("command", [
    "recipes", "summary captions --step", "explain sine", "exercise adam --solution", "gradcheck dense", "data mnist",
    "profile sine", "evaluate --help", "gradcheck --faults rates", "exercise --json",
])  # fmt: skip
def test_a_reader_that_leaves_is_no_error(command, tmp_path):
    """As in `numgan … | head`."""
    status, _, error = shell(tmp_path, f"{NUMGAN} {command} | true; exit ${{PIPESTATUS[0]}}")
    assert (status, error) in [(0, ""), (128 + signal.SIGPIPE, "")]


@pytest.mark.slow
def test_nothing_warns(tmp_path):
    strict = f"{sys.executable} -W error -m numgan"
    assert shell(tmp_path, f"{strict} train sine --steps 50 --quiet --out run && {strict} evaluate run -n 200")[0] == 0


# ---------------------------------------------------------------- many seeds


def seeds(tmp_path, *arguments, out="S"):
    command = [sys.executable, "-m", "numgan", "train", "sine", *arguments, "--out", out]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    return process


def workers(parent):
    """The numbers of the processes that a process has spawned and that live."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            state, number = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(number) == parent and state != "Z" and "spawn_main" in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return found


def alive(numbers):
    """Those of some processes that have not ended."""
    return [number for number in numbers if os.path.exists(f"/proc/{number}")]


def wait_until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited for a minute")


linux = pytest.mark.skipif(not os.path.isdir("/proc"), reason="Linux's /proc")


@linux
@pytest.mark.slow
def test_a_worker_that_is_killed_is_named_and_the_others_finish(tmp_path):
    process = seeds(tmp_path, "--steps", "12000", "--seeds", "0-2")
    wait_until(lambda: (tmp_path / "S" / "seed-0" / "model.npz").exists())
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 1
    lost = {int(n) for n in re.findall(r"^numgan train: seed (\d) failed: killed by SIGKILL$", error, re.MULTILINE)}
    # On two cores seeds 1 and 2 are one worker's, as a stack, and either worker may have the lower number.
    assert lost in ({0}, {1}, {1, 2}) and len(error.splitlines()) == len(lost)
    assert all(f"seed {n}" in out for n in {0, 1, 2} - lost) and (tmp_path / "S" / "seeds.json").exists()
    assert all((tmp_path / "S" / f"seed-{n}" / "samples.png").exists() for n in {0, 1, 2} - lost)


@linux
@pytest.mark.slow
@pytest.mark.parametrize("name, status", [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_parent_that_is_told_to_stop_tells_its_workers(name, status, tmp_path):
    process = seeds(tmp_path, "--steps", "90000000", "--seeds", "0-1")
    wait_until(lambda: all((tmp_path / "S" / f"seed-{n}" / "model.npz").exists() for n in (0, 1)))
    started = workers(process.pid)
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=120)
    assert process.returncode == status and len(started) == 2 and not alive(started)
    assert len(re.findall(r"S/seed-\d holds the state after step [\d,]+", error)) == 2
    assert shell(tmp_path, f"{NUMGAN} train --resume S/seed-1 --steps 90000000 & sleep 3; kill %1; wait %1")[0] == 143


@linux
@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    process = seeds(tmp_path, "--steps", "90000000", "--seeds", "0-1")
    wait_until(lambda: len(workers(process.pid)) == 2)
    started = workers(process.pid)
    process.kill()
    process.communicate()
    wait_until(lambda: not alive(started))


@pytest.mark.slow
def test_nothing_is_imported_from_the_current_directory(tmp_path):
    (tmp_path / "tqdm.py").write_text('open("PWNED", "w")')
    (tmp_path / "matplotlib.py").write_text('open("PWNED", "w")')
    command = f'{sys.executable} -c "import sys; sys.path.pop(0); from numgan.cli import main; sys.exit(main())"'
    done = shell(tmp_path, f"{command} train sine --steps 20 --seeds 0 --quiet --out S")
    assert done[0] == 0 and not (tmp_path / "PWNED").exists()


@pytest.mark.slow
def test_quiet_seeds_that_fail_say_so(tmp_path):
    command = f"{NUMGAN} train sine --steps 300 --set learning_rate=1e30 --seeds 0 --quiet --out S"
    status, out, error = shell(tmp_path, command)
    assert (status, out) == (1, "") and error.startswith("numgan train: seed 0 failed: not finite")
