"""The cost of a record by the rate of events."""

from __future__ import annotations

import json

from benchmarks import events, frame


def test_events_gives_the_cost_by_rate(capsys):
    words = "--json --keys 30 --channels 3 --kinds 5 --rows 300 --turns 3"
    assert frame.main(["events", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    rates = result["events_per_1000"]
    assert list(rates) == list(result["microseconds_per_record"]) == list(events.RATES)
    assert rates["a storm"] > 500 > rates["none"]
    assert "an event of a storm" in events.page(result)
