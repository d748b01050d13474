"""Open alerts that a state row held, and that its successor does not hold.

An alert is open in the row alone: in the flag of the motor neuron, of the idle time, and of each
missing channel. Where one of them is lost, nobody would ever resolve the alert. So whoever drops or
migrates a row notes the difference here, and the partition's owner resolves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layout import TOP

LIMIT_SIDES = ("above", "below")
SENT, UNSENT = 1, 2
"""Field `stale` of an idle key: its trigger was emitted, or left out in the warm-up."""


@dataclass(frozen=True)
class OpenEpisode:
    """Fields of an open episode.

    Attributes:
        start_us: Event time it began.
        peak: Largest severity.
        rows: Its rows so far.
        channels: Top channels of the peak: name, share, value and expected value; empty where it
            is their channels that changed.
    """

    start_us: int
    peak: float
    rows: int
    channels: tuple[tuple[str, float, float, float], ...] = ()


@dataclass(frozen=True)
class GivenUp:
    """Alerts of a key to resolve.

    Attributes:
        reason: Reason, one of `stream.given_up`.
        time_us: Event time of the key's last row.
        seq: Count of its scored rows.
        episode: Open episode; None: there is none.
        stale_since_us: Begin of the idle time that was told; None: there is none.
        missing: Missing channels that were told, and the rows without each.
        limits: Hard limits whose alert is open: channel, direction, and since when.
    """

    reason: str
    time_us: int
    seq: int
    episode: OpenEpisode | None = None
    stale_since_us: int | None = None
    missing: tuple[tuple[str, int], ...] = ()
    limits: tuple[tuple[str, str, int], ...] = ()

    def __bool__(self) -> bool:
        has_key_alert = self.episode is not None or self.stale_since_us is not None
        return has_key_alert or bool(self.missing) or bool(self.limits)


def holds_open(fields: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return True for rows with an open alert, `(n,)`.

    Args:
        fields: Fields of `n` rows by name; those that another layout lacks may be absent.
    """
    stale = fields["stale"]
    is_open: NDArray[np.bool_] = stale == SENT
    if "firing" in fields:
        is_open = is_open | ((fields["firing"] > 0) & (stale == 0))
    if "channel_gone" in fields:
        is_open = is_open | (fields["channel_gone"] > 0).any(axis=1)
    if "limit_open" in fields:
        is_open = is_open | (fields["limit_open"] != 0).any(axis=(1, 2))
    return is_open


def given_up(
    fields: Mapping[str, Any],
    row: int,
    channels: tuple[str, ...],
    reason: str,
    kept: Mapping[str, Any] | None = None,
) -> GivenUp:
    """Return the alerts that a row holds open, without those that its successor holds.

    Args:
        fields: Fields of rows by name.
        row: The row.
        channels: Its channels as its model calls them: name, and recipe where it has one.
        reason: Reason for which it is given up.
        kept: The fields of the successors, of the same rows; None: it has none.
    """
    is_idle = int(fields["stale"][row])
    episode, stale_since, missing = None, None, list[tuple[str, int]]()
    is_firing = "firing" in fields and fields["firing"][row] and not is_idle
    if is_firing and (kept is None or "firing" not in kept or not kept["firing"][row]):
        episode = _episode(fields, row, () if reason == "channels" else channels)
    if is_idle == SENT and (kept is None or kept["stale"][row] != SENT):
        stale_since = int(fields["stale_since"][row])
    if "channel_gone" in fields:
        newly_gone = fields["channel_gone"][row] > 0
        if kept is not None and "channel_gone" in kept and reason != "channels":
            newly_gone = newly_gone & (kept["channel_gone"][row] == 0)
        missing = [
            (_name(channels[i]), int(fields["missing_rows"][row][i]))
            for i in np.flatnonzero(newly_gone).tolist()
        ]
    time_us, seq = int(fields["last_time"][row]), int(fields["seq"][row])
    limits = _limits(fields, row, channels, kept if reason != "channels" else None)
    return GivenUp(reason, time_us, seq, episode, stale_since, tuple(missing), limits)


def _limits(
    fields: Mapping[str, Any],
    row: int,
    channels: tuple[str, ...],
    kept: Mapping[str, Any] | None,
) -> tuple[tuple[str, str, int], ...]:
    """Return the open alerts of hard limits that a successor does not hold."""
    if "limit_open" not in fields:
        return ()
    since = fields["limit_open"][row]
    lost = since != 0
    if kept is not None and "limit_open" in kept:
        lost = lost & (kept["limit_open"][row] == 0)
    return tuple(
        (_name(channels[channel]), LIMIT_SIDES[side], int(since[side, channel]))
        for side, channel in zip(*(place.tolist() for place in np.nonzero(lost)), strict=True)
    )


def _episode(fields: Mapping[str, Any], row: int, channels: tuple[str, ...]) -> OpenEpisode:
    columns = [fields[f"peak_{name}"][row] for name in ("channel", "share", "value", "expected")]
    peak = zip(*(column.tolist() for column in columns), strict=True)
    named = [
        (_name(channels[channel]), *numbers)
        for channel, *numbers in peak
        if 0 <= channel < len(channels)
    ]
    return OpenEpisode(
        start_us=int(fields["episode_start"][row]),
        peak=float(fields["peak_severity"][row]),
        rows=int(fields["episode_rows"][row]),
        channels=tuple(named[:TOP]),
    )


def _name(channel: str) -> str:
    """Return the name of a channel that may be followed by its recipe (`name = rate of other`)."""
    return channel.partition(" = ")[0]
