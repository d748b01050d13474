"""Usual pauses of keys: the shortest of the three longest, which fade."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import Pauses, note_pauses, usual_pause
from ember_core.pipeline.pauses import HALF_LIFE_US, KEPT_PAUSES, pauses_in

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR


def none(keys: int = 1) -> Pauses:
    return Pauses(np.zeros((keys, KEPT_PAUSES), np.float32), np.zeros(keys, np.int64))


def after(*pauses: tuple[float, float]) -> Pauses:
    """Pauses of so many hours that end after so many hours."""
    result = none()
    for end, length in pauses:
        times = (np.array([int(hours * HOUR)]) for hours in (end, length))
        result = note_pauses(result, *times)
    return result


def usual_hours(pauses: Pauses, hours: float) -> float:
    return float(usual_pause(pauses, np.array([int(hours * HOUR)]))[0]) / 3_600


def test_what_has_happened_three_times_is_usual() -> None:
    assert usual_hours(after((8, 8), (32, 8)), 32) == 0.0
    assert usual_hours(after((8, 8), (32, 8), (56, 8)), 56) == pytest.approx(8, rel=0.1)


def test_an_outage_among_usual_pauses_is_not_usual() -> None:
    nights = [(24.0 * day, 8.0) for day in range(1, 8)]
    assert usual_hours(after(*nights, (240.0, 48.0)), 240) == pytest.approx(8, rel=0.25)


def test_pauses_fade_when_they_do_not_recur() -> None:
    nights = after(*((24.0 * day, 8.0) for day in range(1, 8)))
    begin, half_life = usual_hours(nights, 168), HALF_LIFE_US / HOUR
    assert usual_hours(nights, 168 + half_life) == pytest.approx(begin / 2)
    assert usual_hours(nights, 168 + 1.5 * half_life) == pytest.approx(begin * 0.375)
    assert usual_hours(nights, 168 + 5 * half_life) == pytest.approx(begin / 32)
    assert usual_hours(nights, 1e9) == 0.0


def test_keys_without_a_pause_stay_as_they_are() -> None:
    before = Pauses(np.full((2, KEPT_PAUSES), 7, np.float32), np.array([HOUR, HOUR]))
    later = note_pauses(before, np.array([DAY, DAY]), np.array([0, HOUR]))
    assert later.longest[0].tolist() == [7, 7, 7]
    assert later.time_us.tolist() == [HOUR, DAY]
    assert later.longest[1, 0] == 3_600


def test_a_history_has_the_pauses_of_its_keys() -> None:
    minutes = np.arange(0, 10 * DAY, 60 * SECOND)
    nightly = minutes[minutes % DAY > 8 * HOUR]
    once = minutes[(minutes < 2 * DAY) | (minutes > 3 * DAY)]
    found = pauses_in([nightly, once, minutes, minutes[:1]])
    assert found is not None
    usual = usual_pause(found, np.full(4, 10 * DAY)) / 3_600
    assert usual[0] == pytest.approx(8, rel=0.15)
    assert usual[1:].tolist() == [0.0, 0.0, 0.0]
    assert pauses_in([minutes, once]) is None
