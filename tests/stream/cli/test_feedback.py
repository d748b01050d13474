"""`ember feedback` from the command line, with events and documents in files."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest

from stream import cli
from tests.stream.cli.test_rules import backtest, ember, folder, triggers

__all__ = ["folder"]  # a fixture


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("EMBER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_a_false_alarm_is_tried_in_a_backtest(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
) -> None:
    """The document has the channels and the side of the event; the repeat is gone with it."""
    assert ember(capsys, *backtest(folder, "--events", "e.jsonl"))[0] == 0
    events = [e for e in triggers(Path("e.jsonl")) if e["key"] == "a"]
    first = events[0]["id"]
    options = ("--events", "e.jsonl", "--toml", "--note", "a test run")
    code, out, err = ember(capsys, "feedback", first[:12], "false-alarm", *options)
    assert code == 0, err
    (table,) = tomllib.loads(out)["feedback"]
    assert (table["key"], table["topic"], table["verdict"]) == ("a", "telemetry", "false-alarm")
    assert table["above"] == ["heat"]
    assert "below" not in table
    assert table["time"] == events[0]["body"]["window"]["start"]
    peak = max(e["body"]["peak"] for e in events if e["body"]["startsAt"] == table["time"])
    assert table["excess"] == pytest.approx(peak - events[0]["body"]["threshold"], abs=1e-3)
    Path("marks.toml").write_text(out)
    code, out, err = ember(capsys, *backtest(folder, "--rules", "marks.toml", "--json"))
    assert code == 0, err
    changes = json.loads(out)["rules"]
    assert [(p["key"], *p["channels"]) for p in changes["gone"]] == [("a", "heat")] * 2
    assert changes["new"] == []
    ((name, acted),) = changes["rules"].items()
    assert (name, acted["gone"]) == (f"feedback/{first[:16]}", 2)


def test_normal_now_has_the_time_of_the_event(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
) -> None:
    """And a backtest ends the episode with that reason."""
    assert ember(capsys, *backtest(folder, "--events", "e.jsonl"))[0] == 0
    first = triggers(Path("e.jsonl"))[0]
    options = ("--events", "e.jsonl", "--toml")
    code, out, err = ember(capsys, "feedback", first["id"], "normal-now", *options)
    assert code == 0, err
    (table,) = tomllib.loads(out)["feedback"]
    assert (table["time"], table["key"]) == (first["body"]["window"]["start"], first["key"])
    # A minute later: the event itself is still told.
    later = table["time"][:-3] + "59Z"
    Path("marks.toml").write_text(out.replace(table["time"], later))
    more = ("--rules", "marks.toml", "--events", "n.jsonl")
    assert ember(capsys, *backtest(folder, *more))[0] == 0
    reasons = [e["body"]["reason"] for e in triggers(Path("n.jsonl")) if e["key"] == first["key"]]
    assert reasons[:2] == ["evidence", "normal_now"]


def test_real_is_a_label(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
) -> None:
    assert ember(capsys, *backtest(folder, "--events", "e.jsonl"))[0] == 0
    event = triggers(Path("e.jsonl"))[0]["id"]
    code, out, _ = ember(capsys, "feedback", event, "real", "--events", "e.jsonl", "--toml")
    assert code == 0
    (table,) = tomllib.loads(out)["feedback"]
    assert "above" not in table
    Path("marks.toml").write_text(out)
    code, out, _ = ember(capsys, *backtest(folder, "--rules", "marks.toml", "--json"))
    assert json.loads(out)["rules"]["gone"] == []


def test_wrong_use_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
) -> None:
    assert cli.main([str(a) for a in backtest(folder, "--events", "e.jsonl")]) == 0
    code, _, err = ember(capsys, "feedback", "ffffffff", "real", "--events", "e.jsonl", "--toml")
    assert code == 2
    assert "fits 0 events" in err
    event = triggers(Path("e.jsonl"))[0]["id"]
    code, _, err = ember(capsys, "feedback", event, "false-alarm", "--events", "e.jsonl")
    assert code != 0
    assert "control.enabled" in err
