"""The peers a worker is held against, each in a process of its own with one core's threads.

A new peer is one entry of `PEERS` and a function `(Job) -> None` that reads the topic and reports.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.frame import BenchmarkError
from benchmarks.processes import ROOT, Child
from benchmarks.progress import Rate, rate_between, read_samples

_START_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Peer:
    """Module of a peer, and a description of its work.

    Attributes:
        function: `module:function` in this package.
        help: What it does with a record.
        needs: Packages it cannot do without.
        apart: Whether these live in an environment of their own, as they want other versions of
            what the worker uses.
        counts: Whether it says what it counted, which is compared.
    """

    function: str
    help: str
    needs: tuple[str, ...] = ()
    apart: bool = False
    counts: bool = True


@dataclass(frozen=True)
class Job:
    """Task of a peer.

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
    "quix": Peer(
        "quix_peer:quix", "Quix Streams: decodes, counts per key in a dict", ("quixstreams",), True
    ),
    "quix_state": Peer(
        "quix_peer:quix_state", "the same, the count in its state", ("quixstreams",), True
    ),
    "bytewax": Peer(
        "bytewax_peer:bytewax", "Bytewax: decodes, counts per key in its state", ("bytewax",), True
    ),
    "river_hst": Peer(
        "detector_peer:river_hst",
        "river's HalfSpaceTrees, one for all keys, behind confluent-kafka",
        ("river",),
        True,
        counts=False,
    ),
    "rcf": Peer(
        "detector_peer:rcf",
        "AWS's Random Cut Forest, 30 trees, one for all keys, on the JVM without Kafka",
        counts=False,
    ),
    "aiokafka_raw": Peer("raw_peer:aiokafka_raw", "aiokafka: throws records away", counts=False),
    "confluent_raw": Peer(
        "raw_peer:confluent_raw", "confluent-kafka: throws records away", counts=False
    ),
}


def python_of(peer: Peer) -> str:
    """The interpreter a peer runs in: ours, or that of `make peers`, where there is one."""
    peers_python = ROOT / ".venv-peers" / "bin" / "python"
    return str(peers_python) if peer.apart and peers_python.is_file() else sys.executable


def lacking(peer: Peer) -> list[str]:
    """Packages a peer needs that are not installed."""
    if not peer.needs:
        return []
    program = (
        "import sys; from importlib.util import find_spec\n"
        "print(*[name for name in sys.argv[1:] if find_spec(name) is None])"
    )
    words = [python_of(peer), "-c", program, *peer.needs]
    process = subprocess.run(words, capture_output=True, text=True, check=True)
    return process.stdout.split()


def race(name: str, job: Job) -> Rate:
    """Rate of a peer between 10 % and 90 % of what it read.

    Raises:
        BenchmarkError: If it fails.
    """
    words = ["benchmarks.peers", name, json.dumps(asdict(job))]
    with Child(words, Path(job.folder), name, python=python_of(PEERS[name])) as child:
        child.finished(job.seconds + _START_SECONDS)
        samples = read_samples(child.output())
        rate = rate_between(samples, samples[-1].records) if samples else None
        if rate is None:
            raise BenchmarkError(f"{name} read nothing that can be measured: {child.tail()}")
        if PEERS[name].counts:
            compare(name, child.output())
    return rate


def compare(name: str, output: str) -> None:
    """Hold what a peer counted against what it read.

    Raises:
        BenchmarkError: If it counted something else, or did not say.
    """
    counts = [json.loads(line) for line in output.splitlines() if line.startswith('{"counted"')]
    counted = counts[-1]["counted"] if counts else {}
    if not counts or counted["records"] != counted["read"] or not counted["keys"]:
        raise BenchmarkError(f"{name} did not count what it read. Received: counted={counted}.")
