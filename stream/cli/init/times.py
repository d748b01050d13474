"""Choice of the event time of JSON records: its field, unit, format and zone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import TimeReader

from .fields import Path, Scalar, can_be_named, path_text

_FORMATS = (
    *("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"),
    *("%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M:%S %p", "%d-%m-%Y %H:%M:%S", "%m-%d-%Y %H:%M:%S"),
    *("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%b/%Y:%H:%M:%S %z", "%d %b %Y %H:%M:%S"),
    *("%d-%b-%Y %H:%M:%S", "%a %b %d %H:%M:%S %Y", "%Y%m%d%H%M%S", "%Y/%m/%d %H:%M:%S"),
)
_NAMES = ("ts", "time", "timestamp", "@timestamp", "event_time", "eventtime", "datetime", "_time")
_NAMED = re.compile(r"(^|.*[a-z_.-])(ts|time|timestamp|datetime|date|at)([_-]?(utc|ms|us|ns|s))?$")
_NEARLY_ALL = 0.9
_FEW = 5
_DAY_SECONDS = 86_400.0
_ZONE_SECONDS = 900.0
_HOUR_SECONDS = 3_600.0
_FIRST = datetime(2001, 1, 1, tzinfo=UTC).timestamp()
_LAST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
_SPREADSHEET_DAYS = (36_000.0, 73_000.0)


@dataclass(frozen=True)
class TimeField:
    """Event time of the records.

    Attributes:
        path: Field of the time; empty: Kafka's timestamp.
        unit: Value of `input.time_unit`.
        format: Value of `input.time_format`.
        zone: Value of `input.time_zone`.
        reason: Reason of the choice, in words.
    """

    path: Path = ()
    unit: Literal["auto", "excel"] = "auto"
    format: str = ""
    zone: str = ""
    reason: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """Settings of `[input]`."""
        return {
            "time": path_text(self.path) if self.path else "",
            "time_unit": self.unit,
            "time_format": self.format,
            "time_zone": self.zone,
        }


@dataclass(frozen=True)
class _Candidate:
    field: TimeField
    rank: int
    seconds_off: float


def find_time(
    columns: Mapping[Path, Mapping[int, Scalar]],
    stamps_ms: Sequence[int],
    *,
    only: str = "",
    zone: str = "",
) -> TimeField:
    """Return the field that holds the event time; without one it is Kafka's timestamp.

    Args:
        columns: Values of each field by the number of the record.
        stamps_ms: Kafka's timestamp of each record; zero or less where there is none.
        only: Field to take, as the settings name it.
        zone: Time zone of times without an offset; empty: by Kafka's timestamps.
    """
    candidates = []
    for path, values in columns.items():
        if only and (not can_be_named(path) or path_text(path) != only):
            continue
        if not can_be_named(path) or len(values) < _NEARLY_ALL * len(stamps_ms):
            continue
        rank = len(_NAMES) + 1 if only else _rank(path)
        numbers = list(values)
        stamps = np.array([stamps_ms[number] for number in numbers], np.float64) / 1000
        candidate = _read(path, list(values.values()), stamps, rank, zone)
        if candidate is not None:
            candidates.append(candidate)
    if not candidates:
        return TimeField(reason="no field is a time: Kafka's timestamp")
    return min(candidates, key=lambda c: (c.rank, len(c.field.path), c.seconds_off)).field


def _rank(path: Path) -> int:
    """Return how likely a field is the time by its name; the least is the likeliest."""
    name = path[-1]
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    if name.lower() in _NAMES:
        return _NAMES.index(name.lower())
    return len(_NAMES) if _NAMED.fullmatch(spaced) else len(_NAMES) + 9


def _read(
    path: Path, values: list[Any], stamps: NDArray[np.float64], rank: int, zone: str
) -> _Candidate | None:
    """Return the field with the unit and format by which its values are times."""
    if any(isinstance(value, bool) for value in values):
        return None
    is_named = rank <= len(_NAMES) + 1
    attempts: list[tuple[Literal["auto", "excel"], str]] = [("auto", "")]
    if is_named and _are_days(values):
        attempts = [("excel", "")]
    elif is_named or all(isinstance(value, str) for value in values):
        attempts += [("auto", text) for text in _FORMATS]
    best: _Candidate | None = None
    for unit, text in attempts:
        if best is not None and not best.field.format:
            break  # without a format is simplest
        seconds = _seconds(values, TimeReader(unit, text, zone))
        if seconds is None:
            continue
        offsets = (seconds - stamps)[stamps > 0]
        seconds_off = float(np.median(np.abs(offsets))) if offsets.size else 0.0
        if not is_named and (
            not offsets.size or seconds_off > _DAY_SECONDS or not _is_clock(values)
        ):
            continue
        zone_name = zone or (_zone(offsets) if _is_local(values) else "")
        field = TimeField(path, unit, text, zone_name, _reason(path, values[-1], text or unit))
        if best is None or seconds_off < best.seconds_off:
            best = _Candidate(field, rank, seconds_off)
    return best


def _seconds(values: list[Any], reader: TimeReader) -> NDArray[np.float64] | None:
    """Return the times in seconds, without those of no plausible year; None where they are none."""
    # Most columns are no times: a few values tell, and the others need not be tried.
    if len(reader.column(values[:_FEW])[1]) == len(values[:_FEW]):
        return None
    time_us, bad = reader.column(values)
    seconds: NDArray[np.float64] = time_us / 1e6
    good = (seconds > _FIRST) & (seconds < _LAST)
    good[list(bad)] = False
    if good.mean() < _NEARLY_ALL:
        return None
    return np.where(good, seconds, np.median(seconds[good]))


def _are_days(values: list[Any]) -> bool:
    """Tell if numbers are days of a spreadsheet."""
    low, high = _SPREADSHEET_DAYS
    return all(isinstance(value, int | float) and low < value < high for value in values)


def _is_clock(values: list[Any]) -> bool:
    """Tell if values of a field of another name go on like a time: texts, or large numbers."""
    return len(set(values)) > 1 or len(values) == 1


def _is_local(values: list[Any]) -> bool:
    texts = [value for value in values if isinstance(value, str) and ":" in value]
    if not texts:
        return False
    _, local, _ = TimeReader().local(texts)
    has_offset = any(re.search(r"(Z|[+-]\d\d:?\d\d)$", text.strip()) for text in texts)
    return bool(local.any()) or not has_offset


def _zone(offsets: NDArray[np.float64]) -> str:
    """Return the zone of whole hours that times without an offset are in, by Kafka's time."""
    if not offsets.size:
        return ""
    middle = float(np.median(offsets))
    steps = round(middle / _ZONE_SECONDS)
    hours = steps * _ZONE_SECONDS / _HOUR_SECONDS
    constant = (np.abs(offsets - steps * _ZONE_SECONDS) < 60).mean() > _NEARLY_ALL
    if not constant or hours != int(hours) or not 1 <= abs(hours) <= 12:
        return ""
    return f"Etc/GMT{-int(hours):+d}"  # its sign is that of POSIX: west is positive


def _reason(path: Path, example: Scalar, form: str) -> str:
    text = f"field {path_text(path)}, such as {str(example)[:40]!r}"
    return text if form == "auto" else f"{text}, read as {form}"
