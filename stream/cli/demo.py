"""`ember demo`: the service at work for a minute, with nothing but this package."""

from __future__ import annotations

import json as json_module
import os
import sys
import time
from contextlib import nullcontext
from typing import Annotated

import psutil
from cyclopts import Parameter
from rich.console import Console as Terminal
from rich.console import RenderableType
from rich.live import Live

_SECONDS = 60.0
_OWN_START_SECONDS = 10.0  # an older process did something else before the demo


def demo(
    *,
    headless: bool = False,
    console: Annotated[bool | None, Parameter(negative="--no-console")] = None,
    seconds: float | None = None,
    seed: int = 1,
    json: bool = False,
) -> None:
    """Run the service on a simulated fleet with faults, and show the faults it detects.

    Starts an embedded broker, trains on the fleet's history, runs a worker, and injects faults into
    the live stream: spikes, drifts, stuck sensors, idle keys, changed correlations and changed
    frequencies. A detector by the largest z-score, with as many false alarms, is the comparison.
    This host's own telemetry is scored too and not counted.

    Args:
        headless: Show no live table, and run the stream as fast as the worker reads it.
        console: Serve the console beside it, and print its address: every machine with its usual
            band, buttons that inject faults and one that kills the worker. It needs the extra
            `console`. Default: on a terminal, where the extra is installed.
        seconds: Wall time of the whole demo, training included. Default: 60; with the console the
            demo goes on until Ctrl-C.
        seed: Seed of fleet and faults.
        json: Print the result as one JSON object, as the last line of stdout.
    """
    # The products are small: a second thread gains nothing, and waits badly on a busy machine.
    # Read when NumPy is imported, which is why the imports come late.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from stream.console.serve import missing_packages, require_packages
    from stream.demo.report import as_table
    from stream.demo.run import Options
    from stream.demo.run import demo as run_demo

    messages = Terminal(stderr=True)
    live = not headless and messages.is_terminal
    if console:
        require_packages()
    console = live and not missing_packages() if console is None else console
    options = Options(
        seconds=_SECONDS if seconds is None else seconds,
        seed=seed,
        paced=live or console,
        console=console,
        goes_on=console and seconds is None,
    )
    view = Live(console=messages, auto_refresh=False, transient=True)

    def show(*state: object) -> None:
        if live:
            view.update(_render(*state), refresh=True)

    def tell(step: str) -> None:
        messages.print(step, soft_wrap=True, highlight=False)

    with view if live else nullcontext():
        report = run_demo(options, _process_start(), tell, show)
    if json:
        sys.stdout.write(json_module.dumps(report.as_json()) + "\n")
    else:
        Terminal().print(as_table(report))


def _render(*state: object) -> RenderableType:
    from stream.demo.view import render

    return render(*state)  # type: ignore[arg-type]


def _process_start() -> float:
    """Return the start of this process on `time.monotonic`, so that imports count too."""
    age = time.time() - float(psutil.Process().create_time())
    return time.monotonic() - (age if 0 <= age < _OWN_START_SECONDS else 0.0)
