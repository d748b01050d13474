"""Metrics of the process: every family says what its name does."""

from __future__ import annotations

from stream.bridge import RESULTS
from stream.observe import RemoteWriteMetrics
from stream.remote_write import OUTCOMES, READ
from tests.stream.remote_write.running import value_of


def made() -> RemoteWriteMetrics:
    return RemoteWriteMetrics(READ, OUTCOMES, RESULTS, process=False)


def families(metrics: RemoteWriteMetrics) -> set[str]:
    text = metrics.render().decode()
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def test_every_outcome_is_there_before_it_has_come() -> None:
    """A rate over a series that appears with its first failure would miss this failure."""
    metrics = made()
    for outcome in READ:
        assert value_of(metrics, f'ember_remote_write_records_total{{outcome="{outcome}"}}') == 0
    for outcome in OUTCOMES:
        assert value_of(metrics, f'ember_remote_write_samples_total{{outcome="{outcome}"}}') == 0
    for result in RESULTS:
        assert value_of(metrics, f'ember_remote_write_requests_total{{result="{result}"}}') == 0


def test_records_samples_and_requests_are_counted() -> None:
    metrics = made()
    metrics.record("scores")
    metrics.record("scores")
    metrics.samples("refused", 7)
    metrics.samples("refused", 4)
    last_accepted = "ember_remote_write_last_accepted_timestamp_seconds "
    metrics.posted("failed")
    assert value_of(metrics, last_accepted) == 0
    metrics.posted("accepted")
    assert value_of(metrics, last_accepted) > 1.7e9
    assert value_of(metrics, 'ember_remote_write_records_total{outcome="scores"}') == 2
    assert value_of(metrics, 'ember_remote_write_samples_total{outcome="refused"}') == 11
    assert value_of(metrics, 'ember_remote_write_requests_total{result="failed"}') == 1
    assert value_of(metrics, 'ember_remote_write_requests_total{result="accepted"}') == 1


def test_the_state_is_set_and_evicted_rows_are_added_up() -> None:
    metrics = made()
    first = {"keys": 3, "firing": 2, "series": 51, "history_bytes": 1_700}
    metrics.state(**first, evicted=5, waiting=130, lag=19)
    metrics.state(**first, evicted=12, waiting=11, lag=0)
    gauges = {"keys": 3, "firing_keys": 2, "series": 51, "history_bytes": 1_700}
    for name, number in {**gauges, "waiting_samples": 11, "lag_records": 0}.items():
        assert value_of(metrics, f"ember_remote_write_{name} ") == number
    assert value_of(metrics, "ember_remote_write_evicted_rows_total ") == 12
    checked = {*gauges, "waiting_samples", "lag_records", "evicted_rows", "records", "samples"}
    checked |= {"requests", "last_accepted_timestamp_seconds"}
    names = {name.removesuffix("_total") for name in families(metrics)}
    written = {name.removeprefix("ember_remote_write_") for name in names if "remote" in name}
    assert written == checked
