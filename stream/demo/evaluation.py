"""Evaluation of a detector: its alarms compared with the injected faults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .faults import Fault, Kind
from .fleet import START_US

GRACE_ROWS = 10  # intervals after its end in which a fault can still be caught
NAMED = 3  # an alarm must name the injected channel among its first three


@dataclass(frozen=True, slots=True)
class Alarm:
    """Start of an episode, as a detector reported it.

    Attributes:
        key: Name of the machine.
        time_us: Event time at which it fired.
        top: Names of the top channels, the most improbable first.
        stale: True if the key fell silent.
        explanation: First channels with observed and expected values, for people.
        received_at: Time of receipt on the demo's own clock, in seconds.
    """

    key: str
    time_us: int
    top: tuple[str, ...] = ()
    stale: bool = False
    explanation: str = field(default="", compare=False)
    received_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Result of one detector.

    Attributes:
        caught: First alarm that caught each fault, or None; in the order of the faults.
        false: Alarms outside of any fault.
    """

    caught: tuple[Alarm | None, ...]
    false: tuple[Alarm, ...]

    @property
    def count(self) -> int:
        """Number of faults caught."""
        return sum(alarm is not None for alarm in self.caught)


def window_us(fault: Fault, interval_us: int) -> tuple[int, int]:
    """Return first and last event time at which an alarm belongs to a fault."""
    return (
        START_US + fault.onset * interval_us,
        START_US + (fault.end - 1 + GRACE_ROWS) * interval_us,
    )


def catches(fault: Fault, alarm: Alarm) -> bool:
    """Tell if an alarm within a fault's window names the fault."""
    if fault.kind is Kind.SILENT:
        return alarm.stale
    return fault.channel_name in alarm.top[:NAMED]


def evaluate(
    faults: Sequence[Fault], alarms: Iterable[Alarm], interval_us: int, own_keys: Iterable[str]
) -> Evaluation:
    """Compare alarms with faults.

    Args:
        faults: Injected faults, at most one per key.
        alarms: Alarms, one for each episode, in any order.
        interval_us: Event time between two rows.
        own_keys: Keys of the fleet; alarms of other keys (this host's) do not count.

    Returns:
        The first alarm that caught each fault. An alarm within a fault's window that names other
        channels catches nothing, and is not false either.
    """
    index = {fault.name: i for i, fault in enumerate(faults)}
    windows = [window_us(fault, interval_us) for fault in faults]
    fleet = frozenset(own_keys)
    first_alarms: list[Alarm | None] = [None] * len(faults)
    false = []
    for alarm in sorted(alarms, key=lambda a: (a.time_us, a.key)):
        if alarm.key not in fleet:
            continue
        i = index.get(alarm.key)
        if i is None or not windows[i][0] <= alarm.time_us <= windows[i][1]:
            false.append(alarm)
        elif first_alarms[i] is None and catches(faults[i], alarm):
            first_alarms[i] = alarm
    return Evaluation(tuple(first_alarms), tuple(false))
