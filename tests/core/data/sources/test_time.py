"""Event times of many spellings."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.cells import TimeReader
from ember_core.data.sources import TimeUnit, to_microseconds
from ember_core.data.sources.times import BadTimeError, read_times

WHEN = 1_583_748_873_000_000  # 2020-03-09 10:14:33 UTC


def texts(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("1583748873", "s", WHEN),
        ("1583748873.25", "s", WHEN + 250_000),
        ("1583748873000", "ms", WHEN),
        ("1583748873000000", "us", WHEN),
        ("1583748873000000999", "ns", WHEN),
        ("1583748873", "auto", WHEN),
        ("1583748873000", "auto", WHEN),
        ("1583748873000000", "auto", WHEN),
        ("1583748873000000001", "auto", WHEN),
        ("-1", "s", -1_000_000),
        ("7", "index", 420_000_000),
        ("7.0", "index", 420_000_000),
        ("2020-03-09 10:14:33", "auto", WHEN),
        ("2020-03-09T10:14:33Z", "iso8601", WHEN),
        ("2020-03-09T12:14:33.000001+02:00", "auto", WHEN + 1),
        ("2020-03-09T10:14:33.123456789Z", "auto", WHEN + 123_456),
        ("1900-01-01", "iso8601", -2_208_988_800_000_000),
        ("2261-12-31", "iso8601", 9_214_560_000_000_000),
    ],
)
def test_spellings(text: str, unit: TimeUnit, expected: int) -> None:
    assert to_microseconds(texts(text), unit).tolist() == [expected]


@pytest.mark.parametrize(
    ("size", "unit"),
    [
        (99_999_999_999, 1_000_000),
        (100_000_000_000, 1_000),
        (99_999_999_999_999, 1_000),
        (100_000_000_000_000, 1),
        (99_999_999_999_999_999, 1),
    ],
)
def test_auto_changes_unit_exactly_at_its_limits(size: int, unit: int) -> None:
    if size * unit < 9_214_646_400_000_000:
        assert to_microseconds(np.array([size]), "auto").tolist() == [size * unit]
    else:
        with pytest.raises(BadTimeError):
            to_microseconds(np.array([size]), "auto")  # beyond the year 2261


def test_auto_decides_for_each_record() -> None:
    mixed = texts("1583748873", "2020-03-09 10:14:33", "1583748873000.0", "1583748873000000000")
    assert to_microseconds(mixed, "auto").tolist() == [WHEN] * 4


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("soon", "auto"),
        ("", "auto"),
        ("nan", "s"),
        ("inf", "s"),
        ("2020-03-09", "s"),
        ("1583748873", "iso8601"),
        ("1e300", "s"),
        ("99999999999999999999999", "ns"),
        ("1899-12-31T23:59:59Z", "auto"),
        ("2262-01-01", "auto"),
        ("9999-12-31", "auto"),
    ],
)
def test_what_is_no_time_is_named_by_its_row(value: str, unit: TimeUnit) -> None:
    good = "2020-03-09" if unit == "iso8601" else "17"
    with pytest.raises(BadTimeError) as caught:
        to_microseconds(texts(good, good, value, good), unit)
    assert caught.value.row == 2


def test_numbers_need_no_text() -> None:
    assert to_microseconds(np.array([17, 19]), "s").tolist() == [17_000_000, 19_000_000]
    assert to_microseconds(np.array([1.5]), "ms").tolist() == [1_500]
    assert to_microseconds(np.array([17], np.uint8), "ms").tolist() == [17_000]
    with pytest.raises(BadTimeError):
        to_microseconds(np.array([2**63 + 7], np.uint64), "ns")


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2261, 12, 31)))  # noqa: DTZ001
def test_iso_text_is_exact_to_the_microsecond(moment: datetime) -> None:
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    assert to_microseconds(texts(str(moment)), "auto").tolist() == [expected]
    assert to_microseconds(texts(moment.isoformat() + "Z", "2020-01-01"), "auto")[0] == expected


@pytest.mark.parametrize(
    "odd", ["1712111010", "22000101", "45720910", "2026-01", "7", "2262-01-01", "2026-01-31 24:00"]
)
def test_no_text_is_read_otherwise_beside_others(odd: str) -> None:
    reader = TimeReader()
    expected = reader.column([odd])
    for usual in ("2026-01-31T10:00:00Z", "2026/01/31 10:00"):
        found = read_times(texts(usual, odd, usual), reader)
        assert found.time_us[0] == found.time_us[2] == reader.read(usual)
        assert (1 in found.bad) == bool(expected[1])
        if not found.bad:
            assert found.time_us[1] == expected[0][0]
