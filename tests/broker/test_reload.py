"""A model changed in a running service: noted before use, the same whatever happens around it."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.kafka_client import Send
from ember_core.pipeline import FleetModel
from stream.codecs import make_codec
from stream.configure import load_model, make_engine
from stream.engine import META_KEY, SliceOffsets
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.e2e.service import Service, ember, last_json, wait_until
from tests.stream.engine.conftest import CHANNELS, KNOWN, fit, signal

ROWS, FAULT = 150, 60.0
START = 1_700_000_000


def records(part: int) -> list[Send]:
    """Rows of three keys with a fault each."""
    sends = []
    for number, key in enumerate(KNOWN):
        values = signal(ROWS, len(CHANNELS), number, part)
        values[110:119] += FAULT
        for i, row in enumerate(values):
            ts = START + 10 * (i + ROWS * (part - 1))
            body = {"ts": ts, "values": dict(zip(CHANNELS, row.tolist(), strict=True))}
            sends.append(Send(key, json.dumps(body).encode(), partition=number % 2))
    return sorted(sends, key=lambda send: json.loads(send.value or b"")["ts"])


def judged(
    log: list[Any], changes: dict[int, FleetModel], settings: Settings
) -> tuple[list[bytes], Any]:
    """Bodies of all events of one partition's log, with these models from these offsets on."""
    first, *_ = changes.values()
    engine, codec = make_engine(settings, first), make_codec("json", first.channels)
    tp = (settings.input.topics[0], log[0].partition)
    engine.attach(tp)
    bodies: list[bytes] = []
    for record in log:
        if record.offset in changes and changes[record.offset] is not first:
            engine.schedule_switch(tp, record.offset, changes[record.offset])
            engine.switch_model(changes[record.offset])
        stamp = record.timestamp_ms
        slice_offsets = SliceOffsets(np.array([record.offset]), np.array([stamp]))
        read = codec.decode([SimpleNamespace(**record._asdict(), timestamp=stamp)])
        bodies += [event.body for event in engine.step(tp, read, slice_offsets).events]
    return bodies, engine


@pytest.mark.kafka
def test_a_model_deployed_while_it_runs_judges_from_the_noted_offset_on(
    kafka: Broker, tmp_path: Path
) -> None:
    """Killed right after the change, the service says what one run with that change says."""
    for name, hidden in (("one", 8), ("two", 13)):
        fit(KNOWN, CHANNELS, rows=307, hidden=hidden).save(tmp_path / name)
    shutil.copytree(tmp_path / "one", tmp_path / "model")
    topic, group = kafka.topic("reload", 2), kafka.name("reload")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "ember.toml"
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap}"\ngroup = "{group}"\n'
        f'[input]\ntopics = ["{topic}"]\nstart = "earliest"\n[model]\npath = "model"\n'
        "[checkpoint]\ninterval_seconds = 0.4\n[state]\nstandby_replicas = 0\n"
        f'[window]\nstale_intervals = 0\n[http]\nport = {port}\ntoken = "sesame"\n'
    )
    changelog = f"{group}-state-{topic}-changelog"

    def metas() -> dict[int, dict[str, Any]]:
        rows = kafka.read_changelog(changelog)
        return {p: json.loads(v) for (p, key), v in rows.items() if key == META_KEY}

    def absorbed() -> int:
        return sum(sum(meta["counts"].values()) for meta in metas().values())

    kafka.produce(topic, records(1))
    with Service(tmp_path, config) as service:
        wait_until("the first half", lambda: absorbed() == 3 * ROWS, service)
        done = ember("model", "deploy", "two", "--json", cwd=tmp_path)
        (answer,) = last_json(done)["workers"].values()
        assert answer["result"] == "applied"
        noted = metas()
        assert answer["offsets"] == {
            f"{topic}-{p}": meta["judges"][-1]["offset"] for p, meta in noted.items()
        }
        service.kill()
    kafka.produce(topic, records(2))
    with Service(tmp_path, config) as service:
        wait_until("the second half", lambda: absorbed() == 6 * ROWS, service)
        assert service.stop() == 0
    settings = Settings.load(config)
    models = [load_model(settings, tmp_path / name) for name in ("one", "two")]
    expected: list[bytes] = []
    for partition, meta in metas().items():
        offsets = [each["offset"] for each in meta["judges"]]
        shas = [each["judge"]["model"] for each in meta["judges"]]
        assert shas == [model.sha256 for model in models]
        log = [r for r in kafka.consume_all(topic) if r.partition == partition]
        bodies, engine = judged(log, dict(zip(offsets, models, strict=True)), settings)
        expected += bodies
        for (at, key), row in kafka.read_changelog(changelog).items():
            if at == partition and key != META_KEY:
                assert row == engine.row((topic, partition), key)
    published = {
        dict(record.headers)["ce_id"]: record.value
        for kind in ("anomalies", "triggers")
        for record in kafka.consume_all(f"{topic}.{kind}")
    }
    assert sorted(v or b"" for v in published.values()) == sorted(expected)
    by_model = [json.loads(body)["model"]["sha256"] for body in expected]
    assert {by_model.count(model.sha256) > 0 for model in models} == {True}
