"""`ember demo`: what the service does, in a minute, with nothing but this package."""

from __future__ import annotations

import json as json_module
import os
import sys
import time

import psutil
from rich.console import Console, RenderableType
from rich.live import Live

_OWN_START_SECONDS = 10.0  # a process older than this did something else before the demo


def demo(
    *, headless: bool = False, seconds: float = 60.0, seed: int = 1, json: bool = False
) -> None:
    """Watch a simulated fleet fail, and what is caught of it.

    Starts an embedded broker, trains on what the fleet sent before, runs a worker, and puts faults
    into the live stream: spikes, drifts, stuck sensors, silent keys, changed correlations and
    changed frequencies. Beside it stands what the largest z-score would have caught with as many
    false alarms. This host's own telemetry runs along and does not count.

    Args:
        headless: No live table; the stream runs as fast as the worker reads it.
        seconds: Wall time for everything, training included.
        seed: Seed of fleet and faults.
        json: Print the result as one JSON object, as the last line of stdout.
    """
    # The products are small: a second thread gains nothing, and waits badly on a busy machine.
    # Read when NumPy is imported, which is why the imports come late.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from stream.demo.report import as_table
    from stream.demo.run import Options
    from stream.demo.run import demo as run_demo

    messages = Console(stderr=True)
    live = not headless and messages.is_terminal
    options = Options(seconds=seconds, seed=seed, paced=live)
    picture = Live(console=messages, auto_refresh=False, transient=True)

    def show(*what: object) -> None:
        if live:
            picture.update(_render(*what), refresh=True)

    with picture if live else messages:
        report = run_demo(options, _started(), messages.print, show)
    if json:
        sys.stdout.write(json_module.dumps(report.as_json()) + "\n")
    else:
        Console().print(as_table(report))


def _render(*what: object) -> RenderableType:
    from stream.demo.view import render

    return render(*what)  # type: ignore[arg-type]


def _started() -> float:
    """When this process began, on `time.monotonic`: imports count too."""
    age = time.time() - float(psutil.Process().create_time())
    return time.monotonic() - (age if 0 <= age < _OWN_START_SECONDS else 0.0)
