"""A topic that falls silent as a whole, under a worker that runs and is killed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.kafka_client import Send
from tests.broker.conftest import Broker
from tests.e2e.service import Service, wait_until
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit, signal

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROWS = 90


def records() -> list[Send]:
    """Rows of all keys up to now."""
    start = time.time() - ROWS
    return [
        Send(key, json.dumps({"ts": start + i, "values": dict(zip(CHANNELS, row, strict=True))}))
        for number, key in enumerate(KNOWN)
        for i, row in enumerate(signal(ROWS, len(CHANNELS), number).tolist())
    ]


def test_a_silent_topic_is_told_and_not_again_after_a_restart(
    kafka: Broker, tmp_path: Path
) -> None:
    """On a real broker only: it takes the minutes that silence takes."""
    fit(KNOWN, CHANNELS).save(tmp_path / "model")
    topic, group = kafka.topic("quiet", 1), kafka.name("g")
    triggers, changelog = f"{topic}.triggers", f"{group}-state-{topic}-changelog"
    kafka.create(dict.fromkeys([triggers, f"{topic}.anomalies", changelog], 1))
    config = tmp_path / "ember.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n[model]\npath = "model"\n'
        "[dead_letters]\nenabled = false\n[checkpoint]\ninterval_seconds = 1\n"
        "[window]\nstale_intervals = 0.5\n[http]\nport = 0\n"
        "[state]\nstandby_replicas = 0\nsnapshot_interval_seconds = 0\n"
    )

    def silent() -> list[str]:
        bodies = [json.loads(r.value or b"") for r in kafka.consume_all(triggers)]
        stale = [b for b in bodies if b["labels"]["alertname"] == "EmberKeyStale"]
        return sorted(f"{body['labels']['key']} {body['status']}" for body in stale)

    expected = sorted(f"{key.decode()} firing" for key in KNOWN)
    kafka.produce(topic, records())
    with Service(tmp_path, config) as service:
        wait_until("the silence", lambda: silent() == expected, service, 150)
        time.sleep(3.0)  # a checkpoint
        service.kill()
    with Service(tmp_path, config) as service:
        kafka.produce(topic, records())
        returned = sorted([*expected, *(f"{key.decode()} resolved" for key in KNOWN)])
        wait_until("the return", lambda: silent() == returned, service)
        assert service.stop() == 0
