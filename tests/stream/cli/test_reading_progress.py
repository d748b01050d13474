"""Progress of the reading of a topic, on a terminal and elsewhere."""

from __future__ import annotations

import sys

import pytest

from stream.cli.reading_progress import Lines, reading_progress
from stream.tools.record_source import Progress


def test_a_line_now_and_then_where_there_is_no_terminal() -> None:
    lines: list[str] = []
    now = 0.0
    show = Lines(lines.append, lambda: now)
    for second in range(100):
        now = float(second)
        show(Progress("topic t", "fetched", 1_000 * second, 200_000))
    now = 101.0
    for second in (101.0, 135.0):
        now = second
        show(Progress("topic t", "decoded", 5_000, 10_000, 4_000, 7))
    assert lines == [
        "topic t fetched: 30,000 of 200,000 records, 0:02:50 left",
        "topic t fetched: 60,000 of 200,000 records, 0:02:20 left",
        "topic t fetched: 90,000 of 200,000 records, 0:01:50 left",
        "topic t decoded: 5,000 of 10,000 records, 4,000 rows of 7 keys, 0:00:34 left",
    ]


def test_nothing_but_a_bar_is_left_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with reading_progress() as show:
        show(Progress("topic [t]", "fetched", 10, 20))
        show(Progress("topic [t]", "fetched", 20, 20))
        show(Progress("topic [t]", "decoded", 20, 0, 19, 2))
    assert capsys.readouterr().out == ""
