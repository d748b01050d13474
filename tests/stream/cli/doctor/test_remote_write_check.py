"""The check of the store that `ember remote-write` sends to."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from stream.cli.doctor.findings import Check
from stream.cli.doctor.remote_write_check import remote_write
from stream.settings import Settings
from tests.stream.remote_write.scored import FakeStore, Point, store


def checks(url: str, **more: Any) -> list[Check]:
    section = {"url": url, "before_seconds": 1_800, "timeout_seconds": 5, **more}
    return list(
        remote_write(
            Settings.model_validate({"remote_write": section, "output": {"scores": "all"}})
        )
    )


def test_nothing_is_asked_without_the_section() -> None:
    assert list(remote_write(Settings.model_validate({"output": {"scores": "all"}}))) == []


def test_a_store_that_takes_all_is_well() -> None:
    with store() as server:
        (check,) = checks(server.url, labels={"env": "test"}, token="a-long-password")
        assert (check.status, check.fix) == ("ok", "")
        assert check.detail == "It takes samples of now, also those of 1800 s before."
        ((labels, points),) = server.points.items()
        assert dict(labels) == {"__name__": "ember_doctor", "env": "test", "group": "ember"}
        (now_ms, _), (before_ms, _) = points
        assert now_ms - before_ms == 1_800_000
        assert server.headers[0]["Authorization"] == "Bearer a-long-password"
        (check,) = checks(server.url, before_seconds=0)
        assert check.detail == "It takes samples of now."


def test_a_store_without_a_window_refuses_the_time_before(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = [0]

    def refuses(self: FakeStore, labels: dict[str, str], point: Point) -> bool:
        newest[0] = max(newest[0], point[0])
        return point[0] < newest[0]

    monkeypatch.setattr(FakeStore, "refuses", refuses)
    with store() as server:
        (check,) = checks(server.url)
        assert check.status == "warn"
        assert "refuses those of the time before an alert" in check.detail
        assert "`out_of_order_time_window` of 2h" in check.detail


@pytest.mark.parametrize(
    ("status", "fault", "words"),
    [
        (400, "label limit", "It refuses a sample of now. 400 Bad Request: label limit."),
        (401, "who are you", "It cannot be written to. 401 Unauthorized: who are you."),
        (404, "", "It cannot be written to. The address takes no remote-write."),
    ],
)
def test_refusals_are_told_apart(status: int, fault: str, words: str) -> None:
    with store() as server:
        server.status, server.fault = status, fault
        (check,) = checks(server.url)
    assert check.status == "warn"
    assert check.detail.startswith(words)


def test_an_absent_store_is_named() -> None:
    (check,) = checks("http://127.0.0.1:1/api/v1/write")
    assert check.status == "warn"
    assert check.detail.startswith("It cannot be written to. ")
    assert "remote_write.url" in check.fix


def test_without_scores_there_is_nothing_to_write() -> None:
    settings = Settings.model_validate({"remote_write": {"url": "http://127.0.0.1:1/w"}})
    (check,) = remote_write(settings)
    assert (check.status, "output.scores" in check.fix) == ("warn", True)


def test_without_its_packages_the_check_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("stream.remote_write")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cramjam", None)
    (check,) = checks("http://127.0.0.1:1/w")
    assert check.status == "skip"
