"""Checks of `ember doctor` on clocks: Kafka's timestamps, event times, this machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stream.engine.clock import CLOCK_SKEW_US

from .evidence import Evidence, Reading
from .findings import Check

_SKEW_MS = 5_000
_HOUR_SECONDS = 3_600
_ZONE_SECONDS = 900
"""Zones differ from UTC by whole quarters of an hour."""
_LARGEST_ZONE_SECONDS = 14 * _HOUR_SECONDS
_UNIT_FACTORS = (1e3, 1e6, 1e9)


def kafka_timestamps(evidence: Evidence) -> Iterator[Check]:
    """Compare Kafka's timestamps with this machine's clock."""
    name = f"clock of {evidence.topic}"
    stamps = [record.timestamp for record in evidence.records]
    newest, absent = max(stamps), sum(stamp <= 0 for stamp in stamps)
    if newest - evidence.now_ms > _SKEW_MS:
        yield Check(
            name,
            "warn",
            f"The newest record is stamped {(newest - evidence.now_ms) / 1000:,.0f} s in the "
            "future.",
            "Set the clocks (NTP) of the producers or of this machine.",
        )
    elif absent:
        share = "The records have" if absent == len(stamps) else f"{absent} records have"
        yield Check(
            name,
            "warn",
            f"{share} no Kafka timestamp: event times are measured by the workers' clocks.",
            "Use a producer that sets it.",
        )
    else:
        age = max(0, evidence.now_ms - newest) / 1000
        yield Check(name, "ok", f"The newest record is {age:,.1f} s old.")


def event_times(evidence: Evidence) -> Iterator[Check]:
    """Compare event times with Kafka's timestamps: unit, zone, wrong clocks."""
    reading = evidence.samples
    if not len(reading.decoded):
        return
    name = f"event times of {evidence.topic}"
    leads = _seconds_ahead(reading, evidence.now_ms)
    limit = evidence.settings.input.future_seconds
    count = int((leads > limit).sum())
    unit = _wrong_unit(evidence)
    if unit:
        yield Check(name, "fail", unit, 'Set input.time_unit = "auto", or the unit of the records.')
    elif zone := _zone_hours(leads):
        direction = "ahead of" if zone > 0 else "behind"
        yield Check(
            name,
            "fail" if count else "warn",
            f"Event times are {abs(zone):g} h {direction} Kafka's: local times without a zone, "
            "or a backlog of that age.",
            "Let the producer write UTC, or times with their zone such as 12:00:00+02:00.",
        )
    elif count:
        yield Check(
            name,
            "fail" if count == len(leads) else "warn",
            f"{count} of {len(leads)} samples are up to {float(leads.max()):,.0f} s "
            "ahead of their Kafka timestamp, or of this clock: they would be refused.",
            "Check input.time_unit and the producers' clocks, or raise input.future_seconds.",
        )


def _seconds_ahead(reading: Reading, now_ms: int) -> NDArray[np.float64]:
    """Return the lead of each event time over the time that a worker measures it by."""
    stamps = np.array([record.timestamp for record in reading.records], np.int64)
    latest_ms = now_ms + CLOCK_SKEW_US // 1000
    reference_ms = np.where(stamps > 0, np.minimum(stamps, latest_ms), latest_ms)
    leads: NDArray[np.float64] = reading.decoded.time_us / 1e6
    return leads - reference_ms[reading.decoded.message] / 1000


def _wrong_unit(evidence: Evidence) -> str:
    """Return a sentence where the event times fit Kafka's in another unit; else nothing."""
    unit = evidence.settings.input.time_unit
    reading = evidence.samples
    if unit in ("auto", "iso8601") or not len(reading.decoded):
        return ""
    stamps = np.array([record.timestamp for record in reading.records], np.float64)
    event_us = float(np.median(reading.decoded.time_us))
    kafka_us = float(np.median(stamps)) * 1000
    if kafka_us <= 0 or event_us <= 0:
        return ""
    ratio = max(event_us / kafka_us, kafka_us / event_us)
    if any(0.5 * factor < ratio < 2 * factor for factor in _UNIT_FACTORS):
        return f"Event times and Kafka's differ by a factor of {ratio:,.0f}: they are no {unit}."
    return ""


def _zone_hours(leads: NDArray[np.float64]) -> float:
    """Return the hours between a zone and UTC, where all event times are off by just that."""
    middle = float(np.median(leads))
    steps = round(middle / _ZONE_SECONDS)
    # Half an hour and less is a backlog or a clock rather than a zone.
    in_range = abs(steps) > 2 and abs(middle) <= _LARGEST_ZONE_SECONDS
    is_constant = bool((np.abs(leads - steps * _ZONE_SECONDS) < 60).mean() > 0.9)
    return steps * _ZONE_SECONDS / _HOUR_SECONDS if in_range and is_constant else 0.0
