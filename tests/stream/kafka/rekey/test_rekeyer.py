"""The re-keyer: order, positions, fences, duplicates, refusals and schemas.

All in one file: every test runs on the same pretended group and log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stream.codecs import RekeyedCodec, make_codec, rekeyed_json
from stream.engine import MetaRow
from stream.kafka.protocol.ports import FencedError
from stream.kafka.rekey import rekeyer as module
from stream.kafka.rekey.rekeyer import Rekeyer
from stream.observer import Observer
from stream.records import Decoded, Message
from stream.rekeying import SEQUENCE_HEADER, position_of, source_of
from stream.types import TP
from tests.stream.kafka.fakes import EndError, make_context
from tests.stream.kafka.rekey.fakes import FakeCluster, FakeRekeyedLog, FakeSources

A, B = ("in", 0), ("in", 1)
CHANNELS = ("x",)
NOW = 1_800_000_000


def value(key: str, second: int, x: float = 1.0) -> bytes:
    return json.dumps({"ts": NOW + second, "host": key, "values": {"x": x}}).encode()


class Notes(Observer):
    def __init__(self) -> None:
        self.messages = self.refused = 0
        self.assigned_tps: list[TP] = []

    def rekeyed(self, tp: TP, messages: int, decoded: Decoded) -> None:
        self.messages += messages
        self.refused += len(decoded.rejected)

    def rekey_assigned(self, tps: Sequence[TP]) -> None:
        self.assigned_tps = list(tps)


class Letters:
    """Dead letters that are only noted."""

    def __init__(self) -> None:
        self.letters: list[tuple[TP, int, str]] = []

    def add(self, tp: TP, messages: Sequence[Any], rejected: Sequence[Any]) -> None:
        self.letters += [(tp, messages[r.message].offset, r.reason.value) for r in rejected]

    async def settle(self) -> None: ...


class Site:
    """One re-keyer on a cluster, which runs until it is asked to stop."""

    def __init__(
        self, cluster: FakeCluster, *, transactional: bool = True, codec: Any = None, **more: Any
    ) -> None:
        self.notes, self.letters = Notes(), Letters()
        self.sources = FakeSources(cluster)
        self.log = FakeRekeyedLog(cluster, transactional=transactional)
        self.ended: list[int] = []
        self.context = make_context(
            self.notes,
            cluster,
            wall_clock=lambda: float(NOW),
            started=float(NOW),
            rekeyed=("in",),
            topics=("g-rekey",),
            exit_process=self._end,
            **more,
        )
        letters: Any = self.letters
        self.rekeyer = Rekeyer(
            self.context,
            codec or make_codec("json", CHANNELS, key="host"),
            RekeyedCodec(CHANNELS),
            self.sources,
            self.log,
            partitions=2,
            dead_letters=letters,
            transactional=transactional,
        )
        self.rekeyer.start()

    def _end(self, code: int) -> None:
        self.ended.append(code)
        raise EndError(code)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():  # noqa: ASYNC110  # it is about what others have done
                await asyncio.sleep(0)

    async def done(self) -> None:
        """Wait until all is re-keyed."""
        cluster = self.sources.cluster
        owned = self.sources.owned
        await self.until(
            lambda: all(cluster.committed.get(tp) == len(cluster.logs[tp]) for tp in owned)
        )


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_GATHER_SECONDS", "_JOIN_SECONDS", "_REGISTRY_SECONDS"):
        monkeypatch.setattr(module, name, 0.0)


def keys(cluster: FakeCluster) -> list[tuple[bytes | None, str]]:
    """Key and source of all records written, by partition."""
    return [
        (m.key, "{}:{}".format(*(source_of(m.headers) or ("", 0, 0))[1:3]))
        for tp in sorted(cluster.written)
        for m in cluster.written[tp]
    ]


async def test_records_go_by_their_key_and_in_order_of_time() -> None:
    """Those of a key lie in one partition, though they came from two."""
    cluster = FakeCluster()
    cluster.add(A, (value("a", 0), 10), (value("b", 1), 30), (value("a", 2), 50))
    cluster.add(B, (value("a", 1), 20), (value("b", 0), 25), (value("a", 3), 60))
    site = Site(cluster, start="earliest")
    await asyncio.sleep(0)
    await site.sources.rebalance(A, B)
    await site.done()
    await site.rekeyer.stop()
    by_key: dict[bytes | None, list[str]] = {}
    for key, source in keys(cluster):
        by_key.setdefault(key, []).append(source)
    assert by_key == {b"a": ["0:0", "1:0", "0:2", "1:2"], b"b": ["1:1", "0:1"]}
    places = {m.key: tp for tp, messages in cluster.written.items() for m in messages}
    assert all(
        m.key in places and places[m.key] == tp
        for tp, messages in cluster.written.items()
        for m in messages
    )
    first = next(m for messages in cluster.written.values() for m in messages if m.key == b"a")
    assert first.timestamp_ms == 10
    assert json.loads(rekeyed_json(first.value or b""))["ts"] == NOW * 1_000_000
    assert [name for name, _ in first.headers] == ["ember.source"]
    assert site.sources.stopped
    assert site.notes.messages == 6


async def test_the_trace_of_a_record_goes_with_it() -> None:
    """Other headers of the producer stay behind."""
    cluster = FakeCluster()
    cluster.add(A, (value("a", 0), 10))
    parent = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    headers = [("traceparent", parent), ("other", b"x")]
    cluster.logs[A][0] = cluster.logs[A][0]._replace(headers=headers)
    site = Site(cluster, start="earliest")
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.done()
    await site.rekeyer.stop()
    [[record]] = cluster.written.values()
    assert record.headers == [("ember.source", b"in:0:0:0"), ("traceparent", parent)]


async def test_another_model_is_followed_from_the_next_fetch_on() -> None:
    cluster = FakeCluster()
    cluster.add(A, (value("a", 0), 10))
    site = Site(cluster, start="earliest")
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.done()
    codec = make_codec("json", ("y",), key="host")
    site.rekeyer.switch_codec(codec, RekeyedCodec(("y",)))
    record = {"ts": NOW, "host": "a", "values": {"x": 1.0, "y": 2.0}}
    cluster.add(A, (json.dumps(record).encode(), 20))
    await site.done()
    await site.rekeyer.stop()
    values = [
        json.loads(rekeyed_json(m.value or b""))["values"]
        for [*ms] in cluster.written.values()
        for m in ms
    ]
    assert values == [{"x": 1.0}, {"y": 2.0}]


async def test_a_switch_of_the_model_in_mid_transaction_mixes_no_channels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SLICE", 1)
    cluster, codec = FakeCluster(), CountingCodec()
    both = [{"ts": NOW + n, "host": "a", "values": {"x": 1.0, "y": 2.0}} for n in range(6)]
    cluster.add(A, *((json.dumps(record).encode(), n + 1) for n, record in enumerate(both)))
    site = Site(cluster, codec=codec, start="earliest")
    site.sources.most = 3
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.until(lambda: codec.messages == 1)
    site.rekeyer.switch_codec(make_codec("json", ("y",), key="host"), RekeyedCodec(("y",)))
    await site.done()
    await site.rekeyer.stop()
    [written] = cluster.written.values()
    values = [json.loads(rekeyed_json(m.value or b""))["values"] for m in written]
    assert values == [{"x": 1.0}] * 3 + [{"y": 2.0}] * 3


async def test_records_wait_for_a_partition_that_has_more_to_read() -> None:
    """Its records may be older. One whose broker hands out nothing is waited for in bounds."""
    cluster = FakeCluster()
    cluster.add(A, *((value("a", n), 10 * n) for n in range(4)))
    cluster.add(B, (value("a", 9), 15))
    site = Site(cluster, start="earliest")
    site.sources.silent = {B}
    clock: Any = site.context.clock
    await asyncio.sleep(0)
    await site.sources.rebalance(A, B)
    for _ in range(50):
        await asyncio.sleep(0)
    assert keys(cluster) == []
    clock.now += 5.0
    await site.until(lambda: len(keys(cluster)) == 4)
    site.sources.silent = set()
    await site.done()
    await site.rekeyer.stop()


async def test_refused_messages_are_dead_letters_of_their_own_topic() -> None:
    cluster = FakeCluster()
    cluster.add(A, (b"{", 1), (value("a", 0), 2), (None, 3), (b'{"ts": 1}', 4))
    site = Site(cluster, start="earliest")
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.done()
    await site.rekeyer.stop()
    assert [(tp, offset) for tp, offset, _ in site.letters.letters] == [(A, 0), (A, 2), (A, 3)]
    assert (site.notes.messages, site.notes.refused) == (4, 3)
    assert len(keys(cluster)) == 1


async def test_timestamps_are_kept_but_those_that_a_broker_would_refuse() -> None:
    cluster = FakeCluster()
    stamps = (-1, 0, 5, (NOW + 60) * 1000, (NOW + 86_400) * 1000)
    cluster.add(A, *((value("a", n), ms) for n, ms in enumerate(stamps)))
    site = Site(cluster, start="earliest")
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.done()
    await site.rekeyer.stop()
    written = [m.timestamp_ms for messages in cluster.written.values() for m in messages]
    now = NOW * 1000
    assert written == [now, now, 5, now + 60_000, now + 3_000_000]


@pytest.mark.parametrize(("start", "first"), [("earliest", 0), ("latest", 3), (90.0, 1), (1e9, 0)])
async def test_a_group_without_offsets_begins_as_configured(start: Any, first: int) -> None:
    """And the first offset is committed at once: another worker may get the partition next."""
    cluster = FakeCluster()
    cluster.add(A, *((value("a", n), (NOW - 100 + 30 * n) * 1000) for n in range(3)))
    cluster.add(B)
    site = Site(cluster, start=start)
    await asyncio.sleep(0)
    await site.sources.rebalance(A, B)
    await site.until(lambda: bool(cluster.committed))
    assert cluster.committed[A] >= first
    cluster.add(B, (value("b", 0), NOW * 1000))
    await site.done()
    await site.rekeyer.stop()
    sources = {source for key, source in keys(cluster) if key == b"a"}
    assert sources == {f"0:{n}" for n in range(first, 3)}


async def test_a_partition_that_was_added_is_read_from_its_beginning() -> None:
    cluster = FakeCluster(committed={A: 0})
    cluster.add(A)
    cluster.add(B, (value("b", 0), 5))
    site = Site(cluster, start="latest")
    await asyncio.sleep(0)
    await site.sources.rebalance(A, B)
    await site.done()
    await site.rekeyer.stop()
    assert keys(cluster) == [(b"b", "1:0")]


@pytest.mark.parametrize("transactional", [True, False])
async def test_a_refused_commit_begins_again_at_the_groups_offsets(transactional: bool) -> None:
    """With transactions nothing of it stays; without, the engine knows what comes again."""
    cluster = FakeCluster(ids={"in": "id"})
    cluster.add(A, *((value("a", n), n + 1) for n in range(6)))
    site = Site(cluster, transactional=transactional, start="earliest")
    site.sources.most = 3
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.until(lambda: cluster.committed.get(A) == 3)
    site.log.fail = FencedError("the group has moved on")
    await site.done()
    await site.rekeyer.stop()
    assert site.log.aborted == 1
    assert not site.ended
    [messages] = cluster.written.values()
    meta = MetaRow()
    if transactional:
        assert all(position_of(m.headers) is None for m in messages)
        kept = list(messages)
    else:
        assert len(messages) == 9
        positions = [position_of(m.headers) for m in messages]
        assert {p.sequence for p in positions if p} == {"id:0"}
        kept = [
            m for m, p in zip(messages, positions, strict=True) if p and not meta.note_source(p)
        ]
    assert [source_of(m.headers)[2] for m in kept] == list(range(6))  # type: ignore[index]


class CountingCodec:
    """A codec that counts the messages it has seen."""

    def __init__(self) -> None:
        self.codec, self.messages = make_codec("json", CHANNELS, key="host"), 0

    def decode(self, messages: Sequence[Message]) -> Decoded:
        self.messages += len(messages)
        return self.codec.decode(messages)


@pytest.mark.parametrize("fails", [False, True])
async def test_the_next_transaction_is_made_while_one_is_written(fails: bool) -> None:
    """A rebalance waits for the one that is written; the next one is made again, if need be."""
    cluster, codec = FakeCluster(), CountingCodec()
    cluster.add(A, *((value("a", n), n + 1) for n in range(6)))
    cluster.add(B)
    site = Site(cluster, codec=codec, start="earliest")
    site.sources.most = 2
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.until(lambda: cluster.committed.get(A) == 0)  # the first offset
    site.log.gate.clear()
    await site.until(lambda: codec.messages == 4)
    assert keys(cluster) == []
    rebalance = asyncio.ensure_future(site.sources.rebalance(A, B))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not rebalance.done()
    site.log.fail = FencedError("the group has moved on") if fails else None
    site.log.gate.set()
    await rebalance
    await site.done()
    await site.rekeyer.stop()
    assert [source for _, source in keys(cluster)] == [f"0:{n}" for n in range(6)]
    assert site.log.aborted == int(fails)
    assert not site.ended


async def test_a_fetch_waits_but_where_more_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never did would keep everything else in the event loop from running."""
    monkeypatch.setattr(module, "MOST", 2)
    cluster = FakeCluster(committed={A: 0})
    cluster.add(A, *((value("a", n), n + 1) for n in range(6)))
    site = Site(cluster, start="earliest")
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.done()
    turns = len(site.sources.waits)
    await site.until(lambda: len(site.sources.waits) > turns + 2)
    await site.rekeyer.stop()
    assert site.sources.waits.count(0.0) == 3
    assert min(site.sources.waits[turns:]) > 0


