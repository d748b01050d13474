"""Known incidents of a history: rows that say nothing of how often evidence is usually seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .series import Rows, Series

MARGIN_ROWS: Final = 5
"""Rows on either side of an incident that are left out with it."""

_SHOWN = 5  # windows without a row that a report names

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Incident:
    """Window of a history in which something was wrong.

    Attributes:
        key: Stream key; None: all keys.
        start_us: First time in it, microseconds since the epoch.
        end_us: Last time in it.

    Raises:
        ValueError: If it ends before it starts.
    """

    key: bytes | None
    start_us: int
    end_us: int

    def __post_init__(self) -> None:
        """Refuse a window that ends before it starts."""
        if self.end_us < self.start_us:
            raise ValueError(
                "An incident ends after it starts. Expected end_us >= start_us. "
                f"Received: start_us={self.start_us}, end_us={self.end_us}."
            )

    def as_json(self) -> dict[str, Any]:
        """Return the window in words that can be read back; the key is null for all keys."""
        key = None if self.key is None else self.key.decode(errors="backslashreplace")
        return {"key": key, "start": time_text(self.start_us), "end": time_text(self.end_us)}


def time_text(time_us: int) -> str:
    """Return a time as ISO 8601 in UTC, with a fraction where it has one."""
    time = np.datetime64(time_us, "us")
    return f"{time.astype('datetime64[s]') if time_us % 1_000_000 == 0 else time}Z"


class Marks:
    """Rows of a history that lie in incidents, or within `MARGIN_ROWS` of one.

    Args:
        series: History of the keys.
        incidents: Windows to mark.

    Attributes:
        rows: True for a marked row, `(T,)` for each key.
        windows: Number of incidents.
        outside: Incidents in which no row of the history lies.
    """

    def __init__(self, series: Sequence[Series], incidents: Sequence[Incident] = ()) -> None:
        self._times = [s.time_us for s in series]
        self.rows: list[Flags] = [np.zeros(len(times), dtype=np.bool_) for times in self._times]
        self.outside: list[Incident] = []
        self.windows = len(incidents)
        places = {s.key: k for k, s in enumerate(series)}
        for incident in incidents:
            if incident.key is None:
                keys = list(range(len(series)))
            else:
                keys = [places[incident.key]] if incident.key in places else []
            if not sum(self._mark(k, incident) for k in keys):
                self.outside.append(incident)

    @property
    def count(self) -> int:
        """Number of marked rows."""
        return int(sum(np.count_nonzero(rows) for rows in self.rows))

    def of(self, rows: Rows) -> Flags:
        """Return the marked ones among rows of the history, `(R,)`."""
        out = np.zeros(len(rows.owner), dtype=np.bool_)
        for k in np.unique(rows.owner) if self.count else ():
            is_own = rows.owner == k
            out[is_own] = self.rows[k][np.searchsorted(self._times[k], rows.time_us[is_own])]
        return out

    def report(self) -> dict[str, Any]:
        """Return the number of windows and marked rows, and some windows without a row."""
        total = sum(len(rows) for rows in self.rows)
        return {
            "windows": self.windows,
            "rows": self.count,
            "share": round(self.count / total, 4),
            "outside": len(self.outside),
            "outside_examples": [window.as_json() for window in self.outside[:_SHOWN]],
        }

    def _mark(self, k: int, incident: Incident) -> bool:
        """Mark the rows of a key; return False where none lies in the incident."""
        begin = int(np.searchsorted(self._times[k], incident.start_us, side="left"))
        end = int(np.searchsorted(self._times[k], incident.end_us, side="right"))
        if begin < end:
            self.rows[k][max(begin - MARGIN_ROWS, 0) : end + MARGIN_ROWS] = True
        return begin < end


def kept_rows(values: Any, marked: Flags) -> Any:
    """Return the rows that are not marked, all of them where every one is; `(T, ...)`."""
    return values[~marked] if marked.any() and not marked.all() else values


def kept_parts(values: Any, marked: Flags) -> list[Any]:
    """Return the stretches of rows between the marked ones, `(N, ...)` each."""
    if not marked.any():
        return [values]
    bounds = np.flatnonzero(np.diff(np.r_[True, marked, True].astype(np.int8)))
    return [values[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True)]


def until_calm(marked: Flags, raised: Any) -> Flags:
    """Return marks that go on while evidence is raised: the end of an incident is part of it.

    Args:
        marked: Marked rows, `(T,)`.
        raised: Rows with raised evidence, `(T,)`.
    """
    out = marked.copy()
    calm = np.append(np.flatnonzero(~raised), len(raised))
    for end in np.flatnonzero(marked[:-1] & ~marked[1:]) + 1:
        out[end : calm[np.searchsorted(calm, end)]] = True
    return out


def days_of(parts: Sequence[Any], day_rows: float) -> float:
    """Return the days of some stretches of rows together.

    Args:
        parts: Rows, `(N, ...)` each.
        day_rows: Rows of a day.

    Raises:
        ValueError: If there is no row.
    """
    require_some(parts)
    days = 0.0
    for part in parts:
        days += len(part) / day_rows
    return days


def require_some(parts: Sequence[Any]) -> None:
    """Refuse a history without a row that is not marked.

    Raises:
        ValueError: If there is none.
    """
    if not any(len(part) for part in parts):
        raise ValueError(
            "The incidents leave no row to set thresholds by. Expected usual rows beside them. "
            "Received: incidents on every row of the keys. Mark less of the history."
        )
