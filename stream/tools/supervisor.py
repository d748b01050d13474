"""Supervisor of several workers on one host: starts, watches, restarts and stops them."""

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

from .workers_http import worker_urls

_log = structlog.stdlib.get_logger("ember")

WRONG_USE = 2
"""Exit code of a worker with wrong settings: a restart would not help."""

_DELAYS_SECONDS = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)
_HEALTHY_SECONDS = 120.0
_POLL_SECONDS = 0.2
_STOP_SECONDS = 140.0  # `Worker` takes 135 s at most: checkpoint, copy, three producers


class Backoff:
    """Delays before the restarts of a worker, and an end to them.

    A worker exits by itself when it must not go on (fenced, broken), so that restarts are normal;
    a worker that exits again and again, without ever running for long, is not.
    """

    def __init__(self) -> None:
        self._failures = 0

    def next_delay(self, uptime_seconds: float) -> float | None:
        """Return the seconds to wait after a worker failed; None to give up."""
        if uptime_seconds >= _HEALTHY_SECONDS:
            self._failures = 0
        if self._failures >= len(_DELAYS_SECONDS):
            return None
        delay = _DELAYS_SECONDS[self._failures]
        self._failures += 1
        return delay


@dataclass
class _Slot:
    """Slot of one worker: its process, or the time of its next start."""

    index: int
    backoff: Backoff
    process: BaseProcess | None = None
    started: float = 0.0
    next_start: float = 0.0


def supervise(settings: Settings, workers: int) -> int:
    """Run workers in processes of their own, and restart each that exits by itself.

    The exit code does not matter for a restart: nobody asked the worker to stop, and its partitions
    wait.

    Args:
        settings: Settings of the workers; each gets a port and an instance id of its own.
        workers: Number of workers.

    Returns:
        0 when stopped by a signal; 1 when a worker kept exiting, 2 when its settings are wrong. The
        others are stopped first.
    """
    log = settings.log
    configure_logs(level=log.level, format=log.format, repeat_seconds=log.repeat_seconds)
    stop_asked, reload_asked = threading.Event(), threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stop_asked.set()

    def reload(_number: int, _frame: FrameType | None) -> None:
        reload_asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, reload)
    metrics = _serve_metrics(settings, workers)
    slots = [_Slot(index, Backoff()) for index in range(workers)]
    try:
        return _watch(settings, slots, stop_asked, reload_asked)
    finally:
        if metrics is not None:
            metrics.close()


def _serve_metrics(settings: Settings, workers: int) -> HostMetrics | None:
    """Serve the metrics of all workers on the port after theirs; None if those are not fixed."""
    http = settings.http
    if not http.port:
        return None
    addresses = worker_urls(settings, (), workers)
    try:
        token = http.token.get_secret_value()
        return HostMetrics(http.host, http.port + workers, addresses, token)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"The port for the metrics of all workers cannot be listened on: {error}. Received: "
            f"http.port={http.port} and {workers} workers, so port {http.port + workers}."
        ) from None


def _watch(
    settings: Settings,
    slots: list[_Slot],
    stop_asked: threading.Event,
    reload_asked: threading.Event,
) -> int:
    while not stop_asked.is_set():
        if reload_asked.is_set():
            reload_asked.clear()
            _forward_reload(slots)
        now = time.monotonic()
        for slot in slots:
            code = _check(settings, slot, now)
            if code is not None:
                _stop(slots)
                return code
        stop_asked.wait(_POLL_SECONDS)
    return _stop(slots)


def _forward_reload(slots: list[_Slot]) -> None:
    """Let every worker reload settings and model."""
    for slot in slots:
        if slot.process is not None and slot.process.pid is not None and slot.process.is_alive():
            os.kill(slot.process.pid, signal.SIGHUP)


def _check(settings: Settings, slot: _Slot, now: float) -> int | None:
    """Start a worker that is due; return an exit code when restarts are pointless."""
    if slot.process is None:
        if now >= slot.next_start:
            slot.process, slot.started = _start(settings, slot.index), now
        return None
    code = slot.process.exitcode
    if code is None:
        return None
    slot.process = None
    delay = slot.backoff.next_delay(now - slot.started)
    if code == WRONG_USE or delay is None:
        _log.error("a worker keeps ending: giving up", worker=slot.index, code=code)
        return WRONG_USE if code == WRONG_USE else 1
    slot.next_start = now + delay
    _log.warning("a worker ended by itself", worker=slot.index, code=code, again_in_seconds=delay)
    return None


def _start(settings: Settings, index: int) -> BaseProcess:
    # Spawned: a fork would copy the threads' locks of the metrics server in an unknown state.
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(settings.for_worker(index),), daemon=False
    )
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
    """Stop this worker when the supervisor, which would restart and stop it, has been killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _stop(slots: list[_Slot]) -> int:
    running = [slot.process for slot in slots if slot.process is not None]
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
