"""What was caught: triggers laid beside the faults that were injected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .faults import Fault, Kind
from .fleet import START_US

GRACE_ROWS = 10  # intervals after its end in which a fault may still be caught
NAMED = 3  # the injected channel must be among so many of the first top channels


@dataclass(frozen=True, slots=True)
class Alarm:
    """One episode that began, as a detector reported it.

    Attributes:
        key: the machine.
        time_us: event time at which it fired.
        top: names of the channels to blame, the most improbable first.
        stale: the reason is silence.
        why: the first channels with what was observed and expected, for people.
        heard_at: when it came in, on the demo's own clock, in seconds.
    """

    key: str
    time_us: int
    top: tuple[str, ...] = ()
    stale: bool = False
    why: str = field(default="", compare=False)
    last_heartbeat: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The score of one detector.

    Attributes:
        caught: the alarm that caught each fault, None where none did; in the order of the faults.
        false: alarms where nothing was wrong.
    """

    caught: tuple[Alarm | None, ...]
    false: tuple[Alarm, ...]

    @property
    def count(self) -> int:
        """Faults caught."""
        return sum(alarm is not None for alarm in self.caught)


def window_us(fault: Fault, interval_us: int) -> tuple[int, int]:
    """First and last event time at which an alarm belongs to a fault."""
    return (
        START_US + fault.onset * interval_us,
        START_US + (fault.end - 1 + GRACE_ROWS) * interval_us,
    )


def catches(fault: Fault, alarm: Alarm) -> bool:
    """Whether an alarm within a fault's window says what is wrong."""
    if fault.kind is Kind.SILENT:
        return alarm.stale
    return fault.channel_name in alarm.top[:NAMED]


def evaluate(
    faults: Sequence[Fault], alarms: Iterable[Alarm], interval_us: int, own_keys: Iterable[str]
) -> Evaluation:
    """Lay alarms beside faults.

    Args:
        faults: at most one per key.
        alarms: one for each episode, in any order.
        interval_us: event time between two rows.
        own_keys: the fleet; alarms of other keys (this host's) do not count.

    Returns:
        For each fault the first alarm that caught it. An alarm within a fault's window that blames
        other channels catches nothing and is not false either.
    """
    index = {fault.name: i for i, fault in enumerate(faults)}
    windows = [window_us(fault, interval_us) for fault in faults]
    fleet = frozenset(own_keys)
    caught: list[Alarm | None] = [None] * len(faults)
    false = []
    for alarm in sorted(alarms, key=lambda a: (a.time_us, a.key)):
        if alarm.key not in fleet:
            continue
        i = index.get(alarm.key)
        if i is None or not windows[i][0] <= alarm.time_us <= windows[i][1]:
            false.append(alarm)
        elif caught[i] is None and catches(faults[i], alarm):
            caught[i] = alarm
    return Evaluation(tuple(caught), tuple(false))
