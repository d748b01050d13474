"""Bounds of the records of a partition."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of the records of a partition.

    Attributes:
        max_keys: Keys held in memory.
        future_us: Longest time by which an event time may lie after Kafka's own timestamp.
        stale_intervals: Usual intervals without a record after which a key is idle; 0: never.
        ttl_us: Idle time after which a key is forgotten, by its partition's clock; 0: never.
        missing_channels: A channel of a key that has stopped coming gives a trigger.
        hard_limits: Rules may have hard limits; without it they may too, once the first is used.
        detailed: Patterns of keys whose scored rows are given in detail; empty: none.
    """

    max_keys: int = 1_000_000
    future_us: int = 3_600_000_000
    stale_intervals: float = 20.0
    ttl_us: int = 0
    missing_channels: bool = True
    hard_limits: bool = False
    detailed: tuple[str, ...] = ()
