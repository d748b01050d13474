"""Several workers on one host: back-off, giving up, stopping."""

from __future__ import annotations

import json
import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from stream.errors import UserError
from stream.observe import configure_logs
from stream.settings import Settings
from stream.tools import supervisor
from stream.tools.workers_http import worker_urls


def test_waits_grow_and_end() -> None:
    """At once, then longer and longer; not for ever."""
    backoff = supervisor.Backoff()
    waits = [backoff.next_delay(1.0) for _ in range(7)]
    assert waits == [0.0, 1.0, 2.0, 5.0, 15.0, 30.0, None]


def test_a_worker_that_lasted_is_a_new_worker() -> None:
    """Two failures a day apart are no loop."""
    backoff = supervisor.Backoff()
    assert [backoff.next_delay(1.0), backoff.next_delay(1.0)] == [0.0, 1.0]
    assert backoff.next_delay(3_600.0) == 0.0


@pytest.fixture
def logs() -> Iterator[None]:
    """The logging of the process is set up, and is what it was afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, logs: None) -> Iterator[list[tuple[int, Any]]]:
    """Processes that were started, as (index, stand-in); nothing waits."""
    found: list[tuple[int, Any]] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def start(_settings: Settings, index: int) -> Any:
        process = SimpleNamespace(exitcode=None, asked=False)

        def terminate() -> None:
            process.asked, process.exitcode = True, 0

        process.terminate = terminate
        process.join = lambda _seconds=None: None
        process.is_alive = lambda: process.exitcode is None
        found.append((index, process))
        return process

    monkeypatch.setattr(supervisor, "_start", start)
    monkeypatch.setattr(supervisor, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(supervisor, "_DELAYS_SECONDS", (0.0, 0.0))
    yield found
    for number, handler in handlers.items():
        signal.signal(number, handler)


def fail(started: list[tuple[int, Any]], index: int, code: int, times: int) -> None:
    """Let a worker end with a code, so many times."""
    done = 0
    while done < times:
        for which, process in list(started):
            if which == index and process.exitcode is None:
                process.exitcode = code
                done += 1


def test_one_that_keeps_failing_ends_all(
    started: list[tuple[int, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The other is stopped in order; the exit code says that the work failed, the log why."""
    breaking = threading.Thread(target=fail, args=(started, 1, 1, 3), daemon=True)
    breaking.start()
    assert supervisor.supervise(Settings(log={"format": "json"}), 2) == 1
    breaking.join()
    assert [index for index, _ in started] == [0, 1, 1, 1]
    assert started[0][1].asked
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in said] == ["a worker ended by itself"] * 2 + [
        "a worker keeps ending: giving up"
    ]
    assert (said[-1]["worker"], said[-1]["code"], said[-1]["level"]) == (1, 1, "error")


def test_wrong_settings_are_not_tried_again(started: list[tuple[int, Any]]) -> None:
    breaking = threading.Thread(target=fail, args=(started, 0, 2, 1), daemon=True)
    breaking.start()
    assert supervisor.supervise(Settings(), 2) == 2
    breaking.join()
    assert len(started) == 2


def test_one_that_ends_well_without_being_told_is_started_again(
    started: list[tuple[int, Any]],
) -> None:
    """Code 0 of a worker whose supervisor did not ask for it: its share of the work is left."""

    def end() -> None:
        fail(started, 1, 0, 1)
        for _ in range(2_000):
            if len(started) == 3:
                break
            time.sleep(0.005)
        signal.raise_signal(signal.SIGTERM)

    breaking = threading.Thread(target=end, daemon=True)
    breaking.start()
    assert supervisor.supervise(Settings(), 2) == 0
    breaking.join()
    assert [index for index, _ in started] == [0, 1, 1]
    assert [process.asked for _, process in started] == [True, False, True]


def test_a_worker_says_what_is_wrong_in_the_form_of_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logs: None
) -> None:
    def run(_settings: Settings) -> None:
        configure_logs(format="json")
        raise UserError("There is no model.", exit_code=2)

    monkeypatch.setattr("stream.app.run", run)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(supervisor, "_end_with_parent", lambda: None)
    with pytest.raises(SystemExit) as ended:
        supervisor._run(Settings())
    assert ended.value.code == 2
    assert json.loads(capsys.readouterr().err)["event"] == "There is no model."


def test_each_has_a_port_and_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted up; port 0 and no name stay as they are."""
    made: list[Settings] = []

    class Context:
        def Process(self, *, target: Any, args: tuple[Settings], daemon: bool) -> Any:
            assert not daemon
            made.append(args[0])
            return SimpleNamespace(start=lambda: None)

    monkeypatch.setattr(multiprocessing, "get_context", lambda _method: Context())
    named = Settings(http={"port": 7000}, kafka={"instance_id": "a"})
    supervisor._start(named, 2)
    supervisor._start(Settings(http={"port": 0}), 2)
    assert [(s.http.port, s.kafka.instance_id) for s in made] == [(7002, "a-2"), (0, "")]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:6067"),
        ("0.0.0.0", "http://127.0.0.1:6067"),
        ("::", "http://[::1]:6067"),
        ("fd00::7", "http://[fd00::7]:6067"),
        ("host.example", "http://host.example:6067"),
    ],
)
def test_workers_are_asked_where_they_listen(host: str, url: str) -> None:
    """Every address is this host's own; one of IPv6 stands in brackets."""
    settings = Settings.load(http={"host": host, "port": 6066})
    assert worker_urls(settings, (), 2)[1] == url
