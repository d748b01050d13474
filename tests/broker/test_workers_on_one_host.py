"""`ember run --workers 2`: one group, and nobody is left behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.broker.conftest import Broker
from tests.e2e.service import _environment

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def two_ports() -> int:
    """A free port whose neighbour is free as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


def until(what: str, holds: Callable[[], Any], log: Path) -> Any:
    end = time.monotonic() + 90
    while not (found := holds()):
        assert time.monotonic() < end, f"{what} did not come.\n{log.read_text()[-3000:]}"
        time.sleep(0.2)
    return found


def test_the_dead_are_replaced_and_none_is_orphaned(
    kafka: Broker, fleet_model: Path, tmp_path: Path
) -> None:
    """Each has its own port; a killed one comes back; when the parent is killed, all end."""
    topic, group = kafka.topic("two", 4), kafka.name("two")
    port = two_ports()
    (tmp_path / "ember.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n[model]\npath = "{fleet_model}"\n'
        f"[state]\nstandby_replicas = 0\n[http]\nport = {port}\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as out:
        parent = subprocess.Popen(
            [sys.executable, "-m", "stream.cli", "run", "--workers", "2"],
            cwd=tmp_path,
            env=_environment(),
            stdout=out,
            stderr=out,
        )
    known = psutil.Process(parent.pid)

    def workers() -> list[psutil.Process]:
        return [p for p in known.children() if "spawn_main" in " ".join(p.cmdline())]

    try:
        until("two workers", lambda: ready(port) and ready(port + 1), log)
        before = workers()
        assert len(before) == 2
        before[0].send_signal(signal.SIGKILL)
        until("the end of one", lambda: len([p for p in before if p.is_running()]) == 1, log)
        until("two workers again", lambda: ready(port) and ready(port + 1), log)
        after = workers()
        assert len({p.pid for p in (*before, *after)}) == 3
        assert "a worker ended by itself" in log.read_text()
    finally:
        left = known.children()
        parent.kill()
        parent.wait()
    gone, alive = psutil.wait_procs(left, timeout=60)
    for process in alive:
        process.kill()
    assert not alive, f"{len(gone)} ended, and these did not: {alive}"
