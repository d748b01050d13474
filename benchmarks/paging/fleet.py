"""A fleet of generated telemetry: its keys, their records, and the faults that were put in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Flags = NDArray[np.bool_]

DAY_US = 86_400_000_000
MARGIN_ROWS = (1, 5)  # a page this many rows before the first or after the last row is of the fault


@dataclass(frozen=True)
class Fault:
    """A fault of one key, in rows of that key.

    Attributes:
        kind: Name of its kind, such as `memory_leak`.
        key: The key.
        first: First row at fault.
        last: Last row at fault.
        channels: Names of the channels at fault, the one that shows most first.
        hidden: It begins while another fault of the key is hours old.
    """

    kind: str
    key: str
    first: int
    last: int
    channels: tuple[str, ...]
    hidden: bool = False


@dataclass(frozen=True, eq=False)
class KeySeries:
    """The records of one key in order of time. `n` records, `C` channels.

    Attributes:
        key: The key.
        times_us: Event times in microseconds since the epoch, `(n,)`.
        values: Values, `(n, C)`; NaN where a channel is missing.
        train: Records to train on, `(n,)`; they come first and hold no fault.
        events: Faults, by their first row.
        family: Kind of thing that the key is, such as `web`.
    """

    key: str
    times_us: Times
    values: Floats
    train: Flags
    events: tuple[Fault, ...]
    family: str


@dataclass(frozen=True, eq=False)
class Fleet:
    """Keys with the same channels.

    Attributes:
        name: Name of the variant.
        seed: Seed it was made from.
        step_seconds: Seconds between two records of a key.
        channels: Names of the channels.
        keys: The keys.
        zone: Time zone of the people who make the load.
        holidays: Days on which they behave as on a Sunday.
        new_keys: Keys with a shorter history than the others.
    """

    name: str
    seed: int
    step_seconds: float
    channels: tuple[str, ...]
    keys: tuple[KeySeries, ...]
    zone: str
    holidays: tuple[date, ...]
    new_keys: tuple[str, ...] = ()

    @property
    def faults(self) -> list[Fault]:
        """Faults of all keys."""
        return [fault for series in self.keys for fault in series.events]

    def key_days(self, *, train: bool = False) -> float:
        """Days of all keys together, of the scored part or of the training part."""
        return sum(_days(series.times_us[series.train == train]) for series in self.keys)


def _days(times_us: Times) -> float:
    return float(times_us[-1] - times_us[0]) / DAY_US if len(times_us) else 0.0
