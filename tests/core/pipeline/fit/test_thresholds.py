"""Pace of what is usual, and thresholds."""

from __future__ import annotations

import pytest

from ember_core.pipeline.fit.thresholds import Pace

HOUR, DAY = 3_600.0, 86_400.0


@pytest.mark.parametrize(
    ("periods", "interval", "half_life", "freeze"),
    [
        ((), 60.0, 10_080, 720),
        ((DAY,), 60.0, 10_080, 720),
        ((DAY, 7 * DAY), 300.0, 2_016, 144),
        ((DAY,), HOUR, 168, 12),
        ((HOUR,), 300.0, 84, 6),
        ((440.0,), 10.0, 308, 22),
        ((1_440.0,), 1.0, 10_080, 720),  # times that are mere record numbers
        ((7 * DAY,), HOUR, 168, 24),
    ],
)
def test_usual_moves_in_cycles_of_the_data(
    periods: tuple[float, ...], interval: float, half_life: int, freeze: int
) -> None:
    pace = Pace(periods, interval)
    assert (pace.half_life_rows, pace.freeze_rows) == (half_life, freeze)


@pytest.mark.parametrize("beat", [10.0, 30.7, 199.0])
def test_a_beat_is_no_pace(beat: float) -> None:
    """Else a fault of a minute, in rows of a second, would be learnt while it lasts."""
    assert Pace((beat,), 1.0).half_life_rows == Pace((), 1.0).half_life_rows
    assert Pace((beat,), 1.0).freeze_rows == Pace((), 1.0).freeze_rows
    assert Pace((beat, DAY), 1.0).half_life_rows == Pace((DAY,), 1.0).half_life_rows
