"""Messages of the scores topic as lines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np

from stream.cli.score_lines import newest_records, score_line, score_records
from stream.scores import CHANNEL_COLUMNS, ROW_COLUMNS, ScoreBatch, encode

CHANNELS = ("load", "heat\x1b[2J")


def message(keys: list[bytes], threshold: float = 1.0) -> Any:
    """A message with a row of each key, as a consumer gives it."""
    n = len(keys)
    wide = {
        name: np.arange(2 * n, dtype=kind).reshape(n, 2) for name, kind in CHANNEL_COLUMNS.items()
    }
    wide["value"][0, 1] = wide["usual"][0, 1] = np.nan
    batch = ScoreBatch(
        topic="telemetry",
        partition=3,
        channels=CHANNELS,
        coverage=0.95,
        keys=keys,
        time_us=1_767_225_600_000_000 + 10_000_000 * np.arange(n),
        **{
            name: np.full(n, threshold if name == "threshold" else 1, dtype=kind)
            for name, kind in ROW_COLUMNS.items()
        },
        **wide,
    )
    body = encode(batch)
    return SimpleNamespace(
        value=lambda: body, topic=lambda: "telemetry.scores", partition=lambda: 3, offset=lambda: 7
    )


def test_every_row_is_a_record_that_json_can_hold() -> None:
    records = list(score_records(message([b"web-1", b"\xff", b"web-1"])))
    assert [record["key"] for record in records][::2] == ["web-1", "web-1"]
    first = msgspec.json.decode(msgspec.json.encode(records[0]))
    assert first["channels"]["load"]["value"] == 0.0
    assert first["channels"][CHANNELS[1]]["value"] is None
    assert (first["topic"], first["partition"], first["offset"]) == ("telemetry.scores", 3, 7)
    assert first["time"] == "2026-01-01T00:00:00Z"


def test_people_see_the_newest_row_of_each_key() -> None:
    records = list(newest_records(message([b"a", b"b", b"a"])))
    assert [(record["key"], record["time"][17:19]) for record in records] == [
        ("a", "20"),
        ("b", "10"),
    ]
    line = score_line(records[0]).plain
    assert "FIRING" in line
    assert "1.00 of 1.00" in line
    assert "load 4 (4 to 4)" in line
    assert "\x1b" not in line


def test_a_key_that_may_not_fire_yet_has_no_threshold() -> None:
    """JSON has no infinite numbers."""
    (record,) = score_records(message([b"a"], threshold=np.inf))
    assert msgspec.json.decode(msgspec.json.encode(record))["threshold"] is None
    assert "1.00 may not fire yet" in score_line(record).plain


def test_a_message_of_somebody_else_has_no_rows() -> None:
    foreign: Any = SimpleNamespace(value=lambda: b"{}")
    assert not list(score_records(foreign))
