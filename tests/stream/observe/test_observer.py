"""Observer that updates metrics, health and logs."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import structlog
from prometheus_client.parser import text_string_to_metric_families

from stream.control import NO_CONTROL, ControlSet
from stream.control.files import parse
from stream.engine import StepResult
from stream.observe import Health, Metrics, ServiceObserver
from stream.records import Decoded, Event, Reason, Rejected

TP = ("telemetry", 3)


def test_a_phase_is_said_once_however_often_it_is_tried() -> None:
    """A broker that is down for a night does not fill the log."""
    health = Health(0.0)
    observer = ServiceObserver(Metrics(["telemetry"], process=False), health, clock=lambda: 7.0)
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            observer.phase("waiting", "no broker answers")
        observer.phase("joining", "group ember")
        observer.phase("waiting", "no broker answers")
    assert [line["phase"] for line in logs] == ["waiting", "joining", "waiting"]


def test_a_slice_reaches_everything_and_a_checkpoint_is_one_line() -> None:
    """One canonical line counts the messages, rows and events since the last one."""
    metrics, health = Metrics(["telemetry"], process=False), Health(0.0)
    observer = ServiceObserver(metrics, health, clock=lambda: 1.0, wall_clock=lambda: 2.0)
    decoded = Decoded(
        keys=[b"a", b"b"],
        time_us=np.array([1_000_000, 1_500_000]),
        values=np.zeros((2, 5)),
        message=np.array([0, 2], dtype=np.int32),
        rejected=[Rejected(1, Reason.NOT_JSON, ""), Rejected(3, Reason.NO_CHANNELS, "")],
    )
    result = StepResult(
        counts={"scored": 2, "not_json": 1, "no_channels": 1},
        rejected=decoded.rejected,
        events=[Event("anomaly", b"a", "1", 0, b"{}")],
        missing=4,
        scores=SimpleNamespace(
            score=np.array([31.0, -2.0], dtype=np.float32),
            severity=np.array([3.5, 0.1], dtype=np.float32),
            anomaly=np.array([True, False]),
        ),
    )
    observer.phase("running", "1 partition")
    observer.assigned([TP], [])
    observer.stepped([TP], decoded, result, 4, 0.01)
    observer.fetched(TP, 10, 14)
    observer.fetched(TP, 10, None)
    observer.loaded(TP, 1, 0, 0)
    observer.dead_letters("written", Reason.NOT_JSON, 1)
    with structlog.testing.capture_logs() as logs:
        observer.checkpointed("interval", 0.5, 0.1, 2)
        observer.checkpointed("interval", 0.5, 0.1, 0)
    assert [line["event"] for line in logs] == ["checkpoint"]
    assert logs[0]["lag"] == 4
    assert {key: logs[0][key] for key in ("messages", "rejected", "scored", "events", "rows")} == {
        "messages": 4,
        "rejected": 1,  # a record of other channels alone is nothing wrong
        "scored": 2,
        "events": 1,
        "rows": 2,
    }
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }
    assert values["ember_records_total", "telemetry"] == 4
    assert values["ember_missing_values_total", "telemetry"] == 4
    assert values["ember_consumer_lag_records", "3", "telemetry"] == 4
    assert values["ember_anomalies_total", "3"] == 1
    assert values["ember_commits_total",] == 2
    assert values["ember_score_bucket", "0.0", "telemetry"] == 1
    assert health.ready(2.0).ok
    assert not health.ready(100.0).ok


def test_a_time_that_was_refused_moves_no_gauge() -> None:
    """One clock ten years ahead would set the newest time of the topic for ten years."""
    metrics = Metrics(["telemetry"], process=False)
    observer = ServiceObserver(metrics, Health(0.0), clock=lambda: 1.0, wall_clock=lambda: 2.0)
    decoded = Decoded(
        keys=[b"a", b"b"],
        time_us=np.array([1_000_000, 315_360_000_000_000]),
        values=np.zeros((2, 5)),
        message=np.array([0, 1], dtype=np.int32),
        rejected=[],
    )
    result = StepResult(counts={"scored": 1, "future": 1})
    result.rejected = [Rejected(1, Reason.FUTURE, "")]
    observer.stepped([TP], decoded, result, 2, 0.01)
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }
    assert values["ember_last_event_timestamp_seconds"] == 1.0


def test_a_key_in_two_partitions_is_said_and_not_at_every_slice() -> None:
    now = 0.0
    observer = ServiceObserver(
        Metrics(["telemetry"], process=False), Health(0.0), clock=lambda: now
    )
    decoded = Decoded([], np.zeros(0, np.int64), np.zeros((0, 5)), np.zeros(0, np.int32), [])
    rejected = [Rejected(0, Reason.NOT_JSON, ""), Rejected(1, Reason.WRONG_PARTITION, "of 'a'")]
    result = StepResult(counts={"wrong_partition": 1}, rejected=rejected)
    with structlog.testing.capture_logs() as logs:
        for seconds in (10.0, 30.0, 69.0, 71.0):
            now = seconds
            observer.stepped([TP], decoded, result, 2, 0.01)
    assert [line["detail"] for line in logs] == ["of 'a'"] * 2


def test_a_rebalance_is_timed_from_what_it_interrupts() -> None:
    now = 10.0
    metrics = Metrics(["telemetry"], process=False)
    observer = ServiceObserver(metrics, Health(0.0), clock=lambda: now)
    for seconds, phase in (
        (10.0, "joining"),
        (11.0, "recovering"),
        (13.0, "running"),  # a start is no rebalance
        (20.0, "joining"),
        (21.5, "recovering"),
        (22.0, "recovering"),
        (24.0, "running"),
        (30.0, "joining"),
        (31.0, "stopping"),
    ):
        now = seconds
        observer.phase(phase, "")
    lines = metrics.render().decode().splitlines()
    assert 'ember_process_duration_seconds_count{stage="rebalance"} 1.0' in lines
    assert 'ember_process_duration_seconds_sum{stage="rebalance"} 4.0' in lines


def test_a_recovery_is_timed_from_its_first_word_to_running() -> None:
    """Progress is no new start, and only a completed recovery is timed."""
    now = 10.0
    metrics = Metrics(["telemetry"], process=False)
    observer = ServiceObserver(metrics, Health(0.0), clock=lambda: now)
    observer.phase("recovering", "partitions were assigned")
    now = 13.0
    observer.phase("recovering", "5 records to go")
    now = 17.5
    observer.phase("running", "")
    observer.phase("running", "")
    observer.phase("recovering", "again")
    observer.phase("stopping", "")
    lines = metrics.render().decode().splitlines()
    assert 'ember_process_duration_seconds_count{stage="recovery"} 1.0' in lines
    assert 'ember_process_duration_seconds_sum{stage="recovery"} 7.5' in lines


def observe(observer: ServiceObserver, keys: list[bytes], **result: object) -> list[dict]:
    """Log lines of a slice with one sample of each key."""
    n = len(keys)
    decoded = Decoded(keys, np.zeros(n, np.int64), np.zeros((n, 2)), np.arange(n, dtype="i4"), [])
    outcome = StepResult(counts={"scored": n}, **result)
    with structlog.testing.capture_logs() as logs:
        observer.stepped([TP], decoded, outcome, n, 0.01)
    return logs


def test_keys_that_are_all_unknown_are_told_once_with_what_differs() -> None:
    observer = ServiceObserver(Metrics(["telemetry"], process=False), Health(0.0))
    observer.use_model_keys([b"web-1", b"web-2"])
    keys = [b'"web-1"', b'"web-2"'] * 150
    logs = [line for _ in range(5) for line in observe(observer, keys)]
    assert [line["event"] for line in logs] == ["keys_unknown"]
    assert (logs[0]["records"], logs[0]["differs"], logs[0]["model_keys"]) == (1_200, "quotes", 2)
    assert "records have '\"web-1\"', the model 'web-1'" in logs[0]["detail"]
    observer.use_model_keys([b"web-7"])  # another model: asked again
    logs = [line for _ in range(5) for line in observe(observer, keys)]
    assert len(logs) == 1


def test_one_known_key_is_enough() -> None:
    observer = ServiceObserver(Metrics(["telemetry"], process=False), Health(0.0))
    observer.use_model_keys([b"web-1"])
    assert observe(observer, [b"new"] * 999 + [b"web-1"]) == []
    assert observe(observer, [b"new"] * 5_000) == []


def test_a_model_without_keys_is_not_asked() -> None:
    observer = ServiceObserver(Metrics(["telemetry"], process=False), Health(0.0))
    observer.use_model_keys([])
    assert observe(observer, [b"new"] * 5_000) == []


def test_channels_that_vanish_are_one_line_a_minute() -> None:
    now = [0.0]
    observer = ServiceObserver(
        Metrics(["telemetry"], process=False), Health(0.0), clock=lambda: now[0]
    )
    gone = [(b"web-1", "cpu"), (b"web-2", "cpu")]
    (line,) = observe(observer, [b"web-1"], gone=gone, missing_by_channel={"cpu": 3})
    assert (line["event"], line["key"], line["channel"]) == ("channel_missing", "'web-1'", "cpu")
    assert line["count"] == 2
    now[0] = 59.0
    assert observe(observer, [b"web-1"], gone=gone) == []
    now[0] = 61.0
    assert len(observe(observer, [b"web-1"], gone=gone)) == 1


def test_planned_rows_and_the_end_of_calendars_are_shown() -> None:
    metrics = Metrics(["telemetry"], process=False)
    observer = ServiceObserver(metrics, Health(0.0))
    observe(observer, [b"web-1"] * 5, planned=3, in_grace=2)
    text = "[[calendar]]\nname='a'\nzone='UTC'\nweekly=['sat 22:00-02:00']"
    observer.control_followed(
        ControlSet.of(parse(text, "x", "ada", "2026-11-30T12:00:00Z")), ignored=0
    )
    page = metrics.render().decode()
    assert 'ember_planned_rows_total{phase="planned"} 3.0' in page
    assert 'ember_planned_rows_total{phase="grace"} 2.0' in page
    until = datetime(2028, 1, 4, 12, tzinfo=UTC).timestamp()
    lines = page.splitlines()
    (line,) = (line for line in lines if line.startswith("ember_control_calendars_until"))
    assert float(line.split()[1]) == until
    observer.control_followed(NO_CONTROL, ignored=0)
    assert "ember_control_calendars_until_timestamp_seconds 0.0" in metrics.render().decode()
