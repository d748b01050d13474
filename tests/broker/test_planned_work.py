"""A calendar applied to a running group, whose worker is killed under planned work."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka_client import Send
from stream.cli import main
from stream.settings import Settings
from tests.broker.conftest import Broker
from tests.broker.judged_stream import MetaRows, save_quick_model
from tests.broker.test_control import settings_file
from tests.broker.test_reload import START
from tests.e2e.service import Service, wait_until
from tests.stream.engine.conftest import CHANNELS, KNOWN, signal

PLANNED, OTHER = KNOWN[:2]
ROWS, FIRST, SECOND = 300, 90, 130
"""Rows of a key; those before the calendar, and before the kill."""
FAULT, BEGIN, END, LATER = 70, 100, 160, 250
"""An open episode, planned work with a fault in it, and a fault after it."""


def records(begin: int, end: int) -> list[Send]:
    """Rows of both keys with the same faults, each key in a partition of its own."""
    sends = []
    columns = {key: signal(ROWS, len(CHANNELS), KNOWN.index(key), 5) for key in (PLANNED, OTHER)}
    for values in columns.values():
        values[FAULT : BEGIN + 10, 1] += 70.0
        values[BEGIN + 30 : END, 0] += 70.0
        values[LATER : LATER + 9, 2] += 70.0
    for i in range(begin, end):
        for partition, (key, values) in enumerate(columns.items()):
            row = dict(zip(CHANNELS, values[i].tolist(), strict=True))
            body = json.dumps({"ts": START + 10 * i, "values": row}).encode()
            sends.append(Send(key, body, partition=partition))
    return sends


def text_of(row: int) -> str:
    return datetime.fromtimestamp(START + 10 * row, UTC).isoformat()


def ember(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    code = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    assert not code, captured.err
    return json.loads(captured.out)


@pytest.mark.slow
@pytest.mark.broker
def test_planned_work_is_quiet_through_a_kill_and_the_same_in_a_backtest(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The open episode ends as planned; the other key fires on; the next fault is a page."""
    topic = broker.topic("planned", 2)
    save_quick_model(tmp_path / "model")
    config = settings_file(broker, tmp_path, topic, f'[model]\npath = "{tmp_path / "model"}"\n')
    settings = Settings.load(config)
    changelog = f"{settings.kafka.group}-state-{topic}-changelog"
    calendar = tmp_path / "work.toml"
    calendar.write_text(
        f'[[calendar]]\nname = "move"\nreason = "the rack moves"\nkeys = ["{PLANNED.decode()}"]\n'
        f'grace = "5m"\nwindows = [{{ begin = {text_of(BEGIN)}, end = {text_of(END)} }}]\n'
    )

    meta_rows = MetaRows(broker, changelog)
    absorbed, noted = meta_rows.absorbed, meta_rows.noted

    def events() -> dict[str, dict[str, Any]]:
        bodies: dict[str, dict[str, Any]] = {}  # a killed worker may have sent one twice
        for kind in ("anomalies", "triggers"):
            for record in broker.consume_all(f"{topic}.{kind}"):
                event = dict(record.headers)["ce_id"].decode()
                body = json.loads(record.value or b"")
                assert bodies.setdefault(event, body) == body
        return bodies

    worker = Service(tmp_path, config, embedded=not broker.real)
    with contextlib.ExitStack() as running:
        running.enter_context(worker)
        wait_until("the start", lambda: "Running with 2" in worker.log.read_text(), worker)
        wait_until("the note of no documents", lambda: noted() == {""}, worker)
        broker.produce(topic, records(0, FIRST))
        wait_until("the first rows", lambda: absorbed() == 2 * FIRST, worker)
        applied = ember(capsys, "control", "apply", calendar, "--yes", "--config", config)
        wait_until("the calendar", lambda: noted() == {applied["digest"]}, worker)
        broker.produce(topic, records(FIRST, SECOND))
        wait_until("planned work", lambda: absorbed() == 2 * SECOND, worker)
        worker.kill()
        broker.produce(topic, records(SECOND, ROWS))
        worker.start()
        wait_until("the last rows", lambda: absorbed() == 2 * ROWS, worker)
        assert worker.stop() == 0
    bodies = events()
    triggers = [body for body in bodies.values() if "threshold" in body and "reason" in body]
    entries = {
        key: sorted(
            (body["window"]["start"], body["status"], body["reason"])
            for body in triggers
            if body["labels"]["key"] == key.decode()
        )
        for key in (PLANNED, OTHER)
    }
    quiet = text_of(BEGIN)[:19], text_of(END + 30)[:19]
    assert [entry[1:] for entry in entries[PLANNED] if quiet[0] <= entry[0] < quiet[1]] == [
        ("resolved", "planned")
    ]
    assert {reason for _, _, reason in entries[OTHER]} == {"evidence"}
    for key in (PLANNED, OTHER):
        times = [start for start, status, _ in entries[key] if status == "firing"]
        assert times[0] < quiet[0]
        assert times[-1] >= text_of(LATER)[:19]
    listed = ember(capsys, "control", "list", "--config", config)["documents"]
    assert [document["key"] for document in listed] == ["calendar/move"]
    out = tmp_path / "events.jsonl"
    words = ("--rules", calendar, "--events", out, "--config", config)
    summary = ember(capsys, "backtest", f"kafka:{topic}", *words)
    assert summary["planned"] == {"rows": END - BEGIN, "in_grace": 30}
    replayed = {
        entry["id"]: entry["body"] for entry in map(json.loads, out.read_text().splitlines())
    }
    assert replayed == bodies
