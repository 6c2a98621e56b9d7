"""`EventLog`: a training as event files for TensorBoard, written by the package `tensorboard` itself, an extra:
`pip install 'numgan[tensorboard]'`.

A file is only ever added to a directory. A run that is gone on with begins a new one, with the mark by which
TensorBoard drops what older files of the directory have from that step on: what a killed run had logged beyond its last
checkpoint is not shown twice.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from numgan.errors import Error
from numgan.files import shown
from numgan.hints import Array, FileName

BINS = 30  # of a histogram
PREFIX = "events.out.tfevents."  # what TensorBoard knows an event file by
VERSION = "brain.Event:2"  # from which on it reads the mark


class EventLogError(Error, RuntimeError):
    """Event files that cannot be written; the message says why."""


def check(directory: FileName, new: bool) -> None:
    """Raise EventLogError unless a training can be logged there; a new one where no other is: TensorBoard would take
    both for one.
    """
    _tensorboard()
    path = Path(directory)
    if path.exists() and not path.is_dir():
        raise EventLogError(f"--log-dir {shown(path)} is not a directory")
    if new and path.is_dir() and any(entry.name.startswith(PREFIX) for entry in path.iterdir()):
        raise EventLogError(f"--log-dir {shown(path)} holds the events of another training; give each a directory")


def _tensorboard():
    """(its writer of records, its events, its summaries), imported at the first use of a log."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter
    except Exception as error:  # it may be missing, or not go with the versions that are there
        raise EventLogError(
            f"event files (--log-dir) need the package tensorboard ({error}): pip install 'numgan[tensorboard]'"
        ) from None
    return RecordWriter, event_pb2, summary_pb2


class EventLog:
    """An event file in a directory, which is made if need be. A name "generator.dense_1.weight" becomes the tag
    "generator/dense_1/weight", so that TensorBoard groups them by network.

    The file begins with the first that is logged. What goes wrong in writing is an OSError. (That is why this is not
    tensorboard's `EventFileWriter`, whose thread prints a traceback of it.)
    """

    def __init__(self, directory: FileName) -> None:
        self._new_writer, self._events, self._summaries = _tensorboard()
        self._directory, self._file = Path(directory), None
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EventLogError(f"--log-dir {shown(directory)} cannot be made: {error.strerror}") from None
        if not os.access(directory, os.W_OK | os.X_OK):
            raise EventLogError(f"--log-dir {shown(directory)} cannot be written to")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers by name; those that are NaN are gaps."""
        value = self._summaries.Summary.Value
        self._log(step, [value(tag=_tag(k), simple_value=v) for k, v in values.items() if not math.isnan(v)])

    def picture(self, step: int, name: str, png: bytes) -> None:
        """Log a picture, a PNG file in colour."""
        width, height = struct.unpack(">2I", png[16:24])
        image = self._summaries.Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        self._log(step, [self._summaries.Summary.Value(tag=_tag(name), image=image)])

    def histogram(self, step: int, name: str, values: Array) -> None:
        """Log how an array's numbers are distributed."""
        values = np.asarray(values, np.float64).ravel()
        low, high = values.min(), values.max()
        room = 1e-6 * max(abs(low), abs(high), 1e-30)  # numbers that are all alike have bins too
        counts, edges = np.histogram(values, np.linspace(low - room, high + room, BINS + 1))
        histogram = self._summaries.HistogramProto(
            min=low, max=high, num=values.size, sum=values.sum(), sum_squares=values @ values,
            bucket_limit=edges[1:].tolist(), bucket=counts.tolist(),
        )  # fmt: skip
        self._log(step, [self._summaries.Summary.Value(tag=_tag(name), histo=histogram)])

    def flush(self) -> None:
        """Hand all of it to the operating system, so that a process that is killed has lost nothing of it."""
        if self._file:
            self._file.flush()

    def close(self) -> None:
        """End the file. All that was logged is flushed already, or what kept it from being so has been raised."""
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()

    def _log(self, step, values):
        if self._file is None:
            now = time.time_ns()
            name = f"{PREFIX}{now // 10**9:010d}.{now % 10**9:09d}.{socket.gethostname()}.{os.getpid()}"
            self._file = open(self._directory / name, "xb")  # noqa: SIM115, until `close`
            self._writer, session = self._new_writer(self._file), self._events.SessionLog
            self._add(0, file_version=VERSION)
            self._add(step, session_log=session(status=session.START))
        if values:
            self._add(step, summary=self._summaries.Summary(value=values))

    def _add(self, step: int, **what: Any) -> None:
        event = self._events.Event(wall_time=time.time(), step=step, **what)
        self._writer.write(event.SerializeToString())


def _tag(name):
    return name.replace(".", "/")
