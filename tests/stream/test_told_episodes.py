"""Episodes that the service has told, read back as incidents of a history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ember_core.pipeline.fit import Incident
from stream.errors import UserError
from stream.event_times import parse_time
from stream.told_episodes import read_told_episodes, told_episodes

START, NEXT, END = (f"2026-01-31T{hour}:00:00Z" for hour in (10, 11, 12))
LAST = parse_time("2026-02-01T00:00:00Z")


def event(status: str = "firing", key: str = "web-1", **fields: Any) -> dict[str, Any]:
    body = {
        "status": status,
        "labels": {"alertname": "EmberFiring", "key": key},
        "annotations": {},
        "startsAt": START,
        "endsAt": END if status == "resolved" else None,
        "fingerprint": key,
        "window": {"start": START, "end": START},
    }
    return body | fields


def window(key: str, start: str, end: str) -> Incident:
    return Incident(key.encode(), parse_time(start), parse_time(end))


def test_an_episode_lasts_from_its_first_event_to_its_end() -> None:
    events = [
        event(),
        event(key="web-2"),
        event("updated", window={"start": NEXT, "end": NEXT}),
        event("resolved"),
        event("resolved", key="web-2", endsAt=NEXT),
    ]
    assert told_episodes(events, LAST) == [
        window("web-1", START, END),
        window("web-2", START, NEXT),
    ]


def test_an_open_episode_lasts_to_the_end_of_the_history() -> None:
    (open_one,) = told_episodes([event(), event("updated")], LAST)
    assert open_one.end_us == LAST
    (newer,) = told_episodes([event(window={"end": END})], parse_time(NEXT))
    assert newer.end_us == parse_time(END)


def test_it_begins_where_its_evidence_does() -> None:
    early = {"since": "2026-01-31T09:30:00Z"}
    (one,) = told_episodes([event(evidence=early), event("resolved")], LAST)
    assert one == window("web-1", early["since"], END)


@pytest.mark.parametrize("mark", ["false alarm", "false_alarm", "Normal"])
@pytest.mark.parametrize("place", ["", "labels", "annotations"])
def test_an_episode_that_somebody_called_usual_is_kept(mark: str, place: str) -> None:
    marked = event("resolved")
    (marked[place] if place else marked)["feedback"] = mark
    assert told_episodes([event(), marked, event(key="web-2")], LAST)[0].key == b"web-2"
    assert told_episodes([event("resolved", feedback="a fault")], LAST) != []


def test_two_episodes_of_a_key_are_two_windows() -> None:
    later = {"startsAt": NEXT, "window": {"end": NEXT}}
    events = [event(), event("resolved", endsAt=START), event(**later), event("resolved", **later)]
    assert len(told_episodes(events, LAST)) == 2


def test_anomalies_are_no_episodes() -> None:
    anomaly = event()
    anomaly["labels"]["alertname"] = "EmberAnomaly"
    assert told_episodes([anomaly], LAST) == []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda body: body,
        lambda body: {"id": "a", "kind": "trigger", "key": "web-1", "body": body},
        lambda body: {"topic": "t", "partition": 0, "offset": 1, "payload": json.dumps(body)},
        lambda body: {"topic": "t", "key": "web-1", "value": body},
    ],
)
def test_events_are_read_as_backtest_and_topic_write_them(tmp_path: Path, wrap: Any) -> None:
    path = tmp_path / "events.jsonl"
    lines = [json.dumps(wrap(body)) for body in (event(), event("resolved"))]
    path.write_text("\n\n".join(lines) + "\n")
    assert read_told_episodes(path, LAST) == [window("web-1", START, END)]


def test_tombstones_of_a_compacted_topic_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"topic": "t", "partition": 0, "offset": 3, "payload": null}\n')
    assert read_told_episodes(path, LAST) == []


@pytest.mark.parametrize("text", ["host,start,end\n", '{"key": "web-1"}\n', "[1]\n", "1\n"])
def test_another_file_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match="line 1"):
        read_told_episodes(path, LAST)
    with pytest.raises(UserError, match="No such file"):
        read_told_episodes(tmp_path / "none.jsonl", LAST)
