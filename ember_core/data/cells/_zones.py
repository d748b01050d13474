"""Local times of a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # the local clock's
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BUCKET_US = 900_000_000
"""Since 1970 no zone has changed its offset but at a quarter of an hour."""


def zone_of(name: str) -> ZoneInfo | None:
    """Return a time zone by its name in the IANA database; None for UTC.

    Raises:
        ValueError: If there is no such zone.
    """
    if not name or name.upper() in ("UTC", "Z", "GMT"):
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(
            f"There is no time zone {name!r}. Expected a name of the IANA database, such as "
            "Europe/Berlin or UTC."
        ) from None


def offsets(local_us: Times, zone: ZoneInfo) -> tuple[Times, Times]:
    """Return the offsets from UTC of local times in microseconds: of the first, of the second.

    The two differ where the clock shows a time twice (the first is larger) or skips it.
    """
    buckets, inverse = np.unique(local_us // _BUCKET_US, return_inverse=True)
    pairs = [_offsets(int(bucket), zone) for bucket in buckets.tolist()]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)[inverse]
    return table[:, 0], table[:, 1]


@lru_cache(maxsize=8192)
def _offsets(bucket: int, zone: ZoneInfo) -> tuple[int, int]:
    moment = _EPOCH + timedelta(microseconds=bucket * _BUCKET_US)
    return _offset(moment, zone, 0), _offset(moment, zone, 1)


def _offset(moment: datetime, zone: ZoneInfo, fold: int) -> int:
    offset = moment.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()
    return offset // _MICROSECOND


def to_utc(local_us: Times, zone: ZoneInfo | None) -> Times:
    """Return local times as UTC; of a time that the clock shows twice the first."""
    return local_us if zone is None else local_us - offsets(local_us, zone)[0]


def micros(moment: datetime) -> int:
    """Return a time as microseconds since the epoch; without a zone those of the local clock."""
    epoch = _EPOCH if moment.tzinfo is None else _EPOCH_UTC
    return (moment - epoch) // _MICROSECOND
