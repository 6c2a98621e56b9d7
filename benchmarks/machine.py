"""What a measurement was made on: processor, cores, system, and the versions of everything that computes."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

import numgan


def describe():
    """The machine as JSON-ready values."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "caches": _caches(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "numgan": f"{numgan.__version__}{_commit()}",
    }


def sentence(machine, threads):
    """The machine in a line, for tables and pictures."""
    used = " and ".join(map(str, threads)) if isinstance(threads, (tuple, list)) else threads
    return (f"{machine['cpu']}, {_plural(machine['cores'], 'core')}, {_plural(used, 'thread')} · "
            f"NumPy {machine['numpy']}, {machine['blas']}")  # fmt: skip


def _plural(count, noun):
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def others_seconds():
    """Processor seconds that all but this process and its ended children have used since boot; None off Linux."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def peak_memory():
    """The most memory this process has held, in bytes, or None where the system does not say.

    Linux is asked for the figure of this program alone: getrusage also counts what the parent held at the fork.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _cpu_model():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def _caches():
    """Size per cache level, as Linux names them, such as {"L2": "2048K"}; empty elsewhere."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def _commit():
    """The checkout's commit, with a + when files differ from it."""
    here = Path(__file__).parent
    commit = _output("git", "-C", str(here), "rev-parse", "--short", "HEAD")
    changed = _output("git", "-C", str(here), "status", "--porcelain", "--untracked-files=no", "..")
    return f" ({commit}{'+' if changed else ''})" if commit else ""


def _output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
