"""`python -m benchmarks pages`: outcomes of faults under a budget for the whole fleet."""

from __future__ import annotations

import numpy as np

from benchmarks import fleet_budget
from benchmarks.paging.fleet import Fault, Fleet, KeySeries
from stream.correlation import IncidentBody, Told, read_incident
from stream.records import rfc3339

DAY = 86_400.0
STEP, ROWS, TRAIN = 300.0, 1000, 200
BEGIN = 1_700_000_000.0


def at(row: int) -> float:
    return BEGIN + row * STEP


def fleet(*faults: tuple[int, int]) -> Fleet:
    """One key with faults of these rows."""
    times = np.asarray([round(at(row) * 1e6) for row in range(ROWS)])
    events = tuple(Fault("spike", "a", first, last, ("cpu",)) for first, last in faults)
    series = KeySeries("a", times, np.zeros((ROWS, 1)), np.arange(ROWS) < TRAIN, events, "web")
    return Fleet("one", 1, STEP, ("cpu",), (series,), "UTC", ())


def told(incident: str, row: int, later: float, *, page: bool) -> Told:
    """A message about an incident of the key that begins at a row, so many seconds later."""
    body: IncidentBody | None = read_incident(
        b'{"status":"firing","labels":{"incident":"%s"},"annotations":{},"startsAt":"","fingerprint'
        b'":"f","severity":1.0,"severity_class":"info","page":%s,"reason":"evidence","member_count"'
        b':1,"firing_count":1,"members":[{"key":"a","alert":"EmberFiring","since":"%s","margin":1.0'
        b'}],"top_channels":[],"common_labels":{},"latest":"","is_storm":false,"number":1}'
        % (incident.encode(), str(page).lower().encode(), rfc3339(round(at(row) * 1e6)).encode())
    )
    assert body is not None
    return Told(at(row) + later, body)


def test_a_fault_is_paged_promptly_late_in_the_digest_or_not_at_all() -> None:
    messages = [
        told("prompt", 300, 30.0, page=True),
        told("late", 400, 30.0, page=False),
        told("late", 400, 3_600.0, page=True),  # it has grown
        told("digest", 501, 30.0, page=False),
        told("false", 700, 30.0, page=True),
    ]
    found = fleet_budget.figures(fleet((300, 310), (400, 410), (500, 510), (600, 610)), messages)
    assert [found[name] for name in fleet_budget.OUTCOMES] == [1, 1, 1, 1]
    assert (found["faults"], found["incidents"], found["pages"]) == (4, 4, 3)
    assert (found["at_no_fault"], found["worst_week"]) == (1, 3)
    assert found["pages_per_day"] == 3 / ((ROWS - 1 - TRAIN) * STEP / DAY)


def test_the_page_sums_the_fleets() -> None:
    ways = {
        name: {
            "incidents": 40, "pages": 30, "pages_per_day": 1.5, "worst_week": 12, "at_no_fault": 2,
            "faults": 50, "prompt": 10, "late": 20, "digest": 5, "untold": 15,
        }
        for name in ("every incident", "budget")
    }  # fmt: skip
    text = fleet_budget.part({"fleets": [{"seed": 1, "ways": ways}, {"seed": 2, "ways": ways}]})
    assert "| budget | 1.5 | 12 | 20 of 100 | 40 | 10 | 30 | 4 |" in text
    assert "Not measured" in fleet_budget.part(None)
