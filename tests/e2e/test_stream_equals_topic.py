"""What `ember backtest kafka:TOPIC` says is what the stream says of the topic, bit for bit."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from benchmarks.kafka_client import Send
from stream.cli import main
from tests.broker.conftest import Broker
from tests.e2e.conftest import HOST_CHANNELS
from tests.e2e.service import Service, wait_until

HOSTS, ROWS, PARTITIONS = 4, 300, 3
BEGIN = 1_700_004_000
META = b"\x00ember.meta"


def sends(*, rekey: bool) -> list[Send]:
    """Records of one channel or several, late ones among them, refused ones, and a fault."""
    chance = random.Random(7)
    found = []
    for row in range(ROWS):
        for host in range(HOSTS):
            late = chance.choice((1, 4)) if chance.random() < 0.05 else 0
            values = {name: chance.gauss(0, 1) for name in HOST_CHANNELS}
            if row > 200 and row % 50 < 20:
                values["cpu"] += 9
            at = BEGIN + 10 * (row - late)
            stamp = 1000 * (BEGIN + 10 * row) + chance.randrange(2_000)
            if chance.random() < 0.02:
                at += 100_000  # refused: too far after Kafka's timestamp
            name = f"host-{host}"
            partition = chance.randrange(PARTITIONS) if rekey else -1
            groups = [dict([pair]) for pair in values.items()] if row % 2 else [values]
            for group in groups:
                record = {"ts": at, "host": name, "values": group}
                key = None if rekey else name.encode()
                found.append(Send(key, json.dumps(record).encode(), stamp, partition))
    found.append(Send(None, b"no JSON", 1000 * BEGIN, 0))
    return found


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("rekey", [False, True])
@pytest.mark.parametrize("window", ["count", "time"])
def test_events_of_the_stream_are_those_of_the_backtest_of_its_topic(
    broker: Broker, tmp_path: Path, small_model: Path, window: str, *, rekey: bool
) -> None:
    topic, group = broker.topic("in", PARTITIONS, {"retention.ms": "-1"}), broker.name("group")
    engine_topic = f"{group}-rekey" if rekey else topic
    changelog = f"{group}-state-{engine_topic}-changelog"
    if not broker.real:
        kinds = ("anomalies", "triggers", "dead-letters")
        broker.create({f"{topic}.{kind}": 1 for kind in kinds} | {changelog: PARTITIONS})
        if rekey:
            broker.create({engine_topic: PARTITIONS})
    config = tmp_path / "ember.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\nkey = "host"\n'
        f"rekey = {json.dumps(rekey)}\nrekey_partitions = {PARTITIONS}\n"
        f'[window]\nmode = "{window}"\ninterval_seconds = 10\nallowed_lateness_seconds = 20\n'
        f'[model]\npath = "{small_model}"\nwarmup_rows = 20\nalarm_warmup_rows = 130\n'
        "[checkpoint]\ninterval_seconds = 0.4\n[state]\nmax_keys = 100\nstandby_replicas = 0\n"
        "[http]\nport = 0\n"
    )
    records = sends(rekey=rekey)
    broker.produce(topic, records)

    def absorbed() -> int:
        rows = broker.read_changelog(changelog)
        metas = [json.loads(value) for (_, key), value in rows.items() if key == META]
        return sum(sum(meta["counts"].values()) for meta in metas)

    # Re-keying sends no refused records on.
    most = len(records) - 1 if rekey else len(records)
    with Service(tmp_path, config, embedded=not broker.real) as service:
        wait_until("all records", lambda: absorbed() >= most, service)
        assert service.stop() == 0
    published = {
        dict(record.headers)["ce_id"].decode(): record.value
        for kind in ("anomalies", "triggers")
        for record in broker.consume_all(f"{topic}.{kind}")
    }
    out = tmp_path / "events.jsonl"
    words = ("backtest", f"kafka:{topic}", "--config", config, "--model", small_model)
    assert main([str(word) for word in (*words, "--events", out)]) == 0
    expected = {
        json.loads(line)["id"]: line.split(b', "body": ', 1)[1][:-1]
        for line in out.read_bytes().splitlines()
    }
    # Whom a partition shows to be silent depends on the keys that share it.
    published, expected = (
        {
            id_: body
            for id_, body in events.items()
            if b'"reason":"stale"' not in body and b'"returned"' not in body
        }
        for events in (published, expected)
    )
    assert published == expected
    assert len(expected) >= 10
