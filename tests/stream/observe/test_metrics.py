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
    """Everything exposed: (name, sorted labels) -> value."""
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
    """`rate()` and alerts need the series to be there."""
    found = samples(Metrics(["telemetry"], process=False))
    for reason in Reason:
        labels = (("reason", reason.value), ("topic", "telemetry"))
        assert found["ember_records_rejected_total", labels] == 0
    for name in ("ember_records_total", "ember_event_delay_seconds_count", "ember_severity_sum"):
        assert found[name, (("topic", "telemetry"),)] == 0
    assert found["ember_commits_total", (("result", "failure"),)] == 0
    assert found["ember_triggers_total", (("reason", "stale"), ("status", "firing"))] == 0


def test_a_fetch_is_one_update() -> None:
    """Fates and reasons are told apart, delays go into their buckets, the newest time stays."""
    metrics = Metrics(["telemetry"], process=False)
    consume(metrics)
    consume(metrics, time_us=np.array([], dtype=np.int64), counts={})
    consume(metrics, time_us=np.array([500_000]), counts={}, now_seconds=0.55)
    topic = {"topic": "telemetry"}
    assert value(metrics, "ember_records_total", **topic) == 15
    assert value(metrics, "ember_record_fates_total", fate="scored", **topic) == 3
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
    metrics.scored("telemetry", np.array([3.0, 3.01, 12.5]), np.array([True, True, True]))
    assert value(metrics, "ember_severity_bucket", le="2.0", topic="telemetry") == 0
    assert value(metrics, "ember_severity_bucket", le="3.0", topic="telemetry") == 1
    assert value(metrics, "ember_severity_bucket", le="4.0", topic="telemetry") == 2
    assert value(metrics, "ember_severity_bucket", le="12.0", topic="telemetry") == 2
    assert value(metrics, "ember_anomalies_total", severity="3") == 2
    assert value(metrics, "ember_anomalies_total", severity="12") == 1
    assert value(metrics, "ember_windows_scored_total", topic="telemetry") == 3


def test_triggers_are_counted_by_what_they_say() -> None:
    """Status and reason are read from the body; anomalies are counted elsewhere."""
    metrics = Metrics(["telemetry"], process=False)
    firing = b'{"status":"firing","reason":"evidence","peak":1}'
    metrics.emitted(
        [Event("trigger", b"k", "1", 0, firing), Event("anomaly", b"k", "2", 0, b"not looked at")]
    )
    assert value(metrics, "ember_triggers_total", status="firing", reason="evidence") == 1


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
    metrics = Metrics(["telemetry"], version="1.2", model="m", process=False)
    metrics.checkpointed(0.4, 0.01, 11)
    metrics.checkpoint_failed()
    metrics.restored(5, 3, 1)
    metrics.dead_letters("written", 2)
    metrics.evicted("ttl", 4)
    metrics.phase("joining")
    metrics.phase("running")
    metrics.watch(keys=lambda: 17, state_bytes=lambda: 1900)
    assert value(metrics, "ember_commits_total", result="success") == 1
    assert value(metrics, "ember_commits_total", result="failure") == 1
    assert value(metrics, "ember_checkpoint_rows_total") == 11
    assert value(metrics, "ember_restored_rows_total", result="stale") == 3
    assert value(metrics, "ember_dead_letters_total", outcome="written") == 2
    assert value(metrics, "ember_state_evictions_total", reason="ttl") == 4
    assert value(metrics, "ember_phase", phase="running") == 1
    assert value(metrics, "ember_phase", phase="joining") == 0
    assert value(metrics, "ember_active_keys") == 17
    assert value(metrics, "ember_state_bytes") == 1900
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
                *("topic", "reason", "fate", "severity", "status", "outcome", "stage", "le"),
                *("partition", "role", "phase", "result", "version", "backend", "model"),
            }


def test_promtool_has_nothing_to_say() -> None:
    """Prometheus' own lint, where it is installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not there")
    metrics = Metrics(["telemetry"])
    consume(metrics)
    metrics.assigned([("telemetry", 0)], [])
    found = subprocess.run(
        [promtool, "check", "metrics"], input=metrics.render(), capture_output=True, check=False
    )
    assert found.stderr.decode() == ""
    assert found.returncode == 0
