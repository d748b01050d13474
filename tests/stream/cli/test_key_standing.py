"""What `ember state show` says about a key in words."""

from __future__ import annotations

import pytest

from stream.cli.key_standing import standing

THRESHOLDS = {"warmup_score": 500.0, "warmup_alarm": 2_000.0, "quiet_rows": 128.0, "max_gap": 10.0}


def test_a_key_is_warming_quiet_or_warm():
    def first(rows: int, known: int) -> str:
        return standing({"rows": rows, "known": known}, (), THRESHOLDS)[0]

    assert "quiet until row 128: 30 rows so far" in first(30, 1)
    assert first(128, 1) == "Known to the model; scored, and may fire."
    assert "warms up until row 500, and may fire after row 2,000" in first(30, 0)
    assert "may not fire before row 2,000: 500 rows so far" in first(500, 0)
    assert first(2_000, 0) == "Unknown to the model, and warm; scored, and may fire."


def test_thresholds_are_those_of_the_model_in_use():
    assert "until row 7" in standing({"rows": 3, "known": 1}, (), {"quiet_rows": 7.0})[0]


@pytest.mark.parametrize("stale", [1, 2])
def test_missing_channels_and_open_alerts_are_named(stale):
    fields = {
        "rows": 3_000,
        "known": 1,
        "stale": stale,
        "firing": 1,
        "episode_rows": 12,
        "channel_gone": [0, 1, 0, 0],
        "missing_rows": [0, 41, 0, 11],
        "usual_gap": [8, 8, 0, 100],
        "age": [0.0, 41.0, 3_000.0, 11.0],
    }
    assert standing(fields, ("load", "heat", "flow", "fan"), THRESHOLDS)[1:] == [
        "Idle: it has stopped sending.",
        "Firing, for 12 rows.",
        "Channel heat is missing, for 41 rows.",
        "Never came: flow.",
        "Not carried forward any more, and taken at its mean: fan.",
    ]


def test_open_limits_are_named():
    fields = {"rows": 9, "limit_open": [[0, 1_767_225_600_000_000], [0, 0]]}
    sentences = standing(fields, ("cpu", "disk"), {})
    assert "Channel disk is above its limit, since 2026-01-01T00:00:00Z." in sentences
