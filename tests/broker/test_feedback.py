"""`ember feedback` on events of a running worker, written to the control topic it follows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.kafka_client import Send
from stream.cli import main
from stream.cli.control.topic import read
from stream.control import NO_CONTROL
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.broker.judged_stream import MetaRows, save_quick_model
from tests.broker.test_control import events_of, settings_file
from tests.broker.test_reload import START
from tests.e2e.service import Service, wait_until
from tests.stream.engine.conftest import CHANNELS, KNOWN, signal

SHIFTED, SPIKY = KNOWN[:2]
HEAT, FLOW = 1, 2
ROWS, FIRST, SECOND = 450, 150, 190
"""Rows of a key; those before it is judged the first time, and the second time."""
FAULT, REPEATS, OTHER = 110, (230, 350), 420


def values_of(key: bytes) -> np.ndarray:
    """A level that changes for good; or a fault that comes three times, and then another one."""
    values = signal(ROWS, len(CHANNELS), KNOWN.index(key), part=5)
    if key == SHIFTED:
        values[FAULT:, HEAT] += 70.0
        return values
    for at in (FAULT, *REPEATS):
        values[at : at + 8, HEAT] += 50.0
    values[OTHER : OTHER + 8, FLOW] += 70.0
    return values


def records(begin: int, end: int) -> list[Send]:
    """Rows of both keys, each in a partition of its own."""
    columns = {key: values_of(key) for key in (SHIFTED, SPIKY)}
    sends = []
    for i in range(begin, end):
        for partition, (key, values) in enumerate(columns.items()):
            row = dict(zip(CHANNELS, values[i].tolist(), strict=True))
            body = json.dumps({"ts": START + 10 * i, "values": row}).encode()
            sends.append(Send(key, body, partition=partition))
    return sends


@pytest.fixture
def feedback(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `ember feedback`; returns the digest in force."""

    def run(*arguments: str | Path) -> str:
        code = main(["feedback", *map(str, arguments), "--json"])
        captured = capsys.readouterr()
        assert not code, captured.err
        return str(json.loads(captured.out)["digest"])

    return run


@pytest.mark.slow
@pytest.mark.broker
def test_a_worker_heeds_feedback_at_once_and_through_a_kill(
    broker: Broker, tmp_path: Path, feedback: Callable[..., str]
) -> None:
    """The new level is usual, the false alarm is not repeated, and another fault is told."""
    topic = broker.topic("judged", 2)
    save_quick_model(tmp_path / "model")
    config = settings_file(broker, tmp_path, topic, f'[model]\npath = "{tmp_path / "model"}"\n')
    settings = Settings.load(config)
    changelog = f"{settings.kafka.group}-state-{topic}-changelog"

    meta_rows = MetaRows(broker, changelog)
    metas, absorbed, noted = meta_rows.read, meta_rows.absorbed, meta_rows.noted

    def triggers(key: bytes) -> list[dict[str, Any]]:
        told: dict[str, dict[str, Any]] = {}  # a killed worker may have sent one twice
        for record in broker.consume_all(f"{topic}.triggers"):
            body = json.loads(record.value or b"")
            event = dict(record.headers)["ce_id"].decode()
            if body["labels"]["key"] == key.decode():
                told[event] = {**body, "event": event}
        return list(told.values())

    worker = Service(tmp_path, config, embedded=not broker.real)
    with contextlib.ExitStack() as running:
        running.enter_context(worker)
        wait_until("the start", lambda: "Running with 2" in worker.log.read_text(), worker)
        wait_until("the note of no documents", lambda: noted() == {""}, worker)
        broker.produce(topic, records(0, FIRST))
        wait_until("the first rows", lambda: absorbed() == 2 * FIRST, worker)
        (shift, *more), (spike, *_) = triggers(SHIFTED), triggers(SPIKY)
        assert all(body["status"] != "resolved" for body in (shift, *more))
        normal = feedback(shift["event"], "normal-now", "--config", config)
        wait_until("the first judgement", lambda: noted() == {normal}, worker)
        broker.produce(topic, records(FIRST, SECOND))
        wait_until("the next rows", lambda: absorbed() == 2 * SECOND, worker)
        assert triggers(SHIFTED)[-1]["reason"] == "normal_now"
        false = feedback(spike["event"][:12], "false-alarm", "--config", config)
        wait_until("the second judgement", lambda: noted() == {false}, worker)
        worker.kill()
        broker.produce(topic, records(SECOND, ROWS))
        worker.start()
        wait_until("the last rows", lambda: absorbed() == 2 * ROWS, worker)
        assert worker.stop() == 0
    resolved = [body["reason"] for body in triggers(SHIFTED) if body["status"] == "resolved"]
    assert resolved[0] == "normal_now"
    assert triggers(SHIFTED)[-1]["status"] == "resolved"
    leading = [b["top_channels"][0]["name"] for b in triggers(SPIKY) if b["status"] == "firing"]
    assert leading == ["heat", "flow"]
    catalogue = read(settings)
    sets = {"": NO_CONTROL}
    sets |= {digest: found for digest in (normal, false) if (found := catalogue.find(digest))}
    expected: set[tuple[str, bytes]] = set()
    plain: set[tuple[str, bytes]] = set()
    for partition, meta in enumerate(metas()):
        assert [each["digest"] for each in meta["control"]][-2:] == [normal, false]
        changes = {each["offset"]: sets[each["digest"]] for each in meta["control"]}
        log = [r for r in broker.consume_all(topic) if r.partition == partition]
        expected |= events_of(log, changes, settings)
        plain |= events_of(log, {}, settings)
    published = {
        (dict(record.headers)["ce_id"].decode(), record.value or b"")
        for kind in ("anomalies", "triggers")
        for record in broker.consume_all(f"{topic}.{kind}")
    }
    assert published == expected
    repeats = {
        body["startsAt"]
        for _, text in plain - expected
        if (body := json.loads(text))["labels"]["key"] == SPIKY.decode()
        and body["labels"]["alertname"] == "EmberFiring"
        and body["status"] == "firing"
        and body["top_channels"][0]["name"] == "heat"
    }
    assert len(repeats) == len(REPEATS)  # without the mark they would have been told
