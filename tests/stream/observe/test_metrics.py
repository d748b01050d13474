"""Names, zeros and batch updates of the catalogue."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.observe.metrics import Metrics
from stream.records import Event, Reason


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return all exposed samples: (name, sorted labels) -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, tuple(sorted(labels.items()))]


def consume(metrics: Metrics, **changes: Any) -> None:
    options: dict[str, Any] = {
        "messages": 5,
        "counts": {"scored": 3, "not_json": 2},
        "time_us": np.array([1_000_000, 3_000_000, 2_000_000]),
        "now_seconds": 3.1,
        "seconds": 0.002,
    }
    metrics.consumed("telemetry", **{**options, **changes})


def test_known_labels_are_zeros_before_anything_happens() -> None:
    """`rate()` and alerts need the series to exist."""
    values = samples(Metrics(["telemetry"], process=False))
    for reason in set(Reason) - {Reason.NO_CHANNELS}:
        labels = (("reason", reason.value), ("topic", "telemetry"))
        assert values["ember_records_rejected_total", labels] == 0
    ignored = (("outcome", "no_channels"), ("topic", "telemetry"))
    assert values["ember_record_outcomes_total", ignored] == 0
    for name in ("ember_records_total", "ember_event_delay_seconds_count", "ember_severity_sum"):
        assert values[name, (("topic", "telemetry"),)] == 0
    assert values["ember_commits_total", ()] == 0
    assert values["ember_alarmed_keys", (("reason", "stale"),)] == 0
    for stage in ("decode", "engine", "step", "checkpoint", "checkpoint_stall", "recovery"):
        assert values["ember_process_duration_seconds_count", (("stage", stage),)] == 0
    top_channel = (("channel", "other"), ("kind", "trigger"))
    assert values["ember_top_channels_total", top_channel] == 0
    assert values["ember_triggers_total", (("reason", "stale"), ("status", "firing"))] == 0


def test_bad_values_are_counted_by_channel_and_reason() -> None:
    """The first channels have series of their own, the others share one."""
    metrics = Metrics(["telemetry"], process=False)
    metrics.bad_values("telemetry", {(f"c{i}", "wrong_type"): 2 for i in range(60)})
    counts = {
        dict(labels)["channel"]: number
        for (name, labels), number in samples(metrics).items()
        if name == "ember_bad_values_total" and dict(labels)["reason"] == "wrong_type"
    }
    assert counts["c0"] == 2
    assert counts["other"] == 20
    assert len(counts) == 51


def test_a_fetch_is_one_update() -> None:
    """Outcomes and reasons have their counters, delays their buckets; the newest time stays."""
    metrics = Metrics(["telemetry"], process=False)
    consume(metrics)
    consume(metrics, time_us=np.array([], dtype=np.int64), counts={})
    consume(metrics, time_us=np.array([500_000]), counts={}, now_seconds=0.55)
    topic = {"topic": "telemetry"}
    assert value(metrics, "ember_records_total", **topic) == 15
    assert value(metrics, "ember_samples_total", **topic) == 4
    assert value(metrics, "ember_record_outcomes_total", outcome="scored", **topic) == 3
    assert value(metrics, "ember_records_rejected_total", reason="not_json", **topic) == 2
    assert value(metrics, "ember_last_event_timestamp_seconds", **topic) == 3.0
    delay = "ember_event_delay_seconds"
    assert value(metrics, f"{delay}_count", **topic) == 4
    assert value(metrics, f"{delay}_sum", **topic) == pytest.approx(0.1 + 2.1 + 1.1 + 0.05)
    assert value(metrics, f"{delay}_bucket", le="0.2", **topic) == 2
    assert value(metrics, f"{delay}_bucket", le="5.0", **topic) == 4
    assert value(metrics, f"{delay}_bucket", le="+Inf", **topic) == 4


def test_a_bucket_holds_its_own_edge() -> None:
    """Prometheus' `le`: less or equal."""
    metrics = Metrics(["telemetry"], process=False)
    severity = np.array([3.0, 3.01, 12.5])
    metrics.scored("telemetry", np.array([-7.0, 20.0, 1e6]), severity, np.full(3, True))
    assert value(metrics, "ember_severity_bucket", le="2.0", topic="telemetry") == 0
    assert value(metrics, "ember_severity_bucket", le="3.0", topic="telemetry") == 1
    assert value(metrics, "ember_severity_bucket", le="4.0", topic="telemetry") == 2
    assert value(metrics, "ember_severity_bucket", le="12.0", topic="telemetry") == 2
    assert value(metrics, "ember_anomalies_total", severity="3") == 2
    assert value(metrics, "ember_anomalies_total", severity="12") == 1
    assert value(metrics, "ember_windows_scored_total", topic="telemetry") == 3
    for edge, count in (("-10.0", 0), ("-5.0", 1), ("20.0", 2), ("10000.0", 2), ("+Inf", 3)):
        assert value(metrics, "ember_score_bucket", le=edge, topic="telemetry") == count


