"""Several workers on one host: started, watched, restarted and stopped together."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from types import FrameType

from stream.errors import UserError
from stream.settings import Settings

_RESTARTS = 5
_PER_SECONDS = 60.0
_POLL_SECONDS = 0.2
_STOP_SECONDS = 40.0


def supervise(settings: Settings, workers: int) -> int:
    """Run workers in processes of their own; one that ends with an error is started again.

    A worker ends by itself when it must not go on (fenced, broken), so restarting is part of the
    plan; more than five restarts in a minute are not.

    Returns:
        0 when stopped by a signal, 1 when the workers kept failing.
    """
    running: dict[int, BaseProcess] = {}
    restarts: list[float] = []
    asked: list[int] = []
    wrong_use = 0

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for index in range(workers):
        running[index] = _start(settings, index)
    while running and not asked:
        time.sleep(_POLL_SECONDS)
        for index, process in list(running.items()):
            if process.is_alive():
                continue
            code = process.exitcode
            del running[index]
            if code == 0:
                continue
            now = time.monotonic()
            restarts = [*(t for t in restarts if now - t < _PER_SECONDS), now]
            wrong_use = 2 if code == 2 else wrong_use
            if wrong_use or len(restarts) > _RESTARTS:
                _stop(running)
                return wrong_use or 1
            print(f"Worker {index} ended with code {code} and is started again.", file=sys.stderr)
            running[index] = _start(settings, index)
    return _stop(running)


def _start(settings: Settings, index: int) -> BaseProcess:
    """Start one worker: its own port, its own name in the group."""
    port, instance = settings.http.port, settings.kafka.instance_id
    own = settings.model_copy(
        update={
            "http": settings.http.model_copy(update={"port": port and port + index}),
            "kafka": settings.kafka.model_copy(
                update={"instance_id": instance and f"{instance}-{index}"}
            ),
        }
    )
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(own,), daemon=False)
    process.start()
    return process


def _run(settings: Settings) -> None:
    from stream.app import run

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent stops us
    try:
        run(settings)
    except UserError as error:
        print(error.message, file=sys.stderr)
        sys.exit(error.exit_code)


def _stop(running: dict[int, BaseProcess]) -> int:
    for process in running.values():
        process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    clean = True
    for process in running.values():
        process.join(max(deadline - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()
            process.join()
        clean = clean and process.exitcode == 0
    return 0 if clean else 1
