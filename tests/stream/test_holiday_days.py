"""Holidays of countries, as days that count as Sundays."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime

import numpy as np
import pytest

from ember_core.pipeline.civil import SUNDAY, CivilCalendar
from stream.errors import UserError
from stream.holiday_days import holiday_days

BEGIN, END = (
    round(datetime(*at, tzinfo=UTC).timestamp() * 1e6) for at in ((2026, 3, 1), (2026, 4, 1))
)


def test_a_country_has_its_days_from_the_history_on() -> None:
    pytest.importorskip("holidays", reason="the extra `calendars` is not installed")
    bavaria, germany = (holiday_days([code], BEGIN, END) for code in ("DE-BY", "DE"))
    assert set(germany) < set(bavaria)
    assert date(2026, 1, 6) in set(bavaria) - set(germany)  # Epiphany
    assert date(2026, 4, 6) in germany  # Easter Monday
    assert {day.year for day in germany} == set(range(2026, 2032))
    both = holiday_days(["DE", "2026-12-24"], BEGIN, END)
    assert set(both) - set(germany) == {date(2026, 12, 24)}


def test_they_are_sundays_of_the_profiles() -> None:
    pytest.importorskip("holidays", reason="the extra `calendars` is not installed")
    calendar = CivilCalendar("Europe/Berlin", holiday_days(["DE"], BEGIN, END))
    noon = np.array(["2026-04-06T10:00", "2026-04-07T10:00"], dtype="datetime64[us]")
    _, week = calendar.bins(noon.astype(np.int64), bin_seconds=86_400)
    assert week.tolist() == [SUNDAY, 1]  # Easter Monday, and the Tuesday after it


@pytest.mark.parametrize("code", ["XX", "DE-ZZ"])
def test_a_country_that_is_not_known_is_one_sentence(code: str) -> None:
    pytest.importorskip("holidays", reason="the extra `calendars` is not installed")
    with pytest.raises(UserError, match=f"Received: '{code}'"):
        holiday_days([code], BEGIN, END)


def test_without_the_package_days_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    assert holiday_days(["2026-12-24"], BEGIN, END) == (date(2026, 12, 24),)
    with pytest.raises(UserError, match=r"pip install 'ember-anomaly\[calendars\]'"):
        holiday_days(["DE"], BEGIN, END)
    with pytest.raises(UserError, match="expected days such as `2026-12-25`"):
        holiday_days(["deutschland"], BEGIN, END)