async def test_a_stop_finishes_the_transaction_that_is_written() -> None:
    cluster = FakeCluster(committed={A: 0})
    cluster.add(A, (value("a", 0), 1))
    site = Site(cluster, start="earliest")
    site.log.gate.clear()
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.until(lambda: site.log.open is not None)
    stop = asyncio.ensure_future(site.rekeyer.stop())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not stop.done()
    site.log.gate.set()
    await stop
    assert cluster.committed == {A: 1}
    assert site.sources.stopped


async def test_a_rebalance_in_mid_fetch_loses_nothing() -> None:
    """Records that were fetched before it are fetched again, or by who has the partition now."""
    cluster = FakeCluster()
    cluster.add(A, *((value("a", n), n + 1) for n in range(5)))
    cluster.add(B, *((value("b", n), n + 1) for n in range(5)))
    site = Site(cluster, start="earliest")
    site.sources.most = 2
    await asyncio.sleep(0)
    await site.sources.rebalance(A, B)
    for tps in ((A,), (B,), (A, B)):
        site.sources.during_fetch = lambda tps=tps: site.sources.rebalance(*tps)  # type: ignore[misc]
        await site.until(lambda: site.sources.during_fetch is None)
    await site.done()
    await site.rekeyer.stop()
    assert sorted(source for _, source in keys(cluster)) == sorted(
        f"{p}:{n}" for p in (0, 1) for n in range(5)
    )


