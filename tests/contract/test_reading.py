"""One reading contract: what training accepts in a file, the stream accepts in a record."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ember_core.data.sources import DataOptions
from tests.prove.reading import Case, check, make_case


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(random=st.randoms(use_true_random=False))
def test_rows_of_training_are_the_samples_of_the_stream(random: Random, tmp_path: Path) -> None:
    check(make_case(random), tmp_path)


@pytest.mark.parametrize("name", ["nested.jsonl", "bool.jsonl", "kcat.jsonl"])
def test_recorded_files_are_read_alike(name: str, shared_cases: Path, tmp_path: Path) -> None:
    lines = (shared_cases / name).read_text(encoding="utf-8").splitlines()
    counts = check(Case(lines, name.startswith("kcat"), DataOptions(time="ts")), tmp_path)
    assert counts["rows"] == 1_500


def test_a_nested_record_has_the_same_channels_on_the_stream(tmp_path: Path) -> None:
    line = '{"ts": "2026-01-05T00:00:00Z", "env": {"temp": 21.0, "hum": 53.8}, "pres": 1013.0}'
    assert check(Case([line, line], False, DataOptions(time="ts")), tmp_path)["values"] == 6
    line = '{"ts": 1767571200, "values": {"temp": 21.5, "door_open": true, "cores": [1, "2"]}}'
    assert check(Case([line], False, DataOptions(time="ts")), tmp_path)["values"] == 4


def test_the_comparison_sees_another_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not blind: a stream with another decimal sign reads other values."""
    cases = [make_case(Random(seed)) for seed in range(40)]
    cases = [case for case in cases if case.options.decimal == ","]
    for case in cases:
        check(case, tmp_path)
    monkeypatch.setattr("tests.prove.reading.make_codec", _with_a_point, raising=True)
    refuted = 0
    for case in cases:
        try:
            check(case, tmp_path)
        except AssertionError:
            refuted += 1
    assert refuted > 0


def _with_a_point(name: str, channels: tuple[str, ...], **options: object) -> object:
    from stream.codecs import make_codec

    return make_codec(name, channels, **{**options, "decimal": "."})  # type: ignore[arg-type]
