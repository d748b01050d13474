"""Windows of planned work: files of other programs, and a change of clocks in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stream.cli.control.show import window_text
from stream.control import Calendar, ControlError, Window
from stream.control.calendars import slim, windows_of
from stream.control.files import parse, render

from .calendar_files import GOOGLE, OUTLOOK, PAGERDUTY

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC)
TIME = "2026-11-30T12:00:00Z"


def shown(calendar: Calendar, begin: datetime = BEGIN, end: datetime = END) -> list[str]:
    texts = []
    for window in windows_of(calendar, begin, end):
        text = window_text(window, BERLIN)
        texts.append(f"{text['begin']} {text['end']} {text['name']}")
    return texts


@pytest.fixture(autouse=True)
def _libraries() -> None:
    pytest.importorskip("icalendar", reason="the extra `calendars` is not installed")
    pytest.importorskip("recurring_ical_events", reason="the extra `calendars` is not installed")


def test_a_repeating_window_goes_over_the_change_of_clocks_in_local_time() -> None:
    """One exception, one that was moved, a whole day, and one that was called off."""
    assert shown(Calendar(ical=GOOGLE)) == [
        "2026-10-04T01:00:00+02:00 2026-10-04T04:00:00+02:00 Patches",
        "2026-10-17T22:00:00+02:00 2026-10-17T23:30:00+02:00 Patches (earlier)",
        "2026-10-20T00:00:00+02:00 2026-10-21T00:00:00+02:00 Move",
        "2026-10-25T01:00:00+02:00 2026-10-25T04:00:00+01:00 Patches",
        "2026-11-01T01:00:00+01:00 2026-11-01T04:00:00+01:00 Patches",
        "2026-11-08T01:00:00+01:00 2026-11-08T04:00:00+01:00 Patches",
    ]
    noon = datetime(2026, 10, 24, 12, tzinfo=UTC)
    (changed,) = windows_of(Calendar(ical=GOOGLE), noon, noon + timedelta(days=1))
    assert changed.end - changed.begin == timedelta(hours=4)


def test_a_file_of_outlook_has_its_own_names_of_zones() -> None:
    assert shown(Calendar(ical=OUTLOOK), end=datetime(2027, 3, 1, tzinfo=UTC)) == [
        "2026-10-25T01:30:00+02:00 2026-10-25T03:30:00+01:00 Sicherung",
        "2026-12-27T01:30:00+01:00 2026-12-27T03:30:00+01:00 Sicherung",
    ]


def test_a_file_of_pagerduty_is_in_utc() -> None:
    """An entry without length is no window."""
    (window,) = windows_of(Calendar(ical=PAGERDUTY), BEGIN, END)
    assert window.begin == datetime(2026, 10, 23, 22, tzinfo=UTC)
    assert window.end == datetime(2026, 10, 25, 7, tzinfo=UTC)
    assert window.name == "Maintenance - Database"


@pytest.mark.parametrize("text", [GOOGLE, OUTLOOK, PAGERDUTY], ids=["google", "outlook", "pd"])
def test_a_slim_file_has_the_same_windows_and_no_people(text: str) -> None:
    short = slim(text)
    assert shown(Calendar(ical=short)) == shown(Calendar(ical=text))
    assert slim(short) == short
    assert len(short) < len(text)
    assert not any(word in short for word in ("ATTENDEE", "ORGANIZER", "DESCRIPTION", "URL"))


def test_windows_do_not_depend_on_how_the_span_is_cut() -> None:
    calendar = Calendar(ical=GOOGLE, zone="Europe/Berlin")
    whole = windows_of(calendar, BEGIN, END)
    cut = set()
    day = BEGIN
    while day < END:
        cut |= set(windows_of(calendar, day, day + timedelta(hours=7)))
        day += timedelta(hours=7)
    assert [window for window in sorted(cut) if window.begin < END] == whole


def test_windows_are_given_without_a_file_too() -> None:
    night = Window("2026-10-25T01:00:00+02:00", "2026-10-25T04:00:00+01:00")
    calendar = Calendar(windows=(night, Window("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z")))
    assert shown(calendar) == ["2026-10-25T01:00:00+02:00 2026-10-25T04:00:00+01:00 "]
    assert windows_of(calendar, datetime(2026, 10, 25, 3, tzinfo=UTC), END) == []


def test_windows_without_an_offset_are_those_of_the_zone() -> None:
    """Whole days too; the clocks change within the first one."""
    windows = (Window("2026-10-25", "2026-10-26"), Window("2026-11-01T20:00:00", "2026-11-02"))
    calendar = Calendar(windows=windows, zone="Europe/Berlin")
    assert calendar.validate() == ""
    assert shown(calendar) == [
        "2026-10-25T00:00:00+02:00 2026-10-26T00:00:00+01:00 ",
        "2026-11-01T20:00:00+01:00 2026-11-02T00:00:00+01:00 ",
    ]
    assert "has no offset from UTC" in Calendar(windows=windows).validate()
    assert "`windows[0].begin`" in Calendar(windows=windows).validate()


def test_times_without_a_zone_are_those_of_the_document() -> None:
    text = PAGERDUTY.replace("T220000Z", "T220000").replace("T070000Z", "T070000")
    berlin = shown(Calendar(ical=text, zone="Europe/Berlin"))
    assert berlin == ["2026-10-23T22:00:00+02:00 2026-10-25T07:00:00+01:00 Maintenance - Database"]
    utc = shown(Calendar(ical=text))
    assert shown(Calendar(ical=text, zone="UTC")) == utc
    assert utc == ["2026-10-24T00:00:00+02:00 2026-10-25T08:00:00+01:00 Maintenance - Database"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "cannot be read"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\n", "cannot be read"),
        ("BEGIN:VCALENDAR\nVERSION:2.0\nEND:VCALENDAR\n", "no event"),
        (GOOGLE.replace("FREQ=WEEKLY;BYDAY=SU", "FREQ=SECONDLY"), "too often"),
    ],
)
def test_a_file_that_is_no_calendar_is_one_sentence(text: str, word: str) -> None:
    with pytest.raises(ControlError) as error:
        slim(text)
    assert word in error.value.message


def test_far_too_many_windows_are_refused_soon() -> None:
    rule = "FREQ=DAILY;BYHOUR=" + ",".join(map(str, range(24)))
    rule += ";BYMINUTE=" + ",".join(map(str, range(0, 60, 4)))
    text = GOOGLE.replace("FREQ=WEEKLY;BYDAY=SU", rule).replace("T040000", "T010100")
    calendar = Calendar(ical=text)
    with pytest.raises(ControlError, match="too many windows"):
        windows_of(calendar, BEGIN, datetime(2126, 1, 1, tzinfo=UTC))


def test_a_calendar_file_stands_beside_the_documents() -> None:
    files = {"work.ics": GOOGLE}
    text = '[[calendar]]\nname = "work"\nkeys = ["db-*"]\nzone = "Europe/Berlin"\nfile = "work.ics"'
    (document,) = parse(text, "ops.toml", "ada", TIME, files.__getitem__)
    assert isinstance(document.body, Calendar)
    assert shown(document.body) == shown(Calendar(ical=GOOGLE, zone="Europe/Berlin"))
    assert parse(render([document]), "ops.toml", "ada", TIME) == [document]
    with pytest.raises(ControlError, match="zone"):
        parse(text.replace("Europe/Berlin", "Mars/North"), "x", "ada", TIME, files.__getitem__)
    with pytest.raises(ControlError, match=r"`file` 'work.ics' of .* The calendar cannot be read"):
        parse(text, "ops.toml", "ada", TIME, {"work.ics": "BEGIN:NOTHING"}.__getitem__)