async def test_a_failure_ends_the_worker() -> None:
    """What was written is not known: the next life begins at the group's offsets."""
    cluster = FakeCluster()
    cluster.add(A, (value("a", 0), 1))
    cluster.committed[A] = 0
    site = Site(cluster, start="earliest")
    site.log.fail = OSError("disk")
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.until(lambda: bool(site.ended))
    assert site.ended == [1]
    await site.rekeyer.stop()


class Registry:
    """A codec whose messages from the second on need a schema that is away at first."""

    def __init__(self) -> None:
        self.known = False
        self.codec = make_codec("json", CHANNELS, key="host")

    def decode(self, messages: Sequence[Message]) -> Decoded:
        raise AssertionError("blocks")

    def decode_known(self, messages: Sequence[Message]) -> Decoded:
        assert self.ready(messages) == len(messages)
        return self.codec.decode(messages)

    def lacks(self, messages: Any) -> Sequence[int]:
        return [] if self.known else [7]

    def look_up(self, ids: Any) -> None: ...

    def ready(self, messages: Sequence[Message]) -> int:
        return len(messages) if self.known else sum(m.offset < 1 for m in messages)

    def retry(self) -> str:
        return "" if self.known else "away"


async def test_a_partition_waits_for_its_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    cluster.add(A, *((value("a", n), n + 1) for n in range(3)))
    cluster.add(B)
    registry = Registry()
    site = Site(cluster, codec=registry, start="earliest")
    site.context.lifecycle.run(1)
    await asyncio.sleep(0)
    await site.sources.rebalance(A, B)
    await site.until(lambda: cluster.committed.get(A) == 1 and bool(site.sources.paused))
    registry.known = True
    await site.done()
    await site.rekeyer.stop()
    assert [source for _, source in keys(cluster)] == ["0:0", "0:1", "0:2"]
    assert not site.sources.paused


