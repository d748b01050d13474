"""Resolve of alerts that no state row holds open any more, with the reason for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.given_up import GivenUp
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.records import Event

from .events import EventBuilder, EventRow
from .explanation import Explanation

_NO_SLOTS = np.zeros(0, dtype=np.int64)


class GivingUp:
    """Resolver of given-up alerts.

    Args:
        store: Rows of all keys.
        events: Maker of the events.
    """

    def __init__(self, store: Store, events: EventBuilder) -> None:
        self._store, self._events = store, events
        self._number_of = {name: number for number, name in enumerate(events.channels)}

    def resolve(self, part: Partition, protected: NDArray[np.int64] = _NO_SLOTS) -> list[Event]:
        """Resolve the given-up alerts of a partition, and let the next checkpoint write their rows.

        A row that cannot be restored now, for want of room, waits: until it is written, every start
        would resolve its alerts anew.

        Args:
            part: The partition; this worker owns it.
            protected: Slots that must stay in memory.
        """
        slab, events = self._store.slab, list[Event]()
        noted = sorted(part.given_up)
        spilled_keys = [key for key in noted if key not in part.index]
        waiting = set(self._store.evictor.restore(part, spilled_keys, protected))
        for key in noted:
            if key in waiting:
                continue
            slot = part.index.get(key)
            if slot is not None:
                slab.dirty[slot] = True
            events += self.events_of(part.stream, key, part.given_up.pop(key))
        return events

    def events_of(self, stream: str, key: bytes, given_up: GivenUp) -> list[Event]:
        """Return the resolved triggers of a key.

        Args:
            stream: Name of the stream in events.
            key: The key.
            given_up: Its alerts.
        """
        row = EventRow(
            topic=stream,
            key=key,
            time_us=given_up.time_us,
            end_us=given_up.time_us,
            seq=given_up.seq,
            score=0.0,
            severity=0.0,
            evidence=0.0,
        )
        events, episode = list[Event](), given_up.episode
        if episode is not None:
            peak = Explanation([], [], [], [])
            # Its row may be of another model, whose channels this one does not have.
            known = [entry for entry in episode.channels if entry[0] in self._number_of]
            if known:
                names, share, value, expected = map(list, zip(*known, strict=True))
                peak = Explanation([self._number_of[n] for n in names], share, value, expected)
            events.append(
                self._events.given_up(
                    row,
                    given_up.reason,
                    explanation=peak,
                    started_us=episode.start_us,
                    peak=episode.peak,
                    rows=episode.rows,
                )
            )
        if given_up.stale_since_us is not None:
            events.append(
                self._events.given_up(
                    row, given_up.reason, name="EmberKeyStale", started_us=given_up.stale_since_us
                )
            )
        for channel, missing_rows in given_up.missing:
            events.append(
                self._events.given_up(
                    row,
                    given_up.reason,
                    name="EmberChannelMissing",
                    channel=channel,
                    started_us=row.time_us,
                    rows=missing_rows,
                )
            )
        for channel, side, since_us in given_up.limits:
            events.append(
                self._events.given_up(
                    row,
                    given_up.reason,
                    name="EmberLimit",
                    channel=channel,
                    direction=side,
                    started_us=since_us,
                )
            )
        return events
