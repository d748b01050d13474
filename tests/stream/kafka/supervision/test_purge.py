"""Absorbed records of the repartition topic are deleted, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from stream.kafka.client.errors import KafkaError
from stream.kafka.protocol.positions import Positions
from stream.kafka.supervision.purge import Purge
from stream.types import TP
from tests.stream.kafka.fakes import make_context

A, B = ("g-rekey", 0), ("g-rekey", 1)


class Cluster:
    def __init__(self) -> None:
        self.deleted: list[dict[TP, int]] = []
        self.error: Exception | None = None
        self.by_time = {A: 40, B: 70}
        self.asked_ms = 0

    async def delete_records(self, offsets: Mapping[TP, int]) -> None:
        if self.error is not None:
            raise self.error
        self.deleted.append(dict(offsets))

    async def offsets_for_time(self, tps: Any, timestamp_ms: int) -> dict[TP, int]:
        self.asked_ms = timestamp_ms
        return {tp: self.by_time[tp] for tp in tps if tp in self.by_time}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def purge_of(cluster: Cluster) -> tuple[Purge, Positions]:
    positions = Positions()
    positions.start(A, 60, 50)
    positions.start(B, 60, 50)
    context = make_context(
        admin=cluster,
        wall_clock=lambda: 1_000_000.0,
        rekeyed=("in",),
        topics=("g-rekey",),
        rekey_retention_seconds=600.0,
    )
    client: Any = cluster
    return Purge(context, positions, client), positions


async def test_only_what_is_committed_and_old_is_deleted(cluster: Cluster) -> None:
    """Of A the young stay, of B what is not committed; one without young ones goes whole."""
    purge, positions = purge_of(cluster)
    await purge.run()
    assert cluster.asked_ms == (1_000_000 - 600) * 1000
    assert cluster.deleted == [{A: 40, B: 50}]
    await purge.run()
    assert len(cluster.deleted) == 1  # nothing new
    del cluster.by_time[A]
    positions.advance(A, 90)
    positions.confirm(A, 90)
    await purge.run()
    assert cluster.deleted[1:] == [{A: 90}]


async def test_a_broker_that_refuses_is_told_once(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    purge, _ = purge_of(cluster)
    cluster.error = KafkaError("not allowed")
    await purge.run()
    await purge.run()
    assert caplog.text.count("Absorbed records of g-rekey stay") == 1
    cluster.error = None
    await purge.run()
    assert cluster.deleted == [{A: 40, B: 50}]


async def test_without_re_keying_it_ends_at_once(cluster: Cluster) -> None:
    purge = Purge(make_context(admin=cluster), Positions(), cluster)  # type: ignore[arg-type]
    await purge.forever(lambda: False)
