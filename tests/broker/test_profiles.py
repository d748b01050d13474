"""Several models in one service: each key by its profile, also after a kill and in a backtest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka_client import Send
from ember_core.pipeline import FleetModel
from stream.cli import main
from stream.engine import META_KEY
from tests.broker.conftest import Broker
from tests.e2e.service import Service, wait_until
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit, signal

QUEUES, OF_QUEUES = (b"q-1", b"q-2"), ("depth", "heat")
ROWS, START = 120, 1_700_000_000


def records(begin: int, end: int) -> list[Send]:
    """Rows of keys of two profiles, with a fault each; their channels overlap in one name."""
    sends = []
    for keys, channels in ((KNOWN, CHANNELS), (QUEUES, OF_QUEUES)):
        for number, key in enumerate(keys):
            values = signal(ROWS, len(channels), number)
            values[90:99] += 60.0
            for i in range(begin, end):
                row = dict(zip(channels, values[i].tolist(), strict=True))
                body = json.dumps({"ts": START + 10 * i, "values": row}).encode()
                sends.append((START + 10 * i, Send(key, body, partition=number % 2)))
    return [send for _, send in sorted(sends, key=lambda send: send[0])]


@pytest.mark.broker
def test_two_profiles_go_on_after_a_kill_as_the_backtest_says(
    broker: Broker, tmp_path: Path
) -> None:
    fit(KNOWN, CHANNELS, rows=211).save(tmp_path / "hosts")
    fit(QUEUES, OF_QUEUES, rows=211, hidden=9).save(tmp_path / "queues")
    topic, group = broker.topic("profiles", 2), broker.name("profiles")
    changelog = f"{group}-state-{topic}-changelog"
    if not broker.real:
        outputs = [f"{topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
        broker.create(dict.fromkeys([changelog, *outputs], 2))
    config = tmp_path / "ember.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n'
        f'[model]\npath = "{tmp_path / "hosts"}"\n'
        f'[model.profiles]\n"q-*" = "{tmp_path / "queues"}"\n'
        "[checkpoint]\ninterval_seconds = 0.3\n[http]\nport = 0\n"
        "[state]\nstandby_replicas = 0\nsnapshot_interval_seconds = 0\n"
    )

    def metas() -> list[dict[str, Any]]:
        rows = broker.read_changelog(changelog)
        return [json.loads(row) for (_, key), row in rows.items() if key == META_KEY]

    def absorbed() -> int:
        return sum(sum(meta["counts"].values()) for meta in metas())

    for begin, end in ((0, 95), (95, ROWS)):  # the kill comes within the episodes
        broker.produce(topic, records(begin, end))
        with Service(tmp_path, config, embedded=not broker.real) as service:
            wait_until("the records", lambda n=end: absorbed() == 5 * n, service)
            if end < ROWS:
                service.kill()
            else:
                assert service.stop() == 0
    published = {
        dict(record.headers)["ce_id"].decode(): record.value
        for kind in ("anomalies", "triggers")
        for record in broker.consume_all(f"{topic}.{kind}")
    }
    out = tmp_path / "events.jsonl"
    words = ("backtest", f"kafka:{topic}", "--config", config, "--events", out)
    assert main([str(word) for word in words]) == 0
    lines = out.read_bytes().splitlines()
    expected = {json.loads(line)["id"]: line.split(b', "body": ', 1)[1][:-1] for line in lines}
    assert published == expected
    models = [FleetModel.load(tmp_path / name).sha256 for name in ("hosts", "queues")]
    assert {json.loads(body)["model"]["sha256"] for body in expected.values()} == set(models)
    for meta in metas():
        judge = meta["judges"][-1]["judge"]
        assert judge["model"] == models[0]
        assert [(p["pattern"], p["model"]) for p in judge["profiles"]] == [("q-*", models[1])]
