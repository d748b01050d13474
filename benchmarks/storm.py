"""A storm: all keys of a fleet fault at once. How many incidents and pages, and how soon?

The real worker, `ember incidents` and `ember bridge webhook` run beside an embedded broker, each a
process of its own; a receiver of webhooks counts the messages that a person would get.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.fleet import INTERVAL_US, Block, Fleet
from benchmarks.frame import log_progress
from benchmarks.kafka_client import Send, consume_all, produce
from benchmarks.markdown import table
from benchmarks.processes import Child
from benchmarks.topic import TOPIC
from benchmarks.worker import EmberWorker, free_port
from stream.correlation import IncidentBody, read_incident
from stream.kafka.config import changelog_topic
from stream.testing import EmbeddedBroker

_GROUP: Final = "ember"
_WARM_ROUNDS: Final = 24
_STORM_ROUNDS: Final = 6
_SETTLE_SECONDS: Final = 45.0
_FAULT_SCALES: Final = 20.0
_GATHER_SECONDS: Final = 15.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The size of the storm."""
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--kinds", type=int, default=64, help="kinds of keys in the fleet")
    parser.add_argument("--seconds", type=float, default=1_200.0, help="longest wait for a step")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure.

    Returns:
        Numbers of keys that fired, incidents, their messages and pages at the receiver; and
        seconds from the first record of the storm until the lag was zero and until the first
        page.

    Raises:
        BenchmarkError: If a process ends, or a step takes too long.
    """
    fleet = Fleet(options.keys, options.channels, kinds=options.kinds)
    with (
        tempfile.TemporaryDirectory(prefix="ember-bench-") as scratch,
        EmbeddedBroker(_topics(options.partitions)) as broker,
        receiving() as (url, requests),
    ):
        folder = Path(scratch)
        log_progress("training")
        model = fleet.model(rows=600, epochs=1).configure(quiet_rows=_WARM_ROUNDS - 4)
        model.save(folder / "model")
        bootstrap = broker.bootstrap
        with (
            EmberWorker(
                folder, bootstrap=bootstrap, topic=TOPIC, model=folder / "model", group=_GROUP
            ) as worker,
            _beside(folder, bootstrap, url, "incidents"),
            _beside(folder, bootstrap, url, "bridge", "webhook", "--from", "incidents"),
        ):
            rounds = _WARM_ROUNDS + _STORM_ROUNDS
            start_us = time.time_ns() // 1000 - rounds * INTERVAL_US
            blocks = fleet.rounds(rounds, start_us - start_us % INTERVAL_US)
            log_progress("warming up")
            sent = 0
            for block in itertools.islice(blocks, _WARM_ROUNDS):
                sent += _send(fleet, bootstrap, [block])
                worker.watch(sent, options.seconds)  # the embedded broker keeps 5 MiB a partition
            log_progress("the storm")
            earlier_requests, begin = len(requests), time.monotonic()
            spread = fleet.spread
            storm = (
                block._replace(values=block.values + _FAULT_SCALES * spread[block.key])
                for block in itertools.islice(blocks, _STORM_ROUNDS)
            )
            sent += _send(fleet, bootstrap, storm)
            produced = time.monotonic() - begin
            worker.watch(sent, options.seconds)
            lag_zero = time.monotonic() - begin
            worker.until(lambda: len(requests) > earlier_requests, options.seconds)
            time.sleep(_SETTLE_SECONDS)  # for pages that come later
            bodies, storm_requests = _incidents(bootstrap), requests[earlier_requests:]
            triggers = _fired(bootstrap)
    return {
        "keys": options.keys,
        "records": sent,
        "keys_fired": len(triggers),
        "incidents": len({body.id for body in bodies}),
        "messages": len(bodies),
        "keys_in_largest": max((body.member_count for body in bodies), default=0),
        "pages": len(_pages(storm_requests, "firing")),
        "produced_seconds": round(produced, 1),
        "lag_zero_seconds": round(lag_zero, 1),
        "first_page_seconds": round(storm_requests[0][0] - begin, 1),
    }


def _topics(partitions: int) -> dict[str, int]:
    """Topics by their number of partitions: the embedded broker is not asked to create one."""
    names = [TOPIC, changelog_topic(_GROUP, TOPIC)]
    names += [f"{TOPIC}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
    return {**dict.fromkeys(names, partitions), f"{TOPIC}.incidents": 1}


@contextmanager
def _beside(folder: Path, bootstrap: str, url: str, *words: str) -> Iterator[Child]:
    """Run a command of the same service with settings of its own."""
    config = folder / f"{words[0]}.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{bootstrap}"\ngroup = "{_GROUP}"\n'
        f'[input]\ntopics = ["{TOPIC}"]\n'
        f"[incidents]\nport = {free_port()}\ngather_seconds = {_GATHER_SECONDS}\n"
        f'[webhook]\nurl = "{url}"\nport = {free_port()}\n'
    )
    name = f"ember {words[0]}"
    with Child(["stream.cli", *words, "--config", str(config)], folder, name) as child:
        yield child


@contextmanager
def receiving() -> Iterator[tuple[str, list[tuple[float, dict[str, Any]]]]]:
    """Serve a receiver of webhooks; yields its address, and the requests with their times."""
    requests: list[tuple[float, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the standard library's name
            length = int(self.headers.get("Content-Length", 0))
            requests.append((time.monotonic(), json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, *args: Any) -> None:
            """Keep the terminal quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _send(fleet: Fleet, bootstrap: str, blocks: Iterable[Block]) -> int:
    return produce(
        bootstrap, TOPIC, (Send(*pair) for block in blocks for pair in fleet.encoded(block))
    )


def _incidents(bootstrap: str) -> list[IncidentBody]:
    records = consume_all(bootstrap, f"{TOPIC}.incidents")
    bodies = [read_incident(record.value or b"") for record in records]
    return [body for body in bodies if body is not None]


def _fired(bootstrap: str) -> set[bytes]:
    """Keys with a firing trigger."""
    decode: Callable[[bytes], Any] = msgspec.json.decode
    records = consume_all(bootstrap, f"{TOPIC}.triggers")
    return {r.key or b"" for r in records if r.value and decode(r.value)["status"] == "firing"}


def _pages(
    requests: Iterable[tuple[float, dict[str, Any]]], status: str
) -> list[tuple[float, dict[str, Any]]]:
    return [request for request in requests if request[1].get("status") == status]


def part(result: Mapping[str, Any] | None) -> str:
    """The figures as Markdown, or that nothing was measured."""
    if result is None:
        return "Not measured yet: `python -m benchmarks storm --save` does it.\n"
    rows = [
        ["keys that fired", f"{result['keys_fired']:,} of {result['keys']:,}"],
        ["incidents", str(result["incidents"])],
        ["keys in the largest one", f"{result['keys_in_largest']:,}"],
        ["messages in the topic of incidents", str(result["messages"])],
        ["pages at the receiver", str(result["pages"])],
        ["seconds to produce the storm", str(result["produced_seconds"])],
        ["until the lag is zero", str(result["lag_zero_seconds"])],
        ["until the first page", str(result["first_page_seconds"])],
    ]  # fmt: skip
    return table(("figure", "value"), rows)


def lines(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines for a terminal."""
    return part(result).splitlines()
