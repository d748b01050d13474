"""Interfaces that a test of re-keying replaces: the consumer of the sources, and the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from stream.kafka.protocol.ports import LogEntry, LogStatus, Membership
from stream.types import TP


class Sources(Protocol):
    """Member of the group that reads the input topics, as `SourceConsumer`."""

    async def start(
        self, on_revoked: Callable[[], Awaitable[None]], on_assigned: Callable[[], None]
    ) -> None:
        """Connect and join the group."""

    async def stop(self) -> None:
        """Leave the group."""

    def membership(self) -> Membership:
        """Return the membership that the group's client has now."""

    def assigned(self) -> set[TP]:
        """Return the partitions that this member has."""

    def fetch_position(self, tp: TP) -> int | None:
        """Return the next offset to hand out; None where it is not known."""

    async def partitions(self) -> list[TP]:
        """Return all partitions of the topics."""

    async def fetch(self, tps: Collection[TP], most: int, seconds: float) -> dict[TP, list[Any]]:
        """Return the next records of some partitions."""

    def has_more(self, tp: TP) -> bool:
        """Return whether a partition has more to hand out, as far as its last fetch has told."""

    def seek(self, tp: TP, offset: int) -> None:
        """Set the next offset to fetch."""

    def pause(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions no more."""

    def resume(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions again."""

    async def stable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return the committed offsets that no open transaction may change."""

    async def log_status(self, tps: Iterable[TP]) -> dict[TP, LogStatus]:
        """Ask for log ends and committed offsets."""

    async def log_bounds(self, tps: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        """Ask for log starts and ends."""

    async def offsets_for_time(self, tps: Iterable[TP], timestamp_ms: int) -> dict[TP, int]:
        """Ask for the first offsets that are not older by Kafka's timestamp."""


class RekeyedLog(Protocol):
    """Log of re-keyed records; with transactions all between `begin` and `commit` is one."""

    async def begin(self) -> None:
        """Start a transaction."""

    async def write(self, records: Mapping[TP, Iterable[LogEntry]]) -> None:
        """Write records, and wait for every acknowledgement."""

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        """Commit offsets as this member, and the transaction."""

    async def abort(self) -> None:
        """Give the transaction up."""
