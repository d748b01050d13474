"""Several workers on one host: started, watched, restarted and stopped together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from types import FrameType

import structlog

from stream.errors import UserError
from stream.observe import HostMetrics, configure_logs
from stream.settings import Settings

from .workers_http import urls_of

_log = structlog.stdlib.get_logger("ember")

WRONG_USE = 2
"""Exit code of a worker whose settings are wrong: starting it again would not help."""

_DELAYS_SECONDS = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)
_HEALTHY_SECONDS = 120.0
_POLL_SECONDS = 0.2
_STOP_SECONDS = 140.0  # `Worker` takes 135 s at most: checkpoint, copy, three producers


class Patience:
    """How long to wait before a worker is started again, and when not to any more.

    A worker ends by itself when it must not go on (fenced, broken), so restarting is part of the
    plan; one that ends again and again, without ever lasting, is not.
    """

    def __init__(self) -> None:
        self._failures = 0

    def after(self, lived_seconds: float) -> float | None:
        """Seconds to wait after a worker that lived so long has failed; None: give up."""
        if lived_seconds >= _HEALTHY_SECONDS:
            self._failures = 0
        if self._failures >= len(_DELAYS_SECONDS):
            return None
        delay = _DELAYS_SECONDS[self._failures]
        self._failures += 1
        return delay


@dataclass
class _Place:
    """One of the workers: its process, or when it is started next."""

    index: int
    patience: Patience
    process: BaseProcess | None = None
    started: float = 0.0
    due: float = 0.0


def supervise(settings: Settings, workers: int) -> int:
    """Run workers in processes of their own; one that ends by itself is started again.

    Whatever code it ends with: nobody asked it to, and its share of the work is left.

    Returns:
        0 when stopped by a signal; 1 when one kept ending, 2 when its settings are wrong. The
        others are stopped first.
    """
    log = settings.log
    configure_logs(level=log.level, format=log.format, repeat_seconds=log.repeat_seconds)
    asked, again = threading.Event(), threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    def reload(_number: int, _frame: FrameType | None) -> None:
        again.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, reload)
    page = _one_page(settings, workers)
    places = [_Place(index, Patience()) for index in range(workers)]
    try:
        return _watch(settings, places, asked, again)
    finally:
        if page is not None:
            page.close()


def _one_page(settings: Settings, workers: int) -> HostMetrics | None:
    """Metrics of all workers on the port after theirs; none where theirs are any free ones."""
    http = settings.http
    if not http.port:
        return None
    addresses = urls_of(settings, (), workers)
    try:
        token = http.token.get_secret_value()
        return HostMetrics(http.host, http.port + workers, addresses, token)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"The port for the metrics of all workers cannot be listened on: {error}. Received: "
            f"http.port={http.port} and {workers} workers, so port {http.port + workers}."
        ) from None


def _watch(
    settings: Settings, places: list[_Place], asked: threading.Event, again: threading.Event
) -> int:
    while not asked.is_set():
        if again.is_set():
            again.clear()
            _hang_up(places)
        now = time.monotonic()
        for place in places:
            code = _look_after(settings, place, now)
            if code is not None:
                _stop(places)
                return code
        asked.wait(_POLL_SECONDS)
    return _stop(places)


def _hang_up(places: list[_Place]) -> None:
    """Let every worker read settings and model again."""
    for place in places:
        if place.process is not None and place.process.pid is not None and place.process.is_alive():
            os.kill(place.process.pid, signal.SIGHUP)


def _look_after(settings: Settings, place: _Place, now: float) -> int | None:
    """Start a worker that is due; the exit code when it is not worth while any more."""
    if place.process is None:
        if now >= place.due:
            place.process, place.started = _start(settings, place.index), now
        return None
    code = place.process.exitcode
    if code is None:
        return None
    place.process = None
    delay = place.patience.after(now - place.started)
    if code == WRONG_USE or delay is None:
        _log.error("a worker keeps ending: giving up", worker=place.index, code=code)
        return WRONG_USE if code == WRONG_USE else 1
    place.due = now + delay
    _log.warning("a worker ended by itself", worker=place.index, code=code, again_in_seconds=delay)
    return None


def _start(settings: Settings, index: int) -> BaseProcess:
    own = settings.for_worker(index)
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(own,), daemon=False)
    process.start()
    return process


def _run(settings: Settings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent stops us
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the worker listens to it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from stream.app import run

    try:
        run(settings)
    except UserError as error:
        _log.error(error.message)  # the logs have been set up by `run`
        sys.exit(error.exit_code)


def _end_with_parent() -> None:
    """Stop when whoever would restart and stop this worker has been killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _stop(places: list[_Place]) -> int:
    running = [place.process for place in places if place.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    clean = True
    for process in running:
        process.join(max(deadline - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()
            process.join()
        clean = clean and process.exitcode == 0
    return 0 if clean else 1