async def test_records_that_wait_are_looked_up_again_after_a_switch_of_the_model() -> None:
    """The codec of another model knows none of the schemas yet."""
    cluster, first, second = FakeCluster(), Registry(), Registry()
    cluster.add(A, *((value("a", n), n + 1) for n in range(3)))
    cluster.add(B, (value("b", 0), 1))
    first.known = True
    site = Site(cluster, codec=first, start="earliest")
    site.context.lifecycle.run(1)
    site.sources.silent = {B}
    await asyncio.sleep(0)
    await site.sources.rebalance(A, B)
    await site.until(lambda: site.sources.positions[A] == 3)  # they wait for the other partition
    site.rekeyer.switch_codec(second, RekeyedCodec(CHANNELS))
    await site.until(lambda: bool(site.sources.paused))
    site.sources.silent, second.known = set(), True
    await site.done()
    await site.rekeyer.stop()
    assert len(keys(cluster)) == 4
    assert site.notes.refused == 0


def test_the_sequence_is_named_after_the_topic_where_it_has_no_id() -> None:
    assert position_of([("ember.source", b"in:0:5:1"), (SEQUENCE_HEADER, b"in:0")]) == (
        "in:0",
        5,
        1,
    )


@pytest.mark.parametrize("transactional", [True, False])
async def test_it_is_up_to_date_when_nothing_is_left_to_re_key_anywhere(
    *, transactional: bool
) -> None:
    """Also of partitions that another worker has: records of any key may come from them."""
    cluster = FakeCluster()
    cluster.add(A, (value("a", 0), 1))
    cluster.add(B)
    site = Site(cluster, transactional=transactional, start="earliest")
    await asyncio.sleep(0)
    await site.sources.rebalance(A)
    await site.done()
    assert await site.rekeyer.is_up_to_date()
    cluster.add(B, (value("b", 1), 2))
    assert not await site.rekeyer.is_up_to_date()

    async def away(_: Any) -> Any:
        raise OSError

    site.sources.log_bounds = away  # type: ignore[method-assign]
    assert not await site.rekeyer.is_up_to_date()
    await site.rekeyer.stop()
