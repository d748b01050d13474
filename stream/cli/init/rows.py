"""Choice of the rows: their window and interval, and how late records come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.cli.doctor.evidence import Evidence
from stream.cli.doctor.row_checks import DEFAULT_INTERVAL, measured_interval, shared_times

_SHARE: Final = 0.999
_LATE: Final = 0.01
"""Share of records out of order from which rows are made of intervals."""
_DEFAULT_LATENESS: Final = 5.0
_MOST_LATENESS: Final = 600.0


@dataclass(frozen=True)
class RowChoice:
    """Rows of the stream.

    Attributes:
        mode: Value of `window.mode`.
        interval_seconds: Usual seconds between two values of a channel.
        is_measured: False where the sample is too short to tell that.
        lateness_seconds: Value of `window.allowed_lateness_seconds`.
        reason: Reason of the choice, in words.
        order: Sentence about records that come late.
    """

    mode: str
    interval_seconds: float
    is_measured: bool
    lateness_seconds: float
    reason: str
    order: str

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of `[window]`."""
        if self.mode == "count":
            return {"mode": "count"}
        return {
            "mode": "time",
            "interval_seconds": self.interval_seconds,
            "allowed_lateness_seconds": self.lateness_seconds,
        }


def choose_rows(evidence: Evidence, interval_seconds: float | None = None) -> RowChoice:
    """Choose the window by the times of the records.

    Args:
        evidence: Records, read with the key that was chosen.
        interval_seconds: Interval that the user names.
    """
    decoded = evidence.samples.decoded
    measured = measured_interval(evidence)
    interval = measured or DEFAULT_INTERVAL
    late = lateness(decoded.keys, decoded.time_us)
    share = float((late > 0).mean()) if late.size else 0.0
    highest = float(np.quantile(late, _SHARE)) if late.size else 0.0
    if evidence.settings.window.mode == "time":
        mode, reason = "time", f"{evidence.codec} has one metric a record"
    elif any(shared_times(evidence)):
        mode, reason = "time", "records of one time hold parts of a row"
    elif share > _LATE:
        mode, reason = "time", f"{100 * share:.0f} % of records come after a later one of their key"
    else:
        mode, reason = "count", "each record holds all channels of its time"
    lateness_needed = max(_DEFAULT_LATENESS, float(math.ceil(1.2 * highest)))
    # Hours late is a backlog: waiting for it would hold every row back.
    allowed = min(lateness_needed, _MOST_LATENESS)
    order = "in order" if not share else f"{100 * share:.1f} % out of order, up to {highest:,.2g} s"
    if interval_seconds is not None:
        return RowChoice("time", interval_seconds, True, allowed, "as asked", order)
    return RowChoice(mode, interval, measured is not None, allowed, reason, order)


def lateness(keys: list[bytes], time_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the seconds by which each sample is older than the newest before it of its key.

    Args:
        keys: Stream keys in order of arrival.
        time_us: Event times.
    """
    newest: dict[bytes, int] = {}
    late = np.zeros(len(keys))
    for number, (key, time) in enumerate(zip(keys, time_us.tolist(), strict=True)):
        former = newest.get(key, time)
        late[number] = max(0, former - time) / 1e6
        newest[key] = max(former, time)
    return late
