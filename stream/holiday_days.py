"""Days that count as Sundays: single ones, and all public holidays of a country."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Final

from .errors import UserError

YEARS_AHEAD: Final = 5
"""Years after the telemetry for which a model knows the holidays of a country."""
_COUNTRY: Final = re.compile(r"([A-Z]{2})(?:-([A-Z0-9]{1,4}))?")


def holiday_fault(text: str) -> str:
    """Return the fault of a holiday as it is written; empty for a day, or the code of a country.

    Examples:
        >>> holiday_fault("2026-12-25"), holiday_fault("DE"), holiday_fault("DE-BY")
        ('', '', '')
        >>> holiday_fault("25.12.2026")
        "expected days such as `2026-12-25`, or a country such as `DE-BY`, not '25.12.2026'"

    Args:
        text: The text.
    """
    if _COUNTRY.fullmatch(text):
        return ""
    try:
        date.fromisoformat(text)
    except ValueError:
        return f"expected days such as `2026-12-25`, or a country such as `DE-BY`, not {text!r}"
    return ""


def holiday_days(entries: Iterable[str], first_us: int, last_us: int) -> tuple[date, ...]:
    """Return the days, with those of countries from the telemetry's first year on.

    A model keeps the days themselves. So its results do not depend on the package that knew them.

    Args:
        entries: Days, and codes of countries and their parts as in ISO 3166.
        first_us: Begin of the telemetry, microseconds.
        last_us: End of it.

    Raises:
        UserError: If one is neither, or the package that knows holidays is not there.
    """
    years = range(_year(first_us), _year(last_us) + YEARS_AHEAD + 1)
    days = set[date]()
    for entry in entries:
        if fault := holiday_fault(entry):
            raise UserError(f"A holiday is no day: {fault}.", exit_code=2)
        country = _COUNTRY.fullmatch(entry)
        days |= set(_of_country(country[1], country[2], years)) if country else {_day(entry)}
    return tuple(sorted(days))


def _of_country(country: str, part: str | None, years: range) -> Iterable[date]:
    holidays = _library()
    try:
        days: Any = holidays.country_holidays(country, subdiv=part, years=years)
    except NotImplementedError:
        name = f"{country}-{part}" if part else country
        raise UserError(
            "The holidays of this country are not known. Expected a code such as DE, US-CA or "
            f"DE-BY (ISO 3166) that the package holidays knows. Received: {name!r}. "
            "Give the days one by one.",
            exit_code=2,
        ) from None
    return list(days)


def _library() -> Any:
    try:
        import holidays
    except ImportError:
        raise UserError(
            "Holidays of a country need a package more. Expected the extra `calendars`. Received: "
            "none. Install it with pip install 'ember-anomaly[calendars]', or give the days.",
            exit_code=2,
        ) from None
    return holidays


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _year(time_us: int) -> int:
    return datetime.fromtimestamp(time_us / 1e6, UTC).year
