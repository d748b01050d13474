"""How long records may gather."""

from __future__ import annotations

import pytest

from stream.kafka.runtime.fetch_loop import GATHER_SECONDS, MANY, Pace


class Hand:
    """A clock set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("count", "pause"), [(0, 0.0), (1, GATHER_SECONDS), (MANY - 1, GATHER_SECONDS), (MANY, 0.0)]
)
def test_only_a_small_fetch_lets_records_gather(count, pause):
    """Neither the first record after a silence nor a backlog has to wait."""
    pace = Pace(Hand())
    assert pace.pause() == 0.0
    pace.taken(count)
    assert pace.pause() == pytest.approx(pause)


def test_what_the_step_took_counts():
    clock = Hand()
    pace = Pace(clock)
    pace.taken(5)
    clock.now += 0.6 * GATHER_SECONDS
    assert pace.pause() == pytest.approx(0.4 * GATHER_SECONDS)
    clock.now += GATHER_SECONDS
    assert pace.pause() == 0.0
