"""Encoder of Ember's own JSON, for replays and simulators."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence

import msgspec

from ember_core.data.cells import is_date_number
from stream.records import TIME_MAX_US, TIME_MIN_US, rfc3339

_encoder = msgspec.json.Encoder()


def encode_json(
    key: bytes, time_us: int, channels: Sequence[str], values: Iterable[float]
) -> bytes:
    """Encode one record so that the JSON codec reads back exactly the same.

    Args:
        key: Stream key; written as text for human readers where it is UTF-8. The Kafka key counts.
        time_us: Event time in microseconds.
        channels: `C` channel names.
        values: `C` values; NaN is a missing channel and left out.

    Returns:
        JSON whose floats read back bit for bit and whose `ts` the unit `auto` reads exactly. An
        infinite value is written as `1e999`, which the codec counts as out of range, so that it is
        not lost without a word.

    Raises:
        ValueError: If the time is outside [1900, 2262).
    """
    if not TIME_MIN_US <= time_us < TIME_MAX_US:
        raise ValueError(
            f"Event time is out of range. Expected {TIME_MIN_US} <= time_us < {TIME_MAX_US}. "
            f"Received: time_us={time_us}."
        )
    present: dict[str, float | msgspec.Raw] = {
        name: value if abs(value) != math.inf else msgspec.Raw(b"1e999" if value > 0 else b"-1e999")
        for name, value in zip(channels, map(float, values), strict=True)
        if value == value  # NaN is not itself
    }
    record: dict[str, object] = {"ts": _auto_time(int(time_us)), "values": present}
    with contextlib.suppress(UnicodeDecodeError):
        record = {"key": key.decode(), **record}
    return _encoder.encode(record)


def _auto_time(time_us: int) -> int | float | str:
    """Return the shortest form that the unit `auto` reads exactly."""
    # `auto` takes numbers below 1e11 for seconds: smaller milliseconds would be misread.
    whole_ms, remainder = divmod(time_us, 1_000)
    if remainder == 0 and abs(whole_ms) >= 10**11:
        return rfc3339(time_us) if is_date_number(whole_ms) else whole_ms
    whole_s, remainder = divmod(time_us, 1_000_000)
    if remainder == 0:
        return rfc3339(time_us) if is_date_number(whole_s) else whole_s
    seconds = time_us / 1e6
    return seconds if round(seconds * 1e6) == time_us else rfc3339(time_us)
