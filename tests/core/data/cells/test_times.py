"""The table of times: what a cell is read as, in files and in records."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.cells import EARLIEST_US, LATEST_US, TimeReader, Unreadable, is_date_number

WHEN = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "cell",
    [
        "2026-01-31T10:00:00Z",
        "2026-01-31T10:00Z",
        "2026-01-31 10:00:00",
        "2026-01-31T10:00:00.000000000Z",
        "2026-01-31T10:00:00,000+00:00",
        "2026-01-31 10:00:00 +0000",
        "2026-01-31 10:00:00 UTC",
        "2026-01-31 10:00:00.0 +0000 UTC",
        "2026-01-31T11:00:00+01",
        "2026-01-31T11:00:00+0100",
        "2026-01-31T06:30:00-03:30",
        "2026-01-31T11:00:00+01:00[Europe/Berlin]",
        "2026/01/31 10:00",
        "2026/1/31 10:00:00",
        "2026.01.31 10:00:00",
        "2026-01-31 10:00 am",
        "20260131T100000Z",
        "20260131 100000",
        "20260131 10:00",
        "202601311000",
        "20260131100000",
        202601311000,
        20260131100000,
        20260131100000.0,
        "31.01.2026 10:00",
        "31.1.2026, 10:00:00",
        "31 Jan 2026 10:00",
        "31-Jan-2026 10:00:00",
        "Jan 31 2026 10:00:00",
        "January 31, 2026 10:00 AM",
        "Sat, 31 Jan 2026 11:00:00 +0100",
        "Sat, 31 Jan 2026 10:00:00 GMT",
        "Sat Jan 31 10:00:00 2026",
        "Sat Jan 31 10:00:00 UTC 2026",
        "31/Jan/2026:11:00:00 +0100",
        "\u00a02026-01-31 10:00 ",
        1769853600,
        " 1769853600 ",
        "1769853600.0",
        "1.7698536e9",
        1769853600000,
        "1769853600000000",
        1769853600000000000,
        np.int64(1769853600),
        WHEN,
        WHEN.astimezone(timezone(timedelta(hours=5))),
        datetime(2026, 1, 31, 10, 0),  # noqa: DTZ001
    ],
)
def test_forms_of_one_time(cell: Any) -> None:
    assert TimeReader().read(cell) == micros(WHEN)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (20260131, datetime(2026, 1, 31, tzinfo=UTC)),
        ("20260131", datetime(2026, 1, 31, tzinfo=UTC)),
        (date(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        (20161231235960, datetime(2017, 1, 1, tzinfo=UTC)),
        ("2026-01-31 24:00", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("Feb 29, 2024 12:30 AM", datetime(2024, 2, 29, 0, 30, tzinfo=UTC)),
        ("Feb 29, 2024 12:30 PM", datetime(2024, 2, 29, 12, 30, tzinfo=UTC)),
    ],
)
def test_dates_and_edges_of_the_day(cell: Any, expected: datetime) -> None:
    assert TimeReader().read(cell) == micros(expected)


@pytest.mark.parametrize(
    "cell",
    [
        None, "", "soon", "now", True, {}, float("nan"), 10**40, 20260132, "20260230", 202601312460,
        "2026-02-30", "2026-01-31 25:00", "2026-01-31 24:01", "13:00", "2026-01-31 13:00 PM",
        "31/01/2026", "01/02/2026 10:00", "1899-12-31", "2262-01-01", "2026-01-31 10:00:61",
        "2026-01-31 10:00 CET",
    ],
)  # fmt: skip
def test_unreadable(cell: Any) -> None:
    with pytest.raises(Unreadable):
        TimeReader().read(cell)


def test_seconds_that_look_like_a_date_are_read_where_they_are_said_to_be_seconds() -> None:
    assert TimeReader(unit="s").read(20260131) == 20260131_000_000


def test_order_of_day_and_month_is_said() -> None:
    assert TimeReader(day_first=True).read("31/01/2026 10:00") == micros(WHEN)
    assert TimeReader(day_first=False).read("01-31-2026 10:00:00 AM") == micros(WHEN)
    with pytest.raises(Unreadable):
        TimeReader(day_first=False).read("31/01/2026")
    with pytest.raises(Unreadable, match=r"input\.time_format"):
        TimeReader().read("31/01/2026")


def test_a_format_is_the_only_form() -> None:
    assert TimeReader(format="%d/%m/%Y %H:%M").read(" 31/01/2026 10:00") == micros(WHEN)
    assert TimeReader(format="%Y%m%d%H").read(2026013110) == micros(WHEN)
    assert TimeReader(format="%d.%m.%y %H.%M%z").read("31.01.26 11.00+0100") == micros(WHEN)
    with pytest.raises(Unreadable, match="of the form %H:%M"):
        TimeReader(format="%H:%M").read("2026-01-31T10:00:00Z")


def test_days_of_a_spreadsheet() -> None:
    reader = TimeReader(unit="excel")
    assert reader.read(46053) == micros(WHEN.replace(hour=0))
    assert reader.read("46053.4166666667") == micros(WHEN)


def test_local_times() -> None:
    berlin = TimeReader(zone="Europe/Berlin")
    local = WHEN.replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert berlin.read("2026-01-31 10:00") == micros(local.astimezone(UTC))
    assert berlin.read(202601311000) == micros(local.astimezone(UTC))
    # An offset, and a number since the epoch, need no zone.
    assert berlin.read("2026-01-31T10:00Z") == berlin.read(1769853600) == micros(WHEN)
    # Clocks go back at 3: the first 02:30 is that of summer. They go forward at 2.
    assert berlin.read("2025-10-26 02:30") == micros(datetime(2025, 10, 26, 0, 30, tzinfo=UTC))
    assert berlin.read("2025-03-30 02:30") == micros(datetime(2025, 3, 30, 1, 30, tzinfo=UTC))
    with pytest.raises(ValueError, match="no time zone 'Mars/Olympus'"):
        TimeReader(zone="Mars/Olympus")


def test_no_time_depends_on_its_neighbours() -> None:
    cells = ["2026-01-31", 5, None, 1.5, "x", 10**30, "20260131", 17**40, "7.25"]
    out, bad = TimeReader().column(cells)
    assert sorted(bad) == [2, 4, 5, 7]
    for cell, micros in zip(cells, out.tolist(), strict=True):
        if micros:
            assert micros == TimeReader().read(cell)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2261, 12, 31)))  # noqa: DTZ001
def test_iso_text_is_exact_to_the_microsecond(moment: datetime) -> None:
    expected = micros(moment.replace(tzinfo=UTC))
    assert TimeReader().read(str(moment)) == expected
    assert TimeReader().read(f"{moment:%Y/%m/%d %H:%M:%S.%f}") == expected
    assert TimeReader().read(f"{moment:%d %b %Y %H:%M:%S,%f} Z") == expected


@given(st.integers(EARLIEST_US, LATEST_US - 1))
def test_epochs_in_microseconds_are_exact(time_us: int) -> None:
    assert TimeReader(unit="us").read(str(time_us)) == time_us
    assert TimeReader(unit="ns").read(time_us * 1000 + 999) == time_us


@given(st.integers(0, 10**15))
def test_numbers_that_are_dates_are_told_from_epochs(number: int) -> None:
    epoch = number * (10**6 if number < 10**11 else 10**3 if number < 10**14 else 1)
    out, bad = TimeReader().column([number])
    if not is_date_number(number) and epoch < LATEST_US:
        assert out.tolist() == [epoch]
    elif is_date_number(number):
        year = int(str(out.astype("datetime64[us]")[0])[:4])
        assert bad or int(str(number)[:4]) in (year, year - 1)  # the last second may be a leap's
