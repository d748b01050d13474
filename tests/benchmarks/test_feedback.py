"""`python -m benchmarks feedback`: marks on generated telemetry."""

from __future__ import annotations

import argparse
import json

import pytest

from benchmarks import feedback, frame


def test_a_key_repeats_one_kind_and_has_others_in_other_channels() -> None:
    options = argparse.Namespace(keys=3, history=2.0, days=5.0, step=900.0)
    for series in feedback.make(1, options).keys:
        repeats = series.events[::2]
        assert len({f.kind for f in repeats}) == 1
        assert not {c for f in repeats for c in f.channels} & {
            c for f in series.events[1::2] for c in f.channels
        }
        assert not series.train[[f.first for f in series.events]].any()


def test_it_marks_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--keys 2 --seeds 1 --epochs 1 --step 1800 --history 7 --days 7 --budget 5 --json"
    assert frame.main(["feedback", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    total = result["total"]
    assert total["keys"] == 2
    for what in ("repeats", "others"):
        for side in ("unmarked", "marked"):
            assert 0 <= total[f"{what}_{side}"] <= total[what]


def test_the_page_says_how_far_repeats_fall() -> None:
    count = {
        "repeats": 9,
        "repeats_unmarked": 8,
        "repeats_marked": 1,
        "others": 7,
        "others_unmarked": 6,
        "others_marked": 6,
        "false_unmarked": 2,
        "false_marked": 1,
    }
    result = {"kinds": {"spike": count}, "total": {**count, "keys": 3, "keys_marked": 1}}
    text = feedback.part(result)
    assert "| `spike` | 8 of 9 | 1 of 9 | 6 of 7 | 6 of 7 | 2 | 1 |" in text
    assert "1 of 3 keys had 3 pages" in text
    assert "fall by 88%" in text
    assert "Not measured" in feedback.part(None)