def test_the_threshold_is_an_edge_of_the_severity() -> None:
    """The share of rows above the threshold can be read off, whatever the setting."""
    metrics = Metrics(["telemetry"], threshold=2.7, process=False)
    metrics.scored("telemetry", np.zeros(2), np.array([2.7, 2.8]), np.array([True, True]))
    assert value(metrics, "ember_severity_bucket", le="2.7", topic="telemetry") == 1
    assert value(metrics, "ember_severity_bucket", le="3.0", topic="telemetry") == 2


def test_messages_of_the_scores_topic_are_counted() -> None:
    """Rows and bytes, so that their size can be foreseen for more keys."""
    metrics = Metrics(["telemetry"], process=False)
    assert value(metrics, "ember_scores_rows_total") == 0
    metrics.scores(13, 1_700)
    metrics.scores(4, 500)
    assert value(metrics, "ember_scores_rows_total") == 17
    assert value(metrics, "ember_scores_bytes_total") == 2_200


def test_triggers_are_counted_by_what_they_say() -> None:
    """Status, reason and duration are read from the body."""
    metrics = Metrics(["telemetry"], process=False)
    firing = b'{"status":"firing","reason":"evidence","startsAt":"2026-01-31T00:00:00Z","peak":1}'
    resolved = (
        b'{"status":"resolved","reason":"stale","startsAt":"2026-01-31T00:00:00Z",'
        b'"endsAt":"2026-01-31T00:01:00.500000Z"}'
    )
    metrics.emitted([Event("trigger", b"k", "1", 0, body) for body in (firing, resolved)])
    assert value(metrics, "ember_triggers_total", status="firing", reason="evidence") == 1
    assert value(metrics, "ember_triggers_total", status="resolved", reason="stale") == 1
    assert value(metrics, "ember_episode_duration_seconds_sum") == 60.5
    assert value(metrics, "ember_episode_duration_seconds_bucket", le="60.0") == 0
    assert value(metrics, "ember_episode_duration_seconds_bucket", le="300.0") == 1


def test_channels_are_counted_within_a_bound() -> None:
    """The channel with the largest share counts; those beyond fifty are `other`."""
    metrics = Metrics(["telemetry"], channels=[f"c{n}" for n in range(53)], process=False)
    body = b'{"status":"firing","top_channels":[{"name":"%s","share":1},{"name":"c2"}]}'
    for kind in ("anomaly", "trigger"):
        metrics.emitted([Event(kind, b"k", "1", 0, body % name) for name in (b"c7", b"c51", b"?")])
    name = "ember_top_channels_total"
    assert value(metrics, name, kind="anomaly", channel="c7") == 1
    assert value(metrics, name, kind="trigger", channel="other") == 2
    assert sum(1 for sample_name, _ in samples(metrics) if sample_name == name) == 2 * 51


def test_lag_is_shown_for_partitions_held_and_no_others() -> None:
    """A revoked partition's lag disappears, also when a late update comes."""
    metrics = Metrics(["telemetry"], process=False)
    metrics.assigned([("telemetry", 0), ("telemetry", 1)], [("telemetry", 2)])
    metrics.lag(("telemetry", 0), 7)
    metrics.lag(("telemetry", 1), -3)
    name = "ember_consumer_lag_records"
    assert value(metrics, name, topic="telemetry", partition="0") == 7
    assert value(metrics, name, topic="telemetry", partition="1") == 0
    metrics.assigned([("telemetry", 1)], [])
    metrics.lag(("telemetry", 0), 9)
    assert (name, (("partition", "0"), ("topic", "telemetry"))) not in samples(metrics)
    assert value(metrics, "ember_partitions", role="active") == 1
    assert value(metrics, "ember_partitions", role="standby") == 0
    assert value(metrics, "ember_rebalances_total") == 2


