"""Bins of the civil day and week, beside Python's own local times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.pipeline import CivilCalendar
from ember_core.pipeline.civil import bins_of_day, transitions_of

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # half an hour, once changed at one minute past midnight
    "Asia/Kolkata",
    "Asia/Kathmandu",  # a quarter of an hour
    "Australia/Lord_Howe",  # daylight saving of half an hour
    "Africa/Casablanca",  # daylight saving around Ramadan
    "Africa/Monrovia",  # 44 minutes and 30 seconds until 1972
    "Pacific/Apia",  # left out a whole day in 2011
)
HOUR_US = 3_600_000_000


def us(*moments):
    return np.array([round(m.timestamp() * 1e6) for m in moments], dtype=np.int64)


def expected(times_us, zone, holidays, bin_seconds):
    """Return the bins by the datetime of Python, one time after the other."""
    day, week = [], []
    for t in times_us.tolist():
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t)).astimezone(
            ZoneInfo(zone)
        )
        of_day = local.hour * 3600 + local.minute * 60 + local.second
        weekday = 6 if local.date() in holidays else local.weekday()
        day.append(of_day // bin_seconds)
        week.append(weekday * -(-86_400 // bin_seconds) + of_day // bin_seconds)
    return day, week


@given(
    zone=st.sampled_from(ZONES),
    seconds=st.lists(st.integers(0, 4_070_000_000), min_size=1, max_size=20),
    microsecond=st.integers(0, 999_999),
    bin_seconds=st.sampled_from([1, 60, 420, 600, 3_600, 7_000, 86_400]),
)
def test_bins_are_those_of_python_at_any_time(zone, seconds, microsecond, bin_seconds):
    times = np.array(seconds, dtype=np.int64) * 1_000_000 + microsecond
    day, week = CivilCalendar(zone).bins(times, bin_seconds)
    assert day.dtype == week.dtype == np.int64
    assert (day.tolist(), week.tolist()) == expected(times, zone, (), bin_seconds)


@pytest.mark.parametrize("zone", ZONES)
def test_bins_are_those_of_python_around_every_change_of_clocks(zone):
    """Also in the last microsecond before, and in the hours that come twice or not at all."""
    changes = transitions_of(zone).at_us
    changes = changes[:: max(1, len(changes) // 30)]
    offsets_us = np.array([-HOUR_US, -1, 0, 1, HOUR_US - 1, HOUR_US, 2 * HOUR_US])
    times = (changes[:, None] + offsets_us).ravel()
    day, week = CivilCalendar(zone).bins(times, 600)
    assert (day.tolist(), week.tolist()) == expected(times, zone, (), 600)


def test_a_daily_job_stays_in_its_bin_when_clocks_change():
    days = [datetime(2026, 3, 26 + n, 4, 30, tzinfo=ZoneInfo("Europe/Berlin")) for n in range(5)]
    day, week = CivilCalendar("Europe/Berlin").bins(us(*days), 600)
    assert set(day.tolist()) == {27}
    assert (week // 144).tolist() == [3, 4, 5, 6, 0]
    assert len(set(CivilCalendar().bins(us(*days), 600)[0].tolist())) == 2


def test_holidays_are_sundays_of_their_own_zone():
    christmas = date(2026, 12, 25)  # a Friday
    calendar = CivilCalendar("America/New_York", (christmas, "2026-07-04", christmas))
    assert calendar.holidays == (date(2026, 7, 4), christmas)
    begin = datetime(2026, 12, 25, 5, tzinfo=UTC)
    times = us(begin - timedelta(microseconds=1), begin, begin + timedelta(hours=23, minutes=59))
    day, week = calendar.bins(times, 3_600)
    assert (week // 24).tolist() == [3, 6, 6]
    assert (day.tolist(), week.tolist()) == expected(
        times, "America/New_York", calendar.holidays, 3_600
    )


def test_a_calendar_survives_its_json():
    calendar = CivilCalendar("Asia/Kolkata", (date(2026, 1, 26),))
    assert CivilCalendar.from_json(calendar.as_json()) == calendar
    assert calendar.as_json() == {"zone": "Asia/Kolkata", "holidays": ["2026-01-26"]}


def test_the_number_of_bins_covers_the_day():
    assert [bins_of_day(s) for s in (1, 600, 7_000, 86_400)] == [86_400, 144, 13, 1]


def test_times_of_any_shape_and_order():
    times = np.array([[3, 1], [2, 90_000]], dtype=np.int64) * 1_000_000
    day, week = CivilCalendar().bins(times, 3_600)
    assert day.tolist() == [[0, 0], [0, 1]]
    assert week.tolist() == [[72, 72], [72, 97]]
    assert CivilCalendar("Asia/Tokyo").bins(np.zeros(0, np.int64), 60)[0].shape == (0,)


@pytest.mark.parametrize("bin_seconds", [0, -60, 86_401, 0.5])
def test_bins_of_no_length_are_refused(bin_seconds):
    with pytest.raises(ValueError, match="whole seconds"):
        CivilCalendar().bins(np.zeros(1, np.int64), bin_seconds)


def test_unknown_zones_and_dates_are_refused():
    with pytest.raises(ValueError, match="no time zone 'Europe/Berln'"):
        CivilCalendar("Europe/Berln")
    with pytest.raises(ValueError, match=r"no date.*25\.12\."):
        CivilCalendar("UTC", ("25.12.2026",))
