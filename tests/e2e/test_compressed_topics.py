"""Topics as producers compress them: the service reads every codec of Kafka."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.kafka_client import Send, produce
from tests.broker.conftest import Broker
from tests.e2e.service import Service, wait_until

COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
META = b"\x00ember.meta"
ROWS = 40


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_compressed_topic_is_read(
    broker: Broker, tmp_path: Path, small_model: Path, compression: str
) -> None:
    """Every record of the topic is counted as scored, none is refused."""
    topic, group = broker.name(f"telemetry-{compression}"), broker.name("group")
    broker.create({topic: 1})
    changelog = f"{group}-state-{topic}-changelog"
    if not broker.real:
        names = (f"{topic}.anomalies", f"{topic}.triggers", f"{topic}.dead-letters")
        broker.create(dict.fromkeys(names, 1) | {changelog: 1})
    config = tmp_path / "ember.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n[model]\npath = "{small_model}"\n'
        "[checkpoint]\ninterval_seconds = 0.4\n[state]\nmax_keys = 100\nstandby_replicas = 0\n"
        "[http]\nport = 0\n"
    )
    values = {"cpu": 0.1, "load": 0.2, "memory": 0.3}
    sends = [
        Send(b"host-1", json.dumps({"ts": 1_700_009_000 + 10 * t, "values": values}).encode())
        for t in range(ROWS)
    ]
    produce(broker.bootstrap, topic, sends, **{"compression.type": compression, "linger.ms": 50})

    def counts() -> dict[str, int]:
        meta = broker.read_changelog(changelog).get((0, META), b"{}")
        return dict(json.loads(meta).get("counts", {}))

    with Service(tmp_path, config) as service:
        wait_until(f"all {ROWS} rows", lambda: sum(counts().values()) == ROWS, service)
        assert service.stop() == 0
    assert set(counts()) <= {"scored", "warming"}
