"""A service whose schema registry goes away: what it knows goes on, what may be good waits."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.kafka_client import Send
from tests.broker.conftest import Broker
from tests.broker.small_service import SmallService
from tests.e2e.service import Service, wait_until
from tests.serving import serving
from tests.stream.report import small

fastavro = pytest.importorskip("fastavro")

pytestmark = pytest.mark.broker

START = 1_700_000_000
PARTITIONS = 2
SCHEMA = {
    "type": "record",
    "name": "Telemetry",
    "fields": [
        {"name": "ts", "type": "long"},
        {"name": "values", "type": {"type": "map", "values": "double"}},
    ],
}


def records(schema_id: int, partition: int, first: int, count: int) -> list[Send]:
    """Of one key of the partition, by its place in time; of schema 9: what is no record."""
    sends = []
    for row in range(first, first + count):
        body = io.BytesIO()
        record = {"ts": START + 10 * row, "values": dict.fromkeys(small.CHANNELS, 5.0)}
        fastavro.schemaless_writer(body, fastavro.parse_schema(SCHEMA), record)
        value = b"\0" + schema_id.to_bytes(4, "big") + body.getvalue()
        sends.append(Send(b"key-%d" % partition, value, partition=partition))
    return sends


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path in ("/schemas/ids/1", "/schemas/ids/2")
        body = json.dumps({"schema": json.dumps(SCHEMA)} if known else {}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def registry(port: int = 0) -> Iterator[int]:
    """One that knows the schemas 1 and 2; its port."""
    with serving(ThreadingHTTPServer(("127.0.0.1", port), Handler)) as server:
        yield server.server_port


@pytest.mark.slow
def test_an_outage_of_the_registry_holds_up_only_what_needs_it(
    embedded: Broker, tmp_path: Path
) -> None:
    small_service = SmallService(embedded, tmp_path, PARTITIONS)
    config, topic = small_service.config, small_service.topic

    def absorbed(number: int) -> bool:
        return sum(small_service.counts().values()) == number

    with registry() as port:
        text = config.read_text().replace(
            "[input]",
            f'[input]\ncodec = "avro"\nschema_registry_url = "http://127.0.0.1:{port}"',
        )
        config.write_text(f"{text}[supervision]\nstuck_seconds = 1.0\n")
        embedded.produce(topic, records(1, 0, 0, 7) + records(1, 1, 0, 5))
        with Service(tmp_path, config, embedded=True) as service:
            wait_until("all of it", lambda: absorbed(12), service)
            service.kill()
    # It starts without the registry, goes on with what it knows, and is not thought to be stuck.
    embedded.produce(topic, records(1, 0, 7, 11) + records(2, 0, 18, 13) + records(1, 0, 31, 3))
    embedded.produce(topic, records(1, 1, 5, 17))
    with Service(tmp_path, config, embedded=True) as service:
        wait_until("what it knows", lambda: absorbed(12 + 11 + 17), service)
        log = service.log
        wait_until("another try", lambda: log.read_text().count("partitions wait") > 1, service)
        embedded.produce(topic, records(1, 1, 22, 19) + records(1, 0, 34, 2))
        wait_until("more of what it knows", lambda: absorbed(40 + 19), service)
        said = [json.loads(line) for line in log.read_text().splitlines()]
        waits = [line["detail"] for line in said if line.get("phase") == "waiting"]
        assert any(f"{topic}-0: The schema registry gave no schema 2" in detail for detail in waits)
        embedded.produce(topic, records(9, 0, 36, 1))  # nobody can tell that it is none yet
        with registry(port):
            wait_until("all of it", lambda: absorbed(59 + 13 + 3 + 2 + 1), service)
            assert small_service.counts()["not_json"] == 1
            embedded.produce(topic, records(2, 1, 41, 1))
            wait_until("what comes then", lambda: absorbed(79), service)
            assert service.stop() == 0


@pytest.mark.kafka
def test_partitions_that_wait_may_change_hands(kafka: Broker, tmp_path: Path) -> None:
    """A second worker comes while they wait, and the first one goes: nothing is lost.

    The embedded broker at times refuses a member's SyncGroup when two join at once.
    """
    small_service = SmallService(kafka, tmp_path, PARTITIONS)
    config, topic = small_service.config, small_service.topic
    with registry() as port:
        pass  # nobody listens there yet
    text = config.read_text().replace(
        "[input]", f'[input]\ncodec = "avro"\nschema_registry_url = "http://127.0.0.1:{port}"'
    )
    # Long enough for a member that waits to join again before the broker goes on without it.
    config.write_text(text.replace("[input]", "session_timeout_seconds = 6\n[input]", 1))
    kafka.produce(topic, records(1, 0, 0, 7) + records(1, 1, 0, 5))
    (tmp_path / "other").mkdir()
    other = config.read_text().replace('path = "model"', f'path = "{tmp_path / "model"}"')
    (tmp_path / "other" / "ember.toml").write_text(other)

    def waits(service: Service) -> bool:
        return "partitions wait" in service.log.read_text()

    with Service(tmp_path, config, embedded=False) as first:
        wait_until("the first", lambda: waits(first), first)
        with Service(
            tmp_path / "other", tmp_path / "other" / "ember.toml", embedded=False
        ) as second:
            wait_until("the second", lambda: waits(second), second)
            assert first.stop() == 0
            kafka.produce(topic, records(1, 0, 7, 3) + records(2, 1, 5, 2))
            with registry(port):
                wait_until("all of it", lambda: sum(small_service.counts().values()) == 17, second)
                assert second.stop() == 0
    assert sum(small_service.counts().values()) == 17
