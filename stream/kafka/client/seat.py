"""Seat of a group: the one partition of a topic, whose owner does what one worker of all does.

The group's coordinator elects: the partition goes to one member, and to another one when that
member leaves or falls silent. Nothing is read of the topic, and no offset is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

_POLL_MS = 1_000
_REBALANCE_MS = 10_000
"""Time that members have to come back when one joins; they have nothing to put in order."""


class Seat(ConsumerRebalanceListener):
    """Membership of one worker in the group of a seat.

    Args:
        settings: Keywords of aiokafka's clients.
        group: Group of the seat.
        topic: Topic with one partition, which exists.
        session_seconds: Silence after which the group takes a member for dead.
        on_change: Function told whether this member has the seat, at each change.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        group: str,
        topic: str,
        session_seconds: float,
        on_change: Callable[[bool], None],
    ) -> None:
        session_ms = int(session_seconds * 1000)
        # aiokafka keeps the former assignment in the class: each member needs one of its own.
        assignor = type("SeatAssignor", (StickyPartitionAssignor,), {})
        self._consumer = AIOKafkaConsumer(
            **settings,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            partition_assignment_strategy=[assignor],
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3_000, session_ms // 4),
            rebalance_timeout_ms=_REBALANCE_MS,
        )
        self._topic = topic
        self._on_change = on_change
        self._held = False

    async def keep(self) -> None:
        """Stay a member until this is cancelled.

        Raises:
            KafkaError: If a broker refuses.
        """
        try:
            await self._consumer.start()
            self._consumer.subscribe([self._topic], listener=self)
            while True:  # a member that asks for nothing is put out of its group
                await self._consumer.getmany(timeout_ms=_POLL_MS)
        finally:
            self._change(held=False)
            await self._consumer.stop()

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Wait: when others join or leave, the seat mostly comes back, and the work goes on."""

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Take or lose the seat."""
        self._consumer.pause(*assigned)  # its records are of no interest
        self._change(held=bool(assigned))

    def _change(self, *, held: bool) -> None:
        if held != self._held:
            self._held = held
            self._on_change(held)
