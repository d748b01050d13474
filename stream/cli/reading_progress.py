"""Progress of the reading of a topic: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from stream.tools.record_source import Progress as Reading

from .output import message

_LINE_SECONDS: Final = 30.0
"""Time between two lines where there is no terminal."""


@contextmanager
def reading_progress() -> Iterator[Callable[[Reading], None]]:
    """Give a function that shows how far the reading of records is."""
    if not sys.stderr.isatty():
        yield Lines(message, time.monotonic)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def show(reading: Reading) -> None:
            name = reading.source, reading.stage
            if name not in tasks:
                tasks[name] = bar.add_task(f"{reading.source} {reading.stage}", figures="")
            total = reading.total or None
            bar.update(
                tasks[name], completed=reading.records, total=total, figures=figures(reading)
            )

        yield show


class Lines:
    """Progress in lines.

    Args:
        write: Function that writes a line.
        clock: Seconds that only ever rise.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write, self._clock = write, clock
        self._stage: tuple[str, str] | None = None
        self._began = self._written = clock()

    def __call__(self, reading: Reading) -> None:
        """Write a line, if the last one was long ago."""
        now = self._clock()
        if self._stage != (reading.source, reading.stage):
            self._stage, self._began = (reading.source, reading.stage), now
        if now - self._written < _LINE_SECONDS:
            return
        self._written = now
        remaining = ""
        if 0 < reading.records < reading.total:
            seconds = (now - self._began) / reading.records * (reading.total - reading.records)
            remaining = f", {timedelta(seconds=round(seconds))} left"
        self._write(f"{reading.source} {reading.stage}: {figures(reading)}{remaining}")


def figures(reading: Reading) -> str:
    """Return the numbers of records, rows and keys."""
    total = f" of {reading.total:,}" if reading.total else ""
    rows = f", {reading.rows:,} rows of {reading.keys:,} keys" if reading.rows else ""
    return f"{reading.records:,}{total} records{rows}"
