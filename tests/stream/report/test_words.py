"""Numbers and times for readers."""

from __future__ import annotations

import pytest

from stream.report._words import TimeFormat, esc, number, odds

_MINUTE = 60_000_000


def test_severity_as_odds() -> None:
    assert odds(0.0) == "one row in 1"
    assert odds(3.0) == "one row in 1,000"
    assert odds(4.08) == "one row in 12,000"
    assert odds(6.4) == "one row in 2.5 million"
    assert odds(10.81) == "one row in 65 billion"
    assert odds(12.0) == "rarer than one row in a trillion"


def test_everything_html_is_escaped() -> None:
    assert esc('<a href="x">&\'') == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;"


def test_numbers() -> None:
    assert number(None) == "missing"
    assert number(float("nan")) == "missing"
    assert number(1_234_567.0) == "1,234,567"
    assert number(18_194_198.6) == "18,194,199"
    assert number(0.123456) == "0.1235"


def test_record_numbers_are_no_dates() -> None:
    time_format = TimeFormat(index=True)
    assert time_format.moment(23_529 * _MINUTE) == "record 23,529"
    assert time_format.length(42 * _MINUTE) == "42 records"
    assert [text for _, text in time_format.ticks(3 * _MINUTE, 23 * _MINUTE)] == [
        "5",
        "10",
        "15",
        "20",
    ]


@pytest.mark.parametrize("span", [1, 7, 3_600, 86_400, 40 * 86_400, 3 * 10**9])
def test_ticks_are_few_and_inside(span: int) -> None:
    start, end = 1_767_225_601_000_000, (1_767_225_601 + span) * 1_000_000
    ticks = TimeFormat().ticks(start, end)
    assert len(ticks) <= 8
    assert all(start <= time_us <= end and text for time_us, text in ticks)


def test_lengths_of_time() -> None:
    assert TimeFormat().length(4_320_000_000) == "1 h 12 min"
    assert TimeFormat().length(2_500_000) == "2.5 s"
    assert TimeFormat().moment(1_767_225_600_500_000) == "2026-01-01 00:00:00.5"