def test_everything_else_moves() -> None:
    """Checkpoints, restores, dead letters, evictions, phases and watched values."""
    metrics = Metrics(
        ["telemetry"], version="1.2", model="m", channels=("load", "heat"), process=False
    )
    metrics.checkpointed(0.4, 0.01, 11)
    metrics.missing({"heat": 5, "unlisted": 2})
    metrics.timed("recovery", 8.0)
    totals = (7, 5, 0, 0)
    metrics.restored(5, 3, 1)
    metrics.dead_letters("written", 2)
    metrics.phase("joining")
    metrics.phase("running")
    missing = {"load": 3, "unlisted": 2, "foreign": 1}
    metrics.watch(
        keys=lambda: 17,
        missing=lambda: missing,
        flagged=lambda field: {"firing": 3, "stale": 2, "known": 11}[field],
        state_bytes=lambda: 1900,
        disk_bytes=lambda: 8192,
        in_flight=lambda: 5,
        moved=lambda: totals,
        max_keys=23,
    )
    assert value(metrics, "ember_commits_total") == 1
    recovery = {"stage": "recovery"}
    assert value(metrics, "ember_process_duration_seconds_bucket", le="8.0", **recovery) == 1
    assert value(metrics, "ember_known_keys") == 11
    assert value(metrics, "ember_channel_missing_values_total", channel="heat") == 5
    assert value(metrics, "ember_channel_missing_values_total", channel="other") == 2
    assert value(metrics, "ember_missing_channels", channel="load") == 3
    assert value(metrics, "ember_missing_channels", channel="other") == 3
    missing.clear()
    assert value(metrics, "ember_missing_channels", channel="load") == 0
    assert value(metrics, "ember_alarmed_keys", reason="evidence") == 3
    assert value(metrics, "ember_alarmed_keys", reason="stale") == 2
    assert value(metrics, "ember_events_in_flight") == 5
    assert value(metrics, "ember_state_max_keys") == 23
    assert value(metrics, "ember_checkpoint_rows_total") == 11
    assert value(metrics, "ember_restored_rows_total", result="stale") == 3
    assert value(metrics, "ember_dead_letters_total", outcome="written") == 2
    assert value(metrics, "ember_state_evictions_total", reason="memory") == 7
    assert value(metrics, "ember_state_returned_keys_total") == 5
    totals = (9, 6, 2, 4)
    assert value(metrics, "ember_state_evictions_total", reason="memory") == 9
    assert value(metrics, "ember_state_evictions_total", reason="disk") == 2
    assert value(metrics, "ember_state_evictions_total", reason="ttl") == 4
    assert value(metrics, "ember_phase", phase="running") == 1
    assert value(metrics, "ember_phase", phase="joining") == 0
    assert value(metrics, "ember_active_keys") == 17
    assert value(metrics, "ember_state_bytes") == 1900
    assert value(metrics, "ember_state_disk_bytes") == 8192
    labels = {"version": "1.2", "backend": "numpy", "model": "m"}
    assert value(metrics, "ember_build_info", **labels) == 1


def test_names_follow_the_conventions() -> None:
    """Prefix, help, base units, `_total`; no label that could be a stream key."""
    metrics = Metrics(["telemetry"], process=False)
    metrics.assigned([("telemetry", 0)], [])
    for family in text_string_to_metric_families(metrics.render().decode()):
        assert re.fullmatch(r"ember_[a-z_]+", family.name), family.name
        assert family.documentation.endswith("."), family.name
        assert not re.search(r"_(ms|us|ns|millis\w*|micros\w*|kb|mb)(_|$)", family.name)
        for sample in family.samples:
            assert set(sample.labels) <= {
                *("topic", "reason", "outcome", "severity", "status", "outcome", "stage", "le"),
                *("partition", "role", "phase", "result", "version", "backend", "model"),
                *("kind", "channel", "profile"),
            }


def test_the_catalogue_is_described_as_it_is_exposed() -> None:
    """Names have suffixes and labels before anything has happened."""
    metrics = Metrics(["telemetry"], rekeyed=["raw"])
    metrics.rekey_assigned([("raw", 0)])
    catalogue = {name: (kind, labels) for name, kind, labels, _ in metrics.describe()}
    assert catalogue["ember_records_total"] == ("counter", ("topic",))
    assert catalogue["ember_consumer_lag_records"] == ("gauge", ("topic", "partition"))
    assert catalogue["ember_event_delay_seconds"] == ("histogram", ("topic",))
    assert catalogue["ember_episode_duration_seconds"] == ("histogram", ())
    assert catalogue["ember_build_info"] == ("info", ("backend", "model", "version"))
    metrics.assigned([("telemetry", 0)], [])
    consume(metrics)
    exposed = {re.sub("_(bucket|count|sum)$", "", name) for name, _ in samples(metrics)}
    assert {name for name in exposed if name.startswith("ember_")} == set(catalogue)


def test_promtool_has_nothing_to_say() -> None:
    """Prometheus' own lint, where it is installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not there")
    metrics = Metrics(["telemetry"])
    consume(metrics)
    metrics.assigned([("telemetry", 0)], [])
    result = subprocess.run(
        [promtool, "check", "metrics"], input=metrics.render(), capture_output=True, check=False
    )
    assert result.stderr.decode() == ""
    assert result.returncode == 0
