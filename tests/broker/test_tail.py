"""`ember tail` on a broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.kafka_client import Send
from stream.cli.options import OutputTopicOptions, parse_since
from stream.cli.tail import _matcher, tail
from stream.errors import UserError
from stream.scores import encode
from tests.broker.conftest import Broker
from tests.stream.remote_write.scored import SECOND_US, START_US, scored

pytestmark = pytest.mark.broker

NOW_MS = 1_760_000_000_000


def at(broker: Broker, topic: str | None = None) -> OutputTopicOptions:
    return OutputTopicOptions(bootstrap_servers=broker.bootstrap, topic=topic)


def _event(number: int, key: bytes = b"db-7", **more: Any) -> Send:
    body = {
        "status": "firing",
        "severity": 5.25,
        "startsAt": "2026-01-31T00:00:00Z",
        "top_channels": [
            {"name": "cpu", "value": 93.1, "expected": 41.0, "share": 0.71, "direction": "above"},
            {"name": "mem", "value": None, "expected": 1.5, "share": 0.29, "direction": "below"},
        ],
        "number": number,
        **more,
    }
    headers = [("ce_id", b"id-%d" % number), ("ce_time", b"2026-01-31T00:00:00Z")]
    return Send(key, msgspec.json.encode(body), NOW_MS + 1000 * number, -1, headers)


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]


def test_the_last_lines_of_all_partitions_oldest_first(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = broker.topic("anomalies", 3)
    broker.produce(topic, [_event(i, b"k%d" % (i % 7)) for i in range(41)])
    tail("anomalies", lines=11, source=at(broker, topic))
    lines = _lines(capsys)
    assert [line["number"] for line in lines] == list(range(30, 41))
    assert lines[0]["id"] == "id-30"
    assert lines[0]["key"] == "k2"
    assert lines[0]["time"] == "2026-01-31T00:00:00Z"
    assert lines[0]["topic"] == topic


def test_since_and_key(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    topic = broker.topic("anomalies", 2)
    broker.produce(topic, [_event(i, (b"db-1", b"db-2", b"web-1")[i % 3]) for i in range(30)])
    since = "2025-10-09T08:53:30Z"
    assert parse_since(since, 0.0) * 1000 == NOW_MS + 10_000
    tail("anomalies", since=since, key="db-*", source=at(broker, topic))
    assert [n["number"] for n in _lines(capsys)] == [i for i in range(10, 30) if i % 3 != 2]
    tail("anomalies", key="web-1", lines=2, source=at(broker, topic))
    assert [n["number"] for n in _lines(capsys)] == [26, 29]


def test_the_topic_is_that_of_the_settings(
    embedded: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBER_INPUT__TOPICS", "metrics")
    embedded.create({"metrics.triggers": 1})
    embedded.produce("metrics.triggers", [_event(1)])
    tail("triggers", lines=5, source=at(embedded))
    assert len(_lines(capsys)) == 1
    with pytest.raises(UserError, match=r"no topic of anomalies here.*'metrics\.anomalies'"):
        tail("anomalies", lines=5, source=at(embedded))


def test_a_dead_letter_keeps_what_it_was(
    embedded: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = embedded.topic("dead", 1)
    headers = [
        ("__connect.errors.topic", b"telemetry"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"81220"),
        ("__connect.errors.exception.message", b"Expected float, got str - at $.value"),
        ("ember.reason", b"wrong_type"),
    ]
    embedded.produce(topic, [Send(None, b"\xff\x00", NOW_MS, 0, headers)])
    tail("dead-letters", lines=1, source=at(embedded, topic))
    (line,) = _lines(capsys)
    assert line["reason"] == "wrong_type"
    assert line["source"] == {"topic": "telemetry", "partition": 3, "offset": 81220}
    assert line["value_base64"] == "/wA="
    assert line["key"] is None


def test_it_follows_until_ctrl_c(embedded: Broker) -> None:
    topic = embedded.topic("anomalies", 2)
    embedded.produce(topic, [_event(i) for i in range(13)])
    script = (
        "import sys\nfrom stream.cli import main\n"
        "main(['tail', 'anomalies', '--topic', *sys.argv[1:]])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, topic, "--bootstrap-servers", embedded.bootstrap],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    first = [msgspec.json.decode(process.stdout.readline())["number"] for _ in range(10)]
    assert first == list(range(3, 13))
    embedded.produce(topic, [_event(13)])
    assert msgspec.json.decode(process.stdout.readline())["number"] == 13
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    rest, messages = process.communicate(timeout=20)
    assert (process.returncode, rest, messages) == (0, "", "")


def test_times() -> None:
    assert parse_since("15m", 10_000.0) == 9_100.0
    assert parse_since("2h", 10_000.0) == 2_800.0
    with pytest.raises(UserError, match="Received: since='yesterday'") as caught:
        parse_since("yesterday", 0.0)
    assert caught.value.exit_code == 2
    with pytest.raises(UserError, match="Received: lines=-1"):
        tail("anomalies", lines=-1)


def test_keys_match_whole_or_by_pattern() -> None:
    matches = _matcher("a[1]")
    assert matches is not None
    assert matches(b"a[1]")
    assert matches(b"a1")
    assert not matches(b"a2")
    assert not matches(None)


def test_lines_of_scores_are_rows(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """Though a message has many of them; of a key too, whose rows are in some messages only."""
    topic = broker.topic("scores", 3)
    names = [b"web-1", b"db-1", b"web-2"]
    for step in range(7):
        keys = names if step % 2 else names[:2]
        batch = scored(keys, [START_US + step * SECOND_US] * len(keys))
        broker.produce(topic, [Send(None, encode(batch), NOW_MS + 1_000 * step, step % 3)])

    def shown(**options: Any) -> list[tuple[str, float]]:
        tail("scores", source=at(broker, topic), **options)
        steps = [(line["key"], line["channels"]["cpu"]["value"]) for line in _lines(capsys)]
        first = START_US / 1e6 % 3_600
        return [(key, value - first) for key, value in steps]

    rows = [(key.decode(), step) for step in range(7) for key in (names if step % 2 else names[:2])]
    assert shown(lines=4) == rows[-4:]
    assert shown(lines=0) == []
    assert shown(lines=1_000) == rows
    assert shown(lines=2, key="web-2") == [("web-2", 3), ("web-2", 5)]
    since = datetime.fromtimestamp(NOW_MS / 1_000 + 5, UTC).isoformat()
    assert shown(since=since) == [row for row in rows if row[1] >= 5]
    assert shown(since=since, lines=3) == rows[-3:]
