"""Incidents of recorded triggers, as a backtest counts them."""

from __future__ import annotations

import random

from stream.correlation import Rules, replay, summarise
from tests.stream.correlation.fleet import START, trigger

DAY = 86_400.0


def test_recorded_triggers_give_the_incidents_of_the_service() -> None:
    triggers = [
        *((float(n), trigger(f"host-{n}", float(n))) for n in range(50)),
        *(
            (600.0 + n, trigger(f"host-{n}", float(n), status="resolved", until=600.0))
            for n in range(50)
        ),
        (3 * DAY, trigger("other", 3 * DAY)),
    ]
    messages = replay([(START + t, body) for t, body in triggers], Rules(), None)
    assert [message.body.status for message in messages if message.body.member_count > 1] == [
        "firing",
        "updated",
        "resolved",
    ]
    summary = summarise(messages, START, START + 4 * DAY)
    assert (summary.incidents, summary.pages) == (2, 2)
    assert summary.pages_per_day == 0.5
    assert messages[-1].time - START - 3 * DAY < 60.0


def test_a_budget_of_pages_is_kept_over_a_month() -> None:
    draw = random.Random(5)
    times = sorted(draw.uniform(0, 30 * DAY) for _ in range(600))
    triggers = []
    for n, time in enumerate(times):
        margin = draw.expovariate(2.3)
        channels = [f"c{n}"]
        triggers.append((time, trigger(f"k{n}", time, margin=margin, channels=channels)))
        end = trigger(f"k{n}", time, status="resolved", until=time + 900, channels=channels)
        triggers.append((time + 900, end))
    triggers.sort(key=lambda item: item[0])
    messages = replay([(START + t, body) for t, body in triggers], Rules(), 14.0)
    summary = summarise(messages, START, START + 30 * DAY)
    assert summary.incidents > 400
    assert 1.5 <= summary.pages_per_day <= 2.4
    rare = [m.body for m in messages if m.body.status == "firing" and m.body.severity > 2.5]
    assert rare
    assert sum(body.page for body in rare) >= 0.8 * len(rare)


def test_no_triggers_are_no_incidents() -> None:
    assert replay([], Rules(), 14.0) == []
    assert summarise([], 0.0, 0.0).pages == 0
