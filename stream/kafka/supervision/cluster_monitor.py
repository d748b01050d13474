"""Periodic check that topics, changelogs and offsets have not changed under a running worker.

A worker that cannot move is ended. So is one whose log or changelog was exchanged under it, with a
sentence that names the fix, instead of reading past missing records. A broker that is away is only
reported.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Final

from stream.engine import AnyEngine
from stream.kafka.client.errors import KafkaError
from stream.kafka.context import Context
from stream.kafka.protocol.checkpoint import Checkpoint
from stream.kafka.protocol.ports import GroupClient
from stream.kafka.protocol.positions import Positions
from stream.kafka.protocol.start_offset import (
    changelog_made_again,
    partitions_added,
    topic_made_again,
    truncated,
)
from stream.types import TP

from .watchdog import STOOD_STILL, Progress, Stillness

log = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 10.0
"""Time between checks of the ends of the logs."""
_ANSWER_SECONDS: Final = 15.0
"""Time for a broker to answer."""
_TOPICS_SECONDS: Final = 30.0
"""Time between questions for the topics; each takes a connection of its own."""
_HOLDER: Final = "cluster"


class ClusterMonitor:
    """Checks the cluster under a running worker, and the worker's own progress.

    Args:
        context: Surroundings of the worker.
        engine: State of all keys.
        positions: Positions to check.
        client: Member of the group.
        checkpoint: Checkpoints of this worker.
        remaining: Function that returns the changelog records a recovery has to go.
        is_busy: Function that says whether records of a fetch are still to be absorbed.
        on_answer: Function called after every answer of the brokers, with the partitions of whose
            log nothing is left to absorb.
    """

    def __init__(
        self,
        context: Context,
        engine: AnyEngine,
        positions: Positions,
        client: GroupClient,
        checkpoint: Checkpoint,
        remaining: Callable[[], int],
        is_busy: Callable[[], bool] = lambda: False,
        on_answer: Callable[[Collection[TP]], None] = lambda _: None,
    ) -> None:
        self._context = context
        self._engine = engine
        self._positions = positions
        self._client = client
        self._checkpoint = checkpoint
        self._remaining = remaining
        self._is_busy = is_busy
        self._on_answer = on_answer
        self._seconds = context.config.stuck_seconds
        self._interval = min(_CHECK_SECONDS, self._seconds / 4) if self._seconds else _CHECK_SECONDS
        self._progress = Progress(self._seconds)
        self._short: dict[TP, int] = {}  # positions beyond their log's end at the last check
        self._lost: dict[TP, int] = {}  # log starts that were reported
        self._asked_topics = context.clock()
        self._parts = Stillness[str](self._seconds)
        self._reason = self._deleted = ""

    async def forever(self, stopped: Callable[[], bool]) -> None:
        """Check until `stopped`; ends the process where going on would be wrong.

        Args:
            stopped: Function that says whether the worker stops.
        """
        while not stopped():
            await asyncio.sleep(self._interval)
            await self.check()

    async def check(self) -> None:
        """Check the consumer, the logs, the topics and the progress once."""
        positions = {tp: self._positions.position(tp) for tp in self._positions}
        try:
            await asyncio.wait_for(self._client.ping(), self._seconds or None)
        except TimeoutError:
            sentence = f"The consumer's thread has not turned for {self._seconds:g} s."
            self._context.fail(sentence, code=STOOD_STILL)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                bounds = await self._client.log_bounds(list(positions))
                deleted = await self._check_topics()
        except (KafkaError, OSError) as error:
            # Without a broker nothing can move, so nothing else can be judged.
            self._report(f"the broker does not answer ({type(error).__name__})")
            return
        reason = deleted or self._silence()
        self._report(reason)
        for tp, (_, end) in bounds.items():
            if tp in self._positions:
                self._context.observer.fetched(tp, self._reached(tp, end), end)
        self._check_logs(positions, bounds)
        self._check_progress(bounds)
        if not reason and self._context.lifecycle.at_work:
            self._on_answer({tp for tp, (_, end) in bounds.items() if self._is_at_end(tp, end)})

    def _is_at_end(self, tp: TP, end: int) -> bool:
        return (
            tp in self._positions
            and not self._positions.is_paused(tp)
            and self._reached(tp, end) == end
        )

    def _report(self, reason: str) -> None:
        """Report the reason for which no records come, or that there is none any more."""
        lifecycle = self._context.lifecycle
        if not lifecycle.at_work:
            self._reason = ""
            return
        if reason and not self._reason:
            log.warning("Waiting: %s.", reason)
        elif self._reason and not reason:
            log.warning("Going on, no longer waiting: %s.", self._reason)
        self._reason = reason
        lifecycle.hold(_HOLDER, reason)

    def _silence(self) -> str:
        silence = self._context.clock() - self._client.last_heartbeat
        if silence <= self._context.config.session_timeout_seconds:
            return ""
        return f"the group has not answered for {silence:.0f} s"

    async def _check_topics(self) -> str:
        """Compare the ids of all topics with the state; return a sentence on a deleted input."""
        context = self._context
        age = context.clock() - self._asked_topics
        if age < _TOPICS_SECONDS or not context.lifecycle.at_work:
            return self._deleted
        self._asked_topics = context.clock()
        config = context.config
        topics = await context.admin.describe([*config.topics, *config.sources])
        for tp in self._positions:
            meta, changelog = self._engine.meta(tp), config.changelog(tp[0])
            changelog_id = topics[changelog].topic_id if changelog in topics else None
            # An empty id says nothing: the broker has none, or the state is older than ids.
            if changelog_id is None or (
                changelog_id and changelog_id != (meta.changelog_id or changelog_id)
            ):
                context.fail(changelog_made_again(tp, changelog, meta.changelog_id, changelog_id))
            topic_id = topics[tp[0]].topic_id if tp[0] in topics else ""
            if topic_id and topic_id != (meta.topic_id or topic_id):
                context.fail(topic_made_again(tp, meta.topic_id, topic_id))
            if tp[0] in topics and topics[tp[0]].partitions != topics[changelog].partitions:
                counts = topics[tp[0]].partitions, topics[changelog].partitions
                context.fail(partitions_added(changelog, tp[0], *counts))
        deleted = [topic for topic in config.topics if topic not in topics]
        self._deleted = f"input topic {deleted[0]!r} does not exist any more" if deleted else ""
        return self._deleted

    def _check_logs(
        self, positions: Mapping[TP, int], bounds: Mapping[TP, tuple[int, int]]
    ) -> None:
        """Find logs that end before the absorbed offsets, or begin after them."""
        previous, self._short = self._short, {}
        for tp, (start, end) in bounds.items():
            position = positions[tp]
            if end < position:
                self._short[tp] = position  # a new leader may not know the log's end at once
                if previous.get(tp) == position and tp in self._positions:
                    self._context.fail(truncated(tp, position, end))
            elif start > position and self._lost.get(tp) != start:
                self._lost[tp] = start
                log.error("%s-%d: retention removed %d messages unread.", *tp, start - position)

    def _reached(self, tp: TP, end: int) -> int:
        """Return the position, or the end of the log where no message is left before it.

        Markers of transactions take offsets, and are never handed out.
        """
        if (
            not self._is_busy()
            and not self._positions.is_paused(tp)
            and self._client.fetch_position(tp) == end
        ):
            return end
        return self._positions.position(tp)

    def _check_progress(self, bounds: Mapping[TP, tuple[int, int]]) -> None:
        """Find partitions, a checkpoint or a recovery without progress."""
        if not self._seconds:
            return
        now = self._context.clock()
        positions = {
            tp: self._reached(tp, bounds[tp][1])
            for tp in bounds
            if tp in self._positions and not self._positions.is_paused(tp)
        }
        ends = {tp: end for tp, (_, end) in bounds.items()}
        if stuck := self._progress.look(now, positions, ends):
            self._context.fail(stuck, code=STOOD_STILL)
        marks: dict[str, float] = {}
        if self._checkpoint.began is not None:
            marks["checkpoint"] = self._checkpoint.began
        if remaining := self._remaining():
            marks["recovery"] = remaining
        still = self._parts.look(now, marks)
        if seconds := still.get("checkpoint"):
            self._context.fail(
                f"A checkpoint has been on its way for {seconds:.0f} s, with a broker that answers "
                "(supervision.stuck_seconds).",
                code=STOOD_STILL,
            )
        if seconds := still.get("recovery"):
            self._context.fail(
                f"Recovery has {remaining} changelog records to go and got none for "
                f"{seconds:.0f} s (supervision.stuck_seconds).",
                code=STOOD_STILL,
            )
