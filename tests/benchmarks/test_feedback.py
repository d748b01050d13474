"""`python -m benchmarks feedback`: marks on generated telemetry."""

from __future__ import annotations

import argparse
import json

import pytest

from benchmarks import feedback, frame


def test_a_key_repeats_one_kind_and_has_far_and_near_faults_between() -> None:
    options = argparse.Namespace(keys=3, history=2.0, days=7.0, step=900.0)
    for place, series in enumerate(feedback.make(1, options).keys):
        repeats, between = series.events[::2], series.events[1::2]
        (kind,) = {f.kind for f in repeats}
        assert kind == feedback._repeated(place, 1)
        near = set(feedback._NEAR.get(kind, ()))
        assert near <= {f.kind for f in between}
        far = {c for f in between if f.kind not in near for c in f.channels}
        assert not {c for f in repeats for c in f.channels} & far
        assert not series.train[[f.first for f in series.events]].any()


def test_it_marks_in_two_ways_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--keys 2 --seeds 1 --epochs 1 --step 1800 --history 7 --days 7 --budget 5 --json"
    assert frame.main(["feedback", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["keys"] == 2
    for way in (feedback.TOGETHER, feedback.ONE_BY_ONE):
        total = result[way]["all"]
        assert total["keys"] <= 2
        for what in ("repeats", "others", "near"):
            for side in ("unmarked", "marked"):
                assert 0 <= total[f"{what}_{side}"] <= total[what]


def test_the_page_says_how_far_repeats_fall() -> None:
    count = {
        "keys": 1,
        "repeats": 9,
        "repeats_unmarked": 8,
        "repeats_marked": 1,
        "others": 7,
        "others_unmarked": 6,
        "others_marked": 6,
        "near": 5,
        "near_unmarked": 4,
        "near_marked": 3,
        "false_unmarked": 2,
        "false_marked": 1,
    }
    counts = {"spike": count, "all": count}
    text = feedback.part({"keys": 3, feedback.TOGETHER: counts, feedback.ONE_BY_ONE: counts})
    assert "| `spike` | 1 | 8 of 9 | 1 of 9 | 6 of 7 | 6 of 7 | 4 of 5 | 3 of 5 | 2 | 1 |" in text
    assert "(1 of 3 keys)" in text
    assert text.count("fall by 88%") == 2
    assert "Not measured" in feedback.part(None)
