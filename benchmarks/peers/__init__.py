"""The peers a worker is held against, each in a process of its own with one core's threads.

A new peer is one entry of `PEERS` and a function `(Job) -> None` that reads the topic and reports.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.frame import BenchmarkError
from benchmarks.processes import Child
from benchmarks.progress import Rate, rate_between, read_samples

_START_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Peer:
    """Where a peer lives and what it does.

    Attributes:
        function: `module:function` in this package.
        help: What it does with a record.
        needs: Packages it cannot do without.
    """

    function: str
    help: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """What a peer is to do.

    Attributes:
        bootstrap: Broker.
        topic: Topic to read from its beginning.
        partitions: Its partitions.
        records: Records in it; the peer ends when it has read them.
        seconds: Or after this long, from its first record.
        folder: For its files.
    """

    bootstrap: str
    topic: str
    partitions: int
    records: int
    seconds: float
    folder: str


PEERS: Final[Mapping[str, Peer]] = {
    "faust_agent": Peer(
        "faust_peer:agent", "Faust agent: decodes, counts per key in a dict", ("faust",)
    ),
    "faust_table": Peer(
        "faust_peer:table", "the same, the count in a table and one send a record", ("faust",)
    ),
    "aiokafka_raw": Peer("raw_peer:aiokafka_raw", "aiokafka: throws records away"),
    "confluent_raw": Peer("raw_peer:confluent_raw", "confluent-kafka: throws records away"),
}


def lacking(peer: Peer) -> list[str]:
    """Packages a peer needs that are not installed."""
    return [name for name in peer.needs if importlib.util.find_spec(name) is None]


def race(name: str, job: Job) -> Rate:
    """Rate of a peer between 10 % and 90 % of what it read.

    Raises:
        BenchmarkError: If it fails.
    """
    words = ["benchmarks.peers", name, json.dumps(asdict(job))]
    with Child(words, Path(job.folder), name) as child:
        child.finished(job.seconds + _START_SECONDS)
        samples = read_samples(child.output())
        rate = rate_between(samples, samples[-1].records) if samples else None
        if rate is None:
            raise BenchmarkError(f"{name} read nothing that can be measured: {child.tail()}")
    return rate
