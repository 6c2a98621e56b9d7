"""Who does the work: processes that may be killed, other executors, and that nothing is lost whatever ends them."""

import contextlib
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from numgan import Error
from numgan.cli import main
from numgan.study.studies import study
from numgan.study.workers import LostError, Processes

linux = pytest.mark.skipif(not os.path.isdir("/proc"), reason="Linux's /proc")
VARY = {"learning_rate": [1e-3, 4e-3]}


def wait_until(condition, seconds=60):
    for _ in range(10 * seconds):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"waited for {seconds} seconds")


def children(parent):
    """The processes that a process has started to work for it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            line = (entry / "cmdline").read_bytes().decode()
            if "spawn_main" in line and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


def alive(number):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def models(directory):
    """The contents of every run's model and history, to the bit."""
    found = {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("history.csv")}
    for path in directory.rglob("model.npz"):
        with np.load(path) as arrays:
            found |= {f"{path.relative_to(directory)}/{name}": arrays[name].tobytes() for name in arrays.files}
    return found


# ------------------------------------------------------------------------------------------------------- the executor


@pytest.mark.parametrize("most", [0, -1, 1.5, "2"])
def test_so_many_processes_are_refused(most):
    with pytest.raises(Error, match="must be a positive integer"):
        Processes(most)


@pytest.mark.slow
def test_a_process_that_is_killed_takes_its_own_call_with_it(tmp_path):
    with Processes(2) as hands:
        begun = [tmp_path / "one", tmp_path / "other"]
        calls = [hands.submit(os.system, f"touch {path}; sleep 2") for path in begun]
        calls.append(hands.submit(os.getenv, "OPENBLAS_NUM_THREADS"))
        wait_until(lambda: all(path.exists() for path in begun))
        multiprocessing.active_children()[0].kill()
        ends = [call.exception() for call in calls[:2]]
        assert sorted(map(str, ends)) == ["None", "killed by SIGKILL"]
        assert any(isinstance(end, LostError) for end in ends) and calls[2].result() == "1"
        assert hands.submit(int, "12").result() == 12
        with pytest.raises(ValueError, match="invalid literal"):
            hands.submit(int, "twelve").result()


# --------------------------------------------------------------------------------------------------- the command line


def start(directory, *arguments):
    command = [sys.executable, "-m", "numgan", "study", "sine-discriminator", *arguments, "--out", "S"]
    return subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


@linux
@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_ends_as_one_that_ran_through(tmp_path):
    """Told to stop, and then one of its workers killed: the runs are those of `numgan train`. (That workers end with a
    parent that is killed outright, the tests of `--seeds` see.)
    """
    arguments = ["--vary", "learning_rate=1e-3,4e-3", "--seeds", "5", "--steps", "20000"]
    checkpoints = [tmp_path / f"S/learning_rate={rate}/seed-5/model.npz" for rate in ("0.001", "0.004")]

    process = start(tmp_path, *arguments)
    wait_until(lambda: any(path.exists() for path in checkpoints))
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 143 and out == ""
    assert re.search(r"numgan study: stopped by SIGTERM; 0 of 2 runs are done, the same call goes on", error)
    assert workers and not any(map(alive, workers))

    process = start(tmp_path, *arguments)
    before = time.time_ns()
    wait_until(lambda: all(path.stat().st_mtime_ns > before for path in checkpoints if path.exists()))
    os.kill(children(process.pid)[0], signal.SIGKILL)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 1 and error.count("\n") == 1 and error.endswith("seed 5 failed: killed by SIGKILL\n")
    assert "1 of 1" in out

    process = start(tmp_path, *arguments)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "") and "best accuracy on real" in out
    command = "train sine-discriminator --steps 20000 --seed 5 --set learning_rate=4e-3 --quiet --out"
    assert main([*command.split(), str(tmp_path / "T")]) == 0
    there = models(tmp_path / "S")
    for name, content in models(tmp_path / "T").items():
        assert there[f"learning_rate=0.004/seed-5/{name}"] == content


# ------------------------------------------------------------------------------------------------------------- others


@pytest.fixture
def serial(tmp_path):
    """(what to ask, how, the models of it from this very process)."""
    what, how = ("sine-discriminator", VARY, [0, 1]), {"settings": {"steps": 4000, "hidden": 8}}
    with ThreadPoolExecutor(1) as hands:
        study(*what, tmp_path / "serial", **how, executor=hands)
    return what, how, models(tmp_path / "serial")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def dask_cluster(directory):
    """A scheduler and two workers of one thread each, all processes of their own: (address, the workers)."""
    address = f"tcp://127.0.0.1:{free_port()}"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    port = address.rpartition(":")[2]
    commands = [["scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]]
    commands += [["worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60"]] * 2
    with contextlib.ExitStack() as stack:
        running = []
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command], cwd=directory, env=environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            running.append(process)
        yield address, running[1:]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's own
def test_a_dask_worker_that_is_killed_in_the_middle_loses_nothing(serial, tmp_path):
    distributed = pytest.importorskip("distributed")
    what, how, expected = serial
    with dask_cluster(tmp_path) as (address, workers), distributed.Client(address, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)

        def after(text):
            if text.startswith("    1"):
                workers[0].kill()

        found = study(*what, tmp_path / "dask", **how, executor=client.get_executor(), say=after)
        assert workers[0].wait() == -signal.SIGKILL and len(client.scheduler_info()["workers"]) == 1
    assert [outcome.error for cell in found.cells for outcome in cell.outcomes.values()] == [None] * 4
    assert models(tmp_path / "dask") == expected
