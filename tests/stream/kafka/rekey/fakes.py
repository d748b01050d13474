"""A cluster of two topics, and members of the group that re-keys, without a broker."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stream.kafka.protocol.ports import (
    FencedError,
    LogEntry,
    LogStatus,
    Membership,
    Outgoing,
    TopicStatus,
)
from stream.types import TP


class Message(NamedTuple):
    offset: int
    value: bytes | None
    timestamp: int
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = []  # noqa: RUF012


@dataclass
class FakeCluster:
    """Logs of the sources, offsets of the group, and the repartition topic."""

    logs: dict[TP, list[Message]] = field(default_factory=dict)
    committed: dict[TP, int] = field(default_factory=dict)
    written: dict[TP, list[Outgoing]] = field(default_factory=lambda: defaultdict(list))
    generation: int = 1
    ids: dict[str, str] = field(default_factory=dict)

    def add(self, tp: TP, *messages: tuple[bytes | None, int], key: bytes | None = None) -> None:
        """Append messages: a value and a timestamp each."""
        log = self.logs.setdefault(tp, [])
        log += [Message(len(log) + n, value, ms, key) for n, (value, ms) in enumerate(messages)]

    async def describe(self, topics: Sequence[str]) -> Mapping[str, TopicStatus]:
        return {topic: TopicStatus(1, self.ids.get(topic, "")) for topic in topics}


class FakeSources:
    """A member of the group, as `SourceConsumer`."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.owned: set[TP] = set()
        self.positions: dict[TP, int] = {}
        self.paused: set[TP] = set()
        self.most = 1_000
        self.silent: set[TP] = set()  # partitions whose broker hands out nothing
        self.member = Membership(0, "me", None)
        self.stopped = False
        self.waits: list[float] = []
        self.during_fetch: Callable[[], Awaitable[None]] | None = None

    async def start(
        self, on_revoked: Callable[[], Awaitable[None]], on_assigned: Callable[[], None]
    ) -> None:
        self.on_revoked, self.on_assigned = on_revoked, on_assigned

    async def stop(self) -> None:
        self.stopped = True

    async def rebalance(self, *tps: TP) -> None:
        """The group divides its partitions anew; the client begins at the group's offsets."""
        if self.owned:
            await self.on_revoked()
        self.owned = set(tps)
        self.cluster.generation += 1
        self.member = Membership(self.cluster.generation, "me", None)
        self.positions = {tp: self.cluster.committed.get(tp, 0) for tp in tps}
        self.on_assigned()

    def membership(self) -> Membership:
        return self.member

    def assigned(self) -> set[TP]:
        return set(self.owned)

    def fetch_position(self, tp: TP) -> int | None:
        return self.positions.get(tp)

    def has_more(self, tp: TP) -> bool:
        return self.positions[tp] < len(self.cluster.logs[tp])

    async def partitions(self) -> list[TP]:
        return sorted(self.cluster.logs)

    async def fetch(self, tps: Any, most: int, seconds: float) -> dict[TP, list[Any]]:
        self.waits.append(seconds)
        await asyncio.sleep(0)
        fetch = {}
        for tp in set(tps) & self.owned - self.paused - self.silent:
            position = self.positions[tp]
            records = self.cluster.logs[tp][position : position + self.most]
            if records:
                fetch[tp] = list(records)
                self.positions[tp] = position + len(records)
        if self.during_fetch is not None:
            during, self.during_fetch = self.during_fetch, None
            await during()
        return fetch

    def seek(self, tp: TP, offset: int) -> None:
        self.positions[tp] = offset

    def pause(self, tps: Any) -> None:
        self.paused |= set(tps)

    def resume(self, tps: Any) -> None:
        self.paused -= set(tps)

    async def stable_offsets(self, tps: Any) -> dict[TP, int]:
        return {tp: self.cluster.committed[tp] for tp in tps if tp in self.cluster.committed}

    async def log_status(self, tps: Any) -> dict[TP, LogStatus]:
        logs, committed = self.cluster.logs, self.cluster.committed
        return {tp: LogStatus(0, len(logs[tp]), committed.get(tp, -1), "") for tp in tps}

    async def log_bounds(self, tps: Any) -> dict[TP, tuple[int, int]]:
        return {tp: (0, len(self.cluster.logs[tp])) for tp in tps}

    async def offsets_for_time(self, tps: Any, timestamp_ms: int) -> dict[TP, int]:
        found = {}
        for tp in tps:
            later = [m.offset for m in self.cluster.logs[tp] if m.timestamp >= timestamp_ms]
            if later:
                found[tp] = later[0]
        return found


class FakeRekeyedLog:
    """The repartition topic, with transactions or without."""

    def __init__(self, cluster: FakeCluster, *, transactional: bool) -> None:
        self.cluster, self.transactional = cluster, transactional
        self.open: dict[TP, list[Outgoing]] | None = None
        self.transactions = 0
        self.aborted = 0
        self.fail: BaseException | None = None  # raised by the next commit
        self.gate = asyncio.Event()  # until it is set, commits wait
        self.gate.set()

    async def begin(self) -> None:
        self.open = defaultdict(list)

    async def write(self, records: Mapping[TP, Sequence[LogEntry]]) -> None:
        await asyncio.sleep(0)
        assert self.open is not None
        into = self.open if self.transactional else self.cluster.written
        for tp, messages in records.items():
            into[tp] += [
                Outgoing(tp[0], key, value, headers, stamp, tp[1])
                for stamp, key, value, headers in messages
            ]

    async def commit(self, offsets: Mapping[TP, int], membership: Membership) -> None:
        await asyncio.sleep(0)
        await self.gate.wait()
        error, self.fail = self.fail, None
        if error is not None:
            raise error
        if membership.generation != self.cluster.generation:
            raise FencedError("the group has moved on")
        assert self.open is not None
        for tp, messages in self.open.items():
            self.cluster.written[tp] += messages
        self.cluster.committed |= offsets
        self.open, self.transactions = None, self.transactions + 1

    async def abort(self) -> None:
        self.open, self.aborted = None, self.aborted + 1
