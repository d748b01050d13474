"""Event times of records as int64 microseconds, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import TimeReader
from stream.records import Reason

from ._refused import Refused

TimeUnit = Literal["auto", "s", "ms", "us", "ns", "iso8601", "excel"]

_READERS: dict[TimeUnit, TimeReader] = {}


def to_micros(
    times: Sequence[Any] | NDArray[Any],
    unit: TimeUnit | TimeReader,
    where: str | Callable[[int], str],
) -> tuple[NDArray[np.int64], dict[int, Refused]]:
    """Convert a column of event times.

    Args:
        times: `(n,)` ints, floats, texts or datetimes, as decoded; None is a missing time. An array
            only for a reader of numbers.
        unit: Unit of the numbers, or a reader with format and zone; see `ember_core.data.cells`.
        where: Path of the field, for refusals; or a function of the index in `times`.

    Returns:
        `(n,)` microseconds since the epoch, and a refusal for each bad time (its entry in the
        array is 0). The time of one record never depends on the others.
    """
    reader = unit if isinstance(unit, TimeReader) else _reader(unit)
    out, unreadable = reader.column(times)
    bad: dict[int, Refused] = {}
    for i, error in unreadable.items():
        path = where if isinstance(where, str) else where(i)
        if times[i] is None:
            detail = f"The record has no time - at `{path}` (input.time)."
            bad[i] = Refused(Reason.NO_TIME, detail)
        else:
            bad[i] = Refused(Reason.BAD_TIME, f"{error} - at `{path}`")
    return out, bad


def _reader(unit: TimeUnit) -> TimeReader:
    if unit not in _READERS:
        _READERS[unit] = TimeReader(unit)
    return _READERS[unit]
