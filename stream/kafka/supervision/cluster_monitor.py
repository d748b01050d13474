"""From time to time: does this worker still stand on what it took its positions from?

A worker that cannot move is ended; one whose log or changelog was exchanged under it says so, with
the mend, instead of reading past what is missing. A broker that is away is only told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from aiokafka import errors as kafka_errors

from stream.kafka.protocol.start_offset import changelog_made_again, topic_made_again, truncated
from stream.types import TP

from .watchdog import STOOD_STILL, Progress

if TYPE_CHECKING:
    from stream.kafka.runtime.session import Session

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 10.0
"""Between looks at the ends of the logs."""
_ANSWER_SECONDS: Final = 15.0
"""For a broker to answer."""
_TOPICS_SECONDS: Final = 30.0
"""Between questions for the topics; each takes a connection of its own."""


class ClusterMonitor:
    """Looks at the cluster for an edge.

    Args:
        edge: Whose positions are looked after.
    """

    def __init__(self, edge: Session) -> None:
        self._edge = edge
        self._seconds = edge.config.stuck_seconds
        self._turn = min(_LOOK_SECONDS, self._seconds / 4) if self._seconds else _LOOK_SECONDS
        self._progress = Progress(self._seconds)
        self._short: dict[TP, int] = {}  # positions beyond their log's end at the last look
        self._lost: dict[TP, int] = {}  # log starts that were told
        self._asked_topics = edge.clock()
        self._recovery = -1, edge.clock()  # records to go, and since when
        self._away = self._gone = ""

    async def forever(self, stopped: Callable[[], bool]) -> None:
        """Look until `stopped`; ends the process where going on would be wrong."""
        while not stopped():
            await asyncio.sleep(self._turn)
            await self._look()

    async def _look(self) -> None:
        edge = self._edge
        positions = {tp: edge.ledger.position(tp) for tp in edge.ledger}
        thread = edge.consumer.thread
        try:
            await asyncio.wait_for(thread.turn(), self._seconds or None)
        except TimeoutError:
            sentence = f"The consumer's thread has not turned for {self._seconds:g} s."
            edge.fatal(sentence, code=STOOD_STILL)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                bounds = await thread.bounds(list(positions))
                away = await self._topics()
        except (kafka_errors.KafkaError, OSError) as error:
            # Without a broker nothing can move, and nothing is known.
            self._tell(f"the broker does not answer ({type(error).__name__})")
            return
        self._tell(away or self._silence() or edge.waiting.why)
        for tp, (_, end) in bounds.items():
            if tp in edge.ledger:
                edge.observer.fetched(tp, edge.ledger.position(tp), end)
        self._look_at_logs(positions, bounds)
        self._look_at_clock(bounds)

    def _tell(self, away: str) -> None:
        """What keeps records from coming, or that nothing does any more."""
        if not self._edge.running:
            self._away = ""
            return
        if away:
            self._edge.observer.phase("waiting", away)
            if not self._away:
                log.warning("Waiting: %s.", away)
        elif self._away:
            partitions = len(list(self._edge.ledger))
            self._edge.observer.phase("running", f"{partitions} partitions")
            log.warning("Going on, no longer waiting: %s.", self._away)
        self._away = away

    def _silence(self) -> str:
        edge = self._edge
        silence = edge.clock() - edge.consumer.thread.last_heartbeat
        if silence <= edge.config.session_timeout_seconds:
            return ""
        return f"the group has not answered for {silence:.0f} s"

    async def _topics(self) -> str:
        """Look whether all topics are who they were; says which input is gone."""
        edge = self._edge
        if edge.clock() - self._asked_topics < _TOPICS_SECONDS or not edge.running:
            return self._gone
        self._asked_topics = edge.clock()
        found = await edge.administration.describe([*edge.config.topics, *edge.sources])
        for tp in edge.ledger:
            meta, changelog = edge.engine.meta(tp), edge.config.changelog(tp[0])
            now = found[changelog].topic_id if changelog in found else None
            if now is None or (now and now != (meta.changelog_id or now)):
                edge.fatal(changelog_made_again(tp, changelog, meta.changelog_id, now))
            now = found[tp[0]].topic_id if tp[0] in found else ""
            if now and now != (meta.topic_id or now):
                edge.fatal(topic_made_again(tp, meta.topic_id, now))
        gone = [topic for topic in edge.config.topics if topic not in found]
        self._gone = f"input topic {gone[0]!r} does not exist any more" if gone else ""
        return self._gone

    def _look_at_logs(
        self, positions: Mapping[TP, int], bounds: Mapping[TP, tuple[int, int]]
    ) -> None:
        """Logs that end before what was absorbed, or begin after it."""
        edge, before = self._edge, self._short
        self._short = {}
        for tp, (start, end) in bounds.items():
            at = positions[tp]
            if end < at:
                self._short[tp] = at  # a new leader may not know the end of its log at once
                if before.get(tp) == at and tp in edge.ledger:
                    edge.fatal(truncated(tp, at, end))
            elif start > at and self._lost.get(tp) != start:
                self._lost[tp] = start
                log.error("%s-%d: retention removed %d messages unread.", *tp, start - at)

    def _look_at_clock(self, bounds: Mapping[TP, tuple[int, int]]) -> None:
        """Partitions, a checkpoint or a recovery without progress."""
        edge, seconds = self._edge, self._seconds
        if not seconds:
            return
        now = edge.clock()
        positions = {
            tp: edge.ledger.position(tp)
            for tp in bounds
            if tp in edge.ledger and tp not in edge.waiting
        }
        ends = {tp: end for tp, (_, end) in bounds.items()}
        if stuck := self._progress.look(now, positions, ends):
            edge.fatal(stuck, code=STOOD_STILL)
        began = edge.checkpoint.began
        if began is not None and now - began > seconds:
            edge.fatal(
                f"A checkpoint has been on its way for {now - began:.0f} s, with a broker that "
                "answers (supervision.stuck_seconds).",
                code=STOOD_STILL,
            )
        remaining, since = self._recovery
        if edge.remaining != remaining or not edge.remaining:
            self._recovery = edge.remaining, now
        elif now - since > seconds:
            edge.fatal(
                f"Recovery has {remaining} changelog records to go and got none for "
                f"{now - since:.0f} s (supervision.stuck_seconds).",
                code=STOOD_STILL,
            )
