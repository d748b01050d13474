"""One reading contract: what training accepts in a file, the stream accepts in a record."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.prove.reading import check, make_case


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(random=st.randoms(use_true_random=False))
def test_rows_of_training_are_the_samples_of_the_stream(random: Random, tmp_path: Path) -> None:
    check(make_case(random), tmp_path)


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
