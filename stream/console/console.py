"""Parts of a running console, as the endpoints use them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stream.control import ControlSet
from stream.kafka.control_topic.publisher import Edit, Stamp
from stream.settings import Settings

from .answers import ConsoleHealth
from .guard import Guard
from .models import ActivationCache, Models
from .replay import Replayer
from .store import Store
from .workers import Workers


class ControlWriter(Protocol):
    """Writer of documents."""

    def publish(self, edits: Sequence[Edit], stamp: Stamp) -> ControlSet:
        """Write changes of documents; return those in force.

        Raises:
            UserError: If they were not written.
        """


@dataclass
class Reading:
    """State of the reading of topics.

    Attributes:
        lag: Records that are not read yet; None while it is unknown.
        phase: What it is about.
        trouble: Reason why something cannot be read; empty when all can.
        invalid: Records that could not be used.
    """

    lag: int | None = None
    phase: str = "starting"
    trouble: str = ""
    invalid: int = 0


@dataclass
class Console:
    """Parts of a running console.

    Attributes:
        settings: Settings of the service.
        store: Everything it knows.
        guard: Rules about callers.
        writer: Writer of documents; None where `control.enabled` is off.
        reading: State of the reading of topics.
        workers: Workers that are asked for their health; None: none are.
        now_us: Wall clock, microseconds since the epoch.
        is_demo: True in `ember demo`.
        replayer: Runner of replays; None where there is no input topic.
        models: Model of the settings.
        activations: Replays of keys that were asked for last.
        is_stopping: Function that tells whether the process is asked to end.
    """

    settings: Settings
    store: Store
    guard: Guard
    writer: ControlWriter | None = None
    reading: Reading = field(default_factory=Reading)
    workers: Workers | None = None
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    is_demo: bool = False
    replayer: Replayer | None = None
    models: Models = field(default_factory=Models)
    activations: ActivationCache = field(default_factory=ActivationCache)
    is_stopping: Callable[[], bool] = bool

    @property
    def health(self) -> ConsoleHealth:
        """Health of this console."""
        scores, mib = self.store.scores, 1 << 20
        return ConsoleHealth(
            memory_mib=round(self.store.nbytes / mib, 1),
            bound_mib=self.store.max_bytes / mib,
            rows=scores.row_count,
            taken=scores.taken,
            dropped=scores.dropped,
            late=scores.late,
            lag=self.reading.lag,
            reading=self.reading.phase,
            trouble=self.reading.trouble,
        )
