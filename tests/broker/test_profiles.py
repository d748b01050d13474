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
from tests.broker.test_learning import ROWS as ROWS_OF_HISTORY
from tests.broker.test_learning import Site, says, sends
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


@pytest.mark.slow
@pytest.mark.broker
def test_models_of_profiles_come_by_topics_and_change_one_at_a_time(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(KNOWN, CHANNELS, rows=211).save(tmp_path / "hosts")
    for name, hidden in (("queues", 9), ("retrained", 10)):
        fit(QUEUES, OF_QUEUES, rows=211, hidden=hidden).save(tmp_path / name)
    digests = {
        name: FleetModel.load(tmp_path / name).sha256 for name in ("hosts", "queues", "retrained")
    }
    topic, group = broker.topic("profiles", 2), broker.name("profiles")
    changelog = f"{group}-state-{topic}-changelog"
    if not broker.real:
        names = [f"{topic}.{kind}" for kind in ("anomalies", "triggers", "dead-letters")]
        models = dict.fromkeys([f"{group}-model", f"{group}-model-queue"], 1)
        broker.create(dict.fromkeys([changelog, *names], 2) | models)
    config = tmp_path / "ember.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{broker.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n'
        '[model]\ntopic = "<group>-model"\n[model.profiles]\n"q-*" = "queue"\n'
        "[checkpoint]\ninterval_seconds = 0.3\n[http]\nport = 0\n"
        "[state]\nstandby_replicas = 0\nsnapshot_interval_seconds = 0\n"
    )

    def model(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["model", *words, "--config", str(config), "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    def judges() -> list[list[tuple[str, str]]]:
        rows = broker.read_changelog(changelog)
        metas = [json.loads(row) for (_, key), row in rows.items() if key == META_KEY]
        return [
            [
                (each["judge"]["model"], each["judge"]["profiles"][0]["model"])
                for each in meta["judges"]
            ]
            for meta in metas
        ]

    def rows() -> dict[bytes, bytes]:
        found = broker.read_changelog(changelog)
        return {key: row for (_, key), row in found.items() if key != META_KEY}

    broker.produce(topic, records(0, 95))
    with Service(tmp_path, config, embedded=not broker.real) as service:
        wait_until("the wait", lambda: "no model is in topic" in service.log.read_text(), service)
        model("deploy", str(tmp_path / "hosts"))
        done = model("deploy", str(tmp_path / "queues"), "--profile", "q-*")
        assert (done["topic"], done["before"]) == (f"{group}-model-queue", None)
        first = [(digests["hosts"], digests["queues"])]
        wait_until("both", lambda: judges() == [first, first] and len(rows()) == 5, service)
        before = rows()
        model("deploy", str(tmp_path / "retrained"), "--profile", "q-*")
        both = [*first, (digests["hosts"], digests["retrained"])]
        wait_until("the change", lambda: judges() == [both, both], service)
        wait_until("its rows", lambda: rows()[b"q-1"] != before[b"q-1"], service)
        assert {key for key, row in rows().items() if row != before[key]} <= set(QUEUES)
        assert service.stop() == 0
    bundles = model("history", "--profile", "q-*")["bundles"]
    assert [each["digest"] for each in bundles] == [digests["retrained"], digests["queues"]]
    assert [each["digest"] for each in model("history")["bundles"]] == [digests["hosts"]]
    assert model("rollback", "--profile", "q-*")["deployed"] == digests["queues"]


@pytest.mark.slow
@pytest.mark.broker
def test_workers_train_the_model_of_each_profile(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(broker, tmp_path, min_history="30m")
    if not broker.real:
        broker.create({f"{site.group}-model-first": 1})
    config = site.config.read_text()
    site.config.write_text(config + '[model.profiles]\n"host-0" = "first"\n')
    broker.produce(site.topic, sends(0, ROWS_OF_HISTORY))
    with site.worker() as worker:
        wait_until("work", says(worker, "Running with 2 input partitions"), worker, seconds=120)
        assert worker.stop() == 0
    keys = {}
    for profile in ("", "host-0"):
        capsys.readouterr()
        words = ["model", "history", "--profile", profile, "--config", str(site.config), "--json"]
        assert main(words) == 0
        (line,) = json.loads(capsys.readouterr().out)["bundles"]
        keys[profile] = line["training"]["keys"]
    assert keys == {"": 2, "host-0": 1}
