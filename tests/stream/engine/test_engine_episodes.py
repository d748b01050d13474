"""Warm-up, anomalies and episodes of a key."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ember_core.pipeline import FleetModel
from stream.engine import Limits
from stream.records import fingerprint, rfc3339
from tests.stream.engine.conftest import (
    CHANNELS,
    INTERVAL,
    KNOWN,
    SECOND,
    START,
    TP,
    body_of,
    fit,
    interleaved,
    rows_of,
    run,
    signal,
)


def at(i: int) -> int:
    return START + i * INTERVAL * SECOND


def test_a_known_key_is_scored_from_its_first_row_and_alarms_without_warm_up(
    model: FleetModel,
) -> None:
    """At the latest when its windows have filled, long before a new key would."""
    values = signal(80, 3, 0)
    values[70:] += 200.0
    done = run(model, rows_of(b"a", values))
    assert len(done.scores[b"a"]) == 80
    assert done.counts() == {"scored": 80}
    assert any(e.kind == "anomaly" and e.time_us == at(70) for e in done.events)
    assert [b["status"] for b in done.triggers(b"a")] == ["firing"]
    new = run(model, rows_of(b"new", values))
    assert not [e for e in new.events if e.time_us <= at(70)]


def test_a_new_key_is_silent_until_it_is_warm(touchy: FleetModel) -> None:
    """No score for `warmup_score` rows, no event for `warmup_alarm`, however touchy the model."""
    touchy.configure(anomaly_severity=0.3)
    config = touchy.pipeline.config
    quiet, dumb = config.warmup_score, config.warmup_alarm
    rows = dumb + 40
    done = run(touchy, rows_of(b"new", signal(rows, 3, 0)))
    scores = done.scores[b"new"]
    assert [s[0] for s in scores] == [at(i) for i in range(quiet, rows)]
    assert done.counts() == {"warming": quiet, "scored": rows - quiet}
    improbable = [s[0] for s in scores if s[3] >= 0.3]
    assert improbable[0] < at(dumb)
    told = [e.time_us for e in done.events if e.kind == "anomaly"]
    assert told == [t for t in improbable if t >= at(dumb)]
    assert all(e.time_us >= at(dumb) for e in done.events)
    assert not any(s[4] or s[5] for s in scores[: dumb - quiet])


def test_a_warm_new_key_alarms(model: FleetModel) -> None:
    values = signal(140, 3, 0)
    values[120:] += 300.0
    done = run(model, rows_of(b"new", values))
    fired = [b for b in done.triggers(b"new") if b["status"] == "firing"]
    assert fired
    assert any(s[4] for s in done.scores[b"new"][-20:])


def test_events_of_a_new_key_say_how_sure_it_is(model: FleetModel) -> None:
    """Those of a known one say nothing, and have the bytes that they had."""
    values = signal(140, 3, 0)
    values[120:] += 300.0
    table = np.asarray(model.pipeline.arrival.confidence)[:, 0]
    assert table[0] < 1, "else it shows nothing"
    new = run(model, rows_of(b"new", values))
    told = [json.loads(e.body).get("confidence") for e in new.events]
    shares = {round(float(share), 3) for share in table} - {1.0}
    assert told
    assert set(told) <= shares | {None}
    assert told[0] in shares
    known = run(model, rows_of(b"a", values))
    assert known.events
    assert not any(b"confidence" in e.body for e in known.events)


def test_episodes_alternate_and_respect_the_refractory_rows(touchy: FleetModel) -> None:
    """Exactly one firing, one resolved, in turn; thresholds by hysteresis."""
    rest = touchy.pipeline.motor.refractory_rows
    feed = interleaved(*(rows_of(k, signal(800, 3, n)) for n, k in enumerate(KNOWN)))
    done = run(touchy, feed, [333, len(feed)], limits=Limits(max_keys=8, stale_intervals=0))
    episodes = 0
    for key in KNOWN:
        said = [b["status"] for b in done.triggers(key)]
        assert said == (["firing", "resolved"] * len(said))[: len(said)]
        episodes += len(said) // 2
        marks = np.array([s[5] for s in done.scores[key]])
        assert [m for m in marks if m] == [1 if s == "firing" else -1 for s in said]
        fires, resolves = np.flatnonzero(marks > 0), np.flatnonzero(marks < 0)
        gaps = fires[1 : resolves.size + 1] - resolves[: fires.size - 1]
        assert (gaps > rest).all()
        evidence, leak = 0.0, 1.0 - np.exp(-1.0 / touchy.pipeline.motor.time_constant_rows)
        motor, open_now = touchy.pipeline.motor, False
        for severity, mark in zip([s[3] for s in done.scores[key]], marks, strict=True):
            evidence += leak * (severity - evidence)
            assert mark != 1 or evidence >= motor.on - 1e-4
            assert mark != -1 or evidence < motor.off + 1e-4
            if open_now and not mark:
                assert evidence >= motor.off - 1e-4  # still open
            open_now = (open_now or mark > 0) and mark >= 0
    assert episodes >= 6


def test_resolved_tells_of_the_whole_episode(touchy: FleetModel) -> None:
    """Its start, its rows, its peak, and the channels of the peak."""
    done = run(touchy, rows_of(b"a", signal(500, 3, 0)))
    said = done.triggers(b"a")
    scores = {rfc3339(s[0]): (i, s) for i, s in enumerate(done.scores[b"a"])}
    assert len(said) >= 4
    for fired, resolved in zip(said[::2], said[1::2], strict=False):
        assert resolved["startsAt"] == fired["startsAt"] == fired["window"]["start"]
        assert resolved["fingerprint"] == fired["fingerprint"] == fingerprint(fired["labels"])
        begin, end = scores[fired["startsAt"]][0], scores[resolved["endsAt"]][0]
        assert resolved["rows"] == end - begin + 1
        inside = [s for _, s in list(scores.values())[begin : end + 1]]
        assert resolved["peak"] == max(s[3] for s in inside)
        assert fired["peak"] == fired["severity"]
        assert (fired["threshold"], resolved["threshold"]) == (
            touchy.pipeline.motor.on,
            touchy.pipeline.motor.off,
        )
        if resolved["peak"] == fired["peak"]:
            for then, now in zip(resolved["top_channels"], fired["top_channels"], strict=True):
                assert then.pop("share") == pytest.approx(now.pop("share"), rel=1e-6)
                assert then == now


def test_an_anomaly_is_a_row_whose_severity_reaches_the_setting(bundle: Path) -> None:
    model = FleetModel.load(bundle, backend="numpy").configure(anomaly_severity=1.25)
    done = run(model, rows_of(b"a", signal(300, 3, 0)))
    scores = [s for s in done.scores[b"a"] if s[0] >= at(70)]  # its windows are full
    expected = [s[0] for s in scores if s[3] >= 1.25]
    assert 0 < len(expected) < 200
    assert [s[0] for s in scores if s[4]] == expected
    told = [e for e in done.events if e.kind == "anomaly" and e.time_us >= at(70)]
    bodies = [body_of(e) for e in told]
    assert [b["startsAt"] for b in bodies] == [rfc3339(t) for t in expected]
    for body, (_, score, p, severity, *_rest) in zip(
        bodies, (s for s in scores if s[4]), strict=True
    ):
        assert (body["score"], body["severity"]) == (score, severity)
        assert body["probability"] == pytest.approx(p) == pytest.approx(10.0**-severity)
        assert (body["status"], body["threshold"]) == ("firing", 1.25)


def test_a_lower_budget_fires_less(bundle: Path) -> None:
    """On the same rows, and never where the higher budget keeps quiet altogether."""
    feed = interleaved(*(rows_of(k, signal(400, 3, n)) for n, k in enumerate(KNOWN)))
    fired = []
    for budget in (1e6, 1.0, 0.01):
        model = FleetModel.load(bundle, backend="numpy").configure(budget_per_week=budget)
        done = run(model, feed, limits=Limits(max_keys=8, stale_intervals=0))
        fired.append(len([b for b in done.triggers() if b["status"] == "firing"]))
    assert fired[0] > fired[1] >= fired[2]


@pytest.mark.parametrize("channel", range(3))
def test_the_explanation_names_the_channel_that_was_broken(model: FleetModel, channel: int) -> None:
    """With what was seen, about what was expected, and the direction."""
    values = signal(90, 3, 0)
    usual = values[:, channel].mean()
    values[80, channel] += 90.0
    done = run(model, rows_of(b"a", values))
    (body,) = (body_of(e) for e in done.events if e.kind == "anomaly" and e.time_us == at(80))
    top = body["top_channels"][0]
    assert top["name"] == CHANNELS[channel]
    assert top["value"] == values[80, channel]
    assert abs(top["expected"] - usual) < 45.0
    assert top["direction"] == "above"
    assert top["share"] > 0.5
    assert CHANNELS[channel] in body["annotations"]["summary"]


def test_a_missing_value_is_told_as_missing(model: FleetModel) -> None:
    values = signal(90, 3, 0)
    values[80] += 90.0
    values[80, 2] = np.nan
    done = run(model, rows_of(b"a", values))
    (body,) = (body_of(e) for e in done.events if e.kind == "anomaly" and e.time_us == at(80))
    (top,) = (c for c in body["top_channels"] if c["name"] == CHANNELS[2])
    assert top["value"] is None
    assert top["expected"] is not None


def test_five_channels_are_shown_by_falling_share() -> None:
    """Of eleven; what they leave is the others' part."""
    names = tuple(f"c{i}" for i in range(11))
    model = fit((b"a",), names, rows=150)
    values = signal(90, 11, 0)
    values[80:83, 7] += 90.0
    done = run(model, rows_of(b"a", values))
    bodies = [body_of(e) for e in done.events if e.kind == "anomaly"]
    assert bodies
    for body in bodies:
        shares = [c["share"] for c in body["top_channels"]]
        assert len(shares) == 5
        assert shares == sorted(shares, reverse=True)
        assert min(shares) >= 0.0
        assert sum(shares) <= 1.0 + 1e-9
    (hit,) = (b for b in bodies if b["startsAt"] == rfc3339(at(80)))
    assert hit["top_channels"][0]["name"] == "c7"


def test_the_body_names_nothing_of_the_worker(model: FleetModel) -> None:
    """No offset, partition or instance: another worker sends the same bytes under the same id."""
    values = signal(90, 3, 0)
    values[75:] += 90.0
    one = run(model, rows_of(b"a", values))
    other = run(model, rows_of(b"zz", signal(3, 3, 4), START - 10**9) + rows_of(b"a", values))
    assert one.events
    assert [e for e in other.events if e.key == b"a"] == one.events
    body = body_of(one.events[0])
    assert body["labels"] == {"alertname": "EmberAnomaly", "key": "a", "topic": TP[0]}
    assert body["model"] == {"name": "model", "version": "1", "sha256": model.sha256}


def test_a_key_that_is_no_text_has_events(model: FleetModel) -> None:
    """Bytes are shown escaped; the event's own key stays as it is."""
    known = b"\xff\x00"
    values = signal(160, 3, 0)
    values[150:] += 500.0
    done = run(model, rows_of(known, values))
    assert {e.key for e in done.events} == {known}
    assert body_of(done.events[0])["labels"]["key"] == r"\xff\x00"
