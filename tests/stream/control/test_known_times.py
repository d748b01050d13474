"""Windows of calendars in UTC, as they are written with them, and bounded."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from stream.control import MOST_DOCUMENT_BYTES, Calendar, ControlError, ControlSet, Document, Window
from stream.control.files import parse
from stream.control.known_times import spanning, with_times, with_times_at
from stream.control.weekly import parse_weekly

from .calendar_files import GOOGLE, OUTLOOK, PAGERDUTY

WRITTEN = "2026-10-01T12:00:00Z"
BERLIN = ZoneInfo("Europe/Berlin")


def local(calendar: Calendar) -> list[str]:
    return [
        " ".join(datetime.fromtimestamp(second, BERLIN).isoformat()[5:16] for second in span)
        for span in calendar.times
    ]


def weekly(*entries: str, zone: str = "Europe/Berlin") -> Calendar:
    return with_times_at(Calendar(weekly=entries, zone=zone), WRITTEN)


@pytest.mark.parametrize(
    ("text", "count", "until"),
    [(GOOGLE, 13, ""), (OUTLOOK, 3, ""), (PAGERDUTY, 1, "")],
    ids=["google", "outlook", "pagerduty"],
)
def test_files_of_other_programs_become_windows_in_utc(text: str, count: int, until: str) -> None:
    """All of these end, so that nothing is left unknown."""
    pytest.importorskip("icalendar", reason="the extra `calendars` is not installed")
    pytest.importorskip("recurring_ical_events", reason="the extra `calendars` is not installed")
    calendar = with_times_at(Calendar(ical=text, zone="Europe/Berlin"), WRITTEN)
    assert len(calendar.times) == count
    assert calendar.until == until
    assert calendar.validate() == ""


def test_a_window_of_each_week_keeps_its_local_times() -> None:
    """It is an hour longer when the clocks go back, and one shorter when they go forward."""
    calendar = weekly("sun 01:00-04:00")
    hours = {
        text[:5]: (end - begin) // 3600
        for text, (begin, end) in zip(local(calendar), calendar.times, strict=True)
    }
    assert {text[5:] for text in local(calendar)} >= {"T01:00 10-25T04:00"}
    assert hours["10-25"] == 4
    assert hours["03-28"] == 2
    assert hours["11-01"] == 3


def test_days_join_and_a_time_that_is_left_out_is_the_change() -> None:
    assert local(weekly("sat 22:00-24:00", "sun 00:00-01:30"))[0] == "09-05T22:00 09-06T01:30"
    spring = [text for text in local(weekly("sun 02:30-05:00")) if text.startswith("03-28")]
    assert spring == ["03-28T03:00 03-28T05:00"]
    assert not [text for text in local(weekly("sun 02:15-02:45")) if text.startswith("03-28")]


@pytest.mark.parametrize(
    "text", ["sat", "sat 25:00-26:00", "sat-fun 01:00-02:00", "sat 01:00-01:00", "sat 1:00-2:00"]
)
def test_what_is_no_window_of_a_week_is_refused(text: str) -> None:
    assert parse_weekly(text) is None
    document = f"[[calendar]]\nname='a'\nzone='UTC'\nweekly=['{text}']"
    with pytest.raises(ControlError, match="`weekly` has something that is no window"):
        parse(document, "x", "ada", WRITTEN)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ("weekly=['sat 01:00-02:00']", "without a zone"),
        ("zone='UTC'\nweekly=['sat 01:00-02:00']\ngrace='soon'", "`grace` of a calendar"),
        ("zone='UTC'\nweekly=['sat 01:00-02:00']\ngrace='8d'", "at most 7d"),
        ("zone='UTC'\nweekly=['sat 01:00-02:00']\ntopics=['[']", "`topics`"),
        ("zone='UTC'\nweekly=['sat 01:00-02:00']\ntimes=[[1, 2]]", "times"),
    ],
)
def test_wrong_fields_are_one_sentence(fields: str, word: str) -> None:
    with pytest.raises(ControlError, match=word) as refusal:
        parse(f"[[calendar]]\nname='a'\n{fields}", "x", "ada", WRITTEN)
    assert "until, " not in refusal.value.message


def test_more_windows_than_a_document_has_room_for_are_known_for_a_shorter_time() -> None:
    entries = tuple(f"daily {hour:02}:00-{hour:02}:30" for hour in range(20))
    text = f"[[calendar]]\nname='a'\nzone='UTC'\nweekly={list(entries)}"
    (document,) = parse(text, "x", "ada", WRITTEN)
    assert len(document.encode()) <= MOST_DOCUMENT_BYTES
    assert document.body.until < "2027-01-01"
    last = datetime.fromtimestamp(document.body.times[-1][1], UTC).isoformat()
    assert last < document.body.until


def test_recorded_telemetry_has_the_windows_of_its_own_time() -> None:
    (document,) = parse(
        "[[calendar]]\nname='a'\nzone='UTC'\nweekly=['sat 01:00-02:00']", "x", "ada", WRITTEN
    )
    span = datetime(2020, 5, 1, tzinfo=UTC), datetime(2020, 5, 15, tzinfo=UTC)
    ((_, calendar),) = spanning(ControlSet.of([document]), *span).calendars
    assert local(calendar) == ["05-02T03:00 05-02T04:00", "05-09T03:00 05-09T04:00"]


def test_listed_windows_are_known_whenever_they_are() -> None:
    windows = (Window("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.5Z"),)
    calendar = with_times(
        Calendar(windows=windows),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert calendar.times == ((1577836800, 1577836801),)
    assert calendar.until == ""


def test_times_that_no_command_wrote_are_refused() -> None:
    for times in (((5, 3),), ((1, 4), (2, 6)), ((-5, 3),), ((1, 1 << 60),)):
        body = Calendar(weekly=("sat 01:00-02:00",), zone="UTC", times=times)
        with pytest.raises(ControlError, match="`times` are no windows"):
            Document(name="a", author="ada", time=WRITTEN, body=body).checked()
