"""`ember explain` over a file of events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream.cli import main
from stream.records import Event
from tests.stream.report import small


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small backtest's events, as `ember backtest --events` writes them."""
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    with path.open("wb") as file:
        for e in small.result().events:
            head = json.dumps({"id": e.id, "kind": e.kind, "key": e.key.decode()})
            file.write(head[:-1].encode() + b', "body": ' + e.body + b"}\n")
    return path


def _events(key: bytes, kind: str, alert: str) -> list[Event]:
    return [
        e
        for e in small.result().events
        if e.key == key and e.kind == kind and json.loads(e.body)["labels"]["alertname"] == alert
    ]


def _explain(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["explain", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_trigger_with_the_anomalies_of_its_episode(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firing, resolved = _events(small.FAULTY, "trigger", "EmberFiring")[:2]
    card = _explain(capsys, firing.id, "--events", str(log))
    body = json.loads(firing.body)
    assert {name: card[name] for name in body} == body
    assert card["rarity"].endswith("for this key")
    found = {other["id"]: other for other in card["related"]}
    assert firing.id not in found
    assert found[resolved.id]["status"] == "resolved"
    inside = [
        e.id
        for e in _events(small.FAULTY, "anomaly", "EmberAnomaly")
        if firing.time_us <= e.time_us <= resolved.time_us
    ]
    assert inside
    assert set(found) == {resolved.id, *inside}
    times = [other["time"] for other in card["related"]]
    assert times == sorted(times)


def test_the_first_digits_of_an_id_will_do(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anomaly = _events(small.FAULTY, "anomaly", "EmberAnomaly")[0]
    assert _explain(capsys, anomaly.id[:11], "--events", str(log))["id"] == anomaly.id


def test_key_and_time_name_the_nearest_event(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    firing = _events(small.FAULTY, "trigger", "EmberFiring")[0]
    at = str((firing.time_us - 1_000_000) // 1_000_000)
    card = _explain(capsys, "--key", "web-1", "--at", at, "--events", str(log))
    assert card["id"] == firing.id


def test_a_silence_is_not_called_rare(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silent, back = _events(small.EVIL, "trigger", "EmberKeyStale")
    card = _explain(capsys, silent.id, "--events", str(log))
    assert card["rarity"] is None
    assert [other["id"] for other in card["related"]] == [back.id]
    assert main(["explain", silent.id, "--events", str(log)]) == 0
    assert "has fallen silent" in capsys.readouterr().out


def test_the_card_for_people(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    firing = _events(small.FAULTY, "trigger", "EmberFiring")[0]
    assert main(["explain", firing.id, "--events", str(log)]) == 0
    out = capsys.readouterr().out
    assert "TRIGGER FIRING  web-1" in out
    assert "bout one row in" in out
    assert "█" in out
    assert "expected" in out
    assert "← this one" in out
    assert "model small <fleet>, version 1" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "It is not clear which event is meant"),
        (["0123456789", "--key", "k", "--at", "1"], "It is not clear"),
        (["--key", "k"], "Received: --key"),
        (["abc"], "too short"),
        (["--key", "k", "--at", "yesterday"], "The time is not understood"),
        (["--key", "k", "--at", "7", "--time-unit", "fortnights"], "fortnights"),
    ],
)
def test_wrong_use_is_one_sentence(
    arguments: list[str], sentence: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *arguments, "--events", str(log)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ffffffffff00"], "No event has this id"),
        (["--key", "nobody", "--at", "2026-01-01"], "No event is of this key"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    arguments: list[str], sentence: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *arguments, "--events", str(log)]) == 1
    assert sentence in capsys.readouterr().err


def test_a_file_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.csv"
    other.write_text("ts,cpu\n1,2\n")
    assert main(["explain", "0123456789", "--events", str(other)]) == 1
    assert "line 1" in capsys.readouterr().err
    assert main(["explain", "0123456789", "--events", str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_no_control_character_reaches_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {
        "status": "firing",
        "labels": {"alertname": "EmberAnomaly"},
        "annotations": {"summary": "a\x1b[31mb"},
        "severity": 3.3,
        "threshold": 3.0,
        "top_channels": [{"name": "x\x07", "value": None, "expected": 1.0, "share": 0.5}],
    }
    path = tmp_path / "events.jsonl"
    line = {"id": "0123456789", "kind": "anomaly", "key": "k\x1b[0m", "body": body}
    path.write_text(json.dumps(line) + "\n")
    assert main(["explain", "0123456789", "--events", str(path)]) == 0
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert "missing" in out
